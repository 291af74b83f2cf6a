"""Steps of the bench with their expected answers: the vocabulary of the scenarios."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.axi import ALL_BYTES, OKAY, REFUSED, RESET_CYCLES, START, WORD
from blueprint.shell import COUNTERS, stall_counter
from blueprint.spec import Spec
from blueprint.workloads.tasks import Task
from simulator import stall_patterns as profiles
from simulator.cosim.shell import Shell
from simulator.simulate import Run, simulate

Answer = Mapping[str, Any]
Judge = Callable[[Answer], Iterable[str]]
#: Findings of one kind that are worth a line.
_FEW = 3


@dataclass(frozen=True)
class Step:
    """One command to the bench inside the simulator, with the check of its answer."""

    command: dict[str, Any]
    judge: Judge
    case: int | None = None


@dataclass
class Scenario:
    """Steps from a reset on; ``checks`` says in a few words what they show."""

    name: str
    checks: str
    steps: list[Step] = field(default_factory=list)


def nothing(_: Answer) -> Iterator[str]:
    """Expect an empty answer, apart from violated rules."""
    return iter(())


def reset(cycles: int = RESET_CYCLES) -> Step:
    """Reset while beats are offered."""
    return Step({"do": "reset", "cycles": cycles}, nothing)


def responds(wanted: int, what: str) -> Judge:
    """Expect this response."""

    def judge(answer: Answer) -> Iterator[str]:
        if answer["resp"] != wanted:
            yield f"response to the {what} must be {wanted}, not {answer['resp']}"

    return judge


def write(shell: Shell, name: str, value: int, strobe: int = ALL_BYTES, **how: Any) -> Step:
    """Write a register, also in the model of the shell."""
    if name in shell.held:
        shell.write(name, value, strobe)
    command = {"do": "write", "address": shell.address(name), "data": value, "strobe": strobe, **how}
    return Step(command, responds(OKAY, f"write of {value:#x} to {name}"))


def start(shell: Shell, value: int = START, strobe: int = ALL_BYTES) -> Step:
    """Write the control register."""
    return write(shell, "control", value, strobe)


def read(shell: Shell, name: str, wanted: int, when: str, *, ignored: int = 0, **how: Any) -> Step:
    """Read a register and expect ``wanted``, except in ``ignored`` bits."""

    def judge(answer: Answer) -> Iterator[str]:
        yield from responds(OKAY, f"read of {name}")(answer)
        if answer["data"] & ~ignored != wanted:
            yield f"register {name} must read {wanted:#x} {when}, not {answer['data']:#x}"

    return Step({"do": "read", "address": shell.address(name), **how}, judge)


def write_refused(address: int, data: int, what: str) -> Step:
    """Write to an address that is not writable."""
    command = {"do": "write", "address": address, "data": data, "strobe": ALL_BYTES}
    return Step(command, responds(REFUSED, what))


def read_refused(address: int, what: str) -> Step:
    """Read an unmapped address and expect 0."""

    def judge(answer: Answer) -> Iterator[str]:
        yield from responds(REFUSED, what)(answer)
        if answer["data"]:
            yield f"{what} must give 0, not {answer['data']:#x}"

    return Step({"do": "read", "address": address}, judge)


def read_sizes(shell: Shell, when: str) -> list[Step]:
    """Read all sizes and expect the written values."""
    return [read(shell, name, shell.reads(name), when) for name in shell.held]


def together(steps: Sequence[Step]) -> Step:
    """Accesses in parallel."""

    def judge(answer: Answer) -> Iterator[str]:
        for step, found in zip(steps, answer["answers"], strict=True):
            yield from complaints(step, found)

    return Step({"do": "together", "steps": [step.command for step in steps]}, judge)


def complaints(step: Step, answer: Answer) -> list[str]:
    """Errors of an answer: violated rules and the findings of the step."""
    return [*answer.get("faults", ()), *step.judge(answer)]


@dataclass(frozen=True, eq=False)
class Job:
    """A task with operands, expected results, and the expected cycle of every beat under its stall patterns."""

    spec: Spec
    task: Task
    operands: Any
    open: Mapping[str, npt.NDArray[np.bool_]]
    golden: Mapping[str, npt.NDArray[Any]]
    clocks: Run
    stimulus: Mapping[str, list[str]]
    outputs: Mapping[str, int]
    flags: Mapping[str, int]

    @property
    def registers(self) -> dict[str, int]:
        """Register values that software writes before the start."""
        return self.spec.register_values(self.task)

    def patterns(self, stream: str) -> str:
        return "".join("1" if now else "0" for now in self.open.get(stream, ()))


def job(
    spec: Spec, task: Task, seed: int, profile: str | Mapping[str, Any] = "none", operands: Any = None
) -> Job:
    """Prepare a run; ``operands`` are random where none are given.

    Raises ``ParamError`` for a task whose sizes the hardware refuses.
    """
    operands = spec.operands(task, seed) if operands is None else operands
    opened = profiles.profile(profile, spec.streams(), seed) if isinstance(profile, str) else profile
    graph = spec.timing(task, operands)
    outs = {stream.name for stream in spec.streams() if stream.direction == "out"}
    counts = {name: sum(n.firings for n in graph.nodes if n.stream == name) for name in outs}
    stimulus = {
        name: [bytes(beat)[::-1].hex() for beat in beats] for name, beats in spec.stimulus(operands).items()
    }
    clocks = simulate(spec, task, patterns=dict(opened), operands=operands, accepted=True)
    golden, flags = spec.reference(operands), spec.flags(operands)
    return Job(spec, task, operands, dict(opened), golden, clocks, stimulus, counts, flags)


def rerun(work: Job, opened: Mapping[str, npt.NDArray[np.bool_]]) -> Job:
    """The same run under other stall patterns."""
    clocks = simulate(work.spec, work.task, patterns=dict(opened), operands=work.operands, accepted=True)
    return replace(work, open=dict(opened), clocks=clocks)


@dataclass(frozen=True, eq=False)
class How:
    """Options of a run: steps ``meanwhile``, wrong ``lasts`` of an input, an end after ``limit`` cycles,
    sinks that ``wait`` for a beat before they are ready, a ``surplus`` beat after the last one."""

    meanwhile: Sequence[tuple[int, Step]] = ()
    lasts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    limit: int | None = None
    waits: bool = False
    surplus: bool = False
    linger: int = 8


def ports(spec: Spec, work: Job, how: How) -> dict[str, Any]:
    """Behavior of every stream in a run."""
    found: dict[str, Any] = {}
    for stream in spec.streams():
        if stream.direction == "in":
            beats = work.stimulus[stream.name]
            lasts = list(how.lasts.get(stream.name, [len(beats) - 1] if beats else []))
            found[stream.name] = {"beats": beats, "lasts": lasts, "surplus": how.surplus}
        else:
            found[stream.name] = {"count": work.outputs[stream.name], "waits": how.waits}
        found[stream.name]["pattern"] = work.patterns(stream.name)
    return found


def run(work: Job, how: How | None = None, note: Callable[[Answer, int], None] | None = None) -> Step:
    """Move the beats of a run; ``note`` is told the answer and how many values differ."""
    how = how or How()
    chores = [{**step.command, "at": at} for at, step in how.meanwhile]
    command: dict[str, Any] = {"do": "run", "ports": ports(work.spec, work, how), "meanwhile": chores}
    command |= {"limit": how.limit, "linger": how.linger}

    def judge(answer: Answer) -> Iterator[str]:
        for (_, step), found in zip(how.meanwhile, answer["meanwhile"], strict=True):
            yield from complaints(step, found)
        if how.limit is not None:
            return
        wrong, shape = compare(work, answer)
        yield from shape
        if wrong:
            values = sum(array.size for array in work.golden.values())
            yield f"{wrong} of {values} values differ from the golden model"
        if not how.waits:
            yield from moments(work, answer)
        if note is not None:
            note(answer, wrong)

    return Step(command, judge)


def idle(spec: Spec, cycles: int, when: str) -> Step:
    """Offer a beat to every input and be ready for every output: a design that does not run must not move."""
    facts: dict[str, Any] = {}
    for stream in spec.streams():
        facts[stream.name] = (
            {"beats": [], "lasts": [], "surplus": True} if stream.direction == "in" else {"count": 0}
        )

    def judge(answer: Answer) -> Iterator[str]:
        if answer["faults"]:
            yield f"nothing must move {when}"

    return Step({"do": "run", "ports": facts, "limit": cycles}, judge)


def compare(work: Job, answer: Answer) -> tuple[int, list[str]]:
    """Number of wrong values, and errors in the number of beats or their ``tlast``."""
    spec, wrong = work.spec, []
    beats: dict[str, npt.NDArray[np.uint8]] = {}
    for stream in spec.streams():
        if stream.direction == "out":
            words, size = answer["beats"][stream.name], stream.width // 8
            beats[stream.name] = np.array(
                [list(int(word, 16).to_bytes(size, "little")) for word in words], dtype=np.uint8
            ).reshape(len(words), size)
            marks, count = answer["lasts"][stream.name], work.outputs[stream.name]
            if marks != [0] * (count - 1) + [1]:
                wrong.append(f"{stream.prefix}: tlast must be high with the last beat of the run only")
    found = spec.collect(beats, work.task)
    differ = sum(int((found[name] != work.golden[name]).sum()) for name in work.golden)
    return differ, wrong


def moments(work: Job, answer: Answer) -> Iterator[str]:
    """Beats whose cycles differ from the simulator's."""
    for stream in work.spec.streams():
        wanted = [int(cycle) for cycle in work.clocks.accepted.get(stream.name, ())]
        found = answer["accepted"][stream.name]
        if found != wanted:
            place = next(i for i, pair in enumerate(zip(found, wanted, strict=True)) if pair[0] != pair[1])
            yield (
                f"{stream.prefix}: beat {place} must be accepted in cycle {wanted[place]} as in the simulator, "
                f"not {found[place]}"
            )


