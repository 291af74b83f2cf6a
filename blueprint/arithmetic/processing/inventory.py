"""Inventory of the blocks of an element; every formula holds for one design and for arrays of designs.

Adders are counted from the plan that the generator builds. Of the other units, an ``and_row`` multiplies bits, a
``digit_select`` selects one bit of a multiple, a ``digit_encoder`` makes one digit, a ``mux`` shifts, and a ``counter``
holds the highest bits of an accumulator.
"""

from __future__ import annotations

from functools import cache

from blueprint.arithmetic.processing.columns import Plan
from blueprint.arithmetic.processing.element import (
    ENCODINGS,
    Element,
    _look_up,
    groups,
    merge_plan,
    operand_rows,
    product_plan,
    step_plan,
    sum_format,
)
from blueprint.arithmetic.processing.resolving import MOST_PIECES, of_state
from blueprint.numbers import Number, Real, choose, clog2, flag
from blueprint.unit import (
    ADDER,
    AND_ROW,
    COMPRESSOR,
    COUNTER,
    DECODER,
    DIGIT_ENCODER,
    DIGIT_SELECT,
    FLOAT_ADDER,
    FLOAT_MULTIPLIER,
    HALF_ADDER,
    LOGIC,
    MUX,
    REGISTER,
    SELECT,
    XOR_ROW,
    Unit,
)

Units = tuple[Unit, ...]
#: Two-input gates of the queue of digits: those that choose the next digit, by digits, and the rest.
_DIGIT_GATES, _QUEUE_GATES = 6, 4
#: What :func:`_row_parts` counts, in its order; ``shift`` is the width of the multiplexers that shift.
_PARTS = ("and_row", "xor_row", "digit_select", "digit_encoder", "shift")


def step_units(element: Element, place: str, count: Number, activity: Real = 1.0) -> Units:
    """Units of the block Step, all of them logic."""
    return (
        *row_units(element, place, count, activity),
        *_adder_units(element, place, count, activity, _step_adders),
        *_float_units(element, place, count, activity, products=element.lanes, sums=element.lanes),
    )


def accumulate_units(
    element: Element, place: str, count: Number, activity: Real = 1.0, registered: Number = 0
) -> Units:
    """Units of the block Accumulate, with a register behind its products where ``registered`` is 1."""
    gated = element.state_bits + element.lanes * choose(
        element.serial == 1, element.digit_bits, element.a_bits
    )
    late = choose(element.floats, 2, 1) + element.product_bits
    return (
        *step_units(element, place, count, activity),
        AND_ROW(place, count, width=gated, activity=activity),
        REGISTER(place, count * registered, width=late, activity=activity),
        *state_units(element, place, count, activity),
    )


def product_units(element: Element, place: str, count: Number, activity: Real = 1.0) -> Units:
    """Units of the block Product, all of them logic."""
    return (
        *row_units(element, place, count, activity),
        *_adder_units(element, place, count, activity, _product_adders),
        *_float_units(element, place, count, activity, products=element.lanes, sums=element.lanes - 1),
    )


def merge_units(element: Element, place: str, count: Number, activity: Real = 1.0) -> Units:
    """Units of the block Merge, all of them logic."""
    return (
        *_adder_units(element, place, count, activity, _merge_adders),
        *_float_units(element, place, count, activity, products=0, sums=1),
    )


def resolve_units(element: Element, place: str, count: Number, activity: Real = 1.0) -> Units:
    """Units of the block Resolve; without width if the state is already the total."""
    both = (
        element.state_bits - element.total_width
    )  # columns with two bits; in the others only a carry passes
    return (
        ADDER(place, count, width=element.resolves * both, activity=activity),
        HALF_ADDER(place, count, width=element.resolves * (element.total_width - both), activity=activity),
    )


def resolve_bits(element: Element, cycles: Number) -> Number:
    """Flip-flops between the pieces of the addition of a state in carry-save form."""
    found: Number = 0
    for count, bits in enumerate(_look_up(element, _resolve_bits), start=1):
        found = found + bits * flag(cycles == count)
    return found


