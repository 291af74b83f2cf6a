"""Golden model of a vector unit, and the packing of operands and results into beats.

Everything but sums is rounded to the format inside; subnormal numbers are zeros. The sum of a row, of squares or of
products with the gains, is FP32: over the lanes of a beat by neighbors, then beat by beat. With registers inside the
adders a row has several sums that take its beats in turn and are added one after the other at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic import floating, gumbel, roots, sigmoid
from blueprint.arithmetic.floating import FP32
from blueprint.arithmetic.quantization import LEAST_ABSMAX, LEVELS
from blueprint.families.vector.parameters import (
    DRAWN_MOST,
    INTEGER_WIDTH,
    ONE,
    SUM_WIDTH,
    VectorParameters,
    fp32,
)
from blueprint.family import Arrays, Beats, no_flags
from blueprint.numbers import ceil_div
from blueprint.workloads.tasks import Rowwise

Integers = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]


def reference(p: VectorParameters, operands: Arrays) -> Arrays:
    """``out`` and ``quantized`` of shape (rows, length), ``scale`` of shape (rows,), as patterns.

    Where the design takes dot products also ``dot`` of shape (rows,), and ``index``, one number.
    """
    done = applied(p, operands)
    rows = chained(p, operands, done)
    weighed, added = rows, floating.multiply(p.inside, rows, rows, True)
    if "norm" in done or "dot" in done:
        gain = floating.convert(p.outside, p.inside, operands["gain"], True)
        product = floating.multiply(p.inside, rows, gain, True)
        weighed, added = (rows, product) if "dot" in done else (product, added)
    largest = (weighed & ~p.inside.sign_mask).max(axis=1)
    sums = _summed(p, added)
    factor, scale = factors(p, sums & ~FP32.sign_mask, largest, rows.shape[1], done)
    found = floating.multiply(p.inside, weighed, factor[:, None], True)
    results = {
        "out": floating.convert(p.inside, p.outside, found, True),
        "quantized": floating.to_integer(p.inside, found, INTEGER_WIDTH, True),
        "scale": _widened(p, scale),
    }
    return results | ({"dot": sums, "index": chosen(p, operands, sums)} if p.dots else {})


def chosen(p: VectorParameters, operands: Arrays, sums: Integers) -> Integers:
    """The number of the row with the largest score: of all rows, or of a few with the largest sums."""
    found, few = scores(p, operands, sums), int(operands["top_k"][0]) - 1 if p.top_k else 0
    if not few:
        return largest_of(found)
    among = np.sort(np.argsort(-ordered(sums), kind="stable")[:few])
    return np.asarray(among[largest_of(found[among])], np.int64)


def scores(p: VectorParameters, operands: Arrays, sums: Integers) -> Integers:
    """The numbers whose largest decides the chosen row: sums, or where a row is drawn their multiples with noise."""
    if not p.samples:
        return sums
    inverse, seed, position = (int(operands[name][0]) for name in DRAWN_MOST)
    if inverse < FP32.min_normal:
        return sums
    words = gumbel.random_words(gumbel.key(seed - 1, position - 1), np.arange(len(sums)))
    score = floating.multiply(FP32, sums, np.asarray(inverse, np.int64), True)
    return floating.add(FP32, score, gumbel.floats(gumbel.noise(words)), True)


def largest_of(sums: Integers) -> Integers:
    """The first of the largest FP32 numbers."""
    return np.asarray(ordered(sums).argmax(), np.int64)


def ordered(sums: Integers) -> Integers:
    """Integers in the order of FP32 numbers; NaN, which sums give with a positive sign, is larger than infinity."""
    return np.where(sums & FP32.sign_mask, -1 - (sums & ~FP32.sign_mask), sums)


def applied(p: VectorParameters, operands: Arrays) -> tuple[str, ...]:
    """The names of the operations of a run."""
    bits = int(operands["operation"][0]) - 1
    return tuple(name for place, name in enumerate(p.operations) if bits >> place & 1)


def chained(p: VectorParameters, operands: Arrays, done: tuple[str, ...]) -> Integers:
    """Rows in front of the norm: dequantized, gated, added, rotated."""
    fmt = p.inside
    if "dequantize" in done:
        weight, row = (
            floating.convert(FP32, fmt, operands[f"{name}_scale"], True) for name in ("weight", "row")
        )
        scale = floating.multiply(fmt, weight, row, True)
        rows = floating.from_integer(fmt, operands["x"], SUM_WIDTH)
        rows = floating.multiply(fmt, rows, scale[:, None], True)
    else:
        rows = floating.convert(p.outside, fmt, _patterns(p, operands["x"]), True)
    if takes_operand(done):
        operand = floating.convert(p.outside, fmt, operands["operand"], True)
    if "gate" in done:
        rows = floating.multiply(fmt, activated(p, rows), operand, True)
    if "add" in done:
        rows = floating.add(fmt, rows, operand, True)
    return rotated(p, rows, operand) if "rotate" in done else rows


def activated(p: VectorParameters, rows: Integers) -> Integers:
    """The gate function applied to rows."""
    if p.activation == "silu":
        return sigmoid.silu(p.inside, rows)
    positive = np.where(rows & p.inside.sign_mask, 0, rows)
    return floating.multiply(p.inside, positive, positive, True)


def takes_operand(done: tuple[str, ...]) -> bool:
    """True if a run takes a second operand."""
    return any(name in done for name in ("gate", "add", "rotate"))


def rotated(p: VectorParameters, rows: Integers, operand: Integers) -> Integers:
    """Pairs of neighbors ``(e, o)`` as ``(e c - o s, o c + e s)``; ``(c, s)`` stands in their places of the operand."""
    fmt, behind = p.inside, ((0, 0), (0, rows.shape[1] % 2))
    (even, odd), (cosine, sine) = (
        (padded[:, 0::2], padded[:, 1::2]) for padded in (np.pad(rows, behind), np.pad(operand, behind))
    )
    straight, across = (
        [floating.multiply(fmt, element, by, True) for element in (even, odd)] for by in (cosine, sine)
    )
    first = floating.subtract(fmt, straight[0], across[1], True)
    second = floating.add(fmt, straight[1], across[0], True)
    return np.stack([first, second], axis=2).reshape(len(rows), -1)[:, : rows.shape[1]]


def _patterns(p: VectorParameters, values: Integers) -> Integers:
    """The low bits of the inputs, which hold the float."""
    return values & ((1 << p.outside.width) - 1)


def _widened(p: VectorParameters, values: Integers) -> Integers:
    """FP32 patterns of numbers inside: the same exponents, more fraction."""
    return values << (FP32.fraction_bits - p.inside.fraction_bits)


def _summed(p: VectorParameters, values: Integers) -> Integers:
    """FP32 sum of every row: the lanes of a beat by neighbors, then beat by beat."""
    rows, length = values.shape
    beats = ceil_div(length, p.lanes)
    padded = np.pad(_widened(p, values), ((0, 0), (0, beats * p.lanes - length)))
    words = list(np.moveaxis(padded.reshape(rows, beats, p.lanes), 2, 0))
    while len(words) > 1:
        pairs = zip(words[::2], words[1::2], strict=False)
        words = [floating.add(FP32, one, other, True) for one, other in pairs] + words[len(words) & ~1 :]
    behind = np.pad(words[0], ((0, 0), (0, -beats % p.parts)))
    sums = floating.running_sum(np.moveaxis(behind.reshape(rows, -1, p.parts), 2, 1))
    total = sums[:, 0]
    for part in range(1, p.parts):
        total = floating.add(FP32, total, sums[:, part], True)
    return total


def factors(
    p: VectorParameters, sums: Integers, largest: Integers, length: int, done: tuple[str, ...]
) -> tuple[Integers, Integers]:
    """Factor and scale of every row, from its sum of squares and its largest magnitude.

    ``1 / sqrt(sum / n + epsilon)`` is ``sqrt(n / (sum + n epsilon))``. All elements of a row have this factor, so it
    cancels out of the quantized elements and appears in the scale only.
    """
    count = floating.from_integer(FP32, np.asarray(length, np.int64), SUM_WIDTH)
    shift = floating.multiply(FP32, count, np.asarray(fp32(float(p.epsilon)), np.int64), True)
    norm = roots.inverse_root(p.inside, FP32, count, floating.add(FP32, sums, shift, True))
    largest = np.maximum(largest, p.number(LEAST_ABSMAX))
    inverse = roots.quotient(p.inside, p.number(LEVELS), largest)
    one = np.full_like(norm, p.number(ONE))
    if "norm" not in done:
        norm = one
    scaled = floating.multiply(p.inside, largest, norm, True)
    scale = floating.multiply(p.inside, scaled, np.asarray(p.number(1 / LEVELS), np.int64), True)
    return inverse if "quantize" in done else norm, scale


flags = no_flags


def constants(p: VectorParameters) -> dict[str, Any]:
    """Constants of the arithmetic by their names in the family's page, as FP32 patterns or patterns inside."""
    return {
        "fraction_bits": p.fraction,
        "epsilon": fp32(float(p.epsilon)),
        "least": p.number(LEAST_ABSMAX),
        "levels": p.number(LEVELS),
        "step": p.number(1 / LEVELS),
        **({"noise": gumbel.lines(), "noise_octave": gumbel.ln2()} if p.samples else {}),
    }


