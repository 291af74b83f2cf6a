"""Quantization of activations to INT8 by the largest magnitude of a token, as BitNet b1.58 does it.

Ma et al., "The Era of 1-bit LLMs", 2024, section 2; the published code clamps the magnitude (``clamp(min=1e-5)``).
"""

#: The largest magnitude of a quantized element.
LEVELS = 127.0
#: Lower bound on the largest magnitude of a token, which keeps the scale of a token of zeros finite.
LEAST_ABSMAX = 1e-5
