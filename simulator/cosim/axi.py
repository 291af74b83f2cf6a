"""AXI drivers and monitors of the bench: sources, sinks and an AXI4-Lite master that record protocol violations.

Which beat is offered when, and the names of ports, are those of :mod:`blueprint.axi`.

Inputs change at the falling edge of the clock and everything is sampled right after, so nothing depends on the order of
events at the rising edge. Nothing is asserted here: what is wrong is a sentence in ``faults``, and the bench goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cocotb.triggers import FallingEdge, ReadOnly

from blueprint.axi import CLOCK, REQUESTS, RESPONSE, Offer, StreamPort, lite

#: Cycles without a beat after which a run is given up, and without a response after which an access is.
PATIENCE, LITE_PATIENCE = 20_000, 200


class Hang(Exception):
    """The design hangs; the message names the blocked streams, ``faults`` the violations before."""

    def __init__(self, text: str, faults: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.faults = list(faults)


class Port:
    """One stream and what this run does with it: ``pattern`` says when it may move, repeated; always where empty."""

    def __init__(self, dut: Any, port: StreamPort, pattern: str) -> None:
        self.valid, self.ready = getattr(dut, port.valid), getattr(dut, port.ready)
        self.data, self.last = getattr(dut, port.data), getattr(dut, port.last)
        self.prefix, self.pattern = port.prefix, pattern
        self.count = 0
        self.accepted: list[int] = []
        self.faults: list[str] = []

    @property
    def done(self) -> bool:
        return len(self.accepted) >= self.count

    def opened(self, cycle: int) -> bool:
        return not self.pattern or self.pattern[cycle % len(self.pattern)] == "1"

    def closed_for(self, cycle: int) -> int:
        """Cycles until the pattern opens; 0 where that is not what the stream waits for."""
        if self.done or self.opened(cycle):
            return 0
        place = cycle % len(self.pattern)
        found = self.pattern.find("1", place)
        return found - place if found >= 0 else len(self.pattern) - place

    def fault(self, text: str) -> None:
        """Record the first fault of each kind."""
        if len(self.faults) < 3:
            self.faults.append(f"{self.prefix}: {text}")

    @property
    def state(self) -> str:
        """State of the stream, for the report of a hang."""
        lines = f"tvalid {int(self.valid.value)}, tready {int(self.ready.value)}"
        return f"{self.prefix} waits at beat {len(self.accepted)} of {self.count} ({lines})"


class Source(Port):
    """Drives beats into the design and holds each until it is accepted; between beats the payload is inverted.

    After the last beat a source with a ``surplus`` offers one that the run has no use for: the design must not take it.
    """

    def __init__(self, dut: Any, port: StreamPort, facts: Mapping[str, Any]) -> None:
        super().__init__(dut, port, facts.get("pattern", ""))
        self.beats = [int(beat, 16) for beat in facts["beats"]]
        self.lasts, self.surplus = set(facts["lasts"]), bool(facts.get("surplus"))
        self.count = len(self.beats)
        self.turned = (1 << len(self.data)) - 1
        self.offer = Offer(self.count)
        self.show(0, self.turned, 1)

    def show(self, valid: int, data: int, last: int) -> None:
        self.valid.value, self.data.value, self.last.value = valid, data, last

    def drive(self, cycle: int) -> None:
        opened = self.opened(cycle)
        if self.offer.drive(opened):
            place = self.offer.taken
            self.show(1, self.beats[place], int(place in self.lasts))
        elif self.done and self.surplus and opened:
            self.valid.value = 1

    def sample(self, cycle: int) -> None:
        ready = bool(int(self.ready.value))
        if self.offer.sample(ready):
            self.accepted.append(cycle)
            self.turned = self.beats[self.offer.taken - 1] ^ ((1 << len(self.data)) - 1)
        elif ready and self.done and int(self.valid.value):
            self.fault(f"beats taken must be {self.count}, not more, as in cycle {cycle}")

    def settle(self) -> None:
        """After the falling edge that follows an accepted beat: offer nothing until told to."""
        if not self.offer.valid and not (self.done and self.surplus and int(self.valid.value)):
            self.show(0, self.turned, 1)

    def leave(self) -> None:
        self.show(0, self.turned, 1)


class Sink(Port):
    """Accepts beats from the design. A sink that ``waits`` raises ready only after it has seen valid."""

    def __init__(self, dut: Any, port: StreamPort, facts: Mapping[str, Any]) -> None:
        super().__init__(dut, port, facts.get("pattern", ""))
        self.count, self.waits = int(facts["count"]), bool(facts.get("waits"))
        self.open = self.seen = False
        self.held: tuple[int, int] | None = None
        self.beats: list[int] = []
        self.lasts: list[int] = []
        self.ready.value = 0

    def drive(self, cycle: int) -> None:
        self.open = self.opened(cycle) and (self.seen or not self.waits)
        self.ready.value = int(self.open)

    def sample(self, cycle: int) -> None:
        valid = bool(int(self.valid.value))
        self.seen = valid and not self.open
        if self.held is not None and not valid:
            self.fault(f"tvalid must stay until tready, not fall in cycle {cycle}")
            self.held = None
        if not valid:
            return
        now = int(self.data.value), int(self.last.value)
        if self.held not in (None, now):
            self.fault(f"payload must stay while stalled, not change in cycle {cycle}")
        self.held = None if self.open else now
        if self.done:
            self.fault(f"beats must be {self.count}, not more, as in cycle {cycle}")
        elif self.open:
            self.accepted.append(cycle)
            self.beats.append(now[0])
            self.lasts.append(now[1])

    def settle(self) -> None:
        """Do nothing: a sink has no beat to withdraw."""

    def leave(self) -> None:
        self.ready.value = 0


class Lite:
    """AXI4-Lite master. ``order`` says which half of a write comes first, ``delay`` by how many cycles; a response is
    taken after ``wait`` cycles in which it must stay as it is, or at once where ``wait`` is 0."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        for name in ("awvalid", "wvalid", "bready", "arvalid", "rready", "awprot", "arprot"):
            self.port(name).value = 0
        self.faults: list[str] = []

    def port(self, name: str) -> Any:
        return getattr(self.dut, lite(name))

    async def write(self, address: int, data: int, strobe: int, **how: Any) -> dict[str, Any]:
        self.port("awaddr").value, self.port("wdata").value, self.port("wstrb").value = address, data, strobe
        return await self._transfer("write", f"the write to {address:#04x}", **how)

    async def read(self, address: int, **how: Any) -> dict[str, Any]:
        self.port("araddr").value = address
        return await self._transfer("read", f"the read of {address:#04x}", **how)

    async def _transfer(
        self, kind: str, what: str, order: Sequence[str] = (), delay: int = 0, wait: int = 1
    ) -> dict[str, Any]:
        response, waiting = RESPONSE[kind], list(order) or list(REQUESTS[kind])
        begins = {name: index * delay for index, name in enumerate(waiting)}
        seen: list[tuple[int, int]] = []
        for cycle in range(LITE_PATIENCE):
            for name in REQUESTS[kind]:
                self.port(f"{name}valid").value = int(name in waiting and cycle >= begins[name])
            taking = len(seen) >= wait
            self.port(f"{response}ready").value = int(taking)
            await ReadOnly()
            waiting = [n for n in waiting if not (int(self.port(f"{n}ready").value) and cycle >= begins[n])]
            self._respond(response, what, waiting, seen)
            taken = taking and int(self.port(f"{response}valid").value)
            await FallingEdge(getattr(self.dut, CLOCK))
            if taken:
                self.port(f"{response}ready").value = 0
                return {"resp": seen[0][0], "data": seen[0][1]}
        raise Hang(f"{lite(response)}valid waits for {what} for {LITE_PATIENCE} cycles")

    def _respond(self, response: str, what: str, waiting: list[str], seen: list[tuple[int, int]]) -> None:
        if not int(self.port(f"{response}valid").value):
            if seen:
                self._fault(f"{lite(response)}valid must stay until the response to {what} is taken")
            return
        if waiting:
            self._fault(f"{lite(response)}valid must wait for {what}")
        now = int(self.port(f"{response}resp").value), int(self.port("rdata").value) * (response == "r")
        if seen and seen[0] != now:
            self._fault(f"{lite(response)}: the response to {what} must stay as it is until it is taken")
        seen.append(now)

    def _fault(self, text: str) -> None:
        if len(self.faults) < 3:
            self.faults.append(text)
