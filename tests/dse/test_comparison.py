"""Studies compared: one reference, one joint front, what else differs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from blueprint.errors import ParamError
from dse import comparison, comparison_page
from dse.explore import run
from dse.pareto import front_mask, hypervolume
from dse.study import Study
from tests.dse import toy
from tests.dse.test_report_page import Page
from tests.dse.toy import changed

SMALL = changed(("[small, fast]", "small"))
FAST = changed(("[small, fast]", "fast"), ("gemm: {m: 1,", "gemm: {m: 2,"))
EMPTY = changed(("max: 500", "max: 0.5"))


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Study]]:
    texts = {"small": SMALL, "fast": FAST, "both": toy.TEXT, "empty": EMPTY}
    folder = tmp_path_factory.mktemp("compared")
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                run(toy.problem(text, provenance={"version": "2" if name == "fast" else "1"}), folder / name)
            )
            for name, text in texts.items()
        }


def test_hypervolume_and_shares_are_those_of_the_joint_front(studies: dict[str, Study]) -> None:
    pair = [studies["small"], studies["fast"]]
    found = comparison.summary(comparison.compare(pair))
    fronts = [study.objectives(study.front) for study in pair]
    union = np.concatenate(fronts)
    mask = front_mask(union)
    counts = [int(mask[: len(fronts[0])].sum()), int(mask[len(fronts[0]) :].sum())]
    assert min(counts) > 0 and found["joint_front"] == sum(counts)
    low, high = union.min(axis=0), union.max(axis=0)
    reference = high + 0.1 * (high - low)
    for row, front, count, study in zip(found["studies"], fronts, counts, pair, strict=True):
        share = hypervolume(front, reference.tolist()) / float(np.prod(reference - low))
        assert row["hypervolume"] == pytest.approx(share) and not row["hypervolume_thinned"]
        assert (row["on_joint_front"], row["share_of_joint_front"]) == (count, count / sum(counts))
        best = min(study.rows(study.front), key=lambda each: each["area_um2"])
        assert row["best"]["area_um2"] == {"value": best["area_um2"], "point": best["id"]}
        assert row["best"]["tokens_per_second"]["value"] == study.front.column("tokens_per_second").max()
    assert found["reference"] == pytest.approx({"area_um2": reference[0], "tokens_per_second": -reference[1]})


def test_a_study_of_both_has_the_whole_joint_front(studies: dict[str, Study]) -> None:
    names = ("both", "small", "fast")
    rows = comparison.summary(comparison.compare([studies[name] for name in names]))["studies"]
    assert rows[0]["share_of_joint_front"] == pytest.approx(
        rows[1]["share_of_joint_front"] + rows[2]["share_of_joint_front"]
    )
    assert rows[0]["hypervolume"] >= max(rows[1]["hypervolume"], rows[2]["hypervolume"])
    assert rows[0]["on_joint_front"] == rows[0]["front"]


def test_facts_that_differ_are_named_and_no_others(studies: dict[str, Study]) -> None:
    found = comparison.differing(comparison.compare([studies["small"], studies["fast"]]))
    assert found == {"version": ["1", "2"], "workload": ["1x64x64", "2x64x64"]}
    assert comparison.differing(comparison.compare([studies["small"], studies["both"]])) == {}


def test_an_empty_front_has_no_share(studies: dict[str, Study]) -> None:
    row = comparison.summary(comparison.compare([studies["both"], studies["empty"]]))["studies"][1]
    assert (row["front"], row["hypervolume"], row["share_of_joint_front"]) == (0, 0.0, 0.0)
    assert row["best"] == {"area_um2": None, "tokens_per_second": None} and row["knee"] is None


def test_only_empty_fronts_have_no_reference(studies: dict[str, Study], tmp_path: Path) -> None:
    with run(toy.problem(EMPTY), tmp_path) as other:
        compared = comparison.compare([studies["empty"], other])
        assert comparison.summary(compared)["reference"] is None
        Page(comparison_page.html(compared))
        with pytest.raises(
            ParamError, match=r"^One of the studies must have a feasible point to be drawn, and "
        ):
            comparison_page.render(compared, "png")


def test_studies_with_other_objectives_are_refused(studies: dict[str, Study], tmp_path: Path) -> None:
    goals = "{area_um2: min, energy_pj_per_token: min}"
    text = changed(("{area_um2: min, tokens_per_second: max}", goals))
    with run(toy.problem(text), tmp_path) as other:
        with pytest.raises(ParamError) as refused:
            comparison.compare([studies["small"], other])
    assert str(refused.value) == (
        f"Studies must have the same objectives to be compared, and {studies['small'].folder} has area_um2 min, "
        f"tokens_per_second max while {tmp_path} has area_um2 min, energy_pj_per_token min"
    )


def test_one_study_and_one_given_twice_are_refused(studies: dict[str, Study]) -> None:
    small = studies["small"]
    with pytest.raises(ParamError, match=r"^Studies to compare must be at least 2, not 1$"):
        comparison.compare([small])
    with pytest.raises(ParamError) as refused:
        comparison.compare([small, studies["fast"], small])
    assert str(refused.value) == f"Study must be given once to be compared, and {small.folder} is given twice"


def test_the_page_has_every_front_with_its_numbers(studies: dict[str, Study]) -> None:
    pair = [studies["small"], studies["fast"]]
    page = Page(comparison_page.html(comparison.compare(pair)))
    data, place = page.data, 0
    for number, study in enumerate(pair):
        for row in study.rows(study.front):
            assert (data["ids"][place], data["of_group"][place]) == (row["id"], number)
            for metric in data["metrics"]:
                assert metric["values"][place] == row[metric["name"]]
            for parameter in data["parameters"]:
                assert parameter["values"][parameter["codes"][place]] == row[parameter["name"]]
            place += 1
    assert place == len(data["ids"])
    assert {parameter["name"] for parameter in data["parameters"]} == {
        "width",
        "depth",
        "style",
        "registered",
    }
    assert not any("src" in attributes or "href" in attributes for _, attributes in page.elements)


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF-")])
def test_pictures_are_the_same_every_time(kind: str, start: bytes, studies: dict[str, Study]) -> None:
    compared = comparison.compare([studies["small"], studies["fast"]])
    first = comparison_page.render(compared, kind)
    assert first.startswith(start) and comparison_page.render(compared, kind) == first


def test_one_objective_can_be_compared(tmp_path: Path) -> None:
    one = changed(("{area_um2: min, tokens_per_second: max}", "{area_um2: min}"))
    with run(toy.problem(one), tmp_path / "a") as a, run(toy.problem(one), tmp_path / "b") as b:
        compared = comparison.compare([a, b])
        found = comparison.summary(compared)
        assert [row["hypervolume"] for row in found["studies"]] == pytest.approx([1.0, 1.0])
        assert comparison_page.render(compared, "svg").startswith(b"<?xml")
