"""``ternforge apply``: a point of a study as a design file, or what would have to change in it to keep a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blueprint.errors import ParamError
from costmodel.model import quantity
from dse import change
from dse.fidelity.levels import ANALYTIC
from dse.study import Study
from ternforge.folder import YAML, check_file, output_file
from ternforge.session import Answer, line, spelled
from ternforge.study import opened


def apply(
    study: str | Path,
    point: str,
    out: str | Path | None = None,
    *,
    where: Sequence[str] = (),
    force: bool = False,
) -> Answer:
    """Write a point of a study as a design file; ``point`` may be ``knee``.

    ``where`` are limits such as ``area_um2<=20000``. Of a point that breaks one of them nothing is written: ``change``
    then leads to the nearest design of the study that keeps them and the study's own, with the parameters that differ
    and every metric before and after; where no design does, ``nearest`` comes closest. ``level`` says where the study's
    numbers of the point are from. ``out`` may be left out with ``where`` alone. Raises ``ParamError``: no such
    point, a bad limit, no ``out``.
    """
    if out is None and not where:
        raise ParamError("Output must be given, unless where is")
    with opened(study) as found:
        schema = found.space.subject.schema
        if out is not None:
            check_file(out, YAML, schema=schema, force=force)
        name = _name(found, point, study)
        limits = tuple(change.condition(text, found) for text in where)
        explained = change.explain(found, name, limits)
        row = found.point(name)
        wrong = None if row["feasible"] else row["reason"]
        answer = {"point": name, "infeasible": wrong, "level": row["level"], **explained}
        if where and explained["breaks"]:
            return {**answer, "file": None, "parameters": None, "design": None}
        design = found.design(name)
    if out is not None:
        with output_file(out, YAML, "apply", schema=schema, force=force) as draft:
            draft.write_text(design.text, encoding="utf-8")
    file = None if out is None else Path(out)
    return {**answer, "file": file, "parameters": design.parameters, "design": design.content}


def _name(study: Study, point: str, given: str | Path) -> str:
    name = study.knee if point == "knee" else point
    if name is None:
        raise ParamError(f"Study must have a feasible point to take its knee, and {given} has none")
    return study.space.point_id(study.space.index_of(name))


def written(answer: Mapping[str, Any], where: Sequence[str]) -> list[str]:
    kept = [f"{answer['point']} keeps {' and '.join(where)}"] if where else []
    if answer["file"] is None:
        return kept
    parameters = ", ".join(f"{key} {spelled(value)}" for key, value in answer["parameters"].items())
    following = line("ternforge", "generate", answer["file"], "--out", "rtl")
    known = [] if answer["level"] == ANALYTIC else [f"its numbers in the study are {answer['level']}"]
    return [*kept, f"wrote {answer['file']}: {answer['point']}, {parameters}", *known, f"next: {following}"]


def broken(answer: Mapping[str, Any]) -> list[str]:
    return [f"{answer['point']}: {text}" for text in answer["breaks"]]


def remedy(answer: Mapping[str, Any], study: str) -> list[str]:
    """Describe what would have to change."""
    if answer["change"] is None:
        best = answer["nearest"]
        if best is None:
            return ["no design of the study keeps it, as none can be built"]
        values = ", ".join(
            f"{quantity.label(name)} {quantity.metric_text(name, value)}"
            for name, value in best["values"].items()
        )
        return [f"no design of the study keeps it; nearest {best['id']}: {values}"]
    found = answer["change"]
    family = found["family"]
    moved = [f"family {family['from']} -> {family['to']}"] if family["from"] != family["to"] else []
    moved += [
        f"{name} {spelled(each['from'])} -> {spelled(each['to'])}"
        for name, each in found["parameters"].items()
        if each["from"] is not None and each["to"] is not None
    ]
    numbers = [_moved(name, each) for name, each in found["metrics"].items() if each["from"] != each["to"]]
    following = line("ternforge", "apply", Path(study), found["point"], "-o", "design.yaml")
    return [
        f"nearest design that keeps it: {found['point']}, {', '.join(moved)}",
        *(f"  {text}" for text in numbers),
        f"next: {following}",
    ]


def _moved(name: str, each: Mapping[str, Any]) -> str:
    unit = quantity.of_metric(name, [each["from"], each["to"]])
    share = "" if each["change"] is None else f" ({100 * each['change']:+.1f} %)"
    heading = quantity.label(name, unit.unit)
    return f"{heading} {unit.number(each['from'])} -> {unit.number(each['to'])}{share}"
