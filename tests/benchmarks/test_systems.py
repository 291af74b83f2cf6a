"""What docs/systems.md shows of the presets is what its script writes."""

from __future__ import annotations

import pytest

from benchmarks import systems
from blueprint.systems.diagram import svg


@pytest.mark.parametrize("name", sorted(systems.PRESETS))
def test_the_pictures_are_what_the_script_writes(name: str) -> None:
    assert systems.figure(name).read_text(encoding="utf-8") == svg(systems.system(name))


def test_the_tables_are_what_the_script_writes() -> None:
    text = systems.PAGE.read_text(encoding="utf-8")
    assert systems.page(text) == text


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"systems\.md must have the marks of presets once, not 0 times$"):
        systems.page("no marks")
