"""Whatever the environment does to a command is one sentence and exit code 2, and the same command then goes on."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from costmodel.calibration import calibration
from ternforge import faults
from ternforge.cli import run
from ternforge.verbs import model
from tests.checkpoints.files import folder as packed
from tests.checkpoints.tiny import checkpoint
from tests.costmodel import tiny
from tests.toolchain.test_files import file_size_limit
from toolchain import files

ROOT = Path(__file__).resolve().parents[2]
DESIGN = str(ROOT / "examples/ternary_lut/design.yaml")
ENTRY = [sys.executable, "-c", "from ternforge.entry import main; main()"]
SPACE = """\
schema: ternforge/space/v1
name: small
family: ternary_lut
parameters:
  mu: [2, 3]
  lut_count: {log2: [1, 64]}
  fetch_count: {log2: [1, 64]}
  k_max: 2560
  n_max: 6912
  act_width: 8
workload: {gemm: {m: 1, k: 2560, n: 6912}}
technology: asap7
objectives: {area_um2: min, rows_per_second: max}
"""
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "hidden_act": "silu",
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space, a finished study of it and a model's configuration."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "space.yaml").write_text(SPACE)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    tiny.write(folder)
    packed(folder / "packed", checkpoint())
    for name, *more in (
        ["study"],
        ["other", "--budget", "20"],
        ["shard1", "--shard", "1/2"],
        ["shard2", "--shard", "2/2"],
    ):
        assert run(["explore", str(folder / "space.yaml"), "--out", str(folder / name), *more, "-q"]) == 0
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but those that differ between two writers of the same."""
    different = ("study.lock", "study.db", "study.db-wal", "study.db-shm")
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in different]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def arguments(command: str, given: Path, out: Path) -> list[str]:
    return [word.format(given=given, out=out, design=DESIGN) for word in command.split()]


COMMANDS = [
    "explore {given}/space.yaml --out {out}/study",
    "merge {given}/shard1 {given}/shard2 --out {out}/study",
    "compare {given}/study {given}/other -o {out}/compared.png",
    "plot {given}/study -o {out}/figures",
    "report {given}/study -o {out}/report.html",
    "apply {given}/study knee -o {out}/design.yaml",
    "generate {design} --out {out}/rtl",
    "export {design} --flow yosys --out {out}/flow",
    "simulate {design} --gemm 2x64x64 --trace {out}/trace.json",
    "init {out}/start",
    "model import {given} --name tiny -o {out}/model.yaml",
    "model export {given}/packed -o {out}/model.gguf",
    "model export {given}/packed --encoding packed -o {out}/model",
    "tech import {given}/tiny.lib --name tiny -o {out}/imported.yaml",
    "tech calibrate asap7 -o {out}/calibrated.yaml",
]


