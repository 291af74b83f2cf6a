"""Scores: dot products of queries and keys, as exponents of two."""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.softmax.arithmetic import SCORE_FRACTION, SCORE_WHOLE, SHIFT_BITS, Arithmetic
from generator.arithmetic.floating import add, convert, multiply
from generator.arithmetic.floating.pipeline import Results, Values, Wires, chain
from generator.arithmetic.floating.words import is_special, subtract
from generator.arithmetic.integers import sign_extend, zero_extend
from generator.arithmetic.softmax.chain import Chain, capped, negated, saturated, unpacked, widened
from generator.block import Block
from generator.layout import elements


class ScoreBeat(Chain):
    """Multiplies the elements of a query and a key and adds the products of one beat."""

    place = "score_beat"

    def __init__(self, a: Arithmetic, stages: int = 0) -> None:
        self.arithmetic = a
        narrow = f"_k{a.element_width}" if a.element_width < a.in_width else ""
        name = f"softmax_score_{a.inputs}_{a.acc_format}_l{a.lanes}{narrow}"
        operands = {"q": a.lanes * a.in_width, "k": a.lanes * a.element_width}
        steps = (self._multiply, partial(_add, a)) if not a.is_float else (self._multiply, self._add)
        super().__init__(name, operands, a.beat_word, steps, stages)

    def _multiply(self, w: Wires, v: Values) -> Results:
        a = self.arithmetic
        words = ((a.in_width, v.q), (a.element_width, v.k))
        pairs = zip(*(elements(ArrayLayout(bits, a.lanes)(word)) for bits, word in words), strict=True)
        if not a.is_float:
            return {"products": Cat(*((q.as_signed() * k.as_signed())[: a.product_width] for q, k in pairs))}
        block = ScoreProduct(a)
        found = []
        for number, (q, k) in enumerate(pairs):
            result, flag, huge = (
                Signal(len(port), name=f"{port.name}{number}")
                for port in (block.result, block.flag, block.huge)
            )
            found.append(
                self.use(w.m, block, f"multiply{number}", q=q, k=k, result=result, flag=flag, huge=huge)
            )
        products: Results = {"products": Cat(*(ends.result for ends in found))}
        if a.sums_are_floats:
            return products
        flag, huge = (Cat(*bits).any() for bits in zip(*((e.flag, e.huge) for e in found), strict=True))
        return products | {"flag": flag, "huge": huge}

    def _add(self, w: Wires, v: Values) -> Results:
        a = self.arithmetic
        if not a.sums_are_floats:
            return _add(a, w, v)
        block, names = ScoreSum(a), iter(range(a.lanes))

        def total(x: Value, y: Value) -> Value:
            number = next(names)
            found = Signal(len(x), name=f"sum{number}")
            self.use(w.m, block, f"add{number}", a=x, b=y, result=found)
            return found

        return {"result": _pairwise(w, _products(a, v), total)}


class ScoreProduct(Block):
    """Multiplies an element of a query by one of a key: a float, or fixed point.

    For a product in fixed point, ``flag`` is 1 if a factor is not finite and ``huge`` if the product is too large.
    """

    place = "score_beat"

    def __init__(self, a: Arithmetic) -> None:
        self.arithmetic = a
        width = a.sum_format.width if a.sums_are_floats else a.product_width
        events = 0 if a.sums_are_floats else 1
        ports = {"q": In(a.in_width), "k": In(a.element_width), "result": Out(width)}
        ports |= {"flag": Out(events), "huge": Out(events)}
        super().__init__(f"softmax_score_product_{a.inputs}_{a.acc_format}", ports, clocked=False)

    def elaborate(self, platform: Any) -> Module:
        m, a = self.module(), self.arithmetic
        w = Wires(m)
        if a.sums_are_floats:
            factors = {"a": widened(w, a, self.q), "b": widened(w, a, self.k)}
            m.d.comb += self.result.eq(chain(w, multiply.steps(a.sum_format), **factors))
        else:
            product, flag, huge = _fixed_product(a, w, self.q, self.k)
            m.d.comb += [self.result.eq(product), self.flag.eq(flag), self.huge.eq(huge)]
        return m


class ScoreSum(Block):
    """Adds two products of floats, or sums of them."""

    place = "score_beat"

    def __init__(self, a: Arithmetic) -> None:
        self.arithmetic = a
        width = a.sum_format.width
        ports = {"a": In(width), "b": In(width), "result": Out(width)}
        super().__init__(f"softmax_score_sum_{a.sum_format.name}", ports, clocked=False)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        m.d.comb += self.result.eq(_float_sum(self.arithmetic, Wires(m), self.a, self.b))
        return m


def _fixed_product(a: Arithmetic, w: Wires, q: Value, k: Value) -> tuple[Value, Value, Value]:
    """(product in units of 2**-SCORE_FRACTION, 1 if a factor is NaN or infinite, 1 if the product is too large)."""
    fmt = a.input_format
    query, key = unpacked(fmt, q), unpacked(fmt, k)
    product = w("product", query.significand * key.significand)
    bits = fmt.exponent_bits + 2
    # Nothing is shifted if the exponents, without their biases, add up to SCORE_WHOLE - 2.
    highest = Const(SCORE_WHOLE - 2 + 2 * fmt.bias, bits)
    total = zero_extend(query.exponent, bits) + zero_extend(key.exponent, bits)
    distance = w("distance", subtract(highest, total[:bits], bits))
    frame = Cat(Const(0, SCORE_WHOLE - 2 - 2 * fmt.fraction_bits + SCORE_FRACTION), product)
    amount = capped(distance[:-1], len(frame).bit_length())
    huge = w("huge", distance[-1] & product.any())
    magnitude = w("magnitude", (frame >> amount) | huge.replicate(len(frame)))
    broken = query.special | key.special
    return w("signed", negated(magnitude, query.sign ^ key.sign, len(frame) + 1)), broken, huge & ~broken


