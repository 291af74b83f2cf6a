"""Weighted values and the running sums of them and of the weights."""

from abc import ABC, abstractmethod
from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.floating import FloatFormat, cuts
from blueprint.arithmetic.softmax import turns
from blueprint.arithmetic.softmax.arithmetic import VALUE_WHOLE, Arithmetic
from generator.arithmetic.floating import add, multiply
from generator.arithmetic.floating.pipeline import Results, Values, Wires, chain, stored
from generator.arithmetic.floating.words import subtract
from generator.arithmetic.integers import sign_extend, zero_extend
from generator.arithmetic.softmax.chain import Chain, capped, negated, resized, unpacked, widened
from generator.block import Block


class Product(Chain):
    """Multiplies a value by its weight."""

    place = "product"

    def __init__(self, a: Arithmetic, stages: int = 0) -> None:
        self.arithmetic = a
        name = f"softmax_product_{a.inputs}_{a.acc_format}_p{a.p_word}t{a.term_word}"
        operands = {"p": a.p_word, "v": a.element_width}
        super().__init__(name, operands, a.term_word, (partial(_multiply, a), partial(_place, a)), stages)


def _multiply(a: Arithmetic, w: Wires, v: Values) -> Results:
    p, value = v.p, v.v
    if not a.is_float:
        return {"product": w("product", p * value.as_signed())[: a.term_width]}
    if a.sums_are_floats:
        given = {"a": Cat(p, Const(0, 1)), "b": widened(w, a, value)}
        return {"product": chain(w, multiply.steps(a.sum_format), **given)}
    fmt = a.input_format
    factor = unpacked(fmt, value)
    found = {"product": w("product", p[: a.p_width] * factor.significand), "exponent": factor.exponent}
    return found | {"sign": factor.sign, "flag": factor.special | p[-1]}


def _place(a: Arithmetic, w: Wires, v: Values) -> Results:
    if not a.nan_bit:
        return {"result": v.product}
    distance = _distance(a, w, v.exponent)
    frame = resized(v.product, frame_shift(a))
    magnitude = w("magnitude", frame >> capped(distance[:-1], len(frame).bit_length()))
    return {"result": Cat(negated(magnitude, v.sign, a.term_width), v.flag)}


def _distance(a: Arithmetic, w: Wires, exponent: Value) -> Value:
    """How far a product moves down, signed; nothing if the exponent, without its bias, is VALUE_WHOLE - 1."""
    fmt = a.input_format
    bits = max(fmt.exponent_bits, (VALUE_WHOLE - 1 + fmt.bias).bit_length()) + 1
    highest = Const(VALUE_WHOLE - 1 + fmt.bias, bits)
    distance = w("distance", subtract(highest, exponent, bits))
    return distance & (~distance[-1]).replicate(bits)


def amount(a: Arithmetic, w: Wires, exponent: Value) -> Value:
    """How far a product moves down, in no more bits than it needs."""
    distance = _distance(a, w, exponent)[:-1]
    return capped(distance, min(len(distance), a.term_width.bit_length()))


def frame_shift(a: Arithmetic) -> int:
    """Zeros below a product where it moves down."""
    return VALUE_WHOLE - 1 - a.input_format.fraction_bits - a.weight_fraction + a.value_fraction


