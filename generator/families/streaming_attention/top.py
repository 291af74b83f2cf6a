"""The datapath of the accelerator: nodes and the FIFOs between them."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In

from blueprint.arithmetic.pruning import CODE_BITS
from blueprint.families.streaming_attention import StreamingAttentionSpec
from blueprint.families.streaming_attention.dataflow import NODES, Edge, depths, edges, latencies, words
from blueprint.families.streaming_attention.inventory import FILE_WORDS
from generator.accelerator import Accelerator
from generator.arithmetic.floating.words import is_special
from generator.arithmetic.integers import parts
from generator.arithmetic.softmax.pruning import LeadingOneCode
from generator.block import word
from generator.cells.fifo import Fifo
from generator.cells.register_file import size_ports
from generator.families.streaming_attention import nodes, results
from generator.families.streaming_attention.control import Control
from generator.families.streaming_attention.node import NodeBlock
from generator.families.streaming_attention.screen import Screen


@dataclass(frozen=True)
class Wires:
    """Signals of a FIFO at its two ends."""

    room: Signal
    valid: Signal
    result: Any


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
        self._edges = {edge.name: edge for edge in edges(spec.graph, bool(spec.has_gains), bool(spec.prunes))}
        names = ("tune", "load", "screen", "pick", *NODES[spec.graph], "drain")
        self._fires = {name: Signal(name=f"{name}_fire") for name in names}
        self._fifos = {name: self._ends(name) for name in self._edges}
        self._control(m)
        if spec.prunes:
            self._screen(m)
        for name in NODES[spec.graph]:
            getattr(self, f"_{name}")(m)
        self._drain(m)
        m.d.comb += self.wires["saturated"].eq(Cat(*self._saturated).any())
        return m

    # FIFOs -----------------------------------------------------------------------------------------------------------

    def _ends(self, name: str) -> Wires:
        width = sum(bits for bits in words(self.spec)[name].values())
        return Wires(Signal(name=f"{name}_room"), Signal(name=f"{name}_valid"), word(width, f"{name}_word"))

    def _fields(self, name: str) -> dict[str, Value]:
        """The word at the end of a FIFO, by field; a field that the design lacks is empty."""
        found, low = {}, 0
        for field, bits in words(self.spec)[name].items():
            found[field] = self._fifos[name].result[low : low + bits]
            low += bits
        return found

    def _fifo(self, width: int, depth: int, ahead: bool, refills: bool) -> Fifo:
        return Fifo(
            self.spec.family, width, depth, ahead=ahead, refills=refills, in_memory=depth > FILE_WORDS
        )

    def _fill(
        self,
        m: Module,
        name: str,
        fields: dict[str, Value],
        write: Value,
        read: Value,
        reserve: Value | None = None,
    ) -> None:
        """Put the FIFO there: a node's result goes in at ``write``, its slot is taken at ``reserve``."""
        edge: Edge = self._edges[name]
        wires = self._fifos[name]
        # The steps of a screening take the slot of a pass with its first key and fill it with the last.
        late = latencies(self.spec)[edge.source] > 1 or edge.source in ("screen", "search")
        fifo = self._fifo(len(wires.result), depths(self.spec)[name], late, edge.kind == "long")
        packed = Cat(*(fields[field] for field, bits in words(self.spec)[name].items() if bits))
        pins: dict[str, Any] = {
            "write": write,
            "word": packed,
            "read": read,
            "room": wires.room,
            "valid": wires.valid,
        }
        if late:
            pins["reserve"] = reserve if reserve is not None else self._fires[edge.source]
        self.use(m, fifo, name, **pins, result=wires.result)

    def _ready(self, *names: str) -> Value:
        """All of these FIFOs have a word."""
        return Cat(*(self._fifos[name].valid for name in names if name in self._fifos)).all()

    def _room(self, *names: str) -> Value:
        return Cat(*(self._fifos[name].room for name in names)).all()

    # Ports -----------------------------------------------------------------------------------------------------------

    def _control(self, m: Module) -> None:
        spec, control = self.spec, Control(self.spec)
        self._saturated: list[Value] = []
        self._flags: dict[str, Value] = {}
        for flag in ("last", "pass_end", "turn", "final", "visible"):
            width = control.ports[flag].shape if flag in control.ports else 0
            self._flags[flag] = Signal(width, name=f"key_{flag}")
        self._value_final = Signal(name="value_final")
        self._code_wrong = Signal(1 if spec.prunes else 0, name="code_wrong")
        outputs = [name for name, edge in self._edges.items() if edge.source == "score"]
        tuned = [name for name, edge in self._edges.items() if edge.source == "tune"]
        pins = {
            "value_taken": self._fires["output"],
            "value_final": self._value_final,
            "tune_room": self._room(*tuned),
            "load_room": self._room(*(name for name in ("queries", "codes") if name in self._edges)),
            "score_room": self._room(*outputs),
            "score_tokens": self._ready("queries", "scales", "picked"),
            "code_taken": self._fires["screen"] if spec.prunes else Const(0, 0),
            "code_wrong": self._code_wrong,
            **{f"{name}_fire": self._fires[name] for name in ("tune", "load", "score")},
        }
        self.sequence(m, control, **self._flags, **pins)
        self._front(m)

    def _front(self, m: Module) -> None:
        """The scales of a pass and the queries of a row, as they arrive."""
        scale, data = self.spec.streams()[0], self.s_axis_scale_tdata
        fields = {name: data[scale.beat[name].span] for name in ("multiplier", "shift", "offset")}
        gains = {
            "gain": data[scale.beat["output_multiplier"].span],
            "down": data[scale.beat["output_shift"].span],
        }
        fire, flags = self._fires, self._flags
        self._fill(m, "scales", fields, fire["tune"], fire["score"] & flags["pass_end"])
        if "gains" in self._edges:
            self._fill(m, "gains", gains, fire["tune"], self._pass_done())
        query = self.data("query")
        self._fill(m, "queries", {"query": query}, fire["load"], fire["score"] & flags["last"])

    def _screen(self, m: Module) -> None:
        """Codes to the numbers of the keys that are to be fetched."""
        spec, fire = self.spec, self._fires
        query = self.data("query")
        code = LeadingOneCode()
        codes = Signal(spec.dim * CODE_BITS, name="query_code")
        for number, value in enumerate(parts(query, 8)):
            self.use(
                m,
                code,
                f"code{number}",
                value=value,
                code=codes[CODE_BITS * number : CODE_BITS * (number + 1)],
            )
        block = Screen(spec)
        shared = {name: self.wires[name] for name in ("start", *size_ports(spec.sizes, In))}
        own = {
            name: Signal(member.shape, name=name)
            for name, member in block.signature.members.items()
            if name not in ("clk", "rst", *shared)
        }
        pins = {name: value for name, value in (own | shared).items() if name in block.signature.members}
        self.use(m, block, "screen", **pins)
        ports = {"code": ("tvalid", "tlast"), "pick": ("tready",)}
        m.d.comb += [
            own[f"{port}_{wire}"].eq(getattr(self, f"{'s' if port == 'code' else 'm'}_axis_{port}_{wire}"))
            for port, wires in ports.items()
            for wire in wires
        ]
        fifos = self._fifos
        m.d.comb += [
            own["code"].eq(self.s_axis_code_tdata[: len(codes)]),
            own["query"].eq(fifos["codes"].result),
            own["codes_valid"].eq(fifos["codes"].valid),
            own["counted_room"].eq(fifos["counted"].room),
            own["counted_valid"].eq(fifos["counted"].valid),
            own["found_room"].eq(fifos["found"].room),
            own["picked_room"].eq(fifos["picked"].room),
            self.s_axis_code_tready.eq(own["code_tready"]),
            self.m_axis_pick_tvalid.eq(own["pick_tvalid"]),
            self.m_axis_pick_tlast.eq(own["pick_tlast"]),
            fire["screen"].eq(own["screen_fire"]),
            fire["pick"].eq(own["pick_fire"]),
            self._code_wrong.eq(own["code_wrong"]),
        ]
        self._fill(m, "codes", {"code": codes}, fire["load"], own["screened"])
        self._fill(m, "counted", {}, own["counted_write"], own["searched"], own["counted_reserve"])
        self._fill(m, "found", {}, own["searched"], own["picked_all"], own["found_reserve"])
        self._fill(m, "picked", {}, fire["pick"], fire["score"])
        there = self._numbers(m, own["taken"], own["number"], fire["pick"])
        m.d.comb += own["found_valid"].eq(fifos["found"].valid & there)

    def _numbers(self, m: Module, taken: Value, number: Value, picked: Value) -> Value:
        """The numbers of the keys found in a pass wait until all are known; returns whether there are any."""
        fifo = self._fifo(len(number), self.spec.candidates, False, False)
        found = Signal(len(number), name="pick_number")
        there = Signal(name="pick_there")
        room = Signal(name="pick_room")  # which there is: the pass before has left
        self.use(
            m, fifo, "numbers", write=taken, word=number, read=picked, result=found, valid=there, room=room
        )
        m.d.comb += self.m_axis_pick_tdata.eq(found)
        return there

    def _pass_done(self) -> Value:
        """The node that uses the gains is done with a pass."""
        target = self._edges["gains"].target
        source = "shares" if target == "output" else "weights"
        fields = self._fields(source)
        last = fields["last"]
        turn = fields["turn"] if len(fields["turn"]) else self._run_done(fields)
        return self._fires[target] & last & turn

    def _run_done(self, fields: dict[str, Value]) -> Value:
        """1 if a pass ends with every row, or with the run, where no flag says so."""
        if self.spec.regroups and not self.spec.repeats:
            return fields["final"]
        return Const(1, 1)

    # Nodes -----------------------------------------------------------------------------------------------------------

    def _node(
        self, m: Module, block: NodeBlock, fields: dict[str, Value], flags: dict[str, Value]
    ) -> dict[str, Value]:
        """Instantiate a node that fires with these inputs; returns its outputs."""
        found: dict[str, Value] = {}
        pins: dict[str, Any] = {"fire": self._fires[block.place]}
        for name, member in block.ports.items():
            if member.flow.name == "Out":
                found[name.removesuffix("_out")] = word(member.shape, f"{block.place}_{name}")
                pins[name] = found[name.removesuffix("_out")]
            elif name not in ("clk", "rst", "fire"):
                pins[name] = (fields | flags)[name]
        self.use(m, block, block.place, **pins)
        self._saturated += [found.pop("saturated")] if "saturated" in found else []
        return {name: Const(0, 0) for name in ("turn", "final", "visible")} | found

    def _fire(self, m: Module, name: str, *, when: Value | None = None) -> None:
        """A node fires when all its inputs are there and all its outputs have room; ``when`` says if a row's has to."""
        inputs = [e.name for e in self._edges.values() if e.target == name]
        keyed = [e.name for e in self._edges.values() if e.source == name and e.kind != "row"]
        rows = [e.name for e in self._edges.values() if e.source == name and e.kind == "row"]
        go = self._ready(*inputs)
        if keyed:
            go = go & self._room(*keyed)
        if rows:
            go = go & (self._room(*rows) if when is None else self._room(*rows) | ~when)
        if name == "output":
            m.d.comb += self.s_axis_value_tready.eq(go)
            go = go & self.s_axis_value_tvalid
        m.d.comb += self._fires[name].eq(go)

    def _score(self, m: Module) -> None:
        fields = self._fields("scales") | {"query": self._fifos["queries"].result}
        fields["key"] = self.data("key")
        found = self._node(m, nodes.Score(self.spec), fields, self._flags)
        name = "weight" if self.spec.graph == "naive" else "exponent"
        for edge in ("weights", "long_weights", "scores", "long_scores"):
            if edge in self._edges and self._edges[edge].source == "score":
                self._key_fifo(m, edge, found | {name: found["result"]})

    def _key_fifo(self, m: Module, name: str, found: dict[str, Value]) -> None:
        """A FIFO with a word per key, read when its target fires."""
        self._fill(m, name, found, found["write"], self._fires[self._edges[name].target])

    def _maximum(self, m: Module) -> None:
        fields = self._fields("scores")
        self._fire(m, "maximum", when=fields["last"])
        found = self._node(m, nodes.Highest(self.spec), fields, fields)
        if self.spec.graph == "memory_free":
            for edge in ("weights", "shares"):
                self._key_fifo(m, edge, found | {"weight": found["result"]})
            return
        read = self._fires["exponential"] & self._fields("long_scores")["last"]
        self._fill(m, "maxima", {"reference": found["result"]}, found["write"], read)

    def _exponential(self, m: Module) -> None:
        self._fire(m, "exponential")
        fields = self._fields("long_scores")
        found = self._node(m, nodes.Exponential(self.spec), fields | self._fields("maxima"), fields)
        for edge in ("weights", "long_weights", "shares"):
            if edge in self._edges and self._edges[edge].source == "exponential":
                self._key_fifo(m, edge, found | {"weight": found["result"]})

    def _sum(self, m: Module) -> None:
        fields = self._fields("weights")
        self._fire(m, "sum", when=fields["last"])
        gains = self._fields("gains") if "gains" in self._edges else {}
        found = self._node(m, nodes.Sum(self.spec), fields | gains, fields)
        divided = self._fires["divide"]
        if self.spec.softmax.divides_first:
            divided = divided & self._fields("long_weights")["last"]
        reserve = self._fires["sum"] & fields["last"]
        self._fill(m, "sums", found | {"inverse": found["result"]}, found["write"], divided, reserve)

    def _output(self, m: Module) -> None:
        fields = self._fields("shares")
        self._fire(m, "output", when=fields["last"])
        final = fields["final"] if len(fields["final"]) else Const(1, 1)
        m.d.comb += self._value_final.eq(fields["last"] & final)
        gains = self._fields("gains") if "gains" in self._edges else {}
        value = self.data("value")
        found = self._node(m, results.Output(self.spec), fields | gains | {"value": value}, fields)
        reserve = self._fires["output"] & fields["last"]
        if self.spec.softmax.divides_first:
            self._fill(
                m, "rows", found | {"row": found["result"]}, found["write"], self._fires["drain"], reserve
            )
        else:
            totals = found | {"total": found["result"]}
            self._fill(m, "totals", totals, found["write"], self._fires["divide"], reserve)

    def _divide(self, m: Module) -> None:
        self._fire(m, "divide")
        inverses = self._fields("sums")
        if self.spec.softmax.divides_first:
            fields = self._fields("long_weights")
            found = self._node(
                m, results.DivideWeights(self.spec), fields | {"inverse": inverses["inverse"]}, fields
            )
            self._key_fifo(m, "shares", found | {"weight": found["result"]})
            return
        fields = self._fields("totals")
        found = self._node(m, results.DivideTotals(self.spec), fields | inverses, fields)
        self._fill(m, "rows", found | {"row": found["result"]}, found["write"], self._fires["drain"])

    def _drain(self, m: Module) -> None:
        fields = self._fields("rows")
        last = fields["final"] if len(fields["final"]) else Const(1, 1)
        m.d.comb += [
            self.m_axis_out_tvalid.eq(self._fifos["rows"].valid),
            self.m_axis_out_tdata.eq(fields["row"]),
            self.m_axis_out_tlast.eq(last),
            self._fires["drain"].eq(self.m_axis_out_tvalid & self.m_axis_out_tready),
            self.wires["finished"].eq(self._fires["drain"] & last),
        ]
        a = self.spec.softmax
        if a.is_float:
            words = parts(fields["row"], a.out_width)
            infinite = Cat(*(is_special(a.input_format, word)[0] for word in words)).any()
            self._saturated.append(self._fires["drain"] & infinite)
