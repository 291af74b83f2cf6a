"""A design's Verilog against the golden model and the simulator, on random workloads under random stalls."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.spec import Spec
from blueprint.workload import Task
from simulator import masks
from simulator.simulate import simulate
from toolchain import bench

BENCH = "simulator.cosim.axi_tests"
#: Both optimizations reach across instances, so that equal ones no longer share their C++: with 128 table reads of
#: 121 entries 54 MB of it instead of 2, and seven times the build, for runs of seconds.
_QUICK_BUILD = ("-fno-dfg", "-fno-gate")
#: Stall profiles in the order in which random cases take them.
PROFILES = (
    "random_50",
    "none",
    "sink_random_50",
    "source_random_50",
    "burst_4",
    "slow_sink",
    "random_90",
    "memory_latency_100",
    "slow_source",
    "random_10",
)


@dataclass(frozen=True)
class Case:
    """One run: a task, a stall profile, the seed of values and stalls."""

    task: Task
    profile: str
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What one run gave: values that differ from the golden model of ``values``, and three counts of its cycles."""

    case: Case
    mismatches: int
    values: int
    cycles_rtl: int
    cycles_register: int
    cycles_simulator: int

    @property
    def ok(self) -> bool:
        """Whether every value and every cycle agrees."""
        return self.mismatches == 0 and self.cycles_rtl == self.cycles_register == self.cycles_simulator


def cases(spec: Spec, count: int, seed: int, first: Task | None = None) -> list[Case]:
    """``count`` cases; the same seed gives the same. ``first`` is a task to begin with, unstalled."""
    generator = np.random.default_rng(seed)
    chosen = [] if first is None else [Case(first, "none", seed)]
    for number in range(count - len(chosen)):
        profile = PROFILES[number % len(PROFILES)]
        chosen.append(Case(spec.sample_workload(generator), profile, int(generator.integers(1 << 31))))
    return chosen


def check(spec: Spec, folder: Path, todo: Sequence[Case], *, timeout_s: float = 900) -> list[Outcome]:
    """Run the cases on the Verilog in ``folder`` (as generated from ``spec``) with cocotb on Verilator.

    Raises :class:`simulator.kernel.Deadlock` for a design that cannot finish a case, before anything is built,
    :class:`toolchain.process.ToolError` where the design cannot be built or the simulator hangs, and
    :class:`BenchError` where the design breaks a rule of AXI or never ends.
    """
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    operands = [spec.operands(case.task, case.seed) for case in todo]
    clocks = [
        simulate(spec, case.task, masks=_open(spec, case), operands=values).cycles
        for case, values in zip(todo, operands, strict=True)
    ]
    golden = [spec.reference(values) for values in operands]
    jobs = [_job(spec, case, values) for case, values in zip(todo, operands, strict=True)]
    answers = _run(manifest, folder, jobs, timeout_s)
    return [_outcome(spec, *item) for item in zip(todo, clocks, golden, answers, strict=True)]


class BenchError(RuntimeError):
    """The bench caught the design breaking a rule; the message says which and when."""


def _open(spec: Spec, case: Case) -> dict[str, Any]:
    return dict(masks.profile(case.profile, spec.streams(), case.seed))


def _job(spec: Spec, case: Case, operands: Any) -> dict[str, Any]:
    stimulus = spec.stimulus(operands)
    stalls = {name: "".join("1" if now else "0" for now in mask) for name, mask in _open(spec, case).items()}
    return {
        "registers": spec.register_values(case.task),
        "masks": stalls,
        "stimulus": {name: [bytes(beat)[::-1].hex() for beat in beats] for name, beats in stimulus.items()},
        "outputs": {
            stream.name: _beats(spec, stream.name, case, operands)
            for stream in spec.streams()
            if stream.direction == "out"
        },
    }


def _beats(spec: Spec, stream: str, case: Case, operands: Any) -> int:
    """Beats of an output stream in one run, by the timing graph."""
    return sum(node.firings for node in spec.timing(case.task, operands).nodes if node.stream == stream)


def _run(
    manifest: Mapping[str, Any], folder: Path, jobs: list[dict[str, Any]], timeout_s: float
) -> list[Any]:
    top = str(manifest["top"])
    files = [folder / name for name in manifest["files"]]
    simulator = bench.build(files, top, {top: ports(manifest)}, arguments=_QUICK_BUILD)
    with tempfile.TemporaryDirectory(prefix="ternforge-cosim-") as scratch:
        asked, answered = Path(scratch) / "jobs.json", Path(scratch) / "results.jsonl"
        asked.write_text(json.dumps({"manifest": manifest, "jobs": jobs}))
        env = {"TERNFORGE_JOBS": str(asked), "TERNFORGE_RESULTS": str(answered)}
        here = [Path(__file__).resolve().parents[2]]
        results = bench.run(
            simulator,
            top,
            BENCH,
            folder=Path(scratch),
            python_path=here,
            env=env,
            seed=1,
            timeout_s=timeout_s,
        )
        if results.failures:
            raise BenchError(f"The bench of {top} failed: {results.failures[0]}")
        return [json.loads(line) for line in answered.read_text().splitlines()]


def ports(manifest: Mapping[str, Any]) -> list[str]:
    """Every port of the top module."""
    names = [str(manifest["clock"]), str(manifest["reset"])]
    for stream in manifest["streams"].values():
        names += [f"{stream['prefix']}_{signal}" for signal in ("tdata", "tvalid", "tready", "tlast")]
    write = "awaddr awprot awvalid awready wdata wstrb wvalid wready bresp bvalid bready"
    read = "araddr arprot arvalid arready rdata rresp rvalid rready"
    return [*names, *(f"s_axil_{signal}" for signal in f"{write} {read}".split())]


def _outcome(
    spec: Spec, case: Case, clocks: int, golden: Mapping[str, npt.NDArray[Any]], answer: Mapping[str, Any]
) -> Outcome:
    widths = {stream.name: stream.width // 8 for stream in spec.streams()}
    beats = {
        name: np.array(
            [list(int(beat, 16).to_bytes(widths[name], "little")) for beat in words], dtype=np.uint8
        )
        for name, words in answer["beats"].items()
    }
    found = spec.collect(beats, case.task)
    lasts = sum(marks != [0] * (len(marks) - 1) + [1] for marks in answer["lasts"].values())
    return Outcome(
        case,
        mismatches=sum(int((found[name] != golden[name]).sum()) for name in golden) + lasts,
        values=sum(array.size for array in golden.values()),
        cycles_rtl=answer["cycles"],
        cycles_register=answer["registers"]["cycles"],
        cycles_simulator=clocks,
    )
