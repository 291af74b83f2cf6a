"""Statistics of operands: how much switches depends on how many weights are zeros and on how numbers are spread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.errors import ParamError
from blueprint.files.nearest import suggestion

Integers = npt.NDArray[np.int64]

SPREADS = ("uniform", "normal")


@dataclass(frozen=True)
class Data:
    """Shares and spread of random operands; a family uses those that its operands have.

    ``zeros`` is the share of zeros among ternary weights, ``positive`` that of +1 among the others, ``spread`` the
    distribution of whole numbers: ``uniform`` over their width, or ``normal`` with a deviation of a quarter of the
    largest one, clipped. `ParamError` for shares outside 0 .. 1 and for another spread.

    Defaults are those of trained models: 0.42 of the weights of BitNet b1.58 2B4T are zeros (0.30 to 0.42 in public
    ternary checkpoints) and as many are +1 as -1; scaled by the largest of some thousand values, as activations are
    (Ma et al., arXiv 2402.17764, section 2), normal ones have a deviation of 0.28 of it.
    """

    zeros: float = 0.42
    positive: float = 0.5
    spread: str = "normal"

    def __post_init__(self) -> None:
        for name in ("zeros", "positive"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ParamError(f"Data {name} must be a share from 0 to 1, not {share:g}")
        if self.spread not in SPREADS:
            known = " or ".join(SPREADS)
            raise ParamError(
                f"Data spread must be {known}, not {self.spread!r}{suggestion(self.spread, SPREADS)}"
            )

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Data:
        """Build statistics from texts by name. `ParamError` for unknown names and wrong values."""
        known = tuple(field.name for field in fields(cls))
        found: dict[str, Any] = {}
        for name, text in values.items():
            if name not in known:
                raise ParamError(
                    f"Data must be one of {', '.join(known)}, not {name!r}{suggestion(name, known)}"
                )
            found[name] = text if name == "spread" else _share(name, text)
        return cls(**found)

    def ternary(self, random: np.random.Generator, shape: tuple[int, ...]) -> Integers:
        """Random weights -1, 0 and +1."""
        if self == EVEN:
            return random.integers(-1, 2, shape, dtype=np.int64)
        rest = 1 - self.zeros
        shares = (rest * (1 - self.positive), self.zeros, rest * self.positive)
        return random.choice(np.array([-1, 0, 1]), shape, p=shares)

    def whole(self, random: np.random.Generator, shape: tuple[int, ...], width: int) -> Integers:
        """Random two's complement numbers of ``width`` bits."""
        high = 1 << (width - 1)
        if self.spread == "uniform":
            return random.integers(-high, high, shape, dtype=np.int64)
        drawn = np.rint(random.standard_normal(shape) * high / 4)
        return np.clip(drawn, -high, high - 1).astype(np.int64)


def _share(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ParamError(f"Data {name} must be a number, not {text!r}") from None


#: Every weight and every number is equally likely; the packaged technologies were calibrated with this.
EVEN = Data(1 / 3, 0.5, "uniform")
