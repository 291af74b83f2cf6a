"""What would have to change in a design to keep a limit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError
from dse import change
from dse.explore import run
from dse.space import Constraint
from dse.study import Study
from tests.dse import toy
from tests.dse.recorded import TWO
from tests.dse.toy import changed


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    with run(toy.problem(), tmp_path_factory.mktemp("change")) as found:
        yield found


def rows(study: Study) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for batch in study.batches() for row in study.rows(batch)}


def test_the_nearest_design_changes_least_and_then_loses_least(study: Study) -> None:
    """Every design is looked at one by one, as the definition says."""
    every = rows(study)
    names = study.space.parameter_names
    for point in ("p000700", "p000031", str(study.knee)):
        row = every[point]
        bound = row["area_um2"] * 0.8
        fitting = [other for other in every.values() if other["feasible"] and other["area_um2"] <= bound]

        def rank(other: dict[str, Any], row: dict[str, Any] = row) -> tuple[int, float, str]:
            steps = sum(row[name] != other[name] for name in names)
            loss = (other["area_um2"] - row["area_um2"]) / row["area_um2"]
            loss -= (other["tokens_per_second"] - row["tokens_per_second"]) / row["tokens_per_second"]
            return steps, round(loss, 12), other["id"]

        found = change.to_keep(study, point, (Constraint("area_um2", maximum=bound),))
        assert found is not None
        assert found.point == min(fitting, key=rank)["id"]
        other = every[found.point]
        assert found.parameters == {
            name: (row[name], other[name]) for name in names if row[name] != other[name]
        }
        assert found.metrics == {name: (row[name], other[name]) for name in study.metrics}
        part = found.content()["metrics"]["area_um2"]["change"]
        assert part == other["area_um2"] / row["area_um2"] - 1 <= -0.2 + 1e-12


def test_a_design_that_keeps_everything_needs_no_change(study: Study) -> None:
    kept = (Constraint("area_um2", maximum=499.0),)
    assert change.explain(study, str(study.knee), kept) == {"breaks": [], "change": None, "nearest": None}


def test_a_limit_that_no_design_keeps_names_the_one_that_comes_closest(study: Study) -> None:
    found = change.explain(study, str(study.knee), (Constraint("area_um2", maximum=0.5),))
    least = min(row["area_um2"] for row in rows(study).values() if row["area_um2"] is not None)
    assert found["breaks"] == ["area_um2 must be at most 0.5"] and found["change"] is None
    assert found["nearest"]["values"]["area_um2"] == least


def test_a_design_that_breaks_the_constraint_of_its_study_says_the_way_back(study: Study) -> None:
    point = next(name for name, row in rows(study).items() if row["reason"].startswith("area_um2 must"))
    found = change.explain(study, point, ())
    assert found["breaks"] == ["area_um2 must be at most 500"]
    assert (
        found["change"]["metrics"]["area_um2"]["to"] <= 500 < found["change"]["metrics"]["area_um2"]["from"]
    )
    assert len(found["change"]["parameters"]) == 1


def test_a_design_that_cannot_be_built_says_why_and_what_can(study: Study) -> None:
    point = next(name for name, row in rows(study).items() if row["reason"] == "more than 4096 bits")
    found = change.explain(study, point, ())
    assert found["breaks"] == ["more than 4096 bits"]
    assert found["change"]["metrics"] == {} and len(found["change"]["parameters"]) == 1


def test_another_family_is_farther_than_all_parameters(tmp_path: Path) -> None:
    with run(toy.problem(TWO), tmp_path) as study:
        every = rows(study)
        twin = next(name for name, row in every.items() if row["family"] == "twin")
        least = min(row["area_um2"] for row in every.values() if row["family"] == "twin")
        near = change.to_keep(study, twin, (Constraint("area_um2", maximum=least),))
        far = change.to_keep(study, twin, (Constraint("area_um2", maximum=least * 0.99),))
    assert near is not None and near.family == ("twin", "twin")
    assert far is not None and far.family == ("twin", "toy")
    assert far.parameters["ports"][1] is None and far.parameters["depth"][0] is None


def test_parts_of_a_study_make_no_difference(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = (Constraint("tokens_per_second", minimum=20000.0),)
    whole = change.to_keep(study, "p000004", limit)
    batches = list(study.batches())
    parts = [batch.pick(piece) for batch in batches for piece in np.array_split(np.arange(len(batch)), 9)]
    monkeypatch.setattr(study, "batches", lambda: iter(parts[::-1]))
    assert change.to_keep(study, "p000004", limit) == whole and whole is not None


@pytest.mark.parametrize(
    ("text", "constraint"),
    [
        ("area_um2<=20", Constraint("area_um2", maximum=20.0)),
        (" area_um2 >= 2e3 ", Constraint("area_um2", minimum=2000.0)),
        ("flip_flops<=-1", Constraint("flip_flops", maximum=-1.0)),
    ],
)
def test_conditions_are_read(text: str, constraint: Constraint, study: Study) -> None:
    assert change.condition(text, study) == constraint


FORM = "--where must be METRIC<=NUMBER or METRIC>=NUMBER, not "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("area_um2<20", f"{FORM}'area_um2<20'"),
        ("", f"{FORM}''"),
        ("area_um2=20", f"{FORM}'area_um2=20'"),
        ("area_um2<=", f"{FORM}'area_um2<='"),
        ("<=3", f"{FORM}'<=3'"),
        ("area_mm2<=1", "--where must name a metric of the study, not 'area_mm2'; did you mean 'area_um2'?"),
        ("rows_per_second>=1", "--where must name a metric of the study, not 'rows_per_second'"),
        ("area_um2<=small", "--where area_um2 must have a number, not 'small'"),
        ("area_um2<=nan", "--where area_um2 must have a number, not 'nan'"),
        ("area_um2<=1_000", "--where area_um2 must have a number, not '1_000'"),
        ("area_um2<=inf", "--where area_um2 must have a number, not 'inf'"),
    ],
)
def test_other_conditions_are_refused(text: str, message: str, study: Study) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(message)}"):
        change.condition(text, study)


def test_the_name_of_a_metric_for_other_work_is_suggested(study: Study) -> None:
    with pytest.raises(ParamError, match=r"did you mean 'tokens_per_second'\?$"):
        change.condition("ternary_tokens_per_second>=1", study)


def test_a_toy_may_be_out_of_reach(tmp_path: Path) -> None:
    text = changed(("{log2: [1, 4096]}", "4096"), ("{range: [1, 32]}", "{range: [2, 32]}"))
    with run(toy.problem(text), tmp_path) as study:
        found = change.explain(study, "p000000", ())
    assert found == {"breaks": ["more than 4096 bits"], "change": None, "nearest": None}
