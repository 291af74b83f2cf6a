"""Synthesizes a design and measures area, flip-flops, timing and switching energy, by the places of its inventory."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from blueprint import axi
from blueprint.spec import Spec
from blueprint.workloads.data import EVEN, Data
from costmodel import groundtruth
from costmodel import technology as facts
from costmodel.groundtruth import activity
from costmodel.groundtruth import recipe as recipes
from costmodel.groundtruth.arrivals import slowest_by_place
from costmodel.groundtruth.recipe import LEAST
from costmodel.groundtruth.synthesis import mapped, summary
from costmodel.model.estimate import Busy
from costmodel.technology.technology import Technology
from toolchain import cache, files, yosys

#: Files that read and write technologies. They are not in the key of a measurement, because what they read is.
_READ = ("importing.py", "latch_array.py", "packaged.py", "sram_file.py", "sram_fit.py", "technology.py")
#: Keys of a manifest that a measurement reads, beside the files and the places of their modules.
_TAKEN = ("top", "blackboxes", "reset", "registers", "streams")
#: Runs whose operands are in the key; the same code draws those of the other runs.
_TOLD = 2
#: Writes the hardware of a spec to a folder and returns its manifest.
Generate = Callable[[Spec, Path], Mapping[str, Any]]


@dataclass(frozen=True)
class Sample:
    """One synthesized design: cell area in um2 and flip-flops by place, and the slowest path in ps with its cells.

    `places_ps` is the delay of the slowest path that ends in each place, where one was found; `leakage_nw` is the
    leakage of all cells; `switched` holds the mean energy of a busy cycle and its glitches in pJ by place. Memory
    macros count in `macro_area_um2` alone.
    """

    spec: Spec
    areas: Mapping[str, float]
    macro_area_um2: float
    registers: Mapping[str, int]
    critical_path_ps: float
    path: tuple[str, ...]
    places_ps: Mapping[str, float]
    leakage_nw: float
    switched: activity.Activity

    @property
    def area_um2(self) -> float:
        """Total cell area in um2, without memory macros."""
        return sum(self.areas.values())

    @property
    def energy_pj(self) -> float:
        """Mean energy of a busy cycle in pJ, including glitches if they were simulated."""
        more = self.switched.glitches
        return self.switched.energy_pj + (sum(more.energies.values()) if more else 0.0)

    @property
    def flip_flops(self) -> int:
        """Total flip-flops."""
        return sum(self.registers.values())

    @property
    def busy(self) -> Busy:
        """Shares of the cycles of the measured run in which it works at full throughput, 0 to 1."""
        clocked = float(self.spec.occupied(self.switched.task)) / self.switched.cycles
        return Busy(min(1.0, clocked), self.utilization)

    @property
    def utilization(self) -> float:
        """Share of the peak rate of multiply-accumulates that the measured run reaches, 0 to 1."""
        return self.switched.task.macs / (self.switched.cycles * int(self.spec.peak_macs))


def measure(spec: Spec, technology: Technology, generate: Generate, recipe: str | None = None) -> Sample:
    """Generate, synthesize and measure one design, or return the measurement that the cache holds.

    `recipe` is by default the technology's. The key of a measurement is what determines it: Verilog, run, library and
    the code that measures. A change of other texts about a design, or of how a model is fitted, keeps the measurement.
    Raises `ToolError` where a tool fails and `ParamError` where the library lacks a cell or the run does not end.
    """
    chosen = recipe or recipes.of(technology)
    with files.scratch() as scratch:
        manifest = generate(spec, scratch)
        texts = [text for name in manifest["files"] for text in (name, (scratch / name).read_bytes())]
        places = {name: module["place"] for name, module in manifest.get("modules", {}).items()}
        taken = [str(manifest.get(name)) for name in _TAKEN]

        def build(folder: Path) -> None:
            found = _measured(spec, scratch, manifest, technology, chosen)
            (folder / "sample.pickle").write_bytes(pickle.dumps(found, protocol=5))

        run = _run(spec, operands(chosen))
        parts = ["sample/3", chosen, *texts, str(places), *taken, *run, *_measured_by(technology)]
        kept = cache.entry("samples", parts, build)
    found: Sample = pickle.loads((kept / "sample.pickle").read_bytes())
    return replace(found, spec=spec)


def operands(recipe: str) -> Data:
    """Statistics of the operands of the runs: those of trained models, and uniform ones for the recipe `LEAST`."""
    return EVEN if recipe == LEAST else Data()


def _run(spec: Spec, data: Data) -> list[str | bytes]:
    """Parts of the key that describe the run: task, cycles, size registers, and beats of the first operands."""
    task = spec.typical_workload()
    parts: list[str | bytes] = [str(item) for item in (task, spec.cycles(task), spec.register_values(task))]
    for number in range(_TOLD):
        beats = spec.stimulus(spec.typical_operands(task, number, data))
        for name, values in beats.items():
            parts += [name, str(np.shape(values)), np.asarray(values, np.uint8).tobytes()]
    return [*parts, str(spec.data_dependent)]


def _measured_by(technology: Technology) -> list[str | bytes]:
    """Parts of the key beside design and run: library, version of Yosys, and the text of the code that measures.

    Comments and docstrings belong to that text: an edit of one asks for every synthesis of a calibration again.
    """
    rooms = (Path(folder) for room in (groundtruth, facts) for folder in room.__path__)
    sources = [path for room in rooms for path in sorted([*room.rglob("*.py"), *room.rglob("*.cpp")])]
    code = [path.read_bytes() for path in (*sources, Path(axi.__file__)) if path.name not in _READ]
    known = (technology.corner, technology.sram, technology.wires, technology.strengths)
    mine = inspect.getsource(_measured)
    return [technology.fingerprint, technology.drive_text, *map(str, known), yosys.version(), *code, mine]


def _measured(
    spec: Spec, folder: Path, manifest: Mapping[str, Any], technology: Technology, recipe: str
) -> Sample:
    netlist = mapped(folder, technology, recipe=recipe)
    found = summary(netlist)
    switched = activity.measure(
        spec, folder, manifest, technology, glitches=True, data=operands(recipe), netlist=netlist
    )
    areas: dict[str, float] = {}
    registers: dict[str, int] = {}
    for name, module in found.modules.items():
        place = manifest["modules"][name]["place"]
        areas[place] = areas.get(place, 0.0) + module.area_um2 * module.instances
        registers[place] = registers.get(place, 0) + module.flip_flops * module.instances
    areas = {place: area for place, area in areas.items() if place != "memory"}
    return Sample(
        spec,
        areas,
        found.macro_area_um2,
        registers,
        found.critical_path_ps,
        found.path,
        slowest_by_place(
            netlist.graph, {name: module["place"] for name, module in manifest["modules"].items()}
        ),
        found.leakage_nw,
        switched,
    )
