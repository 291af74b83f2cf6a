"""Fronts of several studies in one picture, and as a page with the same pictures as a report."""

from __future__ import annotations

from typing import Any

import numpy as np

from blueprint.errors import ParamError
from costmodel.model import quantity
from dse import embedded, page
from dse.comparison import Comparison, summary
from dse.plot import rendered

#: Color and marker of each study, in turn.
_STYLES = tuple(
    zip(("#1f4e9c", "#d1720f", "#2b8a57", "#7b3fa0", "#c2417a", "#7a7f1d"), "os^Dv*", strict=True)
)


def render(compared: Comparison, kind: str) -> bytes:
    """The picture as the bytes of a file of one of :data:`dse.plot.KINDS`. Raises ``ParamError`` if all are empty."""
    if compared.frame is None:
        raise ParamError("One of the studies must have a feasible point to be drawn, and none has one")
    return rendered(lambda figure: _fill(figure, compared), kind)


def _fill(figure: Any, compared: Comparison) -> None:
    axes, goals = figure.subplots(), list(compared.objectives)
    columns = goals[:2] if len(goals) > 1 else [goals[0], goals[0]]
    every = {
        name: np.concatenate([study.front.column(name) for study in compared.studies]) for name in columns
    }
    units = {name: quantity.of_metric(name, values.tolist()) for name, values in every.items()}
    for place, study in enumerate(compared.studies):
        color, marker = _STYLES[place % len(_STYLES)]
        x, y = (study.front.column(name) * units[name].factor for name in columns)
        style = {"s": 22, "color": color, "marker": marker, "linewidths": 0}
        joint = compared.joint[place]
        axes.scatter(x[~joint], y[~joint], alpha=0.35, **style)
        axes.scatter(x[joint], y[joint], label=f"{compared.names[place]}: {int(joint.sum())} on it", **style)
    axes.set_title("Fronts; the joint front in full color", loc="left", fontweight="bold")
    for name, letter in zip(columns, "xy", strict=True):
        way = "higher" if compared.objectives[name] == "max" else "lower"
        values = every[name]
        wide = values.min() > 0 and values.max() > 8 * values.min()
        label = f"{quantity.label(name, units[name].unit)}, {way} is better"
        axes.set(**{f"{letter}label": label, f"{letter}scale": "log" if wide else "linear"})
    axes.legend(loc="best", fontsize=8, framealpha=0.92)


def html(compared: Comparison) -> str:
    """A page with the table of the studies, their fronts in one picture, and any two designs side by side."""
    answer = summary(compared)
    return page.render(
        "compare.html",
        data(compared),
        answer=answer,
        heads=quantity.headings(
            [
                {name: best["value"] if best else None for name, best in row["best"].items()}
                for row in answer["studies"]
            ],
            answer["objectives"],
        ),
        label=quantity.label,
    )


def data(compared: Comparison) -> dict[str, Any]:
    """The fronts as the page's script reads them, a study after the other; of large fronts an even spread."""
    batches = [embedded.thinned(study) for study in compared.studies]
    shared = [
        name
        for name in compared.studies[0].metrics
        if all(name in study.metrics for study in compared.studies)
    ]
    goals = compared.objectives
    order = [*goals, *(name for name in shared if name not in goals)]
    counts = [len(batch) for batch in batches]
    columns = {name: np.concatenate([batch.column(name) for batch in batches]) for name in order}
    ids = [
        study.space.point_id(index)
        for study, batch in zip(compared.studies, batches, strict=True)
        for index in batch.indices.tolist()
    ]
    state = [
        np.where(mask[np.isin(study.front.indices, batch.indices)], embedded.FRONT, embedded.DOMINATED)
        for study, batch, mask in zip(compared.studies, batches, compared.joint, strict=True)
    ]
    return {
        "group": "study",
        "groups": list(compared.names),
        "of_group": np.repeat(np.arange(len(batches)), counts).tolist(),
        "ids": ids,
        "state": np.concatenate(state).tolist(),
        "knee": None,
        "metrics": [embedded.metric(name, goals.get(name), values) for name, values in columns.items()],
        "parameters": _parameters(compared, batches),
        "of_family": None,
        "reason": [""] * len(ids),
        "reasons": [],
        "breakdowns": None,
    }


def _parameters(compared: Comparison, batches: list[Any]) -> list[dict[str, Any]]:
    """Parameters of all studies: their values, and which one each design has; -1 where it has none."""
    found: dict[str, tuple[dict[str, Any], list[int]]] = {}
    done = 0
    for study, batch in zip(compared.studies, batches, strict=True):
        for name, values, code in embedded.codes(study.space, batch.indices):
            known, rows = found.setdefault(name, ({}, []))
            rows += [-1] * (done - len(rows))
            numbers = [list(known).index(repr(value)) if repr(value) in known else -1 for value in values]
            for place, value in enumerate(values):
                if numbers[place] < 0:
                    numbers[place] = len(known)
                    known[repr(value)] = value
            rows += [numbers[each] if each >= 0 else -1 for each in code.tolist()]
        done += len(batch)
    return [
        {"name": name, "values": list(known.values()), "codes": rows + [-1] * (done - len(rows))}
        for name, (known, rows) in found.items()
        if len(known) > 1 or len(rows) < done or -1 in rows
    ]
