"""Random arrays, products and operands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint import typical
from blueprint.arithmetic import floating, random_floats
from blueprint.arithmetic.floating import FloatFormat
from blueprint.arithmetic.processing import SERIAL
from blueprint.arithmetic.processing.resolving import MOST_PIECES
from blueprint.arithmetic.sparsity import Pattern, prune
from blueprint.families.systolic import elements, sparsity
from blueprint.families.systolic.parameters import ORGANIZATIONS, SystolicParameters
from blueprint.family import Arrays, Calibration
from blueprint.numbers import choose, larger, one_of
from blueprint.workloads.data import EVEN, Data
from blueprint.workloads.tasks import MANY_TOKENS, Gemm

Integers = npt.NDArray[np.int64]

#: Elements of each arithmetic from which random designs are drawn.
_ELEMENTS = {
    "integer": ("mac", "ternary", "ent", "booth_flex"),
    "carry_save": ("opt1", "opt2"),
    "serial": tuple(pe for pe in elements.KINDS if pe in SERIAL),
    "float": ("float", "ternary"),
}
#: Sizes from which random designs are drawn.
_SIZES = {
    "rows": (1, 2, 3, 4, 5),
    "cols": (1, 2, 3, 4, 6),
    "dot_length": (1, 1, 2, 3, 4),
    "act_width": (2, 3, 4, 5, 8, 8, 11, 16),
    "weight_width": (2, 2, 3, 4, 8, 8, 16),
    "k_max": (1, 3, 20, 64, 200),
    "n_max": (1, 4, 30, 100),
    "m_max": (1, 2, 7, MANY_TOKENS),
    "token_depth": (1, 2, 4, 7),
}

#: Share of designs without registers inside adders.
_WHOLE = 0.3
# The pool is small, because the adders of every design in it are planned bit by bit.
calibration = Calibration(arithmetics=tuple(_ELEMENTS), pool=1200)


def design(random: np.random.Generator) -> Mapping[str, Any]:
    """Consistent parameters of a random design; organizations and arithmetics are equally likely."""
    arithmetic = str(random.choice(calibration.arithmetics))
    pe = str(random.choice(_ELEMENTS[arithmetic]))
    # Few elements can be weight-stationary, so those are drawn more often that way.
    several = ORGANIZATIONS[1:] if pe in elements.SUMS_STAY else (*ORGANIZATIONS, *ORGANIZATIONS[:1] * 2)
    organization = "output_stationary" if pe == "opt3" else str(random.choice(several))
    fixed = {"organization": organization, "pe": pe}
    found = typical.random_design(
        SystolicParameters,
        lambda: consistent(fixed | _draw(random, arithmetic == "float")),
        _is_small,
    )
    return {**found, **_parted(found, random.spawn(1)[0])}


def _parted(found: Mapping[str, Any], random: np.random.Generator) -> dict[str, Any]:
    """Registers inside adders for most designs that can have them: of floats, or of results in carry-save form."""
    p = SystolicParameters.columns(found)
    if random.random() < _WHOLE:
        return {}
    if p.carry_save:
        width = p.sum_width(p.rows) if p.stationary else p.result_width
        return {"resolve_cycles": int(random.integers(1, min(width // 2, MOST_PIECES) + 1))}
    if p.floats * p.several_beats * (1 - p.stationary) and p.dot_length == 1:
        adders = int(random.integers(1, elements.MOST_ADDER_STAGES + 1))
        multiplies = p.pe == "float" and p.product_register
        products = int(random.integers(elements.MOST_PRODUCT_STAGES + 1)) if multiplies else 0
        return {"adder_stages": adders, "product_stages": products}
    return {}


def _draw(random: np.random.Generator, floats: bool) -> dict[str, Any]:
    """Random parameters except organization and element, each within its own limits."""
    chosen: dict[str, Any] = {
        "sparsity": str(random.choice(["dense", "dense", *sparsity.PATTERNS])),
        "activation": str(random.choice(tuple(floating.FORMATS))) if floats else "int",
        "acc_format": "same" if random.random() < 0.6 else str(random.choice(elements.SUMS)),
        "accumulator": str(random.choice(["auto", "auto", "sram"])),
        "product_register": bool(random.integers(2)),
        "acc_width": 0,
    }
    return chosen | {name: int(random.choice(choices)) for name, choices in _SIZES.items()}


def _is_small(p: SystolicParameters) -> bool:
    """True if a design is compiled and synthesized in seconds: few gates of products, wires and queues."""
    factor = p.act_width // 2 if p.selects else p.weight_width
    gates = p.act_width * factor * (4 if p.floats else 1) + 16 * p.result_width
    queues = p.serial * p.rows * p.act_lanes * (p.cols if p.waits else 1) * p.act_width * 16
    products = p.rows * p.cols * (p.element_digits if p.flexible else p.dot_length)
    return bool(products * gates <= 12_000 and p.act_bits * p.rows <= 500 and queues <= 8_000)


def consistent(table: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters, or columns of them, repaired so that related parameters agree."""
    found = dict(table)
    _fit_formats(found)
    _fit_weights(found)
    _fit_elements(found)
    return found


