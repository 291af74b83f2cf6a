"""What a ternary-LUT core computes, bit for bit, how it travels, and random cases to try it on.

Float sums: a group's sum adds its activations left to right, missing ones skipped, with the sign of the first one
taken out and put back at the end; the tables of a tile are added pairwise, neighbors first, an odd one waiting for the
next level; tiles are added one after the other to a sum that starts at +0. Exact sums: any NaN or infinity among the
activations of a token makes all its results NaN, whatever the weights; everything else is exact until the one rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic import floating, ternary
from blueprint.arithmetic.floating import FloatFormat
from blueprint.families.ternary_lut import formats
from blueprint.numbers import choose
from blueprint.spec import Parameter
from blueprint.workloads.workload import Gemm

if TYPE_CHECKING:
    from blueprint.families.ternary_lut.spec import TernaryLutSpec

#: How often a random design has which arithmetic.
ARITHMETIC = ("integer", "integer", "exact", "float", "float")

Integers = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]


def product(spec: TernaryLutSpec, act: Integers, wgt: Integers) -> Integers:
    """``act @ wgt`` in the arithmetic of ``spec``."""
    if not spec.is_float:
        # float64 adds integers below 2**53 exactly, and k_max * 2**(act_width - 1) is far below.
        return (act.astype(np.float64) @ wgt.astype(np.float64)).astype(np.int64)
    fmt = floating.get(spec.activation)
    return (
        _exact(fmt, floating.get(spec.output_format), act, wgt)
        if spec.exact
        else _floats(spec, fmt, act, wgt)
    )


def _exact(fmt: FloatFormat, result: FloatFormat, act: Integers, wgt: Integers) -> Integers:
    broken = floating.is_nan(fmt, act) | floating.is_infinite(fmt, act)
    whole = np.where(broken, 0, floating.to_fixed(fmt, act))
    # Two halves that float64 multiplies exactly.
    high, low = whole >> 24, whole & ((1 << 24) - 1)
    weights = wgt.astype(np.float64)
    total = ((high.astype(np.float64) @ weights).astype(np.int64) << 24) + (
        low.astype(np.float64) @ weights
    ).astype(np.int64)
    rounded = floating.from_fixed(fmt, result, total)
    return np.where(broken.any(axis=1, keepdims=True), result.canonical_nan, rounded)


def _floats(spec: TernaryLutSpec, fmt: FloatFormat, act: Integers, wgt: Integers) -> Integers:
    m, k = act.shape
    tiles = -(-k // spec.tile_k)
    act = _pad(act, m, tiles * spec.tile_k).reshape(m, tiles, spec.lut_count, spec.mu)
    wgt = _pad(wgt, tiles * spec.tile_k, wgt.shape[1]).reshape(tiles, spec.lut_count, spec.mu, -1)
    total = np.zeros((m, wgt.shape[-1]), dtype=np.int64)
    for tile in range(tiles):
        words = [_group(fmt, act[:, tile, lut], wgt[tile, lut]) for lut in range(spec.lut_count)]
        while len(words) > 1:
            pairs = [floating.add(fmt, a, b) for a, b in zip(words[::2], words[1::2], strict=False)]
            words = pairs + words[len(words) & ~1 :]
        total = floating.add(fmt, total, words[0]) if spec.accumulates else words[0]
    return floating.canonical(fmt, total)


def _group(fmt: FloatFormat, act: Integers, wgt: Integers) -> Integers:
    """Sums of one group: ``act`` (m, mu), ``wgt`` (mu, n)."""
    taken = wgt != 0
    first = np.take_along_axis(wgt, taken.argmax(axis=0)[None], axis=0)[0] < 0
    total = np.zeros((len(act), wgt.shape[1]), dtype=np.int64)
    begun = np.zeros(wgt.shape[1], dtype=bool)
    for position, weight in enumerate(wgt):
        term = act[:, position, None] ^ np.where((weight < 0) ^ first, fmt.sign_mask, 0)
        added = np.where(begun, floating.add(fmt, total, term), term)
        total = np.where(taken[position], added, total)
        begun |= taken[position]
    return np.where(begun & first, total ^ fmt.sign_mask, total)


def operands(spec: TernaryLutSpec, workload: Gemm, seed: int) -> dict[str, Integers]:
    """Random operands; a tenth of the activations are extremes."""
    random = np.random.default_rng(seed)
    shape = (workload.m, workload.k)
    if spec.is_float:
        act = _float_operands(floating.get(spec.activation), random, shape)
    else:
        low, high = -(1 << (spec.act_width - 1)), 1 << (spec.act_width - 1)
        act = random.integers(low, high, shape, dtype=np.int64)
        act[random.random(shape) < 0.1] = low
    return {"act": act, "wgt": random.integers(-1, 2, (workload.k, workload.n), dtype=np.int64)}


def typical_operands(spec: TernaryLutSpec, workload: Gemm, seed: int) -> dict[str, Integers]:
    """Activations uniform over their width, or normal floats of deviation 1, as a normalization leaves them."""
    random = np.random.default_rng(seed)
    shape = (workload.m, workload.k)
    if spec.is_float:
        act = floating.from_float64(floating.get(spec.activation), random.standard_normal(shape))
    else:
        act = random.integers(-(1 << (spec.act_width - 1)), 1 << (spec.act_width - 1), shape, dtype=np.int64)
    return {"act": act, "wgt": random.integers(-1, 2, (workload.k, workload.n), dtype=np.int64)}


def _float_operands(fmt: FloatFormat, random: np.random.Generator, shape: tuple[int, ...]) -> Integers:
    """Numbers of like size, so that sums round and cancel; some of any size; NaN and infinity in every fourth case."""
    middle = fmt.bias + random.integers(-2, 2)
    near = np.clip(middle + random.integers(-3, 4, shape), 0, 2**fmt.exponent_bits - 2) << fmt.fraction_bits
    act = near | random.integers(0, fmt.min_normal, shape)
    anything = random.integers(0, fmt.max_finite + 1, shape)
    act = np.where(random.random(shape) < 0.1, anything, act)
    special = random.choice([0, 1, fmt.min_normal - 1, fmt.min_normal, fmt.max_finite], shape)
    act = np.where(random.random(shape) < 0.05, special, act)
    if random.random() < 0.25:
        broken = random.choice([fmt.overflow, fmt.canonical_nan, fmt.sign_mask - 1], shape)
        act = np.where(random.random(shape) < 0.02, broken, act)
    signs: Integers = random.integers(0, 2, shape) << (fmt.width - 1)
    return act | signs


def stimulus(spec: TernaryLutSpec, act: Integers, wgt: Integers) -> dict[str, Octets]:
    """The beats of both input streams."""
    groups, tiles, columns = spec.loops(Gemm(m=act.shape[0], k=act.shape[1], n=wgt.shape[1]))
    lanes, width, fetches = spec.token_lanes, spec.tile_k, spec.fetch_count
    act = _pad(act, groups * lanes, tiles * width).reshape(groups, lanes, tiles, spec.lut_count, spec.mu)
    act_beats = act.transpose(0, 2, 1, 3, 4).reshape(groups * tiles, lanes, spec.lut_count, spec.mu)
    wgt = _pad(wgt.astype(np.int8), tiles * width, columns * fetches)
    tiled = wgt.reshape(tiles, spec.lut_count, spec.mu, columns, fetches).transpose(0, 3, 4, 1, 2)
    keys = ternary.encode(tiled.reshape(tiles * columns, fetches, spec.lut_count, spec.mu), spec.key_encoding)
    streams = {stream.name: stream for stream in spec.streams()}
    weight_beats = np.tile(streams["wgt"].pack(keys), (groups, 1))
    return {"act": streams["act"].pack(act_beats), "wgt": weight_beats}


def collect(spec: TernaryLutSpec, beats: Octets, workload: Gemm) -> Integers:
    """The results, (m, n), out of the beats of the output stream."""
    groups, _, columns = spec.loops(workload)
    values = spec.streams()[2].unpack(beats)
    values = values.reshape(groups, columns, spec.token_lanes, spec.fetch_count)
    rows = values.transpose(0, 2, 1, 3).reshape(groups * spec.token_lanes, columns * spec.fetch_count)
    return rows[: workload.m, : workload.n]


def _pad(array: Any, rows: int, columns: int) -> Any:
    return np.pad(array, ((0, rows - array.shape[0]), (0, columns - array.shape[1])))


def draw(limits: Mapping[str, Parameter], random: np.random.Generator) -> dict[str, Any]:
    """Random parameters, legal one by one."""
    chosen: dict[str, Any] = {
        name: str(random.choice(limit.choices)) for name, limit in limits.items() if limit.choices
    }
    chosen |= {name: bool(random.integers(2)) for name, limit in limits.items() if limit.kind is bool}
    sizes = {
        "mu": (1, 2, 2, 3, 3, 4, 5, 6),
        "lut_count": (1, 2, 3, 4, 5, 8),
        "fetch_count": (1, 2, 3, 4, 6, 8),
        "act_width": (2, 3, 4, 5, 8, 8, 11, 16),
        "k_max": (3, 20, 64, 200),
        "n_max": (1, 4, 30, 100),
        "m_max": (1, 2, 7, 65535),
        "token_lanes": (1, 1, 2, 3),
        "adder_stages": (0, 0, 1, 2, 3, 4, 6),
    }
    chosen |= {name: int(random.choice(values)) for name, values in sizes.items()}
    return consistent(chosen | {"acc_width": 0})


def consistent(table: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters, or columns of them, of which those that belong to one number format follow the format."""
    found = dict(table)
    whole = found["activation"] == "int"
    floats = (found["activation"] != "int") & (found["exact"] == 0)
    width = formats.look_up(found["activation"], lambda fmt: fmt.width)
    found["act_width"] = choose(whole, found["act_width"], width)
    found["exact"] = choose(whole, False, found["exact"])
    found["result_format"] = choose(found["exact"], found["result_format"], "same")
    found["adder_stages"] = choose(floats, found["adder_stages"], 0)
    found["reduction"] = choose(floats, "adder_tree", found["reduction"])
    found["build_style"] = choose(
        floats, choose(found["build_style"] == "direct", "shared", found["build_style"]), found["build_style"]
    )
    found["acc_width"] = choose(floats, 0, found["acc_width"])
    return found


def is_small(spec: TernaryLutSpec) -> bool:
    """Whether a design is small enough to be compiled in seconds."""
    adders = spec.lut_count * spec.fetch_count * spec.token_lanes * (1 if spec.floats else 0)
    bits = spec.entries * spec.token_lanes * spec.entry_width
    return bool(spec.peak_macs <= 150 and bits <= 4000 and adders <= 20)


def draw_workload(spec: TernaryLutSpec, random: np.random.Generator) -> Gemm:
    """A random product of sizes the design allows, often 1 in a dimension, of at most 600 cycles."""
    limits = (min(spec.m_max, 5), spec.k_max, spec.n_max)
    while True:
        sizes = [1 if random.random() < 0.15 else int(random.integers(1, limit + 1)) for limit in limits]
        workload = Gemm(m=sizes[0], k=sizes[1], n=sizes[2])
        if spec.cycles(workload) <= 600:
            return workload
