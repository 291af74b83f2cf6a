"""Every number of the models against recorded ones, whose areas, clocks and energies synthesis confirmed.

`python -m benchmarks.golden` writes `tests/golden/<family>.json` from synthesis; what moves a number on purpose is
recorded again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import golden
from blueprint import registry
from blueprint.spec import Spec
from blueprint.unit import flip_flops
from costmodel.model import features
from costmodel.technology import technology
from tests import skips

#: Families with records; one without is told by a test of its own.
FAMILIES = sorted(name for name in registry.families() if (golden.FOLDER / f"{name}.json").is_file())


def recorded(family: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((golden.FOLDER / f"{family}.json").read_text())["designs"]
    return found


CASES = [
    pytest.param(family, number, id=f"{family}-{number}")
    for family in FAMILIES
    for number in range(len(recorded(family)))
]
#: Those that were synthesized too.
MEASURED = [
    pytest.param(family, number, id=f"{family}-{number}")
    for family in FAMILIES
    for number, design in enumerate(recorded(family))
    if design["measured"]
]


def test_every_family_has_records() -> None:
    """A new one is recorded by ``python -m benchmarks.golden --families NAME``, then ``--samples`` and ``--files``."""
    kept = [json.loads((golden.FOLDER / f"{name}.json").read_text()) for name in ("samples", "files")]
    assert sorted(registry.families()) == FAMILIES == sorted(kept[0]) == sorted(kept[1]["families"])


def case(family: str, number: int) -> tuple[Spec, dict[str, Any]]:
    design = recorded(family)[number]
    return registry.get(family).from_mapping(design["parameters"]), design


@pytest.mark.parametrize("family", FAMILIES)
def test_half_of_the_designs_or_all_were_synthesized(family: str) -> None:
    found = [bool(design["measured"]) for design in recorded(family)]
    assert found in (
        [True] * golden.DESIGNS,
        [number < golden.DESIGNS // 2 for number in range(golden.DESIGNS)],
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_every_arithmetic_has_golden_designs(family: str) -> None:
    kind = registry.get(family)
    specs = [kind.from_mapping(design["parameters"]) for design in recorded(family)]
    assert {spec.arithmetic for spec in specs} == set(kind.facets.samples.calibration.arithmetics)
    for name, limit in kind.limits().items():
        if limit.choices and len(limit.choices) <= len(specs):
            seen = {getattr(spec, name) for spec in specs}
            assert len(seen) >= min(len(limit.choices), 2), f"{name}: only {seen}"


@pytest.mark.parametrize(("family", "number"), CASES)
def test_inventory_and_paths_are_the_recorded_ones(family: str, number: int) -> None:
    spec, design = case(family, number)
    assert golden.inventory(spec) == design["inventory"]
    assert golden.paths(spec) == design["paths"]
    assert golden.plain(spec.peak_macs) == design["peak_macs"]
    assert sum(features.rough_gates(unit) for unit in spec.units()) == pytest.approx(design["rough_gates"])
    assert {stream.name: stream.width for stream in spec.streams()} == design["streams"]


@pytest.mark.parametrize(("family", "number"), CASES)
def test_time_and_traffic_are_the_recorded_ones(family: str, number: int) -> None:
    spec, design = case(family, number)
    assert json.loads(json.dumps(list(golden.runs(spec)))) == design["runs"]


@pytest.mark.parametrize("family", FAMILIES)
def test_random_designs_are_the_recorded_ones(family: str) -> None:
    """A number names a design, its tasks and their operands: here, in calibration, and in a failure's message."""
    expected = json.loads((golden.FOLDER / "samples.json").read_text())[family]
    for number, (found, then) in enumerate(zip(golden.samples(registry.get(family)), expected, strict=True)):
        assert found == then, f"design {number}"


