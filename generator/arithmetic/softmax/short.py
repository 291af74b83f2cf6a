"""Blocks of short steps between the score and the share: see :mod:`blueprint.arithmetic.softmax.short`."""

import itertools
from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In

from blueprint.arithmetic.floating import ADD_DELAYS
from blueprint.arithmetic.softmax import float_steps, short
from blueprint.arithmetic.softmax.arithmetic import (
    OUTPUT_MULTIPLIER_BITS,
    SCORE_FRACTION,
    SCORE_WHOLE,
    Arithmetic,
)
from blueprint.arithmetic.softmax.deep import Steps
from blueprint.arithmetic.softmax.exponential import GUARD, Polynomial, polynomial
from blueprint.arithmetic.softmax.short import (
    ALIGN_LOW,
    FINE_FLOAT_PARTS,
    FINE_PARTS,
    FINE_POWER,
    FINE_PRODUCT,
    FINE_SHARE,
    FLOAT_PARTS,
    LEVELS,
    SHARE_PARTS,
    SHORT,
    Parts,
    products,
)
from blueprint.numbers import bit_length
from generator.arithmetic.floating.pipeline import Results, Step, Values, Wires
from generator.arithmetic.floating.words import leading_zeros, subtract
from generator.arithmetic.integers import sign_extend, zero_extend
from generator.arithmetic.polynomial import column
from generator.arithmetic.softmax import division, floats, scores, sums, weights
from generator.arithmetic.softmax.chain import Chain, capped, negated, resized, unpacked
from generator.arithmetic.softmax.floats import FloatChain
from generator.block import drive, register
from generator.layout import elements

_SCORE, _RECIPROCAL, _PRODUCT, _NORMALIZE = (
    short.ShortScoreBeat(),
    short.ShortReciprocal(),
    short.ShortProduct(),
    short.ShortNormalize(),
)


class _Short(Chain):
    """Base of the blocks: the ports of the ``plain`` one, and shorter steps."""

    def __init__(self, a: Arithmetic, plain: Chain, steps: tuple[Step, ...], stages: int) -> None:
        self.arithmetic = a
        own = {
            name: Shape.cast(member.shape).width
            for name, member in plain.ports.items()
            if member.flow == In and name not in ("clk", "enable")
        }
        static = {name: width for name, width in own.items() if name not in plain.operands}
        operands = {name: own[name] for name in plain.operands}
        name = f"{plain.module_name}_short"
        super().__init__(name, operands, len(plain.result), steps, stages, static)

    @property
    def described(self) -> Steps:
        """What the blueprint says of the steps."""
        return SHORT[self.place].of(self.arithmetic, self.stages)

    def places(self) -> list[int]:
        return self.described.cuts(self.stages)

    def wires(self, m: Module, number: int) -> Wires:
        a, fine = self.arithmetic, {"exp2": FINE_POWER, "product": FINE_PRODUCT}
        if self.place == "exp2" or (self.place == "product" and a.exact):
            quick = self.stages >= fine[self.place]
        else:
            quick = self.place == "normalize" or a.sums_are_floats == 1
        return Wires(m, f"step{number}_", quick=quick)


class ShortScoreBeat(_Short):
    """The product of a query and a key, like `ScoreBeat`."""

    place = "score_beat"

    def __init__(self, a: Arithmetic, stages: int = 0) -> None:
        super().__init__(a, scores.ScoreBeat(a), () if a.sums_are_floats else _score_steps(a), stages)

    def elaborate(self, platform: Any) -> Module:
        return self._float_tree() if self.arithmetic.sums_are_floats else super().elaborate(platform)

    def _float_tree(self) -> Module:
        """Products and levels of adders of float sums, each a block with the registers that stand in it."""
        m, a = self.module(), self.arithmetic
        cuts, begin = self.places(), len(float_steps.PRODUCT) + 1

        def inside(first: int, after: int) -> tuple[int, ...]:
            return tuple(place - first for place in cuts if first < place <= after)

        def built(block: FloatChain, name: str, **given: Value) -> Value:
            found = Signal(a.float_width, name=name)
            clocked = {"enable": self.enable} if block.stages else {}
            self.use(m, block, f"{name}_block", result=found, **clocked, **given)
            return found

        multiply = floats.score_product(a, self.place, inside(0, begin))
        pairs = zip(_lanes(self.q, a.lanes), _lanes(self.k, a.lanes), strict=True)
        words = [built(multiply, f"product{n}", q=q, k=k) for n, (q, k) in enumerate(pairs)]
        for level in itertools.count():
            if len(words) == 1:
                break
            places = inside(begin, begin + len(ADD_DELAYS))
            begin += len(ADD_DELAYS)
            block = floats.sum_chain(a, self.place, places)
            rest = words[len(words) & ~1 :]
            for stage, _ in enumerate(places):
                rest = [register(m, len(word), f"waiting{level}_{stage}", self.enable, word) for word in rest]
            words = [
                *(
                    built(block, f"sum{level}_{number}", a=x, b=y)
                    for number, (x, y) in enumerate(zip(words[::2], words[1::2], strict=False))
                ),
                *rest,
            ]
        drive(m, self.result, words[0])
        return m


