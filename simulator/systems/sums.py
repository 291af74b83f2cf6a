"""Where the cycles and bytes of passes go: by unit, reason, layer and step, added up pass by pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from blueprint.record import Integers
from blueprint.systems.instructions import MOVERS, UNITS, WORD_BYTES
from blueprint.systems.runs import Runs
from compiler.purpose import Purpose
from simulator.engine import dispatch
from simulator.systems.passes import Ran, Table

_REASONS = (*UNITS, "instructions")


@dataclass(frozen=True)
class Sums:
    """What passes did: cycles in which units run or move, are set, those that they wait and for what, bytes and work.

    ``layers`` and ``steps`` have cycles by unit, ``layer_bytes`` and ``step_bytes`` what was moved for them. ``peak``
    is the work of every unit in multiply-accumulates.
    """

    busy: Counter[str] = field(default_factory=Counter)
    sets: Counter[str] = field(default_factory=Counter)
    waits: dict[str, Counter[str]] = field(default_factory=lambda: {unit: Counter() for unit in UNITS})
    layers: dict[str, Counter[str]] = field(default_factory=dict)
    steps: dict[str, Counter[str]] = field(default_factory=dict)
    layer_bytes: Counter[str] = field(default_factory=Counter)
    step_bytes: Counter[str] = field(default_factory=Counter)
    traffic: Counter[str] = field(default_factory=Counter)
    macs: Counter[str] = field(default_factory=Counter)


class Adding:
    """Adds up passes of one program, whose instructions ``notes`` tell the purposes of."""

    def __init__(self, runs: Runs, program: Table, notes: Sequence[tuple[Purpose, int]]) -> None:
        self.runs, self.program = runs, program
        self.sums = Sums()
        code = program.code
        self._starts = np.flatnonzero((code.kinds == dispatch.RUN) | (code.kinds == dispatch.MOVE))
        self._moves = np.flatnonzero(code.kinds == dispatch.MOVE)
        purposes = [purpose for purpose, _ in notes]
        self._layers, self._layer = _numbered([purpose.mark for purpose in purposes])
        self._steps, self._step = _numbered([purpose.step for purpose in purposes])
        self._kinds, self._kind = _numbered([purpose.kind for purpose in purposes])
        self._macs = program.unknown()

    def add(self, ran: Ran) -> None:
        """Add a pass."""
        code, sums = self.program.code, self.sums
        lengths = (ran.ends - ran.begins + 1)[self._starts]
        units = code.units[self._starts]
        sums.busy.update(_named(UNITS, np.bincount(units, lengths, len(UNITS))))
        self._wait(ran)
        for names, numbers, into in (
            (self._layers, self._layer, sums.layers),
            (self._steps, self._step, sums.steps),
        ):
            count = len(UNITS)
            cells = np.bincount(numbers[self._starts] * count + units, lengths, len(names) * count)
            for name, row in zip(names, cells.reshape(-1, count), strict=True):
                into.setdefault(name, Counter()).update(_named(UNITS, row))
        self._move(self.program.bytes(ran.position)[code.jobs[self._moves]])
        macs = self.program.of_runs(
            ran.position, lambda unit, mine: self.runs.task(unit, mine).macs, self._macs
        )
        starts = code.kinds == dispatch.RUN
        worked = np.bincount(code.units[starts], macs[code.jobs[starts]], len(UNITS))
        sums.macs.update(_named(UNITS, worked))

    def _wait(self, ran: Ran) -> None:
        """Cycles in which units are set, and wait for tokens; what they wait for instructions is the rest of all."""
        executed = self.program.code.units >= 0
        cells = self.program.code.units[executed] * len(_REASONS) + ran.reasons[executed]
        sets = executed & (self.program.code.kinds < dispatch.RUN)
        lengths = (ran.ends - ran.begins + 1)[sets]
        self.sums.sets.update(_named(UNITS, np.bincount(self.program.code.units[sets], lengths, len(UNITS))))
        found = np.bincount(cells, ran.waited[executed], len(UNITS) * len(_REASONS)).reshape(len(UNITS), -1)
        for unit, row in zip(UNITS, found, strict=True):
            self.sums.waits[unit].update(_named(_REASONS, row))

    def _move(self, sizes: Integers) -> None:
        sums, code, moves = self.sums, self.program.code, self._moves
        for names, numbers, into in (
            (self._layers, self._layer, sums.layer_bytes),
            (self._steps, self._step, sums.step_bytes),
        ):
            into.update(_named(names, np.bincount(numbers[moves], sizes, len(names))))
        for unit in MOVERS:
            mine = code.units[moves] == UNITS.index(unit)
            kinds = np.bincount(self._kind[moves][mine], sizes[mine], len(self._kinds))
            sums.traffic.update(_named([f"{kind} {unit}" for kind in self._kinds], kinds))
        sums.traffic["program fetch"] += WORD_BYTES * len(code.kinds)


def stalls(found: Sums, cycles: int) -> dict[str, dict[str, int]]:
    """Cycles in which a unit has nothing to do, by the unit whose token it waits for; else ``instructions``."""
    reasons = {}
    for unit in UNITS:
        waited = found.waits[unit]
        rest = cycles - found.busy[unit] - found.sets[unit] - sum(waited.values())
        reasons[unit] = {name: value for name, value in {"instructions": rest, **waited}.items() if value}
    return reasons


def total(parts: Sequence[Sums]) -> Sums:
    """The sums of several programs together."""
    found = Sums()
    for part in parts:
        for name in ("busy", "sets", "layer_bytes", "step_bytes", "traffic", "macs"):
            getattr(found, name).update(getattr(part, name))
        for name in ("waits", "layers", "steps"):
            for key, counts in getattr(part, name).items():
                getattr(found, name).setdefault(key, Counter()).update(counts)
    return found


def _numbered(names: Sequence[str]) -> tuple[list[str], Integers]:
    """Different names in the order in which they come, and the number of each one's."""
    places = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return list(places), np.array([places[name] for name in names], np.int64)


def _named(names: Sequence[str], values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Counter[str]:
    return Counter({name: int(value) for name, value in zip(names, values.tolist(), strict=True) if value})