def _fit_formats(found: dict[str, Any]) -> None:
    """Number formats follow the element, widths the formats."""
    whole = found["activation"] == "int"
    floats = (found["pe"] == "float") | ((found["pe"] == "ternary") & (found["activation"] != "int"))
    found["activation"] = choose(floats, choose(whole, "bf16", found["activation"]), "int")
    width = floating.look_up(found["activation"], lambda fmt: fmt.width)
    found["act_width"] = choose(floats, width, found["act_width"])
    weight_width = choose(floats, width, found["weight_width"])
    found["weight_width"] = choose(found["pe"] == "ternary", 2, weight_width)
    found["acc_format"] = choose(floats, found["acc_format"], "same")
    found["acc_width"] = choose(floats, 0, found["acc_width"])


def _fit_weights(found: dict[str, Any]) -> None:
    """Words of weights and products per element follow element and organization."""
    flexible = found["pe"] == "booth_flex"
    even = larger(elements.LEAST_FLEXIBLE, found["weight_width"] + found["weight_width"] % 2)
    found["weight_width"] = choose(flexible, even, found["weight_width"])
    found["sparsity"] = choose(flexible, "dense", found["sparsity"])
    found["dot_length"] = choose(flexible, 1, found["dot_length"])
    kept = sparsity.kept(found["sparsity"])
    shared = (found["pe"] == "opt4e") & (kept < elements.SHARED_LANES)
    unit = choose(shared, elements.SHARED_LANES, kept)
    deep = choose(found["organization"] == "broadcast_matrix", 1, -(-found["dot_length"] // unit))
    found["dot_length"] = unit * deep


def _fit_elements(found: dict[str, Any]) -> None:
    """Rows, elements and registers of products follow the organization."""
    found["rows"] = choose(found["organization"] == "adder_tree", 1, found["rows"])
    alone = (found["pe"] == "opt3") & (found["organization"] != "output_stationary")
    found["pe"] = choose(alone, "opt4c", found["pe"])
    stays = found["organization"] == "weight_stationary"
    alike = (found["pe"] == "opt2") & (found["organization"] != "weight_stationary") & (found["rows"] > 1)
    never = one_of(found["pe"], SERIAL) | alike
    found["product_register"] = choose(never, False, found["product_register"])
    found["pe"] = choose(stays & one_of(found["pe"], elements.SUMS_STAY), "mac", found["pe"])


def task(p: SystolicParameters, random: np.random.Generator) -> Gemm:
    """A random product of sizes the design allows, often 1 in a dimension, of at most 500 cycles."""
    return typical.random_gemm(p, random, tokens=3 * p.group_m + 1, cycles=500)


def operands(p: SystolicParameters, task: Gemm, seed: int) -> Arrays:
    """``act`` of shape (m, k) and ``wgt`` of shape (k, n), floats as patterns, extremes included.

    Weights are as sparse as the array takes them.
    """
    random = np.random.default_rng(seed)
    sizes = (task.m, task.k), (task.k, task.n)
    if p.floats:
        fmt = floating.get(p.activation)
        act = _float_operands(fmt, random, sizes[0])
        wgt = random.integers(-1, 2, sizes[1]) if p.selects else _float_operands(fmt, random, sizes[1])
    else:
        act = _whole_operands(p.act_width, random, sizes[0])
        ternary = p.pe == "ternary" or (p.flexible and random.random() < 0.5)
        wgt = (
            random.integers(-1, 2, sizes[1]) if ternary else _whole_operands(p.weight_width, random, sizes[1])
        )
    return {"act": act, "wgt": _thinned(p, wgt, random)}


typical_task = typical.gemm


def typical_operands(p: SystolicParameters, task: Gemm, seed: int, data: Data = EVEN) -> Arrays:
    """Activations as ``data`` spreads them or normal floats of deviation 1; weights that a flexible element packs."""
    random = np.random.default_rng(seed)
    sizes = (task.m, task.k), (task.k, task.n)
    if p.floats:
        fmt = floating.get(p.activation)
        act, wgt = (floating.from_float64(fmt, random.standard_normal(shape)) for shape in sizes)
        wgt = data.ternary(random, sizes[1]) if p.selects else wgt
    else:
        act = data.whole(random, sizes[0], p.act_width)
        ternary = p.pe == "ternary" or p.flexible or p.weight_width == 1
        wgt = data.ternary(random, sizes[1]) if ternary else data.whole(random, sizes[1], p.weight_width)
    return {"act": act, "wgt": _thinned(p, wgt, random)}


def _thinned(p: SystolicParameters, wgt: Integers, random: np.random.Generator) -> Integers:
    """Weights of which only as many of each group are left as the array takes, whichever; the others are 0."""
    if not p.sparse:
        return wgt
    drawn = prune(1 + random.permutation(wgt.size).reshape(wgt.shape), Pattern(p.kept, p.group))
    return np.where(drawn > 0, wgt, 0)


def _whole_operands(width: int, random: np.random.Generator, shape: tuple[int, ...]) -> Integers:
    """Random two's complement numbers; a tenth are the most negative one."""
    low = -(1 << (width - 1))
    numbers: Integers = random.integers(low, -low, shape, dtype=np.int64)
    small = random.random(shape) < 0.4
    numbers = np.where(small, numbers >> (width // 2), numbers)
    return np.where(random.random(shape) < 0.1, low, numbers)


def _float_operands(fmt: FloatFormat, random: np.random.Generator, shape: tuple[int, ...]) -> Integers:
    """Random floats near one, so that sums round and cancel."""
    return random_floats.patterns(fmt, random, fmt.bias + random.integers(-3, 3, shape), rare=0.08)
