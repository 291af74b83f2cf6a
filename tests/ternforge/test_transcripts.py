"""What commands print that depends on no technology, word by word, and the text of an estimate made up here."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import pytest

from ternforge.cli import run
from ternforge.verbs import estimate

ROOT = Path(__file__).resolve().parents[2]
#: What ``python -m tests.ternforge.test_transcripts`` writes.
FILE = Path(__file__).with_name("transcripts.txt")
LUT, ARRAY, CORE = (f"examples/{f}/design.yaml" for f in ("ternary_lut", "systolic", "streaming_attention"))
SMALL = "--set lut_count=2 --set fetch_count=2 --set k_max=64 --set n_max=16"
COMMANDS = (
    f"simulate {LUT} --gemm 3x20x10 {SMALL}",
    f"simulate {LUT} --gemm 3x20x10 {SMALL} --stall random_50 --seed 4 --no-values",
    f"simulate {LUT} --gemm 2x64x16 {SMALL} --stall memory_latency_100",
    f"simulate {ARRAY} --gemm 5x33x17 --stall slow_sink",
    f"simulate {ARRAY} --gemm 1x8x8 --stall burst_64 --seed 2",
    f"simulate {CORE} --workload examples/streaming_attention/workload.yaml --stall sink_dead_1000 --no-values",
    "model list",
    "model show tiny --phase prefill --tokens 3",
    "model show bitnet_2b4t",
    f"check {LUT}",
    f"check {ARRAY}",
    f"check {CORE}",
    f"check {LUT} {SMALL}",
    "check examples/ternary_lut/space.yaml",
    "check examples/streaming_attention/space.yaml",
    "check examples/streaming_attention/workload.yaml",
)


def printed(command: str) -> str:
    """The command and what it prints, in the folder of the project."""
    out, before = io.StringIO(), Path.cwd()
    os.chdir(ROOT)
    try:
        with contextlib.redirect_stdout(out):
            code = run(command.split())
    finally:
        os.chdir(before)
    return f"$ ternforge {command}\n{out.getvalue()}exit code {code}\n"


@pytest.fixture(scope="module")
def kept() -> dict[str, str]:
    parts = FILE.read_text(encoding="utf-8").split("\n\n$ ternforge ")
    return {part.split("\n")[0].removeprefix("$ ternforge "): part for part in parts}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_prints_what_it_printed(command: str, kept: dict[str, str]) -> None:
    found = printed(command).removeprefix("$ ternforge ")
    assert found.rstrip() == kept[command].removeprefix("$ ternforge ").rstrip()


def test_notes_of_a_model_stand_below_its_title(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As ``model import`` wrote them for its reader."""
    text = (ROOT / "blueprint" / "workloads" / "models" / "tiny.yaml").read_text(encoding="utf-8")
    file = tmp_path / "mine.yaml"
    file.write_text(text + "notes: [no gate, shared embedding]\n", encoding="utf-8")
    assert run(["model", "show", str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[1:3] == ["note: no gate", "note: shared embedding"]


FIGURE = {"source": "made up", "band": None}
MEMORY = {
    "count": 3, "words": 64, "width": 24, "ports": "one_read_one_write", "kind": "latch_array", "area_um2": 1234.0,
    "access_ps": 321.4, "read_pj": 0.12345, "write_pj": 0.5, "left_out": 0.137,
}  # fmt: skip
ANSWER: dict[str, Any] = {
    "design": "mine", "technology": "none7", "source": "analytical model", "area_um2": 4000.0,
    "area_breakdown_um2": {"lane": 1000.0, "fetch": 2500.0, "shell": 500.0}, "critical_path_ps": 812.5,
    "clock_mhz": 1230.8, "peak_macs": 96, "memories": [MEMORY, MEMORY | {"left_out": None, "count": 1}],
    "flip_flops": 12345, "meets_clock": False, "energy_pj": 1.75, "energy_of": "one cycle of full throughput",
    "figures": dict.fromkeys(("area_um2", "critical_path_ps", "energy_pj"), FIGURE),
}  # fmt: skip


def test_an_estimate_reads_like_this() -> None:
    lines = estimate.lines(ANSWER)
    assert lines[0] == "mine in none7 (analytical model)"
    assert [line.split() for line in lines[1:6]] == [
        ["place", "area", "µm²", "share"], ["fetch", "2,500", "62.5", "%"], ["lane", "1,000", "25.0", "%"],
        ["shell", "500", "12.5", "%"], ["total", "4,000", "100", "%"],
    ]  # fmt: skip
    memory = (
        "64 words of 24 bits, one read one write: latch array, 1,234 µm², 321 ps, read 0.123 pJ, write 0.5 pJ"
    )
    assert lines[6:8] == [
        f"memory 3 x {memory}, macros left out of its law within 14 %",
        f"memory 1 x {memory}",
    ]
    assert lines[8] == "flip-flops 12,345 · critical path 812.5 ps · clock 1.231 GHz · peak 96 MAC/cycle"
    assert lines[9].startswith("analytic: area ") and lines[9].count(" · ") == 2
    assert lines[10] == "FAIL: a clock of 1230.8 MHz is faster than the critical path allows"
    assert lines[11:] == ["energy 1.75 pJ for one cycle of full throughput"]
    assert not [line for line in estimate.lines(ANSWER | {"meets_clock": True}) if line.startswith("FAIL")]


if __name__ == "__main__":
    FILE.write_text("\n".join(printed(command) for command in COMMANDS), encoding="utf-8")
