"""Hardware of the family ``binary_popcount``."""

from generator.families.binary_popcount.top import BinaryPopcount as Top

__all__ = ["Top"]
