"""The boundary of an attention core: streams, their fields and their order, masks included; size registers."""

from __future__ import annotations

from blueprint.arithmetic.pruning import CODE_BITS
from blueprint.arithmetic.softmax.arithmetic import OUTPUT_MULTIPLIER_BITS, OUTPUT_SHIFT_BITS, SHIFT_BITS
from blueprint.families.streaming_attention.parameters import (
    SCALE_WORD,
    SCALE_WORDS,
    StreamingAttentionParameters,
)
from blueprint.families.streaming_attention.registers import register_file as register_file
from blueprint.families.streaming_attention.registers import register_values as register_values
from blueprint.port import BeatLoop, Operand, Operation, Stream
from blueprint.record import Field, Place, Record

#: Bits of half a word of a scale beat; the second and the third word hold two values each.
_HALF = SCALE_WORD // 2

_SEEN = {
    "window": "latest keys that a query sees, its own included; as many as there are keys for a causal mask",
    "sinks": "first keys that every query sees, at least 1; what the window of a row covers counts once",
}
_KV = ("kv_heads", "keys", "dim")
_SCALES = {
    "multiplier": "what scores are multiplied by",
    "shift": "how far products of scores go down",
    "offset": "what is taken off exponents instead of a maximum",
    "output_multiplier": "what results are multiplied by",
    "output_shift": "how far products of results go down",
}


def operation(p: StreamingAttentionParameters) -> Operation:
    """Attention of every query head to the keys of its key head."""
    inputs = [
        Operand(
            "query", ("heads", "queries", "dim"), "queries, the rows of a head in the order of positions"
        ),
        Operand("key", _KV, "keys; key head h is that of query heads h * share to (h + 1) * share - 1"),
        Operand("value", _KV, "values, one per key"),
        *(Operand(name, ("kv_heads",), meaning) for name, meaning in _SCALES.items()),
    ]
    outputs = [Operand("out", ("heads", "queries", "dim"), "results, a row per query")]
    if p.prunes:
        outputs.append(
            Operand("pick", ("heads", "candidates"), "the keys that a query is scored against, rising")
        )
    where = {"dim": f"{p.dim}", "share": "heads // kv_heads", "turns": f"ceil(share / {p.head_group})"}
    where["passes"] = "kv_heads * turns"
    if p.prunes:
        where["candidates"] = f"min({p.candidates}, keys)"
    registers = {size.name: size.name for size in p.sizes}
    given = {name: meaning for name, meaning in _SEEN.items() if name in registers}
    return Operation(_computes(p), tuple(inputs), tuple(outputs), registers, given, where)


def _computes(p: StreamingAttentionParameters) -> str:
    text = "out = softmax of scaled query . key over the keys that a query sees, times value"
    if not p.masked:
        return text + "; every query sees every key"
    text += "; query i stands at position keys - queries + i and sees the keys up to it"
    if p.windowed:
        text += ", of these the latest 'window'"
    return text + (" and the first 'sinks'" if p.mask == "lambda" else "")


def streams(p: StreamingAttentionParameters) -> tuple[Stream, ...]:
    """The AXI4-Stream ports."""
    # A pass is a key head and a group of its query heads.
    nth = BeatLoop("pass_index", "passes", {"kv_head": "pass_index // turns", "turn": "pass_index % turns"})
    row, key = _order(p)
    key_field, value_field = (_key(p, name) for name in ("key", "value"))
    screen = (
        Stream("code", "in", Record((_code(p),)), (nth, BeatLoop("step", "keys"))),
        Stream("pick", "out", Record((_pick(p),)), (nth, BeatLoop("candidate", "candidates"))),
    )
    return (
        Stream("scale", "in", _scale(p), (nth,)),
        Stream("query", "in", Record((_queries(p),)), (nth, row)),
        Stream("key", "in", Record((key_field,)), (nth, row, key)),
        Stream("value", "in", Record((value_field,)), (nth, row, key)),
        Stream("out", "out", Record((_results(p),)), (nth, row)),
        *(screen if p.prunes else ()),
    )


def _order(p: StreamingAttentionParameters) -> tuple[BeatLoop, BeatLoop]:
    """The loops over rows and over the keys of a row; a masked row takes the keys up to its own last."""
    name, count = "row", f"ceil(queries / {p.parallel})"
    if p.prunes:
        return BeatLoop(name, count), BeatLoop("candidate", "candidates")
    if not p.masked:
        return BeatLoop(name, count), BeatLoop("step", "keys")
    where = {"high": f"keys - 1 - row * {p.parallel}", "low": "0", "first": "0"}
    if p.windowed:
        where["low"] = f"max(high - ({p.parallel} + window - 2), 0)"
    if p.mask == "lambda":
        where["first"] = "min(sinks, low)"
    return BeatLoop(name, count, where), BeatLoop("step", "first + high - low + 1")


