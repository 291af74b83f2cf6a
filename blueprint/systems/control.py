"""The sequencer of a system: control registers, movers, queues, and how long each of its steps takes.

Hardware (``generator/systems``), manifest, C header and simulator read this, so that none of them disagrees about a
register, an error or a cycle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from blueprint.arithmetic.floating import FloatFormat
from blueprint.errors import ParamError
from blueprint.numbers import bit_length, ceil_div, clog2
from blueprint.port import Register
from blueprint.record import Record, bits
from blueprint.shell import WORD_BITS
from blueprint.spec import Spec
from blueprint.systems import staging
from blueprint.systems.description import Buffers, System
from blueprint.systems.dma import PAGE_BYTES, RESPONSE_BITS, Dma
from blueprint.systems.instructions import EVERY, KEYED, LAST_BIT, MORE, MOVERS, UNITS, WIDTH
from blueprint.systems.staging import PRODUCTS, Staged

#: Instructions that a queue holds, the one that runs included.
QUEUE_DEPTH = 32
#: Bits of the number of beats for which a field is held.
HOLD_BITS = 20
#: Fewest words of a FIFO that is in a memory; one of fewer words is in registers.
MEMORY_WORDS = 9
#: Reset value of ``patience``: cycles in which nothing moves, after which a program is ended.
PATIENCE = 1 << 20
#: Bits of a position, and of a number of passes.
POSITION_BITS, PASS_BITS = 32, 16
#: Bytes that addresses and rows of load and store are multiples of: a token, a scale.
UNIT_BYTES = 4
#: Words of the shortest rows that a reader brings at full speed: those of a head in a cache.
ROW_WORDS = 4
#: Clock in MHz that is assumed where a system states none, to turn a latency into cycles.
_CLOCK_MHZ = 1000
#: Fewest bits of an address; a larger memory has more.
_ADDRESS_BITS = 32


class Role(NamedTuple):
    """A unit as programs name it, the work that tells which unit of a system it is, and the name of its runs."""

    name: str
    work: str
    kind: str


#: Roles of the units that every system has, and of further ones, whose work is that of their name.
ROLES = (
    Role("matrix", "product", "product"),
    Role("attention", "attention", "attention"),
    Role("vector", "elements", "elements"),
)
FURTHER = tuple(Role(name, name, "product") for name in MORE)
#: What further units are for, in words.
_FOR = {"head": "scores of the head", "prefill": "products of a prompt"}

# How long steps take, in cycles: t is the cycle in which an instruction begins ----------------------------------------

#: Cycles from the start of a ``set`` or ``setp`` to a register file to its end; to any other register it takes 0.
WRITE = 2
#: Cycles from the start of ``start`` to the cycle in which a transfer is offered to its mover.
OFFER = 1
#: From the cycle in which a mover takes a load to the last one of its turn in the queue.
ASKED = 1
#: Cycles from the start of ``start`` to the first cycle in which a unit takes beats.
FIRST_BEAT = 3
#: From the last beat of a run to the cycle in which its status says so.
DONE = 1
#: From a beat of a load to the first cycle in which a unit can take the beat of a field that it completes.
STAGED = 1
#: Cycles from the start of ``start`` to the first read of the status, from read to read, and from a read to its word.
FIRST_LOOK, LOOK, ANSWER = 2, 3, 2
#: From the dispatch of an instruction to the first cycle in which it can begin.
DISPATCH = 1
#: From the dispatch of ``end`` to the cycle in which the program of the next pass is asked for.
NEXT_PASS = 1
#: Cycles for which units and staging are reset at the end of a program or after an error.
CLEAR = 4


def run_end(begin: int, cycles: int) -> int:
    """The cycle in which ``start`` of a unit ends that began in ``begin``, for a run of ``cycles``."""
    done = begin + FIRST_BEAT + cycles - 1 + DONE
    looks = max(0, ceil_div(done - begin - FIRST_LOOK, LOOK))
    return begin + FIRST_LOOK + looks * LOOK + ANSWER


# Registers ------------------------------------------------------------------------------------------------------------

#: What ends a program before its time, in the order of the status bits, with what each means.
ERRORS: Mapping[str, str] = {
    "wrong_image": "image_lo and image_hi are not the hash of this design: nothing started",
    "no_program": "no pass, or a program of no instructions that passes need: nothing started",
    "illegal": "an illegal instruction, or a program whose last instruction is not its only end",
    "bus_error": "memory answered with an error, see response",
    "refused": "a transfer or a register that cannot be: see blueprint/systems/dma.py",
    "misframed": "a transfer that ends within a beat of its field",
    "unit_error": "a unit refused its sizes or was misframed, see unit_status",
    "stopped": "the host wrote 1 to stop",
    "stuck": "nothing began, ended or moved for patience cycles: a token, a beat or memory's answer never comes",
}
#: Movers in the order of the bits of ``owed``.
OWED = ("fetch", "load", "store")
#: What the status says of transfers that a program left behind, with their bits and what they mean.
LEFT: Mapping[str, tuple[int, str]] = {
    "not_drained": (1, "memory still owed answers to the program before: nothing started"),
    "unanswered": (1, "the program ended while memory owed answers for patience cycles"),
    "draining": (1, "memory still owes answers, and a start is refused"),
    "owed": (len(OWED), f"which ports wait for them: {', '.join(OWED)}"),
}
#: Bits of the number of a unit, that of fetch included; lowest bit and bits of the status of a unit.
UNIT_BITS, UNIT_STATUS_AT, UNIT_STATUS_BITS = 3, 16, 8
_FLAGS = ("busy", "done", *ERRORS)
_AT = len(_FLAGS)
#: Lowest bit of what :data:`LEFT` names.
LEFT_AT = UNIT_STATUS_AT + UNIT_STATUS_BITS
#: Lowest bit and bits of every field of the status.
STATUS: Mapping[str, tuple[int, int]] = {
    **{name: (place, 1) for place, name in enumerate(_FLAGS)},
    "unit": (_AT, UNIT_BITS),
    "response": (_AT + UNIT_BITS, RESPONSE_BITS),
    "unit_status": (UNIT_STATUS_AT, UNIT_STATUS_BITS),
    **{
        name: (LEFT_AT + sum(bits for bits, _ in list(LEFT.values())[:place]), bits)
        for place, (name, (bits, _)) in enumerate(LEFT.items())
    },
}
_WORD = {"value": (0, WORD_BITS)}
#: Registers that software writes and a program reads, with the bits that are kept.
WRITTEN: Mapping[str, int] = {
    "prompt_page": WORD_BITS,
    "prompt_length": WORD_BITS,
    "decode_page": WORD_BITS,
    "decode_length": WORD_BITS,
    "position": POSITION_BITS,
    "prompt_passes": PASS_BITS,
    "decode_passes": PASS_BITS,
    "image_lo": WORD_BITS,
    "image_hi": WORD_BITS,
    "patience": WORD_BITS,
}
#: Fields of ``prompt_passes``: positions, less one, by which the first pass of a prompt and the others advance.
STEPS = ("first", "step")
#: Most tokens of a block: these fields must fit beside the number of passes in a word.
BLOCK_MOST = 1 << (WORD_BITS - PASS_BITS) // len(STEPS)
_INTERRUPT = {"pending": (0, 1), "enable": (1, 1)}


def step_bits(block: int) -> int:
    """Bits of the positions, less one, by which a pass of up to ``block`` tokens advances."""
    return clog2(block)


def written(block: int) -> Mapping[str, int]:
    """Registers that software writes, with the bits that are kept, where a pass takes up to ``block`` tokens."""
    return {**WRITTEN, "prompt_passes": PASS_BITS + len(STEPS) * step_bits(block)}


def _prompt_passes(block: int) -> Mapping[str, tuple[int, int]]:
    """Fields of the passes of a prompt."""
    width, found = step_bits(block), {"value": (0, PASS_BITS)}
    places = {name: (PASS_BITS + width * place, width) for place, name in enumerate(STEPS)}
    return found | places if width else found


def prompt_passes(block: int, passes: int, first: int, step: int) -> int:
    """Value of the register for ``passes`` passes of a prompt: the first advances by ``first``, others by ``step``."""
    width = step_bits(block)
    return passes | (first - 1) << PASS_BITS | (step - 1) << PASS_BITS + width


def registers(design_hash: str, block: int = 1) -> tuple[Register, ...]:
    """The register map; ``design_hash`` is 16 hexadecimal digits, ``block`` as of `written`."""
    half = len(design_hash) // 2
    low, high = int(design_hash[half:], 16), int(design_hash[:half], 16)
    passes = "passes without head, which come first"
    if block > 1:
        passes += "; positions less one that the first one and the others go on"
    pages = f"number of the page of {PAGE_BYTES} bytes where the program"
    entries = (
        ("control", "rw", "write 1 to start or to stop", {"start": (0, 1), "stop": (1, 1)}, 0),
        ("status", "ro", "what the system is doing and what went wrong", STATUS, 0),
        ("prompt_page", "rw", f"{pages} of a pass without head begins", _WORD, 0),
        ("prompt_length", "rw", f"its instructions of {WIDTH} bits", _WORD, 0),
        ("decode_page", "rw", f"{pages} of a pass with head begins", _WORD, 0),
        ("decode_length", "rw", f"its instructions of {WIDTH} bits", _WORD, 0),
        ("position", "rw", "position of the first pass; reads the position of the next one", _WORD, 0),
        ("prompt_passes", "rw", passes, _prompt_passes(block), 0),
        ("decode_passes", "rw", "passes with head", {"value": (0, PASS_BITS)}, 0),
        ("cycles", "ro", "cycles from start to done", _WORD, 0),
        ("interrupt", "rw", "the interrupt; write 1 to pending to clear it", _INTERRUPT, 0),
        ("image_lo", "rw", "hash of the design that the image in memory is for, low half", _WORD, 0),
        ("image_hi", "rw", "hash of the design that the image in memory is for, high half", _WORD, 0),
        ("hash_lo", "ro", "hash of this design, low half", _WORD, low),
        ("hash_hi", "ro", "hash of this design, high half", _WORD, high),
        (
            "patience",
            "rw",
            "cycles in which nothing moves that end a program; 0 for none; written at any time",
            _WORD,
            PATIENCE,
        ),
    )
    return tuple(
        Register(name, 4 * place, access, text, fields, reset)  # type: ignore[arg-type]
        for place, (name, access, text, fields, reset) in enumerate(entries)
    )


def added(window: int, unit: str, position: int) -> int:
    """The number that `setp` adds for a unit at a position: a count of keys stops at a ``window``, 0 being none."""
    return min(position, window - 1) if window and unit in KEYED else position


def indexed(window: int, position: int, token: int = 0) -> dict[str, int]:
    """The number that rows are gathered by, for every meaning of the register ``index``."""
    return {"none": 0, "token": token, "position": position, "ring": position % window if window else 0}


def flight(dma: Dma, units: Sequence[str] = UNITS) -> Record:
    """State kept for a load under way: where its beats go, units of the last one (0: all), tokens it gives."""
    fields = {"where": LAST_BIT, "last": 1, "narrow": 1, "rest": clog2(dma.beat_units), "signal": len(units)}
    return Record(tuple(bits(name, width) for name, width in fields.items()))


# A system as hardware -------------------------------------------------------------------------------------------------


class Masks(NamedTuple):
    """Bits of the registers of a unit's staging, by the names of :data:`blueprint.systems.instructions.STAGED`."""

    hold: int
    keep: int
    without: int
    repeat: int


