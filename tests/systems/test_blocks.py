"""Blocks of a prompt: every cut gives the same values, weights come once a block, cycles are those of the RTL."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import random_systems
from blueprint.errors import ParamError
from blueprint.systems import control, staging
from blueprint.systems.control import Hardware
from blueprint.systems.instructions import REPEAT, Instruction
from blueprint.systems.memory_port import BEHAVIORS, MemoryPort
from blueprint.systems.reader import read_system
from blueprint.systems.runs import Runs
from compiler import calibration, image
from compiler.compile import Compiled, compile_model, compile_shapes
from compiler.image import Image
from compiler.prompts import BLOCK, DECODE, PROMPT, Turn, turns
from costmodel.systems import compiled
from simulator.systems import decoding, proving
from simulator.systems.golden import Golden, Memory
from simulator.systems.golden_units import Stuck
from simulator.systems.machine import Machine
from simulator.systems.passes import Passes, read_program
from tests.systems import small
from tests.systems.test_inventory import check_netlist
from tests.volume import ALL

PRESET = Path(__file__).resolve().parents[2] / "examples" / "tiny_decoder" / "system.yaml"
TEXT = [3, 7, 9, 1, 4, 8, 2, 30, 11, 5, 17]


def hardware(block: int, name: str = "tables", width: int = 32) -> Hardware:
    return replace(small.hardware(name, width=width), block=block)


@cache
def found(block: int, name: str = "tables") -> Compiled:
    trained = small.checkpoint()
    steps = calibration.measure(trained, [[3, 17, 5]])
    return compile_model(hardware(block, name), trained, steps)


@cache
def picture(block: int, name: str = "tables") -> Image:
    return image.of_compiled(found(block, name))


def port(name: str = "fixed") -> MemoryPort:
    return replace(BEHAVIORS[name], size=1 << 20)


def decoded(block: int, prompt: int, count: int = 1, name: str = "tables", memory: str = "fixed") -> Any:
    return decoding.decode(hardware(block, name), picture(block, name), TEXT[:prompt], count, port(memory))


# The cut --------------------------------------------------------------------------------------------------------------


def test_turns_by_hand() -> None:
    single = [Turn(PROMPT, 0, 1), Turn(PROMPT, 1, 1)]
    assert turns(1, 2, 4) == [Turn(DECODE, 0, 1), Turn(DECODE, 1, 1)]
    assert turns(3, 1, 1) == turns(3, 1, 4) == [*single, Turn(DECODE, 2, 1)]
    assert turns(5, 1, 4) == [Turn(BLOCK, 0, 4), Turn(DECODE, 4, 1)]
    # Six tokens: the second block begins behind two tokens of the first one.
    assert turns(7, 1, 4) == [Turn(BLOCK, 0, 2), Turn(BLOCK, 2, 4), Turn(DECODE, 6, 1)]


@pytest.mark.parametrize("block", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("prompt", [1, 2, 3, 8, 9, 17, 40])
def test_every_token_of_a_prompt_is_in_a_block_in_front_of_its_last_one(prompt: int, block: int) -> None:
    done = turns(prompt, 2, block)
    assert all(first.position + first.step == second.position for first, second in pairwise(done))
    before = [one for one in done if one.program != DECODE]
    wide = {PROMPT: 1, BLOCK: block}
    seen = {one.position + place for one in before for place in range(wide[one.program])}
    assert seen == set(range(prompt - 1)), "and none that is not written yet"
    assert [one.position for one in done if one.program == DECODE] == [prompt - 1, prompt]


@cache
def left(block: int, prompt: int, name: str) -> tuple[bytes, ...]:
    """Tokens, keys and values that the golden model leaves behind a prompt and the token that follows it."""
    shown, layout = picture(block, name), found(block, name).layout
    memory = Memory(shown.base, shown.data)
    memory.write(shown.tokens, np.array([TEXT[:prompt]], "<u4").view(np.uint8))
    golden = Golden(hardware(block, name), memory)
    for one in turns(prompt, 1, block):
        golden.run(shown.programs[one.program], one.position)
    regions = [layout["tokens"]]
    regions += [
        layout[f"{kind} {layer}"] for kind in ("keys", "values") for layer in range(small.MODEL.layers)
    ]
    # Elements of a row of a cache have a byte.
    sizes = [4 * (prompt + 1), *[prompt * small.MODEL.kv_heads * small.MODEL.head_dim] * (len(regions) - 1)]
    return tuple(memory.read(one.base, size).tobytes() for one, size in zip(regions, sizes, strict=True))


@pytest.mark.parametrize(
    ("name", "prompt"), [*(("tables", length) for length in (1, 3, 4, 6, 11)), ("array", 8), ("dots", 8)]
)
def test_every_cut_gives_the_same_tokens_and_cache(name: str, prompt: int) -> None:
    """A prompt of 1, of as many as a block, of one more, and ragged ones."""
    alone = left(1, prompt, name)
    assert all(map(any, alone))
    assert {block: left(block, prompt, name) for block in (2, 3, 5)} == dict.fromkeys((2, 3, 5), alone)


def test_a_block_loads_weights_once_and_everything_else_for_every_token() -> None:
    moved = {
        one.name: sum(size for purpose, size in one.notes if purpose.weights) for one in found(3).programs
    }
    runs = {
        one.name: sum(i.kind == "start" and i.unit == "matrix" for i in one.instructions)
        for one in found(3).programs
    }
    assert moved[BLOCK] == moved[PROMPT] > 0
    assert runs[BLOCK] == 3 * runs[PROMPT]


def test_a_system_of_single_tokens_is_as_it_was() -> None:
    assert [one.name for one in found(1).programs] == [PROMPT, DECODE]
    assert not any(one.replays for one in hardware(1).inputs)
    assert hardware(1).registers == control.registers(hardware(1).design_hash)
    assert not any(one.register == REPEAT and one.unit == "matrix" for one in picture(1).programs[PROMPT])


def test_a_model_of_no_longer_context_than_a_block_has_none() -> None:
    plan = compile_shapes(hardware(12), small.MODEL)
    assert [one.name for one in plan.programs] == [PROMPT, DECODE]
    assert plan.block == 1


# Cycles ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("block", "memory"), [*((3, name) for name in BEHAVIORS), (10, "half")])
def test_every_instruction_of_a_block_begins_and_ends_as_cycle_by_cycle(block: int, memory: str) -> None:
    """`timed`, and passes in machine code, beside `machine` on a ragged prompt.

    In blocks of 10 loads wait for room for their tokens, of which the matrix unit leaves twelve.
    """
    shown, done = picture(block), turns(2 * block, 0, block)
    runs = Runs(found(block).hardware)
    programs = [shown.programs[one.program] for one in done]
    pages = [shown.pages[one.program] for one in done]
    slow = Machine(
        found(block).hardware, programs, pages, [port(memory)] * 3, runs, steps=[one.step for one in done]
    ).run()
    fast = decoding.timed(found(block).hardware, shown, done, port(memory), lambda _: 0)
    assert (fast.cycles, fast.spans) == (slow.cycles, slow.spans)
    small.check_passes(found(block).hardware, shown, done, port(memory), slow)


@pytest.mark.parametrize("prompt", [8, 64])
def test_an_estimate_has_the_time_to_the_first_token(prompt: int) -> None:
    system = replace(read_system(PRESET), block=8)
    plan = compiled.plan_of(system, system.largest)
    assert system.clock_mhz is not None
    said = sum(one.cycles for one in compiled.prefill(system, plan, system.clock_mhz, prompt))
    runs = Runs(plan.hardware)
    memory = decoding_port(system)
    passes = Passes(plan.hardware, [memory] * 3, runs)
    tables = {one.name: read_program(plan.hardware, runs, one.instructions) for one in plan.programs}
    for one in turns(prompt, 1, plan.block):
        passes.run(tables[one.program], one.position)
    assert said == pytest.approx(passes.cycles, rel=0.01)


def decoding_port(system: Any) -> MemoryPort:
    from ternforge import decoding as text

    return text.port(system, "system", system.clock_mhz)


# What cannot be -------------------------------------------------------------------------------------------------------


def told(text: str) -> str:
    return f"^{re.escape(text)}$"


def test_a_block_that_no_register_holds_is_refused() -> None:
    system = replace(read_system(PRESET), block=257)
    text = "Block must be at most 256 tokens for hardware of a whole system, not 257"
    with pytest.raises(ParamError, match=told(text)):
        control.hardware(system)
    assert control.hardware(replace(system, block=256)).step_bits == 8


def test_weights_that_are_replayed_once_too_seldom_are_noticed() -> None:
    shown = picture(3)

    def seldom(one: Instruction) -> Instruction:
        mine = (one.kind, one.unit, one.register) == ("set", "matrix", REPEAT)
        return replace(one, value=2) if mine else one

    programs = {**shown.programs, BLOCK: tuple(map(seldom, shown.programs[BLOCK]))}
    with pytest.raises(Stuck, match="^A transfer of matrix.wgt.byte must belong to one run$"):
        decoding.decode(hardware(3), replace(shown, programs=programs), TEXT[:6], 1, port())


def test_a_field_that_replays_is_the_weights_alone() -> None:
    fields = staging.inputs(hardware(3).units, 32, block=3)
    assert [one.name for one in fields if one.replays] == ["matrix.wgt.byte"]
    act, before = (next(one for one in each if one.stream == "act") for each in (fields, hardware(1).inputs))
    assert (act.words(64 * 3, 32), act.depth, before.depth) == (24, 24, 16)


# Hardware -------------------------------------------------------------------------------------------------------------


if ALL:  # a build takes a minute; a random system in blocks is in test_random_systems

    @pytest.mark.slow
    def test_flip_flops_are_those_of_the_netlist() -> None:
        one = hardware(5, width=64)
        check_netlist(replace(one, units={"matrix": one.units["matrix"]}))

    @pytest.mark.slow
    def test_prompts_in_blocks_are_their_simulator(tmp_path: Path) -> None:
        """Of 1, of as many as a block, one more, and ragged ones; another step is noticed."""
        bench = random_systems.build(hardware(3), tmp_path)
        for prompt, memory in ((1, "fixed"), (3, "fixed"), (4, "random"), (6, "refresh"), (10, "half")):
            ran = decoded(3, prompt, 2, memory=memory)
            proof = proving.prove(hardware(3), bench, picture(3), TEXT[:prompt], ran, port(memory))
            assert proof.findings == [] and proof.tokens == ran.tokens
        wrong = replace(ran, turns=[replace(ran.turns[0], step=2), *ran.turns[1:]])
        assert wrong.turns != ran.turns
        proof = proving.prove(hardware(3), bench, picture(3), TEXT[:10], wrong, port(memory))
        assert any("must" in finding for finding in proof.findings)