def _add(a: Arithmetic, w: Wires, v: Values) -> Results:
    total = _pairwise(w, _products(a, v), lambda x, y: (x.as_signed() + y.as_signed()).as_unsigned())
    return {"result": Cat(sign_extend(total, a.beat_width), *v.keep("flag", "huge").values())}


def _products(a: Arithmetic, v: Values) -> list[Value]:
    return elements(ArrayLayout(a.product_width, a.lanes)(v.products))


def _pairwise(w: Wires, words: list[Value], total: Any) -> Value:
    """Add words pairwise, neighbors first; an odd one waits for the next level."""
    while len(words) > 1:
        pairs = [w("pair", total(x, y)) for x, y in zip(words[::2], words[1::2], strict=False)]
        words = pairs + words[len(words) & ~1 :]
    return words[0]


def _float_sum(a: Arithmetic, w: Wires, x: Value, y: Value) -> Value:
    return chain(w, add.steps(a.sum_format), a=x, b=y)


class AddScore(Block):
    """Adds up the beats of a score.

    ``total`` includes the beats up to the last rising edge with ``enable``; an edge with ``begin`` starts a new score.
    """

    place = "add_score"
    latency = "1 cycle"

    def __init__(self, a: Arithmetic) -> None:
        self.arithmetic = a
        ports = {"begin": In(1), "enable": In(1), "beat": In(a.beat_word), "total": Out(a.score_word)}
        name = f"softmax_add_score_{a.inputs}_{a.acc_format}_b{a.beat_word}_w{a.score_word}"
        super().__init__(name, ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        a = self.arithmetic
        held = Signal(a.score_word, name="held", reset_less=True)
        if a.sums_are_floats:
            first, more = self.beat, _float_sum(a, Wires(m), held, self.beat)
        else:
            beat = self.beat[: a.beat_width]
            flags = self.beat[a.beat_width :]
            first = Cat(sign_extend(beat, a.score_width), flags)
            total = held[: a.score_width].as_signed() + beat.as_signed()
            more = Cat(total[: a.score_width], flags | held[a.score_width :])
        new = Mux(self.begin, first, more)
        with m.If(self.enable):
            m.d.sync += held.eq(new)
        m.d.comb += self.total.eq(held)
        return m


class ScaleScore(Chain):
    """Turns a score into an exponent of two: multiplied, moved right, rounded, saturated.

    ``saturated`` is 1 if the score or its exponent is too large. If it is too low, the key has no weight.
    """

    place = "scale"

    def __init__(self, a: Arithmetic, stages: int = 0) -> None:
        self.arithmetic = a
        name = f"softmax_scale_{a.inputs}_{a.acc_format}_w{a.score_word}f{a.fraction}"
        operands = {"score": a.score_word, "multiplier": a.multiplier_width}
        operands |= {"shift": 0 if a.sums_are_floats else SHIFT_BITS}
        steps = (partial(_scale, a), partial(_fit, a))
        super().__init__(name, operands, a.t_word, steps, stages, flags={"saturated": 1})


def _scale(a: Arithmetic, w: Wires, v: Values) -> Results:
    if a.sums_are_floats:
        given = {"a": v.score, "b": v.multiplier}
        product = chain(w, multiply.steps(a.sum_format), **given)
        return {"product": product, "huge": w("infinite", is_special(a.sum_format, v.score)[0])}
    score = v.score
    product = w("product", score[: a.score_width].as_signed() * v.multiplier)
    flags = {"flag": score[-2], "huge": score[-1]} if a.nan_bit else {}
    return {"product": product, "shift": v.shift} | flags


def _fit(a: Arithmetic, w: Wires, v: Values) -> Results:
    """Shift the product, with one more bit that rounds it; or convert a float to an integer."""
    product, width = v.product, a.t_width
    if a.sums_are_floats:
        whole = chain(w, convert.to_integer_steps(a.sum_format, width), a=product)
        flag = product[: a.sum_format.width - 1] > a.sum_format.exponent_mask
    else:
        moved = w("moved", Cat(Const(0, 1), product).as_signed() >> v.shift)
        exact = w("exact", (moved[1:].as_signed() + moved[0])[: len(product)])
        whole, flag = w("whole", saturated(exact, width)), v.get("flag", Const(0, a.t_nan_bit))
    huge = v.get("huge", Const(0, 1))
    return exponent(a, w, whole, flag, huge)


def exponent(a: Arithmetic, w: Wires, whole: Value, flag: Value, huge: Value) -> Results:
    """Limit a number that has the width of an exponent of two to the range of exponents.

    The largest integer exponent has no fraction, so that every exponent can be rounded up; the lowest one stands for a
    key that is not seen.
    """
    topmost = w("topmost", ~whole[-1] & whole[a.fraction : -1].all())
    lowest = w("lowest", whole[-1] & ~whole[a.fraction : -1].any())
    fraction = whole[: a.fraction]
    t = Cat(fraction & ~(topmost | lowest).replicate(a.fraction), whole[a.fraction :] | lowest)
    if len(flag) and not a.sums_are_floats:
        t = t & (~flag).replicate(len(t))
    huge = huge | (topmost & fraction.any())
    return {"result": Cat(t, flag), "saturated": huge & ~flag.any()}
