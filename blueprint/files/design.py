"""A design file: a family, its parameters, and the technology and clock it is meant for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blueprint import registry
from blueprint.errors import ParamError, ParamTypeError, SpecError
from blueprint.files import schemas
from blueprint.files.document import Section, read, read_text
from blueprint.files.names import NAME_RULE, is_name
from blueprint.files.tree import dump, parse, show
from blueprint.spec import Spec

#: Limits of a clock in MHz.
CLOCKS = (0.001, 100_000)


@dataclass(frozen=True)
class Design:
    """Contents of a design file; ``clock_mhz`` and ``technology`` are ``None`` if absent."""

    spec: Spec
    name: str
    clock_mhz: float | None = None
    technology: str | None = None


def read_design(path: str | Path, overrides: Mapping[str, str] | None = None) -> Design:
    """The design in a YAML file of schema ``ternforge/design/v1``.

    ``overrides`` replaces parameters by name, each value a YAML scalar as text.
    Raises ``SpecError`` for anything that is not such a file or cannot be built.
    """
    return design_from(read(path), overrides)


def read_clock(section: Section) -> float | None:
    """The ``clock_mhz`` of a file; ``None`` if the file has none. Raises ``SpecError``."""
    clock: float | None = section.take("clock_mhz", float, default=None, minimum=CLOCKS[0], maximum=CLOCKS[1])
    return clock


def design_from(section: Section, overrides: Mapping[str, str] | None = None) -> Design:
    """The design in a document that is already read. Raises ``SpecError``."""
    section.check_schema(schemas.DESIGN)
    family = section.take("family", str)
    try:
        kind = registry.get(family)
    except ParamError as problem:
        raise section.error("family", str(problem)) from None
    given = section.section("parameters")
    name = section.take("name", str, default=None)
    if name is not None and not is_name(name):
        raise section.error("name", f"name must be {NAME_RULE}, not {show(name)}")
    clock = read_clock(section)
    technology = section.take("technology", str, default=None)
    section.finish()
    spec = spec_from(kind, given, overrides or {})
    changed = _changed(kind, given.raw(), spec, overrides or {})
    return Design(spec, renamed(name, changed, spec) if name else spec.name, clock, technology)


def overridden(design: Design, overrides: Mapping[str, str] | None = None) -> Design:
    """A design with parameters replaced as :func:`read_design` replaces them."""
    return design_from(read_text(design_text(design), design.name), overrides) if overrides else design


def renamed(name: str, changed: Mapping[str, Any], spec: Spec) -> str:
    """The name of a design some parameters of which were changed: another design has another name.

    ``<name>_<parameter>_<value>`` for each, or where that is no name a part of ``name`` and the design's hash.
    """
    if not changed:
        return name
    longer = "_".join([name, *(f"{key}_{str(value).lower()}" for key, value in changed.items())])
    return longer if is_name(longer) else f"{name[:47]}_{spec.design_hash}"


def _changed(
    kind: type[Spec], given: Mapping[str, Any], spec: Spec, overrides: Mapping[str, str]
) -> dict[str, Any]:
    """Overridden parameters whose value differs from the file's."""
    before = {f.name: f.default for f in dataclasses.fields(kind)} | dict(given)
    return {key: spec.parameters[key] for key in overrides if before[key] != spec.parameters[key]}


def write_design(design: Design | Spec, path: str | Path) -> None:
    """Write a design (or a bare spec) as a file that :func:`read_design` reads back as the same."""
    Path(path).write_text(design_text(design), encoding="utf-8")


def design_text(design: Design | Spec) -> str:
    """The YAML text of a design, with every parameter."""
    return dump(design_content(design))


def design_content(design: Design | Spec) -> dict[str, Any]:
    """Contents of a design file as plain values, with every parameter."""
    design = design if isinstance(design, Design) else Design(design, design.name)
    content: dict[str, Any] = {"schema": schemas.DESIGN, "name": design.name, "family": design.spec.family}
    content["parameters"] = dict(design.spec.parameters)
    for key in ("clock_mhz", "technology"):
        if getattr(design, key) is not None:
            content[key] = getattr(design, key)
    return content


def spec_from(kind: type[Spec], given: Section, overrides: Mapping[str, str]) -> Spec:
    """The design of a family with the parameters of a section. Raises ``SpecError``."""
    values = {**given.raw(), **{name: _value(name, text) for name, text in overrides.items()}}
    try:
        return kind.from_mapping(values)
    except (ParamTypeError, ParamError) as problem:
        parameter = problem.parameter
        message = _short(str(problem))
        if (
            isinstance(problem, ParamTypeError) and parameter in values
        ):  # describe the value as the file writes it: empty, true, a list
            allowed = kind.limits()[parameter].allowed()
            message = f"Parameter {parameter!r} must be {allowed}, not {show(values[parameter])}"
        if parameter in overrides and parameter in ("schema", "family", "name", "clock_mhz", "technology"):
            raise SpecError(
                f"--set {parameter}: key must be a parameter, not a key of the file: change it there"
            ) from None
        if parameter is not None and parameter in overrides:
            raise SpecError(f"--set {parameter}={overrides[parameter][:40]}: {message}") from None
        raise given.error(parameter, message) from None


def _value(name: str, text: str) -> Any:
    try:
        return parse(text or "~", "").plain()
    except SpecError as problem:  # its position is within the option, which is not a line of a file
        raise SpecError(f"--set {name}={text[:40]}: {str(problem).split(': ', 1)[1]}") from None


def _short(message: str) -> str:
    """Shorten an overlong value that an error message quotes."""
    message = message.replace("\n", " ")
    return message if len(message) <= 600 else f"{message[:400]} ... {message[-100:]}"
