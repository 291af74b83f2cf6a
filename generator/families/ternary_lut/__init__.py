"""Hardware of the family ``ternary_lut``."""

from generator.families.ternary_lut.top import TernaryLut as Top

__all__ = ["Top"]
