"""The tables of a run: one structured NumPy array per kind of thing, one class per kind of row.

Compiled code reads rows (``m.nodes[n].fired``), Python code reads columns (``m.nodes["fired"]``); both are the same
memory. A row class is never instantiated: it names the fields of a dtype, all of them 64-bit integers, and tells the
type checker about them.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple, Protocol, TypeVar, cast, get_type_hints, overload

import numpy as np

from blueprint.timing import STALL_REASONS, Ints

NEVER = 1 << 60

#: Kinds of node: without a stream, with an input stream, with an output stream.
PLAIN, SOURCE, SINK = range(3)
#: In which iteration of a loop an access acquires or releases: any, the first, the last (count - 1), any but these.
ANY, FIRST, FINAL, BUT_FIRST, BUT_FINAL = -1, 0, -2, -3, -4
#: Results of ``advance``.
DONE, DEADLOCK, PAUSED = range(3)
#: Stall reasons by their place in ``STALL_REASONS``.
DEPENDENCY = STALL_REASONS.index("dependency")
REASONS = len(STALL_REASONS)

PerReason = Annotated[Ints, REASONS]


class Clock:
    """State of the run as a whole; its table has one row."""

    now: int
    #: Cycle in which the first beat was accepted; -1 before.
    start: int
    #: Last cycle that is already counted as an issue or as a stall.
    counted: int
    stalls: PerReason
    #: The node whose idle cycles are stalls.
    issue: int
    #: 1 in a graph without input streams, where any firing starts the run.
    starts_anywhere: int
    #: 1 where some node has durations or some loop is ragged.
    uneven: int
    #: 1 if a credit returned to a node that was already looked at in this cycle.
    rescan: int
    fast_forward: int
    #: Detectors waiting in the queue.
    queued: int
    #: Cycles that the fast-forward passed over.
    skipped: int


class Node:
    """A node of the graph. Nodes stand in the order in which a cycle looks at them: consumers before producers."""

    firings: int
    #: Cycles from the last firing to the next one at the earliest.
    interval: int
    kind: int
    #: Number of loop levels.
    depth: int
    #: Its rows in the table of accesses: from the first up to, not including, the end.
    first_access: int
    end_access: int
    #: Stall reason that waiting for the node's stream counts as.
    stall: int
    #: Where the stall pattern of its stream stands in memory, and the length of the pattern (0: always open).
    pattern: int
    pattern_length: int
    #: Where its firing cycles are recorded, and where its durations stand; -1 where there are none.
    record: int
    durations: int
    #: Firings so far, and the cycle of the last one.
    fired: int
    last: int
    #: Accesses that the next firing acquires and releases: bit i is access ``first_access + i``.
    acquires: int
    releases: int


class Level:
    """One level of a node's loop nest."""

    count: int
    #: 1 if the first (last) iteration acquires or releases differently from the others.
    first_differs: int
    last_differs: int
    #: Where the counts of a ragged level stand in memory (else -1), and which of its runs this is.
    counts: int
    run: int
    #: The current iteration.
    index: int


class Access:
    """A node's access to a channel: ``produces`` is 1 for the producer's; ``stall`` is the reason while it waits."""

    channel: int
    produces: int
    stall: int


class Iterations:
    """The iteration of one level in which an access acquires and in which it releases: ANY, FIRST, FINAL or BUT one."""

    acquire: int
    release: int


class Channel:
    """A channel: a ring buffer of slots whose tokens can be received ``latency`` cycles after they were sent."""

    capacity: int
    latency: int
    response: int
    producer: int
    consumer: int
    #: Ring buffer in memory of the cycles in which tokens were sent.
    ring: int
    ring_length: int
    #: Where the ages of its tokens in flight stand in a snapshot.
    flights: int
    #: Tokens so far: slots reserved and tokens sent by the producer, tokens received and slots freed by the consumer.
    reserved: int
    sent: int
    received: int
    freed: int
    #: Cycle from which the producer sees the slot that it reserves next, and from which it sees the one freed last.
    credit_since: int
    last_credit: int
    #: Tokens in flight when the last snapshot was taken.
    in_flight: int


class Detector:
    """Looks for a repetition whenever a certain loop of a certain node goes on to its next iteration."""

    #: Iterations since the last reset, and how many of them bring the next snapshot.
    visits: int
    patience: int
    #: 1 while it has a snapshot to compare with.
    armed: int
    #: 1 while it waits in the queue.
    queued: int
    #: Cycle of the snapshot, and the stalls up to it.
    since: int
    stalls: PerReason


Row = TypeVar("Row")
Row_co = TypeVar("Row_co", covariant=True)


class Table(Protocol[Row_co]):
    """A structured array as compiled code (rows) and Python code (columns) see it."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, at: int | tuple[int, ...]) -> Row_co: ...

    @overload
    def __getitem__(self, at: str) -> Ints: ...

    def __setitem__(self, at: int | tuple[int, ...] | str, value: Any) -> None: ...


def _dtype(row: type[Any]) -> np.dtype[np.void]:
    """The dtype whose fields are those of a row class, in order."""
    fields = get_type_hints(row, include_extras=True)
    return np.dtype([(name, np.int64, getattr(hint, "__metadata__", ())) for name, hint in fields.items()])


_DTYPES: dict[type[Any], np.dtype[np.void]] = {}


def table(row: type[Row], *shape: int) -> Table[Row]:
    """A table of zeros."""
    if row not in _DTYPES:
        _DTYPES[row] = _dtype(row)
    return cast("Table[Row]", np.zeros(shape, dtype=_DTYPES[row]))


def copied(original: Table[Row]) -> Table[Row]:
    """A copy of a table. NumPy copies integers fast, and structured arrays field by field."""
    rows: Any = original
    return cast("Table[Row]", rows.view(np.int64).copy().view(rows.dtype))


class Machine(NamedTuple):
    """A run: its graph and how far it is.

    Compiled functions share it without counting references (see :mod:`simulator.engine.compiled`).
    """

    clock: Table[Clock]
    nodes: Table[Node]
    #: [node, level]
    levels: Table[Level]
    accesses: Table[Access]
    #: [access, level]
    iterations: Table[Iterations]
    channels: Table[Channel]
    #: Rings of channels, recorded firings, stall patterns, durations, counts of ragged loops.
    memory: Ints
    #: [node * levels + level]
    detectors: Table[Detector]
    #: Detectors that a loop woke in this cycle.
    queue: Ints
    #: Per detector, the state of everything at its snapshot: [detector, node], [detector, node, level],
    #: [detector, channel] and, one row per detector, how long ago the tokens in flight were sent.
    seen_nodes: Table[Node]
    seen_levels: Table[Level]
    seen_channels: Table[Channel]
    seen_flights: Ints
