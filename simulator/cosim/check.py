"""Checks a design's Verilog against golden model and simulator: random runs, and every register."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from blueprint.errors import ParamError
from blueprint.spec import Spec
from simulator.cosim import runs as random_runs
from simulator.cosim.folder import Exported, read, undriven
from simulator.cosim.plan import Scenario, complaints
from simulator.cosim.report import Case, Checked, Outcome, Report
from simulator.cosim.runs import PROFILES, cases
from simulator.cosim.scenarios import scenarios
from toolchain import bench, files, process

__all__ = ["PROFILES", "Case", "Checked", "Outcome", "Prepared", "Report", "cases", "check", "prepare"]

BENCH = "simulator.cosim.axi_tests"
#: Both optimizations work across instances, so that equal ones no longer share their C++: 128 table reads of 121
#: entries then take 54 MB of C++ instead of 2 and seven times as long to build, for runs of seconds. Without the first
#: a word whose bits depend on each other counts as a loop; real loops are found by the lint run of the drivers.
_QUICK_BUILD = ("-fno-dfg", "-fno-gate", "-Wno-UNOPTFLAT")
#: Signals without a value yet are random, so that no result is right only because they were zero.
_UNKNOWN = ("--x-initial", "unique", "--x-assign", "unique")
#: Most findings of one check that are reported.
MOST_FINDINGS = 5


def check(spec: Spec, folder: Path, todo: Sequence[Case], *, seed: int = 1, timeout_s: float = 900) -> Report:
    """Run the cases and every fixed check on the Verilog in ``folder``, with cocotb on Verilator.

    ``folder`` was generated from ``spec`` and may have been changed since.
    Raises ``ParamError`` for a case whose sizes the hardware refuses, before anything is built,
    :class:`toolchain.process.ToolError` where the Verilog is not legal, ``ParamError`` where the folder is not one of
    ours or its top module lacks a port. The report names a design that hangs or ends the simulator.
    """
    return prepare(spec, folder, todo, seed=seed).run(timeout_s=timeout_s)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A design with the steps of its bench; built once, run any number of times."""

    design: Exported
    plan: tuple[Scenario, ...]
    tally: random_runs.Tally
    drivers: Checked
    simulator: Path
    seed: int

    def run(self, arguments: Sequence[str] = (), *, timeout_s: float = 900) -> Report:
        """Run the bench; ``arguments`` go to the simulator."""
        answers, stopped = _run(self, arguments, timeout_s)
        self.tally.clear()
        checks = _judged(self.plan, answers)
        return Report(tuple(self.tally.outcomes()), (*checks, self.drivers), stopped)


def prepare(spec: Spec, folder: Path, todo: Sequence[Case], *, seed: int = 1) -> Prepared:
    """Plan and build; see :func:`check` for the errors."""
    design = read(folder, spec)
    planned, tally = random_runs.runs(spec, todo)
    plan = (planned, *scenarios(spec, seed, design.counters))
    drivers = Checked("drivers", "every signal has one driver, no latch, no loop", undriven(design), True)
    visible = {
        design.top: list(design.ports),
        design.shell: [f"{name}_held{part}" for name in design.counters for part in ("", "_full")],
    }
    simulator = bench.build(design.files, design.top, visible, arguments=(*_QUICK_BUILD, *_UNKNOWN))
    return Prepared(design, plan, tally, drivers, simulator, seed)


def _judged(plan: Sequence[Scenario], answers: list[Any]) -> Sequence[Checked]:
    """Each scenario with the answers to it; the bench may have stopped before the last."""
    found, place = [], 0
    for scenario in plan:
        mine = answers[place : place + len(scenario.steps)]
        place += len(scenario.steps)
        said = [
            text
            for step, answer in zip(scenario.steps, mine, strict=False)
            for text in complaints(step, answer)
        ]
        complete = len(mine) == len(scenario.steps)
        found.append(Checked(scenario.name, scenario.checks, tuple(said[:MOST_FINDINGS]), complete))
    return found


def _run(prepared: Prepared, arguments: Sequence[str], timeout_s: float) -> tuple[list[Any], str]:
    """The answers to every step up to where the bench stopped, and why it did."""
    design = prepared.design
    random = ["+verilator+rand+reset+2", f"+verilator+seed+{prepared.seed % (1 << 31) or 1}"]
    with files.scratch("ternforge-cosim-") as scratch:
        asked, answered = scratch / "steps.json", scratch / "answers.jsonl"
        asked.write_text(json.dumps(_asked(design, prepared.plan)))
        env = {"TERNFORGE_STEPS": str(asked), "TERNFORGE_ANSWERS": str(answered)}
        try:
            results = bench.run(
                prepared.simulator,
                design.top,
                BENCH,
                folder=scratch,
                python_path=[Path(__file__).resolve().parents[2]],
                env=env,
                seed=1,
                arguments=[*random, *arguments],
                timeout_s=timeout_s,
            )
            failures = results.failures
        except process.ToolError as problem:
            failures = (str(problem),)
        lines = answered.read_text().splitlines() if answered.is_file() else []
        return _answers(design, [json.loads(line) for line in lines], failures)


def _asked(design: Exported, plan: Sequence[Scenario]) -> dict[str, Any]:
    streams = {port.name: asdict(port) for port in design.streams}
    steps = [[step.command for step in scenario.steps] for scenario in plan]
    return {"ports": design.ports, "streams": streams, "scenarios": steps}


def _answers(design: Exported, answers: list[Any], failures: Sequence[str]) -> tuple[list[Any], str]:
    last = answers[-1] if answers else {}
    if "ports" in last:
        wanted = ", ".join(f"{name} of {design.ports[name]} bits" for name in last["ports"][:3])
        raise ParamError(f"Top module {design.top} must have the ports of its manifest, and lacks {wanted}")
    if "hung" in last:
        said = [*last["faults"], f"the design hangs: {last['hung']}"]
        return answers[:-1], _named(design, "; ".join(said))
    return answers, f"the simulator failed: {failures[0]}" if failures else ""


def _named(design: Exported, text: str) -> str:
    """Addresses of registers with their names."""
    for register in design.spec.registers():
        text = text.replace(f"{register.address:#04x}", f"register {register.name} ({register.address:#04x})")
    return text
