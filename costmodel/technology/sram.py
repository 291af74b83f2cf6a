"""Memory macros: area, access time and energy as linear functions of words and width, fitted to real macros."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from blueprint.numbers import Real, Whole
from costmodel.technology.liberty import Cell

#: What each coefficient multiplies.
TERMS = ("fixed", "bits", "words", "width")
_UNITS = {"area": "um2", "access_time": "ps", "energy": "pJ"}


@dataclass(frozen=True)
class Fit:
    """One quantity of a memory macro as a sum: a fixed part, a part for each bit, each word and each bit of width.

    `error` is the largest relative error over the macros the law was fitted to.
    """

    coefficients: Mapping[str, float]
    unit: str
    source: str
    error: float = 0.0

    def at(self, words: Whole, width: Whole) -> Real:
        """The quantity for `words` words of `width` bits; arrays broadcast."""
        c = self.coefficients
        return c["fixed"] + c["bits"] * words * width + c["words"] * words + c["width"] * width


@dataclass(frozen=True)
class Sram:
    """A technology's memory macros, one port that reads or writes a word a cycle."""

    area: Fit
    access_time: Fit
    energy: Fit

    def area_um2(self, words: Whole, width: Whole) -> Real:
        """Area in um2."""
        return self.area.at(words, width)

    def access_ps(self, words: Whole, width: Whole) -> Real:
        """Clock edge to data out, in ps."""
        return self.access_time.at(words, width)

    def energy_pj(self, words: Whole, width: Whole) -> Real:
        """One access, in pJ."""
        return self.energy.at(words, width)


def fit(macros: Sequence[Cell], source: str) -> Sram:
    """Fit the memory laws: non-negative coefficients of least relative error."""
    shapes = [(cell.memory.words, cell.memory.width) for cell in macros if cell.memory]
    figures = {
        "area": [cell.area for cell in macros],
        "access_time": [_access_time(cell) for cell in macros],
        "energy": [_access_energy(cell) for cell in macros],
    }
    return Sram(*(_fit(shapes, figures[name], unit, source) for name, unit in _UNITS.items()))


def assumed(bit_area: float, access_ps: float, bit_energy_pj: float, source: str) -> Sram:
    """Memory laws for a library without macros: a constant per bit, stated as an assumption in `source`."""
    zero = dict.fromkeys(TERMS, 0.0)
    return Sram(
        Fit(zero | {"bits": bit_area}, "um2", source),
        Fit(zero | {"fixed": access_ps}, "ps", source),
        Fit(zero | {"width": bit_energy_pj}, "pJ", source),
    )


def _fit(shapes: Sequence[tuple[int, int]], values: Sequence[float], unit: str, source: str) -> Fit:
    rows = np.array([[1.0, words * width, words, width] for words, width in shapes])
    known = np.array(values, dtype=float)
    keep = known > 0
    if not keep.any():
        return Fit(dict.fromkeys(TERMS, 0.0), unit, f"{source}; the macros state none")
    rows, known = rows[keep], known[keep]
    found = _non_negative(rows / known[:, None])
    law = {name: float(f"{value:.4g}") for name, value in zip(TERMS, found, strict=True)}
    errors = [abs(rows[i] @ np.array(list(law.values())) / known[i] - 1) for i in range(len(known))]
    return Fit(law, unit, source, float(f"{max(errors):.3g}"))


def _non_negative(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients, none negative, that bring every row's sum closest to 1; every choice of terms is tried."""
    best, least = np.zeros(rows.shape[1]), np.inf
    for count in range(1, rows.shape[1] + 1):
        for terms in combinations(range(rows.shape[1]), count):
            chosen = rows[:, terms]
            scale = np.abs(chosen).max(axis=0)
            found = np.linalg.lstsq(chosen / scale, np.ones(len(rows)), rcond=None)[0] / scale
            error = float(np.square(chosen @ found - 1).sum())
            if (found >= 0).all() and error < least - 1e-12:
                best, least = np.zeros(rows.shape[1]), error
                best[list(terms)] = found
    return best


def _access_time(cell: Cell) -> float:
    """Slowest clock to output arc at its middle slew and load, ps."""
    tables = [t for arc in cell.arcs if "edge" in arc.kind for t in (arc.rise, arc.fall) if t is not None]
    return max((t.values[len(t.slews) // 2][len(t.loads) // 2] for t in tables), default=0.0)


def _access_energy(cell: Cell) -> float:
    """Internal energy of one clock cycle in the costliest state, pJ."""
    clocks = {pin.name for pin in cell.pins if pin.clock}
    cycles = [
        sum(t.values[len(t.slews) // 2][len(t.loads) // 2] for t in (item.rise, item.fall) if t is not None)
        for item in cell.energies
        if item.pin in clocks
    ]
    return max(cycles, default=0.0)
