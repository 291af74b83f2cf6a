"""The slowest path of every place of a design, where static timing of the whole gives one path alone.

A path counts for the last place in which it stays for a good part of its time: registers often stand behind a
multiplexer or an inverter of another block than the one whose logic decides the path.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from costmodel.groundtruth import sta
from costmodel.groundtruth.flatten import Ints, owners

#: A path counts for no place in which it stays for a smaller share of its time.
_SHARE = 0.12


def slowest_by_place(graph: sta.Graph, places: Mapping[str, str]) -> dict[str, float]:
    """Delay in ps of the slowest path found for each place of a netlist; `places` has the place of each module.

    Of the paths whose last cell is in one place only the slowest is looked at, once from registers and once from
    inputs, so a place may be missing.
    """
    owned = owners(graph.flat, places)
    names, numbers = (
        owned.names,
        np.concatenate([*(owned.numbers[kind] for kind in graph.kinds), np.array([-1])]),
    )
    drivers = np.full(graph.flat.nets + 1, -1)
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
