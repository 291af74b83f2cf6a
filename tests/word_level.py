"""Generated designs as word-level netlists: which steps follow one another without a register between them."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import FloatFormat
from blueprint.unit import Path as TimedPath
from blueprint.unit import Unit
from costmodel.model import features
from generator import emission, export
from generator.arithmetic.floating import FloatAdd, FloatMultiply, FloatPair
from toolchain import yosys

#: Cells whose output bit depends on one bit of each operand.
_BITWISE = {"$and", "$or", "$xor", "$xnor", "$not", "$pos", "$mux", "$pmux", "$bwmux"}
#: Least part of a float block's longest chain of cells that its declared part must have: delays of the steps, by which
#: the inventory divides a block, are not in proportion to their cells.
_FLOAT_PART = 0.5
#: The first piece of an adder, up to this share of its delay, orders the operands: so many cells, however wide.
_ORDERING, _ORDERING_CELLS = 0.17, 3
_FLOATS = {"float_adder": FloatAdd, "float_pair": FloatPair, "float_multiplier": FloatMultiply}
_ADDERS = {"adder"}
#: Cells with a carry.
_CARRIES = {"$add", "$sub", "$alu", "$neg", "$macc", "$mul", "$lt", "$le", "$gt", "$ge"}
#: Cells that move a word by another.
_SHIFTS = {"$shl", "$shr", "$sshl", "$sshr", "$shift", "$shiftx"}
MEMORY = "memory"

Step = tuple[tuple[str, ...], str]  # places where it may stand, none for any, and kind of what must be passed


@dataclass(frozen=True)
class Atom:
    """A word-level cell, or one bit of a bitwise one: what it depends on, and the places of its module and of the one
    that uses it: a float block is one module wherever it stands. ``parts`` are the kinds of the steps, in order, that
    a cell stands for which is more than one. A ``wire`` through a module is no cell."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    places: tuple[str, ...]
    adds: bool
    parts: tuple[str, ...] = ()
    wire: bool = False


@dataclass(frozen=True)
class Netlist:
    """A flat design: atoms in topological order, bits that leave memories, flip-flops by place."""

    atoms: tuple[Atom, ...]
    memory_bits: frozenset[int]
    flip_flops: Mapping[str, int]
    places: frozenset[str]

    def passes(self, steps: Sequence[Step]) -> int:
        """How many of ``steps``, in this order, one combinational chain passes."""
        reached: dict[int, int] = {}
        if steps and steps[0][1] == MEMORY:
            reached = dict.fromkeys(self.memory_bits, 1)
        best = max(reached.values(), default=0)
        for atom in self.atoms:
            so_far = max((reached.get(bit, 0) for bit in atom.inputs), default=0)
            if not atom.wire:
                so_far += _passed(atom, steps[so_far : so_far + max(len(atom.parts), 1)])
            if so_far:
                reached.update(dict.fromkeys(atom.outputs, so_far))
                best = max(best, so_far)
        return best

    def depth(self, place: str = "") -> int:
        """Cells of the longest combinational chain, or those of a place in the chain that has most of them."""
        return self._longest(lambda atom: not atom.wire and place in ("", *atom.places))

    def carries(self) -> int:
        """Cells with a carry in the chain between registers that has most of them."""
        return self._longest(lambda atom: atom.adds)

    def _longest(self, counted: Callable[[Atom], bool]) -> int:
        reached: dict[int, int] = {}
        for atom in self.atoms:
            deep = counted(atom) + max((reached.get(bit, 0) for bit in atom.inputs), default=0)
            reached.update(dict.fromkeys(atom.outputs, deep))
        return max(reached.values(), default=0)


def _passed(atom: Atom, steps: Sequence[Step]) -> int:
    """How many of the next ``steps`` a cell is: one, or those of its parts, in their order."""
    left, count = list(atom.parts), 0
    for places, kind in steps:
        if not _stands(atom, places) or kind not in left:
            break
        left, count = left[left.index(kind) + 1 :], count + 1
    return count or int(any(_is(atom, *step) for step in steps[:1]))


