"""Technologies: found by name, read from files, made from Liberty, refused when a fact has no source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from blueprint.errors import ParamError, SpecError
from costmodel.model import estimate
from costmodel.technology import facts, importing, liberty, technology
from costmodel.technology.roles import Adder, Register
from costmodel.technology.table import Table
from tests.costmodel import tiny


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tech")
    return importing.import_library([tiny.write(folder)], "tiny", folder / "deep" / "tiny.yaml")


@pytest.mark.parametrize("name", technology.names())
def test_shipped_technology_is_whole(name: str) -> None:
    found = technology.load(name)
    roles = found.roles
    assert roles.gates.keys() >= {"inverter", "buffer", "nand2", "nor2", "xor2"}
    assert roles.flip_flop or roles.clear_flip_flop
    assert all(cell in found.cells for cell in roles.gates.values())
    assert found.sram.area_um2(256, 32) > 0 and found.sram.access_ps(256, 32) > 0
    assert (Path(technology.__file__).parent / "technologies" / f"{name}.yaml").stat().st_size < 650_000


def test_adder_that_inverts_is_known_to() -> None:
    adder = technology.load("asap7").roles.full_adder
    assert adder is not None and adder.total_inverted and adder.carry_inverted
    plain = technology.load("sky130hd").roles.full_adder
    assert plain is not None and not plain.total_inverted and not plain.carry_inverted
    assert technology.load("ihp_sg13g2").roles.full_adder is None


def test_roles_are_found_by_function(tmp_path: Path) -> None:
    roles = tiny.technology(tmp_path).roles
    assert roles.gates["nand2"] == "NAND2" and roles.gates["xor2"] == "XOR2" and "xnor2" not in roles.gates
    assert roles.full_adder == Adder("FA", "A", "B", "CI", "SN", "CON", True, True)
    assert roles.half_adder == Adder("HA", "A", "B", None, "SN", "CON", True, True)
    assert roles.flip_flop == Register("DFFN", "CK", "D", "QN", inverted=True)


def test_scan_flip_flop_and_unwanted_cells_fill_no_role(tmp_path: Path) -> None:
    scan = (
        tiny.FLIP_FLOP.replace("DFFN", "SCAN").replace("area : 6", "area : 3").replace('"D"', '"SE*SI+!SE*D"')
    )
    scan = scan.replace(
        "pin (CK)", "pin (SE) { direction : input; } pin (SI) { direction : input; } pin (CK)"
    )
    cheap = tiny.gate("SMALL", 0.5, "A", {"Y": ("!A", "negative_unate")}).replace(
        "area", "dont_use : true; area"
    )
    roles = tiny.technology(tmp_path, extra=scan + cheap).roles
    assert roles.flip_flop is not None and roles.flip_flop.cell == "DFFN" and roles.gates["inverter"] == "INV"


def test_imported_file_reads_back_the_same(file: Path) -> None:
    found = technology.load(file)
    made = importing.technology([tiny.write(file.parent)], "tiny")
    assert found.cells == made.cells and found.roles == made.roles and found.sram == made.sram
    assert found.fingerprint == made.fingerprint
    assert found.sources == made.sources and len(found.sources[0][1]) == 64
    assert found.corner["voltage"] == technology.Measured(1.5, "V", "Liberty tiny")


def test_facts_survive_being_written_and_read() -> None:
    cells = technology.load("asap7").cells
    assert facts.load(facts.dump(cells.values())) == dict(cells)


def test_thin_table_keeps_its_ends() -> None:
    axis = tuple(float(step) for step in range(7))
    table = Table(axis, axis, tuple(tuple(row + column for column in axis) for row in axis))
    arc = liberty.Arc("Y", "A", "non_unate", "combinational", table, None)
    thinned = facts.thin(liberty.Cell("X", 1.0, (), arcs=(arc,)), 4).arcs[0].rise
    assert thinned is not None and len(thinned.slews) == 4
    assert (thinned.slews[0], thinned.slews[-1], thinned.values[-1][-1]) == (0, 6, 12)


def test_coefficients_of_calibration_are_kept(file: Path, tmp_path: Path) -> None:
    model = {"area": {"source": "200 designs", "adder": [1.0, 2.0], "residual": 0.01}}
    path = tmp_path / "model.yaml"
    path.write_text(importing.dump(technology.load(file).with_model(model)))
    assert technology.load(path).model == model


def test_unknown_name_suggests_the_nearest() -> None:
    text = "Technology must be one of asap7, ihp_sg13g2, sky130hd, or a file, not 'sky130'; did you mean 'sky130hd'?"
    with pytest.raises(ParamError, match=f"^{re.escape(text)}$"):
        technology.load("sky130")


BROKEN = {
    "no source": ("    source: Liberty tiny\n", "", "source must be given, and is missing"),
    "empty source": ("    source: Liberty tiny\n", "    source: ''\n", "source must be text, not empty"),
    "unit": ("unit: V,", "unit: mV,", "unit must be 'V', not 'mV'; did you mean 'V'?"),
    "kind": ("value: 1.5", "value: high", "value must be a number, not 'high'"),
    "schema": ("technology/v1", "technology/v2", "schema must be 'ternforge/technology/v1'"),
    "extra": ("notes:", "remarks:", "key must be"),
    "role": (
        "nand2: NAND2",
        "nand2: NAND",
        "nand2 must be a cell of cells.table, not 'NAND'; did you mean 'NAND2'?",
    ),
    "fact": ("in A 1\n", "in A\n", "a cell fact must be complete and numeric, not 'in A'"),
    "word": (
        "in A 1\n",
        "on A 1\n",
        "a cell fact must start with one of cell, in, out, ff, latch, gate, arc, energy",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_technology_file_is_refused(file: Path, tmp_path: Path, case: str) -> None:
    old, new, message = BROKEN[case]
    text = file.read_text()
    assert old in text
    path = tmp_path / "bad.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(SpecError, match=f"bad.yaml:\\d+:\\d+: .*{re.escape(message)}"):
        technology.load(path).cells  # noqa: B018 - the cells are read when asked for


def test_wrong_fact_is_reported_at_its_line(file: Path, tmp_path: Path) -> None:
    lines = file.read_text().splitlines()
    number = next(index for index, line in enumerate(lines, 1) if line.strip().startswith("cell INV"))
    path = tmp_path / "bad.yaml"
    path.write_text("\n".join(lines).replace("cell INV 1 0", "cell INV 1") + "\n")
    with pytest.raises(SpecError, match=f"bad.yaml:{number}:1: cells.table: "):
        technology.load(path).cells  # noqa: B018


def test_library_without_delays_says_so(tmp_path: Path) -> None:
    path = tmp_path / "still.lib"
    path.write_text(tiny.text().replace("timing ()", "nothing ()"))
    assert importing.technology([path], "still").notes == (
        "the library holds no delays: every path takes 0 ps, and its clock means nothing",
    )
    zeros = re.sub(r"values \([^;]*;", lambda found: re.sub(r"[\d.]+", "0", found[0]), tiny.text())
    path.write_text(zeros)
    assert importing.technology([path], "still").notes == (
        "the library holds no delays: every path takes 0 ps, and its clock means nothing",
    )
    assert tiny.technology(tmp_path).notes == ()


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (("INV",), "library tiny must have an inverter and a buffer, but has no inverter"),
        (
            ("BUF",),
            "library tiny must have an inverter and a buffer, but has no buffer, and ABC crashes without one",
        ),
        (("NAND2", "NOR2"), "library tiny must have a two-input gate, but has none"),
        (("DFFN",), "library tiny must have a rising-edge D flip-flop, but has none"),
    ],
)
def test_library_that_cannot_hold_a_design_is_refused(
    tmp_path: Path, missing: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SpecError, match=f"tiny.lib:1: {re.escape(message)}$"):
        tiny.technology(tmp_path, *missing)


def test_roles_of_earlier_files_keep_their_meaning_and_their_hash(tmp_path: Path) -> None:
    shipped = Path(technology.__file__).with_name("technologies") / "asap7.yaml"
    now = technology.read_technology(shipped)
    before = shipped.read_text().replace("flip_flop:", "flop:")
    (tmp_path / "old.yaml").write_text(before)
    old = technology.read_technology(tmp_path / "old.yaml")
    assert old.roles == now.roles and old.roles.flip_flop is not None
    assert (old.fingerprint, old.digest) == (now.fingerprint, now.digest)
    before_renaming = "350e11fa367c0b21"
    assert tiny.technology(tmp_path).fingerprint.startswith(before_renaming)

    broken = before.replace("    cell: DFFHQNx1_ASAP7_75t_R", "    cell: DFFHQNx9", 1)
    (tmp_path / "cell.yaml").write_text(broken)
    line = before[: before.index("    cell: DFFHQNx1_ASAP7_75t_R")].count("\n") + 1
    where = re.escape(f"{tmp_path}/cell.yaml:{line}:5: roles.flop.cell: cell must be a cell of cells.table, ")
    with pytest.raises(SpecError, match=f"^{where}not 'DFFHQNx9'$"):
        technology.read_technology(tmp_path / "cell.yaml")

    head, rest = shipped.read_text().split("  flip_flop:\n", 1)
    (tmp_path / "two.yaml").write_text(f"{head}  flop: {{}}\n  flip_flop:\n{rest}")
    with pytest.raises(SpecError, match=r"two\.yaml:\d+:3: roles\.flop: .*did you mean 'flip_flop'\?$"):
        technology.read_technology(tmp_path / "two.yaml")


@pytest.mark.parametrize(
    ("fact", "must"),
    [
        ("cell INV nan 0.01", "have finite numbers"),
        ("cell INV 0.1 1e999", "have finite numbers"),
        ("cell INV 1_0 0.01", "have finite numbers"),
        ("cell INV -0.1 0.01", "have no negative area, leakage or capacitance"),
        ("cell INV 0.1 -0.01", "have no negative area, leakage or capacitance"),
        ("in A inf", "have finite numbers"),
        ("in A -1", "have no negative area, leakage or capacitance"),
        ("out Y -1 !A", "have no negative area, leakage or capacitance"),
        ("energy Y A nan 1", "have finite numbers"),
        ("arc A Y x combinational ; 1 ; 1 ; nan ; 1 ; 1 ; 1", "have finite numbers"),
        ("arc A Y x combinational ; 2 2 ; 1 ; 1 1 ; - ; - ; -", "have slews and loads that rise"),
        ("arc A Y x combinational ; ; 1 ; - ; - ; - ; -", "have slews and loads that rise"),
        ("cell BUF 0.1 0.01", "be of a cell that is not there yet"),
        ("cell INV", "be complete and numeric"),
    ],
)
def test_a_fact_that_would_make_numbers_wrong(fact: str, must: str) -> None:
    with pytest.raises(facts.FactsError) as caught:
        facts.load(f"cell BUF 0.1 0.01\n{fact}\n")
    assert (caught.value.line, str(caught.value)) == (1, f"a cell fact must {must}, not {fact!r}")


MODEL = """\
  area:
    source: s
    value: {any: {adder: {width: 1}}}
    error: {tile: {held_out_mean: 0.1, held_out_worst: 0.2, rows: 3}}
  delay: {source: s, start: 5, value: {any: {adder: {width: 1}}}}
  leakage: {source: s, value: 0.5}
  validation: {source: s, area: {mean: 0.1, worst: 0.2}}
