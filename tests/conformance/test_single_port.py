"""Accumulators in two single-port memories: values, cycles and flip-flops as with one of two ports, and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError
from blueprint.registry import families
from blueprint.unit import flip_flops
from blueprint.workloads.tasks import parse_gemm
from costmodel.model import evaluate
from costmodel.technology import technology
from generator.export import write_hardware
from simulator.rtl import rtl
from ternforge.conformance import compare, netlist_flip_flops

TABLES = {"mu": 2, "lut_count": 2, "fetch_count": 2, "act_width": 4, "k_max": 20, "n_max": 14, "m_max": 3}
FLOAT = {"activation": "fp16", "act_width": 16, "reduction": "adder_tree"}
DESIGNS = {
    "seven_words": {},
    "odd_words_in_lanes": {"n_max": 10, "token_lanes": 2, "fetch_register": True},
    "two_words": {"n_max": 3, "reduction_register": True},
    "float": {**FLOAT, "lut_count": 1, "n_max": 6, "fetch_count": 1},
}


def core(accumulator: str = "single_port", **more: Any) -> Any:
    return families()["ternary_lut"].from_mapping({**TABLES, "accumulator": accumulator, **more})


@pytest.mark.parametrize("name", DESIGNS)
def test_values_cycles_and_flip_flops_agree(tmp_path: Path, name: str) -> None:
    spec = core(**DESIGNS[name])
    write_hardware(spec, tmp_path / "core")
    assert netlist_flip_flops(tmp_path / "core", flatten=False) == int(flip_flops(spec.units()))
    assert compare(spec, rtl.load(tmp_path / "core", optimize="-O0"), 5) == []


def test_cycles_and_stalls_are_those_of_two_ports() -> None:
    for text in ("1x20x14", "3x17x9", "2x1x1"):
        task = parse_gemm(text)
        assert core().cycles(task) == core("sram").cycles(task)


def test_inventory_has_two_memories_of_half_the_words() -> None:
    lines = [
        (u.kind, u.count, u.dims["words"]) for u in core().units() if u.kind.startswith("sram") and u.count
    ]
    assert lines == [("sram_1rw", 2, 4)]
    assert [u.count for u in core("sram").units() if u.kind == "sram_1rw" and u.count] == []
    both = {
        "accumulator": np.array(["sram", "single_port"]),
        **{k: np.array([v, v]) for k, v in TABLES.items()},
    }
    many = type(core()).columns(both)
    assert list(flip_flops(many.units())) == [flip_flops(core(a).units()) for a in ("sram", "single_port")]


def test_a_bitnet_sized_core_is_smaller_with_single_port_memories_of_ihp() -> None:
    sizes = {"mu": 5, "lut_count": 8, "fetch_count": 16, "act_width": 8, "k_max": 2560, "n_max": 6912}
    two, one = (
        evaluate.of_design(core(accumulator, **sizes), technology.load("ihp_sg13g2"))
        for accumulator in ("sram", "single_port")
    )
    assert one.memory_area_um2 < 0.72 * two.memory_area_um2
    assert two.logic_area_um2 < one.logic_area_um2 < 1.03 * two.logic_area_um2
    assert [line["ports"] for line in one.memories] == ["single_port"]


def test_a_pipelined_adder_needs_two_ports() -> None:
    message = (
        "^Accumulator must be sram where sums take 2 more cycles \\(adder_stages\\), not single_port, which writes a "
        "word while it reads the next$"
    )
    with pytest.raises(ParamError, match=message):
        core(**FLOAT, adder_stages=2)
