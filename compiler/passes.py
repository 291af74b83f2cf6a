"""The program of one pass: tokens through all layers, and with ``head`` the choice of the next one.

Every step is done for all tokens of a pass, each in a slot of its own, before the next step begins; the weights of a
tile are loaded once for all of them. These tokens follow each other in one sequence (a block), or are at one position
of as many sequences (a batch), each with tokens and a cache of its own. Runs go memory to memory. A vector that norms
and residuals both need is computed twice from the same sums, since a run gives one result; weights of the products to
come are loaded as early as their FIFO has room.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from blueprint.systems.instructions import REPEAT
from blueprint.systems.staging import Staged
from blueprint.workloads.tasks import COPY
from compiler.builder import POSITION, RING, TOKEN, Builder, Moved
from compiler.layout import Layout
from compiler.plan import DOT, RESIDUALS, SCORED, UNGATED, WORD, Machine, Tile
from compiler.purpose import ATTENTION, HEAD, NO_LAYER, SCORES, Purpose, layer_mark
from compiler.units import Product

#: Most bytes of the head in one load: cycles of a longer load would be simulated for every phase of the memory.
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class Places:
    """Addresses of constants: FP32 scales of products by layer and role, one, and scale words of attention."""

    weights: Mapping[tuple[int, str], int]
    attention: Mapping[tuple[int, int, str], int]
    one: int


class _Stream:
    """The tiles of a unit of products in the order of a pass: how many are loaded, and how many were run."""

    def __init__(self, unit: Product) -> None:
        self.unit, self.tiles = unit, list[Tile]()
        self.fetched = self.used = 0


@dataclass(frozen=True)
class Rowed:
    """Inputs of a run of the vector unit: rows, a scale for each or one for all, second operand, gain."""

    x: Moved
    weight: int | Moved
    row: int
    operand: Moved | None = None
    gain: int = 0
    each: bool = False  # a scale of its own for every row
    table: bool = False  # rows of the embedding


class Pass:
    """Write the program of a pass."""

    def __init__(
        self,
        machine: Machine,
        layout: Layout,
        places: Places,
        tiles: Sequence[Tile],
        *,
        head: bool,
        tokens: int = 1,
    ) -> None:
        self.machine, self.layout, self.places, self.head = machine, layout, places, head
        self.model, self.shapes = machine.model, machine.shapes
        self.builder = Builder(machine.units.inputs, machine.units.outputs, machine.hardware.width)
        last = self.model.layers - 1
        self.streams: dict[str, _Stream] = {}
        for tile in tiles:
            if head or tile.layer < last or tile.product == "kv":
                unit = machine.of(tile.product, head=head)
                self.streams.setdefault(unit.name, _Stream(unit)).tiles.append(tile)
        self.residual = 0
        self.mark = NO_LAYER
        self.tokens, self.slot = tokens, 0
        self.batch = machine.batch

    def write(self) -> Builder:
        """The whole pass."""
        if self.tokens == 1:
            self._token()
        for layer in range(self.model.layers):
            self.mark = layer_mark(layer)
            self._attention_block(layer)
            if not self.head and layer == self.model.layers - 1:
                return self.builder
            self._feed_forward(layer)
        self.mark = HEAD
        self._next_token()
        return self.builder

    def _token(self) -> None:
        """Load the token of a slot, by which rows are gathered."""
        self.builder.purpose = Purpose(NO_LAYER, "token")
        self.builder.load_token(self._mine("tokens")[0] + WORD * self.ahead)

    def _each(self) -> Iterator[int]:
        """Yield the slots one by one; each begins with the residual stream in the buffer where the first one began."""
        residual = self.residual
        for slot in range(self.tokens):
            self.slot, self.residual = slot, residual
            yield slot
        self.slot = 0

    @property
    def ahead(self) -> int:
        """Positions from that of the pass to that of the slot's token."""
        return self.slot if self.batch == 1 else 0

    def _mine(self, name: str) -> tuple[int, int]:
        """First byte of a region that belongs to the slot's sequence, and the first behind."""
        region = self.layout[name]
        size, place = region.size // self.batch, self.slot if self.batch > 1 else 0
        return region.base + place * size, region.base + (place + 1) * size

    # Parts of a layer -------------------------------------------------------------------------------------------------

    def _attention_block(self, layer: int) -> None:
        model = self.model
        for _ in self._each():
            self._attention_input(layer)
        self._product(layer, "kv")
        for _ in self._each():
            self._heads(layer, "k", model.kv_heads, 0)
            self._heads(layer, "v", model.kv_heads, self.shapes.keys)
        if not self.head and layer == model.layers - 1:
            return
        self._product(layer, "q")
        for _ in self._each():
            self._heads(layer, "q", model.heads, 0)
        for _ in self._each():
            for head in range(model.kv_heads):
                self._attend(layer, head)
            self._quantized(layer, "attention norm", "attention_sub_norm", "mixed", self.shapes.query, "o")
        self._product(layer, "o")

    def _attention_input(self, layer: int) -> None:
        hidden = self.model.hidden
        into = {"quantized": self._vector("kv in", hidden), "scale": self._vector("kv scale", 1)}
        gain = self._gain(layer, "attention_norm")
        if layer:
            self._residual(layer - 1, "down", "norm+quantize", gain, into)
            return
        if self.tokens > 1:
            self._token()
        read, table = self._embedding(gain), self.machine.table
        self._rows("input norm", table.chain("norm+quantize"), 1, hidden, read, into)
        self._rows("embedding", table.chain(COPY), 1, hidden, read, {"out": self._next_residual()})

    def _feed_forward(self, layer: int) -> None:
        hidden, ffn = self.model.hidden, self.model.ffn
        for _ in self._each():
            into = {"quantized": self._vector("ffn in", hidden), "scale": self._vector("ffn scale", 1)}
            self._residual(layer, "o", "norm+quantize", self._gain(layer, "ffn_norm"), into)
        self._product(layer, "ffn")
        for _ in self._each():
            if self.model.gated:
                read = self._sums(layer, "up", "ffn", ffn)
                self._rows("up", "dequantize", 1, ffn, read, {"out": self._vector("up", ffn)})
                read = self._sums(layer, "gate", "ffn", ffn, first=ffn, operand=self._vector("up", ffn))
            else:
                read = self._sums(layer, "up", "ffn", ffn, operand=self._vector(UNGATED, ffn))
            self._activation(layer, read)
        self._product(layer, "down")

    def _activation(self, layer: int, read: Rowed) -> None:
        ffn, norm = self.model.ffn, self.model.sub_norms
        gain = self._gain(layer, "ffn_sub_norm") if norm else 0
        read = Rowed(read.x, read.weight, read.row, read.operand, gain)
        into = {"quantized": self._vector("down in", ffn), "scale": self._vector("down scale", 1)}
        self._rows("activation", f"dequantize+gate{'+norm' * norm}+quantize", 1, ffn, read, into)

    def _next_token(self) -> None:
        last, gain = self.model.layers - 1, self._gain(None, "final_norm")
        if self.machine.scorer is not None:
            for _ in self._each():
                self._residual(last, "down", "norm+quantize", gain, self._head_input())
            self._product(self.model.layers, SCORED)
            for _ in self._each():
                self._scores()
            return
        for _ in self._each():
            into = Moved(self._mine("last")[0], self.model.hidden * self.machine.rows.out.container)
            self._residual(last, "down", "norm", gain, {"out": into})
        for _ in self._each():
            self._scores()

    def _head_input(self) -> dict[str, Moved]:
        """The vector that the head is a product of, with its scale."""
        return {
            "quantized": self._vector(f"{SCORED} in", self.model.hidden),
            "scale": self._vector(f"{SCORED} scale", 1),
        }

    def _quantized(self, layer: int, step: str, role: str, source: str, length: int, product: str) -> None:
        """Quantize the results of attention, normed where there is a sub-norm."""
        norm = self.model.sub_norms
        gain = self._gain(layer, role) if norm else 0
        container = self.machine.attends.result.container
        moved = Moved(self._at(source), length * container)
        read = Rowed(moved, self.places.weights[layer, "mixed"], self.places.one, None, gain)
        into = {
            "quantized": self._vector(f"{product} in", length),
            "scale": self._vector(f"{product} scale", 1),
        }
        chain = ["dequantize"] * (not self.machine.attends.floats) + ["norm"] * norm + ["quantize"]
        self._rows(step, "+".join(chain), 1, length, read, into)

    def _residual(self, layer: int, role: str, chain: str, gain: int, into: Mapping[str, Moved]) -> None:
        """A residual of sums and the stream so far: first what follows from it, then the stream itself."""
        hidden, before = self.model.hidden, self._current_residual()
        read = self._sums(layer, role, role, hidden, operand=before)
        self._rows(
            chain,
            f"dequantize+add+{chain}",
            1,
            hidden,
            Rowed(read.x, read.weight, read.row, before, gain),
            into,
        )
        if role != "down" or layer < self.model.layers - 1:
            self._rows("residual", "dequantize+add", 1, hidden, read, {"out": self._next_residual()})

    def _heads(self, layer: int, role: str, heads: int, first: int) -> None:
        """Queries, keys or values as attention takes them, rotated but for values; keys and values go to the cache."""
        dim, product = self.model.head_dim, "q" if role == "q" else "kv"
        read = self._sums(layer, role, product, heads * dim, first=first, per_row=True)
        if role == "v":
            chain, operand = "dequantize", None
        else:
            size = dim * self.machine.rows.operand.container
            region = self.layout["angles"]
            span = (region.base, region.end)
            first = region.base + self.ahead * size
            chain, operand = "dequantize+rotate", Moved(first, size, heads, size, POSITION, span)
        read = Rowed(read.x, read.weight, read.row, operand, 0, True)
        self._rows(f"{role} heads", chain, heads, dim, read, {self._kind: self._cached(layer, role)})

    @property
    def _kind(self) -> str:
        """The results of the vector unit that attention takes."""
        return "out" if self.machine.attends.floats else "quantized"

    @property
    def _rounds(self) -> bool:
        """True if attention takes what the vector unit gives in narrow containers."""
        return self.machine.attends.floats and bool(self.machine.rows.out.rounds)

    def _cached(self, layer: int, role: str) -> Moved:
        """Region of memory to which elements of all heads go."""
        if role == "q":
            return replace(self._vector("queries", self.shapes.query), narrow=self._rounds)
        span = self._mine(f"{'keys' if role == 'k' else 'values'} {layer}")
        size, narrow = (
            self.machine.attends.size(self.shapes.keys),
            self.machine.attends.packed or self._rounds,
        )
        first = span[0] + self.ahead * size
        index = POSITION if self.machine.kept == self.model.context else RING
        return Moved(first, size, 1, size, index, span, narrow=narrow)

    # Places in memory -------------------------------------------------------------------------------------------------

    def _at(self, name: str) -> int:
        """Address of the slot's vector in a region."""
        region = self.layout[name]
        return region.base + self.slot * (region.size // self.machine.slots)

    def _vector(self, name: str, elements: int) -> Moved:
        """A whole vector; its region says of how many bytes its elements are."""
        kind = name.rsplit(" ", 1)[-1]
        size = {"in": 1, "scale": WORD, "queries": self.machine.attends.query.container}.get(
            kind, self.machine.rows.out.container
        )
        return Moved(self.layout[name].base if name == UNGATED else self._at(name), elements * size)

    def _current_residual(self) -> Moved:
        return Moved(self._at(f"residual {self.residual}"), self._residual_bytes)

    @property
    def _residual_bytes(self) -> int:
        return self.model.hidden * self.machine.rows.out.container

    def _next_residual(self) -> Moved:
        self.residual = (self.residual + 1) % RESIDUALS
        return self._current_residual()

    def _embedding(self, gain: int) -> Rowed:
        """The row of the token."""
        table, one = self.machine.table, self.places.one
        row = self._of_token("embedding", self.model.hidden * table.container)
        weight = self._of_token("embedding scales", WORD) if table.integers else one
        return Rowed(row, weight, one, None, gain, table=True)

    def _of_token(self, name: str, size: int) -> Moved:
        region = self.layout[name]
        return Moved(region.base, size, 1, size, TOKEN, (region.base, region.end))

    def _gain(self, layer: int | None, role: str) -> int:
        return self.layout[role if layer is None else f"{role} {layer}"].base

    def _sums(
        self, layer: int, role: str, product: str, count: int, *, first: int = 0, operand: Moved | None = None,
        per_row: bool = False,
    ) -> Rowed:  # fmt: skip
        """Sums of a product, from output ``first`` on, with their scales."""
        container = self.machine.of(product, head=self.head).result.container
        moved = Moved(self._at(f"{product} sums") + first * container, count * container)
        scale = self._at(f"{'kv' if product == 'q' else product} scale")
        return Rowed(moved, self.places.weights[layer, role], scale, operand, 0, per_row)

    # Runs -------------------------------------------------------------------------------------------------------------

    def _rows(
        self, step: str, operation: str, rows: int, length: int, read: Rowed, into: Mapping[str, Moved]
    ) -> None:
        """A run of the vector unit, and the stores of its results."""
        unit, builder = self.machine.rows, self.builder
        task = unit.check(operation, length, rows)
        self._fetch()
        builder.purpose = Purpose(self.mark, step)
        self._scales(read.weight, read.row, rows, read.each)
        if task.does("norm"):
            builder.load("vector.gain.gain", Moved(read.gain, length * unit.gain.container))
        if read.operand is not None and any(map(task.does, ("gate", "add", "rotate"))):
            builder.load("vector.operand.operand", read.operand)
        builder.load("vector.x.x", read.x, narrow=read.table and self.machine.table.narrow)
        for register, value in unit.set_registers(task).items():
            builder.put("vector", register, value)
        builder.hold("vector", length // unit.lanes)
        fields = {name: self.machine.units.by_name[f"vector.out.{name}"] for name in into}
        builder.run(
            "vector", {fields[name].name: _words(fields[name], moved) for name, moved in into.items()}
        )
        self._fetch()
        builder.purpose = Purpose(self.mark, step)
        for name, moved in into.items():
            builder.store(fields[name].name, moved)

    def _scales(self, weight: int | Moved, row: int, rows: int, each: bool) -> None:
        if isinstance(weight, int):
            weight = Moved(weight, WORD * rows) if each else Moved(weight, WORD, rows)
        self.builder.load("vector.x.weight_scale", weight)
        self.builder.load("vector.x.row_scale", Moved(row, WORD, rows))

    def _fetch(self) -> None:
        """Load the weights of the next tile, if there is room for them; those of the head behind all others."""
        for stream in self.streams.values():
            if stream.fetched < len(stream.tiles):
                room = self.builder.room(stream.unit.weights.name)
                if stream.tiles[stream.fetched].beats <= room:
                    self._load_weights(stream)
                return

    def _load_weights(self, stream: _Stream) -> None:
        tile = stream.tiles[stream.fetched]
        self.builder.purpose = Purpose(self._mark(tile), tile.product, f"from {tile.first}", weights=True)
        self.builder.load(stream.unit.weights.name, Moved(tile.address, tile.size))
        stream.fetched += 1

    def _mark(self, tile: Tile) -> str:
        return HEAD if tile.product == SCORED else layer_mark(tile.layer)

    def _product(self, layer: int, name: str) -> None:
        """All tiles of a product."""
        stream = self.streams[self.machine.of(name, head=self.head).name]
        while stream.used < len(stream.tiles) and (
            (tile := stream.tiles[stream.used]).layer == layer and tile.product == name
        ):
            if stream.fetched == stream.used:
                self._load_weights(stream)
            for slot in self._each():
                self._tile(stream.unit, tile, last=slot == self.tokens - 1)
            stream.used += 1

    def _tile(self, unit: Product, tile: Tile, *, last: bool) -> None:
        """The run of a tile on the vector of a slot; its weights stay for the next slot."""
        builder, name = self.builder, tile.product
        builder.purpose = Purpose(self._mark(tile), name, f"from {tile.first}")
        source = self._at(f"{'kv' if name == 'q' else name} in")
        builder.load(unit.act.name, Moved(source, unit.activations(tile.k) * unit.act.container))
        for register, value in unit.set_registers(tile.k, tile.n).items():
            builder.put(unit.name, register, value)
        if unit.weights.replays:
            builder.put(unit.name, REPEAT, self.tokens)
        container = unit.result.container
        moved = Moved(self._at(f"{name} sums") + tile.first * container, tile.n * container)
        builder.run(
            unit.name, {unit.result.name: _words(unit.result, moved)}, unit.weights.name, leaves=not last
        )
        builder.store(unit.result.name, moved)

    def _attend(self, layer: int, head: int) -> None:
        """Attention of the query heads of a key head."""
        unit, builder, dim, turns = (
            self.machine.attends,
            self.builder,
            self.model.head_dim,
            self.machine.attends.turns,
        )
        self._fetch()
        builder.purpose = Purpose(layer_mark(layer), ATTENTION, f"of key head {head}")
        for name, address in (
            (key[2], at) for key, at in self.places.attention.items() if key[:2] == (layer, head)
        ):
            builder.load(f"attention.scale.{name}", Moved(address, WORD, turns))
        elements, cached, row = unit.share * dim, unit.size(dim), unit.size(self.shapes.keys)
        width = elements * unit.query.container
        builder.load(unit.query.name, Moved(self._at("queries") + head * width, width))
        for field, name in ((unit.key, "keys"), (unit.value, "values")):
            span = self._mine(f"{name} {layer}")
            moved = Moved(
                span[0] + head * cached, cached, 1 + self.ahead, row, 0, span, True, self.machine.kept
            )
            for turn in range(turns):
                builder.load(field.name, moved, last=turn == turns - 1)
        registers, keys = unit.set_registers()
        for register, value in registers.items():
            here = 1 + self.ahead if register == keys else value
            builder.put("attention", register, here, position=register == keys)
        size = elements * unit.result.container
        moved = Moved(self._at("mixed") + head * size, size)
        builder.run("attention", {unit.result.name: _words(unit.result, moved)})
        builder.store(unit.result.name, moved)

    def _scores(self) -> None:
        """Dot products with all rows of the head while these are loaded, and the number of the largest.

        Where a unit of products gave the scores, a row is the digits of one, and the other factor what they count.
        """
        unit, builder, model, table = self.machine.rows, self.builder, self.model, self.machine.table
        exact = self.machine.scorer is None
        length, integers = model.hidden if exact else self.machine.score_length, table.integers or not exact
        task = unit.check("dequantize+dot" if integers else DOT, length, model.vocab)
        if exact:
            self.machine.check_pace()
        builder.purpose = Purpose(HEAD, SCORES)
        beats = length // unit.lanes
        if not integers:
            self._scales(self.places.one, self.places.one, 1, False)
        builder.hold("vector", beats if integers else beats * model.vocab, model.vocab)
        for register, value in unit.set_registers(task).items():
            builder.put("vector", register, value, position=register == unit.drawn_by)
        index = self.machine.units.by_name["vector.out.index"]
        # Staging takes no other vector while that of the slot before goes round, and no load may wait there.
        builder.run("vector", {index.name: 1}, opens=self.tokens > 1)
        factor = self._mine("last")[0] if exact else self.layout["digits"].base
        builder.load(unit.gain.name, Moved(factor, length * unit.gain.container), free=True)
        if exact:
            self._head_rows()
        else:
            self._score_rows(length)
        tokens = self._mine("tokens")
        next_token = Moved(tokens[0] + WORD, WORD, 1, WORD, POSITION, tokens)
        builder.store(index.name, next_token)

    def _head_rows(self) -> None:
        """Load all rows of the head, with their scales in front of them."""
        unit, builder, model, table = self.machine.rows, self.builder, self.model, self.machine.table
        role = "embedding" if model.tied_embeddings else "head"
        row, base = model.hidden * table.container, self.layout[role].base
        rows = max(1, _HEAD_BYTES // row)
        if table.integers:
            rows = min(rows, self.machine.scales_at_once)
        for first in range(0, model.vocab, rows):
            count = min(rows, model.vocab - first)
            if table.integers:
                scales = self.layout[f"{role} scales"].base + WORD * first
                builder.load("vector.x.weight_scale", Moved(scales, WORD * count), free=True)
                builder.load("vector.x.row_scale", Moved(self.layout["ones"].base, WORD * count), free=True)
            moved = Moved(base + first * row, row, count, row)
            last = first + count == model.vocab
            builder.load(unit.x.name, moved, last=last, free=True, narrow=table.narrow)

    def _score_rows(self, length: int) -> None:
        """Load the scores of all rows, with the scales of rows and of the vector in front of them.

        A row begins with the digits of a score and goes on with those behind them.
        """
        unit, builder, model, machine = self.machine.rows, self.builder, self.model, self.machine
        first, stride = self._at(f"{SCORED} sums"), machine.digits * unit.x.container
        for at in range(0, model.vocab, machine.scales_at_once):
            count = min(machine.scales_at_once, model.vocab - at)
            steps = self.layout["head steps"].base + WORD * at
            builder.load("vector.x.weight_scale", Moved(steps, WORD * count), free=True)
            builder.load("vector.x.row_scale", Moved(self._at(f"{SCORED} scale"), WORD, count), free=True)
            moved = Moved(first + at * stride, length * unit.x.container, count, stride)
            builder.load(unit.x.name, moved, last=at + count == model.vocab, free=True)


def _words(field: Staged, moved: Moved) -> int:
    return -(-moved.size // field.moved_bytes(moved.narrow))
