"""The timing graph: nodes that fire, joined by bounded channels.

Semantics (the contract between the simulator and the RTL)
----------------------------------------------------------
A *node* fires once per iteration of its loop nest, in order, at most once every ``interval`` cycles. A firing is a
clock cycle. An *access* ties a node to a channel: one token per iteration of the loop it names (and of the loops
outside that one). A token is **acquired** at the first firing of that iteration and **released** at the last:

* consumer: acquiring needs the token to be there, releasing frees its slot;
* producer: acquiring needs a free slot, releasing publishes the token.

``only`` restricts an access to the first or last iteration of some loops: an accumulator publishes in the last
reduction tile only. On a loop inside the access's own it narrows the firings between which the token is held.
``but_first`` and ``but_last``, for the access's own loop and those around it, are all iterations but that one: a sum
that is read again is one of every tile but the first, and of every tile but the last where it is written.
With ``r`` the cycle of a release and ``a`` the cycle of an acquire (both that of the firing, as long as a firing is one
cycle):

* data:  ``a_consumer(token) >= r_producer(token) + latency``
* space: ``a_producer(token) >= r_consumer(token - capacity) + response``

``response = 0`` is a slot refilled in the cycle in which it empties (an elastic register stage), 1 a slot that is
seen empty one cycle later; a ring of channels that all refill at once (``response = 0``) is a deadlock. An elastic
pipeline of S register stages is one channel with capacity S and latency S.
A node with a ``stream`` fires only together with a handshake on that port, one beat per firing:

* ``direction="in"``: the source drives ``tvalid`` from the first open cycle of its stall pattern after the previous
  acceptance on and holds it, so ``fire(i) = max(first_open(fire(i - 1) + 1), everything else)``;
* ``direction="out"``: the sink drives ``tready`` in open cycles only, so ``fire(i) = first_open(everything else)``.

A node may have a stream *and* consume and produce channels: then the port has no register of its own (a sweep that
takes a weight beat in the very cycle in which it fetches). Waiting for the stream is charged to ``stall``.

Firings that take long: a node with ``durations`` (one per firing, in firing order, at least 1; ``interval`` then means
nothing) is busy for ``durations[i]`` cycles from firing ``i`` on. It acquires, and shakes hands on its stream, in the
first of them, and releases in the last: ``r = fire(i) + durations[i] - 1``. It fires again no earlier than
``fire(i) + durations[i]``; cycles in which the issue node is busy but does not fire are stalls by ``dependency``.

Ragged loops: the ``count`` of a loop may be an array, one number for every iteration of the product of the loops around
it, in order (keys per query of a causal mask). ``"last"`` is then the last iteration of that very run of the loop.

Source: bounded-FIFO dataflow as in the Dataflow Abstract Machine (Rucker et al., ISCA 2024), with channel slots
held over loop iterations added so that reuse (a table swept many times) needs no copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

#: Reasons why a node does not fire; a cycle with several reasons is charged to the first of them.
STALL_REASONS = ("output", "dependency", "input", "memory")
#: The iteration of a loop to which an access may be restricted, or which it may exclude.
ENDS = ("first", "last")


def _integers(values: Any) -> Ints:
    """A read-only copy."""
    array = np.array(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TypeError(
            f"Counts and durations must be one-dimensional integers, not {array.dtype} {array.shape}"
        )
    array = array.astype(np.int64)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Loop:
    """One level of a loop nest, outermost first; ``count`` (or ``counts``) of a ragged loop is an array.

    Equal loops have equal numbers; an array is copied and read-only.
    """

    name: str
    count: int | Ints | tuple[int, ...] = 1
    counts: InitVar[Sequence[int] | Ints | None] = None

    def __post_init__(self, counts: Sequence[int] | Ints | None) -> None:
        given = self.count if counts is None else counts
        if isinstance(given, (np.ndarray, tuple, list)):
            object.__setattr__(self, "count", _integers(given))

    @property
    def ragged(self) -> bool:
        """True if the iteration count varies between runs of the loop."""
        return isinstance(self.count, np.ndarray)

    def _key(self) -> tuple[Any, ...]:
        return self.name, self.count.tobytes() if isinstance(self.count, np.ndarray) else self.count

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Loop) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())


def reduced(loops: Sequence[Loop], only: Mapping[str, str] = MappingProxyType({})) -> Any:
    """Iterations of a nest per iteration of the enclosing loops: a number, or an array if they differ.

    Of a loop named in ``only`` its first or last iteration counts alone, or all but that one.
    """
    inner: Any = 1
    for loop in reversed(loops):
        which = only.get(loop.name, "")
        edge = _edge(inner, loop, which.removeprefix("but_"))
        inner = edge if which in ENDS else _all(inner, loop) - (edge if which else 0)
    return inner


def _edge(inner: Any, loop: Loop, which: str) -> Any:
    """The work of the first or last iteration of a loop, per run of the loop."""
    if not isinstance(inner, np.ndarray):
        return inner
    ends = np.cumsum(np.broadcast_to(loop.count, _outer(inner, loop.count)))
    return inner[ends - (1 if which == "last" else loop.count)]


def _all(inner: Any, loop: Loop) -> Any:
    """The work of all iterations of a loop, per run of the loop."""
    count: Any = loop.count
    if not isinstance(inner, np.ndarray):
        return inner * count
    if loop.ragged:
        return np.add.reduceat(inner, np.cumsum(count) - count)
    return inner.reshape(-1, count).sum(axis=1)


def _outer(inner: Ints, count: Any) -> int:
    return len(count) if isinstance(count, np.ndarray) else len(inner) // count


@dataclass(frozen=True)
class Access:
    """One token of ``channel`` per iteration of ``loop`` (``None``: one per run), where ``only`` allows it."""

    channel: str
    loop: str | None
    only: tuple[tuple[str, Literal["first", "last", "but_first", "but_last"]], ...] = ()


@dataclass(frozen=True, eq=False)
class Node:
    """A node of the timing graph; it fires once per iteration of ``loops``."""

    name: str
    loops: tuple[Loop, ...]
    consumes: tuple[Access, ...] = ()
    produces: tuple[Access, ...] = ()
    interval: int = 1
    stream: str | None = None
    direction: Literal["in", "out"] = "in"
    stall: str = "memory"
    durations: Ints | Sequence[int] | None = None

    def __post_init__(self) -> None:
        if self.durations is not None:
            object.__setattr__(self, "durations", _integers(self.durations))

    def _key(self) -> tuple[Any, ...]:
        ports = (self.interval, self.stream, self.direction, self.stall)
        busy = None if self.durations is None else np.asarray(self.durations).tobytes()
        return self.name, self.loops, self.consumes, self.produces, ports, busy

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Node) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    @property
    def ragged(self) -> bool:
        """True if any loop of the nest is ragged."""
        return any(loop.ragged for loop in self.loops)

    @property
    def firings(self) -> int:
        return _total(self.loops, {})

    def tokens(self, access: Access) -> int:
        """Channel tokens that ``access`` transfers in a run."""
        names = [loop.name for loop in self.loops]
        outer = 0 if access.loop is None else names.index(access.loop) + 1
        return _total(self.loops[:outer], dict(access.only))

    def busy(self, firings: Ints) -> Any:
        """Total cycles of all firings."""
        return 1 if self.durations is None else np.asarray(self.durations)[firings]


def _total(loops: Sequence[Loop], only: Mapping[str, str]) -> int:
    return int(np.sum(reduced(loops, only)))


@dataclass(frozen=True)
class Channel:
    """A bounded FIFO between one producer and one consumer; ``stall`` is the reason charged to who waits for a token.

    A channel that stalls by ``dependency`` is a loop back to the producer, who waits for space by that reason too.
    """

    name: str
    capacity: int
    latency: int = 1
    response: int = 0
    stall: str = "input"

    @property
    def space_stall(self) -> str:
        """Stall reason of a producer that waits for a free slot."""
        return "dependency" if self.stall == "dependency" else "output"


@dataclass(frozen=True)
class TimingGraph:
    """Nodes, channels, and the node whose idle cycles are the design's stalls."""

    nodes: tuple[Node, ...]
    channels: tuple[Channel, ...]
    issue: str

    def node(self, name: str) -> Node:
        """The node of that name. Raises ``ValueError``."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise ValueError(f"Node must be one of {', '.join(n.name for n in self.nodes)}, not {name!r}")

    def check(self) -> None:
        """Check that a graph is well-formed, before simulation.

        Raises ``ValueError``: duplicate names, a channel without exactly one producer and one consumer, token counts
        that differ between the two ends, an unknown loop, a capacity, latency, interval or duration below 1, counts of
        a ragged loop or durations that are not as many as there are runs of the loop or firings.
        """
        for kind, names in (
            ("node", [n.name for n in self.nodes]),
            ("channel", [c.name for c in self.channels]),
        ):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"Every {kind} must have a name of its own, but {name!r} stands twice")
        self.node(self.issue)
        for node in self.nodes:
            check_node(node)
        for channel in self.channels:
            self._check_channel(channel)

    def _check_channel(self, channel: Channel) -> None:
        for what in ("capacity", "latency"):
            if getattr(channel, what) < 1:
                raise ValueError(
                    f"Channel {channel.name!r}: {what} must be at least 1, not {getattr(channel, what)}"
                )
        if channel.response not in (0, 1):
            raise ValueError(f"Channel {channel.name!r}: response must be 0 or 1, not {channel.response}")
        if channel.stall not in STALL_REASONS:
            raise ValueError(f"Channel {channel.name!r}: stall must be one of {', '.join(STALL_REASONS)}")
        ends = []
        for side in ("produces", "consumes"):
            found = [(n, a) for n in self.nodes for a in getattr(n, side) if a.channel == channel.name]
            if len(found) != 1:
                raise ValueError(f"Channel {channel.name!r} needs one node that {side} it, not {len(found)}")
            ends.append(found[0][0].tokens(found[0][1]))
        if ends[0] != ends[1]:
            raise ValueError(
                f"Channel {channel.name!r}: {ends[0]} tokens are produced but {ends[1]} consumed"
            )


def check_node(node: Node) -> None:
    """Check one node; see :meth:`TimingGraph.check`. Raises ``ValueError``."""
    if node.interval < 1:
        raise ValueError(f"Node {node.name!r}: interval must be at least 1, not {node.interval}")
    names = [loop.name for loop in node.loops]
    runs = 1
    for loop in node.loops:
        count = np.asarray(loop.count)
        if loop.ragged and len(count) != runs:
            what = f"must have a count for each of its {runs} runs, not {len(count)}"
            raise ValueError(f"Node {node.name!r}: loop {loop.name!r} {what}")
        if count.min() < 1:
            raise ValueError(
                f"Node {node.name!r}: loop {loop.name!r} must run at least once, not {count.min()} times"
            )
        runs = int(count.sum()) if loop.ragged else runs * int(count)
    if node.durations is not None:
        durations = np.asarray(node.durations)
        if len(durations) != runs:
            what = f"must have a duration for each of its {runs} firings, not {len(durations)}"
            raise ValueError(f"Node {node.name!r} {what}")
        if durations.min() < 1:
            raise ValueError(f"Node {node.name!r}: durations must be at least 1, not {durations.min()}")
    for access in (*node.consumes, *node.produces):
        for name in (access.loop, *(n for n, _ in access.only)):
            if name is not None and name not in names:
                raise ValueError(f"Node {node.name!r}: loop must be one of {', '.join(names)}, not {name!r}")
        _check_restrictions(node, access, names)


def _check_restrictions(node: Node, access: Access, names: Sequence[str]) -> None:
    around = names[: names.index(access.loop) + 1] if access.loop is not None else ()
    for name, which in access.only:
        if which not in ENDS and name not in around:
            where = f"of loop {access.loop!r} or one around it"
            raise ValueError(f"Node {node.name!r}: {which} must be {where}, not of {name!r}")
