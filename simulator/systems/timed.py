"""The same cycles as `machine.Machine`, faster: transfers are timed by themselves, and cycles without an event skipped.

A transfer finds its mover and the memory at rest, so how long it takes depends on its shape, its place in a page and
the phase of the memory alone; the mover's model is run once for each of these. For a memory that waits at random it
also depends on how many requests came before, and nothing is remembered. Loads overlap; ``simulator/systems/loads.py``
times them.

A run whose inputs are still being loaded when it starts (the LM head) ends with the last of them: its rows come slower
than the unit takes them, which the compiler sees to.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import lcm

from blueprint.numbers import ceil_div
from blueprint.systems import control
from blueprint.systems.control import Hardware
from blueprint.systems.dma import PAGE_BYTES, Transfer
from blueprint.systems.instructions import MOVED, MOVERS, Instruction
from blueprint.systems.memory_port import MemoryPort
from blueprint.systems.starved import Cycles, Starved
from simulator.systems import dma
from simulator.systems.loads import Flying
from simulator.systems.machine import Machine, Token, Trace, _Executor, _Never, stored_beat

_PLACE = MOVED.index("place")


@dataclass(frozen=True)
class _Timed:
    """A store by itself: cycles from the offer to `done`, and requests."""

    cycles: int
    requests: int


#: Stores by shape, place in a page, phase of memory.
Stores = dict[tuple[object, ...], _Timed]


@dataclass(frozen=True)
class Known:
    """Transfers that were timed before: what another run of the same hardware with the same memory may use too.

    ``loads`` is the reader, once there is one.
    """

    stores: Stores = field(default_factory=dict)
    loads: list[Flying] = field(default_factory=list)


class Timed(Machine):
    """A system that runs the passes of a program; see `Machine` for the arguments.

    ``known`` are transfers that were timed before, which another run of the same hardware may use too.
    """

    def __init__(
        self,
        hardware: Hardware,
        programs: Sequence[Sequence[Instruction]],
        pages: Sequence[int],
        memories: Sequence[MemoryPort],
        cycles: Cycles,
        *,
        position: int = 0,
        steps: Sequence[int] = (),
        token: Token = lambda address: 0,
        known: Known | None = None,
        starved: Starved | None = None,
    ) -> None:
        super().__init__(
            hardware, programs, pages, memories, cycles, position=position, steps=steps, token=token
        )
        known = known or Known()
        self.known = known.stores
        if not known.loads:
            known.loads.append(Flying(hardware.load, memories[1]))
        (self.loads,) = known.loads
        self.loads.again()
        self._ports = {"store": memories[2]}
        self._asked = {"store": 0}
        self._done = {"load": -1, "store": -1}
        self._landing: deque[int] = deque()
        self._starved = starved or Starved(hardware)
        self._late: tuple[str, int] | None = None
        self.skipped = 0

    def run(self) -> Trace:
        """All passes, to the cycle in which the interrupt is high."""
        self._ask(control.NEXT_PASS)
        cycle = 0
        while self.over < 0:
            before = self._fetching()
            happened = self._cycle(cycle)
            step = 1 if happened or self._fetching() != before else self._quiet(cycle)
            self.skipped += step - 1
            cycle += step
        return self._told()

    def _fetching(self) -> tuple[object, ...]:
        """State that changes in the fetching mover, its memory and the queues while anything is under way."""
        fetch = self.fetch
        bursts, packer, memory = fetch.bursts, fetch.packer, fetch.memory
        return (
            bursts.step, bursts.steps_left, bursts.request, bursts.offers, len(fetch.asked), fetch.reserved,
            len(fetch.words), fetch.place, packer.held, packer.ending, memory.accepted, bool(memory._waiting),
            tuple(memory._waiting[0]) if memory._waiting else (),
            *((len(one.queue), one.begun) for one in self.units.values()),
        )  # fmt: skip

    def _quiet(self, cycle: int) -> int:
        """Cycles to the next one in which anything can happen."""
        if self.fetch.memory._waiting or self.fetch.bursts.request is not None:
            return 1
        ends = [one.end for one in self.units.values() if one.begun >= 0 and one.end > cycle]
        ends += [done for done in (*self._landing, self._done["store"]) if done > cycle]
        ends += [offer[0] for offer in self.offers.values() if offer[0] > cycle]
        if not ends:
            raise RuntimeError(f"A program must run to its end, not be stuck from cycle {cycle} on")
        return min(ends) - cycle

    def _movers(self, cycle: int) -> dict[str, bool]:
        found = {}
        offer = self.offers.get("fetch")
        if offer and offer[0] <= cycle:
            self.fetch.bursts.offer(offer[1], offer[2])
            del self.offers["fetch"]
        self.fetch.cycle(cycle)
        for event in self.fetch.events:
            if event.kind == "request":
                self.trace.requests.setdefault("fetch", []).append((cycle, event.first, event.second))
        self.fetch.events.clear()
        for name in MOVERS:
            offer = self.offers.get(name)
            if offer and offer[0] <= cycle:
                del self.offers[name]
                if name == "load":
                    self._load(cycle, offer[1], offer[2])
                else:
                    self._done[name] = cycle + self._time(name, cycle, offer[1], offer[2])
            if name == "load" and self._landing and self._landing[0] == cycle:
                self._landing.popleft()
                found[name] = True
            elif name == "store" and self._done[name] == cycle:
                found[name] = True
        return found

    def _load(self, cycle: int, transfer: Transfer, indices: list[int]) -> None:
        """A load is offered."""
        taken, done = self.loads.take(transfer, indices[0] if indices else 0, cycle)
        self.units["load"].end = taken + control.ASKED
        self._done["load"] = done
        self._landing.append(done)
        self._arrived(cycle)

    # Stores --------------------------------------------------------------------------------------------------------

    def _time(self, name: str, cycle: int, transfer: Transfer, indices: list[int]) -> int:
        """Cycles from the one in which a transfer is taken to the one in which it is done."""
        port = self._ports[name]
        place = self.units[name].registers[_PLACE]
        moved = transfer.address + (indices[0] * transfer.stride if indices else 0)
        phase = cycle % lcm(port.period or 1, port.interval)
        kind = stored_beat(self.hardware, place)
        beyond = transfer.address + transfer.rows * max(transfer.stride, transfer.row_bytes) > port.size
        shape = (transfer.row_bytes, transfer.rows, transfer.stride % PAGE_BYTES, bool(indices))
        key = (name, kind, moved % PAGE_BYTES, *shape, phase)
        once = port.spread or beyond
        if once or key not in self.known:
            self.known[key] = self._timed(name, cycle, transfer, indices, place)
        self._asked[name] += self.known[key].requests
        return self.known[key].cycles

    def _timed(self, name: str, cycle: int, transfer: Transfer, indices: list[int], place: int) -> _Timed:
        always: dma.Pattern = lambda _: True  # noqa: E731
        mover = dma.Writer(self.hardware.store, dma.Ends((), (), always, always), self._ports[name])
        mover.source = drain = _Never()
        mover.memory.accepted = before = self._asked[name]
        mover.bursts.offer(transfer, indices)
        for now in itertools.count(cycle):
            if now - cycle > dma.STUCK + _most_cycles(transfer, self._ports[name]):
                raise RuntimeError(f"A transfer must end, not be stuck: {transfer}")
            mover.cycle(now)
            if now == cycle:
                beat, port = stored_beat(self.hardware, place), self.hardware.width // 8
                drain.begin(transfer, port // control.UNIT_BYTES, max(1, port // beat))
                mover.frames.append(ceil_div(transfer.row_bytes * transfer.rows, port))
            if any(event.kind in ("done", "refused") for event in mover.events):
                return _Timed(now - cycle, mover.memory.accepted - before)
            mover.events.clear()
        raise AssertionError

    # Runs that starve -------------------------------------------------------------------------------------------------

    def _begin(self, cycle: int, unit: str, executor: _Executor, one: Instruction) -> int:
        if one.kind == "start" and unit not in MOVERS and self._starved.begins(unit, executor.registers):
            self._late = (unit, cycle)
            return -1
        return super()._begin(cycle, unit, executor, one)

    def _arrived(self, cycle: int) -> None:
        """Count what the transfer that was just taken brings; where a run waits for it, its end is known now."""
        registers: Mapping[int, int] = self.units["load"].registers
        self._starved.loads(registers)
        if self._late is None or not self._starved.whole:
            return
        unit, begun = self._late
        last = self._done["load"] + control.STAGED
        tail = self._starved.tail(unit, self.units[unit].registers, self.cycles, self._starved.last)
        self.units[unit].end = control.run_end(begun, last + tail - begun - control.FIRST_BEAT + 1)
        self._late = None


def _most_cycles(transfer: Transfer, port: MemoryPort) -> int:
    """An upper bound on the cycles of a transfer, from its bytes."""
    slow = port.interval * (port.period or 1) + port.latency + port.spread
    return slow * (1 + transfer.row_bytes) * max(transfer.rows, 1)
