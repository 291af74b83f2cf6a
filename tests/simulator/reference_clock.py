"""The timing graph interpreted the slow way: a global clock, every firing of every node looked at in every cycle.

Written from the text of ``blueprint.timing`` only, so that what it shares with the simulator is the contract.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from blueprint.timing import STALL_REASONS, Access, Channel, Node, TimingGraph

Pattern = npt.NDArray[np.bool_]


@dataclass
class Outcome:
    """``fired`` of all nodes; ``stalls`` of the issue node; whether some node never got to its end."""

    fired: dict[str, list[int]]
    stalls: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STALL_REASONS, 0))
    start: int = -1
    deadlock: bool = False


@dataclass
class _Use:
    """An access spelled out: the firing that acquires and the one that releases each token."""

    access: Access
    channel: Channel
    produces: bool
    acquires: dict[int, int]
    releases: dict[int, int]


#: Of every loop around a firing the iteration, and how many there are in this run of the loop.
Place = dict[str, tuple[int, int]]


def iterations(node: Node) -> Iterator[Place]:
    """The place of every firing, in order."""
    runs = [0] * len(node.loops)

    def nest(level: int, outer: Place) -> Iterator[Place]:
        if level == len(node.loops):
            yield outer
            return
        loop = node.loops[level]
        count = loop.count if isinstance(loop.count, int) else int(loop.count[runs[level]])
        runs[level] += 1
        for index in range(count):
            yield from nest(level + 1, {**outer, loop.name: (index, count)})

    yield from nest(0, {})


def spell(node: Node, access: Access) -> list[tuple[int, int]]:
    """First and last firing of every token: of an iteration of the access's loop, those that ``only`` allows."""
    names = [loop.name for loop in node.loops]
    outer = names[: names.index(access.loop) + 1] if access.loop is not None else []
    windows: dict[tuple[int, ...], tuple[int, int]] = {}
    for firing, at in enumerate(iterations(node)):
        if all(_admits(which, *at[name]) for name, which in access.only):
            key = tuple(at[name][0] for name in outer)
            windows[key] = (windows.get(key, (firing, firing))[0], firing)
    return list(windows.values())


def _admits(which: str, index: int, count: int) -> bool:
    edge = 0 if which.endswith("first") else count - 1
    return (index == edge) != which.startswith("but_")


def clock(graph: TimingGraph, patterns: Mapping[str, Pattern]) -> Outcome:
    """Run the graph cycle by cycle."""
    return _Clock(graph, patterns).run()


def _durations(node: Node) -> list[int]:
    return [1] if node.durations is None else [int(cycles) for cycles in node.durations]


