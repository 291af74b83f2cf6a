"""Common parts of the operations: leading-zero count, shift, placement of a significand, rounding."""

from amaranth.hdl import Cat, Const, Mux, Signal, Value

from blueprint.arithmetic.floating import FloatFormat
from generator.arithmetic.floating.pipeline import Results, Wires
from generator.arithmetic.integers import zero_extend


def leading_zeros(word: Value) -> tuple[list[Value], Value]:
    """(number of leading zeros, lowest bit first; 1 if all bits are zero) of a word, by a tree over its halves."""
    if len(word) == 1:
        return [], ~word
    half = 1 << ((len(word) - 1).bit_length() - 1)
    high, high_zero = leading_zeros(word[len(word) - half :])
    low, low_zero = leading_zeros(word[: len(word) - half])
    count = [Mux(high_zero, below, above) for above, below in zip(high, low, strict=False)]
    count += [h & ~high_zero for h in high[len(low) :]]
    return [*count, high_zero], high_zero & low_zero


def shift_right(w: Wires, name: str, word: Value, amount: Value, keep: int) -> tuple[Signal, Signal]:
    """(lowest ``keep`` bits of ``word >> amount``, 1 if a set bit was shifted out)."""
    lost = []
    for place in reversed(range(len(amount))):
        step, bit = 1 << place, amount[place]
        wanted = min(len(word), keep + step - 1)
        shifted = zero_extend(word[step:], wanted) if step < len(word) else Const(0, wanted)
        lost.append(bit & word[:step].any())
        word = w.either(f"{name}{place}", bit, shifted, word[:wanted])
    return w(f"{name}_word", zero_extend(word, keep)), w(f"{name}_lost", Cat(*lost).any())


def subtract(left: Value, right: Value, width: int) -> Value:
    """``left - right`` modulo ``2**width``."""
    return (zero_extend(left, width) - zero_extend(right, width))[:width]


def fields(fmt: FloatFormat, word: Value, flush: bool) -> tuple[Value, Value]:
    """(exponent field, 1 for subnormals; significand with its leading bit) of a pattern.

    With ``flush`` the exponent field is not changed and the significand of a subnormal is 0.
    """
    f = fmt.fraction_bits
    fraction, exponent = word[:f], word[f : f + fmt.exponent_bits]
    normal = exponent.any()
    if flush:
        return exponent, Cat(fraction & normal.replicate(f), normal)
    return Cat(exponent[0] | ~normal, exponent[1:]), Cat(fraction, normal)


def is_special(fmt: FloatFormat, word: Value) -> tuple[Value, Value]:
    """(infinite, NaN) of a pattern."""
    f = fmt.fraction_bits
    if not fmt.infinities:
        return Const(0, 1), word[: fmt.width - 1].all()
    highest, fraction = word[f : fmt.width - 1].all(), word[:f].any()
    return highest & ~fraction, highest & fraction


def locate(
    w: Wires,
    fmt: FloatFormat,
    word: Value,
    exponent: Value,
    lowest: int,
    highest: int,
    left: int,
    flush: bool,
) -> Results:
    """Placement of a significand: its right shift, after a move ``left`` places up, and the exponent field less one.

    ``word`` would have the exponent field ``exponent`` (signed, known to lie from ``lowest`` to ``highest``) if its
    top bit were set. It moves left by its leading zeros, but at most by ``left`` and not below field 1.
    """
    count, _ = leading_zeros(word)
    zeros = w("zeros", Cat(*count))
    width = max(highest.bit_length(), (-lowest).bit_length(), left.bit_length(), len(zeros)) + 2
    bits = max(left, left + 1 - lowest).bit_length()
    wide = _sign_extend(exponent, width)
    above = w("above", (wide - Const(1, width) - zero_extend(zeros, width))[:width])
    subnormal = above[-1] if lowest <= len(word) else Const(0, 1)
    by_zeros = subtract(Const(left, width), zeros, width)
    by_exponent = (Const(left + 1, width) - wide)[:width]
    amount = by_zeros if isinstance(subnormal, Const) or flush else Mux(subnormal, by_exponent, by_zeros)
    base = above[: max(highest, 1).bit_length()]
    return {"amount": w("amount", amount[:bits]), "base": w("base", base), "subnormal": w("below", subnormal)}


def _sign_extend(value: Value, width: int) -> Value:
    return Cat(value, value[-1].replicate(width - len(value))) if len(value) < width else value[:width]


def place(w: Wires, fmt: FloatFormat, word: Value, amount: Value, left: int) -> Results:
    """Leading bit, fraction, guard bit and sticky bit after the shift that :func:`locate` found."""
    window = fmt.fraction_bits + 2
    up = left - (len(word) - window)
    frame = Cat(Const(0, max(up, 0)), word)
    below = max(-up, 0)
    limit = (len(frame) - below + 1).bit_length()
    if len(amount) > limit:
        amount = amount[:limit] | amount[limit:].any().replicate(limit)
    shifted, lost = shift_right(w, "place", frame[below:], amount, window)
    sticky = lost | frame[:below].any() if below else lost
    return {"significand": shifted[1:], "guard": shifted[0], "sticky": w("sticky", sticky)}


def rounded(
    w: Wires, fmt: FloatFormat, base: Value, significand: Value, guard: Value, sticky: Value
) -> Signal:
    """Exponent and fraction as one word, rounded to nearest even, one bit wider than ``base`` and the fraction.

    The leading bit of the significand is added to the exponent field, so ``base`` is the field less one. It is ignored
    if there is no leading bit.
    """
    f = fmt.fraction_bits
    lead = significand[f]
    field = w("field", base & lead.replicate(len(base)))
    up = w("up", guard & (sticky | significand[0]))
    width = len(base) + f + 1
    # The increment enters as the carry below the lowest bit.
    total = w.added(
        "rounding",
        Cat(Const(1, 1), significand[:f], field, Const(0, 1)),
        Cat(up, Const(0, f), lead),
        width + 1,
    )
    return w("rounded", total[1 : width + 1])


def pack(w: Wires, fmt: FloatFormat, magnitude: Value, sign: Value, special: Value, nan: Value) -> Value:
    """The pattern of a rounded magnitude; ``special`` asks for infinity or, with ``nan``, for NaN."""
    f, e = fmt.fraction_bits, fmt.exponent_bits
    above = magnitude[f + e :].any() if len(magnitude) > f + e else Const(0, 1)
    low = zero_extend(magnitude, f + e)
    if not fmt.infinities:
        force = w("force", above | special | nan | low.all())
        return Cat(low | force.replicate(f + e), sign & ~force)
    exponent = w("exponent_out", low[f:] | (above | special | nan).replicate(e))
    fraction = low[:f] & (~exponent.all()).replicate(f)
    return Cat(fraction[: f - 1], fraction[f - 1] | nan, exponent, sign & ~nan)
