"""On-chip memories: a wrapper module that a macro replaces."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.numbers import clog2
from generator.block import Block, register, sliced, word


def _two_ports(words: int, width: int) -> dict[str, Any]:
    """The ports of a memory that is written and read in the same cycle."""
    address = clog2(words)
    return {
        "write": In(1),
        "write_address": In(address),
        "write_data": In(width),
        "read": In(1),
        "read_address": In(address),
        "read_data": Out(width),
    }


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
        super().__init__(f"ternforge_sram_1r1w_{words}x{width}", _two_ports(words, width), clocked=True)

    @property
    def memory(self) -> dict[str, Any]:
        """Manifest entry of a macro that can replace the memory."""
        return _macro(self.words, self.width, "1r1w", same_address="old word")

    @property
    def fields(self) -> dict[str, int]:
        """Values of the template."""
        return {"words": self.words, "width": self.width, "address_width": clog2(self.words)}


class SinglePort(Block):
    """Memory with one port that reads or writes a word a cycle.

    Guarantees: ``read_data`` is the word at ``address`` from the cycle after a read on, until the next read.
    Does not: read and write in the same cycle; give a defined word where none was written.

    The Verilog comes from ``rtl_templates/sram_1rw.v.j2``, as that of :class:`Sram`.
    """

    place = "memory"
    latency = "1 cycle"
    throughput = "one read or one write per cycle"
    template = "sram_1rw.v.j2"

    def __init__(self, words: int, width: int) -> None:
        self.words = words
        self.width = width
        ports = {
            "enable": In(1),
            "write": In(1),
            "address": In(self.address_width),
            "write_data": In(width),
            "read_data": Out(width),
        }
        super().__init__(f"ternforge_sram_1rw_{words}x{width}", ports, clocked=True)

    @property
    def address_width(self) -> int:
        """Bits of an address; a single word also has one bit, so that the port exists."""
        return max(1, clog2(self.words))

    @property
    def memory(self) -> dict[str, Any]:
        """Manifest entry of a macro that can replace the memory."""
        return _macro(self.words, self.width, "1rw", same_address="one access")

    @property
    def fields(self) -> dict[str, int]:
        """Values of the template."""
        return {"words": self.words, "width": self.width, "address_width": self.address_width}


class Alternating(Block):
    """Words in even and odd single-port memories, for reads that run one word ahead of writes.

    Guarantees: the same as :class:`Sram` if words are read in turn (0, 1, 2 to the last, and again) and a word is
    written when the next one is read, or before; only a word that is read while it is written is not defined. A read
    and a write therefore meet in one memory only if the last word is even and word 0 follows it: that write waits in a
    register until its memory is free, and a read of the word takes it from there.
    Does not: take accesses in any other order; a second write that has to wait replaces the first.
    """

    latency = "1 cycle"
    throughput = "one read and one write per cycle"

    def __init__(self, words: int, width: int, place: str) -> None:
        self.words = words
        self.width = width
        self.place = place
        super().__init__(
            f"ternforge_banks_{words}x{width}", _two_ports(words, width), clocked=True, resets=True
        )

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        reads, writes, waits = (Signal(name=name) for name in ("reads", "writes", "waits"))
        hit, odd, waiting, back = (Signal(name=name) for name in ("hit", "odd", "waiting", "back"))
        late_address = register(m, len(self.write_address), "late_address", waits, self.write_address)
        late = register(m, self.width, "late", waits, self.write_data)
        found = waiting & (self.read_address == late_address)
        alike = self.read_address[0] == self.write_address[0]
        m.d.comb += [
            reads.eq(self.read & ~found & ~(self.write & (self.read_address == self.write_address))),
            waits.eq(self.write & reads & alike),
            writes.eq(self.write & ~waits),
            back.eq(waiting & self._free(late_address, reads, writes)),
        ]
        with m.If(waits):
            m.d.sync += waiting.eq(1)
        with m.Elif(back | (writes & (self.write_address == late_address))):
            m.d.sync += waiting.eq(0)
        with m.If(self.read):
            m.d.sync += [hit.eq(found), odd.eq(self.read_address[0])]
        shown = [self._bank(m, number, reads, writes, back, late_address, late) for number in range(2)]
        m.d.comb += self.read_data.eq(Mux(hit, late, Mux(odd, shown[1], shown[0])))
        return m

    def _free(self, late_address: Any, reads: Signal, writes: Signal) -> Any:
        """1 if the memory that the waiting word belongs to is idle."""
        taken = [
            asked & (address[0] == late_address[0])
            for asked, address in ((reads, self.read_address), (writes, self.write_address))
        ]
        return ~(taken[0] | taken[1])

    def _bank(
        self,
        m: Module,
        number: int,
        reads: Signal,
        writes: Signal,
        back: Signal,
        late_address: Any,
        late: Any,
    ) -> Any:
        """One of the two memories, whose access is a read, a write, or the write of the word that waited."""
        name = ("even", "odd")[number]
        read, write, late_write = (
            Signal(name=f"{name}_{what}") for what in ("reads", "writes", "late_writes")
        )
        data, shown = word(self.width, f"{name}_data"), word(self.width, f"{name}_shown")
        address = Signal(max(1, len(self.read_address) - 1), name=f"{name}_address")
        m.d.comb += [
            read.eq(reads & (self.read_address[0] == number)),
            write.eq(writes & (self.write_address[0] == number)),
            late_write.eq(back & (late_address[0] == number)),
            data.eq(Mux(write, self.write_data, late)),
            address.eq(
                Mux(read, self.read_address[1:], Mux(write, self.write_address[1:], late_address[1:]))
            ),
        ]
        for part, (given, taken) in enumerate(zip(sliced(data), sliced(shown), strict=True)):
            block = SinglePort((self.words + 1) // 2, len(given))
            own = f"{name}_{part}" if len(data) > len(given) else name
            self.use(
                m, block, own, enable=read | write | late_write, write=~read, address=address,
                write_data=given, read_data=taken,
            )  # fmt: skip
        return shown


def store(
    block: Block, m: Module, name: str, words: int, *, write_data: Any, read_data: Any, **pins: Any
) -> None:
    """A memory inside ``block``: several side by side where a word is wider than a vector can be.

    Guarantees: the same as one :class:`Sram` as wide as the words; the inventory counts the same banks.
    Does not: split a memory of many words; its depth is that of every bank.
    """
    pairs = list(zip(sliced(write_data), sliced(read_data), strict=True))
    for number, (given, taken) in enumerate(pairs):
        own = f"{name}_{number}" if len(pairs) > 1 else name
        sram = Sram(words, len(given))
        block.use(m, sram, own, write_data=given, read_data=taken, **pins)


def _macro(words: int, width: int, ports: str, *, same_address: str) -> dict[str, Any]:
    """Manifest entry of a macro without a write mask; ``same_address`` is what a read of the written word gives."""
    return {
        "words": words,
        "width": width,
        "ports": ports,
        "mask_bits": 0,
        "latency": 1,
        "same_address": same_address,
        "read_data": "holds until the next read",
    }


def read_ahead(
    block: Block, m: Module, depth: int, *, data: Value, write: Value, tail: Value, read: Value, following: Value,
    alone: Value,
) -> Value:  # fmt: skip
    """A memory of words in their order, read one word ahead; returns the word that is shown.

    Guarantees: while the shown word leaves (``read``), that at ``following`` is fetched; a word that arrives
    (``write``, to slot ``tail``) while none is before it (``alone``) is shown from a register instead.
    Does not: count words, or move ``tail`` and ``following``.
    """
    around, fresh = Signal(name="around"), Signal(name="fresh")
    held = word(len(data), "stored_word")
    m.d.comb += fresh.eq(write & alone)
    with m.If(fresh):
        m.d.sync += around.eq(1)
    with m.Elif(read):
        m.d.sync += around.eq(0)
    kept = register(m, len(data), "kept", fresh, data)
    store(
        block, m, "store", depth, write=write, write_address=tail, write_data=data,
        read=read, read_address=following, read_data=held,
    )  # fmt: skip
    pairs = zip(sliced(kept), sliced(held), strict=True)
    return Cat(*(Mux(around, mine, theirs) for mine, theirs in pairs))
