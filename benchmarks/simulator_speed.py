"""Cycles per second of the simulator: with the fast-forward, without it, and from the call to the answer.

    python -m benchmarks.simulator_speed [--json]

The graph is a weight-stationary layer of 64 x 2560 x 6912 on 2048 lanes. A model made by Verilator, run on the same
machine in the same minute, is what to compare with.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from fractions import Fraction
from time import perf_counter

from blueprint.timing import Access, Channel, Loop, Node, TimingGraph
from simulator import masks
from simulator.kernel import run


def layer(tokens: int = 64, columns: int = 108, tiles: int = 80, beats: int = 4) -> TimingGraph:
    """Double-buffered weights, swept by every token."""
    column, token = Loop("column", columns), Loop("token", tokens)
    tile, beat = Loop("tile", tiles), Loop("beat", beats)
    weights, sweep = (column, tile, beat), (column, token, tile)
    result = Access("results", "tile", only=(("tile", "last"),))
    taken = (Access("inputs", "tile"), Access("buffers", "column"))
    nodes = (
        Node("act", sweep, (), (Access("inputs", "tile"),), stream="act", stall="input"),
        Node("wgt", weights, (), (Access("beats", "beat"),), stream="wgt"),
        Node("load", weights, (Access("beats", "beat"),), (Access("buffers", "column"),)),
        Node("multiply", sweep, taken, (result,)),
        Node("out", (column, token), (Access("results", "token"),), stream="out", direction="out"),
    )
    channels = (
        Channel("inputs", 2),
        Channel("beats", 2, stall="memory"),
        Channel("buffers", 2, stall="memory"),
        Channel("results", 3, 3, stall="output"),
    )
    return TimingGraph(nodes, channels, "multiply")


def best(call: Callable[[], object], times: int) -> float:
    """Seconds of the fastest of ``times`` calls."""
    took = []
    for _ in range(times):
        begin = perf_counter()
        call()
        took.append(perf_counter() - begin)
    return min(took)


def measure() -> dict[str, float]:
    """Seconds and cycles per second by name."""
    graph = layer()
    cycles = run(graph).cycles
    bandwidth = {"wgt": masks.rate(Fraction(7, 16))}
    random = masks.profile("random_50", graph, seed=1)
    slow = best(lambda: run(graph, fast_forward=False), 2)
    fast = best(lambda: run(graph), 50)
    return {
        "cycles": cycles,
        "seconds_per_call": fast,
        "seconds_per_call_bandwidth_limited": best(lambda: run(graph, bandwidth), 50),
        "seconds_per_call_random_stalls": best(lambda: run(graph, random), 2),
        "seconds_per_call_tiny": best(lambda: run(layer(1, 1, 2, 1)), 200),
        "cycles_per_second": cycles / fast,
        "cycles_per_second_looking_at_each": cycles / slow,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    results = measure()
    if parser.parse_args().json:
        print(json.dumps(results))
        return
    for name, value in results.items():
        print(f"{name:40} {value:.4g}")


if __name__ == "__main__":
    main()
