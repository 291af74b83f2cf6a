"""``ternforge synth`` of a system: parts of its netlist, what is said of them and refused; flip-flops around units.

Synthesis itself is not run here: ``python -m benchmarks.decoder_synthesis`` does that for whole decoders.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from blueprint.errors import ParamError
from blueprint.systems import control, inventory
from blueprint.systems.control import Hardware
from blueprint.systems.description import Buffers, Host
from blueprint.systems.reader import read_system
from blueprint.unit import flip_flops
from costmodel.groundtruth import synthesis
from costmodel.groundtruth.synthesis import Mapped
from costmodel.systems import estimate, synthesized
from costmodel.systems.synthesized import AROUND
from costmodel.technology import technology
from costmodel.technology.macros import TWO
from generator.block import Block
from generator.emission import Emitted, emit
from generator.systems import core
from generator.systems.top import SystemTop
from ternforge import synth, synthesizing
from ternforge.cli import run
from ternforge.verbs.synth import lines
from tests.systems import small
from toolchain import files, yosys

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = ROOT / "benchmarks" / "decoders" / "tables.yaml"
ASAP7 = technology.load("asap7")
FLIP_FLOP = str(ASAP7.roles.flip_flop.cell) if ASAP7.roles.flip_flop else ""
GATE = str(ASAP7.roles.gates["buffer"])


# Flip-flops around units, without synthesis and without the units -----------------------------------------------------


class Hollow(Block):
    """The ports of a unit, and nothing in it."""

    place = "unit"

    def __init__(self, spec: Any) -> None:
        top = unit_top(spec)
        super().__init__(top.module_name, dict(top.ports), clocked=False)

    def elaborate(self, platform: Any) -> Any:
        return self.module()


unit_top = core.unit_top


@pytest.fixture
def hollow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "unit_top", Hollow)


ODD: dict[str, Any] = {
    "blocks and a packed cache": lambda: replace(
        small.hardware("array", width=64, embedding=8, attention=small.attention(kv_width=4)), block=3
    ),
    "floats of two formats": lambda: small.hardware(
        "dots",
        width=128,
        vector=small.vector(format="fp32", lanes=2),
        attention=small.attention(format="fp16", acc_format="fixed"),
    ),
    "small buffers": lambda: small.hardware("keys", Buffers(weights=64, cache=64, activations=4096)),
    "units for the head and for prompts": lambda: replace(
        small.hardware("dots", head=small.product("tables", n_max=64), prefill=small.product("array")),
        block=3,
    ),
    "a unit for the head": lambda: small.hardware("dots", head=small.product("tables", n_max=64)),
    "one unit": lambda: control.built("one", {"matrix": small.product("tables")}, width=64, burst=2),
}


def by_place(emitted: Emitted) -> Counter[str]:
    """Flip-flops of the Verilog by place, of all instances; memories are left out."""
    logic = [text for name, text in emitted.modules.items() if name not in emitted.blackboxes]
    script = f"read_verilog -sv design.v\nhierarchy -top {emitted.top}\nproc -noopt\nwrite_json design.json"
    with files.scratch("ternforge-around-") as folder:
        (folder / "design.v").write_text("\n".join([*logic, *emitted.stubs.values()]))
        yosys.run(script, cwd=folder, timeout_s=120)
        modules = json.loads((folder / "design.json").read_text())["modules"]
    found: Counter[str] = Counter()
    for name, module in modules.items():
        bits = sum(
            len(cell["connections"]["Q"]) for cell in module["cells"].values() if "dff" in cell["type"]
        )
        found[emitted.places[name]] += bits * emitted.instances[name]
    return +found


def predicted(hardware: Hardware) -> Counter[str]:
    """Flip-flops of the inventory by place."""
    found: Counter[str] = Counter()
    for unit in inventory.around(hardware):
        found[unit.place] += int(unit.flip_flops)
    return +found


@pytest.mark.parametrize("name", ODD)
def test_flip_flops_around_units_are_those_of_the_rtl_place_by_place(name: str, hollow: None) -> None:
    hardware = ODD[name]()
    assert by_place(emit(SystemTop(hardware))) == predicted(hardware)


def test_a_register_that_is_not_counted_is_noticed(hollow: None, monkeypatch: pytest.MonkeyPatch) -> None:
    hardware = ODD["one unit"]()
    counted = inventory.drain
    monkeypatch.setattr(inventory, "drain", lambda dma: counted(dma) | {"opened": 0})
    found, expected = by_place(emit(SystemTop(hardware))), predicted(hardware)
    assert found - expected == {"staging": 1} and not expected - found


def test_all_flip_flops_are_those_around_units_and_those_of_units() -> None:
    hardware = small.hardware()
    units = sum(int(flip_flops(spec.units())) for spec in hardware.units.values())
    assert flip_flops(inventory.units(hardware)) == units + flip_flops(inventory.around(hardware))


# Parts of a netlist ---------------------------------------------------------------------------------------------------


def cells(**kinds: int) -> dict[str, Any]:
    """A module that is nothing but cells."""
    found = {
        f"{kind}{n}": {"type": kind, "connections": {}} for kind, count in kinds.items() for n in range(count)
    }
    return {"ports": {}, "cells": found}


#: A top with a mover twice, a unit with a lane twice, and memories on both sides and in the lanes.
NETLISTS = {
    "top": cells(mover=2, core=1, **{GATE: 1}),
    "mover": cells(**{FLIP_FLOP: 3}),
    "core": cells(unit=1, memory_16x8=1),
    "unit": cells(lane=2, **{FLIP_FLOP: 1, "memory_4x8": 3}),
    "lane": cells(memory_4x8=1, **{FLIP_FLOP: 5, GATE: 2}),
}
MANIFEST = {
    "units": {"matrix": {"module": "unit"}},
    "modules": {name: {"place": name} for name in NETLISTS},
    "files": list(NETLISTS),
}


class Netlist(Mapped):
    """A netlist whose memories are known by name alone."""

    @property
    def memories(self) -> dict[str, tuple[int, int, str]]:
        return {"memory_16x8": (16, 8, TWO), "memory_4x8": (4, 8, TWO)}


def mapped(**changed: Any) -> Mapped:
    return Netlist("top", {}, NETLISTS | changed, ASAP7, "buffered/1", None, None, "no wires", {})  # type: ignore[arg-type]


def test_cells_and_memories_of_all_instances_belong_to_the_unit_that_holds_them() -> None:
    gate, bit = ASAP7.cells[GATE].area, ASAP7.cells[FLIP_FLOP].area
    parts = synthesized.measured(mapped(), MANIFEST)
    assert {name: part.flip_flops for name, part in parts.items()} == {"matrix": 11, AROUND: 6}
    assert parts["matrix"].places == pytest.approx({"unit": bit, "lane": 10 * bit + 4 * gate})
    assert parts[AROUND].places == pytest.approx({"top": gate, "mover": 6 * bit, "core": 0})
    one, three = (float(ASAP7.sram.area_um2(words, 8, TWO)) for words in (16, 4))
    assert parts[AROUND].memory_area_um2 == pytest.approx(one)
    assert parts["matrix"].memory_area_um2 == pytest.approx((3 + 2) * three)
    whole = synthesized.whole(parts.values())
    assert whole.area_um2 == pytest.approx(17 * bit + 5 * gate + one + (3 + 2) * three)


def test_units_that_are_the_same_module_have_one_instance_each() -> None:
    both = MANIFEST | {"units": {name: {"module": "unit"} for name in ("matrix", "head")}}
    parts = synthesized.measured(mapped(core=cells(unit=2, memory_16x8=1)), both)
    assert {name: part.flip_flops for name, part in parts.items()} == {"matrix": 11, "head": 11, AROUND: 6}
    assert parts["matrix"] == parts["head"]


def test_a_unit_that_the_manifest_does_not_name_counts_around() -> None:
    parts = synthesized.measured(mapped(), MANIFEST | {"units": {}})
    assert list(parts) == [AROUND] and parts[AROUND].flip_flops == 17


def test_predicted_parts_are_the_area_that_estimate_says() -> None:
    for name in ("tables", "array", "floats"):
        system = read_system(SYSTEM.with_name(f"{name}.yaml"))
        parts = synthesized.predicted(control.hardware(system), ASAP7)
        costs = estimate.costs(system, ASAP7)
        assert synthesized.whole(parts.values()).area_um2 == pytest.approx(costs.area_um2)
        slowest = max(part.path_ps for part in parts.values())
        assert 1e6 / slowest == pytest.approx(costs.fastest_mhz)


# What is said, and what is refused ------------------------------------------------------------------------------------


@pytest.fixture
def synthesized_system(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    """The preset's answer with a netlist of a few cells in the place of its own."""
    measured = synthesis.Synthesis(
        "top",
        "asap7",
        0.0,
        0.0,
        0.0,
        0.0,
        0,
        5000.0,
        (),
        {},
        {},
        {},
        recipe=str(ASAP7.recipe),
        wires="no wires",
    )
    monkeypatch.setattr(synthesizing, "mapped", lambda *_, **__: (MANIFEST, mapped(), measured))
    monkeypatch.setattr(synthesizing, "read", lambda *_: (read_system(SYSTEM), _alone(), ASAP7))
    return synth(SYSTEM)


