"""What a streaming attention design is made of, place by place; every formula holds for one design and for arrays.

Places are the modules of the RTL: the nodes (``score``, ``maximum``, ``exponential``, ``sum``, ``output``, ``divide``),
the softmax blocks inside them, ``fifo``, ``control``, ``shell`` (AXI4-Lite) and ``memory`` (words of deep FIFOs).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from blueprint.arithmetic.pruning import CODE_BITS
from blueprint.arithmetic.softmax.arithmetic import OUTPUT_MULTIPLIER_BITS, OUTPUT_SHIFT_BITS, SHIFT_BITS
from blueprint.arithmetic.softmax.inventory import surrogate_bits, top_k_bits
from blueprint.families.streaming_attention import graph as dataflow
from blueprint.families.streaming_attention.blocks import blocks, division, segments, tail, whole
from blueprint.numbers import Number, bit_length, choose, clog2, larger, possible, smaller
from blueprint.unit import Path, Unit, flops, memories

if TYPE_CHECKING:
    from blueprint.families.streaming_attention.spec import StreamingAttentionSpec

#: A FIFO of more words than this is a memory.
FILE_WORDS = 16


def words(p: StreamingAttentionSpec) -> dict[str, dict[str, Number]]:
    """The fields of a word of every FIFO, lowest bits first."""
    a, lanes = p.softmax, p.lanes
    free, naive = choose(p.graph == "memory_free", 1, 0), choose(p.graph == "naive", 1, 0)
    first = choose(a.divides_first, 1, 0)
    gains = choose(p.has_gains, 1, 0)
    turn = {"turn": p.turn_bits}
    # The sum is done with its gains at the end of a pass, which of a single pass is that of the run.
    once = (1 - first) * gains * choose(p.regroups, 1, 0) * choose(p.repeats, 0, 1)
    ends = {"final": p.final_bits, "visible": p.visible_bits, "last": 1 + 0 * lanes}
    row = {"last": 1 + 0 * lanes, "visible": p.visible_bits}
    weight = {"weight": lanes * a.p_word}
    move = {"shift": free * lanes * a.shift_width}
    return {
        "queries": {"query": lanes * p.dim * a.in_width},
        "scales": {
            "multiplier": a.multiplier_width,
            "shift": choose(a.sums_are_floats, 0, SHIFT_BITS),
            "offset": naive * a.reference_width,
        },
        "gains": {"gain": gains * OUTPUT_MULTIPLIER_BITS, "down": gains * OUTPUT_SHIFT_BITS},
        "codes": {"code": p.dim * CODE_BITS},
        "counted": {},
        "found": {},
        "picked": {},
        "scores": {
            "exponent": lanes * a.t_word, **row, "turn": free * p.turn_bits, "final": free * p.final_bits
        },
        "long_scores": {"exponent": lanes * a.t_word, **ends, **turn},
        "maxima": {"reference": lanes * a.reference_width},
        "weights": {**weight, **move, **row, "turn": (1 - first) * p.turn_bits, "final": once},
        "long_weights": {**weight, **ends, **turn},
        "sums": {"inverse": lanes * a.r_width, "down": (1 - first) * gains * OUTPUT_SHIFT_BITS},
        "shares": {**weight, **move, **ends, "turn": first * p.turn_bits},
        "totals": {"total": lanes * p.dim * a.o_word, "final": p.final_bits},
        "rows": {"row": lanes * p.dim * a.out_width, "final": p.final_bits},
    }  # fmt: skip


def units(p: StreamingAttentionSpec) -> tuple[Unit, ...]:
    """The whole inventory."""
    return (
        *_fifos(p),
        *_score(p),
        *_maximum(p),
        *_exponential(p),
        *_sum(p),
        *_output(p),
        *_divide(p),
        *(_screen(p) if possible(p.prunes) else ()),
        *_control(p),
        *p.register_file().units(),
        Unit("logic", "tile", 1, {"gates": 40}),
    )


def _fifos(p: StreamingAttentionSpec) -> Iterator[Unit]:
    """Levels, pointers, words; a memory has one word beside it."""
    deep, late, there = dataflow.depths(p), dataflow.makers(p), dataflow.present(p)
    for name, fields in words(p).items():
        if not possible(there[name]):
            continue
        ahead = 1 if name in ("counted", "found") else choose(late[name] > 1, 1, 0)
        yield from fifo(there[name], deep[name], sum(fields.values(), 0 * p.dim), ahead)


def fifo(count: Number, depth: Number, width: Number, ahead: Number) -> Iterator[Unit]:
    """``count`` FIFOs: levels, and where words have any width, pointers and words; a memory has one word beside it."""
    memory = choose((depth > FILE_WORDS) & (width > 0), 1, 0)
    levels = 1 + ahead
    address = choose(width > 0, clog2(depth), 0)
    held = count * (1 - memory)
    yield flops("fifo", count * levels, bit_length(depth), enable=1, reset=1)
    yield flops("fifo", count * 2, address, enable=1, reset=1)
    yield flops("fifo", held * depth, width, enable=1, activity=1 / depth)
    yield flops("fifo", count * memory, width, enable=1, activity=0.1)
    yield flops("fifo", count * memory, 1, enable=1, reset=1)
    yield Unit("half_adder", "fifo", count * levels, {"width": bit_length(depth)})
    yield Unit("half_adder", "fifo", count * 2, {"width": address})
    several = held * choose(depth > 1, 1, 0)
    yield Unit("decoder", "fifo", several * 2, {"inputs": address, "outputs": depth})
    yield Unit("select", "fifo", several, {"entries": depth, "width": width})
    yield Unit("mux", "fifo", count * memory, {"entries": 2, "width": width})
    yield from memories(count * memory, depth, width)


def ends(p: StreamingAttentionSpec) -> Number:
    """Bits of all flags beside a token."""
    return 1 + p.turn_bits + p.final_bits + p.visible_bits


def scored(p: StreamingAttentionSpec) -> Number:
    """Share of the keys that are scored."""
    return choose(p.prunes, smaller(p.candidates, p.keys_max) / p.keys_max, 1.0)


def halves(stages: Number) -> tuple[Number, Number]:
    """Registers before and after a step that has none inside; an odd one stands before."""
    return stages - stages // 2, stages // 2


def saturations(p: StreamingAttentionSpec) -> dict[str, Number]:
    """Flip-flops of the events that a value has left the range of the arithmetic, by node.

    Those at the end of a long path have one each and are brought together behind it.
    """
    a = p.softmax
    first, whole = choose(a.divides_first, 1, 0), choose(p.has_gains, 1, 0)
    return {
        "score": p.lanes + choose(p.graph == "naive", 1, 0),
        "maximum": choose(p.graph == "naive", 0, 1),
        "exponential": 0 * p.dim,
        "sum": choose((p.graph == "naive") | a.sums_stall, 1, 0),
        "output": first * whole * p.lanes * p.dim + choose(a.values_saturate, 1, 0),
        "divide": (1 - first) * whole * p.lanes * p.dim,
    }


def saturation(p: StreamingAttentionSpec, node: str, gates: Number) -> tuple[Unit, ...]:
    """The events that say so: gates that find them and bring them together, flip-flops."""
    count = saturations(p)[node]
    there = choose(count > 0, 1, 0)
    return flops(node, count, 1, reset=1, activity=0.0), Unit("logic", node, there, {"gates": gates}, 0.0)


def _score(p: StreamingAttentionSpec) -> tuple[Unit, ...]:
    a, lanes = p.softmax, p.lanes
    naive = choose(p.graph == "naive", 1, 0)
    before, after = halves(p.scale_stages)
    whole = p.dot_stages + p.scale_stages
    inside = whole + naive * p.exp_stages
    fields = words(p)["scales"]
    return (
        flops("score", p.dot_stages + before, fields["multiplier"] + fields["shift"]),
        flops("score", whole, fields["offset"]),
        flops("score", lanes * before, a.score_word),
        flops("score", lanes * after, a.t_word),
        flops("score", inside, 1, reset=1),
        flops("score", inside, ends(p)),
        Unit("logic", "score", 1, {"gates": 4}),
        *saturation(p, "score", lanes),
        Unit("comparator", "score", lanes * naive, {"width": a.t_width}),
        *blocks(a, "score_beat", lanes, p.dot_stages, scored(p)),
        *blocks(a, "scale", lanes, 0, scored(p)),
        *blocks(a, "exp2", lanes * naive, p.exp_stages, scored(p)),
    )


def _maximum(p: StreamingAttentionSpec) -> tuple[Unit, ...]:
    a, lanes = p.softmax, p.lanes
    free, there = choose(p.graph == "memory_free", 1, 0), choose(p.graph == "naive", 0, 1)
    stages = free * p.exp_stages
    return (
        flops("maximum", there, 1, enable=1, reset=1),
        flops("maximum", stages, 1, reset=1),
        flops("maximum", stages, ends(p)),
        flops("maximum", stages * lanes, a.shift_width),
        Unit("mux", "maximum", there * lanes * choose(p.corners, 1, 0), {"entries": 2, "width": a.t_word}),
        *saturation(p, "maximum", 8 * lanes),
        *blocks(a, "running_max", lanes * there, 0, scored(p)),
        *blocks(a, "exp2", lanes * free, p.exp_stages, scored(p)),
    )


def _exponential(p: StreamingAttentionSpec) -> tuple[Unit, ...]:
    there = choose((p.graph == "scaled") | (p.graph == "reordered"), 1, 0)
    return (
        flops("exponential", there * p.exp_stages, 1, reset=1),
        flops("exponential", there * p.exp_stages, ends(p)),
        Unit("logic", "exponential", there, {"gates": 4}),
        *blocks(p.softmax, "exp2", p.lanes * there, p.exp_stages, scored(p)),
    )


def _sum(p: StreamingAttentionSpec) -> tuple[Unit, ...]:
    a, lanes = p.softmax, p.lanes
    gains = choose(p.has_gains, 1, 0) * choose(a.divides_first, 0, 1)
    cycles = 1 + p.reciprocal_stages
    return (
        flops("sum", 1, 1, enable=1, reset=1),
        flops("sum", cycles, 1, reset=1),
        flops("sum", cycles * gains, OUTPUT_MULTIPLIER_BITS + OUTPUT_SHIFT_BITS),
        Unit("and_row", "sum", lanes * choose(p.corners, 1, 0), {"width": a.p_word}),
        *saturation(p, "sum", 8 * lanes),
        flops("sum", choose(p.graph == "naive", p.visible_bits, 0), 1, enable=1),
        *blocks(a, "sum_weights", lanes, 0, scored(p)),
        *blocks(a, "reciprocal", lanes, p.reciprocal_stages, scored(p)),
    )


def _output(p: StreamingAttentionSpec) -> tuple[Unit, ...]:
    a, lanes = p.softmax, p.lanes
    first, free = choose(a.divides_first, 1, 0), choose(p.graph == "memory_free", 1, 0)
    gains = first * choose(p.has_gains, 1, 0)
    stages, (after, before) = p.product_stages, halves(p.product_stages)
    return (
        flops("output", 1, 1, enable=1, reset=1),
        flops("output", before, p.dim * p.element_width + lanes * a.p_word),
        flops("output", stages + 1, 1, reset=1),
        flops("output", stages, 1 + p.final_bits + p.visible_bits),
        flops("output", 1, p.final_bits),
        flops("output", stages * free * lanes, a.shift_width),
        flops("output", after * lanes * p.dim, a.term_word),
        flops("output", (stages + 1) * gains, OUTPUT_MULTIPLIER_BITS + OUTPUT_SHIFT_BITS),
        Unit("and_row", "output", lanes * p.dim * choose(p.corners, 1, 0), {"width": a.term_word}),
        *saturation(p, "output", choose(a.values_saturate, 8 * p.dim, lanes * p.dim)),
        *blocks(a, "product", lanes * p.dim, 0, scored(p)),
        *blocks(a, "sum_values", lanes * p.dim, 0, scored(p)),
        *blocks(a, "finish", lanes * p.dim * first, 0, scored(p)),
    )


def _divide(p: StreamingAttentionSpec) -> tuple[Unit, ...]:
    a, lanes = p.softmax, p.lanes
    first = choose(a.divides_first, 1, 0)
    stages, (after, before) = p.divide_stages, halves(p.divide_stages)
    down = choose(p.has_gains, OUTPUT_SHIFT_BITS, 0)
    inputs = lanes * (p.dim * a.o_word + a.r_width) + down
    return (
        flops("divide", stages, 1, reset=1),
        flops("divide", stages, choose(first == 1, ends(p), p.final_bits)),
        flops("divide", (1 - first) * before, inputs),
        flops("divide", (1 - first) * after * lanes * p.dim, a.out_width),
        Unit("logic", "divide", 1, {"gates": 4}),
        *saturation(p, "divide", lanes * p.dim),
        *blocks(a, "normalize", lanes * first, stages, scored(p)),
        *blocks(a, "finish", lanes * p.dim * (1 - first), 0, scored(p) / p.row_max),
    )


def _screen(p: StreamingAttentionSpec) -> Iterator[Unit]:
    """Surrogate scores, their buckets and counters, three sequencers, the numbers of the keys found."""
    there, q, stages = choose(p.prunes, 1, 0), p.pruning, p.dot_stages
    number, passes = clog2(p.keys_max), choose(p.repeats, bit_length(p.heads_max), 0)
    counted = 3 * number + p.key_width + 2 * passes + bit_length(dataflow.search_cycles(p))
    buckets = 2 * q.magnitude_buckets
    yield flops("screen", there, 1 + counted, enable=1, reset=1)
    yield flops("screen", there, number, enable=1, reset=1)
    yield flops("screen", there * stages, 2, reset=1)
    yield Unit("adder", "screen", there, {"width": counted})
    yield Unit("comparator", "screen", there, {"width": counted})
    yield flops("surrogate", there, surrogate_bits(q, stages))
    yield Unit("adder", "surrogate", there * 2 * p.dim, {"width": q.score_width})
    yield Unit("decoder", "surrogate", there * p.dim, {"inputs": 4, "outputs": 15})
    yield Unit("logic", "pruning", there * (1 + p.dim), {"gates": 30})
    yield flops("top_k", there, top_k_bits(q) - 1, enable=1)
    yield flops("top_k", there, 1, enable=1, reset=1)
    yield Unit("half_adder", "top_k", there * buckets, {"width": q.count_width}, 0.01)
    yield Unit("mux", "top_k", there, {"entries": buckets, "width": q.count_width})
    yield Unit("comparator", "top_k", there * 2, {"width": q.bucket_width})
    yield Unit("sram", "memory", there, {"words": p.keys_max, "width": q.bucket_width})
    yield from fifo(there, larger(p.candidates, 1), number, 0)


def _control(p: StreamingAttentionSpec) -> tuple[Unit, ...]:
    """Three sequencers count passes and rows; the one of keys also numbers them."""
    read = {size.name: size.bits for size in p.register_file().sizes}
    passes, queries = read["passes"], choose(p.regroups, read["queries"], 0)
    masked, windowed, corners = (choose(what, 1, 0) for what in (p.masked, p.windowed, p.corners))
    counted = 3 * passes + 2 * queries
    return (
        flops("control", 1, 3, enable=1, reset=1),
        flops("control", 1, counted, enable=1, reset=1, activity=0.1),
        flops("control", 1 + masked, p.key_width, enable=1, reset=1),
        Unit("adder", "control", 1, {"width": counted}, 0.1),
        Unit("comparator", "control", 1, {"width": counted}, 0.1),
        Unit("adder", "control", 2 + masked + windowed, {"width": p.key_width}),
        Unit("comparator", "control", 1 + 2 * windowed, {"width": p.key_width}),
        Unit("comparator", "control", corners * p.parallel * (1 + windowed), {"width": p.key_width}),
        Unit("comparator", "control", corners * (p.parallel - 1), {"width": bit_length(p.queries_max + 1)}),
    )


def paths(p: StreamingAttentionSpec) -> tuple[Path, ...]:
    """One run through each block between two registers, with what stands before it without one."""
    a = p.softmax
    free, naive = choose(p.graph == "memory_free", 1, 0), choose(p.graph == "naive", 1, 0)
    first = choose(a.divides_first, 1, 0)
    weighs = choose((p.graph == "scaled") | (p.graph == "reordered"), 1, 0)
    bare = choose(p.scale_stages == 0, 1, 0) * choose(p.dot_stages < 2, 1, 0)
    _, after = halves(p.scale_stages)
    scaled = whole(a, "scale", naive * choose(after == 0, 1, 0))
    added = choose(p.product_stages == 0, 1, 0)
    return (
        *segments(a, "score_beat", 1, p.dot_stages),
        Path("score-scale", (*tail(a, "score_beat", p.dot_stages, bare), *whole(a, "scale", 1))),
        *segments(a, "exp2", naive, p.exp_stages, scaled),
        *segments(a, "exp2", free, p.exp_stages, whole(a, "running_max", free)),
        *segments(a, "exp2", weighs, p.exp_stages),
        Path("sum", whole(a, "sum_weights", 1)),
        *division(a, p.reciprocal_stages),
        Path("product", whole(a, "product", 1)),
        Path("output", (*whole(a, "product", added), *whole(a, "sum_values", 1))),
        *segments(a, "normalize", first, p.divide_stages),
        Path("finish", whole(a, "finish", 1)),
        Path("counters", (Unit("half_adder", "shell", 1, {"width": 32}),)),
    )
