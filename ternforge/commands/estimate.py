"""``ternforge estimate``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ternforge import choices
from ternforge.session import Session, size_columns, table
from ternforge.shell import Verb, gemm_option, set_option, tech_option, workload_from, workload_option


@click.command("estimate", cls=Verb)
@click.argument("spec", type=choices.FILE)
@tech_option
@workload_option
@gemm_option
@click.option(
    "--space",
    type=choices.FILE,
    metavar="FILE",
    help="Space file instead of a workload: its workload, DRAM, prompt and technology, as in its studies.",
)
@set_option
@click.pass_obj
def estimate_(
    session: Session,
    spec: str,
    tech: str | None,
    workload: str | None,
    gemm: str | None,
    space: str | None,
    overrides: dict[str, str],
) -> int:
    """Predict area, clock, energy and latency of the design in SPEC, in milliseconds.

    Exit code 1 where the design asks for a faster clock than predicted.
    """
    from ternforge import api

    answer = api.estimate(spec, tech, workload_from(workload, gemm), overrides, space)
    session.answer(answer, _lines(answer))
    return 0 if answer["meets_clock"] else 1


def _lines(answer: Mapping[str, Any]) -> list[str]:
    from dse.quantity import metric_text, shown

    total = answer["area_um2"]
    places = sorted(answer["area_breakdown_um2"].items(), key=lambda item: -item[1])
    unit = shown("um2", answer["area_breakdown_um2"].values())
    rows = [[place, unit.number(area), f"{100 * area / total:.1f} %"] for place, area in places]
    facts = [metric_text(key, answer[key]) for key in ("critical_path_ps", "clock_mhz", "peak_macs")]
    lines = [
        f"{answer['design']} in {answer['technology']} ({answer['source']})",
        *table([*rows, ["total", unit.number(total), "100 %"]], ("place", f"area {unit.unit}", "share")),
        f"flip-flops {answer['flip_flops']:,} · critical path {facts[0]} · clock {facts[1]} · peak {facts[2]}",
    ]
    if not answer["meets_clock"]:
        lines.append(f"FAIL: a clock of {answer['clock_mhz']:g} MHz is faster than the critical path allows")
    lines += _workload_lines(answer) if "cycles" in answer else []
    return [
        *lines,
        f"energy {shown('pJ', [answer['energy_pj']]).text(answer['energy_pj'])} for {answer['energy_of']}",
    ]


def _workload_lines(answer: Mapping[str, Any]) -> list[str]:
    from dse.metrics import METRICS
    from dse.quantity import label, metric_text, shown

    columns = ("name", *size_columns(answer["layers"]), "count", "cycles")
    row, seconds = answer["row"], answer["seconds"]
    waits = f"DRAM-bound {100 * row['dram_share']:.1f} % of the time" if row["dram_share"] else "no stalls"
    numbers = [
        f"{label(name)} {metric_text(name, value)}"
        for name, value in row.items()
        if METRICS[name].base != name or name == "power_mw"
    ]
    return [
        *table([[e[key] for key in columns] for e in answer["layers"]], ("layer", *columns[1:])),
        f"{answer['workload']}: {answer['cycles']:,} cycles, {shown('s', [seconds]).text(seconds)}, "
        f"utilization {100 * answer['utilization']:.1f} %, {waits}",
        " · ".join(numbers),
        f"numbers cover {answer['covers']}; memory {answer['memory']}",
    ]
