"""Design files: round trip, overrides, and errors that point at the parameter's own line."""

from __future__ import annotations

from pathlib import Path

import pytest

from blueprint import registry
from blueprint.errors import SpecError
from blueprint.files.design import Design, design_text, read_design, write_design

TEXT = """\
schema: ternforge/design/v1
name: mine
family: ternary_lut
parameters:
  mu: 3
  lut_count: 4
  fetch_count: 8
  act_width: 8
  k_max: 96
  n_max: 64
clock_mhz: 1e3
technology: asap7
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "design.yaml"
    path.write_text(TEXT)
    return path


def test_design_file_gives_the_spec_and_what_it_is_for(file: Path) -> None:
    design = read_design(file)
    assert (design.name, design.clock_mhz, design.technology) == ("mine", 1000.0, "asap7")
    assert type(design.spec) is registry.get("ternary_lut")
    assert {name: design.spec.parameters[name] for name in ("mu", "lut_count", "n_max")} == {
        "mu": 3,
        "lut_count": 4,
        "n_max": 64,
    }


def test_name_is_the_specs_own_where_the_file_gives_none(file: Path) -> None:
    file.write_text(TEXT.replace("name: mine\n", ""))
    design = read_design(file)
    assert design.name == design.spec.name


def test_written_design_reads_back_the_same(file: Path, tmp_path: Path) -> None:
    design = read_design(file)
    write_design(design, tmp_path / "again.yaml")
    assert read_design(tmp_path / "again.yaml") == design
    write_design(design.spec, tmp_path / "bare.yaml")
    assert read_design(tmp_path / "bare.yaml") == Design(design.spec, design.spec.name)


def test_written_design_spells_every_parameter_out(file: Path) -> None:
    spec = read_design(file).spec
    text = design_text(spec)
    assert all(f"\n  {name}: " in text for name in spec.parameters)


def test_overrides_replace_parameters_with_yaml_values(file: Path) -> None:
    changed = read_design(file, {"mu": "2", "build_register": "true", "table_style": "full"}).spec.parameters
    assert (changed["mu"], changed["build_register"], changed["table_style"]) == (2, True, "full")
    assert read_design(file).spec.parameters["mu"] == 3


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"mu": "9"}, "--set mu=9: Parameter 'mu' must be an integer from 1 to 6, not 9"),
        ({"mu": "two"}, "--set mu=two: Parameter 'mu' must be an integer from 1 to 6, not 'two'"),
        ({"table_style": "haf"}, "--set table_style=haf: .* not 'haf'; did you mean 'half'\\?"),
        ({"lut_cuont": "2"}, "--set lut_cuont=2: Parameter must be one of .*; did you mean 'lut_count'\\?"),
        ({"mu": "[1"}, "--set mu=[^:]*: text must be valid YAML, and it is not: .*"),
    ],
)
def test_bad_overrides_name_themselves(file: Path, overrides: dict[str, str], message: str) -> None:
    with pytest.raises(SpecError, match=f"^{message}$"):
        read_design(file, overrides)


def test_cross_check_points_at_its_parameter(file: Path) -> None:
    file.write_text(TEXT.replace("  n_max: 64\n", "  n_max: 64\n  acc_width: 9\n"))
    with pytest.raises(SpecError) as caught:
        read_design(file)
    assert str(caught.value).startswith(f"{file}:11:3: parameters.acc_width: Accumulator width 9 cannot hold")
    assert str(caught.value).endswith("use at least 15")


def test_absurdly_long_value_stays_a_sentence(file: Path) -> None:
    file.write_text(TEXT.replace("mu: 3", "mu: " + "x" * 100_000))
    with pytest.raises(SpecError) as caught:
        read_design(file)
    assert len(str(caught.value)) < 1000
