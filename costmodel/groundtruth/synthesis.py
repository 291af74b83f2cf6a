"""Synthesis: Yosys lowers, adders and registers are placed, ABC maps the rest for least area.

`costmodel.groundtruth.recipe` says what follows: nothing, or buffers and, for a period, faster modules and stronger
cells. Each distinct module is mapped once, in its own process, and the result is kept by the content of the module,
of the cells and of the recipe, so a second instance costs no time. The design is the sum over its instances.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from blueprint.errors import ParamError, SpecError
from costmodel.groundtruth import clock_gating, closure, mapping, rtlil, sta
from costmodel.groundtruth import recipe as recipes
from costmodel.groundtruth import wires as wire_models
from costmodel.groundtruth.flatten import Flat
from costmodel.groundtruth.flatten import flatten as flattened
from costmodel.groundtruth.recipe import GATED, LEAST
from costmodel.technology import compact, importing, selection
from costmodel.technology.liberty import Cell, WireLoad
from costmodel.technology.macros import SINGLE, TWO
from costmodel.technology.technology import Technology
from costmodel.technology.technology import load as load_technology
from toolchain import cache, yosys

#: Modules of a design that are synthesized at once.
PROCESSES = 2
_TIMEOUT_S = 1800.0
#: Version of the mapping of a module, which all recipes share.
_MAPPING = "area/4"

_ALU_HEAD = r"""
(* techmap_celltype = "$alu" *)
module ternforge_alu (A, B, CI, BI, X, Y, CO);
  parameter A_SIGNED = 0; parameter B_SIGNED = 0;
  parameter A_WIDTH = 1; parameter B_WIDTH = 1; parameter Y_WIDTH = 1;
  input [A_WIDTH-1:0] A; input [B_WIDTH-1:0] B; input CI, BI;
  output [Y_WIDTH-1:0] X, Y, CO;
  wire [Y_WIDTH-1:0] a, b;
  // An operand may have no bits at all, which stand for 0.
  generate
    if (A_WIDTH > 0)
      \$pos #(.A_SIGNED(A_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) widen_a (.A(A), .Y(a));
    else assign a = 0;
    if (B_WIDTH > 0)
      \$pos #(.A_SIGNED(B_SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) widen_b (.A(B), .Y(b));
    else assign b = 0;
  endgenerate
  wire [Y_WIDTH-1:0] c = b ^ {Y_WIDTH{BI}};
  wire [Y_WIDTH:0] carry;
"""

_ALU = (
    _ALU_HEAD
    + r"""  assign carry[0] = CI;
  assign CO = carry[Y_WIDTH:1];
  assign X = a ^ c;
  genvar i;
  generate for (i = 0; i < Y_WIDTH; i = i + 1) begin : bits
    \$fa #(.WIDTH(1)) add (.A(a[i]), .B(c[i]), .C(carry[i]), .Y(Y[i]), .X(carry[i+1]));
  end endgenerate
endmodule
"""
)

#: The same adder with its carries by `$lcu`, which Yosys makes a Brent-Kung network.
_PREFIX_ALU = (
    _ALU_HEAD
    + r"""  assign carry[0] = CI;
  assign CO = carry[Y_WIDTH:1];
  assign X = a ^ c;
  genvar i;
  generate
    if (Y_WIDTH > 4) begin : prefix
      \$lcu #(.WIDTH(Y_WIDTH)) network (.P(a ^ c), .G(a & c), .CI(CI), .CO(carry[Y_WIDTH:1]));
      assign Y = a ^ c ^ carry[Y_WIDTH-1:0];
    end else for (i = 0; i < Y_WIDTH; i = i + 1) begin : bits
      \$fa #(.WIDTH(1)) add (.A(a[i]), .B(c[i]), .C(carry[i]), .Y(Y[i]), .X(carry[i+1]));
    end
  endgenerate
