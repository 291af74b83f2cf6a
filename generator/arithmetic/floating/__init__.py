"""Floating-point blocks: each operation as a chain of combinational steps and as a module with any number of stages."""

from generator.arithmetic.floating.add import FloatAdd
from generator.arithmetic.floating.both import FloatToBoth
from generator.arithmetic.floating.coarse import CoarseAdd
from generator.arithmetic.floating.compare import FloatMax, FloatNegate
from generator.arithmetic.floating.convert import FloatConvert, FloatToInt, IntToFloat
from generator.arithmetic.floating.fixed import FixedToFloat, FloatToFixed
from generator.arithmetic.floating.multiply import FloatMultiply, FloatProduct
from generator.arithmetic.floating.pair import FloatPair, pair_layout

__all__ = [
    "CoarseAdd",
    "FixedToFloat",
    "FloatAdd",
    "FloatConvert",
    "FloatMax",
    "FloatMultiply",
    "FloatNegate",
    "FloatPair",
    "FloatProduct",
    "FloatToBoth",
    "FloatToFixed",
    "FloatToInt",
    "IntToFloat",
    "pair_layout",
]
