"""``ternforge verify``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ternforge import choices
from ternforge.session import Session, table
from ternforge.shell import Verb, gemm_option, seed_option, set_option


@click.command("verify", cls=Verb)
@click.argument("spec", type=choices.FILE)
@click.option("--cases", type=choices.Whole(1, 10_000), default=8, show_default=True, help="Random runs.")
@seed_option
@gemm_option
@set_option
@click.pass_obj
def verify_(
    session: Session, spec: str, cases: int, seed: int, gemm: str | None, overrides: dict[str, str]
) -> int:
    """Prove the Verilog of the design in SPEC against the NumPy golden model, with cocotb on Verilator.

    Values must agree to the bit and cycles to the cycle, also under random back-pressure; exit code 1 where not.
    """
    from ternforge import api

    answer = api.verify(spec, overrides, seed=seed, cases=cases, gemm=gemm, note=session.note)
    session.answer(answer, _lines(answer))
    return 0 if answer["ok"] else 1


def _lines(answer: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            "ok" if case["ok"] else "FAIL",
            case["label"],
            case["stalls"],
            case["mismatches"],
            case["cycles_rtl"],
            case["cycles_simulator"],
        ]
        for case in answer["cases"]
    ]
    if answer["failure"]:
        return [f"FAIL: {answer['failure']}"]
    bad = sum(not case["ok"] for case in answer["cases"])
    return [
        *table(rows, ("", "workload", "stall pattern", "mismatches", "cycles RTL", "cycles simulator")),
        f"{len(rows)} cases, {bad} failed, {answer['mismatches']:,} values differ; seed {answer['seed']}",
    ]
