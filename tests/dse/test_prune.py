"""Searches that leave out designs by bounds: the front of every design, to the bit."""

from __future__ import annotations

import dataclasses
import html
import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError
from dse import figure, prune, report
from dse.axis import Axis
from dse.batch import Batch, drawn
from dse.cells import Grid, has_runs, runs
from dse.evaluation import Bounder, Bounds
from dse.explore import problem_of, run
from dse.interval import Interval, high, low
from dse.mesh import of_range
from dse.problem import Problem
from dse.shard import Shard
from dse.space_file import read_space
from dse.study import open_study
from ternforge.verbs.explore import front_lines
from tests.costmodel import gated
from tests.dse.test_thinned import Stops

_END = "technology: asap7\nsearch: {method: pruned}\n"
_ROWS = "objectives: {area_um2: min, rows_per_second: max, energy_pj_per_row: min}\n"
_GEMM = "workload: {gemm: {m: 4, k: 640, n: 640}}\n"
_DRAM = "dram: {bandwidth_gb_s: 3.2, energy_pj_per_bit: 20, source: assumed}\n"
#: A space of every family with dense axes: its parameters, its work, and a limit that some designs break.
FAMILIES = {
    "ternary_lut": (
        "{act_width: [4, 8], mu: [2, 3, 4], lut_count: {range: [4, 32]}, fetch_count: {range: [8, 40]}, "
        "table_style: [half, full], build_style: [direct, shared], build_register: [false, true], "
        "k_max: 640, n_max: 640}\n",
        _GEMM + _DRAM,
        "area_um2: {max: 20000}",
    ),
    "systolic": (
        "{organization: [weight_stationary, output_stationary, cube], pe: [mac, ternary], dot_length: [1, 2], "
        "rows: {range: [4, 36]}, cols: {range: [8, 40]}, product_register: [false, true], act_width: 8, "
        "weight_width: 2, token_depth: 16, k_max: 640, n_max: 640}\n",
        _GEMM + _DRAM,
        "area_um2: {max: 30000}, clock_mhz: {min: 900}",
    ),
    "streaming_attention": (
        "{graph: [naive, scaled, reordered, memory_free], dim: 64, keys_max: {range: [100, 900, 7]}, mask: causal, "
        "parallel: {log2: [1, 8]}, head_group: [1, 2], exp_stages: {range: [0, 3]}, kv_width: [4, 8]}\n",
        "workload: {attention: {seq: 256, heads: 4, kv_heads: 2, dim: 64, mask: causal}}\n",
        "area_um2: {max: 60000}",
    ),
    "vector": (
        "{rows_max: {range: [64, 6000, 100]}, length_max: {range: [2000, 7680, 160]}, lanes: {log2: [1, 16]}, "
        "format: [fp16, bf16], rows_kept: [2, 3]}\n",
        "workload: {rowwise: {rows: 64, length: 2560, operation: dequantize+add+norm+quantize}}\n",
        "area_um2: {max: 12000}",
    ),
}
CLOCKED = "clock_mhz: [200, 500]\n"


def text(family: str, limits: str = "") -> str:
    parameters, work, _ = FAMILIES[family]
    limited = f"constraints: {{{limits}}}\n" if limits else ""
    head = f"schema: ternforge/space/v1\nname: dense\nfamily: {family}\nparameters: {parameters}"
    return head + work + _ROWS + limited + _END


def problem(content: str, folder: Path) -> Problem:
    path = folder / "dense.yaml"
    path.write_text(content)
    return problem_of(read_space(path))


@cache
def every(content: str, folder: Path) -> tuple[Problem, Batch]:
    """A problem, and all of its designs."""
    found = problem(content, folder)
    return found, found.evaluate(np.arange(found.space.size))


