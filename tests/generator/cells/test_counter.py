"""Counters in pieces against Python: exact in every cycle, whatever is counted, and built of the registers counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Signal
from amaranth.lib.wiring import In, Out

from blueprint import counting
from generator.block import Block
from generator.cells import counter
from generator.cells.counter import count_down, count_up
from tests.generator.cells.flat import play
from tests.named_registers import built_registers, there

STEPS = [(5, 1), (6, 4), (10, 1), (12, 3), (13, 16), (17, 85), (20, 1), (21, 24), (3, 4), (2, 3), (11, 300)]
CYCLES = 900


class Down(Block):
    """A counter down from ``size``."""

    place = "control"

    def __init__(self, width: int, step: int, *, shown: bool = True) -> None:
        self.width, self.step, self.shown = width, step, shown
        ports = {"size": In(width), "load": In(1), "advance": In(1), "left": Out(width), "last": Out(1)}
        super().__init__("down", ports, clocked=True, resets=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        loop = count_down(m, "it", self.size, self.step, self.load, self.advance, shown=self.shown)
        m.d.comb += self.last.eq(loop.last)
        if self.shown:
            m.d.comb += self.left.eq(loop.left)
        return m


def check_down(width: int, step: int) -> None:
    """Random loads, some of a size that needs many steps, and advances in bursts."""
    random = np.random.default_rng([width, step])
    m = Module()
    size, load, advance = Signal(width), Signal(), Signal()
    loop = count_down(m, "it", size, step, load, advance, shown=True)

    async def story(ctx: Any) -> None:
        left, whole = 0, 1
        for cycle in range(CYCLES):
            start = cycle == 0 or random.random() < 0.01
            if start:
                most = min((1 << width) - 1, step * int(random.choice([1, 3, 300])))
                whole = int(random.integers(1, most + 1))
            go = bool(random.random() < 0.9)
            ctx.set(size, whole)
            ctx.set(load, start)
            ctx.set(advance, go)
            if not start:
                assert (ctx.get(loop.left), ctx.get(loop.last)) == (left, left <= step), f"cycle {cycle}"
                if left > step:
                    assert ctx.get(loop.soon) == (left <= 2 * step), f"cycle {cycle}"
            if start:
                left = whole
            elif go:
                left = whole if left <= step else left - step
            await ctx.tick()

    play(m, story)


@pytest.mark.parametrize(("width", "step"), STEPS)
def test_what_is_left_and_the_last_step_are_those_of_python(width: int, step: int) -> None:
    check_down(width, step)


def test_a_borrow_that_is_forgotten_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter, "below", lambda left, right: left < right if len(left) > 8 else 0 * left)
    with pytest.raises(AssertionError, match=r"^cycle \d+"):
        check_down(17, 85)


@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize(("width", "step"), [(width, step) for width, step in STEPS if step < 1 << width])
def test_a_counter_down_has_the_registers_that_are_counted(width: int, step: int, shown: bool) -> None:
    expected = counting.down("it", width, step, shown=int(shown))
    assert built_registers(Down(width, step, shown=shown)) == there(expected)


def check_up(width: int, *, stops: bool, begin: int) -> None:
    """Steps from just below a carry on, with restarts."""
    random = np.random.default_rng(width)
    m = Module()
    number, step, restart = Signal(width, name="it"), Signal(), Signal()
    count_up(m, number, step, restart, stops=stops)

    async def story(ctx: Any) -> None:
        value = 0
        for cycle in range(begin + CYCLES):
            go, again = cycle < begin or random.random() < 0.8, cycle >= begin and random.random() < 0.002
            ctx.set(step, go)
            ctx.set(restart, again)
            assert ctx.get(number) == value, f"cycle {cycle}"
            most = (1 << width) - 1
            if again:
                value = 0
            elif go:
                value = min(value + 1, most) if stops else (value + 1) & most
            await ctx.tick()

    play(m, story)


@pytest.mark.parametrize("stops", [False, True])
@pytest.mark.parametrize(("width", "reach"), [(1, 8), (3, 8), (8, 8), (9, 8), (8, 2), (7, 2), (6, 1)])
def test_a_number_counts_as_in_python(
    width: int, reach: int, stops: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "REACH", reach)
    check_up(width, stops=stops, begin=300)


def test_a_carry_that_is_not_waited_for_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter, "_all", lambda flags: Const(1, 1))
    with pytest.raises(AssertionError, match=r"^cycle 1\b"):
        check_up(9, stops=False, begin=300)
