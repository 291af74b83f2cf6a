"""The parts of a compiled model: its products in tiles, its vectors in memory, its constants."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from blueprint.errors import ParamError
from blueprint.numbers import ceil_div
from blueprint.systems.address_map import PAGE
from blueprint.systems.control import Hardware
from blueprint.systems.description import INTEGERS, digits
from blueprint.systems.staging import PRODUCTS as MATRIX
from blueprint.systems.weight_order import same_order
from blueprint.workloads.model import Model
from blueprint.workloads.tasks import COPY
from compiler.layout import ALIGNMENT, Layout
from compiler.units import Attends, Product, Rows, Units

#: Products in the order of a layer, and the roles of the matrices that they are made of; a model may have no gate.
PRODUCTS = {"kv": ("k", "v"), "q": ("q",), "o": ("o",), "ffn": ("up", "gate"), "down": ("down",)}
#: Buffers of the residual stream: in front of a layer, behind attention, behind the layer.
RESIDUALS = 3
#: Bytes of a scale and of a token.
WORD = 4
#: The region of ones, which the activation multiplies where there is no gate.
UNGATED = "ones of the activation"
#: Regions of the weights of the layers, and of those for prompts where their unit takes them in another order.
WEIGHTS, PROMPT_WEIGHTS = "weights", "prefill weights"
#: The operation of the head.
DOT = "dot"
#: The product of the head, where a unit of products gives its scores.
SCORED = "head"


@dataclass(frozen=True)
class Tile:
    """Outputs ``first`` to ``first + n`` of a product of ``k`` inputs; its weights are at ``address``.

    That of the head is of the layer behind the last one.
    """

    layer: int
    product: str
    first: int
    k: int
    n: int
    address: int
    beats: int
    size: int

    def moved(self, offset: int) -> Tile:
        """The tile so many bytes further on."""
        return replace(self, address=self.address + offset)


@dataclass(frozen=True)
class Shapes:
    """Sizes of a model in elements."""

    model: Model

    @property
    def query(self) -> int:
        """Elements of all query heads."""
        return self.model.heads * self.model.head_dim

    @property
    def keys(self) -> int:
        """Elements of all key heads."""
        return self.model.kv_heads * self.model.head_dim

    def roles(self, product: str) -> tuple[str, ...]:
        """Roles of the matrices that a product is made of."""
        return tuple(role for role in PRODUCTS[product] if role != "gate" or self.model.gated)

    @property
    def matrices(self) -> frozenset[str]:
        """Roles of the matrices of a layer."""
        return frozenset(role for product in PRODUCTS for role in self.roles(product))

    def product(self, name: str) -> tuple[int, int]:
        """Inputs and outputs of a product."""
        hidden, ffn = self.model.hidden, self.model.ffn
        return {
            "kv": (hidden, 2 * self.keys),
            "q": (hidden, self.query),
            "o": (self.query, hidden),
            "ffn": (hidden, len(self.roles("ffn")) * ffn),
            "down": (ffn, hidden),
        }[name]


@dataclass(frozen=True)
class Table:
    """Storage of the rows of the embedding and of the head in memory: bytes of a container, and whether it is narrow.

    ``integers`` have a scale for each row, by which a run dequantizes them.
    """

    container: int
    narrow: bool
    integers: bool

    def chain(self, operation: str) -> str:
        """An operation on rows of the table."""
        if not self.integers:
            return operation
        return "dequantize" if operation == COPY else f"dequantize+{operation}"


def side_by_side(hardware: Hardware, model: Model) -> int:
    """Tokens of a pass that share what was loaded; 1 where the model's context is no longer than a block."""
    return hardware.block if hardware.block < model.context else 1


def check_batch(hardware: Hardware, model: Model, batch: int) -> None:
    """Raise ``ParamError`` for a number of sequences that one pass cannot take."""
    most = side_by_side(hardware, model)
    if batch < 1:
        raise ParamError(f"Batch must be at least 1, not {batch}")
    if batch > most:
        what = f"at most {most}, the tokens that share what was loaded (model.block of the system)"
        raise ParamError(f"Batch must be {what}, not {batch}")


