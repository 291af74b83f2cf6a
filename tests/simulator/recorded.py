"""Runs of random graphs, designs and small decoders as recorded in `tests/golden/simulated.json`.

    python -m tests.simulator.recorded

Recorded are cycles, stalls by reason, firings and traces of random graphs, the patterns of every stall profile, runs of
random designs of every family, and all sums over the passes of a decoder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from blueprint.registry import families
from blueprint.systems.runs import Runs
from simulator import sizing, stall_patterns, trace
from simulator.engine.kernel import Deadlock, run
from simulator.simulate import simulate
from simulator.systems import sums
from simulator.systems.passes import Passes, read_program
from tests.simulator.graphs import random_graph, random_patterns, tiled_gemm
from tests.systems import recorded_runs
from tests.systems.recorded import lines

FILE = Path(__file__).resolve().parent.parent / "golden" / "simulated.json"
GRAPHS = tuple(str(seed) for seed in range(48))
DESIGNS = tuple(f"{family} {number}" for family in sorted(families()) for number in range(6))


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, default=str).encode()).hexdigest()[:12]


def graph(name: str) -> dict[str, Any]:
    """A random graph under random patterns: its run, its trace as a whole and in a window, and a channel's sizes."""
    seed = int(name)
    shown = random_graph(seed, uneven=seed % 2 == 1, but_one=seed % 3 == 0)
    patterns = random_patterns(shown, seed)
    try:
        ran = run(shown, patterns)
    except Deadlock as stuck:
        return {"stuck": stuck.cycle, "waits": str(stuck)}
    whole = trace.trace(shown, patterns, clock_mhz=400.0)
    first, end = ran.cycles // 3, 2 * ran.cycles // 3 + 2
    part = trace.trace(shown, patterns, clock_mhz=80.0, window=(first, end))
    found = {
        "cycles": ran.cycles,
        "start": ran.start,
        "stalls": dict(ran.stalls),
        "fired": digest({node: cycles.tolist() for node, cycles in whole.timeline.fired.items()}),
        "window": list(whole.window),
        "bytes": [trace.estimated_bytes(whole), trace.estimated_bytes(part)],
        "events": [digest(list(trace.events(whole))), digest(list(trace.events(part)))],
    }
    try:
        found["sizes"] = asdict(sizing.smallest_capacity(shown, shown.channels[0].name, patterns))
    except Deadlock as stuck:
        found["sizes"] = str(stuck)
    return found


def patterns(name: str) -> dict[str, Any]:
    """The patterns of a profile for every stream: length, open cycles and which."""
    made = stall_patterns.profile(name, tiled_gemm(3, 4, 5), seed=11)
    return {
        stream: [len(each), int(each.sum()), digest(np.flatnonzero(each).tolist())]
        for stream, each in made.items()
    }


def design(name: str) -> dict[str, Any]:
    """A random task on a random design under a profile: every number of the run, its beats and its values."""
    family, number = name.split()
    random = np.random.default_rng([26, int(number)])
    spec = families()[family].sample(random)
    task = spec.sample_workload(random)
    profiles = ("none", "random_50", "burst_4", "slow_sink", "slow_source", "random_10")
    chosen = stall_patterns.profile(profiles[int(number)], spec.streams(), seed=3)
    ran = simulate(spec, task, patterns=chosen, values=True, accepted=True, seed=5)
    return {
        "cycles": ran.cycles,
        "start": ran.start,
        "repeats": ran.repeats,
        "macs": ran.macs,
        "utilization": ran.utilization,
        "stalls": dict(ran.stalls),
        "accepted": {
            stream: [len(cycles), digest(cycles.tolist())] for stream, cycles in sorted(ran.accepted.items())
        },
        "outputs": {key: digest(value.tolist()) for key, value in sorted(ran.outputs.items())},
    }


def summed(name: str, behavior: str) -> dict[str, Any]:
    """All sums over passes of a prompt and of decoding, and what units wait for."""
    built, shown = recorded_runs.hardware(name), recorded_runs.picture(name)
    runs = Runs(built)
    passes, parts = Passes(built, [recorded_runs.MEMORIES[behavior]] * 3, runs), []
    place = 0
    for mode in (recorded_runs.PROMPT, recorded_runs.DECODE):
        table = read_program(built, runs, shown.programs[mode])
        adding = sums.Adding(runs, table, shown.notes[mode])
        for _ in range(2):
            adding.add(passes.run(table, place))
            place += 1
        parts.append(adding.sums())
    found = sums.total(parts)
    return {
        "cycles": passes.cycles,
        "stalls": sums.stalls(found, passes.cycles),
        **vars(found),
    }


PARTS: Mapping[str, tuple[Any, tuple[tuple[str, ...], ...]]] = {
    "graph": (graph, tuple((name,) for name in GRAPHS)),
    "patterns": (patterns, tuple((name,) for name in stall_patterns.names())),
    "design": (design, tuple((name,) for name in DESIGNS)),
    "summed": (summed, recorded_runs.CASES),
}


def kept() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def recorded() -> dict[str, Any]:
    """Everything, computed now."""
    found: dict[str, Any] = {"recipe": "python -m tests.simulator.recorded"}
    for part, (make, cases) in PARTS.items():
        found[part] = {" ".join(case): make(*case) for case in cases}
    return found


if __name__ == "__main__":
    FILE.write_text(lines(recorded()), encoding="utf-8")
