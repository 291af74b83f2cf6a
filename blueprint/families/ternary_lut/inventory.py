"""The hardware inventory of a ternary-LUT core, place by place; formulas hold for one design and for arrays of them.

Places are the modules of the RTL: ``tile`` (activation register), ``build`` (one table), ``fetch`` (one key read for
all token lanes), ``lane`` (one result), ``result`` (its rounding to a float), ``recode`` (five-trit bytes),
``control``, ``shell`` (AXI4-Lite) and ``memory``. Equation and sources: docs/families/ternary_lut.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from blueprint import counting
from blueprint.arithmetic import carry_save, floating, ternary
from blueprint.families.ternary_lut import chains, formats, saving, stalls
from blueprint.families.ternary_lut.parameters import (
    MOST_MU,
    MOST_TABLES,
    TernaryLutParameters,
)
from blueprint.families.ternary_lut.registers import RESULT_FLAGS, forwarding, loader, sweeper
from blueprint.families.ternary_lut.sideband import sideband
from blueprint.numbers import Number, Real, ceil_div, choose, clog2, flag, larger, possible, slices, smaller
from blueprint.unit import (
    ADDER,
    AND_ROW,
    BROADCAST,
    COMPARATOR,
    COMPRESSOR,
    DECODER,
    FLOAT_ADDER,
    FLOAT_PAIR,
    HALF_ADDER,
    MUX,
    RECODER,
    REGISTER,
    SELECT,
    SIGN_ADDER,
    SRAM,
    SRAM_1RW,
    TO_FIXED,
    TO_FLOAT,
    XOR_ROW,
    Path,
    Unit,
    alternating,
    memories,
)

#: Estimated share of cycles, at full throughput, in which a counter of tokens or tiles steps.
_COUNTING = 0.1
#: A byte of five trits becomes five weights of two bits.
_UNPACKING = {"inputs": 8, "outputs": 2 * 5}


def units(p: TernaryLutParameters) -> tuple[Unit, ...]:
    """The whole inventory."""
    return (
        *_tile(p),
        *_build(p),
        *_recode(p),
        *_fetch(p),
        *_lane(p),
        *_memory(p),
        *_control(p),
        *p.register_file().units(),
        *(_kept(p) if possible(p.act_buffer) else ()),
    )


def _tile(p: TernaryLutParameters) -> tuple[Unit, ...]:
    tables = p.lut_count * p.token_lanes
    fixed = (
        TO_FIXED("tile", tables * p.mu * p.fixed, **_fixed(p), activity=1 / p.depth),
        *_special(p),
    )
    return (
        REGISTER("tile", tables, width=p.mu * p.word_width, enable=1, activity=1 / p.depth),
        REGISTER(
            "tile", p.fetch_count, width=p.beside * (p.reduction_stages + p.reduction_registered), enable=1
        ),
        *(fixed if possible(p.fixed) else ()),
    )


def _kept(p: TernaryLutParameters) -> tuple[Unit, ...]:
    """A token group's activations: written in its first pass, read in the others; a tile that arrives waits beside."""
    kept, once = p.keeps_activations, 1 / p.depth
    return (
        SRAM_1RW("memory", kept, words=p.most_tiles, width=p.tile_bits, activity=once),
        REGISTER("tile", kept, width=p.tile_bits, enable=1, activity=once / p.most_passes),
        MUX("tile", kept, entries=2, width=p.tile_bits, activity=once),
    )


def _fixed(p: TernaryLutParameters) -> dict[str, Number]:
    """Conversion of a significand to a fixed-point word."""
    return {
        "inputs": floating.look_up(p.activation, lambda fmt: fmt.fraction_bits + 1),
        "outputs": p.word_width,
    }


def _special(p: TernaryLutParameters) -> tuple[Unit, ...]:
    """A sideband bit per token for NaN or infinity, beside its tile, its beats and its results."""
    return (
        REGISTER("tile", p.fixed * (1 + p.build_stages), width=p.token_lanes, enable=1, activity=1 / p.depth),
        REGISTER("tile", p.fixed * p.sweep_stages, width=p.token_lanes, enable=1),
        REGISTER("tile", p.fixed, width=p.token_lanes, enable=1, activity=1 / p.most_tiles),
    )


