"""Staged fields of a system: containers, beats, depths, numbers, and which system cannot be staged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from blueprint import registry
from blueprint.errors import ParamError
from blueprint.record import Field
from blueprint.spec import Spec
from blueprint.systems import staging
from blueprint.systems.description import Buffers
from blueprint.systems.reader import read_system

PRESET = Path(__file__).resolve().parents[2] / "examples" / "tiny_decoder" / "system.yaml"
BUFFERS = Buffers(weights=16384, cache=4096, activations=65536)


def preset() -> dict[str, Spec]:
    return {name: unit.spec for name, unit in read_system(PRESET).units.items()}


def vector(**parameters: object) -> dict[str, Spec]:
    return {"vector": registry.get("vector")(**{"lanes": 4, "length_max": 64, **parameters})}


def by_name(fields: tuple[staging.Staged, ...]) -> dict[str, staging.Staged]:
    return {field.name: field for field in fields}


def test_fields_are_numbered_by_direction_in_the_order_of_units_streams_and_fields() -> None:
    units = dict(reversed(preset().items()))
    for fields in (staging.inputs(units, 64), staging.outputs(units, 64)):
        assert [field.number for field in fields] == list(range(len(fields)))
        places = [("load", "matrix", "attention", "vector").index(field.unit) for field in fields]
        assert places == sorted(places)
    names = [field.name for field in staging.inputs(preset(), 64)]
    assert names[:3] == ["matrix.act.activation", "matrix.wgt.byte", "attention.scale.multiplier"]
    assert staging.outputs(preset(), 64)[0].name == "matrix.out.result"


def test_sizes_of_the_preset_by_hand() -> None:
    inputs, outputs = (
        by_name(staging.inputs(preset(), 64, BUFFERS)),
        by_name(staging.outputs(preset(), 64, BUFFERS)),
    )
    # 8 columns of 16 tables of 3 weights, 5 to a byte: 77 bytes, in beats of 8.
    assert (inputs["matrix.wgt.byte"].beat_bytes, inputs["matrix.wgt.byte"].depth) == (80, 16384 // 80)
    assert (inputs["matrix.act.activation"].beat_bytes, inputs["matrix.act.activation"].depth) == (
        48,
        2 * 768 // 48,
    )
    assert (inputs["attention.key.key"].beat_bytes, inputs["attention.key.key"].depth) == (32, 2048 // 32)
    x, held = inputs["vector.x.x"], inputs["vector.x.row_scale"]
    assert (x.container, x.elements, x.beat_bytes, x.depth, x.held) == (4, 4, 16, 2 * 768 // 4, False)
    assert (held.container, held.elements, held.beat_bytes, held.held) == (4, 1, 4, True)
    quantized = outputs["vector.out.quantized"]
    assert (quantized.container, quantized.beat_bytes, quantized.depth) == (1, 4, 2 * 768 // 4)


def test_results_have_the_container_of_the_rows_that_they_become() -> None:
    both = by_name(staging.outputs(preset(), 64))
    assert (both["attention.out.result"].field.width, both["attention.out.result"].container) == (8, 4)
    alone = by_name(staging.outputs({"attention": preset()["attention"]}, 64))
    assert alone["attention.out.result"].container == 1


def test_a_single_number_has_at_least_the_container_that_movers_move() -> None:
    scale = by_name(staging.inputs(preset(), 64))["attention.scale.shift"]
    assert (scale.field.width, scale.container, scale.packed, scale.held) == (6, 4, False, False)


def test_one_field_of_a_stream_carries_its_end() -> None:
    carriers = [field.name for field in staging.inputs(preset(), 64) if field.carrier]
    assert carriers == [
        "matrix.act.activation", "matrix.wgt.byte", "attention.scale.multiplier", "attention.query.query",
        "attention.key.key", "attention.value.value", "vector.x.x", "vector.operand.operand", "vector.gain.gain",
    ]  # fmt: skip


def test_the_index_of_a_run_comes_once() -> None:
    found = by_name(staging.outputs(vector(dots=True), 64))
    assert (found["vector.out.dot"].held, found["vector.out.dot"].once) == (True, False)
    assert (found["vector.out.index"].held, found["vector.out.index"].once) == (False, True)


@pytest.mark.parametrize(
    ("bits", "width", "size"), [(1, 64, 1), (20, 64, 4), (64, 64, 8), (616, 64, 80), (616, 128, 80)]
)
def test_words_of_codes_are_powers_of_two_up_to_the_port_and_whole_beats_beyond(
    bits: int, width: int, size: int
) -> None:
    assert staging.code_bytes(bits, width) == size


def test_words_of_a_transfer_count_beats_of_the_wider_side() -> None:
    inputs, outputs = by_name(staging.inputs(preset(), 64)), by_name(staging.outputs(preset(), 64))
    assert inputs["vector.x.x"].words(64, 64) == 4  # 16 bytes a word
    assert inputs["vector.x.row_scale"].words(12, 64) == 2  # 8 bytes of the port a word
    assert outputs["vector.out.quantized"].words(12, 64) == 3  # a beat of 4 bytes a word


def test_beats_that_neither_divide_the_port_nor_are_multiples_are_refused() -> None:
    must = "a part or a multiple of the memory port's 8 bytes in memory"
    told = f"A beat of field x of vector must be {must}, not 12 bytes"
    with pytest.raises(ParamError, match=f"^{re.escape(told)}$"):
        staging.inputs(vector(lanes=3), 64)


def test_elements_without_a_container_are_refused() -> None:
    with pytest.raises(ParamError, match="^Elements of field wide must have at most 64 bits, not 65$"):
        staging.container_bits(Field("wide", 65, (2,)))
