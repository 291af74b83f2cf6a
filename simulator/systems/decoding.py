"""A prompt and the tokens behind it on a system: values by the golden model, cycles by the sequencer's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

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
#: Bytes of tokens of one sequence where an image has no other.
_ALL = 1 << 62


@dataclass(frozen=True)
class Start:
    """Passes that the host starts at once, when every instruction ran, and the words that it wrote before them.

    ``written`` are addresses and tokens: those of prompts, in place of what the pass before chose there.
    """

    turns: list[Turn]
    trace: Trace
    written: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True)
class Decoded:
    """Results of a system: tokens, cycles, when every instruction ran, and every pass.

    ``memory`` is what the passes left in memory in front of the image, from address 0 on. Of a batch ``tokens`` are
    those of the first sequence, ``beside`` those of the others. Where the host starts the system several times,
    ``parts`` are these starts one by one, and ``trace`` has them one behind the other.
    """

    tokens: list[int]
    cycles: int
    trace: Trace
    turns: list[Turn]
    memory: bytes = b""
    beside: Sequence[list[int]] = ()
    parts: Sequence[Start] = ()

    @property
    def starts(self) -> Sequence[Start]:
        """The starts of the system."""
        return self.parts or [Start(self.turns, self.trace)]

    @property
    def sequences(self) -> list[list[int]]:
        """The tokens of every sequence."""
        return [self.tokens, *self.beside]

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
    beside: Sequence[Sequence[int]] = (),
    stop: int | None = None,
    told: Told = lambda done, total: None,
    known: Known | None = None,
) -> Decoded:
    """Run a prompt and up to ``count`` tokens behind it; ends early behind a token ``stop``.

    A prompt goes in blocks where the image has a program for them.

    An image of a batch takes the prompts of its other sequences too, ``beside``, and ``count`` is behind the longest.
    Sequences are at one position. Behind the shortest prompt every pass chooses a token of each; the host puts those of
    longer prompts in place of what was chosen there, and starts the next pass. Ends early once every sequence had a
    token ``stop``; those that had one before go on beside the others. Raises ``ValueError`` for more or fewer prompts.
    """
    prompts = [prompt, *beside]
    if len(prompts) != image.batch or not all(map(len, prompts)):
        raise ValueError(f"Prompts must be {image.batch} with tokens, not of {list(map(len, prompts))}")
    lengths = [len(prompt) for prompt in prompts]
    memory = Memory(image.base, image.data)
    for sequence, prompt in enumerate(prompts):
        memory.write(image.tokens_of(sequence), np.asarray(prompt, "<u4").view(np.uint8)[None])
    golden, done = Golden(hardware, memory), list[Turn]()
    made: list[list[int]] = [[] for _ in prompts]
    written: dict[int, list[tuple[int, int]]] = {0: []}
    todo = turns(min(lengths), max(lengths) - min(lengths) + count, image.block)
    for turn in todo:
        done.append(turn)
        golden.run(image.programs[turn.program], turn.position)
        told(len(done), len(todo))
        if turn.program == DECODE:
            place, words = turn.position + 1, list[tuple[int, int]]()
            for sequence, (prompt, mine) in enumerate(zip(prompts, made, strict=True)):
                at = image.tokens_of(sequence) + _WORD * place
                if place < len(prompt):
                    words.append((at, prompt[place]))
                    memory.write(at, np.array([[prompt[place]]], "<u4").view(np.uint8))
                else:
                    mine.append(int(memory.read(at, _WORD).copy().view("<u4")[0, 0]))
            if words:
                written[len(done)] = words
            if all(stop in mine for mine in made):
                break
    parts, token = [], texts(image, prompts, made)
    for first, last in pairwise([*written, len(done)]):
        trace = timed(hardware, image, done[first:last], port, token, known)
        parts.append(Start(done[first:last], trace, written[first]))
    trace = parts[0].trace if len(parts) == 1 else behind(part.trace for part in parts)
    several = parts if len(parts) > 1 else ()
    return Decoded(made[0], trace.cycles, trace, done, memory.written[0].tobytes(), made[1:], several)


def behind(traces: Iterable[Trace]) -> Trace:
    """Traces one behind the other as one; requests of movers are left out."""
    found = Trace(cycles=0)
    positions: list[int] = []
    for one in traces:
        for unit, spans in one.spans.items():
            found.spans.setdefault(unit, []).extend(
                replace(
                    span,
                    place=span.place + len(positions),
                    begin=span.begin + found.cycles,
                    end=span.end + found.cycles,
                )
                for span in spans
            )
        positions += one.positions
        found.window = one.window
        found.cycles += one.cycles
    found.positions = positions
    return found


def texts(
    image: Image, prompts: Sequence[Sequence[int]], made: Sequence[Sequence[int]]
) -> Callable[[int], int]:
    """The token at an address of memory, of sequences with prompts and tokens that were made behind them."""
    known = [[*prompt, *mine] for prompt, mine in zip(prompts, made, strict=True)]

    def token(address: int) -> int:
        sequence, at = divmod(address - image.tokens, image.stride or _ALL)
        return known[sequence][at // _WORD]

    return token


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
