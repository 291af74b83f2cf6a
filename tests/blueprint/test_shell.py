"""The register file as data: addresses that follow from the description, what is refused, what hardware is counted."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from blueprint.product import product_sizes
from blueprint.registry import families
from blueprint.shell import ADDRESS_BITS, COUNTERS, STALLS, Bound, RegisterFile, SizeRule
from blueprint.spec import Spec

WAITS = {"input": "a", "memory": "b", "output": "c"}
SIZES = product_sizes({"tokens": (9, 1), "k": (8, 0), "n": (7, 1)})
FILE = RegisterFile(SIZES, WAITS)
HASH = "0123456789abcdef"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "registers.md"


def addresses(file: RegisterFile) -> dict[str, int]:
    return {register.name: register.address for register in file.registers(HASH)}


def drawn(family: str) -> list[Spec]:
    random = np.random.default_rng(8)
    return [families()[family].sample(random) for _ in range(60)]


def test_addresses_follow_from_the_order() -> None:
    names = ["control", "status", "tokens", "k", "n", *COUNTERS, "hash_lo", "hash_hi"]
    assert addresses(FILE) == {name: 4 * place for place, name in enumerate(names)}


def test_counters_stand_behind_the_words_reserved_for_sizes() -> None:
    wide = addresses(dataclasses.replace(FILE, words=5))
    assert wide["n"] == 0x10 and wide["cycles"] == 0x1C and wide["hash_hi"] == 0x34


def test_a_size_that_a_design_lacks_has_no_address_and_its_word_stays_reserved() -> None:
    gone = dataclasses.replace(SIZES[1], there=0)
    found = addresses(dataclasses.replace(FILE, sizes=(SIZES[0], gone, SIZES[2])))
    assert "k" not in found and found["n"] == 0x0C and found["cycles"] == 0x14


def test_more_sizes_than_words_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^Sizes of a design must fit 2 words, not 3$"):
        dataclasses.replace(FILE, words=2).registers(HASH)


def test_halves_of_the_hash_and_unknown_reasons() -> None:
    found = {register.name: register for register in FILE.registers(HASH)}
    assert (found["hash_lo"].reset, found["hash_hi"].reset) == (0x89ABCDEF, 0x01234567)
    assert found["stall_dependency"].description == "always 0"
    assert found["stall_memory"].description == "b"


def test_flags_stand_above_the_status_bits_of_every_design() -> None:
    status = dataclasses.replace(FILE, flags=("bent", "cracked")).registers(HASH)[1]
    assert {name: low for name, (low, _) in status.fields.items()} == {
        "busy": 0, "done": 1, "size_error": 2, "framing_error": 3, "bent": 4, "cracked": 5,
    }  # fmt: skip


@pytest.mark.parametrize(("dependency", "stalls"), [(0, STALLS[:-1]), (1, STALLS)])
def test_a_stall_that_hardware_counts_has_a_counter_in_the_inventory(
    dependency: int, stalls: tuple[str, ...]
) -> None:
    file = dataclasses.replace(FILE, dependency=dependency)
    (counters,) = [unit.count for unit in file.units() if unit.kind == "adder" and unit.dims["width"] == 32]
    assert file.stalls == stalls and counters == 1 + len(stalls)


def test_a_size_that_no_run_counts_is_not_copied() -> None:
    assert [size.bits for size in SIZES] == [4, 0, 3]
    copied = [unit.dims["width"] for unit in FILE.units() if unit.kind == "register"]
    assert 4 + 3 in copied


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"tokens": 9, "k": 8, "n": 7}, None),
        ({"tokens": 0, "k": 8, "n": 7}, "Register tokens must be from 1 to 9, not 0"),
        ({"tokens": 9, "k": 9, "n": 7}, "Register k must be from 1 to 8, not 9"),
        ({"tokens": 9, "k": 1, "n": 3}, "Registers must keep to n <= k, not be n 3, k 1"),
    ],
)
def test_what_does_not_start_is_said(values: dict[str, int], reason: str | None) -> None:
    file = dataclasses.replace(FILE, rules=(SizeRule((Bound(("n",), ("k",)),)),))
    assert file.refusal(values) == reason
    assert file.legal == {"tokens": (1, 9), "k": (1, 8), "n": (1, 7)}


@pytest.mark.parametrize("family", sorted(families()))
def test_addresses_of_a_family_are_the_same_in_every_design_and_fit_the_port(family: str) -> None:
    fixed: dict[str, set[int]] = {}
    for spec in drawn(family):
        for register in spec.registers():
            fixed.setdefault(register.name, set()).add(register.address)
    sizes = {size.name for size in families()[family].sample(np.random.default_rng(0)).register_file().sizes}
    assert {name for name, found in fixed.items() if len(found) > 1} <= sizes
    assert max(max(found) for found in fixed.values()) < 1 << ADDRESS_BITS


def rows(text: str) -> list[tuple[list[int], list[str]]]:
    """Addresses and names of the rows of the page's register map that have both."""
    found = re.findall(r"^\| (0x\w\w(?:, or 0x\w\w)?)[^|]*\| (`[^|]*`) \|", text, re.MULTILINE)
    return [
        ([int(at, 16) for at in re.findall(r"0x\w\w", where)], re.findall(r"`(\w+)`", names))
        for where, names in found
    ]


def misplaced(text: str, family: str) -> list[str]:
    """Registers of random designs that stand elsewhere than the page says."""
    wrong = set()
    for spec in drawn(family):
        built = {register.name: register.address for register in spec.registers()}
        wrong |= {name for allowed, names in rows(text) for name in names if built[name] not in allowed}
    return sorted(wrong)


@pytest.mark.parametrize("family", sorted(families()))
def test_the_page_has_the_addresses_of_every_family(family: str) -> None:
    text = PAGE.read_text()
    assert [names for _, names in rows(text)] == [["control"], ["status"], ["cycles"]]
    assert misplaced(text, family) == []
    assert misplaced(text.replace("| 0x04 |", "| 0x08 |"), family) == ["status"]


def test_the_page_says_which_sizes_a_family_has() -> None:
    text = PAGE.read_text()
    for family, kind in families().items():
        (row,) = [line for line in text.splitlines() if line.startswith("| ") and f"`{family}`" in line]
        named = re.findall(r"`(\w+)`", row.split("|")[2])
        sizes = [size.name for size in kind.sample(np.random.default_rng(0)).register_file().sizes]
        assert [name for name in named if name in sizes] == sizes
