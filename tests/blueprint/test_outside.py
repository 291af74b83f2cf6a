"""Folders of families outside this distribution: which are searched, and which are refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from blueprint import outside
from blueprint.errors import ParamError

ROOT = Path(outside.__file__).resolve().parent.parent
Name = Callable[..., None]


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> Name:
    """Names folders in the variable."""

    def named(*places: object) -> None:
        monkeypatch.setenv(outside.VARIABLE, os.pathsep.join(map(str, places)))

    return named


def family(root: Path, *places: str) -> Path:
    """A folder with empty packages at these places."""
    for place in places:
        (root / place).mkdir(parents=True)
        (root / place / "__init__.py").touch()
    return root


def refusal() -> str:
    with pytest.raises(ParamError) as caught:
        outside.check()
    return str(caught.value)


def test_without_the_variable_nothing_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(outside.VARIABLE, raising=False)
    assert outside.roots() == () and outside.packages("blueprint") == []
    outside.check()


def test_folders_are_searched_where_they_have_families(name: Name, tmp_path: Path) -> None:
    one = family(tmp_path / "one", "blueprint/families/mine")
    two = family(tmp_path / "two", "blueprint/families/yours", "generator/families/yours")
    name(one, "", two)
    outside.check()
    assert outside.roots() == (one, two)
    assert outside.packages("blueprint") == [f"{one}/blueprint/families", f"{two}/blueprint/families"]
    assert outside.packages("generator") == [f"{two}/generator/families"]


def test_a_relative_folder_is_not_searched_and_is_refused(
    name: Name, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family(tmp_path / "one", "blueprint/families/mine")
    monkeypatch.chdir(tmp_path)
    name("one")
    assert outside.packages("blueprint") == []
    assert refusal() == f"{outside.VARIABLE} must name absolute folders, not 'one'; use {tmp_path / 'one'}"


@pytest.mark.parametrize(
    "places", [(), ("blueprint",), ("blueprint/families",), ("generator/families/mine",)]
)
def test_a_folder_without_a_family_is_refused(places: tuple[str, ...], name: Name, tmp_path: Path) -> None:
    one = family(tmp_path / "one", *places)
    name(one)
    what = "must name folders with blueprint/families/<name>/__init__.py"
    assert refusal() == f"{outside.VARIABLE} {what}, not '{one}'"


@pytest.mark.parametrize("room", ["blueprint", "generator"])
def test_a_family_named_as_one_of_ours_is_refused(room: str, name: Name, tmp_path: Path) -> None:
    one = family(tmp_path / "one", "blueprint/families/mine", f"{room}/families/systolic")
    name(one)
    places = f"{ROOT}/{room}/families and {one}/{room}/families"
    assert refusal() == f"Family 'systolic' must have a name of its own, and is in {places}"


@pytest.mark.parametrize("room", ["blueprint", "generator"])
def test_two_families_of_one_name_are_refused(room: str, name: Name, tmp_path: Path) -> None:
    one = family(tmp_path / "one", "blueprint/families/mine", "generator/families/both")
    two = family(tmp_path / "two", "blueprint/families/yours", f"{room}/families/{room}s")
    three = family(tmp_path / "three", "blueprint/families/ours", f"{room}/families/{room}s")
    name(one, two, three)
    places = f"{two}/{room}/families and {three}/{room}/families"
    assert refusal() == f"Family '{room}s' must have a name of its own, and is in {places}"


def test_a_folder_of_no_package_has_no_name_to_take(name: Name, tmp_path: Path) -> None:
    one = family(tmp_path / "one", "blueprint/families/mine")
    (one / "blueprint/families/systolic").mkdir()
    name(one)
    outside.check()
