from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from blueprint import registry
from blueprint.files.document import read_text
from blueprint.workloads.model import layers, load
from dse.families import design_problem
from dse.problem import Problem
from dse.space import Space
from dse.space_file import space_from
from tests.dse.coefficients import costs

TEXT = """\
schema: ternforge/space/v1
family: ternary_lut
parameters:
  mu: [1, 2, 4]
  lut_count: {log2: [1, 16]}
  fetch_count: {log2: [1, 64]}
  token_lanes: [1, 4]
  table_style: [half, full]
  key_encoding: [sign_index, five_trits]
  fetch_register: [false, true]
  act_width: 8
  k_max: [160, 4096]
  n_max: 4096
workload: {model: tiny, phase: decode, tokens: 1, context: 100}
prompt_tokens: 16
technology: none
dram: {bandwidth_gb_s: 2, energy_pj_per_bit: 5, source: made up}
objectives: {area_um2: min, ternary_tokens_per_second: max}
"""


def space(text: str = TEXT) -> Space:
    return space_from(read_text(text, "space.yaml"))


def problem(text: str = TEXT) -> Problem:
    return design_problem(space(text), costs, {})


def test_every_metric_of_many_designs_equals_that_of_each() -> None:
    """The vectorized numbers against one spec at a time, with the formulas written out again."""
    found = problem()
    indices = np.random.default_rng(3).choice(found.space.size, 60, replace=False)
    batch = found.evaluate(np.sort(indices))
    model = load("tiny")
    for row, index in enumerate(batch.indices.tolist()):
        family, parameters = found.space.design(index)
        spec: Any = registry.get(family).from_mapping(parameters)
        areas, path, clocks, switching, leakage, *_ = costs(spec)
        seconds, cycles, bits = 0.0, 0, 101 * model.kv_bytes_per_token(8) * 8
        seconds += bits / 16e9
        for gemm in layers(model, "decode", 1):
            moved = sum(spec.dram_bits(gemm).values())
            seconds += gemm.count * max(spec.cycles(gemm) * path * 1e-12, moved / 16e9)
            cycles += gemm.count * spec.cycles(gemm)
            bits += gemm.count * moved
        macs = sum(g.macs for g in layers(model, "decode", 1))
        core = clocks * seconds / path * 1e12 + switching * macs / spec.peak_macs + leakage * 1e3 * seconds
        expected = {
            "area_um2": sum(areas.values()),
            "flip_flops": sum(unit.flip_flops for unit in spec.units()),
            "clock_mhz": 1e6 / path,
            "cycles": cycles,
            "ternary_tokens_per_second": 1 / seconds,
            "ternary_core_energy_pj_per_token": core,
            "ternary_energy_pj_per_token": core + 5 * bits,
            "power_mw": (core + 5 * bits) / seconds * 1e-9,
            "peak_macs": spec.peak_macs,
        }
        for name, value in expected.items():
            assert batch.column(name)[row] == pytest.approx(value, rel=1e-12), (name, parameters)


def test_time_to_first_token_is_one_pass_over_the_prompt() -> None:
    batch = problem().evaluate(np.arange(4))
    prefill = TEXT.replace("phase: decode, tokens: 1, context: 100", "phase: prefill, tokens: 16")
    alone = problem(prefill.replace("prompt_tokens: 16\n", "")).evaluate(np.arange(4))
    assert np.array_equal(
        batch.column("ternary_time_to_first_token_s"), alone.column("ternary_time_to_first_token_s")
    )
    assert np.allclose(
        alone.column("ternary_tokens_per_second") * alone.column("ternary_time_to_first_token_s"), 16
    )


def test_without_a_prompt_there_is_no_time_to_first_token() -> None:
    assert "ternary_time_to_first_token_s" not in problem(TEXT.replace("prompt_tokens: 16\n", "")).metrics


def test_the_cache_of_keys_and_values_costs_time_and_energy() -> None:
    short, long = (
        problem(TEXT.replace("context: 100", f"context: {context}")).evaluate(np.arange(8))
        for context in (0, 100)
    )
    bits = 100 * load("tiny").kv_bytes_per_token(8) * 8
    extra = 1 / long.column("ternary_tokens_per_second") - 1 / short.column("ternary_tokens_per_second")
    assert np.allclose(extra, bits / 16e9)
    dram = [
        batch.column("ternary_energy_pj_per_token") - batch.column("ternary_core_energy_pj_per_token")
        for batch in (long, short)
    ]
    assert np.allclose(dram[0] - dram[1], 5 * bits)


def test_more_bandwidth_never_slows_and_ends_in_compute() -> None:
    rates = []
    for bandwidth in (0.5, 2, 8, 1e6):
        batch = problem(TEXT.replace("bandwidth_gb_s: 2,", f"bandwidth_gb_s: {bandwidth},")).evaluate(
            np.arange(300)
        )
        rates.append(batch.column("ternary_tokens_per_second"))
    assert all((slow <= fast).all() for slow, fast in zip(rates, rates[1:], strict=False))
    assert (batch.column("dram_share") < 1e-3).all()


