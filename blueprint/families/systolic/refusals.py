"""Cross-checks of arrays: elements, accumulators, and registers inside adders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from blueprint.arithmetic.processing.element import WIDEST_TOTAL
from blueprint.families.systolic import elements
from blueprint.numbers import choose, flag, one_of
from blueprint.parameters import Rule


def of_elements(p: Any) -> Iterator[Rule]:
    """Cross-checks of elements: legal organizations, and elements with a product to register."""
    moving = ", ".join(kind for kind in elements.KINDS if kind not in elements.SUMS_STAY)
    yield Rule(
        "pe",
        p.stationary * one_of(p.pe, elements.SUMS_STAY) == 0,
        "where weights stay sums move every cycle, and what weights are stays too",
        lambda: (
            f"Element of weight_stationary must be one of {moving}, not {p.pe}: a beat would take it several "
            "cycles, or its weights change their kind"
        ),
    )
    yield Rule(
        "pe",
        (p.waits == 0) | (p.organization == "output_stationary"),
        "where a row shares activations its queues would all be equal, and one does: opt4c",
        lambda: (
            f"Element opt3 must be in an output_stationary array, not in {p.organization}: a row's queues would "
            "all be equal there, and one for all of them is opt4c"
        ),
    )
    yield Rule(
        "product_register",
        p.holds_products * p.serial == 0,
        "elements that take digits have no products to register",
        lambda: (
            f"Parameter 'product_register' must be false for {p.pe}: a digit makes no product to register"
        ),
    )
    # All rows would register the same signs, which depend on the shared weights alone, and synthesis merges them.
    shares_signs = flag((p.pe == "opt2") & (p.rows > 1)) * (1 - p.stationary)
    yield Rule(
        "product_register",
        p.holds_products * shares_signs == 0,
        "the signs of opt2's digits would be registered in every row alike",
        lambda: (
            f"Parameter 'product_register' must be false for opt2 in an array of {p.rows} rows whose sums stay: the "
            "signs of its digits would be registered in every row alike"
        ),
    )


def of_results(p: Any) -> Iterator[Rule]:
    """Cross-checks of accumulators and results: wide enough for any sum, at most one word."""
    needed = p.needed_result_width
    yield Rule(
        "acc_width",
        (p.acc_width == 0) | ((p.floats == 0) & (p.acc_width >= needed)),
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
        p.result_width <= WIDEST_TOTAL,
        f"a result needs more than {WIDEST_TOTAL} bits",
        lambda: f"Results must fit {WIDEST_TOTAL} bits, not {p.result_width}",
    )


def of_registers(p: Any) -> Iterator[Rule]:
    """Cross-checks of registers inside adders, multipliers and the addition of results."""
    single = (p.dot_length == 1) & (p.several_beats == 1)
    yield Rule(
        "adder_stages",
        (p.adder_stages == 0) | ((p.floats == 1) & (p.stationary == 0) & single),
        "adder_stages is for float sums of several beats that stay, of one product a beat",
        lambda: f"Parameter 'adder_stages' must be 0 {_unparted(p)}, not {p.adder_stages}",
    )
    yield Rule(
        "product_stages",
        (p.product_stages == 0) | ((p.pe == "float") & (p.adder_stages > 0) & (p.holds_products == 1)),
        "product_stages is for float multipliers with a register behind them and registers in their adders",
        lambda: (
            "Parameter 'product_stages' must be 0 without a float multiplier, product_register and adder_stages, not "
            f"{p.product_stages}"
        ),
    )
    width = choose(p.stationary, p.sum_width(p.rows), p.result_width)
    most = choose(p.carry_save, width // 2, 1)
    yield Rule(
        "resolve_cycles",
        p.resolve_cycles <= most,
        "resolve_cycles above half of a result's bits, or above 1 without sums in carry-save form",
        lambda: (
            f"Parameter resolve_cycles must be at most {most} (one for two bits of a result, and one for elements "
            f"whose sums are not in carry-save form), not {p.resolve_cycles}"
        ),
    )


def _unparted(p: Any) -> str:
    """Where no float adder may have registers, and why."""
    if not p.floats:
        return f"for {p.activation} numbers"
    if p.stationary:
        return "where weights stay: a tile is loaded as fast as sums pass down, and would wait for them"
    if p.dot_length > 1:
        return f"for dot_length {p.dot_length}: the products of a beat would be added in one cycle"
    return f"for k_max {p.k_max}: nothing is added to a sum of one beat"
