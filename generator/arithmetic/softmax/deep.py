"""Blocks of short steps with registers in between: scaling of a score and finishing of an output."""

from functools import partial

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.softmax.arithmetic import OUTPUT_SHIFT_BITS, SHIFT_BITS, Arithmetic
from blueprint.arithmetic.softmax.deep import (
    ALIGN_LOW,
    CHUNKS,
    DEEP,
    DOWN_LOW,
    FINE_FINISH,
    FINE_SCALE,
    FINISH,
    NEAR,
    SCALE,
    SCALE_LOW,
    SEGMENTS,
    CarrySave,
    bounds,
)
from generator.arithmetic.floating.pipeline import Results, Step, Values, Wires
from generator.arithmetic.integers import sign_extend
from generator.arithmetic.softmax import floats, output, scores
from generator.arithmetic.softmax.chain import Chain, fits, saturated
from generator.cells.skew import delay_line

#: Bits of an output that is an integer.
OUTPUT = 8


def skewed(m: Module, a: Arithmetic, place: str, operand: str, cuts: int, value: Value) -> Value:
    """Delay a shared operand of blocks with ``cuts`` registers: every piece arrives with the step that reads it."""
    if not cuts or not len(value):
        return value
    steps = DEEP[place].of(a, cuts)
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
    """Base of the blocks. Pieces of ``shared`` operands must arrive with the steps that read them."""

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
        self.arithmetic = a
        operands = {name: width for name, width in own.items() if name not in shared}
        static = {name: width for name, width in own.items() if name in shared}
        name, result = f"{plain.module_name}_deep", len(plain.result)
        super().__init__(name, operands, result, steps, cuts, static, flags)

    def places(self) -> list[int]:
        return DEEP[self.place].of(self.arithmetic, self.stages).cuts(self.stages)

    def wires(self, m: Module, number: int) -> Wires:
        return Wires(m, f"step{number}_", quick=bool(self.arithmetic.is_float) and len(self.steps) > 3)


class DeepScale(_Deep):
    """Turns a score into an exponent of two, like `ScaleScore`."""

    place = "scale"

    def __init__(self, a: Arithmetic, cuts: int) -> None:
        plain = scores.ScaleScore(a)
        steps: tuple[Step, ...] = plain.steps
        if not a.sums_are_floats:
            steps = _scale_steps(a)
        elif cuts >= FINE_SCALE:
            steps = floats.scale_steps(a)
        super().__init__(a, plain, steps, cuts, ("multiplier", "shift"))


class DeepFinish(_Deep):
    """Rounds a sum of weighted values to an output, like `Finish`."""

    place = "finish"

    def __init__(self, a: Arithmetic, cuts: int) -> None:
        plain = output.Finish(a)
        steps: tuple[Step, ...] = plain.steps
        if not a.is_float:
            steps = _finish_steps(a)
        elif cuts >= FINE_FINISH:
            steps = floats.finish_steps(a)
        super().__init__(a, plain, steps, cuts, ("r", "output_multiplier", "output_shift"))


# Products ---------------------------------------------------------------------------------------------------------


def _product_steps(c: CarrySave, factor: str) -> tuple[Step, ...]:
    """Multiply ``left`` by a shared factor into ``product``; all other values are passed on."""
    rows = tuple(partial(_rows, c, factor, low, high) for low, high in bounds(c.factor, CHUNKS))
    return *rows, *(partial(_resolved, c, low, high) for low, high in bounds(c.left, SEGMENTS))


def _beside(v: Values, *names: str) -> Results:
    """All values except those of these names, for a step to pass on."""
    return {name: value for name, value in v.items() if name not in names}


def _rows(c: CarrySave, factor: str, low: int, high: int, w: Wires, v: Values) -> Results:
    """Add a carry-save row for each of some bits of the factor; each row completes one bit of the product."""
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
    """The sums and the carries of a row and two words; the carries have the next higher weight.

    The first row has a constant 1 beside its highest bit.
    """
    if first:
        return Cat(row[:-1], ~row[-1], row[-1]), Const(0, 0)
    if not len(other):
        return one ^ row, one & row
    one = Cat(one, Const(0, 1))
    return one ^ other ^ row, (one & other) | (one & row) | (other & row)


def _resolved(c: CarrySave, low: int, high: int, w: Wires, v: Values) -> Results:
    """Add a piece of the two words; the last piece inverts the highest bit of the product."""
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
    """Shift the product right by some bits of the distance."""
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
    """Append one more bit below the product, by which it is rounded."""
    return Values(v | {"product": Cat(Const(0, 1), v.product)})


def _rounded_low(a: Arithmetic, w: Wires, v: Values) -> Results:
    """Round the low half. ``fits`` and ``sign`` of a long product say whether it saturates, and to which end."""
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
    """Shift the sum up by the low bits of the number of leading zeros."""
    by, width = v.r[a.gain_width : a.gain_width + ALIGN_LOW], FINISH.aligned_width(a)
    return {"o": w("moved", (sign_extend(v.o, width) << by)[:width])}


def _align_high(a: Arithmetic, w: Wires, v: Values) -> Results:
    """Shift the sum up by the other bits; where it would have to move further, the last shift is shorter instead."""
    by = Cat(Const(0, ALIGN_LOW), v.r[a.gain_width + ALIGN_LOW :])
    moved = w("moved", (sign_extend(v.o, a.moved_width) << by)[: a.moved_width])
    return {"left": moved[a.moved_width - FINISH.product(a).left :]}


def _rounded(w: Wires, v: Values) -> Results:
    """Round only numbers near the range; others saturate whether they are rounded or not."""
    word = v.product[1:]
    near = w("near", (word[:NEAR].as_signed() + v.product[0])[: NEAR + 1])
    inside = fits(word, NEAR) if len(word) > NEAR else Const(1, 1)
    end = Cat((~word[-1]).replicate(OUTPUT - 1), word[-1])
    return {"result": Mux(inside, saturated(near, OUTPUT), end), "saturated": ~(inside & fits(near, OUTPUT))}
