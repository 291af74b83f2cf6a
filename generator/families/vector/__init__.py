"""Hardware of the family ``vector``."""

from generator.families.vector.top import VectorUnit as Top

__all__ = ["Top"]
