"""The datapath of the accelerator: tables, fetches, lanes."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout

from blueprint.arithmetic import floating
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.numbers import ceil_div
from generator.accelerator import Accelerator
from generator.arithmetic.floating import FixedToFloat, FloatToFixed
from generator.arithmetic.integers import sign_extend
from generator.block import register, word
from generator.cells.memory import Alternating, SinglePort, store
from generator.families.ternary_lut.control import Control
from generator.families.ternary_lut.fetch import FetchRow, TritUnpack
from generator.families.ternary_lut.float_lane import FloatLane
from generator.families.ternary_lut.float_table import FloatTable
from generator.families.ternary_lut.lane import Lane
from generator.families.ternary_lut.table import TableBuild
from generator.layout import bits, elements


def grouped(weights: list[Value], mu: int) -> list[Value]:
    """The keys of two-bit weights: groups of ``mu`` weights side by side, first weight lowest."""
    return [Cat(*weights[low : low + mu]) for low in range(0, len(weights), mu)]


class TernaryLut(Accelerator):
    """Multiplies activations by ternary weights through tables of precomputed sums."""

    place = "tile"

    def __init__(self, spec: TernaryLutSpec) -> None:
        stages = 2 + spec.load_stages + spec.build_stages + spec.sweep_stages + spec.resolving
        self.latency = f"{stages} cycles from a weight and its tile to a result"
        self.throughput = f"one weight beat per cycle, {spec.peak_macs} multiply-accumulates"
        super().__init__(spec)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        streams = {"act": self.s_axis_act, "wgt": self.s_axis_wgt, "out": self.m_axis_out}
        self._control = self.sequence(m, Control(self.spec), **streams)
        values, signs = self._fetches(m, self._tables(m))
        self._lanes(m, values, signs)
        return m

    def _tables(self, m: Module) -> list[list[Value]]:
        """The packed entries of every table, by token lane and table."""
        spec = self.spec
        words = bits(self.s_axis_act.beat.activation)
        if spec.keeps_activations:
            words = self._kept(m, words)
        if spec.fixed:
            words = self._to_fixed(m, words)
        tile = register(m, len(words), "tile", self._control.enable_tile, words)
        build = FloatTable(spec) if spec.floats else TableBuild(spec)
        groups = ArrayLayout(ArrayLayout(spec.word_width, spec.mu), spec.token_lanes * spec.lut_count)(tile)
        tables: list[list[Value]] = []
        for lane in range(spec.token_lanes):
            tables.append([])
            for number in range(spec.lut_count):
                entry = Signal(len(bits(build.entry)), name=f"table{lane}_{number}")
                enable = self._control.enable_build
                self.use(
                    m,
                    build,
                    f"build{lane}_{number}",
                    activation=groups[lane * spec.lut_count + number],
                    enable=enable,
                    entry=entry,
                )
                tables[-1].append(entry)
        return tables

    def _kept(self, m: Module, words: Value) -> Value:
        """The tile that arrived, or one of an earlier pass from the memory of activations."""
        control, shown = self._control, Signal(len(words), name="kept_words")
        block = SinglePort(self.spec.most_tiles, len(words))
        self.use(
            m, block, "activations", enable=control.keep | control.recall, write=control.keep,
            address=control.kept_address, write_data=words, read_data=shown,
        )  # fmt: skip
        arrived = register(m, len(words), "arrived_words", control.keep, words)
        return Mux(control.arrived, arrived, shown)

    def _to_fixed(self, m: Module, words: Value) -> Value:
        """The activations as fixed-point integers; follows NaN and infinity, by token lane, to the result register."""
        spec, control = self.spec, self._control
        block = FloatToFixed(floating.get(spec.activation))
        block.place = self.place
        results, broken = [], []
        count = spec.token_lanes * spec.tile_k
        for number, each in enumerate(elements(ArrayLayout(spec.act_width, count)(words))):
            result = Signal(block.width, name=f"fixed{number}")
            broken.append(Signal(name=f"broken{number}"))
            self.use(m, block, f"fix{number}", a=each, result=result, broken=broken[-1])
            results.append(result)
        lanes = [Cat(*broken[low : low + spec.tile_k]).any() for low in range(0, count, spec.tile_k)]
        width, tile = len(lanes), Signal(len(lanes), name="broken_tile", reset_less=True)
        before = tile & ~control.first_load.replicate(width) if spec.accumulates else Const(0, width)
        with m.If(control.enable_tile):
            m.d.sync += tile.eq(Cat(*lanes) | before)
        held: Value = tile
        stages = {
            "build": control.enable_build,
            "fetch": control.enable_fetch,
            "partial": control.enable_partial,
        }
        for name, lines in stages.items():
            for stage, enable in enumerate(lines):
                held = register(m, width, f"broken_{name}{stage}", enable, held)
        last = control.enable_result if spec.separate else control.enable_accumulator
        self._broken = register(m, width, "broken_result", last, held)
        return Cat(*results)

    def _to_float(self, m: Module, results: list[Value]) -> list[Value]:
        spec = self.spec
        source, target = floating.get(spec.activation), floating.get(str(spec.output_format))
        block = FixedToFloat(source, target, spec.result_width)
        block.place = "result"
        found: list[Value] = []
        for number, result in enumerate(results):
            rounded = Signal(target.width, name=f"rounded{number}")
            broken = self._broken[number // spec.fetch_count]
            self.use(m, block, f"round{number}", a=result, broken=broken, result=rounded)
            found.append(rounded)
        return found

    def _keys(self, m: Module) -> list[Value]:
        """One key per output column and table, column by column."""
        spec = self.spec
        beat = self.s_axis_wgt.beat
        if spec.key_encoding == "two_bit":
            return grouped(elements(beat.weight), spec.mu)
        if spec.key_encoding != "five_trits":
            return elements(beat.key)
        unpack = TritUnpack(spec)
        trits = spec.lut_count * spec.fetch_count * spec.mu
        unpacked = unpack.weight.shape()
        count = ceil_div(trits, unpacked.length)
        weights = ArrayLayout(unpacked, count)(word(count * unpacked.size, "weights"))
        for number in range(count):
            self.use(m, unpack, f"unpack{number}", byte=beat.byte[number], weight=weights[number])
        return grouped(elements(weights)[:trits], spec.mu)

    def _fetches(
        self, m: Module, tables: list[list[Value]]
    ) -> tuple[list[list[list[Value]]], list[list[Value]]]:
        """Fetched values by token lane, column and table; signs by column and table."""
        spec = self.spec
        block = FetchRow(spec)
        fetched = block.value.shape()
        keys = self._keys(m)
        values: list[list[list[Value]]] = [
            [[] for _ in range(spec.fetch_count)] for _ in range(spec.token_lanes)
        ]
        signs: list[list[Value]] = [[] for _ in range(spec.fetch_count)]
        for number in range(spec.lut_count):
            value = fetched(word(fetched.size, f"value{number}"))
            sign = Signal(len(block.sign), name=f"sign{number}")
            self.use(
                m, block, f"fetches{number}",
                key=Cat(*keys[number :: spec.lut_count]), entry=Cat(*(lane[number] for lane in tables)),
                enable=self._control.enable_fetch, value=value, sign=sign,
            )  # fmt: skip
            for column in range(spec.fetch_count):
                for lane in range(spec.token_lanes):
                    values[lane][column].append(value[column][lane])
                signs[column].append(sign[column : column + 1])
        return values, signs

    def _lanes(self, m: Module, values: list[list[list[Value]]], signs: list[list[Value]]) -> None:
        spec = self.spec
        block = FloatLane(spec) if spec.floats else Lane(spec)
        width = spec.result_width
        kept = ArrayLayout(ArrayLayout(len(block.stored), spec.fetch_count), spec.token_lanes)
        stored, totals = (kept(word(kept.size, name)) for name in ("stored", "totals"))
        ends = self._control
        control = {
            "first": ends.first,
            "address": ends.address,
            "file_address": ends.file_address,
            "forward": ends.forward,
            "enable_forward": ends.enable_forward,
            "enable_partial": ends.enable_partial,
            "enable_sum": ends.enable_sum,
            "enable_accumulator": ends.enable_accumulator,
            "enable_result": ends.enable_result,
            "enable_resolve": ends.enable_resolve,
        }
        carries: list[Value] = [Const(0, 0)] * spec.fetch_count
        if block.beside:
            past = Cat(*(bit for column in signs for bit in column[-block.beside :]))
            for stage, enable in enumerate(ends.enable_partial):
                past = register(m, len(past), "carries" + f"{stage}" * (stage > 0), enable, past)
            carries = elements(ArrayLayout(block.beside, spec.fetch_count)(past))
        results: list[Value] = []
        for lane in range(spec.token_lanes):
            for column in range(spec.fetch_count):
                result = Signal(width, name=f"result{lane}_{column}")
                memory = {"stored": stored[lane][column], "total": totals[lane][column]}
                pins = {
                    "value": Cat(*values[lane][column]),
                    "sign": Cat(*signs[column][: spec.lut_count - block.beside]),
                    "carry": carries[column],
                    "result": result,
                }
                self.use(m, block, f"lane{lane}_{column}", **pins, **control, **memory)
                results.append(result)
        if spec.fixed:
            results = self._to_float(m, results)
        m.d.comb += self.m_axis_out.tdata.eq(Cat(*(sign_extend(r, spec.output_bits) for r in results)))
        if spec.in_sram:
            self._memory(m, bits(stored), bits(totals))

    def _memory(self, m: Module, stored: Value, totals: Value) -> None:
        control, depth = self._control, self.spec.depth
        pins = {
            "write": control.write, "write_address": control.address, "write_data": totals,
            "read": control.read, "read_address": control.read_address, "read_data": stored,
        }  # fmt: skip
        if self.spec.single_port:
            self.use(m, Alternating(depth, len(totals), "lane"), "accumulators", **pins)
        else:
            store(self, m, "accumulators", depth, **pins)