def _alone() -> Hardware:
    return control.built("alone", {"matrix": small.product("tables")}, width=32, burst=8)


def test_the_answer_has_both_sides_of_every_part(synthesized_system: Mapping[str, Any]) -> None:
    answer = synthesized_system
    assert set(answer["parts"]) == {"matrix", AROUND} and answer["flip_flops"] == 17
    part = answer["parts"]["matrix"]
    assert part["predicted"]["flip_flops"] == int(flip_flops(_alone().units["matrix"].units()))
    assert answer["predicted"]["flip_flops"] == int(flip_flops(inventory.units(_alone())))
    for side, source in (("measured", "synthesized"), ("predicted", "analytic")):
        assert set(answer["figures"][side]) == set(answer["predicted"])
        assert {figure["source"] for figure in answer["figures"][side].values()} == {source}
    assert answer["critical_path_ps"] == 5000 and answer["clock_mhz"] == pytest.approx(200)
    assert answer["unpredicted"] is None and answer["predicted_recipe"] == answer["recipe"]
    assert answer["predicted"]["area_um2"] == pytest.approx(
        answer["predicted"]["logic_area_um2"] + answer["predicted"]["memory_area_um2"]
    )


def test_the_text_has_a_line_for_every_part_and_says_where_the_clock_is_from(
    synthesized_system: Mapping[str, Any],
) -> None:
    text = lines(synthesized_system)
    assert text[0] == "tables in asap7 (Yosys and ABC, cells of technology asap7)"
    assert [line.split("  ")[0] for line in text[2:5]] == ["matrix", "around units", "sum"]
    assert text[5].startswith("critical path 5,000 ps, 200 MHz; predicted ") and ", of " in text[5]


