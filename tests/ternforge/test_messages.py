"""What a command says about a wrong file or a wrong word: what it must be, what it is, and which command takes it."""

from __future__ import annotations

import gzip
import importlib
import inspect
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

import ternforge
from blueprint import registry
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.files import kinds
from blueprint.files.design import Design
from blueprint.workloads.huggingface import architectures
from dse.searches import methods
from ternforge import cli
from ternforge.cli import run
from ternforge.verbs import explore, generate, tech

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SPACE = """\
schema: ternforge/space/v1
family: ternary_lut
parameters: {mu: [1, 2], lut_count: 4, fetch_count: 8, act_width: 8, k_max: 64, n_max: 64}
workload: {gemm: {m: 1, k: 64, n: 64}}
technology: asap7
objectives: {area_um2: min, cycles: min}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one file of every kind, and a study."""
    folder = tmp_path_factory.mktemp("made")
    for name in ("design", "workload"):
        shutil.copyfile(EXAMPLES / "ternary_lut" / f"{name}.yaml", folder / f"{name}.yaml")
    (folder / "space.yaml").write_text(SPACE)
    (folder / "cells.lib").write_text("/* x */ library (x) {\n}\n")
    (folder / "cells.lib.gz").write_bytes(gzip.compress(b"library (x) {\n}\n"))
    (folder / "manifest.json").write_text('{"schema": "ternforge/manifest/v1"}')
    (folder / "top.v").write_text("module top; endmodule\n")
    (folder / "m.gguf").write_bytes(b"GGUF\x03\x00")
    (folder / "empty.yaml").write_text("")
    (folder / "hf").mkdir()
    (folder / "hf" / "config.json").write_text('{"model_type": "llama", "hidden_size": 64}')
    (folder / "rtl").mkdir()
    (folder / "rtl" / "manifest.json").write_text("{}")
    (folder / "-x.yaml").write_text("a: 1\n")
    assert run(["explore", str(folder / "space.yaml"), "--out", str(folder / "study"), "-q"]) == 0
    return folder


