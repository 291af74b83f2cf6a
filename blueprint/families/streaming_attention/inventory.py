"""The hardware inventory of an attention core, place by place; formulas hold for one design and for arrays of them.

Places are the modules of the RTL: the nodes (``score``, ``maximum``, ``exponential``, ``sum``, ``output``, ``divide``),
the softmax blocks inside them, ``fifo``, ``control``, ``shell`` (AXI4-Lite) and ``memory`` (words of deep FIFOs).
"""

from __future__ import annotations

from collections.abc import Iterator

from blueprint.arithmetic.pruning import PLACE_BITS, PRODUCT_PLACES
from blueprint.arithmetic.softmax.arithmetic import OUTPUT_MULTIPLIER_BITS, OUTPUT_SHIFT_BITS
from blueprint.arithmetic.softmax.inventory import blocks, division, segments, tail, whole
from blueprint.families.streaming_attention import dataflow
from blueprint.families.streaming_attention.parameters import StreamingAttentionParameters
from blueprint.numbers import Number, bit_length, choose, clog2, flag, larger, possible, smaller
from blueprint.unit import Path, Unit, memories, registers

#: A FIFO of more words than this is a memory.
FILE_WORDS = 16

#: Bits of what scales a result.
GAIN_BITS = OUTPUT_MULTIPLIER_BITS + OUTPUT_SHIFT_BITS

#: Two-input gates, all of them estimates: of the handshakes between nodes and FIFOs in all, of those inside a node, of
#: the comparison of a value with the end of its range, of the search for a leading one in a score or an element.
TOP_GATES, NODE_GATES, COMPARED_GATES, LEADING_ONE_GATES = 40, 4, 8, 30


def units(p: StreamingAttentionParameters) -> tuple[Unit, ...]:
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
        Unit("logic", "tile", 1, {"gates": TOP_GATES}),
    )


def _fifos(p: StreamingAttentionParameters) -> Iterator[Unit]:
    deep, reserved, there = dataflow.depths(p), dataflow.reserved(p), dataflow.present(p)
    for name, word in dataflow.words(p).items():
        if possible(there[name]):
            yield from fifo(there[name], deep[name], word.width, reserved[name])


def fifo(count: Number, depth: Number, width: Number, reserved: Number) -> Iterator[Unit]:
    """``count`` FIFOs of ``depth`` words: levels, and where words have any width, two pointers and the words.

    A level counts the words; where slots are ``reserved`` ahead of them, another one the slots. A memory has one word
    beside it.
    """
    memory = flag((depth > FILE_WORDS) & (width > 0))
    levels, pointers = 1 + reserved, 2
    address = flag(width > 0) * clog2(depth)
    held = count * (1 - memory)
    several = held * flag(depth > 1)
    yield registers("fifo", count * levels, bit_length(depth), enable=1, reset=1)
    yield registers("fifo", count * pointers, address, enable=1, reset=1)
    yield registers("fifo", held * depth, width, enable=1, activity=1 / depth)
    yield registers("fifo", count * memory, width, enable=1, activity=0.1)
    yield registers("fifo", count * memory, 1, enable=1, reset=1)
    yield Unit("half_adder", "fifo", count * levels, {"width": bit_length(depth)})
    yield Unit("half_adder", "fifo", count * pointers, {"width": address})
    yield Unit("decoder", "fifo", several * pointers, {"inputs": address, "outputs": depth})
    yield Unit("select", "fifo", several, {"entries": depth, "width": width})
    yield Unit("mux", "fifo", count * memory, {"entries": 2, "width": width})
    yield from memories(count * memory, depth, width)


def token_flags(p: StreamingAttentionParameters) -> Number:
    """Bits of all flags beside a token: whether its row, pass and run end with it, which positions see it."""
    return 1 + p.turn_bits + p.final_bits + p.visible_bits


def scored(p: StreamingAttentionParameters) -> Number:
    """Fraction of the keys that is scored."""
    return choose(p.prunes, smaller(p.candidates, p.keys_max) / p.keys_max, 1.0)


def halves(stages: Number) -> tuple[Number, Number]:
    """Registers before and after a step without internal registers; an odd one stands before."""
    return stages - stages // 2, stages // 2


def saturations(p: StreamingAttentionParameters) -> dict[str, Number]:
    """Flip-flops of the events that a value has left the range of the arithmetic, by node.

    Those at the end of a long path have one each and are brought together behind it.
    """
    a, results = p.softmax, p.has_gains * p.lanes * p.dim
    return {
        "score": p.lanes + a.has_offset,
        "maximum": 1 - a.has_offset,
        "exponential": 0,
        "sum": a.has_offset | a.sums_stall,
        "output": a.divides_first * results + a.values_saturate,
        "divide": a.divides_last * results,
    }


def _saturation(p: StreamingAttentionParameters, node: str, gates: Number) -> tuple[Unit, ...]:
    """Gates that find the events of a node and bring them together, and their flip-flops."""
    count = saturations(p)[node]
    found = Unit("logic", node, flag(count > 0), {"gates": gates}, 0.0)
    return registers(node, count, 1, reset=1, activity=0.0), found


