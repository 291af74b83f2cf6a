"""Answers about whole decoders: what ``check`` and ``estimate`` say of a system file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from blueprint.errors import ParamError
from blueprint.files import document, kinds, schemas
from blueprint.files.document import Section
from blueprint.systems import address_map
from blueprint.systems.description import System
from blueprint.systems.reader import read_system, system_content, system_from
from blueprint.workloads import model as models
from compiler.units import UnitError
from costmodel.model.quantity import shown
from costmodel.systems import compiled
from costmodel.systems import estimate as costs
from costmodel.technology import technology as technologies
from costmodel.technology.technology import Technology
from ternforge.session import Answer, table
from ternforge.words import CONTEXT, TECHNOLOGY


def is_system(file: Any) -> bool:
    """True for a system, and for a file that names the schema of one."""
    if isinstance(file, System):
        return True
    is_path = isinstance(file, (str, Path)) and Path(file).is_file()
    return is_path and kinds.schema_of(Path(file)) == schemas.SYSTEM


def check(section: Section) -> Answer:
    """A system with every default filled in, its units, its address map, and what limits its largest model.

    Raises ``SpecError`` for a bad file, and for a system without a host whose largest model has no program.
    """
    system = system_from(section)
    try:
        technology = _technology(system)
    except ParamError as problem:
        raise section.error("technology", str(problem)) from None
    largest = system.largest
    found = costs.estimate(system, largest, technology, largest.context - 1)
    if found.uncompiled and system.host is None:
        raise section.error(_refused_at(system), found.uncompiled)
    decode = found.phases["decode"]
    name, share = costs.limit(decode, system)
    derived = {
        "units": costs.inventory(system),
        "places": system.places,
        "addresses": [asdict(region) for region in address_map.regions(system, largest)],
        "memory_used": address_map.used(system, largest),
        "clock_mhz": found.clock_mhz,
        "fastest_clock_mhz": found.costs.fastest_mhz,
        "meets_clock": found.meets_clock,
        "limit": {
            "context": largest.context - 1,
            "by": name,
            "share": share,
            "port_busy": decode.time.port_busy,
        },
    }
    return {"resolved": system_content(system), "derived": derived}


def _refused_at(system: System) -> tuple[str, ...]:
    """Position in the file of what the compiler refuses: a parameter of a unit, or the units."""
    try:
        compiled.plan_of(system, system.largest)
    except UnitError as problem:
        return ("units", system.places[problem.work], "parameters", problem.parameter or "")
    except ParamError as problem:
        return problem.path or ("units",)
    raise AssertionError("a system that was refused must be refused again")


def estimate(
    file: System | str | Path,
    technology: str | Path | None,
    model: str | Path | None,
    context: int | None,
    prompt: int | None,
    batch: int = 1,
) -> Answer:
    """The numbers of a system on a model; the largest one that it holds where none is named."""
    system = file if isinstance(file, System) else read_system(file)
    facts = technology_of(file, system, technology)
    shapes = system.largest if model is None else models.load(model)
    if context is None:
        context = min(CONTEXT, shapes.context - 1, system.largest.context - 1)
    _check_counts(context, prompt)
    found = costs.estimate(system, shapes, facts, context, prompt, batch)
    area = found.costs.areas
    answer: Answer = {
        "system": system.name,
        "model": shapes.name,
        "technology": facts.name,
        "source": f"analytical model, technology {facts.name}",
        "context": context,
        "prompt": prompt,
        **({"batch": batch} if batch > 1 else {}),
        "clock_mhz": found.clock_mhz,
        "fastest_clock_mhz": found.costs.fastest_mhz,
        "meets_clock": found.meets_clock,
        "area_um2": found.costs.area_um2,
        "area_breakdown_um2": area,
        **_headline(found),
        "phases": {name: _phase(system, phase, found.clock_mhz) for name, phase in found.phases.items()},
        "memory": asdict(system.memory),
        "not_counted": f"{'' if found.costs.around else _AROUND}memory's standby{_host(system)}",
        "assumptions": costs.ASSUMPTIONS,
        "basis": "operations" if found.uncompiled else "programs",
        "uncompiled": found.uncompiled,
    }
    return answer


def _headline(found: costs.Estimate) -> Answer:
    return {
        "tokens_per_second": found.tokens_per_second,
        "energy_pj_per_token": found.energy_pj_per_token,
        "power_mw": found.power_mw,
        "time_to_first_token_s": found.time_to_first_token_s,
    }


def _phase(system: System, phase: costs.Phase, clock_mhz: float) -> Answer:
    seconds, steps = phase.time.seconds, phase.time.steps
    operations = costs.rows(steps, clock_mhz)
    name, share = costs.limit(phase, system)
    return {
        "tokens": phase.tokens,
        "seconds": seconds,
        "cycles": sum(row["cycles"] for row in operations),
        "tokens_per_second": phase.tokens / seconds,
        "energy_pj": phase.energy_pj,
        "energy_breakdown_pj": phase.energies,
        "power_mw": phase.energy_pj / seconds * 1e-9,
        "bytes": sum(step.operation.traffic for step in steps),
        "macs": sum(step.operation.macs for step in steps),
        "port_busy": phase.time.port_busy,
        "busy": costs.busy(phase, system),
        "limit": {"by": name, "share": share},
        "operations": operations,
    }


def _technology(system: System, named: str | Path | None = None) -> Technology:
    """The technology named, else the system's own, else the default."""
    return technologies.load(named or system.technology or TECHNOLOGY)