SPECS = "file must be a design, not a space, which `ternforge explore` takes"
SETTABLE = "--set clock_mhz: key must be a parameter, not a key of the file: change it there"
CELLS = "a Liberty library, which `ternforge tech import` reads"
CONFIG = "the config.json of a Hugging Face model, which `ternforge model import` reads"
STUDY = "Study must be the folder that `ternforge explore` wrote, not"
MODELS = "Model must be a name or a .yaml file, not"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("generate space.yaml -o o", f"space.yaml:1:1: schema: {SPECS}"),
        ("verify space.yaml", f"space.yaml:1:1: schema: {SPECS}"),
        ("export space.yaml --flow yosys", f"space.yaml:1:1: schema: {SPECS}"),
        ("synth space.yaml", f"space.yaml:1:1: schema: {SPECS}"),
        ("estimate space.yaml", f"space.yaml:1:1: schema: {SPECS}"),
        ("simulate space.yaml --gemm 1x1x1", f"space.yaml:1:1: schema: {SPECS}"),
        (
            "explore design.yaml -o o",
            "design.yaml:2:1: schema: file must be a space, not a design, which `ternforge generate` takes",
        ),
        (
            "simulate design.yaml --workload space.yaml",
            "space.yaml:1:1: schema: file must be a workload, not a space, which `ternforge explore` takes",
        ),
        (
            "estimate design.yaml --tech workload.yaml",
            "workload.yaml:2:1: schema: file must be a technology, not a workload, "
            "which `ternforge simulate DESIGN --workload` takes",
        ),
        (
            "model show design.yaml",
            "design.yaml:2:1: schema: file must be a model, not a design, which `ternforge generate` takes",
        ),
        (
            "generate manifest.json -o o",
            "manifest.json:1:2: schema: file must be a design, not the manifest of generated Verilog",
        ),
        ("generate hf/config.json -o o", f"hf/config.json:1:1: schema: file must be a design, not {CONFIG}"),
        ("generate study -o o", "study:1:1: file must be a YAML file, not the folder of a study"),
        ("generate rtl -o o", "rtl:1:1: file must be a YAML file, not the folder of generated Verilog"),
        (
            "generate study/study.db -o o",
            "study/study.db:1:1: file must be YAML, not a database, as the study.db of `ternforge explore`",
        ),
        ("generate top.v -o o", "top.v:1:1: file must be YAML, not Verilog"),
        ("estimate design.yaml --tech cells.lib", f"cells.lib:1:1: file must be YAML, not {CELLS}"),
        ("tech show cells.lib.gz", f"cells.lib.gz:1:1: file must be YAML, not a gzip archive of {CELLS}"),
        (
            "synth design.yaml --liberty space.yaml",
            "space.yaml:1: file must be a Liberty library, not a space, which `ternforge explore` takes",
        ),
        (
            "tech import m.gguf --name x -o x.yaml -q",
            "m.gguf:1: file must be a Liberty library, not a GGUF model (llama.cpp)",
        ),
        ("apply rtl knee -o x.yaml", f"{STUDY} the folder of generated Verilog: rtl"),
        ("plot design.yaml", f"{STUDY} a design, which `ternforge generate` takes: design.yaml"),
        ("report empty.yaml", f"{STUDY} an empty file: empty.yaml"),
        ("plot studi", "Study must exist, and there is none: studi; did you mean 'study'?"),
        (
            "apply study kne -o x.yaml",
            "Point must be knee or one of p000000 to p000001, not 'kne'; did you mean 'knee'?",
        ),
        ("model show m.gguf", f"{MODELS} a GGUF model (llama.cpp): m.gguf"),
        (
            "model show hf",
            f"{MODELS} the folder of a Hugging Face model, which `ternforge model import` takes: hf",
        ),
        ("model show hf/config.json", f"{MODELS} {CONFIG}: hf/config.json"),
        (
            "model show tiny --phase decod",
            "Phase must be one of decode, prefill, not 'decod'; did you mean 'decode'?",
        ),
        (
            "model import study -o x.yaml",
            "study:1:1: folder must hold the config.json of a Hugging Face model, not be the folder of a study",
        ),
        (
            "simulate design.yaml --workload tiny",
            "tiny:1:1: workload must be a file, not the model tiny: a file names it with phase and tokens",
        ),
        (
            "simulate design.yaml --gemm 1x1x1 --window 0:9",
            "Window must stand beside a trace, and there is none; give a file with --trace",
        ),
        (
            "simulate design.yaml --gemm 1x1x1 --trace x.json --window 9",
            "Trace window must be a:b with 0 <= a < b, not '9'",
        ),
        (
            "simulate design.yaml --gemm 1x1x1 --trace x.gz",
            "Output file must end in .json or .json.gz, not 'x.gz'",
        ),
        (
            "verify design.yaml --cases many",
            "Invalid value for '--cases': it must be an integer from 1 to 10000, not 'many'",
        ),
        (
            "explore space.yaml -o o --budget 0",
            "Invalid value for '--budget': it must be an integer at least 1, not '0'",
        ),
        ("export design.yaml", "Missing option '--flow'. It must be one of files, fusesoc, yosys"),
        ("tech show", "Missing argument 'NAME'. It must be one of asap7, ihp_sg13g2, sky130hd, or a file"),
        ("estimate design.yaml --set clock_mhz=500", SETTABLE),
        ("generate -x.yaml -o o", "File -x.yaml must be written ./-x.yaml, not as an option"),
        ("check design.yaml --jsn", "No such option '--jsn'. (Did you mean one of: '--json', '--set'?)"),
        ("generate design.yaml -o cells.lib", "Output must be a folder, not an existing file: cells.lib"),
        (
            "tech calibrate design.yaml",
            "design.yaml:2:1: schema: file must be a technology, not a design, which `ternforge generate` takes",
        ),
    ],
)
def test_a_wrong_file_or_word_is_one_sentence(
    line: str,
    message: str,
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(made)
    before = sorted(made.rglob("*"))
    assert run(line.split()) == 2
    assert capsys.readouterr() == ("", message + "\n")
    assert sorted(made.rglob("*")) == before


def test_a_stall_profile_and_a_mask_are_named_with_what_would_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(["simulate", str(EXAMPLES / "ternary_lut/design.yaml"), "--gemm", "1x1x1", "--stall", "bust_4"])
        == 2
    )
    assert capsys.readouterr().err.endswith("not 'bust_4'; did you mean 'burst_4'?\n")
    workload = tmp_path / "w.yaml"
    sizes = "{queries: 1, keys: 64, heads: 4, dim: 128, mask: lambda, window: 16}"
    workload.write_text(f"schema: ternforge/workload/v1\nattention: {sizes}\n")
    assert (
        run(["estimate", str(EXAMPLES / "streaming_attention/decode.yaml"), "--workload", str(workload)]) == 2
    )
    expected = "Attention sinks must be at least 1 for mask lambda, not 0; without sinks it is window\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explore", "a b.yaml", "-o", "s"], "the study is kept, and the same command goes on: "
         "ternforge explore 'a b.yaml' -o s"),
        (["-q", "tech", "calibrate", "x.yaml"], "what was synthesized is kept, and the same command goes on: "
         "ternforge -q tech calibrate x.yaml"),
        (["generate", "d.yaml", "-o", "x"], "nothing was written, and the same command starts again: "
         "ternforge generate d.yaml -o x"),
    ],
)  # fmt: skip
def test_an_interrupt_says_how_to_go_on(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for module, name in ((explore, "explore"), (tech, "technology_calibrate"), (generate, "generate")):
        monkeypatch.setattr(module, name, interrupted)
    assert run(arguments) == 130
    assert capsys.readouterr().err.strip() == f"Interrupted; {message}"


def test_next_lines_can_be_typed_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "a b'c"
    folder.mkdir()
    (folder / "space.yaml").write_text(SPACE)
    assert run(["init", "a b'c/first"]) == 0
    quoted = "'a b'\"'\"'c"
    assert f"next: cd {quoted}/first' && ternforge check design.yaml\n" in capsys.readouterr().out
    assert run(["explore", "a b'c/space.yaml", "-o", "a b'c/study"]) == 0
    assert f"next: ternforge apply {quoted}/study' " in capsys.readouterr().out
    assert run(["apply", "a b'c/study", "knee", "--out=-d.yaml"]) == 0
    assert "next: ternforge generate ./-d.yaml --out rtl\n" in capsys.readouterr().out
    assert run(["generate", "./-d.yaml", "--out", "a b'c/rtl"]) == 0
    assert f"next: ternforge verify --rtl {quoted}/rtl'\n" in capsys.readouterr().out
    assert run(["export", "./-d.yaml", "--flow", "yosys", "--out", "a b'c/flow"]) == 0
    assert f"{quoted}/flow'" in capsys.readouterr().out


def completions(*words: str, incomplete: str = "") -> list[str]:
    found = ShellComplete(cli.cli, {}, "ternforge", "_TERNFORGE_COMPLETE").get_completions(
        list(words), incomplete
    )
    return [item.value if item.type == "plain" else f"<{item.type}>" for item in found]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("init", "x", "--preset"), sorted([*registry.families(), "tiny_decoder", "edge_2b4t", "hbm_2b4t"])),
        (("export", "x", "--flow"), ["files", "fusesoc", "yosys"]),
        (("estimate", "x", "--tech"), ["asap7", "ihp_sg13g2", "sky130hd"]),
        (("explore", "x", "--method"), list(methods.names())),
        (("model", "show", "x", "--phase"), ["decode", "prefill"]),
        (("model", "import", "x", "--like"), list(architectures())),
        (("generate",), ["<file>"]),
        (("generate", "x", "--out"), ["<dir>"]),
        (("plot",), ["<dir>"]),
        (("simulate", "x", "--workload"), ["<file>"]),
        (("apply", "nowhere"), ["knee"]),
    ],
)
def test_a_shell_is_offered_what_an_option_takes(words: tuple[str, ...], expected: list[str]) -> None:
    assert completions(*words) == expected


