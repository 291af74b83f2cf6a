"""The decoder in hardware against the description, for every kind of fault."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from blueprint.systems.instructions import FORMAT, KINDS, fault
from generator.layout import bits
from generator.systems.decoder import Decoder
from tests.generator.cells.flat import play


def words() -> list[int]:
    """Words of every kind and unit with every other field zero or not, and random ones."""
    random = np.random.default_rng(4)
    found = []
    for head in range(64):
        for nonzero in range(16):
            word = head
            for number, field in enumerate(FORMAT.fields[2:]):
                if nonzero >> number & 1:
                    word |= int(random.integers(1, 1 << field.bits)) << field.offset
            found.append(word)
    return found + [int(random.integers(1 << 63)) for _ in range(200)]


def check(decoder: Decoder) -> None:
    async def story(ctx: Any) -> None:
        for word in words():
            ctx.set(bits(decoder.word), word)
            await ctx.tick()
            assert bool(ctx.get(decoder.legal)) == (fault(word) is None), f"legal of {word:#x}"
            lines = sum((word & 7 == kind.code) << place for place, kind in enumerate(KINDS.values()))
            assert ctx.get(bits(decoder.kinds)) == lines, f"kinds of {word:#x}"

    play(decoder, story)


def test_the_decoder_refuses_what_the_description_refuses() -> None:
    check(Decoder("decoder"))


class Trusting(Decoder):
    """A twin that does not look at the fields that a kind does not use."""

    def _unused(self, used: tuple[str, ...]) -> Any:
        return super()._unused(("unit", "wait", "signal", "register", "value"))


def test_a_decoder_that_trusts_its_program_is_noticed() -> None:
    with pytest.raises(AssertionError, match="^legal of 0x"):
        check(Trusting("decoder"))
