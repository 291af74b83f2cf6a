"""Delays and glitches: by hand, against Icarus Verilog, and in the energy of whole designs."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.families.streaming_attention import StreamingAttentionSpec
from blueprint.families.systolic import SystolicSpec
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.spec import Spec
from blueprint.workloads.tasks import Gemm
from costmodel.groundtruth import activity, waves
from costmodel.groundtruth.flatten import flatten, owners
from costmodel.groundtruth.recipe import LEAST
from costmodel.groundtruth.synthesis import Mapped, mapped
from costmodel.technology import function, technology
from generator.export import write_hardware
from tests.costmodel.icarus import Bench

AND, BUFFER, INVERTER, XOR = 0b1000, 0b10, 0b01, 0b0110


def gates(
    rows: Sequence[tuple[int, Sequence[int], int, Any]], nets: int, sources: dict[int, int]
) -> waves.Gates:
    """Gates by hand: (truth table, input nets, output net, delays by pin); sources by net with their time."""
    pins = [len(inputs) for _, inputs, _, _ in rows]
    return waves.Gates(
        np.cumsum([0, *pins]),
        np.array([net for _, inputs, _, _ in rows for net in inputs]),
        np.array([delay for _, _, _, delays in rows for delay in delays]),
        np.array([out for _, _, out, _ in rows]),
        tuple(table for table, _, _, _ in rows),
        np.array(list(sources)),
        np.array([(time, time) for time in sources.values()]),
        np.arange(nets),
    )


def toggles(netlist: waves.Gates, before: Sequence[int], after: Sequence[int]) -> list[int]:
    """Toggles of every net in one transition."""
    counted = waves.count(
        netlist, *(np.array([row], np.uint8) for row in (before, after)), np.ones(len(before))
    )
    assert counted.energies.tolist() == [sum(counted.toggles)]
    return list(counted.toggles)


# Nets: 0 and 1 constants, 2 input, 3 its inverse, 4 the product of both.
@pytest.mark.parametrize(
    ("slow", "rise", "passes"), [(50, 30, True), (30, 50, False), (30, 30, True), (30, 31, False)]
)
def test_a_pulse_passes_if_it_is_as_long_as_the_gate_takes(slow: int, rise: int, passes: bool) -> None:
    netlist = gates([(INVERTER, [2], 3, [(20, slow)]), (AND, [2, 3], 4, [(rise, 20), (rise, 20)])], 5, {2: 0})
    # The input rises: until the inverter falls, both inputs of the product are high.
    assert toggles(netlist, [0, 1, 0, 1, 0], [0, 1, 1, 0, 0]) == [0, 0, 1, 1, 2 * passes]
    # The input falls: the product sees a low input before the other one rises.
    assert toggles(netlist, [0, 1, 1, 0, 0], [0, 1, 0, 1, 0]) == [0, 0, 1, 1, 0]


def test_inputs_that_switch_together_make_no_pulse() -> None:
    netlist = gates([(XOR, [2, 3], 4, [(10, 10), (10, 10)])], 5, {2: 70, 3: 70})
    assert toggles(netlist, [0, 1, 0, 0, 0], [0, 1, 1, 1, 0]) == [0, 0, 1, 1, 0]
    late = gates([(XOR, [2, 3], 4, [(10, 10), (10, 10)])], 5, {2: 70, 3: 90})
    assert toggles(late, [0, 1, 0, 0, 0], [0, 1, 1, 1, 0]) == [0, 0, 1, 1, 2]


def test_delays_are_those_of_the_pin_and_of_the_edge() -> None:
    rows = [(BUFFER, [2], 4, [(30, 700)]), (XOR, [3, 4], 5, [(5, 5), (9, 9)])]
    netlist = gates(rows, 6, {2: 100, 3: 0})
    counted = waves.count(
        netlist,
        np.array([[0, 1, 0, 0, 0, 0], [0, 1, 1, 0, 1, 1]], np.uint8),
        np.array([[0, 1, 1, 0, 1, 1], [0, 1, 0, 0, 0, 0]], np.uint8),
        np.zeros(6),
    )
    assert counted.settled_ps.tolist() == [13.9, 80.9]  # 100 + 30 + 9 ticks, 100 + 700 + 9
    assert (counted.events, counted.cancelled) == (6, 0)


def test_wide_gates_have_long_tables() -> None:
    names = tuple("ABCDEFGHI")
    table = function.truth(" ^ ".join(names), names)
    netlist = gates([(table, range(2, 11), 11, [(2, 2)] * 9)], 12, {net: net for net in range(2, 11)})
    before, after = [0, 1, *[0] * 9, 0], [0, 1, *[1] * 9, 1]
    assert toggles(netlist, before, after) == [0, 0, *[1] * 9, 1]  # inputs a tick apart
    spread = dataclasses.replace(netlist, source_delays=netlist.source_delays * 5)
    assert toggles(spread, before, after) == [0, 0, *[1] * 9, 9]


def test_a_netlist_that_settles_elsewhere_is_a_fault() -> None:
    netlist = gates([(AND, [2, 3], 4, [(5, 5), (5, 5)])], 5, {2: 0, 3: 0})
    with pytest.raises(
        RuntimeError, match=r"^nets settle to other values with delays than without: 1 of 5 in a cycle$"
    ):
        toggles(netlist, [0, 1, 0, 0, 0], [0, 1, 1, 1, 0])


class _First(activity._Sample):
    """The first cycles of the first run, one after the other."""

    def take(self, before: activity.Words) -> None:
        if len(self.before) < 60:
            for rows, values in ((self.before, before), (self.after, self.machine.values)):
                rows.append((values & np.uint64(1)).astype(np.uint8))


def bench(spec: Spec, folder: Path, name: str) -> Bench:
    """A design's netlist with its values in the first cycles of a typical run."""
    tech = technology.load(name)
    manifest = write_hardware(spec, folder)
    found = mapped(folder, tech)
    flat = flatten(found.top, found.netlists)
    machine = activity._Machine(flat, found.netlists[found.top]["ports"], tech)
    sample = _First(machine, 60)
    activity._Bench(spec, manifest, machine, spec.typical_workload(), sample).run()
    netlist = waves.gates(flat, tech, found.macros, found.trees, found.wires)
    return Bench(flat, tech.cells, netlist, np.stack(sample.before), np.stack(sample.after))


