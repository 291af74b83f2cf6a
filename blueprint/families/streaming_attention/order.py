"""The loops of a run: passes over rows over keys, which of them a mask leaves, and the order in which they are issued.

A *pass* is one sweep over all queries: a key head with ``head_group`` of its query heads. A *row* is ``parallel``
queries that share one sweep over the keys. Where there is a mask, the rows with the last queries come first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from blueprint.families.streaming_attention.parameters import StreamingAttentionParameters
from blueprint.numbers import Number, ceil_div, choose, larger, smaller
from blueprint.workloads.tasks import Attention

Integers = npt.NDArray[np.int64]


# How many ---------------------------------------------------------------------------------------------------------


def passes(p: StreamingAttentionParameters, task: Attention) -> Number:
    """Passes of a run: one per key head and ``head_group`` of its query heads."""
    return task.kv_heads * ceil_div(task.heads // task.kv_heads, p.head_group)


def row_count(p: StreamingAttentionParameters, task: Attention) -> Number:
    """Rows of one pass: groups of ``parallel`` queries."""
    return ceil_div(task.queries, p.parallel)


def longest(p: StreamingAttentionParameters, task: Attention) -> Number:
    """Keys of the longest row: for a window, those of all ``parallel`` queries of a row together."""
    if task.mask == "none":
        return choose(p.prunes, smaller(p.candidates, task.keys), task.keys)
    if task.mask == "causal":
        return task.keys
    return smaller(task.keys, p.parallel - 1 + task.window + task.sinks)


def row_lengths(p: StreamingAttentionParameters, task: Attention) -> list[int]:
    """Keys of each row of one pass in issue order; with a mask the last queries come first."""
    count, most = row_count(p, task), longest(p, task)
    if task.mask == "none":
        return [most] * count
    return [min(task.keys - row * p.parallel, most) for row in range(count)]


def pass_length(p: StreamingAttentionParameters, task: Attention) -> Number:
    """Keys of all rows of one pass together, the sum of :func:`row_lengths`."""
    rows, most = row_count(p, task), longest(p, task)
    if task.mask == "none":
        return rows * most
    full = larger(0, smaller(rows, (task.keys - most) // p.parallel + 1))
    triangle = p.parallel * (rows * (rows - 1) - full * (full - 1)) // 2
    return full * most + (rows - full) * task.keys - triangle


# Which ones -------------------------------------------------------------------------------------------------------


def queries_of_rows(p: StreamingAttentionParameters, masked: bool, queries: int) -> list[Integers]:
    """The queries of every row in the order of issue, -1 where a lane has none."""
    count = ceil_div(queries, p.parallel)
    lane = np.arange(p.parallel)
    if not masked:
        found = [row * p.parallel + lane for row in range(count)]
        return [np.where(row < queries, row, -1) for row in found]
    top = queries - p.parallel
    found = [top - row * p.parallel + lane for row in range(count)]
    return [np.maximum(row, -1) for row in found]


def keys_of_rows(p: StreamingAttentionParameters, mask: Integers, queries: int, keys: int) -> list[Integers]:
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
