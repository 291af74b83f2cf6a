"""Family ``ternary_lut``: ternary look-up-table matrix multiplication."""

from dataclasses import dataclass
from typing import ClassVar

from blueprint.families.ternary_lut import golden, inventory, ports, samples, schedule
from blueprint.families.ternary_lut.parameters import TernaryLutParameters
from blueprint.family import Facets
from blueprint.workloads.tasks import Gemm

__all__ = ["TernaryLutSpec"]


@dataclass(frozen=True, kw_only=True)
class TernaryLutSpec(TernaryLutParameters):
    """A ternary-LUT core."""

    facets: ClassVar[Facets[TernaryLutParameters, Gemm]] = Facets(ports, schedule, inventory, golden, samples)
