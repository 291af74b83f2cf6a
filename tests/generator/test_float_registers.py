"""What registers inside float blocks hold is counted by the names and widths of what the steps pass on."""

import dataclasses

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Signal

from blueprint.arithmetic import float_registers, floating, products
from blueprint.arithmetic.float_registers import Left
from blueprint.arithmetic.floating import BF16, FP8_E4M3, FP8_E5M2, FP16, FP32, FloatFormat
from blueprint.families.vector import VectorSpec, stages
from blueprint.families.vector.parameters import INTEGER_WIDTH, SUM_WIDTH
from generator.arithmetic.floating import (
    FloatAdd,
    FloatConvert,
    FloatMultiply,
    FloatPair,
    FloatProduct,
    IntToFloat,
)
from generator.arithmetic.floating.both import FloatToBoth
from generator.arithmetic.floating.pipeline import FloatBlock, Values, Wires

FORMATS = (FP16, BF16, FP8_E4M3, FP8_E5M2, FP32)


def passed_on(block: FloatBlock) -> list[dict[str, int]]:
    """Widths of the values behind every step of a block, those of constants left out, by name."""
    m, found = Module(), []
    given = Values({name: Signal(block.ports[name].shape) for name in block.operands})
    for number, step in enumerate(block.steps):
        given = Values(step(Wires(m, f"step{number}_", block.quick), given))
        found.append({name: len(value) for name, value in given.items() if not isinstance(value, Const)})
    return found


def counted(steps: tuple[Left, ...]) -> list[dict[str, int]]:
    """Widths by name; a value without bits is none."""
    return [{name: int(bits) for name, bits in step.items() if bits} for step in steps]


def of(fmt: FloatFormat) -> tuple[int, int]:
    return fmt.exponent_bits, fmt.fraction_bits


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_values_between_steps_of_sums_are_those_that_are_counted(fmt: FloatFormat) -> None:
    infinities = int(fmt.infinities)
    assert passed_on(FloatAdd(fmt, stages=1)) == counted(
        float_registers.adder(*of(fmt), infinities=infinities)
    )
    assert passed_on(FloatPair(fmt, stages=1)) == counted(
        float_registers.pair(*of(fmt), infinities=infinities)
    )


@pytest.mark.parametrize("fmt", [FP16, BF16, FP32], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("unsigned", [False, True])
def test_values_between_steps_of_short_and_positive_sums_are_those_that_are_counted(
    fmt: FloatFormat, unsigned: bool
) -> None:
    block = FloatAdd(fmt, flush=True, stages=1, unsigned=unsigned, short=3, quick=True)
    wanted = float_registers.adder(*of(fmt), signed=1 - unsigned, short=3, flushes=1)
    assert passed_on(block) == counted(wanted)


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_values_between_steps_of_multipliers_are_those_that_are_counted(fmt: FloatFormat) -> None:
    rows = products.plan(fmt.fraction_bits).left_bits
    wanted = float_registers.multiplier(*of(fmt), rows, infinities=int(fmt.infinities))
    assert passed_on(FloatMultiply(fmt, stages=1, short=True)) == counted(wanted)


@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize("fmt", [FP16, BF16, FP32], ids=lambda fmt: fmt.name)
def test_values_between_steps_of_products_are_those_that_are_counted(
    fmt: FloatFormat, unsigned: bool
) -> None:
    rows = products.plan(fmt.fraction_bits).left_bits
    wanted = float_registers.product(*of(fmt), rows, signed=1 - unsigned)
    assert passed_on(FloatProduct(fmt, stages=1, unsigned=unsigned)) == counted(wanted)


def vector(fmt: str) -> VectorSpec:
    """A vector unit of a format with registers inside its products."""
    number = 0
    while (spec := VectorSpec.sample(np.random.default_rng([11, number]))).format != fmt:
        number += 1
    return dataclasses.replace(spec, adder_stages=2, product_stages=2)


@pytest.mark.parametrize("fmt", ["fp16", "bf16"])
def test_values_between_steps_of_a_vector_unit_are_those_that_are_counted(fmt: str) -> None:
    spec = vector(fmt)
    narrow = spec.width > spec.element_width
    both = FloatToBoth(spec.inside, spec.outside, INTEGER_WIDTH, stages=2, flush=True)
    last = stages.both_steps(spec, narrow)
    names = [set(step) for step in passed_on(both)]
    assert passed_on(both)[:2] == counted(last[:2])
    # The last step of the integer has its result; that of the element may have one more step to go.
    assert names[2] == (set(last[2]) if narrow else {"result", "whole"})
    assert passed_on(FloatProduct(spec.inside, stages=2))[:3] == counted(stages.product_steps(spec, 1)[:3])
    assert passed_on(IntToFloat(spec.inside, SUM_WIDTH, stages=2))[:3] == counted(stages.whole_steps(spec))
    port = passed_on(FloatConvert(spec.outside, spec.inside, flush=True, stages=2))
    assert port[:3] == (counted(stages.port_steps(spec)) if narrow else [{"result": spec.width}])


def test_a_value_that_is_not_counted_is_noticed() -> None:
    adder = counted(float_registers.adder(*of(FP16)))
    found = passed_on(FloatAdd(FP16, flush=True, stages=1))
    assert [step for step in found if step not in adder] == [adder[3] | {"tiny": 1}]


def test_registers_beyond_the_steps_stand_behind_the_last() -> None:
    steps = float_registers.adder(*of(FP16))
    few, many = (float_registers.held(steps, floating.ADD_DELAYS, count, 8) for count in (4, 7))
    assert many - few == 3 * FP16.width
    assert float_registers.held(steps, floating.ADD_DELAYS, 0, 8) == 0
