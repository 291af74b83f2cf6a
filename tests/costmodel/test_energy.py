"""Energy from switching: gate functions, a counter whose toggles are known, and a whole design."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blueprint.errors import ParamError
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.workloads.tasks import Gemm
from costmodel.groundtruth import activity, gate_code
from costmodel.groundtruth.flatten import flatten, owners
from costmodel.model import estimate
from costmodel.technology import function, technology
from generator.export import write_hardware

INPUTS = ("A", "B", "C", "D")
FUNCTIONS = ["A", "!A", "A B", "A ^ B C", "A B' + !C ^ D", "!(A+B)' ^ C&D", "(A B) C'", "!(A * !B)", "1", "0"]


def _agrees(text: str, inputs: tuple[str, ...]) -> bool:
    rows = np.arange(1 << len(inputs))
    columns = [(rows >> place & 1).astype(bool) for place in range(len(inputs))]
    table = function.truth(text, inputs)
    return bool(
        (gate_code.compiled(text, inputs)(*columns) == [table >> row & 1 for row in rows.tolist()]).all()
    )


@pytest.mark.parametrize("text", FUNCTIONS)
def test_code_computes_the_truth_table(text: str) -> None:
    assert _agrees(text, INPUTS)


@pytest.mark.parametrize("name", technology.names())
def test_code_computes_every_cell(name: str) -> None:
    cells = [cell for cell in technology.load(name).cells.values() if cell.inputs and not cell.sequential]
    texts = [(pin.function, tuple(p.name for p in cell.inputs)) for cell in cells for pin in cell.outputs]
    assert len(texts) > 20
    assert all(_agrees(text, inputs) for text, inputs in texts if text)


def test_code_refuses_what_is_no_function() -> None:
    with pytest.raises(ValueError, match="^a function must read the cell's inputs, not 'E'$"):
        gate_code.compiled("A & E", INPUTS)


def _toggler() -> dict[str, object]:
    """A flip-flop of asap7 (inverting output) that is fed by its own output through an inverter twice."""
    cells = {
        "flip_flop": {
            "type": "DFFHQNx1_ASAP7_75t_R",
            "connections": {"CLK": [2], "D": [3], "QN": [4]},
        },
        "inverter": {"type": "INVx1_ASAP7_75t_R", "connections": {"A": [4], "Y": [5]}},
        "again": {"type": "INVx1_ASAP7_75t_R", "connections": {"A": [5], "Y": [3]}},
    }
    ports = {"clk": {"direction": "input", "bits": [2]}, "q": {"direction": "output", "bits": [5]}}
    return {"ports": ports, "cells": cells}


def test_a_toggling_flip_flop_toggles_every_cycle() -> None:
    netlists = {"toggler": _toggler()}
    tech = technology.load("asap7")
    flat = flatten("toggler", netlists)
    machine = activity._Machine(flat, netlists["toggler"]["ports"], tech)  # type: ignore[index]
    machine.settle()
    seen = []
    for _ in range(10):
        before = machine.values.copy()
        machine.clock()
        machine.settle(before)
        seen.append(machine.read("q"))
    assert seen == [seen[0], 1 - seen[0]] * 5
    energies = machine.price(owners(flat, {"toggler": "all"}), 10)
    cells = tech.cells
    inverter, flip_flop = cells["INVx1_ASAP7_75t_R"], cells["DFFHQNx1_ASAP7_75t_R"]
    half = 0.5e-3 * tech.voltage**2
    toggling = (
        [(inverter, pin) for pin in ("A", "Y")] * 2
        + [(flip_flop, "D"), (flip_flop, "QN")]
        + [(flip_flop, "CLK")] * 2
    )
    expected = sum(half * cell.pin(pin).capacitance + activity._internal(cell, pin) for cell, pin in toggling)
    assert energies["all"] == pytest.approx(expected)


def test_a_loop_of_gates_is_refused() -> None:
    loop = _toggler()
    loop["cells"]["again"]["connections"]["Y"] = [4]  # type: ignore[index]
    del loop["cells"]["flip_flop"]  # type: ignore[attr-defined]
    with pytest.raises(ParamError, match="^A netlist must have no combinational loop to be simulated$"):
        activity._Machine(flatten("loop", {"loop": loop}), loop["ports"], technology.load("asap7"))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> tuple[TernaryLutSpec, Path, dict[str, object]]:
    spec = TernaryLutSpec(mu=2, lut_count=4, fetch_count=4, act_width=8, k_max=64, n_max=16)
    folder = tmp_path_factory.mktemp("energy")
    return spec, folder, write_hardware(spec, folder)


def test_energy_of_a_run(design: tuple[TernaryLutSpec, Path, dict[str, object]]) -> None:
    spec, folder, manifest = design
    tech = technology.load("asap7")
    gemm = Gemm(3, 64, 16)
    found = activity.measure(spec, folder, manifest, tech, gemm)
    assert found.cycles == spec.cycles(gemm)
    assert set(found.energies) == {"tile", "build", "fetch", "lane", "control", "shell"}
    per_mac = 1e3 * (found.energy_pj - found.energies["shell"]) / spec.peak_macs
    assert 5 < per_mac < 40  # fJ; gate-level figures of such cores lie between 16 and 25
    idle = activity.measure(spec, folder, manifest, tech, Gemm(1, 1, 16))
    assert idle.energies["lane"] < found.energies["lane"]  # most weights are zeros
    for run, task in ((found, gemm), (idle, Gemm(1, 1, 16))):
        busy = task.macs / (run.cycles * spec.peak_macs)
        clocks, switching = estimate.energy_parts(spec.units(), tech)
        predicted = float(clocks + busy * switching)
        assert predicted == pytest.approx(run.energy_pj, rel=0.25)


def test_a_design_that_never_ends_is_refused(
    design: tuple[TernaryLutSpec, Path, dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, folder, manifest = design
    monkeypatch.setattr(activity, "_SLOWEST", 20)
    with pytest.raises(ParamError, match=r"^A run of \{.*\} must end within 20 cycles, but has not$"):
        activity.measure(spec, folder, manifest, technology.load("asap7"), Gemm(3, 64, 16))


def test_typical_run_fills_some_hundred_cycles() -> None:
    for changes in ({"n_max": 100_000}, {"k_max": 100_000}, {"k_max": 8, "n_max": 4}):
        values = {"mu": 2, "lut_count": 4, "fetch_count": 4, "act_width": 8, "k_max": 64, "n_max": 16}
        spec = TernaryLutSpec(**(values | changes))
        assert 200 <= spec.cycles(spec.typical_workload()) <= 320
