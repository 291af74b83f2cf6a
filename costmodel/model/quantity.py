"""Human-readable quantities: units with a suitable SI prefix, the same in tables, plots, reports and text.

JSON and CSV keep plain numbers in the units that their names say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from costmodel.model.metrics import METRICS

#: Unit of a metric: the SI unit, its power of ten, and the power that a prefix is raised to.
_SI = {
    "pJ": ("J", -12, 1),
    "s": ("s", 0, 1),
    "ps": ("s", -12, 1),
    "mW": ("W", -3, 1),
    "B": ("B", 0, 1),
    "MHz": ("Hz", 6, 1),
    "um2": ("m²", -12, 2),
}
_PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}


@dataclass(frozen=True)
class Shown:
    """Display format of a kind of numbers: multiplied by ``factor``, with ``unit`` (may be empty)."""

    factor: float
    unit: str

    def number(self, value: float | None) -> str:
        """A value without its unit."""
        return number(None if value is None else value * self.factor)

    def text(self, value: float | None) -> str:
        """A value with its unit."""
        return f"{self.number(value)} {self.unit}".rstrip() if value is not None else "-"


def shown(unit: str, values: Iterable[float | None]) -> Shown:
    """Choose the prefix of ``unit`` so that the median of ``values`` is at least 1.

    Areas change to the larger unit at a tenth of it, as 0.1 mm2 reads better than 100,000 um2.
    """
    sizes = sorted(abs(v) for v in values if v is not None and math.isfinite(v) and v)
    if unit not in _SI or not sizes:
        return Shown(1.0, {"um2": "µm²"}.get(unit, unit))
    name, exponent, power = _SI[unit]
    middle = sizes[len(sizes) // 2]
    least = 0.1 if power > 1 else 1.0
    fitting = [p for p in _PREFIXES if middle * 10.0 ** (exponent - p * power) >= least]
    best = max(fitting, default=min(_PREFIXES))
    if power > 1 and not -6 <= best <= -3:  # areas in um2 or mm2
        best = -6 if best < -6 else -3
    return Shown(10.0 ** (exponent - best * power), f"{_PREFIXES[best]}{name}")


def of_metric(name: str, values: Iterable[float | None]) -> Shown:
    """The unit for values of a metric."""
    return shown(METRICS[name].unit if name in METRICS else "", values)


def metric_text(name: str, value: float | None) -> str:
    """One value of a metric with its unit: ``93.17 mJ``."""
    return of_metric(name, [value]).text(value)


def label(name: str, unit: str = "") -> str:
    """Heading of a metric, with its display unit."""
    what = METRICS[name].label if name in METRICS else name
    return f"{what} [{unit}]" if unit else what


def headings(rows: Iterable[Mapping[str, Any]], names: Iterable[str]) -> dict[str, Shown]:
    """Headings and units of the columns ``names`` of a table; columns without metrics are unchanged."""
    rows = list(rows)
    return {
        name: of_metric(name, [row[name] for row in rows]) if name in METRICS else Shown(1, "")
        for name in names
    }


def number(value: Any) -> str:
    """A number with four significant digits and separated thousands; anything else as text."""
    if value is None or isinstance(value, bool):
        return "-" if value is None else str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        return "-"
    if value and not 1e-3 <= abs(value) < 1e12:
        return f"{value:.4g}"
    return f"{value:,.0f}" if abs(value) >= 999.95 else f"{value:.4g}"
