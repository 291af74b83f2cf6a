"""Designs at the least of their parameters keep the promise too: nothing there is left to be simplified away.

Random designs seldom have a parameter at its minimum, and there registers that never move are easily counted.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blueprint.arithmetic.processing import SERIAL
from blueprint.errors import ParamError
from blueprint.families.systolic import SystolicSpec
from blueprint.registry import families
from blueprint.spec import Spec
from blueprint.unit import flip_flops
from generator.export import write_hardware
from simulator.rtl import rtl
from ternforge.conformance import compare, netlist_flip_flops_both_ways
from tests.volume import some

CORNERS = some(1, of=8)


def corner(family: str, number: int) -> Spec:
    """A random design of which about every third number is the least that its parameter may be."""
    random, kind = np.random.default_rng([3, number]), families()[family]
    while True:
        parameters = dict(kind.sample(random).parameters)
        for name, limit in kind.limits().items():
            if limit.minimum is not None and random.random() < 1 / 3:
                parameters[name] = limit.minimum
        try:
            return kind.from_mapping(parameters)
        except ParamError:
            continue


def check(spec: Spec, out: Path, number: int) -> None:
    write_hardware(spec, out)
    predicted = int(flip_flops(spec.units()))
    found = netlist_flip_flops_both_ways(out)
    assert found == (predicted, predicted), spec
    assert compare(spec, rtl.load(out, optimize="-O0"), number) == [], spec


@pytest.mark.slow
@pytest.mark.parametrize("family", families())
@pytest.mark.parametrize("number", range(CORNERS))
def test_designs_at_the_least_of_their_parameters_agree(tmp_path: Path, family: str, number: int) -> None:
    check(corner(family, number), tmp_path / "design", number)


@pytest.mark.parametrize("pe", SERIAL)
def test_a_beat_of_one_digit_takes_one_cycle(tmp_path: Path, pe: str) -> None:
    """Two bits are one digit: nothing counts the cycles of a beat, and no stall can be there."""
    organization = "output_stationary" if pe == "opt3" else "broadcast_matrix"
    length = 4 if pe == "opt4e" else 1
    spec = SystolicSpec(
        organization=organization,
        pe=pe,
        rows=2,
        cols=2,
        dot_length=length,
        act_width=2,
        weight_width=3,
        k_max=9,
        n_max=5,
    )
    assert not spec.paced and not spec.data_dependent
    check(spec, tmp_path / "design", 0)
