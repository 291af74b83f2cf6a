"""Area and clock of INT8 table cores whose sums are resolved every cycle, or when a result leaves.

    python -m benchmarks.carry_save [--technology asap7] [--macs 256]

Whole designs with shell, one token, k = n = 6912, as many accumulators as columns, a register behind every step. Each
is mapped for least area and then for shorter and shorter periods, in steps of a twentieth of the first; the table has
the fastest that is met. Both are timed with the wires of the recipe, not predicted.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from blueprint.errors import ParamError
from blueprint.families.ternary_lut import TernaryLutSpec
from costmodel.groundtruth import synthesis
from costmodel.groundtruth.recipe import BUFFERED
from costmodel.groundtruth.synthesis import Synthesis
from costmodel.model import evaluate
from costmodel.technology import technology
from costmodel.technology.technology import Technology
from generator import export
from toolchain import files

LENGTH, COLUMNS, MU = 6912, 16, 2
#: By name: what the core has beside a register behind every step.
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "carry-save": {"carry_save_sums": True, "resolve_cycles": 4, "reduction_stages": 1},
    "carry-save, two registers in the reduction": {
        "carry_save_sums": True, "resolve_cycles": 4, "reduction_stages": 2,
    },
}  # fmt: skip
#: Required periods, in twentieths of the one of least area.
SHARES = range(19, 9, -1)


def core(macs: int, **more: Any) -> TernaryLutSpec:
    """A core of ``macs`` multiply-accumulates a cycle."""
    return TernaryLutSpec(
        mu=MU, lut_count=macs // (MU * COLUMNS), fetch_count=COLUMNS, act_width=8, k_max=LENGTH, n_max=LENGTH,
        n_tile=COLUMNS, m_max=1, build_register=True, fetch_register=True, reduction_register=True, **more,
    )  # fmt: skip


def fastest(folder: Path, tech: Technology) -> tuple[Synthesis, Synthesis]:
    """The design mapped for least area, and for the shortest period that is met."""
    least = best = synthesis.synthesize(folder, tech, recipe=BUFFERED)
    for share in SHARES:
        try:
            best = synthesis.synthesize(
                folder, tech, recipe=BUFFERED, period_ps=least.critical_path_ps * share / 20
            )
        except ParamError:  # not reached
            break
    return least, best


def row(name: str, spec: TernaryLutSpec, tech: Technology) -> list[str]:
    """The rows of a design: least area, and the shortest period."""
    predicted = evaluate.of_design(spec, tech)
    with files.scratch("ternforge-carry-save-") as folder:
        export.write_hardware(spec, folder / "core")
        found = fastest(folder / "core", tech)
    lines = []
    for how, one in zip(("least area", "shortest period"), found, strict=True):
        period = one.critical_path_ps * 1e-3
        work = spec.peak_macs / (period * one.area_um2 * 1e-6)
        cells = [f"{one.area_um2 / spec.peak_macs:.2f}", f"{period:.3f}", f"{1 / period:.2f}", f"{work:,.0f}"]
        told = f"{predicted.critical_path_ps * 1e-3:.3f}" if how == "least area" else ""
        lines.append("| " + " | ".join((name, how, *cells, told)) + " |")
    return lines


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--technology", default="asap7")
    options.add_argument("--macs", type=int, default=256)
    given = options.parse_args()
    tech = technology.load(given.technology)
    print(
        "| sums | mapped for | um2 per MAC a cycle | ns | GHz | MAC per ns and mm2 | ns, predicted |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    )
    for name, more in FORMS.items():
        for line in row(name, core(given.macs, **more), tech):
            print(line, flush=True)


if __name__ == "__main__":
    main()