endmodule
"""
)

_LOWER = """
read_rtlil module.il
setattr -unset init w:*
opt_expr
opt_clean
{enables}opt -nodffe -nosdff -full
wreduce
peepopt
opt_clean
alumacc
maccmap
opt -nodffe -nosdff
memory -nomap
opt_clean
memory_map
{gates}opt -nodffe -nosdff -full -undriven -fine
techmap -map alu.v
techmap t:$fa %n
opt -nodffe -nosdff -fast
{extract}
opt -nodffe -nosdff -fast
dfflegalize {registers}
opt_expr
opt_merge
opt_clean -purge
write_json lowered.json
"""

_MAP = """
read_json placed.json
opt_expr
opt_merge
opt_clean -purge
design -save placed
"""

_TRY = """
design -load placed
abc -liberty cells.lib -script abc{index}.script
opt_clean -purge
write_json mapped{index}.json
"""

_ROUND = "strash\n&get -n\n&dch -f\n&nf -R 1000 -p {effort}\n&put\n"
#: Ways to map, of which each module takes the smallest outcome: no single one is best for adders, muxes and control.
_ABC = (
    _ROUND.format(effort=""),
    _ROUND.format(effort="-C 32 -F 10") * 6,
    "strash\n&get -n\n&syn4\n&put\n" + _ROUND.format(effort="") * 4,
)
#: The way to map for speed, by a mapper that takes depth first.
_FAST = ("strash\n&get -n\n&st\n&syn3\n&syn3\n&dch -f\n&nf\n&put\n",)
#: Gates of a module up to which every way is tried; a larger one takes the first, which is linear in time.
_SMALL = 5000


@dataclass(frozen=True)
class Module:
    """One distinct module: its own cells' area in um2 and flip-flops (without submodules), and how often it stands."""

    area_um2: float
    flip_flops: int
    instances: int
    total_area_um2: float  # own cells and submodules, one instance


@dataclass(frozen=True)
class Synthesis:
    """Results of a synthesis. Areas in um2; `area_um2` is combinational cells + registers + macros.

    Clock gates are combinational cells.
    """

    top: str
    technology: str
    area_um2: float
    combinational_area_um2: float
    register_area_um2: float
    macro_area_um2: float
    flip_flops: int
    critical_path_ps: float
    path: tuple[str, ...]
    path_classes_ps: Mapping[str, float]
    cells: Mapping[str, int]
    modules: Mapping[str, Module]
    leakage_nw: float = 0.0
    macros: Mapping[str, int] = field(default_factory=dict)
    recipe: str = LEAST
    period_ps: float | None = None
    wires: str = "no wires"
    buffer_area_um2: float = 0.0
    clock_gates: int = 0
    clock_gate_area_um2: float = 0.0


@dataclass(frozen=True)
class Mapped:
    """A mapped design: the one netlist that is counted, timed, simulated and written.

    `netlists` are Yosys JSON modules by name; `macros` gives directions of ports and access time in ps of every
    memory macro; `wires` is the wire load for timing and `wire_text` names it; `trees` is true where
    timing pretends buffer trees, because the recipe inserts none.
    """

    top: str
    modules: Mapping[str, rtlil.Module]
    netlists: dict[str, mapping.Netlist]
    technology: Technology
    recipe: str
    period_ps: float | None
    wires: WireLoad | None
    wire_text: str
    macros: Mapping[str, tuple[Mapping[str, str], float]]

    @property
    def memories(self) -> dict[str, tuple[int, int, str]]:
        """Words, width and port kind of every memory macro."""
        return {kind: _memory(self.modules[kind]) for kind in self.macros}

    @property
    def trees(self) -> bool:
        """True if timing pretends buffer trees."""
        return self.recipe == LEAST

    @cached_property
    def flat(self) -> Flat:
        """The netlist without hierarchy."""
        return flattened(self.top, self.netlists)

    @cached_property
    def graph(self) -> sta.Graph:
        """The timing graph of the netlist."""
        return sta.Graph(self.flat, self.technology, self.macros, self.trees, self.wires)

    @cached_property
    def timing(self) -> sta.Timing:
        """Static timing of the netlist."""
        return sta.slowest(self.graph)