class _RunningSum(Block, ABC):
    """Base of the running sums.

    ``total`` includes the terms up to the last rising edge with ``enable`` and is shifted right by every ``shift``; an
    edge with ``begin`` starts a new sum. Where it is ``quick`` the carries of integers pass a network of prefixes.
    """

    latency = "1 cycle"
    operand: str

    def __init__(self, a: Arithmetic, name: str, operand_width: int, width: int, quick: bool) -> None:
        self.arithmetic, self.quick = a, quick and not a.sums_are_floats
        ports: dict[str, Any] = {"begin": In(1), "enable": In(1), self.operand: In(operand_width)}
        ports |= {"shift": In(a.shift_width if a.rescales else 0), "total": Out(width)}
        kind = a.sum_format.name if a.sums_are_floats else f"w{operand_width}_{width}"
        moves = f"_r{a.shift_width}" if a.rescales else ""
        moves += "_quick" * self.quick
        super().__init__(f"softmax_{name}_{kind}{'flag' * a.nan_bit}{moves}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        held = Signal(len(self.total), name="held", reset_less=True)
        old = Signal(len(self.total), name="old")
        m.d.comb += old.eq(held & (~self.begin).replicate(len(held)))
        with m.If(self.enable):
            m.d.sync += held.eq(self.next(Wires(m, quick=self.quick), old))
        m.d.comb += self.total.eq(held)
        return m

    def next(self, w: Wires, old: Value) -> Value:
        """The sum including one more term."""
        a = self.arithmetic
        new = self.pins[self.operand][1]
        if a.sums_are_floats:
            signs = Const(0, a.float_width - len(old))
            moved = lowered(w, a.sum_format, Cat(old, signs), self.shift) if a.rescales else Cat(old, signs)
            return chain(w, add.steps(a.sum_format), a=moved, b=Cat(new, signs))[: len(old)]
        return self.add(w, old, new)

    @abstractmethod
    def add(self, w: Wires, old: Value, new: Value) -> Value:
        """The integer sum."""


class SumWeights(_RunningSum):
    """Adds up weights."""

    place = "sum_weights"
    operand = "p"

    def __init__(self, a: Arithmetic, quick: bool = False) -> None:
        super().__init__(a, "sum_weights", a.p_word, a.l_width, quick)

    def add(self, w: Wires, old: Value, new: Value) -> Value:
        """Add unsigned numbers; the flag is dropped."""
        moved = w("moved", old >> self.shift) if self.arithmetic.rescales else old
        return w.added("sum", moved, new[: self.arithmetic.p_width], len(old))[: len(old)]


class SumValues(_RunningSum):
    """Adds up weighted values."""

    place = "sum_values"
    operand = "term"

    def __init__(self, a: Arithmetic, quick: bool = False) -> None:
        super().__init__(a, "sum_values", a.term_word, a.o_word, quick)

    def add(self, w: Wires, old: Value, new: Value) -> Value:
        """Add signed numbers; the flag is kept."""
        a = self.arithmetic
        number = old[: a.o_width]
        moved = w("moved", number.as_signed() >> self.shift) if a.rescales else number
        term = sign_extend(new[: a.term_width], a.o_width)
        total = w.added("sum", moved, term, a.o_width)[: a.o_width]
        return Cat(total, old[-1] | new[-1]) if a.nan_bit else total


class TurnSum(Block):
    """Adds up floats in partial sums that take turns: an addition with registers inside, as a loop.

    All registers move with ``moves``. The sum that leaves the loop counts where it is ``alive`` and moves down by
    ``shift``; with ``keep`` it is kept. With ``ends`` the one that is kept is added to it, else the term.
    ``total`` is the sum that leaves.
    """

    def __init__(self, a: Arithmetic, place: str) -> None:
        self.arithmetic, self.place, self.signed = a, place, place == "sum_values"
        self.latency = f"{a.sum_stages + 1} moves"
        self.operand = "term" if self.signed else "p"
        width = a.float_width - (not self.signed)
        ports: dict[str, Any] = dict.fromkeys(("moves", "alive", "keep", "ends"), In(1))
        ports |= {self.operand: In(width), "shift": In(a.shift_width * a.rescales), "total": Out(width)}
        moves = "_r" if a.rescales else ""
        name = f"softmax_{place}_{a.sum_format.name}{moves}_turns{a.sum_stages + 1}"
        super().__init__(name, ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, a, fmt = self.module(), self.arithmetic, self.arithmetic.sum_format
        steps = add.steps(fmt) if self.signed else add.without_signs(add.steps(fmt))
        width = len(self.total)
        held, kept = (Signal(width, name=name, reset_less=True) for name in ("held", "kept"))
        old = Signal(width, name="old")
        m.d.comb += [old.eq(held & self.alive.replicate(width)), self.total.eq(held)]
        left: Value = old
        if a.rescales:
            signs = Const(0, fmt.width - width)
            left = lowered(Wires(m, quick=True), fmt, Cat(old, signs), self.shift)[:width]
        with m.If(self.keep):
            m.d.sync += kept.eq(left)
        right = Wires(m).either("right", self.ends, kept, self.pins[self.operand][1])
        values, stage, places = Values(a=left, b=right), 0, cuts(turns.DELAYS[a.rescales], a.sum_stages)
        for number, step in enumerate((lambda w, v: v, *steps), start=1):
            values = Values(step(Wires(m, f"step{number}_", quick=True), values))
            for _ in range(places.count(number)):
                values = stored(m, stage, self.moves, values)
                stage += 1
        with m.If(self.moves):
            m.d.sync += held.eq(values.result)
        return m


def lowered(w: Wires, fmt: FloatFormat, word: Value, shift: Value) -> Value:
    """The float with its exponent lowered by ``shift``; +0 if the result is not normal.

    NaN and infinity stay as they are, and every pattern does where ``shift`` is 0.
    """
    f, e = fmt.fraction_bits, fmt.exponent_bits
    field = word[f:-1]
    bits = max(e, len(shift)) + 1
    less = w("less", (zero_extend(field, bits) - zero_extend(shift, bits))[:bits])
    normal = ~less[-1] & less.any()
    special = field.all()
    low = Cat(word[:f], less[:e], word[-1]) & normal.replicate(fmt.width)
    return w.either("lowered", special | ~shift.any(), word, low)
