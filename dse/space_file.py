"""Reading a space file (schema ``ternforge/space/v1``); the format is described in ``docs/spaces.md``."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from blueprint import registry
from blueprint.errors import ParamError
from blueprint.files import document, schemas
from blueprint.files.document import Section
from blueprint.files.names import NAME_RULE, is_name
from blueprint.files.nearest import suggestion
from blueprint.files.tree import show
from blueprint.spec import Spec
from blueprint.workloads.tasks import LARGEST
from blueprint.workloads.workload import Workload, kind_of, read_workload
from costmodel.model.metrics import METRICS, PARTS, counterpart, scope
from costmodel.model.work import Dram
from dse import systems
from dse.axis import CLOCK, FASTEST, Axis, read_axis, read_clock
from dse.families import Families
from dse.searches import methods
from dse.space import (
    LARGEST_BUDGET,
    LARGEST_EXHAUSTIVE,
    LARGEST_SPACE,
    Constraint,
    Search,
    Space,
    SubSpace,
)
from dse.subject import Subject
from dse.system_space import read_systems


def read_space(
    path: str | Path,
    *,
    families: Mapping[str, type[Spec]] | None = None,
    metrics: Sequence[str] | None = None,
) -> Space:
    """The space in a YAML file of schema ``ternforge/space/v1``.

    ``families`` replaces the registry and ``metrics`` the names that objectives and constraints may use, those of the
    work that the families run.
    Raises ``SpecError`` for anything that is not such a file.
    """
    section = document.read(path)
    space = space_from(section, families=families, metrics=metrics)
    text = space.subject.whole(Path(path).read_text(encoding="utf-8-sig"), section)
    return dataclasses.replace(space, text=text)


def space_from(
    section: Section,
    *,
    families: Mapping[str, type[Spec]] | None = None,
    metrics: Sequence[str] | None = None,
    search: Search | None = None,
) -> Space:
    """The space in a document that is already read. Raises ``SpecError``.

    A ``search`` that is given stands for the one of the document, which is not read then.
    """
    section.check_schema(schemas.SPACE)
    name = section.take("name", str, default="space")
    if not is_name(name):
        raise section.error("name", f"name must be {NAME_RULE}, not {show(name)}")
    of_systems = systems.KEY in section
    subspaces, technology, subject = read_systems(section) if of_systems else _designs(section, families)
    metrics = tuple(subject.known_metrics) if metrics is None else metrics
    objectives = _read_objectives(section, metrics)
    constraints = (
        _read_constraints(section.section("constraints"), metrics) if "constraints" in section else ()
    )
    for key, named in (("objectives", objectives), ("constraints", [c.metric for c in constraints])):
        _check_prompt(section, key, named, subject)
        if "clock_margin" in named and subspaces[0].axes[-1].name != CLOCK:
            what = "clock_margin needs a clock_mhz that is a number, a list or a range, and it is missing"
            raise section.error((key, "clock_margin"), what)
    size = sum(sub.size for sub in subspaces)
    if "search" not in section:
        search = search or Search(options=methods.resolved(methods.AUTO, {}))
    search = search or _read_search(section.section("search"), size)
    section.finish()
    return Space(name, subspaces, subject, technology, objectives, constraints, search)


def _designs(
    section: Section, families: Mapping[str, type[Spec]] | None
) -> tuple[tuple[SubSpace, ...], str, Subject]:
    """Axes of families, the technology, and the work that the designs are judged by."""
    known = registry.families() if families is None else families
    subspaces = _read_families(section, known)
    technology = section.take("technology", str)
    kinds = [known[sub.family] for sub in subspaces]
    workload = _read_workload(section.section("workload"), kinds)
    prompt = section.take("prompt_tokens", int, default=None, minimum=1, maximum=LARGEST)
    if prompt is not None and (workload.model is None or workload.phase != "decode"):
        what = "prompt_tokens must stand beside a workload that is a model in phase decode, and it does not"
        raise section.error("prompt_tokens", what)
    dram = _read_dram(section.section("dram")) if "dram" in section else None
    part = kinds[0].task.part if workload.model is not None else ""
    return subspaces, technology, Families(workload, dram, prompt, part)


def _read_workload(section: Section, kinds: Sequence[type[Spec]]) -> Workload:
    workload = read_workload(section)
    for kind in kinds:
        try:
            kind.tasks(workload)
        except ParamError as problem:
            raise section.error(kind_of(section), str(problem)) from None
    return workload


def _read_families(section: Section, known: Mapping[str, type[Spec]]) -> tuple[SubSpace, ...]:
    given = section.take("family", (str, list))
    names = [given] if isinstance(given, str) else given
    if not names:
        raise section.error("family", "family must name at least one family, not none")
    for place, name in enumerate(names):
        at: tuple[str | int, ...] = ("family", place) if names is given else ("family",)
        if not isinstance(name, str):
            raise section.error(at, f"family must be text or a list of texts, not {show(name)}")
        if name not in known:
            which = f"family must be one of {', '.join(known)}, not {show(name)}"
            raise section.error(at, which + suggestion(name, known))
        if name in names[:place]:
            raise section.error(at, f"family must list every family once, not {show(name)} again")
        first, task = known[names[0]].task.kind, known[name].task.kind
        if task != first:
            what = (
                f"family must list families that run the same task, and {names[0]} runs {first} while {name} runs "
                f"{task}; explore them in spaces of their own"
            )
            raise section.error(at, what)
    parameters = section.section("parameters")
    shared = {name for family in names for name in known[family].limits()}
    _check_names(parameters, names, known, shared)
    parameters.allow([*sorted(shared), *(names if len(names) > 1 else ())])
    subspaces: list[SubSpace] = []
    clock = read_clock(section)
    for name in names:
        start = sum(sub.size for sub in subspaces)
        axes = _read_axes(parameters, name, known[name], len(names) > 1)
        subspaces.append(SubSpace(name, (*axes, *clock), start))
    size = sum(sub.size for sub in subspaces)
    if size > LARGEST_SPACE:
        raise section.error(
            "parameters", f"parameters must span at most 2**62 designs, not {float(size):.3g}"
        )
    return tuple(subspaces)


def _check_names(
    parameters: Section, families: Sequence[str], known: Mapping[str, type[Spec]], allowed: Collection[str]
) -> None:
    """Refuse the former name of a parameter, unless another family of the space has a parameter of that name."""
    for name in parameters.keys():  # noqa: SIM118
        for family in families if name not in allowed else ():
            try:
                known[family].check_name(name)
            except ParamError as problem:
                raise parameters.error(name, str(problem)) from None


def _read_axes(parameters: Section, family: str, kind: type[Spec], several: bool) -> tuple[Axis, ...]:
    """Axes of one family: its own section first, then what all families share, then its defaults."""
    own = parameters.section(family) if several and family in parameters else None
    if own is not None:
        _check_names(own, [family], {family: kind}, kind.limits())
        own.allow(kind.limits())
    axes = []
    defaults = {f.name: f.default for f in dataclasses.fields(kind)}
    for name, limit in kind.limits().items():
        place = next((s for s in (own, parameters) if s is not None and name in s), None)
        if place is not None:
            axes.append(read_axis(place, name, limit))
        elif defaults[name] is dataclasses.MISSING:
            what = f"{name} of {family} must be given, and is missing: {limit.allowed()}"
            raise (own or parameters).error(None, what)
        else:
            axes.append(Axis(name, (defaults[name],)))
    return tuple(axes)


def _read_dram(section: Section) -> Dram:
    bandwidth = section.take("bandwidth_gb_s", float, minimum=1e-6, maximum=1e9)
    energy = section.take("energy_pj_per_bit", float, minimum=0, maximum=1e9)
    source = section.take("source", str)
    if not source.strip():
        raise section.error("source", "source must say where the DRAM numbers are from, not ''")
    kv_width = section.take("kv_width", int, default=Dram.kv_width, minimum=1, maximum=64)
    section.finish()
    return Dram(bandwidth, energy, source, kv_width)


def _metric(section: Section, name: str, metrics: Sequence[str]) -> None:
    if name in metrics:
        return
    other = counterpart(name, metrics)
    if other is not None:
        raise section.error(name, f"metric must be {other}, {_why(other)}, not {show(name)}")
    which = f"metric must be one of {', '.join(metrics)}, not {show(name)}"
    raise section.error(name, which + suggestion(name, metrics))


def _why(name: str) -> str:
    """Explanation of a metric's name."""
    if METRICS[name].base == name:
        return "as it covers a whole decoder"
    part = next((part for part in PARTS if name.startswith(f"{part}_")), None)
    return f"as it covers {scope(part)}" if part else "as the workload is no model and counts rows"


