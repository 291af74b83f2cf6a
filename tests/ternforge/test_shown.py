"""Text and numbers that commands print, each table and sentence written out from an answer made by hand."""

from __future__ import annotations

import errno
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest

import ternforge
from benchmarks.bench_strength import DESIGNS
from blueprint import registry
from blueprint.errors import ParamError
from blueprint.workloads.tasks import Gemm
from ternforge import demo, faults, folder, inputs, session, shell
from ternforge.arguments import _shown
from ternforge.record import Record
from ternforge.verbs import explore, model, simulate, synth, tech, verify
from toolchain import files


def test_tables_align_numbers_to_the_right_and_words_to_the_left() -> None:
    rows = [["a", 1234567, 0.5, "10%", None], ["long", 2, 12345.6, "-3.5%", "x"]]
    assert session.table(rows, ("name", "n", "value", "share", "note")) == [
        "name          n   value  share  note",
        "a     1,234,567     0.5    10%  -",
        "long          2  12,346  -3.5%  x",
    ]
    assert session.table([]) == [] and session.table([], ("a",)) == ["a"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (True, "true"), (1000, "1,000"), (999.96, "1,000"), (1000.4, "1,000"), (0.00012345, "0.0001234"),
     (-1e-9, "-1e-09"), (-1500.0, "-1,500"), ("1x2", "1x2")],
)  # fmt: skip
def test_cells(value: Any, text: str) -> None:
    assert session._cell(value) == text


def test_plain_values_are_those_of_json(tmp_path: Path) -> None:
    value = {
        1: np.int64(3),
        "a": (np.float32(0.5), float("inf"), float("nan")),
        "b": {tmp_path},
        "c": np.eye(2),
    }
    expected = {"1": 3, "a": [0.5, None, None], "b": [str(tmp_path)], "c": [[1.0, 0.0], [0.0, 1.0]]}
    assert session.plain(value) == expected
    assert session.plain(session.Session(True)) == {"json": True, "quiet": False, "verbosity": 0}
    assert session.plain(float) is float


def test_words_of_a_command_are_quoted_and_files_kept_apart_from_options() -> None:
    assert session.line("ternforge", Path("-a b"), "-o", Path("x")) == "ternforge './-a b' -o x"
    columns = session.size_columns([{"name": "q", "m": 1, "k": 2, "count": 3, "cycles": 4}])
    assert columns == ["m", "k"]


def test_an_answer_without_standard_output_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    session.Session().answer({}, ["text"])


def test_quiet_commands_answer_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    session.Session(quiet=True).answer({"a": 1}, ["text"])
    session.Session(quiet=True).note("progress")
    session.Session(quiet=True, json=True).answer({"a": 1}, ["text"])
    session.Session(json=True).note("progress")
    session.Session(json=True).fail("two\n lines")
    said = capsys.readouterr()
    assert said.out == '{\n  "a": 1\n}\n{"error": "two lines"}\n' and said.err == "progress\ntwo lines\n"


def rows(*numbers: tuple[str, float, float]) -> list[dict[str, Any]]:
    return [{"id": name, "area_um2": area, "cycles": cycles} for name, area, cycles in numbers]


def test_layers_of_several_kinds_have_the_sizes_of_all() -> None:
    drawn = {"name": "head", "rows": 4, "length": 8, "temperature": 0.8, "count": 1, "cycles": 9}
    plain = {"name": "norm", "rows": 4, "length": 8, "count": 2, "cycles": 5}
    for layers in ([drawn, plain], [plain, drawn]):
        assert session.size_columns(layers) == ["rows", "length", "temperature"]
    answer = {
        "design": "d", "workload": "w", "layers": [{**one, "utilization": 0.5} for one in (drawn, plain)],
        "cycles": 14, "macs": 7, "utilization": 0.5, "stalls": {}, "checked": 0, "mismatches": 0,
    }  # fmt: skip
    shown = [line.split() for line in simulate.lines(answer)]
    assert shown[1:4] == [
        ["layer", "rows", "length", "temperature", "count", "cycles", "utilization"],
        ["head", "4", "8", "0.8", "1", "9", "50.0", "%"],
        ["norm", "4", "8", "-", "2", "5", "50.0", "%"],
    ]


