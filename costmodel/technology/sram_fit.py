"""Fits the laws of memories to macros, with the error on macros that were left out of the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from costmodel.technology.macros import SINGLE, TWO, Macro
from costmodel.technology.sram import QUANTITIES, TERMS, Law, Organization, Sram

Floats = NDArray[np.float64]
_ENERGY = (
    ("bits",),
    ("bits", "width"),
    ("bits", "width", "root_rows"),
    ("bits", "columns", "lines", "root_rows"),
)
#: Terms that a law may have, from few to many; a law has fewer terms than there are macros to fit.
_FORMS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "area": (("bits",), ("bits", "width"), ("bits", "width", "rows"), ("bits", "width", "rows", "fixed")),
    "access_time": (("fixed",), ("fixed", "rows"), ("fixed", "rows", "width")),
    "read_energy": _ENERGY,
    "write_energy": _ENERGY,
    "leakage": (("bits",), ("bits", "width")),
}
_FIELDS = {
    "area": "area_um2",
    "access_time": "access_ps",
    "read_energy": "read_pj",
    "write_energy": "write_pj",
    "leakage": "leakage_nw",
}
#: Foldings to try: columns of a bit, fewest and most rows.
_FOLDINGS = tuple(Organization(4, least, most) for least, most in product((1, 32), (256, 512, 1024)))
_TURNS = 4
_ROUNDS = 8
_CLOSE = 0.05  # relative errors below this have equal weight
_FAR = 0.2  # relative errors above this count as this when forms are compared
_SIZES = 3  # a value that at least so many sizes share is a placeholder


@dataclass(frozen=True)
class _Found:
    """A form fitted to macros: coefficients by port kind, and the relative error of each macro left out."""

    form: tuple[str, ...]
    coefficients: Mapping[str, Floats]
    misses: Floats  # one for each macro; empty if there are fewer than three


def fit(macros: Sequence[Macro], source: str) -> Sram:
    """Fit the laws of both port kinds.

    A kind without macros takes the laws of the other, which `costmodel.technology.memories` scales. An energy or
    leakage that is equal for three or more sizes is a placeholder and gets no law.
    """
    folding = min(_FOLDINGS, key=lambda item: _rank(macros, item))
    kinds = {
        kind: {name: _law(macros, kind, name, folding, source) for name in QUANTITIES}
        for kind in (SINGLE, TWO)
    }
    folding = replace(folding, most_width=max(macro.width for macro in macros))
    return Sram(kinds[SINGLE], kinds[TWO], None, folding, tuple(macros), source)


def stated(macros: Sequence[Macro], quantity: str) -> list[Macro]:
    """The macros that state a quantity; none if it is an energy or leakage that is equal for all sizes."""
    found = [macro for macro in macros if _value(macro, quantity) > 0]
    values = {_value(macro, quantity) for macro in found}
    sizes = {(macro.words, macro.width) for macro in found}
    placeholder = len(values) == 1 and len(sizes) >= _SIZES and quantity not in ("area", "access_time")
    return [] if placeholder else found


def has(macros: Sequence[Macro], kind: str) -> bool:
    """True if there are macros of a port kind."""
    return any(macro.kind == kind for macro in macros)


def _value(macro: Macro, quantity: str) -> float:
    value: float = getattr(macro, _FIELDS[quantity])
    return value


def _rank(macros: Sequence[Macro], folding: Organization) -> float:
    """Relative error of a folding on macros left out of the fit, summed over area and access time."""
    total = 0.0
    for quantity in ("area", "access_time"):
        kinds = (SINGLE, TWO) if quantity == "area" else (None,)
        for kind in kinds:
            chosen = [m for m in stated(macros, quantity) if kind in (None, m.kind)]
            if len(chosen) > 2:
                total += _spread(_best(chosen, quantity, folding).misses)
    return total


def _law(macros: Sequence[Macro], kind: str, quantity: str, folding: Organization, source: str) -> Law:
    """The law of one port kind, fitted to its own macros or to all, whichever has the smaller error left out."""
    known = stated(macros, quantity)
    unit = QUANTITIES[quantity]
    if not known:
        return Law({}, unit, f"{source}; the macros state none, or one number whatever their size")
    own = [macro for macro in known if macro.kind == kind]
    chosen = own or known
    found = _best(chosen, quantity, folding)
    if own and len(own) < len(known):
        shared = _best(known, quantity, folding)
        mine = np.array([macro.kind == kind for macro in known])
        if not found.misses.size or (
            shared.misses.size and _spread(shared.misses[mine]) < _spread(found.misses)
        ):
            misses = shared.misses[mine] if shared.misses.size else shared.misses
            found = _Found(shared.form, shared.coefficients, misses)
    coefficients = found.coefficients.get(kind, next(iter(found.coefficients.values())))
    values = {term: float(f"{v:.4g}") for term, v in zip(found.form, coefficients, strict=True)}
    law = Law(values, unit, source)
    errors = [abs(float(law.at(m.words, m.width, folding)) / _value(m, quantity) - 1) for m in chosen]
    left_out = float(f"{np.abs(found.misses).max():.3g}") if found.misses.size else None
    return Law(values, unit, source, float(f"{max(errors):.3g}"), left_out)


def _best(macros: Sequence[Macro], quantity: str, folding: Organization) -> _Found:
    """The form with the smallest error on macros left out; for one or two macros, the largest they determine."""
    forms = [form for form in _FORMS[quantity] if len(form) < len(macros)]
    if len(macros) < 3:
        forms = [[form for form in _FORMS[quantity] if len(form) <= len(macros)][-1]]
    found = [_fitted(macros, quantity, form, folding) for form in forms]
    return min(found, key=lambda item: _spread(item.misses))


def _fitted(macros: Sequence[Macro], quantity: str, form: tuple[str, ...], folding: Organization) -> _Found:
    rows, known, kinds = _table(macros, quantity, form, folding)
    misses = []
    if len(macros) > 2:
        for out in range(len(macros)):
            rest = np.arange(len(macros)) != out
            found = _by_kind(rows[rest], known[rest], kinds[rest])
            law = found.get(kinds[out], next(iter(found.values())))
            misses.append(float(rows[out] @ law / known[out] - 1))
    return _Found(form, _by_kind(rows, known, kinds), np.array(misses))


def _table(
    macros: Sequence[Macro], quantity: str, form: tuple[str, ...], folding: Organization
) -> tuple[Floats, Floats, NDArray[np.str_]]:
    rows = [[float(TERMS[term](*folding.folded(m.words), m.words, m.width)) for term in form] for m in macros]
    known = [_value(macro, quantity) for macro in macros]
    return np.array(rows), np.array(known), np.array([macro.kind for macro in macros])


def _by_kind(rows: Floats, known: Floats, kinds: NDArray[np.str_]) -> dict[str, Floats]:
    """Coefficients by port kind: one law for all kinds times a factor of each, fitted in turn."""
    names = list(dict.fromkeys(kinds.tolist()))
    factors = dict.fromkeys(names, 1.0)
    law = _non_negative(rows / known[:, None])
    for _ in range(_TURNS if len(names) > 1 else 0):
        scale = np.array([factors[kind] for kind in kinds])
        law = _non_negative(rows * scale[:, None] / known[:, None])
        for name in names[1:]:
            ratio = known[kinds == name] / np.maximum(rows[kinds == name] @ law, 1e-12)
            factors[name] = float(np.exp(np.log(ratio).mean()))
    return {name: law * factors[name] for name in names}


def _non_negative(rows: Floats) -> Floats:
    """Coefficients of at least 0 with which the sum of every row of (macros, terms) is close to 1.

    Robust least squares: the weight of a row falls with its error (Huber's), so that one macro with another folding
    than the rest does not bend their law.
    """
    from scipy.optimize import nnls  # slow to load, and only an import fits laws

    scale = np.abs(rows).max(axis=0)
    found: Floats = nnls(rows / scale, np.ones(len(rows)))[0]
    for _ in range(_ROUNDS):
        weight = np.sqrt(_CLOSE / np.maximum(np.abs(rows / scale @ found - 1), _CLOSE))
        found = nnls(rows / scale * weight[:, None], weight)[0]
    law: Floats = found / scale
    return law


def _spread(misses: Floats) -> float:
    """Root mean square of relative errors, each at most `_FAR`; 0 if there are none."""
    return float(np.sqrt(np.square(np.minimum(np.abs(misses), _FAR)).mean())) if misses.size else 0.0
