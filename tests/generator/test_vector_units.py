"""Conversions of a vector unit at its ports: as many as the inventory has are in the netlist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import BF16, FP16, FP32, FloatFormat
from blueprint.arithmetic.quantization import LEVELS
from blueprint.families.vector import VectorSpec
from blueprint.families.vector import stages as vector_stages
from blueprint.families.vector.parameters import ONE, SUM_WIDTH
from blueprint.unit import TO_FIXED, TO_FLOAT
from generator import emission
from generator.arithmetic.floating import FloatConvert, IntToFloat
from generator.block import Block
from generator.export import write_hardware
from generator.families.vector.factor import Factor
from generator.families.vector.front import FloatUser
from tests.generator.vectors import drive
from toolchain import yosys

BARE = {"dequantizes": False, "gates": False, "adds": False}
#: From words to gates, equal ones merged.
GATES = (
    "setattr -unset init w:*", "opt -nodffe -nosdff -full", "wreduce", "peepopt", "opt_clean", "alumacc", "maccmap",
    "opt -nodffe -nosdff -full -undriven -fine", "techmap", "opt -nodffe -nosdff", "write_json gates.json",
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "taken"), [(BARE, 2), ({**BARE, "adds": True}, 3), ({**BARE, "dequantizes": True}, 2)]
)
def test_conversions_at_ports_are_those_of_the_netlist(
    changes: dict[str, Any], taken: int, tmp_path: Path
) -> None:
    """Of a row, of a gain and, where it is there, of an operand; with the results of a lane."""
    lanes, element = 2, 16
    spec = VectorSpec(**{"lanes": lanes, "length_max": 6, "rows_max": 3, **changes})
    write_hardware(spec, tmp_path)
    modules = json.loads((tmp_path / "manifest.json").read_text())["modules"]
    inwards, outwards = f"fp_convert_fp16_{spec.inside.name}", f"fp_convert_{spec.inside.name}_fp16"
    found = {
        kind: sum(facts["count"] for name, facts in modules.items() if name.startswith(kind))
        for kind in (inwards, outwards)
    }
    declared = {
        kind.name: sum(
            int(unit.count)
            for unit in spec.units()
            if unit.kind == kind.name and dict(unit.dims)["outputs"] == element
        )
        for kind in (TO_FLOAT, TO_FIXED)
    }
    assert list(found.values()) == [taken * lanes, lanes]
    assert list(declared.values()) == [taken * lanes, lanes]


class Scale(FloatUser):
    """The scale of a row alone, of its largest magnitude and the factor of its norm."""

    place = "scale"
    latency = throughput = "as a factor"

    def __init__(self, spec: VectorSpec) -> None:
        self.spec = spec
        narrow = spec.width - 1
        ports = {"peak": In(narrow), "chosen": In(narrow), "step": In(3), "scale": Out(narrow)}
        super().__init__("scale_alone", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        m.d.comb += self.scale.eq(Factor._scale(self, m, 1, self.peak, self.chosen))  # type: ignore[arg-type]
        return m


def test_the_scale_of_a_row_is_its_largest_magnitude_by_the_norm_and_the_levels() -> None:
    """One multiplier, which has registers, for both products in turn: the second is there in step 4."""
    spec = VectorSpec(
        **BARE, lanes=1, length_max=6, rows_max=3, rotates=False, dots=False, adder_stages=1,
        product_stages=1,
    )  # fmt: skip
    rows, random = 50, np.random.default_rng(0)
    one = spec.number(ONE)
    peak, chosen = (random.integers(one // 2, one + (one >> 3), rows) for _ in range(2))
    step = np.tile(np.arange(8), rows)
    found = drive(Scale(spec), {"peak": peak.repeat(8), "chosen": chosen.repeat(8), "step": step})["scale"]
    scaled = floating.multiply(spec.inside, peak, chosen, True)
    expected = floating.multiply(spec.inside, scaled, np.asarray(spec.number(1 / LEVELS)), True)
    assert found[4::8].tolist() == expected.tolist() and len(set(expected.tolist())) > 40


@pytest.mark.parametrize(
    ("length", "adders", "products"), [(2, 4, 0), (3, 1, 3), (4, 3, 3), (7, 2, 0), (8, 1, 0)]
)
def test_the_factor_of_short_rows_has_no_equal_registers(
    tmp_path: Path, length: int, adders: int, products: int
) -> None:
    """Registers whose inputs are the same gates are one, which is seen only when words have become gates."""
    spec = VectorSpec(
        **BARE,
        lanes=1,
        length_max=length,
        rows_max=3,
        adder_stages=adders,
        product_stages=products,
        dots=True,
    )
    assert in_gates(tmp_path, Factor(spec)) == sum(
        unit.flip_flops for unit in spec.units() if unit.place == "factor"
    )


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("fmt", [FP16, BF16, FP32], ids=lambda fmt: fmt.name)
def test_registers_inside_conversions_are_those_of_their_gates(
    tmp_path: Path, fmt: FloatFormat, stages: int
) -> None:
    spec = VectorSpec(
        **BARE, lanes=1, length_max=8, rows_max=2, format=fmt.name, adder_stages=2, product_stages=stages
    )
    shape = {"stages": stages, "free": True, "quick": True}
    whole = IntToFloat(spec.inside, SUM_WIDTH, **shape)
    assert in_gates(tmp_path, whole) == int(vector_stages.whole_bits(spec))
    port = FloatConvert(spec.outside, spec.inside, flush=True, **shape)
    assert in_gates(tmp_path, port) == int(vector_stages.port_bits(spec))


def in_gates(folder: Path, block: Block) -> int:
    """Flip-flops of a block, without the blocks inside it, when words have become gates."""
    emitted = emission.emit(block)
    (folder / "block.v").write_text("\n".join(emitted.modules.values()))
    others = [f"blackbox {name}" for name in emitted.modules if name != emitted.top]
    lines = ["read_verilog -sv block.v", *others, f"hierarchy -top {emitted.top}", "proc", *GATES]
    yosys.run("\n".join(lines), cwd=folder, timeout_s=100)
    cells = json.loads((folder / "gates.json").read_text())["modules"][emitted.top]["cells"]
    return sum("DFF" in cell["type"] for cell in cells.values())