def _is(atom: Atom, places: tuple[str, ...], kind: str) -> bool:
    return _stands(atom, places) and (atom.adds or kind not in _ADDERS)


def _stands(atom: Atom, places: tuple[str, ...]) -> bool:
    return not places or any(place in places for place in atom.places)


def netlist(folder: Path) -> Netlist:
    """The design of a generated folder, flat."""
    manifest = json.loads((folder / "manifest.json").read_text())
    places = {name: module["place"] for name, module in manifest["modules"].items()}
    return _flat(_modules(folder, manifest["files"], manifest["top"]), manifest["top"], places)


def _modules(folder: Path, files: Iterable[str], top: str) -> dict[str, Any]:
    lines = [f"read_verilog -sv {name}" for name in files]
    lines += [f"hierarchy -check -top {top}", "proc", "opt_expr", "opt_clean", "write_json words.json"]
    yosys.run("\n".join(lines), cwd=folder, timeout_s=300)
    found: dict[str, Any] = json.loads((folder / "words.json").read_text())["modules"]
    return found


class _Bits:
    """Numbers of the bits of a flat design."""

    def __init__(self) -> None:
        self._count = 0

    def new(self) -> int:
        self._count += 1
        return self._count


def _flat(modules: Mapping[str, Any], top: str, places: Mapping[str, str]) -> Netlist:
    numbers = _Bits()
    atoms: list[Atom] = []
    memory_bits: set[int] = set()
    held: dict[str, int] = {}

    def visit(name: str, outside: Mapping[int, int], user: str) -> None:
        known = dict(outside)

        def number(bit: Any) -> int:
            return 0 if isinstance(bit, str) else known.setdefault(bit, numbers.new())

        place = places.get(name, "")
        for cell in modules[name]["cells"].values():
            pins = {pin: [number(bit) for bit in bits] for pin, bits in cell["connections"].items()}
            kind = cell["type"]
            inside, through = _joined(modules[kind]["ports"], pins) if kind in modules else ({}, [])
            macro = places.get(kind) == MEMORY or kind in modules and not (modules[kind]["cells"] or through)
            if kind in modules and not macro:
                atoms.extend(Atom((taken,), (given,), (), False, wire=True) for taken, given in through)
                visit(kind, inside, place)
            elif "dff" in kind or kind == "$ff":
                held[place] = held.get(place, 0) + len(pins["Q"])
            elif macro or kind.startswith("$mem"):
                memory_bits.update(
                    bit for pin, bits in pins.items() if _leaves(modules, cell, pin) for bit in bits
                )
            elif kind not in ("$scopeinfo", "$check", "$print"):
                widths = {pin: len(bits) for pin, bits in cell["connections"].items()}
                atoms.extend(_atoms(kind, cell["port_directions"], pins, (place, user), _parts(kind, widths)))

    visit(top, {}, "")
    return Netlist(tuple(_ordered(atoms)), frozenset(memory_bits - {0}), held, frozenset(places.values()))


def _joined(
    ports: Mapping[str, Any], pins: Mapping[str, Sequence[int]]
) -> tuple[dict[int, int], list[tuple[int, int]]]:
    """Numbers of a module's bits that are its ports, and pairs of numbers that it only passes from an input on."""
    inside: dict[int, int] = {}
    through: list[tuple[int, int]] = []
    for leaves in (False, True):
        for pin, port in ports.items():
            if (port["direction"] == "output") != leaves:
                continue
            for bit, joined in zip(port["bits"], pins.get(pin, []), strict=False):
                if isinstance(bit, str):
                    continue
                if inside.setdefault(bit, joined) != joined:
                    through.append((inside[bit], joined))
    return inside, through


def _leaves(modules: Mapping[str, Any], cell: Mapping[str, Any], pin: str) -> bool:
    if cell["type"] in modules:
        return bool(modules[cell["type"]]["ports"][pin]["direction"] == "output")
    return bool(cell["port_directions"][pin] == "output")


