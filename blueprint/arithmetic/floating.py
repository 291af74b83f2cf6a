"""Floating-point formats and their operations, bit for bit on patterns.

Every function takes and returns NumPy ``int64`` arrays of patterns (any shape that broadcasts), uses integers only and
holds for every format. Rounding is to nearest, ties to even. A NaN operand, an invalid operation, and an overflow of a
format without infinities give the canonical NaN, which is positive. ``flush`` reads a subnormal operand as a zero of
its sign and turns a result that is below the smallest normal number before rounding into a zero of its sign.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.errors import ParamError
from blueprint.files.nearest import suggestion
from blueprint.numbers import Number, bit_length, choose

Patterns = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: Most bits of a float, of its exponent and fraction, and of an integer. Significands of 24 bits multiply and align
#: within 64-bit integers, and float64 holds every value.
WIDTH_LIMIT, EXPONENT_LIMIT, FRACTION_LIMIT, INTEGER_LIMIT = 32, 10, 23, 48


@dataclass(frozen=True)
class FloatFormat:
    """Sign, exponent and fraction, from the highest bit down; ``1 + exponent_bits + fraction_bits`` bits.

    With ``infinities`` the highest exponent stands for infinity and NaN as in IEEE 754. Without, only its pattern of
    all ones is NaN and the rest are finite (OCP 8-bit floating point, E4M3). Raises ``TypeError`` and
    ``ParamError`` for other numbers of bits.
    """

    name: str
    exponent_bits: int
    fraction_bits: int
    infinities: bool = True

    def __post_init__(self) -> None:
        limits = (("exponent_bits", 2, EXPONENT_LIMIT), ("fraction_bits", 1, FRACTION_LIMIT))
        for parameter, low, high in limits:
            value = getattr(self, parameter)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{parameter} must be an integer, not {value!r}")
            if not low <= value <= high:
                raise ParamError(f"{parameter} must be from {low} to {high}, not {value}")
        if self.width > WIDTH_LIMIT:
            raise ParamError(f"A float must be at most {WIDTH_LIMIT} bits wide, not {self.width}")

    @classmethod
    def custom(cls, exponent_bits: int, fraction_bits: int, *, infinities: bool = True) -> FloatFormat:
        """A format named by its widths, such as ``e6m9``."""
        name = f"e{exponent_bits}m{fraction_bits}" + ("" if infinities else "fn")
        return cls(name, exponent_bits, fraction_bits, infinities)

    @property
    def width(self) -> int:
        """Bits of a pattern."""
        return 1 + self.exponent_bits + self.fraction_bits

    @property
    def bias(self) -> int:
        """The exponent bias."""
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def sign_mask(self) -> int:
        """The sign bit; also the pattern of -0."""
        return 1 << (self.width - 1)

    @property
    def exponent_mask(self) -> int:
        """The exponent field; with infinities the pattern of +inf."""
        return ((1 << self.exponent_bits) - 1) << self.fraction_bits

    @property
    def canonical_nan(self) -> int:
        """The NaN that every operation returns: positive, quiet."""
        if self.infinities:
            return self.exponent_mask | 1 << (self.fraction_bits - 1)
        return self.sign_mask - 1

    @property
    def max_finite(self) -> int:
        """Pattern of the largest finite number."""
        return (self.exponent_mask if self.infinities else self.canonical_nan) - 1

    @property
    def min_normal(self) -> int:
        """Pattern of the smallest normal number; the pattern below it is the largest subnormal."""
        return 1 << self.fraction_bits

    @property
    def max_fixed(self) -> int:
        """The largest finite number in units of the smallest subnormal."""
        exponent, fraction = self.max_finite >> self.fraction_bits, self.max_finite & (self.min_normal - 1)
        return (self.min_normal | fraction) << (exponent - 1)

    @property
    def overflow(self) -> int:
        """Result of a positive overflow: +inf, or NaN in a format without infinities."""
        return self.exponent_mask if self.infinities else self.canonical_nan

    def holds(self, other: FloatFormat) -> bool:
        """True if this format represents every number of the other one exactly."""
        exponents = self.exponent_bits > other.exponent_bits or (
            self.exponent_bits == other.exponent_bits and self.infinities == other.infinities
        )
        return exponents and self.fraction_bits >= other.fraction_bits


FP16 = FloatFormat("fp16", 5, 10)
BF16 = FloatFormat("bf16", 8, 7)
FP8_E4M3 = FloatFormat("fp8_e4m3", 4, 3, infinities=False)
FP8_E5M2 = FloatFormat("fp8_e5m2", 5, 2)
FP32 = FloatFormat("fp32", 8, 23)
#: Formats of operands.
FORMATS = {fmt.name: fmt for fmt in (FP16, BF16, FP8_E4M3, FP8_E5M2)}
#: Every format that has a name; results may be wider than operands.
NAMED = FORMATS | {"fp32": FP32}


#: Relative delays of the steps of an addition (tenths of a nanosecond for FP16 in asap7): order, align, total,
#: normalize, round. A pipelined adder has its registers between these steps.
ADD_DELAYS = (4, 5, 5, 6, 5)
#: Those of a product of any numbers in short steps: two rows, their sum, count leading zeros, shift, round.
MULTIPLY_DELAYS = (5, 4, 5, 5, 5)
#: Those of a product of numbers that are never subnormal: two rows, their sum, place, round.
PRODUCT_DELAYS = (5, 4, 4, 4)
#: Those of a conversion from an integer or between formats: unpack, count, shift, round.
CONVERT_DELAYS = (1, 4, 4, 4)
#: Those of a conversion to another format and to an integer, side by side.
BOTH_DELAYS = (2, 4, 4, 4)


def cuts(delays: tuple[int, ...], stages: int) -> list[int]:
    """Number of steps in front of each of ``stages`` registers.

    The registers balance the ``delays`` of the steps between them; registers beyond the gaps stand at the end.
    """
    count = len(delays)
    inner = min(stages, count - 1)

    def parts(places: tuple[int, ...]) -> tuple[int, int]:
        sums = [sum(delays[low:high]) for low, high in zip((0, *places), (*places, count), strict=True)]
        return max(sums), sum(part * part for part in sums)

    return [*min(combinations(range(1, count), inner), key=parts), *[count] * (stages - inner)]


def pieces(delays: tuple[int, ...], stages: int) -> list[float]:
    """Shares of the delay of a chain, from its inputs to its result, between the registers of :func:`cuts`.

    There are ``stages + 1`` shares and they add up to 1.
    """
    edges = [0, *cuts(delays, stages), len(delays)]
    return [sum(delays[low:high]) / sum(delays) for low, high in zip(edges, edges[1:], strict=False)]


def get(name: str) -> FloatFormat:
    """Look up a format by name. Raises ``ParamError`` with the nearest name."""
    if name not in NAMED:
        raise ParamError(
            f"Float format must be one of {', '.join(NAMED)}, not {name!r}" + suggestion(name, NAMED)
        )
    return NAMED[name]


def look_up(name: Any, value: Callable[[FloatFormat], int], other: Number = 0) -> Number:
    """Evaluate ``value`` for the format called ``name``, else ``other``; ``name`` may be an array of names."""
    if isinstance(name, str):
        return value(NAMED[name]) if name in NAMED else other
    found = other
    for known, fmt in NAMED.items():
        found = choose(name == known, value(fmt), found)
    return found


def unit_dims(name: Any, stages: Number = 0) -> dict[str, Number]:
    """Dimensions of a float unit of the inventory: those of the format ``name``, and its internal registers."""
    return {
        "exponent": look_up(name, lambda fmt: fmt.exponent_bits),
        "fraction": look_up(name, lambda fmt: fmt.fraction_bits),
        "stages": stages,
    }


def is_nan(fmt: FloatFormat, a: Patterns) -> Flags:
    """True where a pattern is a NaN, canonical or not."""
    magnitude = np.asarray(a, np.int64) & ~fmt.sign_mask
    return np.asarray(magnitude > (fmt.exponent_mask if fmt.infinities else fmt.max_finite))


def is_infinite(fmt: FloatFormat, a: Patterns) -> Flags:
    """True where a pattern is an infinity of either sign."""
    same = (np.asarray(a, np.int64) & ~fmt.sign_mask) == fmt.exponent_mask
    return np.asarray(same & fmt.infinities)


def canonical(fmt: FloatFormat, a: Patterns) -> Patterns:
    """Replace every NaN by the canonical one."""
    return np.where(is_nan(fmt, a), fmt.canonical_nan, np.asarray(a, np.int64))


@dataclass(frozen=True)
class _Parts:
    """A finite value is ``(-1)**sign * significand * 2**(exponent - bias - fraction_bits)``."""

    sign: Patterns
    exponent: Patterns
    significand: Patterns
    nan: Flags
    infinite: Flags


def _unpack(fmt: FloatFormat, a: Patterns, flush: bool) -> _Parts:
    a = np.asarray(a, np.int64)
    f = fmt.fraction_bits
    field = (a & fmt.exponent_mask) >> f
    significand = (a & (fmt.min_normal - 1)) | np.where(field > 0, fmt.min_normal, 0)
    if flush:
        significand = np.where(field > 0, significand, 0)
    sign = (a & fmt.sign_mask) >> (fmt.width - 1)
    return _Parts(sign, np.maximum(field, 1), significand, is_nan(fmt, a), is_infinite(fmt, a))


def _round(fmt: FloatFormat, sign: Any, significand: Any, exponent: Any, flush: bool) -> Patterns:
    """Pattern nearest to ``(-1)**sign * significand * 2**(exponent - bias - fraction_bits)``, significand < 2**53."""
    length, f = bit_length(significand), fmt.fraction_bits
    shift = np.maximum(length - (f + 1), 1 - exponent)
    right, left = np.clip(shift, 0, 62), np.clip(-shift, 0, 62)
    kept = (significand << left) >> right
    rest = significand & ((1 << right) - 1)
    half = (1 << right) >> 1
    up = (rest > half) | ((rest == half) & (kept & 1 == 1) & (right > 0))
    magnitude = ((exponent + shift - 1) << f) + kept + up
    tiny = length - (f + 1) < 1 - exponent
    magnitude = np.where((significand == 0) | (tiny & flush), 0, magnitude)
    overflow = magnitude > fmt.max_finite
    magnitude = np.where(overflow, fmt.overflow, magnitude)
    return canonical(fmt, magnitude | sign << (fmt.width - 1))


#: Among formats with the exponents of FP32, the longest fraction whose sums and products may first be rounded to FP32
#: (Figueroa, "When is double rounding innocuous?", 1995: 24 digits must be at least twice those of the result plus 2).
_TWICE_ROUNDED = 10
#: A result of at least ``_LARGE`` may overflow; one below ``_SAFE`` may have been rounded as a subnormal number.
_LARGE, _SAFE = np.float32(2.0**126), np.float32(2.0**-124)


def _native(
    fmt: FloatFormat, a: Patterns, b: Patterns, operation: Callable[..., npt.NDArray[np.float32]]
) -> Patterns | None:
    """A sum or product by the processor's FP32 unit, with subnormal numbers as zeros.

    Returns ``None`` if any element may differ from the defined result. That is so for another range of exponents, for a
    fraction with which double rounding matters, for an operand or a result that is not finite, and for a result next to
    the subnormal numbers.
    """
    fraction = fmt.fraction_bits
    if fmt.exponent_bits != FP32.exponent_bits or not (
        fraction <= _TWICE_ROUNDED or fraction == FP32.fraction_bits
    ):
        return None
    shift = FP32.fraction_bits - fraction
    x, y = (_flushed(fmt, value, shift) for value in (a, b))
    with np.errstate(all="ignore"):
        found = np.asarray(operation(x, y), np.float32)
    magnitude = np.abs(found)
    exact = (x == 0) | (y == 0) | ((found == 0) & (operation is np.add))
    if not ((magnitude < _LARGE) & (exact | (magnitude > _SAFE))).all():
        return None
    bits = found.view(np.uint32).astype(np.int64)
    if shift:
        bits = (bits + (1 << (shift - 1)) - 1 + (bits >> shift & 1)) >> shift
    return bits


def running_sum(values: Patterns) -> Patterns:
    """Add FP32 patterns ``[..., n]`` in order along the last axis, starting at +0; returns ``[...]``.

    Subnormal numbers count as zeros.
    """
    values = np.asarray(values, np.int64)
    first = np.zeros((*values.shape[:-1], 1), np.float32)
    terms = np.concatenate([first, _flushed(FP32, values, 0)], axis=-1)
    with np.errstate(all="ignore"):
        sums = np.add.accumulate(terms, axis=-1, dtype=np.float32)
    magnitude = np.abs(sums)
    if ((magnitude < _LARGE) & ((magnitude > _SAFE) | (sums == 0))).all():
        return sums[..., -1].view(np.uint32).astype(np.int64)
    total: Patterns = np.zeros(values.shape[:-1], np.int64)
    for place in range(values.shape[-1]):
        total = stepwise_add(FP32, total, values[..., place], True)
    return total


def _flushed(fmt: FloatFormat, a: Patterns, shift: int) -> npt.NDArray[np.float32]:
    """Patterns as FP32 numbers, subnormal ones as zeros."""
    a = np.asarray(a, np.int64)
    there = (a & fmt.exponent_mask) != 0
    return (np.where(there, a, a & fmt.sign_mask) << shift).astype(np.uint32).view(np.float32)


def add(fmt: FloatFormat, a: Patterns, b: Patterns, flush: bool = False) -> Patterns:
    """``a + b``; opposite numbers give +0, and -0 + -0 is -0."""
    native = _native(fmt, a, b, np.add) if flush else None
    return stepwise_add(fmt, a, b, flush) if native is None else native


def stepwise_add(fmt: FloatFormat, a: Patterns, b: Patterns, flush: bool = False) -> Patterns:
    """:func:`add` in integers, for every format and operand."""
    x, y = _unpack(fmt, a, flush), _unpack(fmt, b, flush)
    guard = fmt.fraction_bits + 3
    top = np.maximum(x.exponent, y.exponent)
    # The bits below the guard bits become a sticky bit, which is kept in the lowest bit.
    terms = []
    for part in (x, y):
        distance = np.minimum(top - part.exponent, 2 * guard)
        wide = part.significand << guard
        lost = (wide & ((1 << distance) - 1)) != 0
        terms.append(((wide >> distance) | lost) * (1 - 2 * part.sign))
    total = terms[0] + terms[1]
    sign = np.where(total == 0, x.sign & y.sign, total < 0)
    result = _round(fmt, sign, np.abs(total), top - guard, flush)
    infinity = np.where(x.infinite, x.sign, y.sign) << (fmt.width - 1) | fmt.exponent_mask
    result = np.where(x.infinite | y.infinite, infinity, result)
    invalid = x.nan | y.nan | (x.infinite & y.infinite & (x.sign != y.sign))
    return np.where(invalid, fmt.canonical_nan, result)


def subtract(fmt: FloatFormat, a: Patterns, b: Patterns, flush: bool = False) -> Patterns:
    """``a - b``, computed as ``a + -b``."""
    return add(fmt, a, np.asarray(b, np.int64) ^ fmt.sign_mask, flush)


def multiply(fmt: FloatFormat, a: Patterns, b: Patterns, flush: bool = False) -> Patterns:
    """``a * b``; zero times infinity is NaN."""
    native = _native(fmt, a, b, np.multiply) if flush else None
    return stepwise_multiply(fmt, a, b, flush) if native is None else native


def stepwise_multiply(fmt: FloatFormat, a: Patterns, b: Patterns, flush: bool = False) -> Patterns:
    """:func:`multiply` in integers, for every format and operand."""
    x, y = _unpack(fmt, a, flush), _unpack(fmt, b, flush)
    sign = x.sign ^ y.sign
    exponent = x.exponent + y.exponent - fmt.bias - fmt.fraction_bits
    result = _round(fmt, sign, x.significand * y.significand, exponent, flush)
    infinite = x.infinite | y.infinite
    result = np.where(infinite, sign << (fmt.width - 1) | fmt.exponent_mask, result)
    zero = ((x.significand == 0) & ~x.nan) | ((y.significand == 0) & ~y.nan)
    return np.where(x.nan | y.nan | (infinite & zero), fmt.canonical_nan, result)


def negate(fmt: FloatFormat, a: Patterns) -> Patterns:
    """``-a``: the sign bit flips, except that NaN gives the canonical NaN."""
    return canonical(fmt, np.asarray(a, np.int64) ^ fmt.sign_mask)


def maximum(fmt: FloatFormat, a: Patterns, b: Patterns) -> Patterns:
    """The larger operand (IEEE 754-2019 maximum): +0 is larger than -0, and a NaN operand gives NaN."""
    a, b = np.asarray(a, np.int64), np.asarray(b, np.int64)
    larger = np.where(_ordered(fmt, a) >= _ordered(fmt, b), a, b)
    return np.where(is_nan(fmt, a) | is_nan(fmt, b), fmt.canonical_nan, larger)


def _ordered(fmt: FloatFormat, a: Patterns) -> Patterns:
    """Integer keys that sort like the numbers, -0 directly below +0."""
    magnitude = a & ~fmt.sign_mask
    return np.where(a & fmt.sign_mask, -1 - magnitude, magnitude)


def convert(source: FloatFormat, target: FloatFormat, a: Patterns, flush: bool = False) -> Patterns:
    """Convert to another format, with rounding."""
    x = _unpack(source, a, flush)
    exponent = x.exponent - source.bias - source.fraction_bits + target.bias + target.fraction_bits
    result = _round(target, x.sign, x.significand, exponent, flush)
    infinity = canonical(target, x.sign << (target.width - 1) | target.overflow)
    return np.where(x.nan, target.canonical_nan, np.where(x.infinite, infinity, result))


def from_integer(fmt: FloatFormat, value: Patterns, width: int) -> Patterns:
    """Two's complement integers of ``width`` bits (2 to 48; higher bits are ignored) as floats."""
    value = _signed(np.asarray(value, np.int64), check_integer_width(width))
    sign = (value < 0).astype(np.int64)
    return _round(fmt, sign, np.abs(value), np.int64(fmt.bias + fmt.fraction_bits), False)


