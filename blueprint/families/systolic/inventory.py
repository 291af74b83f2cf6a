"""Inventory of an array by place; every formula holds for one design and for arrays of designs.

Places are the modules of the RTL: ``pe`` (elements), ``edge`` (operand registers, skew, passing on), ``buffer``
(partial sums and results where weights stay), ``result`` (the addition that resolves two words), ``memory``,
``control`` and ``shell``. Equations: docs/families/systolic.md.
"""

from __future__ import annotations

import numpy as np

from blueprint import counting, stalls
from blueprint.arithmetic import floating
from blueprint.arithmetic.processing import (
    encode_units,
    halves,
    merge_units,
    path,
    product_depth,
    product_units,
    queue_units,
    resolve_bits,
    resolve_units,
    select_units,
    step_units,
)
from blueprint.arithmetic.processing.element import WIDEST_TOTAL
from blueprint.families.systolic import pipelining
from blueprint.families.systolic.parameters import BANKS, SystolicParameters
from blueprint.numbers import Number, bit_length, ceil_div, choose, clog2, flag, larger, possible, smaller
from blueprint.unit import (
    ADDER,
    AND_ROW,
    BROADCAST,
    COMPARATOR,
    COMPRESSOR,
    DIGIT_SELECT,
    FLOAT_ADDER,
    HALF_ADDER,
    LOGIC,
    MUX,
    REGISTER,
    SELECT,
    SRAM,
    Path,
    Unit,
)

#: Share of cycles, at full throughput, in which a result moves down its column, and a counter of the sequencer steps.
_DRAINING, _COUNTING = 0.1, 0.3
#: Two-input gates per digit of the logic that finds which digits of an activation are left.
_GATES_OF_A_DIGIT = 4
#: Two-input gates of the sequencer between its counters and its flags.
_GATES_OF_THE_SEQUENCER = 40


def units(p: SystolicParameters) -> tuple[Unit, ...]:
    """The whole inventory."""
    return (*_edge(p), *_elements(p), *_buffer(p), *_control(p), *p.register_file().units())


# Operands ------------------------------------------------------------------------------------------------------------


def _skew(lanes: Number) -> Number:
    """Registers of a skew: lane ``i`` is delayed by ``i`` cycles, from 0 on."""
    return lanes * (lanes - 1) // 2


def _edge(p: SystolicParameters) -> tuple[Unit, ...]:
    """Operand registers at the edge, skew registers, and registers between elements."""
    moving, stays, skewed, shared = 1 - p.stationary, p.stationary, p.skewed, 1 - p.skewed
    rows, cols = p.rows, p.cols
    return (
        *_taken(p),
        REGISTER("edge", moving * cols, width=p.element_bits, enable=1),
        REGISTER("edge", skewed * (_skew(rows) + rows * (cols - 1)), width=p.act_bits),
        REGISTER("edge", skewed * _skew(cols), width=p.element_bits),
        REGISTER("edge", skewed * moving * (rows - 1) * cols, width=p.element_bits),
        REGISTER("edge", stays * rows * (cols - 1), width=1, activity=1 / p.most_tokens),
        REGISTER("edge", stays * _skew(cols), width=p.sum_width(rows)),
        BROADCAST("edge", shared * rows * p.act_bits, fanout=cols),
        BROADCAST("edge", shared * cols * p.element_bits, fanout=rows),
    )


def _taken(p: SystolicParameters) -> tuple[Unit, ...]:
    """Activation input: encoders or digit queues, and gating to zero in cycles without a beat."""
    lanes, shared = p.rows * p.act_lanes, 1 - p.waits
    return (
        REGISTER("edge", p.rows * (1 - p.serial), width=p.act_bits, enable=1),
        *(encode_units(p.element, "edge", lanes * p.encoded) if possible(p.encoded) else ()),
        *(queue_units(p.element, "edge", lanes * p.serial * shared) if possible(p.serial) else ()),
        *(_digits_left(p, lanes * p.waits * p.paced) if possible(p.waits) else ()),
        AND_ROW("edge", p.rows * p.gated * shared, width=p.act_bits),
    )


def _digits_left(p: SystolicParameters, count: Number) -> tuple[Unit, ...]:
    """Flags of the remaining digits of a beat, where every element has its own queue."""
    return (
        *encode_units(p.element, "edge", count),
        REGISTER("edge", count, width=p.element.digits, enable=1),
        LOGIC("edge", count, gates=_GATES_OF_A_DIGIT * p.element.digits),
    )