def _build(p: TernaryLutParameters) -> tuple[Unit, ...]:
    return (*_whole_build(p), *(_float_build(p) if possible(p.floats) else ()))


def _whole_build(p: TernaryLutParameters) -> tuple[Unit, ...]:
    """Adders of an integer table: one for every entry of two or more activations, which adds the last one to it."""
    tables = p.lut_count * p.token_lanes * p.whole
    found: list[Unit] = []
    once = 1 / p.depth
    full = 1 - p.half
    for taken in range(2, MOST_MU + 1):
        # Mirrored entries start with a plus. A full table also has their negatives; all-minus ones are a bit wider.
        choices = tables * ternary.COMBINATIONS[p.mu, taken]
        mirrored = choices * 2 ** (taken - 1)
        width = smaller(ternary.entry_width(taken, p.word_width, True), p.result_width)
        wide = smaller(ternary.entry_width(taken, p.word_width, False), p.result_width)
        found.append(ADDER("build", mirrored + full * (mirrored - choices), width=width, activity=once))
        found.append(ADDER("build", full * choices, width=wide, activity=once))
    negated = ternary.entry_width(1, p.word_width, False)
    found.append(HALF_ADDER("build", full * tables * p.mu, width=negated, activity=once))
    for acts in range(2, MOST_MU):
        # Registers between levels hold the table so far and the activations that are still to be added.
        between = flag((p.build_style == "pipelined") & (p.mu > acts))
        waiting = (
            ternary.table_bits(acts, p.word_width, p.half, p.result_width) + (p.mu - acts) * p.word_width
        )
        found.append(REGISTER("build", tables * between, width=waiting, enable=1, activity=once))
    final = ternary.table_bits(p.mu, p.word_width, p.half, p.result_width)
    found.append(REGISTER("build", tables * flag(p.build_register), width=final, enable=1, activity=once))
    return tuple(found)


def _float_build(p: TernaryLutParameters) -> tuple[Unit, ...]:
    """Each level adds the next activation to every partial sum, in blocks that give sum and difference.

    The registers inside the blocks of a level go round it too: for the sums that skip the activation, for the
    activation as an entry of its own, and for those to come.
    """
    tables = p.lut_count * p.token_lanes * p.floats
    once = 1 / p.depth
    inside = formats.held_bits(p.activation, p.adder_stages, True)
    found: list[Unit] = []
    for acts in range(1, MOST_MU):
        level = tables * (p.mu > acts)
        pairs = (3**acts - 1) // 2
        after = (3 ** (acts + 1) - 1) // 2 + p.mu - acts - 1
        found.append(FLOAT_PAIR("build", level * pairs, **_float(p), activity=once))
        found.append(REGISTER("build", level * pairs, width=inside, enable=1, activity=once))
        beside = (pairs + p.mu - acts) * p.adder_stages
        found.append(REGISTER("build", level * beside, width=p.act_width, enable=1, activity=once))
        between = flag(p.build_style == "pipelined") * (p.mu > acts + 1)
        found.append(REGISTER("build", tables * between * after, width=p.act_width, enable=1, activity=once))
    entries = ternary.half_entries(p.mu)
    held = flag(p.build_register)
    found.append(REGISTER("build", tables * held * entries, width=p.act_width, enable=1, activity=once))
    return tuple(found)


def _float(p: TernaryLutParameters) -> dict[str, Number]:
    return floating.unit_dims(p.activation, p.adder_stages)


def _recode(p: TernaryLutParameters) -> tuple[Unit, ...]:
    packed = flag(p.key_encoding == "five_trits")
    count = packed * ceil_div(p.lut_count * p.fetch_count * p.mu, 5)
    return (RECODER("recode", count, **_UNPACKING),)


