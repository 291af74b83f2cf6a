"""Results written to beats as the streams declare are those that the family reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from blueprint import beats, registry
from blueprint.port import Stream
from blueprint.record import Field, Place, Record
from blueprint.spec import Spec

FAMILIES = registry.families()


def run(family: str, seed: int) -> tuple[Spec, Any, dict[str, Any], dict[str, Any]]:
    random = np.random.default_rng([11, seed])
    spec = FAMILIES[family].sample(random)
    task = spec.sample_workload(random)
    operands = spec.operands(task, seed)
    return spec, task, operands, dict(spec.reference(operands))


def changed(streams: tuple[Stream, ...], **values: Any) -> tuple[Stream, ...]:
    """Streams in which the first field of the results stands in other places."""
    found = []
    for stream in streams:
        first, *others = stream.beat
        if stream.name == "out":
            assert first.holds is not None
            first = replace(first, holds=replace(first.holds, **values))
        found.append(replace(stream, beat=Record((first, *others))))
    return tuple(found)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_family_reads_what_its_streams_declare(family: str) -> None:
    for seed in range(12):
        spec, task, operands, results = run(family, seed)
        sent = beats.written(spec.operation(), spec.streams(), operands, results)
        assert set(sent) == {stream.name for stream in spec.streams() if stream.direction == "out"}
        read = spec.collect(sent, task)
        for name, result in results.items():
            assert np.array_equal(read[name], result), (spec, task, name)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_stream_that_declares_other_places_is_noticed(family: str) -> None:
    differ = 0
    for seed in range(6):
        spec, task, operands, results = run(family, seed)
        place = next(stream for stream in spec.streams() if stream.direction == "out").beat.fields[0].holds
        assert place is not None
        *outer, last = place.index
        streams = changed(spec.streams(), index=(*outer, f"({last}) + 1"))
        read = spec.collect(beats.written(spec.operation(), streams, operands, results), task)
        differ += not np.array_equal(read["out"], results["out"])
    assert differ >= 3, "a row of one element, or of equal ones, may be the same"


def test_long_results_are_written_and_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    several = (run("ternary_lut", seed) for seed in range(40))
    spec, task, operands, results = next(one for one in several if one[3]["out"].size > 60)
    whole = beats.written(spec.operation(), spec.streams(), operands, results)["out"]
    assert len(whole) > 5
    monkeypatch.setattr("blueprint.beats.BITS_AT_ONCE", 2 * spec.stream("out").width)
    monkeypatch.setattr("blueprint.port.BITS_AT_ONCE", 2 * spec.stream("out").width)
    parts = beats.written(spec.operation(), spec.streams(), operands, results)["out"]
    assert np.array_equal(parts, whole)
    assert np.array_equal(spec.collect({"out": parts}, task)["out"], results["out"])


def test_an_expression_of_another_language_is_refused() -> None:
    spec, _, operands, results = run("ternary_lut", 0)
    streams = changed(spec.streams(), index=("token_group", "[0, 1][column]"))
    with pytest.raises(ValueError) as caught:
        beats.written(spec.operation(), streams, operands, results)
    assert str(caught.value) == "Expression of a result must be of plain arithmetic, not [0, 1][column]"


def test_elements_of_any_width_are_read_as_they_were_written() -> None:
    random = np.random.default_rng(5)
    for width in (1, 3, 8, 13, 16, 24, 32, 33, 63, 64):
        for signed in (False, True):
            low, high = (-(1 << width - 1), 1 << width - 1) if signed else (0, 1 << min(width, 62))
            values = random.integers(low, high, (5, 3), dtype=np.int64)
            field = Field("value", width, (3,), signed, holds=Place("value", ("0",)))
            stream = Stream("value", "out", Record((Field("before", 5, (), False), field)))
            data = stream.pack_fields({"before": np.arange(5), "value": values})
            assert np.array_equal(stream.unpack_fields(data)["value"], values), (width, signed)
