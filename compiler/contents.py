"""The contents of the regions of an image: weights in beats, tensors in containers, scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blueprint.arithmetic.quantization import LEVELS
from blueprint.errors import ParamError
from checkpoints.checkpoint import Checkpoint
from checkpoints.decoder import HALF
from checkpoints.ternary import Ternary
from compiler.calibration import Steps
from compiler.plan import UNGATED


@dataclass(frozen=True)
class Contents:
    """A checkpoint, and the steps of its attention, as numbers of regions."""

    checkpoint: Checkpoint
    steps: tuple[Steps, ...]

    def scale(self, layer: int, role: str) -> float:
        """Scale of the codes of a matrix. Raises ``ParamError`` where it has several scales."""
        return float(self._matrix(layer, role).multiplier.reshape(-1)[0])

    def codes(self, layer: int, roles: Sequence[str]) -> NDArray[np.int8]:
        """Codes of matrices stacked by their outputs, (outputs x inputs)."""
        return np.concatenate([self._codes(layer, role) for role in roles])

    def tensor(self, layer: int | None, role: str) -> NDArray[np.float64]:
        """A tensor of floats, the angles of every position, or the ones that an activation multiplies."""
        if role == UNGATED:
            return np.ones(self.checkpoint.decoder.model.ffn)
        if role == "angles":
            return self._angles()
        return self.checkpoint.dense[layer, role].read().astype(np.float64)

    def rows(self, role: str, levels: float = LEVELS) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """A table as integers up to ``levels``, and what those of each row are multiplied by."""
        table = self.tensor(None, role)
        scale = (np.abs(table).max(axis=1) / levels).astype(np.float32)
        scale[scale == 0] = 1
        return np.rint(table / scale[:, None]).astype(np.int64), scale

    def _matrix(self, layer: int, role: str) -> Ternary:
        """A matrix of one scale. Raises ``ParamError``."""
        found = self.checkpoint.matrix(layer, role)
        name = self.checkpoint.matrices[layer, role].name
        if not found.single:
            what = f"must have one scale, which a run of the vector unit takes, not {found.scale.size}"
            raise ParamError(f"{self.checkpoint.source}: tensor {name!r} {what}")
        scale = float(found.multiplier.reshape(-1)[0])
        if not (np.isfinite(scale) and scale > 0):
            raise ParamError(
                f"{self.checkpoint.source}: tensor {name!r} must have a scale above 0, not {scale:g}"
            )
        return found

    def _codes(self, layer: int, role: str) -> NDArray[np.int8]:
        """Codes of a matrix; in heads of queries and keys rotated pairs stand side by side."""
        codes = self._matrix(layer, role).codes
        if role not in ("q", "k") or self.checkpoint.decoder.rotary != HALF:
            return codes
        dim = self.checkpoint.decoder.model.head_dim
        order = np.arange(dim).reshape(2, dim // 2).T.reshape(-1)
        return codes.reshape(-1, dim, codes.shape[1])[:, order].reshape(codes.shape)

    def _angles(self) -> NDArray[np.float64]:
        """Cosine and sine of every pair of a head, side by side, (context x head_dim)."""
        decoder, model = self.checkpoint.decoder, self.checkpoint.decoder.model
        half = model.head_dim // 2
        rates = (np.float32(1) / decoder.rope_theta ** (np.arange(half, dtype=np.float32) / half)).astype(
            np.float32
        )
        angles = (np.arange(model.context, dtype=np.float32)[:, None] * rates).astype(np.float64)
        found: NDArray[np.float64] = np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(
            model.context, -1
        )
        return found
