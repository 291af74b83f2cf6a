"""The public function on a spec made up here: it must work for anything that has a timing graph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from blueprint.port import Stream
from blueprint.timing import STALL_REASONS, TimingGraph
from blueprint.workloads.tasks import Gemm
from simulator import stall_patterns
from simulator.engine.kernel import run as run_of
from simulator.simulate import Deadlock, Run, simulate
from tests.simulator.graphs import tiled_gemm


class Toy:
    """One multiply-accumulate per cycle."""

    peak_macs = 1
    data_dependent = False

    def streams(self) -> tuple[Stream, ...]:
        return ()

    def too_shallow(self, workload: Gemm) -> str:
        return "queue must be deeper" if workload.m > 9 else ""

    def timing(self, workload: Gemm, operands: Any = None) -> TimingGraph:
        return tiled_gemm(workload.m, workload.n, workload.k, 1)

    def operands(self, workload: Gemm, seed: int) -> dict[str, Any]:
        random = np.random.default_rng(seed)
        return {
            "act": random.integers(-9, 9, (workload.m, workload.k)),
            "wgt": np.ones((workload.k, workload.n), int),
        }

    def reference(self, operands: dict[str, Any]) -> dict[str, Any]:
        return {"out": operands["act"] @ operands["wgt"]}


class Slow(Toy):
    """Every negative activation takes a cycle more, in every column."""

    data_dependent = True

    def timing(self, workload: Gemm, operands: Any = None) -> TimingGraph:
        graph = super().timing(workload)
        values = self.operands(workload, 0) if operands is None else operands
        cycles = np.tile(1 + (values["act"] < 0), (workload.n, 1, 1)).ravel()
        multiply = replace(graph.node("multiply"), durations=cycles)
        return replace(graph, nodes=tuple(multiply if n.name == "multiply" else n for n in graph.nodes))


def test_time_that_depends_on_data_is_that_of_the_operands() -> None:
    work, plain = Gemm(4, 6, 5), simulate(Toy(), Gemm(4, 6, 5)).cycles
    for seed in range(3):
        operands = Slow().operands(work, seed)
        negative = int((operands["act"] < 0).sum())
        run = simulate(Slow(), work, seed=seed)
        assert run.cycles - plain == 5 * negative == run.stalls["dependency"] + (operands["act"][-1, -1] < 0)
        assert simulate(Slow(), work, operands=operands, values=True).cycles == run.cycles
        assert not run.operands
    assert simulate(Slow(), work).cycles == run_of(Slow().timing(work)).cycles


def test_run_counts_cycles_stalls_and_work() -> None:
    run = simulate(Toy(), Gemm(4, 6, 5))
    assert run.cycles == 6 + 1 + 4 * 6 * 5 + 3
    assert tuple(run.stalls) == STALL_REASONS
    assert sum(run.stalls.values()) == 7
    assert run.macs == 120
    assert run.utilization == pytest.approx(120 / 130)
    assert run.source == "simulated"


def test_repeated_workload_takes_its_multiple() -> None:
    once, thrice = simulate(Toy(), Gemm(4, 6, 5)), simulate(Toy(), Gemm(4, 6, 5, count=3))
    assert (thrice.cycles, thrice.macs) == (3 * once.cycles, 3 * once.macs)
    assert thrice.utilization == once.utilization


def test_accepted_beats_are_complete_and_bound_the_cycles() -> None:
    run = simulate(
        Toy(),
        Gemm(4, 6, 5),
        accepted=True,
        patterns=stall_patterns.profile("random_50", Toy().timing(Gemm(4, 6, 5))),
    )
    assert {name: len(cycles) for name, cycles in run.accepted.items()} == {"act": 120, "wgt": 30, "out": 20}
    first = min(int(run.accepted[name][0]) for name in ("act", "wgt"))
    assert run.start == first
    assert run.cycles == int(run.accepted["out"][-1]) - first + 1


def test_values_come_from_the_seed_and_the_spec() -> None:
    one, same, other = (simulate(Toy(), Gemm(2, 3, 2), values=True, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.outputs["out"], one.operands["act"] @ one.operands["wgt"])
    assert np.array_equal(one.outputs["out"], same.outputs["out"])
    assert not np.array_equal(one.outputs["out"], other.outputs["out"])


def test_nothing_is_computed_or_kept_that_was_not_asked_for() -> None:
    run: Run = simulate(Toy(), Gemm(2, 3, 2))
    assert not run.accepted and not run.operands and not run.outputs


def test_sink_that_never_wakes_up_is_a_deadlock() -> None:
    text = r"'out' waits for stream 'out' to open$"
    with pytest.raises(Deadlock, match=text):
        simulate(Toy(), Gemm(4, 6, 5), patterns={"out": np.array([False])})


def test_stall_pattern_of_another_design_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Stall pattern must be for one of act, wgt, out, not 'query'$"):
        simulate(Toy(), Gemm(4, 6, 5), patterns={"query": np.array([True])})


def test_a_deadlock_of_a_shallow_fifo_says_what_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Deadlock, match="; queue must be deeper$") as stuck:
        simulate(Toy(), Gemm(10, 1, 1), patterns={"out": np.zeros(1, bool)})
    assert stuck.value.remedy == "queue must be deeper"
