"""A prompt on a system: cycles with and without what is skipped, where they go, and tokens."""

from __future__ import annotations

import dataclasses

import pytest

from blueprint.systems.instructions import UNITS
from blueprint.systems.memory_port import BEHAVIORS, MemoryPort
from blueprint.workloads.tasks import Attention
from compiler import calibration, image
from compiler.compile import Compiled, compile_model
from compiler.image import Image
from compiler.prompts import DECODE, PROMPT
from simulator.systems import chrome, decoding
from simulator.systems.machine import Machine
from simulator.systems.timed import Known, Timed
from tests.systems import small

PASSES = 2


@pytest.fixture(scope="module")
def found() -> Compiled:
    trained = small.checkpoint()
    return compile_model(small.hardware(), trained, calibration.measure(trained, [[3, 17, 5]]))


@pytest.fixture(scope="module")
def picture(found: Compiled) -> Image:
    return image.of_compiled(found)


def port(name: str) -> MemoryPort:
    return dataclasses.replace(BEHAVIORS[name], size=1 << 20)


@pytest.mark.parametrize("name", BEHAVIORS)
def test_skipping_changes_no_cycle(found: Compiled, picture: Image, name: str) -> None:
    programs, pages = [picture.programs[PROMPT]] * PASSES, [picture.pages[PROMPT]] * PASSES
    runs = decoding.Runs(found.hardware)
    machines = [kind(found.hardware, programs, pages, [port(name)] * 3, runs) for kind in (Machine, Timed)]
    slow, fast = (machine.run() for machine in machines)
    assert fast.cycles == slow.cycles > 1000
    assert fast.spans == slow.spans
    assert fast.requests["fetch"] == slow.requests["fetch"]
    assert isinstance(machines[1], Timed)
    assert machines[1].skipped > slow.cycles // 8


def test_transfers_that_are_known_are_not_timed_again(found: Compiled, picture: Image) -> None:
    known = Known()
    args = (found.hardware, picture, [DECODE], port("fixed"), lambda _: 3)
    first = decoding.timed(*args, known)
    (loads,) = known.loads
    count, learned = len(known.stores), loads.followers
    again = decoding.timed(*args, known)
    assert (again.cycles, again.spans) == (first.cycles, first.spans)
    assert 0 < count == len(known.stores) < len(picture.programs[DECODE]) // 4
    assert 0 < learned == loads.followers < len(picture.programs[DECODE]) // 4


def test_the_head_ends_behind_the_last_row_that_was_loaded(found: Compiled, picture: Image) -> None:
    """The run of the head starves: it ends as many cycles behind the last load as a row takes to leave."""
    trace = decoding.timed(found.hardware, picture, [DECODE], port("half"), lambda _: 3)
    head = [span for span in trace.spans["vector"] if span.text.kind == "start"][-1]
    load = [span for span in trace.spans["load"] if span.text.kind == "start"][-1]
    assert head.begin < load.begin
    beats = small.MODEL.hidden // 4
    alone = int(
        found.hardware.units["vector"].cycles(
            decoding.Runs(found.hardware).task("vector", {2: 1, 3: 32, 4: 65})
        )
    )
    assert 0 <= head.end - (load.end + alone - beats) <= 8


def test_busy_and_waiting_cycles_are_all_cycles(found: Compiled, picture: Image) -> None:
    trace = decoding.timed(found.hardware, picture, [PROMPT, DECODE], port("fixed"), lambda _: 3)
    busy, waits = decoding.busy(trace), decoding.waits(trace)
    for unit in UNITS:
        moves = [span for span in trace.spans[unit] if span.text.kind == "start"]
        sets = sum(
            span.end - span.begin + 1
            for span in trace.spans[unit]
            if span.text.kind != "start" and not any(one.begin < span.begin <= one.end for one in moves)
        )
        assert busy[unit] + sets + sum(waits[unit].values()) == trace.cycles
        assert set(waits[unit]) <= {*UNITS, "instructions"}
    assert waits["matrix"]["load"] > 0


def test_utilization_is_the_share_of_the_multiplications_that_the_cycles_would_allow(
    found: Compiled, picture: Image
) -> None:
    trace = decoding.timed(found.hardware, picture, [PROMPT, DECODE], port("fixed"), lambda _: 3)
    shares, done = decoding.utilization(found.hardware, trace), decoding.tasks(found.hardware, trace)
    assert set(shares) == set(found.hardware.units)
    for unit, spec in found.hardware.units.items():
        macs = sum(task.macs for _, task in done[unit])
        assert shares[unit] == macs / (trace.cycles * spec.peak_macs) <= 1
    assert 0 < shares["attention"] < shares["matrix"]