class ShortExp2(_Short):
    """A weight, like `Exp2`."""

    place = "exp2"

    def __init__(self, a: Arithmetic, stages: int = 0) -> None:
        super().__init__(a, weights.Exp2(a), _power_steps(a, stages >= FINE_POWER), stages)


class ShortReciprocal(_Short):
    """The reciprocal of the sum of the weights, like `Reciprocal`."""

    place = "reciprocal"

    def __init__(self, a: Arithmetic, stages: int = 0) -> None:
        plain = division.Reciprocal(a)
        rows = plain.steps[1:-1]
        begin: tuple[Step, ...] = plain.steps[:1]
        if not a.sums_are_floats:
            begin = (partial(_counted, a), partial(_divisor, a), _remainder_of(a))
        super().__init__(a, plain, (*begin, *rows, *_pack_steps(a)), stages)


# Products ---------------------------------------------------------------------------------------------------------


def _words(c: Parts, level: int, word: Value) -> list[Value]:
    """The words of a product after the step of a level."""
    covered = c.levels[level]
    lost, last = c.lost(covered), len(covered) - 1
    widths = [
        c.left + high - low - lost * (number == 0) - c.top * (number == last)
        for number, (low, high) in enumerate(covered)
    ]
    found, place = [], 0
    for width in widths:
        found.append(word[place : place + width])
        place += width
    return found


def _partial(c: Parts, w: Wires, name: str, left: Value, factor: Value, signs: tuple[bool, bool]) -> Value:
    """The partial products, side by side; ``signs`` says which of the factors are signed."""
    covered = c.levels[0]
    found = []
    for number, (low, high) in enumerate(covered):
        ends = number == len(covered) - 1
        one = left.as_signed() if signs[0] else left
        other = factor[low:high].as_signed() if signs[1] and ends else factor[low:high]
        if w.quick and high - low == 2 and not any(signs):
            gated = [left & bit.replicate(len(left)) for bit in (other[0], other[1])]
            total = w.added(f"{name}row{number}", gated[0], Cat(Const(0, 1), gated[1]), c.left + 2)
        else:
            total = one * other
        word = w(f"{name}part{number}", total[: c.left + high - low])
        lost, top = c.lost(covered) * (number == 0), c.top * ends
        found.append(word[lost : len(word) - top])
    return Cat(*found)


def _joined(c: Parts, level: int, w: Wires, name: str, word: Value, signed: bool) -> Value:
    """The words after a level of adders; ``signed`` is true where the left factor is."""
    words, covered, after = _words(c, level - 1, word), c.levels[level - 1], c.levels[level]
    lost = c.lost(covered)
    found = []
    for number in range(0, len(words) - 1, 2):
        (low, _), (middle, high) = covered[number : number + 2]
        place = middle - low - lost * (number == 0)
        bits = c.left + high - middle - c.top * (high == c.factor)
        above, other = words[number][place:], words[number + 1]
        above = sign_extend(above, bits) if signed else zero_extend(above, bits)
        total = w(f"{name}joined{number}", w.added(f"{name}sum{number}", above, other, bits)[:bits])
        found.append(Cat(words[number][:place], total))
    found += words[len(words) & ~1 :]
    found[0] = found[0][c.lost(after) - lost :]
    return Cat(*found)


def _join_steps(c: Parts, signed: bool) -> tuple[Step, ...]:
    """Add the words of ``product``; all other values are passed on."""

    def step(level: int, w: Wires, v: Values) -> Results:
        return {**v, "product": _joined(c, level, w, "", v.product, signed)}

    return tuple(partial(step, level) for level in range(1, len(c.levels)))


def _without(v: Values, *names: str) -> Results:
    """All values except those of these names, for a step to pass on."""
    return {name: value for name, value in v.items() if name not in names}


# Scores -----------------------------------------------------------------------------------------------------------


