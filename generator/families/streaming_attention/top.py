"""The datapath of the accelerator: nodes and the FIFOs between them."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.data import ArrayLayout

from blueprint.arithmetic.pruning import CODE_BITS
from blueprint.families.streaming_attention import StreamingAttentionSpec
from blueprint.families.streaming_attention.dataflow import (
    NODES,
    SUMMING,
    Edge,
    depths,
    every,
    latencies,
    present,
    reserved,
    words,
)
from blueprint.numbers import FILE_WORDS, flag
from blueprint.record import Record
from generator.accelerator import Accelerator
from generator.arithmetic.floating.words import is_special
from generator.arithmetic.softmax.pruning import LeadingOneCode
from generator.block import word
from generator.cells.fifo import Fifo
from generator.families.streaming_attention import nodes, results
from generator.families.streaming_attention.control import Control
from generator.families.streaming_attention.node import NodeBlock
from generator.families.streaming_attention.screen import Screen
from generator.layout import bits, elements, joined, layout


@dataclass(frozen=True)
class Link:
    """A FIFO between two nodes: ``word`` leaves as its record; ``fills`` and ``reads`` are 1 when the nodes fire.

    The link of a FIFO that the design lacks is empty.
    """

    edge: Edge
    there: bool
    record: Record
    room: Value
    valid: Value
    word: Any
    fills: Value
    reads: Value


class StreamingAttention(Accelerator):
    """Attends queries to streams of keys and values."""

    place = "tile"

    def __init__(self, spec: StreamingAttentionSpec) -> None:
        late = latencies(spec)
        self.latency = f"{sum(late[name] for name in NODES[spec.graph])} cycles from a key through all nodes"
        self.throughput = f"one key per cycle, {spec.peak_macs} multiply-accumulates"
        super().__init__(spec)

    def elaborate(self, platform: Any) -> Module:
        m, spec = self.module(), self.spec
        names = ("tune", "load", "screen", "search", "pick", *NODES[spec.graph], "drain")
        fires = {name: Signal(name=f"{name}_fire") for name in names}
        self._fires = SimpleNamespace(**fires)
        # Where partial sums take turns a node reads the last word of a row when they are added.
        self._busy = {name: Signal(name=f"{name}_busy") for name in SUMMING if spec.sum_stages}
        self._reads = {name: Signal(name=f"{name}_read") for name in self._busy}
        reads = fires | self._reads
        self._links = SimpleNamespace(
            **{edge.name: self._link(edge, fires, reads) for edge in every(spec.graph)}
        )
        self._saturated: list[Value] = []
        self._front(m, self._sequence(m))
        if spec.prunes:
            self._screen(m)
        builders = {
            "score": self._score, "maximum": self._maximum, "exponential": self._exponential, "sum": self._sum,
            "output": self._output, "divide": self._divide,
        }  # fmt: skip
        for name in NODES[spec.graph]:
            builders[name](m)
        self._drain(m)
        m.d.comb += self._control.run.saturated.eq(Cat(*self._saturated).any())
        return m

    # FIFOs -----------------------------------------------------------------------------------------------------------

    def _link(self, edge: Edge, fires: dict[str, Signal], taken: dict[str, Signal]) -> Link:
        spec, name = self.spec, edge.name
        there, record = bool(present(spec)[name]), words(spec)[name]
        room, valid = (Signal(flag(there), name=f"{name}_{what}") for what in ("room", "valid"))
        held = word(there * record.width, f"{name}_word") if there else Const(0, record.width)
        none = Const(0, 0)
        fills, reads = fires.get(edge.source, none), taken.get(edge.target, none)
        return Link(edge, there, record, room, valid, layout(record)(held), fills, reads)

    def _fifo(self, width: int, depth: int, ahead: bool, refills: bool) -> Fifo:
        return Fifo(
            self.spec.family, width, depth, ahead=ahead, refills=refills, in_memory=depth > FILE_WORDS
        )

    def _fill(
        self,
        m: Module,
        link: Link,
        write: Value,
        *,
        read: Value | None = None,
        reserve: Value | None = None,
        **fields: Any,
    ) -> None:
        """Put the FIFO there: ``fields`` go in at ``write``, the slot is taken at ``reserve``.

        By default a slot is taken when the node before fires, and a word is read when the node behind does.
        """
        if not link.there:
            return
        spec, name = self.spec, link.edge.name
        fifo = self._fifo(
            link.record.width, depths(spec)[name], bool(reserved(spec)[name]), link.edge.kind == "long"
        )
        self.use(
            m, fifo, name, write=write, word=joined(link.record, **fields), room=link.room, valid=link.valid,
            read=link.reads if read is None else read, reserve=link.fills if reserve is None else reserve,
            result=link.word,
        )  # fmt: skip

    # Ports -----------------------------------------------------------------------------------------------------------

    def _sequence(self, m: Module) -> Value:
        """Instantiate the sequencer; returns whether a key ends a pass."""
        spec, control, fires, links = self.spec, Control(self.spec), self._fires, self._links
        ports = {
            "last": control.last, "turn": control.turn, "final": control.final, "visible": control.visible,
            "pass_end": control.pass_end,
        }  # fmt: skip
        flags = {name: Signal(len(port), name=f"key_{name}") for name, port in ports.items()}
        self._value_final = Signal(name="value_final")
        self._code_wrong = Signal(spec.prunes, name="code_wrong")
        here = [link for link in vars(links).values() if link.there]
        self._control = self.sequence(
            m,
            control,
            **flags,
            scale=self.s_axis_scale,
            query=self.s_axis_query,
            key=self.s_axis_key,
            value=self.s_axis_value,
            value_taken=fires.output,
            value_final=self._value_final,
            tune_room=room(*(link for link in here if link.edge.source == "tune")),
            load_room=room(*(link for link in here if link.edge.source == "load")),
            score_room=room(*(link for link in here if link.edge.source == "score")),
            score_tokens=ready(links.queries, links.scales, links.picked),
            code_taken=fires.screen,
            code_wrong=self._code_wrong,
            tune_fire=fires.tune,
            load_fire=fires.load,
            score_fire=fires.score,
        )
        return flags.pop("pass_end")

    def _front(self, m: Module, pass_end: Value) -> None:
        """The scales of a pass and the queries of a row, as they arrive."""
        links, fires, beat = self._links, self._fires, self.s_axis_scale.beat
        scales = {"multiplier": beat.multiplier, "shift": beat.shift, "offset": beat.offset}
        self._fill(m, links.scales, fires.tune, read=fires.score & pass_end, **scales)
        if links.gains.there:
            gains = {"gain": beat.output_multiplier, "down": beat.output_shift}
            self._fill(m, links.gains, fires.tune, read=self._pass_done(), **gains)
        last = self._control.last
        self._fill(m, links.queries, fires.load, read=fires.score & last, query=self.s_axis_query.beat.query)

    def _screen(self, m: Module) -> None:
        """Codes to the numbers of the keys that are to be fetched."""
        spec, fires, links = self.spec, self._fires, self._links
        code, codes = LeadingOneCode(), Signal(spec.dim * CODE_BITS, name="query_code")
        queries, found = self.s_axis_query.beat.query, ArrayLayout(CODE_BITS, spec.dim)(codes)
        for number, pair in enumerate(zip(elements(queries), elements(found), strict=True)):
            self.use(m, code, f"code{number}", value=pair[0], code=pair[1])
        there, wrong = Signal(name="pick_there"), self._code_wrong
        screen = self.use(
            m, Screen(spec), "screen", prefix="", run=self._control.run, code=self.s_axis_code,
            pick=self.m_axis_pick, query=links.codes.word.code, codes_valid=links.codes.valid,
            counted_room=links.counted.room, counted_valid=links.counted.valid, found_room=links.found.room,
            found_valid=links.found.valid & there, picked_room=links.picked.room, code_wrong=wrong,
            screen_fire=fires.screen, pick_fire=fires.pick,
        )  # fmt: skip
        searched = screen.searched
        self._fill(m, links.codes, fires.load, read=screen.screened, code=codes)
        self._fill(m, links.counted, screen.counted_write, read=searched, reserve=screen.counted_reserve)
        self._fill(m, links.found, searched, read=screen.picked_all, reserve=screen.found_reserve)
        self._fill(m, links.picked, fires.pick)
        self._numbers(m, screen.taken, screen.number, there)

    def _numbers(self, m: Module, taken: Value, number: Value, there: Value) -> None:
        """The numbers of the keys found in a pass wait until all are known; ``there`` says whether there are any."""
        fifo = self._fifo(len(number), self.spec.candidates, False, False)
        found = Signal(len(number), name="pick_number")
        room = Signal(name="pick_room")  # always 1 here: the numbers of the previous pass have left
        self.use(
            m, fifo, "numbers", write=taken, word=number, read=self._fires.pick, result=found, valid=there,
            room=room,
        )  # fmt: skip
        m.d.comb += self.m_axis_pick.tdata.eq(found)

    def _pass_done(self) -> Value:
        """The node that uses the gains is done with a pass."""
        links = self._links
        word = links.shares.word if links.gains.edge.target == "output" else links.weights.word
        turn = word.turn if len(word.turn) else self._run_done(word)
        return links.gains.reads & word.last & turn

    def _run_done(self, word: Any) -> Value:
        """1 if a pass ends with every row, or with the run, where no flag says so."""
        return word.final if self.spec.regroups and not self.spec.repeats else Const(1, 1)

    # Nodes -----------------------------------------------------------------------------------------------------------

    def _node(self, m: Module, block: NodeBlock, fire: Value, beside: Any, **given: Any) -> Any:
        """Instantiate a node that fires with these inputs, and with the flags ``beside`` them; returns its ends."""
        flags = {"last": beside.last, "turn": beside.turn, "final": beside.final, "visible": beside.visible}
        ends = self.use(m, block, block.place, fire=fire, **flags, **given)
        if len(ends.saturated):
            self._saturated.append(ends.saturated)
        if block.place in self._busy:
            m.d.comb += [
                self._busy[block.place].eq(ends.busy),
                self._reads[block.place].eq((fire & ~beside.last) | ends.freed),
            ]
        return ends

    def _fire(self, m: Module, name: str, fire: Value, *, when: Value | None = None) -> None:
        """A node fires when its inputs are there and its outputs have room; those of a row need room only ``when``."""
        links = [link for link in vars(self._links).values() if link.there]
        keyed = [link for link in links if link.edge.source == name and link.edge.kind != "row"]
        rows = [link for link in links if link.edge.source == name and link.edge.kind == "row"]
        go = ready(*(link for link in links if link.edge.target == name))
        if keyed:
            go = go & room(*keyed)
        if rows:
            go = go & (room(*rows) if when is None else room(*rows) | ~when)
        if name in self._busy:
            go = go & ~self._busy[name]
        if name == "output":
            m.d.comb += self.s_axis_value.tready.eq(go)
            go = go & self.s_axis_value.tvalid
        m.d.comb += fire.eq(go)

    def _key_fifo(self, m: Module, link: Link, ends: Any, **fields: Any) -> None:
        """A FIFO with a word per key: the flags of the node before, and ``fields``."""
        flags = {
            "last": ends.last_out, "turn": ends.turn_out, "final": ends.final_out, "visible": ends.visible_out,
        }  # fmt: skip
        self._fill(m, link, ends.write, **flags, **fields)

    def _score(self, m: Module) -> None:
        links = self._links
        scales = links.scales.word
        ends = self._node(
            m, nodes.Score(self.spec), self._fires.score, self._control, query=links.queries.word.query,
            key=self.s_axis_key.beat.key, multiplier=scales.multiplier, shift=scales.shift, offset=scales.offset,
        )  # fmt: skip
        if self.spec.graph == "naive":
            self._key_fifo(m, links.weights, ends, weight=ends.result)
            self._key_fifo(m, links.long_weights, ends, weight=ends.result)
            return
        self._key_fifo(m, links.scores, ends, exponent=ends.result)
        if self.spec.graph != "memory_free":
            self._key_fifo(m, links.long_scores, ends, exponent=ends.result)

    def _maximum(self, m: Module) -> None:
        links, word, fire = self._links, self._links.scores.word, self._fires.maximum
        self._fire(m, "maximum", fire, when=word.last)
        ends = self._node(m, nodes.Highest(self.spec), fire, word, exponent=word.exponent)
        if self.spec.graph == "memory_free":
            for link in (links.weights, links.shares):
                self._key_fifo(m, link, ends, weight=ends.result, shift=ends.shift)
            return
        read = self._fires.exponential & links.long_scores.word.last
        reserve = fire & word.last if self.spec.short else None
        self._fill(m, links.maxima, ends.write, read=read, reserve=reserve, reference=ends.result)

    def _exponential(self, m: Module) -> None:
        links, word, fire = self._links, self._links.long_scores.word, self._fires.exponential
        self._fire(m, "exponential", fire)
        ends = self._node(
            m, nodes.Exponential(self.spec), fire, word, exponent=word.exponent,
            reference=links.maxima.word.reference,
        )  # fmt: skip
        self._key_fifo(m, links.weights, ends, weight=ends.result)
        link = links.long_weights if self.spec.graph == "scaled" else links.shares
        self._key_fifo(m, link, ends, weight=ends.result)

    def _sum(self, m: Module) -> None:
        links, word, gains, fire = self._links, self._links.weights.word, self._gains("sum"), self._fires.sum
        self._fire(m, "sum", fire, when=word.last)
        ends = self._node(m, nodes.Sum(self.spec), fire, word, weight=word.weight, shift=word.shift, **gains)
        divided = self._fires.divide
        if self.spec.softmax.divides_first:
            divided = divided & links.long_weights.word.last
        self._fill(
            m, links.sums, ends.write, read=divided, reserve=fire & word.last, inverse=ends.result,
            down=ends.down_out,
        )  # fmt: skip

    def _gains(self, target: str) -> dict[str, Value]:
        """The gains of a pass, for the node that uses them."""
        link = self._links.gains
        if link.edge.target != target:
            return {"gain": Const(0, 0), "down": Const(0, 0)}
        return {"gain": link.word.gain, "down": link.word.down}

    def _output(self, m: Module) -> None:
        links, word, gains, fire = (
            self._links,
            self._links.shares.word,
            self._gains("output"),
            self._fires.output,
        )
        self._fire(m, "output", fire, when=word.last)
        final = word.final if len(word.final) else Const(1, 1)
        m.d.comb += self._value_final.eq(word.last & final)
        ends = self._node(
            m, results.Output(self.spec), fire, word, weight=word.weight, shift=word.shift,
            value=self.s_axis_value.beat.value, **gains,
        )  # fmt: skip
        reserve = fire & word.last
        link = links.rows if self.spec.softmax.divides_first else links.totals
        found = {"row": ends.result} if link is links.rows else {"total": ends.result}
        self._fill(m, link, ends.write, reserve=reserve, final=ends.final_out, **found)

    def _divide(self, m: Module) -> None:
        links, sums, fire = self._links, self._links.sums.word, self._fires.divide
        self._fire(m, "divide", fire)
        if self.spec.softmax.divides_first:
            word = links.long_weights.word
            block: NodeBlock = results.DivideWeights(self.spec)
            ends = self._node(m, block, fire, word, weight=word.weight, inverse=sums.inverse)
            self._key_fifo(m, links.shares, ends, weight=ends.result)
            return
        word = links.totals.word
        block = results.DivideTotals(self.spec)
        ends = self._node(m, block, fire, word, total=word.total, inverse=sums.inverse, down=sums.down)
        self._fill(m, links.rows, ends.write, row=ends.result, final=ends.final_out)

    def _drain(self, m: Module) -> None:
        link, out, fire = self._links.rows, self.m_axis_out, self._fires.drain
        last = link.word.final if len(link.word.final) else Const(1, 1)
        m.d.comb += [
            out.tvalid.eq(link.valid),
            out.tdata.eq(bits(link.word.row)),
            out.tlast.eq(last),
            fire.eq(out.tvalid & out.tready),
            self._control.run.finished.eq(fire & last),
        ]
        a = self.spec.softmax
        if a.is_float:
            infinite = Cat(*(is_special(a.input_format, each)[0] for each in elements(link.word.row)))
            self._saturated.append(fire & infinite.any())


def ready(*links: Link) -> Value:
    """1 if all of these FIFOs have a word."""
    return Cat(*(link.valid for link in links)).all()


def room(*links: Link) -> Value:
    """1 if all of these FIFOs have room."""
    return Cat(*(link.room for link in links)).all()
