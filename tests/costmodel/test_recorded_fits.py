"""Fits and estimates with made-up numbers against the record (`python -m tests.costmodel.recorded_fits`)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.costmodel import recorded_fits as recorded

KEPT = recorded.kept()


def same(found: Any, expected: Any, rel: float = 1e-6) -> bool:
    """Equal but for what rounding does to a fit."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(
            same(found[key], expected[key], rel) for key in expected
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(
            same(*pair, rel) for pair in zip(found, expected, strict=True)
        )
    if isinstance(expected, float) and not isinstance(found, bool):
        return bool(found == pytest.approx(expected, rel=rel, abs=1e-12))
    return bool(found == expected)


def differs(found: Any, expected: Any) -> list[str]:
    found = json.loads(json.dumps(found))
    assert found.keys() == expected.keys()
    return [key for key in expected if not same(found[key], expected[key])]


@pytest.mark.parametrize("name", recorded.NAMES)
def test_every_number_of_an_estimate_is_the_recorded_one(name: str) -> None:
    assert differs(recorded.estimated(name), KEPT["estimated"][name]) == []


@pytest.mark.parametrize("part", recorded.WHOLE)
def test_a_part_of_fits_is_the_recorded_one(part: str) -> None:
    assert differs(recorded.WHOLE[part](), KEPT[part]) == []


@pytest.mark.parametrize("name", recorded.NAMES)
def test_explanations_add_up_to_what_is_estimated(name: str) -> None:
    found = KEPT["estimated"][name]
    sums = {part: found["explained"][part][0] for part in ("area", "clock", "energy")}
    whole = found["estimate"]
    assert sums == pytest.approx(
        {"area": whole["area_um2"], "clock": whole["critical_path_ps"], "energy": whole["energy_pj"]},
        rel=1e-9,
    )


def test_the_slope_of_the_loss_is_that_of_its_values() -> None:
    """By differences, in a direction that was drawn."""
    from costmodel.calibration import path_fit

    random = np.random.default_rng(1)
    rows, known = random.random((7, 4)) * 5, random.random(7)
    groups = [
        path_fit.Group(rows[:3], known[:3], 9.0, 0),
        path_fit.Group(rows[1:2], known[1:2], 2.0, 0, whole=False),
        path_fit.Group(rows[3:], known[3:], 4.0, 1),
    ]
    paths, member, guess = path_fit.Paths.of(groups), np.array([0, 0, 1, 2]), random.random(3)
    at, toward = random.random(7), random.standard_normal(7)
    for smooth in (0.3, 0.03):
        _, slope = path_fit._miss(at, paths, member, guess, smooth)
        ahead, behind = (
            path_fit._miss(at + step * toward, paths, member, guess, smooth)[0] for step in (1e-6, -1e-6)
        )
        assert (ahead - behind) / 2e-6 == pytest.approx(float(slope @ toward), rel=1e-5)
