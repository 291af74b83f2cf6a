"""Switching energy: a mapped design runs on random data; every toggle of every net is counted and weighted.

The design is driven as in a system: sizes are written over AXI4-Lite, every stream always offers a beat, and results
are always taken. Each bit of a 64-bit word is a run of its own: data differ between runs and control does not, so 64
runs cost as much as one. A toggle costs half of the capacitance of pins and wire times voltage squared, plus the
library's internal energies; clock pins switch twice a cycle, behind a clock gate in the cycles that it is open. These
runs have no delays and all gates switch at once, so every toggle they count is useful. Glitches are the further toggles
of a sample of the same cycles, simulated with delays (:mod:`costmodel.groundtruth.waves`). The clock tree is not
counted, nor are wires where the recipe has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from blueprint import axi
from blueprint.errors import ParamError
from blueprint.spec import Spec
from blueprint.workloads.data import EVEN, Data
from blueprint.workloads.tasks import Task
from costmodel.groundtruth import clock_gating, gate_code, sta, waves
from costmodel.groundtruth.flatten import CONSTANT_NETS, Flat, Ints, Owners, owners, port_nets
from costmodel.groundtruth.synthesis import Mapped, mapped
from costmodel.technology import function
from costmodel.technology.liberty import Cell, WireLoad
from costmodel.technology.roles import clock_gate
from costmodel.technology.technology import Technology

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]

RUNS = 64
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_SLOWEST = 2000  # cycles after which a design that has not finished never will


#: Gates times transitions that a sample with delays has, and the least and the most transitions of one.
_SAMPLE = 8_000_000
_LEAST_TRANSITIONS, _MOST_TRANSITIONS = 96, 640


class Accesses(NamedTuple):
    """Words read and written in a run."""

    reads: int
    writes: int


@dataclass(frozen=True)
class Glitches:
    """Energy of glitches, toggles beyond the necessary ones, in pJ per cycle by place.

    ``error`` is the standard error of their mean, from a sample of ``transitions``, as a fraction of the whole energy;
    ``settled_ps`` the latest event in any of them, ``events`` the toggles and ``seconds`` the time of the simulation.
    """

    energies: Mapping[str, float]
    error: float
    transitions: int
    settled_ps: float
    events: int
    seconds: float


@dataclass(frozen=True)
class Activity:
    """Mean energy of a cycle by place in pJ, over `cycles` cycles of a run of `task`, memory macros left out.

    `energies` are useful toggles and clock pins, of which `clocks` are the latter; `leakages_nw` is the leakage of the
    cells, `accesses` the reads and writes of each kind of memory in the run. `glitches` is there where they were
    simulated.
    """

    energies: Mapping[str, float]
    cycles: int
    task: Task
    clocks: Mapping[str, float] = field(default_factory=dict)
    leakages_nw: Mapping[str, float] = field(default_factory=dict)
    accesses: Mapping[str, Accesses] = field(default_factory=dict)
    glitches: Glitches | None = None
    memories: Mapping[str, tuple[int, int, str]] = field(default_factory=dict)

    def memory_pj(self, technology: Technology) -> dict[str, float]:
        """Energy of the accesses of each kind of memory in pJ a cycle; their shapes stand in `memories`."""
        sram, found = technology.sram, dict[str, float]()
        for kind, (reads, writes) in self.accesses.items():
            shape = self.memories[kind]
            total = reads * float(sram.read_pj(*shape)) + writes * float(sram.write_pj(*shape))
            found[kind] = total / self.cycles
        return found

    @property
    def energy_pj(self) -> float:
        """Mean energy of a cycle without glitches and leakage."""
        return sum(self.energies.values())

    def split(self, place: str, cycle_ps: float) -> dict[str, float]:
        """Energy of a place in pJ a cycle of `cycle_ps` by cause; no `glitches` where they were not counted."""
        clock = self.clocks.get(place, 0.0)
        found = {"useful": self.energies.get(place, 0.0) - clock}
        if self.glitches is not None:
            found["glitches"] = self.glitches.energies.get(place, 0.0)
        leakage = self.leakages_nw.get(place, 0.0) * cycle_ps * 1e-9  # nW over ps is 1e-21 J
        return found | {"clock": clock, "leakage": leakage}


def measure(
    spec: Spec,
    folder: Path,
    manifest: Mapping[str, Any],
    technology: Technology,
    task: Task | None = None,
    recipe: str | None = None,
    *,
    glitches: bool = False,
    data: Data = EVEN,
    netlist: Mapped | None = None,
) -> Activity:
    """Run a generated design's mapped netlist on random operands of `task` with the statistics of `data`.

    Every toggle is priced; with `glitches`, a sample of the cycles is simulated with delays as well. `netlist` is the
    mapped design if there is one; otherwise the design is mapped by `recipe`. `ParamError` where it does not finish.
    """
    task = task or spec.typical_workload()
    chosen = netlist or mapped(folder, technology, recipe=recipe)
    machine = _Machine(chosen.flat, chosen.netlists[chosen.top]["ports"], technology, chosen.wires)
    sample = _Sample(machine, int(spec.cycles(task))) if glitches else None
    bench = _Bench(spec, manifest, machine, task, sample, data)
    cycles = bench.run()
    places = {name: item["place"] for name, item in manifest["modules"].items()}
    owned = owners(chosen.flat, places)
    useful, clocks = machine.price(owned, cycles), machine.clocks(owned, cycles)
    return Activity(
        useful,
        cycles,
        task,
        clocks,
        machine.leakage(owned),
        machine.accesses,
        None if sample is None else _glitches(machine, sample, owned, chosen, clocks),
        chosen.memories,
    )


class _Sample:
    """Settled values before and after clock edges: of one cycle of every stretch of cycles, and of several runs.

    The cycle of each stretch and the runs are drawn at random, since designs are often periodic.
    """

    def __init__(self, machine: _Machine, cycles: int) -> None:
        size = sum(len(rows) for rows in machine.flat.cells.values())
        wanted = int(np.clip(_SAMPLE // max(size, 1), _LEAST_TRANSITIONS, _MOST_TRANSITIONS))
        self.machine = machine
        self.step = max(1, cycles // wanted)
        self.runs = min(RUNS, max(1, round(wanted * self.step / cycles)))
        self.random = np.random.default_rng(0)
        self.number = self.chosen = 0
        self.before: list[waves.Bits] = []
        self.after: list[waves.Bits] = []

    def take(self, before: Words) -> None:
        """Sample one transition of all runs, from `before` to the present values of the nets."""
        if self.number % self.step == 0:
            self.chosen = self.number + int(self.random.integers(self.step))
        if self.number == self.chosen:
            for run in self.random.choice(RUNS, self.runs, replace=False).astype(np.uint64):
                for rows, values in ((self.before, before), (self.after, self.machine.values)):
                    rows.append((values >> run & np.uint64(1)).astype(np.uint8))
        self.number += 1


def _glitches(
    machine: _Machine, sample: _Sample, owned: Owners, netlist: Mapped, clocks: Mapping[str, float]
) -> Glitches:
    """Simulate a sample with delays and price what switches more often than without them.

    The useful toggles of every cycle are known, and glitches are many where useful toggles are many. So the sample
    gives the glitches for each useful toggle of a place: a ratio estimate (Cochran, Sampling Techniques, chapter 6).
    """
    gates = waves.gates(machine.flat, machine.technology, netlist.macros, netlist.trees, netlist.wires)
    before, after = np.stack(sample.before), np.stack(sample.after)
    weights, count = machine.weights(), len(before)
    counted = waves.count(gates, before, after, weights)
    needed = before != after
    seen = needed.sum(axis=0)
    every = machine.toggles / (sample.number * RUNS)
    added, sampled, useful = (
        machine.price(owned, 1, rate) for rate in ((counted.toggles - seen) / count, seen / count, every)
    )
    energies = {
        place: value * (useful[place] / sampled[place] if sampled[place] else 1.0)
        for place, value in added.items()
    }
    least = needed @ weights
    glitches = counted.energies - least
    unexplained = glitches - least * (glitches.sum() / max(least.sum(), 1e-30))
    total = sum(clocks.values()) + sum(useful.values()) + sum(energies.values())
    return Glitches(
        energies,
        float(unexplained.std() / np.sqrt(count) / total),
        count,
        float(counted.settled_ps.max()),
        counted.events,
        counted.seconds,
    )


@dataclass(frozen=True)
class _FlipFlops:
    """The flip-flops of one kind: next state and outputs as code, nets of the inputs, and what opens their clocks."""

    data: Callable[..., Any]
    inputs: list[Ints]
    outputs: list[tuple[Callable[..., Any], Ints]]
    state: Words
    opens: Ints

    def next(self, values: Words) -> Words:
        """Their state after a rising clock edge."""
        taken: Words = self.data(*(values[net] for net in self.inputs))
        if (self.opens == 1).all():
            return taken
        opened = values[self.opens]
        return taken & opened | self.state & ~opened


class _Machine:
    """A flat netlist that is stepped clock by clock, 64 runs at once."""

    def __init__(
        self, flat: Flat, ports: Mapping[str, Any], technology: Technology, wires: WireLoad | None = None
    ) -> None:
        self.flat = flat
        self.technology = technology
        self.half = 0.5e-3 * technology.voltage**2  # fF to pJ
        self.wire_pj = self.half * sta.wire_loads(flat, technology.cells, wires)
        self.values: Words = np.zeros(flat.nets, np.uint64)
        self.values[1] = _ALL
        self.toggles = np.zeros(flat.nets, np.int64)
        self.counting = False
        self.pins = port_nets(flat, ports)
        self._flip_flops: list[_FlipFlops] = []
        self.opens = clock_gating.opens(flat, technology)
        self.opened = np.zeros(flat.nets, np.int64)
        self._memories: list[tuple[dict[str, Ints], NDArray[np.uint64], str]] = []
        self.accesses: dict[str, Accesses] = {}
        self._steps = self._order(technology.cells)

    def _order(self, cells: Mapping[str, Cell]) -> list[list[tuple[Callable[..., Any], list[Ints], Ints]]]:
        gates: list[tuple[Callable[..., Any], Ints, Ints]] = []
        for kind, rows in self.flat.cells.items():
            cell = cells.get(kind)
            column = {pin: index for index, pin in enumerate(self.flat.pins[kind])}
            if cell is None:
                self._add_memory(kind, rows)
                continue
            if cell.clock_gate is not None:
                continue
            inputs = tuple(pin.name for pin in cell.inputs)
            nets = [
                rows[:, column[name]] if name in column else np.zeros(len(rows), np.int64) for name in inputs
            ]
            outputs = [pin for pin in cell.outputs if pin.name in column and pin.function]
            if cell.sequential is not None:
                self._add_flip_flop(
                    cell, inputs, nets, [(pin.function or "", rows[:, column[pin.name]]) for pin in outputs]
                )
                continue
            for pin in outputs:
                if not inputs:  # a tie cell
                    self.values[rows[:, column[pin.name]]] = _ALL * np.uint64(
                        function.truth(pin.function or "", ())
                    )
                    continue
                code = gate_code.compiled(pin.function or "", inputs)
                gates.append((code, np.stack(nets), rows[:, column[pin.name]]))
        return _levels(gates, self.flat.nets)

    def _add_flip_flop(
        self, cell: Cell, inputs: tuple[str, ...], nets: list[Ints], outputs: list[tuple[str, Ints]]
    ) -> None:
        assert cell.sequential is not None
        names = (cell.sequential.state, cell.sequential.inverse or "_unused")
        data = gate_code.compiled(cell.sequential.data, inputs)
        found = [(gate_code.compiled(text, names), net) for text, net in outputs]
        clock = cell.sequential.clock.strip("!() ")
        opens = self.opens[nets[inputs.index(clock)]]
        self._flip_flops.append(_FlipFlops(data, nets, found, np.zeros(len(nets[0]), np.uint64), opens))

    def _add_memory(self, kind: str, rows: Ints) -> None:
        pins = self.flat.pins[kind]
        width = sum(pin == "read_data" for pin in pins)
        address = sum(pin in ("read_address", "address") for pin in pins)
        for row in rows:
            nets = {
                name: row[[index for index, pin in enumerate(pins) if pin == name]]
                for name in dict.fromkeys(pins)
            }
            self._memories.append((nets, np.zeros((1 << address, width), np.uint64), kind))

    def read(self, port: str) -> int:
        """Value of an output in the first run."""
        bits = self.values[self.pins[port]] & np.uint64(1)
        return sum(int(bit) << place for place, bit in enumerate(bits))

    def drive(self, port: str, words: Words) -> None:
        """Set an input, one word of 64 runs for each bit."""
        self.values[self.pins[port][: len(words)]] = words

    def put(self, port: str, value: int) -> None:
        """Set an input to the same value in every run."""
        nets = self.pins[port]
        bits = np.array([value >> place & 1 for place in range(len(nets))], np.uint64)
        self.values[nets] = bits * _ALL

    def settle(self, before: Words | None = None) -> None:
        """Evaluate all gates; count toggles against `before`."""
        values = self.values
        for step in self._steps:
            for code, inputs, out in step:
                values[out] = code(*values[inputs])
        if before is not None:
            self.toggles += np.bitwise_count(values ^ before)

    def clock(self) -> None:
        """Apply a rising clock edge to registers, of those behind a clock gate where it is open, and to memories."""
        values = self.values
        if self.counting:
            self.opened += np.bitwise_count(values[self.opens])
        taken = [kind.next(values) for kind in self._flip_flops]
        for nets, store, kind in self._memories:
            self._access(nets, store, kind)
        for flip_flops, state in zip(self._flip_flops, taken, strict=True):
            flip_flops.state[:] = state
            for code, net in flip_flops.outputs:
                values[net] = code(state, ~state)

    def _access(self, nets: Mapping[str, Ints], store: NDArray[np.uint64], kind: str) -> None:
        values = self.values

        def number(name: str) -> int:
            return sum(int(bit & np.uint64(1)) << place for place, bit in enumerate(values[nets[name]]))

        data = values[nets["write_data"]].copy()
        single = "enable" in nets  # one port: an access is a read or a write, at one address
        writes = number("write") & number("enable") if single else number("write")
        reads = number("enable") & ~number("write") & 1 if single else number("read")
        read_address, write_address = (
            "address" if single else name for name in ("read_address", "write_address")
        )
        if reads:
            values[nets["read_data"]] = store[number(read_address)]
        if writes:
            store[number(write_address)] = data
        if self.counting:
            known = self.accesses.get(kind, Accesses(0, 0))
            self.accesses[kind] = Accesses(known.reads + reads, known.writes + writes)

    def price(self, owned: Owners, cycles: int, rate: Floats | None = None) -> dict[str, float]:
        """Mean energy of a cycle and run in pJ by place; `rate` is toggles of each net a cycle, without clock pins."""
        clocked = self._clocked(cycles) * (rate is None)
        rate = self.toggles / (cycles * RUNS) if rate is None else rate
        energies: dict[str, Floats] = {}
        for kind, rows in self.flat.cells.items():
            energies[kind] = np.zeros(len(rows))
            for index, cost, clock, drives in self._prices(kind):
                nets = rows[:, index]
                each = cost + self.wire_pj[nets] if drives and not clock else cost
                energies[kind] += each * (clocked[nets] if clock else rate[nets])
        return self._by_place(owned, energies)

    def clocks(self, owned: Owners, cycles: int) -> dict[str, float]:
        """Energy of clock pins in pJ a cycle by place, the outputs of clock gates among them."""
        clocked = self._clocked(cycles)
        energies = {
            kind: sum(
                (cost * clocked[rows[:, index]] for index, cost, clock, _ in self._prices(kind) if clock),
                start=np.zeros(len(rows)),
            )
            for kind, rows in self.flat.cells.items()
        }
        return self._by_place(owned, energies)

    def _clocked(self, cycles: int) -> Floats:
        """Toggles a cycle of each net if it is a clock: two, and behind a gate two in the cycles that it is open."""
        found: Floats = np.where(self.opens == 1, 2.0, 2.0 * self.opened / max(cycles * RUNS, 1))
        return found

    def leakage(self, owned: Owners) -> dict[str, float]:
        """Leakage of the cells in nW by place."""
        cells = self.technology.cells
        leaks = {
            kind: np.full(len(rows), cells[kind].leakage)
            for kind, rows in self.flat.cells.items()
            if kind in cells
        }
        return self._by_place(owned, leaks)

    def weights(self) -> Floats:
        """Energy in pJ of one toggle of each net, clock pins left out."""
        found = np.zeros(self.flat.nets)
        for kind, rows in self.flat.cells.items():
            for index, cost, clock, drives in self._prices(kind):
                nets = rows[:, index]
                if not clock:
                    np.add.at(found, nets, cost + self.wire_pj[nets] if drives else cost)
        return found

    def _prices(self, kind: str) -> list[tuple[int, float, bool, bool]]:
        """For each pin of a kind of cell: column, pJ of a toggle, whether it is a clock, whether it drives a net."""
        cell = self.technology.cells.get(kind)
        if cell is None:
            return []
        column = {pin: index for index, pin in enumerate(self.flat.pins[kind])}
        clock = cell.sequential.clock.strip("!() ") if cell.sequential is not None else None
        gate = clock_gate(cell)
        clocks = {clock} if gate is None else {gate.clock, gate.output}
        return [
            (
                column[pin.name],
                self.half * pin.capacitance + _internal(cell, pin.name),
                pin.clock or pin.name in clocks,
                pin.direction == "output",
            )
            for pin in cell.pins
            if pin.name in column
        ]

    def _by_place(self, owned: Owners, values: Mapping[str, Floats]) -> dict[str, float]:
        """Sums by place of the values of each library cell's instances."""
        total = np.zeros(len(owned.names))
        there: dict[int, None] = {}
        for kind, each in values.items():
            if kind in self.technology.cells:
                np.add.at(total, owned.numbers[kind], each)
                there |= dict.fromkeys(owned.numbers[kind].tolist())
        return {owned.names[number]: float(total[number]) for number in there}