def _read_objectives(section: Section, metrics: Sequence[str]) -> dict[str, str]:
    inner = section.section("objectives")
    if not 1 <= len(inner.keys()) <= 4:
        raise section.error("objectives", f"objectives must name 1 to 4 metrics, not {len(inner.keys())}")
    names = inner.keys()
    for name in names:
        _metric(inner, name, metrics)
    return {name: inner.take(name, str, choices=("min", "max")) for name in names}


def _read_constraints(section: Section, metrics: Sequence[str]) -> tuple[Constraint, ...]:
    found = []
    names = section.keys()
    for name in names:
        _metric(section, name, metrics)
        inner = section.section(name)
        low = inner.take("min", float, default=None)
        high = inner.take("max", float, default=None)
        inner.finish()
        if low is None and high is None:
            raise section.error(name, f"{name} must have a max or a min, and has neither")
        if low is not None and high is not None and low > high:
            raise section.error((name, "min"), f"min must be at most the max {high:g}, not {low:g}")
        found.append(Constraint(name, low, high))
    return tuple(found)


def _check_prompt(section: Section, key: str, named: Any, subject: Subject) -> None:
    """Time to first token is that of a prompt: refuse to judge by it where there is none."""
    for name in named:
        of_prompt = name in METRICS and METRICS[name].base == "time_to_first_token_s"
        if of_prompt and name not in subject.metrics(True):
            what = f"{name} needs prompt_tokens beside the workload, and it is missing"
            raise section.error((key, name), what)


