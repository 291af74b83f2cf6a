"""What a person reads of a search: progress, limits, notes, axes and changes of a study, word by word."""

from __future__ import annotations

import io
import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError, SpecError
from dse import explore, figure, limits, nearest, plot, progress, resume, search, store
from dse.batch import Batch, decode, encode, join
from dse.pareto import front_mask
from dse.problem import CHUNK, MESH
from dse.searches import exhaustive, protocol
from dse.searches.coding import Coding
from dse.searches.random import drawn
from tests.dse import toy
from tests.dse.toy import changed

NAMES = ("area_um2", "flip_flops")


def batch(areas: list[float], first: int = 0, reason: int = 0) -> Batch:
    numbers = np.array([[area, 2 * area] for area in areas])
    indices = np.arange(first, first + len(areas))
    return Batch(NAMES, indices, numbers, np.full(len(areas), reason, np.uint16), ("", "too large"))


def clock(monkeypatch: pytest.MonkeyPatch, *times: float) -> None:
    left = iter(times)
    monkeypatch.setattr(time, "monotonic", lambda: next(left))


def test_lines_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    lines = progress.Lines(out)
    clock(monkeypatch, 100.0, 101.0, 102.0, 103.9, 104.0, 105.0, 200.0)
    lines.start(10_000, 2_000)
    lines.advance(3_000, 1_500, 12)
    assert out.getvalue() == ""
    lines.advance(4_000, 1_600, 13)
    assert out.getvalue() == "4,000/10,000 designs (40 %), 1,600 feasible, front 13, 1,000/s, 6 s left\n"
    lines.advance(5_900, 1_700, 14)
    lines.advance(6_000, 1_700, 1_400)
    lines.advance(10_000, 1_700, 15)
    lines.stop()
    assert out.getvalue().splitlines()[1:] == [
        "6,000/10,000 designs (60 %), 1,700 feasible, front 1,400, 1,000/s, 4 s left",
        "10,000/10,000 designs (100 %), 1,700 feasible, front 15, 1,600/s, 0 s left",
    ]


def test_progress_that_was_not_shown_yet_is_shown_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    lines = progress.Lines(out, 5.0)
    clock(monkeypatch, 10.0, 10.0, 14.9)
    lines.start(8, 4)
    lines.advance(4, 1, 1)
    assert out.getvalue() == ""
    lines.stop()
    lines.stop()
    assert out.getvalue() == "4/8 designs (50 %), 1 feasible, front 1, 0/s, 0 s left\n"


def test_a_bar_is_shown_on_a_terminal_alone() -> None:
    assert isinstance(progress.for_stream(io.StringIO()), progress.Lines)
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    assert isinstance(progress.for_stream(terminal), progress.Bar)


def test_a_bar_shows_designs_feasible_ones_the_front_and_what_is_left() -> None:
    bar = progress.Bar(io.StringIO())
    bar.start(12345, 1000)
    bar.advance(2000, 1500, 7)
    _, shown, _, left = (column(bar._bar.tasks[0]) for column in bar._bar.columns)
    bar.stop()
    kinds = [type(column).__name__ for column in bar._bar.columns]
    assert kinds == ["TextColumn", "BarColumn", "TextColumn", "TimeRemainingColumn"]
    assert str(bar._bar.columns[0](bar._bar.tasks[0])) == "2,000/12,345 designs"
    assert str(shown).startswith("<rich.progress_bar") or "ProgressBar" in type(shown).__name__
    assert str(bar._bar.columns[2](bar._bar.tasks[0])) == "1,500 feasible · front 7 ·"
    assert bar._bar.finished is False and str(left)


def test_the_largest_part_is_named_with_its_share() -> None:
    assert limits._largest("largest", {"a": 1.0, "b": 3.0}, "{:g} mm".format) == "largest 'b', 3 mm (75 %)"
    assert limits._largest("largest", {"a": 0.0}, str) is None
    units = [
        SimpleNamespace(place=place, flip_flops=count) for place, count in (("a", 3), ("b", 4), ("a", 2))
    ]
    spec: Any = SimpleNamespace(units=lambda: units)
    assert limits._flip_flops(spec) == {"a": 5.0, "b": 4.0}


