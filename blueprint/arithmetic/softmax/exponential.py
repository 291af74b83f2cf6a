"""Powers of two from 1 to 2, by a piecewise polynomial in integers whose coefficients are fitted here.

Reciprocals ``2 / (2 - f)``, which also rise from 1 to 2, have such a polynomial too.

The highest of the F bits of ``f`` choose a segment, the others are ``u``. ``2**f`` is ``c0 + (c1 + (c2 * u)) * u`` by
Horner's rule; every product is truncated to the bits that its sum keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

#: Up to this many fraction bits of the result, linear segments cost less than quadratic ones.
LINE_LIMIT = 10
#: Bits kept below the result while a polynomial is added up.
GUARD = 3
#: Largest error of the polynomial before it is rounded, in units of the result's last place.
FIT_LIMIT = 0.25
#: Functions on 0 to 1 that rise from 1 to 2, by name; slope and curvature of each are largest at its end.
POWER, RECIPROCAL = "power", "reciprocal"
FUNCTIONS: Mapping[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    POWER: np.exp2,
    RECIPROCAL: lambda x: 2 / (2 - x),
}


@dataclass(frozen=True)
class Polynomial:
    """``2**f``, or another function, for ``f`` of ``fraction`` bits; the result has ``mantissa`` fraction bits.

    Coefficients are non-negative integers with ``mantissa + GUARD`` fraction bits, for ``u`` from 0 to 1. ``c0``
    includes the half unit that rounds. A result that would be 2 is one unit less.
    """

    fraction: int
    mantissa: int
    segment_bits: int
    coefficients: tuple[tuple[int, ...], ...]  # by power, then by segment

    @property
    def u_bits(self) -> int:
        """Bits of the position within a segment."""
        return self.fraction - self.segment_bits

    @property
    def scale(self) -> int:
        """Fraction bits of coefficients and partial sums."""
        return self.mantissa + GUARD

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Bits of the largest coefficient of every power; the leading 1 of ``c0`` is not stored."""
        whole = [max(column).bit_length() for column in self.coefficients]
        return (self.scale, *whole[1:])

    @cached_property
    def sum_widths(self) -> tuple[int, ...]:
        """Bits of the partial sums of Horner's rule, by the power of the coefficient that is added last."""
        top = (1 << self.u_bits) - 1
        largest = list(self.coefficients[-1])
        found = [max(largest).bit_length()]
        for column in reversed(self.coefficients[:-1]):
            largest = [c + (s * top >> self.u_bits) for c, s in zip(column, largest, strict=True)]
            found.append(max(largest).bit_length())
        return tuple(reversed(found))

    def __call__(self, f: Integers) -> Integers:
        """The function of ``f / 2**fraction``, times ``2**mantissa``, in the shape of ``f``.

        Results are from ``2**mantissa`` to ``2**(mantissa + 1) - 1``.
        """
        segment, u = f >> self.u_bits, f & ((1 << self.u_bits) - 1)
        columns = [np.array(column, dtype=np.int64)[segment] for column in self.coefficients]
        total = columns[-1]
        for column in reversed(columns[:-1]):
            total = column + (total * u >> self.u_bits)
        return np.asarray(np.minimum(total >> GUARD, (2 << self.mantissa) - 1), dtype=np.int64)

    @property
    def reaches_two(self) -> bool:
        """True if some result must be limited to stay below 2."""
        return bool(self.sum_widths[0] > self.scale + 1)


@cache
def polynomial(fraction: int, mantissa: int, function: str = POWER) -> Polynomial:
    """The polynomial with the fewest segments whose error before rounding is at most ``FIT_LIMIT``."""
    degree = 1 if mantissa <= LINE_LIMIT else 2
    bits = 0
    while bits < fraction and _error(1 << bits, degree, function) * 2**mantissa > FIT_LIMIT:
        bits += 1
    scale = mantissa + GUARD
    if bits == fraction:
        degree = 0  # a segment is one point
    rows = []
    for segment in range(1 << bits):
        exact = _fit(segment, 1 << bits, degree, function)
        row = [round(float(np.ldexp(c, scale))) for c in exact]
        row[0] += 1 << (GUARD - 1)
        rows.append(row)
    # Each truncated product is half a unit too small on average.
    for row in rows:
        row[0] += degree // 2
    return Polynomial(fraction, mantissa, bits, tuple(zip(*rows, strict=True)))


def _nodes(degree: int) -> npt.NDArray[np.float64]:
    """Chebyshev nodes on 0 to 1; only the left end for degree 0, which is a table.

    Interpolation there is within a few percent of the minimax one on short segments.
    """
    if degree == 0:
        return np.zeros(1)
    return 0.5 + 0.5 * np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))


def _fit(segment: int, count: int, degree: int, function: str) -> npt.NDArray[np.float64]:
    """Coefficients, lowest power first, of the function over one segment as a polynomial of 0 to 1."""
    u = _nodes(degree)
    matrix = np.vander(u, degree + 1, increasing=True)
    return np.asarray(np.linalg.solve(matrix, FUNCTIONS[function]((segment + u) / count)), dtype=np.float64)


def _error(count: int, degree: int, function: str) -> float:
    """Largest error over the last segment, where it is largest."""
    u = np.linspace(0.0, 1.0, 257)
    fitted = np.polynomial.polynomial.polyval(u, _fit(count - 1, count, degree, function))
    return float(np.abs(fitted - FUNCTIONS[function]((count - 1 + u) / count)).max())
