"""Family ``systolic``: arrays of processing elements that multiply matrices."""

from blueprint.families.systolic.spec import SystolicSpec

__all__ = ["SystolicSpec"]
