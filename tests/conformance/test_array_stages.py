"""Registers inside the adders of ``systolic``: sums that take turns, and results in pieces; corners, and refusals.

The random designs of the family have them too (``tests/conformance/test_agreement.py``).
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic.processing import Element
from blueprint.arithmetic.processing.cascade import plans
from blueprint.arithmetic.processing.columns import Plan
from blueprint.arithmetic.processing.element import step_plan
from blueprint.arithmetic.processing.resolving import MOST_PIECES, ONE, Bit, Words, of_rows, of_state
from blueprint.errors import ParamError
from blueprint.families.systolic import SystolicSpec
from blueprint.unit import flip_flops
from blueprint.workloads.tasks import Gemm
from generator.export import write_hardware
from simulator.cosim import check as cosim
from simulator.engine import kernel
from simulator.rtl import rtl
from ternforge.conformance import compare
from tests.conformance.corners import differences
from tests.volume import first, some

SIZES = {"k_max": 20, "n_max": 9, "m_max": 5}
CUBE, WAVES, STAYS = ({"organization": name} for name in ("cube", "output_stationary", "weight_stationary"))
SELECTS = {
    "pe": "ternary",
    "act_width": 8,
    "weight_width": 2,
    "activation": "fp8_e5m2",
    "rows": 2,
    "cols": 2,
}
MULTIPLIES = SELECTS | {"pe": "float", "weight_width": 8, "product_register": True}
SAVES = {"pe": "opt1", "act_width": 4, "weight_width": 4, "rows": 2, "cols": 2}
#: One row and several, operands that pass on, formats that are widened, sparse weights.
DESIGNS: dict[str, dict[str, Any]] = {
    "selects": {**CUBE, **SELECTS, "adder_stages": 2},
    "multiplies": {**WAVES, **MULTIPLIES, "adder_stages": 1, "product_stages": 2, "rows": 1},
    "pieces": {**WAVES, **SAVES, "resolve_cycles": 3},
    "pieces_of_rows": {**STAYS, **SAVES, "resolve_cycles": 3},
}
#: Those that take longer.
MORE: dict[str, dict[str, Any]] = {
    "widened": {**WAVES, **SELECTS, "acc_format": "fp16", "adder_stages": 4, "product_register": True},
    "whole_run": {**CUBE, **SELECTS, "adder_stages": 3, "n_max": 2, "m_max": 1, "rows": 1},
    "sparse": {**CUBE, **SELECTS, "adder_stages": 1, "sparsity": "1:2"},
    "products": {**CUBE, **MULTIPLIES, "acc_format": "bf16", "adder_stages": 4, "product_stages": 3},
    "no_infinities": {**CUBE, **MULTIPLIES, "activation": "fp8_e4m3", "adder_stages": 3, "product_stages": 1},
    "grouped": {**CUBE, **SAVES, "pe": "opt2", "rows": 1, "product_register": True, "resolve_cycles": 4},
    "digits": {**CUBE, **SAVES, "pe": "opt4c", "resolve_cycles": 2},
    "most_pieces": {**CUBE, **SAVES, "resolve_cycles": 6, "acc_width": 40},
    "one_row_stays": {
        **STAYS,
        **SAVES,
        "pe": "opt2",
        "rows": 1,
        "resolve_cycles": 4,
        "product_register": True,
    },
    "memories": {**STAYS, **SAVES, "rows": 3, "resolve_cycles": 2, "accumulator": "sram"},
}


def array(**more: Any) -> SystolicSpec:
    return SystolicSpec.from_mapping({**SIZES, **more})


@pytest.mark.parametrize("name", DESIGNS)
def test_values_cycles_beats_and_flip_flops_agree(tmp_path: Path, name: str) -> None:
    assert differences(array(**DESIGNS[name]), tmp_path / "core") == []


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_values_cycles_beats_and_flip_flops_agree_more(tmp_path: Path, name: str) -> None:
    assert differences(array(**MORE[name]), tmp_path / "core") == []


@pytest.mark.slow
@pytest.mark.parametrize("name", first(1, ["pieces_of_rows", "multiplies", "pieces"]))
def test_the_exported_bench_agrees(tmp_path: Path, name: str) -> None:
    spec = array(**DESIGNS[name])
    write_hardware(spec, tmp_path)
    report = cosim.check(spec, tmp_path, cosim.cases(spec, 3, seed=2))
    assert report.failure is None and report.ok


def drawn(number: int) -> SystolicSpec:
    """A random design with registers inside its adders: sums that take turns and results in pieces by turns."""
    random = np.random.default_rng([17, number])
    while True:
        spec = SystolicSpec.sample(random)
        if spec.interleaves if number % 2 else spec.resolve_cycles > 1:
            return spec


@pytest.mark.slow
@pytest.mark.parametrize("number", range(some(4, of=28)))
def test_random_designs_agree(tmp_path: Path, number: int) -> None:
    assert differences(drawn(number), tmp_path / "core") == []


@pytest.mark.parametrize(
    ("module", "line"), [("systolic_sum*_chain", "so_far"), ("pe_opt1_resolve*", "more0")]
)
def test_a_line_that_is_broken_is_noticed(tmp_path: Path, module: str, line: str) -> None:
    spec = array(**DESIGNS["selects" if line == "so_far" else "pieces"])
    write_hardware(spec, tmp_path)
    file = next(tmp_path.glob(f"rtl/{module}.v"))
    text = file.read_text()
    broken = re.sub(rf"(assign {line} = )([^;]*);", r"\g<1>~(\g<2>);", text, count=1)
    assert broken != text
    file.write_text(broken)
    assert compare(spec, rtl.load(tmp_path, optimize="-O0"), 5) != []


# Time -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adders", [1, 4])
@pytest.mark.parametrize("organization", ["cube", "output_stationary"])
def test_closed_form_is_that_of_the_graph_where_sums_take_turns(adders: int, organization: str) -> None:
    spec = array(**SELECTS, organization=organization, adder_stages=adders)
    waiting = 0
    for m, k, n in itertools.product((1, 2, 5), (1, 2, 8, 20), (1, 3, 9)):
        line = kernel.run(spec.timing(Gemm(m, k, n)), {})
        assert line.cycles == spec.cycles(Gemm(m, k, n)), (m, k, n)
        waiting += line.stalls["output"] > 0
    assert waiting


def test_hardly_a_cycle_is_lost_where_sums_take_turns() -> None:
    row = SystolicSpec(
        organization="cube", pe="ternary", activation="fp16", act_width=16, weight_width=2, rows=1, cols=256,
        k_max=6912, n_max=6912, adder_stages=4, product_register=True,
    )  # fmt: skip
    task = Gemm(1, 6912, 2 * 5 * 256)
    assert row.cycles(task) == 2 * (6912 * 5 + 1) + 9 * 3
    assert row.cycles(task) < 1.001 * task.macs / row.peak_macs


@pytest.mark.parametrize("cycles", [1, 2, 5])
def test_a_result_in_pieces_leaves_later_and_nothing_waits_longer(cycles: int) -> None:
    whole, parted = (array(**CUBE, **SAVES, resolve_cycles=count) for count in (1, cycles))
    for m, k, n in itertools.product((1, 5), (1, 3, 20), (1, 9)):
        one, other = (kernel.run(spec.timing(Gemm(m, k, n)), {}) for spec in (whole, parted))
        assert other.cycles == one.cycles + cycles - 1 == parted.cycles(Gemm(m, k, n))
        assert other.stalls == one.stalls


# Words in pieces ------------------------------------------------------------------------------------------------------


def words() -> list[tuple[Plan, Words]]:
    elements = [
        Element(pe, 4, 5, lanes, 23)
        for pe, lanes in (
            ("opt1", 1),
            ("opt1", 3),
            ("opt2", 2),
            ("opt3", 1),
            ("opt4e", 4),
            ("booth_serial", 2),
        )
    ]
    found = [(plan := step_plan(element), of_state(plan)) for element in elements]
    cascades = [
        plans(Element(pe, 4, 5, 2, 14), 3, held).last for pe in ("opt1", "opt2") for held in (False, True)
    ]
    return found + [(plan, of_rows(plan)) for plan in cascades]


@pytest.mark.parametrize("number", range(10))
def test_pieces_of_random_words_are_as_many_bits_as_are_counted(number: int) -> None:
    """Random bits through every register: what it holds is what changes, and the pieces are the sum."""
    plan, given = words()[number]
    random, width = np.random.default_rng(number), len(given.columns)
    names = sorted({bit for column in given.columns for bit in column} - {ONE})
    runs = [
        {ONE: 1, **dict(zip(names, random.integers(0, 2, len(names)).tolist(), strict=True))}
        for _ in range(400)
    ]
    assert width == plan.width
    for cycles in range(1, MOST_PIECES + 1):
        held = 0
        for end in given.cuts(cycles)[:-1]:
            seen = [_held(given, bits, end) for bits in runs]
            changes = sum(len({run[place] for run in seen}) > 1 for place in range(len(seen[0])))
            held += changes + len(given.left(end))
        assert given.held(cycles) == held, cycles
    assert given.held(2) > given.held(1) == 0


def _held(given: Words, bits: dict[Bit, int], end: int) -> list[int]:
    """Bits of the sum below a column, and the carry."""
    total = sum(bits[bit] << place for place, column in enumerate(given.columns[:end]) for bit in column)
    return [total >> place & 1 for place in range(end + 1)]


def test_flip_flops_of_pieces_are_those_of_columns_too() -> None:
    drawn_specs = [array(**organization, **SAVES, resolve_cycles=cycles)
                   for organization in (CUBE, STAYS) for cycles in (1, 2, 3)]  # fmt: skip
    table = {
        name: np.array([spec.parameters[name] for spec in drawn_specs]) for name in drawn_specs[0].parameters
    }
    found = flip_flops(SystolicSpec.columns(table).units())
    assert found.tolist() == [int(flip_flops(spec.units())) for spec in drawn_specs]  # type: ignore[union-attr]


# Refusals -------------------------------------------------------------------------------------------------------------

PIECES = (
    "Parameter resolve_cycles must be at most {} (one for two bits of a result, and one for elements whose sums are "
    "not in carry-save form), not {}"
)
PRODUCTS = "Parameter 'product_stages' must be 0 without a float multiplier, product_register and adder_stages, not {}"
REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {**STAYS, **SELECTS, "adder_stages": 1},
        "Parameter 'adder_stages' must be 0 where weights stay: a tile is loaded as fast as sums pass down, and would "
        "wait for them, not 1",
    ),
    (
        {**CUBE, **SELECTS, "adder_stages": 2, "dot_length": 2},
        "Parameter 'adder_stages' must be 0 for dot_length 2: the products of a beat would be added in one cycle, "
        "not 2",
    ),
    (
        {**CUBE, **SELECTS, "adder_stages": 1, "k_max": 1},
        "Parameter 'adder_stages' must be 0 for k_max 1: nothing is added to a sum of one beat, not 1",
    ),
    ({**CUBE, **SAVES, "adder_stages": 1}, "Parameter 'adder_stages' must be 0 for int numbers, not 1"),
    (
        {**CUBE, **SELECTS, "adder_stages": 5},
        "Parameter 'adder_stages' must be an integer from 0 to 4, not 5",
    ),
    ({**CUBE, **SELECTS, "adder_stages": 1, "product_stages": 1}, PRODUCTS.format(1)),
    ({**CUBE, **MULTIPLIES, "product_stages": 2}, PRODUCTS.format(2)),
    ({**CUBE, **SAVES, "pe": "mac", "resolve_cycles": 2}, PIECES.format(1, 2)),
    (
        {**CUBE, **SAVES, "k_max": 1, "act_width": 2, "weight_width": 2, "resolve_cycles": 3},
        PIECES.format(2, 3),
    ),
]


@pytest.mark.parametrize(("more", "message"), REFUSED)
def test_what_cannot_be_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(message)}$"):
        array(**more)


def test_columns_say_the_same_of_what_is_refused() -> None:
    names = {name for more, _ in REFUSED for name in more} | {*SIZES}
    plain = array(**CUBE, **SELECTS).parameters
    table = {
        name: np.array([{**SIZES, **more}.get(name, plain[name]) for more, _ in REFUSED]) for name in names
    }
    possible, _, _ = SystolicSpec.columns(table).feasible()
    assert not possible.any()
