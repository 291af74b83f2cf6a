"""Arrays of processing elements: every decision about them.

Two orders of work cover all organizations. *Weights stay* (``weight_stationary``): a tile of weights is held by the
elements while tokens pass and partial sums cascade down the rows, one tile's weights loading behind the other's back.
*Sums stay* (all others): every element owns one result and adds products until the reduction is over; the finished
results leave through a chain of registers while the next ones are summed.

Nothing stops inside an array. A beat is issued only when room for what comes out of it is certain, so no register on
its way has an enable, and the time from issue to result is a constant.
Source: tensor engines of the bit-weight paper (Wu et al., HPCA 2025); N:M sparsity as in SAT (2309.13015); fixed
compute with temporal scaling as in Tempus (2605.00536). The microarchitecture is our own (docs/families/systolic.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from blueprint import typical
from blueprint.arithmetic.processing import CARRY_SAVE, PASSING, SERIAL, Counts, Element
from blueprint.families.systolic import elements, ports, schedule, sparsity, values
from blueprint.families.systolic.inventory import paths, units
from blueprint.family import Arrays, Beats, Calibration
from blueprint.numbers import Number, bit_length, ceil_div, choose, clog2, larger, signed_width, smaller
from blueprint.parameters import Rule, fits_a_vector, parameter
from blueprint.port import Operation, Stream
from blueprint.shell import RegisterFile, product_sizes
from blueprint.spec import Spec
from blueprint.timing import TimingGraph
from blueprint.unit import Path, Unit
from blueprint.workloads.tasks import Gemm

#: Banks of more words than this are memories when ``accumulator`` is ``auto``.
REGISTER_FILE_WORDS = 16
ORGANIZATIONS = ("weight_stationary", "output_stationary", "cube", "adder_tree", "broadcast_matrix")


@dataclass(frozen=True, kw_only=True)
class SystolicSpec(Spec):
    """Parameters of one array."""

    family: ClassVar[str] = "systolic"
    title: ClassVar[str] = "Array of processing elements"
    facets: ClassVar[Any] = SimpleNamespace(
        samples=SimpleNamespace(
            # Adders of every design of the pool are laid out bit by bit.
            calibration=Calibration(arithmetics=("integer", "carry_save", "serial", "float"), pool=1200)
        )
    )

    organization: str = parameter("how elements are connected", choices=ORGANIZATIONS)
    pe: str = parameter("what an element is", choices=tuple(elements.KINDS))
    rows: int = parameter("rows of elements", minimum=1, maximum=256)
    cols: int = parameter("columns of elements", minimum=1, maximum=256)
    depth: int = parameter("products an element adds per cycle", default=1, minimum=1, maximum=64)
    act_width: int = parameter("bits of an activation", minimum=2, maximum=16)
    weight_width: int = parameter("bits of a weight, 2 for ternary ones", minimum=2, maximum=16)
    k_max: int = parameter("largest reduction length", bounds="k", minimum=1, maximum=1 << 20)
    n_max: int = parameter("largest number of outputs", bounds="n", minimum=1, maximum=1 << 20)
    m_max: int = parameter(
        "largest number of tokens in one run", bounds="m", default=65535, minimum=1, maximum=1 << 20
    )
    token_depth: int = parameter(
        "tokens whose partial sums wait at once, where weights stay", default=16, minimum=1, maximum=4096
    )
    accumulator: str = parameter(
        "where partial sums wait", default="auto", choices=("auto", "registers", "sram")
    )
    sparsity: str = parameter(
        "weights other than zero in every group", default="dense", choices=tuple(sparsity.PATTERNS)
    )
    activation: str = parameter(
        "number format of activations, and of weights unless ternary", default="int", choices=elements.FORMATS
    )
    accumulate: str = parameter("format that floats are added up in", default="same", choices=elements.SUMS)
    acc_width: int = parameter(
        "bits of an accumulator, 0 for the narrowest", default=0, minimum=0, maximum=64
    )
    product_register: bool = parameter("register the products before they are accumulated", default=False)

    def rules(self) -> Iterator[Rule]:
        yield from elements.rules(self)
        yield fits_a_vector("rows", "activations", self.rows * self.act_lanes * self.act_width)
        yield fits_a_vector("cols", "weights", self.cols * self.element_bits)
        yield fits_a_vector("cols", "results", self.cols * self.output_bits)

    # Derived numbers: the same on one design and on arrays of designs ---------------------------------------------

    @cached_property
    def stationary(self) -> Any:
        """Whether weights stay in the elements."""
        return self.organization == "weight_stationary"

    @cached_property
    def skewed(self) -> Any:
        """Whether operands pass from element to element, so that a beat crosses the array as a wave."""
        return self.stationary | (self.organization == "output_stationary")

    @cached_property
    def floats(self) -> Any:
        """Whether activations are floats."""
        return self.activation != "int"

    @cached_property
    def carry_save(self) -> Any:
        """Whether sums wait as two words whose sum they are."""
        return elements.is_one_of(self.pe, CARRY_SAVE)

    @cached_property
    def passes_words(self) -> Any:
        """Whether partial sums pass down the rows as two words."""
        return self.stationary & elements.is_one_of(self.pe, PASSING)

    @cached_property
    def cascade(self) -> Counts:
        """How sums pass down the rows as two words, in numbers."""
        rows = choose(self.passes_words, self.rows, 0)
        held = choose(self.product_register, 1, 0)
        return Counts(elements.element(self, self.sum_width(self.rows)), rows, held)

    @cached_property
    def serial(self) -> Any:
        """Whether activations come digit by digit."""
        return elements.is_one_of(self.pe, SERIAL)

    @cached_property
    def paced(self) -> Any:
        """Whether a beat may take several cycles: its activations come in several digits."""
        return self.serial & (self.element.digits > 1)

    @property
    def data_dependent(self) -> bool:
        """Whether the time of a run depends on its operands."""
        return bool(np.any((self.paced & (self.pe != "booth_serial")) | self.flexible))

    @property
    def arithmetic(self) -> Any:
        saved = choose(self.serial, "serial", choose(self.carry_save, "carry_save", "integer"))
        return choose(self.floats, "float", saved)

    @cached_property
    def element(self) -> Element:
        """A processing element."""
        return elements.element(self, self.result_width)

    @cached_property
    def kept(self) -> Number:
        """Weights that travel of each group."""
        return sparsity.look_up(self.sparsity, 0)

    @cached_property
    def group(self) -> Number:
        """Weights of a group, travelling or zero."""
        return sparsity.look_up(self.sparsity, 1)

    @cached_property
    def act_lanes(self) -> Number:
        """Activations that reach an element in a beat."""
        return choose(self.flexible, self.element_digits, larger(self.depth // self.kept, 1) * self.group)

    @cached_property
    def flexible(self) -> Any:
        """Whether a weight word is one integer or several ternary weights, run by run."""
        return self.pe == "booth_flex"

    @property
    def element_digits(self) -> Number:
        """Ternary weights in a word of a flexible element."""
        return ceil_div(self.weight_width, 2)

    @property
    def index_width(self) -> Number:
        """Bits that say which weight of its group one is."""
        return clog2(self.group)

    @cached_property
    def weight_bits(self) -> Number:
        """Bits of a weight with its index, or with the bit that says what a flexible element takes it for."""
        return self.weight_width + self.index_width + choose(self.flexible, 1, 0)

    @cached_property
    def code_width(self) -> Number:
        """Bits of an activation, or of a digit of one, on its way through the array."""
        coded = choose(self.pe == "ent", self.act_width + 1, self.act_width)
        return choose(self.serial & (self.pe != "opt3"), self.element.digit_bits, coded)

    @cached_property
    def selected_width(self) -> Number:
        """Bits of what a sparse weight selects."""
        return choose(self.serial, self.element.digit_bits, self.code_width)

    @property
    def waits(self) -> Any:
        """Whether elements have queues of their own, loaded and moved by waves."""
        return self.pe == "opt3"

    @cached_property
    def act_bits(self) -> Number:
        """Bits of the activations of one element."""
        return self.act_lanes * self.code_width

    @cached_property
    def element_bits(self) -> Number:
        """Bits of the weights of one element."""
        return self.depth * self.weight_bits

    @cached_property
    def beat_k(self) -> Number:
        """Length of the reduction that one beat of activations covers."""
        return self.act_lanes * choose(self.stationary, self.rows, 1)

    @property
    def group_m(self) -> Number:
        """Tokens of a token group: those of a beat, or those whose partial sums wait at once."""
        return choose(self.stationary, self.most_tokens, self.rows)

    @cached_property
    def most_tokens(self) -> Number:
        """Tokens whose partial sums can wait at once."""
        return smaller(self.token_depth, self.m_max)

    @cached_property
    def in_sram(self) -> Any:
        """Whether partial sums wait in memories; a single word never does."""
        large = (self.accumulator == "auto") & (self.most_tokens > REGISTER_FILE_WORDS)
        return self.stationary & (self.most_tokens > 1) & (large | (self.accumulator == "sram"))

    @cached_property
    def most_beats(self) -> Number:
        """Beats of the longest reduction."""
        return ceil_div(self.k_max, choose(self.flexible, 1, self.beat_k))

    @cached_property
    def accumulates(self) -> Any:
        """Whether sums are accumulated: a result may need more than one beat, or must be added to something.

        Sums in carry-save form that stay always are, and a single selected float, which nothing has rounded yet.
        """
        alone = self.selects & (self.depth * choose(self.stationary, self.rows, 1) == 1)
        return (self.most_beats > 1) | (self.carry_save & (self.organization != "weight_stationary")) | alone

    @cached_property
    def selects(self) -> Any:
        """Whether ternary weights select floats."""
        return (self.pe == "ternary") & self.floats

    @cached_property
    def gated(self) -> Any:
        """Whether elements add nothing in cycles without a beat, rather than hold their sum."""
        return self.accumulates & (self.activation == "int") & (self.organization != "weight_stationary")

    @cached_property
    def regroups(self) -> Any:
        """Whether a run may have more than one token group."""
        return self.m_max > self.group_m

    @cached_property
    def largest_product(self) -> Number:
        """The largest magnitude of a product of integers."""
        return elements.element(self, 64).largest_product

    @cached_property
    def needed_result_width(self) -> Number:
        """Bits that hold any sum of a run."""
        return signed_width(ceil_div(self.k_max, self.group) * self.kept * self.largest_product)

    @cached_property
    def sum_format(self) -> Any:
        """The format of sums."""
        return choose(self.accumulate == "same", self.activation, self.accumulate)

    @cached_property
    def float_width(self) -> Number:
        """Bits of a float sum."""
        return elements.look_up(self.sum_format, lambda fmt: fmt.width)

    @cached_property
    def result_width(self) -> Number:
        """Bits of a result."""
        widened = (self.acc_width > 0) & self.accumulates
        return choose(
            self.floats, self.float_width, choose(widened, self.acc_width, self.needed_result_width)
        )

    @cached_property
    def state_width(self) -> Number:
        """Bits of an accumulator."""
        return self.element.state_bits

    def sum_width(self, elements_added: Number) -> Number:
        """Bits of the products of so many elements added up; a single selected float is not widened yet."""
        whole = smaller(signed_width(elements_added * self.depth * self.largest_product), self.result_width)
        first = self.selects & (self.depth == 1) & (elements_added == 1)
        return choose(self.floats, choose(first, self.act_width, self.float_width), whole)

    @property
    def output_bits(self) -> Number:
        """Bits of a result as it leaves: an integer is sign-extended to whole bytes."""
        return choose(self.floats, self.float_width, 8 * ceil_div(self.result_width, 8))

    @cached_property
    def stages(self) -> Number:
        """Cycles from the issue of a beat to the end of its work in the last element."""
        later = choose(self.product_register, 1, 0) + choose(self.passes_words, 1, 0)
        return choose(self.skewed, self.rows + self.cols - 1, 1) + later

    @cached_property
    def size_widths(self) -> dict[str, Number]:
        """Bits of the sizes that a run counts down."""
        return {"tokens": bit_length(self.m_max), "k": bit_length(self.k_max), "n": bit_length(self.n_max)}

    @property
    def peak_macs(self) -> Number:
        # Weights that are zero and do not travel are multiply-accumulates of the product all the same.
        return self.rows * self.cols * self.act_lanes

    # What it looks like from outside -------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The top module: family, the parameters that change its size, and the hash of all of them."""
        number = f"a{self.act_width}w{self.weight_width}" if self.activation == "int" else self.activation
        size = f"r{self.rows}c{self.cols}d{self.depth}_{number}"
        return f"{self.family}_{self.organization}_{self.pe}_{size}_{self.design_hash[:6]}"

    def operation(self) -> Operation:
        return ports.operation(self)

    @cached_property
    def _streams(self) -> tuple[Stream, ...]:
        return ports.streams(self)

    def streams(self) -> tuple[Stream, ...]:
        return self._streams

    def register_file(self) -> RegisterFile:
        sizes = {
            "tokens": (self.m_max, self.regroups | (self.stationary & (self.most_tokens > 1))),
            "k": (self.k_max, self.accumulates),
            "n": (self.n_max, self.n_max > self.cols),
        }
        waits = {
            "input": "cycles without a beat of activations",
            "memory": "cycles without weights",
            "output": "cycles without room for results",
            "dependency": "cycles in which digits of a beat are left",
        }
        return RegisterFile(product_sizes(sizes), waits, dependency=choose(self.paced, 1, 0))

    def register_values(self, workload: Gemm) -> dict[str, int]:
        return {"tokens": workload.m, "k": workload.k, "n": workload.n}

    def units(self) -> tuple[Unit, ...]:
        return units(self)

    def paths(self) -> tuple[Path, ...]:
        return paths(self)

    # Time ----------------------------------------------------------------------------------------------------------

    def loops(self, workload: Gemm, *, whole: bool = False) -> tuple[Number, Number, Number, Number]:
        """(token groups, column groups, beats or tiles of the reduction, beats of tokens) of a run.

        ``whole``: a flexible element's words are integers.
        """
        groups, columns = ceil_div(workload.m, self.group_m), ceil_div(workload.n, self.cols)
        tokens = choose(self.stationary, smaller(self.most_tokens, workload.m), 1)
        return groups, columns, ceil_div(workload.k, 1 if whole else self.beat_k), tokens

    def cycles(self, workload: Gemm) -> Number:
        return schedule.cycles(self, workload)

    def timing(self, workload: Gemm, operands: Arrays | None = None) -> TimingGraph:
        self.check_workload(workload)
        if self.data_dependent and operands is None:
            operands = self.operands(workload, 0)
        return schedule.graph(self, workload, operands)

    def cycles_of(self, workload: Gemm, operands: Arrays) -> int:
        """Cycles of one unstalled run on these operands."""
        return schedule.cycles_of(self, workload, operands)

    def exact_cycles(self) -> Iterator[Rule]:
        return iter(())

    def flags(self, operands: Arrays) -> dict[str, int]:
        return {}

    def constants(self) -> dict[str, Any]:
        return {}

    def typical_workload(self) -> Gemm:
        return typical.gemm(self)

    def dram_bits(self, workload: Gemm) -> dict[str, Number]:
        groups, columns, beats, tokens = self.loops(workload)
        loaded = choose(self.stationary, self.rows, 1)
        given = choose(self.stationary, tokens, self.rows)
        sizes = (
            ("weights", beats * loaded, self.cols * self.element_bits),
            ("activations", beats * tokens, self.rows * self.act_lanes * self.act_width),
            ("results", given, self.cols * self.output_bits),
        )
        return {name: groups * columns * count * 8 * ceil_div(bits, 8) for name, count, bits in sizes}

    # Values --------------------------------------------------------------------------------------------------------

    @classmethod
    def consistent(cls, table: Mapping[str, Any]) -> dict[str, Any]:
        return values.consistent(table)

    @classmethod
    def sample(cls, random: np.random.Generator) -> SystolicSpec:
        return cls(**values.draw(random))

    def sample_workload(self, random: np.random.Generator) -> Gemm:
        return values.draw_workload(self, random)

    def operands(self, workload: Gemm, seed: int) -> Arrays:
        """``act`` of shape (m, k) and ``wgt`` of shape (k, n), float numbers as patterns."""
        return values.operands(self, workload, seed)

    def typical_operands(self, workload: Gemm, seed: int) -> Arrays:
        return values.typical_operands(self, workload, seed)

    def reference(self, operands: Arrays) -> Arrays:
        """``out = act @ wgt``, shape (m, n), in the order of additions of :mod:`blueprint.families.systolic.values`."""
        return {"out": values.product(self, operands["act"], operands["wgt"])}

    def stimulus(self, operands: Arrays) -> Beats:
        """The beats of both input streams; missing tokens, activations and weights of ragged edges are zeros."""
        return values.stimulus(self, operands["act"], operands["wgt"])

    def collect(self, beats: Beats, workload: Gemm) -> Arrays:
        return {"out": values.collect(self, beats["out"], workload)}
