"""What sequencers and accelerators share: loop counters against a Python model, and ports that follow from the spec."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.shell import STALLS
from generator.boundary import EVENTS, HANDSHAKE, AxiStream
from generator.cells.counter import Loop as Counter
from generator.families.ternary_lut import Top
from generator.sequencer import Sequencer, held
from tests.generator.cells.flat import play

SPEC = TernaryLutSpec(mu=2, lut_count=2, fetch_count=2, act_width=8, k_max=100, n_max=31, m_max=1000)
FLOATS: dict[str, Any] = {"act_width": 16, "activation": "fp16", "adder_stages": 2, "reduction": "adder_tree"}
WAITING = TernaryLutSpec(mu=2, lut_count=2, fetch_count=2, k_max=100, n_max=31, **FLOATS)
CYCLES = 400


class Loop(Sequencer):
    """One loop over ``k``, ``STEP`` at a time."""

    STEP = 4

    def __init__(self) -> None:
        super().__init__(
            SPEC, "loop", {"advance": In(1), "active_out": Out(1), "first": Out(1), "last": Out(1)}
        )

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        end = Signal()
        active = self.active(m, "active", end)
        last = self.counted(m, "k", self.run.k, self.STEP, self.advance)
        first = self.opening(m, "opening", self.advance, last)
        m.d.comb += [
            end.eq(self.advance & last),
            self.active_out.eq(active),
            self.first.eq(first),
            self.last.eq(last),
        ]
        return m


class Reloads(Loop):
    """A twin that counts on from what is left, not from the size."""

    def counter(
        self, m: Module, name: str, size: Value, step: int | Value, advance: Value, *, shown: bool = False
    ) -> Counter:
        left = Signal(len(size), name=f"{name}_left")
        with m.If(self.run.start):
            m.d.sync += left.eq(size)
        with m.Elif(advance):
            m.d.sync += left.eq(left - step)
        return Counter(left, left <= step, left <= 2 * step)


def check(loop: Loop) -> None:
    """Compare with a loop in Python over random runs, some of them with a start in the middle."""
    random = np.random.default_rng(2)

    async def story(ctx: Any) -> None:
        left, size, active, first = 0, 1, False, False
        for cycle in range(CYCLES):
            start = cycle == 0 or random.random() < 0.02
            size = int(random.integers(1, 40)) if start else size
            advance = bool(random.random() < 0.7)
            ctx.set(loop.run.k, size)
            ctx.set(loop.run.start, start)
            ctx.set(loop.advance, advance)
            if cycle:
                last = left <= loop.STEP
                found = [ctx.get(port) for port in (loop.active_out, loop.first, loop.last)]
                assert found == [active, first, last], f"cycle {cycle}"
                active &= not (advance and last)
                first = last if advance else first
                left = (size if last else left - loop.STEP) if advance else left
            if start:
                left, active, first = size, True, True
            await ctx.tick()

    play(loop, story)


def test_a_loop_covers_its_size_and_starts_over() -> None:
    check(Loop())


def test_a_counter_that_does_not_start_over_is_noticed() -> None:
    with pytest.raises(AssertionError, match=r"^cycle \d+"):
        check(Reloads())


@pytest.mark.parametrize(("rise", "fall", "after"), [(0, 0, 1), (0, 1, 0), (1, 0, 1), (1, 1, 1)])
def test_what_sets_a_flag_wins_over_what_clears_it(rise: int, fall: int, after: int) -> None:
    m, up, down = Module(), Signal(), Signal()
    flag = held(m, "flag", up, down)
    seen = []

    async def story(ctx: Any) -> None:
        ctx.set(up, 1)
        await ctx.tick()
        ctx.set(up, rise)
        ctx.set(down, fall)
        await ctx.tick()
        seen.append(ctx.get(flag))

    play(m, story)
    assert seen == [after]


def test_a_sequencer_has_the_sizes_its_runs_read_and_the_stalls_that_are_counted() -> None:
    for spec, stalls in ((SPEC, STALLS[:-1]), (WAITING, STALLS)):
        pins = Sequencer(spec, "bare", {"act": In(HANDSHAKE)}).pins
        sizes = [size.name for size in spec.sizes if size.bits]
        assert [name for name in pins if name in ("tokens", "k", "n")] == sizes
        assert [name for name in pins if name.startswith("stall_")] == list(stalls)
        assert {*EVENTS, "start", "clk", "rst"} <= set(pins)


def test_handshakes_look_the_right_way() -> None:
    pins = Sequencer(SPEC, "bare", {"act": In(HANDSHAKE), "out": Out(HANDSHAKE)}).pins
    ways = {name: flow.name for name, (flow, _) in pins.items() if name.startswith(("act_", "out_"))}
    assert ways == {
        "act_tvalid": "In", "act_tlast": "In", "act_tready": "Out",
        "out_tvalid": "Out", "out_tlast": "Out", "out_tready": "In",
    }  # fmt: skip


def test_an_accelerator_has_the_ports_of_its_streams() -> None:
    pins = Top(SPEC).pins
    assert list(pins)[:2] == ["aclk", "aresetn"]
    for stream in SPEC.streams():
        assert len(pins[f"{stream.prefix}_tdata"][1]) == stream.width
        assert pins[f"{stream.prefix}_tready"][0].name == ("Out" if stream.direction == "in" else "In")
    assert len(pins["s_axil_awaddr"][1]) == 6


def test_a_beat_is_a_view_of_the_fields_of_its_record() -> None:
    stream = SPEC.stream("wgt")
    key = AxiStream(stream).create(path=("wgt",)).beat.key
    assert (key.shape().length, key[0].shape().length) == stream.field.shape
    assert sorted(name for name, _ in key[0][0].shape()) == ["index", "sign"]


def test_a_pin_that_the_sequencer_lacks_is_refused() -> None:
    class Wrong(Top):
        def elaborate(self, platform: Any) -> Module:
            m = self.module()
            self.sequence(m, Sequencer(SPEC, "bare", {}), nothing=Signal())
            return m

    with pytest.raises(ValueError, match=r"^Block bare has no port 'nothing'$"):
        Wrong(SPEC).elaborate(None)
