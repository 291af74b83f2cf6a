"""Passes in machine code: every instruction begins and ends as in the sequencer cycle by cycle, and sums of them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.systems.address_map import PAGE
from blueprint.systems.description import Buffers
from blueprint.systems.dma import Transfer
from blueprint.systems.instructions import MOVED, UNITS, Instruction
from blueprint.systems.memory_port import BEHAVIORS, MemoryPort
from blueprint.systems.reader import read_system
from blueprint.systems.runs import Runs
from blueprint.workloads import model as models
from compiler.compile import Plan, compile_shapes
from compiler.prompts import DECODE, PROMPT
from costmodel.systems.compiled import plan_of
from simulator.engine import movers
from simulator.systems import decoding, dma, sums
from simulator.systems.loads import Flying
from simulator.systems.machine import Trace
from simulator.systems.passes import Passes, Ran, read_program
from simulator.systems.timed import Timed
from ternforge import cli, simulate
from ternforge import decoding as text
from tests.systems import small
from tests.volume import some

PRESET = Path(__file__).resolve().parents[2] / "examples" / "tiny_decoder" / "system.yaml"
EDGE, HBM = (PRESET.parents[1] / name / "system.yaml" for name in ("edge_2b4t", "hbm_2b4t"))
NAMES = [PROMPT, DECODE]
#: The third is in no bench: a share of the cycles, while memory refreshes and answers when it likes.
PORTS: dict[str, MemoryPort] = {
    **BEHAVIORS,
    "all": MemoryPort(latency=9, spread=17, beats=3, interval=5, period=331, gap=40, depth=3, seed=7),
}


@cache
def planned(seed: int = 0) -> Plan:
    """The small system, or a random one."""
    random = np.random.default_rng(seed)
    if not seed:
        return compile_shapes(small.hardware(), small.MODEL)
    name = str(random.choice(list(small.PRODUCTS)))
    buffers = Buffers(int(random.choice([1024, 2048])), 1024, 65536)
    model = replace(small.MODEL, layers=int(random.integers(2, 4)), vocab=int(random.integers(9, 60)))
    embedding = int(random.choice([8, 16]))
    return compile_shapes(small.hardware(name, buffers, embedding=embedding), model)


def port(name: str) -> MemoryPort:
    return replace(PORTS[name], size=1 << 20)


def slow(plan: Plan, names: list[str], memory: MemoryPort, position: int, token: int) -> Trace:
    programs = {one.name: one.instructions for one in plan.programs}
    pages = {one.name: plan.layout[one.region].base // PAGE for one in plan.programs}
    machine = Timed(
        plan.hardware, [programs[name] for name in names], [pages[name] for name in names], [memory] * 3,
        Runs(plan.hardware), position=position, token=lambda _: token,
    )  # fmt: skip
    return machine.run()


def fast(
    plan: Plan, names: list[str], memory: MemoryPort, position: int, token: int
) -> tuple[int, list[Ran]]:
    runs = Runs(plan.hardware)
    tables = {one.name: read_program(plan.hardware, runs, one.instructions) for one in plan.programs}
    passes = Passes(plan.hardware, [memory] * 3, runs)
    done = [passes.run(tables[name], position + place, token) for place, name in enumerate(names)]
    return passes.cycles, done


def compare(plan: Plan, names: list[str], memory: MemoryPort, position: int = 1, token: int = 3) -> None:
    trace = slow(plan, names, memory, position, token)
    cycles, done = fast(plan, names, memory, position, token)
    assert cycles == trace.cycles > 1000
    for spans in trace.spans.values():
        place, last = 0, -1
        for span in spans:
            place, last = place + (span.number <= last), span.number
            ran = done[place]
            assert (ran.begins[span.number], ran.ends[span.number]) == (span.begin, span.end), span


@pytest.mark.parametrize("name", PORTS)
def test_every_instruction_begins_and_ends_as_cycle_by_cycle(name: str) -> None:
    compare(planned(), NAMES, port(name))


@pytest.mark.parametrize("seed", range(1, 1 + some(3, of=40)))
def test_of_random_systems_too(seed: int) -> None:
    compare(planned(seed), NAMES, port(list(PORTS)[seed % len(PORTS)]), position=seed % 9, token=seed % 7)


def test_loads_a_page_apart_are_one_and_the_same() -> None:
    """What was found of a load holds for one at the same place of another page, by its address or by its index."""
    apart = 4096
    for first, other, index in (
        (Transfer(64, 96, 3, 128, False), Transfer(64 + apart, 96, 3, 128, False), 0),
        (Transfer(64, 96, 3, apart, True), Transfer(64, 96, 3, apart, True), 5),
        (Transfer(64, 96, 3, 128, False), Transfer(64, 96, 3, 128 + apart, False), 0),
    ):
        loads = Flying(planned().hardware.load, port("fixed"))
        taken = loads.take(first, 0, 0)
        known = loads.followers
        loads.again()
        assert loads.take(other, index, 0) == taken and loads.followers == known
    loads.again()
    loads.take(Transfer(68, 96, 3, 128, False), 0, 0)
    assert loads.followers > known


@pytest.mark.parametrize("name", PORTS)
def test_loads_under_way_take_what_the_movers_model_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random rows, distances and places, one behind the other, all at once, or with a pause; few states are kept."""
    monkeypatch.setattr("simulator.systems.loads._STATES", 16)
    random = np.random.default_rng(list(PORTS).index(name))
    mover, memory = planned().hardware.load, port(name)
    model = dma.Reader(mover, dma.Ends((), (), lambda _: True, lambda _: True), memory)
    flying, now, offered, checked = Flying(mover, memory), 0, 0, 0
    shapes = [
        Transfer(*(4 * int(random.integers(1, most)) for most in (1024, 90)), rows, stride, gather)
        for rows, stride, gather in [(1, 0, False), (2, 96, False), (5, 1200, False), (3, 44, True)]
    ]
    expected: list[tuple[int, int]] = []
    taken: list[int] = []
    done: list[int] = []
    while checked < some(60, of=600):
        if now == offered and not model.bursts.offers and len(taken) - len(done) < 4:
            one, index = shapes[int(random.integers(len(shapes)))], int(random.integers(9))
            model.bursts.offer(one, [index] * one.rows * one.gather)
            expected.append(flying.take(one, index * one.gather, now))
        waits = model.bursts.offers
        model.cycle(now)
        if waits and not model.bursts.offers:
            taken.append(now)
            offered = now + 2 + int(random.choice([0, 0, 0, 3, 17, 200]))
        done += [now for event in model.events if event.kind == "done"]
        model.events.clear()
        checked, now = len(done), now + 1
        offered = max(offered, now)
    assert expected[:checked] == list(zip(taken[:checked], done, strict=True))


