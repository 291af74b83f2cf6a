"""Systems whose attention takes floats: a cache of 16 bits, without steps, from the compiler to the RTL."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import random_systems
from blueprint.errors import ParamError
from blueprint.record import Integers
from blueprint.systems import operations
from blueprint.systems.control import Hardware
from blueprint.systems.memory_port import BEHAVIORS
from blueprint.systems.reader import read_system
from blueprint.workloads.model import Model
from checkpoints.reference import Reference
from checkpoints.ternary import Floats
from compiler import image
from compiler.compile import Compiled, compile_model, has_steps
from compiler.prompts import DECODE
from simulator.systems import decoding, proving
from simulator.systems.golden import Golden, Memory
from tests.costmodel.test_compiled_estimate import agree_on_a_token
from tests.systems import small
from tests.systems.test_compiler import TOKENS, compiled, scores
from tests.volume import ALL

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "tiny_fp16.yaml"
SUMS = ("fixed", "fp32", "same")


def hardware(acc_format: str = "fixed", **attention: object) -> Hardware:
    unit = small.attention(**{"format": "fp16", "acc_format": acc_format, **attention})
    return small.hardware(attention=unit)


def floats(model: Model = small.MODEL, acc_format: str = "fixed", **attention: object) -> Compiled:
    """The small model with a cache of FP16: nothing is measured."""
    return compile_model(hardware(acc_format, **attention), small.checkpoint(model), ())


def distance(found: Compiled) -> float:
    """The largest difference from the scores of the reference decoder, of their largest magnitude."""
    wanted = Reference(found.checkpoint).logits(TOKENS)
    return float(np.abs(scores(found)[0] - wanted).max() / np.abs(wanted).max())


def test_floats_have_no_steps() -> None:
    found = floats()
    assert not has_steps(found.hardware) and found.steps == ()
    assert has_steps(small.hardware())


@pytest.mark.parametrize("acc_format", SUMS)
def test_a_cache_of_floats_scores_as_the_reference_decoder(acc_format: str) -> None:
    assert (
        distance(floats(acc_format=acc_format)) < 0.03
    )  # one of integers in front of a product rounds elsewhere


@pytest.mark.parametrize("change", [{"sub_norms": False}, {"kv_heads": 4}, {"layers": 1}])
def test_of_other_shapes_too(change: dict[str, int]) -> None:
    model = dataclasses.replace(small.MODEL, **change)  # type: ignore[arg-type]
    assert distance(floats(model, head_group=model.heads // model.kv_heads)) < 0.03


def test_a_cache_of_bf16_comes_from_a_vector_unit_of_bf16() -> None:
    units = {
        "attention": small.attention(format="bf16", acc_format="fp32"),
        "vector": small.vector(format="bf16"),
    }
    assert distance(compile_model(small.hardware(**units), small.checkpoint(), ())) < 0.03


def test_a_head_group_of_one_takes_its_keys_twice() -> None:
    assert np.array_equal(scores(floats(head_group=1))[0], scores(floats())[0])


def reference(found: Compiled) -> dict[tuple[str, int], Floats]:
    """Heads of the reference decoder by name and layer, for three tokens."""
    mine: dict[tuple[str, int], Floats] = {}

    def watch(layer: int, what: str, values: Floats) -> None:
        mine[what, layer] = values.copy()

    Reference(found.checkpoint, watch).logits(TOKENS[:3])
    return mine


@pytest.mark.parametrize("acc_format", SUMS)
def test_attention_gives_the_numbers_of_the_model(acc_format: str) -> None:
    """In the first layer, in front of which nothing rounds elsewhere."""
    found, rows = floats(acc_format=acc_format), []

    def watch(unit: str, run: int, field: str, values: Integers) -> None:
        if unit == "attention":
            rows.append(values[0].astype("<u2").view(np.float16))

    memory = Memory(found.layout.base, found.layout.image())
    golden, address = Golden(found.hardware, memory, watch), found.layout["tokens"].base
    for position, token in enumerate(TOKENS[:3]):
        memory.write(address + 4 * position, np.array([[token]], "<u4").view(np.uint8))
        golden.run(found.program(DECODE).instructions, position)
    layers, heads = small.MODEL.layers, small.MODEL.kv_heads
    there = np.array(rows).reshape(3, layers, heads, -1)[:, 0].reshape(3, -1)
    wanted = reference(found)["mixed", 0].reshape(3, -1)
    assert np.abs(there - wanted).max() < 5e-3 * np.abs(wanted).max()


def test_the_cache_holds_the_numbers_of_the_model() -> None:
    """Keys and values, a row for each position, pairs of a key side by side; behind a layer some round elsewhere."""
    found = floats()
    mine, left, model = reference(found), scores(found, TOKENS[:3])[1], small.MODEL
    size = model.kv_heads * model.head_dim
    order = np.arange(model.head_dim).reshape(2, -1).T.reshape(-1)
    for layer in range(model.layers):
        for kind, what in (("keys", "k"), ("values", "v")):
            region = found.layout[f"{kind} {layer}"]
            there: NDArray[np.float16] = np.frombuffer(left, "<f2", 4 * size, region.base).reshape(4, size)
            wanted = mine[what, layer][..., order] if what == "k" else mine[what, layer]
            assert (
                np.abs(there[:3] - wanted.reshape(3, size)).max()
                < (2e-2 if layer else 5e-3) * np.abs(wanted).max()
            )
            assert not there[3].any()


def test_containers_of_the_cache_and_of_queries_have_two_bytes() -> None:
    found, integers = floats(), compiled()
    assert found.layout["keys 0"].size == 4096 and small.MODEL.context * 2 * 8 * 2 == 384  # of a page
    for name in ("vector.out.out", "attention.query.query", "attention.key.key", "attention.value.value"):
        field = next(one for one in (*found.hardware.inputs, *found.hardware.outputs) if one.name == name)
        assert field.container == 2
    moved, before = (
        {
            purpose.step: size
            for purpose, size in one.programs[1].notes
            if purpose.step.endswith("heads") and size
        }
        for one in (found, integers)
    )  # the last transfer of each run is the store
    assert {step: moved[step] / before[step] for step in before} == {"k heads": 2, "v heads": 2, "q heads": 2}


def test_runs_of_attention_load_as_many_beats_of_twice_the_bytes() -> None:
    pictures = [image.of_compiled(one) for one in (compiled(), floats())]
    traffic = []
    for picture, units in zip(pictures, (small.hardware(), hardware()), strict=True):
        trace = decoding.timed(
            units, picture, ["decode"], dataclasses.replace(BEHAVIORS["fixed"], size=1 << 20), lambda _: 0
        )
        keys = [
            size
            for span, size in decoding.transfers(trace)["load"]
            if picture.notes["decode"][span.number][0].step == "attention"
        ]
        traffic.append(sum(keys))
    scales, query, keys = 5 * 4, 2 * 8, 2 * 8
    assert traffic == [4 * (scales + query + keys), 4 * (scales + 2 * query + 2 * keys)]


REFUSED: dict[str, tuple[Callable[[], Hardware], str]] = {
    "floats of another format": (
        lambda: small.hardware(
            attention=small.attention(format="bf16", acc_format="fixed"), vector=small.vector(format="fp16")
        ),
        "Field attention.query.query must be fp16, as the vector unit gives it, not bf16 of 16 bits",
    ),
    "floats of as many bits that it does not hold": (
        lambda: small.hardware(
            attention=small.attention(format="fp16", acc_format="fixed"), vector=small.vector(format="bf16")
        ),
        "Field attention.query.query must be bf16, as the vector unit gives it, not fp16 of 16 bits",
    ),
    "a small buffer of the cache": (
        lambda: hardware(keys_max=64),
        "Buffer of the cache must be at least 2048 bytes for 64 keys and values of a head, not 1024",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_hardware_cannot_run_is_refused(what: str) -> None:
    build, told = REFUSED[what]
    model = dataclasses.replace(small.MODEL, context=64) if "buffer" in what else small.MODEL
    with pytest.raises(ParamError, match=f"^{re.escape(told)}$"):
        compile_model(build(), small.checkpoint(model), ())


def test_an_estimate_has_the_bytes_and_nearly_the_cycles_of_the_simulator() -> None:
    system = read_system(FILE)
    agree_on_a_token(system)
    integers = read_system(FILE.parents[1] / "examples" / "tiny_decoder" / "system.yaml")
    assert operations.cache_bytes(system, system.largest, 7) == 2 * operations.cache_bytes(
        integers, system.largest, 7
    )


if ALL:  # the units of floats take a minute to build

    @pytest.mark.slow
    def test_rtl_has_the_bytes_and_the_cycles_of_the_simulator(tmp_path: Path) -> None:
        """Two tokens behind a prompt of two, with a memory of half the bandwidth."""
        model = dataclasses.replace(small.MODEL, layers=1, vocab=16)
        found = floats(model)
        picture, port = image.of_compiled(found), dataclasses.replace(BEHAVIORS["half"], size=1 << 18)
        decoded = decoding.decode(found.hardware, picture, [3, 7], 2, port)
        bench = random_systems.build(found.hardware, tmp_path)
        proof = proving.prove(found.hardware, bench, picture, [3, 7], decoded, port)
        assert proof.findings == [] and proof.tokens == decoded.tokens and len(proof.tokens) == 2
