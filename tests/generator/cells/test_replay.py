"""The FIFO that gives groups of words several times against a Python model, in every cycle, under back-pressure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Signal, Value

from generator.cells.replay import Replay
from tests.generator.cells.flat import play

CYCLES, WIDTH = 800, 8


class Model:
    """Words with the ends of their groups; the group at the front is given ``turns`` times."""

    def __init__(self, turns: list[int]) -> None:
        self.turns = turns
        self.words: list[tuple[int, bool]] = []
        self.at = self.turn = self.groups = self.freed = 0

    @property
    def again(self) -> bool:
        return self.turn + 1 < self.turns[self.groups % len(self.turns)]

    @property
    def used(self) -> int:
        return len(self.words) - self.freed

    def read(self) -> None:
        final, again = self.words[self.at][1], self.again
        self.freed += not again
        self.at += 1
        if final and again:
            self.at, self.turn = self.freed, self.turn + 1
        elif final:
            self.turn, self.groups = 0, self.groups + 1


def check(replay: Replay, turns: list[int], seed: int = 1) -> int:
    """Compare ``room``, ``valid`` and ``result`` with the model's; returns the groups that were given."""
    random, model = np.random.default_rng(seed), Model(turns)
    left = 0

    async def story(ctx: Any) -> None:
        nonlocal left
        for cycle in range(CYCLES):
            eager = ((cycle // 50) % 3) / 2
            valid = model.at < len(model.words)
            assert ctx.get(replay.valid) == valid, f"valid in cycle {cycle}"
            if valid:
                assert ctx.get(replay.result) == model.words[model.at][0], f"result in cycle {cycle}"
            assert ctx.get(replay.room) == (model.used < replay.depth), f"room in cycle {cycle}"
            read = valid and random.random() < 0.2 + 0.8 * eager
            ctx.set(replay.read, read)
            ctx.set(replay.final, valid and model.words[model.at][1])
            ctx.set(replay.again, model.again)
            write = model.used < replay.depth and random.random() < 1 - 0.6 * eager
            if write:
                left = left - 1 if left else int(random.integers(replay.depth))
                model.words.append((int(random.integers(1 << WIDTH)), left == 0))
                ctx.set(replay.word, model.words[-1][0])
            ctx.set(replay.write, write)
            await ctx.tick()
            if read:
                model.read()

    play(replay, story)
    return model.groups


@pytest.mark.parametrize("depth", [2, 3, 4, 7, 16])
@pytest.mark.parametrize("turns", [[1], [2], [3, 1, 2]], ids=["once", "twice", "mixed"])
def test_every_cycle_is_that_of_the_model(depth: int, turns: list[int]) -> None:
    """Groups have 1 to ``depth`` words, so that some fill the FIFO."""
    assert check(Replay("core", WIDTH, depth), turns) > 5


class _Forgetful(Replay):
    """A twin that frees the slots of every turn."""

    def _levels(self, m: Any, back: Value, leaves: Value) -> Signal:
        return super()._levels(m, back, self.read)


class _Late(Replay):
    """A twin whose groups begin at the slot of the first one."""

    def _pointers(self, m: Any, back: Value) -> Value:
        return super()._pointers(m, back & 0)


@pytest.mark.parametrize("twin", [_Forgetful, _Late])
def test_a_fault_is_noticed(twin: type[Replay]) -> None:
    with pytest.raises(AssertionError, match=r"in cycle \d+"):
        check(twin("core", WIDTH, 4), [3])
