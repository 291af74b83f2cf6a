"""What would have to change in a design to keep a limit: the nearest design of its study that does, and its cost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.errors import ParamError
from blueprint.files.nearest import suggestion
from costmodel.model.metrics import counterpart
from dse import nearest
from dse.batch import Batch, Floats
from dse.space import Constraint, Indices, Space
from dse.study import Study

_CONDITION = re.compile(r"\s*([A-Za-z_]\w*)\s*(<=|>=)\s*(\S+)\s*")


def condition(text: str, study: Study) -> Constraint:
    """A limit as people type it: ``area_um2<=20000``. Raises ``ParamError`` for anything else, and for no metric."""
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise ParamError(f"--where must be METRIC<=NUMBER or METRIC>=NUMBER, not {text[:60]!r}")
    name, sign, digits = found.groups()
    if name not in study.metrics:
        other = counterpart(name, study.metrics)
        hint = f"; did you mean {other!r}?" if other else suggestion(name, study.metrics)
        raise ParamError(f"--where must name a metric of the study, not {name[:60]!r}{hint}")
    try:
        bound = float(digits) if "_" not in digits else np.nan
    except ValueError:
        bound = np.nan
    if not np.isfinite(bound):
        raise ParamError(f"--where {name} must have a number, not {digits[:40]!r}")
    return Constraint(name, maximum=bound) if sign == "<=" else Constraint(name, minimum=bound)


@dataclass(frozen=True)
class Change:
    """From one design to another: the parameters that differ and the metrics, ``(from, to)`` each."""

    point: str
    family: tuple[str, str]
    parameters: Mapping[str, tuple[Any, Any]]
    metrics: Mapping[str, tuple[float, float]]

    def content(self) -> dict[str, Any]:
        """The change as plain values; ``change`` of a metric is relative, without one where it was 0."""
        return {
            "point": self.point,
            "family": {"from": self.family[0], "to": self.family[1]},
            "parameters": {name: {"from": a, "to": b} for name, (a, b) in self.parameters.items()},
            "metrics": {
                name: {"from": a, "to": b, "change": b / a - 1 if a else None}
                for name, (a, b) in self.metrics.items()
            },
        }


def broken(study: Study, row: Mapping[str, Any], where: Iterable[Constraint]) -> list[str]:
    """The limits of a study and of ``where`` that a design breaks, in words; or the reason why it cannot be built."""
    if all(row[name] is None for name in study.metrics):
        return [row["reason"]]
    limits = [*study.space.limits, *(limit for each in where for limit in each.limits())]
    found = [limit.text for limit in limits if _excess(limit, row) > 0]
    return list(dict.fromkeys(found))


def _excess(limit: Any, row: Mapping[str, Any]) -> float:
    return float(limit.excess(np.array([row[limit.metric]]))[0])


def to_keep(study: Study, point: str, where: tuple[Constraint, ...]) -> Change | None:
    """The change from a design to the nearest one of the study that keeps all its limits and ``where``.

    Nearest is the one with the fewest parameters that differ (another family counts as all of them); among those, the
    one that loses least in the objectives, relatively and in sum. ``None`` where no design keeps them.
    """
    index = study.space.index_of(point)
    row = study.point(point)
    best: tuple[float, float, int] | None = None
    for batch in study.batches():
        batch = batch.pick(batch.feasible)
        for each in where:
            for limit in each.limits():
                batch = batch.pick(limit.excess(batch.column(limit.metric)) <= 0)
        if not len(batch):
            continue
        steps, loss = _distance(study.space, index, batch.indices), _loss(study, row, batch)
        place = int(np.lexsort((batch.indices, loss, steps))[0])
        found = (float(steps[place]), float(loss[place]), int(batch.indices[place]))
        best = found if best is None else min(best, found)
    return None if best is None else _change(study, row, best[2])


def _distance(space: Space, index: int, others: Indices) -> npt.NDArray[np.int64]:
    """Number of axes whose values differ; one more than there are for a design of another family."""
    home, _, local = next(space.parts(np.array([index])))
    here = home.codes(local)[0]
    found = np.full(len(others), 1 + len(space.parameter_names), dtype=np.int64)
    for sub, mine, places in space.parts(others):
        if sub is home:
            found[mine] = (sub.codes(places) != here).sum(axis=1)
    return found


def _loss(study: Study, row: Mapping[str, Any], batch: Batch) -> Floats:
    """Sum over the objectives of how much worse others are, relative to this design; less than 0 if better."""
    total = np.zeros(len(batch))
    for name, way in study.space.objectives.items():
        if row[name] is None:
            continue  # a design that cannot be built has no numbers to lose
        sign = -1.0 if way == "max" else 1.0
        total += sign * (batch.column(name) - row[name]) / (abs(row[name]) or 1.0)
    return total


def _change(study: Study, row: Mapping[str, Any], index: int) -> Change:
    other = study.point(study.space.point_id(index))
    names = [*study.space.parameter_names, *(["clock_mhz"] if study.space.clock else [])]
    goals = list(study.space.objectives)
    metrics = [*goals, *(name for name in study.metrics if name not in goals)]
    return Change(
        other["id"],
        (row["family"], other["family"]),
        {name: (row[name], other[name]) for name in names if row[name] != other[name]},
        {
            name: (row[name], other[name])
            for name in metrics
            if row[name] is not None and other[name] is not None
        },
    )


def explain(study: Study, point: str, where: tuple[Constraint, ...]) -> dict[str, Any]:
    """Describe which constraints a design breaks and what would have to change, as plain values.

    ``change`` leads to the nearest design that keeps everything; where there is none, ``nearest`` is the design whose
    relative excesses add up to least.
    """
    wrong = broken(study, study.point(point), where)
    if not wrong:
        return {"breaks": [], "change": None, "nearest": None}
    change = to_keep(study, point, where)
    return {
        "breaks": wrong,
        "change": change and change.content(),
        "nearest": None if change else nearest.together(study, where),
    }
