"""The protocol of a family: parameters, and five facets that say everything else about its designs.

A family is a folder of short files that have the same names in every family::

    blueprint/families/<name>/
        parameters.py   a frozen dataclass that inherits ``Spec``: fields, rules, derived numbers
        ports.py        Ports: what crosses the boundary
        schedule.py     Schedule: when it does
        inventory.py    Inventory: what it is made of
        golden.py       Golden: what it computes, to the bit
        samples.py      Samples: random designs, tasks and operands, and how calibration draws them
        __init__.py     the assembly

A facet is a module whose functions are those of its protocol below. Each takes ``p``: one design, or columns of many
designs where every field is an array, so that formulas are written once for both. A facet imports ``parameters`` (and
modules of its family below that), the vocabulary and arithmetic of ``blueprint``, never another facet: what one has
to know of another it asks the design for, as in ``p.streams()``.

The assembly puts them together, and mypy checks every facet against its protocol there::

    @dataclass(frozen=True, kw_only=True)
    class NameSpec(NameParameters):
        facets: ClassVar[Facets[NameParameters, Gemm]] = Facets(ports, schedule, inventory, golden, samples)

A function that several families would write alike stands at the end of this file (or in ``blueprint.typical``, or
``blueprint.product``), and a facet gives it the name that is asked for: ``exact = always_exact``.

:class:`blueprint.spec.Spec` makes methods of the functions: ``spec.units()`` is ``inventory.units(spec)``.
``blueprint/registry.py`` finds the folder and refuses one that lacks something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from blueprint.numbers import Number
from blueprint.parameters import Parameters, Rule
from blueprint.port import Operation, Stream
from blueprint.shell import RegisterFile
from blueprint.timing import TimingGraph
from blueprint.unit import Path, Unit
from blueprint.workloads.data import EVEN, Data
from blueprint.workloads.tasks import Attention, Gemm, Rowwise

#: Operands and results by name.
Arrays = dict[str, npt.NDArray[np.int64]]
#: Beats by stream: ``(beats, width / 8)`` bytes each.
Beats = dict[str, npt.NDArray[np.uint8]]

#: Purposes of traffic whose data lie in external memory when a design is a unit of a system: weights, and the cache.
WEIGHTS, CACHE = "weights", ("keys", "values", "codes")
STORED = (WEIGHTS, *CACHE)

P = TypeVar("P", bound=Parameters, contravariant=True)  # the family's parameters
T = TypeVar("T", bound=Gemm | Attention | Rowwise, contravariant=True)  # the tasks that the family runs
Made = TypeVar("Made", bound=Gemm | Attention | Rowwise)  # the same tasks, in protocols that also return them


class Ports(Protocol[P, T]):
    """Boundary of a design: streams and registers."""

    def operation(self, p: P, /) -> Operation:
        """The operation of one run, in the names used by the order of beats."""

    def streams(self, p: P, /) -> tuple[Stream, ...]:
        """The AXI4-Stream ports: fields at their offsets, and the order of beats."""

    def register_file(self, p: P, /) -> RegisterFile:
        """Size registers with the rules between them, status flags and stall counters."""

    def register_values(self, p: P, task: T, /) -> dict[str, int]:
        """Values that software writes to the size registers before a run, by name of the register."""


class Schedule(Protocol[P, T]):
    """Schedule of a run, and its traffic."""

    def graph(self, p: P, task: T, operands: Arrays | None, /) -> TimingGraph:
        """The timing graph of a run; ``operands`` are given where ``p.data_dependent``."""

    def cycles(self, p: P, task: T, /) -> Number:
        """Cycles of one unstalled run in closed form; an estimate where ``p.data_dependent``."""

    def cycles_of(self, p: P, task: T, operands: Arrays, /) -> int:
        """Exact cycles of one unstalled run on these operands."""

    def exact(self, p: P, /) -> Iterator[Rule]:
        """Rules under which :meth:`cycles` is exact; empty if it always is."""

    def occupied(self, p: P, task: T, /) -> Number:
        """Cycles of one unstalled run in which registers take operands, those of ragged edges included."""

    def traffic(self, p: P, task: T, /) -> dict[str, Number]:
        """Bits that cross the boundary in one run, by purpose: :data:`STORED` come from external memory in a system."""


class Inventory(Protocol[P]):
    """Bill of materials and timing paths of a design."""

    def units(self, p: P, /) -> tuple[Unit, ...]:
        """The hardware inventory, shell included."""

    def paths(self, p: P, /) -> tuple[Path, ...]:
        """The register-to-register paths that may be critical."""


class Golden(Protocol[P, T]):
    """Golden model of a design, and the packing of its data into beats."""

    def reference(self, p: P, operands: Arrays, /) -> Arrays:
        """The golden model: result of a run, bit for bit."""

    def flags(self, p: P, operands: Arrays, /) -> dict[str, int]:
        """The status flags after a run, by name: 1 where one is set."""

    def constants(self, p: P, /) -> dict[str, Any]:
        """Constants of the arithmetic that the family's page names, for the manifest."""

    def stimulus(self, p: P, operands: Arrays, /) -> Beats:
        """The beats of every input stream."""

    def collect(self, p: P, beats: Beats, task: T, /) -> Arrays:
        """Unpack the beats of the output streams into the result of a run."""


