"""Order of tests for a mutant: likely failures first, and cheap tests before expensive ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.mutation.coverage_map import Map, folders

#: Tests that compare with recorded numbers of any room.
RECORDED = (
    "tests/conformance/test_golden.py",
    "tests/dse/test_recorded.py",
    "tests/systems/test_recorded.py",
)
#: Tests that read the sources and run none of their lines, which coverage cannot tell.
READERS = (
    "tests/test_house.py::test_records_stay_as_they_were_made",
    "tests/test_house.py::test_rows_side_by_side_are_equally_long",
)


def likely(tests: Iterable[str], known: Map, path: str) -> list[str]:
    """``tests`` with the likeliest first; of each class one case of every function, then a second, quickest first."""
    seen: Counter[str] = Counter()
    turn: dict[str, int] = {}
    for test in sorted(tests, key=lambda test: (known.seconds.get(test, 1.0), test)):
        function = test.split("[")[0]
        turn[test] = seen[function]
        seen[function] += 1
    return sorted(turn, key=lambda test: (_class(test, path), turn[test], known.seconds.get(test, 1.0)))


def _class(test: str, path: str) -> int:
    file = test.split("::")[0]
    if file in RECORDED or Path(path).stem in Path(file).stem:
        return 0
    return 1 if file.startswith((*folders(path), "tests/conformance/")) else 2


def within(tests: Iterable[str], known: Map, budget_s: float) -> Iterator[str]:
    """The first tests that fit the budget of processor seconds, at least one."""
    spent = 0.0
    for number, test in enumerate(tests):
        spent += known.seconds.get(test, 1.0)
        if number and spent > budget_s:
            return
        yield test
