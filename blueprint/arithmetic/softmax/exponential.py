"""Powers of two between 1 and 2: a piecewise polynomial in integers, its coefficients fitted here.

With ``f`` of F bits, the highest ones choose a segment and the others are ``u``; ``2**f`` is
``c0 + (c1 + (c2 * u)) * u`` by Horner's rule, every product truncated to the bits that its sum keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

#: Up to so many fraction bits of the result a line per segment takes less than a parabola.
LINE_LIMIT = 10
#: Bits kept below the result while a polynomial is added up.
GUARD = 3
#: Largest error of the polynomial before it is rounded, in units of the result's last place.
FIT_LIMIT = 0.25


@dataclass(frozen=True)
class Polynomial:
    """``2**f`` for ``f`` of ``fraction`` bits to ``mantissa`` bits behind the point, kept below 2.

    Coefficients are non-negative integers; that of power ``i`` has ``mantissa + GUARD`` bits behind the point for a
    ``u`` from 0 to 1. ``c0`` carries the half that rounds.
    """

    fraction: int
    mantissa: int
    segment_bits: int
    coefficients: tuple[tuple[int, ...], ...]  # by power, then by segment

    @property
    def u_bits(self) -> int:
        """Bits of the place within a segment."""
        return self.fraction - self.segment_bits

    @property
    def scale(self) -> int:
        """Bits behind the point of coefficients and partial sums."""
        return self.mantissa + GUARD

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Bits of the largest coefficient of every power; the leading 1 of ``c0`` is not stored."""
        whole = [max(column).bit_length() for column in self.coefficients]
        return (self.scale, *whole[1:])

    @cached_property
    def sum_widths(self) -> tuple[int, ...]:
        """Bits of the sum that begins with the coefficient of every power, the last one alone."""
        top = (1 << self.u_bits) - 1
        largest = list(self.coefficients[-1])
        found = [max(largest).bit_length()]
        for column in reversed(self.coefficients[:-1]):
            largest = [c + (s * top >> self.u_bits) for c, s in zip(column, largest, strict=True)]
            found.append(max(largest).bit_length())
        return tuple(reversed(found))

    def __call__(self, f: Integers) -> Integers:
        """``2**(f / 2**fraction) * 2**mantissa``, from ``2**mantissa`` to ``2**(mantissa + 1) - 1``."""
        segment, u = f >> self.u_bits, f & ((1 << self.u_bits) - 1)
        columns = [np.array(column, dtype=np.int64)[segment] for column in self.coefficients]
        total = columns[-1]
        for column in reversed(columns[:-1]):
            total = column + (total * u >> self.u_bits)
        return np.asarray(np.minimum(total >> GUARD, (2 << self.mantissa) - 1), dtype=np.int64)

    @property
    def reaches_two(self) -> bool:
        """True if some result has to be kept below 2."""
        return bool(self.sum_widths[0] > self.scale + 1)


@cache
def polynomial(fraction: int, mantissa: int) -> Polynomial:
    """The polynomial with the fewest segments whose error before rounding is at most ``FIT_LIMIT``."""
    degree = 1 if mantissa <= LINE_LIMIT else 2
    bits = 0
    while bits < fraction and _error(1 << bits, degree) * 2**mantissa > FIT_LIMIT:
        bits += 1
    scale = mantissa + GUARD
    if bits == fraction:
        degree = 0  # a segment is one point
    rows = []
    for segment in range(1 << bits):
        exact = _fit(segment, 1 << bits, degree)
        row = [round(float(np.ldexp(c, scale))) for c in exact]
        row[0] += 1 << (GUARD - 1)
        rows.append(row)
    # Truncated products miss half a unit on average, each.
    for row in rows:
        row[0] += degree // 2
    return Polynomial(fraction, mantissa, bits, tuple(zip(*rows, strict=True)))


def _nodes(degree: int) -> npt.NDArray[np.float64]:
    """Chebyshev nodes of 0 to 1; the left end for a table.

    Interpolation there is within a few percent of the minimax one on short segments.
    """
    if degree == 0:
        return np.zeros(1)
    return 0.5 + 0.5 * np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))


def _fit(segment: int, count: int, degree: int) -> npt.NDArray[np.float64]:
    """Coefficients, lowest power first, of ``2**x`` over one segment as a polynomial of 0 to 1."""
    u = _nodes(degree)
    matrix = np.vander(u, degree + 1, increasing=True)
    return np.asarray(np.linalg.solve(matrix, np.exp2((segment + u) / count)), dtype=np.float64)


def _error(count: int, degree: int) -> float:
    """Largest error over the last segment, where it is largest."""
    u = np.linspace(0.0, 1.0, 257)
    fitted = np.polynomial.polynomial.polyval(u, _fit(count - 1, count, degree))
    return float(np.abs(fitted - np.exp2((count - 1 + u) / count)).max())
