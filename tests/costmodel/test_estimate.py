"""Estimates: the same for one design and for many, complete, and refused where nothing was calibrated."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from blueprint import registry
from blueprint.errors import ParamError
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.numbers import Number
from blueprint.spec import Spec
from blueprint.unit import KINDS, Path, Unit
from blueprint.workloads.tasks import parse_gemm
from blueprint.workloads.workload import of_gemm
from costmodel.calibration import sampling
from costmodel.model import breakdown, estimate, evaluate, explain, features, glitches
from costmodel.model.work import Asked, Dram
from costmodel.technology import technology
from tests import records
from tests.costmodel.built import Parts

KIND = registry.get("ternary_lut")
DESIGNS = sampling.designs(KIND, 40, 11)
TECHNOLOGIES = technology.names()


def _columns(specs: tuple[Spec, ...]) -> Spec:
    return KIND.columns({name: np.array([s.parameters[name] for s in specs]) for name in KIND.limits()})


def _design(**changes: object) -> TernaryLutSpec:
    values = {"mu": 2, "lut_count": 4, "fetch_count": 4, "act_width": 8, "k_max": 256, "n_max": 64}
    return TernaryLutSpec(**(values | changes))


@pytest.mark.parametrize("name", TECHNOLOGIES)
def test_columns_equal_single_designs(name: str) -> None:
    tech, many = technology.load(name), _columns(DESIGNS)

    def energies(designs: TernaryLutSpec) -> dict[str, Number]:
        parts = estimate.energies_by_place(designs.units(), tech)
        return {place: clocks + 0.5 * switching for place, (clocks, switching) in parts.items()}

    areas, moved = estimate.area(many.units(), tech), energies(many)
    delays = np.broadcast_to(estimate.delay(many, tech), len(DESIGNS))
    for row, spec in enumerate(DESIGNS):
        for found, alone in (
            (areas, estimate.area(spec.units(), tech)),
            (moved, energies(spec)),
        ):
            assert found.keys() == alone.keys()
            for place, value in alone.items():
                assert np.broadcast_to(found[place], len(DESIGNS))[row] == pytest.approx(
                    float(value), rel=1e-12
                )
        assert delays[row] == pytest.approx(float(estimate.delay(spec, tech)), rel=1e-12)


@pytest.mark.parametrize("name", TECHNOLOGIES)
@pytest.mark.parametrize("parameter", ["act_width", "lut_count", "fetch_count", "mu", "token_lanes"])
def test_more_hardware_costs_more(name: str, parameter: str) -> None:
    tech = technology.load(name)
    small = evaluate.of_design(_design(), tech)
    large = evaluate.of_design(_design(**{parameter: getattr(_design(), parameter) + 1}), tech)
    assert large.area_um2 > small.area_um2
    assert large.energy_pj > small.energy_pj


def test_registers_between_stages_shorten_the_critical_path() -> None:
    tech = technology.load("asap7")
    plain, cut = (
        _design(mu=4),
        _design(mu=4, build_register=True, fetch_register=True, reduction_register=True),
    )
    assert estimate.delay(cut, tech) < estimate.delay(plain, tech)


def test_an_estimate_on_a_workload_is_what_its_cycles_cost() -> None:
    tech, design = technology.load("asap7"), _design()
    asked = Asked(of_gemm(parse_gemm("2x256x64")))
    estimator = evaluate.Estimator.of(TernaryLutSpec, evaluate.TechnologyCosts(tech), asked)
    row, alone = estimator.row(design), evaluate.of_design(design, tech)
    assert estimator.work.macs == 2 * 256 * 64
    assert 0 < row["utilization"] <= 1
    busy = row["cycles"] * row["utilization"]
    clocks, switching = estimate.energy_parts(design.units(), tech)
    switching += sum(glitches.energies(design, tech).values())
    leakage = estimate.leakage(design.units(), tech) * 1e3  # pJ in a second
    period = row["critical_path_ps"] * 1e-12
    energy = clocks * row["cycles"] + switching * busy + leakage * row["cycles"] * period
    assert 2 * row["core_energy_pj_per_row"] == pytest.approx(energy, rel=1e-12)
    assert 2 / row["rows_per_second"] == pytest.approx(row["cycles"] * period, rel=1e-12)
    assert alone.energy_pj == pytest.approx(clocks + switching + leakage * period, rel=1e-12)
    assert leakage > 0


@pytest.mark.parametrize("clock", [None, 10.0, 1e6])
def test_the_parts_of_an_estimate_add_up_at_any_clock(clock: float | None) -> None:
    tech = technology.load("asap7")
    found = evaluate.of_design(_design(n_max=4096), tech, clock)
    assert found.area_um2 == pytest.approx(sum(found.area_breakdown_um2.values()), rel=1e-12)
    assert found.energy_pj == pytest.approx(sum(found.cycle_energy_breakdown_pj.values()), rel=1e-12)
    assert found.clock_mhz == (clock or 1e6 / found.critical_path_ps)
    assert found.meets_clock is (clock != 1e6)


def test_an_estimate_of_one_design_is_its_row_among_many() -> None:
    """One formula: of one spec, of columns of one design and of columns of forty."""
    tech = technology.load("asap7")
    asked = Asked(of_gemm(parse_gemm("1x2x2")), Dram(0.1, 2.0, "made up"))
    estimator = evaluate.Estimator.of(KIND, evaluate.TechnologyCosts(tech), asked)
    many = estimator.metrics(_columns(DESIGNS))
    for place, spec in enumerate(DESIGNS):
        row, alone = estimator.row(spec), evaluate.of_design(spec, tech)
        single = estimator.metrics(spec)
        assert row.keys() == many.keys() == single.keys()
        for name, values in many.items():
            value = np.broadcast_to(values, len(DESIGNS))[place]
            assert (value, float(single[name])) == pytest.approx((row[name], row[name]), rel=1e-12), name
        for name in ("area_um2", "flip_flops", "critical_path_ps", "clock_mhz", "peak_macs"):
            assert getattr(alone, name) == pytest.approx(row[name], rel=1e-12), name


def test_an_estimate_of_work_of_another_kind_is_refused() -> None:
    costs = evaluate.TechnologyCosts(technology.load("asap7"))
    asked = Asked(of_gemm(parse_gemm("1x2x2")))
    with pytest.raises(ParamError, match="^Family streaming_attention runs attention, not gemm of 1x2x2$"):
        evaluate.Estimator.of(registry.get("streaming_attention"), costs, asked)


def test_memory_macros_stand_apart() -> None:
    found = evaluate.of_design(_design(n_max=4096), technology.load("asap7"))
    assert found.macro_area_um2 == pytest.approx(found.area_breakdown_um2["memory"])
    assert found.macro_area_um2 > 0
    assert evaluate.of_design(_design(n_max=4), technology.load("asap7")).macro_area_um2 == 0


def test_cells_leak_and_macros_do_not() -> None:
    tech = technology.load("asap7")
    large = _design(n_max=4096)
    found = estimate.cost(large, tech)
    macros = float(estimate.macro_area(large.units(), tech))
    cells = sum(float(area) for area in found.areas.values()) - macros
    assert macros > 0
    assert found.leakage_nw == pytest.approx(cells * float(tech.model["leakage"]["value"]))
    assert found.leakage_nw == pytest.approx(float(estimate.leakage(large.units(), tech)))


def test_every_kind_of_unit_has_terms_that_count_its_instances() -> None:
    for kind, dims in ((name, kind.dims) for name, kind in KINDS.items()):
        for table in (features.AREA, features.ENERGY):
            one = features.terms(Unit(kind, "x", 1, dict.fromkeys(dims, 4)), table)
            three = features.terms(Unit(kind, "x", 3, dict.fromkeys(dims, 4)), table)
            assert three == {name: 3 * value for name, value in one.items()}


def test_adders_in_series_ripple_once() -> None:
    tech = technology.load("asap7")
    one = Unit("adder", "lane", 1, {"width": 16})
    single, double = (estimate.steps(Path("p", (one,) * count), tech) for count in (1, 2))
    assert single < double < 2 * single


def test_units_that_no_design_has_are_passed_over() -> None:
    tech = technology.load("asap7")
    real = Unit("adder", "lane", np.array([1, 2]), {"width": np.array([8, 16])})
    none = Unit(
        "adder", "none", np.array([0, 0]), {"width": np.array([np.inf, 8])}
    )  # 0 x inf would be no number
    areas = estimate.area((none, real), tech)
    assert areas["none"] == 0.0 and np.array_equal(areas["lane"], estimate.area((real,), tech)["lane"])
    assert estimate.energies_by_place((none,), tech) == {"none": (0.0, 0.0)}
    walk = estimate.walked(Parts((Path("p", (real, none)),)), tech)[0]
    assert np.array_equal(walk[0], walk[1]) and np.array_equal(
        walk[0], estimate.steps(Path("p", (real,)), tech)
    )
    assert estimate.steps(Path("p", ()), tech) == 0.0


def test_uncalibrated_technology_is_refused() -> None:
    bare = dataclasses.replace(technology.load("asap7"), model={}, path="lib.yaml")
    message = (
        "^Technology asap7 must be calibrated before its area is estimated; run ternforge tech calibrate "
    )
    with pytest.raises(ParamError, match=message + r"lib.yaml \(about 15 minutes on two cores\)$"):
        estimate.area(_design().units(), bare)
    with pytest.raises(ParamError, match="before its energy is estimated"):
        estimate.energy_parts(_design().units(), bare)
    with pytest.raises(ParamError, match="before its delay is estimated"):
        estimate.delay(_design(), bare)


def test_technology_calibrated_by_another_version_is_refused() -> None:
    known = technology.load("asap7")
    area = {**known.model["area"], "value": {"any": {"select": {"bits": 1.0, "inputs": 0.5}}}}
    old = dataclasses.replace(known, model={**known.model, "area": area}, path="lib.yaml")
    message = (
        "^Technology asap7 must be calibrated by this version, not by one whose area has 'inputs' of select; "
        r"run ternforge tech calibrate lib.yaml \(about 15 minutes on two cores\)$"
    )
    with pytest.raises(ParamError, match=message):
        estimate.area(_design().units(), old)


def test_unknown_place_costs_what_its_kinds_cost_anywhere() -> None:
    tech = technology.load("asap7")
    unit = Unit("register", "elsewhere", 8, {"width": 16, "enable": 1, "reset": 0})
    cost = estimate.area((unit,), tech)["elsewhere"]
    same = estimate.area((dataclasses.replace(unit, place="tile"),), tech)["tile"]
    assert cost == pytest.approx(same, rel=0.2)


def test_too_small_a_limit_leaves_no_designs_to_draw() -> None:
    with pytest.raises(ParamError, match="^Calibration must find 5 designs of at most 10 gates, not 0$"):
        sampling.designs(KIND, 5, 0, largest=10)


def test_same_seed_draws_the_same_designs() -> None:
    assert sampling.designs(KIND, 3, 11) == DESIGNS[:3]
    assert sampling.designs(KIND, 3, 12) != DESIGNS[:3]
    assert len({spec.design_hash for spec in DESIGNS}) == len(DESIGNS)


def test_records_of_estimates_do_not_change() -> None:
    """Of a design with all that an estimate, its parts and their reasons are made of."""
    asked = Asked(of_gemm(parse_gemm("1x64x64")), Dram(10.0, 4.0, "made up"))
    design, tech = _design(), technology.load("asap7")
    costs = evaluate.TechnologyCosts(tech)
    estimator = evaluate.Estimator.of(KIND, costs, asked)
    assert sum(breakdown.of(estimator, design, 100.0).areas.values()) > 0
    assert explain.total(explain.area(design, tech)) > 0 and explain.clock(design, tech)[1]
    drafts = {"Group", "Module", "_Draft", "_Net", "_Node", "_Port", "_Sum"}
    assert records.changeable("costmodel") == drafts