def test_other_operands_have_other_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = registry.get("systolic")
    monkeypatch.setattr(golden, "SAMPLES", 4)
    before = golden.samples(kind)
    given = kind.operands
    monkeypatch.setattr(kind, "operands", lambda spec, task, seed: given(spec, task, seed + 1))
    for now, then in zip(golden.samples(kind), before, strict=True):
        assert now["operands"] != then["operands"] and now["inventory"] == then["inventory"]


def close(found: Any, expected: Any) -> bool:
    """Equal but for rounding, through mappings and lists."""
    if isinstance(expected, Mapping):
        return found.keys() == expected.keys() and all(close(found[key], expected[key]) for key in expected)
    return bool(np.allclose(found, expected, rtol=1e-9, atol=0.0))


@pytest.mark.parametrize(("family", "number"), CASES)
@pytest.mark.parametrize("name", technology.names())
def test_costs_are_the_recorded_ones(family: str, number: int, name: str) -> None:
    spec, design = case(family, number)
    found = golden.costs(spec, technology.load(name))
    for what, expected in design["costs"][name].items():
        assert close(found[what], expected), what


@pytest.mark.parametrize(("family", "number"), MEASURED)
def test_recorded_costs_agree_with_the_netlist(family: str, number: int) -> None:
    spec, design = case(family, number)
    assert list(golden.disagreements(design, spec)) == []
    assert int(flip_flops(spec.units())) == sum(design["measured"]["flip_flops"].values())


@pytest.fixture(scope="module")
def exported_files() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((golden.FOLDER / "files.json").read_text())
    skips.if_written_by_others(found)
    families: dict[str, Any] = found["families"]
    return families


@pytest.mark.parametrize(
    ("family", "number"),
    [(family, number) for family in FAMILIES for number in range(len(golden.exportable(family)))],
)
def test_exported_files_are_the_recorded_ones(
    family: str, number: int, exported_files: dict[str, Any]
) -> None:
    """What moves a byte on purpose is recorded again; the bytes themselves are checked by simulation."""
    found, expected = golden.exported(golden.exportable(family)[number]), exported_files[family][number]
    assert [name for name in {**found, **expected} if found.get(name) != expected.get(name)] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bench_does_what_is_recorded(family: str) -> None:
    expected = json.loads((golden.FOLDER / "files.json").read_text())["benches"][family]
    assert golden.bench(golden.exportable(family)[-1]) == expected


def test_a_changed_byte_changes_the_hash_of_its_file_only(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, _ = case("systolic", 0)
    before = golden.exported(spec)
    given = golden.write_hardware

    def changed(spec: Spec, out: Path) -> dict[str, Any]:
        manifest = given(spec, out)
        (out / "files.f").write_text((out / "files.f").read_text() + " ")
        return manifest

    monkeypatch.setattr(golden, "write_hardware", changed)
    after = golden.exported(spec)
    assert [name for name in before if before[name] != after[name]] == ["files.f"]


def without(design: dict[str, Any], *path: str) -> dict[str, Any]:
    """A copy of a recorded design in which one number is half of what it was."""
    copy: dict[str, Any] = json.loads(json.dumps(design))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = (
        place[path[-1]] / 2 if not isinstance(place[path[-1]], list) else [v / 2 for v in place[path[-1]]]
    )
    return copy


@pytest.mark.parametrize("family", FAMILIES)
def test_half_of_a_place_disagrees_with_the_netlist(family: str) -> None:
    spec, design = case(family, 0)
    areas = design["measured"]["area_um2"]
    largest = max(areas, key=lambda place: areas[place])
    wrong = without(design, "costs", golden.MEASURED, "area_um2", largest)
    assert any(f"area of {largest} must be" in text for text in golden.disagreements(wrong, spec))
    wrong = without(design, "costs", golden.MEASURED, "critical_path_ps")
    wrong["costs"][golden.MEASURED]["critical_path_ps"] /= 2
    found = list(golden.disagreements(wrong, spec))
    assert any(text.startswith("critical path must be") for text in found)
    wrong = without(design, "measured", "flip_flops", "shell")
    assert any(text.startswith("flip-flops of shell must be") for text in golden.disagreements(wrong, spec))
