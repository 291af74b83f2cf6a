"""cocotb bench for every design: jobs from a file through the AXI ports, and what happened into another file.

Runs inside the simulator (see :mod:`simulator.cosim.check` for the outside). Inputs change at the falling edge of the
clock and everything is sampled right after, so nothing depends on the order of events at the rising edge. A source
keeps its beat until it is accepted; a sink checks that the design does too.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

#: Cycles without any beat, or polls of a register, after which a job is given up.
PATIENCE = 20_000


class Driver:
    """Offers beats on a stream into the design, whenever its mask is open."""

    def __init__(self, dut: Any, prefix: str, beats: list[str], mask: str) -> None:
        self.valid, self.ready = getattr(dut, f"{prefix}_tvalid"), getattr(dut, f"{prefix}_tready")
        self.data, self.last = getattr(dut, f"{prefix}_tdata"), getattr(dut, f"{prefix}_tlast")
        self.beats = [int(beat, 16) for beat in beats]
        self.mask = mask
        self.offered = False
        self.accepted: list[int] = []
        self.valid.value = 0

    @property
    def done(self) -> bool:
        return len(self.accepted) == len(self.beats)

    def drive(self, cycle: int) -> None:
        if self.offered:
            return
        opened = not self.mask or self.mask[cycle % len(self.mask)] == "1"
        if not self.done and opened:
            place = len(self.accepted)
            self.data.value = self.beats[place]
            self.last.value = int(place == len(self.beats) - 1)
            self.offered = True
        self.valid.value = int(self.offered)

    def sample(self, cycle: int) -> None:
        if self.offered and int(self.ready.value):
            self.accepted.append(cycle)
            self.offered = False


class Monitor:
    """Takes beats from a stream out of the design, and holds it to the rules of AXI."""

    def __init__(self, dut: Any, prefix: str, count: int, mask: str) -> None:
        self.valid, self.ready = getattr(dut, f"{prefix}_tvalid"), getattr(dut, f"{prefix}_tready")
        self.data, self.last = getattr(dut, f"{prefix}_tdata"), getattr(dut, f"{prefix}_tlast")
        self.prefix, self.count, self.mask = prefix, count, mask
        self.open = False
        self.held: tuple[int, int] | None = None
        self.accepted: list[int] = []
        self.beats: list[int] = []
        self.lasts: list[int] = []
        self.ready.value = 0

    @property
    def done(self) -> bool:
        return len(self.accepted) >= self.count

    def drive(self, cycle: int) -> None:
        self.open = not self.mask or self.mask[cycle % len(self.mask)] == "1"
        self.ready.value = int(self.open)

    def sample(self, cycle: int) -> None:
        valid = int(self.valid.value)
        if self.held is not None:
            assert valid, f"{self.prefix}: tvalid must stay until tready, not fall in cycle {cycle}"
        if not valid:
            return
        now = int(self.data.value), int(self.last.value)
        assert self.held in (None, now), (
            f"{self.prefix}: payload must stay while stalled, not change in cycle {cycle}"
        )
        self.held = None if self.open else now
        if self.open:
            assert not self.done, f"{self.prefix}: beats must be {self.count}, not more"
            self.accepted.append(cycle)
            self.beats.append(now[0])
            self.lasts.append(now[1])


class Lite:
    """AXI4-Lite master; a response waits one cycle before it is taken."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        for name in ("awvalid", "wvalid", "bready", "arvalid", "rready", "awprot", "arprot"):
            self.port(name).value = 0

    def port(self, name: str) -> Any:
        return getattr(self.dut, f"s_axil_{name}")

    async def write(self, address: int, value: int) -> None:
        self.port("awaddr").value, self.port("wdata").value, self.port("wstrb").value = address, value, 15
        await self._transfer(("aw", "w"), "b")

    async def read(self, address: int) -> int:
        self.port("araddr").value = address
        return await self._transfer(("ar",), "r")

    async def _transfer(self, requests: tuple[str, ...], response: str) -> int:
        waiting = set(requests)
        taking = taken = False
        value = 0
        for _ in range(PATIENCE):
            for name in requests:
                self.port(f"{name}valid").value = int(name in waiting)
            self.port(f"{response}ready").value = int(taking)
            await ReadOnly()
            waiting -= {name for name in waiting if int(self.port(f"{name}ready").value)}
            offered = int(self.port(f"{response}valid").value)
            assert not (offered and waiting), f"s_axil_{response}valid must wait for the request"
            assert offered or not taking, f"s_axil_{response}valid must stay until it is taken"
            if offered:
                assert int(self.port(f"{response}resp").value) == 0, f"s_axil_{response}resp must be OKAY"
                value = int(self.port("rdata").value) if response == "r" else 0
            taken, taking = taking, bool(offered) and not taking
            await FallingEdge(self.dut.aclk)
            if taken:
                self.port(f"{response}ready").value = 0
                return value
        raise AssertionError(f"s_axil_{response}valid must come within {PATIENCE} cycles")


