"""Processing elements of arrays by name, and the number formats of their sums."""

from __future__ import annotations

from blueprint.arithmetic import floating
from blueprint.arithmetic.processing import SERIAL

#: Every element with its description.
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
#: Elements that take several cycles for a beat, or whose weights give their mode with every beat.
SUMS_STAY = (*SERIAL, "booth_flex")
#: Elements whose encoded operand is the activation.
ENCODES_ACTIVATIONS = ("ent", *SERIAL)
#: Formats of sums of floats.
SUMS = ("same", *floating.FORMATS)
#: Lanes of an opt4e element that share a compressor.
SHARED_LANES = 4
#: Bits of the narrowest weight word of a flexible element: two ternary weights.
LEAST_FLEXIBLE = 4
#: Registers that the steps of a float adder and of a float multiplier have room for.
MOST_ADDER_STAGES = 4
MOST_PRODUCT_STAGES = 4