def _score_steps(a: Arithmetic) -> tuple[Step, ...]:
    product = _SCORE.product(a)
    multiply, add = (partial(_score_parts, a, product), partial(_score_products, a, product))
    placed = (partial(_score_moved, a), partial(_score_signed, a)) if a.exact else ()
    count = next(n for n in range(1, LEVELS + 1) if a.lanes <= 1 << n)
    levels = tuple(partial(_score_level, a, level, level == count) for level in range(1, count + 1))
    return (multiply, add, *placed, *levels)


def _lanes(word: Value, lanes: int) -> list[Value]:
    return elements(ArrayLayout(len(word) // lanes, lanes)(word))


def _score_parts(a: Arithmetic, c: Parts, w: Wires, v: Values) -> Results:
    """The partial products of all elements; of floats also what their exponents say."""
    pairs = zip(_lanes(v.q, a.lanes), _lanes(v.k, a.lanes), strict=True)
    if not a.is_float:
        found = [_partial(c, w, f"lane{n}_", q, k, (True, True)) for n, (q, k) in enumerate(pairs)]
        return {"products": Cat(*found)}
    fmt = a.input_format
    bits = fmt.exponent_bits + 2
    highest = Const(SCORE_WHOLE - 2 + 2 * fmt.bias, bits)
    found, beside = [], []
    for number, (q, k) in enumerate(pairs):
        query, key = unpacked(fmt, q), unpacked(fmt, k)
        name = f"lane{number}_"
        found.append(_partial(c, w, name, query.significand, key.significand, (False, False)))
        total = (zero_extend(query.exponent, bits) + zero_extend(key.exponent, bits))[:bits]
        distance = w(f"{name}distance", subtract(highest, total, bits))
        beside.append((distance, query.sign ^ key.sign, query.special | key.special))
    distances, signs, broken = (Cat(*each) for each in zip(*beside, strict=True))
    return {"products": Cat(*found), "distance": distances, "sign": signs, "broken": broken}


def _score_products(a: Arithmetic, c: Parts, w: Wires, v: Values) -> Results:
    found = [
        _joined(c, 1, w, f"lane{n}_", word, not a.is_float)
        for n, word in enumerate(_lanes(v.products, a.lanes))
    ]
    if not a.is_float:
        return {"products": Cat(*(w(f"product{n}", word) for n, word in enumerate(found)))}
    distances = _lanes(v.distance, a.lanes)
    bits = bit_length(SCORE_FRACTION + SCORE_WHOLE)
    return {
        "products": Cat(*found),
        "amount": Cat(*(capped(each[:-1], bits) for each in distances)),
        "over": Cat(*(each[-1] for each in distances)),
        **v.keep("sign", "broken"),
    }


def _score_moved(a: Arithmetic, w: Wires, v: Values) -> Results:
    """The magnitudes of the products at their place."""
    low = SCORE_WHOLE - 2 - 2 * a.input_format.fraction_bits + SCORE_FRACTION
    found, wide = [], []
    for number, (word, amount) in enumerate(
        zip(_lanes(v.products, a.lanes), _lanes(v.amount, a.lanes), strict=True)
    ):
        huge = w(f"huge{number}", v.over[number] & word.any())
        moved = Cat(Const(0, low), word) >> amount
        found.append(w(f"magnitude{number}", moved | huge.replicate(len(moved))))
        wide.append(huge & ~v.broken[number])
    return {"products": Cat(*found), "sign": v.sign, "flag": v.broken.any(), "huge": Cat(*wide).any()}


def _score_signed(a: Arithmetic, w: Wires, v: Values) -> Results:
    found = [
        w(f"signed{n}", negated(word, v.sign[n], len(word) + 1))
        for n, word in enumerate(_lanes(v.products, a.lanes))
    ]
    return {"products": Cat(*found), **v.keep("flag", "huge")}


def _score_level(a: Arithmetic, level: int, last: bool, w: Wires, v: Values) -> Results:
    """One level of the tree of adders; neighbors first, and an odd word waits."""
    grown = [0] * a.lanes
    for _ in range(1, level):
        pairs = [max(one, other) + 1 for one, other in zip(grown[::2], grown[1::2], strict=False)]
        grown = pairs + grown[len(grown) & ~1 :]
    words, place = [], 0
    for more in grown:
        words.append(v.products[place : place + a.product_width + more])
        place += a.product_width + more
    pairs = [
        w(f"pair{number}", (one.as_signed() + other.as_signed()).as_unsigned())
        for number, (one, other) in enumerate(zip(words[::2], words[1::2], strict=False))
    ]
    words = pairs + words[len(words) & ~1 :]
    flags = v.keep("flag", "huge")
    if not last:
        return {"products": Cat(*words), **flags}
    return {"result": Cat(sign_extend(words[0], a.beat_width), *flags.values())}


# Powers of two ----------------------------------------------------------------------------------------------------


def _power_steps(a: Arithmetic, fine: bool) -> tuple[Step, ...]:
    poly = polynomial(a.fraction, a.mantissa)
    steps: list[Step] = [partial(weights.difference, a)]
    top = len(poly.coefficients) - 1
    for number, product in enumerate(products(poly, fine)):
        power = top - number
        steps.append(partial(_power_parts, poly, product, power))
        steps += _join_steps(product, signed=False)
        steps.append(partial(_power_sum, a, poly, power - 1))
    if not top:
        steps.append(partial(_power_sum, a, poly, 0))
    return (*steps, partial(_power_moved, a), partial(_power_rounded, a))


def _power_parts(poly: Polynomial, c: Parts, power: int, w: Wires, v: Values) -> Results:
    """The partial products of the sum so far, or of the highest coefficient, and the position in the segment."""
    left = v.total if "total" in v else column(w, poly, power, v.f)
    product = _partial(c, w, "", left, v.f[: poly.u_bits], (False, False))
    found = {"product": product} | v.keep("amount", "flag")
    # Without another product only the segment is still asked.
    return found | ({"f": v.f} if power > 1 else {"segment": v.f[poly.u_bits :]})


def _power_sum(a: Arithmetic, poly: Polynomial, power: int, w: Wires, v: Values) -> Results:
    """Add a coefficient; the last sum is that of the mantissa, without the bits that no shift keeps."""
    f = v.f if "f" in v else Cat(Const(0, poly.u_bits), v.segment)
    total = column(w, poly, power, f)
    if "product" in v:
        total = total + v.product
    total = w("total", zero_extend(total, poly.sum_widths[power]))
    found = v.keep("amount", "flag")
    if power:
        return found | {"total": total, "f": v.f}
    mantissa = total[GUARD : poly.scale]
    if poly.reaches_two:
        mantissa = mantissa | total[-1].replicate(len(mantissa))
    return found | {"mantissa": mantissa[weights.lost_bits(a) :]}


def _power_moved(a: Arithmetic, w: Wires, v: Values) -> Results:
    if a.sums_are_floats:
        return weights.placed(a, w, v)
    frame = resized(Cat(v.mantissa, Const(1, 1)), a.weight_fraction - len(v.mantissa) + 1)
    return {"moved": w("moved", frame >> v.amount)} | v.keep("flag")


def _power_rounded(a: Arithmetic, w: Wires, v: Values) -> Results:
    if a.sums_are_floats:
        return v
    rounded = w("rounded", (v.moved[1:] + v.moved[0])[: a.p_width])
    return {"result": Cat(rounded, *v.keep("flag").values())}


# Division ---------------------------------------------------------------------------------------------------------


def _counted(a: Arithmetic, w: Wires, v: Values) -> Results:
    """The zeros above the leading one; the highest bit of a sum is no part of the fraction of its divisor."""
    count, none = leading_zeros(v.total)
    return {
        "total": v.total[:-1],
        "none": none,
        "exponent": w("zeros", zero_extend(Cat(*count), a.zeros_width)),
    }


def _divisor(a: Arithmetic, w: Wires, v: Values) -> Results:
    moved = w("divisor", (v.total << v.exponent)[: a.l_width - 1])
    return {"fraction": moved[a.l_width - 1 - a.divisor_bits :], **v.keep("none", "exponent")}


def _remainder_of(a: Arithmetic) -> Step:
    return lambda w, v: v | division.remainder(a, w, v.fraction)


def _pack_steps(a: Arithmetic) -> tuple[Step, ...]:
    if not a.has_gain:
        return (partial(division.pack, a),)
    product = _RECIPROCAL.gain(a)

    def quotient(w: Wires, v: Values) -> Results:
        whole = Cat(v.quotient, ~v.exact, v.exact) & (~v.none).replicate(a.q_width)
        return {"quotient": w("whole", whole), "exponent": v.exponent}

    def multiplied(w: Wires, v: Values) -> Results:
        factor = v.output_multiplier[:OUTPUT_MULTIPLIER_BITS]
        words = _partial(product, w, "", v.quotient, factor, (False, False))
        return {"product": words, "exponent": v.exponent}

    *joins, last = _join_steps(product, signed=False)

    def packed(w: Wires, v: Values) -> Results:
        found = Values(last(w, v))
        return {"result": Cat(found.product, found.exponent)}

    return quotient, multiplied, *joins, packed


class ShortNormalize(_Short):
    """Divides a weight by the sum of the weights, like `Normalize`."""

    place = "normalize"

    def __init__(self, a: Arithmetic, stages: int = 0) -> None:
        plain = division.Normalize(a)
        count = SHARE_PARTS if stages < FINE_SHARE else FINE_PARTS
        steps = floats.share_steps(a) if a.sums_are_floats else _share_steps(a, count)
        super().__init__(a, plain, steps, stages)


def _share_steps(a: Arithmetic, count: int) -> tuple[Step, ...]:
    product = _NORMALIZE.product(a, count)
    joins = _join_steps(product, signed=False)
    return (
        partial(_share_near, a),
        partial(_share_moved, a),
        lambda w, v: (
            _without(v, "moved", "q") | {"product": _partial(product, w, "", v.moved, v.q, (False, False))}
        ),
        *joins,
        partial(_share_rounded, a),
    )


def _share_near(a: Arithmetic, w: Wires, v: Values) -> Results:
    """Move the weight up by the low bits of the number of leading zeros."""
    zeros = v.r[a.gain_width :]
    moved = w("near", (v.p[: a.p_width] << zeros[:ALIGN_LOW])[: _NORMALIZE.near_width(a)])
    found = {"moved": moved, "q": v.r[: a.q_width], "high": zeros[ALIGN_LOW:]}
    return found | ({"flag": v.p[-1]} if a.nan_bit else {})


def _share_moved(a: Arithmetic, w: Wires, v: Values) -> Results:
    by = Cat(Const(0, ALIGN_LOW), v.high)
    moved = w("far", (zero_extend(v.moved, a.l_width) << by)[: a.l_width])
    return {"moved": moved[a.align_drop :], "q": v.q, **v.keep("flag")}


def _share_rounded(a: Arithmetic, w: Wires, v: Values) -> Results:
    rounded = w("rounded", (v.product[1:] + v.product[0])[: a.p_width])
    return {"result": Cat(rounded, *v.keep("flag").values())}


class ShortProduct(_Short):
    """Multiplies a value by its weight, like `Product`."""

    place = "product"

    def __init__(self, a: Arithmetic, stages: int = 0) -> None:
        plain = sums.Product(a)
        count = FLOAT_PARTS if stages < FINE_PRODUCT else FINE_FLOAT_PARTS
        steps = floats.value_steps(a) if a.sums_are_floats else _value_steps(a, count)
        super().__init__(a, plain, steps, stages)


def _value_steps(a: Arithmetic, count: int) -> tuple[Step, ...]:
    if not a.is_float:
        product = _PRODUCT.product(a, a.element_width)
        *joins, last = _join_steps(product, signed=False)
        return (
            lambda w, v: {"product": _partial(product, w, "", v.p, v.v, (False, True))},
            *joins,
            lambda w, v: {"result": Values(last(w, v)).product},
        )
    product = _PRODUCT.fraction(a, count)
    *joins, last = _join_steps(product, signed=False)
    return (
        partial(_value_parts, a, product),
        *joins,
        lambda w, v: _value_distance(a, w, Values(last(w, v))),
        partial(_value_moved, a),
        partial(_value_signed, a),
    )


def _value_parts(a: Arithmetic, c: Parts, w: Wires, v: Values) -> Results:
    factor = unpacked(a.input_format, v.v)
    words = _partial(c, w, "", v.p[: a.p_width], factor.significand, (False, False))
    # A weight of 0 hides the rest of the value: without that, lanes would hold the same bits of it.
    there = w("there", v.p[: a.p_width].any())
    exponent = factor.exponent & there.replicate(len(factor.exponent))
    found = {"product": words, "exponent": exponent, "sign": factor.sign & there}
    return found | {"flag": factor.special | v.p[-1]}


def _value_distance(a: Arithmetic, w: Wires, v: Values) -> Results:
    """How far the product moves down: nothing if the exponent, without its bias, is the highest."""
    amount = w("amount", sums.amount(a, w, v.exponent))
    return {"product": v.product, "amount": amount, **v.keep("sign", "flag")}


def _value_moved(a: Arithmetic, w: Wires, v: Values) -> Results:
    frame = resized(v.product, sums.frame_shift(a))
    return {"magnitude": w("magnitude", frame >> v.amount), **v.keep("sign", "flag")}


def _value_signed(a: Arithmetic, w: Wires, v: Values) -> Results:
    return {"result": Cat(negated(v.magnitude, v.sign, a.term_width), v.flag)}