"""
LOADS = """\
wires:
  source: s
  default: small
  loads:
  - {name: small, capacitance: 1, resistance: 1, slope: 1, fanouts: [1, 2], lengths: [1, 2.5]}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("start: 5", "start: abc", "model.delay.start: start must be a number, not 'abc'"),
        ("start: 5", "start: -5", "model.delay.start: start must be at least 0, not -5"),
        ("start: 5", "start: 5, wires: -1", "model.delay.wires: wires must be at least 0, not -1"),
        ("start: 5", "start: 5, wires: x", "model.delay.wires: wires must be a number, not 'x'"),
        (
            "leakage: {source: s, value: 0.5}",
            "leakage: {source: s, value: -1e9}",
            "value must be at least 0, not",
        ),
        (
            "width: 1}}}\n    error",
            "width: [1]}}}\n    error",
            "area.value.any.adder.width: width must be a number, not a list",
        ),
        (
            "{adder: {width: 1}}}}",
            "{adder: 1}}}",
            "model.delay.value.any.adder: adder must be a mapping, not 1",
        ),
        (", rows: 3", "", "model.area.error.tile.rows: rows must be given, and is missing"),
        ("worst: 0.2}}", "worst: x}}", "model.validation.area.worst: worst must be a number, not 'x'"),
        ("[1, 2],", "[1, a],", "fanouts[1]: fanouts must be an integer of at least 0 each, not 'a'"),
        ("[1, 2],", "[1, 1.5],", "fanouts[1]: fanouts must be an integer of at least 0 each, not 1.5"),
        ("[1, 2.5]", "[-1, 2]", "lengths[0]: lengths must be a number of at least 0 each, not -1"),
        ("value: 1.5", "value: 0", "corner.voltage.value: value must be above 0, not 0.0"),
        ("value: 25", "value: -300", "corner.temperature.value: value must be at least -273.15, not -300"),
    ],
)
def test_coefficients_and_wires_that_would_make_numbers_wrong(
    old: str, new: str, message: str, file: Path, tmp_path: Path
) -> None:
    path, whole = tmp_path / "made.yaml", f"{file.read_text()}{LOADS}model:\n{MODEL}"
    path.write_text(whole)
    technology.load(path)  # is one
    assert old in whole
    path.write_text(whole.replace(old, new, 1))
    with pytest.raises(SpecError, match=re.escape(message)):
        technology.load(path)


@pytest.mark.parametrize(("name", "group"), [("area", {}), ("delay", {"value": {}})])
def test_a_group_without_coefficients_is_not_calibrated(name: str, group: dict[str, object]) -> None:
    tech = technology.load("asap7").with_model({name: {"source": "s", **group}})
    with pytest.raises(
        ParamError, match=f"^Technology asap7 must be calibrated before its {name} is estimated; "
    ):
        estimate.group(tech, name)
