"""A study: a folder with ``study.db``, ``space.yaml``, ``front.csv`` and, for studies not too large,
``points.csv``."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from blueprint.errors import ParamError, SpecError
from blueprint.files.document import read_text
from blueprint.spec import Spec
from dse import nearest, pareto, shard
from dse.batch import Batch, drawn, empty, join
from dse.evaluation import Explainer
from dse.fidelity.ladder import Ladder
from dse.fidelity.promotion import Promotion
from dse.pareto import Bools, Floats
from dse.problem import FACTS, Problem
from dse.shard import Shard, planned
from dse.space import Search, Space
from dse.space_file import space_from
from dse.store import Store, StudyError, load
from dse.subject import Described
from toolchain import files

#: Studies of more points leave out ``points.csv`` unless asked: at a million points it is 200 MB.
MOST_POINTS_IN_CSV = 100_000


class Study:
    """Every evaluated point, read from the store; points are named by their index in the space (``p000123``)."""

    def __init__(
        self,
        folder: Path,
        store: Store,
        space: Space,
        metrics: tuple[str, ...],
        evaluators: Mapping[str, Any] | None = None,
    ) -> None:
        self._evaluators = evaluators
        self.folder = folder
        self.space = space
        self.metrics = metrics
        self.facts = store.facts()
        self._store = store
        self._problem = Problem(space, {}, metrics)

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def batches(self) -> Iterator[Batch]:
        """The points that are kept, in the order in which they were evaluated, a part at a time.

        Their numbers are the best that are known: analytical ones, unless designs were promoted.
        """
        return map(self.ladder.reported, self._store.batches())

    @cached_property
    def ladder(self) -> Ladder:
        """The promotions of its designs, and the corrections that they teach."""
        return Ladder(self._problem, self._store.promotions())

    def promoted(self, found: Promotion) -> None:
        """Store a promotion; the front stays as it is until :meth:`refresh`."""
        self._store.promote(found)
        self.__dict__.pop("ladder", None)

    def forget_failed(self) -> None:
        """Drop the promotions that failed."""
        self._store.forget_failed()
        self.refresh()

    def refresh(self) -> None:
        """Find the front, the knee and all counts again."""
        for name in ("ladder", "front", "infeasible", "built", "nearest"):
            self.__dict__.pop(name, None)

    def known(self, index: int) -> dict[str, float]:
        """The analytical numbers of a point, and over them those that were measured."""
        return self.ladder.known(index, self._row(index))

    def _row(self, index: int) -> dict[str, float]:
        return {name: float(values[0]) for name, values in self._stored(index).columns().items()}

    @cached_property
    def kept(self) -> int:
        """Number of points that are kept: all, or of a huge exhaustive search a sample, beside the front."""
        return sum(header["kept"] for header in self._store.headers())

    def encoded(self) -> Iterator[tuple[dict[str, Any], Batch]]:
        """The header of every batch, which counts points that are not kept too, and its content."""
        return zip(self._store.headers(), self._store.batches(), strict=True)

    @property
    def keeps_all(self) -> bool:
        """True if its search keeps every point, false if a sample and the front."""
        return self.space.share >= 1

    @cached_property
    def evaluated(self) -> int:
        """Number of evaluated points."""
        return sum(self.sizes())

    @property
    def complete(self) -> bool:
        """True if the search is finished."""
        return self.evaluated >= planned(self.space, self.shard)

    @property
    def shard(self) -> Shard | None:
        """The part of a search that it is; ``None`` if it is a whole one."""
        return shard.of(self.facts)

    @property
    def exact(self) -> bool:
        """True if every design of the space was evaluated, so that the front is exact."""
        return self.evaluated == self.space.size

    @cached_property
    def infeasible(self) -> dict[str, int]:
        """Number of infeasible points by reason, most frequent first."""
        counts: Counter[str] = Counter()
        if self.ladder and self.keeps_all:
            for batch in self.batches():
                counts.update(batch.reason_counts())
            return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
        for header in self._store.headers():
            counts.update(header["counts"])
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def feasible(self) -> int:
        """Number of points that can be built and keep every constraint."""
        return self.evaluated - sum(self.infeasible.values()) - sum(self.pruned.values())

    @cached_property
    def pruned(self) -> dict[str, int]:
        """Number of points that their search left out, by reason, most first; other counts are then lower bounds."""
        counts: Counter[str] = Counter()
        for header in self._store.headers():
            counts.update(header.get("pruned", {}))
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @cached_property
    def built(self) -> int:
        """Number of points that can be built, whether they keep the constraints, as ``feasible`` do, or not."""
        limits = {limit.text for limit in self.space.limits}
        return self.feasible + sum(count for reason, count in self.infeasible.items() if reason in limits)

    def sizes(self) -> list[int]:
        """Number of points of every batch, in order."""
        return [header["points"] for header in self._store.headers()]

    @cached_property
    def front(self) -> Batch:
        """The feasible points that no other feasible one dominates, by index, with the best numbers that are known."""
        if not self.ladder:
            return self.analytic_front
        best = self._problem.front(self.ladder.reported(self.analytic_front))
        for batch in self.batches():
            more = self._problem.front(batch)
            more = more.pick(~np.isin(more.indices, best.indices))
            best = self._problem.front(join([best, more]))
        return best

    @cached_property
    def analytic_front(self) -> Batch:
        """The front by the analytical model, whatever was promoted."""
        kept = self._store.only_front() if self._store.thinned else self._store.remembered_front()
        if kept is not None:
            return kept
        best = empty(self.metrics)
        for batch in self._store.batches():
            best = self._problem.front(join([best, self._problem.front(batch)]))
        return best

    def objectives(self, batch: Batch) -> Any:
        """The objectives of points, ``(points, objectives)``, signed so that smaller is better."""
        return self._problem.objectives(batch)

    @property
    def knee(self) -> str | None:
        """The front's point nearest to the ideal (see :func:`dse.pareto.knee`); ``None`` for an empty front."""
        if not len(self.front):
            return None
        place = pareto.knee(self.objectives(self.front))
        return self.space.point_id(int(self.front.indices[place]))

    def sample(self, most: int) -> Batch:
        """At most ``most`` feasible points, always the same ones, without a pattern: what a plot can show."""
        return self._sampled(most, self.feasible, lambda batch: batch.feasible)

    def sample_built(self, most: int) -> Batch:
        """At most ``most`` of the points that can be built, whether they keep the constraints or not."""
        return self._sampled(most, self.built, lambda batch: batch.built)

    def sample_excluded(self, most: int) -> Batch:
        """At most ``most`` of the points that can be built and break a constraint."""
        return self._sampled(most, self.built - self.feasible, lambda batch: batch.built & ~batch.feasible)

    def _sampled(self, most: int, count: int, which: Callable[[Batch], Bools]) -> Batch:
        share = min(1.0, most / max(1, count))
        parts = [empty(self.metrics)]
        for batch in self.batches():
            parts.append(batch.pick(which(batch) & drawn(batch.indices, share)))
        return join(parts).pick(np.arange(min(most, sum(map(len, parts)))))

    def point(self, name: str) -> dict[str, Any]:
        """Family, parameters, metrics and reason of one evaluated point.

        Raises ``ParamError`` for a name outside the space and ``StudyError`` for a point that was not evaluated.
        """
        return next(self.rows(self.ladder.reported(self._stored(self.space.index_of(name)))))

    def _stored(self, index: int) -> Batch:
        """One point as it was evaluated."""
        for batch in itertools.chain([self.analytic_front], self._store.batches()):
            where = np.flatnonzero(batch.indices == index)
            if len(where):
                return batch.pick(where[:1])
        if self.kept < self.evaluated and self.exact and self.evaluators:
            return Problem(self.space, self.evaluators, self.metrics).evaluate(np.array([index]))
        name = self.space.point_id(index)
        raise StudyError(f"{self.folder}: point must be one that was evaluated, and {name} was not")

    def rows(self, batch: Batch) -> Iterator[dict[str, Any]]:
        """Points as plain values: ``id``, ``family``, parameters, metrics, ``feasible``, ``reason`` and ``level``.

        ``level`` says where the numbers are from (:mod:`dse.fidelity.levels`). Every row has the parameters of all
        families; those that its own family does not have are ``None``.
        """
        table = self._table(batch)
        return (dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True))

    def _table(self, batch: Batch) -> dict[str, list[Any]]:
        """The columns of :meth:`rows`."""
        absent = [None] * len(batch)
        ids = [self.space.point_id(index) for index in batch.indices.tolist()]
        found: dict[str, list[Any]] = {
            "id": ids,
            "family": absent,
            **dict.fromkeys(self.space.parameter_names, absent),
        }
        found |= {name: values.tolist() for name, values in self.space.columns(batch.indices).items()}
        found |= {name: _finite(values) for name, values in batch.columns().items()}
        reasons = [batch.reasons[code] for code in batch.reason.tolist()]
        feasible = [not reason for reason in reasons]
        return found | {"feasible": feasible, "reason": reasons, "level": self.ladder.origins(batch)}

    def design(self, name: str) -> Described:
        """The design of a point with its technology and clock, ready to be written as a file.

        Raises ``ParamError`` for one that cannot be built or is outside the space.
        """
        title = f"{self.space.name[:50]}_{name}"
        # The clock to the last digit: an estimate of the file gives the numbers of the study. Of a promoted design
        # it is the one that the formulas allow as well.
        clock = self.point(name).get("clock_mhz")
        if self.ladder and clock is not None and self.space.clock is None:
            clock = min(clock, self._row(self.space.index_of(name))["clock_mhz"])
        group, parameters = self.space.design(self.space.index_of(name))
        return self.space.subject.describe(group, parameters, title, clock, self.space.technology)

    @property
    def covers(self) -> str:
        """The work that the metrics of the study cover, in words."""
        return self.space.subject.covers

    def limited_by(
        self, family: str, parameters: Mapping[str, Any], metric: str, clock_mhz: float | None = None
    ) -> str | None:
        """The limiting contribution to a metric of a design, in words; ``None`` if the cost model has none.

        ``clock_mhz`` is the clock the design runs at, without it its highest.
        """
        evaluator = self.evaluators.get(family)
        if not isinstance(evaluator, Explainer):
            return None
        axes = next(sub.parameter_axes for sub in self.space.subspaces if sub.family == family)
        return evaluator.limited_by(axes, parameters, metric, clock_mhz)

    @property
    def evaluators(self) -> Mapping[str, Any]:
        """The evaluators behind the metrics; none if a family or the technology with these numbers no longer exists."""
        if self._evaluators is None:
            from costmodel.technology import technology

            try:
                facts = technology.load(self.space.technology)
                same = facts.digest == self.facts["provenance"].get(FACTS, facts.digest)
                space = self.space
                clocked = space.clock is not None
                self._evaluators = space.subject.evaluators(space.groups, clocked, facts) if same else {}
            except (ParamError, SpecError):
                self._evaluators = {}
        return self._evaluators

    @cached_property
    def nearest(self) -> dict[str, Any] | None:
        """Explanation of an empty front (:func:`dse.nearest.explain`); ``None`` if a design is feasible.

        Of a study that keeps a sample, ``sampled`` is the number of points that its counts and designs are of.
        """
        if len(self.front):
            return None
        return nearest.explain(self) | ({"sampled": self.kept} if self.kept < self.evaluated else {})

    def digest(self) -> str:
        """SHA-256 over every kept point in order, and the front: equal digests mean equal searches."""
        total = hashlib.sha256()
        stored, front = self._store.batches(), [self.analytic_front] if self.kept < self.evaluated else []
        for batch in itertools.chain(stored, front):
            reasons = np.array(batch.reasons, dtype=object)[batch.reason]
            metrics = np.where(np.isnan(batch.metrics), np.nan, batch.metrics)  # one pattern of bits for NaN
            total.update(batch.indices.tobytes() + metrics.tobytes() + "\n".join(reasons).encode())
        return total.hexdigest()

    def summary(self) -> dict[str, Any]:
        """Summary of the study as plain values."""
        return {
            "study": str(self.folder),
            "space": self.space.size,
            "method": self.space.method,
            "evaluated": self.evaluated,
            "kept": self.kept,
            "feasible": self.feasible,
            "infeasible": self.infeasible,
            **({"pruned": self.pruned} if self.pruned else {}),
            "exact": self.exact,
            "shard": str(self.shard) if self.shard else None,
            "families": list(self.space.groups),
            "parameters": list(self.space.parameter_names),
            "metrics": list(self.metrics),
            "workload": self.space.subject.work,
            "technology": self.space.technology,
            "covers": self.covers,
            "dram": self.space.subject.dram and dataclasses.asdict(self.space.subject.dram),
            "memory": self.space.subject.memory,
            "objectives": dict(self.space.objectives),
            "front": [
                {key: value for key, value in row.items() if key not in ("feasible", "reason")}
                for row in self.rows(self.front)
            ],
            "knee": self.knee,
            "nearest": self.nearest,
            "fidelity": self.ladder.summary(),
        }

    def write_tables(self, *, points: bool | None = None) -> list[Path]:
        """Write ``front.csv``, and ``points.csv`` if asked or not too large; returns what was written."""
        written = [self._write_csv("front.csv", iter([self.front]), mark=self.knee)]
        if points or (points is None and self.kept <= MOST_POINTS_IN_CSV):
            written.append(self._write_csv("points.csv", self.batches()))
        return written

    def _write_csv(self, name: str, batches: Iterator[Batch], mark: str | None = None) -> Path:
        path = self.folder / name
        fields = [
            "id",
            "family",
            *self.space.parameter_names,
            *self.metrics,
            "feasible",
            "reason",
            "memory",
            "level",
        ]
        with files.replacing(path) as raw:
            file = io.TextIOWrapper(raw, "utf-8", newline="")
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(fields + (["knee"] if mark else []))
            for batch in batches:
                table = self._table(batch)
                table["memory"] = [self.space.subject.rate] * len(batch)
                columns = [table[field] for field in fields]
                knee = [[name == mark for name in table["id"]]] if mark else []
                writer.writerows(zip(*columns, *knee, strict=True))
            file.detach()  # detaching flushes; the draft closes the file
        return path


