"""Base of the accelerators: AXI ports, clock and reset, register file and sequencer around a datapath."""

from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Const, Module, ResetSignal, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint import axi
from blueprint.spec import Spec
from generator.block import Block
from generator.cells.register_file import AXI_LITE_PORTS, EVENTS, Registers, size_ports
from generator.sequencer import Sequencer


class Accelerator(Block):
    """Base of the top modules: the AXI4-Stream ports that the spec declares, and the AXI4-Lite port.

    A family elaborates its datapath between :meth:`module` and the wires of :meth:`sequence`. ``wires`` are the signals
    that join register file, sequencer and datapath, each called like the port that drives it.
    """

    spec: Any

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.wires: dict[str, Signal] = {}
        ports: dict[str, Any] = {axi.CLOCK: In(1), axi.RESET: In(1)}
        for stream in spec.streams():
            give, take = (In, Out) if stream.direction == "in" else (Out, In)
            ports |= {f"{stream.prefix}_tdata": give(stream.width), f"{stream.prefix}_tvalid": give(1)}
            ports |= {f"{stream.prefix}_tready": take(1), f"{stream.prefix}_tlast": give(1)}
        ports |= {axi.lite(name): member for name, member in AXI_LITE_PORTS.items()}
        super().__init__(spec.name, ports, clocked=False)

    def module(self) -> Module:
        """A module with the clock and the active-low reset of AXI."""
        m = Module()
        m.domains.sync = ClockDomain("sync")
        m.d.comb += [ClockSignal().eq(getattr(self, axi.CLOCK)), ResetSignal().eq(~getattr(self, axi.RESET))]
        return m

    def wire(self, name: str) -> Value:
        """The wire called ``name``, zero bits wide if the design has none."""
        return self.wires.get(name, Const(0, 0))

    def data(self, stream: str) -> Value:
        """``tdata`` of a stream without its padding."""
        found = self.spec.stream(stream)
        return getattr(self, f"{found.prefix}_tdata")[: found.field.bits]

    def sequence(self, m: Module, control: Sequencer, **pins: Value) -> None:
        """Instantiate register file and sequencer and connect them to the streams and the wires of the datapath.

        ``pins`` connects ports of the sequencer otherwise than to the wire of their name. Raises ``ValueError`` for one
        that it lacks.
        """
        spec = self.spec
        file = Registers(f"{spec.family}_shell_{spec.design_hash}", spec.register_file(), spec.design_hash)
        shared = ("start", *size_ports(file.sizes, In), *EVENTS, *file.stalls, *file.flags)
        access = {name: getattr(self, axi.lite(name)) for name in AXI_LITE_PORTS}
        self.use(m, file, "shell", **access, **{name: self._joined(file, name) for name in shared})
        streams = {name: wire for name, wire in self._streams().items() if name in control.ports}
        own = streams | pins
        rest = [name for name in control.ports if name not in own and name not in ("clk", "rst")]
        self.use(m, control, "control", **own, **{name: self._joined(control, name) for name in rest})

    def _streams(self) -> dict[str, Value]:
        """The handshakes of all streams, called as ports of a sequencer are."""
        return {
            f"{stream.name}_{wire}": getattr(self, f"{stream.prefix}_{wire}")
            for stream in self.spec.streams()
            for wire in ("tvalid", "tready", "tlast")
        }

    def _joined(self, block: Block, name: str) -> Signal:
        """The wire called ``name``, as wide as that port of ``block`` where it is new."""
        if name not in self.wires:
            self.wires[name] = Signal(getattr(block, name).shape(), name=name)
        return self.wires[name]
