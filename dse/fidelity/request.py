"""A request to a level about one design; picklable, for a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from blueprint import registry
from blueprint.spec import Spec
from dse.space import Space


@dataclass(frozen=True)
class Request:
    """A design to measure: its index in a space, the best metrics known of it, and its cycles by task if simulated."""

    function: str
    space: Space
    point: int
    known: Mapping[str, float]
    cycles: Mapping[str, int] = field(default_factory=dict)

    @property
    def spec(self) -> Spec:
        """The design. Raises ``ParamError`` for one that cannot be built."""
        family, parameters = self.space.design(self.point)
        return registry.get(family).from_mapping(parameters)

    @property
    def clock_mhz(self) -> float | None:
        """The clock that the space asks of it; ``None`` where it runs at its highest."""
        return None if self.space.clock is None else self.known["clock_mhz"]


@dataclass(frozen=True)
class Measured:
    """A level's answer: the metrics that it measures, and cycles by task where it simulates."""

    metrics: Mapping[str, float]
    cycles: Mapping[str, int] = field(default_factory=dict)
