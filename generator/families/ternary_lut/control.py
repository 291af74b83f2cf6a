"""Sequencer of a ternary-LUT core: loading of tiles, sweep of column groups, pipeline control."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.counting import still
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.families.ternary_lut.sideband import sideband
from generator.arithmetic.integers import at_most
from generator.boundary import HANDSHAKE
from generator.cells.counter import Loop, count_up
from generator.cells.elastic import elastic
from generator.layout import bits, joined, some_of, viewed
from generator.sequencer import Sequencer, taken


class Control(Sequencer):
    """Walks token groups, tiles and column groups; every stage moves when the next one is free or moves itself.

    With output tiles each token group has a pass over its tiles for every one of them.
    """

    latency = "a table is swept from 1 cycle + build stages after its activations are accepted"

    def __init__(self, spec: TernaryLutSpec) -> None:
        stages, address = spec.build_stages, spec.address_width
        sram = 1 if spec.in_sram else 0
        pipelined = spec.accumulate_stages
        reduced = spec.tree_stages + spec.reduction_registered
        forwards = sram if not pipelined else 0
        kept = spec.keeps_activations
        filed = 1 if spec.accumulates and (not spec.buffered or not spec.in_sram) else 0
        ports = {
            "act": In(HANDSHAKE),
            "wgt": In(HANDSHAKE),
            "out": Out(HANDSHAKE),
            "keep": Out(kept),
            "recall": Out(kept),
            "kept_address": Out(spec.kept_address_width),
            "arrived": Out(kept),
            "enable_tile": Out(1),
            "enable_build": Out(stages),
            "enable_fetch": Out(1 if spec.fetch_register else 0),
            "enable_partial": Out(reduced),
            "enable_sum": Out(pipelined),
            "enable_accumulator": Out(filed),
            "enable_result": Out(1 if spec.separate else 0),
            "enable_resolve": Out(spec.resolving),
            "first": Out(1 if spec.accumulates else 0),
            "first_load": Out(1 if spec.fixed and spec.accumulates else 0),
            "address": Out(address if filed or sram else 0),
            "file_address": Out(address if filed and pipelined else 0),
            "read": Out(sram),
            "read_address": Out(sram * address),
            "write": Out(sram),
            "forward": Out(forwards),
            "enable_forward": Out(forwards),
        }
        shape = f"l{spec.lut_count}mu{spec.mu}f{spec.fetch_count}t{spec.token_lanes}"
        limits = f"m{spec.m_max}k{spec.k_max}n{spec.n_max}"
        flow = f"b{stages}s{spec.fetch_register:d}{reduced}{'m' if sram else 'r'}"
        flow += f"_p{pipelined}" * (pipelined > 0) + "_fixed" * spec.fixed
        flow += f"_save{spec.resolve_cycles}" * spec.saves
        flow += f"_d{spec.depth}" * spec.tiled + "_kept" * kept
        super().__init__(spec, f"{spec.family}_control_{shape}_{limits}_{flow}", ports)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        self._load(m)
        side = self._sweep(m)
        self._stages(m, side)
        self.report(
            m,
            taken(self.act, self.wgt),
            (
                (self.keep if self.spec.keeps_activations else self.enable_tile)
                & (self.act.tlast != self._load_last)
            )
            | (self._fire & (self.wgt.tlast != self._sweep_last)),
        )
        return m

    def _load(self, m: Module) -> None:
        """Accept a tile of activations when the first stage of the table pipeline is free."""
        spec = self.spec
        stages = spec.build_stages
        names = ["kept"] * spec.load_stages + [f"tile{stage}" for stage in range(stages + 1)]
        valid = [Signal(name=f"{name}_valid") for name in names]
        self._tile_valid = valid[-1]
        self._release = Signal(name="tile_release")
        end = Signal(name="load_end")
        active = self.active(m, "loading", end)
        ready = [*(Signal(name=f"{name}_ready") for name in names), self._release]
        streams, offered = active, self.act.tvalid
        if spec.keeps_activations:
            first_pass = Signal(name="first_pass")
            streams, offered = active & first_pass, offered | ~first_pass
        accept = active & offered & ready[0]
        last_tile, last_pass, last_token = self._load_loops(m, accept)
        self._load_last = last_tile & last_token if spec.keeps_activations else last_pass & last_token
        if spec.keeps_activations:
            self._keep(m, accept, first_pass, last_tile, last_pass)
        offered = [accept, *valid]
        moves = [elastic(m, offered[i], full, ready[i], ready[i + 1]) for i, full in enumerate(valid)]
        m.d.comb += [
            end.eq(accept & (last_pass & last_token)),
            self.act.tready.eq(streams & ready[0]),
            self.enable_tile.eq([accept, *moves[1:]][spec.load_stages]),
        ]
        if stages:
            m.d.comb += self.enable_build.eq(Cat(*moves[spec.load_stages + 1 :]))

    def _load_loops(self, m: Module, accept: Value) -> tuple[Value, Value, Value]:
        """Three flags: the tile to be loaded is the last of its pass, of its token group, of the last token group."""
        spec = self.spec
        last_tile: Value = Const(1, 1)
        if spec.accumulates:
            last_tile = self.counted(m, "load_k", self.run.k, spec.tile_k, accept)
        if len(self.first_load):
            first = self.opening(m, "loads_first", accept, last_tile)
            m.d.comb += self.first_load.eq(self._beside(m, "kept_first", accept, first))
        last_pass = last_tile
        if spec.tiled:
            last = self.counted(m, "load_n", self.run.n, spec.tile_n, accept & last_tile)
            last_pass = last_tile & last
        last_token: Value = Const(1, 1)
        if spec.regroups:
            last_token = self.counted(m, "load_tokens", self.run.tokens, spec.token_lanes, accept & last_pass)
        return last_tile, last_pass, last_token

    def _beside(self, m: Module, name: str, accept: Value, value: Value) -> Value:
        """A bit that waits beside a tile of activations on its way to the activation register."""
        if not self.spec.keeps_activations:
            return value
        held = Signal(name=name)
        with m.If(accept):
            m.d.sync += held.eq(value)
        return held

    def _keep(self, m: Module, accept: Value, first_pass: Signal, last_tile: Value, last_pass: Value) -> None:
        """Write the tiles of the first pass into the memory of activations, and read them in every other pass."""
        self.opening(m, first_pass, accept & last_tile, last_pass)
        address = Signal(len(self.kept_address), name="kept_tile")
        self._stepped(m, address, accept, last_tile)
        m.d.comb += [
            self.keep.eq(accept & first_pass),
            self.recall.eq(accept & ~first_pass),
            self.kept_address.eq(address),
            self.arrived.eq(self._beside(m, "kept_arrived", accept, first_pass)),
        ]

    def _stepped(self, m: Module, number: Signal, step: Value, last: Value) -> None:
        """Count the steps of a loop."""
        count_up(m, number, step, self.run.start | (step & last))

    def _sweep(self, m: Module) -> Any:
        """Take a weight beat when there is a table and room; returns what travels with the beat."""
        spec = self.spec
        self._fire = Signal(name="sweep_fire")
        self._room = Signal(name="sweep_room")
        end = Signal(name="sweep_end")
        active = self.active(m, "sweeping", end)
        first: Value = Const(0, 0)
        last_column: Value = Const(1, 1)
        if spec.tiled:
            last_column = Signal(name="last_column")
        elif spec.buffered:
            last_column = self.counted(m, "sweep_n", self.run.n, spec.fetch_count, self._fire)
        column = Signal(spec.address_width, name="column") if spec.address_width else Const(0, 0)
        if spec.address_width:
            self._stepped(m, column, self._fire, last_column)
        advance = self._fire & last_column
        last_tile: Value = Const(1, 1)
        if spec.accumulates:
            last_tile = self.counted(m, "sweep_k", self.run.k, spec.tile_k, advance)
            first = self.opening(m, "first_tile", advance, last_tile)
        last_pass = self._outputs(m, column, last_column, last_tile) if spec.tiled else last_tile
        last_token: Value = Const(1, 1)
        if spec.regroups:
            last_token = self.counted(
                m, "sweep_tokens", self.run.tokens, spec.token_lanes, advance & last_pass
            )
        self._sweep_last = last_column & last_pass & last_token
        tile = self._tile_valid
        free: Value = self._room
        if spec.accumulate_stages:
            self._waits = Signal(name="column_waits")
            free = self._room & ~self._waits
            m.d.comb += self.run.stall_dependency.eq(active & self._room & self._waits)
        m.d.comb += [
            self._release.eq(advance),
            self.wgt.tready.eq(active & tile & free),
            self._fire.eq(self.wgt.tready & self.wgt.tvalid),
            end.eq(self._fire & self._sweep_last),
            self.run.stall_output.eq(active & ~self._room),
            self.run.stall_input.eq(active & free & ~tile),
            self.run.stall_memory.eq(active & free & tile & ~self.wgt.tvalid),
        ]
        return joined(sideband(spec), first=first, emit=last_tile, final=self._sweep_last, column=column)

    def _outputs(self, m: Module, column: Value, last_column: Signal, last_tile: Value) -> Value:
        """Count output tiles, and the column groups of each; returns whether a token group ends with this tile."""
        spec = self.spec
        advance = self._fire & last_column
        outputs = self.counter(
            m, "sweep_outputs", self.run.n, spec.tile_n, advance & last_tile, shown=spec.buffered > 0
        )
        if spec.buffered:
            self._columns(m, column, last_column, last_tile, outputs)
        else:
            m.d.comb += last_column.eq(1)
        return last_tile & outputs.last

    def _columns(self, m: Module, column: Value, last: Signal, last_tile: Value, outputs: Loop) -> None:
        """Say with ``last`` whether a column group is the last of its output tile.

        It is the last one that the accumulators hold or, in the last output tile, the one with the last output. The
        outputs that remain are counted down again in every sweep.
        """
        fetches, n = self.spec.fetch_count, self.run.n
        same = still(fetches)
        first = self.opening(m, "first_column", self._fire, last)
        left = Signal(self.spec.tile_count_width, name="sweep_n_left")
        now = Mux(first, outputs.left[same : same + len(left)], left)
        ends = outputs.last & at_most(Cat(n[:same], now), Const(2 * fetches))
        following = Mux(
            outputs.last, at_most(n, Const(fetches)), at_most(outputs.left, Const(self.spec.tile_n + fetches))
        )
        again = Mux(last_tile, following, at_most(outputs.left, Const(fetches)))
        with m.If(self.run.start):
            m.d.sync += last.eq(at_most(n, Const(fetches)))
        with m.Elif(self._fire):
            m.d.sync += [
                left.eq(now - (fetches >> same)),
                last.eq(Mux(last, again, (column == self.spec.depth - 2) | ends)),
            ]

    def _stages(self, m: Module, side: Any) -> None:
        """The elastic stages between fetch and the end of accumulation, and the result register."""
        named = ("fetch", self.enable_fetch), ("partial", self.enable_partial), ("sum", self.enable_sum)
        enables = [(f"{name}{stage}", line) for name, lines in named for stage, line in enumerate(lines)]
        before = len(enables) - len(self.enable_sum)  # stages before the accumulator is read
        self._issue = side
        waiting: list[Value] = []
        valid, beat, entering = self._fire, side, Const(0, 1)
        ready = self._room
        for number, (name, line) in enumerate(enables):
            full, onward = (Signal(name=f"{name}_{what}") for what in ("valid", "ready"))
            entering = elastic(m, valid, full, ready, onward)
            beat = beat if number < before else some_of(sideband(self.spec, read=True), beat)
            held = viewed(beat.shape(), Signal(len(bits(beat)), name=f"{name}_beat"))
            with m.If(entering):
                m.d.sync += held.eq(beat)
            m.d.comb += line.eq(entering)
            if number == before - 1 and self.spec.in_sram:
                m.d.comb += [self.read.eq(entering), self.read_address.eq(beat.column)]
                incoming = beat.column
            valid, beat, ready = full, held, onward
            waiting.append(valid & (beat.column == side.column))
            if number == before - 1:
                self._issue = beat
        self._finish(m, valid, beat, ready, bool(enables))
        if self.spec.accumulate_stages:
            waits = Cat(*waiting).any()
            m.d.comb += self._waits.eq(waits & ~side.first if self.spec.tiled else waits)
        if len(self.forward):
            self._forward(m, entering, incoming)

    def _forward(self, m: Module, entering: Value, incoming: Value) -> None:
        """Hand on what is written in this cycle where the beat that enters reads the same word."""
        collide, forward = Signal(name="collide"), Signal(name="forwarding")
        m.d.comb += [
            collide.eq(entering & self.write & (incoming == self.address)),
            self.enable_forward.eq(collide),
            self.forward.eq(forward),
        ]
        with m.If(entering):
            m.d.sync += forward.eq(collide)

    def _finish(self, m: Module, valid: Value, beat: Any, ready: Signal, staged: bool) -> None:
        """Accumulate, or put a finished result into the result register."""
        spec = self.spec
        out_valid, out_last = Signal(name="result_valid"), Signal(name="result_last")
        free = Signal(name="result_free") if spec.saves else ~out_valid | self.out.tready
        emit = beat.emit if spec.accumulates else Const(1, 1)
        final = beat.emit if spec.single_result else beat.final
        m.d.comb += ready.eq((free | ~emit) if spec.buffered or spec.saves else free)
        fire = Signal(name="accumulate_fire")
        m.d.comb += fire.eq(valid & ready if staged else valid)
        if spec.saves:
            self._resolve(m, fire & emit, final, free, out_valid, out_last)
        else:
            with m.If(fire & emit):
                m.d.sync += [out_valid.eq(1), out_last.eq(final)]
            with m.Elif(self.out.tready):
                m.d.sync += out_valid.eq(0)
        m.d.comb += [
            self.out.tvalid.eq(out_valid),
            self.out.tlast.eq(out_last),
            self.run.finished.eq(out_valid & out_last & self.out.tready),
        ]
        if spec.accumulates:
            m.d.comb += self.first.eq(self._issue.first)
        if len(self.enable_result):
            m.d.comb += self.enable_result.eq(fire & emit)
        if len(self.enable_accumulator):
            m.d.comb += self.enable_accumulator.eq(fire & ~emit if spec.buffered else fire)
        if len(self.write):
            m.d.comb += self.write.eq(fire & ~emit)
        if len(self.address):
            m.d.comb += self.address.eq(beat.column)
        if len(self.file_address):
            m.d.comb += self.file_address.eq(self._issue.column)

    def _resolve(
        self, m: Module, enters: Value, final: Value, free: Signal, valid: Signal, last: Signal
    ) -> None:
        """Hold a finished result while its two words are added, a piece a cycle, and until it is taken."""
        held, steps = Signal(name="result_held"), Signal(self.spec.resolving, name="resolving")
        m.d.comb += [free.eq(~held | (valid & self.out.tready)), self.enable_resolve.eq(steps)]
        m.d.sync += steps.eq(Cat(enters, steps[:-1]))
        with m.If(free):
            m.d.sync += held.eq(enters)
        with m.If(enters):
            m.d.sync += last.eq(final)
        with m.If(steps[-1]):
            m.d.sync += valid.eq(1)
        with m.Elif(self.out.tready):
            m.d.sync += valid.eq(0)