def to_fixed(fmt: FloatFormat, a: Patterns) -> Patterns:
    """Convert to multiples of the smallest subnormal, exactly; undefined for NaN and infinity.

    The multiples of a format with more than 5 exponent bits do not fit in 64 bits.
    """
    x = _unpack(fmt, a, False)
    magnitude = x.significand << np.minimum(x.exponent - 1, 62)
    return np.where(x.sign == 1, -magnitude, magnitude)


def from_fixed(source: FloatFormat, target: FloatFormat, value: Patterns) -> Patterns:
    """Floats nearest to multiples of the smallest subnormal of ``source``; magnitudes below 2**53."""
    value = np.asarray(value, np.int64)
    exponent = np.int64(target.bias + target.fraction_bits + 1 - source.bias - source.fraction_bits)
    return _round(target, (value < 0).astype(np.int64), np.abs(value), exponent, False)


def to_integer(fmt: FloatFormat, a: Patterns, width: int, flush: bool = False) -> Patterns:
    """Round to integers of ``width`` bits (2 to 48), ties to even; overflow saturates, NaN gives 0."""
    x = _unpack(fmt, a, flush)
    limit = np.int64(1 << (check_integer_width(width) - 1))
    shift = x.exponent - fmt.bias - fmt.fraction_bits
    right = np.clip(-shift, 0, 62)
    kept, rest = x.significand >> right, x.significand & ((1 << right) - 1)
    half = (1 << right) >> 1
    magnitude = kept + ((rest > half) | ((rest == half) & (kept & 1 == 1) & (right > 0)))
    # Larger shifts need not be exact: any nonzero significand shifted by more than the width saturates.
    magnitude = magnitude << np.minimum(np.maximum(shift, 0), width)
    huge = x.infinite | ((magnitude != 0) & (shift > width)) | (magnitude > limit - 1 + x.sign)
    magnitude = np.where(huge, limit - 1 + x.sign, magnitude)
    return np.where(x.nan, 0, np.where(x.sign == 1, -magnitude, magnitude))


