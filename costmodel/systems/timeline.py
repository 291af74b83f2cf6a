"""When the operations of a pass run: one after the other, with external memory fetching ahead into the buffers.

Operation ``i`` starts at ``s_i``, when the one before ends: it needs its result. What it reads comes in one stream in
the order of the operations, at the rate ``r`` of the memory. Of each class of data (weights, cache) at most the bytes
of its buffer may wait, so byte ``p`` of a class with a buffer of ``B`` bytes is requested when byte ``p - B`` has been
used. With ``T(q)`` the time at which byte ``q`` is used (evenly between start and end of its operation), operation
``i``, whose bytes end at ``P_i``, has all of them at ``f_i = max(f_(i-1) + n_i / r, T(p - B) + (P_i - p) / r over its
bytes p)``, and ends at ``max(s_i + c_i, f_i)``: bound by its unit or by memory. The maximum is at a corner of ``T``.
Without a buffer this is the sum of ``max(compute, memory)``; with one of any size it is the larger of both sums.

What is gathered is requested when its operation starts. What a host reads passes by the ports.
This is analytic: the simulator of the whole decoder has the exact cycles.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from blueprint.systems.description import HOST, System
from blueprint.systems.operations import Operation
from costmodel.systems.compiled import Part, Run

#: Seconds in which the place of an operation computes it.
Compute = Callable[[Operation], float]


@dataclass(frozen=True)
class Timed:
    """An operation, its start and end, and the part in which its place computes; the rest it waits for memory."""

    operation: Operation | Part
    start: float
    end: float
    compute: float

    @property
    def wait(self) -> float:
        """Seconds of waiting for external memory."""
        return self.end - self.start - self.compute


@dataclass(frozen=True)
class Timeline:
    """The operations of a pass in time, and the seconds in which the ports of external memory move data.

    Where each mover has a port, these are those of the busiest.
    """

    steps: tuple[Timed, ...]
    port_seconds: float

    @property
    def seconds(self) -> float:
        """Time of the pass."""
        return self.steps[-1].end

    @property
    def port_busy(self) -> float:
        """The share of the time in which the ports move data."""
        return self.port_seconds / self.seconds


def timeline(system: System, operations: Iterable[Operation], clock_mhz: float, compute: Compute) -> Timeline:
    """Run the operations of a pass, the buffers empty in the beginning."""
    rate, latency = system.memory.bytes_per_second(clock_mhz), system.memory.latency_ns * 1e-9
    classes = {"weights": _Class(system.buffers.weights), "cache": _Class(system.buffers.cache)}
    now, fetched, moved = 0.0, latency, 0.0
    steps = []
    for op in operations:
        spent = compute(op)
        end = now + spent
        if op.place != HOST and op.traffic:
            part = classes["cache" if op.cache_read else "weights"]
            if op.gathered:
                fetched = max(fetched, now + latency) + op.fetched / rate
            elif op.fetched:
                fetched = part.fetched(op.fetched, now, spent, fetched, rate)
            end = max(end, fetched) if op.fetched else end
            if op.fetched and not op.gathered:
                part.used(op.fetched, now, end)
            fetched += op.cache_written / rate
            moved += op.traffic / rate
        steps.append(Timed(op, now, end, spent))
        now = end
    return Timeline(tuple(steps), moved)


def of_runs(system: System, runs: Iterable[Run], clock_mhz: float) -> Timeline:
    """The runs of a compiled program in their order; the port of loads is the busiest port."""
    now, moved, steps = 0.0, 0, []
    for run in runs:
        end = now + run.cycles / (clock_mhz * 1e6)
        steps.append(Timed(run.part, now, end, run.compute / (clock_mhz * 1e6)))
        now, moved = end, moved + run.part.loaded
    return Timeline(tuple(steps), moved / system.memory.bytes_per_second(clock_mhz))


class _Class:
    """A class of data with a buffer of its own: where each operation's bytes end, and when those were used."""

    def __init__(self, buffer: int) -> None:
        self.buffer = buffer
        self.ends = [0]
        self.times = [(0.0, 0.0)]

    def used(self, size: int, start: float, end: float) -> None:
        """The next ``size`` bytes are used between two times."""
        self.ends.append(self.ends[-1] + size)
        self.times.append((start, end))

    def fetched(self, size: int, start: float, spent: float, free: float, rate: float) -> float:
        """The time at which the last of the next ``size`` bytes is there, the memory being free from ``free`` on."""
        first, last = self.ends[-1], self.ends[-1] + size
        at = free + size / rate
        for place in self._corners(first, last):
            used = self._time(place - self.buffer, start, spent, size, after=place < last)
            at = max(at, used + (last - place) / rate)
        return at

    def _corners(self, first: int, last: int) -> list[int]:
        """Bytes of an operation at which the time to request them may bend."""
        low = bisect_left(self.ends, first - self.buffer)
        bends = [end + self.buffer for end in self.ends[low:] if end + self.buffer <= last]
        return [first, *bends, last]

    def _time(self, place: int, start: float, spent: float, size: int, after: bool) -> float:
        """The time at which the byte in front of a place is used, or with ``after`` the one behind it."""
        if place < 0 or (place == 0 and not after):
            return 0.0
        index = (bisect_right if after else bisect_left)(self.ends, place)
        if index == len(self.ends):  # a byte of the operation itself
            return start + spent * (place - self.ends[-1]) / size
        begin, end = self.times[index]
        return begin + (end - begin) * (place - self.ends[index - 1]) / (
            self.ends[index] - self.ends[index - 1]
        )
