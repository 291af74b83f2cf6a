"""Arguments and results of the public functions.

A design is given as a file, a :class:`blueprint.files.design.Design` or a spec; a workload as a file, a
:class:`blueprint.workloads.workload.Workload`, a task or a text as ``1x2560x6912``. Results are dictionaries with the
keys of the ``--json`` answers. Bad input raises ``SpecError`` (a file), ``ParamError`` or ``TypeError`` (a value)
before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from blueprint.errors import ParamError, SpecError
from blueprint.files import design as designs
from blueprint.files.design import Design
from blueprint.spec import Spec
from blueprint.words import SEED_MOST, TOP_MOST
from blueprint.workloads import model as models
from blueprint.workloads import tasks
from blueprint.workloads import workload as workloads
from blueprint.workloads.tasks import Task
from blueprint.workloads.workload import Workload
from costmodel.technology import technology as technologies
from costmodel.technology.technology import Technology
from ternforge.words import SEED, TECHNOLOGY

DesignLike = Design | Spec | str | Path
WorkloadLike = Workload | Task | str | Path


def read_design(design: DesignLike, overrides: Mapping[str, str] | None = None) -> Design:
    """Read a design from any form in which it may be given."""
    if isinstance(design, Design):
        return designs.overridden(design, overrides)
    if isinstance(design, Spec):
        spec = designs.overridden(Design(design, design.name), overrides).spec
        return Design(spec, spec.name)
    return designs.read_design(design, overrides)


def read_workload(workload: WorkloadLike) -> Workload:
    """Read a workload from a file, from a size such as ``"1x2560x6912"``, or from a task.

    Raises ``SpecError`` for a bad file.
    """
    if isinstance(workload, Workload):
        return workload
    if isinstance(workload, Task):
        return workloads.of_task(workload)
    if isinstance(workload, str) and workload[:1].isdigit() and not Path(workload).suffix:
        return workloads.of_gemm(tasks.parse_gemm(workload))
    if not Path(workload).exists() and str(workload) in models.names():
        what = f"workload must be a file, not the model {workload}: a file names it with phase and tokens"
        raise SpecError(f"{workload}:1:1: {what}")
    return workloads.read_workload_file(workload)


def read_technology(design: Design, technology: str | Path | None = None) -> Technology:
    """The technology given, else that of the design, else the default."""
    named = design.technology if technology is None else technology
    return technologies.load(TECHNOLOGY if named is None else named)


def prompt_text(prompt: str) -> str:
    """The prompt. Raises ``ParamError`` where the bytes that the shell gave are not UTF-8."""
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise ParamError(f"Prompt must be text in UTF-8, not {prompt[:60]!r}") from None
    return prompt


def check_fits(spec: Spec, task: Task) -> None:
    """Raise ``ParamError`` for a task of the wrong kind, or larger than the design was made for."""
    spec.check_fits(task)


#: Options of the command line that do not have the name of their argument.
_OPTIONS = {"overrides": "--set", "workload": "--workload or --gemm", "values": "--no-values"}


def refuse(given: Mapping[str, Any], whose: str) -> None:
    """Refuse arguments that only another kind of file takes; the message names the option where it is called otherwise.

    Raises ``ParamError``.
    """
    for name, value in given.items():
        if value is not None and value is not False and value != {}:
            option = f" ({_OPTIONS[name]})" if name in _OPTIONS else ""
            raise ParamError(f"{name}{option} must be given {whose}")


def seed_of(seed: int | None) -> int:
    """The seed given, or the default :data:`SEED`. Raises ``ParamError`` for one that no register holds."""
    if seed is not None and not 0 <= seed <= SEED_MOST:
        raise ParamError(f"Seed must be an integer from 0 to {SEED_MOST}, not {seed}")
    return SEED if seed is None else seed


def check_drawn(seed: int | None, top_k: int | None, temperature: float | None, whose: str) -> None:
    """Raise ``ParamError`` for a seed or ``top_k`` without a temperature above 0: no token is drawn by it then.

    Also for a ``top_k`` that no run has.
    """
    for what, given in (("a seed", seed), ("top_k", top_k)):
        if given is not None and not temperature:
            raise ParamError(f"Temperature must be above 0 for {whose} where {what} is given, not 0")
    if top_k is not None and not 1 <= top_k <= TOP_MOST:
        raise ParamError(f"top_k must be an integer from 1 to {TOP_MOST}, not {top_k}")


def refused(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Call a room and convert its ``ValueError`` into an error of the user's input."""
    try:
        return call(*arguments, **named)
    except ValueError as problem:
        raise ParamError(str(problem)) from None