class _Clock:
    def __init__(self, graph: TimingGraph, patterns: Mapping[str, Pattern]) -> None:
        self.graph = graph
        self.patterns = {name: pattern for name, pattern in patterns.items() if len(pattern)}
        self.channels = {channel.name: channel for channel in graph.channels}
        self.uses = {node.name: list(self._uses(node)) for node in graph.nodes}
        self.published: dict[str, list[int]] = {name: [] for name in self.channels}
        self.emptied: dict[str, list[int]] = {name: [] for name in self.channels}
        self.offered: dict[str, bool] = {node.name: False for node in graph.nodes}
        self.outcome = Outcome({node.name: [] for node in graph.nodes})

    def _uses(self, node: Node) -> Iterator[_Use]:
        for produces, accesses in ((False, node.consumes), (True, node.produces)):
            for access in accesses:
                windows = spell(node, access)
                acquires = {first: token for token, (first, _) in enumerate(windows)}
                releases = {last: token for token, (_, last) in enumerate(windows)}
                yield _Use(access, self.channels[access.channel], produces, acquires, releases)

    def run(self) -> Outcome:
        graph = self.graph
        patience = 4 + max(max(node.interval, *_durations(node)) for node in graph.nodes)
        patience += max((c.latency for c in graph.channels), default=0)
        patience += 2 * max((len(pattern) for pattern in self.patterns.values()), default=0)
        cycle = quiet = 0
        while any(len(self.outcome.fired[node.name]) < node.firings for node in graph.nodes):
            fired = self._cycle(cycle)
            self._charge(cycle)
            quiet = 0 if fired else quiet + 1
            if quiet > patience:
                self.outcome.deadlock = True
                break
            cycle += 1
        return self.outcome

    def _cycle(self, cycle: int) -> bool:
        for node in self.graph.nodes:
            if self._is_source(node) and self._open(node, cycle):
                self.offered[node.name] = True
        anything = False
        progress = True
        while progress:
            progress = False
            for node in self.graph.nodes:
                if self._can_fire(node, cycle):
                    self._fire(node, cycle)
                    progress = anything = True
        return anything

    def _is_source(self, node: Node) -> bool:
        return node.stream is not None and node.direction == "in"

    def _open(self, node: Node, cycle: int) -> bool:
        pattern = self.patterns.get(node.stream or "")
        return True if pattern is None else bool(pattern[cycle % len(pattern)])

    def _rested(self, node: Node, cycle: int) -> bool:
        fired = self.outcome.fired[node.name]
        return not fired or cycle >= fired[-1] + self._busy(node)

    def _busy(self, node: Node) -> int:
        """Cycles that the last firing takes."""
        last = len(self.outcome.fired[node.name]) - 1
        return node.interval if node.durations is None else int(node.durations[last])

    def _there(self, use: _Use, token: int, cycle: int) -> bool:
        channel = use.channel
        if not use.produces:
            times = self.published[channel.name]
            return token < len(times) and cycle >= times[token] + channel.latency
        times, before = self.emptied[channel.name], token - channel.capacity
        return before < 0 or (before < len(times) and cycle >= times[before] + channel.response)

    def _can_fire(self, node: Node, cycle: int) -> bool:
        fired = self.outcome.fired[node.name]
        if len(fired) == node.firings or (fired and fired[-1] == cycle) or not self._rested(node, cycle):
            return False
        if self._is_source(node) and not self.offered[node.name]:
            return False
        if node.stream is not None and node.direction == "out" and not self._open(node, cycle):
            return False
        acquired = [
            (use, use.acquires[len(fired)]) for use in self.uses[node.name] if len(fired) in use.acquires
        ]
        return all(self._there(use, token, cycle) for use, token in acquired)

    def _fire(self, node: Node, cycle: int) -> None:
        firing = len(self.outcome.fired[node.name])
        self.outcome.fired[node.name].append(cycle)
        self.offered[node.name] = False
        end = cycle if node.durations is None else cycle + self._busy(node) - 1
        for use in self.uses[node.name]:
            if firing in use.releases:
                (self.published if use.produces else self.emptied)[use.channel.name].append(end)

    def _charge(self, cycle: int) -> None:
        outcome, graph = self.outcome, self.graph
        issue = graph.node(graph.issue)
        sources = [node for node in graph.nodes if self._is_source(node)] or list(graph.nodes)
        if outcome.start < 0 and any(outcome.fired[node.name] for node in (*sources, issue)):
            outcome.start = cycle
        fired = outcome.fired[issue.name]
        if outcome.start < 0 or len(fired) == issue.firings or (fired and fired[-1] == cycle):
            return
        missing = {self._reason(use) for use in self.uses[issue.name] if self._lacks(use, len(fired), cycle)}
        if not self._rested(issue, cycle):
            missing.add("dependency")
        if self._is_source(issue) and not self.offered[issue.name]:
            missing.add(issue.stall)
        # With nothing missing it is a sink that waits for its stall pattern.
        outcome.stalls[next((reason for reason in STALL_REASONS if reason in missing), issue.stall)] += 1

    def _reason(self, use: _Use) -> str:
        return use.channel.space_stall if use.produces else use.channel.stall

    def _lacks(self, use: _Use, firing: int, cycle: int) -> bool:
        return firing in use.acquires and not self._there(use, use.acquires[firing], cycle)
