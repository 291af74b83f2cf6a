"""The reciprocal of the sum of the weights, and weights divided by it."""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.softmax.arithmetic import OUTPUT_MULTIPLIER_BITS, Arithmetic
from blueprint.arithmetic.softmax.blocks import Reciprocal as Divider
from generator.arithmetic.floating import multiply
from generator.arithmetic.floating.pipeline import Results, Values, Wires, chain
from generator.arithmetic.floating.words import is_special, leading_zeros
from generator.arithmetic.integers import zero_extend
from generator.arithmetic.softmax.chain import Chain
from generator.block import Block, drive


def _name(a: Arithmetic) -> str:
    kind = a.sum_format.name if a.sums_are_floats else f"w{a.l_width}p{a.weight_fraction}"
    return f"{kind}_{'float' if a.r_is_float else 'gain' if a.has_gain else 'plain'}"


class Reciprocal(Chain):
    """Divides one by the sum of the weights, a row of a restoring divider for each bit of the quotient."""

    place = "reciprocal"

    def __init__(self, a: Arithmetic, stages: int = 0) -> None:
        self.arithmetic = a
        rows = [partial(_row, a)] * (a.divisor_fraction - 1)
        static = {"output_multiplier": OUTPUT_MULTIPLIER_BITS if a.has_gain else 0}
        steps = (partial(_begin, a), *rows, partial(_last_row, a), partial(pack, a))
        name = f"softmax_reciprocal_{_name(a)}"
        super().__init__(name, {"total": a.l_width}, a.r_width, steps, stages, static)

    def delays(self) -> tuple[int, ...]:
        return Divider().chain(self.arithmetic.divisor_fraction)


def _begin(a: Arithmetic, w: Wires, v: Values) -> Results:
    """The fraction of the divisor, which is from 1 to 2, and the remainder after the first two bits of the quotient.

    Those bits are 10 if the divisor is 1 (``exact``), else 01.
    """
    found = _float_divisor(a, w, v.total) if a.sums_are_floats else _fixed_divisor(a, w, v.total)
    return found | remainder(a, w, Values(found).fraction)


def remainder(a: Arithmetic, w: Wires, fraction: Value) -> Results:
    """Whether the divisor is 1, and the remainder after the first two bits of the quotient."""
    return {
        "exact": w("exact", ~fraction.any()),
        "rest": w("rest", (Const(0, a.divisor_bits) - fraction)[: a.divisor_bits]),
    }


def _fixed_divisor(a: Arithmetic, w: Wires, total: Value) -> Results:
    count, none = leading_zeros(total)
    zeros = w("zeros", zero_extend(Cat(*count), a.zeros_width))
    divisor = w("divisor", (total << zeros)[: a.l_width])
    fraction = divisor[a.l_width - 1 - a.divisor_bits : -1]
    return {"fraction": w("fraction", fraction), "none": none, "exponent": zeros}


def _float_divisor(a: Arithmetic, w: Wires, total: Value) -> Results:
    fmt = a.sum_format
    f = fmt.fraction_bits
    infinite, nan = is_special(fmt, Cat(total, Const(0, 1)))
    field = total[f:]
    return {
        "fraction": w("fraction", total[f - a.divisor_fraction : f]),
        "none": w("none", ~field.any() | infinite),
        "exponent": field,
        "nan": w("nan", nan),
    }


def _row(a: Arithmetic, w: Wires, v: Values) -> Results:
    """Compute one bit of the quotient: 1 if the divisor fits into the remainder."""
    bit, rest = divided(a, w, v.rest, v.fraction)
    quotient = Cat(bit, v.quotient) if "quotient" in v else bit
    return v.keep("fraction", "none", "exponent", "nan", "exact") | {"quotient": quotient, "rest": rest}


def _last_row(a: Arithmetic, w: Wires, v: Values) -> Results:
    """The last bit of the quotient; nothing needs the divisor or the remainder any more."""
    found = _row(a, w, v)
    return {name: value for name, value in found.items() if name not in ("fraction", "rest")}


def divided(a: Arithmetic, w: Wires, rest: Value, fraction: Value) -> tuple[Value, Value]:
    """One restoring step: (quotient bit, new remainder)."""
    bits = a.divisor_bits + 2
    divisor = Cat(fraction, Const(1, 1))
    less = w("less", (zero_extend(Cat(Const(0, 1), rest), bits) - zero_extend(divisor, bits))[:bits])
    return w("bit", ~less[-1]), w.either("left", less[-1], Cat(Const(0, 1), rest), less)[: bits - 1]


def pack(a: Arithmetic, w: Wires, v: Values) -> Results:
    """The word of the reciprocal out of quotient and exponent."""
    there = ~v.none
    if a.r_is_float:
        return {"result": _float_word(a, w, v, there)}
    quotient = Cat(v.quotient, ~v.exact, v.exact) & there.replicate(a.q_width)
    if a.has_gain:
        gain = w("gain", quotient * v.output_multiplier)
        quotient = gain[OUTPUT_MULTIPLIER_BITS - 1 :]
    return {"result": Cat(quotient, v.exponent)}


