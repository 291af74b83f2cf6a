"""Hardware of the family ``ternary_lut``."""

from generator.ternary_lut.top import TernaryLut as Top

__all__ = ["Top"]
