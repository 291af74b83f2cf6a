"""Many designs at once, place by place and path by path, beside each design by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from blueprint import registry
from blueprint.arithmetic.softmax.inventory import deep_tail
from blueprint.spec import Spec
from costmodel.model import estimate, glitches
from costmodel.technology import technology

ASAP7 = technology.load("asap7")
COUNT = 60


def drawn(family: str) -> list[Spec]:
    """Random designs, half of which have the option that the fewest of all have."""
    kind = registry.get(family)
    every = [kind.sample(np.random.default_rng([91, number])) for number in range(6 * COUNT)]
    options = [name for name, value in every[0].parameters.items() if isinstance(value, bool)]
    rare = min(options, key=lambda name: sum(bool(spec.parameters[name]) for spec in every), default=None)
    chosen = [spec for spec in every if rare and spec.parameters[rare]][: COUNT // 2]
    return (chosen + [spec for spec in every if spec not in chosen])[:COUNT]


def columns(specs: list[Spec]) -> Spec:
    names = specs[0].parameters
    return type(specs[0]).columns(
        {name: np.array([spec.parameters[name] for spec in specs]) for name in names}
    )


def numbers(spec: Spec) -> dict[str, Any]:
    """Areas and energies of every place, and the steps of every path, by name."""
    found: dict[str, Any] = {
        f"area of {place}": area for place, area in estimate.area(spec.units(), ASAP7).items()
    }
    for place, (clocks, moved) in estimate.energies_by_place(spec.units(), ASAP7).items():
        found |= {f"clocks of {place}": clocks, f"energy of {place}": moved}
    found |= {f"glitches of {place}": energy for place, energy in glitches.energies(spec, ASAP7).items()}
    for path in spec.paths():
        name, steps = f"path {path.name}", estimate.steps(path, ASAP7)
        found[name] = np.maximum(found.get(name, 0.0), steps)  # one of several forms, in columns
    return found


@pytest.mark.parametrize("family", registry.families())
def test_every_place_and_path_of_many_designs_is_that_of_each(family: str) -> None:
    """What a design does not have is nothing."""
    specs = drawn(family)
    together = {name: np.broadcast_to(value, COUNT) for name, value in numbers(columns(specs)).items()}
    wrong = set()
    for number, spec in enumerate(specs):
        alone = numbers(spec)
        assert alone.keys() <= together.keys()
        wrong |= {
            name
            for name, each in together.items()
            if not np.isclose(each[number], alone.get(name, 0.0), rtol=1e-9)
        }
    assert not wrong


@pytest.mark.parametrize(("place", "cuts"), [("scale", "scale_cuts"), ("finish", "finish_cuts")])
def test_last_steps_of_a_block_are_of_the_numbers_of_each_design(place: str, cuts: str) -> None:
    """Blocks of integers and of floats are cut at other steps, and a path ends with those of its own kind."""
    specs: list[Any] = drawn("streaming_attention")
    many: Any = columns(specs)
    together = sum(unit.count for unit in deep_tail(many.softmax, place, 1, getattr(many, cuts)))
    alone = [sum(u.count for u in deep_tail(s.softmax, place, 1, getattr(s, cuts))) for s in specs]
    assert np.broadcast_to(together, COUNT).tolist() == alone
