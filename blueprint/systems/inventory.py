"""What a whole system is made of beside its units: control, sequencer, queues, executors, staging, movers.

Flip-flops are counted by the names that they have in the RTL (``tests/systems/test_inventory.py`` compares them).
"""

from __future__ import annotations

from collections.abc import Iterator

from blueprint.counting import carries
from blueprint.numbers import Number, bit_length, clog2
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
from blueprint.systems.dma import RESPONSE_BITS, Dma, fifo, replay
from blueprint.systems.instructions import (
    FLIGHTS,
    FORMAT,
    INDEX_BITS,
    MOVED,
    NARROW_BIT,
    TOKENS_MOST,
    UNITS,
    VALUE_BITS,
)
from blueprint.unit import ADDER, COMPARATOR, HALF_ADDER, LOGIC, MUX, REGISTER, SELECT, TO_FLOAT, Unit

Registers = dict[str, Number]
#: Two-input gates, roughly: of the sequencer, a counter of tokens, an executor, and a limit of an integer.
_SEQUENCER_GATES, _TOKEN_GATES, _EXECUTOR_GATES, _LIMIT_GATES = 120, 20, 80, 8
#: Bits of an instruction in a queue: two lines of its kind, and all fields but kind and unit.
ENTRY_BITS = 2 + sum(int(field.width) for field in FORMAT if field.name not in ("kind", "unit"))
#: Bits of an error as the sequencer remembers it.
TOLD_BITS = len(ERRORS) + UNIT_BITS + RESPONSE_BITS + UNIT_STATUS_BITS


def tokens() -> Registers:
    """Flip-flops of the counters of tokens."""
    return {"tokens": len(UNITS) ** 2 * bit_length(TOKENS_MOST)}


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


def transfers(dma: Dma) -> Registers:
    """Flip-flops of the executor of a mover."""
    widths: Registers = {name: dma.transfer[name].width for name in MOVED[:-2]}
    widths |= {"place": NARROW_BIT + 1, "index": INDEX_BITS}
    found: Registers = {f"{name}_held": width for name, width in widths.items()}
    found |= {f"{name}_above": int(width < VALUE_BITS) for name, width in widths.items()}
    if dma.reads:
        found |= {"asked": 1, "signal_held": len(UNITS), "index_given": dma.index_width}
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
    around = (*_control(hardware), *_executors(hardware), *_staging(hardware))
    inside = (unit for spec in hardware.units.values() for unit in spec.units())
    movers = (unit for dma in (hardware.fetch, hardware.load, hardware.store) for unit in dma.units())
    return (*around, *movers, *inside)


def _registers(place: str, named: Registers) -> Unit:
    return REGISTER(place, 1, width=sum(named.values()), enable=1, activity=0.05)


def _control(hardware: Hardware) -> Iterator[Unit]:
    yield _registers("control", control(hardware))
    yield MUX("control", 1, entries=16, width=WORD_BITS, activity=0.0)
    yield COMPARATOR("control", 2, width=WORD_BITS, activity=0.0)
    yield HALF_ADDER("control", 1, width=WORD_BITS)
    yield _registers("sequencer", sequencer(hardware))
    yield ADDER("sequencer", 1, width=VALUE_BITS, activity=0.05)
    step = ADDER if hardware.block > 1 else HALF_ADDER
    yield step("sequencer", 1, width=POSITION_BITS, activity=0.0)
    yield HALF_ADDER("sequencer", 1, width=WORD_BITS, activity=0.05)
    yield COMPARATOR("sequencer", 1, width=WORD_BITS, activity=0.05)
    yield MUX("sequencer", len(UNITS), entries=2, width=TOLD_BITS, activity=0.0)
    yield LOGIC("sequencer", 1, gates=_SEQUENCER_GATES, activity=0.05)
    yield _registers("tokens", tokens())
    yield LOGIC("tokens", len(UNITS) ** 2, gates=_TOKEN_GATES, activity=0.05)
    for _ in range(len(hardware.units) + 2):
        yield from fifo(QUEUE_DEPTH, ENTRY_BITS, 1)


def _executors(hardware: Hardware) -> Iterator[Unit]:
    for dma in (hardware.load, hardware.store):
        yield _registers("executors", transfers(dma))
        yield LOGIC("executors", 1, gates=_EXECUTOR_GATES, activity=0.05)
    yield from fifo(FLIGHTS, flight(hardware.load).width, 0)
    for unit in hardware.units:
        yield _registers("executors", runner(hardware, unit))
        yield LOGIC("executors", 1, gates=_EXECUTOR_GATES, activity=0.05)


def _staging(hardware: Hardware) -> Iterator[Unit]:
    store, width = hardware.store, hardware.width
    yield REGISTER("staging", 1, width=hardware.load.index_width, enable=1, activity=0.0)
    yield _registers("staging", drain(store))
    yield REGISTER("core", 1, width=1, reset=1, activity=0.0)
    yield ADDER("staging", 2, width=store.row_width + store.rows_width, activity=0.1)
    yield SELECT("staging", 1, entries=len(hardware.outputs), width=width, activity=0.1)
    for staged in hardware.inputs:
        shape = Inlets(staged, width)
        yield _registers("staging", inlet(shape))
        yield from (replay if shape.replays else fifo)(shape.depth, shape.word.width, int(shape.in_memory))
        yield SELECT("staging", int(shape.parts > 1), entries=shape.parts, width=shape.bits)
        yield MUX("staging", int(shape.ratio > 1), entries=2, width=shape.bits)
        yield from _conversion(shape)
        yield HALF_ADDER("staging", int(shape.turns > 0), width=HOLD_BITS, activity=0.05)
        yield COMPARATOR("staging", int(shape.turns > 0), width=HOLD_BITS, activity=0.05)
        rounds = int(shape.turns > 0 and not shape.replays)
        yield HALF_ADDER("staging", rounds, width=max(1, shape.rows_bits), activity=0.05)
        yield MUX("staging", rounds, entries=2, width=shape.word.width, activity=0.1)
    for staged in hardware.outputs:
        out = Outlets(staged, width)
        yield _registers("staging", outlet(out))
        yield from fifo(out.depth, out.bits, int(out.in_memory))
        for way in out.ways:
            yield MUX("staging", int(way.gathers > 1), entries=way.gathers, width=width)
            yield LOGIC("staging", int(way.saturates) * way.elements, gates=_LIMIT_GATES, activity=0.1)
            yield from _conversion(way)
        yield MUX("staging", len(out.ways) - 1, entries=2, width=width)
    yield REGISTER("staging", _rows(hardware), width=HOLD_BITS, enable=1, reset=1, activity=0.1)
    yield HALF_ADDER("staging", _rows(hardware), width=HOLD_BITS, activity=0.1)


def _conversion(way: Inlets | Outlets) -> Iterator[Unit]:
    """What makes floats of one format those of another."""
    if way.converts:
        source, target = way.converts
        if source.exponent_bits != target.exponent_bits:
            significand = source.fraction_bits + 1
            yield TO_FLOAT("staging", way.converted, inputs=significand, outputs=target.width, activity=0.1)
        elif source.fraction_bits > target.fraction_bits:
            yield HALF_ADDER("staging", way.converted, width=target.width, activity=0.1)


def _rows(hardware: Hardware) -> int:
    """Streams that count the beats of a row."""
    fields = (*hardware.inputs, *hardware.outputs)
    return len({(one.unit, one.stream) for one in fields if one.held})
