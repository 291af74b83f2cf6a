"""Axes, codes, reasons and kept fronts: each is compared with what stands in a file or with a second way to it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError
from dse import figure, plot, store
from dse.axis import Axis
from dse.evaluation import Evaluation
from dse.explore import run
from dse.problem import Problem
from tests.dse import toy
from tests.dse.toy import changed

BOTH = changed(
    ("family: toy", "family: [toy, twin]"),
    ("  width: {range: [1, 32]}", "  width: {range: [1, 8]}\n  twin: {width: [2, 4], ports: {log2: [1, 8]}}"),
)


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ((5,), 5),
        (("small", "fast"), ["small", "fast"]),
        ((False, True), [False, True]),
        ((3, 1), [3, 1]),
        (tuple(range(1, 33)), {"range": [1, 32, 1]}),
        (tuple(range(33)), {"range": [0, 32, 1]}),
        (tuple(range(2, 33, 3)), {"range": [2, 32, 3]}),
        (tuple(1 << e for e in range(9)), {"log2": [1, 256]}),
        (tuple(2 << e for e in range(9)), {"log2": [2, 512]}),
        (tuple(3 << e for e in range(9)), [3 << e for e in range(9)]),
        (tuple(1 << e for e in range(8)), [1 << e for e in range(8)]),
        ((0, *(1 << e for e in range(9))), [0, *(1 << e for e in range(9))]),
        (tuple(range(20, 10, -1)), list(range(20, 10, -1))),
        ((*(1 << e for e in range(9)), 513), [*(1 << e for e in range(9)), 513]),
    ],
)
def test_an_axis_is_written_in_its_shortest_form(values: tuple[Any, ...], written: Any) -> None:
    assert Axis("width", values).content() == written


def test_a_constant_of_a_space_stays_one_plain_value() -> None:
    sub = toy.space(changed(("{range: [1, 32]}", "7"))).subspaces[0]
    columns = sub.columns(np.arange(3))
    assert type(columns["width"]) is int and columns["width"] == 7
    assert np.shape(columns["depth"]) == (3,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "Seed must be from 0 to 2**63 - 1, not -1"),
        ({"seed": 2**63}, f"Seed must be from 0 to 2**63 - 1, not {2**63}"),
        ({"budget": 0}, "Budget must be from 1 to 200000000, not 0"),
    ],
)
def test_a_search_outside_its_limits_is_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ParamError) as caught:
        toy.space().searched(**options)
    assert str(caught.value) == message


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_a_seed_at_its_limit_is_taken(seed: int) -> None:
    assert toy.space().searched(seed=seed, budget=1).search.seed == seed


def test_reasons_of_every_family_are_told_apart() -> None:
    """A reason is a number into the list of a batch, and a family's numbers begin behind those of the one before."""
    space = toy.space(BOTH)
    toys = toy.Judge(toy.FAMILIES["toy"])

    def twins(columns: Any, count: int) -> Evaluation:
        metrics = {name: np.ones(count) for name in toy.METRICS}
        ports = np.broadcast_to(columns["ports"], count)
        reasons = np.where(ports == 2, 1, np.where(ports == 8, 2, 0))
        return Evaluation(metrics, reasons, ("", "two ports", "eight ports"))

    batch = Problem(space, {"toy": toys, "twin": twins}, toy.METRICS).evaluate(np.arange(space.size))
    told = [batch.reasons[number] for number in batch.reason]
    for index in range(space.size):
        family, parameters = space.design(index)
        if family == "twin":
            assert told[index] == {2: "two ports", 8: "eight ports"}.get(parameters["ports"], "")
        else:
            many_bits = parameters["width"] * parameters["depth"] > 4096
            assert (told[index] == "more than 4096 bits") is many_bits
    assert set(told[:416]) == {"", "more than 4096 bits"}


def test_a_kept_front_is_taken_while_it_is_whole_and_new(tmp_path: Path) -> None:
    with run(toy.problem(), tmp_path / "study") as study:
        expected = study.front.indices.tolist()
    kept = store.load(tmp_path / "study")
    found = kept.remembered_front()
    assert found is not None and found.indices.tolist() == expected
    kept.close()
    file = sqlite3.connect(tmp_path / "study" / "study.db")
    with file:
        file.execute("UPDATE front SET checksum = 'damaged'")
    file.close()
    kept = store.load(tmp_path / "study")
    assert kept.remembered_front() is None
    kept.close()


def test_the_knee_is_marked_in_the_table_of_the_front_alone(tmp_path: Path) -> None:
    with run(toy.problem(), tmp_path, points_csv=True) as study:
        knee = study.knee
    front, points = ((tmp_path / name).read_text().splitlines() for name in ("front.csv", "points.csv"))
    assert front[0] == points[0] + ",knee" and points[0].endswith(",reason,memory,level")
    marked = [line.split(",")[0] for line in front[1:] if line.endswith(",True")]
    assert marked == [knee] and len({line.count(",") for line in front}) == 1


def test_a_study_without_one_of_its_batches_is_damaged(tmp_path: Path) -> None:
    run(toy.problem(), tmp_path / "study").close()
    kept = store.load(tmp_path / "study")
    last = kept.count() - 1
    kept.check()
    kept.close()
    file = sqlite3.connect(tmp_path / "study" / "study.db")
    with file:
        file.execute("UPDATE batches SET sequence = ?", (last + 1,))
    file.close()
    with pytest.raises(store.StudyError, match=r"batches 0 to 1 should be there, but only 1 are"):
        store.load(tmp_path / "study").check()


@pytest.mark.parametrize(
    ("values", "logarithmic", "expected"),
    [
        ([2.0, 3.0, 6.0], False, [0.0, 0.25, 1.0]),
        ([1.0, 10.0, 100.0], True, [0.0, 0.5, 1.0]),
        ([-4.0, 0.0, 4.0], False, [0.0, 0.5, 1.0]),
        ([5.0, 5.0], False, [0.5, 0.5]),
    ],
)
def test_points_of_a_picture_lie_between_0_and_1(
    values: list[float], logarithmic: bool, expected: list[float]
) -> None:
    scale = figure.Scale("x", "x", 1.0, "min", logarithmic)
    assert plot.on_unit(np.array(values), scale) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("point", "count"),
    [((1, 2), 1), ((3, 5), 1), ((1, 5), 1), ((3, 2), 1), ((2, 3), 1), ((0.9, 3), 0), ((3.1, 3), 0), ((2, 1.9), 0),
     ((2, 5.1), 0)],
)  # fmt: skip
def test_points_on_the_edge_of_the_knees_box_are_in_it(point: tuple[float, float], count: int) -> None:
    area = SimpleNamespace(x0=1, x1=3, y0=2, y1=5)
    assert plot._inside(np.array([point]), area) == count


def test_the_box_of_the_knee_stands_near_first_and_where_better_designs_would_be() -> None:
    scales = tuple(figure.Scale(n, n, 1.0, way, False) for n, way in (("area", "min"), ("rate", "max")))
    places = plot._places(SimpleNamespace(scales=scales))
    assert places[:3] == [
        (-14, 14, "right", "bottom"),
        (-14, 0, "right", "bottom"),
        (0, 14, "right", "bottom"),
    ]
    assert places[3] == (14, 14, "left", "bottom") and places[6] == (-14, -14, "right", "top")
    reach = [max(abs(across), abs(up)) for across, up, _, _ in places]
    assert reach == [distance for distance in (14, 30, 60, 100, 150, 210) for _ in range(12)]
