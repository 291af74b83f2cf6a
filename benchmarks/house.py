"""Figures of the code before and after its redesign: `python -m benchmarks.house`.

Both trees are commits of this repository. A figure is counted by the same rule in both; the rule is the docstring of
its function. The trees before and after lay families out differently, which :func:`homes` knows.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

#: The search for circles is that of the tests, which mypy does not check.
test_imports: Any = importlib.import_module("tests.test_imports")

ROOT = Path(__file__).resolve().parent.parent
#: The commit in front of the first one of the redesign.
BEFORE = "e6ee3fe"
#: The rooms whose docstrings were gone through, and those that are not counted in them.
PROSE, LEFT_OUT = ("blueprint", "generator", "toolchain", "costmodel"), ("systems", "technology")


def checked_out(commit: str, folder: Path) -> Path:
    """The files of a commit in a folder. Raises ``CalledProcessError`` for an unknown commit."""
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True)
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    return folder


def homes(root: Path) -> dict[str, list[Path]]:
    """The two folders of every family, by its name."""
    inner = "families" if (root / "blueprint" / "families").is_dir() else "."
    rooms = [root / room / inner for room in ("blueprint", "generator")]
    names = [
        path.name
        for path in rooms[0].iterdir()
        if (rooms[1] / path.name).is_dir() and path.name[0] not in "_."
    ]
    shared = {"softmax", "processing", "systems", "arithmetic", "families"}
    return {name: [room / name for room in rooms] for name in sorted(set(names) - shared)}


def trees(*folders: Path) -> Iterator[ast.Module]:
    """The syntax of every module below some folders."""
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            yield ast.parse(path.read_text(encoding="utf-8"))


def nodes(*folders: Path) -> Iterator[ast.AST]:
    """Every node of the syntax of every module below some folders."""
    for tree in trees(*folders):
        yield from ast.walk(tree)


def import_circles(root: Path) -> int:
    """Groups of modules that import each other, in functions and for type checkers included."""
    return len(test_imports.circles(test_imports.graph(root)))


def protocol(root: Path) -> set[str]:
    """Names of the functions that a family can give: methods of the protocols, or of the base class without them."""
    text = root / "blueprint" / "family.py"
    source = text if text.is_file() else root / "blueprint" / "spec.py"
    kinds = [node for node in ast.parse(source.read_text()).body if isinstance(node, ast.ClassDef)]
    if text.is_file():
        kinds = [kind for kind in kinds if any("Protocol" in ast.unparse(base) for base in kind.bases)]
    else:
        kinds = [kind for kind in kinds if kind.name == "Spec"]
    return {each.name for kind in kinds for each in kind.body if isinstance(each, ast.FunctionDef)}


def methods_of_a_family(root: Path) -> str:
    """Functions of the protocol that each family writes, and methods of its classes that only call another module."""
    wanted, found = protocol(root), []
    for folders in homes(root).values():
        given = [node for node in nodes(folders[0]) if isinstance(node, ast.FunctionDef)]
        forwarding = [
            method
            for kind in nodes(folders[0])
            if isinstance(kind, ast.ClassDef)
            for method in kind.body
            if isinstance(method, ast.FunctionDef) and _forwards(method)
        ]
        found.append(f"{len({node.name for node in given} & wanted)} + {len(forwarding)}")
    return ", ".join(found)


def _forwards(method: ast.FunctionDef) -> bool:
    """True if a method returns what a function gives for ``self`` and nothing else."""
    body = method.body[1:] if ast.get_docstring(method) is not None else method.body
    if len(body) != 1 or not isinstance(body[0], ast.Return) or not isinstance(body[0].value, ast.Call):
        return False
    arguments = body[0].value.args
    return bool(arguments) and isinstance(arguments[0], ast.Name) and arguments[0].id == "self"


def lines_of_a_family(root: Path) -> str:
    """Lines of each family's two folders."""
    return ", ".join(
        str(sum(len(path.read_text().splitlines()) for folder in folders for path in folder.rglob("*.py")))
        for folders in homes(root).values()
    )


