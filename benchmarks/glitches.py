"""Write docs/glitches.md: the energy of mapped designs by cause, and what registers in the way of glitches save.

Takes about twenty minutes on two idle cores the first time; synthesis results are kept.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from blueprint.families.systolic import SystolicSpec
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.spec import Spec
from blueprint.workloads.data import Data
from costmodel.groundtruth import activity
from costmodel.groundtruth.flatten import flatten
from costmodel.groundtruth.synthesis import netlists
from costmodel.technology import technology
from generator.export import write_hardware
from toolchain import files

TECHNOLOGY = "asap7"
PAGE = Path(__file__).resolve().parent.parent / "docs" / "glitches.md"
_CAUSES = ("useful", "glitches", "clock")


class Case(NamedTuple):
    """One line of a table."""

    text: str
    spec: Spec


class Row(NamedTuple):
    """Measurements of one case."""

    case: Case
    gates: int
    run: activity.Activity

    def energies(self) -> dict[str, float]:
        """Energy of a cycle in pJ by cause, without leakage and memories."""
        parts = [self.run.split(place, 0.0) for place in self.run.energies]
        return {cause: sum(part[cause] for part in parts) for cause in _CAUSES}

    @property
    def fj_per_mac(self) -> float:
        """Energy of a multiply-accumulate in fJ."""
        return 1e3 * sum(self.energies().values()) * self.run.cycles / self.run.task.macs


def lut(**changes: Any) -> Spec:
    """A table core of 8 tables and 8 columns."""
    values: dict[str, Any] = {
        "mu": 2,
        "lut_count": 8,
        "fetch_count": 8,
        "act_width": 8,
        "k_max": 128,
        "n_max": 64,
    }
    return TernaryLutSpec(**(values | changes))


def floats(stages: int) -> Spec:
    """A table core on BF16 whose adders have some registers inside."""
    return lut(
        lut_count=4,
        fetch_count=4,
        activation="bf16",
        act_width=16,
        reduction="adder_tree",
        adder_stages=stages,
    )


def array(**changes: Any) -> Spec:
    """An array on integers of 8 bits."""
    values: dict[str, Any] = {"dot_length": 1, "act_width": 8, "weight_width": 8, "k_max": 64, "n_max": 64}
    return SystolicSpec(**(values | changes))


def kinds() -> Iterator[Case]:
    """Designs of different kinds."""
    yield Case("tables, 8 tables, 8 columns, carry-save", lut())
    yield Case("tables, 8 tables, 8 columns, trees of adders", lut(reduction="adder_tree"))
    array_of = {"rows": 8, "cols": 8}
    for organization in ("weight_stationary", "output_stationary"):
        for pe, width in (("mac", 8), ("ternary", 2)):
            text = f"array 8 x 8, {organization.replace('_', ' ')}, {pe}"
            yield Case(text, array(organization=organization, pe=pe, weight_width=width, **array_of))
    yield Case(
        "tree of 16 products, 4 columns",
        array(organization="adder_tree", pe="mac", rows=1, cols=4, dot_length=16),
    )


def savings() -> Iterator[tuple[str, list[Case]]]:
    """Designs with and without registers in the way of glitches."""
    yield (
        "Registers inside BF16 adders of a table core (4 tables, 4 columns)",
        [Case(f"`adder_stages: {stages}`", floats(stages)) for stages in (0, 1, 2, 4)],
    )
    for text, sizes in (
        (
            "tree of 16 products, 4 columns",
            {"organization": "adder_tree", "rows": 1, "cols": 4, "dot_length": 16},
        ),
        ("array 8 x 8, weights stay", {"organization": "weight_stationary", "rows": 8, "cols": 8}),
    ):
        pair = [
            Case(f"`product_register: {str(flag).lower()}`", array(pe="mac", product_register=flag, **sizes))
            for flag in (False, True)
        ]
        yield f"Registers between products and accumulation ({text})", pair


def measure(case: Case) -> Row:
    """Synthesize and simulate one design on data of a trained model."""
    print(f"{case.text}: {case.spec.name}", file=sys.stderr)
    tech = technology.load(TECHNOLOGY)
    with files.scratch() as folder:
        manifest = write_hardware(case.spec, folder)
        top, found = netlists(folder, tech)
        run = activity.measure(case.spec, folder, manifest, tech, glitches=True, data=Data())
    flat = flatten(top, found)
    return Row(case, sum(len(rows) for kind, rows in flat.cells.items() if kind in tech.cells), run)


def table(rows: list[Row], head: str) -> str:
    """Rows as a table of the page."""
    lines = [
        f"| {head} | cells | useful pJ | glitches pJ | clock pJ | glitches add | error | fJ a MAC |",
        "| --- |" + " ---: |" * 7,
    ]
    for row in rows:
        assert row.run.glitches is not None
        energy = row.energies()
        share = energy["glitches"] / (energy["useful"] + energy["clock"])
        cells = [row.case.text, f"{row.gates:,}", *(f"{energy[cause]:.3g}" for cause in _CAUSES)]
        cells += [f"{share:+.0%}", f"{row.run.glitches.error:.1%}", f"{row.fj_per_mac:.3g}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def speed(rows: list[Row]) -> str:
    """Speed of the simulator."""
    known = [row.run.glitches for row in rows if row.run.glitches is not None]
    events, seconds = sum(found.events for found in known), sum(found.seconds for found in known)
    return f"{events / 1e6:.0f} million toggles in {seconds:.0f} s, {events / seconds / 1e6:.1f} million a second"


def main() -> None:
    """Measure all designs and write the page."""
    rows = [measure(case) for case in kinds()]
    parts = [_HEAD, table(rows, "design")]
    parts.append("## What registers save")
    for title, cases in savings():
        found = [measure(case) for case in cases]
        rows += found
        parts += [f"{title}:", table(found, "design")]
    parts.append(f"Simulated with delays: {speed(rows)}, on a machine that others used as well.")
    PAGE.write_text("\n\n".join(parts) + "\n")


_HEAD = f"""# Glitches

Written by `python -m benchmarks.glitches`; [the cost model](cost_model.md#glitches) says what is measured and how.
Mapped designs in {TECHNOLOGY}, energy of a mean cycle of a busy run without memory macros, leakage, wires and clock
tree. Data as in trained models: 0.42 of the weights are zeros, signs are even, integers are normal. *Glitches add* is
what they add to everything else; *error* is the standard error of the whole energy, since a sample of the cycles is
simulated with delays."""


if __name__ == "__main__":
    main()