def test_a_table_of_a_front_spreads_and_keeps_the_knee() -> None:
    goals = ["area_um2", "cycles"]
    front = rows(("a", 3, 1), ("b", 1, 3), ("c", 1, 3), ("d", 2, 2))
    assert [row["id"] for row in explore.spread(front, goals, "d")] == ["b", "d", "a"]
    assert [row["id"] for row in explore.spread(front, goals, "c")] == ["c", "d", "a"]
    many = rows(*((f"p{n}", n, 100 - n) for n in range(100)))
    names = [row["id"] for row in explore.spread(many, goals, "p50", most=4)]
    assert names == ["p0", "p33", "p50", "p66", "p99"]
    assert (
        len(explore.spread(many[:24], goals, "p0")) == 24
        and len(explore.spread(many[:25], goals, "p0")) == 24
    )


BEST = {
    "id": "p1", "family": "toy", "values": {"area_um2": 1234.5, "flip_flops": 7},
    "limited_by": {"area_um2": "largest place 'x'", "flip_flops": None}, "varied": {"mu": 3, "k": 5},
}  # fmt: skip
SAID = "p1: area 1,234 µm² (largest place 'x'), flip-flops 7; mu 3, k 5"


def empty(**more: Any) -> list[str]:
    found = {
        "built": 1200, "conflicts": [], "together": BEST,
        "limits": [{"constraint": "area_um2 <= 10", "kept_by": 0, "nearest": BEST},
                   {"constraint": "flip_flops <= 5000", "kept_by": 1100, "nearest": BEST}],
    }  # fmt: skip
    answer = {
        "nearest": {**found, **more},
        "infeasible": {"too large": 1200, "other": 1},
        "families": ["toy"],
    }
    return explore.empty_lines(answer)


def test_an_empty_front_names_the_nearest_design_of_each_limit() -> None:
    assert empty() == [
        "FAIL: no design is feasible",
        "  1,200: too large",
        "  1: other",
        f"area_um2 <= 10: no design keeps it; nearest {SAID}",
        "flip_flops <= 5000: 1,100 of the 1,200 designs that can be built keep it",
        f"nearest to all constraints together: {SAID}",
    ]
    assert explore._nearest(BEST, several=True) == SAID.replace("p1", "p1 toy")


def test_what_cannot_be_built_and_what_excludes_each_other_is_said() -> None:
    head, *reasons = empty(built=0)
    assert head == "FAIL: no design is feasible, as none can be built for the workload"
    assert reasons == ["  1,200: too large", "  1: other"]
    pair = {"constraints": ["a <= 1", "b >= 2"], "nearest": None}
    assert "a <= 1 and b >= 2: no design keeps both; nearest -" in empty(conflicts=[pair])


def test_of_a_sample_it_is_said_that_its_designs_are_named() -> None:
    pair = {"constraints": ["a <= 1", "b >= 2"], "nearest": None}
    assert empty(sampled=1300, conflicts=[pair])[3:] == [
        f"area_um2 <= 10: no design of the sample keeps it; nearest {SAID}",
        "flip_flops <= 5000: 1,100 of the 1,200 designs of the sample that can be built keep it",
        "a <= 1 and b >= 2: no design of the sample keeps both; nearest -",
        f"nearest of the sample to all constraints together: {SAID}",
        "designs are named out of a sample of 1,300",
    ]


def test_a_sample_of_which_nothing_can_be_built_is_not_the_space() -> None:
    broken = [{"constraint": "too large", "kept_by": 0, "nearest": None}]
    assert empty(built=0, sampled=13, limits=broken) == [
        "FAIL: no design is feasible",
        "  1,200: too large",
        "  1: other",
        "none of the sample of 13 designs can be built, so none is named as the nearest",
    ]
    assert empty(built=0, sampled=13)[0] == (
        "FAIL: no design is feasible, as none can be built for the workload"
    )


def case(**more: Any) -> dict[str, Any]:
    plain = {
        "ok": True,
        "label": "1x2x3",
        "stalls": "none",
        "mismatches": 0,
        "cycles_rtl": 9,
        "cycles_simulator": 9,
    }
    return {**plain, **more}


