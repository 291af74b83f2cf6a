"""From the shapes of a model to programs on the hardware of a system, and from a checkpoint to an image of memory.

Programs follow from shapes alone: what a checkpoint adds are the contents of regions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blueprint.errors import ParamError
from blueprint.systems import instructions
from blueprint.systems.control import QUEUE_DEPTH, Hardware
from blueprint.systems.instructions import Instruction
from blueprint.workloads.model import Model
from checkpoints.checkpoint import Checkpoint
from compiler.calibration import Steps
from compiler.contents import Contents
from compiler.layout import Layout
from compiler.passes import Pass
from compiler.placing import constants, place_head, place_tables, place_tensors, place_weights
from compiler.plan import Machine, Tile, reserve
from compiler.prompts import BLOCK, DECODE, PROMPT
from compiler.purpose import Purpose


@dataclass(frozen=True)
class Program:
    """The program of a pass, with what every instruction is for and how many bytes it moves."""

    name: str
    instructions: tuple[Instruction, ...]
    notes: tuple[tuple[Purpose, int], ...]

    @property
    def region(self) -> str:
        """Region of memory in which it lies."""
        return f"program {self.name}"


@dataclass(frozen=True)
class Plan:
    """The shapes of a model on hardware: where everything lies, and the programs."""

    hardware: Hardware
    model: Model
    layout: Layout
    programs: tuple[Program, ...]
    tiles: tuple[Tile, ...]
    #: Sequences of which every pass takes a token.
    batch: int

    def program(self, name: str) -> Program:
        """The program of prompts, of their blocks, or of decoding."""
        return next(one for one in self.programs if one.name == name)

    @property
    def block(self) -> int:
        """Tokens of a prompt that a pass takes."""
        return self.hardware.block if any(one.name == BLOCK for one in self.programs) else 1


@dataclass(frozen=True)
class Compiled(Plan):
    """A checkpoint on hardware: its programs, and memory from ``layout.base`` on."""

    checkpoint: Checkpoint
    steps: tuple[Steps, ...]


def has_steps(hardware: Hardware) -> bool:
    """True if attention takes integers, whose steps are measured; floats have none."""
    return not hardware.units["attention"].float_format


def check(hardware: Hardware, checkpoint: Checkpoint) -> None:
    """Check that hardware computes what a checkpoint is of, beside its sizes. Raises ``ParamError``."""
    _check_model(hardware, checkpoint.decoder.model)
    _check_decoder(hardware, checkpoint)


def compile_shapes(hardware: Hardware, model: Model, batch: int = 1) -> Plan:
    """The programs of a model and the layout of memory, without contents, for a number of sequences side by side.

    Raises ``ParamError`` for what the hardware cannot run.
    """
    _check_model(hardware, model)
    return Plan(hardware, model, *_planned(hardware, model, None, batch), batch)


def compile_model(
    hardware: Hardware, checkpoint: Checkpoint, steps: Sequence[Steps], batch: int = 1
) -> Compiled:
    """Compile a model with the steps of its attention, which one of floats has none of.

    Each pass takes a token of each of ``batch`` sequences. Raises ``ParamError`` for what the hardware cannot run.
    """
    model = checkpoint.decoder.model
    check(hardware, checkpoint)
    found = _planned(hardware, model, Contents(checkpoint, tuple(steps)), batch)
    return Compiled(hardware, model, *found, batch, checkpoint, tuple(steps))


def _planned(
    hardware: Hardware, model: Model, contents: Contents | None, batch: int
) -> tuple[Layout, tuple[Program, ...], tuple[Tile, ...]]:
    machine = Machine(hardware, model, batch)
    _check_numbers(machine)
    layout = Layout()
    reserve(layout, machine)
    tiles, prompts = place_weights(layout, machine, contents)
    tiles += place_head(layout, machine, contents)
    place_tensors(layout, machine, contents)
    place_tables(layout, machine, contents)
    places = constants(layout, machine, contents)
    programs = []
    for name in (PROMPT, DECODE, *[BLOCK] * (machine.block > 1)):
        tokens = machine.block if name == BLOCK else batch
        head = name == DECODE
        mine = tiles if head else prompts
        builder = Pass(machine, layout, places, mine, head=head, tokens=tokens).write()
        program = Program(name, builder.program(), builder.notes())
        reason = instructions.refusal(program.instructions, QUEUE_DEPTH)
        if reason is not None:
            raise AssertionError(reason)  # what instructions need decides their tokens
        data = np.frombuffer(instructions.assemble(program.instructions, hardware.queues), np.uint8)
        layout.place(program.region, data, f"program of a pass: {name}")
        programs.append(program)
    size = 1 << hardware.load.address_width
    if layout.end > size:
        raise ParamError(
            f"Memory must have {layout.end} bytes for {machine.model.name}, and {size} have addresses"
        )
    return layout, tuple(programs), tiles


# What the hardware must have ------------------------------------------------------------------------------------------


def _check_model(hardware: Hardware, model: Model) -> None:
    """Check what a model computes beside its sizes. Raises ``ParamError``."""
    spec = hardware.units["vector"]
    if model.activation != spec.gate_function:
        what = f"Activation of {model.name} must be {spec.gate_function}, which the vector unit computes"
        raise ParamError(f"{what}, not {model.activation}")


def _check_decoder(hardware: Hardware, checkpoint: Checkpoint) -> None:
    """Check what is not in the shapes of a model. Raises ``ParamError``."""
    decoder, model = checkpoint.decoder, checkpoint.decoder.model
    if any(role in ("q_norm", "k_norm") for _, role in checkpoint.dense):
        raise ParamError(
            f"Heads of {model.name} must have no norms of their own, which no instruction computes"
        )
    _check_windows(hardware, checkpoint)
    epsilon = hardware.units["vector"].norm_epsilon
    if not np.isclose(decoder.epsilon, epsilon, rtol=1e-6):
        what = f"Epsilon of the norms of {model.name} must be {epsilon:g}, that of the vector unit"
        raise ParamError(f"{what}, not {decoder.epsilon:g}")


def _check_windows(hardware: Hardware, checkpoint: Checkpoint) -> None:
    """Check that all layers see the positions that the cache holds. Raises ``ParamError``."""
    model, windows = checkpoint.decoder.model, checkpoint.decoder.windows
    kept = min(model.context, hardware.window or model.context)
    seen = [window or model.context for window in windows] or [model.context]
    if set(seen) == {kept}:
        return
    which = (
        f"the last {kept} positions, the window of the system,"
        if kept < model.context
        else f"all {kept} positions,"
    )
    told = (
        " and ".join(f"{seen.count(one)} see {one}" for one in sorted(set(seen)))
        if windows
        else "they see all"
    )
    raise ParamError(f"Layers of {model.name} must see {which} and {told}")


def _check_numbers(machine: Machine) -> None:
    """Check that integers of 8 bits go from unit to unit, and floats of one format. Raises ``ParamError``."""
    attends, rows = machine.attends, machine.rows
    cached = () if attends.packed else (attends.key, attends.value)
    floats = rows.out.rounds or rows.out.field.format
    inputs = [unit.act for unit in machine.units_of_products]
    for field in (*inputs, attends.query, *cached):
        kind = f"{field.field.format} of {field.field.width} bits"
        if attends.floats and field not in inputs:
            if field.field.format != floats:
                what = f"must be {floats}, as the vector unit gives it, not {kind}"
                raise ParamError(f"Field {field.name} {what}")
        elif field.field.format != "int" or field.field.width != 8:
            raise ParamError(
                f"Field {field.name} must be integers of 8 bits, as the vector unit gives them, not {kind}"
            )
    for unit in machine.units_of_products:
        if not machine.rows.spec.dequantizes or rows.x.container != unit.result.container:
            raise ParamError(
                f"The vector unit must take the sums of the {unit.name} unit as its rows (dequantizes: true)"
            )
