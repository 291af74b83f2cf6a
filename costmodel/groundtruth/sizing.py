"""Drive strengths for a period: cells on slow paths grow, those that gain most time for their area first.

The greedy descent of TILOS (Fishburn and Dunlop, ICCAD 1985), many moves between two timings: each step aims a little
below the slowest path, values a larger strength of every cell on paths that miss the aim by what its own delay
gains and its drivers lose, and takes the best fifth. All instances of a module share its cells, so a gain is the mean
over its late arcs in all of them. The descent does not depend on the period: it ends at the first state that meets it.
A longer period therefore never costs more area.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from costmodel.groundtruth.flatten import Ints
from costmodel.groundtruth.nldm import Floats
from costmodel.groundtruth.sta import Graph, Wave

#: Steps aim at this share of the slowest path until they reach it, and take this share of useful moves; the descent
#: ends after so many steps without a faster state; a move must gain this many ps.
_AIM, _SHARE, _PATIENCE, _LEAST = 0.97, 0.2, 15, 0.01
_STEPS = 300


@dataclass(frozen=True)
class Sized:
    """Cells that change, `(module, cell)` to the name of a library cell, and the delay reached in ps."""

    changes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    delay_ps: float = 0.0


def size(graph: Graph, period_ps: float) -> Sized:
    """Drive strengths that meet a period, or those of the shortest period reached."""
    state = _State(graph)
    best, delay = state.sizes.copy(), state.time()
    aim, stuck = delay * _AIM, 0
    for _ in range(_STEPS):
        if delay <= period_ps or stuck == _PATIENCE or not state.step(aim, _SHARE):
            break
        if state.time() < delay:
            best, delay, stuck = state.sizes.copy(), state.delay, 0
        else:
            stuck += 1
        if delay <= aim:
            aim = delay * _AIM
    return Sized(state.names(best), delay)


class _State:
    """A graph with one strength for each cell of a module."""

    def __init__(self, graph: Graph) -> None:
        self.graph = g = graph
        flat = g.flat
        self.origin = np.concatenate([flat.origins[kind] for kind in g.kinds] or [np.zeros(0, np.int64)])
        self.sizes = np.zeros(len(flat.templates), np.int64)
        self.sizes[self.origin] = g.sizes
        self.start = self.sizes.copy()
        counts = [len(flat.cells[kind]) for kind in g.kinds]
        self.kind = np.repeat(np.arange(len(g.kinds)), counts)
        width = max((len(group) for group in g.strengths), default=1)
        self.areas = np.full((len(g.kinds), width), np.inf)
        for row, group in enumerate(g.strengths):
            self.areas[row, : len(group)] = [cell.area for cell in group]
        self.kind_of = np.zeros(len(flat.templates), np.int64)
        self.kind_of[self.origin] = self.kind
        self.count = np.bincount(self.origin, minlength=len(flat.templates))
        self.ends = (g.captures, g.leaving)
        self.delay = 0.0

    def time(self) -> float:
        """Time the graph; the slowest path in ps."""
        g = self.graph
        g.resize(self.sizes[self.origin])
        launch, inputs = g.from_registers(), g.from_inputs(None)
        launch.arrival = np.maximum(launch.arrival, inputs.arrival)
        launch.slew = np.maximum(launch.slew, inputs.slew)
        self.wave = Wave(g, launch)
        self.delay = max(self.wave.latest(ends) for ends in self.ends)
        return self.delay

    def names(self, sizes: Ints) -> dict[tuple[str, str], str]:
        """Cells that changed."""
        g = self.graph
        return {
            g.flat.templates[k]: g.strengths[int(self.kind_of[k])][int(sizes[k])].name
            for k in np.flatnonzero(sizes != self.start)
        }

    def step(self, aim: float, share: float) -> bool:
        """Enlarge the best cells on paths that are slower than `aim`; False where nothing helps."""
        g, wave = self.graph, self.wave
        late = wave.slack(aim, self.ends) < 0
        edges = np.flatnonzero(late)
        if not len(edges):
            return False
        width = self.areas.shape[1]
        gains = np.full((len(self.sizes), width), -np.inf)
        loss = self._driver_loss(edges)
        for size in range(width):
            usable = np.isfinite(self.areas[self.kind[g.instance[edges]], size])
            bigger = usable & (size > g.sizes[g.instance[edges]])
            chosen = edges[bigger]
            if len(chosen):
                gain = self._gain(chosen, size, loss)
                owner = self.origin[g.instance[chosen]]
                number = np.bincount(owner, minlength=len(self.sizes))
                seen = number > 0
                gains[seen, size] = np.bincount(owner, gain, len(self.sizes))[seen] / number[seen]
        return self._take(gains, share)

    def _gain(self, edges: Ints, size: int, loss: Floats) -> Floats:
        """Time that a strength gains on each edge: less delay, but more load for what drives it."""
        g = self.graph
        part, source, before = g.part[edges], g.source[edges], g.before[edges]
        now = self.wave.delay[edges]
        then = g.tables.read(g.delays[part, size], self.wave.slew[source, before], g.load[g.target[edges]])
        more = (
            g.pin_caps[part, min(size, g.pin_caps.shape[1] - 1)]
            - g.pin_caps[part, g.sizes[g.instance[edges]]]
        )
        gain: Floats = now - then - more * loss[source]
        return gain

    def _driver_loss(self, edges: Ints) -> Floats:
        """ps that one more fF costs on each net, on late edges into it."""
        g = self.graph
        target = g.target[edges]
        slews, load = self.wave.slew[g.source[edges], g.before[edges]], g.load[target]
        step = 0.1 * load + 0.1
        rows = g.delay_table[edges]
        slope = (g.tables.read(rows, slews, load + step) - g.tables.read(rows, slews, load)) / step
        found = np.zeros(g.flat.nets + 1)
        np.maximum.at(found, target, slope)
        return found

    def _take(self, gains: Floats, share: float) -> bool:
        rows = self.areas[self.kind_of]
        extra = rows - rows[np.arange(len(rows)), self.sizes][:, None]
        cost = np.maximum(extra, 1e-3) * np.maximum(self.count, 1)[:, None]
        score = np.divide(gains, cost, out=np.zeros_like(gains), where=gains > _LEAST)
        size = score.argmax(axis=1)
        value = score[np.arange(len(size)), size]
        useful = np.flatnonzero(value > 0)
        if not len(useful):
            return False
        best = useful[np.argsort(-value[useful], kind="stable")]
        taken = best[: max(1, int(len(best) * share))]
        self.sizes = self.sizes.copy()
        self.sizes[taken] = size[taken]
        return True
