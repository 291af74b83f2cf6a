"""Whole texts on the Verilog of whole decoders, under every behavior of memory.

``python -m benchmarks.decoder_rtl [--only PATTERN] [--list] [--again] [--page]``: 64 tokens behind prompts of 1, 7 and
64. Each cell is a system, its cache, its block of prompts, a prompt and a behavior of memory. The files of ``ternforge
generate`` run in Verilator between AXI memories; tokens, every stored byte, and begin and end of every instruction must
be those of golden model and simulator. The first twelve cells of single tokens have every prompt with every unit of
products and every cache, and every two values of these and of the memory. The record gets each cell as it is done;
cells that are in it, of the same design and image, are left out. ``--page`` runs nothing: it writes the table of
``docs/systems.md`` from the record.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import hashlib
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from benchmarks import markdown
from benchmarks.random_models import checkpoint
from blueprint.systems import control, rules
from blueprint.systems.control import Hardware
from blueprint.systems.description import System
from blueprint.systems.memory_port import BEHAVIORS, MemoryPort
from blueprint.systems.reader import read_system
from blueprint.systems.variants import changed
from checkpoints.checkpoint import Checkpoint
from compiler import calibration, image
from compiler.compile import compile_model, has_steps
from compiler.image import Image
from compiler.prompts import turns
from generator import system_export as export
from simulator.systems import decoding, proving, rtl
from simulator.systems.decoding import Decoded
from ternforge.decoding import clock_of, opened, port
from toolchain import files

_ROOT = Path(__file__).resolve().parents[1]
_SMALL, _EXAMPLES = _ROOT / "benchmarks" / "texts", _ROOT / "examples"
RECORD, PAGE = _ROOT / "docs" / "decoder_rtl.yaml", _ROOT / "docs" / "systems.md"
#: Tokens behind each prompt.
TOKENS = 64
PROMPTS = (1, 7, 64)
#: Systems by what computes their products, and the bits of an element of their cache.
PRODUCTS, CACHES = ("small_lut", "small_array"), (8, 4)
#: Seed and scale of the weights of a model that is not trained: texts of others repeat one token.
_SEED, _SCALE = 1, 0.2


class Cell(NamedTuple):
    """A system by its file, bits of its cache, tokens of a block, tokens of the prompt, behavior of memory."""

    system: str
    cache: int
    block: int
    prompt: int
    memory: str

    @property
    def design(self) -> tuple[str, int, int]:
        """What the Verilog depends on."""
        return self[:3]

    @property
    def name(self) -> str:
        """The key of the record."""
        return f"{self.system}, cache {self.cache}, block {self.block}, prompt {self.prompt}, memory {self.memory}"


def plan() -> list[Cell]:
    """All cells; those that tell most come first."""
    names, found = list(BEHAVIORS), list[Cell]()
    for turn in range(len(names)):
        for product, system in enumerate(PRODUCTS):
            for small, bits in enumerate(CACHES):
                before = turn + 2 * product + small
                found += [
                    Cell(system, bits, 1, prompt, names[(place + before) % len(names)])
                    for place, prompt in enumerate(PROMPTS)
                ]
                found.append(Cell(system, bits, 8, PROMPTS[-1], names[before % len(names)]))
        found.append(Cell("small_fp32", 16, 8, PROMPTS[-1], names[turn]))
        if turn == 0:
            found.append(Cell("small_fp32", 16, 1, PROMPTS[1], names[-1]))
            found.append(Cell("tiny_decoder", 8, 1, PROMPTS[-1], "system"))
    return found


# What runs ------------------------------------------------------------------------------------------------------------


@cache
def system_of(name: str, bits: int, block: int) -> System:
    """The system of a file with such a cache and block."""
    folder = _EXAMPLES / name / "system.yaml"
    system = read_system(folder if folder.exists() else _SMALL / f"{name}.yaml")
    if system.units["attention"].spec.cache_width != bits:
        system = changed(system, {"units.attention.kv_width": bits})
    system = dataclasses.replace(system, block=block)
    for fault in rules.faults(system):
        raise AssertionError(fault.message)
    return system


@cache
def model_of(name: str) -> Checkpoint:
    """The trained model of the preset, or a random one of the largest shapes with a head of its own."""
    if (_EXAMPLES / name).exists():
        return opened(_EXAMPLES / "tiny_lm" / "tiny_kjv")
    largest = read_system(_SMALL / f"{name}.yaml").largest
    return checkpoint(dataclasses.replace(largest, activation="relu2"), _SEED, scale=_SCALE)


@cache
def text_of(name: str) -> list[int]:
    """The longest prompt; others are its begin."""
    trained = model_of(name)
    if trained.vocabulary is None:
        drawn = np.random.default_rng(_SEED).integers(trained.decoder.model.vocab, size=PROMPTS[-1])
        return [int(token) for token in drawn]
    text = (_EXAMPLES / "tiny_lm" / "ruth.txt").read_text(encoding="utf-8")
    return trained.vocabulary.encode(text)[: PROMPTS[-1]]


@cache
def picture_of(name: str, bits: int, block: int) -> tuple[Hardware, Image]:
    """Hardware and image of a design."""
    hardware, trained = control.hardware(system_of(name, bits, block)), model_of(name)
    steps = calibration.measure(trained, [text_of(name)]) if has_steps(hardware) else ()
    return hardware, image.of_compiled(compile_model(hardware, trained, steps))


@cache
def bench_of(name: str, bits: int, block: int) -> Path:
    """The files of ``ternforge generate`` in Verilator."""
    hardware, _ = picture_of(name, bits, block)
    with files.scratch() as folder:
        return rtl.of_folder(hardware, export.write_system(hardware, folder), folder)


def behavior(cell: Cell) -> MemoryPort:
    """The memory of a cell."""
    system = system_of(*cell.design)
    return port(system, cell.memory, clock_of(system))


@cache
def text(name: str, bits: int, block: int, prompt: int, tokens: int) -> Decoded:
    """Values of a prompt and the tokens behind it, which are the same for every memory."""
    hardware, picture = picture_of(name, bits, block)
    first = port(system_of(name, bits, block), next(iter(BEHAVIORS)), 1)
    return decoding.decode(hardware, picture, text_of(name)[:prompt], tokens, first)


def simulated(cell: Cell, tokens: int = TOKENS) -> Decoded:
    """What golden model and simulator say of a cell."""
    hardware, picture = picture_of(*cell.design)
    found = text(*cell.design, cell.prompt, tokens)
    if cell.memory == next(iter(BEHAVIORS)):
        return found
    known = [*text_of(cell.system)[: cell.prompt], *found.tokens]

    def token(address: int) -> int:
        return known[(address - picture.tokens) // 4]

    trace = decoding.timed(hardware, picture, found.turns, behavior(cell), token)
    return dataclasses.replace(found, trace=trace, cycles=trace.cycles)


def proved(cell: Cell, tokens: int = TOKENS, memory: MemoryPort | None = None) -> proving.Proof:
    """What the RTL did in a cell, beside that; under another memory than the simulator's where one is given."""
    hardware, picture = picture_of(*cell.design)
    given = text_of(cell.system)[: cell.prompt]
    decoded = simulated(cell, tokens)
    return proving.prove(hardware, bench_of(*cell.design), picture, given, decoded, memory or behavior(cell))