def test_the_longest_task_is_that_of_all_its_runs() -> None:
    tasks = [SimpleNamespace(name="q", count=3, long=400), SimpleNamespace(name="down", count=1, long=1000)]
    estimator: Any = SimpleNamespace(work=SimpleNamespace(tasks=tasks))
    spec: Any = SimpleNamespace(cycles=lambda task: task.long)
    assert limits._cycles(estimator, spec) == "longest task 'q', 1,200 cycles (55 %)"


@pytest.mark.parametrize(
    ("dram_seconds", "said"),
    [
        (0.5, "DRAM is the bottleneck in 50 % of the time"),
        (0.49, "compute takes 51 % of the time at 800 MHz"),
    ],
)
def test_half_of_the_time_makes_dram_the_bottleneck(
    dram_seconds: float, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def run(spec: Any, work: Any, mhz: float, dram: Any) -> Any:
        seen.append((work, mhz))
        return SimpleNamespace(dram_seconds=4 * dram_seconds, seconds=4.0)

    monkeypatch.setattr(limits, "run", run)
    costs = lambda _: SimpleNamespace(clock_mhz=800.0)  # noqa: E731
    estimator: Any = SimpleNamespace(prompt="prompt", work="work", dram=None, costs=costs)
    spec: Any = None
    assert limits._time(estimator, spec, "tokens_per_second", None) == said
    limits._time(estimator, spec, "time_to_first_token_s", 400.0)
    assert seen == [("work", 800.0), ("prompt", 400.0)]


def test_parameters_at_an_end_of_their_axis_are_named() -> None:
    sub = toy.space().subspaces[0]
    for width, depth, said in ((1, 2, "width 1"), (32, 4096, "width 32, depth 4,096"), (2, 2, None)):
        spec: Any = SimpleNamespace(width=width, depth=depth, style="small", registered=False)
        text = None if said is None else f"at the end of their range in the space: {said}"
        assert limits.at_ends(sub.parameter_axes, spec) == text


def test_the_first_of_equals_is_nearest() -> None:
    best = nearest.Best()
    best.offer(np.array([3.0, 2.0, 2.0]), batch([1, 2, 3]))
    best.offer(np.array([2.0]), batch([4], first=9))
    assert best.point is not None and (best.score, best.point.indices.tolist()) == (2.0, [1])
    best.offer(np.array([1.5]), batch([4], first=9))
    assert best.point.indices.tolist() == [9]


LIMITED = changed(("{area_um2: {max: 500}}", "{area_um2: {max: 10}, flip_flops: {min: 30}}"))


def test_points_that_keep_each_limit_are_counted_and_what_cannot_be_built_is_left_out() -> None:
    space = toy.space(LIMITED)
    found = nearest.of_batches(space, [batch([5, 10, 16]), batch([float("nan")], 3), batch([11, 14.9], 4)])
    assert (found.built, found.kept.tolist()) == (5, [[2, 0], [0, 1]])
    points = [best.point.indices.tolist() for best in found.alone if best.point is not None]
    assert points == [[0], [2]]
    assert nearest._conflicts(found) == [(0, 1)]
    assert found.pairs[0, 1].score == found.together.score == pytest.approx(1 / 3)
    assert found.together.point is not None and found.together.point.indices.tolist() == [1]


def test_only_parameters_with_a_choice_are_told() -> None:
    space = toy.space(changed(("{range: [1, 32]}", "7"), ("[small, fast]", "[fast]")))
    parameters = {"width": 7, "depth": 2, "style": "fast", "registered": True}
    assert nearest.varied_parameters(space, "toy", parameters) == {"depth": 2, "registered": True}


@pytest.mark.parametrize("indices", [[0, 1, 2], [7, 8, 9], [4, 2, 9]])
def test_a_stored_batch_is_the_batch(indices: list[int]) -> None:
    metrics = np.array([[1.5, -2.0], [np.nan, np.nan], [1e300, 0.0]])
    reasons = ("", "first", "second")
    before = Batch(NAMES, np.array(indices), metrics, np.array([0, 2, 1], np.uint16), reasons)
    header, payload = encode(before)
    after = decode(header, payload)
    assert after.indices.tolist() == indices and after.reason.tolist() == [0, 2, 1]
    assert np.array_equal(after.metrics, metrics, equal_nan=True) and after.reasons == reasons
    assert before.reason_counts() == {"first": 1, "second": 1} and after.feasible.tolist() == [
        True,
        False,
        False,
    ]
    assert before.column("flip_flops")[0] == before.columns()["flip_flops"][0] == -2.0
    with pytest.raises(ValueError, match=r"^not a batch: "):
        decode(header, payload[:-9])


def test_joined_reasons_are_numbered_once() -> None:
    one = batch([1.0], reason=1)
    other = Batch(NAMES, np.array([5]), np.ones((1, 2)), np.array([2], np.uint16), ("", "new", "too large"))
    both = join([one, other, batch([2.0], 8)])
    assert both.reasons == ("", "too large") and both.reason.tolist() == [1, 1, 0]
    assert both.indices.tolist() == [0, 5, 8] and both.reason_counts() == {"too large": 2}


@pytest.mark.parametrize("known", [[], [0], [3, 4], [4, 9], [0, 1, 2, 3], [8, 9]])
def test_batches_hold_what_is_not_known(known: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exhaustive, "MESH", 4)
    space = toy.space(changed(("{range: [1, 32]}", "{range: [1, 10]}"), ("{log2: [1, 4096]}", "1"),
                              ("[small, fast]", "[small]"), ("[false, true]", "[false]")))  # fmt: skip
    found = [part.tolist() for part in exhaustive.batches(space, np.array(known, np.int64))]
    parts = [[n for n in range(start, min(start + 4, 10)) if n not in known] for start in (0, 4, 8)]
    assert found == [part for part in parts if part]


@pytest.mark.parametrize(("size", "budget"), [(40, 10), (41, 10), (10**12, 10), (8, 10)])
def test_random_designs_fill_the_budget_beside_the_known(size: int, budget: int) -> None:
    known = np.array([1, 7], np.int64)
    for before in (known, known[:0]):
        found = drawn(size, budget, 3, before).tolist()
        assert len(found) == min(budget, size) - len(before) == len({*found, *before.tolist()}) - len(before)
        random = np.random.default_rng([3, 2] if len(before) else 3)
        tried = (
            random.permutation(size)
            if size <= 4 * budget
            else random.integers(0, size, budget - len(before) + 64)
        )
        new = [number for number in dict.fromkeys(tried.tolist()) if number not in before.tolist()]
        assert found == new[: budget - len(before)]
        assert max(found) < size


def test_random_designs_come_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "BATCH", 4)
    problem = toy.problem(changed(("auto", "random"), ("budget: 100000", "budget: 10")))
    parts = list(search.asked(problem))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert np.concatenate(parts).tolist() == drawn(problem.space.size, 10, 7).tolist()


