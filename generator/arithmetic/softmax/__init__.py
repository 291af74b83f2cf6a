"""Softmax attention in hardware: one block for each step of `arithmetic.softmax.steps`, in any number format."""

from generator.arithmetic.softmax.deep import DeepFinish, DeepScale, skewed
from generator.arithmetic.softmax.division import Normalize, Reciprocal, SerialReciprocal
from generator.arithmetic.softmax.output import Finish
from generator.arithmetic.softmax.scores import AddScore, ScaleScore, ScoreBeat
from generator.arithmetic.softmax.short import (
    ShortExp2,
    ShortNormalize,
    ShortProduct,
    ShortReciprocal,
    ShortScoreBeat,
)
from generator.arithmetic.softmax.sums import Product, SumValues, SumWeights, TurnSum
from generator.arithmetic.softmax.weights import Exp2, RunningMax

__all__ = [
    "AddScore",
    "DeepFinish",
    "DeepScale",
    "Exp2",
    "Finish",
    "Normalize",
    "Product",
    "Reciprocal",
    "RunningMax",
    "ScaleScore",
    "ScoreBeat",
    "SerialReciprocal",
    "ShortExp2",
    "ShortNormalize",
    "ShortProduct",
    "ShortReciprocal",
    "ShortScoreBeat",
    "SumValues",
    "SumWeights",
    "TurnSum",
    "skewed",
]
