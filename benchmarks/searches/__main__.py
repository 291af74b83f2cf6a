"""Measure what is missing in docs/searches.json, and write the tables of docs/searches.md.

    python -m benchmarks.searches           # about ten processor minutes; goes on where it was interrupted
    python -m benchmarks.searches --page    # the page alone, from what is stored

It needs Optuna and pymoo.
"""

from __future__ import annotations

import sys

from benchmarks.searches import page, runs


def main() -> None:
    """Measure and write."""
    results = runs.measured()
    if "--page" not in sys.argv[1:]:
        runs.measure_all(results)
    page.PAGE.write_text(page.page(page.PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main()
