"""A tiny decoder with random weights, made in memory, and a byte-pair vocabulary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from blueprint.workloads.model import Model
from checkpoints.checkpoint import Checkpoint, of_arrays
from checkpoints.decoder import Decoder
from checkpoints.names import NORMS, Place
from checkpoints.ternary import Floats, Ternary
from checkpoints.vocabulary import FILE, Vocabulary

#: Every row packs into blocks of 256.
MODEL = Model(
    name="tiny",
    title="tiny",
    source="memory",
    hidden=256,
    ffn=512,
    layers=2,
    heads=8,
    kv_heads=4,
    head_dim=32,
    vocab=300,
    context=64,
    activation="relu2",
    tied_embeddings=True,
    sub_norms=True,
)
DECODER = Decoder(MODEL, 1e-5, 500_000.0, bos=1, eos=2)
TEXT = "In the beginning God created the heaven and the earth. And the earth was without form, and void. " * 4


def vocabulary(folder: Path, size: int = 300) -> Vocabulary:
    """A byte-pair vocabulary of some verses, in a file."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    special = ["<pad>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=letters, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / FILE))
    return Vocabulary(tokenizer, folder / FILE)


def shapes(model: Model = MODEL) -> dict[str, tuple[int, int]]:
    """Outputs and inputs of a layer's matrices."""
    query, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    return {
        "q": (query, model.hidden),
        "k": (keys, model.hidden),
        "v": (keys, model.hidden),
        "o": (model.hidden, query),
        "gate": (model.ffn, model.hidden),
        "up": (model.ffn, model.hidden),
        "down": (model.hidden, model.ffn),
    }


def checkpoint(words: Vocabulary | None = None, *, seed: int = 1, divides: bool = False) -> Checkpoint:
    """The decoder; scales are such that FP16 holds them and their reciprocals."""
    random = np.random.default_rng(seed)
    matrices: dict[Place, Ternary] = {}
    dense: dict[Place, Floats] = {}
    for layer in range(MODEL.layers):
        for role, shape in shapes().items():
            codes = random.choice(np.array([-1, 0, 1], np.int8), shape, p=[0.3, 0.42, 0.28])
            codes[0, :256] = 0  # a block of zeros
            scale = np.full((1, 1), 2.0 ** random.integers(-6, 3), np.float32)
            matrices[layer, role] = Ternary(codes, scale, divides, "memory")
        for role in NORMS:
            dense[layer, role] = random.uniform(0.5, 1.5, MODEL.hidden).astype(np.float32)
        dense[layer, "attention_sub_norm"] = random.uniform(0.5, 1.5, 256).astype(np.float32)
        dense[layer, "ffn_sub_norm"] = random.uniform(0.5, 1.5, MODEL.ffn).astype(np.float32)
    dense[None, "embedding"] = random.standard_normal((MODEL.vocab, MODEL.hidden)).astype(np.float32)
    dense[None, "final_norm"] = random.uniform(0.5, 1.5, MODEL.hidden).astype(np.float32)
    return of_arrays(DECODER, matrices, dense, words)
