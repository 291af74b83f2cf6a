"""A hand-written Liberty library: few cells, round numbers, an adder and a flip-flop that invert."""

from __future__ import annotations

from pathlib import Path

from costmodel.technology import importing
from costmodel.technology.technology import Technology

HEAD = """/* a comment
   over two lines { */
library (tiny) {
  time_unit : "1ns"; // to the end of the line
  voltage_unit : "1V";
  leakage_power_unit : "1nW";
  capacitive_load_unit (1, pf);
  nom_voltage : 1.5; nom_temperature : 25; nom_process : 1;
  lu_table_template (delay) {
    variable_1 : input_net_transition;
    variable_2 : total_output_net_capacitance;
    index_1 ("0.1, 0.3");
    index_2 ("0.001, 0.003");
  }
"""


def arc(pin: str, sense: str, base: float = 0.01, kind: str = "") -> str:
    """A timing group: delay = base + 0.1 slew + 1.0 load (ns, ns, pF); output slew 0.05."""
    rows = ", \\\n ".join(f'"{base + 0.1 * s + 0.001:.4f}, {base + 0.1 * s + 0.003:.4f}"' for s in (0.1, 0.3))
    tables = "".join(f"{name} (delay) {{ values ({rows}); }}\n" for name in ("cell_rise", "cell_fall"))
    flat = "".join(
        f'{name} (delay) {{ values ("0.05, 0.05", "0.05, 0.05"); }}\n'
        for name in ("rise_transition", "fall_transition")
    )
    timing_type = f"timing_type : {kind};" if kind else ""
    return f'timing () {{ related_pin : "{pin}"; timing_sense : {sense}; {timing_type}\n{tables}{flat}}}\n'


def gate(name: str, area: float, inputs: str, outputs: dict[str, tuple[str, str]]) -> str:
    """A combinational cell; `outputs` maps a pin to its function and the sense of every arc."""
    pins = "".join(f"pin ({pin}) {{ direction : input; capacitance : 0.001; }}\n" for pin in inputs.split())
    for pin, (function, sense) in outputs.items():
        arcs = "".join(arc(related, sense) for related in inputs.split())
        pins += f'pin ({pin}) {{ direction : output; function : "{function}";\n{arcs}}}\n'
    return f"cell ({name}) {{ area : {area};\n{pins}}}\n"


FLIP_FLOP = f"""cell (DFFN) {{ area : 6;
  ff (IQ, IQN) {{ clocked_on : "CK"; next_state : "D"; }}
  pin (CK) {{ direction : input; clock : true; capacitance : 0.001; }}
  pin (D) {{ direction : input; capacitance : 0.001;
    timing () {{ related_pin : CK; timing_type : setup_rising;
      rise_constraint (scalar) {{ values ("0.02"); }} fall_constraint (scalar) {{ values ("0.03"); }} }} }}
  pin (QN) {{ direction : output; function : "IQN"; {arc("CK", "non_unate", 0.02, "rising_edge")} }}
}}
"""
GATES = {
    "INV": gate("INV", 1, "A", {"Y": ("!A", "negative_unate")}),
    "BUF": gate("BUF", 2, "A", {"Y": ("A", "positive_unate")}),
    "NAND2": gate("NAND2", 2, "A B", {"Y": ("!(A B)", "negative_unate")}),
    "NOR2": gate("NOR2", 2, "A B", {"Y": ("(A+B)'", "negative_unate")}),
    "XOR2": gate("XOR2", 4, "A B", {"Y": ("A^B", "non_unate")}),
    "FA": gate(
        "FA",
        6,
        "A B CI",
        {"SN": ("!(A^B^CI)", "non_unate"), "CON": ("!((A*B)|(CI*(A|B)))", "negative_unate")},
    ),
    "HA": gate("HA", 4, "A B", {"SN": ("!(A^B)", "non_unate"), "CON": ("!(A&B)", "negative_unate")}),
    "DFFN": FLIP_FLOP,
}


def text(*without: str, extra: str = "") -> str:
    """The library's text, some cells left out and others added."""
    cells = "".join(body for name, body in GATES.items() if name not in without)
    return f"{HEAD}{cells}{extra}}}\n"


def write(folder: Path, *without: str, extra: str = "") -> Path:
    """The library as a file."""
    path = folder / "tiny.lib"
    path.write_text(text(*without, extra=extra))
    return path


def technology(folder: Path, *without: str, extra: str = "") -> Technology:
    """The library as a technology."""
    return importing.technology([write(folder, *without, extra=extra)], "tiny")
