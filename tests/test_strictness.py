"""Values do not change once made, and lists side by side are equally long, except where the exceptions say so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("blueprint", "costmodel", "dse", "generator", "simulator", "ternforge", "toolchain")
#: Data classes that are filled step by step.
FILLED = {
    "blueprint/axi.py:Offer", "blueprint/files/tree.py:Node", "costmodel/groundtruth/buffering.py:_Net",
    "costmodel/groundtruth/buffering.py:_Port", "costmodel/groundtruth/mapping.py:_Node",
    "costmodel/groundtruth/mapping.py:_Sum", "costmodel/groundtruth/rtlil.py:Module",
    "costmodel/technology/facts.py:_Draft", "costmodel/technology/liberty_text.py:Group", "dse/nearest.py:Best",
    "dse/nearest.py:Nearest", "simulator/cosim/plan.py:Scenario", "ternforge/session.py:Session",
}  # fmt: skip
#: Files in which a list goes beside itself one place on, beside every second of its own, or beside one cut short.
UNEVEN = {
    "blueprint/arithmetic/floating.py", "blueprint/arithmetic/processing/golden.py",
    "blueprint/arithmetic/softmax/blocks.py", "blueprint/arithmetic/softmax/inventory.py",
    "blueprint/arithmetic/softmax/steps.py", "blueprint/families/systolic/schedule.py",
    "blueprint/families/ternary_lut/golden.py", "generator/arithmetic/floating/words.py",
    "generator/arithmetic/integers.py", "generator/arithmetic/softmax/pruning.py",
    "generator/arithmetic/softmax/scores.py", "simulator/cosim/check.py", "simulator/rtl/rtl.py",
    "ternforge/session.py",
}  # fmt: skip


def options(call: ast.expr) -> dict[str, object]:
    """Options of a call or decorator that are constants."""
    keywords = call.keywords if isinstance(call, ast.Call) else []
    return {k.arg: k.value.value for k in keywords if k.arg is not None and isinstance(k.value, ast.Constant)}


def named(node: ast.expr) -> str:
    function = node.func if isinstance(node, ast.Call) else node
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def changeable(path: str, tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for mark in node.decorator_list:
                if named(mark) == "dataclass" and options(mark).get("frozen") is not True:
                    yield f"{path}:{node.name}"


def uneven(path: str, tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and named(node) == "zip" and options(node).get("strict") is not True:
            yield path


def everywhere() -> Iterator[tuple[str, ast.AST]]:
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            yield str(file.relative_to(ROOT)), ast.parse(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def trees() -> list[tuple[str, ast.AST]]:
    return list(everywhere())


def test_only_what_is_filled_step_by_step_can_change(trees: list[tuple[str, ast.AST]]) -> None:
    assert {found for path, tree in trees for found in changeable(path, tree)} == FILLED


def test_lists_side_by_side_are_equally_long(trees: list[tuple[str, ast.AST]]) -> None:
    assert {found for path, tree in trees for found in uneven(path, tree)} == UNEVEN


@pytest.mark.parametrize(
    "line", ["@dataclass(frozen=False)", "@dataclass", "@dataclasses.dataclass(kw_only=True)"]
)
def test_a_class_that_can_change_is_found(line: str) -> None:
    assert list(changeable("x.py", ast.parse(f"{line}\nclass A:\n    a: int\n"))) == ["x.py:A"]


@pytest.mark.parametrize("call", ["zip(a, b)", "zip(a, b, strict=False)"])
def test_a_list_that_may_be_shorter_is_found(call: str) -> None:
    assert list(uneven("x.py", ast.parse(f"x = list({call})"))) == ["x.py"]