def _finite(values: Floats) -> list[float | None]:
    """A metric as JSON and CSV have it: nothing where there is no number."""
    plain: list[float | None] = values.tolist()
    for place in np.flatnonzero(np.isnan(values)).tolist():
        plain[place] = None
    return plain


def open_study(
    folder: str | Path, *, families: Mapping[str, type[Spec]] | None = None, writable: bool = False
) -> Study:
    """The study in a folder, for reading or promoting. Raises ``StudyError`` where there is none or it is damaged."""
    folder = Path(folder)
    store = load(folder, writable=writable)
    facts = store.facts()
    try:
        section = read_text(facts["text"], str(folder / "space.yaml"))
        search = Search.of(facts["content"]["search"])
        space = space_from(section, families=families, metrics=facts["metrics"], search=search)
        space = dataclasses.replace(space, text=facts["text"])
        same = space.content() == facts["content"]
        problem = "this one understands its space differently"
    except SpecError as refused:
        same, problem = False, str(refused)
    except (KeyError, TypeError, ValueError):
        same, problem = False, "this one understands its space differently"
    if not same:
        store.close()
        raise StudyError(
            f"{folder}: study must be read by the version that wrote it, {facts['provenance'].get('version')}: "
            f"{problem}"
        )
    return Study(folder, store, space, tuple(facts["metrics"]))
