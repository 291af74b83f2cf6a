"""``ternforge estimate`` on the command line."""

from __future__ import annotations

import click

from ternforge import choices
from ternforge.options import (
    batch_option,
    gemm_option,
    set_option,
    shape_options,
    tech_option,
    workload_from,
    workload_option,
)
from ternforge.session import Session
from ternforge.shell import Verb
from ternforge.words import CONTEXT, EXPLAINED


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
@click.option(
    "--explain",
    type=choices.Named(lambda: EXPLAINED),
    help="Print the formula of this figure with its numbers; its lines add up to the figure.",
)
@shape_options(
    "Of a system: the model, by name or file; without it the largest that it holds.",
    f"Of a system: tokens in front of the one that is decoded; without it {CONTEXT:,}, or what fits.",
)
@click.option(
    "--prompt",
    type=choices.Whole(1),
    metavar="P",
    help="Of a system: tokens of a prompt, for the time to the first token.",
)
@batch_option
@set_option
@click.pass_obj
def estimate_(
    session: Session,
    spec: str,
    tech: str | None,
    workload: str | None,
    gemm: str | None,
    space: str | None,
    explain: str | None,
    model: str | None,
    context: int | None,
    prompt: int | None,
    batch: int | None,
    overrides: dict[str, str],
) -> int:
    """Predict area, clock, energy and latency of the design or system in SPEC, in milliseconds.

    Exit code 1 where it asks for a faster clock than predicted.
    """
    from ternforge import decoders
    from ternforge.verbs import estimate as verb

    work = workload_from(workload, gemm)
    answer = verb.estimate(spec, tech, work, overrides, space, explain, model, context, prompt, batch)
    session.answer(answer, decoders.lines(answer) if "system" in answer else verb.lines(answer))
    return 0 if answer["meets_clock"] else 1