def translations(p: TernaryLutParameters) -> tuple[Number, Number]:
    """(1 where digits become an index, 1 where an index becomes that of the negated group under a condition)."""
    digits = (p.key_encoding == "two_bit") | (p.key_encoding == "five_trits")
    signed = flag(p.key_encoding == "sign_index")
    return flag(digits), choose(p.half, 1 - signed, signed)


def _fetch(p: TernaryLutParameters) -> tuple[Unit, ...]:
    keys = p.lut_count * p.fetch_count
    address = clog2(p.entries + 1)
    raw, mirrored = translations(p)
    index = ternary.key_width("full_index", p.mu)
    values = keys * p.token_lanes
    bits = p.lut_count * p.token_lanes * p.entries * p.entry_width
    flipped = choose(p.floats, 1, p.entry_width)
    held = flag(p.fetch_register)
    return (
        RECODER("fetch", keys * raw, inputs=2 * p.mu, outputs=index),
        COMPARATOR("fetch", keys * mirrored, width=index),
        DECODER("fetch", keys, inputs=address, outputs=p.entries),
        BROADCAST("fetch", bits, fanout=p.fetch_count, activity=1 / p.depth),
        SELECT("fetch", values, entries=p.entries, width=p.entry_width),
        XOR_ROW("fetch", values * p.half, width=flipped),
        REGISTER("fetch", values * held, width=p.entry_width, enable=1),
        REGISTER("fetch", keys * held * p.half * p.whole, width=1, enable=1),
    )


def _lane(p: TernaryLutParameters) -> tuple[Unit, ...]:
    """One result lane: reduction, accumulation, output register."""
    return (*_whole_lane(p), *(_float_lane(p) if possible(p.floats) else ()), *_accumulators(p))


def _float_lane(p: TernaryLutParameters) -> tuple[Unit, ...]:
    lanes = p.fetch_count * p.token_lanes * p.floats
    adders = p.lut_count - 1 + p.accumulates
    inside = formats.held_bits(p.activation, p.adder_stages, False)
    odd: Number = 0
    for level in range(clog2(MOST_TABLES)):
        words = ceil_div(p.lut_count, 2**level)
        odd = odd + choose(words > 1, words % 2, 0)
    return (
        FLOAT_ADDER("lane", lanes * adders, **_float(p)),
        REGISTER("lane", lanes * adders, width=inside, enable=1),
        REGISTER("lane", lanes * odd * p.adder_stages, width=p.act_width, enable=1),
    )


def _whole_lane(p: TernaryLutParameters) -> tuple[Unit, ...]:
    """The sum of integers, up to the accumulator's register."""
    lanes = p.fetch_count * p.token_lanes * p.whole
    split = p.reduction_registered
    tree = flag(p.reduction == "adder_tree")
    save = 1 - tree
    folded = p.folded  # the accumulator is one more row of the reduction
    low = p.entry_width - 1 + clog2(p.lut_count)
    full, half, _ = carry_save.counts(p.lut_count, p.entry_width, folded * low)
    summed = choose(folded, low, p.sum_width)
    added = choose(tree, p.sum_width, summed)
    above = p.result_width - choose(split, p.sum_width, added)
    pairs = smaller(p.entry_width + 2, p.sum_width)  # the mean over the levels of a tree
    single = flag(p.lut_count == 1) * (1 - folded)
    whole = 1 - p.saves
    return (
        COMPRESSOR("lane", lanes * save, width=full),
        HALF_ADDER("lane", lanes * save, width=half),
        ADDER("lane", lanes * save * (1 - single) * whole, width=summed),
        ADDER("lane", lanes * tree * (p.lut_count - 1), width=pairs),
        ADDER("lane", lanes * tree * folded, width=p.sum_width),
        SIGN_ADDER("lane", lanes * p.accumulates * whole, width=above),
        ADDER("lane", lanes * split * whole, width=p.sum_width),
        *(saving.units(p, lanes) if np.any(p.saves) else ()),
        *(saving.inside(p, lanes) if np.any(p.reduction_stages > 0) else ()),
    )


