"""Pareto sets: non-dominated points, hypervolume, crowding and the knee.

Every function takes an array ``(points, objectives)`` in which **smaller is better**; :func:`oriented` makes one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Points compared at a time; bounds the memory of a comparison to ``_BLOCK * _BLOCK`` booleans.
_BLOCK = 1024
#: How many of the strongest points found so far are compared with all points that are left after each block.
_SIEVE = 32
#: Steps of two objectives each in which :func:`_undercut` sorts points, and points that say where the steps lie.
_STEPS, _SAMPLE = 128, 2048


def oriented(columns: Sequence[Floats], directions: Sequence[str]) -> Floats:
    """Objective columns as one array to be minimized: a column whose direction is ``max`` changes its sign."""
    signs = [-1.0 if direction == "max" else 1.0 for direction in directions]
    pairs = zip(signs, columns, strict=True)
    return np.stack([sign * np.asarray(column, dtype=np.float64) for sign, column in pairs], axis=1)


def sieve(points: Floats, strong: Floats) -> npt.NDArray[np.int64]:
    """Positions of the points that may be on the front of all of them and ``strong``, which is a front.

    Cheap and not exact: points dominated by some of the strongest are left out, others dominated may stay. Points with
    a NaN are left out.
    """
    left = np.flatnonzero(~np.isnan(points).any(axis=1))
    columns = np.ascontiguousarray(points[left].T)
    if points.shape[1] == 3:
        return _sieve_of_three(left, columns, np.ascontiguousarray(strong.T))
    for weights in _weights(points.shape[1]):
        if not len(left):
            break
        low = columns.min(axis=1, keepdims=True)
        span = columns.max(axis=1, keepdims=True) - low
        best = int(np.argmin(weights @ ((columns - low) / np.where(span > 0, span, 1.0))))
        left, columns = _passed(left, columns, columns[:, best][None])
    if len(strong):
        tried = np.linspace(0, len(strong) - 1, min(_SIEVE, len(strong))).astype(np.int64)
        left, _ = _passed(left, columns, strong[tried])
    return left


def _sieve_of_three(left: npt.NDArray[np.int64], columns: Floats, strong: Floats) -> npt.NDArray[np.int64]:
    """:func:`sieve` of columns of three objectives: each pair of them sorts the points into steps in turn."""
    for third in (2, 0, 1):
        if not len(left):
            break
        stay = ~_undercut(columns, strong, third)
        left, columns = left[stay], columns[:, stay]
    return left


def _undercut(columns: Floats, strong: Floats, third: int) -> Bools:
    """Mask of points that a point, or a strong one, dominates: it lies in a lower step of two objectives and is no
    higher in the third."""
    first, second = (row for row in range(3) if row != third)
    lowest = np.full((_STEPS + 2, _STEPS + 2), np.inf)  # lowest third objective in all lower steps of both
    sample = columns[:, :: max(1, columns.shape[1] // _SAMPLE)]
    places = []
    for row in (first, second):
        edges = np.sort(sample[row])[:: max(1, -(-sample.shape[1] // _STEPS))]
        edges[0] = columns[row].min()  # so that every point stands above a strong one that is below all
        places.append([np.searchsorted(edges, part[row], side="right") for part in (columns, strong)])
    (mine, theirs), (mine_2, theirs_2) = places
    for one, two, part in ((mine, mine_2, columns), (theirs, theirs_2, strong)):
        np.minimum.at(lowest.reshape(-1), (one + 1) * (_STEPS + 2) + two + 1, part[third])
    for axis in (0, 1):
        np.minimum.accumulate(lowest, axis=axis, out=lowest)
    bound = lowest.reshape(-1)[mine * (_STEPS + 2) + mine_2]
    return np.asarray((columns[third] >= bound) & (bound < np.inf))


def _weights(objectives: int) -> Floats:
    """Directions in which a strongest point is looked for: all objectives evenly, then each and each pair more."""
    even = np.ones((1, objectives))
    return np.concatenate([even, even + 9 * np.eye(objectives), even + 9 * (1 - np.eye(objectives))])


def _passed(
    left: npt.NDArray[np.int64], columns: Floats, strong: Floats
) -> tuple[npt.NDArray[np.int64], Floats]:
    """The points that none of the strong ones dominates."""
    for point in strong:
        worse, equal = np.ones(len(left), dtype=bool), np.ones(len(left), dtype=bool)
        for column, value in zip(columns, point, strict=True):
            worse &= column >= value
            equal &= column == value
        stay = ~worse | equal
        if not stay.all():
            left, columns = left[stay], columns[:, stay]
    return left, columns


def unique_rows(rows: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The distinct rows of a matrix without NaN in lexicographic order, and for each row its number among them.

    What ``np.unique`` gives with ``axis=0``, which turns an interrupt while it compares rows into a ``TypeError``.
    """
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    inverse = np.empty(len(rows), dtype=np.int64)
    inverse[order] = np.cumsum(new) - 1
    return ordered[new], inverse


