"""What the sequencers of all families are made of: ports, loop counters, flags of a run, stalls."""

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.shell import STALLS
from blueprint.spec import Spec
from generator.block import Block
from generator.cells.register_file import size_ports


def handshakes(
    inputs: Iterable[str], outputs: Iterable[str] = (), *, watched: Iterable[str] = ()
) -> dict[str, Any]:
    """Ports by which a sequencer moves streams; of those ``watched`` another block accepts the beats."""
    ports = {f"{name}_{wire}": In(1) for name in (*inputs, *watched) for wire in ("tvalid", "tlast")}
    ports |= {f"{name}_tready": In(1) for name in outputs}
    ports |= {f"{name}_tready": Out(1) for name in inputs}
    return ports | {f"{name}_{wire}": Out(1) for name in outputs for wire in ("tvalid", "tlast")}


def tells(*others: str) -> dict[str, Any]:
    """Ports by which a sequencer tells the register file of ``others`` events, and of the stalls of every design."""
    return {name: Out(1) for name in (*others, *STALLS[:-1])}


def held(m: Module, name: str, rise: Value, fall: Value) -> Signal:
    """A flip-flop that ``rise`` sets, which wins, and ``fall`` clears."""
    flag = Signal(name=name)
    with m.If(rise):
        m.d.sync += flag.eq(1)
    with m.Elif(fall):
        m.d.sync += flag.eq(0)
    return flag


class Sequencer(Block):
    """Base of the sequencers: loops around the beats of a run, counted down from the sizes of the run.

    Sizes are counted down by what one step covers, so no division is needed and ragged edges end a loop early.
    Every sequencer takes ``start`` and the sizes that a run reads, and drives a stall output for each reason that the
    register file of its design counts. A stall output among ``ports`` keeps its place there.
    """

    place = "control"
    spec: Any

    def __init__(self, spec: Spec, name: str, ports: dict[str, Any]) -> None:
        self.spec = spec
        self.left: dict[str, Signal] = {}  # what a counter has still to cover, by its name
        file = spec.register_file()
        ports = {**size_ports(file.present, In), "start": In(1), **ports}
        for stall in file.stalls:
            ports.setdefault(stall, Out(1))
        super().__init__(name, ports, clocked=True, resets=True)

    def counted(self, m: Module, name: str, size: Value, step: int | Value, advance: Value) -> Value:
        """Count ``size`` down by ``step``; returns whether this is the last step, after which it starts over."""
        left = Signal(len(size), name=f"{name}_left")
        last = Signal(name=f"{name}_last")
        m.d.comb += last.eq(left <= step)
        with m.If(self.start):
            m.d.sync += left.eq(size)
        with m.Elif(advance):
            m.d.sync += left.eq(Mux(last, size, left - step))
        self.left[name] = left
        return last

    def active(self, m: Module, name: str, end: Value) -> Signal:
        """Whether a loop of the run is going on: from the start until ``end``."""
        return held(m, name, self.start, end)

    def opening(self, m: Module, name: str, advance: Value, last: Value) -> Signal:
        """Whether the step that is next to advance is the first of its loop."""
        first = Signal(name=name)
        with m.If(self.start):
            m.d.sync += first.eq(1)
        with m.Elif(advance):
            m.d.sync += first.eq(last)
        return first

    def taken(self, *streams: str) -> Value:
        """Whether a beat of any of these streams is accepted."""
        beats = [getattr(self, f"{name}_tvalid") & getattr(self, f"{name}_tready") for name in streams]
        return reduce(or_, beats)

    def report(self, m: Module, accepted: Value, misframed: Value) -> None:
        """Tell the register file of beats that are accepted, and of those with a wrong ``tlast``."""
        m.d.comb += [self.accepted.eq(accepted), self.misframed.eq(misframed)]
