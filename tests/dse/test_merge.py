"""Shards: parts of a search that together are the study of one machine, and what is refused."""

from __future__ import annotations

import re
import resource
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError
from dse import search, shard, space, store
from dse.batch import Batch, encode, join
from dse.explore import front, problem_of, run
from dse.merge import _allow_files, merge
from dse.shard import Shard
from dse.space_file import read_space
from dse.store import StudyError
from dse.study import Study
from tests.dse import toy
from tests.dse.test_resume import Stops
from tests.dse.test_study import NSGA2, RANDOM, ROOT, reopened
from tests.dse.toy import LARGE, TEXT, changed

TWO = LARGE.replace("[1, 4000]", "[1, 1100]")  # batches
FEW = RANDOM.replace("budget: 1500", "budget: 9")


def rows(folder: Path) -> dict[str, list[Any]]:
    """Everything in the database of a study."""
    connection = sqlite3.connect(folder / "study.db")
    tables = {
        name: connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall()
        for name in ("facts", "batches", "front")
    }
    connection.close()
    return tables


def shards(text: str, count: int, folder: Path) -> list[Path]:
    """The studies of all shards of a search."""
    folders = [folder / f"shard{number}" for number in range(1, count + 1)]
    for number, place in enumerate(folders, start=1):
        run(toy.problem(text), place, shard=Shard(number, count), points_csv=False).close()
    return folders


def merged(folders: Sequence[Path], out: Path, **options: Any) -> Study:
    return merge(folders, out, families=toy.FAMILIES, **options)


@pytest.mark.parametrize(
    ("text", "count"),
    [(TEXT, 3), (TEXT, 6), (TEXT, 1), (RANDOM, 5), (TWO, 2), (FEW, 9), (TEXT.replace("max: 500", "max: 1"), 3)],
    ids=["exhaustive", "many", "one", "random", "batches", "a_design_each", "nothing_feasible"],
)  # fmt: skip
def test_merged_shards_are_the_study_of_one_machine(text: str, count: int, tmp_path: Path) -> None:
    tables = text != TWO
    run(toy.problem(text), tmp_path / "whole", points_csv=tables).close()
    folders = shards(text, count, tmp_path)
    with merged(folders[::-1], tmp_path / "merged", points_csv=tables) as study:
        assert study.complete and study.shard is None
        sizes = [reopened(folder).evaluated for folder in folders]
        assert sum(sizes) == study.evaluated and min(sizes) > 0
    assert rows(tmp_path / "merged") == rows(tmp_path / "whole")
    for name in ("front.csv", "space.yaml", *(["points.csv"] if tables else [])):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not [path for path in (tmp_path / "merged").iterdir() if path.name.startswith(".")]


def test_a_merge_may_open_as_many_files_as_it_needs(tmp_path: Path) -> None:
    """Four for each shard and 256 more; a limit above is left as it is, and nothing goes beyond what is allowed."""
    folders = shards(TEXT, 3, tmp_path)
    kept = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        for soft, expected in ((200, 268), (267, 268), (268, 268), (300, 300)):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, kept[1]))
            merged(folders, tmp_path / f"merged{soft}").close()
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == (expected, kept[1])
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, kept[1]))
        _allow_files(10**9)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 268
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, kept)


def test_a_merged_study_goes_on(tmp_path: Path) -> None:
    merged(shards(RANDOM, 3, tmp_path), tmp_path / "merged").close()
    for name in ("whole", "merged"):
        for text in (RANDOM, RANDOM.replace("budget: 1500", "budget: 1600").replace("max: 500", "max: 700")):
            run(toy.problem(text), tmp_path / name).close()
    assert rows(tmp_path / "merged") == rows(tmp_path / "whole")


