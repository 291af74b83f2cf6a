"""On-chip memories of a technology: laws of area, access time, energies and leakage by what a memory must do.

A law is a sum of coefficients times terms of the array behind the words. The array has `columns` of cells for each bit
of a word, one of which a read selects, and as many rows as the words then need:

    columns = mux, doubled until there are at most `most_rows` rows
    rows    = max(words / columns, least_rows)
    cells   = rows x columns x width

A word wider than the widest macro of the library takes several macros side by side. The terms of area,
`bits + width + rows + fixed`, stand for the array, its sense amplifiers, its row decoder and its control; those of a
delay for the wires of a row and of a column; those of an energy for precharged cells, outputs and word lines. The terms
of each law are chosen by leaving macros out of the fit (`costmodel.technology.sram_fit`).

A memory of up to `LATCH_BITS` bits is priced as an array of the library's latches
(`costmodel.technology.latch_array`) where that has less area than the macro of the law.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from blueprint.numbers import Real, Truths, Whole
from costmodel.technology.macros import SINGLE, TWO, Macro

#: Port kinds: one access a cycle, or a read and a write.
KINDS = (SINGLE, TWO)
#: The kind that replaces a small macro.
LATCHES = "latch_array"
#: The quantities of a memory and their units, in the order of files.
QUANTITIES = {
    "area": "um2",
    "access_time": "ps",
    "read_energy": "pJ",
    "write_energy": "pJ",
    "leakage": "nW",
}


@dataclass(frozen=True)
class Organization:
    """Folding of words into an array of cells."""

    mux: int = 4
    least_rows: int = 1
    most_rows: int = 512
    most_width: int = 1 << 30

    def banks(self, width: Real) -> Real:
        """Macros side by side that hold a word, none wider than `most_width`."""
        return np.ceil(np.divide(width, self.most_width))

    def folded(self, words: Whole) -> tuple[Real, Real]:
        """Rows, and columns of one bit of a word."""
        doublings = np.ceil(np.log2(np.maximum(np.divide(words, self.mux * self.most_rows), 1)))
        columns = self.mux * np.exp2(doublings)
        return np.maximum(np.ceil(np.divide(words, columns)), self.least_rows), columns


#: Most bits of a latch array: its wires have no price here, and they grow with the array.
LATCH_BITS = 4096

#: One column and no limits: terms of words and width alone.
UNFOLDED = Organization(1, 1, 1 << 60)

#: What each coefficient multiplies: functions of rows, columns of a bit, words and width.
TERMS: Mapping[str, Callable[[Real, Real, Real, Real], Real]] = {
    "fixed": lambda rows, columns, words, width: 1.0,
    "bits": lambda rows, columns, words, width: rows * columns * width,
    "words": lambda rows, columns, words, width: words,
    "width": lambda rows, columns, words, width: width,
    "rows": lambda rows, columns, words, width: rows,
    "root_rows": lambda rows, columns, words, width: np.sqrt(rows),
    "columns": lambda rows, columns, words, width: columns * width,
    "lines": lambda rows, columns, words, width: columns * width * np.sqrt(rows),
    "levels": lambda rows, columns, words, width: np.log2(words),
}


@dataclass(frozen=True)
class Law:
    """One quantity of a memory as coefficients by term.

    `error` is the largest relative error over the macros that it was fitted to, `left_out` that over macros that the
    fit had not seen, each left out in turn (`None` where there are too few).
    """

    coefficients: Mapping[str, float]
    unit: str
    source: str
    error: float = 0.0
    left_out: float | None = None

    def at(self, words: Whole, width: Real, organization: Organization = UNFOLDED) -> Real:
        """The quantity for `words` words of `width` bits; arrays broadcast."""
        rows, columns = organization.folded(words)
        return sum(
            value * TERMS[term](rows, columns, words, width)
            for term, value in self.coefficients.items()
            if value
        ) + 0.0 * np.multiply(words, width)

    def scaled(self, factor: float, source: str, unit: str | None = None) -> Law:
        """The law times a factor, with the source of both."""
        found = {term: float(f"{value * factor:.4g}") for term, value in self.coefficients.items()}
        return Law(found, unit or self.unit, source)


#: Laws by quantity.
Laws = Mapping[str, Law]


@dataclass(frozen=True)
class Sram:
    """A technology's memories: laws of macros by port kind, and of latch arrays where it has latches.

    `ports` is `two_port` for a read and a write in a cycle, `single_port` for one of them. Every quantity is that of
    the kind with the least area: a macro, or an array of latches.
    """

    single_port: Laws
    two_port: Laws
    latch_array: Laws | None = None
    organization: Organization = UNFOLDED
    macros: tuple[Macro, ...] = ()
    macro_source: str = ""

    def area_um2(self, words: Whole, width: Real, ports: str = TWO) -> Real:
        """Area in um2."""
        return self._chosen("area", words, width, ports)

    def access_ps(self, words: Whole, width: Real, ports: str = TWO) -> Real:
        """Clock edge to data out, in ps."""
        return self._chosen("access_time", words, width, ports)

    def read_pj(self, words: Whole, width: Real, ports: str = TWO) -> Real:
        """One read, in pJ."""
        return self._chosen("read_energy", words, width, ports)

    def write_pj(self, words: Whole, width: Real, ports: str = TWO) -> Real:
        """One write, in pJ."""
        return self._chosen("write_energy", words, width, ports)

    def leakage_nw(self, words: Whole, width: Real, ports: str = TWO) -> Real:
        """Leakage in nW."""
        return self._chosen("leakage", words, width, ports)

    def is_latches(self, words: Whole, width: Real, ports: str = TWO) -> bool | Truths:
        """True if an array of latches replaces the macro: the memory is small, and smaller as latches."""
        if self.latch_array is None:
            return False
        latches = self.latch_array["area"].at(words, width)
        macro = self._macro("area", words, width, ports)
        small: bool | Truths = (np.multiply(words, width) <= LATCH_BITS) & (latches < macro)
        return small

    def kind(self, words: int, width: int, ports: str = TWO) -> str:
        """Kind of one memory: `latch_array`, or the kind of its macro."""
        return LATCHES if self.is_latches(words, width, ports) else ports

    def law(self, quantity: str, kind: str) -> Law:
        """The law of a quantity of a macro, or of a latch array."""
        return self.laws[kind][quantity]

    @property
    def laws(self) -> dict[str, Laws]:
        """Laws by kind, in the order of a technology's file; no latch arrays where the technology has none."""
        found = {SINGLE: self.single_port, TWO: self.two_port}
        return found if self.latch_array is None else {**found, LATCHES: self.latch_array}

    def _chosen(self, quantity: str, words: Whole, width: Real, ports: str) -> Real:
        macro = self._macro(quantity, words, width, ports)
        if self.latch_array is None:
            return macro
        latches = self.latch_array[quantity].at(words, width)
        chosen: Real = np.where(self.is_latches(words, width, ports), latches, macro)[()]
        return chosen

    def _macro(self, quantity: str, words: Whole, width: Real, ports: str) -> Real:
        banks = self.organization.banks(width)
        found = self.law(quantity, ports).at(words, np.divide(width, np.maximum(banks, 1)), self.organization)
        return found if quantity == "access_time" else banks * found
