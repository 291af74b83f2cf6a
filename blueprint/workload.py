"""What is asked of an accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from blueprint.errors import ParamError


@dataclass(frozen=True)
class Gemm:
    """Matrix product: ``m`` tokens by ``k`` activations times a ``k`` by ``n`` ternary matrix; ``count`` times."""

    m: int
    k: int
    n: int
    name: str = "gemm"
    count: int = 1

    def __post_init__(self) -> None:
        for what in ("m", "k", "n", "count"):
            value: Any = getattr(self, what)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"Gemm {what} must be an integer, not {value!r}")
            if value < 1:
                raise ParamError(f"Gemm {what} must be at least 1, not {value}")

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all ``count`` repetitions."""
        return self.m * self.k * self.n * self.count
