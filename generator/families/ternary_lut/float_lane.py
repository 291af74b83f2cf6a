"""One result of float sums."""

from functools import cached_property

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from blueprint.arithmetic import floating
from generator.arithmetic.floating import FloatAdd
from generator.arithmetic.floating.words import is_special
from generator.block import register
from generator.families.ternary_lut.lane import Lane
from generator.layout import elements


class FloatLane(Lane):
    """Adds the fetched floats of one output column and token pairwise, and accumulates them over the tiles of a run.

    With an accumulator memory the word to add to comes in as ``stored`` and leaves as ``total``.
    """

    @cached_property
    def _adder(self) -> FloatAdd:
        block = FloatAdd(floating.get(self.spec.activation), stages=self.spec.adder_stages, separate=True)
        block.place = self.place
        return block

    def _total(self, m: Module, total: Signal) -> Value:
        spec = self.spec
        self._format = floating.get(spec.activation)
        words, level = elements(self.value), 0
        while len(words) > 1:
            words = self._level(m, words, level)
            level += 1
        word = words[0]
        if spec.reduction_registered:
            word = register(m, len(word), "partial", self.enable_partial[-1], word)
        if not spec.accumulates:
            return word if level else self._canonical(word)
        so_far = Signal(len(word), name="so_far")
        m.d.comb += so_far.eq(self._stored(m, total) & ~self.first.replicate(len(word)))
        enable = self.enable_sum if spec.accumulate_stages else Const(0, 0)
        return self._add(m, "accumulate", so_far, word, enable)

    def _level(self, m: Module, words: list[Value], level: int) -> list[Value]:
        """Neighbors added; an odd word waits beside the adders' registers."""
        stages = self.spec.adder_stages
        enable = self.enable_partial[level * stages : (level + 1) * stages] if stages else Const(0, 0)
        found = [
            self._add(m, f"tree{level}_{number}", words[number], words[number + 1], enable)
            for number in range(0, len(words) - 1, 2)
        ]
        for odd in words[len(words) & ~1 :]:
            for stage in range(stages):
                odd = register(m, len(odd), f"odd{level}_{stage}", enable[stage], odd)
            found.append(odd)
        return found

    def _add(self, m: Module, name: str, a: Value, b: Value, enable: Value) -> Value:
        result = Signal(self._format.width, name=name)
        self.use(m, self._adder, f"add_{name}", a=a, b=b, enable=enable, result=result)
        return result

    def _canonical(self, word: Value) -> Value:
        _, nan = is_special(self._format, word)
        return Mux(nan, Const(self._format.canonical_nan, len(word)), Cat(word))
