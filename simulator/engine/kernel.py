"""Running a timing graph: exact firing cycles of every node, or the reason why some never fire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from blueprint.timing import STALL_REASONS, Ints, TimingGraph
from simulator.engine import fastforward
from simulator.engine.channels import available
from simulator.engine.flatten import Flat, flatten
from simulator.engine.machine import DEADLOCK, NEVER, PAUSED, SINK
from simulator.stall_patterns import Pattern

#: Cycles simulated between two returns to Python, where an interrupt can act.
_CHUNK = 1 << 22

_NO_PATTERNS: Mapping[str, Pattern] = MappingProxyType({})


@dataclass(frozen=True)
class Wait:
    """A node that waits for ever: for a token (``empty``), a slot (``full``) or its stream to open (``closed``)."""

    node: str
    what: str
    state: str

    def __str__(self) -> str:
        if self.state == "closed":
            return f"{self.node!r} waits for stream {self.what!r} to open"
        return f"{self.node!r} waits for {'a token' if self.state == 'empty' else 'a slot'} of {self.what!r}"


class Deadlock(RuntimeError):
    """No node can ever fire again although some have firings left. ``cycle`` is the last one with a firing.

    ``remedy`` says what would help, where that is known.
    """

    def __init__(self, cycle: int, waits: tuple[Wait, ...], remedy: str = "") -> None:
        self.cycle = cycle
        self.waits = waits
        self.remedy = remedy
        super().__init__(
            f"Deadlock after cycle {cycle}: {'; '.join([*map(str, waits), *filter(None, [remedy])])}"
        )

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
    """Event times of a run.

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
    patterns: Mapping[str, Pattern] = _NO_PATTERNS,
    *,
    record: Iterable[str] = (),
    fast_forward: bool = True,
) -> Timeline:
    """Run ``graph`` to its end.

    ``patterns`` maps a stream to the cycles, repeated for ever, in which it is open; without a pattern, or with an
    empty one, it is always open. ``record`` names the nodes whose firing cycles are wanted. ``fast_forward`` changes
    the time this takes and nothing else.

    Raises :class:`Deadlock`, and ``ValueError`` for a graph or pattern that cannot mean anything.
    """
    flat = flatten(graph, patterns, frozenset(record), fast_forward)
    machine = flat.machine
    fastforward.begin(machine)
    status = PAUSED
    while status == PAUSED:
        status = fastforward.advance(machine, _CHUNK)
    if status == DEADLOCK:
        raise Deadlock(max(int(machine.nodes["last"].max()), -1), _waits(flat))
    return _timeline(flat)


def _timeline(flat: Flat) -> Timeline:
    nodes, clock = flat.machine.nodes, flat.machine.clock
    sinks, last = nodes["kind"] == SINK, nodes["last"]
    issue = int(clock["issue"][0])
    return Timeline(
        start=int(clock["start"][0]),
        end=int(last[sinks].max() if sinks.any() else last.max()),
        last_issue=int(last[issue]),
        issued=int(nodes["firings"][issue]),
        stalls=dict(zip(STALL_REASONS, clock["stalls"][0].tolist(), strict=True)),
        fired=_fired(flat),
        skipped=int(clock["skipped"][0]),
    )


def _fired(flat: Flat) -> dict[str, Ints]:
    """Firing cycles of the recorded nodes."""
    nodes, memory = flat.machine.nodes, flat.machine.memory
    starts, firings = nodes["record"], nodes["firings"]
    if (starts < 0).all():
        return {}
    return {node.name: memory[starts[n] : starts[n] + firings[n]] for node, n in flat.rows if starts[n] >= 0}


def _waits(flat: Flat) -> tuple[Wait, ...]:
    """Describe what each unfinished node waits for."""
    nodes = flat.machine.nodes
    waits: list[Wait] = []
    for node, n in flat.rows:
        if nodes["fired"][n] == nodes["firings"][n]:
            continue
        blocked = [Wait(node.name, channel, state) for channel, state in _blocked(flat, n)]
        if not blocked and node.stream is not None:
            blocked = [Wait(node.name, node.stream, "closed")]
        waits += blocked
    return tuple(waits)


def _blocked(flat: Flat, n: int) -> Iterator[tuple[str, str]]:
    """The channels that keep the node of row ``n`` from firing, and whether each is full or empty."""
    machine = flat.machine
    first, end, acquires = (
        int(machine.nodes[name][n]) for name in ("first_access", "end_access", "acquires")
    )
    for i, a in enumerate(range(first, end)):
        if (acquires >> i) & 1 and available(machine, machine.accesses[a]) == NEVER:
            channel = flat.graph.channels[machine.accesses["channel"][a]]
            yield channel.name, "full" if machine.accesses["produces"][a] else "empty"
