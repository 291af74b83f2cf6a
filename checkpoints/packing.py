"""The layouts in which files pack ternary codes, as NumPy code in both directions.

Codes are ``int8`` of -1, 0 and +1; fields of two bits hold them as 0, 1 and 2. Layouts and their sources:

* rows (Hugging Face, model type ``bitnet``): block ``i`` of four row blocks stands in bits ``2i`` of the same byte row;
* TQ2_0 (ggml type 35): 256 values in 66 bytes, half ``h``, field ``n``, byte ``m`` is element ``128h + 32n + m``;
* TQ1_0 (ggml type 34): 256 values in 54 bytes, five (or four) base-3 digits a byte, stored as ``ceil(v * 256 / 243)``;
* I2_S (bitnet.cpp, type 36): 128 values in 32 bytes, value ``j`` in byte ``j % 32`` at bits ``6 - 2 * (j // 32)``.

Blocks of TQ1_0 and TQ2_0 end with an FP16 scale, a tensor of I2_S with 32 bytes that begin with an FP32 scale.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int8]
Bytes = NDArray[np.uint8]

#: Values in a block of TQ1_0 and TQ2_0, and in a block of I2_S.
BLOCK, I2_S_BLOCK = 256, 128
#: Bytes of a block, its scale included.
BLOCK_BYTES = {"TQ1_0": 54, "TQ2_0": 66}
#: Bytes that follow the codes of an I2_S tensor, of which the first four are its scale.
I2_S_TRAILER = 32
_POWERS = (1, 3, 9, 27, 81)


def unpack_rows(packed: Bytes) -> Codes:
    """Codes (4 rows x columns) of bytes (rows x columns) in the row layout; a field of 3 becomes 2."""
    fields = [(packed >> shift) & 3 for shift in (0, 2, 4, 6)]
    return np.concatenate(fields).astype(np.int8) - np.int8(1)


def pack_rows(codes: Codes) -> Bytes:
    """Bytes of codes in the row layout; rows must be a multiple of four."""
    fields = (codes + 1).astype(np.uint8).reshape(4, -1, codes.shape[1])
    return _joined(fields, (0, 2, 4, 6))


def unpack_tq2_0(blocks: Bytes) -> Codes:
    """Codes (blocks x 256) of TQ2_0 blocks (blocks x 66 bytes); a field of 3 becomes 2."""
    halves = blocks[:, :64].reshape(-1, 2, 1, 32)
    fields = (halves >> np.array([0, 2, 4, 6], np.uint8).reshape(1, 1, 4, 1)) & 3
    return fields.reshape(-1, BLOCK).astype(np.int8) - np.int8(1)


def pack_tq2_0(codes: Codes, scales: NDArray[np.float16]) -> Bytes:
    """TQ2_0 blocks of codes (blocks x 256) with one scale each."""
    fields = (codes + 1).astype(np.uint8).reshape(-1, 2, 4, 32)
    packed = _joined(np.moveaxis(fields, 2, 0), (0, 2, 4, 6))
    return np.hstack([packed.reshape(-1, 64), _scale_bytes(scales)])


def unpack_tq1_0(blocks: Bytes) -> Codes:
    """Codes (blocks x 256) of TQ1_0 blocks (blocks x 54 bytes)."""
    parts = [
        _digits(blocks[:, :32], 5),
        _digits(blocks[:, 32:48], 5),
        _digits(blocks[:, 48:52], 4),
    ]
    return np.hstack(parts)


def pack_tq1_0(codes: Codes, scales: NDArray[np.float16]) -> Bytes:
    """TQ1_0 blocks of codes (blocks x 256) with one scale each."""
    parts = [
        _from_digits(codes[:, :160], 5),
        _from_digits(codes[:, 160:240], 5),
        _from_digits(codes[:, 240:], 4),
    ]
    return np.hstack([*parts, _scale_bytes(scales)])


def block_scales(blocks: Bytes) -> NDArray[np.float16]:
    """FP16 scale of each TQ1_0 or TQ2_0 block: its last two bytes."""
    return np.ascontiguousarray(blocks[:, -2:]).view("<f2").reshape(-1)


def unpack_i2_s(packed: Bytes) -> Codes:
    """Codes of the bytes of an I2_S tensor without its trailer; a field of 3 becomes 2."""
    groups = packed.reshape(-1, 1, 32)
    fields = (groups >> np.array([6, 4, 2, 0], np.uint8).reshape(1, 4, 1)) & 3
    return fields.reshape(-1).astype(np.int8) - np.int8(1)


def pack_i2_s(codes: Codes, scale: float) -> Bytes:
    """Bytes of an I2_S tensor with its trailer; the number of codes must be a multiple of 128."""
    fields = (codes.reshape(-1) + 1).astype(np.uint8).reshape(-1, 4, 32)
    packed = _joined(np.moveaxis(fields, 1, 0), (6, 4, 2, 0))
    trailer = np.zeros(I2_S_TRAILER, np.uint8)
    trailer[:4] = np.array([scale], "<f4").view(np.uint8)
    return np.concatenate([packed.reshape(-1), trailer])


def _digits(packed: Bytes, count: int) -> Codes:
    """Base-3 digits of bytes (blocks x width): digit ``n`` of byte ``m`` is element ``n * width + m``."""
    powers = np.array(_POWERS[:count], np.uint8).reshape(1, count, 1)
    rolled = packed[:, None, :] * powers  # modulo 256
    digits = (rolled.astype(np.uint16) * 3) >> 8
    return digits.reshape(len(packed), -1).astype(np.int8) - np.int8(1)


def _from_digits(codes: Codes, count: int) -> Bytes:
    """Bytes of base-3 digits; where a byte holds four, its fifth is 0."""
    digits = (codes + 1).astype(np.uint16).reshape(len(codes), count, -1)
    weights = np.array([81, 27, 9, 3, 1][:count], np.uint16).reshape(1, count, 1)
    values = (digits * weights).sum(axis=1, dtype=np.uint32)
    packed: Bytes = ((values * 256 + 242) // 243).astype(np.uint8)
    return packed


def _joined(fields: Bytes, shifts: tuple[int, ...]) -> Bytes:
    """Bytes of four fields of two bits, the first axis."""
    places = np.array(shifts, np.uint8).reshape(4, *[1] * (fields.ndim - 1))
    joined: Bytes = np.bitwise_or.reduce(np.left_shift(fields, places), axis=0)
    return joined


def _scale_bytes(scales: NDArray[np.float16]) -> Bytes:
    found: Bytes = scales.astype("<f2").reshape(-1, 1).view(np.uint8)
    return found