CASES = [
    pytest.param(family, limits, id=f"{family}-{'limits' if limits else 'free'}")
    for family, (_, _, limit) in FAMILIES.items()
    for limits in ("", limit)
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dense")


@pytest.mark.parametrize(("family", "limits"), CASES)
def test_the_front_is_that_of_every_design(family: str, limits: str, shared: Path, tmp_path: Path) -> None:
    asked, whole = every(text(family, limits), shared)
    best = asked.front(whole)
    with run(asked, tmp_path / "study", workers=1, points_csv=False) as study:
        assert study.front.indices.tolist() == best.indices.tolist()
        assert study.front.metrics.tobytes() == best.metrics.tobytes()
        assert study.evaluated == len(whole) and study.exact and study.complete
        assert sum(study.pruned.values()) > len(whole) / 20
        kept = np.concatenate([batch.indices for batch in study.batches()])
        assert kept.tolist() == np.flatnonzero(drawn(whole.indices, asked.space.share)).tolist()
        counts = whole.reason_counts()
        assert all(number <= counts[reason] for reason, number in study.infeasible.items())
        assert study.feasible <= int(whole.feasible.sum())
        assert study.summary()["pruned"] == study.pruned


@pytest.mark.parametrize(("family", "limits"), CASES)
def test_designs_are_left_out_for_the_reason_that_is_told(family: str, limits: str, shared: Path) -> None:
    asked, whole = every(text(family, limits), shared)
    asked = dataclasses.replace(asked, scouted=prune.scout(asked))
    front = asked.front(whole).indices
    for box in of_range(asked.space, 0, asked.space.size, prune.BOX):
        grid = Grid(box)
        cells, reasons = prune._judged(asked, grid)
        codes = grid.spread(cells)
        for code, reason in enumerate(reasons[1:], start=1):
            out = box.indices[codes == code]
            said = {whole.reasons[number] for number in np.unique(whole.reason[out])}
            if reason == prune.DOMINATED:
                assert not np.isin(out, front).any()
            elif reason in [limit.text for limit in asked.space.limits]:
                assert "" not in said
            else:
                assert not whole.built[out].any()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("clocks", "gates"), [("", ""), (CLOCKED, ""), ("", "gates")], ids=["fastest", "clocks", "gates"]
)
def test_no_number_of_a_design_is_outside_its_range(
    family: str, clocks: str, gates: str, shared: Path
) -> None:
    content = text(family) + clocks
    if gates:
        content = content.replace("technology: asap7", f"technology: {gated.written(shared)}")
    asked, whole = every(content, shared)
    judge = asked.evaluators[family]
    assert isinstance(judge, Bounder)
    ranges = 0
    for box in of_range(asked.space, 0, asked.space.size, prune.BOX):
        grid = Grid(box)
        found = judge.bounds(grid)
        for name in asked.metrics:
            ends = [grid.spread(np.broadcast_to(end(found.metrics[name]), grid.cells)) for end in (low, high)]
            values = whole.column(name)[box.indices]
            some = ~np.isnan(values)
            assert (ends[0][some] <= values[some]).all() and (values[some] <= ends[1][some]).all(), name
            ranges += int((ends[0] < ends[1]).sum())
    assert ranges


def test_two_workers_and_an_interrupted_search_make_the_same_study(tmp_path: Path) -> None:
    content = text("ternary_lut", FAMILIES["ternary_lut"][2])
    found = []
    asked = problem(content, tmp_path)
    small = pytest.MonkeyPatch()
    small.setattr(prune, "BOX", 1 << 14)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(asked, tmp_path / "stopped", workers=1, progress=Stops(2))
        for folder, workers in (("one", 1), ("two", 2), ("stopped", 1)):
            with run(asked, tmp_path / folder, workers=workers, points_csv=False) as study:
                found.append((study.digest(), study.pruned, study.infeasible, study.sizes()))
    finally:
        small.undo()
    assert found[0] == found[1] == found[2] and len(found[0][3]) > 2


def test_a_search_of_every_design_after_it_begins_anew(tmp_path: Path) -> None:
    content = text("ternary_lut", FAMILIES["ternary_lut"][2])
    with run(problem(content, tmp_path), tmp_path / "study", points_csv=False) as study:
        before = study.front.indices.tolist()
    whole = problem(content.replace("pruned", "exhaustive"), tmp_path)
    with run(whole, tmp_path / "study", points_csv=False) as study:
        assert study.front.indices.tolist() == before and not study.pruned and study.keeps_all
        assert "pruned" not in study.summary()


#: Designs that can be built lie outside the sample of so small a space, whose first design is always in it.
SPARSE = """\
schema: ternforge/space/v1
family: ternary_lut
parameters: {k_max: [320, 640], lut_count: {range: [4, 9]}, fetch_count: 8, act_width: 8, mu: 2, n_max: 640}
workload: {gemm: {m: 4, k: 640, n: 640}}
technology: asap7
objectives: {area_um2: min, rows_per_second: max}
constraints: {area_um2: {max: 10}}
search: {method: pruned}
"""


def test_an_empty_front_is_not_said_to_be_unbuildable_because_its_sample_is(tmp_path: Path) -> None:
    with run(problem(SPARSE, tmp_path), tmp_path / "study", points_csv=False) as study:
        answer, shown = study.summary(), report.html(study)
    assert answer["nearest"]["built"] == 0 and answer["nearest"]["sampled"] == answer["kept"] == 1
    assert front_lines(answer, "out") == [
        "12 of 12 designs looked at (every design: the front is exact), at least 0 feasible, 0 on the front",
        "  6 left out by bounds: area_um2 must be at most 10",
        "  5 left out by bounds: k_max must be at least 640, the workload's largest k",
        "FAIL: no design is feasible",
        "  1: k_max must be at least 640, the workload's largest k",
        "none of the sample of 1 designs can be built, so none is named as the nearest",
    ]
    assert "At least 0 designs can be built." in shown and "out of a sample of 1." in shown


