"""Family ``systolic``: arrays of processing elements that multiply matrices."""

from dataclasses import dataclass
from typing import ClassVar

from blueprint.families.systolic import golden, inventory, ports, samples, schedule
from blueprint.families.systolic.parameters import SystolicParameters
from blueprint.family import Facets
from blueprint.workloads.tasks import Gemm

__all__ = ["SystolicSpec"]


@dataclass(frozen=True, kw_only=True)
class SystolicSpec(SystolicParameters):
    """An array of processing elements."""

    facets: ClassVar[Facets[SystolicParameters, Gemm]] = Facets(ports, schedule, inventory, golden, samples)