@cache
def _resolve_bits(element: Element) -> tuple[int, ...]:
    if not element.resolves:
        return (0,) * MOST_PIECES
    words = of_state(step_plan(element))
    return tuple(words.held(cycles) for cycles in range(1, MOST_PIECES + 1))


def state_units(element: Element, place: str, count: Number, activity: Real = 1.0) -> Units:
    """Flip-flops of the accumulator. Float accumulators have an enable; integer ones hold by adding zero."""
    dims = {"width": element.state_bits, "enable": element.floats, "reset": 0}
    return (REGISTER(place, count, **dims, activity=activity),)


def encode_units(element: Element, place: str, count: Number, activity: Real = 1.0) -> Units:
    """Units of the block DigitEncode: a conditional negation and one recoder per digit."""
    return (
        XOR_ROW(place, count, width=element.a_width, activity=activity),
        HALF_ADDER(place, count, width=element.a_width, activity=activity),
        DIGIT_ENCODER(place, count * element.digits, digits=1, activity=activity),
    )


def queue_units(element: Element, place: str, count: Number, activity: Real = 1.0) -> Units:
    """Units of the block DigitQueue, logic and flip-flops."""
    dense = flag(element.pe == "booth_serial")
    held = element.a_width + 1 - dense + element.digits
    return (
        *encode_units(element, place, count * (1 - dense), activity),
        REGISTER(place, count, width=held, enable=1, activity=activity),
        SELECT(place, count, entries=element.digits, width=2 + dense, activity=activity),
        LOGIC(place, count, gates=_DIGIT_GATES * element.digits + _QUEUE_GATES, activity=activity),
    )


def select_units(width: Number, group: Number, place: str, count: Number, activity: Real = 1.0) -> Units:
    """Units of the block ActivationSelect for ``group`` activations of ``width`` bits."""
    return (
        SELECT(place, count, entries=group, width=width, activity=activity),
        DECODER(place, count, inputs=clog2(group), outputs=group, activity=activity),
    )


def path(element: Element) -> Units:
    """Critical path through Step, from the operands to the next state."""
    shift, adders, carry = _look_up(element, _path)
    whole = 1 - element.floats
    steps = (
        MUX("pe", whole * flag(shift > 0), entries=shift + 1, width=1),
        DIGIT_SELECT("pe", whole, width=1),
        COMPRESSOR("pe", whole * adders, width=1),
        ADDER("pe", whole, width=carry),
        COUNTER("pe", whole * element.resolves, width=element.total_width),
        AND_ROW("pe", element.selects, width=1),
    )
    return (*steps, *_float_units(element, "pe", 1, 1.0, products=1, sums=1 + clog2(element.lanes)))


def _path(element: Element) -> tuple[int, ...]:
    if element.floats:
        return (0, 0, 0)
    plan = step_plan(element)
    shift = 2 * element.digits - 1 if element.serial else 0
    # Columns with one bit left are done: their carries went through the adders of the plan.
    done = next((column for column, bits in enumerate(plan.left) if len(bits) > 1), plan.low)
    return (shift, int(plan.depth), 0 if element.resolves else plan.width - done)


def halves(element: Element) -> tuple[Number, Number]:
    """Full adders in series in the blocks Product and Merge; 0 for elements without them in carry-save form."""
    product, merge = _look_up(element, _halves)
    return product, merge


@cache
def _halves(element: Element) -> tuple[int, ...]:
    if not element.resolves or element.serial:
        return 0, 0
    return max(int(plan.depth) for plan in product_plans(element)), int(merge_plan(element).depth)


def product_depth(element: Element) -> Number:
    """Full adders in series in front of the adder of the block Product; 0 for elements whose products have none."""
    (depth,) = _look_up(element, _product_depth)
    return depth


@cache
def _product_depth(element: Element) -> tuple[int]:
    if element.resolves or element.serial or element.floats:
        return (0,)
    return (int(product_plan(element).depth),)


def product_plans(element: Element, met: bool = False) -> tuple[Plan, ...]:
    """Reduction plans of the rows of the block Product, in carry-save form."""
    return (
        tuple(plan for *_, plan in groups(element, met)) if element.pe == "opt2" else (product_plan(element),)
    )


