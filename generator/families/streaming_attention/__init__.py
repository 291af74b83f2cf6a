"""Hardware of family ``streaming_attention``."""

from generator.families.streaming_attention.top import StreamingAttention as Top

__all__ = ["Top"]
