"""Closing a period, groups of a buffer tree, wires of a timing graph and writes of a bench, each by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from blueprint import axi, registry
from blueprint.errors import ParamError
from blueprint.workloads.model import load
from blueprint.workloads.tasks import Gemm
from blueprint.workloads.workload import of_gemm, of_model, of_tasks
from costmodel.groundtruth import activity, buffering, closure, sizing, sta, synthesis
from costmodel.groundtruth.flatten import flatten
from costmodel.model.work import Asked, Dram, memory_text
from costmodel.technology import technology
from costmodel.technology.wire_loads import WireLoad
from tests import records
from tests.costmodel import tiny
from tests.costmodel.test_sta import CHAIN, cell, module
from tests.costmodel.test_synthesis import RIPPLE

# Closing a period ---------------------------------------------------------------------------------------------------


class Rungs:
    """A problem whose rungs have these areas before and after sizing, and these delays."""

    top, technology = "top", SimpleNamespace(name="made up")

    def __init__(self, *rungs: tuple[float, float, float]) -> None:
        self.rungs = {f"rung{place}": rung for place, rung in enumerate(rungs)}
        self.sized: list[str] = []

    def ladder(self) -> Iterator[Any]:
        for name in self.rungs:
            yield {name: {"ports": {}, "cells": {"one": {"type": "small", "connections": {}}}}}

    def area(self, netlists: Any) -> float:
        [(name, netlist)] = netlists.items()
        return self.rungs[name][1 if netlist["cells"]["one"]["type"] == "large" else 0]

    def graph(self, netlists: Any) -> str:
        return str(next(iter(netlists)))

    def size(self, graph: str, period_ps: float) -> Any:
        self.sized.append(graph)
        return SimpleNamespace(delay_ps=self.rungs[graph][2], changes={(graph, "one"): "large"})

    def time(self, netlists: Any) -> Any:
        return SimpleNamespace(path=tuple(f"{name} {n}" for name in netlists for n in "abcdef"))


@pytest.fixture
def close(monkeypatch: pytest.MonkeyPatch) -> Any:
    def closed(rungs: Rungs, period_ps: float) -> str:
        monkeypatch.setattr(closure, "_ladder", lambda problem: problem.ladder())
        monkeypatch.setattr(sizing, "size", rungs.size)
        problem: Any = rungs
        [(name, netlist)] = closure.close(problem, period_ps).items()
        assert netlist["cells"]["one"]["type"] == "large"
        return name

    return closed


def test_the_smallest_rung_that_meets_the_period_is_taken(close: Any) -> None:
    assert close(Rungs((10, 12, 300), (11, 14, 200), (9, 13, 190)), 200.0) == "rung2"
    assert close(Rungs((10, 12, 200), (11, 12, 100)), 200.0) == "rung0"
    assert close(Rungs((10, 12, 200.5), (11, 12, 100)), 200.0) == "rung1"


def test_a_rung_that_is_larger_before_sizing_is_not_sized(close: Any) -> None:
    rungs = Rungs((10, 12, 200), (12, 11, 100), (13, 9, 100), (11.5, 11.5, 100))
    assert close(rungs, 200.0) == "rung3" and rungs.sized == ["rung0", "rung3"]


@pytest.mark.parametrize(
    ("delays", "fastest", "rung"),
    [((300, 250, 260), 250, 1), ((250, 250, 250), 250, 0), ((300, 250, 250), 250, 1), ((240, 250.4), 240, 0)],
)
def test_a_period_that_none_meets_is_told_with_the_path_of_the_fastest(
    delays: tuple[float, ...], fastest: int, rung: int, close: Any
) -> None:
    """Of rungs of equal delay that is the first, which is the smallest."""
    with pytest.raises(ParamError) as caught:
        close(Rungs(*((10, 12, delay) for delay in delays)), 200.0)
    short = f"rung{rung} a > rung{rung} b > 2 cells > rung{rung} e > rung{rung} f"
    assert str(caught.value) == (
        f"Period must be at least {fastest} ps, the shortest that top reaches in made up, not 200; its path: {short}"
    )


def test_a_path_of_four_cells_is_told_whole() -> None:
    assert closure._short(("a", "b", "c", "d")) == ("a", "b", "c", "d")
    assert closure._short(tuple("abcde")) == ("a", "b", "1 cells", "d", "e")


class Styled:
    """A problem of one module or of several, whose slowest path has these delays by the styles of its modules."""

    top = "top"

    def __init__(self, delays: dict[str, float]) -> None:
        self.delays, self.tried = delays, []  # type: tuple[dict[str, float], list[str]]

    def buffered(self, styles: dict[str, str]) -> str:
        self.tried.append("+".join(styles[name] for name in sorted(styles)) or "area")
        return self.tried[-1]

    def time(self, netlists: str) -> Any:
        return SimpleNamespace(critical_path_ps=self.delays[netlists], path=())


@pytest.mark.parametrize(
    ("delays", "tried", "rungs"),
    [
        (
            {"area": 100, "prefix": 98.9, "gates": 97.9},
            ["area", "prefix", "gates"],
            ["area", "prefix", "gates"],
        ),
        ({"area": 100, "prefix": 99.0, "gates": 98.9}, ["area", "prefix", "gates"], ["area", "gates"]),
        ({"area": 100, "prefix": 99.5, "gates": 99.1}, ["area", "prefix", "gates"], ["area"]),
        ({"area": 100, "prefix": 98.0, "gates": 98.0}, ["area", "prefix", "gates"], ["area", "prefix"]),
    ],
)
def test_a_rung_is_one_percent_faster_than_the_one_below(
    delays: dict[str, float], tried: list[str], rungs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A style that makes a module no faster is passed over, the last one is not tried again."""
    problem: Any = Styled(delays)
    monkeypatch.setattr(closure, "_modules", lambda top, netlists, path: ["one"])
    assert list(closure._ladder(problem)) == rungs
    assert problem.tried == tried


