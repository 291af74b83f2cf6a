"""The best numbers of every design: measured at the highest level that it was promoted to, else corrected."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.batch import Batch, Floats
from dse.fidelity.correction import Correction, features, learn
from dse.fidelity.levels import ANALYTIC, CORRECTED, LEVELS, ORIGINS
from dse.fidelity.promotion import Promotion
from dse.problem import Problem

Codes = npt.NDArray[np.int64]


class Ladder:
    """Promotions of a study, and the corrections that they teach."""

    def __init__(self, problem: Problem, promotions: Iterable[Promotion]) -> None:
        self.problem = problem
        self.promotions = tuple(promotions)
        self._good = [each for each in self.promotions if each.metrics]

    def __bool__(self) -> bool:
        return bool(self._good)

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels that numbers of the study are from, the analytical one among them."""
        found = {each.level for each in self._good}
        return (ANALYTIC, *(level.name for level in LEVELS if level.name in found))

    @cached_property
    def corrections(self) -> dict[tuple[str, str], Correction]:
        """The corrections by level and metric, used or not."""
        found: dict[tuple[str, str], Correction] = {}
        for level in LEVELS:
            mine = [each for each in self._good if each.level == level.name]
            matrix = features(self.problem.space, np.array([each.point for each in mine], dtype=np.int64))
            for name in self.problem.metrics:
                lower, higher = (
                    np.array([values.get(name, np.nan) for values in rows], dtype=np.float64)
                    for rows in ([each.below for each in mine], [each.metrics for each in mine])
                )
                taught = learn(level.name, name, matrix, lower, higher)
                if taught is not None:
                    found[level.name, name] = taught
        return found

    def reported(self, batch: Batch) -> Batch:
        """Designs with their best numbers, judged by the constraints anew."""
        if not self or not len(batch):
            return batch
        metrics, _ = self._numbers(batch)
        return self.problem.judged(dataclasses.replace(batch, metrics=metrics))

    def origins(self, batch: Batch) -> list[str]:
        """Level that each number of each design is from; ``analytic`` where nothing was promoted."""
        if not self:
            return [ANALYTIC] * len(batch)
        _, codes = self._numbers(batch)
        texts: dict[bytes, str] = {}
        return [texts.setdefault(row.tobytes(), _text(self.problem.metrics, row)) for row in codes]

    def known(self, point: int, row: dict[str, float]) -> dict[str, float]:
        """The numbers of one design: the analytical ``row``, and over it what was measured."""
        for level in LEVELS:
            for each in self._good:
                if (each.point, each.level) == (point, level.name):
                    row = {**row, **each.metrics}
        return row

    def cycles(self, point: int) -> Mapping[str, int]:
        """The cycles of a design by task, where it was simulated."""
        found = (each.cycles for each in self._good if each.point == point and each.cycles)
        return next(found, {})

    def summary(self) -> dict[str, Any] | None:
        """Promotions, failures and corrections as plain values; ``None`` where nothing was tried."""
        if not self.promotions:
            return None
        point_id = self.problem.space.point_id
        counts: dict[str, dict[str, int]] = {}
        for each in self.promotions:
            counts.setdefault(each.level, {"ok": 0, "failed": 0})[each.status] += 1
        return {
            "levels": counts,
            "failed": [
                {"point": point_id(each.point), "level": each.level, "reason": each.log.partition("\n")[0]}
                for each in self.promotions
                if not each.metrics
            ],
            "corrections": [
                {**{key: getattr(each, key) for key in _SHOWN}, "used": each.used}
                for each in self.corrections.values()
            ],
        }

    def _numbers(self, batch: Batch) -> tuple[Floats, Codes]:
        """The best metrics of designs that may have been given their best numbers before, and where each is from."""
        promoted = np.flatnonzero(np.isin(batch.indices, [each.point for each in self._good]))
        places = {int(batch.indices[place]): int(place) for place in promoted}
        metrics, codes = batch.metrics.copy(), np.zeros(batch.metrics.shape, dtype=np.int64)
        names = self.problem.metrics
        matrix = features(self.problem.space, batch.indices)
        for level in LEVELS:
            for column, name in enumerate(names):
                taught = self.corrections.get((level.name, name))
                if taught is not None and taught.used:
                    metrics[:, column] *= taught.factors(matrix)
                    codes[:, column] = ORIGINS.index(CORRECTED)
            for each in self._good:
                if each.level == level.name and each.point in places:
                    for name, value in each.metrics.items():
                        column = names.index(name)
                        metrics[places[each.point], column] = value
                        codes[places[each.point], column] = ORIGINS.index(level.name)
        return metrics, codes


#: The description of a correction, for people.
_SHOWN = ("level", "metric", "designs", "before", "after")


def _text(names: Sequence[str], codes: Codes) -> str:
    """The origins of a row of metrics: one word where all have the same, else each with its metrics."""
    found: dict[int, list[str]] = {}
    for name, code in sorted(zip(names, codes.tolist(), strict=True), key=lambda item: -item[1]):
        found.setdefault(code, []).append(name)
    if len(found) == 1:
        return ORIGINS[next(iter(found))]
    return "; ".join(f"{ORIGINS[code]}: {' '.join(metrics)}" for code, metrics in found.items())
