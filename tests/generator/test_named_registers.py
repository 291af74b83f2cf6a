"""Registers that the inventory counts by name are those of the RTL."""

import dataclasses

import numpy as np
import pytest

from blueprint.families.streaming_attention import StreamingAttentionSpec
from blueprint.families.streaming_attention import inventory as attention
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.families.ternary_lut import registers as lut
from blueprint.families.ternary_lut.inventory import side_bits
from blueprint.shell import ANSWERS, COUNTING, PULSES
from generator.cells.register_file import Registers
from generator.families.streaming_attention.control import Control as AttentionControl
from generator.families.streaming_attention.screen import Screen
from generator.families.ternary_lut.control import Control as LutControl
from tests.named_registers import built_registers, there


def lut_registers(spec: TernaryLutSpec) -> dict[str, int]:
    kept = {
        "kept_valid": spec.load_stages,
        "kept_arrived": spec.load_stages,
        "kept_first": spec.load_stages * spec.fixed,
    }
    read = spec.accumulate_stages
    staged = (spec.sweep_stages - read) * side_bits(spec) + read * side_bits(spec, read=True)
    tiles = {"tile_valid": 1 + spec.build_stages, "loads_first": spec.fixed * spec.accumulates}
    return there(
        lut.loader(spec)
        | lut.sweeper(spec)
        | lut.RESULT_FLAGS
        | tiles
        | kept
        | {"forwarding": lut.forwarding(spec), "staged": staged}
    )


def lut_built(spec: TernaryLutSpec) -> dict[str, int]:
    """The stages of a sweep, with what travels with the beats, as one."""
    found = built_registers(LutControl(spec))
    stages = [f"{name}_{what}" for name in ("fetch", "partial", "sum") for what in ("valid", "beat")]
    return there({"staged": sum(found.pop(name, 0) for name in stages)}) | found


@pytest.mark.parametrize("number", range(12))
def test_registers_of_the_sequencer_of_tables_are_those_that_are_counted(number: int) -> None:
    spec = TernaryLutSpec.sample(np.random.default_rng([7, number]))
    assert lut_built(spec) == lut_registers(spec)


def test_a_run_of_more_tokens_is_counted_by_a_register_of_both_loops() -> None:
    one = TernaryLutSpec(mu=2, lut_count=2, fetch_count=2, act_width=4, k_max=16, n_max=8, m_max=1)
    built, counted = lut_built(dataclasses.replace(one, m_max=4)), lut_registers(one)
    assert built != counted
    assert {name: built[name] for name in built if name not in counted} == {
        "load_tokens_left": 3,
        "load_tokens_last": 1,
        "sweep_tokens_left": 3,
        "sweep_tokens_last": 1,
    }


@pytest.mark.parametrize("number", range(12))
def test_registers_of_the_sequencers_of_attention_are_those_that_are_counted(number: int) -> None:
    spec = StreamingAttentionSpec.sample(np.random.default_rng([8, number]))
    assert built_registers(AttentionControl(spec)) == there(
        attention.LOOPS
        | attention.run_counters(spec)
        | attention.key_counters(spec)
        | attention.key_bounds(spec)
    )


def pruned() -> StreamingAttentionSpec:
    random = np.random.default_rng(9)
    while True:
        spec = StreamingAttentionSpec.sample(random)
        if spec.prunes and spec.dot_stages:
            return spec


def test_registers_of_a_screening_are_those_that_are_counted() -> None:
    spec = pruned()
    expected = there(
        {"screening": 1, "number_here": spec.index_width, "scored": spec.dot_stages * len(attention.SCORED)}
        | attention.screen_counters(spec)
    )
    assert built_registers(Screen(spec)) == expected


def test_registers_of_the_register_file_are_those_that_are_counted() -> None:
    spec = TernaryLutSpec(mu=2, lut_count=2, fetch_count=2, act_width=4, k_max=16, n_max=8)
    file = spec.register_file()
    built = built_registers(Registers("file", file, spec.design_hash))
    sizes = {f"{size.name}_{what}" for size in file.present for what in ("held", "above", "of_run", "fits")}
    counters = {f"{name}_{what}": n for name in ("cycles", *file.stalls) for what, n in COUNTING.items()}
    assert {name: bits for name, bits in built.items() if name in counters} == counters
    rest = {name: bits for name, bits in built.items() if name not in {*sizes, *counters}}
    assert rest | {"start": 1} == file.run_flags() | PULSES | ANSWERS  # start is a port itself
