"""Golden model of streaming attention, and the packing of operands and results into beats."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic.pruning import encode, surrogate
from blueprint.arithmetic.softmax.arithmetic import Scales
from blueprint.arithmetic.softmax.attention import trace
from blueprint.arithmetic.softmax.steps import value_saturates
from blueprint.families.streaming_attention import masks, order
from blueprint.families.streaming_attention.parameters import StreamingAttentionParameters
from blueprint.family import Arrays, Beats
from blueprint.numbers import ceil_div
from blueprint.workloads.tasks import Attention

Integers = npt.NDArray[np.int64]


def reference(p: StreamingAttentionParameters, operands: Arrays) -> Arrays:
    """``out`` (heads, queries, dim): attention in the arithmetic of :mod:`blueprint.arithmetic.softmax`.

    Where keys are pruned also ``pick`` (heads, keys scored): their numbers.
    """
    found = {"pick": picks(p, operands)} if p.prunes else {}
    return {"out": results(p, operands)["out"]} | found


def constants(p: StreamingAttentionParameters) -> dict[str, Any]:
    """Constants of the arithmetic that the family's page names, for the manifest."""
    return p.softmax.constants()


def flags(p: StreamingAttentionParameters, operands: Arrays) -> dict[str, int]:
    """The status bit ``saturated``: 1 where a run leaves the range of the arithmetic anywhere."""
    return {"saturated": int(results(p, operands)["saturated"].any() or _large_values(p, operands))}


def _large_values(p: StreamingAttentionParameters, operands: Arrays) -> bool:
    """True if any value that is read is too large, whichever query sees it."""
    mask, value = operands["mask"], operands["value"]
    taken = np.concatenate(order.keys_of_rows(p, mask, operands["query"].shape[1], value.shape[1]))
    return bool(value_saturates(p.softmax, value[:, taken]).any())


def results(p: StreamingAttentionParameters, operands: Arrays) -> dict[str, Integers]:
    """``out`` (heads, queries, dim) and ``saturated`` (heads, queries) of ``softmax.attention.trace``."""
    query, key, value = operands["query"], operands["key"], operands["value"]
    heads, queries, dim = query.shape
    share = heads // len(key)
    orders = picks(p, operands) if p.prunes else _orders(operands)
    out = np.zeros((heads, queries, dim), dtype=np.int64)
    saturated = np.zeros((heads, queries), dtype=np.int64)
    for number in range(len(key)):
        mine = slice(number * share, (number + 1) * share)
        rows = query[mine].reshape(share * queries, dim)
        mine_of = slice(number * share * queries, (number + 1) * share * queries)
        registers = Scales.from_row(operands["scale"][number])
        found = trace(p.softmax, registers, rows, key[number], value[number], orders[mine_of])
        out[mine] = found["out"].reshape(share, queries, dim)
        saturated[mine] = found["saturated"].reshape(share, queries)
    return {"out": out, "saturated": saturated}


def _orders(operands: Arrays) -> Integers:
    """Keys visible to every query of every head, (heads * queries, keys), ascending, padded with -1."""
    heads, queries, _ = operands["query"].shape
    keys = operands["key"].shape[1]
    visible = masks.seen(operands["mask"], queries, keys)
    found = np.where(visible, np.arange(keys)[None], -1)
    # Keys that are not seen leave no gaps: the seen ones move to the front in the same order, and -1 fills the end.
    found = np.take_along_axis(found, np.argsort(~visible, axis=1, kind="stable"), axis=1)
    return np.tile(found, (heads, 1))


def picks(p: StreamingAttentionParameters, operands: Arrays) -> Integers:
    """Keys selected for the single query of every head, (heads, keys scored), ascending."""
    query, key = operands["query"], operands["key"]
    count = min(p.candidates, key.shape[1])
    share = len(query) // len(key)
    found = []
    for head, rows in enumerate(query):
        scores = surrogate(encode(rows), encode(key[head // share]))
        found.append(np.flatnonzero(p.pruning.select(scores, count)[0]))
    return np.array(found, dtype=np.int64)


# Beats -----------------------------------------------------------------------------------------------------------


def stimulus(p: StreamingAttentionParameters, operands: Arrays) -> Beats:
    """The beats of every input stream, by pass, row and key.

    With a mask, rows start with the last queries; keys are in ascending order.
    """
    query, key, mask = operands["query"], operands["key"], operands["mask"]
    share, queries = len(query) // len(key), query.shape[1]
    rows = order.queries_of_rows(p, bool(mask[0]), queries)
    every = np.concatenate(order.keys_of_rows(p, mask, queries, key.shape[1]))
    chosen = picks(p, operands) if p.prunes else None
    values: dict[str, list[Integers]] = {s.name: [] for s in p.streams() if s.direction == "in"}
    for number in range(len(key)):
        for first in range(number * share, (number + 1) * share, p.head_group):
            heads = query[first : min(first + p.head_group, (number + 1) * share)]
            taken = every if chosen is None else chosen[first]
            values["scale"].append(operands["scale"][number][None])
            values["query"].append(_query_rows(p, heads, rows))
            if "code" in values:
                values["code"].append(encode(key[number]))
            for name in ("key", "value"):
                values[name].append(operands[name][number][taken])
    joined = {name: np.concatenate(found) for name, found in values.items()}
    registers = dict(zip(Scales.names(), joined.pop("scale").T, strict=True))
    packed = {name: p.stream(name).pack(found) for name, found in joined.items()}
    return {"scale": p.stream("scale").pack_fields(registers), **packed}


def _query_rows(p: StreamingAttentionParameters, heads: Integers, rows: list[Integers]) -> Integers:
    """The query beats of a pass, (rows, parallel, head_group, dim); ``heads`` (at most head_group, queries, dim).

    Lanes without a head or a query repeat one, so that they saturate no more than it does.
    """
    full = np.pad(heads, ((0, p.head_group - len(heads)), (0, 0), (0, 0)), mode="edge")
    filled = (np.where(row < 0, row.max(), row) for row in rows)
    return np.stack([full[:, row].transpose(1, 0, 2) for row in filled])


def collect(p: StreamingAttentionParameters, beats: Beats, task: Attention) -> Arrays:
    """Unpack the beats of the output streams into the shapes of :func:`reference`."""
    found = {"out": _collected(p, p.stream("out").unpack(beats["out"]), task)}
    if p.prunes:
        found["pick"] = p.stream("pick").unpack(beats["pick"]).reshape(task.heads, -1)
    return found


def _collected(p: StreamingAttentionParameters, rows: Integers, task: Attention) -> Integers:
    """The results, (heads, queries, dim), out of rows in the order of issue."""
    share = task.heads // task.kv_heads
    turns = ceil_div(share, p.head_group)
    masked = task.mask != "none" or p.mask != "none"
    issued = order.queries_of_rows(p, masked, task.queries)
    found = rows.reshape(task.kv_heads, turns, len(issued), p.parallel, p.head_group, p.dim)
    out = np.zeros((task.kv_heads, turns * p.head_group, task.queries, p.dim), dtype=np.int64)
    for number, row in enumerate(issued):
        there = row >= 0
        taken = found[:, :, number, there].transpose(0, 1, 3, 2, 4)
        out[:, :, row[there]] = taken.reshape(task.kv_heads, turns * p.head_group, -1, p.dim)
    return out[:, :share].reshape(task.heads, task.queries, p.dim)
