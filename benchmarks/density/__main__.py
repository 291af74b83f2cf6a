"""How much work these cells do by area, time and energy: writes docs/density.yaml and docs/density.md.

    python -m benchmarks.density [--only PATTERN] [--again] [--predict | --gates | --list | --page]

Every number format of every family is searched for its best designs in three technologies, which takes some minutes;
then those of 256 multiply-accumulates a cycle are synthesized in asap7, and the record gets each as it is done:
designs that are in it are left out. ``--only`` takes the designs whose case or name matches, of those that were found
before if there are any, ``--predict`` searches
and synthesizes nothing, ``--gates`` searches nothing and maps what is in the record with clock gates where it was not,
``--list`` says what is not synthesized yet and writes nothing, ``--page`` writes the page from the record.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.density import goals, measure, page, record
from benchmarks.density.spaces import BY_LABEL
from blueprint import registry
from costmodel.technology import technology


def main(arguments: Sequence[str] | None = None) -> int:
    """Search, synthesize, write; 2 where what is asked for cannot be."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.density", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("--only", metavar="PATTERN")
    parser.add_argument("--again", action="store_true", help="synthesize what is in the record too")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--predict", action="store_true")
    how.add_argument("--gates", action="store_true", help="map with clock gates what is in the record")
    how.add_argument("--list", action="store_true")
    how.add_argument("--page", action="store_true")
    given = parser.parse_args(arguments)
    content = record.kept()
    if fault := _fault(given, content):
        _say(fault)
        return 2
    pattern = "*" if given.only is None else given.only
    if given.gates:
        return _gate(content, pattern)
    if given.list:
        return _synthesize(content, pattern, given.again, listing=True)
    if given.predict or not (given.page or (given.only and content["predicted"])):
        record.predict(content, _say)
        record.write(content)
    refused = 0 if given.page or given.predict else _synthesize(content, pattern, given.again)
    page.write(content)
    return refused


def _fault(given: argparse.Namespace, content: dict[str, Any]) -> str:
    """What is wrong with options that need no search to be told; an empty text for nothing."""
    chosen = "--only" if given.only is not None else "--again" if given.again else ""
    if chosen and (given.page or given.predict):
        return f"{chosen} must stand where designs are synthesized or listed, not beside --predict or --page"
    if (given.page or given.list) and not content["predicted"]:
        return f"{record.RECORD}: record must have predictions, and has none; --predict makes them"
    return ""


def _synthesize(content: dict[str, Any], pattern: str, again: bool, listing: bool = False) -> int:
    """Synthesize what matches the pattern and is not in the record, or say what it is; 2 where nothing matches."""
    tech = technology.load(measure.TECHNOLOGY)
    named = {key: (f"{one['case']}: {', '.join(one['names'])}", one) for key, one in record.queue(content)}
    matching = [key for key, (name, _) in named.items() if fnmatch.fnmatch(name, f"*{pattern}*")]
    if not matching:
        _say(f"--only must fit one of the {len(named)} designs, not {pattern!r}")
        return 2
    for key in matching:
        name, one = named[key]
        if key in content["designs"] and not again:
            continue
        if one["um2"] > measure.LARGEST_UM2:
            _say(f"{name}: too large, {one['um2']:,.0f} um2")
            continue
        _say(f"{key} {name}, {one['um2']:,.0f} um2")
        if not listing:
            content["designs"][key] = measure.measured(one["case"], one["spec"], tech)
            record.write(content)
            page.write(content)
    return 0


def _gate(content: dict[str, Any], pattern: str) -> int:
    """Map with clock gates what matches the pattern and was not; 2 where nothing matches."""
    tech = technology.load(measure.TECHNOLOGY)
    matching = {
        key: one
        for key, one in content["designs"].items()
        if fnmatch.fnmatch(f"{key} {one['case']}", f"*{pattern}*")
    }
    if not matching:
        _say(f"--only must fit one of the {len(content['designs'])} designs of the record, not {pattern!r}")
        return 2
    for key, one in matching.items():
        if not set(goals.GATED) <= set(one):
            _say(f"{key} {one['case']}, {one['least area']['um2']:,.0f} um2")
            spec = registry.get(BY_LABEL[one["case"]].family).from_mapping(one["parameters"])
            one |= measure.gated(spec, tech)
            record.write(content)
            page.write(content)
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
