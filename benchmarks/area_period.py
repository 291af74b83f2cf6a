"""Area against period of two designs, and what OpenSTA says of each netlist before and after buffers.

    python -m benchmarks.area_period [--technology asap7] [--design core|array]...

The designs are the core of tables with mu 2, 8 tables and 16 columns, and the array of 32 x 32 ternary elements whose
outputs stay. Periods are five shares of the one that the buffered netlist of least area reaches.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.lut_core_area import ACT_WIDTH, K_MAX, Core
from blueprint.errors import ParamError
from blueprint.families.systolic import SystolicSpec
from blueprint.families.ternary_lut import TernaryLutSpec
from costmodel.groundtruth import opensta, synthesis
from costmodel.groundtruth.recipe import BUFFERED, LEAST
from costmodel.technology import technology
from generator import export
from generator.emission import emit
from toolchain import files

SHARES = (1.0, 0.9, 0.85, 0.8, 0.75)


def core(folder: Path) -> dict[str, Any]:
    """Verilog of the core of tables, and its top."""
    spec = TernaryLutSpec(
        mu=2, lut_count=8, fetch_count=16, act_width=ACT_WIDTH, k_max=K_MAX, n_max=16, fetch_register=False
    )
    paths = []
    for name, text in emit(Core(spec)).modules.items():
        paths.append(folder / f"{name}.v")
        paths[-1].write_text(text)
    return {"design": paths, "top": "core"}


def array(folder: Path) -> dict[str, Any]:
    """Folder of the array."""
    spec = SystolicSpec(
        organization="output_stationary", pe="ternary", rows=32, cols=32,
        act_width=8, weight_width=2, k_max=K_MAX, n_max=K_MAX,
    )  # fmt: skip
    export.write_hardware(spec, folder / "array")
    return {"design": folder / "array"}


DESIGNS = {"core": core, "array": array}


def row(found: synthesis.Mapped, label: str, folder: Path) -> str:
    """One netlist as a row of the table."""
    done = synthesis.summary(found)
    theirs = "-"
    if opensta.installed():
        (folder / "sta").mkdir(exist_ok=True)
        theirs = f"{opensta.analyze(found, folder / 'sta').critical_path_ps:,.0f}"
    return (
        f"| {label} | {sum(done.cells.values()):,} | {done.area_um2:,.1f} | {done.buffer_area_um2 / done.area_um2:.1%} "
        f"| {done.critical_path_ps:,.0f} | {theirs} |"
    )


def table(name: str, tech: str, folder: Path) -> None:
    """Measure one design and print it row by row."""
    given = DESIGNS[name](folder)
    print(f"\n{name} in {tech}\n\n| netlist | cells | um2 | buffers | ours, ps | OpenSTA, ps |", flush=True)
    print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    print(
        row(synthesis.mapped(technology=tech, recipe=LEAST, **given), f"recipe {LEAST}", folder), flush=True
    )
    relaxed = synthesis.mapped(technology=tech, recipe=BUFFERED, **given)
    print(row(relaxed, f"recipe {BUFFERED}, {relaxed.wire_text}", folder), flush=True)
    for share in SHARES:
        period = share * relaxed.timing.critical_path_ps
        try:
            found = synthesis.mapped(technology=tech, period_ps=period, **given)
            print(row(found, f"period {period:,.0f}", folder), flush=True)
        except ParamError as problem:
            print(f"| period {period:,.0f}: {str(problem).split(';')[0]} | | | | | |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--technology", default="asap7", choices=technology.names())
    parser.add_argument("--design", action="append", choices=tuple(DESIGNS))
    given = parser.parse_args()
    for name in given.design or DESIGNS:
        with files.scratch() as folder:
            table(name, given.technology, folder)


if __name__ == "__main__":
    main()
