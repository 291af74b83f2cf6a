"""Clock, area and work of attention with whole and with short steps, and the slowest path of each.

    python -m benchmarks.attention_clock [--dim 64] [--parallel 2] [--keys 1024] [--only INT8]

Whole designs with shell, `scaled` and `memory_free`, every stage parameter as high as the design has a use for. Each is
mapped with prefix adders everywhere, with the buffers and wires of the recipe, and sized once for the clock that is
asked for (`costmodel.groundtruth.synthesis.sized`): timed, not predicted. What is asked: 1.5 GHz of INT8, 1.25 of FP16
with fixed-point sums, 1.0 with FP32 sums.
"""

from __future__ import annotations

import argparse
from typing import Any

from blueprint.families.streaming_attention import StreamingAttentionSpec
from costmodel.groundtruth import synthesis
from costmodel.technology import technology
from costmodel.technology.technology import Technology
from generator import export
from toolchain import files

#: By name: the format, and the period in ps that is asked for.
FORMATS: dict[str, tuple[dict[str, Any], float]] = {
    "INT8": ({}, 667.0),
    "FP16, fixed-point sums": ({"format": "fp16", "acc_format": "fixed"}, 800.0),
    "FP16, FP32 sums": ({"format": "fp16", "acc_format": "fp32"}, 1000.0),
}
GRAPHS = ("scaled", "memory_free")
_CUTS = {"scale_cuts": 16, "finish_cuts": 16, "scale_stages": 2}
#: With short steps float sums have more of them in the tree of a score, and partial sums that take turns.
_TURNS = {"dot_stages": 24, "sum_stages": 5}
#: By name: registers inside the steps. Where products are divided last `divide_stages` are beside them.
STEPS: dict[str, dict[str, Any]] = {
    "whole": {
        **_CUTS, "dot_stages": 2, "exp_stages": 4, "reciprocal_stages": 17, "product_stages": 4, "divide_stages": 2,
    },
    "short": {
        **_CUTS, "short_steps": True, "dot_stages": 11, "exp_stages": 16, "reciprocal_stages": 24,
        "product_stages": 8, "divide_stages": 8,
    },
}  # fmt: skip


def core(graph: str, steps: str, dim: int, parallel: int, keys: int, **more: Any) -> StreamingAttentionSpec:
    """A design of one row of the table."""
    given = {**STEPS[steps], **more}
    if steps == "short" and more.get("acc_format") == "fp32":
        given |= _TURNS
    if graph == "memory_free":
        given["divide_stages"] = 2
    return StreamingAttentionSpec(
        graph=graph,
        dim=dim,
        parallel=parallel,
        keys_max=keys,
        queries_max=max(keys, parallel),
        heads_max=4,
        **given,
    )


def row(names: tuple[str, ...], spec: StreamingAttentionSpec, tech: Technology, period_ps: float) -> str:
    """The row of a design."""
    with files.scratch("ternforge-attention-clock-") as folder:
        export.write_hardware(spec, folder / "core")
        found = synthesis.summary(synthesis.sized(folder / "core", tech, style="prefix", period_ps=period_ps))
    period = found.critical_path_ps * 1e-3
    work = spec.peak_macs / (period * found.area_um2 * 1e-6)
    ends = [found.path[at].split()[1] for at in (0, -1)] if found.path else ["", ""]
    cells = [f"{period:.3f}", f"{1 / period:.2f}", f"{found.area_um2 / spec.peak_macs:.0f}", f"{work:,.0f}"]
    return "| " + " | ".join((*names, *cells, f"`{ends[0]}` to `{ends[1]}`, {len(found.path)} cells")) + " |"


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--technology", default="asap7")
    options.add_argument("--dim", type=int, default=64)
    options.add_argument("--parallel", type=int, default=2)
    options.add_argument("--keys", type=int, default=1024)
    options.add_argument("--only", default="", help="rows whose names, joined by commas, contain this")
    given = options.parse_args()
    tech = technology.load(given.technology)
    print(
        "| numbers | graph | steps | ns | GHz | um2 per MAC a cycle | MAC per ns and mm2 | slowest path |\n"
        "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |"
    )
    for numbers, (format_, period_ps) in FORMATS.items():
        for graph in GRAPHS:
            for steps in STEPS:
                names = (numbers, graph, steps)
                if given.only in ",".join(names):
                    spec = core(graph, steps, given.dim, given.parallel, given.keys, **format_)
                    print(row(names, spec, tech, period_ps), flush=True)


if __name__ == "__main__":
    main()
