"""Batches of evaluated design points, and their encoding on disk."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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

    @property
    def built(self) -> npt.NDArray[np.bool_]:
        """Mask of points that can be built, whether they satisfy the constraints or not."""
        built = np.zeros(len(self), dtype=bool)
        left = np.arange(len(self))
        for column in self.metrics.T:  # the first one is nearly always enough
            has = ~np.isnan(column[left])
            built[left[has]] = True
            left = left[~has]
            if not len(left):
                break
        return built

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
    whole = _concatenated(batches)
    reason, reasons = _as_they_occur(whole.reason, whole.reasons)
    return Batch(whole.names, whole.indices, whole.metrics, reason, reasons)


def _concatenated(batches: Sequence[Batch]) -> Batch:
    """Batches one after the other, with the reasons of all of them, each once."""
    known: dict[str, int] = {"": 0}
    codes = []
    for batch in batches:
        new = np.array([known.setdefault(text, len(known)) for text in batch.reasons], dtype=np.uint16)
        same = np.array_equal(new, np.arange(len(new)))
        codes.append(batch.reason if same else new[batch.reason])
    if len(batches) == 1:  # nothing to copy
        return Batch(batches[0].names, batches[0].indices, batches[0].metrics, codes[0], tuple(known))
    return Batch(
        batches[0].names,
        np.concatenate([batch.indices for batch in batches]),
        np.concatenate([batch.metrics for batch in batches]),
        np.concatenate(codes),
        tuple(known),
    )


def _as_they_occur(
    reason: npt.NDArray[np.uint16], reasons: tuple[str, ...]
) -> tuple[npt.NDArray[np.uint16], tuple[str, ...]]:
    """Renumber reasons in the order of their first points, after the empty one; drop reasons that no point has."""
    places = {}
    for code in range(1, len(reasons)):
        mask = reason == code
        place = int(mask.argmax()) if len(mask) else 0
        if len(mask) and mask[place]:
            places[code] = place
    order = [0, *sorted(places, key=places.__getitem__)]
    if order == list(range(len(reasons))):
        return reason, reasons
    new = np.zeros(len(reasons), dtype=np.uint16)
    new[order] = np.arange(len(order))
    return new[reason], tuple(reasons[code] for code in order)


def drawn(indices: Indices, share: float) -> npt.NDArray[np.bool_]:
    """Mask of a sample of designs: always the same ones, without a pattern; a larger share includes smaller ones."""
    # Multiplicative hashing (Knuth): neighbors in the space get unrelated numbers below 2**32.
    tickets = (indices.astype(np.uint64) * np.uint64(2654435761)) & np.uint64(0xFFFFFFFF)
    return np.asarray(tickets < share * 2**32)


def encode(batch: Batch, share: float = 1.0) -> tuple[str, bytes]:
    """Header (JSON) and payload of a batch; :func:`decode` restores it bit for bit, or the ``share`` that is kept.

    Consecutive indices are not stored. Metrics are stored for built points only, as differences between neighbors of
    the 64-bit patterns, byte by byte of their significance: neighbors in a space share most of their leading bytes.
    These parts are compressed one by one where that makes them much smaller; noise takes long and shrinks little.
    """
    whole, batch = batch, batch if share >= 1 else batch.pick(np.flatnonzero(drawn(batch.indices, share)))
    first = int(batch.indices[0]) if len(batch) else 0
    consecutive = np.array_equal(batch.indices, np.arange(first, first + len(batch)))
    built = batch.built
    bits = np.ascontiguousarray(batch.metrics.T if built.all() else batch.metrics.T[:, built]).view(np.uint64)
    deltas = bits.copy()
    deltas[:, 1:] -= bits[:, :-1]
    planes = _planes(deltas.astype("<u8", copy=False))
    parts = [
        zlib.compress(b"" if consecutive else batch.indices.astype("<i8").tobytes(), 1),
        zlib.compress(batch.reason.astype("<u2").tobytes(), 1),
        zlib.compress(np.packbits(built).tobytes(), 1),
        *(_packed(row.tobytes()) for plane in planes for row in plane),
    ]
    header = {
        "names": batch.names,
        "reasons": batch.reasons,
        "first": first if consecutive else None,
        "points": len(whole),
        "kept": len(batch),
        "built": int(built.sum()),
        "counts": whole.reason_counts(),
    }
    lengths = np.array([len(part) for part in parts], dtype="<u4").tobytes()
    return json.dumps(header), b"".join([lengths, *parts])


#: Words whose bytes are sorted at a time: they fit a core's cache.
_SORTED = 4096


def _planes(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """The first bytes of all words, row by row, then the second ones, and so on."""
    planes = np.empty((8, *words.shape), dtype=np.uint8)
    for start in range(0, words.shape[1], _SORTED):
        some = np.ascontiguousarray(words[:, start : start + _SORTED])
        planes[:, :, start : start + _SORTED] = some.view(np.uint8).reshape(*some.shape, 8).transpose(2, 0, 1)
    return planes


def reunite(parts: Sequence[tuple[Mapping[str, Any], Batch]]) -> tuple[str, bytes]:
    """Encode a batch as :func:`encode` does, from the headers and contents of its encoded parts.

    What a part lists are the reasons of its points, kept or not, so together they are those of the batch.
    """
    whole = _concatenated([batch for _, batch in parts])
    text, payload = encode(whole)
    counts: Counter[str] = Counter()
    for header, _ in parts:
        counts.update(header["counts"])
    facts = json.loads(text)
    facts["points"] = sum(header["points"] for header, _ in parts)
    facts["counts"] = {reason: counts[reason] for reason in whole.reasons if counts[reason]}
    return json.dumps(facts), payload


def decode(header: str, payload: bytes) -> Batch:
    """The batch that :func:`encode` wrote. Raises ``ValueError`` for anything else."""
    try:
        facts = json.loads(header)
        names, points, built_count = tuple(facts["names"]), facts["kept"], facts["built"]
        parts = _parts(payload, 3 + 8 * len(names))
        first = facts["first"]
        if first is None:
            indices = np.frombuffer(zlib.decompress(parts[0]), "<i8").astype(np.int64)
        else:
            indices = np.arange(first, first + points)
        reason = np.frombuffer(zlib.decompress(parts[1]), "<u2").astype(np.uint16)
        built = np.unpackbits(np.frombuffer(zlib.decompress(parts[2]), np.uint8), count=points).astype(bool)
        rows = [np.frombuffer(_unpacked(part, built_count), np.uint8) for part in parts[3:]]
    except (zlib.error, KeyError, TypeError) as problem:
        raise ValueError(f"not a batch: {problem}") from None
    planes = np.array(rows, dtype=np.uint8).reshape(8, len(names), built_count)
    bits = np.ascontiguousarray(planes.transpose(1, 2, 0)).view("<u8").reshape(len(names), built_count)
    table = np.full((len(names), points), np.nan)
    table[:, built] = np.cumsum(bits, axis=1, dtype=np.uint64).view(np.float64)
    return Batch(names, indices, table.T, reason, tuple(facts["reasons"]))


#: Parts of bytes are tried on so many of them, and compressed where they become smaller than that share.
_TRIED, _WORTH = 2048, 0.2


def _packed(data: bytes) -> bytes:
    """Bytes compressed, or as they are where that gains little; their number tells which."""
    middle = data[len(data) // 2 :][:_TRIED]
    if len(data) <= _TRIED or len(zlib.compress(middle, 1)) <= _WORTH * len(middle):
        small = zlib.compress(data, 1)
        return small if len(small) < len(data) else data
    return data


def _unpacked(part: bytes, count: int) -> bytes:
    return part if len(part) == count else zlib.decompress(part)


def _parts(payload: bytes, count: int) -> list[bytes]:
    """The parts of a payload, whose lengths stand in front."""
    if len(payload) < 4 * count:
        raise ValueError(f"not a batch: {len(payload)} bytes are too few")
    ends = np.cumsum(np.frombuffer(payload, "<u4", count), dtype=np.int64) + 4 * count
    if ends[-1] != len(payload):
        raise ValueError(f"not a batch: {len(payload)} bytes must be {ends[-1]}")
    return [payload[start:end] for start, end in zip([4 * count, *ends[:-1]], ends, strict=True)]
