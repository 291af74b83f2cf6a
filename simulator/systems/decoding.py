"""A prompt and the tokens behind it on a system: values by the golden model, cycles by the sequencer's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from blueprint.systems.control import Hardware
from blueprint.systems.instructions import MOVED, MOVERS
from blueprint.systems.memory_port import MemoryPort
from blueprint.systems.runs import Runs
from blueprint.workloads.tasks import Task
from compiler.image import Image
from compiler.prompts import DECODE, Turn, turns
from simulator.systems.golden import Golden, Memory
from simulator.systems.machine import Span, Trace
from simulator.systems.timed import Known, Timed

#: Called with passes done and their number.
Told = Callable[[int, int], None]
_WORD = 4


@dataclass(frozen=True)
class Decoded:
    """Results of a system: tokens, cycles, when every instruction ran, and every pass.

    ``memory`` is what the passes left in memory in front of the image, from address 0 on.
    """

    tokens: list[int]
    cycles: int
    trace: Trace
    turns: list[Turn]
    memory: bytes = b""

    @property
    def passes(self) -> list[str]:
        """The program of every pass."""
        return [turn.program for turn in self.turns]


def decode(
    hardware: Hardware,
    image: Image,
    prompt: Sequence[int],
    count: int,
    port: MemoryPort,
    *,
    stop: int | None = None,
    told: Told = lambda done, total: None,
    known: Known | None = None,
) -> Decoded:
    """Run a prompt and up to ``count`` tokens behind it; ends early behind a token ``stop``.

    A prompt goes in blocks where the image has a program for them.
    """
    memory = Memory(image.base, image.data)
    for place, given in enumerate(prompt):
        memory.write(image.tokens + _WORD * place, np.array([[given]], "<u4").view(np.uint8))
    golden, made, done = Golden(hardware, memory), list[int](), list[Turn]()
    todo = turns(len(prompt), count, image.block)
    for turn in todo:
        done.append(turn)
        golden.run(image.programs[turn.program], turn.position)
        told(len(done), len(todo))
        if turn.program == DECODE:
            at = memory.read(image.tokens + _WORD * (turn.position + 1), _WORD)
            made.append(int(at.copy().view("<u4")[0, 0]))
            if made[-1] == stop:
                break

    def token(address: int) -> int:
        return ([*prompt, *made])[(address - image.tokens) // _WORD]

    trace = timed(hardware, image, done, port, token, known)
    return Decoded(made, trace.cycles, trace, done, memory.written[0].tobytes())


def timed(
    hardware: Hardware,
    image: Image,
    passes: Sequence[str | Turn],
    port: MemoryPort,
    token: Callable[[int], int],
    known: Known | None = None,
    position: int = 0,
) -> Trace:
    """The times of every instruction of passes; those given by names of programs run one by one from a position on."""
    turns = [
        Turn(one, position + place, 1) if isinstance(one, str) else one for place, one in enumerate(passes)
    ]
    names = [turn.program for turn in turns]
    programs, pages = [image.programs[name] for name in names], [image.pages[name] for name in names]
    machine = Timed(
        hardware, programs, pages, [port] * 3, Runs(hardware), position=turns[0].position,
        steps=[turn.step for turn in turns], token=token, known=known,
    )  # fmt: skip
    return machine.run()


# What the time went to ------------------------------------------------------------------------------------------------


def busy(trace: Trace) -> dict[str, int]:
    """Cycles in which each unit runs or moves."""
    found = dict.fromkeys(trace.spans, 0)
    for unit, spans in trace.spans.items():
        last = -1
        for span in spans:
            if span.text.kind == "start":
                found[unit] += span.end - max(span.begin, last + 1) + 1
                last = span.end
    return found


def waits(trace: Trace) -> dict[str, dict[str, int]]:
    """Cycles in which a unit has nothing to do, by the unit whose token it waits for; else ``instructions``."""
    given: dict[tuple[str, str], list[int]] = defaultdict(list)
    for unit, spans in trace.spans.items():
        for span in spans:
            for other in span.text.signal:
                given[unit, other].append(span.end)
    used: Counter[tuple[str, str]] = Counter()
    found: dict[str, dict[str, int]] = {}
    for unit, spans in trace.spans.items():
        reasons: Counter[str] = Counter()
        free = 0
        for span in spans:
            last, reason = -1, "instructions"
            for other in span.text.wait:
                at = given[other, unit][used[other, unit]]
                used[other, unit] += 1
                if at > last:
                    last, reason = at, other
            gap = max(0, span.begin - free)
            waited = min(gap, max(0, last + 1 - free))
            reasons[reason] += waited
            reasons["instructions"] += gap - waited
            free = max(free, span.end + 1)
        reasons["instructions"] += max(0, trace.cycles - free)
        found[unit] = {name: cycles for name, cycles in reasons.items() if cycles}
    return found


def tasks(hardware: Hardware, trace: Trace) -> dict[str, list[tuple[Span, Task]]]:
    """Tasks that the runs of every unit computed, with their spans; registers are those that the program had set."""
    runs = Runs(hardware)
    found: dict[str, list[tuple[Span, Task]]] = {}
    for unit in hardware.units:
        registers: dict[int, int] = {}
        found[unit] = []
        for span in trace.spans[unit]:
            if span.text.kind in ("set", "setp"):
                registers[span.text.register] = trace.value(span)
            elif span.text.kind == "start":
                found[unit].append((span, runs.task(unit, registers)))
    return found


def transfers(trace: Trace) -> dict[str, list[tuple[Span, int]]]:
    """Span and bytes of every transfer of a mover, in their order."""
    found: dict[str, list[tuple[Span, int]]] = {unit: [] for unit in MOVERS}
    for unit, span, moved in _moves(trace):
        found[unit].append((span, moved["row_bytes"] * moved["rows"]))
    return found


def buffered(hardware: Hardware, trace: Trace) -> Counter[str]:
    """Bytes that passed each buffer."""
    found: Counter[str] = Counter()
    for unit, _, moved in _moves(trace):
        found[hardware.buffer(unit, moved["place"])] += moved["row_bytes"] * moved["rows"]
    return found


def _moves(trace: Trace) -> Iterator[tuple[str, Span, dict[str, int]]]:
    """Mover, span and registers of every transfer."""
    for unit in MOVERS:
        registers: dict[str, int] = {}
        for span in trace.spans[unit]:
            if span.text.kind == "start":
                yield unit, span, registers
            elif span.text.kind in ("set", "setp"):
                registers[MOVED[span.text.register]] = trace.value(span)


def utilization(hardware: Hardware, trace: Trace) -> dict[str, float]:
    """Share of the peak of every unit."""
    done = tasks(hardware, trace)
    return {
        unit: sum(task.macs for _, task in done[unit]) / (trace.cycles * int(spec.peak_macs))
        for unit, spec in hardware.units.items()
    }
