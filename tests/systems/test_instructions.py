"""The instruction set: words and back, what is refused, programs that cannot end, and the page."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from blueprint.errors import ParamError
from blueprint.systems import instructions
from blueprint.systems.instructions import FORMAT, KINDS, UNITS, WIDTH, Instruction, assemble, refusal

PAGE = Path(__file__).resolve().parents[2] / "docs" / "systems_hardware.md"
END = Instruction("end")


def random_instruction(random: np.random.Generator) -> Instruction:
    kind = KINDS[str(random.choice(list(KINDS)))]
    units = [tuple(unit for unit in UNITS if random.random() < 0.3) for _ in range(2)]
    unit = str(random.choice(UNITS))
    numbers = [number for span in instructions.registers(unit) for number in span]
    every = {
        "unit": unit, "wait": units[0], "signal": units[1],
        "register": int(random.choice(numbers)), "value": int(random.integers(1 << 40)),
    }  # fmt: skip
    return Instruction(kind.name, **{name: every[name] for name in kind.fields})


def test_a_program_comes_back_from_its_bytes() -> None:
    random = np.random.default_rng(1)
    program = tuple(random_instruction(random) for _ in range(300))
    assert instructions.disassemble(assemble(program)) == program


def test_a_word_by_hand() -> None:
    one = Instruction("set", "vector", ("matrix",), ("store", "load"), 0x41, 0x3456789ABC)
    word = 1 | 3 << 3 | 0b00010 << 6 | 0b10001 << 11 | 0x41 << 16 | 0x3456789ABC << 24
    assert (WIDTH, one.encode()) == (64, word)
    assert instructions.listing([one]) == (
        f"     0  {word:016x}  set vector r65 = 0x3456789abc wait matrix signal store signal load\n"
    )


def test_a_value_with_the_position_is_listed_so() -> None:
    one = Instruction("setp", "load", register=2, value=1)
    assert str(one) == "setp load r2 = position + 0x1"
    assert instructions.decode(one.encode()) == one


@pytest.mark.parametrize(
    ("unit", "number", "told"),
    [
        ("load", 6, "Instruction's register of load must be from 0 to 5, not 6"),
        ("store", 65, "Instruction's register of store must be from 0 to 5, not 65"),
        ("matrix", 16, "Instruction's register of matrix must be from 0 to 15 or from 64 to 67, not 16"),
        ("vector", 68, "Instruction's register of vector must be from 0 to 15 or from 64 to 67, not 68"),
    ],
)
def test_a_register_that_a_unit_lacks_is_refused(unit: str, number: int, told: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(told)}$"):
        Instruction("set", unit, register=number)
    word = Instruction("set", unit).encode() | number << FORMAT["register"].offset
    assert instructions.fault(word) == told.removeprefix("Instruction's ")


def test_every_bit_of_every_word_belongs_to_one_field() -> None:
    used = [bit for field in FORMAT for bit in range(field.offset, field.span.stop)]
    assert used == list(range(WIDTH))


def test_words_that_decode_are_those_that_instructions_encode_to() -> None:
    """Of random words, those without a fault are equal to their instruction's word."""
    random = np.random.default_rng(2)
    legal = 0
    for _ in range(4000):
        word = int(random.integers(0, 1 << 63)) & ((1 << int(random.integers(1, 65))) - 1)
        if instructions.fault(word) is None:
            legal += 1
            assert instructions.decode(word).encode() == word
    assert legal > 100


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        (0, "kind must be one of 1, 2, 3, 4, 5, 6, not 0"),
        (7, "kind must be one of 1, 2, 3, 4, 5, 6, not 7"),
        (1 | 5 << 3, "unit must be at most 4, not 5"),
        (5 | 1 << 3, "unit of end must be 0, not 1"),
        (2 | 9 << 24, "value of start must be 0, not 9"),
    ],
)
def test_an_illegal_word_says_why(word: int, reason: str) -> None:
    assert instructions.fault(word) == reason
    sentence = re.escape(f"Instruction {word:#018x} is illegal: {reason}")
    with pytest.raises(ParamError, match=f"^{sentence}$"):
        instructions.decode(word)
    with pytest.raises(
        ParamError, match=rf"^Instruction 1 \({word:#018x}\) is illegal: {re.escape(reason)}$"
    ):
        instructions.disassemble(assemble([END]) + word.to_bytes(8, "little"))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"kind": "strat"},
            "Instruction must be one of set, start, sync, interrupt, end, setp, not 'strat'; did you mean 'start'?",
        ),
        ({"kind": "end", "unit": "load"}, "Instruction end must have no unit, not 'load'"),
        (
            {"kind": "start", "unit": "lod"},
            "Unit must be one of load, matrix, attention, vector, store, head, prefill, not 'lod'; "
            "did you mean 'load'?",
        ),
        (
            {"kind": "set", "unit": "load", "value": 1 << 40},
            "Instruction's value must fit 40 bits, not be 1099511627776",
        ),
    ],
)
def test_an_instruction_that_is_none_says_what_would_be(given: dict[str, object], told: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(told)}$"):
        Instruction(**given)  # type: ignore[arg-type]


def test_half_a_word_is_no_program() -> None:
    with pytest.raises(ParamError, match=r"^A program must be a multiple of 8 bytes, not 9$"):
        instructions.disassemble(b"123456789")


def crossed() -> list[Instruction]:
    return [Instruction("start", "load", wait=("store",)), Instruction("start", "store", wait=("load",))]


def test_units_that_wait_for_each_other_are_refused() -> None:
    assert refusal([*crossed(), END], 4) == (
        "A program must run to its end, not wait for ever: instruction 0 (start load wait store) for a token of "
        "store; instruction 1 (start store wait load) for a token of load"
    )
    first = Instruction("sync", "store", signal=("load",))
    freed = [first, Instruction("start", "load", wait=("store",), signal=("store",)), crossed()[1]]
    assert refusal([*freed, END], 4) is None


def test_a_queue_that_is_too_short_is_refused() -> None:
    """Loads that wait for a signal behind them in the program fill their queue, so that it is never read."""
    loads = [Instruction("start", "load", wait=("matrix",)) for _ in range(3)]
    program = [*loads, *(Instruction("sync", "matrix", signal=("load",)) for _ in range(3)), END]
    assert refusal(program, 3) is None
    assert refusal(program, 2) == (
        "A program must run to its end, not wait for ever: instruction 0 (start load wait matrix) for a token of matrix"
    )


def test_more_tokens_than_a_counter_holds_are_refused() -> None:
    gives = [Instruction("sync", "store", signal=("matrix",)) for _ in range(16)]
    assert refusal([*gives[1:], END], 4) is None
    assert refusal([*gives, END], 4) == (
        "A program must run to its end, not wait for ever: instruction 15 (sync store signal matrix) for matrix to "
        "take one of 15 tokens"
    )


def test_a_load_leaves_room_for_the_tokens_of_those_under_way() -> None:
    gives = [Instruction("sync", "load", signal=("matrix",)) for _ in range(13)]
    assert refusal([*gives[1:], END], 4) is None
    assert refusal([*gives, END], 4) == (
        "A program must run to its end, not wait for ever: instruction 12 (sync load signal matrix) for matrix to "
        "take one of 12 tokens"
    )


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ([], "A program must end with end, not be empty"),
        ([Instruction("interrupt")], "A program must end with end, not interrupt"),
        ([END, END], "A program must have one end, not another in instruction 0"),
    ],
)
def test_a_program_has_one_end(program: list[Instruction], told: str) -> None:
    assert refusal(program, 4) == told


def test_the_page_is_what_the_description_says() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count(instructions.page()) == 1
