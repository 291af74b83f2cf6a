"""The front of a study promoted from level to level within a budget of time; what is measured corrects the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from blueprint.errors import ParamError
from blueprint.spec import Spec
from blueprint.version import VERSION
from dse import pareto, store
from dse.fidelity import child
from dse.fidelity.levels import LEVELS, LIMIT_S, MEMORY_MIB, SYNTHESIZED, Level, up_to
from dse.fidelity.request import Request
from dse.problem import FACTS
from dse.store import StudyError
from dse.study import Study, open_study

#: Receives a line of progress.
Note = Callable[[str], None]


@dataclass(frozen=True)
class Limits:
    """Seconds for everything; seconds and MiB for one measurement, each in a process of its own."""

    budget_s: float
    each_s: float = LIMIT_S
    memory_mib: int = MEMORY_MIB

    def __post_init__(self) -> None:
        """Raise ``ParamError`` for a limit that is not above 0."""
        for name, value in (("Budget", self.budget_s), ("Limit", self.each_s), ("Memory", self.memory_mib)):
            if value <= 0:
                unit = "MiB" if name == "Memory" else "s"
                raise ParamError(f"{name} must be above 0 {unit}, not {value:g}")


def promote(
    folder: str | Path,
    limits: Limits,
    *,
    level: str = SYNTHESIZED,
    retry: bool = False,
    note: Note = lambda _: None,
    families: dict[str, type[Spec]] | None = None,
    levels: Sequence[Level] = LEVELS,
) -> Study:
    """Promote the front of a study up to ``level``, then the designs that corrections bring onto it, until time is up.

    Every measurement is stored when it ends, and one that failed with its log; the same call goes on with what is left.
    ``retry`` measures again what failed. Raises ``ParamError`` for an unknown level, ``StudyError`` for a study that
    is damaged, being written, or whose numbers are of another version or technology; and leaves the study as it was.
    """
    wanted = up_to(level, levels)
    folder = Path(folder)
    if not (folder / store.NAME).exists():
        store.load(folder)  # which refuses a file that is missing
    with closing(store.lock(folder)):
        study = open_study(folder, families=families, writable=True)
        try:
            _check(study)
            if retry:
                study.forget_failed()
            _Climb(study, wanted, limits, note).run()
            study.write_tables()
        except BaseException:
            study.close()
            raise
    return study


def _check(study: Study) -> None:
    if reason := study.space.subject.unmeasured:
        raise StudyError(f"{study.folder}: {reason}")
    made = study.facts["provenance"]
    if FACTS not in made:
        return  # numbers of no technology
    if made.get("version") != VERSION:
        raise StudyError(
            f"{study.folder}: study must be promoted by the version that wrote it, {made.get('version')}, "
            f"not by {VERSION}; explore into another folder"
        )
    if not study.evaluators:
        raise StudyError(
            f"{study.folder}: study must be promoted with the numbers of its technology, and "
            f"{study.space.technology} has others now; explore into another folder"
        )


class _Climb:
    """One run: the designs that wait for a level, one after the other."""

    def __init__(self, study: Study, levels: Sequence[Level], limits: Limits, note: Note) -> None:
        self._study, self._levels, self._limits, self._note = study, levels, limits, note
        self._end = time.monotonic() + limits.budget_s
        self._done = self._failed = 0

    def run(self) -> None:
        """Promote until no design of the front waits, or the time is up.

        What is measured next depends on what is stored and on nothing else, so that interrupted runs end alike.
        """
        while waiting := list(self._waiting()):
            if not self._measure(*waiting[0]):
                self._note(f"time is up with {len(waiting)} measurements left; the same command goes on")
                return
            self._tell(waiting[1:])
            self._study.refresh()

    def _waiting(self) -> Iterator[tuple[int, Level]]:
        """Designs of the front without a level, the cheapest level first, spread over the front."""
        tried = {(each.point, each.level) for each in self._study.ladder.promotions}
        order = spread(self._study)
        for level in self._levels:
            yield from ((point, level) for point in order if (point, level.name) not in tried)

    def _measure(self, point: int, level: Level) -> bool:
        """Measure a design and store the answer; false if the time is up, which is no fault of the design."""
        left = self._end - time.monotonic()
        if left <= 0:
            return False
        study, began = self._study, time.monotonic()
        found = child.measure(
            level.name,
            Request(level.function, study.space, point, study.known(point), study.ladder.cycles(point)),
            timeout_s=min(left, self._limits.each_s),
            memory_mib=self._limits.memory_mib,
        )
        if not found.metrics and time.monotonic() >= self._end and self._limits.each_s > left:
            return False
        study.promoted(replace(found, seconds=round(time.monotonic() - began, 3)))
        self._done += 1
        self._failed += not found.metrics
        if not found.metrics:
            self._note(f"{study.space.point_id(point)} failed: {found.log.partition(chr(10))[0]}")
        return True

    def _tell(self, waiting: Sequence[tuple[int, Level]]) -> None:
        failed = f", {self._failed} failed" if self._failed else ""
        left = min(self._expected(waiting), max(0.0, self._end - time.monotonic()))
        self._note(f"{self._done} measured{failed}, {len(waiting)} wait, about {left:.0f} s left")

    def _expected(self, waiting: Sequence[tuple[int, Level]]) -> float:
        """Seconds that the waiting designs will take, from the mean time of their levels so far."""
        total = 0.0
        for _, level in waiting:
            took = [each.seconds for each in self._study.ladder.promotions if each.level == level.name]
            total += float(np.mean(took)) if took else self._limits.each_s
        return total


def spread(study: Study) -> list[int]:
    """The designs of the front: the knee, then always the one farthest from those before, by scaled objectives.

    Whenever the time is up, those measured are spread over the front.
    """
    goals = study.objectives(study.front)
    if not len(goals):
        return []
    span = np.ptp(goals, axis=0)
    scaled = (goals - goals.min(axis=0)) / np.where(span > 0, span, 1.0)
    place, order = pareto.knee(goals), []
    nearest = np.full(len(goals), np.inf)
    for _ in range(len(goals)):
        order.append(int(study.front.indices[place]))
        nearest = np.minimum(nearest, np.linalg.norm(scaled - scaled[place], axis=1))
        nearest[place] = -1.0
        place = int(np.argmax(nearest))
    return order
