"""Child processes: limits are kept, nothing is left behind, and every failure is one sentence."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from toolchain import process

PYTHON = [sys.executable, "-c"]


def message_of(*command: str, **options: object) -> str:
    with pytest.raises(process.ToolError) as caught:
        process.run(command, tool="Tool", **options)  # type: ignore[arg-type]
    return str(caught.value)


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def gone(pid: int) -> bool:
    """Whether a process that was killed is gone; the kernel takes a moment."""
    deadline = time.perf_counter() + 5
    while alive(pid) and time.perf_counter() < deadline:
        time.sleep(0.01)
    return not alive(pid)


def test_log_holds_both_outputs_in_order() -> None:
    finished = process.run(["sh", "-c", "echo one; echo two >&2; echo three"], tool="Tool")
    assert finished.log == "one\ntwo\nthree\n"
    assert finished.seconds > 0


def test_seconds_are_those_of_the_child() -> None:
    finished = process.run(["sleep", "0.2"], tool="Tool")
    assert 0.2 <= finished.seconds < 60


def test_a_long_log_is_kept_whole() -> None:
    assert process.run(["seq", "30000"], tool="Tool").log.split() == [str(n) for n in range(1, 30001)]


def test_missing_tool_says_how_to_get_it() -> None:
    assert message_of("no-such-tool", install="get it there") == "Tool was not found; get it there"
    assert message_of("no-such-tool") == "Tool was not found"


def test_a_tool_that_ends_well_must_have_written_its_files(tmp_path: Path) -> None:
    whole = "echo made something; echo 1 > one; echo 2 > two"
    options = {"cwd": tmp_path, "writes": ["one", tmp_path / "two"]}
    assert process.run(["sh", "-c", whole], tool="Tool", **options).log == "made something\n"  # type: ignore[arg-type]
    told = "Tool must have written two and ended without an error, and there is nothing in it: made something"
    assert message_of("sh", "-c", f"{whole}; : > two", **options) == told
    assert message_of("sh", "-c", f"{whole}; rm two", **options) == told
    assert message_of("sh", "-c", f"{whole}; rm two; mkdir two", **options) == told


def test_exit_code_comes_with_the_last_line() -> None:
    assert message_of("sh", "-c", "echo working; echo gave up; echo; exit 3") == (
        "Tool failed with exit code 3: gave up"
    )


def test_first_error_line_beats_the_last_line() -> None:
    log = "g++ -Werror a.cc\na.cc:1:2: error: expected ';'\nmake: *** [a.o] Error 1\n"
    assert process.meaningful_line(log) == "a.cc:1:2: error: expected ';'"
    assert process.meaningful_line("%Error: a.v:1:2: syntax\n%Error: Exiting due to 1 error(s)\n") == (
        "%Error: a.v:1:2: syntax"
    )
    assert process.meaningful_line("0 errors, -Werror\nfine\n") == "fine"
    assert process.meaningful_line("\n") == ""


@pytest.mark.parametrize(
    ("printed", "line"),
    [
        (rb"\033[2J\033[31merror: red\033[0m", "?[2J?[31merror: red?[0m"),
        (rb"\000\377\376 no text \007", "??? no text ?"),
        (rb"caf\303\251\ta\tb", "café a b"),
    ],
)
def test_what_a_tool_prints_does_not_reach_the_terminal_as_it_is(printed: bytes, line: str) -> None:
    with pytest.raises(process.ToolError) as caught:
        process.run(["sh", "-c", f"printf '{printed.decode()}'; exit 1"], tool="Fake")
    assert str(caught.value) == f"Fake failed with exit code 1: {line}"


def test_crash_names_the_signal() -> None:
    assert message_of("sh", "-c", "echo before; kill -SEGV $$") == "Tool was killed by SIGSEGV: before"


def test_silent_failure_has_no_empty_tail() -> None:
    assert message_of("false") == "Tool failed with exit code 1"


def test_hang_is_ended_with_everything_it_started(tmp_path: Path) -> None:
    began = time.perf_counter()
    script = f"sleep 60 & echo $! > {tmp_path}/pid; echo waiting; wait"
    assert message_of("sh", "-c", script, timeout_s=0.5) == "Tool did not finish within 0.5 s: waiting"
    assert time.perf_counter() - began < 5
    assert gone(int((tmp_path / "pid").read_text()))


def test_child_left_behind_by_a_tool_that_ended_is_killed(tmp_path: Path) -> None:
    process.run(["sh", "-c", f"sleep 60 & echo $! > {tmp_path}/pid"], tool="Tool")
    assert gone(int((tmp_path / "pid").read_text()))


def test_interrupt_leaves_no_orphan(tmp_path: Path) -> None:
    """Ctrl-C reaches only us, for the child has a session of its own."""
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        process.run(["sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 60"], tool="Tool")
    timer.join()
    assert gone(int((tmp_path / "pid").read_text()))


def test_memory_limit_is_named() -> None:
    code = "x = bytearray(1 << 30)"
    assert message_of(*PYTHON, code, memory_mib=256) == (
        "Tool needed more than its 256 MiB of memory: MemoryError"
    )
    process.run([*PYTHON, code], tool="Tool", memory_mib=4096)


def test_log_of_an_error_holds_everything() -> None:
    with pytest.raises(process.ToolError) as caught:
        process.run(["sh", "-c", "seq 1000; exit 1"], tool="Tool")
    assert len(caught.value.log.split()) == 1000
    assert caught.value.tool == "Tool"
    assert isinstance(caught.value, RuntimeError)


def test_standard_input_is_empty() -> None:
    assert process.run(["cat"], tool="Tool", timeout_s=5).log == ""


def test_tool_error_survives_pickling() -> None:
    """Explorer and test workers send errors between processes."""
    error = process.ToolError("Tool", "failed with exit code 1", "why\n")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.tool, copy.log) == ("Tool failed with exit code 1: why", "Tool", "why\n")


def test_environment_and_folder_are_passed(tmp_path: Path) -> None:
    finished = process.run(
        ["sh", "-c", "echo $GREETING; pwd"],
        tool="Tool",
        cwd=tmp_path,
        env={**os.environ, "GREETING": "hello"},
    )
    assert finished.log.split() == ["hello", str(tmp_path)]


def test_failing_twin_an_orphan_is_seen(tmp_path: Path) -> None:
    """The check of the tests above can fail."""
    child = subprocess.Popen(["sleep", "60"])
    assert alive(child.pid)
    child.kill()
    assert gone(child.pid)
    child.wait()


def test_a_tool_that_prints_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MOST_OUTPUT_MIB", 1)
    monkeypatch.setattr(process, "_POLL_S", 0.05)
    message = message_of("sh", "-c", "while :; do echo endless; done", timeout_s=60)
    assert message == "Tool printed more than 1 MiB and was stopped: endless"


def test_a_tool_that_cannot_be_started_is_one_sentence(tmp_path: Path) -> None:
    program = tmp_path / "damaged"
    program.write_bytes(b"\x7fELF damaged")
    program.chmod(0o755)
    assert message_of(str(program)) == "Tool could not be started: Exec format error"
    assert message_of("true", cwd=tmp_path / "none") == "Tool could not be started: No such file or directory"
