"""Which processing elements arrays are built of, and what fits which."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from blueprint.arithmetic import floating
from blueprint.arithmetic.processing import SERIAL, Element
from blueprint.arithmetic.processing.element import NUMBERS, exact
from blueprint.numbers import Number, choose
from blueprint.parameters import Rule

if TYPE_CHECKING:
    from blueprint.families.systolic.spec import SystolicSpec

#: Every element, and what it is in words.
KINDS = {
    "mac": "integer multiplier and carry-propagating accumulation",
    "ternary": "a ternary weight adds, subtracts or skips an activation, an integer or a float",
    "float": "float multiplier and float adder",
    "opt1": "integer multiplier, accumulation in carry-save form, one addition outside the array",
    "opt2": "the same with products of equal weight added first",
    "ent": "activations encoded as EN-T digits once, at the edge of the array",
    "booth_flex": "a Booth multiplier whose digits are those of one integer or as many ternary weights",
    "opt3": "one digit other than zero per cycle, every element with its own encoder",
    "opt4c": "one digit other than zero per cycle, from one encoder for a whole row",
    "opt4e": "the same with several lanes that share a compressor",
    "booth_serial": "one Booth digit per cycle, zero or not",
}
#: Elements that take several cycles for a beat, or whose weights say with every beat what they are.
SUMS_STAY = (*SERIAL, "booth_flex")
#: Elements whose encoded operand is the activation.
ENCODES_ACTIVATIONS = ("ent", *SERIAL)
#: Formats that floats may be added up in.
SUMS = ("same", *floating.FORMATS)


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


def element(p: SystolicSpec, total_width: Number) -> Element:
    """The element of a design, with sums of so many bits."""
    swapped = is_one_of(p.pe, ENCODES_ACTIVATIONS)
    a, b = choose(swapped, p.act_width, p.weight_width), choose(swapped, p.weight_width, p.act_width)
    return Element(p.pe, a, b, p.depth, total_width, p.activation, p.accumulate)


def _text(text: str, *values: Any) -> str:
    return text.format(*values)


def rules(p: SystolicSpec) -> Iterator[Rule]:
    """What fits what."""
    yield from _number_rules(p)
    yield from _shape_rules(p)
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
        "k_max",
        p.result_width <= 64,
        "a result needs more than 64 bits",
        lambda: f"Results must fit 64 bits, not {p.result_width}",
    )


def _number_rules(p: SystolicSpec) -> Iterator[Rule]:
    whole = choose(p.floats, 0, 1)
    width = look_up(p.activation, lambda fmt: fmt.width)
    yield Rule(
        "activation",
        choose(p.pe == "float", whole == 0, (whole == 1) | (p.pe == "ternary")),
        "only float and ternary elements take floats, and float elements nothing else",
        lambda: (
            f"Element {p.pe} must have {'float' if p.pe == 'float' else 'int'} numbers, not {p.activation}"
        ),
    )
    for name in ("act_width", "weight_width"):
        yield Rule(
            name,
            (whole == 1) | (getattr(p, name) == width) | _is_integer(p, name),
            f"{name} is not that of the float format",
            partial(
                _text, "Parameter {!r} must be {} for {}, not {}", name, width, p.activation, getattr(p, name)
            ),
        )
    yield Rule(
        "weight_width",
        (p.pe != "ternary") | (p.weight_width == 2),
        "ternary elements are for weights of 2 bits",
        lambda: f"Weights of ternary elements must have 2 bits, not {p.weight_width}",
    )
    yield Rule(
        "accumulate",
        (p.accumulate == "same") | _holds(p),
        "sums do not hold every number of the activations' format",
        lambda: (
            f"Parameter 'accumulate' must be same or a format that holds every {p.activation}, not {p.accumulate}"
        ),
    )


def _is_integer(p: SystolicSpec, name: str) -> Any:
    """Whether an operand is an integer whatever the activations are: a ternary weight."""
    return (p.pe == "ternary") & (name == "weight_width")


def _holds(p: SystolicSpec) -> Any:
    """Whether float activations are numbers of the format that they are added up in."""
    found: Any = p.accumulate == "nothing"
    for source in floating.FORMATS:
        for target in floating.FORMATS:
            if exact(source, target):
                found = found | ((p.activation == source) & (p.accumulate == target))
    return found


def _shape_rules(p: SystolicSpec) -> Iterator[Rule]:
    yield Rule(
        "depth",
        p.depth % p.kept == 0,
        "depth is not a multiple of the weights that travel of a group",
        lambda: f"Parameter 'depth' must be a multiple of {p.kept} for {p.sparsity} weights, not {p.depth}",
    )
    yield Rule(
        "depth",
        (p.pe != "opt4e") | (p.depth % 4 == 0),
        "opt4e shares a compressor between four lanes",
        lambda: f"Parameter 'depth' must be a multiple of 4 for opt4e, not {p.depth}",
    )
    flexible = choose(p.flexible, 1, 0)
    yield Rule(
        "depth",
        (flexible == 0) | ((p.depth == 1) & (p.group == 1)),
        "booth_flex has lanes of its own and takes dense weights",
        lambda: f"Element booth_flex must have depth 1 and dense weights, not {p.depth} and {p.sparsity}",
    )
    yield Rule(
        "weight_width",
        (flexible == 0) | ((p.weight_width % 2 == 0) & (p.weight_width >= 4)),
        "booth_flex needs an even weight_width of at least 4",
        lambda: f"Parameter 'weight_width' must be even and at least 4 for booth_flex, not {p.weight_width}",
    )
    yield Rule(
        "rows",
        (p.organization != "adder_tree") | (p.rows == 1),
        "an adder tree has one row",
        lambda: f"An adder tree must have 1 row, not {p.rows}",
    )
    yield Rule(
        "depth",
        (p.organization != "broadcast_matrix") | (p.depth == p.kept) | (p.pe == "opt4e"),
        "a broadcast matrix adds one group per element and cycle; a deeper one is a cube",
        lambda: f"A broadcast matrix must have depth {p.kept}, not {p.depth}; a deeper one is a cube",
    )
    yield Rule(
        "pe",
        choose(p.stationary, 1, 0) * choose(is_one_of(p.pe, SUMS_STAY), 1, 0) == 0,
        "where weights stay sums move every cycle, and what weights are stays too",
        lambda: (
            f"Element of weight_stationary must be one of {', '.join(k for k in KINDS if k not in SUMS_STAY)}, "
            f"not {p.pe}: a beat would take it several cycles, or its weights change their kind"
        ),
    )
    yield Rule(
        "pe",
        (p.pe != "opt3") | (p.organization == "output_stationary"),
        "where a row shares activations its queues would all be equal, and one does: opt4c",
        lambda: (
            f"Element opt3 must be in an output_stationary array, not in {p.organization}: a row's queues would "
            "all be equal there, and one for all of them is opt4c"
        ),
    )
    yield Rule(
        "product_register",
        choose(p.product_register, 1, 0) * choose(is_one_of(p.pe, SERIAL), 1, 0) == 0,
        "elements that take digits have no products to register",
        lambda: (
            f"Parameter 'product_register' must be false for {p.pe}: a digit makes no product to register"
        ),
    )
    yield Rule(
        "product_register",
        choose(p.product_register, 1, 0) * choose(_shares_signs(p), 1, 0) == 0,
        "the signs of opt2's digits would be registered in every row alike",
        lambda: (
            f"Parameter 'product_register' must be false for opt2 in an array of {p.rows} rows whose sums stay: the "
            "signs of its digits would be registered in every row alike"
        ),
    )


def _shares_signs(p: SystolicSpec) -> Any:
    """Whether several rows would register what the weights of one are: synthesis merges that."""
    return (p.pe == "opt2") & (p.organization != "weight_stationary") & (p.rows > 1)


FORMATS = NUMBERS
