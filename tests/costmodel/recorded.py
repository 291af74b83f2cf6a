"""A drawn library and netlists of its cells as recorded in `tests/golden/costmodel.json`.

    python -m tests.costmodel.recorded

Library, netlists and measurements are drawn, so that no number of them equals another: an import, its laws of memories
and its files; timing, buffers, strengths, switching and files of netlists; adders and registers on cells; and the
loss and the terms of fits. What moves a number on purpose is recorded again.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from blueprint.errors import ParamError
from costmodel.groundtruth import (
    activity,
    arrivals,
    buffering,
    closure,
    mapping,
    netlist_files,
    rtlil,
    sizing,
    sta,
)
from costmodel.groundtruth import wires as wire_models
from costmodel.groundtruth.flatten import flatten, owners
from costmodel.groundtruth.recipe import BUFFERED, LEAST
from costmodel.groundtruth.synthesis import Mapped, summary
from costmodel.technology import compact, importing, liberty, selection, technology
from costmodel.technology.macros import SINGLE, TWO
from costmodel.technology.technology import Technology
from tests.costmodel import odd_library

FILE = Path(__file__).resolve().parent.parent / "golden" / "costmodel.json"
#: Libraries by name: what is in them beside the cells.
LIBRARIES: dict[str, dict[str, Any]] = {
    "whole": {},
    "one_port": {"seed": 6, "memories": "one", "wires": False},
    "placeholders": {"seed": 7, "memories": "two", "states": False},
    "no_memories": {"seed": 8, "memories": "none"},
}
#: Words and width of the memories that laws are asked about.
SHAPES = ((16, 4), (64, 40), (256, 8), (1000, 33), (4096, 70), (65536, 16))
RAM = "ram_64x6"
ROUNDED = 9


def digest(value: Any) -> str:
    """A short hash of a text, or of what JSON holds."""
    text = value if isinstance(value, str) else json.dumps(value)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@cache
def imported(name: str, points: int = 4) -> Technology:
    """The technology of a library, as an import writes and a file gives it back."""
    with scratch() as folder:
        file = folder / "odd.lib"
        file.write_text(odd_library.text(**LIBRARIES[name]), encoding="utf-8")
        path = folder / "odd.yaml"
        path.write_text(importing.dump(importing.technology([file], name, points=points)), encoding="utf-8")
        return technology.load(path)


def library(name: str) -> dict[str, Any]:
    """A technology file, part by part: texts by their hashes, laws and prices of memories by their numbers."""
    found = imported(name)
    text = importing.dump(found)
    head, _, cells = text.partition("\ncells:")
    sections = {part.split(":")[0]: part for part in ("\n" + head).split("\n\n") if part}
    table, _, drives = cells.partition("  drives: |\n")
    sram = found.sram
    prices = {
        kind: {
            quantity: [float(getattr(sram, quantity)(*shape, kind)) for shape in SHAPES]
            for quantity in ("area_um2", "access_ps", "read_pj", "write_pj", "leakage_nw")
        }
        for kind in (SINGLE, TWO)
    }
    return {
        "roles": json.loads(json.dumps(asdict(found.roles))),
        "corner": {key: asdict(item) for key, item in found.corner.items()},
        "notes": [digest(note) for note in found.notes],
        "sections": len(sections),
        "wires": asdict(found.wires) if found.wires else None,
        "cells": [line.split()[1] for line in table.splitlines() if line.startswith("    cell ")],
        "facts": digest(table),
        "drives": [line.split()[1] for line in drives.splitlines() if line.startswith("    cell ")],
        "drive_facts": digest(drives),
        "strengths": digest([[key, *names] for key, names in found.strengths.items()]),
        "laws": {kind: {key: asdict(law) for key, law in laws.items()} for kind, laws in sram.laws.items()},
        "folding": asdict(sram.organization),
        "macros": [list(asdict(macro).values()) for macro in sram.macros],
        "prices": prices,
        "fingerprint": found.fingerprint[:12],
    }


def written(name: str) -> dict[str, str]:
    """Liberty files of the cells: gates alone, all cells with memories and wires, and all cells of the first file."""
    found = imported(name)
    wires = found.wires.at(50.0) if found.wires else None
    ports = (
        ("a", "input", 5),
        ("clk", "input", 1),
        ("we", "input", 1),
        ("q", "output", 9),
        ("ok", "output", 1),
    )
    macros = [compact.Macro("ram", ports, "clk", 321.0), compact.Macro("rom", ports[:4], "we", 12.5)]
    with scratch() as folder:
        file = folder / "odd.lib"
        file.write_text(odd_library.text(**LIBRARIES[name]), encoding="utf-8")
        every = liberty.parse(file).cells.values()
        compact.write_liberty(selection.smallest(found.cells.values()), folder / "gates.lib", "gates")
        compact.write_library(found.cells.values(), folder / "all.lib", "all", wires, macros)
        compact.write_library([c for c in every if c.memory is None], folder / "first.lib", "first")
        return {path.stem: digest(path.read_text()) for path in sorted(folder.glob("*.lib")) if path != file}


# Netlists -----------------------------------------------------------------------------------------------------------


class _Drawn:
    """A module of drawn cells without loops; later cells read what earlier ones drive."""

    def __init__(self, seed: int, inputs: Mapping[str, int]) -> None:
        self.random = np.random.default_rng(seed)
        self.next, self.cells = 2, dict[str, Any]()
        self.ports: dict[str, Any] = {}
        self.nets: list[int] = []
        for name, width in inputs.items():
            bits = [self.net() for _ in range(width)]
            self.ports[name] = {"direction": "input", "bits": bits}
            self.nets += [] if name == "ck" else bits

    def net(self) -> int:
        self.next += 1
        return self.next - 1

    def any(self) -> int | str:
        """A net, a new one more often than an old one; now and then a constant."""
        if self.random.random() < 0.03:
            return "01"[int(self.random.integers(2))]
        back = int(len(self.nets) * self.random.random() ** 2.5)
        return self.nets[len(self.nets) - 1 - back]

    def put(self, kind: str, **pins: Sequence[int | str]) -> None:
        self.cells[f"u{len(self.cells)}"] = {
            "type": kind,
            "connections": {pin: list(b) for pin, b in pins.items()},
        }

    def gates(self, count: int, names: Sequence[str]) -> None:
        for _ in range(count):
            name = names[int(self.random.integers(len(names)))]
            if name.startswith("DFF"):
                out = self.net()
                self.put(name, CK=self.ports["ck"]["bits"], D=[self.any()], Q=[out])
                self.nets.append(out)
                continue
            inputs, outputs = odd_library.GATES[name.rpartition("_")[0]]
            pins: dict[str, list[int | str]] = {pin: [self.any()] for pin in inputs.split()}
            made = [self.net() for _ in outputs]
            self.put(name, **pins, **{pin: [net] for pin, net in zip(outputs, made, strict=True)})
            self.nets += made

    def outputs(self, **widths: int) -> dict[str, Any]:
        """The module, with the last nets and some of the others as outputs."""
        for name, width in widths.items():
            places = [
                len(self.nets) - 1 - int(self.random.integers(len(self.nets) // 2)) for _ in range(width)
            ]
            self.ports[name] = {"direction": "output", "bits": [self.nets[place] for place in places]}
        return {"ports": self.ports, "cells": self.cells}


_KINDS = (
    "INV_X1",
    "NAND2_X1",
    "NAND2_X3",
    "NOR2_X1",
    "XOR2_X1",
    "AND2_X1",
    "AOI21_X1",
    "FA_X1",
    "HA_X1",
    "DFF",
)


@cache
def netlists(seed: int) -> dict[str, Any]:
    """A top with a memory and three instances of a module, whose nets fan out within and between them."""
    leaf = _Drawn(seed, {"ck": 1, "x": 5, "s": 1})
    leaf.gates(40, _KINDS)
    for _ in range(14):  # readers of one net that comes in by a port, and of one of its own
        for net in (leaf.ports["s"]["bits"][0], leaf.nets[9]):
            out = leaf.net()
            leaf.put("NAND2_X1", A=[net], B=[leaf.any()], Y=[out])
            leaf.nets.append(out)
    inner = leaf.outputs(y=4, z=1)
    top = _Drawn(seed + 100, {"ck": 1, "a": 7, "we": 1})
    top.gates(30, _KINDS)
    for _ in range(3):
        ports = {"x": [top.any() for _ in range(5)], "s": [top.nets[4]]}
        made = {"y": [top.net() for _ in range(4)], "z": [top.net()]}
        top.put("leaf", ck=top.ports["ck"]["bits"], **ports, **made)
        top.nets += [net for nets in made.values() for net in nets]
        top.gates(8, _KINDS)
    read = [top.net() for _ in range(6)]
    address = {"read_address": [top.any() for _ in range(6)], "write_address": [top.any() for _ in range(6)]}
    data = {"write_data": [top.any() for _ in range(6)], "write": top.ports["we"]["bits"], "read": ["1"]}
    top.put(RAM, clk=top.ports["ck"]["bits"], read_data=read, **address, **data)
    top.nets += read
    top.gates(25, _KINDS)
    return {"top": top.outputs(o=6, p=1), "leaf": inner}


PORTS = {
    "clk": ("input", 1), "read": ("input", 1), "write": ("input", 1), "read_address": ("input", 6),
    "write_address": ("input", 6), "write_data": ("input", 6), "read_data": ("output", 6),
}  # fmt: skip


def design(seed: int, recipe: str = BUFFERED) -> Mapped:
    """A drawn netlist as a design that was mapped."""
    facts = imported("whole")
    boxes = {RAM: rtlil.Module(RAM, "", True, dict(PORTS))}
    directions = {name: direction for name, (direction, _) in PORTS.items()}
    access = float(facts.sram.access_ps(64, 6))
    wires, text = (None, "no wires") if recipe == LEAST else wire_models.choose(None, facts, 60.0, 150)
    made = netlists(seed)
    return Mapped("top", boxes, made, facts, recipe, None, wires, text, {RAM: (directions, access)})


def timed(seed: int) -> dict[str, Any]:
    """Timing of a netlist as it is, with trees and wires and without, and of its places."""
    found: dict[str, Any] = {}
    facts, place = imported("whole"), {"top": "outside", "leaf": "inside"}
    for name, mapped in (("least", design(seed, LEAST)), ("buffered", design(seed))):
        timing = mapped.timing
        found[name] = {
            "classes": dict(timing.classes),
            "path": list(timing.path),
            "places": arrivals.slowest_by_place(mapped.graph, place),
            "summary": json.loads(json.dumps(asdict(summary(mapped)))),
        }
    mapped = design(seed)
    wires = mapped.wires
    flat = flatten("top", mapped.netlists)
    graph = sta.Graph(flat, facts, mapped.macros, False, wires)
    wave = sta.Wave(graph, graph.from_registers())
    slack = wave.slack(500.0, (graph.captures, graph.leaving))
    found["slack"] = [float(slack.min()), float(slack[np.isfinite(slack)].sum())]
    found["loads"] = [float(sta.wire_loads(flat, facts.cells, wires).sum()), float(graph.load.sum())]
    found["slews"] = float(np.where(np.isfinite(wave.slew), wave.slew, 0).sum())
    found["given_slew"] = sta.analyze(
        "top", mapped.netlists, facts, mapped.macros, input_slew_ps=77.0, wires=wires
    ).critical_path_ps
    return found


def closed(seed: int) -> dict[str, Any]:
    """Buffers, and strengths for shorter and shorter periods."""
    mapped, facts = design(seed), imported("whole")
    buffered = buffering.insert("top", mapped.netlists, facts, mapped.wires)

    def remap(styles: Mapping[str, str]) -> dict[str, Any]:
        others = {"area": 0, "prefix": 10, "gates": 20}
        return {name: netlists(seed + others[styles.get(name, "area")])[name] for name in mapped.netlists}

    problem = closure.Problem("top", facts, mapped.wires, mapped.macros, remap)
    graph = problem.graph(buffered)
    delay = problem.time(buffered).critical_path_ps
    found: dict[str, Any] = {
        "buffers": {
            name: sorted(
                f"{key} {cell['type']}" for key, cell in one["cells"].items() if key.startswith("buf")
            )
            for name, one in buffered.items()
        },
        "netlists": digest(buffered),
        "delay": delay,
        "area": problem.area(buffered),
        "clocks": buffering.ports("top", mapped.netlists, facts),
        "kinds": [
            [item.cell.name, item.delay(30.0, 7.0), item.capacitance] for item in buffering.buffers(facts)
        ],
    }
    for share in (0.95, 0.85, 0.6, 0.2):
        sized = sizing.size(graph, share * delay)
        changes = sorted(" ".join((*place, cell)) for place, cell in sized.changes.items())
        found[f"sized_{share}"] = [sized.delay_ps, len(changes), digest(changes)]
    for share in (1.0, 0.93, 0.1):
        try:
            closing = closure.close(problem, share * delay)
        except ParamError as problem_told:
            found[f"closed_{share}"] = str(problem_told)
        else:
            timing = problem.time(closing)
            found[f"closed_{share}"] = [problem.area(closing), timing.critical_path_ps, digest(closing)]
    rungs = [problem.time(one).critical_path_ps for one in closure._ladder(problem)]
    found["rungs"] = [*rungs, digest(closure.once(problem, {"leaf": "gates"}, 0.8 * delay))]
    return found


def switched(seed: int) -> dict[str, Any]:
    """Energies of random values on the inputs of a netlist, by place, and accesses of its memory."""
    mapped = design(seed)
    flat = flatten("top", mapped.netlists)
    machine = activity._Machine(flat, mapped.netlists["top"]["ports"], mapped.technology, mapped.wires)
    owner = owners(flat, {"top": "outside", "leaf": "inside"})
    random = np.random.default_rng(seed)
    machine.settle()
    machine.counting = True
    for _ in range(12):
        before = machine.values.copy()
        machine.clock()
        for port, width in (("a", 7), ("we", 1)):
            machine.drive(port, random.integers(1 << 63, size=width, dtype=np.uint64))
        machine.settle(before)
    return {
        "toggles": digest(machine.toggles.tolist()),
        "energies": machine.price(owner, 12),
        "clocks": machine.clocks(owner, 12),
        "leakage": machine.leakage(owner),
        "accesses": {kind: list(each) for kind, each in machine.accesses.items()},
        "weights": float(machine.weights().sum()),
    }


def files(seed: int) -> dict[str, str]:
    """Files of a netlist for other tools."""
    with scratch() as folder:
        written = netlist_files.write(design(seed), folder / "out.v")
        return {path.suffix: digest(path.read_text()) for path in written}


# Adders and registers -----------------------------------------------------------------------------------------------

TECHNOLOGIES = ("asap7", "ihp_sg13g2", "sky130hd")


def _words(seed: int) -> dict[str, Any]:
    """A module of adders, registers and gates, as Yosys leaves them."""
    drawn = _Drawn(seed, {"ck": 1, "a": 9})

    def put(kind: str, outputs: str, **pins: int | str) -> None:
        name = f"u{len(drawn.cells)}"
        drawn.cells[name] = {
            "type": kind, "connections": {pin: [bit] for pin, bit in pins.items()},
            "port_directions": {pin: "output" if pin in outputs.split() else "input" for pin in pins},
        }  # fmt: skip
        drawn.nets += [bit for pin, bit in pins.items() if pin in outputs.split() and isinstance(bit, int)]

    for _ in range(90):
        draw = drawn.random.random()
        if draw < 0.5:
            one = drawn.any()
            other = one if drawn.random.random() < 0.06 else drawn.any()
            put("$fa", "X Y", A=one, B=other, C=drawn.any(), X=drawn.net(), Y=drawn.net())
        elif draw < 0.75:
            put("$_DFF_P_", "Q", C=drawn.ports["ck"]["bits"][0], D=drawn.any(), Q=drawn.net())
        else:
            kind = ("$_AND_", "$_XOR_", "$_MUX_")[int(drawn.random.integers(3))]
            extra = {"S": drawn.any()} if kind == "$_MUX_" else {}
            put(kind, "Y", A=drawn.any(), B=drawn.any(), **extra, Y=drawn.net())
    return drawn.outputs(y=12)


def placed(name: str) -> dict[str, Any]:
    """What becomes of drawn adders and registers on the cells of a technology."""
    facts = technology.load(name) if name in TECHNOLOGIES else imported(name)
    areas = {cell.name: cell.area for cell in facts.mapped.values()}
    found: dict[str, Any] = {}
    for seed in (1, 2, 3):
        module = _words(seed)
        mapping.place(module, facts.roles, areas)
        kinds = [cell["type"] for cell in module["cells"].values()]
        counts = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
        found[str(seed)] = [counts, digest({"ports": module["ports"], "cells": module["cells"]})]
    return found


def wires() -> dict[str, Any]:
    """Statistical wires by area and cells."""
    sizes = ((0.0, 0), (10.0, 3), (57.0, 40), (1234.5, 700), (98765.0, 54321))
    loads = [wire_models.statistical(*size) for size in sizes]
    return {
        "lengths": [load.lengths[0][1] for load in loads],
        "loads": [load.length(5) * load.capacitance for load in loads],
        "texts": [
            wire_models.choose(kind, imported("whole"), area, 77)[1]
            for kind in (None, "none", "library", "model")
            for area in (60.0, 600.0)
        ],
    }


SEEDS = (1, 2)


def kept() -> dict[str, Any]:
    """The record."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


PARTS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "library": (library, tuple(LIBRARIES)),
    "written": (written, ("whole", "one_port")),
    "timed": (timed, SEEDS),
    "closed": (closed, SEEDS),
    "switched": (switched, SEEDS),
    "files": (files, SEEDS),
    "placed": (placed, (*TECHNOLOGIES, "whole")),
}


def recorded() -> dict[str, Any]:
    """Everything, computed now."""
    found: dict[str, Any] = {"recipe": "python -m tests.costmodel.recorded"}
    for part, (make, names) in PARTS.items():
        found[part] = {str(name): make(name) for name in names}
    return found | {"wires": {"all": wires()}}


if __name__ == "__main__":
    from tests.systems.recorded import lines

    FILE.write_text(lines(recorded()), encoding="utf-8")
