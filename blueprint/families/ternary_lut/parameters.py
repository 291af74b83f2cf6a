"""Parameters of ternary look-up-table matrix multiplication, and the numbers that follow from them.

``L`` tables of ``mu`` activations each are built per tile and token; ``F`` fetches per table and cycle select a
precomputed sum by its weight key; the ``L`` fetched values of an output column are added and accumulated.

Activations are integers or floats. Float sums are float additions in a stated order, or exact: activations become
fixed-point integers, the integer core adds them, and the result is rounded once.
Source: ternary LUT DSE (Geens et al., ISPASS 2026) for the design space; the microarchitecture is our own
(docs/families/ternary_lut.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from blueprint import counting, product
from blueprint.arithmetic import carry_save, floating, ternary
from blueprint.families.ternary_lut import formats
from blueprint.files.tree import show
from blueprint.numbers import (
    FILE_WORDS,
    Number,
    bit_length,
    ceil_div,
    choose,
    clog2,
    flag,
    larger,
    one_of,
    signed_width,
    smaller,
    whole_bytes,
)
from blueprint.parameters import Rule, fits_a_vector, parameter
from blueprint.spec import Spec
from blueprint.workloads.tasks import LARGEST, Gemm

#: Largest group, most tables, and most fetches of all tables in a cycle.
MOST_MU, MOST_TABLES, MOST_FETCHES = ternary.MOST_ACTIVATIONS, 256, 1 << 16
#: Most cycles in which a sum and a carry word are added, and most registers inside a carry-save reduction.
MOST_RESOLVES, MOST_REDUCTIONS = 8, 8
#: The message that says why activations need not be kept.
_UNTILED = "is for several output tiles only (n_tile below n_max, k_max above lut_count x mu), not {} here"


@dataclass(frozen=True, kw_only=True)
class TernaryLutParameters(Spec):
    """Parameters of one ternary-LUT core."""

    family: ClassVar[str] = "ternary_lut"
    title: ClassVar[str] = "Ternary look-up-table matrix multiplication"

    mu: int = parameter(
        "activations per table: the ternary digits of its address", minimum=1, maximum=MOST_MU
    )
    lut_count: int = parameter("tables that work in parallel (L)", minimum=1, maximum=MOST_TABLES)
    fetch_count: int = parameter(
        "reads per table and cycle: output columns of a beat (F)", minimum=1, maximum=1024
    )
    act_width: int = parameter("bits of an activation", minimum=2, maximum=16)
    k_max: int = product.reduction()
    n_max: int = product.outputs()
    m_max: int = product.tokens()
    token_lanes: int = parameter("tokens that share one weight beat", default=1, minimum=1, maximum=64)
    table_style: str = parameter(
        "tables store half of the sums, mirrored by sign, or all", default="half", choices=("half", "full")
    )
    key_encoding: str = parameter(
        "encoding of the weights on their stream", default="sign_index", choices=tuple(ternary.ENCODINGS)
    )
    build_style: str = parameter(
        "circuit that computes the table entries", default="shared", choices=("direct", "shared", "pipelined")
    )
    reduction: str = parameter(
        "circuit that adds the fetched values", default="carry_save", choices=("carry_save", "adder_tree")
    )
    build_register: bool = parameter("pipeline register after the tables are built", default=False)
    fetch_register: bool = parameter("pipeline register after the fetch", default=False)
    reduction_register: bool = parameter("pipeline register after the reduction of a beat", default=False)
    accumulator: str = parameter(
        "storage of partial results", default="auto", choices=("auto", "registers", "sram", "single_port")
    )
    acc_width: int = parameter(
        "bits of an accumulator, 0 for the narrowest that cannot overflow", default=0, minimum=0, maximum=64
    )
    activation: str = parameter("number format of an activation", default="int", choices=formats.ACTIVATIONS)
    exact: bool = parameter("add float activations exactly and round the result once", default=False)
    result_format: str = parameter(
        "number format to which an exact sum is rounded", default="same", choices=formats.RESULTS
    )
    adder_stages: int = parameter(
        "pipeline registers in every float adder", default=0, minimum=0, maximum=formats.STAGES_LIMIT
    )
    n_tile: int = parameter(
        "outputs whose partial sums are on chip at one time (an output tile), 0 for all of them",
        default=0, minimum=0, maximum=LARGEST, added=True,
    )  # fmt: skip
    act_buffer: bool = parameter(
        "memory that keeps the activations of a token group from one output tile to the next",
        default=False, added=True,
    )  # fmt: skip
    carry_save_sums: bool = parameter(
        "partial results stay a sum and a carry word, which are added when a result leaves",
        default=False, added=True,
    )  # fmt: skip
    resolve_cycles: int = parameter(
        "cycles in which those two words are added, a piece in each",
        default=1, minimum=1, maximum=MOST_RESOLVES, added=True,
    )  # fmt: skip
    reduction_stages: int = parameter(
        "pipeline registers inside the carry-save reduction of a beat",
        default=0, minimum=0, maximum=MOST_REDUCTIONS, added=True,
    )  # fmt: skip

    def rules(self) -> Iterator[Rule]:
        yield from _format_rules(self)
        needed = self.needed_result_width
        yield Rule(
            "acc_width",
            (self.acc_width == 0) | (self.acc_width >= needed),
            "the accumulator is too narrow",
            lambda: (
                f"Accumulator width {self.acc_width} cannot hold {self.k_max} products of {self.act_width}-bit "
                f"activations; use at least {needed}"
            ),
        )
        lanes = self.lut_count * self.fetch_count * self.token_lanes
        yield Rule(
            "lut_count",
            lanes <= MOST_FETCHES,
            f"more than {MOST_FETCHES} fetches per cycle",
            lambda: (
                f"Fetches per cycle (lut_count x fetch_count x token_lanes) must be at most "
                f"{MOST_FETCHES}, not {lanes}"
            ),
        )
        yield Rule(
            "accumulator",
            (self.single_port == 0) | (self.accumulate_stages == 0),
            "single-port accumulators behind a pipelined adder",
            lambda: (
                f"Accumulator must be sram where sums take {self.accumulate_stages} more cycles (adder_stages), not "
                "single_port, which writes a word while it reads the next"
            ),
        )
        yield Rule(
            "n_tile",
            (self.n_tile == 0) | ((self.n_tile >= self.fetch_count) & (self.n_tile <= self.n_max)),
            "n_tile is not 0 and not from fetch_count to n_max",
            lambda: (
                f"Parameter n_tile must be 0 or from {self.fetch_count} (fetch_count) to {self.n_max} (n_max), "
                f"not {self.n_tile}"
            ),
        )
        yield Rule(
            "act_buffer",
            flag(self.act_buffer) <= self.tiled,
            "act_buffer without output tiles",
            partial(_refused, self, "act_buffer", _UNTILED),
        )
        yield from _carry_save_rules(self)
        yield fits_a_vector("lut_count", "activations", self.tile_bits)
        yield fits_a_vector("fetch_count", "weights", self.key_bits)
        yield fits_a_vector("fetch_count", "results", self.token_lanes * self.fetch_count * self.output_bits)

    # Derived numbers, each computed once: the same on one design and on arrays of designs ---------------------

    @cached_property
    def half(self) -> Number:
        """1 where tables are mirrored (half tables)."""
        return flag(self.table_style == "half")

    @cached_property
    def is_float(self) -> Number:
        """1 where activations are floats."""
        return flag(self.activation != "int")

    @cached_property
    def floats(self) -> Number:
        """1 where sums are float additions."""
        return self.is_float * flag(self.exact == 0)

    @cached_property
    def whole(self) -> Number:
        """1 where sums are integer additions."""
        return 1 - self.floats

    @cached_property
    def fixed(self) -> Number:
        """1 where float activations are added exactly, as fixed-point integers."""
        return self.is_float * flag(self.exact == 1)

    @property
    def arithmetic(self) -> Any:
        return choose(self.floats, "float", choose(self.fixed, "exact", "integer"))

    @cached_property
    def largest(self) -> Number:
        """The largest magnitude of an activation where sums are integers."""
        return 1 << (self.word_width - 1)

    @cached_property
    def word_width(self) -> Number:
        """Bits of an activation inside the core."""
        return choose(self.fixed, floating.look_up(self.activation, formats.fixed_width), self.act_width)

    @cached_property
    def entries(self) -> Number:
        """Stored entries of one table, zero not counted."""
        half = ternary.half_entries(self.mu)
        return choose(self.half, half, 2 * half)

    @cached_property
    def entry_width(self) -> Number:
        """Bits of a table entry: ``mu`` activations, the most negative ones included, never more than a result's."""
        whole = smaller(ternary.entry_width(self.mu, self.word_width, self.half), self.result_width)
        return choose(self.floats, self.act_width, whole)

    @cached_property
    def tile_k(self) -> Number:
        """Activations of one tile."""
        return self.lut_count * self.mu

    @cached_property
    def most_tiles(self) -> Number:
        return ceil_div(self.k_max, self.tile_k)

    @cached_property
    def regroups(self) -> Number:
        """1 where a run may need more than one group of tokens."""
        return flag(self.m_max > self.token_lanes)

    @cached_property
    def column_groups(self) -> Number:
        """Column groups of the widest result."""
        return ceil_div(self.n_max, self.fetch_count)

    @cached_property
    def depth(self) -> Number:
        """Words of the accumulator buffer: column groups that one pass over the activations computes."""
        asked = (self.n_tile > 0) & (self.accumulates == 1)
        groups = smaller(ceil_div(self.n_tile, self.fetch_count), self.column_groups)
        return choose(asked, groups, self.column_groups)

    @cached_property
    def tile_n(self) -> Number:
        """Outputs of an output tile."""
        return self.depth * self.fetch_count

    @cached_property
    def tiled(self) -> Number:
        """1 where a run may need more than one output tile, each with a pass over the activations."""
        return flag(self.depth < self.column_groups)

    @cached_property
    def most_passes(self) -> Number:
        """Output tiles of the widest result."""
        return ceil_div(self.column_groups, self.depth)

    @cached_property
    def keeps_activations(self) -> Number:
        """1 where the passes after the first read the activations from a memory."""
        return self.tiled * flag(self.act_buffer)

    @cached_property
    def counts_outputs(self) -> Number:
        """1 where the steps of a run depend on the number of its outputs."""
        return larger(self.tiled, self.buffered)

    @cached_property
    def accumulates(self) -> Number:
        """1 where a result may need more than one tile."""
        return flag(self.most_tiles > 1)

    @cached_property
    def buffered(self) -> Number:
        """1 where partial results of several column groups are buffered."""
        return flag(self.depth > 1)

    @cached_property
    def single_result(self) -> Number:
        """1 where a run has a single result beat, so that its last tile ends the run."""
        return self.accumulates * (1 - self.regroups) * (1 - self.counts_outputs)

    @cached_property
    def in_sram(self) -> Number:
        """1 where the accumulator buffer is a memory."""
        large = (self.accumulator == "auto") & (self.depth > FILE_WORDS)
        asked = one_of(self.accumulator, ("sram", "single_port"))
        return self.accumulates * self.buffered * (flag(large) | asked)

    @cached_property
    def single_port(self) -> Number:
        """1 where that memory is two of one port, for even and odd column groups."""
        return self.in_sram * flag(self.accumulator == "single_port")

    @cached_property
    def reduction_registered(self) -> Number:
        """1 where the sum of a beat is registered: by parameter, or because a memory must be read a cycle ahead."""
        wanted = flag(self.reduction_register) * self.accumulates
        ahead = flag(self.fetch_register) + self.tree_stages
        return wanted | self.in_sram * flag(ahead == 0)

    @cached_property
    def tree_stages(self) -> Number:
        """Register stages inside the reduction tree: inside its adders of floats, between its carry-save steps."""
        return clog2(self.lut_count) * self.adder_stages + self.reduction_stages

    @cached_property
    def folded(self) -> Number:
        """1 where the accumulator is one more row of the reduction."""
        return self.whole * self.accumulates * (1 - self.reduction_registered) * (1 - self.saves)

    @cached_property
    def saves(self) -> Number:
        """1 where partial results are a sum and a carry word."""
        return self.accumulates * self.whole * flag(self.carry_save_sums)

    @cached_property
    def singles(self) -> Number:
        """Single bits of a beat's sum, the +1 of each negation."""
        return self.lut_count * self.half * self.whole

    @cached_property
    def singles_left(self) -> Number:
        """Those of them that the carry-save steps of a beat leave."""
        steps = self.lut_count + flag((self.lut_count & (self.lut_count - 1)) != 0) - 2
        return larger(self.singles - larger(steps, 0), 0)

    @cached_property
    def beside(self) -> Number:
        """Those of them that go past the registers of a beat's sum, once a column."""
        registers = flag(self.tree_stages + self.reduction_registered > 0)
        saved = self.singles_left * registers
        return self.whole * choose(self.saves, saved, self.sign_left * self.reduction_registered)

    @cached_property
    def offset_sums(self) -> tuple[Number, Number, Number]:
        """(depth, bits of the registers inside, bits of the rows that are left) of a carry-save reduction."""
        width = choose(self.accumulates * (1 - self.saves), self.sum_width, self.result_width)
        inside = self.singles - self.beside
        return carry_save.held(self.lut_count, self.entry_width, width, inside, self.reduction_stages)

    @cached_property
    def kept_width(self) -> Number:
        """Bits of an accumulator: of the result, or of sum and carry word, whose lowest bit is a single bit."""
        both = 2 * self.result_width - 1 + flag(self.singles_left > 1)
        return choose(self.saves, both, self.result_width)

    @cached_property
    def resolving(self) -> Number:
        """Cycles from the two words of a finished result to the result."""
        return self.saves * self.resolve_cycles

    @cached_property
    def separate(self) -> Number:
        """1 where a finished result has a register of its own."""
        return larger(larger(self.buffered, 1 - self.accumulates), self.saves)

    @cached_property
    def accumulate_stages(self) -> Number:
        """Register stages inside the adder that accumulates."""
        return choose(self.accumulates, self.adder_stages, 0)

    @cached_property
    def needed_result_width(self) -> Number:
        """Bits that hold any sum of ``k_max`` activations."""
        return signed_width(self.k_max * self.largest)

    @cached_property
    def result_width(self) -> Number:
        """Bits of an accumulator and of a result."""
        whole = choose(self.acc_width == 0, self.needed_result_width, self.acc_width)
        return choose(self.floats, self.act_width, whole)

    @cached_property
    def partial_width(self) -> Number:
        """Bits of the sum of one beat."""
        beat = signed_width(self.tile_k * self.largest)
        return smaller(beat, self.result_width)

    @cached_property
    def sign_left(self) -> Number:
        """1 where one +1 of a negation has no free carry input in the sum of a beat and becomes a sideband bit."""
        power_of_two = (self.lut_count & (self.lut_count - 1)) == 0
        return self.half * self.whole * flag(power_of_two | (self.reduction == "adder_tree"))

    @cached_property
    def sum_width(self) -> Number:
        """Bits of the sum of one beat without the sideband +1."""
        without = smaller(self.partial_width, self.entry_width + clog2(self.lut_count))
        return choose(self.floats, self.act_width, choose(self.sign_left, without, self.partial_width))

    @property
    def output_format(self) -> Any:
        """The number format of a result."""
        return choose(self.result_format == "same", self.activation, self.result_format)

    @cached_property
    def output_bits(self) -> Number:
        """Bits of a result on the output stream: integers are sign-extended to whole bytes."""
        whole = whole_bytes(self.result_width)
        return choose(self.is_float, floating.look_up(self.output_format, lambda fmt: fmt.width), whole)

    @cached_property
    def build_stages(self) -> Number:
        """Register stages between the activation register and the tables that are swept."""
        between = choose((self.build_style == "pipelined") & (self.mu > 2), self.mu - 2, 0)
        return between + flag(self.build_register) + (self.mu - 1) * self.adder_stages

    @cached_property
    def load_stages(self) -> Number:
        """Register stages between the activation port and the activation register."""
        return self.keeps_activations

    @cached_property
    def sweep_stages(self) -> Number:
        """Register stages between a fetch and the end of its accumulation."""
        summed = self.tree_stages + self.reduction_registered + self.accumulate_stages
        return flag(self.fetch_register) + summed

    @property
    def size_widths(self) -> dict[str, Number]:
        """Widths of the size counters of a run."""
        return product.size_widths(self.m_max, self.k_max, self.n_max)

    @cached_property
    def tile_count_width(self) -> Number:
        """Bits that count the outputs of an output tile, without the low bits that no column group changes."""
        bits = smaller(self.size_widths["n"], bit_length(self.tile_n))
        return self.tiled * self.buffered * (bits - counting.still(self.fetch_count))

    @cached_property
    def address_width(self) -> Number:
        """Address bits of the accumulator buffer: the index of the column group."""
        return choose(self.accumulates, clog2(self.depth), 0)

    @cached_property
    def tile_bits(self) -> Number:
        """Bits of the activations in a beat, before padding."""
        return self.token_lanes * self.tile_k * self.act_width

    @cached_property
    def kept_address_width(self) -> Number:
        """Address bits of the memory of activations: the index of the tile; as :class:`SinglePort` has them."""
        return self.keeps_activations * larger(clog2(self.most_tiles), 1)

    @cached_property
    def key_bits(self) -> Number:
        """Bits of weights in a beat, before padding."""
        return ternary.beat_bits(self.key_encoding, self.mu, self.lut_count * self.fetch_count)

    @property
    def peak_macs(self) -> Number:
        return self.tile_k * self.fetch_count * self.token_lanes

    @cached_property
    def integer_width(self) -> Number:
        return self.act_width * (1 - self.is_float)

    @cached_property
    def largest_weight(self) -> Number:
        return 1

    @property
    def hashed(self) -> dict[str, Any]:
        """Parameters of the hash; an ``n_tile`` that makes no output tiles counts as none."""
        return {name: value for name, value in super().hashed.items() if name != "n_tile" or self.tiled}

    @property
    def name(self) -> str:
        """The top module: family, the parameters that change its size, and the hash of all of them."""
        kind = f"a{self.act_width}" if self.activation == "int" else self.activation + "_exact" * self.exact
        size = f"mu{self.mu}_l{self.lut_count}_f{self.fetch_count}_{kind}_t{self.token_lanes}"
        return f"{self.family}_{size}_{self.design_hash[:6]}"

    def loops(self, task: Gemm) -> tuple[Number, Number, Number]:
        """(token groups, tiles per token group, column groups) of a run."""
        groups = ceil_div(task.m, self.token_lanes)
        return groups, ceil_div(task.k, self.tile_k), ceil_div(task.n, self.fetch_count)

    def output_tiles(self, task: Gemm) -> tuple[Number, Number, Number]:
        """(output tiles, column groups of each but the last, column groups of the last) of a run."""
        columns = ceil_div(task.n, self.fetch_count)
        tiles, whole = ceil_div(columns, self.depth), smaller(columns, self.depth)
        return tiles, whole, columns - (tiles - 1) * whole


