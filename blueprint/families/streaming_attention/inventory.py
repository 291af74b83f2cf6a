"""The hardware inventory of an attention core, place by place; formulas hold for one design and for arrays of them.

Places are the modules of the RTL: the nodes (``score``, ``maximum``, ``exponential``, ``sum``, ``output``, ``divide``),
the softmax blocks inside them, ``fifo``, ``control``, ``shell`` (AXI4-Lite) and ``memory`` (words of deep FIFOs).
"""

from __future__ import annotations

from collections.abc import Iterator

from blueprint import counting, stalls
from blueprint.arithmetic.pruning import PLACE_BITS, PRODUCT_PLACES
from blueprint.arithmetic.softmax import turns
from blueprint.arithmetic.softmax.arithmetic import OUTPUT_MULTIPLIER_BITS, OUTPUT_SHIFT_BITS, Arithmetic
from blueprint.arithmetic.softmax.deep import DEEP
from blueprint.arithmetic.softmax.inventory import (
    blocks,
    deep,
    deep_paths,
    deep_tail,
    division,
    either,
    gain_registers,
    powers,
    segments,
    short_paths,
    summed,
    summed_path,
    tail,
    turn_paths,
    weighted,
    whole,
)
from blueprint.families.streaming_attention import dataflow
from blueprint.families.streaming_attention.parameters import StreamingAttentionParameters
from blueprint.numbers import (
    FILE_WORDS,
    Number,
    Real,
    bit_length,
    choose,
    clog2,
    flag,
    larger,
    possible,
    smaller,
)
from blueprint.unit import (
    ADDER,
    AND_ROW,
    COMPARATOR,
    DECODER,
    HALF_ADDER,
    LOGIC,
    MUX,
    REGISTER,
    SELECT,
    SRAM,
    Path,
    Unit,
    memories,
)

#: Estimated shares of cycles, at full throughput, in which a counter of passes or queries steps, a word bypasses the
#: memory of a FIFO, and a count of keys in a bucket changes.
_COUNTING, _REFILLING, _BUCKET_COUNTING = 0.1, 0.1, 0.01

#: Bits of the multiplier and the shift that scale a result.
GAIN_BITS = OUTPUT_MULTIPLIER_BITS + OUTPUT_SHIFT_BITS

#: Estimated two-input gates: of all handshakes between nodes and FIFOs, of the handshakes inside a node, of the
#: comparison of a value with the end of its range, and of the search for the leading one in a score or an element.
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
        LOGIC("tile", 1, gates=TOP_GATES),
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
    yield REGISTER("fifo", count * levels, width=bit_length(depth), enable=1, reset=1)
    yield REGISTER("fifo", count * pointers, width=address, enable=1, reset=1)
    yield REGISTER("fifo", held * depth, width=width, enable=1, activity=1 / depth)
    yield REGISTER("fifo", count * memory, width=width, enable=1, activity=_REFILLING)
    yield REGISTER("fifo", count * memory, width=1, enable=1, reset=1)
    yield HALF_ADDER("fifo", count * levels, width=bit_length(depth))
    yield HALF_ADDER("fifo", count * pointers, width=address)
    yield DECODER("fifo", several * pointers, inputs=address, outputs=depth)
    yield SELECT("fifo", several, entries=depth, width=width)
    yield MUX("fifo", count * memory, entries=2, width=width)
    yield from memories(count * memory, depth, width)


def token_flags(p: StreamingAttentionParameters) -> Number:
    """Bits of the sideband of a token: end of row, end of pass, end of run, and the positions that see it."""
    return 1 + p.turn_bits + p.final_bits + p.visible_bits


def scored(p: StreamingAttentionParameters) -> Real:
    """Fraction of the keys that is scored."""
    return choose(p.prunes, smaller(p.candidates, p.keys_max) / p.keys_max, 1.0)


def halves(stages: Number) -> tuple[Number, Number]:
    """Registers before and after a step without internal registers; an odd register is placed before it."""
    return stages - stages // 2, stages // 2


