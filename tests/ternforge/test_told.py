"""What commands tell of a point, a window, a folder and an argument, from answers made by hand."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ternforge
from compiler.purpose import Purpose
from simulator.systems import chrome
from ternforge import arguments, cli, fidelity, session
from ternforge.record import NAME, Record, _is_inside, undisturbed
from ternforge.traced import Window
from ternforge.verbs import apply, estimate, tech

POINT: dict[str, Any] = {
    "point": "p1", "file": "a b.yaml", "parameters": {"mu": 3, "style": "half"}, "level": "analytic",
}  # fmt: skip


def test_a_point_that_is_written_is_told_with_what_comes_next() -> None:
    assert apply.written(POINT, ["area_um2 <= 5", "mu = 3"]) == [
        "p1 keeps area_um2 <= 5 and mu = 3",
        "wrote a b.yaml: p1, mu 3, style half",
        "next: ternforge generate 'a b.yaml' --out rtl",
    ]
    assert (
        apply.written({**POINT, "level": "synthesized"}, [])[1] == "its numbers in the study are synthesized"
    )
    assert apply.written({**POINT, "file": None}, []) == []
    assert apply.broken({"point": "p1", "breaks": ["a", "b"]}) == ["p1: a", "p1: b"]


def test_what_would_have_to_change_is_told_with_its_share() -> None:
    moved = {"from": 2_000_000.0, "to": 3_000_000.0, "change": 0.5}
    kept = {"from": 1.0, "to": 1.0, "change": 0.0}
    change = {
        "point": "p2",
        "family": {"from": "a", "to": "a"},
        "parameters": {
            "mu": {"from": 3, "to": 4},
            "new": {"from": None, "to": 1},
            "old": {"from": 1, "to": None},
        },
        "metrics": {"area_um2": moved, "power_mw": kept, "flip_flops": {"from": 0, "to": 7, "change": None}},
    }
    told = apply.remedy({"change": change, "nearest": None}, "my study")
    assert told == [
        "nearest design that keeps it: p2, mu 3 -> 4",
        "  area [mm²] 2 -> 3 (+50.0 %)",
        "  flip-flops 0 -> 7",
        "next: ternforge apply 'my study' p2 -o design.yaml",
    ]
    other = {**change, "family": {"from": "a", "to": "b"}, "parameters": {}}
    assert apply.remedy({"change": other, "nearest": None}, "s")[0] == (
        "nearest design that keeps it: p2, family a -> b"
    )
    assert apply.remedy({"change": None, "nearest": None}, "s") == [
        "no design of the study keeps it, as none can be built"
    ]
    best = {"id": "p3", "values": {"area_um2": 2_000_000.0}}
    assert apply.remedy({"change": None, "nearest": best}, "s") == [
        "no design of the study keeps it; nearest p3: area 2 mm²"
    ]


def test_columns_of_a_workload_stand_between_name_and_count() -> None:
    assert session.size_columns([{"name": "q", "m": 1, "k": 2, "n": 3, "count": 4, "macs": 5}]) == [
        "m",
        "k",
        "n",
    ]
    assert session.size_columns([{"at": 0, "name": "q", "count": 4}]) == []


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("a", True),
        ("a/b.v", True),
        ("a/..b", True),
        ("", False),
        ("..", False),
        ("a/../b", False),
        ("/a", False),
    ],
)
def test_a_record_names_files_inside_its_folder(name: str, inside: bool) -> None:
    assert _is_inside(name) is inside


def test_a_signal_waits_until_the_block_has_ended() -> None:
    seen: list[Any] = []
    kept = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        with undisturbed():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            assert seen == []
            seen.append("ended")
        assert seen == ["ended", signal.SIGTERM]
        with undisturbed():
            pass
        assert seen == ["ended", signal.SIGTERM]
        other = threading.Thread(target=lambda: undisturbed().__enter__())
        other.start()
        other.join()
        os.kill(os.getpid(), signal.SIGTERM)
        assert len(seen) == 3
    finally:
        signal.signal(signal.SIGTERM, kept)


def test_a_record_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Record.of(tmp_path)
    record.put("a", "generate", ["1"])
    record.write(tmp_path)
    before = (tmp_path / NAME).read_text()
    assert before.endswith("}\n") and [path.name for path in tmp_path.iterdir()] == [NAME]
    record.put("b", "generate", ["2"])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        record.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [NAME] and (tmp_path / NAME).read_text() == before


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, [0, 1, 2]),
        ("2:9", [0, 1]),
        ("3:10", [1]),
        ("4:11", [1, 2]),
        ("0:1", []),
        ("L1", [1]),
        ("head", [2]),
    ],
)
def test_a_window_shows_what_has_a_cycle_in_it(
    text: str | None, shown: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slices of cycles 1 to 2, 3 to 9 and 10 to 12; the end of a window is the first cycle behind it."""
    spans = [("L0", 1, 2), ("L1", 3, 9), ("head", 10, 12)]
    notes = tuple((Purpose(mark, "step", ""), 0) for mark, _, _ in spans)
    plan: Any = SimpleNamespace(program=lambda name: SimpleNamespace(notes=notes if name == "decode" else ()))
    slices = [
        SimpleNamespace(purpose=purpose, begin=begin, end=end)
        for (purpose, _), (_, begin, end) in zip(notes, spans, strict=True)
    ]
    monkeypatch.setattr(chrome, "of_pass", lambda program, given, ran: slices if given is notes else [])
    nothing: Any = None
    found = Window(text, plan).slices(nothing, nothing, 13)
    assert [slices.index(one) for one in found] == shown  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"^Trace window must be cycles a:b or one of L0, L1, head, not 'L2'$"
    ):
        Window("L2", plan)
    with pytest.raises(ValueError, match="must begin before the run ends, which takes 13 cycles, not at 13$"):
        Window("13:20", plan).slices(nothing, nothing, 13)
    assert Window("12:20", plan).slices(nothing, nothing, 13) == slices[2:]


