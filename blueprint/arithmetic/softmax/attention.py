"""Softmax attention from queries, keys and values to outputs, bit for bit, for each of the four graphs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic.softmax import steps
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
    total = np.zeros(len(p), dtype=np.int64)
    for key in range(p.shape[1]):
        total = np.where(seen[:, key], steps.add_weight(a, total, NOTHING, p[:, key]), total)
    r = steps.reciprocal(a, scales, total)
    w = np.where(seen, steps.normalize(a, p, r[:, None]), 0)
    output = np.zeros((len(p), a.dim), dtype=np.int64)
    for key in range(p.shape[1]):
        term = steps.product(a, w[:, key, None], values[:, key])
        output = np.where(seen[:, key, None], steps.add_value(a, output, NOTHING, term), output)
    return {"l": total, "r": r, "w": w, "o": output}


def _divided_last(
    a: Arithmetic, scales: Scales, values: Integers, seen: Flags, found: dict[str, Integers]
) -> dict[str, Integers]:
    p, reference = found["p"], found["reference"]
    total = np.zeros(len(p), dtype=np.int64)
    output = np.zeros((len(p), a.dim), dtype=np.int64)
    before, shift = np.zeros(len(p), dtype=np.int64), np.zeros(len(p), dtype=np.int64)
    begun = np.zeros(len(p), dtype=bool)
    for key in range(p.shape[1]):
        here = seen[:, key]
        if a.rescales:
            shift = np.where(begun, steps.rescale_amount(a, reference[:, key], before), 0)
        # A skipped key changes nothing; its shift may be negative and is cleared.
        shift = np.where(here, shift, 0)
        term = steps.product(a, p[:, key, None], values[:, key])
        total = np.where(here, steps.add_weight(a, total, shift, p[:, key]), total)
        output = np.where(here[:, None], steps.add_value(a, output, shift[:, None], term), output)
        before, begun = np.where(here, reference[:, key], before), begun | here
    return {"l": total, "r": steps.reciprocal(a, scales, total), "o": output}
