"""Pruned decode in hardware: leading-one codes, surrogate scores, buckets, and the selection by counting them."""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.pruning import CODE_BITS, ELEMENT_BITS, PLACE_BITS, SURROGATE_DELAYS, Pruning
from generator.arithmetic.floating.pipeline import Results, Values, Wires
from generator.arithmetic.floating.words import leading_zeros
from generator.arithmetic.integers import sign_extend, zero_extend
from generator.arithmetic.polynomial import looked_up
from generator.arithmetic.softmax.chain import Chain
from generator.block import Block
from generator.layout import elements


class LeadingOneCode(Block):
    """Reduces an int8 number to its sign and the place of its leading one."""

    place = "pruning"

    def __init__(self) -> None:
        super().__init__(
            "leading_one_code", {"value": In(ELEMENT_BITS), "code": Out(CODE_BITS)}, clocked=False
        )

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        sign = self.value[-1]
        magnitude = Signal(7)
        m.d.comb += magnitude.eq(((self.value[:7] ^ sign.replicate(7)) + sign)[:7])
        count, none = leading_zeros(magnitude)
        level = (Const(7, 3) - Cat(*count))[:3] & (~none).replicate(3)
        # The magnitude of -128 is 0 in seven bits, which gives the right code.
        m.d.comb += self.code.eq(Cat(level, sign))
        return m


class LeadingOneScore(Chain):
    """Adds up the products of the powers of two that the codes of a query and a key stand for."""

    place = "surrogate"

    def __init__(self, p: Pruning, stages: int = 0) -> None:
        self.pruning = p
        operands = {"q": p.dim * CODE_BITS, "k": p.dim * CODE_BITS}
        steps = (partial(_multiply, p), partial(_add, p))
        super().__init__(f"leading_one_score_d{p.dim}", operands, p.score_width, steps, stages)

    def delays(self) -> tuple[int, ...]:
        return SURROGATE_DELAYS


def _multiply(p: Pruning, w: Wires, v: Values) -> Results:
    """The position (0 to 14) and sign of every product, and whether it is nonzero."""
    places, signs, there = [], [], []
    codes = ArrayLayout(CODE_BITS, p.dim)
    for q, k in zip(elements(codes(v.q)), elements(codes(v.k)), strict=True):
        place = _place(q) + _place(k)
        places.append(w("place", place[:PLACE_BITS]))
        signs.append(q[-1] ^ k[-1])
        there.append(q.any() & k.any())
    return {"places": Cat(*places), "signs": Cat(*signs), "there": Cat(*there)}


def _place(code: Value) -> Value:
    """The position of a code, 0 to 7. That of -128, whose level is 0, is 7."""
    return (code[:3] - Const(1, 3))[:3]


def _add(p: Pruning, w: Wires, v: Values) -> Results:
    words = []
    places = elements(ArrayLayout(PLACE_BITS, p.dim)(v.places))
    for place, sign, there in zip(places, v.signs, v.there, strict=True):
        one = w("one", there << place)
        words.append(w("term", ((one ^ sign.replicate(16)) + sign)[:16]))
    while len(words) > 1:
        pairs = [
            w("pair", (a.as_signed() + b.as_signed()).as_unsigned())
            for a, b in zip(words[::2], words[1::2], strict=False)
        ]
        words = pairs + words[len(words) & ~1 :]
    return {"result": sign_extend(words[0], p.score_width)}


class Bucket(Block):
    """Numbers the bucket of a surrogate score."""

    place = "pruning"

    def __init__(self, p: Pruning) -> None:
        self.pruning = p
        ports = {"score": In(p.score_width), "bucket": Out(p.bucket_width)}
        super().__init__(f"score_bucket_w{p.score_width}b{p.bucket_bits}", ports, clocked=False)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        p = self.pruning
        bits, width = p.bucket_bits, p.score_width - 1
        sign = self.score[-1]
        magnitude = Signal(width)
        m.d.comb += magnitude.eq(self.score[:-1] ^ sign.replicate(width))
        # If no bit above the lowest ones is set, they are the number; the positions above therefore start at 1.
        high = magnitude[bits:]
        count, none = leading_zeros(high)
        zeros, top = Signal(len(count)), Signal(width)
        m.d.comb += zeros.eq(Cat(*count))
        m.d.comb += top.eq((magnitude << zeros)[:width])
        wide = p.bucket_width - 1 - bits
        place = (Const(len(high), wide) - zero_extend(zeros, wide))[:wide] & (~none).replicate(wide)
        behind = Mux(none, magnitude[:bits], top[width - 1 - bits : width - 1]) if bits else Const(0, 0)
        number = Cat(behind, place)
        m.d.comb += self.bucket.eq(Cat(number ^ sign.replicate(p.bucket_width - 1), ~sign))
        return m


class TopK(Block):
    """Selects the K best keys by counting buckets.

    The sequence is ``clear`` for a cycle; one bucket per cycle with ``count``; ``scan`` for a cycle, ``candidates``
    being valid; and, once ``ready``, the same buckets again, one per cycle with ``pick``. In that cycle ``taken`` is 1
    if the key is selected. The scan visits one bucket per cycle from the highest down and stops when there are enough
    keys.
    """

    place = "top_k"

    def __init__(self, p: Pruning) -> None:
        self.pruning = p
        self.buckets = 1 << p.bucket_width
        self.latency = f"at most {p.search_cycles} cycles from scan to ready"
        ports = {
            "clear": In(1),
            "count": In(1),
            "scan": In(1),
            "pick": In(1),
            "bucket": In(p.bucket_width),
            "candidates": In(p.count_width),
            "ready": Out(1),
            "taken": Out(1),
        }
        name = f"top_k_w{p.score_width}b{p.bucket_bits}n{p.count_width}"
        super().__init__(name, ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        p = self.pruning
        width, number = p.count_width, p.bucket_width
        middle, half = 1 << (number - 1), p.magnitude_buckets
        lowest, highest = middle - half, middle + half - 1
        counts = [Signal(width, name=f"count{n}", reset_less=True) for n in range(lowest, highest + 1)]
        for place, counter in enumerate(counts, start=lowest):
            with m.If(self.clear):
                m.d.sync += counter.eq(0)
            with m.Elif(self.count & (self.bucket == place)):
                m.d.sync += counter.eq(counter + 1)
        last = Signal(number, reset_less=True)
        room = Signal(width, reset_less=True)
        scanning = Signal()
        here, enough = Signal(width), Signal()
        unused = [Const(0, width)] * lowest
        m.d.comb += here.eq(looked_up([*unused, *counts, *unused], last))
        m.d.comb += enough.eq((here >= room) | (last == lowest))
        same = self.bucket == last
        m.d.comb += self.taken.eq((self.bucket > last) | (same & room.any()))
        with m.If(self.scan):
            m.d.sync += [last.eq(highest), room.eq(self.candidates), scanning.eq(1)]
        with m.Elif(scanning & ~enough):
            m.d.sync += [last.eq(last - 1), room.eq(room - here)]
        with m.Elif(scanning):
            m.d.sync += scanning.eq(0)
        with m.Elif(self.pick & same & room.any()):
            m.d.sync += room.eq(room - 1)
        m.d.comb += self.ready.eq(~scanning)
        return m
