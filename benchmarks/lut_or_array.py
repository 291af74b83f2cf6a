"""Write docs/lut_or_array.md: ternary look-up tables against systolic arrays, by activation type and size.

    python -m benchmarks.lut_or_array

The explorer looks at every design of both families' spaces for one product with ternary weights, 6912 long and wide,
as decode (one token) and as prompt (64 tokens). Of each family the page shows the design that needs least area for a
sustained rate: cell area over multiply-accumulates per cycle, everything counted (shell, buffers, edges), at least as
fast as the size asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blueprint import registry
from blueprint.files.document import read_text
from blueprint.workloads.tasks import Gemm
from costmodel.model.evaluate import TechnologyCosts
from costmodel.technology import technology
from dse.families import design_problem
from dse.problem import Problem
from dse.space_file import space_from

PAGE = Path(__file__).resolve().parent.parent / "docs" / "lut_or_array.md"
LENGTH = 6912
SIZES = (64, 256, 1024, 4096)
#: Designs compared at a size sustain this many times its rate.
SLOWEST, FASTEST = 0.9, 4.0
TABLES, ARRAYS = "ternary_lut", "systolic"
TOKENS = {"decode": 1, "prompt": 64}
TECHNOLOGIES = ("asap7", "sky130hd", "ihp_sg13g2")
#: Activation types: name -> (parameters of tables, parameters of arrays).
TYPES: dict[str, tuple[str, str]] = {
    **{
        f"INT{w}": (
            f"act_width: {w}",
            f"pe: [ternary, mac, booth_flex], weight_width: [2, 4, 8], act_width: {w}",
        )
        for w in (4, 8, 16)
    },
    **{
        name.upper().replace("_", " "): (
            f"activation: {name}, act_width: {width}, exact: [false, true]",
            f"pe: [ternary, float], weight_width: [2, {width}], activation: {name}, act_width: {width}",
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
     n_tile: [0, 4, 8, 16, 32, 64], table_style: [half, full], reduction: [carry_save, adder_tree], {tables}}}
  systolic:
    {{organization: [weight_stationary, output_stationary, cube, adder_tree, broadcast_matrix],
     rows: [{rows}], cols: {{log2: [1, 256]}}, dot_length: {{log2: [1, 64]}},
     token_depth: {tokens}, product_register: [false, true], {arrays}}}
workload: {{gemm: {{m: {tokens}, k: {length}, n: {length}}}}}
technology: {technology}
objectives: {{area_um2: min, rows_per_second: max}}
"""


@dataclass(frozen=True)
class Best:
    """A family's designs that need least: area, and area times clock period, for a multiply-accumulate a cycle."""

    text: str
    area: float
    area_time: float
    bits_per_mac: float


Found = dict[str, Best]


def problem(kind: str, tokens: int, name: str) -> Problem:
    """The space of an activation type and a number of tokens in a technology, with its costs."""
    tables, arrays = TYPES[kind]
    lanes, rows = ("1", "1, 4, 16, 64") if tokens == 1 else ("1, 4, 16, 64", "1, 4, 8, 16, 32, 64")
    text = SPACE.format(
        length=LENGTH, tokens=tokens, lanes=lanes, rows=rows, tables=tables, arrays=arrays, technology=name,
    )  # fmt: skip
    space = space_from(read_text(text, "space of the page"))
    return design_problem(space, TechnologyCosts(technology.load(name)), {})


def best(found: Problem, gemm: Gemm, least: int) -> Found:
    """By family, the least area and area times clock period of a multiply-accumulate per cycle at a size."""
    batch = found.evaluate(np.arange(found.space.size))
    area, cycles, path = (batch.column(name) for name in ("area_um2", "cycles", "critical_path_ps"))
    with np.errstate(invalid="ignore"):
        rate = gemm.macs / cycles
        enough = batch.feasible & (rate >= SLOWEST * least) & (rate <= FASTEST * least)
    answer = {}
    for _, mine, _ in found.space.parts(batch.indices):
        chosen = np.flatnonzero(mine & enough)
        if len(chosen):
            needed = area[chosen] / rate[chosen]
            kind, parameters = found.space.design(int(batch.indices[chosen[np.argmin(needed)]]))
            moved = sum(registry.families()[kind](**parameters).dram_bits(gemm).values())
            timed = float(np.min(needed * path[chosen] * 1e-3))
            answer[kind] = Best(describe(parameters), float(np.min(needed)), timed, moved / gemm.macs)
    return answer


