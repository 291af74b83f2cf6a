"""A measurement runs in a process of its own: one that crashes, hangs, eats memory or lies has failed, with its log."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dse.fidelity import child
from dse.fidelity.promotion import LOG_TAIL, Promotion
from dse.fidelity.request import Request
from tests.dse import toy, toy_levels
from toolchain import process

ROOT = Path(__file__).resolve().parents[2]
KNOWN = {"area_um2": 10.0, "tokens_per_second": 100.0}


def measured(name: str, **limits: float) -> Promotion:
    request = Request(f"{toy_levels.__name__}:{name}", toy.space(), 0, KNOWN, {"task": 0})
    return child.measure("simulated", request, **{"timeout_s": 300, "memory_mib": 4096, **limits})  # type: ignore[arg-type]


def test_a_child_answers_metrics_and_cycles() -> None:
    found = measured("simulated")
    assert (found.status, found.metrics, found.cycles) == ("ok", {"tokens_per_second": 90.0}, {"task": 0})
    assert (found.below, found.log) == (KNOWN, "")


@pytest.mark.parametrize(
    ("name", "limits", "reason"),
    [
        ("crash", {}, "Level simulated was killed by SIGSEGV: "),
        ("hang", {"timeout_s": 4}, "Level simulated did not finish within 4 s"),
        ("allocate", {"memory_mib": 1024}, "Level simulated needed more than its 1024 MiB of memory: "),
        ("refuse", {}, "Level simulated failed with exit code 1: ValueError: no such cell"),
        ("vanish", {}, "Level simulated ended without an answer"),
        ("absent", {}, "Level simulated failed with exit code 1: AttributeError: "),
        ("not_a_number", {}, "Level simulated must answer finite metrics of the study, not area_um2 nan"),
        ("unknown", {}, "Level simulated must answer finite metrics of the study, not weight 1.0"),
        ("nothing", {}, "Level simulated must answer a metric, and it answered none"),
    ],
)
def test_what_goes_wrong_in_a_child_is_told(name: str, limits: dict[str, float], reason: str) -> None:
    found = measured(name, **limits)
    assert (found.status, found.metrics) == ("failed", {})
    assert found.log.splitlines()[0].startswith(reason), found.log
    assert len(found.log) < LOG_TAIL + 400
    if name == "crash":
        assert "about to read address 0" in found.log


def test_what_a_child_started_ends_with_it() -> None:
    # One in a session of its own, as Yosys is, is in no process group that is killed.
    inner = "import time; from toolchain import process as p; p.end_with_parent(); print(1, flush=True); time.sleep(99)"
    code = f"""
import os, subprocess, sys
inner = subprocess.Popen([sys.executable, "-c", {inner!r}], start_new_session=True, stdout=subprocess.PIPE)
inner.stdout.readline()
print(inner.pid, flush=True)
os._exit(0)
"""
    done = process.run([sys.executable, "-c", code], tool="Child", cwd=ROOT, timeout_s=300)
    _await_end(int(done.log))


def _await_end(pid: int) -> None:
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text():
            return
        time.sleep(0.05)
    os.kill(pid, 9)
    raise AssertionError("it outlived its parent")


def test_yosys_ends_with_whoever_waits_for_it() -> None:
    code = "from toolchain import yosys; yosys.run('exec -- sleep 20')"
    waiting = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        pid = _yosys_of(waiting.pid)
        _await_shell(pid)
    finally:
        waiting.kill()
        waiting.wait()
    _await_end(pid)


def _await_shell(pid: int) -> None:
    for _ in range(1200):
        if Path(f"/proc/{pid}/task/{pid}/children").read_text().strip():  # the script runs
            return
        time.sleep(0.1)
    raise AssertionError("the script was not begun")


def _yosys_of(parent: int) -> int:
    for _ in range(1200):
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for pid in children:
            if "yosys_child" in Path(f"/proc/{pid}/cmdline").read_text():
                return int(pid)
        time.sleep(0.1)
    raise AssertionError("Yosys was not started")