def test_searches_that_ask_for_the_same_in_the_same_order() -> None:
    space = toy.space()
    every, some = space.searched(method="exhaustive"), space.searched(method="random", budget=9)
    assert search.same_order(every, space.searched(method="exhaustive", seed=9))
    assert search.same_order(some, some) and not search.same_order(some, every)
    assert not search.same_order(some, space.searched(method="random", budget=9, seed=9))
    climbing = space.searched(method="nsga2", budget=9)
    assert not search.same_order(climbing, climbing)
    assert (search.planned(every), search.planned(some)) == (space.size, 9)
    assert search.planned(space.searched(method="random")) == space.size
    assert search.is_independent(some) and not search.is_independent(climbing)


def test_few_designs_are_searched_by_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    space = toy.space(toy.LARGE)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    for method, budget, wanted, count in (
        ("random", 2 * MESH - 1, None, 1), ("random", 2 * MESH, None, 2),
        ("random", 5, 3, 3), ("nsga2", 2 * MESH, 3, 1),
    ):  # fmt: skip
        chosen = space.searched(method=method, budget=budget)
        assert explore._worker_count(chosen, wanted) == count
    with pytest.raises(ValueError, match=r"^Workers must be at least 1, not 0$"):
        explore._worker_count(space, 0)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (1, 2, "x (1 then, 2 now)"),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, "x.b (2 then, 3 now)"),
        ({"a": 1, "b": 2}, {"a": 2, "b": 3}, "x"),
        (True, ["small"], 'x (true then, ["small"] now)'),
        ({"a": {"c": 1}}, {"a": {}}, "x.a.c (1 then, nothing now)"),
        ("y" * 20, "z" * 5, f"x ({'y' * 20} then, zzzzz now)"),
        ("y" * 24, "z" * 5, f"x ({'y' * 24} then, zzzzz now)"),
        ("y" * 25, "z" * 5, "x"),
    ],
)
def test_a_change_is_named_at_its_innermost_place(before: Any, now: Any, said: str) -> None:
    assert resume._difference("x", before, now) == said


