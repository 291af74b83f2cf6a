"""Beats of several fields, elements of several parts, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from blueprint.port import Stream
from blueprint.record import Field, Record

SCALE = Stream(
    "scale",
    "in",
    Record(
        (
            Field("multiplier", 24, signed=False),
            Field("shift", 6, signed=False, offset=32),
            Field("offset", 10, offset=48),
        ),
        least=96,
    ),
)


def test_fields_stand_at_their_offsets_and_the_rest_is_zero() -> None:
    values = {
        "multiplier": np.array([0xABCDEF, 1]),
        "shift": np.array([63, 2]),
        "offset": np.array([-3, 511]),
    }
    data = SCALE.pack_fields(values)
    assert data.shape == (2, 12)
    words = [int.from_bytes(beat.tobytes(), "little") for beat in data]
    assert words == [0xABCDEF | 63 << 32 | 0x3FD << 48, 1 | 2 << 32 | 511 << 48]
    for name, found in SCALE.unpack_fields(data).items():
        assert np.array_equal(found, values[name])


def test_a_beat_is_as_wide_as_its_last_field_or_as_asked() -> None:
    assert SCALE.width == 96
    assert Stream("s", "in", Record(SCALE.beat.fields)).width == 64
    assert Stream("s", "in", Record(SCALE.beat.fields[:1])).width == 24
    assert SCALE.beat["offset"].span == slice(48, 58)


def test_an_element_is_its_parts_side_by_side() -> None:
    digits, kind = Field("digits", 2, (3,)), Field("kind", 1, signed=False)
    word = Field("word", 7, (2,), signed=False, parts=Record((digits, kind)))
    given = np.array([[1, -1, 0], [0, 0, -1]])
    assert word.join(digits=given, kind=np.array([1, 0])).tolist() == [0b1001101, 0b0110000]
    assert word.join(digits=given, kind=np.array(1)).tolist() == [0b1001101, 0b1110000]


@pytest.mark.parametrize(("width", "offset"), [(8, 0), (8, 8), (5, 3)])
def test_one_field_packs_the_same_either_way(width: int, offset: int) -> None:
    stream = Stream("x", "out", Record((Field("v", width, (3,), offset=offset),)))
    values = np.random.default_rng(width).integers(-16, 16, (4, 3))
    assert np.array_equal(stream.pack(values), stream.pack_fields({"v": values}))
    assert np.array_equal(stream.unpack(stream.pack(values)), values)


def test_the_encoding_of_a_plain_field_is_that_of_its_numbers() -> None:
    plain = [
        Field("a", 4),
        Field("a", 4, signed=False),
        Field("a", 16, format="fp16"),
        Field("a", 4, encoding="key"),
    ]
    assert [field.code for field in plain] == ["twos_complement", "unsigned", "float", "key"]


def test_several_fields_are_not_one() -> None:
    with pytest.raises(ValueError, match=r"^Stream scale must have one field, not 3$"):
        _ = SCALE.field
    with pytest.raises(ValueError, match=r"^Stream scale must have one field, not 3$"):
        SCALE.pack(np.zeros((1, 1), np.int64))


def test_an_unknown_field_is_named_with_those_there_are() -> None:
    with pytest.raises(KeyError, match=r"Field must be one of multiplier, shift, offset, not 'gain'"):
        SCALE.beat["gain"]
    with pytest.raises(KeyError, match=r"Field must be one of digits, not 'kind'"):
        Field("word", 7, parts=Record((Field("digits", 2, (3,)),))).parts["kind"]


def test_a_field_without_a_record_has_no_place() -> None:
    field = Field("key", 4)
    with pytest.raises(ValueError, match=r"^Field key must be in a record before its bits have a place$"):
        field.word(np.array([3]))
    (placed,) = Record((field,))
    assert placed.word(np.array([3])).tolist() == [3]
