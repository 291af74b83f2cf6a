from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from blueprint.errors import ParamError
from costmodel.model import quantity
from dse import figure, interactive, plot, report
from dse.explore import run
from dse.study import Study
from tests.dse import toy
from tests.dse.toy import changed

GOALS = "{area_um2: min, tokens_per_second: max}"
EMPTY = changed(("max: 500", "max: 0.5"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    text = changed((GOALS, "{area_um2: min, tokens_per_second: max, energy_pj_per_token: min}"))
    return run(toy.problem(text), tmp_path_factory.mktemp("study"))


def test_pictures_are_written_and_the_same_every_time(study: Study, tmp_path: Path) -> None:
    first, second = plot.draw(study, tmp_path / "a"), plot.draw(study, tmp_path / "b")
    assert [path.name for path in first] == ["pareto.png", "pareto.svg"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert first[0].read_bytes().startswith(b"\x89PNG")
    ElementTree.parse(first[1])


@pytest.mark.parametrize(
    "goals",
    [
        "{area_um2: min}",
        GOALS,
        "{tokens_per_second: max, area_um2: min, energy_pj_per_token: min}",
        "{tokens_per_second: max, area_um2: min, energy_pj_per_token: min, flip_flops: min}",
    ],
)
def test_one_to_four_objectives_are_drawn(goals: str, tmp_path: Path) -> None:
    with run(toy.problem(changed((GOALS, goals))), tmp_path) as found:
        assert len(figure.picture(found).scales) == goals.count(":")
        assert plot.render(found, "png").startswith(b"\x89PNG")
        assert "customdata" in interactive.html(found)


def test_a_parameter_of_one_value_is_not_shown_as_varied(tmp_path: Path) -> None:
    with run(toy.problem(changed(("[small, fast]", "[small]"))), tmp_path) as found:
        assert figure.varied(found) == ("width", "depth", "registered")


def test_a_picture_holds_the_whole_front_and_says_what_it_leaves_out(study: Study) -> None:
    shown = figure.picture(study)
    assert len(shown.front) == len(study.front)
    assert shown.rows[shown.knee or 0]["id"] == study.knee
    assert {row["id"] for row in shown.rows}.isdisjoint(row["id"] for row in shown.dominated_rows)
    assert shown.varied == ("width", "depth", "style", "registered")
    assert shown.note.startswith("1,664 designs (every design: the front is exact) · front ")
    counts = " · ".join(f"{count:,} {reason}" for reason, count in study.infeasible.items())
    _, infeasible, covers, memory = shown.note.splitlines()
    assert infeasible == f"infeasible {sum(study.infeasible.values()):,}: {counts}"
    assert covers == "numbers cover the whole workload"
    assert memory == "memory assumed unlimited: no dram is given, so memory takes no time and no energy"


def test_the_interactive_page_needs_no_network_and_shows_all_parameters(study: Study, tmp_path: Path) -> None:
    path = interactive.write(study, tmp_path / "page.html")
    text = path.read_text()
    assert not re.search(r"<script[^>]+src=|<link[^>]+href=", text)
    for name in (*study.space.parameter_names, *study.metrics):
        assert f"{quantity.label(name)} = %{{customdata[" in text
    assert f"knee {study.knee}" in text


def test_the_report_tells_the_whole_story(study: Study, tmp_path: Path) -> None:
    text = report.write(study, tmp_path / "report.html").read_text()
    assert not re.search(r"<script[^>]+src=|<link[^>]+href=|<img[^>]+src=\"(?!data:)", text)
    for piece in (
        "Every design was looked at: the front is exact.",
        "more than 4096 bits",
        "area_um2 must be at most 500",
        "Memory: assumed unlimited: no dram is given, so memory takes no time and no energy.",
        f"ternforge apply study {study.knee} -o design.yaml",
        "--method auto --budget 100000 --seed 7",
        "schema: ternforge/space/v1",
    ):
        assert piece in text, piece
    table = text[text.index("<h2>Front</h2>") :]
    assert all(row["id"] in table for row in study.rows(study.front))


def test_a_report_without_a_feasible_design_says_why(tmp_path: Path) -> None:
    with run(toy.problem(EMPTY), tmp_path) as found:
        text = report.html(found)
        assert found.knee is None and "No feasible design" in text and "area_um2 must be at most 0.5" in text


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    with run(toy.problem(EMPTY), tmp_path) as found:
        for draw in (plot.draw, interactive.write):
            with pytest.raises(
                ParamError, match=f"^Study must have a feasible point to be drawn, and {tmp_path} has none$"
            ):
                draw(found)
        assert not (tmp_path / "pareto.html").exists() and not (tmp_path / "pareto.png").exists()


def test_text_of_a_space_cannot_break_the_report(tmp_path: Path) -> None:
    with run(toy.problem("# <script>alert(1)</script>\n" + toy.TEXT), tmp_path) as found:
        text = report.html(found)
        assert "<script>alert(1)" not in text and "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "true"),
        (1234567, "1,234,567"),
        (0.5, "0.5"),
        (12345.678, "12,346"),
        (1e-7, "1e-07"),
        (0.0, "0"),
        ("half", "half"),
    ],
)
def test_numbers_read_well(value: object, text: str) -> None:
    assert quantity.number(value) == text


PAIRS = [
    GOALS,
    "{area_um2: min, tokens_per_second: max, energy_pj_per_token: min}",
    "{tokens_per_second: max, energy_pj_per_token: min}",
    "{area_um2: min, energy_pj_per_token: min}",
]


@pytest.mark.parametrize("goals", PAIRS)
def test_the_box_that_names_the_knee_covers_no_point(goals: str, tmp_path: Path) -> None:
    shown = figure.picture(run(toy.problem(changed((GOALS, goals))), tmp_path))
    drawn = Figure(figsize=(9.0, 5.8), dpi=150, layout="constrained")
    FigureCanvasAgg(drawn)
    plot._fill(drawn, shown)
    drawn.draw_without_rendering()
    axes = drawn.axes[0]
    (box,) = [text for text in axes.texts if text.get_text() == "\n".join(shown.knee_text)]
    area = box.get_bbox_patch().get_window_extent()
    for points in (shown.front, shown.dominated):
        inside = [area.contains(*point) for point in axes.transData.transform(points[:, :2])]
        assert len(inside) > 5 and not any(inside)
    assert all(axes.bbox.contains(*corner) for corner in area.corners())
    assert not area.overlaps(axes.get_legend().get_window_extent())