@dataclass(frozen=True)
class Hardware:
    """Parts of one top: units by their name among :data:`EVERY`, and the three movers.

    ``embedding`` is the bits of an element of the embedding, ``block`` the most tokens of a prompt that one pass takes.
    Of keys and values the cache holds the last ``window`` positions, a power of two, or all where that is 0. ``head``
    is the unit of products that gives the scores of the head; none where the vector unit has exact ones. ``prompts`` is
    the one that runs the products of passes without head.
    """

    name: str
    units: Mapping[str, Spec]
    fetch: Dma
    load: Dma
    store: Dma
    buffers: Buffers = staging.BUFFERS
    embedding: int = staging.EMBEDDING
    block: int = 1
    window: int = 0
    head: str = ""
    prompts: str = PRODUCTS

    @cached_property
    def queues(self) -> tuple[str, ...]:
        """Units with a queue of their own, in the order of their numbers; behind them fetch has its number."""
        return (*UNITS, *(name for name in MORE if name in self.units))

    @property
    def roles(self) -> tuple[Role, ...]:
        """Roles of the units of families."""
        return tuple(role for role in (*ROLES, *FURTHER) if role.name in self.units)

    @property
    def width(self) -> int:
        """Bits of the memory ports, and of the streams between movers and staging."""
        return self.load.data_width

    @property
    def step_bits(self) -> int:
        """Bits of the positions, less one, by which a pass of a prompt advances; 0 where that is always 1."""
        return step_bits(self.block)

    @property
    def registers(self) -> tuple[Register, ...]:
        """The register map."""
        return registers(self.design_hash, self.block)

    @cached_property
    def inputs(self) -> tuple[Staged, ...]:
        """Fields that a load fills, by number; the place behind the last is the token's register."""
        return staging.inputs(
            self.units, self.width, self.buffers, self.embedding, self.block, bool(self.head)
        )

    @cached_property
    def outputs(self) -> tuple[Staged, ...]:
        """Fields that a store drains, by number."""
        return staging.outputs(self.units, self.width, self.buffers)

    def check(self) -> None:
        """Raise ``ParamError`` where a field of a unit has beats that staging does not move."""
        _ = self.inputs, self.outputs

    def fields(self, unit: str, direction: str) -> tuple[Staged, ...]:
        """The staged fields of a unit, in the order of the bits of its masks."""
        return tuple(one for one in (self.inputs if direction == "in" else self.outputs) if one.unit == unit)

    def buffer(self, mover: str, place: int) -> str:
        """The buffer that a transfer of ``load`` or ``store`` passes, by its register ``place``."""
        fields = self.inputs if mover == MOVERS[0] else self.outputs
        number = place % (1 << LAST_BIT)
        return staging.buffer_of(fields[number].stream if number < len(fields) else "")

    def staging(self, unit: str) -> Masks:
        """Bits of the registers of a unit's staging."""
        ins, outs = self.fields(unit, "in"), self.fields(unit, "out")
        held = HOLD_BITS * any(one.held for one in (*ins, *outs))
        repeats = HOLD_BITS * any(one.repeats or one.replays for one in ins)
        return Masks(held, len(outs), len(ins), repeats)

    @cached_property
    def design_hash(self) -> str:
        """16 hexadecimal digits that name this hardware; the same units and movers give the same."""
        units = {name: [spec.family, spec.design_hash] for name, spec in self.units.items()}
        movers = [mover.design_hash for mover in (self.fetch, self.load, self.store)]
        fields = [
            [field.name, field.beat_bytes, field.depth, field.narrow]
            for field in (*self.inputs, *self.outputs)
        ]
        what = {"units": units, "movers": movers, "queue": QUEUE_DEPTH, "staging": fields}
        what |= {"block": self.block} if self.block > 1 else {}
        what |= {"window": self.window} if self.window else {}
        expected = _placed(self.units)["prefill"]  # where units say by themselves which one runs prompts
        what |= {"prompts": self.prompts} if self.prompts != expected else {}
        text = json.dumps(what, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Shape:
    """Sizes of the staging of a field, on a memory port of ``port_bits``."""

    def __init__(self, staged: Staged, port_bits: int) -> None:
        self.staged, self.port_bits = staged, port_bits
        self.bits = int(staged.field.bits)
        self.elements, self.container, self.beat_bytes = staged.elements, staged.container, staged.beat_bytes
        self.element_bits = self.bits // self.elements
        self.signed = bool(staged.field.signed) and staged.field.format == "int" and not staged.packed
        self.depth, self.in_memory = staged.depth, staged.depth >= MEMORY_WORDS

    @property
    def port_units(self) -> int:
        """Units of a beat of the memory."""
        return self.port_bits // 8 // UNIT_BYTES

    @property
    def units_width(self) -> int:
        """Bits of a number of units of a beat of the memory."""
        return bit_length(self.port_units)

    @property
    def gathers(self) -> int:
        """Beats of the memory in one of the field; at least 1."""
        return max(1, 8 * self.beat_bytes // self.port_bits)

    @property
    def parts(self) -> int:
        """Beats of the field in one of the memory; at least 1."""
        return max(1, self.port_bits // (8 * self.beat_bytes))


class Inlets(_Shape):
    """Staging of an input."""

    @property
    def marks(self) -> int:
        """1 where a beat may be the last of a run."""
        return int(self.staged.carrier)

    @property
    def word(self) -> Record:
        """A word of the FIFO: beats of the field, whether a run ends with them, and how many follow the first."""
        beats = bits("beats", self.bits, self.parts)
        return Record((beats, bits("ends", self.marks), bits("more", clog2(self.parts))))

    @property
    def narrow_bits(self) -> int:
        """Bits of the narrow container; 0 where there is none."""
        return 8 * self.staged.narrow

    @property
    def ratio(self) -> int:
        """Narrow containers in one; 1 where there is none."""
        return self.container // self.staged.narrow if self.staged.narrow else 1

    @property
    def converts(self) -> tuple[FloatFormat, FloatFormat] | None:
        """The format in narrow containers and that of elements, where they are two."""
        return self.staged.conversion(True)

    @property
    def converted(self) -> int:
        """Elements that are converted in a cycle."""
        return self.port_bits // self.narrow_bits if self.converts else 0

    @property
    def turns(self) -> int:
        """Bits of the rows or runs that a field is given for; 0 where it neither repeats nor replays."""
        return HOLD_BITS * (self.staged.repeats or self.staged.replays)

    @property
    def replays(self) -> bool:
        """True if what was loaded once is given to several runs."""
        return self.staged.replays

    @property
    def rows_bits(self) -> int:
        """Bits of the number of rows in the FIFO of a field that repeats."""
        return bit_length(self.depth) if self.staged.repeats else 0

    def places(self, number: int) -> list[tuple[int, int]]:
        """Pieces kept of the ``number``-th beat of the memory: lowest bit and bits, in the order of the field."""
        low = number * self.port_bits
        high = low + min(self.port_bits, 8 * self.beat_bytes)
        found = []
        for element in range(self.elements):
            begin = element * 8 * self.container
            first, last = max(begin, low), min(begin + self.element_bits, high)
            if first < last:
                found.append((first - low, last - first))
        return found


class Outlets(_Shape):
    """Staging of an output; where ``narrow``, what becomes of a beat in narrow containers."""

    def __init__(self, staged: Staged, port_bits: int, narrow: bool = False) -> None:
        super().__init__(staged, port_bits)
        self.narrow, self.beat_bytes = narrow, staged.moved_bytes(narrow)

    @property
    def ways(self) -> tuple[Outlets, ...]:
        """In its container, and in the narrow one if there is one."""
        return (self, Outlets(self.staged, self.port_bits, True)) if self.staged.packs else (self,)

    @property
    def saturates(self) -> bool:
        """True if elements are integers of fewer bits in memory."""
        return self.narrow and not self.staged.rounds

    @property
    def converts(self) -> tuple[FloatFormat, FloatFormat] | None:
        """The format of elements and that of their containers, where they are two."""
        return self.staged.conversion(self.narrow)

    @property
    def converted(self) -> int:
        """Elements that are converted in a cycle: those of a beat of the memory, or of a shorter one of the field."""
        return self.elements // self.gathers if self.converts else 0

    @property
    def container_bits(self) -> int:
        """Bits of the container of an element."""
        return self.staged.packs if self.narrow else 8 * self.container


def hardware(system: System) -> Hardware:
    """The hardware of a system.

    Raises ``ParamError`` for a host that runs work, for units that a sequencer does not run, and for beats that staging
    does not move.
    """
    if system.host is not None:
        what = "must be run by a unit for hardware of a whole system, not by the host"
        raise ParamError(f"Work {system.host.works[0]} {what}")
    named = {system.places[role.work]: role.name for role in ROLES}
    for role in FURTHER:
        if role.work != "head" or system.scored:
            named.setdefault(system.places[role.work], role.name)
    for place in system.units:
        if place not in named:
            further = " and ".join(f"at most one for {what}" for what in _FOR.values())
            ones = f"one for products, one for attention, one for elements, {further}"
            raise ParamError(f"Units of a whole system must be {ones}, and {place} is another")
    units = {name: system.units[place].spec for place, name in named.items()}
    if system.block > BLOCK_MOST:
        raise ParamError(
            f"Block must be at most {BLOCK_MOST} tokens for hardware of a whole system, not {system.block}"
        )
    memory, clock = system.memory, system.clock_mhz or _CLOCK_MHZ
    indices = bit_length(max(system.largest.vocab, system.largest.context))
    latency = ceil_div(int(memory.latency_ns * clock), 1000)
    found = built(
        system.name, units, width=memory.width, burst=memory.burst, latency=latency, size=memory.size,
        indices=indices, buffers=system.buffers, embedding=system.head.embedding_width, block=system.block,
        window=system.window, head=named[system.places["head"]] if system.scored else "",
        prompts=named[system.places["prefill"]],
    )  # fmt: skip
    found.check()
    return found


def built(
    name: str,
    units: Mapping[str, Spec],
    *,
    width: int,
    burst: int,
    latency: int = 20,
    size: int = 1 << 20,
    indices: int = 16,
    buffers: Buffers = staging.BUFFERS,
    embedding: int = staging.EMBEDDING,
    block: int = 1,
    window: int = 0,
    head: str = "",
    prompts: str = "",
) -> Hardware:
    """Hardware with movers for a memory of ``size`` bytes behind ports of ``width`` bits that answer in ``latency``.

    A reader has room for the words that arrive while a request is answered, and two bursts beside them, and may have as
    many requests open as rows of `ROW_WORDS` fill it: each row is a burst of its own. ``head`` and ``prompts`` are as
    of `Hardware`, where there is no unit for them.

    Raises ``ParamError`` for a unit whose cycles depend on operands: programs are timed by the sizes of runs.
    """
    for unit, spec in units.items():
        if spec.data_dependent:
            raise ParamError(
                f"Cycles of unit {unit} must not depend on its operands in hardware of a whole system, "
                f"which is timed by sizes"
            )
    words = 1 << bit_length(latency + 2 * burst - 1)
    address = max(_ADDRESS_BITS, bit_length(size))
    common = {"data_width": width, "burst_words": burst, "address_width": address}
    moves = {"stream_width": width, "unit_bytes": UNIT_BYTES, "index_width": indices}
    outstanding = min(64, max(2, words // ROW_WORDS))
    fetch = Dma(
        direction="read", stream_width=WIDTH, unit_bytes=min(WIDTH, width) // 8, outstanding=2,
        buffer_words=2 * burst, rows_width=1, index_width=1, **common,
    )  # fmt: skip
    load = Dma(direction="read", outstanding=outstanding, buffer_words=words, **moves, **common)
    store = Dma(direction="write", outstanding=4, buffer_words=burst, **moves, **common)
    ordered = {unit: units[unit] for unit in EVERY if unit in units}
    placed = _placed(ordered)
    head, prompts = head or placed["head"], prompts or placed["prefill"]
    return Hardware(name, ordered, fetch, load, store, buffers, embedding, block, window, head, prompts)


def _placed(units: Mapping[str, Spec]) -> dict[str, str]:
    """The unit of each further work where none is named: the one of its name, else that of products for prompts."""
    return {"head": "", "prefill": PRODUCTS} | {name: name for name in MORE if name in units}
