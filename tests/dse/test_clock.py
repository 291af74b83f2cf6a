"""A space asks for clocks: each design once for each, with its numbers at that clock, or the path that is too long."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from blueprint.errors import SpecError
from blueprint.files.document import read_text
from costmodel.model.evaluate import TechnologyCosts
from costmodel.model.metrics import METRICS
from costmodel.technology import technology
from dse.batch import Batch
from dse.explore import apply_point, run
from dse.families import design_problem
from dse.problem import Problem
from dse.searches.coding import Coding
from dse.space_file import space_content, space_from
from ternforge.verbs.estimate import estimate
from tests.dse.coefficients import costs

SPACE = """\
schema: ternforge/space/v1
family: [ternary_lut, systolic]
parameters:
  act_width: 8
  k_max: 256
  n_max: 256
  ternary_lut: {{mu: [2, 3], lut_count: [4, 8], fetch_count: 8}}
  systolic: {{organization: weight_stationary, pe: ternary, weight_width: 2, rows: [4, 8], cols: 4}}
workload: {{gemm: {{m: 2, k: 64, n: 64}}}}
technology: asap7
{clock}objectives: {{area_efficiency: max, {goal}: max}}
"""
CLOCKS = (200, 400.5, 700)


def problem(
    clock: str = "", *, goal: str = "energy_efficiency", more: str = "", real: bool = False
) -> Problem:
    line = f"clock_mhz: {clock}\n" if clock else ""
    space = space_from(read_text(SPACE.format(clock=line, goal=goal) + more, "space.yaml"))
    return design_problem(space, TechnologyCosts(technology.load("asap7")) if real else costs, {})


def everything(made: Problem) -> Batch:
    return made.evaluate(np.arange(made.space.size))


def test_every_design_stands_once_for_each_clock() -> None:
    free, asked = problem(), problem("[200, 400.5, 700]")
    assert asked.space.size == 3 * free.space.size == 18
    found = everything(asked)
    assert found.column("clock_mhz").tolist() == list(CLOCKS) * 6
    for place in range(18):
        assert asked.space.design(place) == free.space.design(place // 3)


def test_numbers_are_those_at_the_clock() -> None:
    """Time of a core that never waits for memory falls with the clock; energy of its switching does not change."""
    free, found = everything(problem(real=True)), everything(problem("[200, 400.5, 700]", real=True))
    for place, clock in enumerate(np.tile(CLOCKS, 6)):
        one, fast = found.pick(np.array([place])), free.pick(np.array([place // 3]))
        times = clock / fast.column("clock_mhz")
        for name in ("rows_per_second", "area_efficiency"):
            assert one.column(name) == pytest.approx(fast.column(name) * times, rel=1e-12)
        for name in ("area_um2", "cycles", "critical_path_ps", "utilization"):
            assert one.column(name) == pytest.approx(fast.column(name), rel=1e-12)
        assert one.column("clock_margin") == pytest.approx(1 / times, rel=1e-12)
        longer = one.column("core_energy_pj_per_row") > fast.column("core_energy_pj_per_row")
        assert longer == (times < 1)  # leakage of a longer time


def test_efficiencies_are_operations_per_area_and_energy() -> None:
    found = everything(problem("300", real=True))
    operations = 2 * 64 * 64  # of a row of the answer
    area_mm2, watts = found.column("area_um2") * 1e-6, 1e-12
    rate = operations * found.column("rows_per_second") * 1e-12
    assert found.column("area_efficiency") == pytest.approx(rate / area_mm2, rel=1e-12)
    joules = found.column("core_energy_pj_per_row") * watts
    assert found.column("energy_efficiency") == pytest.approx(operations * 1e-12 / joules, rel=1e-12)


def test_a_design_that_cannot_reach_the_clock_is_infeasible_and_has_its_numbers() -> None:
    fastest = everything(problem(real=True)).column("clock_mhz")
    clock = float(np.median(fastest))
    found = everything(problem(f"{clock!r}", real=True))
    assert found.feasible.tolist() == (fastest >= clock).tolist()
    assert 0 < found.feasible.sum() < len(found)
    assert found.reason_counts() == {"clock_margin must be at least 1": int((fastest < clock).sum())}
    assert not np.isnan(found.metrics).any()


def test_the_fastest_clock_of_a_design_is_reached() -> None:
    clocks = everything(problem(real=True)).column("clock_mhz")
    fastest = clocks.max()
    exactly, more = (
        everything(problem(repr(float(each)), real=True)) for each in (fastest, fastest * (1 + 1e-9))
    )
    assert exactly.feasible.tolist() == (clocks == fastest).tolist() and not more.feasible.any()


def test_a_clock_that_no_design_reaches_names_the_nearest_and_its_path(tmp_path: Path) -> None:
    asked = problem("[4000, 5000]", real=True)
    free = everything(problem(real=True))
    with run(asked, tmp_path) as study:
        found = study.nearest
    assert found is not None
    (limit,) = found["limits"]
    best = int(np.argmax(free.column("clock_mhz")))
    assert limit["constraint"] == "clock_margin must be at least 1"
    assert limit["nearest"]["id"] == asked.space.point_id(2 * best)  # at 4,000 MHz
    assert limit["nearest"]["values"]["clock_margin"] == free.column("clock_mhz")[best] / 4000
    assert re.fullmatch(r"slowest path '[\w-]+', [\d.]+ \w+", limit["nearest"]["limited_by"]["clock_margin"])


def test_what_limits_a_throughput_is_told_at_the_clock_asked_for(tmp_path: Path) -> None:
    asked = problem("250", more="constraints: {rows_per_second: {min: 1e12}}\n", real=True)
    with run(asked, tmp_path) as study:
        found = study.nearest
    assert found is not None
    text = found["limits"][0]["nearest"]["limited_by"]["rows_per_second"]
    assert text == "compute takes 100 % of the time at 250 MHz"


def test_an_applied_design_has_the_numbers_of_its_row(tmp_path: Path) -> None:
    asked = problem("[200, 400.5, 700]", real=True)
    with run(asked, tmp_path / "s") as study:
        assert study.space.parameter_names == problem().space.parameter_names
        row, design = study.point("p000004"), study.design("p000004").made
        assert apply_point(study, "p000004").made == design
        header = (study.folder / "points.csv").read_text().splitlines()[0].split(",")
    assert row["clock_mhz"] == design.clock_mhz == 400.5 and header.count("clock_mhz") == 1
    answer: dict[str, Any] = estimate(design, space=_file(tmp_path / "space.yaml", "400.5"))
    for name in (
        "clock_mhz",
        "area_um2",
        "area_efficiency",
        "energy_efficiency",
        "rows_per_second",
        "clock_margin",
    ):
        assert answer["row"][name] == row[name]


def _file(path: Path, clock: str) -> Path:
    path.write_text(SPACE.format(clock=f"clock_mhz: {clock}\n", goal="energy_efficiency"))
    return path


@pytest.mark.parametrize("clock", ["max", ""])
def test_without_a_clock_the_space_is_what_it_was(clock: str) -> None:
    made = problem(clock)
    assert made.space.clock is None and made.space.limits == () and "clock_margin" not in made.metrics
    assert "clock_mhz" not in made.space.content()["families"]["ternary_lut"]


@pytest.mark.parametrize(
    ("clock", "read"),
    [
        ("450", 450),
        ("450.5", 450.5),
        ("[450]", 450),
        ("[300, 450.5]", [300, 450.5]),
        ("{range: [100, 500, 100]}", [100, 200, 300, 400, 500]),
        ("{log2: [128, 512]}", [128, 256, 512]),
    ],
)
def test_every_form_reads_back_as_the_same(clock: str, read: Any) -> None:
    text = SPACE.format(clock=f"clock_mhz: {clock}\n", goal="energy_efficiency")
    section = read_text(text, "space.yaml")
    space = space_from(section)
    again = space_content(space, section)
    assert again["clock_mhz"] == read
    assert space_from(read_text(yaml.safe_dump(again), "again.yaml")).content() == space.content()


def test_searches_move_along_the_clock() -> None:
    space = problem("{range: [100, 900, 100]}").space
    coding = Coding(space)
    genomes = coding.genomes(np.arange(space.size))
    assert np.array_equal(coding.indices(genomes), np.arange(space.size))
    moved = coding.mutated(genomes, np.random.default_rng(1))
    found, before = (everything_of(space, coding.indices(each)) for each in (moved, genomes))
    assert (found != before).any()


def everything_of(space: Any, indices: Any) -> Any:
    return np.concatenate([sub.columns(local)["clock_mhz"] for sub, _, local in space.parts(indices)])


WHAT = "clock_mhz must be max, or MHz from 0.001 to 100000, not"


@pytest.mark.parametrize(
    ("clock", "message"),
    [
        ("0", f"11:1: clock_mhz: {WHAT} 0"),
        ("1e6", f"11:1: clock_mhz: {WHAT} 1000000"),
        (".nan", "11:12: number must be finite, not .nan"),
        ("[]", "11:1: clock_mhz: clock_mhz must list at least one value, not none"),
        ("[200, max]", f"11:18: clock_mhz[1]: {WHAT} 'max'"),
        ("[200, true]", f"11:18: clock_mhz[1]: {WHAT} true"),
        ("[200, 200.0]", "11:18: clock_mhz[1]: clock_mhz must list every value once, not 200.0 again"),
        ("{range: [0, 100, 50]}", f"11:13: clock_mhz.range: {WHAT} 0"),
        ("{log2: [1, 131072]}", f"11:13: clock_mhz.log2: {WHAT} 131072"),
        ("{steps: [1, 2]}", "11:13: clock_mhz.steps: key must be one of range, log2, not 'steps'"),
        ("fast", f"11:1: clock_mhz: {WHAT} 'fast'"),
        ("true", f"11:1: clock_mhz: {WHAT} true"),
        ("null", f"11:1: clock_mhz: {WHAT} empty"),
    ],
)
def test_what_is_no_clock_is_refused(clock: str, message: str) -> None:
    with pytest.raises(SpecError) as refused:
        problem(clock)
    assert str(refused.value) == f"space.yaml:{message}"


@pytest.mark.parametrize(
    ("goal", "more"),
    [("clock_margin", ""), ("energy_efficiency", "constraints: {clock_margin: {min: 1.1}}\n")],
)
def test_a_margin_needs_a_clock(goal: str, more: str) -> None:
    what = "clock_margin needs a clock_mhz that is a number, a list or a range, and it is missing"
    with pytest.raises(SpecError, match=rf"clock_margin: {what}$"):
        problem("", goal=goal, more=more)
    assert "clock_margin" in problem("300", goal=goal, more=more).metrics


def test_a_study_of_other_clocks_is_not_continued_and_says_why(tmp_path: Path) -> None:
    with run(problem("[200, 400]"), tmp_path):
        pass
    what = "study must be continued with the space it was started with, and this one differs in clock_mhz"
    with pytest.raises(SpecError, match=rf"{what} \(\[200, 400\] then, \[300\] now\); explore into another"):
        run(problem("300"), tmp_path)


def test_work_per_area_is_headed_as_such() -> None:
    assert (METRICS["area_efficiency"].label, METRICS["energy_efficiency"].label) == (
        "work per area",
        "work per energy",
    )
