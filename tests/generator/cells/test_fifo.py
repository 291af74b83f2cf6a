"""The FIFO against a Python model, in every cycle, under random back-pressure."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, Value

from blueprint import numbers
from generator.cells.fifo import FILE_BITS, Fifo
from tests.generator.cells.flat import play

CYCLES, MAKING = 600, 3


class Model:
    """Words, and the slots that are taken for words which are still made."""

    def __init__(self, fifo: Fifo) -> None:
        self.fifo = fifo
        self.words: deque[int] = deque()
        self.taken = 0

    def room(self, read: bool) -> bool:
        """Whether there is a slot, in a cycle in which a word is ``read`` or not."""
        return self.taken < self.fifo.depth or (self.fifo.refills and read)

    def tick(self, reserved: bool, written: int | None, read: bool) -> None:
        """The edge of the clock."""
        if read:
            self.words.popleft()
            self.taken -= 1
        if written is not None:
            self.words.append(written)
        self.taken += reserved if self.fifo.ahead else written is not None


def check(fifo: Fifo, seed: int = 1, cycles: int = CYCLES) -> None:
    """Compare ``room``, ``valid`` and ``result`` with the model's in every cycle."""
    random = np.random.default_rng(seed)
    model = Model(fifo)
    making: deque[int | None] = deque([None] * MAKING) if fifo.ahead else deque()

    async def story(ctx: Any) -> None:
        for cycle in range(cycles):
            eager = ((cycle // 50) % 3) / 2  # a slow reader, one as fast as the writer, a fast one
            assert ctx.get(fifo.valid) == bool(model.words), f"valid in cycle {cycle}"
            if model.words and fifo.width:
                assert ctx.get(fifo.result) == model.words[0], f"result in cycle {cycle}"
            read = bool(model.words) and random.random() < 0.2 + 0.8 * eager
            ctx.set(fifo.read, read)
            assert ctx.get(fifo.room) == model.room(read), f"room in cycle {cycle}"
            wanted = model.room(read) and random.random() < 1 - 0.6 * eager
            made = int.from_bytes(random.bytes(fifo.width // 8 + 1), "little") & ((1 << fifo.width) - 1)
            making.append(made if wanted else None)
            written = making.popleft()
            if fifo.ahead:
                ctx.set(fifo.reserve, wanted)
            ctx.set(fifo.write, written is not None)
            if fifo.width:
                ctx.set(fifo.word, written or 0)
            await ctx.tick()
            model.tick(wanted, written, read)

    play(fifo, story)


REGISTERS = [(depth, False) for depth in range(1, 6)]
MEMORIES = [(depth, True) for depth in range(2, 7)]  # it keeps one word beside itself


@pytest.mark.parametrize("refills", [False, True], ids=["waits", "refills"])
@pytest.mark.parametrize("ahead", [False, True], ids=["at_once", "ahead"])
@pytest.mark.parametrize(("depth", "in_memory"), REGISTERS + MEMORIES)
def test_every_cycle_is_that_of_the_model(depth: int, in_memory: bool, ahead: bool, refills: bool) -> None:
    check(Fifo("core", 8, depth, ahead=ahead, refills=refills, in_memory=in_memory))


@pytest.mark.parametrize("depth", [1, 5])
def test_a_fifo_of_no_width_counts(depth: int) -> None:
    check(Fifo("core", 0, depth, ahead=True, refills=False))


def test_a_word_in_several_files_comes_back_whole() -> None:
    check(Fifo("core", 2 * FILE_BITS + 44, 3, ahead=True, refills=True))


def test_a_word_in_several_banks_of_memory_comes_back_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a word is wider than a vector, with vectors that the simulator takes."""
    monkeypatch.setattr(numbers, "VECTOR_BITS", 16)
    fifo = Fifo("core", 40, 5, ahead=False, refills=False, in_memory=True)
    assert [name for name in fifo.pins if name.startswith("word")] == [
        "word_0",
        "word_1",
        "word_2",
    ]
    check(fifo)


class Unwrapped(Fifo):
    """A twin whose pointers run to the next power of two."""

    def _pointer(self, m: Module, name: str, step: Value, first: int) -> Signal:
        pointer = Signal(3, name=name, init=first)
        with m.If(step):
            m.d.sync += pointer.eq(pointer + 1)
        return pointer


class Eager(Fifo):
    """A twin that has room for one word too many."""

    def elaborate(self, platform: Any) -> Module:
        self.depth += 1
        m = super().elaborate(platform)
        self.depth -= 1
        return m


class Forgetful(Fifo):
    """A twin whose memory shows the word that was written last."""

    def _memory(self, m: Module, stored: Signal, tail: Signal, second: Signal) -> None:
        super()._memory(m, stored & ~stored, tail, second)


@pytest.mark.parametrize(
    ("twin", "told"),
    [
        (Unwrapped("core", 8, 5, ahead=False, refills=False), "result in cycle"),
        (Eager("core", 8, 4, ahead=True, refills=False), "room in cycle"),
        (Forgetful("core", 8, 6, ahead=False, refills=False, in_memory=True), "result in cycle"),
    ],
    ids=["unwrapped", "eager", "forgetful"],
)
def test_the_model_notices(twin: Fifo, told: str) -> None:
    with pytest.raises(AssertionError, match=f"^{told} "):
        check(twin)