def test_a_shell_is_offered_what_begins_so_and_files_otherwise(made: Path) -> None:
    assert completions("simulate", "x", "--stall", incomplete="burst") == ["burst_1", "burst_4", "burst_64"]
    assert completions("model", "show", incomplete="bitnet_2") == ["bitnet_2b4t"]
    assert completions("model", "show", incomplete="./m") == ["<file>"]
    assert completions("apply", str(made / "study"), incomplete="p0")[0].startswith("p00000")
    assert completions(incomplete="chec") == ["check"]
    design = str(made / "design.yaml")
    assert completions("check", design, "--set", incomplete="lut") == ["lut_count="]
    assert completions("estimate", design, "--set", incomplete="k_") == ["k_max="]
    assert completions("estimate", str(made / "space.yaml"), "--set", incomplete="k_") == ["k_max="]
    assert completions("estimate", "nowhere.yaml", "--set") == []
    assert completions("chekc", incomplete="x") in ([], ["<file>"])


@pytest.mark.parametrize(
    "verb", ["init", "export", "explore", "simulate", "estimate", "model show", "tech import"]
)
def test_help_shows_choices_and_no_text(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*verb.split(), "--help"]) == 0
    assert " TEXT " not in capsys.readouterr().out


def test_the_public_functions_can_be_listed() -> None:
    assert "__version__" in ternforge.__all__ and len(ternforge.__all__) > 20
    assert {name for name in dir(ternforge) if not name.startswith("__")} == set(ternforge.__all__) - {
        "__version__"
    }
    assert all(callable(getattr(ternforge, name)) for name in ternforge.__all__ if name != "__version__")


