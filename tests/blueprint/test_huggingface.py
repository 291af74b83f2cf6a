"""Configurations of Hugging Face: every architecture by published counts, and what is no plain decoder refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from blueprint.errors import ParamError, SpecError
from blueprint.workloads import huggingface, model

#: Shapes as published models state them, and the weights of their linear layers: the published total without
#: embeddings, biases and norms.
PUBLISHED: dict[str, tuple[dict[str, Any], int]] = {
    "phi-2": (
        {"model_type": "phi", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 32}
        | {"num_attention_heads": 32, "num_key_value_heads": None, "vocab_size": 51200},
        2_779_683_840 - 2 * 51200 * 2560 - 51200 - 2 * 2560 - 32 * 28160,
    ),
    "gpt2": (
        {"model_type": "gpt2", "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "n_ctx": 1024}
        | {"vocab_size": 50257, "add_cross_attention": False},
        124_439_808 - (50257 + 1024) * 768 - 12 * 9984 - 2 * 768,
    ),
    "falcon-7b": (
        {"model_type": "falcon", "hidden_size": 4544, "num_attention_heads": 71, "num_hidden_layers": 32}
        | {"multi_query": True, "new_decoder_architecture": False, "vocab_size": 65024},
        6_921_720_704 - 65024 * 4544 - 66 * 4544,
    ),
    "falcon-40b": (
        {"model_type": "falcon", "hidden_size": 8192, "num_attention_heads": 128, "num_hidden_layers": 60}
        | {"num_kv_heads": 8, "new_decoder_architecture": True},
        60 * (10 * 8192**2 + 2 * 8192 * 512),
    ),
    "falcon-rw-1b": (
        {"model_type": "falcon", "hidden_size": 2048, "num_attention_heads": 32, "num_hidden_layers": 24}
        | {"multi_query": False},
        24 * 12 * 2048**2,
    ),
    "gpt-neox-20b": ({"model_type": "gpt_neox"}, 44 * 12 * 6144**2),
    "gpt-j-6b": ({"model_type": "gptj", "n_inner": None}, 28 * 12 * 4096**2),
    "gpt-neo-1.3b": ({"model_type": "gpt_neo"}, 24 * 12 * 2048**2),
    "opt-125m": ({"model_type": "opt", "word_embed_proj_dim": 768}, 12 * 12 * 768**2),
    "bloom-560m": ({"model_type": "bloom", "n_embed": 1024, "n_layer": 24, "n_head": 16}, 24 * 12 * 1024**2),
    "mpt-7b": (
        {"model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32, "expansion_ratio": 4},
        6_649_286_656 - 50432 * 4096 - 65 * 4096,
    ),
    "starcoder": (
        {"model_type": "gpt_bigcode", "n_embd": 6144, "n_head": 48, "n_inner": 24576, "n_layer": 40},
        40 * (2 * 6144**2 + 2 * 6144 * 128 + 2 * 6144 * 24576),
    ),
    "starcoder2-3b": ({"model_type": "starcoder2"}, 30 * (2 * 3072**2 + 2 * 3072 * 256 + 2 * 3072 * 12288)),
    "gemma-2b": (
        {"model_type": "gemma", "hidden_size": 2048, "intermediate_size": 16384, "num_hidden_layers": 18}
        | {"num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 256},
        2_506_172_416 - 256000 * 2048 - 37 * 2048,
    ),
    "phi-3-mini": ({"model_type": "phi3"}, 3_821_079_552 - 2 * 32064 * 3072 - 65 * 3072),
    "mistral-7b": ({"model_type": "mistral"}, 7_241_732_096 - 2 * 32000 * 4096 - 65 * 4096),
    "qwen2-0.5b": (
        {"model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24}
        | {"num_attention_heads": 14, "num_key_value_heads": 2},
        24 * (2 * 896**2 + 2 * 896 * 128 + 3 * 896 * 4864),
    ),
    "qwen3-0.6b": (
        {"model_type": "qwen3", "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28}
        | {"num_attention_heads": 16, "num_key_value_heads": 8},
        28 * (2 * 1024 * 2048 + 2 * 1024 * 1024 + 3 * 1024 * 3072),
    ),
    "llava-1.5-7b": (
        {"model_type": "llava", "text_config": {"vocab_size": 32064}, "vision_config": {"hidden_size": 1024}},
        6_738_415_616 - 2 * 32000 * 4096 - 65 * 4096,
    ),
    "gemma-3-4b": (
        {"model_type": "gemma3"}
        | {"text_config": {"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34}},
        34 * (2 * 2560 * 2048 + 2 * 2560 * 1024 + 3 * 2560 * 10240),
    ),
}
#: A configuration that gives every size; architectures with the usual names read it all alike.
SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 100,
    "max_position_embeddings": 128,
}
UNGATED = {
    *(
        "phi",
        "falcon",
        "gpt2",
        "gpt_bigcode",
        "gpt_neo",
        "gpt_neox",
        "gptj",
        "openai-gpt",
        "opt",
        "starcoder2",
    ),
    *("bloom", "mpt", "codegen", "persimmon", "nemotron", "arcee", "apertus", "xglm", "biogpt", "ctrl"),
}


def read(tmp_path: Path, content: Any, like: str | None = None) -> huggingface.Imported:
    (tmp_path / "config.json").write_text(
        content if isinstance(content, str) else json.dumps(content, indent=2)
    )
    return huggingface.read_config(tmp_path, "mine", like)


def refusal(tmp_path: Path, content: Any, like: str | None = None) -> str:
    with pytest.raises((SpecError, ParamError)) as caught:
        read(tmp_path, content, like)
    return str(caught.value).removeprefix(f"{tmp_path}/config.json:")


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_weights_of_published_models(name: str, tmp_path: Path) -> None:
    content, weights = PUBLISHED[name]
    found = read(tmp_path, content).model
    assert found.ternary_weights == weights
    again = tmp_path / "again.yaml"
    again.write_text(model.model_text(found))
    assert model.load(again) == found


def test_every_architecture_is_gated_or_not_as_its_code_says() -> None:
    found = {name for name in huggingface.architectures() if not huggingface.architecture(name).gated}
    assert found == UNGATED


@pytest.mark.parametrize("kind", huggingface.architectures())
def test_every_architecture_reads_what_it_is_given(kind: str, tmp_path: Path) -> None:
    known = huggingface.architecture(kind)
    content = {"model_type": kind, "new_decoder_architecture": True}
    for what, usual in (("ffn", 96), ("hidden", 64), ("layers", 2), ("heads", 4), ("kv_heads", 2)):
        content[known.names[what][0]] = usual
    content |= {"head_dim": 16, "vocab_size": 100, known.names["context"][0]: 128}
    found = read(tmp_path, content).model
    kv_heads = 1 if kind == "gpt_bigcode" and not content["new_decoder_architecture"] else 2
    sizes = (found.hidden, found.ffn, found.layers, found.heads, found.kv_heads, found.head_dim)
    assert (*sizes, found.vocab, found.context) == (64, 96, 2, 4, kv_heads, 16, 100, 128)
    gate = 64 * 96 if kind not in UNGATED else 0
    assert found.ternary_weights == 2 * (2 * 64 * 64 + 2 * 64 * 32 + 2 * 64 * 96 + gate)
    assert not any("defaults" in note for note in found.notes)


@pytest.mark.parametrize("kind", huggingface.architectures())
def test_every_architecture_alone_is_its_default_and_says_so(kind: str, tmp_path: Path) -> None:
    found = read(tmp_path, {"model_type": kind}).model
    assert found.ternary_weights > 0
    assert any(note.startswith("not in the config and taken from the defaults of") for note in found.notes)


def test_defaults_that_are_used_are_named(tmp_path: Path) -> None:
    content = {"model_type": "qwen3", **SIZES}
    del content["head_dim"], content["vocab_size"]
    notes = read(tmp_path, content).model.notes
    expected = "not in the config and taken from the defaults of qwen3: head_dim 128, vocab_size 151936"
    assert notes[-1] == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"head_dim": None}, {"head_dim": 16}),
        ({"head_dim": ...}, {"head_dim": 16}),
        ({"head_dim": 32}, {"head_dim": 32}),
        ({"num_key_value_heads": None}, {"kv_heads": 4}),
        ({"num_key_value_heads": ...}, {"kv_heads": 4}),
        ({"tie_word_embeddings": True}, {"tied_embeddings": True}),
        ({"tie_word_embeddings": ...}, {"tied_embeddings": False}),
        ({"hidden_act": "relu2"}, {"activation": "relu2"}),
        ({"hidden_act": None}, {"activation": "silu"}),
        ({"num_experts": None, "num_local_experts": 0}, {"ffn": 96}),
        ({"quantization_config": None}, {"ffn": 96}),
        ({"layer_types": ["full_attention", "sliding_attention"]}, {"layers": 2}),
    ],
)
def test_what_is_null_or_missing_follows_from_the_rest(
    changes: dict[str, Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    content = {"model_type": "llama", **SIZES, **changes}
    found = read(tmp_path, {key: value for key, value in content.items() if value is not ...}).model
    assert {key: getattr(found, key) for key in expected} == expected


def test_tied_embeddings_are_those_of_the_class(tmp_path: Path) -> None:
    assert read(tmp_path, {"model_type": "gemma", **SIZES}).model.tied_embeddings
    assert not read(tmp_path, {"model_type": "mistral", **SIZES}).model.tied_embeddings


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        (
            {"model_type": "mistral", "sliding_window": 32},
            "2 of 2 layers see the last 32 positions only and are counted as if they saw all 128",
        ),
        (
            {
                "model_type": "gemma2",
                "sliding_window": 32,
                "layer_types": ["sliding_attention", "full_attention"],
            },
            "1 of 2 layers see the last 32 positions only and are counted as if they saw all 128",
        ),
        (
            {"model_type": "qwen2", "sliding_window": 32, "use_sliding_window": True, "max_window_layers": 0},
            "2 of 2 layers see the last 32 positions only and are counted as if they saw all 128",
        ),
        (
            {"model_type": "gemma3_text", "sliding_window": 32, "num_hidden_layers": 13},
            "11 of 13 layers see the last 32 positions only and are counted as if they saw all 128",
        ),
        (
            {"model_type": "gemma3_text", "sliding_window": 32, "sliding_window_pattern": 2},
            "1 of 2 layers see the last 32 positions only and are counted as if they saw all 128",
        ),
        (
            {"model_type": "gpt_neo", "window_size": 32, "attention_layers": ["global", "local"]},
            "1 of 2 layers see the last 32 positions only and are counted as if they saw all 128",
        ),
        ({"model_type": "qwen2", "sliding_window": 32, "use_sliding_window": True}, None),
        ({"model_type": "qwen2", "sliding_window": 32}, None),
        ({"model_type": "mistral", "sliding_window": None}, None),
        ({"model_type": "mistral", "sliding_window": 4096}, None),
        ({"model_type": "gemma2", "sliding_window": 32, "layer_types": ["full_attention"] * 2}, None),
    ],
)
def test_windows_are_told(changes: dict[str, Any], note: str | None, tmp_path: Path) -> None:
    notes = read(tmp_path, {**SIZES, **changes}).model.notes
    assert [text for text in notes if "positions" in text] == ([note] if note else [])


@pytest.mark.parametrize(
    ("changes", "windows"),
    [
        ({"model_type": "mistral", "sliding_window": 32}, (32, 32)),
        ({"model_type": "mistral", "sliding_window": 128}, ()),
        ({"model_type": "mistral", "sliding_window": None}, ()),
        (
            {"model_type": "qwen2", "sliding_window": 32, "use_sliding_window": True, "max_window_layers": 1},
            (0, 32),
        ),
        (
            {"model_type": "gemma3_text", "sliding_window": 32, "num_hidden_layers": 7},
            (32, 32, 32, 32, 32, 0, 32),
        ),
        ({"model_type": "gpt_neo", "window_size": 32, "attention_layers": ["global", "local"]}, (0, 32)),
        ({"model_type": "llama"}, ()),
    ],
)
def test_windows_of_layers_are_read(
    changes: dict[str, Any], windows: tuple[int, ...], tmp_path: Path
) -> None:
    assert read(tmp_path, {**SIZES, **changes}).windows == windows


def test_other_quantizations_are_told(tmp_path: Path) -> None:
    found = read(tmp_path, {"model_type": "llama", **SIZES, "quantization_config": {"quant_method": "gptq"}})
    what = "the config does not say that the weights are ternary: its weights are quantized by gptq"
    assert not found.ternary and what in found.model.notes
    outer = {"model_type": "llava", "text_config": {"model_type": "llama", **SIZES}}
    found = read(tmp_path, {**outer, "quantization_config": {"quant_method": "bitnet"}, "vision_config": {}})
    assert found.ternary and found.model.notes == ("only text_config is read; vision_config left out",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model_type": "mixtral"},
            "2:3: model_type: model must be a plain decoder, not mixtral: its feed-forward is a mixture of experts",
        ),
        (
            {"model_type": "mamba"},
            "2:3: model_type: model must be a plain decoder, not mamba: it has layers without attention",
        ),
        (
            {"model_type": "bert"},
            "2:3: model_type: model must be a plain decoder, not bert: it is an encoder",
        ),
        ({"model_type": 7}, "2:3: model_type: model_type must be text, not 7"),
        (
            {"num_experts": 64},
            "11:3: num_experts: model must be a plain decoder, not a mixture of 64 experts",
        ),
        ({"num_experts": "8"}, "11:3: num_experts: num_experts must be an integer or empty, not '8'"),
        (
            {"kv_lora_rank": 512},
            "11:3: kv_lora_rank: model must be a plain decoder, and kv_lora_rank says it is not",
        ),
        (
            {"add_cross_attention": True},
            "11:3: add_cross_attention: model must be a plain decoder, not a decoder with cross-attention",
        ),
        (
            {"layer_types": ["full_attention", "mamba"]},
            "13:5: layer_types[1]: layer must be one of full_attention, global, sliding_attention, "
            "chunked_attention, local, not 'mamba'",
        ),
        (
            {"layer_types": ["full_attention"]},
            "11:3: layer_types: layer_types must name the 2 layers, not 1",
        ),
        ({"layer_types": "full"}, "11:3: layer_types: layer_types must be a list or empty, not 'full'"),
        ({"vocab_size": None}, "9:3: vocab_size: vocab_size must be an integer, not empty"),
        ({"vocab_size": [1]}, "9:3: vocab_size: vocab_size must be an integer, not a list"),
        (
            {"intermediate_size": 96.5},
            "4:3: intermediate_size: intermediate_size must be an integer, not 96.5",
        ),
        ({"hidden_size": 0}, "3:3: hidden_size: hidden_size must be at least 1, not 0"),
        (
            {"tie_word_embeddings": "no"},
            "11:3: tie_word_embeddings: tie_word_embeddings must be true or false, not 'no'",
        ),
        (
            {"num_key_value_heads": 3},
            "7:3: num_key_value_heads: num_key_value_heads must divide the 4 heads, not be 3",
        ),
        (
            {"quantization_config": "bitnet"},
            "11:3: quantization_config: quantization_config must be a mapping or empty, not 'bitnet'",
        ),
        ({"text_config": 3}, "11:3: text_config: text_config must be a mapping, not 3"),
    ],
)
def test_what_cannot_be_read_is_refused_at_its_line(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    assert refusal(tmp_path, {"model_type": "llama", **SIZES, **changes}) == message


def test_a_default_that_does_not_fit_must_be_given(tmp_path: Path) -> None:
    content = {"model_type": "qwen2", "hidden_size": 896, "num_attention_heads": 14}
    expected = (
        "1:1: num_key_value_heads must divide the 14 heads, and its default 32 of qwen2 does not: give it"
    )
    assert refusal(tmp_path, content) == expected


def test_two_names_of_one_size_must_agree(tmp_path: Path) -> None:
    content = {"model_type": "gpt2", "n_embd": 64, "hidden_size": 128, "n_head": 4}
    said = refusal(tmp_path, content)
    assert said == "4:3: hidden_size: hidden_size must be 64 as n_embd, not 128"
    assert read(tmp_path, {**content, "hidden_size": 64}).model.hidden == 64


def test_an_unknown_type_is_asked_about(tmp_path: Path) -> None:
    said = refusal(tmp_path, {"model_type": "mixformer-sequential", **SIZES})
    assert said.startswith("2:3: model_type: model_type must be one of apertus, arcee, ")
    assert said.endswith("not 'mixformer-sequential'; --like TYPE reads it as one of these")
    assert refusal(tmp_path, {"model_type": "lama", **SIZES}).endswith("not 'lama'; did you mean 'llama'?")
    found = read(tmp_path, {"model_type": "mixformer-sequential", **SIZES}, "phi")
    assert not found.model.gated and found.model.hidden == 64
    with pytest.raises(ParamError, match="^--like must be one of .*, not 'fi'$"):
        read(tmp_path, {"model_type": "x", **SIZES}, "fi")


def test_a_missing_type_is_asked_about(tmp_path: Path) -> None:
    said = refusal(tmp_path, {"architectures": ["LlamaForCausalLM"], **SIZES})
    what = "model_type must be given, and is missing (architectures names 'LlamaForCausalLM')"
    assert said == f"1:1: {what}; --like TYPE, as in --like llama, says how to read it"
    assert read(tmp_path, SIZES, "llama").model.gated


def test_json_is_read_as_its_writers_write_it(tmp_path: Path) -> None:
    text = '{\t"model_type":"llama",\r\n\t"hidden_size"\t: 64, "num_attention_heads":4, "x": NaN, "y": [1e999, {}],'
    text += '"model_max_length": 1000000000000000019884624838656, "s": "a\\"b\\u00e9\\ud83d\\ude00\\/"}'
    assert read(tmp_path, text).model.head_dim == 16
    assert read(tmp_path, "\ufeff" + text).model.head_dim == 16


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"a": 1,}',
            "1:9: text must be valid JSON, and it is not: Illegal trailing comma before end of object",
        ),
        ('{"a": 1', "1:8: text must be valid JSON, and it is not: Expecting ',' delimiter"),
        ("", "1:1: file must be a JSON object, not empty"),
        ("[1]", "1:1: file must be a JSON object, not a list"),
        ('{"a": 1,\n "a": 2}', "2:2: key must be given once, not again: 'a'"),
        ("[" * 100_000, "1:1: nesting must be at most 32 levels deep"),
        ('{"a":' * 40 + "1" + "}" * 40, "1:161: nesting must be at most 32 levels deep"),
    ],
)
def test_bad_json_is_refused_at_its_place(text: str, message: str, tmp_path: Path) -> None:
    said = refusal(tmp_path, text)
    if "trailing comma" in message and "trailing comma" not in said:  # before Python 3.13
        message = (
            "1:9: text must be valid JSON, and it is not: Expecting property name enclosed in double quotes"
        )
    assert said == message


SAFETENSORS = (64).to_bytes(8, "little") + b'{"__metadata__":{}}'
OTHERS = {
    "model.gguf": (b"GGUF\x03\x00\x00\x00", "file must be JSON, not a GGUF model (llama.cpp)"),
    "model.safetensors": (SAFETENSORS, "file must be JSON, not a safetensors checkpoint"),
    "pytorch_model.bin": (
        b"PK\x03\x04\x00",
        "file must be JSON, not a ZIP archive, as PyTorch and NumPy write checkpoints",
    ),
    "old.bin": (b"\x80\x02\x8a", "file must be JSON, not a Python pickle, as PyTorch writes checkpoints"),
    "config.json.gz": (gzip.compress(b"{}"), "file must be JSON, not a gzip archive"),
    "lfs.bin": (
        b"version https://git-lfs.github.com/spec/v1\n",
        "file must be JSON, not a pointer of Git LFS, whose file was not fetched",
    ),
    "big.gguf": (
        b"GGUF" + bytes(1 << 20),
        "file must be text of at most 1048576 bytes, not a GGUF model (llama.cpp)",
    ),
    "tokenizer.json": (
        b'{"version": "1.0", "added_tokens": []}',
        "file must be the config.json of a Hugging Face model, not a tokenizer",
    ),
    "big.json": (
        b'{"version": "1.0", "added_tokens": [' + b" " * (1 << 20) + b"]}",
        "file must be text of at most 1048576 bytes, not a tokenizer",
    ),
    "model.safetensors.index.json": (
        b'{"metadata": {}, "weight_map": {}}',
        "file must be the config.json of a Hugging Face model, not the index of a checkpoint in several files",
    ),
    "adapter_config.json": (
        b'{"peft_type": "LORA"}',
        "file must be the config.json of a Hugging Face model, not an adapter (PEFT), whose base model has the shapes",
    ),
    "params.json": (
        b'{"dim": 4096, "n_heads": 32}',
        "file must be the config.json of a Hugging Face model, not a checkpoint's params.json as Meta writes it",
    ),
    "mine.yaml": (
        b"schema: ternforge/model/v1\n",
        "file must be JSON, not a model, which `ternforge model show` takes",
    ),
    "other.yaml": (b"a: 1\n", "file must be JSON, not YAML"),
}


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_another_file_is_called_by_its_name(name: str, tmp_path: Path) -> None:
    data, message = OTHERS[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SpecError) as caught:
        huggingface.read_config(tmp_path / name, "mine")
    assert str(caught.value) == f"{tmp_path / name}:1:1: {message}"


@pytest.mark.parametrize(
    "config",
    [{"attn_type": "multiquery_attention"}, {"attn_type": "grouped_query_attention", "kv_n_heads": 2}],
)
def test_attention_that_an_mpt_class_does_not_build_is_refused(
    config: dict[str, Any], tmp_path: Path
) -> None:
    given = {"model_type": "mpt", "d_model": 64, "n_heads": 8, "n_layers": 2, "attn_config": config}
    (tmp_path / "config.json").write_text(json.dumps(given))
    with pytest.raises(
        SpecError, match="attn_config must be multihead attention, as transformers builds it, without"
    ):
        huggingface.read_config(tmp_path, "m")


@pytest.mark.parametrize(("kind", "has"), [("bitnet", True), ("llama", False), ("qwen3", False)])
def test_sub_norms_are_those_of_the_architecture(tmp_path: Path, kind: str, has: bool) -> None:
    assert read(tmp_path, {"model_type": kind}).model.sub_norms is has
