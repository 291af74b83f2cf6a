"""What a compiled model consists of: its products in tiles, its vectors in memory, its constants."""

from __future__ import annotations

from dataclasses import dataclass, replace

from blueprint.numbers import ceil_div
from blueprint.systems.control import Hardware
from blueprint.workloads.model import Model
from compiler.layout import Layout
from compiler.units import Attends, Product, Rows, Units

#: Products in the order of a layer, and the roles of the matrices that they are made of.
PRODUCTS = {"kv": ("k", "v"), "q": ("q",), "o": ("o",), "ffn": ("up", "gate"), "down": ("down",)}
#: Buffers of the residual stream: in front of a layer, behind attention, behind the layer.
RESIDUALS = 3
#: Bytes of a scale and of a token.
WORD = 4


@dataclass(frozen=True)
class Tile:
    """Outputs ``first`` to ``first + n`` of a product of ``k`` inputs; its weights are at ``address``."""

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

    def product(self, name: str) -> tuple[int, int]:
        """Inputs and outputs of a product."""
        hidden, ffn = self.model.hidden, self.model.ffn
        return {
            "kv": (hidden, 2 * self.keys),
            "q": (hidden, self.query),
            "o": (self.query, hidden),
            "ffn": (hidden, 2 * ffn),
            "down": (ffn, hidden),
        }[name]


class Machine:
    """The units of a system's hardware, asked about a model. Raises ``ParamError`` for one that they cannot run."""

    def __init__(self, hardware: Hardware, model: Model) -> None:
        self.hardware, self.model, self.shapes = hardware, model, Shapes(model)
        self.units = Units(hardware)
        self.product, self.rows = Product(self.units), Rows(self.units)
        self.attends = Attends(self.units, model.heads // model.kv_heads, model.context)
        self.tiles = {name: self.product.outputs(*self.shapes.product(name)) for name in PRODUCTS}

    def cut(self, product: str) -> list[tuple[int, int]]:
        """First output and number of outputs of every tile of a product, as even as whole columns allow."""
        n, step = self.shapes.product(product)[1], self.product.result.elements
        count = ceil_div(n, self.tiles[product])
        each = ceil_div(n // step, count) * step
        return [(first, min(each, n - first)) for first in range(0, n, each)]


def reserve(layout: Layout, machine: Machine) -> None:
    """Reserve what runs write: tokens, vectors between operations, cache."""
    model, shapes, rows = machine.model, machine.shapes, machine.rows
    number, sums = rows.out.container, machine.product.result.container
    layout.reserve("tokens", WORD * (model.context + 1), "tokens, each by its position")
    for place in range(RESIDUALS):
        layout.reserve(f"residual {place}", model.hidden * number, "residual stream")
    for name in PRODUCTS:
        k, n = shapes.product(name)
        if name != "q":  # of the same vector as keys and values
            layout.reserve(
                f"{name} in", machine.product.activations(k), f"integers that {name} is a product of"
            )
            layout.reserve(f"{name} scale", WORD, "their scale")
        layout.reserve(f"{name} sums", n * sums, f"sums of product {name}")
    layout.reserve("queries", shapes.query, "rotated queries, integers")
    layout.reserve("mixed", shapes.query * machine.attends.result.container, "results of attention")
    layout.reserve("up", model.ffn * number, "what the gate multiplies")
    layout.reserve("last", model.hidden * number, "what the head scores")
    for layer in range(model.layers):
        for name in ("keys", "values"):
            size = model.context * shapes.keys
            layout.reserve(
                f"{name} {layer}", size, f"{name} of layer {layer}, a row for each position", page=True
            )
