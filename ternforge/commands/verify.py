"""``ternforge verify`` on the command line."""

from __future__ import annotations

from typing import Any

import click

from ternforge import choices
from ternforge.options import (
    decoded_options,
    gemm_option,
    seed_option,
    set_option,
    workload_from,
    workload_option,
)
from ternforge.session import Session
from ternforge.shell import Verb


@click.command("verify", cls=Verb)
@click.argument("spec", type=choices.FILE, required=False)
@click.option(
    "--rtl",
    type=choices.FOLDER,
    metavar="DIR",
    help="Verilog to prove: a generated folder, changed or not; it names its design.",
)
@click.option("--cases", type=choices.Whole(1, 10_000), default=8, show_default=True, help="Random runs.")
@decoded_options
@seed_option
@workload_option
@gemm_option
@set_option
@click.pass_obj
def verify_(
    session: Session,
    /,
    spec: str | None,
    rtl: str | None,
    cases: int,
    seed: int | None,
    workload: str | None,
    gemm: str | None,
    overrides: dict[str, str],
    **asked: Any,
) -> int:
    """Prove Verilog, that of the design in SPEC or that in a folder, against the NumPy golden model, with cocotb.

    Values must agree to the bit and cycles to the cycle, also under random back-pressure; registers, refused sizes,
    framing, resets and the rules of AXI are checked too. Exit code 1 where something does not hold or the design hangs,
    2 where the Verilog does not compile. A workload is run first, unstalled.

    With a system in SPEC, continue a prompt with a checkpoint on its Verilog: the same text and the same cycles as
    `simulate`, for every instruction.
    """
    from ternforge.decoders import is_system
    from ternforge.verbs import verify as verb

    decoded = {name: value for name, value in asked.items() if value is not None}
    if spec is not None and is_system(spec):
        from ternforge import proving

        first = workload_from(workload, gemm)
        given = {"rtl": rtl, "seed": seed, "cases": cases, "workload": first, **decoded}
        answer = verb.verify(spec, overrides, note=session.note, **given)
        session.answer(answer, proving.verify_lines(answer))
        return 0 if answer["ok"] else 1
    first = workload_from(workload, gemm)
    answer = verb.verify(
        spec, overrides, rtl=rtl, seed=seed, cases=cases, workload=first, note=session.note, **decoded
    )
    session.answer(answer, verb.lines(answer))
    return 0 if answer["ok"] else 1
