"""Write docs/lut_or_array.md: ternary look-up tables against systolic arrays, by activation type and size.

    python -m benchmarks.lut_or_array

The explorer looks at every design of both families' spaces for one product with ternary weights, 6912 long and wide,
as decode (one token) and as prompt (64 tokens). Of each family the page shows the design that needs least area for a
sustained rate: cell area over multiply-accumulates per cycle, everything counted (shell, buffers, edges), at least as
fast as the size asks for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blueprint import registry
from blueprint.document import read_text
from costmodel import technology
from dse.evaluate import TechnologyCosts, design_problem
from dse.problem import Problem
from dse.space_file import space_from

PAGE = Path(__file__).resolve().parent.parent / "docs" / "lut_or_array.md"
LENGTH = 6912
SIZES = (64, 256, 1024, 4096)
TOKENS = {"decode": 1, "prompt": 64}
TECHNOLOGIES = ("asap7", "sky130hd", "ihp_sg13g2")
#: Activation types: name -> (parameters of tables, parameters of arrays).
TYPES: dict[str, tuple[str, str]] = {
    **{f"INT{w}": (f"act_width: {w}", f"pe: [ternary, mac, booth_flex], act_width: {w}") for w in (4, 8, 16)},
    **{
        name.upper().replace("_", " "): (
            f"activation: {name}, act_width: {width}, exact: [false, true]",
            f"pe: float, activation: {name}, act_width: {width}",
        )
        for name, width in (("fp8_e4m3", 8), ("bf16", 16), ("fp16", 16))
    },
}
SPACE = """
schema: ternforge/space/v1
family: [ternary_lut, systolic]
parameters:
  k_max: {length}
  n_max: {length}
  m_max: {tokens}
  ternary_lut:
    {{mu: {{range: [1, 5]}}, lut_count: {{log2: [1, 128]}}, fetch_count: {{log2: [1, 256]}}, token_lanes: [{lanes}],
     table_style: [half, full], reduction: [carry_save, adder_tree], {tables}}}
  systolic:
    {{organization: [weight_stationary, output_stationary, cube, adder_tree, broadcast_matrix],
     rows: [{rows}], cols: {{log2: [1, 256]}}, depth: {{log2: [1, 64]}}, weight_width: {width},
     token_depth: {tokens}, {arrays}}}
workload: {{gemm: {{m: {tokens}, k: {length}, n: {length}}}}}
technology: {technology}
objectives: {{area_um2: min, tokens_per_second: max}}
"""


@dataclass(frozen=True)
class Best:
    """The design of a family that needs least area for its rate."""

    family: str
    text: str
    area_per_rate: float
    area_per_speed: float


def problem(kind: str, tokens: int, name: str) -> Problem:
    """The space of an activation type and a number of tokens in a technology, with its costs."""
    tables, arrays = TYPES[kind]
    lanes, rows = ("1", "1, 4, 16, 64") if tokens == 1 else ("1, 4, 16, 64", "1, 4, 8, 16, 32, 64")
    whole = kind.startswith("INT")
    text = SPACE.format(
        length=LENGTH, tokens=tokens, lanes=lanes, rows=rows, tables=tables, arrays=arrays, technology=name,
        width=2 if whole else 16 if "16" in kind else 8,
    )  # fmt: skip
    space = space_from(read_text(text, "space of the page"))
    return design_problem(space, TechnologyCosts(technology.load(name)), {})


def best(found: Problem, macs: int, least: int) -> dict[str, Best]:
    """By family, the design with least area per sustained multiply-accumulate among those that reach the rate."""
    batch = found.evaluate(np.arange(found.space.size))
    area, cycles, path = (batch.column(name) for name in ("area_um2", "cycles", "critical_path_ps"))
    with np.errstate(invalid="ignore"):
        rate = macs / cycles
        enough = batch.feasible & (rate >= 0.9 * least) & (rate <= 4 * least)
    answer = {}
    for sub, mine, _ in found.space.parts(batch.indices):
        chosen = np.flatnonzero(mine & enough)
        if len(chosen):
            row = chosen[np.argmin(area[chosen] / rate[chosen])]
            _, parameters = found.space.design(int(batch.indices[row]))
            per_rate = area[row] / rate[row]
            answer[sub.family] = Best(sub.family, describe(parameters), per_rate, per_rate * path[row] * 1e-3)
    return answer


def describe(parameters: dict[str, Any]) -> str:
    """The parameters that tell the designs of a table apart."""
    if "mu" in parameters:
        p = parameters
        kind = " exact" if p["exact"] else ""
        return f"mu {p['mu']}, L {p['lut_count']}, F {p['fetch_count']}, T {p['token_lanes']} {p['table_style']}{kind}"
    shape = "x".join(str(parameters[name]) for name in ("rows", "cols", "depth"))
    return f"{parameters['organization']} {parameters['pe']} {shape}"


def table(name: str, phase: str) -> list[str]:
    """One table: a row per activation type and size."""
    lines = [
        "| activation | MACs a cycle | tables um2 per MAC | arrays um2 per MAC | tables smaller by | at own clocks "
        "| best tables | best array |",
        "|---|---:|---:|---:|---:|---:|---|---|",
    ]
    tokens = TOKENS[phase]
    for kind in TYPES:
        spaces = problem(kind, tokens, name)
        for size in SIZES:
            found = best(spaces, tokens * LENGTH * LENGTH, size)
            lines.append(_row(kind, size, found.get("ternary_lut"), found.get("systolic")))
    return lines


def _row(kind: str, size: int, lut: Best | None, array: Best | None) -> str:
    def shown(value: float | None) -> str:
        return "-" if value is None or math.isnan(value) else f"{value:.3g}"

    ratio = clocked = "-"
    if lut and array:
        ratio = f"{array.area_per_rate / lut.area_per_rate:.2f}x"
        clocked = f"{array.area_per_speed / lut.area_per_speed:.2f}x"
    cells = [
        kind,
        str(size),
        shown(lut and lut.area_per_rate),
        shown(array and array.area_per_rate),
        ratio,
        clocked,
    ]
    cells += [lut.text if lut else "none", array.text if array else "none"]
    return "| " + " | ".join(cells) + " |"


def page() -> str:
    """The whole page."""
    parts = [f"# Tables or arrays\n\nWritten by `python -m benchmarks.lut_or_array`.\n\n{HEAD}"]
    for name in TECHNOLOGIES:
        for phase, tokens in TOKENS.items():
            parts.append(
                f"## {name}, {phase} ({tokens} token{'s' * (tokens > 1)})\n\n" + "\n".join(table(name, phase))
            )
    return "\n\n".join(parts) + "\n"


HEAD = """When does a ternary look-up table beat a ternary systolic array, and by how much? The explorer looks at every design
of both families for one product with ternary weights, 6912 long and 6912 wide. The size is the multiply-accumulates per
cycle that a design sustains on it, fill, drain and waiting included; shown is the design of each family that needs
least cell area per sustained multiply-accumulate at (nine tenths to four times) that size. *Smaller by* compares areas
per multiply-accumulate and cycle, *at own clocks* per multiply-accumulate and second, each design at its own predicted
clock. Everything of a design counts: registers of the AXI shell, operand and result buffers, skew registers. Arrays of
floats multiply (an array has no ternary element for floats); select-add in floats is the table with mu 1."""


def main() -> None:
    """Look at all spaces and write the page."""
    assert {"ternary_lut", "systolic"} <= registry.families().keys()
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.name}")


if __name__ == "__main__":
    main()