def _accumulators(p: TernaryLutParameters) -> tuple[Unit, ...]:
    """Registers of a result: the sum of a beat, the sums of all column groups, the finished result."""
    lanes = p.fetch_count * p.token_lanes
    stored = (1 - p.in_sram) * p.accumulates
    words = choose(p.buffered, p.depth, 1)
    held = choose(p.buffered, stored * words, 1)
    beat = choose(p.saves, p.offset_sums[2], p.sum_width) if np.any(p.saves) else p.sum_width
    apart = larger(p.buffered, p.saves)
    return (
        REGISTER("lane", lanes * p.reduction_registered, width=beat, enable=1),
        AND_ROW("lane", lanes * p.accumulates, width=p.kept_width),
        REGISTER("lane", lanes * held, width=p.kept_width, enable=1, activity=1 / words),
        MUX("lane", lanes * p.buffered * stored, entries=p.depth, width=p.kept_width),
        REGISTER("lane", lanes * apart, width=p.kept_width, enable=1, activity=1 / p.most_tiles),
        *_forward(p, lanes),
        TO_FLOAT("result", lanes * p.fixed, inputs=p.result_width, outputs=p.output_bits),
    )


def _forward(p: TernaryLutParameters, lanes: Number) -> tuple[Unit, ...]:
    """Forwarding register: a memory reads the old word in the cycle of a write, so the written word is kept."""
    memory = forwarding(p)
    return (
        REGISTER("lane", lanes * memory, width=p.result_width, enable=1),
        MUX("lane", lanes * memory, entries=2, width=p.result_width),
    )


def _memory(p: TernaryLutParameters) -> tuple[Unit, ...]:
    width = p.fetch_count * p.token_lanes * p.result_width
    single = p.single_port
    return (
        *memories(p.in_sram - single, p.depth, width),
        *(alternating("lane", single, p.depth, width) if np.any(single) else ()),
    )


def side_bits(p: TernaryLutParameters, *, read: bool = False) -> Number:
    """Bits that travel with a beat: valid and sideband; ``read``: inside the accumulating adder."""
    return 1 + sideband(p, read=read).width


def _control(p: TernaryLutParameters) -> tuple[Unit, ...]:
    widths = p.size_widths
    tiles, columns = p.accumulates, p.buffered
    counters = (p.regroups * widths["tokens"], tiles * widths["k"])
    loops = len((loader, sweeper))  # both count tokens and tiles
    return (
        REGISTER(
            "control", 1, width=1 + p.load_stages + p.build_stages, reset=1
        ),  # whether each stage holds a tile
        REGISTER("control", p.load_stages, width=1 + p.fixed, enable=1, reset=1, activity=1 / p.depth),
        REGISTER("control", 1, width=sum(loader(p).values()), enable=1, reset=1, activity=1 / p.depth),
        REGISTER("control", 1, width=sum(sweeper(p).values()), enable=1, reset=1),
        REGISTER("control", p.sweep_stages - p.accumulate_stages, width=side_bits(p), enable=1, reset=1),
        REGISTER("control", p.accumulate_stages, width=side_bits(p, read=True), enable=1, reset=1),
        REGISTER("control", 1, width=sum(RESULT_FLAGS.values()), enable=1, reset=1),
        REGISTER("control", p.saves, width=1 + p.resolve_cycles, reset=1),
        REGISTER("control", 1, width=forwarding(p), reset=1),
        REGISTER(
            "control", 1, width=tiles * p.fixed, enable=1, reset=1, activity=1 / p.depth
        ),  # of the first load
        *(ADDER("control", loops, width=width, activity=_COUNTING) for width in counters),
        *(COMPARATOR("control", loops, width=width, activity=_COUNTING) for width in counters),
        ADDER("control", columns, width=widths["n"]),
        ADDER("control", columns, width=p.address_width),
        COMPARATOR("control", columns, width=widths["n"]),
        *(_passes(p) if possible(p.n_tile > 0) else ()),
        BROADCAST("control", 1, fanout=p.fetch_count * p.token_lanes * p.result_width),
    )


