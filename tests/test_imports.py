"""No modules import each other in a circle, facets stand beside each other, no family is named outside its folders."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from blueprint import registry
from blueprint.family import FACETS
from tests.test_house import ROOMS, ROOT


def modules(root: Path) -> dict[str, Path]:
    """Every module of the rooms and of benchmarks, by its dotted name; a package is its ``__init__.py``."""
    paths = [path for room in (*ROOMS, "benchmarks") for path in (root / room).rglob("*.py")]
    names = {path: path.relative_to(root).with_suffix("").parts for path in paths}
    return {".".join(parts[:-1] if parts[-1] == "__init__" else parts): path for path, parts in names.items()}


def imported(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """Modules that a file imports anywhere in it: at the top, in a function, for a type checker alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else node.module or ""


def graph(root: Path) -> dict[str, set[str]]:
    """Who imports whom. To import a module is to import the packages around it, unless one is around the importer."""
    known = modules(root)
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        targets = set()
        for target in imported(path, known):
            parts = target.split(".")
            packages = {".".join(parts[:count]) for count in range(1, len(parts))}
            targets |= {target} | {
                package for package in packages if not f"{name}.".startswith(f"{package}.")
            }
        found[name] = targets & set(known)
    return found


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other, by Tarjan's algorithm, and modules that import themselves."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        number[name] = low[name] = len(number)
        stack.append(name)
        for target in sorted(arrows[name]):
            if target not in number:
                visit(target)
            if target in stack:
                low[name] = min(low[name], low[target])
        if low[name] == number[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1 or name in arrows[name]:
                found.append(sorted(group))

    for name in arrows:
        if name not in number:
            visit(name)
    return found


def test_no_modules_import_each_other() -> None:
    assert circles(graph(ROOT)) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"blueprint/a.py": "from dse import b", "dse/b.py": "import blueprint.a"},
            [["blueprint.a", "dse.b"]],
        ),
        ({"blueprint/a.py": "def f():\n    from blueprint import a"}, [["blueprint.a"]]),
        (
            {
                "blueprint/__init__.py": "from blueprint.a import f",
                "blueprint/a.py": "from blueprint import g",
            },
            [["blueprint", "blueprint.a"]],
        ),
        (
            {
                "blueprint/kind/__init__.py": "from blueprint.kind import a",
                "blueprint/kind/a.py": "import blueprint.b",
                "blueprint/b.py": "import blueprint.kind.c",
                "blueprint/kind/c.py": "",
            },
            [["blueprint.b", "blueprint.kind", "blueprint.kind.a"]],
        ),
        ({"blueprint/kind/__init__.py": "from blueprint.kind import a", "blueprint/kind/a.py": ""}, []),
    ],
    ids=["two rooms", "in a function", "re-exported name", "package around a module", "package and its own"],
)
def test_circles_are_found(tmp_path: Path, files: dict[str, str], expected: list[list[str]]) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert circles(graph(tmp_path)) == expected


def for_a_type_checker_alone(root: Path) -> list[str]:
    """Modules of the rooms with imports that do not happen: a circle that is hidden from Python."""
    return [
        name
        for name, path in modules(root).items()
        if not name.startswith("benchmarks") and "TYPE_CHECKING" in path.read_text()
    ]


def test_no_import_is_for_a_type_checker_alone(tmp_path: Path) -> None:
    assert for_a_type_checker_alone(ROOT) == []
    (tmp_path / "blueprint").mkdir()
    (tmp_path / "blueprint" / "a.py").write_text("if TYPE_CHECKING:\n    from blueprint.b import B\n")
    assert for_a_type_checker_alone(tmp_path) == ["blueprint.a"]


def upward(arrows: Mapping[str, set[str]]) -> list[str]:
    """Modules of a family that import one of its facets, which only the assembly may."""
    found = []
    for name, targets in arrows.items():
        family, _, module = name.rpartition(".")
        if family.startswith("blueprint.families."):
            facets = {f"{family}.{facet}" for facet in FACETS}
            found += [f"{name} imports {target.rpartition('.')[2]}" for target in sorted(targets & facets)]
    return found


def test_only_the_assembly_of_a_family_imports_facets() -> None:
    assert upward(graph(ROOT)) == []


def test_a_facet_that_imports_another_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "blueprint" / "families" / "kind"
    folder.mkdir(parents=True)
    for name, text in {
        "__init__": "from blueprint.families.kind import ports, golden",
        "ports": "",
        "golden": "from blueprint.families.kind.ports import streams",
        "tables": "def f():\n    from blueprint.families.kind import golden, ports",
    }.items():
        (folder / f"{name}.py").write_text(text)
    assert upward(graph(tmp_path)) == [
        "blueprint.families.kind.golden imports ports",
        "blueprint.families.kind.tables imports golden",
        "blueprint.families.kind.tables imports ports",
    ]


def naming(root: Path, families: Mapping[str, type]) -> list[str]:
    """Lines of the rooms that name a family, or its class, outside the family's own folders."""
    found = []
    for path in sorted(path for room in ROOMS for path in (root / room).rglob("*")):
        name = path.relative_to(root).as_posix()
        if not path.is_file() or path.suffix == ".pyc" or name.startswith("ternforge/examples"):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for family, kind in families.items():
            own = any(f"{room}/families/{family}/" in name for room in ROOMS)
            # A name that is a word of the language names a family only where a program would take it for one.
            words = (
                (
                    f'family == "{family}"',
                    f'registry.get("{family}")',
                    f'families()["{family}"]',
                    kind.__name__,
                )
                if family == "vector"
                else (family, kind.__name__.removesuffix("Spec"))
            )
            words = (*words, f"families.{family}")
            if not own and any(word in name or word in text for word in words):
                lines = [
                    n for n, line in enumerate(text.splitlines(), start=1) if any(w in line for w in words)
                ]
                found.append(f"{name}:{lines[0] if lines else 0} names {family}")
    return found


def test_no_family_is_named_outside_its_folders_and_docs() -> None:
    assert naming(ROOT, registry.families()) == []


def test_a_family_named_elsewhere_is_found(tmp_path: Path) -> None:
    for name, text in {
        "simulator/run.py": "\nif spec.family == 'ternary_lut':\n",
        "dse/kinds.py": "from blueprint import SystolicSpec\n",
        "costmodel/systolic.yaml": "",
        "generator/families/systolic/top.py": "# systolic\n",
        "blueprint/arithmetic.py": "# ternary look-up tables\n",
        "compiler/unit.py": 'spec = registry.get("vector")\nplace = units["vector"]\n',
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert naming(tmp_path, registry.families()) == [
        "compiler/unit.py:1 names vector",
        "costmodel/systolic.yaml:0 names systolic",
        "dse/kinds.py:1 names systolic",
        "simulator/run.py:2 names ternary_lut",
    ]
