"""A design space: designs, objectives, workload and constraints."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.errors import ParamError
from blueprint.files.nearest import suggestion
from dse.axis import CLOCK, Axis
from dse.searches import methods
from dse.subject import Subject

#: Indices are 64-bit integers; a space beyond this is refused.
LARGEST_SPACE = 1 << 62
#: An exhaustive search of more designs would not end in a day.
LARGEST_EXHAUSTIVE = 20_000_000_000
#: Another search keeps every point, and of more they would not fit a disk.
LARGEST_BUDGET = 200_000_000
#: An exhaustive search of more designs keeps its front and a sample of about this many points, not all of them.
MOST_KEPT, SAMPLED = 1_000_000, 50_000

Indices = npt.NDArray[np.int64]
Columns = dict[str, Any]


@dataclass(frozen=True)
class Search:
    """Search of a space: a method of :mod:`dse.searches.methods`, the most evaluations, and a seed.

    ``options`` are the method's hyperparameters; those that are missing have their defaults.
    """

    method: str = methods.AUTO
    budget: int = 1_000_000
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """The search as written in a file."""
        return {"method": self.method, "budget": self.budget, "seed": self.seed, **self.options}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Search:
        """The search that :meth:`content` wrote."""
        rest = {name: value for name, value in content.items() if name not in ("method", "budget", "seed")}
        return cls(content["method"], content["budget"], content["seed"], rest)


@dataclass(frozen=True)
class Limit:
    """One side of a constraint: a metric must be at least ``bound`` (``sign`` 1) or at most (-1)."""

    metric: str
    bound: float
    sign: int

    @property
    def text(self) -> str:
        """The reason given to a design beyond it."""
        return f"{self.metric} must be at {'least' if self.sign > 0 else 'most'} {self.bound:g}"

    def excess(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Relative excess of values over the limit; at most 0 if they satisfy it."""
        return self.sign * (self.bound - values) / (abs(self.bound) or 1.0)


@dataclass(frozen=True)
class Constraint:
    """A limit on one metric; ``None`` is no limit on that side."""

    metric: str
    minimum: float | None = None
    maximum: float | None = None

    def content(self) -> dict[str, float]:
        """The constraint as written in a file."""
        sides = {"min": self.minimum, "max": self.maximum}
        return {key: bound for key, bound in sides.items() if bound is not None}

    def limits(self) -> tuple[Limit, ...]:
        """Its sides, the lower one first."""
        sides = ((self.minimum, 1), (self.maximum, -1))
        return tuple(Limit(self.metric, bound, sign) for bound, sign in sides if bound is not None)


@dataclass(frozen=True)
class SubSpace:
    """The designs of one family, or of one system: the product of its axes, the last one varying fastest."""

    family: str
    axes: tuple[Axis, ...]
    start: int = 0

    @property
    def size(self) -> int:
        return prod(len(axis.values) for axis in self.axes)

    def codes(self, local: Indices) -> Indices:
        """Position on every axis, ``(designs, axes)``, of indices that count from the start of this sub-space."""
        codes = np.empty((len(local), len(self.axes)), dtype=np.int64)
        for place in range(len(self.axes) - 1, -1, -1):
            local, codes[:, place] = np.divmod(local, len(self.axes[place].values))
        return codes

    def indices(self, codes: Indices) -> Indices:
        """The inverse of :meth:`codes`."""
        local = np.zeros(len(codes), dtype=np.int64)
        for place, axis in enumerate(self.axes):
            local = local * len(axis.values) + codes[:, place]
        return local

    def columns(self, local: Indices) -> Columns:
        """Parameter columns, and that of the clock asked for; a constant of the space stays one plain value."""
        codes = self.codes(local)
        return {
            axis.name: axis.values[0] if len(axis.values) == 1 else axis.array()[codes[:, place]]
            for place, axis in enumerate(self.axes)
        }

    @property
    def parameter_axes(self) -> tuple[Axis, ...]:
        """Axes that are parameters of its designs: all but the clock."""
        return tuple(axis for axis in self.axes if axis.name != CLOCK)

    def parameters(self, local: int) -> dict[str, Any]:
        """The parameters of one design as plain values."""
        codes = self.codes(np.array([local]))[0]
        values = {axis.name: axis.values[code] for axis, code in zip(self.axes, codes, strict=True)}
        values.pop(CLOCK, None)
        return values


