"""The scripts for job arrays, run as the scheduler would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ternforge.cli import run

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "examples" / "job_array"
SPACE = ROOT / "examples" / "ternary_lut" / "space.yaml"


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A search path on which `ternforge` is this one."""
    command = tmp_path / "bin" / "ternforge"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m ternforge "$@"\n')
    command.chmod(0o755)
    return f"{command.parent}:{os.environ['PATH']}"


def script(name: str, *words: object, path: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
    return subprocess.run(
        ["bash", str(SCRIPTS / name), *map(str, words)],
        env={**environment, "PATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def task(number: int, *words: object, path: str) -> subprocess.CompletedProcess[str]:
    return script(
        "explore.sh", *words, path=path, SLURM_ARRAY_TASK_ID=str(number), SLURM_ARRAY_TASK_COUNT="3"
    )


def test_three_tasks_and_a_merge_are_one_exploration(tmp_path: Path, path: str) -> None:
    assert run(["explore", str(SPACE), "--out", str(tmp_path / "whole"), "-q"]) == 0
    for number in (3, 1, 2, 2):  # one of them was requeued
        done = task(number, SPACE, tmp_path / "shards", path=path)
        assert (done.returncode, done.stderr) == (0, "")
    done = script("merge.sh", tmp_path / "shards", tmp_path / "study", path=path)
    assert done.returncode == 0 and "every design: the front is exact" in done.stdout
    for name in ("front.csv", "points.csv", "space.yaml"):
        assert (tmp_path / "study" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_task_without_feasible_designs_has_not_failed(tmp_path: Path, path: str) -> None:
    text = SPACE.read_text()
    space = tmp_path / "space.yaml"
    space.write_text(text.replace("constraints:", "constraints:\n  clock_mhz: {min: 90000}"))
    if "constraints:" not in text:
        space.write_text(text + "\nconstraints: {clock_mhz: {min: 90000}}\n")
    assert task(1, space, tmp_path / "shards", path=path).returncode == 0
    assert (tmp_path / "shards/1/front.csv").is_file()


def test_a_task_that_fails_says_so(tmp_path: Path, path: str) -> None:
    done = task(1, tmp_path / "none.yaml", tmp_path / "shards", path=path)
    assert done.returncode == 2 and "none.yaml" in done.stderr
    done = script("explore.sh", SPACE, tmp_path / "shards", path=path)
    assert done.returncode != 0 and "submit this script with sbatch --array=1-N" in done.stderr
    (tmp_path / "shards").mkdir(exist_ok=True)
    assert task(1, SPACE, tmp_path / "shards", path=path).returncode == 0
    done = script("merge.sh", tmp_path / "shards", tmp_path / "study", path=path)
    assert done.returncode == 2
    assert done.stderr == (
        "Shards must all be there, and 2 of 3 are not: 2/3, 3/3; --partial merges what is there\n"
    )
