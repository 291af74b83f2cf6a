"""Parameters of a vector unit, and the numbers that follow from them.

``lanes`` elements a cycle pass through a chain in a fixed order: dequantize, gate, add, rotate, norm, quantize. The
register ``operation`` has a bit for each step that a run applies. A row is kept while its sum of squares and its
largest magnitude are reduced; the factor that follows from both multiplies the row on its way out. A run of dot
products adds products with the gains in place of squares, and finds the row with the largest sum; or it draws a row,
with noise added to the sums, also among a few rows with the largest sums alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from blueprint.arithmetic import floating, roots
from blueprint.arithmetic.floating import FP32, FloatFormat
from blueprint.numbers import Number, bit_length, ceil_div, choose, clog2, flag, larger
from blueprint.parameters import Rule, fits_a_vector, parameter
from blueprint.spec import Spec
from blueprint.words import TOP_MOST
from blueprint.workloads.tasks import COPY, LARGEST, MANY_TOKENS, NOISE, OPERATIONS, Rowwise

#: Most elements in a beat.
MOST_LANES = 64
#: Bits of the sums that are dequantized: enough for a product of 2^20 INT8 activations with ternary weights.
SUM_WIDTH = 32
#: Bits of a quantized element, of a scale or a dot product (both FP32), and of the number of a row.
INTEGER_WIDTH, SCALE_WIDTH, INDEX_WIDTH = 8, 32, 32
#: The factor of a row that is not scaled.
ONE = 1.0
#: Exponent bits inside the unit: those of FP32, so that no sum, square or scale overflows.
EXPONENT_BITS = 8
#: Registers on the path of elements to the output: row buffer, product, results; more with registers inside them.
OUT_STAGES = 3
#: Registers from a number to its sigmoid: exponent, power, reciprocal, product.
SIGMOID_STAGES = 4
#: Cycles that turn the sums of a row into its factor, besides those of a recurrence: read, shift, sum, begin, round,
#: scale by the norm's factor, scale by the number of levels.
AROUND_RECURRENCE = 7


#: What can be added to the mean of squares.
EPSILONS = ("1e-5", "1e-6")
#: Most registers inside a float adder: one between any two of its steps.
STAGES_LIMIT = 4
#: Most registers inside a product or a conversion: one between any two of its steps.
PRODUCT_LIMIT = 3
#: Largest values of the registers of a run that draws a row; a run without a temperature has 1 in all of them.
DRAWN_MOST = {
    "inverse_temperature": FP32.max_finite,
    **{name: most + 1 for name, most in NOISE.items()},
}


#: The parameter that says whether a design has an operation; every design has the operations that are not listed.
SWITCHES = {"dequantize": "dequantizes", "gate": "gates", "add": "adds", "rotate": "rotates", "dot": "dots"}


def fp32(value: float) -> int:
    """The FP32 pattern nearest to a value."""
    return int(np.float32(value).view(np.uint32))


def epsilon_factor(epsilon: str) -> int:
    """The significand of a number as FP32, without the zeros below its lowest set bit."""
    significand = fp32(float(epsilon)) & ((1 << FP32.fraction_bits) - 1) | 1 << FP32.fraction_bits
    return significand // (significand & -significand)


@dataclass(frozen=True, kw_only=True)
class VectorParameters(Spec):
    """Parameters of one vector unit."""

    family: ClassVar[str] = "vector"
    title: ClassVar[str] = "Elementwise operations, RMSNorm and quantization of rows"
    task: ClassVar[type[Rowwise]] = Rowwise

    lanes: int = parameter("elements of a beat", minimum=1, maximum=MOST_LANES)
    length_max: int = parameter(
        "longest row, more than one beat", bounds="length", minimum=2, maximum=LARGEST
    )
    rows_max: int = parameter(
        "largest number of rows in one run", bounds="rows", default=MANY_TOKENS, minimum=2, maximum=LARGEST
    )
    format: str = parameter("number format of elements", default="fp16", choices=("fp16", "bf16", "fp32"))
    dequantizes: bool = parameter("rows may be INT32 sums with two scales", default=True)
    gates: bool = parameter(
        "a gate is possible: the function of an element times a second operand", default=True
    )
    adds: bool = parameter("a second operand can be added", default=True)
    rows_kept: int = parameter("rows in the row buffer", default=2, minimum=2, maximum=4)
    epsilon: str = parameter("what is added to the mean of squares", default="1e-5", choices=EPSILONS)
    rotates: bool = parameter("a second operand can rotate pairs of neighbors", default=False, added=True)
    dots: bool = parameter(
        "dot products of rows with the gains, and the row with the largest, are possible",
        default=False,
        added=True,
    )
    # In the families of matrix products `activation` is a number format, which is `format` here (docs/glossary.md).
    activation: str = parameter(
        "nonlinear function of a gate, not a number format",
        default="relu2",
        choices=("relu2", "silu"),
        added=True,
    )
    adder_stages: int = parameter(
        "registers inside every float adder; a row has one partial sum more than that, added up at its end",
        default=0,
        minimum=0,
        maximum=STAGES_LIMIT,
        added=True,
    )
    samples: bool = parameter(
        "the row may be drawn by temperature instead, with its dot product as score",
        default=False,
        added=True,
    )
    product_stages: int = parameter(
        "registers inside every product and conversion of floats, for designs with registers inside adders",
        default=0,
        minimum=0,
        maximum=PRODUCT_LIMIT,
        added=True,
    )

    top_k: int = parameter(
        "most rows with the largest dot products among which alone one may be drawn; 0: always among all",
        default=0,
        minimum=0,
        maximum=TOP_MOST,
        added=True,
    )

    def rules(self) -> Iterator[Rule]:
        yield Rule(
            "length_max",
            self.length_max > self.lanes,
            "length_max must be more than lanes",
            lambda: f"length_max must be more than the {self.lanes} lanes, not {self.length_max}",
        )
        yield fits_a_vector("lanes", "x", self.x_bits)
        yield Rule(
            "lanes",
            self.lanes * self.rotated % 2 == 0,
            "lanes must be even where rotates is true",
            lambda: f"lanes must be even where rotates is true, as pairs share a beat, not {self.lanes}",
        )
        yield Rule(
            "samples",
            self.sampled <= self.dotted,
            "samples must be false where dots is false",
            lambda: "samples must be false where dots is false, not true",
        )
        yield Rule(
            "top_k",
            (self.sampled > 0) | (self.top_k == 0),
            "top_k must be 0 where samples is false",
            lambda: f"top_k must be 0 where samples is false, not {self.top_k}",
        )
        yield Rule(
            "product_stages",
            (self.adder_stages > 0) | (self.product_stages == 0),
            "product_stages must be 0 where adder_stages is 0",
            lambda: f"product_stages must be 0 where adders have no registers, not {self.product_stages}",
        )

    def task_rules(self, task: Rowwise) -> Iterator[Rule]:
        """A run may only apply operations that the design has."""
        for name, what in SWITCHES.items():
            if task.does(name):
                there = getattr(self, what)
                text = f"{what} must be true for operation {task.operation}"
                yield Rule(what, there, text, lambda text=text: text)  # type: ignore[misc]
        if task.temperature:
            drawn = f"samples must be true for temperature {task.temperature:g}"
            yield Rule("samples", self.samples, drawn, lambda: drawn)
        if task.top_k:
            few = f"top_k must be at least the {task.top_k} rows among which one is drawn"
            yield Rule("top_k", self.top_k >= task.top_k, few, lambda: f"{few}, not {self.top_k}")

    @property
    def fraction(self) -> Number:
        """Fraction bits inside the unit: those of the format."""
        return floating.look_up(self.format, lambda fmt: fmt.fraction_bits)

    @property
    def outside(self) -> FloatFormat:
        """The format of elements at the ports."""
        return floating.get(self.format)

    @property
    def inside(self) -> FloatFormat:
        """The format of elements inside: the exponents of FP32, the fraction of the format."""
        if self.format in ("bf16", "fp32"):
            return self.outside
        return FloatFormat.custom(EXPONENT_BITS, self.outside.fraction_bits)

    @property
    def width(self) -> Number:
        """Bits of an element inside."""
        return 1 + EXPONENT_BITS + self.fraction

    @property
    def element_width(self) -> Number:
        """Bits of an element at the ports."""
        return floating.look_up(self.format, lambda fmt: fmt.width)

    @property
    def x_width(self) -> Number:
        """Bits of an element that comes in: a float or a sum."""
        return larger(self.element_width, SUM_WIDTH * self.sums)

    @property
    def element_bits(self) -> Number:
        """Bits of a beat of elements."""
        return self.lanes * self.element_width

    @property
    def x_bits(self) -> Number:
        """Bits of a beat of rows, with its two scales."""
        return self.lanes * self.x_width + 2 * SCALE_WIDTH * self.sums

    @property
    def operand_bits(self) -> Number:
        """Bits of a beat of a second operand."""
        return self.takes_operand * self.element_bits

    @property
    def out_bits(self) -> Number:
        """Bits of a beat of results: floats, integers, the scale of the row, its dot product and the largest so far."""
        row = SCALE_WIDTH + self.dotted * (SCALE_WIDTH + INDEX_WIDTH)
        return self.element_bits + self.lanes * INTEGER_WIDTH + row

    @property
    def sums(self) -> Number:
        """1 where rows may be sums."""
        return flag(self.dequantizes)

    @property
    def gated(self) -> Number:
        """1 where a gate is possible."""
        return flag(self.gates)

    @property
    def added(self) -> Number:
        """1 where a second operand can be added."""
        return flag(self.adds)

    @property
    def curved(self) -> Number:
        """1 where a gate has a sigmoid."""
        return self.gated * flag(self.activation == "silu")

    @property
    def works(self) -> tuple[str, ...]:
        """What the unit handles: elements, positions for rotated pairs, and the LM head with its largest result."""
        return (*self.task.works, *("positions",) * self.rotates, *("head", "sampling") * self.dots)

    @property
    def gate_function(self) -> str:
        return self.activation if self.gates else ""

    @property
    def norm_epsilon(self) -> float:
        return float(self.epsilon)

    @property
    def float_format(self) -> str:
        return self.format

    @property
    def rotated(self) -> Number:
        """1 where a second operand can rotate pairs."""
        return flag(self.rotates)

    @property
    def dotted(self) -> Number:
        """1 where dot products are possible."""
        return flag(self.dots)

    @property
    def sampled(self) -> Number:
        """1 where a row may be drawn."""
        return flag(self.samples)

    @property
    def listed(self) -> Number:
        """1 where a row may be drawn among a few alone."""
        return flag(self.top_k > 0)

    @property
    def top_bits(self) -> Number:
        """Bits of 1 plus the number of rows among which a run draws one."""
        return bit_length(self.top_k + 1)

    @property
    def takes_operand(self) -> Number:
        """1 where a run may have a second operand."""
        return self.gated | self.added | self.rotated

    @property
    def operations(self) -> tuple[str, ...]:
        """Operations of a run in the order of the chain; bit 0 of the register selects the first."""
        return tuple(name for name in OPERATIONS if name not in SWITCHES or getattr(self, SWITCHES[name]))

    @property
    def operation_bits(self) -> Number:
        """Bits of the operation of a run."""
        return self.sums + self.gated + self.added + self.rotated + 2 + self.dotted

    @property
    def operation_max(self) -> Number:
        """Largest value of the register; with the bit of dot products, norm and quantize are 0."""
        others: Number = 2 ** (self.operation_bits - self.dotted)
        return others + self.dotted * others // 4

    def operation_value(self, operation: str) -> int:
        """Value of the register ``operation`` by operation: 1, and a bit for each name."""
        named = [] if operation == COPY else operation.split("+")
        return 1 + sum(1 << self.operations.index(name) for name in named)

    def drawn_values(self, task: Rowwise) -> dict[str, int]:
        """Values of the registers of a run that draws a row; none in a design that cannot."""
        if not self.samples:
            return {}
        inverse = fp32(1 / task.temperature) if task.temperature else 1
        few = {"top_k": 1 + task.top_k} if self.top_k else {}
        return {"inverse_temperature": inverse, "seed": 1 + task.seed, "position": 1 + task.position, **few}

    @property
    def beats_max(self) -> Number:
        """Beats of the longest row."""
        return ceil_div(self.length_max, self.lanes)

    @property
    def levels(self) -> Number:
        """Levels of the trees over the lanes."""
        return clog2(self.lanes)

    @property
    def chain_stages(self) -> Number:
        """Registers from the port to the element that is kept: ports, conversion, four operations, norm."""
        gate = 2 * self.gated + SIGMOID_STAGES * self.curved
        inside = (self.added + self.rotated) * self.adder_stages
        # The conversion of ports; the product with the scale; two of a gate; that of a rotation; squares and gains.
        inside = inside + (2 + self.sums + 2 * self.gated + self.rotated) * self.product_stages
        return 3 + self.sums + gate + self.added + 2 * self.rotated + inside

    @property
    def parted(self) -> Number:
        """1 where a row has several sums, because adders take several cycles."""
        return flag(self.adder_stages > 0)

    @property
    def quick(self) -> Number:
        """1 where products and conversions take several cycles."""
        return flag(self.product_stages > 0)

    @property
    def product_form(self) -> str:
        """The part of the names of modules that states registers inside products."""
        return f"_p{self.product_stages}" if self.product_stages else ""

    @property
    def out_stages(self) -> Number:
        """Registers from the row buffer to the output: row buffer, product, results."""
        return OUT_STAGES + 2 * self.product_stages

    @property
    def parts(self) -> Number:
        """Sums of a row: beat after beat goes to one after the other."""
        return self.adder_stages + 1

    @property
    def front_stages(self) -> Number:
        """Registers from the port to the sum of a beat."""
        return self.chain_stages + self.levels * self.parts + self.adder_stages

    @property
    def short(self) -> Number:
        """Fraction bits of FP32 that squares lack."""
        return FP32.fraction_bits - self.fraction

    @property
    def joining_cycles(self) -> Number:
        """Cycles that add the sums of a row and then the term of epsilon, one addition after the other."""
        return self.parts * self.parts

    @property
    def factor_cycles(self) -> Number:
        """Cycles from the sums of a row to its factor."""
        # The term of epsilon takes no cycles of its own beside other additions.
        joining = choose(self.adder_stages > 0, self.joining_cycles - 2, 0)
        return roots.steps(self.fraction) + AROUND_RECURRENCE + joining + 2 * self.product_stages

    @property
    def sum_bits(self) -> Number:
        """Bits of the sum of a row, an FP32 number: without dot products it has no sign."""
        return FP32.width - 1 + self.dotted

    @property
    def index_bits(self) -> Number:
        """Bits of the number of a row; none where there are no dot products."""
        return self.dotted * clog2(self.rows_max)

    @property
    def slot_bits(self) -> Number:
        """Bits of the number of a kept row."""
        return clog2(self.rows_kept)

    @property
    def count_bits(self) -> Number:
        """Bits of a number of kept rows."""
        return bit_length(self.rows_kept)

    @property
    def address_bits(self) -> Number:
        """Bits of an address of the row buffer."""
        return clog2(self.rows_kept * self.beats_max)

    @property
    def score_step(self) -> Number:
        """The step of a row's factor in which its sum times the inverse temperature is there."""
        return self.parted * (self.joining_cycles - self.adder_stages + 1)

    def number(self, value: float) -> int:
        """The pattern of the number inside that is nearest to a value."""
        return int(floating.convert(FP32, self.inside, np.asarray(fp32(value), np.int64)))

    @property
    def arithmetic(self) -> str:
        return "float"

    @property
    def peak_macs(self) -> Number:
        return self.lanes

    @property
    def name(self) -> str:
        """The top module: family, the parameters that change its size, and the hash of all of them."""
        return f"{self.family}_l{self.lanes}_{self.format}_{self.design_hash[:6]}"

    def loops(self, task: Rowwise) -> tuple[Number, Number]:
        """(rows, beats of a row) of a run."""
        return task.rows, ceil_div(task.length, self.lanes)
