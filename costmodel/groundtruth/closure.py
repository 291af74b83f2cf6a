"""Area for time: the smallest of several netlists of a design that meets a period.

Netlists differ in how the modules on their slowest paths are mapped: for least area, with prefix adders, or with
adders as gates. The ladder starts with least area everywhere and takes the next style in every module on
the slowest path, as long as that makes the path faster. It does not depend on the period; each rung is
buffered and sized, and the smallest that meets the period is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from blueprint.errors import ParamError
from costmodel.groundtruth import buffering, sizing, sta
from costmodel.groundtruth.flatten import flatten
from costmodel.groundtruth.mapping import Netlist
from costmodel.technology.liberty import WireLoad
from costmodel.technology.technology import Technology

#: Ways to map a module, smallest first.
STYLES = ("area", "prefix", "gates")
_RUNGS = 8
#: A rung must be this much faster than the one below it.
_FASTER = 0.99

Netlists = dict[str, Netlist]
Macros = Mapping[str, tuple[Mapping[str, str], float]]
#: Maps modules anew: style by module to their netlists.
Remap = Callable[[Mapping[str, str]], Netlists]


@dataclass(frozen=True)
class Problem:
    """A design to close: its top, cells, wires, memory macros, and how to map its modules in other styles."""

    top: str
    technology: Technology
    wires: WireLoad | None
    macros: Macros
    remap: Remap

    def buffered(self, styles: Mapping[str, str]) -> Netlists:
        """The netlists in these styles, with buffers."""
        return buffering.insert(self.top, self.remap(styles), self.technology, self.wires)

    def time(self, netlists: Netlists) -> sta.Timing:
        """Static timing of netlists as they are."""
        return sta.analyze(self.top, netlists, self.technology, self.macros, trees=False, wires=self.wires)

    def graph(self, netlists: Netlists) -> sta.Graph:
        """The timing graph of netlists as they are."""
        return sta.Graph(flatten(self.top, netlists), self.technology, self.macros, False, self.wires)

    def area(self, netlists: Netlists) -> float:
        """Cell area of all instances in um2."""
        areas = {cell.name: cell.area for cell in self.technology.cells.values()}
        own = {
            name: sum(areas.get(cell["type"], 0.0) for cell in netlist["cells"].values())
            for name, netlist in netlists.items()
        }
        counts = instances(self.top, netlists)
        return sum(own[name] * count for name, count in counts.items())


def close(problem: Problem, period_ps: float) -> Netlists:
    """The smallest netlists found that meet a period; `ParamError` with the shortest period where none does."""
    best: tuple[float, Netlists] | None = None
    fastest: tuple[float, Netlists] | None = None
    for netlists in _ladder(problem):
        if best is not None and problem.area(netlists) >= best[0]:
            continue
        found = sizing.size(problem.graph(netlists), period_ps)
        sized = _resized(netlists, found.changes)
        if fastest is None or found.delay_ps < fastest[0]:
            fastest = (found.delay_ps, sized)
        area = problem.area(sized)
        if found.delay_ps <= period_ps and (best is None or area < best[0]):
            best = (area, sized)
    assert fastest is not None
    if best is None:
        path = problem.time(fastest[1]).path
        raise ParamError(
            f"Period must be at least {fastest[0]:.0f} ps, the shortest that {problem.top} reaches in "
            f"{problem.technology.name}, not {period_ps:g}; its path: {' > '.join(_short(path))}"
        )
    return best[1]


def once(problem: Problem, styles: Mapping[str, str], period_ps: float) -> Netlists:
    """The netlists in these styles, sized for a period, or the fastest found where it is not met."""
    netlists = problem.buffered(styles)
    return _resized(netlists, sizing.size(problem.graph(netlists), period_ps).changes)


def _ladder(problem: Problem) -> Iterator[Netlists]:
    """Netlists from the smallest to the fastest."""
    styles: dict[str, str] = {}
    netlists = problem.buffered(styles)
    timing = problem.time(netlists)
    stuck: set[str] = set()
    yield netlists
    for _ in range(_RUNGS):
        wanted = [name for name in _modules(problem.top, netlists, timing.path) if name not in stuck]
        raised = {name: _next(styles.get(name, STYLES[0])) for name in wanted}
        if not any(styles.get(name, STYLES[0]) != style for name, style in raised.items()):
            return
        tried = problem.buffered(styles | raised)
        then = problem.time(tried)
        if then.critical_path_ps < _FASTER * timing.critical_path_ps:
            styles, netlists, timing = styles | raised, tried, then
            yield netlists
        else:
            stuck |= {name for name in wanted if raised[name] == STYLES[-1]}
            styles = styles | {name: raised[name] for name in wanted if name not in stuck}


def _next(style: str) -> str:
    return STYLES[min(STYLES.index(style) + 1, len(STYLES) - 1)]


def _modules(top: str, netlists: Netlists, path: tuple[str, ...]) -> list[str]:
    """Modules whose cells a path goes through."""
    found: dict[str, None] = {}
    for step in path:
        words = step.split()
        if len(words) < 3:
            continue
        name, rest = top, words[1]
        while True:
            child = next(
                (
                    part
                    for part in _prefixes(rest)
                    if netlists[name]["cells"].get(part, {}).get("type") in netlists
                ),
                None,
            )
            if child is None:
                break
            name, rest = netlists[name]["cells"][child]["type"], rest[len(child) + 1 :]
        found[name] = None
    return list(found)


def _prefixes(path: str) -> Iterator[str]:
    parts = path.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts)))


def _resized(netlists: Netlists, changes: Mapping[tuple[str, str], str]) -> Netlists:
    """The netlists with other drive strengths."""
    found = {}
    for name, netlist in netlists.items():
        cells: dict[str, Any] = {
            key: {"type": changes.get((name, key), cell["type"]), "connections": cell["connections"]}
            for key, cell in netlist["cells"].items()
        }
        found[name] = {"ports": netlist["ports"], "cells": cells}
    return found


def _short(path: tuple[str, ...]) -> tuple[str, ...]:
    return path if len(path) <= 4 else (*path[:2], f"{len(path) - 4} cells", *path[-2:])


def instances(top: str, netlists: Mapping[str, Netlist]) -> dict[str, int]:
    """Number of instances of each module in the design."""
    counts: dict[str, int] = {}

    def visit(name: str, times: int) -> None:
        counts[name] = counts.get(name, 0) + times
        children: dict[str, int] = {}
        for cell in netlists[name]["cells"].values():
            if cell["type"] in netlists:
                children[cell["type"]] = children.get(cell["type"], 0) + 1
        for child, number in children.items():
            visit(child, times * number)

    visit(top, 1)
    return counts
