"""The register file on its own, in Amaranth's simulator: accesses, sizes, refusals, runs, counters."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.shell import STALLS, Bound, Size, SizeRule
from blueprint.spec import Spec
from generator.boundary import EVENTS
from generator.cells.register_file import Registers

SPEC = TernaryLutSpec(mu=2, lut_count=2, fetch_count=2, act_width=8, k_max=100, n_max=31, m_max=1000)
ADDRESS = {register.name: register.address for register in SPEC.registers()}
OKAY, SLVERR = 0, 2
BUSY, DONE, SIZE_ERROR, FRAMING_ERROR = 1, 2, 4, 8
WHOLE = 0b1111


class Bench:
    """Drives one register file, a clock edge at a time."""

    def __init__(self, dut: Any, ctx: Any) -> None:
        self.dut, self.ctx = dut, ctx
        self.address = {name: register.address for name, register in dut.registers.items()}
        self.starts = 0

    def get(self, port: str) -> int:
        return int(self.ctx.get(self.dut.pins[port][1]))

    def put(self, **pins: int) -> None:
        for port, value in pins.items():
            self.ctx.set(self.dut.pins[port][1], value)

    async def tick(self) -> None:
        self.starts += self.get("start")
        self.put(clk=1)
        await self.ctx.delay(1e-9)
        self.put(clk=0)
        await self.ctx.delay(1e-9)

    async def write(self, name: str | int, value: int, strobes: int = WHOLE) -> int:
        """One write; returns its response."""
        address = self.address[name] if isinstance(name, str) else name
        self.put(awaddr=address, awvalid=1, wdata=value, wstrb=strobes, wvalid=1, bready=1)
        while not self.get("awready"):
            await self.tick()
        assert self.get("wready")
        await self.tick()
        self.put(awvalid=0, wvalid=0)
        assert self.get("bvalid") and not self.get("awready")
        response = self.get("bresp")
        await self.tick()
        assert not self.get("bvalid")
        return response

    async def fetch(self, name: str | int) -> tuple[int, int]:
        """One read: (response, data)."""
        address = self.address[name] if isinstance(name, str) else name
        self.put(araddr=address, arvalid=1, rready=1)
        assert self.get("arready")
        await self.tick()
        self.put(arvalid=0)
        assert not self.get("rvalid") and not self.get("arready")
        await self.tick()
        assert self.get("rvalid") and not self.get("arready")
        found = self.get("rresp"), self.get("rdata")
        await self.tick()
        return found

    async def read(self, name: str) -> int:
        response, value = await self.fetch(name)
        assert response == OKAY
        return value

    async def event(self, *names: str, cycles: int = 1) -> None:
        self.put(**dict.fromkeys(names, 1))
        for _ in range(cycles):
            await self.tick()
        self.put(**dict.fromkeys(names, 0))

    async def sizes(self, *values: int) -> None:
        for size, value in zip(self.dut.sizes, values, strict=True):
            assert await self.write(size.name, value) == OKAY

    def copies(self) -> tuple[int, ...]:
        """What the run reads."""
        return tuple(self.get(size.name) for size in self.dut.sizes if size.bits)

    async def start(self) -> int:
        """Write the start; returns the status."""
        assert await self.write("control", 1) == OKAY
        return await self.read("status")


def file_of(spec: Spec, **changes: Any) -> Registers:
    """The register file of a design, with every stall counter unless told otherwise."""
    file = dataclasses.replace(spec.register_file(), **{"dependency": 1, **changes})
    return Registers("shell", file, spec.design_hash)


def play(story: Any, dut: Registers | None = None) -> None:
    dut = dut or file_of(SPEC)
    simulator = Simulator(dut)

    async def testbench(ctx: Any) -> None:
        bench = Bench(dut, ctx)
        bench.put(rst=1)
        await bench.tick()
        bench.put(rst=0)
        await story(bench)

    simulator.add_testbench(testbench)
    simulator.run()


# Sizes and start ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1000, 100, 31)])
def test_legal_sizes_start_a_run(sizes: tuple[int, int, int]) -> None:
    async def story(bench: Bench) -> None:
        await bench.sizes(*sizes)
        assert await bench.start() == BUSY
        assert bench.copies() == sizes
        await bench.event("accepted", "finished")
        assert await bench.read("status") == DONE
        assert bench.starts == 1

    play(story)


@pytest.mark.parametrize(
    "sizes",
    [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1001, 1, 1), (1, 101, 1), (1, 1, 32), (1, 1 << 20, 1), (1, 1, 33)],
)
def test_illegal_sizes_are_refused_and_said(sizes: tuple[int, int, int]) -> None:
    async def story(bench: Bench) -> None:
        await bench.sizes(*sizes)
        assert await bench.start() == SIZE_ERROR
        assert bench.starts == 0 and bench.copies() == (0, 0, 0)
        await bench.sizes(1, 1, 1)
        assert await bench.start() == BUSY
        assert bench.starts == 1

    play(story)


def test_sizes_have_to_be_written_before_the_first_start() -> None:
    async def story(bench: Bench) -> None:
        assert [await bench.read(name) for name in ("tokens", "k", "n", "status", "control")] == [0] * 5
        assert await bench.start() == SIZE_ERROR

    play(story)


@pytest.mark.parametrize("value", [(1 << 16) + 5, 101 << 8, 1 << 31, 0xFFFFFFFF, 127, 128, 255, 256 + 100])
def test_a_size_too_large_for_its_register_does_not_wrap(value: int) -> None:
    async def story(bench: Bench) -> None:
        await bench.sizes(1, value, 1)
        assert await bench.read("k") == 127  # all ones: never a legal size
        assert await bench.start() == SIZE_ERROR

    play(story)


def test_a_write_while_a_run_goes_on_changes_the_next_run_only() -> None:
    """Also the writes whose acceptance falls into the cycles around the start and around the end."""

    async def story(bench: Bench) -> None:
        sizes = (1, 1, 1)
        await bench.sizes(*sizes)
        for run in range(12):
            following = (run + 2, run + 3, run + 4)
            await bench.write("control", 1)
            assert bench.copies() == sizes
            for _ in range(run):
                await bench.tick()
            await bench.sizes(*following)
            assert bench.copies() == sizes
            assert [await bench.read(name) for name in ("tokens", "k", "n")] == list(following)
            await bench.event("finished")
            assert bench.copies() == sizes
            sizes = following

    play(story)


def test_a_write_accepted_as_the_run_ends_changes_the_next_run_only() -> None:
    async def story(bench: Bench) -> None:
        await bench.sizes(1, 2, 3)
        for offset in range(5):  # from two cycles before the acceptance of the write to two after it
            await bench.write("control", 1)
            copies = bench.copies()
            bench.put(awaddr=ADDRESS["k"], awvalid=1, wdata=50 + offset, wstrb=WHOLE, wvalid=1, bready=1)
            for cycle in range(5):
                bench.put(finished=int(cycle == offset))
                taken = bench.get("awready")
                await bench.tick()
                if taken:
                    bench.put(awvalid=0, wvalid=0)
            assert bench.copies() == copies
            assert await bench.read("status") == DONE
            assert await bench.read("k") == 50 + offset

    play(story)


def test_a_start_while_busy_changes_nothing() -> None:
    async def story(bench: Bench) -> None:
        await bench.sizes(1, 1, 1)
        await bench.write("control", 1)
        await bench.event("accepted", cycles=3)
        await bench.event("misframed")
        for sizes in ((2, 2, 2), (0, 0, 0)):
            await bench.sizes(*sizes)
            assert await bench.start() == BUSY + FRAMING_ERROR
        assert bench.copies() == (1, 1, 1) and bench.starts == 1
        assert await bench.read("cycles") >= 3

    play(story)


@pytest.mark.parametrize("offset", range(-3, 4))
def test_a_start_is_heard_from_the_cycle_after_the_last_output_beat_on(offset: int) -> None:
    """``offset``: cycles from the last output beat to the acceptance of the start."""

    async def story(bench: Bench) -> None:
        await bench.sizes(1, 1, 1)
        await bench.write("control", 1)
        await bench.sizes(2, 2, 2)
        bench.put(awaddr=ADDRESS["control"], awvalid=1, wdata=1, wstrb=WHOLE, wvalid=1, bready=1)
        accepted = 1  # cycle in which it is, counted from the one in which it is asked for
        for cycle in range(-3, 8):
            if cycle < 0:
                bench.put(awvalid=0, wvalid=0)
            elif cycle == 0:
                bench.put(awvalid=1, wvalid=1)
            bench.put(finished=int(cycle == accepted - offset))
            taken = bench.get("awready")
            assert taken == (cycle == accepted)
            await bench.tick()
            if taken:
                bench.put(awvalid=0, wvalid=0)
        heard = offset > 0
        assert bench.starts == 1 + heard
        assert bench.copies() == ((2, 2, 2) if heard else (1, 1, 1))
        assert await bench.read("status") == (BUSY if heard else DONE)

    play(story)


def test_a_misplaced_last_beat_is_remembered_until_the_next_start() -> None:
    async def story(bench: Bench) -> None:
        await bench.sizes(1, 1, 1)
        await bench.write("control", 1)
        await bench.event("accepted", "misframed")
        await bench.event("finished")
        assert await bench.read("status") == DONE + FRAMING_ERROR
        assert await bench.start() == BUSY

    play(story)


def test_a_refused_start_takes_the_status_of_the_run_before_away() -> None:
    async def story(bench: Bench) -> None:
        await bench.sizes(1, 1, 1)
        await bench.write("control", 1)
        await bench.event("accepted")
        await bench.event("misframed", "finished")
        await bench.write("n", 0)
        cycles = await bench.read("cycles")
        assert await bench.start() == SIZE_ERROR
        assert await bench.read("cycles") == cycles > 0

    play(story)


def test_reset_ends_a_run_and_forgets_everything() -> None:
    async def story(bench: Bench) -> None:
        await bench.sizes(3, 4, 5)
        await bench.write("control", 1)
        await bench.event("accepted", "stall_input", cycles=4)
        await bench.event("rst")
        assert bench.copies() == (0, 0, 0)
        for name in ("status", "tokens", "k", "n", "cycles", "stall_input"):
            assert await bench.read(name) == 0
        await bench.sizes(1, 2, 3)
        assert await bench.start() == BUSY
        assert bench.copies() == (1, 2, 3)

    play(story)


# Counters ----------------------------------------------------------------------------------------------------------


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
        assert await bench.start() == BUSY
        assert await bench.read("cycles") == 0

    play(story)


def test_counters_stop_at_their_largest_value() -> None:
    narrow = {
        r.name: dataclasses.replace(r, fields={"value": (0, 4)}) if r.name in ("cycles", *STALLS) else r
        for r in SPEC.registers()
    }

    async def story(bench: Bench) -> None:
        await bench.sizes(1, 1, 1)
        await bench.write("control", 1)
        await bench.event("accepted", "stall_output", cycles=40)
        assert await bench.read("cycles") == await bench.read("stall_output") == 15

    dut = file_of(SPEC)
    dut.registers = narrow
    play(story, dut)


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

    play(story, file_of(SPEC, flags=("bent", "cracked")))


def test_the_hash_of_the_design_can_be_read() -> None:
    async def story(bench: Bench) -> None:
        low, high = await bench.read("hash_lo"), await bench.read("hash_hi")
        assert f"{high:08x}{low:08x}" == SPEC.design_hash

    play(story)


# Accesses ----------------------------------------------------------------------------------------------------------


def test_bytes_of_a_size_are_written_one_by_one() -> None:
    """A register is a word of 32 bits of which those beyond its width are remembered as not 0, byte by byte."""

    shares = [0.1, 0.2, 0.4, 0.3]

    async def story(bench: Bench) -> None:
        random = np.random.default_rng(1)
        words = {"tokens": 0, "k": 0, "n": 0}
        most = {size.name: int(size.most) for size in SPEC.sizes}
        width = {size.name: int(size.width) for size in SPEC.sizes}
        legal = 0
        for _ in range(400):
            name = str(random.choice(list(words)))
            value = int(
                random.choice([0, 1, int(random.integers(31)), int(random.integers(1 << 32))], p=shares)
            )
            strobes = int(random.choice([WHOLE, int(random.integers(16))]))
            mask = sum(0xFF << 8 * lane for lane in range(4) if strobes >> lane & 1)
            words[name] = words[name] & ~mask | value & mask
            assert await bench.write(name, value, strobes) == OKAY
            shown = min(words[name], (1 << width[name]) - 1)
            fits = words[name] >> width[name] == 0
            assert await bench.read(name) == (shown if fits else (1 << width[name]) - 1)
            fine = all(1 <= words[size] <= most[size] for size in words)
            assert await bench.start() == (BUSY if fine else SIZE_ERROR)
            if fine:
                legal += 1
                assert bench.copies() == tuple(words.values())
                await bench.event("finished")
        assert legal > 20

    play(story)


@pytest.mark.parametrize(
    ("value", "strobes", "starts"),
    [(1, 1, 1), (0xFF01, 0b0011, 1), (1, 0b1110, 0), (1, 0, 0), (0xFFFFFFFE, WHOLE, 0)],
)
def test_a_run_starts_with_bit_0_of_a_byte_that_is_written(value: int, strobes: int, starts: int) -> None:
    async def story(bench: Bench) -> None:
        await bench.sizes(1, 1, 1)
        assert await bench.write("control", value, strobes) == OKAY
        assert bench.starts == starts
        assert await bench.read("status") == starts * BUSY
        assert await bench.read("control") == 0

    play(story)


def test_outside_the_map_accesses_are_errors_that_change_nothing() -> None:
    async def story(bench: Bench) -> None:
        await bench.sizes(1, 2, 3)
        holes = sorted(set(range(0, 64, 4)) - set(ADDRESS.values()))
        assert holes == [0x30, 0x34, 0x38, 0x3C]
        for address in holes:
            assert await bench.write(address, 0xFFFFFFFF) == SLVERR
            assert await bench.fetch(address) == (SLVERR, 0)
        assert [await bench.read(name) for name in ("tokens", "k", "n", "status")] == [1, 2, 3, 0]

    play(story)


def test_writing_what_is_read_only_is_an_error_that_changes_nothing() -> None:
    async def story(bench: Bench) -> None:
        fixed = [register.name for register in SPEC.registers() if register.access == "ro"]
        before = [await bench.read(name) for name in fixed]
        for name in fixed:
            assert await bench.write(name, 0xFFFFFFFF) == SLVERR
            assert await bench.write("k", 7) == OKAY
        assert [await bench.read(name) for name in fixed] == before

    play(story)


def test_the_two_lowest_address_bits_do_not_matter() -> None:
    async def story(bench: Bench) -> None:
        for low in range(4):
            assert await bench.write(ADDRESS["k"] + low, 10 + low) == OKAY
            assert await bench.fetch(ADDRESS["k"] + low) == (OKAY, 10 + low)

    play(story)


@pytest.mark.parametrize("first", ["aw", "w"])
def test_address_and_data_wait_for_each_other(first: str) -> None:
    async def story(bench: Bench) -> None:
        bench.put(awaddr=ADDRESS["k"], wdata=9, wstrb=WHOLE, bready=1, **{f"{first}valid": 1})
        for _ in range(5):
            await bench.tick()
            assert not bench.get("awready") and not bench.get("wready") and not bench.get("bvalid")
        bench.put(awvalid=1, wvalid=1)
        await bench.tick()
        assert bench.get("awready") and bench.get("wready")
        await bench.tick()
        bench.put(awvalid=0, wvalid=0)
        assert bench.get("bvalid")
        await bench.tick()
        assert await bench.read("k") == 9

    play(story)


def test_no_output_follows_an_input_within_a_cycle() -> None:
    """As AXI demands: only the clock changes outputs."""

    async def story(bench: Bench) -> None:
        outputs = [name for name, (flow, _) in bench.dut.pins.items() if flow.name == "Out"]
        inputs = [name for name, (flow, _) in bench.dut.pins.items() if flow.name == "In"]
        inputs = [name for name in inputs if name not in ("clk", "rst")]
        random = np.random.default_rng(2)
        await bench.sizes(1, 1, 1)
        for _ in range(60):
            shown = [bench.get(name) for name in outputs]
            for name in inputs:
                bench.put(**{name: int(random.integers(1 << min(len(bench.dut.pins[name][1]), 30)))})
            await bench.ctx.delay(1e-9)
            assert [bench.get(name) for name in outputs] == shown
            await bench.tick()

    play(story)


def test_responses_wait_until_they_are_taken_and_nothing_passes_them() -> None:
    async def story(bench: Bench) -> None:
        bench.put(awaddr=ADDRESS["k"], awvalid=1, wdata=5, wstrb=WHOLE, wvalid=1, bready=0)
        bench.put(araddr=ADDRESS["hash_lo"], arvalid=1, rready=0)
        for _ in range(2):
            await bench.tick()
        bench.put(wdata=6, araddr=ADDRESS["k"])
        for _ in range(4):
            assert bench.get("bvalid") and not bench.get("awready") and not bench.get("wready")
            assert bench.get("rvalid") and not bench.get("arready")
            assert f"{bench.get('rdata'):08x}" == SPEC.design_hash[8:]
            await bench.tick()
        bench.put(bready=1, rready=1)
        await bench.tick()
        assert not bench.get("bvalid") and not bench.get("rvalid")

    play(story)


def test_a_read_beside_a_write_gives_the_value_before_it() -> None:
    async def story(bench: Bench) -> None:
        await bench.write("k", 5)
        bench.put(awaddr=ADDRESS["k"], awvalid=1, wdata=6, wstrb=WHOLE, wvalid=1, bready=1)
        await bench.tick()
        assert bench.get("awready")
        bench.put(araddr=ADDRESS["k"], arvalid=1, rready=1)
        await bench.tick()
        bench.put(awvalid=0, wvalid=0, arvalid=0)
        assert bench.get("bvalid")
        await bench.tick()
        assert bench.get("rvalid") and bench.get("rdata") == 5
        await bench.tick()
        assert await bench.read("k") == 6

    play(story)


# Sizes together ----------------------------------------------------------------------------------------------------

_TOGETHER = (Size("tokens", 4, 3, "a"), Size("k", 3, 2, "b"), Size("n", 5, 3, "c"))
RULES = (
    (SizeRule((Bound(("tokens",), ("k",)),)),),
    (SizeRule((Bound(("tokens", "n"), ("k",), 2),)),),
    (SizeRule((Bound(("tokens",), offset=2), Bound(("k", "n"), offset=4))),),
    (
        SizeRule((Bound(("n",), ("tokens", "k"), -1),)),
        SizeRule((Bound(("k",), offset=-1), Bound(("k",), offset=2))),
    ),
    (SizeRule((Bound(("tokens",), offset=-3),)),),
)


@pytest.mark.parametrize("rules", RULES, ids=lambda rules: " and ".join(map(str, rules)))
def test_rules_of_sizes_are_what_the_hardware_keeps_to(rules: tuple[SizeRule, ...]) -> None:
    async def story(bench: Bench) -> None:
        for tokens, k, n in np.ndindex(6, 5, 7):
            await bench.sizes(tokens, k, n)
            values = {"tokens": int(tokens), "k": int(k), "n": int(n)}
            fits = 1 <= tokens <= 4 and 1 <= k <= 3 and 1 <= n <= 5
            fine = fits and all(rule.holds(values) for rule in rules)
            assert await bench.start() == (BUSY if fine else SIZE_ERROR), values
            if fine:
                await bench.event("finished")

    play(story, file_of(SPEC, sizes=_TOGETHER, rules=rules))


def test_every_event_has_a_port() -> None:
    assert {*EVENTS, *STALLS} <= set(file_of(SPEC).pins)
