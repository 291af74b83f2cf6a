"""Parts of the softmax blocks, each with its unit count and its delay.

Every formula holds for one design and for arrays of designs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from blueprint.arithmetic.floating import FP32
from blueprint.arithmetic.softmax.arithmetic import Arithmetic
from blueprint.numbers import Number, Real, clog2, flag, larger, smaller


@dataclass(frozen=True)
class Part:
    """``total`` units of one kind and size; a signal passes ``passed`` of them in series, or a share of one."""

    kind: str
    dims: Mapping[str, Number]
    passed: Real = 1
    total: Number = 1

    def times(self, copies: Number) -> Part:
        """The part, ``copies`` times in parallel."""
        return Part(self.kind, self.dims, self.passed * flag(copies > 0), self.total * copies)

    def passing(self, share: Number) -> Part:
        """The same units; a signal passes only a ``share`` (0 or 1) of them."""
        return Part(self.kind, self.dims, self.passed * share, self.total)


#: Parts between two places where a register may stand.
Step = tuple[Part, ...]


def one(kind: str, **dims: Number) -> Part:
    """A single unit."""
    return Part(kind, dims)


def times(step: Step, copies: Number) -> Step:
    """``copies`` copies of a step in parallel."""
    return tuple(part.times(copies) for part in step)


def integer_product(left: Number, right: Number) -> Step:
    """An array multiplier: rows of partial products, carry-save rows that form a tree, one adder."""
    rows, width = smaller(left, right), larger(left, right)
    between = larger(rows - 2, 0)
    return (
        Part("and_row", {"width": width}, flag(rows > 0), rows),
        Part("compressor", {"width": width}, clog2(between + 1), between),
        one("adder", width=width).times(flag(rows > 1)),
    )


def shifter(width: Number, distances: Number) -> Part:
    """A logarithmic shifter: a row of 2:1 multiplexers for every bit of the distance."""
    levels = clog2(distances)
    return Part("mux", {"entries": 2, "width": width}, levels, levels)


def prefixes(width: Number) -> Part:
    """A network of prefixes that carries pass: a gate in front, one behind, and one for each level, like a mux."""
    return Part("mux", {"entries": 2, "width": width}, 2 + clog2(width), clog2(width))


def tree(kind: str, dims: Mapping[str, Number], words: Number, there: Number) -> Part:
    """Adders that add words pairwise, where ``there`` is 1."""
    return Part(kind, dims, clog2(words) * there, (words - 1) * there)


def float_dims(a: Arithmetic) -> dict[str, Number]:
    """Dimensions of an operator on float sums; those of a small float where sums are not floats."""
    return {"exponent": larger(a.sum_exponent, 2), "fraction": larger(a.sum_fraction, 1), "stages": 0}


def float_product(left: Number, right: Number, exponent: Number) -> Step:
    """A float multiplier: significands are multiplied and exponents added; the result is normalized and rounded."""
    rounded = one("to_float", inputs=left + right, outputs=larger(left, right) + exponent)
    return (*integer_product(left, right), one("adder", width=exponent + 2), rounded)


def widened(a: Arithmetic) -> Part:
    """An FP16 input becomes FP32: its subnormals are normalized."""
    significand, wanted = a.in_fraction + 1, a.is_fp16 & a.sums_are_fp32
    return one("to_float", inputs=significand, outputs=significand + FP32.exponent_bits).times(wanted)
