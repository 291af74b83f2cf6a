"""What is asked of an accelerator."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blueprint.document import Section, read
from blueprint.errors import ParamError

if TYPE_CHECKING:
    from blueprint.model import Model

SCHEMA = "ternforge/workload/v1"
#: Largest m, k or n: beyond the largest vocabulary and context there are, and products still fit 64 bits.
LARGEST = 1 << 20
_GEMM = re.compile(r"([0-9]{1,9})x([0-9]{1,9})x([0-9]{1,9})\Z")


@dataclass(frozen=True)
class Gemm:
    """Matrix product: ``m`` tokens by ``k`` activations times a ``k`` by ``n`` ternary matrix; ``count`` times."""

    m: int
    k: int
    n: int
    name: str = "gemm"
    count: int = 1

    def __post_init__(self) -> None:
        for what in ("m", "k", "n", "count"):
            value: Any = getattr(self, what)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"Gemm {what} must be an integer, not {value!r}")
            if value < 1:
                raise ParamError(f"Gemm {what} must be at least 1, not {value}")

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all ``count`` repetitions."""
        return self.m * self.k * self.n * self.count


@dataclass(frozen=True)
class Workload:
    """Matrix products to run one after the other; ``model`` and the rest say where they come from, if from a model."""

    name: str
    gemms: tuple[Gemm, ...]
    model: Model | None = None
    phase: str | None = None
    tokens: int = 1
    context: int = 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all products."""
        return sum(gemm.macs for gemm in self.gemms)


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
    return Workload(f"{gemm.m}x{gemm.k}x{gemm.n}", (gemm,))


def of_model(model: Model, phase: str, tokens: int = 1, context: int = 0) -> Workload:
    """One forward pass of a model; see :func:`blueprint.model.layers`."""
    from blueprint.model import layers  # which lists products, so it imports this module

    return Workload(
        f"{model.name} {phase} {tokens}", layers(model, phase, tokens), model, phase, tokens, context
    )


def read_workload_file(path: str | Path) -> Workload:
    """The workload in a YAML file of schema ``ternforge/workload/v1``. Raises ``SpecError``."""
    section = read(path)
    section.take("schema", str, choices=(SCHEMA,))
    return read_workload(section)


def read_workload(section: Section) -> Workload:
    """The workload that a section of a file describes: ``gemm: {m, k, n}`` or ``model: NAME`` with ``phase``,
    ``tokens`` and ``context``. Raises ``SpecError``."""
    kinds = [key for key in ("gemm", "attention", "model") if key in section]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        raise section.error(
            kinds[-1] if kinds else None, f"workload must be one of gemm, attention, model, not {found}"
        )
    if kinds[0] == "attention":
        what = "workload must be gemm or model: no family of this version runs attention"
        raise section.error("attention", what)
    workload = _read_gemm(section) if kinds[0] == "gemm" else _read_model(section)
    section.finish()
    return workload


def _read_gemm(section: Section) -> Workload:
    inner = section.section("gemm")
    sizes = {key: inner.take(key, int, minimum=1, maximum=LARGEST) for key in ("m", "k", "n")}
    inner.finish()
    workload = of_gemm(Gemm(**sizes))
    name = section.take("name", str, default=workload.name)
    return Workload(name, workload.gemms)


def _read_model(section: Section) -> Workload:
    from blueprint.model import PHASES, load

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
