"""Family ``ternary_lut``: ternary look-up-table matrix multiplication."""

from blueprint.families.ternary_lut.spec import TernaryLutSpec

__all__ = ["TernaryLutSpec"]
