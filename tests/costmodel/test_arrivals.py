"""The slowest path of every place: it counts for the last place in which it spends a good part of its time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from costmodel.groundtruth.arrivals import slowest_by_place
from costmodel.groundtruth.flatten import flatten
from costmodel.groundtruth.sta import Graph
from tests.costmodel import tiny
from tests.costmodel.test_sta import cell, module

PLACES = {"m": "whole", "inner": "block"}
#: Delays in ps of a register, of an inverter behind it, and the setup time: tests/costmodel/test_sta.py adds them up.
REGISTER, INVERTER, SETUP = 26, 16, 30


def found(folder: Path, **netlists: Any) -> dict[str, float]:
    return slowest_by_place(Graph(flatten("m", netlists), tiny.technology(folder), {}), PLACES)


def chained(inside: int, behind: int) -> dict[str, Any]:
    """A register, `inside` inverters in a block, `behind` of them outside, and a register."""
    block = {f"g{n}": cell("INV", A=10 + n, Y=11 + n) for n in range(inside)}
    rest = {f"h{n}": cell("INV", A=50 + n, Y=51 + n) for n in range(behind)}
    outer = module(
        {"ck": ("input", [2]), "d": ("input", [3])},
        first=cell("DFFN", CK=2, D=3, QN=4),
        sub={"type": "inner", "connections": {"i": [4], "o": [50]}},
        last=cell("DFFN", CK=2, D=50 + behind, QN=90),
        **rest,
    )
    inner = module({"i": ("input", [10]), "o": ("output", [10 + inside])}, **block)
    return {"m": outer, "inner": inner}


@pytest.mark.parametrize(("inside", "behind", "place"), [(1, 1, "whole"), (9, 1, "block"), (9, 2, "whole")])
def test_a_path_counts_for_the_last_place_with_a_good_part_of_it(
    tmp_path: Path, inside: int, behind: int, place: str
) -> None:
    # One inverter of ten is 16 of 186 ps, less than 12 %; two of eleven are 32 of 202 ps.
    ends = found(tmp_path, **chained(inside, behind))
    assert ends[place] == pytest.approx(REGISTER + (inside + behind) * INVERTER + SETUP)
    other = {"whole": "block", "block": "whole"}[place]
    assert ends.get(other, 0.0) < ends[place]


def test_a_place_without_a_path_is_missing(tmp_path: Path) -> None:
    assert set(found(tmp_path, **chained(9, 1))) == {"block"}


def test_paths_from_inputs_and_to_outputs_count(tmp_path: Path) -> None:
    only = module({"d": ("input", [3]), "y": ("output", [4])}, g=cell("INV", A=3, Y=4))
    slow = module(
        {"d": ("input", [3]), "y": ("output", [5])}, g=cell("INV", A=3, Y=4), h=cell("INV", A=4, Y=5)
    )
    short, long = found(tmp_path, m=only)["whole"], found(tmp_path, m=slow)["whole"]
    assert 0 < short < long
