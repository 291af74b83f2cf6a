"""Family ``streaming_attention``: softmax attention as a streaming dataflow."""

from dataclasses import dataclass
from typing import ClassVar

from blueprint.families.streaming_attention import golden, inventory, ports, samples, schedule
from blueprint.families.streaming_attention.parameters import StreamingAttentionParameters
from blueprint.family import Facets
from blueprint.workloads.tasks import Attention

__all__ = ["StreamingAttentionSpec"]


@dataclass(frozen=True, kw_only=True)
class StreamingAttentionSpec(StreamingAttentionParameters):
    """A streaming attention core."""

    facets: ClassVar[Facets[StreamingAttentionParameters, Attention]] = Facets(
        ports, schedule, inventory, golden, samples
    )
