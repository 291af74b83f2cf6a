"""How many small semantic changes of the Python models the fast tests notice.

    pip install pytest-cov
    python -m benchmarks.mutation --record             # which tests run which lines (once, twice the fast tests' time)
    python -m benchmarks.mutation --mutants 203 --seed 1 [--rooms blueprint,costmodel] [--jobs 2]
    python -m benchmarks.mutation --mutants 203 --seed 1 --again [--also tests/blueprint/test_new.py]

Every mutant is one change of one file as it was recorded, drawn evenly over the rooms; the tests that run its lines
are run on a copy of the tree, the likeliest first, until one fails that passes on the tree as it is. A mutant whose
lines no test runs, or that all let pass, is alive. Verdicts are kept: the same command goes on where it was stopped,
and ``--again`` judges those that lived once more, first by ``--also``, tests written since. A mutant that was shown
to change nothing that anyone could see stands in ``equivalent.yaml`` with the reason, and counts apart.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.mutation import coverage_map, order, runner
from benchmarks.mutation.coverage_map import ROOMS, ROOT, Map
from benchmarks.mutation.mutants import Mutant, changes, mutants

FOLDER = ROOT / "sim_build" / "mutation"
EQUIVALENT = Path(__file__).with_name("equivalent.yaml")
#: Processor seconds until a mutant is taken to hang, for every one its tests took unchanged, and at least.
SLOWER, LEAST_S = 3.0, 60.0


def sample(sources: Path, rooms: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """``count`` mutants, evenly over the rooms, and over a room's files by their number of possible changes."""
    random = np.random.default_rng(seed)
    chosen: list[Mutant] = []
    for number, room in enumerate(rooms):
        files = {str(file.relative_to(sources)): file for file in sorted((sources / room).rglob("*.py"))}
        texts = {path: file.read_text(encoding="utf-8") for path, file in files.items()}
        every = [mutant for path, text in texts.items() for mutant in mutants(path, text)]
        share = count // len(rooms) + (number < count % len(rooms))
        drawn = (every[place] for place in random.permutation(len(every)))
        chosen += itertools.islice((m for m in drawn if changes(m, texts[m.path])), share)
    return chosen


def name(mutant: Mutant) -> str:
    """Key of a stored verdict."""
    return f"{mutant.path}:{mutant.first}: {mutant.what}"


def room(mutant: Mutant) -> str:
    return mutant.path.split("/")[0]


def tests_of(mutant: Mutant, known: Map, budget_s: float, also: Sequence[str]) -> tuple[list[str], float]:
    """Tests to run, and the processor seconds that they take on the tree as it is."""
    every = known.tests(mutant.path, mutant.first, mutant.last)
    chosen = list(order.within(order.likely(every, known, mutant.path), known, budget_s))
    chosen = [test for test in (*chosen, *order.READERS) if test.split("::")[0] not in also]
    return [*also, *chosen], sum(known.seconds.get(test, 1.0) for test in chosen) + 20.0 * len(also)


def judged(todo: Sequence[Mutant], known: Map, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A verdict on each mutant as it is found; those whose lines have changed since get none."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        with ProcessPoolExecutor(options.jobs, context, runner.start, (folder,)) as pool:
            futures = {}
            for mutant in todo:
                text = mutant.applied((ROOT / mutant.path).read_text(encoding="utf-8"))
                tests, seconds = tests_of(mutant, known, options.budget, options.also)
                if text is not None:
                    limit_s = LEAST_S + SLOWER * seconds
                    futures[pool.submit(runner.judge, mutant.path, text, tests, limit_s)] = (mutant, tests)
            try:
                for future in as_completed(futures):
                    mutant, tests = futures[future]
                    yield {"name": name(mutant), "tests": len(tests), **future.result()}
            finally:
                pool.shutdown(cancel_futures=True)


def main() -> None:
    options = _options()
    if options.record:
        coverage_map.record(FOLDER, options.jobs)
        return
    rooms = options.rooms.split(",")
    chosen = sample(FOLDER / "sources", rooms, options.mutants, options.seed)
    log = FOLDER / f"verdicts_{options.seed}.jsonl"
    verdicts = _verdicts(log)
    todo = [m for m in chosen if name(m) not in verdicts or (options.again and not verdicts[name(m)]["by"])]
    harmless = _equivalent()
    now = (options.only or options.rooms).split(",")
    todo = sorted(
        (m for m in todo if name(m) not in harmless and room(m) in now), key=lambda m: now.index(room(m))
    )
    todo = todo[: options.most]
    with log.open("a", encoding="utf-8") as file:
        for verdict in judged(todo, coverage_map.load(FOLDER), options):
            verdicts[verdict["name"]] = verdict
            print(json.dumps(verdict), file=file, flush=True)
            state = "noticed" if verdict["by"] else "ALIVE  "
            print(
                f"{state} {verdict['name']} ({verdict['tests']} tests, {verdict['seconds']} s) {verdict['by'][:120]}",
                flush=True,
            )
    report(chosen, verdicts, harmless)


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--record", action="store_true")
    options.add_argument("--mutants", type=int, default=203)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--rooms", default=",".join(ROOMS))
    options.add_argument("--only", help="of these, the rooms whose mutants are judged now")
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument(
        "--budget", type=float, default=60.0, help="processor seconds of tests run against one mutant"
    )
    options.add_argument("--most", type=int, help="judge at most this many mutants now")
    options.add_argument("--again", action="store_true", help="judge those that live once more")
    options.add_argument(
        "--also", nargs="*", default=[], metavar="FILE", help="files of tests written since the record"
    )
    return options.parse_args()


def _verdicts(log: Path) -> dict[str, dict[str, Any]]:
    """The last verdict on every mutant."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return {verdict["name"]: verdict for verdict in map(json.loads, lines)}


def _equivalent() -> dict[str, str]:
    found: dict[str, str] = yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8")) or {}
    return found


def report(chosen: Sequence[Mutant], verdicts: dict[str, dict[str, Any]], harmless: dict[str, str]) -> None:
    """Print the share noticed by room, equivalent mutants apart."""
    noticed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    equivalent: Counter[str] = Counter()
    for mutant in chosen:
        if name(mutant) in harmless:
            equivalent[room(mutant)] += 1
        elif name(mutant) in verdicts:
            noticed[room(mutant)] += bool(verdicts[name(mutant)]["by"])
            total[room(mutant)] += 1
    for place in dict.fromkeys(map(room, chosen)):
        print(f"{place:12} {noticed[place]} of {total[place]}, {equivalent[place]} equivalent")
    share = 100 * noticed.total() / max(total.total(), 1)
    print(
        f"{'all':12} {noticed.total()} of {total.total()}, {share:.1f} %, {equivalent.total()} equivalent, "
        f"{len(chosen) - total.total() - equivalent.total()} not judged"
    )


if __name__ == "__main__":
    main()
