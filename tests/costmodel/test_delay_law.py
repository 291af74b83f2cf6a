"""The law of delays: it finds what is there, and the errors it states are those that it makes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.unit import ADDER, BROADCAST, MUX, Path
from costmodel.calibration import path_fit
from costmodel.technology import technology

SRAM = technology.load("asap7").sram


@pytest.fixture(scope="module")
def designs() -> list[Any]:
    size = {"k_max": 64, "n_max": 64, "m_max": 8}
    return [
        TernaryLutSpec(mu=mu, lut_count=tables, fetch_count=columns, act_width=width, **size)
        for mu in (2, 3, 4)
        for tables, columns in ((1, 1), (2, 8), (4, 2), (8, 4))
        for width in (4, 8)
    ]


def judged(law: dict[str, Any], spec: Any) -> float:
    """The slowest path, term by term."""
    delays = []
    for path in spec.paths():
        total = law[path_fit.START] + path_fit._memory_ps(path, SRAM)
        for (place, kind, term), value in path_fit.path_terms(path).items():
            if kind != path_fit.START:
                total += law["value"][place][kind][term] * value
        delays.append(total)
    return float(max(delays))


def fitted(designs: list[Any], truth: float) -> tuple[list[Any], dict[str, Any]]:
    """Delays of a law made up here, every gate ``truth`` ps and 40 ps at the start, and what is fitted to them."""
    samples = []
    for spec in designs:
        slowest = max(
            sum(
                value * truth * path_fit._GUESS.get(name[1:], 1.0)
                for name, value in path_fit.path_terms(path).items()
                if name[1] != path_fit.START
            )
            + path_fit._memory_ps(path, SRAM)
            + 40
            for path in spec.paths()
        )
        samples.append(SimpleNamespace(spec=spec, critical_path_ps=slowest, places_ps={}))
    return samples, path_fit.fit_delay(samples, SRAM)


def test_a_law_of_delays_is_found_and_its_errors_are_those_stated(designs: list[Any]) -> None:
    samples, law = fitted(designs, 7.0)
    misses = [abs(judged(law, s.spec) / s.critical_path_ps - 1) for s in samples]
    error = law["error"]
    assert np.mean(misses) == pytest.approx(error["mean"], rel=0.02, abs=1e-4)
    assert max(misses) == pytest.approx(error["worst"], rel=0.02, abs=1e-4)
    assert error["rows"] == len(designs) == 24
    assert error["mean"] < 0.005 and error["worst"] < 0.01
    assert error["mean"] < error["held_out_mean"] < 0.006
    assert error["held_out_mean"] <= error["held_out_worst"] < 0.015


def paths(*measured: float, whole: bool = True) -> path_fit.Paths:
    """Two designs, of two paths and of one; those of the second are all that it has, or end in one place."""
    rows = (np.array([[1.0, 2.0], [1.0, 5.0]]), np.array([[1.0, 1.0]]))
    known = (np.array([10.0, 0.0]), np.array([3.0]))
    each = zip(rows, known, measured, (0, 1), (True, whole), strict=True)
    return path_fit.Paths.of([path_fit.Group(*group) for group in each])


def test_a_designs_delay_is_that_of_its_slowest_path_and_what_is_known() -> None:
    both = paths(1.0, 1.0)
    assert both.slowest(np.array([4.0, 1.0])).tolist() == [16.0, 8.0]
    assert both.slowest(np.array([4.0, 9.0])).tolist() == [49.0, 16.0]
    assert both.only(np.array([1])).slowest(np.array([4.0, 9.0])).tolist() == [16.0]
    assert both.only(np.array([0])).slowest(np.array([4.0, 1.0])).tolist() == [16.0]


@pytest.mark.parametrize("whole", [True, False])
def test_what_the_fit_makes_least_has_the_gradient_that_it_states(whole: bool) -> None:
    given = (paths(20.0, 30.0, whole=whole), np.array([0, 0]), np.array([1.2]), 0.1)
    at = np.array([1.5, 0.2, -0.3])
    _, slopes = path_fit._miss(at, *given)
    for number in range(3):
        step = 1e-6 * np.eye(3)[number]
        rise = path_fit._miss(at + step, *given)[0] - path_fit._miss(at - step, *given)[0]
        assert slopes[number] == pytest.approx(rise / 2e-6, rel=1e-4)


def test_a_place_that_no_fit_has_seen_takes_what_its_kind_takes_elsewhere(designs: list[Any]) -> None:
    _, law = fitted(designs, 7.0)
    kinds = {kind for place in law["value"].values() for kind in place}
    assert set(law["value"]["any"]) == kinds and path_fit.START not in kinds
    lane, anywhere = (law["value"][place]["mux"]["levels"] for place in ("lane", "any"))
    assert lane == pytest.approx(anywhere, rel=0.5) and lane != anywhere


def test_twice_as_slow_is_as_wrong_as_half() -> None:
    member, guess = np.array([0, 0]), np.array([0.0])
    at = np.zeros(3)
    exact = paths(13.0, 5.0)
    half, twice = (path_fit._miss(at, paths(13 * f, 5 * f), member, guess, 1e-3)[0] for f in (0.5, 2.0))
    assert half == pytest.approx(twice, rel=1e-2) and half > 0.9
    assert path_fit._miss(at, exact, member, guess, 1e-3)[0] < 1e-4


def test_a_path_that_never_is_the_slowest_is_learned_from_its_place() -> None:
    """Two places with one adder each; the second takes 10 ps a bit but is never a design's slowest path."""
    names = [("any", path_fit.START, path_fit.START), ("a", "mux", "levels"), ("b", "xor_row", "one")]
    whole, apart = [], []
    for number, size in enumerate((4.0, 6.0, 8.0, 12.0, 16.0, 24.0)):
        rows = np.array([[1.0, size, 0.0], [1.0, 0.0, size / 3]])
        whole.append(path_fit.Group(rows, np.zeros(2), 40 + 20 * size, number))
        apart.append(path_fit.Group(rows[1:], np.zeros(1), 40 + 45 * size / 3, number, whole=False))
    both = [group for pair in zip(whole, apart, strict=True) for group in pair]
    _, taught = path_fit._search(path_fit.Paths.of(both), names)
    _, guessed = path_fit._search(path_fit.Paths.of(whole), names)
    assert taught[2] == pytest.approx(45, rel=0.1)
    assert abs(guessed[2] - 45) > 2 * abs(taught[2] - 45)


def test_errors_are_those_of_designs_and_places_that_are_fast_are_left_out(designs: list[Any]) -> None:
    samples, alone = fitted(designs, 7.0)
    for sample in samples:
        sample.places_ps = {"lane": 0.29 * sample.critical_path_ps, "nowhere": sample.critical_path_ps}
    assert path_fit.fit_delay(samples, SRAM) == alone
    for sample in samples:
        sample.places_ps = {"lane": 0.31 * sample.critical_path_ps}
    assert path_fit.fit_delay(samples, SRAM)["error"]["rows"] == len(designs)
    assert path_fit.fit_delay(samples, SRAM) != alone


def test_the_end_of_a_path_is_its_last_step_that_is_there() -> None:
    adder, wires = ADDER("lane", 1, width=8), BROADCAST("control", 1, fanout=9)
    assert path_fit._end(Path("p", (MUX("fetch", 1, entries=2, width=8), adder, wires))) == "lane"
    assert path_fit._end(Path("p", (adder, MUX("fetch", 0, entries=2, width=8)))) == "lane"
    assert path_fit._end(Path("p", (wires,))) is None
