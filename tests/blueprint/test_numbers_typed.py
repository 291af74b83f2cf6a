"""mypy refuses what is no number where a formula needs one."""

import pytest
from mypy import api

FORMULAS = """\
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.numbers import Number, Real, Whole, bit_length, choose, flag
from blueprint.unit import ADDER, Unit


def right(p: TernaryLutSpec, count: Number, many: Whole, share: Real) -> list[Unit]:
    return [
        ADDER("lane", count + p.depth, width=bit_length(p.entries) + 1, activity=1 / p.depth),
        ADDER("lane", many * flag(p.depth > 1), width=choose(p.half, 3, p.entry_width), activity=share),
    ]
"""
WRONG = {
    "a text added to a number": ("count + 'x'", 'Unsupported operand types for + ("int" and "str")'),
    "a text added to what follows from fields": (
        "p.entry_width + 'x'",
        'Unsupported operand types for + ("int" and "str")',
    ),
    "a text as a width": ("ADDER('lane', 1, width='8')", 'Argument "width" to "__call__" of "Kind"'),
    "a fraction as a width": (
        "ADDER('lane', 1, width=1 / p.depth)",
        'Argument "width" to "__call__" of "Kind"',
    ),
    "nothing as a count": ("ADDER('lane', None, width=8)", 'Argument 2 to "__call__" of "Kind"'),
    "a number and a text to choose from": (
        "choose(p.half, 3, 'x') + 1",
        'Value of type variable "_Value" of "choose" cannot be "object"',
    ),
    "a text times many numbers": ("many - 'x'", 'Unsupported operand types for - ("int" and "str")'),
}


def checked(expressions: list[str]) -> list[str]:
    """Messages of mypy on the formulas, each expression in a function of its own."""
    text = FORMULAS + "".join(
        f"\n\ndef wrong{number}(p: TernaryLutSpec, count: Number, many: Whole) -> object:\n    return {expression}\n"
        for number, expression in enumerate(expressions)
    )
    out, err, _ = api.run(["--strict", "--cache-dir", "sim_build/mypy", "--no-error-summary", "-c", text])
    assert not err
    return [line for line in out.splitlines() if ": error: " in line]


@pytest.fixture(scope="module")
def messages() -> list[str]:
    return checked([expression for expression, _ in WRONG.values()])


def line_of(number: int) -> int:
    return FORMULAS.count("\n") + 4 * (number + 1)


@pytest.mark.parametrize("name", WRONG)
def test_mypy_refuses(name: str, messages: list[str]) -> None:
    number = list(WRONG).index(name)
    found = [text for text in messages if text.startswith(f"<string>:{line_of(number)}: ")]
    assert any(WRONG[name][1] in text for text in found), messages


def test_mypy_takes_what_is_right(messages: list[str]) -> None:
    lines = {int(text.split(":")[1]) for text in messages}
    assert lines == {line_of(number) for number in range(len(WRONG))}
