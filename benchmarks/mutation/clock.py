"""A pytest plugin: processor seconds of every test, its child processes included, whatever else the machine does."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

#: The variable that names the file; every test adds one line, its name behind its seconds.
FILE = "MUTATION_SECONDS"


def processor_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Measure a test with its fixtures; a fixture that several tests share counts for the first."""
    before = processor_seconds()
    try:
        return (yield)
    finally:
        with open(os.environ[FILE], "a", encoding="utf-8") as file:
            file.write(f"{processor_seconds() - before:.3f} {item.nodeid}\n")