def _score(p: StreamingAttentionParameters) -> tuple[Unit, ...]:
    a, lanes = p.softmax, p.lanes
    before, after = halves(p.scale_stages)
    scaled = p.dot_stages + p.scale_stages
    inside = scaled + a.has_offset * p.exp_stages
    scales = dataflow.words(p)["scales"]
    return (
        registers("score", p.dot_stages + before, scales["multiplier"].bits + scales["shift"].bits),
        registers("score", scaled, scales["offset"].bits),
        registers("score", lanes * before, a.score_word),
        registers("score", lanes * after, a.t_word),
        registers("score", inside, 1, reset=1),
        registers("score", inside, token_flags(p)),
        Unit("logic", "score", 1, {"gates": NODE_GATES}),
        *_saturation(p, "score", lanes),
        Unit("comparator", "score", lanes * a.has_offset, {"width": a.t_width}),
        *blocks(a, "score_beat", lanes, p.dot_stages, scored(p)),
        *blocks(a, "scale", lanes, 0, scored(p)),
        *blocks(a, "exp2", lanes * a.has_offset, p.exp_stages, scored(p)),
    )


def _maximum(p: StreamingAttentionParameters) -> tuple[Unit, ...]:
    a, lanes = p.softmax, p.lanes
    there, stages = 1 - a.has_offset, a.rescales * p.exp_stages
    return (
        registers("maximum", there, 1, enable=1, reset=1),
        registers("maximum", stages, 1, reset=1),
        registers("maximum", stages, token_flags(p)),
        registers("maximum", stages * lanes, a.shift_width),
        Unit("mux", "maximum", there * lanes * p.corners, {"entries": 2, "width": a.t_word}),
        *_saturation(p, "maximum", COMPARED_GATES * lanes),
        *blocks(a, "running_max", lanes * there, 0, scored(p)),
        *blocks(a, "exp2", lanes * a.rescales, p.exp_stages, scored(p)),
    )


def _exponential(p: StreamingAttentionParameters) -> tuple[Unit, ...]:
    a, there = p.softmax, p.softmax.waits_for_maximum
    return (
        registers("exponential", there * p.exp_stages, 1, reset=1),
        registers("exponential", there * p.exp_stages, token_flags(p)),
        Unit("logic", "exponential", there, {"gates": NODE_GATES}),
        *blocks(a, "exp2", p.lanes * there, p.exp_stages, scored(p)),
    )


def _sum(p: StreamingAttentionParameters) -> tuple[Unit, ...]:
    a, lanes = p.softmax, p.lanes
    cycles = 1 + p.reciprocal_stages  # the register of the sum, then those of its reciprocal
    return (
        registers("sum", 1, 1, enable=1, reset=1),
        registers("sum", cycles, 1, reset=1),
        registers("sum", cycles * p.has_gains * a.divides_last, GAIN_BITS),
        Unit("and_row", "sum", lanes * p.corners, {"width": a.p_word}),
        *_saturation(p, "sum", COMPARED_GATES * lanes),
        registers("sum", a.has_offset * p.visible_bits, 1, enable=1),
        *blocks(a, "sum_weights", lanes, 0, scored(p)),
        *blocks(a, "reciprocal", lanes, p.reciprocal_stages, scored(p)),
    )


def _output(p: StreamingAttentionParameters) -> tuple[Unit, ...]:
    a, lanes, elements = p.softmax, p.lanes, p.lanes * p.dim
    stages, (after, before) = p.product_stages, halves(p.product_stages)
    cycles = stages + 1  # the registers of the products, then that of the sum
    return (
        registers("output", 1, 1, enable=1, reset=1),
        registers("output", before, p.dim * p.element_width + lanes * a.p_word),
        registers("output", cycles, 1, reset=1),
        registers("output", stages, 1 + p.final_bits + p.visible_bits),
        registers("output", 1, p.final_bits),
        registers("output", stages * a.rescales * lanes, a.shift_width),
        registers("output", after * elements, a.term_word),
        registers("output", cycles * a.divides_first * p.has_gains, GAIN_BITS),
        Unit("and_row", "output", elements * p.corners, {"width": a.term_word}),
        *_saturation(p, "output", choose(a.values_saturate, COMPARED_GATES * p.dim, elements)),
        *blocks(a, "product", elements, 0, scored(p)),
        *blocks(a, "sum_values", elements, 0, scored(p)),
        *blocks(a, "finish", elements * a.divides_first, 0, scored(p)),
    )


