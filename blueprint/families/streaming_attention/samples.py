"""Random and typical attention cores, tasks and operands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint import typical
from blueprint.arithmetic import floating
from blueprint.arithmetic.softmax.arithmetic import Scales
from blueprint.arithmetic.softmax.attention import scores
from blueprint.arithmetic.softmax.deep import CUTS_LIMIT
from blueprint.arithmetic.softmax.steps import ceiling, scale
from blueprint.arithmetic.softmax.turns import SUM_STAGES_LIMIT
from blueprint.families.streaming_attention import dataflow, masks, registers
from blueprint.families.streaming_attention.parameters import MOST_STAGES, StreamingAttentionParameters
from blueprint.family import Arrays, Calibration
from blueprint.numbers import choose, larger, smaller
from blueprint.workloads.data import EVEN, Data
from blueprint.workloads.tasks import Attention

Integers = npt.NDArray[np.int64]

#: Values that random parameters and calibration keep to: short steps are drawn apart, and none is calibrated.
_CHOICES = {"short_steps": (False,)}

#: Most registers in the designs of calibration.
_MOST = {f"{step}_stages": 8 for step in ("dot", "scale", "exp", "reciprocal", "product", "divide")}
_MOST["sum_stages"] = 0

# Few designs have fewer gates, and a repeated block is synthesized only once.
calibration = Calibration(
    arithmetics=("integer", "exact", "float"), gates=75_000.0, designs=12, choices=_CHOICES, most=_MOST
)

#: The arithmetics of random designs, repeated by weight.
_ARITHMETIC = ("integer", "integer", "integer", "exact", "float")

#: Gain of a typical run: the mean of many values is smaller than the values, and results use the same range.
_TYPICAL_GAIN = 4.0

#: Sizes from which random designs are drawn.
_SIZES = {
    "dim": (2, 3, 4, 5, 8, 16),
    "parallel": (1, 1, 2, 3),
    "head_group": (1, 1, 2),
    "keys_max": (2, 3, 9, 20, 40),
    "queries_max": (1, 2, 7, 40),
    "heads_max": (1, 2, 4),
    "kv_width": (8, 8, 4),
    "candidates": (0, 0, 0, 0, 4),
    "short_depth": (0,),
    "long_depth": (0,),
    "row_depth": (0,),
    "dot_stages": (0, 1, 2, 3),
    "scale_stages": (0, 1, 2),
    "exp_stages": (0, 1, 2, 3),
    "reciprocal_stages": (0, 1, 3),
    "product_stages": (0, 1, 2),
    "divide_stages": (0, 1, 2),
}

#: Share of random designs without a register between the short steps of a block.
_WHOLE = 0.6

#: Most registers of random designs of short steps, one more than most of them have steps.
_SHORT = {"dot_stages": 9, "exp_stages": 13, "reciprocal_stages": 24, "product_stages": 7, "divide_stages": 8}

#: Cycles and keys of a typical run.
_CYCLES, _KEYS = 320, 64


# Designs ---------------------------------------------------------------------------------------------------------


def design(random: np.random.Generator) -> Mapping[str, Any]:
    """Parameters of a random design that compiles in seconds."""
    kind = random.choice(_ARITHMETIC)
    found = typical.random_design(
        StreamingAttentionParameters,
        lambda: _formatted(typical.random_parameters(StreamingAttentionParameters, random, _SIZES, _CHOICES)),
        lambda p: p.arithmetic == kind and _is_small(p),
    )
    found = {**found, **_cuts(random.spawn(1)[0]), **_short(random.spawn(1)[0])}
    return {**found, **_turns(random.spawn(1)[0], found)}


def _cuts(random: np.random.Generator) -> dict[str, int]:
    """Registers between short steps, mostly none; from a generator of its own, so that other draws stay the same."""
    drawn = random.integers(1, CUTS_LIMIT + 1, 2) * (random.random(2) >= _WHOLE)
    return {"scale_cuts": int(drawn[0]), "finish_cuts": int(drawn[1])}


def _short(random: np.random.Generator) -> dict[str, Any]:
    """Short steps for some designs, with as many registers as they can use or fewer."""
    if random.random() < _WHOLE:
        return {}
    found = {
        name: int(random.integers(0, most + 1)) for name, most in _SHORT.items() if random.random() < 0.5
    }
    return {"short_steps": True, **found}


def _turns(random: np.random.Generator, found: Mapping[str, Any]) -> dict[str, int]:
    """Registers in the addition of float sums, mostly none, and more of them in the tree of a score of short steps."""
    sums = {"sum_stages": 0}
    if found["acc_format"] not in ("fp32", "same"):
        return sums
    if found.get("short_steps") and random.random() >= _WHOLE:
        sums["dot_stages"] = int(random.integers(found["dot_stages"], MOST_STAGES + 1))
    if random.random() >= _WHOLE:
        sums["sum_stages"] = int(random.integers(1, SUM_STAGES_LIMIT + 1))
    return sums


def consistent(table: Mapping[str, Any]) -> dict[str, Any]:
    """Repair columns of independently drawn parameters so that they fit together.

    What belongs to one number format follows the format, and no FIFO is a deadlock or deeper than helps.
    """
    found = _formatted(table)
    return found | _useful_depths(StreamingAttentionParameters.columns(found))


def _formatted(table: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters, or columns of them, repaired so that those of a number format agree with the format."""
    found = dict(table)
    whole = found["format"] == "int8"
    floats = choose(found["acc_format"] == "integer", "fixed", found["acc_format"])
    found["acc_format"] = choose(whole, "integer", floats)
    if "sum_stages" in found:
        sums_are_floats = (found["acc_format"] == "fp32") | (found["acc_format"] == "same")
        found["sum_stages"] = choose(sums_are_floats, found["sum_stages"], 0)
    if "kv_width" in found:
        found["kv_width"] = choose(whole, found["kv_width"], 8)
    if "candidates" in found:
        found["candidates"] = choose(whole, found["candidates"], 0)
        pruned = found["candidates"] > 0
        for name in ("parallel", "head_group", "queries_max"):
            found[name] = choose(pruned, 1, found[name])
        found["mask"] = choose(pruned, "none", found["mask"])
        found["candidates"] = choose(pruned, smaller(found["candidates"], found["keys_max"]), 0)
    return found


