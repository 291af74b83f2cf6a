"""Tables of the engine: rows and columns are one memory, copies are independent, compiled code is found stale."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.timing import STALL_REASONS
from simulator.engine import compiled
from simulator.engine.machine import Access, Channel, Clock, Node, copied, table

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


def test_kept_code_is_of_these_sources() -> None:
    """A module that is compiled and not in the list would run as it was before it was changed."""
    made = re.compile(r"^@(compiled|inner)$", re.MULTILINE)
    compiling = {path.name for path in ENGINE.glob("*.py") if made.search(path.read_text())}
    assert compiling | {"compiled.py", "machine.py"} <= set(compiled._SOURCES)
