"""Fine steps of float products, sums and conversions: see :mod:`blueprint.arithmetic.softmax.float_steps`.

Every step passes on the values that it does not read.
"""

from amaranth.hdl import Cat, Const, Module, Value

from blueprint.arithmetic import products
from blueprint.arithmetic.floating import FloatFormat
from blueprint.arithmetic.softmax.arithmetic import Arithmetic
from blueprint.arithmetic.softmax.float_steps import amount_bits
from blueprint.arithmetic.softmax.steps import unit
from generator.arithmetic.columns import build, two_rows
from generator.arithmetic.floating import add, convert
from generator.arithmetic.floating.pipeline import Results, Step, Values, Wires, chain
from generator.arithmetic.floating.words import (
    fields,
    is_special,
    leading_zeros,
    locate,
    pack,
    place,
    rounded,
)
from generator.arithmetic.integers import zero_extend
from generator.arithmetic.softmax.chain import Chain, widened
from generator.arithmetic.softmax.scores import exponent


def _beside(v: Values, *names: str) -> Results:
    """All values except those of these names."""
    return {name: value for name, value in v.items() if name not in names}


def _capped(word: Value, bits: int) -> Value:
    """A distance in ``bits`` bits; one that needs more is the longest."""
    if len(word) <= bits:
        return word
    return word[:bits] | word[bits:].any().replicate(bits)


class FloatChain(Chain):
    """A chain with registers at given places, whose carries pass networks of prefixes."""

    def __init__(
        self,
        place: str,
        name: str,
        operands: dict[str, int],
        result: int,
        steps: tuple[Step, ...],
        places: tuple[int, ...],
    ) -> None:
        self.place, self._places = place, places
        super().__init__(name, operands, result, steps, len(places))

    def places(self) -> list[int]:
        return list(self._places)

    def wires(self, m: Module, number: int) -> Wires:
        return Wires(m, f"step{number}_", quick=True)


# Products ---------------------------------------------------------------------------------------------------------


def product_steps(
    fmt: FloatFormat, zeros: tuple[int, int], signs: tuple[bool, bool] = (True, True)
) -> tuple[Step, ...]:
    """Steps from ``a`` and ``b`` to ``product``, words without the ``zeros`` that their fractions end with.

    Words without ``signs`` are never negative.
    """
    e, f = fmt.exponent_bits, fmt.fraction_bits
    plan = products.plan_of(*(f + 1 - zero for zero in zeros))
    lowest, highest = 3 - fmt.bias, 2 * (2**e - 1) - fmt.bias + 1

    def rows(w: Wires, v: Values) -> Results:
        a, b = (
            Cat(Const(0, low), word, Const(0, 1 - signed))
            for word, low, signed in zip((v.a, v.b), zeros, signs, strict=True)
        )
        (exponent_a, x), (exponent_b, y) = fields(fmt, a, False), fields(fmt, b, False)
        (infinite_a, nan_a), (infinite_b, nan_b) = is_special(fmt, a), is_special(fmt, b)
        x, y = w("x", x[zeros[0] :]), w("y", y[zeros[1] :])
        total = zero_extend(exponent_a, e + 2) + zero_extend(exponent_b, e + 2)
        infinite = w("infinite", infinite_a | infinite_b)
        zero = ~x.any() | ~y.any()
        bits = build(w.m, plan, [x & bit.replicate(len(x)) for bit in y], name=f"{w.prefix}product")
        return _beside(v, "a", "b") | {
            "product": w("rows", Cat(bits[number] for column in plan.left for number in column)),
            "exponent": w("exponent", (total - Const(fmt.bias - 1, e + 2))[: e + 2]),
            "sign": w("sign", a[-1] ^ b[-1]) if any(signs) else Const(0, 1),
            "special": infinite,
            "nan": w("nan", nan_a | nan_b | (infinite & zero)),
        }

    def joined(w: Wires, v: Values) -> Results:
        given = dict(zip((n for column in plan.left for n in column), v.product, strict=True))
        left, right = two_rows(plan, given)
        total = w("total", w.added("joining", left, right, plan.width)[: plan.width])
        return _beside(v, "product") | {"product": total}

    def located(w: Wires, v: Values) -> Results:
        word = Cat(Const(0, sum(zeros)), v.product)[f:]
        found = Values(locate(w, fmt, word, v.exponent, lowest, highest, f + 1, False))
        amount = _capped(found.amount, amount_bits(f + 1, lowest, f + 2))
        return _beside(v, "exponent") | {"amount": w("moved_by", amount), "base": found.base}

    def placed(w: Wires, v: Values) -> Results:
        word = Cat(Const(0, sum(zeros)), v.product)
        return _beside(v, "product", "amount") | place(w, fmt, word, v.amount, f + 1)

    def last(w: Wires, v: Values) -> Results:
        found = Values(_round(fmt, w, v, v.special))
        return found | {"product": w("rounded_word", found.product[: fmt.width - 1 + any(signs)])}

    return rows, joined, located, placed, last


