"""Random ternary-LUT cores, products and operands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint import typical
from blueprint.arithmetic import floating, random_floats
from blueprint.arithmetic.floating import FloatFormat
from blueprint.families.ternary_lut.parameters import TernaryLutParameters
from blueprint.family import Arrays, Calibration
from blueprint.numbers import choose, larger
from blueprint.workloads.data import EVEN, Data
from blueprint.workloads.tasks import MANY_TOKENS, Gemm

#: Choices of designs of calibration and of random ones. Single-port accumulators are not drawn because they have their
#: own tests; neither they nor output tiles add a place that must be fitted.
_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "accumulator": ("auto", "registers", "sram"),
    "n_tile": (0,),
    "act_buffer": (False,),
    "carry_save_sums": (False,),
    "resolve_cycles": (1,),
    "reduction_stages": (0,),
}

#: Sums in carry-save form and registers inside the reduction have steps of their own, so calibration draws them.
_SAVED: Mapping[str, tuple[Any, ...]] = {
    "carry_save_sums": (False, True),
    "resolve_cycles": (1, 1, 2, 3),
    "reduction_stages": (0, 0, 1, 2),
}

#: Designs with more tables are too large, and counting their carry-save steps takes long.
_TABLES = (1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24)

calibration = Calibration(
    arithmetics=("integer", "exact", "float"),
    choices={**_CHOICES, **_SAVED, "lut_count": _TABLES},
)

#: Arithmetics of random designs, repeated by weight.
_ARITHMETIC = ("integer", "integer", "exact", "float", "float")

#: Sizes from which random designs are drawn.
_SIZES = {
    "mu": (1, 2, 2, 3, 3, 4, 5, 6),
    "lut_count": (1, 2, 3, 4, 5, 8),
    "fetch_count": (1, 2, 3, 4, 6, 8),
    "act_width": (2, 3, 4, 5, 8, 8, 11, 16),
    "k_max": (3, 20, 64, 200),
    "n_max": (1, 4, 30, 100),
    "m_max": (1, 2, 7, MANY_TOKENS),
    "token_lanes": (1, 1, 2, 3),
    "adder_stages": (0, 0, 1, 2, 3, 4, 6),
}

#: Share of random designs that keep all partial sums without need, and of those that keep one column group only.
_WHOLE, _NARROW = 0.1, 0.4
#: Share of random designs with carry-save accumulators where they can be, and the most cycles of their last addition.
_SAVING, _RESOLVES = 0.5, 4

Integers = npt.NDArray[np.int64]


def design(random: np.random.Generator) -> Mapping[str, Any]:
    """Parameters of a random design that compiles in seconds."""
    arithmetic = random.choice(_ARITHMETIC)
    found = typical.random_design(
        TernaryLutParameters,
        lambda: consistent(
            typical.random_parameters(TernaryLutParameters, random, _SIZES, _CHOICES) | {"acc_width": 0}
        ),
        lambda p: p.arithmetic == arithmetic and _is_small(p),
    )
    tiles = random.spawn(1)[0]
    found = {**found, **_output_tiles(TernaryLutParameters.columns(found), tiles)}
    return {**found, **_carry_save(found, tiles.spawn(1)[0])}


def _output_tiles(p: TernaryLutParameters, random: np.random.Generator) -> dict[str, Any]:
    """Output tiles for most designs that can have them: of one column group, or of any number."""
    if not p.accumulates or p.column_groups == 1 or random.random() < _WHOLE:
        return {}
    most = (p.column_groups - 1) * p.fetch_count
    n_tile = p.fetch_count if random.random() < _NARROW else int(random.integers(p.fetch_count, most + 1))
    return {"n_tile": n_tile, "act_buffer": bool(random.integers(2))}


def _carry_save(found: Mapping[str, Any], random: np.random.Generator) -> dict[str, Any]:
    """Carry-save accumulators for half of the designs that can have them, and registers inside the reduction."""
    p = TernaryLutParameters.columns(found)
    changed: dict[str, Any] = {}
    if (
        p.whole
        and p.accumulates
        and not p.in_sram
        and p.reduction == "carry_save"
        and random.random() < _SAVING
    ):
        most = min(p.result_width // 2, _RESOLVES)
        changed |= {"carry_save_sums": True, "resolve_cycles": int(random.integers(1, most + 1))}
        p = TernaryLutParameters.columns({**found, **changed})
    apart = p.saves or p.reduction_register or not p.accumulates
    if p.whole and p.reduction == "carry_save" and apart:
        changed["reduction_stages"] = int(random.integers(0, larger(p.offset_sums[0], 1)))
    return changed


def _is_small(p: TernaryLutParameters) -> bool:
    """True if a design compiles in seconds."""
    adders = p.lut_count * p.fetch_count * p.token_lanes * (1 if p.floats else 0)
    bits = p.entries * p.token_lanes * p.entry_width
    return p.peak_macs <= 150 and bits <= 4000 and adders <= 20


def consistent(table: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters, or columns of them, repaired so that those of a number format agree with the format."""
    found = dict(table)
    whole = found["activation"] == "int"
    floats = (found["activation"] != "int") & (found["exact"] == 0)
    width = floating.look_up(found["activation"], lambda fmt: fmt.width)
    found["act_width"] = choose(whole, found["act_width"], width)
    found["exact"] = choose(whole, False, found["exact"])
    found["result_format"] = choose(found["exact"], found["result_format"], "same")
    found["adder_stages"] = choose(floats, found["adder_stages"], 0)
    found["reduction"] = choose(floats, "adder_tree", found["reduction"])
    found["build_style"] = choose(
        floats, choose(found["build_style"] == "direct", "shared", found["build_style"]), found["build_style"]
    )
    found["acc_width"] = choose(floats, 0, found["acc_width"])
    return found


def task(p: TernaryLutParameters, random: np.random.Generator) -> Gemm:
    """A random product of sizes the design allows, often 1 in a dimension, of at most 600 cycles."""
    return typical.random_gemm(p, random, tokens=5, cycles=600)


def operands(p: TernaryLutParameters, task: Gemm, seed: int) -> Arrays:
    """``act`` of shape (m, k), floats as patterns, and ``wgt`` of shape (k, n); a tenth of ``act`` are extremes."""
    random = np.random.default_rng(seed)
    shape = (task.m, task.k)
    if p.is_float:
        act = _float_operands(floating.get(p.activation), random, shape)
    else:
        low, high = -(1 << (p.act_width - 1)), 1 << (p.act_width - 1)
        act = random.integers(low, high, shape, dtype=np.int64)
        act[random.random(shape) < 0.1] = low
    return {"act": act, "wgt": random.integers(-1, 2, (task.k, task.n), dtype=np.int64)}


typical_task = typical.gemm


def typical_operands(p: TernaryLutParameters, task: Gemm, seed: int, data: Data = EVEN) -> Arrays:
    """Activations as ``data`` spreads them, or normal floats of deviation 1, as a normalization leaves them."""
    random = np.random.default_rng(seed)
    shape = (task.m, task.k)
    if p.is_float:
        act = floating.from_float64(floating.get(p.activation), random.standard_normal(shape))
    else:
        act = data.whole(random, shape, p.act_width)
    return {"act": act, "wgt": data.ternary(random, (task.k, task.n))}


def _float_operands(fmt: FloatFormat, random: np.random.Generator, shape: tuple[int, ...]) -> Integers:
    """Random floats of similar magnitude, so that sums round and cancel."""
    middle = fmt.bias + random.integers(-2, 2)
    return random_floats.patterns(fmt, random, middle + random.integers(-3, 4, shape), rare=0.1)
