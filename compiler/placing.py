"""The places of weights, tensors and scales of a model in memory, and with a checkpoint their contents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from blueprint.arithmetic import floating
from blueprint.systems.address_map import BOTH_TEXT, PROMPTS_TEXT, WEIGHTS_TEXT
from blueprint.systems.description import levels
from blueprint.systems.staging import Staged
from checkpoints.names import LINEAR
from compiler.calibration import Steps
from compiler.contents import Contents
from compiler.layout import Constants, Layout, Octets, contained
from compiler.passes import Places
from compiler.plan import PRODUCTS, PROMPT_WEIGHTS, SCORED, UNGATED, WEIGHTS, WORD, Machine, Tile

#: Norms of a layer, and those in front of the output and of the down projection.
_NORMS, _SUB_NORMS = ("attention_norm", "ffn_norm"), ("attention_sub_norm", "ffn_sub_norm")


def place_weights(
    layout: Layout, machine: Machine, contents: Contents | None
) -> tuple[tuple[Tile, ...], tuple[Tile, ...]]:
    """Place the weights of all products of layers in the order of their beats.

    Returns the tiles of passes with head, and those of passes without: their unit has weights of its own, unless it
    takes the same beats.
    """
    both = machine.shares_weights and machine.prompts is not machine.product
    tiles = _placed(layout, machine, contents, WEIGHTS, BOTH_TEXT if both else WEIGHTS_TEXT, head=True)
    if not machine.shares_weights:
        return tiles, _placed(layout, machine, contents, PROMPT_WEIGHTS, PROMPTS_TEXT, head=False)
    base = layout[WEIGHTS].base
    return tiles, tuple(tile.moved(base) for tile in _tiles(machine, head=False))


def _placed(
    layout: Layout, machine: Machine, contents: Contents | None, name: str, text: str, *, head: bool
) -> tuple[Tile, ...]:
    """Place the weights of the layers for the passes with head or without; returns their tiles."""
    found = list(_tiles(machine, head=head))
    size = sum(tile.size for tile in found)
    data = size if contents is None else np.concatenate(list(_beats(machine, found, contents, head=head)))
    base = layout.place(name, data, text).base
    return tuple(tile.moved(base) for tile in found)


def _tiles(machine: Machine, *, head: bool) -> Iterator[Tile]:
    """The tiles of a model in the passes with head or without, the first of which is at 0."""
    offset = 0
    for layer in range(machine.model.layers):
        for name in PRODUCTS:
            unit, (k, _) = machine.of(name, head=head), machine.shapes.product(name)
            for first, n in machine.cut(name, head=head):
                count, size = unit.size(k, n)
                yield Tile(layer, name, first, k, n, offset, count, size)
                offset += size


def place_head(layout: Layout, machine: Machine, contents: Contents | None) -> tuple[Tile, ...]:
    """Place the weights, scales and digits of a head whose scores are products; returns its tiles, or none."""
    unit, model = machine.scorer, machine.model
    if unit is None:
        return ()
    k, n = machine.shape(SCORED)
    found, offset = list[Tile](), 0
    for first, count in machine.cut(SCORED):
        beats, size = unit.size(k, count)
        found.append(Tile(model.layers, SCORED, first, k, count, offset, beats, size))
        offset += size
    data: Octets | int = offset
    scales: Octets | int = model.vocab * WORD
    if contents is not None:
        role = "embedding" if model.tied_embeddings else "head"
        rows, steps = contents.rows(role, levels(unit.spec))
        codes = np.zeros((n, k), np.int8)
        codes[: model.vocab * machine.digits] = in_digits(rows, machine.digits)
        parts = [unit.beats(codes[one.first : one.first + one.n]).reshape(-1) for one in found]
        data, scales = np.concatenate(parts), steps.view(np.uint8)
    base = layout.place("head weights", data, "weights of the head in the order of their beats").base
    layout.place("head steps", scales, "scale of every row of the head")
    powers = np.zeros(machine.score_length)
    powers[: machine.digits] = 3.0 ** np.arange(machine.digits)
    gain = machine.rows.gain.container
    layout.place("digits", _floats(machine, gain, powers), "what the digits of a score count")
    return tuple(tile.moved(base) for tile in found)


def in_digits(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Integers as so many balanced ternary digits in rows one below the other, the lowest first; one is the integer."""
    if count == 1:
        return rows
    found, left = [], rows
    for _ in range(count):
        digit = (left + 1) % 3 - 1
        found.append(digit)
        left = (left - digit) // 3
    return np.stack(found, axis=1).reshape(-1, rows.shape[1])


def _beats(machine: Machine, tiles: list[Tile], contents: Contents, *, head: bool) -> Iterator[Octets]:
    """The beats of every tile."""
    for (layer, name), mine in groupby(tiles, attrgetter("layer", "product")):
        unit, codes = machine.of(name, head=head), contents.codes(layer, machine.shapes.roles(name))
        for tile in mine:
            yield unit.beats(codes[tile.first : tile.first + tile.n]).reshape(-1)


