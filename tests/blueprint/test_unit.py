"""Lines of the inventory: what makes one, and what it refuses."""

import numpy as np
import pytest

from blueprint.unit import ADDER, FLOAT_ADDER, KINDS, MUX, REGISTER, Kind, Unit


def test_a_kind_makes_a_line_by_the_names_of_its_dimensions() -> None:
    line = MUX("lane", 3, width=8, entries=2, activity=0.5)
    assert line == Unit("mux", "lane", 3, {"entries": 2, "width": 8}, 0.5)
    assert tuple(line.dims) == ("entries", "width")


def test_enable_reset_and_stages_need_not_be_given() -> None:
    assert REGISTER("tile", 2, width=5).dims == {"width": 5, "enable": 0, "reset": 0}
    assert REGISTER("tile", 2, width=5, reset=1).dims == {"width": 5, "enable": 0, "reset": 1}
    assert FLOAT_ADDER("lane", 1, exponent=5, fraction=10).dims["stages"] == 0


@pytest.mark.parametrize(
    ("kind", "dims", "message"),
    [
        (ADDER, {"entries": 3}, "A adder is sized by ('width',), not ('entries',)"),
        (ADDER, {"width": 3, "reset": 1}, "A adder is sized by ('width',), not ('width', 'reset')"),
        (MUX, {"width": 3}, "A mux is sized by ('entries', 'width'), not ('width',)"),
        (REGISTER, {}, "A register is sized by ('width', 'enable', 'reset'), not ('enable', 'reset')"),
    ],
)
def test_a_dimension_too_few_or_too_many_is_refused(kind: Kind, dims: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        kind("here", 1, **dims)
    assert str(caught.value) == message


def test_a_step_of_a_path_is_a_line_with_another_count() -> None:
    step = ADDER("lane", 3, width=8, activity=0.5)
    assert step.times(0) == Unit("adder", "lane", 0, {"width": 8})
    assert step.counted(0.5) == Unit("adder", "lane", 0.5, {"width": 8})
    assert np.array_equal(np.asarray(step.times(np.array([0, 1])).count), [0, 3])


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_says_everything_of_itself(name: str) -> None:
    kind = KINDS[name]
    one = kind("here", 1, **dict.fromkeys(kind.dims, 4))
    assert one.kind == name
    assert set(kind.gates) <= set(kind.area)
    assert set(kind.defaults) <= set(kind.dims)
    for terms in (kind.area, kind.energy or {}, kind.delay):
        assert all(np.isfinite(float(term(one.dims))) for term in terms.values())
