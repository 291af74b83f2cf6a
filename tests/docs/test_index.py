"""Every page is linked from index and README, tables are whole, and the figure is what its script writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import architecture_figure
from tests.test_house import ROOMS, ROOT

HUBS = ("README.md", "docs/index.md")
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "generator" / "cells" / "README.md"]
)


def linked(hub: Path) -> set[Path]:
    """The files that a page links to."""
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", hub.read_text(encoding="utf-8"))
    return {(hub.parent / target).resolve() for target in targets}


def unlinked(root: Path, hub: str) -> list[str]:
    """Pages of docs/ that ``hub`` does not link to; a page need not link to itself."""
    pages = {path.resolve() for path in (root / "docs").rglob("*.md")}
    missing = pages - linked(root / hub) - {(root / hub).resolve()}
    return sorted(str(path.relative_to(root.resolve())) for path in missing)


def broken_rows(text: str) -> Iterator[int]:
    """Numbers of lines that start with ``|`` but are no row of a table: no heading above, or other columns than it."""
    columns, code = 0, False
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        code ^= line.startswith("```")
        if code or not line.startswith("|"):
            columns = 0
            continue
        bars = line.replace("\\|", "").count("|")
        if not columns:
            ruled = number < len(lines) and re.fullmatch(r"\|[\s:|-]+\|", lines[number])
            columns = bars if ruled else -1
        if bars != columns:
            yield number


@pytest.mark.parametrize("hub", HUBS)
def test_every_page_is_linked(hub: str) -> None:
    assert unlinked(ROOT, hub) == []


def test_a_page_that_nobody_links_is_found(tmp_path: Path) -> None:
    (tmp_path / "docs" / "adr").mkdir(parents=True)
    (tmp_path / "docs" / "index.md").write_text("[one](one.md#part) [all](index.md) [gone](../gone.md)")
    for name in ("one.md", "adr/0001-two.md"):
        (tmp_path / "docs" / name).write_text("")
    assert unlinked(tmp_path, "docs/index.md") == ["docs/adr/0001-two.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tables_are_whole(page: Path) -> None:
    assert list(broken_rows(page.read_text(encoding="utf-8"))) == []


def test_a_torn_table_is_found() -> None:
    table = "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    assert list(broken_rows(table)) == []
    assert list(broken_rows(f"{table}\n| 3 | 4 |\n")) == [5]
    assert list(broken_rows(f"{table}| 3 | 4 | 5 |\n")) == [4]


def templates(root: Path) -> tuple[list[str], list[str]]:
    """The templates in a folder, and those that its index has a line of."""
    listed = re.findall(
        r"^\| `([^`]+\.j2)` \|", (root / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    return sorted(path.name for path in root.glob("*.j2")), sorted(listed)


def test_every_template_has_one_line_of_the_index(tmp_path: Path) -> None:
    there, listed = templates(ROOT / "rtl_templates")
    assert there == listed and len(there) > 10
    (tmp_path / "README.md").write_text("| `gone.j2` | `x` | y |\n")
    (tmp_path / "new.j2").write_text("")
    assert templates(tmp_path) == (["new.j2"], ["gone.j2"])


def test_every_term_of_the_glossary_has_one_entry() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").split("## Renamed parameters")[0]
    terms = [
        term for term in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE) if term not in ("term", "---")
    ]
    assert len(terms) > 60
    assert sorted(set(terms)) == sorted(terms)


def test_the_figure_is_what_its_script_writes() -> None:
    assert architecture_figure.FIGURE.read_text(encoding="utf-8") == architecture_figure.figure()


def test_the_figure_knows_every_room() -> None:
    assert architecture_figure.rooms() == sorted(ROOMS)


def test_a_room_without_a_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "attic").mkdir()
    (tmp_path / "attic" / "__init__.py").write_text("")
    with pytest.raises(ValueError, match=r"^PLACES must name every room, not without attic$"):
        architecture_figure.figure(tmp_path)


def test_arrows_follow_the_imports(tmp_path: Path) -> None:
    """An import more is an arrow more, unless it follows from others."""
    for room, text in {"dse": "import costmodel.model", "costmodel": "from blueprint import unit"}.items():
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text(text)
    (tmp_path / "blueprint").mkdir()
    (tmp_path / "blueprint" / "__init__.py").write_text("")
    arrows = [("costmodel", "blueprint"), ("dse", "costmodel")]
    assert architecture_figure.reduced(architecture_figure.imports(tmp_path)) == arrows
    (tmp_path / "dse" / "space.py").write_text("def read():\n    import blueprint.spec\n")
    assert architecture_figure.reduced(architecture_figure.imports(tmp_path)) == arrows
    (tmp_path / "blueprint" / "text.py").write_text('loader = PackageLoader("dse")\n')
    assert architecture_figure.imports(tmp_path)["blueprint"] == {"dse"}