def _passes(p: TernaryLutParameters) -> tuple[Unit, ...]:
    """Control of output tiles: what is left of them, twice; what is left of an output tile; the kept tile."""
    loops, width = 2 * p.tiled, p.size_widths["n"]
    return (
        ADDER("control", loops, width=width, activity=_COUNTING),
        COMPARATOR("control", loops, width=width, activity=_COUNTING),
        MUX("control", p.tiled * p.buffered, entries=3, width=width, activity=_COUNTING),
        COMPARATOR("control", p.tiled * p.buffered, width=p.address_width),
        ADDER("control", p.keeps_activations, width=p.kept_address_width, activity=1 / p.depth),
    )


def paths(p: TernaryLutParameters) -> tuple[Path, ...]:
    """Paths between registers through build, fetch, reduction and accumulation."""
    tail, cuts = _tail(p), _cuts(p)
    whole = flag(p.adder_stages == 0) * flag(p.reduction_stages == 0)
    return (
        *chains.runs(
            ("build", "fetch", "reduce", "accumulate"), (_build_path(p), _table_path(p), *tail), cuts, whole
        ),
        *chains.runs(("key", "reduce", "accumulate"), (_key_path(p), *tail), cuts[1:], whole),
        *(_pieces(p) if possible(p.adder_stages > 0) else ()),
        *(_steps(p) if np.any(p.reduction_stages > 0) else ()),
        *((saving.resolved(p),) if np.any(p.saves) else ()),
        *_accumulator_paths(p),
        *(_conversions(p) if possible(p.fixed) else ()),
        *(_recalls(p) if possible(p.act_buffer) else ()),
        p.register_file().path(),
        Path("sequence", _sequence_path(p)),
        *stalls.paths(p),
    )


def _cuts(p: TernaryLutParameters) -> tuple[Number, ...]:
    """1 where a register stands behind the tables, the fetched words, the sum of a beat."""
    return flag(p.build_register), flag(p.fetch_register), p.reduction_registered


def _table_path(p: TernaryLutParameters) -> tuple[Unit, ...]:
    """Path from a table to a fetched word."""
    return (_spread("fetch", p.fetch_count), *_fetched(p))


def _fetched(p: TernaryLutParameters) -> tuple[Unit, ...]:
    return (
        SELECT("fetch", 1, entries=p.entries, width=p.entry_width),
        XOR_ROW("fetch", p.half, width=p.entry_width),
    )


def _tail(p: TernaryLutParameters) -> tuple[tuple[Unit, ...], ...]:
    """Paths through the sum of a beat and through the accumulation, whose adders hold no registers."""
    last = ADDER("lane", p.reduction_registered * p.whole * (1 - p.saves), width=p.result_width)
    saved = COMPRESSOR("lane", saving.ROWS_ADDED * p.saves, width=1)
    return _reduction(p), (last, saved, FLOAT_ADDER("lane", p.floats * p.accumulates, **_float(p)))


def _steps(p: TernaryLutParameters) -> Iterator[Path]:
    """Paths of a carry-save reduction with registers inside, which part its steps as evenly as may be."""
    share, stages = flag(p.reduction_stages > 0), p.reduction_stages
    depth = p.offset_sums[0] * share
    begin, end = depth // (stages + 1), depth - depth * stages // (stages + 1)
    last = ADDER("lane", 1 - p.saves, width=p.sum_width)
    tail = (
        ("begin-compress", (COMPRESSOR("lane", begin, width=1),), share),
        ("end-compress", (COMPRESSOR("lane", end, width=1), last), p.reduction_registered),
        ("accumulate", _tail(p)[1], 0),
    )
    built, fetched, _ = _cuts(p)
    table = (("build", _build_path(p), built), ("fetch", _table_path(p), fetched), *tail)
    for chain in (table, (("key", _key_path(p), fetched), *tail)):
        names, steps, cuts = zip(*chain, strict=True)
        yield from chains.runs(names, steps, cuts[:-1], share)
    middle = ceil_div(depth, stages + 1) * (stages > 1)
    yield Path("inside-compress", (COMPRESSOR("lane", middle, width=1),))


