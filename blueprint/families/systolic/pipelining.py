"""Registers inside float adders and multipliers of arrays, and the paths between them.

A float adder with registers is a ring: its registers and the one behind it hold one sum each, and every beat moves all
of them on by one place. So a sum is back at the adder's input when its next product comes.
"""

from __future__ import annotations

from typing import Any

from blueprint.arithmetic import float_registers, floating, products
from blueprint.families.systolic.elements import MOST_ADDER_STAGES, MOST_PRODUCT_STAGES
from blueprint.families.systolic.parameters import SystolicParameters
from blueprint.numbers import Number, Real, choose, flag
from blueprint.unit import BROADCAST, FLOAT_ADDER, FLOAT_MULTIPLIER, MUX, REGISTER, Path, Unit


def _dims(p: SystolicParameters) -> tuple[Number, Number, Number]:
    """Exponent and fraction bits of the format of sums, and 1 if it has infinities."""
    dims = floating.unit_dims(p.sum_format)
    return dims["exponent"], dims["fraction"], floating.look_up(p.sum_format, lambda fmt: int(fmt.infinities))


def adder_bits(p: SystolicParameters) -> Number:
    """Flip-flops inside the adder of an element."""
    exponent, fraction, infinities = _dims(p)
    steps = float_registers.adder(exponent, fraction, infinities=infinities)
    return float_registers.held(steps, floating.ADD_DELAYS, p.adder_stages, MOST_ADDER_STAGES)


def multiplier_bits(p: SystolicParameters) -> Number:
    """Flip-flops inside the multiplier of an element."""
    exponent, fraction, infinities = _dims(p)
    rows = floating.look_up(p.sum_format, lambda fmt: products.plan(fmt.fraction_bits).left_bits)
    steps = float_registers.multiplier(exponent, fraction, rows, infinities=infinities)
    return float_registers.held(steps, floating.MULTIPLY_DELAYS, p.product_stages, MOST_PRODUCT_STAGES)


def units(p: SystolicParameters, count: Number) -> tuple[Unit, ...]:
    """Registers inside the adders and multipliers of ``count`` elements."""
    return (
        REGISTER("pe", count * p.interleaves, width=adder_bits(p), enable=1),
        REGISTER("pe", count * flag(p.product_stages > 0), width=multiplier_bits(p)),
    )


def staged(p: SystolicParameters, units: tuple[Unit, ...]) -> tuple[Unit, ...]:
    """The same units with the registers of their float adders and multipliers among their dimensions."""
    inside = {FLOAT_ADDER.name: p.adder_stages, FLOAT_MULTIPLIER.name: p.product_stages}
    return tuple(
        Unit(u.kind, u.place, u.count, {**u.dims, "stages": inside[u.kind]}, u.activity)
        if u.kind in inside
        else u
        for u in units
    )


def pieces(delays: tuple[int, ...], stages: Number, most: int) -> tuple[Real, Real, Real]:
    """Shares of a delay: to the first register, the longest between two, behind the last; all is first without any."""
    begin: Any = 1.0
    middle: Any = 0.0
    end: Any = 0.0
    for count in range(1, most + 1):
        first, *rest = floating.pieces(delays, count)
        here = stages == count
        begin, end = choose(here, first, begin), choose(here, rest[-1], end)
        middle = choose(here, max(rest[:-1], default=0.0), middle)
    return begin, middle, end


def adder_pieces(p: SystolicParameters) -> tuple[Real, Real, Real]:
    """Parts of the delay of an adder."""
    return pieces(floating.ADD_DELAYS, p.adder_stages, MOST_ADDER_STAGES)


def multiplier_pieces(p: SystolicParameters) -> tuple[Real, Real, Real]:
    """Parts of the delay of a multiplier."""
    return pieces(floating.MULTIPLY_DELAYS, p.product_stages, MOST_PRODUCT_STAGES)


def shortened(p: SystolicParameters, steps: tuple[Unit, ...], place: int) -> tuple[Unit, ...]:
    """Steps of a path of which float adders and multipliers are the piece at a place: first, between, last."""
    share = {FLOAT_ADDER.name: adder_pieces(p)[place], FLOAT_MULTIPLIER.name: multiplier_pieces(p)[place]}
    return tuple(u.counted(u.count * share[u.kind]) if u.kind in share else u for u in staged(p, steps))


def paths(p: SystolicParameters) -> tuple[Path, ...]:
    """Between and behind the registers of an adder and of a multiplier, and the line that moves a ring."""
    dims, there = floating.unit_dims(p.sum_format, p.adder_stages), p.interleaves
    multiplies = flag(p.product_stages > 0)
    product = {**dims, "stages": p.product_stages}
    waves = choose(p.skewed, p.rows + p.cols - 1, 1)
    moved = p.rows * p.cols * (adder_bits(p) + p.float_width) // waves
    return (
        *(Path(f"inside-accumulate-{name}", (FLOAT_ADDER("pe", there * share, **dims),))
          for name, share in zip(("middle", "end"), adder_pieces(p)[1:], strict=True)),
        *(Path(f"inside-multiply-{name}", (FLOAT_MULTIPLIER("pe", multiplies * share, **product),))
          for name, share in zip(("middle", "end"), multiplier_pieces(p)[1:], strict=True)),
        Path("turn", (BROADCAST("control", there, fanout=moved), MUX("pe", there, entries=2, width=p.float_width))),
    )  # fmt: skip
