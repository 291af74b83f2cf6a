"""Signatures between the blocks of a system: a mover's side, dispatch, and the requests of the host."""

from collections.abc import Sequence
from typing import Any

from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out, Signature

from blueprint.numbers import clog2
from blueprint.record import Record, bits
from blueprint.shell import WORD_BITS
from blueprint.systems.control import (
    ERRORS,
    OWED,
    PASS_BITS,
    POSITION_BITS,
    STEPS,
    UNIT_BITS,
    UNIT_STATUS_BITS,
    Hardware,
)
from blueprint.systems.dma import RESPONSE_BITS, Dma
from blueprint.systems.instructions import LAST_BIT, MOVERS, form
from generator.layout import layout

#: An error as an executor reports it.
FAILURE = Record(
    (
        *(bits(name, 1) for name in ("refused", "bus_error", "misframed", "unit_error")),
        bits("response", RESPONSE_BITS),
        bits("unit_status", UNIT_STATUS_BITS),
    )
)
#: Bits of the number of a page in the control registers.
PAGE_WIDTH = 32
#: Where an error comes from: the unit, and the response of the memory.
ORIGIN = Record((bits("unit", UNIT_BITS), bits("response", RESPONSE_BITS)))
#: An error as the sequencer reports it: its reason, its origin, the status of the unit.
TOLD = Record(
    (
        *(bits(name, 1) for name in ERRORS),
        bits("origin", ORIGIN.width),
        bits("unit_status", UNIT_STATUS_BITS),
    )
)
#: Movers that wait for memory.
OWING = Record(tuple(bits(name, 1) for name in OWED))


def entry(units: Sequence[str]) -> Record:
    """An instruction in the queue of its unit: a line for its kind, and its fields."""
    fields = (bits(name, form(units)[name].width) for name in ("wait", "signal", "register", "value"))
    return Record((bits("writes", 1), bits("starts", 1), *fields))


def ends(units: Sequence[str]) -> int:
    """Number of lines that report ends: one for each unit, and one for loads under way."""
    return len(units) + 1


def failures(units: Sequence[str]) -> ArrayLayout:
    """The errors of all units, by the number of the unit."""
    return ArrayLayout(layout(FAILURE), len(units))


def of_passes(width: int) -> Record:
    """A value of so many bits for passes without head and for those with head."""
    return Record((bits("prompt", width), bits("decode", width)))


def of_steps(hardware: Hardware) -> Record:
    """Positions, less one, to the second pass of a prompt and between its others."""
    return Record(tuple(bits(name, hardware.step_bits) for name in STEPS))


def handed(dma: Dma) -> dict[str, Any]:
    """What a transfer is given by, and how it ended, seen from the side that gives it."""
    return {
        "transfer": Out(layout(dma.transfer)),
        "transfer_valid": Out(1),
        "transfer_ready": In(1),
        "index": Out(dma.index_width),
        "done": In(1),
        "error": In(RESPONSE_BITS),
        "refused": In(1),
    }


class Moves(Signature):
    """A mover without its port to memory, seen from the side that gives transfers."""

    def __init__(self, dma: Dma) -> None:
        way, back = (In, Out) if dma.reads else (Out, In)
        members: dict[str, Any] = {
            **handed(dma),
            "moved": In(1),
            "tdata": way(dma.stream_width),
            "tvalid": way(1),
            "tlast": way(1),
            "tready": back(1),
        }
        super().__init__(members if dma.reads else members | {"misframed": In(1)})


class Chosen(Signature):
    """The transfer of a mover as its executor reports it to staging.

    Whether any runs; of the first one its place, whether it ends a run, whether its elements are in narrow containers,
    and units of the last beat of a load, 0 where all belong to it.
    """

    def __init__(self, dma: Dma) -> None:
        chosen = {"active": 1, "where": LAST_BIT, "last": 1, "narrow": 1}
        chosen |= {"rest": clog2(dma.beat_units)} if dma.reads else {}
        super().__init__({name: Out(bits) for name, bits in chosen.items()})


class Dispatch(Signature):
    """Instructions to the queues, and the reports of the executors, seen from the sequencer."""

    def __init__(self, units: Sequence[str]) -> None:
        count = len(units)
        super().__init__(
            {
                "entry": Out(layout(entry(units))),
                "writes": Out(count),
                "rooms": In(count),
                "empty": In(1),
                "failed": In(count),
                "failures": In(failures(units).size),
                "moving": In(len(MOVERS)),
                "moved": In(1),
                "halt": Out(1),
                "clear": Out(1),
                "place": Out(POSITION_BITS),
            }
        )


class Program(Signature):
    """Requests of the host and reports to it, seen from the control registers."""

    def __init__(self, hardware: Hardware) -> None:
        super().__init__(
            {
                "start": Out(1),
                "stop": Out(1),
                "patience": Out(WORD_BITS),
                "first": Out(POSITION_BITS),
                "prompt_passes": Out(PASS_BITS),
                "steps": Out(layout(of_steps(hardware))),
                "decode_passes": Out(PASS_BITS),
                "pages": Out(layout(of_passes(PAGE_WIDTH))),
                "lengths": Out(layout(of_passes(hardware.fetch.row_width))),
                "busy": In(1),
                "finished": In(1),
                "interrupts": In(1),
                "position": In(POSITION_BITS),
                "told": In(layout(TOLD)),
                "unanswered": In(1),
                "owed": In(OWING.width),
                "draining": In(1),
            }
        )
