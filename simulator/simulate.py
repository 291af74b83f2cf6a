"""One run of a design on a workload: cycles, stalls, utilization, and values on request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from blueprint.port import Stream
from blueprint.timing import Ints, TimingGraph
from simulator.engine.kernel import Deadlock, Timeline, run
from simulator.stall_patterns import Pattern, of_run

__all__ = ["Deadlock", "Design", "Run", "simulate"]

Arrays = dict[str, npt.NDArray[Any]]


class Task(Protocol):
    """The interface of a workload that the simulator needs."""

    @property
    def macs(self) -> int: ...


class Design(Protocol):
    """The interface of a spec that the simulator needs, for any family and kind of workload."""

    @property
    def peak_macs(self) -> Any: ...

    @property
    def data_dependent(self) -> bool: ...

    def streams(self) -> tuple[Stream, ...]: ...

    def too_shallow(self, workload: Any) -> str: ...

    def timing(self, workload: Any, operands: Any = None) -> TimingGraph: ...

    def operands(self, workload: Any, seed: int) -> Arrays: ...

    def reference(self, operands: Any) -> Arrays: ...


@dataclass(frozen=True)
class Run:
    """Timing of one run.

    ``cycles`` from the first input beat accepted to the last output beat accepted, both inclusive. ``stalls``: cycles
    in which the issue node did not fire, by reason. ``utilization``: multiply-accumulates as a share of the most that
    ``cycles`` allow. ``accepted``: acceptance cycles of each stream's beats, ``start`` being the first of them.
    ``operands`` and ``outputs``: values, where asked for. All for ``repeats`` runs of the workload together, except
    ``accepted`` and the values, which belong to the first.
    """

    cycles: int
    stalls: Mapping[str, int]
    macs: int
    utilization: float
    start: int = 0
    repeats: int = 1
    accepted: Mapping[str, Ints] = field(default_factory=dict, repr=False)
    operands: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict, repr=False)
    outputs: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict, repr=False)
    source: str = "simulated"


def simulate(
    spec: Design,
    workload: Any,
    *,
    patterns: Mapping[str, Pattern] | None = None,
    values: bool = False,
    accepted: bool = False,
    seed: int = 0,
    operands: Arrays | None = None,
) -> Run:
    """Simulate ``spec`` on ``workload`` to the cycle.

    ``patterns``: when a stream may move (:mod:`simulator.stall_patterns`). ``values`` adds operands and what the design
    computes from them; ``accepted`` adds the acceptance cycle of every beat. Operands, which the time of some
    families depends on too, are ``operands`` or else random ones made from ``seed``.

    Raises :class:`Deadlock` if a FIFO is too shallow, with the depth that is enough, or the stall patterns never let
    it end; and whatever the spec raises for a workload that it cannot run.
    """
    if operands is None:
        operands = spec.operands(workload, seed) if values or spec.data_dependent else {}
    graph = spec.timing(workload, operands or None)
    ports = {node.name: node.stream for node in graph.nodes if node.stream is not None}
    asked = of_run(patterns or {}, graph, spec.streams())
    try:
        timeline = run(graph, asked, record=ports if accepted else ())
    except Deadlock as stuck:
        raise Deadlock(stuck.cycle, stuck.waits, spec.too_shallow(workload)) from None
    return Run(
        accepted={ports[name]: cycles for name, cycles in timeline.fired.items()},
        operands=operands if values else {},
        outputs=spec.reference(operands) if values else {},
        start=timeline.start,
        **_totals(spec, workload, timeline),
    )


def _totals(spec: Design, workload: Any, timeline: Timeline) -> dict[str, Any]:
    repeats = int(getattr(workload, "count", 1))
    cycles = timeline.cycles * repeats
    return {
        "cycles": cycles,
        "stalls": {reason: number * repeats for reason, number in timeline.stalls.items()},
        "macs": workload.macs,
        "utilization": workload.macs / (cycles * int(np.asarray(spec.peak_macs))),
        "repeats": repeats,
    }
