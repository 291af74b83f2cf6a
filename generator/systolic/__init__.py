"""Hardware of the family ``systolic``."""

from generator.systolic.top import Systolic as Top

__all__ = ["Top"]
