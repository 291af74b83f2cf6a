"""Blocks of short steps, between which registers stand: scaling of a score and finishing of an output."""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.softmax.arithmetic import OUTPUT_SHIFT_BITS, SHIFT_BITS, Arithmetic
from blueprint.arithmetic.softmax.deep import (
    ALIGN_LOW,
    CHUNKS,
    DEEP,
    DOWN_LOW,
    FINISH,
    NEAR,
    SCALE,
    SCALE_LOW,
    SEGMENTS,
    CarrySave,
    bounds,
)
from generator.arithmetic.floating.pipeline import Results, Step, Values, Wires, stored
from generator.arithmetic.integers import sign_extend
from generator.arithmetic.softmax import output, scores
from generator.arithmetic.softmax.chain import Chain, fits, saturated
from generator.block import drive
from generator.cells.skew import delay_line

#: Bits of an output that is an integer.
OUTPUT = 8


def skewed(m: Module, a: Arithmetic, place: str, operand: str, cuts: int, value: Value) -> Value:
    """A shared operand of blocks with ``cuts`` registers: every piece as late as the step that reads it."""
    if not cuts or not len(value):
        return value
    steps = DEEP[place].of(a)
    pieces = sorted(
        (piece for piece in steps.shared if piece.operand == operand), key=lambda piece: piece.low
    )
    return Cat(
        *(
            delay_line(
                m, value[piece.low : piece.high], steps.late(piece, cuts), f"{operand}_from{piece.low}_"
            )[-1]
            for piece in pieces
        )
    )


class _Deep(Chain):
    """Base of the blocks. Pieces of ``shared`` operands come as late as the steps that read them."""

    def __init__(
        self, a: Arithmetic, plain: Chain, steps: tuple[Step, ...], cuts: int, shared: tuple[str, ...]
    ) -> None:
        own, flags = (
            {
                name: Shape.cast(member.shape).width
                for name, member in plain.ports.items()
                if member.flow == flow and name not in ("clk", "enable", "result")
            }
            for flow in (In, Out)
        )
        self.arithmetic, self.shared = a, tuple(name for name in shared if own.get(name))
        super().__init__(f"{plain.module_name}_deep", own, len(plain.result), steps, cuts, flags=flags)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        given = {port: self.pins[port][1] for port in self.operands}
        shared = {name: given[name] for name in self.shared}
        values, stage = Values({name: given[name] for name in given if name not in shared}), 0
        places = DEEP[self.place].of(self.arithmetic).cuts(self.stages)
        for number, step in enumerate(self.steps, start=1):
            found = step(Wires(m, f"step{number}_"), Values(values | shared))
            values = Values({name: value for name, value in found.items() if name not in shared})
            for _ in range(places.count(number)):
                values = stored(m, stage, self.enable, values)
                stage += 1
        drive(m, self.result, values.result)
        m.d.comb += [self.pins[flag][1].eq(values[flag]) for flag in self.beside]
        return m


class DeepScale(_Deep):
    """Turns a score into an exponent of two, like `ScaleScore`."""

    place = "scale"

    def __init__(self, a: Arithmetic, cuts: int) -> None:
        plain = scores.ScaleScore(a)
        steps = plain.steps if a.sums_are_floats else _scale_steps(a)
        super().__init__(a, plain, steps, cuts, ("multiplier", "shift"))


class DeepFinish(_Deep):
    """Rounds a sum of weighted values to an output, like `Finish`."""

    place = "finish"

    def __init__(self, a: Arithmetic, cuts: int) -> None:
        plain = output.Finish(a)
        steps = plain.steps if a.is_float else _finish_steps(a)
        super().__init__(a, plain, steps, cuts, ("r", "output_multiplier", "output_shift"))


# Products ---------------------------------------------------------------------------------------------------------


def _product_steps(c: CarrySave, factor: str) -> tuple[Step, ...]:
    """``left`` times a shared factor becomes ``product``; whatever else there is stays beside it."""
    rows = tuple(partial(_rows, c, factor, low, high) for low, high in bounds(c.factor, CHUNKS))
    return *rows, *(partial(_resolved, c, low, high) for low, high in bounds(c.left, SEGMENTS))


def _beside(v: Values, *names: str) -> Results:
    """What a step hands on besides the values of these names."""
    return {name: value for name, value in v.items() if name not in names}


def _rows(c: CarrySave, factor: str, low: int, high: int, w: Wires, v: Values) -> Results:
    """Some bits of the factor: a row of carry-save adders for each, which leaves a bit of the product."""
    left, done = v.left, [v.product] if "product" in v else []
    one, other = v.get("one", Const(0, 0)), v.get("other", Const(0, 0))
    for index in range(low, high):
        row = left & v[factor][index].replicate(c.left)
        row = w(f"row{index}", Cat(row[:-1], ~row[-1]))
        one, other = _added(row, one, other, first=index == 0)
        if index:  # a wire with a bit that is another one inverted is a loop to Verilator
            one, other = w(f"one{index}", one), w(f"other{index}", other)
        done += [one[0]] if index >= c.drop else []
        one = one[1:]
    found = _beside(v, "left", "one", "other", "product") | {"one": one, "other": other}
    found |= {"left": left} if high < c.factor else {}
    return found | ({"product": Cat(*done)} if done else {})


def _added(row: Value, one: Value, other: Value, *, first: bool) -> tuple[Value, Value]:
    """The sums and the carries of a row and of two words; the carries stand a place higher.

    With the first row comes a constant 1 beside its highest bit.
    """
    if first:
        return Cat(row[:-1], ~row[-1], row[-1]), Const(0, 0)
    if not len(other):
        return one ^ row, one & row
    one = Cat(one, Const(0, 1))
    return one ^ other ^ row, (one & other) | (one & row) | (other & row)


