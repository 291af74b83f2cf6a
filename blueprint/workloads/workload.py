"""What is asked of an accelerator."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from blueprint.errors import ParamError
from blueprint.files.document import Section, read

if TYPE_CHECKING:
    from blueprint.workloads.model import Model

SCHEMA = "ternforge/workload/v1"
MASKS = ("none", "causal", "window", "lambda")
#: Largest m, k or n: beyond the largest vocabulary and context there are, and products still fit 64 bits.
LARGEST = 1 << 20
#: Largest number of heads and largest size of one, for the same reason.
MOST_HEADS = LARGEST_DIM = 1024
_GEMM = re.compile(r"([0-9]{1,9})x([0-9]{1,9})x([0-9]{1,9})\Z")


@dataclass(frozen=True)
class Gemm:
    """Matrix product: ``m`` tokens by ``k`` activations times a ``k`` by ``n`` ternary matrix; ``count`` times."""

    m: int
    k: int
    n: int
    name: str = "gemm"
    count: int = 1
    kind: ClassVar[str] = "gemm"
    #: What these tasks of a model are, as a prefix of a metric's name and in words.
    part: ClassVar[str] = "ternary"
    part_words: ClassVar[str] = "the model's ternary products and the traffic of its key and value cache"

    def __post_init__(self) -> None:
        for what in ("m", "k", "n", "count"):
            _check_integer(self, what)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all ``count`` repetitions."""
        return self.m * self.k * self.n * self.count

    @property
    def sizes(self) -> dict[str, int | str]:
        """What tells one product from another, by name."""
        return {"m": self.m, "k": self.k, "n": self.n}

    @property
    def tokens(self) -> int:
        """Rows of the answer."""
        return self.m

    @property
    def label(self) -> str:
        """The sizes in short: ``1x2560x6912``."""
        return f"{self.m}x{self.k}x{self.n}"


