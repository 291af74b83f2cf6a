"""The parameter object of a design: every number of every view is decided here or derived from here."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

import numpy as np
import numpy.typing as npt

from blueprint.errors import ParamError
from blueprint.numbers import VECTOR_BITS, Number
from blueprint.port import Operation, Register, Stream
from blueprint.shell import Size, SizeRule, refusal
from blueprint.timing import TimingGraph
from blueprint.unit import Path, Unit
from blueprint.workloads.workload import Attention, Gemm, Task, Workload

Arrays = dict[str, npt.NDArray[np.int64]]
Beats = dict[str, npt.NDArray[np.uint8]]

#: Cycles of a typical run, and of one pass over its outputs.
_CYCLES = 320
_COLUMN_CYCLES = 40


@dataclass(frozen=True)
class Parameter:
    """What a parameter may be; ``doc`` is the sentence users read."""

    kind: type
    doc: str
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()

    def allowed(self) -> str:
        """The legal values in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind is bool:
            return "true or false"
        return f"an integer from {self.minimum} to {self.maximum}"


@dataclass(frozen=True)
class Rule:
    """A cross-check: ``holds`` is a bool or an array over designs, ``message`` says what to do about one design."""

    parameter: str
    holds: Any
    reason: str
    message: Callable[[], str]


def fits_a_vector(parameter: str, stream: str, bits: Number) -> Rule:
    """That a beat is no wider than a port can be."""
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


