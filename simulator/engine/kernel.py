"""Running a timing graph: exact firing cycles of every node, or the reason why some never fire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from blueprint.timing import STALL_REASONS, TimingGraph
from simulator.arrays import Ints, Mask
from simulator.engine import eventloop, fastforward
from simulator.engine import machine as loop
from simulator.engine.flatten import Flat, flatten

#: Cycles looked at between two returns to Python, where an interrupt can act.
_CHUNK = 1 << 22

_NO_MASKS: Mapping[str, Mask] = MappingProxyType({})


@dataclass(frozen=True)
class Wait:
    """A node that waits for ever: for a token (``empty``), a slot (``full``) or the mask of its stream (``closed``)."""

    node: str
    what: str
    state: str

    def __str__(self) -> str:
        if self.state == "closed":
            return f"{self.node!r} waits for the mask of stream {self.what!r} to open"
        return f"{self.node!r} waits for {'a token' if self.state == 'empty' else 'a slot'} of {self.what!r}"


class Deadlock(RuntimeError):
    """No node can ever fire again although some have firings left. ``cycle`` is the last one with a firing."""

    def __init__(self, cycle: int, waits: tuple[Wait, ...]) -> None:
        self.cycle = cycle
        self.waits = waits
        super().__init__(f"Deadlock after cycle {cycle}: {'; '.join(map(str, waits))}")

    @property
    def full(self) -> tuple[str, ...]:
        """Channels in which a node waits for a slot."""
        return tuple(dict.fromkeys(w.what for w in self.waits if w.state == "full"))

    @property
    def empty(self) -> tuple[str, ...]:
        """Channels in which a node waits for a token."""
        return tuple(dict.fromkeys(w.what for w in self.waits if w.state == "empty"))


@dataclass(frozen=True)
class Timeline:
    """What happened when.

    ``start`` is the cycle of the first input acceptance (of the first firing in a graph without sources), ``end`` that
    of the last output acceptance (the last firing without sinks). ``fired`` holds the firing cycles of recorded nodes.
    ``last_issue`` is the issue node's last firing: ``issued + sum(stalls) == last_issue - start + 1``. ``skipped``
    counts the cycles that the fast-forward did not look at.
    """

    start: int
    end: int
    last_issue: int
    issued: int
    stalls: Mapping[str, int]
    fired: Mapping[str, Ints] = field(repr=False)
    skipped: int = 0

    @property
    def cycles(self) -> int:
        """First input accepted to last output accepted, both inclusive."""
        return self.end - self.start + 1


def run(
    graph: TimingGraph,
    masks: Mapping[str, Mask] = _NO_MASKS,
    *,
    record: Iterable[str] = (),
    fast_forward: bool = True,
) -> Timeline:
    """Run ``graph`` to its end.

    ``masks`` maps a stream to the cycles, repeated for ever, in which it is open; a missing or empty mask is always
    open. ``record`` names the nodes whose firing cycles are wanted. ``fast_forward`` changes the time this takes and
    nothing else.

    Raises :class:`Deadlock`, and ``ValueError`` for a graph or mask that cannot mean anything.
    """
    flat = flatten(graph, masks, frozenset(record), fast_forward)
    machine = flat.machine
    fastforward.begin(machine)
    status = loop.PAUSED
    while status == loop.PAUSED:
        status = fastforward.advance(machine, _CHUNK)
    if status == loop.DEADLOCK:
        raise Deadlock(max(int(machine.nodes[:, loop.LAST].max()), -1), _waits(flat))
    return _timeline(flat)


def _timeline(flat: Flat) -> Timeline:
    nodes, memory, scalars = flat.machine.nodes, flat.machine.memory, flat.machine.scalars
    sinks = nodes[:, loop.KIND] == loop.SINK
    last = nodes[:, loop.LAST]
    issue = nodes[scalars[loop.ISSUE]]
    fired = {
        name: memory[row[loop.RECORD_START] : row[loop.RECORD_START] + row[loop.FIRINGS]]
        for name, row in zip(flat.structure.nodes, nodes, strict=True)
        if row[loop.RECORD_START] >= 0
    }
    return Timeline(
        start=int(scalars[loop.START]),
        end=int(last[sinks].max() if sinks.any() else last.max()),
        last_issue=int(issue[loop.LAST]),
        issued=int(issue[loop.FIRINGS]),
        stalls=dict(zip(STALL_REASONS, scalars[loop.STALLS :].tolist(), strict=True)),
        fired=fired,
        skipped=int(scalars[loop.SKIPPED]),
    )


def _waits(flat: Flat) -> tuple[Wait, ...]:
    machine, structure = flat.machine, flat.structure
    waits = []
    for name, stream, row in zip(structure.nodes, structure.streams, machine.nodes, strict=True):
        if row[loop.FIRED] == row[loop.FIRINGS]:
            continue
        blocked = []
        for i, a in enumerate(range(row[loop.ACCESS_START], row[loop.ACCESS_END])):
            condition = eventloop.condition(machine, a)
            if (int(row[loop.ACQUIRES]) >> i) & 1 and condition == loop.NEVER:
                state = "full" if machine.accesses[a, loop.PRODUCES] else "empty"
                blocked.append(Wait(name, structure.channels[machine.accesses[a, loop.CHANNEL]], state))
        if not blocked and stream is not None:
            blocked.append(Wait(name, stream, "closed"))
        waits.extend(blocked)
    return tuple(waits)