def test_a_shard_that_was_interrupted_goes_on_and_judges_by_other_constraints(tmp_path: Path) -> None:
    looser = TEXT.replace("max: 500", "max: 700")
    run(toy.problem(looser), tmp_path / "whole").close()
    folders = shards(TEXT, 3, tmp_path)
    shutil.rmtree(folders[1])
    with pytest.raises(KeyboardInterrupt):
        run(toy.problem(TEXT), folders[1], shard=Shard(2, 3), progress=Stops(after=2))
    assert not reopened(folders[1]).complete
    shards(looser, 3, tmp_path)
    merged(folders, tmp_path / "merged").close()
    assert rows(tmp_path / "merged")["batches"] == rows(tmp_path / "whole")["batches"]
    assert rows(tmp_path / "merged")["facts"] == rows(tmp_path / "whole")["facts"]


@pytest.mark.parametrize("text", [TEXT, RANDOM, TWO], ids=["exhaustive", "random", "batches"])
def test_a_partial_merge_is_filled_by_the_designs_it_lacks(text: str, tmp_path: Path) -> None:
    with run(toy.problem(text), tmp_path / "whole", points_csv=False) as study:
        whole, best = join(list(study.batches())), front(study)
    folders = shards(text, 3, tmp_path)
    shutil.rmtree(folders[2])
    with pytest.raises(KeyboardInterrupt):
        run(toy.problem(text), folders[2], shard=Shard(3, 3), progress=Stops(after=1))
    with merged(folders[1:], tmp_path / "merged", partial=True) as study:
        assert not study.complete and 0 < study.evaluated < len(whole)
        assert study.evaluated == sum(reopened(folder).evaluated for folder in folders[1:])
    with pytest.raises(KeyboardInterrupt):
        run(toy.problem(text), tmp_path / "merged", points_csv=False, progress=Stops(after=1))
    looser = text.replace("max: 500", "max: 700")
    for constraints in (looser, text):  # what it lacks stays what it lacks
        with run(toy.problem(constraints), tmp_path / "merged", points_csv=False) as study:
            now = join(list(study.batches()))
            assert study.complete
    order, expected = np.argsort(now.indices), np.argsort(whole.indices)
    assert np.array_equal(now.indices[order], whole.indices[expected])
    assert np.array_equal(now.metrics[order], whole.metrics[expected], equal_nan=True)
    assert front(reopened(tmp_path / "merged")) == best


def test_a_partial_merge_of_all_shards_is_a_merge(tmp_path: Path) -> None:
    run(toy.problem(), tmp_path / "whole").close()
    merged(shards(TEXT, 3, tmp_path), tmp_path / "merged", partial=True).close()
    assert rows(tmp_path / "merged") == rows(tmp_path / "whole")


