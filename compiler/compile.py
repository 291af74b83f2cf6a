"""A checkpoint on the hardware of a system: programs, and the image of memory that they run on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blueprint.arithmetic import floating
from blueprint.errors import ParamError
from blueprint.systems import instructions
from blueprint.systems.control import QUEUE_DEPTH, Hardware
from blueprint.systems.instructions import Instruction
from blueprint.systems.staging import Staged
from checkpoints.checkpoint import Checkpoint
from checkpoints.decoder import HALF
from checkpoints.ternary import Ternary
from compiler.calibration import Steps
from compiler.layout import Constants, Layout, Octets, contained
from compiler.passes import Pass, Places
from compiler.plan import PRODUCTS, Machine, Tile, reserve

#: Names of the two programs.
PROMPT, DECODE = "prompt", "decode"
#: Norms of a layer, and those in front of the output and of the down projection.
_NORMS, _SUB_NORMS = ("attention_norm", "ffn_norm"), ("attention_sub_norm", "ffn_sub_norm")


@dataclass(frozen=True)
class Program:
    """The program of a pass, with what every instruction is for and how many bytes it moves."""

    name: str
    instructions: tuple[Instruction, ...]
    notes: tuple[tuple[str, int], ...]

    @property
    def region(self) -> str:
        """Where it lies."""
        return f"program {self.name}"


@dataclass(frozen=True)
class Compiled:
    """A model on hardware: its programs, and memory from ``layout.base`` on."""

    hardware: Hardware
    checkpoint: Checkpoint
    layout: Layout
    programs: tuple[Program, ...]
    steps: tuple[Steps, ...]
    tiles: tuple[Tile, ...]

    def program(self, name: str) -> Program:
        """The program of prompts or of decoding."""
        return next(one for one in self.programs if one.name == name)


def compile_model(hardware: Hardware, checkpoint: Checkpoint, steps: Sequence[Steps]) -> Compiled:
    """Compile a model with the steps of its attention. Raises ``ParamError`` for what the hardware cannot run."""
    _check_decoder(hardware, checkpoint)
    machine = Machine(hardware, checkpoint.decoder.model)
    _check_numbers(machine)
    layout = Layout()
    reserve(layout, machine)
    tiles = tuple(_weights(layout, machine, checkpoint))
    _tensors(layout, machine, checkpoint)
    places = _constants(layout, machine, checkpoint, steps)
    programs = []
    for name in (PROMPT, DECODE):
        builder = Pass(machine, layout, places, tiles, head=name == DECODE).write()
        program = Program(name, builder.program(), builder.notes())
        reason = instructions.refusal(program.instructions, QUEUE_DEPTH)
        if reason is not None:
            raise AssertionError(reason)  # tokens follow from what instructions need
        data = np.frombuffer(instructions.assemble(program.instructions), np.uint8)
        layout.place(program.region, data, f"program of a pass: {name}")
        programs.append(program)
    size = 1 << hardware.load.address_width
    if layout.end > size:
        raise ParamError(
            f"Memory must have {layout.end} bytes for {machine.model.name}, and {size} have addresses"
        )
    return Compiled(hardware, checkpoint, layout, tuple(programs), tuple(steps), tiles)


# What the hardware must have ------------------------------------------------------------------------------------------


def _check_decoder(hardware: Hardware, checkpoint: Checkpoint) -> None:
    """Check what is not in the shapes of a model. Raises ``ParamError``."""
    decoder, model = checkpoint.decoder, checkpoint.decoder.model
    if not model.gated:
        raise ParamError(f"Feed-forward of {model.name} must have a gate, which the program computes")
    if any(role in ("q_norm", "k_norm") for _, role in checkpoint.dense):
        raise ParamError(
            f"Heads of {model.name} must have no norms of their own, which no instruction computes"
        )
    spec = hardware.units["vector"]
    if model.activation != spec.gate_function:
        what = f"Activation of {model.name} must be {spec.gate_function}, which the vector unit computes"
        raise ParamError(f"{what}, not {model.activation}")
    epsilon = float(getattr(spec, "epsilon"))  # noqa: B009
    if not np.isclose(decoder.epsilon, epsilon, rtol=1e-6):
        what = f"Epsilon of the norms of {model.name} must be {epsilon:g}, that of the vector unit"
        raise ParamError(f"{what}, not {decoder.epsilon:g}")


def _check_numbers(machine: Machine) -> None:
    """Check that integers of 8 bits go from unit to unit, and floats of one format. Raises ``ParamError``."""
    product, attends, rows = machine.product, machine.attends, machine.rows
    for field in (product.act, attends.query, attends.key, attends.value):
        if field.field.format != "int" or field.field.width != 8:
            kind = f"{field.field.format} of {field.field.width} bits"
            raise ParamError(
                f"Field {field.name} must be integers of 8 bits, as the vector unit gives them, not {kind}"
            )
    if not machine.rows.spec.dequantizes or rows.x.container != product.result.container:
        raise ParamError(
            "The vector unit must take the sums of the matrix unit as its rows (dequantizes: true)"
        )


# Contents -------------------------------------------------------------------------------------------------------------


def _matrix(checkpoint: Checkpoint, layer: int, role: str) -> Ternary:
    """A matrix of one scale. Raises ``ParamError``."""
    found = checkpoint.matrix(layer, role)
    name = checkpoint.matrices[layer, role].name
    if not found.single:
        what = f"must have one scale, which a run of the vector unit takes, not {found.scale.size}"
        raise ParamError(f"{checkpoint.source}: tensor {name!r} {what}")
    scale = float(found.multiplier.reshape(-1)[0])
    if not (np.isfinite(scale) and scale > 0):
        raise ParamError(f"{checkpoint.source}: tensor {name!r} must have a scale above 0, not {scale:g}")
    return found


def _codes(machine: Machine, checkpoint: Checkpoint, layer: int, role: str) -> NDArray[np.int8]:
    """Codes of a matrix, (outputs x inputs); in heads of queries and keys rotated pairs stand side by side."""
    codes = _matrix(checkpoint, layer, role).codes
    if role not in ("q", "k") or checkpoint.decoder.rotary != HALF:
        return codes
    dim = machine.model.head_dim
    order = np.arange(dim).reshape(2, dim // 2).T.reshape(-1)
    return codes.reshape(-1, dim, codes.shape[1])[:, order].reshape(codes.shape)


def _weights(layout: Layout, machine: Machine, checkpoint: Checkpoint) -> Iterator[Tile]:
    """Place the weights of all products in the order of their beats; yields their tiles."""
    found: list[Octets] = []
    drafts: list[tuple[int, str, int, int, int, int, int, int]] = []
    offset = 0
    for layer in range(machine.model.layers):
        for name, roles in PRODUCTS.items():
            codes = np.concatenate([_codes(machine, checkpoint, layer, role) for role in roles])
            for first, n in machine.cut(name):
                beats = machine.product.beats(codes[first : first + n])
                found.append(beats.reshape(-1))
                drafts.append((layer, name, first, codes.shape[1], n, offset, len(beats), beats.size))
                offset += beats.size
    region = layout.place("weights", np.concatenate(found), "ternary weights in the order of their beats")
    for layer, name, first, k, n, at, count, size in drafts:
        yield Tile(layer, name, first, k, n, region.base + at, count, size)


def _floats(field: Staged, values: NDArray[np.floating], fmt: floating.FloatFormat) -> Octets:
    """Floats as elements of a field in memory."""
    return contained(floating.from_float64(fmt, values.astype(np.float64), True), field.container)


def _tensors(layout: Layout, machine: Machine, checkpoint: Checkpoint) -> None:
    """Place norms, angles, embedding and head."""
    model, rows = machine.model, machine.rows
    outside = rows.spec.outside
    names = (*_NORMS, *_SUB_NORMS * model.sub_norms)
    for layer in range(model.layers):
        for role in names:
            data = _floats(rows.gain, checkpoint.dense[layer, role].read(), outside)
            layout.place(f"{role} {layer}", data, f"weights of a norm, layer {layer}")
    layout.place(
        "final_norm", _floats(rows.gain, checkpoint.dense[None, "final_norm"].read(), outside), "last norm"
    )
    layout.place(
        "angles", _floats(rows.operand, _angles(checkpoint), outside), "cosine and sine of every position"
    )
    layout.place(
        "embedding", _floats(rows.x, checkpoint.dense[None, "embedding"].read(), outside), "embedding"
    )
    if not model.tied_embeddings:
        layout.place("head", _floats(rows.x, checkpoint.dense[None, "head"].read(), outside), "LM head")


def _angles(checkpoint: Checkpoint) -> NDArray[np.float64]:
    """Cosine and sine of every pair of a head, side by side, (context x head_dim)."""
    decoder, model = checkpoint.decoder, checkpoint.decoder.model
    half = model.head_dim // 2
    rates = (np.float32(1) / decoder.rope_theta ** (np.arange(half, dtype=np.float32) / half)).astype(
        np.float32
    )
    angles = (np.arange(model.context, dtype=np.float32)[:, None] * rates).astype(np.float64)
    found: NDArray[np.float64] = np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(
        model.context, -1
    )
    return found


def _constants(layout: Layout, machine: Machine, checkpoint: Checkpoint, steps: Sequence[Steps]) -> Places:
    """Place all scales: of weights, with the steps of what they become, and of attention."""
    model, constants = machine.model, Constants()
    share = model.heads // model.kv_heads
    weights: dict[tuple[int, str], int] = {}
    attention: dict[tuple[int, int, str], int] = {}
    one = constants.numbers(1.0)
    for layer, step in enumerate(steps):
        scale = {
            role: float(_matrix(checkpoint, layer, role).multiplier.reshape(-1)[0])
            for role in ("q", "k", "v", "o", "gate", "up", "down")
        }
        heads: dict[str, Any] = {"q": np.repeat(step.query, share), "k": step.key, "v": step.value}
        for role, value in scale.items():
            values = [value / each for each in heads[role]] if role in heads else [value]
            weights[layer, role] = constants.numbers(*values)
        weights[layer, "mixed"] = constants.numbers(step.mixed)
        for head in range(model.kv_heads):
            for name, word in _attention_scale(machine, step, head).items():
                attention[layer, head, name] = constants.words(word & 0xFFFFFFFF)
    base = layout.place("scales", constants.data(), "scales of weights and of attention").base
    return Places(
        {key: base + at for key, at in weights.items()},
        {key: base + at for key, at in attention.items()},
        base + one,
    )


def _attention_scale(machine: Machine, step: Steps, head: int) -> dict[str, int]:
    """Words of the scale beat of a key head."""
    scale = float(np.log2(np.e)) / machine.model.head_dim**0.5 * step.query[head] * step.key[head]
    return machine.attends.scales(scale, step.value[head] / step.mixed)
