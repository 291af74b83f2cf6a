"""Tensors as files store them: described by their headers, read on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkpoints import faults

#: Kinds whose elements are numbers that NumPy holds (with ``ml_dtypes`` for BF16).
FLOATS = ("F64", "F32", "F16", "BF16")
#: Most elements that are read at a time where a tensor is only scanned.
PIECE = 1 << 24


@dataclass(frozen=True)
class Stored:
    """A tensor of a file: its shape, the kind of its elements by the file's own name, and a reader of its bytes.

    ``read(first, last)`` gives rows of the first axis: numbers for kinds that NumPy knows, bytes (``uint8``) of the
    whole tensor for packed kinds, which ignore the limits. ``floats`` gives rows as ``float32`` where that is more
    than a cast (blocks of ggml that are not ternary).
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    kind: str
    read: Callable[[int, int], NDArray[Any]]
    floats: Callable[[int, int], NDArray[np.float32]] | None = None

    def all(self) -> NDArray[Any]:
        """The whole tensor as it is stored."""
        return self.read(0, self.shape[0] if self.shape else 1)

    def float_rows(self, first: int, last: int) -> NDArray[np.float32]:
        """Rows as ``float32``, which holds FP16, BF16 and FP32 exactly. Raises ``SpecError`` for what is no float."""
        if self.floats is not None:
            return self.floats(first, last)
        if self.kind not in FLOATS:
            raise self.error(f"must hold floats ({', '.join(FLOATS)}), not {self.kind}")
        return np.asarray(self.read(first, last), dtype=np.float32)

    def pieces(self) -> Iterator[NDArray[np.float32]]:
        """The whole tensor as ``float32``, some rows at a time."""
        rows = self.shape[0] if self.shape else 1
        step = max(1, PIECE // max(1, self.size // max(1, rows)))
        for first in range(0, rows, step):
            yield self.float_rows(first, min(first + step, rows))

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=object)) if self.shape else 1

    def error(self, what: str) -> Exception:
        """The error to raise about this tensor."""
        return faults.of_tensor(self.path, self.name, what)
