"""A small family whose numbers are easy to check by hand, and problems over it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from blueprint.files.document import read_text
from blueprint.numbers import choose
from blueprint.parameters import Rule, parameter
from blueprint.spec import Spec
from dse.evaluation import Evaluation, Evaluator
from dse.problem import Problem
from dse.space import Columns, Space
from dse.space_file import space_from

METRICS = ("area_um2", "tokens_per_second", "energy_pj_per_token", "flip_flops")


@dataclass(frozen=True, kw_only=True)
class ToySpec(Spec):
    family: ClassVar[str] = "toy"
    name = "toy"
    peak_macs = 1
    title: ClassVar[str] = "Toy"

    width: int = parameter("bits", minimum=1, maximum=64)
    depth: int = parameter("words", minimum=1, maximum=1 << 20)
    style: str = parameter("how", default="small", choices=("small", "fast"))
    registered: bool = parameter("one more stage", default=False)

    def rules(self) -> Iterator[Rule]:
        yield Rule("depth", self.width * self.depth <= 4096, "more than 4096 bits", lambda: "too many bits")


@dataclass(frozen=True, kw_only=True)
class TwinSpec(Spec):
    family: ClassVar[str] = "twin"
    name = "twin"
    peak_macs = 1
    title: ClassVar[str] = "Twin"

    width: int = parameter("bits", minimum=1, maximum=64)
    ports: int = parameter("ports", default=1, minimum=1, maximum=8)


FAMILIES: dict[str, type[Spec]] = {"toy": ToySpec, "twin": TwinSpec}


@dataclass(frozen=True)
class Judge:
    """Area and speed of toys; ``pause`` seconds per call make a search slow enough to be interrupted."""

    kind: type[Spec]
    pause: float = 0.0

    def __call__(self, columns: Columns, count: int) -> Evaluation:
        time.sleep(self.pause)
        designs: Any = self.kind.columns(columns)
        _, reason, reasons = designs.feasible()
        fast = choose(np.asarray(columns.get("style", "small")) == "fast", 1.5, 1.0)
        size = columns["width"] * np.sqrt(columns.get("depth", 4 * columns.get("ports", 1)))
        stage = choose(np.asarray(columns.get("registered", False)), 1.2, 1.0)
        metrics = {
            "area_um2": size * fast * stage,
            "tokens_per_second": 1000.0 * fast * stage * columns["width"] / (1 + 0.02 * size),
            "energy_pj_per_token": 3.0 * size * fast + 100.0 * stage / columns["width"],
            "flip_flops": columns["width"] * stage,
        }
        shaped = {
            name: np.broadcast_to(np.asarray(v, dtype=np.float64), count) for name, v in metrics.items()
        }
        return Evaluation(shaped, np.array(np.broadcast_to(reason, count)), reasons)


TEXT = """\
schema: ternforge/space/v1
name: toys
family: toy
parameters:
  width: {range: [1, 32]}
  depth: {log2: [1, 4096]}
  style: [small, fast]
  registered: [false, true]
workload: {gemm: {m: 1, k: 64, n: 64}}
technology: none
objectives: {area_um2: min, tokens_per_second: max}
constraints: {area_um2: {max: 500}}
search: {method: auto, budget: 100000, seed: 7}
"""


def space(text: str = TEXT) -> Space:
    import dataclasses

    found = space_from(read_text(text, "space.yaml"), families=FAMILIES, metrics=METRICS)
    return dataclasses.replace(found, text=text)


def problem(text: str = TEXT, *, pause: float = 0.0, provenance: dict[str, str] | None = None) -> Problem:
    found = space(text)
    judges: dict[str, Evaluator] = {s.family: Judge(FAMILIES[s.family], pause) for s in found.subspaces}
    return Problem(found, judges, METRICS, provenance or {"version": "1"})


def changed(*pairs: tuple[str, str]) -> str:
    """The toy space with pieces of its text replaced; each must be there."""
    text = TEXT
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


LARGE = changed(
    ("{range: [1, 32]}", "{range: [1, 64]}"),
    ("{log2: [1, 4096]}", "{range: [1, 4000]}"),
    ("budget: 100000", "budget: 10000000"),
)


def main(folder: str, text: str, pause: str, workers: str) -> None:
    """Entry of the processes that tests kill."""
    from dse.explore import run

    print("ready", flush=True)
    run(problem(text, pause=float(pause)), folder, workers=int(workers), points_csv=False)
