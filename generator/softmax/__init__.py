"""Softmax attention in hardware: one block for each step of `blueprint.softmax.steps`, in any of the number formats."""

from generator.softmax.division import Normalize, Reciprocal, SerialReciprocal
from generator.softmax.output import Finish
from generator.softmax.scores import AddScore, ScaleScore, ScoreBeat
from generator.softmax.sums import Product, SumValues, SumWeights
from generator.softmax.weights import Exp2, RunningMax

__all__ = [
    "AddScore",
    "Exp2",
    "Finish",
    "Normalize",
    "Product",
    "Reciprocal",
    "RunningMax",
    "ScaleScore",
    "ScoreBeat",
    "SerialReciprocal",
    "SumValues",
    "SumWeights",
]
