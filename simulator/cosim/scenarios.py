"""Directed tests of the bench: registers, refusals, framing, resets, stalls, limits."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from blueprint import axi
from blueprint.axi import ALL_BYTES, WORD
from blueprint.spec import Spec
from blueprint.workloads.tasks import Gemm, Task
from simulator import stall_patterns as profiles
from simulator.cosim import plan
from simulator.cosim.plan import How, Job, Scenario, Step
from simulator.cosim.shell import Shell

#: Cycles in which a design that does not run is watched.
WATCH = 24
#: Number of resets in the middle of a run, each in another cycle.
RESETS = 10
#: Cycles for which one stream is held up, so that 17 bits of every counter move.
LONG = (1 << 17) - 64
#: Cycles for which sources are closed, and sinks behind the end of a run, so that counters of stalls move.
WAITING = 32
#: Most cycles of a run at the largest sizes; a longer run is left out.
MOST_CYCLES = 3_000
#: Most rows that raise a flag each in a run of its own, and random runs from whose operands these rows are.
ROWS, RAISING = 4, 3
#: Random tasks that are drawn, how many of the smallest are kept, and combinations of sizes that are tried.
DRAWS, SMALL, COMBINATIONS = 24, 4, 400


def scenarios(spec: Spec, seed: int, counters: Sequence[str] = ()) -> list[Scenario]:
    """Every fixed check of a design; ``seed`` draws values and what else is free, ``counters`` can be preset."""
    drawn = small_jobs(spec, seed)
    work, shell = drawn[:SMALL], Shell(spec)
    return [
        read_back(shell, seed),
        accesses(shell, seed),
        refused_sizes(shell, work[0], seed),
        more_values(shell, drawn),
        wrong_framing(shell, work),
        resets(shell, work),
        eager_sinks(shell, work),
        long_stalls(shell, drawn),
        *([preset_counters(shell, drawn, counters, seed)] if counters else []),
        largest_sizes(shell, [job.task for job in drawn], seed),
    ]


def small_jobs(spec: Spec, seed: int) -> list[Job]:
    """Random runs, at least :data:`SMALL`, short ones with several beats on every stream first."""
    random = np.random.default_rng([seed, 7])
    tasks = [spec.sample_workload(random) for _ in range(DRAWS)]
    found = [plan.job(spec, task, seed + i) for i, task in enumerate(tasks)]
    several = [min(len(beats) for beats in work.stimulus.values()) for work in found]
    order = sorted(
        range(len(found)),
        key=lambda i: (several[i] < 3, found[i].clocks.cycles < 24, found[i].clocks.cycles),
    )
    return [found[i] for i in (order * SMALL)[: max(SMALL, len(order))]]


def begin(shell: Shell, work: Job, *, reset: bool = False) -> list[Step]:
    """Write the sizes of a run and start it; the status must show ``busy`` and clear the flags of the last run."""
    steps = [plan.reset()] if reset else []
    if reset:
        shell.clear()
    steps += [plan.write(shell, name, value) for name, value in axi.writes(work.registers)]
    return [*steps, runs(shell)]


def started(shell: Shell) -> list[Step]:
    """Start with the sizes that are written."""
    return [plan.start(shell), runs(shell)]


def runs(shell: Shell) -> Step:
    """The status after a start."""
    return plan.read(shell, "status", shell.bit("busy"), "after a start")


def whole(shell: Shell, work: Job, how: How | None = None, flags: Sequence[str] = ()) -> list[Step]:
    """A complete run."""
    timed = how is None or not how.waits
    return [*begin(shell, work), plan.run(work, how), *plan.ended(shell, work, flags, timed=timed)]


def after_reset(shell: Shell) -> list[Step]:
    """All registers have their reset values, and no stream transfers a beat."""
    shell.clear()
    steps = [plan.read(shell, n, r.reset, "after a reset") for n, r in shell.registers.items()]
    return [*steps, plan.idle(shell.spec, WATCH, "before a start")]


def bit_patterns(width: int, most: int, random: np.random.Generator) -> list[int]:
    """Numbers that tell the bits of a register apart: walking ones and zeros, its limits, what is too large."""
    walking = [1 << bit for bit in range(32)]
    inside = [((1 << width) - 1) ^ (1 << bit) for bit in range(width)]
    limits = [0, 1, most, most + 1, (1 << width) - 1, 1 << width, WORD, 0]
    fitting = [value for value in limits if value <= WORD]
    return [*walking, *inside, *fitting, *(int(v) for v in random.integers(0, most + 1, 4))]


def read_back(shell: Shell, seed: int) -> Scenario:
    random = np.random.default_rng([seed, 1])
    steps = [plan.reset(), *after_reset(shell)]
    for name in shell.held:
        for value in bit_patterns(shell.width(name), shell.most[name], random):
            steps += [
                plan.write(shell, name, value),
                *plan.read_sizes(shell, f"after {value:#x} was written to {name}"),
            ]
    for name, register in shell.registers.items():
        if name not in shell.held and name != "control":
            steps += [plan.write_refused(register.address, WORD, f"write to {name}")]
            steps += [
                plan.read(shell, other, r.reset, f"after a write to {name}") for other, r in fixed(shell)
            ]
    for value, strobe in ((0, ALL_BYTES), (WORD - 1, ALL_BYTES), (WORD, 14), (WORD, 0)):
        when = f"after {value:#x} was written to control with strobe {strobe:#x}"
        steps += [plan.start(shell, value, strobe), plan.read(shell, "status", 0, when)]
    steps += plan.read_sizes(shell, "after other registers were written")
    return Scenario(
        "registers", "reset values, read-back of every bit, numbers too large, read-only registers", steps
    )


def fixed(shell: Shell) -> list[tuple[str, Any]]:
    return [(name, register) for name, register in shell.registers.items() if name not in shell.held]


def accesses(shell: Shell, seed: int) -> Scenario:
    """Halves of a write in any order and distance, responses taken late, byte strobes, addresses without a register."""
    random = np.random.default_rng([seed, 2])
    steps, names = [plan.reset()], list(shell.held)
    shell.clear()
    for order in (("aw", "w"), ("w", "aw")):
        for delay, wait in ((0, 0), (1, 3), (3, 1)):
            for name in names:
                value = int(random.integers(0, shell.most[name] + 1))
                steps += [plan.write(shell, name, value, order=list(order), delay=delay, wait=wait)]
                steps += [plan.read(shell, name, shell.reads(name), "after a write", wait=wait)]
    for strobe in range(16):
        for name in names:
            steps += [plan.write(shell, name, int(random.integers(0, shell.most[name] + 1)))]
            value = (
                int(random.integers(0, 1 << 32))
                if strobe % 3
                else int(random.integers(0, shell.most[name] + 1))
            )
            steps += [plan.write(shell, name, value, strobe)]
            steps += plan.read_sizes(shell, f"after {value:#x} was written to {name} with strobe {strobe:#x}")
    one, other = names[0], names[-1]
    steps += [
        plan.together(
            [plan.read(shell, one, shell.reads(one), "beside a write"), plan.write(shell, other, 1)]
        )
    ]
    for address in shell.unmapped():
        steps += [plan.write_refused(address, WORD, f"write to {address:#04x}, which is no register")]
        steps += [plan.read_refused(address, f"read of {address:#04x}, which is no register")]
        steps += plan.read_sizes(shell, f"after a write to {address:#04x}")
    steps += [plan.read(shell, "status", 0, "before any start")]
    return Scenario(
        "accesses", "order and distance of AXI4-Lite handshakes, byte strobes, unmapped addresses", steps
    )


def bad_sizes(shell: Shell, legal: Mapping[str, int], seed: int) -> Iterator[dict[str, int]]:
    """Sizes that cannot run: one of them 0 or too large, and combinations within their ranges."""
    for name, most in shell.most.items():
        width = shell.width(name)
        for value in (0, most + 1, WORD, 1 << width, (1 << 31) | legal[name], (1 << width) | legal[name]):
            if value <= WORD and not 1 <= value <= most:
                yield {**legal, name: value}
    random, few = np.random.default_rng([seed, 3]), 0
    for _ in range(COMBINATIONS):
        drawn = {name: int(random.integers(1, most + 1)) for name, most in shell.most.items()}
        if few < 8 and not shell.legal(drawn):
            few += 1
            yield drawn


def refused_sizes(shell: Shell, work: Job, seed: int) -> Scenario:
    steps = [plan.reset()]
    shell.clear()
    error = shell.bit("size_error")
    for sizes in bad_sizes(shell, work.registers, seed):
        said = ", ".join(f"{name} {value}" for name, value in sizes.items())
        steps += [plan.write(shell, name, value) for name, value in sizes.items()]
        steps += [plan.start(shell), plan.read(shell, "status", error, f"after a start with {said}")]
        steps += [plan.idle(shell.spec, WATCH, f"after a start with {said}, which must be refused")]
    steps += whole(shell, work)
    for name, most in shell.most.items():
        sizes = {**work.registers, name: most}
        if shell.legal(sizes):
            steps += [plan.reset(), *(plan.write(shell, other, value) for other, value in sizes.items())]
            steps += started(shell)
    steps += [plan.reset(), *after_reset(shell)]
    return Scenario(
        "refusals", "sizes of 0, too large, or that do not go together start nothing; the largest do", steps
    )


def wrong_framing(shell: Shell, work: Sequence[Job]) -> Scenario:
    steps = [plan.reset()]
    shell.clear()
    for stream, beats in work[0].stimulus.items():
        last = len(beats) - 1
        marks = [[], *([[*range(last)], [0, last], [last - 1, last]] if last > 0 else [])]
        for lasts in marks:
            steps += whole(shell, work[0], How(lasts={stream: lasts}), ("framing_error",))
        steps += whole(shell, work[1])
    return Scenario(
        "framing", "a tlast missing or too early on any input is told, and the next run forgets it", steps
    )


def resets(shell: Shell, work: Sequence[Job]) -> Scenario:
    steps: list[Step] = []
    for place in range(RESETS):
        broken, next_ = work[place % len(work)], work[(place + 1) % len(work)]
        stopped = 1 + broken.clocks.cycles * place // RESETS
        steps += [plan.reset(), *begin(shell, broken), plan.run(broken, How(limit=stopped))]
        steps += [
            plan.reset(axi.RESET_CYCLES if place % 4 == 3 else 1),
            *after_reset(shell),
            *whole(shell, next_),
        ]
    return Scenario(
        "resets", "a reset in the middle of a run clears everything, and the next run is right", steps
    )


def more_values(shell: Shell, work: Sequence[Job]) -> Scenario:
    """More operands, for what only few numbers show."""
    steps = [plan.reset()]
    shell.clear()
    for job in work:
        if job.clocks.cycles <= MOST_CYCLES:
            steps += whole(shell, job, How(linger=1))
    for job in raising(work):
        steps += whole(shell, job)
    what = "and with flags that one row raises for one reason"
    return Scenario("values", f"more random runs, back to back and unstalled, {what}", steps)


def raising(work: Sequence[Job]) -> Iterator[Job]:
    """Runs whose first operand is zero but for one row, and that raise a flag, each with other operands of zeros."""
    for job in work[:RAISING] if work[0].flags else ():
        first, *_ = job.operands
        operand = job.operands[first]
        for row in range(min(ROWS, operand.size // operand.shape[-1])):
            for operands in _quieter(job, row):
                if any(job.spec.flags(operands).values()):
                    yield plan.job(job.spec, job.task, 0, operands=operands)


def _quieter(work: Job, row: int) -> Iterator[dict[str, Any]]:
    """Operands with one row of the first: another one is zero, and perhaps a column of a third."""
    first, *names = work.operands
    operand = np.zeros_like(work.operands[first])
    place = (*np.unravel_index(row, operand.shape[:-1]), slice(None))
    operand[place] = work.operands[first][place]
    others = [name for name in names if work.operands[name].ndim > 1]
    columns = [
        (name, i)
        for name in others
        if work.operands[name].ndim == 2
        for i in range(work.operands[name].shape[1])
    ]
    for quiet in others:
        found = {**work.operands, first: operand, quiet: np.zeros_like(work.operands[quiet])}
        yield found
        for name, column in columns:
            less = found[name].copy()
            less[:, column] = 0
            yield {**found, name: less}


def eager_sinks(shell: Shell, work: Sequence[Job]) -> Scenario:
    """Sinks that are ready only for what they see: a valid that waits for ready never comes."""
    steps = [plan.reset()]
    shell.clear()
    for job in work[:2]:
        steps += whole(shell, job, How(waits=True))
    return Scenario("handshakes", "tvalid does not wait for tready", steps)


def long_stalls(shell: Shell, drawn: Sequence[Job]) -> Scenario:
    """Each stream held up in turn for so long that 17 bits of its counter move, and in a run that fills what it can."""
    steps = [plan.reset()]
    shell.clear()
    for stream in shell.spec.streams():
        jobs = [held_up(drawn[0], stream.name, begin, LONG) for begin in (0, 1)]
        longest = max(jobs, key=lambda job: (sum(job.clocks.stalls.values()), job.clocks.cycles))
        largest = max(drawn, key=lambda job: (job.clocks.cycles <= MOST_CYCLES, _beats(job, stream.name)))
        moved = largest.clocks.accepted[stream.name]
        steps += whole(shell, longest)
        for begin in (0, int(moved[len(moved) // 2]) if len(moved) else 1):
            steps += whole(shell, held_up(largest, stream.name, begin, largest.clocks.cycles))
    what = "and runs of many beats in which a stream waits until all others do"
    return Scenario("long stalls", f"counters of stalls of more than 100,000 cycles, {what}", steps)


def _beats(work: Job, stream: str) -> int:
    """Beats of a stream in a run."""
    return work.outputs.get(stream, 0) or len(work.stimulus.get(stream, ()))


def preset_counters(shell: Shell, drawn: Sequence[Job], counters: Sequence[str], seed: int) -> Scenario:
    """Runs in whose middle counters are set to numbers that have every bit, or to nearly the largest."""
    steps = [plan.reset()]
    shell.clear()
    random = np.random.default_rng([seed, 5])
    some = [int(value) for value in random.integers(0, WORD - (1 << 20), len(counters))]
    patterns = [some, [value ^ WORD for value in some], [WORD - 2] * len(counters), [WORD] * len(counters)]
    # The next count carries into the second, third and fourth byte.
    patterns += [[value >> 1 | (1 << low) - 1 for value in some] for low in (8, 16, 24)]
    for slow, middle in counting(shell.spec, drawn, seed):
        for values in patterns:
            put, reads = plan.preset(shell, slow, dict(zip(counters, values, strict=True)))
            steps += [*begin(shell, slow), plan.run(slow, How(meanwhile=[(middle, put)])), *reads]
    steps += whole(shell, drawn[0])
    return Scenario(
        "counters", "all 32 bits of every counter, and that it stops at the largest number", steps
    )


def counting(spec: Spec, drawn: Sequence[Job], seed: int) -> Iterator[tuple[Job, int]]:
    """Runs and a cycle of each, behind which every counter of stalls moves in one of them, if it does in any.

    The first run has random patterns to its end, each of the others streams that are closed from its cycle on.
    """
    opened = profiles.profile("random_50", spec.streams(), seed)
    left = set(drawn[0].clocks.stalls)
    for work in drawn:
        slow = plan.rerun(work, opened)
        middle = slow.clocks.cycles // 3
        free = plan.rerun(work, _from(slow, middle, open_=True)).clocks.stalls
        before = {reason: min(cycles, middle) for reason, cycles in free.items()}  # at most, up to the cycle
        closed = plan.rerun(work, _from(slow, middle, open_=False))
        for job in (slow, closed) if work is drawn[0] else (closed,):
            moved = {reason for reason in left if job.clocks.stalls[reason] > before[reason]}
            if moved or job is slow:
                left -= moved
                yield job, middle


def _from(work: Job, begin: int, *, open_: bool) -> dict[str, Any]:
    """Patterns of a run with streams that are open, or closed, from a cycle on, sinks to behind its end."""
    changed, end = {}, work.clocks.cycles + WAITING
    for stream, pattern in work.open.items():
        changed[stream] = np.resize(pattern, 8 * end)
        changed[stream][begin : 8 * end if open_ else end if stream in work.outputs else begin + WAITING] = (
            open_
        )
    return changed


def held_up(work: Job, stream: str, begin: int, cycles: int) -> Job:
    """A run in which one stream is held up for long: back-pressure on an output, starvation on an input."""
    pattern = np.ones(2 * cycles, np.bool_)
    pattern[begin : begin + cycles] = False
    return plan.rerun(work, {stream: pattern})


def largest_sizes(shell: Shell, small: Sequence[Task], seed: int) -> Scenario:
    """Each size of a task at the design's limit, with the others small, where that takes few cycles."""
    steps = [plan.reset()]
    shell.clear()
    for task in at_limits(shell.spec, small):
        work = affordable(shell.spec, task, seed)
        if work is not None:
            for job in (work, flat(work, seed), *steep(work, seed)):
                steps += whole(shell, job)
    what = "also with a first operand of zeros, and with sums as large as can be"
    return Scenario("limits", f"runs at the largest sizes, one at a time, {what}", steps)


