"""Statistics of operands: what they are checked for, and that operands have them."""

from __future__ import annotations

import numpy as np
import pytest

from blueprint.errors import ParamError
from blueprint.families.systolic import SystolicSpec
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.workloads.data import EVEN, Data
from blueprint.workloads.tasks import Gemm

TASK = Gemm(64, 64, 64)


@pytest.mark.parametrize("zeros", [0.0, 0.42, 0.9])
@pytest.mark.parametrize("positive", [0.0, 0.5, 0.8])
def test_ternary_weights_have_the_shares(zeros: float, positive: float) -> None:
    spec = TernaryLutSpec(mu=2, lut_count=2, fetch_count=2, act_width=8, k_max=64, n_max=64)
    wgt = spec.typical_operands(TASK, 1, Data(zeros, positive))["wgt"]
    shares = [float((wgt == value).mean()) for value in (-1, 0, 1)]
    assert shares == pytest.approx([(1 - zeros) * (1 - positive), zeros, (1 - zeros) * positive], abs=0.03)


def test_whole_numbers_are_spread_as_asked() -> None:
    spec = SystolicSpec(
        organization="cube", pe="mac", rows=2, cols=2, act_width=8, weight_width=6, k_max=64, n_max=64
    )
    for name, high in (("act", 128), ("wgt", 32)):
        uniform = spec.typical_operands(TASK, 1, EVEN)[name]
        normal = spec.typical_operands(TASK, 1, Data())[name]
        assert (uniform.min(), uniform.max()) == (-high, high - 1)
        assert float(uniform.std()) == pytest.approx(high / 3**0.5, rel=0.05)
        assert float(normal.std()) == pytest.approx(high / 4, rel=0.05)
        assert -high <= normal.min() and normal.max() < high


def test_narrow_numbers_stay_within_their_width() -> None:
    drawn = Data().whole(np.random.default_rng(0), (1000,), 2)
    assert set(drawn.tolist()) <= {-2, -1, 0, 1}


def test_statistics_are_read_from_texts() -> None:
    assert Data.of({}) == Data(0.42, 0.5, "normal")
    assert Data.of({"zeros": "0.3", "spread": "uniform"}) == Data(0.3, 0.5, "uniform")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"zeroes": "0.3"},
            "Data must be one of zeros, positive, spread, not 'zeroes'; did you mean 'zeros'?",
        ),
        ({"zeros": "many"}, "Data zeros must be a number, not 'many'"),
        ({"zeros": "1.5"}, "Data zeros must be a share from 0 to 1, not 1.5"),
        ({"positive": "-0.1"}, "Data positive must be a share from 0 to 1, not -0.1"),
        ({"zeros": "nan"}, "Data zeros must be a share from 0 to 1, not nan"),
        ({"spread": "norml"}, "Data spread must be uniform or normal, not 'norml'; did you mean 'normal'?"),
    ],
)
def test_wrong_statistics_are_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(ParamError) as caught:
        Data.of(given)
    assert str(caught.value) == message