def _exact_bits(p: TernaryLutParameters) -> int:
    """Bits of an exact sum of one design, however wide."""
    return signed_width(p.k_max << floating.get(p.activation).max_fixed.bit_length())


def _refused(p: TernaryLutParameters, name: str, text: str) -> str:
    return f"Parameter {name} {text.format(show(getattr(p, name)))}"


def _carry_save_rules(p: TernaryLutParameters) -> Iterator[Rule]:
    """The requirements of carry-save accumulators and of registers inside a carry-save reduction."""
    save = flag(p.reduction == "carry_save") * p.whole
    yield Rule(
        "carry_save_sums",
        flag(p.carry_save_sums) <= save * p.accumulates,
        "carry_save_sums without integer sums of several tiles",
        partial(
            _refused, p, "carry_save_sums",
            "is for integer sums of several tiles (k_max above lut_count x mu) and a carry_save reduction "
            "only, not {} here",
        ),
    )  # fmt: skip
    yield Rule(
        "accumulator",
        p.saves * p.in_sram == 0,
        "carry-save sums in a memory",
        lambda: (
            f"Accumulator must be registers where sums stay in carry-save form (carry_save_sums), not a memory of "
            f"{p.depth} words" + "; n_tile makes them fewer" * (p.accumulator == "auto")
        ),
    )
    most = choose(p.saves, p.result_width // 2, 1)
    yield Rule(
        "resolve_cycles",
        p.resolve_cycles <= most,
        "resolve_cycles above half of a result's bits, or above 1 without carry_save_sums",
        lambda: (
            f"Parameter resolve_cycles must be at most {most} (one for two bits of a result, and one without "
            f"carry_save_sums), not {p.resolve_cycles}"
        ),
    )
    if not np.any(p.reduction_stages > 0):
        return
    unfolded = save * (1 - p.folded)
    inside = choose(unfolded, larger(p.offset_sums[0] - 1, 0), 0)
    yield Rule(
        "reduction_stages",
        p.reduction_stages <= inside,
        "reduction_stages above what the reduction allows",
        lambda: (
            f"Parameter reduction_stages must be at most {inside} ("
            + (
                f"between the steps of a carry_save reduction of {p.lut_count} table{'s' * (p.lut_count > 1)}, and "
                "none where the accumulator is a part of it: see reduction_register"
                if save
                else "it is for integer sums and a carry_save reduction only"
            )
            + f"), not {p.reduction_stages}"
        ),
    )


def _format_rules(p: TernaryLutParameters) -> Iterator[Rule]:
    """Cross-checks between parameters and the number format of activations."""
    width = floating.look_up(p.activation, lambda fmt: fmt.width)
    yield Rule(
        "act_width",
        (p.activation == "int") | (p.act_width == width),
        "act_width is not that of the float format",
        lambda: f"Activation width must be {width} for {p.activation}, not {p.act_width}",
    )
    for name, used, serves, fits in (
        ("exact", p.exact == 1, p.is_float, "float activations"),
        ("result_format", p.result_format != "same", p.fixed, "exact sums of float activations"),
        ("adder_stages", p.adder_stages > 0, p.floats, "float sums"),
    ):
        yield Rule(
            name,
            flag(used) <= serves,
            f"{name} without {fits}",
            partial(_refused, p, name, f"is for {fits} only, not {{}} here"),
        )
    for name, wrong, must in (
        ("reduction", p.reduction != "adder_tree", "adder_tree"),
        ("build_style", p.build_style == "direct", "shared or pipelined"),
        ("acc_width", p.acc_width != 0, "0"),
    ):
        yield Rule(
            name,
            p.floats * flag(wrong) == 0,
            f"{name} is not for float sums",
            partial(_refused, p, name, f"must be {must} for float sums, not {{}}"),
        )
    yield Rule(
        "exact",
        (p.fixed == 0)
        | ((p.word_width < formats.FIXED_LIMIT) & (p.needed_result_width <= formats.EXACT_LIMIT)),
        "the exact sum is too wide",
        lambda: (
            f"Exact sums of {p.k_max} {p.activation} activations need {_exact_bits(p)} bits; at most "
            f"{formats.EXACT_LIMIT} are built"
        ),
    )
