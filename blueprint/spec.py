"""The interface of a design to the other rooms: parameters, and the functions of its family's facets.

A family writes no method of :class:`Spec`; it gives ``facets`` (see :mod:`blueprint.family`). What is written here is
the same for every family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar

import numpy as np

from blueprint.errors import ParamError
from blueprint.family import PROTOCOLS, Arrays, Facets
from blueprint.parameters import Parameters, Rule
from blueprint.port import Register, Stream
from blueprint.shell import RegisterFile, Size, SizeRule, refusal
from blueprint.timing import TimingGraph
from blueprint.unit import Path, Unit
from blueprint.workloads.tasks import Attention, Task
from blueprint.workloads.workload import Workload

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")
_Function = Callable[Concatenate[Any, _Arguments], _Answer]


def asks(of: Callable[[Facets[Any, Any]], _Function[_Arguments, _Answer]]) -> _Function[_Arguments, _Answer]:
    """Make a method of a facet's function, with the type and documentation of that function."""

    def method(self: Spec, /, *arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Answer:
        return of(self.facets)(self, *arguments, **named)

    documented: Any = of(PROTOCOLS)
    method.__name__, method.__doc__ = documented.__name__, documented.__doc__
    return method


@dataclass(frozen=True, kw_only=True)
class Spec(Parameters):
    """One design, or many (:meth:`Parameters.columns`), of any family.

    The methods that :func:`asks` makes are declared, with types and documentation, in :mod:`blueprint.family`.
    """

    facets: ClassVar[Facets[Any, Any]]

    # Ports
    operation = asks(lambda of: of.ports.operation)
    register_file = asks(lambda of: of.ports.register_file)
    register_values = asks(lambda of: of.ports.register_values)
    # Schedule
    cycles = asks(lambda of: of.schedule.cycles)
    cycles_of = asks(lambda of: of.schedule.cycles_of)
    occupied = asks(lambda of: of.schedule.occupied)
    dram_bits = asks(lambda of: of.schedule.traffic)
    exact_cycles = asks(lambda of: of.schedule.exact)
    # Golden
    reference = asks(lambda of: of.golden.reference)
    flags = asks(lambda of: of.golden.flags)
    constants = asks(lambda of: of.golden.constants)
    stimulus = asks(lambda of: of.golden.stimulus)
    collect = asks(lambda of: of.golden.collect)
    # Samples
    sample_workload = asks(lambda of: of.samples.task)
    operands = asks(lambda of: of.samples.operands)
    typical_workload = asks(lambda of: of.samples.typical_task)
    typical_operands = asks(lambda of: of.samples.typical_operands)

    @classmethod
    def sample(cls, random: np.random.Generator) -> Self:
        """A random design of the family that simulates and synthesizes in seconds."""
        return cls(**cls.facets.samples.design(random))

    @classmethod
    def consistent(cls, table: Mapping[str, Any]) -> dict[str, Any]:
        """Repair columns of independently drawn parameters so that they fit together."""
        return cls.facets.samples.consistent(table)

    @cached_property
    def _streams(self) -> tuple[Stream, ...]:
        return self.facets.ports.streams(self)

    def streams(self) -> tuple[Stream, ...]:
        """The AXI4-Stream ports."""
        return self._streams

    @cached_property
    def _units(self) -> tuple[Unit, ...]:
        return self.facets.inventory.units(self)

    def units(self) -> tuple[Unit, ...]:
        """The hardware inventory, shell included."""
        return self._units

    @cached_property
    def _paths(self) -> tuple[Path, ...]:
        return tuple(self.facets.inventory.paths(self))

    def paths(self) -> tuple[Path, ...]:
        """The candidates for the slowest path between two registers."""
        return self._paths

    def stream(self, name: str) -> Stream:
        """The AXI4-Stream port called ``name``. Raises ``KeyError``."""
        return {stream.name: stream for stream in self.streams()}[name]

    def timing(self, workload: Any, operands: Arrays | None = None) -> TimingGraph:
        """The timing graph of a run. Raises ``ParamError`` for a task that does not fit.

        Rows that a FIFO is too shallow for have one too: it deadlocks, which shows how deep that FIFO has to be.
        ``operands`` are those of the run; a family whose time depends on them takes ``self.operands(workload, 0)``
        where none are given, any other ignores them.
        """
        self.check_fits(workload)
        if self.data_dependent and operands is None:
            operands = self.operands(workload, 0)
        return self.facets.schedule.graph(self, workload, operands)

    def status(self, operands: Arrays) -> int:
        """Value of the register ``status`` after a run with these operands."""
        fields = next(register.fields for register in self.registers() if register.name == "status")
        bits = {"done": 1} | self.flags(operands)
        return sum(bit << fields[name][0] for name, bit in bits.items())

    # Registers -----------------------------------------------------------------------------------------------------

    @cached_property
    def _register_file(self) -> RegisterFile:
        return self.register_file()

    def registers(self) -> tuple[Register, ...]:
        """The AXI4-Lite register map."""
        return self._register_file.registers(self.design_hash)

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The size registers of one design, in the order of their addresses."""
        return self._register_file.present

    @property
    def size_rules(self) -> tuple[SizeRule, ...]:
        """The rules between sizes that one design checks."""
        return self._register_file.present_rules

    def refuses(self, values: Mapping[str, int]) -> str | None:
        """Reason why the hardware refuses to start with these size registers, else ``None``."""
        return self._register_file.refusal(values)

    # Tasks ---------------------------------------------------------------------------------------------------------

    @classmethod
    def check_task(cls, task: Task) -> None:
        """Check the kind of a task. Raises ``ParamError``."""
        if not isinstance(task, cls.task):
            what = f"Family {cls.family} runs {cls.task.kind}, not {task.kind} of {task.label}"
            raise ParamError(what, parameter="workload")

    @classmethod
    def tasks(cls, workload: Workload) -> tuple[Task, ...]:
        """Tasks of a workload that the family runs: all, or a model's attention. Raises ``ParamError``."""
        if cls.task is Attention and workload.model is not None:
            return workload.attention
        for task in workload.tasks:
            cls.check_task(task)
        return workload.tasks

    def capacity(self, tasks: Iterable[Task]) -> Iterator[Rule]:
        """Rules under which the design can run all tasks, and :meth:`cycles` is exact for them."""
        tasks = tuple(tasks)
        for size, name, limit in self._bounded(tasks[0]):
            most = max(task.sizes[size] for task in tasks)
            reason = f"{name} must be at least {most}, the workload's largest {size}"
            yield Rule(name, limit >= most, reason, lambda reason=reason: reason)  # type: ignore[misc]
        for task in tasks:
            yield from self.task_rules(task)
        yield from self.exact_cycles()

    def _bounded(self, task: Task) -> Iterator[tuple[str, str, Any]]:
        """(size, parameter that bounds it, its value) in the order of the task's sizes."""
        bounds = self.bounds()
        return ((size, bounds[size], getattr(self, bounds[size])) for size in task.sizes if size in bounds)

    def check_workload(self, workload: Any) -> None:
        """Check that a task fits the design and that the hardware accepts it. Raises ``ParamError``."""
        self.check_fits(workload)
        shallow = self.too_shallow(workload)
        if shallow:
            raise ParamError(shallow, parameter=shallow.split()[0])

    def too_shallow(self, workload: Any) -> str:
        """Name the FIFO that is too shallow for a task, and the depth that it needs; empty if none is."""
        values = self.register_values(workload)
        for rule in self.size_rules:
            if rule.depth and not rule.holds(values):
                depth = getattr(self, rule.depth)
                return (
                    f"{rule.depth} must be at least {depth + rule.excess(values)} for this workload, or 0 for full "
                    f"speed, not {depth}: the hardware refuses {rule.given(values)} with size_error, since {rule} "
                    "must hold"
                )
        return ""

    def check_fits(self, workload: Any) -> None:
        """The part of :meth:`check_workload` that does not depend on the depth of a FIFO. Raises ``ParamError``."""
        self.check_task(workload)
        for size, name, limit in self._bounded(workload):
            value = workload.sizes[size]
            if value > limit:
                what = f"{type(workload).__name__} {size} must be at most {name} {limit}, not {value}"
                raise ParamError(what, parameter=name)
        for rule in self.task_rules(workload):
            if not rule.holds:
                raise ParamError(rule.message(), parameter=rule.parameter)
        rules = [rule for rule in self.size_rules if not rule.depth]
        reason = refusal(self.sizes, rules, self.register_values(workload))
        if reason is not None:
            raise ParamError(reason, parameter="workload")
