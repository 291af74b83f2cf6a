"""Writes `tests/golden/<family>.json`: inventories, paths, times, traffic and costs of a dozen small designs a family.

    python -m benchmarks.golden [--families ternary_lut,systolic]
    python -m benchmarks.golden --samples
    python -m benchmarks.golden --files

Predictions stand beside what synthesis (asap7, by the recipe that its model was fitted to) and gate-level switching
measured of the same design, place by place: of all designs of a family, or of its first half where the smallest has
many gates. A design whose places do not agree within the bounds below is refused, so no wrong term becomes a golden
number. The tests then hold every term of the models to the numbers of the file. ``--samples`` writes
`tests/golden/samples.json` alone: hashes of random designs, tasks and operands, so that a number names them for ever.
``--files`` writes `tests/golden/files.json` alone: hashes of the files that the designs are exported as,
with the versions of the tools that wrote them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from blueprint import registry
from blueprint.shell import COUNTERS
from blueprint.spec import Spec
from blueprint.unit import Unit, flip_flops
from blueprint.version import VERSION
from costmodel.calibration import measuring, sampling
from costmodel.model import estimate, features, glitches
from costmodel.technology import technology as technologies
from costmodel.technology.technology import Technology
from generator.export import write_hardware
from simulator.cosim import scenarios

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden"
DESIGNS, POOL, SEED = 12, 400, 77
#: Of families whose smallest design has more gates than this the first half is measured.
LARGE = 15_000
#: Parameters that all golden designs of a family have: the fit is older than registers inside adders and products of
#: `vector`, than rows that are drawn, and than short steps of attention.
ALIKE: dict[str, dict[str, Any]] = {
    "vector": {"adder_stages": 0, "product_stages": 0, "samples": False, "top_k": 0},
    "streaming_attention": {"short_steps": False},
}
#: Random designs of a family whose hashes are kept.
SAMPLES = 60
#: Designs exported besides those with golden numbers: what stands in modules that none of them has.
MORE: dict[str, tuple[dict[str, Any], ...]] = {
    "vector": (
        {
            "lanes": 2, "length_max": 40, "rows_max": 40, "rotates": True, "dots": True, "activation": "silu",
        },
        {"lanes": 2, "length_max": 40, "rows_max": 40, "activation": "silu", "adder_stages": 1, "product_stages": 3},
        {"lanes": 2, "length_max": 40, "rows_max": 40, "dots": True, "samples": True, "format": "bf16"},
        {"lanes": 1, "length_max": 40, "dots": True, "samples": True, "adder_stages": 2},
        {"lanes": 2, "length_max": 40, "rows_max": 40, "dots": True, "samples": True, "top_k": 3},
    ),
    "streaming_attention": (
        {
            "graph": "scaled", "dim": 4, "keys_max": 16, "queries_max": 1, "mask": "none", "format": "int8",
            "candidates": 4,
        },
    ),
    "systolic": (
        {
            "organization": "weight_stationary", "pe": "float", "rows": 2, "cols": 2, "act_width": 8,
            "weight_width": 8, "k_max": 200, "n_max": 4, "token_depth": 7, "sparsity": "1:8",
            "activation": "fp8_e4m3", "acc_format": "fp16", "product_register": True,
        },
        {
            "organization": "weight_stationary", "pe": "ternary", "rows": 3, "cols": 2, "act_width": 8,
            "weight_width": 2, "k_max": 20, "n_max": 4, "token_depth": 5, "accumulator": "sram",
        },
        {
            "organization": "output_stationary", "pe": "ternary", "rows": 3, "cols": 2, "act_width": 8,
            "weight_width": 2, "k_max": 20, "n_max": 9, "m_max": 2, "token_depth": 4, "sparsity": "1:2",
        },
    ),
    "ternary_lut": (
        {
            "mu": 3, "lut_count": 2, "fetch_count": 2, "act_width": 3, "k_max": 20, "n_max": 4,
            "table_style": "half", "key_encoding": "sign_index", "build_style": "direct",
        },
    ),
}  # fmt: skip
#: Packages whose versions show in exported Verilog.
WRITERS = ("amaranth", "pyosys")
MEASURED = "asap7"
#: How far predictions may be from measurements: those of a whole design, and those of a place as a share of the whole.
#: Energies are without glitches, but for the last bound, of a whole design with them.
AREA_BOUND, AREA_PLACE = 0.06, 0.04
ENERGY_BOUND, ENERGY_PLACE, GLITCHES_BOUND = 0.2, 0.2, 0.45
DELAY_BOUND = 0.5
#: Bounds of families whose recorded designs are known better.
DELAY_BOUNDS = {"streaming_attention": 0.35, "systolic": 0.2, "ternary_lut": 0.36, "vector": 0.05}


def plain(value: Any) -> Any:
    """A number of an inventory as JSON has it: whole where it is whole."""
    number = float(value)
    return int(number) if number.is_integer() else number


def line(unit: Unit) -> list[Any]:
    """One line of an inventory: kind, count, dimensions in their order, activity."""
    return [unit.kind, plain(unit.count), [plain(d) for d in unit.dims.values()], plain(unit.activity)]


def inventory(spec: Spec) -> dict[str, list[Any]]:
    """Lines by place in their order; lines of nothing are left out."""
    places: dict[str, list[Any]] = {}
    for unit in spec.units():
        if unit.count:
            places.setdefault(unit.place, []).append(line(unit))
    return places


def paths(spec: Spec) -> dict[str, list[Any]]:
    """The steps of every path: place and line of each."""
    return {path.name: [[u.place, *line(u)[:3]] for u in path.steps if u.count] for path in spec.paths()}


def runs(spec: Spec) -> Iterator[dict[str, Any]]:
    """Time and traffic of a few random tasks and of the typical one."""
    random = np.random.default_rng(SEED)
    for task in (spec.typical_workload(), *(spec.sample_workload(random) for _ in range(3))):
        moved = {name: int(bits) for name, bits in spec.dram_bits(task).items()}
        yield {
            "sizes": task.sizes,
            "macs": task.macs,
            "cycles": int(spec.cycles(task)),
            "dram_bits": moved,
            "registers": spec.register_values(task),
        }


def costs(spec: Spec, technology: Technology) -> dict[str, Any]:
    """Predictions of the model in one technology."""
    units = spec.units()
    return {
        "area_um2": {place: float(area) for place, area in estimate.area(units, technology).items()},
        "energy_pj": {
            place: [float(part) for part in parts]
            for place, parts in estimate.energies_by_place(units, technology).items()
        },
        "gated_pj": {
            place: float(part) for place, part in estimate.gated_by_place(units, technology).items()
        },
        "glitch_pj": {place: float(energy) for place, energy in glitches.energies(spec, technology).items()},
        "path_ps": {
            path.name: float(estimate.steps(path, technology, estimate.wiring(spec, technology)))
            for path in spec.paths()
        },
        "critical_path_ps": float(estimate.delay(spec, technology)),
        "leakage_nw": float(estimate.leakage(units, technology)),
    }


def record(spec: Spec, measures: bool) -> dict[str, Any]:
    """Everything about one design; raises ``ValueError`` where a prediction is too far from its measurement."""
    found = {
        "parameters": spec.parameters,
        "peak_macs": plain(spec.peak_macs),
        "rough_gates": sum(plain(features.rough_gates(unit)) for unit in spec.units()),
        "streams": {stream.name: stream.width for stream in spec.streams()},
        "inventory": inventory(spec),
        "paths": paths(spec),
        "runs": list(runs(spec)),
        "costs": {name: costs(spec, technologies.load(name)) for name in technologies.names()},
        "measured": measured(spec) if measures else None,
    }
    problems = list(disagreements(found, spec)) if measures else []
    if problems:
        raise ValueError(f"{spec.name}: {'; '.join(problems)}")
    return found


def measured(spec: Spec) -> dict[str, Any]:
    """Synthesis and switching of one design, memory macros left out."""
    sample = measuring.measure(
        spec, technologies.load(MEASURED), lambda chosen, folder: write_hardware(chosen, folder)
    )
    return {
        "flip_flops": {place: count for place, count in sample.registers.items() if count},
        "area_um2": dict(sample.areas),
        "critical_path_ps": sample.critical_path_ps,
        "energy_pj": dict(sample.switched.energies),
        "glitch_pj": dict(sample.switched.glitches.energies) if sample.switched.glitches else {},
        "busy": list(sample.busy),
    }


def disagreements(design: Mapping[str, Any], spec: Spec) -> Iterator[str]:
    """Disagreements between predictions and measurements of a recorded design, in words."""
    model, real = design["costs"][MEASURED], design["measured"]
    for place in sorted({*design["inventory"], *real["flip_flops"]}):
        lines = design["inventory"].get(place, [])
        counted = sum(count * dims[0] for kind, count, dims, _ in lines if kind == "register")
        if counted != real["flip_flops"].get(place, 0):
            yield f"flip-flops of {place} must be {real['flip_flops'].get(place, 0)}, not {counted}"
    ratio = model["critical_path_ps"] / real["critical_path_ps"]
    bound = DELAY_BOUNDS.get(spec.family, DELAY_BOUND)
    if abs(ratio - 1) > bound:
        yield f"critical path must be within {bound:.0%} of the netlist's, not {ratio - 1:+.0%}"
    area = {place: value for place, value in model["area_um2"].items() if place != "memory"}
    yield from _apart("area", area, real["area_um2"], AREA_BOUND, AREA_PLACE)
    busy, gated = estimate.Busy(*real["busy"]), model["gated_pj"]
    energy = {
        place: clocks + busy.switched * moved + (busy.clocked - busy.switched) * gated.get(place, 0.0)
        for place, (clocks, moved) in model["energy_pj"].items()
        if place != "memory"
    }
    yield from _apart("energy", energy, real["energy_pj"], ENERGY_BOUND, ENERGY_PLACE)
    glitching = sum(energy.values()) + busy.switched * sum(model["glitch_pj"].values())
    ratio = glitching / (sum(real["energy_pj"].values()) + sum(real["glitch_pj"].values()))
    if abs(ratio - 1) > GLITCHES_BOUND:
        yield f"energy with glitches must be within {GLITCHES_BOUND:.0%} of the netlist's, not {ratio - 1:+.0%}"


def _apart(
    what: str, model: Mapping[str, float], real: Mapping[str, float], whole: float, place: float
) -> Iterator[str]:
    total = sum(real.values())
    if abs(sum(model.values()) / total - 1) > whole:
        yield f"{what} must be within {whole:.0%} of the netlist's, not {sum(model.values()) / total - 1:+.1%}"
    for name in sorted({*model, *real}):
        gap = (model.get(name, 0.0) - real.get(name, 0.0)) / total
        if abs(gap) > place:
            yield f"{what} of {name} must be within {place:.0%} of the whole, not {gap:+.1%}"


def chosen(kind: type[Spec]) -> tuple[Spec, ...]:
    """Small designs of a family whose choices are spread over all it has."""
    drawn = [kind.sample(np.random.default_rng([SEED, number])) for number in range(POOL)]
    alike = ALIKE.get(kind.family, {})
    drawn = [kind.from_mapping({**spec.parameters, **alike}) for spec in drawn] if alike else drawn
    return sampling.spread(sorted(drawn, key=sampling.gates)[: POOL // 4], DESIGNS)


def measured_of(specs: tuple[Spec, ...]) -> tuple[Spec, ...]:
    """Those of the chosen designs of a family that are synthesized."""
    return specs[: DESIGNS // 2] if min(map(sampling.gates, specs)) > LARGE else specs


def samples(kind: type[Spec]) -> list[dict[str, str]]:
    """Hashes of some random designs: what they are, their inventory and paths, their tasks, operands and times."""
    found = []
    for number in range(SAMPLES):
        random = np.random.default_rng([SEED, number])
        spec = kind.sample(random)
        tasks = [spec.typical_workload(), spec.sample_workload(random), spec.sample_workload(random)]
        operands = [spec.typical_operands(tasks[0], number), *(spec.operands(t, number) for t in tasks[1:])]
        times = [[int(spec.cycles(t)), spec.cycles_of(t, o)] for t, o in zip(tasks, operands, strict=True)]
        found.append(
            {
                "design": _digest(spec.parameters),
                "inventory": _digest(inventory(spec)),
                "paths": _digest(paths(spec)),
                "tasks": _digest([[task.sizes, spec.register_values(task)] for task in tasks]),
                "operands": _digest([{k: np.asarray(v).tolist() for k, v in o.items()} for o in operands]),
                "times": _digest(times),
            }
        )
    return found


def exported(spec: Spec) -> dict[str, str]:
    """A hash of each file that a design is exported as; the version of this package does not count."""
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "design"
        write_hardware(spec, out)
        for file in sorted(path for path in out.rglob("*") if path.is_file()):
            text = file.read_text(encoding="utf-8").replace(f'"tool_version": "{VERSION}"', "")
            found[str(file.relative_to(out))] = _digest(text)
    return found


def bench(spec: Spec) -> dict[str, list[Any]]:
    """Steps of every scenario of the bench of a design: how many, and a hash of what they tell it to do."""
    plans = scenarios.scenarios(spec, SEED, COUNTERS)
    return {
        plan.name: [len(plan.steps), _digest([plan.checks, [step.command for step in plan.steps]])]
        for plan in plans
    }


def writers() -> dict[str, str]:
    """Versions of the packages that write Verilog."""
    return {name: metadata.version(name) for name in WRITERS}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]


def exportable(family: str) -> list[Spec]:
    """Designs of a family whose exported files are recorded."""
    designs = json.loads((FOLDER / f"{family}.json").read_text(encoding="utf-8"))["designs"]
    kind = registry.get(family)
    return [kind.from_mapping(each) for each in (*(d["parameters"] for d in designs), *MORE.get(family, ()))]


def _write_files() -> None:
    found: dict[str, Any] = {"recipe": "python -m benchmarks.golden --files", "writers": writers()}
    found["families"] = {
        family: [exported(spec) for spec in exportable(family)] for family in registry.families()
    }
    found["benches"] = {family: bench(exportable(family)[-1]) for family in registry.families()}
    text = json.dumps(found).replace('{"bench', '\n{"bench') + "\n"
    (FOLDER / "files.json").write_text(text, encoding="utf-8")


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--families", default=",".join(registry.families()))
    options.add_argument("--samples", action="store_true")
    options.add_argument("--files", action="store_true")
    given = options.parse_args()
    if given.files:
        _write_files()
        return
    if given.samples:
        hashes = {family: samples(kind) for family, kind in registry.families().items()}
        (FOLDER / "samples.json").write_text(
            json.dumps(hashes).replace('{"design"', '\n{"design"') + "\n", encoding="utf-8"
        )
        return
    for family in given.families.split(","):
        designs = []
        specs = chosen(registry.get(family))
        measures = measured_of(specs)
        for spec in specs:
            designs.append(record(spec, spec in measures))
            print(family, spec.name, int(flip_flops(spec.units())), flush=True)
        FOLDER.mkdir(exist_ok=True)
        text = json.dumps(
            {"recipe": "python -m benchmarks.golden", "seed": SEED, "designs": designs}, indent=None
        )
        (FOLDER / f"{family}.json").write_text(
            text.replace('{"parameters"', '\n{"parameters"') + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
