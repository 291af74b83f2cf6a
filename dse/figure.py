"""Contents of every picture of a study: points, axes in readable units, the knee, points out of range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from costmodel.model import quantity
from dse.batch import Floats
from dse.pareto import Bools, front_mask
from dse.study import Study

#: Dominated points in a picture; more would only make the file larger.
MOST_DOMINATED = 6_000


@dataclass(frozen=True)
class Scale:
    """One objective as it is drawn: ``label`` says what, in which unit and which way is better."""

    name: str
    label: str
    factor: float
    direction: str
    logarithmic: bool


@dataclass(frozen=True)
class Picture:
    """Front and dominated points of a study in drawing units, ``(points, objectives)`` each."""

    scales: tuple[Scale, ...]
    front: Floats
    dominated: Floats
    rows: list[dict[str, Any]]
    dominated_rows: list[dict[str, Any]]
    knee: int | None
    varied: tuple[str, ...]
    families: tuple[str, ...]
    title: str
    note: str

    def of_family(self, family: str) -> tuple[Bools, Bools]:
        """Masks of the front points and the dominated points of one family."""
        both = (self.rows, self.dominated_rows)
        front, behind = (np.array([row["family"] == family for row in rows], dtype=bool) for rows in both)
        return front, behind

    @property
    def knee_text(self) -> list[str]:
        """The knee in a few words: its name, its family among several, four parameters that differ."""
        assert self.knee is not None
        row = self.rows[self.knee]
        facts = [f"{name} {row[name]}" for name in self.varied if type(row[name]) is int][:4]
        family = [row["family"]] if len(self.families) > 1 else []
        return [row["id"], *family, *([", ".join(facts)] if facts else [])]


def picture(study: Study) -> Picture:
    """The picture of a study: its whole front, and a sample of the points behind it."""
    front = study.front
    sample = study.sample(MOST_DOMINATED)
    known = np.isin(sample.indices, front.indices)
    behind = sample.pick(~known)
    names = tuple(study.space.objectives)
    scales = tuple(_scale(name, study.space.objectives[name], front.column(name)) for name in names)
    rows = list(study.rows(front))
    knee = next((place for place, row in enumerate(rows) if row["id"] == study.knee), None)
    return Picture(
        scales,
        _drawn(front.columns(), scales),
        _drawn(behind.columns(), scales),
        rows,
        list(study.rows(behind)),
        knee,
        varied(study),
        tuple(sub.family for sub in study.space.subspaces),
        _title(study),
        _note(study, len(behind)),
    )


def varied(study: Study) -> tuple[str, ...]:
    """Parameters with more than one value in the space."""
    several: dict[str, set[str]] = {}
    for sub in study.space.subspaces:
        for axis in sub.axes:
            several.setdefault(axis.name, set()).update(map(repr, axis.values))
    return tuple(name for name, values in several.items() if len(values) > 1)


def envelope(points: Floats, scales: tuple[Scale, ...]) -> Floats:
    """Non-dominated points in two objectives, sorted by the first: the line through a front."""
    signs = np.array([-1.0 if scale.direction == "max" else 1.0 for scale in scales[:2]])
    best = points[front_mask(points[:, :2] * signs)][:, :2]
    return best[np.argsort(best[:, 0], kind="stable")]


def _drawn(columns: dict[str, Floats], scales: tuple[Scale, ...]) -> Floats:
    return np.stack([columns[scale.name] * scale.factor for scale in scales], axis=1)


def _scale(name: str, direction: str, values: Floats) -> Scale:
    shown = quantity.of_metric(name, values.tolist())
    arrow = "higher" if direction == "max" else "lower"
    wide = len(values) > 1 and values.min() > 0 and values.max() / values.min() > 8
    what = f"{quantity.label(name, shown.unit)}, {arrow} is better"
    return Scale(name, what, shown.factor, direction, bool(wide))


def _title(study: Study) -> str:
    return f"{', '.join(study.space.groups)} on {study.space.subject.work}, {study.space.technology}"


def _note(study: Study, shown: int) -> str:
    behind = study.feasible - len(study.front)
    how = (
        "every design: the front is exact"
        if study.exact and not study.ladder
        else f"of {study.space.size:,}, by {study.space.method}"
    )
    sampled = f" ({shown:,} of them shown)" if shown < behind else ""
    lines = [
        f"{study.evaluated:,} designs ({how}) · front {len(study.front):,} · dominated {behind:,}{sampled}",
    ]
    reasons = list(study.infeasible.items())
    if reasons:
        text = " · ".join(f"{count:,} {reason}" for reason, count in reasons[:3])
        more = f" · {len(reasons) - 3} more reasons" if len(reasons) > 3 else ""
        lines.append(f"infeasible {sum(study.infeasible.values()):,}: {text}{more}")
    if study.pruned:
        lines.append(f"left out by bounds {sum(study.pruned.values()):,}")
    lines += [f"numbers cover {study.covers}", f"memory {study.space.subject.memory}"]
    return "\n".join(lines)