def row_units(element: Element, place: str, count: Number, activity: Real) -> Units:
    """Units that generate the partial products of ``count`` elements."""
    gates, flips, chosen, encoders, shifted = _look_up(element, _row_parts)
    entries = 2 * element.digits
    return (
        AND_ROW(place, count, width=gates, activity=activity),
        XOR_ROW(place, count, width=flips, activity=activity),
        DIGIT_SELECT(place, count, width=chosen, activity=activity),
        DIGIT_ENCODER(place, count, digits=encoders, activity=activity),
        MUX(place, count, entries=entries, width=shifted, activity=activity),
    )


@cache
def _row_parts(element: Element) -> tuple[int, ...]:
    """Widths of the gates in front of the adders, in the order of ``_PARTS``."""
    if element.floats:
        chosen = element.lanes if element.selects else 0
        return (chosen * element.b_width, chosen, *(0,) * (len(_PARTS) - 2))
    rows, _ = operand_rows(element)
    bits = sum(width for _, width in rows if width > 1 or ENCODINGS[element.pe] == "binary")
    match ENCODINGS[element.pe]:
        case "binary":
            return (bits, 0, 0, 0, 0)
        case "ternary":
            return (bits, bits, 0, 0, 0)
        case "serial":
            return (element.lanes * element.b_width, bits, 0, 0, bits)
        case "flex":
            spread = bits - element.digits * (element.b_width + 1)
            return (2 * spread, 0, bits, element.digits, 0)
        case "ent":
            return (0, 0, bits, 0, 0)
        case _:
            return (0, 0, bits, element.lanes * element.digits, 0)


def _adder_units(element: Element, place: str, count: Number, activity: Real, formula: object) -> Units:
    full, half, adder, counter = _look_up(element, formula)  # type: ignore[arg-type]
    return (
        COMPRESSOR(place, count, width=full, activity=activity),
        HALF_ADDER(place, count, width=half, activity=activity),
        ADDER(place, count, width=adder, activity=activity),
        COUNTER(place, count, width=counter, activity=activity),
    )


def _counts(plan: Plan, adder: int, counter: int) -> tuple[int, ...]:
    return plan.count("full"), plan.count("half", "half_one"), adder, counter


@cache
def _step_adders(element: Element) -> tuple[int, ...]:
    if element.pe == "opt2":
        pairs = zip(_product_adders(element), _merge_adders(element), strict=True)
        return tuple(one + other for one, other in pairs)
    return (0,) * 4 if element.floats else _sum_adders(element, step_plan(element))


@cache
def _merge_adders(element: Element) -> tuple[int, ...]:
    return (0,) * 4 if element.floats else _sum_adders(element, merge_plan(element))


def _sum_adders(element: Element, plan: Plan) -> tuple[int, ...]:
    if element.resolves:
        return _counts(plan, 0, plan.upper)
    return _counts(plan, sum(len(bits) > 1 for bits in plan.left), plan.upper)


@cache
def _product_adders(element: Element) -> tuple[int, ...]:
    if element.floats or element.serial:
        return (0,) * 4
    if element.pe == "opt2":
        counts = [_counts(plan, 0, 0) for _, _, plan in groups(element)]
        return tuple(sum(column) for column in zip(*counts, strict=True))
    plan = product_plan(element)
    return _counts(plan, 0 if element.resolves else sum(len(bits) > 1 for bits in plan.left), 0)


def _float_units(
    element: Element, place: str, count: Number, activity: Real, *, products: Number, sums: Number
) -> Units:
    exponent, fraction = _look_up(element, _format)
    dims = {"exponent": exponent, "fraction": fraction, "stages": 0}
    many = count * element.floats
    multiplied = many * products * (1 - element.selects)
    return (
        FLOAT_MULTIPLIER(place, multiplied, **dims, activity=activity),
        FLOAT_ADDER(place, many * sums, **dims, activity=activity),
    )


def _format(element: Element) -> tuple[int, ...]:
    if not element.floats:
        return (0, 0)
    fmt = sum_format(element)
    return (fmt.exponent_bits, fmt.fraction_bits)
