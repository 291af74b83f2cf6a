"""Pruned decode: selects the keys to be scored exactly, from the leading ones of queries and keys alone.

An element keeps its sign and the place of its leading one, four bits: -128 is the only int8 number whose leading one
stands at place 7, so it takes the code that a negative zero would. The surrogate score adds up products of such powers
of two. Keys are sorted into buckets by the leading one of their surrogate score and a few bits behind it, the buckets
are counted, and the best ones are taken until there are K keys: no score is compared with another. Within the last
bucket the keys come in order of their index. Source of the idea: VitaLLM (arXiv 2605.00320); the codes, the buckets
and the order are our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic.softmax.arithmetic import DIM_LIMIT, KEYS_LIMIT
from blueprint.errors import ParamError
from blueprint.numbers import Number, bit_length, flag, larger, signed_width

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

CODE_BITS, ELEMENT_BITS = 4, 8
LOWEST = -128
#: Places at which the leading one of a product may stand, 0 to 14, and bits of one.
PRODUCT_PLACES, PLACE_BITS = 15, 4
#: A product of two codes: its place, its sign and whether there is one.
PRODUCT_BITS = PLACE_BITS + 1 + 1
#: Delays of the steps of a surrogate score, relative to each other: products, and their sum.
SURROGATE_DELAYS = (1, 2)


def encode(values: Integers) -> Integers:
    """Codes of int8 numbers: {sign, place of the leading one plus 1}, 0 for zero and 8 for -128."""
    level = bit_length(np.abs(values))
    return np.where(values == LOWEST, 8, np.where(values < 0, 8, 0) | level).astype(np.int64)


def decode(codes: Integers) -> Integers:
    """Signed powers of two from their codes."""
    level = codes & 7
    power = np.where(level > 0, 1 << np.maximum(level - 1, 0), 0)
    return np.where(codes == 8, LOWEST, np.where(codes & 8, -power, power))


def surrogate(q: Integers, k: Integers) -> Integers:
    """Surrogate scores, (rows, keys), of codes (rows, dim) and (keys, dim)."""
    # float64 adds integers below 2**53 exactly.
    return np.asarray(decode(q).astype(np.float64) @ decode(k).astype(np.float64).T).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """Parameters of key selection. Fields are numbers or arrays."""

    dim: int
    keys_max: int
    bucket_bits: int = 2  # bits behind the leading one that tell buckets apart

    def check(self) -> Pruning:
        """Return the object. Raises ``ParamError`` if it cannot be built."""
        for name, low, high in (("dim", 1, DIM_LIMIT), ("keys_max", 1, KEYS_LIMIT), ("bucket_bits", 0, 4)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be an integer, not {value!r}")
            if not low <= value <= high:
                raise ParamError(f"{name} must be from {low} to {high}, not {value}")
        return self

    @property
    def score_width(self) -> Number:
        """Bits of a surrogate score, signed."""
        return signed_width(self.dim * (1 << 14))

    @property
    def magnitude_buckets(self) -> Number:
        """Buckets of scores that are not negative; the negative ones have as many."""
        return (self.score_width - self.bucket_bits) << self.bucket_bits

    @property
    def buckets(self) -> Number:
        """Buckets of all scores."""
        return 2 * self.magnitude_buckets

    @property
    def search_cycles(self) -> Number:
        """Largest number of cycles of the search through all buckets, from the highest down."""
        return self.buckets + 1

    @property
    def bucket_width(self) -> Number:
        """Bits of a bucket's number."""
        return bit_length(self.magnitude_buckets - 1) + 1

    @property
    def count_width(self) -> Number:
        """Bits of a number of keys."""
        return bit_length(self.keys_max)

    def surrogate_bits(self, stages: Number) -> Number:
        """Flip-flops of the surrogate-score block with a number of pipeline registers."""
        return flag(stages > 0) * PRODUCT_BITS * self.dim + larger(stages - 1, 0) * self.score_width

    @property
    def selector_bits(self) -> Number:
        """Flip-flops of a selector: key count per bucket, keys still missing, current bucket, scan flag."""
        return (self.buckets + 1) * self.count_width + self.bucket_width + 1

    def bucket(self, scores: Integers) -> Integers:
        """Numbers of buckets, higher for higher scores.

        A score that is not negative is a small float: below ``2**bucket_bits`` itself, then {places of its leading one
        beyond those, the bits behind it}. A negative one mirrors its complement. The top bit says "not negative".
        """
        magnitude = np.where(scores < 0, ~scores, scores)
        place = np.maximum(bit_length(magnitude) - self.bucket_bits, 1)
        behind = magnitude >> (place - 1)
        small = bit_length(magnitude) <= self.bucket_bits
        number = np.where(
            small, magnitude, (place << self.bucket_bits) | (behind & ((1 << self.bucket_bits) - 1))
        )
        middle = 1 << (self.bucket_width - 1)
        return np.asarray(np.where(scores < 0, middle - 1 - number, middle + number), dtype=np.int64)

    def select(self, scores: Integers, count: int, seen: Flags | None = None) -> Flags:
        """Mask (rows, keys) of the selected keys: ``count`` of those ``seen``, or all if there are fewer."""
        if count < 1:
            raise ParamError(f"Number of candidates must be at least 1, not {count}")
        seen = np.ones(scores.shape, dtype=bool) if seen is None else seen
        buckets = np.where(seen, self.bucket(scores), -1)
        taken = np.zeros(scores.shape, dtype=bool)
        for row, numbers in enumerate(buckets):
            counts = np.bincount(numbers[numbers >= 0], minlength=1 << self.bucket_width)
            from_top = np.cumsum(counts[::-1])[::-1]
            enough = np.flatnonzero(from_top >= count)
            last = int(enough[-1]) if len(enough) else 0
            room = count - int(from_top[last] - counts[last])
            same = numbers == last
            taken[row] = (numbers > last) | (same & (np.cumsum(same) <= room))
        return taken


@dataclass(frozen=True)
class Traffic:
    """Bits fetched for one query."""

    dense: int
    codes: int
    candidates: int

    @classmethod
    def of(cls, dim: int, keys: int, candidates: int) -> Traffic:
        """Total traffic, that of the codes of all keys, and that of the keys and values of the candidates."""
        pair = 2 * ELEMENT_BITS * dim
        return cls(pair * keys, CODE_BITS * dim * keys, pair * min(candidates, keys))

    @property
    def saved(self) -> float:
        """Traffic reduction factor if the codes are fetched from memory."""
        return self.dense / (self.codes + self.candidates)

    @property
    def saved_on_chip(self) -> float:
        """Traffic reduction factor if the codes stay on chip."""
        return self.dense / self.candidates
