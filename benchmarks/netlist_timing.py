"""Our static timing against OpenSTA, on the netlists that are counted: same Verilog, cells, wires and constraints.

    python -m benchmarks.netlist_timing [--technology NAME]... [--family NAME]... [--designs N] [--period-share S]
        [--json FILE]

Designs are those that calibration draws, the `N` smallest of every family. Each netlist is written as
`ternforge synth --netlist` writes it and timed by OpenSTA, which must be installed as `sta`. With `--period-share`
netlists are those for a period of this share of the one reached without.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from blueprint import registry
from blueprint.errors import ParamError
from blueprint.spec import Spec
from costmodel.calibration import sampling
from costmodel.groundtruth import opensta, synthesis
from costmodel.groundtruth.recipe import BUFFERED
from costmodel.technology import technology
from generator import export
from toolchain import files

SEED, POOL = 0, 24  # of designs of a family, of which the smallest are taken
WORST = 5


def measure(spec: Spec, name: str, share: float | None = None) -> dict[str, Any]:
    """One netlist: what both say in ps, its gates, area and buffers."""
    with files.scratch() as scratch:
        export.write_hardware(spec, scratch / "design")
        folder = scratch / "design"
        found = synthesis.mapped(folder, name, recipe=BUFFERED)
        if share is not None:
            period = share * found.timing.critical_path_ps
            try:
                found = synthesis.mapped(folder, name, recipe=BUFFERED, period_ps=period)
            except ParamError as problem:
                print(f"{spec.name}: {problem}", file=sys.stderr)
        theirs = opensta.analyze(found, scratch).critical_path_ps
    done = synthesis.summary(found)
    return {
        "technology": name,
        "design": spec.name,
        "gates": sum(done.cells.values()),
        "area_um2": done.area_um2,
        "buffer_share": done.buffer_area_um2 / done.area_um2,
        "wires": done.wires,
        "ours_ps": done.critical_path_ps,
        "opensta_ps": theirs,
        "error": done.critical_path_ps / theirs - 1,
    }


def designs(count: int, families: Sequence[str] | None) -> Iterator[Spec]:
    """Designs of every family, or of those named."""
    for kind in (registry.families()[name] for name in families or registry.families()):
        yield from sorted(sampling.designs(kind, POOL, SEED), key=sampling.gates)[:count]


def page(rows: Iterable[dict[str, Any]]) -> str:
    """The worst rows as a table, and what holds for all."""
    ranked = sorted(rows, key=lambda row: -abs(row["error"]))
    errors = [abs(row["error"]) for row in ranked]
    lines = [
        f"{len(ranked)} netlists in {', '.join(sorted({row['technology'] for row in ranked}))}: mean "
        f"{sum(errors) / len(errors):.2%}, worst {errors[0]:.2%}. The worst {WORST}:",
        "",
        "| technology | design | gates | buffers, of area | ours, ps | OpenSTA, ps | error |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in ranked[:WORST]:
        lines.append(
            f"| {row['technology']} | `{row['design']}` | {row['gates']:,} | {row['buffer_share']:.1%} "
            f"| {row['ours_ps']:,.0f} | {row['opensta_ps']:,.0f} | {row['error']:+.2%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--technology", action="append", choices=technology.names())
    parser.add_argument("--family", action="append", choices=tuple(registry.families()))
    parser.add_argument("--designs", type=int, default=4)
    parser.add_argument("--period-share", type=float)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if opensta.installed() is None:
        sys.exit("OpenSTA must be installed as sta")
    rows = []
    for spec in designs(given.designs, given.family):
        for name in given.technology or technology.names():
            rows.append(measure(spec, name, given.period_share))
            print(f"{len(rows)}: {name} {spec.name} {rows[-1]['error']:+.2%}", file=sys.stderr, flush=True)
            if given.json:
                files.write(given.json, json.dumps(rows, indent=1))
    print(page(rows))


if __name__ == "__main__":
    main()