def test_without_a_prediction_the_text_says_why(synthesized_system: Mapping[str, Any]) -> None:
    parts = {name: dict(part) | {"predicted": None} for name, part in synthesized_system["parts"].items()}
    answer = dict(synthesized_system) | {"predicted": None, "parts": parts, "unpredicted": "it is so"}
    text = lines(answer)
    assert text[-1] == "no prediction: it is so" and "predicted" not in " ".join(text[1:-1])


REFUSED = {
    "energy": (["--energy"], "energy must be given for a design, not for a system"),
    "parameters": (["--set", "mu=2"], "overrides (--set) must be given for a design, not for a system"),
    "a period": (["--period", "0"], "Period must be above 0 ps and finite, not 0"),
    "a recipe": (
        ["--recipe", "area/5"],
        "Recipe must be one of area/4, buffered/1, gated/1, not 'area/5'; did you mean 'area/4'?",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_system_cannot_be_asked_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, message = REFUSED[name]
    assert run(["synth", str(SYSTEM), *words]) == 2
    assert capsys.readouterr().err.strip() == message


def test_a_system_without_hardware_of_its_own_is_refused_before_anything_is_written() -> None:
    system = read_system(SYSTEM)
    units = {name: unit for name, unit in system.units.items() if name != "vector"}
    host = Host(("elements", "positions", "sampling", "head"), "assumed", elements_per_s=1e9)
    told = "Work elements must be run by a unit for hardware of a whole system, not by the host"
    with pytest.raises(ParamError, match=f"^{re.escape(told)}$"):
        synth(replace(system, units=units, host=host))
