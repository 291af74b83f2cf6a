"""Damage at every byte of the last record, and two writers at once. ``benchmarks/torture.py`` kills 200 times."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import torture
from dse import store
from dse.batch import encode
from dse.explore import run
from dse.store import StudyError
from tests.dse import toy
from tests.dse.test_merge import rows
from tests.dse.test_study import NSGA2, ROOT, reopened
from tests.dse.toy import changed

#: Batches so small that the last is in one page of the file.
TINY = NSGA2.replace("budget: 1500, seed: 7", "budget: 60, seed: 7, population: 8")


def record(folder: Path, table: str) -> tuple[bytes, range]:
    """The study's file, and the bytes of the last row of a table in it."""
    with sqlite3.connect(folder / "study.db") as connection:
        query = f"SELECT header, payload FROM {table} ORDER BY rowid DESC LIMIT 1"
        header, payload = connection.execute(query).fetchone()
    connection.close()
    whole = (folder / "study.db").read_bytes()
    content = header.encode() + payload
    assert whole.count(content) == 1, "the last row must be in one page"
    start = whole.index(content)
    return whole, range(start, start + len(content))


def test_damage_at_every_byte_of_the_last_batch_is_refused(tmp_path: Path) -> None:
    run(toy.problem(TINY), tmp_path).close()
    whole, places = record(tmp_path, "batches")
    assert len(places) > 200
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        (tmp_path / "study.db").write_bytes(damaged)
        with pytest.raises(StudyError, match=r"study must be undamaged, and it is not \("):
            store.load(tmp_path)


def test_damage_around_the_last_batch_is_refused_or_harmless(tmp_path: Path) -> None:
    """What SQLite keeps of a row beside its content: lengths, number and kinds before it, the checksum within."""
    with run(toy.problem(TINY), tmp_path) as study:
        expected = study.digest()
    whole, places = record(tmp_path, "batches")
    refused = 0
    for place in [*range(places.start - 16, places.start), *range(places.stop, places.stop + 4)]:
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            (tmp_path / "study.db").write_bytes(damaged)
            try:
                with reopened(tmp_path) as study:
                    assert study.digest() == expected
            except StudyError:
                refused += 1
    assert refused > 60


def test_damage_at_the_last_frame_of_the_log_loses_no_more_than_its_batch(tmp_path: Path) -> None:
    """A log that a kill or a failing disk tore: what is whole before it is there, and the search goes on."""
    run(toy.problem(TINY), tmp_path / "whole").close()
    expected = rows(tmp_path / "whole")
    made = store.load(tmp_path / "whole")
    (tmp_path / "cut").mkdir()
    kept = store.create(tmp_path / "cut", made.facts())
    for sequence, batch in enumerate(made.batches()):
        kept.append(sequence, *encode(batch))
    content = {name: (tmp_path / "cut" / name).read_bytes() for name in ("study.db", "study.db-wal")}
    kept.close()
    made.close()
    log = content["study.db-wal"]
    frame = len(log) - 4096 - 24
    for number, place in enumerate(
        [*range(frame, frame + 24), *range(frame + 24, len(log), 97), len(log) - 1]
    ):
        folder = tmp_path / f"torn{number}"
        folder.mkdir()
        (folder / "study.db").write_bytes(content["study.db"])
        torn = log[:place] if number % 2 else log[:place] + bytes([log[place] ^ 0x10]) + log[place + 1 :]
        (folder / "study.db-wal").write_bytes(torn)
        found = store.load(folder)
        assert found.count() == len(expected["batches"]) - 1, place
        found.close()
        if number % 16 == 0:
            run(toy.problem(TINY), folder).close()
            assert rows(folder) == expected


def test_of_two_writers_at_once_one_writes_and_one_is_refused(tmp_path: Path) -> None:
    text = changed(("auto", "nsga2"), ("budget: 100000", "budget: 1500"))
    run(toy.problem(text), tmp_path / "whole", points_csv=False).close()
    code = (
        "import sys\nfrom tests.dse.toy import main\nfrom dse.store import StudyError\n"
        "try:\n    main(*sys.argv[1:])\nexcept StudyError as refused:\n    sys.exit(str(refused))"
    )
    for folder in (tmp_path / "a", tmp_path / "b"):
        command = [sys.executable, "-c", code, str(folder), text, "0.05", "1"]
        writers = [
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        said = [writer.communicate(timeout=300)[1] for writer in writers]
        codes = [writer.returncode for writer in writers]
        assert 0 in codes  # who came when the first was done found nothing left to do
        numbers = [writer.pid for writer in writers]
        for code_, text_ in zip(codes, said, strict=True):
            assert (code_ == 0) == (text_ == ""), text_
            if code_:
                assert text_.startswith(f"{folder}: study must have one writer, and ")
                assert (
                    any(f"process {number} is writing it" in text_ for number in numbers)
                    or "another" in text_
                )
        assert rows(folder) == rows(tmp_path / "whole")


@pytest.mark.slow
def test_kills_of_the_command_at_random_moments_change_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert torture.main(["--kills", "6", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert "nsga2: 3 kills, 0 faults {}" in out and "exhaustive: 3 kills, 0 faults {}" in out


def test_a_torture_that_finds_a_fault_says_so(tmp_path: Path) -> None:
    run(toy.problem(TINY), tmp_path).close()
    expected = rows(tmp_path)
    assert torture._faults(tmp_path, expected["batches"][:2], expected, True) == []
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("UPDATE batches SET checksum = 0 WHERE sequence = 1")
    connection.close()
    assert torture._faults(tmp_path, expected["batches"][:2], expected, True) == [
        "an acknowledged batch was lost or changed",
        "a batch differs from that of an undisturbed run",
        "a finished study differs from that of an undisturbed run",
    ]
