"""Several studies with the same objectives: one reference point, one joint front, and what else differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from blueprint.errors import ParamError
from dse import pareto
from dse.batch import Floats
from dse.history import MOST_POINTS, Frame
from dse.problem import FACTS
from dse.study import Study

#: Facts that may differ between studies, as people call them.
FACTS_OF = (
    "families",
    "technology",
    "technology facts",
    "version",
    "workload",
    "memory",
    "covers",
    "prompt",
    "levels",
)


@dataclass(frozen=True)
class Comparison:
    """Studies with their names, their fronts as objectives to be minimized, and the points of each on the joint front.

    ``frame`` is the box of all fronts together; ``None`` if all are empty.
    """

    studies: tuple[Study, ...]
    names: tuple[str, ...]
    fronts: tuple[Floats, ...]
    joint: tuple[pareto.Bools, ...]
    frame: Frame | None

    @property
    def objectives(self) -> dict[str, str]:
        """The objectives, which are those of every study."""
        return dict(self.studies[0].space.objectives)


def compare(studies: Sequence[Study]) -> Comparison:
    """Compare studies. Raises ``ParamError`` for fewer than two, for one given twice, and for other objectives."""
    names = tuple(str(study.folder) for study in studies)
    _check(studies, names)
    fronts = tuple(study.objectives(study.front) for study in studies)
    union = np.concatenate(fronts)
    best = pareto.front_mask(union)
    cuts = np.cumsum([len(front) for front in fronts])[:-1]
    frame = Frame.of(union) if len(union) else None
    return Comparison(tuple(studies), names, fronts, tuple(np.split(best, cuts)), frame)


def _check(studies: Sequence[Study], names: Sequence[str]) -> None:
    if len(studies) < 2:
        raise ParamError(f"Studies to compare must be at least 2, not {len(studies)}")
    places = [study.folder.resolve() for study in studies]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise ParamError(f"Study must be given once to be compared, and {names[number]} is given twice")
    first, wanted = names[0], studies[0].space.objectives
    for name, study in zip(names[1:], studies[1:], strict=True):
        if dict(study.space.objectives) != dict(wanted):
            raise ParamError(
                f"Studies must have the same objectives to be compared, and {first} has {_goals(studies[0])} "
                f"while {name} has {_goals(study)}"
            )


def _goals(study: Study) -> str:
    return ", ".join(f"{name} {way}" for name, way in study.space.objectives.items())


def facts(study: Study) -> dict[str, str]:
    """Facts on which the numbers of a study depend, by the names of :data:`FACTS_OF`."""
    space, made = study.space, study.facts["provenance"]
    asked, prompt = space.subject, space.subject.prompt_tokens
    return {
        "families": ", ".join(space.groups),
        "technology": space.technology,
        "technology facts": str(made.get(FACTS, "-"))[:12],
        "version": str(made.get("version", "-")),
        "workload": asked.work + (f", context {asked.context}" if asked.context else ""),
        "memory": asked.memory,
        "covers": study.covers,
        "prompt": "-" if prompt is None else f"{prompt} tokens",
        "levels": ", ".join(study.ladder.levels),
    }


def differing(compared: Comparison) -> dict[str, list[str]]:
    """The facts that are not the same in every study, each with its value by study."""
    table = [facts(study) for study in compared.studies]
    found = {name: [row[name] for row in table] for name in FACTS_OF}
    return {name: values for name, values in found.items() if len(set(values)) > 1}


def summary(compared: Comparison) -> dict[str, Any]:
    """A comparison as plain values: a row for each study, the reference point, what differs."""
    goals = compared.objectives
    signs = [-1.0 if way == "max" else 1.0 for way in goals.values()]
    frame = compared.frame
    return {
        "objectives": goals,
        "reference": None
        if frame is None
        else dict(zip(goals, (frame.reference * signs).tolist(), strict=True)),
        "joint_front": int(sum(mask.sum() for mask in compared.joint)),
        "differs": differing(compared),
        "studies": [_row(compared, place) for place in range(len(compared.studies))],
    }


def _row(compared: Comparison, place: int) -> dict[str, Any]:
    study, front, mask = compared.studies[place], compared.fronts[place], compared.joint[place]
    whole = sum(int(each.sum()) for each in compared.joint)
    share, thinned = (0.0, False)
    known = len(compared.objectives) in MOST_POINTS
    if compared.frame is not None and known:
        share, thinned = compared.frame.share(front)
    return {
        "study": compared.names[place],
        **facts(study),
        "evaluated": study.evaluated,
        "space": study.space.size,
        "exact": study.exact,
        "feasible": study.feasible,
        "front": len(front),
        "best": {name: _best(study, front, column) for column, name in enumerate(compared.objectives)},
        "hypervolume": share if known else None,
        "hypervolume_thinned": thinned,
        "on_joint_front": int(mask.sum()),
        "share_of_joint_front": float(mask.sum() / whole) if whole else 0.0,
        "knee": study.knee,
    }


def _best(study: Study, front: Floats, column: int) -> dict[str, Any] | None:
    """The best value of an objective on a front, and the first design that has it."""
    if not len(front):
        return None
    place = int(np.argmin(front[:, column]))
    name = list(study.space.objectives)[column]
    index = int(study.front.indices[place])
    return {"value": float(study.front.column(name)[place]), "point": study.space.point_id(index)}
