"""What a popcount core computes, to the bit, and how it travels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.families.binary_popcount.parameters import BinaryPopcountParameters
from blueprint.family import Arrays, Beats
from blueprint.workloads.tasks import Gemm

Integers = npt.NDArray[np.int64]


def reference(p: BinaryPopcountParameters, operands: Arrays) -> Arrays:
    """``out`` of shape (m, n): matches of a row of ``act`` with a column of ``wgt``, or whether they reach ``thr``."""
    act, wgt = operands["act"], operands["wgt"]
    matches = act @ wgt + (1 - act) @ (1 - wgt)
    return {"out": (matches >= operands["thr"]).astype(np.int64) if p.compares else matches}


def flags(p: BinaryPopcountParameters, operands: Arrays) -> dict[str, int]:
    """None beside those of every design."""
    return {}


def constants(p: BinaryPopcountParameters) -> dict[str, Any]:
    """None."""
    return {}


def stimulus(p: BinaryPopcountParameters, operands: Arrays) -> Beats:
    """A beat of activations and one of weights by token, column group and tile.

    Behind a ragged edge activations are 0 and weights 1, which is no match.
    """
    act, wgt = operands["act"], operands["wgt"]
    tokens, groups, tiles = p.loops(Gemm(m=act.shape[0], k=act.shape[1], n=wgt.shape[1]))
    rows, columns = tiles * p.lanes, groups * p.cols
    tiled = _padded(act, (tokens, rows), 0).reshape(tokens, 1, tiles, p.lanes)
    taps = _padded(wgt, (rows, columns), 1).reshape(tiles, p.lanes, groups, p.cols).transpose(2, 0, 3, 1)
    fields = {"weight": np.tile(taps.reshape(groups * tiles, p.cols, p.lanes), (tokens, 1, 1))}
    if p.compares:
        thresholds = _padded(operands["thr"], (columns,), 0).reshape(groups, p.cols)
        fields["threshold"] = np.tile(thresholds.repeat(tiles, axis=0), (tokens, 1))
    beats = tiled.repeat(groups, axis=1).reshape(tokens * groups * tiles, p.lanes)
    return {"act": p.stream("act").pack(beats), "wgt": p.stream("wgt").pack_fields(fields)}


def collect(p: BinaryPopcountParameters, beats: Beats, task: Gemm) -> Arrays:
    """The results, shape (m, n), out of the beats of the output stream."""
    rows = p.stream("out").unpack(beats["out"]).reshape(task.m, -1)
    return {"out": rows[:, : task.n]}


def _padded(array: Integers, shape: tuple[int, ...], value: int) -> Integers:
    behind = [(0, size - have) for size, have in zip(shape, array.shape, strict=True)]
    return np.pad(array, behind, constant_values=value)