def _round(fmt: FloatFormat, w: Wires, v: Values, special: Value) -> Results:
    magnitude = rounded(w, fmt, v.base, v.significand, v.guard, v.sticky)
    names = ("base", "significand", "guard", "sticky", "sign", "special", "nan")
    return _beside(v, *names) | {"product": pack(w, fmt, magnitude, v.sign, special, v.nan)}


# Sums -------------------------------------------------------------------------------------------------------------


def sum_chain(a: Arithmetic, place: str, places: tuple[int, ...]) -> FloatChain:
    """A block that adds two floats, with registers at given places."""
    fmt = a.sum_format
    name, operands = f"softmax_sum_{fmt.name}{_at(places)}", dict.fromkeys("ab", fmt.width)
    return FloatChain(place, name, operands, fmt.width, add.steps(fmt), places)


def widen_step(a: Arithmetic, *names: str) -> Step:
    """An input of each of these names in the format of the sums, without the zeros below its fraction."""

    def step(w: Wires, v: Values) -> Results:
        found = {name: _widened(Wires(w.m, f"{w.prefix}{name}_"), a, v[name]) for name in names}
        return v | {name: w(f"wide_{name}", word) for name, word in found.items()}

    return step


def _widened(w: Wires, a: Arithmetic, word: Value) -> Value:
    """An input in the format of the sums, which has all of its numbers: nothing is rounded."""
    fmt, target = a.input_format, a.sum_format
    f, e = fmt.fraction_bits, target.exponent_bits
    if fmt.exponent_bits == e:
        return widened(w, a, word)[target.fraction_bits - f :]
    field, significand = fields(fmt, word, False)
    infinite, nan = is_special(fmt, word)
    special = infinite | nan
    count, none = leading_zeros(significand)
    zeros = w("zeros", Cat(*count))
    moved = w("moved", (significand << zeros)[:f]) & (~special).replicate(f)
    offset = Const(target.bias - fmt.bias, e)
    exponent = w("exponent", (zero_extend(field, e) + offset - zero_extend(zeros, e))[:e])
    exponent = (exponent & (~none).replicate(e)) | special.replicate(e)
    return Cat(moved[:-1], moved[-1] | nan, exponent, word[-1] & ~nan)


# Conversions ------------------------------------------------------------------------------------------------------


def narrow_steps(a: Arithmetic) -> tuple[Step, ...]:
    """Steps from ``product``, a float sum or the FP32 quotient of a fixed-point one, to an output ``result``."""
    source, target = a.sum_format, a.input_format

    def passed(w: Wires, v: Values) -> Results:
        return v

    if source.exponent_bits == target.exponent_bits:
        steps = convert.steps(source, target) if source != target else ()
        return passed, passed, lambda w, v: {"result": chain(w, steps, result=v.product, a=v.product)}
    unpack, count, shift, finish = convert.steps(source, target)
    f, offset = target.fraction_bits, target.bias - source.bias
    bits = amount_bits(source.fraction_bits, 1 + offset, f + 2)

    def counted(w: Wires, v: Values) -> Results:
        found = Values(count(w, Values(unpack(w, Values(a=v.product)))))
        return _beside(found, "subnormal", "amount") | {"amount": w("moved_by", _capped(found.amount, bits))}

    def placed(w: Wires, v: Values) -> Results:
        return _beside(Values(shift(w, Values(v | {"subnormal": Const(0, 1)}))), "subnormal")

    return counted, placed, finish


def fixed_steps(a: Arithmetic) -> tuple[Step, ...]:
    """Steps from the fixed-point sum ``o`` to the float ``product``."""
    fmt = a.input_format if a.divides_first else a.sum_format
    source, width, f = unit(a.value_fraction), a.o_width, fmt.fraction_bits
    field = fmt.bias + width - source.bias - source.fraction_bits
    left = max(min(width - 1, field - 1), 0)
    bits = amount_bits(left, field, f + 2)

    def magnitude(w: Wires, v: Values) -> Results:
        found = Values(convert.magnitude(field, w, Values(a=v.o[:width])))
        return _beside(v, "o") | {"word": found.word, "sign": found.sign, "nan": v.o[-1]}

    def counted(w: Wires, v: Values) -> Results:
        exponent = Const(field, field.bit_length() + 1)
        found = Values(locate(w, fmt, v.word, exponent, field, field, left, False))
        return v | {"amount": w("moved_by", _capped(found.amount, bits)), "base": found.base}

    def placed(w: Wires, v: Values) -> Results:
        return _beside(v, "word", "amount") | place(w, fmt, v.word, v.amount, left)

    def last(w: Wires, v: Values) -> Results:
        return _round(fmt, w, v, Const(0, 1))

    return magnitude, counted, placed, last


