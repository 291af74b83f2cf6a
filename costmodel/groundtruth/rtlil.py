"""Yosys's RTLIL text cut into modules whose text depends on nothing but their content."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from blueprint.errors import ParamError

_PORT = re.compile(r"^  wire (?:width (\d+) )?.*?\b(input|output|inout) \d+ (?:signed )?(\\\S+)$")
_AUTO = re.compile(r"[\\$]\S*\$\d+\S*")
_CELL = re.compile(r"^\s+cell (\\\S+|\$paramod\S+) ")


@dataclass
class Module:
    """One module: its text, its ports `(direction, bits)` and the modules it instantiates."""

    name: str
    text: str
    blackbox: bool
    ports: dict[str, tuple[str, int]] = field(default_factory=dict)
    children: set[str] = field(default_factory=set)

    @property
    def stub(self) -> str:
        """The module as a blackbox: ports only."""
        wires = [
            f"  wire width {width} {direction} {index} \\{port}"
            for index, (port, (direction, width)) in enumerate(self.ports.items(), 1)
        ]
        head = self.name if self.name.startswith("$") else f"\\{self.name}"
        return "\n".join(["attribute \\blackbox 1", f"module {head}", *wires, "end"])

    @property
    def directions(self) -> dict[str, str]:
        """Direction of each port."""
        return {port: direction for port, (direction, _) in self.ports.items()}

    def memory_shape(self) -> tuple[int, int]:
        """Words and width of a memory macro, from its name (`..._<words>x<width>`) or its ports."""
        named = re.search(r"(?:^|_)(\d+)x(\d+)(?:_|$)", self.name)
        if named:
            return int(named[1]), int(named[2])
        address = [width for port, (_, width) in self.ports.items() if "addr" in port]
        data = [width for _, (direction, width) in self.ports.items() if direction == "output"]
        if not address or not data:
            raise ParamError(
                f"Blackbox {self.name} must be a memory with address and data ports, or be named so"
            )
        return 1 << max(address), max(data)


def modules(text: str) -> dict[str, Module]:
    """The modules of a design by name."""
    found = {}
    attributes: list[str] = []
    body: list[str] = []
    for line in text.splitlines():
        if body:
            body.append(line)
            if line == "end":
                module = _module(body, attributes)
                found[module.name] = module
                body, attributes = [], []
        elif line.startswith("module "):
            body = [line]
        elif line.startswith("attribute "):
            attributes.append(line)
    return found


def _module(lines: list[str], attributes: list[str]) -> Module:
    name = lines[0].split()[1]
    blackbox = any(line.startswith("attribute \\blackbox ") for line in attributes)
    kept = [
        line for line in lines if not line.lstrip().startswith(("attribute \\src ", "attribute \\hdlname "))
    ]
    module = Module(_public(name), _renumber("\n".join(kept)), blackbox)
    for line in kept:
        port, cell = _PORT.match(line), _CELL.match(line)
        if port:
            module.ports[_public(port[3])] = (port[2], int(port[1] or 1))
        elif cell:
            module.children.add(_public(cell[1]))
    return module


def _public(name: str) -> str:
    return name[1:] if name.startswith("\\") else name


def _renumber(text: str) -> str:
    """Names Yosys made up carry a running number of the whole run; number them by appearance in the module."""
    names: dict[str, str] = {}

    def new(match: re.Match[str]) -> str:
        old = match[0]
        if old.startswith(("$paramod", "\\$paramod")):
            return old
        return names.setdefault(old, f"$n{len(names)}")

    return _AUTO.sub(new, text)
