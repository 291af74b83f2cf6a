"""Memory laws of an imported library: fitted to its macros, or scaled if it has none or only placeholders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import exp, log, sqrt

from costmodel.technology import latch_array, sram_fit
from costmodel.technology.liberty import Cell
from costmodel.technology.macros import SINGLE, TWO, Macro
from costmodel.technology.roles import Roles
from costmodel.technology.sram import QUANTITIES, Law, Laws, Sram

#: Shapes over which two port kinds are compared.
_SHAPES = tuple(product((256, 1024, 4096), (8, 32, 64)))
_ENERGIES = ("read_energy", "write_energy")


def of_library(
    macros: Sequence[Macro],
    cells: Mapping[str, Cell],
    chosen: Roles,
    voltage: float,
    source: str,
    reference: tuple[str, Sram, float] | None,
) -> Sram:
    """The memories of a library with these macros and cells.

    `reference` is another technology's name, memories and voltage. Quantities that the library does not state are
    scaled from it, and their sources say so.
    """
    latches = latch_array.laws(cells, chosen, voltage)
    if not macros:
        text = "assumed: no memory macro among the files, so memories are arrays of latches"
        laws = {name: replace(law, source=f"{text}; {law.source}") for name, law in latches.items()}
        return Sram(laws, laws)
    found = sram_fit.fit(macros, f"library: {len(macros)} macros of {source}")
    found = replace(found, macro_source=source, latch_array=latches)
    if reference is not None:
        found = _with_energies(found, voltage, *reference)
    return _with_kinds(found, reference)


def port_ratio(memories: Sram, quantity: str) -> float:
    """Ratio of a quantity of two-port macros to that of single-port ones, the geometric mean over shapes."""
    folding = memories.organization
    logs = [
        log(float(memories.law(quantity, TWO).at(*shape, folding)))
        - log(float(memories.law(quantity, SINGLE).at(*shape, folding)))
        for shape in _SHAPES
    ]
    return exp(sum(logs) / len(logs))


def _with_kinds(found: Sram, reference: tuple[str, Sram, float] | None) -> Sram:
    """Laws of the port kind that no macro has."""
    if not sram_fit.has(found.macros, SINGLE):
        text = "library: no single-port macro, so a two-port one with one port in use"
        return replace(found, single_port=_said(found.two_port, text))
    if sram_fit.has(found.macros, TWO):
        return found
    two = dict(_said(found.single_port, "assumed: no two-port macro, so as a single-port one"))
    if reference is not None:
        name, other, _ = reference
        for quantity in ("area", "leakage"):
            if not found.single_port[quantity].coefficients:
                continue
            ratio = port_ratio(other, quantity)
            two[quantity] = found.single_port[quantity].scaled(
                ratio, f"scaled: no two-port macro, so {ratio:.2f} times a single-port one as in {name}"
            )
    return replace(found, two_port=two)


def _said(laws: Laws, text: str) -> Laws:
    return {name: replace(law, source=f"{text}; {law.source}") for name, law in laws.items()}


def _with_energies(found: Sram, voltage: float, name: str, other: Sram, reference_voltage: float) -> Sram:
    """Energies of placeholders: those of another technology by voltage and capacitance.

    Energy is capacitance times voltage squared; a line's capacitance goes with its length, the root of a cell's area.
    """
    if any(sram_fit.stated(found.macros, quantity) for quantity in _ENERGIES):
        return found
    cells = [float(memories.law("area", SINGLE).coefficients.get("bits", 0.0)) for memories in (found, other)]
    if not all(cells):
        return found
    lines, volts = sqrt(cells[0] / cells[1]), voltage / reference_voltage
    text = (
        f"scaled: the macros state one energy whatever their size, so that of {name} times "
        f"({voltage:g} V / {reference_voltage:g} V)^2 and {lines:.3g}, the root of the ratio of cell areas"
    )

    def energies(kind: str, laws: Laws) -> dict[str, Law]:
        scaled = {key: other.law(key, kind).scaled(volts**2 * lines, text) for key in _ENERGIES}
        return {key: scaled.get(key, laws[key]) for key in QUANTITIES}

    return replace(
        found, single_port=energies(SINGLE, found.single_port), two_port=energies(TWO, found.two_port)
    )
