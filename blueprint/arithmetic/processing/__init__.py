"""Processing elements of an array: widths, values, cycles and inventory."""

from blueprint.arithmetic.processing.cascade import PASSING, Counts
from blueprint.arithmetic.processing.element import CARRY_SAVE, PES, SERIAL, Element
from blueprint.arithmetic.processing.golden import cycles_per_operand, digits_of, dot, masks, wrap
from blueprint.arithmetic.processing.inventory import (
    accumulate_units,
    encode_units,
    halves,
    merge_units,
    path,
    product_depth,
    product_units,
    queue_units,
    resolve_bits,
    resolve_units,
    select_units,
    state_units,
    step_units,
)

__all__ = [
    "CARRY_SAVE",
    "PASSING",
    "PES",
    "SERIAL",
    "Counts",
    "Element",
    "accumulate_units",
    "cycles_per_operand",
    "digits_of",
    "dot",
    "encode_units",
    "halves",
    "masks",
    "merge_units",
    "path",
    "product_depth",
    "product_units",
    "queue_units",
    "resolve_bits",
    "resolve_units",
    "select_units",
    "state_units",
    "step_units",
    "wrap",
]
