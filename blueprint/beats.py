"""Results in beats, as a design declares its streams: the manifest's loops and places, for any family.

A family reads beats with NumPy code of its own (``Golden.collect``). The beats written here are another way to the same
values, so what comes back otherwise shows that the two disagree.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.numbers import ceil_div
from blueprint.port import BITS_AT_ONCE, Operation, Stream
from blueprint.record import Field, Octets

_Array = npt.NDArray[Any]

_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}  # fmt: skip
_COMPARED: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.Lt: operator.lt, ast.LtE: operator.le,
}  # fmt: skip
_CALLED: Mapping[str, Callable[[Any, Any], Any]] = {"min": np.minimum, "max": np.maximum}


def written(
    operation: Operation,
    streams: tuple[Stream, ...],
    operands: Mapping[str, _Array],
    results: Mapping[str, _Array],
) -> dict[str, Octets]:
    """The beats of every output stream, in which the results stand where the fields say; 0 in elements beyond them.

    ``operands`` give the sizes of the run.
    """
    sizes = _Names(operation.where)
    for operand in operation.inputs:
        if operand.name in operands:
            sizes |= zip(operand.shape, operands[operand.name].shape, strict=True)
    return {
        stream.name: np.concatenate(list(_parts(stream, sizes, results)))
        for stream in streams
        if stream.direction == "out"
    }


class _Names(dict[str, Any]):
    """Numbers by name, or arrays of them; a text is an expression of other names, evaluated when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        found = super().__getitem__(name)
        return _value(found, self) if isinstance(found, str) else found


def _parts(stream: Stream, sizes: _Names, results: Mapping[str, _Array]) -> Iterator[Octets]:
    """The beats of a stream in their order, some at a time."""
    counts = [int(_value(loop.count, sizes)) for loop in stream.beats]
    every, step = prod(counts), max(1, BITS_AT_ONCE // stream.width)
    for first in range(0, every, step):
        turns = np.unravel_index(np.arange(first, min(first + step, every)), counts)
        names = _Names(sizes)
        for loop, turn in zip(stream.beats, turns, strict=True):
            names[loop.name] = turn
            names |= loop.where
        yield stream.pack_fields(
            {field.name: _elements(field, names, len(turns[0]), results) for field in stream.beat}
        )


def _elements(field: Field, names: _Names, beats: int, results: Mapping[str, _Array]) -> _Array:
    """The values of a field in so many beats."""
    assert field.holds is not None  # every field of a result says which
    result, behind = np.asarray(results[field.holds.operand]), len(field.shape)
    here = _Names({
        name: value.reshape(-1, *(1,) * behind) if isinstance(value, np.ndarray) else value
        for name, value in names.items()
    })  # fmt: skip
    for place, (axis, size) in enumerate(zip(field.axes, field.shape, strict=True)):
        here[axis] = np.arange(size).reshape(-1, *(1,) * (behind - 1 - place))
    places = [np.asarray(_value(text, here)) for text in field.holds.index]
    inside = [(place >= 0) & (place < size) for place, size in zip(places, result.shape, strict=True)]
    taken = result[
        tuple(np.clip(place, 0, size - 1) for place, size in zip(places, result.shape, strict=True))
    ]
    there = reduce(operator.and_, inside, np.asarray(True))
    return np.broadcast_to(np.where(there, taken, 0), (beats, *field.shape))


def _value(text: str, names: _Names) -> Any:
    """An expression of :data:`blueprint.port.GRAMMAR` on numbers and arrays."""
    return _of(ast.parse(text, mode="eval").body, names)


def _of(node: ast.expr, names: _Names) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return names[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_of(operand, names)
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_of(left, names), _of(right, names))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return np.where(_of(test, names), _of(body, names), _of(orelse, names))
        case ast.Compare(left=left, ops=ops, comparators=others):
            values = [_of(each, names) for each in (left, *others)]
            pairs = zip(ops, pairwise(values), strict=True)
            return reduce(operator.and_, (_COMPARED[type(op)](*pair) for op, pair in pairs))
        case ast.Call(func=ast.Name(id="ceil"), args=[ast.BinOp(left=left, op=ast.Div(), right=right)]):
            return ceil_div(_of(left, names), _of(right, names))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return reduce(_CALLED[name], (_of(each, names) for each in arguments))
    raise ValueError(f"Expression of a result must be of plain arithmetic, not {ast.unparse(node)}")
