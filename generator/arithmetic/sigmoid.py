"""The logistic function of floats (:class:`blueprint.arithmetic.sigmoid.Sigmoid`)."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic import sigmoid
from blueprint.arithmetic.floating import FloatFormat
from generator.arithmetic.floating.pipeline import Results, Values, Wires, stored
from generator.arithmetic.integers import zero_extend
from generator.arithmetic.polynomial import evaluated
from generator.block import Block


class Sigmoid(Block):
    """The logistic function of a float; its result, which is not negative, has no sign.

    ``x`` has no sign. Only the last step needs the sign: it is the input ``negative``, 3 cycles later.
    """

    place = "sigmoid"
    latency = "3 cycles from x, 0 from negative"

    def __init__(self, fmt: FloatFormat) -> None:
        self.model = sigmoid.Sigmoid(fmt)
        ports = {"x": In(fmt.width - 1), "negative": In(1), "result": Out(fmt.width - 1)}
        super().__init__(f"sigmoid_{fmt.name}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        values = Values(x=self.x)
        for stage, step in enumerate((_exponent, _power, _reciprocal)):
            values = stored(m, stage, Const(1, 1), Values(step(self.model, Wires(m), values)))
        values = Values(_product(self.model, Wires(m), Values(values | {"negative": self.negative})))
        m.d.comb += self.result.eq(values.result)
        return m


def _exponent(s: sigmoid.Sigmoid, w: Wires, v: Values) -> Results:
    """``exp(-|x|)`` as a power of two, ``2**(f - whole)``, with a fraction ``f`` and an integer ``whole``."""
    fraction, field = v.x[: s.fmt.fraction_bits], v.x[s.fmt.fraction_bits :]
    product = w("scaled", Cat(fraction, Const(1, 1)) * s.constant)[s.dropped :]
    far = w("far", field > s.nearest)
    down = w("down", (s.nearest - field)[: len(field)])
    found = w("found", (product >> down)[: s.precision + sigmoid.WHOLE_BITS])
    below, whole = found[: s.precision], found[s.precision :]
    up = w("up", (whole + below.any())[: sigmoid.WHOLE_BITS])
    return {
        "f": w("f", (-below)[: s.precision] & (~far).replicate(s.precision)),
        "whole": w("whole", up | far.replicate(len(up))),
    }


def _power(s: sigmoid.Sigmoid, w: Wires, v: Values) -> Results:
    return {"power": evaluated(s.power, w, v.f)} | v.keep("whole")


def _reciprocal(s: sigmoid.Sigmoid, w: Wires, v: Values) -> Results:
    """``2 / (1 + t)`` for ``t = exp(-|x|)``, from the polynomial ``2 / (2 - v)`` at ``v = 1 - t``."""
    left = w("left", Cat(Const(0, 1), v.power, Const(1, 1)) >> v.whole)[: s.precision + 1]
    rest = w("rest", (-left)[: s.precision] | (~left.any()).replicate(s.precision))
    return {"inverse": evaluated(s.reciprocal, Wires(w.m, "r_"), rest)} | v.keep("power", "whole")


def _product(s: sigmoid.Sigmoid, w: Wires, v: Values) -> Results:
    """Half of ``inverse``, multiplied by ``exp(-|x|)`` if the number is negative, and rounded."""
    fmt, one = s.fmt, Const(1, 1)
    by = Cat(v.power & v.negative.replicate(s.mantissa), one)
    product = w("product", Cat(v.inverse, one) * by)
    above = product[-1]
    low = 2 * s.mantissa - fmt.fraction_bits - 1
    cut = w("cut", Mux(above, product[low + 1 :], product[low:-1]))
    rounded = w("rounded", (cut + 1)[1:])
    # This is the exponent field less one: the leading bit and the carry of the rounding are added to it.
    down = w("amount", v.whole & v.negative.replicate(len(v.whole)))
    field = w("field", (fmt.bias - 2 + above - zero_extend(down, len(down) + 1))[: len(down) + 1])
    pattern = w("pattern", (Cat(Const(0, fmt.fraction_bits), field) + rounded)[: fmt.width - 1])
    return {"result": pattern & (~field[-1]).replicate(fmt.width - 1)}
