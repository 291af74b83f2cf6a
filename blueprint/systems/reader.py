"""Reading a system file, schema ``ternforge/system/v1``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from blueprint import registry
from blueprint.errors import ParamError
from blueprint.files import schemas
from blueprint.files.design import read_clock, spec_from
from blueprint.files.document import Section, read
from blueprint.files.names import NAME_RULE, is_name
from blueprint.files.nearest import suggestion
from blueprint.files.tree import dump, show
from blueprint.parameters import Parameter
from blueprint.spec import Spec
from blueprint.systems import rules
from blueprint.systems.description import (
    HOST,
    HOST_WORKS,
    RESERVED,
    STAGES,
    Buffers,
    Head,
    Host,
    Memory,
    System,
    Unit,
)
from blueprint.systems.limits import BUFFERS, MEMORY, MODEL, WIDTHS
from blueprint.workloads.model import LARGEST_SIZE, Model

#: Several times the deepest decoder; every operation of every layer is listed.
_LAYERS = 1000
#: Sizes of the largest model.
_SIZES = ("hidden", "ffn", "layers", "heads", "kv_heads", "head_dim", "vocab", "context")
#: The rate that a host states for a work.
_RATES = {work: "bandwidth_gb_s" if work == "head" else "elements_per_s" for work in HOST_WORKS}


def read_system(path: str | Path) -> System:
    """The system in a YAML file. Raises ``SpecError`` for anything that is none or cannot be built."""
    return system_from(read(path))


def system_from(section: Section) -> System:
    """The system in a document that is already read. Raises ``SpecError``."""
    section.check_schema(schemas.SYSTEM)
    name = section.take("name", str)
    if not is_name(name):
        raise section.error("name", f"name must be {NAME_RULE}, not {show(name)}")
    clock = read_clock(section)
    technology = section.take("technology", str, default=None)
    host = _host(section.section(HOST)) if HOST in section else None
    largest, block, window = _model(section.section("model"), name)
    system = System(
        name=name,
        units=_units(section.section("units"), host),
        host=host,
        buffers=_buffers(section.section("buffers")),
        memory=_memory(section.section("memory")),
        head=_head(section.section("head")),
        largest=largest,
        block=block,
        clock_mhz=clock,
        technology=technology,
        window=window,
    )
    section.finish()
    for fault in rules.faults(system):
        raise section.error(fault.path, fault.message)
    return system


def system_content(system: System) -> dict[str, Any]:
    """Contents of a system file as plain values, with every default filled in."""
    units = {
        name: {"family": unit.spec.family, "parameters": dict(unit.spec.parameters), "runs": list(unit.works)}
        for name, unit in system.units.items()
    }
    model = {size: getattr(system.largest, size) for size in _SIZES}
    flags = {key: getattr(system.largest, key) for key in ("gated", "sub_norms", "tied_embeddings")}
    content: dict[str, Any] = {"schema": schemas.SYSTEM, "name": system.name}
    content |= {
        key: getattr(system, key) for key in ("technology", "clock_mhz") if getattr(system, key) is not None
    }
    content |= {"units": units}
    if system.host:
        rates = {key: rate for key in sorted(set(_RATES.values())) if (rate := getattr(system.host, key))}
        told = {"power_w": system.host.power_w, "source": system.host.source}
        content[HOST] = {"runs": list(system.host.works), **rates, **told}
    parts: dict[str, Any] = {"buffers": system.buffers, "memory": system.memory, "head": system.head}
    content |= {key: dataclasses.asdict(part) for key, part in parts.items()}
    window = {"window": system.window} if system.window else {}
    return {**content, "model": {**model, **flags, "block": system.block, **window}}


def system_text(system: System) -> str:
    """The YAML text of a system, which reads back as the same."""
    return dump(system_content(system))


def _units(section: Section, host: Host | None) -> Mapping[str, Unit]:
    names = section.keys()
    if not names:
        raise section.error(None, "units must have at least one unit, and there is none")
    found, named = {}, {}
    for name in names:
        unit = section.section(name)
        if not is_name(name) or name in RESERVED:
            what = f"name of a unit must be {NAME_RULE}, and none of {', '.join(RESERVED)}"
            raise section.error(name, f"{what}, not {show(name)}")
        found[name], named[name] = _unit(unit)
    taken = {work for works in named.values() for work in works or ()} | set(host.works if host else ())
    return {
        name: unit if named[name] is not None else replace(unit, works=_left(unit, taken))
        for name, unit in found.items()
    }


def _unit(section: Section) -> tuple[Unit, tuple[str, ...] | None]:
    """A unit with all that its family can run, and the work that the file gives to it, if it says."""
    family = section.take("family", str)
    try:
        kind = registry.get(family)
    except ParamError as problem:
        raise section.error("family", str(problem)) from None
    spec = spec_from(kind, section.section("parameters"), {})
    works = spec.works
    named = _runs(section, works, f"what {_such(spec)} can run") if "runs" in section else None
    section.finish()
    return Unit(spec, works if named is None else named), named


def _such(spec: Spec) -> str:
    """The family, where not all its designs run the same also that it is this one."""
    return spec.family if spec.works == spec.task.works else f"such a {spec.family} unit"


def _left(unit: Unit, taken: set[str]) -> tuple[str, ...]:
    """Work of a unit that names none: all that it can do and no other place was given."""
    return tuple(work for work in unit.works if work not in taken)


def _runs(section: Section, allowed: tuple[str, ...], why: str) -> tuple[str, ...]:
    given = section.take("runs", list)
    for index, work in enumerate(given):
        if work not in allowed:
            hint = suggestion(str(work), allowed)
            what = f"runs must be of {', '.join(allowed)}, {why}, not {show(work)}{hint}"
            raise section.error(("runs", index), what)
        if work in given[:index]:
            raise section.error(("runs", index), f"runs must name {work} once, not twice")
    if not given:
        raise section.error("runs", "runs must name at least one work, not none")
    return tuple(given)


def _host(section: Section) -> Host:
    works = _runs(section, HOST_WORKS, "what a host can run")
    values: dict[str, float] = {}
    for key in sorted(set(_RATES.values())):
        users = [work for work, rate in _RATES.items() if rate == key]
        needing = [work for work in users if work in works]
        if needing and key not in section:
            what = f"{key} must be given where the host runs {' and '.join(needing)}, and is missing"
            raise section.error(None, what)
        if needing:
            values[key] = section.take(key, float, minimum=0.001, maximum=1e15)
        elif key in section:
            raise section.error(
                key, f"{key} must not be there where the host does not run {' or '.join(users)}"
            )
    values["power_w"] = section.take("power_w", float, default=0.0, minimum=0, maximum=1000)
    source = _source(section)
    section.finish()
    return Host(works, source, **values)


def _buffers(section: Section) -> Buffers:
    found = {name: _limited(section, name, limit) for name, limit in BUFFERS.items()}
    section.finish()
    return Buffers(**found)


def _limited(section: Section, name: str, limit: Parameter) -> Any:
    """A value within its limits, or its default where it has one and the file has none."""
    bounds: dict[str, Any] = {"minimum": limit.minimum, "maximum": limit.maximum}
    if limit.default is not None:
        bounds["default"] = limit.default
    return section.take(name, limit.kind, **bounds)


def _memory(section: Section) -> Memory:
    width = section.take("width", int)
    if str(width) not in WIDTHS:
        raise section.error(
            "width", f"width must be one of {', '.join(WIDTHS)}, the widths of AXI4, not {width}"
        )
    found = {name: _limited(section, name, limit) for name, limit in MEMORY.items()}
    source = _source(section)
    section.finish()
    return Memory(**found, source=source)


def _head(section: Section) -> Head:
    head = Head(
        stage=section.take("stage", str, choices=STAGES),
        candidates=section.take("candidates", int, default=0, minimum=0, maximum=65_536),
        embedding_width=section.take("embedding_width", int, default=16, minimum=8, maximum=16),
    )
    section.finish()
    return head


def _model(section: Section, name: str) -> tuple[Model, int, int]:
    """The largest model, tokens of a block, and positions that the cache holds."""
    sizes: dict[str, Any] = {
        key: section.take(key, int, minimum=1, maximum=_LAYERS if key == "layers" else LARGEST_SIZE)
        for key in _SIZES
    }
    if sizes["heads"] % sizes["kv_heads"]:
        what = f"kv_heads must divide the {sizes['heads']} heads, not be {sizes['kv_heads']}"
        raise section.error("kv_heads", what)
    for key, default in (("gated", True), ("sub_norms", True), ("tied_embeddings", True)):
        sizes[key] = section.take(key, bool, default=default)
    others = {key: _limited(section, key, limit) for key, limit in MODEL.items()}
    window = section.take("window", int, default=0, minimum=0, maximum=LARGEST_SIZE)
    section.finish()
    model = Model(name=name, title=name, source="largest model of the system", **sizes)
    return model, others["block"], window


def _source(section: Section) -> str:
    """Source of the numbers of a section, as text."""
    found: str = section.take("source", str)
    if not found.strip():
        raise section.error("source", "source must say where the numbers are from, and is empty")
    return found