@pytest.mark.parametrize(
    ("holds", "values"),
    [
        (arguments._is_integer, [1, np.int64(2), -3]),
        (arguments._is_number, [1, 0.5, np.float32(2)]),
        (arguments._is_mapping_of_texts, [{}, {"a": "b"}]),
        (arguments._is_list_of_paths, [[], ["a", Path("b")], ("a",)]),
        (arguments._is_list_of_texts, [[], ["a"], ("a", "b")]),
    ],
)
def test_arguments_of_every_kind(holds: Any, values: list[Any]) -> None:
    others = [
        True,
        "a",
        b"a",
        None,
        {"a": 1},
        {1: "a"},
        {"a"},
        ["a", 1],
        [Path("a")],
        1,
        0.5,
        {"a": "b"},
        ["a"],
    ]
    assert all(map(holds, values))
    mine = {
        arguments._is_integer: [1],
        arguments._is_number: [1, 0.5],
        arguments._is_mapping_of_texts: [{"a": "b"}],
    }
    mine |= {arguments._is_list_of_paths: [[Path("a")], ["a"]], arguments._is_list_of_texts: [["a"]]}
    found = [value for value in others if holds(value)]
    assert len(found) == len(mine[holds]) and all(any(f is v or f == v for v in mine[holds]) for f in found)


@pytest.mark.parametrize("calibrated", [True, False])
def test_a_technology_is_shown_with_its_corner_its_files_and_its_notes(
    calibrated: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {**tech.technology("asap7"), "notes": ["one", "two"], "calibrated": calibrated}
    monkeypatch.setattr(tech, "technology", {"asap7": told}.get)
    assert cli.run(["tech", "show", "asap7"]) == 0
    found = capsys.readouterr().out.splitlines()
    corner = [f"  {key} {fact.value:g} {fact.unit} ({fact.source})" for key, fact in told["corner"].items()]
    assert found == [
        f"asap7: {told['cells']} cells of {told['source']}",
        *corner,
        *(f"  {item['file']} sha256 {item['sha256'][:16]}" for item in told["files"]),
        *("  note: one", "  note: two"),
        f"  cost model: {'' if calibrated else 'not '}calibrated",
    ]
    assert len(corner) == 3 and len(told["files"]) > 2
    assert cli.run(["tech", "list"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("asap7 "))
    assert row.split()[1:4] == ["0.7", "25", str(told["cells"])]


def test_corrections_are_a_table_where_there_is_one_to_tell() -> None:
    level = {"ok": 1200, "failed": 0}
    told = {
        "levels": {"simulated": level, "synthesized": {"ok": 3, "failed": 2}},
        "failed": [],
        "corrections": [],
    }
    assert fidelity.lines(None) == []
    assert fidelity.lines(told) == ["measured: 1,200 simulated, 3 synthesized (2 failed)"]
    row = {
        "level": "synthesized",
        "metric": "area_um2",
        "designs": 7,
        "before": 0.0512,
        "after": 0.01,
        "used": True,
    }
    exact = {**row, "before": 0.0}
    assert fidelity.lines({**told, "corrections": [exact]}) == fidelity.lines(told)
    head, line = fidelity.lines({**told, "corrections": [exact, row]})[1:]
    assert head.split() == ["correction", "by", "metric", "designs", "error", "corrected", "used"]
    assert line.split() == ["synthesized", "area_um2", "7", "5.12", "%", "1.00", "%", "yes"]
    failed = [{"point": f"p{number}", "reason": "it hangs"} for number in range(fidelity._SHOWN + 2)]
    lines = fidelity.lines({**told, "failed": failed})[1:]
    assert lines[0] == "p0 failed: it hangs" and len(lines) == fidelity._SHOWN + 1
    assert lines[-1] == "2 more failed; --json names them"


def test_a_prompt_that_is_no_text_is_refused_before_the_checkpoint_is_looked_for(tmp_path: Path) -> None:
    """Bytes of a shell that are not UTF-8."""
    with pytest.raises(ValueError, match=r"^Prompt must be text in UTF-8, not 'a\\udcff'$"):
        ternforge.model_generate(tmp_path / "none", "a\udcff")


@pytest.mark.parametrize(("share", "waits"), [(0.0, "no stalls"), (0.254, "DRAM-bound 25.4 % of the time")])
def test_a_workload_is_told_by_its_layers_and_what_it_waits_for(share: float, waits: str) -> None:
    layer = {"name": "q", "m": 1, "k": 2, "n": 3, "count": 4, "macs": 24, "cycles": 1200}
    row = {"dram_share": share, "power_mw": 1.5, "area_um2": 7.0}
    answer = {
        "layers": [layer], "row": row, "seconds": 0.0025, "workload": "mine", "cycles": 4800, "utilization": 0.125,
        "covers": "all of it", "memory": "takes no time",
    }  # fmt: skip
    head, body, *rest = estimate._workload_lines(answer)
    assert head.split() == ["layer", "m", "k", "n", "count", "cycles"]
    assert body.split() == ["q", "1", "2", "3", "4", "1,200"]
    assert rest == [
        f"mine: 4,800 cycles, 2.5 ms, utilization 12.5 %, {waits}",
        "power 1.5 mW",
        "numbers cover all of it; memory takes no time",
    ]
