"""The promise itself, for every family there is: values to the bit, cycles to the cycle, registers to the flip-flop.

Designs and workloads are random but seeded by their number, so a failure names what to run again. The suite takes
small ones that have every value of every parameter, `make test-all` all (:mod:`tests.conformance.drawn`).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.family import Calibration
from blueprint.registry import families
from blueprint.spec import Spec
from blueprint.unit import flip_flops
from blueprint.workloads.tasks import Task
from generator.export import write_hardware
from simulator.cosim import check as cosim
from simulator.rtl import rtl
from ternforge.conformance import compare, jobs, netlist_flip_flops_both_ways
from tests.conformance.drawn import FEWEST, FEWEST_OF_ALL, design, gates, numbers, values
from tests.volume import some

#: Designs by the bench users get, of the first arithmetic and of every other.
COSIMULATED, COSIMULATED_MORE = some(1, of=6), some(0, of=1)


def calibration(family: str) -> Calibration:
    return families()[family].facets.samples.calibration


#: The first designs of every family are checked in the fast suite already.
QUICK = max(8 // len(families()), 3)
FIRST = [(family, number) for family in families() for number in numbers(family)[:QUICK]]
REST = [(family, number) for family in families() for number in numbers(family)[QUICK:]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("designs")


def exported(folder: Path, family: str, number: int) -> tuple[Spec, Path]:
    spec = design(family, number)
    out = folder / f"{family}_{number}"
    if not out.exists():
        write_hardware(spec, out)
    return spec, out


@pytest.mark.slow
@pytest.mark.parametrize(("family", "number"), REST)
def test_golden_simulator_and_rtl_agree(folder: Path, family: str, number: int) -> None:
    check(folder, family, number)


@pytest.mark.parametrize(("family", "number"), FIRST)
def test_golden_simulator_and_rtl_agree_first(folder: Path, family: str, number: int) -> None:
    check(folder, family, number)


def check(folder: Path, family: str, number: int) -> None:
    """Values, cycles and flip-flops of one design: what takes time is to write its Verilog, once for all three."""
    spec, out = exported(folder, family, number)
    assert compare(spec, rtl.load(out, optimize="-O0"), number) == []
    assert netlist_flip_flops_both_ways(out) == (int(flip_flops(spec.units())),) * 2


@pytest.mark.slow
@pytest.mark.parametrize("family", families())
def test_both_engines_agree_cycle_by_cycle(folder: Path, family: str) -> None:
    spec, out = exported(folder, family, min(numbers(family), key=lambda number: gates(family, number)))
    todo = [job for *_, job in jobs(spec, 0)]
    runs = [rtl.load(out, engine, optimize="-O0").run_all(todo) for engine in ("cxxrtl", "verilator")]
    for one, other in zip(*runs, strict=True):
        assert one.registers == other.registers
        for stream in one.accepted:
            assert np.array_equal(one.accepted[stream], other.accepted[stream])
        for stream in one.data:
            assert np.array_equal(one.data[stream], other.data[stream])


def cosimulated(family: str) -> list[int]:
    """Designs that are also proved by the bench users get, the smallest first."""
    first, *_ = calibration(family).arithmetics
    by_kind: dict[str, list[int]] = {}
    for number in sorted(numbers(family), key=lambda number: gates(family, number)):
        by_kind.setdefault(design(family, number).arithmetic, []).append(number)
    most = {kind: COSIMULATED if kind == first else COSIMULATED_MORE for kind in by_kind}
    return [n for kind, found in by_kind.items() for n in found[: most[kind]]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "number"), [(family, number) for family in families() for number in cosimulated(family)]
)
def test_cocotb_on_verilator_agrees(folder: Path, family: str, number: int) -> None:
    spec, out = exported(folder, family, number)
    todo = cosim.cases(spec, 3, seed=number)
    report = cosim.check(spec, out, todo)
    assert report.failure is None
    assert len(report.outcomes) == 3 and report.ok


@pytest.mark.parametrize("family", families())
def test_every_family_has_designs_of_every_arithmetic_it_names(family: str) -> None:
    drawn = [design(family, number).arithmetic for number in numbers(family)]
    assert set(drawn) == set(calibration(family).arithmetics)
    assert len(drawn) >= FEWEST_OF_ALL and min(drawn.count(kind) for kind in set(drawn)) >= FEWEST
    assert len(cosimulated(family)) >= COSIMULATED


@pytest.mark.parametrize("family", families())
def test_fewer_designs_still_draw_every_value_of_every_parameter(family: str) -> None:
    """Of all values among 400 designs, none is only among those that are not checked."""
    drawn = [values(family, number) for number in range(400)]
    checked = [values(family, number) for number in numbers(family)]
    assert frozenset().union(*checked) >= frozenset().union(*drawn)


# Failing twins: the comparison above notices a wrong value, a wrong cycle and a wrong register. ---------------------


@pytest.mark.slow
def test_a_flipped_adder_is_noticed(tmp_path: Path) -> None:
    tables = (design("ternary_lut", number) for number in numbers("ternary_lut"))
    spec = next(spec for spec in tables if spec.arithmetic == "integer")
    write_hardware(spec, tmp_path)
    lane = next(tmp_path.glob("rtl/*_lane_*.v"))
    text = lane.read_text()
    sign = " ^ " if " ^ " in text else " + "
    broken = text.replace(sign, " | ")  # a first piece may add what has no carry
    assert broken != text
    lane.write_text(broken)
    assert any("out differs" in line for line in compare(spec, rtl.load(tmp_path, optimize="-O0"), 0))


def test_a_slot_too_many_in_the_timing_graph_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, out = exported(folder, "ternary_lut", numbers("ternary_lut")[1])
    true = type(spec).timing

    def deeper(self: Spec, workload: Task, operands: Any = None) -> Any:
        graph = true(self, workload, operands)
        channels = tuple(dataclasses.replace(c, capacity=c.capacity + 1) for c in graph.channels)
        return dataclasses.replace(graph, channels=channels)

    monkeypatch.setattr(type(spec), "timing", deeper)
    assert compare(spec, rtl.load(out, optimize="-O0"), 1) != []


def test_a_register_too_many_in_the_inventory_is_noticed(folder: Path) -> None:
    spec, out = exported(folder, "ternary_lut", numbers("ternary_lut")[0])
    units = (*spec.units(), *spec.units()[:1])
    assert int(flip_flops(units)) not in netlist_flip_flops_both_ways(out)
