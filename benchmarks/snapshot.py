"""Snapshot of random designs of every family, as hashes that a change of the code must not alter.

    python -m benchmarks.snapshot --write FILE [--designs 50] [--jobs 2]
    python -m benchmarks.snapshot --compare FILE

The file holds a hash of each exported file, and of the inventory, timing paths, registers, operands, golden values,
beats, costs, and cycles and stalls with and without back-pressure of each design. ``--compare`` makes the same
designs again and names every difference; the exit code is 1 where there is one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import golden
from blueprint import registry
from blueprint.spec import Spec
from costmodel.technology import technology
from generator.export import write_hardware
from simulator.engine import kernel

SEED, TASKS, DESIGNS = 11, 2, 50
#: When every stream is open, over and over.
STALLED = np.array([1, 0, 0, 1, 1, 0, 1], bool)


def digest(value: Any) -> str:
    """A short hash of bytes, arrays, or what JSON can hold."""
    if isinstance(value, np.ndarray):
        value = f"{value.dtype.kind}{value.shape}".encode() + np.ascontiguousarray(value).tobytes()
    if not isinstance(value, bytes):
        value = json.dumps(value, sort_keys=True, default=str).encode()
    return hashlib.sha256(value).hexdigest()[:16]


def views(spec: Spec, seed: int) -> Iterator[tuple[str, Any]]:
    """Everything that the blueprint and the models say of a design, by name."""
    yield "parameters", spec.parameters
    yield "inventory", golden.inventory(spec)
    yield "paths", golden.paths(spec)
    yield "registers", [str(register) for register in spec.registers()]
    for name in technology.names():
        yield f"costs {name}", golden.costs(spec, technology.load(name))
    random = np.random.default_rng([SEED, seed])
    for number in range(TASKS):
        task = spec.sample_workload(random)
        operands = spec.operands(task, number)
        for kind, arrays in (
            ("operand", operands),
            ("golden", spec.reference(operands)),
            ("beats", spec.stimulus(operands)),
        ):
            for name, array in arrays.items():
                yield f"task {number}: {kind} {name}", np.asarray(array)
        graph = spec.timing(task, operands)
        line = kernel.run(graph)
        yield f"task {number}: time", [line.cycles, line.stalls, int(spec.cycles_of(task, operands))]
        slow = kernel.run(graph, {node.stream: STALLED for node in graph.nodes if node.stream})
        yield f"task {number}: time of stalled streams", [slow.cycles, slow.stalls]
        yield f"task {number}: closed form", int(spec.cycles(task))
        yield f"task {number}: traffic", {name: int(bits) for name, bits in spec.dram_bits(task).items()}


def snapshot(chosen: tuple[str, int]) -> dict[str, str]:
    """Hashes of all that is known of one design and of the files it is exported as."""
    family, number = chosen
    spec = registry.families()[family].sample(np.random.default_rng([SEED, number]))
    found = {what: digest(value) for what, value in views(spec, number)}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "design"
        write_hardware(spec, out)
        for file in sorted(path for path in out.rglob("*") if path.is_file()):
            found[f"file {file.relative_to(out)}"] = digest(file.read_bytes())
    return found


def snapshots(designs: int, jobs: int) -> dict[str, dict[str, str]]:
    """Hashes of ``designs`` designs of each family."""
    every = [(family, number) for family in registry.families() for number in range(designs)]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        found = zip(every, pool.imap(snapshot, every), strict=True)
        return {f"{family} {number}": hashes for (family, number), hashes in found}


def designs_of(snapshot: Mapping[str, Any]) -> int:
    """Number of designs of each family in a snapshot."""
    return 1 + max(int(name.split()[-1]) for name in snapshot)


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Names that are there only once, or with another hash."""
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def compared(
    before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]
) -> dict[str, list[str]]:
    """Differences by design; a design in only one snapshot differs as a whole."""
    return {
        design: differences(before[design], after[design])
        if design in before and design in after
        else ["only before" if design in before else "only after"]
        for design in {**before, **after}
    }


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    task = options.add_mutually_exclusive_group(required=True)
    task.add_argument("--write", type=Path, metavar="FILE")
    task.add_argument("--compare", type=Path, metavar="FILE")
    options.add_argument("--designs", type=int, help="designs of each family: 50, or as many as FILE has")
    options.add_argument("--jobs", type=int, default=2)
    chosen = options.parse_args()
    if chosen.write:
        found = snapshots(chosen.designs or DESIGNS, chosen.jobs)
        chosen.write.write_text(json.dumps(found, indent=1) + "\n")
        return
    before = json.loads(chosen.compare.read_text())
    designs = chosen.designs or designs_of(before)
    kept = {name: hashes for name, hashes in before.items() if int(name.split()[-1]) < designs}
    wrong = compared(kept, snapshots(designs, chosen.jobs))
    for design, names in wrong.items():
        if names:
            print(f"{design}: {', '.join(names)}")
    changed = sum(map(bool, wrong.values()))
    print(f"{changed} of {len(wrong)} designs differ")
    sys.exit(1 if changed else 0)


if __name__ == "__main__":
    main()