def test_an_interrupted_merge_leaves_nothing_and_starts_again(tmp_path: Path) -> None:
    folders = shards(TWO, 2, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        merged(folders, tmp_path / "merged", progress=Stops(after=2))
    assert [path.name for path in (tmp_path / "merged").iterdir()] == ["study.lock"]
    merged(folders, tmp_path / "merged", points_csv=False).close()
    assert reopened(tmp_path / "merged").complete


def refused(message: str, folders: Sequence[Path], tmp_path: Path, **options: Any) -> None:
    """Merging says just this and leaves nothing."""
    with pytest.raises(StudyError, match=f"^{re.escape(message.format(tmp_path))}$"):
        merged(folders, tmp_path / "merged", **options)
    assert not (tmp_path / "merged/study.db").exists() and not (tmp_path / "merged/front.csv").exists()


@pytest.mark.parametrize(
    ("pair", "provenance", "what"),
    [
        (("k: 64", "k: 128"), {}, "workload"),
        (("technology: none", "technology: asap7"), {}, "technology (none then, asap7 now)"),
        (("{range: [1, 32]}", "{range: [1, 31]}"), {}, "families.toy.width"),
        (("seed: 7", "seed: 8"), {}, "search.seed (7 then, 8 now)"),
        (("max: 500", "max: 501"), {}, "constraints"),
        (("seed: 7", "seed: 7"), {"version": "2"}, "version (1 then, 2 now)"),
    ],
)
def test_shards_of_another_search_are_refused(
    pair: tuple[str, str], provenance: dict[str, str], what: str, tmp_path: Path
) -> None:
    folders = shards(RANDOM, 3, tmp_path)
    shutil.rmtree(folders[1])
    other = toy.problem(RANDOM.replace(*pair), provenance=provenance or None)
    run(other, folders[1], shard=Shard(2, 3)).close()
    message = f"{{0}}/shard2: shard must be of the same search as {{0}}/shard1, and it differs in {what}"
    refused(message, folders, tmp_path)
    refused(message, folders, tmp_path, partial=True)


def test_missing_shards_are_named(tmp_path: Path) -> None:
    folders = shards(TEXT, 5, tmp_path)
    refused(
        "Shards must all be there, and 2 of 5 are not: 3/5, 5/5; --partial merges what is there",
        [folders[0], folders[3], folders[1]],
        tmp_path,
    )
    run(toy.problem(), tmp_path / "shard", shard=Shard(1, 16)).close()
    named = ", ".join(f"{number}/16" for number in range(2, 14))
    refused(
        f"Shards must all be there, and 15 of 16 are not: {named} and 3 more; --partial merges what is there",
        [tmp_path / "shard"],
        tmp_path,
    )


def test_a_shard_given_twice_is_refused(tmp_path: Path) -> None:
    folders = shards(TEXT, 2, tmp_path)
    shutil.copytree(folders[0], tmp_path / "copy")
    refused(
        "{0}/copy: shard must be given once, and {0}/shard1 is 1/2 too",
        [*folders, tmp_path / "copy"],
        tmp_path,
    )


def test_a_shard_of_another_number_of_shards_is_refused(tmp_path: Path) -> None:
    folders = shards(TEXT, 2, tmp_path / "two") + shards(TEXT, 3, tmp_path / "three")
    refused("{0}/three/shard1: shard must be one of 2, as {0}/two/shard1 is, not 1/3", folders, tmp_path)


def test_a_whole_study_is_no_shard(tmp_path: Path) -> None:
    run(toy.problem(), tmp_path / "whole").close()
    refused(
        "{0}/whole: study to merge must be a shard (`ternforge explore --shard`), not a whole search",
        [tmp_path / "whole"],
        tmp_path,
    )


def test_an_unfinished_shard_is_refused(tmp_path: Path) -> None:
    folders = shards(TEXT, 2, tmp_path)
    shutil.rmtree(folders[1])
    with pytest.raises(KeyboardInterrupt):
        run(toy.problem(), folders[1], shard=Shard(2, 2), progress=Stops(after=1))
    refused(
        "{0}/shard2: shard must be finished, and 2/2 has 128 of 768 designs; the command that began it goes on; "
        "--partial merges what is there",
        folders,
        tmp_path,
    )


def test_a_damaged_shard_is_refused(tmp_path: Path) -> None:
    folders = shards(TEXT, 2, tmp_path)
    with sqlite3.connect(folders[1] / "study.db") as connection:
        connection.execute("UPDATE batches SET checksum = checksum + 1 WHERE sequence = 1")
    connection.close()
    refused(
        "{0}/shard2/study.db: study must be undamaged, and it is not (batch 1 does not match its checksum); restore it "
        "from a copy or explore into another folder",
        folders,
        tmp_path,
        partial=True,
    )


def relabelled(folder: Path, name: str) -> None:
    """Make a study call itself another shard, with its checksum."""
    kept = store.load(folder)
    kept.amend({**kept.facts(), "shard": name}, None)
    kept.close()


def test_a_shard_that_holds_other_designs_is_refused(tmp_path: Path) -> None:
    folders = shards(TEXT, 2, tmp_path)
    relabelled(folders[0], "2/2")
    relabelled(folders[1], "1/2")
    message = "{0}/shard2: shard must hold the designs of shard 1/2, and it holds others"
    refused(message, folders, tmp_path, partial=True)


def test_a_study_in_the_way_is_not_replaced(tmp_path: Path) -> None:
    folders = shards(TEXT, 2, tmp_path)
    run(toy.problem(), tmp_path / "there").close()
    before = (tmp_path / "there/study.db").read_bytes()
    message = f"{tmp_path}/there: study to make must be new, and there is one; merge into another folder"
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        merged(folders, tmp_path / "there")
    assert (tmp_path / "there/study.db").read_bytes() == before


def test_a_folder_that_somebody_writes_is_refused(tmp_path: Path) -> None:
    folders = shards(TEXT, 2, tmp_path)
    (tmp_path / "busy").mkdir()
    with (
        store.lock(tmp_path / "busy"),
        pytest.raises(StudyError, match="study must have one writer, and process"),
    ):
        merged(folders, tmp_path / "busy")


def test_no_study_to_merge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ParamError, match=r"^Studies to merge must be the shards of a search, and none is given$"
    ):
        merged([], tmp_path / "merged")