def _internal(cell: Cell, pin: str) -> float:
    """Internal energy of one toggle of a pin in pJ: the mean of rise and fall over all causes."""
    values = [
        table.values[0][0]
        for item in cell.energies
        if item.pin == pin
        for table in (item.rise, item.fall)
        if table
    ]
    return sum(values) / len(values) if values else 0.0


def _levels(
    gates: list[tuple[Callable[..., Any], Ints, Ints]], nets: int
) -> list[list[tuple[Callable[..., Any], list[Ints], Ints]]]:
    """Gates grouped so that each group reads only what earlier groups drive."""
    level = np.zeros(nets, np.int64)
    while True:
        before = level.copy()
        for _, inputs, out in gates:
            level[out] = np.maximum(level[out], level[inputs].max(axis=0, initial=0) + 1)
        if (level == before).all():
            break
        if level.max() > nets:
            raise ParamError("A netlist must have no combinational loop to be simulated")
    steps: list[list[Any]] = [[] for _ in range(int(level.max(initial=0)))]
    for code, inputs, out in gates:
        depth = level[out]
        for number in np.unique(depth):
            chosen = depth == number
            steps[int(number) - 1].append((code, inputs[:, chosen], out[chosen]))
    return steps


class _Bench:
    """Drives the boundary as in :mod:`blueprint.axi`: every stream at full rate until the last result is out.

    The payload keeps its value between beats, since any other value there would count as switching.
    """

    def __init__(
        self,
        spec: Spec,
        manifest: Mapping[str, Any],
        machine: _Machine,
        task: Task,
        sample: _Sample | None = None,
        data: Data = EVEN,
    ) -> None:
        self.machine = machine
        self.sample = sample
        self.manifest = manifest
        self.beats = _beats(spec, task, data)
        self.sizes = spec.register_values(task)

    def run(self) -> int:
        """Cycles from the first beat accepted to the last result, both included."""
        machine = self.machine
        machine.put(self.manifest["reset"], 0)
        for _ in range(axi.RESET_CYCLES):
            self._cycle()
        machine.put(self.manifest["reset"], 1)
        machine.put(axi.lite("bready"), 1)
        self._cycle()
        *sizes, start = axi.writes(self.sizes)
        for name, value in sizes:
            self._write(name, value)
        self._write(*start, wait=False)
        return self._stream()

    def _write(self, name: str, value: int, *, wait: bool = True) -> None:
        machine = self.machine
        address = self.manifest["registers"][name]["address"]
        for port, number in (("awaddr", address), ("wdata", value), ("wstrb", axi.ALL_BYTES)):
            machine.put(axi.lite(port), number)
        asked = axi.REQUESTS["write"]
        for channel in asked:
            machine.put(axi.lite(f"{channel}valid"), 1)
        for _ in range(8):
            machine.settle()
            done = all(machine.read(axi.lite(f"{channel}ready")) for channel in asked)
            machine.clock()
            if done:
                break
        for channel in asked:
            machine.put(axi.lite(f"{channel}valid"), 0)
        for _ in range(3 if wait else 0):
            self._cycle()

    def _cycle(self) -> None:
        self.machine.settle()
        self.machine.clock()

    def _stream(self) -> int:
        machine, ports = self.machine, axi.stream_ports(self.manifest)
        offers = [(port, axi.Offer(len(self.beats[port.name]))) for port in ports if port.is_input]
        sinks = [port for port in ports if not port.is_input]
        for port in sinks:
            machine.put(port.ready, 1)
        cycles, before = 0, None
        for _ in range(_SLOWEST):
            for port, offer in offers:
                self._drive(port, offer)
            machine.settle(before)
            if before is not None and self.sample is not None:
                self.sample.take(before)
            moved = [offer.sample(bool(machine.read(port.ready))) for port, offer in offers]
            machine.counting = cycles > 0 or any(moved)
            cycles += machine.counting
            finished = any(machine.read(port.valid) and machine.read(port.last) for port in sinks)
            before = machine.values.copy() if machine.counting else None
            machine.clock()
            if finished:
                return cycles
        raise ParamError(f"A run of {self.sizes} must end within {_SLOWEST} cycles, but has not")

    def _drive(self, port: axi.StreamPort, offer: axi.Offer) -> None:
        """Offer the next beat at once, whenever there is one."""
        if offer.drive(opened=True):
            self.machine.drive(port.data, self.beats[port.name][offer.taken])
        self.machine.put(port.valid, int(offer.valid))
        self.machine.put(port.last, int(offer.last))


def _beats(spec: Spec, task: Task, data: Data) -> dict[str, Words]:
    """Beats of every input stream: shape (beats, bits), bit r of a word belongs to run r.

    Runs share one clock and one set of handshakes, so where time depends on data they are all the same.
    """
    found: dict[str, Words] = {}
    for run in range(RUNS):
        operands = spec.typical_operands(task, 0 if spec.data_dependent else run, data)
        for name, beats in spec.stimulus(operands).items():
            bits = np.unpackbits(np.asarray(beats, np.uint8), axis=1, bitorder="little").astype(np.uint64)
            found[name] = found.get(name, np.uint64(0)) | bits << np.uint64(run)
    return found


assert CONSTANT_NETS == 2