@pytest.fixture(autouse=True)
def quick_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibration that finds what is known already: what it takes is files, not the minutes of its synthesis."""
    monkeypatch.setattr(calibration, "calibrate", lambda facts, *_, **__: facts)


#: Commands that take so long that one limit is enough; all are tried on small disks.
SECONDS = ("compare", "plot", "report", "generate", "export")


def names_a_place(message: str, out: Path) -> bool:
    """Whether a message begins with the path of a result, never of its draft, or of a folder for temporary files."""
    said = message.partition(": ")[0].removeprefix("Cache ")
    return said.startswith((str(out), f"{tempfile.gettempdir()}/ternforge-")) and "draft" not in said


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(command.split("{")[0].split()))
def test_a_disk_that_fills_is_one_sentence_and_then_the_command_goes_on(
    command: str, given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run([*arguments(command, given, whole), "-q"]) == 0
    refused = 0
    for limit in (4000,) if command.split()[0] in SECONDS else (0, 200, 3000, 9000, 20_000, 40_000, 100_000):
        capsys.readouterr()
        with file_size_limit(limit):
            code = run([*arguments(command, given, cut), "-q"])
        err = capsys.readouterr().err
        if code:
            refused += 1
            assert code == 2 and err.count("\n") == 1 and "Internal" not in err, err
            assert names_a_place(err, cut), err
            assert not [name for name in content(cut) if name not in content(whole)]
        else:
            break
    assert refused and (code == 0 or run([*arguments(command, given, cut), "-q"]) == 0)
    assert content(cut) == content(whole)


@pytest.mark.skipif(
    os.geteuid() != 0, reason="mounting needs root; the limit on file sizes is tested everywhere"
)
@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(command.split("{")[0].split()))
def test_a_small_disk_is_one_sentence_and_a_larger_one_goes_on(
    command: str, given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, disk = tmp_path / "whole", tmp_path / "disk"
    assert run([*arguments(command, given, whole), "-q"]) == 0
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this system does not let root mount")
    try:
        for size in (4, 12, 32, 64, 80, 100, 6000, 20_000):
            subprocess.run(["mount", "-o", f"remount,size={size}k", str(disk)], check=True)
            capsys.readouterr()
            code = run([*arguments(command, given, disk / "cut"), "-q"])
            err = capsys.readouterr().err
            assert code == 0 or (code == 2 and err.count("\n") == 1 and "Internal" not in err), err
            assert code == 0 or names_a_place(err, disk / "cut"), err
            if code == 0:
                break
        assert code == 0 and content(disk / "cut") == content(whole)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "A disk: disk must have room here, and it has not",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "a.v"),
            "a.v: file must be readable and writable here, and it",
        ),
        (
            OSError(errno.EMFILE, "Too many open files"),
            "System: system must have processes, files and memory left",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/x']"),
            "TMPDIR must name a folder that can be written, and none can: No usable temporary directory found",
        ),
        (
            MemoryError("Unable to allocate 9 GiB"),
            "Memory must suffice, and it does not (Unable to allocate 9 GiB)",
        ),
        (MemoryError(), "Memory must suffice, and it does not (nothing is left); free some"),
    ],
)
def test_faults_are_sentences(
    problem: Exception, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing() -> None:
        raise problem

    monkeypatch.setattr(model, "models", failing)
    assert run(["model", "list"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(sentence) and err.count("\n") == 1


def test_an_oserror_of_ours_is_still_a_bug() -> None:
    assert faults.sentence(OSError("cannot happen")) is None
    assert faults.sentence(KeyError("x")) is None


def test_no_folder_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "none")])
    assert run(["generate", DESIGN, "--out", str(tmp_path / "rtl"), "-q"]) == 2
    assert capsys.readouterr().err.startswith("TMPDIR must name a folder that can be written, and none can: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("cache", "sentence"),
    [
        (
            "file",
            "Cache {0}/file must be a folder with room that can be written, and it is not: Not a directory",
        ),
        ("/proc/none", "Cache /proc/none must be a folder with room that can be written, and it is not: "),
    ],
)
def test_a_cache_that_cannot_be_written_is_named(
    cache: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TERNFORGE_CACHE", str(tmp_path / cache))
    assert run(["synth", DESIGN, "-q"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(sentence.format(tmp_path)) and "name another one in TERNFORGE_CACHE" in err


def test_a_limit_of_the_cache_that_is_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERNFORGE_CACHE", str(tmp_path))
    monkeypatch.setenv("TERNFORGE_CACHE_MIB", "much")
    assert run(["synth", DESIGN, "-q"]) == 2
    assert capsys.readouterr().err == "TERNFORGE_CACHE_MIB must be a number of MiB, not 'much'\n"


def test_closed_streams_are_no_fault(given: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    for closed in ("1>&-", "2>&-", "0<&- 1>&- 2>&-"):
        shell = [
            "sh",
            "-c",
            f'exec "$@" {closed}',
            "sh",
            *ENTRY,
            "explore",
            str(given / "space.yaml"),
            "--out",
            str(out),
        ]
        assert subprocess.run(shell, cwd=ROOT, capture_output=True).returncode == 0
    assert content(out) == content(given / "study")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_at_any_time_with_130(number: int, given: Path, tmp_path: Path) -> None:
    """Also while it is still being imported."""
    words = ["explore", str(given / "space.yaml"), "--out", str(tmp_path / "s")]
    code = (
        f"import sys; sys.argv[1:] = {words!r}; "
        "from ternforge import entry; prepare = entry.prepare; "
        "entry.prepare = lambda: (prepare(), print(flush=True)); entry.main()"
    )
    for delay in (0.0, 0.1, 0.4):
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.readline()
            time.sleep(delay)
            process.send_signal(number)
            err = process.stderr.read()
        assert (process.returncode == 130 and err.count("Interrupted; ") == 1) or process.returncode == 0, err
        assert "Traceback" not in err, err


def test_a_folder_that_a_killed_command_left_is_written_again(tmp_path: Path) -> None:
    left = tmp_path / ".ternforge-draft-99-01234567" / "new"
    left.mkdir(parents=True)
    (left / "design.yaml").write_text("half")
    assert run(["init", str(tmp_path / "start"), "-q"]) == 0
    names = sorted(path.name for path in (tmp_path / "start").iterdir())
    assert names == [".ternforge.json", "README.md", "design.yaml", "space.yaml", "workload.yaml"]
    assert [path.name for path in tmp_path.iterdir()] == ["start"]


@pytest.mark.parametrize("names", [["study.lock"], ["study.lock", "study.db.new", "study.db.new-journal"]])
def test_a_study_that_was_killed_before_it_began_is_begun(
    names: list[str], given: Path, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    out.mkdir()
    for name in names:
        (out / name).touch()
    assert run(["explore", str(given / "space.yaml"), "--out", str(out), "-q"]) == 0
    assert content(given / "study").items() <= content(out).items()


def test_a_folder_in_the_way_of_a_file_is_named_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.mkdir()
    with pytest.raises(OSError) as caught:
        files.write(path, "text")
    assert faults.sentence(caught.value) == (
        f"{path}: file must be readable and writable here, and it is not: Is a directory"
    )
    assert [left.name for left in tmp_path.iterdir()] == ["space.yaml"]