def test_a_ladder_has_eight_steps_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step raises the one module that the slowest path goes through then."""
    problem: Any = Styled({})
    problem.delays = {
        "area": 100.0, **{"+".join(["prefix"] * n): 100.0 * 0.9**n for n in range(1, 20)},
    }  # fmt: skip
    monkeypatch.setattr(closure, "_modules", lambda top, netlists, path: [f"m{len(problem.tried):02}"])
    assert len(list(closure._ladder(problem))) == 9
    assert problem.tried[-1] == "+".join(["prefix"] * 8)


def test_area_counts_every_instance_of_a_module(tmp_path: Path) -> None:
    """Two inverters (1 um2) and a flip-flop (6) three times, a NAND (2) in the top; memories have no cell area."""
    leaf = module(
        {"a": ("input", [2])}, g=cell("INV", A=2, Y=3), h=cell("INV", A=3, Y=4), r=cell("DFFN", D=4)
    )
    middle = module({"a": ("input", [2])}, x={"type": "leaf", "connections": {"a": [2]}})
    twice = {f"m{n}": {"type": "middle", "connections": {"a": [2]}} for n in range(2)}
    top = module(
        {"a": ("input", [2])}, **twice, one={"type": "leaf", "connections": {"a": [2]}}, n=cell("NAND2", A=2),
        memory={"type": "sram_4x3", "connections": {}},
    )  # fmt: skip
    netlists = {"top": top, "middle": middle, "leaf": leaf}
    assert closure.instances("top", netlists) == {"top": 1, "middle": 2, "leaf": 3}
    problem = closure.Problem("top", tiny.technology(tmp_path), None, {}, lambda styles: netlists)
    assert problem.area(netlists) == 3 * (1 + 1 + 6) + 2


def test_a_path_goes_through_the_modules_of_its_cells() -> None:
    """Names of instances may hold dots; a step without a place, and what is in no module of ours, is none."""
    leaf = module({}, cell=cell("INV", A=2))
    middle = module({}, **{"in.ner": {"type": "leaf", "connections": {}}, "own": cell("INV", A=2)})
    top = module(
        {}, **{"sub": {"type": "middle", "connections": {}}, "a.b": {"type": "leaf", "connections": {}}}
    )
    netlists = {"top": top, "middle": middle, "leaf": leaf}
    path = {
        "INV sub.own Y": ["middle"],
        "INV sub.in.ner.cell Y": ["leaf"],
        "INV a.b.cell Y": ["leaf"],
        "INV mine Y": ["top"],
        "INV memory.cell Y": ["top"],
        "out 12": [],
    }
    for step, modules in path.items():
        assert closure._modules("top", netlists, (step,)) == modules, step
    assert closure._modules("top", netlists, tuple(path)) == ["middle", "leaf", "top"]
    assert [closure._next(style) for style in closure.STYLES] == ["prefix", "gates", "gates"]


# Trees and wires ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", [0.0, 0.25])
def test_readers_stand_in_the_group_in_which_the_middle_of_their_load_lies(wire: float) -> None:
    """The whole load, with the wire shared by fan-out, in as few equal parts as the limit allows."""
    wires = WireLoad("some", capacitance=wire, resistance=0.0, slope=1.0, lengths=((1, 1.0),))
    trees = buffering.Trees(technology.load("asap7"), wires)
    random = np.random.default_rng(5)
    for limit in (2.0, 3.0, 7.5, 1000.0):
        loads = random.choice([0.25, 0.5, 1.0], 40).tolist()
        fanouts = random.choice([1, 1, 2], 40).tolist()
        readers = [
            ((f"r{n}", "A", 0), load, fan) for n, (load, fan) in enumerate(zip(loads, fanouts, strict=True))
        ]
        whole = [load + wire * fan for load, fan in zip(loads, fanouts, strict=True)]
        each = sum(whole) / math.ceil(sum(whole) / limit)
        groups: dict[int, list[Any]] = {}
        for place, reader in enumerate(readers):
            middle = sum(whole[:place]) + whole[place] / 2
            groups.setdefault(math.ceil(middle / each), []).append(reader)
        assert buffering._groups(readers, limit, trees) == list(groups.values()), limit
        assert len(groups) == math.ceil(sum(whole) / limit)


def test_five_readers_of_one_fall_into_two_one_and_two() -> None:
    trees = buffering.Trees(technology.load("asap7"), None)
    readers = [((f"r{n}", "A", 0), 1.0, 1) for n in range(5)]
    assert [len(group) for group in buffering._groups(readers, 2.0, trees)] == [2, 1, 2]
    assert [len(group) for group in buffering._groups(readers[:1], 0.25, trees)] == [1]
    # The second of three lies in the middle of both parts, and stays in the first.
    assert [len(group) for group in buffering._groups(readers[:3], 1.5, trees)] == [2, 1]


WIRES = WireLoad("some", capacitance=0.5, resistance=0.0, slope=2.0, lengths=((1, 4.0), (2, 7.0)))


def test_a_path_is_slower_by_the_wires_of_its_nets(tmp_path: Path) -> None:
    """Every reader and every output counts as fan-out: one is 4 units long, two are 7, a unit has 0.5 fF (and ps)."""
    one, two = 4 * 0.5, 7 * 0.5
    timing = sta.analyze(
        "m", {"m": CHAIN}, tiny.technology(tmp_path), input_slew_ps=0, trees=False, wires=WIRES
    )
    assert timing.classes["register_to_register"] == pytest.approx(26 + one + 16 + one + 16 + one + 30)
    assert timing.classes["input_to_register"] == pytest.approx(10 + 0 + 1 + one + 30)
    assert timing.classes["register_to_output"] == pytest.approx(20 + 5 + 0 + one)
    shared = module(
        {"d": ("input", [3]), "y": ("output", [5])},
        a=cell("INV", A=3, Y=4), b=cell("INV", A=4, Y=5), c=cell("INV", A=4, Y=6),
    )  # fmt: skip
    timing = sta.analyze(
        "m", {"m": shared}, tiny.technology(tmp_path), input_slew_ps=0, trees=False, wires=WIRES
    )
    assert timing.classes["input_to_output"] == pytest.approx((10 + 2 + two) + (10 + 5 + one))


def test_a_net_has_the_fan_out_of_its_pins_and_outputs(tmp_path: Path) -> None:
    graph = sta.Graph(flatten("m", {"m": CHAIN}), tiny.technology(tmp_path), {}, False, WIRES)
    # Clock and data have two readers each; the output and three nets between cells have one.
    assert sorted(graph.fanout.tolist(), reverse=True)[:6] == [2, 2, 1, 1, 1, 1]
    assert sum(graph.fanout) == 8
    assert graph.wire[: len(graph.fanout)].tolist() == [[0.0, 2.0, 3.5][n] for n in graph.fanout]
    flat = flatten("m", {"m": CHAIN})
    loads = sta.wire_loads(flat, tiny.technology(tmp_path).cells, WIRES)
    assert loads.tolist() == graph.wire[: flat.nets].tolist()
    assert not sta.wire_loads(flat, tiny.technology(tmp_path).cells, None).any()


# The bench of switching ---------------------------------------------------------------------------------------------


class Ports:
    """A machine that notes what its ports are in every cycle, and is ready for a write in each third one."""

    counting = False

    def __init__(self) -> None:
        self.now: dict[str, int] = {}
        self.cycles: list[dict[str, int]] = []
        self.settled = False

    def put(self, name: str, value: int) -> None:
        self.now[name], self.settled = value, False

    def read(self, name: str) -> int:
        assert self.settled and name in {axi.lite("awready"), axi.lite("wready")}
        return len(self.cycles) % 3 == 2 or (len(self.cycles) % 3 == 1 and name == axi.lite("awready"))

    def settle(self) -> None:
        self.settled = True

    def clock(self) -> None:
        assert self.settled
        self.settled = False
        self.cycles.append(dict(self.now))


def test_a_bench_resets_writes_sizes_and_then_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four cycles of reset and one more; each write until both channels are ready, then three cycles without."""
    bench: Any = object.__new__(activity._Bench)
    bench.machine, bench.sizes = Ports(), {"k": 7, "n": 9}
    bench.manifest = {
        "reset": "aresetn",
        "registers": {"k": {"address": 16}, "n": {"address": 20}, "control": {"address": 0}},
    }
    monkeypatch.setattr(activity._Bench, "_stream", lambda self: 77)
    assert bench.run() == 77
    cycles = bench.machine.cycles
    assert [one["aresetn"] for one in cycles[:6]] == [0, 0, 0, 0, 1, 1]
    assert all(one["aresetn"] == 1 and one[axi.lite("bready")] == 1 for one in cycles[4:])
    valid = [one.get(axi.lite("awvalid"), 0) for one in cycles]
    assert valid == [one.get(axi.lite("wvalid"), 0) for one in cycles]
    # Both channels are ready in every third cycle, and three cycles pass between a write and the next.
    assert set(valid) == {0, 1}
    assert [place for place, high in enumerate(valid) if high] == [5, 9, 10, 11, 15, 16, 17]
    written = [
        (one[axi.lite("awaddr")], one[axi.lite("wdata")], one[axi.lite("wstrb")]) for one in cycles[5:]
    ]
    assert list(dict.fromkeys(written)) == [(16, 7, 15), (20, 9, 15), (0, 1, 15)]
    assert len(cycles) == 18
    assert (bench.machine.now[axi.lite("awvalid")], bench.machine.now[axi.lite("wvalid")]) == (0, 0)


