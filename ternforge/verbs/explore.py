"""``ternforge explore``: a design space searched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blueprint.files import schemas
from costmodel.model import quantity
from costmodel.model.metrics import METRICS
from dse import explore as searching
from dse import shard as shards
from dse.progress import Progress
from dse.store import is_study
from ternforge import fidelity, folder
from ternforge.session import Answer, line, spelled, table
from ternforge.verbs.check import validate

#: What a search writes for other programs to read.
TABLES = ("front.csv", "points.csv")
#: Numbers that are shown beside the objectives where a study has them.
ALONGSIDE = ("time_to_first_token_s",)


def explore(
    space: str | Path,
    out: str | Path,
    *,
    method: str | None = None,
    budget: int | None = None,
    seed: int | None = None,
    workers: int | None = None,
    shard: str | None = None,
    dask: str | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> Answer:
    """Search a space, or go on with a study that was interrupted; returns the study's summary.

    ``shard``, as in ``"3/16"``, is one part of the search, for :func:`ternforge.merge`; ``dask`` is the
    address of a Dask scheduler whose workers evaluate. Tables in the folder that were changed since they were written
    are replaced by ``force`` only.
    """
    part = None if shard is None else shards.parse(shard)
    validate(space, {}, schemas.SPACE)  # the technology too, before a folder is made
    if not is_study(Path(out)):
        folder.check_out(out)
    with folder.updated(out, TABLES, "explore", force=force):
        study = searching.explore(
            space,
            out,
            method=method,
            budget=budget,
            seed=seed,
            workers=workers,
            progress=progress,
            shard=part,
            dask=dask,
        )
        with study:
            return study.summary()


def front_lines(answer: Mapping[str, Any], out: str) -> list[str]:
    """A study's summary as text: how much was seen, the front as a table, the knee; or why there is no front."""
    front = answer["front"]
    promoted = answer["fidelity"] is not None
    exact = "every design" if promoted else "every design: the front is exact"
    how = exact if answer["exact"] else f"a sample by {answer['method']}"
    if answer["shard"]:
        how = f"shard {answer['shard']}: `ternforge merge` puts it together with the others"
    pruned = answer.get("pruned", {})
    lines = [
        f"{answer['evaluated']:,} of {answer['space']:,} designs looked at ({how}), "
        f"{'at least ' if pruned else ''}{answer['feasible']:,} feasible, {len(front)} on the front"
    ]
    lines += [f"  {count:,} left out by bounds: {reason}" for reason, count in pruned.items()]
    if not front:
        return [*lines, *empty_lines(answer)]
    shown = spread(front, list(answer["objectives"]), answer["knee"])
    lines += _front_table(answer, shown)
    if len(front) > len(shown):
        lines.append(
            f"{len(shown)} of {len(front)} shown, one of equals and spread; all are in {out}/front.csv"
        )
    lines += [f"numbers cover {answer['covers']}; memory {answer['memory']}", f"knee {answer['knee']}"]
    lines += fidelity.lines(answer["fidelity"])
    following = line("ternforge", "apply", Path(out), answer["knee"], "-o", "design.yaml")
    return [*lines, f"next: {following}"]


def _front_table(answer: Mapping[str, Any], shown: list[dict[str, Any]]) -> list[str]:
    """Some rows of the front: objectives in units that suit the whole front, and the parameters that differ."""
    metrics = list(answer["objectives"])
    metrics += [
        name
        for name in answer["metrics"]
        if name not in metrics and name in METRICS and METRICS[name].base in ALONGSIDE
    ]
    family = ["family"] if len(answer["families"]) > 1 else []
    parameters = [name for name in answer["parameters"] if _differs(answer["front"], name)]
    units = quantity.headings(answer["front"], metrics)
    promoted = ("level",) if answer["fidelity"] else ()
    rows = [
        [
            row["id"],
            *(row[name] for name in family),
            *(units[name].number(row[name]) for name in metrics),
            *(row[name] for name in parameters),
            *(fidelity.highest(row["level"]) for _ in promoted),
        ]
        for row in shown
    ]
    header = ("id", *family, *(quantity.label(name, units[name].unit) for name in metrics), *parameters)
    header += promoted
    return table(rows, header)


def _differs(front: list[dict[str, Any]], name: str) -> bool:
    """True if a parameter has more than one value among the designs that have it."""
    return len({str(row[name]) for row in front if row[name] is not None}) > 1


def empty_lines(answer: Mapping[str, Any]) -> list[str]:
    """Text of an empty front: designs excluded by each reason, and the nearest one to each constraint."""
    found = answer["nearest"]
    sampled = found.get("sampled", 0)
    of = " of the sample" if sampled else ""
    lines = [f"  {count:,}: {reason}" for reason, count in answer["infeasible"].items()]
    if not found["built"]:
        limits = {limit["constraint"] for limit in found["limits"]}
        if not limits & {*answer["infeasible"], *answer.get("pruned", {})}:
            return ["FAIL: no design is feasible, as none can be built for the workload", *lines]
        none = f"none of the sample of {sampled:,} designs can be built, so none is named as the nearest"
        return ["FAIL: no design is feasible", *lines, none]
    several = len(answer["families"]) > 1
    for limit in found["limits"]:
        kept = f"{limit['kept_by']:,} of the {found['built']:,} designs{of} that can be built keep it"
        if not limit["kept_by"]:
            kept = f"no design{of} keeps it; nearest {_nearest(limit['nearest'], several)}"
        lines += [f"{limit['constraint']}: {kept}"]
    for pair in found["conflicts"]:
        one, other = pair["constraints"]
        best = _nearest(pair["nearest"], several)
        lines += [f"{one} and {other}: no design{of} keeps both; nearest {best}"]
    if len(found["limits"]) > 1:
        lines += [f"nearest{of} to all constraints together: {_nearest(found['together'], several)}"]
    said = [f"designs are named out of a sample of {sampled:,}"] if sampled else []
    return ["FAIL: no design is feasible", *lines, *said]


def _nearest(best: Mapping[str, Any] | None, several: bool) -> str:
    """The nearest design in words: name, numbers, what limits them, the parameters."""
    if best is None:
        return "-"
    numbers = []
    for name, value in best["values"].items():
        cause = best["limited_by"][name]
        numbers.append(
            f"{quantity.label(name)} {quantity.metric_text(name, value)}" + (f" ({cause})" if cause else "")
        )
    parameters = ", ".join(f"{name} {spelled(value)}" for name, value in best["varied"].items())
    family = f" {best['family']}" if several else ""
    return f"{best['id']}{family}: {', '.join(numbers)}" + (f"; {parameters}" if parameters else "")


def spread(
    front: list[dict[str, Any]], objectives: list[str], knee: str, most: int = 24
) -> list[dict[str, Any]]:
    """At most ``most`` designs of a front for a reader: the first of equals, even steps along the first objective, and
    the knee."""
    distinct: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in front:
        key = tuple(row[name] for name in objectives)
        if key not in distinct or row["id"] == knee:
            distinct[key] = row
    ordered = [distinct[key] for key in sorted(distinct)]
    if len(ordered) <= most:
        return ordered
    places = {round(step * (len(ordered) - 1) / (most - 1)) for step in range(most)}
    return [row for place, row in enumerate(ordered) if place in places or row["id"] == knee]
