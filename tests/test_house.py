"""The house rules that tools can check: style, types, who imports whom, and what the package is made of."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from ternforge.rooms import ROOMS as BENEATH

ROOT = Path(__file__).resolve().parent.parent
ROOMS = tuple(sorted((*BENEATH, "ternforge")))
BIN = Path(sys.executable).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*command: str | Path) -> None:
    done = subprocess.run([str(c) for c in command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def tracked(*patterns: str) -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("not a git checkout")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_ruff_finds_nothing() -> None:
    run(BIN / "ruff", "check", "--output-format", "concise", ".")


def test_format_is_ruffs() -> None:
    run(BIN / "ruff", "format", "--check", ".")


def test_types_are_strict_in_every_room_and_in_benchmarks() -> None:
    rooms = [room for room in ROOMS if list((ROOT / room).rglob("*.py"))]
    run(BIN / "mypy", "--cache-dir", ROOT / "sim_build" / "mypy", *rooms, "benchmarks")


def test_scripts_that_use_the_package_are_type_checked(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import ternforge\n"
        'fine: dict[str, object] = ternforge.estimate("design.yaml", workload="1x2x3")\n'
        'number: int = ternforge.estimate("design.yaml")\n'
        "ternforge.estimate(3)\n"
        'ternforge.estimat("design.yaml")\n'
    )
    command = [str(BIN / "mypy"), "--cache-dir", str(ROOT / "sim_build" / "mypy"), str(script)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = re.findall(r"script.py:(\d+): error: .*\[([a-z-]+)\]$", done.stdout, re.MULTILINE)
    assert found == [("3", "assignment"), ("4", "arg-type"), ("5", "attr-defined")], done.stdout


def test_rooms_import_downwards_only() -> None:
    run(BIN / "lint-imports", "--no-cache")


def test_the_import_rules_can_fail(tmp_path: Path) -> None:
    """A twin of the house in which the simulator looks into the cost model is refused."""
    for room in ROOMS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("import costmodel\n" if room == "simulator" else "")
    config = tmp_path / "pyproject.toml"
    config.write_text((ROOT / "pyproject.toml").read_text())
    command = [str(BIN / "lint-imports"), "--no-cache", "--config", str(config)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "simulator is not allowed to import costmodel" in done.stdout


@pytest.mark.parametrize("room", ["costmodel", "simulator"])
def test_interpreting_rooms_name_no_family(room: str) -> None:
    from blueprint import registry

    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / room).rglob("*") if path.is_file()]
    named = [path for path in files for family in registry.families() if family in Path(path).name]
    assert named == []


def test_no_path_of_one_machine_is_in_the_tree() -> None:
    pattern = re.compile(r"/wor[k]/|/roo[t]/|/hom[e]/[a-z]|/tm[p]/[a-z]")
    found = []
    for path in tracked(":!tests/*"):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        lines = enumerate(text.splitlines(), start=1)
        found += [
            f"{path.relative_to(ROOT)}:{number}: {line}" for number, line in lines if pattern.search(line)
        ]
    assert found == []


def test_no_module_outgrows_its_subject() -> None:
    sizes = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in tracked("*.py")
    }
    assert {name: size for name, size in sizes.items() if size > 600} == {}


def test_every_module_and_public_class_says_what_it_is() -> None:
    import ast

    silent = []
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            tree = ast.parse(path.read_text())
            name = path.relative_to(ROOT).as_posix()
            if tree.body and not ast.get_docstring(tree):
                silent.append(name)
            for node in tree.body:
                public = isinstance(node, ast.ClassDef) and not node.name.startswith("_")
                if public and not ast.get_docstring(node):
                    silent.append(f"{name}:{node.lineno}: {node.name}")
    assert silent == []


def test_distribution_owns_its_room_names() -> None:
    owners = metadata.packages_distributions()
    others = {room: set(owners.get(room, [])) - {"ternforge"} for room in ROOMS}
    assert {room: names for room, names in others.items() if names} == {}


def test_license_and_version_are_stated_once_and_agree() -> None:
    from blueprint.version import VERSION

    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]
    assert PROJECT["dynamic"] == ["version"] and "version" not in PROJECT
    copies = [
        path for room in ROOMS for path in (ROOT / room).rglob("*.py") if f'"{VERSION}"' in path.read_text()
    ]
    assert copies == [ROOT / "blueprint" / "version.py"]


def test_every_room_is_packaged() -> None:
    find = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    assert sorted(find["include"]) == [f"{room}*" for room in ROOMS]
    assert [room for room in ROOMS if not (ROOT / room / "__init__.py").is_file()] == []


def test_every_data_file_is_packaged() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    suffixes = {Path(pattern).suffix for pattern in data["*"]} | {".py"}
    files = tracked(*ROOMS)
    lost = [
        path.relative_to(ROOT).as_posix()
        for path in files
        if path.suffix not in suffixes and path.name != "py.typed"
    ]
    assert lost == []


def test_what_is_recorded_was_made_with_the_pinned_versions() -> None:
    """Comparisons with recorded files are skipped under other versions; a new pin asks for new records."""
    from tests.costmodel.test_groundtruth import YOSYS

    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.lower().split("==") for line in lines if "==" in line)
    golden = ROOT / "tests" / "golden"
    writers = json.loads((golden / "files.json").read_text())["writers"]
    drawn_by = json.loads((golden / "studies.json").read_text())["versions"]
    made = {name.lower(): version for name, version in {**writers, **drawn_by, "pyosys": YOSYS}.items()}
    assert len(made) >= 4 and made == {name: pinned[name] for name in made}


def test_constraints_pin_every_requirement_exactly() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = {line.split("==")[0].lower() for line in lines}
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line) for line in lines)
    extras = PROJECT["optional-dependencies"].values()
    wanted = [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]
    names = {match.group().lower() for text in wanted if (match := re.match(r"[A-Za-z0-9._-]+", text))}
    assert sorted(names - pinned - {"ternforge"}) == []  # which names its own extras


def test_ci_runs_make_test_and_nothing_else() -> None:
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    commands = [line for line in script if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["exec make test"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


#: Records that are filled while something is read or searched; every other one stays as it was made.
FILLED = {
    "Best",
    "Cache",
    "Group",
    "Layout",
    "Module",
    "Nearest",
    "Node",
    "Offer",
    "Scenario",
    "Session",
    "Trace",
    "_Draft",
    "_Executor",
    "_Held",
    "_Net",
    "_Node",
    "_Port",
    "_Sum",
}
#: Rows of several lengths: neighbors, pairs of what may be odd in number, and the first of several.
UNEVEN = {
    "zip(('group', 'column', 'beat'), counts, strict=False)",
    "zip(edges, edges[1:], strict=False)",
    "zip(found[::2], found[1::2], strict=False)",
    "zip(gated[::2], gated[1::2], strict=False)",
    "zip(grown[::2], grown[1::2], strict=False)",
    "zip(high, low, strict=False)",
    "zip(line, widths, numeric, strict=False)",
    "zip(scenario.steps, mine, strict=False)",
    "zip(todo, answers, strict=False)",
    "zip(words[::2], words[1::2], strict=False)",
}


def nodes(text: str) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(text))


def thawed(text: str) -> set[str]:
    """Data classes of a module that can be changed once made."""
    return {
        node.name
        for node in nodes(text)
        if isinstance(node, ast.ClassDef)
        for decorator in map(ast.unparse, node.decorator_list)
        if "dataclass" in decorator and "frozen=True" not in decorator
    }


def uneven(text: str) -> set[str]:
    """Calls of ``zip`` in a module that pass over what one of the rows lacks."""
    return {
        ast.unparse(node)
        for node in nodes(text)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "zip"
        and "strict=True" not in ast.unparse(node)
    }


def modules() -> list[str]:
    return [
        path.read_text(encoding="utf-8") for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))
    ]


def test_records_stay_as_they_were_made() -> None:
    assert {name for text in modules() for name in thawed(text)} == FILLED


def test_rows_side_by_side_are_equally_long() -> None:
    assert {call for text in modules() for call in uneven(text)} == UNEVEN


def test_a_thawed_record_and_an_uneven_row_are_found() -> None:
    assert thawed("@dataclass(frozen=False, kw_only=True)\nclass A: pass") == {"A"}
    assert uneven("zip(a, b, strict=False)\nzip(a, b, strict=True)") == {"zip(a, b, strict=False)"}


def lookups(text: str) -> set[str]:
    """Expressions of a module that find a wire or a port by a text: a literal key, or an attribute by its name."""
    return {
        ast.unparse(node)
        for node in nodes(text)
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant | ast.JoinedStr)
            and _text(node.slice)
        )
        or (isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr", "delattr"))
        or (
            isinstance(node, ast.Compare)
            and ast.unparse(node.comparators[-1]).endswith((".ports", ".pins", ".members"))
        )
    }


def _text(key: ast.expr) -> bool:
    return isinstance(key, ast.JoinedStr) or (isinstance(key, ast.Constant) and isinstance(key.value, str))


def casts(text: str) -> set[str]:
    """Calls of ``int`` and ``bool`` on what a design or an arithmetic holds, or a formula returns, as one."""
    formulas = "ceil_div|clog2|bit_length|signed_width|whole_bytes|half_entries|key_width|cycles"
    holders = re.compile(rf"^((self\.)?(spec|a|p|size|element)\.|({formulas})\()")
    return {
        ast.unparse(node)
        for node in nodes(text)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("int", "bool")
        and node.args
        and holders.match(ast.unparse(node.args[0]).removeprefix("bool("))
    }


#: Where hardware is described: every block, and the example family.
HARDWARE = (
    "generator/arithmetic",
    "generator/cells",
    "generator/families",
    "generator/systems",
    "docs/binary_popcount/generator",
)
#: The base classes of hardware but ``block``, where names of ports become wires, once for all.
BASES = ("accelerator", "axi_top", "boundary", "layout", "sequencer")
#: Names that the blueprint says, of what is no wire: a register and the bits of its value.
SAID = {"self.registers[name].fields['value']"}


def hardware() -> dict[str, str]:
    paths = [path for folder in HARDWARE for path in (ROOT / folder).rglob("*.py")]
    paths += [ROOT / "generator" / f"{name}.py" for name in BASES]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(paths)}


def test_no_wire_is_found_by_a_text_and_no_port_by_getattr() -> None:
    found = {name: wrong for name, text in hardware().items() if (wrong := lookups(text) - SAID)}
    assert len(hardware()) > 40 and found == {}


#: Modules that cut a word into equal parts: arrays themselves, and words of a memory whose fields a load may choose.
CUT = {"generator/cells/fifo.py", "generator/systems/staging.py", "generator/layout.py"}


def cut(text: str) -> set[str]:
    """Names and slices of a module that take fields of a word by their position."""
    found = {"parts" for node in nodes(text) if isinstance(node, ast.alias) and node.name == "parts"}
    return found | {
        ast.unparse(node)
        for node in nodes(text)
        if isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Slice)
        and re.search(r"axis_\w+\.tdata$", ast.unparse(node.value))
    }


def test_fields_of_words_and_beats_are_not_taken_by_position() -> None:
    assert {
        name: wrong for name, text in hardware().items() if (wrong := cut(text)) and name not in CUT
    } == {}
    assert {name for name in CUT if not cut(hardware()[name])} == set()


def test_a_field_taken_by_position_is_noticed() -> None:
    line = "from generator.arithmetic.integers import one_of, parts\nx = self.s_axis_x.tdata[: spec.bits]"
    assert cut(line) == {"parts", "self.s_axis_x.tdata[:spec.bits]"}
    assert cut("x = self.s_axis_x.beat.x[0]\ny = word[2:4]") == set()


def test_numbers_of_a_design_are_not_cast() -> None:
    texts = hardware() | {path.as_posix(): path.read_text() for path in (ROOT / "blueprint").rglob("*.py")}
    assert len(texts) > 120
    assert {name: wrong for name, text in texts.items() if (wrong := casts(text))} == {}


@pytest.mark.parametrize(
    "line",
    [
        "self.wires['enable']", "wires[f'{name}_room']", "getattr(self, name)", "hasattr(self, 'shift')",
        "'shift' in block.ports", "name in self.signature.members",
    ],
)  # fmt: skip
def test_a_wire_found_by_a_text_is_noticed(line: str) -> None:
    assert len(lookups(f"x = {line}")) == 1


def test_a_number_that_is_cast_is_noticed_and_one_that_is_not_is_not() -> None:
    assert casts("int(self.spec.rows)\nint(bool(spec.floats))\nint(text, 16)\nint(a.t_width)\nint(clog2(n))") == {
        "int(bool(spec.floats))", "bool(spec.floats)", "int(self.spec.rows)", "int(a.t_width)", "int(clog2(n))",
    }  # fmt: skip
    assert casts("block = Add(quick=bool(self.spec.stages))") == {"bool(self.spec.stages)"}
    assert lookups("words[number]\nself.control.first[2:4]\nendings['x'].y") == {"endings['x']"}


def hung(text: str) -> set[str]:
    """Attributes of errors that no class of errors declares: given to one afterwards, or asked for by their name."""
    caught = {
        node.name for node in nodes(text) if isinstance(node, ast.ExceptHandler) and node.name is not None
    } | {
        target.id
        for node in nodes(text)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for target in node.targets
        if isinstance(target, ast.Name) and ast.unparse(node.value.func).endswith(("Error", "Deadlock"))
    }
    given = {
        ast.unparse(target)
        for node in nodes(text)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute) and ast.unparse(target.value) in caught
    }
    return given | {
        ast.unparse(node)
        for node in nodes(text)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("getattr", "hasattr", "setattr")
        and ast.unparse(node.args[0]) in caught
    }


#: What SQLite says of an error since Python 3.11 alone, and where a fault of the system happened.
ASKED = {"getattr(problem, 'sqlite_errorcode', sqlite3.SQLITE_CORRUPT)"}


def test_errors_declare_what_they_say() -> None:
    assert {what for text in modules() for what in hung(text)} == ASKED


def test_what_is_hung_on_an_error_is_found() -> None:
    text = (
        "try:\n    run()\nexcept ValueError as problem:\n    hasattr(problem, 'parameter')\n"
        "error = ParamError('no')\nerror.parameter = 'k'\nother.parameter = 'k'\ngetattr(spec, 'k')\n"
    )
    assert hung(text) == {"hasattr(problem, 'parameter')", "error.parameter"}
