"""Processing elements as a description: digits, widths, plans of adders, golden sums, time, many designs at once."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic import floating, processing
from blueprint.arithmetic.floating import FP16
from blueprint.arithmetic.processing import PES, Element, columns, digits
from blueprint.arithmetic.processing import element as element_module
from blueprint.arithmetic.processing.columns import Plan, Row
from blueprint.arithmetic.processing.element import operand_rows, step_plan
from blueprint.errors import ParamError
from blueprint.unit import Unit, flip_flops

WIDTHS = range(2, 17)


def whole(width: int) -> Any:
    """Every integer of a width."""
    return np.arange(-1 << (width - 1), 1 << (width - 1))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("encode", [digits.booth, digits.ent])
def test_digits_stand_for_every_integer(encode: Callable[..., Any], width: int) -> None:
    found = encode(whole(width), width)
    assert found.shape[-1] == -(-width // 2)
    assert np.abs(found).max() <= 2
    assert np.array_equal(digits.value(found), whole(width))


def test_the_most_negative_integer_has_one_digit() -> None:
    """-128 is beyond what sign and magnitude of 7 bits hold; its magnitude 128 is 2 in the highest digit."""
    assert digits.ent(-128, 8).tolist() == [0, 0, 0, -2]
    assert digits.ent_code(-128, 8) == 0b1_10_00_00_00


@pytest.mark.parametrize("width", WIDTHS)
def test_codes_differ_and_fit(width: int) -> None:
    codes = digits.ent_code(whole(width), width)
    assert len(np.unique(codes)) == 1 << width
    assert codes.max() < 1 << (width + 1)


@pytest.mark.parametrize(
    "deviation, ent, booth", [(10, 1.76, 1.93), (20, 2.12, 2.30), (30, 2.34, 2.53), (40, 2.49, 2.68)]
)
def test_fewer_digits_are_not_zero_than_with_booth(deviation: int, ent: float, booth: float) -> None:
    """Published averages of INT8 operands drawn from normal distributions, within a hundredth."""
    drawn = np.random.default_rng(deviation).normal(0, deviation, 400_000)
    values = np.clip(np.rint(drawn), -128, 127).astype(np.int64)
    assert digits.nonzero(digits.ent(values, 8)).mean() == pytest.approx(ent, abs=0.01)
    assert digits.nonzero(digits.booth(values, 8)).mean() == pytest.approx(booth, abs=0.01)


def follow(plan: Plan, rows: tuple[Row, ...], drawn: Any, state: Any) -> tuple[Any, Any]:
    """What the bits that a plan leaves add up to, and how many carries leave it, for the bits given."""
    bits = dict(enumerate([*drawn, *state]))
    for cell in plan.cells:
        one = cell.kind in ("half_one", "invert", "one")
        found = sum((bits[number] for number in cell.bits), np.zeros_like(drawn[0])) + one
        bits[cell.total], bits[cell.carry] = found & 1, found >> 1
    left = sum(bits[number] << column for column, numbers in enumerate(plan.left) for number in numbers)
    return left, sum((bits[number] for number in plan.carries), np.zeros_like(drawn[0]))


SHAPES = [("mac", 8, 8, 1), ("opt1", 8, 8, 1), ("opt1", 3, 5, 4), ("ternary", 2, 8, 6), ("ent", 7, 6, 2)]
SHAPES += [
    ("opt4c", 8, 8, 1),
    ("opt4e", 5, 8, 4),
    ("booth_flex", 8, 8, 1),
    ("opt1", 2, 2, 1),
    ("opt4c", 2, 2, 1),
]


@pytest.mark.parametrize("pe, a_width, b_width, lanes", SHAPES)
def test_adders_change_no_sum(pe: str, a_width: int, b_width: int, lanes: int) -> None:
    element = Element(pe, a_width, b_width, lanes, 32)
    rows, constant = operand_rows(element)
    plan = step_plan(element)
    random = np.random.default_rng(1)
    drawn = [random.integers(0, 2, 500) for _, width in rows for _ in range(width)]
    weights = [column for low, width in rows for column in range(low, low + width)]
    if element.resolves:
        state = [random.integers(0, 2, 500) for count in plan.state for _ in range(count)]
        weights += [column for column, count in enumerate(plan.state) for _ in range(count)]
    else:
        state = [random.integers(0, 2, 500) for _ in range(plan.low)]
        weights += list(range(plan.low))
    before = sum(bit << column for bit, column in zip([*drawn, *state], weights, strict=True)) + constant
    left, carries = follow(plan, rows, drawn, state)
    assert np.array_equal(left + (carries - 1 << plan.low), before)
    if element.resolves:
        assert tuple(len(bits) for bits in plan.left) == plan.state


def test_a_plan_without_a_carry_is_noticed() -> None:
    rows = ((0, 8), (0, 8), (0, 8))
    plan = columns.reduced(rows, 0, 12)
    drawn = [np.ones(1, np.int64)] * 24
    assert follow(plan, rows, drawn, [])[0] == 3 * 255
    broken = Plan(plan.low, plan.width, plan.cells[:-1], plan.state, plan.left, plan.carries, plan.depth)
    with pytest.raises(KeyError):
        follow(broken, rows, drawn, [])


@pytest.mark.parametrize("pe", ["mac", "ternary", "opt1"])
def test_the_needed_width_is_just_enough(pe: str) -> None:
    element = Element(pe, 2 if pe == "ternary" else 8, 8)
    for k in (1, 2, 3, 100):
        most = k * (128 if pe == "ternary" else 128 * 128)
        width = element.needed_width(k)
        assert processing.wrap(most, width) == most
        assert processing.wrap(most, width - 1) != most


def test_a_serial_element_takes_a_cycle_per_digit_that_is_not_zero() -> None:
    element = Element("opt4c", 8, 8)
    assert processing.cycles_per_operand(element, [0, 1, 3, -128, 85, -86, 127]).tolist() == [
        1,
        1,
        2,
        1,
        4,
        4,
        2,
    ]
    dense = Element("booth_serial", 8, 8)
    assert processing.cycles_per_operand(dense, [0, 127]).tolist() == [4, 4]
    assert processing.cycles_per_operand(dense, [0, -1], bits=2).tolist() == [1, 1]
    assert (processing.masks(dense, 8), processing.masks(dense, 3), processing.masks(dense, 2)) == (15, 3, 1)
    assert processing.cycles_per_operand(Element("mac", 8, 8), [0, 9]).tolist() == [1, 1]


def test_dots_are_those_of_numpy() -> None:
    random = np.random.default_rng(5)
    a, b = random.integers(-128, 128, (2, 4, 30))
    found = processing.dot(Element("mac", 8, 8), a, b)
    assert np.array_equal(found, np.einsum("ij,ij->i", a, b))
    assert processing.dot(Element("mac", 8, 8, total_width=8), [100, 100], [1, 1]) == 200 - 256


def test_floats_are_summed_in_the_stated_order() -> None:
    """1 + 2048 + 1 in FP16: neighbors first lose nothing that one by one would."""
    one, big = 0x3C00, 0x6800
    by_one = Element("float", 16, 16, 1, 16, "fp16").check()
    by_two = Element("float", 16, 16, 2, 16, "fp16").check()
    assert processing.dot(by_one, [big, one, one], [one] * 3) == big
    assert processing.dot(by_two, [big, 0, one, one], [one] * 4) == big + 1
    assert processing.dot(by_two, [one], [one]) == one
    assert FP16.width == by_one.total_bits


def test_a_ternary_weight_selects_a_float() -> None:
    """Plus, minus or +0, widened without loss; zero keeps infinities out."""
    one, big, infinite = 0x3C00, 0x6800, 0x7C00
    element = Element("ternary", 2, 16, 2, 16, "fp16").check()
    assert processing.dot(element, [1, 0, 1, 1], [big, infinite, one, one]) == big + 1
    assert processing.dot(element, [-1, 0], [one, infinite]) == one | 0x8000
    assert processing.dot(element, [-1, 0], [0, one]) == 0  # -0 + +0
    wide = Element("ternary", 2, 8, 1, 16, "fp8_e5m2", "fp16").check()
    assert (wide.product_bits, wide.total_bits) == (8, 16)
    assert processing.dot(wide, [-1, 1], [0x3C, 0x01]) == int(
        floating.add(FP16, np.array(one | 0x8000), np.array(0x0100))
    )


def test_a_ternary_weight_multiplies_no_float() -> None:
    kinds = {unit.kind for unit in processing.step_units(Element("ternary", 2, 16, 2, 16, "fp16"), "pe", 1)
             if unit.count}  # fmt: skip
    assert "float_adder" in kinds and "float_multiplier" not in kinds


SIZES = ((8, 8, 1, 32), (4, 8, 4, 24), (2, 6, 2, 20), (9, 3, 1, 12))
TABLE: list[Any] = [(pe, *sizes, "fp16" if pe == "float" else "int") for pe in PES for sizes in SIZES]
TABLE += [("ternary", 2, 8, lanes, 16, "fp8_e5m2", "fp16") for lanes in (1, 3)]
TABLE = [(*row, "same")[:7] for row in TABLE]
PROPERTIES = ("a_bits", "b_bits", "digit_bits", "digits", "product_bits", "product_width", "state_bits", "total_bits",
              "resolves", "serial", "most_slots")  # fmt: skip


def many() -> Element:
    return Element(*(np.array(column) for column in zip(*TABLE, strict=True)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PROPERTIES)
def test_many_elements_are_as_each_alone(name: str) -> None:
    found = np.broadcast_to(getattr(many(), name), len(TABLE))
    assert found.tolist() == [getattr(Element(*row), name) for row in TABLE]


UNITS: dict[str, Callable[[Element], tuple[Unit, ...]]] = {
    "step": lambda e: processing.step_units(e, "pe", 3),
    "accumulate": lambda e: processing.accumulate_units(e, "pe", 3, registered=1),
    "product": lambda e: processing.product_units(e, "pe", 3),
    "merge": lambda e: processing.merge_units(e, "pe", 3),
    "resolve": lambda e: processing.resolve_units(e, "pe", 3),
    "queue": lambda e: processing.queue_units(e, "pe", 3),
    "encode": lambda e: processing.encode_units(e, "pe", 3),
    "path": processing.path,
}


@pytest.mark.parametrize("name", UNITS)
def test_inventories_of_many_elements_are_those_of_each(name: str) -> None:
    together = UNITS[name](many())
    for place, row in enumerate(TABLE):
        alone = UNITS[name](Element(*row))
        for unit, single in zip(together, alone, strict=True):
            assert np.broadcast_to(unit.count, len(TABLE))[place] == single.count
            dims = {key: np.broadcast_to(value, len(TABLE))[place] for key, value in unit.dims.items()}
            assert (unit.kind, dims) == (single.kind, dict(single.dims))


def test_carries_are_saved_only_where_that_is_faster() -> None:
    """An accumulator of 32 bits takes far fewer flip-flops than two rows of 32."""
    assert flip_flops(processing.state_units(Element("opt1", 8, 8), "pe", 1)) == 46
    assert flip_flops(processing.state_units(Element("opt4c", 8, 8), "pe", 1)) == 52
    assert flip_flops(processing.state_units(Element("mac", 8, 8), "pe", 1)) == 32


@pytest.mark.parametrize(
    "element, message",
    [
        (Element("opt5", 8, 8), f"pe must be one of {', '.join(PES)}, not 'opt5'"),
        (Element("mac", 1, 8), "a_width must be from 2 to 16, not 1"),
        (Element("mac", 8, 17), "b_width must be from 2 to 16, not 17"),
        (Element("mac", 8, 8, 0), "lanes must be from 1 to 256, not 0"),
        (Element("mac", 8, 8, 1, 65), "total_width must be from 2 to 64, not 65"),
        (Element("ternary", 3, 8), "a_width must be 2 for ternary weights, not 3"),
        (Element("booth_flex", 7, 8), "booth_flex must have an even a_width and 1 lane, not 7 and 1"),
        (Element("float", 16, 16), "number must be a float format for element float, not int"),
        (Element("mac", 16, 16, number="fp16"), "number must be int for element mac, not fp16"),
        (Element("ternary", 2, 8, number="fp16"), "b_width must be 16 for fp16, not 8"),
        (Element("ternary", 2, 8, number="fp8_e4m3", acc_format="fp8_e5m2"),
         "acc_format must hold every fp8_e4m3, and fp8_e5m2 does not"),
        (Element("float", 8, 8, number="fp16"), "Operands of fp16 must be 16 bits wide, not 8 and 8"),
        (Element("float", 16, 16, number="fp16", acc_format="bf16"),
         "acc_format must hold every fp16, and bf16 does not"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_refused(element: Element, message: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(message)}$"):
        element.check()


def test_what_is_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^lanes must be an integer, not 1\.5$"):
        Element("mac", 8, 8, 1.5).check()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "planned"),
    [
        (("ternary", 9, 1, 0, 1, "int", "fp32"), ("ternary", 2, 2, 1, 2, "int", "fp32")),
        (("mac", 1, 99, 999, 99, "fp16", "fp32"), ("mac", 2, 16, 256, 64, "int", "fp32")),
        (("booth_flex", 5, 5, 8, 20, "int", "fp32"), ("booth_flex", 6, 5, 1, 20, "int", "fp32")),
        (("booth_flex", 6, 5, 8, 20, "int", "fp32"), ("booth_flex", 6, 5, 1, 20, "int", "fp32")),
        (("float", 8, 8, 4, 20, "int", "fp32"), ("float", 8, 8, 4, 20, "fp16", "fp32")),
        (("float", 8, 8, 4, 20, "bf16", "fp32"), ("float", 8, 8, 4, 20, "bf16", "fp32")),
    ],
)
def test_a_column_of_designs_is_planned_as_elements_that_can_be_built(given: Any, planned: Any) -> None:
    """Columns hold what is refused elsewhere: widths beyond the limits, odd widths of Booth digits, floats of none."""
    found = element_module._plain([np.int64(v) if isinstance(v, int) else v for v in given])
    assert tuple(getattr(found, each.name) for each in dataclasses.fields(found)) == planned