def alike(netlist: waves.Gates) -> waves.Gates:
    """The same delay from every pin: that of the slowest."""
    slowest = np.maximum.reduceat(netlist.pin_delays, netlist.first[:-1])
    return dataclasses.replace(netlist, pin_delays=np.repeat(slowest, np.diff(netlist.first), axis=0))


def _lut(**changes: Any) -> Spec:
    values: dict[str, Any] = {
        "mu": 2,
        "lut_count": 2,
        "fetch_count": 2,
        "act_width": 8,
        "k_max": 32,
        "n_max": 8,
    }
    return TernaryLutSpec(**(values | changes))


def _array(**changes: Any) -> Spec:
    values: dict[str, Any] = {"rows": 2, "cols": 2, "dot_length": 1, "act_width": 8, "k_max": 32, "n_max": 8}
    values |= {"weight_width": 2 if changes["pe"] == "ternary" else 8}
    return SystolicSpec(**(values | changes))


def _attention(**changes: Any) -> Spec:
    return StreamingAttentionSpec(**({"graph": "memory_free", "dim": 4, "keys_max": 16} | changes))


NETLISTS = [
    ("asap7", _lut()),
    ("sky130hd", _lut(mu=3, act_width=4)),
    ("ihp_sg13g2", _lut(lut_count=3, reduction="adder_tree")),
    ("asap7", _lut(lut_count=1, activation="bf16", act_width=16, reduction="adder_tree")),
    ("asap7", _array(organization="output_stationary", pe="mac")),
    ("sky130hd", _array(organization="weight_stationary", pe="ternary")),
    ("asap7", _array(organization="adder_tree", pe="mac", rows=1, dot_length=4)),
    ("ihp_sg13g2", _array(organization="cube", pe="booth_flex")),
    ("asap7", _array(organization="cube", pe="float", activation="fp16", act_width=16, weight_width=16)),
    ("asap7", _attention(format="int8")),
    ("sky130hd", _attention(format="int8", graph="naive")),
    ("asap7", _attention(format="bf16", graph="reordered", acc_format="same")),
]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed here")
@pytest.mark.parametrize(("tech", "spec"), NETLISTS, ids=lambda item: getattr(item, "name", item))
def test_every_net_toggles_as_often_as_in_icarus(tech: str, spec: Spec, tmp_path: Path) -> None:
    whole = bench(spec, tmp_path / "design", tech)
    found = dataclasses.replace(whole, gates=alike(whole.gates))
    counted = waves.count(found.gates, found.before, found.after, np.zeros(found.flat.nets))
    assert counted.toggles.sum() > 1.02 * (found.before != found.after).sum()
    np.testing.assert_array_equal(counted.toggles[2:], found.toggles(tmp_path, "gates")[2:])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed here")
