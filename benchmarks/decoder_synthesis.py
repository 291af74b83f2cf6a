"""Whole decoders beside their netlists: area, flip-flops, clock, and the energy of a token (docs/systems.md).

``python -m benchmarks.decoder_synthesis [--energy] [NAME ...]`` synthesizes the systems of ``benchmarks/decoders``
module by module, which is kept in the cache, and writes what was measured beside what the model says to
``docs/decoder_synthesis.yaml`` and to the page. ``--energy`` decodes a token gate by gate as well
(`benchmarks.decoder_switching`), which takes some minutes a system; otherwise the energies of a record of the same
hardware stay.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks import decoder_switching, markdown, systems
from benchmarks.decoder_switching import Switched
from blueprint.systems.control import Hardware
from blueprint.systems.description import System
from blueprint.systems.inventory import Around
from blueprint.unit import Cells
from costmodel.groundtruth.synthesis import Mapped, Synthesis
from costmodel.model import glitches
from costmodel.model.estimate import Busy
from costmodel.systems import estimate, synthesized
from costmodel.systems.estimate import AROUND
from costmodel.technology.technology import Technology
from ternforge import synthesizing

FOLDER = Path(__file__).with_name("decoders")
RECORD = systems.PAGE.with_name("decoder_synthesis.yaml")
#: Names of lines beside those of parts.
_MEMORIES, _SUM = "memories", "sum"


def names() -> list[str]:
    """The systems that are synthesized."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def counted(
    hardware: Hardware,
    technology: Technology,
    manifest: Mapping[str, Any],
    netlist: Mapped,
    measured: Synthesis,
) -> dict[str, Any]:
    """Areas and flip-flops of every part, predicted and measured, and the slowest path of the whole."""
    found, expected = synthesized.measured(netlist, manifest), synthesized.predicted(hardware, technology)
    parts = {
        name: {
            "logic_um2": _pair(expected[name].logic_area_um2, part.logic_area_um2),
            "memory_um2": _pair(expected[name].memory_area_um2, part.memory_area_um2),
            "flip_flops": [expected[name].flip_flops, part.flip_flops],
        }
        for name, part in found.items()
    }
    slowest = synthesized.whole(expected.values()).path_ps
    return {
        "design_hash": hardware.design_hash,
        "technology": technology.name,
        "recipe": measured.recipe,
        "wires": measured.wires,
        "cells": sum(measured.cells.values()),
        "path_ps": _pair(slowest, measured.critical_path_ps),
        "parts": parts,
    }


def energies(
    system: System, hardware: Hardware, technology: Technology, switched: Switched
) -> dict[str, Any]:
    """Energy of a mean cycle of a decoded token in pJ by part, predicted and measured; cells and memories apart."""
    expected = predicted_energies(system, hardware, technology)
    seconds = 1e-6 / (system.clock_mhz or 100)
    found = {name: part.energy_pj(1, seconds) for name, part in switched.parts.items()}
    found[_MEMORIES] = switched.memory_pj
    lines = {name: _pair(expected[name], value, 3) for name, value in found.items()}
    lines[_SUM] = _pair(sum(expected.values()), sum(found.values()), 3)
    return {"cycles": switched.cycles, "standard_error": round(switched.error, 4), "pj_per_cycle": lines}


def predicted_energies(system: System, hardware: Hardware, technology: Technology) -> dict[str, float]:
    """What `estimate` says of a token behind no other, in pJ a cycle, with the cells of every part by themselves.

    Leakage of memories is left out, as it is of what is measured.
    """
    phase = estimate.estimate(system, system.largest, technology, 0).phases["decode"]
    seconds = phase.time.seconds
    cycles = seconds * (system.clock_mhz or 100) * 1e6
    ops = [step.operation for step in phase.time.steps]
    words = 8 * sum(op.traffic for op in ops) / system.memory.width
    found, costs = {}, estimate.costs(system, technology)
    memories = phase.energies["buffers"] - seconds * 1e3 * sum(
        one.leakage_nw for one in costs.buffers.values()
    )
    for name, spec in hardware.units.items():
        busy = sum(op.steps for op in ops if op.place == name) / spec.peak_macs
        cells = glitches.cost(Cells(spec), technology)
        found[name] = _first(cells.energy(cycles, Busy(busy, busy), seconds))
        memories += _first(costs.units[name].switching_pj - cells.switching_pj) * _first(busy)
    around = glitches.cost(Cells(Around(hardware)), technology)
    found[AROUND] = _first(around.energy(cycles, Busy(words, words), seconds))
    assert costs.around is not None
    memories += (costs.around.word_pj - _first(around.switching_pj)) * words
    return {name: value / cycles for name, value in {**found, _MEMORIES: memories}.items()}


