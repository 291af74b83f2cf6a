"""Batches of evaluated design points, and their encoding on disk."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dse.space import Indices

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Batch:
    """Design points with their metrics ``(points, names)``.

    ``reason`` is 0 for a feasible point, else the number of its reason in ``reasons`` (whose first is empty). A point
    that cannot be built has NaN for every metric; one that breaks a constraint has its numbers.
    """

    names: tuple[str, ...]
    indices: Indices
    metrics: Floats
    reason: npt.NDArray[np.uint16]
    reasons: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def feasible(self) -> npt.NDArray[np.bool_]:
        """Mask of points that can be built and satisfy every constraint."""
        return np.asarray(self.reason == 0)

    def column(self, name: str) -> Floats:
        """One metric of all points."""
        return self.metrics[:, self.names.index(name)]

    def columns(self) -> dict[str, Floats]:
        """Every metric by name."""
        return {name: self.metrics[:, place] for place, name in enumerate(self.names)}

    def pick(self, which: npt.NDArray[np.bool_] | Indices) -> Batch:
        """Select points by index."""
        return Batch(self.names, self.indices[which], self.metrics[which], self.reason[which], self.reasons)

    def reason_counts(self) -> dict[str, int]:
        """Number of points that each reason excludes."""
        counts = np.bincount(self.reason, minlength=len(self.reasons))
        return {text: int(n) for text, n in zip(self.reasons[1:], counts[1:], strict=True) if n}


def empty(names: tuple[str, ...]) -> Batch:
    """An empty batch."""
    return Batch(names, np.zeros(0, np.int64), np.zeros((0, len(names))), np.zeros(0, np.uint16), ("",))


def join(batches: list[Batch]) -> Batch:
    """Concatenate batches of one problem.

    Reasons are those that occur, in the order of their first points: the same points are the same batch, in whatever
    parts they were evaluated.
    """
    known: dict[str, int] = {"": 0}
    codes = []
    for batch in batches:
        new = np.array([known.setdefault(text, len(known)) for text in batch.reasons], dtype=np.uint16)
        codes.append(new[batch.reason])
    reason, reasons = _as_they_occur(np.concatenate(codes), tuple(known))
    return Batch(
        batches[0].names,
        np.concatenate([batch.indices for batch in batches]),
        np.concatenate([batch.metrics for batch in batches]),
        reason,
        reasons,
    )


def _as_they_occur(
    reason: npt.NDArray[np.uint16], reasons: tuple[str, ...]
) -> tuple[npt.NDArray[np.uint16], tuple[str, ...]]:
    """Reasons renumbered in the order of their first points, after the empty one; those of no point are left out."""
    places = {}
    for code in range(1, len(reasons)):
        mask = reason == code
        place = int(mask.argmax()) if len(mask) else 0
        if len(mask) and mask[place]:
            places[code] = place
    order = [0, *sorted(places, key=places.__getitem__)]
    new = np.zeros(len(reasons), dtype=np.uint16)
    new[order] = np.arange(len(order))
    return new[reason], tuple(reasons[code] for code in order)


def encode(batch: Batch) -> tuple[str, bytes]:
    """Header (JSON) and payload (zlib) of a batch; :func:`decode` restores it bit for bit.

    Consecutive indices are not stored. Metrics are stored for built points only, as differences between neighbors of
    the 64-bit patterns, byte by byte of their significance: neighbors in a space share most of their leading bytes.
    """
    first = int(batch.indices[0]) if len(batch) else 0
    consecutive = np.array_equal(batch.indices, np.arange(first, first + len(batch)))
    built = ~np.isnan(batch.metrics).all(axis=1)
    bits = np.ascontiguousarray(batch.metrics[built].T).view(np.uint64)
    parts = [
        b"" if consecutive else batch.indices.astype("<i8").tobytes(),
        batch.reason.astype("<u2").tobytes(),
        np.packbits(built).tobytes(),
        _shuffle(np.diff(bits, axis=1, prepend=np.uint64(0))),
    ]
    header = {
        "names": batch.names,
        "reasons": batch.reasons,
        "first": first if consecutive else None,
        "points": len(batch),
        "built": int(built.sum()),
        "counts": batch.reason_counts(),
    }
    return json.dumps(header), zlib.compress(b"".join(parts), 1)


def decode(header: str, payload: bytes) -> Batch:
    """The batch that :func:`encode` wrote. Raises ``ValueError`` for anything else."""
    try:
        facts = json.loads(header)
        data = zlib.decompress(payload)
        names, points, built_count = tuple(facts["names"]), facts["points"], facts["built"]
    except (zlib.error, KeyError, TypeError) as problem:
        raise ValueError(f"not a batch: {problem}") from None
    cursor = 0

    def take(kind: str, count: int) -> npt.NDArray[np.uint8]:
        nonlocal cursor
        part = np.frombuffer(data, dtype=kind, count=count, offset=cursor)
        cursor += part.nbytes
        return part

    if facts["first"] is None:
        indices = take("<i8", points).astype(np.int64)
    else:
        indices = np.arange(facts["first"], facts["first"] + points)
    reason = take("<u2", points).astype(np.uint16)
    built = np.unpackbits(take("u1", (points + 7) // 8), count=points).astype(bool)
    deltas = take("u1", 8 * built_count * len(names)).reshape(8, -1).T
    bits = np.ascontiguousarray(deltas).view("<u8").reshape(len(names), built_count)
    metrics = np.full((points, len(names)), np.nan)
    metrics[built] = np.cumsum(bits, axis=1, dtype=np.uint64).view(np.float64).T
    return Batch(names, indices, metrics, reason, tuple(facts["reasons"]))


def _shuffle(words: npt.NDArray[np.uint64]) -> bytes:
    return np.ascontiguousarray(words.astype("<u8").reshape(-1, 1).view(np.uint8).T).tobytes()