def cycles_of(work: Job, answer: Answer) -> int:
    """Cycles from the first input beat to the last output beat, both inclusive, measured at the ports."""
    inputs = {stream.name for stream in work.spec.streams() if stream.direction == "in"}
    moved = answer["accepted"]
    first = min(cycles[0] for name, cycles in moved.items() if name in inputs and cycles)
    return int(max(cycles[-1] for name, cycles in moved.items() if name not in inputs) - first + 1)


def ended(shell: Shell, work: Job, flags: Sequence[str] = (), *, timed: bool = True) -> list[Step]:
    """Every register after a run: done, what its data raised and ``flags``, the simulator's counts, its sizes."""
    busy, done = shell.bit("busy"), shell.bit("done")
    raised = [*(flag for flag, level in work.flags.items() if level), *flags]
    wanted = done + sum(shell.bit(flag) for flag in raised)

    def judge(answer: Answer) -> Iterator[str]:
        *before, last = answer["seen"]
        if any(value & ~(shell.bit("framing_error") | shell.own) != busy for value in before):
            yield f"status must be busy until done, not {before[0]:#x}"
        if last != wanted:
            yield f"status must be {wanted:#x} ({', '.join(['done', *raised])}) after the run, not {last:#x}"

    steps = [Step({"do": "poll", "address": shell.address("status"), "mask": done}, judge)]
    steps.append(read(shell, "control", 0, "always"))
    if timed:
        counts = counted(work)
        steps += [read(shell, n, counts[n], "after the run, as in the simulator") for n in COUNTERS]
    return [*steps, *read_sizes(shell, "after the run")]


def counted(work: Job) -> dict[str, int]:
    """Expected value of every counter after a run; unimplemented stall counters read as 0."""
    stalls = {stall_counter(reason): int(count) for reason, count in work.clocks.stalls.items()}
    return {"cycles": int(work.clocks.cycles), **{name: stalls.get(name, 0) for name in COUNTERS[1:]}}


def preset(shell: Shell, work: Job, values: Mapping[str, int]) -> tuple[Step, list[Step]]:
    """Put numbers into counters in the middle of a run, and what they read as after it: that much more, or all ones."""
    was: dict[str, int] = {}

    def keep(answer: Answer) -> Iterator[str]:
        was.clear()
        was.update(answer["was"] or {})
        return iter(())

    def reads(name: str) -> Step:
        def judge(answer: Answer) -> Iterator[str]:
            if name in was:
                wanted = min(values[name] + counted(work)[name] - was[name], WORD)
                if answer["data"] != wanted:
                    begin = f"after it was set to {values[name]:#x} in a run"
                    yield f"register {name} must read {wanted:#x} {begin}, not {answer['data']:#x}"

        return Step({"do": "read", "address": shell.address(name)}, judge)

    return Step({"do": "preset", "values": dict(values)}, keep), [reads(name) for name in values]
