"""Random and typical vector units, runs and rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint import typical
from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import FP32, FloatFormat
from blueprint.families.vector.parameters import PRODUCT_LIMIT, STAGES_LIMIT, SUM_WIDTH, VectorParameters
from blueprint.family import Arrays, Calibration
from blueprint.numbers import flag, larger
from blueprint.workloads.data import EVEN, Data
from blueprint.workloads.tasks import COPY, NOISE, OPERATIONS, TEMPERATURES, Rowwise

Integers = npt.NDArray[np.int64]

calibration = Calibration(arithmetics=("float",), gates=60_000.0, designs=10)

_SIZES = {
    "lanes": (1, 2, 2, 3, 4, 5),
    "length_max": (2, 7, 40, 256, 300),
    "rows_max": (2, 7, 40, 65535),
    "rows_kept": (2, 2, 3, 4),
}
#: Cycles of a random run, and of a typical one.
_CYCLES, _TYPICAL_CYCLES = 700, 640
#: Most rows of a typical run, and the share of extreme values in random operands.
_ROWS, _RARE = 8, 0.03
#: Share of random designs without a register inside adders.
_WHOLE = 0.6
#: Rows that a run has more where one of them is drawn, if it stays short.
_MORE_ROWS = 3
#: Share of random designs with dot products that can draw a row, of all runs of these that do, and of such runs those
#: with one of the extreme temperatures.
_DRAW, _DRAWN, _EXTREME = 0.6, 0.7, 0.2
#: Share of random designs that can draw a row that draw it among a few, of which so many have places; and of runs.
_LISTED, _PLACES, _AMONG = 0.5, (1, 2, 3, 5, 8), 0.7


def design(random: np.random.Generator) -> Mapping[str, Any]:
    """Parameters of a random design that is small enough to be compiled in seconds."""
    found = typical.random_design(
        VectorParameters,
        lambda: consistent(
            typical.random_parameters(VectorParameters, random, _SIZES, {"samples": (False,)})
        ),
        lambda p: p.lanes * p.width <= 96,
    )
    stages, samples = random.spawn(2)
    (listed,) = samples.spawn(1)
    draws = bool(found["dots"]) and samples.random() < _DRAW
    places = int(listed.choice(_PLACES)) if draws and listed.random() < _LISTED else 0
    return {**found, **_stages(stages), "samples": draws, "top_k": places}


def _stages(random: np.random.Generator) -> dict[str, int]:
    """Registers inside adders and products, mostly none; by a generator of its own, so other draws stay the same."""
    adders = int(random.integers(1, STAGES_LIMIT + 1) * (random.random() >= _WHOLE))
    products = int(random.integers(PRODUCT_LIMIT + 1)) if adders else 0
    return {"adder_stages": adders, "product_stages": products}


def consistent(table: Mapping[str, Any]) -> dict[str, Any]:
    """Repair columns of parameters: rows are longer than a beat, and rotated pairs share a beat."""
    lanes = table["lanes"] + table["lanes"] * flag(table.get("rotates", False)) % 2
    more = table.get("product_stages", 0) * flag(table.get("adder_stages", 0) > 0)
    repaired = {"lanes": lanes, "length_max": larger(table["length_max"], lanes + 1), "product_stages": more}
    if "samples" in table:
        repaired["samples"] = table["samples"] & np.asarray(table.get("dots", False))
    if "top_k" in table:
        repaired["top_k"] = table["top_k"] * flag(repaired.get("samples", False))
    return dict(table) | repaired


def task(p: VectorParameters, random: np.random.Generator) -> Rowwise:
    """A random run, often of one row or one element, of any operations that the design has."""
    while True:
        rows, length = (
            1 if random.random() < 0.15 else int(random.integers(1, most + 1))
            for most in (min(p.rows_max, 9), p.length_max)
        )
        named = [name for name in p.operations if random.integers(3)]
        if "dot" in named:
            left = ("norm", "quantize") if random.integers(2) else ("dot",)
            named = [name for name in named if name not in left]
        length += length % 2 * ("rotate" in named) * (1 if length < p.length_max else -1)
        found = Rowwise(rows, length, "+".join(named) or COPY)
        if p.cycles(found) <= _CYCLES:
            return _drawn(p, found, random.spawn(1)[0])


def _drawn(p: VectorParameters, task: Rowwise, random: np.random.Generator) -> Rowwise:
    """The run, or one of dot products that draws a row where the design can."""
    if not p.samples or random.random() >= _DRAWN:
        return task
    more = replace(task, rows=min(p.rows_max, task.rows + _MORE_ROWS))
    task = more if p.cycles(more) <= _CYCLES else task
    before = [name for name in task.operation.split("+") if name not in (COPY, "norm", "quantize", "dot")]
    usual = float(
        f"{np.exp(random.normal(2, 2)):.6g}"
    )  # the last digits of a power differ between processors
    chosen = float(random.choice(TEMPERATURES)) if random.random() < _EXTREME else usual
    given: dict[str, Any] = {name: int(random.integers(most + 1)) for name, most in NOISE.items()}
    if p.top_k and random.random() < _AMONG:
        given["top_k"] = int(random.integers(1, p.top_k + 1))
    operation = "+".join([*before, "dot"])
    return replace(task, operation=operation, temperature=float(np.clip(chosen, *TEMPERATURES)), **given)


def operands(p: VectorParameters, task: Rowwise, seed: int) -> Arrays:
    """Rows of random magnitude with their other operands; some elements are 0, the largest, infinite or NaN."""
    return _operands(p, task, np.random.default_rng(seed), _RARE)


def _operands(p: VectorParameters, task: Rowwise, random: np.random.Generator, rare: float) -> Arrays:
    fmt, shape = p.outside, (task.rows, task.length)
    found: Arrays = {}
    x = _floats(random, fmt, shape, rare)
    if task.does("dot") and rare:
        x = x[random.integers(0, task.rows, task.rows)]  # rows that are equal have equal dot products
    if p.dequantizes:
        bits = random.integers(4, SUM_WIDTH)
        sums = random.integers(-(1 << bits - 1), 1 << bits - 1, shape, dtype=np.int64)
        signed = x - ((x >> SUM_WIDTH - 1) << SUM_WIDTH)
        found["x"] = sums if task.does("dequantize") else signed
        for name in ("weight_scale", "row_scale"):
            found[name] = _floats(random, FP32, (task.rows,), rare) & ~FP32.sign_mask
    else:
        found["x"] = x
    if p.takes_operand:
        found["operand"] = _floats(random, fmt, shape, rare)
    if task.temperature and rare:  # noise decides among rows of few kinds
        kinds = random.integers(0, max(1, task.rows // 4), task.rows)
        found = {name: values[kinds] for name, values in found.items()}
    found["gain"] = _floats(random, fmt, (task.length,), rare)
    given = {"operation": p.operation_value(task.operation), **p.drawn_values(task)}
    return found | {name: np.array([value], np.int64) for name, value in given.items()}


def _floats(random: np.random.Generator, fmt: FloatFormat, shape: tuple[int, ...], rare: float) -> Integers:
    """Normal numbers of one magnitude, and rarely any pattern at all; one set in three is free of those."""
    values = random.normal(0, 2.0 ** random.integers(-3, 4), shape).astype(np.float32)
    patterns = floating.convert(FP32, fmt, values.view(np.uint32).astype(np.int64))
    anything = random.integers(0, 1 << fmt.width, shape, dtype=np.int64)
    return np.where(random.random(shape) < rare * random.integers(3), anything, patterns)


def typical_task(p: VectorParameters) -> Rowwise:
    """A few rows of the largest length, with every operation of the design."""
    gate = "gate" if p.gates and not p.adds else ""
    named = [
        name
        for name in OPERATIONS
        if name in p.operations and name in (gate or "add", "dequantize", "rotate", "norm", "quantize")
    ]
    operation = "+".join(named)
    pair = "rotate" in named
    length = typical.largest(
        lambda n: p.cycles(Rowwise(1, n + n % 2 * pair, operation)), p.length_max, _TYPICAL_CYCLES
    )
    length -= length % 2 * pair
    rows = typical.largest(
        lambda m: p.cycles(Rowwise(m, length, operation)), min(p.rows_max, _ROWS), 2 * _TYPICAL_CYCLES
    )
    return Rowwise(rows, length, operation)


def typical_operands(p: VectorParameters, task: Rowwise, seed: int, data: Data = EVEN) -> Arrays:
    """Rows of normal numbers."""
    return _operands(p, task, np.random.default_rng(seed), 0.0)
