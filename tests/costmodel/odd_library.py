"""A Liberty library with one of everything, every number of it drawn: what is dropped, doubled or swapped shows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

_SLEWS = (0.011, 0.031, 0.083, 0.19, 0.41)
_LOADS = (0.0004, 0.0011, 0.0031, 0.0067, 0.0143, 0.031)
#: Gates by name: inputs, and the function of each output.
GATES: dict[str, tuple[str, dict[str, str]]] = {
    "INV": ("A", {"Y": "!A"}),
    "BUF": ("A", {"Y": "A"}),
    "NAND2": ("A B", {"Y": "!(A B)"}),
    "NOR2": ("A B", {"Y": "(A+B)'"}),
    "AND2": ("A B", {"Y": "A&B"}),
    "OR2": ("A B", {"Y": "A|B"}),
    "XOR2": ("A B", {"Y": "A^B"}),
    "XNOR2": ("A B", {"Y": "!(A^B)"}),
    "NAND3": ("A B C", {"Y": "!(A*B*C)"}),
    "AOI21": ("A B C", {"Y": "!((A B) | C)"}),
    "OAI21": ("A B C", {"Y": "((A+B) C)'"}),
    "MAJI3": ("A B C", {"Y": "!((A B) | (C (A|B)))"}),
    "MUX2": ("D0 D1 S", {"Y": "(D0 S') | (D1 S)"}),
    "FA": ("A B CI", {"SN": "!(A^B^CI)", "CO": "(A B)|(CI (A|B))"}),
    "HA": ("A B", {"S": "A^B", "CON": "!(A B)"}),
}
#: Names that come in several strengths.
STRENGTHS = {
    "INV": (1, 2, 4, 9),
    "BUF": (1, 2, 5),
    "NAND2": (1, 3),
    "NOR2": (1, 2),
    "XOR2": (1, 2),
    "FA": (1, 2),
}
#: Registers: the group, its function, further inputs.
REGISTERS = {
    "DFF": ("ff (IQ, IQN)", 'clocked_on : "CK"; next_state : "D";', "", "IQ"),
    "DFFN": ("ff (IQ, IQN)", 'clocked_on : "CK"; next_state : "D";', "", "IQN"),
    "DFFE": ("ff (IQ, IQN)", 'clocked_on : "CK"; next_state : "(E D) | (E\' IQ)";', "E", "IQ"),
    "DFFR": ("ff (IQ, IQN)", 'clocked_on : "CK"; next_state : "D"; clear : "!RN";', "RN", "IQ"),
    "DFFS": ("ff (IQ, IQN)", 'clocked_on : "CK"; next_state : "D"; preset : "!SN";', "SN", "IQ"),
    "DFFRS": (
        "ff (IQ, IQN)", 'clocked_on : "CK"; next_state : "!D"; clear : "R"; preset : "!SN";', "R SN", "IQN",
    ),
    "DFFF": ("ff (IQ, IQN)", 'clocked_on : "!CK"; next_state : "D";', "", "IQ"),
    "LAT": ("latch (IQ, IQN)", 'enable : "CK"; data_in : "D";', "", "IQ"),
    "LATN": ("latch (IQ, IQN)", 'enable : "!CK"; data_in : "D";', "", "IQ"),
}  # fmt: skip
#: Macros: ports, bits of address, bits of a word, bits of the write mask.
MACROS = (
    ("1rw", 8, 8, 8), ("1rw", 8, 32, 4), ("1rw", 10, 16, 0), ("1rw", 11, 32, 0), ("1rw", 9, 64, 0),
    ("1rw1r", 8, 16, 0), ("1rw1r", 9, 32, 32), ("1rw1r", 10, 8, 0),
)  # fmt: skip


class _Text:
    """Draws the numbers of a library and writes them down."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def number(self, low: float, high: float) -> str:
        return f"{low * (high / low) ** self.random.random():.4g}"

    def table(self, name: str, low: float, kind: str = "delay") -> str:
        """Values that rise with slew and load, each a little off a plane."""
        base, slope, more = (float(self.number(low, 3 * low)) for _ in range(3))
        rows = [
            ", ".join(
                f"{base + slope * slew + 30 * more * load + 0.1 * low * self.random.random():.6g}"
                for load in _LOADS
            )
            for slew in _SLEWS
        ]
        text = ", \\\n".join(f'"{row}"' for row in rows)
        return f"{name} ({kind}) {{ values ({text}); }}\n"

    def arc(self, pin: str, sense: str, low: float, kind: str = "", when: str = "") -> str:
        tables = "".join(self.table(name, low) for name in ("cell_rise", "cell_fall"))
        tables += "".join(self.table(name, 0.7 * low) for name in ("rise_transition", "fall_transition"))
        extra = (f"timing_type : {kind}; " if kind else "") + (f'when : "{when}"; ' if when else "")
        return f'timing () {{ related_pin : "{pin}"; timing_sense : {sense}; {extra}\n{tables}}}\n'

    def power(self, related: str, when: str = "") -> str:
        condition = f'when : "{when}"; ' if when else ""
        tables = "".join(self.table(name, 0.0004, "energy") for name in ("rise_power", "fall_power"))
        return f'internal_power () {{ related_pin : "{related}"; {condition}\n{tables}}}\n'

    def constraint(self, kind: str) -> str:
        tables = "".join(self.table(f"{edge}_constraint", 0.012, "setup") for edge in ("rise", "fall"))
        return f"timing () {{ related_pin : CK; timing_type : {kind};\n{tables}}}\n"

    def input(self, name: str, extra: str = "") -> str:
        if self.random.random() < 0.5:
            load = f"capacitance : {self.number(0.0004, 0.002)};"
        else:
            load = f"rise_capacitance : {self.number(0.0004, 0.002)}; fall_capacitance : {self.number(0.0004, 0.002)};"
        return f"pin ({name}) {{ direction : input; {load} {extra}}}\n"

    def leakage(self) -> str:
        draw = self.random.random()
        if draw < 0.3:
            return f"cell_leakage_power : {self.number(0.5, 9)};\n"
        states = ("A", "!A") if draw < 0.7 else ("A", "!A", "")
        groups = (
            f"value : {self.number(0.5, 9)};" + (f' when : "{when}";' if when else "") for when in states
        )
        return "".join(f"leakage_power () {{ {group} }}\n" for group in groups)

    def gate(self, name: str, inputs: str, outputs: dict[str, str], area: float, strength: int) -> str:
        pins = "".join(self.input(pin) for pin in inputs.split())
        for pin, function in outputs.items():
            unate = "^" not in function and "D0" not in function
            inverts = function.startswith("!") or function.endswith("'")
            sense = ("negative_unate" if inverts else "positive_unate") if unate else "non_unate"
            arcs = "".join(self.arc(related, sense, 0.012 / strength**0.5) for related in inputs.split())
            if len(inputs.split()) > 1:  # a slower state of the first arc
                arcs += self.arc(inputs.split()[0], sense, 0.014 / strength**0.5, when=inputs.split()[1])
            energy = "".join(self.power(related) for related in inputs.split())
            limit = f"max_capacitance : {self.number(0.03, 0.09)};"
            pins += f'pin ({pin}) {{ direction : output; function : "{function}"; {limit}\n{arcs}{energy}}}\n'
        return f"cell ({name}) {{ area : {area:.4g};\n{self.leakage()}{pins}}}\n"

    def register(self, name: str) -> str:
        group, function, further, output = REGISTERS[name]
        latch = group.startswith("latch")
        low = '"!CK"' in function
        edge = "falling_edge" if low else "rising_edge"
        setup = self.constraint("setup_falling" if latch or low else "setup_rising")
        setup += self.constraint("hold_rising")
        pins = self.input("CK", 'clock : true; nextstate_type : "x";\n' + self.power("CK"))
        pins += self.input("D", setup)
        pins += "".join(self.input(pin) for pin in further.split())
        arcs = self.arc("CK", "non_unate", 0.03, edge)
        if latch:
            arcs += self.arc("D", "positive_unate", 0.02)
        arcs += "".join(
            self.arc(pin, "negative_unate", 0.025, "clear") for pin in further.split() if pin != "E"
        )
        pins += f'pin (Q) {{ direction : output; function : "{output}";\n{arcs}{self.power("CK", "D")}}}\n'
        return f"cell ({name}) {{ area : {self.number(5, 8)};\n{self.leakage()}{group} {{ {function} }}\n{pins}}}\n"

    def macro(self, ports: str, address: int, width: int, mask: int, states: bool) -> str:
        words, two = 1 << address, len(ports) > 3
        name = f"ram{words}x{width}_{ports}"
        size = words * width * (2.1 if two else 1.0)
        area = 0.3 * size + 19 * width + 3.1 * words / 4 + 700 + float(self.number(1, 30))
        access = 0.11 + 0.0006 * words + 0.002 * width + float(self.number(0.001, 0.03))
        rows = (", ".join(f"{access + 0.01 * (3 * row + k):.5g}" for k in range(3)) for row in range(3))
        values = ", ".join(f'"{row}"' for row in rows)
        table = f"cell_rise (access) {{ values ({values}); }}"
        clock = f'timing () {{ related_pin : "clk0"; timing_type : rising_edge; {table} }}'
        energies = (
            [("!ceb & web", 0.002), ("!ceb & !web", 0.003), ("ceb", 0.0001)] if states else [("", 0.0025)]
        )
        draws = [float(self.number(0.01, 0.02)) for _ in energies]
        conditions = [f'when : "{when}"; ' if when else "" for when, _ in energies]
        amounts = [
            each * (size / 40 + 30 * width) + more for (_, each), more in zip(energies, draws, strict=True)
        ]
        power = "".join(
            f'internal_power () {{ {condition}rise_power (scalar) {{ values ("{amount:.5g}"); }} }}\n'
            for condition, amount in zip(conditions, amounts, strict=True)
        )
        word, row_bits = f"word{width}", f"word{address}"
        second = (
            f"bus (a1) {{ bus_type : {row_bits}; direction : input; capacitance : 0.002; }}\n"
            f"bus (q1) {{ bus_type : {word}; direction : output; memory_read () {{ address : a1; }} }}\n"
        )
        return (
            f"cell ({name}) {{ area : {area:.6g};\n"
            f"cell_leakage_power : {0.02 * size + float(self.number(1, 9)):.5g};\n"
            f"memory () {{ type : ram; address_width : {address}; word_width : {width}; }}\n"
            f"bus (a0) {{ bus_type : {row_bits}; direction : input; capacitance : 0.002; }}\n"
            f"bus (d0) {{ bus_type : {word}; direction : input;\n"
            "memory_write () { address : a0; clocked_on : clk0; } }\n"
            f"bus (q0) {{ bus_type : {word}; direction : output; memory_read () {{ address : a0; }} {clock} }}\n"
            + (f"bus (wmask0) {{ bus_type : word{mask}; direction : input; }}\n" if mask else "")
            + f"bus (d_bist) {{ bus_type : {word}; direction : input; memory_write () {{ address : a_bist; }} }}\n"
            + (second if two else "")
            + f"pin (clk0) {{ direction : input; clock : true; capacitance : 0.01; {power} }} }}\n"
        )