def test_a_shard_is_continued_as_what_it_is(tmp_path: Path) -> None:
    folders = shards(RANDOM, 2, tmp_path)
    run(toy.problem(RANDOM), tmp_path / "whole").close()
    for folder, now, was, new in [
        (folders[0], None, "shard 1/2", "a whole search"),
        (folders[0], Shard(2, 2), "shard 1/2", "shard 2/2"),
        (tmp_path / "whole", Shard(1, 2), "a whole search", "shard 1/2"),
    ]:
        message = (
            f"{folder}: study must be continued as {was}, as it was started, and not as {new}; "
            "explore into another folder"
        )
        with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
            run(toy.problem(RANDOM), folder, shard=now)
    more = toy.problem(RANDOM.replace("budget: 1500", "budget: 1600"))
    with pytest.raises(StudyError, match=r"this one differs in search\.budget \(1500 then, 1600 now\)"):
        run(more, folders[0], shard=Shard(1, 2))


def test_a_search_that_needs_answers_has_no_shards(tmp_path: Path) -> None:
    message = (
        "Search of a shard must not depend on answers, as exhaustive and random do not, and nsga2 does; "
        "give another --method or a higher --budget, or search without --shard"
    )
    with pytest.raises(ParamError, match=f"^{re.escape(message)}$"):
        run(toy.problem(NSGA2), tmp_path / "study", shard=Shard(1, 3))
    assert not (tmp_path / "study").exists()


def test_more_shards_than_designs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ParamError, match=r"^Number of shards must be at most 9, the designs of this search, not 10$"
    ):
        run(toy.problem(FEW), tmp_path / "study", shard=Shard(1, 10))


@pytest.mark.parametrize(
    "text", ["0/3", "4/3", "3", "1/0", "a/b", "-1/3", "1/3/5", "", "1.5/3", "1/1234567890"]
)
def test_a_shard_is_written_as_a_part_of_a_whole(text: str) -> None:
    with pytest.raises(ParamError) as caught:
        shard.parse(text)
    assert str(caught.value) == f"Shard must be I/N with I from 1 to N, as in 3/16, not {text!r}"
    assert shard.parse("3/16") == Shard(3, 16) and str(Shard(3, 16)) == "3/16"


@pytest.mark.parametrize("size", [1, 7, 65_535, 65_536, 65_537, 99_999])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_design_is_dealt_once_and_counted(size: int, count: int) -> None:
    text = changed(
        ("{range: [1, 32]}", "[1]"), ("{log2: [1, 4096]}", f"{{range: [1, {size}]}}"), ("max: 500", "max: 5")
    )
    text = text.replace("style: [small, fast]", "style: [small]").replace(
        "registered: [false, true]", "registered: [false]"
    )
    problem = toy.problem(text.replace("budget: 100000", "budget: 1000000"))
    assert problem.space.size == size
    if count > size:
        return
    found = [
        list(shard.dealt(problem.space, Shard(i, count), search.asked(problem))) for i in range(1, count + 1)
    ]
    totals = [sum(map(len, units)) for units in found]
    assert totals == [shard.planned(problem.space, Shard(i, count)) for i in range(1, count + 1)]
    everything = np.sort(np.concatenate([unit for units in found for unit in units]))
    assert np.array_equal(everything, np.arange(size))


