"""Streams in the manifest: the mapping from bits of beats to elements of operands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from blueprint.arithmetic import floating
from blueprint.port import GRAMMAR, LAST, Operand, Operation, Stream
from blueprint.record import Field, Place
from blueprint.spec import Spec


def boundary(spec: Spec) -> dict[str, Any]:
    """Keys of the manifest that describe the boundary of a design."""
    return {
        "operation": _operation(spec.operation()),
        "expressions": GRAMMAR,
        "streams": {stream.name: _stream(stream) for stream in spec.streams()},
        "formats": {name: _format(name) for name in sorted(set(_formats(spec)))},
    }


def _operation(operation: Operation) -> dict[str, Any]:
    return {
        "computes": operation.computes,
        "inputs": {operand.name: _operand(operand) for operand in operation.inputs},
        "outputs": {operand.name: _operand(operand) for operand in operation.outputs},
        "given": dict(operation.given),
        "where": dict(operation.where),
        "registers": dict(operation.registers),
    }


def _operand(operand: Operand) -> dict[str, Any]:
    return {"shape": list(operand.shape), "meaning": operand.meaning}


def _stream(stream: Stream) -> dict[str, Any]:
    return {
        "direction": stream.direction,
        "prefix": stream.prefix,
        "width": stream.width,
        "fields": [_field(field) for field in stream.beat],
        "beats": [
            {"loop": loop.name, "count": loop.count} | ({"where": dict(loop.where)} if loop.where else {})
            for loop in stream.beats
        ],
        "tlast": LAST,
    }


def _field(field: Field) -> dict[str, Any]:
    """A field, or a part of an element of one; keys that say nothing are left out."""
    more: dict[str, Any] = {"when": field.when} if field.when else {}
    if field.holds:
        more["holds"] = _place(field.holds)
    if len(field.parts):
        more["parts"] = [_field(part) for part in field.parts]
    return {
        "name": field.name,
        "width": field.width,
        "shape": list(field.shape),
        "signed": field.signed,
        "format": field.format,
        "offset": field.offset,
        "axes": list(field.axes),
        "encoding": field.code,
        "meaning": field.meaning,
        **more,
    }


def _place(place: Place) -> dict[str, Any]:
    more: dict[str, Any] = {"rank": place.rank} if place.rank else {}
    if place.members:
        more["members"] = {"axis": place.members[0], "count": place.members[1]}
    return {"operand": place.operand, "index": list(place.index), "beyond": place.beyond, **more}


def _formats(spec: Spec) -> Iterator[str]:
    for stream in spec.streams():
        for field in stream.beat:
            if field.format != "int":
                yield field.format


def _format(name: str) -> dict[str, Any]:
    """A float format: sign, exponent and fraction from the highest bit down."""
    found = floating.get(name)
    return {
        "width": found.width,
        "exponent_bits": found.exponent_bits,
        "fraction_bits": found.fraction_bits,
        "bias": found.bias,
        "infinities": found.infinities,
        "canonical_nan": found.canonical_nan,
    }
