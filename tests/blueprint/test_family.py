"""What a family must implement, and how one that does not is refused."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest

from blueprint import registry
from blueprint.errors import ParamError
from blueprint.family import FACETS
from blueprint.parameters import Parameters, parameter
from blueprint.spec import Spec
from blueprint.workloads.tasks import Gemm

ROOT = Path(__file__).resolve().parents[2]
WHOLE = ROOT / "blueprint" / "families" / "ternary_lut"

Copy = Callable[..., ModuleType]


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """A package with a copy of a family in which pieces of a file are replaced; each must be there."""

    def copy(file: str = "__init__.py", *pieces: tuple[str, str]) -> ModuleType:
        package = f"families_of_{tmp_path.name}"
        folder = tmp_path / package / "copied"
        shutil.copytree(WHOLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (tmp_path / package / "__init__.py").write_text("")
        own = ("blueprint.families.ternary_lut", f"{package}.copied")
        for path in folder.glob("*.py"):
            path.write_text(path.read_text().replace(*own).replace('"ternary_lut"', '"copied"'))
        text = (folder / file).read_text()
        for old, new in pieces:
            assert old in text, old
            text = text.replace(old, new)
        (folder / file).write_text(text)
        if not text:
            (folder / file).unlink()
        monkeypatch.syspath_prepend(tmp_path)
        return importlib.import_module(package)

    return copy


def test_a_folder_with_all_facets_is_a_family(copied: Copy) -> None:
    ((name, kind),) = registry.found(copied())
    assert (name, kind.family) == ("copied", "copied")
    spec = kind(mu=2, lut_count=2, fetch_count=2, act_width=4, k_max=64, n_max=16)
    assert int(spec.cycles(Gemm(1, 64, 16))) > 100


def refusal(package: ModuleType) -> str:
    with pytest.raises(ParamError) as caught:
        dict(registry.found(package))
    return str(caught.value)


@pytest.mark.parametrize("facet", FACETS)
def test_a_family_without_a_facet_is_refused(copied: Copy, facet: str) -> None:
    package = copied()
    (Path(package.__path__[0]) / "copied" / f"{facet}.py").unlink()
    wanted = "parameters, ports, schedule, inventory, golden and samples"
    assert refusal(package) == f"Family 'copied' must be a folder with {wanted}, not without {facet}"


@pytest.mark.parametrize(
    ("facet", "function", "written"),
    [
        ("ports", "register_values", "\nregister_values = "),  # a function of the vocabulary
        ("schedule", "cycles_of", "\ncycles_of, exact = "),
        ("inventory", "paths", "def paths("),
        ("golden", "collect", "def collect("),
        ("samples", "typical_task", "\ntypical_task = "),
    ],
)
def test_a_facet_without_a_function_is_refused(copied: Copy, facet: str, function: str, written: str) -> None:
    package = copied(f"{facet}.py", (written, written.replace(function, "something_else")))
    what = f"{facet} must have the functions of its protocol, not lack {function}"
    assert refusal(package) == f"Family 'copied': {what}"


def test_a_family_without_its_policy_of_calibration_is_refused(copied: Copy) -> None:
    package = copied("samples.py", ("calibration = ", "policy = "), ("def task(", "def job("))
    what = "samples must have the functions of its protocol, not lack calibration, task"
    assert refusal(package) == f"Family 'copied': {what}"


def test_a_family_that_is_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "families_as_files"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "alone.py").write_text("raise AssertionError('is not imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    every = "parameters, ports, schedule, inventory, golden, samples"
    wanted = every.replace(", samples", " and samples")
    expected = f"Family 'alone' must be a folder with {wanted}, not without {every}"
    assert refusal(importlib.import_module("families_as_files")) == expected


@pytest.mark.parametrize(
    ("file", "pieces"),
    [
        ("parameters.py", [('"copied"', '"other"')]),
        ("__init__.py", [("class TernaryLutSpec", "class Hidden"), ("    facets:", "    parts:")]),
    ],
    ids=["another name", "no facets"],
)
def test_a_family_without_an_assembly_of_its_name_is_refused(
    copied: Copy, file: str, pieces: list[tuple[str, str]]
) -> None:
    expected = "Family 'copied' must assemble a Spec with family = 'copied' and facets; there is none"
    assert refusal(copied(file, *pieces)) == expected


@pytest.mark.parametrize(
    ("pieces", "lacking"),
    [
        ([("    def peak_macs(", "    def peak(")], "peak_macs"),
        ([("    def name(", "    def called("), ("    title: ", "    heading: ")], "name, title"),
    ],
)
def test_a_family_whose_parameters_lack_what_every_design_has_is_refused(
    copied: Copy, pieces: list[tuple[str, str]], lacking: str
) -> None:
    expected = f"Family 'copied': parameters must have name, peak_macs and title, not lack {lacking}"
    assert refusal(copied("parameters.py", *pieces)) == expected


def test_parameters_without_a_name_make_no_design() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Nameless(Parameters):
        family: ClassVar[str] = "nameless"

    with pytest.raises(TypeError, match="abstract methods '?name'?, '?peak_macs'?"):
        Nameless()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "piece", "expected"),
    [
        ("inventory.py", ("-> tuple[Path, ...]:", "-> list[Path]:"), '"Inventory[TernaryLutParameters]"'),
        (
            "golden.py",
            ("def reference(p: TernaryLutParameters, ", "def reference("),
            '"Golden[TernaryLutParameters, Gemm]"',
        ),
        (
            "samples.py",
            ("calibration = Calibration(", "calibration = dict("),
            '"Samples[TernaryLutParameters, Gemm]"',
        ),
        ("ports.py", ("def operation(", "def operations("), '"Ports[TernaryLutParameters, Gemm]"'),
    ],
)
def test_the_type_checker_refuses_a_facet_that_breaks_its_protocol(
    copied: Copy, file: str, piece: tuple[str, str], expected: str
) -> None:
    package = copied(file, piece)
    folder = Path(package.__path__[0])
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    options = ["--cache-dir", str(ROOT / "sim_build" / "mypy"), "-p", package.__name__]
    done = subprocess.run(
        [*command, *options],
        cwd=folder.parent,
        env={"MYPYPATH": f"{ROOT}:{folder.parent}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    wrong = r"^\S+copied/__init__.py:\d+: error: Argument \d to \"Facets\" has incompatible type Module"
    assert re.search(wrong, done.stdout, re.MULTILINE), done.stdout + done.stderr
    assert expected in done.stdout


def test_methods_of_a_spec_say_what_their_functions_do() -> None:
    kind = registry.get("ternary_lut")
    assert kind.dram_bits.__doc__.startswith("Bits that cross the boundary in one run, by purpose: ")
    methods = {name: value for name, value in vars(Spec).items() if callable(value) and name[0] != "_"}
    assert len(methods) >= 25 and [name for name, value in methods.items() if not value.__doc__] == []


def test_parameters_bound_sizes_by_declaration() -> None:
    found = {name: kind.bounds() for name, kind in registry.families().items()}
    gemm = {"k": "k_max", "n": "n_max", "m": "m_max"}
    assert found["ternary_lut"] == found["systolic"] == gemm
    attention = {"keys": "keys_max", "queries": "queries_max", "heads": "heads_max"}
    assert found["streaming_attention"] == attention


def test_a_parameter_without_a_bound_limits_no_task() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Loose(Spec):
        family: ClassVar[str] = "loose"
        name = "loose"
        peak_macs = 1
        k_max: int = parameter("nothing", default=3, minimum=1, maximum=9)

    assert Loose.bounds() == {}
    assert Loose().sized_for(Gemm(1, 2, 3)).k_max == 3


def test_the_kind_of_a_parameter_is_its_type_however_it_is_written() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Spelled(Parameters):
        family: ClassVar[str] = "spelled"
        one: Count = parameter("an alias", minimum=1, maximum=9)
        two: int = parameter("a type", minimum=1, maximum=9)

    assert {name: limit.kind for name, limit in Spelled.limits().items()} == {"one": int, "two": int}


Count = int


def test_a_parameter_of_another_type_is_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Ratio(Parameters):
        family: ClassVar[str] = "ratio"
        name = "ratio"
        peak_macs = 1
        share: float = parameter("a share")

    with pytest.raises(TypeError) as caught:
        Ratio(share=0.5)
    assert str(caught.value) == "Parameter 'share' must be annotated int, str or bool, not float"