def synthesize(
    design: str | Path | Sequence[str | Path],
    technology: Technology | str,
    *,
    top: str | None = None,
    liberty: Sequence[str | Path] | None = None,
    flatten: bool = False,
    blackboxes: Iterable[str] = (),
    recipe: str | None = None,
    period_ps: float | None = None,
    wires: str | None = None,
) -> Synthesis:
    """Synthesize a generated folder (its `manifest.json` says what) or Verilog files with `top`.

    `liberty` replaces the technology's cells by those of Liberty files. `recipe`, `period_ps` and `wires` are those of
    `mapped`. `SpecError` for a folder without a manifest or a library that cannot make the design, `ToolError`
    where Yosys or ABC fails, `ParamError` for a period that is not reached.
    """
    found = mapped(
        design, technology, top=top, liberty=liberty, flatten=flatten, blackboxes=blackboxes,
        recipe=recipe, period_ps=period_ps, wires=wires,
    )  # fmt: skip
    return summary(found)


def mapped(
    design: str | Path | Sequence[str | Path],
    technology: Technology | str,
    *,
    top: str | None = None,
    liberty: Sequence[str | Path] | None = None,
    flatten: bool = False,
    blackboxes: Iterable[str] = (),
    recipe: str | None = None,
    period_ps: float | None = None,
    wires: str | None = None,
) -> Mapped:
    """The netlist of a design by a recipe (`costmodel.groundtruth.recipe`), by default the technology's.

    With a period, the smallest found that meets it; `ParamError` where none does. `wires` is one of
    `costmodel.groundtruth.wires.KINDS`, by default the library's where it has wire-load models, else statistical ones.
    """
    if isinstance(technology, str):
        technology = load_technology(technology)
    model = technology.model
    if liberty:
        technology = importing.technology(list(liberty), technology.name)
    chosen = recipes.choose(recipe, period_ps, wires, technology.with_model(model))
    gated = chosen == GATED
    if gated:
        clock_gating.gate(technology)  # refused before anything takes time
    files, top, boxes = _sources(design, top, tuple(blackboxes))
    modules = _front(files, top, boxes, flatten)
    netlists = _netlists(modules, technology, gated)
    macros = _macros(modules, netlists, technology)
    if chosen == LEAST:
        text = "no wires; heavy nets timed behind buffer trees that the netlist has not"
        return Mapped(top, modules, netlists, technology, chosen, period_ps, None, text, macros)
    remap = partial(_restyled, modules, netlists, technology, gated)
    problem = closure.Problem(top, technology, None, macros, remap)
    cells = sum(len(netlists[name]["cells"]) * n for name, n in closure.instances(top, netlists).items())
    load, text = wire_models.choose(wires, technology, problem.area(netlists), cells)
    problem = replace(problem, wires=load)
    done = problem.buffered({}) if period_ps is None else closure.close(problem, period_ps)
    return Mapped(top, modules, done, technology, chosen, period_ps, load, text, macros)


def sized(
    design: str | Path,
    technology: Technology,
    *,
    style: str,
    period_ps: float,
    recipe: str = recipes.BUFFERED,
) -> Mapped:
    """The netlist of a design whose modules all have one style, with buffers and wires, sized once for a period.

    Where the period is not met it is the fastest found. Cheaper than `mapped`, which tries several netlists.
    """
    files, top, boxes = _sources(design, None, ())
    modules = _front(files, top, boxes, False)
    gated = recipe == GATED
    least = _netlists(modules, technology, gated)
    macros = _macros(modules, least, technology)
    remap = partial(_restyled, modules, least, technology, gated)
    problem = closure.Problem(top, technology, None, macros, remap)
    cells = sum(len(least[name]["cells"]) * n for name, n in closure.instances(top, least).items())
    load, text = wire_models.choose(None, technology, problem.area(least), cells)
    done = closure.once(replace(problem, wires=load), dict.fromkeys(least, style), period_ps)
    return Mapped(top, modules, done, technology, recipe, period_ps, load, text, macros)


def netlists(
    design: str | Path,
    technology: Technology,
    *,
    recipe: str | None = None,
    period_ps: float | None = None,
) -> tuple[str, dict[str, mapping.Netlist]]:
    """Top module and mapped netlists (Yosys JSON by module) of a generated folder; memories are not among them."""
    found = mapped(design, technology, recipe=recipe, period_ps=period_ps)
    return found.top, found.netlists


