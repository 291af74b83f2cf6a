"""The harness's two files: jobs in, results out; 64-bit little-endian numbers and raw bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from blueprint.axi import StreamPort

#: What the harness reports, in the order of its ``Fault``; ``{}`` is the stream or the register.
FAULTS = (
    "",
    "no beat moved",
    "register {} never showed that the job is done",
    "stream {} dropped tvalid while stalled",
    "stream {} changed tdata while stalled",
    "stream {} changed tlast while stalled",
    "stream {} gave more beats than expected",
    "stream {} showed tvalid in reset",
    "register {} gave no response to a write",
    "register {} responded to a write before taking it",
    "register {} refused a write",
    "register {} dropped its response to a write",
    "register {} gave no response to a read",
    "register {} responded to a read before taking it",
    "register {} refused a read",
    "register {} dropped or changed its response to a read",
)
HUNG = 1
REGISTER_FAULTS = frozenset({2, *range(8, 16)})


@dataclass(frozen=True)
class Request:
    """A job as the harness sees it: addresses for names, and arrays in the order of the ports."""

    reset: bool
    watchdog: int
    writes: Sequence[tuple[int, int]]
    accesses: Sequence[tuple[int, int, int, int]]
    cut: int
    done: tuple[int, int]
    reads: Sequence[int]
    beats: Sequence[int]
    patterns: Sequence[npt.NDArray[np.bool_]]
    data: Sequence[npt.NDArray[np.uint8] | None]


@dataclass(frozen=True)
class Traffic:
    """One stream's part in a job; ``data`` and ``last`` are empty for input streams."""

    accepted: npt.NDArray[np.int64]
    valid: bool
    ready: bool
    data: npt.NDArray[np.uint8]
    last: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Answer:
    """Result of one job, as reported by the harness."""

    fault: int
    where: int
    cycle: int
    wall_s: float
    values: Sequence[int]
    traffic: Sequence[Traffic]


def encode(requests: Sequence[Request]) -> bytes:
    """The job file."""
    return b"".join([words(len(requests)), *(_encode(request) for request in requests)])


def _encode(request: Request) -> bytes:
    writes = [number for write in request.writes for number in write]
    accesses = [number for access in request.accesses for number in access]
    head = [int(request.reset), request.watchdog, len(request.writes), *writes]
    head += [len(request.accesses), *accesses, request.cut, *request.done]
    parts = [words(*head, len(request.reads), *request.reads)]
    for beats, pattern, data in zip(request.beats, request.patterns, request.data, strict=True):
        parts += [words(beats, len(pattern)), np.asarray(pattern, np.uint8).tobytes()]
        parts += [] if data is None else [data.tobytes()]
    return b"".join(parts)


def words(*values: int) -> bytes:
    """Numbers as the harnesses read them: 64 bits each, lowest byte first."""
    return struct.pack(f"<{len(values)}Q", *values)


def decode(content: bytes, ports: Sequence[StreamPort]) -> Iterator[Answer]:
    """Answers to the jobs that ran, one by one."""
    reader = _Reader(content)
    while not reader.at_end():
        fault, where, cycle = (reader.number() for _ in range(3))
        (wall_s,) = struct.unpack("<d", reader.take(8))
        values = [reader.number() for _ in range(reader.number())]
        yield Answer(fault, where, cycle, wall_s, values, [_traffic(reader, port) for port in ports])


def _traffic(reader: _Reader, port: StreamPort) -> Traffic:
    count, valid, ready = (reader.number() for _ in range(3))
    accepted = np.frombuffer(reader.take(8 * count), "<i8").astype(np.int64)
    kept = count if not port.is_input else 0
    data = np.frombuffer(reader.take(kept * port.width), np.uint8).reshape(kept, port.width).copy()
    last = np.frombuffer(reader.take(kept), np.uint8).astype(np.bool_)
    return Traffic(accepted, bool(valid), bool(ready), data, last)


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    def at_end(self) -> bool:
        return self._position == len(self._content)

    def number(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def take(self, count: int) -> bytes:
        part = self._content[self._position : self._position + count]
        self._position += count
        return part
