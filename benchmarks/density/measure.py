"""Designs beside their netlists: mapped for least area and for the shortest period, with buffers and wires.

Each is mapped with multiplexers that keep the values of registers, and with clock gates.
"""

from __future__ import annotations

import re
import resource
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from itertools import product
from typing import Any

from benchmarks import attention_clock, carry_save
from benchmarks.density.search import GOALS, case_of, stated
from benchmarks.density.spaces import (
    ARRAYS,
    ATTENTION,
    BY_LABEL,
    DEEP_ATTENTION,
    FAST_ARRAYS,
    KEYS,
    TABLES,
    TOKENS,
    WIDE_TABLES,
    Case,
)  # fmt: skip
from blueprint import registry
from blueprint.files.document import read_text
from blueprint.spec import Spec
from blueprint.workloads.tasks import Attention
from costmodel.groundtruth import synthesis
from costmodel.groundtruth.recipe import BUFFERED, GATED
from costmodel.groundtruth.synthesis import Synthesis
from costmodel.model import evaluate
from costmodel.technology.technology import Technology
from dse.families import Families
from dse.space_file import space_from
from generator import export
from toolchain import files

#: The technology and the size of the designs that are synthesized.
TECHNOLOGY, SIZE = "asap7", 256
#: A larger size, of which the designs of most work are synthesized.
LARGE = 1024
#: Designs of more predicted area are not synthesized: about ten minutes of a processor.
LARGEST_UM2 = 170_000
#: A period that no netlist meets: cells grow until no larger one makes the slowest path faster.
_SHORTEST_PS = 1.0
#: Heads and lanes of attention that are tried, the last for goals; the others are as large as time allows.
HEADS = ((8, 1), (32, 1), (64, 2))
#: What the names of netlists with clock gates end with.
CLOCK_GATES = "clock gates"
#: Adders of all modules of a netlist for the shortest period.
_STYLE = "prefix"


def tried() -> Iterator[tuple[str, str, Spec]]:
    """Designs that are not searched for: label of the case, name, design."""
    for name, form in carry_save.FORMS.items():
        spec = replace(carry_save.core(SIZE, **form), m_max=TOKENS)
        yield f"{TABLES}, INT8", f"{name}, of `benchmarks.carry_save`", spec
    for numbers, (format_, _) in attention_clock.FORMATS.items():
        for graph, (dim, lanes) in product(attention_clock.GRAPHS, HEADS):
            other = attention_clock.core(graph, "short", dim, lanes, KEYS, **format_)
            name = f"{graph}, heads of {dim}, {int(other.peak_macs)} MAC, of `benchmarks.attention_clock`"
            yield f"{ATTENTION}, {numbers}", name, other
    for label, parameters in FAST_ARRAYS.items():
        array = registry.get(ARRAYS).from_mapping(parameters)
        yield f"{ARRAYS}, {label}", "a register behind every step", array
    for label, parameters in DEEP_ATTENTION.items():
        heads = registry.get(ATTENTION).from_mapping(parameters)
        yield f"{ATTENTION}, {label}", "a register behind every step of the tree", heads
    for label, parameters in WIDE_TABLES.items():
        tables = registry.get(TABLES).from_mapping(parameters)
        yield f"{TABLES}, {label}", "many tables of one activation", tables


def wanted(predicted: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What is to be synthesized, by design hash: case, names, design.

    These are the best of the predictions at one size, those of most work at a larger one, and designs that were tried.
    """
    found: dict[str, dict[str, Any]] = {}
    for label, sizes in predicted[TECHNOLOGY]["best"].items():
        kind = registry.get(BY_LABEL[label].family)
        for size, goals in ((SIZE, tuple(GOALS)), (LARGE, ("work",))):
            for goal in goals:
                if goal in sizes.get(size, {}):
                    spec = kind.from_mapping(sizes[size][goal]["parameters"])
                    _put(found, label, f"best by {goal}" + f" of {size}" * (size != SIZE), spec)
    for label, name, spec in tried():
        _put(found, label, name, spec)
    return found


def _put(found: dict[str, dict[str, Any]], label: str, name: str, spec: Spec) -> None:
    one = found.setdefault(spec.design_hash, {"case": label, "names": [], "spec": spec})
    one["names"].append(name)


def rate(case: Case, spec: Spec) -> float:
    """Multiply-accumulates that a design sustains in a cycle on the work of its case."""
    text = case.texts(SIZE, TECHNOLOGY)[0]
    subject = space_from(read_text(text, case.label)).subject
    assert isinstance(subject, Families)
    (task,) = subject.workload.tasks
    if isinstance(task, Attention):
        task = replace(task, dim=spec.parameters["dim"])
    return float(task.macs / spec.cycles(task))


def predicted(spec: Spec, tech: Technology) -> dict[str, float]:
    """What the model says of a design: cells and memories in um2, and ps."""
    found = evaluate.of_design(spec, tech)
    return {"um2": round(found.area_um2, 1), "ps": round(found.critical_path_ps, 1)}


def measured(label: str, spec: Spec, tech: Technology) -> dict[str, Any]:
    """The record of a design."""
    before = _seconds()
    found, wires = netlists(spec, tech, BUFFERED)
    return {
        "case": label,
        "date": date.today().isoformat(),
        "recipe": BUFFERED,
        "wires": wires,
        "parameters": stated(type(spec), spec.parameters),
        "peak": int(spec.peak_macs),
        "rate": round(rate(case_of(label), spec), 2),
        "processor_s": round(_seconds() - before),
        "predicted": predicted(spec, tech),
        **found,
        **gated(spec, tech),
    }


def gated(spec: Spec, tech: Technology) -> dict[str, Any]:
    """The netlists of a design with clock gates."""
    found, _ = netlists(spec, tech, GATED)
    return {f"{name}, {CLOCK_GATES}": one for name, one in found.items()}


def netlists(spec: Spec, tech: Technology, recipe: str) -> tuple[dict[str, Any], str]:
    """The two netlists of a design by a recipe, and the wires of the first."""
    with files.scratch("ternforge-density-") as folder:
        export.write_hardware(spec, folder / "core")
        least = synthesis.synthesize(folder / "core", tech, recipe=recipe)
        shortest = synthesis.summary(
            synthesis.sized(folder / "core", tech, style=_STYLE, period_ps=_SHORTEST_PS, recipe=recipe)
        )
    return {"least area": netlist(least), "shortest period": netlist(shortest)}, least.wires


def netlist(found: Synthesis) -> dict[str, Any]:
    """What is kept of a netlist: its figures, and its slowest path with the gates on it."""
    steps = [step.split() for step in found.path]
    gates = Counter(gate(words[0]) for words in steps)
    return {
        "um2": round(found.area_um2, 1),
        "ps": round(found.critical_path_ps, 1),
        "cells": sum(found.cells.values()),
        "from": place(steps[0][1]) if steps else "",
        "to": place(steps[-1][1]) if steps else "",
        "gates": dict(sorted(gates.items(), key=lambda item: (-item[1], item[0]))),
    }


def place(instance: str) -> str:
    """The module of a cell: its instance without the name that mapping gave the cell."""
    outer, _, last = instance.rpartition(".")
    return outer if outer and re.match(r"map\d|\$", last) else instance.split(".$")[0]


def gate(cell: str) -> str:
    """The kind of a cell, without strength and library: `NAND2xp5_ASAP7_75t_R` is a `NAND2`."""
    return re.split(r"x(?=p?\d)", cell.split("_ASAP7")[0])[0]


def _seconds() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
