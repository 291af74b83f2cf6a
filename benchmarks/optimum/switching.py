"""Energy and delay of whole cores: the mapped netlist is timed, and runs on random data with every toggle priced."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.optimum import measure
from benchmarks.optimum.cores import Core
from benchmarks.optimum.points import Kind
from blueprint.arithmetic import floating, ternary
from blueprint.families.ternary_lut import TernaryLutSpec
from costmodel.groundtruth.activity import RUNS, _Machine
from costmodel.groundtruth.flatten import flatten, owners
from costmodel.groundtruth.recipe import LEAST
from costmodel.groundtruth.synthesis import netlists
from generator.block import Block
from generator.emission import emit
from toolchain import cache

#: Inputs of a lane by port: a number format, or the bits of a ternary weight, and how many.
Inputs = Mapping[str, tuple[Kind | int, int]]
CYCLES = 48
#: Cycles of one sum: the accumulator starts anew.
SUM = 24


def core(spec: TernaryLutSpec, technology: str) -> dict[str, float]:
    """``um2``, ``ps`` and ``fj`` a cycle of a core of ours."""
    kind = Kind(spec.activation if spec.is_float else f"int{spec.act_width}", str(spec.arithmetic))
    return _measured(Core(spec), technology, lambda rng: _stimulus(spec, kind, rng))


def lane(block: Block, technology: str, inputs: Inputs) -> dict[str, float]:
    """The same of one lane."""
    return _measured(block, technology, lambda rng: _random(inputs, rng))


def verilog(text: str, technology: str, inputs: Inputs) -> dict[str, float]:
    """The same of a Verilog module ``core``."""
    found: dict[str, float] = measure.kept(
        f"{technology} timing and energy of Verilog", technology, ["energy", measure.digest(measure.SWITCHING), text],
        lambda: _run({"core": text}, "core", technology, lambda rng: _random(inputs, rng)),
    )  # fmt: skip
    return found


def _random(inputs: Inputs, rng: np.random.Generator) -> dict[str, Any]:
    return {
        port: numbers(kind, count, rng) if isinstance(kind, Kind) else weights(kind, count, rng)
        for port, (kind, count) in inputs.items()
    }


def _measured(block: Block, technology: str, make: Any) -> dict[str, float]:
    emitted = emit(block)
    found: dict[str, float] = measure.kept(
        f"{technology} timing and energy of {block.module_name}", technology,
        ["energy", measure.digest(measure.SWITCHING), emitted.top, *cache.flatten(emitted.modules)],
        lambda: _run(emitted.modules, emitted.top, technology, make),
    )  # fmt: skip
    return found


def _run(texts: dict[str, str], top: str, technology: str, make: Any) -> dict[str, float]:
    found = measure.figures(measure.synthesized(texts, top, technology))
    tech = measure.technology(technology)
    with tempfile.TemporaryDirectory(prefix="ternforge-optimum-") as scratch:
        folder = Path(scratch)
        for name, text in texts.items():
            (folder / f"{name}.v").write_text(text)
        manifest = {"files": [f"{name}.v" for name in texts], "top": top}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        _, modules = netlists(folder, tech, recipe=LEAST)
    machine = _Machine(flatten(top, modules), modules[top]["ports"], tech)
    rng = np.random.default_rng(1)
    before = None
    for cycle in range(CYCLES):
        machine.put("first", int(cycle % SUM == 0))
        for port, bits in make(rng).items():
            machine.drive(port, bits)
        machine.settle(before)
        before = machine.values.copy() if cycle else None
        machine.clock()
    owned = owners(machine.flat, dict.fromkeys(modules, "core"))
    energy = sum(machine.price(owned, CYCLES - 2).values())
    return found | {"fj": round(1000 * energy, 2)}


def _stimulus(spec: TernaryLutSpec, kind: Kind, rng: np.random.Generator) -> dict[str, Any]:
    shape = (RUNS, spec.fetch_count, spec.lut_count, spec.mu)
    keys = ternary.encode(rng.integers(-1, 2, shape), "sign_index").reshape(RUNS, -1)
    width = int(ternary.key_width("sign_index", spec.mu))
    return {"activation": numbers(kind, int(spec.tile_k), rng), "keys": words(keys, width)}


def numbers(kind: Kind, count: int, rng: np.random.Generator) -> Any:
    """Random numbers of every run: integers of all sizes alike, floats from a normal distribution."""
    if kind.arithmetic == "integer":
        width = int(kind.format.removeprefix("int"))
        return words(rng.integers(0, 1 << width, (RUNS, count)), width)
    fmt = floating.get(kind.format)
    return words(np.asarray(floating.from_float64(fmt, rng.standard_normal((RUNS, count)))), fmt.width)


def weights(width: int, count: int, rng: np.random.Generator) -> Any:
    """Random ternary weights in two's complement."""
    return words(rng.integers(-1, 2, (RUNS, count)) & ((1 << width) - 1), width)


def words(values: Any, width: int) -> Any:
    """Numbers ``(runs, count)`` as one word of all runs per bit."""
    bits = (values[..., None] >> np.arange(width)) & 1
    flat = bits.reshape(len(values), -1).astype(np.uint64)
    found: Any = np.bitwise_or.reduce(flat << np.arange(len(values), dtype=np.uint64)[:, None], axis=0)
    return found
