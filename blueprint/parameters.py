"""The base of every family's parameters: fields with limits, cross-checks between them, one design or many at once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

import numpy as np
import numpy.typing as npt

from blueprint.errors import ParamError, ParamTypeError
from blueprint.files.nearest import suggestion
from blueprint.numbers import VECTOR_BITS, Number
from blueprint.workloads.tasks import Attention, Gemm, Rowwise

#: What a parameter's annotation may be.
_KINDS = (int, str, bool)
_LIMITS: dict[type, dict[str, Parameter]] = {}


@dataclass(frozen=True)
class Parameter:
    """Limits and documentation of a parameter; ``doc`` is the sentence that users read.

    ``bounds`` names the size of a task that the parameter is an upper limit of, ``""`` where it is none. ``default`` is
    ``None`` where the parameter must be given. An ``added`` parameter is part of a design's hash only where it has
    another value than its default, so that older designs keep their hash.
    """

    kind: type
    doc: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    bounds: str = ""
    default: Any = None
    added: bool = False

    def allowed(self) -> str:
        """The legal values in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind is bool:
            return "true or false"
        if self.kind is float:
            return f"a number from {self.minimum:g} to {self.maximum:g}"
        return f"an integer from {self.minimum} to {self.maximum}"


@dataclass(frozen=True)
class Rule:
    """A cross-check: ``holds`` is a bool or an array over designs, ``message`` says what to do about one design."""

    parameter: str
    holds: Any
    reason: str
    message: Callable[[], str]


def fits_a_vector(parameter: str, stream: str, bits: Number) -> Rule:
    """The rule that a beat is no wider than a port can be."""
    what = f"more than {VECTOR_BITS} bits in a beat of {stream}"
    return Rule(
        parameter,
        bits <= VECTOR_BITS,
        what,
        lambda: (
            f"A beat of {stream} must be at most {VECTOR_BITS} bits, the widest port of Verilog, not {bits}"
        ),
    )