@dataclass(frozen=True)
class Attention:
    """Softmax attention of ``heads`` query heads of size ``dim``, ``heads / kv_heads`` to a key head; ``count`` times.

    Query ``i`` stands at position ``keys - queries + i``. Mask ``causal`` shows it the keys up to its own position,
    ``window`` the last ``window`` of those, ``lambda`` the last ``window`` and the first ``sinks``.
    Raises ``TypeError`` and ``ParamError``.
    """

    queries: int
    keys: int
    heads: int = 1
    kv_heads: int = 1
    dim: int = 64
    mask: str = "none"
    window: int = 0
    sinks: int = 0
    name: str = "attention"
    count: int = 1
    kind: ClassVar[str] = "attention"
    part: ClassVar[str] = "attention"
    part_words: ClassVar[str] = "the model's attention"

    def __post_init__(self) -> None:
        for what in ("queries", "keys", "heads", "kv_heads", "dim", "count"):
            _check_integer(self, what)
        if self.mask not in MASKS:
            raise _refused("mask", f"Attention mask must be one of {', '.join(MASKS)}, not {self.mask!r}")
        for what, users in (("window", ("window", "lambda")), ("sinks", ("lambda",))):
            _check_integer(self, what, minimum=int(what == "window" and self.mask in users))
            if getattr(self, what) and self.mask not in users:
                given = getattr(self, what)
                raise _refused(what, f"Attention {what} must be 0 for mask {self.mask}, not {given}")
        if self.heads % self.kv_heads:
            what = f"Attention kv_heads must divide the {self.heads} heads, not be {self.kv_heads}"
            raise _refused("kv_heads", what)
        if self.mask != "none" and self.keys < self.queries:
            what = f"Attention keys must be at least the {self.queries} queries for mask {self.mask}, not {self.keys}"
            raise _refused("keys", what)

    def visible(self, query: Any) -> Any:
        """Keys that query ``query`` (counted from 0; a number or an array) sees."""
        if self.mask == "none":
            return query * 0 + self.keys
        up_to = self.keys - self.queries + 1 + query
        return up_to if self.mask == "causal" else np.minimum(up_to, self.window + self.sinks)

    @property
    def pairs(self) -> int:
        """Pairs of a query and a key it sees, of one head."""
        if self.mask == "none":
            return self.queries * self.keys
        first, most = self.keys - self.queries + 1, self.keys
        if self.mask != "causal":
            most = min(most, self.window + self.sinks)
        rising = max(most - first + 1, 0)  # rows that see one key more than the row before
        return (first + most) * rising // 2 + (self.queries - rising) * most

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all ``count`` repetitions: ``dim`` for the score and for the value of every pair."""
        return 2 * self.dim * self.heads * self.pairs * self.count

    @property
    def sizes(self) -> dict[str, int | str]:
        """What tells one attention from another, by name."""
        names = ("queries", "keys", "heads", "kv_heads", "dim", "mask", "window", "sinks")
        return {name: getattr(self, name) for name in names}

    @property
    def tokens(self) -> int:
        """Rows of the answer."""
        return self.queries

    @property
    def label(self) -> str:
        """The sizes in short: ``1x4096 causal, 20/5 heads of 128``."""
        masked = "" if self.mask == "none" else f" {self.mask}"
        return f"{self.queries}x{self.keys}{masked}, {self.heads}/{self.kv_heads} heads of {self.dim}"


Task = Gemm | Attention
#: Every kind of task.
TASKS = (Gemm, Attention)


def _check_integer(task: Task, what: str, minimum: int = 1) -> None:
    value: Any = getattr(task, what)
    kind = type(task).__name__
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{kind} {what} must be an integer, not {value!r}")
    if value < minimum:
        raise _refused(what, f"{kind} {what} must be at least {minimum}, not {value}")


def _refused(what: str, message: str) -> ParamError:
    """The error for one size; ``.parameter`` lets a file reader point at its line."""
    error = ParamError(message)
    error.parameter = what  # type: ignore[attr-defined]
    return error


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
    def macs(self) -> int:
        """Multiply-accumulates of all tasks."""
        return sum(task.macs for task in self.tasks)


def parse_gemm(text: str) -> Gemm:
    """The product written ``MxKxN``, as in ``1x2560x6912``. Raises ``ParamError``."""
    match = _GEMM.match(text.strip().lower())
    if match is None:
        raise ParamError(f"Gemm must be three sizes MxKxN as in 1x2560x6912, not {text[:60]!r}")
    m, k, n = map(int, match.groups())
    for name, size in (("m", m), ("k", k), ("n", n)):
        if not 1 <= size <= LARGEST:
            raise ParamError(f"Gemm {name} must be from 1 to {LARGEST}, not {size}")
    return Gemm(m, k, n)


def of_gemm(gemm: Gemm) -> Workload:
    """The workload of one product."""
    return of_task(gemm)


def of_task(task: Task) -> Workload:
    """The workload of one task."""
    return Workload(task.label, (task,))


def of_model(model: Model, phase: str, tokens: int = 1, context: int = 0) -> Workload:
    """One forward pass of a model; see :func:`blueprint.workloads.model.layers`."""
    from blueprint.workloads.model import layers  # which lists products, so it imports this module

    return Workload(
        f"{model.name} {phase} {tokens}", layers(model, phase, tokens), model, phase, tokens, context
    )


def read_workload_file(path: str | Path) -> Workload:
    """The workload in a YAML file of schema ``ternforge/workload/v1``. Raises ``SpecError``."""
    section = read(path)
    section.check_schema(SCHEMA)
    return read_workload(section)


def read_workload(section: Section) -> Workload:
    """The workload that a section of a file describes: ``gemm: {m, k, n}``, ``attention: {queries, keys, ...}`` (or
    ``seq`` for both), or ``model: NAME`` with ``phase``, ``tokens`` and ``context``. Raises ``SpecError``."""
    readers = {"gemm": _read_gemm, "attention": _read_attention, "model": _read_model}
    workload = readers[kind_of(section)](section)
    section.finish()
    return workload


def workload_content(workload: Workload, section: Section) -> dict[str, Any]:
    """What a file says of a workload that was read from ``section``, every default filled in.

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
    (task,) = workload.tasks
    return {"name": workload.name, task.kind: dict(task.sizes)}


def kind_of(section: Section) -> str:
    """The key that says what kind of workload a section holds. Raises ``SpecError``."""
    kinds = [key for key in ("gemm", "attention", "model") if key in section]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        what = f"workload must be one of gemm, attention, model, not {found}"
        raise section.error(kinds[-1] if kinds else None, what)
    return kinds[0]


def _read_gemm(section: Section) -> Workload:
    inner = section.section("gemm")
    sizes = {key: inner.take(key, int, minimum=1, maximum=LARGEST) for key in ("m", "k", "n")}
    inner.finish()
    return _named(section, of_gemm(Gemm(**sizes)))


def _read_attention(section: Section) -> Workload:
    inner = section.section("attention")
    sizes: dict[str, Any] = {}
    for key in ("seq", "queries", "keys"):
        if key != "seq" and ("seq" in inner) == (key in inner):
            if "seq" not in inner:
                inner.take(key, int)  # which says that it is missing
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
        return _named(section, of_task(Attention(**sizes)))
    except ParamError as problem:
        at = str(getattr(problem, "parameter", ""))
        raise inner.error(at if at in inner else None, str(problem)) from None


def _named(section: Section, workload: Workload) -> Workload:
    return replace(workload, name=section.take("name", str, default=workload.name))


def _read_model(section: Section) -> Workload:
    from blueprint.workloads.model import PHASES, load

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
