"""What docs/systems.md shows of the presets is what its script writes."""

from __future__ import annotations

import pytest

from benchmarks import systems
from benchmarks.markdown import table
from blueprint.systems.diagram import svg
from tests.volume import ALL


@pytest.mark.parametrize("name", sorted(systems.PRESETS))
def test_the_pictures_are_what_the_script_writes(name: str) -> None:
    assert systems.figure(name).read_text(encoding="utf-8") == svg(systems.system(name))


def test_the_tables_are_what_the_script_writes() -> None:
    """`make test` compiles the large preset for one context alone."""
    text = systems.PAGE.read_text(encoding="utf-8")
    asked = {
        name: (model, contexts if name == "tiny_decoder" else contexts[1:2], prompt)
        for name, (model, contexts, prompt) in systems.PRESETS.items()
    }
    shown = table(systems.rows(systems.PRESETS if ALL else asked)).splitlines()
    assert [line for line in shown if line not in text.splitlines()] == []
    assert len(shown) == 2 + (8 if ALL else 4)
    assert table(systems.published()) in text


def test_tables_are_written_between_their_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systems, "rows", lambda: [["a", "b"], ["1", "2"]])
    monkeypatch.setattr(systems, "published", lambda: [["c"], ["3"]])
    text = "x\n<!-- presets -->\nold\n<!-- /presets -->\ny\n<!-- published -->\n\n<!-- /published -->\n"
    assert systems.page(text) == (
        "x\n<!-- presets -->\n| a | b |\n| --- | --- |\n| 1 | 2 |\n<!-- /presets -->\ny\n"
        "<!-- published -->\n| c |\n| --- |\n| 3 |\n<!-- /published -->\n"
    )


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"systems\.md must have the marks of presets once, not 0 times$"):
        systems.page("no marks")
