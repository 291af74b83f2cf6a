"""``ternforge verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ternforge import choices
from ternforge.session import Session, table
from ternforge.shell import Verb, gemm_option, seed_option, set_option, workload_from, workload_option


@click.command("verify", cls=Verb)
@click.argument("spec", type=choices.FILE, required=False)
@click.option(
    "--rtl",
    type=choices.FOLDER,
    metavar="DIR",
    help="Verilog to prove: a generated folder, changed or not; it names its design.",
)
@click.option("--cases", type=choices.Whole(1, 10_000), default=8, show_default=True, help="Random runs.")
@seed_option
@workload_option
@gemm_option
@set_option
@click.pass_obj
def verify_(
    session: Session,
    spec: str | None,
    rtl: str | None,
    cases: int,
    seed: int,
    workload: str | None,
    gemm: str | None,
    overrides: dict[str, str],
) -> int:
    """Prove Verilog, that of the design in SPEC or that in a folder, against the NumPy golden model, with cocotb.

    Values must agree to the bit and cycles to the cycle, also under random back-pressure; registers, refused sizes,
    framing, resets and the rules of AXI are checked too. Exit code 1 where something does not hold or the design hangs,
    2 where the Verilog does not compile. A workload is run first, unstalled.
    """
    from ternforge import api

    first = workload_from(workload, gemm)
    answer = api.verify(spec, overrides, rtl=rtl, seed=seed, cases=cases, workload=first, note=session.note)
    session.answer(answer, _lines(answer))
    return 0 if answer["ok"] else 1


def _lines(answer: Mapping[str, Any]) -> list[str]:
    columns = ("label", "stalls", "mismatches", "cycles_rtl", "cycles_simulator")
    rows = [[_word(case), *(case[key] for key in columns)] for case in answer["cases"]]
    cases = table(rows, ("", "workload", "stall pattern", "mismatches", "cycles RTL", "cycles simulator"))
    bad = sum(not case["ok"] for case in answer["cases"])
    total = f"{len(rows)} cases, {bad} failed, {answer['mismatches']:,} values differ; seed {answer['seed']}"
    total = total if rows else f"no case came to its end; seed {answer['seed']}"
    lines = [
        *(cases if rows else []),
        *table([[_word(part), part["name"], part["what"]] for part in answer["checks"]]),
    ]
    lines += [f"{part['name']}: {text}" for part in answer["checks"] for text in part["findings"]]
    return [*lines, total, *([f"FAIL: {answer['failure']}"] if answer["failure"] else [])]


def _word(part: Mapping[str, Any]) -> str:
    """How a case or a group of checks ended; what the bench did not come to after a hang has not failed."""
    if part["ok"]:
        return "ok"
    return "FAIL" if part.get("complete", True) or part["findings"] else "-"
