"""Firings that take and give tokens in ragged loops, in all iterations but one: counted one by one."""

from __future__ import annotations

from typing import Literal

import pytest

from blueprint.timing import Access, Loop, Node
from simulator.tokens import token_firings

COUNTS = (2, 4, 1, 3)
Which = Literal["first", "last", "but_first", "but_last"]


def allowed(place: int, count: int, which: Which | None) -> bool:
    match which:
        case "first":
            return place == 0
        case "last":
            return place == count - 1
        case "but_first":
            return place > 0
        case "but_last":
            return place < count - 1
    return True


@pytest.mark.parametrize("inner", [None, "first", "last", "but_first", "but_last"])
@pytest.mark.parametrize("outer", [None, "first", "last", "but_first", "but_last"])
def test_tokens_of_every_iteration_but_some(outer: Which | None, inner: Which | None) -> None:
    only = tuple((name, which) for name, which in (("row", outer), ("item", inner)) if which)
    node = Node("n", (Loop("row", len(COUNTS)), Loop("item", counts=COUNTS)))
    rows = [range(sum(COUNTS[:row]), sum(COUNTS[: row + 1])) for row in range(len(COUNTS))]
    taken = [
        firing
        for row, firings in enumerate(rows)
        for place, firing in enumerate(firings)
        if allowed(row, len(COUNTS), outer) and allowed(place, len(firings), inner)
    ]
    acquire, release = token_firings(node, Access("c", "item", only))
    assert acquire.tolist() == release.tolist() == taken
    if inner is None:
        acquire, release = token_firings(node, Access("c", "row", only))
        mine = [firings for row, firings in enumerate(rows) if allowed(row, len(COUNTS), outer)]
        assert acquire.tolist() == [firings[0] for firings in mine]
        assert release.tolist() == [firings[-1] for firings in mine]
