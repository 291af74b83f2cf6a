"""Checks of one design, of many at once, and of a family."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import ternforge
from blueprint import registry
from blueprint.family import Arrays
from blueprint.files.design import read_design, write_design
from blueprint.spec import Spec
from blueprint.unit import flip_flops
from costmodel.model import estimate
from costmodel.technology import technology as technologies
from generator.export import write_hardware
from simulator.rtl import rtl
from ternforge import words
from ternforge.conformance.agreement import compare, netlist_flip_flops_both_ways
from ternforge.conformance.manifest_check import faults
from toolchain import process, verilator

#: Share of its peak that the best of some designs must reach on its typical task.
_NEAR_PEAK = 0.8
#: Writes a design in a process of its own, within this many seconds.
_WRITE = (
    "import sys; from pathlib import Path; from blueprint.files.design import read_design;"
    "from generator.export import write_hardware; write_hardware(read_design(sys.argv[1]).spec, Path(sys.argv[2]))"
)
_WRITE_S = 300.0
#: Numbers of a point of a study that the estimate of its design must have too.
_SHARED = ("area_um2", "flip_flops", "critical_path_ps", "cycles")


def check_family(family: str, folder: Path, *, designs: int = 20, seed: int = 1) -> list[str]:
    """Everything that is wrong with random designs of a family, built in ``folder``; the same seed draws the same.

    Raises ``ParamError`` for a name that is no family, and ``ToolError`` where a tool fails.
    """
    kind = registry.get(family)
    specs = [kind.sample(np.random.default_rng([seed, number])) for number in range(designs)]
    wrong = [f"{family}: {what}" for what in (*check_columns(specs), *check_peak(specs))]
    for number, spec in enumerate(specs):
        found = check_design(spec, folder / str(number), number) + check_estimate(spec)
        found += check_work(spec, number)
        wrong += [f"{spec.name}: {what}" for what in found]
    return wrong


def check_design(spec: Spec, folder: Path, number: int = 0) -> list[str]:
    """Check the hardware of one design and return its faults; ``folder`` takes the files, ``number`` seeds the runs.

    Values, cycles, stalls by reason, beats on every port and status against the RTL; flip-flops of the netlist; the
    manifest; lint; that the same design gives the same bytes and survives a file.
    """
    out = folder / "rtl"
    manifest = write_hardware(spec, out)
    written = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    files = [out / file for file in manifest["files"]]
    wrong: list[str] = compare(spec, rtl.load(out, optimize="-O0"), number)
    wrong += _registers(spec, out)
    wrong += faults(json.loads((out / "manifest.json").read_text(encoding="utf-8")))
    wrong += check_ports(spec, (out / "rtl" / f"{manifest['top']}.v").read_text(encoding="utf-8"))
    wrong += check_places(spec, manifest)
    wrong += verilator.lint(files, manifest["top"], [out / "lint.vlt"])
    wrong += _again(spec, written, folder / "again")
    wrong += _travels(spec, folder / "design.yaml")
    return wrong


def _registers(spec: Spec, out: Path) -> Iterator[str]:
    predicted = int(flip_flops(spec.units()))
    for how, counted in zip(("by module", "flat"), netlist_flip_flops_both_ways(out), strict=True):
        if counted != predicted:
            yield f"flip-flops of the netlist, {how}, are {counted}, not {predicted}"


def check_ports(spec: Spec, text: str) -> Iterator[str]:
    """Wires of streams that the spec declares and ``text``, the Verilog of the top module, has not."""
    for stream in spec.streams():
        give, take = ("input", "output") if stream.direction == "in" else ("output", "input")
        lines = [f"{give} [{stream.width - 1}:0] {stream.prefix}_tdata;"]
        lines += [f"{give} {stream.prefix}_{wire};" for wire in ("tvalid", "tlast")]
        for line in (*lines, f"{take} {stream.prefix}_tready;"):
            if f"  {line}\n" not in text:
                yield f"the top module has no {line.removesuffix(';')}"


def check_places(spec: Spec, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Modules at a place where the inventory counts nothing."""
    counted = {unit.place for unit in spec.units() if np.any(unit.count)}
    for name, module in manifest["modules"].items():
        if module["place"] not in counted:
            yield f"module {name} stands at {module['place']}, where the inventory counts nothing"


def _again(spec: Spec, written: Mapping[Path, bytes], folder: Path) -> Iterator[str]:
    """Files that another process, with another hash seed of Python, writes differently."""
    file = folder.with_suffix(".yaml")
    write_design(spec, file)
    command = [sys.executable, "-c", _WRITE, str(file), str(folder)]
    env = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    process.run(command, tool="Python", timeout_s=_WRITE_S, env=env)
    again = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for name in sorted({*written, *again}):
        if written.get(name) != again.get(name):
            yield f"{name} differs when it is written again"


def _travels(spec: Spec, file: Path) -> Iterator[str]:
    write_design(spec, file)
    if read_design(file).spec != spec:
        yield "a file of the design reads as another design"


