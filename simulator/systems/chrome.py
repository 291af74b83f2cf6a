"""The instructions of a run as Chrome trace events, which Perfetto opens: a track for each unit, in microseconds."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from blueprint.systems.instructions import UNITS
from compiler.image import Image
from simulator.systems.decoding import Decoded, transfers


def events(decoded: Decoded, picture: Image, clock_mhz: float) -> Iterator[dict[str, Any]]:
    """The events: a slice for every start and for what waits between."""
    moved = transfers(decoded.trace)
    for number, unit in enumerate(UNITS):
        yield {"ph": "M", "pid": 1, "tid": number, "name": "thread_name", "args": {"name": unit}}
        sizes = iter([size for _, size in moved.get(unit, ())])
        for span in decoded.trace.spans[unit]:
            if span.text.kind != "start":
                continue
            purpose, _ = picture.notes[decoded.passes[span.place]][span.number]
            yield {
                "ph": "X",
                "pid": 1,
                "tid": number,
                "name": str(purpose),
                "ts": span.begin / clock_mhz,
                "dur": (span.end - span.begin + 1) / clock_mhz,
                "args": {
                    "pass": span.place,
                    "instruction": span.number,
                    "cycle": span.begin,
                    "bytes": next(sizes, 0),
                },
            }


def write(decoded: Decoded, picture: Image, clock_mhz: float, path: Path) -> None:
    """Write a trace, compressed where the name ends so."""
    found = list(events(decoded, picture, clock_mhz))
    text = json.dumps({"displayTimeUnit": "ns", "traceEvents": found})
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
