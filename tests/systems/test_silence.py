"""Memories that stop answering: programs end all the same, and what comes late changes nothing."""

from __future__ import annotations

import dataclasses
import functools
import operator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.systems import control
from blueprint.systems.memory_port import BEHAVIORS, CHANNELS, MemoryPort, Silence
from blueprint.workloads.tasks import Gemm
from simulator.systems import rtl
from tests.systems.system_bench import Writing, agrees, memories, program, status
from tests.systems.test_top import small

PAGE = Path(__file__).resolve().parents[2] / "docs" / "systems_hardware.md"
PATIENCE = 300
#: When memory goes on where it does: long after the program was given up.
LATER = 3000

#: Every channel of every mover, silent from the first handshake on, later, and within a burst.
SILENT = [
    ("fetch", "ar", 0), ("fetch", "ar", 2), ("fetch", "r", 0), ("fetch", "r", 11),
    ("load", "ar", 0), ("load", "ar", 1), ("load", "r", 0), ("load", "r", 5),
    ("store", "aw", 0), ("store", "aw", 1), ("store", "w", 0), ("store", "w", 3), ("store", "b", 0), ("store", "b", 1),
]  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return program(small(), tmp_path_factory.mktemp("small"))


@functools.cache
def products() -> Writing:
    """Two products, with bursts of more than a word, and a result of several."""
    writing = Writing(small())
    for number in range(2):
        writing.run("matrix", Gemm(1, 28, 24), number)
    writing.end()
    return writing


def ports(mover: str, channel: str, after: int, until: int | None = None, **more: Any) -> list[MemoryPort]:
    """The memories of which one keeps silent."""
    silence = Silence(channel, after) if until is None else Silence(channel, after, until)
    found, number = memories(**more), control.OWED.index(mover)
    found[number] = dataclasses.replace(found[number], silence=silence)
    return found


def job(silent: list[MemoryPort], patience: int = PATIENCE, **more: Any) -> rtl.Job:
    return rtl.Job(products().registers(patience=patience), silent, **{"cut": 20_000, **more})


def run(bench: Path, *jobs: rtl.Job) -> tuple[list[rtl.Found], bytes]:
    return rtl.run(bench, small(), products().memory.tobytes(), jobs)


def left(mover: str, **reason: int) -> dict[str, int]:
    """The status of a program that memory owes answers."""
    owed = 1 << control.OWED.index(mover)
    return {"done": 1, "unit": 5, "unanswered": 1, "draining": 1, "owed": owed, **reason}


@pytest.mark.parametrize(("mover", "channel", "after"), SILENT)
def test_a_program_ends_although_memory_does_not_answer(
    mover: str, channel: str, after: int, bench: Path
) -> None:
    (found,), _ = run(bench, job(ports(mover, channel, after)))
    assert found.cycles > 0, "a program must end, whatever memory does"
    assert status(found) == left(mover, stuck=1)
    trace = products().model(ports(mover, channel, after), patience=PATIENCE)
    assert (trace.stuck, trace.owed) == (True, (mover,))
    agrees(found, trace)
    assert found.cycles > PATIENCE


@pytest.mark.parametrize(("mover", "channel", "after"), SILENT)
def test_a_host_that_stops_a_program_is_not_kept_waiting(
    mover: str, channel: str, after: int, bench: Path
) -> None:
    (found,), _ = run(bench, job(ports(mover, channel, after), stop=450, patience=500))
    assert status(found) == left(mover, stopped=1)


@pytest.mark.parametrize(("mover", "channel", "after"), SILENT)
def test_late_answers_are_dropped_and_the_next_program_is_whole(
    mover: str, channel: str, after: int, bench: Path
) -> None:
    """A start is refused while memory owes answers; once they came the next program is as after a reset."""
    silent = job(ports(mover, channel, after, LATER))
    early = rtl.Job({"interrupt": 3}, reset=False, cut=50)
    sound = job(memories(), reset=False, pause=2 * LATER)
    (ended, refused, found), memory = run(bench, silent, early, sound)
    assert status(ended) == left(mover, stuck=1)
    owed = 1 << control.OWED.index(mover)
    assert status(refused) == {"done": 1, "not_drained": 1, "draining": 1, "owed": owed}
    assert (refused.steps, refused.cycles) == ([], 0), "refused with an interrupt at once, and nothing begins"
    assert status(found) == {"done": 1}
    agrees(found, products().model(memories()))
    assert memory == run(bench, job(memories()))[1]
    for one in products().runs:
        golden = small().units[one.unit].reference(one.operands)
        for name, values in one.results(small(), memory).items():
            np.testing.assert_array_equal(values, golden[name])


