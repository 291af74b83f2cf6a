"""The top of a whole system: AXI4 masters, AXI4-Lite control, interrupt."""

from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib.wiring import In, Out

from blueprint import axi
from blueprint.systems.control import Hardware
from blueprint.systems.instructions import FORMAT, UNITS
from generator.block import Block
from generator.boundary import AXI_LITE, axi_memory
from generator.layout import layout
from generator.systems.control import Control
from generator.systems.core import Core
from generator.systems.dma import Mover, Reader, Writer
from generator.systems.sequencer import Sequencer

#: Ports to memory: names, and how they move.
MASTERS = {"m_axi_fetch": "fetch", "m_axi_load": "load", "m_axi_store": "store"}


class SystemTop(Block):
    """A decoder: units, staging, movers and sequencer, with a port to memory for each mover.

    Guarantees: a program that has an error ends, with its reason in the status and an interrupt.
    Does not: end while memory does not answer; ``control`` can stop a program that waits for ever otherwise.

    ``begins`` and ``ends`` are high for the cycle in which an instruction of a unit begins or ends, for tracing.
    """

    place = "top"
    latency = "that of the program"
    throughput = "that of the program"

    def __init__(self, hardware: Hardware) -> None:
        self.hardware = hardware
        ports: dict[str, Any] = {axi.CLOCK: In(1), axi.RESET: In(1), axi.BUS: In(AXI_LITE)}
        for port, name in MASTERS.items():
            dma = getattr(hardware, name)
            ports[port] = Out(axi_memory(dma.direction, dma.data_width, dma.address_width))
        ports |= {"irq": Out(1), "begins": Out(len(UNITS)), "ends": Out(len(UNITS))}
        super().__init__(f"{hardware.name}_{hardware.design_hash[:6]}", ports, clocked=False)

    def module(self) -> Module:
        """A module with the clock and the active-low reset of AXI."""
        m = Module()
        m.domains.sync = ClockDomain("sync")
        m.d.comb += [ClockSignal().eq(self.aclk), ResetSignal().eq(~self.aresetn)]
        return m

    def elaborate(self, platform: Any) -> Module:
        m, hardware = self.module(), self.hardware
        movers = {name: self._mover(m, port, name) for port, name in MASTERS.items()}
        fetch = movers["fetch"]
        shared = {
            name: Signal(width, name=name)
            for name, width in (("halt", 1), ("clear", 1), ("busy", 1), ("finished", 1), ("interrupts", 1))
        }
        sequenced = Sequencer(hardware)
        between = {
            name: Signal(sequenced.signature.members[name].shape, name=f"now_{name}")
            for name in ("position", "told")
        }
        control = self.use(m, Control(hardware), "control", bus=self.s_axil, **{
            name: shared[name] for name in ("busy", "finished", "interrupts")
        }, **between, irq=self.irq)  # fmt: skip
        given = ("start", "stop", "first", "prompt_passes", "decode_passes", "pages", "lengths")
        core = Core(hardware)
        writes, entry, *rest = (
            Signal(core.signature.members[name].shape, name=f"between_{name}")
            for name in ("writes", "entry", "rooms", "empty", "failed", "failures", "moving")
        )
        told = dict(zip(("rooms", "empty", "failed", "failures", "moving"), rest, strict=True))
        self.use(
            m, sequenced, "sequencer", **{name: getattr(control, name) for name in given}, **shared, **between,
            transfer=fetch.transfer, transfer_valid=fetch.transfer_valid, transfer_ready=fetch.transfer_ready,
            word=layout(FORMAT)(fetch.tdata), tvalid=fetch.tvalid, tready=fetch.tready, tlast=fetch.tlast,
            error=fetch.error, refused=fetch.refused, entry=entry, writes=writes, **told,
        )  # fmt: skip
        self.use(
            m, core, "core", clear=shared["clear"], halt=shared["halt"], position=between["position"], entry=entry,
            writes=writes, **told, begins=self.begins, ends=self.ends, **self._moved(movers),
        )  # fmt: skip
        return m

    def _moved(self, movers: dict[str, Any]) -> dict[str, Any]:
        """What the core takes of the movers, by the names of its ports."""
        found: dict[str, Any] = {}
        for name in ("load", "store"):
            mover = movers[name]
            wires = ("transfer", "index", "done", "error", "refused", "tdata", "tvalid", "tlast", "tready")
            found |= {f"{name}_{wire}": getattr(mover, wire) for wire in wires}
            found |= {f"{name}_{wire}": getattr(mover, f"transfer_{wire}") for wire in ("valid", "ready")}
        return found | {"store_misframed": movers["store"].misframed}

    def _mover(self, m: Module, port: str, name: str) -> Any:
        """A mover; all its wires are wires of the top."""
        dma = getattr(self.hardware, name)
        mover: Mover = (Reader if dma.reads else Writer)(dma)
        given: dict[str, Any] = {"m_axi": getattr(self, port)}
        for wire, member in mover.ports.items():
            if wire not in ("clk", "rst", "m_axi"):
                width = member.shape.size if hasattr(member.shape, "size") else member.shape
                signal = Signal(width, name=f"{name}_{wire}")
                given[wire] = member.shape(signal) if hasattr(member.shape, "size") else signal
        if name == "fetch":
            m.d.comb += [given["index"].eq(0), given["index_valid"].eq(1)]
        else:
            m.d.comb += given["index_valid"].eq(1)
        return self.use(m, mover, name, **given)


__all__ = ["MASTERS", "SystemTop"]