@dataclass(frozen=True)
class Space:
    """Everything a space file says, resolved; designs are numbered ``0 .. size - 1`` through all families in turn.

    ``subject`` is what the designs are, and what is asked of them.
    """

    name: str
    subspaces: tuple[SubSpace, ...]
    subject: Subject
    technology: str
    objectives: Mapping[str, str]
    constraints: tuple[Constraint, ...] = ()
    search: Search = field(default_factory=Search)
    text: str = field(default="", repr=False, compare=False)

    @cached_property
    def size(self) -> int:
        """Number of designs, buildable or not."""
        return sum(sub.size for sub in self.subspaces)

    @property
    def groups(self) -> tuple[str, ...]:
        """The families, or the systems, that its designs are of."""
        return tuple(sub.family for sub in self.subspaces)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics that its designs have."""
        return tuple(self.subject.metrics(self.clock is not None))

    @property
    def method(self) -> str:
        """The search method: exhaustive where the budget allows it; else ``auto`` is the default of a budget."""
        if self.search.method == methods.PRUNED:
            return methods.PRUNED
        if self.search.method == methods.EXHAUSTIVE or self.size <= self.search.budget:
            return methods.EXHAUSTIVE
        return methods.DEFAULT if self.search.method == methods.AUTO else self.search.method

    @property
    def options(self) -> Mapping[str, Any]:
        """The hyperparameters of the search method."""
        return {} if self.method == methods.EXHAUSTIVE else self.search.options

    def searched(
        self, *, method: str | None = None, budget: int | None = None, seed: int | None = None
    ) -> Space:
        """The same space searched differently. Raises ``ParamError`` for a search that cannot be."""
        now = self.search
        name = now.method if method is None else method
        try:
            options = methods.resolved(name, now.options if name == now.method else {})
        except ParamError as problem:
            text = str(problem)
            raise ParamError(text[0].upper() + text[1:]) from None
        methods.ready(name)
        budget, seed = now.budget if budget is None else budget, now.seed if seed is None else seed
        search = Search(name, budget, seed, options)
        if not 1 <= search.budget <= LARGEST_BUDGET:
            raise ParamError(f"Budget must be from 1 to {LARGEST_BUDGET}, not {search.budget}")
        if not 0 <= search.seed < 2**63:
            raise ParamError(f"Seed must be from 0 to 2**63 - 1, not {search.seed}")
        if search.method in methods.WHOLE and self.size > LARGEST_EXHAUSTIVE:
            size = f"{float(self.size):.3g}"
            raise ParamError(
                f"Method must be one that keeps a budget for a space of {size} designs, not {name!r}"
            )
        return dataclasses.replace(self, search=search)

    @property
    def exact(self) -> bool:
        """True if the search sees every design, so that its front is the front."""
        return self.method in methods.WHOLE

    @property
    def pruned(self) -> bool:
        """True if the search leaves out designs that are certainly not on the front."""
        return self.method == methods.PRUNED

    @property
    def share(self) -> float:
        """The share of the points that a search of it keeps."""
        if self.pruned:
            return SAMPLED / max(self.size, MOST_KEPT)
        return SAMPLED / self.size if self.exact and self.size > MOST_KEPT else 1.0

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Parameters of all families, each once."""
        return tuple(dict.fromkeys(axis.name for sub in self.subspaces for axis in sub.parameter_axes))

    @property
    def clock(self) -> Axis | None:
        """The clocks that it asks for; ``None`` if every design runs at its highest."""
        return next((axis for axis in self.subspaces[0].axes if axis.name == CLOCK), None)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The sides of all constraints; last the clock asked for, which every design has to reach."""
        asked = () if self.clock is None else (Limit("clock_margin", 1.0, 1),)
        return (*(limit for constraint in self.constraints for limit in constraint.limits()), *asked)

    def parts(self, indices: Indices) -> Iterator[tuple[SubSpace, npt.NDArray[np.bool_], Indices]]:
        """Each sub-space that occurs, which of the indices are its own, and those counted from its start."""
        for sub in self.subspaces:
            mine = (indices >= sub.start) & (indices < sub.start + sub.size)
            if mine.any():
                yield sub, mine, indices[mine] - sub.start

    def columns(self, indices: Indices) -> dict[str, npt.NDArray[Any]]:
        """``family`` and every parameter of many designs; a parameter that a design does not have is ``None``.

        The clock asked for is among the metrics.
        """
        indices = np.asarray(indices, dtype=np.int64)
        self._check(indices)
        several = len(self.subspaces) > 1
        table: dict[str, npt.NDArray[Any]] = {"family": np.empty(len(indices), dtype=object)}
        for sub, mine, local in self.parts(indices):
            table["family"][mine] = sub.family
            for name, values in sub.columns(local).items():
                if name == CLOCK:
                    continue
                array = np.broadcast_to(np.asarray(values), mine.sum())
                if name not in table:
                    table[name] = np.empty(len(indices), dtype=object if several else array.dtype)
                table[name][mine] = array
        return table

    def design(self, index: int) -> tuple[str, dict[str, Any]]:
        """Family and parameters of one design. Raises ``IndexError`` outside the space."""
        self._check(np.array([index]))
        for sub in self.subspaces:
            if index < sub.start + sub.size:
                return sub.family, sub.parameters(index - sub.start)
        raise AssertionError("an index inside the space belongs to a sub-space")

    def point_id(self, index: int) -> str:
        """The name of a design in this space, ``p000123``: its index, so it never changes."""
        return f"p{index:0{max(6, len(str(self.size - 1)))}d}"

    def index_of(self, point: str) -> int:
        """The index behind a point's name. Raises ``ParamError`` where it is none of this space."""
        found = re.fullmatch("p([0-9]{1,40})", point)
        if found and int(found[1]) < self.size:
            return int(found[1])
        first, last = self.point_id(0), self.point_id(self.size - 1)
        hint = suggestion(point, ["knee"])
        raise ParamError(f"Point must be knee or one of {first} to {last}, not {point[:60]!r}{hint}")

    def violation(self, metrics: Mapping[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
        """Constraint violation: the sum of the relative excesses, 0 if feasible."""
        total = np.zeros(len(next(iter(metrics.values()))))
        for limit in self.limits:
            total += np.maximum(limit.excess(metrics[limit.metric]), 0.0)
        return total

    def content(self) -> dict[str, Any]:
        """The resolved space as plain values: what a study is bound to."""
        plain: dict[str, Any] = {
            "families": {
                s.family: {a.name: list(a.values) for a in s.parameter_axes} for s in self.subspaces
            },
            **({"clock_mhz": list(self.clock.values)} if self.clock else {}),
            **self.subject.content(),
            "technology": self.technology,
            "objectives": dict(self.objectives),
            "constraints": [dataclasses.asdict(c) for c in self.constraints],
            "search": self.search.content(),
        }
        loaded: dict[str, Any] = json.loads(json.dumps(plain))
        return loaded

    @property
    def content_hash(self) -> str:
        """SHA-256 of :meth:`content`."""
        return hashlib.sha256(json.dumps(self.content(), sort_keys=True).encode()).hexdigest()

    def _check(self, indices: Indices) -> None:
        if len(indices) and (indices.min() < 0 or indices.max() >= self.size):
            raise IndexError(
                f"Index must be from 0 to {self.size - 1}, not {indices.min()} to {indices.max()}"
            )
