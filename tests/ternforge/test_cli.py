"""The command line as a user meets it: quick to start, the same options everywhere, honest exit codes."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import ternforge
from blueprint import registry
from ternforge import __version__, cli
from ternforge.cli import run
from ternforge.session import size_columns
from ternforge.shell import LazyGroup
from ternforge.verbs import model

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = str(ROOT / "examples" / "ternary_lut" / "design.yaml")
HEAVY = (
    "numpy",
    "amaranth",
    "matplotlib",
    "scipy",
    "numba",
    "yaml",
    "pyosys",
    "rich",
    "plotly",
    "cocotb",
    "jinja2",
)


def commands(group: LazyGroup = cli.cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every command with the line its group shows for it."""
    context = click.Context(group)
    for name, (_, line) in group.verbs.items():
        yield (*path, name), line
        command = group.get_command(context, name)
        if isinstance(command, LazyGroup):
            yield from commands(command, (*path, name))


#: Modules that help may load, those of the interpreter included: time depends on the machine, this does not.
MODULES = 200


def test_help_loads_nothing_heavy_and_few_modules() -> None:
    code = (
        "import sys; from ternforge.cli import run; code = run(['--help']); "
        f"print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules]); "
        "print('MODULES', len(sys.modules)); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    assert int(done.stdout.split("MODULES")[1]) < MODULES


def test_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ternforge", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"ternforge {__version__}\n"


def test_bare_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    out = capsys.readouterr().out
    assert all(f"  {verb}" in out for verb in cli.cli.verbs)


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_command_has_help_and_the_shared_options(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*path, "--help"]) == 0
    out = capsys.readouterr().out
    assert all(option in out for option in ("--json", "-q, --quiet", "-v, --verbose", "--help"))


def test_a_group_and_its_command_tell_the_same_story() -> None:
    for path, line in commands():
        module = importlib.import_module(cli.cli.verbs[path[0]][0])
        command = getattr(module, f"{path[-1]}_")
        assert command.name == path[-1]
        assert command.help, path
        assert line.endswith("."), path


@pytest.mark.parametrize(
    "arguments", [["--json", "model", "list"], ["model", "--json", "list"], ["model", "list", "--json"]]
)
def test_json_may_stand_anywhere(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 0
    out, err = capsys.readouterr()
    assert len(json.loads(out)["models"]) >= 9
    assert err == ""


def test_quiet_says_nothing_where_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "-q", EXAMPLE]) == 0
    assert capsys.readouterr() == ("", "")