def front_mask(points: Floats) -> Bools:
    """True for every point that no other one dominates.

    A point dominates another when it is nowhere worse and somewhere better, so equal points are all kept. Points with
    a NaN are never kept. Works in blocks ordered by the sum of ranks: whatever dominates a point stands before it.
    """
    points = np.asarray(points, dtype=np.float64)
    mask = np.zeros(len(points), dtype=bool)
    valid = np.flatnonzero(~np.isnan(points).any(axis=1))
    if not len(valid):
        return mask
    unique, inverse = unique_rows(points[valid])
    mask[valid] = _front_of_unique(unique)[inverse]
    return mask


def _front_of_unique(points: Floats) -> Bools:
    if points.shape[1] == 1:
        return np.asarray(points[:, 0] == points[:, 0].min())
    if points.shape[1] == 2:  # already in lexicographic order: keep every new minimum of the second objective
        best = np.minimum.accumulate(points[:, 1])
        return np.concatenate([[True], points[1:, 1] < best[:-1]])
    ranks = np.stack([np.unique(column, return_inverse=True)[1] for column in points.T], axis=1)
    order = np.argsort(ranks.sum(axis=1), kind="stable")
    ranks = np.ascontiguousarray(ranks[order])
    left = np.flatnonzero(~_dominated(ranks, ranks[:_SIEVE]))
    mask = np.zeros(len(points), dtype=bool)
    mask[order[left]] = (_front_of_three if points.shape[1] == 3 else _front_of_sorted)(ranks[left])
    return mask


def _front_of_three(ranks: npt.NDArray[np.int64]) -> Bools:
    """Front of distinct points in three objectives: a sweep along the first over a staircase of the other two."""
    mask = np.zeros(len(ranks), dtype=bool)
    ys, zs = [-1], [int(ranks.max(initial=0)) + 1]  # steps: y rising, z falling
    for row in np.lexsort(ranks.T[::-1]).tolist():
        y, z = int(ranks[row, 1]), int(ranks[row, 2])
        place = bisect_right(ys, y)
        if zs[place - 1] <= z:
            continue
        mask[row] = True
        start = place - 1 if ys[place - 1] == y else place
        end = place
        while end < len(ys) and zs[end] >= z:
            end += 1
        ys[start:end], zs[start:end] = [y], [z]
    return mask


def _front_of_sorted(ranks: npt.NDArray[np.int64]) -> Bools:
    """Front of distinct points in an order in which nothing is dominated by a later one."""
    mask = np.zeros(len(ranks), dtype=bool)
    left = np.arange(len(ranks))
    front = ranks[:0]
    while len(left):
        block, left = left[:_BLOCK], left[_BLOCK:]
        block = block[~_dominated(ranks[block], front)]
        block = block[~_dominated(ranks[block], ranks[block])]
        mask[block] = True
        front = np.concatenate([front, ranks[block]])
        left = left[~_dominated(ranks[left], ranks[block[:_SIEVE]])]
    return mask


