"""Random small decoders on random small systems: compiled, decoded by the golden model, timed, and run as RTL.

``python -m benchmarks.random_systems [--systems N] [--first N] [--engine cxxrtl|verilator] [--out FILE] [--again]``:
each system runs its prompt under the four behaviors of memory and a fifth that is drawn; tokens, every stored byte, and
begin and end of every instruction must be those of the simulator. The file gets a record for each system as it is done;
systems that are in it already, with the same design, are left out. ``--page`` runs nothing: it writes the table of
``docs/systems_hardware.md`` from the file.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from benchmarks import markdown
from benchmarks.random_models import checkpoint
from blueprint import registry
from blueprint.errors import ParamError
from blueprint.spec import Spec
from blueprint.systems import control, staging
from blueprint.systems.control import Hardware
from blueprint.systems.description import INTEGERS, Buffers
from blueprint.systems.memory_port import BEHAVIORS, MemoryPort
from blueprint.systems.staging import EMBEDDING, PACKED
from blueprint.unit import flip_flops
from blueprint.workloads.model import Model
from blueprint.workloads.tasks import Attention, Gemm, Rowwise
from compiler import calibration, image
from compiler.compile import Compiled, compile_model
from simulator.systems import decoding, proving, rtl
from toolchain import files

#: Systems of a whole run.
SYSTEMS = 24
#: Flip-flops of a unit that is small; systems that are drawn for one of small units, and designs for one of these.
LARGEST, DRAWS, DESIGNS = 6500, 500, 40
#: Bits of memory ports.
WIDTHS = (32, 64, 128)
#: Bytes of the memory.
SIZE = 1 << 20
_DOCS = Path(__file__).resolve().parents[1] / "docs"
RECORD, PAGE = _DOCS / "random_systems.yaml", _DOCS / "systems_hardware.md"
#: What systems of a record differ in, by the keys that lead to it.
VARIED: Mapping[str, tuple[str, ...]] = {
    "matrix unit": ("units", "matrix", "family"),
    "bits of the cache": ("units", "attention", "kv_width"),
    "query heads that take a key beat": ("units", "attention", "head_group"),
    "format of the vector unit": ("units", "vector", "format"),
    "its lanes": ("units", "vector", "lanes"),
    "registers inside its adders": ("units", "vector", "adder_stages"),
    "bits of the embedding": ("embedding_width",),
    "bits of the memory port": ("port", "width"),
    "words of a burst": ("port", "burst"),
    "layers": ("model", "layers"),
    "activation": ("model", "activation"),
    "gate": ("model", "gated"),
    "sub-norms": ("model", "sub_norms"),
    "tied embedding": ("model", "tied_embeddings"),
}


class Turn(NamedTuple):
    """The options that systems take in turns: product family, bits of cache, embedding and port; 24 have every four."""

    product: str
    cache: int
    embedding: int
    width: int


@dataclass(frozen=True)
class Case:
    """A drawn system with a compiled model, what it is asked, and a behavior of memory of its own."""

    number: int
    found: Compiled
    prompt: list[int]
    count: int
    memory: MemoryPort

    @property
    def hardware(self) -> Hardware:
        """The system."""
        return self.found.hardware

    @property
    def ports(self) -> dict[str, MemoryPort]:
        """All behaviors of memory by name."""
        ports = {**BEHAVIORS, "drawn": self.memory}
        return {name: dataclasses.replace(port, size=SIZE) for name, port in ports.items()}


# Draw -----------------------------------------------------------------------------------------------------------------


def families(task: type) -> list[str]:
    """Families that run such tasks."""
    return [name for name in registry.families() if registry.get(name).task is task]


def drawn(number: int) -> Case:
    """The system of a number; families of products take turns."""
    random = np.random.default_rng([14, number])
    for _ in range(DRAWS):
        try:
            return _case(number, turn(number), random)
        except ParamError:
            continue
    raise RuntimeError(f"a system must be drawn in {DRAWS} attempts, and number {number} was not")


def in_blocks(case: Case, block: int) -> Case:
    """The same system and model with prompts in blocks of ``block`` tokens."""
    hardware = dataclasses.replace(case.hardware, block=block)
    found = compile_model(hardware, case.found.checkpoint, case.found.steps)
    return dataclasses.replace(case, found=found)


def turn(number: int) -> Turn:
    """The options that the system of a number must have."""
    found: list[Any] = []
    for choices in (families(Gemm), (8, PACKED), (EMBEDDING, INTEGERS), WIDTHS):
        number, place = divmod(number, len(choices))
        found.append(choices[place])
    return Turn(*found)


def _case(number: int, turn: Turn, random: np.random.Generator) -> Case:
    def pick(*choices: int) -> int:
        return int(random.choice(choices))

    # A wider port gives a row of the head in fewer cycles, and the vector unit has to keep up.
    width, wider = turn.width, turn.width // WIDTHS[0]
    lanes, dim = pick(*((4, 8) if wider == 4 else (2, 4))), pick(4, 8, 16)
    share, kv_heads, context = pick(1, 2, 3), pick(1, 2, 3), pick(4, 7, 12)
    model = Model(
        name=f"random_{number}", title="random", source="memory", hidden=pick(12, 16, 24, 32) * wider,
        ffn=pick(16, 24, 48), layers=pick(1, 2, 3), heads=share * kv_heads, kv_heads=kv_heads, head_dim=dim,
        vocab=pick(9, 24, 40), context=context, activation=str(random.choice(["relu2", "silu"])),
        sub_norms=bool(pick(0, 1)),
        tied_embeddings=bool(pick(0, 1)), gated=bool(pick(0, 1, 1)),
    )  # fmt: skip
    query = model.heads * dim
    matrix = _unit("matrix", turn.product, random, width, {
        "act_width": 8, "activation": "int", "weight_width": 2, "sparsity": "dense", "token_lanes": 1, "n_tile": 0,
        "act_buffer": False, "exact": False, "adder_stages": 0, "result_format": "same", "acc_format": "same",
        "k_max": max(query, model.ffn, model.hidden), "n_max": max(query, 2 * kv_heads * dim, 2 * model.ffn),
    })  # fmt: skip
    attention = _unit("attention", families(Attention)[0], random, width, {
        "format": "int8", "acc_format": "integer", "dim": dim, "parallel": 1, "head_group": pick(1, share),
        "keys_max": context, "heads_max": model.heads, "kv_width": turn.cache, "candidates": 0,
        "mask": str(random.choice(["causal", "none"])),
    })  # fmt: skip
    vector = _unit("vector", families(Rowwise)[0], random, width, {
        "lanes": lanes, "length_max": max(query, model.ffn, model.hidden), "rows_max": max(model.vocab, model.heads),
        "dequantizes": True, "gates": True, "adds": True, "rotates": True, "dots": True,
        "samples": False, "top_k": 0,
        "activation": model.activation,
    })  # fmt: skip
    hardware = control.built(
        f"random{number}", {"matrix": matrix, "attention": attention, "vector": vector}, width=width,
        burst=pick(2, 8, 16), latency=pick(4, 20), buffers=Buffers(pick(512, 1024, 4096), pick(512, 1024), 65536),
        embedding=turn.embedding,
    )  # fmt: skip
    epsilon = float(getattr(vector, "epsilon"))  # noqa: B009
    trained = checkpoint(model, number, epsilon=epsilon, scale=float(random.uniform(0.02, 0.3)))
    tokens = [int(token) for token in random.integers(model.vocab, size=pick(1, 2, 3))]
    found = compile_model(hardware, trained, calibration.measure(trained, [tokens]))
    if found.layout.end > SIZE:
        raise ParamError(f"Memory must have {found.layout.end} bytes, not {SIZE}")
    return Case(number, found, tokens, pick(1, 2), _memory(random))


def _unit(unit: str, family: str, random: np.random.Generator, width: int, wanted: Mapping[str, Any]) -> Spec:
    """A random design of a family with those parameters that are wanted and that it has; a small one.

    Raises ``ParamError`` where none was drawn whose beats fit a memory port of ``width`` bits.
    """
    reason = ParamError(f"{unit} must be drawn")
    for _ in range(DESIGNS):
        sample = registry.get(family).sample(random)
        known = {field.name for field in dataclasses.fields(sample)}
        try:
            spec = dataclasses.replace(
                sample, **{name: value for name, value in wanted.items() if name in known}
            )
            if spec.data_dependent:
                raise ParamError(f"Cycles of {unit} must follow from its sizes")
            staging.inputs({unit: spec}, width)
            staging.outputs({unit: spec}, width)
        except ParamError as problem:
            reason = problem
            continue
        count = int(flip_flops(spec.units()))
        if count <= LARGEST:
            return spec
        reason = ParamError(f"{unit} must have at most {LARGEST} flip-flops to be small, not {count}")
    raise reason


def _memory(random: np.random.Generator) -> MemoryPort:
    period, interval = int(random.choice([0, 97, 500])), int(random.integers(1, 8))
    return MemoryPort(
        latency=int(random.integers(1, 70)), spread=int(random.choice([0, 3, 30])),
        beats=int(random.integers(1, interval + 1)), interval=interval,
        period=period, gap=int(random.integers(period // 2)) if period else 0,
        depth=int(random.choice([1, 2, 16])), seed=int(random.integers(1 << 30)),
    )  # fmt: skip


# Prove ----------------------------------------------------------------------------------------------------------------


def build(hardware: Hardware, folder: Path, engine: rtl.Engine = "cxxrtl") -> Path:
    """The bench around the RTL of a system."""
    from generator.emission import emit
    from generator.systems.top import SystemTop

    top = SystemTop(hardware)
    emitted, source = emit(top), folder / "top.v"
    source.write_text("\n".join(emitted.modules.values()), encoding="utf-8")
    pins = {name: len(signal) for name, (_, signal) in top.pins.items()}
    return rtl.executable(hardware, [source], pins, emitted.top, engine)


def proofs(case: Case, bench: Path) -> Iterator[tuple[str, proving.Proof]]:
    """The results of the RTL under every behavior of memory."""
    picture = image.of_compiled(case.found)
    for name, port in case.ports.items():
        decoded = decoding.decode(case.hardware, picture, case.prompt, case.count, port)
        yield name, proving.prove(case.hardware, bench, picture, case.prompt, decoded, port)


def described(case: Case) -> dict[str, Any]:
    """The drawn system and model, as a record."""
    model, hardware = case.found.checkpoint.decoder.model, case.hardware
    names = (
        "hidden", "ffn", "layers", "heads", "kv_heads", "head_dim", "vocab", "context", "activation", "sub_norms",
        "tied_embeddings", "gated",
    )  # fmt: skip
    units = {
        name: {"family": spec.family, **{key: _plain(value) for key, value in spec.parameters.items()}}
        for name, spec in hardware.units.items()
    }
    return {
        "design_hash": hardware.design_hash,
        "model": {name: getattr(model, name) for name in names},
        "units": units,
        "buffers": dataclasses.asdict(hardware.buffers),
        "port": {"width": hardware.width, "burst": hardware.load.burst_words},
        "embedding_width": hardware.embedding,
        "memory": dataclasses.asdict(case.memory) | {"poisoned": list(case.memory.poisoned)},
        "prompt": case.prompt,
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, str)) else str(value)


def record(case: Case, bench: Path) -> dict[str, Any]:
    """The drawn system and model and the results, as a record."""
    runs = {
        name: {
            "tokens": proof.tokens, "cycles": proof.cycles, "instructions": proof.instructions,
            "findings": proof.findings,
        }
        for name, proof in proofs(case, bench)
    }  # fmt: skip
    return {**described(case), "ok": not any(run["findings"] for run in runs.values()), "runs": runs}


# The command ----------------------------------------------------------------------------------------------------------


def kept(path: Path) -> dict[int, Any]:
    """Records of a file by number; none where there is no file."""
    return dict(yaml.safe_load(path.read_text(encoding="utf-8"))["systems"]) if path.exists() else {}


def write(path: Path, engine: str, found: Mapping[int, Any]) -> None:
    """Write the records, and what they add up to."""
    runs = [run for one in found.values() for run in one["runs"].values()]
    summary = {
        "date": date.today().isoformat(), "command": "python -m benchmarks.random_systems", "engine": engine,
        "count": len(found), "differ": sum(not one["ok"] for one in found.values()), "runs": len(runs),
        "instructions": sum(run["instructions"] for run in runs), "cycles": sum(run["cycles"] for run in runs),
    }  # fmt: skip
    content = {**summary, "systems": {number: found[number] for number in sorted(found)}}
    draft = path.with_suffix(".part")
    draft.write_text(yaml.safe_dump(content, sort_keys=False, width=120), encoding="utf-8")
    draft.replace(path)


def table(content: Mapping[str, Any]) -> str:
    """The number of systems of a record with each option, and the totals of all runs."""
    systems = content["systems"].values()
    lines = [["of the systems", "so many have"]]
    for what, keys in VARIED.items():
        found = Counter(at(one, keys) for one in systems)
        lines.append([what, ", ".join(f"{_word(value)}: {count}" for value, count in sorted(found.items()))])
    differ = f"{content['differ']} differ" if content["differ"] else "all equal"
    ran = f"{content['runs']} runs, {content['instructions']:,} instructions, {content['cycles']:,} cycles"
    return markdown.table([*lines, ["all", f"{content['count']} systems, {ran}: {differ}"]])


def at(one: Any, keys: Sequence[str]) -> Any:
    """The values in a record under some keys."""
    for key in keys:
        one = one[key]
    return one


def _word(value: Any) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def page(text: str, content: Mapping[str, Any]) -> str:
    """The page with its table written again."""
    return markdown.rewritten(text, PAGE, {"random systems": lambda: table(content)})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run systems; 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--systems", type=int, default=SYSTEMS)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--engine", choices=("cxxrtl", "verilator"), default="cxxrtl")
    parser.add_argument("--out", type=Path, default=RECORD)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--page", action="store_true")
    asked = parser.parse_args(arguments)
    if asked.page:
        content = yaml.safe_load(asked.out.read_text(encoding="utf-8"))
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), content), encoding="utf-8")
        return 0
    found = {} if asked.again else kept(asked.out)
    began, done = time.monotonic(), 0
    for number in range(asked.first, asked.first + asked.systems):
        case = drawn(number)
        if number in found and found[number]["design_hash"] == case.hardware.design_hash:
            print(f"{number}: in {asked.out}", file=sys.stderr)
            continue
        with files.scratch() as folder:
            bench = build(case.hardware, folder, asked.engine)
        found[number] = record(case, bench)
        write(asked.out, asked.engine, found)
        done += 1
        _tell(
            number,
            found[number],
            (time.monotonic() - began) / done * (asked.first + asked.systems - number - 1),
        )
    return int(any(not one["ok"] for one in found.values()))


def _tell(number: int, one: Mapping[str, Any], left: float) -> None:
    first = next((run["findings"][0] for run in one["runs"].values() if run["findings"]), "equal")
    cycles = sum(run["cycles"] for run in one["runs"].values())
    print(f"{number}: {cycles:,} cycles, {first}; about {left:,.0f} s left", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