def _restyled(
    modules: Mapping[str, rtlil.Module],
    netlists: Mapping[str, mapping.Netlist],
    technology: Technology,
    gated: bool,
    styles: Mapping[str, str],
) -> dict[str, mapping.Netlist]:
    """Netlists of which some modules are mapped in another style."""
    changed = {
        name: _netlist(name, modules, technology, gated, style)
        for name, style in styles.items()
        if style != "area"
    }
    return {**netlists, **changed}


def _macros(
    modules: Mapping[str, rtlil.Module], netlists: Mapping[str, mapping.Netlist], technology: Technology
) -> dict[str, tuple[Mapping[str, str], float]]:
    """Port directions and access time of each memory macro."""
    kinds = {cell["type"] for netlist in netlists.values() for cell in netlist["cells"].values()}
    boxes = sorted(kind for kind in kinds if kind not in technology.cells and kind not in netlists)
    return {
        kind: (modules[kind].directions, float(technology.sram.access_ps(*_memory(modules[kind]))))
        for kind in boxes
    }


def _sources(
    design: str | Path | Sequence[str | Path], top: str | None, boxes: tuple[str, ...]
) -> tuple[list[Path], str, tuple[str, ...]]:
    """Verilog files, top module and blackboxes."""
    if isinstance(design, str | Path) and Path(design).is_dir():
        folder = Path(design)
        path = folder / "manifest.json"
        try:
            manifest = json.loads(path.read_text())
            files = [folder / name for name in manifest["files"]]
            return files, top or manifest["top"], (*boxes, *manifest.get("blackboxes", ()))
        except OSError:
            raise SpecError(
                f"{path}: a design folder must hold manifest.json; run ternforge generate"
            ) from None
        except (ValueError, KeyError, TypeError) as problem:
            raise SpecError(f"{path}: manifest must be JSON with files and top, not {problem}") from None
    if isinstance(design, str | Path) and not Path(design).exists():
        raise SpecError(f"{design}: a design must be a generated folder or a Verilog file, and there is none")
    if top is None:
        raise ParamError("Synthesis of Verilog files must be told the top module, not left to guess")
    given = [design] if isinstance(design, str | Path) else design
    return [Path(item) for item in given], top, boxes


def _front(files: list[Path], top: str, boxes: tuple[str, ...], flatten: bool) -> dict[str, rtlil.Module]:
    """Elaborated modules by name, word level, without source positions."""
    for file in files:
        if not file.is_file():
            raise SpecError(f"{file}: a Verilog file must exist, and there is none")
    texts = [file.read_bytes() for file in files]
    named = [f"source{index}{file.suffix}" for index, file in enumerate(files)]

    def build(folder: Path) -> None:
        for name, text in zip(named, texts, strict=True):
            (folder / name).write_bytes(text)
        lines = [f"read_verilog -sv {name}" for name in named]
        lines += [f"blackbox {name}" for name in boxes]
        lines += [f"hierarchy -check -top {top}", "proc", *(["flatten"] if flatten else [])]
        lines += ["opt_expr", "opt_clean", "write_rtlil design.il"]
        yosys.run("\n".join(lines), cwd=folder, timeout_s=_TIMEOUT_S, writes=["design.il"])

    parts: list[str | bytes] = ["front/1", yosys.version(), top, *boxes, str(flatten), *named, *texts]
    return rtlil.modules((cache.entry("synthesis-front", parts, build) / "design.il").read_text())


def _netlists(
    modules: Mapping[str, rtlil.Module], technology: Technology, gated: bool
) -> dict[str, mapping.Netlist]:
    """Mapped netlist of every module that is not a blackbox."""
    real = [name for name, module in modules.items() if not module.blackbox]
    with ThreadPoolExecutor(min(PROCESSES, os.cpu_count() or 1)) as pool:
        found = pool.map(lambda name: _netlist(name, modules, technology, gated), real)
        return dict(zip(real, found, strict=True))


