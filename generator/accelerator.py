"""Base of the accelerators: AXI ports, clock and reset, register file and sequencer around a datapath."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib.wiring import In, Out

from blueprint import axi
from blueprint.spec import Spec
from generator.axi_top import AxiTop
from generator.boundary import AXI_LITE, EVENTS, AxiStream, Run
from generator.cells.register_file import Registers
from generator.sequencer import Sequencer


class Accelerator(AxiTop):
    """Base of the top modules: the AXI4-Stream ports that the spec declares, and the AXI4-Lite port.

    A stream is an interface called like its ports (``self.s_axis_act``); its ``beat`` is ``tdata`` by the fields of its
    record. A family elaborates its datapath between :meth:`module` and what :meth:`sequence` returns.
    """

    spec: Any

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        ports = {s.prefix: (In if s.direction == "in" else Out)(AxiStream(s)) for s in spec.streams()}
        super().__init__(spec.name, ports | {axi.BUS: In(AXI_LITE)})

    def sequence(self, m: Module, control: Sequencer, **given: Any) -> Any:
        """Instantiate register file and sequencer with what is ``given`` to its ports; returns its ends.

        Its ``run`` has the signals by which register file, sequencer and datapath control a run. Raises ``ValueError``
        for a port that the sequencer does not declare.
        """
        spec, file = self.spec, self.spec.register_file()
        run = Run(file, EVENTS, file.flags).create(path=())
        registers = Registers(f"{spec.family}_shell_{spec.design_hash}", file, spec.design_hash)
        self.use(m, registers, "shell", bus=self.s_axil, run=run)
        return self.use(m, control, "control", prefix="", run=run, **given)
