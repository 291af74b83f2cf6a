"""Softmax attention written a second time, from docs/families/streaming_attention.md alone, in plain Python integers.

Nothing is imported from the project: what the page leaves open, or says wrongly, shows up as a difference.
``constants`` are those of the manifest. A float is its pattern. Slow, one number at a time.
"""

from __future__ import annotations

from fractions import Fraction
from math import inf, isinf, isnan, nan
from typing import Any

#: Exponent and fraction bits.
FORMATS = {"fp16": (5, 10), "bf16": (8, 7), "fp32": (8, 23)}

Exact = Fraction | float


# Floats: "round to nearest even, subnormals kept, one pattern of NaN" ------------------------------------------------


def number(fmt: str, word: int) -> tuple[int, Exact]:
    """(sign, value) of a pattern."""
    e, f = FORMATS[fmt]
    sign, field, fraction = word >> (e + f), word >> f & ((1 << e) - 1), word & ((1 << f) - 1)
    if field == (1 << e) - 1:
        return sign, nan if fraction else (-inf if sign else inf)
    bias = (1 << (e - 1)) - 1
    significand = fraction | (1 << f if field else 0)
    size = Fraction(significand) * Fraction(2) ** (max(field, 1) - bias - f)
    return sign, -size if sign else size


def nearest(fmt: str, value: Exact, sign: int) -> int:
    """The pattern nearest to a value; ``sign`` is that of a zero."""
    e, f = FORMATS[fmt]
    bias, infinity = (1 << (e - 1)) - 1, ((1 << e) - 1) << f
    if isnan(value):
        return infinity | 1 << (f - 1)
    sign = sign if value == 0 else int(value < 0)
    top = sign << (e + f)
    if isinf(value):
        return top | infinity
    size = abs(Fraction(value))
    if size == 0:
        return top
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent = max(exponent - (size < Fraction(2) ** exponent), 1 - bias)
    units = round(size / Fraction(2) ** (exponent - f))  # ties to even
    # One unit too many of the largest significand is the next exponent's first, and of the largest number infinity.
    pattern = units if exponent == 1 - bias else ((exponent + bias - 1) << f) + units
    return top | min(pattern, infinity)


def multiplied(fmt: str, a: int, b: int) -> int:
    (s, x), (t, y) = number(fmt, a), number(fmt, b)
    invalid = isnan(x) or isnan(y) or (isinf(x) and y == 0) or (isinf(y) and x == 0)
    if isinf(x) or isinf(y):
        return nearest(fmt, nan if invalid else (-inf if s ^ t else inf), 0)
    return nearest(fmt, nan if invalid else x * y, s ^ t)


def added(fmt: str, a: int, b: int) -> int:
    (s, x), (t, y) = number(fmt, a), number(fmt, b)
    return nearest(fmt, x + y, s & t)


def converted(source: str, target: str, word: int) -> int:
    sign, x = number(source, word)
    return nearest(target, x, sign)


# One row ------------------------------------------------------------------------------------------------------------


def half_up(value: int, shift: int) -> int:
    """Divided by a power of two, to nearest, ties up."""
    return (2 * value + (1 << shift)) >> (shift + 1)


