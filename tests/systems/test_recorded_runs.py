"""Runs of small decoders against the record (`python -m tests.systems.recorded_runs`)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator.systems import proving
from tests import skips
from tests.systems import recorded_runs as recorded
from tests.systems.test_recorded import same

KEPT = recorded.kept()
CASES = [(part, case) for part, (_, cases) in recorded.PARTS.items() for case in cases]


@pytest.mark.parametrize(
    ("part", "case"), CASES, ids=lambda value: value if isinstance(value, str) else "-".join(value)
)
def test_a_part_is_the_recorded_one(part: str, case: tuple[str, ...]) -> None:
    if part == "files":
        skips.if_written_by_others(KEPT)
    expected = KEPT[part][" ".join(case)]
    found = json.loads(json.dumps(recorded.PARTS[part][0](*case)))
    assert found.keys() == expected.keys()
    assert [key for key in expected if not same(found[key], expected[key])] == []


@pytest.mark.parametrize("name", recorded.NAMES)
def test_an_rtl_that_does_the_same_is_proved(name: str) -> None:
    found, proof = recorded.ran(name, "half"), recorded.proved(name)
    assert proof.ok and proof.findings == [] and len(found.starts) == 3
    assert (proof.tokens, list(proof.beside), proof.cycles) == (found.tokens, found.beside, found.cycles)
    assert proof.status == {"done": 1}
    assert proof.instructions == sum(map(len, found.trace.spans.values()))


Lines = list[tuple[int, str, int, int]]


def late_unit(lines: Lines) -> Lines:
    """The last instruction of the first start's vector unit ends a cycle late."""
    bit = 1 << recorded.hardware("tables").queues.index("vector")
    last = max(place for place, line in enumerate(lines) if line[1] == "units" and line[3] == bit)
    return [(line[0] + (place == last), *line[1:]) for place, line in enumerate(lines)]


def late_end(lines: Lines) -> Lines:
    return [(cycle + (kind == "interrupt"), kind, *rest) for cycle, kind, *rest in lines]  # type: ignore[misc]


def no_end(lines: Lines) -> Lines:
    return [line for line in lines if line[1] != "interrupt"]


def fault(lines: Lines) -> Lines:
    return [
        (*line[:3], 2 | 1 << proving.control.STATUS["unit"][0]) if line[1] == "register" else line
        for line in lines
    ]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (late_unit, "vector: instruction "),
        (late_end, "the interrupt must come in cycle "),
        (no_end, "the program must end in cycle "),
        (fault, "status must be done, not {'done': 1, 'unit': 1}"),
    ],
    ids=["unit", "interrupt", "hangs", "status"],
)
def test_an_rtl_that_does_something_else_is_not_proved(wrong: Any, told: str) -> None:
    proof = recorded.proved("tables", wrong)
    assert not proof.ok and len(proof.findings) == 3 and all(text.startswith(told) for text in proof.findings)
    first = recorded.ran("tables", "half").starts[0].trace.cycles
    if wrong is no_end:
        assert (
            proof.findings[0] == f"{told}{first}, and runs in {first + 10_000} still" and proof.cycles == -1
        )
    if wrong is late_end:
        assert proof.findings[0] == f"{told}{first}, not {first + 1}"
