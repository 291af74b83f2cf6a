"""Snapshots name everything that differs, and what is there only once."""

from benchmarks.snapshot import compared, designs_of, snapshot

BEFORE = {"a 0": {"inventory": "1", "time": "2"}, "a 1": {"inventory": "3"}, "b 0": {"inventory": "4"}}


def test_equal_snapshots_do_not_differ() -> None:
    assert compared(BEFORE, BEFORE) == {"a 0": [], "a 1": [], "b 0": []}


def test_changed_missing_and_new_hashes_and_designs_are_named() -> None:
    after = {"a 0": {"inventory": "1", "time": "5", "file x": "6"}, "a 1": {}, "c 0": {"inventory": "7"}}
    found = compared(BEFORE, after)
    assert found == {
        "a 0": ["file x", "time"],
        "a 1": ["inventory"],
        "b 0": ["only before"],
        "c 0": ["only after"],
    }


def test_a_design_has_the_same_hashes_twice_and_another_one_has_others() -> None:
    first = snapshot(("systolic", 0))
    assert first == snapshot(("systolic", 0))
    other = snapshot(("systolic", 1))
    assert first["inventory"] != other["inventory"] and first["task 0: time"] != other["task 0: time"]
    assert {"file manifest.json", "task 1: time of stalled streams", "costs asap7"} <= first.keys()


def test_a_comparison_makes_as_many_designs_as_were_kept() -> None:
    assert designs_of({"systolic 0": {}, "systolic 37": {}, "vector 4": {}}) == 38