@pytest.mark.parametrize("name", PORTS)
def test_a_store_takes_what_the_movers_model_says(name: str) -> None:
    """Random rows, distances and places, gathered ones among them."""
    random = np.random.default_rng(list(PORTS).index(name))
    plan, memory = planned(), port(name)
    timed = Timed(plan.hardware, [], [], [memory] * 3, Runs(plan.hardware))
    side = Passes(plan.hardware, [memory] * 3, Runs(plan.hardware))._store
    for _ in range(some(30, of=300)):
        gathers = int(random.integers(2))
        place = int(random.integers(len(plan.hardware.outputs)))
        rows, size = int(random.choice([1, 2, 5, 12])), 4 * int(random.integers(1, 90))
        stride, address = 4 * int(random.integers(0, 300)), 4 * int(random.integers(0, 1024))
        cycle, index = int(random.integers(5000)), int(random.integers(9))
        transfer = Transfer(address, size, rows, stride, bool(gathers))
        found = timed._timed("store", cycle, transfer, [index] * rows * gathers, place)
        timed._asked["store"] += found.requests
        whole = plan.hardware.width // 32
        parts = max(1, plan.hardware.width // 8 // plan.hardware.outputs[place].beat_bytes)
        shape = np.array([address + gathers * index * stride, size, rows, stride, gathers, whole, parts])
        assert movers.timed(side.port, side.mover, side.state, side.rings, cycle, shape) == found.cycles, (
            transfer
        )


def test_sums_are_those_of_the_spans() -> None:
    plan, memory = planned(), port("half")
    trace = slow(plan, NAMES, memory, 0, 0)
    runs = Runs(plan.hardware)
    passes, parts = Passes(plan.hardware, [memory] * 3, runs), []
    for place, one in enumerate(plan.programs):
        table = read_program(plan.hardware, runs, one.instructions)
        adding = sums.Adding(runs, table, one.notes)
        adding.add(passes.run(table, place))
        parts.append(adding.sums())
    found = sums.total(parts)
    assert dict(found.busy) == decoding.busy(trace)
    assert sums.stalls(found, passes.cycles) == decoding.waits(trace)
    moved = {unit: sum(size for *_, size in each) for unit, each in decoding.transfers(trace).items()}
    for unit, size in moved.items():
        assert sum(value for name, value in found.traffic.items() if name.endswith(unit)) == size
    assert sum(found.layer_bytes.values()) == sum(found.step_bytes.values()) == sum(moved.values())
    through = decoding.buffered(plan.hardware, trace)
    assert found.buffered == through and sum(through.values()) == sum(moved.values())
    assert set(through) == {"weights", "cache", "activations"}
    for each in (found.layers, found.steps):
        assert {unit: sum(row[unit] for row in each.values()) for unit in UNITS} == dict(found.busy)
    work = decoding.tasks(plan.hardware, trace)
    assert dict(found.macs) == {unit: sum(task.macs for _, task in work[unit]) for unit in work}


def test_a_program_whose_cycles_do_not_follow_from_its_order_is_refused() -> None:
    """The vector unit starves and its token is needed before the load that it starves for."""
    plan = planned()
    program = [one for one in plan.program(DECODE).instructions if one.kind != "end"]
    last = max(place for place, one in enumerate(program) if (one.kind, one.unit) == ("start", "vector"))
    program.insert(last + 1, Instruction("sync", "vector"))
    runs = Runs(plan.hardware)
    table = read_program(plan.hardware, runs, [*program, Instruction("end")])
    with pytest.raises(RuntimeError) as caught:
        Passes(plan.hardware, [port("fixed")] * 3, runs).run(table, 0)
    assert str(caught.value) == "A program must have its cycles follow from the order of its instructions"


def test_a_transfer_that_a_mover_refuses_is_refused() -> None:
    plan = planned()
    program = [
        replace(one, value=0) if (one.unit, one.register) == ("load", MOVED.index("rows")) else one
        for one in plan.program(DECODE).instructions
    ]
    runs = Runs(plan.hardware)
    with pytest.raises(RuntimeError) as caught:
        Passes(plan.hardware, [port("fixed")] * 3, runs).run(read_program(plan.hardware, runs, program), 0)
    assert str(caught.value) == "A transfer must have rows of whole 4 bytes, and one has not"


# The verb -------------------------------------------------------------------------------------------------------------


def test_shapes_take_the_cycles_of_a_checkpoint() -> None:
    """Of the preset: a token, and a prompt of three, as `simulate --checkpoint` counts them pass by pass."""
    system = read_system(PRESET)
    plan, memory = plan_of(system, system.largest), text.port(system, "system", 200.0)
    answer = simulate(PRESET, context=0, prompt=3)
    one, three = (slow(plan, names, memory, 0, 0) for names in ([DECODE], [PROMPT, PROMPT, DECODE]))
    decode, prefill = answer["phases"]["decode"], answer["phases"]["prefill"]
    assert decode["cycles"] == one.cycles == 177_964
    assert prefill["cycles"] == three.cycles
    assert [prefill["passes"], len(prefill["cycles_by_pass"])] == [3, 3]
    assert decode["stalls"] == decoding.waits(one)
    assert answer["tokens_per_second"] == pytest.approx(200e6 / one.cycles)
    assert answer["time_to_first_token_s"] == pytest.approx(three.cycles / 200e6)
    assert set(decode["layers"]) == {"-", "L0", "L1", "L2", "L3", "head"}
    later = simulate(PRESET, context=200)["phases"]["decode"]
    assert later["cycles"] == slow(plan, [DECODE], memory, 200, 0).cycles > decode["cycles"]


def test_the_command_shows_both_phases(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["simulate", str(PRESET), "--context", "5", "--prompt", "2", "--memory", "half"]) == 0
    out = capsys.readouterr().out
    assert (
        "tiny_decoder on tiny_decoder, memory half (exact model of the sequencer, shapes without values)\n"
        in out
    )
    assert "decode: a token behind 5: " in out and "prefill: a prompt of 2 and the first token: " in out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"context": 3, "prompt": "And"},
            "Prompt must be a number of tokens where there is no checkpoint, whose tokenizer reads a text, not 'And'",
        ),
        ({"context": 256}, "context must be at most 255 for tiny_decoder on tiny_decoder, not 256"),
        ({"context": -1}, "context must be at least 0, not -1"),
        ({"prompt": 0}, "prompt must be at least 1, not 0"),
        ({"prompt": 257}, "prompt must be at most 256 for tiny_decoder on tiny_decoder, not 257"),
        ({"context": 3, "tokens": 4}, "tokens must be given with a checkpoint, not for shapes alone"),
        ({"context": 3, "image": "image"}, "image must be given with a checkpoint, not for shapes alone"),
        (
            {"context": 3, "checkpoint": "model", "prompt": "And"},
            "context must be given without a checkpoint, which has its own",
        ),
        (
            {"model": "bitnet_2b4t"},
            "hidden of bitnet_2b4t must be at most 256, the largest of tiny_decoder, not 2560",
        ),
        (
            {"context": 3, "memory": "hal"},
            "Memory must be one of system, fixed, random, half, refresh, not 'hal'; did you mean 'half'?",
        ),
        ({"prompt": 3, "checkpoint": "model"}, "Prompt must be a text for a checkpoint, not 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_simulated_says_why(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        simulate(PRESET, **given)
    assert str(caught.value) == message


def test_a_system_without_a_program_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["simulate", str(HBM), "--model", "bitnet_2b4t"]) == 2
    wanted = "Work positions must be run by a unit for hardware of a whole system, not by the host"
    assert capsys.readouterr().err.strip().removeprefix("error: ") == wanted


#: A system, a model (none is the largest), a context, and cycles of a token.
WHOLE = [
    (PRESET, "", 20, 180_508),
    (EDGE, "bitnet_2b4t", 1024, 14_523_075),
]


@pytest.mark.parametrize("number", range(some(1, of=2)))
def test_a_whole_token_has_the_cycles_of_the_run_without_skipping(number: int) -> None:
    """All layers and the head."""
    path, model, context, wanted = WHOLE[number]
    system = read_system(path)
    plan = plan_of(system, models.load(model) if model else system.largest)
    memory = text.port(system, "system", 200.0)
    cycles, _ = fast(plan, [DECODE], memory, context, 0)
    assert cycles == slow(plan, [DECODE], memory, context, 0).cycles == wanted
