"""Time, energy and area of a whole decoder on a model: every operation of a token and of a prompt is counted."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import accumulate, pairwise
from typing import Any, TypeVar

from blueprint.errors import ParamError
from blueprint.numbers import alone, ceil_div
from blueprint.spec import Spec
from blueprint.systems import inventory as inventories
from blueprint.systems import operations, rules
from blueprint.systems.control import Hardware
from blueprint.systems.description import DMA, HOST, System
from blueprint.systems.memory_port import of_memory
from blueprint.systems.operations import Operation
from blueprint.unit import Cells, flip_flops
from blueprint.workloads.model import Model
from blueprint.workloads.tasks import Task
from compiler.compile import Plan, compile_shapes
from costmodel.model import glitches
from costmodel.model.estimate import (
    MEMORIES,
    PJ_PER_NW_S,
    Busy,
    Cost,
    access_pj,
    macro_area,
    macro_leakage,
)
from costmodel.model.evaluate import cost_of
from costmodel.systems import compiled
from costmodel.systems.compiled import Part, Run
from costmodel.systems.timeline import Timeline, of_runs, timeline
from costmodel.technology.macros import TWO
from costmodel.technology.technology import Technology

#: What the numbers include and what they leave out, for readers of an answer.
ASSUMPTIONS = """\
Of a system that can be compiled, time and bytes are those of the compiler's programs: each transfer and each run in a
closed form of its cycles, instructions as they are fetched and dispatched, and fetch, load and store at the rate of the
memory each; a prompt goes in blocks of tokens where the system has them, else token by token. Of any other system:
Time: operations run one behind the other, each in the closed form of its unit's cycles or at the stated rate of the
host; memory fetches what they read ahead of them, as far as the buffers hold it (costmodel.systems.timeline), and a
pass begins with empty buffers. Start and end of an instruction, and refresh of the memory beyond its stated sustained
rate, take no time.
Energy: the clock of every unit and of what stands around them toggles in every cycle, cells leak through all the time,
switching comes with every multiply-accumulate, around units with every word of external memory; buffers are written and
read once for what memory gives, and once for what an operation takes or gives; memory costs energy per bit moved. A
host costs its stated power while it works, nothing where none is stated.
Area: units, buffers and what stands around the units: sequencer, control, movers, queues, staging. Buffers are the
memories of its FIFOs. Of a system without such hardware buffers have the bytes of its file, and what stands around the
units is in no number; neither is a host's."""

#: Most results of each kind (unit costs, programs, phases) that are remembered.
_REMEMBERED = 64
T = TypeVar("T")
#: Gives the runs of a phase: of a system and a plan at a clock in MHz, behind a number of tokens or for that number.
Passes = Callable[[System, Plan, float, int], list[Run]]

#: Buffers by name, and what no unit and no buffer is.
BUFFERS, AROUND = ("weights", "cache", "activations"), "around units"
#: The name of external memory among causes of time and energy.
MEMORY = "memory"
#: The name of all buffers together among energies.
BUFFERED = "buffers"


@dataclass(frozen=True)
class Buffer:
    """A buffer as a two-port memory: area in um2, energy of a byte written and read in pJ, leakage in nW."""

    area_um2: float
    pj_per_byte: float
    leakage_nw: float


@dataclass(frozen=True)
class Around:
    """What stands around the units beside buffers.

    Area in um2, clock in MHz, pJ of a cycle and of a word that is moved, leakage in nW.
    """

    area_um2: float
    clock_mhz: float
    cycle_pj: float
    word_pj: float
    leakage_nw: float

    def energy(self, cycles: float, words: float, seconds: float) -> float:
        """Energy in pJ of so many cycles, in which so many words pass the ports to memory."""
        return self.cycle_pj * cycles + self.word_pj * words + self.leakage_nw * seconds * PJ_PER_NW_S


@dataclass(frozen=True)
class Costs:
    """The costs of a system in a technology, before any work."""

    units: Mapping[str, Cost]
    buffers: Mapping[str, Buffer]
    around: Around | None = None

    @property
    def clocks_mhz(self) -> dict[str, float]:
        """The clock that each unit reaches, and what stands around them."""
        found = {name: alone(cost.clock_mhz) for name, cost in self.units.items()}
        return found | ({AROUND: self.around.clock_mhz} if self.around else {})

    @property
    def fastest_mhz(self) -> float:
        """The clock of the slowest of them."""
        return min(self.clocks_mhz.values())

    @property
    def area_um2(self) -> float:
        """Area of units, buffers and what stands around the units."""
        return sum(self.areas.values())

    @property
    def areas(self) -> dict[str, float]:
        """Area by unit and buffer in um2, and of what stands around the units beside buffers."""
        found = {name: alone(cost.area_um2) for name, cost in self.units.items()}
        found |= {f"{name} buffer": buffer.area_um2 for name, buffer in self.buffers.items()}
        return found | ({AROUND: self.around.area_um2} if self.around else {})

    def buffered(self, seconds: float, through: Mapping[str, int]) -> float:
        """Energy in pJ of the buffers in so many seconds, in which so many bytes pass each."""
        return sum(
            buffer.leakage_nw * seconds * PJ_PER_NW_S + buffer.pj_per_byte * through.get(name, 0)
            for name, buffer in self.buffers.items()
        )