@pytest.mark.parametrize("verb", [name for name in cli.cli.verbs if name not in ("tech", "model")])
def test_a_verb_is_a_public_function_of_its_name(verb: str) -> None:
    module = importlib.import_module(f"ternforge.verbs.{verb}")
    function = getattr(ternforge, verb)  # which checks its arguments first
    assert function.__wrapped__ is getattr(module, verb) and function.__module__ == module.__name__
    assert function.__doc__


def test_every_schema_has_a_name() -> None:
    for schema, (name, _) in kinds.OURS.items():
        assert schema.startswith("ternforge/") and name.split()[0] in ("a", "the")


def test_what_every_command_writes_is_ours_and_not_replaced_when_changed(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dse import interactive, plot, report

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plot, "render", lambda *_: b"a picture")  # drawing is not what this is about
    for page in (interactive, report):
        monkeypatch.setattr(page, "html", lambda *_: "a page")
    shutil.copytree(made / "study", "study")
    sizes = '{"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4}'
    os.mkdir("hf")
    Path("hf/config.json").write_text(sizes)
    design = str(made / "design.yaml")
    written = {
        "apply study knee -o d.yaml": "d.yaml",
        f"generate {design} -o rtl --set k_max=64 --set n_max=64": "rtl/manifest.json",
        f"export {design} --flow yosys -o flow --set k_max=64 --set n_max=64": "flow/manifest.json",
        "init first": "first/design.yaml",
        "plot study": "study/pareto.svg",
        "plot study -o figures": "figures/pareto.html",
        "report study": "study/report.html",
        "model import hf --name m -o m.yaml": "m.yaml",
        f"simulate {design} --gemm 1x64x64 --trace t.json": "t.json",
        f"explore {made / 'space.yaml'} -o study": "study/front.csv",
    }
    for line, name in written.items():
        assert run([*line.split(), "-q"]) == 0, line
        Path(name).write_text("mine")
        capsys.readouterr()
        assert run([*line.split(), "-q"]) == 2, line
        said = f"Output must be new or as ternforge wrote it, not a file changed since: {name}"
        assert capsys.readouterr().err == f"{said}; --force replaces it\n"
        assert Path(name).read_text() == "mine"
        assert run([*line.split(), "-q", "--force"]) == 0, line
        assert Path(name).read_text() != "mine"
    assert not list(tmp_path.rglob(".ternforge-draft-*"))


