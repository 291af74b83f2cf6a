"""A technology: the facts of a cell library that estimation and synthesis need, each with its source."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from blueprint.errors import ParamError, SpecError
from blueprint.files import schemas
from blueprint.files.document import Section, is_kind, kind_name, read
from blueprint.files.nearest import suggestion
from blueprint.files.tree import show
from costmodel.technology import facts, model_file, packaged, selection, sram_file
from costmodel.technology.liberty import Cell, WireLoad, Wires
from costmodel.technology.roles import Adder, Register, Roles
from costmodel.technology.sram import Sram

_REGISTERS = ("flip_flop", "enable_flip_flop", "clear_flip_flop", "set_flip_flop", "latch")
_COLDEST = -273.15
_CORNER = {"voltage": "V", "temperature": "C", "process": "1"}


@dataclass(frozen=True)
class Measured:
    """A number with its unit and source."""

    value: float
    unit: str
    source: str


@dataclass(frozen=True)
class Technology:
    """Cells, their roles, the corner, memory macros, and the coefficients that calibration fitted (`model`).

    The cells are parsed at first use, since estimation needs only the model.
    """

    name: str
    sources: tuple[tuple[str, str], ...]  # name and SHA-256 of every Liberty file
    corner: Mapping[str, Measured]
    roles: Roles
    sram: Sram
    cell_text: str
    cell_source: str
    notes: tuple[str, ...] = ()
    model: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""
    cell_line: int = 0  # line of the file before the first cell fact
    drive_text: str = ""
    drive_line: int = 0
    wires: Wires | None = None
    wire_source: str = ""

    @cached_property
    def cells(self) -> Mapping[str, Cell]:
        """All cells by name, including drive strengths. Raises `SpecError` for a line that is no fact."""
        return {**self.mapped, **self._read("drives", self.drive_text, self.drive_line)}

    @cached_property
    def mapped(self) -> Mapping[str, Cell]:
        """The cells that mapping chooses from: the smallest of each function, and those with a role."""
        return self._read("table", self.cell_text, self.cell_line)

    def _read(self, key: str, text: str, line: int) -> Mapping[str, Cell]:
        try:
            return facts.load(text)
        except facts.FactsError as problem:
            raise SpecError(f"{self.path}:{line + problem.line + 1}:1: cells.{key}: {problem}") from None

    @cached_property
    def strengths(self) -> Mapping[str, tuple[str, ...]]:
        """By cell, the names of the cells that can replace it: smallest first, the cell itself included."""
        groups: dict[selection.Footprint, list[Cell]] = {}
        for cell in self.cells.values():
            groups.setdefault(selection.footprint(cell), []).append(cell)
        found: dict[str, tuple[str, ...]] = {}
        for group in groups.values():
            names = tuple(cell.name for cell in sorted(group, key=lambda cell: (cell.area, cell.name)))
            found |= dict.fromkeys(names, names)
        return found

    @property
    def recipe(self) -> str | None:
        """The recipe of the syntheses that the coefficients were fitted to; None without coefficients."""
        stated = re.search(r"recipe (\S+)$", str(self.model.get("area", {}).get("source", "")))
        return stated[1] if stated else None

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the cells and their roles, on which mapping depends.

        Roles are hashed by their former names, so that studies and syntheses of earlier versions stay valid.
        """
        roles = str(self.roles).replace("flip_flop", "flop")
        return hashlib.sha256(f"{self.cell_text}{roles}".encode()).hexdigest()

    @property
    def digest(self) -> str:
        """First 16 hexadecimal digits of a hash of all numbers of the technology: cells, model and memories."""
        fitted = {
            name: group for name, group in self.model.items() if name != "validation"
        }  # which changes no number
        numbers = f"{self.fingerprint} {json.dumps(fitted, sort_keys=True)} {self.sram}"
        return hashlib.sha256(numbers.encode()).hexdigest()[:16]

    @property
    def voltage(self) -> float:
        """Supply voltage in V."""
        return self.corner["voltage"].value

    def with_model(self, model: Mapping[str, Any]) -> Technology:
        """The same technology with other calibrated coefficients."""
        return dataclasses.replace(self, model=model)


def names() -> tuple[str, ...]:
    """Names of the packaged technologies."""
    return packaged.names()


def load(name_or_path: str | Path) -> Technology:
    """Load the packaged technology of this name, or a technology file.

    Raises `ParamError` for an unknown name and `SpecError` for a file that is no technology.
    """
    text = str(name_or_path)
    named = isinstance(name_or_path, str) and text in names()
    if text and not named and (text.endswith((".yaml", ".yml")) or "/" in text or Path(text).exists()):
        return read_technology(Path(name_or_path))
    if text not in names():
        known = ", ".join(names())
        raise ParamError(
            f"Technology must be one of {known}, or a file, not {text!r}{suggestion(text, names())}"
        )
    return _shipped(text)


@cache
def _shipped(name: str) -> Technology:
    return read_technology(packaged.FOLDER / f"{name}.yaml")


def read_technology(path: Path) -> Technology:
    """Read a technology file. Raises `SpecError` (`file:line: ...`)."""
    document = read(path)
    document.check_schema(schemas.TECHNOLOGY)
    name = document.take("name", str)
    cells = document.section("cells")
    cell_source, table = cells.text("source"), cells.text("table")
    line = cells.position(("table",))[0]
    drives, drive_line = ("", 0)
    if "drives" in cells:
        drives, drive_line = cells.text("drives"), cells.position(("drives",))[0]
    cells.finish()
    wires, wire_source = _wires(document.section("wires")) if "wires" in document else (None, "")
    technology = Technology(
        name,
        _sources(document),
        {key: _measured(document.section("corner"), key, unit) for key, unit in _CORNER.items()},
        _roles(document.section("roles")),
        sram_file.read(document.section("sram")),
        table,
        cell_source,
        tuple(document.take("notes", list, default=[])),
        model_file.read(document),
        str(path),
        line,
        drives,
        drive_line,
        wires,
        wire_source,
    )
    document.finish()
    _check_roles(technology, document)
    return technology