def flat(work: Job, seed: int) -> Job:
    """The run with a first operand of zeros: weights made from it are equal, and their sums as large as can be."""
    first, *_ = work.operands
    operands = {**work.operands, first: np.zeros_like(work.operands[first])}
    return plan.job(work.spec, work.task, seed, operands=operands)


def steep(work: Job, seed: int) -> Iterator[Job]:
    """Products with sums as large as can be: activations all their largest or smallest number, others their largest.

    Zeros stay, because there may be a rule of how many.
    """
    if isinstance(work.task, Gemm):
        for far in (np.max, np.min):
            first, *others = work.operands
            operands = {
                name: _all(work.operands[name], end)
                for name, end in ((first, far), *((other, np.max) for other in others))
            }
            yield plan.job(work.spec, work.task, seed, operands=operands)


def _all(operand: Any, end: Callable[[Any], Any]) -> Any:
    return np.where(operand == 0, operand, end(operand))


def at_limits(spec: Spec, small: Sequence[Task]) -> Iterator[Task]:
    """For each size the first of the small tasks that can have it at the design's limit."""
    bounds = spec.bounds()
    for size in small[0].sizes:
        if size in bounds:
            most = int(getattr(spec, bounds[size]))
            # Queries have keys: one query beside the most keys, or as many keys as queries.
            beside = {"keys": {"queries": 1}, "queries": {"keys": most}}.get(size, {})
            changes = ({size: most}, {size: most, **beside})
            fitting = (_fitting(spec, task, changed) for task in small for changed in changes)
            yield from itertools.islice(filter(None, fitting), 1)


def _fitting(spec: Spec, task: Task, changed: Mapping[str, int]) -> Task | None:
    """The task with other sizes, if there is one and the design runs it."""
    try:
        found = dataclasses.replace(task, **changed)  # type: ignore[arg-type]
        spec.check_workload(found)
    except ValueError:
        return None
    return found


def affordable(spec: Spec, task: Task, seed: int) -> Job | None:
    """The run of a task, unless it is long."""
    return None if int(np.asarray(spec.cycles(task))) > MOST_CYCLES else plan.job(spec, task, seed)
