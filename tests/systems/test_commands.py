"""``compile`` and ``simulate`` of a system on the command line: what is refused, and that nothing is written."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import ternforge
from ternforge import cli, decoders, shaped

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SYSTEM, MODEL = EXAMPLES / "tiny_decoder" / "system.yaml", EXAMPLES / "tiny_lm" / "tiny_kjv"
#: The same with attention in floats.
FLOATS = EXAMPLES.parent / "benchmarks" / "tiny_fp16.yaml"


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The error of a command, which must be one sentence and exit code 2."""
    assert cli.run([str(one) for one in arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error.strip()


def simulate(
    *arguments: object, system: Path = SYSTEM, model: Path = MODEL, prompt: str = "And"
) -> list[object]:
    return ["simulate", system, "--checkpoint", model, "--prompt", prompt, *arguments]


def edited(tmp_path: Path, old: str, new: str) -> Path:
    """The preset with one text replaced."""
    text = SYSTEM.read_text()
    assert old in text
    path = tmp_path / "system.yaml"
    path.write_text(text.replace(old, new))
    return path


REFUSED: dict[str, tuple[Callable[[Path], list[object]], str]] = {
    "more tokens than the context": (
        lambda _: simulate("--tokens", 256, prompt="In the beginning"),
        "Prompt and tokens behind it must fit the context of 256 of tiny_kjv, not be 8 and 256",
    ),
    "no prompt": (
        lambda _: ["simulate", SYSTEM, "--checkpoint", MODEL],
        "A system must be given a checkpoint and a prompt, or a model or a context, to be simulated",
    ),
    "a workload": (
        lambda _: simulate("--gemm", "1x2x3"),
        "workload (--workload or --gemm) must be given for a design, not for a system",
    ),
    "parameters to set": (
        lambda _: simulate("--set", "mu=2"),
        "overrides (--set) must be given for a design, not for a system",
    ),
    "a profile of stalls": (
        lambda _: simulate("--stall", "random_50"),
        "stall must be given for a design, not for a system",
    ),
    "a seed": (
        lambda _: simulate("--seed", 3),
        "Temperature must be above 0 for a system where a seed is given, not 0",
    ),
    "the seed that is taken where none is given": (
        lambda _: simulate("--seed", 1),
        "Temperature must be above 0 for a system where a seed is given, not 0",
    ),
    "a seed beside a temperature of 0": (
        lambda _: simulate("--seed", 0, "--temperature", 0),
        "Temperature must be above 0 for a system where a seed is given, not 0",
    ),
    "a seed of the reference without a temperature": (
        lambda _: ["model", "generate", MODEL, "--prompt", "And", "--seed", 1],
        "Temperature must be above 0 for a text where a seed is given, not 0",
    ),
    "a seed that no register holds": (
        lambda _: simulate("--temperature", 0.8, "--seed", 4294967294),
        "Invalid value for '--seed': it must be an integer from 0 to 4294967293, not '4294967294'",
    ),
    "the largest seed of a vector unit that does not draw": (
        lambda _: simulate("--temperature", 0.8, "--seed", 4294967293),
        "The vector unit must draw tokens: samples must be true for temperature 0.8",
    ),
    "a temperature that 64 bits do not hold": (
        lambda _: simulate("--temperature", "1e-400"),
        "Invalid value for '--temperature': it must be 0 or large enough for 64 bits, not '1e-400'",
    ),
    "a seed to verify": (
        lambda _: ["verify", *simulate()[1:], "--seed", 3],
        "Temperature must be above 0 for a system where a seed is given, not 0",
    ),
    "a temperature that the vector unit does not have": (
        lambda _: simulate("--temperature", 0.8, "--seed", 3),
        "The vector unit must draw tokens: samples must be true for temperature 0.8",
    ),
    "a temperature to verify that the vector unit does not have": (
        lambda _: ["verify", *simulate()[1:], "--temperature", 0.8],
        "The vector unit must draw tokens: samples must be true for temperature 0.8",
    ),
    "the most likely tokens without a temperature": (
        lambda _: simulate("--top-k", 3),
        "Temperature must be above 0 for a system where top_k is given, not 0",
    ),
    "the most likely tokens to verify without a temperature": (
        lambda _: ["verify", *simulate()[1:], "--top-k", 3],
        "Temperature must be above 0 for a system where top_k is given, not 0",
    ),
    "the most likely tokens of the reference without a temperature": (
        lambda _: ["model", "generate", MODEL, "--prompt", "And", "--top-k", 3],
        "Temperature must be above 0 for a text where top_k is given, not 0",
    ),
    "more of the most likely tokens than any unit has places for": (
        lambda _: simulate("--temperature", 0.8, "--top-k", 65),
        "Invalid value for '--top-k': it must be an integer from 1 to 64, not '65'",
    ),
    "the most likely tokens of a unit that has no places": (
        lambda _: simulate("--temperature", 0.8, "--top-k", 3),
        "The vector unit must draw tokens: samples must be true for temperature 0.8",
    ),
    "the most likely tokens of shapes": (
        lambda _: ["simulate", SYSTEM, "--context", 3, "--top-k", 1],
        "top_k must be given with a checkpoint, not for shapes alone",
    ),
    "a temperature that is too high": (
        lambda _: simulate("--temperature", 200),
        "Temperature must be 0 or from 0.01 to 100, not 200",
    ),
    "a temperature that is too low for the reference": (
        lambda _: ["model", "generate", MODEL, "--prompt", "And", "--temperature", -1],
        "Temperature must be 0 or from 0.01 to 100, not -1",
    ),
    "a temperature that is no number": (
        lambda _: simulate("--temperature", "hot"),
        "Invalid value for '--temperature': it must be a number, not 'hot'",
    ),
    "a temperature of shapes": (
        lambda _: ["simulate", SYSTEM, "--context", 3, "--temperature", 1],
        "temperature must be given with a checkpoint, not for shapes alone",
    ),
    "a temperature of a design": (
        lambda _: [
            "simulate",
            EXAMPLES / "vector" / "design.yaml",
            "--gemm",
            "1x2x3",
            "--temperature",
            1,
        ],
        "temperature must be given for a system, not for a design",
    ),
    "more sequences than the staging of the preset holds": (
        lambda _: simulate("--beside", "And"),
        "Batch must be at most 1, the tokens that share what was loaded (model.block of the system), not 2",
    ),
    "more sequences of shapes than staging holds": (
        lambda tmp: [
            "simulate",
            edited(tmp, "block: 1", "block: 4"),
            "--context",
            3,
            "--batch",
            5,
        ],
        "Batch must be at most 4, the tokens that share what was loaded (model.block of the system), not 5",
    ),
    "more sequences than an estimate has staging for": (
        lambda _: ["estimate", SYSTEM, "--batch", 2],
        "Batch must be at most 1, the tokens that share what was loaded (model.block of the system), not 2",
    ),
    "more sequences than a compiled image can have": (
        lambda tmp: ["compile", SYSTEM, "--checkpoint", MODEL, "--out", tmp / "image", "--batch", 2],
        "Batch must be at most 1, the tokens that share what was loaded (model.block of the system), not 2",
    ),
    "an estimate of more sequences than a system without programs takes": (
        lambda _: ["estimate", EXAMPLES / "hbm_2b4t" / "system.yaml", "--batch", 2],
        "Batch must be 1 for a system without programs, not 2: Work positions must be run by a unit for "
        "hardware of a whole system, not by the host",
    ),
    "a part of a trace of nothing": (
        lambda _: ["simulate", SYSTEM, "--window", "L1"],
        "A system must be given a checkpoint and a prompt, or a model or a context, to be simulated",
    ),
    "sequences of the largest model": (
        lambda _: ["simulate", SYSTEM, "--batch", 2],
        "Batch must be at most 1, the tokens that share what was loaded (model.block of the system), not 2",
    ),
    "a batch beside prompts": (
        lambda _: simulate("--batch", 2),
        "batch must be given without a checkpoint, whose prompts are as many",
    ),
    "other prompts of shapes": (
        lambda _: ["simulate", SYSTEM, "--context", 3, "--beside", "And"],
        "beside must be given with a checkpoint, not for shapes alone",
    ),
    "a batch of a design": (
        lambda _: ["simulate", EXAMPLES / "vector" / "design.yaml", "--gemm", "1x2x3", "--batch", 2],
        "batch must be given for a system, not for a design",
    ),
    "an estimate of a batch of a design": (
        lambda _: ["estimate", EXAMPLES / "vector" / "design.yaml", "--batch", 2],
        "batch must be given for a system, not for a design",
    ),
    "no values": (
        lambda _: simulate("--no-values"),
        "values (--no-values) must be given for a design, not for a system",
    ),
    "runs of a design": (
        lambda _: ["verify", *simulate()[1:], "--cases", 3],
        "cases must be given for a design, not for a system",
    ),
    "a calibration beside an image": (
        lambda tmp: simulate("--image", tmp, "--calibrate", written(tmp / "text.txt", "And")),
        "calibrate must not be given beside an image, whose steps were measured when it was compiled",
    ),
    "a prompt of other bytes": (
        lambda _: simulate(prompt="\udcff\udcfe"),
        "Prompt must be text in UTF-8, not '\\udcff\\udcfe'",
    ),
    "a design to compile": (
        lambda tmp: [
            "compile",
            EXAMPLES / "vector" / "design.yaml",
            "--checkpoint",
            MODEL,
            "--out",
            tmp / "image",
        ],
        f"{EXAMPLES / 'vector' / 'design.yaml'}:2:1: schema: file must be a system, not a design, "
        "which `ternforge generate` takes",
    ),
    "an unknown technology": (
        lambda tmp: ["estimate", edited(tmp, "technology: asap7", "technology: asap8")],
        "{tmp}/system.yaml:4:1: technology: Technology must be one of asap7, ihp_sg13g2, sky130hd, or a file, "
        "not 'asap8'; did you mean 'asap7'?",
    ),
    "an unknown technology, before anything is compiled": (
        lambda tmp: simulate(
            "--trace", tmp / "run.json", system=edited(tmp, "technology: asap7", "technology: asap8")
        ),
        "{tmp}/system.yaml:4:1: technology: Technology must be one of asap7, ihp_sg13g2, sky130hd, or a file, "
        "not 'asap8'; did you mean 'asap7'?",
    ),
    "an unknown technology of shapes": (
        lambda tmp: ["simulate", edited(tmp, "technology: asap7", "technology: asap8"), "--context", 3],
        "{tmp}/system.yaml:4:1: technology: Technology must be one of asap7, ihp_sg13g2, sky130hd, or a file, "
        "not 'asap8'; did you mean 'asap7'?",
    ),
    "a link to itself": (
        lambda tmp: ["check", linked(tmp / "loop.yaml")],
        "{tmp}/loop.yaml:1:1: file must exist, and is a link to what does not: {tmp}/loop.yaml",
    ),
    "memory of an unknown source": (
        lambda tmp: ["check", edited(tmp, '"assumed: a 16-bit DDR3-800 as on small boards"', "' '")],
        "{tmp}/system.yaml:45:3: memory.source: source must say where the numbers are from, and is empty",
    ),
    "attention of several queries a key, which no program has": (
        lambda tmp: ["check", edited(tmp, "parallel: 1", "parallel: 2")],
        "{tmp}/system.yaml:22:7: units.attention.parameters.parallel: The attention unit must take one query, each "
        "element of its 2 heads once (parallel 1, whole groups), and this design does not",
    ),
    "lanes whose beats no memory port moves": (
        lambda tmp: ["check", edited(tmp, "lanes: 4", "lanes: 6")],
        "{tmp}/system.yaml:6:1: units: A beat of field operand of vector must be a part or a multiple of the memory "
        "port's 8 bytes in memory, not 12 bytes",
    ),
    "a design with a prompt": (
        lambda _: ["simulate", EXAMPLES / "vector" / "design.yaml", "--gemm", "1x2x3", "--prompt", "And"],
        "prompt must be given for a system, not for a design",
    ),
    "a vocabulary of more tokens than the system's largest": (
        lambda tmp: simulate(system=edited(tmp, "  vocab: 1024", "  vocab: 1000")),
        "vocab of tiny_kjv must be at most 1000, the largest of tiny_decoder, not 1024",
    ),
    "no clock": (
        lambda tmp: simulate(system=edited(tmp, "clock_mhz: 200\n", "")),
        "clock_mhz must be there to simulate a system, and is missing",
    ),
    "no image": (
        lambda tmp: simulate("--image", tmp),
        "{tmp}/image.json:1:1: file must exist, and there is none; compile writes it",
    ),
    "a calibration of floats": (
        lambda tmp: [*simulate(system=FLOATS), "--calibrate", written(tmp / "text.txt", "And")],
        "calibrate must be given where attention has steps, and that of tiny_fp16 takes fp16, which has none",
    ),
    "an empty calibration": (
        lambda tmp: [*simulate(), "--calibrate", written(tmp / "empty.txt", "")],
        "{tmp}/empty.txt:1:1: file must have text to measure steps on, and is empty",
    ),
}


def test_floats_are_compiled_without_a_calibration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "image"
    assert cli.run([str(one) for one in ("compile", FLOATS, "--checkpoint", MODEL, "--out", out)]) == 0
    captured = capsys.readouterr()
    assert "steps" not in captured.out + captured.err
    said = json.loads((out / "image.json").read_text())
    assert (said["steps"], said["calibrated_on"], said["hardware"]) == ([], "", "tiny_fp16")
    sizes = {region["name"]: region["size"] for region in said["regions"]}
    assert sizes["keys 0"] == sizes["values 3"] == 256 * 4 * 32 * 2


def linked(path: Path) -> Path:
    path.symlink_to(path)
    return path


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, message = REFUSED[what]
    assert told(capsys, *arguments(tmp_path)).removeprefix("error: ") == message.format(tmp=tmp_path)


def test_a_truncated_checkpoint_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])
    out = tmp_path / "image"
    error = told(capsys, "compile", SYSTEM, "--checkpoint", model, "--out", out)
    assert re.search(re.escape(str(weights)) + ":1:1: ", error)
    assert not out.exists()


