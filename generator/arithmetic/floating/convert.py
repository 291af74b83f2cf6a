"""Conversions between formats, and to and from two's complement integers."""

from functools import partial

from amaranth.hdl import Cat, Const, Value

from blueprint.arithmetic.floating import CONVERT_DELAYS, FloatFormat, check_integer_width
from generator.arithmetic.floating.pipeline import FloatBlock, Results, Step, Values, Wires, suffix
from generator.arithmetic.floating.words import (
    fields,
    is_special,
    leading_zeros,
    locate,
    pack,
    place,
    rounded,
    shift_right,
    subtract,
)
from generator.arithmetic.integers import zero_extend

#: Delays of the steps to an integer relative to each other (tenths of a nanosecond for FP16 in asap7).
TO_INTEGER_DELAYS = (2, 4, 4)


def steps(
    source: FloatFormat, target: FloatFormat, flush: bool = False, held: bool = False
) -> tuple[Step, ...]:
    """Convert ``a`` into ``result``: unpack, count, shift, round; formats of equal exponent width only round.

    Where registers have ``held`` the values, the exponent field of a source with fewer exponents waits as it is, and
    of the upper bits of the target's one stands for all.
    """
    if source.exponent_bits == target.exponent_bits:
        return (partial(_shorten, source, target, flush),)
    offset = target.bias - source.bias
    lowest, highest = 1 + offset, 2**source.exponent_bits - 1 + offset
    chosen = placing(target, source.fraction_bits + 1, lowest, highest, flush)
    if held and lowest > 0:
        width = source.fraction_bits + 1
        low = _low_bits(target, lowest - width, highest - 1) if lowest > width else None
        count, shift, end = chosen
        count = partial(_count_moved, source, target, count, low)
        if low is not None:
            end = partial(_round_split, target, flush)
        return partial(_fields, source, flush), count, shift, end
    return partial(_unpack, source, target, flush), *chosen


def from_integer_steps(fmt: FloatFormat, width: int, held: bool = False) -> tuple[Step, ...]:
    """Steps from the integer ``a`` to ``result``: magnitude, count leading zeros, shift, round.

    Where registers have ``held`` the values, the exponent follows from the amount of the shift, and of its bits above
    that amount one stands for all.
    """
    exponent = fmt.bias + width - 1
    if held and exponent > width and (width - 1).bit_length() < fmt.exponent_bits:
        return (
            partial(magnitude, exponent),
            _count_amount,
            partial(_shift_whole, fmt),
            partial(_round_split, fmt, False),
        )
    return partial(magnitude, exponent), *placing(fmt, width, exponent, exponent, False)


def to_integer_steps(fmt: FloatFormat, width: int, flush: bool = False) -> tuple[Step, ...]:
    """Steps from ``a`` to the integer ``result``: unpack, shift, round."""
    unpack, shift = partial(_distance, fmt, width, flush), partial(_to_point, fmt, width)
    return unpack, shift, partial(_round_integer, width)


def placing(fmt: FloatFormat, width: int, lowest: int, highest: int, flush: bool) -> tuple[Step, ...]:
    """Steps that count, shift and round a significand of ``width`` bits.

    The exponent field that its top bit would have lies from ``lowest`` to ``highest``.
    """
    left = max(min(width - 1, highest - 1), 0)
    return (
        partial(_count, fmt, lowest, highest, left),
        partial(_shift, fmt, left),
        partial(_round, fmt, flush),
    )


def _unpack(source: FloatFormat, target: FloatFormat, flush: bool, w: Wires, v: Values) -> Results:
    exponent, significand = fields(source, v.a, flush)
    infinite, nan = is_special(source, v.a)
    return {
        "word": significand,
        "exponent": _moved(source, target, w, exponent),
        "sign": v.a[-1],
        "special": infinite,
        "nan": nan,
    }


def _moved(source: FloatFormat, target: FloatFormat, w: Wires, exponent: Value) -> Value:
    """The exponent field of the target, with a sign."""
    offset = target.bias - source.bias
    width = max(2**source.exponent_bits + abs(offset), 4).bit_length() + 1
    field = zero_extend(exponent, width) + Const(offset % 2**width, width)
    return w("field_in", field[:width])


def _fields(source: FloatFormat, flush: bool, w: Wires, v: Values) -> Results:
    """Unpack, with the exponent field of the source."""
    exponent, significand = fields(source, v.a, flush)
    infinite, nan = is_special(source, v.a)
    return {"word": significand, "exponent": exponent, "sign": v.a[-1], "special": infinite, "nan": nan}


