"""A block is a component that is written once, under its own name, however often it is used."""

from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In


class Block(wiring.Component):
    """Base of every generated module.

    ``ports`` maps a name to ``In(width)`` or ``Out(width)``, width 0 for none; a ``clocked`` block also has ``clk``,
    one that ``resets`` its registers ``rst`` (synchronous, active high). ``latency`` and ``throughput`` are the
    sentences of the header.
    """

    place: str  # where the inventory counts it
    latency = "0 cycles (combinational)"
    throughput = "1 per cycle"
    _MustUse__silence = True  # of blocks of one name only the first is elaborated

    def __init__(self, name: str, ports: dict[str, Any], *, clocked: bool, resets: bool = False) -> None:
        clock = ({"clk": In(1)} if clocked else {}) | ({"rst": In(1)} if resets else {})
        super().__init__(clock | {port: shape for port, shape in ports.items() if shape.shape != 0})
        self.module_name = name
        self.clocked = clocked
        self.children: dict[str, tuple[Block, int]] = {}

    @property
    def summary(self) -> str:
        """What the module is, for its header."""
        return str(self.__doc__).splitlines()[0]

    def module(self) -> Module:
        """A module to describe the block in, its clock domain bound to the ports."""
        m = Module()
        if self.clocked:
            resets = "rst" in self.signature.members
            m.domains.sync = ClockDomain("sync", reset_less=not resets)
            m.d.comb += ClockSignal().eq(self.clk)
            if resets:
                m.d.comb += ResetSignal().eq(self.rst)
        return m

    def use(self, m: Module, block: "Block", name: str, **connections: Any) -> None:
        """Instantiate ``block`` here; unconnected outputs stay open."""
        pins: dict[str, Any] = {}
        for port, member in block.signature.members.items():
            if port in ("clk", "rst"):
                pins[f"i_{port}"] = ClockSignal() if port == "clk" else ResetSignal()
            elif port in connections:
                pins[f"{'i' if member.flow.name == 'In' else 'o'}_{port}"] = connections.pop(port)
        unknown = [port for port, value in connections.items() if len(value)]
        if unknown:
            raise ValueError(f"Block {block.module_name} has no port {unknown[0]!r}")
        m.submodules[name] = Instance(block.module_name, **pins)
        _, count = self.children.get(block.module_name, (block, 0))
        self.children[block.module_name] = (block, count + 1)


def drive(m: Module, output: Any, value: Any) -> None:
    """Drive an output that other values of the block must not be expressed by.

    Yosys names a net after the port it reaches. Where one bit of a packed output is computed from another one, that
    makes the vector depend on itself and event-driven simulators see a loop; a buffer keeps the names apart.
    """
    width = len(output)
    m.submodules += Instance(
        "$pos", a_keep=1, p_A_SIGNED=0, p_A_WIDTH=width, p_Y_WIDTH=width, i_A=value, o_Y=output
    )


def register(m: Module, width: int, name: str, enable: Any, value: Any) -> Signal:
    """A datapath register: no reset, loads ``value`` when ``enable``."""
    held = Signal(width, name=name, reset_less=True)
    with m.If(enable):
        m.d.sync += held.eq(value)
    return held
