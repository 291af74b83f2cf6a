"""``ternforge simulate``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ternforge import choices
from ternforge.session import Session, size_columns, table
from ternforge.shell import (
    Verb,
    force_option,
    gemm_option,
    seed_option,
    set_option,
    workload_from,
    workload_option,
)


@click.command("simulate", cls=Verb)
@click.argument("spec", type=choices.FILE)
@workload_option
@gemm_option
@seed_option
@click.option(
    "--stall",
    type=choices.Named(choices.stalls),
    default="none",
    show_default=True,
    help="Profile of waiting sources and sinks.",
)
@click.option(
    "--values/--no-values", default=True, help="Compute values too, and compare them.  [default: values]"
)
@click.option(
    "--trace", type=choices.FILE, metavar="FILE.json[.gz]", help="Trace of the first task, for Perfetto."
)
@click.option("--window", metavar="A:B", help="Cycles that the trace shows; all without it.")
@force_option
@set_option
@click.pass_obj
def simulate_(
    session: Session,
    spec: str,
    workload: str | None,
    gemm: str | None,
    seed: int,
    stall: str,
    values: bool,
    trace: str | None,
    window: str | None,
    force: bool,
    overrides: dict[str, str],
) -> int:
    """Run a workload on the design in SPEC, cycle by cycle, and compare its values with the golden model.

    Exit code 1 where a value differs.
    """
    from ternforge import api

    chosen = workload_from(workload, gemm)
    if chosen is None:
        raise click.UsageError("Workload must be given, by --workload FILE or --gemm MxKxN")
    wishes: dict[str, Any] = {
        "stall": stall,
        "values": values,
        "trace": trace,
        "window": window,
        "force": force,
    }
    answer = api.simulate(spec, chosen, overrides, seed=seed, note=session.note, **wishes)
    session.answer(answer, _lines(answer))
    return 1 if answer["mismatches"] else 0


def _lines(answer: Mapping[str, Any]) -> list[str]:
    sizes = size_columns(answer["layers"])
    rows = [
        [*(e[key] for key in ("name", *sizes, "count", "cycles")), f"{100 * e['utilization']:.1f} %"]
        for e in answer["layers"]
    ]
    stalls = ", ".join(f"{reason} {cycles:,}" for reason, cycles in answer["stalls"].items())
    lines = [
        f"{answer['design']} on {answer['workload']}",
        *table(rows, ("layer", *sizes, "count", "cycles", "utilization")),
        f"{answer['cycles']:,} cycles, {answer['macs']:,} MACs, utilization {100 * answer['utilization']:.1f} %",
        f"stalls: {stalls}",
    ]
    if answer["checked"]:
        lines.append(f"{answer['mismatches']:,} of {answer['checked']:,} values differ from the golden model")
    return lines + (
        [f"wrote {answer['trace']}: open it in https://ui.perfetto.dev"] if answer.get("trace") else []
    )
