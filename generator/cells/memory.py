"""On-chip memories: a wrapper module that a macro replaces."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib.wiring import In, Out

from blueprint.numbers import clog2
from generator.block import Block, sliced


class Sram(Block):
    """Memory with one write port and one synchronous read port; a read sees the word as it was before a write.

    Guarantees: ``read_data`` is the word at ``read_address`` from the cycle after ``read`` on, until the next ``read``.
    Does not: give a defined word before the first ``read``, or for an address that was never written or is outside.

    The Verilog comes from ``rtl_templates/sram.v.j2``: a behavioral body for simulation and FPGAs, to be replaced by
    a macro of the same name and ports in an ASIC flow.
    """

    place = "memory"
    latency = "1 cycle"
    throughput = "one read and one write per cycle"
    template = "sram.v.j2"
    _MustUse__silence = True  # never elaborated: its text is the template

    def __init__(self, words: int, width: int) -> None:
        self.words = words
        self.width = width
        address = clog2(words)
        ports = {
            "write": In(1),
            "write_address": In(address),
            "write_data": In(width),
            "read": In(1),
            "read_address": In(address),
            "read_data": Out(width),
        }
        super().__init__(f"ternforge_sram_1r1w_{words}x{width}", ports, clocked=True)

    @property
    def memory(self) -> dict[str, Any]:
        """What a macro in its place must do: the manifest's line."""
        return {
            "words": self.words,
            "width": self.width,
            "ports": "1r1w",
            "mask_bits": 0,
            "latency": 1,
            "same_address": "old word",
            "read_data": "holds until the next read",
        }

    @property
    def fields(self) -> dict[str, int]:
        """Values of the template."""
        return {"words": self.words, "width": self.width, "address_width": clog2(self.words)}


def store(
    block: Block, m: Module, name: str, words: int, *, write_data: Any, read_data: Any, **pins: Any
) -> None:
    """A memory inside ``block``: several side by side where a word is wider than a vector can be.

    Guarantees: as one :class:`Sram` as wide as the words; the inventory counts the same banks.
    Does not: split a memory of many words; its depth is that of every bank.
    """
    pairs = list(zip(sliced(write_data), sliced(read_data), strict=True))
    for number, (given, taken) in enumerate(pairs):
        own = f"{name}_{number}" if len(pairs) > 1 else name
        sram = Sram(words, len(given))
        block.use(m, sram, own, write_data=given, read_data=taken, **pins)
