"""The noise of numbered words as hardware: every octave and segment, against the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from amaranth.hdl import Cat, Module
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic import gumbel
from blueprint.arithmetic.floating import FP32
from generator.arithmetic.gumbel import Gumbel
from generator.block import Block
from tests.generator.vectors import drive

Integers = npt.NDArray[np.int64]

#: Cycles of a word from begin to begin: its noise is there when the next one begins.
CYCLES = gumbel.CIPHER_CYCLES + gumbel.NOISE_CYCLES
STEP_BITS, WORD = 5, gumbel.WORD_BITS
SEED, POSITION = 0xDEADBEEF, 0x0001F00D


class Keyed(Block):
    """The block with its key as two ports, which fit the words of the bench."""

    place = "bench"

    def __init__(self) -> None:
        half = gumbel.KEY_BITS // 2
        ports = {"begin": In(1), "step": In(STEP_BITS), "number": In(gumbel.RANDOM_BITS), "seed": In(half)}
        super().__init__(
            "bench", {**ports, "position": In(half), "result": Out(FP32.width - 1)}, clocked=True
        )

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        self.use(
            m, Gumbel(STEP_BITS), "gumbel", begin=self.begin, step=self.step, number=self.number,
            key=Cat(self.seed, self.position), result=self.result,
        )  # fmt: skip
        return m


def numbers_of(words: Integers, key: int) -> Integers:
    """The numbers whose random words are these: the cipher backwards."""
    mask = (1 << WORD) - 1
    now, *later = (key >> WORD * place & mask for place in range(gumbel.KEY_WORDS))
    keys = []
    for number in range(gumbel.ROUNDS):
        keys.append(now)
        first = later.pop(0)
        later.append(((first >> 7 | first << 9) + now & mask) ^ number)
        now = (now << 2 | now >> 14) & mask ^ later[-1]
    x, y = words >> WORD, words & mask
    for one in reversed(keys):
        y = x ^ y
        y = (y >> 2 | y << 14) & mask
        x = (x ^ one) - y & mask
        x = (x << 7 | x >> 9) & mask
    return x << WORD | y


def edges() -> Integers:
    """Words at both ends of every segment of every octave on both sides, and random ones."""
    half = gumbel.RANDOM_BITS - 1
    found = [0, 1, 2, (1 << half) - 1]
    for octave in range(half):
        low = 1 << half - 1 - octave
        segments = low * np.arange(1 << gumbel.SEGMENT_BITS + 1) >> gumbel.SEGMENT_BITS + 1
        found += [*(low + segments), *(low + segments[1:] - 1)]
    words = np.array(found, np.int64)
    others = np.random.default_rng(0).integers(0, 1 << gumbel.RANDOM_BITS, 2000)
    return np.concatenate([words, (1 << gumbel.RANDOM_BITS) - 1 - words, others])


def driven(words: Integers, edit: tuple[str, str] | None = None) -> Integers:
    """What hardware gives for the words."""
    numbers = numbers_of(words, POSITION << 32 | SEED)
    step = np.tile(np.arange(CYCLES), len(words) + 1)
    given = np.append(numbers, 0).repeat(CYCLES)
    given[step > 0] = 12345  # only the first cycle takes the number
    rows = {"begin": step == 0, "step": step, "number": given, "seed": SEED, "position": POSITION}
    return drive(Keyed(), rows, edit)["result"][CYCLES::CYCLES]


def test_the_noise_is_that_of_the_model_in_every_octave() -> None:
    words = edges()
    assert np.array_equal(
        gumbel.random_words(POSITION << 32 | SEED, numbers_of(words, POSITION << 32 | SEED)), words
    )
    assert np.array_equal(driven(words), gumbel.floats(gumbel.noise(words)))


@pytest.mark.parametrize("wrong", ["octave", "rise"])
def test_another_line_is_noticed(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    """Hardware with another slope, or whose far octaves do not grow."""
    words = edges()
    wanted = gumbel.floats(gumbel.noise(words))
    lines, ln2 = gumbel.lines(), gumbel.ln2()
    if wrong == "octave":
        monkeypatch.setattr(gumbel, "ln2", lambda: ln2 - 8)
    else:
        bent = ((lines[0][0][0], lines[0][0][1] + 64), *lines[0][1:])
        monkeypatch.setattr(gumbel, "lines", lambda: (bent, lines[1]))
    assert not np.array_equal(driven(words), wanted)