def _useful_depths(many: StreamingAttentionParameters) -> dict[str, Any]:
    """Depths of FIFOs of many designs: what was drawn where it is neither a deadlock nor more than helps."""
    full = dataflow.full_depths(many)
    found: dict[str, Any] = {"long_depth": 0 * many.long_depth}
    for name, fifos in (("short_depth", ("scores", "weights", "shares")), ("row_depth", ("sums", "totals"))):
        most = full[fifos[0]]
        for fifo in fifos[1:]:
            most = larger(most, full[fifo])
        found[name] = smaller(getattr(many, name), most)
    return found


def _is_small(p: StreamingAttentionParameters) -> bool:
    """True if a design compiles in seconds."""
    products = p.lanes * p.dim
    most = {"integer": 16, "fixed": 6, "same": 4, "fp32": 2}
    return bool(products <= most[p.acc_format])


# Tasks -----------------------------------------------------------------------------------------------------------


def task(p: StreamingAttentionParameters, random: np.random.Generator) -> Attention:
    """Random attention of sizes the hardware accepts, often 1 in a dimension, of at most 700 cycles."""
    accepted = registers.register_file(p)
    most = p.keys_max if p.windowed else _most_keys(p)
    limits = (min(p.queries_max, 9), most, min(p.heads_max, 4))
    while True:
        queries, keys, heads = (
            1 if random.random() < 0.15 else int(random.integers(1, limit + 1)) for limit in limits
        )
        kinds = [p.mask, *masks.CONTAINS[p.mask]] + (["none"] if queries == 1 else [])
        mask = str(random.choice(kinds))
        keys = keys if mask == "none" else max(keys, min(queries, p.keys_max))
        queries = queries if mask == "none" else min(queries, keys)
        shared = [count for count in range(1, heads + 1) if heads % count == 0]
        window = int(random.integers(1, keys + 1)) if mask in ("window", "lambda") else 0
        sinks = int(random.integers(1, keys + 1)) if mask == "lambda" else 0
        found = Attention(queries, keys, heads, int(random.choice(shared)), p.dim, mask, window, sinks)
        if p.cycles(found) <= 700 and accepted.refusal(registers.register_values(p, found)) is None:
            return found


def _most_keys(p: StreamingAttentionParameters) -> int:
    """The most keys whose rows fit every FIFO, whatever the window: all where none is shallow."""
    rules = registers.register_file(p).present_rules
    return min([p.keys_max, *(int(getattr(p, rule.depth)) for rule in rules if rule.depth)])


