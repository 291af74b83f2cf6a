"""The size registers of an attention core, the rules between them, and what a task writes into them."""

from __future__ import annotations

from blueprint.families.streaming_attention import order
from blueprint.families.streaming_attention.parameters import StreamingAttentionParameters
from blueprint.numbers import bit_length, choose, flag, larger
from blueprint.shell import Bound, RegisterFile, Size, SizeRule
from blueprint.workloads.tasks import Attention

#: What each stall counter counts.
_WAITS = {
    "input": "cycles without a query to score",
    "memory": "cycles without a key",
    "output": "cycles held up by what follows the score",
}
#: Words of the register map for sizes. There are six kinds, but no design has both candidates and a window.
_SIZE_WORDS = 5


def _sizes(p: StreamingAttentionParameters) -> tuple[Size, ...]:
    """The size registers that designs of the family may have."""
    number = bit_length(p.keys_max)
    # Under a mask only the index of the last key is read, which has the bits of the largest size less one.
    last = choose(p.masked * (1 - p.prunes), p.key_width, number)
    passes = p.repeats * bit_length(p.heads_max)
    # A register of one bit would always be 1: synthesis would find that some lanes never have a query, and remove them.
    queries = (p.regroups | p.corners) * larger(bit_length(p.queries_max), 2)
    best = bit_length(p.candidates)
    return (
        Size("passes", p.heads_max, passes, "key heads times groups of query heads of the next run"),
        Size("queries", p.queries_max, queries, "queries of the next run"),
        Size("keys", p.keys_max, last, "keys of the next run"),
        Size(
            "candidates",
            p.candidates,
            best,
            "best keys that the next run is scored against",
            p.prunes,
        ),
        Size("window", p.keys_max, number, "latest keys that a query sees in the next run", p.windowed),
        Size("sinks", p.keys_max, number, "first keys that every query sees in the next run", p.has_sinks),
    )


def _rules(p: StreamingAttentionParameters) -> tuple[SizeRule, ...]:
    """Rules: a masked query has a key, candidates are keys, and a row fits into the FIFO that holds it."""
    whole, depth = Bound(("keys",), offset=p.long_depth), p.long_depth
    # What the other queries of a row leave of the FIFO for the latest keys and the first ones of one.
    near = depth - p.parallel + 1
    shallow = (1 - p.softmax.rescales) & flag((depth > 0) & (depth < p.row_max))
    plain = (1 - p.windowed) & (1 - p.prunes)
    rows = (
        ((whole,), plain),
        ((Bound(("candidates",), offset=depth),), p.prunes),
        ((whole, Bound(("window",), offset=near)), p.windowed & (1 - p.has_sinks)),
        ((whole, Bound(("window", "sinks"), offset=near)), p.has_sinks),
    )
    return (
        SizeRule((Bound(("queries",), ("keys",)),), p.masked & flag(p.queries_max > 1)),
        SizeRule((Bound(("candidates",), ("keys",)),), p.prunes),
        *(SizeRule(bounds, shallow & there, depth="long_depth") for bounds, there in rows),
    )


def register_file(p: StreamingAttentionParameters) -> RegisterFile:
    """The sizes of a run, the rules between them, and a status flag for values out of range."""
    return RegisterFile(_sizes(p), _WAITS, _rules(p), flags=("saturated",), words=_SIZE_WORDS)


def register_values(p: StreamingAttentionParameters, task: Attention) -> dict[str, int]:
    """Values of the size registers of a run; unused mask parameters get neutral values."""
    found = {
        "passes": order.passes(p, task),
        "queries": task.queries,
        "keys": task.keys,
        "candidates": min(p.candidates, task.keys),
        "window": min(task.window or p.keys_max, p.keys_max),
        "sinks": min(task.sinks or 1, p.keys_max),
    }
    return {size.name: found[size.name] for size in p.sizes}