async def reset(dut: Any) -> None:
    """Four cycles of reset, one without."""
    dut.aresetn.value = 0
    for _ in range(4):
        await FallingEdge(dut.aclk)
    dut.aresetn.value = 1
    await FallingEdge(dut.aclk)


async def stream(dut: Any, ports: list[Driver | Monitor]) -> None:
    """Move all beats; the first cycle is cycle 0."""
    cycle = idle = 0
    while not all(port.done for port in ports):
        before = sum(len(port.accepted) for port in ports)
        for port in ports:
            port.drive(cycle)
        await ReadOnly()
        for port in ports:
            port.sample(cycle)
        idle = idle + 1 if sum(len(port.accepted) for port in ports) == before else 0
        assert idle < PATIENCE, f"no beat moved for {PATIENCE} cycles"
        cycle += 1
        await FallingEdge(dut.aclk)
    for port in ports:
        (port.valid if isinstance(port, Driver) else port.ready).value = 0


async def perform(dut: Any, manifest: Any, job: Any) -> dict[str, Any]:
    """One run: sizes, start, beats, done, registers."""
    lite, registers, streams = Lite(dut), manifest["registers"], manifest["streams"]
    ports: dict[str, Driver | Monitor] = {}
    for name, facts in streams.items():
        mask = job["masks"].get(name, "")
        if facts["direction"] == "in":
            ports[name] = Driver(dut, facts["prefix"], job["stimulus"][name], mask)
        else:
            ports[name] = Monitor(dut, facts["prefix"], job["outputs"][name], mask)
    await reset(dut)
    for name, value in {**job["registers"], "control": 1}.items():
        await lite.write(registers[name]["address"], value)
    await stream(dut, list(ports.values()))
    lowest, _ = registers["status"]["fields"]["done"]
    polls = 0
    while not await lite.read(registers["status"]["address"]) >> lowest & 1:
        polls += 1
        assert polls < PATIENCE, "status.done must be set after the last beat"
    values = {name: await lite.read(facts["address"]) for name, facts in registers.items()}
    outputs = {name: port for name, port in ports.items() if isinstance(port, Monitor)}
    first = min(port.accepted[0] for port in ports.values() if isinstance(port, Driver))
    return {
        "cycles": max(port.accepted[-1] for port in outputs.values()) - first + 1,
        "registers": values,
        "beats": {name: [f"{beat:x}" for beat in port.beats] for name, port in outputs.items()},
        "lasts": {name: port.lasts for name, port in outputs.items()},
    }


@cocotb.test()
async def jobs(dut: Any) -> None:
    """Every job of the file, each after a reset; results are written one by one."""
    asked = json.loads(Path(os.environ["TERNFORGE_JOBS"]).read_text())
    Clock(dut.aclk, 10, "ns").start(start_high=False)
    dut.aresetn.value = 0
    await FallingEdge(dut.aclk)
    with Path(os.environ["TERNFORGE_RESULTS"]).open("w") as results:
        for job in asked["jobs"]:
            print(json.dumps(await perform(dut, asked["manifest"], job)), file=results, flush=True)
