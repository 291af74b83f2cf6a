"""Maps adders and registers of a netlist to library cells, in polarities that need the fewest inverters.

A full adder is self-dual: with all inputs inverted it gives the inverted sum and carry. A register may store its
inverse. So each of them exists in two polarities, and where the cells themselves invert (many libraries'
adders and smallest flip-flops do) a good choice cancels the inversions. Logic between them takes either phase
at hardly any cost, because the mapper absorbs inverters into gates.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Any

from blueprint.errors import ParamError
from costmodel.technology.roles import Adder, Register, Roles

Bit = int | str
Netlist = dict[str, Any]

#: Cost in inverters of handing logic only the inverted phase of a signal: it often fits an inverting gate.
_LOGIC_INVERSION = 0.3
_SWEEPS = 30
_EPSILON = 1e-9
#: Nodes up to which climbing passes are worth their time, moves without progress that end a pass, and pins of a net
#: beyond which one flip hardly changes what the net costs its other nodes.
_MAX_CLIMB, _PATIENCE, _WIDE = 20_000, 500, 24


@dataclass
class _Node:
    """An adder or register to place: pins in (`inputs`) and out (`outputs`: bit and whether the cell inverts)."""

    cell: str
    inputs: list[tuple[str, Bit]]
    outputs: list[tuple[str, Bit, bool]]
    others: list[tuple[str, Bit]] = field(default_factory=list)
    phase: int = 0
    fixed: bool = False


def place(module: Netlist, roles: Roles, areas: Mapping[str, float]) -> None:
    """Replace, in a module of a Yosys JSON netlist, `$fa` cells and flip-flops by library cells.

    `ParamError` where the library has no cell for a register of the module.
    """
    editor = _Editor(module)
    adders = _Adders(editor, roles, areas)
    nodes = adders.nodes()
    nodes += [node for cell in editor.take(_is_register) for node in [_register(cell, roles)]]
    _choose_phases(nodes, editor)
    _emit(nodes, editor)


def _is_register(kind: str) -> bool:
    return kind.startswith(("$_DFF", "$_DLATCH", "$_SDFF", "$_ALDFF", "$_SR"))


class _Editor:
    """Edits the cells of one module; new bits are numbered above the existing ones."""

    def __init__(self, module: Netlist) -> None:
        self.module = module
        self.cells: dict[str, Any] = module["cells"]
        numbers = [
            bit for item in self.cells.values() for bits in item["connections"].values() for bit in bits
        ]
        numbers += [bit for port in module["ports"].values() for bit in port["bits"]]
        self.next_bit = max((bit for bit in numbers if isinstance(bit, int)), default=1) + 1
        self.next_name = 0

    def take(self, wanted: Any) -> list[Any]:
        """Remove and return the cells whose type `wanted` accepts."""
        found = {name: cell for name, cell in self.cells.items() if wanted(cell["type"])}
        for name in found:
            del self.cells[name]
        return list(found.values())

    def bit(self) -> int:
        """A new bit."""
        self.next_bit += 1
        return self.next_bit - 1

    def put(self, kind: str, outputs: Iterable[str], **pins: Bit) -> None:
        """Add a cell of one-bit pins."""
        self.next_name += 1
        outputs = set(outputs)
        self.cells[f"map{self.next_name}"] = {
            "hide_name": 1,
            "type": kind,
            "parameters": {},
            "attributes": {},
            "port_directions": {pin: "output" if pin in outputs else "input" for pin in pins},
            "connections": {pin: [bit] for pin, bit in pins.items()},
        }

    def gate(self, kind: str, a: Bit, b: Bit | None = None, y: Bit | None = None) -> Bit:
        """Add a Yosys gate and return its output bit."""
        y = self.bit() if y is None else y
        self.put(f"$_{kind}_", "Y", A=a, **({} if b is None else {"B": b}), Y=y)
        return y

    def readers(self) -> dict[Bit, int]:
        """Fan-out of each bit: cell inputs and module outputs."""
        count: dict[Bit, int] = {}
        for cell in self.cells.values():
            for pin, bits in cell["connections"].items():
                if cell["port_directions"].get(pin) != "output":
                    for bit in bits:
                        count[bit] = count.get(bit, 0) + 1
        for bit in self.port_bits("output"):
            count[bit] = count.get(bit, 0) + 1
        return count

    def port_bits(self, *directions: str) -> list[Bit]:
        """Bits of the module's ports of these directions."""
        ports = self.module["ports"].values()
        return [bit for port in ports if port["direction"] in (*directions, "inout") for bit in port["bits"]]


@dataclass
class _Sum:
    """One full adder: three bits in, sum and carry out."""

    inputs: list[Bit]
    total: Bit
    carry: Bit