# The record -----------------------------------------------------------------------------------------------------------


def identity(cell: Cell) -> dict[str, str]:
    """Hashes of what a cell runs: the design, and the image with its programs."""
    hardware, picture = picture_of(*cell.design)
    return {
        "design_hash": hardware.design_hash,
        "image": hashlib.sha256(picture.data.tobytes()).hexdigest()[:16],
    }


def record(cell: Cell) -> dict[str, Any]:
    """What came of a cell."""
    proof = proved(cell)
    passes = len(turns(cell.prompt, TOKENS, cell.block))
    return {
        **cell._asdict(), **identity(cell), "tokens": proof.tokens, "passes": passes,
        "instructions": proof.instructions, "cycles": proof.cycles, "findings": proof.findings,
    }  # fmt: skip


def kept(path: Path) -> dict[str, Any]:
    """Records of a file by name; none where there is no file."""
    return dict(yaml.safe_load(path.read_text(encoding="utf-8"))["cells"]) if path.exists() else {}


def write(path: Path, found: Mapping[str, Any]) -> None:
    """Write the records in the order of the plan, and what they add up to."""
    names = [cell.name for cell in plan()]
    content = {
        "date": date.today().isoformat(), "command": "python -m benchmarks.decoder_rtl", "engine": "verilator",
        "count": len(found), "of": len(names), "differ": sum(bool(one["findings"]) for one in found.values()),
        "instructions": sum(one["instructions"] for one in found.values()),
        "cycles": sum(one["cycles"] for one in found.values()),
        "cells": {name: found[name] for name in names if name in found},
    }  # fmt: skip
    draft = path.with_suffix(".part")
    draft.write_text(yaml.safe_dump(content, sort_keys=False, width=120), encoding="utf-8")
    draft.replace(path)


