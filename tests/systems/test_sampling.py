"""Tokens that are drawn: golden model, simulator and RTL of a small system, the reference, and what is refused."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import random_systems
from blueprint.arithmetic import gumbel
from blueprint.errors import ParamError
from blueprint.systems import instructions
from blueprint.systems.address_map import PAGE
from blueprint.systems.control import Hardware
from blueprint.systems.instructions import WORD_BYTES
from blueprint.systems.memory_port import BEHAVIORS
from checkpoints.reference import Reference
from compiler import calibration, drawing, image
from compiler.compile import compile_model
from compiler.image import Image
from compiler.prompts import DECODE, PROMPT
from simulator.systems import decoding, proving
from tests.systems import small
from tests.volume import some

PROMPT_TOKENS, COUNT = [3, 1], 3


@functools.cache
def hardware(samples: bool = True, top_k: int = 0) -> Hardware:
    return small.hardware(vector=small.vector(samples=samples, top_k=top_k))


@functools.cache
def compiled(samples: bool = True, top_k: int = 0) -> Image:
    trained = small.checkpoint()
    found = compile_model(hardware(samples, top_k), trained, calibration.measure(trained, [[1, 2, 3]]))
    return image.of_compiled(found)


def tokens(picture: Image, samples: bool = True, count: int = 4, places: int = 0) -> list[int]:
    port = BEHAVIORS["fixed"]
    return decoding.decode(hardware(samples, places), picture, PROMPT_TOKENS, count, port).tokens


def drawn(temperature: float, seed: int, top_k: int = 0, places: int = 0) -> Image:
    return drawing.drawn(compiled(True, places), hardware(True, places), temperature, seed, top_k)


def test_the_image_has_the_temperature_in_its_program_and_nothing_else() -> None:
    before, after = compiled(), drawn(0.7, 5)
    changed = [
        (old, new)
        for old, new in zip(before.programs[DECODE], after.programs[DECODE], strict=True)
        if old != new
    ]
    assert [(str(old), str(new)) for old, new in changed] == [
        ("set vector r12 = 0x1", f"set vector r12 = {int(np.float32(1 / 0.7).view(np.uint32)):#x}"),
        ("set vector r13 = 0x1", "set vector r13 = 0x6"),
    ]
    assert after.programs[PROMPT] == before.programs[PROMPT]
    at = after.pages[DECODE] * PAGE - after.base
    code = after.data[at : at + WORD_BYTES * len(after.programs[DECODE])].tobytes()
    assert instructions.disassemble(code) == after.programs[DECODE]
    assert np.count_nonzero(before.data != after.data) <= 5
    assert "setp vector r14 = position + 0x1" in map(str, before.programs[DECODE])


def test_greedy_tokens_are_those_of_a_unit_that_cannot_draw() -> None:
    assert tokens(compiled()) == tokens(compiled(False), False) == tokens(drawn(0.0, 3))


def test_tokens_follow_from_seed_and_position() -> None:
    made = [tokens(drawn(50.0, seed)) for seed in (0, 1, 0)]
    assert made[0] == made[2] != made[1]
    assert all(len(set(one)) > 1 for one in made)


def test_tokens_are_drawn_among_the_most_likely_ones() -> None:
    """The unit has four places; a run may use fewer of them, or none."""
    reference = Reference(small.checkpoint())
    few = [tokens(drawn(100.0, 2, k, 4), places=4) for k in (0, 1, 2, 4)]
    assert few[0] == tokens(drawn(100.0, 2))
    assert few[1] == tokens(compiled())
    assert len(set(map(tuple, few))) == 4
    for k, found in zip((0, 1, 2, 4), few, strict=True):
        assert found == list(reference.continuation(PROMPT_TOKENS, 4, 100.0, 2, k))


def test_a_program_has_one_register_more_for_it() -> None:
    before, after = compiled(True, 4).programs[DECODE], drawn(0.7, 5, 3, 4).programs[DECODE]
    changed = [(str(old), str(new)) for old, new in zip(before, after, strict=True) if old != new]
    assert changed[2:] == [("set vector r15 = 0x1", "set vector r15 = 0x4")]
    assert len(after) == len(compiled().programs[DECODE]) + 1


def test_cold_tokens_are_the_most_likely_ones() -> None:
    assert tokens(drawn(0.01, 1)) == tokens(compiled())


def test_the_reference_draws_by_the_same_noise() -> None:
    """Its logits are not to the bit those of the system; at a high temperature that decides nothing."""
    reference = Reference(small.checkpoint())
    assert list(reference.continuation(PROMPT_TOKENS, 4, 100.0, 2)) == tokens(drawn(100.0, 2))
    # The last token of the prompt stands at position 1.
    words = gumbel.random_words(gumbel.key(1, 1), np.arange(40))
    assert tokens(drawn(100.0, 1), count=1) == [int(gumbel.noise(words).argmax())]


@pytest.mark.slow
def test_drawn_tokens_and_cycles_are_those_of_the_rtl(tmp_path: Path) -> None:
    """Of a unit with places for the most likely tokens, which a run may leave unused."""
    system = hardware(True, 4)
    bench = random_systems.build(system, tmp_path)
    found = []
    for few in (0, 3):
        picture = drawn(20.0, 7, few, 4)
        for name in ("random", "fixed")[: some(1, of=2)]:
            port = replace(BEHAVIORS[name], size=1 << 20)
            decoded = decoding.decode(system, picture, PROMPT_TOKENS, COUNT, port)
            proof = proving.prove(system, bench, picture, PROMPT_TOKENS, decoded, port)
            assert proof.findings == []
            assert proof.tokens == decoded.tokens == tokens(picture, count=COUNT, places=4)
        found.append(decoded.tokens)
    assert found[0] == tokens(drawn(20.0, 7), count=COUNT)
    assert tokens(compiled(), count=COUNT) not in found
    assert found[0] != found[1]


def test_a_unit_that_cannot_draw_is_refused() -> None:
    what = r"^The vector unit must draw tokens: samples must be true for temperature 0\.8$"
    with pytest.raises(ParamError, match=what):
        drawing.drawn(compiled(False), hardware(False), 0.8, 1)
    what = r"^The vector unit must draw tokens: top_k must be at least the 5 rows among which one is drawn, not 4$"
    with pytest.raises(ParamError, match=what):
        drawn(0.8, 1, 5, 4)


@pytest.mark.parametrize("temperature", [-1.0, 0.001, 1000.0, float("inf")])
def test_a_temperature_that_is_none_is_refused(temperature: float) -> None:
    with pytest.raises(ParamError, match=r"^Temperature must be 0 or from 0\.01 to 100, not "):
        drawn(temperature, 1)
    with pytest.raises(ParamError, match=r"^Temperature must be 0 or from 0\.01 to 100, not "):
        next(Reference(small.checkpoint()).continuation([1], 1, temperature))