def _divide(p: StreamingAttentionParameters) -> tuple[Unit, ...]:
    a, lanes, elements = p.softmax, p.lanes, p.lanes * p.dim
    stages, (after, before) = p.divide_stages, halves(p.divide_stages)
    inputs = elements * a.o_word + lanes * a.r_width + p.has_gains * OUTPUT_SHIFT_BITS
    return (
        registers("divide", stages, 1, reset=1),
        registers("divide", stages, choose(a.divides_first, token_flags(p), p.final_bits)),
        registers("divide", a.divides_last * before, inputs),
        registers("divide", a.divides_last * after * elements, a.out_width),
        Unit("logic", "divide", 1, {"gates": NODE_GATES}),
        *_saturation(p, "divide", elements),
        *blocks(a, "normalize", lanes * a.divides_first, stages, scored(p)),
        *blocks(a, "finish", elements * a.divides_last, 0, scored(p) / p.row_max),
    )


def _screen(p: StreamingAttentionParameters) -> Iterator[Unit]:
    """Screening: surrogate scores, buckets and counters, three sequencers, indices of the selected keys."""
    there, q, stages = p.prunes, p.pruning, p.dot_stages
    number, passes = clog2(p.keys_max), p.repeats * bit_length(p.heads_max)
    # The key that is screened, that whose bucket is written and that whose bucket is read; the key that is picked;
    # passes left to screen and to pick; the cycle of a search.
    counted = 3 * number + p.key_width + 2 * passes + bit_length(q.search_cycles)
    yield registers("screen", there, 1 + counted, enable=1, reset=1)
    yield registers("screen", there, number, enable=1, reset=1)
    yield registers("screen", there * stages, 2, reset=1)
    yield Unit("adder", "screen", there, {"width": counted})
    yield Unit("comparator", "screen", there, {"width": counted})
    yield registers("surrogate", there, q.surrogate_bits(stages))
    yield Unit("adder", "surrogate", there * 2 * p.dim, {"width": q.score_width})
    yield Unit("decoder", "surrogate", there * p.dim, {"inputs": PLACE_BITS, "outputs": PRODUCT_PLACES})
    yield Unit("logic", "pruning", there * (1 + p.dim), {"gates": LEADING_ONE_GATES})
    yield registers("top_k", there, q.selector_bits - 1, enable=1)
    yield registers("top_k", there, 1, enable=1, reset=1)
    yield Unit("half_adder", "top_k", there * q.buckets, {"width": q.count_width}, 0.01)
    yield Unit("mux", "top_k", there, {"entries": q.buckets, "width": q.count_width})
    yield Unit("comparator", "top_k", there * 2, {"width": q.bucket_width})
    yield Unit("sram", "memory", there, {"words": p.keys_max, "width": q.bucket_width})
    yield from fifo(there, larger(p.candidates, 1), number, 0)


def _control(p: StreamingAttentionParameters) -> tuple[Unit, ...]:
    """Sequencers of scales, queries and keys; that of the keys also counts them."""
    read = {size.name: size.bits for size in p.register_file().sizes}
    # Passes are counted by all three, the queries of a pass by the last two.
    counted = 3 * read["passes"] + 2 * p.regroups * read["queries"]
    # The next key and the last key there is; the last key of a row, its first one in the window.
    numbers = 2 + p.masked + p.windowed
    return (
        registers("control", 1, 3, enable=1, reset=1),
        registers("control", 1, counted, enable=1, reset=1, activity=0.1),
        registers("control", 1 + p.masked, p.key_width, enable=1, reset=1),
        Unit("adder", "control", 1, {"width": counted}, 0.1),
        Unit("comparator", "control", 1, {"width": counted}, 0.1),
        Unit("adder", "control", numbers, {"width": p.key_width}),
        Unit("comparator", "control", 1 + 2 * p.windowed, {"width": p.key_width}),
        Unit("comparator", "control", p.corners * p.parallel * (1 + p.windowed), {"width": p.key_width}),
        Unit("comparator", "control", p.corners * (p.parallel - 1), {"width": bit_length(p.queries_max + 1)}),
    )


def paths(p: StreamingAttentionParameters) -> tuple[Path, ...]:
    """One path through each block between registers, with the unregistered logic in front of it."""
    a = p.softmax
    bare = flag(p.scale_stages == 0) * flag(p.dot_stages < 2)
    _, after = halves(p.scale_stages)
    scaled = whole(a, "scale", a.has_offset * flag(after == 0))
    return (
        *segments(a, "score_beat", 1, p.dot_stages),
        Path("score-scale", (*tail(a, "score_beat", p.dot_stages, bare), *whole(a, "scale", 1))),
        *segments(a, "exp2", a.has_offset, p.exp_stages, scaled),
        *segments(a, "exp2", a.rescales, p.exp_stages, whole(a, "running_max", a.rescales)),
        *segments(a, "exp2", a.waits_for_maximum, p.exp_stages),
        Path("sum", whole(a, "sum_weights", 1)),
        *division(a, p.reciprocal_stages),
        Path("product", whole(a, "product", 1)),
        Path("output", (*whole(a, "product", flag(p.product_stages == 0)), *whole(a, "sum_values", 1))),
        *segments(a, "normalize", a.divides_first, p.divide_stages),
        Path("finish", whole(a, "finish", 1)),
        p.register_file().path(),
    )
