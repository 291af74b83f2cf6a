"""Runs tests on a changed copy of the tree, each time in a fork of a process that has imported the libraries."""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mutation.coverage_map import ROOMS, ROOT

#: What tests and rooms import of others; imported once, because that takes longer than most tests.
LIBRARIES = (
    "amaranth", "amaranth.back.rtlil", "amaranth.sim", "click", "cocotb", "hypothesis", "matplotlib.pyplot",
    "ml_dtypes", "numba", "numpy", "plotly.graph_objects", "rich.progress", "rich.table",
    "scipy.optimize", "scipy.stats", "yaml",
)  # fmt: skip
#: Seconds on the clock until a mutant is taken to hang, for every second of the processor that it may take.
PATIENCE = 8.0
HANGS = "hangs"


class Chosen:
    """A pytest plugin: keeps the chosen tests in their order, and writes the first that fails into a file."""

    def __init__(self, tests: Sequence[str], out: Path) -> None:
        self.place = {test: number for number, test in enumerate(tests)}
        self.out = out

    def _wanted(self, test: str) -> int | None:
        """The place of a test, or of the file that holds it."""
        return self.place.get(test, self.place.get(test.split("::")[0]))

    def _failed(self, test: str) -> None:
        if not self.out.exists():
            self.out.write_text(test, encoding="utf-8")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        kept = [item for item in items if self._wanted(item.nodeid) is not None]
        kept = [item for item in kept if item.get_closest_marker("slow") is None]
        items[:] = sorted(kept, key=lambda item: self._wanted(item.nodeid) or 0)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._failed(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed(report.nodeid)


class Tree:
    """A copy of the tree to change, with a cache of builds of its own."""

    def __init__(self, folder: Path) -> None:
        left_out = shutil.ignore_patterns(
            ".git", ".venv", "*.egg-info", "mutation-*", ".mypy_cache", "cache", "mutation"
        )
        shutil.copytree(ROOT, folder / "tree", ignore=left_out, symlinks=True)
        self.folder, self.root, self.cache = folder, folder / "tree", folder / "cache"
        shared = Path(os.environ.get("TERNFORGE_CACHE", str(ROOT / "sim_build" / "cache")))
        if shared.is_dir():
            with contextlib.suppress(shutil.Error):  # drafts of others that have gone meanwhile
                shutil.copytree(shared, self.cache, copy_function=_link)
        self.cache.mkdir(exist_ok=True)
        self.kept = dict(_files(self.cache))
        self.fails_anyway: dict[str, bool] = {}

    def first_failure(self, path: str, text: str, tests: Sequence[str], limit_s: float) -> str:
        """The first test that fails where ``path`` has this text and passes where it is as it was; else nothing."""
        file = self.root / path
        before = file.read_text(encoding="utf-8")
        left = list(tests)
        while left:
            try:
                file.write_text(text, encoding="utf-8")
                failed = self.run(left, limit_s)
            finally:
                file.write_text(before, encoding="utf-8")
            if not failed or failed == HANGS or not self._fails_unchanged(failed):
                return failed
            left = left[left.index(failed) + 1 :] if failed in left else []
        return ""

    def _fails_unchanged(self, test: str) -> bool:
        if test not in self.fails_anyway:
            self.fails_anyway[test] = self.run([test], 300.0) == test
        return self.fails_anyway[test]

    def run(self, tests: Sequence[str], limit_s: float) -> str:
        """The first of the tests that fails, or ``hangs`` after so many processor seconds."""
        out, log = self.folder / "failed", self.folder / "log"
        out.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            _child(self, tests, out, log, limit_s)
        ended = _wait(child, PATIENCE * limit_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        self._clean()
        if out.exists():
            return out.read_text(encoding="utf-8")
        if ended is None or os.WIFSIGNALED(ended):
            return HANGS
        if os.waitstatus_to_exitcode(ended) not in (0, 5):
            raise RuntimeError(
                f"pytest: exit code {os.waitstatus_to_exitcode(ended)}\n{log.read_text()[-2000:]}"
            )
        return ""

    def _clean(self) -> None:
        """Remove what was built: a changed tool may have stored wrong results under right keys."""
        for name, inode in _files(self.cache):
            if self.kept.get(name) != inode:
                Path(name).unlink(missing_ok=True)


def _link(source: str, target: str) -> None:
    """Entries of a cache are replaced as a whole and never written to, so a copy can share them."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        else:
            yield entry.path, entry.inode()


def _wait(child: int, limit_s: float) -> int | None:
    """The status of a child; ``None`` where it does not end within the limit."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _child(tree: Tree, tests: Sequence[str], out: Path, log: Path, limit_s: float) -> None:
    """Run pytest in the tree and leave with its exit code."""
    code = 3
    try:
        os.setsid()
        with log.open("w") as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit_s), int(limit_s) + 5))
        os.environ |= {"TERNFORGE_CACHE": str(tree.cache), "PYTHONDONTWRITEBYTECODE": "1"}
        os.environ.setdefault("TERNFORGE_PDK", str(ROOT.parent / "shared" / "pdk"))
        sys.dont_write_bytecode = True
        os.chdir(tree.root)
        sys.path[:] = [str(tree.root), *(entry for entry in sys.path if entry not in ("", str(ROOT)))]
        for name in [name for name in sys.modules if name.split(".")[0] in (*ROOMS, "benchmarks", "tests")]:
            del sys.modules[name]
        files = [
            file for file in dict.fromkeys(test.split("::")[0] for test in tests) if Path(file).is_file()
        ]
        options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:cov"]
        code = int(pytest.main([*options, *files], plugins=[Chosen(tests, out)])) if files else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def load_libraries() -> None:
    """Import what the tests import of others."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


_TREE: list[Tree] = []


def start(folder: str) -> None:
    """Prepare a worker process: libraries and a tree of its own."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    load_libraries()
    own = Path(folder) / str(os.getpid())
    own.mkdir()
    _TREE.append(Tree(own))


def judge(path: str, text: str, tests: Sequence[str], limit_s: float) -> dict[str, Any]:
    """The first failure of a changed file in this worker's tree, and the processor seconds that it took."""
    before = os.times()
    failed = _TREE[0].first_failure(path, text, tests, limit_s)
    after = os.times()
    spent = sum(after[2:4]) - sum(before[2:4])
    return {"by": failed, "seconds": round(spent, 1)}
