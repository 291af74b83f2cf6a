"""Data that a page carries for its script: points in columns, what explains them, and how many were left out.

Metrics are the numbers of the study to the last digit; parts of breakdowns have six digits. Everything is bounded: a
page of a study of a million points is as large as one of ten thousand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from costmodel.model import quantity
from costmodel.model.metrics import METRICS
from dse.batch import Batch, Floats, join
from dse.evaluation import Explainer
from dse.history import MOST_POINTS, cuts, history
from dse.importance import importance
from dse.space import Indices, Space
from dse.study import Study

#: Points of a page: of the front, of all feasible ones, and of those that break a constraint.
MOST_FRONT, MOST_SHOWN, MOST_EXCLUDED = 3_000, 10_000, 1_000
#: Most points from which importance is computed.
MOST_ANALYZED = 50_000
#: The groups of points on a page.
DOMINATED, FRONT, EXCLUDED = 0, 1, 2


def text(data: dict[str, Any]) -> str:
    """Data as JSON that may stand in an HTML element: no character of it can end the element."""
    plain = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def of_study(study: Study) -> dict[str, Any]:
    """Everything that the report's script shows of a study."""
    shown, state = points(study)
    goals = study.space.objectives
    names = [study.space.point_id(index) for index in shown.indices.tolist()]
    return {
        "group": "family",
        "groups": [sub.family for sub in study.space.subspaces],
        "of_group": _families(study.space, shown.indices).tolist(),
        "ids": names,
        "state": state.tolist(),
        "knee": names.index(study.knee) if study.knee in names else None,
        "metrics": [metric(name, goals.get(name), shown.column(name)) for name in _ordered(study)],
        "parameters": parameters(study.space, shown.indices),
        "of_family": {sub.family: [axis.name for axis in sub.axes] for sub in study.space.subspaces},
        "reason": [shown.reasons[code] for code in shown.reason.tolist()],
        "reasons": [{"text": reason, "count": count} for reason, count in study.infeasible.items()],
        "breakdowns": breakdowns(study, shown),
        "bandwidth": study.space.subject.dram.bandwidth_gb_s * 1e9 if study.space.subject.dram else None,
        "importance": importances(study),
        "history": _history(study),
        "counts": {
            "evaluated": study.evaluated,
            "feasible": study.feasible,
            "front": len(study.front),
            "excluded": study.built - study.feasible,
            **{f"{name}_shown": int((state == code).sum()) for name, code in _STATES.items()},
        },
    }


_STATES = {"dominated": DOMINATED, "front": FRONT, "excluded": EXCLUDED}


def points(study: Study) -> tuple[Batch, npt.NDArray[np.int64]]:
    """The points of a page and where each stands: the front, a sample behind it, a sample of those excluded."""
    front = thinned(study)
    sample = study.sample(MOST_SHOWN - len(front))
    behind = sample.pick(~np.isin(sample.indices, study.front.indices))
    parts = [front, behind, study.sample_excluded(MOST_EXCLUDED)]
    codes = (FRONT, DOMINATED, EXCLUDED)
    return join(parts), np.repeat(codes, [len(part) for part in parts])


def thinned(study: Study) -> Batch:
    """The front, or an even spread of it along its first objective with the knee, where it is too large for a page."""
    front = study.front
    if len(front) <= MOST_FRONT:
        return front
    order = np.argsort(front.column(next(iter(study.space.objectives))), kind="stable")
    chosen = order[np.linspace(0, len(front) - 1, MOST_FRONT - 1).round().astype(np.int64)]
    knee = np.flatnonzero(front.indices == study.space.index_of(str(study.knee)))
    return front.pick(np.unique(np.concatenate([chosen, knee])))


def metric(name: str, goal: str | None, values: Floats) -> dict[str, Any]:
    """A column of numbers, with the unit that people read and the axis that suits them."""
    unit = quantity.of_metric(name, values.tolist())
    known = values[np.isfinite(values)]
    wide = bool(len(known) and known.min() > 0 and known.max() > 8 * known.min())
    return {
        "name": name,
        "label": quantity.label(name, unit.unit),
        "factor": unit.factor,
        "direction": goal or (METRICS[name].direction if name in METRICS else ""),
        "objective": goal is not None,
        "log": wide,
        "values": numbers(values),
    }


def _ordered(study: Study) -> list[str]:
    goals = list(study.space.objectives)
    return [*goals, *(name for name in study.metrics if name not in goals)]


def numbers(values: Floats) -> list[float | int | None]:
    """Numbers as JSON has them: whole ones without a fraction, nothing where there is none."""
    return [
        None if not np.isfinite(value) else int(value) if value.is_integer() and abs(value) < 2**53 else value
        for value in values.tolist()
    ]


