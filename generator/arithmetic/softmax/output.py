"""Output stage: from the sum of the weighted values to an output."""

from functools import partial

from amaranth.hdl import Value

from blueprint.arithmetic.floating import FloatFormat
from blueprint.arithmetic.softmax.arithmetic import OUTPUT_MULTIPLIER_BITS, OUTPUT_SHIFT_BITS, Arithmetic
from blueprint.arithmetic.softmax.steps import unit
from generator.arithmetic.floating import convert, fixed, multiply
from generator.arithmetic.floating.pipeline import Results, Values, Wires, chain
from generator.arithmetic.integers import sign_extend
from generator.arithmetic.softmax.chain import Chain, fits, saturated
from generator.arithmetic.softmax.division import reciprocal_pattern


class Finish(Chain):
    """Rounds the sum of the weighted values, divided by that of the weights where it is not yet, to an output.

    ``saturated`` is 1 if an integer result does not fit.
    """

    place = "finish"

    def __init__(self, a: Arithmetic, stages: int = 0) -> None:
        self.arithmetic = a
        scales = 0 if a.is_float else 1
        operands = {
            "o": a.o_word,
            "r": 0 if a.divides_first else a.r_width,
            "output_shift": scales * OUTPUT_SHIFT_BITS,
            "output_multiplier": 0 if a.has_gain else scales * OUTPUT_MULTIPLIER_BITS,
        }
        widths = f"w{a.o_word}_l{a.l_width}p{a.weight_fraction}" if not a.sums_are_floats else "float"
        when = "divided" if a.divides_first else "divide"
        name = f"softmax_finish_{a.inputs}_{a.acc_format}_{widths}_{when}"
        steps = (partial(_prepare, a), partial(_divide, a), partial(_round, a))
        flags = {"saturated": scales}
        super().__init__(name, operands, a.out_width, steps, stages, flags=flags)


def _prepare(a: Arithmetic, w: Wires, v: Values) -> Results:
    """Convert the sum to a float, or shift it like the divisor."""
    if a.sums_are_floats:
        return v.keep("o", "r")
    if a.is_float:
        target = a.input_format if a.divides_first else a.sum_format
        steps = fixed.steps(unit(a.value_fraction), target, a.o_width)
        found = chain(w, steps, a=v.o[: a.o_width], nan=v.o[-1])
        return {"o": found} | v.keep("r")
    if a.divides_first:
        return v
    zeros = v.r[a.gain_width :]
    wide = sign_extend(v.o, a.moved_width)
    # Where the sum would have to move further up, the last shift is shorter instead (``finish_shift``).
    moved = w("moved", (wide << zeros)[: a.moved_width])[max(a.l_width - 1 - a.divisor_fraction, 0) :]
    return {"o": moved, "r": v.r[: a.gain_width], "output_shift": v.output_shift}


def _divide(a: Arithmetic, w: Wires, v: Values) -> Results:
    o = v.o
    if a.is_float:
        if a.divides_first:
            return v.keep("o")
        return {"o": chain(w, multiply.steps(a.sum_format), a=o, b=reciprocal_pattern(a, v.r))}
    factor = v.output_multiplier if a.divides_first else v.r
    # One bit is kept below those that remain for every value of the register; it rounds.
    product = w("product", o.as_signed() * factor)
    return {"o": product[a.finish_shift - 1 :], "output_shift": v.output_shift}


def _round(a: Arithmetic, w: Wires, v: Values) -> Results:
    o = v.o
    if a.is_float:
        source = a.input_format if not a.sums_are_floats and a.divides_first else a.sum_format
        return {"result": _converted(w, source, a.input_format, o)}
    moved = w("down", o.as_signed() >> v.output_shift)
    rounded = w("rounded", moved[1:].as_signed() + moved[0])
    return {"result": saturated(rounded, 8), "saturated": ~fits(rounded, 8)}


def _converted(w: Wires, source: FloatFormat, target: FloatFormat, word: Value) -> Value:
    if source == target:
        return word
    return chain(w, convert.steps(source, target), a=word)