def _read_search(section: Section, size: int) -> Search:
    method = section.take("method", str, default=Search.method)
    try:
        known = methods.options(method)
    except ParamError as problem:
        raise section.error("method", str(problem)) from None
    budget = section.take("budget", int, default=Search.budget, minimum=1, maximum=LARGEST_BUDGET)
    seed = section.take("seed", int, default=Search.seed, minimum=0, maximum=2**63 - 1)
    options = {
        name: section.take(name, option.kind, default=option.default) for name, option in known.items()
    }
    section.finish()
    for name, option in known.items():
        if name in section and (fault := option.fault(section.raw()[name])):
            raise section.error(name, fault)
    if method in methods.WHOLE and size > LARGEST_EXHAUSTIVE:
        what = (
            f"method must be one that keeps a budget for a space of {float(size):.3g} designs, not {method!r}"
        )
        raise section.error("method", what)
    return Search(method, budget, seed, options)


def space_content(space: Space, section: Section) -> dict[str, Any]:
    """Contents of a space file that was read from ``section``, with all defaults filled in.

    It reads back as the same.
    """
    names = list(space.groups)
    axes = {sub.family: {axis.name: axis.content() for axis in sub.parameter_axes} for sub in space.subspaces}
    clock = FASTEST if CLOCK in section else None
    content: dict[str, Any] = {
        "schema": schemas.SPACE,
        "name": space.name,
        **space.subject.file_content(section),
        "parameters": axes if len(names) > 1 else axes[names[0]],
        "technology": space.technology,
        CLOCK: space.clock.content() if space.clock else clock,
        "objectives": dict(space.objectives),
        "constraints": {c.metric: c.content() for c in space.constraints},
        "search": space.search.content(),
    }
    return {key: value for key, value in content.items() if value not in (None, {})}
