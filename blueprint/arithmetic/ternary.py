"""Ternary weights in hardware: groups, keys, and the order of table entries.

A group is ``mu`` weights. Digit ``d = 1 - w`` (so +1 is 0, 0 is 1, -1 is 2), first weight most significant, makes the
*raw* index in base 3. A *full* table has an entry per raw index. A *half* table keeps the first ``(3**mu - 1) / 2``
of them, those whose first non-zero weight is +1; the others are their negatives and the all-zero group is index
``E``, one past the last entry. Source: ternary LUT DSE (Geens et al., ISPASS 2026), key encoding of its generator.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.numbers import Number, bit_length, ceil_div, choose, clog2, smaller
from blueprint.record import Field, Place, Record

Integers = npt.NDArray[np.int64]

#: How a group of weights travels: name -> what it is.
ENCODINGS = {
    "sign_index": "half-table key {sign, index}: ceil(log2(E + 1)) + 1 bits per group",
    "full_index": "raw base-3 index: ceil(log2(3**mu)) bits per group",
    "two_bit": "two's complement weights, 2 bits each",
    "five_trits": "five weights per byte, 1.6 bits each, across the groups of a beat",
}


def half_entries(mu: Number) -> Number:
    """Entries of a half table, the zero entry not counted."""
    entries: Number = (3**mu - 1) // 2
    return entries


def sparse_keys(mu: int) -> bool:
    """True if a half table uses so few of its possible indices that fewer bits tell them apart.

    That is so for groups of 2 and 4, where it was measured to make fetches smaller; with other groups nearly every
    index occurs.
    """
    return mu in (2, 4)


@cache
def telling_bits(mu: int, index: int) -> tuple[int, ...]:
    """Smallest set of bits that tells ``index`` of a half table from every other index that occurs."""
    groups = half_entries(mu) + 1
    others = [index ^ other for other in range(groups) if other != index]
    width = clog2(groups)
    choices = (bits for count in range(1, width + 1) for bits in combinations(range(width), count))
    return next(bits for bits in choices if all(any(other >> bit & 1 for bit in bits) for other in others))


def entry_width(acts: Number, act_width: Number, half: Any) -> Number:
    """Bits of a signed sum of ``acts`` activations; ``half`` is 1 for a half table.

    Only a full table holds sums in which all activations are negated, which may need one bit more.
    """
    # The magnitude acts * 2**(act_width - 1) shifts the bits of acts by act_width - 1.
    return act_width + choose(half, clog2(acts), bit_length(acts))


#: Most activations that share a table.
MOST_ACTIVATIONS = 6
#: Number of ways to choose ``taken`` of ``p`` activations: ``COMBINATIONS[p, taken]``.
COMBINATIONS = np.array(
    [[comb(p, taken) for taken in range(MOST_ACTIVATIONS + 1)] for p in range(MOST_ACTIVATIONS + 1)]
)


def table_bits(acts: Number, act_width: Number, half: Any, limit: Number) -> Number:
    """Bits of all entries of a table of ``acts`` activations; each is as wide as its sum, at most ``limit`` bits."""
    total: Number = 0
    for taken in range(1, MOST_ACTIVATIONS + 1):
        mirrored = COMBINATIONS[acts, taken] * 2 ** (taken - 1)
        width = smaller(entry_width(taken, act_width, True), limit)
        # In a full table each sum has its negative; only the negative of an all-plus sum may need one bit more.
        negative = mirrored * width + COMBINATIONS[acts, taken] * (
            smaller(entry_width(taken, act_width, False), limit) - width
        )
        total = total + mirrored * width + choose(half, 0, negative)
    return total


@cache
def raw_weights(mu: int) -> Integers:
    """The weights of every raw index: shape ``(3**mu, mu)``."""
    raw = np.arange(3**mu)
    places = 3 ** np.arange(mu - 1, -1, -1)
    return 1 - raw[:, None] // places % 3


def key_width(encoding: Any, mu: Number) -> Number:
    """Bits of one group's key; for ``five_trits`` the bits of its weights before packing, 2 each."""
    half = clog2(half_entries(mu) + 1) + 1
    width = choose(encoding == "sign_index", half, choose(encoding == "full_index", clog2(3**mu), 2 * mu))
    return width


def beat_bits(encoding: Any, mu: Number, groups: Number) -> Number:
    """Bits of a weight beat of ``groups`` keys, before padding to bytes."""
    return choose(encoding == "five_trits", 8 * ceil_div(groups * mu, 5), groups * key_width(encoding, mu))


