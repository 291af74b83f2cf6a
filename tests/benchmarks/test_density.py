"""The page of density: bests are bests, the record is what the model says today, and the page is that of the record."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from benchmarks.density import __main__ as command
from benchmarks.density import goals, measure, page, record, search
from benchmarks.density.goals import CLOCK, GOALS, WORK, Goal
from benchmarks.density.spaces import BY_LABEL, CASES, TABLES, TECHNOLOGIES, Case
from blueprint import registry
from blueprint.errors import ParamError
from blueprint.workloads.tasks import Gemm
from blueprint.workloads.workload import Workload
from costmodel.model.evaluate import Estimator, TechnologyCosts
from costmodel.model.work import Asked
from costmodel.technology import technology

RECORD = record.kept()
#: Products so small that every design of the space can be judged alone.
TINY = Case(
    TABLES,
    "tiny",
    (
        "mu: [1, 2]\nlut_count: [1, 2, 4]\nfetch_count: [2, 4]\nact_width: 8\nk_max: 32\nn_max: 16\nm_max: 2\n"
        "token_lanes: [1, 2]\nfetch_register: [false, true]\nn_tile: [4, 16]",
    ),
    "{{gemm: {{m: 2, k: 32, n: 16}}}}",
    "token_lanes",
    sizes=(4, 8),
)


def alone(case: Case, size: int, parameters: Any, tech: str) -> dict[str, float]:
    """Figures of one design, by the estimate of one design."""
    kind = registry.get(case.family)
    subject = next(search.problems(case, size, technology.load(tech))).space.subject
    work: Workload = subject.workload  # type: ignore[attr-defined]
    judge = Estimator.of(kind, TechnologyCosts(technology.load(tech)), Asked(work, None, None, False))
    row = judge.row(kind.from_mapping(parameters))
    macs = sum(task.macs for task in work.tasks)
    found = search.figures({name: np.array([value]) for name, value in row.items()}, macs)
    return {name: float(value[0]) for name, value in found.items()}


def test_bests_are_those_of_one_design_after_the_other() -> None:
    found = search.best(TINY, technology.load("asap7"))
    seen = dict.fromkeys(TINY.sizes, 0)
    axes = {
        "mu": (1, 2), "lut_count": (1, 2, 4), "fetch_count": (2, 4), "token_lanes": (1, 2),
        "fetch_register": (False, True), "n_tile": (4, 16),
    }  # fmt: skip
    everything: dict[int, dict[str, list[float]]] = {size: {} for size in TINY.sizes}
    for values in itertools.product(*axes.values()):
        given = {
            **dict(zip(axes, values, strict=True)),
            "act_width": 8,
            "k_max": 32,
            "n_max": 16,
            "m_max": 2,
        }
        try:
            figures = alone(TINY, 4, given, "asap7")
        except ParamError:
            continue
        for size in TINY.sizes:
            if search.SLOWEST * size <= figures["rate"] <= search.FASTEST * size:
                seen[size] += 1
                for name, value in figures.items():
                    everything[size].setdefault(name, []).append(value)
    assert all(number >= 8 for number in seen.values())
    for size, kept in found.items():
        for goal, (figure, most) in search.GOALS.items():
            wanted = (max if most else min)(everything[size][figure])
            assert kept[goal].figures[figure] == pytest.approx(wanted, rel=1e-12)


def test_a_size_that_no_design_has_has_no_best() -> None:
    assert search.best(TINY, technology.load("asap7"), (1000,)) == {1000: {}}
    assert page._figure({}, "area") == "-"


def test_no_case_of_an_unknown_label() -> None:
    with pytest.raises(ParamError) as problem:
        search.case_of("ternary_lut, INT7")
    assert str(problem.value) == f"Case must be one of {'; '.join(BY_LABEL)}, not 'ternary_lut, INT7'"


def test_the_page_is_that_of_the_record() -> None:
    assert page.page(RECORD) == page.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("tech", TECHNOLOGIES)
def test_the_record_has_the_best_of_every_case_as_the_model_says_today(tech: str) -> None:
    found = RECORD["predicted"][tech]["best"]
    assert list(found) == [case.label for case in CASES]
    random = np.random.default_rng(5)
    for case in CASES:
        assert list(found[case.label]) == list(case.sizes)
        size = int(random.choice([size for size in case.sizes if found[case.label][size]]))
        kept = found[case.label][size]
        goal = str(random.choice(sorted(kept)))
        figures = alone(case, size, kept[goal]["parameters"], tech)
        said = {name: value for name, value in kept[goal].items() if name != "parameters"}
        assert said == pytest.approx(figures, rel=1e-4), (case.label, goal)


@pytest.mark.parametrize("tech", TECHNOLOGIES)
def test_a_search_again_finds_what_is_recorded(tech: str) -> None:
    for label in ("systolic, FP16 x FP16", "vector, FP32"):
        assert record.of_case(label, technology.load(tech)) == RECORD["predicted"][tech]["best"][label]


def test_a_design_that_was_synthesized_is_the_one_of_its_key_and_of_today() -> None:
    tech = technology.load(measure.TECHNOLOGY)
    assert RECORD["designs"]
    for key, one in RECORD["designs"].items():
        spec = registry.get(BY_LABEL[one["case"]].family).from_mapping(one["parameters"])
        assert spec.design_hash == key
        assert one["predicted"] == measure.predicted(spec, tech)
        assert one["rate"] == round(measure.rate(BY_LABEL[one["case"]], spec), 2)
        assert one["peak"] == int(spec.peak_macs)
        area = one["predicted"]["um2"] / one["least area"]["um2"]
        assert 0.8 < area < 1.25, (key, area)


def test_what_was_asked_names_cases_that_are_searched() -> None:
    assert len(GOALS) == 8
    assert {case for goal in GOALS for case in goal.cases} <= set(BY_LABEL)


def netlist(um2: float, ps: float) -> dict[str, Any]:
    return {"um2": um2, "ps": ps, "cells": 3, "from": "a", "to": "b", "gates": {"NAND2": 2}}


def design(case: str, pe: str = "opt1", peak: int = 256) -> dict[str, Any]:
    return {
        "case": case, "peak": peak, "rate": 256.0, "parameters": {"pe": pe},
        "least area": netlist(1000, 1000), "shortest period": netlist(2000, 400),
    }  # fmt: skip


ONE = Goal("one", ("a", "b"), CLOCK, 1.0, 2.0, "why", "others", ("opt1",))


def test_a_figure_is_that_of_the_better_netlist() -> None:
    designs = {"x": design("a"), "y": design("b")}
    found = list(goals.reached(ONE, designs))
    assert [(one.case, one.figure, one.netlist) for one in found] == [
        ("a", 2.5, "shortest period"),
        ("b", 2.5, "shortest period"),
    ]
    assert not goals.missed(ONE, found)
    work = dataclasses.replace(ONE, figure=WORK, asked=300_000)
    assert [one.figure for one in goals.reached(work, designs)] == pytest.approx([320_000, 320_000])


@pytest.mark.parametrize(
    "other",
    [
        design("c"),
        design("b", pe="mac"),
        design("b", peak=128),
        {**design("b"), "shortest period": netlist(1, 501)},
    ],
)
def test_a_goal_is_missed_where_a_case_does_not_reach_it(other: dict[str, Any]) -> None:
    found = list(goals.reached(ONE, {"x": design("a"), "y": other}))
    assert goals.missed(ONE, found)


def test_gates_are_told_without_their_strength() -> None:
    names = (
        "NAND2xp5_ASAP7_75t_R",
        "DFFHQNx1_ASAP7_75t_R",
        "INVx11_ASAP7_75t_R",
        "FAx1_ASAP7_75t_R",
        "input",
    )
    assert [measure.gate(name) for name in names] == ["NAND2", "DFFHQN", "INV", "FA", "input"]


def test_only_what_matches_and_is_not_in_the_record_is_synthesized(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    content: dict[str, Any] = {"predicted": {}, "designs": {"old": design("a")}}
    entries = [
        (key, {"case": case, "names": ["best by work"], "spec": None, "um2": um2})
        for key, case, um2 in (("old", "a", 1.0), ("new", "a", 2.0), ("else", "c", 3.0), ("large", "a", 1e9))
    ]
    monkeypatch.setattr(record, "queue", lambda content: entries)
    monkeypatch.setattr(record, "write", lambda content: None)
    monkeypatch.setattr(page, "write", lambda content: None)

    def measured(case: str, spec: Any, tech: Any) -> dict[str, Any]:
        done.append(case)
        return design(case)

    monkeypatch.setattr(measure, "measured", measured)
    assert command._synthesize(content, "a: best", False, listing=True) == 0
    assert not done
    assert command._synthesize(content, "a: best", False) == 0
    assert done == ["a"] and list(content["designs"]) == ["old", "new"]
    assert command._synthesize(content, "a: best", True) == 0
    assert done == ["a"] * 3


@pytest.mark.parametrize(
    ("given", "known", "searches"),
    [
        ([], True, True),
        (["--predict"], True, True),
        (["--only", "a*"], True, False),
        (["--only", "a*"], False, True),
        (["--page"], True, False),
    ],
)
def test_what_was_found_before_is_not_searched_for_again(
    given: list[str], known: bool, searches: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    content: dict[str, Any] = {"predicted": {"asap7": {}} if known else {}, "designs": {}}
    searched: list[int] = []
    monkeypatch.setattr(record, "kept", lambda: content)
    monkeypatch.setattr(record, "predict", lambda content, told: searched.append(1))
    monkeypatch.setattr(record, "write", lambda content: None)
    monkeypatch.setattr(page, "write", lambda content: None)
    monkeypatch.setattr(command, "_synthesize", lambda content, pattern, again: 0)
    assert command.main(given) == 0
    assert bool(searched) == searches


def test_gates_are_put_in_where_they_are_not_yet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    label = next(iter(BY_LABEL))
    other = list(BY_LABEL)[1]
    kind = registry.get(BY_LABEL[label].family)
    parameters = next(iter(RECORD["predicted"]["asap7"]["best"][label].values()))["area"]["parameters"]
    done = dict.fromkeys(goals.GATED, {"um2": 1.0, "ps": 1.0})
    content: dict[str, Any] = {
        "predicted": {},
        "designs": {
            "one": {**design(label), "parameters": parameters},
            "two": {**design(label), "parameters": parameters, **done},
            "three": {**design(other), "parameters": parameters},
        },
    }
    mapped: list[Any] = []
    monkeypatch.setattr(record, "kept", lambda: content)
    monkeypatch.setattr(record, "write", lambda content: None)
    monkeypatch.setattr(page, "write", lambda content: None)
    monkeypatch.setattr(measure, "gated", lambda spec, tech: mapped.append(spec) or done)  # type: ignore[func-returns-value]
    assert command.main(["--gates", "--only", "nothing"]) == 2
    assert capsys.readouterr().err == "--only must fit one of the 3 designs of the record, not 'nothing'\n"
    assert command.main(["--gates", "--only", label]) == 0
    assert mapped == [kind.from_mapping(parameters)]
    assert (
        set(goals.GATED) <= set(content["designs"]["one"])
        and goals.GATED[0] not in content["designs"]["three"]
    )
    capsys.readouterr()


def test_a_goal_counts_netlists_with_gates() -> None:
    goal = GOALS[0]
    one = design(goal.cases[0]) | {
        goals.GATED[1]: {"um2": 10.0, "ps": 100.0, "from": "a", "to": "b", "gates": {}}
    }
    one["peak"] = 4096
    (found,) = goals.reached(goal, {"key": one, "other": {**design(goal.cases[0]), "peak": 4096}})
    assert (found.netlist, found.figure) == (goals.GATED[1], 10.0)


def test_what_is_searched_and_what_is_only_written_exclude_each_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as problem:
        command.main(["--page", "--predict"])
    assert problem.value.code == 2
    assert "argument --predict: not allowed with argument --page" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "content", "message"),
    [
        (["--list", "--only", "nope"], RECORD, "--only must fit one of the 2 designs, not 'nope'"),
        (
            ["--page", "--only", "*"],
            RECORD,
            "--only must stand where designs are synthesized or listed, not beside --predict or --page",
        ),
        (
            ["--predict", "--again"],
            RECORD,
            "--again must stand where designs are synthesized or listed, not beside --predict or --page",
        ),
        (
            ["--list"],
            {"predicted": {}, "designs": {}},
            f"{record.RECORD}: record must have predictions, and has none; --predict makes them",
        ),
        (
            ["--page"],
            {"predicted": {}, "designs": {}},
            f"{record.RECORD}: record must have predictions, and has none; --predict makes them",
        ),
    ],
)
def test_what_cannot_be_listed_or_written_is_one_sentence(
    given: list[str],
    content: Any,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entries = [(key, {"case": "a", "names": ["best"], "spec": None, "um2": 1.0}) for key in ("one", "two")]
    monkeypatch.setattr(record, "kept", lambda: content)
    monkeypatch.setattr(record, "queue", lambda content: entries)
    monkeypatch.setattr(record, "write", lambda content: pytest.fail("written"))
    monkeypatch.setattr(page, "write", lambda content: pytest.fail("written"))
    assert command.main(given) == 2
    assert capsys.readouterr().err == f"{message}\n"


def test_a_list_writes_neither_record_nor_page(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [("one", {"case": "a", "names": ["best"], "spec": None, "um2": 1.0})]
    monkeypatch.setattr(record, "queue", lambda content: entries)
    monkeypatch.setattr(record, "write", lambda content: pytest.fail("written"))
    monkeypatch.setattr(page, "write", lambda content: pytest.fail("written"))
    assert command.main(["--list", "--only", "a: best"]) == 0
    assert capsys.readouterr().err == "one a: best, 1 um2\n"


def test_the_place_of_a_cell_is_its_module() -> None:
    names = ("control.map270", "control.$abc$1152$blif$1152$212", "lane0.sum.map3", "map3", "lane0.total")
    assert [measure.place(name) for name in names] == [
        "control",
        "control",
        "lane0.sum",
        "map3",
        "lane0.total",
    ]


def test_what_a_design_sustains_is_its_work_by_its_cycles() -> None:
    spec = registry.get(TABLES).from_mapping(
        {"mu": 2, "lut_count": 4, "fetch_count": 4, "act_width": 8, "k_max": 32, "n_max": 16, "m_max": 2}
    )
    assert spec.cycles(Gemm(2, 32, 16)) == 34
    assert measure.rate(TINY, spec) == pytest.approx(2 * 32 * 16 / 34)