@pytest.mark.parametrize(("mover", "channel", "after"), SILENT)
def test_what_is_drained_changes_no_byte_but_those_of_its_store(
    mover: str, channel: str, after: int, bench: Path
) -> None:
    """Rows that a store still has to write keep what stood there, or get what they should have got."""
    silent = job(ports(mover, channel, after, LATER))
    rest = rtl.Job({}, reset=False, start=False, pause=2 * LATER, cut=1)
    (ended, _), memory = run(bench, silent, rest)
    assert status(ended) == left(mover, stuck=1)
    before, whole = products().memory, np.frombuffer(run(bench, job(memories()))[1], np.uint8)
    now = np.frombuffer(memory, np.uint8)
    assert ((now == before) | (now == whole)).all()


@pytest.mark.parametrize(("mover", "channel", "after"), SILENT)
def test_a_silence_within_the_patience_is_only_waited_for(
    mover: str, channel: str, after: int, bench: Path
) -> None:
    """RTL and model agree in every cycle on a memory that goes on in time."""
    slow = ports(mover, channel, after, 500)
    (found,), memory = run(bench, job(slow, patience=2000))
    assert status(found) == {"done": 1}
    agrees(found, products().model(slow))
    quick = products().model(memories())
    assert found.cycles > quick.cycles
    assert memory == run(bench, job(memories()))[1]


@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_a_drained_system_is_that_after_a_reset_under_every_behavior(behavior: str, bench: Path) -> None:
    silent = job(ports("load", "r", 5, LATER, behavior=behavior))
    (_, found), _ = run(bench, silent, job(memories(behavior), reset=False, pause=2 * LATER))
    assert status(found) == {"done": 1}
    agrees(found, products().model(memories(behavior)))


def test_the_interrupt_comes_once(bench: Path) -> None:
    """Not again when memory has answered; the status says so."""
    silent = job(ports("load", "r", 5, LATER))
    clears = rtl.Job({"interrupt": 3}, reset=False, start=False, cut=2 * LATER)
    (ended, after), _ = run(bench, silent, clears)
    assert (ended.cycles > 0, after.cycles) == (True, -1)


def test_a_host_without_patience_can_have_some_later(bench: Path) -> None:
    silent = ports("fetch", "r", 11)
    (ends,), _ = run(bench, job(silent, patience=0))
    assert ends.cycles == -1, "0 is no end"
    (found,), _ = run(bench, job(silent, patience=0, late=(5000, "patience", PATIENCE)))
    assert status(found) == left("fetch", stuck=1)
    assert 5000 < found.cycles < 5010, "it has waited for longer than that already"
    assert found.registers["patience"] == PATIENCE


def test_another_register_is_not_taken_while_a_program_runs(bench: Path) -> None:
    (found,), _ = run(bench, job(memories(), late=(5, "decode_length", 1)))
    assert status(found) == {"done": 1}
    assert found.registers["decode_length"] == len(products().code)


def test_a_reset_of_both_sides_ends_the_draining(bench: Path) -> None:
    (_, found), memory = run(bench, job(ports("load", "r", 5)), job(memories()))
    agrees(found, products().model(memories()))
    assert memory == run(bench, job(memories()))[1]


@pytest.mark.parametrize("patience", [1, 10, 25, 60, 200])
def test_less_patience_than_memory_needs_ends_a_sound_program(patience: int, bench: Path) -> None:
    """In the cycle of the model; the next one is whole as soon as memory has answered."""
    slow = memories("fixed", latency=90)
    (found, again), _ = run(bench, job(slow, patience), job(memories(), reset=False, pause=500))
    trace = products().model(slow, patience=patience)
    agrees(found, trace)
    assert trace.stuck == (patience < 90)
    owed = sum(1 << control.OWED.index(mover) for mover in trace.owed)
    assert (status(found).get("stuck", 0), status(found).get("owed", 0)) == (int(trace.stuck), owed)
    agrees(again, products().model(memories()))


def test_fields_of_the_status_share_no_bit() -> None:
    masks = [((1 << bits) - 1) << low for low, bits in control.STATUS.values()]
    assert sum(masks) == functools.reduce(operator.or_, masks) < 1 << 32


def test_the_page_says_what_every_bit_of_the_status_means() -> None:
    rows = "".join(line for line in PAGE.read_text().splitlines(True) if line.startswith("| `"))
    assert [name for name in (*control.ERRORS, *control.LEFT) if f"`{name}`" not in rows] == []


def test_every_channel_is_silent_somewhere() -> None:
    assert {channel for _, channel, _ in SILENT} == set(CHANNELS)
    assert {mover for mover, _, _ in SILENT} == set(control.OWED)
