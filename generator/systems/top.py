"""The top of a whole system: AXI4 masters, AXI4-Lite control, interrupt."""

from typing import Any

from amaranth.hdl import Const, Module
from amaranth.lib.wiring import In, Out

from blueprint import axi
from blueprint.systems.control import Hardware
from blueprint.systems.dma import Dma
from generator.axi_top import AxiTop
from generator.boundary import AXI_LITE, axi_memory, wires
from generator.systems.control import Control
from generator.systems.core import Core
from generator.systems.dma import Reader, Writer
from generator.systems.sequencer import Sequencer
from generator.systems.wires import Dispatch, Moves, Program, ends


class SystemTop(AxiTop):
    """A decoder: units, staging, movers and sequencer, with a port to memory for each mover.

    Guarantees: a program that has an error, waits for ever or is stopped ends with its reason in the status and an
    interrupt, also while memory does not answer; answers that memory still owes are then awaited and dropped.
    Does not: begin another program before that; a reset while memory owes answers must reset the memory too.

    ``begins`` and ``ends`` are high for the cycle in which an instruction of a unit begins or ends, for tracing. The
    first load under way ends by a line of its own, behind those of the units: others may begin and end before it.
    """

    place = "top"
    latency = "that of the program"
    throughput = "that of the program"

    def __init__(self, hardware: Hardware) -> None:
        self.hardware = hardware
        ports: dict[str, Any] = {
            axi.BUS: In(AXI_LITE),
            "m_axi_fetch": Out(_memory(hardware.fetch)),
            "m_axi_load": Out(_memory(hardware.load)),
            "m_axi_store": Out(_memory(hardware.store)),
            "irq": Out(1),
            "begins": Out(len(hardware.queues)),
            "ends": Out(ends(hardware.queues)),
        }
        super().__init__(f"{hardware.name}_{hardware.design_hash[:6]}", ports)

    def elaborate(self, platform: Any) -> Module:
        m, hardware = self.module(), self.hardware
        program = Program(hardware).create(path=("program",))
        dispatch = Dispatch(hardware.queues).create(path=("dispatch",))
        fetch = Moves(hardware.fetch).create(path=("fetch",))
        load = Moves(hardware.load).create(path=("load",))
        store = Moves(hardware.store).create(path=("store",))
        there = Const(1, 1)  # an index is there in every cycle
        reader, writer = Reader(hardware.load), Writer(hardware.store)
        self.use(
            m, Reader(hardware.fetch), "fetch", m_axi=self.m_axi_fetch, index_valid=there, **wires(fetch)
        )
        self.use(m, reader, "load", m_axi=self.m_axi_load, index_valid=there, **wires(load))
        self.use(m, writer, "store", m_axi=self.m_axi_store, index_valid=there, **wires(store))
        self.use(m, Control(hardware), "control", bus=self.s_axil, program=program, irq=self.irq)
        self.use(m, Sequencer(hardware), "sequencer", program=program, dispatch=dispatch, fetch=fetch)
        self.use(
            m,
            Core(hardware),
            "core",
            dispatch=dispatch,
            load=load,
            store=store,
            begins=self.begins,
            ends=self.ends,
        )
        return m


def _memory(dma: Dma) -> Any:
    """The port to memory of a mover."""
    return axi_memory(dma.direction, dma.data_width, dma.address_width)
