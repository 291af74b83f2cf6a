"""Weights: powers of two, computed from scores."""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.softmax.arithmetic import Arithmetic
from blueprint.arithmetic.softmax.exponential import Polynomial, polynomial
from generator.arithmetic.floating.pipeline import Results, Values, Wires
from generator.arithmetic.integers import zero_extend
from generator.arithmetic.polynomial import mantissa, slope
from generator.arithmetic.softmax.chain import Chain, capped, resized
from generator.block import Block


class RunningMax(Block):
    """Keeps the largest whole exponent that no key of a row has exceeded.

    ``peak`` is the reference and already includes ``t``, by a combinational path; the register takes it at a rising
    edge with ``enable``. ``begin`` marks the first key of a row. ``shift`` is the distance by which running sums must
    be shifted right before the key is added, 0 for a first key. With a register ``ahead`` of the comparison ``t`` comes
    a cycle before the rest.
    """

    place = "running_max"

    def __init__(self, a: Arithmetic, ahead: int = 0) -> None:
        self.arithmetic, self.ahead = a, ahead
        ports = {"t": In(a.t_word), "begin": In(1), "enable": In(1), "peak": Out(a.reference_width)}
        name = f"softmax_max_f{a.fraction}w{a.t_word}"
        ports |= {"shift": Out(a.shift_width if a.rescales else 0)}
        name += (f"_r{a.shift_width}" if a.rescales else "") + "_ahead" * ahead
        super().__init__(name, ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        a, width = self.arithmetic, self.arithmetic.reference_width
        held = Signal(width, name="held", reset_less=True)
        whole, above = self.t[a.fraction : a.t_width], self.t[: a.fraction].any()
        ceiling, rise = Signal(width, reset_less=True), Signal(width + 1)
        domain = m.d.sync if self.ahead else m.d.comb
        domain += ceiling.eq((whole + above)[:width])
        m.d.comb += rise.eq((ceiling.as_signed() - held.as_signed())[: width + 1])
        change = self.begin | ~rise[-1]
        m.d.comb += self.peak.eq(Mux(change, ceiling, held))
        with m.If(self.enable):
            m.d.sync += held.eq(self.peak)
        if a.rescales:
            up = ~rise[-1] & ~self.begin
            m.d.comb += self.shift.eq(capped(rise[:-1], a.shift_width) & up.replicate(a.shift_width))
        return m


class Exp2(Chain):
    """Raises two to the difference of an exponent and a reference that is not below; 1 where it is below."""

    place = "exp2"

    def __init__(self, a: Arithmetic, stages: int = 0) -> None:
        self.arithmetic = a
        self.polynomial = polynomial(a.fraction, a.mantissa)
        kind = a.sum_format.name if a.sums_are_floats else f"p{a.weight_fraction}{'flag' * a.nan_bit}"
        name = f"softmax_exp2_f{a.fraction}m{a.mantissa}_{kind}" + ("_clamp" if a.graph == "naive" else "")
        steps = (
            partial(difference, a),
            partial(slope, self.polynomial),
            partial(_significant, a, self.polynomial),
            partial(placed, a),
        )
        operands = {"t": a.t_word, "peak": a.reference_width}
        super().__init__(name, operands, a.p_word, steps, stages)


def difference(a: Arithmetic, w: Wires, v: Values) -> Results:
    """The fraction of the difference, and the right shift of the mantissa or, for floats, the exponent field."""
    f, width = a.fraction, a.reference_width + 1
    fraction, whole = v.t[:f], v.t[f : a.t_width]
    flag = {"flag": v.t[-1]} if a.t_nan_bit and (a.nan_bit or a.sums_are_floats) else {}
    down = w("down", (v.peak.as_signed() - whole.as_signed())[:width])
    if a.graph == "naive":
        # ``t`` is above the reference if its integer part is the same and it has a fraction, or if it is larger.
        above = w("above", down[-1] | (~down.any() & fraction.any()))
        fraction, down = fraction & ~above.replicate(f), down & ~above.replicate(width)
    if not a.sums_are_floats:
        amount = capped(down[:-1], a.amount_width)
        return {"f": w("f", fraction), "amount": w("amount", amount)} | flag
    fmt = a.sum_format
    wide = max(width, fmt.exponent_bits) + 1
    field = w("field", (Const(fmt.bias, wide) - zero_extend(down, wide))[:wide])
    normal = (~field[-1]).replicate(fmt.exponent_bits - 1)
    return {"f": w("f", fraction), "amount": field[: fmt.exponent_bits - 1] & normal} | flag


def _significant(a: Arithmetic, poly: Polynomial, w: Wires, v: Values) -> Results:
    """The mantissa, of an integer weight without the bits that no shift keeps."""
    found = Values(mantissa(poly, w, v))
    return found | {"mantissa": found.mantissa[lost_bits(a) :]}


def lost_bits(a: Arithmetic) -> int:
    """Low bits of a mantissa that no shift keeps."""
    return 0 if a.sums_are_floats else max(a.mantissa - a.weight_fraction - 1, 0)


def placed(a: Arithmetic, w: Wires, v: Values) -> Results:
    """The weight of a mantissa and its move, or its exponent field."""
    mantissa, amount = v.mantissa, v.amount
    if a.sums_are_floats:
        fmt = a.sum_format
        nan, normal = v.flag, amount.any()
        low = (mantissa & (normal & ~nan).replicate(fmt.fraction_bits)) | (nan << (fmt.fraction_bits - 1))
        field = Cat(amount, Const(0, 1)) | nan.replicate(fmt.exponent_bits)
        return {"result": Cat(low[: fmt.fraction_bits], field)}
    frame = resized(Cat(mantissa, Const(1, 1)), a.weight_fraction - len(mantissa) + 1)
    moved = w("moved", frame >> amount)
    rounded = w("rounded", (moved[1:] + moved[0])[: a.p_width])
    return {"result": Cat(rounded, *v.keep("flag").values())}
