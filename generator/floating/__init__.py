"""Floating-point blocks: each operation as a chain of combinational steps and as a module with any number of stages."""

from generator.floating.add import FloatAdd
from generator.floating.coarse import CoarseAdd
from generator.floating.compare import FloatMax, FloatNegate
from generator.floating.convert import FloatConvert, FloatToInt, IntToFloat
from generator.floating.fixed import FixedToFloat, FloatToFixed
from generator.floating.multiply import FloatMultiply
from generator.floating.pair import FloatPair

__all__ = [
    "CoarseAdd",
    "FixedToFloat",
    "FloatAdd",
    "FloatConvert",
    "FloatMax",
    "FloatMultiply",
    "FloatNegate",
    "FloatPair",
    "FloatToFixed",
    "FloatToInt",
    "IntToFloat",
]