def describe(parameters: dict[str, Any]) -> str:
    """The parameters that tell the designs of a table apart."""
    if "mu" in parameters:
        p = parameters
        kind = " exact" if p["exact"] else ""
        tile = f", N {p['n_tile']}" if p["n_tile"] else ""
        sizes = f"mu {p['mu']}, L {p['lut_count']}, F {p['fetch_count']}, T {p['token_lanes']}"
        return f"{sizes} {p['table_style']}{kind}{tile}"
    shape = "x".join(str(parameters[name]) for name in ("rows", "cols", "dot_length"))
    return f"{parameters['organization']} {parameters['pe']} {shape}"


def results(name: str, phase: str) -> dict[tuple[str, int], Found]:
    """Best design of each family, by activation type and size."""
    tokens = TOKENS[phase]
    found = {}
    for kind in TYPES:
        spaces = problem(kind, tokens, name)
        for size in SIZES:
            found[kind, size] = best(spaces, Gemm(tokens, LENGTH, LENGTH), size)
    return found


def table(found: Mapping[tuple[str, int], Found]) -> list[str]:
    """One table: a row per activation type and size."""
    return [
        "| activation | MACs a cycle | tables um2 | arrays um2 | tables smaller by | times clock period "
        "| bits moved per MAC, tables | arrays | tables | array |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|---|",
        *(_row(kind, size, pair) for (kind, size), pair in found.items()),
    ]


def gains(pair: Found) -> tuple[float, float] | None:
    """Ratios of arrays to tables in area, and in area times clock period."""
    if TABLES not in pair or ARRAYS not in pair:
        return None
    lut, array = pair[TABLES], pair[ARRAYS]
    return array.area / lut.area, array.area_time / lut.area_time


def _row(kind: str, size: int, pair: Found) -> str:
    ratios = gains(pair)
    both = [pair.get(TABLES), pair.get(ARRAYS)]
    cells = [
        kind,
        str(size),
        *(f"{one.area:.3g}" if one else "-" for one in both),
        *(f"{ratio:.2f}x" for ratio in ratios or ()),
        *(() if ratios else ("-", "-")),
        *(f"{one.bits_per_mac:.3g}" if one else "-" for one in both),
        *(one.text if one else "none" for one in both),
    ]
    return "| " + " | ".join(cells) + " |"


def verdicts(found: Mapping[tuple[str, int], Found]) -> list[str]:
    """Size from which tables need less, by activation type, in words."""
    lines = []
    for kind in TYPES:
        ratios = {size: gains(found[kind, size]) for size in SIZES}
        cells = [_from({size: pair and pair[way] for size, pair in ratios.items()}) for way in (0, 1)]
        lines.append(f"| {kind} | {cells[0]} | {cells[1]} |")
    return ["| activation | less area | less area times clock period |", "|---|---|---|", *lines]


def _from(gain: Mapping[int, float | None]) -> str:
    wins = [size for size, ratio in gain.items() if ratio and ratio > 1]
    if not wins:
        return "arrays at every size"
    where = "every size" if len(wins) == len(gain) else ", ".join(map(str, wins))
    most = max(wins, key=lambda size: gain[size] or 0.0)
    return f"tables at {where}; {gain[most]:.2f}x at {most}"


def page() -> str:
    """The whole page."""
    parts = [f"# Tables or arrays\n\nWritten by `python -m benchmarks.lut_or_array`.\n\n{HEAD}"]
    for name in TECHNOLOGIES:
        for phase, tokens in TOKENS.items():
            found = results(name, phase)
            recipe = technology.load(name).recipe
            title = f"## {name} ({recipe}), {phase} ({tokens} token{'s' * (tokens > 1)})"
            parts += [title, "\n".join(verdicts(found)), "\n".join(table(found))]
    return "\n\n".join(parts) + "\n"


HEAD = f"""When does a ternary look-up table beat a ternary systolic array, and by how much? The explorer looks
at every design of both families for one product with ternary weights, {LENGTH} long and {LENGTH} wide. The size
is the multiply-accumulates per cycle that a design sustains on it, fill, drain and waiting included; compared
are designs of {SLOWEST:g} to {FASTEST:g} times that size. Of each family the one counts that needs least cell
area per sustained multiply-accumulate a cycle, and, in the column *times clock period*, the one whose area
times its own predicted clock period is least. Everything of a design counts: registers of the AXI shell,
operand and result buffers, skew registers, memories. Tables keep a partial sum of every output, or with output
tiles (n_tile, named N where there are any) of those that they are working on, and take activations again for each;
arrays in which sums stay keep none. Memory bits moved are those of the designs with least area: an array has no
operand cache, so activations come again for every column group and weights, with two bits each, for every token
group; tables take weights at 1.6 to 2 bits. A table with mu 1 is select-add without a table.

Areas and periods are predictions of the cost model, fitted to netlists of the recipe that each heading names
([recipes](synthesis.md)): ratios inside of a technology compare, numbers of two recipes do not."""


def main() -> None:
    """Look at all spaces and write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.name}")


if __name__ == "__main__":
    main()