@dataclass(frozen=True)
class Phase:
    """A phase: tokens that it serves, its operations in time, and energies by cause in pJ."""

    tokens: int
    time: Timeline
    energies: Mapping[str, float]

    @property
    def energy_pj(self) -> float:
        """Energy of the phase."""
        return sum(self.energies.values())


@dataclass(frozen=True)
class Estimate:
    """Answers about a system and a model: costs, the clock, and the phases ``decode`` (a token) and ``prefill``.

    ``uncompiled`` says why there is no program that the phases could be those of; empty where they are.
    """

    costs: Costs
    clock_mhz: float
    phases: Mapping[str, Phase]
    uncompiled: str = ""

    @property
    def tokens_per_second(self) -> float:
        """Tokens decoded in a second."""
        decode = self.phases["decode"]
        return decode.tokens / decode.time.seconds

    @property
    def energy_pj_per_token(self) -> float:
        """Energy of a token that is decoded."""
        decode = self.phases["decode"]
        return decode.energy_pj / decode.tokens

    @property
    def time_to_first_token_s(self) -> float | None:
        """Time of the prompt; ``None`` where none was asked for."""
        return self.phases["prefill"].time.seconds if "prefill" in self.phases else None

    @property
    def power_mw(self) -> float:
        """Power while tokens are decoded."""
        decode = self.phases["decode"]
        return decode.energy_pj / decode.time.seconds * 1e-9

    @property
    def meets_clock(self) -> bool:
        """True if the critical path of every unit allows the clock."""
        return self.clock_mhz <= self.costs.fastest_mhz * (1 + 1e-9)


def costs(system: System, technology: Technology, cost: Callable[[Spec], Cost] | None = None) -> Costs:
    """Area, energy and leakage of units and buffers. `ParamError` where the technology was not calibrated.

    ``cost`` stands for the cost of a unit in the technology, where that is remembered.
    """
    cost = cost or (lambda spec: cost_of(spec, technology))
    units = {name: cost(unit.spec) for name, unit in system.units.items()}
    hardware = compiled.hardware_of(system)
    if hardware is not None:
        buffers = {name: _staged(name, hardware, technology) for name in BUFFERS}
        return Costs(units, buffers, around(hardware, technology))
    sizes = {name: getattr(system.buffers, name) for name in BUFFERS}
    width = 8 * system.memory.beat_bytes
    return Costs(units, {name: _buffer(size, width, technology) for name, size in sizes.items()})


def estimate(
    system: System,
    model: Model,
    technology: Technology,
    context: int,
    prompt: int | None = None,
    batch: int = 1,
) -> Estimate:
    """What a system does with a token behind ``context`` others, and with a prompt, of ``batch`` sequences each.

    Raises ``ParamError`` if they do not fit.
    """
    return Estimator(technology)(system, model, context, prompt, batch=batch)