def _first(value: Any) -> float:
    return float(np.ravel(value)[0])


def _pair(predicted: float, measured: float, digits: int = 1) -> list[float]:
    return [round(float(predicted), digits), round(float(measured), digits)]


# The page -------------------------------------------------------------------------------------------------------------


def rows(content: Mapping[str, Any]) -> Iterator[list[str]]:
    """The table: a row for each part of each system, and one for the whole."""
    yield ["system", "part", "flip-flops", "logic µm²", "memory µm²", "clock period ps", "pJ a cycle"]
    for name, one in content.items():
        energy = one.get("energy", {}).get("pj_per_cycle", {})
        for part, numbers in one["parts"].items():
            logic, memory = numbers["logic_um2"], numbers["memory_um2"]
            yield [
                name,
                part,
                _bits(numbers["flip_flops"]),
                _beside(logic),
                _same(memory),
                "",
                _beside(energy.get(part), 2),
            ]
        parts = one["parts"].values()
        bits, logic, memory = (
            [sum(numbers[key][side] for numbers in parts) for side in (0, 1)]
            for key in ("flip_flops", "logic_um2", "memory_um2")
        )
        if energy:
            yield [name, "memories", "", "", "", "", _beside(energy[_MEMORIES], 2)]
        whole = [one_side + other for one_side, other in zip(logic, memory, strict=True)]
        both = f"{_same(memory)}; both {_beside(whole)}"
        path, spent = _beside(one["path_ps"], 0), _beside(energy.get(_SUM), 2)
        yield [f"**{name}**", f"all, {one['cells']:,} cells", _bits(bits), _beside(logic), both, path, spent]


def _bits(pair: Sequence[int]) -> str:
    return f"{pair[1]:,}" if pair[0] == pair[1] else f"{pair[0]:,} for {pair[1]:,}"


def _same(pair: Sequence[float]) -> str:
    return f"{pair[1]:,.0f}" if abs(pair[0] - pair[1]) < 0.5 else _beside(pair)


def _beside(pair: Sequence[float] | None, digits: int = 0) -> str:
    """Predicted, measured, and the error."""
    if pair is None or not pair[1]:
        return ""
    return f"{pair[0]:,.{digits}f}, {pair[1]:,.{digits}f} ({100 * (pair[0] / pair[1] - 1):+.1f} %)"


def page(text: str, content: Mapping[str, Any]) -> str:
    """The page with its table written again."""
    return markdown.rewritten(text, systems.PAGE, {"synthesis": lambda: markdown.table(rows(content))})


def kept() -> dict[str, Any]:
    """What was measured before."""
    return dict(yaml.safe_load(RECORD.read_text(encoding="utf-8"))) if RECORD.exists() else {}


def write(content: Mapping[str, Any]) -> None:
    """Write the record and the page."""
    ordered = {name: content[name] for name in sorted(content)}
    RECORD.write_text(yaml.safe_dump(ordered, sort_keys=False, width=120), encoding="utf-8")
    systems.PAGE.write_text(page(systems.PAGE.read_text(encoding="utf-8"), ordered), encoding="utf-8")


def measured(name: str, before: Mapping[str, Any], energy: bool) -> dict[str, Any]:
    """The record of a system; energies of the same hardware stay where none are asked for."""
    system, hardware, technology = synthesizing.read(FOLDER / f"{name}.yaml", None)
    manifest, netlist, found = synthesizing.mapped(hardware, technology, _say)
    record = counted(hardware, technology, manifest, netlist, found)
    if energy:
        switched = decoder_switching.switched(system, hardware, manifest, netlist, _told)
        record["energy"] = energies(system, hardware, technology, switched)
    elif before.get("design_hash") == hardware.design_hash and "energy" in before:
        old = before["energy"]
        expected = predicted_energies(system, hardware, technology)
        lines = {
            part: _pair(expected.get(part, 0.0), pair[1], 3) for part, pair in old["pj_per_cycle"].items()
        }
        lines[_SUM] = _pair(sum(expected.values()), old["pj_per_cycle"][_SUM][1], 3)
        record["energy"] = {**old, "pj_per_cycle": lines}
    return record


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _told(done: int, total: int) -> None:
    if done % 500 == 0:
        _say(f"cycle {done:,} of {total:,}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the record and the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", metavar="NAME", default=[])
    parser.add_argument("--energy", action="store_true")
    asked = parser.parse_args(arguments)
    content = kept()
    for name in asked.names or names():
        content[name] = measured(name, content.get(name, {}), asked.energy)
        write(content)


if __name__ == "__main__":
    main()
