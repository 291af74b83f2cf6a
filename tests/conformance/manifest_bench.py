"""A bench that knows a design by its ``manifest.json`` and its family's page alone.

It imports nothing of the blueprint. Beats are packed and results are read by what the manifest says of fields, loops
and places; values are computed naively: integers with NumPy, floats in float64 and rounded here, order as on the page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import product
from types import CodeType
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Names = dict[str, Any]

_KNOWN = {"__builtins__": {}, "ceil": math.ceil, "min": min, "max": max}


# Order and place ---------------------------------------------------------------------------------------------------


@cache
def _code(text: str) -> CodeType:
    return compile(text, "manifest", "eval")


def value(text: str, names: Names) -> int:
    """An expression of the manifest."""
    return int(eval(_code(text), _KNOWN, names))


def turns(loops: list[dict[str, Any]], names: Names) -> Iterator[Names]:
    """The names that hold in every beat, in the order of beats."""
    if not loops:
        yield names
        return
    first, *inner = loops
    for turn in range(value(first["count"], names)):
        here = {**names, first["loop"]: turn}
        for name, text in first.get("where", {}).items():
            here[name] = value(text, here)
        yield from turns(inner, here)


class Bench:
    """Packs and unpacks the beats of one design; ``names`` are the sizes of one run, operands by name with them."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        self.manifest = manifest
        self.streams: dict[str, dict[str, Any]] = manifest["streams"]

    def names(self, operands: Mapping[str, Array], more: Mapping[str, Any]) -> Names:
        """Sizes of a run from the shapes of its operands and what else is known."""
        operation = self.manifest["operation"]
        found: Names = dict(more)
        for name, operand in operation["inputs"].items():
            found |= zip(operand["shape"], np.shape(operands[name]), strict=True)
        for name, text in operation["where"].items():
            if name not in found:
                found[name] = value(text, found)
        return found

    def registers(self, names: Names) -> dict[str, int]:
        """What is written before the start."""
        return {name: value(text, names) for name, text in self.manifest["operation"]["registers"].items()}

    def beats(self, stream: str, names: Names) -> list[Names]:
        """What holds in every beat of a stream."""
        return list(turns(self.streams[stream]["beats"], names))

    def pack(self, stream: str, operands: Mapping[str, Array], names: Names) -> npt.NDArray[np.uint8]:
        """``tdata`` of every beat: ``(beats, bytes)``."""
        octets = self.streams[stream]["width"] // 8
        found = []
        for here in self.beats(stream, names):
            word = 0
            for field in self.streams[stream]["fields"]:
                for number, at in enumerate(_elements(field, here)):
                    bits = _encoded(field, operands, at)
                    word |= (bits & mask(field["width"])) << (field["offset"] + number * field["width"])
            found.append(list(word.to_bytes(octets, "little")))
        return np.array(found, np.uint8).reshape(len(found), octets)

    def unpack(self, stream: str, data: npt.NDArray[np.uint8], names: Names) -> dict[str, Array]:
        """Results by name; every element of them must have come exactly once."""
        outputs = self.manifest["operation"]["outputs"]
        found: dict[str, Array] = {}
        seen: dict[str, Array] = {}
        for beat, here in zip(data, self.beats(stream, names), strict=True):
            word = int.from_bytes(beat.tobytes(), "little")
            for field in self.streams[stream]["fields"]:
                name = field["holds"]["operand"]
                shape = tuple(value(text, names) for text in outputs[name]["shape"])
                into = found.setdefault(name, np.zeros(shape, np.int64))
                count = seen.setdefault(name, np.zeros(shape, np.int64))
                for number, at in enumerate(_elements(field, here)):
                    bits = (word >> (field["offset"] + number * field["width"])) & mask(field["width"])
                    place = tuple(value(text, at) for text in field["holds"]["index"])
                    if _inside(place, shape):
                        into[place] = number_of(bits, field)
                        count[place] += 1
        assert all((count == 1).all() for count in seen.values()), "a result is missing or came twice"
        return found


def mask(width: int) -> int:
    return (1 << width) - 1


def number_of(bits: int, field: Mapping[str, Any]) -> int:
    """The number that an element's bits are, a float's pattern as it is."""
    return bits - (1 << field["width"]) if field["signed"] and bits >> (field["width"] - 1) else bits


def _elements(field: Mapping[str, Any], names: Names) -> Iterator[Names]:
    """The names that hold in every element, last axis fastest."""
    for place in product(*(range(size) for size in field["shape"])):
        yield {**names, **dict(zip(field["axes"], place, strict=True))}


