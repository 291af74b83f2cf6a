"""Small decoders as recorded in `tests/golden/systems.json`: programs, memory, cycles, costs and files.

    python -m tests.systems.recorded

What moves a number on purpose is recorded again. Values and cycles are those of models that other tests compare with
the RTL; here every one of them is held, and every term of an area, a clock and an energy with it.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, astuple, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import golden
from blueprint.systems import inventory
from blueprint.systems.control import Hardware
from blueprint.systems.memory_port import BEHAVIORS, MemoryPort
from blueprint.systems.reader import read_system
from blueprint.systems.runs import Runs
from blueprint.version import VERSION
from compiler import image
from compiler.calibration import Steps
from compiler.compile import Compiled, Plan, compile_model
from compiler.prompts import DECODE
from costmodel.systems import estimate as costs
from costmodel.systems import metrics, schedule
from costmodel.technology import technology as technologies
from generator.system_export import write_system
from simulator.systems.golden import Golden, Memory
from simulator.systems.passes import Passes, read_program
from simulator.systems.sums import Adding
from tests.systems import small

FILE = Path(__file__).resolve().parent.parent / "golden" / "systems.json"
PRESET = Path(__file__).resolve().parents[2] / "examples" / "tiny_decoder" / "system.yaml"
STEPS = tuple(
    Steps((0.02 + layer / 64, 0.03), (0.015, 0.01 + layer / 128), (0.0125, 0.02), 0.01) for layer in range(2)
)
TOKENS = [3, 17, 5, 39]
MEMORIES: dict[str, MemoryPort] = {name: replace(one, size=1 << 20) for name, one in BEHAVIORS.items()}
TECHNOLOGIES = ("asap7", "sky130hd")


def hardware(name: str) -> Hardware:
    """A system of each unit of products, with what else a decoder can have spread over them."""
    made = {
        "tables": lambda: small.hardware("tables"),
        "keys": lambda: replace(small.hardware("keys", attention=small.attention(kv_width=4)), block=3),
        "array": lambda: small.hardware("array", embedding=8),
        "dots": lambda: small.hardware("dots", attention=small.attention(format="fp16", acc_format="fixed")),
    }
    return made[name]()


NAMES = ("tables", "keys", "array", "dots")
#: Systems whose files are recorded; emission takes a few seconds each.
EMITTED = ("tables",)


@cache
def compiled(name: str) -> Compiled:
    """The small model, or one with a head of its own, with steps that nothing measured."""
    model = replace(
        small.MODEL, tied_embeddings=name != "array", gated=name != "keys", sub_norms=name != "dots"
    )
    given = () if name == "dots" else STEPS
    return compile_model(hardware(name), small.checkpoint(model), given)


def digest(value: Any) -> str:
    """A short hash of bytes, or of what JSON holds."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return hashlib.sha256(data).hexdigest()[:12]


def memory(name: str) -> dict[str, Any]:
    """Where everything lies and what is in it."""
    found = compiled(name)
    regions = [list(astuple(region)) for region in found.layout.regions.values()]
    return {
        "base": found.layout.base,
        "end": found.layout.end,
        "regions": digest(regions),
        "contents": {region: digest(data.tobytes()) for region, data in found.layout.contents.items()},
        "tiles": digest([list(astuple(tile)) for tile in found.tiles]),
    }


def programs(name: str) -> dict[str, list[Any]]:
    """Words of every program, what they are for, and the listing."""
    picture = image.of_compiled(compiled(name))
    notes = {
        one: [[*astuple(purpose), size] for purpose, size in kept] for one, kept in picture.notes.items()
    }
    return {
        one: [len(program), digest([step.encode() for step in program]), digest(notes[one])]
        for one, program in picture.programs.items()
    } | {"listing": [digest(image.listing(picture, {}).encode())]}


def values(name: str) -> dict[str, Any]:
    """What the golden system leaves in memory after a few tokens, and the tokens that it chooses."""
    found = compiled(name)
    left = Memory(found.layout.base, found.layout.image())
    golden_system, program = Golden(found.hardware, left), found.program(DECODE).instructions
    tokens = found.layout["tokens"]
    chosen = []
    for position, token in enumerate(TOKENS):
        left.write(tokens.base + 4 * position, np.array([[token]], "<u4").view(np.uint8))
        golden_system.run(program, position)
        at = tokens.base + 4 * (position + 1)
        chosen.append(int(np.frombuffer(left.written.tobytes()[at : at + 4], "<u4")[0]))
    return {"tokens": chosen, "memory": digest(left.written.tobytes())}


