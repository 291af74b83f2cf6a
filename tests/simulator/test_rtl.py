"""The RTL harness: exact cycles under any stalls, values, jobs in sequence, and each way a design can misbehave."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from simulator.rtl import rtl
from simulator.rtl.binding import Engine
from simulator.stall_patterns import Pattern
from toolchain import process

DESIGN = Path(__file__).parent / "designs" / "stream_adder.v"
ENGINES: tuple[Engine, ...] = ("cxxrtl", "verilator")


def export(folder: Path, changes: Mapping[str, str] | None = None) -> Path:
    """The adder as an exported design, with pieces of its text changed."""
    text = DESIGN.read_text()
    for old, new in (changes or {}).items():
        assert text.count(old) == 1, f"{old!r} must stand once in the design"
        text = text.replace(old, new)
    (folder / "adder.v").write_text(text)
    names = ["control", "status", "tokens", "cycles", "jobs"]
    registers = {name: {"address": 4 * index, "fields": {}} for index, name in enumerate(names)}
    registers["status"]["fields"] = {"busy": [0, 1], "done": [1, 1]}
    streams = {
        "out": {"direction": "out", "prefix": "m_axis_out", "width": 96},
        "act": {"direction": "in", "prefix": "s_axis_act", "width": 32},
        "wgt": {"direction": "in", "prefix": "s_axis_wgt", "width": 96},
    }
    manifest = {
        "top": "stream_adder",
        "files": ["adder.v"],
        "clock": "aclk",
        "reset": "aresetn",
        "streams": streams,
        "registers": registers,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def model(tmp_path: Path) -> rtl.Model:
    return rtl.load(export(tmp_path))


def job(
    beats: int,
    seed: int = 0,
    patterns: Mapping[str, Pattern] | None = None,
    *,
    tokens: int | None = None,
    expected: int | None = None,
    reset: bool = False,
    watchdog: int = 100,
) -> rtl.Job:
    rng = np.random.default_rng(seed)
    return rtl.Job(
        {
            "act": rng.integers(0, 256, (beats, 4), np.uint8),
            "wgt": rng.integers(0, 256, (beats, 12), np.uint8),
        },
        {"out": beats if expected is None else expected},
        patterns or {},
        {"tokens": beats if tokens is None else tokens},
        reset=reset,
        watchdog=watchdog,
    )


def sums(work: rtl.Job) -> list[int]:
    """What the adder must give."""
    pairs = zip(work.stimulus["act"], work.stimulus["wgt"], strict=True)
    return [(number(act) + number(wgt)) % 2**96 for act, wgt in pairs]


def number(data: rtl.Bytes) -> int:
    return int.from_bytes(data.tobytes(), "little")


def is_open(pattern: Pattern | None, cycle: int) -> bool:
    return pattern is None or len(pattern) == 0 or bool(pattern[cycle % len(pattern)])


def accepted_by_hand(work: rtl.Job) -> dict[str, list[int]]:
    """The contract of time, played by hand for the adder: one register that holds a result."""
    beats = work.outputs["out"]
    accepted: dict[str, list[int]] = {"act": [], "wgt": [], "out": []}
    valid = {"act": False, "wgt": False}
    full = False
    cycle = 0
    while len(accepted["out"]) < beats:
        for name in valid:
            valid[name] |= len(accepted[name]) < beats and is_open(work.patterns.get(name), cycle)
        leaves = full and is_open(work.patterns.get("out"), cycle)
        enters = all(valid.values()) and (leaves or not full)
        if leaves:
            accepted["out"].append(cycle)
        if enters:
            for name in valid:
                accepted[name].append(cycle)
                valid[name] = False
        full = enters or (full and not leaves)
        cycle += 1
    return accepted


def patterns_of(seed: int) -> dict[str, Pattern]:
    """Some patterns: of different periods, some absent, some closed for long, none closed for ever."""
    rng = np.random.default_rng(seed)
    patterns = {}
    for name in ("act", "wgt", "out"):
        pattern = rng.random(rng.integers(1, 40)) < rng.choice([0.1, 0.5, 0.9])
        pattern[rng.integers(len(pattern))] = True
        if rng.random() < 0.8:
            patterns[name] = pattern
    return patterns


@pytest.mark.parametrize("engine", ENGINES)
def test_values_and_every_accepted_cycle(engine: Engine, tmp_path: Path) -> None:
    """Also the contract's cycle count, which the design counts for itself; state carries from job to job."""
    work = [job(1 + seed % 30, seed, patterns_of(seed)) for seed in range(50)]
    runs = rtl.load(export(tmp_path), engine).run_all(work)
    assert len(runs) == 50
    for index, (asked, run) in enumerate(zip(work, runs, strict=True)):
        beats = asked.outputs["out"]
        assert [number(beat) for beat in run.data["out"]] == sums(asked)
        assert run.last["out"].tolist() == [False] * (beats - 1) + [True]
        assert {name: cycles.tolist() for name, cycles in run.accepted.items()} == accepted_by_hand(asked)
        assert run.cycles == run.registers["cycles"]
        assert run.registers == {
            "control": 0,
            "status": 2,
            "tokens": beats,
            "cycles": run.cycles,
            "jobs": index + 1,
        }
        assert run.wall_s > 0


