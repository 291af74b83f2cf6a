"""The decoder of instructions, from their one description."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib.wiring import In, Out

from blueprint.record import Record, bits
from blueprint.systems.instructions import KINDS, MOVERS, UNITS, form, registers
from generator.block import Block
from generator.layout import joined, layout

#: A line for each kind of instruction.
LINES = Record(tuple(bits(name, 1) for name in KINDS))


class Decoder(Block):
    """Tell which kind an instruction is, and whether it is legal.

    Guarantees: one line of ``kinds`` is high, in the order of their description, or none; ``legal`` where
    :func:`blueprint.systems.instructions.fault` finds nothing.
    Does not: check what a unit's register may hold; units do.
    """

    place = "decoder"

    def __init__(self, name: str, units: Sequence[str] = UNITS) -> None:
        self.units = units
        ports = {"word": In(layout(form(units))), "kinds": Out(layout(LINES)), "legal": Out(1)}
        super().__init__(name, ports, clocked=False)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        lines = [self.word.kind == kind.code for kind in KINDS.values()]
        wrong = [line & self._unused(kind.fields) for line, kind in zip(lines, KINDS.values(), strict=True)]
        m.d.comb += [
            self.kinds.eq(joined(LINES, **dict(zip(KINDS, lines, strict=True)))),
            self.legal.eq(
                Cat(*lines).any() & ~Cat(*wrong).any() & (self.word.unit < len(self.units)) & self._register()
            ),
        ]
        return m

    def _register(self) -> Value:
        """1 if the unit has the register; that of a kind without registers is 0, which every unit has."""
        moves = Cat(*(self.word.unit == self.units.index(unit) for unit in MOVERS)).any()
        return Mux(moves, self._within(MOVERS[0]), self._within("matrix"))

    def _within(self, unit: str) -> Value:
        """1 if a register is one of a unit of this kind."""
        number = self.word.register
        spans = [
            (number >= span[0] if span[0] else Const(1, 1)) & (number <= span[-1]) for span in registers(unit)
        ]
        return Cat(*spans).any()

    def _unused(self, used: tuple[str, ...]) -> Value:
        """1 if a field that the kind does not use is not 0."""
        found = [self.word[field.name] for field in form(self.units) if field.name not in ("kind", *used)]
        return Cat(*found).any() if found else Const(0, 1)
