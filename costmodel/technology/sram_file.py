"""The `sram` section of a technology file: laws, how words are folded, and the macros that they were fitted to."""

from __future__ import annotations

from typing import Any

from blueprint.files.document import Section
from costmodel.technology import macros
from costmodel.technology.macros import SINGLE, TWO
from costmodel.technology.sram import LATCHES, QUANTITIES, TERMS, UNFOLDED, Law, Organization, Sram

_FOLDING = ("mux", "least_rows", "most_rows", "most_width")
#: Quantities of files of earlier versions: one law for all port kinds, linear in words and width.
_EARLIER = {"area": "um2", "access_time": "ps", "energy": "pJ"}
_EARLIER_TERMS = ("fixed", "bits", "words", "width")


def read(section: Section) -> Sram:
    """Read the memories of a technology file. Raises `SpecError` (`file:line: ...`)."""
    present = section.keys()
    if "area" in present:
        return _earlier(section)
    folding = section.section("organization")
    organization = Organization(*(folding.take(key, int, minimum=1) for key in _FOLDING))
    folding.finish()
    kinds = [_laws(section.section(kind)) for kind in (SINGLE, TWO)]
    latches = _laws(section.section(LATCHES)) if LATCHES in present else None
    source, facts = _macros(section) if "macros" in present else ("", ())
    section.finish()
    return Sram(kinds[0], kinds[1], latches, organization, facts, source)


def plain(sram: Sram) -> dict[str, Any]:
    """The section as values that YAML holds: mappings, numbers and texts."""
    folding = sram.organization
    found: dict[str, Any] = {"organization": {key: getattr(folding, key) for key in _FOLDING}}
    for kind, laws in sram.laws.items():
        found[kind] = {name: _plain(law) for name, law in laws.items()}
    if sram.macros:
        facts = macros.dump(sram.macros).splitlines()
        found["macros"] = {"source": sram.macro_source, "facts": facts}
    return found


def _plain(law: Law) -> dict[str, Any]:
    found: dict[str, Any] = {"value": dict(law.coefficients), "unit": law.unit, "source": law.source}
    found["error"] = law.error
    if law.left_out is not None:
        found["left_out"] = law.left_out
    return found


def _laws(section: Section) -> dict[str, Law]:
    found = {key: _law(section.section(key), unit, tuple(TERMS)) for key, unit in QUANTITIES.items()}
    section.finish()
    return found


def _law(section: Section, unit: str, terms: tuple[str, ...], every: bool = False) -> Law:
    value = section.section("value")
    present = value.keys()
    coefficients = {term: value.take(term, float, minimum=0) for term in terms if every or term in present}
    value.allow(terms)
    value.finish()
    source = section.text("source")
    error = section.take("error", float, default=0.0, minimum=0)
    left_out = section.take("left_out", float, default=None, minimum=0)
    law = Law(coefficients, section.take("unit", str, choices=(unit,)), source, error, left_out)
    section.finish()
    return law


def _macros(parent: Section) -> tuple[str, tuple[macros.Macro, ...]]:
    section = parent.section("macros")
    source, lines = section.text("source"), section.take("facts", list)
    try:
        facts = macros.load("\n".join(map(str, lines)))
    except ValueError as problem:
        raise section.error("facts", f"macros.facts: {problem}") from None
    section.finish()
    return source, facts


def _earlier(section: Section) -> Sram:
    found = {key: _law(section.section(key), unit, _EARLIER_TERMS, True) for key, unit in _EARLIER.items()}
    section.finish()
    energy, area, time = found["energy"], found["area"], found["access_time"]
    none = Law({}, "nW", "none stated")
    laws = {"area": area, "access_time": time, "read_energy": energy, "write_energy": energy, "leakage": none}
    return Sram(laws, laws, None, UNFOLDED)