@dataclass(frozen=True)
class _Tensor:
    """A tensor of ``count`` elements of a field; ``layer`` is ``None`` outside of the layers."""

    layer: int | None
    role: str
    field: Staged
    count: int
    text: str

    @property
    def region(self) -> str:
        """Region of memory in which it lies."""
        return self.role if self.layer is None else f"{self.role} {self.layer}"


def place_tensors(layout: Layout, machine: Machine, contents: Contents | None) -> None:
    """Place norms and angles."""
    for tensor in _tensors(machine):
        data: Octets | int = tensor.count * tensor.field.container
        if contents is not None:
            data = _floats(machine, tensor.field.container, contents.tensor(tensor.layer, tensor.role))
        layout.place(tensor.region, data, tensor.text)


def _tensors(machine: Machine) -> Iterator[_Tensor]:
    model, rows = machine.model, machine.rows
    lengths = dict.fromkeys(_NORMS, model.hidden)
    if model.sub_norms:
        lengths |= dict(zip(_SUB_NORMS, (machine.shapes.query, model.ffn), strict=True))
    for layer in range(model.layers):
        for role, length in lengths.items():
            yield _Tensor(layer, role, rows.gain, length, f"weights of a norm, layer {layer}")
    yield _Tensor(None, "final_norm", rows.gain, model.hidden, "last norm")
    angles = model.context * model.head_dim
    yield _Tensor(None, "angles", rows.operand, angles, "cosine and sine of every position")
    if not model.gated:
        yield _Tensor(None, UNGATED, rows.operand, model.ffn, "what the activation multiplies: ones")


def place_tables(layout: Layout, machine: Machine, contents: Contents | None) -> None:
    """Place the rows of the embedding and of the head, and their scales where they are integers."""
    model, table = machine.model, machine.table
    exact = machine.scorer is None and not model.tied_embeddings
    roles = {"embedding": "embedding"} | ({"head": "LM head"} if exact else {})
    for role, text in roles.items():
        data: Octets | int = model.vocab * model.hidden * table.container
        scales: Octets | int = model.vocab * WORD
        if contents is not None and table.integers:
            codes, steps = contents.rows(role)
            data, scales = contained(codes, table.container), steps.view(np.uint8)
        elif contents is not None:
            kind = machine.rows.x.rounds if table.narrow else ""
            data = _floats(machine, table.container, contents.tensor(None, role), kind)
        layout.place(role, data, text)
        if table.integers:
            layout.place(f"{role} scales", scales, f"scale of every row of the {text}")
    if table.integers:
        ones = np.ones(machine.scales_at_once, "<f4").view(np.uint8)
        layout.place("ones", ones, "the second scale of every row")


def _floats(machine: Machine, container: int, values: NDArray[np.float64], kind: str = "") -> Octets:
    """Floats in containers of ``container`` bytes: of the vector unit's format, or of one that a load widens to it."""
    fmt = floating.get(kind) if kind else machine.rows.spec.outside
    return contained(floating.from_float64(fmt, values, flush=not kind), container)


def constants(layout: Layout, machine: Machine, contents: Contents | None) -> Places:
    """Place all scales: of weights, with the steps of what they become, and of attention."""
    model, found = machine.model, Constants()
    weights: dict[tuple[int, str], int] = {}
    attention: dict[tuple[int, int, str], int] = {}
    one = found.numbers(1.0)
    for layer in range(model.layers):
        step = _steps(machine, contents, layer)
        roles = (role for role in LINEAR if role in machine.shapes.matrices)
        scale = {role: 1.0 if contents is None else contents.scale(layer, role) for role in roles}
        for role, values in _scales(machine, scale, step).items():
            weights[layer, role] = found.numbers(*values)
        weights[layer, "mixed"] = found.numbers(step.mixed)
        for head in range(model.kv_heads):
            for name, word in _attention_scale(machine, step, head).items():
                attention[layer, head, name] = found.words(word & 0xFFFFFFFF)
    base = layout.place("scales", found.data(), "scales of weights and of attention").base
    return Places(
        {key: base + at for key, at in weights.items()},
        {key: base + at for key, at in attention.items()},
        base + one,
    )


def _steps(machine: Machine, contents: Contents | None, layer: int) -> Steps:
    """Steps of a layer; all are 1 for floats, which have none, and where no steps are given."""
    if contents is not None and not machine.attends.floats:
        return contents.steps[layer].cached(machine.attends.levels)
    heads = (1.0,) * machine.model.kv_heads
    return Steps(heads, heads, heads, 1.0)


def _scales(machine: Machine, scale: Mapping[str, float], step: Steps) -> dict[str, list[float]]:
    """Scales of every matrix: one, or one for each head."""
    share = machine.model.heads // machine.model.kv_heads
    heads = {"q": [each for each in step.query for _ in range(share)], "k": step.key, "v": step.value}
    return {
        role: [value / each for each in heads[role]] if role in heads else [value]
        for role, value in scale.items()
    }


def _attention_scale(machine: Machine, step: Steps, head: int) -> dict[str, int]:
    """Words of the scale beat of a key head."""
    scale = float(np.log2(np.e)) / machine.model.head_dim**0.5 * step.query[head] * step.key[head]
    return machine.attends.scales(scale, step.value[head] / step.mixed)