def _float_word(a: Arithmetic, w: Wires, v: Values, there: Value) -> Value:
    """The quotient as a float; +0 below normal."""
    fmt = a.sum_format
    bits = fmt.exponent_bits + 2
    exponent = zero_extend(v.exponent, bits)
    # The exponent field if the sum is exactly a power of two; otherwise the field is one less.
    if a.sums_are_floats:
        top = Const(2 * fmt.bias, bits) - exponent
    else:
        top = exponent + Const(fmt.bias - (a.l_width - 1 - a.weight_fraction), bits)
    field = w("field", (top - ~v.exact)[:bits])
    normal = there & ~field[-1] & field.any()
    word = Cat(v.quotient, field[: fmt.exponent_bits]) & normal.replicate(a.r_width)
    if "nan" in v:
        nan = fmt.canonical_nan >> (fmt.fraction_bits - a.divisor_fraction)
        word = w.either("word", v.nan, Const(nan, a.r_width), word)
    return word


def reciprocal_pattern(a: Arithmetic, r: Value) -> Value:
    """The float that a word of a reciprocal stands for."""
    return Cat(Const(0, a.sum_format.fraction_bits - a.divisor_fraction), r, Const(0, 1))


class SerialReciprocal(Block):
    """Divides one by the sum of the weights, one bit of the quotient per cycle.

    ``start`` takes ``total``; ``done`` is 1 once ``result`` belongs to the last ``total`` taken. A ``start`` before
    that abandons the division that runs.
    """

    place = "reciprocal"

    def __init__(self, a: Arithmetic) -> None:
        self.arithmetic = a
        self.latency = f"{a.divisor_fraction + 1} cycles from start to done"
        self.throughput = f"1 per {a.divisor_fraction + 1} cycles"
        ports = {"start": In(1), "total": In(a.l_width), "done": Out(1), "result": Out(a.r_width)}
        ports |= {"output_multiplier": In(OUTPUT_MULTIPLIER_BITS if a.has_gain else 0)}
        super().__init__(f"softmax_serial_reciprocal_{_name(a)}", ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        a, w = self.arithmetic, Wires(m)
        r = a.divisor_fraction
        first = Values(_begin(a, w, Values(total=self.total)))
        first |= {"rest": zero_extend(first.rest, a.divisor_bits + 1)}
        held = Values(
            {name: Signal(len(value), name=f"{name}_held", reset_less=True) for name, value in first.items()}
        )
        quotient = Signal(r, name="quotient", reset_less=True)
        left = Signal(range(r + 1), name="left")
        bit, rest = divided(a, w, held.rest, held.fraction)
        with m.If(self.start):
            m.d.sync += [held[name].eq(value) for name, value in first.items()]
            m.d.sync += left.eq(r)
        with m.Elif(left.any()):
            m.d.sync += [held.rest.eq(rest), quotient.eq(Cat(bit, quotient)), left.eq(left - 1)]
        static = {"output_multiplier": self.output_multiplier} if a.has_gain else {}
        packed = Values(pack(a, w, Values(held | {"quotient": quotient} | static)))
        m.d.comb += self.done.eq(~left.any())
        drive(m, self.result, packed.result)
        return m


class Normalize(Chain):
    """Divides a weight by the sum of the weights."""

    place = "normalize"

    def __init__(self, a: Arithmetic, stages: int = 0) -> None:
        self.arithmetic = a
        kind = a.sum_format.name if a.sums_are_floats else f"w{a.l_width}p{a.p_word}"
        operands = {"p": a.p_word, "r": a.r_width}
        steps = (partial(_align, a), partial(_times, a))
        super().__init__(f"softmax_normalize_{kind}", operands, a.p_word, steps, stages)


def _align(a: Arithmetic, w: Wires, v: Values) -> Results:
    if a.sums_are_floats:
        given = {"a": Cat(v.p, Const(0, 1)), "b": reciprocal_pattern(a, v.r)}
        return {"product": chain(w, multiply.steps(a.sum_format), **given)[: a.p_width]}
    p, zeros = v.p, v.r[a.gain_width :]
    moved = w("moved", (p[: a.p_width] << zeros)[: a.l_width])
    found = {"moved": moved[a.align_drop :], "q": v.r[: a.q_width]}
    return found | ({"flag": p[-1]} if a.nan_bit else {})


def _times(a: Arithmetic, w: Wires, v: Values) -> Results:
    if a.sums_are_floats:
        return {"result": v.product}
    right = a.divisor_fraction + a.l_width - a.weight_fraction - a.align_drop
    product = w("product", v.moved * v.q)
    rounded = w("rounded", product[right:] + product[right - 1])
    return {"result": Cat(zero_extend(rounded, a.p_width), *v.keep("flag").values())}
