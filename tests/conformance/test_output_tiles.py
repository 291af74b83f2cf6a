"""Output tiles and kept activations of ``ternary_lut``: values, cycles, flip-flops, stalls and beats; and refusals.

The random designs of the family have output tiles too (``tests/conformance/test_agreement.py``); here are the corners.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError
from blueprint.families.ternary_lut import TernaryLutSpec, schedule
from blueprint.timing import TimingGraph
from blueprint.unit import flip_flops
from blueprint.workloads.tasks import parse_gemm
from costmodel.model import evaluate
from costmodel.technology import technology
from generator.export import write_hardware
from simulator.engine import kernel
from simulator.rtl import rtl
from ternforge.conformance import compare
from tests.conformance.corners import differences

TABLES = {"mu": 2, "lut_count": 2, "fetch_count": 2, "act_width": 4, "k_max": 20, "n_max": 14, "m_max": 3}
FLOAT = {"activation": "fp16", "act_width": 16, "reduction": "adder_tree"}
NARROW = {**FLOAT, "lut_count": 1, "fetch_count": 1}
#: A column group at a time; tiles that n is no multiple of; memories of accumulators and of activations; sums that
#: take several cycles, so that columns wait for their accumulators.
DESIGNS: dict[str, dict[str, Any]] = {
    "one_group": {"n_tile": 2},
    "one_group_kept": {"n_tile": 3, "act_buffer": True, "n_max": 13, "token_lanes": 2},
    "ragged_single_port": {"n_tile": 6, "act_buffer": True, "accumulator": "single_port"},
    "pipelined": {**NARROW, "n_tile": 3, "n_max": 8, "adder_stages": 2, "act_buffer": True},
}
#: Those that take longer, by their number.
MORE: dict[str, dict[str, Any]] = {
    "whole_tiles": {"n_tile": 4, "n_max": 12, "build_register": True, "fetch_register": True},
    "ragged_memory": {"n_tile": 6, "accumulator": "sram", "reduction_register": True},
    "five_words": {"n_tile": 10, "n_max": 26, "accumulator": "single_port", "fetch_register": True},
    "pipelined_memory": {**NARROW, "n_tile": 2, "n_max": 7, "adder_stages": 1, "accumulator": "sram"},
    "pipelined_one_group": {**NARROW, "n_tile": 1, "n_max": 3, "adder_stages": 3, "lut_count": 3},
    "exact": {**FLOAT, "exact": True, "n_tile": 2, "act_buffer": True, "token_lanes": 2, "m_max": 5},
    "one_run_one_token": {"n_tile": 2, "m_max": 1, "act_buffer": True},
    "longest_tile": {"n_tile": 12, "act_buffer": True},
}


def core(**more: Any) -> TernaryLutSpec:
    return TernaryLutSpec.from_mapping({**TABLES, **more})


@pytest.mark.parametrize("name", DESIGNS)
def test_values_cycles_beats_and_flip_flops_agree(tmp_path: Path, name: str) -> None:
    assert differences(core(**DESIGNS[name]), tmp_path / "core") == []


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_values_cycles_beats_and_flip_flops_agree_more(tmp_path: Path, name: str) -> None:
    assert differences(core(**MORE[name]), tmp_path / "core") == []


# One tile of all outputs is the design without tiles -----------------------------------------------------------------


@pytest.mark.parametrize("n_tile", [14, 13])
def test_a_tile_of_all_outputs_is_the_hardware_without_tiles(tmp_path: Path, n_tile: int) -> None:
    """13 outputs are 7 column groups as 14 are."""
    texts = []
    for number, spec in enumerate((core(), core(n_tile=n_tile))):
        write_hardware(spec, tmp_path / str(number))
        texts.append({file.name: file.read_text() for file in (tmp_path / str(number)).glob("rtl/*.v")})
    assert texts[0] == texts[1]
    assert core(n_tile=12).design_hash != core().design_hash


def test_a_single_tile_of_the_reduction_has_no_output_tiles() -> None:
    assert core(k_max=4, n_tile=2).design_hash == core(k_max=4).design_hash
    assert core(k_max=4, n_tile=2).stream("wgt").beats == core(k_max=4).stream("wgt").beats


# Time and traffic ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stages", [0, 1, 3])
def test_the_closed_form_is_the_timing_graph_s_number(stages: int) -> None:
    """For every number of outputs and of tiles, columns that wait and ragged last tiles included."""
    more = {**NARROW, "adder_stages": stages} if stages else {}
    for n_tile, act_buffer in ((2, False), (4, True), (6, False)):
        spec = core(**more, n_tile=n_tile, act_buffer=act_buffer)
        for text in (f"{m}x{k}x{n}" for m in (1, 3) for k in (1, 4, 5, 17) for n in range(1, 15)):
            task = parse_gemm(text)
            assert kernel.run(spec.timing(task)).cycles == spec.cycles(task), (spec, text)


def test_activations_come_again_for_every_output_tile_unless_they_are_kept() -> None:
    task = parse_gemm("3x20x14")
    once, again, kept = (
        core(**more).dram_bits(task) for more in ({}, {"n_tile": 4}, {"n_tile": 4, "act_buffer": True})
    )
    assert again["activations"] == 4 * once["activations"] == 4 * kept["activations"]
    assert again["weights"] == kept["weights"] == once["weights"] and again["results"] == once["results"]


def test_energy_of_building_grows_with_the_number_of_tiles() -> None:
    sizes = {"mu": 4, "lut_count": 8, "fetch_count": 16, "act_width": 8, "k_max": 2560, "n_max": 6912}
    whole, tiled = (
        sum(
            float(unit.activity) * float(unit.count)
            for unit in core(**sizes, n_tile=n_tile).units()
            if unit.place == "build" and unit.kind == "adder"
        )
        for n_tile in (0, 64)
    )
    assert tiled == pytest.approx(432 / 4 * whole)


def test_fewer_sums_on_chip_need_less_area() -> None:
    sizes = {"mu": 2, "lut_count": 8, "fetch_count": 16, "act_width": 8, "k_max": 6912, "n_max": 6912}
    costs = technology.load("asap7")
    areas = [
        evaluate.of_design(core(**sizes, **more), costs).area_um2
        for more in ({}, {"n_tile": 1024}, {"n_tile": 16, "act_buffer": True}, {"n_tile": 16})
    ]
    assert areas == sorted(areas, reverse=True) and areas[-1] < 0.3 * areas[0]


def test_many_designs_at_once_have_the_numbers_of_each_alone() -> None:
    tiles, kept = np.array([0, 2, 4, 14]), np.array([False, True, False, False])
    table = {name: np.full(4, value) for name, value in TABLES.items()}
    many = TernaryLutSpec.columns({**table, "n_tile": tiles, "act_buffer": kept})
    alone = [core(n_tile=int(n), act_buffer=bool(b)) for n, b in zip(tiles, kept, strict=True)]
    task = parse_gemm("3x17x13")
    assert many.feasible()[0].all()
    assert np.asarray(flip_flops(many.units())).tolist() == [flip_flops(spec.units()) for spec in alone]
    assert np.broadcast_to(many.cycles(task), 4).tolist() == [spec.cycles(task) for spec in alone]
    moved = many.dram_bits(task)["activations"]
    assert np.broadcast_to(moved, 4).tolist() == [spec.dram_bits(task)["activations"] for spec in alone]


# Refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"n_tile": 1}, "Parameter n_tile must be 0 or from 2 (fetch_count) to 14 (n_max), not 1"),
        ({"n_tile": 15}, "Parameter n_tile must be 0 or from 2 (fetch_count) to 14 (n_max), not 15"),
        ({"n_tile": -1}, "Parameter 'n_tile' must be an integer from 0 to 1048576, not -1"),
        (
            {"act_buffer": True},
            "Parameter act_buffer is for several output tiles only (n_tile below n_max, k_max above lut_count x mu), "
            "not true here",
        ),
        (
            {"n_tile": 2, "k_max": 4, "act_buffer": True},
            "Parameter act_buffer is for several output tiles only (n_tile below n_max, k_max above lut_count x mu), "
            "not true here",
        ),
    ],
)
def test_tiles_that_cannot_be_are_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(message)}$"):
        core(**more)


def test_more_outputs_than_the_registers_hold_are_refused_though_tiles_would_do() -> None:
    assert core(n_tile=2).refuses({"tokens": 3, "k": 20, "n": 14}) is None
    assert (
        core(n_tile=2).refuses({"tokens": 3, "k": 20, "n": 15}) == "Register n must be from 1 to 14, not 15"
    )


# Failing twins: what is compared above notices hardware and graphs that differ ----------------------------------------


def test_hardware_of_other_tiles_is_noticed(tmp_path: Path) -> None:
    """It waits for activations of a pass that the other design does not have."""
    write_hardware(core(n_tile=4), tmp_path)
    with pytest.raises(rtl.RtlError):
        compare(core(n_tile=6), rtl.load(tmp_path, optimize="-O0"), 5)


def test_a_graph_with_another_stage_in_front_of_the_tiles_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = core(n_tile=2, act_buffer=True)
    write_hardware(spec, tmp_path)
    graph = schedule.graph

    def deeper(*given: Any) -> TimingGraph:
        found = graph(*given)
        channels = tuple(
            dataclasses.replace(c, latency=2) if c.name == "fresh" else c for c in found.channels
        )
        return dataclasses.replace(found, channels=channels)

    monkeypatch.setattr(schedule, "graph", deeper)
    assert compare(spec, rtl.load(tmp_path, optimize="-O0"), 5) != []
