"""Time that a core spends waiting costs clock energy and leakage, in every number that counts energy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from blueprint import registry
from blueprint.files.document import read_text
from blueprint.workloads import model
from blueprint.workloads.tasks import Task
from costmodel.model import estimate, glitches
from costmodel.model.evaluate import TechnologyCosts
from costmodel.technology import technology
from dse.families import design_problem
from dse.problem import Problem
from dse.space_file import space_from

PARAMETERS = {
    "ternary_lut": "{mu: [1, 3], lut_count: [2, 8], fetch_count: 4, act_width: 8, k_max: 256, n_max: 256}",
    "systolic": "{organization: weight_stationary, rows: 4, cols: [4, 8], "
    "pe: [mac, ternary], weight_width: 2, act_width: 8, k_max: 256, n_max: 256}",
    "streaming_attention": "{dim: 16, keys_max: 64, mask: causal, parallel: [1, 2]}",
}
PARTS = {"ternary_lut": "ternary", "systolic": "ternary", "streaming_attention": "attention"}
PHASES = {"decode": "phase: decode, tokens: 1, context: 40", "prefill": "phase: prefill, tokens: 24"}
TEXT = """\
schema: ternforge/space/v1
family: {family}
parameters: {parameters}
workload: {{model: tiny, {phase}}}
technology: asap7
dram: {{bandwidth_gb_s: {bandwidth}, energy_pj_per_bit: 3, source: made up}}
objectives: {{area_um2: min}}
"""
ASAP7 = technology.load("asap7")
TINY = model.load("tiny")


def problem(family: str, phase: str, bandwidth: float) -> Problem:
    text = TEXT.format(family=family, parameters=PARAMETERS[family], phase=PHASES[phase], bandwidth=bandwidth)
    return design_problem(space_from(read_text(text, "space.yaml")), TechnologyCosts(ASAP7), {})


def tasks(family: str, phase: str) -> tuple[Task, ...]:
    tokens, context = (1, 40) if phase == "decode" else (24, 0)
    if PARTS[family] == "attention":
        return model.attention(TINY, phase, tokens, context)
    return model.layers(TINY, phase, tokens)


def seconds_of(spec: Any, family: str, phase: str, hertz: float, bandwidth: float) -> tuple[float, float]:
    """Seconds and bits of a pass, layer by layer."""
    seconds = bits = 0.0
    for task in tasks(family, phase):
        moved = float(sum(spec.dram_bits(task).values()))
        seconds += task.count * max(float(spec.cycles(task)) / hertz, moved / (bandwidth * 8e9))
        bits += task.count * moved
    if PARTS[family] == "ternary":  # keys and values of every token and, in decode, of its context
        cache = 8 * TINY.kv_bytes_per_token(8) * (41 if phase == "decode" else 24)
        seconds, bits = seconds + cache / (bandwidth * 8e9), bits + cache
    return seconds, bits


def leakage_watts(spec: Any) -> float:
    cells = [unit for unit in spec.units() if unit.kind != "sram"]
    area = sum(float(value) for value in estimate.area(cells, ASAP7).values())
    stores = [unit for unit in spec.units() if unit.kind == "sram" and unit.count]
    stored = sum(float(unit.count * ASAP7.sram.leakage_nw(**unit.dims)) for unit in stores)
    return (area * float(ASAP7.model["leakage"]["value"]) + stored) * 1e-9


@pytest.mark.parametrize("bandwidth", [512, 0.5, 0.005])
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("family", PARAMETERS)
def test_energy_is_that_of_all_the_time_computed_again_from_its_parts(
    family: str, phase: str, bandwidth: float
) -> None:
    found = problem(family, phase, bandwidth)
    batch = found.evaluate(np.arange(found.space.size))
    assert batch.feasible.all()
    part, tokens = PARTS[family], 1 if phase == "decode" else 24
    for row, index in enumerate(batch.indices.tolist()):
        spec: Any = registry.get(family).from_mapping(found.space.design(index)[1])
        hertz = 1e12 / float(estimate.delay(spec, ASAP7))
        seconds, bits = seconds_of(spec, family, phase, hertz, bandwidth)
        parts = estimate.energies_by_place(spec.units(), ASAP7).values()
        clock, switching = (sum(float(pair[which]) for pair in parts) for which in (0, 1))
        switching += sum(float(more) for more in glitches.energies(spec, ASAP7).values())
        macs = sum(task.macs for task in tasks(family, phase))
        core = clock * seconds * hertz + switching * macs / float(spec.peak_macs)
        core += leakage_watts(spec) * seconds * 1e12
        expected = {
            f"{part}_core_energy_pj_per_token": core / tokens,
            f"{part}_energy_pj_per_token": (core + 3 * bits) / tokens,
            f"{part}_tokens_per_second": tokens / seconds,
            "power_mw": (core + 3 * bits) * 1e-9 / seconds,
        }
        for name, value in expected.items():
            assert batch.column(name)[row] == pytest.approx(value, rel=1e-9), (name, index)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("family", PARAMETERS)
def test_a_slower_memory_costs_the_core_what_it_waits(family: str, phase: str) -> None:
    """The difference is the waiting alone: clock energy of every cycle more, and leakage."""
    name, rate = (
        f"{PARTS[family]}_core_energy_pj_per_token",
        f"{PARTS[family]}_tokens_per_second",
    )
    found = problem(family, phase, 0.5)
    fast, slow = (
        problem(family, phase, bandwidth).evaluate(np.arange(found.space.size)) for bandwidth in (512, 0.005)
    )
    for row in range(len(fast)):
        spec: Any = registry.get(family).from_mapping(found.space.design(row)[1])
        waited = 1 / slow.column(rate)[row] - 1 / fast.column(rate)[row]
        clock = float(estimate.energy_parts(spec.units(), ASAP7)[0]) * fast.column("clock_mhz")[row] * 1e6
        more = slow.column(name)[row] - fast.column(name)[row]
        assert waited > 0
        assert more == pytest.approx(waited * (clock + leakage_watts(spec) * 1e12), rel=1e-6)


def test_leakage_is_charged_for_the_slow_clock_of_a_design_too() -> None:
    import ternforge
    from blueprint.files.design import Design
    from blueprint.workloads.tasks import Gemm
    from blueprint.workloads.workload import of_task

    spec: Any = registry.get("ternary_lut").from_mapping(
        {"mu": 2, "lut_count": 2, "fetch_count": 2, "act_width": 8, "k_max": 64, "n_max": 64}
    )
    work = of_task(Gemm(1, 64, 64))
    slow, fast = (ternforge.estimate(Design(spec, "d", clock), "asap7", work) for clock in (1.0, 500.0))
    seconds = slow["seconds"] - fast["seconds"]
    assert seconds == pytest.approx(float(spec.cycles(Gemm(1, 64, 64))) * (1e-6 - 2e-9))
    assert slow["energy_pj"] - fast["energy_pj"] == pytest.approx(leakage_watts(spec) * seconds * 1e12)
    idle = ternforge.estimate(Design(spec, "d", 1.0), "asap7")["energy_pj"]
    clock, switching = estimate.energy_parts(spec.units(), ASAP7)
    switching += sum(float(more) for more in glitches.energies(spec, ASAP7).values())
    assert idle == pytest.approx(float(clock + switching) + leakage_watts(spec) * 1e-6 * 1e12)
