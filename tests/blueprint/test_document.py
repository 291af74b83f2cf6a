"""YAML documents: scalars of YAML 1.2, positions of everything, refusals in exact words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blueprint.errors import SpecError
from blueprint.files.document import read, read_text
from blueprint.files.nearest import nearest
from blueprint.files.tree import dump, parse, show

TEXT = """\
schema: x
outer:
  inner: 3
  items:
    - {a: 1}
    - [1, 2,
       three]
"""


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("1e9", 10**9),
        ("1E+2", 100),
        ("1.5e3", 1500.0),
        ("1e-3", 0.001),
        ("12", 12),
        ("-7", -7),
        ("+7", 7),
        ("017", 17),
        ("0x1F", 31),
        ("0o17", 15),
        (".5", 0.5),
        ("5.", 5.0),
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2026-11-22", "2026-11-22"),
        ("true", True),
        ("FALSE", False),
        ("tRUE", "tRUE"),
        ("~", None),
        ("", None),
        ("null", None),
        ('"3"', "3"),
        ("'true'", "true"),
        ("1x2", "1x2"),
        ("<<", "<<"),
    ],
)
def test_scalars_follow_yaml_1_2(scalar: str, value: Any) -> None:
    found = read_text(f"key: {scalar}\n").raw()["key"]
    assert found == value
    assert type(found) is type(value)


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_integers_survive(value: int) -> None:
    assert read_text(f"key: {value}").take("key", int) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_survive(value: float) -> None:
    assert read_text(f"key: {value!r}").take("key", float) == value


@pytest.mark.parametrize(
    ("path", "position"),
    [
        ((), (1, 1)),
        (("outer",), (2, 1)),
        (("outer", "inner"), (3, 3)),
        (("outer", "items", 0), (5, 7)),
        (("outer", "items", 0, "a"), (5, 8)),
        (("outer", "items", 1, 2), (7, 8)),
        (("outer", "missing", "deeper"), (2, 1)),
        (("outer", "items", 2), (4, 3)),
        (("outer", "items", 1, 3), (6, 7)),
    ],
)
def test_positions_reach_into_lists(path: tuple[str | int, ...], position: tuple[int, int]) -> None:
    assert read_text(TEXT).position(path) == position


def test_errors_name_the_whole_path() -> None:
    section = read_text(TEXT, "f.yaml").section("outer")
    assert (
        str(section.error(("items", 1, 2), "it must be else"))
        == "f.yaml:7:8: outer.items[1][2]: it must be else"
    )
    assert str(section.error(None, "no")) == "f.yaml:2:1: outer: no"


def message(text: str, *arguments: Any, **limits: Any) -> str:
    with pytest.raises(SpecError) as caught:
        read_text(text, "f.yaml").take(*arguments, **limits)
    return str(caught.value)


@pytest.mark.parametrize(
    ("scalar", "kind", "words"),
    [
        ("1.5", int, "an integer, not 1.5"),
        ("true", int, "an integer, not true"),
        ("1", bool, "true or false, not 1"),
        ("true", float, "a number, not true"),
        ("5", str, "text, not 5"),
        ("[1]", str, "text, not a list"),
        ("{a: 1}", list, "a list, not a mapping"),
        ("~", dict, "a mapping, not empty"),
        ("x", (int, bool), "an integer or true or false, not 'x'"),
    ],
)
def test_kind_is_checked(scalar: str, kind: Any, words: str) -> None:
    assert message(f"key: {scalar}", "key", kind) == f"f.yaml:1:1: key: key must be {words}"


def test_magnitude_and_choice_are_checked_after_kind() -> None:
    assert message("k: 0", "k", int, minimum=1) == "f.yaml:1:1: k: k must be at least 1, not 0"
    assert message("k: 9", "k", int, maximum=8) == "f.yaml:1:1: k: k must be at most 8, not 9"
    expected = "f.yaml:1:1: k: k must be one of half, full, not 'hlaf'; did you mean 'half'?"
    assert message("k: hlaf", "k", str, choices=("half", "full")) == expected
    assert message("k: x", "k", str, choices=("v1",)) == "f.yaml:1:1: k: k must be 'v1', not 'x'"


def test_missing_key_is_named_and_a_misspelled_one_found() -> None:
    assert message("a: 1", "family", str) == "f.yaml:1:1: family: family must be given, and is missing"
    assert message("a: 1\nfamly: x", "family", str) == "f.yaml:2:1: famly: key must be 'family', not 'famly'"


def test_finish_refuses_what_nobody_asked_for() -> None:
    section = read_text("mu: 1\nlut_cuont: 2\n", "f.yaml")
    section.take("mu", int)
    section.take("lut_count", int, default=4)
    with pytest.raises(SpecError) as caught:
        section.finish()
    expected = (
        "f.yaml:2:1: lut_cuont: key must be one of mu, lut_count, not 'lut_cuont'; did you mean 'lut_count'?"
    )
    assert str(caught.value) == expected


def test_finish_is_content_when_all_was_taken() -> None:
    section = read_text("mu: 1\n")
    section.take("mu", int)
    section.finish()


def test_sections_of_a_list() -> None:
    first, second = read_text("all: [{a: 1}, {a: 2}]").sections("all")
    assert (first.take("a", int), second.take("a", int)) == (1, 2)
    with pytest.raises(SpecError) as caught:
        read_text("all: [{a: 1}, 5]", "f.yaml").sections("all")
    assert str(caught.value) == "f.yaml:1:15: all[1]: item 2 of all must be a mapping, not 5"


def test_aliases_are_values_like_any_other() -> None:
    section = read_text("a: &x {b: 1}\nc: *x\n")
    assert section.raw() == {"a": {"b": 1}, "c": {"b": 1}}
    assert section.position(("c",)) == (2, 1)


def test_byte_order_mark_and_carriage_returns_are_no_content(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: text\r\n")
    assert read(path).raw() == {"a": 1, "b": "text"}


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_position(text: str) -> None:
    try:
        read_text(text, "f.yaml").raw()
    except SpecError as problem:
        parts = str(problem).split(":")
        assert parts[0] == "f.yaml" and int(parts[1]) > 0 and int(parts[2]) > 0
        assert "\n" not in str(problem)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(content)
        file.flush()
        try:
            read(file.name)
        except SpecError as problem:
            assert str(problem).startswith(f"{file.name}:")


def test_values_are_shown_short() -> None:
    assert show("x" * 1000) == "'" + "x" * 39 + "... (1002 characters)"
    assert show({"a": 1}) == "a mapping"


def test_nearest_name_wants_likeness() -> None:
    assert nearest("lut-count", ["mu", "lut_count"]) == "lut_count"
    assert nearest("zebra", ["mu", "lut_count"]) is None


@pytest.mark.parametrize(
    "text",
    [
        "1e3",
        "1E-3",
        "0x1f",
        "0o17",
        "-5",
        ".5",
        "5.",
        "true",
        "null",
        "~",
        "",
        ".inf",
        "yes",
        "1:30",
        "a: b",
        "#x",
    ],
)
def test_text_is_dumped_so_that_it_reads_back_as_text(text: str) -> None:
    content = {"a": text, "b": [text, 1, 2.5, 1e-7, 1e22, True], "c": {"d": text}}
    assert parse(dump(content), "x").plain() == content
