"""Mutants that move with their lines, the order of tests, and verdicts from a fork."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.mutation import order
from benchmarks.mutation.coverage_map import Map
from benchmarks.mutation.mutants import changes, mutants

TEXT = '''\
"""Words."""
LIMIT: int = 3


def area(width: int, count: int = 1) -> int:
    """Words."""
    return width * count
'''


def test_every_change_is_one_of_the_code_and_none_of_the_words() -> None:
    found = [mutant.what for mutant in mutants("dse/a.py", TEXT) if changes(mutant, TEXT)]
    assert found == [
        "3 -> 4",
        "width * count -> (width)",
        "width * count -> (count)",
        "width * count -> ((width) + (count))",
    ]


def test_a_mutant_is_found_where_its_lines_have_moved_to() -> None:
    mutant = list(mutants("dse/a.py", TEXT))[1]
    moved = mutant.applied('"""More."""\n\n' + TEXT)
    assert moved == '"""More."""\n\n' + TEXT.replace("return width * count", "return (width)")
    assert mutant.applied(TEXT.replace("width * count", "width + count")) is None


def test_of_two_equal_lines_the_nearer_is_changed() -> None:
    twice = "a = 1\nb = 2\na = 1\n"
    assert [m.applied(twice) for m in mutants("dse/a.py", twice)] == [
        "a = 2\nb = 2\na = 1\n",
        "a = 1\nb = 3\na = 1\n",
        "a = 1\nb = 2\na = 2\n",
    ]


def test_a_change_without_effect_is_none() -> None:
    text = "a = 1 * 1\n"
    assert [m.what for m in mutants("dse/a.py", text) if not changes(m, text)] == ["1 * 1 -> (1)"] * 2


TESTS = {
    "tests/ternforge/test_x.py::far": 0.1,
    "tests/dse/test_x.py::near[1]": 0.2,
    "tests/dse/test_x.py::near[2]": 0.1,
    "tests/dse/test_x.py::slower": 3.0,
    "tests/dse/test_a_more.py::named": 9.0,
    "tests/conformance/test_golden.py::recorded": 10.0,
}
KNOWN = Map({}, TESTS)


def test_likely_tests_come_first_and_one_case_of_each_before_a_second() -> None:
    assert order.likely(TESTS, KNOWN, "dse/a.py") == [
        "tests/dse/test_a_more.py::named",
        "tests/conformance/test_golden.py::recorded",
        "tests/dse/test_x.py::near[2]",
        "tests/dse/test_x.py::slower",
        "tests/dse/test_x.py::near[1]",
        "tests/ternforge/test_x.py::far",
    ]


@pytest.mark.parametrize(("budget", "count"), [(0.0, 1), (9.0, 1), (19.0, 2), (22.2, 4), (100.0, 6)])
def test_a_budget_is_spent_on_the_first_tests(budget: float, count: int) -> None:
    ordered = order.likely(TESTS, KNOWN, "dse/a.py")
    assert list(order.within(ordered, KNOWN, budget)) == ordered[:count]


CASES = """\
from dse.a import area

def test_blind(): pass
def test_broken(): assert area(2, 3) == 7
def test_sharp(): assert area(2, 3) == 6
def test_late(): assert False
"""


#: Judges changes of the tree in the first argument, in a process that has imported nothing of ours before.
JUDGE = """
import json, pathlib, sys
from benchmarks.mutation import runner
runner.ROOT = pathlib.Path(sys.argv[1]) / "source"
(pathlib.Path(sys.argv[1]) / "own").mkdir()
tree = runner.Tree(pathlib.Path(sys.argv[1]) / "own")
cases = json.loads(sys.argv[2])
print(json.dumps([tree.first_failure("dse/a.py", text, tests, 60.0) for text, tests in cases]))
"""


def test_the_first_failure_is_one_that_the_unchanged_tree_does_not_have(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name, text in (("dse/__init__.py", ""), ("dse/a.py", TEXT), ("tests/test_a.py", CASES)):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    (source / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\n')
    expected = [
        ("width + count", ["test_blind", "test_broken", "test_sharp", "test_late"], "::test_sharp"),
        ("width + missing", ["test_blind", "test_gone"], None),
        ("width +", ["test_blind"], ""),
    ]
    cases = [
        (TEXT.replace("width * count", change), [f"tests/test_a.py::{name}" for name in names])
        for change, names, _ in expected
    ]
    done = subprocess.run(
        [sys.executable, "-c", JUDGE, str(tmp_path), json.dumps(cases)],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "TERNFORGE_CACHE": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == ["" if test is None else f"tests/test_a.py{test}" for *_, test in expected]
    assert (tmp_path / "own" / "tree" / "dse" / "a.py").read_text() == TEXT
