"""Baselines: lanes that multiply, select-add as one would write it, and tables of one-bit weights."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from benchmarks.optimum.fetches import tree
from blueprint.arithmetic import floating
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.numbers import clog2
from generator.arithmetic.carry_save import signed_sum
from generator.arithmetic.floating import FloatMultiply, FloatPair
from generator.arithmetic.integers import one_of, parts, sign_extend
from generator.block import Block, drive
from generator.families.ternary_lut.float_lane import FloatLane


class FloatMultiplyLane(Block):
    """The float multiplier baseline: one result from ``count`` products, added pairwise and accumulated."""

    place = "lane"

    def __init__(self, spec: TernaryLutSpec) -> None:
        self.spec, self.format = spec, floating.get(spec.activation)
        self.lane, self.multiply = FloatLane(spec), FloatMultiply(self.format)
        bits = spec.lut_count * self.format.width
        ports = {"activation": In(bits), "weight": In(bits), "first": In(1), "result": Out(self.format.width)}
        super().__init__(f"float_multiply_{self.format.name}_{spec.lut_count}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, products = self.module(), []
        width = self.format.width
        pairs = zip(parts(self.activation, width), parts(self.weight, width), strict=True)
        for number, (act, weight) in enumerate(pairs):
            products.append(Signal(width, name=f"product{number}"))
            self.use(m, self.multiply, f"multiply{number}", a=act, b=weight, result=products[-1])
        pins = {"value": Cat(*products), "first": self.first, "result": self.result}
        self.use(m, self.lane, "lane", enable_accumulator=Const(1, 1), **pins)
        return m


class MultiplyLane(Block):
    """The integer multiplier baseline: one result from ``count`` products of two signed numbers, accumulated.

    Bits of equal weight are added over all products first, in carry-save trees without extended signs, and then the
    sums: less than half of what products written as such are mapped to.
    """

    place = "lane"

    def __init__(self, act_width: int, weight_width: int, count: int, acc_width: int) -> None:
        self.act, self.weight_bits, self.acc = act_width, weight_width, acc_width
        ports = {
            "activation": In(count * act_width), "weight": In(count * weight_width), "first": In(1),
            "result": Out(acc_width),
        }  # fmt: skip
        super().__init__(f"multiply_{act_width}x{weight_width}_{count}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        acts, weights = parts(self.activation, self.act), parts(self.weight, self.weight_bits)
        width = self.act + clog2(len(acts))
        offset = Const(1 << (self.act - 1), self.act)
        held = Signal(self.acc, name="accumulator", reset_less=True)
        total: Value = (held & ~self.first.replicate(self.acc)).as_signed()
        for place in range(self.weight_bits):
            words: list[Value] = []
            for number, (act, weight) in enumerate(zip(acts, weights, strict=True)):
                words.append(Signal(self.act, name=f"word{place}_{number}"))
                m.d.comb += words[-1].eq((act & weight[place].replicate(self.act)) ^ offset)
            plane = Signal(width, name=f"plane{place}")
            m.d.comb += plane.eq(signed_sum(m, words, [], width)[0])
            moved = plane.as_signed() << place
            total = total - moved if place == self.weight_bits - 1 else total + moved
        m.d.sync += held.eq(total)
        m.d.comb += self.result.eq(held)
        return m


def select_add_lane(act_width: int, count: int, acc_width: int = 32) -> str:
    """Verilog of select-add as one would write it: one result, each 2-bit weight selects x, -x or 0."""
    a = act_width
    lines = [
        f"wire signed [{a}:0] t{i} = w[{2 * i + 1}] ? -x{i} : w[{2 * i}] ? x{i} : 0;" for i in range(count)
    ]
    inputs = [f"wire signed [{a - 1}:0] x{i} = a[{i * a} +: {a}];" for i in range(count)]
    head = f"module core(input clk, input first, input [{count * a - 1}:0] a, input [{2 * count - 1}:0] w,"
    return "\n".join([
        head, f"output reg signed [{acc_width - 1}:0] y);", *inputs, *lines,
        f"wire signed [{acc_width - 1}:0] so_far = first ? 0 : y;",
        f"always @(posedge clk) y <= so_far + {' + '.join(f't{i}' for i in range(count))};\nendmodule\n",
    ])  # fmt: skip


class BinaryBuild(Block):
    """All sums of a group of activations with signs, the first one plus: the half table of one-bit weights."""

    place = "build"

    def __init__(self, spec: TernaryLutSpec) -> None:
        self.spec, self.width = spec, int(spec.entry_width)
        self.pair = FloatPair(floating.get(spec.activation)) if spec.floats else None
        ports = {"activation": In(spec.mu * spec.act_width), "entry": Out(self.width << (spec.mu - 1))}
        super().__init__(f"binary_build_{spec.mu}_{spec.activation}{spec.act_width}", ports, clocked=False)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        acts = [sign_extend(a, self.width) for a in parts(self.activation, self.spec.act_width)]
        self._number = 0
        drive(m, self.entry, Cat(*self._sums(m, acts)))
        return m

    def _sums(self, m: Module, acts: list[Value]) -> list[Value]:
        """Sums of the left half meet those of the right half."""
        if len(acts) == 1:
            return acts
        half = len(acts) // 2
        left, right = self._sums(m, acts[:half]), self._sums(m, acts[half:])
        return [word for a in left for b in right for word in self._both(m, a, b)]

    def _both(self, m: Module, a: Value, b: Value) -> list[Value]:
        self._number += 1
        if self.pair is None:
            words = [Signal(self.width, name=f"{what}{self._number}") for what in ("plus", "minus")]
            m.d.comb += [words[0].eq(a + b), words[1].eq(a - b)]
            return list(words)
        both = Signal(2 * self.width, name=f"both{self._number}")
        self.use(m, self.pair, f"pair{self._number}", a=a, b=b, result=both)
        return parts(both, self.width)


class BinaryFetch(Block):
    """Reads a half table of one-bit weights; one bit of the key is the sign."""

    place = "fetch"

    def __init__(self, spec: TernaryLutSpec, as_tree: bool) -> None:
        self.spec, self.as_tree, width = spec, as_tree, int(spec.entry_width)
        ports = {"key": In(spec.mu), "entry": In(width << (spec.mu - 1)), "value": Out(width)}
        kind = spec.activation + ("_tree" if as_tree else "")
        super().__init__(f"binary_fetch_{spec.mu}_w{width}_{kind}", ports, clocked=False)

    def elaborate(self, platform: Any) -> Module:
        m, width = self.module(), int(self.spec.entry_width)
        words, sign, index = parts(self.entry, width), self.key[-1], self.key[:-1]
        if self.as_tree:
            found = tree(list(words), list(index))
        else:
            found = one_of([index == number for number in range(len(words))], words)
        if self.spec.floats:
            drive(m, self.value, Cat(found[:-1], found[-1] ^ sign))
        else:
            drive(m, self.value, found ^ sign.replicate(width) ^ Const(1 << (width - 1), width))
        return m