def test_lines_of_a_verification() -> None:
    checks = [
        {"name": "axi", "what": "rules", "ok": True, "complete": True, "findings": ()},
        {"name": "sizes", "what": "refused", "ok": False, "complete": True, "findings": ("first", "second")},
        {"name": "resets", "what": "mid-run", "ok": False, "complete": False, "findings": ()},
    ]
    bad = case(ok=False, mismatches=1234, cycles_rtl=10)
    answer = {"cases": [case(), bad], "checks": checks, "mismatches": 1234, "seed": 5, "failure": "it hangs"}
    assert verify.lines(answer) == [
        "      workload  stall pattern  mismatches  cycles RTL  cycles simulator",
        "ok    1x2x3     none                    0           9                 9",
        "FAIL  1x2x3     none                1,234          10                 9",
        "ok    axi     rules",
        "FAIL  sizes   refused",
        "-     resets  mid-run",
        "sizes: first",
        "sizes: second",
        "2 cases, 1 failed, 1,234 values differ; seed 5",
        "FAIL: it hangs",
    ]
    none = {"cases": [], "checks": checks[:1], "mismatches": 0, "seed": 5, "failure": None}
    assert verify.lines(none) == ["ok  axi  rules", "no case came to its end; seed 5"]


def test_lines_of_a_measured_energy() -> None:
    parts = dict.fromkeys(("useful", "glitches", "clock", "leakage"), 1.0)
    energy = {
        "energy_pj": 20.0, "standard_error": 0.0123, "transitions": 64, "cycles": 30, "utilization": 0.456,
        "places": {"a": parts, "b": {**parts, "useful": 5.0}}, "memories": {"sram": {}}, "source": "toggles",
        "causes": {**dict.fromkeys(parts, 2.0), "useful": 6.0, "memory": 8.0}, "pj_per_mac": 0.25,
        "task": {"m": 1, "k": 2}, "data": {"zeros": 0.42},
    }  # fmt: skip
    lines = synth._energy_lines(energy)
    assert lines[1:4] == [
        "energy of a mean cycle: 20 pJ, of which a standard error of 1.2 % from 64 clock edges with delays",
        "30 cycles of m 1, k 2, operators busy 46 % of the time: 250 fJ a multiply-accumulate",
        "data: zeros 0.42; toggles",
    ]
    table = [line.split() for line in lines[4:]]
    assert [row[0] for row in table] == ["pJ", "b", "a", "memory", "sum"]
    assert [row[-2] for row in table[1:]] == ["40.0", "20.0", "40.0", "100.0"]
    assert [float(word) for word in table[4][1:-2]] == [6, 2, 2, 2]
    assert synth._share(1, 3) == "33.3 %"


def test_lines_of_a_validation() -> None:
    design = {
        "design": "one", "predicted_um2": 110.0, "measured_um2": 100.0, "error": 0.1, "flip_flops": 12,
        "critical_path_ps": 500.0, "delay_error": -0.051, "energy_pj": 2.5, "energy_error": 0.0, "macro_area_um2": 7.0,
    }  # fmt: skip
    judged = {"area": {"mean": 0.021, "mean_bound": 0.03, "worst": 0.1, "worst_bound": 0.09, "ok": False}}
    worst = dict.fromkeys(("area", "clock", "energy"), ["one"])
    lines = tech.validation_lines(
        {
            "designs": [design],
            "judged": judged,
            "worst": worst,
            "date": "today",
            "seed": 3,
            "recipe": "r",
            "file": "f",
        }
    )
    assert " ".join(lines[1].split()) == "one 110 100 +10.0 % 12 500 -5.1 % 2.5 +0.0 % 7"
    assert lines[3:5] == [
        "today, seed 3, recipe r",
        "area: mean error 2.1 % (at most 3 %), worst 10.0 % (at most 9 %): FAIL",
    ]
    assert [line for line in lines if line.startswith("worst five")] == [
        f"worst five by {name}:" for name in ("area", "clock", "energy")
    ]
    assert lines[-1] == "wrote f" and len(lines) == 12


