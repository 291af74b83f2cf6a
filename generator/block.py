"""Blocks: Amaranth components that are emitted once under their own name and instantiated any number of times."""

from typing import Any

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Instance, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from blueprint.numbers import slices


class Block(wiring.Component):
    """Base of every generated module.

    ``ports`` maps a name to ``In(width)`` or ``Out(width)``; one of width 0 is no port of the module, and
    ``self.name`` has no bits. A ``clocked`` block also has ``clk``, one that ``resets`` its registers ``rst``
    (synchronous, active high). ``latency`` and ``throughput`` are the sentences of the header. A port wider than a
    vector can be is several, ``name_0`` and so on; ``self.name`` is all of them, and so it is connected.
    """

    place: str  # where the inventory counts it
    template = ""  # the text in rtl_templates that stands for the module, where one does
    latency = "0 cycles (combinational)"
    throughput = "1 per cycle"
    _MustUse__silence = True  # of blocks of one name only the first is elaborated

    def __init__(self, name: str, ports: dict[str, Any], *, clocked: bool, resets: bool = False) -> None:
        clock = ({"clk": In(1)} if clocked else {}) | ({"rst": In(1)} if resets else {})
        self.ports = clock | {port: shape for port, shape in ports.items() if shape.shape != 0}
        self._split: dict[str, list[str]] = {}
        super().__init__(self._vectors())
        for port in ports.keys() - self.ports.keys():
            setattr(self, port, Signal(0))
        for port, pieces in self._split.items():
            setattr(self, port, Cat(*(getattr(self, piece) for piece in pieces)))
        self.module_name = name
        self.clocked = clocked
        self.children: dict[str, tuple[Block, int]] = {}

    def _vectors(self) -> dict[str, Any]:
        """The ports, none wider than a vector."""
        found: dict[str, Any] = {}
        for port, member in self.ports.items():
            widths = widths_of(member.shape) if isinstance(member.shape, int) else [0]
            if len(widths) > 1:
                self._split[port] = [f"{port}_{number}" for number in range(len(widths))]
                found |= {
                    piece: type(member)(member.flow, width)
                    for piece, width in zip(self._split[port], widths, strict=True)
                }
            else:
                found[port] = member
        return found

    @property
    def memory(self) -> dict[str, Any]:
        """What a macro in the place of the module must do, where the module is a memory."""
        return {}

    @property
    def summary(self) -> str:
        """Description of the module, for its header."""
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
        """Instantiate ``block`` here; outputs that are not connected drive a wire of their own."""
        pins: dict[str, Any] = {}
        for port, member in block.ports.items():
            way = "i" if member.flow.name == "In" else "o"
            if port in ("clk", "rst"):
                pins[f"i_{port}"] = ClockSignal() if port == "clk" else ResetSignal()
            elif port in connections:
                pins |= {
                    f"{way}_{piece}": value for piece, value in block.pieces(port, connections.pop(port))
                }
            elif way == "o":  # a wire that nobody reads: tools take a pin that is left out for a mistake
                unread = word(len(getattr(block, port)), f"{name}_{port}")
                pins |= {f"{way}_{piece}": value for piece, value in block.pieces(port, unread)}
        unknown = [port for port, value in connections.items() if len(value)]
        if unknown:
            raise ValueError(f"Block {block.module_name} has no port {unknown[0]!r}")
        m.submodules[name] = Instance(block.module_name, **pins)
        _, count = self.children.get(block.module_name, (block, 0))
        self.children[block.module_name] = (block, count + 1)

    def pieces(self, port: str, value: Any) -> list[tuple[str, Any]]:
        """Connections of a port, vector by vector."""
        if port not in self._split:
            return [(port, value)]
        return list(zip(self._split[port], sliced(value), strict=True))


def widths_of(bits: int) -> list[int]:
    """The widths of the vectors that hold a word of so many bits."""
    count, width = slices(bits)
    return [int(width)] * (int(count) - 1) + [int(bits - width * (count - 1))]


def sliced(value: Value) -> list[Value]:
    """Split a word into the vectors that hold it."""
    found, low = [], 0
    for width in widths_of(len(value)):
        found.append(value[low : low + width])
        low += width
    return found


def word(width: int, name: str, *, reset_less: bool = False) -> Any:
    """A signal of any width: several side by side where one cannot be so wide."""
    widths = widths_of(width)
    if len(widths) == 1:
        return Signal(width, name=name, reset_less=reset_less)
    return Cat(
        *(Signal(each, name=f"{name}_{number}", reset_less=reset_less) for number, each in enumerate(widths))
    )


def drive(m: Module, output: Any, value: Any) -> None:
    """Drive an output through a separate net, so that no other value of the block is expressed by it.

    Yosys names a net after the port it reaches. Where one bit of a packed output is computed from another one, that
    makes the vector depend on itself and event-driven simulators see a loop; a buffer keeps the names apart.
    """
    for given, taken in zip(sliced(value), sliced(output), strict=True):
        width = len(taken)
        m.submodules += Instance(
            "$pos", a_keep=1, p_A_SIGNED=0, p_A_WIDTH=width, p_Y_WIDTH=width, i_A=given, o_Y=taken
        )


def register(m: Module, width: int, name: str, enable: Any, value: Any) -> Any:
    """A datapath register: no reset, loads ``value`` when ``enable``."""
    held = word(width, name, reset_less=True)
    with m.If(enable):
        m.d.sync += held.eq(value)
    return held
