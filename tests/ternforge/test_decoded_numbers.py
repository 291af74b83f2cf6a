"""Every number of a prompt on a system, counted again from its instructions, and what is compared with the RTL."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import random_models
from blueprint.errors import ParamError
from blueprint.systems import control
from blueprint.systems.description import System
from blueprint.systems.instructions import WORD_BYTES
from blueprint.systems.memory_port import BEHAVIORS, of_memory
from blueprint.systems.reader import read_system
from blueprint.workloads.model import Model
from checkpoints import packed_folder
from checkpoints.checkpoint import Checkpoint
from compiler.prompts import DECODE, PROMPT
from generator import system_export
from simulator.systems import decoding, rtl
from ternforge.cli import run
from ternforge.decoding import (
    Asked,
    compile_lines,
    compile_system,
    drawn_by,
    opened,
    picture_of,
    port,
    prompts_of,
    simulate_lines,
)
from ternforge.decoding import simulate_system as simulate
from ternforge.proving import verify_lines, verify_system
from tests.checkpoints import tiny

PRESET = Path(__file__).resolve().parents[2] / "examples" / "tiny_decoder" / "system.yaml"
MODEL = Model(
    name="few", title="few", source="memory", hidden=64, ffn=96, layers=2, heads=2, kv_heads=1, head_dim=32,
    vocab=300, context=40, activation="relu2", tied_embeddings=True, sub_norms=True,
)  # fmt: skip
PROMPT_TEXT, COUNT = "In the", 3


def prompt_of(trained: Checkpoint, asked: Asked) -> list[int]:
    """Tokens of the only prompt."""
    (given,) = prompts_of(trained, asked)
    return given


@dataclass(frozen=True)
class Placed:
    """A system, a checkpoint in a folder, a text to measure steps on, and the image of both."""

    system: System
    checkpoint: Path
    text: Path
    image: Path

    def asked(self, **more: Any) -> Asked:
        """A prompt on the image that was compiled before."""
        return Asked(PROMPT_TEXT, **{"tokens": COUNT, "image": self.image, **more})


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Placed:
    path = tmp_path_factory.mktemp("few")
    words = tiny.vocabulary(path / "words")
    made = random_models.checkpoint(MODEL, 3)
    made = replace(made, vocabulary=words, decoder=replace(made.decoder, bos=1))
    (path / "few").mkdir()
    packed_folder.write(made, path / "few")
    (path / "text").write_text(tiny.TEXT[:60])
    system = read_system(PRESET)
    found = Placed(system, path / "few", path / "text", path / "image")
    answer = compile_system(system, found.checkpoint, found.image, found.text)
    assert answer["calibrated_on"] == str(found.text)
    return found


@pytest.fixture(scope="module")
def decoded(placed: Placed) -> decoding.Decoded:
    trained, hardware = opened(placed.checkpoint), control.hardware(placed.system)
    picture = picture_of(placed.system, hardware, trained, placed.asked(), lambda _: None)
    given = prompt_of(trained, placed.asked())
    memory = of_memory(placed.system.memory, 200.0)
    return decoding.decode(hardware, picture, given, COUNT, memory)


def test_a_prompt_begins_with_its_token_and_fits(placed: Placed) -> None:
    trained = opened(placed.checkpoint)
    assert trained.vocabulary is not None
    words = trained.vocabulary.encode(PROMPT_TEXT)
    assert prompt_of(trained, placed.asked()) == [1, *words]
    plain = replace(trained, decoder=replace(trained.decoder, bos=None))
    assert prompt_of(plain, placed.asked()) == words
    left = MODEL.context - len(words)
    assert prompt_of(trained, placed.asked(tokens=left))
    told = f"^Prompt and tokens behind it must fit the context of 40 of few, not be {len(words) + 1} and {left + 1}$"
    with pytest.raises(ParamError, match=told):
        prompt_of(trained, placed.asked(tokens=left + 1))
    assert drawn_by(Asked("x", temperature=0.5, seed=3)) == {"temperature": 0.5, "seed": 3}
    assert drawn_by(Asked("x", seed=3)) == {}


def test_memory_is_the_systems_or_one_of_a_name(placed: Placed) -> None:
    assert port(placed.system, "system", 200.0) == of_memory(placed.system.memory, 200.0)
    assert port(placed.system, "half", 200.0) == replace(BEHAVIORS["half"], size=16 << 20)


def test_numbers_of_a_prompt_follow_from_its_instructions(placed: Placed, decoded: decoding.Decoded) -> None:
    answer, trained = simulate(placed.system, placed.checkpoint, placed.asked()), opened(placed.checkpoint)
    given = prompt_of(trained, placed.asked())
    passes = len(given) - 1 + COUNT
    assert trained.vocabulary is not None and len(given) > 2
    assert (answer["prompt_tokens"], answer["tokens"]) == (given, decoded.tokens)
    assert answer["text"] == trained.vocabulary.decode(decoded.tokens) and len(decoded.tokens) == COUNT
    assert (answer["model"], answer["system"], answer["memory"]) == (MODEL.name, "tiny_decoder", "system")
    assert answer["design_hash"] == control.hardware(placed.system).design_hash
    assert (answer["cycles"], answer["seconds"]) == (decoded.cycles, decoded.cycles / 200e6)

    ends = [0] * passes
    for spans in decoded.trace.spans.values():
        for span in spans:
            ends[span.place] = max(ends[span.place], span.end + 1)
    mine = [end - (ends[place - 1] if place else 0) for place, end in enumerate(ends)]
    assert answer["cycles_by_pass"] == mine and sum(mine) == ends[-1]
    first = len(given) - 1  # passes of the prompt come before the first that chooses a token
    assert answer["time_to_first_token_s"] == pytest.approx(ends[first] / 200e6)
    assert answer["tokens_per_second"] == pytest.approx(COUNT * 200e6 / (ends[-1] - ends[first - 1]))

    started = {
        unit: [range(span.begin, span.end + 1) for span in spans if span.text.kind == "start"]
        for unit, spans in decoded.trace.spans.items()
    }
    busy = {unit: len(set().union(*map(set, ranges))) for unit, ranges in started.items()}
    assert answer["busy"] == pytest.approx({unit: cycles / decoded.cycles for unit, cycles in busy.items()})
    layers: Counter[str] = Counter()
    for each in answer["layers"].values():
        layers.update(each)
    assert dict(layers) == {unit: sum(map(len, ranges)) for unit, ranges in started.items()}
    assert set(answer["layers"]) == {"-", "L0", "L1", "head"}

    description = json.loads((placed.image / "image.json").read_text())["programs"]
    fetched = WORD_BYTES * (
        first * description[PROMPT]["instructions"] + COUNT * description[DECODE]["instructions"]
    )
    assert answer["traffic_bytes"]["program fetch"] == fetched
    moved = sum(size for each in decoding.transfers(decoded.trace).values() for _, size in each)
    assert sum(answer["traffic_bytes"].values()) == moved + fetched
    weights = [value for key, value in answer["traffic_bytes"].items() if key.startswith("weights")]
    of_a_pass = {name: sum(note[-1] for note in one["notes"] if note[3]) for name, one in description.items()}
    assert weights == [first * of_a_pass[PROMPT] + COUNT * of_a_pass[DECODE]]


def test_work_is_that_of_the_model(placed: Placed, decoded: decoding.Decoded) -> None:
    work = decoding.tasks(control.hardware(placed.system), decoded.trace)
    query, keys = MODEL.heads * MODEL.head_dim, MODEL.kv_heads * MODEL.head_dim
    layer = MODEL.hidden * (2 * query + 2 * keys + 3 * MODEL.ffn)
    # Of the last layer a pass of the prompt needs keys and values alone.
    prompt, decode = layer + MODEL.hidden * 2 * keys, 2 * layer
    wanted = prompt * decoded.passes.count(PROMPT) + decode * decoded.passes.count(DECODE)
    assert sum(task.macs for _, task in work["matrix"]) == wanted


def test_energy_is_of_the_cycles_bytes_and_work_of_the_prompt(placed: Placed) -> None:
    short = simulate(placed.system, placed.checkpoint, placed.asked(tokens=1))
    long = simulate(placed.system, placed.checkpoint, placed.asked())
    other = simulate(placed.system, placed.checkpoint, placed.asked(technology="sky130hd"))
    assert long["energy_pj_per_token"] != other["energy_pj_per_token"]
    for answer in (short, long):
        passes = len(answer["cycles_by_pass"])
        parts = answer["energy_pj"]
        assert answer["energy_pj_per_token"] * passes == pytest.approx(sum(parts.values()))
        assert parts["memory"] == pytest.approx(20 * 8 * sum(answer["traffic_bytes"].values()))


def test_the_command_tells_the_text_and_the_numbers_of_a_prompt(
    placed: Placed, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--checkpoint",
        placed.checkpoint,
        "--image",
        placed.image,
        "--prompt",
        PROMPT_TEXT,
        "--tokens",
        1,
    ]
    assert run(["simulate", str(PRESET), *map(str, words)]) == 0
    lines = capsys.readouterr().out.splitlines()
    answer = simulate(placed.system, placed.checkpoint, placed.asked(tokens=1))
    assert lines == list(simulate_lines(answer))
    text = "\n".join(lines)
    assert f"{PROMPT_TEXT}{answer['text']}" in text and f"{answer['cycles']:,}" in text


def test_an_image_is_as_good_as_compiling_again(placed: Placed, tmp_path: Path) -> None:
    said: list[str] = []
    again = simulate(
        placed.system,
        placed.checkpoint,
        replace(placed.asked(image=None), calibrate=placed.text),
        said.append,
    )
    assert again == simulate(placed.system, placed.checkpoint, placed.asked())
    own = simulate(placed.system, placed.checkpoint, placed.asked(image=None, tokens=1), said.append)
    assert "measuring steps on 256 tokens of the model's own" in said
    assert own["prompt_tokens"] == again["prompt_tokens"]


def test_a_trace_is_written_beside_the_answer(placed: Placed, tmp_path: Path) -> None:
    answer = simulate(placed.system, placed.checkpoint, placed.asked(tokens=1, trace=tmp_path / "t.json"))
    assert answer["trace"] == tmp_path / "t.json"
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert max(event["ts"] + event.get("dur", 0) for event in events if "ts" in event) == pytest.approx(
        answer["cycles"] / 200.0, rel=0.01
    )


def test_a_compiled_folder_is_told_in_its_numbers(placed: Placed, tmp_path: Path) -> None:
    answer = compile_system(placed.system, placed.checkpoint, tmp_path / "image", placed.text)
    lines = list(compile_lines(answer))
    description = json.loads((tmp_path / "image" / "image.json").read_text())
    assert lines[0] == f"few on tiny_decoder: wrote {tmp_path / 'image'}"
    for name, program in answer["programs"].items():
        kept = description["programs"][name]
        assert (program["instructions"], program["page"]) == (kept["instructions"], kept["page"])
        assert program["bytes"] == sum(note[-1] for note in kept["notes"]) and program["cycles"] > 1000
        row = next(line for line in lines if line.split()[:1] == [name])
        assert row.replace(",", "").split()[1:] == [
            str(program[key]) for key in ("instructions", "bytes", "cycles")
        ]
    assert lines[-2] == (
        f"image of {description['bytes']:,} bytes, memory of {description['memory_bytes']:,}; design "
        f"{description['design_hash']}"
    )
    assert lines[-1] == f"steps of keys, values and queries measured on {placed.text}"
    assert [region["name"] for region in answer["regions"]] == [r["name"] for r in description["regions"]]
    assert lines[:-1] == list(compile_lines({**answer, "calibrated_on": ""}))


# The RTL, played by the simulator ------------------------------------------------------------------------------------


@pytest.fixture
def played(
    placed: Placed, decoded: decoding.Decoded, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """The answer of a comparison with an RTL that does what the simulator does, but for some change."""
    data = (placed.image / "image.bin").read_bytes()

    def run(
        cycles: int = 0,
        status: int | None = None,
        tokens: list[int] | None = None,
        late: int = 0,
        at: int = -1,
    ) -> dict[str, Any]:
        jobs: list[Any] = []

        def simulated(bench: Path, hardware: Any, memory: bytes, asked: list[Any], timeout_s: float) -> Any:
            jobs.append((bench, memory, asked, timeout_s))
            ends = ("end", "landed")  # loads end in the order of their begins
            steps = [
                rtl.Step(cycle + late * (number == 7), what, unit)
                for unit, spans in decoded.trace.spans.items()
                for number, span in enumerate(spans)
                for what, cycle in (
                    ("begin", span.begin),
                    (ends[unit == "load" and span.text.kind == "start"], span.end),
                )
            ]
            left = bytearray(decoded.memory + memory[len(decoded.memory) :])
            if tokens is not None:
                place = description["tokens"] + 4 * (description["prompt"] - len(tokens) + COUNT)
                left[place : place + 4] = tokens[0].to_bytes(4, "little")
            if at >= 0:
                left[at] ^= 1
            done = {name: low for name, (low, _) in control.STATUS.items()}["done"]
            word = 1 << done if status is None else status
            return [
                rtl.Found(
                    sorted(steps, key=lambda step: step.cycle), {"status": word}, cycles or decoded.cycles
                )
            ], bytes(left)

        description = json.loads((placed.image / "image.json").read_text())
        description["prompt"] = len(prompt_of(opened(placed.checkpoint), placed.asked()))
        monkeypatch.setattr(system_export, "write_system", lambda hardware, out: {"written": str(out)})
        monkeypatch.setattr(rtl, "of_folder", lambda hardware, manifest, out: Path("bench"))
        monkeypatch.setattr(rtl, "run", simulated)
        answer = verify_system(placed.system, placed.checkpoint, placed.asked())
        [(bench, memory, [job], timeout_s)] = jobs
        assert (bench, timeout_s, job.cut) == (Path("bench"), 24 * 3600, decoded.cycles + 10_000)
        assert memory[description["base"] :] == data and len(memory) == description["memory_bytes"]
        given = prompt_of(opened(placed.checkpoint), placed.asked())
        first = description["tokens"]
        assert memory[first : first + 4 * len(given)] == b"".join(
            token.to_bytes(4, "little") for token in given
        )
        answer["registers"] = job.registers
        return answer

    return run


def test_an_rtl_that_does_the_same_is_ok(
    placed: Placed, decoded: decoding.Decoded, played: Callable[..., dict[str, Any]]
) -> None:
    answer = played()
    assert answer["ok"] and answer["findings"] == [] and answer["status"] == {"done": 1}
    assert answer["tokens"] == answer["tokens_simulator"] == decoded.tokens
    assert answer["cycles_rtl"] == answer["cycles_simulator"] == decoded.cycles
    assert answer["instructions"] == sum(map(len, decoded.trace.spans.values()))
    lines = list(verify_lines(answer))
    assert lines[1] == f"{PROMPT_TEXT}{answer['text']}"
    assert lines[2] == (
        f"3 tokens, {answer['instructions']:,} instructions, {decoded.cycles:,} cycles of the RTL, "
        f"{decoded.cycles:,} of the simulator"
    )
    assert lines[3].startswith("ok: ") and len(lines) == 4
    description = json.loads((placed.image / "image.json").read_text())
    programs, number = description["programs"], int(description["design_hash"], 16)
    given = prompt_of(opened(placed.checkpoint), placed.asked())
    assert answer["registers"] == {
        "prompt_page": programs[PROMPT]["page"],
        "prompt_length": programs[PROMPT]["instructions"],
        "decode_page": programs[DECODE]["page"],
        "decode_length": programs[DECODE]["instructions"],
        "position": 0,
        "prompt_passes": len(given) - 1,
        "decode_passes": COUNT,
        "image_lo": number % (1 << 32),
        "image_hi": number // (1 << 32),
        "interrupt": 3,
    }


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cycles": -1}, "the program must end in cycle {cycles}, and runs in {cut} still"),
        ({"cycles": 1}, "the interrupt must come in cycle {cycles}, not 1"),
        ({"status": 0}, "status must be done, not {{}}"),
        ({"tokens": [299]}, "tokens must be {tokens}, not {others}"),
        ({"at": 0}, "1 bytes of memory differ, the first at 0x0: "),
        ({"late": 1}, "load: instruction 7 "),
    ],
)
def test_what_the_rtl_does_otherwise_is_told(
    change: dict[str, Any], told: str, decoded: decoding.Decoded, played: Callable[..., dict[str, Any]]
) -> None:
    answer = played(**change)
    words = told.format(
        cycles=decoded.cycles, cut=decoded.cycles + 10_000, tokens=decoded.tokens,
        others=[*decoded.tokens[:-1], 299],
    )  # fmt: skip
    assert not answer["ok"] and any(finding.startswith(words) for finding in answer["findings"])
    assert any(line.startswith(f"FAIL: {words}") for line in verify_lines(answer))
    assert not any(line.startswith("ok") for line in verify_lines(answer))