class Samples(Protocol[P, Made]):
    """Random designs, tasks and operands; the same generator state gives the same."""

    @property
    def calibration(self) -> Calibration:
        """Designs for calibration: kinds, number and size."""

    def design(self, random: np.random.Generator, /) -> Mapping[str, Any]:
        """Parameters of a random design, any choice of the family, small enough to be synthesized in seconds."""

    def consistent(self, table: Mapping[str, Any], /) -> dict[str, Any]:
        """Repair columns of independently drawn parameters so that they fit together."""

    def task(self, p: P, random: np.random.Generator, /) -> Made:
        """A random task that the design runs in a few hundred cycles, ragged edges and ones included."""

    def operands(self, p: P, task: Made, seed: int, /) -> Arrays:
        """Random inputs of the task's shape, extremes included."""

    def typical_task(self, p: P, /) -> Made:
        """A task that keeps the design busy for some hundred cycles."""

    def typical_operands(self, p: P, task: Made, seed: int, data: Data = EVEN, /) -> Arrays:
        """Inputs of these statistics, for toggle counting: no extremes, no NaN or infinity."""


@dataclass(frozen=True)
class Calibration:
    """Policy of calibration for a family: kinds, number and size of the designs.

    ``arithmetics`` is every value of ``Spec.arithmetic``; a sample has each equally often. A sample is chosen from
    ``pool`` random designs, fewer where counting the gates of one takes long; each has at most ``gates`` two-input
    gate equivalents, for a minute of synthesis. ``designs`` are synthesized unless told how many, fewer where each
    takes long and all are alike. ``choices`` narrows the choices of a parameter: the sample stays what it was when a
    new choice adds no place that has to be fitted. ``most`` lowers the maximum of a parameter in the same way.
    """

    arithmetics: tuple[str, ...] = ("integer",)
    pool: int = 16_000
    gates: float = 28_000.0
    designs: int = 30
    choices: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Facets(Generic[P, Made]):
    """The facets of one family, each a module of its folder."""

    ports: Ports[P, Made]
    schedule: Schedule[P, Made]
    inventory: Inventory[P]
    golden: Golden[P, Made]
    samples: Samples[P, Made]


#: The protocol of each facet, by the facet's name.
PROTOCOLS: Any = SimpleNamespace(
    ports=Ports, schedule=Schedule, inventory=Inventory, golden=Golden, samples=Samples
)
#: What the facets are called, and their modules.
FACETS = tuple(vars(PROTOCOLS))


def lacking(facets: Facets[Any, Any]) -> dict[str, list[str]]:
    """Functions of its protocol that each facet lacks; complete facets are left out."""
    absent = {}
    for facet in FACETS:
        asked = [name for name in vars(getattr(PROTOCOLS, facet)) if not name.startswith("_")]
        absent[facet] = [name for name in asked if not hasattr(getattr(facets, facet), name)]
    return {facet: names for facet, names in absent.items() if names}


def for_all_values(cycles: Callable[[P, T], Number]) -> Callable[[P, T, Arrays], int]:
    """``Schedule.cycles_of`` of a family whose time never depends on values: that of its ``cycles``."""

    def cycles_of(p: P, task: T, operands: Arrays) -> int:
        return cycles(p, task)

    return cycles_of


def always_exact(p: Parameters) -> Iterator[Rule]:
    """``Schedule.exact`` of a family whose closed form holds for every design that is not data-dependent."""
    return iter(())


def no_flags(p: Parameters, operands: Arrays) -> dict[str, int]:
    """``Golden.flags`` of a family whose designs have no status flags but those of every design."""
    return {}


def no_constants(p: Parameters) -> dict[str, Any]:
    """``Golden.constants`` of a family whose page names none."""
    return {}
