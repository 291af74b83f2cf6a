"""Cycles of an unstalled run as the pages say, from the manifest's parameters, the sizes and the operands of a run.

It imports nothing of the blueprint. Only for attention whose FIFOs have their default depths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Names = Mapping[str, Any]

#: Words from which on ``auto`` takes a memory.
_MEMORY = 16


def cycles(manifest: Mapping[str, Any], operands: Mapping[str, Array], names: Names) -> int:
    """From the first accepted beat to the last, both included."""
    return CYCLES[manifest["family"]](manifest["parameters"], operands, names)


def _over(size: int, step: int) -> int:
    return -(-size // step)


def _stages(count: int) -> int:
    """Levels of a tree."""
    return math.ceil(math.log2(count))


def _ternary_lut(p: Mapping[str, Any], operands: Mapping[str, Array], names: Names) -> int:
    tables, adder = p["lut_count"], p["adder_stages"]
    groups, tiles = _over(names["tokens"], p["token_lanes"]), _over(names["k"], tables * p["mu"])
    columns, words = _over(names["n"], p["fetch_count"]), _over(p["n_max"], p["fetch_count"])
    several = p["k_max"] > tables * p["mu"]
    whole = words
    if several and p["n_tile"]:
        words = _over(p["n_tile"], p["fetch_count"])
    memory = several and words > 1 and _is_memory(p, words)
    build = (max(p["mu"] - 2, 0) if p["build_style"] == "pipelined" else 0) + p["build_register"]
    build += (p["mu"] - 1) * adder
    ahead = p["fetch_register"] + _stages(tables) * adder + p["reduction_stages"]
    register = (p["reduction_register"] and several) or (memory and ahead == 0)
    sweep = ahead + register + (adder if several else 0)
    again = sweep + 1 if several and adder else 0
    if p["carry_save_sums"]:
        kept = words < whole and p["act_buffer"]
        return _carry_save(groups, tiles, columns, words, p["resolve_cycles"]) + int(build + sweep + kept)
    if words == whole:
        return int((groups * tiles - 1) * max(columns, again) + columns + build + sweep + 2)
    passes = [min(words, columns - at) for at in range(0, columns, words)]
    swept = sum((tiles - 1) * max(count, again) + count for count in passes)
    return int(groups * swept + build + sweep + 2 + p["act_buffer"])


def _carry_save(groups: int, tiles: int, columns: int, words: int, resolve: int) -> int:
    """Beat by beat: a finished result is added in so many cycles, and leaves before the next one enters."""
    now, free = 0, 0
    for first in [*range(0, columns, words)] * groups:
        for tile in range(tiles):
            for _ in range(first, min(first + words, columns)):
                now += 1
                if tile == tiles - 1:
                    now = max(now, free)
                    free = now + 1 + resolve
    return now + resolve + 2


def _is_memory(p: Mapping[str, Any], words: int) -> bool:
    return bool(
        p["accumulator"] in ("sram", "single_port") or (p["accumulator"] == "auto" and words > _MEMORY)
    )


def _systolic(p: Mapping[str, Any], operands: Mapping[str, Array], names: Names) -> int:
    kept, group = (1, 1) if p["sparsity"] == "dense" else map(int, p["sparsity"].split(":"))
    lanes, rows, stays = p["dot_length"] // kept * group, p["rows"], p["organization"] == "weight_stationary"
    waves = stays or p["organization"] == "output_stationary"
    latency = (rows + p["cols"] - 1 if waves else 1) + p["product_register"] + p["product_stages"]
    sums = p["adder_stages"] + 1
    columns = _over(names["n"], p["cols"] * sums)
    if stays:
        latency += p["resolve_cycles"] if p["pe"] in ("opt1", "opt2") else 0
        return _weights_stay(p, names, latency, columns, lanes * rows)
    if p["pe"] == "booth_flex":
        lanes = p["weight_width"] // 2 if names["ternary"] else 1
    taken = _digits(p, operands["act"], _over(names["tokens"], rows) * rows, _over(names["k"], lanes) * lanes)
    beats = taken.reshape(-1, rows, taken.shape[1] // lanes, lanes).max(axis=(1, 3))
    if sums > 1:
        return _sums_turn(len(beats) * columns, beats.shape[1] * sums, sums, latency + rows)
    return _sums_stay(beats, columns, latency + rows) + int(p["resolve_cycles"]) - 1


def _sums_turn(tiles: int, beats: int, sums: int, drained: int) -> int:
    """Sum by sum: it is taken when the one before has left, and the next tile begins when all are taken."""
    now, free = 0, 0
    for _ in range(tiles):
        now += beats
        for _ in range(sums):
            now = max(now + 1, free)
            free = now + drained
    return free


def _sums_stay(beats: Array, columns: int, drained: int) -> int:
    """``beats``: cycles by token group and beat; a last beat begins when the results before have room."""
    now, free = 0, 0
    for group in beats:
        for _ in range(columns):
            now = max(now + int(group[:-1].sum()), free) + int(group[-1])
            free = now + drained - 1
    return now + drained


def _digits(p: Mapping[str, Any], act: Array, tokens: int, k: int) -> Array:
    """Cycles of every activation, those of the padding included."""
    found = np.ones((tokens, k), np.int64)
    if p["pe"] == "booth_serial":
        return found * _over(p["act_width"], 2)
    if p["pe"] in ("opt3", "opt4c", "opt4e"):
        counted = [[max(len(list(_ent(int(abs(number))))), 1) for number in row] for row in act]
        found[: act.shape[0], : act.shape[1]] = counted
    return found


def _ent(rest: int) -> Iterator[int]:
    """Digits of a magnitude other than zero: 0, 1, 2 and -1 for a 3."""
    while rest:
        digit = (0, 1, 2, -1)[rest % 4]
        rest = (rest - digit) // 4
        if digit:
            yield digit


def _weights_stay(p: Mapping[str, Any], names: Names, latency: int, columns: int, length: int) -> int:
    held, rows, most = names["held"], p["rows"], min(p["token_depth"], p["m_max"])
    tiles, turns = _over(names["k"], length), _over(names["tokens"], most) * columns
    tile = max(held, rows)
    begin = (tiles - 1) * tile + 2 * held + latency
    freed = begin + (most > 1 and _is_memory(p, most))
    before = (turns - 1) // 2 * max(2 * tiles * tile, freed) + (turns - 1) % 2 * tiles * tile
    return int(rows + before + begin + 1)


def _attention(p: Mapping[str, Any], operands: Mapping[str, Array], names: Names) -> int:
    rows = _over(names["queries"], p["parallel"])
    lengths = [_row(p, names, row) for row in range(rows)]
    longest, keys = max(lengths), names["passes"] * sum(lengths)
    first = p["graph"] in ("naive", "scaled")  # a weight is divided, not a sum of values
    late = {
        "score": 1
        + p["short_steps"]
        + p["dot_stages"]
        + p["scale_stages"]
        + p["scale_cuts"]
        + (p["exp_stages"] if p["graph"] == "naive" else 0),
        "maximum": 1 + 3 * p["short_steps"] + (p["exp_stages"] if p["graph"] == "memory_free" else 0),
        "exponential": 1 + p["short_steps"] + p["exp_stages"],
        "sum": 2 + p["short_steps"] + p["reciprocal_stages"],
        "output": 2 + p["short_steps"] + p["product_stages"] + first * p["finish_cuts"],
        "divide": 1 + p["divide_stages"] + (p["short_steps"] if first else p["finish_cuts"]),
    }
    # Behind the last key of a row its partial sums are added; a row waits for that of the one before.
    ending = (0, 3, 7, 11, 16, 21)[p["sum_stages"]]
    keys += (names["passes"] * rows - 1) * ending
    late["sum"] += ending
    late["output"] += ending
    both, divided = max(late["sum"], late["output"]), late["sum"] + late["divide"] + late["output"]
    after = {
        "naive": longest + divided,
        "scaled": 2 * longest - 1 + late["maximum"] + late["exponential"] + divided,
        "reordered": longest + late["maximum"] + late["exponential"] + both + late["divide"],
        "memory_free": 1 + late["maximum"] + both + late["divide"],
    }
    if p["candidates"]:
        keys = names["passes"] * _screened(p, names) + longest + 1
    return int(keys + late["score"] + after[p["graph"]])


def _row(p: Mapping[str, Any], names: Names, row: int) -> int:
    if p["candidates"]:
        return int(names["candidates"])
    if p["mask"] == "none":
        return int(names["keys"])
    high = names["keys"] - 1 - row * p["parallel"]
    if p["mask"] == "causal":
        return int(high + 1)
    low = max(high - (p["parallel"] + names["window"] - 2), 0)
    return int(high - low + 1 + (min(names["sinks"], low) if p["mask"] == "lambda" else 0))


def _screened(p: Mapping[str, Any], names: Names) -> int:
    """Cycles of a pass: its screening and search; scores of ``dim`` products have so many buckets on either side."""
    buckets = 4 * ((p["dim"] << 14).bit_length() - 1)
    return int(2 * names["keys"] + p["dot_stages"] + 2 * buckets + 1)


CYCLES: dict[str, Callable[[Mapping[str, Any], Mapping[str, Array], Names], int]] = {
    "ternary_lut": _ternary_lut,
    "systolic": _systolic,
    "streaming_attention": _attention,
}
