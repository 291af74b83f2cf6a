"""The slowest path of every place of a design, where static timing of the whole gives one path alone.

A path counts for the last place in which it stays for a good part of its time: registers often stand behind a
multiplexer or an inverter of another block than the one whose logic decides the path.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from costmodel.groundtruth import sta
from costmodel.groundtruth.flatten import Ints, flatten
from costmodel.groundtruth.synthesis import Mapped

#: A path counts for no place in which it stays for a smaller share of its time.
_SHARE = 0.12


def slowest_by_place(netlist: Mapped, places: Mapping[str, str]) -> dict[str, float]:
    """Delay in ps of the slowest path found for each place; `places` gives the place of each module.

    Of the paths whose last cell is in one place only the slowest is looked at, once from registers and once from
    inputs, so a place may be missing.
    """
    flat = flatten(netlist.top, netlist.netlists)
    graph = sta.Graph(flat, netlist.technology, netlist.macros, netlist.trees, netlist.wires)
    names, numbers = _numbered(graph, places)
    drivers = np.full(flat.nets + 1, -1)
    drivers[graph.target] = graph.instance
    found: dict[str, float] = {}
    for launch in (graph.from_registers(), graph.from_inputs(None)):
        wave = sta.Wave(graph, launch)
        for ends in (graph.captures, graph.leaving):
            times = wave.arrival[ends.nets, ends.edges] + wave.setup(ends)
            groups = numbers[drivers[ends.nets]]
            for group in np.unique(groups[times > 0]):
                inside = np.flatnonzero(groups == group)
                last = int(inside[np.argmax(times[inside])])
                steps = wave.steps(int(ends.nets[last]), int(ends.edges[last]))
                place = _last(steps, numbers)
                if place >= 0:
                    found[names[place]] = max(found.get(names[place], 0.0), float(times[last]))
    return dict(sorted(found.items()))


def _numbered(graph: sta.Graph, places: Mapping[str, str]) -> tuple[list[str], Ints]:
    """The places, and for each instance the number of its place; a last entry -1 stands for no instance."""
    names = sorted(set(places.values()))
    number = {module: names.index(place) for module, place in places.items()}
    templates = np.array([number[module] for module, _ in graph.flat.templates], np.int64)
    parts = [templates[graph.flat.origins[kind]] for kind in graph.kinds]
    return names, np.concatenate([*parts, np.array([-1])])


def _last(steps: list[sta.Step], numbers: Ints) -> int:
    """The number of the last place in which a path stays for a good part of its time, -1 if there is none."""
    enough = _SHARE * steps[-1].arrival_ps
    last = here = -1
    entered = before = 0.0
    for step in steps:
        place = -1 if step.instance is None else int(numbers[step.instance])
        if place != here:
            here, entered = place, before
        before = step.arrival_ps
        if here >= 0 and before - entered >= enough:
            last = here
    return last