def cycles(name: str, behavior: str) -> dict[str, Any]:
    """Every begin and end of passes at two positions, and sums over them, behind one memory."""
    plan: Plan = compiled(name)
    port, runs = MEMORIES[behavior], Runs(plan.hardware)
    found: dict[str, Any] = {}
    for one in plan.programs:
        passes = Passes(plan.hardware, [port] * 3, runs)
        table = read_program(plan.hardware, runs, one.instructions)
        adding = Adding(runs, table, one.notes)
        spans = []
        for position in (0, 5):
            ran = passes.run(table, position, 3)
            adding.add(ran)
            spans.append([ran.begins.tolist(), ran.ends.tolist(), ran.reasons.tolist(), ran.waited.tolist()])
        analytic = schedule.Pass(plan.hardware, port, runs, 5).run(one.instructions)
        sums = json.loads(json.dumps(vars(adding.sums()), sort_keys=True))
        found[one.name] = {
            "cycles": passes.cycles,
            "spans": digest(spans),
            "busy": sums["busy"],
            "macs": sums["macs"],
            "traffic": sums["traffic"],
            "sums": digest(sums),
            "analytic": [analytic.cycles, digest([list(astuple(start)) for start in analytic.starts])],
        }
    return found


def around(name: str) -> dict[str, Any]:
    """What stands around the units: inventory, paths, and their costs."""
    made = hardware(name)
    units = inventory.units(made)
    found: dict[str, Any] = {
        "inventory": digest([[unit.place, *golden.line(unit)] for unit in units if unit.count]),
        "paths": digest(
            [
                [path.name, [[u.place, *golden.line(u)] for u in path.steps]]
                for path in inventory.Around(made).paths()
            ]
        ),
        "stages": digest(
            [
                [stage.buffer, stage.word_bytes, [golden.line(u) for u in stage.memories]]
                for stage in inventory.stages(made)
            ]
        ),
        "hash": made.design_hash,
    }
    for technology in TECHNOLOGIES:
        found[technology] = asdict(costs.around(made, technologies.load(technology)))
    return found


def estimates(technology: str) -> dict[str, Any]:
    """Every number of an estimate of the preset with a prompt, in a technology."""
    system = read_system(PRESET)
    sizes = {"hidden": 128, "ffn": 384, "layers": 2, "heads": 4, "kv_heads": 2, "vocab": 256, "context": 64}
    system = replace(system, largest=replace(system.largest, **sizes))
    found = costs.estimate(system, system.largest, technologies.load(technology), 20, 9)
    return {
        "metrics": metrics.metrics(found),
        "areas": found.costs.areas,
        "clocks": found.costs.clocks_mhz,
        "buffers": {name: asdict(one) for name, one in found.costs.buffers.items()},
        "meets": found.meets_clock,
        "phases": {
            name: {
                "tokens": phase.tokens,
                "seconds": phase.time.seconds,
                "energies": dict(phase.energies),
                "busy": costs.busy(phase, system),
                "limit": list(costs.limit(phase, system)),
                "rows": costs.rows(phase.time.steps, found.clock_mhz),
            }
            for name, phase in found.phases.items()
        },
        "inventory": costs.inventory(system),
    }


def files(name: str) -> dict[str, str]:
    """A hash of every file of a system; the version of this package does not count."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "system"
        write_system(hardware(name), out)
        texts = {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}
    return {
        path: digest(text.replace(f'"tool_version": "{VERSION}"', "").encode())
        for path, text in sorted(texts.items())
    }


def kept() -> dict[str, Any]:
    """The record."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def recorded() -> dict[str, Any]:
    """Everything, computed now."""
    return {
        "recipe": "python -m tests.systems.recorded",
        "writers": golden.writers(),
        "memory": {name: memory(name) for name in NAMES},
        "programs": {name: programs(name) for name in NAMES},
        "values": {name: values(name) for name in NAMES},
        "cycles": {name: {each: cycles(name, each) for each in MEMORIES} for name in NAMES},
        "around": {name: around(name) for name in NAMES},
        "estimates": {technology: estimates(technology) for technology in TECHNOLOGIES},
        "files": {name: files(name) for name in EMITTED},
    }


def lines(found: Mapping[str, Any]) -> str:
    """The record as text, a line for each system of each part."""
    parts = [
        f"{json.dumps(key)}: "
        + (
            "{\n" + ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "\n}"
            if isinstance(value, dict)
            else json.dumps(value)
        )
        for key, value in found.items()
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(lines(recorded()), encoding="utf-8")
