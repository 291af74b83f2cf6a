"""``ternforge generate`` of a system: the folder, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from blueprint.errors import ParamError
from blueprint.systems import control
from blueprint.systems.description import Host
from blueprint.systems.instructions import KINDS
from blueprint.systems.reader import read_system
from generator import system_export
from generator.system_export import write_system
from generator.systems import control as built
from ternforge.verbs.generate import generate
from tests.systems.test_top import small
from toolchain import compiler, process, verilator

FILE = Path(__file__).resolve().parents[2] / "examples" / "tiny_decoder" / "system.yaml"
HOSTED = Path(__file__).resolve().parents[1] / "blueprint" / "hosted_system.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rtl")
    write_system(small(), out, clock_mhz=200)
    return out


def test_the_manifest_says_what_the_description_does(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["schema"] == "ternforge/system-manifest/v1"
    assert {name: one["address"] for name, one in manifest["registers"].items()} == {
        register.name: register.address for register in control.registers(small().design_hash)
    }
    assert {name: kind["code"] for name, kind in manifest["instructions"]["kinds"].items()} == {
        kind.name: kind.code for kind in KINDS.values()
    }
    assert [one["name"] for one in manifest["staging"]["load"]] == [one.name for one in small().inputs]
    assert manifest["staging"]["token"] == len(small().inputs)
    assert set(manifest["masters"]) == {"m_axi_fetch", "m_axi_load", "m_axi_store"}
    assert manifest["ports"]["irq"] == {"direction": "out", "width": 1}


def test_the_status_that_is_built_is_the_one_that_is_described() -> None:
    places = {field.name: (field.offset, field.width) for field in built.STATUS_WORD}
    unit, response = (control.STATUS[name] for name in ("unit", "response"))
    assert places.pop("origin") == (unit[0], unit[1] + response[1]) and unit[0] + unit[1] == response[0]
    assert places == {
        name: place for name, place in control.STATUS.items() if name not in ("unit", "response")
    }


def test_every_file_is_there_and_the_lint_of_the_folder_is_silent(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    files = [folder / name for name in manifest["files"]]
    assert all(file.is_file() for file in [*files, *(folder / name for name in manifest["stubs"])])
    assert verilator.lint(files, manifest["top"], [folder / "lint.vlt"]) == []


def test_the_header_compiles_and_has_the_offsets(folder: Path, tmp_path: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    header = folder / manifest["headers"][0]
    address = manifest["registers"]["image_hi"]["address"]
    lines = [f'#include "{header}"', f'_Static_assert(SYSTEM_IMAGE_HI_OFFSET == {address}u, "");', "int x;"]
    for name, (low, bits) in control.STATUS.items():
        field, mask = f"SYSTEM_STATUS_{name.upper()}", ((1 << bits) - 1) << low
        lines.append(f'_Static_assert({field}_SHIFT == {low}u && {field}_MASK == {mask}u, "{name}");')
    source = tmp_path / "header.c"
    source.write_text("\n".join(lines))
    process.run(
        [compiler.command(), "-x", "c", "-c", source, "-o", tmp_path / "header.o"], tool="cc", timeout_s=60
    )


def test_the_same_hardware_is_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_system(small(), tmp_path, clock_mhz=200)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        assert (tmp_path / file.relative_to(folder)).read_bytes() == file.read_bytes(), file


def test_the_clock_that_is_asked_for_is_that_of_the_constraints(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 MHz is a period of 5 ns; where none is asked for it is 500 MHz."""
    assert "set clk_period 5.0000\n" in next(folder.rglob("*.sdc")).read_text()
    heard: list[float] = []
    for name, instead in {
        "SystemTop": lambda _: None, "emit": lambda *_: None, "describe": lambda *_: {"name": "x"},
        "around": lambda manifest, title, clock_mhz, more: heard.append(clock_mhz), "write_folder": lambda *_: None,
    }.items():  # fmt: skip
        monkeypatch.setattr(system_export, name, instead)
    for asked in (None, 123.0):
        write_system(small(), tmp_path, clock_mhz=asked)
    assert heard == [500.0, 123.0]


def test_parameters_of_a_system_are_set_in_its_file(tmp_path: Path) -> None:
    with pytest.raises(ParamError, match=r"^Parameters must be set in the file of a system, not by --set$"):
        generate(FILE, tmp_path / "rtl", {"lanes": "2"})
    assert not (tmp_path / "rtl").exists()


def test_hardware_of_a_host_that_computes_is_refused(tmp_path: Path) -> None:
    system = read_system(HOSTED)
    units = {name: unit for name, unit in system.units.items() if name != "vector"}
    host = Host(("elements", "positions", "sampling"), "assumed", elements_per_s=1e9)
    told = "Work elements must be run by a unit for hardware of a whole system, not by the host"
    with pytest.raises(ParamError, match=f"^{re.escape(told)}$"):
        generate(dataclasses.replace(system, units=units, host=host), tmp_path / "rtl")
    assert not (tmp_path / "rtl").exists()


def test_a_second_unit_for_elements_is_refused() -> None:
    system = read_system(FILE)
    vector = system.units["vector"]
    first = dataclasses.replace(vector, works=tuple(work for work in vector.works if work != "positions"))
    second = dataclasses.replace(vector, works=("positions",))
    ones = (
        "one for products, one for attention, one for elements, at most one for scores of the head and at most one "
        "for products of a prompt"
    )
    told = f"Units of a whole system must be {ones}, and turns is another"
    with pytest.raises(ParamError, match=f"^{re.escape(told)}$"):
        control.hardware(
            dataclasses.replace(system, units={**system.units, "vector": first, "turns": second})
        )