def typical_task(p: StreamingAttentionParameters) -> Attention:
    """A task that keeps the design busy for some hundred cycles: it grows rows first, then their number, then heads."""
    keys = min(_most_keys(p), _KEYS)
    group = min(p.heads_max, p.head_group)
    window = min(keys, _KEYS // 2) if p.windowed else 0
    sinks = min(keys, 4) if p.mask == "lambda" else 0

    def task(rows: int, passes: int) -> Attention:
        queries = min(rows * p.parallel, p.queries_max, keys if p.masked else rows * p.parallel)
        return Attention(queries, keys, passes * group, passes, p.dim, p.mask, window, sinks)

    rows = typical.largest(lambda n: p.cycles(task(n, 1)), _CYCLES, _CYCLES)
    passes = max(p.heads_max // group, 1)
    found = task(rows, typical.largest(lambda n: p.cycles(task(rows, n)), passes, _CYCLES))
    # What happens once per row shows only if there is a second row.
    return task(1, 2) if found.queries * found.kv_heads == 1 and passes > 1 else found


# Operands --------------------------------------------------------------------------------------------------------


def operands(p: StreamingAttentionParameters, task: Attention, seed: int) -> Arrays:
    """Random operands; a tenth of the elements are extremes.

    ``query`` (heads, queries, dim), ``key`` and ``value`` (kv_heads, keys, dim); ``scale`` (kv_heads, 5) has the
    run-time registers of :class:`blueprint.arithmetic.softmax.arithmetic.Scales` in their order; ``mask`` is (1 where
    a query sees nothing after itself, window or 0, sinks).
    """
    random = np.random.default_rng(seed)
    several = (task.kv_heads, task.keys, task.dim)
    shapes = {"query": (task.heads, task.queries, task.dim), "key": several, "value": several}
    found: dict[str, Integers] = {}
    for name, shape in shapes.items():
        if p.format == "int8":
            bits = 8 if name == "query" else p.kv_width
            low = -(1 << (bits - 1))
            drawn = random.integers(low, -low, shape, dtype=np.int64)
            drawn[random.random(shape) < 0.1] = random.choice([low, -low - 1])
            found[name] = drawn
        else:
            found[name] = _floats(floating.get(p.format), random, shape)
    found["scale"] = np.array([_scale(p, random) for _ in range(task.kv_heads)], dtype=np.int64)
    if p.graph == "naive" and random.random() < 0.5:
        found["scale"][:, 2] = _offsets(p, found)
    return found | _mask(p, task)


def _offsets(p: StreamingAttentionParameters, found: Mapping[str, Integers]) -> Integers:
    """The lowest offset of every key head that no exponent of its keys is above."""
    a, query, offsets = p.softmax, found["query"], []
    for key, rows, row in zip(found["key"], np.split(query, len(found["key"])), found["scale"], strict=True):
        t = scale(a, Scales.from_row(row), scores(a, rows.reshape(-1, a.dim), key))
        offsets.append(ceiling(a, t).max())
    return np.array(offsets, dtype=np.int64)


def typical_operands(
    p: StreamingAttentionParameters, task: Attention, seed: int, data: Data = EVEN
) -> Arrays:
    """Normal numbers: floats of deviation 1, integers of a quarter of their range; scores of deviation 1.

    Attention has no weights, and uniform numbers do not give the scores of a trained model, so ``data`` is ignored.
    """
    random = np.random.default_rng(seed)
    several = (task.kv_heads, task.keys, task.dim)
    shapes = {"query": (task.heads, task.queries, task.dim), "key": several, "value": several}
    found: dict[str, Integers] = {}
    units = {name: _unit(p, name) for name in shapes}
    for name, shape in shapes.items():
        drawn = random.standard_normal(shape)
        if p.format == "int8":
            high = 4 * units[name] - 1
            found[name] = np.clip(np.round(units[name] * drawn), -high - 1, high).astype(np.int64)
        else:
            found[name] = floating.from_float64(floating.get(p.format), drawn)
    size = units["query"] * units["key"] * np.sqrt(p.dim)
    registers = Scales.of(p.softmax, np.log2(np.e) / size, _TYPICAL_GAIN * units["query"] / units["value"])
    found["scale"] = np.array([registers.row()] * task.kv_heads, dtype=np.int64)
    return found | _mask(p, task)


def _unit(p: StreamingAttentionParameters, name: str) -> float:
    """The integer that stands for a deviation; 1 for floats."""
    bits = 8 if name == "query" else p.kv_width
    return 2.0 ** (bits - 3) if p.format == "int8" else 1.0


def _mask(p: StreamingAttentionParameters, task: Attention) -> dict[str, Integers]:
    """The operand ``mask``."""
    masked = task.mask != "none" or p.mask != "none"
    window = task.window or (p.keys_max if p.windowed else 0)
    sinks = task.sinks or (1 if p.mask == "lambda" else 0)
    return {"mask": np.array([int(masked), window, sinks], dtype=np.int64)}


def _scale(p: StreamingAttentionParameters, random: np.random.Generator) -> list[int]:
    """Random scale registers: scores of a few units, sometimes much larger."""
    a = p.softmax
    size = 128.0 * (1 << (p.kv_width - 1)) if p.format == "int8" else 1.0
    spread = 4.0 ** random.uniform(-1, 3)
    found = Scales.of(
        a,
        spread / (size * np.sqrt(p.dim)),
        float(random.choice([1.0, 0.4, 3.0])),
        int(random.integers(-8, 9)) if p.graph == "naive" else 0,
    )
    return found.row()


def _floats(fmt: floating.FloatFormat, random: np.random.Generator, shape: tuple[int, ...]) -> Integers:
    """Random floats around one, some of any size; NaN and infinity in every sixth case."""
    found = floating.from_float64(fmt, random.normal(size=shape))
    anything = random.integers(0, fmt.max_finite + 1, shape) | (
        random.integers(0, 2, shape) << (fmt.width - 1)
    )
    if random.random() < 0.3:
        found = np.where(random.random(shape) < 0.05, anything, found)
    edge = random.choice([0, 1, fmt.min_normal - 1, fmt.min_normal, fmt.sign_mask], shape)
    found = np.where(random.random(shape) < 0.05, edge, found)
    if random.random() < 1 / 6:
        special = random.choice([fmt.overflow, fmt.canonical_nan, fmt.sign_mask - 1], shape)
        found = np.where(random.random(shape) < 0.02, special, found)
    return found.astype(np.int64)
