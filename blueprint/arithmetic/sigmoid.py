"""The logistic function ``1 / (1 + exp(-x))`` of floats with 8 exponent bits, in integers, bit-exact.

``t = exp(-|x|)`` is computed as ``2**f * 2**-n`` with an integer ``n``; a polynomial gives ``2**f`` for ``f`` from 0 to
1. Another polynomial, in ``1 - t``, gives ``1 / (1 + t)``. The result for a negative ``x`` is ``t / (1 + t)``, so that
small results are as precise as large ones. Both polynomials are of the kind that attention uses for powers of two
(:class:`Polynomial`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import FloatFormat, Patterns
from blueprint.arithmetic.softmax.exponential import LINE_LIMIT, RECIPROCAL, Polynomial, polynomial
from blueprint.arithmetic.softmax.parts import Step, integer_product, one, shifter, times
from blueprint.numbers import Number, flag, larger, smaller
from blueprint.unit import REGISTER, Path, Unit

#: Exponent bits of the formats that are supported.
EXPONENT_BITS = 8
#: Fraction bits of the results of polynomials: the first number more than those of the format, at most the second.
MORE, MOST = 3, 18
#: Fraction bits of ``log2(e)`` beyond those of the results of polynomials.
CONSTANT_BITS = 6
#: Bits of the integer part of an exponent of two; a magnitude of 2**LIMIT or more counts as infinite.
WHOLE_BITS, LIMIT = 8, 7
#: Two-input gates of a table of coefficients, per bit of the result.
_TABLE_GATES = 6


def mantissa(fraction: Number) -> Number:
    """Fraction bits of the results of both polynomials, for a format with ``fraction`` fraction bits."""
    return smaller(fraction + MORE, MOST)


@dataclass(frozen=True)
class Sigmoid:
    """The logistic function of one format. Raises ``ValueError`` for a format without 8 exponent bits."""

    fmt: FloatFormat

    def __post_init__(self) -> None:
        if self.fmt.exponent_bits != EXPONENT_BITS:
            raise ValueError(f"Exponents must be of {EXPONENT_BITS} bits, not {self.fmt.exponent_bits}")

    @property
    def mantissa(self) -> int:
        """Fraction bits of the results of both polynomials."""
        return int(mantissa(self.fmt.fraction_bits))

    @property
    def precision(self) -> int:
        """Fraction bits of the arguments of both polynomials."""
        return self.mantissa + 1

    @property
    def constant(self) -> int:
        """``log2(e)`` as an integer with ``mantissa + CONSTANT_BITS`` fraction bits."""
        return round(math.ldexp(math.log2(math.e), self.mantissa + CONSTANT_BITS))

    @property
    def dropped(self) -> int:
        """Low bits of the product with the constant that lie below the precision for all magnitudes below 2**LIMIT."""
        return self.fmt.fraction_bits + CONSTANT_BITS - 1 - (LIMIT - 1)

    @property
    def nearest(self) -> int:
        """Exponent field of the largest magnitudes below 2**LIMIT, whose products are shifted least."""
        return self.fmt.bias + LIMIT - 1

    @property
    def power(self) -> Polynomial:
        """The polynomial for ``2**f``."""
        return polynomial(self.precision, self.mantissa)

    @property
    def reciprocal(self) -> Polynomial:
        """The polynomial for ``2 / (2 - v)``."""
        return polynomial(self.precision, self.mantissa, RECIPROCAL)

    def __call__(self, x: Patterns) -> Patterns:
        """Logistic function of patterns, in their shape; a result below the smallest normal number is +0."""
        negative = (np.asarray(x, np.int64) & self.fmt.sign_mask) != 0
        whole, fraction = self.exponent(x)
        power = self.power(fraction)
        left = (power << 1) >> np.minimum(whole, self.mantissa + 2)
        rest = np.minimum((1 << self.precision) - left, (1 << self.precision) - 1)
        product = self.reciprocal(rest) * np.where(negative, power, 1 << self.mantissa)
        return self._packed(product, np.where(negative, whole, 0))

    def exponent(self, x: Patterns) -> tuple[Patterns, Patterns]:
        """(whole, fraction) of patterns, such that ``exp(-|x|)`` is ``2**(fraction / 2**precision - whole)``."""
        x = np.asarray(x, np.int64) & ~self.fmt.sign_mask
        field, significand = (
            x >> self.fmt.fraction_bits,
            (x & (self.fmt.min_normal - 1)) | self.fmt.min_normal,
        )
        down = np.clip(self.nearest - field, 0, 62)
        found = (significand * self.constant >> self.dropped) >> down
        found = np.where(field > self.nearest, ((1 << WHOLE_BITS) - 1) << self.precision, found)
        mask = (1 << self.precision) - 1
        return (found + mask) >> self.precision, -found & mask

    def _packed(self, product: Patterns, down: Patterns) -> Patterns:
        """Patterns of half the ``product`` of two mantissas (below 4), times ``2**-down``, rounded with ties up."""
        fraction = self.fmt.fraction_bits
        above = product >> 2 * self.mantissa + 1
        rounded = ((product >> (2 * self.mantissa - fraction - 1 + above)) + 1) >> 1
        field = self.fmt.bias - 1 - down + above
        return np.where(field > 0, ((field - 1) << fraction) + rounded, 0)


def silu(fmt: FloatFormat, x: Patterns) -> Patterns:
    """``x / (1 + exp(-x))`` of patterns: ``x`` times its rounded sigmoid, rounded to nearest; subnormals are zeros."""
    return floating.multiply(fmt, x, Sigmoid(fmt)(x), True)


def units(place: str, count: Number, fraction: Number) -> Iterator[Unit]:
    """Units of ``count`` sigmoids with a register after every step but the last; ``fraction`` bits of the format."""
    bits = mantissa(fraction)
    yield REGISTER(place, count, width=4 * bits + 1 + 3 * WHOLE_BITS)
    for step in _steps(fraction):
        yield from (Unit(part.kind, place, count * part.total, part.dims) for part in step)


def paths(place: str, there: Number, fraction: Number) -> Iterator[Path]:
    """Timing paths through each step; without delay where ``there`` is 0."""
    names = ("exponent", "power", "reciprocal", "product")
    for name, step in zip(names, _steps(fraction), strict=True):
        passed = (Unit(part.kind, place, part.passed * there, part.dims) for part in step)
        yield Path(f"sigmoid-{name}", tuple(passed))


def _steps(fraction: Number) -> tuple[Step, ...]:
    """Parts of each step."""
    bits = mantissa(fraction)
    wide, segment = bits + 1 + WHOLE_BITS, larger(bits - 3, 1)
    square = times(integer_product(segment, segment), flag(bits > LINE_LIMIT))
    table = one("logic", gates=_TABLE_GATES * bits)
    power = (*square, *integer_product(bits, segment), table)
    return (
        (
            *integer_product(fraction + 1, bits + CONSTANT_BITS + 1),
            shifter(wide, wide),
            one("half_adder", width=wide),
        ),
        power,
        (shifter(bits + 2, bits + 2), one("half_adder", width=bits + 1), *power),
        (*integer_product(bits + 1, bits + 1), one("adder", width=fraction + EXPONENT_BITS)),
    )