def _netlist(
    name: str,
    modules: Mapping[str, rtlil.Module],
    technology: Technology,
    gated: bool,
    style: str = "area",
) -> mapping.Netlist:
    module = modules[name]
    stubs = [modules[child].stub for child in sorted(module.children) if child in modules]
    text = "\n".join([module.text, *stubs])
    lower = _lowering(technology, style, gated)
    recipe: list[str] = [_MAPPING, lower, _MAP, _TRY, *_ABC, _ALU, yosys.version(), technology.fingerprint]
    if style != "area":
        recipe += [style, "sizable", _PREFIX_ALU, *_FAST]
    build = partial(_map, name=name, text=text, technology=technology, style=style, lower=lower)
    folder = cache.entry("synthesis", [*recipe, text], build)
    netlist: mapping.Netlist = json.loads((folder / "netlist.json").read_text())
    return netlist


def _lowering(technology: Technology, style: str, gated: bool) -> str:
    """Yosys commands that lower a module to adders, registers and simple gates, and gate its clocks."""
    registers = " ".join(f"-cell {kind} 01" for kind in _register_kinds(technology))
    extract = "extract_fa -fa" if technology.roles.full_adder and style != "gates" else ""
    enables, gates = (clock_gating.find(technology), clock_gating.group(technology)) if gated else ("", "")
    return _LOWER.format(registers=registers, extract=extract, enables=enables, gates=gates)


def _map(folder: Path, name: str, text: str, technology: Technology, style: str, lower: str) -> None:
    """Lower, place and map one module in a style of `closure.STYLES`; leaves `netlist.json`."""
    roles = technology.roles
    if style == "gates":
        roles = replace(roles, full_adder=None, half_adder=None)
    (folder / "module.il").write_text(text)
    (folder / "alu.v").write_text(_ALU if style == "area" else _PREFIX_ALU)
    yosys.run(lower, cwd=folder, timeout_s=_TIMEOUT_S, writes=["lowered.json"])
    design = json.loads((folder / "lowered.json").read_text())
    netlist = design["modules"][name]
    areas = {cell.name: cell.area for cell in technology.mapped.values()}
    clock_gating.declare(netlist)
    mapping.place(netlist, roles, areas)
    clock_gating.place(netlist, technology)
    (folder / "placed.json").write_text(json.dumps({"modules": {name: netlist}}))
    cells = technology.mapped.values() if style == "area" else _sizable(technology)
    compact.write_liberty(selection.smallest(cells), folder / "cells.lib")
    gates = sum(cell["type"].startswith("$_") for cell in netlist["cells"].values())
    scripts = _FAST if style != "area" else _ABC if gates <= _SMALL else _ABC[:1]
    for index, script in enumerate(scripts):
        (folder / f"abc{index}.script").write_text(script)
    tries = [_TRY.format(index=index) for index in range(len(scripts))]
    mapped = [f"mapped{index}.json" for index in range(len(scripts))]
    yosys.run("".join([_MAP, *tries]), cwd=folder, timeout_s=_TIMEOUT_S, writes=mapped)
    texts = [(folder / one).read_text() for one in mapped]
    outcomes = [_slim(json.loads(text)["modules"][name], technology, name) for text in texts]
    smallest = min(
        outcomes, key=lambda item: sum(areas.get(cell["type"], 0.0) for cell in item["cells"].values())
    )
    for scratch in list(folder.iterdir()):
        scratch.unlink()
    (folder / "netlist.json").write_text(json.dumps(smallest))


def _sizable(technology: Technology) -> list[Cell]:
    """Cells to map to for speed: a gate of one strength only is left out, unless it is simple."""
    mapped = technology.mapped.values()
    return [cell for cell in mapped if len(cell.inputs) <= 2 or len(technology.strengths[cell.name]) > 1]


def _register_kinds(technology: Technology) -> list[str]:
    """Flip-flops and latches that the technology supports, by their Yosys names."""
    roles = technology.roles
    kinds = ["$_DFF_P_"] if roles.flip_flop or roles.clear_flip_flop or roles.set_flip_flop else []
    clear = roles.clear_flip_flop or roles.set_flip_flop
    if clear is not None:
        kinds.append("$_DFF_PP0_" if clear.clear_level else "$_DFF_PN0_")
    return kinds + (["$_DLATCH_P_"] if roles.latch else [])