@pytest.mark.parametrize(("tech", "spec"), NETLISTS[:6:2], ids=lambda item: getattr(item, "name", item))
def test_toggles_are_near_those_of_icarus_with_sdf(tech: str, spec: Spec, tmp_path: Path) -> None:
    """Icarus lets some pulses through that are shorter than a path's delay: it keeps events that are overtaken."""
    found = bench(spec, tmp_path / "design", tech)
    counted = waves.count(found.gates, found.before, found.after, np.zeros(found.flat.nets))
    assert counted.toggles.sum() == pytest.approx(found.toggles(tmp_path, "sdf").sum(), rel=0.05)


def test_delays_are_read_from_tables_as_static_timing_reads_them() -> None:
    """Inside the axes and beyond both ends, and in tables of one point."""
    random = np.random.default_rng(3)
    seen = 0
    for name in technology.names():
        for cell in list(technology.load(name).cells.values())[:30]:
            for arc in cell.arcs[:4]:
                for edge, table in enumerate((arc.rise, arc.fall)):
                    if table is None:
                        continue
                    slews = random.uniform(0, 1.5 * table.slews[-1] + 1, 4)
                    loads = random.uniform(0, 1.5 * table.loads[-1] + 1, 4)
                    expected = [table.at(*where) for where in zip(slews, loads, strict=True)]
                    assert waves._read(arc, edge, slews, loads) == pytest.approx(expected)
                    seen += 1
    assert seen > 100


# A register that toggles, and an exclusive or of it with itself behind two inverters: always 0, but for a pulse.
def _hazard() -> dict[str, Any]:
    cells = {
        "flip_flop": {"type": "DFFHQNx1_ASAP7_75t_R", "connections": {"CLK": [2], "D": [3], "QN": [3]}},
        "one": {"type": "INVx1_ASAP7_75t_R", "connections": {"A": [3], "Y": [4]}},
        "two": {"type": "INVx1_ASAP7_75t_R", "connections": {"A": [4], "Y": [5]}},
        "three": {"type": "INVx1_ASAP7_75t_R", "connections": {"A": [5], "Y": [6]}},
        "four": {"type": "INVx1_ASAP7_75t_R", "connections": {"A": [6], "Y": [7]}},
        "differ": {"type": "XOR2xp5_ASAP7_75t_R", "connections": {"A": [3], "B": [7], "Y": [8]}},
    }
    ports = {"clk": {"direction": "input", "bits": [2]}, "q": {"direction": "output", "bits": [8]}}
    return {"ports": ports, "cells": cells}


def test_energy_of_a_pulse_is_that_of_two_toggles() -> None:
    tech, found = technology.load("asap7"), {"hazard": _hazard()}
    flat = flatten("hazard", found)
    machine = activity._Machine(flat, found["hazard"]["ports"], tech)
    sample = activity._Sample(machine, 40)
    machine.settle()
    for _ in range(40):
        before = machine.values.copy()
        machine.clock()
        machine.settle(before)
        sample.take(before)
    netlist = Mapped("hazard", {}, found, tech, LEAST, None, None, "", {})
    owned = owners(flat, {"hazard": "all"})
    glitches = activity._glitches(machine, sample, owned, netlist, machine.clocks(owned, 40))
    cell = tech.cells["XOR2xp5_ASAP7_75t_R"]
    pulses = glitches.energies["all"] / activity._internal(cell, "Y")
    assert pulses == pytest.approx(2.0)  # no pin is driven by the output
    assert glitches.error == 0.0 and glitches.transitions == 40 * sample.runs
    run = activity.Activity({"all": 3.0}, 40, Gemm(1, 1, 1), {"all": 1.0}, {"all": 5.0}, glitches=glitches)
    assert run.split("all", 2000.0) == {
        "useful": 2.0,
        "glitches": glitches.energies["all"],
        "clock": 1.0,
        "leakage": pytest.approx(5.0 * 2000 * 1e-9),
    }
    without = dataclasses.replace(run, glitches=None)
    assert "glitches" not in without.split("all", 2000.0)


def test_a_sample_is_spread_over_cycles_and_runs() -> None:
    machine = activity._Machine(
        flatten("hazard", {"hazard": _hazard()}), _hazard()["ports"], technology.load("asap7")
    )
    sample = activity._Sample(machine, 6400)
    assert (sample.step, sample.runs) == (10, 1)
    for number in range(200):
        machine.values[2] = np.uint64(number)  # every cycle differs
        sample.take(machine.values)
    assert len(sample.before) == 20
