"""Layouts of packed codes: bit by bit against their definition, and against the package ``gguf``."""

from __future__ import annotations

from collections.abc import Callable

import gguf
import numpy as np
import pytest

from checkpoints import packing
from checkpoints.ternary import Codes

TYPES = {"TQ1_0": gguf.GGMLQuantizationType.TQ1_0, "TQ2_0": gguf.GGMLQuantizationType.TQ2_0}
UNPACK = {"TQ1_0": packing.unpack_tq1_0, "TQ2_0": packing.unpack_tq2_0}
PACK = {"TQ1_0": packing.pack_tq1_0, "TQ2_0": packing.pack_tq2_0}


def codes(*shape: int, seed: int = 1) -> Codes:
    return np.random.default_rng(seed).integers(-1, 2, shape).astype(np.int8)


def rows_by_definition(packed: np.ndarray, rows: int) -> Codes:
    """Row block ``i`` of four stands in bits ``2i``."""
    out = np.empty((4 * rows, packed.shape[1]), np.int8)
    for row in range(4 * rows):
        for column in range(packed.shape[1]):
            out[row, column] = (int(packed[row % rows, column]) >> 2 * (row // rows) & 3) - 1
    return out


def i2_s_by_definition(data: bytes, count: int) -> list[int]:
    """Value ``j`` of 128 in byte ``j % 32``, bits ``6 - 2 * (j // 32)``."""
    return [
        (data[index // 128 * 32 + index % 32] >> (6 - 2 * (index % 128 // 32)) & 3) - 1
        for index in range(count)
    ]


def test_rows_are_packed_by_blocks_of_rows() -> None:
    found = codes(12, 5)
    packed = packing.pack_rows(found)
    assert packed.shape == (3, 5)
    assert np.array_equal(rows_by_definition(packed, 3), found)
    assert np.array_equal(packing.unpack_rows(packed), found)


def test_rows_by_hand() -> None:
    assert packing.pack_rows(np.array([[-1], [0], [1], [1]], np.int8)).tolist() == [[0b10_10_01_00]]


def test_i2_s_by_definition() -> None:
    found = codes(3, 128)
    data = packing.pack_i2_s(found, 0.75)
    assert len(data) == 3 * 32 + 32
    assert i2_s_by_definition(data.tobytes(), 384) == found.reshape(-1).tolist()
    assert np.array_equal(packing.unpack_i2_s(data[:96]), found.reshape(-1))
    assert np.frombuffer(data[96:100].tobytes(), "<f4") == [0.75]
    assert not data[100:].any()


@pytest.mark.parametrize("kind", TYPES)
def test_blocks_are_those_of_gguf(kind: str) -> None:
    """The package quantizes to the same bytes and dequantizes ours to the same floats, zero blocks included."""
    found = codes(4, 512)
    found[1, :256] = 0
    weights = found * np.float32(0.625)
    theirs = gguf.quants.quantize(weights, TYPES[kind]).reshape(-1, packing.BLOCK_BYTES[kind])
    scales = packing.block_scales(theirs)
    assert scales.tolist() == [0.625, 0.625, 0.0, *[0.625] * 5]
    assert np.array_equal(UNPACK[kind](theirs).reshape(found.shape), found)
    ours = PACK[kind](found.reshape(-1, 256), scales)
    assert np.array_equal(ours, theirs)
    back = gguf.quants.dequantize(ours.reshape(4, -1), TYPES[kind])
    assert np.array_equal(back, weights)


@pytest.mark.parametrize("kind", TYPES)
def test_a_block_out_of_place_is_noticed(kind: str) -> None:
    """The failing twin: codes that are shifted by one column give other bytes."""
    found = codes(1, 256)
    scale = np.ones(1, np.float16)
    assert not np.array_equal(PACK[kind](found, scale), PACK[kind](np.roll(found, 1, axis=1), scale))


def test_every_byte_of_tq1_0_gives_codes() -> None:
    """Also bytes that no writer makes: the digits of a byte never leave -1 to 1."""
    blocks = np.tile(np.arange(256, dtype=np.uint8)[:, None], (1, 54))
    assert set(np.unique(packing.unpack_tq1_0(blocks))) == {-1, 0, 1}


@pytest.mark.parametrize(
    ("unpack", "width"),
    [
        (packing.unpack_rows, 4),
        (packing.unpack_tq2_0, 66),
        (lambda data: packing.unpack_i2_s(data[0, :32]), 66),
    ],
)
def test_the_fourth_value_of_a_field_is_seen(unpack: Callable[[packing.Bytes], Codes], width: int) -> None:
    """It is the code 2, which readers refuse."""
    assert unpack(np.full((1, width), 0xFF, np.uint8)).min() == 2
