"""Family ``binary_popcount``: products of binary activations and weights, counted and compared with a threshold."""

from dataclasses import dataclass
from typing import ClassVar

from blueprint.families.binary_popcount import golden, inventory, ports, samples, schedule
from blueprint.families.binary_popcount.parameters import BinaryPopcountParameters
from blueprint.family import Facets
from blueprint.workloads.tasks import Gemm

__all__ = ["BinaryPopcountSpec"]


@dataclass(frozen=True, kw_only=True)
class BinaryPopcountSpec(BinaryPopcountParameters):
    """A popcount core."""

    facets: ClassVar[Facets[BinaryPopcountParameters, Gemm]] = Facets(
        ports, schedule, inventory, golden, samples
    )
