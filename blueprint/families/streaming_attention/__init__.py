"""Family ``streaming_attention``: softmax attention as a streaming dataflow."""

from blueprint.families.streaming_attention.spec import StreamingAttentionSpec

__all__ = ["StreamingAttentionSpec"]
