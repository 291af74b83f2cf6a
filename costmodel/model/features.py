"""Cost terms of every kind of unit, by one formula for one design or a million.

Cost of a unit = sum of coefficient x term; the coefficients belong to a technology and are fitted to synthesis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from blueprint.numbers import Number
from blueprint.unit import KINDS, Unit

Terms = Mapping[str, Callable[[Mapping[str, Number]], Number]]


def _log2(value: Number) -> Number:
    """Levels of two-input gates over `value` inputs, as a real number; 0 for up to one."""
    return np.log2(np.maximum(value, 1))


#: A float adder has two shifters over its significand and little else that grows.
_FLOAT: Terms = {
    "shift": lambda d: (d["fraction"] + 3) * _log2(d["fraction"] + 3),
    "fraction": lambda d: d["fraction"],
    "exponent": lambda d: d["exponent"],
    "one": lambda d: d["fraction"] > 0,
    # Between two registers lies the whole adder or a few of its steps: logic in series maps worse than apart.
    "joined": lambda d: (5 - np.minimum(d["stages"], 5)) * (d["exponent"] + d["fraction"]),
}

#: A float multiplier is that of its significands and two shifters.
_FLOAT_PRODUCT: Terms = {
    "square": lambda d: d["fraction"] ** 2,
    "shift": lambda d: d["fraction"] * _log2(d["fraction"]),
    "exponent": lambda d: d["exponent"],
    "one": lambda d: d["fraction"] > 0,
}

#: Area terms of one instance; an instance of width 0 costs nothing.
AREA: Mapping[str, Terms] = {
    "register": {
        "width": lambda d: d["width"],
        "enable": lambda d: d["width"] * d["enable"],
        "reset": lambda d: d["width"] * d["reset"],
    },
    # The lowest and the highest bit of a sum are less than full adders.
    "adder": {"width": lambda d: np.maximum(d["width"] - 2, 0), "one": lambda d: d["width"] > 0},
    "sign_adder": {"width": lambda d: d["width"]},
    "compressor": {"width": lambda d: d["width"]},
    "half_adder": {"width": lambda d: d["width"]},
    "mux": {
        "bits": lambda d: d["entries"] * d["width"],
        "width": lambda d: d["width"],
        "entries": lambda d: d["entries"] * (d["width"] > 0),
    },
    "select": {"bits": lambda d: d["entries"] * d["width"]},
    "decoder": {"outputs": lambda d: d["outputs"], "one": lambda d: d["outputs"] > 0},
    "xor_row": {"width": lambda d: d["width"]},
    "and_row": {"width": lambda d: d["width"]},
    "recoder": {
        "cross": lambda d: d["inputs"] * d["outputs"],
        "outputs": lambda d: d["outputs"],
    },
    "comparator": {"width": lambda d: d["width"]},
    "counter": {"width": lambda d: d["width"]},
    "digit_encoder": {"digits": lambda d: d["digits"]},
    "digit_select": {"width": lambda d: d["width"]},
    "float_multiplier": _FLOAT_PRODUCT,
    "float_adder": _FLOAT,
    "float_pair": _FLOAT,
    "to_fixed": {
        "shift": lambda d: d["outputs"] * _log2(d["outputs"]),
        "inputs": lambda d: d["inputs"],
    },
    "to_float": {
        "shift": lambda d: d["inputs"] * _log2(d["inputs"]),
        "outputs": lambda d: d["outputs"],
    },
    "logic": {"gates": lambda d: d["gates"]},
    "broadcast": {},
    "sram": {},
    "sram_1rw": {},
}

#: The term of energy that does not wait for activity: clock pins of registers switch every cycle.
CLOCK = "clock"

#: Energy terms of one operation of one instance: of many lines few switch, so some grow slower than area.
ENERGY: Mapping[str, Terms] = {
    **AREA,
    "register": {CLOCK: lambda d: d["width"], "width": lambda d: d["width"]},
    "adder": {"width": lambda d: d["width"]},
    "mux": {"levels": lambda d: d["width"] * _log2(d["entries"]), "width": lambda d: d["width"]},
    "select": {
        "bits": lambda d: d["entries"] * d["width"],
        "levels": lambda d: d["width"] * _log2(d["entries"]),
        "width": lambda d: d["width"],
    },
    "decoder": {
        "outputs": lambda d: d["outputs"],
        "inputs": lambda d: d["inputs"],
        "one": lambda d: d["outputs"] > 0,
    },
    "recoder": {"cross": lambda d: d["inputs"] * d["outputs"], "outputs": lambda d: d["outputs"]},
    "broadcast": {"fanout": lambda d: d["fanout"]},
}

#: Delay terms of one step of a path.
DELAY: Mapping[str, Terms] = {
    "register": {},
    "adder": {"width": lambda d: d["width"], "one": lambda d: d["width"] > 0},
    "sign_adder": {},
    "compressor": {"one": lambda d: d["width"] > 0},
    "half_adder": {"width": lambda d: d["width"]},  # a counter's carry
    "mux": {"levels": lambda d: _log2(d["entries"])},
    "select": {"levels": lambda d: _log2(d["entries"]), "one": lambda d: d["width"] > 0},
    "decoder": {"levels": lambda d: _log2(d["outputs"])},
    "xor_row": {"one": lambda d: d["width"] > 0},
    "and_row": {"one": lambda d: d["width"] > 0},
    "recoder": {"inputs": lambda d: d["inputs"]},
    "counter": {"width": lambda d: d["width"]},
    "digit_encoder": {"one": lambda d: d["digits"] > 0},
    "digit_select": {"one": lambda d: d["width"] > 0},
    "float_multiplier": {"fraction": lambda d: d["fraction"], "one": lambda d: d["fraction"] > 0},
    "float_adder": {"fraction": lambda d: d["fraction"], "one": lambda d: d["fraction"] > 0},
    "float_pair": {"fraction": lambda d: d["fraction"], "one": lambda d: d["fraction"] > 0},
    "to_fixed": {"one": lambda d: d["outputs"] > 0},
    "to_float": {"inputs": lambda d: d["inputs"]},
    "comparator": {"levels": lambda d: _log2(d["width"])},
    "logic": {"levels": lambda d: _log2(d["gates"])},
    "broadcast": {"levels": lambda d: _log2(d["fanout"])},
    "sram": {},
    "sram_1rw": {},
}

#: The delay term that counts once in a path, by its largest value: carries of adders in series ripple side by side.
OVERLAPPING = ("adder", "width")

#: Rough two-input gates of each area term, to keep designs small before anything is calibrated.
_ROUGH: Mapping[str, Mapping[str, float]] = {
    "register": {"width": 4.0, "enable": 2.0},
    "adder": {"width": 6.0},
    "sign_adder": {"width": 4.0},
    "compressor": {"width": 6.0},
    "half_adder": {"width": 3.0},
    "mux": {"bits": 1.5},
    "select": {"bits": 1.0},
    "decoder": {"outputs": 2.0},
    "xor_row": {"width": 2.0},
    "and_row": {"width": 1.0},
    "recoder": {"cross": 1.0},
    "counter": {"width": 4.0},
    "digit_encoder": {"digits": 8.0},
    "digit_select": {"width": 3.5},
    "float_multiplier": {"square": 6.0, "shift": 5.0, "exponent": 12.0},
    "float_adder": {"shift": 5.0, "fraction": 15.0, "exponent": 12.0},
    "float_pair": {"shift": 6.0, "fraction": 25.0, "exponent": 18.0},
    "to_fixed": {"shift": 3.0},
    "to_float": {"shift": 5.0},
    "comparator": {"width": 2.0},
    "logic": {"gates": 1.0},
}


def terms(unit: Unit, table: Mapping[str, Terms] = AREA) -> dict[str, Any]:
    """Values of the terms of a unit, summed over its instances."""
    return {name: unit.count * term(unit.dims) for name, term in table[unit.kind].items()}


def rough_gates(unit: Unit) -> Number:
    """Rough size of a unit in two-input gates, within a factor of two."""
    rough = _ROUGH.get(unit.kind, {})
    return sum(rough[name] * value for name, value in terms(unit).items() if name in rough)


assert set(AREA) == set(ENERGY) == set(DELAY) == set(KINDS)
