"""``ternforge simulate`` on the command line."""

from __future__ import annotations

from typing import Any

import click

from simulator.words import STALLS
from ternforge import choices
from ternforge.options import (
    batch_option,
    decoded_options,
    force_option,
    gemm_option,
    seed_option,
    set_option,
    shape_options,
    workload_from,
    workload_option,
)
from ternforge.session import Session
from ternforge.shell import Verb
from ternforge.words import CONTEXT


@click.command("simulate", cls=Verb)
@click.argument("spec", type=choices.FILE)
@workload_option
@gemm_option
@seed_option
@click.option(
    "--stall",
    type=choices.Named(lambda: STALLS),
    default="none",
    show_default=True,
    help="Profile of waiting sources and sinks.",
)
@click.option(
    "--values/--no-values", default=True, help="Compute values too, and compare them.  [default: values]"
)
@click.option(
    "--trace",
    type=choices.FILE,
    metavar="FILE.json[.gz]",
    help="Trace of the first task, or of passes of a system, for Perfetto.",
)
@click.option(
    "--window",
    metavar="A:B",
    help="Cycles that the trace shows, or a layer of a model's shapes (L3, head).  [default: all]",
)
@decoded_options
@shape_options(
    "Of a system, instead of a checkpoint: a model's shapes, by name or file, without values.",
    f"Of a system, of shapes: tokens in front of the one that is decoded.  [default: {CONTEXT:,}, or what fits]",
)
@batch_option
@force_option
@set_option
@click.pass_obj
def simulate_(
    session: Session,
    /,
    spec: str,
    workload: str | None,
    gemm: str | None,
    seed: int | None,
    stall: str,
    values: bool,
    trace: str | None,
    window: str | None,
    force: bool,
    overrides: dict[str, str],
    **asked: Any,
) -> int:
    """Run a workload on the design in SPEC, cycle by cycle, and compare its values with the golden model.

    With a system in SPEC, continue a prompt with a checkpoint on it: its text, and the exact cycles; or with
    --model or --context the exact cycles of a token, and of --prompt P tokens, of a model's shapes. Exit code 1 where a
    value differs.
    """
    from ternforge import decoders, decoding, shaped
    from ternforge.verbs import simulate as verb

    decoded = {name: value for name, value in asked.items() if value is not None}
    if decoders.is_system(spec):
        options = {"trace": trace, "window": window, "force": force, **decoded}
        options |= {"stall": stall, "seed": seed, "values": values}
        answer = verb.simulate(spec, workload_from(workload, gemm), overrides, note=session.note, **options)
        session.answer(answer, (shaped.lines if "phases" in answer else decoding.simulate_lines)(answer))
        return 0
    chosen = workload_from(workload, gemm)
    if chosen is None:
        raise click.UsageError("Workload must be given, by --workload FILE or --gemm MxKxN")
    options = {
        **decoded,
        "stall": stall,
        "values": values,
        "trace": trace,
        "window": window,
        "force": force,
    }
    answer = verb.simulate(spec, chosen, overrides, seed=seed, note=session.note, **options)
    session.answer(answer, verb.lines(answer))
    return 1 if answer["mismatches"] else 0