def test_designs_without_dense_axes_are_all_evaluated(tmp_path: Path) -> None:
    content = (
        text("vector").replace("{range: [64, 6000, 100]}", "64").replace("{range: [2000, 7680, 160]}", "2560")
    )
    asked = problem(content, tmp_path)
    with run(asked, tmp_path / "study", points_csv=False) as study:
        best = asked.front(asked.evaluate(np.arange(asked.space.size)))
        assert not study.pruned and study.front.indices.tolist() == best.indices.tolist()


def test_a_shard_leaves_nothing_out(tmp_path: Path) -> None:
    message = (
        "Search of a shard must not leave out designs by bounds, as pruned does; give --method exhaustive, or search "
        "without --shard"
    )
    with pytest.raises(ParamError, match=f"^{re.escape(message)}$"):
        run(problem(text("vector"), tmp_path), tmp_path / "study", shard=Shard(1, 2))
    assert not (tmp_path / "study").exists()


def test_a_space_beyond_a_day_is_refused(tmp_path: Path) -> None:
    dense = (
        text("vector").replace("[64, 6000, 100]", "[64, 60000]").replace("[2000, 7680, 160]", "[64, 60000]")
    )
    path = tmp_path / "space.yaml"
    path.write_text(dense)
    message = "method must be one that keeps a budget for a space of 7.18e\\+10 designs, not 'pruned'$"
    with pytest.raises(ValueError, match=message):
        read_space(path)


def test_the_reasons_stand_in_the_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ternforge.cli import run as command

    path = tmp_path / "space.yaml"
    path.write_text(text("vector", "area_um2: {max: 12000}"))
    assert command(["explore", str(path), "--out", str(tmp_path / "study")]) == 0
    said = capsys.readouterr().out
    assert re.search(
        r"designs looked at \(every design: the front is exact\), at least [\d,]+ feasible, ", said
    )
    assert re.search(r"^  [\d,]+ left out by bounds: area_um2 must be at most 12000$", said, re.MULTILINE)
    with open_study(tmp_path / "study") as study:
        headers = list(study._store.headers())
        total = sum(study.pruned.values())
    assert sum(sum(header["pruned"].values()) for header in headers if "pruned" in header) == total > 0


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ((1, 2, 3, 4, 5, 6, 7, 8), [0, 1, 2, 3, 5, 7]),
        ((100, 110, 120, 125, 126), [0, 4]),
        ((126, 125, 110, 100, 10), [0, 3, 4]),
        ((0, 0, 1), [0, 1, 2]),
        (("a", "a", "a"), [0, 1, 2]),
        ((False, True, True), [0, 1, 2]),
    ],
)
def test_runs_are_values_within_a_factor(values: tuple[Any, ...], places: list[int]) -> None:
    assert runs(Axis("x", values)) == places
    assert has_runs(Axis("x", values)) == (2 * len(places) <= len(values))


def test_a_report_says_how_many_are_left_out(tmp_path: Path) -> None:
    with run(problem(text("vector", "area_um2: {max: 12000}"), tmp_path), tmp_path / "study") as study:
        page = report.html(study)
        assert "<td>Feasible, at least</td>" in page and "<h2>Designs left out by bounds</h2>" in page
        for reason, count in study.pruned.items():
            assert f"<tr><td>{reason}</td><td>{count:,}</td></tr>" in html.unescape(page)
        assert f"left out by bounds {sum(study.pruned.values()):,}" in figure._note(study, 10)


def test_a_cell_as_good_as_a_known_design_stays() -> None:
    """Its best may be another design with the same numbers, and both are on the front."""
    space = SimpleNamespace(objectives={"a": "min", "b": "max"})
    asked: Any = SimpleNamespace(space=space, scouted=np.array([[1.0, -2.0], [5.0, -9.0]]))
    metrics = {
        "a": Interval(np.array([1.0, 1.0, 0.5, 1.5, np.nan, 5.0]), np.full(6, 9.0)),
        "b": Interval(np.zeros(6), np.array([2.0, 1.5, 1.0, 2.5, 1.0, 9.0])),
    }
    grid: Any = SimpleNamespace(cells=(6,))
    found = prune._beaten(asked, Bounds(metrics, []), grid)
    assert found.tolist() == [False, True, False, False, False, False]
    asked.scouted = None
    assert not prune._beaten(asked, Bounds(metrics, []), grid).any()
