"""Studies of several families: nothing of one is missing, pictures tell them apart, and say what they leave out."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dse import figure, interactive, plot, report
from dse.explore import run
from dse.study import Study
from tests.dse import toy
from tests.dse.toy import changed

BOTH = changed(
    ("family: toy", "family: [toy, twin]"),
    (
        "  width: {range: [1, 32]}",
        "  width: {range: [1, 32]}\n  twin: {width: [2, 40, 60], ports: {log2: [1, 8]}}",
    ),
)
GOALS = "{area_um2: min, tokens_per_second: max}"
#: Twins are never on the front: they are evaluated and dominated.
BEHIND = BOTH.replace("twin: {width: [2, 40, 60]", "twin: {width: [1]").replace(
    GOALS, "{area_um2: min, flip_flops: min}"
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return run(toy.problem(BOTH), tmp_path_factory.mktemp("study"))


def drawn(study: Study) -> Any:
    """The axes of the picture, after everything is drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = Figure(figsize=(9.0, 5.8))
    FigureCanvasAgg(found)
    plot._fill(found, figure.picture(study))
    return found


def test_every_family_has_a_color_and_a_marker_of_its_own(study: Study) -> None:
    shown = figure.picture(study)
    assert shown.families == ("toy", "twin")
    styles = plot.family_styles(shown)
    assert len({color for color, _ in styles.values()}) == len({marker for _, marker in styles.values()}) == 2
    axes = drawn(study).axes[0]
    handles, labels = axes.get_legend_handles_labels()
    assert labels == [
        "dominated, toy",
        "dominated, twin",
        "Pareto front, toy",
        "Pareto front, twin",
        "knee",
    ]
    colors = {label: tuple(h.get_facecolor()[0][:3]) for h, label in zip(handles, labels, strict=True)}
    assert colors["Pareto front, toy"] != colors["Pareto front, twin"]
    assert colors["dominated, toy"] == colors["Pareto front, toy"]
    for family in shown.families:
        handle = handles[labels.index(f"Pareto front, {family}")]
        mine = [row["family"] == family for row in shown.rows]
        assert handle.get_offsets().data.tolist() == shown.front[mine][:, :2].tolist()


def test_three_objectives_keep_the_families_apart(tmp_path: Path) -> None:
    text = BOTH.replace(GOALS, "{area_um2: min, tokens_per_second: max, energy_pj_per_token: min}")
    with run(toy.problem(text), tmp_path) as found:
        handles, labels = drawn(found).axes[0].get_legend_handles_labels()
        page = interactive.html(found)
    edges = {
        label: tuple(h.get_edgecolor()[0])
        for h, label in zip(handles, labels, strict=True)
        if label.startswith("Pareto")
    }
    assert len(set(edges.values())) == 2
    assert '"symbol":"square"' in page and '"name":"Pareto front, twin"' in page


def test_the_box_of_the_knee_names_its_family(study: Study) -> None:
    shown = figure.picture(study)
    assert shown.knee is not None
    texts = [text.get_text() for text in drawn(study).axes[0].texts]
    family = shown.rows[shown.knee]["family"]
    assert any(text.splitlines()[:2] == [study.knee, family] for text in texts)
    assert f'"name":"knee {study.knee}, {family}"' in interactive.html(study)


def test_the_box_of_a_knee_among_one_family_does_not(tmp_path: Path) -> None:
    with run(toy.problem(), tmp_path) as found:
        shown = figure.picture(found)
        assert shown.knee_text[0] == found.knee and "toy" not in shown.knee_text


def test_a_picture_counts_the_points_beyond_its_axes(study: Study) -> None:
    found = drawn(study)
    axes, shown = found.axes[0], figure.picture(study)
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    x, y = shown.dominated[:, 0], shown.dominated[:, 1]
    outside = int(((x < left) | (x > right) | (y < low) | (y > high)).sum())
    assert outside > 0
    note = found._supxlabel.get_text()
    assert note.endswith(
        f"beyond the axes: {outside} of the {len(shown.dominated):,} dominated designs shown"
    )
    fx, fy = shown.front[:, 0], shown.front[:, 1]
    assert ((fx >= left) & (fx <= right) & (fy >= low) & (fy <= high)).all()


def test_a_picture_that_shows_all_says_nothing_of_it(tmp_path: Path) -> None:
    text = changed(("{range: [1, 32]}", "[4, 5]"), ("{log2: [1, 4096]}", "4"), ("[small, fast]", "small"))
    with run(toy.problem(text), tmp_path) as found:
        assert "beyond" not in drawn(found)._supxlabel.get_text()


def test_one_objective_has_a_curve_for_every_family(tmp_path: Path) -> None:
    with run(toy.problem(BOTH.replace(GOALS, "{tokens_per_second: max}")), tmp_path) as found:
        axes = drawn(found).axes[0]
        assert axes.get_legend_handles_labels()[1] == ["toy", "twin"]
        assert plot.render(found, "png").startswith(b"\x89PNG")


def test_a_front_without_one_of_the_families_is_shown_all_the_same(tmp_path: Path) -> None:
    with run(toy.problem(BEHIND), tmp_path) as found:
        assert {row["family"] for row in found.rows(found.front)} == {"toy"}
        assert all(row["ports"] is None for row in found.rows(found.front))
        assert "ports" in report.html(found) and "dominated, twin" in interactive.html(found)
        assert plot.render(found, "svg")
    with (tmp_path / "front.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["ports"] for row in rows} == {""} and "ports" in rows[0]


def test_rows_have_the_parameters_of_all_families_in_one_order(study: Study) -> None:
    keys = {tuple(row) for batch in study.batches() for row in study.rows(batch.pick(np.arange(len(batch))))}
    assert len(keys) == 1
    names = next(iter(keys))
    assert names[:2] == ("id", "family") and set(study.space.parameter_names) < set(names)