def refuse(
    name: str | None, message: str, kind: type[ValueError | TypeError] = ParamError
) -> ValueError | TypeError:
    """The error for one parameter; ``.parameter`` lets a file reader point at its line."""
    error = kind(message)
    error.parameter = name  # type: ignore[union-attr]
    return error


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Base of every family's parameters.

    A subclass declares its parameters as fields and everything else as properties and methods that work the same on
    ``int`` fields (one design) and on array fields (:meth:`columns`, many designs).
    """

    family: ClassVar[str]
    title: ClassVar[str]
    #: What the family runs.
    task: ClassVar[type[Gemm] | type[Attention]] = Gemm
    #: Every value of :attr:`arithmetic` that designs of the family have.
    arithmetics: ClassVar[tuple[str, ...]] = ("integer",)
    #: Random designs that a sample of the family is chosen from; fewer where counting the gates of one takes long.
    pool: ClassVar[int] = 16_000
    #: Two-input gate equivalents of a sampled design: small enough for a minute of synthesis.
    sample_gates: ClassVar[float] = 28_000.0
    #: Designs that calibration synthesizes unless told how many; fewer where each takes long and all are alike.
    samples: ClassVar[int] = 60
    #: Whether the time of a run depends on the values it computes with.
    data_dependent: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name, limit in self.limits().items():
            _check(name, getattr(self, name), limit)
        for rule in self.rules():
            if not rule.holds:
                raise refuse(rule.parameter, rule.message())

    @classmethod
    def limits(cls) -> dict[str, Parameter]:
        """Every parameter with what it may be."""
        kinds = {"int": int, "str": str, "bool": bool}
        return {f.name: Parameter(kinds[str(f.type)], **f.metadata) for f in dataclasses.fields(cls)}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """A spec from loose values.

        Raises ``ParamError`` for an unknown or a missing parameter, with the nearest valid name.
        """
        limits = cls.limits()
        for name in values:
            if name not in limits:
                near = difflib.get_close_matches(str(name), limits, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise refuse(str(name), f"Parameter must be one of {', '.join(limits)}, not {name!r}{hint}")
        for field in dataclasses.fields(cls):
            if field.default is dataclasses.MISSING and field.name not in values:
                raise refuse(None, f"Parameter {field.name!r} must be given: {limits[field.name].allowed()}")
        return cls(**values)

    @classmethod
    def columns(cls, table: Mapping[str, Any]) -> Self:
        """Many designs at once: the same object with arrays in its fields; nothing is checked, see :meth:`feasible`."""
        many = object.__new__(cls)
        for field in dataclasses.fields(cls):
            value = table.get(field.name, field.default)
            if value is dataclasses.MISSING:
                raise refuse(field.name, f"Parameter {field.name!r} must be given")
            object.__setattr__(many, field.name, value)
        return many

    @classmethod
    def consistent(cls, table: Mapping[str, Any]) -> dict[str, Any]:
        """Columns of parameters drawn one by one, those changed that only make sense with others."""
        return dict(table)

    def feasible(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64], tuple[str, ...]]:
        """Which of many designs can be built.

        Returns a mask, a reason number per design (0 where feasible) and the text of each reason.
        """
        checks: list[tuple[Any, str]] = []
        for name, limit in self.limits().items():
            value = getattr(self, name)
            if limit.minimum is not None or limit.maximum is not None:
                low = -(2**62) if limit.minimum is None else limit.minimum
                high = 2**62 if limit.maximum is None else limit.maximum
                checks.append(((value >= low) & (value <= high), f"{name} must be {limit.allowed()}"))
        checks += [(rule.holds, rule.reason) for rule in self.rules()]
        size = np.broadcast_shapes(*(np.shape(getattr(self, f.name)) for f in dataclasses.fields(self)))
        code = np.zeros(size, dtype=np.int64)
        for number, (holds, _) in reversed(list(enumerate(checks, start=1))):
            code = np.where(holds, code, number)
        return code == 0, code, ("", *(reason for _, reason in checks))

    @property
    def arithmetic(self) -> Any:
        """The name of what sums are; a sample of designs takes every kind equally often."""
        return "integer"

    @property
    def parameters(self) -> dict[str, Any]:
        """Every parameter with its value, defaults included."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    @property
    def design_hash(self) -> str:
        """16 hexadecimal digits that name this design: the same parameters give the same hash on every machine."""
        text = json.dumps({"family": self.family, **self.parameters}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def check_task(cls, task: Task) -> None:
        """Refuse the other kind of task. Raises ``ParamError``."""
        if not isinstance(task, cls.task):
            what = f"Family {cls.family} runs {cls.task.kind}, not {task.kind} of {task.label}"
            raise refuse("workload", what)

    @classmethod
    def tasks(cls, workload: Workload) -> tuple[Task, ...]:
        """What the family runs of a workload: everything, or a model's attention. Raises ``ParamError``."""
        if cls.task is Attention and workload.model is not None:
            from blueprint.workloads.model import attention

            return attention(workload.model, workload.phase or "", workload.tokens, workload.context)
        for task in workload.tasks:
            cls.check_task(task)
        return workload.tasks

    def capacity(self, tasks: Iterable[Task]) -> Iterator[Rule]:
        """That this design is large enough for every one of some tasks: its ``<size>_max``, where it has one."""
        every = [task.sizes for task in tasks]
        for size, sample in every[0].items():
            limit: Any = getattr(self, f"{size}_max", None)
            if limit is not None and not isinstance(sample, str):
                most = max(int(sizes[size]) for sizes in every)
                reason = f"{size}_max must be at least {most}, the workload's largest {size}"
                yield Rule(f"{size}_max", limit >= most, reason, lambda reason=reason: reason)  # type: ignore[misc]

    def check_workload(self, workload: Any) -> None:
        """Refuse a task larger than this design was made for. Raises ``ValueError``."""
        for rule in self.capacity((workload,)):
            if not rule.holds:
                raise refuse(rule.parameter, rule.message())
        self.check_sizes(workload)

    def check_sizes(self, workload: Any) -> None:
        """Refuse a task whose registers the hardware refuses. Raises ``ParamError``."""
        self._check_combinations(workload)
        values = self.register_values(workload)
        for rule in self.size_rules:
            if not rule.holds(values):
                raise refuse(rule.depth, self._too_shallow(rule, values))

    def _check_combinations(self, workload: Any) -> None:
        """The part of :meth:`check_sizes` that does not depend on the depth of a FIFO."""
        rules = [rule for rule in self.size_rules if not rule.depth]
        reason = refusal(self.sizes, rules, self.register_values(workload))
        if reason is not None:
            raise refuse("workload", reason)

    def _too_shallow(self, rule: SizeRule, values: Mapping[str, int]) -> str:
        depth = getattr(self, rule.depth)
        return (
            f"{rule.depth} must be at least {depth + rule.excess(values)} for this workload, or 0 for full speed, "
            f"not {depth}: the hardware refuses {rule.given(values)} with size_error, since {rule} must hold"
        )

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The size registers of one design, in the order of their addresses."""
        return tuple(size for size in self.every_size() if size.there)

    @property
    def size_rules(self) -> tuple[SizeRule, ...]:
        """Which sizes of one design run together."""
        return tuple(rule for rule in self.every_size_rule() if rule.there)

    def refuses(self, values: Mapping[str, int]) -> str | None:
        """Why the hardware does not start with these values in its size registers, ``None`` where it does."""
        return refusal(self.sizes, self.size_rules, values)

    def sized_for(self, workload: Any) -> Self:
        """This design made just large enough for ``workload``: the same parameters, every ``<size>_max`` lowered."""
        sizes = {f"{size}_max": value for size, value in workload.sizes.items()}
        return self.columns({**self.parameters, **sizes})

    def typical_workload(self) -> Any:
        """A task that keeps the design busy for some hundred cycles."""
        return typical_gemm(self)

    # What a family says about itself -------------------------------------------------------------------------------

    def rules(self) -> Iterator[Rule]:
        """Cross-checks between parameters, in the order in which they are reported."""
        return iter(())

    @property
    def name(self) -> str:
        """The top module's name."""
        raise NotImplementedError

    @property
    def peak_macs(self) -> Number:
        """Multiply-accumulates of the workload per cycle when nothing waits, left out as zeros or not."""
        raise NotImplementedError

    def operation(self) -> Operation:
        """What one run computes, in the names that the order of beats is told in."""
        raise NotImplementedError

    def streams(self) -> tuple[Stream, ...]:
        """The AXI4-Stream ports."""
        raise NotImplementedError

    def registers(self) -> tuple[Register, ...]:
        """The AXI4-Lite register map."""
        raise NotImplementedError

    def every_size(self) -> tuple[Size, ...]:
        """The size registers that designs of the family may have."""
        raise NotImplementedError

    def every_size_rule(self) -> tuple[SizeRule, ...]:
        """What designs of the family may demand of sizes together."""
        return ()

    def units(self) -> tuple[Unit, ...]:
        """The hardware inventory."""
        raise NotImplementedError

    def paths(self) -> tuple[Path, ...]:
        """The register-to-register paths that may be critical."""
        raise NotImplementedError

    def timing(self, workload: Any, operands: Arrays | None = None) -> TimingGraph:
        """When things happen.

        ``operands`` are those of the run; a family whose time does not depend on data ignores them, one whose time
        does takes ``self.operands(workload, 0)`` where none are given.
        """
        raise NotImplementedError

    def cycles(self, workload: Any) -> Number:
        """Cycles of one unstalled run, in closed form; of a family with data-dependent time those to expect."""
        raise NotImplementedError

    def cycles_of(self, workload: Any, operands: Arrays) -> int:
        """Cycles of one unstalled run on these operands, exact for every family."""
        return int(np.asarray(self.cycles(workload)))

    def dram_bits(self, workload: Any) -> dict[str, Number]:
        """Bits that cross the boundary in one run, by stream purpose."""
        raise NotImplementedError

    @classmethod
    def sample(cls, random: np.random.Generator) -> Self:
        """A random design, any choice of the family, small enough to be simulated and synthesized in seconds."""
        raise NotImplementedError

    def sample_workload(self, random: np.random.Generator) -> Any:
        """A random workload this design can run in a few hundred cycles, ragged edges and ones included."""
        raise NotImplementedError

    def operands(self, workload: Any, seed: int) -> Arrays:
        """Random inputs of the workload's shape, extremes included."""
        raise NotImplementedError

    def typical_operands(self, workload: Any, seed: int) -> Arrays:
        """Inputs as they occur in use, for switching: no extremes, nothing that poisons what comes after it."""
        return self.operands(workload, seed)

    def reference(self, operands: Arrays) -> Arrays:
        """The golden answer, bit-exact."""
        raise NotImplementedError

    def constants(self) -> dict[str, Any]:
        """Numbers of the arithmetic that the family's page names, for the manifest."""
        return {}

    def flags(self, operands: Arrays) -> dict[str, int]:
        """The status bits, by field, that say what a run's values did beside its answer: 1 where one is set."""
        return {}

    def status(self, operands: Arrays) -> int:
        """The word of the register ``status`` after a run with these operands."""
        fields = next(register.fields for register in self.registers() if register.name == "status")
        bits = {"done": 1} | self.flags(operands)
        return sum(bit << fields[name][0] for name, bit in bits.items())

    def stimulus(self, operands: Arrays) -> Beats:
        """The beats of every input stream: ``(beats, width / 8)`` bytes each."""
        raise NotImplementedError

    def collect(self, beats: Beats, workload: Any) -> Arrays:
        """The answer read back from the beats of the output streams."""
        raise NotImplementedError

    def register_values(self, workload: Any) -> dict[str, int]:
        """What software writes before it starts a run."""
        raise NotImplementedError


def typical_gemm(spec: Spec) -> Gemm:
    """A product that keeps a design busy for some hundred cycles: many outputs, then a long sum, then more tokens."""
    n = largest(lambda n: spec.cycles(Gemm(1, 1, n)), getattr(spec, "n_max", 1), _COLUMN_CYCLES)
    k = largest(lambda k: spec.cycles(Gemm(1, k, n)), getattr(spec, "k_max", 1), _CYCLES)
    m = largest(lambda m: spec.cycles(Gemm(m, k, n)), getattr(spec, "m_max", 1), _CYCLES)
    return Gemm(m, k, n)


def largest(cycles: Callable[[int], Any], most: int, limit: int) -> int:
    """The largest size up to ``most`` that takes at most ``limit`` cycles, at least 1; ``cycles`` never falls."""
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if cycles(middle) <= limit else (low, middle - 1)
    return low


def _check(name: str, value: Any, limit: Parameter) -> None:
    if isinstance(value, bool) != (limit.kind is bool) or not isinstance(value, limit.kind):
        raise refuse(name, f"Parameter {name!r} must be {limit.allowed()}, not {value!r}", TypeError)
    if limit.choices and value not in limit.choices:
        near = difflib.get_close_matches(str(value), limit.choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise refuse(name, f"Parameter {name!r} must be {limit.allowed()}, not {value!r}{hint}")
    low, high, value = limit.minimum, limit.maximum, cast(Any, value)
    if (low is not None and value < low) or (high is not None and value > high):
        raise refuse(name, f"Parameter {name!r} must be {limit.allowed()}, not {value}")
