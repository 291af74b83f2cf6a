"""What a checkpoint must be: each fault is refused in one sentence, by the command with exit 2 and nothing written."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from blueprint.errors import SpecError
from checkpoints import reading
from checkpoints.checkpoint import Checkpoint
from tests.checkpoints import files
from tests.checkpoints.damaged import (
    UP,
    Make,
    Q,
    configured,
    content,
    edited,
    float_of,
    gguf,
    header,
    in_tensor,
    indexed,
    lost,
    masters,
    number_of,
    part_of_gguf,
    put,
    renamed,
    shard_alone,
    shard_gone,
    shard_with_more,
    swapped,
    tensor_field,
    text,
)

#: What is said of each fault: ``name | message`` from the folder on.
EXPECTED = dict(
    line.split(" | ", 1) for line in Path(__file__).with_name("expected.txt").read_text().splitlines()
)

TENSORS: dict[str, Make] = {
    "scale_nan": put(f"{Q}_scale", np.array([np.nan], np.float32)),
    "scale_inf": put(f"{Q}_scale", np.array([np.inf], np.float32)),
    "scale_zero": put(f"{Q}_scale", np.array([0], np.float32)),
    "scale_negative": put(f"{Q}_scale", np.array([-0.5], np.float32)),
    "scale_several": put(f"{Q}_scale", np.array([1, 2], np.float32)),
    "scale_integer": put(f"{Q}_scale", np.array([1], np.int64)),
    "scale_missing": lost(f"{Q}_scale"),
    "scale_of_nothing": put("model.layers.7.mlp.up_proj.weight_scale", np.array([1], np.float32)),
    "code_three": edited(Q, (2, 5), 0b11_00_01_10),
    "shape_wide": put(Q, np.zeros((64, 255), np.uint8)),
    "shape_unpacked": put(Q, np.zeros((256, 256), np.uint8)),
    "shape_flat": put(Q, np.zeros(64 * 256, np.uint8)),
    "kind_integer": put(Q, np.zeros((256, 256), np.int16)),
    "norm_nan": edited("model.norm.weight", (7,), np.nan),
    "embedding_inf": edited("model.embed_tokens.weight", (299, 255), np.inf),
    "norm_short": put("model.norm.weight", np.ones(255, np.float32)),
    "norm_integer": put("model.norm.weight", np.ones(256, np.int32)),
    "missing_matrix": lost(UP),
    "missing_gate": lost("model.layers.1.mlp.gate_proj.weight"),
    "missing_norm": lost("model.norm.weight"),
    "missing_sub_norm": lost("model.layers.1.mlp.ffn_sub_norm.weight"),
    "misspelled": renamed(UP, "model.layers.1.mlp.upp_proj.weight"),
    "extra": put("model.layers.0.self_attn.q_proj.bias", np.zeros(256, np.float32)),
    "extra_layer": put("model.layers.2.mlp.up_proj.weight", np.zeros((128, 256), np.uint8)),
}
CONFIGURATIONS: dict[str, Make] = {
    "unstated": configured(model_type="llama", quantization_config=None),
    "masters_packed": configured(quantization_config=None),
    "more_layers": configured(num_hidden_layers=3),
    "many_layers": configured(num_hidden_layers=16777216),
    "other_hidden": configured(hidden_size=512),
    "other_vocabulary": configured(vocab_size=299),
    "untied": configured(tie_word_embeddings=False),
    "online": configured(
        quantization_config=files.BITNET | {"linear_class": "autobitlinear", "quantization_mode": "online"}
    ),
    "linear_class": configured(quantization_config=files.BITNET | {"linear_class": "bitlinears"}),
    "use_rms_norm": configured(quantization_config=files.BITNET | {"use_rms_norm": True}),
    "epsilon": configured(rms_norm_eps=0),
    "theta": configured(rope_theta=-1.0),
    "master_nan": masters(np.nan, **files.BITNET, linear_class="autobitlinear", quantization_mode="online"),
    "masters_inf": masters(-np.inf, **files.BITNET, linear_class="autobitlinear", quantization_mode="online"),
    "floats_not_ternary": masters(0.77, **files.BITNET),
}
HEADERS: dict[str, Make] = {
    "magic": content(b"PK\x03\x04" + bytes(100)),
    "gguf_inside": content(b"GGUF" + bytes(100)),
    "empty": content(b""),
    "short": content(b"\x01\0\0"),
    "huge_header": header({}, length=2**62),
    "big_endian": header(b"{}", length=2**57),
    "long_header": header({}, length=10**8 + 1),
    "no_json": header(b"{'a': 1}"),
    "nested": header(b'{"a":' + b"[" * 100000),
    "list": header(b"[]"),
    "twice": header(
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        b"1",
    ),
    "dtype": header({"a": {"dtype": "U9", "shape": [1], "data_offsets": [0, 1]}}, b"1"),
    "offsets": header({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 2]}}, b"12"),
    "overlap": header(
        {
            "a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
            "b": {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]},
        },
        b"123456",
    ),
    "truncated": header({"a": {"dtype": "U8", "shape": [9], "data_offsets": [0, 9]}}, b"123"),
    "trailing": header({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}, b"123"),
    "overflow": header({"a": {"dtype": "U8", "shape": [2**62, 16], "data_offsets": [0, 1]}}, b"1"),
}
INDICES: dict[str, Make] = {
    "shard_gone": shard_gone,
    "shard_alone": shard_alone,
    "shard_more": shard_with_more,
    "shard_outside": indexed(lambda p: p.update({Q: "../m/model-00001-of-00003.safetensors"})),
    "shard_absolute": indexed(lambda p: p.update({Q: "/etc/passwd"})),
    "shard_number": indexed(lambda p: p.update({Q: 3})),
    "index_wrong": indexed(
        lambda p: p.update({"model.norm.weight": next(v for v in p.values() if v != p["model.norm.weight"])})
    ),
    "index_more": indexed(lambda p: p.update({"model.nor.weight": p["model.norm.weight"]})),
    "index_less": indexed(lambda p: p.pop("model.norm.weight")),
}
GGUF: dict[str, Make] = {
    "gguf_part": part_of_gguf,
    "gguf_magic": gguf(lambda d: d.__setitem__(slice(0, 4), b"GGML")),
    "gguf_version": gguf(lambda d: d.__setitem__(slice(4, 8), struct.pack("<I", 1))),
    "gguf_big": gguf(lambda d: d.__setitem__(slice(4, 8), struct.pack(">I", 3))),
    "gguf_tensors": gguf(lambda d: d.__setitem__(slice(8, 16), struct.pack("<Q", 2**60))),
    "gguf_pairs": gguf(lambda d: d.__setitem__(slice(16, 24), struct.pack("<Q", 2**60))),
    "gguf_key": gguf(lambda d: d.__setitem__(slice(24, 32), struct.pack("<Q", 2**63))),
    "gguf_empty": gguf(lambda d: d.clear()),
    "gguf_truncated": gguf(lambda d: d.__delitem__(slice(len(d) - 100, None))),
    "gguf_type": tensor_field("blk.0.attn_q.weight", 2, 99),
    "gguf_tl1": tensor_field("blk.0.attn_q.weight", 2, 38),
    "gguf_iq2": tensor_field("blk.0.attn_q.weight", 2, 16),
    "gguf_columns": tensor_field("blk.0.attn_q.weight", 0, 255),
    "gguf_rows": tensor_field("blk.0.attn_q.weight", 1, 128),
    "gguf_rows_zero": tensor_field("blk.0.attn_q.weight", 1, 0),
    "gguf_huge": tensor_field("blk.0.attn_q.weight", 1, 2**50),
    "gguf_overlap": tensor_field("blk.0.attn_q.weight", 3, 0),
    "gguf_twice": swapped(text("blk.1.attn_q.weight"), text("blk.0.attn_q.weight")),
    "gguf_name": swapped(text("blk.1.attn_q.weight"), text("blk.1.attn_x.weight")),
    "gguf_key_twice": swapped(text("bitnet-b1.58.block_count"), text("bitnet-b1.58.vocab_sized")),
    "gguf_architecture": swapped(text("bitnet-b1.58")[8:], b"mamba-b1.580"[:12]),
    "gguf_heads": number_of("bitnet-b1.58.attention.head_count_kv", 4, 3),
    "gguf_layers": number_of("bitnet-b1.58.block_count", 2, 0),
    "gguf_eps": float_of("bitnet-b1.58.attention.layer_norm_rms_epsilon", float("nan")),
    "gguf_scale_nan": in_tensor("blk.0.attn_k.weight", 66 * 5 + 64, np.float16(np.nan).tobytes()),
    "gguf_scale_neg": in_tensor("blk.0.attn_k.weight", 66 * 5 + 64, np.float16(-1).tobytes()),
    "gguf_scale_zero": in_tensor("blk.0.attn_k.weight", 66 * 5 + 64, np.float16(0).tobytes()),
    "gguf_scale_nan_zero_block": in_tensor("blk.0.attn_k.weight", 64, np.float16(np.nan).tobytes()),
    "gguf_code": in_tensor("blk.0.attn_k.weight", 66 * 5 + 3, b"\xff"),
    "gguf_i2s_code": in_tensor("blk.0.attn_k.weight", 40, b"\xff", "i2_s"),
    "gguf_i2s_scale": in_tensor("blk.0.attn_k.weight", 128 * 256 // 4, np.float32(np.inf).tobytes(), "i2_s"),
    "gguf_tokens": swapped(
        text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 300),
        text("tokenizer.ggml.token_") + struct.pack("<IIQ", 9, 8, 300),
    ),
    "gguf_token_twice": swapped(text("B"), text("A")),
}

CASES = TENSORS | CONFIGURATIONS | HEADERS | INDICES | GGUF


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return files.made(tmp_path_factory.mktemp("words"))


def survey(path: Path) -> None:
    """Read everything, as the command does."""
    found = reading.read(path, "tiny").checkpoint
    assert found is not None
    list(found.survey())


def test_every_fault_has_its_sentence() -> None:
    assert sorted(CASES) == sorted(EXPECTED)


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_one_sentence(name: str, made: Checkpoint, tmp_path: Path) -> None:
    path = CASES[name](tmp_path, made)
    with pytest.raises(SpecError) as caught:
        survey(path)
    assert str(caught.value).replace(f"{tmp_path}/", "") == EXPECTED[name]


def test_what_is_not_damaged_is_read(made: Checkpoint, tmp_path: Path) -> None:
    """The twins of all faults."""
    survey(files.folder(tmp_path / "m", made))
    survey(files.shards(tmp_path / "s", made))
    survey(files.gguf(tmp_path / "m.gguf", made))
    survey(files.gguf(tmp_path / "i.gguf", made, "i2_s"))
