"""Liberty files: what they say in our units, and what is wrong with a broken one."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from blueprint.errors import SpecError
from costmodel.technology import function, liberty
from tests.costmodel import tiny

ROW = '"0.1, 0.2", "0.3, 0.4"'


def parse(folder: Path, text: str) -> liberty.Library:
    path = folder / "x.lib"
    path.write_text(text)
    return liberty.parse(path)


def test_units_become_um2_ps_ff(tmp_path: Path) -> None:
    library = liberty.parse(tiny.write(tmp_path))
    inverter = library.cells["INV"]
    assert (inverter.area, inverter.pin("A").capacitance) == (1.0, 1.0)
    assert library.voltage == 1.5
    table = inverter.arcs[0].rise
    assert table is not None
    assert table.slews == pytest.approx((100, 300)) and table.loads == pytest.approx((1, 3))
    assert table.at(200, 2) == pytest.approx(10 + 20 + 2)
    assert table.at(500, 5) == pytest.approx(10 + 50 + 5)  # beyond the ends


def test_energy_and_leakage_follow_their_units(tmp_path: Path) -> None:
    head = tiny.HEAD.replace("(1, pf)", '(10, "ff")').replace('"1V"', '"100mV"').replace('"1nW"', '"1uW"')
    body = "cell (A) { area : 1; cell_leakage_power : 2; pin (Y) { direction : output; internal_power () {"
    cell = parse(tmp_path, head + body + ' rise_power (scalar) { values ("3"); } } } } }').cells["A"]
    assert cell.leakage == pytest.approx(2000)
    assert cell.energies[0].rise is not None and cell.energies[0].fall is None
    assert cell.energies[0].rise.values[0][0] == pytest.approx(3 * 10e-15 * 0.01 * 1e12)


def state(value: float, when: str = "") -> str:
    condition = f'when : "{when}";' if when else ""
    return f"leakage_power () {{ value : {value}; {condition} }} "


@pytest.mark.parametrize(
    ("groups", "expected_nw"),
    [
        ("cell_leakage_power : 2; " + state(9), 2.0),
        (state(4) + state(7, "A") + state(5), 5.0),
        (state(4, "A") + state(7, "!A"), 5.5),
        ("", 0.0),
    ],
    ids=["stated", "unconditional", "mean over states", "none"],
)
def test_leakage_is_stated_or_unconditional_or_the_mean_over_states(
    groups: str, expected_nw: float, tmp_path: Path
) -> None:
    cell = parse(tmp_path, tiny.HEAD + "cell (A) { area : 1; " + groups + "} }").cells["A"]
    assert cell.leakage == pytest.approx(expected_nw)


@pytest.mark.parametrize(
    ("attributes", "expected_ff"),
    [
        ("capacitance : 0.002; rise_capacitance : 0.008;", 2.0),
        ("rise_capacitance : 0.003; fall_capacitance : 0.007;", 5.0),
        ("fall_capacitance : 0.007;", 7.0),
        ("direction : output; capacitance : 0.002;", 0.0),
    ],
)
def test_an_input_s_capacitance_is_stated_or_the_mean_of_both_edges(
    attributes: str, expected_ff: float, tmp_path: Path
) -> None:
    text = tiny.HEAD + f"cell (A) {{ area : 1; pin (P) {{ {attributes} }} }} }}"
    assert parse(tmp_path, text).cells["A"].pin("P").capacitance == pytest.approx(expected_ff)


def test_missing_units_are_said(tmp_path: Path) -> None:
    library = parse(tmp_path, "library (x) { cell (A) { area : 1; } }")
    assert library.notes == (
        "time_unit is missing: Liberty's default 1e-09 s assumed",
        "voltage_unit is missing: Liberty's default 1 v assumed",
        "leakage_power_unit is missing: Liberty's default 1e-09 w assumed",
        "capacitive_load_unit is missing: 1 pF assumed",
    )


def test_table_axes_in_either_order_mean_the_same(tmp_path: Path) -> None:
    swapped = tiny.HEAD.replace("variable_1 : input", "variable_9 : input").replace(
        "variable_2 : total_output_net_capacitance", "variable_1 : total_output_net_capacitance"
    )
    cell = (
        'cell (A) { area : 1; pin (Y) { direction : output; timing () { related_pin : "B"; cell_rise (delay) {'
        f'index_1 ("0.001, 0.003"); index_2 ("0.1, 0.3"); values ({ROW}); }} }} }} }} }}'
    )
    table = parse(tmp_path, swapped + cell).cells["A"].arcs[0].rise
    assert table is not None and table.slews == pytest.approx((100, 300))
    assert [value for row in table.values for value in row] == pytest.approx([100, 300, 200, 400])


def test_odd_layout_reads_as_any_other(tmp_path: Path) -> None:
    text = (
        tiny.text()
        .replace("pin (A)", "pin\n(  A )\n")
        .replace("area : 1;", "area  :\t1\n")
        .replace("\n", "\r\n")
    )
    assert parse(tmp_path, text).cells.keys() == tiny.GATES.keys()
    packed = tmp_path / "tiny.lib.gz"
    packed.write_bytes(gzip.compress(tiny.text().encode()))
    assert liberty.parse(packed).cells == liberty.parse(tiny.write(tmp_path)).cells


def test_several_files_make_one_library(tmp_path: Path) -> None:
    other = tmp_path / "more.lib"
    other.write_text("library (more) { cell (EXTRA) { area : 3; } }")
    library = liberty.parse([tiny.write(tmp_path), other])
    assert "EXTRA" in library.cells and library.name == "tiny"
    assert [name for name, _ in library.sources] == ["tiny.lib", "more.lib"]


def test_memory_macro_and_bus_are_recognized(tmp_path: Path) -> None:
    cell = (
        "type (word) { bit_width : 8; } cell (ram) { area : 9; memory () { address_width : 4; word_width : 8; }"
        " bus (d) { bus_type : word; direction : input; } } }"
    )
    ram = parse(tmp_path, tiny.HEAD + cell).cells["ram"]
    assert ram.memory == liberty.Memory(16, 8, "1rw") and ram.pin("d").width == 8


def test_slowest_state_of_an_arc_counts(tmp_path: Path) -> None:
    two = tiny.arc("A", "positive_unate", 0.01) + tiny.arc("A", "positive_unate", 0.09)
    extra = (
        f"cell (X) {{ area : 1; pin (A) {{ direction : input; }} pin (Y) {{ direction : output; {two} }} }}"
    )
    arcs = liberty.parse(tiny.write(tmp_path, extra=extra)).cells["X"].arcs
    assert len(arcs) == 1 and arcs[0].rise is not None
    assert arcs[0].rise.at(100, 1) == pytest.approx(90 + 10 + 1)


BROKEN = {
    "": "x.lib:1: a Liberty file must hold library (name) { ... }, not be empty",
    "module x;": "x.lib:1: file must be a Liberty library, not Verilog",
    "cell (A) { }": "x.lib:1: a Liberty file must start with library (name) {, not 'cell'",
    "library : x;": "x.lib:1: a Liberty file must start with library (name) {, not 'library'",
    "\nlibrary (x);": "x.lib:2: a Liberty file must start with library (name) {, not 'library'",
    "library (x) {\n cell (A) {\n": "x.lib:2: cell (A) must be closed by a brace, but the file ends first",
    "library (x) {\n/* no end\n": "x.lib:2: a comment opened by /* must be closed by */",
    "library (x) { }": "x.lib:1: a library must hold at least one cell, not none",
    "library (x) {\n cell (A) { area : big; } }": "x.lib:2: area of cell A must be a number, not 'big'",
    "library (x) {\n cell (A) { area : -1; } }": "x.lib:2: area of cell A must be at least 0, not -1",
    "library (x) {\n cell () { area : 1; } }": "x.lib:2: a cell must have a name, not ()",
    "library (x) {\n cell (A) { area : 1; }\n cell (A) { area : 1; } }": (
        "x.lib:3: cell A must be defined once, not twice"
    ),
    "library (x) { time_unit : fast; cell (A) { area : 1; } }": (
        "x.lib:1: time_unit must be a number and a unit of s, not 'fast'"
    ),
    "library (x) { capacitive_load_unit (1, ohm); cell (A) { area : 1; } }": (
        "x.lib:1: capacitive_load_unit must be a number and ff or pf, not (1, ohm)"
    ),
    "library (x) {\n cell (A) { area : 1;\n memory () { type : ram; } } }": (
        "x.lib:3: a memory must state address_width and word_width"
    ),
    "library (x) { cell (A) { area : 1; pin (Y) { timing () { related_pin : B;\n"
    ' cell_rise (t) { index_1 ("1, 2"); index_2 ("1, 2"); values ("1, 2"); } } } } }': (
        "x.lib:2: cell_rise must hold 2 x 2 values, not 2"
    ),
    "library (x) { cell (A) { area : 1; pin (Y) { timing () { related_pin : B;\n"
    ' cell_rise (t) { values ("1, two"); } } } } }': "x.lib:2: cell_rise must hold numbers, not '1, two'",
    "library (x) { cell (A) { area : 1; }\n ??? }": (
        "x.lib:2: expected name (args) {, name : value or }, not '??? }'"
    ),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.items(), ids=range(len(BROKEN)))
def test_broken_file_is_refused_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=f"{re.escape(message)}$"):
        parse(tmp_path, text)


def test_missing_and_cut_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match="none.lib: a Liberty file must be readable: No such file or directory$"
    ):
        liberty.parse(tmp_path / "none.lib")
    cut = tmp_path / "cut.lib.gz"
    cut.write_bytes(gzip.compress(tiny.text().encode())[:200])
    with pytest.raises(SpecError, match="a gzip file must be complete, but this one does not decompress$"):
        liberty.parse(cut)
    with pytest.raises(SpecError, match="^a library must come from at least one Liberty file, not none$"):
        liberty.parse([])


@pytest.mark.parametrize(
    "text", ["A B + C", "(A*B)|C", "A & B | C", "!(!(A B)*!C)", "((A'+B')')+C", "A B + C ^ 0"]
)
def test_function_means_the_same_in_every_notation(text: str) -> None:
    assert function.truth(text, ("A", "B", "C")) == 0b11111000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A +", "a function must not end in an operator"),
        ("(A", "a function must close every parenthesis"),
        ("A)", "function 'A)' must end after 'A'"),
        ("Z", "a function must read the cell's inputs, not 'Z'"),
        ("A % B", "function 'A % B' must not hold '%'"),
        ("", "a function must not be empty"),
    ],
)
def test_broken_function_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        function.truth(text, ("A", "B"))


WIRES = "wire_load (small) { capacitance : 0.1; slope : 0.3; fanout_length (1, 2.0); }\nwire_load_selection (s) {\n"
AREAS = "wire_load_from_area must be two areas and a wire_load"
BITS = "a memory must have from 1 to 40 bits of address and from 1 to 1048576 of data"
MEMORY = "cell (RAM) { area : 1; memory () { type : ram;\n"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (f"{WIRES} wire_load_from_area (0, 100); }}", f"{AREAS}, not (0, 100)"),
        (f'{WIRES} wire_load_from_area (a, 1, "small"); }}', f'{AREAS}, not (a, 1, "small")'),
        (f'{WIRES} wire_load_from_area (9, 1, "small"); }}', f'{AREAS}, not (9, 1, "small")'),
        ("wire_load (small) {\n fanout_length (1, nan); }", "fanout_length must be a fan-out and a length"),
        ("type (t) {\n bit_width : inf; }", "bit_width of type t must be a number, not 'inf'"),
        (f"{MEMORY} address_width : 99; word_width : 8; }} }}", f"{BITS}, not 99 and 8"),
        (f"{MEMORY} address_width : 4; word_width : 0; }} }}", f"{BITS}, not 4 and 0"),
    ],
)
def test_wires_and_memories_that_no_library_has_are_refused(tmp_path: Path, extra: str, message: str) -> None:
    with pytest.raises(SpecError, match=rf"^\S+x\.lib:\d+: {re.escape(message)}$"):
        parse(tmp_path, tiny.text(extra=extra))


def test_files_of_different_corners_are_no_library(tmp_path: Path) -> None:
    (tmp_path / "ram.lib").write_text(
        "library (r) { nom_voltage : 0.7; nom_temperature : 25; cell (B) { area : 1; } }"
    )
    first = tiny.write(tmp_path)
    message = f"{tmp_path}/ram.lib:1: voltage must be 1.5 V as that of {first}, not 0.7 V"
    with pytest.raises(SpecError, match=f"^{re.escape(message)}$"):
        liberty.parse([first, tmp_path / "ram.lib"])
    (tmp_path / "ram.lib").write_text(
        "library (r) { nom_voltage : 1.5; nom_temperature : 85; cell (B) { area : 1; } }"
    )
    message = f"{tmp_path}/ram.lib:1: temperature must be 25 C as that of {first}, not 85 C"
    with pytest.raises(SpecError, match=f"^{re.escape(message)}$"):
        liberty.parse([first, tmp_path / "ram.lib"])
    (tmp_path / "ram.lib").write_text("library (r) { cell (B) { area : 1; } }")  # which states none
    assert "B" in liberty.parse([first, tmp_path / "ram.lib"]).cells
