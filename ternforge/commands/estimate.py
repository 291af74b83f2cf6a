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
@set_option
@click.pass_obj
def estimate_(
    session: Session,
    spec: str,
    tech: str | None,
    workload: str | None,
    gemm: str | None,
    overrides: dict[str, str],
) -> int:
    """Predict area, clock, energy and latency of the design in SPEC, in milliseconds.

    Exit code 1 where the design asks for a faster clock than predicted.
    """
    from ternforge import api

    answer = api.estimate(spec, tech, workload_from(workload, gemm), overrides)
    session.answer(answer, _lines(answer))
    return 0 if answer["meets_clock"] else 1


def _lines(answer: Mapping[str, Any]) -> list[str]:
    total = answer["area_um2"]
    places = sorted(answer["area_breakdown_um2"].items(), key=lambda item: -item[1])
    rows = [[place, area, f"{100 * area / total:.1f} %"] for place, area in places]
    lines = [
        f"{answer['design']} in {answer['technology']} ({answer['source']})",
        *table([*rows, ["total", total, "100 %"]], ("place", "area um2", "share")),
        f"flip-flops {answer['flip_flops']:,} · critical path {answer['critical_path_ps']:,.0f} ps"
        f" · clock {answer['clock_mhz']:,.0f} MHz · peak {answer['peak_macs']:,} MAC/cycle",
    ]
    if not answer["meets_clock"]:
        lines.append(f"FAIL: a clock of {answer['clock_mhz']:g} MHz is faster than the critical path allows")
    if "cycles" in answer:
        columns = ("name", *size_columns(answer["layers"]), "count", "cycles")
        lines += table([[e[key] for key in columns] for e in answer["layers"]], ("layer", *columns[1:]))
        lines.append(
            f"{answer['workload']}: {answer['cycles']:,} cycles, {answer['seconds'] * 1e3:,.4g} ms, "
            f"utilization {100 * answer['utilization']:.1f} %, no stalls"
        )
    return [*lines, f"energy {answer['energy_pj']:,.4g} pJ for {answer['energy_of']}"]
