"""Hardware of the family ``systolic``."""

from generator.families.systolic.top import Systolic as Top

__all__ = ["Top"]
