"""cocotb bench for every design: steps from a file through the AXI ports, and what happened into another file.

Runs inside the simulator; the outside (:mod:`simulator.cosim.check`) wrote the steps and judges the answers.
A scenario is a list of steps and begins with a reset. A design that stands still ends the bench.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, Timer

from blueprint import counting
from blueprint.axi import CLOCK, RESET, StreamPort, lite
from simulator.cosim.axi import PATIENCE, Hang, Lite, Sink, Source

PERIOD_NS = 10
#: The instance that holds the registers.
SHELL = "shell"
#: Cycles without a beat after which nothing moves before a pattern opens: the bench then skips to that cycle.
QUIET = 1_000

Answer = dict[str, Any]


class Bench:
    """The design with its drivers and monitors."""

    def __init__(self, dut: Any, streams: Mapping[str, Mapping[str, Any]]) -> None:
        self.dut, self.clock = dut, getattr(dut, CLOCK)
        self.streams = {name: StreamPort(**facts) for name, facts in streams.items()}
        self.lite = Lite(dut)
        outputs = [port.valid for port in self.streams.values() if not port.is_input]
        self.answers = (*outputs, lite("bvalid"), lite("rvalid"))
        self.cycle = 0

    async def perform(self, step: Mapping[str, Any]) -> Answer:
        """One step; the answer says what it saw, and ``faults`` which rules were broken."""
        options = {name: value for name, value in step.items() if name not in ("do", "at")}
        answer: Answer = await getattr(self, step["do"])(**options)
        faults, self.lite.faults = self.lite.faults, []
        return {**answer, "faults": [*answer.get("faults", []), *faults]}

    async def write(self, **options: Any) -> Answer:
        return await self.lite.write(**options)

    async def read(self, **options: Any) -> Answer:
        return await self.lite.read(**options)

    async def poll(self, address: int, mask: int) -> Answer:
        """Read until a bit of ``pattern`` is set; ``seen`` is every value in turn."""
        seen: list[int] = []
        for _ in range(PATIENCE // 10):
            data = (await self.lite.read(address))["data"]
            seen += [data] if seen[-1:] != [data] else []
            if data & mask:
                return {"seen": seen}
        raise Hang(f"{address:#04x} reads {data:#x} and never shows bit {mask.bit_length() - 1}")

    async def preset(self, values: Mapping[str, int]) -> Answer:
        """Put numbers into counters of the shell; ``was`` is what they held, ``None`` where there are none to reach."""
        shell, was = getattr(self.dut, SHELL, None), {}
        for name, value in values.items():
            counter = getattr(shell, f"{name}_held", None)
            if counter is None:
                return {"was": None}
            was[name] = int(counter.value)
            counter.value = value
            if (flags := getattr(shell, f"{name}_held_full", None)) is not None:
                flags.value = counting.full(value, len(flags))
        return {"was": was}

    async def together(self, steps: Sequence[Mapping[str, Any]]) -> Answer:
        """Accesses in parallel."""
        tasks = [cocotb.start_soon(self.perform(step)) for step in steps]
        return {"answers": [await task for task in tasks]}

    async def reset(self, cycles: int) -> Answer:
        """Reset while everything is offered and every sink is ready; one cycle without afterwards."""
        getattr(self.dut, RESET).value = 0
        self._offer(1)
        shown: dict[str, None] = {}
        for _ in range(cycles):
            await FallingEdge(self.clock)
            shown |= dict.fromkeys(name for name in self.answers if int(getattr(self.dut, name).value))
        self._offer(0)
        getattr(self.dut, RESET).value = 1
        await FallingEdge(self.clock)
        return {"faults": [f"{name} must be low in reset" for name in shown]}

    def _offer(self, level: int) -> None:
        """A beat on every input, and room for one on every output, or neither."""
        for port in self.streams.values():
            getattr(self.dut, port.valid if port.is_input else port.ready).value = level

    async def run(
        self,
        ports: Mapping[str, Mapping[str, Any]],
        meanwhile: Sequence[Mapping[str, Any]] = (),
        limit: int | None = None,
        linger: int = 0,
    ) -> Answer:
        """Move beats until all are through and ``linger`` cycles longer, or for ``limit`` cycles, from cycle 0 on."""
        moving: dict[str, Source | Sink] = {}
        for name, port in self.streams.items():
            kind = Source if port.is_input else Sink
            moving[name] = kind(self.dut, port, ports[name])
        self.cycle = 0
        chores: list[Answer] = []
        beside = cocotb.start_soon(self._chores(meanwhile, chores))
        await self._stream(list(moving.values()), limit, linger)
        self.cycle = 1 << 62
        await beside
        sinks = {name: end for name, end in moving.items() if isinstance(end, Sink)}
        return {
            "accepted": {name: end.accepted for name, end in moving.items()},
            "beats": {name: [f"{beat:x}" for beat in end.beats] for name, end in sinks.items()},
            "lasts": {name: end.lasts for name, end in sinks.items()},
            "faults": [fault for end in moving.values() for fault in end.faults],
            "meanwhile": chores,
        }

    async def _chores(self, chores: Sequence[Mapping[str, Any]], answers: list[Answer]) -> None:
        for chore in chores:
            while self.cycle < chore["at"]:
                await FallingEdge(self.clock)
            answer = await self.perform(chore)
            answers.append({**answer, "cycle": self.cycle})

    async def _stream(self, ports: list[Source | Sink], limit: int | None, linger: int) -> None:
        idle = 0
        while linger and (limit is None or self.cycle < limit) or not _through(ports, limit, self.cycle):
            linger -= _through(ports, None, 0)
            before = sum(len(port.accepted) for port in ports)
            for port in ports:
                port.drive(self.cycle)
            await ReadOnly()
            for port in ports:
                port.sample(self.cycle)
            idle = idle + 1 if sum(len(port.accepted) for port in ports) == before else 0
            if idle > PATIENCE and limit is None:
                raise Hang(_waiting(ports), [fault for port in ports for fault in port.faults])
            await FallingEdge(self.clock)
            for port in ports:
                port.settle()
            self.cycle += 1
            if idle > QUIET and (skipped := _closed(ports, self.cycle)) > QUIET:
                await Timer(PERIOD_NS * skipped, "ns")
                self.cycle += skipped
        for port in ports:
            port.leave()


def _through(ports: list[Source | Sink], limit: int | None, cycle: int) -> bool:
    return all(port.done for port in ports) if limit is None else cycle >= limit


def _closed(ports: list[Source | Sink], cycle: int) -> int:
    """Cycles until the first pattern opens."""
    return min((closed for port in ports if (closed := port.closed_for(cycle))), default=0)


def _waiting(ports: list[Source | Sink]) -> str:
    states = "; ".join(port.state for port in ports if not port.done)
    return f"no beat moved for {PATIENCE:,} cycles: {states}"


def _wrong_ports(dut: Any, wanted: Mapping[str, int]) -> list[str]:
    """Ports that the top module lacks or that are of another width."""
    return [
        name for name, width in wanted.items() if not hasattr(dut, name) or len(getattr(dut, name)) != width
    ]


@cocotb.test()
async def scenarios(dut: Any) -> None:
    """Every scenario of the file; answers are written one by one."""
    asked = json.loads(Path(os.environ["TERNFORGE_STEPS"]).read_text())
    with Path(os.environ["TERNFORGE_ANSWERS"]).open("w") as answers:

        def tell(answer: Answer) -> None:
            print(json.dumps(answer), file=answers, flush=True)

        if wrong := _wrong_ports(dut, asked["ports"]):
            tell({"ports": wrong})
            return
        Clock(getattr(dut, CLOCK), PERIOD_NS, "ns").start(start_high=False)
        getattr(dut, RESET).value = 0
        bench = Bench(dut, asked["streams"])
        await FallingEdge(bench.clock)
        for scenario in asked["scenarios"]:
            for step in scenario:
                try:
                    tell(await bench.perform(step))
                except Hang as standing:
                    tell({"hung": str(standing), "faults": [*standing.faults, *bench.lite.faults]})
                    return
