"""Compiled models: what the golden system computes, in any order of its units, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError, SpecError
from blueprint.record import Integers
from blueprint.systems.description import Buffers
from blueprint.systems.instructions import UNITS, Instruction
from checkpoints.checkpoint import Checkpoint
from checkpoints.reference import Reference
from compiler import calibration, image
from compiler.compile import Compiled, compile_model
from compiler.prompts import DECODE, PROMPT
from compiler.units import Product, Units
from simulator.systems.golden import Golden, Memory, Stuck
from simulator.systems.weights import Weights
from tests.systems import small

SMALLEST = Buffers(weights=1, cache=1, activations=1)
TOKENS = [3, 17, 5, 39, 0, 8]


def compiled(hardware: object = None, trained: Checkpoint | None = None) -> Compiled:
    trained = trained or small.checkpoint()
    steps = calibration.measure(trained, [TOKENS])
    return compile_model(hardware or small.hardware(), trained, steps)  # type: ignore[arg-type]


def windowed(*windows: int) -> Checkpoint:
    """The small model, whose layers see so many of the last positions."""
    made = small.checkpoint()
    return dataclasses.replace(made, decoder=dataclasses.replace(made.decoder, windows=windows))


def scores(
    found: Compiled, tokens: list[int] = TOKENS, order: tuple[str, ...] = UNITS
) -> tuple[np.ndarray, bytes]:
    """Scores (tokens x vocabulary) of the golden system, and what it left in memory."""
    vocab, rows = found.checkpoint.decoder.model.vocab, []

    def watch(unit: str, run: int, field: str, values: Integers) -> None:
        if field == "vector.out.dot" and values.shape[1] == vocab:
            rows.append(values[0].astype(np.uint32).view(np.float32))

    memory = Memory(found.layout.base, found.layout.image())
    golden, program = Golden(found.hardware, memory, watch), found.program(DECODE).instructions
    for position, token in enumerate(tokens):
        address = found.layout["tokens"].base + 4 * position
        memory.write(address, np.array([[token]], "<u4").view(np.uint8))
        golden.run(program, position, order)
    return np.array(rows), memory.written.tobytes()


@pytest.mark.parametrize("name", small.PRODUCTS)
def test_the_golden_system_scores_as_the_reference_decoder(name: str) -> None:
    found = compiled(small.hardware(name))
    golden, _ = scores(found)
    wanted = Reference(found.checkpoint).logits(TOKENS)
    assert golden.shape == wanted.shape
    assert np.corrcoef(golden.reshape(-1), wanted.reshape(-1))[0, 1] > 0.999
    assert np.abs(golden - wanted).max() < 0.1 * np.abs(wanted).max()


def test_all_units_of_products_give_the_same_bits() -> None:
    every = [scores(compiled(small.hardware(name)))[0] for name in small.PRODUCTS]
    assert all(np.array_equal(every[0], other) for other in every[1:])


@pytest.mark.parametrize(
    "change",
    [
        {"sub_norms": False},
        {"tied_embeddings": False},
        {"layers": 1},
        {"kv_heads": 4},
        {"gated": False, "sub_norms": False},
    ],
)
def test_other_shapes_of_models(change: dict[str, object]) -> None:
    model = dataclasses.replace(small.MODEL, **change)  # type: ignore[arg-type]
    grouped = small.attention(head_group=model.heads // model.kv_heads)
    found = compiled(small.hardware(attention=grouped), small.checkpoint(model))
    golden, _ = scores(found)
    wanted = Reference(found.checkpoint).logits(TOKENS)
    assert np.corrcoef(golden.reshape(-1), wanted.reshape(-1))[0, 1] > 0.999


def test_without_a_gate_the_activation_multiplies_ones() -> None:
    """The product is up alone; no run dequantizes it for a gate, and memory has no place for that."""
    found = compiled(None, small.checkpoint(dataclasses.replace(small.MODEL, gated=False)))
    steps = {purpose.step for purpose, _ in found.program(DECODE).notes}
    assert "activation" in steps and "up" not in steps
    assert "up" not in found.layout.regions
    outputs = {tile.first + tile.n for tile in found.tiles if tile.product == "ffn"}
    assert max(outputs) == small.MODEL.ffn


def test_runs_may_be_further_ahead_of_their_stores_than_tokens_count() -> None:
    """The results of 32 runs have room: of as many stores no run must be told, and then of each, tokens behind."""
    hardware = small.hardware(matrix=small.product("array", cols=2, n_max=32))
    found = compiled(hardware)
    told = [one for one in found.program(DECODE).instructions if one.kind == "sync"]
    assert {(one.unit, one.signal) for one in told} == {("store", ("matrix",))}
    assert np.array_equal(scores(found, TOKENS[:2])[0], scores(compiled(), TOKENS[:2])[0])


def packed() -> Compiled:
    """The small model with a cache of 4 bits."""
    return compiled(small.hardware(attention=small.attention(kv_width=4)))


def test_a_packed_cache_scores_nearly_as_the_reference_decoder() -> None:
    found = packed()
    golden, _ = scores(found)
    wanted = Reference(found.checkpoint).logits(TOKENS)
    assert 0.997 < np.corrcoef(golden.reshape(-1), wanted.reshape(-1))[0, 1] < 0.9995


def test_a_packed_cache_holds_what_one_of_8_bits_would_with_its_steps() -> None:
    """Keys and values of the first layer, which no attention has changed: the integers of 8 bits, saturated."""
    found, wide = packed(), compiled()
    steps = tuple(step.cached(7) for step in wide.steps)
    wide = compile_model(wide.hardware, wide.checkpoint, steps)
    left = [np.frombuffer(scores(one, TOKENS[:3])[1], np.int8) for one in (found, wide)]
    row = small.MODEL.kv_heads * small.MODEL.head_dim
    for kind in ("keys", "values"):
        mine, other = (
            data[one.layout[f"{kind} 0"].base :][: 4 * size]
            for data, one, size in zip(left, (found, wide), (row // 2, row), strict=True)
        )
        integers = np.stack([mine << 4 >> 4, mine >> 4], axis=1).reshape(-1)
        assert np.array_equal(integers, np.clip(other, -7, 7))
        assert integers[: 3 * row].any() and not integers[3 * row :].any()


def test_steps_of_a_cache_of_8_bits_are_those_that_were_measured() -> None:
    steps = calibration.Steps((0.1, 0.3), (0.7, 1e-7), (1 / 3, 2.0), 0.5)
    assert steps.cached(127) == steps
    assert steps.cached(7).key == (0.7 * (127 / 7), 1e-7 * (127 / 7))


def test_a_narrow_store_of_a_field_of_one_container_is_refused() -> None:
    found = compiled()
    place = next(one for one in found.hardware.outputs if one.name == "vector.out.quantized").number
    memory = Memory(found.layout.base, found.layout.image())
    values = (0, 64, 1, 64, place | 1 << 9, 0)
    program = [Instruction("set", "store", register=n, value=v) for n, v in enumerate(values)]
    told = "A store of vector.out.quantized must have its only container, not a narrow one"
    with pytest.raises(Stuck, match=f"^{re.escape(told)}$"):
        Golden(found.hardware, memory).run([*program, Instruction("start", "store")], 0)


def test_a_head_group_of_one_takes_its_keys_twice() -> None:
    one = compiled(small.hardware(attention=small.attention(head_group=1)))
    assert np.array_equal(scores(one)[0], scores(compiled())[0])


def test_the_order_in_which_units_take_turns_changes_nothing() -> None:
    found = compiled()
    wanted = scores(found, TOKENS[:3])
    for order in (
        UNITS[::-1],
        ("store", "load", "vector", "matrix", "attention"),
        ("vector", "store", "matrix", "attention", "load"),
    ):
        done = scores(found, TOKENS[:3], order)
        assert np.array_equal(done[0], wanted[0])
        assert done[1] == wanted[1]


def test_a_token_that_is_missing_is_noticed() -> None:
    """Without a wait of a load for a store, loads that run ahead read what is not yet there, or overflow staging."""
    found = compiled()
    wanted = scores(found, TOKENS[:2])
    program = list(found.program(DECODE).instructions)
    number = next(n for n, one in enumerate(program) if one.unit == "load" and "store" in one.wait)
    program[number] = dataclasses.replace(program[number], wait=())
    hurt = dataclasses.replace(found.program(DECODE), instructions=tuple(program))
    broken = dataclasses.replace(found, programs=(found.program(PROMPT), hurt))
    try:
        done = scores(broken, TOKENS[:2], ("load", "vector", "matrix", "attention", "store"))
    except Stuck:
        return
    assert done[1] != wanted[1]


def test_a_prompt_leaves_the_cache_that_decoding_leaves() -> None:
    found = compiled()
    memories = []
    for name in (PROMPT, DECODE):
        memory = Memory(found.layout.base, found.layout.image())
        golden = Golden(found.hardware, memory)
        for position, token in enumerate(TOKENS[:4]):
            memory.write(
                found.layout["tokens"].base + 4 * position, np.array([[token]], "<u4").view(np.uint8)
            )
            golden.run(found.program(name).instructions, position)
        region = [found.layout[f"{kind} {layer}"] for layer in range(2) for kind in ("keys", "values")]
        memories.append([memory.read(one.base, one.size).tobytes() for one in region])
    assert memories[0] == memories[1]
    assert any(map(any, memories[0]))


def test_sequences_side_by_side_are_those_one_by_one() -> None:
    found = compiled()
    both = np.array([TOKENS[:3], TOKENS[3:]])
    memory = Memory(found.layout.base, found.layout.image(), 2)
    golden = Golden(found.hardware, memory)
    for position in range(3):
        address = found.layout["tokens"].base + 4 * position
        memory.write(address, both[:, position : position + 1].astype("<u4").view(np.uint8))
        golden.run(found.program(DECODE).instructions, position)
    for number, tokens in enumerate(both):
        _, alone = scores(found, [int(token) for token in tokens])
        assert memory.written[number].tobytes() == alone


@pytest.mark.parametrize("name", small.PRODUCTS)
def test_weights_come_back_from_their_beats(name: str) -> None:
    spec = small.product(name)
    random = np.random.default_rng(3)
    for k, n in ((32, 16), (64, 8)):
        weights = random.integers(-1, 2, (k, n))
        beats = spec.stimulus({"act": np.zeros((1, k), np.int64), "wgt": weights})["wgt"]
        assert np.array_equal(Weights(spec).read(beats[None], (None,), k, n), weights)


def test_every_instruction_says_what_it_is_for() -> None:
    purposes = [purpose for purpose, _ in compiled().program(DECODE).notes]
    kinds = {str(purpose): purpose.kind for purpose in purposes}
    assert kinds["L0 weights of q from 0"] == "weights" and kinds["L0 q from 0"] == "vectors"
    assert kinds["L1 attention of key head 1"] == "attention" and kinds["L1 attention norm"] == "vectors"
    assert kinds["head scores"] == "scores" and (str(purposes[0]), str(purposes[-1])) == ("- token", "end")


@pytest.mark.parametrize("name", small.PRODUCTS)
def test_a_run_takes_the_vector_once_that_is_loaded_for_it(name: str) -> None:
    """An array takes it for every group of columns, so its runs are of one group."""
    product, spec = Product(Units(small.hardware(name))), small.product(name)
    for k, n in ((32, 64), (64, 32)):
        most = product.outputs(k, n)
        assert (most > product.result.elements) == (spec.family == "ternary_lut")
        for outputs in (most, n % most or most):
            operands = {"act": np.zeros((1, k), np.int64), "wgt": np.zeros((k, outputs), np.int64)}
            assert len(spec.stimulus(operands)["act"]) * product.act.elements == product.activations(k)


def test_an_image_comes_back_from_its_folder(tmp_path: Path) -> None:
    found = compiled()
    wanted = image.of_compiled(found)
    image.write(found, tmp_path, {}, "a text")
    read = image.read(tmp_path, found.hardware)
    assert read.programs == dict(wanted.programs)
    assert np.array_equal(read.data, wanted.data)
    assert (read.base, read.tokens, dict(read.pages)) == (wanted.base, wanted.tokens, dict(wanted.pages))
    lines = (tmp_path / image.LISTING).read_text().splitlines()
    assert len([line for line in lines if line[0] != ";"]) == sum(len(p) for p in wanted.programs.values())


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cached", [8, 4])
def test_an_image_for_another_design_is_refused(tmp_path: Path, cached: int) -> None:
    """Of another matrix unit, or with another width of the cache alone."""
    found, other = (compiled(), small.hardware("array")) if cached == 8 else (packed(), small.hardware())
    image.write(found, tmp_path)
    told = (
        f"{tmp_path / 'image.json'}: image must be for this design, whose hash is {other.design_hash}, "
        f"not for {found.hardware.design_hash} (tables)"
    )
    with pytest.raises(ParamError, match=f"^{re.escape(told)}$"):
        image.read(tmp_path, other)


def test_an_image_of_another_length_is_refused(tmp_path: Path) -> None:
    found = compiled()
    image.write(found, tmp_path)
    data = (tmp_path / "image.bin").read_bytes()
    (tmp_path / "image.bin").write_bytes(data[:-1])
    told = f"{tmp_path / 'image.bin'}:1:1: file must have {len(data)} bytes, not {len(data) - 1}"
    with pytest.raises(SpecError, match=f"^{re.escape(told)}$"):
        image.read(tmp_path, found.hardware)


def test_an_image_that_was_changed_is_refused(tmp_path: Path) -> None:
    found = compiled()
    image.write(found, tmp_path)
    data = bytearray((tmp_path / "image.bin").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "image.bin").write_bytes(data)
    told = f"{tmp_path / 'image.bin'}:1:1: file must be as compile wrote it, and was changed; compile again"
    with pytest.raises(SpecError, match=f"^{re.escape(told)}$"):
        image.read(tmp_path, found.hardware)


def _without(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda said: said.pop(key)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        *((_without(key), f"{key} must be given, as compile writes it, and is missing") for key in image.KEYS),
        (lambda said: said.update(base="0"), "base must be an integer, not '0'"),
        (lambda said: said.update(vocab=True), "vocab must be an integer, not true"),
        (lambda said: said["programs"].update(decode=3), "program decode must be an object, not 3"),
        (lambda said: said["programs"]["decode"].pop("page"),
         "page of program decode must be given, as compile writes it, and is missing"),
        (lambda said: said["programs"]["decode"].update(page=-1), "program decode must lie in image.bin, and does not"),
        (lambda said: said["programs"]["decode"]["notes"].insert(0, [1]),
         "notes of program decode must be as compile writes them, not [1]"),
    ],
)  # fmt: skip
def test_a_description_that_lacks_something_is_refused(
    change: Callable[[dict[str, Any]], Any], told: str, tmp_path: Path
) -> None:
    found = compiled()
    image.write(found, tmp_path)
    path = tmp_path / "image.json"
    said = json.loads(path.read_text())
    change(said)
    path.write_text(json.dumps(said))
    with pytest.raises(SpecError, match=f"^{re.escape(f'{path}:1:1: {told}')}$"):
        image.read(tmp_path, found.hardware)


def _scales(value: float, **shape: int) -> Checkpoint:
    trained = small.checkpoint()
    place = (1, "o")
    matrix = trained.matrices[place]
    found = matrix.read()
    assert found is not None
    size = (shape.get("rows", 1), 1)
    bad = dataclasses.replace(found, scale=np.full(size, value, np.float32))
    return dataclasses.replace(
        trained, matrices={**trained.matrices, place: dataclasses.replace(matrix, read=lambda: bad)}
    )


REFUSED: dict[str, tuple[Callable[[], Compiled], str]] = {
    "a scale that is no number": (
        lambda: compile_model(
            small.hardware(), _scales(float("nan")), calibration.measure(small.checkpoint(), [TOKENS])
        ),
        "memory: tensor '1.o' must have a scale above 0, not nan",
    ),
    "a scale for each row": (
        lambda: compiled(None, _scales(0.1, rows=32)),
        "memory: tensor '1.o' must have one scale, which a run of the vector unit takes, not 32",
    ),
    "another activation": (
        lambda: compiled(None, small.checkpoint(dataclasses.replace(small.MODEL, activation="silu"))),
        "Activation of small must be relu2, which the vector unit computes, not silu",
    ),
    "another epsilon": (
        lambda: compiled(None, small.checkpoint(epsilon=1e-6)),
        "Epsilon of the norms of small must be 1e-05, that of the vector unit, not 1e-06",
    ),
    "a unit that does not rotate": (
        lambda: compiled(small.hardware(vector=small.vector(rotates=False))),
        "The vector unit must run 2x8 dequantize+rotate: rotates must be true for operation dequantize+rotate",
    ),
    "a unit without dot products": (
        lambda: compiled(small.hardware(vector=small.vector(dots=False))),
        "The vector unit must run 40x32 dot: dots must be true for operation dot",
    ),
    "a vocabulary of too many rows": (
        lambda: compiled(small.hardware(vector=small.vector(rows_max=32))),
        "The vector unit must run 40x32 dot: Rowwise rows must be at most rows_max 32, not 40",
    ),
    "lanes that do not divide a head": (
        lambda: compiled(small.hardware(vector=small.vector(lanes=16), width=64)),
        "Rows must be multiples of the vector unit's 16 lanes, not 8",
    ),
    "several tokens a beat": (
        lambda: compiled(small.hardware(matrix=small.product("tables", token_lanes=2))),
        "The matrix unit must take and give one token's vector in order, each element once (one token lane, one row, "
        "no tiles), and this design does not",
    ),
    "layers that see the last positions only": (
        lambda: compiled(trained=windowed(5, 0)),
        "Layers of small must see all 12 positions, and 1 see 5 and 1 see 12",
    ),
    "several queries a row": (
        lambda: compiled(small.hardware(attention=small.attention(parallel=2))),
        "The attention unit must take one query, each element of its 2 heads once (parallel 1, whole groups), and this "
        "design does not",
    ),
    "keys of a width that attention does not read": (
        lambda: compiled(small.hardware(attention=small.attention(kv_width=6))),
        "kv_width must be 8, or 4 for int8, not 6 for int8",
    ),
    "lanes of which no bytes are made": (
        lambda: compiled(
            small.hardware(attention=small.attention(kv_width=4), vector=small.vector(lanes=1, rotates=False)),
        ),
        "Lanes of the vector unit must be even, and 4 bits of each a part or a multiple of the port's 32 bits, to be "
        "packed for the cache, not 1",
    ),
    "packed keys with a gap behind them": (
        lambda: compiled(
            small.hardware(attention=small.attention(dim=12, kv_width=4), width=64),
            small.checkpoint(dataclasses.replace(small.MODEL, head_dim=12)),
        ),
        "Keys of 4 bits must fill the 8 bytes that a beat has in memory, not 6 of them",
    ),
    "a small buffer of weights": (
        lambda: compiled(small.hardware(buffers=SMALLEST, matrix=small.product("tables", lut_count=2))),
        "Buffer of weights must be at least 128 bytes for a product of 64 inputs",
    ),
    "a small buffer of the cache": (
        lambda: compiled(small.hardware(buffers=SMALLEST, attention=small.attention(head_group=1))),
        "Buffer of the cache must be at least 384 bytes for 12 keys and values of a head, not 256",
    ),
    "rows that no mover moves": (
        lambda: compiled(
            small.hardware(
                matrix=small.product("tables", lut_count=1, fetch_count=2), vector=small.vector(lanes=2),
                attention=small.attention(dim=4),
            ),
            small.checkpoint(dataclasses.replace(small.MODEL, hidden=6, ffn=8, heads=2, kv_heads=1, head_dim=4)),
        ),
        "Rows of vector.out.quantized must be multiples of 4 bytes, which movers move, not 6",
    ),
    "a unit that is slower than memory": (
        lambda: compiled(small.hardware(width=64)),
        "The vector unit must take a row of the head in 16 cycles, as fast as memory gives it, and takes 23: give the "
        "memory a narrower port",
    ),
    "columns that do not divide the outputs": (
        lambda: compiled(small.hardware(matrix=small.product("tables", fetch_count=24))),
        "Outputs must be multiples of the matrix unit's 24 columns, not 32",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_hardware_cannot_run_is_refused(what: str) -> None:
    build, told = REFUSED[what]
    with pytest.raises(ParamError, match=f"^{re.escape(told)}$"):
        build()


def test_a_narrow_load_of_a_field_of_one_container_is_refused() -> None:
    found = compiled()
    memory = Memory(found.layout.base, found.layout.image())
    values = (0, 64, 1, 64, found.hardware.inputs[0].number | 1 << 9, 0)
    program = [Instruction("set", "load", register=n, value=v) for n, v in enumerate(values)]
    told = "A load of matrix.act.activation must have its only container, not a narrow one"
    with pytest.raises(Stuck, match=f"^{re.escape(told)}$"):
        Golden(found.hardware, memory).run([*program, Instruction("start", "load")], 0)


def test_a_store_without_results_is_refused() -> None:
    found = compiled()
    memory = Memory(found.layout.base, found.layout.image())
    program = [Instruction("set", "store", register=n, value=v) for n, v in enumerate((0, 64, 1, 64, 0, 0))]
    with pytest.raises(Stuck, match="^A store of matrix.out.result must be whole results, not 64 bytes$"):
        Golden(found.hardware, memory).run([*program, Instruction("start", "store")], 0)
