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
from generator.cells.memory import Alternating, Sram, store
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


def story(columns: int, tiles: int, gaps: float, seed: int) -> tuple[dict[str, Any], list[tuple[int, int]]]:
    """Accesses of sweeps over the words in turn, and the word to be seen in each cycle.

    A word is read when its beat enters a stage and written when it leaves, which it does when the next one enters or,
    at random, before; it may also stay. The last sweep of each run writes nothing.
    """
    random = np.random.default_rng(seed)
    rows: list[dict[str, int]] = [{"rst": 1}]
    words: dict[int, int] = {}
    seen: list[tuple[int, int]] = []
    held: tuple[int, bool, int | None] | None = None
    for _ in range(3):
        for beat in range(columns * tiles):
            column, tile = beat % columns, beat // columns
            while random.random() < gaps:  # the beat stays, or leaves with none behind it
                row = {}
                if held and random.random() < 0.5:
                    row, held = leave(held, words, seen, len(rows), random), None
                rows.append(row)
            row = leave(held, words, seen, len(rows), random) if held else {}
            same = row.get("write", 0) and row["write_address"] == column
            before = None if same or not tile else words[column]
            held = (column, tile < tiles - 1, before)
            rows.append({**row, "read": 1, "read_address": column})
    names = ("rst", "write", "write_address", "write_data", "read", "read_address")
    return {name: [row.get(name, 0) for row in rows] for name in names}, seen


def leave(held: Any, words: dict[int, int], seen: Any, cycle: int, random: Any) -> dict[str, int]:
    """The accesses of a beat that leaves: its word is looked at, and written unless its sweep is the last."""
    column, writes, before = held
    if before is not None:
        seen.append((cycle, before))
    if not writes:
        return {}
    words[column] = int(random.integers(1 << 12))
    return {"write": 1, "write_address": column, "write_data": words[column]}


def alternates(edit: tuple[str, str] | None = None) -> bool:
    """Whether two single-port memories show every word, whatever the number of words and the gaps."""
    good, looked = True, 0
    for number, (columns, gaps) in enumerate((n, g) for n in (1, 2, 3, 6, 7) for g in (0.0, 0.3)):
        inputs, seen = story(columns, 4, gaps, number)
        found = drive(Alternating(7, 12, "holder"), inputs, edit)["read_data"]
        looked += len(seen)
        good &= all(int(found[cycle]) == word for cycle, word in seen)
    return good and looked > 300


def test_single_port_memories_read_and_write_in_every_cycle() -> None:
    assert alternates()


@pytest.mark.parametrize("edit", [("waiting", "1'h0"), ("hit", "1'h0"), ("odd", "1'h0")], ids=lambda e: e[0])
def test_a_word_that_waits_and_is_forgotten_is_noticed(edit: tuple[str, str]) -> None:
    name, value = edit
    built = emit(Alternating(7, 12, "holder")).modules["ternforge_banks_7x12"]
    line = next(line for line in built.splitlines() if f" {name} <= " in line and "(rst)" not in line)
    register, _, _ = line.partition("<=")
    assert not alternates((line, f"{register}<= {value};"))


def test_single_port_memories_are_of_half_the_words() -> None:
    built = emit(Alternating(7, 12, "holder"))
    assert built.instances["ternforge_sram_1rw_4x12"] == 2
    assert built.memories["ternforge_sram_1rw_4x12"]["ports"] == "1rw"