def _wires(section: Section) -> tuple[Wires, str]:
    source = section.text("source")
    loads = []
    for item in section.sections("loads"):
        name = item.take("name", str)
        capacitance, resistance, slope = (
            item.take(key, float, minimum=0) for key in ("capacitance", "resistance", "slope")
        )
        fanouts, lengths = item.take("fanouts", list), item.take("lengths", list)
        if len(fanouts) != len(lengths):
            raise item.error(
                "lengths", f"lengths must be as many as fanouts, {len(fanouts)}, not {len(lengths)}"
            )
        _check_points(item, fanouts, lengths)
        points = tuple((fanout, float(length)) for fanout, length in zip(fanouts, lengths, strict=True))
        loads.append(WireLoad(name, capacitance, resistance, slope, points))
        item.finish()
    if not loads:
        raise section.error("loads", "loads must have one wire load at least, and have none")
    default = section.take("default", str, choices=tuple(load.name for load in loads))
    areas = []
    for item in section.sections("by_area") if section.raw().get("by_area") else ():
        areas.append((item.take("from", float), item.take("to", float), item.take("load", str)))
        item.finish()
    if not areas:
        section.take("by_area", list, default=[])
    section.finish()
    return Wires(tuple(loads), default, tuple(areas)), source


def _check_points(item: Section, fanouts: list[Any], lengths: list[Any]) -> None:
    for key, values, kind in (("fanouts", fanouts, int), ("lengths", lengths, float)):
        for place, value in enumerate(values):
            if not is_kind(value, kind) or value < 0:
                what = f"{key} must be {kind_name(kind)} of at least 0 each, not {show(value)}"
                raise item.error((key, place), what)


def _sources(document: Section) -> tuple[tuple[str, str], ...]:
    rows = []
    for item in document.sections("files"):
        rows.append((item.take("file", str), item.take("sha256", str)))
        item.finish()
    return tuple(rows)


def _measured(parent: Section, key: str, unit: str) -> Measured:
    section = parent.section(key)
    found = Measured(
        section.take("value", float), section.take("unit", str, choices=(unit,)), section.text("source")
    )
    if key == "temperature":
        section.take("value", float, minimum=_COLDEST)
    elif found.value <= 0:
        raise section.error("value", f"value must be above 0, not {show(found.value)}")
    section.finish()
    return found


def _roles(section: Section) -> Roles:
    section.text("source")
    gates = section.section("gates")
    roles = Roles(
        {key: gates.take(key, str) for key in gates.raw()},
        _adder(section, "full_adder"),
        _adder(section, "half_adder"),
        **{key: _register(section, key) for key in _REGISTERS},
        clock_gate=section.take("clock_gate", str, default=None),
        tie_high=_tie(section, "tie_high"),
        tie_low=_tie(section, "tie_low"),
    )
    section.finish()
    return roles


def _adder(parent: Section, key: str) -> Adder | None:
    if key not in parent:
        return None
    section = parent.section(key)
    found = Adder(
        **{pin: section.take(pin, str) for pin in ("cell", "a", "b", "total", "carry_out")},
        **{flag: section.take(flag, bool) for flag in ("total_inverted", "carry_inverted")},
        carry_in=section.take("carry_in", str, default=None),
    )
    section.finish()
    return found


def _written(parent: Section, role: str) -> str:
    """The key of a role in a file: its name, or its name in files of earlier versions."""
    former = role.replace("flip_flop", "flop")
    present = parent.keys()  # `in parent` would mark the key as read, and accept both names
    return former if former in present and role not in present else role


def _register(parent: Section, role: str) -> Register | None:
    key = _written(parent, role)
    if key not in parent:
        return None
    section = parent.section(key)
    ties = section.section("ties") if "ties" in section else None
    found = Register(
        **{pin: section.take(pin, str) for pin in ("cell", "clock", "data", "output")},
        inverted=section.take("inverted", bool),
        rising=section.take("rising", bool, default=True),
        enable=section.take("enable", str, default=None),
        clear=section.take("clear", str, default=None),
        clear_level=section.take("clear_level", bool, default=False),
        clear_value=section.take("clear_value", bool, default=False),
        ties=tuple((pin, ties.take(pin, bool)) for pin in ties.raw()) if ties else (),
    )
    section.finish()
    return found


def _tie(parent: Section, key: str) -> tuple[str, str] | None:
    if key not in parent:
        return None
    section = parent.section(key)
    found = (section.take("cell", str), section.take("pin", str))
    section.finish()
    return found


def _check_roles(technology: Technology, document: Section) -> None:
    """Raise `SpecError` for a role whose cell is not among the cells."""
    roles = technology.roles
    lines = map(str.split, technology.cell_text.splitlines())
    known = {words[1] for words in lines if words[:1] == ["cell"] and len(words) > 1}
    chosen = [(("roles", "gates", key), cell) for key, cell in roles.gates.items()]
    for key in ("full_adder", "half_adder", *_REGISTERS):
        role = getattr(roles, key)
        if role is not None:
            chosen.append((("roles", _written(document.section("roles"), key), "cell"), role.cell))
    for path, cell in chosen:
        if cell not in known:
            hint = suggestion(cell, sorted(known))
            raise document.error(path, f"{path[-1]} must be a cell of cells.table, not {cell!r}{hint}")
