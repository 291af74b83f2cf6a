"""The model of glitches: when units settle, what a law makes of it, and what is said where there is none."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.unit import Path, Unit
from blueprint.workloads.data import EVEN
from costmodel.calibration.measuring import operands
from costmodel.model import estimate, evaluate, explain, features, glitches
from costmodel.technology import technology
from costmodel.technology.technology import Technology
from tests.costmodel.built import Parts

VALUES: dict[str, Any] = {"mu": 2, "lut_count": 4, "fetch_count": 4, "act_width": 8, "k_max": 64, "n_max": 16}
SPEC = TernaryLutSpec(**VALUES)
CALIBRATED = technology.load("asap7")
PLAIN = CALIBRATED.with_model(
    {name: group for name, group in CALIBRATED.model.items() if name != glitches.GROUP}
)


def with_law(law: dict[str, Any]) -> Technology:
    """asap7 with coefficients of glitches."""
    return PLAIN.with_model(
        {**PLAIN.model, glitches.GROUP: {"unit": "pJ", "source": "by hand", "value": law}}
    )


def test_a_technology_without_glitches_says_so() -> None:
    found = evaluate.of_design(SPEC, PLAIN)
    assert (found.glitches, found.glitch_energy_pj) == ("not counted", None)
    assert glitches.energies(SPEC, PLAIN) == {}


@pytest.mark.parametrize("name", technology.names())
def test_models_of_netlists_with_delays_count_glitches(name: str) -> None:
    known = technology.load(name)
    counted = operands(known.recipe or "") != EVEN
    assert evaluate.of_design(SPEC, known).glitches == ("counted" if counted else "not counted")
    assert bool(glitches.energies(SPEC, known)) is counted


def test_energy_of_glitches_is_on_top_and_by_place() -> None:
    tech = with_law(
        {"any": {"compressor": {"late": 2.0}}, "lane": {"compressor": {"inside": 0.5, "late": 1.0}}}
    )
    late = glitches.arrivals(SPEC, tech)
    expected: dict[str, float] = {}
    for unit in SPEC.units():
        if unit.kind == "compressor":
            settled = float(glitches.arrival(late, unit))
            share = 0.5 + settled if unit.place == "lane" else 2.0 * settled
            known = estimate.coefficients(estimate.law(tech, "energy"), unit)["width"] * unit.dims["width"]
            more = share * float(unit.count * unit.activity * known)
            expected[unit.place] = expected.get(unit.place, 0.0) + more
    assert expected["lane"] > 0
    before, found = evaluate.of_design(SPEC, PLAIN), evaluate.of_design(SPEC, tech)
    assert (found.glitches, found.glitch_energy_pj) == ("counted", pytest.approx(sum(expected.values())))
    assert found.energy_pj == pytest.approx(before.energy_pj + sum(expected.values()))
    lines = explain.energy(SPEC, tech, 1e-6 / found.clock_mhz)
    assert explain.total(lines) == pytest.approx(found.energy_pj, rel=1e-9)
    assert sum(line.amount for line in lines if line.what.endswith(", glitches")) == (
        pytest.approx(found.glitch_energy_pj)
    )
    for place, energy in found.cycle_energy_breakdown_pj.items():
        total = before.cycle_energy_breakdown_pj[place] + expected.get(place, 0.0)
        assert energy == pytest.approx(total)


def test_columns_have_the_glitches_of_their_designs() -> None:
    tech = with_law({"any": {kind: {"inside": 0.1, "late": 0.2} for kind in features.ENERGY}})
    designs = [{**VALUES, "mu": mu, "fetch_count": fetch} for mu in (1, 3, 5) for fetch in (1, 8)]
    columns = TernaryLutSpec.columns({key: np.array([row[key] for row in designs]) for key in VALUES})
    alone = [evaluate.of_design(TernaryLutSpec(**row), tech).glitch_energy_pj for row in designs]
    cost = glitches.cost(columns, tech)
    assert np.broadcast_to(cost.glitch_pj, len(alone)) == pytest.approx(alone)
    plain = estimate.cost(columns, tech)
    assert cost.switching_pj - plain.switching_pj == pytest.approx(cost.glitch_pj)
    assert cost.clock_pj is not None and np.array_equal(cost.path_ps, plain.path_ps)


def step(place: str, kind: str, count: int = 1, **dims: int) -> Unit:
    return Unit(kind, place, count, dims)


def test_a_unit_settles_when_the_steps_up_to_it_have_passed() -> None:
    delays = {"start": 20.0, "value": {"any": {"adder": {"width": 10.0}, "compressor": {"one": 30.0}}}}
    tech = PLAIN.with_model({"delay": delays})
    adder = step("a", "adder", width=8)
    steps = (adder, step("b", "compressor", width=8), step("b", "xor_row", count=0, width=8))
    late = glitches.arrivals(Parts((Path("long", steps), Path("short", (steps[1],)))), tech)
    assert late == pytest.approx({("a", "adder"): 0.08, ("b", "compressor"): 0.11, ("b", "xor_row"): 0.0})
    assert glitches.arrival(late, step("b", "and_row", width=1)) == pytest.approx(
        0.11
    )  # named by no path: its place
    assert glitches.arrival(late, step("c", "adder", width=8)) == 0.0


def test_clocks_never_glitch() -> None:
    unit = step("a", "register", width=8, enable=0, reset=0)
    law = {"any": {"register": {"width": 0.25, features.CLOCK: 9.0}}}
    tech = PLAIN.with_model({"energy": {"value": law}})
    assert glitches.useful(unit, estimate.law(tech, "energy")) == 2.0
    assert glitches.terms(unit, 0.5, 2.0) == {"inside": 2.0, "late": 1.0}
    assert features.CLOCK in features.ENERGY["register"]


def test_registers_inside_adders_shorten_the_way_of_glitches() -> None:
    """The same law for a float core whose adders are cut by registers gives less energy of glitches."""
    tech = with_law({"any": {"float_adder": {"late": 0.5}}})
    values = VALUES | {"activation": "bf16", "act_width": 16, "reduction": "adder_tree"}
    whole, cut = (TernaryLutSpec(**values, adder_stages=stages) for stages in (0, 4))
    assert glitches.cost(cut, tech).glitch_pj < glitches.cost(whole, tech).glitch_pj
    assert dataclasses.replace(whole, adder_stages=4) == cut
