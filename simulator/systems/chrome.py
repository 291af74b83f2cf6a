"""The instructions of a run as Chrome trace events, which Perfetto opens: a track for each unit, in microseconds."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compiler.image import Image
from compiler.purpose import Purpose
from simulator.engine import dispatch
from simulator.systems.decoding import Decoded, transfers
from simulator.systems.passes import Ran, Table


@dataclass(frozen=True)
class Slice:
    """A run or a transfer: its unit, what it is for, its place in passes and program, first and last cycle, bytes."""

    unit: str
    purpose: Purpose
    place: int
    number: int
    begin: int
    end: int
    bytes: int = 0


def of_decoded(decoded: Decoded, picture: Image) -> Iterator[Slice]:
    """Every start of a run with values, unit by unit; a load from the end of the one before."""
    moved = transfers(decoded.trace)
    for unit in decoded.trace.spans:
        sizes, last = iter([size for _, size in moved.get(unit, ())]), -1
        for span in decoded.trace.spans[unit]:
            if span.text.kind != "start":
                continue
            purpose, _ = picture.notes[decoded.passes[span.place]][span.number]
            since = max(span.begin, last + 1)
            last = span.end
            yield Slice(unit, purpose, span.place, span.number, since, span.end, next(sizes, 0))


def of_pass(program: Table, notes: Sequence[tuple[Purpose, int]], ran: Ran) -> Iterator[Slice]:
    """Every start of a pass without values, in the order of its program."""
    code, sizes = program.code, program.bytes(ran.position)
    starts = np.flatnonzero((code.kinds == dispatch.RUN) | (code.kinds == dispatch.MOVE))
    for number in starts.tolist():
        moved = int(sizes[code.jobs[number]]) if code.kinds[number] == dispatch.MOVE else 0
        begin, end = int(ran.since[number]), int(ran.ends[number])
        yield Slice(program.units[code.units[number]], notes[number][0], 0, number, begin, end, moved)


def events(
    slices: Iterable[Slice], units: Sequence[str], clock_mhz: float, cycles: int = 0
) -> Iterator[dict[str, Any]]:
    """The events of slices of units, a track for each; with ``cycles`` of a pass also one for the whole pass."""
    for number, unit in enumerate([*units, *["pass"] * bool(cycles)]):
        yield {"ph": "M", "pid": 1, "tid": number, "name": "thread_name", "args": {"name": unit}}
    numbers = {unit: number for number, unit in enumerate(units)}
    for one in slices:
        args = {"pass": one.place, "instruction": one.number, "cycle": one.begin, "bytes": one.bytes}
        yield _event(numbers[one.unit], str(one.purpose), one.begin, one.end + 1, clock_mhz, args)
    if cycles:
        yield _event(len(units), "pass", 0, cycles, clock_mhz, {"cycle": 0})


def _event(
    track: int, name: str, begin: int, end: int, clock_mhz: float, args: dict[str, int]
) -> dict[str, Any]:
    return {
        "ph": "X",
        "pid": 1,
        "tid": track,
        "name": name,
        "ts": begin / clock_mhz,
        "dur": (end - begin) / clock_mhz,
        "args": args,
    }


def write(found: Iterable[dict[str, Any]], path: Path) -> None:
    """Write events, compressed where the name ends so."""
    text = json.dumps({"displayTimeUnit": "ns", "traceEvents": list(found)})
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
