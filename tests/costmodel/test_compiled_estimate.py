"""An estimate of a system that can be compiled, beside what the compiler emits and the simulator counts."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from blueprint import registry
from blueprint.errors import ParamError
from blueprint.systems.address_map import PAGE
from blueprint.systems.description import System
from blueprint.systems.dma import Transfer
from blueprint.systems.instructions import INDICES, WORD_BYTES
from blueprint.systems.memory_port import BEHAVIORS, MemoryPort, of_memory
from blueprint.systems.reader import read_system
from blueprint.systems.runs import Runs
from compiler import calibration
from compiler.compile import Plan, compile_model, compile_shapes
from compiler.prompts import DECODE, PROMPT
from costmodel.systems import compiled, schedule
from costmodel.systems import estimate as costs
from costmodel.technology import technology
from simulator.systems import decoding, dma
from simulator.systems.machine import Trace
from ternforge import estimate
from ternforge.cli import run
from tests.systems import small

EXAMPLES = Path(__file__).parents[2] / "examples"
HBM = EXAMPLES / "hbm_2b4t" / "system.yaml"
HOSTED = Path(__file__).parents[1] / "blueprint" / "hosted_system.yaml"
CLOCK = 200.0
ASAP7 = technology.load("asap7")


def tiny(**model: int) -> System:
    """The preset, with a largest model of other sizes."""
    system = read_system(EXAMPLES / "tiny_decoder" / "system.yaml")
    return replace(system, largest=replace(system.largest, **model))


def narrow() -> System:
    """Half the port, half its rate, twice the latency, another model."""
    system = tiny(hidden=128, ffn=384, layers=2, heads=4, kv_heads=2, vocab=256, context=64)
    return replace(system, memory=replace(system.memory, width=32, bandwidth_gb_s=0.4, latency_ns=200.0))


def wide() -> System:
    """A deeper model of other heads, behind a memory that answers late."""
    system = tiny(hidden=192, ffn=512, layers=6, heads=6, kv_heads=3, vocab=512, context=128)
    return replace(system, memory=replace(system.memory, latency_ns=400.0))


def agree_on_a_token(system: System) -> None:
    """The estimate of a token at position 0 has the bytes and nearly the cycles of the simulator."""
    plan = compiled.plan_of(system, system.largest)
    trace = simulated(plan, DECODE, of_memory(system.memory, system.clock_mhz or 0), 0)
    phase = costs.estimate(system, system.largest, ASAP7, 0).phases["decode"]
    assert phase.time.seconds * (system.clock_mhz or 0) * 1e6 == pytest.approx(trace.cycles, rel=0.005)
    moved = sum(size for each in decoding.transfers(trace).values() for _, size in each)
    program = WORD_BYTES * len(plan.program(DECODE).instructions)
    assert sum(step.operation.traffic for step in phase.time.steps) == moved + program


def integers() -> System:
    """The preset with an embedding of 8 bits and as many lanes as a beat of the memory has elements of it."""
    system = tiny()
    vector = system.units["vector"]
    lanes = replace(vector, spec=registry.get("vector")(**vector.spec.parameters | {"lanes": 8}))
    head = replace(system.head, embedding_width=8)
    return replace(system, head=head, units={**system.units, "vector": lanes})


def ungated() -> System:
    """A small model without a gate."""
    return tiny(hidden=64, ffn=192, layers=2, heads=2, kv_heads=1, vocab=128, context=32, gated=False)


SYSTEMS = {"preset": tiny, "narrow": narrow, "wide": wide, "integers": integers, "ungated": ungated}


@cache
def planned(name: str) -> tuple[System, Plan]:
    system = SYSTEMS[name]()
    return system, compiled.plan_of(system, system.largest)


def simulated(plan: Plan, name: str, port: MemoryPort, position: int) -> Trace:
    """A pass on the exact model of the sequencer."""
    program = plan.program(name)
    image = SimpleNamespace(
        programs={name: program.instructions}, pages={name: plan.layout[program.region].base // PAGE}
    )
    return decoding.timed(plan.hardware, image, [name], port, lambda _: 0, position=position)  # type: ignore[arg-type]


def bytes_at_0(plan: Plan, trace: Trace, name: str) -> int:
    moved = sum(size for each in decoding.transfers(trace).values() for _, size in each)
    return moved + WORD_BYTES * len(plan.program(name).instructions)


@pytest.mark.parametrize("name", SYSTEMS)
def test_cycles_of_a_token_are_those_of_the_simulator_and_bytes_too(name: str) -> None:
    """Asked for is 5 %; the closed forms are nearer."""
    system, plan = planned(name)
    trace = simulated(plan, DECODE, of_memory(system.memory, CLOCK), 0)
    found = costs.estimate(system, system.largest, ASAP7, 0)
    phase = found.phases["decode"]
    assert found.uncompiled == ""
    assert phase.time.seconds * CLOCK * 1e6 == pytest.approx(trace.cycles, rel=0.005)
    assert sum(step.operation.traffic for step in phase.time.steps) == bytes_at_0(plan, trace, DECODE)
    assert phase.energies["memory"] == pytest.approx(
        8 * system.memory.energy_pj_per_bit * bytes_at_0(plan, trace, DECODE)
    )


def test_cycles_behind_other_tokens_are_those_of_the_simulator() -> None:
    system, plan = planned("narrow")
    port = of_memory(system.memory, CLOCK)
    for name, position in ((DECODE, 63), (PROMPT, 40)):
        trace = simulated(plan, name, port, position)
        one = schedule.Pass(plan.hardware, port, Runs(plan.hardware), position)
        assert one.run(plan.program(name).instructions).cycles == pytest.approx(trace.cycles, rel=0.005)


@pytest.mark.parametrize("behavior", ["fixed", "half"])
def test_every_instruction_begins_and_ends_near_the_simulators(behavior: str) -> None:
    plan = compile_shapes(small.hardware(), small.MODEL)
    port = replace(BEHAVIORS[behavior], size=1 << 20)
    trace = simulated(plan, DECODE, port, 3)
    ends = {span.number: span.end for spans in trace.spans.values() for span in spans}
    found = schedule.Pass(plan.hardware, port, Runs(plan.hardware), 3).run(plan.program(DECODE).instructions)
    late = [one.end - ends[one.number] for one in found.starts]
    assert len(late) == sum(one.kind == "start" for one in plan.program(DECODE).instructions)
    assert max(map(abs, late)) <= 0.005 * trace.cycles


@pytest.mark.parametrize("seed", range(4))
def test_transfers_take_what_the_mover_takes(seed: int) -> None:
    """Random rows, strides and places, each by itself, under a full and a half memory."""
    random, hardware = np.random.default_rng(seed), small.hardware()
    port = replace(BEHAVIORS[("fixed", "half")[seed % 2]], size=1 << 20)
    always: dma.Pattern = lambda _: True  # noqa: E731
    for _ in range(20):
        rows, size = int(random.choice([1, 2, 7, 40])), 4 * int(random.integers(1, 200))
        stride, address = 4 * int(random.integers(0, 300)), 4 * int(random.integers(0, 4000))
        mover = dma.Reader(
            hardware.load, dma.Ends((Transfer(address, size, rows, stride),), (), always, always), port
        )
        (done,) = (event.cycle for event in mover.cycles() if event.kind == "done")
        registers = {0: address, 1: size, 2: rows, 3: stride, 4: 0, 5: INDICES.index("none")}
        taken = schedule.transfer(hardware, port, "load", registers, 0)
        assert taken == pytest.approx(done, rel=0.05, abs=8), registers


def test_programs_of_shapes_are_those_of_a_checkpoint() -> None:
    trained = small.checkpoint()
    full = compile_model(small.hardware(), trained, calibration.measure(trained, [[3, 17, 5]]))
    bare = compile_shapes(small.hardware(), small.MODEL)
    assert bare.programs == full.programs
    assert bare.layout.regions == full.layout.regions
    assert bare.tiles == full.tiles and bare.layout.base == full.layout.base
    assert "weights" in full.layout.contents and "weights" not in bare.layout.contents


def test_a_prompt_is_its_passes_and_the_first_token() -> None:
    """Cycles between scheduled positions are on a line, bytes and work exactly so."""
    system, plan = planned("narrow")
    port, runs, prompt = of_memory(system.memory, CLOCK), Runs(plan.hardware), 40
    passes = [
        schedule.Pass(plan.hardware, port, runs, place).run(plan.program(name).instructions)
        for place, name in enumerate([PROMPT] * (prompt - 1) + [DECODE])
    ]
    instructions = (prompt - 1) * len(plan.program(PROMPT).instructions) + len(
        plan.program(DECODE).instructions
    )
    found = compiled.prefill(system, plan, CLOCK, prompt)
    assert (
        sum(each.part.traffic for each in found)
        == sum(one.moved for one in passes) + WORD_BYTES * instructions
    )
    assert sum(each.cycles for each in found) == pytest.approx(sum(one.cycles for one in passes), rel=0.002)
    alone = compiled.prefill(system, plan, CLOCK, 1)
    assert alone == compiled.decode(system, plan, CLOCK, 0)


def test_parts_are_all_cycles_and_all_work() -> None:
    system, plan = planned("narrow")
    found = compiled.decode(system, plan, CLOCK, 5)
    model = system.largest
    query, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    weights = model.hidden * (2 * query + 2 * keys + 3 * model.ffn)
    assert sum(each.part.macs for each in found if each.part.kind == "product") == model.layers * weights
    assert (
        sum(each.part.macs for each in found if each.part.kind == "attention") == model.layers * 2 * query * 6
    )
    assert all(0 <= each.compute <= each.cycles for each in found)
    buffers = {name for each in found for name, _ in each.part.buffered}
    assert buffers == {"weights", "cache", "activations"}
    (head,) = (each for each in found if each.part.kind == "head")
    row = model.hidden * 2  # of the embedding; the vector beside all of them comes once
    assert head.part.traffic == (model.vocab + 1) * row + 2 * 4 + 4
    assert head.compute < 0.8 * head.cycles  # it waits for rows


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (HOSTED, "Work positions must be run by a unit for hardware of a whole system, not by the host"),
        (HBM, "Work positions must be run by a unit for hardware of a whole system, not by the host"),
    ],
)
def test_what_cannot_be_compiled_says_why(
    path: Path, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert estimate(path, context=9)["uncompiled"] == reason
    assert run(["estimate", str(path), "--context", "9"]) == 0
    assert estimate(path, context=9)["basis"] == "operations"
    line = (
        f"no program of the compiler: {reason}\n"
        "so these are numbers of a list of operations, which do not compare with those of programs\n"
    )
    assert line in capsys.readouterr().out


def test_a_unit_that_cannot_run_the_programs_is_named() -> None:
    system = tiny()
    small_cache = replace(system, buffers=replace(system.buffers, cache=8192))
    wanted = "Buffer of the cache must be at least 16384 bytes for 256 keys and values of a head, not 8192"
    with pytest.raises(ParamError) as caught:
        compiled.plan_of(small_cache, small_cache.largest)
    assert str(caught.value) == wanted
    assert costs.estimate(small_cache, small_cache.largest, ASAP7, 9).uncompiled == wanted


def test_a_model_of_another_activation_has_no_program() -> None:
    with pytest.raises(
        ParamError, match="^Activation of small must be relu2, which the vector unit computes, not silu$"
    ):
        compile_shapes(small.hardware(), replace(small.MODEL, activation="silu"))
