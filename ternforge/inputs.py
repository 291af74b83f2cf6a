"""What the public functions take: whatever stands for a design, a workload or a technology."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ternforge.arguments import checked

if TYPE_CHECKING:
    from blueprint.files.design import Design
    from blueprint.spec import Spec
    from blueprint.workloads.workload import Task, Workload
    from costmodel.technology.technology import Technology

    DesignLike = Design | Spec | str | Path
    WorkloadLike = Workload | Task | str | Path

Answer = dict[str, Any]
Note = Callable[[str], None]


def silent(_: str) -> None:
    """The default for ``note``: progress is not shown."""


@checked
def read_design(design: DesignLike, overrides: Mapping[str, str] | None = None) -> Design:
    """A design from whatever stands for one."""
    from blueprint.files import design as designs
    from blueprint.spec import Spec

    if isinstance(design, designs.Design):
        return designs.overridden(design, overrides)
    if isinstance(design, Spec):
        spec = designs.overridden(designs.Design(design, design.name), overrides).spec
        return designs.Design(spec, spec.name)
    return designs.read_design(design, overrides)


@checked
def read_workload(workload: WorkloadLike) -> Workload:
    """A workload from whatever stands for one: a file, ``"1x2560x6912"``, a task."""
    from blueprint.errors import SpecError
    from blueprint.workloads import workload as workloads

    if isinstance(workload, workloads.Workload):
        return workload
    if isinstance(workload, workloads.Task):
        return workloads.of_task(workload)
    if isinstance(workload, str) and workload[:1].isdigit() and not Path(workload).suffix:
        return workloads.of_gemm(workloads.parse_gemm(workload))
    if not Path(workload).exists() and str(workload) in _models():
        what = f"workload must be a file, not the model {workload}: a file names it with phase and tokens"
        raise SpecError(f"{workload}:1:1: {what}")
    return workloads.read_workload_file(workload)


def _models() -> tuple[str, ...]:
    from blueprint.workloads.model import names

    return names()


@checked
def read_technology(design: Design, technology: str | Path | None = None) -> Technology:
    """The technology asked for, else the design's own, else asap7."""
    from costmodel.technology import technology as technologies

    return technologies.load(technology or design.technology or "asap7")


def check_fits(spec: Spec, task: Task) -> None:
    """Raises ``ParamError`` for a task of the wrong kind, or larger than the design was made for."""
    spec.check_task(task)
    refused(spec.check_workload, task)


def refused(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Calls a room whose ``ValueError`` is the user's to mend."""
    from blueprint.errors import ParamError

    try:
        return call(*arguments, **named)
    except ValueError as problem:
        raise ParamError(str(problem)) from None
