"""Error of softmax attention against float64 and traffic saved by pruning: the tables of docs/attention_accuracy.md.

python -m benchmarks.attention_accuracy [--keys 1024] [--write docs/attention_accuracy.md]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks import attention_pruning
from benchmarks.attention_cases import (
    DIM,
    DISTRIBUTIONS,
    FLOAT_CASES,
    Case,
    Floats,
    float_case,
    integer_case,
    softmax_attention,
    tail_case,
)
from benchmarks.attention_rescale import areas, exact_maximum
from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import FloatFormat
from blueprint.arithmetic.softmax.arithmetic import GRAPHS, Arithmetic, Scales
from blueprint.arithmetic.softmax.attention import attend

KEYS, SEEDS = 1024, (1, 2)
INTEGER_BOUND, FLOAT_BOUND, SMALLEST = 2.0, 4.0, 1e-3
NARROW = (8, 10, 12, 15)
#: How far the register of the naive graph is above the row's maximum.
OFFSETS = (-2, -1, 0, 2, 4, 8, 12)
TEXT = Path(__file__).with_name("attention_accuracy.md.txt")


def integer_error(a: Arithmetic, case: Case, offset: int = 0, gain: float = 1.0) -> float:
    """Largest absolute error of an int8 output in units of its last place, against what is not rounded."""
    wanted = np.clip(softmax_attention(case.q, case.k, case.v, case.scale) * gain, -128, 127)
    top = int(np.ceil((case.q @ case.k.T).max() * case.scale))
    scales = Scales.of(a, case.scale, gain=gain, offset=top + offset if a.graph == "naive" else 0)
    return float(np.abs(attend(a, scales, case.q, case.k, case.v, case.order) - wanted).max())


def ulps(fmt: FloatFormat, found: Floats, wanted: Floats) -> float:
    """Largest error in units of the last place of what it should be, where that is not far below the row's largest."""
    exponent = np.floor(np.log2(np.maximum(np.abs(wanted), np.exp2(1.0 - fmt.bias))))
    counts = np.abs(wanted) > SMALLEST * np.abs(wanted).max(axis=1, keepdims=True)
    error = np.abs(found - wanted) / np.exp2(exponent - fmt.fraction_bits)
    return float(np.where(np.isfinite(found), error, np.inf)[counts].max())


def float_error(a: Arithmetic, case: Case) -> float:
    """Largest error of a float output in units of the last place."""
    fmt = a.input_format
    q, k, v = (floating.to_float64(fmt, x) for x in (case.q, case.k, case.v))
    top = int(np.ceil((q @ k.T).max() * case.scale))
    scales = Scales.of(a, case.scale, offset=top if a.graph == "naive" else 0)
    found = floating.to_float64(fmt, attend(a, scales, case.q, case.k, case.v, case.order))
    return ulps(fmt, found, softmax_attention(q, k, v, case.scale))


def integers(graph: str, keys: int, weight_bits: int = 0) -> Arithmetic:
    return Arithmetic(
        inputs="int8", acc_format="integer", graph=graph, dim=DIM, keys_max=keys, weight_bits=weight_bits
    )


def floats(inputs: str, acc_format: str, graph: str, keys: int) -> Arithmetic:
    return Arithmetic(inputs=inputs, acc_format=acc_format, graph=graph, dim=DIM, keys_max=keys)


def worst_integer(a: Arithmetic, name: str, keys: int) -> float:
    """Over the seeds."""
    return max(integer_error(a, integer_case(name, keys, seed)) for seed in SEEDS)


def worst_float(a: Arithmetic, name: str, keys: int) -> float:
    """Over the seeds."""
    return max(float_error(a, float_case(a.input_format, name, keys, seed)) for seed in SEEDS)


def filled(name: str, keys: int) -> float:
    """Largest error of the memory-free graph in the last place, for outputs scaled to fill int8."""
    worst = 0.0
    for seed in SEEDS:
        case = integer_case(name, keys, seed)
        plain = replace(case, v=case.v.copy())
        plain.v[:, :7] = plain.v[:, 7:14]  # without the constant columns, which allow no gain
        wanted = softmax_attention(plain.q, plain.k, plain.v, plain.scale)
        gain = min(127 / float(np.abs(wanted).max()), 30.0)
        worst = max(worst, integer_error(integers("memory_free", keys), plain, gain=gain))
    return worst


