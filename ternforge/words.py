"""Words that options take and their help lists.

Help and completion load this file instead of the modules that give the words their meaning, because those load NumPy.
`tests/ternforge/test_words.py` holds every word of another room to its source.
"""

from __future__ import annotations

#: The figure that each explanation adds up to, and its unit.
EXPLAINED = {
    "area": ("area_um2", "um2"),
    "clock": ("critical_path_ps", "ps"),
    "energy": ("energy_pj", "pJ"),
    "cycles": ("cycles", ""),
}
#: Forms in which a checkpoint is written.
ENCODINGS = ("tq1_0", "tq2_0", "i2_s", "packed")
#: Levels that measure designs, from the cheapest to the dearest (`dse.fidelity`).
LEVELS = ("simulated", "synthesized")
#: Seconds for all measurements and for one of them, and MiB for one.
LADDER_S, EACH_S, MEMORY_MIB = 600, 900, 8192
#: Flows that take the generated folder as it is, and how.
FLOWS = {
    "files": "read the files named in {out}/files.f, in that order",
    "fusesoc": "fusesoc --cores-root {out} run --target=lint {top}",
    "yosys": "cd {out} && yosys -s synth.ys  # with Yosys on PATH",
}
#: Tokens in front of the one that an estimate of a system decodes, where no context is given.
CONTEXT = 1024
#: The memory of a system as it is described, beside the behaviors of benches.
OWN_MEMORY = "system"

#: Behaviors of memory (`blueprint.systems.memory_port`).
MEMORIES = (OWN_MEMORY, "fixed", "random", "half", "refresh")
#: Phases of a model and the largest size of a task (`blueprint.workloads`).
PHASES, LARGEST = ("decode", "prefill"), 1 << 20
#: Recipes of mapping, the one that can meet a period last, and models of wires (`costmodel.groundtruth`).
RECIPES, WIRES = ("area/4", "buffered/1"), ("none", "library", "model")
#: Profiles of waiting sources and sinks (`simulator.stall_patterns`).
STALLS = (
    "none",
    "random_10",
    "random_50",
    "random_90",
    "source_random_50",
    "sink_random_50",
    "burst_1",
    "burst_4",
    "burst_64",
    "slow_source",
    "slow_sink",
    "memory_latency_100",
    "sink_dead_1000",
)
