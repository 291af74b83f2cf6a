"""Family ``vector``: elementwise operations, RMSNorm and quantization of rows, streamed some lanes a cycle."""

from dataclasses import dataclass
from typing import ClassVar

from blueprint.families.vector import golden, inventory, ports, samples, schedule
from blueprint.families.vector.parameters import VectorParameters
from blueprint.family import Facets
from blueprint.workloads.tasks import Rowwise

__all__ = ["VectorSpec"]


@dataclass(frozen=True, kw_only=True)
class VectorSpec(VectorParameters):
    """A vector unit."""

    facets: ClassVar[Facets[VectorParameters, Rowwise]] = Facets(ports, schedule, inventory, golden, samples)
