"""One result: add what was fetched, accumulate over tiles, hold what leaves."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.families.ternary_lut import TernaryLutSpec
from generator.arithmetic.carry_save import accumulate, offset_rows, signed_sum
from generator.arithmetic.integers import add, one_of, sign_extend, tree_sum
from generator.block import Block, register
from generator.layout import elements


class Lane(Block):
    """Adds the fetched values of one output column and token, and accumulates them over the tiles of a run.

    With an accumulator memory the word to add to comes in as ``stored`` and leaves as ``total``.
    """

    place = "lane"

    def __init__(self, spec: TernaryLutSpec) -> None:
        self.spec = spec
        self.split = spec.reduction_registered > 0
        self.beside = spec.beside  # signs that are registered outside, once per column
        stages = 1 + (spec.tree_stages + spec.accumulate_stages) + self.split
        self.latency = f"{stages} cycle{'s' if stages > 1 else ''} to an accumulator or result"
        width, address = spec.result_width, spec.address_width
        sram, filed = spec.in_sram > 0, spec.accumulates and spec.buffered and not spec.in_sram
        where = "sram" if sram else f"d{spec.depth if spec.accumulates else min(spec.depth, 2)}"
        form = f"l{spec.lut_count}_w{spec.entry_width}_{spec.table_style}_{spec.reduction}_r{width}"
        if spec.floats:
            form = f"l{spec.lut_count}_{spec.activation}_s{spec.adder_stages}"
        reduced = spec.tree_stages + self.split
        pipelined = spec.accumulate_stages
        kind = ("_acc" if spec.accumulates else "") + ("_reg" if self.split else "")
        kind += f"_save{spec.resolve_cycles}" * spec.saves + f"_t{spec.reduction_stages}" * (
            spec.reduction_stages > 0
        )
        ports = {
            "value": In(ArrayLayout(spec.entry_width, spec.lut_count)),
            "sign": In(spec.lut_count - self.beside if spec.half and not spec.floats else 0),
            "carry": In(self.beside),
            "first": In(1 if spec.accumulates else 0),
            "enable_partial": In(reduced),
            "enable_sum": In(pipelined),
            "enable_accumulator": In(1 if spec.accumulates and (filed or not spec.buffered) else 0),
            "enable_result": In(1 if spec.separate else 0),
            "enable_resolve": In(spec.resolving),
            "address": In(address if filed else 0),
            "file_address": In(address if filed and pipelined else 0),
            "stored": In(width if sram else 0),
            "forward": In(1 if sram and not pipelined else 0),
            "enable_forward": In(1 if sram and not pipelined else 0),
            "total": Out(width if sram else 0),
            "result": Out(width),
        }
        super().__init__(
            f"{spec.family}_lane_{form}_p{spec.partial_width}_{where}{kind}", ports, clocked=True
        )

    def elaborate(self, platform: Any) -> Module:
        m, spec = self.module(), self.spec
        total = Signal(spec.kept_width, name="sum")
        m.d.comb += total.eq(self._total(m, total))
        if spec.in_sram:
            m.d.comb += self.total.eq(total)
        if not spec.separate:
            m.d.sync += self._accumulator.eq(Mux(self.enable_accumulator, total, self._accumulator))
            m.d.comb += self.result.eq(self._accumulator)
            return m
        if spec.saves:
            m.d.comb += self.result.eq(self._resolved(m, total))
        else:
            m.d.comb += self.result.eq(register(m, len(total), "held_result", self.enable_result, total))
        return m

    def _rows(self, word: Value) -> list[Value]:
        """Sum and carry word of an accumulator; the lowest bit of the carry word is a single bit, or none."""
        width = self.spec.result_width
        carry = word[width:]
        return [word[:width], carry if len(carry) == width else Cat(Const(0, 1), carry)]

    def _resolved(self, m: Module, total: Signal) -> Value:
        """The register of a finished result, whose two words are added in place, a piece a cycle, lowest bits first."""
        width, cycles = self.spec.result_width, self.spec.resolve_cycles
        sums = total[:width]
        saved = register(m, len(total) - width, "held_carry", self.enable_result, total[width:])
        carries = self._rows(Cat(sums, saved))[1]
        carry: Value = Const(0, 1)
        kept, found = Signal(int(cycles > 1), name="resolve_carry", reset_less=True), []
        for cycle, enable in enumerate(self.enable_resolve):
            low, high = width * cycle // cycles, width * (cycle + 1) // cycles
            held = Signal(high - low, name=f"held_result{cycle}", reset_less=True)
            piece = Signal(high - low + (high < width), name=f"piece{cycle}")
            m.d.comb += piece.eq(held + carries[low:high] + carry)
            with m.If(self.enable_result):
                m.d.sync += held.eq(sums[low:high])
            with m.Elif(enable):
                m.d.sync += [held.eq(piece), *([kept.eq(piece[-1])] if high < width else [])]
            carry = kept
            found.append(held)
        return Cat(*found)

    def _total(self, m: Module, total: Signal) -> Value:
        spec = self.spec
        width = spec.result_width
        words = elements(self.value)
        signs = list(self.sign) if spec.half and len(self.sign) else []
        if not spec.accumulates:
            result, free = self._reduce(m, words, signs, width, None)
            return add(result, Const(0, width), free[0], width) if free else result
        so_far = Signal(spec.kept_width, name="so_far")
        m.d.comb += so_far.eq(self._stored(m, total) & ~self.first.replicate(spec.kept_width))
        if spec.saves:
            return self._saved(m, words, signs, so_far)
        if not self.split:
            result, free = self._reduce(m, words, signs, width, so_far)
            return add(result, Const(0, width), free[0], width) if free else result
        partial, _ = self._reduce(m, words, signs, spec.sum_width, None)
        held = register(m, len(partial), "partial", self.enable_partial[-1], partial)
        return add(so_far, sign_extend(held, width), self.carry if self.beside else None, width)

    def _saved(self, m: Module, words: list[Value], signs: list[Value], so_far: Value) -> Value:
        """Sum and carry word with those of a beat added."""
        spec = self.spec
        inside = list(self.enable_partial)[: spec.reduction_stages]
        rows = offset_rows(m, words, signs, spec.result_width, inside).merged()
        singles = [*rows.singles, *self.carry]
        if self.split:
            rows = rows.held(m, "partial", self.enable_partial[-1])
        total, carry = accumulate(m, rows, self._rows(so_far), singles)
        return Cat(total, carry[2 * spec.result_width - spec.kept_width :])

    def _reduce(
        self, m: Module, words: list[Value], signs: list[Value], width: int, accumulator: Value | None
    ) -> tuple[Value, list[Value]]:
        if self.spec.reduction == "carry_save":
            inside = list(self.enable_partial)[: self.spec.reduction_stages]
            return signed_sum(m, words, signs, width, accumulator, inside)
        partial, free = tree_sum(m, words, signs, min(width, self.spec.partial_width))
        if accumulator is None:
            return sign_extend(partial, width), free
        return add(accumulator, sign_extend(partial, width), free.pop(0) if free else None, width), free

    def _stored(self, m: Module, total: Signal) -> Value:
        """The accumulator of this beat's column group."""
        spec = self.spec
        width = len(total)
        if spec.in_sram:
            if spec.accumulate_stages:
                return self.stored
            beside = register(m, width, "beside", self.enable_forward, total)
            return Mux(self.forward, beside, self.stored)
        if not spec.buffered:
            if spec.separate:
                return register(m, width, "accumulator", self.enable_accumulator, total)
            self._accumulator = Signal(width, name="accumulator", reset_less=True)
            return self._accumulator
        read = self.file_address if spec.accumulate_stages else self.address
        words = []
        for number in range(spec.depth):
            enable = self.enable_accumulator & (self.address == number)
            words.append(register(m, width, f"accumulator{number}", enable, total))
        return one_of([read == number for number in range(spec.depth)], words)
