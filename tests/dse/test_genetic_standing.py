"""Standing in NSGA-II: of one front the emptier regions come first, and winners of tournaments stand better."""

from __future__ import annotations

import numpy as np

from dse.searches import standing
from dse.searches.archive import Archive
from dse.searches.coding import Coding
from dse.searches.nsga2 import children
from dse.searches.standing import Population
from tests.dse import toy

#: One front; the gaps to the neighbors of the inner points are 2, 4 and 6 units of 8 on both axes.
FRONT = np.array([[0.0, 8.0], [1.0, 7.0], [2.0, 6.0], [5.0, 3.0], [8.0, 0.0]])


def ranked(goals: np.ndarray) -> Population:
    return standing.ranked(np.arange(len(goals))[:, None], goals, np.zeros(len(goals)))


def test_of_one_front_ends_come_first_and_crowded_points_last() -> None:
    found = ranked(FRONT)
    assert found.spread.tolist() == [np.inf, 0.5, 1.0, 1.5, np.inf]
    assert found.order().tolist() == [0, 4, 3, 2, 1]


def test_a_later_front_comes_behind_every_point_of_an_earlier_one() -> None:
    goals = np.concatenate([FRONT + 1.0, FRONT])
    found = ranked(goals)
    assert found.level.tolist() == [1] * 5 + [0] * 5
    assert found.order().tolist() == [5, 9, 8, 7, 6, 0, 4, 3, 2, 1]


def test_taking_keeps_the_standing() -> None:
    found = ranked(FRONT).take(np.array([3, 1]))
    assert found.genomes.tolist() == [[3], [1]] and found.goals.tolist() == FRONT[[3, 1]].tolist()
    assert (found.level.tolist(), found.spread.tolist()) == ([0, 0], [1.5, 0.5])


def test_an_archive_looks_around_the_emptiest_regions_first() -> None:
    coding = Coding(toy.space(toy.TEXT))
    archive = Archive(coding, 2)
    genomes = coding.random(5, np.random.default_rng(0))
    archive.add(genomes, FRONT)
    near = archive.around(1, set(coding.indices(genomes).tolist()))
    own = coding.neighbors(archive.genomes[0]).tolist()  # an end of the front
    assert len(near) == 1 and near[0].tolist() in own


def test_children_come_from_winners_of_tournaments() -> None:
    coding = Coding(toy.space(toy.TEXT))
    genomes = coding.random(40, np.random.default_rng(1))
    goals = np.arange(40.0)[:, None] * np.ones((1, 2))  # a chain: each dominates all behind it
    population = standing.ranked(genomes, goals, np.zeros(40))
    born = children(coding, population, 4000, 0.9, np.random.default_rng(2))
    genes = born[:, 1:]
    share = [(genes[:, None, :] == genomes[None, half, 1:]).mean() for half in (slice(0, 10), slice(30, 40))]
    assert len(born) == 4000 and share[0] > share[1]


def test_what_is_not_feasible_comes_behind_the_last_front_by_its_violation() -> None:
    goals = np.concatenate([FRONT + 1.0, FRONT])
    numbers = np.arange(10)[:, None]
    violation = np.array([0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 1.0, 1.0, 2.0, 0.0])
    found = standing.ranked(numbers, goals, violation)
    assert found.level.tolist() == [1, 1, 0, 0, 4, 0, 2, 2, 3, 0]
    assert found.spread[violation > 0].tolist() == [0.0] * 4
    assert standing.ranked(numbers, goals, violation + 1.0).level.tolist() == [0, 0, 0, 0, 3, 0, 1, 1, 2, 0]
