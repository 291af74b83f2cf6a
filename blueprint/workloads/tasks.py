"""Tasks: what one run computes, a matrix product, an attention, or elementwise operations on rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from blueprint.errors import ParamError
from blueprint.words import LARGEST as LARGEST
from blueprint.words import SEED_MOST, TOP_MOST

MASKS = ("none", "causal", "window", "lambda")
#: Work of a whole decoder: ternary products of a token and of a prompt, attention, the LM head, elementwise operations
#: (norms, gates, residuals, quantization), rotary positions with the quantization of keys and values, and the choice of
#: a token.
WORKS = ("product", "prefill", "attention", "head", "elements", "positions", "sampling")
#: Default for the most tokens in a run of a design, from a counter of 16 bits.
MANY_TOKENS = (1 << 16) - 1
_GEMM = re.compile(r"([0-9]+)x([0-9]+)x([0-9]+)\Z")


@dataclass(frozen=True)
class Gemm:
    """Matrix product: ``m`` tokens by ``k`` activations times a ``k`` by ``n`` ternary matrix; ``count`` times."""

    m: int
    k: int
    n: int
    name: str = "gemm"
    count: int = 1
    kind: ClassVar[str] = "gemm"
    #: The part of a model that these tasks are, as a prefix of a metric's name and in words.
    part: ClassVar[str] = "ternary"
    part_words: ClassVar[str] = "the model's ternary products and the traffic of its key and value cache"
    #: The work of a decoder (:data:`WORKS`) that consists of such tasks.
    works: ClassVar[tuple[str, ...]] = ("product", "prefill", "head")

    def __post_init__(self) -> None:
        for what in ("m", "k", "n", "count"):
            _check_integer(self, what)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all ``count`` repetitions."""
        return self.m * self.k * self.n * self.count

    @property
    def sizes(self) -> dict[str, int | str]:
        """Sizes of the product, by name."""
        return {"m": self.m, "k": self.k, "n": self.n}

    @property
    def tokens(self) -> int:
        """Rows of the result."""
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
    works: ClassVar[tuple[str, ...]] = ("attention",)

    def __post_init__(self) -> None:
        for what in ("queries", "keys", "heads", "kv_heads", "dim", "count"):
            _check_integer(self, what)
        if self.mask not in MASKS:
            raise ParamError(
                f"Attention mask must be one of {', '.join(MASKS)}, not {self.mask!r}", parameter="mask"
            )
        for what, users in (("window", ("window", "lambda")), ("sinks", ("lambda",))):
            _check_integer(self, what, minimum=int(what == "window" and self.mask in users))
            if getattr(self, what) and self.mask not in users:
                given = getattr(self, what)
                raise ParamError(
                    f"Attention {what} must be 0 for mask {self.mask}, not {given}", parameter=what
                )
        if self.heads % self.kv_heads:
            what = f"Attention kv_heads must divide the {self.heads} heads, not be {self.kv_heads}"
            raise ParamError(what, parameter="kv_heads")
        if self.mask != "none" and self.keys < self.queries:
            what = f"Attention keys must be at least the {self.queries} queries for mask {self.mask}, not {self.keys}"
            raise ParamError(what, parameter="keys")

    def visible(self, query: Any) -> Any:
        """Keys that query ``query`` (counted from 0; a number or an array) sees."""
        if self.mask == "none":
            return query * 0 + self.keys
        up_to = self.keys - self.queries + 1 + query
        return up_to if self.mask == "causal" else np.minimum(up_to, self.window + self.sinks)

    @property
    def pairs(self) -> int:
        """Number of visible query-key pairs of one head."""
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
        """Sizes of the attention, by name."""
        names = ("queries", "keys", "heads", "kv_heads", "dim", "mask", "window", "sinks")
        return {name: getattr(self, name) for name in names}

    @property
    def tokens(self) -> int:
        """Rows of the result."""
        return self.queries

    @property
    def label(self) -> str:
        """The sizes in short: ``1x4096 causal, 20/5 heads of 128``."""
        masked = "" if self.mask == "none" else f" {self.mask}"
        return f"{self.queries}x{self.keys}{masked}, {self.heads}/{self.kv_heads} heads of {self.dim}"


#: Elementwise operations in the order in which a run applies them.
OPERATIONS = ("dequantize", "gate", "add", "rotate", "norm", "quantize", "dot")
#: Least and largest temperature; 0 is the largest score itself.
TEMPERATURES = (0.01, 100.0)
#: What the noise of a run follows from beside the numbers of its rows, with the largest value.
NOISE = {"seed": SEED_MOST, "position": LARGEST - 1}
#: What stands beside a temperature, with the largest value.
DRAWN = {**NOISE, "top_k": TOP_MOST}
#: Name of a run without any of these operations.
COPY = "copy"