def parameter(doc: str, *, default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """A dataclass field that carries its :class:`Parameter`; the annotation gives the kind."""
    return dataclasses.field(default=default, metadata={"doc": doc, **limits})


@dataclass(frozen=True, kw_only=True)
class Parameters(ABC):
    """Parameters as fields, everything that follows from them as properties.

    Properties work the same on ``int`` fields (one design) and on array fields (:meth:`columns`, many designs). A
    design raises ``ParamError``, or ``TypeError`` for a wrong kind, where it cannot be built.
    """

    #: The family's name, which is also that of its folders.
    family: ClassVar[str]
    title: ClassVar[str]
    #: The kind of task that the family runs.
    task: ClassVar[type[Gemm] | type[Attention] | type[Rowwise]] = Gemm
    #: Names that parameters had in earlier versions, and their present names; a former name is refused.
    former_names: ClassVar[Mapping[str, str]] = {}

    def __new__(cls, *values: Any, **named: Any) -> Self:
        """Refuse a former name given as a keyword, with ``ParamError``; ``__init__`` does the rest."""
        for name in named:
            cls.check_name(name)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for name, limit in self.limits().items():
            _check(name, getattr(self, name), limit)
        for rule in self.rules():
            if not rule.holds:
                raise ParamError(rule.message(), parameter=rule.parameter)

    @classmethod
    def limits(cls) -> dict[str, Parameter]:
        """Limits of every parameter. Raises ``TypeError`` for a field that is none of int, str and bool."""
        if cls not in _LIMITS:
            _LIMITS[cls] = _read_limits(cls)
        return dict(_LIMITS[cls])

    @classmethod
    def check_name(cls, name: str) -> None:
        """Raise ``ParamError`` for the name of a parameter in an earlier version."""
        if name in cls.former_names:
            what = f"Parameter must be {cls.former_names[name]!r}, not {name!r}, its former name"
            raise ParamError(what, parameter=name)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Build a design from values by name.

        Raises ``ParamError`` for an unknown or a missing parameter, with the nearest valid name.
        """
        limits = cls.limits()
        for name in values:
            cls.check_name(name)
            if name not in limits:
                hint = suggestion(str(name), limits)
                what = f"Parameter must be one of {', '.join(limits)}, not {name!r}{hint}"
                raise ParamError(what, parameter=str(name))
        for field in dataclasses.fields(cls):
            if field.default is dataclasses.MISSING and field.name not in values:
                raise ParamError(f"Parameter {field.name!r} must be given: {limits[field.name].allowed()}")
        return cls(**values)

    @classmethod
    def columns(cls, table: Mapping[str, Any]) -> Self:
        """Many designs at once: the same object with arrays in its fields; nothing is checked, see :meth:`feasible`.

        Raises ``ParamError`` for a missing column.
        """
        many = object.__new__(cls)
        for field in dataclasses.fields(cls):
            value = table.get(field.name, field.default)
            if value is dataclasses.MISSING:
                raise ParamError(f"Parameter {field.name!r} must be given", parameter=field.name)
            object.__setattr__(many, field.name, value)
        return many

    def feasible(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64], tuple[str, ...]]:
        """Check which of many designs can be built.

        Returns a mask, a reason number per design (0 where feasible) and the text of each reason.
        """
        checks = self.checks()
        size = np.broadcast_shapes(*(np.shape(getattr(self, f.name)) for f in dataclasses.fields(self)))
        code = np.zeros(size, dtype=np.int64)
        for number, (holds, _) in reversed(list(enumerate(checks, start=1))):
            code = np.where(holds, code, number)
        return code == 0, code, ("", *(reason for _, reason in checks))

    def checks(self) -> list[tuple[Any, str]]:
        """What must hold of designs that can be built, and the reason where it does not, in order."""
        checks: list[tuple[Any, str]] = []
        for name, limit in self.limits().items():
            value = getattr(self, name)
            if limit.minimum is not None or limit.maximum is not None:
                low = -(2**62) if limit.minimum is None else limit.minimum
                high = 2**62 if limit.maximum is None else limit.maximum
                checks.append(((value >= low) & (value <= high), f"{name} must be {limit.allowed()}"))
        return checks + [(rule.holds, rule.reason) for rule in self.rules()]

    @property
    def parameters(self) -> dict[str, Any]:
        """Values of all parameters by name, defaults included."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    @property
    def hashed(self) -> dict[str, Any]:
        """The parameters that distinguish this design's hardware, by name."""
        limits = self.limits()
        plain = {
            name for name, limit in limits.items() if limit.added and getattr(self, name) == limit.default
        }
        return {name: value for name, value in self.parameters.items() if name not in plain}

    @property
    def design_hash(self) -> str:
        """16 hexadecimal digits that name this design: the same parameters give the same hash on every machine.

        A renamed parameter is hashed by its former name, and one that came later only where it is used, so that
        hardware keeps its hash.
        """
        former = {name: before for before, name in self.former_names.items()}
        values = {former.get(name, name): value for name, value in self.hashed.items()}
        text = json.dumps({"family": self.family, **values}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def bounds(cls) -> dict[str, str]:
        """The parameter that bounds a size of a task, by size: ``{"k": "k_max"}``."""
        return {limit.bounds: name for name, limit in cls.limits().items() if limit.bounds}

    def sized_for(self, task: Any) -> Self:
        """Resize the design to be just large enough for ``task``: parameters that bound a size become that size."""
        sizes = {parameter: task.sizes[size] for size, parameter in self.bounds().items()}
        return self.columns({**self.parameters, **sizes})

    # What a family says about its parameters ------------------------------------------------------------------------

    def rules(self) -> Iterator[Rule]:
        """Cross-checks between parameters, in the order in which they are reported."""
        return iter(())

    def task_rules(self, task: Any) -> Iterator[Rule]:
        """Cross-checks between the parameters and a task, beside those that :meth:`bounds` names."""
        return iter(())

    @property
    @abstractmethod
    def name(self) -> str:
        """The top module's name."""

    @property
    @abstractmethod
    def peak_macs(self) -> Number:
        """Multiply-accumulates per cycle without stalls, zero weights included."""

    @property
    def arithmetic(self) -> Any:
        """Name of the arithmetic of sums, one of those in the family's ``calibration``."""
        return "integer"

    @property
    def largest_weight(self) -> Number:
        """Largest magnitude of an integer weight of a product: 1 where weights are ternary, 0 without products."""
        return 0

    @property
    def integer_width(self) -> Number:
        """Bits of an integer activation of a product or of a query, 0 where they are floats."""
        return 0

    @property
    def works(self) -> tuple[str, ...]:
        """The work of a decoder (:data:`blueprint.workloads.tasks.WORKS`) that the design can run."""
        return self.task.works

    @property
    def gate_function(self) -> str:
        """The activation function of a gate, as models name it; empty if the design has no gate."""
        return ""

    @property
    def norm_epsilon(self) -> float:
        """The number that a norm adds to the mean of squares, 0 if the design computes no norm."""
        return 0.0

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations on rows that the design has, in the order of the bits that choose them."""
        return ()

    @property
    def element_width(self) -> Number:
        """Bits of an element of rows, or of queries, keys and values, 0 where the design has none."""
        return 0

    @property
    def head_dim(self) -> Number:
        """Elements of a head of attention, 0 without attention."""
        return 0

    @property
    def masked(self) -> Number:
        """1 where attention shows each query some of the keys alone, else 0."""
        return 0

    @property
    def cache_width(self) -> Number:
        """Bits of an element of the keys and values that attention reads, 0 without attention."""
        return 0

    @property
    def float_format(self) -> str:
        """The number format of rows, or of queries, keys and values; empty where these are integers or not there."""
        return ""

    @property
    def data_dependent(self) -> bool:
        """True if the cycles of a run depend on operand values."""
        return False


def _read_limits(cls: type[Parameters]) -> dict[str, Parameter]:
    hints = typing.get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        if kind not in _KINDS:
            shown = getattr(kind, "__name__", kind)
            raise TypeError(f"Parameter {field.name!r} must be annotated int, str or bool, not {shown}")
        default = None if field.default is dataclasses.MISSING else field.default
        found[field.name] = Parameter(kind, default=default, **field.metadata)
    return found


def _check(name: str, value: Any, limit: Parameter) -> None:
    must = f"Parameter {name!r} must be {limit.allowed()}, not"
    if isinstance(value, bool) != (limit.kind is bool) or not isinstance(value, limit.kind):
        raise ParamTypeError(f"{must} {value!r}", parameter=name)
    if limit.choices and value not in limit.choices:
        hint = suggestion(str(value), limit.choices)
        raise ParamError(f"{must} {value!r}{hint}", parameter=name)
    low, high, value = limit.minimum, limit.maximum, cast(Any, value)
    if (low is not None and value < low) or (high is not None and value > high):
        raise ParamError(f"{must} {value}", parameter=name)
