from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
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


def drawn_of(shown: figure.Picture) -> Figure:
    drawn = Figure(figsize=(9.0, 5.8), dpi=150, layout="constrained")
    FigureCanvasAgg(drawn)
    plot._fill(drawn, shown)
    return drawn


def test_the_parts_of_a_picture_have_their_places_sizes_and_layers(study: Study) -> None:
    shown = figure.picture(study)
    drawn = drawn_of(shown)
    axes = drawn.axes[0]
    note = drawn._supxlabel  # type: ignore[attr-defined]
    assert (note.get_position(), note.get_ha(), note.get_fontsize()) == ((0.01, 0.01), "left", 8)
    assert max(map(len, note.get_text().splitlines())) <= 140
    assert " ".join(note.get_text().split()).startswith(" ".join(shown.note.split()))
    (star,) = [points for points in axes.collections if points.get_label() == "knee"]
    assert shown.knee is not None
    assert star.get_sizes().tolist() == [210] and star.get_zorder() == 5
    assert star.get_offsets().tolist() == [shown.front[shown.knee, :2].tolist()]
    (line,) = [each for each in axes.lines if len(each.get_xdata()) > 1]
    assert (line.get_linewidth(), line.get_alpha(), line.get_zorder()) == (0.9, 0.6, 2)
    assert np.array_equal(np.transpose(line.get_data()), figure.envelope(shown.front, shown.scales))
    legend = axes.get_legend()
    assert legend.get_frame().get_alpha() == 0.92
    assert {text.get_fontsize() for text in legend.get_texts()} == {8}
    (box,) = [text for text in axes.texts if text.get_text() == "\n".join(shown.knee_text)]
    assert (box.get_fontsize(), box.get_zorder(), box.get_in_layout()) == (8, 6, False)
    assert box.xyann in [place[:2] for place in plot._places(shown)]  # type: ignore[attr-defined]
    assert len(drawn.axes) == 2 and drawn.axes[1].get_ylabel() == shown.scales[2].label


def test_the_box_of_the_knee_may_stand_at_six_distances(study: Study) -> None:
    places = plot._places(figure.picture(study))
    far = list(dict.fromkeys(max(abs(across), abs(up)) for across, up, _, _ in places))
    assert far == [14, 30, 60, 100, 150, 210] and len(places) == 6 * 4 * 3


@pytest.mark.parametrize("families", ["toy", "[toy, twin]"])
def test_one_objective_is_drawn_as_steps_of_all_that_are_shown(families: str, tmp_path: Path) -> None:
    several = families != "toy"
    twin = "  width: {range: [1, 8]}\n  twin: {width: [2, 4], ports: {log2: [1, 8]}}"
    pairs = [(GOALS, "{area_um2: min}"), ("family: toy", f"family: {families}")]
    pairs += [("  width: {range: [1, 32]}", twin)] if several else []
    with run(toy.problem(changed(*pairs)), tmp_path) as found:
        shown = figure.picture(found)
        axes = drawn_of(shown).axes[0]
        page = interactive._figure(shown)
    *steps, knee = axes.lines
    assert [line.get_label() for line in steps] == (["toy", "twin"] if several else ["_child0"])
    assert (axes.get_legend() is not None) is several
    for line, family in zip(steps, shown.families, strict=True):
        front, behind = shown.of_family(family)
        values = sorted([*shown.front[front, 0], *shown.dominated[behind, 0]])
        assert line.get_xdata().tolist() == values and line.get_drawstyle() == "steps-post"
        assert line.get_ydata().tolist() == list(range(1, len(values) + 1))
    best = shown.front[0, 0]
    assert list(knee.get_xdata()) == [best, best]
    assert axes.get_xlabel() == page.layout.xaxis.title.text == page.layout.yaxis.title.text
    assert (page.data[-1].x, page.data[-1].y) == ((best,), (best,))


def test_the_interactive_page_draws_two_objectives_against_each_other(study: Study) -> None:
    shown = figure.picture(study)
    page = interactive._figure(shown)
    behind, front, line, knee = page.data
    for trace, points in ((behind, shown.dominated), (front, shown.front)):
        assert np.array_equal(trace.x, points[:, 0]) and np.array_equal(trace.y, points[:, 1])
    assert np.array_equal(np.transpose([line.x, line.y]), figure.envelope(shown.front, shown.scales))
    assert (knee.x, knee.y) == tuple((value,) for value in shown.front[shown.knee or 0, :2])
    assert (behind.name, front.name, knee.name) == (
        "dominated", "Pareto front", f"knee {shown.knee_text[0]}",
    )  # fmt: skip
    assert np.array_equal(front.marker.color, shown.front[:, 2])
    assert (front.marker.cmin, front.marker.cmax) == (shown.front[:, 2].min(), shown.front[:, 2].max())
    assert (behind.marker.size, front.marker.size, front.marker.line.width) == (4, 9, 0.5)
    assert (page.layout.xaxis.title.text, page.layout.yaxis.title.text) == (
        shown.scales[0].label, shown.scales[1].label,
    )  # fmt: skip
    kinds = ["log" if scale.logarithmic else "linear" for scale in shown.scales[:2]]
    assert [page.layout.xaxis.type, page.layout.yaxis.type] == kinds
    assert line.showlegend is False and page.layout.height == 680


def test_a_fourth_objective_is_the_size_of_points_from_6_to_20(tmp_path: Path) -> None:
    goals = "{tokens_per_second: max, area_um2: min, energy_pj_per_token: min, flip_flops: min}"
    with run(toy.problem(changed((GOALS, goals))), tmp_path) as found:
        shown = figure.picture(found)
    sizes = interactive._figure(shown).data[1].marker.size
    values = shown.front[:, 3]
    values = np.log(values) if shown.scales[3].logarithmic else values
    part = (values - values.min()) / (values.max() - values.min())
    assert np.allclose(sizes, 6 + 14 * part) and (sizes.min(), sizes.max()) == (6, 20)


def test_the_interactive_page_of_two_objectives_has_no_third(tmp_path: Path) -> None:
    shown = figure.picture(run(toy.problem(), tmp_path))
    page = interactive._figure(shown)
    behind, front, line, knee = page.data
    for trace, points in ((behind, shown.dominated), (front, shown.front)):
        assert np.array_equal(trace.x, points[:, 0]) and np.array_equal(trace.y, points[:, 1])
    assert len(line.x) > 1 and (knee.x, knee.y) == tuple((v,) for v in shown.front[shown.knee or 0])
    assert page.layout.yaxis.title.text == shown.scales[1].label != page.layout.xaxis.title.text
    assert front.marker.colorbar.title.text is None and front.marker.size == 9
    assert drawn_of(shown).axes[0].get_ylabel() == shown.scales[1].label