@pytest.mark.parametrize(
    ("text", "cells"), [("", 0), ("cell a\n", 1), ("cell a\ncell b\n", 2), ("x\ncell b\n", 1)]
)
def test_cells_of_a_technology_are_counted(text: str, cells: int) -> None:
    facts: Any = SimpleNamespace(
        name="t", corner={}, cell_text=text, cell_source="s", sources=(), notes=(), model={}
    )
    found = tech._summary(facts)
    assert (found["cells"], found["calibrated"]) == (cells, False)
    facts.model = {"area": {}}
    assert tech._summary(facts)["calibrated"] is True


def test_progress_of_a_survey_comes_every_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((100.0, 101.9, 102.0, 103.0, 105.0, 110.0))
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    said: list[str] = []
    told = model._progress(said.append)
    for done in (1, 4, 5, 8, 12):
        told(done, 12)
    assert said == ["read 4 of 12 matrices, 4 s left", "read 8 of 12 matrices, 2 s left"]


def tensor(**more: Any) -> dict[str, Any]:
    plain = {"role": "q", "shape": (2, 3), "stored": "u8", "encoding": "packed", "scales": 1, "scale_min": 0.5,
             "scale_max": 0.5, "scale_divides": False, "zero_share": 0.25, "positive_share": 0.5,
             "entropy": 1.5}  # fmt: skip
    return {**plain, **more}


def test_tensors_are_told_in_groups_with_the_range_of_their_numbers() -> None:
    tensors = [
        tensor(),
        tensor(scale_max=2.0, zero_share=0.5),
        tensor(role="k", scales=1234, scale_divides=True),
    ]
    blank, _, *lines = model.tables({"tensors": [*tensors, tensor(role="norm", zero_share=None)]})
    assert blank == "" and [line.split("  ") for line in lines] and len(lines) == 3
    assert "2  x 0.5 to 2" in lines[0] and "0.250 to 0.500" in lines[0] and "1.500" in lines[0]
    assert "1  / 0.5 (1,234 each)" in lines[1] and "0.250" in lines[1]
    assert lines[2].split() == ["norm", "2", "x", "3", "u8", "packed", "1", "-", "-", "-", "-"]
    assert model.tables({"tensors": []}) == []


def numbers(**more: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    areas = {"logic_area_um2": 110.0, "memory_area_um2": 5.0, "critical_path_ps": 90.0}
    seen = {**areas, "logic_area_um2": 100.0, "critical_path_ps": 100.0, "flip_flops": 7}
    runs = {"ok": True, "mismatches": 0, "cases": [{"cycles_rtl": 30, "cycles_simulator": 30}]}
    return {"cycles": 30, "flip_flops": 7, **areas, **more}, runs, seen


@pytest.mark.parametrize(
    ("place", "wrong"),
    [(0, {"cycles": 31}), (0, {"flip_flops": 8}), (1, {"mismatches": 1}), (1, {"ok": False}),
     (1, {"cases": [{"cycles_rtl": 30, "cycles_simulator": 29}]})],
)  # fmt: skip
def test_the_demo_fails_by_each_number_that_must_be_equal(place: int, wrong: dict[str, Any]) -> None:
    right = numbers()
    table, fine = demo.comparison(*right)
    assert fine and [row[3] for row in table] == [*["equal"] * 4, "+10.0 %", "one law for both", "-10.0 %"]
    changed = [{**part, **wrong} if at == place else part for at, part in enumerate(right)]
    table, fine = demo.comparison(*changed)
    assert not fine and (sum(row[3] == "DIFFERS" for row in table) == 1) is (wrong != {"ok": False})


@pytest.mark.parametrize(
    ("value", "text"),
    [("a" * 38, f"'{'a' * 38}'"), ("a" * 39, f"'{'a' * 35}..."), ([1, 2], "[1, 2]"), ([1] * 14, "a list"),
     (int, "the class int"), (np.zeros(1), "a ndarray"), (SimpleNamespace(), "a SimpleNamespace"), (None, "None"),
     (OSError(), "an OSError")],
)  # fmt: skip
def test_arguments_are_shown_where_they_are_short(value: Any, text: str) -> None:
    assert _shown(value) == text


ROOM = "disk must have room here, and it has not"
LARGE = "file must not be so large here"
LEFT = "system must have processes, files and memory left, and it has not"
STDOUT = "Standard output must take what is written to it, and it does not"
OPEN = "file must be readable and writable here, and it is not"
LESS, FEWER = (
    "Memory must suffice, and it does not",
    "free some, or ask for fewer --workers or a smaller design",
)


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (OSError(errno.ENOSPC, "full", "f"), f"f: {ROOM}: full; free some and run it again"),
        (OSError(errno.EDQUOT, "quota"), f"A disk: {ROOM}: quota; free some and run it again"),
        (OSError(errno.EFBIG, "big", b"f"), f"f: {LARGE}: big; raise the limit (`ulimit -f`) and run it again"),
        (OSError(errno.EMFILE, "many"), f"System: {LEFT}: many"),
        (OSError(errno.EACCES, "denied", Path("f")), f"f: {OPEN}: denied"),
        (OSError(errno.EACCES, "denied", 3), f"A file: {OPEN}: denied"),
        (OSError(errno.EIO, "lost", "standard output"), f"{STDOUT}: lost; send it elsewhere"),
        (OSError(errno.ENOSPC, "full", "standard output"), f"{STDOUT}: full; send it elsewhere"),
        (OSError("odd"), None),
        (ValueError("odd"), None),
        (MemoryError("2 GB"), f"{LESS} (2 GB); {FEWER}"),
        (MemoryError(), f"{LESS} (nothing is left); {FEWER}"),
    ],
)  # fmt: skip
def test_faults_of_the_environment(problem: BaseException, text: str | None) -> None:
    assert faults.sentence(problem) == text