def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], system: Path) -> str:
    """The sentence with which `compile` refuses a system; nothing is written."""
    error = told(capsys, "compile", system, "--checkpoint", MODEL, "--out", tmp_path / "image")
    assert not (tmp_path / "image").exists()
    return error.removeprefix("error: ")


def test_memory_without_room_for_the_programs_is_refused_where_the_system_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).parents[2] / "benchmarks" / "decoders" / "tables.yaml").read_text()
    for old, new in (
        ("context: 12", "context: 600"), ("keys_max: 12", "keys_max: 600"), ("rows_max: 64", "rows_max: 4096"),
        ("cache: 1024", "cache: 16384"), ("activations: 65536", "activations: 16777216"), ("block: 1", "block: 256"),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    path = written(tmp_path / "system.yaml", text)
    line = 1 + text[: text.index("size_mib")].count("\n")
    what = f"{path}:{line}:3: memory.size_mib: size_mib must be at least 2 for the image of tables, not 1"
    assert told(capsys, "check", path) == what
    path.write_text(text.replace("block: 256", "block: 128"))
    assert cli.run(["check", str(path)]) == 0


def test_a_batch_of_shapes_has_the_tokens_of_all_its_sequences(tmp_path: Path) -> None:
    system = edited(tmp_path, "block: 1", "block: 4")
    exact, said = (
        verb(system, context=3, prompt=3, batch=4) for verb in (ternforge.simulate, ternforge.estimate)
    )
    for shown in (list(shaped.lines(exact)), list(decoders.lines(said))):
        assert sum(line.startswith("decode: a token behind 3, each of 4 sequences") for line in shown) == 1
        assert sum(line.startswith("prefill: a prompt of 3") and "4 sequences" in line for line in shown) == 1
    for phase, tokens in (("decode", 4), ("prefill", 12)):
        one, other = exact["phases"][phase], said["phases"][phase]
        assert (exact["batch"], one["tokens"], other["tokens"]) == (4, tokens, tokens)
        assert one["cycles"] == pytest.approx(other["cycles"], rel=0.01)
        assert sum(one["traffic_bytes"].values()) == other["bytes"]
    assert exact["tokens_per_second"] == pytest.approx(4 / exact["phases"]["decode"]["seconds"])
    assert said["tokens_per_second"] == pytest.approx(exact["tokens_per_second"], rel=0.01)
    assert said["energy_pj_per_token"] == pytest.approx(said["phases"]["decode"]["energy_pj"] / 4)
    assert said["energy_pj_per_token"] == pytest.approx(
        exact["phases"]["decode"]["energy_pj_per_token"], rel=0.01
    )


def test_a_system_with_a_second_vector_unit_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = (
        "  second:\n    family: vector\n    runs: [positions]\n    parameters: {lanes: 4, length_max: 768, "
        "rows_max: 1024, rotates: true}\n  attention:\n"
    )
    path = edited(tmp_path, "  attention:\n", other)
    ones = (
        "one for products, one for attention, one for elements, at most one for scores of the head and at most one "
        "for products of a prompt"
    )
    assert refused(tmp_path, capsys, path) == f"Units of a whole system must be {ones}, and second is another"


def test_a_unit_whose_cycles_depend_on_its_operands_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Elements that take a cycle a digit: what a program takes would not follow from it."""
    serial = (
        "    family: systolic\n    parameters: {organization: output_stationary, pe: opt4e, rows: 1, cols: 8, "
        "dot_length: 4, act_width: 8, weight_width: 2, k_max: 768, n_max: 1024}\n"
    )
    whole = Path(SYSTEM).read_text()
    before, after = whole.index("    family: ternary_lut"), whole.index("  attention:")
    path = edited(tmp_path, whole[before:after], serial)
    what = "Cycles of unit matrix must not depend on its operands in hardware of a whole system"
    assert refused(tmp_path, capsys, path) == f"{what}, which is timed by sizes"