class Machine:
    """The units of a system's hardware, asked about a model, of which each pass takes ``batch`` sequences.

    Raises ``ParamError`` for one that they cannot run.
    """

    def __init__(self, hardware: Hardware, model: Model, batch: int = 1) -> None:
        self.hardware, self.model, self.shapes = hardware, model, Shapes(model)
        self.units = Units(hardware)
        self.product, self.rows = Product(self.units), Rows(self.units)
        #: The unit of the layers' products in passes without head.
        self.prompts = self._further(hardware.prompts)
        #: Positions of which the cache has keys and values; beyond so many a new one takes the place of the oldest.
        self.kept = min(model.context, hardware.window or model.context)
        self.attends = Attends(self.units, model.heads // model.kv_heads, self.kept)
        #: The unit that scores the vocabulary by products, and the columns of a score; none where scores are exact.
        self.scorer = (
            Product(self.units, hardware.head, scores=hardware.head != MATRIX) if hardware.head else None
        )
        self.digits = digits(self.scorer.spec) if self.scorer else 0
        self.tiles, self._prompt_tiles = self._outputs(head=True), self._outputs(head=False)
        if self.shares_weights:  # tiles are the same then too, as the weights of each are one piece
            self._prompt_tiles = {name: min(n, self.tiles[name]) for name, n in self._prompt_tiles.items()}
            self.tiles |= self._prompt_tiles
        #: Tokens of a prompt that one pass takes.
        self.block = side_by_side(hardware, model)
        check_batch(hardware, model, batch)
        self.batch = batch
        if batch > 1:  # a pass takes a token of each sequence, also of a prompt
            self.block = 1
        if self.block > 1 and self.kept < model.context:
            what = (
                f"beside a window of {self.kept} positions, as its keys take the places of some that it sees"
            )
            raise ParamError(f"Block must be 1 token {what}, not {self.block}")

    @property
    def products(self) -> tuple[str, ...]:
        """Names of all products."""
        return (*PRODUCTS, *[SCORED] * (self.scorer is not None))

    def _further(self, name: str) -> Product:
        """A unit of products beside the one for tokens, if it is another."""
        return self.product if name == MATRIX else Product(self.units, name)

    def _outputs(self, *, head: bool) -> dict[str, int]:
        """The most outputs of a tile of every product of a pass."""
        names = self.products if head else PRODUCTS
        return {name: self.of(name, head=head).outputs(*self.shape(name)) for name in names}

    @property
    def units_of_products(self) -> tuple[Product, ...]:
        """The unit of the layers' products, that of prompts, and that of the head where one scores."""
        every = (self.product, self.prompts, *([self.scorer] if self.scorer is not None else []))
        return tuple({unit.name: unit for unit in every}.values())

    def of(self, name: str, *, head: bool = True) -> Product:
        """The unit that runs a product in a pass with head or without."""
        if name == SCORED and self.scorer is not None:
            return self.scorer
        return self.product if head else self.prompts

    @cached_property
    def shares_weights(self) -> bool:
        """True if passes without head take the weights of the layers from where those with head do."""
        lengths = (self.shapes.product(name)[0] for name in PRODUCTS)
        return same_order(self.product.spec, self.prompts.spec, lengths)

    def shape(self, name: str) -> tuple[int, int]:
        """Inputs and outputs of a product; those of the head are filled up to whole columns."""
        if name != SCORED:
            return self.shapes.product(name)
        step = self.of(name).result.elements
        return self.model.hidden, ceil_div(self.model.vocab * self.digits, step) * step

    @cached_property
    def score_length(self) -> int:
        """Elements of a row in which the vector unit takes a score: as many as memory gives in the time of a row.

        Behind the digits of a score it has those of the next ones, which count nothing. Raises ``ParamError``.
        """
        rows = self.rows
        most = int(rows.spec.length_max) // rows.lanes
        for beats in range(ceil_div(self.digits, rows.lanes), most + 1):
            length = beats * rows.lanes
            given = length * rows.x.container * 8 / self.hardware.width
            if given >= rows.pace(f"dequantize+{DOT}", length, self.model.vocab):
                return length
        what = f"take a score in as many cycles as memory gives {most * rows.lanes} elements, its longest row"
        raise ParamError(f"The vector unit must {what}: give the memory a narrower port")

    @property
    def slots(self) -> int:
        """Tokens of the widest pass, each of which has vectors of its own in memory."""
        return max(self.block, self.batch)

    @cached_property
    def table(self) -> Table:
        """Storage of rows: in narrow containers unless memory would give them faster than the unit takes them."""
        x, integers = self.rows.x, self.hardware.embedding == INTEGERS
        narrow, wide = Table(x.narrow, True, integers), Table(x.container, False, integers)
        keeps_up = self._cycles(narrow) >= self._pace(narrow)
        return narrow if x.narrow and (keeps_up or self.scorer is not None) else wide

    def _cycles(self, table: Table) -> float:
        """Cycles in which memory gives a row."""
        return self.model.hidden * table.container * 8 / self.hardware.width

    def _pace(self, table: Table) -> float:
        """Cycles in which the vector unit takes a row."""
        return self.rows.pace(table.chain(DOT), self.model.hidden, self.model.vocab)

    def check_pace(self) -> None:
        """Check that no load of the head has to wait for the vector unit. Raises ``ParamError``."""
        row, pace = self._cycles(self.table), self._pace(self.table)
        if row < pace:
            what = f"take a row of the head in {row:g} cycles, as fast as memory gives it"
            raise ParamError(
                f"The vector unit must {what}, and takes {pace:g}: give the memory a narrower port"
            )

    @property
    def scales_at_once(self) -> int:
        """Scales of rows that fill half of their FIFO."""
        scale = self.units.by_name["vector.x.weight_scale"]
        return scale.depth * max(self.hardware.width // 8, WORD) // (2 * WORD)

    def cut(self, product: str, *, head: bool = True) -> list[tuple[int, int]]:
        """First output and number of outputs of every tile of a product, as even as whole columns allow."""
        n, step = self.shape(product)[1], self.of(product, head=head).result.elements
        count = ceil_div(n, (self.tiles if head else self._prompt_tiles)[product])
        each = ceil_div(n // step, count) * step
        return [(first, min(each, n - first)) for first in range(0, n, each)]


def reserve(layout: Layout, machine: Machine) -> None:
    """Reserve what runs write: tokens and cache of each sequence, vectors between operations of each slot of a pass."""
    model, shapes, rows = machine.model, machine.shapes, machine.rows
    number, sums = rows.out.container, machine.product.result.container
    tokens = ceil_div(WORD * (model.context + 1), ALIGNMENT) * ALIGNMENT
    layout.reserve("tokens", machine.batch * tokens, "tokens, each by its position")

    def each(name: str, size: int, text: str) -> None:
        slot = ceil_div(size, ALIGNMENT) * ALIGNMENT
        layout.reserve(name, machine.slots * slot, text)

    for place in range(RESIDUALS):
        each(f"residual {place}", model.hidden * number, "residual stream")
    for name in PRODUCTS:
        k, n = shapes.product(name)
        if name != "q":  # the query product takes the same vector as keys and values
            taken = max(machine.of(name, head=head).activations(k) for head in (True, False))
            each(f"{name} in", taken, f"integers that {name} is a product of")
            each(f"{name} scale", WORD, "their scale")
        each(f"{name} sums", n * sums, f"sums of product {name}")
    if machine.scorer is not None:
        k, n = machine.shape(SCORED)
        container = machine.scorer.result.container
        each(f"{SCORED} in", machine.scorer.activations(k), "integers that the head is a product of")
        each(f"{SCORED} scale", WORD, "their scale")
        behind = machine.score_length * container  # the last row of the vector unit ends there
        each(f"{SCORED} sums", n * container + behind, "sums of the head, and what is read behind them")
    each("queries", shapes.query * machine.attends.query.container, "rotated queries")
    each("mixed", shapes.query * machine.attends.result.container, "results of attention")
    if model.gated:
        each("up", model.ffn * number, "what the gate multiplies")
    if machine.scorer is None:
        last = ceil_div(model.hidden * number, ALIGNMENT) * ALIGNMENT
        layout.reserve("last", machine.batch * last, "what the head scores")
    for layer in range(model.layers):
        for name in ("keys", "values"):
            size = ceil_div(machine.kept * machine.attends.size(shapes.keys), PAGE) * PAGE
            which = "each position" if machine.kept == model.context else f"the last {machine.kept} positions"
            text = f"{name} of layer {layer}, a row for {which}"
            layout.reserve(f"{name} {layer}", machine.batch * size, text, page=True)
