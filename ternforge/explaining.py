"""The answer and the text of ``ternforge estimate --explain``: a figure as the sum that it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from blueprint.errors import ParamError
from blueprint.files.nearest import suggestion
from blueprint.numbers import Number
from blueprint.spec import Spec
from blueprint.workloads.tasks import Task
from blueprint.workloads.workload import Workload
from costmodel.model import explain
from costmodel.model.quantity import number
from costmodel.technology.technology import Technology
from ternforge.session import Answer, table
from ternforge.words import EXPLAINED

#: What stands behind a closed form that does not hold.
_SIMULATED = "cycles of the simulator, as a FIFO is shallower than the closed form takes it to be"


def explanation(
    what: str,
    spec: Spec,
    technology: Technology,
    clock_mhz: float,
    workload: Workload | None,
    cycles_of: Callable[[Spec, Task], Number],
) -> Answer:
    """The lines of a figure, and their ``total``. ``energy`` is that of one cycle of full throughput at ``clock_mhz``.

    ``cycles_of`` gives the cycles that are explained: of the closed form, or of the simulator where that does not hold.
    Raises ``ParamError`` for another figure, and for ``cycles`` without a workload.
    """
    if what not in EXPLAINED:
        hint = suggestion(what, EXPLAINED)
        raise ParamError(f"Explanation must be one of {', '.join(EXPLAINED)}, not {what!r}{hint}")
    if what == "cycles":
        if workload is None:
            raise ParamError("Explanation of cycles must have a workload; give --workload or --gemm")
        return {"of": what, "unit": "", **_cycles(spec, workload, cycles_of)}
    path, lines = "", []
    if what == "area":
        lines = explain.area(spec, technology)
    elif what == "clock":
        path, lines = explain.clock(spec, technology)
    else:
        lines = explain.energy(spec, technology, 1e-6 / clock_mhz)
    named = {"path": path} if path else {}
    rows = [{**asdict(line), "amount": line.amount} for line in lines]
    return {"of": what, "unit": EXPLAINED[what][1], **named, "lines": rows, "total": explain.total(lines)}


def _cycles(spec: Spec, workload: Workload, cycles_of: Callable[[Spec, Task], Number]) -> Answer:
    runs, total = [], 0
    for task in spec.tasks(workload):
        closed, statements = explain.cycles(spec, task)
        cycles = int(cycles_of(spec, task))
        if cycles != closed:
            statements.append(explain.Statement(_SIMULATED, cycles))
        runs.append(
            {
                "name": task.name,
                "count": task.count,
                "cycles": cycles,
                "statements": [asdict(statement) for statement in statements],
            }
        )
        total += task.count * cycles
    return {"runs": runs, "total": total}


def lines(answer: Mapping[str, Any]) -> list[str]:
    """An explanation as text."""
    if answer["of"] == "cycles":
        return [
            *(line for run in answer["runs"] for line in _run_lines(run)),
            f"total {answer['total']:,} cycles",
        ]
    unit = answer["unit"]
    rows = [
        [row["place"], row["what"], _size(row["dims"]), *(number(float(row[key])) for key in _NUMBERS)]
        for row in sorted(answer["lines"], key=lambda row: -row["amount"])
    ]
    head = [f"slowest path: {answer['path']}"] if "path" in answer else []
    shown = table(rows, ("place", "unit and term", "size", "count", "coefficient", "term", unit))
    return [
        *head,
        *shown,
        f"total {number(float(answer['total']))} {unit}: the sum of count x coefficient x term",
    ]


_NUMBERS = ("count", "coefficient", "term", "amount")


def _size(dims: Mapping[str, float]) -> str:
    return " ".join(f"{name} {number(float(value))}" for name, value in dims.items()) or "-"


def _run_lines(run: Mapping[str, Any]) -> list[str]:
    statements: Sequence[Mapping[str, Any]] = run["statements"]
    text = [f"  {item['text']}  ->  {item['value']}" for item in statements]
    return [f"{run['name']}: {run['cycles']:,} cycles, {run['count']} times", *text]
