"""Hardware of family ``streaming_attention``."""

from generator.streaming_attention.top import StreamingAttention as Top

__all__ = ["Top"]
