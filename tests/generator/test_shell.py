"""The AXI4-Lite shell on its own, in Amaranth's simulator: sizes, refusals, counters."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.sim import Simulator

from blueprint.ternary_lut import TernaryLutSpec
from generator.axi_lite import EVENTS, STALLS, Shell

SPEC = TernaryLutSpec(mu=2, lut_count=2, fetch_count=2, act_width=8, k_max=100, n_max=31, m_max=1000)
ADDRESS = {register.name: register.address for register in SPEC.registers()}


class Bench:
    """Drives one shell, a clock edge at a time."""

    def __init__(self, dut: Any, ctx: Any) -> None:
        self.dut, self.ctx = dut, ctx

    async def tick(self) -> None:
        self.ctx.set(self.dut.clk, 1)
        await self.ctx.delay(1e-9)
        self.ctx.set(self.dut.clk, 0)
        await self.ctx.delay(1e-9)

    async def write(self, name: str, value: int) -> None:
        dut, ctx = self.dut, self.ctx
        for port, signal in (
            (dut.awaddr, ADDRESS[name]),
            (dut.awvalid, 1),
            (dut.wdata, value),
            (dut.wvalid, 1),
        ):
            ctx.set(port, signal)
        ctx.set(dut.bready, 1)
        await ctx.delay(1e-9)
        assert ctx.get(dut.awready) and ctx.get(dut.wready)
        await self.tick()
        ctx.set(dut.awvalid, 0)
        ctx.set(dut.wvalid, 0)
        await ctx.delay(1e-9)
        assert ctx.get(dut.bvalid)
        await self.tick()

    async def read(self, name: str) -> int:
        dut, ctx = self.dut, self.ctx
        ctx.set(dut.araddr, ADDRESS[name])
        ctx.set(dut.arvalid, 1)
        ctx.set(dut.rready, 1)
        await self.tick()
        ctx.set(dut.arvalid, 0)
        await ctx.delay(1e-9)
        assert ctx.get(dut.rvalid)
        value = int(ctx.get(dut.rdata))
        await self.tick()
        return value

    async def event(self, *names: str, cycles: int = 1) -> None:
        for _ in range(cycles):
            for name in (*EVENTS, *STALLS, *self.dut.flags):
                self.ctx.set(getattr(self.dut, name), int(name in names))
            await self.tick()
        for name in (*EVENTS, *STALLS, *self.dut.flags):
            self.ctx.set(getattr(self.dut, name), 0)

    async def sizes(self, tokens: int, k: int, n: int) -> None:
        for name, value in (("tokens", tokens), ("k", k), ("n", n)):
            await self.write(name, value)


def play(story: Any, flags: tuple[str, ...] = ()) -> None:
    sizes = {"tokens": SPEC.m_max, "k": SPEC.k_max, "n": SPEC.n_max}
    dut = Shell("shell", SPEC.registers(), sizes, flags=flags)
    simulator = Simulator(dut)

    async def testbench(ctx: Any) -> None:
        bench = Bench(dut, ctx)
        ctx.set(dut.rst, 1)
        await bench.tick()
        ctx.set(dut.rst, 0)
        await story(bench)

    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1000, 100, 31)])
def test_legal_sizes_start_a_run(sizes: tuple[int, int, int]) -> None:
    async def story(bench: Bench) -> None:
        await bench.sizes(*sizes)
        await bench.write("control", 1)
        assert await bench.read("status") == 1
        await bench.event("accepted", "finished")
        assert await bench.read("status") == 2

    play(story)


@pytest.mark.parametrize(
    "sizes",
    [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1001, 1, 1), (1, 101, 1), (1, 1, 32), (1, 1 << 20, 1), (1, 1, 33)],
)
def test_illegal_sizes_are_refused_and_said(sizes: tuple[int, int, int]) -> None:
    async def story(bench: Bench) -> None:
        await bench.sizes(*sizes)
        await bench.write("control", 1)
        assert await bench.read("status") == 4
        await bench.sizes(1, 1, 1)
        await bench.write("control", 1)
        assert await bench.read("status") == 1

    play(story)


def test_a_size_too_large_for_its_register_does_not_wrap() -> None:
    async def story(bench: Bench) -> None:
        await bench.write("k", (1 << 16) + 5)
        assert await bench.read("k") > SPEC.k_max

    play(story)


def test_counters_run_from_the_first_input_to_the_last_output() -> None:
    async def story(bench: Bench) -> None:
        await bench.sizes(1, 1, 1)
        await bench.write("control", 1)
        await bench.event("stall_memory", cycles=5)  # nothing accepted yet: not counted
        await bench.event("accepted", "stall_memory")
        await bench.event("stall_output", cycles=3)
        await bench.event("stall_input", cycles=2)
        await bench.event("finished")
        await bench.event("stall_input", cycles=4)
        found = [await bench.read(name) for name in ("cycles", "stall_memory", "stall_output", "stall_input")]
        assert found == [7, 1, 3, 2]

    play(story)


def test_a_misplaced_last_beat_is_remembered_until_the_next_start() -> None:
    async def story(bench: Bench) -> None:
        await bench.sizes(1, 1, 1)
        await bench.write("control", 1)
        await bench.event("accepted", "misframed")
        await bench.event("finished")
        assert await bench.read("status") == 2 + 8
        await bench.write("control", 1)
        assert await bench.read("status") == 1

    play(story)


def test_a_flag_stays_until_the_next_accepted_start() -> None:
    async def story(bench: Bench) -> None:
        await bench.sizes(1, 1, 1)
        await bench.write("control", 1)
        await bench.event("accepted", "bent")
        await bench.event("accepted", cycles=3)
        await bench.event("finished")
        assert await bench.read("status") == 2 + 16
        await bench.write("tokens", 0)
        await bench.write("control", 1)  # refused
        assert await bench.read("status") & 16
        await bench.write("tokens", 1)
        await bench.write("control", 1)
        assert await bench.read("status") == 1
        await bench.event("finished", "cracked")
        assert await bench.read("status") == 2 + 32

    play(story, flags=("bent", "cracked"))


def test_a_start_while_busy_changes_nothing() -> None:
    async def story(bench: Bench) -> None:
        await bench.sizes(1, 1, 1)
        await bench.write("control", 1)
        await bench.event("accepted", cycles=3)
        await bench.write("control", 1)
        assert await bench.read("cycles") >= 3

    play(story)


def test_the_hash_of_the_design_can_be_read() -> None:
    async def story(bench: Bench) -> None:
        low, high = await bench.read("hash_lo"), await bench.read("hash_hi")
        assert f"{high:08x}{low:08x}" == SPEC.design_hash

    play(story)
