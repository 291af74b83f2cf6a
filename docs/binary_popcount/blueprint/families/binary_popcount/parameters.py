"""Parameters of a popcount core, and the numbers that follow from them.

Activations and weights are +1 or -1, a bit each. Every cycle, ``cols`` columns compare ``lanes`` activations with
``lanes`` weights each and add up the matches; after the last beat of a column the count is the result, or a bit that
says whether it reaches the threshold of the column.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from blueprint.numbers import Number, bit_length, ceil_div, choose, flag
from blueprint.parameters import Rule, fits_a_vector, parameter
from blueprint.spec import Spec
from blueprint.workloads.tasks import LARGEST, MANY_TOKENS, Gemm

#: The most activations in a beat.
MOST_LANES = 256


@dataclass(frozen=True, kw_only=True)
class BinaryPopcountParameters(Spec):
    """Parameters of one popcount core."""

    family: ClassVar[str] = "binary_popcount"
    title: ClassVar[str] = "Binary matrix multiplication by popcount and threshold"

    lanes: int = parameter("activations of a beat", minimum=1, maximum=MOST_LANES)
    cols: int = parameter("output columns of a beat", minimum=1, maximum=1024)
    k_max: int = parameter("largest reduction length", bounds="k", minimum=1, maximum=LARGEST)
    n_max: int = parameter("largest number of outputs", bounds="n", minimum=1, maximum=LARGEST)
    m_max: int = parameter(
        "largest number of tokens in one run", bounds="m", default=MANY_TOKENS, minimum=1, maximum=LARGEST
    )
    result: str = parameter("a bit by the threshold, or the count", default="bit", choices=("bit", "count"))

    def rules(self) -> Iterator[Rule]:
        yield fits_a_vector("cols", "weights", self.cols * (self.lanes + self.threshold_width))
        yield fits_a_vector("cols", "results", self.cols * self.result_width)

    @property
    def compares(self) -> Number:
        """1 where results are bits."""
        return flag(self.result == "bit")

    @property
    def count_width(self) -> Number:
        """Bits of a count of matches."""
        return bit_length(self.k_max)

    @property
    def threshold_width(self) -> Number:
        """Bits of the threshold of a column."""
        return self.compares * self.count_width

    @property
    def result_width(self) -> Number:
        """Bits of a result."""
        return choose(self.compares, 1, self.count_width)

    @property
    def accumulates(self) -> Number:
        """1 where a count may need more than one beat."""
        return flag(self.k_max > self.lanes)

    @property
    def regroups(self) -> Number:
        """1 where a run may have more than one group of columns."""
        return flag(self.n_max > self.cols)

    @property
    def repeats(self) -> Number:
        """1 where a run may have more than one token."""
        return flag(self.m_max > 1)

    @property
    def continues(self) -> Number:
        """1 where a run may go on after a result."""
        return self.regroups | self.repeats

    @property
    def peak_macs(self) -> Number:
        return self.lanes * self.cols

    @property
    def name(self) -> str:
        """The top module: family, the parameters that change its size, and the hash of all of them."""
        return f"{self.family}_l{self.lanes}_c{self.cols}_{self.result}_{self.design_hash[:6]}"

    def loops(self, task: Gemm) -> tuple[Number, Number, Number]:
        """(tokens, column groups, beats of a column) of a run."""
        return task.m, ceil_div(task.n, self.cols), ceil_div(task.k, self.lanes)
