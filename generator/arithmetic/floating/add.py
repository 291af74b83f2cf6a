"""Addition and subtraction."""

from functools import partial

from amaranth.hdl import Cat, Const, Mux, Value

from blueprint.arithmetic.floating import ADD_DELAYS, FloatFormat
from blueprint.errors import ParamError
from generator.arithmetic.floating.pipeline import FloatBlock, Results, Step, Values, Wires, suffix
from generator.arithmetic.floating.words import (
    fields,
    is_special,
    leading_zeros,
    pack,
    rounded,
    shift_right,
    subtract,
)
from generator.arithmetic.integers import zero_extend

#: What an adder computes: name -> meaning.
OPERATIONS = {
    "add": "a + b",
    "subtract": "a - b",
    "either": "a - b where the input subtract is 1, else a + b",
}


def steps(fmt: FloatFormat, flush: bool = False, operation: str = "add") -> tuple[Step, ...]:
    """Steps from ``a``, ``b`` (and ``subtract``) to ``result``: order, align, add, normalize, round."""
    return (
        partial(_order, operation),
        partial(_align, fmt, flush),
        partial(_total, fmt),
        partial(_normalize, fmt, flush),
        partial(_round, fmt, flush),
    )


def _order(operation: str, w: Wires, v: Values) -> Results:
    """Put the larger magnitude first, so that the difference is never negative and no result is complemented."""
    a, b = v.a, v.b
    flip = v.subtract if operation == "either" else Const(operation == "subtract", 1)
    sign = w("b_sign", b[-1] ^ flip)
    swap = w("swap", w.less(a[:-1], b[:-1]))
    return {
        "large": w.either("large", swap, b[:-1], a[:-1]),
        "small": w.either("small", swap, a[:-1], b[:-1]),
        "sign": w.either("sign", swap, sign, a[-1]),
        "minus": w("minus", a[-1] ^ sign),
    }


def _align(fmt: FloatFormat, flush: bool, w: Wires, v: Values) -> Results:
    """Shift the smaller significand, with two more bits below it, to the exponent of the larger one."""
    large, small = v.large, v.small
    found = aligned(fmt, w, large, small, flush)
    infinite, nan = is_special(fmt, large)
    special = infinite | nan if fmt.infinities else Const(0, 1)
    invalid = nan | (small[fmt.fraction_bits :].all() & infinite & v.minus) if fmt.infinities else nan
    kept = v.keep("sign", "minus")
    return kept | found | {"special": w("special", special), "nan": w("nan", invalid)}


def aligned(fmt: FloatFormat, w: Wires, large: Value, small: Value, flush: bool = False) -> Results:
    """Both significands ``x`` and ``y`` at the larger exponent, and the sticky bit of ``y``."""
    f, e = fmt.fraction_bits, fmt.exponent_bits
    exponent, x = fields(fmt, large, flush)
    other, y = fields(fmt, small, flush)
    distance = w("distance", subtract(exponent, other, e))
    bits = min((f + 3).bit_length(), e)
    amount = distance[:bits] | distance[bits:].any().replicate(bits) if e > bits else distance
    moved, lost = shift_right(w, "align", Cat(Const(0, 2), y), amount, f + 3)
    return {"x": x, "y": moved, "lost": lost, "exponent": exponent}


def _total(fmt: FloatFormat, w: Wires, v: Values) -> Results:
    """Sum or difference with the carry on top; the sticky bit borrows from a difference."""
    minus, width = v.minus, fmt.fraction_bits + 3
    carry = minus & ~v.lost
    total = w.added(
        "adding", Cat(Const(1, 1), Const(0, 2), v.x), Cat(carry, v.y ^ minus.replicate(width)), width + 2
    )
    kept = v.keep("sign", "minus", "lost", "exponent", "special", "nan")
    # The carry out of a difference is always 1 and has no meaning.
    return kept | {"total": w("total", Cat(total[1 : width + 1], total[width + 1] ^ minus))}


def _normalize(fmt: FloatFormat, flush: bool, w: Wires, v: Values) -> Results:
    found = Values(normalized(fmt, w, v.total, v.exponent, v.lost, flush))
    cancels = w("cancels", found.none & v.minus)
    return (
        v.keep("sign", "special", "nan")
        | {"cancels": cancels}
        | found.keep("base", "significand", "guard", "sticky", "tiny")
        | {"sticky": w("sticky", found.sticky)}
    )