class Estimator:
    """Estimates systems in a technology one after the other: what they have in common is computed once.

    Remembered are the costs of units, the programs of hardware, and when their runs begin and end behind a memory port.
    """

    def __init__(self, technology: Technology) -> None:
        self.technology = technology
        self._cost = lru_cache(_REMEMBERED)(partial(cost_of, technology=technology))
        self._plans: dict[Hashable, Plan | ParamError] = {}
        self._runs: dict[Hashable, list[Run]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Estimator, (self.technology,)

    def costs(self, system: System) -> Costs:
        """Area, energy and leakage of units and buffers."""
        return costs(system, self.technology, self._cost)

    def compiles(self, system: System, model: Model) -> bool:
        """True if there are programs of a model on a system, whose numbers the estimate then has."""
        try:
            self._plan(system, model)
        except ParamError:
            return False
        return True

    def __call__(
        self,
        system: System,
        model: Model,
        context: int,
        prompt: int | None = None,
        *,
        programs: bool = True,
        batch: int = 1,
    ) -> Estimate:
        """What a system does with a token behind ``context`` others, and with a prompt, of ``batch`` sequences each.

        Without ``programs`` by its list of operations, also where there are programs. Raises ``ParamError`` where they
        do not fit, and for a batch without programs.
        """
        rules.check_model(system, model, context, prompt or 0)
        found = self.costs(system)
        clock = system.clock_mhz or found.fastest_mhz
        try:
            if not programs:
                raise ParamError("Programs must be asked for, and they are not")
            key, plan = self._plan(system, model, batch)
        except ParamError as problem:
            if batch != 1:
                raise problem if self.compiles(system, model) else _without_programs(batch, problem) from None
            times = {"decode": (1, _time(system, clock, operations.decode(system, model, context)))}
            if prompt is not None:
                times["prefill"] = prompt, _time(system, clock, operations.prefill(system, model, prompt))
            reason = str(problem)
        else:
            asked = {"decode": (1, compiled.decode, context), "prefill": (prompt, compiled.prefill, prompt)}
            times = {
                name: (
                    batch * tokens,
                    of_runs(system, self._phase(key, system, plan, clock, passes, at), clock),
                )
                for name, (tokens, passes, at) in asked.items()
                if tokens is not None and at is not None
            }
            reason = ""
        phases = {
            name: Phase(tokens, time, _energies(system, found, clock, time))
            for name, (tokens, time) in times.items()
        }
        return Estimate(found, clock, phases, reason)

    def _plan(self, system: System, model: Model, batch: int = 1) -> tuple[Hashable, Plan]:
        """The programs of a model on a system, and what they depend on. Raises ``ParamError``, also a second time."""
        hardware, model = compiled.asked_of(system, model)
        key = (hardware.design_hash, hardware.head, model, batch)
        made = partial(compile_shapes, hardware, model, batch)
        plan = _remembered(self._plans, key, lambda: _attempted(made))
        if isinstance(plan, ParamError):
            raise plan
        rules.check_image(system, model, plan.layout.end)
        return key, plan

    def _phase(
        self, key: Hashable, system: System, plan: Plan, clock_mhz: float, passes: Passes, at: int
    ) -> list[Run]:
        """The runs of a phase in cycles, which follow from the programs and the memory port."""
        places, port = tuple(system.places.items()), of_memory(system.memory, clock_mhz)
        return _remembered(
            self._runs, (key, places, port, passes.__name__, at), lambda: passes(system, plan, clock_mhz, at)
        )


def _without_programs(batch: int, problem: ParamError) -> ParamError:
    """The error of a batch on a system without programs, which alone take several sequences."""
    return ParamError(f"Batch must be 1 for a system without programs, not {batch}: {problem}")


def _attempted(made: Callable[[], Plan]) -> Plan | ParamError:
    try:
        return made()
    except ParamError as problem:
        return problem


def _remembered(known: dict[Hashable, T], key: Hashable, made: Callable[[], T]) -> T:
    """The value of a key, made where there is none; the oldest of many is forgotten."""
    if key not in known:
        if len(known) >= _REMEMBERED:
            del known[next(iter(known))]
        known[key] = made()
    return known[key]


def cycles_of(system: System, clock_mhz: float) -> Any:
    """The seconds in which the place of an operation computes it, as a function of the operation."""

    @cache
    def cycles(work: str, task: Task) -> int:
        spec = system.spec(work)
        assert spec is not None  # only work of a host has no spec; it has rates
        return int(spec.cycles(task))

    def seconds(op: Operation) -> float:
        if op.place == DMA:
            return 0.0
        if op.place == HOST:
            return _host_seconds(system, op)
        assert op.task is not None  # every other operation runs on a unit and has a task
        return op.runs * cycles(op.work, op.task) / (clock_mhz * 1e6)

    return seconds


def limit(phase: Phase, system: System) -> tuple[str, float]:
    """The busiest part of a phase, which bounds it, and its share of the time: memory's ports, a unit, or the host."""
    shares = {**busy(phase, system), MEMORY: phase.time.port_busy}
    name = max(shares, key=lambda place: shares[place])
    return name, shares[name]


def busy(phase: Phase, system: System) -> dict[str, float]:
    """Share of the time in which each place computes, and in which all wait for external memory."""
    places = [*system.units, *([HOST] if system.host else [])]
    total = phase.time.seconds
    found = {
        place: sum(step.compute for step in phase.time.steps if step.operation.place == place) / total
        for place in places
    }
    return found | {MEMORY: sum(step.wait for step in phase.time.steps) / total}


def rows(steps: Iterable[Any], clock_mhz: float) -> list[dict[str, Any]]:
    """The operations of all layers by name: how often, where, cycles with waiting, bytes and MACs of all together.

    Each number of cycles ends where the next begins, both rounded, so that they add up to those of all steps.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for step in steps:
        op: Operation | Part = step.operation
        row = found.setdefault(
            (op.name, op.place),
            {"name": op.name, "kind": op.kind, "place": op.place, "count": 0}
            | {"cycles": 0.0, "wait_cycles": 0.0, "bytes": 0, "macs": 0},
        )
        row["count"] += op.times
        row["cycles"] += (step.end - step.start) * clock_mhz * 1e6
        row["wait_cycles"] += step.wait * clock_mhz * 1e6
        row["bytes"] += op.traffic
        row["macs"] += op.macs
    for key in ("cycles", "wait_cycles"):
        ends = [round(end) for end in accumulate(row[key] for row in found.values())]
        for row, (begin, end) in zip(found.values(), pairwise([0, *ends]), strict=True):
            row[key] = end - begin
    return list(found.values())


def inventory(system: System) -> list[dict[str, Any]]:
    """The units of a system: family, module, work, peak and flip-flops."""
    return [
        {
            "name": name,
            "family": unit.spec.family,
            "module": unit.spec.name,
            "runs": list(unit.works),
            "peak_macs": int(unit.spec.peak_macs),
            "flip_flops": int(flip_flops(unit.spec.units())),
        }
        for name, unit in system.units.items()
    ]


def around(hardware: Hardware, technology: Technology) -> Around:
    """What stands around the units of hardware, without the memories of staging, which are its buffers."""
    found = glitches.cost(Cells(inventories.Around(hardware)), technology)
    memory = [unit for unit in inventories.beside_staging(hardware) if unit.kind in MEMORIES]
    accesses = sum(float(unit.count * unit.activity * access_pj(unit, technology)) for unit in memory)
    return Around(
        alone(found.area_um2) + float(macro_area(memory, technology)),
        alone(found.clock_mhz),
        alone(found.clock_pj),
        alone(found.switching_pj) + accesses,
        alone(found.leakage_nw) + float(macro_leakage(memory, technology)),
    )


def _staged(name: str, hardware: Hardware, technology: Technology) -> Buffer:
    """The memories of staging that are a buffer; a byte costs what a mean word of their FIFOs does."""
    mine = [stage for stage in inventories.stages(hardware) if stage.buffer == name]
    memories = [unit for stage in mine for unit in stage.memories]
    energy = sum(float(unit.count * access_pj(unit, technology)) for unit in memories)
    words = sum(stage.word_bytes for stage in mine)
    area, leaks = float(macro_area(memories, technology)), float(macro_leakage(memories, technology))
    return Buffer(area, energy / words if words else 0.0, leaks)


def _buffer(size: int, width: int, technology: Technology) -> Buffer:
    sram, words = technology.sram, ceil_div(8 * size, width)
    both = sram.read_pj(words, width, TWO) + sram.write_pj(words, width, TWO)
    return Buffer(
        float(sram.area_um2(words, width, TWO)),
        float(both) * 8 / width,
        float(sram.leakage_nw(words, width, TWO)),
    )


def _host_seconds(system: System, op: Operation) -> float:
    host = system.host
    assert host is not None  # the reader of the file assigns work to a host only if there is one
    if op.work == "head":
        return op.weights / (host.bandwidth_gb_s * 1e9)
    return op.elements / host.elements_per_s


def _time(system: System, clock: float, ops: tuple[Operation, ...]) -> Timeline:
    return timeline(system, ops, clock, cycles_of(system, clock))


def _energies(system: System, found: Costs, clock: float, time: Timeline) -> dict[str, float]:
    """Energy in pJ by unit, buffer, memory and host."""
    seconds, ops = time.seconds, [step.operation for step in time.steps]
    energies = {}
    for name, cost in found.units.items():
        steps = sum(op.steps for op in ops if op.place == name)
        full = steps / system.units[name].spec.peak_macs
        parts = cost.energy_parts(seconds * clock * 1e6, Busy(full, full), seconds)
        energies[name] = sum(alone(part) for part in parts.values())
    if found.around is not None:
        words = 8 * sum(op.traffic for op in ops) / system.memory.width
        energies[AROUND] = found.around.energy(seconds * clock * 1e6, words, seconds)
    energies[BUFFERED] = found.buffered(seconds, {name: _through(name, ops) for name in found.buffers})
    energies[MEMORY] = 8 * system.memory.energy_pj_per_bit * sum(op.traffic for op in ops)
    if system.host and system.host.power_w:
        worked = sum(step.compute for step in time.steps if step.operation.place == HOST)
        energies[HOST] = system.host.power_w * worked * 1e12
    return energies


def _through(buffer: str, ops: Iterable[Operation | Part]) -> int:
    """Bytes that are written to a buffer and read from it."""
    moved = sum(dict(op.buffered).get(buffer, 0) for op in ops if isinstance(op, Part))
    units = [op for op in ops if isinstance(op, Operation) and op.place != HOST]
    return moved + _operations(buffer, units)


def _operations(buffer: str, units: Iterable[Operation]) -> int:
    if buffer == "weights":
        return sum(op.weights for op in units)
    if buffer == "cache":
        return sum(op.cache_read for op in units)
    return sum(rules.ACTIVATION_BYTES * op.rows * (op.inputs + op.outputs) // 2 for op in units)
