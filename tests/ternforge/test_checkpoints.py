"""``ternforge model import`` and ``model export`` on checkpoints: what they print, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ternforge
from blueprint.workloads import model as shapes
from ternforge import session
from ternforge.cli import run
from tests.checkpoints import files, tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A packed folder."""
    return files.folder(tmp_path / "tiny", files.made(tmp_path))


def lines(text: str) -> list[list[str]]:
    """Lines of a table, at two spaces or more."""
    return [[cell.strip() for cell in line.split("  ") if cell] for line in text.splitlines()]


def test_tensors_are_listed_and_shapes_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder.parent / "tiny.yaml"
    assert run(["model", "import", str(folder), "-o", str(out)]) == 0
    printed = capsys.readouterr()
    first, _, head, *rows = lines(printed.out)
    assert first == [f"wrote {out}: tiny, 1,179,648 ternary weights"]
    assert head == [
        "role",
        "shape",
        "stored",
        "encoding",
        "tensors",
        "scale",
        "zeros",
        "+1 of the rest",
        "bits/weight",
    ]
    table = {row[0]: row[1:] for row in rows}
    assert table["q"] == [
        "256 x 256",
        "U8",
        "packed rows",
        "2",
        "x 0.0625 to 4",
        "0.422",
        "0.482 to 0.484",
        "1.560",
    ]
    assert table["embedding"] == ["300 x 256", "F32", "floats", "1", "-", "-", "-", "-"]
    assert len(table) == 13
    assert printed.err == "note: not needed and ignored: attention_bias\n"
    assert shapes.load(out).ternary_weights == 1_179_648