def normalized(
    fmt: FloatFormat, w: Wires, total: Value, exponent: Value, lost: Value, flush: bool = False
) -> Results:
    """Shift out the leading zeros, but never below the exponent of subnormals; ``none`` is 1 if no bit is set."""
    # The lowest bit is set only if the alignment distance was two or more; then there are at most two leading zeros.
    count, none = leading_zeros(total[1:])
    zeros = w("zeros", Cat(*count))
    width = max(fmt.exponent_bits, len(zeros)) + 1
    base = w("base", subtract(exponent, zeros, width))
    limit = zeros if flush else Mux(base[-1], zero_extend(exponent, len(zeros)), zeros)
    amount = w("amount", limit)
    for place in reversed(range(len(zeros))):
        step = 1 << place
        low = Cat(Const(0, 1), total[1 : len(total) - step]) if step > 2 else total[: len(total) - step]
        total = w.either(f"normal{place}", amount[place], Cat(Const(0, step), low)[: len(total)], total)
    found = {"base": base[: fmt.exponent_bits], "significand": total[3:], "guard": total[2]}
    found |= {"sticky": total[0] | total[1] | lost}
    return found | {"none": none} | ({"tiny": base[-1]} if flush else {})


def _round(fmt: FloatFormat, flush: bool, w: Wires, v: Values) -> Results:
    significand = v.significand
    if flush:
        significand = significand & (~v.tiny).replicate(len(significand))
    magnitude = rounded(w, fmt, v.base, significand, v.guard, v.sticky)
    if fmt.infinities:
        magnitude = magnitude[: fmt.width - 1]
    sign = v.sign & ~v.cancels
    return {"result": pack(w, fmt, magnitude, sign, v.special, v.nan)}


def without_signs(chain: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps of operands and a result without signs, which are constants and never held."""
    order, align, total, normalize, finish = chain

    def ordered(w: Wires, v: Values) -> Results:
        found = order(w, Values({name: Cat(word, Const(0, 1)) for name, word in v.items()}))
        return found | {"sign": Const(0, 1), "minus": Const(0, 1)}

    def normalized(w: Wires, v: Values) -> Results:
        return normalize(w, v) | {"cancels": Const(0, 1)}

    def rounded(w: Wires, v: Values) -> Results:
        return {"result": Values(finish(w, v)).result[:-1]}

    return ordered, align, total, normalized, rounded


def _short(chain: tuple[Step, ...], bits: int) -> tuple[Step, ...]:
    """The steps of operands whose lowest fraction bits are 0 and not held."""
    order, align, total, *others = chain

    def longer(v: Values, *names: str) -> Values:
        return Values(v | {name: Cat(Const(0, bits), v[name]) for name in names})

    def aligned(w: Wires, v: Values) -> Results:
        found = Values(align(w, longer(v, "large", "small")))
        return found | {"x": found.x[bits:]}

    def added(w: Wires, v: Values) -> Results:
        return total(w, longer(v, "x"))

    return order, aligned, added, *others


class FloatAdd(FloatBlock):
    """Adds two floats, rounded to nearest even.

    ``unsigned`` operands and results have no sign bit; operands lack ``short`` of the lowest fraction bits.
    Raises ``ParamError`` for an unknown operation, and for one that does not go with these.
    """

    def __init__(
        self,
        fmt: FloatFormat,
        *,
        flush: bool = False,
        operation: str = "add",
        stages: int = 0,
        handshake: bool = False,
        separate: bool = False,
        unsigned: bool = False,
        short: int = 0,
        quick: bool = False,
    ) -> None:
        if operation not in OPERATIONS:
            raise ParamError(f"operation must be one of {', '.join(OPERATIONS)}, not {operation!r}")
        self.format = fmt
        if unsigned and operation != "add":
            raise ParamError(f"operation must be add for operands without signs, not {operation!r}")
        if not 0 <= short <= fmt.fraction_bits:
            raise ParamError(f"short must be from 0 to {fmt.fraction_bits}, not {short}")
        width = fmt.width - unsigned
        operands = dict.fromkeys("ab", width - short) | ({"subtract": 1} if operation == "either" else {})
        name = f"fp_{operation if operation != 'either' else 'add_subtract'}_{suffix(fmt, flush)}"
        name += "_unsigned" * unsigned + (f"_short{short}" if short else "")
        chain = steps(fmt, flush, operation)
        chain = _short(chain, short) if short else chain
        chain = without_signs(chain) if unsigned else chain
        super().__init__(name, operands, width, chain, ADD_DELAYS, stages, handshake, separate, quick=quick)
