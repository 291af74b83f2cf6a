"""Parameters of streaming attention, and the numbers that follow from them.

Queries, keys and values stream through nodes joined by bounded FIFOs; one key, and the value that belongs to it, is
taken per cycle for all query lanes. The graph says where a row waits: before the division by the sum of its weights,
before its maximum is known, or nowhere, with a running maximum, sum and output.
Source: streaming scaled dot-product attention (Sohn, Zhang, Olukotun, arXiv 2404.16629) for the graphs, TeLLMe
(arXiv 2510.15926) for the reversed order of masked rows; the microarchitecture is our own
(docs/families/streaming_attention.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

from blueprint.arithmetic.pruning import Pruning
from blueprint.arithmetic.softmax.arithmetic import ACCUMULATORS, GRAPHS, INPUTS, KEYS_LIMIT, Arithmetic
from blueprint.arithmetic.softmax.arithmetic import rules as arithmetic_rules
from blueprint.arithmetic.softmax.blocks import STAGES_LIMIT
from blueprint.arithmetic.softmax.deep import CUTS_LIMIT
from blueprint.arithmetic.softmax.turns import SUM_STAGES_LIMIT, ending_cycles
from blueprint.families.streaming_attention import masks
from blueprint.numbers import Number, bit_length, choose, clog2, flag, one_of, whole_bytes
from blueprint.parameters import Rule, fits_a_vector, parameter
from blueprint.spec import Spec
from blueprint.workloads.tasks import MASKS, Attention
from blueprint.workloads.workload import MOST_HEADS

#: Most registers inside a step; the tree of a dot product, as deep as heads are long, has up to STAGES_LIMIT.
MOST_STAGES = 24
_STAGES = {"minimum": 0, "maximum": MOST_STAGES}
_CUTS = {"minimum": 0, "maximum": CUTS_LIMIT, "added": True}
_DEPTH = {"minimum": 0, "maximum": 1 << 20}
#: Most products in a cycle.
MOST_PRODUCTS = 1 << 13

#: Bits of a word of a scale beat, and number of words.
SCALE_WORD, SCALE_WORDS = 32, 3

#: Parameters that have another name in the shared arithmetic: that name, and the name here.
_NAMES = {"inputs": "format"}


@dataclass(frozen=True, kw_only=True)
class StreamingAttentionParameters(Spec):
    """Parameters of one attention core."""

    family: ClassVar[str] = "streaming_attention"
    title: ClassVar[str] = "Streaming attention"
    former_names: ClassVar[Mapping[str, str]] = {"group": "head_group", "accumulator": "acc_format"}
    task: ClassVar[type[Attention]] = Attention

    graph: str = parameter(
        "dataflow graph: what is buffered for each row", default="memory_free", choices=GRAPHS
    )
    dim: int = parameter("head dimension: elements of a query, key and value vector", minimum=2, maximum=256)
    parallel: int = parameter(
        "queries that share one stream of keys and values", default=1, minimum=1, maximum=64
    )
    head_group: int = parameter(
        "query heads that share the stream of one key head", default=1, minimum=1, maximum=16
    )
    keys_max: int = parameter("largest number of keys in a run", bounds="keys", minimum=2, maximum=KEYS_LIMIT)
    queries_max: int = parameter(
        "largest number of queries in a run",
        bounds="queries",
        default=KEYS_LIMIT,
        minimum=1,
        maximum=KEYS_LIMIT,
    )
    heads_max: int = parameter(
        "largest number of query heads in a run", bounds="heads", default=256, minimum=1, maximum=MOST_HEADS
    )
    mask: str = parameter(
        "attention mask: the keys that each query attends to", default="none", choices=MASKS
    )
    format: str = parameter(
        "number format of queries, keys, values and results", default="int8", choices=INPUTS
    )
    acc_format: str = parameter("number format of sums", default="integer", choices=ACCUMULATORS)
    kv_width: int = parameter("bits of an integer key or value element", default=8, minimum=4, maximum=8)
    candidates: int = parameter(
        "keys that pruning keeps for exact scoring, 0 to score all keys",
        default=0,
        minimum=0,
        maximum=KEYS_LIMIT,
    )
    long_depth: int = parameter("depth of FIFOs that hold a row, 0 for full throughput", default=0, **_DEPTH)
    short_depth: int = parameter(
        "depth of FIFOs that hold a few keys, 0 for full throughput", default=0, **_DEPTH
    )
    row_depth: int = parameter(
        "depth of FIFOs with one word per row, 0 for full throughput", default=0, **_DEPTH
    )
    dot_stages: int = parameter(
        "pipeline registers in a dot product", default=1, minimum=0, maximum=STAGES_LIMIT
    )
    scale_stages: int = parameter("pipeline registers in the scaling of a score", default=1, **_STAGES)
    exp_stages: int = parameter("pipeline registers in an exponential", default=1, **_STAGES)
    reciprocal_stages: int = parameter("pipeline registers in a reciprocal", default=8, **_STAGES)
    product_stages: int = parameter(
        "pipeline registers in the product of weight and value", default=1, **_STAGES
    )
    divide_stages: int = parameter("pipeline registers in a division", default=1, **_STAGES)
    scale_cuts: int = parameter(
        "pipeline registers between the short steps of the scaling of a score", default=0, **_CUTS
    )
    finish_cuts: int = parameter(
        "pipeline registers between the short steps of the rounding of an output", default=0, **_CUTS
    )
    short_steps: bool = parameter(
        "the other blocks have short steps between their registers, and nodes take tokens into registers",
        default=False, added=True,
    )  # fmt: skip

    sum_stages: int = parameter(
        "pipeline registers in the addition of a float sum; one more partial sums of a row take turns",
        default=0, minimum=0, maximum=SUM_STAGES_LIMIT, added=True,
    )  # fmt: skip

    def rules(self) -> Iterator[Rule]:
        for rule in arithmetic_rules(self.softmax):
            yield Rule(_NAMES.get(rule.parameter, rule.parameter), rule.holds, rule.reason, rule.message)
        yield Rule(
            "parallel",
            self.lanes * self.dim <= MOST_PRODUCTS,
            f"more than {MOST_PRODUCTS} products per cycle",
            lambda: (
                f"Products per cycle (parallel x head_group x dim) must be at most "
                f"{MOST_PRODUCTS}, not {self.lanes * self.dim}"
            ),
        )
        yield fits_a_vector("parallel", "queries", self.lanes * self.dim * self.softmax.in_width)
        yield from self._decode_rules()
        yield Rule(
            "parallel",
            (self.mask == "none") | (self.parallel <= self.keys_max),
            "more masked queries side by side than keys",
            lambda: (
                f"parallel must be at most keys_max {self.keys_max} where there is a mask, not {self.parallel}"
            ),
        )

    def _decode_rules(self) -> Iterator[Rule]:
        """Cross-checks of pruned decode: a single query, and 2 or more keys kept."""
        alone = (self.queries_max == 1) & (self.parallel == 1) & (self.head_group == 1)
        yield Rule(
            "candidates",
            (self.candidates == 0) | (alone & (self.mask == "none") & (self.format == "int8")),
            "keys are pruned for more than one int8 query",
            lambda: (
                "Candidates are for decode: queries_max, parallel and head_group must be 1, mask none and format int8, "
                f"not {self.queries_max}, {self.parallel}, {self.head_group}, {self.mask} and {self.format}"
            ),
        )
        yield Rule(
            "candidates",
            (self.candidates == 0) | ((self.candidates >= 2) & (self.candidates <= self.keys_max)),
            "candidates are fewer than 2 or more than the keys",
            lambda: f"candidates must be 0 or from 2 to keys_max {self.keys_max}, not {self.candidates}",
        )

    def task_rules(self, task: Attention) -> Iterator[Rule]:
        """Rules: the head dimension equals the design's, and the design supports the mask."""
        yield Rule(
            "dim",
            self.dim == task.dim,
            f"dim must be {task.dim}, that of the workload's heads",
            lambda: f"Attention dim must be {self.dim}, the design's dim, not {task.dim}",
        )
        fit = masks.suited_to(task)
        named = f"mask must be {' or '.join(fit)} for mask {task.mask} of the workload"
        yield Rule(
            "mask" if fit else "sinks",
            one_of(self.mask, fit) == 1,
            named if fit else "sinks of the workload must be at least 1 for its mask lambda",
            lambda: self._unsuited(task),
        )

    def _unsuited(self, task: Attention) -> str:
        if task.mask == self.mask == "lambda":
            return "Attention sinks must be at least 1 for mask lambda, not 0; without sinks it is window"
        what = f"Attention mask must be {masks.run_by(self.mask)} for a design of mask {self.mask}"
        return f"{what}, not {task.mask}"

    def sized_for(self, task: Attention) -> Self:
        """Resize the design to be just large enough for ``task``, including the head dimension."""
        sizes = {"keys_max": max(task.keys, self.limits()["keys_max"].minimum or 0), "dim": task.dim}
        return self.columns({**super().sized_for(task).parameters, **sizes})

    # Derived numbers: the same on one design and on arrays of designs ---------------------------------------------

    @cached_property
    def softmax(self) -> Arithmetic:
        """The arithmetic that all graphs share."""
        return Arithmetic(
            inputs=self.format,
            acc_format=self.acc_format,
            graph=self.graph,
            dim=self.dim,
            keys_max=self.row_max,
            kv_width=self.kv_width,
            sum_stages=self.sum_stages,
        )

    @property
    def prunes(self) -> Number:
        """1 where keys are pruned, so that only the best keys of a screening are scored, else 0."""
        return flag(self.candidates > 0)

    @property
    def row_max(self) -> Number:
        """The largest number of keys that a row is scored against."""
        return choose(self.prunes, self.candidates, self.keys_max)

    @property
    def pruning(self) -> Pruning:
        """Parameters of key selection."""
        return Pruning(dim=self.dim, keys_max=self.keys_max)

    @property
    def arithmetic(self) -> Any:
        return choose(self.has_gains, "integer", choose(self.acc_format == "fixed", "exact", "float"))

    @property
    def lanes(self) -> Number:
        """Query rows processed in parallel per key: ``parallel`` positions of ``head_group`` heads."""
        return self.parallel * self.head_group

    @property
    def short(self) -> Number:
        """1 where the blocks before and after the sums have short steps, else 0."""
        return flag(self.short_steps)

    @property
    def ending(self) -> Number:
        """Cycles in which partial sums are added behind the last key of a row, when no other key is taken."""
        return ending_cycles(self.sum_stages) - 1

    @property
    def masked(self) -> Number:
        """1 where rows differ in the keys that they read, else 0."""
        return flag(self.mask != "none")

    @property
    def windowed(self) -> Number:
        """1 where a row's first key moves, else 0."""
        return one_of(self.mask, ("window", "lambda"))

    @property
    def has_sinks(self) -> Number:
        """1 where every query sees the first keys regardless of its window, else 0."""
        return flag(self.mask == "lambda")

    @property
    def corners(self) -> Number:
        """1 where lanes of a row differ in the keys they see, so that a valid bit per position is needed, else 0."""
        return self.masked & flag(self.parallel > 1)

    @property
    def visible_bits(self) -> Number:
        """Sideband bits of a score: positions that see its key; without a window the last one always does."""
        return self.corners * (self.parallel - self.masked + self.windowed)

    @property
    def turn_bits(self) -> Number:
        """Sideband bits of a token that mark the end of a pass, where no other flag implies it."""
        return self.has_gains & self.repeats & self.regroups

    @property
    def final_bits(self) -> Number:
        """Sideband bits of a token that mark the end of the run, where the end of a row does not imply it."""
        return self.repeats | self.regroups

    @property
    def regroups(self) -> Number:
        """1 where a pass may need more than one row, else 0."""
        return flag(self.queries_max > self.parallel)

    @property
    def repeats(self) -> Number:
        """1 where a run may need more than one pass, else 0."""
        return flag(self.heads_max > 1)

    @property
    def has_gains(self) -> Number:
        """1 where results are scaled at the end, else 0."""
        return 1 - self.softmax.is_float

    @property
    def element_width(self) -> Number:
        """Bits of an element of a key or value on its stream."""
        return self.softmax.element_width

    @property
    def integer_width(self) -> Number:
        return 8 * flag(self.format == "int8")

    @property
    def head_dim(self) -> Number:
        return self.dim

    @property
    def cache_width(self) -> Number:
        return self.element_width

    @property
    def float_format(self) -> str:
        return "" if self.format == "int8" else self.format

    @property
    def key_width(self) -> Number:
        """Bits of the index of a key among those scored in a row."""
        return clog2(self.row_max)

    @property
    def span_width(self) -> Number:
        """Bits of the distance from the last position of a row back to its first key, where a window moves."""
        return self.windowed * bit_length(self.keys_max + self.parallel - 1)

    @property
    def index_width(self) -> Number:
        """Bits of the index of a key among all keys of a run."""
        return clog2(self.keys_max)

    @property
    def pick_bits(self) -> Number:
        """Bits of the index of a picked key on its stream."""
        return whole_bytes(self.index_width)

    @property
    def peak_macs(self) -> Number:
        return 2 * self.lanes * self.dim

    @property
    def name(self) -> str:
        """The top module: family, the parameters that change its size, and the hash of all of them."""
        kind = f"i8kv{self.kv_width}" if self.format == "int8" else f"{self.format}_{self.acc_format}"
        size = f"{self.graph}_d{self.dim}_p{self.parallel}_g{self.head_group}_{kind}_{self.mask}"
        return f"{self.family}_{size}_{self.design_hash[:6]}"
