"""Blocks: Amaranth components that are emitted once under their own name and instantiated any number of times."""

from collections.abc import Iterator
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Instance, Module, ResetSignal, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.data import Layout
from amaranth.lib.wiring import In

from blueprint.files.nearest import suggestion
from blueprint.numbers import slices
from generator.layout import bits, viewed


class Block(wiring.Component):
    """Base of every generated module.

    ``ports`` maps a name to ``In`` or ``Out`` of a width, of a layout (:mod:`generator.layout`) or of a signature
    (:mod:`generator.boundary`). A port without bits does not exist in the module: ``self.name`` is empty, and whatever
    is connected to it is left out. The wires of an interface are ports named by the interface and the wire, or by the
    wire alone if the class lists the interface as ``bare``. A ``clocked`` block also has ``clk``, and a block that
    ``resets`` its registers has ``rst`` (synchronous, active high). ``latency`` and ``throughput`` are the sentences of
    the header. A port that is wider than a vector can be becomes several, ``name_0`` and so on; ``self.name`` is all of
    them together and is connected as one.
    """

    place: str  # where the inventory counts it
    template = ""  # name of the text in rtl_templates that is the module, if any
    latency = "0 cycles (combinational)"
    throughput = "1 per cycle"
    bare: tuple[str, ...] = ()
    _MustUse__silence = True  # only the first of several blocks with one name is elaborated

    def __init__(self, name: str, ports: dict[str, Any], *, clocked: bool, resets: bool = False) -> None:
        clock = ({"clk": In(1)} if clocked else {}) | ({"rst": In(1)} if resets else {})
        self.ports = clock | ports
        split = {port: _pieces(port, member) for port, member in self.ports.items()}
        super().__init__({name: member for pieces in split.values() for name, member in pieces.items()})
        self.module_name, self.clocked, self.resets = name, clocked, resets
        self.children: dict[str, tuple[Block, int]] = {}
        for port, pieces in split.items():
            member = self.ports[port]
            if not member.is_signature and (len(pieces) > 1 or isinstance(member.shape, Layout)):
                whole = [getattr(self, name) for name in pieces]
                setattr(self, port, viewed(member.shape, whole[0] if len(whole) == 1 else Cat(*whole)))

    @cached_property
    def pins(self) -> dict[str, tuple[Any, Value]]:
        """Every port of the module by its name there: its direction, and the signal inside."""
        found = {}
        for path, member, value in self.signature.flatten(self):
            name, signal = self._pin(path), bits(value)
            if len(signal):
                signal.name = name
                found[name] = member.flow, signal
        return found

    def _pin(self, path: tuple[Any, ...]) -> str:
        """The name in the module of a wire at this path."""
        return "_".join(map(str, path[1:] if path[0] in self.bare else path))

    @property
    def memory(self) -> dict[str, Any]:
        """The function of a macro that can replace the module; empty if the module is no memory."""
        return {}

    @property
    def summary(self) -> str:
        """Description of the module, for its header."""
        return str(self.__doc__).splitlines()[0]

    def module(self) -> Module:
        """A module to describe the block in, its clock domain bound to the ports."""
        m = Module()
        if self.clocked:
            m.domains.sync = ClockDomain("sync", reset_less=not self.resets)
            m.d.comb += ClockSignal().eq(self.clk)
            if self.resets:
                m.d.comb += ResetSignal().eq(self.rst)
        return m

    def use(self, m: Module, block: "Block", name: str, *, prefix: str | None = None, **given: Any) -> Any:
        """Instantiate ``block`` here; returns what is connected to its ports, by their names.

        Outputs that are not ``given`` drive wires of their own, called ``prefix`` (by default ``name``) and the port.
        Raises ``ValueError`` for a port that the block does not declare, an input that is missing, and a width that is
        not that of the port.
        """
        ends = SimpleNamespace()
        found: dict[str, Any] = {}
        for port, member in block.ports.items():
            if port in ("clk", "rst"):
                found[f"i_{port}"] = ClockSignal() if port == "clk" else ResetSignal()
                continue
            end = given.pop(port) if port in given else block.unread(port, prefix, name)
            setattr(ends, port, end)
            for pin, value in block.connected(port, member, end):
                found[f"{'i' if block.pins[pin][0] == In else 'o'}_{pin}"] = value
        for port in given:
            raise ValueError(f"Block {block.module_name} has no port {port!r}{suggestion(port, block.ports)}")
        m.submodules[name] = Instance(block.module_name, **found)
        _, count = self.children.get(block.module_name, (block, 0))
        self.children[block.module_name] = (block, count + 1)
        return ends

    def unread(self, port: str, prefix: str | None, name: str) -> Any:
        """A wire for an unconnected output, because lint tools report a missing pin.

        Raises ``ValueError`` for an input.
        """
        member = self.ports[port]
        width = 0 if member.is_signature else Shape.cast(member.shape).width
        if member.flow == In and (width or member.is_signature):
            raise ValueError(f"Port {port} of block {self.module_name} must be connected")
        return viewed(member.shape, word(width, f"{name}_{port}" if prefix is None else f"{prefix}{port}"))

    def connected(self, port: str, member: Any, given: Any) -> Iterator[tuple[str, Any]]:
        """Pins of a port with the value connected to each; empty where the design lacks the port.

        Raises ``ValueError`` for a value of another width.
        """
        if member.is_signature:
            pairs = [(self._pin((port, *path)), value) for path, _, value in member.signature.flatten(given)]
        else:
            pieces = _pieces(port, member)
            values = sliced(bits(given)) if len(pieces) > 1 else [given]
            pairs = list(zip(pieces, values, strict=True))
        for pin, value in pairs:
            if pin in self.pins:
                if len(bits(value)) != len(self.pins[pin][1]):
                    width = len(self.pins[pin][1])
                    raise ValueError(
                        f"Port {pin} of block {self.module_name} must be given {width} bits, not {len(bits(value))}"
                    )
                yield pin, bits(value)


def _pieces(port: str, member: Any) -> dict[str, Any]:
    """The ports that hold a port: itself, or vectors side by side where one cannot be so wide.

    A layout is a plain vector here: Amaranth would give every field of a wire a wire of its own.
    """
    widths = [0] if member.is_signature else widths_of(Shape.cast(member.shape).width)
    if len(widths) > 1:
        return {f"{port}_{number}": type(member)(member.flow, width) for number, width in enumerate(widths)}
    plain = not member.is_signature and isinstance(member.shape, Layout)
    return {port: type(member)(member.flow, widths[0]) if plain else member}


def widths_of(bits: int) -> list[int]:
    """The widths of the vectors that hold a word of ``bits`` bits."""
    count, width = slices(bits)
    return [width] * (count - 1) + [bits - width * (count - 1)]


def sliced(value: Value) -> list[Value]:
    """Split a word into the vectors that hold it."""
    found, low = [], 0
    for width in widths_of(len(value)):
        found.append(value[low : low + width])
        low += width
    return found


def word(width: int, name: str, *, reset_less: bool = False) -> Any:
    """A signal of any width; a wide word is several signals side by side."""
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
    for given, taken in zip(sliced(bits(value)), sliced(bits(output)), strict=True):
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
