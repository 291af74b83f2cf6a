"""A checkpoint on the RTL of a system: what is compared, what is refused, and the tiny model itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from blueprint.errors import ParamError
from blueprint.systems.instructions import UNITS, Instruction
from simulator.systems import proving
from simulator.systems.machine import Span, Trace
from simulator.systems.rtl import Found, Step
from ternforge.decoding import Asked
from ternforge.proving import verify_lines, verify_system
from ternforge.verbs.verify import verify
from tests.volume import some

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILE, MODEL = EXAMPLES / "tiny_decoder" / "system.yaml", EXAMPLES / "tiny_lm" / "tiny_kjv"
SYNC = Instruction("sync", "load")


def traced(*spans: tuple[int, int]) -> Trace:
    trace = Trace(cycles=90)
    trace.spans["load"] = [Span(0, number, SYNC, *span) for number, span in enumerate(spans)]
    return trace


def found(*spans: tuple[int, int], cycles: int = 90) -> Found:
    steps = [
        Step(cycle, what, "load")
        for span in spans
        for what, cycle in zip(("begin", "end"), span, strict=True)
    ]
    return Found(steps, {"status": 2}, cycles)


@pytest.mark.parametrize(
    ("rtl", "told"),
    [
        (found((3, 5), (6, 9)), []),
        (found((3, 5), (6, 10)), ["load: instruction 1 (sync load) must take cycles 6 to 9, not 6 to 10"]),
        (found((3, 5)), ["load: must do 2 instructions, not 1"]),
        (found((3, 5), (6, 9), cycles=91), ["the interrupt must come in cycle 90, not 91"]),
    ],
)
def test_a_difference_is_told_by_its_unit_and_instruction(rtl: Found, told: list[str]) -> None:
    assert proving.compare(rtl, traced((3, 5), (6, 9))) == told
    assert set(rtl.spans()) == set(UNITS)


def test_a_byte_that_is_another_is_told_by_its_address() -> None:
    before, golden = bytes([0, 0, 7, 8]), bytes([1, 2])
    assert proving.memory_findings(bytes([1, 2, 7, 8]), before, golden) == []
    told = ["2 bytes of memory differ, the first at 0x1: 2, not 9"]
    assert proving.memory_findings(bytes([1, 9, 7, 9]), before, golden) == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "A system must be given a checkpoint and a prompt to be verified"),
        ({"checkpoint": MODEL}, "A system must be given a checkpoint and a prompt to be verified"),
        (
            {"checkpoint": MODEL, "prompt": "In", "overrides": {"lanes": "2"}},
            "overrides (--set) must be given for a design, not for a system",
        ),
        (
            {"checkpoint": MODEL, "prompt": "In", "rtl": "x"},
            "rtl must be given for a design, not for a system",
        ),
        (
            {"checkpoint": MODEL, "prompt": "In", "tokens": 0},
            "Tokens must be at least 1, not 0",
        ),
        (
            {"checkpoint": MODEL, "prompt": "In", "memory": "halve"},
            "Memory must be one of system, fixed, random, half, refresh, not 'halve'; did you mean 'half'?",
        ),
    ],
)
def test_what_cannot_be_verified_is_told(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(told)}$"):
        verify(FILE, **given)


def test_a_prompt_is_no_argument_of_a_design(tmp_path: Path) -> None:
    with pytest.raises(ParamError, match=r"^prompt must be given for a system, not for a design$"):
        verify(EXAMPLES / "ternary_lut" / "design.yaml", prompt="In")


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["system", "random"][: some(1, of=2)])
def test_the_tiny_model_says_the_same_on_verilog_in_the_same_cycles(memory: str) -> None:
    answer = verify_system(FILE, MODEL, Asked("In the", tokens=2, memory=memory))
    assert answer["findings"] == []
    assert (answer["tokens"], answer["cycles_rtl"]) == (
        answer["tokens_simulator"],
        answer["cycles_simulator"],
    )
    assert answer["status"] == {"done": 1}
    assert [*verify_lines(answer)][1] == "In the" + answer["text"]
