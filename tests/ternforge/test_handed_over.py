"""Every command line hands what it was given to one verb, prints that verb's lines, and ends with its code.

Verbs are replaced by stand-ins here; what they do with it is tested elsewhere. Each command stands in the table bare
and with all of its options: an option that is lost, a default that moves and an answer that is not printed show.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dse import progress
from dse.fidelity import levels
from ternforge import cli, decoders, decoding, proving, session, shaped
from ternforge.shell import LazyGroup

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DESIGN = str(EXAMPLES / "ternary_lut" / "design.yaml")
SYSTEM = str(EXAMPLES / "tiny_decoder" / "system.yaml")
PRESET = (EXAMPLES / "default_preset.txt").read_text(encoding="utf-8").strip()
NOTE = "told of progress"
LINES = ["the lines of the verb"]
WRITTEN = {"folder": "f", "top": "t", "next": "n", "files": ["a.v", "b.v"], "design_hash": "0x12"}
BARE_PROMOTION = {
    "budget": levels.BUDGET_S, "level": "synthesized", "limit": levels.LIMIT_S, "memory": levels.MEMORY_MIB,
    "retry": False, "force": False, "note": NOTE,
}  # fmt: skip
SEARCH = {
    "method": None,
    "budget": None,
    "seed": None,
    "workers": None,
    "shard": None,
    "dask": None,
    "force": False,
}
RUN = {"stall": "none", "seed": None, "values": True, "trace": None, "window": None, "force": False}
DECODED = (
    "--checkpoint c --prompt hello --beside one --beside two --tokens 3 --memory half --temperature 0.5 --top-k 4 "
    "--calibrate x.txt --image i"
)
DECODED_TO: dict[str, Any] = {
    "checkpoint": "c", "prompt": "hello", "beside": ("one", "two"), "tokens": 3, "memory": "half", "temperature": 0.5,
    "top_k": 4, "calibrate": "x.txt", "image": "i",
}  # fmt: skip
IMPORTED = {
    "name": "m",
    "ternary_weights": 1234,
    "notes": ["a"],
    "ignored": ["b", "c"],
    "weights": {"notes": ("d",)},
}
FRONT, EMPTY = {"front": [1]}, {"front": []}
GOOD, BAD = {"ok": True}, {"ok": False}

#: Command line; verb; what it is given; its answer; exit code, and lines where they are not those of the verb.
CASES: list[tuple[str, str, tuple[Any, ...], dict[str, Any], dict[str, Any], int, list[str] | None]] = [
    ("check f.yaml", "check.check", ("f.yaml", {}), {}, {}, 0, None),
    ("check f.yaml --set a=1 --set parameters.b=2", "check.check", ("f.yaml", {"a": "1", "b": "2"}), {}, {}, 0, None),
    ("compare s", "compare.compare", (["s"], None), {"force": False}, {"joint_front": 1}, 0, None),
    ("compare s t -o p.html --force", "compare.compare", (["s", "t"], "p.html"), {"force": True}, {"joint_front": 0}, 1,
     None),
    ("compile s.yaml --checkpoint c -o d", "compile.compile", ("s.yaml", "c", "d", None),
     {"batch": None, "force": False, "note": NOTE}, {}, 0, None),
    ("compile s.yaml --checkpoint c -o d --calibrate t.txt --batch 3 --force", "compile.compile",
     ("s.yaml", "c", "d", "t.txt"), {"batch": 3, "force": True, "note": NOTE}, {}, 0, None),
    ("estimate d.yaml", "estimate.estimate", ("d.yaml", None, None, {}, None, None, None, None, None, None), {},
     {"meets_clock": True}, 0, None),
    ("estimate d.yaml --tech t --gemm 1x2x3 --space s.yaml --explain area --model m --context 5 --prompt 6 --batch 7 "
     "--set a=b", "estimate.estimate", ("d.yaml", "t", "1x2x3", {"a": "b"}, "s.yaml", "area", "m", 5, 6, 7), {},
     {"meets_clock": False, "system": "s"}, 1, None),
    ("estimate d.yaml --workload w.yaml --context 0 --prompt 1", "estimate.estimate",
     ("d.yaml", None, "w.yaml", {}, None, None, None, 0, 1, None), {}, {"meets_clock": True}, 0, None),
    ("export d.yaml --flow yosys", "export.export", ("d.yaml", "yosys", None, {}), {"force": False}, WRITTEN, 0,
     ["wrote f: top module t", "next: n"]),
    ("export d.yaml --flow files -o o --force --set a=1", "export.export", ("d.yaml", "files", "o", {"a": "1"}),
     {"force": True}, WRITTEN, 0, ["wrote f: top module t", "next: n"]),
    ("generate d.yaml -o o", "generate.generate", ("d.yaml", "o", {}), {"force": False, "note": NOTE}, WRITTEN, 0,
     ["wrote o: 2 Verilog files, top module t, design 0x12", "next: ternforge verify --rtl o"]),
    ("generate d.yaml -o o --force --set a=1", "generate.generate", ("d.yaml", "o", {"a": "1"}),
     {"force": True, "note": NOTE}, WRITTEN | {"masters": {}}, 0,
     ["wrote o: 2 Verilog files, top module t, design 0x12"]),
    ("merge s -o o", "merge.merge", (["s"], "o"), {"partial": False}, FRONT, 0, None),
    ("merge s t -o o --partial", "merge.merge", (["s", "t"], "o"), {"partial": True}, EMPTY, 1, None),
    ("plot s", "plot.plot", ("s", None), {"force": False}, {"files": ["a.png", "b"]}, 0, ["wrote a.png", "wrote b"]),
    ("plot s -o o --force", "plot.plot", ("s", "o"), {"force": True}, {"files": []}, 0, []),
    ("promote s", "promote.promote", ("s",), BARE_PROMOTION, FRONT, 0, None),
    ("promote s --budget 7 --level simulated --limit 8 --memory 300 --retry --force", "promote.promote", ("s",),
     {"budget": 7, "level": "simulated", "limit": 8, "memory": 300, "retry": True, "force": True, "note": NOTE}, EMPTY,
     1, None),
    ("report s", "report.report", ("s", None), {"force": False}, {"file": "r"}, 0, ["wrote r"]),
    ("report s -o o.html --force", "report.report", ("s", "o.html"), {"force": True}, {"file": "r"}, 0, ["wrote r"]),
    ("explore s.yaml -o o", "explore.explore", ("s.yaml", "o"), SEARCH, FRONT, 0, None),
    ("explore s.yaml -o o --method random --budget 5 --seed 0 --workers 2 --shard 1/3 --dask tcp://a:1 --force",
     "explore.explore", ("s.yaml", "o"),
     {"method": "random", "budget": 5, "seed": 0, "workers": 2, "shard": "1/3", "dask": "tcp://a:1", "force": True},
     EMPTY, 1, None),
    (f"simulate {DESIGN} --gemm 1x2x3", "simulate.simulate", (DESIGN, "1x2x3", {}), {**RUN, "note": NOTE, "beside": ()},
     {"mismatches": 0}, 0, None),
    (f"simulate {DESIGN} --workload w --stall burst_1 --seed 0 --no-values --trace t.json --window 1:2 --force "
     "--set a=1", "simulate.simulate", (DESIGN, "w", {"a": "1"}),
     {"stall": "burst_1", "seed": 0, "values": False, "trace": "t.json", "window": "1:2", "force": True, "note": NOTE,
      "beside": ()}, {"mismatches": 3}, 1, None),
    (f"simulate {SYSTEM} {DECODED} --seed 9 --trace t.json --force", "simulate.simulate", (SYSTEM, None, {}),
     {**RUN, "seed": 9, "trace": "t.json", "force": True, "note": NOTE, **DECODED_TO}, {}, 0, ["decoded"]),
    (f"simulate {SYSTEM} --model m --context 4 --batch 2 --prompt 7", "simulate.simulate", (SYSTEM, None, {}),
     {**RUN, "note": NOTE, "model": "m", "context": 4, "batch": 2, "prompt": "7", "beside": ()}, {"phases": {}}, 0,
     ["shaped"]),
    ("synth d.yaml", "synth.synth", ("d.yaml", None, (), {}, NOTE),
     {"period": None, "recipe": None, "wires": None, "netlist": None, "energy": False, "data": {}, "force": False}, {},
     0, None),
    ("synth d.yaml --tech t --liberty a.lib --liberty b.lib --energy --data zeros=0.4 --period 900 --recipe r "
     "--wires w --netlist n.v --force --set a=1", "synth.synth", ("d.yaml", "t", ("a.lib", "b.lib"), {"a": "1"}, NOTE),
     {"period": 900.0, "recipe": "r", "wires": "w", "netlist": "n.v", "energy": True, "data": {"zeros": "0.4"},
      "force": True}, {}, 0, None),
    (f"verify {DESIGN}", "verify.verify", (DESIGN, {}),
     {"rtl": None, "seed": None, "cases": 8, "workload": None, "note": NOTE, "beside": ()}, GOOD, 0, None),
    ("verify --rtl r --cases 2 --seed 0 --gemm 1x2x3 --set a=1", "verify.verify", (None, {"a": "1"}),
     {"rtl": "r", "seed": 0, "cases": 2, "workload": "1x2x3", "note": NOTE, "beside": ()}, BAD, 1, None),
    (f"verify {SYSTEM} {DECODED} --seed 3", "verify.verify", (SYSTEM, {}),
     {"rtl": None, "seed": 3, "cases": 8, "workload": None, "note": NOTE, **DECODED_TO}, GOOD, 0, ["proved"]),
    (f"verify {SYSTEM} --checkpoint c --prompt x", "verify.verify", (SYSTEM, {}),
     {"rtl": None, "seed": None, "cases": 8, "workload": None, "note": NOTE, "checkpoint": "c", "prompt": "x",
      "beside": ()}, BAD, 1, ["proved"]),
    ("apply s p1 -o d.yaml", "apply.apply", ("s", "p1", "d.yaml"), {"where": (), "force": False},
     {"infeasible": None, "point": "p1"}, 0, ["written"]),
    ("apply s knee --where a<=1 --where b>=2 --force", "apply.apply", ("s", "knee", None),
     {"where": ("a<=1", "b>=2"), "force": True}, {"infeasible": None, "breaks": ["x"]}, 1, ["FAIL: broken", "remedy"]),
    ("apply s knee --where a<=1 -o d.yaml", "apply.apply", ("s", "knee", "d.yaml"),
     {"where": ("a<=1",), "force": False}, {"infeasible": "it is", "breaks": [], "point": "p3"}, 0, ["written"]),
    ("init n", "init.init", ("n", PRESET), {"force": False}, {"files": [Path("a"), Path("n/b")], "preset": PRESET}, 0,
     ["created n/: a  b", "next: cd n && ternforge check first"]),
    ("init n --preset vector --force", "init.init", ("n", "vector"), {"force": True},
     {"files": [Path("a")], "preset": "vector"}, 0, ["created n/: a", "next: cd n && ternforge check first"]),
    ("tech import a.lib b.lib --name n -o o.yaml", "tech.technology_import", (("a.lib", "b.lib"), "n", "o.yaml", NOTE),
     {"force": False}, {"cells": 5}, 0, ["wrote o.yaml: 5 cells", "next: ternforge tech calibrate o.yaml"]),
    ("tech calibrate t", "tech.technology_calibrate", ("t", None, NOTE),
     {"recipe": None, "designs": None, "only": None, "force": False}, {"file": "f", "name": "t", "recipe": "r"}, 0,
     ["wrote f: cost model of t calibrated, recipe r"]),
    ("tech calibrate t --recipe r --designs 5 --only area -o o.yaml --force", "tech.technology_calibrate",
     ("t", "o.yaml", NOTE), {"recipe": "r", "designs": 5, "only": "area", "force": True},
     {"file": "f", "name": "t", "recipe": "r"}, 0, ["wrote f: cost model of t calibrated, recipe r"]),
    ("tech calibrate t --designs vector=1000,systolic=7", "tech.technology_calibrate", ("t", None, NOTE),
     {"recipe": None, "designs": {"vector": 1000, "systolic": 7}, "only": None, "force": False},
     {"file": "f", "name": "t", "recipe": "r"}, 0, ["wrote f: cost model of t calibrated, recipe r"]),
    ("tech validate", "tech.technology_validate", ("asap7", 8, 1, NOTE), {"large": 0, "out": None, "force": False},
     GOOD, 0, ["validated"]),
    ("tech validate t --designs 1 --large 2 --seed 0 -o o.yaml --force", "tech.technology_validate", ("t", 1, 0, NOTE),
     {"large": 2, "out": "o.yaml", "force": True}, BAD, 1, ["validated"]),
    ("model import f", "model.model_import", ("f", None, None),
     {"like": None, "shapes_only": False, "force": False, "note": NOTE}, IMPORTED, 0,
     ["m, 1,234 ternary weights", "tensors"]),
    ("model import f --name n -o o.yaml --like llama --shapes --force", "model.model_import", ("f", "o.yaml", "n"),
     {"like": "llama", "shapes_only": True, "force": True, "note": NOTE}, IMPORTED | {"ignored": []}, 0,
     ["wrote o.yaml: m, 1,234 ternary weights", "tensors"]),
    ("model export p -o o.gguf", "model.model_export", ("p", "o.gguf", "tq2_0"), {"force": False, "note": NOTE},
     {"name": "m", "scale_rounding": 0.00123}, 0, ["wrote o.gguf: m as tq2_0; scales rounded by at most 1.2e-03"]),
    ("model export p --encoding packed -o o --force", "model.model_export", ("p", "o", "packed"),
     {"force": True, "note": NOTE}, {"name": "m", "scale_rounding": 0.0}, 0, ["wrote o: m as packed"]),
    ("model generate p --prompt Hi", "model.model_generate", ("p", "Hi", 16),
     {"temperature": 0.0, "seed": None, "top_k": None, "note": NOTE}, {"text": " there"}, 0, ["Hi there"]),
    ("model generate p --prompt Hi --tokens 2 --temperature 0.7 --seed 0 --top-k 64", "model.model_generate",
     ("p", "Hi", 2), {"temperature": 0.7, "seed": 0, "top_k": 64, "note": NOTE}, {"text": "!"}, 0, ["Hi!"]),
    ("doctor", "doctor.doctor", (NOTE,), {},
     {"ok": False, "checks": [SimpleNamespace(ok=True, name="make", detail="4", seconds=0.26),
                              SimpleNamespace(ok=False, name="perl", detail="gone", seconds=12.0)]}, 1,
     [f"ternforge {cli.__version__}", "  ok    make       4 (0.3 s)", "  FAIL  perl       gone (12.0 s)",
      "2 checks, 1 failed"]),
    ("doctor", "doctor.doctor", (NOTE,), {}, {"ok": True, "checks": []}, 0,
     [f"ternforge {cli.__version__}", "0 checks, 0 failed"]),
]  # fmt: skip


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What verbs and answers were given; the lines of verbs are those of stand-ins."""
    found: list[Any] = []

    def answer(self: session.Session, data: Any, lines: Any) -> None:
        found.append((data, list(lines)))

    monkeypatch.setattr(session.Session, "answer", answer)
    monkeypatch.setattr(session.Session, "note", lambda self, text: found.append(text))
    words = {
        "apply": {"written": ["written"], "broken": ["broken"], "remedy": ["remedy"]},
        "init": {"files_of": ["first", "second"]},
        "explore": {"front_lines": LINES}, "tech": {"validation_lines": ["validated"]},
        "model": {"tables": ["tensors"]},
        **{name: {"lines": LINES} for name in ("check", "compare", "estimate", "simulate", "synth", "verify")},
    }  # fmt: skip
    for module, names in words.items():
        verb = importlib.import_module(f"ternforge.verbs.{module}")
        for name, value in names.items():
            monkeypatch.setattr(verb, name, lambda *_, value=value: value)
    for place, name, value in (
        (decoders, "lines", LINES), (decoding, "compile_lines", LINES), (decoding, "simulate_lines", ["decoded"]),
        (shaped, "lines", ["shaped"]), (proving, "verify_lines", ["proved"]),
    ):  # fmt: skip
        monkeypatch.setattr(place, name, lambda *_, value=value: value)
    return found


