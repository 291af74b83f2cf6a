"""The range in which attention is right: inside it errors keep their bounds against float64, outside a flag says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from blueprint.arithmetic import floating
from blueprint.arithmetic.softmax.arithmetic import GRAPHS, Arithmetic, Scales
from blueprint.arithmetic.softmax.attention import trace
from blueprint.errors import ParamError

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FORMATS = {
    "int8": ("int8", "integer", 8),
    "int4": ("int8", "integer", 4),
    **{f"{i}_{s}": (i, s, 8) for i in ("fp16", "bf16") for s in ("fixed", "fp32", "same")},
}
RUNNING = [graph for graph in GRAPHS if graph != "naive"]


def design(name: str, graph: str, dim: int = 8, keys: int = 64) -> Arithmetic:
    inputs, acc_format, kv_width = FORMATS[name]
    return Arithmetic(
        inputs=inputs, acc_format=acc_format, graph=graph, dim=dim, keys_max=keys, kv_width=kv_width
    ).check()


@dataclass(frozen=True)
class Found:
    """Outputs and numbers as float64, and whether the run left its range."""

    out: Floats
    exact: Floats
    t: Floats
    size: Floats
    saturated: bool


def numbers(a: Arithmetic, words: Integers) -> Floats:
    return floating.to_float64(a.input_format, words) if a.is_float else words.astype(np.float64)


def words(a: Arithmetic, values: Any) -> Integers:
    exact = np.asarray(values, np.float64)
    return floating.from_float64(a.input_format, exact) if a.is_float else exact.astype(np.int64)


def run(
    a: Arithmetic, scale: float, q: Any, k: Any, v: Any, *, gain: float = 1.0, offset: int | None = None
) -> Found:
    """One query; ``naive`` gets the offset that fits where none is given."""
    q, k, v = (words(a, x) for x in (q, k, v))
    x, y, z = (numbers(a, part) for part in (q, k, v))
    with np.errstate(all="ignore"):
        t = (x @ y.T * scale)[0]
        weight = np.exp2(t - t.max())
        exact = gain * (weight @ z / weight.sum())
    fits = int(np.clip(np.ceil(t.max()), -32768, 32767)) if np.isfinite(t.max()) else 0
    scales = Scales.of(a, scale, gain, fits if offset is None else offset)
    found = trace(a, scales, q, k, v, np.arange(len(k))[None])
    return Found(
        numbers(a, found["out"][0]),
        exact,
        t,
        np.abs(x) @ np.abs(y).T * scale,
        bool(found["saturated"][0]),
    )


# What was reported ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_product_of_2048_is_added_as_it_is(graph: str) -> None:
    a = design("fp16_fixed", graph, dim=2)
    found = run(a, 0.125, [[1, 0]], [[2044, 0], [2048, 0]], [[0, 0], [1, 1]])
    assert found.out == pytest.approx(0.5858, abs=1e-3) and not found.saturated


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("name", ["int8", "int4"])
def test_scores_far_below_zero_are_like_others(name: str, graph: str) -> None:
    a = design(name, graph)
    k = np.array([[-8, n, 0, 0, 0, 0, 0, 0] for n in range(-8, 8)])
    v = np.tile(np.where(np.arange(16) < 15, -8, 7)[:, None], (1, 8))
    for scale in (0.51, 1.0, 5.3, 15.0):
        found = run(a, scale, [[127, 1, 0, 0, 0, 0, 0, 0]], k, v)
        assert found.t.max() < -500 and not found.saturated
        assert np.abs(found.out - found.exact).max() < 0.6


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("gain", [1.0, 8.0, 30.0])
def test_a_lost_tail_costs_what_the_page_says(gain: float, graph: str) -> None:
    a = design("int8", graph, keys=1024)
    down = a.weight_fraction + 1.01
    k = np.zeros((1024, 8), np.int64)
    k[1:, 0] = -127
    v = np.where(np.arange(1024)[:, None] == 0, -4, 4) * np.ones((1, 8), np.int64)
    v[1:, 1], v[0, 1] = 127, 0
    found = run(a, down / 127, [[1, 0, 0, 0, 0, 0, 0, 0]], k, v, gain=gain)
    error = np.abs(found.out - np.clip(found.exact, -128, 127)).max()
    assert gain * 0.2 < error <= 0.5 + 1.5 * gain


# Against float64, where every input is allowed ------------------------------------------------------------------------


def draw(a: Arithmetic, random: np.random.Generator, kind: str) -> tuple[Any, Any, Any]:
    """One query, keys and values of a kind that reaches far."""
    n = int(random.choice([1, 2, 7, 30]))
    top = (1 << (a.kv_width - 1)) if not a.is_float else 8
    q = random.integers(-128, 128, (1, a.dim)) if not a.is_float else random.normal(size=(1, a.dim))
    k, v = (random.uniform(-top, top, (n, a.dim)) for _ in "kv")
    if kind == "low":
        k = -np.sign(q) * np.abs(k)
    elif kind == "high":
        k = np.sign(q) * np.abs(k)
    elif kind == "outlier":
        k = -np.sign(q) * np.abs(k)
        k[random.integers(n)] *= -1
    elif kind == "offset":  # nearly the same scores, far from zero
        k = np.tile(k[:1], (n, 1))
        k[:, 0] = random.uniform(-1, 1, n) * min(top, 4)
        q[:, 0] = 1
    elif kind == "extreme" and a.is_float:
        v = v * 2.0 ** random.integers(-8, 4, v.shape)
    elif kind == "extreme":
        k, v = (random.choice([-top, top - 1], (n, a.dim)) for _ in "kv")
        q = random.choice([-128, 127], (1, a.dim))
    return q, np.floor(k) if not a.is_float else k, np.floor(v) if not a.is_float else v


def allowed(a: Arithmetic, found: Found, v: Any, scale: float, gain: float) -> Floats:
    """The bound that the page states."""
    if not a.is_float:
        return np.full(a.dim, 0.5 + 1.5 * gain)
    unit = 2.0 ** -(a.input_format.fraction_bits + 1)
    largest = np.abs(numbers(a, words(a, v))).max(axis=0)
    if a.acc_format == "fixed":
        exponent, small = scale * a.dim * 2.0**-22 + 2.0**-20, 2.0**-28
        weighing = 2.0**-14
    else:
        u = unit if a.acc_format == "same" else 2.0**-24
        fraction = 2.0**-8 if a.acc_format == "same" else 2.0**-20
        exponent = float(found.size.max()) * (a.dim + 2) * u + fraction
        weighing, small = 2 * len(v) * u + 8 * max(u, 2.0**-17), 0.0
    tiny = float(floating.to_float64(a.input_format, np.array(1)))
    return np.asarray(4 * unit * np.abs(found.exact) + largest * (2 * exponent + weighing) + small + tiny)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("name", FORMATS)
def test_inside_the_range_errors_keep_their_bound(name: str, graph: str) -> None:
    a = design(name, graph)
    inside = 0
    for seed in range(18):
        random = np.random.default_rng([seed, *name.encode()])
        kind = ("low", "high", "outlier", "offset", "extreme", "any")[seed % 6]
        q, k, v = draw(a, random, kind)
        size = 128.0 * (1 << (a.kv_width - 1)) * a.dim if not a.is_float else 8.0
        most = 30_000 if a.acc_format != "same" else 60
        scale = float(2.0 ** random.uniform(0, np.log2(most))) / size
        gain = 1.0 if a.is_float else float(random.choice([1.0, 0.3, 5.0, 30.0]))
        found = run(a, scale, q, k, v, gain=gain)
        if found.saturated:
            continue
        inside += 1
        error = np.abs(found.out - found.exact)
        bound = allowed(a, found, v, scale, gain)
        assert (error <= bound).all(), (seed, kind, (error / bound).max(), found.t.max())
    assert inside >= 6


@pytest.mark.parametrize("graph", RUNNING)
@pytest.mark.parametrize("name", ["int8", "fp16_fixed", "bf16_fixed"])
def test_a_common_offset_of_all_scores_does_not_matter(name: str, graph: str) -> None:
    a = design(name, graph)
    random = np.random.default_rng(5)
    k, v = random.integers(-100, 100, (2, 50, 8))
    q = np.array([[1, 2, 3, 4, 5, 6, 7, 0]])
    plain = run(a, 1 / 64, q, np.where(np.arange(8) == 7, 0, k), v)
    for far in (-127, 127):
        moved = q.copy()
        moved[0, 7] = 64  # 127 exponents of two, a whole number of them
        found = run(a, 1 / 64, moved, np.where(np.arange(8) == 7, far, k), v)
        assert np.array_equal(found.out, plain.out) and not found.saturated


# Outside --------------------------------------------------------------------------------------------------------------


def one_key_apart(a: Arithmetic, x: Any, scale: float, value: Any = 1.0, **given: Any) -> Found:
    """Keys of exponents ``x * scale``."""
    k = np.zeros((len(x), a.dim))
    k[:, 0] = x
    q = np.zeros((1, a.dim))
    q[0, 0] = 1 if a.is_float else 127
    return run(a, scale / q[0, 0], q, k, np.full((len(x), a.dim), value), **given)


OUTSIDE: list[tuple[str, str, list[float], float, dict[str, Any], bool]] = [
    ("int8", "memory_free", [-127, 127], 258.0, {}, False),
    ("int8", "memory_free", [-127, 127], 258.1, {}, True),
    ("int8", "scaled", [-127, 0], 1000.0, {}, False),  # one is too low to weigh anything
    ("int8", "scaled", [-127, -126], 258.1, {}, True),  # the highest is
    ("int8", "reordered", [-127, -126], 257.0, {}, False),
    ("int8", "reordered", [0], 1.0, {"value": 64, "gain": 1.99}, False),
    ("int8", "reordered", [0], 1.0, {"value": 64, "gain": 2.0}, True),
    ("int8", "scaled", [0], 1.0, {"value": -64, "gain": 2.0}, False),
    ("int8", "scaled", [0], 1.0, {"value": -65, "gain": 2.0}, True),
    ("int8", "naive", [3, 5], 1.0, {"offset": 5}, False),
    ("int8", "naive", [3, 5], 1.0, {"offset": 4}, True),
    ("int8", "naive", [3, 5], 1.0, {"offset": 6}, False),
    ("int8", "naive", [3, 5], 1.0, {"offset": 7}, True),
    ("int8", "naive", [-127], 255.9, {"offset": -32499}, False),
    ("int8", "naive", [-127], 256.2, {"offset": -32537}, True),
    ("fp16_fp32", "naive", [3, 5], 1.0, {"offset": 4}, True),
    ("fp16_fp32", "naive", [3, 5], 1.0, {"offset": 7}, True),
    ("fp16_fixed", "memory_free", [32752.0], 0.001, {}, False),
    ("fp16_fixed", "memory_free", [32768.0], 0.001, {}, True),
    ("fp16_fixed", "scaled", [-32768.0, 1.0], 0.001, {}, True),
    ("bf16_fixed", "scaled", [1.0], 1.0, {"value": 65280.0}, False),
    ("bf16_fixed", "reordered", [1.0], 1.0, {"value": -65536.0}, True),
    ("fp16_same", "memory_free", [300.0], 1.0, {}, True),
    ("fp16_same", "memory_free", [-300.0], 1.0, {}, True),
    ("fp16_same", "memory_free", [-300.0, 1.0], 1.0, {}, False),
    ("bf16_same", "scaled", [-300.0], 1.0, {}, False),
    ("bf16_fp32", "reordered", [1.0, 1.0], 1.0, {"value": 3.3e38}, True),
    ("bf16_fp32", "scaled", [1.0, 1.0], 1.0, {"value": 3.3e38}, False),
    ("bf16_fp32", "scaled", [3e38, 3e38], 1.0, {}, True),
]


@pytest.mark.parametrize(("name", "graph", "x", "scale", "given", "wanted"), OUTSIDE)
def test_what_leaves_the_range_is_flagged(
    name: str, graph: str, x: list[float], scale: float, given: dict[str, Any], wanted: bool
) -> None:
    found = one_key_apart(design(name, graph, dim=2), x, scale, **given)
    assert found.saturated is wanted


@pytest.mark.parametrize("graph", RUNNING)
def test_sums_of_the_inputs_own_format_say_when_they_stand_still(graph: str) -> None:
    a = design("bf16_same", graph, dim=2, keys=300)
    assert not one_key_apart(a, [0.0] * 255, 1.0).saturated
    assert one_key_apart(a, [0.0] * 256, 1.0).saturated
    assert not one_key_apart(design("bf16_fp32", graph, dim=2, keys=300), [0.0] * 300, 1.0).saturated


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("name", ["fp16_fixed", "fp16_fp32", "bf16_same"])
def test_what_is_no_number_shows_in_the_result_and_sets_no_flag(name: str, graph: str) -> None:
    a = design(name, graph, dim=2)
    for part in range(3):
        given = [np.zeros((1, 2)), np.zeros((3, 2)), np.ones((3, 2))]
        given[part][-1, 0] = np.nan
        found = run(a, 1.0, *given, offset=0)
        assert np.isnan(found.out[0]) and not found.saturated


@pytest.mark.parametrize("graph", GRAPHS)
def test_subnormals_are_numbers_like_others(graph: str) -> None:
    tiny = 2.0**-24
    for name in ("fp16_fixed", "fp16_fp32", "fp16_same"):
        a = design(name, graph, dim=2)
        found = run(a, 1.0, [[tiny, tiny]], [[1, 1], [tiny, 0]], [[64 * tiny] * 2, [64 * tiny] * 2])
        assert np.abs(found.out - found.exact).max() <= (tiny if name != "fp16_same" else 2 * tiny)
        assert not found.saturated


@pytest.mark.parametrize(
    ("name", "scale", "message"),
    [
        ("fp16_same", 300.0, "scale must be from about 2.38e-07 to 256 for these sums, not 300"),
        ("fp16_same", 1e-7, "scale must be from about 2.38e-07 to 256 for these sums, not 1e-07"),
        ("bf16_fp32", 1e33, "scale must be from about 1.12e-44 to 3.25e+32 for these sums, not 1e+33"),
    ],
)
def test_a_scale_that_the_sums_cannot_hold_is_refused(name: str, scale: float, message: str) -> None:
    with pytest.raises(ParamError) as caught:
        Scales.of(design(name, "scaled"), scale)
    assert str(caught.value) == message
