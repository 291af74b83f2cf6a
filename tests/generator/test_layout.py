"""Records as layouts of Amaranth, and records made of values."""

from __future__ import annotations

import pytest
from amaranth.hdl import Const, Signal

from blueprint.families.streaming_attention import StreamingAttentionSpec
from blueprint.families.systolic import SystolicSpec
from blueprint.record import Field, Record, bits
from generator.layout import joined, layout, side_by_side

RECORD = Record((bits("first", 1), bits("none", 0), Field("number", 5), bits("lane", 3, 2, 4)))


def test_fields_stand_where_the_record_says() -> None:
    found = {name: (field.offset, field.width) for name, field in layout(RECORD)}
    assert found == {"first": (0, 1), "none": (1, 0), "number": (1, 5), "lane": (6, 24)}
    assert layout(RECORD).size == RECORD.width == 30


def test_a_field_is_signed_where_its_numbers_are_and_patterns_are_not() -> None:
    view = layout(Record((Field("a", 4), Field("b", 4, signed=False), Field("c", 16, format="fp16"))))(
        Signal(24)
    )
    assert [part.shape().signed for part in (view.a, view.b, view.c)] == [True, False, False]


@pytest.mark.parametrize("name", ["multiplier", "shift", "offset", "output_multiplier", "output_shift"])
def test_the_words_of_a_scale_beat_stand_where_the_stream_has_them(name: str) -> None:
    stream = StreamingAttentionSpec(dim=4, keys_max=16).stream("scale")
    field = dict(layout(stream.beat))[name]
    assert slice(field.offset, field.offset + field.width) == stream.beat[name].span


def test_parts_of_an_element_may_share_bits() -> None:
    spec = SystolicSpec(
        organization="output_stationary", pe="booth_flex", rows=2, cols=2, act_width=8, weight_width=8,
        k_max=64, n_max=64,
    )  # fmt: skip
    parts = spec.stream("wgt").field.parts
    found = {name: field.offset for name, field in layout(parts)}
    assert found == {"integer": 0, "digits": 0, "ternary": spec.weight_width}


def test_a_record_is_joined_in_its_own_order() -> None:
    given = {"lane": Const(0xABCDEF, 24), "number": Const(3, 5), "first": Const(1, 1), "other": Const(0, 9)}
    view = joined(RECORD, **given)
    assert [len(part) for part in view.as_value().parts] == [1, 5, 24]


def test_a_field_that_is_missing_or_of_another_width_is_refused() -> None:
    with pytest.raises(KeyError, match=r"^'number'$"):
        joined(RECORD, first=Const(1, 1), lane=Const(0, 24))
    with pytest.raises(ValueError, match=r"^Field number must be given 5 bits, not 4$"):
        joined(RECORD, first=Const(1, 1), number=Const(0, 4), lane=Const(0, 24))


def test_values_side_by_side_are_had_by_their_names() -> None:
    word = side_by_side(low=Signal(3), high=Signal(2))
    assert (len(word.low), len(word.high), word.shape().size) == (3, 2, 5)
