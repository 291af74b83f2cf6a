"""Hardware variants that were tried and that the generator does not make."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic import floating, ternary
from blueprint.families.ternary_lut import TernaryLutSpec
from generator.arithmetic.floating import FixedToFloat
from generator.arithmetic.integers import one_of, parts
from generator.block import Block
from generator.families.ternary_lut.fetch import Fetch


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
    """The word whose number the bits give; ``None`` is a word that is never requested."""
    if not bits:
        return words[0]
    half = len(words) // 2
    low, high = (tree(side, bits[:-1]) for side in (words[:half], words[half:]))
    return low if high is None else high if low is None else Mux(bits[-1], high, low)


class KeyFetch(Fetch):
    """A fetch that decodes its keys the other way: whole indices, or no more bits than tell legal ones apart."""

    def __init__(self, spec: TernaryLutSpec) -> None:
        super().__init__(spec)
        self.whole = ternary.sparse_keys(spec.mu)
        self.module_name += "_whole" if self.whole else "_told"

    def _line(self, index: Value, number: int) -> Value:
        if self.whole:
            return index == number
        bits = ternary.telling_bits(self.spec.mu, number)
        return Cat(*(index[bit] if number >> bit & 1 else ~index[bit] for bit in bits)).all()


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
