"""Systems whose LM head is a product: of a further unit or of the matrix unit, INT8 or in ternary digits."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint import registry
from blueprint.errors import ParamError
from blueprint.files.document import read_text
from blueprint.record import Integers
from blueprint.spec import Spec
from blueprint.systems import control, description, instructions, inventory
from blueprint.systems.control import Hardware
from blueprint.systems.instructions import UNITS, WIDTH, Instruction, assemble, disassemble, form
from blueprint.systems.reader import read_system, system_from
from blueprint.systems.runs import Runs
from checkpoints.checkpoint import Checkpoint
from checkpoints.reference import Reference
from compiler import calibration, drawing, image
from compiler.compile import Compiled, compile_model
from compiler.contents import Contents
from compiler.placing import in_digits
from compiler.prompts import DECODE, turns
from costmodel.systems import estimate as costs
from costmodel.technology import technology
from generator import system_export
from simulator.systems import chrome, decoding, sums
from simulator.systems.golden import Golden, Memory
from simulator.systems.passes import Passes, read_program
from tests.costmodel.test_compiled_estimate import agree_on_a_token
from tests.named_registers import built_registers
from tests.systems import small
from tests.systems.small import port
from tests.systems.test_inventory import check_netlist
from tests.volume import ALL

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "tiny_head.yaml"
TOKENS = [3, 17, 5, 39, 0, 8]
#: The units of a system with one for the head.
SIX = (*UNITS, "head")


def integers(**parameters: Any) -> Spec:
    """A unit of INT8 weights."""
    known = {"organization": "output_stationary", "pe": "mac", "rows": 1, "cols": 8}
    sizes = {"act_width": 8, "weight_width": 8, "k_max": 32, "n_max": 64}
    return registry.get("systolic")(**{**known, **sizes, **parameters})


#: Units of the head by what they are: a systolic one of integers, tables and dot products of ternary digits.
HEADS = {
    "integers": integers,
    "tables": lambda: small.product("tables", n_max=64),
    "dots": lambda: small.product("dots", n_max=64),
}


@cache
def hardware(head: str, block: int = 1) -> Hardware:
    """A small system with a unit for the head, or whose matrix unit runs it."""
    if head == "matrix":
        units = {"matrix": small.product("tables"), "attention": small.attention(), "vector": small.vector()}
        built = control.built("matrix", units, width=32, burst=8, buffers=small.BUFFERS, head="matrix")
    else:
        built = small.hardware(head=HEADS[head]())
    return dataclasses.replace(built, block=block)


@cache
def trained() -> Checkpoint:
    """The small model with a head of its own."""
    return small.checkpoint(dataclasses.replace(small.MODEL, tied_embeddings=False))


@cache
def found(head: str, block: int = 1, batch: int = 1) -> Compiled:
    steps = calibration.measure(trained(), [TOKENS])
    return compile_model(hardware(head, block), trained(), steps, batch)


def scores(compiled: Compiled) -> np.ndarray:
    """Scores (tokens x vocabulary) of the golden system."""
    vocab, rows = compiled.model.vocab, []

    def watch(unit: str, run: int, field: str, values: Integers) -> None:
        if field == "vector.out.dot" and values.shape[1] == vocab:
            rows.append(values[0].astype(np.uint32).view(np.float32))

    memory = Memory(compiled.layout.base, compiled.layout.image())
    golden, program = Golden(compiled.hardware, memory, watch), compiled.program(DECODE).instructions
    for position, token in enumerate(TOKENS):
        address = compiled.layout["tokens"].base + 4 * position
        memory.write(address, np.array([[token]], "<u4").view(np.uint8))
        golden.run(program, position)
    return np.array(rows)


# Instructions of six units --------------------------------------------------------------------------------------------


def test_a_further_unit_takes_its_bits_from_the_value() -> None:
    fields = {field.name: (field.offset, field.bits) for field in form(SIX)}
    assert fields == {
        "kind": (0, 3), "unit": (3, 3), "wait": (6, 6), "signal": (12, 6), "register": (18, 8), "value": (26, 38),
    }  # fmt: skip
    one = Instruction("set", "head", ("matrix",), ("head", "load"), 0x41, 0x3456789ABC)
    word = 1 | 5 << 3 | 0b000010 << 6 | 0b100001 << 12 | 0x41 << 18 | 0x3456789ABC << 26
    assert one.encode(SIX) == word and word < 1 << WIDTH
    assert instructions.decode(word, SIX) == dataclasses.replace(one, signal=("load", "head"))
    assert instructions.decode(Instruction("sync", "load").encode(), UNITS) == Instruction("sync", "load")


@pytest.mark.parametrize(
    ("one", "units", "told"),
    [
        (
            Instruction("sync", "head"), UNITS,
            "Unit must be one of load, matrix, attention, vector, store, which the hardware has, not 'head'",
        ),
        (
            Instruction("sync", "load", ("head",)), UNITS,
            "Unit must be one of load, matrix, attention, vector, store, which the hardware has, not 'head'",
        ),
        (
            Instruction("set", "load", value=1 << 38), SIX,
            "Instruction's value must fit 38 bits, not be 274877906944",
        ),
    ],
)  # fmt: skip
def test_what_hardware_has_no_room_for_is_refused(
    one: Instruction, units: tuple[str, ...], told: str
) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(told)}$"):
        assemble([one], units)


def test_a_word_of_a_unit_that_is_not_there_is_illegal() -> None:
    word = Instruction("sync", "head").encode(SIX)
    assert instructions.fault(word) == "unit must be at most 4, not 5"
    assert disassemble(word.to_bytes(8, "little"), SIX) == (Instruction("sync", "head"),)


# Hardware -------------------------------------------------------------------------------------------------------------


def test_a_system_without_the_unit_is_what_it_was() -> None:
    plain = small.hardware()
    assert plain.queues == UNITS and plain.head == "" and len(plain.roles) == 3
    assert hardware("integers").queues == SIX and hardware("integers").head == "head"
    assert [role.work for role in hardware("integers").roles][-1] == "head"
    assert hardware("matrix").queues == UNITS and hardware("matrix").head == "matrix"
    hashes = {
        one.design_hash for one in (plain, hardware("integers"), hardware("tables"), hardware("matrix"))
    }
    assert len(hashes) == 4


def test_registers_of_blocks_of_six_units_are_those_that_are_counted() -> None:
    from generator.systems.loads import Loads
    from generator.systems.tokens import Tokens

    built = hardware("integers")
    tokens = sum(built_registers(Tokens("tokens", SIX)).values())
    assert tokens == sum(inventory.tokens(built.queues).values()) == 36 * 4
    loads, counted = (
        built_registers(Loads("load", built.load, 3, (), SIX)),
        inventory.transfers(built.load, SIX),
    )
    assert loads["signal_held"] == counted["signal_held"] == 6


# Values ---------------------------------------------------------------------------------------------------------------


def test_digits_are_the_integers() -> None:
    rows = np.arange(-121, 122).reshape(3, 81)
    digits = in_digits(rows, 5).reshape(3, 5, 81)
    assert np.abs(digits).max() == 1
    assert np.array_equal(np.tensordot(3 ** np.arange(5), digits, (0, 1)), rows)
    assert in_digits(rows, 1) is rows
    assert [description.levels(one) for one in (integers(), small.product("tables"))] == [127, 121]


def of_integers(levels: int) -> np.ndarray:
    """Scores of the reference decoder with a head of integers up to ``levels``."""
    codes, steps = Contents(trained(), ()).rows("head", levels)
    dense = dict(trained().dense)
    table = dense[None, "head"]
    changed = dataclasses.replace(
        trained(), dense={**dense, (None, "head"): _Values(table, codes * steps[:, None])}
    )
    return Reference(changed).logits(TOKENS)


class _Values:
    """A tensor with other values."""

    def __init__(self, tensor: Any, values: np.ndarray) -> None:
        self._tensor, self._values = tensor, values.astype(np.float32)

    def read(self) -> np.ndarray:
        return self._values

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tensor, name)


@pytest.mark.parametrize(("head", "levels"), [("integers", 127), ("tables", 121), ("matrix", 121)])
def test_scores_are_those_of_a_head_of_integers(head: str, levels: int) -> None:
    golden, wanted = scores(found(head)), of_integers(levels)
    assert golden.shape == wanted.shape
    assert np.abs(golden - wanted).max() < 0.1 * np.abs(wanted).max()
    assert np.corrcoef(golden.reshape(-1), wanted.reshape(-1))[0, 1] > 0.998


def test_all_units_of_ternary_digits_give_the_same_bits() -> None:
    every = [scores(found(name)) for name in ("tables", "dots", "matrix")]
    assert all(np.array_equal(every[0], other) for other in every[1:])
    assert not np.array_equal(every[0], scores(found("integers")))


def test_a_tied_head_is_the_embedding() -> None:
    tied = small.checkpoint()
    made = compile_model(hardware("integers"), tied, calibration.measure(tied, [TOKENS]))
    wanted = Reference(tied).logits(TOKENS)
    assert np.corrcoef(scores(made).reshape(-1), wanted.reshape(-1))[0, 1] > 0.998
    assert "head" not in made.layout.regions and "last" not in made.layout.regions


def test_weights_of_the_head_are_loaded_once_while_the_last_layer_is_at_work() -> None:
    """INT8 weights once, of a batch too; the first of them before the last product of the layers."""
    for batch in (1, 2):
        made = found("integers", batch, batch)
        program = made.program(DECODE)
        moved = [
            (number, size)
            for number, (purpose, size) in enumerate(program.notes)
            if str(purpose).startswith("head weights of head") and size
        ]
        assert sum(size for _, size in moved) == 40 * 32
        runs = [number for number, one in enumerate(program.instructions) if one.unit == "head"]
        layers = [number for number, one in enumerate(program.instructions) if one.unit == "matrix"]
        assert moved[0][0] < max(layers) < min(runs)
        assert sum(program.instructions[number].kind == "start" for number in runs) == batch * len(moved)


# Cycles ---------------------------------------------------------------------------------------------------------------


def test_a_token_is_drawn_from_the_scores() -> None:
    """Another seed draws other tokens; a temperature of nearly 0 draws the most likely ones."""
    units = {"head": integers(), "vector": small.vector(samples=True)}
    made = compile_model(small.hardware(**units), trained(), calibration.measure(trained(), [TOKENS]))
    shown = image.of_compiled(made)

    def text(temperature: float, seed: int) -> list[int]:
        one = drawing.drawn(shown, made.hardware, temperature, seed)
        return decoding.decode(made.hardware, one, TOKENS[:2], 4, port()).tokens

    likely = decoding.decode(made.hardware, shown, TOKENS[:2], 4, port()).tokens
    assert text(0.01, 3) == likely and text(50.0, 0) == text(50.0, 0) != text(50.0, 1)


def test_every_sequence_of_a_batch_is_as_alone() -> None:
    """Values of both sequences, and the cycles of every instruction."""
    alone, both = found("integers", 2), found("integers", 2, 2)
    prompts, shown = [TOKENS[:2], TOKENS[2:4]], image.of_compiled(both)
    together = decoding.decode(both.hardware, shown, prompts[0], 3, port(), beside=prompts[1:])
    single = image.of_compiled(alone)
    wanted = [decoding.decode(alone.hardware, single, prompt, 3, port()).tokens for prompt in prompts]
    assert together.sequences == wanted and wanted[0] != wanted[1]
    small.check_passes(both.hardware, shown, turns(2, 3, 1), port(), together.trace)


@pytest.mark.parametrize("head", ["integers", "tables", "matrix"])
@pytest.mark.parametrize("memory", ["fixed", "half"])
def test_passes_in_machine_code_take_the_cycles_of_each_instruction(head: str, memory: str) -> None:
    made, shown = found(head), image.of_compiled(found(head))
    decoded = decoding.decode(made.hardware, shown, TOKENS[:3], 2, port(memory))
    small.check_passes(made.hardware, shown, turns(3, 2, 1), port(memory), decoded.trace)


def test_sums_of_a_pass_are_those_of_its_spans() -> None:
    """Cycles, waits and work of every unit, that of the head among them."""
    made, shown = found("integers"), image.of_compiled(found("integers"))
    trace = decoding.timed(made.hardware, shown, [DECODE], port("half"), lambda _: 3)
    runs, program = Runs(made.hardware), made.program(DECODE)
    passes, table = (
        Passes(made.hardware, [port("half")] * 3, runs),
        read_program(made.hardware, runs, program.instructions),
    )
    adding = sums.Adding(runs, table, program.notes)
    ran = passes.run(table, 0, 3)
    assert ran.reasons.max() == ran.reasons[-1] == len(SIX)  # the number behind those of all units
    adding.add(ran)
    added = adding.sums()
    assert dict(added.busy) == decoding.busy(trace) and added.busy["head"] > 0
    assert sums.stalls(added, passes.cycles) == decoding.waits(trace)
    assert added.macs["head"] == 40 * 32
    for each in (added.layers, added.steps):
        assert {unit: sum(row[unit] for row in each.values()) for unit in SIX} == dict(added.busy)
    assert [added.steps["head"]["head"], added.layers["head"]["head"]] == [added.busy["head"]] * 2


def test_an_estimate_has_the_bytes_and_nearly_the_cycles_of_the_simulator() -> None:
    agree_on_a_token(read_system(FILE))


def test_an_estimator_keeps_the_programs_of_two_heads_of_the_same_hardware_apart() -> None:
    """INT8 rows scored by the vector unit, and INT8 rows as a product of the matrix unit."""
    text = (FILE.parents[1] / "examples" / "tiny_decoder" / "system.yaml").read_text(encoding="utf-8")
    text = text.replace("lanes: 4", "lanes: 8").replace("embedding_width: 16", "embedding_width: 8")
    scored = text.replace("runs: [product, prefill]", "runs: [product, prefill, head]")
    scored = scored.replace("stage: exact", "stage: int8")
    systems = [system_from(read_text(one)) for one in (text, scored)]
    exact, product = (control.hardware(one) for one in systems)
    assert exact.design_hash == product.design_hash and (exact.head, product.head) == ("", "matrix")
    facts = technology.load("asap7")
    both = costs.Estimator(facts)
    together = [both(one, one.largest, 0).phases["decode"].time.seconds for one in systems]
    alone = [costs.estimate(one, one.largest, facts, 0).phases["decode"].time.seconds for one in systems]
    assert together == alone and alone[0] != alone[1]


def test_a_trace_has_a_track_for_the_unit() -> None:
    made, shown = found("integers"), image.of_compiled(found("integers"))
    decoded = decoding.decode(made.hardware, shown, TOKENS[:1], 1, port())
    events = list(chrome.events(chrome.of_decoded(decoded, shown), made.hardware.queues, 100.0))
    names = {one["tid"]: one["args"]["name"] for one in events if one["ph"] == "M"}
    assert list(names.values()) == list(SIX)
    mine = {one["name"] for one in events if one["ph"] == "X" and names[one["tid"]] == "head"}
    assert mine and all(name.startswith("head head from ") for name in mine)


if ALL:  # a minute each to build

    @pytest.mark.slow
    @pytest.mark.parametrize("head", ["integers", "tables", "matrix"])
    def test_rtl_has_the_tokens_and_the_cycles_of_the_simulator(head: str, tmp_path: Path) -> None:
        """Two tokens behind a prompt of two; an instruction of the unit that takes a cycle more is found."""
        small.check_rtl(found(head), TOKENS[:2], hardware(head).head, tmp_path)

    @pytest.mark.slow
    def test_flip_flops_are_those_of_the_netlist() -> None:
        check_netlist(hardware("tables"))


# What is refused ------------------------------------------------------------------------------------------------------


def said(edit: Mapping[str, str]) -> str:
    """The sentence for the file with texts replaced."""
    text = FILE.read_text(encoding="utf-8")
    for old, new in edit.items():
        assert old in text, old
        text = text.replace(old, new)
    return small.refusal(text)


_FINDS = (
    "units.vector: vector must run the head too, of stage exact, or a unit of products one of stage int8 without "
    "candidates, to choose a token: it finds the largest score"
)
REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "an exact stage": (
        {"stage: int8": "stage: exact"},
        "head.stage: stage must be ternary or int8 where scorer runs the head, by products of integers, not exact",
    ),
    "candidates": ({"stage: int8": "stage: int8, candidates: 4"}, _FINDS),
    "a ternary stage": ({"stage: int8": "stage: ternary, candidates: 4"}, _FINDS),
    "activations of 7 bits": (
        {"      cols: 8\n      act_width: 8\n": "      cols: 8\n      act_width: 7\n"},
        "units.scorer: head must run on a unit of INT8 activations, as norms give them, and scorer takes integers of 7 "
        "bits",
    ),
    "a short reduction": (
        {"k_max: 256": "k_max: 255"},
        "units.scorer.parameters.k_max: unit scorer must run head: Gemm k must be at most k_max 255, not 256",
    ),
    "a vocabulary that the vector unit does not count": (
        {"rows_max: 1024": "rows_max: 1023"},
        "units.vector.parameters.rows_max: unit vector must run choice: Rowwise rows must be at most rows_max 1023, "
        "not 1024",
    ),
    "a unit of integers for prompts too": (
        {
            "runs: [head]": "runs: [head, prefill]", "runs: [product, prefill]": "runs: [product]",
            "k_max: 256": "k_max: 768",
        },
        "Weights of the head unit must be ternary words, not twos_complement elements",
    ),
    "weights of 16 bits": (
        {"weight_width: 8": "weight_width: 16"},
        "Weights of the head unit must be ternary words or integers of 8 bits, not twos_complement elements",
    ),
    "cycles that depend on the weights": (
        {"pe: mac": "pe: booth_flex"},
        "Cycles of unit head must not depend on its operands in hardware of a whole system, which is timed by sizes",
    ),
    "sums of more than 32 bits": (
        {"weight_width: 8": "weight_width: 8\n      acc_width: 40"},
        "The vector unit must take the sums of the head unit as its rows (dequantizes: true)",
    ),
    "several rows of elements": (
        {"      rows: 1\n": "      rows: 2\n"},
        "The head unit must take and give one token's vector in order, each element once (one token lane, one row, no "
        "tiles), and this design does not",
    ),
    "a small buffer of weights": (
        {"weights: 16384": "weights: 4096", "cols: 8\n      act_width": "cols: 16\n      act_width"},
        "Buffer of weights must be at least 8192 bytes for a product of 256 inputs",
    ),
    "a vector unit that is slower than memory": (
        {"lanes: 4": "lanes: 2", "rows_kept: 3": "rows_kept: 2"},
        "The vector unit must take a score in as many cycles as memory gives 768 elements, its longest row: give the "
        "memory a narrower port",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_head_cannot_be_is_said_in_one_sentence(what: str) -> None:
    edit, told = REFUSED[what]
    assert said(edit) == told


def test_an_image_is_that_of_its_hardware(tmp_path: Path) -> None:
    made = found("integers")
    image.write(made, tmp_path)
    back = image.read(tmp_path, made.hardware)
    assert back.units == SIX and back.programs == image.of_compiled(made).programs
    listed = (tmp_path / image.LISTING).read_text(encoding="utf-8")
    assert "head weights of head from 0" in listed and "start head" in listed
    other = hardware("matrix")
    with pytest.raises(
        ParamError, match=f"image must be for this design, whose hash is {other.design_hash}, not for"
    ):
        image.read(tmp_path, other)


def test_a_manifest_has_the_numbers_and_the_fields_of_its_units() -> None:
    said = system_export._instructions(hardware("integers"))
    assert said["units"] == {unit: number for number, unit in enumerate(SIX)}
    assert [one["width"] for one in said["fields"]] == [3, 3, 6, 6, 8, 38]
