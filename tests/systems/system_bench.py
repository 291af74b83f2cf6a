"""Programs by hand for the top of a system: runs of its units on operands in memory, from the families' own data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from blueprint.spec import Spec
from blueprint.systems import control
from blueprint.systems.control import Hardware
from blueprint.systems.instructions import (
    HOLD,
    KEEP,
    LAST_BIT,
    MOVED,
    NARROW_BIT,
    REPEAT,
    Instruction,
    assemble,
)
from blueprint.systems.memory_port import BEHAVIORS, MemoryPort
from blueprint.systems.staging import PACKED_LEVELS, Staged
from generator.emission import emit
from generator.systems.top import SystemTop
from simulator.simulate import simulate
from simulator.systems import rtl
from simulator.systems.machine import Machine, Trace
from tests.systems.dma_bench import written

SIZE = 1 << 17
#: Where the programs stand, and from where on operands and results do.
PAGES, DATA = (1, 9), 1 << 16


def program(
    hardware: Hardware, folder: Path, engine: rtl.Engine = "cxxrtl", edit: tuple[str, str] | None = None
) -> Path:
    """The bench around a top; ``edit`` replaces a piece of the Verilog: a failing twin."""
    top = SystemTop(hardware)
    emitted = emit(top)
    source = written(emitted, folder / "top.v", edit)
    pins = {name: len(signal) for name, (_, signal) in top.pins.items()}
    return rtl.executable(hardware, [source], pins, emitted.top, engine)


def bytes_of(staged: Staged, values: Any, narrow: bool = False) -> bytes:
    """Beats of a field as they stand in memory: every element in its container, a word of codes as one."""
    if staged.packed:
        bits = staged.field.unpacked(values)
        octets = np.packbits(bits, axis=1, bitorder="little")
        return np.pad(octets, ((0, 0), (0, staged.beat_bytes - octets.shape[1]))).tobytes()
    container = staged.narrow if narrow else staged.container
    return np.ascontiguousarray(values.reshape(-1)).astype(f"<i{container}").tobytes()


def values_of(staged: Staged, data: bytes, narrow: bool = False) -> Any:
    """Beats of an output field from memory: the elements that the containers hold."""
    if narrow:
        octets = np.frombuffer(data, np.uint8).astype(np.int64)
        each = np.stack([octets & 15, octets >> 4], axis=1)
        return (each - (each >> 3 << 4)).reshape(-1, *staged.field.shape)
    kind = "i" if staged.field.signed and staged.field.format == "int" else "u"
    found = np.frombuffer(data, f"<{kind}{staged.container}").astype(np.int64)
    return found.reshape(-1, *staged.field.shape)


@dataclass
class Writing:
    """A program that is being written, and the memory that it is for."""

    hardware: Hardware
    code: list[Instruction] = field(default_factory=list)
    memory: Any = field(default_factory=lambda: np.zeros(SIZE, np.uint8))
    free: int = DATA
    runs: list[Run] = field(default_factory=list)

    def put(self, data: bytes) -> int:
        """Put something into memory; returns where."""
        place = self.take(len(data))
        self.memory[place : place + len(data)] = np.frombuffer(data, np.uint8)
        return place

    def take(self, size: int) -> int:
        """Room in memory."""
        place = self.free
        self.free += -(-size // 8) * 8 + 8
        assert self.free <= SIZE
        return place

    def say(self, kind: str, unit: str, register: int = 0, value: int = 0, **tokens: tuple[str, ...]) -> None:
        self.code.append(Instruction(kind, unit, register=register, value=value, **tokens))

    def move(self, unit: str, place: int, address: int, size: int, rows: int = 1, **more: Any) -> None:
        """One transfer of ``rows`` equal rows that follow one another."""
        index, stride, kinds = more.pop("index", 0), more.pop("stride", size // rows), more.pop("kinds", {})
        values = (address, size // rows, rows, stride, place, index)
        for register, value in enumerate(values):
            self.say(kinds.get(MOVED[register], "set"), unit, register, value)
        self.say("start", unit, **more)

    def run(
        self, unit: str, task: Any, seed: int, *, narrow: bool = False, repeat: int = 0, packs: bool = False
    ) -> Run:
        """Operands to staging, a run, and results to memory.

        Rows are in ``narrow`` containers; what is the same for all rows is loaded once and goes round. A store
        ``packs`` results that have a narrow container.
        """
        spec = self.hardware.units[unit]
        operands = spec.operands(task, seed)
        beats, registers = spec.stimulus(operands), spec.register_values(task)
        rows = _rows(spec, task)
        mine = [one for one in self.hardware.inputs if one.unit == unit and len(beats.get(one.stream, ()))]
        for one in mine:
            values = spec.stream(one.stream).unpack_fields(beats[one.stream])[one.field.name]
            values = values[:: len(values) // rows] if one.held else values
            values = values[: len(values) // repeat] if one.repeats and repeat else values
            small = narrow and one.narrow > 0
            data = bytes_of(one, values, small)
            last = one.carrier << LAST_BIT | small << NARROW_BIT
            tokens = {"signal": (unit,)} if one is mine[-1] else {}
            self.move("load", one.number | last, self.put(data), len(data), **tokens)
        numbers = {register.name: register.address // 4 for register in spec.registers()}
        for name, value in registers.items():
            self.say("set", unit, numbers[name], value)
        outs = [one for one in self.hardware.outputs if one.unit == unit]
        held = [len(beats[one.stream]) // rows for one in mine if one.carrier][:1]
        for register, value in ((HOLD, held[0]), (KEEP, (1 << len(outs)) - 1), (REPEAT, repeat)):
            if register != REPEAT or self.hardware.staging(unit).repeat:
                self.say("set", unit, register, value)
        self.say("start", unit, wait=("load",), signal=("store",))
        found = Run(unit, task, operands, registers, packs)
        count = len(_expected(spec, operands, task))
        for one in outs:
            few = packs and one.packs > 0
            size = one.moved_bytes(few) * (rows if one.held else 1 if one.once else count)
            found.stored[one.number] = address = self.take(size), size
            tokens = {"wait": (unit,)} if one is outs[0] else {}
            self.move("store", one.number | few << NARROW_BIT, address[0], size, **tokens)
        self.runs.append(found)
        return found

    def end(self) -> None:
        """The last instruction; puts the program into memory."""
        self.code.append(Instruction("end"))
        code = assemble(self.code)
        for page in PAGES:
            self.memory[4096 * page : 4096 * page + len(code)] = np.frombuffer(code, np.uint8)

    def registers(self, **changed: int) -> dict[str, int]:
        """What the host writes for one pass."""
        number = int(self.hardware.design_hash, 16)
        found = {
            "prompt_page": PAGES[0], "prompt_length": len(self.code), "decode_page": PAGES[1],
            "decode_length": len(self.code), "decode_passes": 1, "prompt_passes": 0, "position": 0,
            "image_lo": number & 0xFFFFFFFF, "image_hi": number >> 32, "interrupt": 3,
        }  # fmt: skip
        return found | changed

    def model(self, memories: Sequence[MemoryPort], passes: int = 1, **more: Any) -> Trace:
        """What the model says of as many passes."""
        todo = {unit: [run for run in self.runs if run.unit == unit] for unit in self.hardware.units}
        turns = {unit: iter(runs * passes) for unit, runs in todo.items()}

        def cycles(unit: str, registers: Mapping[int, int]) -> int:
            run, spec = next(turns[unit]), self.hardware.units[unit]
            numbers = {register.name: register.address // 4 for register in spec.registers()}
            assert {name: registers[numbers[name]] for name in run.registers} == run.registers
            return int(spec.facets.schedule.cycles_of(spec, run.task, run.operands))

        pages = [PAGES[1]] * passes
        return Machine(self.hardware, [self.code] * passes, pages, memories, cycles, **more).run()


@dataclass
class Run:
    """A run of a unit: what it is of, and where its results were stored: (address, bytes) by staged field.

    ``packs`` says that integers were stored in narrow containers.
    """

    unit: str
    task: Any
    operands: Any
    registers: dict[str, int]
    packs: bool = False
    stored: dict[int, tuple[int, int]] = field(default_factory=dict)

    def results(self, hardware: Hardware, memory: bytes) -> dict[str, Any]:
        """The results as the family collects them from beats that the stored fields are put together to."""
        spec, beats = hardware.units[self.unit], {}
        for stream in (one for one in spec.streams() if one.direction == "out"):
            count = len(_stream_beats(spec, self.operands, self.task, stream.name))
            fields = {}
            for one in (
                one for one in hardware.outputs if (one.unit, one.stream) == (self.unit, stream.name)
            ):
                address, size = self.stored[one.number]
                values = values_of(one, memory[address : address + size], self.packs and one.packs > 0)
                fields[one.field.name] = np.repeat(values, count // len(values), axis=0)
            beats[stream.name] = stream.pack_fields(fields)
        found: dict[str, Any] = spec.collect(beats, self.task)
        return found


def _rows(spec: Spec, task: Any) -> int:
    return int(getattr(task, "rows", 1))


def _expected(spec: Spec, operands: Any, task: Any) -> Any:
    """One entry for each beat of the first output stream."""
    return _stream_beats(
        spec, operands, task, next(one.name for one in spec.streams() if one.direction == "out")
    )


def _stream_beats(spec: Spec, operands: Any, task: Any, name: str) -> Any:
    return simulate(spec, task, accepted=True, operands=operands).accepted[name]


def memories(behavior: str = "fixed", **changed: Any) -> list[MemoryPort]:
    """The memory behind fetch, load and store: one behavior, seeds of their own."""
    port = dataclasses.replace(BEHAVIORS[behavior], size=SIZE, **changed)
    return [dataclasses.replace(port, seed=seed) for seed in (1, 7, 9)]


def compared(bench: Path, writing: Writing, behavior: str) -> None:
    """Run a program in RTL and in the model: results of the families' golden models, and every begin and end."""
    ports = memories(behavior)
    (found,), left = rtl.run(
        bench, writing.hardware, writing.memory.tobytes(), [rtl.Job(writing.registers(), ports)]
    )
    assert status(found) == {"done": 1}
    for run in writing.runs:
        results = run.results(writing.hardware, left)
        golden = writing.hardware.units[run.unit].reference(run.operands)
        for name, values in golden.items():
            if name == "quantized" and run.packs:
                values = np.clip(values, -PACKED_LEVELS, PACKED_LEVELS)
            if name in results:
                np.testing.assert_array_equal(results[name], values, err_msg=f"{run.unit} {name}")
    agrees(found, writing.model(ports))


def agrees(found: rtl.Found, trace: Trace) -> None:
    """Every begin and end, every request, and the end of all."""
    assert {
        unit: [(one.begin, one.end) for one in spans] for unit, spans in trace.spans.items()
    } == found.spans()
    for mover in ("fetch", "load", "store"):
        mine = [(s.cycle, s.address, s.words) for s in found.steps if s.what == "request" and s.unit == mover]
        assert trace.requests.get(mover, []) == mine
    assert trace.cycles == found.cycles


def status(found: rtl.Found) -> dict[str, int]:
    """The fields of the status that are not 0."""
    word = found.registers["status"]
    parts = {name: word >> low & ((1 << width) - 1) for name, (low, width) in control.STATUS.items()}
    return {name: value for name, value in parts.items() if value}
