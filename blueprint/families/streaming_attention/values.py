"""What streaming attention computes, how it travels, and random cases to try it on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic import floating
from blueprint.arithmetic.pruning import encode, surrogate
from blueprint.arithmetic.softmax.arithmetic import Scales
from blueprint.arithmetic.softmax.steps import ceiling, scale, value_saturates
from blueprint.families.streaming_attention import graph as dataflow
from blueprint.numbers import choose, larger, smaller
from blueprint.spec import Arrays, Parameter, largest
from blueprint.workloads.workload import Attention

if TYPE_CHECKING:
    from blueprint.families.streaming_attention.spec import StreamingAttentionSpec

#: How often a random design has which arithmetic.
ARITHMETIC = ("integer", "integer", "integer", "exact", "float")

#: Columns of the operand ``scale``, which are the fields of a scale beat.
SCALES = tuple(field.name for field in dataclasses.fields(Scales))

Integers = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]

#: Means of many values are smaller than the values; results use the range that values do.
_TYPICAL_GAIN = 4.0

#: Cycles and keys of a typical run.
_CYCLES, _KEYS = 320, 64

#: Masks that a design of each mask can run; with a single query none is a causal mask too.
_CONTAINS = {"none": (), "causal": (), "window": ("causal",), "lambda": ("causal",)}


def masks_of(spec: StreamingAttentionSpec) -> str:
    """The masks it runs, in words."""
    found = (spec.mask, *_CONTAINS[spec.mask])
    return " or ".join(found) if spec.mask == "none" else f"{' or '.join(found)}, or none with one query"


def masks_for(workload: Attention) -> tuple[str, ...]:
    """The masks of designs whose sequencing covers that of a run."""
    if workload.mask == "lambda" and workload.sinks == 0:
        return ()
    # The one query of a decode step sees everything, masked or not.
    everything = workload.queries == 1 and workload.mask in ("none", "causal")
    return tuple(
        mask
        for mask, contained in _CONTAINS.items()
        if everything or workload.mask == mask or workload.mask in contained
    )


def limits_for(workload: Attention) -> dict[str, int]:
    """The smallest sizes that a design needs to run it."""
    sizes = {"keys_max": max(workload.keys, 2), "queries_max": workload.queries}
    return {**sizes, "heads_max": workload.heads}


# Order ------------------------------------------------------------------------------------------------------------


def seen(mask: Integers, queries: int, keys: int) -> npt.NDArray[np.bool_]:
    """Which query (row) sees which key (column)."""
    causal, window, sinks = (int(value) for value in mask)
    if not causal:
        return np.ones((queries, keys), dtype=np.bool_)
    position = np.arange(keys - queries, keys)[:, None]
    key = np.arange(keys)[None]
    near = (key > position - window) if window else np.ones_like(key, dtype=np.bool_)
    return (key <= position) & (near | (key < sinks))


def _rows(spec: StreamingAttentionSpec, mask: Integers, queries: int) -> list[Integers]:
    """The queries of every row in the order of issue, -1 where a lane has none."""
    count = -(-queries // spec.parallel)
    lane = np.arange(spec.parallel)
    if not mask[0]:
        found = [row * spec.parallel + lane for row in range(count)]
        return [np.where(row < queries, row, -1) for row in found]
    top = queries - spec.parallel
    found = [top - row * spec.parallel + lane for row in range(count)]
    return [np.maximum(row, -1) for row in found]


def _keys(spec: StreamingAttentionSpec, mask: Integers, queries: int, keys: int) -> list[Integers]:
    """The keys of every row in the order of issue."""
    _, window, sinks = (int(value) for value in mask)
    count = -(-queries // spec.parallel)
    if not mask[0]:
        return [np.arange(keys)] * count
    found = []
    for row in range(count):
        high = keys - 1 - row * spec.parallel
        low = max(high - (spec.parallel + window - 2), 0) if window else 0
        first = np.arange(min(sinks, low))
        found.append(np.concatenate((first, np.arange(low, high + 1))))
    return found


# Values -----------------------------------------------------------------------------------------------------------


def scales(row: Integers) -> Scales:
    """The run-time registers out of a row of the operand ``scale``."""
    return Scales(**dict(zip(SCALES, (int(value) for value in row), strict=True)))


def attention(spec: StreamingAttentionSpec, operands: Arrays) -> Integers:
    """The golden output, (heads, queries, dim)."""
    return results(spec, operands)["out"]


def saturates(spec: StreamingAttentionSpec, operands: Arrays) -> bool:
    """Whether a run leaves the range of the arithmetic anywhere."""
    return bool(results(spec, operands)["saturated"].any()) or bool(_large_values(spec, operands))


def _large_values(spec: StreamingAttentionSpec, operands: Arrays) -> bool:
    """Whether a value that is taken is too large, whoever sees it."""
    mask, value = operands["mask"], operands["value"]
    taken = np.concatenate(_keys(spec, mask, operands["query"].shape[1], value.shape[1]))
    return bool(value_saturates(spec.softmax, value[:, taken]).any())


def results(spec: StreamingAttentionSpec, operands: Arrays) -> dict[str, Integers]:
    """``out`` (heads, queries, dim) and ``saturated`` (heads, queries) of ``softmax.attention.trace``."""
    from blueprint.arithmetic.softmax.attention import trace

    query, key, value = operands["query"], operands["key"], operands["value"]
    heads, queries, dim = query.shape
    share = heads // len(key)
    visible = seen(operands["mask"], queries, key.shape[1])
    order = np.where(visible, np.arange(key.shape[1])[None], -1)
    # What is not seen is left out, not skipped over: the same order, nothing at the end.
    order = np.take_along_axis(order, np.argsort(~visible, axis=1, kind="stable"), axis=1)
    orders = np.tile(order, (heads, 1)) if not spec.prunes else picks(spec, operands)
    out = np.zeros((heads, queries, dim), dtype=np.int64)
    saturated = np.zeros((heads, queries), dtype=np.int64)
    for number in range(len(key)):
        mine = slice(number * share, (number + 1) * share)
        rows = query[mine].reshape(share * queries, dim)
        mine_of = slice(number * share * queries, (number + 1) * share * queries)
        registers = scales(operands["scale"][number])
        found = trace(spec.softmax, registers, rows, key[number], value[number], orders[mine_of])
        out[mine] = found["out"].reshape(share, queries, dim)
        saturated[mine] = found["saturated"].reshape(share, queries)
    return {"out": out, "saturated": saturated}


def picks(spec: StreamingAttentionSpec, operands: Arrays) -> Integers:
    """The keys that the one query of every head is scored against, (heads, keys scored), in rising order."""
    query, key = operands["query"], operands["key"]
    count = min(spec.candidates, key.shape[1])
    share = len(query) // len(key)
    found = []
    for head, rows in enumerate(query):
        scores = surrogate(encode(rows), encode(key[head // share]))
        found.append(np.flatnonzero(spec.pruning.select(scores, count)[0]))
    return np.array(found, dtype=np.int64)


def operands(spec: StreamingAttentionSpec, workload: Attention, seed: int) -> dict[str, Integers]:
    """Random operands; a tenth of the elements are extremes."""
    random = np.random.default_rng(seed)
    several = (workload.kv_heads, workload.keys, workload.dim)
    shapes = {"query": (workload.heads, workload.queries, workload.dim), "key": several, "value": several}
    found: dict[str, Integers] = {}
    for name, shape in shapes.items():
        if spec.format == "int8":
            bits = 8 if name == "query" else spec.kv_width
            low = -(1 << (bits - 1))
            drawn = random.integers(low, -low, shape, dtype=np.int64)
            drawn[random.random(shape) < 0.1] = random.choice([low, -low - 1])
            found[name] = drawn
        else:
            found[name] = _floats(floating.get(spec.format), random, shape)
    found["scale"] = np.array([_scale(spec, random) for _ in range(workload.kv_heads)], dtype=np.int64)
    if spec.graph == "naive" and random.random() < 0.5:
        found["scale"][:, 2] = _offsets(spec, found)
    return found | _mask(spec, workload)


def _offsets(spec: StreamingAttentionSpec, found: Mapping[str, Integers]) -> Integers:
    """The lowest offset of every key head that no exponent of its keys is above."""
    from blueprint.arithmetic.softmax.attention import scores

    a, query, offsets = spec.softmax, found["query"], []
    for key, rows, row in zip(found["key"], np.split(query, len(found["key"])), found["scale"], strict=True):
        t = scale(a, scales(row), scores(a, rows.reshape(-1, a.dim), key))
        offsets.append(ceiling(a, t).max())
    return np.array(offsets, dtype=np.int64)


def typical_operands(spec: StreamingAttentionSpec, workload: Attention, seed: int) -> dict[str, Integers]:
    """Normal numbers: floats of deviation 1, integers of a quarter of their range; scores of deviation 1."""
    random = np.random.default_rng(seed)
    several = (workload.kv_heads, workload.keys, workload.dim)
    shapes = {"query": (workload.heads, workload.queries, workload.dim), "key": several, "value": several}
    found: dict[str, Integers] = {}
    units = {name: _unit(spec, name) for name in shapes}
    for name, shape in shapes.items():
        drawn = random.standard_normal(shape)
        if spec.format == "int8":
            high = 4 * units[name] - 1
            found[name] = np.clip(np.round(units[name] * drawn), -high - 1, high).astype(np.int64)
        else:
            found[name] = floating.from_float64(floating.get(spec.format), drawn)
    size = units["query"] * units["key"] * np.sqrt(spec.dim)
    registers = Scales.of(spec.softmax, np.log2(np.e) / size, _TYPICAL_GAIN * units["query"] / units["value"])
    found["scale"] = np.array([_registers(registers)] * workload.kv_heads, dtype=np.int64)
    return found | _mask(spec, workload)


def _unit(spec: StreamingAttentionSpec, name: str) -> float:
    """The integer that stands for a deviation; 1 for floats."""
    bits = 8 if name == "query" else spec.kv_width
    return 2.0 ** (bits - 3) if spec.format == "int8" else 1.0


def _registers(scales: Scales) -> list[int]:
    """A row of the operand ``scale``."""
    return [getattr(scales, name) for name in SCALES]


def _mask(spec: StreamingAttentionSpec, workload: Attention) -> dict[str, Integers]:
    """The operand ``mask``."""
    masked = workload.mask != "none" or spec.mask != "none"
    window = workload.window or (spec.keys_max if spec.windowed else 0)
    sinks = workload.sinks or (1 if spec.mask == "lambda" else 0)
    return {"mask": np.array([int(masked), window, sinks], dtype=np.int64)}


def _scale(spec: StreamingAttentionSpec, random: np.random.Generator) -> list[int]:
    """Registers that let weights spread over the sums: scores of some units, at times far more."""
    a = spec.softmax
    size = 128.0 * (1 << (spec.kv_width - 1)) if spec.format == "int8" else 1.0
    spread = 4.0 ** random.uniform(-1, 3)
    found = Scales.of(
        a,
        spread / (size * np.sqrt(spec.dim)),
        float(random.choice([1.0, 0.4, 3.0])),
        int(random.integers(-8, 9)) if spec.graph == "naive" else 0,
    )
    return _registers(found)


def _floats(fmt: floating.FloatFormat, random: np.random.Generator, shape: tuple[int, ...]) -> Integers:
    """Numbers around one; some of any size; NaN and infinity in every sixth case."""
    found = floating.from_float64(fmt, random.normal(size=shape))
    anything = random.integers(0, fmt.max_finite + 1, shape) | (
        random.integers(0, 2, shape) << (fmt.width - 1)
    )
    if random.random() < 0.3:
        found = np.where(random.random(shape) < 0.05, anything, found)
    special = random.choice([0, 1, fmt.min_normal - 1, fmt.min_normal, fmt.sign_mask], shape)
    found = np.where(random.random(shape) < 0.05, special, found)
    if random.random() < 1 / 6:
        broken = random.choice([fmt.overflow, fmt.canonical_nan, fmt.sign_mask - 1], shape)
        found = np.where(random.random(shape) < 0.02, broken, found)
    return found.astype(np.int64)


# Travel -----------------------------------------------------------------------------------------------------------


def stimulus(spec: StreamingAttentionSpec, operands: Arrays) -> dict[str, Octets]:
    """The beats of all input streams."""
    query, key, mask = operands["query"], operands["key"], operands["mask"]
    heads, queries, _ = query.shape
    share = heads // len(key)
    turns = -(-share // spec.group)
    rows = _rows(spec, mask, queries)
    taken = np.concatenate(_keys(spec, mask, queries, key.shape[1]))
    chosen = picks(spec, operands) if spec.prunes else taken
    beats: dict[str, list[Any]] = {s.name: [] for s in spec.streams() if s.direction == "in"}
    for number in range(len(key)):
        for turn in range(turns):
            first = number * share + turn * spec.group
            mine = query[first : min(first + spec.group, (number + 1) * share)]
            # Lanes without a query repeat one, so that they saturate no more than it does.
            mine = np.pad(mine, ((0, spec.group - len(mine)), (0, 0), (0, 0)), mode="edge")
            filled = [np.where(row < 0, row.max(), row) for row in rows]
            beats["scale"].append(operands["scale"][number][None])
            beats["query"].append(np.stack([mine[:, row].transpose(1, 0, 2) for row in filled]))
            if spec.prunes:
                taken = chosen[first]
                beats["code"].append(encode(key[number]))
            for name in ("key", "value"):
                beats[name].append(operands[name][number][taken])
    streams = {stream.name: stream for stream in spec.streams()}
    tuned = dict(zip(SCALES, np.concatenate(beats.pop("scale")).T, strict=True))
    packed = {name: streams[name].pack(np.concatenate(found)) for name, found in beats.items()}
    return {"scale": streams["scale"].pack_fields(tuned), **packed}


def collect(spec: StreamingAttentionSpec, beats: Octets, workload: Attention) -> Integers:
    """The results, (heads, queries, dim), out of the beats of the output stream."""
    found = spec.streams()[4].unpack(beats)
    share = workload.heads // workload.kv_heads
    turns = -(-share // spec.group)
    masked = int(workload.mask != "none" or spec.mask != "none")
    rows = _rows(spec, np.array([masked]), workload.queries)
    found = found.reshape(workload.kv_heads, turns, len(rows), spec.parallel, spec.group, spec.dim)
    out = np.zeros((workload.kv_heads, turns * spec.group, workload.queries, spec.dim), dtype=np.int64)
    for number, row in enumerate(rows):
        there = row >= 0
        taken = found[:, :, number, there].transpose(0, 1, 3, 2, 4)
        out[:, :, row[there]] = taken.reshape(workload.kv_heads, turns * spec.group, -1, spec.dim)
    return out[:, :share].reshape(workload.heads, workload.queries, spec.dim)


# Random cases -----------------------------------------------------------------------------------------------------


def draw(limits: Mapping[str, Parameter], random: np.random.Generator) -> dict[str, Any]:
    """Random parameters, legal one by one."""
    chosen: dict[str, Any] = {
        name: str(random.choice(limit.choices)) for name, limit in limits.items() if limit.choices
    }
    sizes = {
        "dim": (2, 3, 4, 5, 8, 16),
        "parallel": (1, 1, 2, 3),
        "group": (1, 1, 2),
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
    return consistent(chosen | {name: int(random.choice(drawn)) for name, drawn in sizes.items()})


def consistent(table: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters, or columns of them, of which those that belong to one number format follow the format."""
    found = dict(table)
    whole = found["format"] == "int8"
    floats = choose(found["accumulator"] == "integer", "fixed", found["accumulator"])
    found["accumulator"] = choose(whole, "integer", floats)
    if "kv_width" in found:
        found["kv_width"] = choose(whole, found["kv_width"], 8)
    if "candidates" in found:
        found["candidates"] = choose(whole, found["candidates"], 0)
        pruned = found["candidates"] > 0
        for name in ("parallel", "group", "queries_max"):
            found[name] = choose(pruned, 1, found[name])
        found["mask"] = choose(pruned, "none", found["mask"])
        found["candidates"] = choose(pruned, smaller(found["candidates"], found["keys_max"]), 0)
    return found


