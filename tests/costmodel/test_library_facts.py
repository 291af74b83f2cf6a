"""Cells without an area, and the wire-load model of a block by its area."""

from __future__ import annotations

from pathlib import Path

import pytest

from costmodel.technology import liberty
from costmodel.technology.wire_loads import WireLoad, Wires
from tests.costmodel import tiny


def test_a_cell_without_an_area_is_left_out_and_said_so(tmp_path: Path) -> None:
    file = tmp_path / "x.lib"
    file.write_text(tiny.HEAD + "cell (A) { cell_leakage_power : 5; }\ncell (B) { area : 0; } }")
    library = liberty.parse(file)
    assert library.notes == ("cells without an area are left out",)
    left_out, kept = library.cells["A"], library.cells["B"]
    assert (left_out.area, left_out.leakage, left_out.pins, left_out.dont_use) == (0.0, 0.0, (), True)
    assert (kept.area, kept.leakage, kept.dont_use) == (0.0, 0.0, False)


LOADS = tuple(WireLoad(name, 1.0, 1.0, 1.0, ()) for name in ("small", "large", "other"))


@pytest.mark.parametrize(
    ("by_area", "area", "name"),
    [
        (((0, 10, "small"), (10, 50, "large")), 0, "small"),
        (((0, 10, "small"), (10, 50, "large")), 9.9, "small"),
        (((0, 10, "small"), (10, 50, "large")), 10, "large"),
        (((0, 10, "small"), (10, 50, "large")), 50, "large"),
        (((0, 10, "large"), (10, 50, "small")), 5000, "small"),
        (((5, 10, "small"), (10, 50, "large")), 4, "other"),
        (((0, 10, "small"), (10, 50, "unknown")), 60, "other"),
        (((0, 10, "small"), (10, 50, "unknown")), 20, "other"),
        ((), 20, "other"),
    ],
)
def test_the_model_of_a_block_is_that_of_its_area_or_the_default(
    by_area: tuple[tuple[float, float, str], ...], area: float, name: str
) -> None:
    assert Wires(LOADS, "other", by_area).at(area).name == name


@pytest.mark.parametrize(("fanout", "length"), [(1, 2.0), (2, 3.0), (3, 4.0), (5, 10.0), (7, 13.0)])
def test_length_is_linear_between_points_and_grows_by_the_slope(fanout: int, length: float) -> None:
    load = WireLoad("w", 1.0, 1.0, 1.5, ((1, 2.0), (3, 4.0), (5, 10.0)))
    assert load.length(fanout) == pytest.approx(length)
