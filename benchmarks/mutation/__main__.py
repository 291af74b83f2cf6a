"""How many small semantic changes of the Python models the fast tests notice.

    pip install pytest-cov
    python -m benchmarks.mutation --record             # which tests run which lines (once, twice the fast tests' time)
    python -m benchmarks.mutation --mutants 200 --seed 1 [--rooms blueprint,costmodel] [--jobs 2]

Every mutant is one change of one file, drawn evenly over the rooms; the tests that run its lines are run on a copy
of the tree, quickest first, until one fails. A mutant whose lines no test runs, or that all let pass, is alive.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import numpy as np

from benchmarks.mutation import coverage_map
from benchmarks.mutation.coverage_map import ROOMS, ROOT, Map
from benchmarks.mutation.mutants import Mutant, compiles, mutants

FOLDER = ROOT / "sim_build" / "mutation"
#: Seconds until a mutant is taken to hang, for every second its tests took unchanged, and at least.
SLOWER, TIMEOUT_S = 5.0, 120.0


def sample(rooms: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """``count`` mutants, evenly over the rooms, and over a room's files by their number of possible changes."""
    random = np.random.default_rng(seed)
    chosen: list[Mutant] = []
    for number, room in enumerate(rooms):
        every = [
            mutant
            for file in sorted((ROOT / room).rglob("*.py"))
            for mutant in mutants(str(file.relative_to(ROOT)), file.read_text(encoding="utf-8"))
        ]
        share = count // len(rooms) + (number < count % len(rooms))
        drawn = (every[place] for place in random.permutation(len(every)))
        chosen += itertools.islice(filter(compiles, drawn), share)
    return chosen


def quick(tests: Sequence[str], known: Map, room: str, budget_s: float) -> list[str]:
    """As many tests as the budget allows: those of the room first, then the others, each quickest first."""
    taken: list[str] = []
    spent = 0.0
    for test in sorted(tests, key=lambda test: not test.startswith((f"tests/{room}/", "tests/conformance/"))):
        spent += known.seconds.get(test, 1.0)
        if spent > budget_s and taken:
            break
        taken.append(test)
    return taken


def killed(mutant: Mutant, tests: Sequence[str], tree: Path, timeout_s: float) -> str:
    """The name of the test that fails on the mutant, ``hangs``, or nothing where all pass."""
    file = tree / mutant.path
    before = file.read_text(encoding="utf-8")
    cache = tree / "sim_build" / "cache"
    with tempfile.TemporaryDirectory(prefix="mutation-") as scratch:
        if cache.exists():  # what a mutant builds must not be found by the next
            shutil.copytree(cache, Path(scratch) / "cache", copy_function=os.link)
        environment = {**os.environ, "TERNFORGE_CACHE": f"{scratch}/cache", "PYTHONDONTWRITEBYTECODE": "1"}
        environment["TERNFORGE_PDK"] = os.environ.get("TERNFORGE_PDK", str(ROOT.parent / "shared" / "pdk"))
        chosen = Path(scratch) / "tests.txt"
        chosen.write_text("".join(f"{test}\n" for test in tests))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"@{chosen}"]
        try:
            file.write_text(mutant.text, encoding="utf-8")
            done = subprocess.run(
                command,
                cwd=tree,
                env=environment,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "hangs"
        finally:
            file.write_text(before, encoding="utf-8")
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return "" if done.returncode == 0 else (failed[0][:160] if failed else done.stdout[-200:])


def copies(count: int, folder: Path) -> list[Path]:
    """Copies of the tree to change, each with the caches of builds."""
    left_out = shutil.ignore_patterns(".git", ".venv", "__pycache__", "*.egg-info", "mutation", ".mypy_cache")
    found = []
    for number in range(count):
        shutil.copytree(ROOT, folder / str(number), ignore=left_out, symlinks=True)
        found.append(folder / str(number))
    shared = os.environ.get("TERNFORGE_CACHE")
    for tree in found if shared and Path(shared).exists() else ():
        shutil.rmtree(tree / "sim_build" / "cache", ignore_errors=True)
        shutil.copytree(shared or "", tree / "sim_build" / "cache")
    return found


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--record", action="store_true")
    options.add_argument("--mutants", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--rooms", default=",".join(ROOMS))
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--budget", type=float, default=60.0, help="seconds of tests run against one mutant")
    chosen = options.parse_args()
    if chosen.record:
        coverage_map.record(FOLDER, chosen.jobs)
        return
    known = coverage_map.load(FOLDER)
    todo = sample(chosen.rooms.split(","), chosen.mutants, chosen.seed)
    with tempfile.TemporaryDirectory(prefix="mutation-trees-") as folder:
        trees: Queue[Path] = Queue()
        for tree in copies(chosen.jobs, Path(folder)):
            trees.put(tree)

        def judge(mutant: Mutant) -> tuple[Mutant, int, str]:
            every = known.tests(mutant.path, mutant.first, mutant.last)
            tests = quick(every, known, mutant.path.split("/")[0], chosen.budget)
            timeout_s = TIMEOUT_S + SLOWER * sum(known.seconds.get(test, 1.0) for test in tests)
            tree = trees.get()
            try:
                return mutant, len(tests), killed(mutant, tests, tree, timeout_s) if tests else ""
            finally:
                trees.put(tree)

        with ThreadPoolExecutor(chosen.jobs) as pool:
            report(pool.map(judge, todo))


def report(judged: object) -> None:
    """Print every mutant as it is judged, and the share noticed by room; results go into ``mutation.jsonl`` too."""
    score: dict[str, list[int]] = {}
    with (FOLDER / "mutation.jsonl").open("a", encoding="utf-8") as log:
        for mutant, count, verdict in judged:  # type: ignore[attr-defined]
            tally = score.setdefault(mutant.path.split("/")[0], [0, 0])
            tally[0] += bool(verdict)
            tally[1] += 1
            what = {
                "path": mutant.path,
                "line": mutant.first,
                "what": mutant.what,
                "tests": count,
                "by": verdict,
            }
            print(json.dumps(what), file=log, flush=True)
            state = "noticed" if verdict else "ALIVE  "
            print(
                f"{state} {mutant.path}:{mutant.first}: {mutant.what} ({count} tests) {verdict}", flush=True
            )
    for room, (noticed, total) in score.items():
        print(f"{room:12} {noticed} of {total}")
    noticed, total = (sum(column) for column in zip(*score.values(), strict=True))
    print(f"{'all':12} {noticed} of {total}, {100 * noticed / total:.1f} %")


if __name__ == "__main__":
    main()
