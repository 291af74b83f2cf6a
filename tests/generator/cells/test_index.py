"""Every cell stands in the index, with what it guarantees and what it does not in its docstring."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from blueprint import registry

CELLS = Path(__file__).resolve().parents[3] / "generator" / "cells"


def cells() -> dict[str, tuple[str, Any]]:
    """Public classes and functions of all modules: name to file and object."""
    found = {}
    for path in sorted(CELLS.glob("[a-z]*.py")):
        module = importlib.import_module(f"generator.cells.{path.stem}")
        for name, thing in vars(module).items():
            own = getattr(thing, "__module__", "") == module.__name__
            if own and not name.startswith("_") and callable(thing):
                found[name] = (path.name, thing)
    return found


def listed(text: str) -> dict[str, str]:
    """Cell to file, by the lines of the index."""
    return dict(re.findall(r"^\| `(\w+)` \| `(\w+\.py)` \| \S", text, re.MULTILINE))


def unsaid(cell: Any) -> list[str]:
    """Which of the two sentences a docstring lacks."""
    text = inspect.getdoc(cell) or ""
    return [word for word in ("Guarantees", "Does not") if not re.search(rf"^{word}: \S", text, re.MULTILINE)]


def test_every_cell_is_listed_with_its_file_and_nothing_else() -> None:
    assert listed((CELLS / "README.md").read_text()) == {name: file for name, (file, _) in cells().items()}


def test_a_cell_that_is_not_listed_is_noticed() -> None:
    lines = (CELLS / "README.md").read_text().splitlines()
    shorter = "\n".join(line for line in lines if "`Skew`" not in line)
    assert set(cells()) - set(listed(shorter)) == {"Skew"}


@pytest.mark.parametrize("name", sorted(cells()))
def test_a_cell_says_what_it_guarantees_and_what_not(name: str) -> None:
    assert unsaid(cells()[name][1]) == []


def test_a_cell_without_these_sentences_is_noticed() -> None:
    class Silent:
        """A cell.

        Guarantees: something.
        """

    assert unsaid(Silent) == ["Does not"]


def test_no_cell_names_a_family() -> None:
    named = {
        (path.name, family)
        for path in CELLS.glob("*.py")
        for family in registry.families()
        if family in path.read_text().replace("a vector", "")
    }
    assert named == set()
