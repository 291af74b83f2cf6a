"""Hardware that only the optimum study needs: cores without a shell, baselines, and variants that were not kept."""

from itertools import combinations
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint import floating, ternary
from blueprint.numbers import clog2
from blueprint.ternary_lut import TernaryLutSpec
from generator.arithmetic import one_of, parts, sign_extend, signed_sum
from generator.block import Block, drive
from generator.floating import FixedToFloat, FloatMultiply, FloatPair, FloatToFixed
from generator.ternary_lut.fetch import Fetch
from generator.ternary_lut.float_lane import FloatLane
from generator.ternary_lut.float_table import FloatTable
from generator.ternary_lut.lane import Lane
from generator.ternary_lut.table import TableBuild


class Tile(Block):
    """Holds the fixed-point activations of a tile and whether one of them so far was NaN or infinite."""

    place = "tile"

    def __init__(self, spec: TernaryLutSpec) -> None:
        self.count, self.width = int(spec.tile_k), int(spec.tile_k) * int(spec.word_width)
        ports = {
            "word": In(self.width), "flag": In(self.count), "first": In(1),
            "held": Out(self.width), "broken": Out(1),
        }  # fmt: skip
        super().__init__(f"tile_k{self.count}_w{spec.word_width}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        held = Signal(self.width, name="tile", reset_less=True)
        broken, before = (
            Signal(name="broken_tile", reset_less=True),
            Signal(name="broken_sum", reset_less=True),
        )
        m.d.sync += [held.eq(self.word), broken.eq(self.flag.any() | (broken & ~self.first))]
        m.d.sync += before.eq(broken)
        m.d.comb += [self.held.eq(held), self.broken.eq(before)]
        return m


def leaves(spec: TernaryLutSpec) -> dict[str, Block]:
    """The modules a core is made of, by what they do."""
    found: dict[str, Block] = {
        "build": FloatTable(spec) if spec.floats else TableBuild(spec),
        "fetch": Fetch(spec),
        "lane": FloatLane(spec) if spec.floats else Lane(spec),
    }
    if spec.fixed:
        source, target = floating.get(spec.activation), floating.get(str(spec.output_format))
        found |= {
            "to_fixed": FloatToFixed(source),
            "tile": Tile(spec),
            "to_float": FixedToFloat(source, target, int(spec.result_width)),
        }
    return found


class Core(Block):
    """A core of one column group without its shell: activations and keys come in, accumulators go out."""

    place = "core"

    def __init__(self, spec: TernaryLutSpec) -> None:
        self.spec, self.leaves = spec, leaves(spec)
        self.key = int(ternary.key_width("sign_index", spec.mu))
        self.out = floating.get(str(spec.output_format)).width if spec.fixed else int(spec.result_width)
        ports = {
            "activation": In(int(spec.tile_k) * spec.act_width),
            "keys": In(spec.lut_count * spec.fetch_count * self.key),
            "first": In(1),
            "result": Out(spec.fetch_count * self.out),
        }
        super().__init__(f"core_{spec.name}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        spec, m = self.spec, self.module()
        words, broken = self._words(m)
        tables: list[Value] = []
        for number, group in enumerate(parts(words, spec.mu * int(spec.word_width))):
            tables.append(Signal(int(spec.entries * spec.entry_width), name=f"table{number}"))
            self.use(m, self.leaves["build"], f"build{number}", activation=group, entry=tables[-1])
        keys = iter(parts(self.keys, self.key))
        results = [self._column(m, column, tables, keys, broken) for column in range(spec.fetch_count)]
        m.d.comb += self.result.eq(Cat(*results))
        return m

    def _words(self, m: Module) -> tuple[Value, Value]:
        """Activations as the tables take them."""
        if not self.spec.fixed:
            return self.activation, Const(0, 1)
        words, flags = [], []
        for number, act in enumerate(parts(self.activation, self.spec.act_width)):
            words.append(Signal(int(self.spec.word_width), name=f"fixed{number}"))
            flags.append(Signal(name=f"flag{number}"))
            self.use(m, self.leaves["to_fixed"], f"fix{number}", a=act, result=words[-1], broken=flags[-1])
        held, broken = Signal(len(Cat(*words)), name="held"), Signal(name="broken")
        pins = {"word": Cat(*words), "flag": Cat(*flags), "first": self.first}
        self.use(m, self.leaves["tile"], "tile", **pins, held=held, broken=broken)
        return held, broken

    def _column(self, m: Module, column: int, tables: list[Value], keys: Any, broken: Value) -> Value:
        spec = self.spec
        values, signs = [], []
        for number, table in enumerate(tables):
            values.append(Signal(int(spec.entry_width), name=f"value{column}_{number}"))
            signs.append(Signal(1 if spec.half and not spec.floats else 0, name=f"sign{column}_{number}"))
            pins = {"key": next(keys), "entry": table, "value": values[-1], "sign": signs[-1]}
            self.use(m, self.leaves["fetch"], f"fetch{column}_{number}", **pins)
        total = Signal(int(spec.result_width), name=f"total{column}")
        pins = {"value": Cat(*values), "sign": Cat(*signs), "first": self.first, "result": total}
        self.use(m, self.leaves["lane"], f"lane{column}", enable_accumulator=Const(1, 1), **pins)
        if not spec.fixed:
            return total
        rounded = Signal(self.out, name=f"rounded{column}")
        self.use(m, self.leaves["to_float"], f"round{column}", a=total, broken=broken, result=rounded)
        return rounded


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


class TreeFetch(Fetch):
    """A fetch whose selection is a tree of multiplexers on the bits of the key instead of a decoder and AND-OR."""

    def __init__(self, spec: TernaryLutSpec) -> None:
        super().__init__(spec)
        self.module_name += "_tree"

    def elaborate(self, platform: Any) -> Module:
        spec, m = self.spec, self.module()
        width = int(spec.entry_width)
        sign, index = self.key[-1], self.key[:-1]
        entries: list[Value | None] = [*parts(self.entry, width), Const(0, width)]
        entries += [None] * ((1 << len(index)) - len(entries))
        found = tree(entries, list(index))
        if spec.floats:
            value: Value = Cat(found[:-1], found[-1] ^ sign)
        else:
            value = found ^ sign.replicate(width) ^ Const(1 << (width - 1), width)
        self._leave(m, [value], sign)
        return m


def tree(words: list[Value | None], bits: list[Value]) -> Any:
    """The word whose number the bits give; ``None`` is a word that is never asked for."""
    if not bits:
        return words[0]
    half = len(words) // 2
    low, high = (tree(side, bits[:-1]) for side in (words[:half], words[half:]))
    return low if high is None else high if low is None else Mux(bits[-1], high, low)


class LegalFetch(Fetch):
    """A fetch that decodes no more of a key than tells it from the other legal ones: illegal keys give anything."""

    def __init__(self, spec: TernaryLutSpec) -> None:
        super().__init__(spec)
        self.module_name += "_legal"

    def elaborate(self, platform: Any) -> Module:
        spec, m = self.spec, self.module()
        width = int(spec.entry_width)
        sign, index = self.key[-1], self.key[:-1]
        lines = []
        for number in range(spec.entries):
            bits = telling(number, int(spec.entries) + 1, len(index))
            wanted = [index[bit] if number >> bit & 1 else ~index[bit] for bit in bits]
            lines.append(Cat(*wanted).all())
        found = one_of(lines, parts(self.entry, width))
        if spec.floats:
            value: Value = Cat(found[:-1], found[-1] ^ sign)
        else:
            offset = 1 << (width - 1) if spec.reduction == "carry_save" else 0
            value = found ^ sign.replicate(width) ^ Const(offset, width)
        self._leave(m, [value], sign)
        return m


def telling(number: int, codes: int, width: int) -> tuple[int, ...]:
    """The fewest bits that tell ``number`` from the other numbers below ``codes``."""
    others = [number ^ other for other in range(codes) if other != number]
    for count in range(1, width + 1):
        for bits in combinations(range(width), count):
            mask = sum(1 << bit for bit in bits)
            if all(other & mask for other in others):
                return bits
    raise ValueError(f"Number must be below {codes}, not {number}")


class OpenFetch(Block):
    """A fetch that takes its decoded one-hot lines and sign from outside: what is left without key decoding."""

    place = "fetch"

    def __init__(self, spec: TernaryLutSpec) -> None:
        self.spec = spec
        entries, width = int(spec.entries), int(spec.entry_width)
        ports = {"line": In(entries), "minus": In(1), "entry": In(entries * width), "value": Out(width)}
        super().__init__(f"{Fetch(spec).module_name}_open", ports, clocked=False)

    def elaborate(self, platform: Any) -> Module:
        spec, m = self.spec, self.module()
        width = int(spec.entry_width)
        found = one_of(list(self.line), parts(self.entry, width))
        flipped = Const(0, width - 1) if spec.floats else self.minus.replicate(width - 1)
        m.d.comb += self.value.eq(Cat(found[:-1] ^ flipped, found[-1] ^ self.minus))
        return m


class ZerolessFetch(Fetch):
    """A fetch that never has to give zero, to see what zero groups cost."""

    def __init__(self, spec: TernaryLutSpec) -> None:
        super().__init__(spec)
        self.module_name += "_zeroless"

    def elaborate(self, platform: Any) -> Module:
        spec, m = self.spec, self.module()
        width = int(spec.entry_width)
        sign, index = self.key[-1], self.key[:-1]
        words = parts(self.entry, width)
        lines = [index == number for number in range(spec.entries - 1)]
        lines.append(~Cat(*lines).any())
        found = one_of(lines, words)
        flipped = Const(0, width - 1) if spec.floats else sign.replicate(width - 1)
        self._leave(m, [Cat(found[:-1] ^ flipped, found[-1] ^ sign)], sign)
        return m


class SharedRound(Block):
    """Rounds one of ``columns`` exact sums a cycle, as results that leave one after the other would allow."""

    place = "result"

    def __init__(self, spec: TernaryLutSpec, columns: int) -> None:
        self.width = int(spec.result_width)
        source, target = floating.get(spec.activation), floating.get(str(spec.output_format))
        self.rounding = FixedToFloat(source, target, self.width)
        ports = {
            "sums": In(columns * self.width), "line": In(columns), "broken": In(1), "result": Out(target.width)
        }  # fmt: skip
        super().__init__(f"shared_{self.rounding.module_name}_{columns}", ports, clocked=False)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        chosen = Signal(self.width, name="chosen")
        m.d.comb += chosen.eq(one_of(list(self.line), parts(self.sums, self.width)))
        self.use(m, self.rounding, "round", a=chosen, broken=self.broken, result=self.result)
        return m


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
