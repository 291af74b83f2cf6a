"""What the levels measure of real designs: cycles of the simulator, numbers of the netlist, and nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from blueprint.files.document import read_text
from costmodel.calibration.measuring import measure
from costmodel.model.evaluate import cost_of
from costmodel.technology import technology
from dse.explore import problem_of
from dse.fidelity import measure as levels
from dse.fidelity.request import Measured, Request
from dse.space_file import space_from
from generator import export

SPACE = """\
schema: ternforge/space/v1
family: ternary_lut
parameters: {mu: 1, lut_count: 1, fetch_count: 2, act_width: 4, k_max: 64, n_max: 32}
workload: {gemm: {m: 4, k: 64, n: 32}}
technology: asap7
objectives: {area_um2: min, rows_per_second: max}
"""


def request(text: str = SPACE) -> Request:
    space = space_from(read_text(text, "space.yaml"))
    batch = problem_of(space).evaluate(np.arange(1))
    return Request("", space, 0, {name: float(values[0]) for name, values in batch.columns().items()})


def test_the_simulator_measures_what_formulas_say() -> None:
    asked = request()
    found = levels.simulated(asked)
    assert set(found.metrics) < set(asked.known) and not {"area_um2", "clock_mhz"} & set(found.metrics)
    assert found.metrics == {name: asked.known[name] for name in found.metrics}
    assert list(found.cycles.values()) == [found.metrics["cycles"]]


def test_repeated_tasks_are_simulated_once_and_count() -> None:
    twice = SPACE.replace("{gemm: {m: 4, k: 64, n: 32}}", "{tasks: [{gemm: {m: 4, k: 64, n: 32}, count: 3}]}")
    once, more = levels.simulated(request()), levels.simulated(request(twice))
    assert more.cycles == once.cycles
    assert more.metrics["cycles"] == 3 * once.metrics["cycles"]


@pytest.fixture(scope="module")
def synthesized() -> tuple[Request, Measured]:
    asked = request()
    return asked, levels.synthesized(asked)


@pytest.mark.slow
def test_synthesis_measures_the_netlist(synthesized: tuple[Request, Measured]) -> None:
    asked, found = synthesized
    facts = technology.load("asap7")
    sample = measure(asked.spec, facts, export.write_hardware)
    assert found.metrics["area_um2"] == pytest.approx(sample.area_um2 + sample.macro_area_um2)
    assert found.metrics["critical_path_ps"] == sample.critical_path_ps
    assert found.metrics["clock_mhz"] == pytest.approx(1e6 / sample.critical_path_ps)
    assert found.metrics["flip_flops"] == sample.flip_flops == asked.known["flip_flops"]
    assert set(asked.known) - set(found.metrics) == {"cycles", "peak_macs"}
    assert found.metrics["rows_per_second"] == pytest.approx(
        asked.known["rows_per_second"] * found.metrics["clock_mhz"] / asked.known["clock_mhz"]
    )
    for name in ("area_um2", "critical_path_ps", "energy_pj_per_row"):
        assert 0 < abs(found.metrics[name] / asked.known[name] - 1) < 0.3


@pytest.mark.slow
def test_measured_energy_is_the_predicted_one_by_the_ratio_of_the_run(
    synthesized: tuple[Request, Measured],
) -> None:
    spec, facts = synthesized[0].spec, technology.load("asap7")
    sample = measure(spec, facts, export.write_hardware)
    predicted, found = cost_of(spec, facts), levels.measured_cost(spec, facts, sample)
    twice = dataclasses.replace(
        sample.switched, energies={k: 2 * v for k, v in sample.switched.energies.items()}, glitches=None
    )
    more = levels.measured_cost(spec, facts, dataclasses.replace(sample, switched=twice))
    assert float(np.ravel(more.clock_pj)[0]) > 1.5 * float(np.ravel(found.clock_pj)[0])
    ratio = np.ravel(found.clock_pj)[0] / np.ravel(predicted.clock_pj)[0]
    assert float(np.ravel(found.glitch_pj)[0]) == pytest.approx(
        float(ratio * np.ravel(predicted.glitch_pj)[0])
    )


def test_the_clock_that_a_space_asks_for_is_kept() -> None:
    asked = request(SPACE.replace("workload:", "clock_mhz: [500]\nworkload:"))
    assert asked.clock_mhz == 500 and request().clock_mhz is None
    assert levels.simulated(asked).metrics["rows_per_second"] == asked.known["rows_per_second"]