def _resolved(c: CarrySave, low: int, high: int, w: Wires, v: Values) -> Results:
    """A piece of the sum of the two words; behind the last the highest bit of the product is inverted."""
    bits, last = high - low, high == c.left
    one, other = v.one[:bits], v.other[:bits]
    if "carry" in v:
        total = w("total", (Cat(Const(1, 1), one) + Cat(v.carry, other))[1 : bits + 2])
    else:
        total = w("total", (one + other)[: bits + 1])
    piece = Cat(total[: bits - 1], ~total[bits - 1]) if last else total[:bits]
    product = Cat(v.get("product", Const(0, 0)), piece[max(c.drop - c.factor - low, 0) :])
    found = _beside(v, "one", "other", "product", "carry")
    found |= {} if last else {"one": v.one[bits:], "other": v.other[bits:], "carry": total[bits]}
    return found | ({"product": product} if len(product) else {})


def _moved(distance: str, low: int, high: int, w: Wires, v: Values) -> Results:
    """The product moved right by some bits of the distance."""
    by = Cat(Const(0, low), v[distance][low:high])
    return _beside(v, "product") | {"product": w("down", v.product.as_signed() >> by)}


# Scaling of a score -----------------------------------------------------------------------------------------------


def _scale_steps(a: Arithmetic) -> tuple[Step, ...]:
    product = SCALE.product(a)
    first, *rows = _product_steps(product, "multiplier")
    return (
        lambda w, v: first(w, _score(a, v)),
        *rows,
        lambda w, v: _moved("shift", SCALE_LOW, SHIFT_BITS, w, _with_room(v)),
        partial(_moved, "shift", 0, SCALE_LOW),
        partial(_rounded_low, a),
        partial(_rounded_high, a),
        partial(_cut_to_range, a),
    )


def _score(a: Arithmetic, v: Values) -> Values:
    flags = {"flag": v.score[-2], "huge": v.score[-1]} if a.nan_bit else {}
    return Values(_beside(v, "score") | {"left": v.score[: a.score_width]} | flags)


def _with_room(v: Values) -> Values:
    """One more bit below the product, which rounds."""
    return Values(v | {"product": Cat(Const(0, 1), v.product)})


def _rounded_low(a: Arithmetic, w: Wires, v: Values) -> Results:
    """The low half rounded; ``sign`` and whether it ``fits`` say of a long product what the range makes of it."""
    near, half, above = SCALE.near(a)
    word = v.product[1:]
    low = w("low", (word[:half] + v.product[0])[: half + 1])
    found = _beside(v, "product") | {"low": low[:half], "carry": low[half], "high": word[half:near]}
    return found | ({"fits": fits(word, near), "sign": word[-1]} if above else {})


def _rounded_high(a: Arithmetic, w: Wires, v: Values) -> Results:
    high = w("raised", (v.high.as_signed() + v.carry)[: len(v.high) + 1])
    return _beside(v, "low", "carry", "high") | {"whole": Cat(v.low, high)}


def _cut_to_range(a: Arithmetic, w: Wires, v: Values) -> Results:
    whole = saturated(v.whole, a.t_width)
    if "fits" in v:
        end = Cat((~v.sign).replicate(a.t_width - 1), v.sign)
        whole = Mux(v.fits, whole, end)
    flag = v.get("flag", Const(0, a.t_nan_bit))
    return scores.exponent(a, w, w("cut", whole), flag, v.get("huge", Const(0, 1)))


# Finishing of an output -------------------------------------------------------------------------------------------


def _finish_steps(a: Arithmetic) -> tuple[Step, ...]:
    product, factor = FINISH.product(a), "output_multiplier" if a.divides_first else "r"
    steps: tuple[Step, ...] = _product_steps(product, factor)
    if a.divides_first:
        first, *rows = steps
        steps = (lambda w, v: first(w, Values(_beside(v, "o") | {"left": v.o})), *rows)
    else:
        steps = (partial(_align_low, a), partial(_align_high, a), *steps)
    down = partial(_moved, "output_shift")
    return *steps, partial(down, DOWN_LOW, OUTPUT_SHIFT_BITS), partial(down, 0, DOWN_LOW), _rounded


def _align_low(a: Arithmetic, w: Wires, v: Values) -> Results:
    """The sum moved up by the low bits of the number of zeros."""
    by, width = v.r[a.gain_width : a.gain_width + ALIGN_LOW], FINISH.aligned_width(a)
    return {"o": w("moved", (sign_extend(v.o, width) << by)[:width])}


def _align_high(a: Arithmetic, w: Wires, v: Values) -> Results:
    """And by the others; a left move is left to the last shift."""
    by = Cat(Const(0, ALIGN_LOW), v.r[a.gain_width + ALIGN_LOW :])
    moved = w("moved", (sign_extend(v.o, a.moved_width) << by)[: a.moved_width])
    return {"left": moved[a.moved_width - FINISH.product(a).left :]}


def _rounded(w: Wires, v: Values) -> Results:
    """Only what is near the range is rounded; what is further away is cut whether it is or not."""
    word = v.product[1:]
    near = w("near", (word[:NEAR].as_signed() + v.product[0])[: NEAR + 1])
    inside = fits(word, NEAR) if len(word) > NEAR else Const(1, 1)
    end = Cat((~word[-1]).replicate(OUTPUT - 1), word[-1])
    return {"result": Mux(inside, saturated(near, OUTPUT), end), "saturated": ~(inside & fits(near, OUTPUT))}
