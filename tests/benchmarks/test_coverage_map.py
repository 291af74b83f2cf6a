"""Which tests a mutant is run against."""

from pathlib import Path

from benchmarks.mutation.coverage_map import Map, folders, importers

LINES = {
    "dse/a.py": {3: {"tests/dse/test_a.py::one"}, 4: {"tests/dse/test_a.py::two", "tests/dse/test_a.py::one"}}
}
SECONDS = {
    "tests/dse/test_a.py::one": 2.0,
    "tests/dse/test_a.py::two": 1.0,
    "tests/simulator/test_b.py::three": 3.0,
}
KNOWN = Map(LINES, SECONDS)


def test_a_line_s_tests_come_quickest_first() -> None:
    assert KNOWN.tests("dse/a.py", 4, 4) == ["tests/dse/test_a.py::two", "tests/dse/test_a.py::one"]
    assert KNOWN.tests("dse/a.py", 3, 3) == ["tests/dse/test_a.py::one"]


def test_a_line_run_at_import_has_the_tests_of_its_file() -> None:
    assert KNOWN.tests("dse/a.py", 1, 1) == ["tests/dse/test_a.py::two", "tests/dse/test_a.py::one"]


def test_a_file_that_coverage_does_not_see_has_the_tests_of_its_folders() -> None:
    """Compiled code and child processes."""
    assert folders("simulator/cosim/axi.py") == ("tests/simulator/", "tests/cosim/")
    assert KNOWN.tests("simulator/engine/eventloop.py", 5, 5) == ["tests/simulator/test_b.py::three"]


def test_a_file_that_coverage_does_not_see_has_the_tests_of_those_that_import_it(tmp_path: Path) -> None:
    """Through files that it does not see either, and of no others."""
    sources = {
        "simulator/engine/inner.py": "import numpy\n",
        "simulator/engine/outer.py": "from simulator.engine import inner\n",
        "dse/a.py": "def late():\n    from simulator.engine.outer import step\n",
        "dse/b.py": "import dse.a\nfrom . import c\n",
        "dse/__init__.py": "",
    }
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = importers(tmp_path)
    assert found == {
        "simulator/engine/inner.py": {"simulator/engine/outer.py"},
        "simulator/engine/outer.py": {"dse/a.py"},
        "dse/a.py": {"dse/b.py"},
    }
    known = Map(LINES, SECONDS, found)
    room = "tests/simulator/test_b.py::three"
    assert known.tests("simulator/engine/inner.py", 1, 1) == [*KNOWN.tests("dse/a.py", 1, 1), room]
    assert known.tests("dse/b.py", 1, 1) == KNOWN.tests("dse/a.py", 1, 1)
