"""Parameters of arrays of processing elements, and the numbers that follow from them.

Two orders of work cover all organizations. *Weights stay* (``weight_stationary``): a tile of weights is held by the
elements while tokens pass and partial sums cascade down the rows, and the next tile is loaded meanwhile. *Sums stay*
(all others): every element owns one result and adds products until the reduction is over; the finished results leave
through a chain of registers while the next ones are summed.

An array never stalls internally. A beat is issued only if room for its results is guaranteed, so no register
in its path has an enable, and the latency from issue to result is constant.
Source: tensor engines of the bit-weight paper (Wu et al., HPCA 2025); N:M sparsity as in SAT (2309.13015); fixed
compute with temporal scaling as in Tempus (2605.00536). The microarchitecture is our own (docs/families/systolic.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from blueprint import product
from blueprint.arithmetic import floating
from blueprint.arithmetic.processing import CARRY_SAVE, PASSING, SERIAL, Counts, Element
from blueprint.arithmetic.processing.cascade import MOST_ROWS
from blueprint.arithmetic.processing.element import NARROWEST, NUMBERS, WIDEST, WIDEST_TOTAL, exact
from blueprint.arithmetic.processing.resolving import MOST_PIECES
from blueprint.families.systolic import elements, refusals, sparsity
from blueprint.numbers import (
    FILE_WORDS,
    Number,
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
from blueprint.workloads.tasks import Gemm

#: Column groups whose partial sums are stored at one time in weight-stationary designs.
BANKS = 2
ORGANIZATIONS = ("weight_stationary", "output_stationary", "cube", "adder_tree", "broadcast_matrix")


@dataclass(frozen=True, kw_only=True)
class SystolicParameters(Spec):
    """Parameters of one array."""

    family: ClassVar[str] = "systolic"
    title: ClassVar[str] = "Array of processing elements"
    former_names: ClassVar[Mapping[str, str]] = {"depth": "dot_length", "accumulate": "acc_format"}

    organization: str = parameter(
        "organization of the array: how processing elements are connected", choices=ORGANIZATIONS
    )
    pe: str = parameter("kind of processing element", choices=tuple(elements.KINDS))
    rows: int = parameter("rows of processing elements", minimum=1, maximum=MOST_ROWS)
    cols: int = parameter("columns of processing elements", minimum=1, maximum=256)
    dot_length: int = parameter(
        "products that an element adds per cycle: the length of its dot product",
        default=1,
        minimum=1,
        maximum=64,
    )
    act_width: int = parameter("bits of an activation", minimum=NARROWEST, maximum=WIDEST)
    weight_width: int = parameter(
        "bits of a weight, 2 for ternary weights", minimum=NARROWEST, maximum=WIDEST
    )
    k_max: int = product.reduction()
    n_max: int = product.outputs()
    m_max: int = product.tokens()
    token_depth: int = parameter(
        "tokens whose partial sums are buffered at one time (weight_stationary)",
        default=16,
        minimum=1,
        maximum=4096,
    )
    accumulator: str = parameter(
        "storage of partial sums", default="auto", choices=("auto", "registers", "sram")
    )
    sparsity: str = parameter(
        "structured sparsity: nonzero weights in each group",
        default="dense",
        choices=tuple(sparsity.PATTERNS),
    )
    activation: str = parameter(
        "number format of activations, and of weights that are not ternary", default="int", choices=NUMBERS
    )
    acc_format: str = parameter(
        "number format in which floats are accumulated", default="same", choices=elements.SUMS
    )
    acc_width: int = parameter(
        "bits of an accumulator, 0 for the narrowest that cannot overflow",
        default=0,
        minimum=0,
        maximum=WIDEST_TOTAL,
    )
    product_register: bool = parameter(
        "pipeline register between multiplication and accumulation", default=False
    )
    adder_stages: int = parameter(
        "registers inside every float adder, where sums stay; an element has one sum more, which take turns",
        default=0, minimum=0, maximum=elements.MOST_ADDER_STAGES, added=True,
    )  # fmt: skip
    product_stages: int = parameter(
        "registers inside every float multiplier, in front of the one behind it",
        default=0, minimum=0, maximum=elements.MOST_PRODUCT_STAGES, added=True,
    )  # fmt: skip
    resolve_cycles: int = parameter(
        "cycles in which the two words of a carry-save sum are added, a piece in each",
        default=1, minimum=1, maximum=MOST_PIECES, added=True,
    )  # fmt: skip

    def rules(self) -> Iterator[Rule]:
        yield from _number_rules(self)
        yield from _shape_rules(self)
        yield from refusals.of_elements(self)
        yield from refusals.of_results(self)
        yield from refusals.of_registers(self)
        yield fits_a_vector("rows", "activations", self.rows * self.act_lanes * self.act_width)
        yield fits_a_vector("cols", "weights", self.cols * self.element_bits)
        yield fits_a_vector("cols", "results", self.cols * self.output_bits)

    # Predicates: 1 or 0, on one design and on arrays of designs ------------------------------------------------------

    @cached_property
    def stationary(self) -> Number:
        """1 if weights are held in the elements (weight-stationary)."""
        return flag(self.organization == "weight_stationary")

    @cached_property
    def skewed(self) -> Number:
        """1 if operands pass from element to element, so that a beat crosses the array as a wave."""
        return self.stationary | flag(self.organization == "output_stationary")

    @cached_property
    def floats(self) -> Number:
        """1 if activations are floats."""
        return flag(self.activation != "int")

    @cached_property
    def carry_save(self) -> Number:
        """1 if accumulators are in carry-save form."""
        return one_of(self.pe, CARRY_SAVE)

    @cached_property
    def passes_words(self) -> Number:
        """1 if partial sums cascade down the rows in carry-save form."""
        return self.stationary * one_of(self.pe, PASSING)

    @cached_property
    def serial(self) -> Number:
        """1 if activations are processed digit by digit."""
        return one_of(self.pe, SERIAL)

    @cached_property
    def paced(self) -> Number:
        """1 if a beat may take several cycles because its activations have several digits."""
        return self.serial * flag(self.element.digits > 1)

    @cached_property
    def waits(self) -> Number:
        """1 if every element has its own digit queue."""
        return flag(self.pe == "opt3")

    @cached_property
    def encoded(self) -> Number:
        """1 if activations are encoded once, at the edge, and cross the array as EN-T codes."""
        return flag(self.pe == "ent")

    @cached_property
    def flexible(self) -> Number:
        """1 if a weight word is one integer or several ternary weights, run by run."""
        return flag(self.pe == "booth_flex")

    @cached_property
    def selects(self) -> Number:
        """1 if ternary weights select floats."""
        return flag(self.pe == "ternary") * self.floats

    @cached_property
    def sparse(self) -> Number:
        """1 if weights are stored in N:M sparse form."""
        return flag(self.group > 1)

    @cached_property
    def holds_products(self) -> Number:
        """1 if products are registered before they are accumulated."""
        return flag(self.product_register)

    @cached_property
    def product_cycles(self) -> Number:
        """Registers from the operands of an element to its sum."""
        return self.holds_products + self.product_stages

    @cached_property
    def sums(self) -> Number:
        """Sums of an element, one for each register of the ring of its adder; they take turns."""
        return self.adder_stages + 1

    @cached_property
    def interleaves(self) -> Number:
        """1 if an element has several sums."""
        return flag(self.sums > 1)

    @cached_property
    def resolve_stages(self) -> Number:
        """Registers between the pieces of the addition of carry-save sums that stay."""
        return self.carry_save * (1 - self.stationary) * (self.resolve_cycles - 1)

    @cached_property
    def in_sram(self) -> Number:
        """1 if partial sums are stored in memories; a single word is always stored in registers."""
        large = (self.accumulator == "auto") & (self.most_tokens > FILE_WORDS)
        return self.stationary * self.several_tokens * flag(large | (self.accumulator == "sram"))

    @cached_property
    def accumulates(self) -> Number:
        """1 if sums are accumulated: a result may need more than one beat, or has another term to be added.

        Sums in carry-save form that stay always are, and a single selected float, which nothing has rounded yet.
        """
        alone = self.selects * flag(self.dot_length * choose(self.stationary, self.rows, 1) == 1)
        return self.several_beats | self.carry_save * (1 - self.stationary) | alone

    @cached_property
    def holds_sums(self) -> Number:
        """1 if sums are kept from beat to beat. A single selected float that stays is added to zero instead."""
        return self.accumulates * (self.several_beats | self.carry_save | self.stationary)

    @cached_property
    def gated(self) -> Number:
        """1 if idle elements add zero instead of holding their sum by an enable."""
        return self.accumulates * (1 - self.floats) * (1 - self.stationary)

    @cached_property
    def several_tokens(self) -> Number:
        """1 if partial sums of more than one token may be buffered at one time."""
        return flag(self.most_tokens > 1)

    @cached_property
    def regroups(self) -> Number:
        """1 if a run may have more than one token group."""
        return flag(self.m_max > self.group_m)

    @cached_property
    def several_beats(self) -> Number:
        """1 if a result may need more than one beat."""
        return flag(self.most_beats > 1)

    @cached_property
    def marks_ends(self) -> Number:
        """1 if a bit of its own marks the end of a tile, where sums stay and a beat's own bit does not say as much."""
        with_beats = self.holds_sums * self.floats | self.waits * (1 - self.paced)
        return 1 - with_beats * (1 - self.several_beats)

    @cached_property
    def span(self) -> Number:
        """Columns of a column group: those whose sums the elements of a row hold at one time."""
        return self.cols * self.sums

    @cached_property
    def several_columns(self) -> Number:
        """1 if a run may have more than one column group."""
        return flag(self.n_max > self.span)

    @property
    def data_dependent(self) -> bool:
        """True if the cycles of a run depend on operand values."""
        return bool(np.any(self.paced * flag(self.pe != "booth_serial") | self.flexible))

    # Operands --------------------------------------------------------------------------------------------------------

    @property
    def arithmetic(self) -> Any:
        saved = choose(self.serial, "serial", choose(self.carry_save, "carry_save", "integer"))
        return choose(self.floats, "float", saved)

    @cached_property
    def kept(self) -> Number:
        """Weights of each group that are stored and transferred."""
        return sparsity.kept(self.sparsity)

    @cached_property
    def group(self) -> Number:
        """Size of a weight group, zeros included."""
        return sparsity.group(self.sparsity)

    @cached_property
    def act_lanes(self) -> Number:
        """Activations that reach an element in a beat."""
        return choose(
            self.flexible, self.element_digits, larger(self.dot_length // self.kept, 1) * self.group
        )

    @property
    def element_digits(self) -> Number:
        """Ternary weights in a word of a flexible element."""
        return ceil_div(self.weight_width, 2)

    @property
    def index_width(self) -> Number:
        """Bits of a weight's index within its group."""
        return clog2(self.group)

    @cached_property
    def weight_bits(self) -> Number:
        """Bits of a weight with its index, or with the mode bit of a flexible element."""
        return self.weight_width + self.index_width + self.flexible

    @cached_property
    def code_width(self) -> Number:
        """Bits of an activation, or of one of its digits, as it moves through the array."""
        digits = self.serial * (1 - self.waits)
        return choose(digits, self.element.digit_bits, self.act_width + self.encoded)

    @cached_property
    def selected_width(self) -> Number:
        """Bits of the activation that a sparse weight selects."""
        return choose(self.serial, self.element.digit_bits, self.code_width)

    @cached_property
    def act_bits(self) -> Number:
        """Bits of the activations of one element."""
        return self.act_lanes * self.code_width

    @cached_property
    def element_bits(self) -> Number:
        """Bits of the weights of one element."""
        return self.dot_length * self.weight_bits

    # Sums ------------------------------------------------------------------------------------------------------------

    def element_of(self, total_width: Number) -> Element:
        """The processing element whose sums have ``total_width`` bits."""
        swapped = one_of(self.pe, elements.ENCODES_ACTIVATIONS)
        a = choose(swapped, self.act_width, self.weight_width)
        b = choose(swapped, self.weight_width, self.act_width)
        return Element(self.pe, a, b, self.dot_length, total_width, self.activation, self.acc_format)

    @cached_property
    def element(self) -> Element:
        """The processing element with sums as wide as a result."""
        return self.element_of(self.result_width)

    @cached_property
    def cascade(self) -> Counts:
        """Bits and adders of a cascade of sums in carry-save form."""
        element = self.element_of(self.sum_width(self.rows))
        return Counts(element, self.passes_words * self.rows, self.holds_products)

    @cached_property
    def largest_product(self) -> Number:
        """The largest magnitude of a product of integers."""
        return self.element_of(WIDEST_TOTAL).largest_product

    @cached_property
    def needed_result_width(self) -> Number:
        """Bits that hold any sum of a run."""
        return signed_width(ceil_div(self.k_max, self.group) * self.kept * self.largest_product)

    @cached_property
    def sum_format(self) -> Any:
        """The format of sums."""
        return choose(self.acc_format == "same", self.activation, self.acc_format)

    @cached_property
    def float_width(self) -> Number:
        """Bits of a float sum."""
        return floating.look_up(self.sum_format, lambda fmt: fmt.width)

    @cached_property
    def result_width(self) -> Number:
        """Bits of a result."""
        widened = self.accumulates * flag(self.acc_width > 0)
        whole = choose(widened, self.acc_width, self.needed_result_width)
        return choose(self.floats, self.float_width, whole)

    @cached_property
    def state_width(self) -> Number:
        """Bits of an accumulator."""
        return self.element.state_bits

    def sum_width(self, added: Number) -> Number:
        """Bits of the sum of the products of ``added`` elements; a single selected float is not yet widened."""
        whole = smaller(signed_width(added * self.dot_length * self.largest_product), self.result_width)
        first = self.selects * flag((self.dot_length == 1) & (added == 1))
        return choose(self.floats, choose(first, self.act_width, self.float_width), whole)

    @property
    def output_bits(self) -> Number:
        """Bits of a result on the output stream: integers are sign-extended to whole bytes."""
        return choose(self.floats, self.float_width, whole_bytes(self.result_width))

    # Order of work ---------------------------------------------------------------------------------------------------

    @cached_property
    def beat_k(self) -> Number:
        """Length of the reduction that one beat of activations covers."""
        return self.act_lanes * choose(self.stationary, self.rows, 1)

    @cached_property
    def most_beats(self) -> Number:
        """Beats of the longest reduction."""
        return ceil_div(self.k_max, choose(self.flexible, 1, self.beat_k))

    @cached_property
    def most_tokens(self) -> Number:
        """Tokens whose partial sums can be buffered at one time."""
        return smaller(self.token_depth, self.m_max)

    @property
    def group_m(self) -> Number:
        """Tokens of a token group: those of a beat, or those with buffered partial sums."""
        return choose(self.stationary, self.most_tokens, self.rows)

    @cached_property
    def stages(self) -> Number:
        """Cycles from the issue of a beat to the end of its work in the last element."""
        across = choose(self.skewed, self.rows + self.cols - 1, 1)
        return across + self.product_cycles + self.passes_words * self.resolve_cycles

    @cached_property
    def size_widths(self) -> dict[str, Number]:
        """Widths of the size counters of a run."""
        return product.size_widths(self.m_max, self.k_max, self.n_max)

    def loops(self, task: Gemm, *, whole: bool = False) -> tuple[Number, Number, Number, Number]:
        """(token groups, column groups, beats or tiles of the reduction, beats of tokens) of a run.

        ``whole``: the words of a flexible element are integers.
        """
        groups, columns = ceil_div(task.m, self.group_m), ceil_div(task.n, self.span)
        tokens = choose(self.stationary, smaller(self.most_tokens, task.m), 1)
        return groups, columns, ceil_div(task.k, 1 if whole else self.beat_k), tokens

    def takes_integers(self, wgt: npt.NDArray[np.int64]) -> bool:
        """True if a flexible element has to use integer mode: some weights are not ternary."""
        return bool(self.flexible and (wgt.max(initial=0) > 1 or wgt.min(initial=0) < -1))

    @property
    def peak_macs(self) -> Number:
        # Zero weights that do not travel also count as multiply-accumulates of the product.
        return self.rows * self.cols * self.act_lanes

    @property
    def integer_width(self) -> Number:
        return self.act_width * (1 - self.floats)

    @property
    def largest_weight(self) -> Number:
        integers = choose(self.pe == "ternary", 1, (1 << (self.weight_width - 1)) - 1)
        return choose(self.pe == "float", 0, integers)

    @property
    def name(self) -> str:
        """The top module: family, the parameters that change its size, and the hash of all of them."""
        number = f"a{self.act_width}w{self.weight_width}" if self.activation == "int" else self.activation
        size = f"r{self.rows}c{self.cols}d{self.dot_length}_{number}"
        return f"{self.family}_{self.organization}_{self.pe}_{size}_{self.design_hash[:6]}"


# Cross-checks --------------------------------------------------------------------------------------------------------


def _text(text: str, *values: Any) -> str:
    return text.format(*values)


def _number_rules(p: SystolicParameters) -> Iterator[Rule]:
    """Cross-checks of number formats: supporting elements, and operand widths."""
    width = floating.look_up(p.activation, lambda fmt: fmt.width)
    yield Rule(
        "activation",
        choose(p.pe == "float", p.floats == 1, (p.floats == 0) | (p.pe == "ternary")),
        "only float and ternary elements take floats, and float elements nothing else",
        lambda: (
            f"Element {p.pe} must have {'float' if p.pe == 'float' else 'int'} numbers, not {p.activation}"
        ),
    )
    integer_weights = p.pe == "ternary"  # whatever the activations are
    for name, integer in (("act_width", False), ("weight_width", integer_weights)):
        yield Rule(
            name,
            (p.floats == 0) | (getattr(p, name) == width) | integer,
            f"{name} is not that of the float format",
            partial(
                _text, "Parameter {!r} must be {} for {}, not {}", name, width, p.activation, getattr(p, name)
            ),
        )
    yield Rule(
        "weight_width",
        (p.pe != "ternary") | (p.weight_width == 2),
        "ternary elements are for weights of 2 bits",
        lambda: f"Weights of ternary elements must have 2 bits, not {p.weight_width}",
    )
    yield Rule(
        "acc_format",
        (p.acc_format == "same") | _holds_activations(p),
        "sums do not hold every number of the activations' format",
        lambda: (
            f"Parameter 'acc_format' must be same or a format that holds every {p.activation}, not {p.acc_format}"
        ),
    )


def _holds_activations(p: SystolicParameters) -> Any:
    """True where activations are floats and every one is a number of the format ``acc_format``."""
    found: Any = p.acc_format == "nothing"
    for source in floating.FORMATS:
        for target in floating.FORMATS:
            if exact(source, target):
                found = found | ((p.activation == source) & (p.acc_format == target))
    return found


def _shape_rules(p: SystolicParameters) -> Iterator[Rule]:
    """Cross-checks of rows and products per element."""
    yield Rule(
        "dot_length",
        p.dot_length % p.kept == 0,
        "dot_length is not a multiple of the weights that travel of a group",
        lambda: (
            f"Parameter 'dot_length' must be a multiple of {p.kept} for {p.sparsity} weights, not {p.dot_length}"
        ),
    )
    yield Rule(
        "dot_length",
        (p.pe != "opt4e") | (p.dot_length % elements.SHARED_LANES == 0),
        "opt4e shares a compressor between four lanes",
        lambda: (
            f"Parameter 'dot_length' must be a multiple of {elements.SHARED_LANES} for opt4e, not {p.dot_length}"
        ),
    )
    yield Rule(
        "dot_length",
        (p.flexible == 0) | ((p.dot_length == 1) & (p.group == 1)),
        "booth_flex has lanes of its own and takes dense weights",
        lambda: (
            f"Element booth_flex must have dot_length 1 and dense weights, not {p.dot_length} and {p.sparsity}"
        ),
    )
    yield Rule(
        "weight_width",
        (p.flexible == 0) | ((p.weight_width % 2 == 0) & (p.weight_width >= elements.LEAST_FLEXIBLE)),
        f"booth_flex needs an even weight_width of at least {elements.LEAST_FLEXIBLE}",
        lambda: (
            f"Parameter 'weight_width' must be even and at least {elements.LEAST_FLEXIBLE} for booth_flex, not "
            f"{p.weight_width}"
        ),
    )
    yield Rule(
        "rows",
        (p.organization != "adder_tree") | (p.rows == 1),
        "an adder tree has one row",
        lambda: f"An adder tree must have 1 row, not {p.rows}",
    )
    yield Rule(
        "dot_length",
        (p.organization != "broadcast_matrix") | (p.dot_length == p.kept) | (p.pe == "opt4e"),
        "a broadcast matrix adds one group per element and cycle; a deeper one is a cube",
        lambda: (
            f"A broadcast matrix must have dot_length {p.kept}, not {p.dot_length}; a deeper one is a cube"
        ),
    )
