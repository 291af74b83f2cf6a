"""Area and delay of the float blocks, mapped for least area: the tables of docs/floating.md.

    python -m benchmarks.float_blocks [--technology asap7 --technology sky130hd] [--json]

Each block is combinational and mapped alone; its delay is the longest path from an input to an output. The adder is
also mapped with pipeline stages (longest path of any kind) and with approximate normalization.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from blueprint.arithmetic.floating import BF16, FORMATS, FP16, FloatFormat
from costmodel.groundtruth.recipe import LEAST
from costmodel.groundtruth.synthesis import Synthesis, synthesize
from generator.arithmetic.floating import (
    CoarseAdd,
    FloatAdd,
    FloatConvert,
    FloatMax,
    FloatMultiply,
    FloatNegate,
    FloatPair,
    FloatToInt,
    IntToFloat,
)
from generator.block import Block
from generator.emission import emit

BLOCKS: dict[str, Callable[[FloatFormat], Block]] = {
    "add": FloatAdd,
    "add, flush": lambda fmt: FloatAdd(fmt, flush=True),
    "add or subtract": lambda fmt: FloatAdd(fmt, operation="either"),
    "sum and difference": FloatPair,
    "multiply": FloatMultiply,
    "multiply, flush": lambda fmt: FloatMultiply(fmt, flush=True),
    "max": FloatMax,
    "negate": FloatNegate,
    "to fp16": lambda fmt: FloatConvert(fmt, FP16),
    "to bf16": lambda fmt: FloatConvert(fmt, BF16),
    "to int8": lambda fmt: FloatToInt(fmt, 8),
    "from int8": lambda fmt: IntToFloat(fmt, 8),
}
STAGES = range(6)
COARSE = (2, 4, 8)
Row = dict[str, tuple[float, float]]


def mapped(block: Block, technology: str) -> Synthesis:
    """The block in cells of a technology."""
    emitted = emit(block)
    with tempfile.TemporaryDirectory(prefix="ternforge-float-") as scratch:
        files = []
        for name, text in emitted.modules.items():
            files.append(Path(scratch) / f"{name}.v")
            files[-1].write_text(text)
        return synthesize(files, technology, top=emitted.top, recipe=LEAST)


def measure(block: Block, technology: str) -> tuple[float, float]:
    """(um2, ps)."""
    found = mapped(block, technology)
    return round(found.area_um2, 2), round(found.critical_path_ps)


def operations(technology: str) -> dict[str, Row]:
    """Every block in every format."""
    return {
        label: {name: measure(build(fmt), technology) for name, fmt in FORMATS.items()}
        for label, build in BLOCKS.items()
    }


def staged(technology: str) -> dict[str, Row]:
    """The adder with registers."""
    formats = {"fp16": FP16, "bf16": BF16}
    return {
        f"{stages} stages": {
            name: measure(FloatAdd(fmt, stages=stages), technology) for name, fmt in formats.items()
        }
        for stages in STAGES
    }


def coarse(technology: str) -> dict[str, Row]:
    """The adder with approximate normalization beside the exact one."""
    formats = {"fp16": FP16, "bf16": BF16}
    rows: dict[str, Row] = {
        "exact": {name: measure(FloatAdd(fmt), technology) for name, fmt in formats.items()}
    }
    for step in COARSE:
        rows[f"coarse {step}"] = {
            name: measure(CoarseAdd(fmt, step), technology)
            for name, fmt in formats.items()
            if step <= fmt.fraction_bits
        }
    return rows


def table(rows: dict[str, Row], corner: str) -> str:
    """Markdown: area in um2 and delay in ns."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [f"| {corner} | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for label, row in rows.items():
        cells = [f"{row[c][0]:.1f}, {row[c][1] / 1000:.2f}" if c in row else "" for c in columns]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--technology", action="append")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    answer = {}
    for technology in given.technology or ["asap7", "sky130hd"]:
        parts = {
            "block": operations(technology),
            "adder": staged(technology),
            "normalization": coarse(technology),
        }
        answer[technology] = parts
        if not given.json:
            for corner, rows in parts.items():
                print(f"{technology}: um2, ns\n\n{table(rows, corner)}\n", flush=True)
    if given.json:
        print(json.dumps(answer, indent=1))


if __name__ == "__main__":
    main()
