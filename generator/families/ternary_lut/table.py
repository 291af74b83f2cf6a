"""One look-up table: every signed sum of a group of activations."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic import ternary
from blueprint.families.ternary_lut import TernaryLutSpec
from generator.arithmetic.integers import sign_extend
from generator.block import Block, drive, register
from generator.families.ternary_lut.signs import Signs, Sums, entry_signs, label
from generator.layout import elements


class TableBuild(Block):
    """Builds the entries of one table from a group of activations.

    A sum of ``s`` activations is a sum of ``s - 1`` of them plus or minus one more, so an entry costs one adder.
    Registers load when their bit of ``enable`` is set, first stage lowest.
    """

    place = "build"

    def __init__(self, spec: TernaryLutSpec) -> None:
        self.spec = spec
        self.stages = spec.build_stages
        self.latency = f"{self.stages} cycles"
        held = "_reg" if spec.build_register else ""
        form = f"mu{spec.mu}_a{spec.word_width}_w{spec.entry_width}_{spec.table_style}"
        name = f"{spec.family}_build_{form}_{spec.build_style}{held}"
        ports = {
            "activation": In(ArrayLayout(spec.word_width, spec.mu)),
            "enable": In(self.stages),
            "entry": Out(ArrayLayout(spec.entry_width, spec.entries)),
        }
        super().__init__(name, ports, clocked=self.stages > 0)

    def elaborate(self, platform: Any) -> Module:
        spec, m = self.spec, self.module()
        acts = elements(self.activation)
        sums: Sums = {(): Const(0, 1)}
        stage = 0
        for position in range(spec.mu):
            sums = (
                self._direct(m, sums, acts, position)
                if spec.build_style == "direct"
                else self._level(m, sums, acts[position], position)
            )
            last = position == spec.mu - 1
            if (last and spec.build_register) or (
                0 < position < spec.mu - 1 and spec.build_style == "pipelined"
            ):
                sums, acts = self._hold(m, sums, acts, position, stage, last)
                stage += 1
        drive(m, self.entry, Cat(*(self._entry(sums, index) for index in range(spec.entries))))
        return m

    def _level(self, m: Module, sums: Sums, act: Value, position: int) -> Sums:
        """All sums with one more activation."""
        found: Sums = {}
        for signs, total in sums.items():
            for sign in (1, 0, -1):
                longer = (*signs, sign)
                if not any(longer) and position < self.spec.mu - 1:
                    found[longer] = total
                elif self._stored(longer):
                    found[longer] = self._sum(m, longer, total, act) if sign else total
        return found

    def _sum(self, m: Module, signs: Signs, total: Value, act: Value) -> Value:
        taken = sum(map(abs, signs))
        if taken == 1:
            total = Const(0, self.spec.word_width)
            if signs[-1] == 1:
                return act
        needed = ternary.entry_width(taken, self.spec.word_width, any(sign > 0 for sign in signs))
        width = min(needed, self.spec.result_width)
        result = Signal(width, name=f"sum_{label(signs)}")
        left, right = sign_extend(total, width), sign_extend(act, width)
        m.d.comb += result.eq(left + right if signs[-1] > 0 else left - right)
        return result

    def _direct(self, m: Module, sums: Sums, acts: list[Value], position: int) -> Sums:
        """Every entry summed on its own, at the last position; synthesis finds what is shared."""
        if position < self.spec.mu - 1:
            return {(*signs, sign): Const(0, 1) for signs in sums for sign in (1, 0, -1)}
        found: Sums = {}
        for signs in ((*s, sign) for s in sums for sign in (1, 0, -1)):
            if self._stored(signs):
                total: Value = Const(0, 1)
                for place, sign in enumerate(signs):
                    if sign:
                        total = self._sum(m, signs[: place + 1], total, acts[place])
                found[signs] = total
        return found

    def _stored(self, signs: Signs) -> bool:
        leading = next((sign for sign in signs if sign), 0)
        return leading > 0 or (leading < 0 and not self.spec.half)

    def _hold(
        self, m: Module, sums: Sums, acts: list[Value], position: int, stage: int, last: bool
    ) -> tuple[Sums, list[Value]]:
        """Register the table so far and the activations still to come."""
        enable = self.enable[stage]
        held: Sums = {}
        for signs, total in sums.items():
            name = f"held{stage}_{label(signs)}"
            held[signs] = register(m, len(total), name, enable, total) if any(signs) else total
        later = [] if last else acts[position + 1 :]
        waiting = [register(m, len(act), f"act{stage}", enable, act) for act in later]
        return held, acts[: position + 1] + waiting

    def _entry(self, sums: Sums, index: int) -> Value:
        signs = entry_signs(self.spec, index)
        return sign_extend(sums[signs], self.spec.entry_width)
