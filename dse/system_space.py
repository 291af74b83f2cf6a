"""The keys of a space file that is one of systems: the system, its axes, the model that it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blueprint.errors import ParamError
from blueprint.files.document import Section, read
from blueprint.files.nearest import suggestion
from blueprint.files.tree import show
from blueprint.systems import rules, variants
from blueprint.systems.description import System
from blueprint.systems.reader import system_from
from blueprint.workloads.model import Model, load
from blueprint.workloads.tasks import LARGEST
from dse.axis import CLOCK, Axis, read_axis, read_clock
from dse.space import LARGEST_SPACE, SubSpace
from dse.systems import KEY, Systems, model_name


def read_systems(section: Section) -> tuple[tuple[SubSpace, ...], str, Systems]:
    """Axes of a system, the technology, and what is asked of its variants. Raises ``SpecError``."""
    if "family" in section:
        raise section.error("family", f"family must not stand beside {KEY}, whose units have families")
    base = _base(section)
    axes = (*_axes(section.section("parameters"), base), *_clock(section, base))
    sub = SubSpace(base.name, axes)
    if sub.size > LARGEST_SPACE:
        what = f"parameters must span at most 2**62 systems, not {float(sub.size):.3g}"
        raise section.error("parameters", what)
    if base.technology is None:
        technology = section.take("technology", str)
    else:
        technology = section.take("technology", str, default=base.technology)
    if "dram" in section:
        raise section.error("dram", f"dram must not stand beside {KEY}, which has a memory of its own")
    return (sub,), technology, _asked(section, base)


def _base(section: Section) -> System:
    """The system that varies: in the file itself, or the one of another file, from the folder of this one."""
    given = section.take(KEY, (str, dict))
    if isinstance(given, dict):
        return system_from(section.section(KEY))
    file = Path(section.source).parent / given
    if not file.is_file():
        raise section.error(KEY, f"system file must exist, and there is none: {file}")
    return system_from(read(file))


def _axes(section: Section, base: System) -> tuple[Axis, ...]:
    known = variants.parameters(base)
    if not section.keys():
        raise section.error(None, "parameters must name at least one parameter of the system, not none")
    for name in section.keys():  # noqa: SIM118
        try:
            variants.check_name(base, name)
        except ParamError as problem:
            raise section.error(name, str(problem)) from None
        if name not in known:
            units = ", ".join(f"units.{unit}" for unit in base.units)
            what = f"parameter must be one of {units}, buffers, memory or model.block, as {next(iter(known))}"
            raise section.error(name, f"{what}, not {show(name)}{suggestion(name, known)}")
    return tuple(read_axis(section, name, known[name]) for name in section.keys())  # noqa: SIM118


def _clock(section: Section, base: System) -> tuple[Axis, ...]:
    """The clocks that the space asks for; where it says nothing, the system's own."""
    said, found = CLOCK in section, read_clock(section)
    own = () if said or base.clock_mhz is None else (Axis(CLOCK, (base.clock_mhz,)),)
    return found or own


def _asked(section: Section, base: System) -> Systems:
    """The model, the tokens before the one that is decoded, and the prompt."""
    work = section.section("workload")
    model = _model(section, work) if "model" in work else None
    context = work.take("context", int, minimum=0, maximum=LARGEST)
    work.finish()
    prompt: int | None = section.take("prompt_tokens", int, default=None, minimum=1, maximum=LARGEST)
    places: dict[str, Any] = {
        "model": (work, None, 0),
        "context": (work, context, 0),
        "prompt_tokens": (section, None, prompt or 0),
    }
    for key, (where, before, tokens) in places.items():
        try:
            rules.check_shapes(base, model or base.largest, before, tokens)
        except ParamError as problem:
            raise where.error(key, str(problem)) from None
    return Systems(base, model, context, prompt)


def _model(section: Section, work: Section) -> Model:
    work.take("model", str)
    name = model_name(section)
    if name.endswith((".yaml", ".yml")) and not Path(name).is_file():
        raise work.error("model", f"model file must exist, and there is none: {name}")
    try:
        return load(name)
    except ParamError as problem:
        raise work.error("model", str(problem)) from None
