"""``ternforge compare``: fronts of several studies under one reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from costmodel.model import quantity
from dse import comparison, comparison_page
from ternforge.folder import check_file, output_file
from ternforge.session import Answer, table
from ternforge.study import opened

#: The suffixes of a picture of the fronts.
ENDINGS = (".html", ".png", ".svg", ".pdf")


def compare(studies: Sequence[str | Path], out: str | Path | None = None, *, force: bool = False) -> Answer:
    """Compare the fronts of studies with the same objectives.

    For each study the best value of every objective, the hypervolume under one common reference and its share of the
    joint front; ``differs`` has the facts (families, technology, version, workload, memory) that are not the same in
    all of them. ``out`` is a page or picture of all fronts, by its ending.
    """
    if out is not None:
        check_file(out, ENDINGS, force=force)
    with ExitStack() as stack:
        compared = comparison.compare([stack.enter_context(opened(study)) for study in studies])
        answer = comparison.summary(compared)
        if out is None:
            return answer
        path = Path(out)
        with output_file(path, ENDINGS, "compare", force=force) as draft:
            if path.suffix == ".html":
                draft.write_text(comparison_page.html(compared), encoding="utf-8")
            else:
                draft.write_bytes(comparison_page.render(compared, path.suffix.removeprefix(".")))
    return answer | {"file": path}


def lines(answer: Mapping[str, Any]) -> list[str]:
    """A comparison as text: a row for each study, the facts that differ, the reference."""
    rows, goals = answer["studies"], list(answer["objectives"])
    best = [{name: row["best"][name] and row["best"][name]["value"] for name in goals} for row in rows]
    units = quantity.headings(best, goals)
    cells = [
        [
            row["study"],
            row["front"],
            *(units[name].number(values[name]) for name in goals),
            "-" if row["hypervolume"] is None else f"{row['hypervolume']:.4f}",
            row["on_joint_front"],
            f"{100 * row['share_of_joint_front']:.1f} %",
        ]
        for row, values in zip(rows, best, strict=True)
    ]
    heads = [f"best {quantity.label(name, units[name].unit)}" for name in goals]
    text = table(cells, ("study", "front", *heads, "hypervolume", "on joint front", "share"))
    for name, values in answer["differs"].items():
        listed = "; ".join(f"{row['study']} {value}" for row, value in zip(rows, values, strict=True))
        text.append(f"{name} differs: {listed}")
    if answer["reference"] is None:
        text.append("FAIL: no study has a feasible design")
    else:
        point = ", ".join(
            f"{quantity.label(name)} {quantity.metric_text(name, value)}"
            for name, value in answer["reference"].items()
        )
        text.append(f"reference of the hypervolumes: {point}")
    return [*text, *([f"wrote {answer['file']}"] if "file" in answer else [])]
