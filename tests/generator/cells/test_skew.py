"""Delays and skews against shifted arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from amaranth.hdl import Elaboratable, Module, Signal

from generator.block import Block
from generator.cells.skew import Delay, Skew, delay_line
from tests.generator.cells.flat import play

CYCLES, WIDTH = 40, 5


def words(lanes: int) -> npt.NDArray[np.int64]:
    """Random words, one row a cycle."""
    return np.random.default_rng(3).integers(0, 1 << WIDTH, (CYCLES, lanes))


def packed(row: Any) -> int:
    return sum(int(value) << (WIDTH * lane) for lane, value in enumerate(row))


def through(block: Block, given: npt.NDArray[np.int64]) -> list[list[int]]:
    """What leaves in the cycles in which rows enter."""
    found = []

    async def story(ctx: Any) -> None:
        for row in given:
            ctx.set(block.early, packed(row))
            late = ctx.get(block.late)
            found.append([late >> (WIDTH * lane) & ((1 << WIDTH) - 1) for lane in range(given.shape[1])])
            await ctx.tick()

    play(block, story)
    return found


def late(given: npt.NDArray[np.int64], cycles: list[int]) -> list[list[int]]:
    """Each lane by its cycles later; zeros, which the simulator starts with, before."""
    lanes = [
        np.concatenate([np.zeros(by, np.int64), given[: len(given) - by, lane]])
        for lane, by in enumerate(cycles)
    ]
    return np.stack(lanes, axis=1).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("cycles", [1, 2, 3, 4, 7])
def test_a_word_leaves_as_many_cycles_later_as_asked(cycles: int) -> None:
    given = words(1)
    block = Delay("core", "edge", cycles, WIDTH)
    assert through(block, given) == late(given, [cycles])
    assert block.latency == f"{cycles} cycle{'s' * (cycles > 1)}"


@pytest.mark.parametrize("reverse", [False, True], ids=["skew", "deskew"])
@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 5, 8])
def test_every_lane_is_late_by_its_number(lanes: int, reverse: bool) -> None:
    given, by = words(lanes), list(range(lanes))
    block = Skew("core", "edge", lanes, WIDTH, reverse=reverse)
    assert through(block, given) == late(given, by[::-1] if reverse else by)


@pytest.mark.parametrize("lanes", [2, 5])
def test_a_skew_of_the_other_direction_is_noticed(lanes: int) -> None:
    given = words(lanes)
    twin = Skew("core", "edge", lanes, WIDTH, reverse=True)
    assert through(twin, given) != late(given, list(range(lanes)))


def test_a_delay_that_is_a_cycle_short_is_noticed() -> None:
    given = words(1)
    assert through(Delay("core", "edge", 3, WIDTH), given) != late(given, [4])


class Line(Elaboratable):
    """A delay line of which all delays are seen."""

    def __init__(self, width: int, cycles: int, *, resets: bool) -> None:
        self.width, self.cycles, self.resets = width, cycles, resets
        self.early, self.taps = Signal(width), [Signal(width, name=f"tap{n}") for n in range(cycles + 1)]

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        found = delay_line(m, self.early, self.cycles, "held", resets=self.resets)
        m.d.comb += [tap.eq(value) for tap, value in zip(self.taps, found, strict=True)]
        return m


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("cycles", [0, 1, 4])
def test_every_tap_of_a_line_is_one_cycle_later(cycles: int, resets: bool) -> None:
    line, given, found = Line(WIDTH, cycles, resets=resets), words(1)[:, 0], []

    async def story(ctx: Any) -> None:
        for value in given:
            ctx.set(line.early, int(value))
            found.append([ctx.get(tap) for tap in line.taps])
            await ctx.tick()

    play(line, story)
    every = np.repeat(given[:, None], cycles + 1, axis=1)
    assert found == late(every, list(range(cycles + 1)))
    assert found != late(every, [0] * (cycles + 1)) or cycles == 0


def test_a_line_of_no_width_has_all_its_taps() -> None:
    assert [len(tap) for tap in delay_line(Module(), Signal(0), 3, "held")] == [0, 0, 0, 0]
