"""Agreement of the golden model, the simulator and the exported Verilog on random runs of one design."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from blueprint.family import Arrays
from blueprint.shell import stall_counter
from blueprint.spec import Spec
from blueprint.timing import STALL_REASONS
from blueprint.workloads.tasks import Task
from simulator.engine import kernel
from simulator.rtl import rtl
from simulator.stall_patterns import of_run
from toolchain import files, yosys

#: Random runs of a design.
RUNS = 4

#: A task, its operands, and how the Verilog is driven.
Run = tuple[Task, Arrays, rtl.Job]


def patterns(spec: Spec, random: np.random.Generator, run: int) -> dict[str, npt.NDArray[np.bool_]]:
    """Stall patterns by stream: none in the first run, random ones in the others, of lengths prime to all loops."""
    if run == 0:
        return {}
    found = {}
    for stream in spec.streams():
        pattern = random.random(int(random.choice([1, 7, 37, 101]))) < random.choice([0.15, 0.5, 0.9])
        pattern[int(random.integers(len(pattern)))] = True
        found[stream.name] = pattern
    return found


def jobs(spec: Spec, number: int) -> list[Run]:
    """Random runs of a design; the same ``number`` gives the same."""
    random = np.random.default_rng([2, number])
    found = []
    for run in range(RUNS):
        workload = spec.sample_workload(random)
        operands = spec.operands(workload, run)
        graph = spec.timing(workload, operands)
        outputs = {n.stream: n.firings for n in graph.nodes if n.stream and n.direction == "out"}
        opened = of_run(patterns(spec, random, run), graph, spec.streams())
        job = rtl.Job(spec.stimulus(operands), outputs, opened, spec.register_values(workload))
        found.append((workload, operands, job))
    return found


def compare(spec: Spec, model: rtl.Model, number: int) -> list[str]:
    """Describe everything that differs between the golden model, the simulator and the RTL, a sentence each."""
    todo = jobs(spec, number)
    return differences(spec, todo, model.run_all([job for *_, job in todo]))


def differences(spec: Spec, todo: list[Run], runs: list[rtl.RtlRun]) -> list[str]:
    """Everything in which runs of the RTL differ from the golden model and the simulator."""
    wrong: list[str] = []
    for (workload, operands, job), run in zip(todo, runs, strict=True):
        golden = spec.reference(operands)
        found = spec.collect(dict(run.data), workload)
        wrong += [
            f"{workload}: {name} differs" for name in golden if not np.array_equal(golden[name], found[name])
        ]
        graph = spec.timing(workload, operands)
        ports = {node.name: node.stream for node in graph.nodes if node.stream}
        line = kernel.run(graph, job.patterns, record=ports)
        counts = {line.cycles, run.cycles, run.registers["cycles"]}
        if not job.patterns:
            counts.add(spec.cycles_of(workload, operands))
            if not spec.data_dependent:
                counts.add(int(spec.cycles(workload)))
        if len(counts) != 1:
            wrong.append(f"{workload}: cycles {sorted(counts)}")
        for reason in STALL_REASONS:
            counted = run.registers[stall_counter(reason)]  # 0 where no run can stall by that reason
            if line.stalls[reason] != counted:
                wrong.append(f"{workload}: {reason} stalls {line.stalls[reason]}, {counted}")
        for node, stream in ports.items():
            if not np.array_equal(line.fired[node], run.accepted[stream]):
                wrong.append(f"{workload}: beats of {stream} move in other cycles")
        if run.registers["status"] != spec.status(operands):
            wrong.append(
                f"{workload}: status {run.registers['status']}, not {spec.status(operands)}, at the end"
            )
    return wrong


def netlist_flip_flops(out: Path, *, flatten: bool) -> int:
    """Flip-flops that Yosys finds in the exported Verilog, memories left as boxes."""
    return _counted(out, _count("flatten" if flatten else "", "count"))["count"]


def netlist_flip_flops_both_ways(out: Path) -> tuple[int, int]:
    """Flip-flops of the exported Verilog, module by module and flattened; Yosys reads it once for both."""
    script = ["design -save read", *_count("", "modules"), "design -load read", *_count("flatten", "flat")]
    found = _counted(out, script)
    return found["modules"], found["flat"]


def _count(flatten: str, name: str) -> list[str]:
    return [
        flatten,
        "simplemap t:*dff*",
        "opt -fast -nodffe -nosdff",
        "opt_clean",
        f"tee -o {name}.stat.json stat -json",
    ]


def _counted(out: Path, commands: list[str]) -> dict[str, int]:
    """Flip-flops in every file of statistics that the commands write, by the name of the file."""
    manifest = json.loads((out / "manifest.json").read_text())
    boxes = [f"rtl/{name}.v" for name in manifest["blackboxes"]]
    lines = [
        f'read_verilog -sv {"-lib " if file in boxes else ""}"{out.resolve() / file}"'
        for file in manifest["files"]
    ]
    lines += [f"hierarchy -top {manifest['top']}", "proc", "opt -fast -nodffe -nosdff", *commands]
    with files.scratch("ternforge-stat-") as scratch:
        yosys.run("\n".join(lines), cwd=scratch, timeout_s=300)
        found = {
            path.name.split(".")[0]: json.loads(path.read_text()) for path in scratch.glob("*.stat.json")
        }
    return {name: _flip_flops(stat["design"]["num_cells_by_type"]) for name, stat in found.items()}


def _flip_flops(cells: Mapping[str, int]) -> int:
    return sum(count for kind, count in cells.items() if "DFF" in kind)
