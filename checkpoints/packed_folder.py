"""Writing a Hugging Face folder in the published packed layout: ``config.json``, ``model.safetensors``, tokenizer.

Model type ``bitnet`` of transformers loads it unchanged. All weights are ternary with one scale a matrix.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blueprint.errors import ParamError
from checkpoints import faults, names, packages, packing, vocabulary
from checkpoints.checkpoint import Checkpoint, Dense
from checkpoints.decoder import HALF
from checkpoints.safetensors_file import SINGLE
from checkpoints.ternary import Ternary

#: What ``weight_scale`` means by the class that computes with it: True where it divides.
CLASSES = {"autobitlinear": False, "bitlinear": True}
#: Kinds of the dense tensors of a file, by the types of NumPy and ml_dtypes that hold them.
_KINDS = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def write(checkpoint: Checkpoint, folder: Path, linear_class: str | None = None) -> None:
    """Write the checkpoint into an empty folder.

    Without a ``linear_class`` it is the one whose scale is as the first matrix has it. Raises ``ParamError`` for a
    decoder that model type ``bitnet`` is not, ``SpecError`` for tensors that are bad.
    """
    _check(checkpoint)
    chosen = linear_class or _class(checkpoint)
    tensors: dict[str, NDArray[Any]] = {}
    for place in checkpoint.layers():
        found, name = checkpoint.matrix(*place), names.HUGGING_FACE.name(place)
        tensors[name] = packing.pack_rows(found.codes)
        tensors[names.HUGGING_FACE.scale_name(name)] = _scale(found, CLASSES[chosen])
    for where, dense in checkpoint.dense.items():
        tensors[names.HUGGING_FACE.name(where)] = _typed(dense)
    text = json.dumps(config(checkpoint, chosen), indent=2)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    save = packages.load("safetensors.numpy", "write safetensors files").save_file
    with faults.of_disk(folder / SINGLE):
        save(tensors, str(folder / SINGLE), metadata={"format": "pt"})
    (folder / SINGLE).chmod((folder / "config.json").stat().st_mode)  # the package keeps it from all others
    if checkpoint.vocabulary is not None:
        _write_vocabulary(checkpoint.vocabulary, folder / vocabulary.FILE)


def config(checkpoint: Checkpoint, linear_class: str) -> dict[str, Any]:
    """The ``config.json`` of a checkpoint, as model type ``bitnet`` reads it."""
    decoder, model = checkpoint.decoder, checkpoint.decoder.model
    return {
        "architectures": ["BitNetForCausalLM"],
        "model_type": "bitnet",
        "hidden_size": model.hidden,
        "intermediate_size": model.ffn,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        "head_dim": model.head_dim,
        "vocab_size": model.vocab,
        "max_position_embeddings": model.context,
        "hidden_act": model.activation,
        "tie_word_embeddings": model.tied_embeddings,
        "rms_norm_eps": decoder.epsilon,
        "rope_theta": decoder.rope_theta,
        "attention_bias": False,
        "bos_token_id": decoder.bos,
        "eos_token_id": decoder.eos,
        "quantization_config": {
            "quant_method": "bitnet",
            "linear_class": linear_class,
            "quantization_mode": "offline",
        },
    }


def _check(checkpoint: Checkpoint) -> None:
    decoder = checkpoint.decoder
    if (
        not decoder.model.sub_norms
        or not decoder.model.gated
        or decoder.rotary != HALF
        or decoder.windows
        or any(role in names.HEAD_NORMS for _, role in checkpoint.dense)
    ):
        what = "a decoder with sub-norms, a gate, rotary positions over half a head, no norms of heads and no window"
        raise ParamError(
            f"{checkpoint.source}: model must be {what} to be written as model type bitnet, and is not"
        )
    for place, matrix in checkpoint.matrices.items():
        if matrix.shape[0] % 4:
            name = names.HUGGING_FACE.name(place)
            raise ParamError(
                f"{checkpoint.source}: {name} must have a multiple of 4 outputs, not {matrix.shape[0]}"
            )


def _class(checkpoint: Checkpoint) -> str:
    """The class that takes scales as the checkpoint has them."""
    divides = checkpoint.matrix(*checkpoint.layers()[0]).divides
    return next(name for name, does in CLASSES.items() if does == divides)


def _scale(found: Ternary, divides: bool) -> NDArray[np.float32]:
    if not found.single:
        raise ParamError(f"Matrix must have one scale to be packed, not {found.scale.size}")
    exact = found.scale if found.divides == divides else (1.0 / found.scale.astype(np.float64))
    return exact.astype(np.float32).reshape(1)


def _typed(dense: Dense) -> NDArray[Any]:
    """The tensor in the kind it was stored in; blocks of ggml become FP32."""
    if dense.kind == "BF16":
        packages.load("ml_dtypes", "write BF16 tensors")
    return np.ascontiguousarray(dense.read().astype(_KINDS.get(dense.kind, "float32")))


def _write_vocabulary(found: vocabulary.Vocabulary, path: Path) -> None:
    if found.source.name == vocabulary.FILE:
        shutil.copyfile(found.source, path)
    else:
        found.tokenizer.save(str(path))