def exponent_steps(a: Arithmetic) -> tuple[Step, ...]:
    """Steps from the float ``product`` to an exponent of two; ``infinite`` says that the score is."""
    fmt, width = a.sum_format, a.t_width
    distance, shift, finish = convert.to_integer_steps(fmt, width)

    def far(w: Wires, v: Values) -> Results:
        flag = w("flag", v.product[: fmt.width - 1] > fmt.exponent_mask)
        return distance(w, Values(a=v.product)) | {"infinite": v.infinite, "flag": flag}

    def placed(w: Wires, v: Values) -> Results:
        return shift(w, v) | v.keep("infinite", "flag")

    def whole(w: Wires, v: Values) -> Results:
        return {"whole": Values(finish(w, v)).result} | v.keep("infinite", "flag")

    def cut(w: Wires, v: Values) -> Results:
        return exponent(a, w, v.whole, v.flag, v.infinite)

    return far, placed, whole, cut


def scale_steps(a: Arithmetic) -> tuple[Step, ...]:
    """Steps from the float ``score`` and ``multiplier`` to an exponent of two."""
    fmt = a.sum_format
    first, *others = product_steps(fmt, (0, 0))

    def begun(w: Wires, v: Values) -> Results:
        infinite = w("score_infinite", is_special(fmt, v.score)[0])
        return first(w, Values(a=v.score, b=v.multiplier)) | {"infinite": infinite}

    return begun, *others, *exponent_steps(a)


def finish_steps(a: Arithmetic) -> tuple[Step, ...]:
    """Steps from the sum ``o``, and the reciprocal ``r`` where it is divided last, to an output."""
    steps: list[Step] = list(fixed_steps(a)) if a.exact else []
    name = "product" if a.exact else "o"
    if a.divides_last:
        fmt = a.sum_format
        first, *others = product_steps(fmt, (0, fmt.fraction_bits - a.divisor_fraction), (True, False))
        steps += [lambda w, v: first(w, Values(a=v[name], b=v.r)), *others]
    elif a.exact:
        *steps, last = steps
        return *steps, lambda w, v: {"result": Values(last(w, v)).product}
    begin, *rest = narrow_steps(a)
    if not steps:
        return lambda w, v: begin(w, Values(product=v.o)), *rest
    return *steps, begin, *rest


def share_steps(a: Arithmetic) -> tuple[Step, ...]:
    """Steps from a weight ``p`` and a reciprocal ``r`` to a share."""
    fmt = a.sum_format
    return _multiplied(
        product_steps(fmt, (0, fmt.fraction_bits - a.divisor_fraction), (False, False)), "p", "r"
    )


def value_steps(a: Arithmetic) -> tuple[Step, ...]:
    """Steps from a weight ``p`` and a value ``v`` to their product."""
    multiply = product_steps(a.sum_format, (0, a.sum_fraction - a.in_fraction), (False, True))
    return widen_step(a, "v"), *_multiplied(multiply, "p", "v")


def score_product(a: Arithmetic, place: str, places: tuple[int, ...]) -> FloatChain:
    """A block that multiplies an element of a query by one of a key, with registers at given places."""
    multiply = product_steps(a.sum_format, (a.sum_fraction - a.in_fraction,) * 2)
    steps = (widen_step(a, "q", "k"), *_multiplied(multiply, "q", "k"))
    name = f"softmax_product_{a.input_format.name}_{a.sum_format.name}{_at(places)}"
    return FloatChain(place, name, dict.fromkeys("qk", a.in_width), a.float_width, steps, places)


def _multiplied(steps: tuple[Step, ...], left: str, right: str) -> tuple[Step, ...]:
    """The steps of a product, from operands of these names to ``result``."""
    first, *middle, last = steps
    return (
        lambda w, v: first(w, Values(a=v[left], b=v[right])),
        *middle,
        lambda w, v: {"result": Values(last(w, v)).product},
    )


def _at(places: tuple[int, ...]) -> str:
    return "_at" + "".join(f"_{place}" for place in places)