def _low_bits(fmt: FloatFormat, lowest: int, highest: int) -> int | None:
    """Low bits of a field from ``lowest`` to ``highest`` whose other bits are the opposite of its top bit, if any are.

    Of the middle only the top bit is set.
    """
    middle = 2 ** (fmt.exponent_bits - 1)
    bits = max(max(middle - 1 - lowest, 0).bit_length(), max(highest - middle, 0).bit_length())
    return bits if highest >= middle and bits < fmt.exponent_bits - 1 else None


def _count_moved(
    source: FloatFormat, target: FloatFormat, count: Step, low: int | None, w: Wires, v: Values
) -> Results:
    """Count, behind an unpack that left the exponent field of the source; one bit stands for those above ``low``."""
    found = count(w, Values(v | {"exponent": _moved(source, target, w, v.exponent)}))
    if low is None:
        return found
    base = found.pop("base")
    return found | {"low": base[:low], "high": w("high", ~base[-1])}


def _shorten(source: FloatFormat, target: FloatFormat, flush: bool, w: Wires, v: Values) -> Results:
    """Lengthen or round the fraction; the exponent field stays the same and subnormals stay subnormal."""
    a = v.a
    infinite, nan = is_special(source, a)
    low = source.fraction_bits - target.fraction_bits
    kept = Cat(Const(0, max(-low, 0)), a[max(low, 0) : -1])
    if low > 0:
        guard, sticky = a[low - 1], a[: low - 1].any()
        kept = w("rounded", kept + (guard & (sticky | a[low])))
    if flush:
        kept = kept & a[source.fraction_bits : -1].any().replicate(len(kept))
    return {"result": pack(w, target, kept, a[-1], infinite, nan)}


def magnitude(exponent: int, w: Wires, v: Values) -> Results:
    """Step: sign and magnitude of an integer ``a`` whose top bit would have the exponent field ``exponent``."""
    a = v.a
    sign, width = a[-1], len(a)
    absolute = w.added("negated", a ^ sign.replicate(width), sign, width)
    field = Const(exponent, exponent.bit_length() + 1)
    return {"word": w("magnitude", absolute[:width]), "exponent": w("field_in", field), "sign": sign}


def _count(fmt: FloatFormat, lowest: int, highest: int, left: int, w: Wires, v: Values) -> Results:
    found = locate(w, fmt, v.word, v.exponent, lowest, highest, left, False)
    return v.keep("word", "sign", "special", "nan") | found


def _shift(fmt: FloatFormat, left: int, w: Wires, v: Values) -> Results:
    found = place(w, fmt, v.word, v.amount, left)
    return v.keep("base", "low", "high", "subnormal", "sign", "special", "nan") | found


def _round(fmt: FloatFormat, flush: bool, w: Wires, v: Values) -> Results:
    magnitude = rounded(w, fmt, v.base, v.significand, v.guard, v.sticky)
    if flush:
        magnitude = magnitude & (~v.subnormal).replicate(len(magnitude))
    none = Const(0, 1)
    return {"result": pack(w, fmt, magnitude, v.sign, v.get("special", none), v.get("nan", none))}


def _count_amount(w: Wires, v: Values) -> Results:
    """Right shift of a magnitude, after a move up by all of its places but one."""
    count, _ = leading_zeros(v.word)
    zeros = w("zeros", Cat(*count))
    left = Const(len(v.word) - 1, len(zeros))
    return v.keep("word", "sign") | {"amount": w("amount", subtract(left, zeros, len(zeros)))}


def _shift_whole(fmt: FloatFormat, w: Wires, v: Values) -> Results:
    """Shift; of the exponent field less one, ``amount + bias - 1``, the low bits, and 1 if it is below its middle.

    The middle, of which only the top bit is set, is two above ``bias - 1``.
    """
    amount = v.amount
    low = subtract(amount, Const(2 % 2 ** len(amount), len(amount)), len(amount))
    base = {"low": w("low", low), "high": w("high", ~amount[1:].any())}
    return v.keep("sign") | base | place(w, fmt, v.word, amount, len(v.word) - 1)


def _round_split(fmt: FloatFormat, flush: bool, w: Wires, v: Values) -> Results:
    """Round; below its middle the exponent field has all bits set between its low bits and its top bit."""
    between = fmt.exponent_bits - 1 - len(v.low)
    base = w("base", Cat(v.low, v.high.replicate(between), ~v.high))
    return _round(fmt, flush, w, Values(v | {"base": base}))


