"""Roles of library cells: the gates, adders and registers that mapping needs, found by function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import permutations
from statistics import median
from typing import TypeVar

from costmodel.technology import function
from costmodel.technology.liberty import Cell, Pin, Sequential

_Item = TypeVar("_Item")
_MAX_INPUTS = 6
#: Truth tables of the gates that have a name, over inputs a, b, c (input 0 is a).
GATES: Mapping[str, tuple[int, int]] = {
    "inverter": (1, 0b01),
    "buffer": (1, 0b10),
    "nand2": (2, 0b0111),
    "nor2": (2, 0b0001),
    "and2": (2, 0b1000),
    "or2": (2, 0b1110),
    "xor2": (2, 0b0110),
    "xnor2": (2, 0b1001),
    "nand3": (3, 0b01111111),
    "nor3": (3, 0b00000001),
    "aoi21": (3, 0b00000111),
    "oai21": (3, 0b00011111),
    "maj3": (3, 0b11101000),
    "maji3": (3, 0b00010111),
    "mux2": (3, 0b11001010),
    "muxi2": (3, 0b00110101),
}


@dataclass(frozen=True)
class Adder:
    """A full or half adder cell: its pins, and whether sum and carry come out inverted.

    A half adder has no `carry_in`.
    """

    cell: str
    a: str
    b: str
    carry_in: str | None
    total: str
    carry_out: str
    total_inverted: bool
    carry_inverted: bool


@dataclass(frozen=True)
class Register:
    """A flip-flop or latch cell: its pins, what to tie, and whether data comes out inverted.

    `enable` and `clear` (asynchronous, to `clear_value`) are pins where the cell has them; `clear_level` is the
    level that clears.
    """

    cell: str
    clock: str
    data: str
    output: str
    inverted: bool
    rising: bool = True
    enable: str | None = None
    clear: str | None = None
    clear_level: bool = False
    clear_value: bool = False
    ties: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True)
class ClockGate:
    """An integrated clock gate for rising clocks: its pins, and what to tie (test pins, so that they never open it)."""

    cell: str
    clock: str
    enable: str
    output: str
    ties: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True)
class Roles:
    """The chosen cells; a role the library cannot fill is absent (`None`, or missing from `gates`)."""

    gates: Mapping[str, str]
    full_adder: Adder | None
    half_adder: Adder | None
    flip_flop: Register | None
    enable_flip_flop: Register | None
    clear_flip_flop: Register | None
    set_flip_flop: Register | None
    latch: Register | None
    clock_gate: str | None
    tie_high: tuple[str, str] | None
    tie_low: tuple[str, str] | None


def choose(cells: Iterable[Cell]) -> Roles:
    """The smallest cell for each role."""
    cells = list(cells)
    rank = ranking(cells)
    usable = sorted((cell for cell in cells if _usable(cell)), key=rank)
    simple = [cell for cell in usable if combinational(cell)]
    registers = [item for cell in usable if (item := register(cell)) is not None]
    area = {cell.name: cell.area for cell in usable}
    registers.sort(key=lambda item: (area[item.cell], item.inverted, len(item.ties)))
    rising = [item for item in registers if item.rising]
    plain = [item for item in rising if not item.enable and not item.clear]
    latches = [item for cell in usable if (item := register(cell, "latch")) is not None and not item.clear]
    return Roles(
        {name: cell for name in GATES if (cell := _gate(simple, name)) is not None},
        _first(_adder(cell, 3) for cell in simple),
        _first(_adder(cell, 2) for cell in simple),
        _first(plain),
        _first(item for item in rising if item.enable and not item.clear),
        _first(item for item in rising if item.clear and not item.clear_value and not item.enable),
        _first(item for item in rising if item.clear and item.clear_value and not item.enable),
        _first(item for item in latches if item.rising),
        _first(
            cell.name
            for cell in sorted(cells, key=lambda cell: (clock_gate(cell) is None, rank(cell)))
            if cell.clock_gate and not cell.dont_use
        ),
        _first(_tie(cell, 1) for cell in simple),
        _first(_tie(cell, 0) for cell in simple),
    )


def ranking(cells: Iterable[Cell]) -> Callable[[Cell], tuple[float, float, int, str]]:
    """Order of preference within a library: smallest first, then fastest at a common load, then shortest name."""
    loads = [pin.capacitance for cell in cells if len(cell.inputs) > 1 for pin in cell.inputs]
    load = 4 * median(loads) if loads else 0.0
    return lambda cell: (cell.area, delay(cell, load), len(cell.name), cell.name)


def delay(cell: Cell, load: float) -> float:
    """Mean delay in ps of a gate's arcs at a quarter of their slew axis, driving `load` fF; 0 where it has none."""
    tables = [
        t for arc in cell.arcs for t in (arc.rise, arc.fall) if t is not None and arc.kind == "combinational"
    ]
    delays = [t.at(t.slews[len(t.slews) // 4], load) for t in tables]
    return sum(delays) / len(delays) if delays else 0.0


def combinational(cell: Cell) -> bool:
    """True if every output of `cell` is a function of its inputs alone."""
    outputs = cell.outputs
    return (
        cell.sequential is None
        and cell.memory is None
        and cell.clock_gate is None
        and bool(outputs)
        and len(cell.inputs) <= _MAX_INPUTS
        and all(table(cell, pin) is not None for pin in outputs)
    )


def table(cell: Cell, pin: Pin) -> int | None:
    """Truth table of an output over the cell's inputs, `None` where it has no such function."""
    if pin.function is None or pin.tristate:
        return None
    try:
        return function.truth(pin.function, tuple(item.name for item in cell.inputs))
    except ValueError:
        return None


def _usable(cell: Cell) -> bool:
    return not cell.dont_use and cell.area > 0 and not any(pin.width > 1 for pin in cell.pins)


def _first(items: Iterable[_Item | None]) -> _Item | None:
    return next((item for item in items if item is not None), None)


def _gate(cells: Iterable[Cell], name: str) -> str | None:
    count, wanted = GATES[name]
    for cell in cells:
        if len(cell.inputs) == count and len(cell.outputs) == 1:
            pins = [pin.name for pin in cell.inputs]
            text = cell.outputs[0].function or ""
            if any(_same(text, order, wanted) for order in permutations(pins)):
                return cell.name
    return None


def _same(text: str, order: tuple[str, ...], wanted: int) -> bool:
    return function.truth(text, order) == wanted


def _adder(cell: Cell, count: int) -> Adder | None:
    """`cell` as a full (3 inputs) or half (2 inputs) adder, `None` where it is neither."""
    if len(cell.inputs) != count or len(cell.outputs) != 2:
        return None
    full = (1 << (1 << count)) - 1
    total, carry = (0b10010110, 0b11101000) if count == 3 else (0b0110, 0b1000)
    found = {table(cell, pin): pin.name for pin in cell.outputs}
    sums = [(found[value], value != total) for value in (total, full & ~total) if value in found]
    carries = [(found[value], value != carry) for value in (carry, full & ~carry) if value in found]
    if not sums or not carries:
        return None
    # The pin that loads its driver least takes the carry, which is on the long path.
    a, b, c = [*(pin.name for pin in sorted(cell.inputs, key=lambda pin: -pin.capacitance)), None][:3]
    assert a is not None and b is not None
    return Adder(cell.name, a, b, c, sums[0][0], carries[0][0], sums[0][1], carries[0][1])


def _tie(cell: Cell, value: int) -> tuple[str, str] | None:
    if cell.inputs:
        return None
    return next(((cell.name, pin.name) for pin in cell.outputs if table(cell, pin) == value), None)


def register(cell: Cell, kind: str = "ff") -> Register | None:
    """`cell` as a flip-flop (or latch) with one data input, `None` where it is anything else.

    Also `None` for scan cells, for cells that need both set and clear, and for cells with further functions on pins.
    """
    group = cell.sequential
    if group is None or group.kind != kind or cell.clock_gate or cell.scan or cell.memory:
        return None
    clock = _literal(group.clock)
    output = _output(cell, group)
    shape = _data(group)
    if clock is None or output is None or shape is None:
        return None
    data, enable, data_inverted = shape
    ties: list[tuple[str, bool]] = []
    clear = clear_level = clear_value = None
    for text, value in ((group.clear, False), (group.preset, True)):
        if text is None:
            continue
        pin = _literal(text)
        if pin is None or pin[0] == data:
            return None
        if clear is None:
            clear, clear_level, clear_value = pin[0], pin[1], value
        else:
            ties.append((pin[0], not pin[1]))
    inverted = data_inverted != output[1]
    known = {clock[0], data, enable, clear, *(name for name, _ in ties)}
    if {pin.name for pin in cell.inputs} != known - {None}:
        return None
    return Register(
        cell.name,
        clock[0],
        data,
        output[0],
        inverted,
        clock[1],
        enable,
        clear,
        bool(clear_level),
        clear is not None and bool(clear_value) != output[1],
        tuple(ties),
    )


def clock_gate(cell: Cell) -> ClockGate | None:
    """`cell` as a clock gate whose latch keeps the enable while a rising clock is high, `None` where it is none.

    Liberty's `latch_posedge`, with or without a test pin before or after the latch; a test pin opens the gate when it
    is 1, and where it stands before the latch it works like the enable.
    """
    if not (cell.clock_gate or "").startswith("latch_posedge"):
        return None
    clocks = [pin.name for pin in cell.inputs if pin.clock] or sorted(
        {arc.related for arc in cell.arcs if arc.kind.startswith("setup")}
    )
    checked = {arc.pin for arc in cell.arcs if arc.kind == "setup_rising"}
    others = [pin.name for pin in cell.inputs if pin.name not in clocks]
    if len(clocks) != 1 or len(cell.outputs) != 1 or not others:
        return None
    enable, *tests = sorted(others, key=lambda name: name not in checked)
    return ClockGate(
        cell.name, clocks[0], enable, cell.outputs[0].name, tuple((name, False) for name in tests)
    )


def _literal(text: str) -> tuple[str, bool] | None:
    """A function of one pin: its name and whether it is the pin itself rather than its inverse."""
    try:
        pins = function.names(text)
        return (pins[0], function.truth(text, pins) == 0b10) if len(pins) == 1 else None
    except ValueError:
        return None


def _output(cell: Cell, group: Sequential) -> tuple[str, bool] | None:
    """The output to use, and True if it is inverted; the true output if both exist."""
    found = []
    for pin in cell.outputs:
        literal = _literal(pin.function or "")
        if literal is not None and literal[0] in (group.state, group.inverse):
            found.append((pin.name, (literal[0] == group.inverse) == literal[1]))
    return min(found, key=lambda item: item[1], default=None)


def _data(group: Sequential) -> tuple[str, str | None, bool] | None:
    """Data pin, enable pin and whether the state takes the inverse of the data."""
    try:
        pins = tuple(name for name in function.names(group.data) if name != group.state)
        if len(pins) == 1 and group.state not in function.names(group.data):
            return pins[0], None, function.truth(group.data, pins) == 0b01
        if len(pins) == 2:
            for data, enable in (pins, pins[::-1]):
                if function.truth(group.data, (group.state, data, enable)) == 0b11001010:
                    return data, enable, False
    except ValueError:
        return None
    return None