def table(content: Mapping[str, Any]) -> str:
    """Memories by design and prompt, and what the runs add up to."""
    prompts = [f"prompt of {one}" for one in PROMPTS]
    lines = [["system", "cache", "block", *prompts, "tokens", "instructions", "cycles"]]
    designs: dict[tuple[Any, ...], list[Any]] = {}
    for one in content["cells"].values():
        designs.setdefault((one["system"], one["cache"], one["block"]), []).append(one)
    for (system, bits, block), cells in designs.items():
        ran = [", ".join(one["memory"] for one in cells if one["prompt"] == prompt) for prompt in PROMPTS]
        sums = [sum(one[what] for one in cells) for what in ("instructions", "cycles")]
        count = sum(len(one["tokens"]) for one in cells)
        lines.append([system, str(bits), str(block), *ran, f"{count:,}", *(f"{value:,}" for value in sums)])
    count = sum(len(one["tokens"]) for one in content["cells"].values())
    differ = f"{content['differ']} differ" if content["differ"] else "all equal"
    done = f"{content['count']} of {content['of']} cells: {differ}"
    lines.append(
        ["all", "", "", done, "", "", f"{count:,}", f"{content['instructions']:,}", f"{content['cycles']:,}"]
    )
    return markdown.table(lines)


def page(text: str, content: Mapping[str, Any]) -> str:
    """The page with its table written again."""
    return markdown.rewritten(text, PAGE, {"decoder rtl": lambda: table(content)})


# The command ----------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cells; 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--only", default="*", help="cells whose names fit this pattern, such as '*cache 4*'")
    parser.add_argument("--out", type=Path, default=RECORD)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--page", action="store_true")
    asked = parser.parse_args(arguments)
    if asked.page:
        content = yaml.safe_load(asked.out.read_text(encoding="utf-8"))
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), content), encoding="utf-8")
        return 0
    cells = [cell for cell in plan() if fnmatch.fnmatch(cell.name, asked.only)]
    if not cells:
        print(f"--only must fit one of the {len(plan())} cells, not {asked.only!r}", file=sys.stderr)
        return 2
    if asked.list:
        recorded = kept(asked.out)
        print("\n".join(f"{cell.name}{', recorded' * (cell.name in recorded)}" for cell in cells))
        return 0
    return _run(cells, asked.out, again=asked.again)


def _run(cells: Sequence[Cell], out: Path, *, again: bool) -> int:
    before = {} if again else kept(out)
    left = []
    for cell in cells:
        one = before.get(cell.name)
        if one is not None and identity(cell) == {name: one[name] for name in ("design_hash", "image")}:
            print(f"{cell.name}: in {out}", file=sys.stderr)
            continue
        left.append(cell)
    spent: dict[str, list[float]] = {}
    differ = False
    for place, cell in enumerate(left):
        began = time.monotonic()
        one = record(cell)
        # Another process may have added cells meanwhile.
        write(out, {**kept(out), cell.name: one})
        differ |= bool(one["findings"])
        spent.setdefault(cell.system, []).append((time.monotonic() - began) / one["passes"])
        rest = _seconds(left[place + 1 :], spent)
        told = one["findings"][0] if one["findings"] else "equal"
        print(
            f"{cell.name}: {one['cycles']:,} cycles, {told}; about {rest:,.0f} s left",
            file=sys.stderr,
            flush=True,
        )
    return int(differ)


def _seconds(cells: Sequence[Cell], spent: Mapping[str, Sequence[float]]) -> float:
    """What cells take if their passes take as long as those of the same system did, or of all."""
    every = [one for each in spent.values() for one in each]
    found = 0.0
    for cell in cells:
        mine = spent.get(cell.system, every)
        found += sum(mine) / len(mine) * len(turns(cell.prompt, TOKENS, cell.block))
    return found


if __name__ == "__main__":
    sys.exit(main())
