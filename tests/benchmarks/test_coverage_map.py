"""Which tests a mutant is run against."""

from benchmarks.mutation.coverage_map import Map

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


def test_a_file_that_coverage_does_not_see_has_the_tests_of_its_room() -> None:
    """Compiled code and child processes."""
    assert KNOWN.tests("simulator/engine/eventloop.py", 5, 5) == ["tests/simulator/test_b.py::three"]