def _pieces(p: TernaryLutParameters) -> Iterator[Path]:
    """Paths of adders that hold registers: pieces of them, joined where no register stands between two adders.

    Each of build, reduction and accumulation begins with the piece in front of its first register and ends with the
    piece behind its last one. Between them lie the inner pieces and, in a chain of adders, the end of one with the
    beginning of the next.
    """
    inside = flag(p.adder_stages > 0)
    building, adding, totals = inside * flag(p.mu > 1), inside * flag(p.lut_count > 1), inside * p.accumulates
    begin, middle, end = piece_lengths(p)
    built, fetched, summed = _cuts(p)

    def pair(count: Real) -> tuple[Unit, ...]:
        return (FLOAT_PAIR("build", count, **_float(p)),)

    def adder(count: Real) -> tuple[Unit, ...]:
        return (FLOAT_ADDER("lane", count, **_float(p)),)

    tail = (
        ("begin-reduce", adder(adding * begin), adding),
        ("end-reduce", adder(adding * end), summed),
        ("begin-accumulate", adder(totals * begin), totals),
        ("end-accumulate", adder(totals * end), 0),
    )
    table = (
        ("begin-build", (_spread("build", 3 ** (p.mu - 1)), *pair(building * begin)), building),
        ("end-build", pair(building * end), built),
        ("fetched", _table_path(p), fetched),
        *tail,
    )
    for chain in (table, (("keyed", _key_path(p), fetched), *tail)):
        names, steps, cuts = zip(*chain, strict=True)
        yield from chains.runs(names, steps, cuts[:-1], inside)
    levels = flag(p.mu > 2) * flag(p.build_style != "pipelined"), flag(p.lut_count > 2)
    yield Path("inside-build", pair(building * np.maximum(middle, levels[0] * (end + begin))))
    yield Path("inside-reduce", adder(adding * np.maximum(middle, levels[1] * (end + begin))))
    yield Path("inside-accumulate", adder(totals * middle))


def piece_lengths(p: TernaryLutParameters) -> tuple[Real, Real, Real]:
    """Parts of a float adder's delay: to its first register, the longest between registers, after its last.

    Without registers the first is all of it.
    """
    begin: Any = 1.0
    middle: Any = 0.0
    end: Any = 0.0
    for stages in range(1, formats.STAGES_LIMIT + 1):
        first, *rest = floating.pieces(floating.ADD_DELAYS, stages)
        here = p.adder_stages == stages
        begin, end = choose(here, first, begin), choose(here, rest[-1], end)
        middle = choose(here, max(rest[:-1], default=0.0), middle)
    return begin, middle, end


def _spread(place: str, fanout: Number) -> Unit:
    return BROADCAST(place, 1, fanout=fanout)


def _build_path(p: TernaryLutParameters) -> tuple[Unit, ...]:
    """Build path: the last activation has a fan-out to all adders of its level."""
    levels = choose(p.build_style == "pipelined", 1, p.mu - 1) * (p.mu > 1)
    return (
        _spread("build", 3 ** (p.mu - 1)),
        ADDER("build", levels * p.whole, width=p.entry_width),
        FLOAT_PAIR("build", levels * p.floats, **_float(p)),
    )


def _conversions(p: TernaryLutParameters) -> tuple[Path, ...]:
    rounded = {"inputs": p.result_width, "outputs": p.output_bits}
    return (
        Path("to-fixed", (TO_FIXED("tile", p.fixed, **_fixed(p)),)),
        Path("to-float", (TO_FLOAT("result", p.fixed, **rounded),)),
    )


def _recalls(p: TernaryLutParameters) -> tuple[Path, ...]:
    """A tile out of the memory of activations, as a fixed-point number where sums are exact."""
    kept = p.keeps_activations
    recalled = (
        SRAM_1RW("memory", kept, words=p.most_tiles, width=p.tile_bits),
        MUX("tile", kept, entries=2, width=p.tile_bits),
        *((TO_FIXED("tile", kept * p.fixed, **_fixed(p)),) if possible(p.fixed) else ()),
    )
    return (Path("recall", recalled),)


