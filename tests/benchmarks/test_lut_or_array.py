"""Tables against arrays: the page compares what it says."""

import numpy as np
import pytest

from benchmarks import lut_or_array
from benchmarks.lut_or_array import ARRAYS, TABLES, Best
from blueprint import registry
from blueprint.workloads.tasks import Gemm
from costmodel.model import estimate
from costmodel.technology import technology

DECODE = Gemm(1, lut_or_array.LENGTH, lut_or_array.LENGTH)


def test_every_type_has_designs_of_both_families_at_every_size() -> None:
    found = lut_or_array.results("asap7", "decode")
    assert {kind for kind, _ in found} == set(lut_or_array.TYPES)
    assert all(set(pair) == {TABLES, ARRAYS} for pair in found.values())


def test_best_is_that_of_one_design_after_the_other() -> None:
    problem = lut_or_array.problem("INT8", 1, "asap7")
    tech = technology.load("asap7")
    found = lut_or_array.best(problem, DECODE, 256)
    chosen = np.random.default_rng(3).permutation(problem.space.size)[:300]
    seen = 0
    for index in chosen:
        kind, parameters = problem.space.design(int(index))
        if not problem.evaluate(np.array([index])).feasible[0]:
            continue
        spec = registry.families()[kind](**parameters)
        rate = DECODE.macs / int(spec.cycles(DECODE))
        if lut_or_array.SLOWEST * 256 <= rate <= lut_or_array.FASTEST * 256:
            seen += 1
            area = sum(estimate.area(spec.units(), tech).values()) / rate
            period = float(estimate.delay(spec, tech)) * 1e-3
            assert found[kind].area <= area * 1.000001
            assert found[kind].area_time <= area * period * 1.000001
    assert seen >= 5


def test_tables_win_where_arrays_need_more() -> None:
    pair = {TABLES: Best("small", 2.0, 4.0, 2.0), ARRAYS: Best("large", 3.0, 2.0, 2.5)}
    assert lut_or_array.gains(pair) == (1.5, 0.5)
    assert lut_or_array._from({64: 0.5, 256: 1.5, 1024: 1.2}) == "tables at 256, 1024; 1.50x at 256"
    assert lut_or_array._from({64: 1.5, 256: 1.1}) == "tables at every size; 1.50x at 64"


@pytest.mark.parametrize("gain", [{64: 0.9}, {64: None}, {64: 1.0, 256: None}])
def test_no_win_is_claimed_without_one(gain: dict[int, float | None]) -> None:
    assert lut_or_array._from(gain) == "arrays at every size"


def test_a_family_that_is_missing_has_no_gain() -> None:
    assert lut_or_array.gains({TABLES: Best("alone", 2.0, 4.0, 2.0)}) is None
    assert lut_or_array._row("INT8", 64, {}) == "| INT8 | 64 | - | - | - | - | - | - | none | none |"


@pytest.mark.slow
def test_page_is_what_the_command_writes() -> None:
    assert lut_or_array.PAGE.read_text(encoding="utf-8") == lut_or_array.page()
