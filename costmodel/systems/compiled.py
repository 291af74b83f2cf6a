"""Time and traffic of a system that can be compiled, of the programs that the compiler writes for a model.

So bytes are those of every transfer, in the containers of staging, and cycles those of `costmodel.systems.schedule`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from blueprint.errors import ParamError
from blueprint.systems import control, rules
from blueprint.systems.control import Hardware
from blueprint.systems.description import DMA, System
from blueprint.systems.instructions import MOVERS, WORD_BYTES
from blueprint.systems.memory_port import of_memory
from blueprint.systems.runs import Runs
from blueprint.workloads.model import Model
from blueprint.workloads.tasks import Rowwise
from compiler.compile import Plan, compile_shapes
from compiler.plan import SCORED
from compiler.prompts import DECODE, turns
from compiler.purpose import NO_LAYER, SCORES
from costmodel.systems import schedule
from costmodel.systems.schedule import Schedule, Started

#: Number of passes of a prompt that are scheduled; the cycles of the others are interpolated linearly.
KNOTS = 9
#: Beside buffers, the bytes of a part that are loaded.
_LOADED = "loaded"


@dataclass(frozen=True)
class Part:
    """What the runs of one note in one layer do: as `blueprint.systems.operations.Operation` is seen by an estimate.

    ``buffered`` are the bytes that pass through each buffer, ``loaded`` those that come by the port of loads.
    """

    name: str
    kind: str
    place: str
    steps: int
    macs: int
    times: int
    traffic: int
    buffered: tuple[tuple[str, int], ...] = ()
    loaded: int = 0


@dataclass(frozen=True)
class Run:
    """A part, cycles from the end of the one before to its own, and those in which its unit works."""

    part: Part
    cycles: float
    compute: float


def asked_of(system: System, model: Model) -> tuple[Hardware, Model]:
    """The hardware of a system, and the model that is compiled for it: programs follow from both alone.

    Raises ``ParamError`` where there is no such hardware.
    """
    hardware = control.hardware(system)
    if model is system.largest:  # the largest model may use any gate, so it uses that of the unit
        model = replace(model, activation=hardware.units["vector"].gate_function)
    return hardware, model


def hardware_of(system: System) -> Hardware | None:
    """The hardware of a system that has one of its own: no host, and one unit of each kind; else ``None``."""
    try:
        return asked_of(system, system.largest)[0]
    except ParamError:
        return None


def plan_of(system: System, model: Model) -> Plan:
    """The programs of a model on a system. Raises ``ParamError``, which says why there are none."""
    plan = compile_shapes(*asked_of(system, model))
    rules.check_image(system, model, plan.layout.end)
    return plan


def decode(system: System, plan: Plan, clock_mhz: float, context: int) -> list[Run]:
    """The pass that chooses a token behind ``context`` others."""
    return _Passes(system, plan, clock_mhz, DECODE).at([context], np.ones(1))


def prefill(system: System, plan: Plan, clock_mhz: float, prompt: int) -> list[Run]:
    """The passes of a prompt, of a token or a block each, the last of which chooses the first token behind it."""
    passes = turns(prompt, 1, plan.block)[:-1]
    found: list[Run] = []
    if passes:
        at = [turn.position for turn in passes]
        window = plan.hardware.window  # from there on passes have the same sizes
        bends = {place for place in (window - 1, window) if 0 < place < len(at)}
        knots = sorted({round(place) for place in np.linspace(0, len(at) - 1, KNOTS)} | bends)
        places = [at[knot] for knot in knots]
        weights = np.array([np.interp(at, places, row).sum() for row in np.eye(len(places))])
        found += _Passes(system, plan, clock_mhz, passes[0].program).at(places, weights)
    return found + decode(system, plan, clock_mhz, prompt - 1)


class _Passes:
    """Passes of one program."""

    def __init__(self, system: System, plan: Plan, clock_mhz: float, name: str) -> None:
        self.system, self.plan, self.program = system, plan, plan.program(name)
        self.port = of_memory(system.memory, clock_mhz)
        self.runs = Runs(plan.hardware)
        self._roles = {role.name: role for role in plan.hardware.roles}

    def at(self, positions: Sequence[int], weights: NDArray[np.float64]) -> list[Run]:
        """Runs of passes at some positions, each so often; the same runs are in every pass."""
        found = [self._pass(position) for position in positions]
        return [_weighted([each[number] for each in found], weights) for number in found[0]]

    def _pass(self, position: int) -> dict[int, Run]:
        """Runs by the number of their instruction, in the order in which they end, which may be another elsewhere."""
        done = schedule.Pass(self.plan.hardware, self.port, self.runs, position).run(
            self.program.instructions
        )
        moved = self._moved(done)
        units = sorted((one for one in done.starts if one.unit not in MOVERS), key=lambda one: one.end)
        fetched = WORD_BYTES * len(self.program.instructions)
        found, now = {-1: Run(Part("program", "program", DMA, 0, 0, 1, fetched), 0.0, 0.0)}, 0
        for place, one in enumerate(units):
            end = one.end + 1 if place < len(units) - 1 else done.cycles
            bytes_of = moved.pop(self._purpose(one), {})
            if not place:
                bytes_of = _sum(bytes_of, moved.pop((NO_LAYER, "token"), {}))
            part = self._part(one, done, bytes_of)
            alone = control.run_end(0, self.runs(one.unit, done.registers[one.number])) + 1
            found[one.number] = Run(part, end - now, min(end - now, alone))
            now = end
        return found

    def _purpose(self, one: Started) -> tuple[str, str]:
        """Layer and step of an instruction, whichever part of the step it does."""
        purpose, _ = self.program.notes[one.number]
        return purpose.mark, purpose.step

    def _moved(self, done: Schedule) -> dict[tuple[str, str], dict[str, int]]:
        """Bytes that pass through each buffer, and those that are loaded, by what they are for."""
        found: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for one in done.starts:
            if one.unit in MOVERS:
                mine = found[self._purpose(one)]
                mine[one.buffer] += one.size
                mine[_LOADED] += one.size * (one.unit == MOVERS[0])
        return found

    def _part(self, one: Started, done: Schedule, moved: dict[str, int]) -> Part:
        task = self.runs.task(one.unit, done.registers[one.number])
        mark, name = self._purpose(one)
        kind = "head" if name in (SCORES, SCORED) else self._roles[one.unit].kind
        macs = 0 if isinstance(task, Rowwise) else task.macs
        place = self.system.places[self._roles[one.unit].work]
        loaded = moved.pop(_LOADED, 0)
        buffered = tuple(sorted(moved.items()))
        return Part(name, kind, place, task.macs, macs, 1, sum(moved.values()), buffered, loaded)


def _sum(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    return {name: first.get(name, 0) + second.get(name, 0) for name in {*first, *second}}


def _weighted(same: Sequence[Run], weights: NDArray[np.float64]) -> Run:
    """One run of several passes, each counted so often: bytes and work are on a line, so that their sums are exact."""

    def total(values: Sequence[float]) -> float:
        return float(np.dot(values, weights))

    parts = [run.part for run in same]
    names = {name for part in parts for name, _ in part.buffered}
    buffered = {name: round(total([dict(part.buffered).get(name, 0) for part in parts])) for name in names}
    part = replace(
        parts[0],
        steps=round(total([part.steps for part in parts])),
        macs=round(total([part.macs for part in parts])),
        traffic=round(total([part.traffic for part in parts])),
        times=round(total([part.times for part in parts])),
        buffered=tuple(sorted(buffered.items())),
        loaded=round(total([part.loaded for part in parts])),
    )
    return Run(part, total([run.cycles for run in same]), total([run.compute for run in same]))
