"""Intermediate memory and throughput of the four attention graphs: writes docs/attention_fifos.md and its two figures.

    python benchmarks/attention_fifos.py

Everything is measured by the simulator on the timing graphs that the RTL is compared with; nothing is fitted.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from blueprint.arithmetic.softmax.arithmetic import GRAPHS
from blueprint.families.streaming_attention import StreamingAttentionSpec, dataflow
from blueprint.families.streaming_attention.dataflow import words
from blueprint.workloads.tasks import Attention
from simulator.engine import kernel
from simulator.sizing import smallest_capacity

DOCS = Path(__file__).resolve().parents[1] / "docs"
DIM = 64
LENGTHS = (16, 64, 256, 1024, 4096, 8192, 32768)
#: Rows of the throughput figure.
SWEPT = 256
PORTS = ("queries", "scales", "gains", "codes", "counted", "found", "picked")


def spec(graph: str, keys: int, **changes: Any) -> StreamingAttentionSpec:
    return StreamingAttentionSpec(graph=graph, dim=DIM, keys_max=keys, **changes)


def square(keys: int) -> Attention:
    return Attention(keys, keys, 1, 1, DIM)


def memory(design: StreamingAttentionSpec) -> tuple[int, int]:
    """(words, bits) of the FIFOs between the nodes."""
    deep, held = dataflow.depths(design), words(design)
    names = [e.name for e in dataflow.edges(design.graph, True, False) if e.name not in PORTS]
    total = sum(int(deep[name]) for name in names)
    return total, sum(int(deep[name]) * held[name].width for name in names)


def lengths() -> list[dict[str, Any]]:
    """Words, bits and cycles of every graph at full speed, by length."""
    rows = []
    for graph in GRAPHS:
        for keys in LENGTHS:
            design, work = spec(graph, keys), square(keys)
            begin = time.perf_counter()
            cycles = kernel.run(design.timing(work)).cycles
            wall = time.perf_counter() - begin
            assert cycles == design.cycles(work)
            held, bits = memory(design)
            rows.append(
                {"graph": graph, "keys": keys, "cycles": cycles, "words": held, "bits": bits, "s": wall}
            )
    return rows


def sweep(graph: str) -> list[tuple[int, float]]:
    """(depth of the long FIFOs, keys per cycle), 0 for a deadlock; of the short ones where none is long."""
    long = graph != "memory_free"
    found = []
    depths = (
        sorted({*range(8, SWEPT, 24), *range(SWEPT - 2, SWEPT + 14), SWEPT + 24}) if long else range(1, 9)
    )
    for depth in depths:
        design = spec(graph, SWEPT, **({"long_depth": depth} if long else {"short_depth": depth}))
        try:
            found.append((depth, SWEPT * SWEPT / kernel.run(design.timing(square(SWEPT))).cycles))
        except kernel.Deadlock:
            found.append((depth, 0.0))
    return found


def sizes() -> list[tuple[str, str, int, int, int]]:
    """(graph, FIFO, smallest depth that does not deadlock, smallest at full speed, the design's own)."""
    rows = []
    for graph in GRAPHS:
        design = spec(graph, SWEPT)
        timing, deep = design.timing(square(SWEPT)), dataflow.depths(design)
        for edge in dataflow.edges(graph, True, False):
            if edge.name not in PORTS:
                found = smallest_capacity(timing, edge.name)
                rows.append((graph, edge.name, found.deadlock_free, found.full_speed, int(deep[edge.name])))
    return rows


def draw_lengths(rows: list[dict[str, Any]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(6, 4))
    for graph in GRAPHS:
        mine = [row for row in rows if row["graph"] == graph]
        axes.loglog([r["keys"] for r in mine], [r["bits"] / 8192 for r in mine], "o-", base=2, label=graph)
    axes.set_xlabel("keys per row, N")
    axes.set_ylabel("FIFOs between the nodes, KiB")
    axes.legend(), axes.grid(alpha=0.3)
    _save(figure, path)


def draw_sweep(found: dict[str, list[tuple[int, float]]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(6, 4))
    for graph, points in found.items():
        what = "long" if graph != "memory_free" else "short"
        axes.plot(*zip(*points, strict=True), ".-", label=f"{graph} ({what} FIFOs)")
    axes.axvline(SWEPT, color="gray", linewidth=0.8, linestyle=":")
    axes.set_xlabel(f"words of the FIFO; N = {SWEPT} (dotted), 0 keys per cycle is a deadlock")
    axes.set_ylabel("keys per cycle")
    axes.set_xscale("log", base=2)
    axes.legend(), axes.grid(alpha=0.3)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def page(rows: list[dict[str, Any]], found: dict[str, list[tuple[int, float]]]) -> str:
    """The text beside the figures."""
    by = {(row["graph"], row["keys"]): row for row in rows}
    wall = sum(row["s"] for row in rows)
    head = "| N | " + " | ".join(f"{graph}: words, cycles" for graph in GRAPHS) + " |"
    lines = [head, "| --- |" + " --- |" * len(GRAPHS)]
    for keys in LENGTHS:
        cells = [f"{by[g, keys]['words']:,}, {by[g, keys]['cycles']:,}" for g in GRAPHS]
        lines.append(f"| {keys:,} | " + " | ".join(cells) + " |")
    table = "\n".join(lines)
    fifos = "\n".join(f"| `{g}` | `{name}` | {low} | {fast} | {own} |" for g, name, low, fast, own in sizes())
    dead = {
        g: max((depth for depth, speed in points if speed == 0), default=0) for g, points in found.items()
    }
    said = "; ".join(f"`{g}` up to {depth} words" for g, depth in dead.items() if depth)
    return TEXT.format(
        dim=DIM, swept=SWEPT, table=table, fifos=fifos, wall=f"{wall:.1f}", dead=said, most=f"{LENGTHS[-1]:,}"
    )


TEXT = """# Attention: intermediate memory and FIFO depth

Written by `python benchmarks/attention_fifos.py`. Cycles are the simulator's, on the timing graphs that the RTL agrees
with to the cycle (`tests/conformance`, `tests/generator/test_streaming_attention.py` up to N = 256); N queries see N
keys, heads of {dim}, default pipeline stages. See [the family](families/streaming_attention.md) for graphs and nodes.

## Memory against length

![FIFO memory against row length](attention_fifos_memory.svg)

{table}

All four take a key every cycle; what they differ in besides memory is the wait for whole rows at the end (none, N, or
2 N cycles). The simulator runs the whole table, up to {most} x {most} keys, in {wall} s.

## Throughput against depth

![Throughput against FIFO depth](attention_fifos_depth.svg)

N = {swept}. The graphs that wait for a row deadlock below N words ({dead}):
the simulator names the nodes that wait and the channel that is full, and the RTL stands still. From N
words on they run, and they are at full speed where the FIFO also holds what is under way meanwhile. Memory-free runs at
any depth.

Smallest depths of every FIFO, found by bisection with all others at their default. With one latency l for all nodes the
long ones need N + 2 l - 1 words for full speed and the short ones l + 1.

| graph | FIFO | deadlock-free | full speed | default |
| --- | --- | --- | --- | --- |
{fifos}

A default of a FIFO with a word per row also covers rows of a single key, so it may be deeper than these rows need.
"""


def main() -> int:
    rows = lengths()
    found = {graph: sweep(graph) for graph in GRAPHS}
    plt.rcParams["svg.hashsalt"] = "ternforge"
    draw_lengths(rows, DOCS / "attention_fifos_memory.svg")
    draw_sweep(found, DOCS / "attention_fifos_depth.svg")
    (DOCS / "attention_fifos.md").write_text(page(rows, found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
