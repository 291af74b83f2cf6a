"""The code blocks of the pages do what the pages say.

A ``console`` block holds commands (``$ ternforge ...``) and what they print, standard error included; ``...`` in it
stands for any text, on a line of its own for any number of lines. The blocks of a page run in order in one empty
folder. A ``python`` block runs as it is, at the top of the repository.
"""

from __future__ import annotations

import math
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ternforge import session
from ternforge.cli import run

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def steps(block: str) -> list[tuple[str, str]]:
    """Commands with the text that follows each."""
    found = re.split(r"^\$ ", block, flags=re.MULTILINE)
    assert found[0] == "", f"a console block must start with a command, not {found[0]!r}"
    pairs = [step.split("\n", 1) for step in found[1:]]
    return [(command, output) for command, output in pairs]


def pattern(output: str) -> str:
    """A regular expression of the printed text."""
    lines = [
        r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n"
        for line in output.splitlines()
    ]
    return "".join(lines)


def with_blocks(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(page.read_text(encoding="utf-8"), language)]


@pytest.mark.parametrize("page", with_blocks("console"), ids=lambda page: page.name)
def test_console_blocks_print_what_the_page_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(session, "_PAUSE", math.inf)  # a slow machine would print progress between the lines
    for block in blocks(page.read_text(encoding="utf-8"), "console"):
        for command, output in steps(block):
            program, *arguments = shlex.split(command)
            assert program == "ternforge", command
            fails = output.startswith("FAIL")
            assert run(arguments) in ((1,) if fails else (0, 2)), command
            shown = "".join(capsys.readouterr())
            assert re.fullmatch(pattern(output), shown), f"$ {command}\n{shown}"


@pytest.mark.parametrize("page", with_blocks("python"), ids=lambda page: page.name)
def test_python_blocks_run(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8"), "python"):
        subprocess.run([sys.executable, "-c", block], cwd=ROOT, check=True, capture_output=True, text=True)


def test_relative_links_lead_somewhere() -> None:
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_the_matcher_can_fail() -> None:
    assert re.fullmatch(pattern("a ... c\n...\nend\n"), "a b c\n1\n2\nend\n")
    assert not re.fullmatch(pattern("a ... c\n...\nend\n"), "a b d\nend\n")
