"""Gumbel noise in integers, bit-exact: a counter-based random generator, and ``-ln(-ln(u))`` of its words.

The generator is the block cipher Speck32/64 (Beaulieu et al., IACR ePrint 2013/404) in counter mode, as Salmon et al.
(SC 2011) make random numbers: the word of a number does not depend on any other. A word ``h`` of 32 bits stands for
``u = 1 - (h + 1/2) / 2**32``. The smaller one of ``1 - u`` and ``u`` is ``2**-(octave + 2) * (1 + f)``; for each of
the two sides, octave and the highest bits of ``f`` choose a line. The noise has :data:`SHIFT` added, so that it is
positive: what is added to all of some numbers does not change which of them is the largest.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic.floating import Patterns
from blueprint.arithmetic.softmax.parts import Step, integer_product, one, shifter
from blueprint.numbers import Number, clog2
from blueprint.unit import REGISTER, Path, Unit

Integers = npt.NDArray[np.int64]
Real = npt.NDArray[np.float64]
_Word = TypeVar("_Word", int, Integers)

#: Bits of a word of the cipher, words of its key, rounds; rounds in a cycle of the hardware.
WORD_BITS, KEY_WORDS, ROUNDS, ROUNDS_A_CYCLE = 16, 4, 22, 2
#: Places by which a round rotates its two words.
RIGHT, LEFT = 7, 2
#: Bits of a random word, and of a key.
RANDOM_BITS, KEY_BITS = 2 * WORD_BITS, KEY_WORDS * WORD_BITS
#: Fraction bits of the noise, and bits kept below them while it is added up.
FRACTION, GUARD = 12, 3
#: Octaves that have lines of their own; those beyond have the lines of the last one.
OCTAVES = 16
#: Bits of ``f`` that choose a line, and of the place on it.
SEGMENT_BITS, PLACE_BITS = 3, 9
F_BITS = SEGMENT_BITS + PLACE_BITS
#: What is added to the noise; it is then from :data:`LEAST` to ``2**WHOLE_BITS``.
SHIFT, LEAST, WHOLE_BITS = 3, 0.5, 5
#: Bits of the noise, and of its float without the exponent: the fraction, and the leading zeros.
NOISE_BITS = WHOLE_BITS + FRACTION
ZEROS_BITS = clog2(NOISE_BITS - FRACTION + 1)
#: Cycles from a number to its random word, and from there to the float.
CIPHER_CYCLES, NOISE_CYCLES = ROUNDS // ROUNDS_A_CYCLE, 3
#: Two-input gates of the table of lines, per bit of a line.
_TABLE_GATES = 60


def random_words(key: int, numbers: Integers) -> Integers:
    """Random words of 32 bits of some ``numbers``, by a ``key`` of 64 bits."""
    mask = (1 << WORD_BITS) - 1
    round_key, *later = (key >> WORD_BITS * place & mask for place in range(KEY_WORDS))
    x, y = np.asarray(numbers, np.int64) >> WORD_BITS & mask, np.asarray(numbers, np.int64) & mask
    for number in range(ROUNDS):
        x = (_turned(x, WORD_BITS - RIGHT) + y & mask) ^ round_key
        y = _turned(y, LEFT) ^ x
        later.append((_turned(later.pop(0), WORD_BITS - RIGHT) + round_key & mask) ^ number)
        round_key = _turned(round_key, LEFT) ^ later[-1]
    return np.asarray(x << WORD_BITS | y)


def _turned(word: _Word, left: int) -> _Word:
    """A word of the cipher, rotated to the left."""
    return (word << left | word >> WORD_BITS - left) & ((1 << WORD_BITS) - 1)


def exact(side: int, t: Real) -> Real:
    """``-ln(-ln(u))`` where ``u`` is ``1 - t`` on side 0, which has large noise, and ``t`` on side 1."""
    return -np.log(-np.log1p(-t) if side == 0 else -np.log(t))


@cache
def ln2() -> int:
    """The logarithm of 2, by which the noise of side 0 grows from octave to octave."""
    return round(float(np.log(2)) * (1 << FRACTION + GUARD))


@cache
def lines() -> tuple[tuple[tuple[int, int], ...], ...]:
    """By side, and by octave and segment: the least noise of a line, which includes the half unit that rounds, and its
    rise.

    A place on a line counts from the end that has the least noise. Side 0 lacks ``octave * ln2``.
    """
    found = []
    nodes = 0.5 + 0.5 * np.cos(np.pi * np.array([0.25, 0.75]))
    scale = 1 << FRACTION + GUARD
    for side in (0, 1):
        column = []
        for octave in range(OCTAVES):
            for segment in range(1 << SEGMENT_BITS):
                place = nodes if side else 1 - nodes
                t = 2.0 ** -(octave + 2) * (1 + (segment + place) / (1 << SEGMENT_BITS))
                high, low = exact(side, t) + SHIFT - (0 if side else octave * np.log(2))
                rise = (high - low) / (nodes[0] - nodes[1])
                least = low - rise * (nodes[1] - 0.5 / (1 << PLACE_BITS))
                column.append((round(least * scale) + (1 << GUARD - 1), round(rise * scale)))
        found.append(tuple(column))
    return tuple(found)


def widths() -> tuple[int, int]:
    """Bits of the least noise of a line and of its rise."""
    every = [line for column in lines() for line in column]
    least, rise = (max(line[place] for line in every).bit_length() for place in (0, 1))
    return least, rise


def noise(words: Integers) -> Integers:
    """The noise of random words, plus :data:`SHIFT`, with :data:`FRACTION` fraction bits."""
    words = np.asarray(words, np.int64)
    half = RANDOM_BITS - 1
    side = words >> half
    low = np.where(side, ~words, words) & ((1 << half) - 1)
    grown = low << 1 | 1  # the half that is added to a word is its lowest bit
    octave = half - np.floor(np.log2(grown.astype(np.float64))).astype(np.int64)
    f = (grown << octave) >> half - F_BITS & ((1 << F_BITS) - 1)
    place = np.where(side, f, ~f) & ((1 << PLACE_BITS) - 1)
    at = np.minimum(octave, OCTAVES - 1) << SEGMENT_BITS | f >> PLACE_BITS
    least, rise = np.moveaxis(np.array(lines(), np.int64)[side, at], -1, 0)
    total = least + (rise * place >> PLACE_BITS) + np.where(side, 0, octave * ln2())
    return np.asarray(total >> GUARD)


def key(seed: int, position: int) -> int:
    """The key of a seed and a position: both and 1, as registers have them, side by side."""
    return position + 1 << KEY_BITS // 2 | seed + 1


def values(numbers: Integers) -> npt.NDArray[np.float32]:
    """Noise as FP32 numbers, exact."""
    return np.asarray(numbers.astype(np.float32) / (1 << FRACTION), np.float32)


def floats(numbers: Integers) -> Patterns:
    """FP32 patterns of noise, exact."""
    return values(numbers).view(np.uint32).astype(np.int64)


def units(place: str, count: Number) -> Iterator[Unit]:
    """Units of ``count`` generators with the noise of their words."""
    yield REGISTER(place, count, width=RANDOM_BITS + KEY_BITS, enable=1, activity=0.5)
    yield REGISTER(place, count, width=1 + clog2(RANDOM_BITS) + F_BITS, activity=0.1)
    yield REGISTER(place, count, width=2 * NOISE_BITS - 1 + ZEROS_BITS, activity=0.1)
    for step in _steps():
        yield from (Unit(part.kind, place, count * part.total, part.dims, 0.1) for part in step)


def paths(place: str, there: Number) -> Iterator[Path]:
    """Timing paths through each step; without delay where ``there`` is 0."""
    for name, step in zip(("random", "octave", "line", "float"), _steps(), strict=True):
        passed = (Unit(part.kind, place, part.passed * there, part.dims) for part in step)
        yield Path(f"noise-{name}", tuple(passed))


def _steps() -> tuple[Step, ...]:
    """Parts of each step."""
    least, rise = widths()
    word, xors = one("adder", width=WORD_BITS), one("xor_row", width=WORD_BITS)
    # A round waits for the words of the one before; its key is computed in parallel.
    a_round = (word.times(2).passing(1), xors.times(4).passing(2))
    beside = (part.passing(0) for part in integer_product(clog2(RANDOM_BITS), least))
    table = one("logic", gates=_TABLE_GATES * (least + rise))
    return (
        (one("mux", entries=2, width=RANDOM_BITS + KEY_BITS), *(a_round * ROUNDS_A_CYCLE)),
        (xors.times(2).passing(1), shifter(RANDOM_BITS, RANDOM_BITS).times(2)),
        (table, *integer_product(rise, PLACE_BITS), *beside, word),
        (shifter(NOISE_BITS, 1 << ZEROS_BITS).times(2),),
    )
