"""Model shapes against published totals, and what a pass over a model takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from blueprint.errors import ParamError, SpecError
from blueprint.files.document import read_text
from blueprint.workloads import huggingface, model, tasks, workload
from blueprint.workloads.tasks import Gemm

#: Ternary weights and INT8 KV bytes per token, counted by hand from the published shapes.
TOTALS = {
    "bitnet_0b7": (0.679e9, 73_728),
    "bitnet_1b3": (1.208e9, 98_304),
    "bitnet_2b4t": (2.084e9, 38_400),
    "bitnet_3b": (3.222e9, 166_400),
    "falcon3_1b": (1.132e9, 36_864),
    "falcon3_3b": (2.422e9, 45_056),
    "falcon3_7b": (6.650e9, 57_344),
    "falcon3_10b": (9.500e9, 81_920),
    "llama3_8b": (6.979e9, 65_536),
}

CONFIG: dict[str, Any] = {
    "model_type": "bitnet",
    "hidden_size": 2560,
    "intermediate_size": 6912,
    "num_hidden_layers": 30,
    "num_attention_heads": 20,
    "num_key_value_heads": 5,
    "vocab_size": 128256,
    "max_position_embeddings": 4096,
    "hidden_act": "relu2",
    "tie_word_embeddings": True,
    "rms_norm_eps": 1e-05,
    "quantization_config": {"quant_method": "bitnet"},
}


@pytest.mark.parametrize("name", sorted(TOTALS))
def test_shapes_add_up_to_the_published_totals(name: str) -> None:
    chosen = model.load(name)
    weights, kv_bytes = TOTALS[name]
    assert chosen.ternary_weights == pytest.approx(weights, abs=0.5e6)
    assert chosen.kv_bytes_per_token() == kv_bytes


def test_every_model_of_the_package_is_tested_or_tiny() -> None:
    assert set(model.names()) == {*TOTALS, "tiny"}


def test_layers_of_bitnet_are_the_seven_products_of_thirty_blocks() -> None:
    assert model.layers(model.load("bitnet_2b4t"), "prefill", 64) == (
        Gemm(64, 2560, 2560, "q", 30),
        Gemm(64, 2560, 640, "k", 30),
        Gemm(64, 2560, 640, "v", 30),
        Gemm(64, 2560, 2560, "o", 30),
        Gemm(64, 2560, 6912, "gate", 30),
        Gemm(64, 2560, 6912, "up", 30),
        Gemm(64, 6912, 2560, "down", 30),
    )


@pytest.mark.parametrize(("phase", "tokens"), [("decode", 4), ("prefill", 1)])
def test_lm_head_comes_only_when_asked_for(phase: str, tokens: int) -> None:
    bitnet = model.load("bitnet_2b4t")
    plain, with_head = model.layers(bitnet, phase, 4), model.layers(bitnet, phase, 4, lm_head=True)
    assert with_head == (*plain, Gemm(tokens, 2560, 128256, "lm_head"))
    assert bitnet.lm_head_parameters == 328_335_360


@pytest.mark.parametrize(
    "name", ["bitnet_2b4t", "BitNet-b1.58-2B-4T", "microsoft/bitnet-b1.58-2B-4T", "BitNet b1.58 2B4T"]
)
def test_models_are_found_by_what_people_call_them(name: str) -> None:
    assert model.load(name).name == "bitnet_2b4t"


def test_unknown_model_and_phase_are_refused() -> None:
    with pytest.raises(
        ParamError, match=r"^Model must be one of .*, not 'bitnet_2b'; did you mean 'bitnet_2b4t'\?$"
    ):
        model.load("bitnet_2b")
    with pytest.raises(ParamError, match="^Phase must be one of decode, prefill, not 'train'$"):
        model.layers(model.load("tiny"), "train")


def test_model_file_reads_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(model.model_text(model.load("falcon3_7b")))
    assert model.load(path) == model.load("falcon3_7b")


def config(tmp_path: Path, **changes: Any) -> Path:
    content = {key: value for key, value in {**CONFIG, **changes}.items() if value is not ...}
    (tmp_path / "config.json").write_text(json.dumps(content, indent=2))
    return tmp_path


def test_hugging_face_folder_gives_the_shapes_of_the_preset(tmp_path: Path) -> None:
    found = huggingface.read_config(config(tmp_path), "mine")
    preset = model.load("bitnet_2b4t")
    assert found.ternary
    assert found.ignored == ("rms_norm_eps",) and found.model.notes == ()
    assert model.layers(found.model, "decode") == model.layers(preset, "decode")
    assert (found.model.vocab, found.model.context, found.model.tied_embeddings) == (128256, 4096, True)


def test_missing_key_value_heads_are_those_of_the_class_and_null_means_one_per_head(tmp_path: Path) -> None:
    assert huggingface.read_config(config(tmp_path, num_key_value_heads=...), "mine").model.kv_heads == 5
    assert huggingface.read_config(config(tmp_path, num_key_value_heads=None), "mine").model.kv_heads == 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": None}, "3:3: hidden_size: hidden_size must be an integer, not empty"),
        ({"hidden_size": "2560"}, "3:3: hidden_size: hidden_size must be an integer, not '2560'"),
        ({"num_hidden_layers": 0}, "5:3: num_hidden_layers: num_hidden_layers must be at least 1, not 0"),
        (
            {"num_key_value_heads": 3},
            "7:3: num_key_value_heads: num_key_value_heads must divide the 20 heads, not be 3",
        ),
        (
            {"num_attention_heads": 24, "num_key_value_heads": 6},
            "3:3: hidden_size: hidden_size must be a multiple .*",
        ),
        (
            {"num_local_experts": 8},
            "16:3: num_local_experts: model must be a plain decoder, not a mixture of 8 experts",
        ),
        ({"is_encoder_decoder": True}, "16:3: is_encoder_decoder: model must be a plain decoder, not .*"),
    ],
)
def test_unusable_configs_are_refused_at_their_line(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = config(tmp_path, **changes)
    with pytest.raises(SpecError, match=f"^{folder}/config.json:{message}$"):
        huggingface.read_config(folder, "mine")


def test_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    what = f"^{tmp_path}:1:1: folder must hold the config.json of a Hugging Face model, and holds "
    with pytest.raises(SpecError, match=what + "nothing$"):
        huggingface.read_config(tmp_path, "mine")
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(SpecError, match=what + "model.gguf$"):
        huggingface.read_config(tmp_path, "mine")


@pytest.mark.parametrize("text", ["1x2560x6912", " 1X2560x6912 "])
def test_gemm_is_written_with_crosses(text: str) -> None:
    assert tasks.parse_gemm(text) == Gemm(1, 2560, 6912)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1x2560", "Gemm must be three sizes MxKxN as in 1x2560x6912, not '1x2560'"),
        ("1x-2x3", "Gemm must be three sizes MxKxN as in 1x2560x6912, not '1x-2x3'"),
        ("axbxc", "Gemm must be three sizes MxKxN as in 1x2560x6912, not 'axbxc'"),
        ("0x1x1", "Gemm m must be from 1 to 1048576, not 0"),
        ("1x1x999999999", "Gemm n must be from 1 to 1048576, not 999999999"),
    ],
)
def test_bad_gemms_are_refused(text: str, message: str) -> None:
    with pytest.raises(ParamError) as caught:
        tasks.parse_gemm(text)
    assert str(caught.value) == message


def test_workload_of_a_model_runs_all_its_layers() -> None:
    found = workload.read_workload(read_text("model: bitnet_2b4t\nphase: prefill\ntokens: 64\n"))
    assert found.macs == 64 * 2_084_044_800
    assert (found.phase, found.tokens, found.context) == ("prefill", 64, 0)


def test_workload_of_one_product() -> None:
    found = workload.read_workload(read_text("gemm: {m: 2, k: 3, n: 5}\n"))
    assert (found.name, found.gemms, found.macs) == ("2x3x5", (Gemm(2, 3, 5),), 30)


def test_model_file_of_a_workload_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(model.model_text(model.load("tiny")))
    (tmp_path / "work.yaml").write_text("schema: ternforge/workload/v1\nmodel: mine.yaml\nphase: decode\n")
    assert workload.read_workload_file(tmp_path / "work.yaml").model == model.load("tiny")
