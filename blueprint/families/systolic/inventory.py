"""What an array is made of, place by place; every formula holds for one design and for arrays of designs.

Places are the modules of the RTL: ``pe`` (elements), ``edge`` (operand registers, skew, passing on), ``buffer``
(partial sums and results where weights stay), ``control`` and ``shell``. Equations: docs/families/systolic.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blueprint.arithmetic.processing import (
    encode_units,
    halves,
    merge_units,
    path,
    product_units,
    queue_units,
    resolve_units,
    select_units,
    step_units,
)
from blueprint.families.systolic import elements
from blueprint.families.systolic.schedule import BANKS
from blueprint.numbers import Number, bit_length, choose, clog2, larger, possible, smaller
from blueprint.unit import Path, Unit, flops

if TYPE_CHECKING:
    from blueprint.families.systolic.spec import SystolicSpec


def units(p: SystolicSpec) -> tuple[Unit, ...]:
    """The whole inventory."""
    return (*_edge(p), *_elements(p), *_buffer(p), *_control(p), *p.register_file().units())


def _edge(p: SystolicSpec) -> tuple[Unit, ...]:
    """Operands as they arrive, delayed for later rows and columns, and between elements."""
    stays, skewed = choose(p.stationary, 1, 0), choose(p.skewed, 1, 0)
    rows, cols = p.rows, p.cols
    return (
        *_taken(p),
        flops("edge", cols * (1 - stays), p.element_bits, enable=1),
        flops("edge", skewed * (rows * (rows - 1) // 2 + rows * (cols - 1)), p.act_bits),
        flops("edge", skewed * (cols * (cols - 1) // 2), p.element_bits),
        flops("edge", skewed * (1 - stays) * (rows - 1) * cols, p.element_bits),
        flops("edge", stays * rows * (cols - 1), 1, activity=1 / p.most_tokens),
        flops("edge", stays * (cols * (cols - 1) // 2), p.sum_width(rows)),
        Unit("broadcast", "edge", (1 - skewed) * rows * p.act_bits, {"fanout": cols}),
        Unit("broadcast", "edge", (1 - skewed) * cols * p.element_bits, {"fanout": rows}),
    )


def _taken(p: SystolicSpec) -> tuple[Unit, ...]:
    """Activations as they arrive: encoded, or in queues that hand out their digits; zeros where no beat is issued."""
    lanes, serial = p.rows * p.act_lanes, choose(p.serial, 1, 0)
    encoded, own = lanes * choose(p.pe == "ent", 1, 0), choose(p.waits, 1, 0)
    return (
        flops("edge", p.rows * (1 - serial), p.act_bits, enable=1),
        *(encode_units(p.element, "edge", encoded) if possible(p.pe == "ent") else ()),
        *(queue_units(p.element, "edge", lanes * serial * (1 - own)) if possible(p.serial) else ()),
        *(_waiting(p, lanes * own) if possible(p.waits) else ()),
        Unit("and_row", "edge", p.rows * choose(p.gated, 1, 0) * (1 - own), {"width": p.act_bits}),
    )


def _waiting(p: SystolicSpec, count: Number) -> tuple[Unit, ...]:
    """Which digits of a beat are left, where every element has a queue of its own; a single digit never waits."""
    count = count * choose(p.element.digits > 1, 1, 0)
    return (
        *encode_units(p.element, "edge", count),
        flops("edge", count, p.element.digits, enable=1),
        Unit("logic", "edge", count, {"gates": 4 * p.element.digits}),
    )


def _queues(p: SystolicSpec, count: Number) -> tuple[Unit, ...]:
    """Queues inside elements, and the gates behind them."""
    lanes = count * p.act_lanes
    return (
        *queue_units(p.element, "pe", lanes),
        Unit("and_row", "pe", lanes, {"width": p.element.digit_bits}),
    )


def _elements(p: SystolicSpec) -> tuple[Unit, ...]:
    """Products, sums and what an element holds."""
    stays, many = choose(p.stationary, 1, 0), choose(p.accumulates, 1, 0)
    count = p.rows * p.cols
    summing = count * (1 - stays)
    several = choose(p.most_tokens > 1, 1, 0)  # a single token needs its weights for one cycle only
    width = p.state_width
    product_bits = p.element.product_bits
    if possible(p.passes_words):
        product_bits = choose(p.passes_words, p.cascade.product_bits, product_bits)
    return (
        *_products(p, count),
        *(_queues(p, count * choose(p.waits, 1, 0)) if possible(p.waits) else ()),
        flops("pe", count * choose(p.product_register, 1, 0), product_bits),
        Unit(
            "register", "pe", summing * many, {"width": width, "enable": choose(p.floats, 1, 0), "reset": 0}
        ),
        Unit("and_row", "pe", summing * many, {"width": width}),
        Unit("mux", "pe", summing * choose(p.rows > 1, 1, 0), {"entries": 2, "width": width}, 0.1),
        flops("pe", summing, width, enable=1, activity=0.1),
        *(resolve_units(p.element, "result", p.cols * (1 - stays), 0.1) if possible(p.carry_save) else ()),
        flops("pe", stays * count * (1 + several), p.element_bits, enable=1, activity=1 / p.most_tokens),
        Unit(
            "mux", "pe", stays * count * several, {"entries": 2, "width": p.element_bits}, 1 / p.most_tokens
        ),
        flops("pe", stays * p.cols, cascade_bits(p)),
        *(_column_totals(p) if possible(p.passes_words) else ()),
    )


def _column_totals(p: SystolicSpec) -> tuple[Unit, ...]:
    """The addition below the last row, and its register."""
    count = p.cols * choose(p.passes_words, 1, 0)
    return (
        Unit("compressor", "result", count, {"width": p.cascade.last_full}),
        Unit("half_adder", "result", count, {"width": p.cascade.last_half}),
        Unit("adder", "result", count, {"width": p.sum_width(p.rows)}),
        flops("result", count, p.sum_width(p.rows)),
    )


def _products(p: SystolicSpec, count: Number) -> tuple[Unit, ...]:
    """Selection of activations, multiplication and addition; the first row of a cascade has nothing to add to."""
    split, whole = choose(p.product_register, 1, 0), choose(p.passes_words, 0, count)
    alone = smaller(whole, choose(p.stationary, p.cols, count * choose(p.accumulates, 0, 1)))
    sparse = count * p.depth * choose(p.group > 1, 1, 0)
    return (
        *select_units(p.selected_width, p.group, "pe", sparse),
        *product_units(p.element, "pe", choose(split == 1, whole, alone)),
        *(merge_units(p.element, "pe", (whole - alone) * split) if possible(p.product_register) else ()),
        *step_units(p.element, "pe", (whole - alone) * (1 - split)),
        *(p.cascade.units("pe", p.cols) if possible(p.passes_words) else ()),
    )


def cascade_bits(p: SystolicSpec) -> Number:
    """Partial-sum bits of one column: every row's are as narrow as the sum so far, or as its two words.

    Bits of ``i q`` summed over rows ``i`` are counted place by place: a place is used from the first row on whose
    sum reaches it.
    """
    largest = p.depth * p.largest_product * choose(p.floats, 0, 1)
    wide = p.result_width
    total: Number = p.rows
    for place in range(63):
        first = larger(1, -(-(1 << place) // larger(largest, 1)))
        used = larger(p.rows - first + 1, 0)
        total = total + choose(place < wide - 1, used, 0)
    total = choose(p.floats, (p.rows - 1) * p.float_width + p.sum_width(1), total)
    return choose(p.passes_words, p.cascade.bits, total) if possible(p.passes_words) else total


def _float(p: SystolicSpec) -> dict[str, Number]:
    return {
        "exponent": elements.look_up(p.sum_format, lambda fmt: fmt.exponent_bits),
        "fraction": elements.look_up(p.sum_format, lambda fmt: fmt.fraction_bits),
        "stages": 0,
    }


def _sum(p: SystolicSpec, place: str, count: Number, width: Number) -> tuple[Unit, ...]:
    """One addition per cycle, of integers or of floats."""
    whole = choose(p.floats, 0, 1)
    return (
        Unit("adder", place, count * whole, {"width": width}),
        Unit("float_adder", place, count * (1 - whole), _float(p)),
    )


def _buffer(p: SystolicSpec) -> tuple[Unit, ...]:
    """Two banks of partial sums and the result that leaves, where weights stay."""
    many, memory = choose(p.accumulates, 1, 0), choose(p.in_sram, 1, 0)
    lanes, words = p.cols * choose(p.stationary, 1, 0), BANKS * p.most_tokens
    filed = lanes * (1 - memory)
    read = {"entries": words, "width": p.result_width}
    pair = {"entries": 2, "width": p.result_width}
    return (
        flops("buffer", filed * words, p.result_width, enable=1, activity=1 / words),
        flops("buffer", filed, p.result_width, enable=1),
        flops("buffer", lanes * memory * many, p.result_width, enable=1),
        Unit("select", "buffer", filed * (1 + many), read),
        Unit("mux", "buffer", lanes * memory * (1 + 2 * many), pair),
        Unit("and_row", "buffer", lanes * many, {"width": p.result_width}),
        *_sum(p, "buffer", lanes * many, p.result_width),
        Unit("sram", "memory", BANKS * memory, {"words": p.most_tokens, "width": p.cols * p.result_width}),
    )


def _control(p: SystolicSpec) -> tuple[Unit, ...]:
    widths = p.size_widths
    stays, many = choose(p.stationary, 1, 0), choose(p.accumulates, 1, 0)
    groups, columns = choose(p.regroups, 1, 0), choose(p.n_max > p.cols, 1, 0)
    counters = (groups * widths["tokens"], many * widths["k"], columns * widths["n"])
    return (
        flops("control", 1, 1 + sum(counters) + many, enable=1, reset=1),
        flops("control", 1, choose(p.stationary, _staying(p), _summing(p)), reset=1),
        *(Unit("adder", "control", 1, {"width": width}, 0.3) for width in counters),
        *(Unit("comparator", "control", 1, {"width": width}, 0.3) for width in counters),
        Unit("adder", "control", stays, {"width": bit_length(p.most_tokens)}),
        Unit("comparator", "control", 2 * stays, {"width": bit_length(p.most_tokens)}),
        Unit("logic", "control", 1, {"gates": 40}),
        Unit("broadcast", "control", 1, {"fanout": larger(p.rows * p.act_bits, p.cols * p.result_width)}),
    )


def _summing(p: SystolicSpec) -> Number:
    """Operands there and last, wave flags, and the results that leave."""
    own = choose(p.waits, 2, 0)
    waves = (p.stages - 1) * (1 + own + choose(p.accumulates, 1, 0) * choose(p.floats, 2, 1))
    tiles = choose(p.regroups | (p.n_max > p.cols), 1, 0)
    return 4 + waves + 1 + choose(p.paced, 1, 0) + choose(p.stages > 1, 1, 0) + tiles + clog2(p.rows)


def _staying(p: SystolicSpec) -> Number:
    """Operands there and last, the tile in the shadow, wave flags, banks, and the results that leave."""
    several = choose(p.most_tokens > 1, 1, 0)
    copies = (p.rows + p.cols - 2) * several
    waves = p.stages * choose(p.accumulates, 3, 1) + copies
    tokens = several * (bit_length(p.most_tokens) + 1 + 2 * clog2(p.most_tokens))
    memory = choose(p.in_sram, 2 + choose(p.accumulates, 1, 0), 0)
    return memory + 2 + 2 + clog2(p.rows) + waves + tokens + 2 + 2 + BANKS + 2


def paths(p: SystolicSpec) -> tuple[Path, ...]:
    """Multiplication and accumulation between two registers, the buffer, and the sequencer."""
    split = choose(p.product_register, 1, 0)
    step = path(p.element)
    # A single row of a cascade and a sum of one beat have nothing to add to.
    alone = choose(p.stationary, choose(p.rows == 1, 1, 0), choose(p.accumulates, 0, 1))
    passing = choose(p.passes_words, 1, 0)
    whole = (*_scaled(step, 1 - passing), *(_passing_step(p) if possible(p.passes_words) else ()))
    return (
        Path("step", _scaled((*_reach(p), *_without_sum(whole, alone)), 1 - split)),
        *((_resolve_path(p),) if possible(p.passes_words) else ()),
        *(_split_paths(p, step, split) if possible(p.product_register) else ()),
        Path("buffer", _buffer_path(p)),
        Path("counters", (Unit("half_adder", "shell", 1, {"width": 32}),)),
        Path(
            "sequence",
            (
                Unit("half_adder", "control", 1, {"width": larger(p.size_widths["k"], p.size_widths["n"])}),
                Unit("broadcast", "control", 1, {"fanout": p.rows * p.act_bits}),
            ),
        ),
    )


def _passing_step(p: SystolicSpec) -> tuple[Unit, ...]:
    """From the operands of an element to two words."""
    passing = choose(p.passes_words, 1, 0)
    return (
        Unit("digit_select", "pe", passing, {"width": 1}),
        Unit("compressor", "pe", passing * p.cascade.depth, {"width": 1}),
    )


def _resolve_path(p: SystolicSpec) -> Path:
    """Two words and the constant to one."""
    passing = choose(p.passes_words, 1, 0)
    return Path(
        "resolve",
        (
            Unit("compressor", "result", passing * p.cascade.last_depth, {"width": 1}),
            Unit("adder", "result", passing, {"width": p.sum_width(p.rows)}),
        ),
    )


def _reach(p: SystolicSpec) -> tuple[Unit, ...]:
    """From the issue of a beat to the operands of an element: the gate, the way along a row, the selection."""
    gated, shared = choose(p.gated, 1, 0), choose(p.skewed, 0, 1)
    return (
        Unit("broadcast", "control", gated, {"fanout": p.rows * p.act_bits}),
        Unit("and_row", "edge", gated, {"width": p.act_bits}),
        Unit("broadcast", "edge", shared, {"fanout": p.cols}),
        Unit("select", "pe", choose(p.group > 1, 1, 0), {"entries": p.group, "width": p.selected_width}),
    )


def _split_paths(p: SystolicSpec, step: tuple[Unit, ...], split: Number) -> tuple[Path, ...]:
    """Up to the register of the products, and from there on."""
    products = path(elements.element(p, p.sum_width(1)))
    one = tuple(Unit(u.kind, u.place, u.count * (u.kind != "counter"), u.dims) for u in products)
    last = ("adder", "counter", "float_adder")
    merged = tuple(Unit(u.kind, u.place, choose(u.count > 0, 1, 0), u.dims) for u in step if u.kind in last)
    product, merge = halves(p.element)
    if possible(p.passes_words):
        product = choose(p.passes_words, p.cascade.product_depth, product)
        merge = choose(p.passes_words, p.cascade.depth, merge)
        merged = _scaled(merged, choose(p.passes_words, 0, 1))
    saved = choose(p.carry_save, 1, 0)
    tree = tuple(
        Unit(u.kind, u.place, choose(p.carry_save, product, u.count), u.dims) if u.kind == "compressor" else u
        for u in _without_sum(one, 1)
    )
    return (
        Path("multiply", _scaled((*_reach(p), *tree), split)),
        Path("accumulate", _scaled((Unit("compressor", "pe", saved * merge, {"width": 1}), *merged), split)),
    )


def _without_sum(steps: tuple[Unit, ...], times: Number) -> tuple[Unit, ...]:
    """Float products up to their own sum, where ``times`` is 1 and nothing is added to it."""
    return tuple(
        Unit(u.kind, u.place, u.count - choose(u.count > 0, times, 0), u.dims)
        if u.kind == "float_adder"
        else u
        for u in steps
    )


def _scaled(steps: tuple[Unit, ...], times: Number) -> tuple[Unit, ...]:
    return tuple(Unit(unit.kind, unit.place, unit.count * times, unit.dims) for unit in steps)


def _buffer_path(p: SystolicSpec) -> tuple[Unit, ...]:
    """The partial sum so far, read and added to."""
    many, memory = choose(p.accumulates & p.stationary, 1, 0), choose(p.in_sram, 1, 0)
    words = BANKS * choose(p.in_sram, 1, p.most_tokens)
    return (
        Unit("sram", "memory", many * memory, {"words": p.most_tokens, "width": p.cols * p.result_width}),
        Unit("select", "buffer", many, {"entries": words, "width": p.result_width}),
        Unit("and_row", "buffer", many, {"width": p.result_width}),
        *_sum(p, "buffer", many, p.result_width),
    )
