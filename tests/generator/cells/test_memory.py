"""The memory's body in Verilog against a Python model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import In, Out

from blueprint import numbers
from blueprint.numbers import clog2
from generator.block import Block
from generator.cells.memory import Sram, store
from generator.emission import emit
from tests.generator.vectors import drive

CYCLES = 400
#: A memory that shows what is written in the same cycle.
WRITES_FIRST = (
    "if (read) read_data <= words[read_address];",
    "if (read) read_data <= write && write_address == read_address ? write_data : words[read_address];",
)


class Holder(Block):
    """A block that stores its words."""

    place = "holder"

    def __init__(self, words: int, width: int) -> None:
        self.words = words
        address = int(clog2(words))
        ports = {"write": In(1), "write_address": In(address), "write_data": In(width)}
        ports |= {"read": In(1), "read_address": In(address), "read_data": Out(width)}
        super().__init__("holder", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        pins = {
            "write": self.write, "write_address": self.write_address, "write_data": self.write_data,
            "read": self.read, "read_address": self.read_address, "read_data": self.read_data,
        }  # fmt: skip
        store(self, m, "store", self.words, **pins)
        return m


def check(edit: tuple[str, str] | None = None) -> bool:
    """Whether random accesses, often to the same word, find what the model holds."""
    random = np.random.default_rng(5)
    inputs = {
        "write": random.integers(0, 2, CYCLES), "write_address": random.integers(0, 5, CYCLES),
        "write_data": random.integers(0, 1 << 12, CYCLES),
        "read": random.integers(0, 2, CYCLES), "read_address": random.integers(0, 5, CYCLES),
    }  # fmt: skip
    inputs["write"][:5], inputs["write_address"][:5], inputs["read"][:6] = 1, np.arange(5), 0
    found = drive(Holder(5, 12), inputs, edit)["read_data"]
    words, shown, same = dict.fromkeys(range(5), 0), None, True
    for cycle in range(CYCLES):
        same &= shown is None or found[cycle] == shown
        if inputs["read"][cycle]:
            shown = words[int(inputs["read_address"][cycle])]
        if inputs["write"][cycle]:
            words[int(inputs["write_address"][cycle])] = int(inputs["write_data"][cycle])
    return bool(same)


def test_a_read_sees_the_word_before_the_write_and_keeps_it() -> None:
    assert check()


def test_a_memory_that_shows_the_write_is_noticed() -> None:
    assert not check(WRITES_FIRST)


def test_words_wider_than_a_vector_stand_in_equal_banks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "VECTOR_BITS", 16)
    built = emit(Holder(5, 40)).instances
    assert built == {"ternforge_sram_1r1w_5x14": 2, "ternforge_sram_1r1w_5x12": 1, "holder": 1}


def test_the_address_of_a_memory_reaches_its_last_word() -> None:
    assert [Sram(words, 8).fields["address_width"] for words in (2, 3, 4, 5)] == [1, 2, 2, 3]
