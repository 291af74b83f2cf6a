"""``ternforge check``: any file of ours, validated by the reader of its kind and shown with every default filled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from blueprint.errors import ParamError
from blueprint.files import schemas
from blueprint.files.design import design_content, design_from
from blueprint.files.document import Section, read
from blueprint.files.tree import dump
from blueprint.unit import flip_flops
from blueprint.workloads.model import model_content, model_from
from blueprint.workloads.workload import read_workload, workload_content
from costmodel.technology import technology as technologies
from dse.space_file import space_content, space_from
from ternforge import decoders
from ternforge.session import Answer, plain


def check(path: str | Path, overrides: Mapping[str, str] | None = None) -> Answer:
    """Validate any file of ours by its ``schema``.

    ``resolved`` is its content with every default filled in; except for a technology, whose cells are left out, it
    reads back as the same file. ``derived`` are numbers that follow from it.
    """
    return validate(path, overrides or {})


def validate(path: str | Path, overrides: Mapping[str, str], only: str | None = None) -> Answer:
    """Check a file as :func:`check` does; it must be of the schema ``only`` if one is given. Raises ``SpecError``."""
    section = read(path)
    readers: dict[str, Callable[[Section], Answer]] = {
        schemas.DESIGN: lambda found: _design(found, overrides),
        schemas.WORKLOAD: _workload,
        schemas.MODEL: _model,
        schemas.SYSTEM: decoders.check,
        schemas.SPACE: _space,
        schemas.TECHNOLOGY: lambda _: _technology(Path(path)),
    }
    schema = section.check_schema(*([only] if only else readers))
    if overrides and schema != schemas.DESIGN:
        raise section.error("schema", f"file must be a design where --set is given, not {schema}")
    return {"file": str(path), "schema": schema, **readers[schema](section)}


def _design(section: Section, overrides: Mapping[str, str]) -> Answer:
    design = design_from(section, overrides)
    if design.technology is not None:
        _check_technology(section, design.technology)
    spec = design.spec
    derived = {
        "design_hash": spec.design_hash,
        "module": spec.name,
        "peak_macs": spec.peak_macs,
        "flip_flops": flip_flops(spec.units()),
        "streams": {stream.prefix: stream.width for stream in spec.streams()},
    }
    return {"resolved": design_content(design), "derived": derived}


def _workload(section: Section) -> Answer:
    workload = read_workload(section)
    derived: Answer = {"macs": workload.macs}
    for task in workload.tasks:
        row = {"name": task.name, **task.sizes, "count": task.count}
        derived.setdefault("gemms" if task.kind == "gemm" else task.kind, []).append(row)
    return {
        "resolved": {"schema": schemas.WORKLOAD, **workload_content(workload, section)},
        "derived": derived,
    }


def _model(section: Section) -> Answer:
    model = model_from(section)
    return {"resolved": model_content(model), "derived": {"ternary_weights": model.ternary_weights}}


def _space(section: Section) -> Answer:
    space = space_from(section)
    _check_technology(section, space.technology)
    derived = {
        "designs": space.size,
        "method": space.method,
        "exact": space.exact,
        "metrics": list(space.metric_names),
        "covers": space.subject.covers,
        "memory": space.subject.memory,
    }
    return {"resolved": space_content(space, section), "derived": derived}


def _technology(path: Path) -> Answer:
    technology = technologies.read_technology(path)
    cells = len(technology.cells)
    resolved = {
        "name": technology.name,
        "corner": technology.corner,
        "roles": technology.roles,
        "sram": technology.sram,
    }
    return {"resolved": resolved, "derived": {"cells": cells, "calibrated": bool(technology.model)}}


def _check_technology(section: Section, name: str) -> None:
    try:
        technologies.load(name)
    except ParamError as problem:
        raise section.error("technology", str(problem)) from None


def lines(answer: Mapping[str, Any]) -> list[str]:
    text = dump(plain(answer["resolved"]))
    derived = dump(plain(answer["derived"])) if answer["derived"] else ""
    comments = [f"#   {line}" for line in derived.splitlines()]
    head = f"# {answer['file']}: {answer['schema']}, valid"
    if "schema" not in answer["resolved"]:  # a summary, not a file
        return [head, *(f"# {line}" for line in text.splitlines()), "# derived", *comments]
    return [head, *text.splitlines(), "# derived", *comments]