def test_the_same_points_are_the_same_batch_whatever_their_parts_called_their_reasons() -> None:
    metrics, reasons = np.arange(4.0).reshape(4, 1), ("", "a", "of no point", "b")
    whole = Batch(("x",), np.arange(4), metrics, np.array([3, 0, 1, 3], np.uint16), reasons)
    one = Batch(("x",), np.arange(2), metrics[:2], np.array([1, 0], np.uint16), ("", "b"))
    two = Batch(("x",), np.arange(2, 4), metrics[2:], np.array([2, 1], np.uint16), ("", "b", "a"))
    assert encode(join([whole])) == encode(join([one, two])) == encode(join([join([one]), join([two])]))
    assert join([whole]).reasons == ("", "b", "a") and join([whole]).reason.tolist() == [1, 0, 2, 1]


@pytest.mark.parametrize(
    "name", ["ternary_lut/space.yaml", "systolic/space.yaml", "streaming_attention/space.yaml"]
)
def test_designs_of_a_family_have_the_same_numbers_in_any_part(name: str) -> None:
    problem = problem_of(read_space(ROOT / "examples" / name))
    indices = np.arange(problem.space.size)
    expected = problem.evaluate(indices)
    for size in (7, 128):
        parts = join(
            [problem.evaluate(indices[start : start + size]) for start in range(0, len(indices), size)]
        )
        assert parts.metrics.tobytes() == expected.metrics.tobytes()
        assert np.array_equal(parts.reason, expected.reason) and parts.reasons == expected.reasons


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exhaustive searches keep a sample as if they were huge."""
    monkeypatch.setattr(space, "MOST_KEPT", 1000)
    monkeypatch.setattr(space, "SAMPLED", 300)


def test_merged_shards_of_a_search_that_keeps_a_sample(sampled: None, tmp_path: Path) -> None:
    with run(toy.problem(), tmp_path / "whole") as study:
        assert study.kept < 500 < study.evaluated
    folders = shards(TEXT, 3, tmp_path)
    shutil.rmtree(folders[1])
    with pytest.raises(KeyboardInterrupt):
        run(toy.problem(), folders[1], shard=Shard(2, 3), progress=Stops(after=1))
    for options in ({}, {"partial": True}):
        refused(
            "{0}/shard2: shard must be finished, and 2/3 has 128 of 512 designs; the command that began it goes on; "
            "as a sample is kept, it is merged whole",
            folders,
            tmp_path,
            **options,
        )
    refused(
        "Shards must all be there, and 1 of 3 are not: 2/3; as a sample is kept, it is merged whole",
        [folders[2], folders[0]],
        tmp_path,
        partial=True,
    )
    run(toy.problem(), folders[1], shard=Shard(2, 3)).close()
    merged(folders, tmp_path / "merged").close()
    assert rows(tmp_path / "merged") == rows(tmp_path / "whole")
    for name in ("front.csv", "points.csv"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    run(toy.problem(), tmp_path / "merged").close()
    assert rows(tmp_path / "merged") == rows(tmp_path / "whole")


def test_a_merge_whose_tables_have_no_room_leaves_nothing_and_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    folders, out = shards(TEXT, 2, tmp_path), tmp_path / "merged"
    with (
        monkeypatch.context() as patch,
        pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device$"),
    ):
        patch.setattr(Study, "write_tables", full)
        merged(folders, out)
    assert [path.name for path in out.iterdir()] == ["study.lock"]
    merged(folders, out).close()
    assert (out / "front.csv").is_file()