@pytest.mark.parametrize(
    ("words", "kept"),
    [("explore s.yaml", "the study is kept, {} goes on"),
     ("tech calibrate t", "what was synthesized is kept, {} goes on"),
     ("-q explore s", "the study is kept, {} goes on"), ("tech validate t", "nothing was written, {} starts again"),
     ("synth explore", "nothing was written, {} starts again")],
)  # fmt: skip
def test_interrupted_commands_say_what_is_left(words: str, kept: str) -> None:
    text = f"Interrupted; {kept.format('and the same command')}: ternforge {words}"
    assert faults.interrupted(words.split()) == text


def test_only_an_existing_file_that_looks_like_an_option_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-file", "plain"):
        Path(name).touch()
    verb = shell.Verb("v", params=[click.Argument(["words"], nargs=-1)])
    for words, message in (
        (["plain", "-file"], "File -file must be written ./-file, not as an option"),
        (["plain", "--other"], "No such option"),
    ):
        with pytest.raises(click.UsageError, match=f"^{message}") as caught:
            verb.make_context("v", words)
        assert "plain must" not in str(caught.value)


def test_a_file_that_is_being_replaced_has_two_contents_that_are_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is killed half-way leaves files of both contents, and neither needs force afterwards."""
    seen: list[list[str]] = []
    real = folder._exchange

    def watched(draft: Path, path: Path, names: list[str], stale: list[str]) -> None:
        seen.append(Record.of(path).digests("a.txt"))
        real(draft, path, names, stale)

    def write(text: str) -> str:
        with folder.output_folder(tmp_path / "out", "test") as draft:
            (draft / "a.txt").write_text(text)
        return files.digest(tmp_path / "out" / "a.txt")

    old = write("old")
    monkeypatch.setattr(folder, "_exchange", watched)
    new = write("new")
    assert seen == [[new, old]] and Record.of(tmp_path / "out").digests("a.txt") == [new]


@pytest.mark.parametrize("verb", [ternforge.simulate, ternforge.estimate])
def test_a_task_that_a_design_was_not_made_for_is_refused_before_anything_runs(verb: Any) -> None:
    spec = registry.get("ternary_lut").from_mapping(DESIGNS["tables"][1])
    for task in (Gemm(7, 4, 4), Gemm(1, 41, 4), Gemm(1, 4, 11)):
        with pytest.raises(ParamError):
            verb(spec, workload=task)
        with pytest.raises(ParamError):
            inputs.check_fits(spec, task)
    inputs.check_fits(spec, Gemm(6, 40, 10))
