"""Softmax attention in integers and floats: what it gives where that is known, and what it refuses."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.attention_cases import softmax_attention
from blueprint.arithmetic import floating
from blueprint.arithmetic.softmax import steps
from blueprint.arithmetic.softmax.arithmetic import GRAPHS, Arithmetic, Scales
from blueprint.arithmetic.softmax.attention import attend, trace
from blueprint.errors import ParamError
from tests.softmax_cases import DESIGNS

Integers = npt.NDArray[np.int64]
ONE, NAN, INFINITY = 0x3C00, 0x7E01, 0x7C00


def integers(graph: str = "memory_free", **given: int) -> Arithmetic:
    sizes = {"dim": 8, "keys_max": 64} | given
    return Arithmetic(inputs="int8", acc_format="integer", graph=graph, **sizes).check()


def floats(acc_format: str, graph: str = "memory_free", inputs: str = "fp16") -> Arithmetic:
    return Arithmetic(inputs=inputs, acc_format=acc_format, graph=graph, dim=4, keys_max=64).check()


def operands(rows: int, keys: int, dim: int, seed: int = 1) -> tuple[Integers, Integers, Integers, Integers]:
    random = np.random.default_rng(seed)
    q, k, v = (random.integers(-128, 128, (count, dim)) for count in (rows, keys, keys))
    return q, k, v, np.tile(np.arange(keys), (rows, 1))


@pytest.mark.parametrize("graph", GRAPHS)
def test_one_key_gives_its_value(graph: str) -> None:
    q, k, v, order = operands(20, 1, 8)
    v[0] = [-128, 127, 0, 1, -1, 64, -64, 100]
    a = integers(graph, keys_max=1)
    out = attend(a, Scales.of(a, 1e-6 if graph == "naive" else 1e-4), q, k, v, order)
    assert (out == v).all()


@pytest.mark.parametrize("graph", GRAPHS)
def test_equal_scores_give_the_mean(graph: str) -> None:
    _, k, v, order = operands(1, 64, 8)
    a = integers(graph)
    out = attend(a, Scales.of(a, 1e-3), np.zeros((1, 8), np.int64), k, v, order)
    assert np.abs(out - v.mean(axis=0)).max() <= 0.51


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_most_extreme_operands_fit(graph: str) -> None:
    a = integers(graph)
    k = np.where(np.arange(64)[:, None] % 2, -128, 127) * np.ones((1, 8), np.int64)
    q = np.full((1, 8), -128)
    for value in (-128, 127):
        v = np.full((64, 8), value)
        found = trace(a, Scales.of(a, 1.0), q, k, v, np.arange(64)[None])
        assert (found["out"] == value).all()
        assert found["l"].min() >= 0 and found["l"].max() < 1 << a.l_width
        assert np.abs(found["o"] + (found["o"] < 0)).max() < 1 << (a.o_width - 1)


@pytest.mark.parametrize("graph", GRAPHS)
def test_narrow_keys_and_values_change_widths_but_no_output(graph: str) -> None:
    narrow, wide = integers(graph, kv_width=4), integers(graph)
    random = np.random.default_rng(6)
    q, order = random.integers(-128, 128, (40, 8)), np.tile(np.arange(64), (40, 1))
    k, v = random.integers(-8, 8, (2, 64, 8))
    q[0], k[::2], v[:, 0] = -128, -8, -8
    for scale in (1e-4, 1e-2, 1.0):
        scales = Scales.of(wide, scale, 16.0)
        found, wanted = (trace(a, scales, q, k, v, order) for a in (narrow, wide))
        assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
        for name, width in (("score", narrow.score_width), ("o", narrow.o_width)):
            assert np.abs(found[name] + (found[name] < 0)).max() < 1 << (width - 1)
    for name in ("score_width", "product_width", "term_width", "o_width"):
        assert getattr(narrow, name) == getattr(wide, name) - 4


def test_sums_that_only_grow_use_all_their_bits() -> None:
    a = integers("reordered", keys_max=63)
    q, k = np.zeros((1, 8), np.int64), np.zeros((63, 8), np.int64)
    found = trace(a, Scales.of(a, 1.0), q, k, np.full((63, 8), -128), np.arange(63)[None])
    assert found["l"][0] == 63 << a.weight_fraction and int(found["l"][0]).bit_length() == a.l_width
    assert found["o"][0, 0] == -(63 << (a.weight_fraction + 7))


@pytest.mark.parametrize("name", [name for name in DESIGNS if name.startswith(("int8-", "fp16_fixed-"))])
def test_skipped_keys_change_nothing(name: str) -> None:
    a = DESIGNS[name]
    random = np.random.default_rng(4)
    q, k, v = (random.integers(-128, 128, (count, a.dim)) for count in (3, 20, 20))
    if a.is_float:
        q, k, v = (floating.from_float64(a.input_format, x / 50) for x in (q, k, v))
    scales = Scales.of(a, 1e-3, offset=3)
    order = np.array([[5, 3, 9, 1], [0, 19, 18, 2], [7, 7, 6, 4]])
    holes = np.full((3, 9), -1)
    holes[:, [0, 2, 3, 7]] = order
    late = np.concatenate([np.full((3, 2), -1), order], axis=1)
    wanted = attend(a, scales, q, k, v, order)
    assert np.array_equal(attend(a, scales, q, k, v, holes), wanted)
    assert np.array_equal(attend(a, scales, q, k, v, late), wanted)


@pytest.mark.parametrize("a", DESIGNS.values(), ids=DESIGNS)
def test_a_row_that_sees_nothing_gives_zeros(a: Arithmetic) -> None:
    nothing = np.zeros((2, a.dim), dtype=np.int64)
    order = np.array([[-1, -1], [0, -1]][: 1 + (a.keys_max > 0)])
    out = attend(a, Scales.of(a, 1.0), nothing[: len(order)], nothing, nothing, order)
    assert (out == 0).all()
    assert (
        attend(a, Scales.of(a, 1.0), nothing, nothing, nothing, np.zeros((2, 0), np.int64)).tolist()
        == [[0] * a.dim] * 2
    )


def test_the_order_of_keys_only_matters_where_the_maximum_runs() -> None:
    q, k, v, order = operands(5, 60, 8)
    for graph in ("scaled", "reordered"):
        a = integers(graph)
        scales = Scales.of(a, 2e-4)
        assert np.array_equal(attend(a, scales, q, k, v, order), attend(a, scales, q, k, v, order[:, ::-1]))


def test_memory_free_with_the_maximum_first_is_reordered() -> None:
    q, k, v, order = operands(5, 60, 8)
    order = np.argsort(-(q @ k.T), axis=1, kind="stable")
    running, whole = (trace(integers(g), Scales.of(integers(g), 2e-4), q, k, v, order) for g in GRAPHS[:1:-1])
    for name in ("p", "l", "o", "out"):
        assert np.array_equal(running[name], whole[name])


def test_a_rising_maximum_moves_sums_by_whole_places() -> None:
    a = integers()
    k = np.zeros((3, 8), np.int64)
    k[:, 0] = [0, 1, 3]
    q = np.eye(1, 8, dtype=np.int64)
    found = trace(a, Scales.of(a, 1.0), q, k, np.full((3, 8), 16), np.arange(3)[None])
    one = 1 << a.weight_fraction
    assert found["reference"].tolist() == [[0, 1, 3]] and found["p"].tolist() == [[one] * 3]
    assert found["l"].tolist() == [((one >> 1) + one >> 2) + one]


@pytest.mark.parametrize("graph", ["scaled", "reordered", "memory_free"])
@pytest.mark.parametrize("rising", [1, -1])
def test_a_maximum_that_moves_every_step_stays_accurate(graph: str, rising: int) -> None:
    a = integers(graph)
    random = np.random.default_rng(3)
    k = np.zeros((64, 8), np.int64)
    k[:, 0] = rising * np.arange(-32, 32)
    v = random.integers(-128, 128, (64, 8))
    for scale in (0.01, 0.1, 0.7, 1.0):
        q = np.eye(1, 8, dtype=np.int64)
        out = attend(a, Scales.of(a, scale), q, k, v, np.arange(64)[None])
        assert np.abs(out - softmax_attention(q, k, v, scale)).max() < 0.6


def test_an_offset_that_is_too_low_saturates_weights() -> None:
    a = integers("naive")
    q, k = np.eye(1, 8, dtype=np.int64), np.zeros((2, 8), np.int64)
    k[:, 0] = [9, 4]
    found = trace(a, Scales.of(a, 1.0, offset=4), q, k, k, np.arange(2)[None])
    assert found["p"].tolist() == [[1 << a.weight_fraction] * 2]


def test_exponents_saturate_where_they_do_not_fit() -> None:
    a = integers()
    t = steps.scale(a, Scales(multiplier=65535, shift=0), np.array([1 << 16, -(1 << 16), 0]))
    assert t.tolist() == [32767 << a.fraction, -32767 << a.fraction, 0]
    assert steps.ceiling(a, t).tolist() == [32767, -32767, 0]


@pytest.mark.parametrize("shift", [0, 1, 5, 19, 20, 21, 40, 63])
def test_scaling_in_two_halves_is_exact(shift: int) -> None:
    random = np.random.default_rng(shift)
    a = Arithmetic(inputs="fp16", acc_format="fixed", graph="scaled", dim=1024, keys_max=1)
    numbers = random.integers(-(1 << 44), 1 << 44, 500) >> random.integers(0, 44, 500)
    multiplier = int(random.integers(1, 1 << 24))
    low, high = -32767 << a.fraction, 32767 << a.fraction
    wanted = [min(max((int(n) * multiplier + ((1 << shift) >> 1)) >> shift, low), high) for n in numbers]
    words = steps.join(numbers, np.zeros_like(numbers), a.score_width, 1)
    found, _ = steps.split(steps.scale(a, Scales(multiplier=multiplier, shift=shift), words), a.t_width, 1)
    assert found.tolist() == wanted


# Floats ---------------------------------------------------------------------------------------------------------------


def float_operands(a: Arithmetic, keys: int = 5) -> tuple[Integers, Integers, Integers, Integers]:
    random = np.random.default_rng(5)
    q, k, v = (floating.from_float64(a.input_format, random.normal(size=(n, 4))) for n in (3, keys, keys))
    return q, k, v, np.tile(np.arange(keys), (3, 1))


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("acc_format", ["fixed", "fp32", "same"])
def test_a_value_that_is_no_number_stays_in_its_column(acc_format: str, graph: str) -> None:
    a = floats(acc_format, graph)
    q, k, v, order = float_operands(a)
    clean = attend(a, Scales.of(a, 0.5), q, k, v, order)
    v[2, 1] = NAN
    out = attend(a, Scales.of(a, 0.5), q, k, v, order)
    assert (out[:, 1] == 0x7E00).all()
    assert np.array_equal(np.delete(out, 1, axis=1), np.delete(clean, 1, axis=1))


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("acc_format", ["fixed", "fp32", "same"])
def test_a_query_or_key_that_is_no_number_spoils_its_rows(acc_format: str, graph: str) -> None:
    a = floats(acc_format, graph)
    q, k, v, order = float_operands(a)
    clean = attend(a, Scales.of(a, 0.5), q, k, v, order[:, :4])
    q[1, 3] = NAN
    out = attend(a, Scales.of(a, 0.5), q, k, v, order[:, :4])
    assert (out[1] == 0x7E00).all() and np.array_equal(out[[0, 2]], clean[[0, 2]])
    k[4, 0] = NAN
    assert (attend(a, Scales.of(a, 0.5), q, k, v, order) == 0x7E00).all()


def test_infinities_break_fixed_sums_and_pass_through_float_ones() -> None:
    for acc_format, wanted in (("fixed", 0x7E00), ("fp32", INFINITY)):
        a = floats(acc_format)
        q, k, v, order = float_operands(a)
        v[2, 1] = INFINITY
        assert (attend(a, Scales.of(a, 0.5), q, k, v, order)[:, 1] == wanted).all()


def test_float_scores_are_added_in_the_order_of_the_beats() -> None:
    a = Arithmetic(inputs="fp16", acc_format="same", graph="scaled", dim=4, keys_max=1, score_lanes=2)
    wide = dataclasses.replace(a, score_lanes=4)
    q = np.full((1, 4), ONE)
    k = floating.from_float64(floating.FP16, np.array([[2048.0, 1.0, 1.0, -2048.0]]))
    # 2048 + 1 is 2048; beats of two keep what 1 - 2048 rounds, four add the pairs.
    assert floating.to_float64(floating.FP16, steps.score(a, q, k)).tolist() == [1.0]
    assert floating.to_float64(floating.FP16, steps.score(wide, q, k)).tolist() == [1.0]
    k = floating.from_float64(floating.FP16, np.array([[2048.0, 1.0, 1.0, 1.0]]))
    one_by_one = dataclasses.replace(a, score_lanes=1)
    assert floating.to_float64(floating.FP16, steps.score(a, q, k)).tolist() == [2050.0]
    assert floating.to_float64(floating.FP16, steps.score(one_by_one, q, k)).tolist() == [2048.0]


def test_a_last_beat_is_filled_up() -> None:
    a = Arithmetic(inputs="bf16", acc_format="fp32", graph="scaled", dim=5, keys_max=1, score_lanes=4)
    q, k = (floating.from_float64(floating.BF16, np.full((1, 5), 2.0)) for _ in "qk")
    assert floating.to_float64(floating.FP32, steps.score(a, q, k)).tolist() == [20.0]


def test_products_that_are_too_large_for_fixed_point_saturate() -> None:
    a = floats("fixed")
    big = floating.from_float64(floating.FP16, np.array([[60000.0, 0, 0, 0]]))
    word = steps.score(a, big, big)
    number, flag = steps.split(word, a.score_width, 1)
    assert number.tolist() == [(1 << 38) - 1] and flag.tolist() == [0]
    assert (word >> a.score_width).tolist() == [2]


def test_large_values_are_added_without_overflow() -> None:
    a = floats("fixed", "reordered")
    v = floating.from_float64(floating.FP16, np.full((64, 4), -65504.0))
    zero = np.zeros((64, 4), dtype=np.int64)
    out = attend(a, Scales.of(a, 1.0), zero[:1], zero, v, np.arange(64)[None])
    assert floating.to_float64(floating.FP16, out).tolist() == [[-65504.0] * 4]


def test_a_rescaled_float_falls_to_zero_below_normal() -> None:
    fmt = floating.FP16
    words = np.array([0x0400, 0x8400, 0x3C00, 0xBC00, 0x7C00, 0x7E00, 0x0001])
    assert steps.lowered(fmt, words, np.zeros(7, np.int64)).tolist() == words.tolist()
    assert steps.lowered(fmt, words, np.full(7, 1)).tolist() == [0, 0, 0x3800, 0xB800, 0x7C00, 0x7E00, 0]
    assert steps.lowered(fmt, words, np.full(7, 255)).tolist() == [0, 0, 0, 0, 0x7C00, 0x7E00, 0]


# Registers and refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-6, 0.0123, 1.0, 10.0])
@pytest.mark.parametrize("acc_format", ["integer", "fixed", "fp32"])
def test_registers_hold_the_scale(acc_format: str, scale: float) -> None:
    a = integers() if acc_format == "integer" else floats(acc_format)
    found = Scales.of(a, scale)
    if acc_format == "fp32":
        held = float(floating.to_float64(floating.FP32, np.array(found.multiplier)))
    else:
        held = found.multiplier / 2.0**found.shift * (2.0**22 if acc_format == "fixed" else 1)
    assert held / 2.0**a.fraction == pytest.approx(
        scale, rel=2.0**-15 if acc_format == "integer" else 2.0**-22
    )


@pytest.mark.parametrize("gain", [0.01, 1.0, 1.999999, 31.7])
def test_registers_hold_the_gain(gain: float) -> None:
    found = Scales.of(integers(), 1.0, gain)
    assert found.output_multiplier < 1 << 16 and found.output_shift < 32
    assert found.output_multiplier / 2.0**found.output_shift == pytest.approx(gain, rel=2.0**-16)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scale": 0.0}, "scale must be positive, not 0.0"),
        ({"scale": float("nan")}, "scale must be positive, not nan"),
        ({"scale": 1.0, "gain": -1.0}, "gain must be positive, not -1.0"),
        ({"scale": 1.0, "offset": 32768}, "offset must be from -32768 to 32767, not 32768"),
        ({"scale": 1e9}, "scale must be from about 5.42101e-20 to 65535, not 4.096e+12 in register units"),
        (
            {"scale": 1.0, "gain": 1e-12},
            "gain must be from about 2.32831e-10 to 65535, not 1e-12 in register units",
        ),
    ],
)
def test_registers_refuse_what_they_cannot_hold(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamError) as caught:
        Scales.of(integers(), **given)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"graph": "flash"}, ParamError,
         "Parameter graph must be one of naive, scaled, reordered, memory_free, not 'flash'"),
        ({"inputs": "fp8"}, ParamError, "Parameter inputs must be one of int8, fp16, bf16, not 'fp8'"),
        ({"acc_format": "fixed"}, ParamError, "Accumulator must be integer for int8, not 'fixed'"),
        ({"inputs": "bf16"}, ParamError, "Accumulator must be fixed, fp32 or same for bf16, not 'integer'"),
        ({"dim": 0}, ParamError, "Parameter dim must be from 1 to 1024, not 0"),
        ({"dim": 8.0}, TypeError, "dim must be an integer, not 8.0"),
        ({"graph": 3}, TypeError, "graph must be a name, not 3"),
        ({"keys_max": 65537}, ParamError, "Parameter keys_max must be from 1 to 65536, not 65537"),
        ({"score_lanes": 9}, ParamError, "Parameter score_lanes must be from 1 to 8, not 9"),
        ({"kv_width": 5}, ParamError, "kv_width must be 8, or 4 for int8, not 5 for int8"),
        ({"kv_width": "4"}, TypeError, "kv_width must be an integer, not '4'"),
        ({"weight_bits": 3}, ParamError, "Parameter weight_bits must be from 4 to 32, not 3"),
        ({"exponent_fraction": 25}, ParamError, "Parameter exponent_fraction must be from 4 to 24, not 25"),
        ({"inputs": "fp16", "acc_format": "fp32", "weight_bits": 9}, ParamError,
         "Parameter weight_bits is not for float sums; it must be 0, not 9"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_refused(given: dict[str, Any], kind: type[Exception], message: str) -> None:
    usual: dict[str, Any] = {
        "inputs": "int8",
        "acc_format": "integer",
        "graph": "scaled",
        "dim": 8,
        "keys_max": 64,
    }
    with pytest.raises(kind) as caught:
        Arithmetic(**(usual | given)).check()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": np.zeros((2, 7), np.int64)}, "q must have 8 columns, not the shape (2, 7)"),
        ({"k": np.zeros((3, 8), np.int64)}, "k and v must have the same shape, not (3, 8) and (4, 8)"),
        ({"order": np.zeros((3, 4), np.int64)}, "order must have 2 rows, not the shape (3, 4)"),
        ({"order": np.full((2, 4), 4)}, "order must hold numbers from -1 to 3, not 4 to 4"),
        ({"order": np.zeros((2, 65), np.int64)}, "A row must see at most keys_max = 64 keys, not 65"),
    ],
)
def test_operands_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    q, k, v, order = operands(2, 4, 8)
    given = {"q": q, "k": k, "v": v, "order": order} | change
    a = integers()
    with pytest.raises(ParamError) as caught:
        attend(a, Scales.of(a, 1.0), **given)
    assert str(caught.value) == message
