"""Searches and pictures are the recorded ones; `python -m tests.dse.recorded` records what changes on purpose."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dse import figure, plot, report
from dse.explore import run
from dse.searches.coding import Coding
from tests.dse import recorded, toy
from tests.dse.toy import changed

EXPECTED: dict[str, Any] = json.loads(recorded.FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", recorded.SEARCHES)
def test_a_search_looks_at_the_recorded_designs_in_their_order(name: str) -> None:
    assert recorded.searched(name) == EXPECTED["searches"][name]


@pytest.mark.parametrize("name", recorded.PICTURES)
def test_a_picture_shows_what_it_showed(name: str, tmp_path: Path) -> None:
    if recorded.versions() != EXPECTED["versions"]:
        pytest.skip(f"pictures were recorded with {EXPECTED['versions']}, not {recorded.versions()}")
    assert recorded.pictures(name, tmp_path / "study") == EXPECTED["pictures"][name]


def test_another_color_is_another_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run(toy.problem(), tmp_path) as study:
        before = recorded.drawing(study)
        monkeypatch.setattr(plot, "_KNEE", "#c8321f")
        after = recorded.drawing(study)
    assert before["shapes"] != after["shapes"] and before["numbers"] == after["numbers"]


def test_pixels_of_a_picture(tmp_path: Path) -> None:
    with run(toy.problem(), tmp_path) as study:
        assert struct.unpack(">II", plot.render(study, "png")[16:24]) == (1350, 870)


def test_neighbors_are_steps_on_ordered_axes_and_all_values_of_others() -> None:
    """Genes: family (one), width 1 to 4, depth 1 to 4096, style and registered."""
    coding = Coding(toy.space(changed(("{range: [1, 32]}", "{range: [1, 4]}"))))
    near = coding.neighbors(np.array([0, 0, 5, 0, 1])).tolist()
    assert near == [[0, 1, 5, 0, 1], [0, 0, 4, 0, 1], [0, 0, 6, 0, 1], [0, 0, 5, 1, 1], [0, 0, 5, 0, 0]]
    corner = coding.neighbors(np.array([0, 3, 12, 1, 0])).tolist()
    assert corner == [[0, 2, 12, 1, 0], [0, 3, 11, 1, 0], [0, 3, 12, 0, 0], [0, 3, 12, 1, 1]]


def test_neighbors_may_be_of_another_family() -> None:
    coding = Coding(toy.space(recorded.TWO))
    near = coding.neighbors(np.array([1, 31, 12, 1, 1, 1, 3]))
    assert near.tolist() == [
        [0, 31, 12, 1, 1, 1, 3],
        [1, 31, 12, 1, 1, 0, 3],
        [1, 31, 12, 1, 1, 2, 3],
        [1, 31, 12, 1, 1, 1, 2],
    ]


@pytest.mark.parametrize(
    ("values", "logarithmic"),
    [
        ([1.0, 9.0], True),
        ([1.0, 8.0], False),
        ([0.0, 9.0], False),
        ([-1.0, 9.0], False),
        ([5.0], False),
        ([3.0, 1.0, 20.0], True),
    ],
)
def test_a_wide_range_of_positive_numbers_has_a_logarithmic_axis(
    values: list[float], logarithmic: bool
) -> None:
    assert figure._scale("cycles", "min", np.array(values)).logarithmic is logarithmic


def test_a_sample_is_of_the_designs_with_the_lowest_tickets(tmp_path: Path) -> None:
    with run(toy.problem(), tmp_path) as study:
        every = [int(i) for batch in study.batches() for i in batch.indices[batch.feasible]]
        for most in (1, 10, 100, 700):
            limit = most / study.feasible * 2**32
            drawn = [index for index in every if index * 2654435761 % 2**32 < limit]
            assert study.sample(most).indices.tolist() == drawn[:most]


@pytest.mark.parametrize(
    ("text", "named"), [(toy.TEXT, ["area [µm²]"]), (recorded.TWO, ["family", "area [µm²]"])]
)
def test_the_table_of_a_report_names_families_where_there_are_several(
    text: str, named: list[str], tmp_path: Path
) -> None:
    with run(toy.problem(text), tmp_path) as study:
        page = report.html(study)
    head = page[page.index("<h2>Front</h2>") :].split("<tr>")[1].split("</tr>")[0]
    names = [cell.split(">")[1].split("<")[0] for cell in head.split("<th ")[1:]]
    assert names[: 1 + len(named)] == ["id", *named]


@pytest.mark.parametrize(
    ("directions", "first"),
    [
        (("min", "min"), (-14, -14, "right", "top")),
        (("min", "max"), (-14, 14, "right", "bottom")),
        (("max", "min"), (14, -14, "left", "top")),
        (("max", "max"), (14, 14, "left", "bottom")),
    ],
)
def test_the_box_of_the_knee_is_tried_first_where_better_designs_would_be(
    directions: tuple[str, str], first: tuple[int, int, str, str]
) -> None:
    scales = [figure.Scale("x", "x", 1.0, direction, False) for direction in directions]
    places = plot._places(SimpleNamespace(scales=scales))  # type: ignore[arg-type]
    assert places[0] == first and len(set(places)) == len(places) == 6 * 4 * 3