def _slim(netlist: mapping.Netlist, technology: Technology, name: str) -> mapping.Netlist:
    """Ports and cells of a mapped module; every primitive must be a library cell by now."""
    cells = {}
    for key, cell in netlist["cells"].items():
        kind = cell["type"]
        if kind == "$scopeinfo":
            continue
        if kind.startswith("$") and not kind.startswith("$paramod"):
            raise ParamError(f"Module {name} must map to cells of {technology.name}, but {kind} is left")
        cells[key] = {"type": kind, "connections": cell["connections"]}
    ports = {key: {"direction": p["direction"], "bits": p["bits"]} for key, p in netlist["ports"].items()}
    return {"ports": ports, "cells": cells}


def summary(found: Mapped) -> Synthesis:
    """Area, registers and timing of a mapped design."""
    top, modules, netlists, technology = found.top, found.modules, found.netlists, found.technology
    counts = closure.instances(top, netlists)
    own: dict[str, dict[str, int]] = {}
    for name, netlist in netlists.items():
        histogram: dict[str, int] = {}
        for cell in netlist["cells"].values():
            histogram[cell["type"]] = histogram.get(cell["type"], 0) + 1
        own[name] = dict(sorted(histogram.items()))
    cells: dict[str, int] = {}
    macros: dict[str, int] = {}
    logic = registers = macro_area = leakage = 0.0
    flip_flops = 0
    for name, count in counts.items():
        for kind, number in own.get(name, {}).items():
            if kind in technology.cells:
                cells[kind] = cells.get(kind, 0) + number * count
            elif kind not in netlists:
                macros[kind] = macros.get(kind, 0) + number * count
    for kind, number in sorted(cells.items()):
        cell = technology.cells[kind]
        leakage += cell.leakage * number
        if cell.sequential is not None:
            registers += cell.area * number
            flip_flops += number
        else:
            logic += cell.area * number
    for kind, number in sorted(macros.items()):
        macro_area += number * float(technology.sram.area_um2(*_memory(modules[kind])))
    timing = found.timing
    buffers = [name for name in cells if _is_buffer(technology, name)]
    gates = [name for name in cells if technology.cells[name].clock_gate]
    return Synthesis(
        top,
        technology.name,
        logic + registers + macro_area,
        logic,
        registers,
        macro_area,
        flip_flops,
        timing.critical_path_ps,
        timing.path,
        timing.classes,
        dict(sorted(cells.items())),
        _modules(own, counts, netlists, technology),
        leakage,
        dict(sorted(macros.items())),
        found.recipe,
        found.period_ps,
        found.wire_text,
        sum(technology.cells[name].area * cells[name] for name in buffers),
        sum(cells[name] for name in gates),
        sum(technology.cells[name].area * cells[name] for name in gates),
    )


def _memory(module: rtlil.Module) -> tuple[int, int, str]:
    """Words, width and port kind of a macro: one address is one port."""
    words, width = module.memory_shape()
    addresses = sum("addr" in port and direction == "input" for port, direction in module.directions.items())
    return words, width, SINGLE if addresses == 1 else TWO


def _is_buffer(technology: Technology, name: str) -> bool:
    smallest = technology.roles.gates.get("buffer")
    return smallest is not None and name in technology.strengths[smallest]


def _modules(
    own: Mapping[str, Mapping[str, int]],
    counts: Mapping[str, int],
    netlists: Mapping[str, mapping.Netlist],
    technology: Technology,
) -> dict[str, Module]:
    def area(name: str) -> float:
        return sum(technology.cells[k].area * n for k, n in own[name].items() if k in technology.cells)

    def total(name: str) -> float:
        return area(name) + sum(n * total(k) for k, n in own[name].items() if k in netlists)

    def flip_flops(name: str) -> int:
        known = ((technology.cells[k], n) for k, n in own[name].items() if k in technology.cells)
        return sum(n for cell, n in known if cell.sequential is not None)

    return {
        name: Module(area(name), flip_flops(name), count, total(name))
        for name, count in sorted(counts.items())
    }
