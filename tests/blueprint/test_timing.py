"""Timing graphs, streams and carry-save plans: what they mean and what they refuse."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic import carry_save
from blueprint.port import Stream
from blueprint.record import Field, Record
from blueprint.timing import Access, Channel, Loop, Node, TimingGraph
from blueprint.unit import Unit


def graph(**changes: Any) -> TimingGraph:
    source = Node("source", (Loop("i", 6),), (), (Access("line", "i"),), stream="in")
    nest = (Loop("a", 3), Loop("b", 2))
    sink = Node("sink", nest, (Access("line", "b"),), stream="out", direction="out")
    return dataclasses.replace(TimingGraph((source, sink), (Channel("line", 1),), "sink"), **changes)


def node(**changes: Any) -> tuple[Node, ...]:
    source, sink = graph().nodes
    return dataclasses.replace(source, **changes), sink


REFUSED = [
    ({"channels": (Channel("line", 0),)}, "Channel 'line': capacity must be at least 1, not 0"),
    ({"channels": (Channel("line", 1, 0),)}, "Channel 'line': latency must be at least 1, not 0"),
    ({"channels": (Channel("line", 1, 1, 2),)}, "Channel 'line': response must be 0 or 1, not 2"),
    (
        {"channels": (Channel("line", 1, stall="tea"),)},
        "Channel 'line': stall must be one of output, dependency, input, memory",
    ),
    (
        {"channels": (Channel("line", 1), Channel("x", 1))},
        "Channel 'x' needs one node that produces it, not 0",
    ),
    (
        {"channels": (Channel("line", 1),) * 2},
        "Every channel must have a name of its own, but 'line' stands twice",
    ),
    ({"issue": "sweep"}, "Node must be one of source, sink, not 'sweep'"),
    ({"nodes": node(interval=0)}, "Node 'source': interval must be at least 1, not 0"),
    ({"nodes": node(loops=(Loop("i", 0),))}, "Node 'source': loop 'i' must run at least once, not 0 times"),
    ({"nodes": node(loops=(Loop("i", 5),))}, "Channel 'line': 5 tokens are produced but 6 consumed"),
    (
        {"nodes": node(loops=(Loop("j", 2), Loop("i", counts=(3, 2, 1))))},
        "Node 'source': loop 'i' must have a count for each of its 2 runs, not 3",
    ),
    (
        {"nodes": node(loops=(Loop("j", 2), Loop("i", counts=(3, 0))))},
        "Node 'source': loop 'i' must run at least once, not 0 times",
    ),
    (
        {"nodes": node(loops=(Loop("j", 2), Loop("i", counts=(3, 2))))},
        "Channel 'line': 5 tokens are produced but 6 consumed",
    ),
    (
        {"nodes": node(durations=[1, 2])},
        "Node 'source' must have a duration for each of its 6 firings, not 2",
    ),
    ({"nodes": node(durations=[1, 2, 0, 1, 1, 1])}, "Node 'source': durations must be at least 1, not 0"),
    ({"nodes": node(produces=(Access("line", "j"),))}, "Node 'source': loop must be one of i, not 'j'"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_a_graph_that_means_nothing_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        graph(**changes).check()
    assert str(caught.value) == message


def test_a_sound_graph_is_taken() -> None:
    graph().check()


def test_numbers_of_loops_and_firings_make_graphs_equal_or_not() -> None:
    def uneven(counts: Any, durations: Any) -> TimingGraph:
        return graph(nodes=node(loops=(Loop("j", 2), Loop("i", counts)), durations=durations))

    one, same = uneven((2, 4), [1] * 6), uneven(np.array([2, 4]), np.ones(6, int))
    assert one == same and hash(one) == hash(same) and pickle.loads(pickle.dumps(one)) == one
    assert one not in (uneven((4, 2), [1] * 6), uneven((2, 4), [1] * 5 + [2]), uneven((2, 4), None), graph())
    assert Loop("i", counts=[2, 4]) == Loop("i", (2, 4)) != Loop("i", 2)


def test_counts_and_durations_cannot_be_changed_afterwards() -> None:
    counts = np.array([2, 4])
    loop = Loop("i", counts)
    counts[0] = 9
    assert isinstance(loop.count, np.ndarray) and loop.count.tolist() == [2, 4]
    with pytest.raises(ValueError, match="read-only"):
        loop.count[0] = 9


@pytest.mark.parametrize("counts", [(1.0, 2.0), ((1, 2), (3, 4))])
def test_counts_that_are_no_list_of_integers_are_refused(counts: Any) -> None:
    with pytest.raises(TypeError, match=r"^Counts and durations must be one-dimensional integers, not "):
        Loop("i", counts)


def test_tokens_of_ragged_loops_are_counted_as_they_come() -> None:
    nest = (Loop("row", 3), Loop("key", counts=(1, 2, 3)), Loop("part", 2))
    sweep = Node("sweep", nest)
    assert sweep.firings == 12
    assert sweep.tokens(Access("c", "row")) == 3
    assert sweep.tokens(Access("c", "key")) == 6
    assert sweep.tokens(Access("c", "part", (("key", "last"),))) == 6
    assert sweep.tokens(Access("c", "key", (("row", "last"),))) == 3
    assert sweep.tokens(Access("c", "part", (("row", "first"), ("key", "last")))) == 2
    cells = Node("cells", (*nest[:2], Loop("part", counts=(1, 2, 3, 4, 5, 6))))
    assert (cells.firings, cells.tokens(Access("c", "part", (("key", "last"),)))) == (21, 1 + 3 + 6)


def test_tokens_follow_loops_and_restrictions() -> None:
    sweep = Node("sweep", (Loop("token", 4), Loop("tile", 3), Loop("column", 5)))
    assert sweep.firings == 60
    assert sweep.tokens(Access("c", "tile")) == 12
    assert sweep.tokens(Access("c", "column", (("tile", "last"),))) == 20
    assert sweep.tokens(Access("c", None)) == 1


@pytest.mark.parametrize(
    "width, signed", [(1, False), (3, True), (4, False), (8, True), (13, True), (24, True)]
)
def test_packing_is_little_endian_without_gaps(width: int, signed: bool) -> None:
    stream = Stream("x", "in", Record((Field("v", width, (3, 2), signed),)))
    low = -(1 << width - 1) if signed else 0
    values = np.random.default_rng(width).integers(low, low + (1 << width), (5, 3, 2))
    data = stream.pack(values)
    assert data.shape == (5, stream.width // 8)
    word = sum((int(v) & ((1 << width) - 1)) << (i * width) for i, v in enumerate(values[0].ravel()))
    assert int.from_bytes(data[0].tobytes(), "little") == word
    assert np.array_equal(stream.unpack(data), values)


@pytest.mark.parametrize("rows", [1, 2, 3, 8, 9, 17])
def test_a_plan_reduces_to_two_rows_and_keeps_the_sum(rows: int) -> None:
    """The steps are played with integers."""
    width, limit = 6, 12
    plan = carry_save.plan((width,) * rows, limit, rows)
    random = np.random.default_rng(rows)
    bits = [1] * rows
    values = [int(v) for v in random.integers(0, 1 << width, rows)]
    expected = sum(values)
    for step in plan.steps:
        a, b, c = (values[i] for i in (step.a, step.b, step.c))
        free = bits.pop() if step.carry_in else 0
        expected += free
        low, mid = (1 << step.full) - 1, (1 << step.half) - 1
        total = (a ^ b ^ c) & low | (b ^ c) & mid & ~low | c & ~mid
        carry = (((a & b) | (a & c) | (b & c)) & low | (b & c) & mid & ~low) << 1 | free
        values += [total, carry % (1 << limit)]
    assert len(plan.rows) <= 2
    assert sum(values[i] for i in plan.rows) % (1 << limit) == expected % (1 << limit)
    assert plan.full_adders == sum(step.full for step in plan.steps)


def test_counts_of_many_equal_counts_of_one() -> None:
    rows, width = np.meshgrid([1, 2, 3, 8, 31], [4, 9])
    full, half, depth = carry_save.counts(rows, width, 12)
    for place in np.ndindex(rows.shape):
        one = carry_save.counts(int(rows[place]), int(width[place]), 12)
        assert (full[place], half[place], depth[place]) == one


@pytest.mark.parametrize(
    ("kind", "dims", "message"),
    [
        ("transistor", {}, "Unit kind must be one of register, adder"),
        ("adder", {"entries": 3}, r"A adder is sized by ('width',), not ('entries',)"),
    ],
)
def test_a_unit_outside_the_vocabulary_is_refused(kind: str, dims: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Unit(kind, "here", 1, dims)
    assert str(caught.value).startswith(message)