def _head(
    name: str, time: str, farad: str, voltage: float, slews: Iterable[float], loads: Iterable[float]
) -> str:
    rows, columns = (", ".join(f"{step:g}" for step in axis) for axis in (slews, loads))
    axes = f'index_1 ("{rows}"); index_2 ("{columns}"); }}\n'
    load, slew = "total_output_net_capacitance", "input_net_transition"
    return (
        f"library ({name}) {{\n"
        f'  time_unit : "{time}"; voltage_unit : "1V"; leakage_power_unit : "1nW"; current_unit : "1mA";\n'
        f'  capacitive_load_unit ({farad}); pulling_resistance_unit : "1kohm";\n'
        f"  nom_voltage : {voltage}; nom_temperature : 61; nom_process : 1.1;\n"
        f"  lu_table_template (delay) {{ variable_1 : {slew}; variable_2 : {load}; {axes}"
        f"  power_lut_template (energy) {{ variable_1 : {slew}; variable_2 : {load}; {axes}"
        f"  lu_table_template (setup) {{ variable_1 : constrained_pin_transition; variable_2 : related_pin_transition; "
        f'index_1 ("{rows}"); index_2 ("{", ".join(f"{0.02 * k:g}" for k in range(1, 7))}"); }}\n'
        f"  lu_table_template (access) {{ variable_1 : {slew}; variable_2 : {load}; "
        'index_1 ("0.01, 0.05, 0.2"); index_2 ("0.001, 0.005, 0.03"); }\n'
    )


