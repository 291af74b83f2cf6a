"""What searches ask for and what pictures show, as recorded in `tests/golden/studies.json`.

    python -m tests.dse.recorded

A search is a promise: the same space and seed look at the same designs in the same order. Pictures are recorded as
what is drawn (Matplotlib's artists, Plotly's traces and layout), with the versions of both packages.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from dse import interactive, plot, search
from dse.batch import Batch, join
from dse.explore import run
from dse.problem import Problem
from dse.study import Study
from tests.dse import toy
from tests.dse.toy import changed

FILE = Path(__file__).resolve().parent.parent / "golden" / "studies.json"
DRAWN_BY = ("matplotlib", "plotly")
GOALS = "{area_um2: min, tokens_per_second: max}"
TWO = changed(
    ("family: toy", "family: [toy, twin]"),
    (
        "  width: {range: [1, 32]}",
        "  width: {range: [1, 32]}\n  twin: {width: [2, 40, 60], ports: [1, 2, 4, 8]}",
    ),
)
ENERGY = "energy_pj_per_token: min"
#: Studies whose pictures are recorded: one to four objectives, one and two families.
PICTURES = {
    "one": changed((GOALS, "{area_um2: min}")),
    "two": toy.TEXT,
    "two, the other way": changed((GOALS, "{tokens_per_second: max, area_um2: min}")),
    "costs": changed((GOALS, "{area_um2: min, " + ENERGY + "}")),
    "three": changed((GOALS, "{tokens_per_second: max, area_um2: min, " + ENERGY + "}")),
    "three, the third wide": changed((GOALS, "{" + ENERGY + ", tokens_per_second: max, area_um2: min}")),
    "four": changed((GOALS, "{tokens_per_second: max, area_um2: min, " + ENERGY + ", flip_flops: min}")),
    "families": TWO,
    "three of families": TWO.replace(GOALS, "{area_um2: min, tokens_per_second: max, " + ENERGY + "}"),
    "one of families": TWO.replace(GOALS, "{area_um2: min}"),
}
#: Searches whose order is recorded.
SEARCHES = {
    "two objectives": toy.TEXT,
    "three objectives": changed((GOALS, "{area_um2: min, tokens_per_second: max, " + ENERGY + "}")),
    "nothing feasible": changed(("max: 500", "max: 0.5")),
    "tight": changed(("max: 500", "max: 12"), ("{log2: [1, 4096]}", "{range: [1, 400, 7]}")),
    "families": TWO,
}


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]


def played(problem: Problem, known: Batch | None = None) -> list[Batch]:
    """Every batch that a search asks for."""
    steps = search.dependent(problem, known)
    batches: list[Batch] = []
    try:
        indices = next(steps)
        while True:
            batches.append(problem.evaluate(indices))
            indices = steps.send(batches[-1])
    except StopIteration:
        return batches


def searched(name: str) -> dict[str, list[Any]]:
    """Sizes of the batches of some searches of one space, and a hash of what they ask for."""
    found = {}
    for seed, budget, population in ((1, 90, 100), (2, 600, 100), (3, 600, 16), (4, 1000, 40)):
        text = SEARCHES[name].replace("auto", "nsga2").replace("budget: 100000", f"budget: {budget}")
        text = text.replace("seed: 7", f"seed: {seed}, population: {population}")
        problem = toy.problem(text)
        batches = played(problem)
        more = played(toy.problem(text.replace(f"budget: {budget}", f"budget: {budget + 80}")), join(batches))
        found[f"seed {seed}, budget {budget}"] = [
            [len(batch) for batch in batches][:6],
            digest([batch.indices.tolist() for batch in batches]),
            digest([batch.indices.tolist() for batch in more]),
        ]
    return found


def rounded(value: Any) -> Any:
    """Plain values with five significant digits."""
    if isinstance(value, dict):
        return {str(key): rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [rounded(entry) for entry in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.5g}")
    return value.item() if isinstance(value, np.generic) else value


def page(study: Study) -> dict[str, str]:
    """Hashes of the traces and of the layout of the interactive page, its template aside, and how it is shown."""
    text = interactive.html(study, full=False)
    text = text[text.index("Plotly.newPlot(") :]
    found, place = [], text.index("[")
    for _ in range(3):
        value, place = json.JSONDecoder().raw_decode(text, place)
        found.append(value)
        place = min(at for at in (text.find("{", place), text.find("[", place), len(text) - 1) if at >= 0)
    found[1].pop("template")
    traces = {f"trace {trace.get('name', number)}": trace for number, trace in enumerate(found[0])}
    return {
        name: digest(rounded(value))
        for name, value in {**traces, "layout": found[1], "config": found[2]}.items()
    }


def drawing(study: Study) -> dict[str, str]:
    """Hashes of the shapes and of the numbers of the drawing, which are rounded; pixels of dots are left out."""
    text = plot.render(study, "svg").decode()
    text = re.sub(r"<metadata>.*?</metadata>|(?<=base64,)[^\"]+", "", text, flags=re.DOTALL)
    places = [round(float(number), 1) for number in re.findall(r"-?\d+\.\d+", text)]
    return {"shapes": digest(re.sub(r"-?\d+(\.\d+)?", "#", text)), "numbers": digest(places)}


def pictures(name: str, folder: Path) -> dict[str, Any]:
    """What the pictures of a study show."""
    with run(toy.problem(PICTURES[name]), folder) as study:
        return {"drawing": drawing(study), "page": page(study)}


def versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in DRAWN_BY}


def records() -> Iterator[tuple[str, Any]]:
    yield "recipe", "python -m tests.dse.recorded"
    yield "searches", {name: searched(name) for name in SEARCHES}
    yield "versions", versions()
    with tempfile.TemporaryDirectory() as folder:
        yield "pictures", {name: pictures(name, Path(folder) / name) for name in PICTURES}


if __name__ == "__main__":
    FILE.write_text(json.dumps(dict(records()), indent=1) + "\n", encoding="utf-8")
