"""Runs the RTL of an exported design: beats through its AXI ports under stall patterns, cycle by cycle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from blueprint import axi
from blueprint.axi import StreamPort
from simulator.rtl import binding, jobs
from simulator.rtl.binding import Engine
from simulator.stall_patterns import OPEN, Pattern
from toolchain import files, process

Bytes = npt.NDArray[np.uint8]


class RtlError(RuntimeError):
    """The design hung or broke a rule of AXI; the message says what, where and when."""


@dataclass(frozen=True)
class Write:
    """A register written while streams move: asked for in ``cycle``, or as soon as the write before it is answered.

    ``strobes`` has a bit for every byte of ``value`` that is written.
    """

    cycle: int
    register: str
    value: int
    strobes: int = axi.ALL_BYTES


@dataclass(frozen=True)
class Job:
    """One start of the design.

    ``stimulus``: bytes ``[beats, width / 8]`` for each input stream; ``tlast`` marks the last beat.
    ``outputs``: beats expected of each output stream. ``patterns``: when a stream may move, ``open[c]`` for cycle
    ``c``, repeated; always where absent. ``registers``: values written before the start. ``reset``: whether the
    reset is pulsed before. ``watchdog``: cycles without any beat, or without an answer from a register, after
    which the job is given up; longer than the longest closed stretch of the patterns. ``writes``: what is written
    meanwhile. ``start``: whether the run is started, or has been by such a write. ``cut``: a cycle before which the
    job is left as it stands and only registers are read; the next one has to reset unless all beats have moved.
    """

    stimulus: Mapping[str, Bytes]
    outputs: Mapping[str, int]
    patterns: Mapping[str, Pattern] = field(default_factory=dict)
    registers: Mapping[str, int] = field(default_factory=dict)
    reset: bool = False
    watchdog: int = 10_000
    writes: Sequence[Write] = ()
    start: bool = True
    cut: int | None = None


@dataclass(frozen=True)
class RtlRun:
    """Results of one job.

    ``accepted``: cycle of each beat of every stream; cycle 0 is the first in which a source may offer.
    ``data`` and ``last``: bytes ``[beats, width / 8]`` and ``tlast`` of the output streams. ``registers``: read
    after the job. ``cycles``: from the first input beat accepted to the last output beat accepted, both
    inclusive. ``wall_s``: seconds spent in the simulation loop.
    """

    accepted: Mapping[str, npt.NDArray[np.int64]]
    data: Mapping[str, Bytes]
    last: Mapping[str, npt.NDArray[np.bool_]]
    registers: Mapping[str, int]
    cycles: int
    wall_s: float


def load(directory: Path, engine: Engine = "cxxrtl", *, optimize: str = "-O1") -> Model:
    """Build the model of an exported design (``manifest.json`` in ``directory``), or take it from the cache.

    Raises :class:`toolchain.process.ToolError` when the design cannot be built, and ``ValueError`` for another
    engine than ``verilator`` and ``cxxrtl``.
    """
    if engine not in ("cxxrtl", "verilator"):
        raise ValueError(f"Engine must be cxxrtl or verilator, not {engine!r}")
    manifest = json.loads((directory / "manifest.json").read_text())
    return Model(manifest, binding.executable(manifest, directory, engine, optimize))


class Model:
    """An executable model of one design; each call runs it from reset in a separate process."""

    def __init__(self, manifest: Mapping[str, Any], executable: Path) -> None:
        self.design: str = manifest["top"]
        self.ports = axi.stream_ports(manifest)
        self.registers: Mapping[str, Mapping[str, Any]] = manifest["registers"]
        self.executable = executable

    def run(
        self,
        stimulus: Mapping[str, Bytes],
        patterns: Mapping[str, Pattern],
        registers: Mapping[str, int],
        outputs: Mapping[str, int],
        *,
        watchdog: int = 10_000,
        timeout_s: float = 600,
    ) -> RtlRun:
        """One job; see :class:`Job` for the arguments and :meth:`run_all` for the errors."""
        return self.run_all(
            [Job(stimulus, outputs, patterns, registers, watchdog=watchdog)], timeout_s=timeout_s
        )[0]

    def run_all(self, todo: Sequence[Job], *, timeout_s: float = 600) -> list[RtlRun]:
        """Jobs one after another on one design: reset before the first, then state carries over.

        Raises :class:`RtlError` when the design misbehaves and :class:`toolchain.process.ToolError` when the
        model crashes or exceeds ``timeout_s``.
        """
        requests = [self._request(job, first=index == 0) for index, job in enumerate(todo)]
        with files.scratch("ternforge-rtl-") as scratch:
            asked, answered = scratch / "jobs", scratch / "results"
            asked.write_bytes(jobs.encode(requests))
            process.run(
                [self.executable, asked, answered], tool=f"The RTL of {self.design}", timeout_s=timeout_s
            )
            answers = list(jobs.decode(answered.read_bytes(), self.ports))
        return [self._result(job, answer) for job, answer in zip(todo, answers, strict=False)]

    def _request(self, job: Job, *, first: bool) -> jobs.Request:
        self._check(job)
        writes = [(self._address(name), value) for name, value in axi.writes(job.registers, start=job.start)]
        data = [
            np.ascontiguousarray(job.stimulus[port.name]) if port.is_input else None for port in self.ports
        ]
        return jobs.Request(
            reset=first or job.reset,
            watchdog=job.watchdog,
            writes=writes,
            accesses=[(w.cycle, self._address(w.register), w.value, w.strobes) for w in job.writes],
            cut=job.cut or 0,
            done=self._done(),
            reads=[register["address"] for register in self.registers.values()],
            beats=[self._beats(job, port) for port in self.ports],
            patterns=[job.patterns.get(port.name, OPEN) for port in self.ports],
            data=data,
        )

    def _beats(self, job: Job, port: StreamPort) -> int:
        return len(job.stimulus[port.name]) if port.is_input else job.outputs[port.name]

    def _check(self, job: Job) -> None:
        inputs = {port.name: port for port in self.ports if port.is_input}
        outputs = [port.name for port in self.ports if not port.is_input]
        if job.cut is not None and job.cut < 1:
            raise ValueError(f"Cut must be at least 1, not {job.cut}")
        _same_names("Stimulus", job.stimulus, inputs)
        _same_names("Outputs", job.outputs, outputs)
        if extra := [name for name in job.patterns if name not in {*inputs, *outputs}]:
            raise ValueError(
                f"Stall patterns must be of the streams {', '.join([*inputs, *outputs])}, not {extra[0]!r}"
            )
        for name, port in inputs.items():
            data = job.stimulus[name]
            if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != port.width:
                wanted = f"uint8 [beats, {port.width}]"
                raise ValueError(f"Stimulus of {name} must be {wanted}, not {data.dtype} {list(data.shape)}")

    def _address(self, name: str) -> int:
        if name not in self.registers:
            raise ValueError(f"Register must be one of {', '.join(self.registers)}, not {name!r}")
        return int(self.registers[name]["address"])

    def _done(self) -> tuple[int, int]:
        """Address and mask of the bit that says a job is over; no mask where the design has none."""
        status = self.registers.get("status", {})
        mask = axi.status_bit(status.get("fields", {}), "done")
        return (status["address"], mask) if mask else (0, 0)

    def _result(self, job: Job, answer: jobs.Answer) -> RtlRun:
        if answer.fault:
            self._fail(job, answer)
        traffic = dict(zip(self.ports, answer.traffic, strict=True))
        sinks = {port.name: moved for port, moved in traffic.items() if not port.is_input}
        return RtlRun(
            accepted={port.name: moved.accepted for port, moved in traffic.items()},
            data={name: moved.data for name, moved in sinks.items()},
            last={name: moved.last for name, moved in sinks.items()},
            registers=dict(zip(self.registers, answer.values, strict=True)),
            cycles=_cycles(traffic),
            wall_s=answer.wall_s,
        )

    def _fail(self, job: Job, answer: jobs.Answer) -> NoReturn:
        reason = f"The RTL of {self.design} failed: {self._reason(answer)}"
        if answer.fault != jobs.HUNG:
            raise RtlError(reason)
        waiting = [
            text
            for port, moved in zip(self.ports, answer.traffic, strict=True)
            if (text := _waits(port, moved, self._beats(job, port)))
        ]
        raise RtlError(f"{reason} for {job.watchdog} cycles; {', '.join(waiting)}")

    def _reason(self, answer: jobs.Answer) -> str:
        if answer.fault == jobs.HUNG:
            return jobs.FAULTS[answer.fault]
        if answer.fault in jobs.REGISTER_FAULTS:
            names = {register["address"]: name for name, register in self.registers.items()}
            return jobs.FAULTS[answer.fault].format(names[answer.where])
        sinks = [port.name for port in self.ports if not port.is_input]
        return f"{jobs.FAULTS[answer.fault].format(sinks[answer.where])} in cycle {answer.cycle}"


def _same_names(what: str, given: Mapping[str, object], wanted: Mapping[str, object] | Sequence[str]) -> None:
    if set(given) != set(wanted):
        raise ValueError(
            f"{what} must be for the streams {', '.join(wanted)}, not {', '.join(given) or 'none'}"
        )


def _waits(port: StreamPort, moved: jobs.Traffic, beats: int) -> str:
    """Reason why a stream is blocked, "" if it is done."""
    count = len(moved.accepted)
    if count == beats:
        return ""
    if port.is_input:
        missing = "tready" if moved.valid else "its stall pattern"
    else:
        missing = "tvalid" if moved.ready else "its stall pattern"
    return f"{port.name} waits for {missing} at beat {count} of {beats}"


def _cycles(traffic: Mapping[StreamPort, jobs.Traffic]) -> int:
    starts = [moved.accepted[0] for port, moved in traffic.items() if port.is_input and len(moved.accepted)]
    ends = [
        moved.accepted[-1] for port, moved in traffic.items() if not port.is_input and len(moved.accepted)
    ]
    return int(max(ends) - min(starts)) + 1 if starts and ends else 0
