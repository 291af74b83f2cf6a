"""Number formats of activations, as the family's formulas need them: names in, numbers out, one or many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import FloatFormat
from blueprint.numbers import Number, choose, signed_width
from blueprint.spec import Rule

if TYPE_CHECKING:
    from blueprint.families.ternary_lut.spec import TernaryLutSpec

#: What an activation may be.
ACTIVATIONS = ("int", "fp16", "bf16", "fp8_e4m3", "fp8_e5m2")
#: What an exact sum may be rounded to.
RESULTS = ("same", "fp16", "bf16", "fp32")
#: Bits of the widest exact sum: float64 still holds its magnitude.
EXACT_LIMIT = 54
#: Bits of an activation that are too many for an exact sum; formulas of wider ones would overflow ``int64``.
FIXED_LIMIT = 43
#: The most registers inside a float adder.
STAGES_LIMIT = 8


def look_up(name: Any, value: Callable[[FloatFormat], int], other: Number = 0) -> Number:
    """``value`` of the float format called ``name``, ``other`` where it names none."""
    if isinstance(name, str):
        return value(floating.NAMED[name]) if name in floating.NAMED else other
    found = other
    for known, fmt in floating.NAMED.items():
        found = choose(name == known, value(fmt), found)
    return found


def fixed_width(fmt: FloatFormat) -> int:
    """Bits of a number as a multiple of the smallest, up to what is too many."""
    return min(fmt.max_fixed.bit_length() + 1, FIXED_LIMIT)


def held_bits(name: Any, stages: Number, pair: bool) -> Number:
    """Flip-flops inside one float adder, or one that gives sum and difference, with so many stages.

    Behind the steps stand: the ordered operands, the aligned significands, the totals, the normalized totals, the
    result. A format without infinities has no flag for them.
    """
    e, f = look_up(name, lambda fmt: fmt.exponent_bits), look_up(name, lambda fmt: fmt.fraction_bits)
    infinities = look_up(name, lambda fmt: int(fmt.infinities))
    paths = 2 if pair else 1
    signs = paths + 1  # one of every result, and whether those of the operands differ
    special = 1 + infinities * paths  # NaN and infinite; with infinities the results of a pair differ in NaN
    behind = (
        2 * (e + f) + signs,
        2 * f + 4 + 1 + e + signs + special,
        paths * (f + 4) - (paths - 1) + 1 + e + signs + special,
        paths * (e + f + 3) + signs + special,
        paths * (1 + e + f),
    )
    total: Number = 0
    for count in range(1, STAGES_LIMIT + 1):
        bits = sum(behind[cut - 1] for cut in floating.cuts(floating.ADD_DELAYS, count))
        total = total + choose(stages == count, bits, 0)
    return total


def exact_bits(p: TernaryLutSpec) -> int:
    """Bits of an exact sum of one design, however wide."""
    return int(signed_width(p.k_max << floating.get(p.activation).max_fixed.bit_length()))


def _message(p: TernaryLutSpec, name: str, text: str) -> str:
    return f"Parameter {name} {text.format(repr(getattr(p, name)))}"


def rules(p: TernaryLutSpec) -> Iterator[Rule]:
    """What fits which number format."""
    width = look_up(p.activation, lambda fmt: fmt.width)
    yield Rule(
        "act_width",
        (p.activation == "int") | (p.act_width == width),
        "act_width is not that of the float format",
        lambda: f"Activation width must be {width} for {p.activation}, not {p.act_width}",
    )
    for name, used, serves, fits in (
        ("exact", p.exact == 1, p.is_float, "float activations"),
        ("result_format", p.result_format != "same", p.fixed, "exact sums of float activations"),
        ("adder_stages", p.adder_stages > 0, p.floats, "float sums"),
    ):
        yield Rule(
            name,
            choose(used, 1, 0) <= choose(serves, 1, 0),
            f"{name} without {fits}",
            partial(_message, p, name, f"is for {fits} only, not {{}} here"),
        )
    for name, wrong, must in (
        ("reduction", p.reduction != "adder_tree", "adder_tree"),
        ("build_style", p.build_style == "direct", "shared or pipelined"),
        ("acc_width", p.acc_width != 0, "0"),
    ):
        yield Rule(
            name,
            choose(p.floats, 1, 0) * choose(wrong, 1, 0) == 0,
            f"{name} is not for float sums",
            partial(_message, p, name, f"must be {must} for float sums, not {{}}"),
        )
    yield Rule(
        "exact",
        (choose(p.fixed, 1, 0) == 0)
        | ((p.word_width < FIXED_LIMIT) & (p.needed_result_width <= EXACT_LIMIT)),
        "the exact sum is too wide",
        lambda: (
            f"Exact sums of {p.k_max} {p.activation} activations need {exact_bits(p)} bits; at most "
            f"{EXACT_LIMIT} are built"
        ),
    )
