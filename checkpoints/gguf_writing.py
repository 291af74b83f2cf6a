"""Writing a GGUF file: TQ1_0, TQ2_0 or I2_S matrices, other tensors as they are, the vocabulary as GPT-2's."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blueprint.errors import ParamError
from checkpoints import faults, names, packages, packing
from checkpoints.checkpoint import Checkpoint, Dense
from checkpoints.decoder import GGUF_ARCHITECTURES, HALF
from checkpoints.gguf_file import I2_S
from checkpoints.ternary import Ternary
from checkpoints.vocabulary import CONTROL, NORMAL, PATTERNS, UNUSED, Vocabulary

#: A function that is called with the progress: matrices written, and their number.
Told = Callable[[int, int], None]

#: File types of llama.cpp and bitnet.cpp by the encoding of the matrices.
FILE_TYPES = {"tq1_0": 36, "tq2_0": 37, "i2_s": 40}


def write(checkpoint: Checkpoint, path: Path, encoding: str, told: Told = lambda done, total: None) -> float:
    """Write the checkpoint as one file; ``encoding`` is a key of :data:`FILE_TYPES`.

    Scales of TQ1_0 and TQ2_0 are FP16, those of I2_S FP32; returns the largest relative error of a scale by this.
    ``told`` is called after each matrix with the number of matrices written and their total. Raises ``ParamError``
    for shapes that the blocks do not fit and decoders that llama.cpp has no architecture for, ``SpecError`` for bad
    tensors.
    """
    architecture = _architecture(checkpoint)
    _check_head(checkpoint)
    _check_shapes(checkpoint, encoding)
    package = packages.load("gguf", "write GGUF files")
    writer = package.GGUFWriter(path, architecture)
    _describe(writer, checkpoint, architecture, FILE_TYPES[encoding])
    places = [*checkpoint.dense, *checkpoint.matrices]
    for place in places:
        _add_info(writer, package, checkpoint, place, encoding)
    with faults.of_disk(path), contextlib.closing(writer):
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for dense in checkpoint.dense.values():
            writer.write_tensor_data(_dense(dense)[0])
        changes = [0.0]
        for done, where in enumerate(checkpoint.layers(), start=1):
            found = checkpoint.matrix(*where)
            writer.write_tensor_data(packed(found, encoding).reshape(-1))
            changes.append(rounding(found, encoding))
            told(done, len(checkpoint.matrices))
    return max(changes)


def packed(found: Ternary, encoding: str) -> NDArray[np.uint8]:
    """The bytes of a matrix with one scale in an encoding of :data:`FILE_TYPES`. Raises ``ParamError``."""
    scale = _multiplier(found)
    if encoding == "i2_s":
        return packing.pack_i2_s(found.codes, float(np.float32(scale)))
    blocks = found.codes.reshape(-1, packing.BLOCK)
    with np.errstate(over="ignore"):
        half = np.float16(scale)
    if not np.isfinite(half) or half <= 0:
        raise ParamError(f"Scale must be one of FP16 as {encoding.upper()}, not {scale}; write it as I2_S")
    scales = np.where((blocks != 0).any(axis=1), half, np.float16(0))  # as ggml writes blocks of zeros
    pack = packing.pack_tq1_0 if encoding == "tq1_0" else packing.pack_tq2_0
    return pack(blocks, scales)


def rounding(found: Ternary, encoding: str) -> float:
    """Relative error that the format of the encoding makes in the scale."""
    exact = _multiplier(found)
    kept = float(np.float32(exact) if encoding == "i2_s" else np.float16(exact))
    return abs(kept - exact) / exact


def _multiplier(found: Ternary) -> float:
    if not found.single:
        raise ParamError(f"Matrix must have one scale to be written as GGUF, not {found.scale.size}")
    return float(found.multiplier[0, 0])


def _architecture(checkpoint: Checkpoint) -> str:
    decoder = checkpoint.decoder
    known = {pair: name for name, pair in reversed(GGUF_ARCHITECTURES.items()) if name.startswith("bitnet")}
    known[HALF, "relu2"] = "bitnet-b1.58"
    kind = (decoder.rotary, decoder.model.activation)
    if (
        not decoder.model.sub_norms
        or not decoder.model.gated
        or kind not in known
        or decoder.windows
        or any(role in names.HEAD_NORMS for _, role in checkpoint.dense)
    ):
        what = (
            "a decoder with sub-norms, a gate, no window, rotary positions over half a head and relu2 or silu"
        )
        raise ParamError(f"{checkpoint.source}: model must be {what} to be written as GGUF, and is not")
    return known[kind]


def _check_head(checkpoint: Checkpoint) -> None:
    """Refuse a model whose head is not its embedding: readers of these architectures would ignore it."""
    if not checkpoint.decoder.model.tied_embeddings:
        must = "must take its embedding for the head, as llama.cpp does for architectures of BitNet"
        raise ParamError(f"{checkpoint.source}: model {must}, and has another head")


def _check_shapes(checkpoint: Checkpoint, encoding: str) -> None:
    """Refuse matrices that blocks do not divide."""
    for matrix in checkpoint.matrices.values():
        size, what = (
            (matrix.shape[0] * matrix.shape[1], "elements")
            if encoding == "i2_s"
            else (matrix.shape[1], "columns")
        )
        block = packing.I2_S_BLOCK if encoding == "i2_s" else packing.BLOCK
        if size % block:
            must = f"must have a multiple of {block} {what} as {encoding.upper()}, not {size}"
            raise ParamError(f"{checkpoint.source}: {matrix.name} {must}")


def _describe(writer: Any, checkpoint: Checkpoint, architecture: str, file_type: int) -> None:
    """Metadata: sizes and constants of the decoder, and its vocabulary."""
    decoder, model = checkpoint.decoder, checkpoint.decoder.model
    writer.add_name(model.name)
    writer.add_file_type(file_type)
    writer.add_context_length(model.context)
    writer.add_embedding_length(model.hidden)
    writer.add_block_count(model.layers)
    writer.add_feed_forward_length(model.ffn)
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(model.kv_heads)
    writer.add_key_length(model.head_dim)
    writer.add_value_length(model.head_dim)
    writer.add_layer_norm_rms_eps(decoder.epsilon)
    writer.add_rope_dimension_count(model.head_dim)
    writer.add_rope_freq_base(decoder.rope_theta)
    writer.add_vocab_size(model.vocab)
    if checkpoint.vocabulary is not None:
        _add_vocabulary(writer, checkpoint.vocabulary, model.vocab)
    for name in ("bos", "eos"):
        token = getattr(decoder, name)
        if token is not None:
            getattr(writer, f"add_{name}_token_id")(token)


def _add_vocabulary(writer: Any, vocabulary: Vocabulary, size: int) -> None:
    """Tokens in order, what they are, and merges in the order in which they apply."""
    content = json.loads(vocabulary.tokenizer.to_str())
    special = {item["id"] for item in content["added_tokens"] if item["special"]}
    tokens = {index: token for token, index in vocabulary.tokenizer.get_vocab(with_added_tokens=True).items()}
    kinds = [CONTROL if i in special else NORMAL if i in tokens else UNUSED for i in range(size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_cut(content["pre_tokenizer"], vocabulary))
    writer.add_token_list([tokens.get(index, f"[PAD{index}]") for index in range(size)])
    writer.add_token_types(kinds)
    merges = content["model"]["merges"]
    writer.add_token_merges([" ".join(pair) if isinstance(pair, list) else pair for pair in merges])


def _cut(found: Any, vocabulary: Vocabulary) -> str:
    """The name of the pre-tokenizer in GGUF. Raises ``ParamError`` where GGUF has no name for it."""
    steps = found.get("pretokenizers", [found]) if isinstance(found, dict) else []
    kinds = [step.get("type") for step in steps]
    if kinds == ["ByteLevel"] and steps[0].get("use_regex", True) and not steps[0].get("add_prefix_space"):
        return "gpt-2"
    if kinds == ["Split", "ByteLevel"]:
        pattern = steps[0].get("pattern", {}).get("Regex")
        for name, known in PATTERNS.items():
            if known is not None and pattern == known:
                return name
    what = "bytes cut as by GPT-2 or Llama 3, for which GGUF has a name"
    raise ParamError(f"{vocabulary.source}: tokenizer must have a pre_tokenizer of {what}, and has another")


def _add_info(writer: Any, package: Any, checkpoint: Checkpoint, place: names.Place, encoding: str) -> None:
    name = names.GGUF.name(place)
    if place in checkpoint.dense:
        dense = checkpoint.dense[place]
        kind, width = _kind(dense)
        size = int(np.prod(dense.shape, dtype=object)) * width
        raw = getattr(package.GGMLQuantizationType, kind)
        writer.add_tensor_info(name, dense.shape, np.dtype(np.float32), size, raw)
        return
    shape = checkpoint.matrices[place].shape
    count = shape[0] * shape[1]
    if encoding == "i2_s":
        raw, size = I2_S, count // 4 + packing.I2_S_TRAILER
    else:
        raw = getattr(package.GGMLQuantizationType, encoding.upper())
        size = count // packing.BLOCK * packing.BLOCK_BYTES[encoding.upper()]
    writer.add_tensor_info(name, shape, np.dtype(np.float32), size, raw)


def _kind(dense: Dense) -> tuple[str, int]:
    """Type and bytes of an element: as it was stored, except that vectors are FP32, as llama.cpp needs them."""
    if len(dense.shape) > 1 and dense.kind in ("F16", "BF16"):
        return dense.kind, 2
    return "F32", 4


def _dense(dense: Dense) -> tuple[NDArray[Any], str]:
    kind, _ = _kind(dense)
    values = dense.read()
    if kind == "BF16":
        return values.astype(packages.load("ml_dtypes", "write BF16 tensors").bfloat16).view(np.uint16), kind
    return np.ascontiguousarray(values.astype(np.float16 if kind == "F16" else np.float32)), kind
