"""Floats that are converted on their way: FP32 of the vector unit rounded as attention takes it, its results and rows
of the embedding widened.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Value
from numpy.typing import NDArray

from benchmarks import random_systems
from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import BF16, FORMATS, FP16, FP32, NAMED, FloatFormat
from blueprint.record import Integers
from blueprint.systems import control, inventory, staging
from blueprint.systems.control import Hardware, Inlets, Outlets
from blueprint.systems.memory_port import BEHAVIORS
from blueprint.systems.reader import read_system
from blueprint.systems.staging import Staged
from blueprint.unit import TO_FLOAT
from checkpoints.reference import Reference
from compiler import image
from compiler.compile import DECODE, Compiled, compile_model
from generator.arithmetic.integers import parts
from generator.systems.staging import Inlet, Outlet
from simulator.systems import decoding, proving
from simulator.systems.golden import Golden, Memory
from tests.costmodel.test_compiled_estimate import agree_on_a_token
from tests.named_registers import built_registers
from tests.systems import small
from tests.systems.test_compiler import TOKENS, scores
from tests.systems.test_inlets import beats, moved, words
from tests.systems.test_inventory import check_netlist
from tests.systems.test_outlets import beats_of
from tests.volume import ALL

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "tiny_fp32.yaml"
MODEL = dataclasses.replace(small.MODEL, hidden=64)
#: Cycles of a bench.
CYCLES = 400


def hardware(attention: str = "fp16", vector: str = "fp32", lanes: int = 4, width: int = 32) -> Hardware:
    """A small system whose vector unit has wider floats than its attention unit."""
    return small.hardware(
        width=width,
        attention=small.attention(format=attention, acc_format="fixed" if attention == "fp16" else "fp32"),
        vector=small.vector(format=vector, lanes=lanes, rows_kept=3),
    )


def out(name: str, **given: Any) -> Staged:
    return next(one for one in hardware(**given).outputs if one.name == name)


# What is converted ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attention", "vector", "found"),
    [
        ("fp16", "fp32", (16, "fp16", "fp32")),
        ("bf16", "fp32", (16, "bf16", "fp32")),
        ("fp16", "fp16", (0, "", "")),
        ("bf16", "bf16", (0, "", "")),
        ("bf16", "fp16", (0, "", "")),
        ("fp16", "bf16", (0, "", "")),
    ],
)
def test_formats_that_another_holds_are_converted(
    attention: str, vector: str, found: tuple[int, str, str]
) -> None:
    given = {"attention": attention, "vector": vector}
    rows, mixed = out("vector.out.out", **given), out("attention.out.result", **given)
    assert (rows.packs, rows.rounds, mixed.widens) == found
    assert (rows.widens, mixed.rounds, mixed.packs, mixed.container) == ("", "", 0, 4)
    others = [one for one in hardware(**given).outputs if one not in (rows, mixed)]
    assert not any(one.packs or one.rounds or one.widens for one in others)


def test_integers_of_attention_are_not_converted() -> None:
    found = small.hardware(vector=small.vector(format="fp32")).outputs
    assert not any(one.packs or one.rounds or one.widens for one in found)


@pytest.mark.parametrize("wide", NAMED)
@pytest.mark.parametrize("few", FORMATS)
def test_a_format_holds_another_where_every_number_comes_back(wide: str, few: str) -> None:
    target, source = NAMED[wide], NAMED[few]
    every = floating.canonical(source, np.arange(1 << source.width))
    there = floating.convert(source, target, every)
    back = floating.convert(target, source, there)
    # A NaN and an overflow come back too; both tell nothing about numbers.
    values = floating.to_float64(source, every)
    same = np.array_equal(back, every) and np.array_equal(
        np.nan_to_num(floating.to_float64(target, there)), np.nan_to_num(values)
    )
    assert target.holds(source) == same


# Hardware of a store --------------------------------------------------------------------------------------------------


def patterns(fmt: FloatFormat, count: int) -> NDArray[np.int64]:
    """Numbers of all sizes, and those about which formats differ: ties, subnormals, the largest, infinities, NaN."""
    random = np.random.default_rng(fmt.width)
    drawn = random.integers(0, 1 << fmt.width, count // 2)
    near = floating.from_float64(
        fmt, random.normal(size=count // 4) * 2.0 ** random.integers(-30, 20, count // 4)
    )
    ties = [
        1.0 + 2.0**-11,
        1.0 + 3 * 2.0**-11,
        65519.0,
        65520.0,
        2.0**-24,
        2.0**-25,
        3 * 2.0**-25,
        6.1e-5,
        0.0,
        -0.0,
    ]
    special = [fmt.exponent_mask, fmt.sign_mask | fmt.exponent_mask, fmt.canonical_nan, fmt.max_finite, 1]
    found = np.concatenate([floating.from_float64(fmt, ties), special, near, drawn])[:count]
    return np.pad(found, (0, count - len(found)))


def stored(outlet: Outlet, stores: Sequence[tuple[NDArray[np.int64], bool]]) -> bytes:
    """The bytes that stores, in narrow containers or not, take out of an outlet."""
    shape = outlet.shape
    bits, port = shape.element_bits, shape.port_bits
    words = [
        sum(int(one) << bits * place for place, one in enumerate(row))
        for values, _ in stores
        for row in values.reshape(-1, shape.elements)
    ]
    asked = [
        (at == count - 1, narrow)
        for values, narrow in stores
        for count in [8 * shape.staged.moved_bytes(narrow) * (len(values) // shape.elements) // port]
        for at in range(count)
    ]

    found = beats_of(outlet, words, asked, CYCLES)
    return b"".join(one.to_bytes(port // 8, "little") for one in found)


@pytest.mark.parametrize(
    ("few", "lanes", "width"), [(FP16, 4, 64), (FP16, 2, 64), (BF16, 4, 32), (FP16, 8, 32)]
)
def test_a_store_rounds_into_narrow_containers_alone(few: FloatFormat, lanes: int, width: int) -> None:
    staged = out("vector.out.out", attention=few.name, lanes=lanes, width=width)
    first, second, third = np.split(patterns(FP32, 96), 3)
    found = stored(Outlet("outlet", Outlets(staged, width)), [(first, True), (second, False), (third, True)])
    few_of = [floating.convert(FP32, few, values).astype("<u2").tobytes() for values in (first, third)]
    assert found == few_of[0] + second.astype("<u4").tobytes() + few_of[1]


@pytest.mark.parametrize(("few", "width"), [(FP16, 64), (BF16, 32)])
def test_results_of_attention_are_stored_in_the_format_of_the_vector_unit(
    few: FloatFormat, width: int
) -> None:
    staged = out("attention.out.result", attention=few.name, width=width)
    values = patterns(few, 64)
    found = stored(Outlet("outlet", Outlets(staged, width)), [(values, False)])
    assert found == floating.convert(few, FP32, values).astype("<u4").tobytes()
    assert np.array_equal(
        np.nan_to_num(np.frombuffer(found, "<f4").astype(float)),
        np.nan_to_num(floating.to_float64(few, values)),
    )


@pytest.mark.parametrize(("few", "lanes"), [(FP16, 4), (BF16, 4), (FP16, 8), (BF16, 16)])
def test_a_load_widens_rows_in_narrow_containers_alone(few: FloatFormat, lanes: int) -> None:
    units = hardware(few.name, lanes=lanes, width=64).units
    shape = Inlets(next(one for one in staging.inputs(units, 64) if one.name == "vector.x.x"), 64)
    assert (shape.narrow_bits, shape.converted) == (16, 4)
    sums, rows = patterns(FP32, 2 * lanes).tolist(), patterns(few, 4 * lanes)
    loads = [(beats(sums, 4), False), (beats(rows.tolist(), 2), True), (beats(sums, 4), False)]
    found, ends = moved(Inlet("inlet", shape), loads, 8)
    assert found == words([*sums, *floating.convert(few, FP32, rows).tolist(), *sums], shape)
    assert ends == [2, 6, 8]


class _Signed(Inlet):
    """A twin that takes floats for integers."""

    def _narrowed(self, m: Module) -> list[Value]:
        return [Cat(one, one[-1].replicate(16)) for one in parts(self.beat, 16)]


def test_an_inlet_that_does_not_widen_is_noticed() -> None:
    x = next(one for one in staging.inputs(hardware(width=64).units, 64) if one.name == "vector.x.x")
    shape, rows = Inlets(x, 64), patterns(FP16, 8)
    found, _ = moved(_Signed("inlet", shape), [(beats(rows.tolist(), 2), True)], 2)
    assert found != words(floating.convert(FP16, FP32, rows).tolist(), shape)


@pytest.mark.parametrize(
    ("attention", "vector", "embedding", "found"),
    [
        ("fp16", "fp32", 16, (2, "fp16", "fp32")),
        ("bf16", "fp32", 16, (2, "bf16", "fp32")),
        ("fp16", "fp16", 16, (2, "", "")),
        ("fp16", "fp32", 8, (2, "", "")),  # integers, in which eight elements a beat would be too many
    ],
)
def test_rows_of_the_embedding_are_floats_of_attention(
    attention: str, vector: str, embedding: int, found: tuple[int, str, str]
) -> None:
    units = hardware(attention, vector, width=64).units
    x = next(one for one in staging.inputs(units, 64, embedding=embedding) if one.name == "vector.x.x")
    assert (x.narrow, x.rounds, x.widens) == found


class _Cuts(Outlet):
    """A twin that drops the low bits of a fraction."""

    def _contained(self, m: Module, word: Value, shape: Outlets) -> Value:
        return Cat(*(one[16:] for one in parts(word, 32))) if shape.narrow else word


def test_an_outlet_that_truncates_is_noticed() -> None:
    staged, values = out("vector.out.out", attention="bf16"), patterns(FP32, 32)
    assert (
        stored(_Cuts("outlet", Outlets(staged, 32)), [(values, True)])
        != floating.convert(FP32, BF16, values).astype("<u2").tobytes()
    )


@pytest.mark.parametrize("few", ["fp16", "bf16"])
@pytest.mark.parametrize(("lanes", "width"), [(4, 32), (2, 64), (8, 64), (4, 128)])
def test_flip_flops_are_those_that_are_counted(few: str, lanes: int, width: int) -> None:
    x = next(one for one in hardware(few, lanes=lanes, width=width).inputs if one.name == "vector.x.x")
    assert sum(built_registers(Inlet("inlet", Inlets(x, width))).values()) == sum(
        inventory.inlet(Inlets(x, width)).values()
    )
    for name in ("vector.out.out", "attention.out.result"):
        shape = Outlets(out(name, attention=few, lanes=lanes, width=width), width)
        built = sum(built_registers(Outlet("outlet", shape)).values())
        assert built == sum(inventory.outlet(shape).values()), name


def test_conversions_are_in_the_inventory() -> None:
    """Of each element of the vector unit and of attention that a beat of the memory has."""

    def conversions(of: Hardware) -> float:
        return sum(
            float(unit.count)
            for unit in inventory.units(of)
            if (unit.kind, unit.place) == (TO_FLOAT.name, "staging")
        )

    staged = out("attention.out.result")
    assert staged.elements == 16
    assert conversions(hardware()) == 2 + 1 + 2  # stores of both units, loads of rows
    assert conversions(hardware(width=128)) == 4 + 4 + 0  # eight rows a beat are too many for four lanes
    assert conversions(hardware("bf16")) == 0  # whose exponents are those of FP32
    assert conversions(hardware("fp16", "fp16")) == 0


# Whole systems --------------------------------------------------------------------------------------------------------


def decoder(attention: str = "fp16", vector: str = "fp32", **changes: Any) -> Compiled:
    """A model with rows of which memory gives one in narrow containers no faster than the unit takes it."""
    model = dataclasses.replace(MODEL, **changes)
    return compile_model(hardware(attention, vector), small.checkpoint(model), ())


@pytest.mark.parametrize("attention", ["fp16", "bf16"])
def test_scores_are_those_of_the_reference_decoder(attention: str) -> None:
    found = decoder(attention)
    wanted = Reference(found.checkpoint).logits(TOKENS)
    assert np.abs(scores(found)[0] - wanted).max() < 0.03 * np.abs(wanted).max()


def test_queries_and_cache_hold_what_the_vector_unit_gave_rounded_and_results_are_widened() -> None:
    found, given = decoder(layers=1), dict[str, list[Integers]]()

    def watch(unit: str, run: int, field: str, values: Integers) -> None:
        given.setdefault(field, []).append(values[0])

    memory = Memory(found.layout.base, found.layout.image())
    golden = Golden(found.hardware, memory, watch)
    memory.write(found.layout["tokens"].base, np.array([[7]], "<u4").view(np.uint8))
    golden.run(found.program(DECODE).instructions, 0)

    def there(name: str, kind: str, count: int) -> Any:
        return memory.read(found.layout[name].base, count * np.dtype(kind).itemsize).reshape(-1).view(kind)

    # Runs in the order of a pass: norm, embedding, keys, values, queries.
    for run, name in ((2, "keys 0"), (3, "values 0"), (4, "queries")):
        wide = given["vector.out.out"][run].astype("<u4").view("<f4")
        assert np.array_equal(there(name, "<f2", wide.size), wide.astype(np.float16)), name
        assert not np.array_equal(wide.astype(np.float16), wide), name
    mixed = np.concatenate(given["attention.out.result"]).astype("<u2").view("<f2")
    assert np.array_equal(there("mixed", "<f4", mixed.size), mixed)
    assert np.abs(mixed).max() > 0


def test_rows_of_the_embedding_stand_in_memory_as_floats_of_attention() -> None:
    found = decoder()
    region, shape = found.layout["embedding"], (MODEL.vocab, MODEL.hidden)
    place = region.base - found.layout.base
    rows = found.layout.image()[place : place + 2 * shape[0] * shape[1]].view("<f2").reshape(shape)
    wanted = found.checkpoint.dense[None, "embedding"].rows(0, shape[0])
    assert np.array_equal(rows, wanted.astype(np.float16))


def test_a_store_moves_as_many_bytes_as_one_of_fp16_where_attention_reads_it() -> None:
    def stores(found: Compiled) -> dict[str, int]:
        """By step the bytes of the last transfer of its run: the store."""
        return {purpose.step: size for purpose, size in found.programs[1].notes if size}

    mixed, halves = stores(decoder()), stores(decoder("fp16", "fp16"))
    assert {name: mixed[name] / halves[name] for name in ("q heads", "k heads", "v heads")} == {
        "q heads": 1, "k heads": 1, "v heads": 1,
    }  # fmt: skip
    assert mixed["up"] == 2 * halves["up"]


def test_an_estimate_has_the_bytes_and_nearly_the_cycles_of_the_simulator() -> None:
    system = read_system(FILE)
    agree_on_a_token(system)


if ALL:  # the units of floats take minutes to build

    @pytest.mark.slow
    def test_rtl_has_the_bytes_and_the_cycles_of_the_simulator(tmp_path: Path) -> None:
        """Two tokens behind a prompt of two, under every behavior of memory; another one than that is noticed."""
        found = decoder(layers=1, vocab=16)
        picture = image.of_compiled(found)
        bench = random_systems.build(found.hardware, tmp_path)
        for behavior in BEHAVIORS.values():
            port = dataclasses.replace(behavior, size=1 << 18)
            decoded = decoding.decode(found.hardware, picture, [3, 7], 2, port)
            proof = proving.prove(found.hardware, bench, picture, [3, 7], decoded, port)
            assert proof.findings == [] and proof.tokens == decoded.tokens and len(proof.tokens) == 2
        slower = dataclasses.replace(port, latency=port.latency + 1)
        assert proving.prove(found.hardware, bench, picture, [3, 7], decoded, slower).findings

    @pytest.mark.slow
    def test_flip_flops_of_a_system_are_those_of_the_netlist() -> None:
        units = {
            "attention": small.attention(format="bf16", acc_format="fp32", dim=2, head_group=1, keys_max=8),
            "vector": small.vector(
                format="fp32", lanes=2, length_max=16, rows_max=4, dots=False, rotates=False
            ),
        }
        check_netlist(control.built("converting", units, width=32, burst=8))
