"""How much work these cells do by area, time and energy: writes docs/density.yaml and docs/density.md.

    python -m benchmarks.density [--only PATTERN] [--again] [--predict | --list | --page]

Every number format of every family is searched for its best designs in three technologies, which takes some minutes;
then those of 256 multiply-accumulates a cycle are synthesized in asap7, and the record gets each as it is done:
designs that are in it are left out. ``--only`` takes the designs whose case or name matches, ``--predict`` searches
and synthesizes nothing, ``--list`` says what is not synthesized yet, ``--page`` writes the page from the record.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.density import measure, page, record
from costmodel.technology import technology


def main(arguments: Sequence[str] | None = None) -> None:
    """Search, synthesize, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.density", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("--only", metavar="PATTERN", default="*")
    parser.add_argument("--again", action="store_true", help="synthesize what is in the record too")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--predict", action="store_true")
    how.add_argument("--list", action="store_true")
    how.add_argument("--page", action="store_true")
    given = parser.parse_args(arguments)
    content = record.kept()
    if not (given.page or given.list):
        record.predict(content, _say)
        record.write(content)
    if not (given.page or given.predict):
        _synthesize(content, given.only, given.again, given.list)
    page.write(content)


def _synthesize(content: dict[str, Any], pattern: str, again: bool, listing: bool) -> None:
    """Synthesize what matches the pattern and is not in the record, or say what it is."""
    tech = technology.load(measure.TECHNOLOGY)
    for key, one in record.queue(content):
        name = f"{one['case']}: {', '.join(one['names'])}"
        if (key in content["designs"] and not again) or not fnmatch.fnmatch(name, f"*{pattern}*"):
            continue
        if one["um2"] > measure.LARGEST_UM2:
            _say(f"{name}: too large, {one['um2']:,.0f} um2")
            continue
        _say(f"{key} {name}, {one['um2']:,.0f} um2")
        if not listing:
            content["designs"][key] = measure.measured(one["case"], one["spec"], tech)
            record.write(content)
            page.write(content)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
