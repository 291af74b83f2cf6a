"""Runs of small decoders as recorded in `tests/golden/runs.json`: what a trace says, and what the RTL is asked.

    python -m tests.systems.recorded_runs

A batch of prompts of two lengths is continued behind each memory. Recorded are the spans of every instruction and what
is read off them, the events of a trace, the bytes that a bench reads, and the lines that a decoder prints.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks import golden
from blueprint.systems.control import Hardware
from blueprint.systems.memory_port import BEHAVIORS, MemoryPort
from compiler import calibration, image
from compiler.compile import compile_model
from compiler.image import Image
from compiler.prompts import DECODE, PROMPT
from simulator.systems import chrome, decoding, proving, rtl
from simulator.systems.decoding import Decoded
from simulator.systems.machine import Machine, Trace
from tests.systems import recorded as systems
from tests.systems import small

FILE = Path(__file__).resolve().parent.parent / "golden" / "runs.json"
PROMPTS = ([3, 7, 9, 1, 12], [30, 2, 2], [11, 5, 17])
MEMORIES: dict[str, MemoryPort] = {name: replace(one, size=1 << 20) for name, one in BEHAVIORS.items()}
NAMES = ("tables", "dots")
CASES = tuple((name, behavior) for name in NAMES for behavior in MEMORIES)


def hardware(name: str) -> Hardware:
    return replace(small.hardware(name, embedding=16), block=3)


@cache
def picture(name: str) -> Image:
    trained = small.checkpoint(seed=4)
    steps = calibration.measure(trained, [[3, 17, 5]])
    return image.of_compiled(compile_model(hardware(name), trained, steps, len(PROMPTS)))


@cache
def ran(name: str, behavior: str) -> Decoded:
    return decoding.decode(
        hardware(name), picture(name), PROMPTS[0], 2, MEMORIES[behavior], beside=PROMPTS[1:]
    )


def digest(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value, default=str).encode()
    return hashlib.sha256(data).hexdigest()[:12]


def spans(trace: Trace) -> list[Any]:
    return [
        [unit, *([one.place, one.number, one.begin, one.end, trace.value(one)] for one in mine)]
        for unit, mine in trace.spans.items()
    ]


def run(name: str, behavior: str) -> dict[str, Any]:
    """What is read off one run."""
    found, shown, built = ran(name, behavior), picture(name), hardware(name)
    moved = decoding.transfers(found.trace)
    return {
        "tokens": found.sequences,
        "cycles": found.cycles,
        "turns": [[turn.program, turn.position, turn.step] for turn in found.turns],
        "starts": [
            [len(part.turns), part.trace.cycles, [list(word) for word in part.written]]
            for part in found.starts
        ],
        "spans": digest(spans(found.trace)),
        "positions": list(found.trace.positions),
        "memory": digest(found.memory),
        "busy": decoding.busy(found.trace),
        "waits": decoding.waits(found.trace),
        "tasks": {
            unit: [len(done), sum(task.macs for _, task in done)]
            for unit, done in decoding.tasks(built, found.trace).items()
        },
        "utilization": decoding.utilization(built, found.trace),
        "transfers": {unit: [len(mine), sum(size for _, size in mine)] for unit, mine in moved.items()},
        "buffered": dict(decoding.buffered(built, found.trace)),
        "events": digest(
            list(chrome.events(chrome.of_decoded(found, shown), built.queues, 125.0, found.cycles))
        ),
        "requests": {
            unit: [len(mine), digest(mine)] for unit, mine in found.starts[0].trace.requests.items()
        },
    }


def stepped(name: str, behavior: str) -> dict[str, Any]:
    """A pass of a prompt and one of decoding cycle by cycle, with the requests of every mover."""
    from blueprint.systems.runs import Runs

    built, shown = hardware(name), picture(name)
    passes = [PROMPT, DECODE]
    machine = Machine(
        built,
        [shown.programs[one] for one in passes],
        [shown.pages[one] for one in passes],
        [MEMORIES[behavior]] * 3,
        Runs(built),
        position=1,
        steps=[2],
        token=lambda address: address % 7,
        patience=5000,
    )
    trace = machine.run()
    return {
        "cycles": trace.cycles,
        "spans": digest(spans(trace)),
        "requests": {unit: [len(mine), digest(mine)] for unit, mine in trace.requests.items()},
        "positions": list(trace.positions),
        "stuck": trace.stuck,
        "owed": list(trace.owed),
        "seen": machine.seen,
    }


def asked(name: str) -> dict[str, Any]:
    """What the bench of a system is given: registers, memory, and the bytes of its jobs."""
    built, shown = hardware(name), picture(name)
    found = ran(name, "half")
    registers = [proving.registers_of(built, shown, start) for start in found.starts]
    ports = [MEMORIES["half"], MEMORIES["random"], MEMORIES["refresh"]]
    jobs = [
        rtl.Job(registers[0], ports, cut=777),
        rtl.Job({}, reset=False, stop=55, pause=4),
        rtl.Job({"position": 3}, ports[:1] * 3, late=(12, "decode_passes", 9), start=False),
    ]
    return {
        "registers": registers,
        "memory": digest(proving.memory_of(shown, *PROMPTS).tobytes()),
        "jobs": digest(rtl._packed(built, b"image", jobs)),
    }


class Replay:
    """Stands in for the RTL of a system: every start takes the cycles that the simulator gave it.

    ``wrong`` changes what it answers: a function of the lines of a start, which gives other lines.
    """

    def __init__(self, built: Hardware, found: Decoded, wrong: Any = lambda lines: lines) -> None:
        self.built, self.found, self.wrong, self.calls = built, found, wrong, 0

    def __call__(self, program: Path, _: Hardware, left: bytes, jobs: Any, timeout_s: float) -> Any:
        start = self.found.starts[self.calls]
        self.calls += 1
        lines = []
        for unit, mine in start.trace.spans.items():
            for one in mine:
                number = self.built.queues.index(unit)
                lines.append((one.begin, "units", 1 << number, 0))
                # Of loads the first under way ends; all others end one by one.
                ends = (
                    (0, 1 << len(self.built.queues))
                    if unit == "load" and one.text.kind == "start"
                    else (0, 0)
                )
                lines.append((one.end, "units", 0, ends[1] or 1 << number))
        lines.sort(key=lambda line: (line[0], -line[2]))
        lines.append((start.trace.cycles, "interrupt", 0, 0))
        registers = {register.address: register.name for register in self.built.registers}
        status = next(address for address, name in registers.items() if name == "status")
        lines.append((0, "register", status, 2))
        golden = self.found.memory
        memory = golden + left[len(golden) :] if self.calls == len(self.found.starts) else left
        return [rtl._found(self.wrong(lines), registers, self.built.queues)], memory


def proved(name: str, wrong: Any = lambda lines: lines) -> proving.Proof:
    """A proof against a stand-in for the RTL."""
    found, real = ran(name, "half"), rtl.run
    rtl.run = Replay(hardware(name), found, wrong)  # type: ignore[assignment]
    try:
        return proving.prove(
            hardware(name),
            Path("none"),
            picture(name),
            PROMPTS[0],
            found,
            MEMORIES["half"],
            beside=PROMPTS[1:],
        )
    finally:
        rtl.run = real


def around(name: str) -> dict[str, str]:
    """Text of the bench around a top."""
    from toolchain import verilator

    given: list[Any] = []
    real = verilator.executable
    verilator.executable = lambda *words, **_: given.append(words) or Path("bench")  # type: ignore[assignment]
    try:
        rtl.executable(hardware(name), [Path("a.v")], {"clk": 1, "s_axil_awaddr": 8, "wide": 300}, "the__top")
    finally:
        verilator.executable = real
    (_, top, sources) = given[0]
    return {"top": top, "binding": sources["binding.h"], "names": " ".join(sorted(sources))}


def kept() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def files(name: str) -> dict[str, str]:
    """A hash of every file of a system that `tests/golden/systems.json` has no files of."""
    return systems.files(name)


#: Systems whose files are recorded here; emission takes some seconds each.
EMITTED = ("keys", "array")
PARTS: Mapping[str, tuple[Any, tuple[tuple[str, ...], ...]]] = {
    "run": (run, CASES),
    "stepped": (stepped, CASES),
    "asked": (asked, tuple((name,) for name in NAMES)),
    "around": (around, ((NAMES[0],),)),
    "files": (files, tuple((name,) for name in EMITTED)),
}


def recorded() -> dict[str, Any]:
    """Everything, computed now."""
    found: dict[str, Any] = {"recipe": "python -m tests.systems.recorded_runs", "writers": golden.writers()}
    for part, (make, cases) in PARTS.items():
        found[part] = {" ".join(case): make(*case) for case in cases}
    return found


if __name__ == "__main__":
    FILE.write_text(systems.lines(recorded()), encoding="utf-8")