def key_field(encoding: str, mu: int, columns: int, tables: int, holds: Place | None = None) -> Field:
    """Field of a weight beat with one key per output column and table; ``holds`` maps keys to weights."""
    shapes: dict[str, dict[str, int]] = {
        "five_trits": {"byte": ceil_div(columns * tables * mu, 5)},
        "two_bit": {"column": columns, "table": tables, "place": mu},
    }
    axes = shapes.get(encoding, {"column": columns, "table": tables})
    name, width, signed = {"five_trits": ("byte", 8, False), "two_bit": ("weight", 2, True)}.get(
        encoding, ("key", key_width(encoding, mu), False)
    )
    index = Field("index", width - 1, signed=False, meaning="place in the half table")
    sign = Field("sign", 1, signed=False, meaning="1 where the entry is negated")
    return Field(
        name,
        width,
        tuple(axes.values()),
        signed,
        axes=tuple(axes),
        encoding="" if encoding == "two_bit" else encoding,
        meaning=meanings(mu)[encoding],
        holds=holds,
        parts=Record((index, sign) if encoding == "sign_index" else ()),
    )


def meanings(mu: int) -> dict[str, str]:
    """Meaning of an element of a weight beat, in a sentence, by encoding."""
    last, entries = 3**mu - 1, half_entries(mu)
    raw = f"raw = sum of (1 - w[i]) * 3**({mu - 1} - i) over the weights w[0] to w[{mu - 1}]"
    return {
        "sign_index": f"{raw}; index = raw and sign = 0 up to raw = {entries}, else index = {last} - raw and sign = 1",
        "full_index": f"{raw}; the key is raw",
        "two_bit": "one weight in two's complement: 01 is +1, 00 is 0, 11 is -1; 10 is no weight",
        "five_trits": (
            "sum of (1 - w[i]) * 3**(4 - i) over five weights w[0] to w[4] that follow one another in the order of "
            "columns, tables and places, across keys; weights beyond the last are 0 (digit 1)"
        ),
    }


def encode(weights: npt.NDArray[Any], encoding: str) -> Integers:
    """Field values of weight beats.

    ``weights`` has shape ``(beats, columns, tables, mu)`` with values -1, 0, 1; the result has the shape of
    :func:`key_field` with the beats in front. Raises ``ValueError`` for any other weight.
    """
    if weights.size and (weights.min() < -1 or weights.max() > 1):
        bad = weights[(weights < -1) | (weights > 1)].flat[0]
        raise ValueError(f"Ternary weight must be -1, 0 or 1, not {bad}")
    if encoding == "two_bit":
        return weights.astype(np.int64)
    if encoding == "five_trits":
        flat = weights.reshape(len(weights), -1)
        padded = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 5)))
        return _raw(padded.reshape(len(weights), -1, 5)).astype(np.int64)
    raw = _raw(weights)
    if encoding == "full_index":
        return raw.astype(np.int64)
    mu = weights.shape[-1]
    middle = (3**mu - 1) // 2
    sign = raw > middle
    index = np.where(sign, 3**mu - 1 - raw, raw)
    keys: Integers = index.astype(np.int64) + (sign.astype(np.int64) << (key_width("sign_index", mu) - 1))
    return keys


def decode(values: Integers, encoding: str, mu: int, columns: int, tables: int) -> npt.NDArray[np.int8]:
    """Weights ``(beats, columns, tables, mu)`` from field values: the inverse of :func:`encode`."""
    shape = (len(values), columns, tables, mu)
    if encoding == "two_bit":
        return values.astype(np.int8).reshape(shape)
    if encoding == "five_trits":
        trits = raw_weights(5)[np.minimum(values, 3**5 - 1)].reshape(len(values), -1)
        return trits[:, : columns * tables * mu].astype(np.int8).reshape(shape)
    if encoding == "full_index":
        return raw_weights(mu)[values].astype(np.int8).reshape(shape)
    top = key_width("sign_index", mu) - 1
    sign, index = values >> top, values & ((1 << top) - 1)
    weights = raw_weights(mu)[index].astype(np.int8)
    signed: npt.NDArray[np.int8] = np.where(sign[..., None] == 1, -weights, weights)
    return signed.reshape(shape)


def _raw(weights: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    mu = weights.shape[-1]
    raw = np.zeros(weights.shape[:-1], dtype=np.int16)
    for position in range(mu):
        raw *= 3
        raw += 1 - weights[..., position].astype(np.int16)
    return raw
