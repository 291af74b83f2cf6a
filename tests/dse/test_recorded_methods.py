"""Every method of search asks for the recorded designs (`python -m tests.dse.recorded_methods`)."""

from __future__ import annotations

import pytest

from dse.searches import methods
from tests.dse import recorded_methods as recorded

KEPT = recorded.kept()


@pytest.mark.parametrize(("method", "options", "space"), recorded.CASES)
def test_a_method_asks_for_the_recorded_designs(method: str, options: str, space: str) -> None:
    assert recorded.asked(method, options, space) == KEPT[recorded.name(method, options)][space]


def test_every_method_that_needs_no_other_package_is_recorded() -> None:
    mine = set(methods.ours()) - set(methods._NEEDS) - {methods.AUTO, methods.EXHAUSTIVE, methods.PRUNED}
    assert mine == set(recorded.METHODS)
    assert KEPT.keys() == {
        "recipe",
        *(recorded.name(method, options) for method, options, _ in recorded.CASES),
    }


@pytest.mark.parametrize("method", recorded.METHODS)
def test_what_is_asked_for_depends_on_the_space(method: str) -> None:
    """The failing twin: a method that learns asks for others in every space, the others where its size differs."""
    keys = [recorded.name(method, options) for options in recorded.METHODS[method]]
    found = {str(KEPT[key][space]) for key in keys for space in recorded.SPACES}
    every = len(keys) * len(recorded.SPACES)
    assert len(found) == {"random": 3, "sobol": 2}.get(method, every)
