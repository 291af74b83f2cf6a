"""Where the cycles and bytes of passes go: by unit, reason, layer and step, added up pass by pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from blueprint.record import Integers
from blueprint.systems.instructions import MOVED, MOVERS, UNITS, WORD_BYTES
from blueprint.systems.runs import Runs
from compiler.purpose import Purpose
from simulator.engine import dispatch
from simulator.systems.passes import Ran, Table


@dataclass(frozen=True)
class Sums:
    """Sums over passes: cycles in which units run or move, are set, those that they wait and for what, bytes and work.

    ``layers`` and ``steps`` have cycles by unit, ``layer_bytes`` and ``step_bytes`` what was moved for them,
    ``layer_macs`` and ``step_macs`` the work by unit in multiply-accumulates, ``macs`` all of it, and ``buffered`` the
    bytes that pass each buffer.
    """

    busy: Counter[str] = field(default_factory=Counter)
    sets: Counter[str] = field(default_factory=Counter)
    waits: dict[str, Counter[str]] = field(default_factory=lambda: {unit: Counter() for unit in UNITS})
    layers: dict[str, Counter[str]] = field(default_factory=dict)
    steps: dict[str, Counter[str]] = field(default_factory=dict)
    layer_bytes: Counter[str] = field(default_factory=Counter)
    step_bytes: Counter[str] = field(default_factory=Counter)
    layer_macs: dict[str, Counter[str]] = field(default_factory=dict)
    step_macs: dict[str, Counter[str]] = field(default_factory=dict)
    traffic: Counter[str] = field(default_factory=Counter)
    buffered: Counter[str] = field(default_factory=Counter)
    macs: Counter[str] = field(default_factory=Counter)


class Adding:
    """Adds up passes of one program, whose instructions ``notes`` tell the purposes of."""

    def __init__(self, runs: Runs, program: Table, notes: Sequence[tuple[Purpose, int]]) -> None:
        self.runs, self.program = runs, program
        self._reasons = (*program.units, "instructions")
        code = program.code
        self._starts = np.flatnonzero((code.kinds == dispatch.RUN) | (code.kinds == dispatch.MOVE))
        self._moves = np.flatnonzero(code.kinds == dispatch.MOVE)
        purposes = [purpose for purpose, _ in notes]
        self._layers, self._layer = _numbered([purpose.mark for purpose in purposes])
        self._steps, self._step = _numbered([purpose.step for purpose in purposes])
        self._kinds, self._kind = _numbered([purpose.kind for purpose in purposes])
        self._known = program.unknown()
        self._lengths = np.zeros(len(code.kinds), np.int64)
        self._waited = np.zeros(len(program.units) * len(self._reasons), np.int64)
        self._sizes = np.zeros(len(self._moves), np.int64)
        self._macs = np.zeros(len(program.runs), np.int64)
        self._executed = np.flatnonzero(code.units >= 0)
        self._cells = np.maximum(code.units, 0) * len(self._reasons)
        self._moved = code.jobs[self._moves]
        places = program.moved[self._moved, MOVED.index("place")].tolist()
        movers = [program.units[unit] for unit in code.units[self._moves].tolist()]
        through = [runs.hardware.buffer(*one) for one in zip(movers, places, strict=True)]
        self._buffers, self._buffer = _numbered(through)
        self._passes = 0

    def add(self, ran: Ran) -> None:
        """Add a pass."""
        self._passes += 1
        self._lengths += ran.ends
        self._lengths -= ran.since
        waits = np.bincount(self._cells + ran.reasons, ran.waited, len(self._waited))
        self._waited += waits.astype(np.int64)
        self._sizes += self.program.bytes(ran.position)[self._moved]
        self._macs += self.program.of_runs(
            ran.position, lambda unit, mine: self.runs.task(unit, mine).macs, self._known
        )

    def sums(self) -> Sums:
        """Sums over all passes."""
        code, found, names = self.program.code, Sums(), self.program.units
        count = len(names)
        each = self._lengths + self._passes
        units, lengths = code.units[self._starts], each[self._starts]
        found.busy.update(_named(names, np.bincount(units, lengths, count)))
        sets = self._executed[code.kinds[self._executed] < dispatch.RUN]
        found.sets.update(_named(names, np.bincount(code.units[sets], each[sets], count)))
        for unit, row in zip(names, self._waited.reshape(count, -1), strict=True):
            found.waits.setdefault(unit, Counter()).update(_named(self._reasons, row))
        runs = np.flatnonzero(code.kinds == dispatch.RUN)
        work = self._macs[code.jobs[runs]]
        found.macs.update(_named(names, np.bincount(code.units[runs], work, count)))
        for marks, numbers, into, macs, moved in (
            (self._layers, self._layer, found.layers, found.layer_macs, found.layer_bytes),
            (self._steps, self._step, found.steps, found.step_macs, found.step_bytes),
        ):
            into.update(_by_unit(marks, names, numbers[self._starts], units, lengths))
            macs.update(_by_unit(marks, names, numbers[runs], code.units[runs], work))
            moved.update(_named(marks, np.bincount(numbers[self._moves], self._sizes, len(marks))))
        for unit in MOVERS:
            mine = code.units[self._moves] == names.index(unit)
            kinds = np.bincount(self._kind[self._moves][mine], self._sizes[mine], len(self._kinds))
            found.traffic.update(_named([f"{kind} {unit}" for kind in self._kinds], kinds))
        through = np.bincount(self._buffer, self._sizes, len(self._buffers))
        found.buffered.update(_named(self._buffers, through))
        found.traffic["program fetch"] += self._passes * WORD_BYTES * len(code.kinds)
        return found


def stalls(found: Sums, cycles: int) -> dict[str, dict[str, int]]:
    """Cycles in which a unit has nothing to do, by the unit whose token it waits for; else ``instructions``."""
    reasons = {}
    for unit, waited in found.waits.items():
        rest = cycles - found.busy[unit] - found.sets[unit] - sum(waited.values())
        reasons[unit] = {name: value for name, value in {"instructions": rest, **waited}.items() if value}
    return reasons


def total(parts: Sequence[Sums]) -> Sums:
    """The sums of several programs together."""
    found = Sums()
    for part in parts:
        for name in ("busy", "sets", "layer_bytes", "step_bytes", "traffic", "buffered", "macs"):
            getattr(found, name).update(getattr(part, name))
        for name in ("waits", "layers", "steps", "layer_macs", "step_macs"):
            for key, counts in getattr(part, name).items():
                getattr(found, name).setdefault(key, Counter()).update(counts)
    return found


def _numbered(names: Sequence[str]) -> tuple[list[str], Integers]:
    """Different names in the order in which they come, and the number of each one's."""
    places = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return list(places), np.array([places[name] for name in names], np.int64)


def _by_unit(
    marks: Sequence[str], names: Sequence[str], numbers: Integers, units: Integers, values: Integers
) -> dict[str, Counter[str]]:
    """Sums of values by mark and by the name of the unit."""
    count = len(names)
    cells = np.bincount(numbers * count + units, values, len(marks) * count)
    return {mark: _named(names, row) for mark, row in zip(marks, cells.reshape(-1, count), strict=True)}


def _named(names: Sequence[str], values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Counter[str]:
    return Counter({name: int(value) for name, value in zip(names, values.tolist(), strict=True) if value})