def casts(root: Path) -> int:
    """Calls of ``int`` and ``bool`` on an attribute of a ``spec`` in the generator."""
    pattern = re.compile(r"\b(?:int|bool)\((?:self\.)?spec\.")
    return sum(len(pattern.findall(path.read_text())) for path in (root / "generator").rglob("*.py"))


def chosen_flags(root: Path) -> int:
    """Calls of ``choose`` that make a flag: between 0 and 1, or 1 and 0."""
    found = 0
    for node in nodes(root / "blueprint"):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "choose":
            values = [value.value for value in node.args[1:] if isinstance(value, ast.Constant)]
            found += values in ([0, 1], [1, 0])
    return found


def wires_by_string(root: Path) -> int:
    """Look-ups by a string in the generator's folders of hardware: subscripts, ``getattr`` and ``hasattr``."""
    folders = [path for path in (root / "generator").iterdir() if path.is_dir()]
    found = 0
    for node in nodes(*folders):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            found += isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found += node.func.id in ("getattr", "hasattr")
    return found


def generate_functions(root: Path) -> int:
    """Functions called ``generate``, or ``generate_`` for a command, in the rooms."""
    rooms = [root / room for room in test_imports.ROOMS]
    names = ("generate", "generate_")
    return sum(isinstance(node, ast.FunctionDef) and node.name in names for node in nodes(*rooms))


def duplicate_pairs(root: Path) -> str:
    """Pairs of places that share six lines, and those between two families, by a tool outside the repository."""
    if shutil.which("duplicates") is None:
        return "not measured: no command `duplicates`"
    done = subprocess.run(
        ["duplicates", "--repo", str(root), "--most", "200", "--seconds", "300"],
        capture_output=True,
        text=True,
        check=True,
    )
    families = {name: re.compile(rf"\b(?:blueprint|generator)/(?:families/)?{name}/") for name in homes(root)}
    first, *rows = done.stdout.splitlines()
    between = [row for row in rows if sum(bool(place.search(row)) for place in families.values()) > 1]
    count = re.match(r"(\d+) pairs", first)
    return f"{count.group(1) if count else 0}, {len(between)}"


def sentences(root: Path) -> set[str]:
    """Sentences of the docstrings of the rooms that were gone through."""
    found: set[str] = set()
    for room in PROSE:
        for path in (root / room).rglob("*.py"):
            if set(LEFT_OUT) & set(path.relative_to(root).parts):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                    text = " ".join((ast.get_docstring(node) or "").split())
                    found |= {part for part in re.split(r"(?<=[.:;]) ", text) if part}
    return found


FIGURES: dict[str, Callable[[Path], int | str]] = {
    "import circles": import_circles,
    "functions of the protocol that each family writes + forwarding methods": methods_of_a_family,
    "lines of each family": lines_of_a_family,
    "casts of parameters in the generator": casts,
    "`choose` used for flags": chosen_flags,
    "wires and fields found by string": wires_by_string,
    "functions called `generate`": generate_functions,
    "duplicate pairs, between families": duplicate_pairs,
}


def table(before: Path, after: Path) -> str:
    """The figures of two trees as a table in Markdown."""
    head = f"families: before {', '.join(homes(before))}; after {', '.join(homes(after))}"
    rows = [f"| {name} | {figure(before)} | {figure(after)} |" for name, figure in FIGURES.items()]
    old, new = sentences(before), sentences(after)
    counts = f"{len(old)} | {len(new)}; {len(old - new)}"
    rows.append(f"| docstring sentences; those of before that are gone | {counts} |")
    return "\n".join([head, "", "| figure | before | after |", "| --- | ---: | ---: |", *rows])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default=BEFORE, help="commit of the first column")
    parser.add_argument("--after", default="HEAD", help="commit of the second column")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        before, after = (
            checked_out(commit, Path(folder) / name)
            for name, commit in (("before", given.before), ("after", given.after))
        )
        print(table(before, after))


if __name__ == "__main__":
    main()
