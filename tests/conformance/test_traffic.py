"""The traffic a design is charged for is what crosses its streams, beat for beat, and peaks are what no run exceeds."""

from __future__ import annotations

import numpy as np
import pytest

from blueprint.registry import families
from ternforge.conformance import check_peak, check_work
from tests.volume import some

FAMILIES = sorted(families())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("number", range(some(16, of=40)))
def test_traffic_is_what_crosses_the_streams_and_no_run_exceeds_the_peak(family: str, number: int) -> None:
    spec = families()[family].sample(np.random.default_rng([17, number]))
    assert list(check_work(spec, number)) == [], spec


@pytest.mark.parametrize("family", FAMILIES)
def test_some_run_comes_close_to_the_peak(family: str) -> None:
    """Of many designs on long tasks the best reaches nearly its peak: a peak twice too high would show."""
    specs = [families()[family].sample(np.random.default_rng([19, number])) for number in range(60)]
    assert list(check_peak(specs)) == []


@pytest.mark.parametrize("factor", [2, 0.5])
def test_another_peak_or_traffic_is_noticed(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twins: a peak twice too high or half of what it is, and as much or as little traffic."""
    kind = families()["ternary_lut"]
    specs = [kind.sample(np.random.default_rng([19, number])) for number in range(60)]
    peak, traffic = kind.peak_macs, kind.dram_bits
    with monkeypatch.context() as changed:
        changed.setattr(kind, "peak_macs", property(lambda p: factor * peak.fget(p)))
        wrong = [*check_peak(specs)] if factor > 1 else [what for s in specs for what in check_work(s, 0)]
        assert wrong and all("peak" in what for what in wrong)
    monkeypatch.setattr(
        kind, "dram_bits", lambda p, task: {k: factor * v for k, v in traffic(p, task).items()}
    )
    assert all("cross the streams" in what for what in check_work(specs[0], 0)) and [*check_work(specs[0], 0)]
