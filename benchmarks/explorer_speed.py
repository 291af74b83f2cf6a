"""How many designs per second the explorer judges: ``python benchmarks/explorer_speed.py [SPACE] [--json]``.

The whole way is timed, file to committed study: decoding, the cost model, every layer of the workload, constraints,
the front, compression and SQLite. Repeated for one process and for two, with pictures and tables left out. Beside the
rate on the clock stands that in processor time of one process, which says more on a machine that does other things too.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from dse.explore import problem_of, run
from dse.problem import Problem
from dse.space_file import read_space

SPACE = Path(__file__).resolve().parent.parent / "examples" / "bitnet_2b4t_space.yaml"
#: What issue and page promise on two cores.
TARGET = 100_000


def measure(problem: Problem, workers: int, repeats: int) -> tuple[float, float]:
    """Designs per second and per second of this process's time, best of ``repeats`` whole searches."""
    best, own = 0.0, 0.0
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            began, worked = time.perf_counter(), time.process_time()
            run(problem, folder, workers=workers, points_csv=False).close()
            best = max(best, problem.space.size / (time.perf_counter() - began))
            own = max(own, problem.space.size / (time.process_time() - worked))
    return best, own


def main() -> int:
    """Print the rates; exit code 1 where the best one misses the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("space", nargs="?", default=SPACE, type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    space = read_space(options.space).searched(method="exhaustive")
    problem = problem_of(space)
    found = {workers: measure(problem, workers, options.repeats) for workers in (1, 2)}
    rates, own = {str(workers): rate for workers, (rate, _) in found.items()}, found[1][1]
    result: dict[str, Any] = {
        "space": space.name,
        "designs": space.size,
        "layers": sum(gemm.count for gemm in space.workload.tasks),
        "designs_per_second": rates,
        "designs_per_processor_second": own,
        "target": TARGET,
        "cores": os.cpu_count(),
    }
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{space.name}: {space.size:,} designs, {result['layers']} layers, {os.cpu_count()} cores")
        for workers, rate in rates.items():
            print(f"  {workers} process(es): {rate:,.0f} designs per second")
        print(f"  1 process: {own:,.0f} designs per second of processor time")
    return 0 if max(rates.values()) >= TARGET else 1


if __name__ == "__main__":
    raise SystemExit(main())
