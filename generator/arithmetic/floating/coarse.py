"""Addition with approximate normalization, on words that store their leading bit (`arithmetic.coarse_floating`)."""

from functools import partial

from amaranth.hdl import Cat, Const, Mux, Value

from blueprint.arithmetic.coarse_floating import check
from blueprint.arithmetic.floating import FloatFormat
from generator.arithmetic.floating.pipeline import FloatBlock, Results, Step, Values, Wires
from generator.arithmetic.floating.words import leading_zeros, shift_right, subtract
from generator.arithmetic.integers import zero_extend

#: Delays of the steps relative to each other (tenths of a nanosecond for FP16 in asap7).
DELAYS = (3, 5, 7, 5, 5)


def steps(fmt: FloatFormat, coarse: int, operation: str = "add") -> tuple[Step, ...]:
    """Add the words ``a`` and ``b`` into ``result``: order, align, total, normalize, round."""
    return (
        partial(_order, fmt, operation),
        partial(_align, fmt),
        partial(_total, fmt),
        partial(_normalize, fmt, coarse),
        partial(_round, fmt),
    )


def _order(fmt: FloatFormat, operation: str, w: Wires, v: Values) -> Results:
    """Put the larger exponent first; because of leading zeros it may still belong to the smaller number."""
    a, b, low = v.a, v.b, fmt.fraction_bits + 1
    flip = v.subtract if operation == "either" else Const(operation == "subtract", 1)
    sign = w("b_sign", b[-1] ^ flip)
    swap = w("swap", a[low:-1] < b[low:-1])
    return {
        "large": w.either("large", swap, b[:-1], a[:-1]),
        "small": w.either("small", swap, a[:-1], b[:-1]),
        "sign": w.either("sign", swap, sign, a[-1]),
        "minus": w("minus", a[-1] ^ sign),
    }


def _align(fmt: FloatFormat, w: Wires, v: Values) -> Results:
    f, e = fmt.fraction_bits, fmt.exponent_bits
    large, small = v.large, v.small
    distance = w("distance", subtract(large[f + 1 :], small[f + 1 :], e))
    bits = min((f + 3).bit_length(), e)
    amount = distance[:bits] | distance[bits:].any().replicate(bits) if e > bits else distance
    aligned, lost = shift_right(w, "align", Cat(Const(0, 2), small[: f + 1]), amount, f + 3)
    special = w("special", large[f + 1 :].all())
    both = small[f + 1 :].all()
    invalid = special & (large[:f].any() | (both & (small[:f].any() | v.minus)))
    kept = v.keep("sign", "minus")
    found = {"x": large[: f + 1], "y": aligned, "lost": lost, "exponent": large[f + 1 :]}
    return kept | found | {"special": special, "nan": w("nan", invalid)}


def _total(fmt: FloatFormat, w: Wires, v: Values) -> Results:
    """Sum or difference with the carry on top, complemented where the second operand turns out larger."""
    minus, lost, width = v.minus, v.lost, fmt.fraction_bits + 3
    x = Cat(Const(0, 2), v.x)
    less = w("less", minus & (Cat(Const(0, 1), x) < Cat(lost, v.y)))
    carry = minus & ~lost & ~less
    total = Cat(Const(1, 1), x) + Cat(carry, v.y ^ minus.replicate(width))
    size = Cat(total[1 : width + 1] ^ less.replicate(width), total[width + 1] & ~minus)
    kept = v.keep("minus", "lost", "exponent", "special", "nan")
    return kept | {"total": w("total", size), "sign": w("sign_out", v.sign ^ less)}


def _normalize(fmt: FloatFormat, coarse: int, w: Wires, v: Values) -> Results:
    e, fine = fmt.exponent_bits, coarse.bit_length() - 1
    total, carry = v.total[:-1], v.total[-1]
    groups = [total[max(high - coarse, 0) : high].any() for high in range(len(total), 0, -coarse)]
    count, _ = leading_zeros(Cat(*reversed(groups)))
    zeros = w("zeros", Cat(*count))
    # For a zero the count points to the last group; the exponent is cleared at the end.
    below = w("limit", subtract(v.exponent, Const(1, e), e)[fine:])
    width = max(len(below), len(zeros)) + 1
    over = subtract(below, zeros, width)[-1]
    amount = Mux(over, zero_extend(below, len(zeros)), zeros) & (~carry).replicate(len(zeros))
    amount = w("amount", amount)
    word: Value = total
    for place in reversed(range(len(zeros))):
        step = coarse << place
        low = word[: max(len(word) - step, 0)]
        word = w.either(f"normal{place}", amount[place], Cat(Const(0, step), low)[: len(word)], word)
    exponent = Cat(v.exponent[:fine], subtract(v.exponent[fine:], amount, e - fine))
    found = {
        "significand": w.either("significand", carry, v.total[3:], word[2:]),
        "guard": w.either("guard", carry, total[2], word[1]),
        "sticky": w("sticky", v.lost | word[0] | (carry & total[1])),
        "base": w("base", exponent),
        "carry": carry,
    }
    return v.keep("sign", "minus", "special", "nan") | found


def _round(fmt: FloatFormat, w: Wires, v: Values) -> Results:
    """A carry out of the significand leaves it zero: the leading bit is set again."""
    f, significand = fmt.fraction_bits, v.significand
    up = w("up", v.guard & (v.sticky | significand[0]))
    total = Cat(Const(1, 1), significand, v.base, Const(0, 1)) + Cat(up, Const(0, f + 1), v.carry)
    low = w("rounded", total[1 : fmt.width + 2])
    lead = low[f] | significand[f]
    zero = w("zero", ~(lead | low[:f].any()) & ~v.special)
    exponent = low[f + 1 : -1] | v.special.replicate(fmt.exponent_bits)
    exponent = w("exponent_out", exponent & (~zero).replicate(fmt.exponent_bits))
    highest = exponent.all()
    fraction = low[:f] & (~highest).replicate(f)
    sign = v.sign & ~v.nan & ~(v.minus & zero)
    return {"result": Cat(fraction[: f - 1], fraction[f - 1] | v.nan, lead | highest, exponent, sign)}


class CoarseAdd(FloatBlock):
    """Adds two words with a stored leading bit; the normalization shifts by multiples of a few places."""

    def __init__(
        self,
        fmt: FloatFormat,
        coarse: int,
        *,
        operation: str = "add",
        stages: int = 0,
        handshake: bool = False,
    ) -> None:
        self.format, self.coarse = fmt, check(fmt, coarse)
        operands = {"a": fmt.width + 1, "b": fmt.width + 1}
        operands |= {"subtract": 1} if operation == "either" else {}
        name = f"fp_{operation if operation != 'either' else 'add_subtract'}_{fmt.name}_coarse{coarse}"
        super().__init__(
            name, operands, fmt.width + 1, steps(fmt, coarse, operation), DELAYS, stages, handshake
        )