def technology_of(file: System | str | Path, system: System, named: str | Path | None) -> Technology:
    """The technology, refused with the line of the file where the file names it. Raises ``SpecError``."""
    try:
        return _technology(system, named)
    except ParamError as problem:
        if named is not None or isinstance(file, System):
            raise
        raise document.read(file).error("technology", str(problem)) from None


#: What is in no number of a system without hardware of its own.
_AROUND = "sequencer, DMA engines, interconnect, "


def _host(system: System) -> str:
    """What the numbers do not cover where a host does part of the work, as the end of a sentence."""
    if system.host is None:
        return ""
    return ", area of the host" if system.host.power_w else ", area and energy of the host"


def _check_counts(context: int, prompt: int | None) -> None:
    if context < 0:
        raise ParamError(f"context must be at least 0, not {context}")
    if prompt is not None and prompt < 1:
        raise ParamError(f"prompt must be at least 1, not {prompt}")


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """An estimate for people: area and energy by unit, each phase by place and by operation."""
    clock = answer["clock_mhz"]
    yield f"{answer['model']} on {answer['system']} in {answer['technology']} ({answer['source']})"
    yield from _places(answer)
    yield f"clock {clock:g} MHz, of {answer['fastest_clock_mhz']:.4g} MHz that the slowest part reaches"
    for name, phase in answer["phases"].items():
        yield from _phase_lines(name, phase, answer)
    headline = [f"{answer['tokens_per_second']:,.4g} token/s"]
    if answer["time_to_first_token_s"] is not None:
        headline.append(f"first token after {_text('s', answer['time_to_first_token_s'])}")
    headline += [f"{_text('pJ', answer['energy_pj_per_token'])} per token", _text("mW", answer["power_mw"])]
    yield " · ".join([*headline, _text("um2", answer["area_um2"])])
    yield f"not in these numbers: {answer['not_counted']}"
    if answer["uncompiled"]:
        yield f"no program of the compiler: {answer['uncompiled']}"
        yield "so these are numbers of a list of operations, which do not compare with those of programs"
    if not answer["meets_clock"]:
        yield f"FAIL: a clock of {clock:g} MHz is faster than the critical path of the system allows"


def _places(answer: Mapping[str, Any]) -> list[str]:
    areas = answer["area_breakdown_um2"]
    unit, total = shown("um2", areas.values()), answer["area_um2"]
    body = [[place, unit.number(area), f"{100 * area / total:.1f} %"] for place, area in areas.items()]
    return table([*body, ["total", unit.number(total), "100 %"]], ("place", f"area {unit.unit}", "share"))


def _phase_lines(name: str, phase: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterator[str]:
    what = (
        f"a token behind {answer['context']:,}" if name == "decode" else f"a prompt of {answer['prompt']:,}"
    )
    what += f", each of {answer['batch']} sequences" if "batch" in answer else ""
    yield f"{name}: {what}"
    columns = ("name", "place", "count", "cycles", "wait_cycles", "bytes", "macs")
    rows = [[row[key] for key in columns] for row in phase["operations"]]
    total = [sum(row[index] for row in rows) for index in range(2, len(columns))]
    heads = ("operation", "place", "count", "cycles", "of these waiting", "bytes", "MACs")
    yield from table([*rows, ["total", "", *total]], heads)
    busy = " · ".join(f"{place} {100 * share:.1f} %" for place, share in phase["busy"].items())
    yield f"time by place: {busy} (memory: all wait for it); ports of memory busy {100 * phase['port_busy']:.1f} %"
    energy = phase["energy_breakdown_pj"]
    unit = shown("pJ", energy.values())
    yield "energy: " + " · ".join(f"{place} {unit.text(pj)}" for place, pj in energy.items())
    yield (
        f"{phase['cycles']:,} cycles, {_text('s', phase['seconds'])}, {_text('pJ', phase['energy_pj'])}; "
        f"busiest: {phase['limit']['by']}, {100 * phase['limit']['share']:.1f} % of the time"
    )


def _text(unit: str, value: float) -> str:
    return shown(unit, [value]).text(value)