def test_a_point_that_is_infeasible_is_written_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SPACE.rstrip() + "\nconstraints: {clock_mhz: {min: 90000}}\n"
    (tmp_path / "space.yaml").write_text(text)
    study = str(tmp_path / "study")
    assert run(["explore", str(tmp_path / "space.yaml"), "-o", study]) == 1
    capsys.readouterr()
    assert run(["apply", study, "p0", "-o", str(tmp_path / "d.yaml")]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("Point p000000 is infeasible in this study: clock_mhz must be at least 90000\n")
    assert out.startswith(f"wrote {tmp_path / 'd.yaml'}: p000000, ")


SPEC = TernaryLutSpec(mu=2, lut_count=2, fetch_count=2, act_width=8, k_max=64, n_max=8)
A_PATH = "a path (text or pathlib.Path)"
A_DESIGN = f"{A_PATH}, a Design, a Spec or a System"
GIVEN = [
    (
        lambda: ternforge.check({}),
        f"path of ternforge.check must be {A_PATH}, not {{}}; write it to a file first",
    ),
    (
        lambda: ternforge.generate({"family": "x"}, "out"),
        f"design of ternforge.generate must be {A_DESIGN}, not {{'family': 'x'}}; "
        "blueprint.registry.get(FAMILY).from_mapping(PARAMETERS) makes a Spec of a dict",
    ),
    (
        lambda: ternforge.check(registry.get("ternary_lut")),
        f"path of ternforge.check must be {A_PATH}, not the class TernaryLutSpec",
    ),
    (
        lambda: ternforge.check(SPEC),
        f"path of ternforge.check must be {A_PATH}, not a TernaryLutSpec; "
        "blueprint.files.design.write_design(SPEC, PATH) writes one to a file",
    ),
    (
        lambda: ternforge.simulate(SPEC, {"m": 1, "k": 64}),
        f"workload of ternforge.simulate must be {A_PATH}, text such as '1x2560x6912', a Workload or a task, "
        "not {'m': 1, 'k': 64}; Gemm(m, k, n) of blueprint.workloads.tasks is a task",
    ),
    (
        lambda: ternforge.estimate(SPEC, technology=7),
        f"technology of ternforge.estimate must be {A_PATH}, not 7",
    ),
    (
        lambda: ternforge.generate(SPEC, "out", {"mu": 3}),
        "overrides of ternforge.generate must be a dict of texts, not {'mu': 3}; values are texts, as in {'mu': '3'}",
    ),
    (
        lambda: ternforge.technology_import("a.lib", "mine", "mine.yaml"),
        "liberty of ternforge.technology_import must be a list of paths, not 'a.lib'; put one path into a list",
    ),
    (lambda: ternforge.init(None), f"folder of ternforge.init must be {A_PATH}, not None"),
    (
        lambda: ternforge.explore("s.yaml", "s", budget=1.5),
        "budget of ternforge.explore must be an integer, not 1.5",
    ),
    (lambda: ternforge.verify(SPEC, cases=True), "cases of ternforge.verify must be an integer, not True"),
    (lambda: ternforge.init("x", force=1), "force of ternforge.init must be True or False, not 1"),
    (lambda: ternforge.doctor("loud"), "note of ternforge.doctor must be a function of one text, not 'loud'"),
]


@pytest.mark.parametrize(("call", "message"), GIVEN, ids=[message.split(" must")[0] for _, message in GIVEN])
def test_what_a_script_gives_is_refused_by_its_kind(call: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(f'Argument {message}')}$"):
        call()


VALID = {
    "str": "x",
    "int": 1,
    "str | Path": "x",
    "System | str | Path": "x",
    "DesignLike": SPEC,
    "DesignLike | System": SPEC,
    "WorkloadLike": "1x1x1",
    "Sequence[str | Path]": ["x"],
    "Design": Design(SPEC, "x"),
}


@pytest.mark.parametrize("name", [name for name in ternforge.__all__ if name != "__version__"])
def test_every_public_function_checks_every_argument(name: str) -> None:
    function = getattr(ternforge, name)
    parameters = inspect.signature(function).parameters
    needed = {n: VALID[p.annotation] for n, p in parameters.items() if p.default is p.empty}
    for asked in parameters:
        said = rf"^Argument {asked} of ternforge\.{name} must be .*, not an object($|;)"
        with pytest.raises(TypeError, match=said):
            function(**{**needed, asked: object()})
