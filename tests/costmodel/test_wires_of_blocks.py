"""Wires that depend on the area of a block make its paths longer."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.unit import Path, Unit
from costmodel.calibration import path_fit
from costmodel.model import estimate, evaluate, explain, glitches, wires
from costmodel.technology import technology
from costmodel.technology.technology import Technology
from costmodel.technology.wire_loads import WireLoad, Wires
from tests.costmodel.built import Parts

#: A connection has 2, 6 and 30 fF; no area selects the last model.
LOADS = tuple(
    WireLoad(name, 0.5, 0.0, 1.0, ((1, 1.0), (2, length)))
    for name, length in (("none", 0.0), ("small", 8.0), ("large", 24.0), ("other", 120.0))
)
BY_AREA = Wires(LOADS, "small", ((0.0, 1000.0, "small"), (1000.0, 5000.0, "large")))
SMALL, LARGE = math.log1p(1.0), math.log1p(3.0)
PLAIN = technology.load("asap7")
MODEL: dict[str, Any] = {
    "area": {"value": {"any": {"adder": {"width": 10.0}}}},
    "delay": {"start": 40.0, "value": {"any": {"adder": {"width": 2.0, "one": 10.0}}}, "wires": 0.5},
}


def with_wires(known: Wires | None, weight: float | None = 0.5) -> Technology:
    model = {name: dict(group) for name, group in MODEL.items()}
    model["delay"]["wires"] = weight
    if weight is None:
        del model["delay"]["wires"]
    return dataclasses.replace(PLAIN, wires=known, model=model)


def adder(width: int) -> Parts:
    unit = Unit("adder", "a", 1, {"width": width})
    return Parts((Path("sum", (unit,)),), (unit,))


@pytest.mark.parametrize(
    ("area", "load"),
    [
        (0.0, SMALL),
        (999.0, SMALL),
        (1000.0, (2 * SMALL + LARGE) / 3),
        (1060.0, (SMALL + 2 * LARGE) / 3),
        (1112.0, LARGE),
        (4999.0, LARGE),
        (9000.0, LARGE),
    ],
)
def test_a_block_has_the_wires_of_its_area_or_those_of_a_block_without_its_buffers(
    area: float, load: float
) -> None:
    assert wires.load(with_wires(BY_AREA), area) == pytest.approx(load)
    both = wires.load(with_wires(BY_AREA), np.array([area, 500.0]))
    assert np.asarray(both) == pytest.approx([load, SMALL])


def test_wires_that_are_alike_in_all_blocks_are_in_the_coefficients() -> None:
    alike = Wires(LOADS, "small", ((0.0, 1000.0, "small"), (1000.0, 5000.0, "small")))
    for known in (None, Wires(LOADS, "small"), alike, Wires(LOADS, "none", ((0.0, 9.0, "none"),))):
        assert wires.load(with_wires(known), 3000.0) == 0.0
        assert wires.factor(with_wires(known), 3000.0) == 1.0
    assert wires.factor(with_wires(BY_AREA, None), 3000.0) == 1.0
    assert wires.factor(with_wires(BY_AREA), 3000.0) == pytest.approx(1 + 0.5 * LARGE)


def test_steps_take_longer_in_a_larger_block_but_not_the_start() -> None:
    tech = with_wires(BY_AREA)
    assert estimate.delay(adder(20), tech) == pytest.approx(40 + (10 + 2 * 20) * (1 + 0.5 * SMALL))
    assert estimate.delay(adder(200), tech) == pytest.approx(40 + (10 + 2 * 200) * (1 + 0.5 * LARGE))
    assert estimate.delay(adder(200), with_wires(BY_AREA, None)) == 40 + 10 + 2 * 200
    steps = estimate.steps(adder(200).ways[0], tech, 3.0)
    assert steps == 3 * (10 + 2 * 200)
    late = glitches.arrivals(adder(200), tech)
    assert late["a", "adder"] == pytest.approx(0.41 * (1 + 0.5 * LARGE))


def test_accesses_of_memories_take_as_long_as_before() -> None:
    memory = Unit("sram", "memory", 1, {"words": 64, "width": 16})
    large = Unit("adder", "a", 1, {"width": 300})
    alone = Parts((Path("load", (memory,)),), (large, memory))
    access = float(PLAIN.sram.access_ps(words=64, width=16, ports="two_port"))
    assert estimate.delay(alone, with_wires(BY_AREA)) == pytest.approx(40 + access)


def packaged(weight: float | None) -> Technology:
    model = {name: dict(group) for name, group in PLAIN.model.items()}
    if weight is not None:
        model["delay"]["wires"] = weight
    return dataclasses.replace(PLAIN, wires=BY_AREA, model=model)


SIZE = {"k_max": 64, "n_max": 64, "m_max": 8}


def test_every_answer_about_a_design_has_the_same_wires() -> None:
    spec = TernaryLutSpec(mu=2, lut_count=8, fetch_count=16, act_width=8, **SIZE)
    tech, without = packaged(0.75), packaged(None)
    area = sum(estimate.cell_areas(spec.units(), tech).values())
    longer = 1 + 0.75 * float(wires.load(tech, area))
    assert longer > 1.5
    start = float(tech.model["delay"]["start"])
    found = evaluate.of_design(spec, tech)
    paths, plain = (evaluate.TechnologyCosts(one).paths(spec) for one in (tech, without))
    assert found.critical_path_ps == pytest.approx(max(paths.values()))
    logic = [name for name in paths if "memory" not in name and name != "load"]
    assert logic
    name = max(logic, key=lambda one: plain[one])
    assert paths[name] - start == pytest.approx(longer * (plain[name] - start))
    named, lines = explain.clock(spec, tech)
    assert explain.total(lines) == pytest.approx(found.critical_path_ps)
    assert lines[-1].what == "wires of a block of this area, once" and named in paths
    assert "wires" not in explain.clock(spec, without)[1][-1].what


def test_the_weight_of_wires_is_found() -> None:
    designs = [
        TernaryLutSpec(mu=mu, lut_count=tables, fetch_count=columns, act_width=width, **SIZE)
        for mu in (2, 3)
        for tables, columns in ((1, 1), (2, 8), (4, 2), (8, 4))
        for width in (4, 8)
    ]
    loads = [0.7 if number % 2 else 2.0 for number in range(len(designs))]
    samples = []
    for spec, load in zip(designs, loads, strict=True):
        slowest = max(
            sum(
                7.0 * (1 + 2.0 * load) * path_fit._GUESS.get(name[1:], 1.0) * value
                for name, value in path_fit.path_terms(path).items()
                if name[1] != path_fit.START
            )
            + path_fit._memory_ps(path, PLAIN.sram)
            + 40
            for path in spec.paths()
        )
        samples.append(SimpleNamespace(spec=spec, critical_path_ps=slowest, places_ps={}))
    law = path_fit.fit_delay(samples, PLAIN.sram, loads)
    assert law["wires"] == 2.0 and law["error"]["mean"] < 0.01
    blind = path_fit.fit_delay(samples, PLAIN.sram)
    assert "wires" not in blind and blind["error"]["mean"] > 0.1
    assert "wires" not in path_fit.fit_delay(samples, PLAIN.sram, [0.0] * len(samples))
