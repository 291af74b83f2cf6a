"""Workloads: tasks, given one by one or as those of a model, and the files that describe them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from blueprint.errors import ParamError
from blueprint.files import schemas
from blueprint.files.document import Section, read
from blueprint.files.nearest import nearest, suggestion
from blueprint.files.tree import show
from blueprint.workloads.model import PHASES, Model, attention, layers, load
from blueprint.workloads.tasks import DRAWN, LARGEST, MASKS, Attention, Gemm, Rowwise, Task

#: Keys that say what kind of workload it is.
KINDS = ("gemm", "attention", "rowwise", "model", "tasks")
#: Most tasks of a list, and most repetitions of one.
MOST_TASKS, MOST_TIMES = 10_000, 1_000_000
#: Largest number of heads and largest size of one, for the same reason as :data:`LARGEST`.
MOST_HEADS = LARGEST_DIM = 1024


@dataclass(frozen=True)
class Workload:
    """Tasks to run one after the other; ``model`` and the rest say where they come from, if from a model.

    A model's tasks are its matrix products; :meth:`blueprint.spec.Spec.tasks` has those that a family runs.
    """

    name: str
    tasks: tuple[Task, ...]
    model: Model | None = None
    phase: str | None = None
    tokens: int = 1
    context: int = 0

    @property
    def gemms(self) -> tuple[Gemm, ...]:
        """The matrix products among the tasks."""
        return tuple(task for task in self.tasks if isinstance(task, Gemm))

    @property
    def attention(self) -> tuple[Attention, ...]:
        """The attention among the tasks, or that of a model's layers. Raises ``ParamError``."""
        if self.model is not None:
            return attention(self.model, self.phase or "", self.tokens, self.context)
        return tuple(task for task in self.tasks if isinstance(task, Attention))

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all tasks."""
        return sum(task.macs for task in self.tasks)


def of_gemm(gemm: Gemm) -> Workload:
    """The workload of one product."""
    return of_task(gemm)


def of_task(task: Task) -> Workload:
    """The workload of one task."""
    return Workload(task.label, (task,))


def of_tasks(tasks: Sequence[Task]) -> Workload:
    """The workload of several tasks of one kind, each ``count`` times. Raises ``ParamError``."""
    kinds = list(dict.fromkeys(task.kind for task in tasks))
    if len(kinds) != 1:
        raise ParamError(
            f"Tasks must be of one kind, which a family runs, not {' and '.join(kinds) or 'none'}"
        )
    return Workload(f"{len(tasks)} tasks" if len(tasks) > 1 else tasks[0].label, tuple(tasks))


def of_model(model: Model, phase: str, tokens: int = 1, context: int = 0) -> Workload:
    """One forward pass of a model; see :func:`blueprint.workloads.model.layers`."""
    return Workload(
        f"{model.name} {phase} {tokens}", layers(model, phase, tokens), model, phase, tokens, context
    )


def read_workload_file(path: str | Path) -> Workload:
    """The workload in a YAML file of schema ``ternforge/workload/v1``. Raises ``SpecError``."""
    section = read(path)
    section.check_schema(schemas.WORKLOAD)
    return read_workload(section)


def read_workload(section: Section) -> Workload:
    """The workload that a section of a file describes: ``gemm: {m, k, n}``, ``attention: {queries, keys, ...}`` (or
    ``seq`` for both), ``rowwise: {rows, length, operation}`` (and ``temperature``, ``seed``, ``position``, ``top_k``),
    ``tasks`` with a list of these, or ``model: NAME`` with ``phase``, ``tokens`` and ``context``.

    Raises ``SpecError``.
    """
    readers = {
        "gemm": _read_gemm,
        "attention": _read_attention,
        "rowwise": _read_rowwise,
        "model": _read_model,
        "tasks": _read_tasks,
    }
    workload = readers[kind_of(section)](section)
    section.finish()
    return workload


def workload_content(workload: Workload, section: Section) -> dict[str, Any]:
    """Contents of a workload file that was read from ``section``, with all defaults filled in.

    It reads back as the same. A model that is a file is named by its whole path, so the text may stand anywhere.
    """
    if workload.model is not None:
        name = str(section.raw()["model"])
        if name.endswith((".yaml", ".yml")):
            name = str((Path(section.source).parent / name).absolute())
        return {
            "model": name,
            "phase": workload.phase,
            "tokens": workload.tokens,
            "context": workload.context,
        }
    if "tasks" in section:
        return {"name": workload.name, "tasks": [_task_content(task) for task in workload.tasks]}
    (task,) = workload.tasks
    return {"name": workload.name, task.kind: dict(task.sizes)}


def _task_content(task: Task) -> dict[str, Any]:
    return {"name": task.name, task.kind: dict(task.sizes), "count": task.count}


def kind_of(section: Section, allowed: Sequence[str] = KINDS, name: str = "workload") -> str:
    """The key that says what kind of workload (or task, as ``name`` says) a section holds. Raises ``SpecError``."""
    kinds = [key for key in allowed if key in section]
    if len(kinds) == 1:
        return kinds[0]
    what = f"{name} must be one of {', '.join(allowed)}, not"
    if kinds:
        raise section.error(kinds[-1], f"{what} {' and '.join(kinds)}")
    meant = next((key for key in section.keys() if nearest(key, allowed)), None)  # noqa: SIM118
    hint = f" {show(meant)}{suggestion(meant, allowed)}" if meant else " none"
    raise section.error(meant, what + hint)


def _read_gemm(section: Section) -> Workload:
    return _named(section, of_task(_gemm(section)))


def _gemm(section: Section) -> Gemm:
    inner = section.section("gemm")
    sizes = {key: inner.take(key, int, minimum=1, maximum=LARGEST) for key in ("m", "k", "n")}
    inner.finish()
    return Gemm(**sizes)


def _read_attention(section: Section) -> Workload:
    return _named(section, of_task(_attention(section)))


def _attention(section: Section) -> Attention:
    inner = section.section("attention")
    sizes: dict[str, Any] = {}
    for key in ("seq", "queries", "keys"):
        if key != "seq" and ("seq" in inner) == (key in inner):
            if "seq" not in inner:
                inner.take(key, int)  # raises the error that it is missing
            raise inner.error(key, f"{key} must not stand beside seq, which is both queries and keys")
        if key in inner:
            sizes[key] = inner.take(key, int, minimum=1, maximum=LARGEST)
    if "seq" in sizes:
        sizes["queries"] = sizes["keys"] = sizes.pop("seq")
    for key, most in (("heads", MOST_HEADS), ("kv_heads", MOST_HEADS), ("dim", LARGEST_DIM)):
        sizes[key] = inner.take(key, int, default=getattr(Attention, key), minimum=1, maximum=most)
    sizes["mask"] = inner.take("mask", str, default=Attention.mask, choices=MASKS)
    for key in ("window", "sinks"):
        sizes[key] = inner.take(key, int, default=0, minimum=0, maximum=LARGEST)
    inner.finish()
    try:
        return Attention(**sizes)
    except ParamError as problem:
        at = problem.parameter or ""
        raise inner.error(at if at in inner else None, str(problem)) from None


def _read_rowwise(section: Section) -> Workload:
    return _named(section, of_task(_rowwise(section)))


def _rowwise(section: Section) -> Rowwise:
    inner = section.section("rowwise")
    sizes = {key: inner.take(key, int, minimum=1, maximum=LARGEST) for key in ("rows", "length")}
    operation = inner.take("operation", str)
    temperature = inner.take("temperature", float, default=0.0)
    drawn = {key: inner.take(key, int, default=0, minimum=0, maximum=most) for key, most in DRAWN.items()}
    inner.finish()
    for key in drawn:
        if key in inner and not temperature:
            raise inner.error(key, f"{key} must stand beside a temperature above 0, and there is none")
    try:
        return Rowwise(**sizes, operation=operation, temperature=temperature, **drawn)
    except ParamError as problem:
        at = problem.parameter or ""
        raise inner.error(at if at in inner else "operation", str(problem)) from None


def _read_tasks(section: Section) -> Workload:
    items = section.sections("tasks")
    if not 1 <= len(items) <= MOST_TASKS:
        raise section.error("tasks", f"tasks must list 1 to {MOST_TASKS} tasks, not {len(items)}")
    tasks = [_task(item) for item in items]
    try:
        workload = of_tasks(tasks)
    except ParamError as problem:
        raise section.error("tasks", str(problem)) from None
    return _named(section, workload)


def _task(section: Section) -> Task:
    readers: dict[str, Callable[[Section], Task]] = {
        "gemm": _gemm,
        "attention": _attention,
        "rowwise": _rowwise,
    }
    kind = kind_of(section, tuple(readers), "task")
    task = readers[kind](section)
    count = section.take("count", int, default=1, minimum=1, maximum=MOST_TIMES)
    name = section.take("name", str, default=kind)
    section.finish()
    return replace(task, name=name, count=count)


def _named(section: Section, workload: Workload) -> Workload:
    return replace(workload, name=section.take("name", str, default=workload.name))


def _read_model(section: Section) -> Workload:
    name = section.take("model", str)
    file = Path(section.source).parent / name
    is_file = file.suffix in (".yaml", ".yml")
    if is_file and not file.is_file():
        raise section.error("model", f"model file must exist, and there is none: {file}")
    try:
        model = load(file if is_file else name)
    except ParamError as problem:
        raise section.error("model", str(problem)) from None
    phase = section.take("phase", str, choices=PHASES)
    context = section.take("context", int, default=0, minimum=0, maximum=LARGEST)
    # A decode step is one token unless several sequences share it; a prompt has no natural length.
    if phase == "decode" and "tokens" not in section:
        tokens = 1
    else:
        tokens = section.take("tokens", int, minimum=1, maximum=LARGEST)
    longest = context + (tokens if phase == "prefill" else 0)
    if longest > model.context:
        key = "context" if context else "tokens"
        raise section.error(
            key, f"{key} must stay within the {model.context} positions of {model.name}, not {longest}"
        )
    section.take("name", str, default="")
    return of_model(model, phase, tokens, context)
