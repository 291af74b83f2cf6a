"""A linear layer of a checkpoint: from what is stored, in whatever form, to its ternary matrix.

The layout does not say whether the scale beside packed codes multiplies or divides: ``linear_class`` and
``quantization_mode`` of the configuration do (model type ``bitnet`` of transformers). In GGUF files every scale
multiplies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from checkpoints import packing, ternary
from checkpoints.stored import FLOATS, Stored
from checkpoints.ternary import Floats, Ternary


@dataclass(frozen=True)
class Convention:
    """Storage of the linear layers, as the configuration of a checkpoint states it.

    ``divides``: a product is divided by the stored scale. ``masters``: floats are master weights, whose absmean is
    taken. ``ternary``: floats must be ternary already; where neither is stated, they may be of full precision.
    ``stated`` quotes the configuration, and is empty where it says nothing of storage.
    """

    stated: str
    divides: bool = False
    masters: bool = False
    ternary: bool = False


@dataclass(frozen=True)
class Linear:
    """A linear layer as it is stored: ``shape`` is (outputs, inputs), ``scale`` a tensor beside the weights."""

    weight: Stored
    scale: Stored | None
    shape: tuple[int, int]
    convention: Convention

    def read(self) -> Ternary | None:
        """The ternary matrix; ``None`` where floats are neither ternary nor master weights. Raises ``SpecError``."""
        kind = self.weight.kind
        self.check()
        if kind == "U8":
            return self._packed()
        if kind in packing.BLOCK_BYTES:
            return self._blocks()
        if kind == "I2_S":
            return self._i2_s()
        if kind in FLOATS:
            return self._floats()
        raise self.weight.error(
            f"must be packed (U8), ternary (TQ1_0, TQ2_0, I2_S) or floats, not {kind}; convert the original to TQ2_0"
        )

    def stored_shape(self) -> tuple[int, ...]:
        """The shape that the tensor must have in the file."""
        outputs, inputs = self.shape
        return (outputs // 4, inputs) if self.weight.kind == "U8" else self.shape

    def check(self) -> None:
        """Refuse a tensor of another shape. Raises ``SpecError``."""
        if self.weight.kind == "U8" and self.shape[0] % 4:
            raise self.weight.error(f"must have a multiple of 4 outputs to be packed, not {self.shape[0]}")
        if self.weight.shape != self.stored_shape():
            found, wanted = list(self.weight.shape), list(self.stored_shape())
            packed = f", four rows of {self.shape[0]} in one" if self.weight.kind == "U8" else ""
            raise self.weight.error(f"must have the shape {wanted}{packed}, not {found}")

    def _packed(self) -> Ternary:
        if self.convention.masters:
            must = f"must be master weights in floats as {self.convention.stated} says, not packed (U8)"
            raise self.weight.error(must)
        if self.scale is None:
            raise self.weight.error("must have a weight_scale beside it because it is packed, and has none")
        codes = self._checked(packing.unpack_rows(self.weight.all()))
        return Ternary(codes, self._scale(self.scale), self.convention.divides, "packed rows")

    def _scale(self, stored: Stored) -> Floats:
        """The one scale in a tensor of its own."""
        if not self.convention.stated:
            raise stored.error(
                "must multiply or divide as quantization_config says, and config.json has none"
            )
        if stored.size != 1:
            raise stored.error(f"must be one number, not of shape {list(stored.shape)}")
        value = np.asarray(stored.float_rows(0, 1), np.float32).reshape(1, 1)
        return self._positive(value, stored, "must be")

    def _positive(self, scale: Floats, stored: Stored, what: str = "must have scales") -> Floats:
        for value in scale[~(np.isfinite(scale) & (scale > 0))].reshape(-1)[:1]:
            raise stored.error(f"{what} finite and above 0, not {value}")
        return scale

    def _checked(self, codes: ternary.Codes) -> ternary.Codes:
        """The codes; raises ``SpecError`` where a field of two bits holds 3."""
        if codes.size and codes.max() > 1:
            bad = int(np.count_nonzero(codes > 1))
            at = [int(i) for i in np.unravel_index(int(np.argmax(codes > 1)), codes.shape)]
            raise self.weight.error(f"must hold codes 0, 1 and 2, not {bad} of 3, the first at {at}")
        return codes

    def _blocks(self) -> Ternary:
        kind = self.weight.kind
        blocks = self.weight.all().reshape(-1, packing.BLOCK_BYTES[kind])
        unpack = packing.unpack_tq1_0 if kind == "TQ1_0" else packing.unpack_tq2_0
        codes = self._checked(unpack(blocks))
        used: NDArray[np.bool_] = (codes != 0).any(axis=1)
        with np.errstate(invalid="ignore"):
            scale = packing.block_scales(blocks).astype(np.float32)
        self._positive(scale[used], self.weight)
        self._positive(scale[~used] + np.float32(1), self.weight)  # ggml writes 0 beside a block of zeros
        merged = self._merged(scale, used)
        return self._beside(Ternary(codes.reshape(self.shape), merged, False, kind))

    def _merged(self, scale: Floats, used: NDArray[np.bool_]) -> Floats:
        """One scale where all blocks with a nonzero code share it, else one per block; blocks of zeros keep theirs."""
        values = np.unique(scale[used])
        if len(values) <= 1:
            return np.array([[values[0] if len(values) else 1.0]], np.float32)
        return scale.reshape(self.shape[0], -1)

    def _i2_s(self) -> Ternary:
        data: NDArray[np.uint8] = self.weight.all()
        end = len(data) - packing.I2_S_TRAILER
        codes = self._checked(packing.unpack_i2_s(data[:end]))
        scale = np.frombuffer(bytes(data[end : end + 4]), "<f4").reshape(1, 1).astype(np.float32)
        found = Ternary(codes.reshape(self.shape), self._positive(scale, self.weight), False, "I2_S")
        return self._beside(found)

    def _floats(self) -> Ternary | None:
        if self._plainly_full():
            return None
        weights = np.concatenate(list(self.weight.pieces()))
        if not np.isfinite(weights).all():
            at = [int(i) for i in np.unravel_index(int(np.argmin(np.isfinite(weights))), weights.shape)]
            raise self.weight.error(f"must hold finite numbers, not {weights[tuple(at)]} at {at}")
        found = ternary.from_floats(weights)
        if found is not None:
            return self._beside(found)
        if self.convention.masters:
            return ternary.absmean(weights)
        if self.convention.ternary:
            raise self._not_ternary(weights)
        return None

    def _plainly_full(self) -> bool:
        """True if the first rows already show that weights are of full precision, where the file allows that."""
        if self.convention.masters or self.convention.ternary:
            return False
        first = self.weight.float_rows(0, min(4, self.shape[0]))
        return bool(np.isfinite(first).all()) and ternary.from_floats(first) is None

    def _not_ternary(self, weights: Floats) -> Exception:
        values = np.unique(np.abs(weights[weights != 0]))
        which = f"{len(values)} magnitudes from {values[0]:.4g} to {values[-1]:.4g}"
        must = f"must be ternary as {self.convention.stated} says (0, and plus or minus one scale), not of {which}"
        return self.weight.error(f"{must}; master weights are what quantization_mode online says")

    def _beside(self, found: Ternary) -> Ternary:
        """A matrix whose weights are further scaled by the tensor beside it."""
        if self.scale is None:
            return found
        if not np.array_equal(found.scale, np.ones_like(found.scale)):
            must = "must not have both a scale of its own and one beside it"
            raise self.weight.error(f"{must}, {self.scale.name}")
        return Ternary(found.codes, self._scale(self.scale), self.convention.divides, found.encoding)
