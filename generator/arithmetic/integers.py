"""Integer adders, comparisons, selection, and slices of packed words."""

from bisect import bisect_right
from itertools import accumulate

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.hdl._ast import Concat, Slice

from blueprint.arithmetic.products import CHOSEN_BITS
from blueprint.numbers import ceil_div


def parts(packed: Value, width: int) -> list[Value]:
    """The elements of a packed vector, element 0 in the lowest bits."""
    packed = Value.cast(packed)
    return cut(packed, [(low, min(low + width, len(packed))) for low in range(0, len(packed), width)])


def cut(packed: Value, places: list[tuple[int, int]]) -> list[Value]:
    """Slices ``(low, high)`` of a vector, in the order of ``places``.

    Pieces of slices and concatenations are sliced themselves, because Amaranth writes out all bits of a sliced value.
    """
    if isinstance(packed, Slice):
        return cut(packed.value, [(low + packed.start, high + packed.start) for low, high in places])
    if not isinstance(packed, Concat):
        return [packed[low:high] for low, high in places]
    pieces = [piece for piece in packed.parts if len(piece)]
    starts = [0, *accumulate(map(len, pieces))]
    return [_from_pieces(pieces, starts, low, high) for low, high in places]


def _from_pieces(pieces: list[Value], starts: list[int], low: int, high: int) -> Value:
    """Bits ``low`` to ``high`` of a concatenation; ``starts`` are the first bits of its pieces, and its length."""
    found = []
    for number in range(bisect_right(starts, low) - 1, len(pieces)):
        begin = starts[number]
        if begin >= high:
            break
        own = max(low - begin, 0), min(high - begin, len(pieces[number]))
        found += [pieces[number]] if own == (0, len(pieces[number])) else cut(pieces[number], [own])
    return found[0] if len(found) == 1 else Cat(*found)


def add(left: Value, right: Value, carry: Value | None, width: int) -> Value:
    """``left + right + carry`` modulo ``2**width`` in one adder: the carry enters below the lowest bit."""
    left, right = zero_extend(left, width), zero_extend(right, width)
    if carry is None:
        return (left + right)[:width]
    return (Cat(Const(1, 1), left) + Cat(carry, right))[1 : width + 1]


def quick_add(m: Module, name: str, left: Value, right: Value, width: int) -> Value:
    """``left + right`` modulo ``2**width`` by a parallel-prefix network: few gates in series, but more of them."""
    a, b = Signal(width, name=f"{name}_left"), Signal(width, name=f"{name}_right")
    m.d.comb += [a.eq(zero_extend(left, width)), b.eq(zero_extend(right, width))]
    top, level, reach = width - 1, 0, 1
    made, passed = a[:top] & b[:top], a[1:top] | b[1:top]
    while True:
        makes = Signal(top, name=f"{name}_makes{level}")
        m.d.comb += makes.eq(made)
        if reach >= top:
            return a ^ b ^ Cat(Const(0, 1), makes)
        # Every second group of bits is combined with the group below it; no carry passes through the lowest group.
        passes = Signal(top - reach, name=f"{name}_passes{level}")
        m.d.comb += passes.eq(passed)
        odd = [bit // reach % 2 == 1 for bit in range(top)]
        last = [bit // reach * reach - 1 for bit in range(top)]
        made = Cat(
            makes[bit] | (passes[bit - reach] & makes[last[bit]]) if odd[bit] else makes[bit]
            for bit in range(top)
        )
        passed = Cat(
            passes[bit - reach] & passes[last[bit] - reach] if odd[bit] else passes[bit - reach]
            for bit in range(2 * reach, top)
        )
        level, reach = level + 1, 2 * reach


def select_add(m: Module, name: str, left: Value, right: Value, width: int) -> Value:
    """``left + right`` modulo ``2**width`` in blocks, each computed for both carries, of which one is chosen."""
    left, right = zero_extend(left, width), zero_extend(right, width)
    count = ceil_div(width, CHOSEN_BITS)
    carry: Value = Const(0, 1)
    found: list[Value] = []
    for block in range(count):
        low, high = width * block // count, width * (block + 1) // count
        more = high < width
        plain = Signal(high - low + more, name=f"{name}_plain{block}")
        m.d.comb += plain.eq(left[low:high] + right[low:high])
        chosen = plain
        if block:
            one = Const(1, 1)
            carried, chosen = (
                Signal(len(plain), name=f"{name}_{what}{block}") for what in ("carried", "chosen")
            )
            m.d.comb += carried.eq((Cat(one, left[low:high]) + Cat(one, right[low:high]))[1 : len(plain) + 1])
            m.d.comb += chosen.eq(Mux(carry, carried, plain))
        found.append(chosen[: high - low])
        carry = chosen[-1]
    return Cat(*found)


def below(left: Value, right: Value) -> Value:
    """1 if ``left < right``, both unsigned, by a tree over their bits."""
    return _ordered(left, right)[0]


def at_most(left: Value, right: Value) -> Value:
    """1 if ``left <= right``, both unsigned, by a tree over their bits."""
    return ~below(right, left)


def _ordered(left: Value, right: Value) -> tuple[Value, Value]:
    """(1 if left < right, 1 if left <= right)."""
    width = max(len(left), len(right), 1)
    left, right = zero_extend(left, width), zero_extend(right, width)
    found = [(~a & b, ~a | b) for a, b in zip(left, right, strict=True)]
    while len(found) > 1:
        pairs = [
            (above[0] | (above[1] & low[0]), above[0] | (above[1] & low[1]))
            for low, above in zip(found[::2], found[1::2], strict=False)
        ]
        found = pairs + found[len(found) & ~1 :]
    return found[0]


def one_of(selects: list[Value], words: list[Value]) -> Value:
    """The word whose line is set, zero if none: an AND-OR of one-hot lines."""
    gated = [word & line.replicate(len(word)) for line, word in zip(selects, words, strict=True)]
    while len(gated) > 1:
        gated = [a | b for a, b in zip(gated[::2], gated[1::2], strict=False)] + gated[len(gated) & ~1 :]
    return gated[0]


def zero_extend(value: Value, width: int) -> Value:
    """``value`` as an unsigned word of ``width`` bits, narrower or wider."""
    return Cat(value, Const(0, width - len(value))) if len(value) < width else value[:width]


def sign_extend(value: Value, width: int) -> Value:
    """``value`` as a two's complement word of ``width`` bits, narrower or wider."""
    if len(value) >= width:
        return value[:width]
    return Cat(value, value[-1].replicate(width - len(value)))


def tree_sum(m: Module, words: list[Value], signs: list[Value], width: int) -> tuple[Value, list[Value]]:
    """Add two's complement words pairwise; every adder takes one of the single bits as its carry.

    Returns the sum in ``width`` bits and the single bits that found no adder.
    """
    free = list(signs)
    level = 0
    while len(words) > 1:
        pairs = []
        for number in range(0, len(words) - 1, 2):
            wide = min(max(len(words[number]), len(words[number + 1])) + 1, width)
            total = Signal(wide, name=f"tree{level}_{number}")
            left, right = (sign_extend(word, wide) for word in words[number : number + 2])
            m.d.comb += total.eq(add(left, right, free.pop(0) if free else None, wide))
            pairs.append(total)
        words = pairs + ([words[-1]] if len(words) % 2 else [])
        level += 1
    return sign_extend(words[0], width), free