def _dominated(points: npt.NDArray[np.int64], by: npt.NDArray[np.int64]) -> Bools:
    """Mask of points that a point of ``by`` dominates; no point of ``by`` may equal one of a different design."""
    result = np.zeros(len(points), dtype=bool)
    for start in range(0, len(by), _BLOCK):
        some = by[start : start + _BLOCK]
        alive = np.flatnonzero(~result)
        for first in range(0, len(alive), 4 * _BLOCK):
            rows = alive[first : first + 4 * _BLOCK]
            nowhere_worse = np.ones((len(rows), len(some)), dtype=bool)
            equal = np.ones((len(rows), len(some)), dtype=bool)
            for axis in range(points.shape[1]):
                mine, theirs = points[rows, axis][:, None], some[:, axis][None, :]
                nowhere_worse &= theirs <= mine
                equal &= theirs == mine
            result[rows] = (nowhere_worse & ~equal).any(axis=1)
    return result


def sort_fronts(points: Floats) -> npt.NDArray[np.int64]:
    """Number of the front of each point: 0 for the non-dominated ones, 1 for those that only these dominate, ..."""
    level = np.full(len(points), -1, dtype=np.int64)
    left = np.arange(len(points))
    number = 0
    while len(left):
        mask = front_mask(points[left])
        if not mask.any():  # only points with a NaN are left
            mask[:] = True
        level[left[mask]] = number
        left, number = left[~mask], number + 1
    return level


def crowding(points: Floats) -> Floats:
    """Crowding distance of NSGA-II within one front: infinite at the ends of an objective."""
    distance = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = np.inf
        if span > 0 and len(points) > 2:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def hypervolume(points: Floats, reference: Sequence[float]) -> float:
    """Volume that the points dominate up to ``reference``; a point that is worse than it in any objective adds nothing.

    Exact, by slicing along the last objective (Fonseca et al., CEC 2006); meant for fronts and 1 to 4 objectives.
    Raises ``ValueError`` for a reference of another length.
    """
    points = np.asarray(points, dtype=np.float64)
    limit = np.asarray(reference, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != len(limit):
        raise ValueError(
            f"Reference must have one number per objective ({points.shape[-1]}), not {len(limit)}"
        )
    inside = points[(points < limit).all(axis=1)]
    return _volume(inside[front_mask(inside)], limit)


def _volume(front: Floats, limit: Floats) -> float:
    if not len(front):
        return 0.0
    if front.shape[1] == 1:
        return float(limit[0] - front[:, 0].min())
    if front.shape[1] == 2:
        front = front[np.lexsort((front[:, 1], front[:, 0]))]
        heights = np.minimum.accumulate(front[:, 1])
        widths = np.diff(np.append(front[:, 0], limit[0]))
        return float(np.sum(widths * (limit[1] - heights)))
    front = front[np.argsort(front[:, -1], kind="stable")]
    depths = np.diff(np.append(front[:, -1], limit[-1]))
    slices = (_volume(front[: i + 1, :-1], limit[:-1]) * depth for i, depth in enumerate(depths) if depth > 0)
    return float(sum(slices))


def knee(front: Floats) -> int:
    """Position of the knee: the point nearest to the ideal one.

    Each objective is scaled so that its best value on the front is 0 and its worst is 1; the knee has the smallest
    Euclidean distance to the origin. The first of equals wins. Raises ``ValueError`` for an empty front.
    """
    if not len(front):
        raise ValueError("A front must have at least one point to have a knee, not 0")
    low, high = front.min(axis=0), front.max(axis=0)
    scaled = (front - low) / np.where(high > low, high - low, 1.0)
    return int(np.argmin(np.sqrt((scaled**2).sum(axis=1))))
