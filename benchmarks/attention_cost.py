"""Area, clock and energy of the attention graphs in three technologies: writes docs/attention_cost.md.

    python -m benchmarks.attention_cost

Every design is synthesized and its mapped netlist run on typical operands; the predictions of the cost model stand
beside. Takes about half an hour the first time; synthesis results are kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

from blueprint.families.streaming_attention import StreamingAttentionSpec
from costmodel.calibration import pool, validation
from costmodel.calibration.validation import Comparison
from costmodel.technology import technology
from costmodel.technology.technology import Technology
from generator.export import write_hardware

PAGE = Path(__file__).resolve().parents[1] / "docs" / "attention_cost.md"
DIM, KEYS = 32, 256
TECHNOLOGIES = ("asap7", "sky130hd", "ihp_sg13g2")
#: Designs of the page: what they are -> what differs from a memory-free INT8 design of one query.
DESIGNS: dict[str, dict[str, str | int]] = {
    "naive": {"graph": "naive"},
    "scaled": {"graph": "scaled"},
    "reordered": {"graph": "reordered"},
    "memory_free": {},
    "memory_free, INT4 keys and values": {"kv_width": 4},
    "memory_free, 32 candidates": {"candidates": 32, "queries_max": 1},
    "naive, FP16, fixed-point sums": {"graph": "naive", "format": "fp16", "acc_format": "fixed"},
    "memory_free, FP16, fixed-point sums": {"format": "fp16", "acc_format": "fixed"},
}


def design(changes: dict[str, str | int]) -> StreamingAttentionSpec:
    """One design of the page."""
    return StreamingAttentionSpec(dim=DIM, keys_max=KEYS, row_depth=1, **changes)  # type: ignore[arg-type]


def table(tech: Technology) -> str:
    """All designs in one technology, synthesized and predicted."""
    specs = [design(changes) for changes in DESIGNS.values()]
    samples = pool.measure_all(
        specs, tech, write_hardware, lambda text: print(text, file=sys.stderr, flush=True)
    )
    found = validation.compare(samples, tech)
    lines = [
        "| design | cells um2 | predicted | memories um2 | flip-flops | clock period ps | predicted | pJ per cycle "
        "| predicted | cells um2 per MAC a cycle |",
        "| --- |" + " ---: |" * 9,
    ]
    for name, row, sample in zip(DESIGNS, found.rows, samples, strict=True):
        lines.append(_row(name, row, sample.macro_area_um2))
    return "\n".join(lines)


def _row(name: str, row: Comparison, memories: float) -> str:
    cells = [
        name,
        f"{row.measured_um2:,.0f}",
        f"{row.error:+.1%}",
        f"{memories:,.0f}",
        f"{row.measured_flip_flops:,}",
        f"{row.measured_ps:,.0f}",
        f"{row.delay_error:+.1%}",
        f"{row.measured_pj:.3g}",
        f"{row.energy_error:+.1%}",
        f"{row.measured_um2 / int(row.spec.peak_macs):.3g}",
    ]
    return "| " + " | ".join(cells) + " |"


def page() -> str:
    """The whole page."""
    parts = [HEAD, *(f"## {name}\n\n{table(technology.load(name))}" for name in TECHNOLOGIES)]
    return "\n\n".join(parts) + "\n"


HEAD = f"""# Streaming attention: area, clock and energy

Written by `python -m benchmarks.attention_cost`.

One query at a time, heads of {DIM} elements, rows of up to {KEYS} keys, FIFOs between nodes as deep as full speed
needs (`row_depth: 1`, which costs nothing for rows this long): a key and a value per cycle, {2 * DIM}
multiply-accumulates. Cells, flip-flops and the clock period are those of the synthesized netlist (static timing
without wires), the energy is that of a mean cycle of a run, from toggles counted in it; memories stand apart and
their energy is not counted. *Predicted* is the error of the cost model. Where rows are long, what grows with them
is only in the column of memories: FIFOs of N words in the first three graphs, none of that length in the last."""


def main() -> None:
    """Synthesize what was not yet synthesized and write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.name}")


if __name__ == "__main__":
    main()
