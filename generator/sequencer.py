"""Base of the sequencers of all families: ports, loop counters, run flags, stalls."""

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib.wiring import In

from blueprint.spec import Spec
from generator.block import Block
from generator.boundary import EVENTS, Run
from generator.cells.counter import Loop, count_down


def held(m: Module, name: str, rise: Value, fall: Value) -> Signal:
    """A set-dominant flip-flop: ``rise`` sets it, ``fall`` clears it."""
    flag = Signal(name=name)
    with m.If(rise):
        m.d.sync += flag.eq(1)
    with m.Elif(fall):
        m.d.sync += flag.eq(0)
    return flag


class Sequencer(Block):
    """Base of the sequencers: loops around the beats of a run, counted down from the sizes of the run.

    Sizes are counted down by what one step covers, so no division is needed and ragged edges end a loop early.
    Every sequencer takes ``run``: its start and the sizes that it reads, the ``events`` that the sequencer reports, and
    a stall for each reason that the register file of its design counts.
    """

    place = "control"
    bare = ("run",)
    spec: Any

    def __init__(self, spec: Spec, name: str, ports: dict[str, Any], events: Iterable[str] = EVENTS) -> None:
        self.spec = spec
        run = In(Run(spec.register_file(), events))
        super().__init__(name, {"run": run} | ports, clocked=True, resets=True)

    def counted(self, m: Module, name: str, size: Value, step: int, advance: Value) -> Value:
        """Count as :meth:`counter` does; returns whether this is the last step."""
        return self.counter(m, name, size, step, advance).last

    def counter(
        self, m: Module, name: str, size: Value, step: int, advance: Value, *, shown: bool = False
    ) -> Loop:
        """Count ``size`` down by ``step``; after the last step it starts over."""
        return count_down(m, name, size, step, self.run.start, advance, shown=shown)

    def active(self, m: Module, name: str, end: Value) -> Signal:
        """1 while a loop of the run is active: from the start until ``end``."""
        return held(m, name, self.run.start, end)

    def opening(self, m: Module, first: str | Signal, advance: Value, last: Value) -> Signal:
        """1 if the step that is next to advance is the first of its loop; a name, or a signal that is there already."""
        first = Signal(name=first) if isinstance(first, str) else first
        with m.If(self.run.start):
            m.d.sync += first.eq(1)
        with m.Elif(advance):
            m.d.sync += first.eq(last)
        return first

    def report(self, m: Module, accepted: Value, misframed: Value) -> None:
        """Report accepted beats, and beats with a wrong ``tlast``, to the register file."""
        m.d.comb += [self.run.accepted.eq(accepted), self.run.misframed.eq(misframed)]


def taken(*streams: Any) -> Value:
    """1 if a beat of any of these streams is accepted."""
    beats: list[Value] = [stream.tvalid & stream.tready for stream in streams]
    return reduce(or_, beats)