def stimulus(p: VectorParameters, operands: Arrays) -> Beats:
    """Beats of every stream, ``lanes`` elements of a row each, zero-padded at its end; unused streams have none."""
    done = applied(p, operands)
    rows, length = operands["x"].shape
    fields = {"x": _beats(p, operands["x"])}
    if p.dequantizes:
        each = ceil_div(length, p.lanes)
        fields |= {name: operands[name].repeat(each) for name in ("weight_scale", "row_scale")}
    found = {"x": p.stream("x").pack_fields(fields)}
    if p.takes_operand:
        found["operand"] = _packed(p, "operand", operands["operand"], takes_operand(done))
    gains = np.broadcast_to(operands["gain"], (rows, length))
    return found | {"gain": _packed(p, "gain", gains, "norm" in done or "dot" in done)}


def _packed(p: VectorParameters, name: str, values: Integers, taken: bool) -> Octets:
    """The beats of a stream beside the rows; none where the run does not take it."""
    beats: Octets = p.stream(name).pack(_beats(p, values))
    return beats[: len(beats) * taken]


def _beats(p: VectorParameters, values: Integers) -> Integers:
    """Rows as beats, shape (beats, lanes)."""
    behind = -values.shape[1] % p.lanes
    return np.pad(values, ((0, 0), (0, behind))).reshape(-1, p.lanes)


def collect(p: VectorParameters, beats: Beats, task: Rowwise) -> Arrays:
    """Results, shape (rows, length), and scale and dot product of every row, shape (rows,); ``index`` of the run."""
    found = p.stream("out").unpack_fields(beats["out"])
    rows = {name: found[name].reshape(task.rows, -1)[:, : task.length] for name in ("out", "quantized")}
    each = {name: found[name].reshape(task.rows, -1)[:, 0] for name in ("scale", "dot") if name in found}
    return rows | each | ({"index": found["index"][-1]} if p.dots else {})
