"""One look-up table of float sums."""

from functools import cached_property
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic import floating
from blueprint.families.ternary_lut import TernaryLutSpec
from generator.arithmetic.floating import FloatPair, pair_layout
from generator.block import Block, drive, register
from generator.families.ternary_lut.signs import Signs, Sums, entry_signs, label
from generator.layout import elements


class FloatTable(Block):
    """Builds the entries of one table from a group of float activations.

    Every sum so far meets the next activation in a block that gives sum and difference at once, so a level of the
    table is as deep as one addition. A full table holds the negatives too, which cost an inverted sign bit.
    Registers load when their bit of ``enable`` is set, first stage lowest.
    """

    place = "build"

    def __init__(self, spec: TernaryLutSpec) -> None:
        self.spec = spec
        self.format = floating.get(spec.activation)
        self.stages = spec.build_stages
        self.latency = f"{self.stages} cycles"
        held = "_reg" if spec.build_register else ""
        depth = f"_s{spec.adder_stages}" if spec.adder_stages else ""
        form = f"mu{spec.mu}_{spec.activation}_{spec.table_style}"
        name = f"{spec.family}_build_{form}_{spec.build_style}{depth}{held}"
        ports = {
            "activation": In(ArrayLayout(spec.act_width, spec.mu)),
            "enable": In(self.stages),
            "entry": Out(ArrayLayout(spec.act_width, spec.entries)),
        }
        super().__init__(name, ports, clocked=self.stages > 0)

    @cached_property
    def _adder(self) -> FloatPair:
        block = FloatPair(self.format, stages=self.spec.adder_stages, separate=True)
        block.place = self.place
        return block

    def elaborate(self, platform: Any) -> Module:
        spec, m = self.spec, self.module()
        first, *later = elements(self.activation)
        self._enables = iter(self.enable) if self.stages else iter(())
        sums: Sums = {(1,): first}
        while later:
            sums, later = self._level(m, sums, later)
            if spec.build_style == "pipelined" and later:
                sums, later = self._hold(m, sums, later)
        if spec.build_register:
            sums, _ = self._hold(m, sums, [])
        drive(m, self.entry, Cat(*(self._entry(sums, index) for index in range(spec.entries))))
        return m

    def _level(self, m: Module, sums: Sums, later: list[Value]) -> tuple[Sums, list[Value]]:
        """All sums with one more activation; keys are the signs of the activations, the first one that is taken +1."""
        act, *rest = later
        enable = [next(self._enables) for _ in range(self.spec.adder_stages)]
        found: Sums = {}
        for signs, total in sums.items():
            both = self._pair(m, signs, total, act, enable)
            found[(*signs, 1)], found[(*signs, -1)] = both
            found[(*signs, 0)] = total
        found[(0,) * len(signs) + (1,)] = act
        passed = [key for key in found if not key[-1] or not any(key[:-1])]
        for stage in enable:
            held, rest = self._hold(m, {key: found[key] for key in passed}, rest, stage)
            found |= held
        return found, rest

    def _pair(
        self, m: Module, signs: Signs, total: Value, act: Value, enable: list[Value]
    ) -> tuple[Value, Value]:
        name = label(signs)
        result = pair_layout(self.format)(Signal(2 * self.format.width, name=f"pair_{name}"))
        self.use(m, self._adder, f"add_{name}", a=total, b=act, enable=Cat(*enable), result=result)
        return result.sum, result.difference

    def _hold(
        self, m: Module, sums: Sums, later: list[Value], enable: Value | None = None
    ) -> tuple[Sums, list[Value]]:
        """Register sums and the activations still to come."""
        if enable is None:
            enable = next(self._enables)
        held = {
            signs: register(m, len(total), f"held_{label(signs)}", enable, total)
            for signs, total in sums.items()
        }
        return held, [register(m, len(act), "waiting", enable, act) for act in later]

    def _entry(self, sums: Sums, index: int) -> Value:
        signs = entry_signs(self.spec, index)
        if signs in sums:
            return sums[signs]
        value = sums[tuple(-sign for sign in signs)]
        return Cat(value[:-1], ~value[-1])
