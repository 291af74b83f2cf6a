"""Ternary look-up-table matrix multiplication with integer activations: every decision about it.

``L`` tables of ``mu`` activations each are built per tile and token; ``F`` fetches per table and cycle select a
precomputed sum by its weight key; the ``L`` fetched values of an output column are added and accumulated.
Source: ternary LUT DSE (Geens et al., ISPASS 2026) for the design space; the microarchitecture is our own
(docs/families/ternary_lut.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from blueprint import ternary
from blueprint.numbers import Number, bit_length, ceil_div, choose, clog2, signed_width, smaller
from blueprint.port import Field, Register, Stream
from blueprint.spec import Arrays, Beats, Rule, Spec, parameter
from blueprint.ternary_lut.inventory import paths, units
from blueprint.timing import Access, Channel, Loop, Node, TimingGraph
from blueprint.unit import Path, Unit
from blueprint.workload import Gemm

#: An accumulator buffer of more words than this is a memory when ``accumulator`` is ``auto``.
REGISTER_FILE_WORDS = 16


@dataclass(frozen=True, kw_only=True)
class TernaryLutSpec(Spec):
    """Parameters of one integer ternary-LUT core."""

    family: ClassVar[str] = "ternary_lut"
    title: ClassVar[str] = "Ternary look-up-table matrix multiplication, integer activations"

    mu: int = parameter("activations per group, the table's address digits", minimum=1, maximum=6)
    lut_count: int = parameter("tables working side by side (L)", minimum=1, maximum=256)
    fetch_count: int = parameter(
        "reads per table and cycle, the output columns of a beat (F)", minimum=1, maximum=1024
    )
    act_width: int = parameter("bits of a signed activation", minimum=2, maximum=16)
    k_max: int = parameter("largest reduction length", minimum=1, maximum=1 << 20)
    n_max: int = parameter("largest number of outputs", minimum=1, maximum=1 << 20)
    m_max: int = parameter("largest number of tokens in one run", default=65535, minimum=1, maximum=1 << 20)
    token_lanes: int = parameter("tokens that share one weight beat", default=1, minimum=1, maximum=64)
    table_style: str = parameter("mirrored table or all entries", default="half", choices=("half", "full"))
    key_encoding: str = parameter(
        "how weights travel", default="sign_index", choices=tuple(ternary.ENCODINGS)
    )
    build_style: str = parameter(
        "how table entries are summed", default="shared", choices=("direct", "shared", "pipelined")
    )
    reduction: str = parameter(
        "how fetched values are added", default="carry_save", choices=("carry_save", "adder_tree")
    )
    build_register: bool = parameter("register the finished tables", default=False)
    fetch_register: bool = parameter("register the fetched values", default=False)
    reduction_register: bool = parameter("register the sum of a beat", default=False)
    accumulator: str = parameter(
        "where partial results wait", default="auto", choices=("auto", "registers", "sram")
    )
    acc_width: int = parameter(
        "bits of an accumulator, 0 for the narrowest", default=0, minimum=0, maximum=64
    )

    def rules(self) -> Iterator[Rule]:
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
            lanes <= 1 << 16,
            "more than 65536 fetches per cycle",
            lambda: (
                f"Fetches per cycle (lut_count x fetch_count x token_lanes) must be at most 65536, not {lanes}"
            ),
        )

    # Derived numbers: the same on one design and on arrays of designs ---------------------------------------------

    @property
    def half(self) -> Any:
        """Whether tables are mirrored."""
        return self.table_style == "half"

    @property
    def entries(self) -> Number:
        """Stored entries of one table, zero not counted."""
        half = ternary.half_entries(self.mu)
        return choose(self.half, half, 2 * half)

    @property
    def entry_width(self) -> Number:
        """Bits of a table entry: ``mu`` activations, the most negative ones included, never more than a result's."""
        return smaller(ternary.entry_width(self.mu, self.act_width, self.half), self.result_width)

    @property
    def tile_k(self) -> Number:
        """Activations of one tile."""
        return self.lut_count * self.mu

    @property
    def most_tiles(self) -> Number:
        return ceil_div(self.k_max, self.tile_k)

    @property
    def regroups(self) -> Any:
        """Whether a run may need more than one group of tokens."""
        return self.m_max > self.token_lanes

    @property
    def depth(self) -> Number:
        """Words of the accumulator buffer: column groups of the widest result."""
        return ceil_div(self.n_max, self.fetch_count)

    @property
    def accumulates(self) -> Any:
        """Whether a result may need more than one tile."""
        return self.most_tiles > 1

    @property
    def buffered(self) -> Any:
        """Whether partial results of several column groups wait at once."""
        return self.depth > 1

    @property
    def single_result(self) -> Any:
        """Whether a run has one result beat, so that its last tile is also its end."""
        many = choose(self.regroups, 1, 0) + choose(self.buffered, 1, 0)
        return self.accumulates & (many == 0)

    @property
    def in_sram(self) -> Any:
        """Whether the accumulator buffer is a memory."""
        large = (self.accumulator == "auto") & (self.depth > REGISTER_FILE_WORDS)
        return self.accumulates & self.buffered & (large | (self.accumulator == "sram"))

    @property
    def reduction_registered(self) -> Any:
        """Whether the sum of a beat is registered: when asked for, and where a memory must be read a cycle ahead."""
        wanted = self.reduction_register & self.accumulates
        return wanted | (self.in_sram & (choose(self.fetch_register, 1, 0) == 0))

    @property
    def needed_result_width(self) -> Number:
        """Bits that hold any sum of ``k_max`` activations."""
        return signed_width(self.k_max * 2 ** (self.act_width - 1))

    @property
    def result_width(self) -> Number:
        """Bits of an accumulator and of a result."""
        return choose(self.acc_width == 0, self.needed_result_width, self.acc_width)

    @property
    def partial_width(self) -> Number:
        """Bits of the sum of one beat."""
        beat = signed_width(self.tile_k * 2 ** (self.act_width - 1))
        return smaller(beat, self.result_width)

    @property
    def sign_left(self) -> Any:
        """Whether one completing +1 finds no free carry in the sum of a beat and travels beside it."""
        power_of_two = (self.lut_count & (self.lut_count - 1)) == 0
        return self.half & (power_of_two | (self.reduction == "adder_tree"))

    @property
    def sum_width(self) -> Number:
        """Bits of the sum of one beat without the +1 that travels beside it."""
        without = smaller(self.partial_width, self.entry_width + clog2(self.lut_count))
        return choose(self.sign_left, without, self.partial_width)

    @property
    def result_bytes(self) -> Number:
        return ceil_div(self.result_width, 8)

    @property
    def build_stages(self) -> Number:
        """Register stages between the activation register and the tables that are swept."""
        between = choose((self.build_style == "pipelined") & (self.mu > 2), self.mu - 2, 0)
        return between + choose(self.build_register, 1, 0)

    @property
    def sweep_stages(self) -> Number:
        """Register stages between a fetch and its accumulation."""
        return choose(self.fetch_register, 1, 0) + choose(self.reduction_registered, 1, 0)

    @property
    def size_widths(self) -> dict[str, Number]:
        """Bits of the run-time size registers; all ones is never a legal size, so too large a write is noticed."""
        return {
            "tokens": bit_length(self.m_max + 1),
            "k": bit_length(self.k_max + 1),
            "n": bit_length(self.n_max + 1),
        }

    @property
    def address_width(self) -> Number:
        """Bits of the column group's number that addresses an accumulator."""
        return choose(self.accumulates, clog2(self.depth), 0)

    @property
    def key_bits(self) -> Number:
        """Bits of weights in a beat, before padding."""
        return ternary.beat_bits(self.key_encoding, self.mu, self.lut_count * self.fetch_count)

    @property
    def peak_macs(self) -> Number:
        return self.tile_k * self.fetch_count * self.token_lanes

    # What it looks like from outside -------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The top module: family, the parameters that change its size, and the hash of all of them."""
        size = f"mu{self.mu}_l{self.lut_count}_f{self.fetch_count}_a{self.act_width}_t{self.token_lanes}"
        return f"{self.family}_{size}_{self.design_hash[:6]}"

    @cached_property
    def _streams(self) -> tuple[Stream, ...]:
        lanes, columns = self.token_lanes, self.fetch_count
        keys = ternary.key_field(self.key_encoding, self.mu, columns, self.lut_count)
        return (
            Stream("act", "in", Field("activation", self.act_width, (lanes, self.lut_count, self.mu))),
            Stream("wgt", "in", keys),
            Stream("out", "out", Field("result", 8 * self.result_bytes, (lanes, columns))),
        )

    def streams(self) -> tuple[Stream, ...]:
        return self._streams

    def registers(self) -> tuple[Register, ...]:
        widths = self.size_widths
        word = {"value": (0, 32)}
        return (
            Register("control", 0x00, "rw", "write 1 to start a run", {"start": (0, 1)}),
            Register(
                "status",
                0x04,
                "ro",
                "what the core is doing and what went wrong",
                {"busy": (0, 1), "done": (1, 1), "size_error": (2, 1), "framing_error": (3, 1)},
            ),
            *(
                Register(name, address, "rw", f"{name} of the next run", {"value": (0, widths[name])})
                for name, address in (("tokens", 0x08), ("k", 0x0C), ("n", 0x10))
            ),
            Register("cycles", 0x14, "ro", "cycles from the first input beat to the last output beat", word),
            Register("stall_input", 0x18, "ro", "cycles without a table to sweep", word),
            Register("stall_memory", 0x1C, "ro", "cycles without a weight beat", word),
            Register("stall_output", 0x20, "ro", "cycles held up by the output", word),
            Register("stall_dependency", 0x24, "ro", "always 0: no result waits for another", word),
            Register("hash_lo", 0x28, "ro", "design hash, low half", word, int(self.design_hash[8:], 16)),
            Register("hash_hi", 0x2C, "ro", "design hash, high half", word, int(self.design_hash[:8], 16)),
        )

    def register_values(self, workload: Gemm) -> dict[str, int]:
        return {"tokens": workload.m, "k": workload.k, "n": workload.n}

    # Inventory and time --------------------------------------------------------------------------------------------

    def units(self) -> tuple[Unit, ...]:
        return units(self)

    def paths(self) -> tuple[Path, ...]:
        return paths(self)

    def loops(self, workload: Gemm) -> tuple[Number, Number, Number]:
        """(token groups, tiles per token group, column groups) of a run."""
        groups = ceil_div(workload.m, self.token_lanes)
        return groups, ceil_div(workload.k, self.tile_k), ceil_div(workload.n, self.fetch_count)

    def cycles(self, workload: Gemm) -> Number:
        """One sweep cycle per token group, tile and column group; fill is one cycle a register stage."""
        groups, tiles, columns = self.loops(workload)
        return groups * tiles * columns + self.build_stages + self.sweep_stages + 2

    def timing(self, workload: Gemm) -> TimingGraph:
        self.check_workload(workload)
        counts = self.loops(workload)
        token, tile, column = (
            Loop(n, int(c)) for n, c in zip(("token", "tile", "column"), counts, strict=True)
        )
        stages = int(1 + self.build_stages)
        nest = (token, tile, column)
        if self.buffered:
            result = Access("results", "column", only=(("tile", "last"),))
        else:
            result = Access("results", "token")
        tiles = Access("tiles", "tile")
        sums = Access("sums", "column")
        depth = int(self.sweep_stages)
        channels = [Channel("tiles", stages, stages, stall="input"), Channel("results", 1, stall="output")]
        sweep = Node("sweep", nest, (tiles,), (sums if depth else result,), stream="wgt", stall="memory")
        nodes = [Node("load", (token, tile), (), (tiles,), stream="act", stall="input"), sweep]
        if depth:
            channels.append(Channel("sums", depth, depth, stall="output"))
            nodes.append(Node("accumulate", nest, (sums,), (result,)))
        drain = (token, column)
        nodes.append(Node("drain", drain, (Access("results", "column"),), stream="out", direction="out"))
        return TimingGraph(tuple(nodes), tuple(channels), issue="sweep")

    def check_workload(self, workload: Gemm) -> None:
        """Refuse sizes beyond what the counters and accumulators were made for."""
        for what, most in (("m", self.m_max), ("k", self.k_max), ("n", self.n_max)):
            if getattr(workload, what) > most:
                raise ValueError(
                    f"Gemm {what} must be at most {what}_max {most}, not {getattr(workload, what)}"
                )

    def dram_bits(self, workload: Gemm) -> dict[str, Number]:
        groups, tiles, columns = self.loops(workload)
        lanes, per_byte = self.token_lanes, 8
        return {
            "weights": groups * tiles * columns * per_byte * ceil_div(self.key_bits, per_byte),
            "activations": groups
            * tiles
            * per_byte
            * ceil_div(lanes * self.tile_k * self.act_width, per_byte),
            "results": groups * columns * lanes * self.fetch_count * per_byte * self.result_bytes,
        }

    # Values --------------------------------------------------------------------------------------------------------

    @classmethod
    def sample(cls, random: np.random.Generator) -> TernaryLutSpec:
        while True:
            limits = cls.limits()
            chosen: dict[str, Any] = {
                name: str(random.choice(limit.choices)) for name, limit in limits.items() if limit.choices
            }
            chosen |= {name: bool(random.integers(2)) for name, limit in limits.items() if limit.kind is bool}
            sizes = {
                "mu": (1, 2, 2, 3, 3, 4, 5, 6),
                "lut_count": (1, 2, 3, 4, 5, 8),
                "fetch_count": (1, 2, 3, 4, 6, 8),
                "act_width": (2, 3, 4, 5, 8, 8, 11, 16),
                "k_max": (3, 20, 64, 200),
                "n_max": (1, 4, 30, 100),
                "token_lanes": (1, 1, 2, 3),
            }
            chosen |= {name: int(random.choice(values)) for name, values in sizes.items()}
            chosen["m_max"] = int(random.choice((1, 2, 7, 65535)))
            spec = cls(**chosen)
            if spec.peak_macs <= 150 and spec.entries * spec.token_lanes <= 400:
                return spec

    def sample_workload(self, random: np.random.Generator) -> Gemm:
        limits = (min(self.m_max, 5), self.k_max, self.n_max)
        while True:
            sizes = [1 if random.random() < 0.15 else int(random.integers(1, limit + 1)) for limit in limits]
            workload = Gemm(m=sizes[0], k=sizes[1], n=sizes[2])
            if self.cycles(workload) <= 600:
                return workload

    def operands(self, workload: Gemm, seed: int) -> Arrays:
        """``act`` of shape (m, k) and ``wgt`` of shape (k, n); a tenth of the activations are extremes."""
        random = np.random.default_rng(seed)
        low, high = -(1 << (self.act_width - 1)), 1 << (self.act_width - 1)
        act = random.integers(low, high, (workload.m, workload.k), dtype=np.int64)
        act[random.random(act.shape) < 0.1] = low
        wgt = random.integers(-1, 2, (workload.k, workload.n), dtype=np.int64)
        return {"act": act, "wgt": wgt}

    def reference(self, operands: Arrays) -> Arrays:
        """``out = act @ wgt``, shape (m, n), exact."""
        act, wgt = operands["act"], operands["wgt"]
        # float64 adds integers below 2**53 exactly, and k_max * 2**(act_width - 1) is far below.
        return {"out": (act.astype(np.float64) @ wgt.astype(np.float64)).astype(np.int64)}

    def stimulus(self, operands: Arrays) -> Beats:
        """Activation beats by token group and tile, weight beats by token group, tile and column group.

        Missing tokens, activations and weights of ragged edges are zeros.
        """
        act, wgt = operands["act"], operands["wgt"]
        groups, tiles, columns = self.loops(Gemm(m=act.shape[0], k=act.shape[1], n=wgt.shape[1]))
        lanes, width, fetches = self.token_lanes, self.tile_k, self.fetch_count
        act = _pad(act, groups * lanes, tiles * width).reshape(groups, lanes, tiles, self.lut_count, self.mu)
        act_beats = act.transpose(0, 2, 1, 3, 4).reshape(groups * tiles, lanes, self.lut_count, self.mu)
        wgt = _pad(wgt.astype(np.int8), tiles * width, columns * fetches)
        tiled = wgt.reshape(tiles, self.lut_count, self.mu, columns, fetches).transpose(0, 3, 4, 1, 2)
        keys = ternary.encode(
            tiled.reshape(tiles * columns, fetches, self.lut_count, self.mu), self.key_encoding
        )
        streams = {stream.name: stream for stream in self.streams()}
        weight_beats = np.tile(streams["wgt"].pack(keys), (groups, 1))
        return {"act": streams["act"].pack(act_beats), "wgt": weight_beats}

    def collect(self, beats: Beats, workload: Gemm) -> Arrays:
        groups, _, columns = self.loops(workload)
        stream = self.streams()[2]
        values = stream.unpack(beats["out"]).reshape(groups, columns, self.token_lanes, self.fetch_count)
        rows = values.transpose(0, 2, 1, 3).reshape(groups * self.token_lanes, columns * self.fetch_count)
        return {"out": rows[: workload.m, : workload.n]}


def _pad(array: Any, rows: int, columns: int) -> Any:
    return np.pad(array, ((0, rows - array.shape[0]), (0, columns - array.shape[1])))
