"""Synthesis of a whole decoder: what ``synth`` says of a system, unit by unit, with the prediction beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from blueprint.systems import control
from blueprint.systems.control import Hardware
from blueprint.systems.description import System
from blueprint.systems.reader import read_system
from costmodel.groundtruth import synthesis
from costmodel.groundtruth.synthesis import Mapped, Synthesis
from costmodel.model import quantity
from costmodel.systems import synthesized
from costmodel.systems.synthesized import Part
from costmodel.technology.technology import Technology
from ternforge import decoders
from ternforge.session import Answer, Note, paced, table
from toolchain import files

#: Areas and flip-flops of a part.
_COUNTED = ("logic_area_um2", "memory_area_um2", "area_um2", "flip_flops")
#: What is said of progress.
_MADE = "made {} of {} % of the Verilog"


def read(file: System | str | Path, technology: str | Path | None) -> tuple[System, Hardware, Technology]:
    """A system, its hardware and its technology. Raises ``ParamError`` for one that has no hardware of its own."""
    system = file if isinstance(file, System) else read_system(file)
    facts = decoders.technology_of(file, system, technology)
    return system, control.hardware(system), facts


def mapped(
    hardware: Hardware, technology: Technology, note: Note, **how: Any
) -> tuple[dict[str, Any], Mapped, Synthesis]:
    """The manifest of the hardware, its netlist and what was measured of that; ``how`` is for the synthesis.

    Modules are synthesized one by one and kept by their content, so what was stopped goes on where it was.
    """
    from generator import system_export as export

    with files.scratch() as scratch:
        note(f"writing {hardware.name}")
        manifest = export.write_system(hardware, scratch, told=paced(note, _MADE))
        note(f"synthesizing {len(manifest['files'])} modules with Yosys and ABC; what is done is kept")
        found = synthesis.mapped(scratch, technology, **how)
    note("timing the netlist as a whole")
    return manifest, found, synthesis.summary(found)


def answer(
    hardware: Hardware,
    manifest: Mapping[str, Any],
    found: Mapped,
    measured: Synthesis,
    technology: Technology,
    predicts: bool,
) -> Answer:
    """Areas, flip-flops and clock of a system and its parts, synthesized and, if it ``predicts``, of the model."""
    parts = synthesized.measured(found, manifest)
    expected = synthesized.predicted(hardware, technology) if predicts else None
    numbers = _numbers(synthesized.whole(parts.values())) | _clock(measured.critical_path_ps)
    whole = expected and synthesized.whole(expected.values())
    return {
        **numbers,
        "measured": measured,
        "predicted": whole and _numbers(whole) | _clock(whole.path_ps),
        "figures": {
            "measured": _sources("synthesized"),
            "predicted": whole and _sources("analytic"),
        },
        "parts": {
            name: {
                "family": hardware.units[name].family if name in hardware.units else None,
                **_numbers(part),
                "places": part.places,
                "predicted": expected
                and _numbers(expected[name])
                | {"critical_path_ps": expected[name].path_ps, "places": expected[name].places},
            }
            for name, part in parts.items()
        },
    }


def _numbers(part: Part) -> dict[str, float]:
    return {key: getattr(part, key) for key in _COUNTED}


def _sources(source: str) -> Answer:
    """Where each number of a whole system comes from; no band of whole systems was measured."""
    return {key: {"source": source, "band": None} for key in (*_COUNTED, "critical_path_ps", "clock_mhz")}


def _clock(path_ps: float) -> dict[str, float | None]:
    return {"critical_path_ps": path_ps, "clock_mhz": 1e6 / path_ps if path_ps else None}


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """The answer for people: a line for each part, then the clock of the whole."""
    predicted = answer["predicted"]
    rows = [_row(name, part, part["predicted"]) for name, part in answer["parts"].items()]
    heads = _heads("predicted", "synthesized", "error") if predicted else _heads("synthesized")
    yield from table([*rows, _row("sum", answer, predicted)], heads)
    path = answer["critical_path_ps"]
    clock = f"critical path {path:,.0f} ps, {answer['clock_mhz']:,.0f} MHz"
    if predicted:
        expected = predicted["critical_path_ps"]
        slowest = max(
            answer["parts"], key=lambda name: answer["parts"][name]["predicted"]["critical_path_ps"]
        )
        clock += f"; predicted {expected:,.0f} ps, of {slowest} ({_error(expected, path)})"
    yield clock
    yield f"recipe {answer['recipe']}; {answer['wires']}; memories are macros, by the same laws on both sides"
    if answer["unpredicted"]:
        yield f"no prediction: {answer['unpredicted']}"


def _heads(*sides: str) -> list[str]:
    unit = quantity.of_metric("area_um2", [1.0]).unit
    return ["", *(f"logic {unit} {side}" if side != "error" else side for side in sides), f"memory {unit}",
            *(f"flip-flops {side}" for side in sides if side != "error")]  # fmt: skip


def _row(name: str, measured: Mapping[str, Any], predicted: Mapping[str, Any] | None) -> list[str]:
    logic, bits = measured["logic_area_um2"], measured["flip_flops"]
    memory = f"{measured['memory_area_um2']:,.1f}"
    if predicted is None:
        return [name, f"{logic:,.1f}", memory, f"{bits:,}"]
    if abs(predicted["memory_area_um2"] - measured["memory_area_um2"]) > 0.05:
        memory += f" (predicted {predicted['memory_area_um2']:,.1f})"
    expected = predicted["logic_area_um2"]
    return [name, f"{expected:,.1f}", f"{logic:,.1f}", _error(expected, logic), memory,
            f"{predicted['flip_flops']:,}", f"{bits:,}"]  # fmt: skip


def _error(predicted: float, measured: float) -> str:
    return f"{100 * (predicted / measured - 1):+.1f} %" if measured else "-"
