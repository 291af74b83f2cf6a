"""The designs that every method of search asks for, as recorded in `tests/golden/searches.json`.

    python -m tests.dse.recorded_methods

A search is a promise: the same space, seed and options look at the same designs in the same order, in every version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dse.batch import join
from tests.dse import toy
from tests.dse.recorded import SEARCHES, digest, played

FILE = Path(__file__).resolve().parent.parent / "golden" / "searches.json"
SPACES = ("two objectives", "nothing feasible", "tight", "families")
#: Methods with options that make their steps short, so that each learns several times.
METHODS: Mapping[str, tuple[str, ...]] = {
    "random": ("",),
    "sobol": ("",),
    "nsga2": (", population: 12", ", population: 8, crossover: 0.3, local: 1"),
    "evolution": ("", ", population: 6, tournament: 2, children: 3"),
    "ant_colony": ("", ", ants: 7, evaporation: 0.4, alpha: 2"),
    "bayesian": (
        ", first: 10, batch: 5, candidates: 60",
        ", first: 6, candidates: 32, modelled: 40, bound: 2",
    ),
    "reinforce": ("", ", policies: 2, episodes: 5, rate: 0.7, entropy: 0.1"),
    "agents": ("", ", teams: 2, designs: 4, explore: 0.5, memory: 20"),
}
CASES = tuple(
    (method, options, space) for method, every in METHODS.items() for options in every for space in SPACES
)


def name(method: str, options: str) -> str:
    return f"{method}{options}"


def asked(method: str, options: str, space: str) -> list[Any]:
    """Sizes of the first batches and a hash of all, and of what is asked for beside what was known before."""
    text = SEARCHES[space].replace("auto", method).replace("budget: 100000", "budget: 100")
    text = text.replace("seed: 7", f"seed: 5{options}")
    batches = played(toy.problem(text))
    more = played(toy.problem(text.replace("budget: 100", "budget: 130")), join(batches))
    return [
        [len(batch) for batch in batches][:6],
        digest([batch.indices.tolist() for batch in batches]),
        digest([batch.indices.tolist() for batch in more]),
    ]


def kept() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def recorded() -> dict[str, Any]:
    """Everything, computed now."""
    found: dict[str, Any] = {"recipe": "python -m tests.dse.recorded_methods"}
    for method, options, space in CASES:
        found.setdefault(name(method, options), {})[space] = asked(method, options, space)
    return found


if __name__ == "__main__":
    from tests.systems.recorded import lines

    FILE.write_text(lines(recorded()), encoding="utf-8")
