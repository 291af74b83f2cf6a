"""What processing elements there are, and what fits which."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from blueprint import floating
from blueprint.numbers import Number, choose
from blueprint.spec import Rule

if TYPE_CHECKING:
    from blueprint.systolic.spec import SystolicSpec

#: Every element, and what it is in words.
KINDS = {
    "mac": "integer multiplier and carry-propagating accumulation",
    "select_add": "a ternary weight adds, subtracts or skips an activation",
    "float_mac": "float multiplier and float adder",
}
#: Elements whose sums are two words.
CARRY_SAVE = ("opt1",)
#: What numbers may be.
FORMATS = ("int", "fp16", "bf16", "fp8_e4m3", "fp8_e5m2")


def is_one_of(pe: Any, names: tuple[str, ...]) -> Any:
    """Whether an element is one of some, for one design or for many."""
    found = pe == names[0]
    for name in names[1:]:
        found = found | (pe == name)
    return found


def look_up(name: Any, value: Any, other: Number = 0) -> Number:
    """``value`` of the float format called ``name``, ``other`` where it names none."""
    if isinstance(name, str):
        return value(floating.NAMED[name]) if name in floating.NAMED else other
    found = other
    for known, fmt in floating.NAMED.items():
        found = choose(name == known, value(fmt), found)
    return found


def largest_product(p: SystolicSpec) -> Number:
    """The largest magnitude of a product of integers."""
    return 2 ** (p.act_width - 1 + choose(p.weight_width == 2, 0, p.weight_width - 1))


def rules(p: SystolicSpec) -> Iterator[Rule]:
    """What fits what."""
    whole = choose(p.floats, 0, 1)
    width = look_up(p.activation, lambda fmt: fmt.width)
    yield Rule(
        "activation",
        choose(p.floats, 1, 0) == choose(p.pe == "float_mac", 1, 0),
        "only a float_mac takes floats, and nothing else",
        lambda: f"Element {p.pe} must have {'float' if p.pe == 'float_mac' else 'int'} numbers, not {p.activation}",
    )
    for name in ("act_width", "weight_width"):
        yield Rule(
            name,
            (whole == 1) | (getattr(p, name) == width),
            f"{name} is not that of the float format",
            lambda name=name: f"Parameter {name!r} must be {width} for {p.activation}, not {getattr(p, name)}",  # type: ignore[misc]
        )
    yield Rule(
        "weight_width",
        (p.pe != "select_add") | (p.weight_width == 2),
        "select_add is for ternary weights",
        lambda: f"Element select_add must have ternary weights of 2 bits, not {p.weight_width}",
    )
    yield Rule(
        "depth",
        p.depth % p.kept == 0,
        "depth is not a multiple of the weights that travel of a group",
        lambda: f"Parameter 'depth' must be a multiple of {p.kept} for {p.sparsity} weights, not {p.depth}",
    )
    yield Rule(
        "rows",
        (p.organization != "adder_tree") | (p.rows == 1),
        "an adder tree has one row",
        lambda: f"An adder tree must have 1 row, not {p.rows}",
    )
    yield Rule(
        "depth",
        (p.organization != "broadcast_matrix") | (p.depth == p.kept),
        "a broadcast matrix adds one group per element and cycle; a deeper one is a cube",
        lambda: f"A broadcast matrix must have depth {p.kept}, not {p.depth}; a deeper one is a cube",
    )
    needed = p.needed_result_width
    yield Rule(
        "acc_width",
        choose(p.floats, p.acc_width == 0, (p.acc_width == 0) | (p.acc_width >= needed)),
        "the accumulator is too narrow",
        lambda: (
            f"Accumulator width must be 0 for floats, not {p.acc_width}"
            if p.floats
            else f"Accumulator width {p.acc_width} cannot hold {p.k_max} products of {p.act_width} by "
            f"{p.weight_width} bits; use at least {needed}"
        ),
    )
    yield Rule(
        "acc_width",
        (whole == 0) | (p.result_width <= 64),
        "a result needs more than 64 bits",
        lambda: f"Results must fit 64 bits, not {p.result_width}",
    )
