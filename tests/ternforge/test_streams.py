"""Standard streams that take nothing: which of them ends a command, and what it says."""

from __future__ import annotations

import ast
import errno
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ternforge import streams
from ternforge.cli import run
from ternforge.verbs import model as verb

ROOT = Path(__file__).resolve().parents[2]
FULL = "Standard output must take what is written to it, and it does not: No space left on device; send it elsewhere"


def started(*words: str, stdout: object = None, stderr: object = subprocess.PIPE) -> tuple[int, str]:
    """(exit code, standard error) of a command line."""
    done = subprocess.run(  # type: ignore[call-overload]
        [sys.executable, "-m", "ternforge", *words], cwd=ROOT, text=True, stdout=stdout, stderr=stderr, timeout=120
    )  # fmt: skip
    return done.returncode, done.stderr or ""


@pytest.fixture
def full() -> Iterator[io.TextIOWrapper]:
    with open("/dev/full", "w") as file:
        yield file


@pytest.mark.parametrize("words", ["model list", "model list --json", "--help", "synth --help", "--version"])
def test_a_full_standard_output_is_one_sentence_that_names_it(words: str, full: io.TextIOWrapper) -> None:
    assert started(*words.split(), stdout=full) == (2, f"{FULL}\n")


def test_a_standard_output_that_is_open_for_reading_is_named() -> None:
    with open(os.devnull) as only:
        code, told = started("--version", stdout=only)
    assert (code, told) == (2, f"{FULL.replace('No space left on device', 'Bad file descriptor')}\n")


def test_a_full_standard_error_loses_messages_and_leaves_the_exit_code(full: io.TextIOWrapper) -> None:
    assert started("model", "list", stdout=subprocess.DEVNULL, stderr=full) == (0, "")
    assert started("check", "missing.yaml", stdout=subprocess.DEVNULL, stderr=full) == (2, "")


def test_a_closed_pipe_is_no_fault_of_standard_output_and_loses_messages_of_standard_error() -> None:
    read, write = os.pipe()
    os.close(read)
    assert started("model", "list", "--json", stdout=write) == (0, "")
    assert started("check", "missing.yaml", stdout=subprocess.DEVNULL, stderr=write) == (2, "")
    os.close(write)


def test_a_pipe_that_breaks_elsewhere_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(verb, "models", broken)
    assert run(["model", "list"]) == 2
    told = "What this command started must run until it ends, and it does not: Broken pipe; run it again"
    assert capsys.readouterr().err == f"{told}\n"


def test_a_fault_is_told_once_and_what_comes_after_it_is_dropped(full: io.TextIOWrapper) -> None:
    stream = streams._replaced(full, streams._Output)
    stream.write("text")
    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device: 'standard output'$"):
        stream.flush()
    stream.write("more")
    stream.flush()


def test_a_pipe_that_does_not_block_is_waited_for() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    found: list[bytes] = []

    def reader() -> None:
        time.sleep(0.05)  # until the pipe is full
        with os.fdopen(read, "rb") as end:
            found.append(end.read())

    thread = threading.Thread(target=reader)
    thread.start()
    with os.fdopen(write, "w") as file:
        stream = streams._replaced(file, streams._Output)
        stream.write("µ" * 200_000)
        stream.flush()
    thread.join()
    assert found == [("µ" * 200_000).encode(file.encoding, "ternforge")]


def test_characters_that_a_terminal_lacks_have_a_plain_form() -> None:
    text = "µm²·±×é"
    assert streams._plainly(UnicodeEncodeError("ascii", text, 0, 7, "")) == ("u?2|+-x?", 7)
    assert streams._plainly(UnicodeEncodeError("ascii", text, 2, 4, "")) == ("2|", 4)


def test_commands_write_by_their_session_alone() -> None:
    """So that all of them end alike at a stream that takes nothing."""
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "ternforge").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("print", "click.echo", "sys.stdout.write")
    }
    assert found == {"ternforge/demo.py", "ternforge/session.py"}