@dataclass(frozen=True)
class Rowwise:
    """Operations on each of ``rows`` rows of ``length`` elements, ``count`` times.

    ``operation`` is the names of :data:`OPERATIONS` that are applied, in their order and joined by ``+``, or ``copy``:
    integer sums become numbers by two scales (``dequantize``), a nonlinear function of elements times a second operand
    (``gate``), sum with a second operand (``add``), rotation of neighbors by the angles of a second operand
    (``rotate``), RMSNorm with a gain (``norm``), INT8 by the largest magnitude of a row (``quantize``), and instead of
    the last two the dot product of every row with the gains, and which row has the largest (``dot``). With a
    ``temperature`` above 0 a row is drawn instead, with the softmax of ``dot / temperature`` as its probability, by
    noise that follows from ``seed``, ``position`` and the number of the row; with ``top_k`` above 0 only among so many
    rows with the largest dot products, the first of equals.
    Raises ``TypeError`` and ``ParamError``.
    """

    rows: int
    length: int
    operation: str = COPY
    name: str = "rowwise"
    count: int = 1
    temperature: float = 0.0
    seed: int = 0
    position: int = 0
    top_k: int = 0
    kind: ClassVar[str] = "rowwise"
    part: ClassVar[str] = "rowwise"
    part_words: ClassVar[str] = "the model's norms, gates, sums and quantization"
    works: ClassVar[tuple[str, ...]] = ("elements",)

    def __post_init__(self) -> None:
        for what in ("rows", "length", "count"):
            _check_integer(self, what)
        for what, most in DRAWN.items():
            _check_integer(self, what, minimum=0)
            if getattr(self, what) > most:
                raise ParamError(
                    f"Rowwise {what} must be at most {most}, not {getattr(self, what)}", parameter=what
                )
        if not isinstance(self.operation, str):
            raise TypeError(f"Rowwise operation must be text, not {self.operation!r}")
        self._check_temperature()
        if self.operation == COPY:
            return
        named = self.operation.split("+")
        if [name for name in OPERATIONS if name in named] != named:
            what = f"Rowwise operation must be {COPY} or some of {', '.join(OPERATIONS)}, in this order and joined by +"
            raise ParamError(f"{what}, not {self.operation!r}", parameter="operation")
        if "dot" in named and {"norm", "quantize"} & set(named):
            what = "Rowwise operation must not have norm or quantize beside dot"
            raise ParamError(f"{what}, as in {self.operation}", parameter="operation")
        if "rotate" in named and self.length % 2:
            raise ParamError(
                f"Rowwise length must be even to rotate pairs, not {self.length}", parameter="length"
            )

    def _check_temperature(self) -> None:
        given = self.temperature
        check_temperature("Rowwise temperature", given)
        if given and not self.does("dot"):
            raise ParamError(
                f"Rowwise temperature must be 0 without dot, not {given:g}", parameter="temperature"
            )
        for what in DRAWN:
            if getattr(self, what) and not given:
                raise ParamError(
                    f"Rowwise {what} must be 0 without a temperature, not {getattr(self, what)}",
                    parameter=what,
                )

    def does(self, operation: str) -> bool:
        """True if the run applies an operation."""
        return operation in self.operation.split("+")

    @property
    def macs(self) -> int:
        """Elements of all ``count`` repetitions; an element passes once, whatever is done with it."""
        return self.rows * self.length * self.count

    @property
    def sizes(self) -> dict[str, Any]:
        """Sizes of the run, by name."""
        drawn = {"temperature": self.temperature, "seed": self.seed, "position": self.position}
        found: dict[str, Any] = {"rows": self.rows, "length": self.length, "operation": self.operation}
        few = {"top_k": self.top_k} if self.top_k else {}
        return found | (drawn if self.temperature else {}) | few

    @property
    def tokens(self) -> int:
        """Rows of the result."""
        return self.rows

    @property
    def label(self) -> str:
        """The sizes in short: ``1x2560 norm+quantize``."""
        return f"{self.rows}x{self.length} {self.operation}"


Task = Gemm | Attention | Rowwise
#: Every kind of task that a model is made of.
TASKS = (Gemm, Attention)


def check_temperature(what: str, given: Any) -> None:
    """Check a temperature. Raises ``TypeError`` and ``ParamError``."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise TypeError(f"{what} must be a number, not {given!r}")
    least, most = TEMPERATURES
    if given != 0 and not least <= given <= most:
        raise ParamError(
            f"{what} must be 0 or from {least:g} to {most:g}, not {given:.15g}", parameter="temperature"
        )


def _check_integer(task: Task, what: str, minimum: int = 1) -> None:
    value: Any = getattr(task, what)
    kind = type(task).__name__
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{kind} {what} must be an integer, not {value!r}")
    if value < minimum:
        raise ParamError(f"{kind} {what} must be at least {minimum}, not {value}", parameter=what)


def parse_gemm(text: str) -> Gemm:
    """The product written ``MxKxN``, as in ``1x2560x6912``. Raises ``ParamError``."""
    match = _GEMM.match(text.strip().lower())
    if match is None:
        raise ParamError(f"Gemm must be three sizes MxKxN as in 1x2560x6912, not {text[:60]!r}")
    sizes = dict(zip("mkn", match.groups(), strict=True))
    for name, size in sizes.items():
        if len(size.lstrip("0")) > 9 or not 1 <= int(size) <= LARGEST:
            raise ParamError(f"Gemm {name} must be from 1 to {LARGEST}, not {size[:60]}")
    m, k, n = map(int, sizes.values())
    return Gemm(m, k, n)
