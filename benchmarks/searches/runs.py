"""The runs: searches with their defaults and budgets, peers, and hyperparameters that differ from the defaults."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.searches import measure, peers
from benchmarks.searches.spaces import SPACES, Enumerated, enumerated
from dse.searches.methods import DEFAULT

ROOT = Path(__file__).resolve().parent.parent.parent
FILE = ROOT / "docs" / "searches.json"
SEEDS, FEWER = 20, 3
#: Most evaluations of a run: those of a sampler of Optuna take milliseconds each.
BUDGET, OPTUNA_BUDGET = 2000, 300
#: Our searches beside the default one.
METHODS = ("nsga2", "evolution", "agents", "ant_colony", "reinforce", "sobol", "random")
PEERS = {"pymoo": (peers.pymoo, BUDGET), "optuna": (peers.optuna, OPTUNA_BUDGET)}
#: Hyperparameters of which the sensitivity is shown.
VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "evolution": ({"population": 16}, {"population": 256}, {"tournament": 2}, {"tournament": 64}),
    "agents": ({"explore": 0.1}, {"explore": 0.6}),
    "ant_colony": ({"evaporation": 0.02}, {"evaporation": 0.5}),
    "reinforce": ({"rate": 0.2}, {"entropy": 0.0}),
    "nsga2": ({"population": 16}, {"local": 0.0}),
    DEFAULT: ({"bound": 2.0},),
}  # fmt: skip


@dataclass(frozen=True)
class Job:
    """Runs of one search on one space, a seed each."""

    space: str
    method: str
    seeds: int
    budget: int
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The method, with the hyperparameters that are not the defaults."""
        return " ".join([self.method, *(f"{name}={value}" for name, value in self.options.items())])

    def run(self, known: Enumerated, seed: int) -> list[int | None]:
        """Evaluations to each of the shares."""
        if self.method in PEERS:
            asked = PEERS[self.method][0](known, seed, self.budget)
        else:
            asked = measure.order(known, self.method, seed, self.budget, self.options)
        return measure.needed(known, asked)


def jobs() -> Iterator[Job]:
    """All that is run."""
    for space in SPACES:
        for method in (DEFAULT, *METHODS):
            yield Job(space, method, SEEDS, BUDGET)
        for peer, (_, budget) in PEERS.items():
            yield Job(space, peer, SEEDS, budget)
    for method, variants in VARIANTS.items():
        for options in variants:
            for space in SPACES:
                yield Job(space, method, FEWER, BUDGET, options)


def measured() -> dict[str, Any]:
    """The measurements so far; empty where there are none."""
    if FILE.is_file():
        found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
        return found
    return {"recipe": "python -m benchmarks.searches", "spaces": {}, "runs": {}, "seconds": 0.0}


def measure_all(results: dict[str, Any]) -> None:
    """Run what is missing, and write it after every search of a space; shows the time that is left."""
    results["versions"] = {name: metadata.version(name) for name in ("optuna", "pymoo", "scipy")}
    known: dict[str, Enumerated] = {}
    left = [job for job in jobs() if len(results["runs"].get(job.space, {}).get(job.label, ())) != job.seeds]
    begin = time.process_time()
    for place, job in enumerate(left):
        start = time.process_time()
        space = known.setdefault(job.space, known.get(job.space) or enumerated(job.space))
        results["spaces"][job.space] = {
            "designs": len(space.every),
            "feasible": int(space.every.feasible.sum()),
            "objectives": list(space.problem.space.objectives),
            "front": space.front,
        }
        runs = [job.run(space, seed) for seed in range(job.seeds)]
        results["runs"].setdefault(job.space, {})[job.label] = runs
        results["seconds"] += time.process_time() - start
        FILE.write_text(json.dumps(results, indent=None, separators=(",", ":")) + "\n", encoding="utf-8")
        spent = time.process_time() - begin
        rest = spent / (place + 1) * (len(left) - place - 1)
        print(
            f"{place + 1}/{len(left)} {job.space}, {job.label}: {rest:.0f} processor s left", file=sys.stderr
        )