def test_failing_twin_of_the_cycle_check(model: rtl.Model) -> None:
    """A pattern moved by one cycle is seen."""
    patterns = {"act": np.array([0, 1, 0, 0, 1, 1], np.bool_)}
    moved = {"act": np.roll(patterns["act"], 1)}
    [run] = model.run_all([job(10, 0, patterns)])
    assert run.accepted["act"].tolist() == accepted_by_hand(job(10, 0, patterns))["act"]
    assert run.accepted["act"].tolist() != accepted_by_hand(job(10, 0, moved))["act"]


def test_unstalled_job_takes_one_cycle_a_beat_from_cycle_0(model: rtl.Model) -> None:
    work = job(5)
    run = model.run(work.stimulus, {}, work.registers, work.outputs)
    assert run.accepted["act"].tolist() == run.accepted["wgt"].tolist() == [0, 1, 2, 3, 4]
    assert run.accepted["out"].tolist() == [1, 2, 3, 4, 5]
    assert run.cycles == 6


def test_cycles_count_from_the_first_input_not_from_cycle_0(model: rtl.Model) -> None:
    late = {"act": np.arange(10) >= 7}
    [run] = model.run_all([job(1, 0, late)])
    assert run.accepted["act"].tolist() == [7]
    assert run.cycles == run.registers["cycles"] == 2


def test_reset_between_jobs_is_asked_for(model: rtl.Model) -> None:
    runs = model.run_all([job(3), job(3), job(3, reset=True)])
    assert [run.registers["jobs"] for run in runs] == [1, 2, 1]


def test_each_call_starts_from_reset(model: rtl.Model) -> None:
    first, second = (model.run_all([job(3)])[0] for _ in range(2))
    assert first.registers == second.registers


def test_tlast_marks_the_last_input_beat(tmp_path: Path) -> None:
    changes = {"m_axis_out_tlast <= sent + 32'd1 == tokens": "m_axis_out_tlast <= s_axis_act_tlast"}
    [run] = rtl.load(export(tmp_path, changes)).run_all([job(4)])
    assert run.last["out"].tolist() == [False, False, False, True]


def test_bus_shows_a_beat_only_while_it_is_offered(tmp_path: Path) -> None:
    """A design that reads a beat after it was taken gets another value."""
    late = {
        "output reg  [95:0] m_axis_out_tdata": "output wire [95:0] m_axis_out_tdata",
        "m_axis_out_tdata <= s_axis_wgt_tdata + {64'b0, s_axis_act_tdata};": "",
        "wire room =": "assign m_axis_out_tdata = s_axis_wgt_tdata + {64'b0, s_axis_act_tdata};\n    wire room =",
    }
    [run] = rtl.load(export(tmp_path, late)).run_all([job(1)])
    assert [number(beat) for beat in run.data["out"]] != sums(job(1))