def useful_depths(many: StreamingAttentionSpec) -> dict[str, Any]:
    """Depths of FIFOs of many designs: what was drawn where it is neither a deadlock nor more than helps."""
    full = dataflow.full_depths(many)
    found: dict[str, Any] = {"long_depth": 0 * many.long_depth}
    for name, fifos in (("short_depth", ("scores", "weights", "shares")), ("row_depth", ("sums", "totals"))):
        most = full[fifos[0]]
        for fifo in fifos[1:]:
            most = larger(most, full[fifo])
        found[name] = smaller(getattr(many, name), most)
    return found


def is_small(spec: StreamingAttentionSpec) -> bool:
    """Whether a design is small enough to be compiled in seconds."""
    products = spec.lanes * spec.dim
    most = {"integer": 16, "fixed": 6, "same": 4, "fp32": 2}
    return bool(products <= most[spec.accumulator])


def draw_workload(spec: StreamingAttentionSpec, random: np.random.Generator) -> Attention:
    """Random attention of sizes the hardware accepts, often 1 in a dimension, of at most 700 cycles."""
    most = spec.keys_max if spec.windowed else _most_keys(spec)
    limits = (min(spec.queries_max, 9), most, min(spec.heads_max, 4))
    while True:
        queries, keys, heads = (
            1 if random.random() < 0.15 else int(random.integers(1, limit + 1)) for limit in limits
        )
        kinds = [spec.mask, *_CONTAINS[spec.mask]] + (["none"] if queries == 1 else [])
        mask = str(random.choice(kinds))
        keys = keys if mask == "none" else max(keys, min(queries, spec.keys_max))
        queries = queries if mask == "none" else min(queries, keys)
        shared = [count for count in range(1, heads + 1) if heads % count == 0]
        window = int(random.integers(1, keys + 1)) if mask in ("window", "lambda") else 0
        sinks = int(random.integers(1, keys + 1)) if mask == "lambda" else 0
        found = Attention(queries, keys, heads, int(random.choice(shared)), spec.dim, mask, window, sinks)
        if spec.cycles(found) <= 700 and spec.refuses(spec.register_values(found)) is None:
            return found


