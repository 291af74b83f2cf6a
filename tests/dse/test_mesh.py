"""Boxes of a space, and the numbers of their designs: those of flat columns, to the bit."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import pytest

from blueprint import registry
from blueprint.spec import Spec
from blueprint.workloads.workload import Workload
from costmodel.model.evaluate import TechnologyCosts
from costmodel.technology import technology
from dse.axis import CLOCK, Axis
from dse.batch import Batch, join
from dse.evaluation import Evaluation
from dse.families import Families, design_problem
from dse.mesh import Box, boxes, consecutive, of_range
from dse.problem import CHUNK, FEWEST, MESH, Problem
from dse.space import Constraint, Space, SubSpace
from tests.dse import toy
from tests.dse.test_terms import BOTH

FAMILIES = registry.families()
MOST_DESIGNS = 6000


def drawn_axes(sample: Spec, random: np.random.Generator) -> tuple[Axis, ...]:
    """Values of every parameter, that of a design that can be built first, and others that may not go with it."""
    kind = type(sample)
    samples = [each.parameters for each in (sample, kind.sample(random), kind.sample(random))]
    axes, size = {name: Axis(name, (value,)) for name, value in samples[0].items()}, 1
    names = list(axes)
    random.shuffle(names)
    for name in names:
        values = [sample[name] for sample in samples]
        limit = kind.limits()[name]
        if limit.choices:
            values += [str(random.choice(limit.choices))]
        elif limit.kind is int:
            values += [value + 1 for value in values if limit.maximum is None or value < limit.maximum]
        several = tuple(dict.fromkeys(values))[: int(random.integers(1, 5))]
        if size * len(several) <= MOST_DESIGNS:
            axes[name], size = Axis(name, several), size * len(several)
    return tuple(axes.values())


def drawn_space(kinds: list[type[Spec]], random: np.random.Generator, clocks: tuple[float, ...]) -> Space:
    """A space of these families whose workload fits some of the designs."""
    samples = [kind.sample(random) for kind in kinds]
    tasks = tuple(
        replace(samples[0].sample_workload(random), count=count, name=f"t{count}") for count in (1, 3)
    )
    subspaces: list[SubSpace] = []
    for sample in samples:
        clock = (Axis(CLOCK, clocks),) if clocks else ()
        start = sum(sub.size for sub in subspaces)
        subspaces.append(SubSpace(sample.family, (*drawn_axes(sample, random), *clock), start))
    limits = (
        Constraint("area_um2", maximum=float(random.uniform(1e4, 1e6))),
        Constraint("cycles", minimum=50.0),
    )
    goals = {"area_um2": "min", "rows_per_second": "max", "energy_pj_per_row": "min"}
    return Space("drawn", tuple(subspaces), Families(Workload("drawn", tasks)), "asap7", goals, limits)


def assert_same(found: Batch, expected: Batch) -> None:
    """Every index, bit of a metric and reason."""
    assert np.array_equal(found.indices, expected.indices)
    assert found.metrics.shape == expected.metrics.shape
    bits = [
        np.where(np.isnan(each.metrics), np.nan, each.metrics).view(np.uint64) for each in (found, expected)
    ]
    assert np.array_equal(*bits)
    texts = [np.array(each.reasons, dtype=object)[each.reason] for each in (found, expected)]
    assert np.array_equal(*texts)


def flat(problem: Problem) -> Batch:
    """Every design of a problem by flat columns, as scattered designs are evaluated."""
    return join(problem._scattered(np.arange(problem.space.size)))


def by_boxes(problem: Problem, most: int) -> list[Batch]:
    return [problem._box(box) for box in of_range(problem.space, 0, problem.space.size, most)]


@pytest.mark.parametrize("clocks", [(), (100.0, 431.25, 900.0)], ids=["fastest", "clocks"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_mesh_has_the_numbers_of_flat_columns(family: str, clocks: tuple[float, ...]) -> None:
    seen: set[str] = set()
    for seed in range(3):
        random = np.random.default_rng([seed, len(family)])
        space = drawn_space([FAMILIES[family]], random, clocks)
        problem = design_problem(space, TechnologyCosts(technology.load("asap7")), {})
        expected = flat(problem)
        for most in (MESH, 700):
            assert_same(join(by_boxes(problem, most)), expected)
        assert not np.isnan(expected.column("area_um2")).all()
        seen |= set(expected.reason_counts()) | ({"feasible"} if expected.feasible.any() else set())
    assert "feasible" in seen and len(seen) >= 3, seen


def test_a_mesh_of_several_families_has_the_numbers_of_flat_columns() -> None:
    kinds = [kind for kind in FAMILIES.values() if kind.task.kind == "gemm"]
    space = drawn_space(kinds, np.random.default_rng(7), ())
    problem = design_problem(space, TechnologyCosts(technology.load("asap7")), {})
    assert len(kinds) >= 2 and space.size > FEWEST
    assert_same(problem.evaluate(np.arange(space.size)), flat(problem))


@pytest.mark.parametrize(("first", "end"), [(0, 40_000), (17, 39_999), (3, 2500), (12_345, 12_346)])
def test_any_range_has_the_numbers_of_flat_columns(first: int, end: int) -> None:
    problem = toy.problem(toy.LARGE)
    indices = np.arange(first, end)
    assert_same(problem.evaluate(indices), join(problem._scattered(indices)))


def test_scattered_designs_are_no_mesh() -> None:
    problem = toy.problem(toy.LARGE)
    asked: list[Any] = []

    def judge(columns: Any, shape: Any) -> Evaluation:
        asked.append(shape)
        return problem.evaluators["toy"](columns, shape)

    watched = replace(problem, evaluators={"toy": judge})
    watched.evaluate(np.arange(0, 40_000, 2))
    assert asked == [CHUNK, CHUNK, 20_000 - 2 * CHUNK]
    asked.clear()
    watched.evaluate(np.arange(40_000))
    assert [shape for shape in asked if not isinstance(shape, int)] and max(map(np.prod, asked)) > CHUNK


def test_a_term_is_computed_once_for_the_parameters_it_depends_on() -> None:
    columns, shape = Box(toy.space(toy.LARGE).subspaces[0], 0, 0, 8).mesh()
    assert shape == (8, 4000, 4)
    assert {name: np.shape(value) for name, value in columns.items()} == {
        "width": (8, 1, 1),
        "depth": (1, 4000, 1),
        "style": (1, 1, 4),
        "registered": (1, 1, 4),
    }


def test_the_clock_is_a_dimension_of_its_own() -> None:
    sub = toy.space(toy.LARGE).subspaces[0]
    clocked = replace(sub, axes=(*sub.axes, Axis(CLOCK, (1.0, 2.0))))
    columns, shape = Box(clocked, 0, 1, 4000).mesh()
    assert prod(shape) == 32_000
    assert np.shape(columns[CLOCK])[-1] == 2 and np.size(columns[CLOCK]) == 2
    assert np.size(columns["style"]) == 4


def test_a_constant_of_the_space_stays_one_plain_value_and_one_of_a_box_does_not() -> None:
    space = toy.space(toy.changed(("[small, fast]", "[fast]")))
    columns, _ = Box(space.subspaces[0], 26 * 3, 1, 13).mesh()
    assert columns["style"] == "fast"
    assert isinstance(columns["width"], np.ndarray) and set(columns["width"].reshape(-1).tolist()) == {4}


@pytest.mark.parametrize("most", [1, 2, 5, 7, 24, 30, 119, 120, 10**6])
def test_boxes_cover_every_range_in_order(most: int) -> None:
    sub = SubSpace(
        "toy", tuple(Axis(name, tuple(range(n))) for name, n in zip("abcde", (5, 1, 2, 3, 4), strict=True)), 9
    )
    for first in range(0, 120, 7):
        for end in (first, first + 1, min(first + 50, 120), 120):
            found = list(boxes(sub, first, end, most))
            indices = [index for box in found for index in box.indices.tolist()]
            assert indices == list(range(9 + first, 9 + end))
            assert all(0 < box.size <= most for box in found)
    for box in boxes(sub, 0, 120, most):
        columns, shape = box.mesh()
        assert prod(shape) == box.size
        codes = sub.codes(np.arange(box.start, box.start + box.size))
        for place, axis in enumerate(sub.axes):
            wide = np.broadcast_to(columns[axis.name], shape).reshape(-1)
            assert wide.tolist() == codes[:, place].tolist()


def test_a_last_box_is_no_small_rest() -> None:
    """An axis is cut evenly: 7 values of which 6 fit make 4 and 3."""
    sub = SubSpace("toy", (Axis("a", tuple(range(7))), Axis("b", tuple(range(10)))))
    assert [box.size for box in boxes(sub, 0, 70, 60)] == [40, 30]


@pytest.mark.parametrize(
    ("indices", "answer"),
    [([], False), ([4], True), ([4, 5, 6], True), ([4, 6, 7], False), ([5, 4], False), ([4, 4], False)],
)  # fmt: skip
def test_consecutive_indices(indices: list[int], answer: bool) -> None:
    assert consecutive(np.array(indices, dtype=np.int64)) is answer


def test_two_families_are_never_in_one_box() -> None:
    space = toy.space(BOTH)
    found = [(box.sub.family, box.size) for box in of_range(space, 0, space.size, MESH)]
    assert found == [("toy", space.subspaces[0].size), ("twin", space.subspaces[1].size)]
