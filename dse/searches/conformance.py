"""Tests that every search must pass, inside this distribution and outside it, on spaces of a few hundred designs.

Each check returns what is wrong, a sentence each; an empty list is conformance. Nothing here needs a test framework::

    from dse.searches.conformance import check_search

    def test_conformance():
        assert check_search("my_module:MySearch") == []
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from blueprint.workloads.tasks import Gemm
from blueprint.workloads.workload import Workload
from dse.axis import Axis
from dse.batch import Batch, empty, join
from dse.evaluation import Evaluation, Shape
from dse.families import Families
from dse.problem import Problem
from dse.searches import methods
from dse.searches.protocol import Search, Task
from dse.space import Columns, Constraint, Indices, Space, SubSpace
from dse.space import Search as Searched

#: Seconds within which a search must propose, on the spaces here.
SECONDS = 10.0
#: Asks after which a search that ignores its budget is stopped.
_MOST_ASKS = 10_000
_METRICS = ("area", "rate", "energy", "flat")
_TWO = {"area": "min", "rate": "max"}


@dataclass(frozen=True)
class Judge:
    """Metrics of made-up designs; ``built`` is false where none can be built."""

    family: str
    built: bool = True

    def __call__(self, columns: Columns, shape: Shape) -> Evaluation:
        """Area, rate and energy that trade off; a constant; narrow and deep designs cannot be built."""
        columns = {name.rpartition(".")[2]: values for name, values in columns.items()}
        width = np.broadcast_to(np.asarray(columns["width"], dtype=np.float64), shape)
        depth = np.broadcast_to(np.asarray(columns.get("depth", 4), dtype=np.float64), shape)
        fast = np.broadcast_to(np.asarray(columns.get("style", "small") == np.asarray("fast")), shape)
        area = width * np.sqrt(depth) * np.where(fast, 1.5, 1.0) + (3.0 if self.family == "other" else 0.0)
        rate = 100.0 * width * np.where(fast, 1.4, 1.0) / (1.0 + 0.05 * width + 4.0 / depth)
        energy = 2.0 * area + 50.0 * depth / rate
        reason = np.where((width < 3) & (depth > 32), 1, 0) if self.built else np.ones(shape)
        metrics = {"area": area, "rate": rate, "energy": energy, "flat": np.full(shape, 7.0)}
        return Evaluation(metrics, reason.astype(np.int64), ("", "must be wider for its depth"))


def _sub(family: str, start: int = 0, widths: int = 16) -> SubSpace:
    axes = [Axis("width", tuple(range(1, widths + 1)))]
    if family == "one":
        axes += [
            Axis("depth", (1, 2, 4, 8, 16, 32, 64)),
            Axis("style", ("small", "fast")),
            Axis("kind", ("only",)),
        ]
    return SubSpace(family, tuple(axes), start)


def space(
    families: int = 1,
    objectives: Mapping[str, str] = _TWO,
    constraints: tuple[Constraint, ...] = (),
    widths: int = 16,
) -> Space:
    """A space of 224 designs of one family, or with 16 of another; or, with one width, of few."""
    first = _sub("one", widths=widths)
    subspaces = (first, _sub("other", first.size))[:families]
    asked = Families(Workload("none", (Gemm(1, 1, 1),)))
    return Space("conformance", subspaces, asked, "none", dict(objectives), constraints)


def single() -> Space:
    """A space of one design."""
    sub = SubSpace("one", (Axis("width", (4,)), Axis("depth", (8,)), Axis("style", ("fast",))))
    return dataclasses.replace(space(), subspaces=(sub,))


class _Dotted(Families):
    """Asked of designs whose parameters have dotted names, and which are evaluated a few at a time, as systems are."""

    batch = 8


def dotted() -> Space:
    """A space of 105 designs as one of systems is: dotted names, numbers that are not whole, small batches."""
    axes = (
        Axis("units.one.width", tuple(range(1, 8))),
        Axis("memory.depth", (0.5, 2.5, 10.0, 40.0, 64.0)),
        Axis("units.two.style", ("small", "fast", "other")),
    )
    asked = _Dotted(Workload("none", (Gemm(1, 1, 1),)))
    return dataclasses.replace(space(), subspaces=(SubSpace("one", axes),), subject=asked)


def _limit(**sides: float) -> tuple[Constraint, ...]:
    return (Constraint("area", sides.get("minimum"), sides.get("maximum")),)


#: Spaces by name, with the budget of the search in each, and whether their designs can be built.
CASES: dict[str, tuple[Callable[[], Space], int, bool]] = {
    "two objectives": (space, 90, True),
    "one objective": (lambda: space(objectives={"energy": "min"}), 60, True),
    "four objectives": (lambda: space(objectives={**_TWO, "energy": "min", "flat": "min"}), 60, True),
    "a constraint": (lambda: space(constraints=_limit(maximum=12.0)), 90, True),
    "several families": (lambda: space(2), 90, True),
    "dotted names and small batches, as of systems": (dotted, 70, True),
    "all designs infeasible": (lambda: space(constraints=_limit(maximum=-1.0)), 60, True),
    "no design can be built": (space, 60, False),
    "a constant objective": (lambda: space(objectives={"flat": "min"}), 60, True),
    "one design": (single, 5, True),
    "budget of one": (space, 1, True),
    "budget over size": (lambda: space(2, widths=2), 1000, True),
}


def check_search(
    method: str, options: Mapping[str, Any] | None = None, *, seconds: float = SECONDS
) -> list[str]:
    """Faults of a search, by its name in a space file; none if it conforms.

    ``options`` are hyperparameters other than the defaults. A proposal may take ``seconds``.
    """
    kind = methods.load(method)
    settings = kind.Options(**methods.resolved(method, options or {}))
    found: list[str] = []
    for name, (made, budget, built) in CASES.items():
        try:
            found += [
                f"{name}: {fault}"
                for fault in _Check(kind, settings, made(), budget, built, seconds).faults()
            ]
        except Exception as problem:  # whatever a search does wrong is told
            found.append(f"{name}: it must not fail, and it does: {type(problem).__name__}: {problem}")
    return found


class _Check:
    """One search on one space."""

    def __init__(
        self, kind: type[Any], settings: Any, space: Space, budget: int, built: bool, seconds: float
    ) -> None:
        judges = {sub.family: Judge(sub.family, built) for sub in space.subspaces}
        self.kind, self.settings, self.seconds = kind, settings, seconds
        self.budget = min(budget, space.size)
        self.problem = Problem(dataclasses.replace(space, search=Searched(budget=budget)), judges, _METRICS)

    def faults(self) -> list[str]:
        """All faults that were found."""
        batches, faults = self.played(self.start())
        if faults:
            return faults
        again, _ = self.played(self.start())
        if not _same(batches, again):
            faults.append("the same seed must ask for the same designs in the same order, and it does not")
        faults += self.resumed(batches)
        faults += self.continued(join([empty(_METRICS), *batches]))
        if self.kind.independent:
            faults += self.unheard(batches)
        return faults

    def start(self, known: Batch | None = None, seed: int = 3) -> Search:
        known = empty(_METRICS) if known is None else known
        found: Search = self.kind(Task(self.problem, self.budget, seed, known), self.settings)
        return found

    def played(self, search: Search, known: int = 0) -> tuple[list[Batch], list[str]]:
        """The batches that a search asks for to its end, and what is wrong with them."""
        batches: list[Batch] = []
        slowest, seen, size = 0.0, set[int](), self.problem.space.size
        for _ in range(_MOST_ASKS):
            begin = time.perf_counter()
            indices = np.asarray(search.ask())
            slowest = max(slowest, time.perf_counter() - begin)
            if not len(indices):
                break
            if indices.dtype.kind != "i" or indices.min() < 0 or indices.max() >= size:
                return batches, [f"designs must be integers from 0 to {size - 1}, not {indices.tolist()[:5]}"]
            for index in indices.tolist():
                if index in seen:
                    return batches, [f"no design must be asked for twice, and {index} is"]
                seen.add(index)
            if len(seen) > self.budget - known:
                return batches, [f"at most {self.budget - known} designs must be asked for, not {len(seen)}"]
            batches.append(self.problem.evaluate(indices.astype(np.int64)))
            search.tell(batches[-1])
        else:
            return batches, [f"it must end, and it does not within {_MOST_ASKS} asks"]
        if len(seen) != self.budget - known:
            return batches, [f"it must use its budget of {self.budget - known} designs, not {len(seen)}"]
        if len(search.ask()):
            return batches, ["after the end nothing must be asked for, and something is"]
        if slowest > self.seconds:
            return batches, [f"a proposal must take at most {self.seconds:g} s, not {slowest:.1f} s"]
        return batches, []

    def resumed(self, batches: list[Batch]) -> list[str]:
        """Half a run, then another search that is told the stored answers, to the end."""
        search = self.start()
        half = len(batches) // 2
        for batch in batches[:half]:
            if not np.array_equal(search.ask(), batch.indices):
                return ["replayed on stored answers it must ask for them again, and it asks for others"]
            search.tell(batch)
        rest: list[Batch] = []
        while len(indices := search.ask()) and len(rest) <= len(batches):
            rest.append(self.problem.evaluate(indices))
            search.tell(rest[-1])
        if not _same(batches, [*batches[:half], *rest]):
            return ["resumed by replay it must end as the undisturbed search, and it does not"]
        return []

    def continued(self, every: Batch) -> list[str]:
        """A search that builds on designs of an earlier one."""
        known = every.pick(np.arange(len(every) // 2))
        batches, faults = self.played(self.start(known, seed=4), len(known))
        if faults:
            return [f"with {len(known)} known designs: {fault}" for fault in faults]
        asked = set(join([empty(_METRICS), *batches]).indices.tolist())
        both = sorted(asked & set(known.indices.tolist()))
        return [f"no known design must be asked for, and {both[0]} is"] if both else []

    def unheard(self, batches: list[Batch]) -> list[str]:
        """An independent search asks for the same without being told anything."""
        search = self.start()
        asked: list[Indices] = []
        while len(indices := search.ask()) and len(asked) <= len(batches):
            asked.append(indices)
        if len(asked) != len(batches) or not all(
            np.array_equal(one, batch.indices) for one, batch in zip(asked, batches, strict=True)
        ):
            return ["an independent search must not depend on what it is told, and it does"]
        return []


def _same(one: list[Batch], other: list[Batch]) -> bool:
    return [batch.indices.tolist() for batch in one] == [batch.indices.tolist() for batch in other]
