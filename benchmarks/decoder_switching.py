"""Energy of a whole decoder by its mapped netlist: a token is decoded gate by gate, and what switches is priced.

The netlist stands between three AXI memories and a host, as the benches of whole systems do it: programs, weights and
cache in memory, registers written over AXI4-Lite, up to the interrupt. So what is measured is a real program, and that
the netlist ends in the cycle of the simulator and leaves its memory says that it was the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np

from benchmarks.random_models import checkpoint
from blueprint import axi
from blueprint.systems.control import Hardware
from blueprint.systems.description import System
from blueprint.systems.memory_port import MemoryPort, of_memory
from compiler import calibration, image
from compiler.compile import compile_model
from compiler.image import Image
from costmodel.groundtruth import activity
from costmodel.groundtruth.flatten import owners
from costmodel.groundtruth.synthesis import Mapped
from costmodel.systems.compiled import asked_of
from costmodel.systems.estimate import AROUND
from simulator.systems import decoding, proving
from simulator.systems.decoding import Decoded
from simulator.systems.memory import Reads, Writes

#: Cycles that the netlist is given beyond those of the simulator.
_MORE = 100
#: The prompt: one token, behind which one is chosen, is one pass with everything in it.
PROMPT = (1,)


def silent(_: int, __: int) -> None:
    """The default for ``told``."""


@dataclass(frozen=True)
class Part:
    """Energy of a part in pJ a cycle by cause, leakage in nW."""

    useful: float
    glitches: float
    clock: float
    leakage_nw: float

    def __add__(self, other: Part) -> Part:
        return Part(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def energy_pj(self, cycles: int, seconds: float) -> float:
        """Energy of so many cycles in pJ."""
        return (self.useful + self.glitches + self.clock) * cycles + self.leakage_nw * seconds * 1e3


@dataclass(frozen=True)
class Switched:
    """Energy of a pass: parts, accesses of memories in pJ a cycle, and the standard error of glitches."""

    parts: Mapping[str, Part]
    places: Mapping[str, Part]
    memory_pj: float
    cycles: int
    error: float


def compiled(system: System, hardware: Hardware) -> tuple[Image, Decoded, MemoryPort]:
    """A random model of the largest shapes on a system, and its first token in the simulator."""
    port = of_memory(system.memory, system.clock_mhz or 100)
    model = checkpoint(asked_of(system, system.largest)[1], 1)
    picture = image.of_compiled(compile_model(hardware, model, calibration.measure(model, [list(PROMPT)])))
    return picture, decoding.decode(hardware, picture, PROMPT, 1, port), port


class Bench:
    """A netlist between memories and a host."""

    def __init__(self, netlist: Mapped, hardware: Hardware, port: MemoryPort, memory: Any) -> None:
        self.flat = netlist.flat
        ports = netlist.netlists[netlist.top]["ports"]
        self.machine = activity._Machine(self.flat, ports, netlist.technology, netlist.wires)
        self.memory, self.bytes = memory, hardware.width // 8
        self.reads = {"fetch": Reads(port), "load": Reads(port)}
        self.store = Writes(port)
        self.time, self.over = 0, False
        self.settled: Any = None
        self.addresses = {register.name: register.address for register in hardware.registers}

    def reset(self) -> None:
        """Reset, and a host that takes every answer."""
        self.machine.put(axi.RESET, 0)
        for _ in range(axi.RESET_CYCLES):
            self.machine.settle()
            self.machine.clock()
        self.machine.put(axi.RESET, 1)
        self.machine.put(axi.lite("bready"), 1)

    def write(self, name: str, value: int) -> None:
        """Write a control register; ends with the cycle in which it was accepted."""
        machine = self.machine
        given = {
            "awaddr": self.addresses[name],
            "wdata": value,
            "wstrb": axi.ALL_BYTES,
            "awvalid": 1,
            "wvalid": 1,
        }
        for pin, number in given.items():
            machine.put(axi.lite(pin), number)
        while not self.cycle():
            pass
        machine.put(axi.lite("awvalid"), 0)
        machine.put(axi.lite("wvalid"), 0)

    def cycle(self, before: Any = None, seen: Callable[[], None] | None = None) -> bool:
        """A cycle; returns whether a write of the host was accepted."""
        machine, t = self.machine, self.time
        shown = {name: self._show(name, half) for name, half in self.reads.items()}
        ready, takes, answer = self.store.ready(t), self.store.takes(t), self.store.answer(t)
        for pin, value in (("awready", ready), ("wready", takes), ("bvalid", answer is not None)):
            machine.put(f"m_axi_store_{pin}", int(value))
        machine.settle(before)
        if seen is not None:
            seen()
        self.settled = machine.values.copy()
        self.over = bool(machine.read("irq"))
        taken = bool(machine.read(axi.lite("awready")))
        for name, half in self.reads.items():
            valid = shown[name][0] and machine.read(f"m_axi_{name}_arvalid")
            half.tick(t, self._request(name, "ar") if valid else None, shown[name][1], self.bytes)
        asked = ready and machine.read("m_axi_store_awvalid")
        written = bool(takes and machine.read("m_axi_store_wvalid"))
        if written:
            self._store()
        self.store.tick(t, self._request("store", "aw") if asked else None, written, self.bytes)
        machine.clock()
        self.time += 1
        return taken

    def run(self, limit: int, sample: Any, told: Callable[[int, int], None]) -> int:
        """Run to the interrupt, counting what switches; returns its cycle, or the limit."""
        before: Any = None
        self.machine.counting = True
        while self.time < limit:
            at = self.time
            self.cycle(before, None if before is None else partial(sample.take, before))
            if self.over:
                return at
            before = self.settled
            told(at, limit)
        return limit

    def _show(self, name: str, half: Reads) -> tuple[bool, bool]:
        """What a memory that reads shows: whether it takes a request, and whether it offers a word."""
        machine, ready, valid = self.machine, half.ready(self.time), half.valid(self.time)
        machine.put(f"m_axi_{name}_arready", int(ready))
        machine.put(f"m_axi_{name}_rvalid", int(valid))
        if valid:
            word = self.memory[half.address : half.address + self.bytes]
            machine.put(f"m_axi_{name}_rdata", int.from_bytes(word.tobytes(), "little"))
        return ready, valid

    def _request(self, name: str, channel: str) -> tuple[int, int]:
        read = self.machine.read
        return read(f"m_axi_{name}_{channel}addr"), read(f"m_axi_{name}_{channel}len") + 1

    def _store(self) -> None:
        """The word that is written, byte by byte."""
        data, strobes = self.machine.read("m_axi_store_wdata"), self.machine.read("m_axi_store_wstrb")
        begin = self.store.address
        for place in range(self.bytes):
            if strobes >> place & 1:
                self.memory[begin + place] = data >> 8 * place & 255


def switched(
    system: System,
    hardware: Hardware,
    manifest: Mapping[str, Any],
    netlist: Mapped,
    told: Callable[[int, int], None] = silent,
) -> Switched:
    """The energy of a token by the netlist. `AssertionError` where that is not what the simulator did."""
    picture, decoded, port = compiled(system, hardware)
    memory = np.zeros(max(port.size, picture.end), np.uint8)
    start = proving.memory_of(picture, PROMPT)
    memory[: len(start)] = start
    bench = Bench(netlist, hardware, port, memory)
    bench.reset()
    for name, value in proving.registers_of(hardware, picture, decoded).items():
        bench.write(name, value)
    bench.write("control", axi.START)
    bench.reads, bench.store, bench.time = {"fetch": Reads(port), "load": Reads(port)}, Writes(port), 0
    sample = activity._Sample(bench.machine, decoded.cycles)
    cycles = bench.run(decoded.cycles + _MORE, sample, told)
    assert cycles == decoded.cycles, f"the netlist must end in cycle {decoded.cycles}, not {cycles}"
    golden = np.frombuffer(decoded.memory, np.uint8)
    assert (memory[: len(golden)] == golden).all(), "the netlist must leave the memory of the golden model"
    return _priced(bench, netlist, manifest, sample, cycles)


def _priced(bench: Bench, netlist: Mapped, manifest: Mapping[str, Any], sample: Any, cycles: int) -> Switched:
    """Energies of what switched, by part and by place."""
    machine, modules = bench.machine, netlist.netlists
    places = {name: item["place"] for name, item in manifest["modules"].items()}
    units = {entry["module"]: name for name, entry in manifest["units"].items()}
    labels = _labels(netlist.top, modules, places, units)
    owned = owners(machine.flat, labels)
    energies, clocks = machine.price(owned, cycles), machine.clocks(owned, cycles)
    leaks, more = machine.leakage(owned), activity._glitches(machine, sample, owned, netlist, clocks)
    found = {
        label: Part(
            energies[label] - clocks[label], more.energies.get(label, 0.0), clocks[label], leaks[label]
        )
        for label in energies
    }
    parts: dict[str, Part] = {}
    for label, part in found.items():
        name = label.split(": ")[0]
        parts[name] = parts[name] + part if name in parts else part
    sram = netlist.technology.sram
    memory = sum(
        reads * float(sram.read_pj(*netlist.memories[kind]))
        + writes * float(sram.write_pj(*netlist.memories[kind]))
        for kind, (reads, writes) in machine.accesses.items()
    )
    return Switched(parts, found, memory / cycles, cycles, more.error)


def _labels(
    top: str, modules: Mapping[str, Any], places: Mapping[str, str], units: Mapping[str, str]
) -> dict[str, str]:
    """Of every module its part and place. A module that stands in several parts is labelled by the first."""
    found: dict[str, str] = {}

    def visit(name: str, part: str) -> None:
        part = units.get(name, part)
        if name in found:
            return
        found[name] = f"{part}: {places[name]}"
        for kind in {cell["type"] for cell in modules[name]["cells"].values()}:
            if kind in modules:
                visit(kind, part)

    visit(top, AROUND)
    return found
