"""The steps of softmax attention on arrays; each is bit-exact to one hardware block.

Words are unsigned patterns where they carry a flag or a float, two's complement numbers elsewhere. A flag is the bit
above the number. All shifts of numbers are arithmetic, so they round towards minus infinity.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import FloatFormat
from blueprint.arithmetic.softmax.arithmetic import (
    EXPONENT_LIMIT,
    OUTPUT_MULTIPLIER_BITS,
    REFERENCE_FLOOR,
    SCORE_FRACTION,
    SCORE_WHOLE,
    VALUE_WHOLE,
    Arithmetic,
    Scales,
)
from blueprint.arithmetic.softmax.exponential import polynomial
from blueprint.numbers import bit_length, ceil_div

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: Low bits of a large fixed-point number that become a sticky bit before it is rounded to a float.
COARSE_BITS = 10


def unit(fraction: int) -> FloatFormat:
    """The format whose smallest number is ``2**-fraction``; ``fraction`` is from 15 to 53."""
    return FloatFormat.custom(5, fraction - 14) if fraction <= 37 else FloatFormat.custom(6, fraction - 30)


def moved(value: Integers, left: int) -> Integers:
    """``value * 2**left``, rounded down."""
    return value << left if left >= 0 else value >> -left


def rounded(value: Integers, right: int | Integers) -> Integers:
    """``value / 2**right`` rounded to nearest, ties up; ``right`` at most 62."""
    half = (np.int64(1) << np.int64(right)) >> 1
    return np.asarray((value + half) >> right, dtype=np.int64)


def split(word: Integers, width: int, flag: int) -> tuple[Integers, Integers]:
    """(two's complement number, flag) of a word."""
    number = ((word + (1 << (width - 1))) & ((1 << width) - 1)) - (1 << (width - 1))
    return (number, (word >> width) & 1) if flag else (word, np.zeros_like(word))


def join(number: Integers, special: Integers, width: int, flag: int) -> Integers:
    """The word of a number and its flag; a number without a flag is returned as it is."""
    return (number & ((1 << width) - 1)) | special << width if flag else number


def _parts(fmt: FloatFormat, a: Integers) -> tuple[Integers, Integers, Integers, Integers]:
    """(sign, exponent without bias, significand, whether it is NaN or infinite) of patterns."""
    f = fmt.fraction_bits
    field = (a & fmt.exponent_mask) >> f
    significand = (a & (fmt.min_normal - 1)) | np.where(field > 0, fmt.min_normal, 0)
    special = (field == fmt.exponent_mask >> f).astype(np.int64)
    return (a >> (fmt.width - 1)) & 1, np.maximum(field, 1) - fmt.bias, significand, special


# Scores ---------------------------------------------------------------------------------------------------------------


def score(a: Arithmetic, q: Integers, k: Integers) -> Integers:
    """Words of the products of queries and keys, summed over the last axis.

    Integers and fixed-point products are added exactly. Float products are rounded, those of a beat of ``lanes`` are
    added pairwise, neighbors first, an odd one waiting for the next level; beats are added in order; a last beat is
    filled up with products of +0.
    """
    if not a.is_float:
        return np.asarray((q * k).sum(axis=-1), dtype=np.int64)
    if not a.sums_are_floats:
        terms, flags = score_product(a, q, k)
        return join(terms.sum(axis=-1), np.bitwise_or.reduce(flags, axis=-1), a.score_width, 1)
    fmt = a.sum_format
    q, k = (floating.convert(a.input_format, fmt, word) for word in (q, k))
    products = floating.multiply(fmt, q, k)
    beats = ceil_div(a.dim, a.lanes)
    padding = [(0, 0)] * (products.ndim - 1) + [(0, beats * a.lanes - a.dim)]
    products = np.pad(products, padding).reshape(*products.shape[:-1], beats, a.lanes)
    total = _pairwise(fmt, products[..., 0, :])
    for beat in range(1, beats):
        total = floating.add(fmt, total, _pairwise(fmt, products[..., beat, :]))
    return total


def _pairwise(fmt: FloatFormat, terms: Integers) -> Integers:
    words = [terms[..., lane] for lane in range(terms.shape[-1])]
    while len(words) > 1:
        pairs = [floating.add(fmt, x, y) for x, y in zip(words[::2], words[1::2], strict=False)]
        words = pairs + words[len(words) & ~1 :]
    return words[0]


def score_product(a: Arithmetic, q: Integers, k: Integers) -> tuple[Integers, Integers]:
    """(products in units of ``2**-SCORE_FRACTION``, flags); magnitudes are truncated.

    Where the exponents of the factors add up to more than ``SCORE_WHOLE - 2`` the product is the largest there is and
    its flag 2; where a factor is NaN or infinite the flag is 1.
    """
    fmt = a.input_format
    sign_q, exponent_q, significand_q, special_q = _parts(fmt, q)
    sign_k, exponent_k, significand_k, special_k = _parts(fmt, k)
    frame = significand_q * significand_k << (SCORE_WHOLE - 2 - 2 * fmt.fraction_bits + SCORE_FRACTION)
    distance = SCORE_WHOLE - 2 - exponent_q - exponent_k
    magnitude = frame >> np.clip(distance, 0, 62)
    huge = (distance < 0) & (frame > 0)
    magnitude = np.where(huge, (1 << (SCORE_WHOLE + SCORE_FRACTION)) - 1, magnitude)
    special = special_q | special_k
    return np.where(sign_q ^ sign_k, -magnitude, magnitude), special | (huge & (special == 0)) << 1


def scale(a: Arithmetic, scales: Scales, scores: Integers) -> Integers:
    """Words of the exponents of two of scores, from ``-EXPONENT_LIMIT`` to ``EXPONENT_LIMIT``."""
    t, special = _exponents(a, scales, scores)
    limit = EXPONENT_LIMIT << a.fraction
    return join(np.clip(t, -limit, limit), special, a.t_width, a.t_nan_bit)


def scale_saturates(a: Arithmetic, scales: Scales, scores: Integers) -> Flags:
    """True where a score or its exponent of two is larger than the arithmetic holds; false for NaN.

    An exponent that is too low is no saturation: its key has no weight beside any other (see
    :func:`reference_saturates`).
    """
    t, special = _exponents(a, scales, scores)
    if a.sums_are_floats:
        huge = (scores & ~a.sum_format.sign_mask) == a.sum_format.exponent_mask
    else:
        huge = (scores >> (a.score_width + 1)) & 1 if a.nan_bit else np.zeros_like(scores)
    return np.asarray(((huge == 1) | (t > EXPONENT_LIMIT << a.fraction)) & (special == 0), dtype=np.bool_)


def _exponents(a: Arithmetic, scales: Scales, scores: Integers) -> tuple[Integers, Integers]:
    """(exponents of two, wide enough to show saturation, 0 for NaN; 1 for NaN)."""
    if a.sums_are_floats:
        product = floating.multiply(a.sum_format, scores, np.array(scales.multiplier))
        special = floating.is_nan(a.sum_format, product).astype(np.int64)
        return floating.to_integer(a.sum_format, product, a.t_width), special
    number, special = split(scores, a.score_width, a.nan_bit)
    return _scaled(np.where(special == 1, 0, number), scales.multiplier, scales.shift), special


def _scaled(number: Integers, multiplier: int, shift: int) -> Integers:
    """``rounded(number * multiplier, shift)`` within 64 bits, by splitting the number in two.

    A result that does not fit stays too large.
    """
    cut = min(shift, 20)
    high, low = np.clip(number >> cut, -(1 << 38), 1 << 38), number & ((1 << cut) - 1)
    half = (1 << shift) >> 1
    return np.asarray(
        (high * multiplier + ((low * multiplier + half) >> cut)) >> (shift - cut), dtype=np.int64
    )


# Weights --------------------------------------------------------------------------------------------------------------


def ceiling(a: Arithmetic, t: Integers) -> Integers:
    """The whole exponent not below ``t``."""
    number, _ = split(t, a.t_width, a.t_nan_bit)
    return np.asarray((number + (1 << a.fraction) - 1) >> a.fraction, dtype=np.int64)


def reference_saturates(reference: Integers) -> Flags:
    """True where the last reference of a row is so low that its exponent may have saturated."""
    return np.asarray(reference < REFERENCE_FLOOR, dtype=np.bool_)


def weight_saturates(a: Arithmetic, t: Integers, reference: Integers) -> Flags:
    """True where the weight of a key is above 1, which only happens without a maximum; false for NaN."""
    number, special = split(t, a.t_width, a.t_nan_bit)
    return np.asarray((number > reference << a.fraction) & (special == 0), dtype=np.bool_)


def rescale_amount(a: Arithmetic, reference: Integers, before: Integers) -> Integers:
    """Number of places by which sums are shifted when the reference rises."""
    return np.asarray(np.minimum(reference - before, (1 << a.shift_width) - 1), dtype=np.int64)


def exp2(a: Arithmetic, t: Integers, reference: Integers) -> Integers:
    """Words of ``2**(t - reference)``, limited to 1.

    Fixed-point weights are rounded to nearest, ties up. Float weights below the smallest normal number are +0.
    """
    number, special = split(t, a.t_width, a.t_nan_bit)
    x = np.minimum(number - (reference << a.fraction), 0)
    mantissa = polynomial(a.fraction, a.mantissa)(x & ((1 << a.fraction) - 1))
    down = -(x >> a.fraction)
    if a.sums_are_floats:
        fmt = a.sum_format
        field = np.maximum(fmt.bias - down, 0)
        pattern = np.where(field > 0, field << fmt.fraction_bits | (mantissa - fmt.min_normal), 0)
        return np.where(special == 1, fmt.canonical_nan, pattern)
    frame = moved(mantissa, a.weight_fraction - a.mantissa + 1)
    return join(((frame >> np.minimum(down, 62)) + 1) >> 1, special, a.p_width, a.nan_bit)


# Sums -----------------------------------------------------------------------------------------------------------------


def value_saturates(a: Arithmetic, v: Integers) -> Flags:
    """True where a finite value is too large for fixed-point sums."""
    if not a.values_saturate:
        return np.zeros(v.shape, dtype=np.bool_)
    _, exponent, _, special = _parts(a.input_format, v)
    return np.asarray((exponent >= VALUE_WHOLE) & (special == 0), dtype=np.bool_)


def product(a: Arithmetic, p: Integers, v: Integers) -> Integers:
    """Words of weighted values.

    Fixed-point ones have ``value_fraction`` fraction bits and truncated magnitudes. A value of ``2**VALUE_WHOLE`` or
    above is computed with the exponent ``VALUE_WHOLE - 1``.
    """
    if not a.is_float:
        return p * v
    fmt = a.input_format
    if a.sums_are_floats:
        return floating.multiply(a.sum_format, p, floating.convert(fmt, a.sum_format, v))
    weight, flag = p & ((1 << a.p_width) - 1), p >> a.p_width
    sign, exponent, significand, special = _parts(fmt, v)
    left = VALUE_WHOLE - 1 - fmt.fraction_bits - a.weight_fraction + a.value_fraction
    frame = moved(weight * significand, left)
    magnitude = frame >> np.clip(VALUE_WHOLE - 1 - exponent, 0, 62)
    return join(np.where(sign == 1, -magnitude, magnitude), flag | special, a.term_width, 1)


def add_value(a: Arithmetic, total: Integers, shift: Integers, term: Integers) -> Integers:
    """The sum of weighted values, shifted right, plus the next one."""
    if a.sums_are_floats:
        return floating.add(a.sum_format, _moved_down(a, total, shift), term)
    old, before = split(total, a.o_width, a.nan_bit)
    new, now = split(term, a.term_width, a.nan_bit)
    return join((old >> np.minimum(shift, 62)) + new, before | now, a.o_width, a.nan_bit)


def add_weight(a: Arithmetic, total: Integers, shift: Integers, p: Integers) -> Integers:
    """The sum of weights, shifted right, plus the next one; it has no flag."""
    if a.sums_are_floats:
        return floating.add(a.sum_format, _moved_down(a, total, shift), p)
    return np.asarray((total >> np.minimum(shift, 62)) + (p & ((1 << a.p_width) - 1)), dtype=np.int64)


def _moved_down(a: Arithmetic, total: Integers, shift: Integers) -> Integers:
    """Rescale a float sum before the next addend."""
    return lowered(a.sum_format, total, shift) if a.rescales else total


def lowered(fmt: FloatFormat, a: Integers, shift: Integers) -> Integers:
    """Patterns with the exponent lowered; a result below the normal range is +0.

    NaN and infinity stay as they are, and every pattern does where ``shift`` is 0.
    """
    field = (a & fmt.exponent_mask) >> fmt.fraction_bits
    special = field == fmt.exponent_mask >> fmt.fraction_bits
    normal = field > shift
    return np.where(
        special | (shift == 0), a, np.where(normal, a - (np.minimum(shift, field) << fmt.fraction_bits), 0)
    )


def sum_saturates(a: Arithmetic, total: Integers) -> Flags:
    """True where a row's sum of weights is out of range.

    Without a maximum it may be below 1/2, where rounding is too coarse for it. In the format of the inputs it may be so
    large that a weight of 1 is rounded away.
    """
    found = np.zeros(total.shape, dtype=np.bool_)
    if a.graph == "naive":
        found |= total < a.half_weight
    if a.sums_stall:
        found |= (total >= a.full_weight) & (total <= a.sum_format.exponent_mask)
    return found


# Division -------------------------------------------------------------------------------------------------------------


def quotient(a: Arithmetic, divisor: Integers) -> Integers:
    """``2**(2R + 1) / divisor``, rounded down, for divisors from ``2**R`` to ``2**(R + 1) - 1``."""
    return np.asarray((2 << 2 * a.divisor_fraction) // divisor, dtype=np.int64)


def reciprocal(a: Arithmetic, scales: Scales, total: Integers) -> Integers:
    """Words of the reciprocal of a sum of weights; the reciprocal of zero is zero.

    A word is a float without its sign and without its low bits, which are zeros, or {leading zeros, quotient}. Where
    int8 outputs are divided last, the quotient is multiplied by the multiplier of the output.
    """
    r = a.divisor_fraction
    if a.sums_are_floats:
        return _float_reciprocal(a, total)
    zeros = a.l_width - np.maximum(bit_length(total), 1)
    divisor = np.maximum(moved(total << zeros, r + 1 - a.l_width), 1 << r)
    found = np.where(total > 0, quotient(a, divisor), 0)
    if not a.r_is_float:
        if a.has_gain:
            found = found * scales.output_multiplier >> (OUTPUT_MULTIPLIER_BITS - 1)
        return np.asarray(found | zeros << a.gain_width, dtype=np.int64)
    exponent = a.l_width - 1 - zeros - a.weight_fraction
    return _packed(a, found, floating.FP32.bias - exponent)


def _float_reciprocal(a: Arithmetic, total: Integers) -> Integers:
    fmt = a.sum_format
    field = (total & fmt.exponent_mask) >> fmt.fraction_bits
    significand = (total & (fmt.min_normal - 1)) | fmt.min_normal
    divisor = significand >> (fmt.fraction_bits - a.divisor_fraction)
    special = field == fmt.exponent_mask >> fmt.fraction_bits
    found = np.where((field > 0) & ~special, quotient(a, divisor), 0)
    nan = fmt.canonical_nan >> (fmt.fraction_bits - a.divisor_fraction)
    return np.where(floating.is_nan(fmt, total), nan, _packed(a, found, 2 * fmt.bias - field))


def _packed(a: Arithmetic, found: Integers, field: Integers) -> Integers:
    """The float of a quotient, whose exponent is ``field`` if it is exactly a power of two, else one less."""
    r = a.divisor_fraction
    field = field - 1 + (found >> (r + 1))
    packed = np.where((found == 0) | (field <= 0), 0, field << r | found & ((1 << r) - 1))
    return np.asarray(packed, dtype=np.int64)


def reciprocal_pattern(a: Arithmetic, r: Integers) -> Integers:
    """The float that a word of a reciprocal stands for."""
    return np.asarray(r << (a.sum_format.fraction_bits - a.divisor_fraction), dtype=np.int64)


def normalize(a: Arithmetic, p: Integers, r: Integers) -> Integers:
    """Words of weights divided by their sum, rounded to nearest."""
    if a.sums_are_floats:
        return floating.multiply(a.sum_format, p, reciprocal_pattern(a, r))
    weight, flag = p & ((1 << a.p_width) - 1), p >> a.p_width
    q, zeros = r & ((1 << a.gain_width) - 1), r >> a.gain_width
    right = a.divisor_fraction + a.l_width - a.weight_fraction - a.align_drop
    w = rounded(((weight << zeros) >> a.align_drop) * q, right)
    return join(w, flag, a.p_width, a.nan_bit)


def finish(a: Arithmetic, scales: Scales, total: Integers, r: Integers) -> Integers:
    """The output: int8 numbers or patterns of the input format. ``r`` is not used where weights are divided first."""
    if not a.is_float:
        return _finish_integer(a, scales, total, r)
    fmt = a.sum_format
    if not a.sums_are_floats:
        number, special = split(total, a.o_width, 1)
        fmt = a.input_format if a.divides_first else fmt
        total = np.where(special == 1, fmt.canonical_nan, from_value(fmt, number, a.value_fraction))
    if not a.divides_first:
        total = floating.multiply(fmt, total, reciprocal_pattern(a, r))
    return total if fmt == a.input_format else floating.convert(fmt, a.input_format, total)


def from_value(fmt: FloatFormat, number: Integers, fraction: int) -> Integers:
    """Floats nearest to multiples of ``2**-fraction``.

    The low bits of large numbers are ORed into a sticky bit.
    """
    low = (1 << COARSE_BITS) - 1
    coarse = number >> COARSE_BITS | ((number & low) != 0)
    small = np.abs(number) < 1 << 52
    return np.where(
        small,
        floating.from_fixed(unit(fraction), fmt, np.where(small, number, 0)),
        floating.from_fixed(unit(fraction - COARSE_BITS), fmt, coarse),
    )


def result_saturates(a: Arithmetic, scales: Scales, total: Integers, r: Integers) -> Flags:
    """True where an output does not fit: an int8 number, or a float that is infinite."""
    if a.is_float:
        magnitude = finish(a, scales, total, r) & ~a.input_format.sign_mask
        return np.asarray(magnitude == a.input_format.exponent_mask, dtype=np.bool_)
    out = _finish_exact(a, scales, total, r)
    return np.asarray((out < -128) | (out > 127), dtype=np.bool_)


def _finish_integer(a: Arithmetic, scales: Scales, total: Integers, r: Integers) -> Integers:
    return np.clip(_finish_exact(a, scales, total, r), -128, 127)


def _finish_exact(a: Arithmetic, scales: Scales, total: Integers, r: Integers) -> Integers:
    if a.divides_first:
        right = min(a.weight_fraction + scales.output_shift, 62)
        return rounded(total * scales.output_multiplier, right)
    gain, zeros = r & ((1 << a.gain_width) - 1), r >> a.gain_width
    scaled = moved(total << zeros, a.divisor_fraction + 1 - a.l_width)
    right = 2 * a.divisor_fraction + 2 - OUTPUT_MULTIPLIER_BITS + scales.output_shift
    return rounded(scaled * gain, right)