def _key_path(p: TernaryLutParameters) -> tuple[Unit, ...]:
    """Path from the weight port through the one-hot select lines, shared by all token lanes, to a fetched word."""
    address = clog2(p.entries + 1)
    raw, mirrored = translations(p)
    index = ternary.key_width("full_index", p.mu)
    packed = flag(p.key_encoding == "five_trits")
    return (
        RECODER("recode", packed, **_UNPACKING),
        RECODER("fetch", raw, inputs=2 * p.mu, outputs=index),
        COMPARATOR("fetch", mirrored, width=index),
        DECODER("fetch", 1, inputs=address, outputs=p.entries),
        _spread("fetch", p.token_lanes * p.entry_width),
        *_fetched(p),
    )


def _reduction(p: TernaryLutParameters) -> tuple[Unit, ...]:
    folded = p.folded
    low = p.entry_width - 1 + clog2(p.lut_count)
    _, _, depth = carry_save.counts(p.lut_count, p.entry_width, folded * low)
    tree = flag(p.reduction == "adder_tree")
    width = choose(folded, p.result_width, p.sum_width)
    words = p.lut_count + folded
    adders = tree * (clog2(p.lut_count) + folded) + (1 - tree) * (1 - p.saves) * (words > 1)
    return (
        COMPRESSOR("lane", depth * (1 - tree), width=1),
        ADDER("lane", adders * p.whole, width=width),
        FLOAT_ADDER("lane", clog2(p.lut_count) * p.floats, **_float(p)),
    )


def _alternating_path(p: TernaryLutParameters, single: Number, bits: Number) -> tuple[Unit, ...]:
    """A word out of one of two memories, or one that still waits to be written."""
    return (
        SRAM_1RW("memory", single, words=ceil_div(p.depth, 2), width=slices(bits)[1]),
        MUX("lane", single, entries=4, width=bits),
    )


def _accumulator_paths(p: TernaryLutParameters) -> tuple[Path, ...]:
    """The accumulated sum, read by its address and cleared on the first tile, into the last adder."""
    lanes = p.fetch_count * p.token_lanes
    accumulates, memory, single = p.accumulates, p.in_sram, p.single_port
    filed = accumulates * (1 - memory) * p.buffered
    bits = lanes * p.result_width
    into = (
        AND_ROW("lane", accumulates, width=p.kept_width),
        ADDER("lane", accumulates * p.whole * (1 - p.saves), width=p.result_width),
        COMPRESSOR("lane", saving.ROWS_ADDED * p.saves, width=1),
        FLOAT_ADDER("lane", accumulates * p.floats * piece_lengths(p)[0], **_float(p)),
    )
    return (
        Path(
            "first-accumulate",
            (
                BROADCAST("control", accumulates, fanout=lanes),
                BROADCAST("lane", accumulates, fanout=p.result_width),
                *into,
            ),
        ),
        Path(
            "file-accumulate",
            (
                BROADCAST("control", filed, fanout=bits),
                MUX("lane", filed, entries=p.depth, width=p.result_width),
                *into,
            ),
        ),
        Path(
            "memory-accumulate",
            (
                SRAM("memory", memory - single, words=p.depth, width=slices(bits)[1]),
                *(_alternating_path(p, single, bits) if np.any(single) else ()),
                MUX("lane", memory * (p.accumulate_stages == 0), entries=2, width=p.result_width),
                *into,
            ),
        ),
    )


def _sequence_path(p: TernaryLutParameters) -> tuple[Unit, ...]:
    """The longest counter of the sequencer, then the enable of the widest register it moves."""
    widths = p.size_widths
    tile = p.lut_count * p.token_lanes * p.mu * p.act_width
    widest = larger(widths["tokens"] * p.regroups, widths["k"] * p.accumulates)
    widest = larger(widest, widths["n"] * p.tiled)
    return (
        HALF_ADDER("control", 1, width=smaller(widest, counting.REACH)),
        BROADCAST("control", 1, fanout=larger(tile, p.fetch_count * p.result_width)),
    )
