"""Golden model of a ternary-LUT core, and the packing of operands and results into beats.

Float sums: a group's sum adds its activations left to right, those of weight 0 skipped, with the sign of the first one
taken out and put back at the end; the tables of a tile are added pairwise, neighbors first, an odd one waiting for the
next level; tiles are added one after the other to a sum that starts at +0. Exact sums: any NaN or infinity among the
activations of a token makes all its results NaN, whatever the weights; everything else is exact until the one rounding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic import floating, ternary
from blueprint.arithmetic.floating import FloatFormat
from blueprint.families.ternary_lut.parameters import TernaryLutParameters
from blueprint.family import Arrays, Beats, no_constants, no_flags
from blueprint.product import exact_product, pad
from blueprint.workloads.tasks import Gemm

Integers = npt.NDArray[np.int64]


def reference(p: TernaryLutParameters, operands: Arrays) -> Arrays:
    """``out = act @ wgt``, shape (m, n); float results as patterns."""
    return {"out": _product(p, operands["act"], operands["wgt"])}


flags, constants = no_flags, no_constants


def _product(p: TernaryLutParameters, act: Integers, wgt: Integers) -> Integers:
    """``act @ wgt`` in the arithmetic of ``p``."""
    if not p.is_float:
        return exact_product(act, wgt, p.result_width)
    fmt = floating.get(p.activation)
    return _exact(fmt, floating.get(p.output_format), act, wgt) if p.exact else _floats(p, fmt, act, wgt)


def _exact(fmt: FloatFormat, result: FloatFormat, act: Integers, wgt: Integers) -> Integers:
    special = floating.is_nan(fmt, act) | floating.is_infinite(fmt, act)
    whole = np.where(special, 0, floating.to_fixed(fmt, act))
    # Two halves that float64 multiplies exactly.
    high, low = whole >> 24, whole & ((1 << 24) - 1)
    weights = wgt.astype(np.float64)
    total = ((high.astype(np.float64) @ weights).astype(np.int64) << 24) + (
        low.astype(np.float64) @ weights
    ).astype(np.int64)
    rounded = floating.from_fixed(fmt, result, total)
    return np.where(special.any(axis=1, keepdims=True), result.canonical_nan, rounded)


def _floats(p: TernaryLutParameters, fmt: FloatFormat, act: Integers, wgt: Integers) -> Integers:
    m, k = act.shape
    tiles = -(-k // p.tile_k)
    act = pad(act, m, tiles * p.tile_k).reshape(m, tiles, p.lut_count, p.mu)
    wgt = pad(wgt, tiles * p.tile_k, wgt.shape[1]).reshape(tiles, p.lut_count, p.mu, -1)
    total = np.zeros((m, wgt.shape[-1]), dtype=np.int64)
    for tile in range(tiles):
        words = [_group(fmt, act[:, tile, lut], wgt[tile, lut]) for lut in range(p.lut_count)]
        while len(words) > 1:
            pairs = [floating.add(fmt, a, b) for a, b in zip(words[::2], words[1::2], strict=False)]
            words = pairs + words[len(words) & ~1 :]
        total = floating.add(fmt, total, words[0]) if p.accumulates else words[0]
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


def stimulus(p: TernaryLutParameters, operands: Arrays) -> Beats:
    """Activation beats by token group and tile; weight beats by token group, output tile, tile and column group.

    Activations come again for every output tile, unless they are kept on chip. Tokens, activations and weights that a
    ragged edge lacks are zeros.
    """
    act, wgt = operands["act"], operands["wgt"]
    task = Gemm(m=act.shape[0], k=act.shape[1], n=wgt.shape[1])
    groups, tiles, columns = p.loops(task)
    passes = 1 if p.keeps_activations else p.output_tiles(task)[0]
    lanes, width, fetches = p.token_lanes, p.tile_k, p.fetch_count
    act = pad(act, groups * lanes, tiles * width).reshape(groups, lanes, tiles, p.lut_count, p.mu)
    act_beats = act.transpose(0, 2, 1, 3, 4)[:, np.newaxis].repeat(passes, axis=1)
    act_beats = act_beats.reshape(groups * passes * tiles, lanes, p.lut_count, p.mu)
    wgt = pad(wgt.astype(np.int8), tiles * width, columns * fetches)
    tiled = wgt.reshape(tiles, p.lut_count, p.mu, columns, fetches).transpose(0, 3, 4, 1, 2)
    keys = ternary.encode(tiled.reshape(tiles * columns, fetches, p.lut_count, p.mu), p.key_encoding)
    order = np.arange(tiles * columns).reshape(tiles, columns)
    order = np.concatenate([order[:, at : at + p.depth].ravel() for at in range(0, columns, p.depth)])
    weight_beats = np.tile(p.stream("wgt").pack(keys)[order], (groups, 1))
    return {"act": p.stream("act").pack(act_beats), "wgt": weight_beats}


def collect(p: TernaryLutParameters, beats: Beats, task: Gemm) -> Arrays:
    """Unpack the beats of the output stream into results of shape (m, n)."""
    groups, _, columns = p.loops(task)
    values = p.stream("out").unpack(beats["out"])
    values = values.reshape(groups, columns, p.token_lanes, p.fetch_count)
    rows = values.transpose(0, 2, 1, 3).reshape(groups * p.token_lanes, columns * p.fetch_count)
    return {"out": rows[: task.m, : task.n]}
