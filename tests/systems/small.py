"""Small systems and random models for them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import random_models, random_systems
from blueprint import registry
from blueprint.errors import ParamError, SpecError
from blueprint.files.document import read_text
from blueprint.spec import Spec
from blueprint.systems import control
from blueprint.systems.control import Hardware
from blueprint.systems.description import Buffers
from blueprint.systems.memory_port import BEHAVIORS, MemoryPort
from blueprint.systems.reader import system_from
from blueprint.systems.runs import Runs
from blueprint.workloads.model import Model
from checkpoints.checkpoint import Checkpoint
from compiler import image
from compiler.compile import Compiled, compile_shapes
from compiler.image import Image
from compiler.prompts import Turn
from costmodel.systems.compiled import asked_of
from simulator.systems import decoding, proving
from simulator.systems.machine import Trace
from simulator.systems.passes import Passes, read_program

MODEL = Model(
    name="small", title="small", source="memory", hidden=32, ffn=64, layers=2, heads=4, kv_heads=2, head_dim=8,
    vocab=40, context=12, activation="relu2", tied_embeddings=True, sub_norms=True,
)  # fmt: skip
BUFFERS = Buffers(weights=1024, cache=1024, activations=65536)
#: Units of products by name.
PRODUCTS: dict[str, tuple[str, dict[str, Any]]] = {
    "tables": ("ternary_lut", {"mu": 2, "lut_count": 4, "fetch_count": 4, "key_encoding": "five_trits"}),
    "keys": ("ternary_lut", {"mu": 3, "lut_count": 8, "fetch_count": 4, "key_encoding": "sign_index"}),
    "array": (
        "systolic",
        {
            "organization": "weight_stationary", "pe": "ternary", "rows": 8, "cols": 4, "weight_width": 2,
        },
    ),
    "dots": (
        "systolic",
        {"organization": "output_stationary", "pe": "ternary", "rows": 1, "cols": 8, "weight_width": 2},
    ),
}  # fmt: skip


def product(name: str, **parameters: Any) -> Spec:
    """A unit of products of INT8 activations."""
    family, known = PRODUCTS[name]
    return registry.get(family)(**{"act_width": 8, "k_max": 64, "n_max": 128, **known, **parameters})


def attention(**parameters: Any) -> Spec:
    """A unit of attention over heads of the small model."""
    known = {"dim": 8, "parallel": 1, "head_group": 2, "keys_max": 12, "heads_max": 4, "mask": "causal"}
    return registry.get("streaming_attention")(**{**known, **parameters})


def vector(**parameters: Any) -> Spec:
    """A vector unit that rotates and scores."""
    known = {"lanes": 4, "length_max": 64, "rows_max": 64, "rotates": True, "dots": True}
    return registry.get("vector")(**{**known, **parameters})


def hardware(
    name: str = "tables", buffers: Buffers = BUFFERS, width: int = 32, embedding: int = 16, **units: Spec
) -> Hardware:
    """A small system around a unit of products."""
    found = {"matrix": product(name), "attention": attention(), "vector": vector(), **units}
    return control.built(name, found, width=width, burst=8, latency=20, buffers=buffers, embedding=embedding)


def checkpoint(
    model: Model = MODEL, seed: int = 1, *, epsilon: float = 1e-5, scale: float = 0.1
) -> Checkpoint:
    """A random model of these shapes."""
    return random_models.checkpoint(model, seed, epsilon=epsilon, scale=scale)


def check_passes(built: Hardware, shown: Image, done: Sequence[Turn], port: MemoryPort, known: Trace) -> None:
    """Passes in machine code take the cycles that are known of them, instruction by instruction."""
    runs = Runs(built)
    passes = Passes(built, [port] * 3, runs)
    tables = {name: read_program(built, runs, code) for name, code in shown.programs.items()}
    ran = [passes.run(tables[one.program], one.position) for one in done]
    assert passes.cycles == known.cycles
    for span in (span for spans in known.spans.values() for span in spans):
        mine = ran[span.place]
        assert (mine.begins[span.number], mine.ends[span.number]) == (span.begin, span.end), span


def port(name: str = "fixed") -> MemoryPort:
    """A behavior of memory, of as many bytes as small systems need."""
    return dataclasses.replace(BEHAVIORS[name], size=1 << 20)


def check_rtl(made: Compiled, prompt: Sequence[int], unit: str, folder: Path) -> None:
    """Two tokens behind a prompt are those of the RTL under every behavior of memory, in the same cycles.

    An instruction of ``unit`` that would take a cycle more is found.
    """
    shown = image.of_compiled(made)
    bench = random_systems.build(made.hardware, folder)
    for memory in BEHAVIORS:
        decoded = decoding.decode(made.hardware, shown, prompt, 2, port(memory))
        proof = proving.prove(made.hardware, bench, shown, prompt, decoded, port(memory))
        assert proof.findings == [] and proof.tokens == decoded.tokens and len(proof.tokens) == 2
    spans = decoded.trace.spans[unit]
    spans[-1] = dataclasses.replace(spans[-1], end=spans[-1].end + 1)
    told = proving.prove(made.hardware, bench, shown, prompt, decoded, port(memory)).findings
    assert len(told) == 1 and told[0].startswith(f"{unit}: instruction {len(spans) - 1} (start {unit}"), told


def refusal(text: str) -> str:
    """The sentence for the text of a system that cannot be compiled for its largest model, without its place."""
    with pytest.raises((ParamError, SpecError)) as told:
        compile_shapes(*asked_of(system := system_from(read_text(text)), system.largest))
    return re.sub(r"^<text>:\d+:\d+: ", "", str(told.value))
