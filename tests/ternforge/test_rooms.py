"""Our packages have plain names: they are found whatever else has these names, and another owner is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ternforge import cli, rooms

ROOT = Path(__file__).resolve().parents[2]
DESIGN = ROOT / "examples/ternary_lut/design.yaml"
SPACE = ROOT / "examples/ternary_lut/space.yaml"
#: Packages of others that a command imports.
IMPORTED = ("click", "yaml", "numpy", "rich")
OWN = "install ternforge into an environment of its own (python -m venv NAME; NAME/bin/pip install ternforge)"


def strangers(folder: Path, *others: str) -> Path:
    """A folder with a package of each of our names, and of others; none may be imported."""
    for name in (*rooms.ROOMS, *others):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"raise SystemExit('the wrong {name}')")
    shutil.copy(DESIGN, folder / "design.yaml")
    return folder


def test_the_rooms_are_what_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["packages"]["find"]["include"]
    assert [pattern.rstrip("*") for pattern in patterns] == sorted({*rooms.ROOMS, "ternforge"})
    text = project["project"]["description"] + (ROOT / "README.md").read_text()
    assert all(f"`{room}`" in text for room in rooms.ROOMS)


def test_rooms_are_imported_from_beside_this_package(tmp_path: Path) -> None:
    strangers(tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import ternforge; "
        "import blueprint, costmodel, dse, generator, rtl_templates, simulator, toolchain; print(dse.__file__)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(ROOT / "dse/__init__.py")


def test_a_room_that_was_imported_from_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "generator").mkdir()
    (tmp_path / "generator/__init__.py").write_text("")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import generator; sys.path.pop(0); "
        "from ternforge.cli import run; code = run(['model', 'list']); import ternforge; ternforge.estimate"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    first, last = done.stderr.splitlines()[0], done.stderr.splitlines()[-1]
    place = tmp_path / "generator/__init__.py"
    assert first == f"Package generator must be that of ternforge, and {place} was imported before it; {OWN}"
    assert last == f"ImportError: {first}"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What a wheel of ours leaves in an environment, for `rooms` to look at instead of this source tree."""
    record = []
    for name in (*rooms.ROOMS, "ternforge"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f'"""Room {name}."""\n')
        digest = hashlib.sha256((tmp_path / name / "__init__.py").read_bytes()).digest()
        record.append(f"{name}/__init__.py,sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},9")
    installed(tmp_path, "ternforge-9.9", record)
    monkeypatch.setattr(rooms, "HOME", str(tmp_path))
    for name in rooms.ROOMS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    rooms.conflict.cache_clear()
    yield tmp_path
    rooms.conflict.cache_clear()


def installed(site: Path, name: str, record: list[str]) -> None:
    (site / f"{name}.dist-info").mkdir()
    (site / f"{name}.dist-info/RECORD").write_text("\n".join(record) + "\n")


def test_an_environment_of_our_own_is_fine(site: Path) -> None:
    installed(site, "numpy-2.0", ["numpy/generator/__init__.py,,", "numpy/__init__.py,,"])
    assert rooms.conflict() is None


def test_a_distribution_that_owns_a_room_too_is_named(site: Path) -> None:
    installed(site, "yeoman-1.2", ["yeoman/__init__.py,,", "generator/base.py,,", "simulator/x.py,,"])
    what = "Packages of ternforge must belong to it alone, and yeoman 1.2 installed generator, simulator over them"
    assert rooms.conflict() == f"{what}; {OWN}"


@pytest.mark.parametrize("damage", ["changed", "deleted"])
def test_a_room_that_is_not_the_installed_one_is_refused(damage: str, site: Path) -> None:
    path = site / "dse/__init__.py"
    path.write_text("# theirs") if damage == "changed" else path.unlink()
    message = f"Package dse must be the one that ternforge installed, and dse/__init__.py is not; {OWN}"
    assert rooms.conflict() == message


def test_a_refused_environment_ends_every_command_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "conflict", lambda: "Package dse must be ours")
    for verb in (["model", "list"], ["doctor"], ["explore", "x", "--out", "y"]):
        assert cli.run(verb) == 2
        assert capsys.readouterr() == ("", "Package dse must be ours\n")


def test_the_doctor_says_where_the_rooms_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from toolchain import doctor

    monkeypatch.setattr(doctor, "PROBES", {})
    assert cli.run(["doctor", "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert [(check["name"], check["detail"]) for check in checks] == [
        ("Packages", f"{', '.join(rooms.ROOMS)} are those of {ROOT}")
    ]


def test_python_m_starts_in_a_folder_of_strangers(tmp_path: Path) -> None:
    strangers(tmp_path, *IMPORTED)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "ternforge", "estimate", "design.yaml", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["flip_flops"] > 0


@pytest.mark.slow
def test_a_wheel_works_among_strangers_and_refuses_another_owner(tmp_path: Path) -> None:
    """Built, installed and used as a user does, with the dependencies of this environment."""
    tree = tmp_path / "tree"
    ignored = shutil.ignore_patterns(
        ".*", "build", "sim_build", "*.egg-info", "__pycache__", "tests", "benchmarks"
    )
    shutil.copytree(ROOT, tree, symlinks=True, ignore=ignored)
    wheels = tmp_path / "wheels"
    built = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(wheels), str(tree)]
    done = subprocess.run(built, capture_output=True, text=True)
    if "No matching distribution found for setuptools" in done.stderr:
        pytest.skip("no wheel can be built here: setuptools 77 is neither installed nor to be had")
    assert done.returncode == 0, done.stderr
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    binaries = tmp_path / "env/bin"
    place = next((tmp_path / "env/lib").glob("python*/site-packages"))
    (place / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    installer = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(binaries / "python"),
        "install",
        "--quiet",
        "--no-deps",
    ]
    subprocess.run([*installer, "--no-index", str(next(wheels.glob("*.whl")))], check=True)
    assert (place / "ternforge-0.1.0.dist-info/top_level.txt").read_text().split() == sorted(
        [*rooms.ROOMS, "ternforge"]
    )

    here, there = strangers(tmp_path / "here", *IMPORTED), strangers(tmp_path / "there")
    shutil.copy(SPACE, here / "space.yaml")
    starts = ([str(binaries / "python"), "-m", "ternforge"], [str(binaries / "ternforge")])
    commands = (
        ["estimate", "design.yaml"],
        ["generate", "design.yaml", "--out", "rtl"],
        ["simulate", "design.yaml", "--gemm", "1x64x64"],
        [
            "explore",
            "space.yaml",
            "--out",
            "study",
            "--method",
            "random",
            "--budget",
            "300",
            "--workers",
            "2",
        ],
        ["report", "study"],
        ["synth", "design.yaml"],
        ["verify", "design.yaml", "--cases", "1"],
    )
    for start in starts:
        for rest in commands if start is starts[0] else commands[:2]:
            environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            for path in ({}, {"PYTHONPATH": str(there)} if rest[0] == "generate" else {}):
                subprocess.run(
                    [*start, *rest], cwd=here, env={**environment, **path}, check=True, capture_output=True
                )

    (place / "yeoman-1.2.dist-info").mkdir()
    (place / "yeoman-1.2.dist-info/RECORD").write_text("generator/base.py,,\n")
    done = subprocess.run([*starts[1], "doctor"], cwd=here, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "Packages of ternforge must belong to it alone, and yeoman 1.2 installed generator "
    )
