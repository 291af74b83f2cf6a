"""Where results go: ours are replaced, others stay, and a result is there as a whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from blueprint.errors import ParamError
from ternforge import folder as folders
from ternforge.folder import output_file, output_folder, updated
from ternforge.record import NAME, Record
from toolchain import files


def put(out: Path, by: str = "generate", *, whole: bool = True, force: bool = False, **texts: str) -> None:
    with output_folder(out, by, whole=whole, force=force) as draft:
        for name, text in texts.items():
            path = draft / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def content(folder: Path) -> dict[str, str]:
    """Text of every file by name, but the record."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != NAME)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


def refusal(call: Callable[[], None]) -> str:
    with pytest.raises(ParamError) as caught:
        call()
    return str(caught.value)


def test_ours_are_replaced_and_others_stay(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    put(out, rtl__a="1", rtl__b="1")
    (out / "rtl" / "mine").write_text("mine")
    (out / "notes").write_text("mine")
    put(out, rtl__a="2", rtl__c="2")
    assert content(out) == {"rtl/a": "2", "rtl/c": "2", "rtl/mine": "mine", "notes": "mine"}
    assert sorted(path.name for path in out.iterdir()) == [NAME, "notes", "rtl"]
    assert sorted(path.name for path in out.parent.iterdir()) == ["out"]


def test_a_folder_left_empty_by_what_is_stale_goes_too(tmp_path: Path) -> None:
    put(tmp_path / "out", old__a="1", b="1")
    put(tmp_path / "out", b="2")
    assert content(tmp_path / "out") == {"b": "2"} and not (tmp_path / "out" / "old").exists()


def test_a_changed_file_of_ours_needs_force(tmp_path: Path) -> None:
    put(tmp_path / "out", a="1", b="1")
    (tmp_path / "out" / "b").write_text("edited")
    said = refusal(lambda: put(tmp_path / "out", a="2", b="2"))
    where = tmp_path / "out" / "b"
    assert (
        said
        == f"Output must be new or as ternforge wrote it, not a file changed since: {where}; --force replaces it"
    )
    assert content(tmp_path / "out") == {"a": "1", "b": "edited"}
    put(tmp_path / "out", a="2", b="2", force=True)
    assert content(tmp_path / "out") == {"a": "2", "b": "2"}
    put(tmp_path / "out", a="3", b="3")
    assert content(tmp_path / "out") == {"a": "3", "b": "3"}


def test_a_changed_file_that_is_no_longer_needed_stays(tmp_path: Path) -> None:
    put(tmp_path / "out", a="1", b="1")
    (tmp_path / "out" / "b").write_text("edited")
    put(tmp_path / "out", a="2")
    assert content(tmp_path / "out") == {"a": "2", "b": "edited"}
    said = refusal(lambda: put(tmp_path / "out", b="3"))
    assert "not a file of others" in said


def test_a_file_of_others_in_the_way_needs_force(tmp_path: Path) -> None:
    put(tmp_path / "out", a="1")
    (tmp_path / "out" / "b").write_text("mine")
    said = refusal(lambda: put(tmp_path / "out", a="2", b="2"))
    assert said.startswith(
        "Output must be new or as ternforge wrote it, not a file of others: "
    ) and said.endswith("/out/b; --force replaces it")
    (tmp_path / "out" / "b").write_text("2")  # the very same content is no loss
    put(tmp_path / "out", a="2", b="2")
    assert content(tmp_path / "out") == {"a": "2", "b": "2"}


def test_a_whole_result_goes_to_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    said = refusal(lambda: put(tmp_path, a="1"))
    what = "must be new, empty or of an earlier `ternforge generate`, not a folder of other files"
    assert (
        said
        == f"Output folder {what}: {tmp_path}; --force replaces those that are in the way and keeps the rest"
    )
    put(tmp_path, "plot", whole=False, a="1")
    assert "new, empty or of an earlier" in refusal(lambda: put(tmp_path, b="1"))
    put(tmp_path, force=True, b="1")
    assert content(tmp_path) == {"thesis.tex": "mine", "a": "1", "b": "1"}


def test_commands_share_a_folder_without_removing_each_others(tmp_path: Path) -> None:
    put(tmp_path, a="1")
    put(tmp_path, "plot", whole=False, b="1")
    put(tmp_path, c="1")
    assert content(tmp_path) == {"b": "1", "c": "1"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda out: (out / "a").mkdir(), "Output must be a file, not a folder: {out}/a"),
        (
            lambda out: (out / "rtl").write_text("mine"),
            "Output must lie in a folder of its own, not under a file: {out}/rtl",
        ),
        (
            lambda out: (out / "rtl").symlink_to(out.parent),
            "Output must lie in a folder of its own, not under a symbolic link: {out}/rtl",
        ),
    ],
)
def test_what_force_cannot_replace(make: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    put(out, kept="1")
    make(out)
    before = content(tmp_path)
    for force in (False, True):
        assert refusal(lambda force=force: put(out, a="2", rtl__b="2", force=force)) == said.format(out=out)  # type: ignore[misc]
    assert content(tmp_path) == before


def test_a_link_is_replaced_only_by_force_and_what_it_names_stays(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    (tmp_path / "a.yaml").symlink_to(elsewhere)

    def write(force: bool) -> None:
        with output_file(tmp_path / "a.yaml", (".yaml",), "apply", force=force) as draft:
            draft.write_text("1")

    assert "not a symbolic link: " in refusal(lambda: write(False))
    write(True)
    assert (tmp_path / "a.yaml").read_text() == "1" and not (tmp_path / "a.yaml").is_symlink()
    assert elsewhere.read_text() == "mine"


def test_a_linked_folder_is_a_folder_and_a_dangling_link_is_not(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    put(tmp_path / "link", a="1")
    assert content(tmp_path / "real") == {"a": "1"}
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    said = refusal(lambda: put(tmp_path / "dangling", a="1"))
    assert said == f"Output must be a folder, not a symbolic link to nothing: {tmp_path}/dangling"


def test_a_file_of_ours_is_replaced_and_one_of_others_is_not(tmp_path: Path) -> None:
    def write(text: str) -> None:
        with output_file(tmp_path / "new" / "a.yaml", (".yaml",), "apply") as draft:
            draft.write_text(text)

    write("1")
    write("2")
    (tmp_path / "new" / "a.yaml").write_text("edited")
    assert "not a file changed since: " in refusal(lambda: write("3"))
    assert content(tmp_path) == {"new/a.yaml": "edited"}


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail(out: Path) -> None:
        with output_folder(out, "generate") as draft:
            (draft / "a").write_text("2")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []
    put(tmp_path / "out", a="1")
    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "out")
    assert content(tmp_path) == {"out/a": "1"}


@pytest.mark.parametrize("at", range(1, 8))
def test_a_failure_while_files_are_moved_puts_them_back(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, a="1", b="1", gone="1")
    before, record = content(tmp_path), (tmp_path / NAME).read_bytes()
    calls, real = [0], os.replace

    def replace(source: Path, target: Path) -> None:
        if NAME not in str(target):
            calls[0] += 1
            if calls[0] == at:
                raise PermissionError(13, "Permission denied", str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    if at > 6:  # two moves for a and b each, one for new__c, one for gone: nothing fails
        put(tmp_path, a="2", b="2", new__c="2")
        assert content(tmp_path) == {"a": "2", "b": "2", "new/c": "2"}
        return
    with pytest.raises(PermissionError):
        put(tmp_path, a="2", b="2", new__c="2")
    assert content(tmp_path) == before and (tmp_path / NAME).read_bytes() == record


KILLED = """
import os, signal, sys
from pathlib import Path
from ternforge.folder import output_folder
real, calls = os.replace, [0]
def replace(source, target):
    calls[0] += ".ternforge.json" not in str(target)
    if calls[0] == int(sys.argv[2]):
        os.kill(os.getpid(), getattr(signal, sys.argv[3]))
    real(source, target)
os.replace = replace
with output_folder(Path(sys.argv[1]), "generate") as draft:
    for name in ("a", "b"):
        (draft / name).write_text("2")
"""


def killed(out: Path, at: int, name: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(out), str(at), name], capture_output=True, check=False
    )
    return done.returncode


@pytest.mark.parametrize("at", [1, 3])
def test_a_kill_while_files_are_moved_is_finished_by_the_next_run(at: int, tmp_path: Path) -> None:
    put(tmp_path, a="1", b="1", gone="1")
    assert killed(tmp_path, at, "SIGKILL") == -signal.SIGKILL
    assert Record.of(tmp_path).pending
    folders.finish(tmp_path)
    assert content(tmp_path) == {"a": "2", "b": "2"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, "a", "b"]
    put(tmp_path, a="3")
    assert content(tmp_path) == {"a": "3"}


def test_an_interrupt_waits_until_all_files_are_moved(tmp_path: Path) -> None:
    put(tmp_path, a="1", b="1")
    assert killed(tmp_path, 2, "SIGINT") == -signal.SIGINT
    assert content(tmp_path) == {"a": "2", "b": "2"}
    assert Record.of(tmp_path).pending is None


def test_drafts_of_the_dead_are_removed_and_of_the_living_kept(tmp_path: Path) -> None:
    dead = tmp_path / ".ternforge-draft-99-01234567"
    (dead / "new").mkdir(parents=True)
    with files.draft(tmp_path, ".ternforge-draft-", "") as living:
        put(tmp_path, a="1")
        assert [path.name for path in tmp_path.glob(".ternforge-draft-*")] == [living.name]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_draft_that_waits_to_be_finished_is_no_litter(tmp_path: Path) -> None:
    """That of a folder stays where another result goes below it, or a study in it sweeps its own drafts."""
    put(tmp_path, a="1", b="1", gone="1")
    assert killed(tmp_path, 3, "SIGKILL") == -signal.SIGKILL
    put(tmp_path / "below" / "it", c="1")
    files.sweep(tmp_path)
    folders.finish(tmp_path)
    assert content(tmp_path) == {"a": "2", "b": "2", "below/it/c": "1"}


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    put(tmp_path, a="1")
    with files.draft(tmp_path, ".ternforge-draft-", "") as other:
        Record.of(tmp_path).begin(tmp_path, other.name, [])
        said = refusal(lambda: put(tmp_path, a="2"))
    assert said == f"Output folder must have one writer, and process {os.getpid()} is writing it: {tmp_path}"
    put(tmp_path, a="2")
    assert content(tmp_path) == {"a": "2"}


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "ternforge/written/v1", "files": {"a": 1}}', "\x00"])
def test_a_damaged_record_makes_nothing_ours(text: str, tmp_path: Path) -> None:
    put(tmp_path, a="1")
    (tmp_path / NAME).write_text(text)
    assert "not a folder of other files" in refusal(lambda: put(tmp_path, a="2"))
    assert "a file of others" in refusal(lambda: put(tmp_path, "plot", whole=False, a="2"))


def test_a_record_leads_to_nothing_outside_its_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    put(out, a="1")
    (tmp_path / "precious").write_text("1")
    (out / NAME).write_text((out / NAME).read_text().replace('"a"', '"../precious"'))
    put(out, force=True, b="2")
    assert content(tmp_path) == {"precious": "1", "out/a": "1", "out/b": "2"}


def test_files_written_in_place_are_guarded_and_recorded(tmp_path: Path) -> None:
    def write(text: str, force: bool = False) -> None:
        with updated(tmp_path, ["front.csv", "points.csv"], "explore", force=force):
            (tmp_path / "front.csv").write_text(text)

    write("1")
    write("2")
    (tmp_path / "front.csv").write_text("edited")
    assert "not a file changed since: " in refusal(lambda: write("3"))
    assert content(tmp_path) == {"front.csv": "edited"}
    write("3", force=True)
    (tmp_path / "points.csv").write_text("mine")
    assert "not a file of others: " in refusal(lambda: write("4"))


def test_a_full_disk_is_told_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, a="1")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(_: Record, __: Path) -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr(Record, "write", full)
    with pytest.raises(OSError, match="No space left on device"):
        put(tmp_path, a="2")
    with pytest.raises(ZeroDivisionError):
        with updated(tmp_path, ["a"], "explore", force=True):
            raise ZeroDivisionError  # not hidden by the record that cannot be written
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_that_a_full_disk_keeps_out_of_the_record_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the next run would refuse to replace it."""
    with updated(tmp_path, ["kept"], "explore"):
        (tmp_path / "kept").write_text("1")

    def full(self: Record, folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(Record, "write", full)
        with updated(tmp_path, ["kept", "new"], "explore"):
            (tmp_path / "new").write_text("2")
        assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, "kept"]
        (tmp_path / "kept").write_text("edited")
        with updated(tmp_path, ["kept", "new"], "explore", force=True):
            pass  # stopped before it replaced anything
    assert (tmp_path / "kept").read_text() == "edited"
    (tmp_path / "kept").write_text("1")
    with updated(tmp_path, ["kept", "new"], "explore"):
        (tmp_path / "new").write_text("3")
    assert Record.of(tmp_path).digests("new")
