"""The loops of a run: passes over rows over keys, which of them a mask leaves, and the order in which they are issued.

A *pass* is one sweep over all queries: a key head with ``group`` of its query heads. A *row* is ``parallel`` queries
that share one sweep over the keys. Where there is a mask, the rows with the last queries come first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.families.streaming_attention.parameters import Parameters
from blueprint.numbers import Number, ceil_div, choose, larger, smaller
from blueprint.workloads.workload import Attention

Integers = npt.NDArray[np.int64]

#: Masks that a design of each mask can also run; with a single query, none is a causal mask too.
CONTAINS: dict[str, tuple[str, ...]] = {
    "none": (),
    "causal": (),
    "window": ("causal",),
    "lambda": ("causal",),
}


# Which masks ------------------------------------------------------------------------------------------------------


def masks_of(p: Parameters) -> str:
    """The masks that a design runs, in words."""
    found = (p.mask, *CONTAINS[p.mask])
    return " or ".join(found) if p.mask == "none" else f"{' or '.join(found)}, or none with one query"


def masks_for(workload: Attention) -> tuple[str, ...]:
    """The masks of designs whose sequencing covers that of a run."""
    if workload.mask == "lambda" and workload.sinks == 0:
        return ()
    # The one query of a decode step sees everything, masked or not.
    everything = workload.queries == 1 and workload.mask in ("none", "causal")
    return tuple(
        mask
        for mask, contained in CONTAINS.items()
        if everything or workload.mask == mask or workload.mask in contained
    )


# How many ---------------------------------------------------------------------------------------------------------


def passes(p: Parameters, workload: Any) -> Number:
    """Passes of a run: one per key head and ``group`` of its query heads."""
    return workload.kv_heads * ceil_div(workload.heads // workload.kv_heads, p.group)


def row_count(p: Parameters, workload: Any) -> Number:
    """Rows of one pass: groups of ``parallel`` queries."""
    return ceil_div(workload.queries, p.parallel)


def longest(p: Parameters, workload: Any) -> Number:
    """Keys of the longest row: for a window, those of all ``parallel`` queries of a row together."""
    if workload.mask == "none":
        return choose(p.prunes, smaller(p.candidates, workload.keys), workload.keys + 0 * p.parallel)
    if workload.mask in ("none", "causal"):
        return workload.keys + 0 * p.parallel
    return smaller(workload.keys, p.parallel - 1 + workload.window + workload.sinks)


def row_lengths(p: Parameters, workload: Any) -> list[int]:
    """Keys that each row of one pass takes, in the order of issue: the last queries first where there is a mask."""
    count, most = int(row_count(p, workload)), int(longest(p, workload))
    if workload.mask == "none":
        return [most] * count
    return [min(workload.keys - row * p.parallel, most) for row in range(count)]


def pass_length(p: Parameters, workload: Any) -> Number:
    """Keys of all rows of one pass together, the sum of :func:`row_lengths`."""
    rows, most = row_count(p, workload), longest(p, workload)
    if workload.mask == "none":
        return rows * most
    full = larger(0 * rows, smaller(rows, (workload.keys - most) // p.parallel + 1))
    triangle = p.parallel * (rows * (rows - 1) - full * (full - 1)) // 2
    return full * most + (rows - full) * workload.keys - triangle


# Which ones -------------------------------------------------------------------------------------------------------


def seen(mask: Integers, queries: int, keys: int) -> npt.NDArray[np.bool_]:
    """Which query (row) sees which key (column), for the operand ``mask``: (masked, window, sinks)."""
    causal, window, sinks = (int(value) for value in mask)
    if not causal:
        return np.ones((queries, keys), dtype=np.bool_)
    position = np.arange(keys - queries, keys)[:, None]
    key = np.arange(keys)[None]
    near = (key > position - window) if window else np.ones_like(key, dtype=np.bool_)
    return (key <= position) & (near | (key < sinks))


def queries_of_rows(p: Parameters, masked: bool, queries: int) -> list[Integers]:
    """The queries of every row in the order of issue, -1 where a lane has none."""
    count = ceil_div(queries, p.parallel)
    lane = np.arange(p.parallel)
    if not masked:
        found = [row * p.parallel + lane for row in range(count)]
        return [np.where(row < queries, row, -1) for row in found]
    top = queries - p.parallel
    found = [top - row * p.parallel + lane for row in range(count)]
    return [np.maximum(row, -1) for row in found]


def keys_of_rows(p: Parameters, mask: Integers, queries: int, keys: int) -> list[Integers]:
    """The keys of every row in the order of issue, for the operand ``mask``: (masked, window, sinks)."""
    masked, window, sinks = (int(value) for value in mask)
    count = ceil_div(queries, p.parallel)
    if not masked:
        return [np.arange(keys)] * count
    found = []
    for row in range(count):
        high = keys - 1 - row * p.parallel
        low = max(high - (p.parallel + window - 2), 0) if window else 0
        first = np.arange(min(sinks, low))
        found.append(np.concatenate((first, np.arange(low, high + 1))))
    return found
