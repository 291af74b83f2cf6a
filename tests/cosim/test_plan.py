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
from simulator.cosim.scenarios import bit_patterns, scenarios
from simulator.cosim.shell import Shell

COUNTERS = ("cycles", "stall_input")
#: A small design of every family.
CHOSEN = ("tables", "weights stay", "attention")
#: Steps of every scenario, and the first digits of a sum over their commands and what they say to wrong answers. What
#: ``python -m tests.cosim.test_plan`` prints; a change of the bench changes them.
RECORDED: dict[str, dict[str, tuple[int, str]]] = {
    "tables": {
        "registers": (685, "d5ca2aae821a"),
        "accesses": (299, "3915e809e066"),
        "refusals": (157, "b659bf7de8c5"),
        "values": (385, "7a1278e47055"),
        "framing": (161, "93d10fd500ee"),
        "resets": (370, "b371ab3e6c3e"),
        "handshakes": (23, "2ed014ce3fe8"),
        "long stalls": (49, "074c5e3c41ac"),
        "counters": (49, "408b4969c423"),
        "limits": (97, "76fcb31eb4fb"),
        "runs": (73, "914aa0adf5c4"),
    },
    "weights stay": {
        "registers": (685, "23548778f288"),
        "accesses": (299, "a28e4a5d06f3"),
        "refusals": (157, "3dc7bf85b6fb"),
        "values": (385, "a5167b82bf6b"),
        "framing": (161, "99dfe2453484"),
        "resets": (370, "3071c4c4de67"),
        "handshakes": (23, "c96d12ecd809"),
        "long stalls": (49, "2817d7f22e9e"),
        "counters": (49, "4ebe394a9c8e"),
        "limits": (97, "40647273b073"),
        "runs": (73, "c54e343987a7"),
    },
    "attention": {
        "registers": (673, "4ec6244c2221"),
        "accesses": (299, "ffd0addf89e0"),
        "refusals": (199, "a457f8ddd6bb"),
        "values": (385, "587e7144869d"),
        "framing": (321, "9e5bae1a3081"),
        "resets": (370, "2e5e16aaf2eb"),
        "handshakes": (23, "c5b4d0be6bad"),
        "long stalls": (81, "73d45dfd8807"),
        "counters": (49, "c9cd1e9ea480"),
        "limits": (65, "3cf573e8fa46"),
        "runs": (73, "49f00c76c830"),
    },
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


def recorded(name: str) -> dict[str, tuple[int, str]]:
    chosen = spec(name)
    found = [*scenarios(chosen, 3, COUNTERS), runs.runs(chosen, runs.cases(chosen, 5, 1))[0]]
    return {scenario.name: (len(scenario.steps), digest(scenario)) for scenario in found}


@pytest.mark.parametrize("name", CHOSEN)
def test_the_bench_asks_and_expects_what_was_recorded(name: str) -> None:
    assert recorded(name) == RECORDED[name]


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
        print(f"    {design!r}: {{")
        for scenario, numbers in recorded(design).items():
            print(f"        {scenario!r}: {numbers!r},")
        print("    },")
