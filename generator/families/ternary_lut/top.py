"""The whole accelerator: AXI shell, sequencing, tables, fetches, lanes."""

from typing import Any

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Const, Module, ResetSignal, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic import floating
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.numbers import ceil_div
from generator.arithmetic.floating import FixedToFloat, FloatToFixed
from generator.arithmetic.integers import parts, sign_extend
from generator.axi_lite import AXI_LITE_PORTS, EVENTS, STALLS, Shell, size_ports
from generator.block import Block, register, word
from generator.cells.memory import store
from generator.families.ternary_lut.control import Control
from generator.families.ternary_lut.fetch import FetchRow, TritUnpack
from generator.families.ternary_lut.float_lane import FloatLane
from generator.families.ternary_lut.float_table import FloatTable
from generator.families.ternary_lut.lane import Lane
from generator.families.ternary_lut.table import TableBuild


class TernaryLut(Block):
    """Multiplies activations by ternary weights through tables of precomputed sums."""

    place = "tile"

    def __init__(self, spec: TernaryLutSpec) -> None:
        self.spec = spec
        self.latency = (
            f"{2 + spec.build_stages + spec.sweep_stages} cycles from a weight and its tile to a result"
        )
        self.throughput = f"one weight beat per cycle, {spec.peak_macs} multiply-accumulates"
        ports: dict[str, Any] = {"aclk": In(1), "aresetn": In(1)}
        for stream in spec.streams():
            give, take = (In, Out) if stream.direction == "in" else (Out, In)
            ports |= {f"{stream.prefix}_tdata": give(stream.width), f"{stream.prefix}_tvalid": give(1)}
            ports |= {f"{stream.prefix}_tready": take(1), f"{stream.prefix}_tlast": give(1)}
        ports |= {f"s_axil_{name}": member for name, member in AXI_LITE_PORTS.items()}
        super().__init__(spec.name, ports, clocked=False)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.domains.sync = ClockDomain("sync")
        m.d.comb += [ClockSignal().eq(self.aclk), ResetSignal().eq(~self.aresetn)]
        self._wires: dict[str, Signal] = {}
        self._sequence(m)
        tables = self._tables(m)
        values, signs = self._fetches(m, tables)
        self._lanes(m, values, signs)
        return m

    def _wire(self, block: Block, name: str) -> Signal:
        """The wire called ``name``, as wide as that port of ``block``."""
        if name not in self._wires:
            self._wires[name] = Signal(getattr(block, name).shape(), name=name)
        return self._wires[name]

    def _control(self, name: str) -> Value:
        """An output of the sequencer, or nothing where this design has no such output."""
        return self._wires.get(name, Const(0, 0))

    def _sequence(self, m: Module) -> None:
        spec = self.spec
        stalls = STALLS if spec.accumulate_stages else STALLS[:-1]
        name = f"{spec.family}_shell_{spec.design_hash}"
        shell = Shell(name, spec.registers(), spec.sizes, spec.size_rules, stalls)
        control = Control(spec)
        streams = {
            f"{stream.name}_{wire}": getattr(self, f"{stream.prefix}_{wire}")
            for stream in spec.streams()
            for wire in ("tvalid", "tready", "tlast")
        }
        axi = {name: getattr(self, f"s_axil_{name}") for name in AXI_LITE_PORTS}
        shared = {
            name: self._wire(shell, name) for name in ("start", *size_ports(spec.sizes, In), *EVENTS, *stalls)
        }
        rest = {
            name: self._wire(control, name)
            for name in control.signature.members
            if name not in shared and name not in streams and name not in ("clk", "rst")
        }
        self.use(m, shell, "shell", **axi, **shared)
        self.use(m, control, "control", **shared, **streams, **rest)

    def _tables(self, m: Module) -> list[list[Value]]:
        """The packed entries of every table, by token lane and table."""
        spec = self.spec
        words = self.s_axis_act_tdata[: spec.streams()[0].field.bits]
        if spec.fixed:
            words = self._to_fixed(m, words)
        tile = register(m, len(words), "tile", self._wires["enable_tile"], words)
        build = FloatTable(spec) if spec.floats else TableBuild(spec)
        groups = iter(parts(tile, spec.mu * int(spec.word_width)))
        tables: list[list[Value]] = []
        for lane in range(spec.token_lanes):
            tables.append([])
            for number in range(spec.lut_count):
                entry = Signal(int(spec.entries * spec.entry_width), name=f"table{lane}_{number}")
                enable = self._control("enable_build")
                self.use(
                    m, build, f"build{lane}_{number}", activation=next(groups), enable=enable, entry=entry
                )
                tables[-1].append(entry)
        return tables

    def _to_fixed(self, m: Module, words: Value) -> Value:
        """The activations as fixed-point integers; follows NaN and infinity, by token lane, to the result register."""
        spec, wires = self.spec, self._wires
        block = FloatToFixed(floating.get(spec.activation))
        block.place = self.place
        results, broken = [], []
        for number, each in enumerate(parts(words, spec.act_width)):
            result = Signal(block.width, name=f"fixed{number}")
            broken.append(Signal(name=f"broken{number}"))
            self.use(m, block, f"fix{number}", a=each, result=result, broken=broken[-1])
            results.append(result)
        lanes = [Cat(*lane).any() for lane in parts(Cat(*broken), spec.tile_k)]
        width, tile = len(lanes), Signal(len(lanes), name="broken_tile", reset_less=True)
        before = tile & ~wires["first_load"].replicate(width) if spec.accumulates else Const(0, width)
        with m.If(wires["enable_tile"]):
            m.d.sync += tile.eq(Cat(*lanes) | before)
        held: Value = tile
        for name in ("build", "fetch", "partial"):
            for stage, enable in enumerate(self._control(f"enable_{name}")):
                held = register(m, width, f"broken_{name}{stage}", enable, held)
        last = "enable_result" if spec.buffered or not spec.accumulates else "enable_accumulator"
        self._broken = register(m, width, "broken_result", wires[last], held)
        return Cat(*results)

    def _to_float(self, m: Module, results: list[Value]) -> list[Value]:
        spec = self.spec
        source, target = floating.get(spec.activation), floating.get(str(spec.output_format))
        block = FixedToFloat(source, target, int(spec.result_width))
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
        data = self.s_axis_wgt_tdata
        if spec.key_encoding != "five_trits":
            return parts(
                data[: int(spec.key_bits)], int(spec.key_bits) // (spec.lut_count * spec.fetch_count)
            )
        unpack = TritUnpack(spec)
        trits = spec.lut_count * spec.fetch_count * spec.mu
        weights = word(10 * int(ceil_div(trits, 5)), "weights")
        for number in range(ceil_div(trits, 5)):
            byte = data[8 * number : 8 * number + 8]
            self.use(m, unpack, f"unpack{number}", byte=byte, weight=weights[10 * number : 10 * number + 10])
        return parts(weights[: 2 * trits], 2 * spec.mu)

    def _fetches(
        self, m: Module, tables: list[list[Value]]
    ) -> tuple[list[list[list[Value]]], list[list[Value]]]:
        """Fetched values by token lane, column and table; signs by column and table."""
        spec = self.spec
        width, block = int(spec.entry_width), FetchRow(spec)
        keys = parts(Cat(*self._keys(m)), block.key_width)
        values: list[list[list[Value]]] = [
            [[] for _ in range(spec.fetch_count)] for _ in range(spec.token_lanes)
        ]
        signs: list[list[Value]] = [[] for _ in range(spec.fetch_count)]
        for number in range(spec.lut_count):
            value = word(spec.fetch_count * spec.token_lanes * width, f"value{number}")
            sign = Signal(spec.fetch_count if block.signed else 0, name=f"sign{number}")
            self.use(
                m, block, f"fetches{number}",
                key=Cat(*keys[number :: spec.lut_count]), entry=Cat(*(lane[number] for lane in tables)),
                enable=self._control("enable_fetch"), value=value, sign=sign,
            )  # fmt: skip
            for place, part in enumerate(parts(value, width)):
                values[place % spec.token_lanes][place // spec.token_lanes].append(part)
            for column in range(spec.fetch_count):
                signs[column].append(sign[column] if block.signed else Const(0, 0))
        return values, signs

    def _lanes(self, m: Module, values: list[list[list[Value]]], signs: list[list[Value]]) -> None:
        spec = self.spec
        block = FloatLane(spec) if spec.floats else Lane(spec)
        width = int(spec.result_width)
        count = spec.token_lanes * spec.fetch_count
        stored = word(count * width if spec.in_sram else 0, "stored")
        totals = word(len(stored), "totals")
        control = {
            name: self._wires[name]
            for name in block.signature.members
            if name.startswith("enable_") or name in ("first", "address", "file_address", "forward")
        }
        if block.beside:
            last = Cat(*(column[-1] for column in signs))
            carries = list(register(m, len(last), "carries", self._wires["enable_partial"], last))
        else:
            carries = [Const(0, 0)] * spec.fetch_count
        results: list[Value] = []
        for lane in range(spec.token_lanes):
            for column in range(spec.fetch_count):
                result = Signal(width, name=f"result{lane}_{column}")
                memory = {}
                if spec.in_sram:
                    place = slice(len(results) * width, (len(results) + 1) * width)
                    memory = {"stored": stored[place], "total": totals[place]}
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
        m.d.comb += self.m_axis_out_tdata.eq(Cat(*(sign_extend(r, int(spec.output_bits)) for r in results)))
        if spec.in_sram:
            self._memory(m, stored, totals)

    def _memory(self, m: Module, stored: Value, totals: Value) -> None:
        wires = self._wires
        store(
            self, m, "accumulators", int(self.spec.depth),
            write=wires["write"], write_address=wires["address"], write_data=totals,
            read=wires["read"], read_address=wires["read_address"], read_data=stored,
        )  # fmt: skip
