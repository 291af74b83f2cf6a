"""Runs a whole system's Verilog: programs from memory, as the host starts them, to their interrupt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from blueprint import axi
from blueprint.systems.control import Hardware
from blueprint.systems.instructions import MOVERS, UNITS
from blueprint.systems.memory_port import NEVER, MemoryPort
from simulator.rtl.jobs import words
from toolchain import cxxrtl, files, process, verilator

Engine = Literal["cxxrtl", "verilator"]
_ENGINES: Mapping[str, Any] = {"cxxrtl": cxxrtl, "verilator": verilator}
#: Cycles after which a program that has not ended is given up.
LIMIT = 1_000_000
#: What the host writes to control to stop a program.
_STOP = 2


@dataclass(frozen=True)
class Job:
    """One start: control registers by name, behavior of the memory behind fetch, load and store.

    ``cut`` is a cycle before which the run is left as it stands, so that the next job has to ``reset``; ``stop`` one
    in which the host begins to write 1 to stop, ``late`` (cycle, register, value) what it writes otherwise.
    Without ``memories`` those of the job before go on, with the answers that they owe; they do so in any case for
    ``pause`` cycles before the host writes anything, and up to the start. Without ``start`` it only writes registers.
    """

    registers: Mapping[str, int]
    memories: Sequence[MemoryPort] = ()
    reset: bool = True
    cut: int = LIMIT
    stop: int | None = None
    late: tuple[int, str, int] | None = None
    pause: int = 0
    start: bool = True


@dataclass(frozen=True)
class Step:
    """An event of a cycle: ``begin`` or ``end`` of an instruction of a unit, or a request of a mover.

    ``landed`` is the end of the first load under way; what ends otherwise is what began last.
    """

    cycle: int
    what: str
    unit: str
    address: int = 0
    words: int = 0


@dataclass(frozen=True)
class Found:
    """Results of a job; ``registers`` are empty and ``cycles`` -1 where it was cut; ``units`` have queues."""

    steps: Sequence[Step]
    registers: Mapping[str, int]
    cycles: int = -1
    units: tuple[str, ...] = UNITS

    def spans(self) -> dict[str, list[tuple[int, int]]]:
        """Begin and end of every instruction that ended, by unit, in the order of their begins."""
        begun: dict[str, list[int]] = {unit: [] for unit in self.units}
        found: dict[str, list[tuple[int, int]]] = {unit: [] for unit in self.units}
        for step in self.steps:
            mine = begun[step.unit] if step.what in ("begin", "end", "landed") else []
            if step.what == "begin":
                mine.append(step.cycle)
            elif step.what in ("end", "landed"):
                first = mine.pop(-1 if step.what == "end" else 0)
                found[step.unit].append((first, step.cycle))
        return {unit: sorted(spans) for unit, spans in found.items()}


def executable(
    hardware: Hardware,
    verilog: Sequence[Path],
    pins: Mapping[str, int],
    top: str,
    engine: Engine = "verilator",
) -> Path:
    """The bench around a top, from its Verilog and the bits of its ports; from the cache if it is there."""
    mangle = _ENGINES[engine].mangle
    lines = [f"#define PORT_{name} {mangle(name)}" for name in pins]
    lines += [f"#define MASK_{name} 0x{(1 << min(bits, 64)) - 1:x}ull" for name, bits in pins.items()]
    for name in axi.LITE:
        lines += [f"#define {kind}HOST_{name} {kind}{axi.lite(name)}" for kind in ("PORT_", "MASK_")]
    lines += [f"#define TERNFORGE_TOP {mangle(top)}", f"#define WORD_BYTES {hardware.width // 8}"]
    lines += [f"#define RESET_CYCLES {axi.RESET_CYCLES}", '#include "ports.h"', ""]
    harness = resources.files("simulator.rtl").joinpath("harness")
    texts = {"numbers.h": "numbers.h", "axi_memory.h": "axi_memory.h", "ports.h": f"ports_{engine}.h"}
    sources = {"bench.cpp": harness.joinpath("system.cpp").read_text(), "binding.h": "\n".join(lines)}
    sources |= {name: harness.joinpath(file).read_text() for name, file in texts.items()}
    found: Path = _ENGINES[engine].executable(list(verilog), top, sources)
    return found


def of_folder(
    hardware: Hardware, manifest: Mapping[str, Any], folder: Path, engine: Engine = "verilator"
) -> Path:
    """The bench around a top that was exported to a folder with this manifest."""
    pins = {name: port["width"] for name, port in manifest["ports"].items()}
    return executable(hardware, [folder / name for name in manifest["files"]], pins, manifest["top"], engine)


def run(
    program: Path, hardware: Hardware, image: bytes, jobs: Sequence[Job], timeout_s: float = 600
) -> tuple[list[Found], bytes]:
    """Run jobs one after the other; return their results, and the memory that they left.

    Raises :class:`toolchain.process.ToolError` where a rule of AXI is broken or the run takes longer.
    """
    described = hardware.registers
    with files.scratch("ternforge-system-") as folder:
        (folder / "in").write_bytes(_packed(hardware, image, jobs))
        process.run(
            [program, folder / "in", folder / "out", folder / "image"], tool="bench", timeout_s=timeout_s
        )
        rows = [line.split() for line in (folder / "out").read_text().splitlines()]
        left = (folder / "image").read_bytes()
    names = {register.address: register.name for register in described}
    found, mine = [], []
    for cycle, kind, first, second in rows:
        mine.append((int(cycle), kind, int(first), int(second)))
        if kind == "cut" or (kind == "register" and int(first) == described[-1].address):
            found.append(_found(mine, names, hardware.queues))
            mine = []
    return found, left


def _found(
    rows: Sequence[tuple[int, str, int, int]], names: Mapping[int, str], units: tuple[str, ...]
) -> Found:
    """Parse the lines of a job."""
    steps: list[Step] = []
    for cycle, kind, first, second in rows:
        if kind == "units":
            for what, lines in (("begin", first), ("end", second)):
                steps += [Step(cycle, what, unit) for n, unit in enumerate(units) if lines >> n & 1]
            steps += [Step(cycle, "landed", MOVERS[0])] * (second >> len(units) & 1)
        elif kind in ("fetch", "load", "store"):
            steps.append(Step(cycle, "request", kind, first, second))
    registers = {names[first]: second for _, kind, first, second in rows if kind == "register"}
    ends = [cycle for cycle, kind, _, _ in rows if kind == "interrupt"]
    return Found(steps, registers, ends[0] if ends else -1, units)


def _packed(hardware: Hardware, image: bytes, jobs: Sequence[Job]) -> bytes:
    described = hardware.registers
    places = {register.name: register.address for register in described}
    parts = [words(len(image)), image, words(len(described), len(jobs))]
    for job in jobs:
        writes = [(places[name], value) for name, value in job.registers.items()]
        writes += [(places["control"], axi.START)] * job.start
        flat = [number for pair in writes for number in pair]
        cycle, name, value = job.late or (NEVER, "control", 0)
        if job.stop is not None:
            cycle, name, value = job.stop, "control", _STOP
        numbers = [int(job.reset), job.pause, len(writes), *flat, job.cut, cycle, places[name], value]
        ports = [number for port in job.memories for number in port.numbers]
        parts.append(words(*numbers, int(bool(ports)), *ports))
    return b"".join(parts)
