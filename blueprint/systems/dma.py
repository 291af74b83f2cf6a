"""Movers between external memory and streams: parameters, transfers, inventory.

A mover takes a :class:`Transfer`, rows of bytes at a regular distance or at the distances that a stream of indices
names, and moves them through an AXI4 port. A *unit* is the least that moves: addresses, rows and distances are whole
units. A *word* is a beat of the memory port, a *beat* one of the stream. Rows are packed: a beat may hold the end of
one and the start of the next. Only the last beat of a transfer is filled up: with zeros when it was read; what is there
is dropped when it is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from blueprint.errors import ParamError
from blueprint.numbers import Number, bit_length, choose, clog2, flag
from blueprint.parameters import Parameters, Rule, parameter
from blueprint.record import Record, bits
from blueprint.unit import (
    ADDER,
    AND_ROW,
    COMPARATOR,
    DECODER,
    HALF_ADDER,
    LOGIC,
    MUX,
    REGISTER,
    SELECT,
    Unit,
    memories,
)

#: Bytes that no burst may cross a multiple of (AMBA AXI, A3.4.1).
PAGE_BYTES = 4096
#: Bits of an AXI4 burst length, which is one less than the beats.
LENGTH_BITS = 8
#: Steps of the generator of bursts; none of them is idle.
STEPS = ("indexing", "multiplying", "opening", "cutting")
#: Its other registers that have a reset.
PULSES = ("asking", "refused_now")
RESPONSE_BITS = 2
#: Most words that were read and wait in registers.
_FEW_WORDS = 8
#: Share of the cycles in which a generator of bursts works.
A_BURST = 0.1
#: Two-input gates, roughly: of the packer's decisions and of those at the memory port.
_PACKER_GATES, _MOVER_GATES = 12, 20


def _power(value: Number) -> Number:
    """1 for a power of two, also over arrays."""
    return (value & (value - 1)) == 0


def _whole_power(name: str, value: Number) -> Rule:
    """The rule that a width is a power of two."""
    return Rule(
        name,
        _power(value),
        f"{name} no power of two",
        lambda: f"Parameter {name!r} must be a power of two, not {value}",
    )


@dataclass(frozen=True, kw_only=True)
class Dma(Parameters):
    """One mover: the memory port, the stream, and how much it may have in flight."""

    family = "dma"
    title = "AXI4 mover"

    direction: str = parameter(
        "read: memory to stream; write: stream to memory", choices=("read", "write"), default="read"
    )
    data_width: int = parameter("bits of the memory port", minimum=32, maximum=1024, default=128)
    stream_width: int = parameter("bits of the stream", minimum=8, maximum=4096, default=128)
    unit_bytes: int = parameter(
        "bytes that addresses, rows and distances are multiples of", minimum=1, maximum=128, default=16
    )
    address_width: int = parameter("bits of a byte address", minimum=16, maximum=64, default=40)
    burst_words: int = parameter("words of the longest burst", minimum=1, maximum=256, default=16)
    outstanding: int = parameter("bursts asked for and not yet answered", minimum=1, maximum=64, default=8)
    buffer_words: int = parameter(
        "words that a reader has room for; a burst is asked for once it has room",
        minimum=1,
        maximum=65536,
        default=64,
    )
    row_width: int = parameter("bits of the units of a row", minimum=1, maximum=32, default=20)
    rows_width: int = parameter("bits of the number of rows", minimum=1, maximum=32, default=16)
    index_width: int = parameter("bits of an index of a gathered row", minimum=1, maximum=32, default=17)

    def rules(self) -> Iterator[Rule]:
        """Cross-checks: widths are powers of two, units fit both ports, bursts fit a page and the buffer."""
        yield _whole_power("data_width", self.data_width)
        yield _whole_power("stream_width", self.stream_width)
        least = choose(self.data_width < self.stream_width, self.data_width, self.stream_width)
        yield Rule(
            "unit_bytes",
            (8 * self.unit_bytes <= least) & _power(self.unit_bytes),
            "a unit that is no part of both ports",
            lambda: (
                f"Parameter 'unit_bytes' must be a power of two of at most {least // 8} bytes, the narrower "
                f"port, not {self.unit_bytes}"
            ),
        )
        yield Rule(
            "burst_words",
            self.burst_words * self.data_width <= 8 * PAGE_BYTES,
            "a burst longer than 4 kB",
            lambda: (
                f"Parameter 'burst_words' must be at most {8 * PAGE_BYTES // self.data_width}, {PAGE_BYTES} "
                f"bytes, not {self.burst_words}"
            ),
        )
        yield Rule(
            "buffer_words",
            self.buffer_words >= self.burst_words,
            "a buffer smaller than a burst",
            lambda: (
                f"Parameter 'buffer_words' must be at least burst_words {self.burst_words}, not "
                f"{self.buffer_words}"
            ),
        )

    @property
    def name(self) -> str:
        """The module's name."""
        return f"dma_{self.direction}_{self.design_hash[:8]}"

    @property
    def peak_macs(self) -> Number:
        """A mover computes nothing."""
        return 0

    # Sizes in units ---------------------------------------------------------------------------------------------------

    @property
    def reads(self) -> Number:
        """1 for a reader."""
        return flag(self.direction == "read")

    @property
    def unit_bits(self) -> Number:
        """Bits of a unit."""
        return 8 * self.unit_bytes

    @property
    def word_units(self) -> Number:
        """Units of a word."""
        return self.data_width // self.unit_bits

    @property
    def beat_units(self) -> Number:
        """Units of a beat of the stream."""
        return self.stream_width // self.unit_bits

    @property
    def held_units(self) -> Number:
        """Units that the packer holds: all but one of a word that leaves, and a word that enters."""
        return self.word_units + self.beat_units - 1

    @property
    def page_words(self) -> Number:
        """Words of a page."""
        return 8 * PAGE_BYTES // self.data_width

    # Widths -----------------------------------------------------------------------------------------------------------

    @property
    def lane_width(self) -> Number:
        """Bits of the place of a unit in a word."""
        return clog2(self.word_units)

    @property
    def unit_address_width(self) -> Number:
        """Bits of an address in units."""
        return self.address_width - clog2(self.unit_bytes)

    @property
    def word_address_width(self) -> Number:
        """Bits of an address in words."""
        return self.address_width - clog2(self.data_width // 8)

    @property
    def row_bytes_width(self) -> Number:
        """Bits of the bytes of a row."""
        return self.row_width + clog2(self.unit_bytes)

    @property
    def left_width(self) -> Number:
        """Bits of the words of a row; a row that begins late in a word has one more."""
        return bit_length(((1 << self.row_width) + 2 * self.word_units - 3) // self.word_units)

    @property
    def burst_width(self) -> Number:
        """Bits of the words of a burst."""
        return bit_length(self.burst_words)

    # What travels together --------------------------------------------------------------------------------------------

    @property
    def transfer(self) -> Record:
        """A transfer as the mover takes it."""
        return Record(
            (
                bits("address", self.address_width),
                bits("row_bytes", self.row_bytes_width),
                bits("rows", self.rows_width),
                bits("stride", self.address_width),
                bits("gather", 1),
            )
        )

    @property
    def burst(self) -> Record:
        """State kept for a burst until its data come or go: where a row begins and ends in its words."""
        return Record(
            (
                bits("words", self.burst_width),
                bits("first", self.lane_width),
                bits("last", self.lane_width),
                bits("final", 1),
            )
        )

    @property
    def word(self) -> Record:
        """A word that was read, with the units of it that belong to a row, and how it was answered."""
        return Record(
            (
                bits("data", self.data_width),
                bits("first", self.lane_width),
                bits("last", self.lane_width),
                bits("final", 1),
                bits("response", RESPONSE_BITS),
            )
        )

    # Inventory --------------------------------------------------------------------------------------------------------

    def bursts(self) -> dict[str, Number]:
        """Flip-flops of the generator of bursts, by name, as in the RTL."""
        address = self.unit_address_width
        return {
            **dict.fromkeys(STEPS, 1),
            "base": address,
            "offset": address,
            "stride": address,
            "row_units": self.row_width,
            "rows_left": self.rows_width,
            "gather": 1,
            "index": self.index_width,
            "steps_left": bit_length(self.index_width),
            "next_word": self.word_address_width,
            "words_left": self.left_width,
            "first": self.lane_width,
            "last": self.lane_width,
            "asking": 1,
            "asked_word": self.word_address_width,
            "asked_length": clog2(self.burst_words),
            "refused_now": 1,
        }

    def packer(self) -> dict[str, Number]:
        """Flip-flops of the packer, by name, as in the RTL."""
        return {
            "buffer": self.held_units * self.unit_bits,
            "held": bit_length(self.held_units),
            "ending": 1,
        }

    def mover(self) -> dict[str, Number]:
        """Flip-flops of a reader or a writer beside its blocks, by name, as in the RTL."""
        if self.direction == "read":
            return {
                "place": self.burst_width,
                "reserved": bit_length(self.buffer_words),
                "worst": RESPONSE_BITS,
            }
        word = {"out_data": self.data_width, "out_strobe": self.data_width // 8, "out_last": 1, "out_full": 1}
        state = {
            "place": self.burst_width,
            "unanswered": bit_length(self.outstanding),
            "worst": RESPONSE_BITS,
        }
        return {**word, **state, "busy": 1, "serving": 1, "draining": 1, "misframed_held": 1}

    def units(self) -> tuple[Unit, ...]:
        """The bill of materials; places are ``bursts``, ``packer``, ``fifo``, ``mover`` and ``memory``."""
        fifos = [*fifo(self.outstanding, self.burst.width, 0, 1 / self.burst_words)]
        if self.direction == "read":
            fifos += fifo(self.buffer_words, self.word.width, self.words_in_memory)
        return (*self._burst_units(), *self._packer_units(), *fifos, *self._mover_units())

    @property
    def words_in_memory(self) -> Number:
        """1 if words that were read wait in a memory; a few wait in registers."""
        return flag(self.buffer_words > _FEW_WORDS)

    def _burst_units(self) -> Iterator[Unit]:
        held = self.bursts()
        steers = sum(held.pop(name) for name in (*STEPS, *PULSES))
        yield REGISTER("bursts", 1, width=steers, enable=1, reset=1, activity=A_BURST)
        yield REGISTER("bursts", 1, width=sum(held.values()), enable=1, activity=A_BURST)
        yield ADDER("bursts", 2, width=self.unit_address_width, activity=A_BURST)
        yield ADDER("bursts", 1, width=self.row_width, activity=A_BURST)
        yield ADDER("bursts", 1, width=self.word_address_width, activity=A_BURST)
        yield ADDER("bursts", 1, width=self.left_width, activity=A_BURST)
        yield MUX("bursts", 1, entries=2, width=self.unit_address_width, activity=A_BURST)
        yield MUX("bursts", 2, entries=2, width=self.left_width, activity=A_BURST)
        yield COMPARATOR("bursts", 2, width=self.left_width, activity=A_BURST)

    def _packer_units(self) -> Iterator[Unit]:
        data, reads = self.held_units * self.unit_bits, bool(self.reads)
        enters, leaves = (self.word_units, self.beat_units)[:: 1 if reads else -1]
        yield REGISTER("packer", 1, width=data, reset=1)
        yield MUX("packer", 1, entries=2, width=data)
        yield REGISTER("packer", 1, width=bit_length(self.held_units) + 1, enable=1, reset=1)
        # What enters moves up to behind what is held; of a reader's word the first units of a row move down before.
        yield MUX("packer", clog2(leaves), entries=2, width=enters * self.unit_bits)
        yield MUX("packer", self.lane_width * reads, entries=2, width=self.data_width)
        # What stays moves down: by a beat, or by as many units as a writer's word takes.
        gone = self.stream_width * reads
        yield AND_ROW("packer", 1, width=data - gone)
        yield MUX("packer", self.lane_width * (1 - reads), entries=2, width=data - self.unit_bits)
        yield ADDER("packer", 2, width=bit_length(self.held_units))
        yield LOGIC("packer", 1, gates=_PACKER_GATES)

    def _mover_units(self) -> Iterator[Unit]:
        held = self.mover()
        data = sum(held.pop(name, 0) for name in ("out_data", "out_strobe", "out_last"))
        yield REGISTER("mover", 1, width=data, enable=1)
        yield REGISTER("mover", 1, width=sum(held.values()), enable=1, reset=1)
        yield HALF_ADDER("mover", 1, width=self.burst_width)
        yield COMPARATOR("mover", 1, width=self.burst_width)
        yield LOGIC("mover", 1, gates=_MOVER_GATES)
        if self.direction == "read":
            yield ADDER("mover", 2, width=bit_length(self.buffer_words))
        else:
            yield MUX("mover", self.lane_width, entries=2, width=self.data_width + self.data_width // 8)


def fifo(depth: Number, width: Number, memory: Number, activity: float = 1.0) -> Iterator[Unit]:
    """A FIFO of the cells that waits for an empty slot; one in ``memory`` keeps a word beside it.

    A word comes and one goes in the share ``activity`` of the cycles.
    """
    pointers = 2 * flag(depth > 1)
    yield REGISTER("fifo", 1, width=bit_length(depth), enable=1, reset=1, activity=activity)
    yield REGISTER("fifo", pointers, width=clog2(depth), enable=1, reset=1, activity=activity)
    yield HALF_ADDER("fifo", 1 + pointers, width=clog2(depth), activity=activity)
    if memory:
        yield REGISTER("fifo", 1, width=width, enable=1, activity=activity)
        yield REGISTER("fifo", 1, width=1, enable=1, reset=1, activity=activity)
        yield MUX("fifo", 1, entries=2, width=width, activity=activity)
        yield from (unit.active(activity) for unit in memories(1, depth, width))
    else:
        yield REGISTER("fifo", depth, width=width, enable=1, activity=activity / depth)
        yield DECODER("fifo", pointers, inputs=clog2(depth), outputs=depth, activity=activity)
        yield SELECT("fifo", flag(depth > 1), entries=depth, width=width, activity=activity)


def replay(depth: Number, width: Number, memory: Number, activity: float = 1.0) -> Iterator[Unit]:
    """A FIFO in a memory that gives groups of words several times; ``memory`` is 1."""
    yield from fifo(depth, width, memory, activity)
    yield REGISTER("fifo", 1, width=bit_length(depth), enable=1, reset=1, activity=activity)
    yield REGISTER("fifo", 2, width=clog2(depth), enable=1, reset=1, activity=activity)
    yield ADDER("fifo", 1, width=bit_length(depth), activity=activity)
    yield HALF_ADDER("fifo", 2, width=clog2(depth), activity=activity)
    yield MUX("fifo", 1, entries=2, width=clog2(depth), activity=activity)


@dataclass(frozen=True)
class Transfer:
    """Rows of bytes: row ``i`` begins at ``address + i * stride``, a gathered one at ``address + index * stride``."""

    address: int
    row_bytes: int
    rows: int = 1
    stride: int = 0
    gather: bool = False

    def refusal(self, dma: Dma) -> str | None:
        """Reason why a mover refuses the transfer without moving anything, else ``None``."""
        for name in ("address", "row_bytes", "stride"):
            value, width = getattr(self, name), dma.transfer[name].width
            if not 0 <= value < 1 << width:
                return f"Transfer's {name} must fit {width} bits, not be {value}"
            if value % dma.unit_bytes:
                return f"Transfer's {name} must be a multiple of unit_bytes {dma.unit_bytes}, not {value}"
        if not self.row_bytes > 0:
            return f"Transfer's row_bytes must be at least {dma.unit_bytes}, not {self.row_bytes}"
        if not 0 < self.rows < 1 << dma.rows_width:
            return f"Transfer's rows must be from 1 to {(1 << dma.rows_width) - 1}, not {self.rows}"
        return None

    def check(self, dma: Dma) -> None:
        """Raises ``ParamError`` for a transfer that the mover refuses."""
        reason = self.refusal(dma)
        if reason is not None:
            raise ParamError(reason)

    def word(self, dma: Dma) -> int:
        """The transfer as the bits that the mover takes."""
        record = dma.transfer
        return sum(int(getattr(self, field.name)) << field.offset for field in record)

    def starts(self, dma: Dma, indices: Sequence[int] = ()) -> list[int]:
        """Byte address of every row; addresses wrap at the end of the address space."""
        places = indices if self.gather else range(self.rows)
        return [(self.address + place * self.stride) % (1 << dma.address_width) for place in places]

    def beats(self, dma: Dma) -> int:
        """Beats of the stream."""
        return -(-self.row_bytes * self.rows // (dma.stream_width // 8))


def cut(dma: Dma, start: int, row_bytes: int) -> Iterator[tuple[int, int]]:
    """(byte address, words) of the bursts of one row, in their order."""
    size = dma.data_width // 8
    word, end = start // size, -(-(start + row_bytes) // size)
    while word < end:
        words = min(end - word, dma.burst_words, dma.page_words - word % dma.page_words)
        yield word * size % (1 << dma.address_width), words
        word += words
