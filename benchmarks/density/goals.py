"""What was asked of the hardware in asap7, and what netlists of 256 and more multiply-accumulates a cycle reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.density.measure import CLOCK_GATES, SIZE
from benchmarks.density.spaces import ARRAYS, ATTENTION, TABLES
from blueprint.arithmetic.processing import CARRY_SAVE

#: The two netlists of a design, and those with clock gates, which a design may not have been mapped to.
NETLISTS = ("least area", "shortest period")
GATED = tuple(f"{name}, {CLOCK_GATES}" for name in NETLISTS)
CLOCK, WORK = "GHz", "MAC per ns and mm2"


@dataclass(frozen=True)
class Goal:
    """A figure that is asked for of each of some cases; ``elements`` are the only ones that count, of arrays.

    ``why`` says what is in the way where it is missed, ``published`` what others reach with these cells.
    """

    text: str
    cases: tuple[str, ...]
    figure: str
    before: float
    asked: float
    why: str
    published: str
    elements: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reached:
    """The best netlist of a case for a goal: its figure, the design's record and which of its netlists it is."""

    case: str
    figure: float
    design: str
    netlist: str


_TABLES_ELSEWHERE = (
    "the published structure at mu 2, 8 tables, 16 columns 0.58 GHz, the array of LUT Tensor Core 0.48"
)
_FLOATS_ELSEWHERE = (
    "no clock of float sums is published for these cells, only the area of an adder: 48 to 61 um2"
)
_ATTENTION_ELSEWHERE = "no attention unit is published in these cells; units of 16 nm state 1 GHz"
_WHY = {
    "work": (
        "Every column pays for two words of an accumulator, two of a result and the registers of its "
        "reduction, and the full adders of a reduction, of one strength only in this library, stand in "
        "series: larger cores share more; more registers between the adders make the clock faster and the "
        "core larger."
    ),
    "float tables": (
        "The flag that lets the stages of the tables take their next values comes through the control and is "
        "spread to all of them in the same cycle; the model sees no gain in more registers of an adder."
    ),
    "carry-save": (
        "The flag that begins a sum is spread to all elements and passes the compressors of each in one cycle; "
        "where the words of a result are added in one piece, that carry is as slow, and where elements have many "
        "products, the compressors behind the multipliers are slower."
    ),
    "float arrays": (
        "Without registers inside its adder an element compares, moves, adds, searches for the leading one, "
        "moves and rounds in one cycle, since the next product needs the sum; with them each step is a cycle, and "
        "the longest is that search with the move after it."
    ),
    "integer attention": (
        "With `memory_free` a running sum moves and adds in one cycle, since the next key needs it; with "
        "`scaled` a full FIFO holds back what is in front of it in the same cycle."
    ),
    "fixed attention": (
        "The partial products of a score become few words in one step; those of 256 a cycle were not "
        "synthesized with registers in all others."
    ),
    "float attention": (
        "Heads of 8 reach the clock, with registers between the steps of all operations and sums that take turns. In "
        "the tree of a head of 64 the comparison in front of an addition is the path, whose wires are longer there."
    ),
}
GOALS = (
    Goal("INT8 tables, clock", (f"{TABLES}, INT8",), CLOCK, 0.86, 2.0, "", _TABLES_ELSEWHERE),
    Goal(
        "INT8 tables, work", (f"{TABLES}, INT8",), WORK, 182_000, 550_000, _WHY["work"],
        "cores without a shell: the published structure 59,000, the array of LUT Tensor Core 9,600",
    ),
    Goal(
        "FP16 tables with float sums, clock", (f"{TABLES}, FP16, float sums",), CLOCK, 0.60, 1.5,
        _WHY["float tables"], _FLOATS_ELSEWHERE,
    ),
    Goal(
        "INT8 and ternary arrays with carry-save sums, clock",
        (f"{ARRAYS}, INT8 x INT8", f"{ARRAYS}, INT8 x ternary"), CLOCK, 1.07, 2.0, _WHY["carry-save"],
        "the public elements alone: OPT1 1.61 GHz, also as an array of 4 x 4, OPT4C 2.86, OPT3 2.78", CARRY_SAVE,
    ),
    Goal(
        "FP16 arrays, clock", (f"{ARRAYS}, FP16 x ternary", f"{ARRAYS}, FP16 x FP16"), CLOCK, 0.4, 1.5,
        _WHY["float arrays"], _FLOATS_ELSEWHERE,
    ),
    Goal(
        "INT8 attention, clock", (f"{ATTENTION}, INT8",), CLOCK, 0.34, 1.5,
        _WHY["integer attention"], _ATTENTION_ELSEWHERE,
    ),
    Goal(
        "FP16 attention with fixed-point sums, clock", (f"{ATTENTION}, FP16, fixed-point sums",), CLOCK, 0.17, 1.25,
        _WHY["fixed attention"], _ATTENTION_ELSEWHERE,
    ),
    Goal(
        "FP16 attention with FP32 sums, clock", (f"{ATTENTION}, FP16, FP32 sums",), CLOCK, 0.04, 1.0,
        _WHY["float attention"], _ATTENTION_ELSEWHERE,
    ),
)  # fmt: skip


def figure(kind: str, design: Mapping[str, Any], netlist: str) -> float:
    """A figure of a netlist of a design."""
    found = design[netlist]
    ghz = 1e3 / found["ps"]
    return float(ghz if kind == CLOCK else design["rate"] * ghz / found["um2"] * 1e6)


def reached(goal: Goal, designs: Mapping[str, Mapping[str, Any]]) -> Iterator[Reached]:
    """The best netlist of every case of a goal that has one."""
    for case in goal.cases:
        large = {key: one for key, one in designs.items() if one["peak"] >= SIZE}
        yield from _best(goal, case, large)


def smaller(goal: Goal, designs: Mapping[str, Mapping[str, Any]]) -> Iterator[Reached]:
    """The best netlist of the largest designs of a case that has none of the size that is asked for."""
    for case in goal.cases:
        known = {key: one for key, one in designs.items() if one["case"] == case and _counts(goal, one)}
        most = max((one["peak"] for one in known.values()), default=SIZE)
        if most < SIZE:
            yield from _best(goal, case, {key: one for key, one in known.items() if one["peak"] == most})


def _best(goal: Goal, case: str, designs: Mapping[str, Mapping[str, Any]]) -> Iterator[Reached]:
    found = [
        Reached(case, figure(goal.figure, one, netlist), key, netlist)
        for key, one in designs.items()
        for netlist in (*NETLISTS, *GATED)
        if netlist in one and one["case"] == case and _counts(goal, one)
    ]
    if found:
        yield max(found, key=lambda one: one.figure)


def _counts(goal: Goal, design: Mapping[str, Any]) -> bool:
    return not goal.elements or design["parameters"]["pe"] in goal.elements


def missed(goal: Goal, found: list[Reached]) -> bool:
    """True where a case has no netlist that reaches the figure."""
    return len(found) < len(goal.cases) or any(one.figure < goal.asked for one in found)
