"""The same model in other forms: exact where the format holds it, refused where it does not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import gguf as package
import numpy as np
import pytest

from blueprint.errors import ParamError
from checkpoints import gguf_writing, packages, packed_folder, reading
from checkpoints.checkpoint import Checkpoint, of_arrays
from checkpoints.decoder import PAIRS, Decoder
from checkpoints.names import Place
from checkpoints.ternary import Ternary
from tests.checkpoints import files, tiny


def again(path: Path) -> Checkpoint:
    found = reading.read(path, "tiny").checkpoint
    assert found is not None
    return found


def other(made: Checkpoint, place: Place, matrix: Ternary) -> Checkpoint:
    """A checkpoint with another matrix at a place."""
    matrices = {where: made.matrix(*where) for where in made.layers()} | {place: matrix}
    return of_arrays(
        made.decoder, matrices, {where: each.read() for where, each in made.dense.items()}, made.vocabulary
    )


def test_a_model_goes_through_all_forms_and_is_the_same(tmp_path: Path) -> None:
    """Folder, TQ2_0, I2_S, TQ1_0 and back to the same bytes of a folder."""
    made = files.made(tmp_path)
    path = files.folder(tmp_path / "first", made)
    for encoding in ("tq2_0", "i2_s", "tq1_0"):
        path = files.gguf(tmp_path / f"{encoding}.gguf", again(path), encoding)
    back = files.folder(tmp_path / "back", again(path))
    first = (tmp_path / "first" / "model.safetensors").read_bytes()
    assert (back / "model.safetensors").read_bytes() == first
    configs = [json.loads((each / "config.json").read_text()) for each in (tmp_path / "first", back)]
    assert configs[1] == configs[0] | {"rms_norm_eps": float(np.float32(1e-5))}  # GGUF has FP32


def test_the_vocabulary_goes_with_the_model(tmp_path: Path) -> None:
    """Text of all kinds, to the token, from GGUF and back in a folder."""
    made = files.made(tmp_path)
    first = again(files.gguf(tmp_path / "m.gguf", made))
    back = again(files.folder(tmp_path / "m", first))
    assert made.vocabulary and first.vocabulary and back.vocabulary
    for text in ("In the beginning God", " 12 apples,\n\tnot 13!", "don't «é» 漢字 🙂", ""):
        tokens = made.vocabulary.encode(text)
        assert first.vocabulary.encode(text) == back.vocabulary.encode(text) == tokens
        assert made.vocabulary.decode(tokens) == first.vocabulary.decode(tokens) == text
    assert first.vocabulary.decode([1, *first.vocabulary.encode("the earth"), 2]) == "the earth"
    assert (first.decoder.bos, first.decoder.eos) == (1, 2)


def test_tensors_are_what_the_package_dequantizes(tmp_path: Path) -> None:
    made = files.made(tmp_path)
    for encoding in ("tq1_0", "tq2_0"):
        reader = package.GGUFReader(files.gguf(tmp_path / f"{encoding}.gguf", made, encoding))
        for tensor in reader.tensors:
            if tensor.name == "blk.1.ffn_down.weight":
                theirs = package.quants.quantize(made.matrix(1, "down").weights(), tensor.tensor_type)
                assert np.array_equal(tensor.data, theirs)  # blocks of zeros included
                floats = package.quants.dequantize(tensor.data, tensor.tensor_type)
                assert np.array_equal(floats, made.matrix(1, "down").weights())


@pytest.mark.parametrize("scale", [0.1, 1 / 3, 1e-3])
def test_scales_are_rounded_to_their_format_and_that_is_said(tmp_path: Path, scale: float) -> None:
    made = tiny.checkpoint()
    codes = made.matrix(0, "q").codes
    matrix = Ternary(codes, np.full((1, 1), scale, np.float32), False, "")
    path = files.gguf(tmp_path / "m.gguf", other(made, (0, "q"), matrix))
    kept = again(path).matrix(0, "q").multiplier[0, 0]
    exact = float(np.float32(scale))
    assert gguf_writing.rounding(matrix, "tq2_0") == abs(kept - exact) / exact
    assert 0 < gguf_writing.rounding(matrix, "tq2_0") < 2**-11
    assert gguf_writing.rounding(matrix, "i2_s") == 0
    assert (
        again(files.gguf(tmp_path / "i.gguf", other(made, (0, "q"), matrix), "i2_s"))
        .matrix(0, "q")
        .multiplier
        == exact
    )


def test_a_reciprocal_is_told_from_a_multiplier(tmp_path: Path) -> None:
    """The failing twin of every convention: the same file, read the other way, has other weights."""
    made = tiny.checkpoint(divides=True)
    path = files.folder(tmp_path / "m", made)
    right = again(path).matrix(0, "q")
    config = json.loads((path / "config.json").read_text())["quantization_config"]
    assert config == {"quant_method": "bitnet", "linear_class": "bitlinear", "quantization_mode": "offline"}
    files.configure(path, quantization_config=config | {"linear_class": "autobitlinear"})
    wrong = again(path).matrix(0, "q")
    assert np.array_equal(right.scale, wrong.scale) and right.scale[0, 0] != 1
    assert np.array_equal(right.multiplier * wrong.multiplier, [[1.0]])


@pytest.mark.parametrize("linear_class", ["bitlinear", "autobitlinear"])
def test_a_folder_is_written_for_either_class(tmp_path: Path, linear_class: str) -> None:
    made = tiny.checkpoint()
    found = again(files.folder(tmp_path / "m", made, linear_class))
    files.same(found, made)
    assert found.matrix(0, "q").divides is (linear_class == "bitlinear")


def test_all_files_of_a_folder_can_be_read_by_the_same_people(tmp_path: Path) -> None:
    path = files.folder(tmp_path / "m", files.made(tmp_path))
    assert (
        len({(path / name).stat().st_mode for name in ("config.json", "model.safetensors", "tokenizer.json")})
        == 1
    )


def sized(**sizes: int) -> Checkpoint:
    """A checkpoint whose first matrix has another shape."""
    made = tiny.checkpoint()
    codes = np.zeros((sizes["rows"], sizes["columns"]), np.int8)
    return other(made, (0, "q"), Ternary(codes, np.ones((1, 1), np.float32), False, ""))


def scaled(*values: float) -> Checkpoint:
    made = tiny.checkpoint()
    codes = made.matrix(0, "q").codes[: len(values)]
    return other(made, (0, "q"), Ternary(codes, np.array(values, np.float32).reshape(-1, 1), False, ""))


MODEL = ("activation", "tied_embeddings", "sub_norms", "gated")


def described(**values: object) -> Checkpoint:
    made = tiny.checkpoint()
    model = dataclasses.replace(made.decoder.model, **{k: v for k, v in values.items() if k in MODEL})
    rest = {k: v for k, v in values.items() if k not in MODEL}
    decoder: Decoder = dataclasses.replace(made.decoder, model=model, **rest)
    return dataclasses.replace(made, decoder=decoder)


DECODER, ROTARY = (
    "memory: model must be a decoder with sub-norms, a gate",
    "rotary positions over half a head",
)
GGUF = f"{DECODER}, no window, {ROTARY} and relu2 or silu"
FOLDER = f"{DECODER}, {ROTARY}, no norms of heads and no window"


@pytest.mark.parametrize(
    ("made", "encoding", "message"),
    [
        (
            lambda: sized(rows=4, columns=384),
            "tq2_0",
            "memory: 0.q must have a multiple of 256 columns as TQ2_0, not 384",
        ),
        (
            lambda: sized(rows=3, columns=32),
            "i2_s",
            "memory: 0.q must have a multiple of 128 elements as I2_S, not 96",
        ),
        (
            lambda: sized(rows=6, columns=256),
            "packed",
            "memory: model.layers.0.self_attn.q_proj.weight must have a multiple of 4 outputs, not 6",
        ),
        (lambda: scaled(1, 2, 3, 4), "tq1_0", "Matrix must have one scale to be written as GGUF, not 4"),
        (lambda: scaled(1, 2, 3, 4), "packed", "Matrix must have one scale to be packed, not 4"),
        (
            lambda: scaled(1e-9),
            "tq2_0",
            "Scale must be one of FP16 as TQ2_0, not 9.999999717180685e-10; write it as I2_S",
        ),
        (
            lambda: scaled(1e9),
            "tq1_0",
            "Scale must be one of FP16 as TQ1_0, not 1000000000.0; write it as I2_S",
        ),
        (lambda: described(rotary=PAIRS), "tq2_0", f"{GGUF} to be written as GGUF, and is not"),
        (lambda: described(activation="gelu"), "i2_s", f"{GGUF} to be written as GGUF, and is not"),
        (lambda: described(windows=(4, 0)), "tq2_0", f"{GGUF} to be written as GGUF, and is not"),
        (
            lambda: described(windows=(4, 0)),
            "packed",
            f"{FOLDER} to be written as model type bitnet, and is not",
        ),
        (lambda: described(gated=False), "tq2_0", f"{GGUF} to be written as GGUF, and is not"),
        (
            lambda: described(gated=False),
            "packed",
            f"{FOLDER} to be written as model type bitnet, and is not",
        ),
        (
            lambda: described(tied_embeddings=False),
            "tq2_0",
            "memory: model must take its embedding for the head, as llama.cpp does for architectures of BitNet, "
            "and has another head",
        ),
        (
            lambda: described(sub_norms=False),
            "packed",
            f"{FOLDER} to be written as model type bitnet, and is not",
        ),
    ],
)
def test_what_a_form_does_not_hold_is_refused(
    tmp_path: Path, made: object, encoding: str, message: str
) -> None:
    checkpoint: Checkpoint = made()  # type: ignore[operator]
    with pytest.raises(ParamError) as caught:
        if encoding == "packed":
            packed_folder.write(checkpoint, tmp_path)
        else:
            gguf_writing.write(checkpoint, tmp_path / "m.gguf", encoding)
    assert str(caught.value) == message


def test_a_tokenizer_that_gguf_has_no_name_for_is_refused(tmp_path: Path) -> None:
    words = tiny.vocabulary(tmp_path / "words")
    words.tokenizer.pre_tokenizer = None
    with pytest.raises(
        ParamError, match=r"tokenizer.json: tokenizer must have a pre_tokenizer of bytes cut as by GPT-2"
    ):
        gguf_writing.write(tiny.checkpoint(words), tmp_path / "m.gguf", "tq2_0")


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        packages.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name))
    )
    with pytest.raises(ParamError) as caught:
        packages.load("safetensors.numpy", "write safetensors files")
    assert str(caught.value) == (
        "Package safetensors must be installed to write safetensors files, and it is not; "
        "pip install 'ternforge[checkpoints]'"
    )