_WIRES = """  wire_load ("small") { capacitance : 0.0013; resistance : 0.2; slope : 1.7;
    fanout_length (1, 1.3); fanout_length (3, 4.1); fanout_length (2, 2.2); fanout_length (7, 12.5); }
  wire_load ("large") { capacitance : 0.0017; resistance : 0.3; slope : 3.1;
    fanout_length (1, 2.9); fanout_length (4, 9.7); }
  wire_load_selection (usual) { wire_load_from_area (0, 90, "small"); wire_load_from_area (90, 4000, "large"); }
  wire_load_selection (other) { wire_load_from_area (0, 50, "large"); }
  default_wire_load : "large"; default_wire_load_selection : usual;
"""


def text(seed: int = 5, *, memories: str = "both", states: bool = True, wires: bool = True) -> str:
    """The library; ``memories`` are ``both`` kinds of ports, those with ``one`` or ``two``, or ``none``.

    ``states`` has energies of reads apart from those of writes, ``wires`` adds wire loads.
    """
    draw = _Text(seed)
    parts = [_head("odd", "1ns", "1, pf", 0.9, _SLEWS, _LOADS), _WIRES if wires else ""]
    widths = sorted({width for macro in MACROS for width in macro[1:] if width})
    parts += [f"type (word{width}) {{ bit_width : {width}; }}\n" for width in widths]
    for name, (inputs, outputs) in GATES.items():
        area = float(draw.number(1, 2)) * (
            1 + (1.3 - 0.9 * (len(outputs) > 1)) * len(inputs.split()) * len(outputs)
        )
        for strength in STRENGTHS.get(name, (1,)):
            parts.append(
                draw.gate(f"{name}_X{strength}", inputs, outputs, area * (0.7 + 0.4 * strength), strength)
            )
    parts += [draw.register(name) for name in REGISTERS]
    parts += [
        'cell (HI) { area : 1.1; pin (Y) { direction : output; function : "1"; } }\n',
        'cell (LO) { area : 1.2; pin (Y) { direction : output; function : "0"; } }\n',
        "cell (ICG) { area : 6.3; clock_gating_integrated_cell : latch_posedge; cell_leakage_power : 3.3;\n",
        draw.input("CK", draw.power("CK")) + draw.input("E") + "pin (GCK) { direction : output; } }\n",
        draw.gate("INV_UNUSED", "A", {"Y": "!A"}, 0.2, 1).replace("area", "dont_use : true; area"),
        draw.gate("NAND2_SCAN", "A B", {"Y": "!(A B)"}, 30, 1).replace("area", 'scan_group : "s"; area'),
        "cell (TRI) { area : 2;\n" + draw.input("A") + draw.input("E"),
        'pin (Y) { direction : output; function : "A"; three_state : "!E"; } }\n',
    ]
    kinds = {"both": ("1rw", "1rw1r"), "one": ("1rw",), "two": ("1rw1r",), "none": ()}[memories]
    parts += [draw.macro(*macro, states) for macro in MACROS if macro[0] in kinds]
    return "".join([*parts, "}\n"])
