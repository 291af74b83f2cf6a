"""Measure the best ternary-LUT designs and write docs/optimum.json, docs/optimum.md and its pictures.

    python -m benchmarks.optimum [--quick] [--page]

``--quick`` measures the smaller half of the designs in asap7 alone and writes to sim_build/optimum; ``--page`` writes
page and pictures of the document that is there. A stopped run goes on where it was; a first one takes about
half an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings

from amaranth.hdl import UnusedElaboratable

from benchmarks.optimum import measure, page, plots, study


def main() -> None:
    """Measure, then write."""
    warnings.simplefilter(
        "ignore", UnusedElaboratable
    )  # of a block that was measured before only the name is used
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.optimum", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    folder = measure.ROOT / ("sim_build/optimum" if given.quick else "docs")
    folder.mkdir(parents=True, exist_ok=True)
    document = folder / "optimum.json"
    begin = time.monotonic()
    if not given.page:
        document.write_text(json.dumps(study.run(given.quick), indent=1) + "\n")
    found = json.loads(document.read_text())
    (folder / "optimum.md").write_text(page.page(found))
    plots.draw(found, folder)
    print(f"{folder / 'optimum.md'} in {(time.monotonic() - begin) / 60:.1f} min", file=sys.stderr)


if __name__ == "__main__":
    main()
