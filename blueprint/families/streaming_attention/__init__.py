"""Family ``streaming_attention``: softmax attention as a streaming dataflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from blueprint.families.streaming_attention import golden, inventory, parameters, ports, samples, schedule
from blueprint.workloads.workload import Attention

__all__ = ["StreamingAttentionSpec"]


@dataclass(frozen=True, kw_only=True)
class StreamingAttentionSpec(parameters.Parameters):
    """One attention core: its parameters, and what follows from them."""

    operation, streams = ports.operation, ports.streams
    every_size, every_size_rule = ports.every_size, ports.every_size_rule
    registers, register_values = ports.registers, ports.register_values
    cycles, timing, dram_bits = schedule.cycles, schedule.timing, schedule.dram_bits
    capacity, check_workload = schedule.capacity, schedule.check_workload
    units, paths = inventory.units, inventory.paths
    reference, constants, flags = golden.reference, golden.constants, golden.flags
    stimulus, collect = golden.stimulus, golden.collect
    sample_workload, typical_workload = samples.sample_workload, samples.typical_workload
    operands, typical_operands = samples.operands, samples.typical_operands

    @classmethod
    def consistent(cls, table: Mapping[str, Any]) -> dict[str, Any]:
        found = samples.consistent(table)
        return found | samples.useful_depths(cls.columns(found))

    @classmethod
    def sample(cls, random: np.random.Generator) -> StreamingAttentionSpec:
        kind = random.choice(samples.ARITHMETIC)
        while True:
            found = cls.columns(samples.draw(cls.limits(), random))
            if found.arithmetic == kind and found.feasible()[0] and samples.is_small(found):
                return cls(**found.parameters)

    def sized_for(self, workload: Attention) -> StreamingAttentionSpec:
        sizes = {"keys_max": max(workload.keys, 2), "queries_max": workload.queries}
        sizes |= {"heads_max": workload.heads, "dim": workload.dim}
        return self.columns({**self.parameters, **sizes})
