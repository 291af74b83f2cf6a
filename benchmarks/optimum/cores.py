"""Cores without a shell, whose modules the study maps."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic import floating, ternary
from blueprint.families.ternary_lut import TernaryLutSpec
from generator.arithmetic.floating import FixedToFloat, FloatToFixed
from generator.arithmetic.integers import parts
from generator.block import Block
from generator.families.ternary_lut.fetch import Fetch
from generator.families.ternary_lut.float_lane import FloatLane
from generator.families.ternary_lut.float_table import FloatTable
from generator.families.ternary_lut.lane import Lane
from generator.families.ternary_lut.table import TableBuild


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
