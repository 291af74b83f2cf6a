"""A parameter has one meaning in all families, or the glossary says what the others are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

import pytest

from blueprint import registry
from blueprint.parameters import Parameter

GLOSSARY = Path(__file__).resolve().parents[2] / "docs" / "glossary.md"
Limits = Mapping[str, Parameter]


def differ(first: Parameter, second: Parameter) -> bool:
    """True if no value of one parameter is a value of the other: they cannot mean the same."""
    if first.kind is not second.kind:
        return True
    return bool(first.choices and second.choices) and not set(first.choices) & set(second.choices)


def colliding(families: Iterable[Limits]) -> set[str]:
    """Names that two families have with values of different kinds."""
    return {
        name
        for one, other in combinations(families, 2)
        for name in one.keys() & other.keys()
        if differ(one[name], other[name])
    }


def limits() -> list[Limits]:
    return [kind.limits() for kind in registry.families().values()]


def explained(text: str) -> set[str]:
    """Names in the glossary's table of names with two meanings."""
    _, _, table = text.partition("## Names with two meanings")
    return set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def test_every_name_with_two_meanings_is_in_the_glossary() -> None:
    assert colliding(limits()) == {"activation"}
    assert explained(GLOSSARY.read_text(encoding="utf-8")) >= colliding(limits())


def test_the_glossary_is_read_from_its_table_alone() -> None:
    text = "| `graph` | dataflow |\n\n## Names with two meanings\n\n| `rows` | one | other |\n"
    assert explained(text) == {"rows"}
    assert explained("| `rows` | one | other |\n") == set()


@pytest.mark.parametrize(
    "other",
    [
        Parameter(str, "a gate", choices=("relu", "gelu")),
        Parameter(int, "a number", minimum=1, maximum=4),
    ],
    ids=["other_choices", "other_kind"],
)
def test_a_name_with_other_values_is_found(other: Parameter) -> None:
    assert colliding([*limits(), {"accumulator": other}]) == {"activation", "accumulator"}


def test_a_choice_more_is_no_other_meaning() -> None:
    more = Parameter(str, "storage", choices=("auto", "registers", "latches"))
    assert colliding([*limits(), {"accumulator": more}]) == {"activation"}
