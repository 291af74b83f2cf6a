"""The programs that made the tiny language model, run without PyTorch: NumPy stands in for it, without gradients."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from checkpoints import reading
from checkpoints.checkpoint import Checkpoint
from checkpoints.names import HUGGING_FACE
from checkpoints.reference import Reference
from tests.checkpoints import numpy_torch

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "tiny_lm"
WEIGHTS = FOLDER / "tiny_kjv"
PROGRAMS = ("corpus", "model", "train", "evaluate", "export")


class Safe:
    """A file of tensors, opened for reading."""

    def __init__(self, path: str, kind: str) -> None:
        from safetensors.numpy import load_file

        assert kind == "pt"
        self.tensors = {name: value.view(numpy_torch.Tensor) for name, value in load_file(path).items()}

    def __enter__(self) -> Safe:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def keys(self) -> Any:
        return self.tensors.keys()

    def get_tensor(self, name: str) -> Any:
        return self.tensors[name]


def save_file(tensors: dict[str, Any], path: str, metadata: dict[str, str]) -> None:
    from safetensors.numpy import save_file as save

    save({name: np.asarray(value) for name, value in tensors.items()}, path, metadata)


@pytest.fixture(scope="module")
def programs() -> Iterator[SimpleNamespace]:
    """The programs as modules."""
    found = {**numpy_torch.modules(), "safetensors.torch": ModuleType("safetensors.torch")}
    vars(found["safetensors.torch"])["save_file"] = save_file
    patch = pytest.MonkeyPatch()
    for name, module in found.items():
        patch.setitem(sys.modules, name, module)
    for name in PROGRAMS:
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        found[name] = module
    patch.setattr(found["export"], "safe_open", Safe)
    yield SimpleNamespace(**{name: found[name] for name in PROGRAMS})
    patch.undo()


@pytest.fixture(scope="module")
def shipped() -> Checkpoint:
    found = reading.read(WEIGHTS).checkpoint
    assert found is not None
    return found


@pytest.fixture(scope="module")
def masters(shipped: Checkpoint) -> dict[str, Any]:
    """Master weights that round to the shipped ones: of codes as large that their mean magnitude is the scale."""
    state = {}
    for place in shipped.matrices:
        matrix = shipped.matrix(place[0] or 0, place[1])
        share = np.abs(matrix.codes).mean()
        scale = 1 / matrix.scale if matrix.divides else matrix.scale
        apart = 1 + 0.01 * (-1.0) ** np.arange(matrix.codes.size).reshape(
            matrix.codes.shape
        )  # are no ternary floats
        state[HUGGING_FACE.name(place)] = (matrix.codes * apart * scale / share).astype(np.float32)
    state |= {HUGGING_FACE.name(place): dense.read() for place, dense in shipped.dense.items()}
    return {name.removeprefix("model."): value.view(numpy_torch.Tensor) for name, value in state.items()}


@pytest.fixture
def model(programs: Any, masters: dict[str, Any]) -> Any:
    made = programs.model.Decoder(programs.model.Shape())
    made.load_state_dict(masters)
    return made


def numbers(count: int) -> list[int]:
    return np.random.default_rng(count).integers(1, 1024, count).tolist()


def test_a_model_that_learns_computes_what_the_reference_does(model: Any, shipped: Checkpoint) -> None:
    """To rounding: a value between two levels may fall to either side."""
    tokens = [0, *numbers(40)]
    theirs, ours = model(np.array([tokens]))[0], Reference(shipped).logits(tokens)
    assert np.abs(theirs - ours).max() < 0.02 * np.abs(ours).max()
    assert np.array_equal(theirs.argmax(axis=-1), ours.argmax(axis=-1))


def test_the_twin_rounds_nothing(programs: Any, masters: dict[str, Any], shipped: Checkpoint) -> None:
    """Of weights that are what they round to, the twin differs by the rounding of its values alone."""
    twin = programs.model.Decoder(programs.model.Shape(), True)
    rounded = {
        name: programs.model.ternary(value) if value.ndim == 2 and "proj" in name else value
        for name, value in masters.items()
    }
    twin.load_state_dict(rounded)
    tokens = [0, *numbers(20)]
    theirs, ours = twin(np.array([tokens]))[0], Reference(shipped).logits(tokens)
    difference = np.abs(theirs - ours).max() / np.abs(ours).max()
    assert 0.002 < difference < 0.1


def test_sizes_are_those_of_the_shipped_model(programs: Any) -> None:
    shape = programs.model.Shape()
    assert asdict(shape) == json.loads((WEIGHTS / "training.json").read_text())["shape"]
    made = programs.model.Decoder(programs.model.Shape(layers=2, vocabulary=64))
    state = made.state_dict()
    assert len(state) == 2 * (7 + 4) + 2 and sum(value.size for value in state.values()) == (
        64 * 256 + 256 + 2 * (2 * 256 * 256 + 2 * 128 * 256 + 3 * 768 * 256 + 3 * 256 + 768)
    )
    assert all((value == 1).all() for name, value in state.items() if "norm" in name)
    drawn = [value for name, value in state.items() if "norm" not in name]
    assert [round(float(value.std()), 3) for value in drawn] == [0.02] * 15


def test_losses_are_summed_over_windows_that_begin_anew(
    programs: Any, model: Any, shipped: Checkpoint
) -> None:
    tokens = numpy_torch.tensor([0, *numbers(24)])
    found = programs.train.judge(model, tokens, 10)
    wanted = sum(Reference(shipped).loss(tokens[start : start + 11].tolist()) for start in (0, 10, 20))
    assert found == pytest.approx(wanted, rel=2e-3) and model.training
    assert programs.evaluate._agreement(model, Reference(shipped), tokens, 10) == 1.0


VERSES = """Genesis
Gen1:1   In the beginning
Gen1:2 And the earth \n
Gen2:1  Thus
1Sam2:1 And Hannah
Ruth1:1 Now it came
Ruth1:2 to pass
(end)
"""


def test_verses_make_chapters(programs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def run(command: Any, **options: Any) -> Any:
        asked.append((command, options))
        return SimpleNamespace(stdout=VERSES)

    monkeypatch.setattr(subprocess, "run", run)
    corpus = programs.corpus
    found = corpus.chapters()
    assert found == [
        ("Gen", "In the beginning And the earth"), ("Gen", "Thus"), ("1Sam", "And Hannah"),
        ("Ruth", "Now it came to pass"),
    ]  # fmt: skip
    assert asked == [
        (("bible", "-f", "gen1:1-rev22:21"), {"check": True, "capture_output": True, "text": True})
    ]
    assert corpus.characters(found) == 30 + 4 + 10 + 19
    with pytest.raises(ValueError, match=r"^the books must include Ruth, Est, Eccl, Jonah, Heb, Jas, Rev$"):
        corpus.split(found)
    held = [corpus.Chapter(book, "x") for book in corpus.HELD_OUT[1:]]
    assert corpus.split([*found, *held]) == (found[:3], [found[3], *held])


def test_a_tokenizer_learns_pairs_of_bytes(programs: Any) -> None:
    corpus = programs.corpus
    text = [
        corpus.Chapter("Gen", "the earth and the heaven and the deep " * 40),
        corpus.Chapter("Gen", "thé"),
    ]
    tokenizer = corpus.train_tokenizer(text)
    begin = tokenizer.token_to_id("<s>")
    found = corpus.encode(tokenizer, text)
    assert found.count(begin) == 2 and begin == found[0] == 0
    second = found.index(begin, 1)
    assert (
        tokenizer.decode(found[1:second]) == text[0].text and tokenizer.decode(found[second + 1 :]) == "thé"
    )
    assert 257 < tokenizer.get_vocab_size() <= 1024
    assert second == 1 + 8 * 40 + 1  # every word is a token, and the last space
    assert tokenizer.encode("the").tokens == ["the"]


class Run:
    """A run of three steps of a smaller model on drawn text."""

    def __init__(self, programs: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.train, self.folder = programs.train, folder
        learned, held = (numpy_torch.tensor(numbers(count) * 2) for count in (300, 40))
        small = lambda: programs.model.Shape(layers=1, context=12)  # noqa: E731
        monkeypatch.setattr(self.train, "Shape", small)
        monkeypatch.setattr(self.train, "_texts", lambda _: (learned, held, 333))
        for name, value in (("SAVE_EVERY", 2), ("JUDGE_EVERY", 4), ("WARM_UP", 2)):
            monkeypatch.setattr(self.train, name, value)
        numpy_torch.Seen.now.clear()

    def steps(self, count: int) -> Any:
        self.train.train(self.folder, count, False)
        return json.loads((self.folder / "curve.json").read_text())


def test_a_run_steps_judges_and_saves(
    programs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    curve = Run(programs, tmp_path / "run", monkeypatch).steps(6)
    seen = numpy_torch.Seen.now
    assert [what for what, _ in seen] == ["seed", *["zero", "backward", "clip", "step"] * 6]
    assert [value for what, value in seen if what in ("seed", "zero")] == [1, *[True] * 6]
    assert {value for what, value in seen if what == "clip"} == {(13, 1.0)}
    rates = [value for what, value in seen if what == "step"]
    assert [(one[0][1], one[1][1]) for one in rates] == [(0.1, 0.0)] * 3 + [(0.0, 0.0)] * 3
    assert all(matrices[0] == gains[0] for matrices, gains in rates)
    expected = [1.5e-3, 3e-3, *(3e-3 * (0.1 + 0.45 * (1 + math.cos(math.pi * k / 4))) for k in range(4))]
    assert [one[0][0] for one in rates] == pytest.approx(expected)
    state = numpy_torch._load(tmp_path / "run" / "checkpoint.pt")
    assert state["step"] == 6 and state["curve"] == curve and state["optimizer"] == {"steps": 6}
    assert [point["step"] for point in curve] == [4, 6]
    held, losses = 80, [value for what, value in seen if what == "backward"]
    for point in curve:
        assert point["nat_per_token"] == pytest.approx(math.log(1024), rel=0.02)
        total = point["nat_per_token"] * (held - 1)
        assert point["bit_per_character"] == pytest.approx(total / math.log(2) / 333)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "2 of 6 steps", f"step 4: {curve[0]['nat_per_token']:.4f} nat per token", "4 of 6 steps",
        f"step 6: {curve[1]['nat_per_token']:.4f} nat per token", "6 of 6 steps",
    ]  # fmt: skip
    assert lines[0].startswith(f"2 of 6 steps, loss {losses[1]:.3f}, ")
    assert re.fullmatch(r".*, \d+ s of processor time, about 0 min to go", lines[-1])
    assert not (tmp_path / "run" / "checkpoint.tmp").exists()


def test_a_run_goes_on_where_it_stopped(
    programs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(programs, tmp_path, monkeypatch)
    first = run.steps(4)
    numpy_torch.Seen.now.clear()
    again = run.steps(6)
    assert again[:1] == first and [point["step"] for point in again] == [4, 6]
    assert [what for what, _ in numpy_torch.Seen.now].count("step") == 2
    assert numpy_torch._load(tmp_path / "checkpoint.pt")["optimizer"] == {"steps": 6}


def test_a_batch_depends_on_the_number_of_its_step_alone(programs: Any) -> None:
    tokens = numpy_torch.tensor(np.arange(50))
    first, wanted = programs.train._batch(tokens, 6, 3)
    assert first.shape == wanted.shape == (8, 6) and (wanted == first + 1).all()
    assert (np.diff(first, axis=1) == 1).all() and first[:, 0].max() <= 50 - 6 - 2
    again, _ = programs.train._batch(tokens, 6, 3)
    other, _ = programs.train._batch(tokens, 6, 4)
    assert (again == first).all() and not (other == first).all()
    largest = max(int(programs.train._batch(tokens, 6, seed)[1].max()) for seed in range(60))
    assert largest == 48  # the last start that is drawn is one in front of the last that fits


def test_the_texts_of_a_run_are_those_of_the_corpus(
    programs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = programs.corpus
    text = [corpus.Chapter("Gen", "and the earth"), corpus.Chapter("Ruth", "and Ruth said")]
    text += [corpus.Chapter(book, "amen") for book in corpus.HELD_OUT[1:]]
    monkeypatch.setattr(corpus, "chapters", lambda: text)
    learned, held, characters = programs.train._texts(tmp_path)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert learned.tolist() == corpus.encode(tokenizer, text[:1])
    assert held.tolist() == corpus.encode(tokenizer, text[1:]) and characters == 13 + 6 * 4


@pytest.fixture
def run(tmp_path: Path, masters: dict[str, Any]) -> Path:
    """A folder as training leaves it, with the master weights of the shipped model."""
    folder = tmp_path / "run"
    folder.mkdir()
    numpy_torch._save({"model": masters}, folder / "checkpoint.pt")
    (folder / "tokenizer.json").write_bytes((WEIGHTS / "tokenizer.json").read_bytes())
    (folder / "curve.json").write_text(json.dumps([{"step": 500}]))
    return folder


def test_what_is_exported_is_what_was_learned(
    programs: Any, run: Path, shipped: Checkpoint, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    out = run.parent / "out"
    monkeypatch.setattr(sys, "argv", ["export.py", "--run", str(run), "--out", str(out)])
    programs.export.main()
    again = reading.read(out).checkpoint
    assert again is not None and again.decoder == shipped.decoder.__class__(
        **{**vars(shipped.decoder), "model": again.decoder.model}
    )
    for place in shipped.layers():
        mine, theirs = again.matrix(*place), shipped.matrix(*place)
        assert np.array_equal(mine.codes, theirs.codes)
        assert mine.scale == pytest.approx(theirs.scale, rel=2e-3)
    for where, dense in shipped.dense.items():
        assert np.array_equal(again.dense[where].read(), dense.read())
    kept, made = (json.loads((folder / "config.json").read_text()) for folder in (WEIGHTS, out))
    assert made == kept
    facts = json.loads((out / "training.json").read_text())
    assert facts == {
        "shape": json.loads((WEIGHTS / "training.json").read_text())["shape"],
        "curve": [{"step": 500}],
    }
    size = sum(path.stat().st_size for path in out.iterdir())
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {out}: {size / 1e6:.2f} MB"
    assert {str(value.dtype) for value in Safe(str(out / "model.safetensors"), "pt").tensors.values()} == {
        "float16", "uint8",
    }  # fmt: skip


def test_the_table_of_an_evaluation(
    programs: Any, run: Path, shipped: Checkpoint, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    corpus = programs.corpus
    text = [corpus.Chapter("Gen", "And God said, Let there be light: and there was light.")]
    held = [corpus.Chapter("Ruth", "And Ruth said, Intreat me not to leave thee.")]
    monkeypatch.setattr(corpus, "chapters", lambda: text)
    monkeypatch.setattr(corpus, "split", lambda found: (found, held))
    monkeypatch.setattr(sys, "argv", ["evaluate.py", "--run", str(run), "--twin", str(run)])
    programs.evaluate.main()
    title, _, *lines = capsys.readouterr().out.splitlines()
    assert shipped.vocabulary is not None
    tokenizer = shipped.vocabulary.tokenizer
    tokens, before = (corpus.encode(tokenizer, part) for part in (held, text))
    count = len(held[0].text)
    assert title == (f"{len(tokens)} held-out tokens, {count} characters; {len(before)} tokens to learn from")
    assert lines[:2] == ["| model | nat per token | bit per character |", "| --- | ---: | ---: |"]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:8]]
    assert [row[0] for row in rows] == [
        *(f"{order}-gram of tokens" for order in (1, 2, 3, 4)), "shipped weights, integer products",
        "training model, master weights",
    ]  # fmt: skip
    reference = Reference(shipped).loss(tokens)
    grams = [programs.evaluate.NGram(before, order, 1024).loss(tokens, 256) for order in (1, 2, 3, 4)]
    for (_, nat, bits), total in zip(rows, [*grams, reference, reference], strict=True):
        assert float(nat) == pytest.approx(total / (len(tokens) - 1), rel=3e-3)
        assert float(bits) == pytest.approx(total / math.log(2) / count, rel=3e-3)
    assert lines[8].startswith("| full-precision twin | ")
    share, _, rest = lines[10].partition("% of the ")
    assert lines[9] == "" and rest == "most likely tokens are equal, training model and shipped weights"
    assert (
        len(lines) == 11 and 90 <= float(share) <= 100
    )  # a value between two levels may fall to either side