class _Adders:
    """The `$fa` cells of a module: simplified, then placed on cells or gates, whichever is smaller."""

    def __init__(self, editor: _Editor, roles: Roles, areas: Mapping[str, float]) -> None:
        self.editor = editor
        self.roles = roles
        gate = {name: areas[cell] for name, cell in roles.gates.items()}
        unit = gate["inverter"]
        xor = gate.get("xor2", 3 * gate.get("nand2", 1.5 * unit))
        both = gate.get("nand2", 1.5 * unit)
        majority = gate.get("maji3", gate.get("maj3", 4 * both))
        full, half = roles.full_adder, roles.half_adder
        self.full_area = areas[full.cell] if full else float("inf")
        self.half_area = areas[half.cell] if half else float("inf")
        self.gate_area = {"total": 2 * xor, "carry": majority, "both": 2 * xor + 3 * both, "half": xor + both}
        self.alias: dict[Bit, Bit] = {}

    def nodes(self) -> list[_Node]:
        """Take every `$fa` out of the module; return those placed on adder cells, the rest become gates."""
        sums = [item for cell in self.editor.take(lambda kind: kind == "$fa") for item in _split(cell)]
        uses = self.editor.readers()
        for item in sums:
            for bit in item.inputs:
                uses[bit] = uses.get(bit, 0) + 1
        sums = self._simplify(sums, uses)
        for bit, value in self.alias.items():
            if uses.get(bit):
                self.editor.gate("BUF", self._resolve(value), y=bit)
        return [node for item in sums for node in self._place(item, uses)]

    def _resolve(self, bit: Bit) -> Bit:
        while bit in self.alias:
            bit = self.alias[bit]
        return bit

    def _simplify(self, sums: list[_Sum], uses: dict[Bit, int]) -> list[_Sum]:
        """Remove adders with unused or constant outputs, until nothing changes."""
        while True:
            kept = []
            for item in sums:
                item.inputs = [self._resolve("0" if bit == "x" else bit) for bit in item.inputs]
                if not uses.get(item.total) and not uses.get(item.carry):
                    for bit in item.inputs:
                        uses[bit] = uses.get(bit, 1) - 1
                elif not self._known(item, uses):
                    kept.append(item)
            if len(kept) == len(sums):
                return kept
            sums = kept

    def _known(self, item: _Sum, uses: dict[Bit, int]) -> bool:
        """True if the outputs are constants, inputs or an inverted input; if so they are driven."""
        constant = [bit for bit in item.inputs if isinstance(bit, str)]
        varying = [bit for bit in item.inputs if not isinstance(bit, str)]
        if len(constant) >= 2:
            ones = constant.count("1")
            other = varying[0] if varying else constant.pop()
            ones = ones if varying else constant.count("1")
            if ones == 1:
                total = self.editor.gate("NOT", other) if varying else "10"[int(str(other))]
                carry: Bit = other
            else:
                total, carry = other, "01"[ones // 2]
        elif len(set(varying)) < len(varying):
            pair = next(bit for bit in varying if varying.count(bit) > 1)
            rest = list(item.inputs)
            rest.remove(pair)
            rest.remove(pair)
            total, carry = rest[0], pair
        else:
            return False
        for bit, value in ((item.total, total), (item.carry, carry)):
            self.alias[bit] = value
            uses[value] = uses.get(value, 0) + uses.get(bit, 0)
        return True

    def _place(self, item: _Sum, uses: dict[Bit, int]) -> list[_Node]:
        total, carry = bool(uses.get(item.total)), bool(uses.get(item.carry))
        constant = next((bit for bit in item.inputs if isinstance(bit, str)), None)
        kind = "both" if total and carry else "total" if total else "carry"
        if constant is not None:
            a, b = (bit for bit in item.inputs if not isinstance(bit, str))
            if kind == "both" and self.half_area < self.gate_area["half"] and self.roles.half_adder:
                return [_half(self.roles.half_adder, a, b, item, constant == "1")]
            self._half_gates(a, b, item, constant == "1", total, carry)
            return []
        if self.full_area < self.gate_area[kind] and self.roles.full_adder:
            return [_full(self.roles.full_adder, item)]
        self._full_gates(item, total, carry)
        return []

    def _half_gates(self, a: Bit, b: Bit, item: _Sum, one: bool, total: bool, carry: bool) -> None:
        if total:
            self.editor.gate("XNOR" if one else "XOR", a, b, item.total)
        if carry:
            self.editor.gate("OR" if one else "AND", a, b, item.carry)

    def _full_gates(self, item: _Sum, total: bool, carry: bool) -> None:
        gate = self.editor.gate
        a, b, c = item.inputs
        differ = gate("XOR", a, b)
        if total:
            gate("XOR", differ, c, item.total)
        if carry:
            either = differ if total else gate("OR", a, b)
            gate("OR", gate("AND", a, b), gate("AND", either, c), item.carry)


def _split(cell: Any) -> list[_Sum]:
    """A `$fa` of any width as one-bit adders."""
    pins = cell["connections"]
    rows = zip(pins["A"], pins["B"], pins["C"], pins["Y"], pins["X"], strict=True)
    return [_Sum([a, b, c], total, carry) for a, b, c, total, carry in rows]


def _full(adder: Adder, item: _Sum) -> _Node:
    assert adder.carry_in is not None
    return _Node(
        adder.cell,
        list(zip((adder.a, adder.b, adder.carry_in), item.inputs, strict=True)),
        [
            (adder.total, item.total, adder.total_inverted),
            (adder.carry_out, item.carry, adder.carry_inverted),
        ],
    )


def _half(adder: Adder, a: Bit, b: Bit, item: _Sum, one: bool) -> _Node:
    """A half adder; with carry in 1 it works on inverted inputs, and so gives the inverse of sum and carry."""
    return _Node(
        adder.cell,
        [(adder.a, a), (adder.b, b)],
        [
            (adder.total, item.total, adder.total_inverted),
            (adder.carry_out, item.carry, adder.carry_inverted),
        ],
        phase=int(one),
        fixed=True,
    )


def _register(cell: Any, roles: Roles) -> _Node:
    kind, pins = cell["type"], {pin: bits[0] for pin, bits in cell["connections"].items()}
    chosen = {
        "$_DFF_P_": roles.flip_flop or roles.clear_flip_flop or roles.set_flip_flop,
        "$_DFFE_PP_": roles.enable_flip_flop,
        "$_DFF_PN0_": roles.clear_flip_flop or roles.set_flip_flop,
        "$_DLATCH_P_": roles.latch,
    }.get(kind)
    if chosen is None:
        raise ParamError(f"The technology must have a cell for every register, not none for {kind}")
    clock = pins["E"] if kind.startswith("$_DLATCH") else pins["C"]
    node = _Node(
        chosen.cell,
        [(chosen.data, pins["D"])],
        [(chosen.output, pins["Q"], chosen.inverted)],
        [(chosen.clock, clock), *((pin, "01"[level]) for pin, level in chosen.ties)],
    )
    if kind == "$_DFFE_PP_" and chosen.enable:
        node.others.append((chosen.enable, pins["E"]))
    if chosen.clear:
        asynchronous = kind == "$_DFF_PN0_"
        node.others.append((chosen.clear, pins["R"] if asynchronous else "01"[not chosen.clear_level]))
        if asynchronous:
            node.phase, node.fixed = _clear_phase(chosen), True
    return node


def _clear_phase(register: Register) -> int:
    """The phase in which the cleared cell gives logical 0 at its output."""
    return int(register.clear_value) ^ int(register.inverted)


class _Nets:
    """Incremental count of the inverters that a choice of phases needs."""

    def __init__(self, nodes: list[_Node], editor: _Editor) -> None:
        self.nodes = nodes
        self.driver: dict[Bit, tuple[int, bool]] = {}
        self.needs: dict[Bit, list[int]] = {}
        self.true_only: set[Bit] = set()
        self.outside = set(editor.port_bits("input"))
        self.logic_reads: set[Bit] = set()
        for cell in editor.cells.values():
            hard = not cell["type"].startswith("$_")
            for pin, bits in cell["connections"].items():
                read = cell["port_directions"].get(pin) != "output"
                for bit in bits if hard else ():
                    (self.true_only if read else self.outside).add(bit)
                if read and not hard:
                    self.logic_reads.update(bits)
        self.true_only.update(editor.port_bits("output"))
        for index, node in enumerate(nodes):
            self.true_only.update(bit for _, bit in node.others)
            for _, bit, inverts in node.outputs:
                self.driver[bit] = (index, inverts)
        self.pins: dict[Bit, list[int]] = {}
        for index, node in enumerate(nodes):
            for _, bit in node.inputs:
                self.needs.setdefault(bit, [0, 0])[node.phase] += 1
                self.pins.setdefault(bit, []).append(index)
            for _, bit, _ in node.outputs:
                self.pins.setdefault(bit, []).append(index)

    def cost(self, bit: Bit) -> float:
        """Inverters on one net."""
        if isinstance(bit, str):
            return 0.0
        needs = self.needs.get(bit, (0, 0))
        true, inverse = needs[0] > 0 or bit in self.true_only, needs[1] > 0
        driven = self.driver.get(bit)
        if driven is None:
            return float(inverse) if bit in self.outside else float(true and inverse)
        index, inverts = driven
        if self.nodes[index].phase ^ inverts:
            return 1.0 if true else _LOGIC_INVERSION * (bit in self.logic_reads)
        return float(inverse)

    def around(self, index: int) -> float:
        """Inverters on the nets of one node."""
        node = self.nodes[index]
        return sum(map(self.cost, {bit for _, bit in node.inputs} | {bit for _, bit, _ in node.outputs}))

    def flip(self, index: int) -> None:
        """Flip the phase of one node."""
        node = self.nodes[index]
        for _, bit in node.inputs:
            self.needs[bit][node.phase] -= 1
            self.needs[bit][1 - node.phase] += 1
        node.phase ^= 1

    def gain(self, index: int) -> float:
        """Inverters saved by flipping one node."""
        before = self.around(index)
        self.flip(index)
        after = self.around(index)
        self.flip(index)
        return before - after

    def near(self, index: int) -> set[int]:
        """Neighbors of a node by shared nets, without nets of high fan-out."""
        node, found = self.nodes[index], set[int]()
        for bit in (*(bit for _, bit in node.inputs), *(bit for _, bit, _ in node.outputs)):
            if len(self.pins.get(bit, ())) <= _WIDE:
                found.update(self.pins.get(bit, ()))
        return found - {index}

    def improve(self, index: int) -> bool:
        """Flip a node if that saves inverters."""
        if self.gain(index) <= _EPSILON:
            return False
        self.flip(index)
        return True


def _choose_phases(nodes: list[_Node], editor: _Editor) -> None:
    """Minimize inverters: greedy descent in signal order, then climbing passes that keep the best state."""
    nets = _Nets(nodes, editor)
    free = [index for index in _in_signal_order(nodes) if not nodes[index].fixed]
    for _ in range(_SWEEPS):
        if not sum(nets.improve(index) for index in free):
            break
    if len(free) <= _MAX_CLIMB:
        for _ in range(_SWEEPS):
            if not _climb(nets, free):
                break


def _climb(nets: _Nets, free: list[int]) -> bool:
    """One Fiduccia-Mattheyses pass: flip every node once, best first, and undo all after the best state."""
    heap = [(-nets.gain(index), index) for index in free]
    heapify(heap)
    latest = {index: gain for gain, index in heap}
    flipped: list[int] = []
    balance, best, kept = 0.0, _EPSILON, 0
    while heap and len(flipped) < kept + _PATIENCE:
        gain, index = heappop(heap)
        if latest.get(index) != gain:
            continue
        del latest[index]
        nets.flip(index)
        flipped.append(index)
        balance -= gain
        if balance > best:
            best, kept = balance, len(flipped)
        for other in nets.near(index):
            if other in latest and (new := -nets.gain(other)) != latest[other]:
                latest[other] = new
                heappush(heap, (new, other))
    for index in flipped[kept:]:
        nets.flip(index)
    return kept > 0


def _in_signal_order(nodes: list[_Node]) -> list[int]:
    """Nodes in breadth-first order from those without predecessors."""
    readers: dict[Bit, list[int]] = {}
    drivers = {bit: index for index, node in enumerate(nodes) for _, bit, _ in node.outputs}
    for index, node in enumerate(nodes):
        for _, bit in node.inputs:
            readers.setdefault(bit, []).append(index)
    starts = [i for i, node in enumerate(nodes) if not any(bit in drivers for _, bit in node.inputs)]
    seen: dict[int, None] = {}
    for start in [*starts, *range(len(nodes))]:
        queue = deque([start])
        while queue:
            index = queue.popleft()
            if index not in seen:
                seen[index] = None
                for _, bit, _ in nodes[index].outputs:
                    queue.extend(readers.get(bit, ()))
    return list(seen)


def _emit(nodes: list[_Node], editor: _Editor) -> None:
    """Insert the cells, with one inverter for each net and direction that needs one."""
    inverse: dict[Bit, Bit] = {"0": "1", "1": "0"}
    for node in nodes:
        for _, bit, inverts in node.outputs:
            if node.phase ^ inverts:
                inverse[bit] = editor.bit()
                editor.gate("NOT", inverse[bit], y=bit)
    for node in nodes:
        pins = dict(node.others)
        for pin, bit in node.inputs:
            if node.phase and bit not in inverse:
                inverse[bit] = editor.gate("NOT", bit)
            pins[pin] = inverse[bit] if node.phase else bit
        for pin, bit, inverts in node.outputs:
            pins[pin] = inverse[bit] if node.phase ^ inverts else bit
        editor.put(node.cell, [pin for pin, _, _ in node.outputs], **pins)