# Work ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("phase", "tokens"), [("decode", 1), ("decode", 3), ("prefill", 7)])
def test_a_pass_of_a_model_serves_its_tokens_and_other_work_its_rows(phase: str, tokens: int) -> None:
    lut = registry.get("ternary_lut")
    work = of_model(load("tiny"), phase, tokens, 9 if phase == "decode" else 0)
    assert {task.tokens for task in work.tasks} == {tokens}
    assert Asked(work).main_pass(lut).tokens == tokens
    assert Asked(of_gemm(Gemm(5, 64, 64))).main_pass(lut).tokens == 5
    several = of_tasks([Gemm(2, 64, 64), Gemm(6, 64, 64), Gemm(3, 64, 64)])
    assert Asked(several).main_pass(lut).tokens == 6


def test_what_is_assumed_of_memory_is_said() -> None:
    assert memory_text(None) == "assumed unlimited: no dram is given, so memory takes no time and no energy"
    assert memory_text(Dram(51.25, 4.0, "x")) == "51.25 GB/s, 4 pJ per bit"
    assert Dram(1.0, 1.0, "x").kv_width == 8


# Records ------------------------------------------------------------------------------------------------------------


def test_records_of_costs_do_not_change(tmp_path: Path) -> None:
    """Of a netlist that is synthesized, sized to a period and looked at; but for drafts under way."""
    (tmp_path / "ripple.v").write_text(RIPPLE)
    found = synthesis.synthesize(tmp_path / "ripple.v", "asap7", top="ripple", period_ps=400.0)
    assert found.flip_flops == 12
    tiny.technology(tmp_path)
    drafts = {"Group", "Module", "_Draft", "_Net", "_Node", "_Port", "_Sum"}
    assert records.changeable("costmodel") == drafts
