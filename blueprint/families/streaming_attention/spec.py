"""Streaming attention: every decision about it.

Queries, keys and values stream through nodes joined by bounded FIFOs; one key, and the value that belongs to it, is
taken per cycle for all query lanes. The graph says where a row waits: before the division by the sum of its weights,
before its maximum is known, or nowhere, with a running maximum, sum and output.
Source: streaming scaled dot-product attention (Sohn, Zhang, Olukotun, arXiv 2404.16629) for the graphs, TeLLMe
(arXiv 2510.15926) for the reversed order of masked rows; the microarchitecture is our own
(docs/families/streaming_attention.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from blueprint.arithmetic.pruning import CODE_BITS, Pruning
from blueprint.arithmetic.softmax.arithmetic import ACCUMULATORS, INPUTS, Arithmetic
from blueprint.arithmetic.softmax.arithmetic import rules as arithmetic_rules
from blueprint.families.streaming_attention import graph as dataflow
from blueprint.families.streaming_attention import ports, values
from blueprint.families.streaming_attention.inventory import paths, units
from blueprint.numbers import Number, bit_length, ceil_div, choose, clog2, larger
from blueprint.port import Operation, Register, Stream
from blueprint.shell import Bound, Size, SizeRule, register_map
from blueprint.spec import Arrays, Beats, Rule, Spec, fits_a_vector, parameter, refuse
from blueprint.timing import TimingGraph
from blueprint.unit import Path, Unit
from blueprint.workloads.workload import Attention, Task

_STAGES = {"minimum": 0, "maximum": 8}
_DEPTH = {"minimum": 0, "maximum": 1 << 20}

#: What the shared arithmetic calls a parameter of this family.
_NAMES = {"inputs": "format"}


@dataclass(frozen=True, kw_only=True)
class StreamingAttentionSpec(Spec):
    """Parameters of one attention core."""

    family: ClassVar[str] = "streaming_attention"
    title: ClassVar[str] = "Streaming attention"
    task: ClassVar[type[Attention]] = Attention
    arithmetics: ClassVar[tuple[str, ...]] = ("integer", "exact", "float")
    sample_gates: ClassVar[float] = 75_000.0  # few are smaller, and blocks that repeat cost synthesis no time
    samples: ClassVar[int] = 36
    #: Status bits beside those of every design.
    status_flags: ClassVar[tuple[str, ...]] = ("saturated",)

    graph: str = parameter("where a row waits for what", default="memory_free", choices=dataflow.GRAPHS)
    dim: int = parameter("size of a head: elements of a query, key and value", minimum=2, maximum=256)
    parallel: int = parameter(
        "queries that share one stream of keys and values", default=1, minimum=1, maximum=64
    )
    group: int = parameter("query heads that share one key head's stream", default=1, minimum=1, maximum=16)
    keys_max: int = parameter("most keys of a run", minimum=2, maximum=1 << 16)
    queries_max: int = parameter("most queries of a run", default=1 << 16, minimum=1, maximum=1 << 16)
    heads_max: int = parameter("most query heads of a run", default=256, minimum=1, maximum=1024)
    mask: str = parameter("which keys a query sees", default="none", choices=dataflow.MASKS)
    format: str = parameter(
        "number format of queries, keys, values and results", default="int8", choices=INPUTS
    )
    accumulator: str = parameter("what sums are kept in", default="integer", choices=ACCUMULATORS)
    kv_width: int = parameter("bits of an integer key or value element", default=8, minimum=4, maximum=8)
    candidates: int = parameter(
        "most keys that a query is scored exactly against, 0 for all of them",
        default=0,
        minimum=0,
        maximum=1 << 16,
    )
    long_depth: int = parameter("words of a FIFO that holds a row, 0 for full speed", default=0, **_DEPTH)
    short_depth: int = parameter(
        "words of a FIFO that holds a few keys, 0 for full speed", default=0, **_DEPTH
    )
    row_depth: int = parameter("words of a FIFO with a word per row, 0 for full speed", default=0, **_DEPTH)
    dot_stages: int = parameter("registers inside a dot product", default=1, **_STAGES)
    scale_stages: int = parameter("registers inside the scaling of a score", default=1, **_STAGES)
    exp_stages: int = parameter("registers inside an exponential", default=1, **_STAGES)
    reciprocal_stages: int = parameter("registers inside a reciprocal", default=8, **_STAGES)
    product_stages: int = parameter("registers inside a weighted value", default=1, **_STAGES)
    divide_stages: int = parameter("registers inside a division", default=1, **_STAGES)

    def rules(self) -> Iterator[Rule]:
        for rule in arithmetic_rules(self.softmax):
            yield Rule(_NAMES.get(rule.parameter, rule.parameter), rule.holds, rule.reason, rule.message)
        yield Rule(
            "parallel",
            self.lanes * self.dim <= 1 << 13,
            "more than 8192 products per cycle",
            lambda: (
                f"Products per cycle (parallel x group x dim) must be at most 8192, not {self.lanes * self.dim}"
            ),
        )

        yield fits_a_vector("parallel", "queries", self.lanes * self.dim * self.softmax.in_width)
        alone = (self.queries_max == 1) & (self.parallel == 1) & (self.group == 1)
        yield Rule(
            "candidates",
            (self.candidates == 0) | (alone & (self.mask == "none") & (self.format == "int8")),
            "keys are pruned for more than one int8 query",
            lambda: (
                "Candidates are for decode: queries_max, parallel and group must be 1, mask none and format int8, "
                f"not {self.queries_max}, {self.parallel}, {self.group}, {self.mask} and {self.format}"
            ),
        )
        yield Rule(
            "candidates",
            (self.candidates == 0) | ((self.candidates >= 2) & (self.candidates <= self.keys_max)),
            "candidates are fewer than 2 or more than the keys",
            lambda: f"candidates must be 0 or from 2 to keys_max {self.keys_max}, not {self.candidates}",
        )
        yield Rule(
            "parallel",
            (self.mask == "none") | (self.parallel <= self.keys_max),
            "more masked queries side by side than keys",
            lambda: (
                f"parallel must be at most keys_max {self.keys_max} where there is a mask, not {self.parallel}"
            ),
        )

    # Derived numbers: the same on one design and on arrays of designs ---------------------------------------------

    @property
    def softmax(self) -> Arithmetic:
        """The arithmetic that all graphs share."""
        return Arithmetic(
            inputs=self.format,
            accumulator=self.accumulator,
            graph=self.graph,
            dim=self.dim,
            keys_max=self.row_max,
            kv_width=self.kv_width,
        )

    @property
    def prunes(self) -> Any:
        """Whether only the best keys of a screening are scored."""
        return self.candidates > 0

    @property
    def row_max(self) -> Number:
        """The most keys that a row is scored against."""
        return choose(self.prunes, self.candidates, self.keys_max)

    @property
    def pruning(self) -> Pruning:
        """How keys are selected."""
        return Pruning(dim=self.dim, keys_max=self.keys_max)

    @property
    def arithmetic(self) -> Any:
        return choose(self.format == "int8", "integer", choose(self.accumulator == "fixed", "exact", "float"))

    @property
    def lanes(self) -> Number:
        """Query rows that one key meets at a time: ``parallel`` positions of ``group`` heads."""
        return self.parallel * self.group

    @property
    def masked(self) -> Any:
        """Whether rows differ in the keys they take."""
        return self.mask != "none"

    @property
    def windowed(self) -> Any:
        """Whether a row's first key moves."""
        return (self.mask == "window") | (self.mask == "lambda")

    @property
    def corners(self) -> Any:
        """Whether some lanes do not see a key that others see, so that a bit per position says which."""
        return self.masked & (self.parallel > 1)

    @property
    def visible_bits(self) -> Number:
        """Bits beside a score that say which positions see its key; without a window the last one always does."""
        return choose(self.corners, self.parallel - choose(self.mask == "causal", 1, 0), 0)

    @property
    def turn_bits(self) -> Number:
        """Bits beside a token that say whether a pass ends, where nothing else says so."""
        return choose(self.has_gains & self.repeats & self.regroups, 1, 0)

    @property
    def final_bits(self) -> Number:
        """Bits beside a token that say whether the run ends, where the end of a row does not."""
        return choose(self.repeats | self.regroups, 1, 0)

    @property
    def regroups(self) -> Any:
        """Whether a pass may need more than one row."""
        return self.queries_max > self.parallel

    @property
    def repeats(self) -> Any:
        """Whether a run may need more than one pass."""
        return self.heads_max > 1

    @property
    def has_gains(self) -> Any:
        """Whether results are scaled at the end."""
        return self.format == "int8"

    @property
    def element_width(self) -> Number:
        """Bits of an element of a key or value on its stream."""
        return self.softmax.element_width

    @property
    def key_width(self) -> Number:
        """Bits of the number of a key."""
        return clog2(self.row_max)

    @property
    def peak_macs(self) -> Number:
        return 2 * self.lanes * self.dim

    # What it looks like from outside -------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The top module: family, the parameters that change its size, and the hash of all of them."""
        kind = f"i8kv{self.kv_width}" if self.format == "int8" else f"{self.format}_{self.accumulator}"
        size = f"{self.graph}_d{self.dim}_p{self.parallel}_g{self.group}_{kind}_{self.mask}"
        return f"{self.family}_{size}_{self.design_hash[:6]}"

    def operation(self) -> Operation:
        return ports.operation(self)

    @cached_property
    def _streams(self) -> tuple[Stream, ...]:
        return ports.streams(self)

    def streams(self) -> tuple[Stream, ...]:
        return self._streams

    def every_size(self) -> tuple[Size, ...]:
        number = bit_length(self.keys_max)
        last = choose(self.prunes, number, self.key_width)  # of a row only the number of its last key is read
        passes = choose(self.repeats, bit_length(self.heads_max), 0)
        # Of one bit, always set, synthesis would see that lanes of a row have no query, and take them away.
        queries = choose(self.regroups | self.corners, larger(bit_length(self.queries_max), 2), 0)
        best = bit_length(self.candidates)
        words = {
            "passes": "key heads times groups of query heads of the next run",
            "queries": "queries of the next run",
            "keys": "keys of the next run",
            "candidates": "best keys that the next run is scored against",
            "window": "latest keys that a query sees in the next run",
            "sinks": "first keys that every query sees in the next run",
        }
        return (
            Size("passes", self.heads_max, passes, words["passes"]),
            Size("queries", self.queries_max, queries, words["queries"]),
            Size("keys", self.keys_max, last, words["keys"]),
            Size("candidates", self.candidates, best, words["candidates"], choose(self.prunes, 1, 0)),
            Size("window", self.keys_max, number, words["window"], choose(self.windowed, 1, 0)),
            Size("sinks", self.keys_max, number, words["sinks"], choose(self.mask == "lambda", 1, 0)),
        )

    def every_size_rule(self) -> tuple[SizeRule, ...]:
        """Every masked query stands at a key, every candidate is a key, and a row fits the FIFO in which it waits."""
        whole, depth = Bound(("keys",), offset=self.long_depth), self.long_depth
        near = (
            depth - self.parallel + 1
        )  # of a row, what the latest keys and the first ones of its queries leave
        shallow = (self.graph != "memory_free") & (depth > 0) & (depth < self.row_max)
        plain = shallow & (self.windowed == 0) & (self.prunes == 0)
        rows = (
            ((whole,), plain),
            ((Bound(("candidates",), offset=depth),), shallow & self.prunes),
            ((whole, Bound(("window",), offset=near)), shallow & (self.mask == "window")),
            ((whole, Bound(("window", "sinks"), offset=near)), shallow & (self.mask == "lambda")),
        )
        ordered = choose(self.masked & (self.queries_max > 1), 1, 0)
        return (
            SizeRule((Bound(("queries",), ("keys",)),), ordered),
            SizeRule((Bound(("candidates",), ("keys",)),), choose(self.prunes, 1, 0)),
            *(SizeRule(bounds, choose(there, 1, 0), depth="long_depth") for bounds, there in rows),
        )

    def registers(self) -> tuple[Register, ...]:
        counters = {
            "cycles": "cycles from the first input beat to the last output beat",
            "stall_input": "cycles without a query to score",
            "stall_memory": "cycles without a key",
            "stall_output": "cycles held up by what follows the score",
            "stall_dependency": "always 0",
        }
        return register_map(self.sizes, counters, self.design_hash, counters_at=0x1C, flags=self.status_flags)

    def register_values(self, workload: Attention) -> dict[str, int]:
        found = {
            "passes": int(dataflow.passes(self, workload)),
            "queries": workload.queries,
            "keys": workload.keys,
            "candidates": min(self.candidates, workload.keys),
            "window": min(workload.window or self.keys_max, self.keys_max),
            "sinks": min(workload.sinks or 1, self.keys_max),
        }
        return {size.name: found[size.name] for size in self.sizes}

    # Inventory and time --------------------------------------------------------------------------------------------

    def units(self) -> tuple[Unit, ...]:
        return units(self)

    def paths(self) -> tuple[Path, ...]:
        return paths(self)

    def cycles(self, workload: Attention) -> Number:
        """In closed form where no FIFO is shorter than full speed needs (:func:`dataflow.cycles`)."""
        return dataflow.cycles(self, workload)

    def timing(self, workload: Attention, operands: Arrays | None = None) -> TimingGraph:
        """Also of rows that a FIFO is too shallow for: such a graph deadlocks, which shows how deep it has to be."""
        self._check_made_for(workload)
        self._check_combinations(workload)
        return dataflow.timing(self, workload)

    def capacity(self, tasks: Iterable[Task]) -> Iterator[Rule]:
        """Also that :meth:`cycles` is right: it counts no wait for a FIFO that is shallower than full speed needs."""
        tasks = tuple(tasks)
        yield from super().capacity(tasks)
        yield from self._suits(tasks)
        reason = "FIFOs must be deep enough for full speed, 0 for that depth; the simulator knows the cycles of others"
        yield Rule("long_depth", dataflow.full_speed(self), reason, lambda: reason)

    def check_workload(self, workload: Any) -> None:
        """Refuse what the counters, the mask and the FIFOs of this design were not made for. Raises ``ParamError``."""
        self._check_made_for(workload)
        self.check_sizes(workload)

    def _check_made_for(self, workload: Any) -> None:
        self.check_task(workload)
        for rule in (*super().capacity((workload,)), *self._suits((workload,))):
            if not rule.holds:
                raise refuse(rule.parameter, rule.message())

    def _suits(self, tasks: Iterable[Any]) -> Iterator[Rule]:
        """That heads are as long as the design's, and its sequencing covers every mask."""
        for task in tasks:
            yield Rule(
                "dim",
                self.dim == task.dim,
                f"dim must be {task.dim}, that of the workload's heads",
                lambda task=task: f"Attention dim must be {self.dim}, the design's dim, not {task.dim}",  # type: ignore[misc]
            )
            fit = values.masks_for(task)
            named = f"mask must be {' or '.join(fit)} for mask {task.mask} of the workload"
            yield Rule(
                "mask" if fit else "sinks",
                np.isin(self.mask, fit),
                named if fit else "sinks of the workload must be at least 1 for its mask lambda",
                lambda task=task: self._unsuited(task),  # type: ignore[misc]
            )

    def _unsuited(self, task: Attention) -> str:
        if task.mask == self.mask == "lambda":
            return "Attention sinks must be at least 1 for mask lambda, not 0; without sinks it is window"
        what = f"Attention mask must be {values.masks_of(self)} for a design of mask {self.mask}"
        return f"{what}, not {task.mask}"

    def dram_bits(self, workload: Attention) -> dict[str, Number]:
        count, rows = dataflow.passes(self, workload), dataflow.row_count(self, workload)
        taken = count * dataflow.pass_length(self, workload)
        row = 8 * -(-self.dim * self.element_width // 8)
        lanes = self.lanes * self.dim * self.softmax.in_width
        numbers = 8 * ceil_div(clog2(self.keys_max), 8)
        screened = choose(self.prunes, count, 0)
        return {
            "keys": taken * row,
            "values": taken * row,
            "codes": screened * workload.keys * 8 * ceil_div(CODE_BITS * self.dim, 8),
            "picks": screened * dataflow.longest(self, workload) * numbers,
            "queries": count * rows * lanes,
            "scales": count * 96,
            "results": count * rows * lanes,
        }

    # Values --------------------------------------------------------------------------------------------------------

    @classmethod
    def consistent(cls, table: Mapping[str, Any]) -> dict[str, Any]:
        found = values.consistent(table)
        return found | values.useful_depths(cls.columns(found))

    @classmethod
    def sample(cls, random: np.random.Generator) -> StreamingAttentionSpec:
        kind = random.choice(values.ARITHMETIC)
        while True:
            found = cls.columns(values.draw(cls.limits(), random))
            if found.arithmetic == kind and found.feasible()[0] and values.is_small(found):
                return cls(**found.parameters)

    def sample_workload(self, random: np.random.Generator) -> Attention:
        return values.draw_workload(self, random)

    def typical_workload(self) -> Attention:
        return values.typical(self)

    def sized_for(self, workload: Attention) -> StreamingAttentionSpec:
        return self.columns({**self.parameters, **values.limits_for(workload), "dim": workload.dim})

    def operands(self, workload: Attention, seed: int) -> Arrays:
        """``query`` (heads, queries, dim), ``key``, ``value`` (kv_heads, keys, dim), ``scale`` (kv_heads, 5), ``mask``.

        ``scale`` has the run-time registers of :class:`blueprint.arithmetic.softmax.arithmetic.Scales` in their order;
        ``mask`` is (1 where a query sees nothing after itself, window or 0, sinks).
        """
        return values.operands(self, workload, seed)

    def typical_operands(self, workload: Attention, seed: int) -> Arrays:
        return values.typical_operands(self, workload, seed)

    def reference(self, operands: Arrays) -> Arrays:
        """``out`` (heads, queries, dim): attention in the arithmetic of :mod:`blueprint.arithmetic.softmax`.

        Where keys are pruned also ``pick`` (heads, keys scored): their numbers.
        """
        found = {"pick": values.picks(self, operands)} if self.prunes else {}
        return {"out": values.attention(self, operands)} | found

    def constants(self) -> dict[str, Any]:
        return self.softmax.constants()

    def flags(self, operands: Arrays) -> dict[str, int]:
        return {"saturated": int(values.saturates(self, operands))}

    def stimulus(self, operands: Arrays) -> Beats:
        """Beats by pass, row and key: rows with the last queries first where there is a mask, keys in rising order."""
        return values.stimulus(self, operands)

    def collect(self, beats: Beats, workload: Attention) -> Arrays:
        found = {"out": values.collect(self, beats["out"], workload)}
        if self.prunes:
            found["pick"] = self.streams()[-1].unpack(beats["pick"]).reshape(workload.heads, -1)
        return found