# Elements ------------------------------------------------------------------------------------------------------------


def _elements(p: SystolicParameters) -> tuple[Unit, ...]:
    """Inventory of the elements: products, sums and held operands."""
    count = p.rows * p.cols
    return (
        *_products(p, count),
        *(_queues(p, count * p.waits) if possible(p.waits) else ()),
        REGISTER("pe", count * p.holds_products, width=_product_bits(p)),
        *(pipelining.units(p, count) if possible(p.interleaves) else ()),
        *_sums(p, count * (1 - p.stationary)),
        *_weights(p, count * p.stationary),
        REGISTER("pe", p.cols * p.stationary, width=cascade_bits(p)),
        *(_column_totals(p) if possible(p.passes_words) else ()),
    )


def _product_bits(p: SystolicParameters) -> Number:
    """Bits of the products of one element."""
    alone = p.element.product_bits
    return choose(p.passes_words, p.cascade.product_bits, alone) if possible(p.passes_words) else alone


def _sums(p: SystolicParameters, count: Number) -> tuple[Unit, ...]:
    """Accumulators in the elements, and the result chain down each column."""
    width, adding, chained = p.state_width, count * p.holds_sums, count * flag(p.rows > 1)
    return (
        REGISTER("pe", adding, width=width, enable=p.floats),
        AND_ROW("pe", adding, width=width),
        MUX("pe", chained, entries=2, width=width, activity=_DRAINING),
        REGISTER("pe", count, width=width, enable=1, activity=_DRAINING),
        *(_resolved(p) if possible(p.carry_save) else ()),
    )


def _resolved(p: SystolicParameters) -> tuple[Unit, ...]:
    """Adders below the columns that resolve carry-save results, and the registers between their pieces."""
    count = p.cols * (1 - p.stationary)
    held = resolve_bits(p.element, p.resolve_cycles) if possible(p.resolve_stages > 0) else 0
    return (
        *resolve_units(p.element, "result", count, _DRAINING),
        REGISTER("result", count * flag(p.resolve_stages > 0), width=held, enable=1, activity=_DRAINING),
    )


def _weights(p: SystolicParameters, count: Number) -> tuple[Unit, ...]:
    """Weight registers; where a tile serves several tokens, also a shadow set for the next tile."""
    several, once = p.several_tokens, 1 / p.most_tokens
    return (
        REGISTER("pe", count * (1 + several), width=p.element_bits, enable=1, activity=once),
        MUX("pe", count * several, entries=2, width=p.element_bits, activity=once),
    )


def _queues(p: SystolicParameters, count: Number) -> tuple[Unit, ...]:
    """Digit queues in the elements, and the gates behind them."""
    lanes = count * p.act_lanes
    return (
        *queue_units(p.element, "pe", lanes),
        AND_ROW("pe", lanes, width=p.element.digit_bits),
    )


def _column_totals(p: SystolicParameters) -> tuple[Unit, ...]:
    """The addition below the last row, and its register."""
    count, total = p.cols * p.passes_words, p.sum_width(p.rows)
    return (
        COMPRESSOR("result", count, width=p.cascade.last_full),
        HALF_ADDER("result", count, width=p.cascade.last_half),
        ADDER("result", count, width=total),
        REGISTER("result", count, width=total),
        REGISTER("result", count * flag(p.resolve_cycles > 1), width=p.cascade.piece_bits(p.resolve_cycles)),
    )


def _products(p: SystolicParameters, count: Number) -> tuple[Unit, ...]:
    """Selection, multiplication and addition; the first row of a cascade has no incoming sum."""
    held, whole = p.holds_products, count * (1 - p.passes_words)
    alone = smaller(whole, choose(p.stationary, p.cols, count * (1 - p.accumulates)))
    units = (
        *select_units(p.selected_width, p.group, "pe", count * p.dot_length * p.sparse),
        *product_units(p.element, "pe", choose(held, whole, alone)),
        *(merge_units(p.element, "pe", (whole - alone) * held) if possible(held) else ()),
        *step_units(p.element, "pe", (whole - alone) * (1 - held)),
        *(p.cascade.units("pe", p.cols) if possible(p.passes_words) else ()),
    )
    return pipelining.staged(p, units) if possible(p.interleaves) else units


