"""Multiplication."""

from functools import partial

from amaranth.hdl import Cat, Const, Value

from blueprint.arithmetic import products
from blueprint.arithmetic.floating import MULTIPLY_DELAYS, PRODUCT_DELAYS, FloatFormat
from generator.arithmetic.columns import build, two_rows
from generator.arithmetic.floating.pipeline import FloatBlock, Results, Step, Values, Wires, suffix
from generator.arithmetic.floating.words import fields, is_special, locate, pack, place, rounded
from generator.arithmetic.integers import zero_extend

#: Delays of the steps relative to each other (tenths of a nanosecond for FP16 in asap7).
DELAYS = (10, 5, 5, 5)


def steps(fmt: FloatFormat, flush: bool = False) -> tuple[Step, ...]:
    """Steps from ``a`` and ``b`` to ``result``: multiply, count leading zeros, shift, round."""
    last = (partial(_shift, fmt, flush), partial(_round, fmt, flush))
    return (partial(_multiply, fmt, flush), partial(_count, fmt, flush), *last)


def _multiply(fmt: FloatFormat, flush: bool, w: Wires, v: Values, rows: bool = False) -> Results:
    """The product of the significands, its exponent and sign, and the flags for infinity and NaN.

    In ``rows`` the product is two rows that are not added yet, bit by bit from the lowest column.
    """
    e = fmt.exponent_bits
    exponent_a, x = fields(fmt, v.a, flush)
    exponent_b, y = fields(fmt, v.b, flush)
    (infinite_a, nan_a), (infinite_b, nan_b) = (is_special(fmt, v[name]) for name in "ab")
    total = zero_extend(exponent_a, e + 2) + zero_extend(exponent_b, e + 2)
    infinite = w("infinite", infinite_a | infinite_b) if fmt.infinities else Const(0, 1)
    # A zero is all zeros in exponent and fraction; flushed subnormals are zeros too.
    zero = ~x.any() | ~y.any()
    return {
        "product": _rows(w, x, y) if rows else w("product", x * y),
        "exponent": w("exponent", (total - Const(fmt.bias - 1, e + 2))[: e + 2]),
        "sign": w("sign", v.a[-1] ^ v.b[-1]),
        "special": infinite,
        "nan": w("nan", nan_a | nan_b | (infinite & zero) if fmt.infinities else nan_a | nan_b),
    }


def _count(fmt: FloatFormat, flush: bool, w: Wires, v: Values) -> Results:
    lowest, highest = 3 - fmt.bias, 2 * (2**fmt.exponent_bits - 1) - fmt.bias + 1
    if flush:
        # Two normal significands: the product has at most one leading zero.
        zero = w("zero", ~v.product[-1])
        base = v.exponent - Const(1, len(v.exponent)) - zero
        base = w("base", base[: len(v.exponent)])
        found = {"amount": ~zero, "base": base[:-1], "subnormal": base[-1]}
    else:
        left = fmt.fraction_bits + 1
        word = v.product[fmt.fraction_bits :]
        found = locate(w, fmt, word, v.exponent, lowest, highest, left, False)
        found.pop("subnormal")  # only flushed ones are rounded in another way
    return v.keep("product", "sign", "special", "nan") | found


def _shift(fmt: FloatFormat, flush: bool, w: Wires, v: Values) -> Results:
    left = 1 if flush else fmt.fraction_bits + 1
    found = place(w, fmt, v.product, v.amount, left)
    return v.keep("base", "subnormal", "sign", "special", "nan") | found


def _round(fmt: FloatFormat, flush: bool, w: Wires, v: Values) -> Results:
    significand, guard = v.significand, v.guard
    if flush:
        keep = ~v.subnormal
        significand, guard = significand & keep.replicate(len(significand)), guard & keep
    magnitude = rounded(w, fmt, v.base, significand, guard, v.sticky)
    return {"result": pack(w, fmt, magnitude, v.sign, v.special, v.nan)}


class FloatMultiply(FloatBlock):
    """Multiplies two floats, rounded to nearest even.

    In ``short`` steps the product is two rows first, whose sum passes a network of prefixes.
    """

    def __init__(
        self,
        fmt: FloatFormat,
        *,
        flush: bool = False,
        stages: int = 0,
        handshake: bool = False,
        free: bool = False,
        short: bool = False,
    ) -> None:
        self.format = fmt
        operands = {"a": fmt.width, "b": fmt.width}
        name = f"fp_multiply_{suffix(fmt, flush)}" + "_short" * short
        chain = steps(fmt, flush)
        delays: tuple[int, ...] = DELAYS
        if short:
            rows = partial(_multiply, fmt, flush, rows=True), partial(_joined, fmt)
            chain, delays = (*rows, *chain[1:]), MULTIPLY_DELAYS
        super().__init__(name, operands, fmt.width, chain, delays, stages, handshake, free=free, quick=short)


def product_steps(fmt: FloatFormat) -> tuple[Step, ...]:
    """Steps of a product of numbers of which subnormal ones are zeros: two rows, their sum, place, round."""
    multiply = partial(_multiply, fmt, True, rows=True)
    return multiply, partial(_joined, fmt), partial(_place, fmt), partial(_round, fmt, True)


def _rows(w: Wires, x: Value, y: Value) -> Value:
    """The bits of the two rows that the product is the sum of."""
    plan = products.plan(len(y) - 1)
    bits = build(w.m, plan, [x & bit.replicate(len(x)) for bit in y], name=f"{w.prefix}product")
    return w("product", Cat(bits[number] for column in plan.left for number in column))


def _joined(fmt: FloatFormat, w: Wires, v: Values) -> Results:
    """The product as the sum of its rows."""
    plan = products.plan(fmt.fraction_bits)
    left, right = two_rows(
        plan, dict(zip((n for column in plan.left for n in column), v.product, strict=True))
    )
    total = w("total", w.added("joining", left, right, plan.width))
    return v.keep("exponent", "sign", "special", "nan") | {"product": total}


def _place(fmt: FloatFormat, w: Wires, v: Values) -> Results:
    return _shift(fmt, True, w, Values(_count(fmt, True, w, v)))


class FloatProduct(FloatBlock):
    """Multiplies two floats of which subnormal ones are zeros, in short steps, rounded to nearest even.

    ``unsigned`` operands and results have no sign bit. A ``free`` product moves every cycle, any other has an enable
    for each stage.
    """

    def __init__(self, fmt: FloatFormat, *, stages: int, unsigned: bool = False, free: bool = True) -> None:
        self.format, width = fmt, fmt.width - unsigned
        name = f"fp_product_{suffix(fmt, True)}" + "_unsigned" * unsigned
        chain = _unsigned(product_steps(fmt)) if unsigned else product_steps(fmt)
        super().__init__(
            name,
            dict.fromkeys("ab", width),
            width,
            chain,
            PRODUCT_DELAYS,
            stages,
            False,
            not free,
            free,
            True,
        )


def _unsigned(chain: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps of operands and a result without signs."""
    first, *middle, last = chain

    def multiplied(w: Wires, v: Values) -> Results:
        positive = {name: Cat(word, Const(0, 1)) for name, word in v.items()}
        return first(w, Values(positive)) | {"sign": Const(0, 1)}

    def rounded(w: Wires, v: Values) -> Results:
        return {"result": Values(last(w, v)).result[:-1]}

    return multiplied, *middle, rounded
