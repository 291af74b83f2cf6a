"""Signatures at the boundary of blocks: streams, handshakes, the bus, and a run."""

from collections.abc import Iterable
from typing import Any

from amaranth.hdl import Value
from amaranth.lib.wiring import In, Out, PureInterface, Signature

from blueprint import axi
from blueprint.port import Stream
from blueprint.record import Record
from blueprint.shell import RegisterFile
from generator.layout import layout

#: The handshake of a stream, and the same for a block that only watches it; seen from the side that sends.
HANDSHAKE = Signature({"tvalid": Out(1), "tready": In(1), "tlast": Out(1)})
WATCHED = Signature({"tvalid": Out(1), "tlast": Out(1)})

#: The bus of the register file, seen from the side that makes requests.
AXI_LITE = Signature({name: (In if name in axi.ANSWERS else Out)(width) for name, width in axi.LITE.items()})


def axi_memory(direction: str, data: int, address: int) -> Signature:
    """An AXI4 port that reads or writes memory, seen from the side that asks."""
    wires = axi.memory(direction, data, address)
    return Signature({name: (In if driven else Out)(width) for name, (width, driven) in wires.items()})


#: Events of a run, each a pulse of one cycle.
EVENTS = ("accepted", "finished", "misframed")


class StreamPort(PureInterface):
    """The wires of an AXI4-Stream; ``beat`` is ``tdata`` as the fields of its record."""

    def __init__(self, signature: Any, record: Record, *, path: tuple[str, ...]) -> None:
        super().__init__(signature, path=path)
        self.beat = layout(record)(self.tdata[: record.width])


class AxiStream(Signature):
    """An AXI4-Stream with its beats, seen from the side that sends."""

    def __init__(self, stream: Stream) -> None:
        self.record = stream.beat
        super().__init__({"tdata": Out(stream.width), "tvalid": Out(1), "tready": In(1), "tlast": Out(1)})

    def create(self, *, path: tuple[str, ...] = (), src_loc_at: int = 0) -> StreamPort:
        """Create the wires, named by their path."""
        return StreamPort(self, self.record, path=path)


class Run(Signature):
    """A run, seen from the register file: its start and sizes, and what is reported of it.

    Reported are ``events``, a stall for each reason that the design counts, and ``flags`` of the family. A size that no
    run reads is empty.
    """

    def __init__(self, file: RegisterFile, events: Iterable[str] = (), flags: Iterable[str] = ()) -> None:
        asked: dict[str, Any] = {"start": Out(1)}
        asked |= {size.name: Out(size.there * size.bits) for size in file.sizes}
        told = (*events, *(file.stalls if events else ()), *flags)
        super().__init__(asked | dict.fromkeys(told, In(1)))


def wires(interface: Any) -> dict[str, Value]:
    """The wires of a flat interface by name, for code that treats all wires alike."""
    return {name: value for (name,), _, value in interface.signature.flatten(interface)}
