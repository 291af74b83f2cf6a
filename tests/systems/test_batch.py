"""Batches: sequences that share each pass over the weights have the tokens and the cache that each has alone."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from benchmarks import random_systems
from blueprint.errors import ParamError, SpecError
from blueprint.systems.control import Hardware
from blueprint.systems.memory_port import BEHAVIORS, MemoryPort
from blueprint.systems.reader import read_system
from blueprint.systems.runs import Runs
from blueprint.systems.variants import changed
from compiler import calibration, image
from compiler.compile import Compiled, compile_model, compile_shapes
from compiler.image import Image
from compiler.prompts import DECODE, PROMPT, Turn
from compiler.purpose import SCORES
from costmodel.systems import compiled
from simulator.systems import decoding, proving
from simulator.systems.decoding import Decoded
from simulator.systems.machine import Machine
from simulator.systems.passes import Passes, read_program
from ternforge import decoding as text
from tests.systems import small
from tests.volume import ALL

PRESET = Path(__file__).resolve().parents[2] / "examples" / "tiny_decoder" / "system.yaml"
#: Prompts of three sequences, and tokens behind each.
PROMPTS = ([3, 7, 9], [30, 2, 2], [11, 5, 17])
COUNT = 4
#: Tokens that the staging of the small systems holds side by side, and the sequences of most tests.
BLOCK, BATCH = 4, len(PROMPTS)


def hardware(name: str = "tables", embedding: int = 16) -> Hardware:
    return replace(small.hardware(name, embedding=embedding), block=BLOCK)


@cache
def found(batch: int, name: str = "tables", embedding: int = 16) -> Compiled:
    trained = small.checkpoint()
    steps = calibration.measure(trained, [[3, 17, 5]])
    return compile_model(hardware(name, embedding), trained, steps, batch)


@cache
def picture(batch: int, name: str = "tables", embedding: int = 16) -> Image:
    return image.of_compiled(found(batch, name, embedding))


def port(name: str = "fixed") -> MemoryPort:
    return replace(BEHAVIORS[name], size=1 << 20)


@cache
def batched(name: str = "tables", embedding: int = 16, memory: str = "fixed") -> Decoded:
    one = picture(BATCH, name, embedding)
    return decoding.decode(
        hardware(name, embedding), one, PROMPTS[0], COUNT, port(memory), beside=PROMPTS[1:]
    )


# Values ---------------------------------------------------------------------------------------------------------------


def written(plan: Compiled, ran: Decoded, sequence: int) -> list[bytes]:
    """Tokens, keys and values of a sequence in memory, up to the last position."""
    rows = len(PROMPTS[0]) + COUNT - 1
    sizes = {"tokens": 4 * (rows + 1)}
    for layer in range(small.MODEL.layers):
        for kind in ("keys", "values"):
            sizes[f"{kind} {layer}"] = rows * small.MODEL.kv_heads * small.MODEL.head_dim
    every = []
    for region, size in sizes.items():
        mine = plan.layout[region]
        first = mine.base + sequence * (mine.size // plan.batch)
        every.append(ran.memory[first : first + size])
    return every


@pytest.mark.parametrize(("name", "embedding"), [("tables", 16), ("tables", 8), ("array", 16), ("dots", 8)])
def test_every_sequence_is_as_alone(name: str, embedding: int) -> None:
    together = batched(name, embedding)
    alone = [
        decoding.decode(hardware(name, embedding), picture(1, name, embedding), prompt, COUNT, port())
        for prompt in PROMPTS
    ]
    assert together.sequences == [one.tokens for one in alone]
    assert len({tuple(one) for one in together.sequences}) == BATCH, "texts that are equal prove little"
    for sequence, one in enumerate(alone):
        mine = written(found(BATCH, name, embedding), together, sequence)
        assert all(map(any, mine))
        assert mine == written(found(1, name, embedding), one, 0)


RAGGED = ([3, 7, 9, 1], [30], [11, 5])


@cache
def ragged() -> Decoded:
    return decoding.decode(hardware(), picture(BATCH), RAGGED[0], 2, port(), beside=RAGGED[1:])


def test_prompts_of_several_lengths_are_continued_as_alone() -> None:
    """The host puts the rest of longer prompts in place of what the passes before choose."""
    ran = ragged()
    for prompt, mine in zip(RAGGED, ran.sequences, strict=True):
        count = 2 + len(RAGGED[0]) - len(prompt)
        assert mine == decoding.decode(hardware(), picture(1), prompt, count, port()).tokens
    assert [[turn.position for turn in start.turns] for start in ran.starts] == [[0], [1], [2], [3, 4]]
    assert [start.written for start in ran.starts] == [[], [(4, 7), (132, 5)], [(8, 9)], [(12, 1)]]
    assert sum(start.trace.cycles for start in ran.starts) == ran.cycles == ran.trace.cycles
    assert [span.place for span in ran.trace.spans["attention"] if span.text.kind == "start"] == sorted(
        place for place in range(5) for _ in range(BATCH * small.MODEL.layers * small.MODEL.kv_heads)
    )
    assert decoding.busy(ran.trace)["matrix"] == sum(
        decoding.busy(start.trace)["matrix"] for start in ran.starts
    )


def test_a_batch_goes_on_until_every_sequence_has_ended() -> None:
    """With each token of the second sequence as the one that ends a text."""
    whole = batched().sequences
    for stop in dict.fromkeys(whole[1]):
        ends = [mine.index(stop) if stop in mine else COUNT - 1 for mine in whole]
        ran = decoding.decode(
            hardware(), picture(BATCH), PROMPTS[0], COUNT, port(), beside=PROMPTS[1:], stop=stop
        )
        assert ran.sequences == [mine[: max(ends) + 1] for mine in whole]


def test_weights_are_loaded_once_and_everything_else_for_every_sequence() -> None:
    for program in (PROMPT, DECODE):
        single, wide = (found(batch).program(program) for batch in (1, BATCH))
        moved = [sum(size for purpose, size in one.notes if purpose.weights) for one in (single, wide)]
        others = [sum(size for purpose, size in one.notes if not purpose.weights) for one in (single, wide)]
        assert moved[0] == moved[1] > 0
        assert others[1] == BATCH * others[0]


def test_an_image_of_one_sequence_is_as_it_was() -> None:
    """Hardware is the same for every batch; a block has a program in images of one sequence alone."""
    assert found(1).hardware.design_hash == found(BATCH).hardware.design_hash
    assert [one.name for one in found(1).programs] == [PROMPT, DECODE, "block"]
    assert [one.name for one in found(BATCH).programs] == [PROMPT, DECODE]
    assert (picture(1).batch, picture(1).block, picture(BATCH).batch, picture(BATCH).block) == (
        1,
        BLOCK,
        BATCH,
        1,
    )
    assert [picture(BATCH).tokens_of(n) for n in range(3)] == [0, 64, 128]
    assert [picture(1).tokens_of(0), picture(1).stride] == [0, 0]


def test_an_image_of_a_batch_is_read_as_it_was_written(tmp_path: Path) -> None:
    image.write(found(BATCH), tmp_path)
    one = image.read(tmp_path, hardware())
    assert (one.batch, one.stride, one.tokens_of(2)) == (BATCH, 64, 128)
    assert one.programs == picture(BATCH).programs
    path = tmp_path / image.DESCRIPTION
    path.write_text(path.read_text().replace('"batch": 3', '"batch": "3"'))
    sentence = f"{path}:1:1: batch and tokens_stride must be integers, not '3' and 64"
    with pytest.raises(SpecError, match=told(sentence)):
        image.read(tmp_path, hardware())


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"batch": 3', '"batch": 0', "batch must be at least 1, not 0"),
        (
            '"batch": 3',
            '"batch": 3000',
            "tokens of every sequence must lie in front of base {base}, and do not",
        ),
        (
            '"tokens": 0',
            '"tokens": -4',
            "tokens of every sequence must lie in front of base {base}, and do not",
        ),
        (
            '"tokens_stride": 64',
            '"tokens_stride": 0',
            "tokens_stride must be at least {each}, the bytes of a sequence, not 0",
        ),
    ],
)
def test_an_image_whose_sequences_share_tokens_is_refused(
    old: str, new: str, sentence: str, tmp_path: Path
) -> None:
    image.write(found(BATCH), tmp_path)
    path = tmp_path / image.DESCRIPTION
    path.write_text(path.read_text().replace(old, new))
    one = picture(BATCH)
    expected = f"{path}:1:1: {sentence.format(base=one.base, each=4 * (one.context + 1))}"
    with pytest.raises(SpecError, match=told(expected)):
        image.read(tmp_path, hardware())


# Cycles ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", BEHAVIORS)
@pytest.mark.parametrize(("name", "embedding"), [("tables", 16), ("array", 8)])
def test_every_instruction_begins_and_ends_as_cycle_by_cycle(name: str, embedding: int, memory: str) -> None:
    """`timed` beside `machine`, which knows no runs that starve, and passes in machine code beside `timed`."""
    built, shown = hardware(name, embedding), picture(BATCH, name, embedding)
    prompt, done = [Turn(PROMPT, 0, 1)] * 2, [Turn(PROMPT, 0, 1), Turn(DECODE, 1, 1), Turn(DECODE, 2, 1)]
    runs = Runs(built)
    programs, pages = (
        [shown.programs[one.program] for one in prompt],
        [shown.pages[one.program] for one in prompt],
    )
    slow = Machine(built, programs, pages, [port(memory)] * 3, runs).run()
    fast = decoding.timed(built, shown, prompt, port(memory), lambda _: 0)
    assert (fast.cycles, fast.spans) == (slow.cycles, slow.spans)
    fast = decoding.timed(built, shown, done, port(memory), lambda _: 0)
    small.check_passes(built, shown, done, port(memory), fast)


@pytest.mark.parametrize("batch", [1, 4])
def test_an_estimate_has_the_cycles_and_bytes_of_a_batch(batch: int) -> None:
    system = changed(read_system(PRESET), {"model.block": 4})
    hardware, model = compiled.asked_of(system, system.largest)
    plan = compile_shapes(hardware, model, batch)
    assert system.clock_mhz is not None
    runs = Runs(plan.hardware)
    passes = Passes(plan.hardware, [text.port(system, "system", system.clock_mhz)] * 3, runs)
    passes.run(read_program(plan.hardware, runs, plan.program(DECODE).instructions), 100)
    said = compiled.decode(system, plan, system.clock_mhz, 100)
    assert sum(one.cycles for one in said) == pytest.approx(passes.cycles, rel=0.005)
    assert plan.batch == batch


# What cannot be -------------------------------------------------------------------------------------------------------


def told(sentence: str) -> str:
    return f"^{re.escape(sentence)}$"


@pytest.mark.parametrize(
    ("block", "batch", "sentence"),
    [
        (
            4,
            5,
            "Batch must be at most 4, the tokens that share what was loaded (model.block of the system), not 5",
        ),
        (
            1,
            2,
            "Batch must be at most 1, the tokens that share what was loaded (model.block of the system), not 2",
        ),
        (
            12,
            2,
            "Batch must be at most 1, the tokens that share what was loaded (model.block of the system), not 2",
        ),
        (4, 0, "Batch must be at least 1, not 0"),
    ],
)
def test_a_batch_that_staging_does_not_hold_is_refused(block: int, batch: int, sentence: str) -> None:
    with pytest.raises(ParamError, match=told(sentence)):
        compile_shapes(replace(small.hardware(), block=block), small.MODEL, batch)


def test_prompts_that_are_not_those_of_the_image_are_refused() -> None:
    for prompts, lengths in ((PROMPTS[:2], [3, 3]), ((*PROMPTS[:2], []), [3, 3, 0])):
        with pytest.raises(ValueError, match=told(f"Prompts must be 3 with tokens, not of {lengths}")):
            decoding.decode(hardware(), picture(BATCH), prompts[0], 1, port(), beside=prompts[1:])


def test_every_head_waits_for_the_run_before() -> None:
    """Staging takes no other vector while that of a sequence goes round, and times of loads know of no such wait."""
    plan = found(BATCH).program(DECODE)
    mine = [one for one, (purpose, _) in zip(plan.instructions, plan.notes, strict=True)
            if purpose.step == SCORES and one.kind == "start"]  # fmt: skip
    runs = [place for place, one in enumerate(mine) if one.unit == "vector"]
    waits = [place for place, one in enumerate(mine) if one.unit == "load" and "vector" in one.wait]
    assert len(runs) == BATCH and waits == [run + 1 for run in runs]


def test_proofs_compare_the_tokens_of_every_sequence() -> None:
    memory = proving.memory_of(picture(BATCH), *PROMPTS)
    for sequence, prompt in enumerate(PROMPTS):
        first = picture(BATCH).tokens_of(sequence)
        assert memory[first : first + 12].view("<u4").tolist() == prompt


# Hardware -------------------------------------------------------------------------------------------------------------

if ALL:  # a build takes a minute

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["tables", "array"])
    def test_batches_are_their_simulator(name: str, tmp_path: Path) -> None:
        """Under every memory, prompts of one length and of several; a word that the host does not write is noticed."""
        bench = random_systems.build(hardware(name), tmp_path)
        for prompts in (PROMPTS, RAGGED):
            for memory in BEHAVIORS:
                given, first, beside = picture(BATCH, name), prompts[0], prompts[1:]
                ran = decoding.decode(hardware(name), given, first, 2, port(memory), beside=beside)
                proof = proving.prove(hardware(name), bench, given, first, ran, port(memory), beside=beside)
                assert proof.findings == []
                assert [proof.tokens, *proof.beside] == ran.sequences
                assert proof.cycles == ran.cycles
        parts = [replace(ran.parts[0]), *(replace(part, written=()) for part in ran.parts[1:])]
        proof = proving.prove(
            hardware(name), bench, given, first, replace(ran, parts=parts), port(memory), beside=beside
        )
        assert any("tokens must be" in finding for finding in proof.findings)