def _families(space: Space, indices: Indices) -> npt.NDArray[np.int64]:
    found = np.zeros(len(indices), dtype=np.int64)
    for sub, mine, _ in space.parts(indices):
        found[mine] = space.subspaces.index(sub)
    return found


def codes(space: Space, indices: Indices) -> Iterator[tuple[str, list[Any], npt.NDArray[np.int64]]]:
    """Every parameter, the clock asked for included: its values in all families, and which one each design has.

    A design without the parameter has -1.
    """
    names = dict.fromkeys(axis.name for sub in space.subspaces for axis in sub.axes)
    for name in names:
        axes = {
            sub.family: (place, axis)
            for sub in space.subspaces
            for place, axis in enumerate(sub.axes)
            if axis.name == name
        }
        values = {repr(value): value for _, axis in axes.values() for value in axis.values}
        order = list(values)
        if all(type(value) in (int, float) for value in values.values()):
            order.sort(key=values.__getitem__)
        code = np.full(len(indices), -1, dtype=np.int64)
        for sub, mine, local in space.parts(indices):
            if sub.family in axes:
                place, axis = axes[sub.family]
                numbered = np.array([order.index(repr(value)) for value in axis.values])
                code[mine] = numbered[sub.codes(local)[:, place]]
        yield name, [values[key] for key in order], code


def parameters(space: Space, indices: Indices) -> list[dict[str, Any]]:
    """Parameters as the script has them: a list of values, and codes where there is more than one."""
    return [
        {"name": name, "values": values, **({"codes": code.tolist()} if len(values) > 1 else {})}
        for name, values, code in codes(space, indices)
    ]


def importances(study: Study) -> dict[str, Any]:
    """Importance of the parameters for every metric, of the points that can be built."""
    sample = study.sample_built(MOST_ANALYZED)
    found = {name: code for name, values, code in codes(study.space, sample.indices) if len(values) > 1}
    if len(study.space.subspaces) > 1:
        found["family"] = _families(study.space, sample.indices)
    answer: dict[str, Any] = {}
    for name in _ordered(study):
        shares = importance(found, sample.column(name))
        pairs = sorted(shares.pairs.items(), key=lambda item: -item[1])[:3]
        answer[name] = {
            "logarithmic": shares.logarithmic,
            "main": {key: _digits(share) for key, share in shares.main.items()},
            "total": {key: _digits(shares.total(key)) for key in shares.main},
            "pairs": [[*pair, _digits(share)] for pair, share in pairs if share > 0.005],
        }
    return {"designs": len(sample), "built": study.built, "metrics": answer}


def _history(study: Study) -> dict[str, Any] | None:
    """The hypervolume over evaluations; nothing for an empty front, too many objectives, or a sample of the points."""
    if not study.keeps_all or not len(study.front) or len(study.space.objectives) not in MOST_POINTS:
        return None

    def parts() -> Iterator[tuple[int, Floats]]:
        pieces, number, batch = cuts(study.sizes()), -1, study.front
        batches = study.batches()
        for place, start, end in pieces:
            if place != number:
                number, batch = place, next(batches)
            piece = batch.pick(np.arange(start, end))
            yield len(piece), study.objectives(piece.pick(piece.feasible))

    found = history(parts(), study.objectives(study.front), study.evaluated)
    return {
        "evaluations": list(found.evaluations),
        "shares": [_digits(share) for share in found.shares],
        "thinned": found.thinned,
        "exhaustive": study.space.method == "exhaustive",
    }


def breakdowns(study: Study, shown: Batch) -> list[dict[str, Any]]:
    """Area, energy and time of the points by place and task, a family at a time.

    Families whose numbers cannot be computed again, as their technology has changed since, are left out.
    """
    found = []
    for sub, mine, local in study.space.parts(shown.indices):
        evaluator = study.evaluators.get(sub.family)
        if not isinstance(evaluator, Explainer):
            continue
        parts = evaluator.breakdown(sub.columns(local), shown.column("clock_mhz")[mine])
        if parts is None:
            continue
        count = int(mine.sum())
        found.append(
            {
                "rows": np.flatnonzero(mine).tolist(),
                "areas": {place: _column(value, count) for place, value in parts.areas.items()},
                "energies": {place: _column(value, count) for place, value in parts.energies.items()},
                "parts": {
                    name: {
                        **{key: _column(getattr(part, key), count) for key in ("compute", "memory", "bits")},
                        "macs": int(part.macs),
                    }
                    for name, part in parts.parts.items()
                },
            }
        )
    return found


def _column(value: Any, count: int) -> list[float] | float:
    """Numbers of six digits; one number where all are the same."""
    array = np.broadcast_to(np.asarray(value, dtype=np.float64), count)
    if count and (array == array[0]).all():
        return _digits(float(array[0]))
    return [_digits(each) for each in array.tolist()]


def _digits(value: float) -> float:
    return float(f"{value:.6g}")