def test_check_prints_a_file_that_checks_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", EXAMPLE, "--set", "mu=3"]) == 0
    resolved = capsys.readouterr().out
    assert "  mu: 3\n" in resolved and "  token_lanes: 1\n" in resolved and "#   peak_macs: 384\n" in resolved
    path = tmp_path / "again.yaml"
    path.write_text(resolved)
    assert run(["check", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == resolved.splitlines()[1:]


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_valid(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--json", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == str(path)


def test_check_of_a_file_that_takes_no_overrides(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(ROOT / "examples" / "ternary_lut" / "workload.yaml")
    assert run(["check", path, "--set", "mu=3"]) == 2
    expected = f"{path}:2:1: schema: file must be a design where --set is given, not ternforge/workload/v1\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("preset", sorted(registry.families()))
def test_init_writes_a_folder_whose_files_all_check(
    preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "first"
    assert run(["init", str(folder), "--preset", preset]) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        ".ternforge.json",
        "README.md",
        "design.yaml",
        "space.yaml",
        "workload.yaml",
    ]
    for path in folder.glob("*.yaml"):
        assert run(["check", str(path)]) == 0
    assert f"family: {preset}\n" in (folder / "design.yaml").read_text()
    arguments = [str(folder / "design.yaml"), "--workload", str(folder / "workload.yaml"), "-q"]
    assert run(["estimate", *arguments]) == 0
    capsys.readouterr()


def test_model_import_writes_a_model_that_can_be_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = {"model_type": "llama", **sizes, "vocab_size": 100, "max_position_embeddings": 64}
    (tmp_path / "config.json").write_text(json.dumps(config))
    out = tmp_path / "mine.yaml"
    assert run(["model", "import", str(tmp_path), "--name", "mine", "--out", str(out)]) == 0
    err = capsys.readouterr().err
    assert "does not say that the weights are ternary" in err and "ignored" not in err
    (tmp_path / "config.json").write_text(json.dumps({**config, "torch_dtype": "bfloat16", "zeal": 1}))
    assert run(["model", "import", str(tmp_path), "--name", "mine", "--out", str(out)]) == 0
    assert "note: not needed and ignored: torch_dtype, zeal\n" in capsys.readouterr().err
    assert run(["model", "show", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["macs"] == 2 * (4 * 64 * 64 + 3 * 64 * 128)


def test_out_refuses_a_folder_of_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert run(["generate", EXAMPLE, "--out", str(tmp_path)]) == 2
    what = "must be new, empty or of an earlier `ternforge generate`, not a folder of other files"
    remedy = "--force replaces those that are in the way and keeps the rest"
    assert capsys.readouterr().err == f"Output folder {what}: {tmp_path}; {remedy}\n"
    assert run(["generate", EXAMPLE, "--out", str(tmp_path / "thesis.tex")]) == 2
    assert "Output must be a folder, not an existing file" in capsys.readouterr().err
    assert run(["generate", EXAMPLE, "--out", str(tmp_path / "thesis.tex" / "deep")]) == 2
    assert "Output must lie in a folder, not under the file" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "models", interrupted)
    assert run(["model", "list"]) == 130
    out, err = capsys.readouterr()
    what = "nothing was written, and the same command starts again: ternforge model list"
    assert (out, err.strip()) == ("", f"Interrupted; {what}")


def test_a_bug_is_owned_up_to_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(model, "models", broken)
    assert run(["model", "list"]) == 70
    message = "Internal error, please report it: ZeroDivisionError: division by zero"
    assert capsys.readouterr() == ("", f"{message}; -vv shows where\n")
    assert run(["model", "list", "-vv"]) == 70
    err = capsys.readouterr().err
    assert "Traceback" in err and err.endswith(message + "\n")


def test_a_failed_tool_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from toolchain.process import ToolError

    def failed() -> None:
        raise ToolError("yosys", "ended with code 1", "ERROR: no such cell\nmore\n")

    monkeypatch.setattr(model, "models", failed)
    assert run(["model", "list", "--json"]) == 2
    out, err = capsys.readouterr()
    assert err == "yosys ended with code 1: ERROR: no such cell\n"
    assert json.loads(out) == {"error": err.rstrip("\n")}


def test_a_reader_that_stops_early_is_no_error() -> None:
    line = f"{sys.executable} -m ternforge model list | head -n 1; echo codes ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "" and done.stdout.endswith("codes 0\n")


def test_public_functions_are_at_hand() -> None:
    from ternforge.verbs.estimate import estimate

    assert inspect.unwrap(ternforge.estimate) is estimate
    with pytest.raises(AttributeError, match="^module 'ternforge' has no attribute 'estimat'$"):
        _ = ternforge.estimat  # type: ignore[attr-defined]


def test_json_has_no_numbers_that_json_does_not_know() -> None:
    import numpy as np

    from ternforge.session import plain

    strange = {"a": np.float64("nan"), 1: np.arange(2), "c": (np.int64(3), float("inf")), "d": np.bool_(True)}
    assert (
        json.dumps(plain(strange), allow_nan=False) == '{"a": null, "1": [0, 1], "c": [3, null], "d": true}'
    )


def loaded(code: str, *names: str) -> list[str]:
    """Which of some modules a new interpreter has loaded after running ``code``."""
    code = f"import sys\n{code}\nprint([name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout.replace("'", '"'))
    return found


def test_an_estimate_needs_no_explorer_no_generator_and_no_simulator() -> None:
    asked = f"ternforge.estimate({EXAMPLE!r}, workload='1x64x64')"
    assert loaded(f"import ternforge\n{asked}", "dse", "generator", "simulator", "costmodel") == ["costmodel"]
    space = str(ROOT / "examples" / "ternary_lut" / "space.yaml")
    asked = f"ternforge.estimate({EXAMPLE!r}, space={space!r})"
    assert loaded(f"import ternforge\n{asked}", "dse", "generator", "simulator") == ["dse"]


def test_declaring_a_verb_loads_no_tool() -> None:
    """Help and the completion of a shell load a command's module."""
    modules = [module for module, _ in cli.cli.verbs.values()]
    heavy = [name for name in HEAVY if name != "yaml"]
    assert loaded(f"import {', '.join(modules)}", *heavy, "ternforge.commands.plot") == [
        "ternforge.commands.plot"
    ]


@pytest.mark.parametrize("verb", ["verify", "simulate"])
def test_help_says_which_seed_is_taken_without_one(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert re.search(r"Seed of everything random\. \[default: 1[;\]]", text), text


def test_sizes_of_a_layer_stand_between_its_name_and_its_count() -> None:
    layers = [{"name": "q", "m": 1, "k": 2, "n": 3, "count": 4, "cycles": 5}]
    assert size_columns(layers) == ["m", "k", "n"]