def table(corner: str, columns: Iterable[str], rows: Mapping[str, Iterable[float]], digits: int = 2) -> str:
    """Markdown."""
    names = list(columns)
    lines = [f"| {corner} | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
    for label, values in rows.items():
        lines.append(f"| {label} | " + " | ".join(number(value, digits) for value in values) + " |")
    return "\n".join(lines)


def number(value: float, digits: int) -> str:
    """Few digits where it is large."""
    return f"{value:.{digits}f}" if value < 100 else f"{value:.0f}"


def integer_table(keys: int) -> str:
    rows = {
        name: [
            *(worst_integer(integers(graph, keys), name, keys) for graph in GRAPHS),
            filled(name, keys),
        ]
        for name in DISTRIBUTIONS
    }
    return table("int8, error in LSB", (*GRAPHS, "memory_free, output filled"), rows)


def narrow_table(keys: int) -> str:
    full = int(integers("memory_free", keys).weight_fraction)
    widths = (*NARROW, full)
    rows = {
        name: [worst_integer(integers("memory_free", keys, bits), name, keys) for bits in widths]
        for name in DISTRIBUTIONS
    }
    rows["worst tail"] = [
        max(integer_error(integers("memory_free", keys, bits), tail_case(keys, bits, seed)) for seed in SEEDS)
        for bits in widths
    ]
    return table("int8, memory_free, error in LSB", (f"{bits} bits" for bits in widths), rows)


def offset_table(keys: int) -> str:
    rows = {
        name: [
            integer_error(integers("naive", keys), integer_case(name, keys, 1), offset) for offset in OFFSETS
        ]
        for name in ("random", "peaked", "uniform", "half-lost tail")
    }
    return table("int8, naive, error in LSB", (f"{offset:+d}" for offset in OFFSETS), rows)


def rescale_table(keys: int) -> str:
    rows: dict[str, list[float]] = {}
    for name in ("random", "rising", "falling", "rising steps", "far from zero"):
        cases = [integer_case(name, keys, seed) for seed in SEEDS]
        a = integers("memory_free", keys)
        rows[name] = [
            max(integer_error(a, case) for case in cases),
            *(max(exact_maximum(a, case, bits) for case in cases) for bits in (15, 20)),
        ]
    columns = ("whole maximum, shift", "exact maximum, 15-bit factor", "exact maximum, 20-bit factor")
    return table("rescaled by, error in LSB", columns, rows)


def area_table(keys: int) -> str:
    rows = {
        label: [f"{area:.1f}", f"{delay:.0f}"] for label, (area, delay) in areas(keys, DIM, "asap7").items()
    }
    return "\n".join(
        ["| lane | area | delay |", "| --- | ---: | ---: |"]
        + [f"| {label} | {' | '.join(cells)} |" for label, cells in rows.items()]
    )


def float_table(inputs: str, acc_format: str, keys: int) -> str:
    rows = {
        name: [worst_float(floats(inputs, acc_format, graph, keys), name, keys) for graph in GRAPHS]
        for name in FLOAT_CASES
    }
    return table(f"{inputs}, {acc_format}, error in ulp", GRAPHS, rows)


def tables(keys: int) -> dict[str, str]:
    """Every table by name."""
    found = {
        "integer": integer_table(keys),
        "narrow": narrow_table(keys),
        "offset": offset_table(keys),
        "rescale": rescale_table(keys),
        "area": area_table(keys),
    }
    for inputs in ("fp16", "bf16"):
        for acc_format in ("fixed", "fp32", "same"):
            found[f"{inputs}_{acc_format}"] = float_table(inputs, acc_format, keys)
    return found | attention_pruning.tables()


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--keys", type=int, default=KEYS)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    found = tables(given.keys)
    if given.write is None:
        print("\n\n".join(found.values()))
    else:
        given.write.write_text(
            TEXT.read_text().format(keys=given.keys, dim=DIM, pruning_dim=attention_pruning.DIM, **found)
        )


if __name__ == "__main__":
    main()
