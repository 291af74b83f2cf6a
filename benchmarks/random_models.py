"""Random checkpoints of any shapes, for systems that are too small for a trained one."""

from __future__ import annotations

import numpy as np

from blueprint.workloads.model import Model
from checkpoints.checkpoint import Checkpoint, of_arrays
from checkpoints.decoder import Decoder
from checkpoints.names import NORMS, SUB_NORMS, Place
from checkpoints.ternary import Floats, Ternary


def checkpoint(model: Model, seed: int, *, epsilon: float = 1e-5, scale: float = 0.1) -> Checkpoint:
    """A random model of these shapes: even ternary codes of one ``scale``, norms around 1, normal embeddings."""
    random = np.random.default_rng(seed)
    query, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    shapes = {
        "q": (query, model.hidden), "k": (keys, model.hidden), "v": (keys, model.hidden), "o": (model.hidden, query),
        "gate": (model.ffn, model.hidden), "up": (model.ffn, model.hidden), "down": (model.hidden, model.ffn),
    }  # fmt: skip
    if not model.gated:
        del shapes["gate"]
    matrices: dict[Place, Ternary] = {}
    dense: dict[Place, Floats] = {}
    for layer in range(model.layers):
        for role, shape in shapes.items():
            codes = random.choice(np.array([-1, 0, 1], np.int8), shape)
            matrices[layer, role] = Ternary(codes, np.full((1, 1), scale, np.float32), False, "memory")
        lengths = dict.fromkeys(NORMS, model.hidden)
        if model.sub_norms:
            lengths |= dict(zip(SUB_NORMS, (query, model.ffn), strict=True))
        for role, length in lengths.items():
            dense[layer, role] = random.uniform(0.5, 1.5, length).astype(np.float32)
    dense[None, "embedding"] = random.standard_normal((model.vocab, model.hidden)).astype(np.float32)
    dense[None, "final_norm"] = random.uniform(0.5, 1.5, model.hidden).astype(np.float32)
    if not model.tied_embeddings:
        dense[None, "head"] = random.standard_normal((model.vocab, model.hidden)).astype(np.float32)
    return of_arrays(Decoder(model, epsilon, 10_000.0), matrices, dense)
