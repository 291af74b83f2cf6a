"""Tables of the engine: rows and columns are one memory, copies are independent, compiled code is found stale."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from blueprint.timing import STALL_REASONS
from simulator.engine import channels, compiled, eventloop
from simulator.engine.machine import FINAL, FIRST, NEVER, Access, Channel, Clock, Node, copied, table

ENGINE = Path(compiled.__file__).parent


def test_columns_are_the_fields_of_the_row_class() -> None:
    nodes: Any = table(Node, 3)
    assert nodes.dtype.names == tuple(Node.__annotations__)
    assert {nodes.dtype[name] for name in nodes.dtype.names} == {np.dtype(np.int64)}
    assert table(Clock, 1)["stalls"].shape == (1, len(STALL_REASONS))


def test_copy_is_equal_and_independent() -> None:
    accesses: Any = table(Access, 2)
    accesses["channel"] = 4, 7
    copy: Any = copied(accesses)
    assert (copy.dtype, copy.tolist()) == (accesses.dtype, accesses.tolist())
    copy["channel"][1] = 0
    assert accesses["channel"].tolist() == [4, 7]


def test_unknown_field_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^no field of name capacty$"):
        table(Channel, 1)["capacty"]


def test_ring_buffer_keeps_the_last_tokens() -> None:
    ring: Any = SimpleNamespace(ring=2, ring_length=3)
    machine: Any = SimpleNamespace(memory=[-1] * 5)
    for token in range(5):
        channels.note_sent(machine, ring, token, 10 * token)
    assert machine.memory == [-1, -1, 30, 40, 20]
    assert [channels.sent_in(machine, ring, token) for token in (2, 3, 4)] == [20, 30, 40]


@pytest.mark.parametrize(
    ("reserved", "freed", "free", "since"), [(0, 0, 2, 9), (3, 2, 1, 9), (4, 2, 0, NEVER)]
)
def test_credits_are_the_slots_that_nobody_holds(reserved: int, freed: int, free: int, since: int) -> None:
    channel: Any = SimpleNamespace(capacity=2, reserved=reserved, freed=freed, credit_since=9)
    assert channels.credits(channel) == free
    assert channels.credit_from(channel) == since


@pytest.mark.parametrize(("index", "first", "final"), [(0, True, False), (1, False, False), (2, False, True)])
def test_first_and_final_iterations(index: int, first: bool, final: bool) -> None:
    level: Any = SimpleNamespace(index=index, count=3)
    assert (eventloop._admits(level, FIRST), eventloop._admits(level, FINAL)) == (first, final)


def test_kept_code_is_of_these_sources() -> None:
    """A module that is compiled and not in the list would run as it was before it was changed."""
    made = re.compile(r"^@(compiled|inner)$", re.MULTILINE)
    compiling = {path.name for path in ENGINE.glob("*.py") if made.search(path.read_text())}
    assert compiling | {"compiled.py", "machine.py"} == set(compiled._SOURCES)
