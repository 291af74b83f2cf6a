"""What the bench does and expects, step by step, is what was recorded; and each expectation refuses what it must."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pytest

from benchmarks.bench_strength import DESIGNS
from blueprint import registry
from blueprint.spec import Spec
from simulator.cosim import plan, runs
from simulator.cosim.plan import Scenario, Step
from simulator.cosim.report import Case, Checked, Outcome, Report
from simulator.cosim.scenarios import bad_sizes, bit_patterns, counting, small_jobs
from simulator.cosim.shell import Shell

#: A small design of every family.
CHOSEN = ("tables", "weights stay", "attention")
#: Steps of five runs, and the first digits of a sum over their commands and what they say to wrong answers; the other
#: scenarios are recorded in tests/conformance. What ``python -m tests.cosim.test_plan`` prints.
RECORDED: dict[str, tuple[int, str]] = {
    "tables": (86, "bba1e4a10053"),
    "weights stay": (86, "2317367d992a"),
    "attention": (86, "e6bad1fa0746"),
}


def spec(name: str) -> Spec:
    family, parameters = DESIGNS[name]
    return registry.get(family).from_mapping(parameters)


def said(step: Step) -> list[str]:
    """What a step finds in an answer that is wrong everywhere, apart from the number that tells designs apart."""
    return [text for text in _said(step) if not text.startswith("register hash")]


def _said(step: Step) -> list[str]:
    match step.command["do"]:
        case "read" | "write":
            return plan.complaints(step, {"resp": 1, "data": 0xDEADBEEF, "faults": ["broken rule"]})
        case "poll":
            return plan.complaints(step, {"seen": [7, 0xDEADBEEF]})
        case "together":
            wrong = [{"resp": 1, "data": 0xDEADBEEF} for _ in step.command["steps"]]
            return plan.complaints(step, {"answers": wrong})
        case _:
            return []


def digest(scenario: Scenario) -> str:
    lines = [json.dumps([step.command, said(step)], sort_keys=True, default=str) for step in scenario.steps]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def recorded(name: str) -> tuple[int, str]:
    chosen = spec(name)
    scenario, _ = runs.runs(chosen, runs.cases(chosen, 6, 1))
    return len(scenario.steps), digest(scenario)


@pytest.mark.parametrize("name", CHOSEN)
def test_runs_ask_and_expect_what_was_recorded(name: str) -> None:
    assert recorded(name) == RECORDED[name]


@pytest.mark.parametrize("name", DESIGNS)
def test_every_counter_of_stalls_moves_behind_the_moment_at_which_it_is_set(name: str) -> None:
    """It counts more than there are cycles before, or than in a run that no stream holds up from there on."""
    chosen, moved = spec(name), set()
    for job, middle in counting(chosen, small_jobs(chosen, 1), 1):
        assert 0 < middle < job.clocks.cycles
        opened = {stream: np.resize(pattern, 4096) for stream, pattern in job.open.items()}
        for pattern in opened.values():
            pattern[middle:] = True
        free = plan.rerun(job, opened).clocks.stalls
        moved |= {
            reason for reason, cycles in job.clocks.stalls.items() if cycles > min(free[reason], middle)
        }
    # A core of attention or of rows waits for an input in its first cycles alone.
    assert {"memory", "output"} <= moved <= {"input", "memory", "output"}


@pytest.fixture(scope="module")
def shell() -> Shell:
    return Shell(spec("tables"))


def test_a_read_that_is_right_says_nothing(shell: Shell) -> None:
    step = plan.read(shell, "k", 5, "now")
    assert plan.complaints(step, {"resp": 0, "data": 5}) == []
    assert plan.complaints(step, {"resp": 0, "data": 4}) == ["register k must read 0x5 now, not 0x4"]
    assert plan.complaints(step, {"resp": 2, "data": 5}) == ["response to the read of k must be 0, not 2"]
    masked = plan.read(shell, "k", 4, "now", ignored=1)
    assert [plan.complaints(masked, {"resp": 0, "data": data}) == [] for data in (4, 5, 6)] == [
        True,
        True,
        False,
    ]


def test_sizes_read_as_written_lane_by_lane_and_as_all_ones_where_too_large(shell: Shell) -> None:
    shell.clear()
    shell.write("k", 0x11223344)
    assert shell.held["k"] == 0x11223344
    shell.write("k", 0xAABBCCDD, 0b0101)
    assert shell.held["k"] == 0x11BB33DD
    ones = (1 << shell.width("k")) - 1
    assert shell.reads("k") == ones == 63
    for value, wanted in ((ones, ones), (ones - 1, ones - 1), (ones + 1, ones), (0, 0)):
        shell.write("k", value)
        assert shell.reads("k") == wanted
    shell.clear()
    assert shell.held["k"] == 0


@pytest.mark.parametrize("samples", [False, True])
def test_what_is_written_to_a_size_fits_a_word_and_is_refused_if_it_must_be(samples: bool) -> None:
    """The seed of a drawn row takes almost all of a word, so that few numbers are too large for it."""
    chosen = registry.get("vector")(lanes=4, length_max=16, format="fp16", dots=True, samples=samples)
    shell, random = Shell(chosen), np.random.default_rng(5)
    for size in chosen.sizes:
        written = bit_patterns(shell.width(size.name), int(size.most), random)
        assert min(written) >= 0 and max(written) <= 0xFFFFFFFF
        assert 0 in written and size.most + 1 in written and size.most in written
    legal = dict.fromkeys(shell.most, 1)
    bad = list(bad_sizes(shell, legal, 1))
    assert not any(shell.legal(sizes) for sizes in bad)
    assert all(0 <= value <= 0xFFFFFFFF for sizes in bad for value in sizes.values())
    broken = {name for sizes in bad for name, value in sizes.items() if not 1 <= value <= shell.most[name]}
    assert broken == set(shell.most)


def test_addresses_without_a_register_are_the_rest_of_the_first_64_bytes(shell: Shell) -> None:
    taken = [register.address for register in shell.registers.values()]
    assert sorted({*shell.unmapped(), *(address for address in taken if address < 64)}) == list(
        range(0, 64, 4)
    )
    assert not set(taken) & set(shell.unmapped())


def test_bits_of_a_register_are_told_apart() -> None:
    found = bit_patterns(6, 40, np.random.default_rng(0))
    assert {1 << bit for bit in range(32)} | {63 ^ 1 << bit for bit in range(6)} < set(found)
    assert {0, 1, 40, 41, 63, 64, 0xFFFFFFFF} < set(found)
    assert len(found) == 32 + 6 + 8 + 4 and max(found[-4:]) <= 40


CASE = Case(None, "none", 1)  # type: ignore[arg-type]
GOOD = (0, 10, 30, 30, 30)


@pytest.mark.parametrize(
    ("counts", "findings", "ok"),
    [
        (GOOD, (), True),
        ((1, 10, 30, 30, 30), (), False),
        ((0, 10, 31, 30, 30), (), False),
        ((0, 10, 30, 31, 30), (), False),
        ((0, 10, 30, 30, 31), (), False),
        (GOOD, ("late",), False),
    ],
)
def test_a_run_is_right_where_everything_agrees(counts: Any, findings: tuple[str, ...], ok: bool) -> None:
    assert Outcome(CASE, *counts, findings).ok is ok


def test_a_report_says_what_failed_first_and_where_it_ended() -> None:
    good, bad = Outcome(CASE, *GOOD), Outcome(CASE, 3, 10, 30, 30, 30)
    through = Checked("registers", "reads", (), True)
    cut, wrong = Checked("resets", "x", (), False), Checked("values", "x", ("a", "b"), True)
    assert Report((good,), (through,)).ok and Report((good,), (through,)).failure is None
    assert not Report((bad,), (through,)).ok and Report((good, bad, bad), ()).mismatches == 6
    assert not Report((good,), (through, cut)).ok and not Report((good,), (wrong,)).ok
    assert not Report((), (), "hangs").ok
    assert Report((), (through, cut)).failure == "the bench ended before resets was through"
    assert Report((), (through, wrong)).failure == "values: a"
    assert Report((), (cut, wrong)).failure == "values: a; the bench ended before resets was through"
    assert Report((), (wrong, cut), "no beat moved").failure == "values: a; no beat moved"
    assert not cut.ok and not wrong.ok and through.ok


if __name__ == "__main__":
    for design in CHOSEN:
        print(f"    {design!r}: {recorded(design)!r},")