class Row:
    """One query against the keys that it sees, in their order."""

    def __init__(
        self,
        constants: dict[str, Any],
        graph: str,
        inputs: str,
        sums: str,
        scale: dict[str, int],
        sum_stages: int = 0,
    ) -> None:
        self.turns = sum_stages + 1
        self.c, self.graph, self.inputs, self.sums, self.scale = constants, graph, inputs, sums, scale
        self.floats = sums in ("fp32", "same")
        self.fmt = inputs if sums == "same" else "fp32"
        self.first = graph in ("naive", "scaled")
        self.saturated = False

    def attend(self, q: list[int], keys: list[list[int]], values: list[list[int]]) -> list[int]:
        """The elements of the output."""
        t = [self.exponent(self.score(q, key)) for key in keys]
        references = self.references(t)
        p = [self.weight(x, m) for x, m in zip(t, references, strict=True)]
        total = self.sum_weights(p, references)
        if not keys:
            return [0] * len(q)
        self.saturated |= self.graph == "naive" and total < self.half()
        self.saturated |= self.sums == "same" and self.stalls(total)
        inverse = self.reciprocal(total)
        if self.first:
            p = [self.share(x, inverse) for x in p]
        out = []
        for column in zip(*values, strict=True):
            terms = [self.term(x, v) for x, v in zip(p, column, strict=True)]
            out.append(self.output(self.sum_values(terms, references), inverse))
        return out

    # 1. Score

    def score(self, q: list[int], key: list[int]) -> Any:
        if self.sums == "integer":
            return sum(x * y for x, y in zip(q, key, strict=True))
        if self.floats:
            wide = [[converted(self.inputs, self.fmt, x) for x in side] for side in (q, key)]
            found = [multiplied(self.fmt, x, y) for x, y in zip(*wide, strict=True)]
            while len(found) > 1:
                pairs = [added(self.fmt, x, y) for x, y in zip(found[::2], found[1::2], strict=False)]
                found = pairs + found[2 * len(pairs) :]
            return found[0]
        total, broken = 0, False
        for x, y in zip(q, key, strict=True):
            (s, a), (t, b) = number(self.inputs, x), number(self.inputs, y)
            if not (abs(a) < inf and abs(b) < inf):
                broken = True
            elif a and b:
                product = min(int(abs(a * b) * 2 ** self.c["score_fraction"]), self.largest_product())
                if self.exponent_of(x) + self.exponent_of(y) > 14:
                    product, self.saturated = self.largest_product(), True
                total += -product if s ^ t else product
        return None if broken else total

    def exponent_of(self, word: int) -> int:
        e, f = FORMATS[self.inputs]
        return max(word >> f & ((1 << e) - 1), 1) - ((1 << (e - 1)) - 1)

    def largest_product(self) -> int:
        return (1 << (16 + self.c["score_fraction"])) - 1

    # 2. Exponent

    def exponent(self, score: Any) -> int | None:
        if score is None:
            return None
        f = self.c["exponent_fraction"]
        if self.floats:
            value = number(self.fmt, multiplied(self.fmt, score, self.scale["multiplier"]))[1]
            if isnan(value):
                return None
            self.saturated |= isinf(number(self.fmt, score)[1])
            t = round(max(min(value, Fraction(2) ** 60), -(Fraction(2) ** 60)))
        else:
            t = half_up(score * self.scale["multiplier"], self.scale["shift"])
        if t > 32767 << f:
            self.saturated = True
        return max(min(t, 32767 << f), -32767 << f)

    # 3. Reference

    def references(self, t: list[int | None]) -> list[int]:
        f = self.c["exponent_fraction"]
        if self.graph == "naive":
            m = self.scale["offset"]
            self.saturated |= bool(t) and m < -32512
            self.saturated |= any(x is not None and x > m << f for x in t)
            return [m] * len(t)
        whole = [-(-(x or 0) >> f) for x in t]  # NaN counts as 0
        running = [max(whole[: n + 1]) for n in range(len(whole))]
        self.saturated |= bool(t) and running[-1] < -32512
        return running if self.graph == "memory_free" else running[-1:] * len(t)

    # 4. Weight

    def weight(self, t: int | None, m: int) -> int | None:
        if t is None:
            return nearest(self.fmt, nan, 0) if self.floats else None
        f, mantissa = self.c["exponent_fraction"], self.c["mantissa_bits"]
        x = min(t - (m << f), 0)
        down, y = -(x >> f), self.power(x & ((1 << f) - 1))
        if self.floats:
            e, fraction = FORMATS[self.fmt]
            field = (1 << (e - 1)) - 1 - down
            return (field << fraction) + y - (1 << fraction) if field > 0 else 0
        # y * 2**(P - M - down), with half a unit added, where y has first lost what is more than a bit below P.
        kept = self.c["weight_fraction"] + 1 - mantissa
        y = y << kept if kept >= 0 else y >> -kept
        return ((y >> down) + 1) >> 1

    def power(self, f: int) -> int:
        columns = self.c["coefficients"]
        u_bits = self.c["exponent_fraction"] - (len(columns[0]).bit_length() - 1)
        segment, u = f >> u_bits, f & ((1 << u_bits) - 1)
        total = columns[-1][segment]
        for column in columns[-2::-1]:
            total = column[segment] + (total * u >> u_bits)
        return min(total >> 3, (2 << self.c["mantissa_bits"]) - 1)

    # 5. Sums

    def moves(self, references: list[int]) -> list[int]:
        if self.graph != "memory_free":
            return [0] * len(references)
        return [0] + [now - before for before, now in zip(references, references[1:], strict=False)]

    def lowered(self, word: int, shift: int) -> int:
        """A float with its exponent lowered."""
        e, f = FORMATS[self.fmt]
        field = word >> f & ((1 << e) - 1)
        if shift == 0 or field == (1 << e) - 1:
            return word
        return word - (shift << f) if field > shift else 0

    def in_turns(self, terms: list[int], references: list[int]) -> int:
        """The sum of floats: partial sums take turns, and the oldest two are added until one is left."""
        sums = [0] * self.turns
        for x, shift in zip(terms, self.moves(references), strict=True):
            sums = [self.lowered(each, shift) for each in sums]
            sums = [*sums[1:], added(self.fmt, sums[0], x)]
        while len(sums) > 1:
            sums = [*sums[2:], added(self.fmt, *sums[:2])]
        return sums[0]

    def sum_weights(self, p: list[Any], references: list[int]) -> int:
        if self.floats:
            return self.in_turns(p, references)
        total = 0
        for x, shift in zip(p, self.moves(references), strict=True):
            total = (total >> shift) + (x or 0)
        return total

    def term(self, p: Any, v: int) -> Any:
        if self.sums == "integer":
            return p * v
        if self.floats:
            return multiplied(self.fmt, p, converted(self.inputs, self.fmt, v))
        sign, value = number(self.inputs, v)
        if not abs(value) < inf:
            return None
        if abs(value) >= 65536:
            self.saturated = True
            value = value / Fraction(2) ** (self.exponent_of(v) - 15)
        if p is None:
            return None
        size = int(p * abs(value) * Fraction(2) ** (self.c["value_fraction"] - self.c["weight_fraction"]))
        return -size if sign else size

    def sum_values(self, terms: list[Any], references: list[int]) -> Any:
        if self.floats:
            return self.in_turns(terms, references)
        total = 0
        for x, shift in zip(terms, self.moves(references), strict=True):
            if total is None or x is None:
                total = None  # type: ignore[assignment]
            else:
                total = (total >> shift) + x
        return total

    def half(self) -> int:
        return nearest(self.fmt, Fraction(1, 2), 0) if self.floats else 1 << (self.c["weight_fraction"] - 1)

    def stalls(self, total: int) -> bool:
        size = number(self.fmt, total)[1]
        return bool(size >= 2 ** (FORMATS[self.fmt][1] + 1))

    # 6. Reciprocal

    def reciprocal(self, total: int) -> Any:
        r = self.c["divisor_fraction"]
        if self.floats:
            size = number(self.fmt, total)[1]
            if isnan(size):
                return total
            e, f = FORMATS[self.fmt]
            field = total >> f
            if field == 0 or isinf(size):
                return 0
            divisor = (total & ((1 << f) - 1) | 1 << f) >> (f - r)
            return self.packed((2 << 2 * r) // divisor, (1 << e) - 2 - field, f)
        if total == 0:
            return (0, 0) if not self.as_float() else 0
        zeros = self.c["sum_width"] - total.bit_length()
        top = total << zeros
        cut = self.c["sum_width"] - r - 1
        quotient = (2 << 2 * r) // (top >> cut if cut >= 0 else top << -cut)
        if self.as_float():
            return self.packed(
                quotient, 127 - (self.c["sum_width"] - 1 - zeros - self.c["weight_fraction"]), 23
            )
        if not self.first:
            quotient = quotient * self.scale["output_multiplier"] >> 15
        return quotient, zeros

    def as_float(self) -> bool:
        return self.sums == "fixed" and not self.first

    def packed(self, quotient: int, field: int, f: int) -> int:
        r = self.c["divisor_fraction"]
        field += -1 if quotient < 2 << r else 0
        return (field << r | quotient & ((1 << r) - 1)) << (f - r) if field > 0 else 0

    # 7. Share

    def share(self, p: Any, inverse: Any) -> Any:
        if self.floats:
            return multiplied(self.fmt, p, inverse)
        if p is None:
            return None
        quotient, zeros = inverse
        width, fraction, r = self.c["sum_width"], self.c["weight_fraction"], self.c["divisor_fraction"]
        drop = max(width - fraction - 3, 0)
        return half_up(((p << zeros) >> drop) * quotient, r + width - fraction - drop)

    # 8. Output

    def output(self, total: Any, inverse: Any) -> int:
        if self.sums == "integer":
            return self.output_integer(total, inverse)
        fmt = self.fmt
        if self.sums == "fixed":
            fmt = self.inputs if self.first else "fp32"
            total = nearest(fmt, nan if total is None else Fraction(total, 1 << self.c["value_fraction"]), 0)
        if not self.first:
            total = multiplied(fmt, total, inverse)
        found = converted(fmt, self.inputs, total)
        self.saturated |= isinf(number(self.inputs, found)[1])
        return found

    def output_integer(self, total: int, inverse: tuple[int, int]) -> int:
        if self.first:
            found = half_up(
                total * self.scale["output_multiplier"],
                self.c["weight_fraction"] + self.scale["output_shift"],
            )
        else:
            gain, zeros = inverse
            r = self.c["divisor_fraction"]
            left = r + 1 - self.c["sum_width"]
            moved = total << zeros
            moved = moved << left if left >= 0 else moved >> -left
            found = half_up(moved * gain, 2 * r - 14 + self.scale["output_shift"])
        self.saturated |= not -128 <= found <= 127
        return max(min(found, 127), -128)
