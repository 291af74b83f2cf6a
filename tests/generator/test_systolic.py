"""Arrays as Verilog: quick to write however large, as long as they have different modules."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic.processing.cascade import plans
from blueprint.families.systolic import SystolicSpec, inventory
from blueprint.unit import flip_flops
from generator.block import Block
from generator.emission import emit
from generator.export import write_hardware
from generator.families.systolic.control import StationaryControl, SummingControl
from generator.families.systolic.edge import DigitWait
from simulator.rtl import rtl
from ternforge.conformance import compare, netlist_flip_flops
from tests.named_registers import built_registers, there


def array(size: int, organization: str, **changes: Any) -> SystolicSpec:
    common: dict[str, Any] = {
        "pe": "ternary", "act_width": 8, "weight_width": 2, "k_max": 6912, "n_max": 6912, "token_depth": 4,
    }  # fmt: skip
    return SystolicSpec(**common | {"organization": organization, "rows": size, "cols": size} | changes)


def text(out: Path) -> int:
    return sum(file.stat().st_size for file in out.glob("rtl/*.v"))


@pytest.mark.slow
@pytest.mark.parametrize("organization", ["weight_stationary", "output_stationary", "cube"])
def test_a_large_array_is_written_in_seconds(organization: str, tmp_path: Path) -> None:
    before = os.times()
    manifest = write_hardware(array(128, organization), tmp_path)
    after = os.times()
    # Seconds of this process and of Yosys: other work on the machine does not count.
    assert sum(after[:4]) - sum(before[:4]) < 20
    elements = [m["count"] for name, m in manifest["modules"].items() if name.endswith(("_chain", "_keep"))]
    assert sum(elements) == 128 * 128
    assert text(tmp_path) < 1.2e6


@pytest.mark.parametrize("organization", ["output_stationary", "cube"])
def test_text_does_not_grow_with_the_elements(organization: str, tmp_path: Path) -> None:
    sizes = []
    for size in (4, 16):
        manifest = write_hardware(array(size, organization), tmp_path / str(size))
        assert sorted(m["count"] for m in manifest["modules"].values())[-1] == size * size
        sizes.append(text(tmp_path / str(size)))
    assert sizes[1] < 2 * sizes[0]


def test_rows_differ_only_where_their_sums_do(tmp_path: Path) -> None:
    manifest = write_hardware(array(16, "weight_stationary"), tmp_path)
    rows = {name: m["count"] for name, m in manifest["modules"].items() if name.endswith("_row16")}
    assert sum(rows.values()) == 16
    assert len(rows) == 8  # the first, and two a width: where it grows and where it stays


def test_rows_that_hand_on_two_words_are_soon_alike(tmp_path: Path) -> None:
    design = array(10, "weight_stationary", pe="opt1", act_width=4, weight_width=3, cols=2)
    manifest = write_hardware(design, tmp_path)
    rows = {name: m["count"] for name, m in manifest["modules"].items() if name.endswith("_row2")}
    assert sum(rows.values()) == 10
    assert len(rows) == len(set(plans(design.cascade.element, 10, False).rows)) <= 8
    assert [m["count"] for name, m in manifest["modules"].items() if name.startswith("pe_total")] == [2]


@pytest.mark.parametrize("pe", ["opt4c", "opt4e", "booth_serial", "ent"])
def test_a_row_shares_its_encoders(pe: str, tmp_path: Path) -> None:
    width = 8 if pe != "ent" else 7
    manifest = write_hardware(array(3, "output_stationary", pe=pe, act_width=width, weight_width=4,
                              dot_length=4 if pe == "opt4e" else 1), tmp_path)  # fmt: skip
    shared = [m["count"] for n, m in manifest["modules"].items() if n.startswith(("pe_queue", "pe_encode"))]
    assert shared == [3 * (4 if pe == "opt4e" else 1)]


def test_opt3_has_an_encoder_in_every_element(tmp_path: Path) -> None:
    manifest = write_hardware(array(3, "output_stationary", pe="opt3", weight_width=4), tmp_path)
    assert [m["count"] for n, m in manifest["modules"].items() if n.startswith("pe_queue")] == [9]


SELECT: dict[str, Any] = {
    "pe": "ternary", "weight_width": 2, "act_width": 8, "activation": "fp8_e5m2", "acc_format": "fp16", "dot_length": 1,
}  # fmt: skip
STAYS, SUMS = {"organization": "weight_stationary"}, {"organization": "output_stationary"}
HELD = {"product_register": True}


def small(pe: str, act: int, weight: int, rows: int, cols: int, k_max: int) -> dict[str, Any]:
    sizes = {"rows": rows, "cols": cols, "k_max": k_max}
    return {"pe": pe, "act_width": act, "weight_width": weight} | sizes


#: Single rows, columns and products; ragged edges; formats that are widened; signs that are registered.
CORNERS: list[dict[str, Any]] = [
    STAYS | SELECT | {"rows": 1, "cols": 1, "k_max": 1},
    STAYS | SELECT | {"rows": 1, "cols": 3, "k_max": 5, "token_depth": 1},
    STAYS
    | SELECT
    | HELD
    | {"rows": 3, "cols": 2, "k_max": 3, "activation": "fp8_e4m3", "acc_format": "bf16"},
    STAYS | SELECT | HELD | {"rows": 2, "cols": 1, "k_max": 17, "accumulator": "sram"},
    STAYS | SELECT | HELD | {"rows": 3, "cols": 2, "k_max": 40, "sparsity": "1:2"},
    SUMS | SELECT | HELD | {"rows": 3, "cols": 2, "k_max": 1},
    SUMS | SELECT | {"rows": 2, "cols": 3, "k_max": 1, "dot_length": 2},
    STAYS | small("opt1", 2, 2, 1, 1, 1),
    STAYS | small("opt1", 4, 4, 5, 1, 2) | {"token_depth": 2, "dot_length": 2},
    STAYS | small("opt1", 4, 4, 1, 4, 300) | {"dot_length": 3, "acc_width": 40},
    STAYS | HELD | small("opt1", 3, 5, 3, 1, 70),
    STAYS | small("opt2", 2, 2, 1, 1, 1) | {"token_depth": 1},
    STAYS | small("opt2", 3, 3, 4, 3, 5) | {"dot_length": 2},
    STAYS | HELD | small("opt2", 5, 7, 2, 2, 200) | {"sparsity": "1:4"},
    SUMS | HELD | small("opt1", 2, 2, 1, 1, 1),
    SUMS | HELD | small("opt1", 3, 5, 3, 1, 70),
    SUMS | HELD | small("opt2", 3, 3, 1, 3, 5) | {"dot_length": 2},
]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(CORNERS)))
def test_corners_agree(number: int, tmp_path: Path) -> None:
    spec = SystolicSpec(n_max=7, m_max=9, **CORNERS[number])
    write_hardware(spec, tmp_path)
    assert compare(spec, rtl.load(tmp_path, optimize="-O0"), number) == []
    for flatten in (False, True):
        assert netlist_flip_flops(tmp_path, flatten=flatten) == int(flip_flops(spec.units()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "module", "line"),
    [
        (12, "pe_opt2_pass", "add3_carry"),
        (12, "pe_total", "add0_sum"),
        (4, "pe_ternary_fp8_e5m2_fp16_product", "selected0"),
    ],
)
def test_a_bit_that_is_lost_is_noticed(number: int, module: str, line: str, tmp_path: Path) -> None:
    spec = SystolicSpec(n_max=7, m_max=9, **CORNERS[number])
    write_hardware(spec, tmp_path)
    file = next(tmp_path.glob(f"rtl/{module}*.v"))
    text = file.read_text()
    broken = re.sub(rf"(assign {line} = )[^;]*;", r"\g<1>1'h0;", text, count=1)
    assert broken != text
    file.write_text(broken)
    assert any("out differs" in wrong for wrong in compare(spec, rtl.load(tmp_path, optimize="-O0"), number))


def named_registers(spec: SystolicSpec) -> dict[str, int]:
    """Bits of the registers of the sequencer by name, as the inventory counts them."""
    own = inventory.staying_flags(spec) if spec.stationary else inventory.summing_flags(spec)
    every = inventory.sequencer_counters(spec) | inventory.loop_flags(spec) | own
    return there(every)


def control(spec: SystolicSpec) -> Block:
    """The sequencer of a design."""
    return StationaryControl(spec) if spec.stationary else SummingControl(spec)


@pytest.mark.parametrize("number", range(30))
def test_registers_of_the_sequencer_are_built_by_the_names_and_widths_that_are_counted(number: int) -> None:
    spec = SystolicSpec.sample(np.random.default_rng([12, number]))
    assert built_registers(control(spec)) == named_registers(spec)


@pytest.mark.parametrize(
    ("organization", "register"), [("weight_stationary", "swap"), ("output_stationary", "last")]
)
def test_a_row_more_delays_its_wave_by_a_register(organization: str, register: str) -> None:
    named, built = named_registers(array(4, organization)), built_registers(control(array(5, organization)))
    assert {name for name in named | built if named.get(name) != built.get(name)} >= {register}
    assert built[register] == named[register] + 2  # a row and a column


@pytest.mark.parametrize(("width", "digits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_an_element_of_one_digit_waits_for_none_and_has_no_register(width: int, digits: int) -> None:
    block = DigitWait(width)
    assert block.clocked is (digits > 1) and ("clk" in block.pins) is (digits > 1)
    text = "".join(emit(block).modules.values())
    assert ("posedge clk" in text) is (digits > 1)