def test_a_long_survey_says_how_long(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line in two seconds, as if each matrix took one."""
    now = [0.0]
    monkeypatch.setattr(session.time, "monotonic", lambda: now.__setitem__(0, now[0] + 1) or now[0])
    said: list[str] = []
    ternforge.model_import(folder, note=said.append)
    assert said == [f"read {done} of 14 matrices, {14 - done} s left" for done in range(2, 14, 2)]


def test_without_a_file_nothing_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(folder.parent.rglob("*"))
    assert run(["model", "import", str(folder), "-q"]) == 0
    assert sorted(folder.parent.rglob("*")) == before
    assert capsys.readouterr() == ("", "")


def test_the_answer_in_json(folder: Path) -> None:
    """Every tensor by itself, and what the decoder computes beside its products."""
    answer = ternforge.model_import(folder)
    assert answer["ternary"] is True and answer["file"] is None
    assert len(answer["tensors"]) == 2 * 11 + 2
    down = next(each for each in answer["tensors"] if each["name"] == "model.layers.1.mlp.down_proj.weight")
    matrix = tiny.checkpoint().matrix(1, "down")
    codes = matrix.statistics()
    assert down == {
        "name": "model.layers.1.mlp.down_proj.weight",
        "layer": 1,
        "role": "down",
        "shape": (256, 512),
        "stored": "U8",
        "encoding": "packed rows",
        "scales": 1,
        "scale_min": matrix.scale[0, 0],
        "scale_max": matrix.scale[0, 0],
        "scale_divides": False,
        "zero_share": codes.zero_share,
        "positive_share": codes.positive_share,
        "entropy": codes.entropy,
    }
    assert answer["weights"] == {
        "notes": (),
        "epsilon": 1e-5,
        "rope_theta": 500_000.0,
        "rotary": "half",
        "sub_norms": True,
        "bos": 1,
        "eos": 2,
        "tokens": 300,
    }


@pytest.mark.parametrize("encoding", ["tq1_0", "tq2_0", "i2_s", "packed"])
def test_a_model_is_exported_and_imported_again(
    folder: Path, encoding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder.parent / ("again" if encoding == "packed" else "again.gguf")
    assert run(["model", "export", str(folder), "--encoding", encoding, "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"wrote {out}: tiny as {encoding}\n"
    files.same(files.found(out), tiny.checkpoint())


def test_rounding_of_scales_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "model.layers.0.mlp.up_proj.weight_scale"
    files.change(folder, lambda t: t.update({name: t[name] * 0 + 0.1}))
    assert run(["model", "export", str(folder), "-o", str(folder.parent / "m.gguf")]) == 0
    assert capsys.readouterr().out.endswith("m.gguf: tiny as tq2_0; scales rounded by at most 2.4e-04\n")


def test_a_folder_without_weights_gives_shapes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert run(["model", "import", str(folder)]) == 0
    printed = capsys.readouterr()
    assert printed.out == "tiny, 1,179,648 ternary weights\n"
    note = "note: weights are not read: they must be in model.safetensors, not in pytorch_model.bin\n"
    assert printed.err.startswith(note)


def test_shapes_alone_need_no_sound_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")
    assert ternforge.model_import(folder, shapes_only=True)["tensors"] == []


def test_models_with_other_layers_give_shapes_and_the_reason(folder: Path) -> None:
    """A model that does not claim to be ternary may have biases; only its shapes are of use."""
    files.configure(folder, model_type="llama", quantization_config=None)
    files.change(
        folder, lambda t: t.update({"model.layers.0.self_attn.q_proj.bias": t["model.norm.weight"].copy()})
    )
    answer = ternforge.model_import(folder)
    assert answer["tensors"] == []
    assert answer["weights"]["notes"] == (
        f"weights are not read: {folder}:1:1: tensor 'model.layers.0.self_attn.q_proj.bias' must be one that a decoder "
        "of these sizes has, and is not; the nearest is 'model.layers.0.self_attn.q_proj.weight'",
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "import tiny -o m.yaml",
            "tiny/model.safetensors:1:1: file must have 617392 bytes as its header says, not 9000: it is truncated",
        ),
        (
            "export tiny -o m.gguf",
            "tiny/model.safetensors:1:1: file must have 617392 bytes as its header says, not 9000: it is truncated",
        ),
        ("import m.gguf -o m.yaml", "m.gguf:1:1: file must exist, and there is none; did you mean 'n.gguf'?"),
        (
            "import n.gguf -o m.yaml",
            "n.gguf:1:1: file must be a GGUF model, which begins with 'GGUF', not another file",
        ),
        ("export other -o m.gguf", "other: checkpoint must have weights, and has none that can be read"),
        ("export tiny -o m.bin", "Output file must end in .gguf, not 'm.bin'"),
        (
            "export tiny --encoding q4_0 -o m.gguf",
            "Encoding must be one of tq1_0, tq2_0, i2_s, packed, not 'q4_0'; did you mean 'tq2_0'?",
        ),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    folder: Path,
    words: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder.parent)
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / "config.json").write_text((folder / "config.json").read_text())
    if "q4_0" not in words and "m.bin" not in words:
        data = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(data[:9000])
    (folder.parent / "n.gguf").write_bytes(b"something else that is long enough")
    before = sorted(folder.parent.rglob("*"))
    assert run(["model", *words.split(), "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == {"error": message}
    assert sorted(folder.parent.rglob("*")) == before


def test_text_is_continued_with_notes_on_what_is_not_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files.configure(folder, rope_scaling={"type": "linear", "factor": 2})
    assert run(["model", "generate", str(folder), "--prompt", "In the", "--tokens", "3"]) == 0
    printed = capsys.readouterr()
    made = ternforge.model_generate(folder, "In the", 3)
    assert printed.out == f"In the{made['text']}\n" and len(made["tokens"]) <= 3
    assert (
        "note: rotary positions are scaled (rope_scaling 'linear'), which is not in what is read\n"
        in printed.err
    )


def test_a_prompt_that_is_no_text_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["model", "generate", str(folder), "--prompt", "\udcff\udcfe"]) == 2
    assert capsys.readouterr().err == "Prompt must be text in UTF-8, not '\\udcff\\udcfe'\n"


def test_a_prompt_longer_than_the_context_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "generate", str(folder), "--prompt", "x " * 80]) == 2
    message = "Prompt must have fewer than 64 tokens, the model's context, not"
    assert capsys.readouterr().err.startswith(message)
