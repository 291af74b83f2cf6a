"""Cycles per second: the simulator and the Verilated model of the same core, on one whole layer of BitNet b1.58 2B4T.

    python benchmarks/simulator_speed.py [--design FILE] [--json]

Decode, one token: the seven products of a decoder block run through the RTL (Verilator, ``-O3``, a C++ driver without
VPI) and through the simulator, in one process and the same minute. Cycles of both must be equal, product by product.
The simulator's time is a whole call, from workload to cycles and stalls; the RTL's is its clock loop alone, without
building the model. The simulator's rate without its fast-forward is shown beside.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from blueprint.files.design import read_design
from blueprint.spec import Spec
from blueprint.workloads.model import layers, load
from blueprint.workloads.tasks import Gemm
from generator.export import write_hardware
from simulator.engine import kernel
from simulator.rtl import rtl
from simulator.simulate import simulate

DESIGN = Path(__file__).resolve().parent.parent / "examples" / "ternary_lut" / "design.yaml"


def block() -> list[Gemm]:
    """The products of one decoder block, each once."""
    return [Gemm(m=g.m, k=g.k, n=g.n, name=g.name) for g in layers(load("bitnet_2b4t"), "decode", 1)]


def best(call: Callable[[], object], times: int) -> float:
    """Seconds of the fastest of ``times`` calls."""
    took = []
    for _ in range(times):
        begin = perf_counter()
        call()
        took.append(perf_counter() - begin)
    return min(took)


def run_rtl(spec: Spec, work: list[Gemm]) -> tuple[list[int], float]:
    """Cycles of every product on the Verilated model, and the seconds its clock ran."""
    jobs = []
    for number, gemm in enumerate(work):
        operands = spec.operands(gemm, number)
        outputs = {n.stream: n.firings for n in spec.timing(gemm).nodes if n.stream and n.direction == "out"}
        jobs.append(rtl.Job(spec.stimulus(operands), outputs, registers=spec.register_values(gemm)))
    with tempfile.TemporaryDirectory(prefix="ternforge-speed-") as scratch:
        write_hardware(spec, Path(scratch))
        model = rtl.load(Path(scratch), "verilator", optimize="-O3")
        runs = model.run_all(jobs)
    return [run.cycles for run in runs], sum(run.wall_s for run in runs)


def measure(design: Path) -> dict[str, Any]:
    """Cycles, seconds and rates of both."""
    spec, work = read_design(design).spec, block()
    simulated = [simulate(spec, gemm).cycles for gemm in work]
    seconds = best(lambda: [simulate(spec, gemm) for gemm in work], 20)
    graphs = [spec.timing(gemm) for gemm in work]
    plain = best(lambda: [kernel.run(graph, fast_forward=False) for graph in graphs], 1)
    measured, clock = run_rtl(spec, work)
    if measured != simulated:
        raise SystemExit(f"Cycles must be equal, not {simulated} simulated and {measured} in the RTL")
    cycles = sum(measured)
    return {
        "design": spec.name,
        "products": len(work),
        "cycles": cycles,
        "rtl_seconds": clock,
        "rtl_cycles_per_second": cycles / clock,
        "simulator_seconds": seconds,
        "simulator_cycles_per_second": cycles / seconds,
        "simulator_cycles_per_second_without_fast_forward": cycles / plain,
        "ratio": clock / seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--design", type=Path, default=DESIGN)
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    given = parser.parse_args()
    results = measure(given.design)
    if given.json:
        print(json.dumps(results))
        return
    for name, value in results.items():
        print(f"{name:50} {value if isinstance(value, str | int) else f'{value:.4g}'}")


if __name__ == "__main__":
    main()
