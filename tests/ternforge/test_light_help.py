"""Help needs no NumPy and no Amaranth."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from ternforge import cli
from tests.ternforge.test_cli import commands

HEAVY = ("numpy", "scipy", "amaranth", "numba")


def loaded(*lines: Sequence[str]) -> dict[str, list[str]]:
    """The heavy packages that are loaded after each of some command lines, all in one new interpreter."""
    code = (
        "import json, sys\nfrom ternforge import cli\nfound = {}\n"
        f"for line in {[list(line) for line in lines]!r}:\n"
        "    assert cli.run(line) == 0\n"
        f"    found[' '.join(line)] = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print(json.dumps(found), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stderr.splitlines()[-1])
    return found


def test_help_and_version_load_no_numpy_and_no_amaranth() -> None:
    paths = [path for path, _ in commands()]
    assert len(paths) > 20
    lines = [("--version",), ("--help",), ("model", "--help"), ("tech", "--help")]
    found = loaded(*lines, *((*path, "--help") for path in paths))
    assert {line: names for line, names in found.items() if names} == {}


def test_a_command_that_works_loads_numpy() -> None:
    """The check above can fail."""
    assert "numpy" in loaded(("model", "list"))["model list"]


def test_every_verb_has_a_command_of_its_name() -> None:
    for name, (module, _) in cli.cli.verbs.items():
        assert module == f"ternforge.commands.{name}"