def test_a_prompt_is_continued_by_the_largest_scores(found: Compiled, picture: Image) -> None:
    decoded = decoding.decode(found.hardware, picture, [3, 17, 5], 4, port("fixed"))
    assert decoded.passes == [PROMPT, PROMPT, DECODE, DECODE, DECODE, DECODE]
    assert len(decoded.tokens) == 4
    heard: list[tuple[int, int]] = []
    alone = decoding.decode(
        found.hardware,
        picture,
        [3, 17],
        1,
        port("fixed"),
        told=lambda done, total: heard.append((done, total)),
    )
    assert heard == [(1, 2), (2, 2)] and alone.passes == [PROMPT, DECODE]
    stopped = decoding.decode(found.hardware, picture, [3, 17, 5], 4, port("fixed"), stop=decoded.tokens[0])
    assert stopped.tokens == decoded.tokens[:1]
    longer = decoding.decode(found.hardware, picture, [3, 17, 5, *decoded.tokens[:2]], 2, port("fixed"))
    assert longer.tokens == decoded.tokens[2:]
    at = picture.tokens + 4 * 3
    assert int.from_bytes(decoded.memory[at : at + 4], "little") == decoded.tokens[0]


def test_every_start_is_a_slice_of_the_trace(found: Compiled, picture: Image) -> None:
    decoded = decoding.decode(found.hardware, picture, [3, 17], 1, port("fixed"))
    slices = chrome.of_decoded(decoded, picture)
    events = [event for event in chrome.events(slices, found.hardware.queues, 100.0) if event["ph"] == "X"]
    starts = sum(one.kind == "start" for name in decoded.passes for one in picture.programs[name])
    assert len(events) == starts
    last = max(event["ts"] + event["dur"] for event in events)
    assert last * 100 <= decoded.cycles
    assert {event["args"]["pass"] for event in events} == {0, 1}


def test_bytes_of_keys_grow_with_the_position(found: Compiled, picture: Image) -> None:
    trace = decoding.timed(found.hardware, picture, [DECODE] * 3, port("fixed"), lambda _: 3)
    per_pass = [0, 0, 0]
    for span, size in decoding.transfers(trace)["load"]:
        per_pass[span.place] += size
    model = small.MODEL
    more = 2 * model.layers * model.kv_heads * model.head_dim
    assert [later - first for first, later in zip(per_pass[:-1], per_pass[1:], strict=True)] == [more, more]
    assert per_pass[0] == sum(
        size
        for one, (_, size) in zip(picture.programs[DECODE], picture.notes[DECODE], strict=True)
        if one.unit == "load"
    )


def test_instructions_of_a_model_of_one_layer_belong_to_their_passes() -> None:
    """A pass of the prompt ends before the numbers with which a pass of a token begins on some units."""
    trained = small.checkpoint(dataclasses.replace(small.MODEL, layers=1))
    compiled = compile_model(small.hardware(), trained, calibration.measure(trained, [[3, 17, 5]]))
    made = image.of_compiled(compiled)
    names = [PROMPT, DECODE, DECODE]
    trace = decoding.timed(compiled.hardware, made, names, port("fixed"), lambda _: 3)
    for unit, spans in trace.spans.items():
        wanted = [
            (place, number)
            for place, name in enumerate(names)
            for number, one in enumerate(made.programs[name])
            if one.unit == unit
        ]
        assert [(span.place, span.number) for span in spans] == wanted


def test_packed_keys_change_no_cycle_of_a_run_of_attention() -> None:
    """A beat of packed keys is one word, not as many elements as a head has."""
    found = []
    for width in (8, 4):
        hardware = small.hardware(attention=small.attention(kv_width=width))
        spec, task = hardware.units["attention"], Attention(1, 3, 2, 1, 8, "causal")
        values = spec.register_values(task)
        registers = {one.address // 4: values[one.name] for one in spec.registers() if one.name in values}
        runs = decoding.Runs(hardware)
        assert runs.task("attention", registers) == task
        found.append(runs("attention", registers))
    assert found == [21, 21]