BROKEN: dict[str, tuple[dict[str, str], str]] = {
    "drops tvalid": (
        {"if (room) m_axis_out_tvalid <= take;": "m_axis_out_tvalid <= take;"},
        "stream out dropped tvalid while stalled in cycle 2",
    ),
    "changes tdata": (
        {"if (first) counting": "if (!room) m_axis_out_tdata <= ~m_axis_out_tdata;\nif (first) counting"},
        "stream out changed tdata while stalled in cycle 2",
    ),
    "changes tlast": (
        {"if (first) counting": "if (!room) m_axis_out_tlast <= ~m_axis_out_tlast;\nif (first) counting"},
        "stream out changed tlast while stalled in cycle 2",
    ),
    "tvalid in reset": (
        {"s_axil_rvalid <= 1'b0;\n            m_axis_out_tvalid <= 1'b0;": "m_axis_out_tvalid <= 1'b1;"},
        "stream out showed tvalid in reset in cycle 1",
    ),
    "never done": (
        {"done <= 1'b1;": "done <= 1'b0;"},
        "register status never showed that the job is done",
    ),
    "no write response": (
        {"if (write) s_axil_bvalid <= 1'b1;": "if (1'b0) s_axil_bvalid <= 1'b1;"},
        "register tokens gave no response to a write",
    ),
    "early write response": (
        {"if (!aresetn) begin\n            s_axil_bvalid <= 1'b0;": "if (!aresetn) begin\n s_axil_bvalid <= 1'b1;"},
        "register tokens responded to a write before taking it",
    ),
    "refused write": (
        {"assign s_axil_bresp = 2'b00;": "assign s_axil_bresp = write_word == CONTROL ? 2'b10 : 2'b00;"},
        "register control refused a write",
    ),
    "dropped write response": (
        {"else if (s_axil_bready) s_axil_bvalid": "else s_axil_bvalid"},
        "register tokens dropped its response to a write",
    ),
    "no read response": (
        {"s_axil_rvalid <= 1'b1;": "s_axil_rvalid <= s_axil_araddr[5:2] != CYCLES;"},
        "register cycles gave no response to a read",
    ),
    "early read response": (
        {"s_axil_rvalid <= 1'b0;\n            m_axis": "s_axil_rvalid <= 1'b1;\n            m_axis"},
        "register status responded to a read before taking it",
    ),
    "refused read": (
        {"assign s_axil_rresp = 2'b00;": "assign s_axil_rresp = s_axil_araddr[5:2] == JOBS ? 2'b11 : 2'b00;"},
        "register jobs refused a read",
    ),
    "dropped read response": (
        {"end else if (s_axil_rready) s_axil_rvalid": "end else s_axil_rvalid"},
        "register status dropped or changed its response to a read",
    ),
    "changed read data": (
        {"else if (s_axil_rready) s_axil_rvalid <= 1'b0;": "else begin s_axil_rdata <= ~s_axil_rdata;"
         " if (s_axil_rready) s_axil_rvalid <= 1'b0; end"},
        "register status dropped or changed its response to a read",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_design_is_named(fault: str, tmp_path: Path) -> None:
    changes, reason = BROKEN[fault]
    model = rtl.load(export(tmp_path, changes), optimize="-O0")
    with pytest.raises(rtl.RtlError, match=f"^{re.escape('The RTL of stream_adder failed: ' + reason)}$"):
        model.run_all([job(3, 0, {"out": np.array([0, 0, 0, 1], np.bool_)})])


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["drops tvalid", "changes tdata", "refused write"])
def test_broken_design_is_named_by_verilator_too(fault: str, tmp_path: Path) -> None:
    changes, reason = BROKEN[fault]
    model = rtl.load(export(tmp_path, changes), "verilator")
    with pytest.raises(rtl.RtlError, match=f"^{re.escape('The RTL of stream_adder failed: ' + reason)}$"):
        model.run_all([job(3, 0, {"out": np.array([0, 0, 0, 1], np.bool_)})])


def test_surplus_beat_is_named(model: rtl.Model) -> None:
    with pytest.raises(rtl.RtlError) as caught:
        model.run_all([job(3, expected=2)])
    assert str(caught.value) == (
        "The RTL of stream_adder failed: stream out gave more beats than expected in cycle 3"
    )


def test_surplus_beat_amid_the_job_is_named(model: rtl.Model) -> None:
    with pytest.raises(rtl.RtlError, match="stream out gave more beats than expected in cycle 2$"):
        model.run_all([job(3, expected=1)])


HANGS = {
    "design stops taking": (
        job(5, tokens=3),
        "act waits for tready at beat 3 of 5, wgt waits for tready at beat 3 of 5, out waits for tvalid at beat 3 of 5",
    ),
    "source never opens": (
        job(5, 0, {"wgt": np.zeros(3, np.bool_)}),
        "act waits for tready at beat 0 of 5, wgt waits for its stall pattern at beat 0 of 5, "
        "out waits for tvalid at beat 0 of 5",
    ),
    "sink never opens": (
        job(2, 0, {"out": np.zeros(3, np.bool_)}),
        "act waits for tready at beat 1 of 2, wgt waits for tready at beat 1 of 2, "
        "out waits for its stall pattern at beat 0 of 2",
    ),
    "too few results": (job(2, expected=4), "out waits for tvalid at beat 2 of 4"),
}


@pytest.mark.parametrize("hang", HANGS)
def test_hang_says_what_each_stream_waits_for(hang: str, model: rtl.Model) -> None:
    work, waiting = HANGS[hang]
    with pytest.raises(rtl.RtlError) as caught:
        model.run_all([work])
    assert str(caught.value) == f"The RTL of stream_adder failed: no beat moved for 100 cycles; {waiting}"


def test_watchdog_bears_a_stretch_as_long_as_itself(model: rtl.Model) -> None:
    patient = {"out": np.arange(101) >= 100}
    [run] = model.run_all([job(1, 0, patient)])
    assert run.accepted["out"].tolist() == [100]
    impatient = {"out": np.arange(103) >= 102}
    with pytest.raises(rtl.RtlError, match="no beat moved for 100 cycles"):
        model.run_all([job(1, 0, impatient)])


def test_jobs_before_a_failure_do_not_hide_it(model: rtl.Model) -> None:
    with pytest.raises(rtl.RtlError, match="no beat moved"):
        model.run_all([job(3), job(3, tokens=1), job(3)])


def test_job_without_beats(model: rtl.Model) -> None:
    """Nothing is sent and nothing awaited, but a design that waits for a beat is not done."""
    with pytest.raises(rtl.RtlError, match="register status never showed that the job is done$"):
        model.run_all([job(0)])


def test_model_that_crashes_is_a_tool_error(model: rtl.Model, tmp_path: Path) -> None:
    model.executable = tmp_path / "crash"
    model.executable.write_text("#!/bin/sh\nkill -SEGV $$\n")
    model.executable.chmod(0o755)
    with pytest.raises(process.ToolError, match=r"^The RTL of stream_adder was killed by SIGSEGV$"):
        model.run_all([job(1)])


def test_model_that_never_ends_is_a_tool_error(tmp_path: Path) -> None:
    """A combinational loop without a fixed point, which no watchdog of cycles can see."""
    loop = {"wire room =": "wire spin;\n    assign spin = !(spin && aresetn);\n    wire room = spin ||"}
    model = rtl.load(export(tmp_path, loop))
    with pytest.raises(process.ToolError, match=r"^The RTL of stream_adder did not finish within 1 s$"):
        model.run_all([job(1)], timeout_s=1)


def test_verilog_that_cannot_be_read_is_a_tool_error(tmp_path: Path) -> None:
    folder = export(tmp_path, {"wire room =": "wire room +="})
    with pytest.raises(
        process.ToolError, match=r"^Yosys failed with exit code 1: .*adder\.v:\d+: ERROR: syntax error"
    ):
        rtl.load(folder)


def test_wrong_arguments_are_refused(model: rtl.Model, tmp_path: Path) -> None:
    good = job(2)
    act, wgt = good.stimulus["act"], good.stimulus["wgt"]
    cases = {
        "Stimulus must be for the streams act, wgt, not act": rtl.Job({"act": act}, {"out": 2}),
        "Outputs must be for the streams out, not none": rtl.Job(good.stimulus, {}),
        "Stall patterns must be of the streams act, wgt, out, not 'acts'": job(2, 0, {"acts": np.ones(1, np.bool_)}),
        "Stimulus of wgt must be uint8 [beats, 12], not uint8 [2, 4]": rtl.Job({"act": act, "wgt": act}, {"out": 2}),
        "Stimulus of act must be uint8 [beats, 4], not int64 [2, 4]": rtl.Job(
            {"act": act.astype(np.int64), "wgt": wgt}, {"out": 2}
        ),
        "Register must be one of control, status, tokens, cycles, jobs, not 'm'": rtl.Job(
            good.stimulus, {"out": 2}, registers={"m": 1}
        ),
    }  # fmt: skip
    for message, wrong in cases.items():
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            model.run_all([wrong])
    with pytest.raises(ValueError, match=r"^Engine must be cxxrtl or verilator, not 'icarus'$"):
        rtl.load(tmp_path, "icarus")  # type: ignore[arg-type]


def test_wide_stimulus_needs_no_copy_in_order(model: rtl.Model) -> None:
    """Slices of larger arrays, whose memory is not contiguous, arrive as they read."""
    work = job(6)
    sliced = {name: np.repeat(data, 2, axis=1)[:, ::2] for name, data in work.stimulus.items()}
    run = model.run(sliced, {}, work.registers, work.outputs)
    assert [number(beat) for beat in run.data["out"]] == sums(work)
