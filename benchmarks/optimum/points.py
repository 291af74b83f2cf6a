"""Designs that the study compares, and the sum of modules for a core."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.optimum import measure
from benchmarks.optimum.cores import leaves
from blueprint.arithmetic import floating
from blueprint.families.ternary_lut import TernaryLutSpec

FETCHES = (8, 16, 32, 64, 128)
K_MAX = 6912
#: Times 24 activations a cycle.
STRETCHES = (1, 2, 4)
#: Tables side by side, so that a column adds 24 activations a cycle (25 with groups of five).
TABLES = {1: 24, 2: 12, 3: 8, 4: 6, 5: 5, 6: 4}
INTEGERS = {"int4": 4, "int8": 8, "int16": 16}
FLOATS = ("fp8_e4m3", "fp8_e5m2", "bf16", "fp16")


@dataclass(frozen=True)
class Kind:
    """A number format and how it is added: ``integer``, ``float`` (additions in order) or ``exact``."""

    format: str
    arithmetic: str

    @property
    def name(self) -> str:
        """For tables."""
        return self.format if self.arithmetic == "integer" else f"{self.format} {self.arithmetic}"


#: The multiples of the smallest bf16 number that its sums are made of do not fit in 54 bits.
KINDS = (
    *(Kind(name, "integer") for name in INTEGERS),
    *(Kind(name, "float") for name in FLOATS),
    *(Kind(name, "exact") for name in FLOATS if name != "bf16"),
)


@dataclass(frozen=True)
class Point:
    """A design but for its number of fetches."""

    kind: Kind
    mu: int
    table_style: str = "half"
    reduction: str = "carry_save"
    stretch: int = 1  # times 24 activations a cycle

    def spec(self, fetches: int = 8, **others: Any) -> TernaryLutSpec:
        """The family's parameters; one column group, accumulators in registers."""
        name = self.kind.format
        whole = name in INTEGERS
        width = INTEGERS[name] if whole else floating.get(name).width
        parameters: dict[str, Any] = {
            "mu": self.mu, "lut_count": TABLES[self.mu] * self.stretch, "fetch_count": fetches, "act_width": width,
            "k_max": K_MAX, "n_max": fetches, "activation": "int" if whole else name,
            "exact": self.kind.arithmetic == "exact", "table_style": self.table_style,
            "reduction": "adder_tree" if self.kind.arithmetic == "float" else self.reduction,
        }  # fmt: skip
        return TernaryLutSpec(**(parameters | others))


def points(kind: Kind, technology: str, quick: bool = False) -> Iterator[Point]:
    """Designs synthesized whatever the cost model takes: in asap7 all styles up to groups of 4, else half tables."""
    every = technology == "asap7" and not quick
    for mu in (1, 2, 3) if quick else (1, 2, 3, 4):
        yield Point(kind, mu)
        if every:
            yield Point(kind, mu, "full")
        if kind.arithmetic != "float" and (mu < 4 or every):
            yield Point(kind, mu, "half", "adder_tree")
            if every:
                yield Point(kind, mu, "full", "adder_tree")
    if every and kind.arithmetic != "exact":
        yield Point(kind, 5)


def neighbors(point: Point) -> Iterator[Point]:
    """Neighbors that differ in one choice: group size by one, table style, or reduction."""
    yield from (replace(point, mu=mu) for mu in (point.mu - 1, point.mu + 1) if mu in TABLES)
    yield replace(point, table_style="full" if point.table_style == "half" else "half")
    if point.kind.arithmetic != "float":
        other = "adder_tree" if point.reduction == "carry_save" else "carry_save"
        yield replace(point, reduction=other)


def long_points() -> Iterator[Point]:
    """Designs that add more activations per column and cycle, at F = 64."""
    for kind in (Kind("int8", "integer"), Kind("fp16", "float"), Kind("fp16", "exact")):
        for stretch in STRETCHES:
            for mu in (1, 2, 3):
                yield Point(kind, mu, stretch=stretch)


Parts = dict[str, dict[str, float]]


def parts(point: Point, technology: str) -> Parts:
    """``um2`` and ``ps`` of every module of a design, measured."""
    return {name: measure.block(block, technology) for name, block in leaves(point.spec()).items()}


def shares(found: Parts, spec: TernaryLutSpec) -> tuple[float, float]:
    """Area in um2 that a core has once, and once per output column."""
    area = {name: item["um2"] for name, item in found.items()}
    tables, acts = spec.lut_count, int(spec.tile_k)
    once = tables * area["build"] + acts * area.get("to_fixed", 0.0) + area.get("tile", 0.0)
    column = tables * area["fetch"] + area["lane"] + area.get("to_float", 0.0)
    return once, column


def per_mac(once: float, column: float, fetches: int, acts: int) -> float:
    """Area per multiply-accumulate of a cycle, in um2."""
    return (once / fetches + column) / acts
