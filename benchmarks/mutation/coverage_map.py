"""Map from lines to the fast tests that run them, from a coverage run with one context per test."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.mutation import clock

ROOT = Path(__file__).resolve().parent.parent.parent
#: Repeated here: importing `ternforge` would fix the place of the rooms, and mutants are imported from a copy.
ROOMS = (
    "blueprint",
    "checkpoints",
    "compiler",
    "costmodel",
    "dse",
    "generator",
    "simulator",
    "ternforge",
    "toolchain",
)
#: Programs beside the package, which a link in it names too.
EXAMPLES, LINKED = "examples", "ternforge/examples"


@dataclass(frozen=True)
class Map:
    """Tests by file and line, the seconds each took, and the files that import a file."""

    lines: Mapping[str, Mapping[int, set[str]]]
    seconds: Mapping[str, float]
    importers: Mapping[str, set[str]] = field(default_factory=dict)

    def tests(self, path: str, first: int, last: int) -> list[str]:
        """Tests that run one of the lines, quickest first; of a line run at import those that run the file at all.

        Coverage sees neither compiled code nor child processes: a file that no test seems to run gets the tests of
        those that import it, and all in folders that are named as its own.
        """
        lines = self.lines.get(path, {})
        found = {test for line in range(first, last + 1) for test in lines.get(line, ())}
        if not found:
            found = self._of_file(path)
        if not found:
            found = {test for test in self.seconds if test.startswith(folders(path))}
            found |= {test for file in self._above(path) for test in self._of_file(file)}
        return sorted(found, key=lambda test: (self.seconds.get(test, 1.0), test))

    def _of_file(self, path: str) -> set[str]:
        return {test for tests in self.lines.get(path, {}).values() for test in tests}

    def _above(self, path: str) -> set[str]:
        """Files that import a file, or one that imports it and that no test seems to run either."""
        found: set[str] = set()
        todo = [path]
        while todo:
            for file in self.importers.get(todo.pop(), set()) - found:
                found.add(file)
                todo += [] if self._of_file(file) else [file]
        return found


def folders(path: str) -> tuple[str, ...]:
    """Folders of tests that are named as those that a file lies in."""
    return tuple(f"tests/{part}/" for part in path.split("/")[:-1])


def importers(sources: Path) -> dict[str, set[str]]:
    """Files of the rooms by the file that they import."""
    files = {str(file.relative_to(sources)): file for file in sources.rglob("*.py")}
    found: dict[str, set[str]] = defaultdict(set)
    for name, file in files.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            else:
                modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for module in modules:
                path = module.replace(".", "/")
                for imported in (f"{path}.py", f"{path}/__init__.py"):
                    if imported in files:
                        found[imported].add(name)
    return dict(found)


def record(folder: Path, jobs: int) -> None:
    """Run the fast tests once with coverage; writes ``coverage.db``, ``seconds.txt`` and ``sources``."""
    folder.mkdir(parents=True, exist_ok=True)
    for room in ROOMS:
        shutil.rmtree(folder / "sources" / room, ignore_errors=True)
        shutil.copytree(ROOT / room, folder / "sources" / room, ignore=shutil.ignore_patterns("__pycache__"))
    config = folder / "coverage.ini"
    config.write_text(
        f"[run]\nsource = {','.join((*ROOMS, EXAMPLES))}\ndata_file = {folder / 'coverage.db'}\nrelative_files = true\n"
    )
    seconds = folder / "seconds.txt"
    seconds.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(jobs), "-m", "not slow", "tests"]
    command += [
        "-p",
        clock.__name__,
        "--cov",
        f"--cov-config={config}",
        "--cov-context=test",
        "--cov-report=",
    ]
    subprocess.run(command, cwd=ROOT, env={**os.environ, clock.FILE: str(seconds)}, check=False)


def load(folder: Path) -> Map:
    """Read the map that :func:`record` wrote."""
    from coverage import CoverageData

    data = CoverageData(str(folder / "coverage.db"))
    data.read()
    lines: dict[str, dict[int, set[str]]] = {}
    for file in data.measured_files():
        path = Path(file)
        name = str(path.relative_to(ROOT) if path.is_absolute() else path)
        table: dict[int, set[str]] = defaultdict(set)
        for line, contexts in data.contexts_by_lineno(file).items():
            table[line] = {context.split("|")[0] for context in contexts if context}
        lines[name] = dict(table)
        if name.startswith(f"{EXAMPLES}/"):
            lines[LINKED + name.removeprefix(EXAMPLES)] = dict(table)
    return Map(lines, _seconds(folder / "seconds.txt"), importers(folder / "sources"))


def _seconds(file: Path) -> dict[str, float]:
    """Processor seconds by test name as coverage writes it (``tests/a/test_b.py::test_c[1]``)."""
    lines = (line.split(" ", 1) for line in file.read_text(encoding="utf-8").splitlines())
    return {name: float(seconds) for seconds, name in lines}
