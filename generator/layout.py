"""Records as layouts of Amaranth: the hardware finds a field where the blueprint put it, by its name."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Shape, Value, signed, unsigned
from amaranth.lib import data

from blueprint.record import Field, Record
from generator.arithmetic.integers import parts


def layout(record: Record) -> data.Layout:
    """The layout of a record; fields without bits are present and empty."""
    fields = {field.name: data.Field(shape(field), field.offset) for field in record}
    return data.FlexibleLayout(record.width, fields)


def shape(field: Field) -> Any:
    """The shape of a field: nested arrays of its elements, last axis fastest."""
    found = element(field)
    for count in reversed(field.shape):
        found = data.ArrayLayout(found, count)
    return found


def element(field: Field) -> Any:
    """The shape of an element of a field: a record, an integer, or the pattern of a float."""
    if len(field.parts):
        return layout(Record(field.parts.fields, field.width))
    return (signed if field.signed and field.format == "int" else unsigned)(field.width)


def bits(value: Any) -> Value:
    """The bits of a value or of a view, without their meaning."""
    return Value.cast(value)


def viewed(shape: Any, value: Value) -> Any:
    """A value as its shape requires: a view for a layout, the value itself for a width."""
    return shape(value) if isinstance(shape, data.Layout) else value


def side_by_side(**values: Value) -> Any:
    """A view of values side by side in one word, lowest first; fields are the names of the values."""
    struct = data.StructLayout({name: len(value) for name, value in values.items()})
    return struct(Cat(*values.values()))


def array(values: Sequence[Any]) -> Any:
    """A view of values of one shape side by side in one word, element 0 lowest."""
    shape = values[0].shape()
    return data.ArrayLayout(shape, len(values))(Cat(*map(Value.cast, values)))


def elements(view: Any) -> list[Any]:
    """The elements of an array and of the arrays in it, last axis fastest, as their bits."""
    kind = view.shape()
    while isinstance(kind, data.ArrayLayout):
        kind = kind.elem_shape
    return parts(bits(view), Shape.cast(kind).width)


def some_of(record: Record, view: Any) -> Any:
    """The fields of a record out of a view that has them."""
    return joined(record, **{field.name: view[field.name] for field in record if field.bits})


def joined(record: Record, **values: Any) -> Any:
    """The record of these values, by name; fields without bits need none.

    Raises ``KeyError`` for one that is missing, ``ValueError`` for one that is not as wide as its field.
    """
    taken = [(field, Value.cast(values[field.name])) for field in record if field.bits]
    for field, value in taken:
        if len(value) != field.bits:
            raise ValueError(f"Field {field.name} must be given {field.bits} bits, not {len(value)}")
    return layout(record)(Cat(*(value for _, value in taken)))