def saturations(p: StreamingAttentionParameters) -> dict[str, Number]:
    """Flip-flops of the events that a value has left the range of the arithmetic, by node.

    An event at the end of a long path has a flip-flop of its own; these are combined one cycle later.
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
    found = LOGIC(node, flag(count > 0), gates=gates, activity=0.0)
    return REGISTER(node, count, width=1, reset=1, activity=0.0), found


def _score(p: StreamingAttentionParameters) -> tuple[Unit, ...]:
    a, lanes = p.softmax, p.lanes
    before, after = halves(p.scale_stages)
    dotted = p.short + p.dot_stages
    scaled = dotted + p.scale_stages + p.scale_cuts
    inside = scaled + a.has_offset * p.exp_stages
    scales = dataflow.words(p)["scales"]
    return (
        REGISTER("score", p.short, width=lanes * p.dim * a.in_width + p.dim * p.element_width),
        REGISTER("score", dotted + before, width=scales["multiplier"].bits + scales["shift"].bits),
        _shared("score", 1, a, "scale", p.scale_cuts, "multiplier", "shift"),
        REGISTER("score", scaled, width=scales["offset"].bits),
        REGISTER("score", lanes * before, width=a.score_word),
        REGISTER("score", lanes * after, width=a.t_word),
        REGISTER("score", inside, width=1, reset=1),
        REGISTER("score", inside, width=token_flags(p)),
        LOGIC("score", 1, gates=NODE_GATES),
        *_saturation(p, "score", lanes),
        COMPARATOR("score", lanes * a.has_offset, width=a.t_width),
        *either(a, "score_beat", lanes, p.dot_stages, p.short, scored(p)),
        *deep(a, "scale", lanes, p.scale_cuts, scored(p)),
        *either(a, "exp2", lanes * a.has_offset, p.exp_stages, p.short, scored(p)),
    )


def _maximum(p: StreamingAttentionParameters) -> tuple[Unit, ...]:
    a, lanes = p.softmax, p.lanes
    there, stages = 1 - a.has_offset, a.rescales * p.exp_stages
    split, follows = there * p.short, a.rescales * p.short
    around = dataflow.MAXIMUM_STAGES
    taken = choose(a.rescales, a.t_word, a.t_width)
    return (
        REGISTER("maximum", there, width=1, enable=1, reset=1),
        # The token, its flags, and what waits for the comparison and is read behind it.
        REGISTER("maximum", split * around, width=1, reset=1),
        REGISTER("maximum", split, width=lanes * (taken + a.reference_width) + around),
        REGISTER("maximum", follows * 2, width=lanes * a.t_word),
        REGISTER("maximum", follows, width=lanes * a.shift_width),
        REGISTER("maximum", split * choose(a.rescales, around, around - 1), width=p.visible_bits),
        REGISTER("maximum", follows * around, width=p.turn_bits + p.final_bits),
        REGISTER("running_max", split * lanes, width=a.reference_width),
        REGISTER("maximum", stages, width=1, reset=1),
        REGISTER("maximum", stages, width=token_flags(p)),
        REGISTER("maximum", stages * lanes, width=a.shift_width),
        MUX("maximum", there * lanes * p.corners, entries=2, width=a.t_word),
        *_saturation(p, "maximum", COMPARED_GATES * lanes),
        *blocks(a, "running_max", lanes * there, 0, scored(p)),
        *either(a, "exp2", lanes * a.rescales, p.exp_stages, p.short, scored(p)),
    )


def _exponential(p: StreamingAttentionParameters) -> tuple[Unit, ...]:
    a, there = p.softmax, p.softmax.waits_for_maximum
    return (
        REGISTER("exponential", there * (p.short + p.exp_stages), width=1, reset=1),
        REGISTER("exponential", there * (p.short + p.exp_stages), width=token_flags(p)),
        REGISTER("exponential", there * p.short * p.lanes, width=a.t_word + a.reference_width),
        LOGIC("exponential", there, gates=NODE_GATES),
        *either(a, "exp2", p.lanes * there, p.exp_stages, p.short, scored(p)),
    )


def _sum(p: StreamingAttentionParameters) -> tuple[Unit, ...]:
    a, lanes = p.softmax, p.lanes
    cycles = p.short + 1 + p.reciprocal_stages  # of the token, of the sum, then those of its reciprocal
    early, scaled = before_gain(p), p.has_gains * a.divides_last
    return (
        REGISTER("sum", 1, width=1, enable=1, reset=1),
        REGISTER("sum", cycles, width=1, reset=1),
        REGISTER("sum", early * scaled, width=GAIN_BITS),
        REGISTER("sum", (cycles - early) * scaled, width=OUTPUT_SHIFT_BITS),
        REGISTER("sum", p.short, width=1 + p.visible_bits),
        REGISTER("sum", p.short * lanes, width=a.p_width + a.rescales * a.shift_width),
        AND_ROW("sum", lanes * p.corners, width=a.p_word),
        *_saturation(p, "sum", COMPARED_GATES * lanes),
        REGISTER("sum", a.has_offset * p.visible_bits, width=1, enable=1),
        *_turns(p, "sum"),
        *summed(a, "sum_weights", lanes, p.short, scored(p)),
        *either(a, "reciprocal", lanes, p.reciprocal_stages, p.short, scored(p)),
    )


def _turns(p: StreamingAttentionParameters, node: str) -> tuple[Unit, ...]:
    """What a node has for partial sums that take turns: what lanes share, and counters of the end of a row."""
    there, counted = flag(p.sum_stages > 0), turns.counter_bits(p.sum_stages)
    lanes, behind = there * p.lanes, p.short + (p.product_stages if node == "output" else 0)
    # Where a key is added later than it is taken both are counted.
    counters = there * (1 + flag(behind > 0))
    return (
        REGISTER(node, lanes, width=turns.shared_bits(p.softmax, p.sum_stages)),
        ADDER(node, lanes * p.softmax.rescales * p.sum_stages, width=p.softmax.shift_width),
        REGISTER(node, counters, width=counted, reset=1),
        ADDER(node, counters, width=counted),
    )


def before_gain(p: StreamingAttentionParameters) -> Number:
    """Registers that delay the multiplier of the output until the reciprocal reads it."""
    return p.short + 1 + gain_registers(p.softmax, p.reciprocal_stages, p.short)


def _output(p: StreamingAttentionParameters) -> tuple[Unit, ...]:
    a, lanes, elements = p.softmax, p.lanes, p.lanes * p.dim
    after, before = halves(p.product_stages)
    # A product of short steps has its registers inside, and the token has one in front.
    before, after = choose(p.short, 1, before), choose(p.short, 0, after)
    stages = p.product_stages + p.short
    cycles = stages + 1  # the registers of the products, then that of the sum
    finished = a.divides_first * p.finish_cuts
    return (
        REGISTER("output", 1, width=1, enable=1, reset=1),
        REGISTER("output", before, width=p.dim * p.element_width + lanes * a.p_word),
        REGISTER("output", cycles + finished, width=1, reset=1),
        REGISTER("output", stages, width=1 + p.final_bits + p.visible_bits),
        REGISTER("output", 1 + finished, width=p.final_bits),
        REGISTER("output", stages * a.rescales * lanes, width=a.shift_width),
        REGISTER("output", after * elements, width=a.term_word),
        REGISTER("output", cycles * a.divides_first * p.has_gains, width=GAIN_BITS),
        _shared("output", a.divides_first, a, "finish", p.finish_cuts, "output_multiplier", "output_shift"),
        AND_ROW("output", elements * p.corners, width=a.term_word),
        *_saturation(p, "output", choose(a.values_saturate, COMPARED_GATES * p.dim, elements)),
        *either(a, "product", elements, p.product_stages * p.short, p.short, scored(p)),
        *_turns(p, "output"),
        *summed(a, "sum_values", elements, p.short, scored(p)),
        *deep(a, "finish", elements * a.divides_first, p.finish_cuts, scored(p)),
    )


def _divide(p: StreamingAttentionParameters) -> tuple[Unit, ...]:
    a, lanes, elements = p.softmax, p.lanes, p.lanes * p.dim
    stages, (after, before) = p.divide_stages, halves(p.divide_stages)
    inside = stages + choose(a.divides_first, p.short, p.finish_cuts)
    inputs = elements * a.o_word + lanes * a.r_width + p.has_gains * OUTPUT_SHIFT_BITS
    return (
        REGISTER("divide", inside, width=1, reset=1),
        REGISTER("divide", inside, width=choose(a.divides_first, token_flags(p), p.final_bits)),
        REGISTER("divide", a.divides_last * before, width=inputs),
        REGISTER("divide", a.divides_last * after * elements, width=a.out_width),
        _shared("divide", a.divides_last * lanes, a, "finish", p.finish_cuts, "r"),
        _shared("divide", a.divides_last, a, "finish", p.finish_cuts, "output_shift"),
        REGISTER("divide", a.divides_first * p.short * lanes, width=a.p_word + a.r_width),
        LOGIC("divide", 1, gates=NODE_GATES),
        *_saturation(p, "divide", elements),
        *either(a, "normalize", lanes * a.divides_first, stages, p.short, scored(p)),
        *deep(a, "finish", elements * a.divides_last, p.finish_cuts, scored(p) / p.row_max),
    )


def _shared(node: str, count: Number, a: Arithmetic, place: str, cuts: Number, *operands: str) -> Unit:
    """Registers of a node that delay what its blocks of short steps share."""
    width: Number = sum((DEEP[place].shared_bits(a, cuts, operand) for operand in operands), 0)
    return REGISTER(node, count * flag(width > 0), width=width)


# Below are the registers of the sequencers, named as in the RTL, with their bits (0 where a design lacks one).

#: Flags that travel with a surrogate score: it is valid, and it is the last of its pass.
SCORED = ("valid", "done")
#: Flags of the loops over scales, queries and keys.
LOOPS = {"tuning": 1, "loading": 1, "scoring": 1}


def screen_counters(p: StreamingAttentionParameters) -> dict[str, Number]:
    """Counters of a screening: keys screened, stored, read back and picked, passes left, cycles of a search."""
    passes = p.repeats * bit_length(p.heads_max)
    return {
        "screened_key": p.index_width,
        "tail": p.index_width,
        "at": p.index_width,
        "pick": p.key_width,
        "screened_passes": passes,
        "picked_passes": passes,
        "timer": bit_length(p.pruning.search_cycles),
    }


def run_counters(p: StreamingAttentionParameters) -> dict[str, Number]:
    """Counters of the rest of a run: all three loops count passes, the last two count queries."""
    read = {size.name: size.bits for size in p.register_file().sizes}
    found: dict[str, Number] = {}
    for name in ("tune_passes", "load_passes", "score_passes"):
        found |= counting.down(name, read["passes"], 1, p.repeats)
    for name, shown in (("load_queries", 0), ("score_queries", p.corners)):
        found |= counting.down(name, read["queries"], p.parallel, p.regroups, shown=shown)
    return found


def key_counters(p: StreamingAttentionParameters) -> dict[str, Number]:
    """Registers that count the keys of a row: the keys left or, with a mask, the position in the row."""
    read = {size.name: size.bits for size in p.register_file().sizes}
    scored = choose(p.prunes, read["candidates"], read["keys"])
    width = p.masked * p.key_width
    return {
        **counting.down("key", scored, 1, 1 - p.masked),
        "last_key": p.masked,
        "back": width,
        "sunk": p.regroups * width,
        "sink": p.has_sinks,
        **counting.down("sinks", read["sinks"], 1, p.has_sinks),
    }


def key_bounds(p: StreamingAttentionParameters) -> dict[str, Number]:
    """Registers derived from the sizes of a run: last key and reach of a window."""
    return {
        "keys_begin": p.masked,
        "top": p.masked * p.key_width,
        "span": p.span_width,
        "reach": larger(p.windowed * p.visible_bits - 1, 0) * p.span_width,
    }


def _screen(p: StreamingAttentionParameters) -> Iterator[Unit]:
    """Screening: surrogate scores, buckets and counters, three sequencers, indices of the selected keys."""
    there, q, stages = p.prunes, p.pruning, p.dot_stages
    counted = sum(screen_counters(p).values())
    yield REGISTER("screen", there, width=1 + counted, enable=1, reset=1)  # screening, and counters
    yield REGISTER("screen", there, width=p.index_width, enable=1, reset=1)  # number_here
    yield REGISTER("screen", there * stages, width=len(SCORED), reset=1)
    yield ADDER("screen", there, width=counted)
    yield COMPARATOR("screen", there, width=counted)
    yield REGISTER("surrogate", there, width=q.surrogate_bits(stages))
    yield ADDER("surrogate", there * 2 * p.dim, width=q.score_width)
    yield DECODER("surrogate", there * p.dim, inputs=PLACE_BITS, outputs=PRODUCT_PLACES)
    yield LOGIC("pruning", there * (1 + p.dim), gates=LEADING_ONE_GATES)
    yield REGISTER("top_k", there, width=q.selector_bits - 1, enable=1)
    yield REGISTER("top_k", there, width=1, enable=1, reset=1)
    yield HALF_ADDER("top_k", there * q.buckets, width=q.count_width, activity=_BUCKET_COUNTING)
    yield MUX("top_k", there, entries=q.buckets, width=q.count_width)
    yield COMPARATOR("top_k", there * 2, width=q.bucket_width)
    yield SRAM("memory", there, words=p.keys_max, width=q.bucket_width)
    yield from fifo(there, larger(p.candidates, 1), p.index_width, 0)


def _control(p: StreamingAttentionParameters) -> tuple[Unit, ...]:
    """Sequencers of scales, queries and keys; that of the keys also counts them."""
    loops, keys = run_counters(p), key_counters(p)
    counted = sum(bits for name, bits in loops.items() if name.endswith("_left"))
    row, width = keys["key_left"] + keys["sinks_left"], p.masked * p.key_width
    return (
        REGISTER("control", 1, width=sum(LOOPS.values()), enable=1, reset=1),
        REGISTER("control", 1, width=sum(loops.values()), enable=1, reset=1, activity=_COUNTING),
        REGISTER("control", 1, width=sum(keys.values()), enable=1, reset=1),
        REGISTER("control", 1, width=sum(key_bounds(p).values()), reset=1, activity=0.0),
        ADDER("control", 1, width=counted, activity=_COUNTING),
        COMPARATOR("control", 1, width=counted, activity=_COUNTING),
        ADDER("control", 1, width=row),
        COMPARATOR("control", 1, width=row),
        # The last key, that of the next row, and the key itself.
        ADDER("control", 3, width=width),
        COMPARATOR("control", 1 + 2 * p.windowed, width=width),
        ADDER("control", p.visible_bits * p.windowed, width=p.span_width, activity=0.0),
        COMPARATOR("control", p.corners * p.parallel * (1 + p.windowed), width=p.key_width),
        COMPARATOR("control", p.corners * (p.parallel - 1), width=bit_length(p.queries_max + 1)),
    )


def paths(p: StreamingAttentionParameters) -> tuple[Path, ...]:
    """One path through each block between registers, with the unregistered logic in front of it."""
    a = p.softmax
    bare = flag(p.scale_stages == 0) * flag(p.dot_stages < 2)
    _, after = halves(p.scale_stages)
    flat = flag(p.scale_cuts == 0)
    long, short = 1 - p.short, p.short
    scaled = deep_tail(a, "scale", a.has_offset * flag(after == 0), p.scale_cuts)
    added = tail(a, "score_beat", p.dot_stages, bare * long)
    return (
        *segments(a, "score_beat", long, p.dot_stages),
        Path("score-scale", (*(u.times(flat) for u in added), *whole(a, "scale", flat))),
        *deep_paths(a, "score-scale", "scale", 1, p.scale_cuts, added),
        *segments(a, "exp2", a.has_offset * long, p.exp_stages, scaled),
        *powers(a, a.rescales * long, p.exp_stages, whole(a, "running_max", a.rescales * long)),
        *powers(a, a.waits_for_maximum * long, p.exp_stages),
        Path("sum", whole(a, "sum_weights", long * flag(p.sum_stages == 0))),
        *division(a, p.reciprocal_stages, long),
        Path("product", whole(a, "product", long)),
        Path("output", weighted(a, flag(p.product_stages == 0) * long * flag(p.sum_stages == 0))),
        Path("values", whole(a, "sum_values", long * flag(p.sum_stages == 0))),
        *turn_paths(a, "values-turn", p.sum_stages),
        *segments(a, "normalize", a.divides_first * long, p.divide_stages),
        *(_short_paths(p) if possible(short) else ()),
        Path("finish", whole(a, "finish", flag(p.finish_cuts == 0))),
        *deep_paths(a, "finish", "finish", 1, p.finish_cuts),
        _stall_path(p),
        p.register_file().path(),
    )


def _short_paths(p: StreamingAttentionParameters) -> tuple[Path, ...]:
    """Paths between the registers of blocks of short steps, of the running maximum and of the running sums."""
    a, short, whole_sum = p.softmax, p.short, p.short * flag(p.sum_stages == 0)
    _, after = halves(p.scale_stages)
    bare = flag(p.scale_stages == 0) * flag(p.dot_stages == 0) * short
    scaled = deep_tail(a, "scale", a.has_offset * flag(after == 0) * short, p.scale_cuts)
    width = a.reference_width
    compared = COMPARATOR("running_max", (1 - a.has_offset) * short, width=width)
    return (
        *short_paths(a, "score_beat", short, p.dot_stages),
        Path("scores-scale", (*whole(a, "score_beat", bare), *whole(a, "scale", bare))),
        *short_paths(a, "exp2", short, p.exp_stages, scaled),
        Path("maximum-ceiling", (ADDER("running_max", (1 - a.has_offset) * short, width=width),)),
        Path("maximum", (compared, MUX("running_max", (1 - a.has_offset) * short, entries=2, width=width))),
        Path("sum-short", summed_path(a, "sum_weights", whole_sum)),
        *short_paths(a, "reciprocal", short, p.reciprocal_stages),
        *short_paths(a, "product", short, p.product_stages, behind=summed_path(a, "sum_values", whole_sum)),
        Path("values-short", summed_path(a, "sum_values", whole_sum)),
        *short_paths(a, "normalize", a.divides_first * short, p.divide_stages),
    )


#: Gates from a FIFO with room to a key that is taken.
_TAKEN = 3


def _stall_path(p: StreamingAttentionParameters) -> Path:
    """A key is taken if its score has room; with the last one of a row the loops of rows and passes step."""
    loops = 1 + p.regroups + p.repeats
    return Path("stall", (stalls.gates("control", _TAKEN), *stalls.counted("control", loops, p.key_width)))
