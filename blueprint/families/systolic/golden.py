"""Golden model of an array, and the packing of operands and results into beats.

Float sums: the products of an element (one per lane) are added pairwise, neighbors first, an odd one waiting for the
next level. Where sums stay, beats are added one after the other to a sum that starts at +0. Where weights stay, the
rows of a tile are added first to last, starting with the first row's products, then tiles one after the other to a
sum that starts at +0. A reduction that always fits one beat or tile starts at no sum, unless a single selected
activation would be all of it. Missing activations and weights are +0 and take part.

Ternary weights: a lane's product is its activation in the format of sums (every one is a number there), the same with
its sign flipped, or +0, which takes part in the sums as any other number: -0 + +0 is +0. A weight of zero keeps an
infinity or NaN out of the sum.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import FloatFormat
from blueprint.arithmetic.processing.golden import partial
from blueprint.arithmetic.sparsity import Pattern, encode
from blueprint.families.systolic.parameters import SystolicParameters
from blueprint.family import Arrays, Beats, no_constants, no_flags
from blueprint.product import exact_product, pad
from blueprint.workloads.tasks import Gemm

Integers = npt.NDArray[np.int64]


def reference(p: SystolicParameters, operands: Arrays) -> Arrays:
    """``out = act @ wgt``, shape (m, n), in the order of additions above; float results as patterns."""
    return {"out": _product(p, operands["act"], operands["wgt"])}


flags, constants = no_flags, no_constants


def _product(p: SystolicParameters, act: Integers, wgt: Integers) -> Integers:
    """``act @ wgt`` in the arithmetic of ``p``."""
    if p.floats:
        return _floats(p, floating.get(p.sum_format), act, wgt)
    return exact_product(act, wgt, p.result_width)


def _floats(p: SystolicParameters, fmt: FloatFormat, act: Integers, wgt: Integers) -> Integers:
    """Beat by beat, or tile by tile and in it row by row."""
    beats = -(-act.shape[1] // p.beat_k)
    rows = p.rows if p.stationary else 1
    acts = pad(act, len(act), beats * p.beat_k).reshape(len(act), beats * rows, -1)
    values, places = _travelling(p, wgt, beats * p.beat_k)
    lanes = values.reshape(beats * rows, p.dot_length, -1), places.reshape(beats * rows, p.dot_length, -1)
    total = np.zeros((len(act), wgt.shape[1]), dtype=np.int64)
    for beat in range(beats):
        found = _dot(p, acts[:, beat * rows], lanes[0][beat * rows], lanes[1][beat * rows])
        for row in range(beat * rows + 1, (beat + 1) * rows):
            found = floating.add(fmt, found, _dot(p, acts[:, row], lanes[0][row], lanes[1][row]))
        total = floating.add(fmt, total, found) if p.accumulates else found
    return total


def _dot(p: SystolicParameters, act: Integers, values: Integers, places: Integers) -> Integers:
    """Sum of an element's products: ``act`` (m, lanes), weights and their places (dot_length, n)."""
    first = (np.arange(p.dot_length) // p.kept * p.group)[:, None]
    chosen = act[:, first + places].transpose(0, 2, 1)
    return partial(p.element, np.broadcast_to(values.T, chosen.shape), chosen)


def _travelling(p: SystolicParameters, wgt: Integers, rows: int) -> tuple[Integers, Integers]:
    """(weights, places) of what travels of a matrix padded to so many rows."""
    padded = pad(wgt, rows, wgt.shape[1])
    if not p.sparse:
        return padded, np.zeros_like(padded)
    return encode(padded, Pattern(p.kept, p.group))


def stimulus(p: SystolicParameters, operands: Arrays) -> Beats:
    """The beats of both input streams; missing tokens, activations and weights of ragged edges are zeros.

    Raises ``ParamError`` for weights that are not as sparse as the array takes them.
    """
    act, wgt = operands["act"], operands["wgt"]
    whole = p.takes_integers(wgt)
    groups, columns, beats, _ = p.loops(Gemm(m=act.shape[0], k=act.shape[1], n=wgt.shape[1]), whole=whole)
    streams = {stream.name: stream for stream in p.streams()}
    if p.flexible:
        act, sent = _words(p, act, wgt, whole, beats, columns)
    else:
        wide = pad(wgt, beats * p.beat_k, columns * p.span)
        values, places = _travelling(p, wide, beats * p.beat_k)
        sent = streams["wgt"].field.join(value=values, index=places) if p.sparse else values
    steps = beats * (p.rows if p.stationary else 1)
    # (step of the reduction, lane, column group, sum, column) to (column group, step, sum, column, lane)
    tiled = sent.reshape(steps, p.dot_length, columns, p.sums, p.cols).transpose(2, 0, 3, 4, 1)
    weights = streams["wgt"].pack(tiled.reshape(columns * steps * p.sums, p.cols, p.dot_length))
    activations = streams["act"].pack(_act_beats(p, act, groups, columns, beats))
    return {"act": activations, "wgt": np.tile(weights, (groups, 1))}


def _words(
    p: SystolicParameters, act: Integers, wgt: Integers, whole: bool, beats: int, columns: int
) -> tuple[Integers, Integers]:
    """(activations, weight words) of a flexible element: as many ternary weights as fit a word, or one integer.

    The bit above a word says which. An integer's activation is the first of its beat.
    """
    digits, field = p.element_digits, p.streams()[1].field
    ternary = np.array(int(not whole))
    if whole:
        spread = np.zeros((len(act), beats, digits), np.int64)
        spread[:, :, 0] = act
        integers = pad(wgt, beats, columns * p.cols)
        return spread.reshape(len(act), -1), field.join(integer=integers, ternary=ternary)
    pairs = pad(wgt, beats * digits, columns * p.cols).reshape(beats, digits, -1).swapaxes(1, 2)
    return act, field.join(digits=pairs, ternary=ternary)


def _act_beats(p: SystolicParameters, act: Integers, groups: int, columns: int, beats: int) -> Integers:
    """Activations by token group, column group and beat; where weights stay, tokens come last of these."""
    lanes = p.act_lanes
    if p.stationary:
        tokens = min(p.most_tokens, len(act))
        padded = pad(act, groups * tokens, beats * p.beat_k)
        turned = padded.reshape(groups, tokens, beats, p.rows, lanes).transpose(0, 2, 1, 3, 4)
        order = turned.reshape(groups, 1, beats * tokens, p.rows, lanes)
    else:
        padded = pad(act, groups * p.rows, beats * lanes)
        turned = padded.reshape(groups, p.rows, beats, lanes).transpose(0, 2, 1, 3)
        order = turned.reshape(groups, 1, beats, p.rows, lanes)
    return np.repeat(order, columns, axis=1).reshape(-1, p.rows, lanes)


def collect(p: SystolicParameters, beats: Beats, task: Gemm) -> Arrays:
    """Unpack the beats of the output stream into results of shape (m, n)."""
    groups, columns, _, tokens = p.loops(task)
    given = tokens if p.stationary else p.rows
    values = p.streams()[2].unpack(beats["out"]).reshape(groups, columns, p.sums, given, p.cols)
    rows = values.transpose(0, 3, 1, 2, 4).reshape(groups * given, columns * p.span)
    return {"out": rows[: task.m, : task.n]}