def _inside(place: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return all(0 <= index < size for index, size in zip(place, shape, strict=True))


def _taken(holds: Mapping[str, Any], operands: Mapping[str, Array], names: Names) -> int:
    """One element of an operand, or what is sent beyond it."""
    operand = operands[holds["operand"]]
    place = tuple(value(text, names) for text in holds["index"])
    return int(operand[place]) if _inside(place, operand.shape) else int(holds["beyond"])


# Encodings ---------------------------------------------------------------------------------------------------------


def _encoded(field: Mapping[str, Any], operands: Mapping[str, Array], names: Names) -> int:
    """The bits of an element."""
    holds = field["holds"]
    if "members" not in holds:
        taken = [_taken(holds, operands, names)]
    else:
        axis = holds["members"]["axis"]
        taken = [_taken(holds, operands, {**names, axis: n}) for n in range(holds["members"]["count"])]
    return ENCODINGS[field["encoding"]](field, taken, names)


def _plain(field: Mapping[str, Any], taken: list[int], names: Names) -> int:
    return taken[0]


def _parts(field: Mapping[str, Any], **values: int | list[int]) -> int:
    """The bits of an element from those of its parts."""
    word = 0
    for part in field["parts"]:
        given = values.get(part["name"], 0)
        for number, item in enumerate(given if isinstance(given, list) else [given]):
            word |= (item & mask(part["width"])) << (part["offset"] + number * part["width"])
    return word


def _raw(weights: list[int]) -> int:
    raw = 0
    for weight in weights:
        raw = 3 * raw + 1 - weight
    return raw


def _full_index(field: Mapping[str, Any], taken: list[int], names: Names) -> int:
    return _raw(taken)


def _sign_index(field: Mapping[str, Any], taken: list[int], names: Names) -> int:
    raw, last = _raw(taken), 3 ** len(taken) - 1
    return _parts(field, sign=0, index=raw) if 2 * raw <= last else _parts(field, sign=1, index=last - raw)


def _n_of_m(field: Mapping[str, Any], taken: list[int], names: Names) -> int:
    """One of the weights that travel of a group: all that are not zero, then zeros at the lowest free places."""
    count = 1 + max(value(field["holds"]["rank"], {**names, "slot": slot}) for slot in range(len(taken)))
    there = [place for place, weight in enumerate(taken) if weight]
    free = [place for place, weight in enumerate(taken) if not weight]
    kept = sorted((there + free)[:count])
    place = kept[value(field["holds"]["rank"], names)]
    return _parts(field, value=taken[place], index=place)


def _flexible(field: Mapping[str, Any], taken: list[int], names: Names) -> int:
    given = {"digits": taken} if names["ternary"] else {"integer": taken[0]}
    return _parts(field, ternary=names["ternary"], **given)


def _leading_one(field: Mapping[str, Any], taken: list[int], names: Names) -> int:
    number = taken[0]
    return _parts(field, sign=int(number < 0), level=0 if number == -128 else abs(number).bit_length())


ENCODINGS: dict[str, Callable[[Mapping[str, Any], list[int], Names], int]] = {
    "twos_complement": _plain,
    "unsigned": _plain,
    "float": _plain,
    "full_index": _full_index,
    "sign_index": _sign_index,
    "five_trits": _full_index,
    "n_of_m": _n_of_m,
    "flexible": _flexible,
    "leading_one": _leading_one,
}


# Floats: numbers of a small format are float64 here and are rounded after every operation -----------------------------


class Format:
    """A float format as the manifest describes it."""

    def __init__(self, described: Mapping[str, Any]) -> None:
        self.width: int = described["width"]
        self.e: int = described["exponent_bits"]
        self.f: int = described["fraction_bits"]
        self.bias: int = described["bias"]
        self.infinities: bool = described["infinities"]
        self.nan: int = described["canonical_nan"]
        self.top = mask(self.e) << self.f  # the pattern of infinity, where there is one

    def numbers(self, patterns: Array) -> Array:
        """float64 from patterns."""
        magnitude = np.asarray(patterns, np.int64) & mask(self.width - 1)
        field, fraction = magnitude >> self.f, magnitude & mask(self.f)
        found = np.ldexp(
            np.where(field > 0, fraction | 1 << self.f, fraction).astype(np.float64),
            np.maximum(field, 1) - self.bias - self.f,
        )
        if self.infinities:
            found = np.where(magnitude == self.top, np.inf, np.where(magnitude > self.top, np.nan, found))
        else:
            found = np.where(magnitude == mask(self.width - 1), np.nan, found)
        return np.where(np.asarray(patterns) >> (self.width - 1) & 1, -found, found)

    def patterns(self, numbers: Array) -> Array:
        """Patterns from float64, rounded to nearest even; NaN and overflow as the format has them."""
        size = np.abs(np.where(np.isfinite(numbers), numbers, 0.0))
        exponent = np.where(size > 0, np.maximum(np.frexp(size)[1] - 1, 1 - self.bias), 1 - self.bias)
        whole = np.rint(np.ldexp(size, self.f - exponent)).astype(np.int64)
        found = ((exponent + self.bias - 1).astype(np.int64) << self.f) + whole
        largest = self.top - 1 if self.infinities else self.nan - 1
        too_large = (found > largest) | np.isinf(numbers)
        sign = np.signbit(numbers).astype(np.int64) << (self.width - 1)
        over = sign | self.top if self.infinities else np.full_like(found, self.nan)
        return np.where(np.isnan(numbers), self.nan, np.where(too_large, over, sign | found))

    def rounded(self, numbers: Array) -> Array:
        """float64 that are numbers of the format."""
        return self.numbers(self.patterns(numbers))


def _pairwise(fmt: Format, terms: list[Array]) -> Array:
    """Neighbors first, an odd one waiting for the next level."""
    while len(terms) > 1:
        added = [fmt.rounded(a + b) for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = added + ([terms[-1]] if len(terms) % 2 else [])
    return terms[0]


def expected(manifest: Mapping[str, Any], operands: Mapping[str, Array]) -> dict[str, Array]:
    """Results of a product, as the family's page says."""
    with np.errstate(invalid="ignore", over="ignore"):
        found: Array = PRODUCTS[manifest["family"]](manifest, operands["act"], operands["wgt"])
    return {"out": found}


def _ternary_lut(manifest: Mapping[str, Any], act: Array, wgt: Array) -> Array:
    p = manifest["parameters"]
    if p["activation"] == "int":
        return act @ wgt
    source = Format(manifest["formats"][p["activation"]])
    if p["exact"]:
        name = p["activation"] if p["result_format"] == "same" else p["result_format"]
        numbers = source.numbers(act)
        broken = ~np.isfinite(numbers)
        # The smallest subnormal is the unit; a sum of up to 54 bits is a float64 exactly.
        unit = 1 - source.bias - source.f
        whole = np.ldexp(np.where(broken, 0, numbers), -unit).astype(np.int64)
        target = Format(manifest["formats"][name])
        found = target.patterns(np.ldexp((whole @ wgt).astype(np.float64), unit))
        return np.where(broken.any(axis=1)[:, None], target.nan, found)
    return _table_floats(p, source, act, wgt)


def _table_floats(p: Mapping[str, Any], fmt: Format, act: Array, wgt: Array) -> Array:
    mu, tables = p["mu"], p["lut_count"]
    length = mu * tables
    tiles = -(-len(wgt) // length)
    numbers = np.pad(fmt.numbers(act), ((0, 0), (0, tiles * length - len(wgt))))
    wgt = np.pad(wgt, ((0, tiles * length - len(wgt)), (0, 0)))
    total: Array = np.zeros((len(act), wgt.shape[1]))
    for tile in range(tiles):
        first = [tile * length + table * mu for table in range(tables)]
        found = _pairwise(fmt, [_group(fmt, numbers[:, at : at + mu], wgt[at : at + mu]) for at in first])
        total = fmt.rounded(total + found) if p["k_max"] > length else found
    return fmt.patterns(total)


def _group(fmt: Format, act: Array, wgt: Array) -> Array:
    """Activations first to last, those of weight 0 skipped, the sign of the first taken out and put back."""
    found = np.zeros((len(act), wgt.shape[1]))
    for column, weights in enumerate(wgt.T):
        taken = [place for place, weight in enumerate(weights) if weight]
        if not taken:
            continue
        lead = weights[taken[0]]
        total = act[:, taken[0]]
        for place in taken[1:]:
            total = fmt.rounded(total + act[:, place] * (weights[place] * lead))
        found[:, column] = total * lead
    return found


def _systolic(manifest: Mapping[str, Any], act: Array, wgt: Array) -> Array:
    p = manifest["parameters"]
    if p["activation"] == "int":
        return act @ wgt
    source = Format(manifest["formats"][p["activation"]])
    target = Format(manifest["streams"]["out"]["fields"][0] | manifest["formats"][_sum_name(p)])
    kept, group = (1, 1) if p["sparsity"] == "dense" else map(int, p["sparsity"].split(":"))
    lanes = p["dot_length"] // kept * group
    rows = p["rows"] if p["organization"] == "weight_stationary" else 1
    steps = -(-len(wgt) // (lanes * rows))
    longer = ((0, steps * lanes * rows - len(wgt)), (0, 0))
    act, wgt = np.pad(act.T, longer).T, np.pad(wgt, longer)
    numbers = target.rounded(source.numbers(act))
    total: Array = np.zeros((len(act), wgt.shape[1]))
    alone = p["pe"] == "ternary" and p["dot_length"] == rows == 1
    for step in range(steps):
        found: Array = np.zeros(0)
        for row in range(rows):
            at = (step * rows + row) * lanes
            dot = _dot(p, source, target, numbers[:, at : at + lanes], wgt[at : at + lanes], kept, group)
            found = dot if row == 0 else target.rounded(found + dot)
        total = target.rounded(total + found) if p["k_max"] > lanes * rows or alone else found
    return target.patterns(total)


def _sum_name(p: Mapping[str, Any]) -> str:
    return str(p["activation"] if p["acc_format"] == "same" else p["acc_format"])


def _dot(
    p: Mapping[str, Any], source: Format, target: Format, act: Array, wgt: Array, kept: int, group: int
) -> Array:
    """Products of the lanes of an element, those of weights that travel, added pairwise."""
    found = np.zeros((len(act), wgt.shape[1]))
    for column, weights in enumerate(wgt.T):
        terms = []
        for first in range(0, len(weights), group):
            mine = [int(weight) for weight in weights[first : first + group]]
            there = [place for place, weight in enumerate(mine) if weight]
            free = [place for place, weight in enumerate(mine) if not weight]
            for place in sorted((there + free)[:kept]):
                terms.append(_term(p, source, target, act[:, first + place], mine[place]))
        found[:, column] = _pairwise(target, terms)
    return found


def _term(p: Mapping[str, Any], source: Format, target: Format, act: Array, weight: int) -> Array:
    if p["pe"] == "ternary":
        return act * weight if weight else np.zeros(len(act))
    return target.rounded(act * target.rounded(source.numbers(np.array(weight))))


PRODUCTS: dict[str, Callable[[Mapping[str, Any], Array, Array], Array]] = {
    "ternary_lut": _ternary_lut,
    "systolic": _systolic,
}


# Attention in float64 ------------------------------------------------------------------------------------------------

#: Bits behind the point of an exponent of two, and of a score of floats in fixed point.
_EXPONENT, _SCORE = {"integer": 12, "fixed": 20}, {"integer": 0, "fixed": 22}


def attention(manifest: Mapping[str, Any], operands: Mapping[str, Array], names: Names) -> Array:
    """``out`` of the operands as float64 softmax attention, not rounded; for integer and fixed-point sums."""
    p = manifest["parameters"]
    q, k, v = (_float64(manifest, operands[name]) for name in ("query", "key", "value"))
    found = np.zeros(q.shape)
    for head, rows in enumerate(q):
        mine = head // names["share"]
        multiplier, shift = int(operands["multiplier"][mine]), int(operands["shift"][mine])
        units = _SCORE[p["acc_format"]] - _EXPONENT[p["acc_format"]] - shift
        exponents = np.ldexp((rows @ k[mine].T) * multiplier, units)
        exponents = np.where(seen(p, names, head), exponents, -np.inf)
        weights = np.exp2(exponents - exponents.max(axis=1, keepdims=True))
        found[head] = weights @ v[mine] / weights.sum(axis=1, keepdims=True)
        if p["format"] == "int8":
            gain = int(operands["output_multiplier"][mine]) / 2.0 ** int(operands["output_shift"][mine])
            found[head] = np.clip(found[head] * gain, -128, 127)
    return found


def picks(manifest: Mapping[str, Any], operands: Mapping[str, Array], names: Names) -> Array:
    """The keys that each head's query is scored against, by the powers of two next to elements, as on the page."""
    found = []
    for head, rows in enumerate(operands["query"]):
        query, keys = (_powers(array) for array in (rows[0], operands["key"][head // names["share"]]))
        buckets = np.array([_bucket(int(score)) for score in keys @ query])
        best = np.argsort(-buckets, kind="stable")[: names["candidates"]]
        found.append(np.sort(best))
    return np.array(found)


def _powers(numbers: Array) -> Array:
    """Elements with all bits behind the leading one cleared."""
    exponents = np.frexp(np.abs(numbers).astype(np.float64))[1] - 1
    return np.where(numbers == 0, 0, np.sign(numbers) * np.ldexp(1.0, exponents)).astype(np.int64)


def _bucket(score: int) -> int:
    if score < 0:
        return -1 - _bucket(-1 - score)
    bits = score.bit_length()
    return score if score < 4 else 4 * (bits - 2) + (score >> bits - 3) % 4


def _float64(manifest: Mapping[str, Any], array: Array) -> Array:
    name = manifest["parameters"]["format"]
    return array.astype(np.float64) if name == "int8" else Format(manifest["formats"][name]).numbers(array)


def seen(p: Mapping[str, Any], names: Names, head: int) -> Array:
    """Which query (row) sees which key (column)."""
    position = np.arange(names["keys"] - names["queries"], names["keys"])[:, None]
    key = np.arange(names["keys"])[None]
    if p["mask"] == "none":
        return np.isin(key, names["pick"][head]) if "pick" in names else key >= 0 * position
    near = key > position - (names["window"] if p["mask"] in ("window", "lambda") else names["keys"])
    return (key <= position) & (near | (key < (names["sinks"] if p["mask"] == "lambda" else 0)))
