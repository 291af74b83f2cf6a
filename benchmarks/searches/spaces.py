"""The spaces of the benchmark, every design of them evaluated once, and hypervolume in their units."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from blueprint.files.document import read_text
from costmodel.model.evaluate import TechnologyCosts
from costmodel.technology import technology
from dse.batch import Batch, Floats
from dse.families import design_problem
from dse.pareto import front_mask, hypervolume
from dse.problem import Problem
from dse.space import Indices
from dse.space_file import space_from

_HEAD = "schema: ternforge/space/v1\ntechnology: asap7\n"
_DRAM = "dram: {bandwidth_gb_s: 12.8, energy_pj_per_bit: 20, source: one DDR4-1600 channel}\n"
#: A space of each family of products, one of attention, and one in which two families meet.
SPACES = {
    "ternary_lut": _HEAD
    + _DRAM
    + """
family: ternary_lut
parameters:
  mu: {range: [1, 5]}
  lut_count: {log2: [1, 64]}
  fetch_count: {log2: [4, 128]}
  token_lanes: [1, 2, 4]
  table_style: [half, full]
  reduction: [carry_save, adder_tree]
  fetch_register: [false, true]
  act_width: 8
  k_max: 6912
  n_max: 6912
workload: {model: bitnet_2b4t, phase: decode, context: 1024}
objectives: {area_um2: min, ternary_tokens_per_second: max, ternary_energy_pj_per_token: min}
constraints: {area_um2: {max: 50000}}
""",
    "systolic": _HEAD
    + _DRAM
    + """
family: systolic
parameters:
  organization: [weight_stationary, output_stationary, cube, adder_tree, broadcast_matrix]
  pe: [mac, ternary, opt1, ent, booth_flex]
  rows: {log2: [2, 64]}
  cols: {log2: [2, 64]}
  dot_length: {log2: [1, 8]}
  product_register: [false, true]
  act_width: 8
  weight_width: 2
  token_depth: 64
  k_max: 6912
  n_max: 6912
workload: {model: bitnet_2b4t, phase: prefill, tokens: 64}
objectives: {area_um2: min, ternary_tokens_per_second: max}
constraints: {area_um2: {max: 100000}}
""",
    "streaming_attention": _HEAD
    + """
family: streaming_attention
parameters:
  graph: [naive, scaled, reordered, memory_free]
  dim: 128
  keys_max: 1024
  mask: causal
  parallel: {log2: [1, 16]}
  head_group: [1, 2, 4]
  dot_stages: [0, 1, 2, 4]
  exp_stages: [0, 1, 2, 4]
  product_stages: [0, 1, 2, 4]
  reciprocal_stages: [2, 4, 8]
workload: {attention: {seq: 1024, heads: 20, kv_heads: 5, dim: 128, mask: causal}}
objectives: {area_um2: min, rows_per_second: max, energy_pj_per_row: min}
""",
    "two families": _HEAD
    + _DRAM
    + """
family: [ternary_lut, systolic]
parameters:
  act_width: 8
  k_max: 6912
  n_max: 6912
  ternary_lut:
    mu: {range: [1, 5]}
    lut_count: {log2: [1, 64]}
    fetch_count: {log2: [4, 128]}
    token_lanes: [1, 2, 4]
    reduction: [carry_save, adder_tree]
    build_register: [false, true]
    fetch_register: [false, true]
  systolic:
    organization: [weight_stationary, output_stationary, cube, broadcast_matrix]
    pe: [mac, ternary, opt1, ent]
    rows: {log2: [4, 32]}
    cols: {log2: [4, 64]}
    dot_length: [1, 2, 4]
    weight_width: 2
    token_depth: 64
workload: {model: bitnet_2b4t, phase: prefill, tokens: 64}
objectives: {area_um2: min, ternary_tokens_per_second: max, ternary_energy_pj_per_token: min}
constraints: {area_um2: {max: 100000}}
""",
}
#: Share of the front's range by which the reference of the hypervolume lies behind its worst values.
MARGIN = 0.1


@dataclass(frozen=True)
class Enumerated:
    """A problem with all of its answers, indexed by design."""

    problem: Problem
    every: Batch

    @cached_property
    def goals(self) -> Floats:
        """Objectives of all designs: 0 is the best value on the exact front and 1 its worst; infinite if infeasible."""
        goals = self.problem.objectives(self.every)
        front = goals[self.every.feasible]
        front = front[front_mask(front)]
        low, high = front.min(axis=0), front.max(axis=0)
        scaled = (goals - low) / np.where(high > low, high - low, 1.0)
        return np.where(self.every.feasible[:, None], scaled, np.inf)

    @cached_property
    def exact(self) -> float:
        """The exact hypervolume."""
        return self.volume(np.arange(len(self.every)))

    @cached_property
    def front(self) -> int:
        """Points of the exact front with different objectives."""
        return int(self.members.max()) + 1

    @cached_property
    def members(self) -> npt.NDArray[np.int64]:
        """Of every design, which point of the exact front it is, from 0; -1 if none."""
        found = np.full(len(self.every), -1, dtype=np.int64)
        best = np.flatnonzero(front_mask(np.where(np.isinf(self.goals), np.nan, self.goals)))
        found[best] = np.unique(self.goals[best], axis=0, return_inverse=True)[1].reshape(-1)
        return found

    def volume(self, indices: Indices) -> float:
        """Hypervolume of some designs."""
        return hypervolume(self.goals[indices], [1.0 + MARGIN] * self.goals.shape[1])


def enumerated(name: str) -> Enumerated:
    """A space of the benchmark with all of its designs."""
    space = space_from(read_text(SPACES[name], f"the space {name}"))
    problem = design_problem(space, TechnologyCosts(technology.load(space.technology)), {})
    return Enumerated(problem, problem.evaluate(np.arange(space.size)))
