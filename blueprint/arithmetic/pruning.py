"""Pruned decode: selects the keys that are scored exactly, using only the leading ones of queries and keys.

An element is reduced to its sign and the position of its leading one, a code of four bits. Only -128 has its leading
one at position 7; it uses the code that a negative zero would have. The surrogate score of a key is the sum of the
products of these powers of two. The leading one of the score and a few bits below it give the bucket of the key. The
buckets are counted and the highest ones are taken until there are K keys, so no score is compared with another. Within
the last bucket, keys with a lower index go first. Source of the idea: VitaLLM (arXiv 2605.00320); the codes, the
buckets and the order are our own.
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
#: Number of positions of the leading one of a product (0 to 14), and bits of a position.
PRODUCT_PLACES, PLACE_BITS = 15, 4
#: Bits of a product of two codes: its position, its sign, and whether it is nonzero.
PRODUCT_BITS = PLACE_BITS + 1 + 1
#: Relative delays of the steps of a surrogate score: products, and their sum.
SURROGATE_DELAYS = (1, 2)


def encode(values: Integers) -> Integers:
    """Codes of int8 numbers, in their shape: {sign, position of the leading one plus 1}, 0 for zero and 8 for -128."""
    level = bit_length(np.abs(values))
    return np.where(values == LOWEST, 8, np.where(values < 0, 8, 0) | level).astype(np.int64)


def decode(codes: Integers) -> Integers:
    """The signed powers of two that codes stand for, in their shape; code 0 gives 0."""
    level = codes & 7
    power = np.where(level > 0, 1 << np.maximum(level - 1, 0), 0)
    return np.where(codes == 8, LOWEST, np.where(codes & 8, -power, power))


def surrogate(q: Integers, k: Integers) -> Integers:
    """Surrogate scores, (rows, keys), of codes (rows, dim) and (keys, dim)."""
    # float64 adds integers below 2**53 exactly.
    return np.asarray(decode(q).astype(np.float64) @ decode(k).astype(np.float64).T).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """Parameters of key selection. Fields are numbers of one design, or arrays over designs."""

    dim: int
    keys_max: int
    bucket_bits: int = 2  # bits behind the leading one that tell buckets apart

    def check(self) -> Pruning:
        """Return the object. Raises ``TypeError`` for a wrong type and ``ParamError`` for a value out of range."""
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
        """Number of buckets of non-negative scores; negative scores have as many."""
        return (self.score_width - self.bucket_bits) << self.bucket_bits

    @property
    def buckets(self) -> Number:
        """Number of buckets of all scores."""
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
        """Bucket numbers of scores, in their shape; higher scores have higher numbers.

        The number of a non-negative score is like a small float: a score below ``2**bucket_bits`` is its own number, a
        larger one has {position of its leading one above those bits, the ``bucket_bits`` bits below the leading one}. A
        negative score mirrors the number of its complement. The top bit is 1 for scores that are not negative.
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
        """Mask (rows, keys) of the selected keys: ``count`` keys of those ``seen``, or all of them if there are fewer.

        ``scores`` and ``seen`` have the same shape; by default all keys are seen. Raises ``ParamError`` for a ``count``
        below 1.
        """
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
    """Bits fetched for one query: of all keys and values, of all codes, and of the candidates' keys and values."""

    dense: int
    codes: int
    candidates: int

    @classmethod
    def of(cls, dim: int, keys: int, candidates: int) -> Traffic:
        """Traffic of a head with ``keys`` keys of ``dim`` elements; at most ``candidates`` keys are scored exactly."""
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
