"""Softmax attention from queries, keys and values to outputs, bit for bit, for each of the four graphs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic.softmax import steps, turns
from blueprint.arithmetic.softmax.arithmetic import Arithmetic, Scales
from blueprint.errors import ParamError

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: Number of products of queries and keys that are computed at one time, to bound memory.
CHUNK = 1 << 22
NOTHING = np.zeros((), dtype=np.int64)


def attend(
    a: Arithmetic, scales: Scales, q: Integers, k: Integers, v: Integers, order: npt.ArrayLike
) -> Integers:
    """Outputs, (rows, dim): int8 numbers or float patterns.

    ``q`` is (rows, dim), ``k`` and ``v`` are (keys, dim). ``order`` is (rows, n): the keys that a row sees, in the
    order in which they are processed; -1 is skipped. A row that sees nothing gives zeros. Raises ``ParamError`` for
    wrong shapes and for rows that see more than ``keys_max`` keys.
    """
    return trace(a, scales, q, k, v, order)["out"]


def trace(
    a: Arithmetic, scales: Scales, q: Integers, k: Integers, v: Integers, order: npt.ArrayLike
) -> dict[str, Integers]:
    """Every intermediate result by name.

    ``score``, ``t``, ``reference``, ``p`` are (rows, n), zero where skipped, ``w`` too where weights are divided first;
    ``l`` and ``r`` are (rows,), ``o`` and ``out`` are (rows, dim). ``saturated``, (rows,), is 1 for rows that left the
    range of the arithmetic somewhere. Arguments and errors are those of :func:`attend`.
    """
    q, k, v, keys = (np.asarray(array, np.int64) for array in (q, k, v, order))
    _check(a, q, k, v, keys)
    seen = keys >= 0
    place = np.maximum(keys, 0)
    score = np.where(seen, np.take_along_axis(scores(a, q, k), place, axis=1), 0)
    t = np.where(seen, steps.scale(a, scales, score), 0)
    reference = np.where(seen, _references(a, scales, t, seen), 0)
    found = {"score": score, "t": t, "reference": reference}
    found["p"] = np.where(seen, steps.exp2(a, t, reference), 0)
    found |= (
        _divided_first(a, scales, v[place], seen, found)
        if a.divides_first
        else _divided_last(a, scales, v[place], seen, found)
    )
    found["out"] = steps.finish(a, scales, found["o"], found["r"][:, None])
    found["saturated"] = _saturated(a, scales, v[place], seen, found)
    return found


def _saturated(
    a: Arithmetic, scales: Scales, values: Integers, seen: Flags, found: dict[str, Integers]
) -> Integers:
    """(rows,), 1 where the score or value of a seen key, or the reference, sum or result of the row is out of range."""
    keyed = steps.scale_saturates(a, scales, found["score"]) | steps.value_saturates(a, values).any(axis=2)
    if a.graph == "naive":
        keyed |= steps.weight_saturates(a, found["t"], found["reference"])
    lowest = -(1 << (a.reference_width - 1))
    last = np.where(seen, found["reference"], lowest).max(axis=1, initial=lowest)
    rows = steps.reference_saturates(last) | steps.sum_saturates(a, found["l"])
    results = steps.result_saturates(a, scales, found["o"], found["r"][:, None])
    some = seen.any(axis=1)
    return ((keyed & seen).any(axis=1) | (rows & some) | results.any(axis=1)).astype(np.int64)


def _check(a: Arithmetic, q: Integers, k: Integers, v: Integers, order: Integers) -> None:
    a.check()
    for name, array in (("q", q), ("k", k), ("v", v)):
        if array.ndim != 2 or array.shape[1] != a.dim:
            raise ParamError(f"{name} must have {a.dim} columns, not the shape {array.shape}")
    if k.shape != v.shape:
        raise ParamError(f"k and v must have the same shape, not {k.shape} and {v.shape}")
    if order.ndim != 2 or len(order) != len(q):
        raise ParamError(f"order must have {len(q)} rows, not the shape {order.shape}")
    if order.size and not -1 <= order.min() <= order.max() < len(k):
        raise ParamError(
            f"order must hold numbers from -1 to {len(k) - 1}, not {order.min()} to {order.max()}"
        )
    most = int((order >= 0).sum(axis=1).max(initial=0))
    if most > a.keys_max:
        raise ParamError(f"A row must see at most keys_max = {a.keys_max} keys, not {most}")


def scores(a: Arithmetic, q: Integers, k: Integers) -> Integers:
    """Words of the scores of all queries and keys, (rows, keys)."""
    if not a.is_float:
        # float64 adds integers below 2**53 exactly.
        return np.asarray(q.astype(np.float64) @ k.T.astype(np.float64)).astype(np.int64)
    rows = max(CHUNK // max(k.size, 1), 1)
    parts = [steps.score(a, q[low : low + rows, None], k[None]) for low in range(0, len(q), rows)]
    return np.concatenate(parts) if parts else np.zeros((0, len(k)), dtype=np.int64)


def _references(a: Arithmetic, scales: Scales, t: Integers, seen: Flags) -> Integers:
    if a.graph == "naive":
        return np.full(t.shape, scales.offset, dtype=np.int64)
    lowest = np.int64(-(1 << (a.reference_width - 1)))
    highest = np.maximum.accumulate(np.where(seen, steps.ceiling(a, t), lowest), axis=1)
    return highest if a.rescales else np.broadcast_to(highest[:, -1:], t.shape)


def _divided_first(
    a: Arithmetic, scales: Scales, values: Integers, seen: Flags, found: dict[str, Integers]
) -> dict[str, Integers]:
    p = found["p"]
    total = _Sums(a, (len(p),))
    for key in range(p.shape[1]):
        total.add(steps.add_weight, seen[:, key], NOTHING, p[:, key])
    weights = total.result()
    r = steps.reciprocal(a, scales, weights)
    w = np.where(seen, steps.normalize(a, p, r[:, None]), 0)
    output = _Sums(a, (len(p), a.dim))
    for key in range(p.shape[1]):
        term = steps.product(a, w[:, key, None], values[:, key])
        output.add(steps.add_value, seen[:, key], NOTHING, term)
    return {"l": weights, "r": r, "w": w, "o": output.result()}


def _divided_last(
    a: Arithmetic, scales: Scales, values: Integers, seen: Flags, found: dict[str, Integers]
) -> dict[str, Integers]:
    p, reference = found["p"], found["reference"]
    total, output = _Sums(a, (len(p),)), _Sums(a, (len(p), a.dim))
    before, shift = np.zeros(len(p), dtype=np.int64), np.zeros(len(p), dtype=np.int64)
    begun = np.zeros(len(p), dtype=bool)
    for key in range(p.shape[1]):
        here = seen[:, key]
        if a.rescales:
            shift = np.where(begun, steps.rescale_amount(a, reference[:, key], before), 0)
        # A skipped key changes nothing; its shift may be negative and is cleared.
        shift = np.where(here, shift, 0)
        term = steps.product(a, p[:, key, None], values[:, key])
        total.add(steps.add_weight, here, shift, p[:, key])
        output.add(steps.add_value, here, shift, term)
        before, begun = np.where(here, reference[:, key], before), begun | here
    weights = total.result()
    return {"l": weights, "r": steps.reciprocal(a, scales, weights), "o": output.result()}


class _Sums:
    """Running sums of rows, each of one number or of ``dim``; those of floats may be partial sums that take turns."""

    def __init__(self, a: Arithmetic, shape: tuple[int, ...]) -> None:
        self.arithmetic = a
        self.parts = [np.zeros(shape, dtype=np.int64) for _ in range(a.sum_stages + 1)]
        self.count = np.zeros(shape[0], dtype=np.int64)
        self.rows = (-1, *(1,) * (len(shape) - 1))

    def add(self, step: Callable[..., Integers], here: Flags, shift: Integers, term: Integers) -> None:
        """Move the sums of the rows that are ``here`` down, and add a term to the one whose turn it is."""
        a, sums = self.arithmetic, len(self.parts)
        shift = np.broadcast_to(shift, here.shape).reshape(self.rows)
        for number, part in enumerate(self.parts):
            turn = here & (self.count % sums == number)
            added = step(a, part, shift, term)
            moved = steps.lowered(a.sum_format, part, shift) if sums > 1 and a.rescales else part
            moved = np.where(here.reshape(self.rows), moved, part)
            self.parts[number] = np.where(turn.reshape(self.rows), added, moved)
        self.count = self.count + here

    def result(self) -> Integers:
        """The sums of all keys."""
        if len(self.parts) == 1:
            return self.parts[0]
        return turns.joined(self.arithmetic.sum_format, np.stack(self.parts), self.count)
