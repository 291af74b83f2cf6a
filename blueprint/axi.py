"""The AXI ports of a design, and how a bench drives them: one description for the hardware and for all benches.

Three benches read this: the one in cocotb (``simulator/cosim``), which is exported with a design and breaks rules on
purpose; the one in C++ (``simulator/rtl``), which is fast; and the one that steps mapped gates and counts what switches
(``costmodel/groundtruth/activity.py``). Port names, register values, the order of writes and the cycle in which a beat
is offered are decided here. What a port shows *between* beats, when an answer is taken, and how long a bench waits are
its own.

A job
-----
1. **Reset**: low for :data:`RESET_CYCLES` cycles, in which no ``tvalid``, ``bvalid`` or ``rvalid`` may be high; then
   one cycle without anything.
2. **Registers**: :func:`writes`, one after the other, all bytes of a word; the last one starts the run.
3. **Streams**: cycle 0 is the first one in which a source may offer a beat. Beats move until every stream is through.
4. **Status**: read until the bit ``done`` (:func:`status_bit`) is set.
5. **Results**: every register is read; no output stream may offer another beat.

A cycle of the streams
----------------------
* A source begins to offer its next beat in the first open cycle of its stall pattern after the previous beat was
  accepted, and holds it until it is accepted (:class:`Offer`). ``tlast`` marks the last beat of the run.
* A sink is ready in the open cycles of its stall pattern, and in no others.
* A beat moves in a cycle at whose end ``tvalid`` and ``tready`` are both high.
* Once an output stream has offered a beat, ``tvalid`` and the payload stay as they are until it is accepted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from blueprint.shell import ADDRESS_BITS, WORD_BITS, WORD_BYTES

CLOCK, RESET, BUS = "aclk", "aresetn", "s_axil"
RESET_CYCLES = 4

#: Bits of every AXI4-Lite port.
LITE = {
    "awaddr": ADDRESS_BITS, "awprot": 3, "awvalid": 1, "awready": 1,
    "wdata": WORD_BITS, "wstrb": WORD_BYTES, "wvalid": 1, "wready": 1,
    "bresp": 2, "bvalid": 1, "bready": 1,
    "araddr": ADDRESS_BITS, "arprot": 3, "arvalid": 1, "arready": 1,
    "rdata": WORD_BITS, "rresp": 2, "rvalid": 1, "rready": 1,
}  # fmt: skip
#: Of these, the ones that the design drives.
ANSWERS = ("awready", "wready", "bresp", "bvalid", "arready", "rdata", "rresp", "rvalid")
#: Channels that ask, and the one that answers, by kind of access.
REQUESTS = {"write": ("aw", "w"), "read": ("ar",)}
RESPONSE = {"write": "b", "read": "r"}
#: Responses: to an access, and to one that no register takes (SLVERR).
OKAY, REFUSED = 0, 2
#: The largest number in a register, and the strobes of a whole word.
WORD = (1 << WORD_BITS) - 1
ALL_BYTES = (1 << WORD_BYTES) - 1
#: What is written to ``control`` to start a run.
START = 1

#: Responses of AXI4 memory that say an error; EXOKAY is not asked for.
SLVERR, DECERR = 2, 3
#: Kind of burst whose addresses rise, and the attributes of normal memory that may be buffered (A4.4).
INCREMENTING, BUFFERABLE = 1, 3


def memory(direction: str, data: int, address: int) -> dict[str, tuple[int, bool]]:
    """Bits of every wire of an AXI4 port that reads or writes memory, and whether the memory drives it.

    One identifier: answers come in the order of the requests.
    """
    letter = "r" if direction == "read" else "w"
    asked = {"addr": address, "len": 8, "size": 3, "burst": 2, "cache": 4, "prot": 3, "valid": 1}
    found = {f"a{letter}{name}": (width, False) for name, width in asked.items()}
    found[f"a{letter}ready"] = (1, True)
    if direction == "read":
        answers = {"rdata": data, "rresp": 2, "rlast": 1, "rvalid": 1}
        return found | {name: (width, True) for name, width in answers.items()} | {"rready": (1, False)}
    given = {"wdata": data, "wstrb": data // 8, "wlast": 1, "wvalid": 1, "bready": 1}
    found |= {name: (width, False) for name, width in given.items()}
    return found | {"wready": (1, True), "bresp": (2, True), "bvalid": (1, True)}


def lite(name: str) -> str:
    """The port of the top module for an AXI4-Lite signal."""
    return f"{BUS}_{name}"


@dataclass(frozen=True)
class StreamPort:
    """The ports of one AXI4-Stream; ``width`` is the bytes of a beat."""

    name: str
    direction: str
    prefix: str
    width: int

    @property
    def valid(self) -> str:
        return f"{self.prefix}_tvalid"

    @property
    def ready(self) -> str:
        return f"{self.prefix}_tready"

    @property
    def data(self) -> str:
        return f"{self.prefix}_tdata"

    @property
    def last(self) -> str:
        return f"{self.prefix}_tlast"

    @property
    def is_input(self) -> bool:
        """True if beats go into the design."""
        return self.direction == "in"


def stream_ports(manifest: Mapping[str, Any]) -> tuple[StreamPort, ...]:
    """The streams of a manifest, inputs first."""
    listed = [
        StreamPort(name, stream["direction"], stream["prefix"], stream["width"] // 8)
        for name, stream in manifest["streams"].items()
    ]
    return tuple(sorted(listed, key=lambda port: not port.is_input))


def ports(streams: Iterable[StreamPort]) -> dict[str, int]:
    """Every port of the top module with its bits."""
    found = {CLOCK: 1, RESET: 1}
    for stream in streams:
        found |= {stream.data: 8 * stream.width, stream.valid: 1, stream.ready: 1, stream.last: 1}
    return found | {lite(name): width for name, width in LITE.items()}


def writes(sizes: Mapping[str, int], *, start: bool = True) -> list[tuple[str, int]]:
    """Register and value of every write before the streams start: the sizes in order, then the start bit."""
    return [*sizes.items(), *([("control", START)] if start else [])]


def status_bit(fields: Mapping[str, Any], flag: str) -> int:
    """Mask of a bit of the status register with these ``fields`` (lowest bit, width); 0 if it lacks the bit."""
    return 1 << fields[flag][0] if flag in fields else 0


@dataclass
class Offer:
    """State machine of a source: the beat that it offers in each cycle; :meth:`drive`, then :meth:`sample`."""

    beats: int
    taken: int = 0
    valid: bool = False

    @property
    def done(self) -> bool:
        """True if every beat was accepted."""
        return self.taken >= self.beats

    @property
    def last(self) -> bool:
        """True if the beat is the last one, so that ``tlast`` is high with it."""
        return self.valid and self.taken == self.beats - 1

    def drive(self, opened: bool) -> bool:
        """At the beginning of a cycle: true if the source offers beat number ``taken`` from this cycle on."""
        begins = opened and not self.valid and not self.done
        self.valid = self.valid or begins
        return begins

    def sample(self, ready: bool) -> bool:
        """At the end of a cycle: true if the beat was accepted in this cycle."""
        moves = self.valid and ready
        self.taken += moves
        self.valid = self.valid and not moves
        return moves