def check_integer_width(width: int) -> int:
    """Return ``width``. Raises ``TypeError`` if it is no integer and ``ParamError`` if no conversion supports it."""
    if isinstance(width, bool) or not isinstance(width, int):
        raise TypeError(f"Integer width must be an integer, not {width!r}")
    if not 2 <= width <= INTEGER_LIMIT:
        raise ParamError(f"Integer width must be from 2 to {INTEGER_LIMIT}, not {width}")
    return width


def _signed(value: Patterns, width: int) -> Patterns:
    return ((value + (1 << (width - 1))) & ((1 << width) - 1)) - (1 << (width - 1))


def to_float64(fmt: FloatFormat, a: Patterns) -> npt.NDArray[np.float64]:
    """Convert to float64; exact for every format."""
    x = _unpack(fmt, a, False)
    value = np.ldexp(
        x.significand.astype(np.float64), (x.exponent - fmt.bias - fmt.fraction_bits).astype(np.int32)
    )
    value = np.where(x.nan, np.nan, np.where(x.infinite, np.inf, value))
    return np.where(x.sign == 1, -value, value)


def from_float64(fmt: FloatFormat, value: npt.ArrayLike, flush: bool = False) -> Patterns:
    """Patterns nearest to float64 numbers."""
    bits = np.asarray(value, np.float64).view(np.int64)
    field = (bits >> 52) & 0x7FF
    significand = (bits & (2**52 - 1)) | np.where(field > 0, 2**52, 0)
    sign = (bits < 0).astype(np.int64)
    exponent = np.maximum(field, 1) - 1023 - 52 + fmt.bias + fmt.fraction_bits
    result = _round(fmt, sign, significand, exponent, flush)
    infinity = canonical(fmt, sign << (fmt.width - 1) | fmt.overflow)
    result = np.where(np.isinf(value), infinity, result)
    return np.where(np.isnan(value), fmt.canonical_nan, result)
