"""Write the trained model in the published packed layout: ``python export.py --run FOLDER --out DIR``.

The master weights go into a Hugging Face folder first, and ``ternforge model export`` packs that one, so that what is
shipped went the way of every checkpoint. Embedding, norms and scales are FP16.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

import corpus
import torch
from model import Shape
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer

import ternforge

_MASTERS = {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online"}


def config(shape: Shape, begin: int) -> dict[str, object]:
    """``config.json`` of the master weights; a chapter ends where the next one begins."""
    return {
        "architectures": ["BitNetForCausalLM"],
        "model_type": "bitnet",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_value_heads,
        "head_dim": shape.head_dim,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.context,
        "hidden_act": "relu2",
        "tie_word_embeddings": True,
        "rms_norm_eps": shape.norm_eps,
        "rope_theta": shape.rope_theta,
        "attention_bias": False,
        "bos_token_id": begin,
        "eos_token_id": begin,
        "quantization_config": _MASTERS,
    }


def masters(run: Path, folder: Path) -> None:
    """Write the checkpoint of a run as a folder of master weights."""
    state = torch.load(run / "checkpoint.pt", map_location="cpu")["model"]
    kinds = {True: torch.float16, False: torch.float32}
    tensors = {
        f"model.{name}": value.to(kinds[name == "embed_tokens.weight"]).contiguous()
        for name, value in state.items()
    }
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    begin = Tokenizer.from_file(str(run / "tokenizer.json")).token_to_id(corpus.BEGIN)
    (folder / "config.json").write_text(json.dumps(config(Shape(), begin), indent=2) + "\n")
    shutil.copy(run / "tokenizer.json", folder)


def one_type(path: Path) -> None:
    """Write scales and norms in FP16 like the embedding: model type ``bitnet`` computes in one type alone."""
    with safe_open(str(path), "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    rounded = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    save_file(rounded, str(path), metadata={"format": "pt"})


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder that train.py wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "tiny_lm"
        folder.mkdir()
        masters(options.run, folder)
        ternforge.model_export(folder, options.out, "packed", force=True)
    one_type(options.out / "model.safetensors")
    curve = (
        json.loads((options.run / "curve.json").read_text()) if (options.run / "curve.json").exists() else []
    )
    facts = {"shape": asdict(Shape()), "curve": curve}
    (options.out / "training.json").write_text(json.dumps(facts, indent=1) + "\n")
    size = sum(path.stat().st_size for path in options.out.iterdir())
    print(f"wrote {options.out}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
