"""Floating-point blocks: each operation as a chain of combinational steps and as a module with any number of stages."""

from generator.floating.add import FloatAdd
from generator.floating.coarse import CoarseAdd
from generator.floating.compare import FloatMax, FloatNegate
from generator.floating.convert import FloatConvert, FloatToInt, IntToFloat
from generator.floating.multiply import FloatMultiply

__all__ = [
    "CoarseAdd",
    "FloatAdd",
    "FloatConvert",
    "FloatMax",
    "FloatMultiply",
    "FloatNegate",
    "FloatToInt",
    "IntToFloat",
]