def test_a_design_too_small_for_a_layer_is_a_row_with_a_reason() -> None:
    text = TEXT.replace("k_max: [160, 4096]", "k_max: [128, 4096]")
    batch = problem(text).evaluate(np.arange(space(text).size))
    small = np.asarray(space(text).columns(batch.indices)["k_max"]) == 128
    assert batch.reason_counts() == {"k_max must be at least 160, the workload's largest k": int(small.sum())}
    assert np.isnan(batch.metrics[small]).all() and not np.isnan(batch.metrics[~small]).any()


def test_a_rule_of_the_family_is_a_row_with_a_reason() -> None:
    text = TEXT.replace("act_width: 8", "act_width: 8\n  acc_width: [0, 12, 32]")
    found = problem(text)
    batch = found.evaluate(np.arange(found.space.size))
    assert batch.reason_counts() == {"the accumulator is too narrow": found.space.size // 3}
    for index in (0, found.space.size // 2, found.space.size - 1):
        family, parameters = found.space.design(index)
        legal = batch.reason[index] == 0
        try:
            registry.get(family).from_mapping(parameters)
            assert legal
        except ValueError:
            assert not legal


def test_a_product_is_a_workload_too() -> None:
    text = TEXT.replace("model: tiny, phase: decode, tokens: 1, context: 100", "gemm: {m: 4, k: 160, n: 64}")
    text = text.replace("prompt_tokens: 16\n", "").replace("ternary_tokens_per_second", "rows_per_second")
    batch = problem(text).evaluate(np.arange(10))
    seconds = 4 / batch.column("rows_per_second")
    macs = 4 * 160 * 64
    rate = batch.column("peak_macs") * batch.column("clock_mhz") * 1e6
    assert np.allclose(batch.column("utilization"), macs / (rate * seconds))


def test_workers_load_no_hardware_description() -> None:
    import subprocess
    import sys
    from pathlib import Path

    code = (
        "import sys, dse.worker, dse.evaluate, blueprint.registry\n"
        "blueprint.registry.families()\n"
        "heavy = {'amaranth', 'matplotlib', 'plotly', 'pyosys', 'cocotb', 'rich', 'generator', 'simulator'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


MANY = """\
workload:
  name: many
  tasks:
    - {name: qkv, gemm: {m: 1, k: 160, n: 96}, count: 30}
    - {name: prompt, gemm: {m: 64, k: 160, n: 96}, count: 2}
    - {name: out, gemm: {m: 1, k: 96, n: 160}, count: 30}
    - {name: again, gemm: {m: 1, k: 160, n: 96}, count: 12}
"""


def test_products_of_several_phases_are_one_workload_and_each_is_evaluated_once() -> None:
    text = TEXT.replace("workload: {model: tiny, phase: decode, tokens: 1, context: 100}\n", MANY)
    text = text.replace("prompt_tokens: 16\n", "").replace("ternary_tokens_per_second", "rows_per_second")
    found = problem(text)
    evaluator: Any = found.evaluators["ternary_lut"]
    assert [(task.m, task.k, task.n, task.count) for task in evaluator.estimator.work.tasks] == [
        (1, 160, 96, 42), (64, 160, 96, 2), (1, 96, 160, 30),
    ]  # fmt: skip
    batch = found.evaluate(np.arange(40))
    for row in np.flatnonzero(batch.feasible)[::9].tolist():
        family, parameters = found.space.design(row)
        spec: Any = registry.get(family).from_mapping(parameters)
        assert batch.column("cycles")[row] == sum(
            task.count * spec.cycles(task) for task in found.space.subject.workload.tasks
        )


def test_attention_of_several_sizes_is_one_workload() -> None:
    text = """\
schema: ternforge/space/v1
family: streaming_attention
parameters: {dim: 64, keys_max: 1024, mask: causal, parallel: [1, 2, 4]}
workload:
  name: several
  tasks:
    - {name: prompt, attention: {seq: 256, heads: 8, kv_heads: 2, dim: 64, mask: causal}, count: 2}
    - {name: long, attention: {seq: 1024, heads: 8, kv_heads: 2, dim: 64, mask: causal}, count: 3}
technology: none
objectives: {area_um2: min, cycles: min}
"""
    found = problem(text)
    batch = found.evaluate(np.arange(found.space.size))
    assert batch.feasible.all()
    for row in range(found.space.size):
        family, parameters = found.space.design(row)
        spec: Any = registry.get(family).from_mapping(parameters)
        assert batch.column("cycles")[row] == sum(
            t.count * spec.cycles(t) for t in found.space.subject.workload.tasks
        )
