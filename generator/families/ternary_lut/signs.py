"""The signed sums of a group of activations that a table holds."""

from amaranth.hdl import Value

from blueprint.arithmetic import ternary
from blueprint.families.ternary_lut import TernaryLutSpec

#: The weight -1, 0 or 1 of each activation of a sum, first activation first.
Signs = tuple[int, ...]
#: Sums by their signs.
Sums = dict[Signs, Value]


def label(signs: Signs) -> str:
    """The signs in the name of a signal: ``n``, ``0`` and ``p``."""
    return "".join("n0p"[sign + 1] for sign in signs)


def entry_signs(spec: TernaryLutSpec, index: int) -> Signs:
    """The signs of a table's entry; a full table has no entry for the sum of no activation, in its middle."""
    raw = index if spec.half or index < spec.entries // 2 else index + 1
    return tuple(ternary.raw_weights(spec.mu)[raw].tolist())