def plain(value: Any) -> Any:
    """A value, or what stands for the function that is told of progress."""
    return NOTE if callable(value) else value


@pytest.mark.parametrize(
    ("line", "verb", "words", "options", "answer", "code", "lines"), CASES, ids=[c[0] for c in CASES]
)
def test_a_command_hands_over_what_it_was_given(
    line: str, verb: str, words: tuple[Any, ...], options: dict[str, Any], answer: dict[str, Any], code: int,
    lines: list[str] | None, given: list[Any], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    module, name = verb.split(".")
    asked: list[Any] = []

    def stand_in(*args: Any, **kwargs: Any) -> Any:
        shown = kwargs.pop("progress", None)
        assert shown is None or isinstance(shown, progress.Silent | type(progress.for_stream()))
        asked.append((tuple(map(plain, args)), {key: plain(value) for key, value in kwargs.items()}))
        return answer

    monkeypatch.setattr(importlib.import_module(f"ternforge.verbs.{module}"), name, stand_in)
    assert cli.run(line.split()) == code
    assert asked == [(words, options)]
    assert given[-1] == (answer, LINES if lines is None else lines)


def test_every_command_is_in_the_table() -> None:
    group: Any = cli.cli
    commands = []
    for name in group.verbs:
        command = group.get_command(None, name)
        inner = command.verbs if isinstance(command, LazyGroup) else None
        commands += [f"{name} {each}" for each in inner] if inner else [name]
    told = {
        "tech list",
        "tech show",
        "model list",
        "model show",
    }  # tests/ternforge/test_told.py and transcripts
    assert {command for command in commands if not any(case[0].startswith(command) for case in CASES)} == told


def test_what_an_infeasible_point_and_an_import_say_beside_their_answer(
    given: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ternforge.verbs import apply, model

    monkeypatch.setattr(apply, "apply", lambda *_, **__: {"infeasible": "too large", "point": "p3"})
    assert cli.run(["apply", "s", "p3", "-o", "d.yaml"]) == 0
    assert given[:-1] == ["Point p3 is infeasible in this study: too large", "remedy"]
    given.clear()
    monkeypatch.setattr(model, "model_import", lambda *_, **__: IMPORTED)
    assert cli.run(["model", "import", "f"]) == 0
    assert given[:-1] == ["note: a", "note: d", "note: not needed and ignored: b, c"]