def _parts(kind: str, widths: Mapping[str, int]) -> tuple[str, ...]:
    """The steps in series that a multiplier or shifter is, by the widths of its operands."""
    if kind == "$mul":
        rows = min(widths["A"], widths["B"])
        return ("and_row", *["compressor"] * (rows - 2).bit_length(), "adder") if rows > 1 else ("and_row",)
    return ("mux",) * widths["B"] if kind in _SHIFTS else ()


def _atoms(
    kind: str,
    directions: Mapping[str, str],
    pins: Mapping[str, list[int]],
    places: tuple[str, ...],
    parts: tuple[str, ...],
) -> Iterator[Atom]:
    leaving = [bit for pin, bits in pins.items() if directions[pin] == "output" for bit in bits]
    entering = {pin: bits for pin, bits in pins.items() if directions[pin] == "input"}
    adds = kind in _CARRIES
    if kind not in _BITWISE:
        below = {bit for bits in entering.values() for bit in bits if bit}
        yield Atom(tuple(below), tuple(leaving), places, adds, parts)
        return
    shared = entering.pop("S", []) if kind in ("$mux", "$pmux") else []
    for index, bit in enumerate(leaving):
        # A narrow operand is extended by its highest bit; the words of a wide one lie side by side.
        below = {
            number
            for bits in entering.values()
            for number in (bits[index :: len(leaving)] if len(bits) > index else bits[-1:])
        }
        yield Atom(tuple((below | set(shared)) - {0}), (bit,), places, adds)


def _ordered(atoms: Sequence[Atom]) -> Iterator[Atom]:
    driver = {bit: number for number, atom in enumerate(atoms) for bit in atom.outputs}
    graph = {
        number: {driver[bit] for bit in atom.inputs if bit in driver} for number, atom in enumerate(atoms)
    }
    return (atoms[number] for number in TopologicalSorter(graph).static_order())


def steps(path: TimedPath, fmt: FloatFormat | None, places: frozenset[str]) -> list[Step]:
    """What a chain of cells must pass to be the declared path; a place that no module has stands for any."""
    found: list[Step] = []
    for unit in path.steps:
        here: tuple[str, ...] = (unit.place,) if unit.place in places else ()
        if unit.kind == "sram":
            found += [((), MEMORY)] * bool(unit.count)
        else:
            found += [(here, unit.kind)] * _cells(unit, fmt)
    return found


def carries(paths: Iterable[TimedPath]) -> int:
    """Steps with a carry of the declared path that has most of them; not for floats, whose blocks have many."""
    counted = ("adder", "half_adder", "comparator")
    return max(math.ceil(sum(unit.count for unit in path.steps if unit.kind in counted)) for path in paths)


def _cells(unit: Unit, fmt: FloatFormat | None) -> int:
    """Least number of cells in series that a step of a path is."""
    if unit.kind == "broadcast" or not any(features.terms(unit, features.DELAY).values()):
        return 0
    if unit.kind in _FLOATS and fmt is not None:
        least = math.ceil(_FLOAT_PART * float(unit.count) * _block_depth(unit.kind, fmt.name))
        orders = unit.kind == "float_adder" and unit.count <= _ORDERING
        return min(least, _ORDERING_CELLS) if orders else least
    return math.ceil(unit.count)


@cache
def _block_depth(kind: str, fmt: str) -> int:
    """Cells of the longest chain in a float block without registers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        emitted = emission.emit(_FLOATS[kind](floating.get(fmt)))
        (folder / "block.v").write_text("\n".join(emitted.modules.values()))
        return _flat(_modules(folder, ["block.v"], emitted.top), emitted.top, {}).depth()


def generated(spec: Any, folder: Path) -> Netlist:
    """The netlist of a design."""
    export.write_hardware(spec, folder)
    return netlist(folder)
