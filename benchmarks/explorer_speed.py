"""How many designs per second the explorer judges: ``python -m benchmarks.explorer_speed [SPACE...] [--json]``.

The whole way is timed, file to committed study: reading, the cost model, every layer of the workload, constraints, the
front, compression and SQLite; pictures and tables are left out. Rates are designs per second of processor time, which
says more than the clock on a machine that does other things too. Of two workers it says how much faster they can be:
one worker's time over that of their parent and half of theirs, which is what a machine with a core for each takes.
Beside the exhaustive search, on meshes of the axes, stands the same way with flat columns: a random sample of the same
space, whose designs lie scattered.
``--huge SECONDS`` searches a space of a billion designs for so long, or to its end, and tells the peak of its memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.explorer_spaces import HUGE, SPACES
from dse.explore import problem_of, run
from dse.progress import Silent
from dse.space import MOST_KEPT
from dse.space_file import read_space

#: Rates that the first space must reach, in designs per second.
TARGET = 1_000_000
#: Designs that are evaluated as flat columns: enough to make the fixed cost of a study negligible.
FLAT = 65_536


class Ends(Silent):
    """Interrupts a search after some seconds, and keeps how far it came."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.done = self.front = 0

    def advance(self, done: int, feasible: int, front: int) -> None:
        self.done, self.front = done, front
        if time.monotonic() > self.end:
            raise KeyboardInterrupt


class Run(NamedTuple):
    """Designs of a search, processor time of this process and of its workers, time on the clock, bytes of the study."""

    designs: int
    processor: float
    workers: float
    clock: float
    size: int


def searched(text: str, method: str, workers: int = 1) -> Run:
    """One search, file to study."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "space.yaml"
        path.write_text(text, encoding="utf-8")
        begun, worked, others = time.perf_counter(), time.process_time(), _children()
        space = read_space(path).searched(method=method, budget=FLAT if method == "random" else None)
        study = run(problem_of(space), Path(folder) / "study", workers=workers, points_csv=False)
        took, clock = time.process_time() - worked, time.perf_counter() - begun
        designs = study.evaluated
        study.close()  # which folds the log into the file
        size = (Path(folder) / "study/study.db").stat().st_size
        return Run(designs, took, _children() - others, clock, size)


def _children() -> float:
    """Processor time of the processes of this one that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(name: str, text: str, repeats: int) -> dict[str, Any]:
    """Best rates of a space on a mesh, flat, and on the clock with one and two workers."""
    every = [searched(text, "exhaustive") for _ in range(repeats)]
    some = [searched(text, "random") for _ in range(repeats)]
    two = [searched(text, "exhaustive", 2) for _ in range(repeats)]
    designs, kept = every[0].designs, every[0].designs <= MOST_KEPT
    mesh, flat = (max(run.designs / run.processor for run in runs) for runs in (every, some))
    one = min(run.processor for run in every)
    shared = min(two, key=lambda run: run.processor + run.workers / 2)
    return {
        "space": name,
        "designs": designs,
        "kept": "all" if kept else "front and sample",
        "designs_per_processor_second": round(mesh),
        "flat": round(flat),
        "ratio": round(mesh / flat, 1),
        "megabytes": round(every[0].size / 1e6, 1),
        "two_workers": round(min(run.clock for run in every) / min(run.clock for run in two), 2),
        "two_workers_possible": round(one / (shared.processor + shared.workers / 2), 2),
        "parent_share": round(shared.processor / (shared.processor + shared.workers), 2),
    }


def huge(text: str, seconds: float, method: str) -> dict[str, Any]:
    """A search of a huge space for some seconds: how far it comes, how fast, and the peak of its memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "space.yaml"
        path.write_text(text, encoding="utf-8")
        space = read_space(path).searched(method=method)
        watch, worked, ended = Ends(seconds), time.process_time(), True
        pruned: dict[str, int] = {}
        try:
            with run(problem_of(space), Path(folder) / "study", workers=1, progress=watch) as study:
                pruned = study.pruned
        except KeyboardInterrupt:
            ended = False
        return {
            "designs": space.size,
            "method": method,
            "done": watch.done,
            "to_the_end": ended,
            "designs_per_processor_second": round(watch.done / (time.process_time() - worked)),
            "processor_seconds": round(time.process_time() - worked, 1),
            "left_out": pruned,
            "front": watch.front,
            "megabytes_on_disk": round(sum(f.stat().st_size for f in Path(folder).rglob("*")) / 1e6, 1),
            "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
        }


def main() -> int:
    """Print the rates; exit code 1 where the first space misses the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spaces", nargs="*", type=Path, help="space files; without any, one of every family")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--huge", type=float, metavar="SECONDS", help="a billion designs instead, for so long"
    )
    parser.add_argument("--method", default="exhaustive", help="of the billion designs: exhaustive or pruned")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.huge:
        print(json.dumps(huge(HUGE, options.huge, options.method)))
        return 0
    texts = {path.stem: path.read_text(encoding="utf-8") for path in options.spaces} or SPACES
    found = []
    if not options.json:
        print(f"{os.cpu_count()} cores; designs per second of processor time, file to study")
        print(
            "| space | designs | kept | on meshes | flat | ratio | study, MB | two workers | possible | parent |"
        )
        print("| --- | --: | --- | --: | --: | --: | --: | --: | --: | --: |")
    for name, text in texts.items():
        found.append(measured(name, text, options.repeats))
        if not options.json:
            row = [f"{value:,}" if isinstance(value, int | float) else value for value in found[-1].values()]
            print(f"| {' | '.join(row)} |", flush=True)
    if options.json:
        print(json.dumps(found))
    return 0 if found[0]["designs_per_processor_second"] >= TARGET else 1


if __name__ == "__main__":
    raise SystemExit(main())