def _most_keys(spec: StreamingAttentionSpec) -> int:
    """The most keys whose rows fit every FIFO, whatever the window: all where none is shallow."""
    depths = [int(getattr(spec, rule.depth)) for rule in spec.size_rules if rule.depth]
    return min([spec.keys_max, *depths])


def typical(spec: StreamingAttentionSpec) -> Attention:
    """A task that keeps the design busy for some hundred cycles: long rows first, then many, then more heads."""
    keys = min(_most_keys(spec), _KEYS)
    group = min(spec.heads_max, spec.group)
    window = min(keys, _KEYS // 2) if spec.windowed else 0
    sinks = min(keys, 4) if spec.mask == "lambda" else 0

    def task(rows: int, passes: int) -> Attention:
        queries = min(rows * spec.parallel, spec.queries_max, keys if spec.masked else rows * spec.parallel)
        return Attention(queries, keys, passes * group, passes, spec.dim, spec.mask, window, sinks)

    rows = largest(lambda n: spec.cycles(task(n, 1)), _CYCLES, _CYCLES)
    passes = max(spec.heads_max // group, 1)
    found = task(rows, largest(lambda n: spec.cycles(task(rows, n)), passes, _CYCLES))
    # What happens once in a row is only seen where there is another.
    return task(1, 2) if found.queries * found.kv_heads == 1 and passes > 1 else found
