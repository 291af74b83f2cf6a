"""Number formats and widths of softmax attention: the same formulas on one design and on arrays of designs.

A score becomes a fixed-point exponent of two, ``t``. The weight of a key is ``p = 2**(t - m)``. The reference ``m`` is
the largest ``t`` rounded up to an integer, so a weight is at most 1. Because ``m`` is an integer, rescaling a running
sum is a shift, which needs no multiplier, and its truncation errors do not accumulate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import BF16, FP16, FP32
from blueprint.arithmetic.softmax.exponential import polynomial
from blueprint.errors import ParamError
from blueprint.numbers import Number, bit_length, choose, clog2, flag, larger, one_of, signed_width, smaller
from blueprint.parameters import Rule

#: Weights without a maximum; relative to the maximum of the row; the same, but divided after the product with the
#: values; relative to a running maximum (Sohn, Zhang, Olukotun, arXiv 2404.16629).
GRAPHS = ("naive", "scaled", "reordered", "memory_free")
INPUTS = ("int8", "fp16", "bf16")
#: Number formats of scores and sums; ``same`` is the format of the inputs.
ACCUMULATORS = ("integer", "fixed", "fp32", "same")

#: Bits of the integer part of an exponent of two, signed; exponents beyond ``EXPONENT_LIMIT`` saturate.
EXPONENT_WHOLE = 16
EXPONENT_LIMIT = (1 << (EXPONENT_WHOLE - 1)) - 1
#: A reference below this may come from a saturated exponent. A key that is so far below another one has weight 0.
REFERENCE_FLOOR = -(1 << (EXPONENT_WHOLE - 1)) + (1 << 8)
#: Fixed-point sums of floats: fraction and integer bits of a product of a query and a key.
SCORE_FRACTION, SCORE_WHOLE = 22, 16
#: The same for a weighted value; the fraction is longer where weights are divided first, since they add up to about 1.
VALUE_FRACTION, VALUE_WHOLE = 30, 16
#: Bits of an element that is a float, FP16 or BF16.
FLOAT_INPUT_WIDTH = 16
#: Fraction bits of the divisor; with float sums at most those of their format.
DIVISOR_FRACTION = 16
#: All numbers of fraction bits that a divisor can have.
DIVISOR_FRACTIONS = tuple(sorted({min(fmt.fraction_bits, DIVISOR_FRACTION) for fmt in (FP16, BF16, FP32)}))
#: Bits of the run-time registers: shift of scores, shift of an output, multiplier of an output.
SHIFT_BITS, OUTPUT_SHIFT_BITS, OUTPUT_MULTIPLIER_BITS = 6, 5, 16
#: Most keys, most keys of fixed-point sums of floats (which would not fit in 63 bits beyond), and most dimensions.
KEYS_LIMIT, FIXED_KEYS_LIMIT, DIM_LIMIT = 1 << 16, 1 << 14, 1 << 10
WEIGHT_LIMIT = 32


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """Arithmetic of one design. Fields are numbers and names, or arrays of them; 0 selects the default."""

    inputs: str
    acc_format: str
    graph: str
    dim: int
    keys_max: int
    score_lanes: int = 0
    weight_bits: int = 0
    exponent_fraction: int = 0
    mantissa_bits: int = 0
    kv_width: int = 8
    sum_stages: int = 0

    def check(self) -> Arithmetic:
        """Return the object. Raises ``ParamError`` if it cannot be built."""
        for field in fields(self):
            value = getattr(self, field.name)
            wanted = str if field.name in ("inputs", "acc_format", "graph") else int
            if isinstance(value, bool) or not isinstance(value, wanted):
                kind = "a name" if wanted is str else "an integer"
                raise TypeError(f"{field.name} must be {kind}, not {value!r}")
        for rule in rules(self):
            if not rule.holds:
                raise ParamError(rule.message())
        return self

    # What it is -----------------------------------------------------------------------------------------------------

    @cached_property
    def is_fp16(self) -> Number:
        """1 where queries, keys and values are FP16, else 0."""
        return flag(self.inputs == "fp16")

    @cached_property
    def is_bf16(self) -> Number:
        """1 where queries, keys and values are BF16, else 0."""
        return flag(self.inputs == "bf16")

    @cached_property
    def is_float(self) -> Number:
        """1 where queries, keys and values are floats, else 0."""
        return flag(self.inputs != "int8")

    @cached_property
    def sums_are_fp32(self) -> Number:
        """1 where scores, weights and sums are FP32, else 0."""
        return flag(self.acc_format == "fp32")

    @cached_property
    def sums_stall(self) -> Number:
        """1 where sums have the format of the inputs, else 0.

        A sum of weights can then grow so large that another weight of 1 is rounded away.
        """
        return flag(self.acc_format == "same")

    @property
    def sums_are_floats(self) -> Number:
        """1 where scores, weights and sums are floats, else 0."""
        return self.sums_are_fp32 | self.sums_stall

    @cached_property
    def exact(self) -> Number:
        """1 where floats are summed in fixed point, without rounding between them, else 0."""
        return self.is_float & flag(self.acc_format == "fixed")

    @property
    def nan_bit(self) -> Number:
        """Bits on top of a fixed-point score, weight or sum that say that it is NaN or infinite: 1 for exact sums."""
        return self.exact

    @property
    def t_nan_bit(self) -> Number:
        """Bits on top of an exponent of two that say that its score is NaN: 1 for floats."""
        return self.is_float

    @property
    def values_saturate(self) -> Number:
        """1 where there are values of ``2**VALUE_WHOLE`` and above, too large for fixed-point sums, else 0."""
        return self.exact & self.is_bf16

    @cached_property
    def has_offset(self) -> Number:
        """1 where weights are relative to a given offset instead of a maximum, else 0."""
        return flag(self.graph == "naive")

    @cached_property
    def rescales(self) -> Number:
        """1 where sums follow a running maximum, else 0."""
        return flag(self.graph == "memory_free")

    @cached_property
    def waits_for_maximum(self) -> Number:
        """1 where weights are computed after the maximum of the row is known, else 0."""
        return one_of(self.graph, ("scaled", "reordered"))

    @cached_property
    def divides_first(self) -> Number:
        """1 where weights are divided by their sum before they are multiplied by the values, else 0."""
        return one_of(self.graph, ("naive", "scaled"))

    @property
    def divides_last(self) -> Number:
        """1 where sums of weighted values are divided by the sum of the weights, else 0."""
        return 1 - self.divides_first

    def _of_sums(self, fp16: int, bf16: int, fp32: int) -> Number:
        """A property of the format of float sums; 0 where sums are not floats."""
        return self.sums_stall * (self.is_fp16 * fp16 + self.is_bf16 * bf16) + self.sums_are_fp32 * fp32

    # Widths ---------------------------------------------------------------------------------------------------------

    @property
    def in_width(self) -> Number:
        """Bits of an element of a query or output."""
        return choose(self.is_float, FLOAT_INPUT_WIDTH, 8)

    @property
    def element_width(self) -> Number:
        """Bits of an element of a key or value."""
        return choose(self.is_float, FLOAT_INPUT_WIDTH, self.kv_width)

    @property
    def out_width(self) -> Number:
        """Bits of an element of the output."""
        return self.in_width

    @property
    def in_fraction(self) -> Number:
        """Fraction bits of a float input."""
        return self.is_fp16 * FP16.fraction_bits + self.is_bf16 * BF16.fraction_bits

    @property
    def float_width(self) -> Number:
        """Bits of a float sum; 0 where sums are not floats."""
        return self._of_sums(FP16.width, BF16.width, FP32.width)

    @property
    def sum_exponent(self) -> Number:
        """Exponent bits of a float sum; 0 where sums are not floats."""
        return self._of_sums(FP16.exponent_bits, BF16.exponent_bits, FP32.exponent_bits)

    @property
    def sum_fraction(self) -> Number:
        """Fraction bits of a float sum; 0 where sums are not floats."""
        return self._of_sums(FP16.fraction_bits, BF16.fraction_bits, FP32.fraction_bits)

    @property
    def lanes(self) -> Number:
        """Products that are added pairwise before they are accumulated into the score."""
        return choose(self.score_lanes == 0, self.dim, self.score_lanes)

    @property
    def magnitude_width(self) -> Number:
        """Bits of a float sum that is never negative: it has no sign."""
        return self.float_width - 1

    @property
    def score_width(self) -> Number:
        """Bits of a score."""
        return self._products_width(self.dim)

    @property
    def beat_width(self) -> Number:
        """Bits of the products of a beat."""
        return self._products_width(self.lanes)

    @property
    def product_width(self) -> Number:
        """Bits of the product of an element of a query and one of a key."""
        fixed = SCORE_FRACTION + SCORE_WHOLE + 1
        whole = choose(self.is_float, fixed, self.in_width + self.element_width)
        return choose(self.sums_are_floats, self.float_width, whole)

    def _products_width(self, count: Number) -> Number:
        fixed = SCORE_FRACTION + SCORE_WHOLE + clog2(count) + 1
        most = count << (self.kv_width + 6)
        whole = choose(self.is_float, fixed, signed_width(most))
        return choose(self.sums_are_floats, self.float_width, whole)

    @property
    def fraction(self) -> Number:
        """F: fraction bits of an exponent of two."""
        default = choose(self.is_float, choose(self.sums_stall, 8, 20), 12)
        return choose(self.exponent_fraction == 0, default, self.exponent_fraction)

    @property
    def t_width(self) -> Number:
        """Bits of an exponent of two, signed."""
        return EXPONENT_WHOLE + self.fraction

    @property
    def reference_width(self) -> Number:
        """Bits of the reference, signed; also of the register ``offset``."""
        return EXPONENT_WHOLE

    @property
    def mantissa(self) -> Number:
        """M: fraction bits of a power of two from 1 to 2."""
        default = choose(self.sums_are_floats, self.sum_fraction, choose(self.is_float, 20, 15))
        return choose(self.mantissa_bits == 0, default, self.mantissa_bits)

    @property
    def weight_fraction(self) -> Number:
        """P: fraction bits of a fixed-point weight.

        Rounding n weights moves an output by at most ``n * 2**-(P + 1) * 255 / l``. The sum of the weights, ``l``, is
        at least 1/2, so with 8 bits beyond those that count the keys an int8 output moves by less than 1, whatever the
        scores. Divided weights are small and need more bits for the same relative error of a float output.
        """
        beyond = choose(self.is_float, choose(self.divides_first, 20, 16), 8)
        needed = clog2(self.keys_max) + beyond
        return choose(self.weight_bits == 0, smaller(needed, WEIGHT_LIMIT), self.weight_bits)

    @property
    def p_width(self) -> Number:
        """Bits of a weight, divided or not: unsigned (1 included), or a float without its sign."""
        return choose(self.sums_are_floats, self.magnitude_width, self.weight_fraction + 1)

    @property
    def amount_width(self) -> Number:
        """Bits of the right shift of a fixed-point mantissa; the largest shift yields zero even after rounding."""
        return bit_length(self.weight_fraction + 2)

    @property
    def l_width(self) -> Number:
        """Bits of the sum of the weights, unsigned, or a float without its sign."""
        whole = self.weight_fraction + bit_length(self.keys_max)
        return choose(self.sums_are_floats, self.magnitude_width, whole)

    @property
    def half_weight(self) -> Number:
        """A sum of weights of 1/2, as an integer or a float pattern."""
        if self.sums_are_floats:
            return (self.sum_format.bias - 1) << self.sum_format.fraction_bits
        return 1 << (self.weight_fraction - 1)

    @property
    def full_weight(self) -> Number:
        """The smallest sum of weights, as a pattern of the input format, to which 1 cannot be added exactly."""
        fmt = self.sum_format
        return (fmt.bias + fmt.fraction_bits + 1) << fmt.fraction_bits

    @property
    def value_fraction(self) -> Number:
        """Fraction bits of a weighted value in fixed point."""
        return VALUE_FRACTION + self.divides_first * (bit_length(self.keys_max) - 1)

    @property
    def term_width(self) -> Number:
        """Bits of a weighted value, signed, or a float."""
        exact = self.weight_fraction + self.kv_width - 1
        whole = choose(self.is_float, self.value_fraction + VALUE_WHOLE, exact) + 1
        return choose(self.sums_are_floats, self.float_width, whole)

    @property
    def o_width(self) -> Number:
        """Bits of the sum of weighted values, signed, or a float. Divided weights add up to less than 2."""
        room = choose(self.divides_first, 1, bit_length(self.keys_max))
        return choose(self.sums_are_floats, self.float_width, self.term_width + room)

    @property
    def shift_width(self) -> Number:
        """Bits of the right shift of running sums when the maximum increases."""
        return choose(self.sums_are_floats, 8, bit_length(larger(self.o_width, self.l_width)))

    @property
    def divisor_fraction(self) -> Number:
        """R: fraction bits of the divisor, which is from 1 to 2."""
        return choose(self.sums_are_floats, smaller(self.sum_fraction, DIVISOR_FRACTION), DIVISOR_FRACTION)

    @property
    def divisor_bits(self) -> Number:
        """Fraction bits of the divisor that can be nonzero: a sum of few bits has fewer than R."""
        r = self.divisor_fraction
        return choose(self.sums_are_floats, r, smaller(r, self.l_width - 1))

    @property
    def zeros_width(self) -> Number:
        """Bits of the number of leading zeros of the sum of the weights."""
        return bit_length(self.l_width - 1)

    @property
    def q_width(self) -> Number:
        """Bits of a quotient, unsigned: ``2**R`` to ``2**(R + 1)``, and 0."""
        return self.divisor_fraction + 2

    @property
    def align_drop(self) -> Number:
        """Low bits of a weight that are dropped before division."""
        return larger(self.l_width - self.weight_fraction - 3, 0)

    @property
    def r_is_float(self) -> Number:
        """1 where the reciprocal is a float, because it multiplies a float, else 0."""
        return self.sums_are_floats | (self.is_float & self.divides_last)

    @property
    def r_width(self) -> Number:
        """Bits of a reciprocal: {exponent field, R fraction bits} of a float, or {leading zeros of the sum, gain}."""
        exponent = choose(self.sums_are_floats, self.sum_exponent, FP32.exponent_bits)
        whole = self.gain_width + self.zeros_width
        return choose(self.r_is_float, exponent + self.divisor_fraction, whole)

    @property
    def has_gain(self) -> Number:
        """1 where the reciprocal already contains the multiplier of the output, else 0."""
        return (1 - self.is_float) & self.divides_last

    @property
    def gain_width(self) -> Number:
        """Bits of a quotient, or of one times the multiplier of the output (below 2)."""
        return self.q_width + self.has_gain

    @property
    def moved_width(self) -> Number:
        """Bits of a sum of weighted integers after it is shifted like the sum of the weights.

        It is at most about ``2**(kv_width - 1)`` times the sum of the weights.
        """
        return self.l_width + self.kv_width + 1

    @property
    def finish_shift(self) -> Number:
        """Constant right shift of an int8 output, in addition to the shift in its register.

        It is smaller where the sum of the weights has fewer bits than a divisor and is therefore not shifted up.
        """
        r = self.divisor_fraction
        left = larger(r + 1 - self.l_width, 0)
        divided = 2 * r + 2 - OUTPUT_MULTIPLIER_BITS - left
        return choose(self.divides_first, self.weight_fraction, divided)

    @property
    def multiplier_width(self) -> Number:
        """Bits of the register that scales scores."""
        whole = choose(self.is_float, 24, 16)
        return choose(self.sums_are_floats, self.float_width, whole)

    # Words: a value and its flag, as they travel ---------------------------------------------------------------------

    @property
    def beat_word(self) -> Number:
        """Bits of the products of a beat with their flags."""
        return self.beat_width + 2 * self.nan_bit

    @property
    def score_word(self) -> Number:
        """Bits of a score with its flags: NaN, and above it "a product was too large"."""
        return self.score_width + 2 * self.nan_bit

    @property
    def t_word(self) -> Number:
        """Bits of an exponent of two with its flag."""
        return self.t_width + self.t_nan_bit

    @property
    def p_word(self) -> Number:
        """Bits of a weight, divided or not, with its flag."""
        return self.p_width + self.nan_bit

    @property
    def term_word(self) -> Number:
        """Bits of a weighted value with its flag."""
        return self.term_width + self.nan_bit

    @property
    def o_word(self) -> Number:
        """Bits of the sum of weighted values with its flag."""
        return self.o_width + self.nan_bit

    # Of one design ------------------------------------------------------------------------------------------

    def constants(self) -> dict[str, Any]:
        """Named constants of the algorithm; only those that this kind of sums uses."""
        found: dict[str, Any] = {
            "exponent_fraction": self.fraction,
            "mantissa_bits": self.mantissa,
            "divisor_fraction": self.divisor_fraction,
        }
        if not self.sums_are_floats:
            found |= {"weight_fraction": self.weight_fraction, "sum_width": self.l_width}
        if self.exact:
            found |= {"score_fraction": SCORE_FRACTION, "value_fraction": self.value_fraction}
        columns = polynomial(self.fraction, self.mantissa).coefficients
        return found | {"coefficients": [list(column) for column in columns]}

    @property
    def input_format(self) -> floating.FloatFormat:
        """Format of queries, keys, values and outputs."""
        return floating.get(self.inputs)

    @property
    def sum_format(self) -> floating.FloatFormat:
        """Format of float sums; FP32 also where fixed-point sums are divided."""
        return self.input_format if self.acc_format == "same" else FP32


def rules(a: Arithmetic) -> Iterator[Rule]:
    """Cross-checks: the combinations that can be built."""
    for name, choices in (("inputs", INPUTS), ("acc_format", ACCUMULATORS), ("graph", GRAPHS)):
        yield Rule(
            name,
            one_of(getattr(a, name), choices) == 1,
            f"{name} is unknown",
            lambda name=name, choices=choices: (  # type: ignore[misc]
                f"Parameter {name} must be one of {', '.join(choices)}, not {getattr(a, name)!r}"
            ),
        )
    yield from _ranges(a)
    yield from _format_rules(a)


def _ranges(a: Arithmetic) -> Iterator[Rule]:
    """Range checks of every number."""
    for name, low, high, value in (
        ("dim", 1, DIM_LIMIT, a.dim),
        ("keys_max", 1, KEYS_LIMIT, a.keys_max),
        ("keys_max", 1, FIXED_KEYS_LIMIT, choose(a.exact, a.keys_max, 1)),
        ("score_lanes", 1, a.dim, a.lanes),
        ("exponent_fraction", 4, 24, a.fraction),
        ("mantissa_bits", 4, 23, a.mantissa),
        ("weight_bits", 4, WEIGHT_LIMIT, choose(a.sums_are_floats, 4, a.weight_fraction)),
    ):
        yield Rule(
            name,
            (value >= low) & (value <= high),
            f"{name} is out of range",
            lambda name=name, low=low, high=high, value=value: (  # type: ignore[misc]
                f"Parameter {name} must be from {low} to {high}, not {value}"
            ),
        )


def _format_rules(a: Arithmetic) -> Iterator[Rule]:
    """Cross-checks between the format of the inputs, the accumulator and what belongs to one of them alone."""
    yield Rule(
        "acc_format",
        (a.acc_format == "integer") == (a.inputs == "int8"),
        "the accumulator is not for these inputs",
        lambda: (
            f"Accumulator must be {'fixed, fp32 or same' if a.is_float else 'integer'} for {a.inputs}, "
            f"not {a.acc_format!r}"
        ),
    )
    for name, used in (("mantissa_bits", a.mantissa_bits), ("weight_bits", a.weight_bits)):
        yield Rule(
            name,
            a.sums_are_floats * used == 0,
            f"{name} is not for float sums",
            lambda name=name: f"Parameter {name} is not for float sums; it must be 0, not {getattr(a, name)}",  # type: ignore[misc]
        )
    yield Rule(
        "sum_stages",
        (a.sum_stages == 0) | (a.sums_are_floats == 1),
        "sums that are not floats have no registers inside their addition",
        lambda: f"sum_stages must be 0 for sums that are not floats, not {a.sum_stages}",
    )
    yield Rule(
        "kv_width",
        (a.kv_width == 8) | ((a.kv_width == 4) & (a.inputs == "int8")),
        "keys are neither whole nor packed",
        lambda: f"kv_width must be 8, or 4 for int8, not {a.kv_width} for {a.inputs}",
    )


@dataclass(frozen=True, kw_only=True)
class Scales:
    """Contents of the run-time registers."""

    multiplier: int
    shift: int = 0
    offset: int = 0
    output_multiplier: int = 1 << (OUTPUT_MULTIPLIER_BITS - 1)
    output_shift: int = OUTPUT_MULTIPLIER_BITS - 1

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the registers, in the order of :meth:`row`."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def from_row(cls, row: Iterable[int]) -> Scales:
        """Registers from one integer each, in the order of :meth:`names`."""
        return cls(**dict(zip(cls.names(), (int(value) for value in row), strict=True)))

    def row(self) -> list[int]:
        """One integer for each register, in the order of :meth:`names`."""
        return [getattr(self, name) for name in self.names()]

    @classmethod
    def of(cls, a: Arithmetic, scale: float, gain: float = 1.0, offset: int = 0) -> Scales:
        """Registers for ``exponent of two = scale * score`` and, for integers, ``output = gain * attention``.

        A score is a sum of products of the inputs, so ``scale`` is, for instance, ``log2(e) / sqrt(dim) * s_q * s_k``
        with the scales of queries and keys. Raises ``ParamError`` for values that the registers cannot hold.
        """
        for name, value in (("scale", scale), ("gain", gain)):
            if not (np.isfinite(value) and value > 0):
                raise ParamError(f"{name} must be positive, not {value!r}")
        low = -(1 << (EXPONENT_WHOLE - 1))
        if not low <= offset < -low:
            raise ParamError(f"offset must be from {low} to {-low - 1}, not {offset}")
        output = _significand(gain, OUTPUT_MULTIPLIER_BITS, OUTPUT_SHIFT_BITS, "gain")
        registers = {"offset": offset, "output_multiplier": output[0], "output_shift": output[1]}
        if a.sums_are_floats:
            pattern = int(floating.from_float64(a.sum_format, np.ldexp(scale, a.fraction)))
            if not a.sum_format.min_normal <= pattern <= a.sum_format.max_finite:
                raise ParamError(f"scale must be {_normal_range(a)} for these sums, not {scale:g}")
            return cls(multiplier=pattern, **registers)
        units = a.fraction - (SCORE_FRACTION if a.is_float else 0)
        found = _significand(float(np.ldexp(scale, units)), a.multiplier_width, SHIFT_BITS, "scale")
        return cls(multiplier=found[0], shift=found[1], **registers)


def _normal_range(a: Arithmetic) -> str:
    low, high = floating.to_float64(
        a.sum_format, np.array([a.sum_format.min_normal, a.sum_format.max_finite])
    )
    unit = float(np.ldexp(1.0, a.fraction))
    return f"from about {low / unit:.3g} to {high / unit:.3g}"


def _significand(value: float, bits: int, shift_bits: int, name: str) -> tuple[int, int]:
    """(multiplier, shift) with ``multiplier / 2**shift`` nearest to ``value``."""
    highest = (1 << shift_bits) - 1
    shift = min(bits - int(np.frexp(value)[1]), highest)
    multiplier = round(float(np.ldexp(value, shift)))
    if multiplier >> bits:
        multiplier, shift = multiplier >> 1, shift - 1
    if shift < 0 or multiplier == 0:
        low, high = np.ldexp(1.0, -highest - 1), (1 << bits) - 1
        raise ParamError(f"{name} must be from about {low:g} to {high:g}, not {value:g} in register units")
    return multiplier, shift