def check_columns(specs: Sequence[Spec]) -> Iterator[str]:
    """Differences between formulas evaluated for many designs at once and for each design."""
    names = specs[0].parameters
    many = type(specs[0]).columns(
        {name: np.array([spec.parameters[name] for spec in specs]) for name in names}
    )
    task = specs[0].sample_workload(np.random.default_rng(0))
    pairs: dict[str, tuple[Any, list[Any]]] = {
        "flip-flops": (flip_flops(many.units()), [flip_flops(spec.units()) for spec in specs]),
        "peak": (many.peak_macs, [spec.peak_macs for spec in specs]),
        "cycles": (many.cycles(task), [spec.cycles(task) for spec in specs]),
        "traffic": (_traffic(many, task), [_traffic(spec, task) for spec in specs]),
        "feasibility": (many.feasible()[0], [True] * len(specs)),
    }
    for what, (together, each) in pairs.items():
        if not np.array_equal(np.broadcast_to(together, len(specs)), each):
            yield f"{what} of many designs at once is not that of each"
    area, delay = _costs(many)
    each_cost = [_costs(spec) for spec in specs]
    for what, found, number in (("area", area, 0), ("critical path", delay, 1)):
        if not np.allclose(np.broadcast_to(found, len(specs)), [c[number] for c in each_cost], rtol=1e-9):
            yield f"{what} of many designs at once is not that of each"


def _traffic(spec: Spec, task: Any) -> Any:
    return sum(spec.dram_bits(task).values())


def _costs(spec: Spec, technology: str = words.TECHNOLOGY) -> tuple[Any, Any]:
    """Area and critical path of one design or of columns."""
    facts = technologies.load(technology)
    return sum(estimate.area(spec.units(), facts).values()), estimate.delay(spec, facts)


def check_work(spec: Spec, number: int) -> Iterator[str]:
    """Traffic that is charged but does not cross the streams, and runs that do more than the peak."""
    random = np.random.default_rng([4, number])
    typical = spec.typical_workload()
    tasks = (typical, *(spec.sample_workload(random) for _ in range(3)))
    for run, task in enumerate(tasks):
        operands = spec.operands(task, run)
        charged = sorted(int(bits) for bits in spec.dram_bits(task).values() if bits)
        crossed = bits_by_stream(spec, task, operands)
        if charged != crossed:
            yield f"{task}: traffic by purpose is {charged} bits, and {crossed} cross the streams"
        if not 0 < task.macs <= spec.cycles_of(task, operands) * int(spec.peak_macs):
            yield f"{task}: a run does more than the peak of {spec.peak_macs} products a cycle"


def bits_by_stream(spec: Spec, task: Any, operands: Arrays) -> list[int]:
    """Bits of every stream in one run: input beats as packed, output beats as the timing graph fires them."""
    bits = [8 * beats.size for beats in spec.stimulus(operands).values()]
    fired = {node.stream: node.firings for node in spec.timing(task, operands).nodes if node.stream}
    bits += [fired[stream.name] * stream.width for stream in spec.streams() if stream.direction == "out"]
    return sorted(bit for bit in bits if bit)


def check_peak(specs: Sequence[Spec]) -> Iterator[str]:
    """A peak that no design comes close to: of some designs on typical tasks the best reaches 80 % at least."""
    best = 0.0
    for spec in specs:
        task = spec.typical_workload()
        cycles = spec.cycles_of(task, spec.typical_operands(task, 0))
        best = max(best, task.macs / (cycles * int(spec.peak_macs)))
    if best < _NEAR_PEAK:
        yield f"no design comes closer to its peak than {best:.0%}, and {_NEAR_PEAK:.0%} is asked"


def check_estimate(spec: Spec, technology: str = words.TECHNOLOGY) -> list[str]:
    """Figures that are missing in the estimate of a design on its typical task."""
    task = spec.typical_workload()
    found = ternforge.estimate(spec, technology, task)
    wrong = [f"{name} must be above 0, not {found[name]}" for name in _SHARED if not found[name] > 0]
    expected = {"flip_flops": int(flip_flops(spec.units())), "cycles": int(spec.cycles(task))}
    return wrong + [
        f"{name} of the estimate must be {value}, not {found[name]}"
        for name, value in expected.items()
        if found[name] != value
    ]


def check_space(space: str | Path, out: str | Path) -> list[str]:
    """Search a space into the folder ``out`` and return the faults of its front.

    Every point of the front, as a file, must be estimated as the explorer did. Raises as ``ternforge.explore``.
    """
    front = ternforge.explore(space, out)["front"]
    wrong = [] if front else ["no design of the space is feasible"]
    for point in front:
        file = Path(out) / f"{point['id']}.yaml"
        ternforge.apply(out, point["id"], file)
        found = ternforge.estimate(file, space=space)
        wrong += [
            f"{point['id']}: {name} is {point[name]:g} to the explorer and {found[name]:g} to the estimate"
            for name in _SHARED
            if name in point and not np.isclose(point[name], found[name], rtol=1e-9)
        ]
    return wrong