def _number(p: StreamingAttentionParameters) -> str:
    """Key index of a beat."""
    if p.prunes:
        return "pick[pass_index][candidate]"
    return "step if step < first else step - first + low" if p.masked else "step"


def _rows(p: StreamingAttentionParameters, name: str, place: tuple[str, str], meaning: str) -> Field:
    """A row of queries or results, the head and the position of each by these expressions."""
    return Field(
        name,
        p.softmax.in_width,
        (p.parallel, p.head_group, p.dim),
        signed=p.format == "int8",
        format=_format(p),
        axes=("position", "head", "element"),
        meaning=meaning,
        holds=Place("query" if name == "query" else "out", (*place, "element")),
    )


def _queries(p: StreamingAttentionParameters) -> Field:
    """Lanes without a head or query repeat the last valid one."""
    last = f"queries - 1 - row * {p.parallel}" if p.masked else "queries - 1"
    position = f"{_position(p)} if 0 <= {_position(p)} < queries else {last}"
    head = f"kv_head * share + min(turn * {p.head_group} + head, share - 1)"
    return _rows(p, "query", (head, position), "one element of a query; a lane without a query repeats one")


def _results(p: StreamingAttentionParameters) -> Field:
    lane = f"turn * {p.head_group} + head"
    head = f"kv_head * share + {lane} if {lane} < share else -1"
    return _rows(p, "result", (head, _position(p)), "one element of a result")


def _position(p: StreamingAttentionParameters) -> str:
    """The query of a lane: where there is a mask the last ones come first."""
    last_first = f"queries - (row + 1) * {p.parallel} + position"
    return last_first if p.masked else f"row * {p.parallel} + position"


def _key(p: StreamingAttentionParameters, name: str) -> Field:
    return Field(
        name,
        p.element_width,
        (p.dim,),
        signed=p.format == "int8",
        format=_format(p),
        axes=("element",),
        meaning=f"one element of a {name}",
        holds=Place(name, ("kv_head", _number(p), "element")),
    )


def _format(p: StreamingAttentionParameters) -> str:
    return "int" if p.format == "int8" else p.format


def _scale(p: StreamingAttentionParameters) -> Record:
    """Scales of a pass; fields that a design ignores are present all the same."""
    a = p.softmax
    number = a.sum_format.name if a.sums_are_floats else "int"
    looked_at = {
        "multiplier": True,
        "shift": not a.sums_are_floats,
        "offset": p.graph == "naive",
        "output_multiplier": p.has_gains > 0,
        "output_shift": p.has_gains > 0,
    }

    def field(name: str, width: int, offset: int, *, signed: bool = False, format: str = "int") -> Field:
        meaning = _SCALES[name] + ("" if looked_at[name] else "; this design does not look at it")
        return Field(
            name, width, (), signed, format, offset, meaning=meaning, holds=Place(name, ("kv_head",))
        )

    fields = (
        field("multiplier", a.multiplier_width, 0, format=number),
        field("shift", SHIFT_BITS, SCALE_WORD),
        field("offset", a.reference_width, SCALE_WORD + _HALF, signed=True),
        field("output_multiplier", OUTPUT_MULTIPLIER_BITS, 2 * SCALE_WORD),
        field("output_shift", OUTPUT_SHIFT_BITS, 2 * SCALE_WORD + _HALF),
    )
    return Record(fields, SCALE_WORDS * SCALE_WORD)


def _code(p: StreamingAttentionParameters) -> Field:
    level = Field(
        "level", CODE_BITS - 1, signed=False, meaning="place of the leading one of the magnitude, plus 1"
    )
    sign = Field("sign", 1, signed=False, meaning="1 where the element is negative")
    return Field(
        "code",
        CODE_BITS,
        (p.dim,),
        signed=False,
        axes=("element",),
        encoding="leading_one",
        meaning="sign and leading one of an element of a key; 0 for 0, sign 1 and level 0 for -128",
        holds=Place("key", ("kv_head", "step", "element")),
        parts=Record((level, sign)),
    )


def _pick(p: StreamingAttentionParameters) -> Field:
    return Field(
        "number",
        p.pick_bits,
        (1,),
        signed=False,
        axes=("one",),
        meaning="the number of a key that is to be sent next, with its value",
        holds=Place("pick", ("pass_index", "candidate")),
    )
