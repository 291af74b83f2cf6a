"""Corrections between levels: what they learn, and that their error is of designs they have not seen."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dse.fidelity import correction
from dse.fidelity.correction import FEWEST, PENALTY, features, learn
from tests.dse import toy
from tests.dse.toy import TEXT

RANDOM = np.random.default_rng(5)


def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
    space = toy.space()
    indices = RANDOM.choice(space.size, count, replace=False)
    return features(space, indices), space.columns(indices)["width"].astype(float)


def test_a_power_law_of_a_parameter_is_found() -> None:
    matrix, width = drawn(60)
    lower = RANDOM.uniform(1, 100, 60)
    found = learn("simulated", "area_um2", matrix, lower, lower * 1.3 * width**0.5)
    assert found is not None and found.used and found.designs == 60
    assert found.after < 0.03 < 0.5 < found.before
    fresh, wide = drawn(20)
    assert np.allclose(found.factors(fresh), 1.3 * wide**0.5, rtol=0.1)


def test_the_error_is_that_of_leaving_each_design_out() -> None:
    matrix, width = drawn(12)
    lower = RANDOM.uniform(1, 100, 12)
    higher = lower * width**0.3 * RANDOM.lognormal(0, 0.1, 12)
    found = learn("simulated", "area_um2", matrix, lower, higher)
    errors = []
    for place in range(12):
        kept = np.arange(12) != place
        rest = learn("simulated", "area_um2", matrix[kept], lower[kept], higher[kept])
        assert rest is not None
        errors.append(float(rest.factors(matrix[place : place + 1])[0]) * lower[place] / higher[place] - 1)
    assert found is not None
    assert found.after == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-9)
    assert found.before == pytest.approx(np.sqrt(np.mean((lower / higher - 1) ** 2)))


def test_noise_is_not_corrected() -> None:
    matrix, _ = drawn(30)
    lower = RANDOM.uniform(1, 100, 30)
    noise = RANDOM.lognormal(0, 0.1, 30)
    found = learn("simulated", "area_um2", matrix, lower, lower * noise / np.exp(np.log(noise).mean()))
    assert found is not None and not found.used and found.after > found.before > 0


def test_equal_levels_need_no_correction() -> None:
    matrix, _ = drawn(30)
    lower = RANDOM.uniform(1, 100, 30)
    found = learn("simulated", "area_um2", matrix, lower, lower)
    assert found is not None and not found.used and found.before == 0


def test_few_designs_and_numbers_without_a_logarithm_teach_nothing() -> None:
    matrix, _ = drawn(FEWEST + 2)
    ones = np.ones(len(matrix))
    assert learn("simulated", "area_um2", matrix[1:FEWEST], ones[1:FEWEST], ones[1:FEWEST]) is None
    for bad in (0.0, -1.0, np.nan, np.inf):
        spoiled = np.where(np.arange(len(ones)) < 3, bad, 1.0)
        assert learn("simulated", "area_um2", matrix, spoiled, ones) is None
        assert learn("simulated", "area_um2", matrix, ones, spoiled) is None


def test_features_are_scaled_parameters_and_indicators() -> None:
    space = toy.space()
    found = features(space, np.arange(space.size))
    assert found.shape == (space.size, 1 + 1 + 2 + 2)  # width, depth, style, registered
    assert np.allclose(found[:, :2].mean(axis=0), 0) and np.allclose(found[:, :2].std(axis=0), 1)
    columns = space.columns(np.arange(space.size))
    assert np.array_equal(found[:, 2:4].argmax(axis=1), columns["style"] == "fast")
    assert set(np.unique(found[:, 2:])) == {0.0, 1.0}
    assert PENALTY > 0


def test_families_have_features_of_their_own() -> None:
    text = TEXT.replace("family: toy", "family: [toy, twin]")
    text = re.sub(
        r"parameters:\n(  .*\n)+", "parameters: {width: [1, 2], depth: 4, twin: {ports: [1, 2]}}\n", text
    )
    text = text.replace("twin: {ports", "twin: {width: [1, 2, 4], ports")
    found = correction.features(toy.space(text), np.arange(8))
    assert found.shape == (8, 2 + 3)
    assert not found[:2, 2:].any() and not found[2:, :2].any()
    assert found[:2, 0].tolist() == [1.0, 1.0] and found[2:, 2].tolist() == [1.0] * 6
