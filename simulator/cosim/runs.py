"""Random runs of the bench: values, cycle of every beat, counters, and register writes during a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from blueprint.spec import Spec
from blueprint.workloads.tasks import Task
from simulator.cosim import plan
from simulator.cosim.plan import Answer, How, Job, Scenario, Step
from simulator.cosim.report import Case, Outcome
from simulator.cosim.scenarios import begin, started
from simulator.cosim.shell import Shell

#: Stall profiles in the order in which random cases take them.
PROFILES = (
    "random_50",
    "none",
    "sink_random_50",
    "source_random_50",
    "burst_4",
    "slow_sink",
    "random_90",
    "memory_latency_100",
    "slow_source",
    "random_10",
)
#: One of this many runs begins with a reset, the others with the registers as they were written during the run before.
RESET_EVERY = 4
#: Cycles that a write in the middle of a run needs at most.
_ACCESS = 12


def cases(spec: Spec, count: int, seed: int, first: Sequence[Task] = ()) -> list[Case]:
    """``count`` cases; the same seed gives the same. Tasks ``first`` come before the random ones, unstalled."""
    generator = np.random.default_rng(seed)
    chosen = [Case(task, "none", seed) for task in first]
    for number in range(count - len(chosen)):
        profile = PROFILES[number % len(PROFILES)]
        chosen.append(Case(spec.sample_workload(generator), profile, int(generator.integers(1 << 31))))
    return chosen


class Tally:
    """Results of the runs by case, while their answers are checked."""

    def __init__(self, todo: Sequence[Case], work: Sequence[Job]) -> None:
        self.todo, self.work = todo, work
        self.seen: dict[int, dict[str, int]] = {}
        self.findings: dict[int, list[str]] = {}
        self.clear()

    def clear(self) -> None:
        """Discard all answers."""
        self.seen = {number: {} for number in range(len(self.todo))}
        self.findings = {number: [] for number in range(len(self.todo))}

    def moved(self, number: int) -> Any:
        """Callback that records the result of case ``number``."""

        def note(answer: Answer, wrong: int) -> None:
            self.seen[number] |= {"mismatches": wrong, "rtl": plan.cycles_of(self.work[number], answer)}

        return note

    def outcomes(self) -> list[Outcome]:
        """Outcomes of the completed cases."""
        return [self._outcome(n) for n, seen in self.seen.items() if "rtl" in seen and "register" in seen]

    def _outcome(self, number: int) -> Outcome:
        seen, work = self.seen[number], self.work[number]
        values = sum(array.size for array in work.golden.values())
        counts = (seen["mismatches"], values, seen["rtl"], seen["register"], work.clocks.cycles)
        return Outcome(self.todo[number], *counts, tuple(self.findings[number]))


def runs(spec: Spec, todo: Sequence[Case]) -> tuple[Scenario, Tally]:
    """Runs, most without a reset before: during one the sizes of the next are written, and start is tried."""
    work = [plan.job(spec, case.task, case.seed, case.profile) for case in todo]
    shell, tally = Shell(spec), Tally(todo, work)
    steps: list[Step] = []
    for number, job in enumerate(work):
        random = np.random.default_rng([todo[number].seed, 11])
        follows = work[number + 1].registers if number + 1 < len(work) and (number + 1) % RESET_EVERY else {}
        first = number % RESET_EVERY == 0
        mine = begin(shell, job, reset=True) if first else started(shell)
        chores = _meanwhile(shell, job.clocks.cycles, follows, random)
        how = How(meanwhile=chores, surplus=bool(number % 2))
        mine += [plan.run(job, how, tally.moved(number)), *plan.ended(shell, job)]
        steps += [_labeled(step, number, tally) for step in mine]
    return Scenario(
        "runs", "values, cycles of every beat, counters, status, writes and starts during a run", steps
    ), tally


def _meanwhile(
    shell: Shell, cycles: int, follows: Mapping[str, int], random: np.random.Generator
) -> list[tuple[int, Step]]:
    """Accesses at random cycles of a run: a start that is ignored, the status, the sizes of the next run."""
    chores: list[tuple[int, Step]] = []
    at = 0
    if cycles > 2 * _ACCESS:
        at = int(random.integers(0, cycles - 2 * _ACCESS))
        status = plan.read(shell, "status", shell.bit("busy"), "in a run", ignored=shell.own)
        chores += [(at, plan.start(shell)), (at, status)]
    for name, value in follows.items():
        at = int(random.integers(at, max(cycles, at + 1)))
        chores += [(at, plan.write(shell, name, value))]
    return chores + [(at, plan.read(shell, name, shell.reads(name), "in a run")) for name in follows]


def _labeled(step: Step, number: int, tally: Tally) -> Step:
    """The step of a case, which also keeps what it finds."""
    counter = step.command["do"] == "read" and step.command["address"] == Shell(tally.work[0].spec).address(
        "cycles"
    )

    def judge(answer: Answer) -> list[str]:
        if counter:
            tally.seen[number]["register"] = answer["data"]
        found = [*answer.get("faults", ()), *step.judge(answer)]
        tally.findings[number] += found
        return [
            f"{tally.todo[number].task.label} under {tally.todo[number].profile}: {text}" for text in found
        ]

    return Step(step.command, judge, number)
