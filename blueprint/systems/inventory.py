"""The hardware of a whole system beside its units: control, sequencer, queues, executors, staging, movers.

Flip-flops are counted by the names that they have in the RTL (``tests/systems/test_inventory.py`` compares them).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from blueprint.counting import carries
from blueprint.numbers import Number, bit_length, ceil_div, clog2
from blueprint.shell import WORD_BITS
from blueprint.systems.control import (
    CLEAR,
    ERRORS,
    HOLD_BITS,
    PASS_BITS,
    POSITION_BITS,
    QUEUE_DEPTH,
    UNIT_BITS,
    UNIT_STATUS_BITS,
    Hardware,
    Inlets,
    Outlets,
    flight,
    written,
)
from blueprint.systems.dma import A_BURST, RESPONSE_BITS, Dma, fifo, replay
from blueprint.systems.instructions import (
    FLIGHTS,
    INDEX_BITS,
    MOVED,
    NARROW_BIT,
    TOKENS_MOST,
    UNITS,
    form,
    value_bits,
)
from blueprint.systems.staging import buffer_of
from blueprint.unit import (
    ADDER,
    AND_ROW,
    COMPARATOR,
    HALF_ADDER,
    LOGIC,
    MUX,
    REGISTER,
    SELECT,
    TO_FLOAT,
    Path,
    Unit,
    memories,
)

Registers = dict[str, Number]
#: Shares of the cycles of a run in which parts work: what is set before it, an access to a register, the steps of an
#: instruction. Bursts are in :data:`blueprint.systems.dma.A_BURST`.
_NEVER, _ACCESS, _INSTRUCTION = 0.0, 0.01, 0.05
#: Two-input gates, roughly: of the register file, a stream between units, the sequencer, the decoder, a counter of
#: tokens, an executor, what joins an input with the others of its stream, a part of a word that is gathered, and a
#: limit of an integer; and of the slowest choice of an output that the writer drains.
_CONTROL_GATES, _STREAM_GATES, _CHOICE_GATES = 250, 10, 512
_SEQUENCER_GATES, _DECODER_GATES, _TOKEN_GATES, _EXECUTOR_GATES = 120, 45, 20, 120
_JOIN_GATES, _GATHER_GATES, _LIMIT_GATES = 4, 8, 8
#: Bits of an error as the sequencer remembers it.
TOLD_BITS = len(ERRORS) + UNIT_BITS + RESPONSE_BITS + UNIT_STATUS_BITS
#: Of the words, those that a mover moves: fetch and load have most of them; and instructions of a queue for a word.
_SHARE, _INSTRUCTIONS = 0.5, 0.02


def entry_bits(units: Sequence[str]) -> int:
    """Bits of an instruction in a queue: two lines of its kind, and all fields but kind and unit."""
    return 2 + sum(int(field.width) for field in form(units) if field.name not in ("kind", "unit"))


def tokens(units: Sequence[str] = UNITS) -> Registers:
    """Flip-flops of the counters of tokens."""
    return {"tokens": len(units) ** 2 * bit_length(TOKENS_MOST)}


def control(hardware: Hardware) -> Registers:
    """Flip-flops of the control registers."""
    found: Registers = {f"{name}_held": width for name, width in written(hardware.block).items()}
    ones = (
        "write_accept", "write_answer", "write_error", "read_answer", "read_error", "read_turn", "cycles_read",
        "cycles_happens", "start", "prompt_lacks", "decode_lacks", "any_pass", "image_fits", "wrong_image_held",
        "no_program_held", "not_drained_held", "done", "pending", "enable",
    )  # fmt: skip
    words = {"read_data": WORD_BITS, "cycles_held": WORD_BITS, "cycles_held_full": carries(WORD_BITS, 1)}
    return found | dict.fromkeys(ones, 1) | words


def sequencer(hardware: Hardware) -> Registers:
    """Flip-flops of the sequencer."""
    states = dict.fromkeys(("opening", "running", "halting", "clearing", "fetching", "owing"), 1)
    passes = {"prompts_left": PASS_BITS, "decodes_left": PASS_BITS, "position_held": POSITION_BITS}
    passes["went"] = int(hardware.block > 1)
    waits = {"still": WORD_BITS, "waited": 1, "unanswered_held": 1}
    return {**states, **passes, **waits, "told_held": TOLD_BITS, "clear_left": clog2(CLEAR)}


def transfers(dma: Dma, units: Sequence[str] = UNITS) -> Registers:
    """Flip-flops of the executor of a mover."""
    widths: Registers = {name: dma.transfer[name].width for name in MOVED[:-2]}
    widths |= {"place": NARROW_BIT + 1, "index": INDEX_BITS}
    found: Registers = {f"{name}_held": width for name, width in widths.items()}
    found |= {f"{name}_above": int(width < value_bits(units)) for name, width in widths.items()}
    if dma.reads:
        found |= {"asked": 1, "signal_held": len(units), "index_given": dma.index_width}
    return found | dict.fromkeys(("running", "offering", *["moving"] * (not dma.reads)), 1)


def runner(hardware: Hardware, unit: str) -> Registers:
    """Flip-flops of the executor of a unit."""
    held: Registers = {f"{name}_held": bits for name, bits in hardware.staging(unit)._asdict().items()}
    return held | dict.fromkeys(("running", "waits", "looking", "asked"), 1)


def drain(dma: Dma) -> Registers:
    """Flip-flops between staging and the writer."""
    return {"opened": 1, "rows_left": dma.rows_width, "units_left": dma.row_width + dma.rows_width}


def inlet(shape: Inlets) -> Registers:
    """Flip-flops of the staging of an input beside its FIFO."""
    parts = {
        f"part{number}": sum(bits for _, bits in shape.places(number)) for number in range(shape.gathers - 1)
    }
    counts = {"gathered": clog2(shape.gathers), "part": clog2(shape.parts), "turn": shape.turns}
    return {**counts, "rows_there": shape.rows_bits, "parts": sum(parts.values())}


def outlet(shape: Outlets) -> Registers:
    """Flip-flops of the staging of an output beside its FIFO."""
    found: Registers = {}
    for way in shape.ways:
        name = "narrow_" * way.narrow
        if way.parts > 1:
            found |= {f"{name}gathered": way.port_bits, f"{name}count": bit_length(way.parts)}
        else:
            found[f"{name}place"] = clog2(way.gathers)
    return found


def units(hardware: Hardware) -> tuple[Unit, ...]:
    """The bill of materials, units of the families included."""
    return (*around(hardware), *(unit for spec in hardware.units.values() for unit in spec.units()))


def around(hardware: Hardware) -> tuple[Unit, ...]:
    """The bill of materials of what stands around the units of the families.

    Activities are those of a word that passes one of the ports to memory.
    """
    return (*beside_staging(hardware), *_staging(hardware))


def beside_staging(hardware: Hardware) -> tuple[Unit, ...]:
    """The same without staging: control, sequencer, queues, executors, movers."""
    dmas = (hardware.fetch, hardware.load, hardware.store)
    movers = (unit.active(_SHARE) for dma in dmas for unit in dma.units())
    return (*_control(hardware), *_executors(hardware), *movers)


@dataclass(frozen=True)
class Around:
    """What stands around the units of a system, as a design has it: what it is made of, and its paths."""

    hardware: Hardware

    def units(self) -> tuple[Unit, ...]:
        """The bill of materials."""
        return around(self.hardware)

    def paths(self) -> tuple[Path, ...]:
        """The paths between registers that may be the slowest."""
        return tuple(_paths(self.hardware))


@dataclass(frozen=True)
class Stage:
    """The memories of the FIFO of a staged field, and the bytes of external memory that a word of it stands for."""

    buffer: str
    memories: tuple[Unit, ...]
    word_bytes: int


def stages(hardware: Hardware) -> Iterator[Stage]:
    """The FIFOs of staging that are in memories; those of few words are registers."""
    ways: list[Inlets | Outlets] = [Inlets(one, hardware.width) for one in hardware.inputs]
    ways += [Outlets(one, hardware.width) for one in hardware.outputs]
    for way in ways:
        width = way.word.width if isinstance(way, Inlets) else way.bits
        if way.in_memory:
            found = tuple(memories(1, way.depth, width))
            yield Stage(buffer_of(way.staged.stream), found, way.staged.word_bytes(hardware.width))


def _registers(place: str, named: Registers) -> Unit:
    return REGISTER(place, 1, width=sum(named.values()), enable=1, activity=_INSTRUCTION)


def _control(hardware: Hardware) -> Iterator[Unit]:
    yield _registers("shell", control(hardware))
    yield MUX("shell", 1, entries=16, width=WORD_BITS, activity=_NEVER)
    yield MUX("shell", 1, entries=2, width=POSITION_BITS, activity=_NEVER)
    yield COMPARATOR("shell", 4, width=WORD_BITS, activity=_NEVER)
    yield HALF_ADDER("shell", 1, width=WORD_BITS)
    yield LOGIC("shell", 1, gates=_CONTROL_GATES, activity=_ACCESS)
    yield _registers("sequencer", sequencer(hardware))
    units = hardware.queues
    yield ADDER("sequencer", 1, width=value_bits(units), activity=_INSTRUCTION)
    step = ADDER if hardware.block > 1 else HALF_ADDER
    yield step("sequencer", 1, width=POSITION_BITS, activity=_NEVER)
    yield AND_ROW("sequencer", 1, width=POSITION_BITS, activity=_NEVER)
    if hardware.window:  # what is added is no more than the window, where keys are counted
        yield AND_ROW("sequencer", 1, width=clog2(hardware.window), activity=_NEVER)
        yield MUX("sequencer", 1, entries=2, width=POSITION_BITS, activity=_NEVER)
        yield MUX("executors", 1, entries=2, width=hardware.store.index_width, activity=_INSTRUCTION)
    yield MUX("sequencer", 1, entries=2, width=hardware.fetch.unit_address_width, activity=_NEVER)
    yield HALF_ADDER("sequencer", 1, width=WORD_BITS, activity=_INSTRUCTION)
    yield COMPARATOR("sequencer", 1, width=WORD_BITS, activity=_INSTRUCTION)
    yield MUX("sequencer", len(units), entries=2, width=TOLD_BITS, activity=_NEVER)
    yield LOGIC("sequencer", 1, gates=_SEQUENCER_GATES, activity=_INSTRUCTION)
    yield LOGIC("decoder", 1, gates=_DECODER_GATES, activity=_INSTRUCTION)
    yield _registers("tokens", tokens(units))
    yield LOGIC("tokens", len(units) ** 2, gates=_TOKEN_GATES, activity=_INSTRUCTION)
    for _ in range(len(hardware.units) + 2):
        yield from fifo(QUEUE_DEPTH, entry_bits(units), 1, _INSTRUCTIONS)


def _executors(hardware: Hardware) -> Iterator[Unit]:
    for dma in (hardware.load, hardware.store):
        yield _registers("executors", transfers(dma, hardware.queues))
        yield LOGIC("executors", 1, gates=_EXECUTOR_GATES, activity=_INSTRUCTION)
    yield from fifo(FLIGHTS, flight(hardware.load, hardware.queues).width, 0, _INSTRUCTIONS)
    for unit in hardware.units:
        yield _registers("executors", runner(hardware, unit))
        yield LOGIC("executors", 1, gates=_EXECUTOR_GATES, activity=_INSTRUCTION)


def _staging(hardware: Hardware) -> Iterator[Unit]:
    staging = len(hardware.inputs) + len(hardware.outputs)
    streams = sum(len(spec.streams()) for spec in hardware.units.values())
    yield REGISTER("core", 1, width=1, reset=1, activity=_NEVER)
    yield LOGIC("core", streams, gates=_STREAM_GATES, activity=_INSTRUCTION)
    yield REGISTER("staging", 1, width=hardware.load.index_width, enable=1, activity=_NEVER)
    yield LOGIC("staging", len(hardware.inputs), gates=_JOIN_GATES, activity=_INSTRUCTION)
    yield from _drain(hardware)
    for staged in hardware.inputs:
        yield from _inlet(Inlets(staged, hardware.width), 1 / staging)
    for staged in hardware.outputs:
        yield from _outlet(Outlets(staged, hardware.width), 1 / staging)
    yield REGISTER("staging", _rows(hardware), width=HOLD_BITS, enable=1, reset=1, activity=A_BURST)
    yield HALF_ADDER("staging", _rows(hardware), width=HOLD_BITS, activity=A_BURST)
    yield COMPARATOR("staging", _rows(hardware), width=HOLD_BITS, activity=A_BURST)


def _drain(hardware: Hardware) -> Iterator[Unit]:
    """Between staging and the writer."""
    store = hardware.store
    yield _registers("staging", drain(store))
    yield ADDER("staging", 2, width=store.row_width + store.rows_width, activity=A_BURST)
    yield HALF_ADDER("staging", 1, width=store.rows_width, activity=A_BURST)
    yield AND_ROW("staging", 1, width=store.row_width, activity=A_BURST)
    yield SELECT("staging", 1, entries=len(hardware.outputs), width=hardware.width, activity=A_BURST)


def _inlet(shape: Inlets, activity: float) -> Iterator[Unit]:
    """The staging of an input, and what joins it with the others of its stream."""
    yield _registers("staging", inlet(shape))
    given = replay if shape.replays else fifo
    yield from given(shape.depth, shape.word.width, int(shape.in_memory), activity)
    yield AND_ROW("staging", 1, width=shape.bits, activity=activity)
    yield LOGIC("staging", int(shape.gathers > 1) * shape.gathers, gates=_GATHER_GATES, activity=activity)
    several = int(shape.parts > 1)
    yield SELECT("staging", several, entries=shape.parts, width=shape.bits, activity=activity)
    narrow = min(shape.bits, shape.ratio * shape.port_bits)
    yield MUX("staging", int(shape.ratio > 1), entries=2, width=narrow, activity=activity)
    yield from _conversion(shape)
    turns = int(shape.turns > 0)
    yield HALF_ADDER("staging", turns, width=HOLD_BITS, activity=_INSTRUCTION)
    yield COMPARATOR("staging", 2 * turns, width=HOLD_BITS, activity=_INSTRUCTION)
    yield AND_ROW("staging", turns, width=HOLD_BITS, activity=_INSTRUCTION)
    rounds = int(turns and not shape.replays)
    yield HALF_ADDER("staging", rounds, width=max(1, shape.rows_bits), activity=_INSTRUCTION)
    yield MUX("staging", rounds, entries=2, width=shape.word.width, activity=A_BURST)


def _outlet(out: Outlets, activity: float) -> Iterator[Unit]:
    """The staging of an output."""
    yield _registers("staging", outlet(out))
    yield from fifo(out.depth, out.bits, int(out.in_memory), activity)
    for way in out.ways:
        several = int(way.gathers > 1)
        width = ceil_div(way.bits, way.gathers)
        yield SELECT("staging", several, entries=way.gathers, width=width, activity=activity)
        yield HALF_ADDER("staging", several, width=clog2(way.gathers), activity=A_BURST)
        yield LOGIC("staging", int(way.saturates) * way.elements, gates=_LIMIT_GATES, activity=A_BURST)
        yield from _conversion(way)
    yield MUX("staging", len(out.ways) - 1, entries=2, width=out.port_bits, activity=activity)


def _conversion(way: Inlets | Outlets) -> Iterator[Unit]:
    """The converters from floats of one format to another."""
    if way.converts:
        source, target = way.converts
        if source.exponent_bits != target.exponent_bits:
            significand = source.fraction_bits + 1
            yield TO_FLOAT(
                "staging", way.converted, inputs=significand, outputs=target.width, activity=A_BURST
            )
        elif source.fraction_bits > target.fraction_bits:
            yield HALF_ADDER("staging", way.converted, width=target.width, activity=A_BURST)


def _rows(hardware: Hardware) -> int:
    """Streams that count the beats of a row."""
    fields = (*hardware.inputs, *hardware.outputs)
    return len({(one.unit, one.stream) for one in fields if one.held})


def _paths(hardware: Hardware) -> Iterator[Path]:
    """Paths around the units: a word is cut into bursts, an instruction dispatched, a store counted."""
    load, store = hardware.load, hardware.store
    yield Path(
        "bursts",
        (
            HALF_ADDER("bursts", 1, width=clog2(load.page_words)),
            MUX("bursts", 2, entries=2, width=load.left_width),
            ADDER("bursts", 1, width=load.word_address_width),
        ),
    )
    position = AND_ROW("sequencer", 1, width=POSITION_BITS)
    yield Path("dispatch", (position, ADDER("sequencer", 1, width=value_bits(hardware.queues))))
    yield Path(
        "drain",
        (
            COMPARATOR("mover", 1, width=bit_length(store.outstanding)),
            LOGIC("staging", 1, gates=_CHOICE_GATES),
            ADDER("staging", 1, width=store.row_width + store.rows_width),
        ),
    )