def cascade_bits(p: SystolicParameters) -> Number:
    """Partial-sum bits of one column: every row's are as narrow as the sum so far, or as its two words.

    Bits of ``i q`` summed over rows ``i`` are counted place by place: a place is used from the first row on whose
    sum reaches it.
    """
    largest = p.dot_length * p.largest_product * (1 - p.floats)
    signs: Number = p.rows
    total = signs
    for place in range(WIDEST_TOTAL - 1):
        first = larger(1, -(-(1 << place) // larger(largest, 1)))
        used = larger(p.rows - first + 1, 0)
        total = total + flag(place < p.result_width - 1) * used
    total = choose(p.floats, (p.rows - 1) * p.float_width + p.sum_width(1), total)
    return choose(p.passes_words, p.cascade.bits, total) if possible(p.passes_words) else total


def _sum(p: SystolicParameters, place: str, count: Number, width: Number) -> tuple[Unit, ...]:
    """One addition per cycle, of integers or of floats."""
    return (
        ADDER(place, count * (1 - p.floats), width=width),
        FLOAT_ADDER(place, count * p.floats, **floating.unit_dims(p.sum_format)),
    )


# Where weights stay: banks -------------------------------------------------------------------------------------------


def _buffer(p: SystolicParameters) -> tuple[Unit, ...]:
    """Two banks of partial sums and the output register (weight_stationary)."""
    many, memory = p.accumulates, p.in_sram
    lanes, words = p.cols * p.stationary, BANKS * p.most_tokens
    filed, remembered = lanes * (1 - memory), lanes * memory
    read = {"entries": words, "width": p.result_width}
    pair = {"entries": 2, "width": p.result_width}
    return (
        REGISTER("buffer", filed * words, width=p.result_width, enable=1, activity=1 / words),
        REGISTER("buffer", filed, width=p.result_width, enable=1),
        REGISTER("buffer", remembered * many, width=p.result_width, enable=1),
        SELECT("buffer", filed * (1 + many), **read),
        MUX("buffer", remembered * (1 + 2 * many), **pair),
        AND_ROW("buffer", lanes * many, width=p.result_width),
        *_sum(p, "buffer", lanes * many, p.result_width),
        SRAM("memory", BANKS * memory, words=p.most_tokens, width=p.cols * p.result_width),
    )


# The sequencer -------------------------------------------------------------------------------------------------------


def _control(p: SystolicParameters) -> tuple[Unit, ...]:
    loops = sequencer_counters(p)
    counters = [bits for name, bits in loops.items() if name.endswith("_left")]
    own = choose(p.stationary, sum(staying_flags(p).values()), sum(summing_flags(p).values()))
    tokens = bit_length(p.most_tokens)
    return (
        REGISTER("control", 1, width=sum(loops.values()) + sum(loop_flags(p).values()), enable=1, reset=1),
        REGISTER("control", 1, width=own, reset=1),
        *(ADDER("control", 1, width=width, activity=_COUNTING) for width in counters),
        *(COMPARATOR("control", 1, width=width, activity=_COUNTING) for width in counters),
        ADDER("control", p.stationary, width=tokens),
        COMPARATOR("control", 2 * p.stationary, width=tokens),
        LOGIC("control", 1, gates=_GATES_OF_THE_SEQUENCER),
        BROADCAST("control", 1, fanout=larger(p.rows * p.act_bits, p.cols * p.result_width)),
    )


# Below are the registers of the sequencer, named as in the RTL, with their bits; 0 where a design has no such register.
# A flag that is delayed by some cycles has as many bits; the registers of its delays are named after it.


def sequencer_counters(p: SystolicParameters) -> dict[str, Number]:
    """Down-counters of the sizes of a run."""
    widths, tokens = p.size_widths, choose(p.stationary, p.most_tokens, p.rows)
    beats = counting.down("beats", widths["k"], p.beat_k, p.several_beats)
    # With flexible elements, what a beat covers is known only when the first weights arrive.
    plain = {**dict.fromkeys(beats, 0), "beats_left": p.several_beats * widths["k"]}
    return {
        **counting.down("groups", widths["tokens"], tokens, p.regroups),
        **{name: choose(p.flexible, plain[name], bits) for name, bits in beats.items()},
        **counting.down("columns", widths["n"], p.span, p.several_columns),
    }


def loop_flags(p: SystolicParameters) -> dict[str, Number]:
    """Flags: run active; the next beat or tile is the first of its column group."""
    return {"active": 1, "first_beat": p.holds_sums}


def summing_flags(p: SystolicParameters) -> dict[str, Number]:
    """Operands, the waves that cross the array, and the results that leave, where sums stay."""
    later = p.stages - 1  # cycles after the first in which a beat is in the array
    return {
        **_operand("act"),
        **_operand("wgt"),
        "busy": p.paced,
        "last": p.marks_ends * later,
        "first": p.holds_sums * later,
        "valid": p.holds_sums * p.floats * later,
        "load": p.waits * later,
        "move": p.waits * later,
        "held": 1,
        "full": flag(p.stages > 1),
        "held_last": p.regroups | p.several_columns | p.interleaves,
        "row": clog2(p.rows),
        "piece": p.resolve_stages,
        "piece_last": p.resolve_stages,
        "turn": p.interleaves * clog2(p.sums),
        "taking": p.interleaves,
        "taken": p.interleaves * clog2(p.sums),
        "tile_last": p.interleaves * (p.regroups | p.several_columns),
    }


def staying_flags(p: SystolicParameters) -> dict[str, Number]:
    """Operands, the tile in the shadow, and the waves that cross the array, where weights stay."""
    return {
        **_operand("act"),
        "tile_there": 1,
        "tile_mark": 1,
        "row": clog2(p.rows),
        **counting.down("token", bit_length(p.most_tokens), 1, p.several_tokens),
        "first_token": p.several_tokens,
        "swap": p.several_tokens * (p.rows + p.cols - 2),
        "valid": p.stages,
        "first": p.accumulates * p.stages,
        "finished": p.accumulates * p.stages,
        **_bank_flags(p),
    }


def _bank_flags(p: SystolicParameters) -> dict[str, Number]:
    """Flags of the banks: the one being filled, the one being drained, and output valid."""
    number = clog2(p.most_tokens)  # bits of the number of a token in its group
    return {
        "token_in": number,
        "token_out": number,
        "fill_bank": 1,
        "give_bank": 1,
        "full": BANKS,
        "banks_used": bit_length(BANKS),
        "result_there": 1,
        "result_last": 1,
        "bank_shown": p.in_sram,
        "bank_ends": p.in_sram,
        "forwarding": p.in_sram * p.accumulates,
    }


def _operand(port: str) -> dict[str, Number]:
    """Flags of an operand register: valid, and ``tlast``."""
    return {f"{port}_there": 1, f"{port}_mark": 1}


# Paths ---------------------------------------------------------------------------------------------------------------


def paths(p: SystolicParameters) -> tuple[Path, ...]:
    """Multiplication and accumulation between two registers, the buffer, and the sequencer."""
    step, longest = path(p.element), larger(p.size_widths["k"], p.size_widths["n"])
    whole = (*_scaled(step, 1 - p.passes_words), *(_passing_step(p) if possible(p.passes_words) else ()))
    # A cascade of one row and a sum of one beat add to nothing.
    alone = choose(p.stationary, flag(p.rows == 1), 1 - p.accumulates)
    return (
        Path("step", _scaled((*_reach(p), *_first(p, _without_sum(whole, alone))), 1 - p.holds_products)),
        *((_resolve_path(p),) if possible(p.passes_words) else ()),
        *(_split_paths(p, step) if possible(p.holds_products) else ()),
        *(pipelining.paths(p) if possible(p.interleaves) else ()),
        _resolved_path(p),
        Path("buffer", _buffer_path(p)),
        p.register_file().path(),
        Path(
            "sequence",
            (
                HALF_ADDER("control", 1, width=smaller(longest, counting.REACH)),
                BROADCAST("control", 1, fanout=p.rows * p.act_bits),
            ),
        ),
        *_stall_paths(p),
    )


#: Gates from a result that waits to the issue of a beat, from there to an operand that is taken, and to the end of a
#: beat whose digits take several cycles.
_ISSUED, _ACCEPTED, _ENDED = 3, 2, 2


def _stall_paths(p: SystolicParameters) -> tuple[Path, ...]:
    """A beat is issued if its result has room; with it the loops step and the next operands are taken."""
    issue = stalls.gates("control", _ISSUED)
    loops = p.several_beats * (1 - p.flexible) + p.several_columns + p.regroups
    width = larger(p.size_widths["k"], p.size_widths["n"])
    return (
        Path(
            "stall",
            (issue, stalls.gates("control", _ENDED * p.paced), *stalls.counted("control", loops, width)),
        ),
        Path(
            "stall-accept",
            (
                issue,
                stalls.gates("control", _ACCEPTED + _ENDED * p.paced),
                BROADCAST("control", 1, fanout=p.rows * p.act_bits),
            ),
        ),
    )


def _passing_step(p: SystolicParameters) -> tuple[Unit, ...]:
    """Path from the operands of an element to the carry-save words."""
    return (
        DIGIT_SELECT("pe", p.passes_words, width=1),
        COMPRESSOR("pe", p.passes_words * p.cascade.depth, width=1),
    )


def _resolve_path(p: SystolicParameters) -> Path:
    """Path that resolves two words and the constant into one, or a piece of it."""
    return Path(
        "resolve",
        (
            COMPRESSOR("result", p.passes_words * p.cascade.last_depth, width=1),
            ADDER("result", p.passes_words, width=ceil_div(p.sum_width(p.rows), p.resolve_cycles)),
        ),
    )


def _resolved_path(p: SystolicParameters) -> Path:
    """The addition of the words of a carry-save sum that stays, or of a piece of them."""
    width = ceil_div(p.result_width, p.resolve_cycles)
    return Path("resolve-piece", (ADDER("result", p.element.resolves * (1 - p.stationary), width=width),))


def _reach(p: SystolicParameters) -> tuple[Unit, ...]:
    """Path from the issue of a beat to the operands of an element: gating, wires along a row, selection."""
    return (
        BROADCAST("control", p.gated, fanout=p.rows * p.act_bits),
        AND_ROW("edge", p.gated, width=p.act_bits),
        BROADCAST("edge", 1 - p.skewed, fanout=p.cols),
        SELECT("pe", p.sparse, entries=p.group, width=p.selected_width),
    )


def _split_paths(p: SystolicParameters, step: tuple[Unit, ...]) -> tuple[Path, ...]:
    """Up to the register of the products, and from there on."""
    products = path(p.element_of(p.sum_width(1)))
    one = tuple(step.times(flag(step.kind != "counter")) for step in products)
    last = ("adder", "counter", "float_adder")
    merged = tuple(unit.counted(flag(unit.count > 0)) for unit in step if unit.kind in last)
    product, merge = halves(p.element)
    if possible(p.passes_words):
        product = choose(p.passes_words, p.cascade.product_depth, product)
        merge = choose(p.passes_words, p.cascade.depth, merge)
        merged = _scaled(merged, 1 - p.passes_words)
    # Without an accumulator the rows of a product may be fewer than those of a step: one row has nothing to reduce.
    rows = product_depth(p.element)
    tree = tuple(
        u.counted(choose(p.carry_save, product, np.minimum(u.count, rows))) if u.kind == "compressor" else u
        for u in _without_sum(one, 1)
    )
    reduced = COMPRESSOR("pe", p.carry_save * merge, width=1)
    return (
        Path("multiply", _scaled((*_reach(p), *_first(p, tree)), p.holds_products)),
        Path("accumulate", _scaled((reduced, *_first(p, merged)), p.holds_products)),
    )


def _first(p: SystolicParameters, steps: tuple[Unit, ...]) -> tuple[Unit, ...]:
    """Steps up to the first register inside a float adder or multiplier."""
    return pipelining.shortened(p, steps, 0) if possible(p.interleaves) else steps


def _without_sum(steps: tuple[Unit, ...], times: Number) -> tuple[Unit, ...]:
    """Float products up to their own sum, where ``times`` is 1 and nothing is added to it."""
    return tuple(
        u.counted(u.count - flag(u.count > 0) * times) if u.kind == "float_adder" else u for u in steps
    )


def _scaled(steps: tuple[Unit, ...], times: Number) -> tuple[Unit, ...]:
    return tuple(unit.times(times) for unit in steps)


def _buffer_path(p: SystolicParameters) -> tuple[Unit, ...]:
    """Path from the read of a partial sum through its adder."""
    many = p.accumulates * p.stationary
    words = BANKS * choose(p.in_sram, 1, p.most_tokens)
    return (
        SRAM("memory", many * p.in_sram, words=p.most_tokens, width=p.cols * p.result_width),
        SELECT("buffer", many, entries=words, width=p.result_width),
        AND_ROW("buffer", many, width=p.result_width),
        *_sum(p, "buffer", many, p.result_width),
    )
