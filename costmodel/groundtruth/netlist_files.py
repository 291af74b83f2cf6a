"""Writes a mapped design as files for other tools: Verilog, Liberty and timing constraints."""

from __future__ import annotations

from pathlib import Path

from costmodel.groundtruth import buffering, sta
from costmodel.groundtruth.flatten import flatten
from costmodel.groundtruth.mapping import Bit, Netlist
from costmodel.groundtruth.synthesis import Mapped
from costmodel.technology import compact
from costmodel.technology.liberty import Cell
from toolchain import files

#: Words that are no identifiers in Verilog and SystemVerilog (IEEE 1800-2017, annex B).
_WORDS = """
accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin bind bins
binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking cmos config const
constraint context continue cover covergroup coverpoint cross deassign default defparam design disable dist do edge
else end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface endmodule
endpackage endprimitive endprogram endproperty endsequence endspecify endtable endtask enum event eventually expect
export extends extern final first_match for force foreach forever fork forkjoin function generate genvar global highz0
highz1 if iff ifnone ignore_bins illegal_bins implements implies import incdir include initial inout input inside
instance int integer interconnect interface intersect join join_any join_none large let liblist library local
localparam logic longint macromodule matches medium modport module nand negedge nettype new nexttime nmos nor
noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge primitive priority program
property protected pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase
randsequence rcmos real realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1
s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled signed small
soft solve specify specparam static string strong strong0 strong1 struct super supply0 supply1 sync_accept_on
sync_reject_on table tagged task this throughout time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand
trior trireg type typedef union unique unique0 unsigned until until_with untyped use uwire var vectored virtual void
wait wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""
_KEYWORDS = frozenset(_WORDS.split())
#: How the files of a netlist end: Verilog, the cells, the constraints.
SUFFIXES = (".v", ".lib", ".sdc")


def write(found: Mapped, path: Path) -> tuple[Path, Path, Path]:
    """Write `path` (Verilog), and beside it the cells (`.lib`) and constraints (`.sdc`) that it is timed with.

    `OSError` where a file cannot be written.
    """
    _, library, constraints = (path.with_suffix(suffix) for suffix in SUFFIXES)
    files.write(path, verilog(found))
    compact.write_library(
        _used(found),
        library,
        found.technology.name,
        found.wires,
        [_macro(found, kind) for kind in found.macros],
    )
    files.write(constraints, sdc(found))
    return path, library, constraints


def verilog(found: Mapped) -> str:
    """The netlist, module by module; instances of memory macros are of cells of the Liberty file."""
    return "\n".join(_module(name, netlist, found) for name, netlist in found.netlists.items())


def sdc(found: Mapped) -> str:
    """Constraints of the timing, in ps.

    Clock at its period, inputs at time 0, outputs due at the end of the cycle, wires.
    """
    graph = sta.Graph(
        flatten(found.top, found.netlists), found.technology, found.macros, found.trees, found.wires
    )
    period = found.period_ps or found.timing.critical_path_ps
    clocks = clock_ports(found)
    slew = f"{graph.default_slew():.6g}"
    lines = (
        [f"create_clock -name clock -period {period:.6g} [get_ports {{{' '.join(clocks)}}}]"]
        if clocks
        else [f"create_clock -name clock -period {period:.6g}"]
    )
    lines.append(f"set_clock_transition {slew} [get_clocks clock]")
    for name, port in found.netlists[found.top]["ports"].items():
        # Bits of a vector are named one by one: braces keep Tcl from reading the index as a command.
        pins = [f"{{{name}[{k}]}}" for k in range(len(port["bits"]))] if len(port["bits"]) > 1 else [name]
        for pin in pins:
            if port["direction"] == "output":
                lines.append(f"set_output_delay 0 -clock clock [get_ports {pin}]")
            elif name not in clocks:
                lines.append(f"set_input_delay 0 -clock clock [get_ports {pin}]")
                lines.append(f"set_input_transition {slew} [get_ports {pin}]")
    if found.wires:
        lines += ["set_wire_load_mode top", f"set_wire_load_model -name {{{found.wires.name}}}"]
    return "\n".join([*lines, ""])


def clock_ports(found: Mapped) -> list[str]:
    """Input ports of the top that reach a clock pin."""
    ports = buffering.ports(found.top, found.netlists, found.technology)
    return [
        name
        for name, clocks in ports.items()
        if any(clocks) and found.netlists[found.top]["ports"][name]["direction"] == "input"
    ]


def _used(found: Mapped) -> list[Cell]:
    kinds = {cell["type"] for netlist in found.netlists.values() for cell in netlist["cells"].values()}
    return [found.technology.cells[kind] for kind in sorted(kinds) if kind in found.technology.cells]


def _macro(found: Mapped, kind: str) -> compact.Macro:
    ports = found.modules[kind].ports
    single = [name for name, (direction, width) in ports.items() if direction == "input" and width == 1]
    clock = next(
        (name for name in single if "clk" in name or "clock" in name), single[0] if single else "clk"
    )
    return compact.Macro(
        kind,
        tuple((name, direction, width) for name, (direction, width) in ports.items()),
        clock,
        found.macros[kind][1],
    )


def _module(name: str, netlist: Netlist, found: Mapped) -> str:
    names: dict[Bit, str] = {"0": "1'b0", "1": "1'b1", "x": "1'b0", "z": "1'b0"}
    heads, aliases = [], []
    for port, item in netlist["ports"].items():
        width = len(item["bits"])
        heads.append(f"{item['direction']} {f'[{width - 1}:0] ' if width > 1 else ''}{_name(port)}")
        for index, bit in enumerate(item["bits"]):
            text = f"{_name(port)}[{index}]" if width > 1 else _name(port)
            if bit in names:
                aliases.append(f"  assign {text} = {names[bit]};")
            else:
                names[bit] = text
    wires: list[str] = []
    cells = []
    for label, cell in netlist["cells"].items():
        pins = []
        for pin, bits in cell["connections"].items():
            for bit in bits:
                if bit not in names:
                    names[bit] = f"n{bit}"
                    wires.append(names[bit])
            ordered = [names[bit] for bit in reversed(bits)]
            text = ordered[0] if len(ordered) == 1 else "{" + ", ".join(ordered) + "}"
            pins.append(f".{_name(pin)}({text})")
        cells.append(f"  {_name(cell['type'])} {_name(label)} ({', '.join(pins)});")
    declared = [f"  wire {wire};" for wire in wires]
    ports = ", ".join(_name(port) for port in netlist["ports"])
    heads = [f"  {head};" for head in heads]
    return "\n".join(
        [f"module {_name(name)} ({ports});", *heads, *declared, *aliases, *cells, "endmodule", ""]
    )


def _name(text: str) -> str:
    """A Verilog identifier, escaped where it has to be."""
    plain = text.replace("_", "a")
    simple = plain.isalnum() and plain.isascii() and not text[0].isdigit() and text not in _KEYWORDS
    return text if simple else f"\\{text} "
