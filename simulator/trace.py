"""A run as Chrome trace events, which Perfetto and chrome://tracing open.

One track per node: slices of adjacent busy cycles, and on the issue node's track the stalls between them by reason. One
counter per channel: the slots in use. Times are microseconds of the clock given; ``args`` hold cycles.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blueprint.timing import Ints, TimingGraph
from simulator.engine.kernel import Timeline, run
from simulator.stall_patterns import Pattern
from simulator.tokens import idle, occupancy
from toolchain import files

#: Bytes of one event as text, measured on traces of whole layers; compressed files are about a fifteenth.
BYTES_PER_EVENT = 110
#: More than this no viewer opens.
MOST_BYTES = 2_000_000_000

Window = tuple[int, int]
Event = dict[str, Any]


@dataclass(frozen=True)
class Trace:
    """A run with every firing recorded, seen through a window of cycles (first, last + 1)."""

    graph: TimingGraph
    patterns: Mapping[str, Pattern]
    timeline: Timeline
    clock_mhz: float
    window: Window


def trace(
    graph: TimingGraph,
    patterns: Mapping[str, Pattern] | None = None,
    *,
    clock_mhz: float = 1000.0,
    window: Window | None = None,
) -> Trace:
    """Run ``graph`` with every firing recorded. Raises ``ValueError`` for a bad clock or window."""
    if not clock_mhz > 0:
        raise ValueError(f"Clock must be above 0 MHz, not {clock_mhz}")
    if window is not None and not 0 <= window[0] < window[1]:
        raise ValueError(f"Trace window must be a:b with 0 <= a < b, not {window[0]}:{window[1]}")
    timeline = run(graph, patterns or {}, record=[node.name for node in graph.nodes])
    ends = (timeline.fired[n.name][-1] + n.busy(np.array([n.firings - 1])) for n in graph.nodes)
    return Trace(graph, patterns or {}, timeline, clock_mhz, window or (0, max(int(np.max(e)) for e in ends)))


def parse_window(text: str) -> Window:
    """``"a:b"`` as the cycles from ``a`` up to, not including, ``b``. Raises ``ValueError``."""
    found = re.fullmatch("([0-9]{1,18}):([0-9]{1,18})", text)
    if not found or int(found[1]) >= int(found[2]):
        raise ValueError(f"Trace window must be a:b with 0 <= a < b, not {text[:60]!r}")
    return int(found[1]), int(found[2])


def estimated_bytes(view: Trace) -> int:
    """Size of the uncompressed trace, within a third."""
    slices = sum(len(_slices(view, name)[0]) for name in view.timeline.fired) + len(stalls(view))
    return BYTES_PER_EVENT * (slices + sum(len(cycles) for _, cycles, _ in _occupancies(view)))


def write(view: Trace, path: Path) -> int:
    """Write the trace to ``path``, compressed if that ends in ``.gz``; return the bytes written.

    Raises ``ValueError`` for a name that is no trace's, and for a trace that no viewer would open.
    """
    if not path.name.endswith((".json", ".json.gz")):
        raise ValueError(f"Trace file must end in .json or .json.gz, not {path.name!r}")
    if (size := estimated_bytes(view)) > MOST_BYTES:
        raise ValueError(
            f"Trace of about {size // 10**6} MB is too large to open; use a window of fewer cycles"
        )
    text = json.dumps({"displayTimeUnit": "ns", "traceEvents": list(events(view))}, separators=(",", ":"))
    # Without a time stamp, so that the same run gives the same bytes.
    data = gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text.encode()
    files.write(path, data)
    return len(data)


def events(view: Trace) -> Iterator[Event]:
    """Every trace event, tracks first."""
    yield {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": "accelerator"}}
    for track, node in enumerate(view.graph.nodes, start=1):
        yield {"ph": "M", "pid": 1, "tid": track, "name": "thread_name", "args": {"name": node.name}}
        begins, ends = _slices(view, node.name)
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            yield _slice(view, track, "busy", begin, end)
        if node.name == view.graph.issue:
            for reason, begin, end in stalls(view):
                yield _slice(view, track, f"stall: {reason}", begin, end)
    for channel, cycles, levels in _occupancies(view):
        for cycle, level in zip(cycles.tolist(), levels.tolist(), strict=True):
            time = {"ts": cycle / view.clock_mhz, "args": {"used": level}}
            yield {"ph": "C", "pid": 1, "name": f"{channel} (slots)", **time}


def _slice(view: Trace, track: int, name: str, begin: int, end: int) -> Event:
    args = {"cycle": begin, "cycles": end - begin}
    times = {"ts": begin / view.clock_mhz, "dur": (end - begin) / view.clock_mhz}
    return {"ph": "X", "pid": 1, "tid": track, "name": name, **times, "args": args}


def _slices(view: Trace, node: str) -> tuple[Ints, Ints]:
    """First and last-plus-one cycles of the runs of adjacent busy cycles in the window.

    On the track of the issue node a firing is one cycle, and what follows of a long one is a stall.
    """
    first, end = view.window
    cycles = view.timeline.fired[node]
    long = view.graph.issue != node
    ends = cycles + (view.graph.node(node).busy(np.arange(len(cycles))) if long else 1)
    seen = slice(np.searchsorted(ends, first, "right"), np.searchsorted(cycles, end))
    cycles, ends = np.clip(cycles[seen], first, None), np.clip(ends[seen], None, end)
    if not len(cycles):
        return cycles, cycles
    gaps = np.flatnonzero(cycles[1:] > ends[:-1])
    return cycles[np.concatenate(([0], gaps + 1))], ends[np.concatenate((gaps, [len(cycles) - 1]))]


def stalls(view: Trace) -> list[tuple[str, int, int]]:
    """(reason, first cycle, last + 1) of the issue node's idle stretches in the window."""
    first, end = view.window
    reasons, begins, ends = idle(view.graph, view.timeline, view.patterns)
    begins, ends = np.clip(begins, first, end), np.clip(ends, first, end)
    rows = zip(reasons, begins.tolist(), ends.tolist(), strict=True)
    return [row for row in rows if row[1] < row[2]]


def _occupancies(view: Trace) -> Iterator[tuple[str, Ints, Ints]]:
    """Per channel the cycles of the window in which its occupancy changes, and the slots used from there on."""
    first, end = view.window
    for channel in view.graph.channels:
        cycles, used = occupancy(view.graph, view.timeline, channel.name)
        at, stop = (int(i) for i in np.searchsorted(cycles, (first, end)))
        before = int(used[at - 1]) if at else 0
        yield (
            channel.name,
            np.concatenate(([first], cycles[at:stop])),
            np.concatenate(([before], used[at:stop])),
        )