def _distance(fmt: FloatFormat, width: int, flush: bool, w: Wires, v: Values) -> Results:
    """Right shift of the significand from the integer's top bit; negative on overflow."""
    exponent, significand = fields(fmt, v.a, flush)
    infinite, nan = is_special(fmt, v.a)
    highest = fmt.bias + width - 1  # the field of 2**(width - 1)
    bits = max(highest, 2**fmt.exponent_bits).bit_length() + 1
    distance = (Const(highest, bits) - zero_extend(exponent, bits))[:bits]
    huge = infinite if highest >= 2**fmt.exponent_bits - 1 else infinite | distance[-1]
    # Bits that move two or more places below the lowest bit only contribute to the sticky bit.
    limit = (max(width, fmt.fraction_bits + 1) + 2).bit_length()
    amount = distance[: bits - 1]
    if bits - 1 > limit:
        amount = amount[:limit] | amount[limit:].any().replicate(limit)
    found = {"amount": w("amount", amount), "huge": w("huge", huge & ~nan), "sign": v.a[-1]}
    return found | {"significand": significand & (~nan).replicate(len(significand))}


def _to_point(fmt: FloatFormat, width: int, w: Wires, v: Values) -> Results:
    """The bits of the integer, the guard bit and the sticky bit."""
    significand = v.significand
    frame = Cat(Const(0, max(width + 1 - len(significand), 0)), significand)
    below = len(frame) - (width + 1)
    shifted, lost = shift_right(w, "place", frame[below:], v.amount, width + 1)
    if below:
        lost = _tail(frame[:below], lost)
    kept = v.keep("huge", "sign")
    return kept | {"magnitude": shifted[1:], "guard": shifted[0], "sticky": w("sticky", lost)}


def _tail(bits: Value, lost: Value) -> Value:
    return lost | bits.any()


def _round_integer(width: int, w: Wires, v: Values) -> Results:
    """Round and negate in one addition: ``-(m + up)`` is ``~m + 1 - up``."""
    sign, magnitude = v.sign, v.magnitude
    up = v.guard & (v.sticky | magnitude[0])
    wide = zero_extend(magnitude, width + 1) ^ sign.replicate(width + 1)
    total = w("rounded", (wide + (sign ^ up))[: width + 1])
    over = w("over", v.huge | (total[-1] ^ total[-2]))
    limit = Cat((~sign).replicate(width - 1), sign)
    return {"result": w.either("integer", over, limit, total[:width])}


class FloatConvert(FloatBlock):
    """Converts a float to another format, rounded to nearest even."""

    def __init__(
        self,
        source: FloatFormat,
        target: FloatFormat,
        *,
        flush: bool = False,
        stages: int = 0,
        handshake: bool = False,
        free: bool = False,
        quick: bool = False,
    ) -> None:
        self.source, self.target = source, target
        name = f"fp_convert_{source.name}_{suffix(target, flush)}"
        chain = steps(source, target, flush, stages != 0)
        super().__init__(
            name, {"a": source.width}, target.width, chain, CONVERT_DELAYS[-len(chain) :], stages, handshake,
            free=free, quick=quick,
        )  # fmt: skip


class IntToFloat(FloatBlock):
    """Converts a two's complement integer to a float, rounded to nearest even."""

    def __init__(
        self,
        fmt: FloatFormat,
        width: int,
        *,
        stages: int = 0,
        handshake: bool = False,
        free: bool = False,
        quick: bool = False,
    ) -> None:
        self.format, self.width = fmt, check_integer_width(width)
        name, chain = f"fp_from_int{width}_{fmt.name}", from_integer_steps(fmt, width, stages != 0)
        super().__init__(
            name, {"a": width}, fmt.width, chain, CONVERT_DELAYS, stages, handshake, free=free, quick=quick
        )


class FloatToInt(FloatBlock):
    """Converts a float to a two's complement integer: nearest even, saturating, 0 for NaN."""

    def __init__(
        self, fmt: FloatFormat, width: int, *, flush: bool = False, stages: int = 0, handshake: bool = False
    ) -> None:
        self.format, self.width = fmt, check_integer_width(width)
        chain = to_integer_steps(fmt, width, flush)
        name = f"fp_to_int{width}_{suffix(fmt, flush)}"
        super().__init__(name, {"a": fmt.width}, width, chain, TO_INTEGER_DELAYS, stages, handshake)
