"""Processing elements of arrays, as blocks with one protocol."""

from generator.arithmetic.processing.select import ActivationSelect
from generator.arithmetic.processing.serial import DigitEncode, DigitQueue
from generator.arithmetic.processing.step import Accumulate, Merge, Pass, Product, Resolve, Step, Total, mark

__all__ = [
    "Accumulate",
    "ActivationSelect",
    "DigitEncode",
    "DigitQueue",
    "Merge",
    "Pass",
    "Product",
    "Resolve",
    "Step",
    "Total",
    "mark",
]
