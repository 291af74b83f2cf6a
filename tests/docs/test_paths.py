"""Files that the pages name exist, and every template of exported text stands in its index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.test_index import PAGES
from tests.test_house import ROOT

#: Names with one of these endings, or below a room, are files of this repository or results.
ENDINGS = "cpp csv db f h j2 json log md png py sdc svg toml txt v vlt yaml ys".split()  # noqa: SIM905
NAMED = re.compile(rf"`([\w.][\w./<>*-]*\.(?:{'|'.join(ENDINGS)}))`")
#: Files that commands write, and files of other folders.
WRITTEN = {
    ".ternforge.json", "<family>_regs.h", "OUT.sdc", "DIR/manifest.json", "bench/test_top.py", "binding.h",
    "config.json", "model.safetensors.index.json", "tokenizer.json",
    "image.bin", "image.json", "program.lst",
    "constraints.sdc", "files.f", "front.csv", "include/<top>_regs.h", "include/TOP_regs.h", "lint.vlt",
    "manifest.json", "params.json", "points.csv", "rtl/<memory>.v", "rtl/ternforge_sram_*.v",
    "stubs/ternforge_sram_*.v", "study.db", "synth.f", "synth.ys", "workers.log",
}  # fmt: skip
TEMPLATES = ROOT / "rtl_templates"


def absent(page: Path, root: Path = ROOT) -> Iterator[str]:
    """Files that a page names and nobody has: not beside the page, not in the repository by the end of a path."""
    for name in re.findall(NAMED, page.read_text(encoding="utf-8")):
        pattern = re.sub(r"<\w+>", "*", name)
        inside = "rtl_templates blueprint generator costmodel simulator dse ternforge toolchain tests docs examples"
        places = [root, page.parent, *(root / room for room in [*inside.split(), "benchmarks"])]
        first, _, rest = pattern.partition("/")
        below = page.parent != root and rest and next(iter((page.parent / first).rglob(rest)), None)
        found = any(next(iter(place.glob(pattern)), None) for place in places)
        if name not in WRITTEN and not (found or below or next(iter(_deep(root, pattern)), None)):
            yield name


def _deep(root: Path, pattern: str) -> Iterator[Path]:
    for room in root.iterdir():
        if room.is_dir() and not room.is_symlink() and room.name[0] != "." and room.name != "sim_build":
            yield from room.rglob(pattern)


def listed(text: str) -> list[str]:
    """Templates in the order of the lines of the index."""
    return re.findall(r"^\| `(\S+\.j2)` \| `\S+` \| \S", text, re.MULTILINE)


@pytest.mark.parametrize(
    "page", [*PAGES, TEMPLATES / "README.md"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_files_that_a_page_names_exist(page: Path) -> None:
    assert list(absent(page)) == []


def test_a_stale_name_is_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "page.md"
    page.write_text(
        "`docs/page.md`, `page.md`, `docs/<name>.md`, `study.db`, `docs/gone.md`, `gone.py`, `1.md.x`"
    )
    assert list(absent(page, tmp_path)) == ["docs/gone.md", "gone.py"]


def test_every_template_is_listed_and_nothing_else() -> None:
    text = (TEMPLATES / "README.md").read_text(encoding="utf-8")
    assert listed(text) == sorted(path.name for path in TEMPLATES.glob("*.j2"))


def test_a_template_that_is_not_listed_is_noticed() -> None:
    lines = (TEMPLATES / "README.md").read_text(encoding="utf-8").splitlines()
    shorter = "\n".join(line for line in lines if "`synth.f.j2`" not in line)
    assert {path.name for path in TEMPLATES.glob("*.j2")} - set(listed(shorter)) == {"synth.f.j2"}


def test_templates_of_exported_text_stand_nowhere_else() -> None:
    """Text with placeholders of Jinja2 in the rooms: templates and the pages of reports alone."""
    marked = {
        path.relative_to(ROOT).parts[0]
        for room in (
            "blueprint",
            "generator",
            "simulator",
            "costmodel",
            "ternforge",
            "toolchain",
            "rtl_templates",
        )
        for path in (ROOT / room).rglob("*")
        if path.is_file()
        and path.suffix in (".j2", ".py", ".txt")
        and re.search(r"\{%.*%\}", path.read_text())
    }
    assert marked == {"rtl_templates"}
