"""Pruned decode: surrogate scores of all keys select the few keys that are fetched and scored exactly."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic.pruning import CODE_BITS
from blueprint.families.streaming_attention import StreamingAttentionSpec
from blueprint.numbers import bit_length, clog2
from generator.arithmetic.integers import zero_extend
from generator.arithmetic.softmax.pruning import Bucket, LeadingOneScore, TopK
from generator.block import Block
from generator.boundary import HANDSHAKE, AxiStream, Run
from generator.cells.memory import Sram
from generator.layout import bits
from generator.sequencer import held


class Screen(Block):
    """Scores leading-one codes, counts the scores' buckets, and names the keys of the best ones.

    Three steps by turns: every key of a pass is screened, the buckets are searched for those that hold enough keys, and
    the keys in them are picked in rising order. Screening of the next pass overlaps with picking.
    """

    place = "screen"
    bare = ("run",)

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        self.spec, self.pruning = spec, spec.pruning
        p, number = self.pruning, clog2(spec.keys_max)
        self.latency = f"{p.search_cycles} cycles between screening and picking"
        self.throughput = "one key per cycle in every step"
        ports = {
            "run": In(Run(spec.register_file())),
            "code": In(AxiStream(spec.stream("code"))),
            "query": In(spec.dim * CODE_BITS),
            "codes_valid": In(1),
            "counted_room": In(1),
            "screen_fire": Out(1),
            "code_wrong": Out(1),
            "screened": Out(1),  # the last key of a pass is taken
            "counted_reserve": Out(1),
            "counted_write": Out(1),
            "counted_valid": In(1),
            "found_room": In(1),
            "found_reserve": Out(1),
            "searched": Out(1),  # the last key of a pass is examined
            "taken": Out(1),
            "number": Out(number),
            "found_valid": In(1),
            "picked_room": In(1),
            "pick": Out(HANDSHAKE),
            "pick_fire": Out(1),
            "picked_all": Out(1),  # the number of the last key of a pass is given
        }
        super().__init__(f"{spec.family}_screen_{spec.design_hash}", ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        counted, bucket = self._screen(m)
        self._search(m, counted, bucket)
        self._pick(m)
        return m

    def _passes(self, m: Module, name: str, advance: Value) -> Value:
        """1 if this is the last pass."""
        if not self.spec.repeats:
            return Const(1, 1)
        left = Signal(len(self.run.passes), name=f"{name}_passes")
        last = Signal(name=f"{name}_last")
        m.d.comb += last.eq(left <= 1)
        with m.If(self.run.start):
            m.d.sync += left.eq(self.run.passes)
        with m.Elif(advance):
            m.d.sync += left.eq(left - 1)
        return last

    def _number(self, m: Module, name: str, width: int, size: Value, advance: Value) -> tuple[Signal, Value]:
        """(number of an item from 0 on, whether it is the last of ``size``)."""
        number = Signal(width, name=name)
        last = Signal(name=f"{name}_last")
        m.d.comb += last.eq(number + 1 == size)
        with m.If(self.run.start | (advance & last)):
            m.d.sync += number.eq(0)
        with m.Elif(advance):
            m.d.sync += number.eq(number + 1)
        return number, last

    def _screen(self, m: Module) -> tuple[Value, Value]:
        """Take a code per cycle; returns (1 in the cycle in which its bucket is known, the bucket)."""
        p, stages = self.pruning, self.spec.dot_stages
        key, last = self._number(m, "screened_key", len(self.number), self.run.keys, self.screen_fire)
        final = self._passes(m, "screened", self.screened) & last
        active = held(m, "screening", self.run.start, self.screen_fire & final)
        first = ~key.any()
        m.d.comb += [
            self.code.tready.eq(active & self.codes_valid & (self.counted_room | ~first)),
            self.screen_fire.eq(self.code.tready & self.code.tvalid),
            self.code_wrong.eq(self.screen_fire & (self.code.tlast != final)),
            self.screened.eq(self.screen_fire & last),
            self.counted_reserve.eq(self.screen_fire & first),
        ]
        score, bucket = Signal(p.score_width, name="score"), Signal(p.bucket_width, name="bucket")
        block = LeadingOneScore(p, stages)
        pins = {"enable": Const(1, 1)} if stages else {}
        self.use(m, block, "surrogate", q=self.query, k=bits(self.code.beat.code), result=score, **pins)
        self.use(m, Bucket(p), "bucket_of", score=score, bucket=bucket)
        valid, done = self.screen_fire, self.screened
        for stage in range(stages):
            flags = Signal(2, name=f"scored{stage}")
            m.d.sync += flags.eq(Cat(valid, done))
            valid, done = flags[0], flags[1]
        m.d.comb += self.counted_write.eq(done)
        return valid, bucket

    def _search(self, m: Module, counted: Value, bucket: Value) -> None:
        p = self.pruning
        scan = p.search_cycles
        timer = Signal(bit_length(scan), name="timer")
        at, number = (Signal(len(self.number), name=name) for name in ("at", "number_here"))
        fire, looks, first = Signal(name="search"), Signal(name="looks"), Signal(name="search_first")
        last = Signal(name="search_last")
        topmost = (self.run.keys - 1)[: len(at)]
        m.d.comb += [
            first.eq(timer == 0),
            looks.eq(timer == scan),
            fire.eq(self.counted_valid & (self.found_room | ~first)),
            last.eq(looks & (number == topmost)),
            self.found_reserve.eq(fire & first),
            self.searched.eq(fire & last),
            self.number.eq(number),
        ]
        with m.If(fire & last):
            m.d.sync += timer.eq(0)
        with m.Elif(fire & ~looks):
            m.d.sync += timer.eq(timer + 1)
        reads = fire & (looks | (timer == scan - 1))
        with m.If(fire & last):
            m.d.sync += at.eq(0)
        with m.Elif(reads & (at != topmost)):
            m.d.sync += at.eq(at + 1)
        with m.If(reads):
            m.d.sync += number.eq(at)
        stored = self._buckets(m, counted, bucket, reads, at)
        picked = Signal(name="in_best")
        chosen = Mux(looks, stored, bucket)
        ready = Signal(name="best_ready")  # not read: it becomes 1 within the ``scan`` cycles
        self.use(
            m, TopK(p), "best", ready=ready, clear=self.run.start | self.searched,
            count=counted, scan=fire & first, pick=fire & looks,
            bucket=chosen, candidates=zero_extend(self.run.candidates, p.count_width), taken=picked,
        )  # fmt: skip
        m.d.comb += self.taken.eq(picked & fire & looks)

    def _buckets(self, m: Module, counted: Value, bucket: Value, reads: Value, at: Value) -> Value:
        """The buckets of all keys of a pass, written in order and read back."""
        words, width = self.spec.keys_max, len(bucket)
        sram = Sram(words, width)
        tail = Signal(len(at), name="tail")
        stored = Signal(width, name="stored")
        with m.If(self.run.start | self.searched):
            m.d.sync += tail.eq(0)
        with m.Elif(counted):
            m.d.sync += tail.eq(Mux(tail == words - 1, Const(0, len(tail)), (tail + 1)[: len(tail)]))
        self.use(
            m, sram, "buckets", write=counted, write_address=tail, write_data=bucket,
            read=reads, read_address=at, read_data=stored,
        )  # fmt: skip
        return stored

    def _pick(self, m: Module) -> None:
        _, last = self._number(m, "pick", self.spec.key_width, self.run.candidates, self.pick_fire)
        final = self._passes(m, "picked", self.picked_all)
        m.d.comb += [
            self.pick.tvalid.eq(self.found_valid & self.picked_room),
            self.pick_fire.eq(self.pick.tvalid & self.pick.tready),
            self.pick.tlast.eq(last & final),
            self.picked_all.eq(self.pick_fire & last),
        ]
