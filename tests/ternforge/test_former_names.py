"""Former names of parameters are refused with the new name: in every kind of file, in options and in Python."""

from __future__ import annotations

import json
import sqlite3
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from blueprint import registry
from blueprint.errors import ParamError
from blueprint.files.tree import dump
from dse import explore
from dse.study import open_study
from ternforge.cli import run
from ternforge.verbs.generate import generate

SYSTOLIC = {
    "organization": "cube", "pe": "mac", "rows": 2, "cols": 2, "act_width": 8, "weight_width": 8, "k_max": 64,
    "n_max": 64,
}  # fmt: skip
ATTENTION = {"dim": 4, "keys_max": 16}
#: Family, former name, name of today, and a value.
RENAMED = [
    ("systolic", "depth", "dot_length", 2),
    ("systolic", "accumulate", "acc_format", "same"),
    ("streaming_attention", "group", "head_group", 2),
    ("streaming_attention", "accumulator", "acc_format", "integer"),
]
BASE = {"systolic": SYSTOLIC, "streaming_attention": ATTENTION}
WORK = {
    "systolic": {"gemm": {"m": 1, "k": 64, "n": 64}},
    "streaming_attention": {"attention": {"seq": 4, "heads": 1, "kv_heads": 1, "dim": 4}},
}
each = pytest.mark.parametrize(("family", "old", "new", "value"), RENAMED)


def sentence(old: str, new: str) -> str:
    return f"Parameter must be {new!r}, not {old!r}, its former name"


def design(family: str, **more: Any) -> str:
    return dump({"schema": "ternforge/design/v1", "family": family, "parameters": {**BASE[family], **more}})


def space(family: str, **more: Any) -> str:
    content = {
        "schema": "ternforge/space/v1", "family": family, "parameters": {**BASE[family], **more},
        "workload": WORK[family], "technology": "asap7", "objectives": {"area_um2": "min"},
        "search": {"method": "exhaustive", "budget": 8},
    }  # fmt: skip
    return dump(content)


def line(text: str, name: str) -> int:
    return next(n for n, each in enumerate(text.splitlines(), 1) if each.strip().startswith(f"{name}:"))


def test_every_renamed_parameter_is_tested() -> None:
    declared = {
        (family, old, new)
        for family, kind in registry.families().items()
        for old, new in kind.former_names.items()
    }
    assert declared == {(family, old, new) for family, old, new, _ in RENAMED}


@each
def test_no_former_name_is_a_name_of_today(family: str, old: str, new: str, value: Any) -> None:
    limits = registry.get(family).limits()
    assert old not in limits and new in limits


@each
@pytest.mark.parametrize("text", [design, space])
def test_files(
    text: Any, family: str, old: str, new: str, value: Any,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    written = text(family, **{old: value})
    Path("old.yaml").write_text(written)
    Path("new.yaml").write_text(text(family, **{new: value}))
    assert run(["check", "old.yaml"]) == 2
    at = f"old.yaml:{line(written, old)}:3: parameters.{old}: "
    assert capsys.readouterr().err == f"{at}{sentence(old, new)}\n"
    assert run(["check", "new.yaml"]) == 0


def test_the_section_of_a_family_in_a_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = space("systolic").replace("family: systolic", "family: [systolic, ternary_lut]")
    own = "parameters:\n  systolic: {depth: 2}\n  ternary_lut: {mu: 2, lut_count: 2, fetch_count: 2}"
    Path("old.yaml").write_text(text.replace("parameters:", own))
    assert run(["check", "old.yaml"]) == 2
    at = f"old.yaml:{line(text, 'parameters') + 1}:14: parameters.systolic.depth: "
    assert capsys.readouterr().err == f"{at}{sentence('depth', 'dot_length')}\n"


@each
def test_set(
    family: str, old: str, new: str, value: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "design.yaml"
    path.write_text(design(family))
    assert run(["estimate", str(path), "--set", f"{old}={value}"]) == 2
    assert capsys.readouterr().err == f"--set {old}={value}: {sentence(old, new)}\n"


@each
def test_keyword(family: str, old: str, new: str, value: Any) -> None:
    with pytest.raises(ParamError) as caught:
        registry.get(family)(**{**BASE[family], old: value})
    assert str(caught.value) == sentence(old, new)


@each
def test_exported_folder(
    family: str, old: str, new: str, value: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate(registry.get(family)(**BASE[family]), tmp_path / "rtl")
    file = tmp_path / "rtl" / "manifest.json"
    content = json.loads(file.read_text())
    content["parameters"][old] = content["parameters"].pop(new)
    file.write_text(json.dumps(content))
    assert run(["verify", "--rtl", str(tmp_path / "rtl")]) == 2
    assert capsys.readouterr().err == f"{file}: {sentence(old, new)}\n"


@each
def test_study(
    family: str, old: str, new: str, value: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A study database of an earlier version: its space and axes have the former name."""
    path, folder = tmp_path / "space.yaml", tmp_path / "study"
    path.write_text(space(family, **{new: [value]}))
    explore.explore(path, folder, workers=1)
    open_study(folder)
    with sqlite3.connect(folder / "study.db") as database:
        (text,) = database.execute("SELECT value FROM facts WHERE key = 'facts'").fetchone()
        text = text.replace(new, old)
        update = "UPDATE facts SET value = ? WHERE key = ?"
        database.executemany(update, [(text, "facts"), (sha256(text.encode()).hexdigest(), "checksum")])
    version = json.loads(text)["provenance"]["version"]
    assert run(["report", str(folder)]) == 2
    at = f"{folder}/space.yaml:{line(json.loads(text)['text'], old)}:3: parameters.{old}: "
    before = f"{folder}: study must be read by the version that wrote it, {version}: "
    assert capsys.readouterr().err == f"{before}{at}{sentence(old, new)}\n"


def test_a_renamed_parameter_leaves_the_hash_of_a_design() -> None:
    """Recorded with the former names."""
    hashes = {family: registry.get(family)(**BASE[family]).design_hash for family in BASE}
    assert hashes == HASHES


HASHES = {"systolic": "50eb1cdcc8f8933e", "streaming_attention": "cc8b23468841d0a5"}