@pytest.mark.parametrize(
    ("values", "logarithmic"),
    [([1.0, 8.0], False), ([1.0, 8.1], True), ([5.0], False), ([0.0, 9.0], False), ([-1.0, 90.0], False)],
)
def test_an_axis_is_logarithmic_beyond_a_factor_of_eight(values: list[float], logarithmic: bool) -> None:
    scale = figure._scale("area_um2", "min", np.array(values))
    assert scale.logarithmic is logarithmic and scale.label.endswith(", lower is better")
    assert figure._scale("peak_macs", "max", np.array(values)).label.endswith(", higher is better")


def noted(**more: Any) -> str:
    space = SimpleNamespace(size=5000, method="random", subject=SimpleNamespace(memory="is there"))
    facts = {
        "space": space, "feasible": 1200, "front": range(200), "exact": False, "evaluated": 4000,
        "infeasible": {}, "pruned": {}, "covers": "everything", "ladder": (),
    }  # fmt: skip
    study: Any = SimpleNamespace(**{**facts, **more})
    return figure._note(study, 1000).splitlines()[0 if "infeasible" not in more else 1]


def test_a_picture_says_what_it_leaves_out() -> None:
    assert noted() == "4,000 designs (of 5,000, by random) · front 200 · dominated 1,000"
    assert noted(feasible=1201).endswith("dominated 1,001 (1,000 of them shown)")
    assert noted(exact=True).startswith("4,000 designs (every design: the front is exact) · ")
    assert noted(exact=True, ladder=("measured",)).startswith("4,000 designs (of 5,000, by random) · ")
    three = {"a": 1000, "b": 2, "c": 3}
    assert noted(infeasible=three) == "infeasible 1,005: 1,000 a · 2 b · 3 c"
    assert noted(infeasible={**three, "d": 1, "e": 1}).endswith("3 c · 2 more reasons")
    assert noted(infeasible={}, pruned={"a": 1000, "b": 2}) == "left out by bounds 1,002"


@pytest.mark.parametrize(
    ("front", "behind", "direction", "logarithmic", "expected"),
    [
        ([1.0, 2.0], [], "min", False, (0.94, 2.06)),
        ([2.0, 2.0], [], "min", False, (1.9, 2.1)),
        ([0.0], [], "min", False, (-1.0, 1.0)),
        ([1.0], [*range(101)], "min", False, (1 - 0.06 * 96, 97 + 0.06 * 96)),
        ([99.0], [*range(101)], "max", False, (3 - 0.06 * 96, 99 + 0.06 * 96)),
        ([1.0, 1e20], [], "min", True, (0.1, 1e21)),
    ],
)
def test_axes_reach_all_of_the_front_and_most_behind_it(
    front: list[float], behind: list[float], direction: str, logarithmic: bool, expected: tuple[float, float]
) -> None:
    scale = figure.Scale("x", "x", 1.0, direction, logarithmic)
    found = plot._limits(np.array(front), np.array(behind, float), scale)
    assert found == pytest.approx(expected)


def test_families_beyond_the_styles_begin_anew() -> None:
    shown: Any = SimpleNamespace(families=tuple("abcde"))
    styles = plot.family_styles(shown)
    assert styles["e"] == styles["a"] and len(set(styles.values())) == 4


def test_the_knee_is_told_by_four_numbers_that_differ() -> None:
    row = {"id": "p1", "family": "toy", "a": 1, "b": "text", "c": True, "d": 2, "e": 3, "f": 4, "g": 5}
    scales: Any = ()
    nothing = np.zeros((0, 2))
    shown = figure.Picture(scales, nothing, nothing, [row], [], 0, tuple("abcdefg"), ("toy",), "", "")
    assert shown.knee_text == ["p1", "a 1, d 2, e 3, f 4"]
    two = figure.Picture(scales, nothing, nothing, [row], [], 0, (), ("toy", "twin"), "", "")
    assert two.knee_text == ["p1", "toy"]


def test_the_line_through_a_front_is_what_is_best_in_two_objectives() -> None:
    points = np.array([[3.0, 9.0, 0], [1.0, 5.0, 0], [2.0, 4.0, 0], [2.0, 7.0, 0], [9.0, 9.0, -1]])
    scales = tuple(figure.Scale(n, n, 1.0, way, False) for n, way in (("a", "min"), ("b", "max")))
    assert figure.envelope(points, scales).tolist() == [[1, 5], [2, 7], [3, 9]]


