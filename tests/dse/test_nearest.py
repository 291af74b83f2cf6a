"""An empty front says, for every constraint, what comes nearest and what limits it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dse import nearest, report
from dse.batch import Batch
from dse.explore import problem_of, run
from dse.space_file import read_space
from ternforge.verbs.explore import front_lines
from tests.dse import toy
from tests.dse.toy import changed

CONSTRAINTS = "{area_um2: {max: 500}}"


def batch_of(text: str) -> Batch:
    problem = toy.problem(text)
    return problem.evaluate(np.arange(problem.space.size))


def fast(limits: str) -> str:
    return changed((CONSTRAINTS, limits))


def test_the_nearest_to_one_constraint_is_the_best_design_that_can_be_built(tmp_path: Path) -> None:
    text = fast("{tokens_per_second: {min: 1e9}}")
    whole = batch_of(text)
    rate = np.where(np.isnan(whole.column("tokens_per_second")), -1, whole.column("tokens_per_second"))
    with run(toy.problem(text), tmp_path) as study:
        found = study.summary()["nearest"]
    assert found["built"] == int((rate >= 0).sum()) < len(whole)
    (limit,) = found["limits"]
    assert (limit["constraint"], limit["kept_by"]) == ("tokens_per_second must be at least 1e+09", 0)
    best = limit["nearest"]
    assert best["id"] == study.space.point_id(int(np.argmax(rate)))
    assert best["values"] == {"tokens_per_second": rate.max()}
    assert best["parameters"] == study.space.design(int(np.argmax(rate)))[1]
    assert found["conflicts"] == [] and found["together"]["id"] == best["id"]


PAIR = fast("{area_um2: {max: 5}, tokens_per_second: {min: 20000}, flip_flops: {min: 1}}")


def test_two_constraints_that_exclude_each_other_are_named(tmp_path: Path) -> None:
    whole = batch_of(PAIR)
    area, rate = (whole.column(name) for name in ("area_um2", "tokens_per_second"))
    small, quick = area <= 5, rate >= 20000
    assert small.any() and quick.any() and not (small & quick).any()
    with run(toy.problem(PAIR), tmp_path) as study:
        found = study.nearest
    assert found is not None
    assert [limit["kept_by"] for limit in found["limits"]] == [
        int(small.sum()),
        int(quick.sum()),
        int((whole.column("flip_flops") >= 1).sum()),
    ]
    (pair,) = found["conflicts"]
    assert pair["constraints"] == ["area_um2 must be at most 5", "tokens_per_second must be at least 20000"]
    over = np.maximum(area / 5 - 1, 0) + np.maximum(1 - rate / 20000, 0)
    best = int(np.nanargmin(over))
    assert pair["nearest"]["id"] == found["together"]["id"] == study.space.point_id(best)
    assert pair["nearest"]["values"] == {"area_um2": area[best], "tokens_per_second": rate[best]}


def test_a_constraint_that_none_keeps_is_no_conflict_of_two(tmp_path: Path) -> None:
    text = fast("{area_um2: {max: 5}, tokens_per_second: {min: 1e9}}")
    with run(toy.problem(text), tmp_path) as study:
        found = study.nearest
    assert found is not None
    assert [bool(limit["kept_by"]) for limit in found["limits"]] == [True, False]
    assert found["conflicts"] == []


def test_both_sides_of_a_constraint_are_limits_of_their_own() -> None:
    space = toy.space(fast("{area_um2: {min: 3.01, max: 3.02}}"))
    assert [limit.text for limit in nearest.Nearest(space).limits] == [
        "area_um2 must be at least 3.01",
        "area_um2 must be at most 3.02",
    ]


@pytest.mark.parametrize("parts", [1, 7, 400])
def test_points_in_batches_of_any_size_give_the_same_and_few_are_kept(parts: int) -> None:
    whole = batch_of(PAIR)
    space = toy.space(PAIR)
    one = nearest.of_batches(space, [whole])
    many = nearest.of_batches(
        space, (whole.pick(rows) for rows in np.array_split(np.arange(len(whole)), parts))
    )
    assert (one.built, one.kept.tolist()) == (many.built, many.kept.tolist())
    for ours, theirs in (
        *zip(one.alone, many.alone, strict=True),
        *zip(one.pairs.values(), many.pairs.values(), strict=True),
        (one.together, many.together),
    ):
        assert ours.point is not None and theirs.point is not None
        assert ours.point.indices.tolist() == theirs.point.indices.tolist()
        assert len(theirs.point) == 1 and theirs.point.metrics.base is None


def test_a_million_points_go_by_in_a_moment() -> None:
    import time

    whole = batch_of(PAIR)
    found = nearest.Nearest(toy.space(PAIR))
    large = whole.pick(np.resize(np.arange(len(whole)), 65_536))
    began = time.process_time()
    for _ in range(16):
        found.add(large)
    assert time.process_time() - began < 5
    assert found.built == 16 * int((~np.isnan(large.metrics[:, 0])).sum())


def test_a_space_of_which_nothing_can_be_built_says_so(tmp_path: Path) -> None:
    text = changed(("{log2: [1, 4096]}", "4096"), ("{range: [1, 32]}", "{range: [2, 32]}"))
    with run(toy.problem(text), tmp_path) as study:
        answer, page = study.summary(), report.html(study)
    assert answer["nearest"]["built"] == 0
    assert [limit["nearest"] for limit in answer["nearest"]["limits"]] == [None]
    assert front_lines(answer, "out")[1:] == [
        "FAIL: no design is feasible, as none can be built for the workload",
        "  124: more than 4096 bits",
    ]
    assert "0 designs can be built" in page


def test_a_study_with_a_front_has_no_nearest(tmp_path: Path) -> None:
    with run(toy.problem(), tmp_path) as study:
        assert study.nearest is None and study.summary()["nearest"] is None


SPACE = """\
schema: ternforge/space/v1
family: {family}
parameters: {parameters}
workload: {{model: tiny, phase: decode, context: 20}}
technology: asap7
dram: {{bandwidth_gb_s: {bandwidth}, energy_pj_per_bit: 2, source: made up}}
objectives: {{area_um2: min}}
constraints: {{{limit}}}
"""
FAMILIES = {
    "ternary_lut": "{mu: [1, 2, 3], lut_count: [2, 4], fetch_count: 4, act_width: 8, k_max: 256, n_max: 256}",
    "systolic": "{organization: [weight_stationary, cube], pe: ternary, rows: [2, 4, 8], cols: 4, dot_length: 2, "
    "act_width: 8, weight_width: 2, k_max: 256, n_max: 256}",
    "streaming_attention": "{dim: 16, keys_max: 64, mask: causal, parallel: [1, 2, 4]}",
}
PART = {"ternary_lut": "ternary", "systolic": "ternary", "streaming_attention": "attention"}


def explained(tmp_path: Path, family: str, limit: str, bandwidth: float = 100) -> dict[str, Any]:
    path = tmp_path / "space.yaml"
    path.write_text(
        SPACE.format(family=family, parameters=FAMILIES[family], limit=limit, bandwidth=bandwidth)
    )
    with run(problem_of(read_space(path)), tmp_path / "study") as study:
        answer = study.summary()
    json.dumps(answer)
    assert not answer["front"]
    found: dict[str, Any] = answer["nearest"]["limits"][0]
    assert found["kept_by"] == 0
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_a_clock_is_limited_by_the_slowest_path(family: str, tmp_path: Path) -> None:
    from blueprint import registry
    from costmodel.model import estimate
    from costmodel.technology import technology

    found = explained(tmp_path, family, "clock_mhz: {min: 50000}")["nearest"]
    spec = registry.get(family).from_mapping(found["parameters"])
    tech = technology.load("asap7")
    slowest = max(spec.paths(), key=lambda path: float(estimate.steps(path, tech)))
    assert 1e6 / found["values"]["clock_mhz"] == pytest.approx(float(estimate.delay(spec, tech)))
    text = found["limited_by"]["clock_mhz"]
    assert text.startswith(f"slowest path {slowest.name!r}, ")


@pytest.mark.parametrize("family", FAMILIES)
def test_an_area_is_limited_by_the_largest_place(family: str, tmp_path: Path) -> None:
    from blueprint import registry
    from costmodel.model import estimate
    from costmodel.technology import technology

    found = explained(tmp_path, family, "area_um2: {max: 1}")["nearest"]
    spec = registry.get(family).from_mapping(found["parameters"])
    areas = {place: float(a) for place, a in estimate.area(spec.units(), technology.load("asap7")).items()}
    place = max(areas, key=lambda name: areas[name])
    share = f"({100 * areas[place] / sum(areas.values()):.0f} %)"
    text = found["limited_by"]["area_um2"]
    assert text.startswith(f"largest place {place!r}, ") and text.endswith(share)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("limit", "bandwidth", "words"),
    [
        ("flip_flops: {max: 1}", 100, "most stand in '"),
        ("cycles: {max: 1}", 100, "longest task '"),
        ("PART_tokens_per_second: {min: 1e12}", 1e6, "compute takes 100 % of the time at "),
        ("PART_tokens_per_second: {min: 1e12}", 1e-3, "DRAM is the bottleneck in 100 % of the time"),
        ("dram_share: {max: -1}", 1e-3, "DRAM is the bottleneck in 100 % of the time"),
        ("utilization: {min: 2}", 1e-3, "DRAM is the bottleneck in 100 % of the time"),
        ("PART_energy_pj_per_token: {max: 1}", 1e6, "largest part 'dram', "),
        ("PART_core_energy_pj_per_token: {max: 1}", 1e-3, "largest part 'clock', "),
        ("power_mw: {max: 1e-9}", 1e6, "largest part '"),
    ],
)
def test_other_numbers_name_their_largest_part(
    family: str, limit: str, bandwidth: float, words: str, tmp_path: Path
) -> None:
    found = explained(tmp_path, family, limit.replace("PART", PART[family]), bandwidth)
    text = found["nearest"]["limited_by"][found["metric"]]
    assert text.startswith(words), text


def test_a_peak_is_limited_by_the_ends_of_the_space(tmp_path: Path) -> None:
    found = explained(tmp_path, "ternary_lut", "peak_macs: {min: 1e6}")["nearest"]
    assert found["limited_by"] == {"peak_macs": "at the end of their range in the space: mu 3"}


def test_text_and_report_tell_it_all(tmp_path: Path) -> None:
    with run(toy.problem(PAIR), tmp_path) as study:
        answer, page = study.summary(), report.html(study)
    lines = front_lines(answer, "out")
    assert lines[1] == "FAIL: no design is feasible"
    assert any(
        line.startswith("area_um2 must be at most 5: ") and line.endswith(" keep it") for line in lines
    )
    pair = next(line for line in lines if "no design keeps both; nearest p" in line)
    assert pair.startswith("area_um2 must be at most 5 and tokens_per_second must be at least 20000: ")
    assert lines[-1].startswith(
        f"nearest to all constraints together: {answer['nearest']['together']['id']}: "
    )
    for piece in ("0 together", answer["nearest"]["together"]["id"], "all together"):
        assert piece in page