def test_problems_take_chunks_of_any_length() -> None:
    problem = toy.problem(toy.LARGE)
    whole = problem.evaluate(np.arange(CHUNK + 3))
    assert len(whole) == CHUNK + 3 and whole.indices[-1] == CHUNK + 2
    assert len(problem.evaluate(np.arange(0))) == 0
    best = problem.front(whole)
    kept = whole.pick(whole.feasible)
    expected = sorted(kept.indices[front_mask(problem.objectives(kept))].tolist())
    assert best.indices.tolist() == expected


def test_neighbors_step_on_ordered_axes_and_try_all_of_others() -> None:
    coding = Coding(toy.space(changed(("[small, fast]", "[small]"))))
    first, middle = coding.genomes(np.array([0, 0])), coding.genomes(np.array([0]))[0]
    assert (first[0] == middle).all()
    around = {tuple(genome.tolist()) for genome in coding.neighbors(middle)}
    assert around == {(0, 1, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 0, 1)}
    inner = coding.neighbors(np.array([0, 5, 3, 0, 1]))
    assert {tuple(genome.tolist()) for genome in inner} == {
        *((0, 4, 3, 0, 1), (0, 6, 3, 0, 1), (0, 5, 2, 0, 1), (0, 5, 4, 0, 1), (0, 5, 3, 0, 0)),
    }
    with pytest.raises(ParamError, match=r"^Budget must be"):
        toy.space().searched(budget=0)


@pytest.mark.parametrize(
    ("code", "must"),
    [
        (sqlite3.SQLITE_PERM, "must be readable and writable"),
        (sqlite3.SQLITE_BUSY, "must not be locked by another program"),
        (sqlite3.SQLITE_LOCKED, "must not be locked by another program"),
        (sqlite3.SQLITE_NOMEM, "must fit the memory"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, "must be readable and writable"),
        (sqlite3.SQLITE_IOERR_WRITE, "must be readable and writable on a disk with room"),
        (sqlite3.SQLITE_FULL, "must have room on its disk"),
        (sqlite3.SQLITE_CANTOPEN, "must be readable and writable"),
        (sqlite3.SQLITE_IOERR_SHORT_READ, ""),
        (sqlite3.SQLITE_CORRUPT, ""),
        (sqlite3.SQLITE_NOTADB, ""),
        (None, ""),
    ],
)
def test_a_fault_of_the_disk_is_told_from_a_damaged_study(code: int | None, must: str) -> None:
    """A file that ends too early is damaged; nothing is mended by running the command again."""
    problem = sqlite3.DatabaseError("odd")
    if code is not None:
        problem.sqlite_errorcode = code
    told = str(store._fault(Path("s/study.db"), problem))
    if must:
        end = "and SQLite says 'odd'; mend that, and the same command goes on"
        assert told == f"s/study.db: study {must}, {end}"
    else:
        assert told.startswith("s/study.db: study must be undamaged, and it is not (odd); restore it from")


SEARCH = "search: {method: auto, budget: 100000, seed: 7}"


@pytest.mark.parametrize(
    ("field", "low", "high", "allowed"),
    [
        ("budget", 1, 200_000_000, "1 to 200000000"),
        ("seed", 0, 2**63 - 1, f"0 to {2**63 - 1}"),
        ("population", 8, 65_536, "8 to 65536"),
        ("modelled", 16, 2048, "16 to 2048"),
    ],
)
def test_a_search_in_a_file_may_be_at_its_limits(field: str, low: int, high: int, allowed: str) -> None:
    for value in (low, high):
        found = toy.space(changed((SEARCH, f"search: {{{field}: {value}}}"))).search
        assert found.content()[field] == value
    for value in (low - 1, high + 1):
        with pytest.raises(SpecError) as caught:
            toy.space(changed((SEARCH, f"search: {{{field}: {value}}}")))
        assert str(value) in str(caught.value), allowed


def test_a_constraint_of_one_value_is_allowed() -> None:
    found = toy.space(changed(("{area_um2: {max: 500}}", "{area_um2: {min: 5, max: 5}}")))
    assert [limit.text for limit in found.limits] == [
        "area_um2 must be at least 5",
        "area_um2 must be at most 5",
    ]
    assert (found.search.options["population"], found.search.seed) == (128, 7)
