from __future__ import annotations

import numpy as np
import pytest

from dse import search
from dse.batch import Batch, join
from dse.problem import MESH, Problem
from dse.searches import standing
from dse.searches.archive import Archive
from dse.searches.coding import Coding
from dse.searches.exhaustive import batches
from dse.searches.random import drawn
from tests.dse import toy
from tests.dse.toy import changed

#: Spaces small enough to enumerate, each with its kind of difficulty.
SPACES = {
    "two_objectives": toy.TEXT,
    "three_objectives": changed(
        ("tokens_per_second: max}", "tokens_per_second: max, energy_pj_per_token: min}"),
        ("{range: [1, 32]}", "{log2: [1, 32]}"),
    ),
    "tight_constraint": changed(("max: 500", "max: 12"), ("{log2: [1, 4096]}", "{range: [1, 400, 7]}")),
    "two_families": changed(
        ("family: toy", "family: [toy, twin]"),
        ("  width: {range: [1, 32]}", "  width: {range: [1, 32]}\n  twin: {ports: [1, 2, 4, 8]}"),
    ),
}


def whole(problem: Problem) -> Batch:
    return problem.evaluate(np.arange(problem.space.size))


def played(problem: Problem) -> list[Batch]:
    """Every batch a dependent search asks for."""
    steps = search.dependent(problem)
    indices, batches = next(steps), []
    while True:
        batches.append(problem.evaluate(indices))
        try:
            indices = steps.send(batches[-1])
        except StopIteration:
            return batches


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("seed", [1, 2])
def test_nsga2_reaches_the_exhaustive_front_with_part_of_the_budget(name: str, seed: int) -> None:
    text = SPACES[name].replace("seed: 7", f"seed: {seed}").replace("auto", "nsga2")
    size = toy.space(text).size
    problem = toy.problem(text.replace("budget: 100000", f"budget: {size // 2}"))
    found = problem.front(join(played(problem)))
    exact = problem.front(whole(problem))
    assert problem.objectives(found).tolist() == problem.objectives(exact).tolist()


def test_nsga2_asks_for_no_design_twice_and_for_the_budget_exactly() -> None:
    problem = toy.problem(changed(("auto", "nsga2"), ("budget: 100000", "budget: 1500")))
    indices = np.concatenate([batch.indices for batch in played(problem)])
    assert len(indices) == len(set(indices.tolist())) == 1500


def test_nsga2_ends_when_nearly_every_design_is_known() -> None:
    problem = toy.problem(changed(("auto", "nsga2"), ("budget: 100000", "budget: 1663")))
    indices = np.concatenate([batch.indices for batch in played(problem)])
    assert len(set(indices.tolist())) == 1663


def test_nsga2_depends_on_its_seed_and_nothing_else() -> None:
    def asked(seed: int) -> list[list[int]]:
        text = changed(("auto", "nsga2"), ("budget: 100000", "budget: 600"), ("seed: 7", f"seed: {seed}"))
        return [batch.indices.tolist() for batch in played(toy.problem(text))]

    assert asked(7) == asked(7)
    assert asked(7) != asked(8)


def test_mutation_changes_an_active_gene_and_stays_on_the_axes() -> None:
    coding = Coding(toy.space(SPACES["two_families"]))
    random = np.random.default_rng(3)
    before = coding.random(500, random)
    after = coding.mutated(before, random)
    assert ((after != before) & coding.active(before)).any(axis=1).all()
    assert not ((after != before) & ~coding.active(before)).any()
    assert (after >= 0).all() and (after < coding.sizes).all()


def test_the_archive_looks_around_every_member_of_the_front_once() -> None:
    space = toy.space(SPACES["two_families"])
    coding = Coding(space)
    archive = Archive(coding, 2)
    member = coding.random(1, np.random.default_rng(3))
    archive.add(member, np.array([[1.0, 1.0]]))
    archive.add(coding.random(5, np.random.default_rng(4)), np.full((5, 2), 2.0))
    assert archive.genomes.tolist() == member.tolist()
    own = int(coding.indices(member)[0])
    seen = {own}
    near = archive.around(3, seen)
    rest = archive.around(100, seen | set(coding.indices(near).tolist()))
    found = coding.indices(np.concatenate([near, rest])).tolist()
    assert len(near) == 3 and len(found) == len(set(found)) and own not in found
    assert sorted(found) == sorted(coding.indices(coding.neighbors(member[0])).tolist())
    assert ((coding.neighbors(member[0]) != member).sum(axis=1) == 1).all()
    assert len(archive.around(100, seen)) == 0


def test_a_point_keeps_the_first_reason_it_meets() -> None:
    text = changed(("{area_um2: {max: 500}}", "{area_um2: {max: 100}, tokens_per_second: {min: 1e9}}"))
    batch = whole(toy.problem(text))
    texts = np.array(batch.reasons)[batch.reason]
    large = batch.column("area_um2") > 100
    assert (texts[large] == "area_um2 must be at most 100").all() and large.any()
    assert set(texts[~large]) == {"more than 4096 bits", "tokens_per_second must be at least 1e+09"}


def test_ranking_puts_feasible_before_nearly_feasible_before_impossible() -> None:
    genomes = np.arange(4)[:, None]
    goals = np.array([[5.0, 5.0], [1.0, 1.0], [2.0, 2.0], [0.0, 0.0]])
    violation = np.array([0.0, 0.5, 0.1, np.inf])
    assert standing.ranked(genomes, goals, violation).order().tolist() == [0, 2, 1, 3]


def test_exhaustive_covers_every_index_once() -> None:
    space = toy.space(toy.LARGE)
    found = list(batches(space))
    assert np.array_equal(np.concatenate(found), np.arange(space.size))
    assert MESH / 2 < max(len(batch) for batch in found) <= MESH < space.size


def test_exhaustive_leaves_out_what_is_known_in_every_batch() -> None:
    space = toy.space(toy.LARGE)
    known = np.array([3, MESH + 5, MESH + 6, 2 * MESH, space.size - 1])
    asked = np.concatenate(list(batches(space, known)))
    assert np.array_equal(asked, np.setdiff1d(np.arange(space.size), known))


@pytest.mark.parametrize("size", [1000, 10_000, 1 << 60])
def test_random_draws_distinct_designs(size: int) -> None:
    found = drawn(size, 900, 5)
    assert len(set(found.tolist())) == 900
    assert found.min() >= 0 and found.max() < size
    assert np.array_equal(found, drawn(size, 900, 5))
    assert not np.array_equal(found, drawn(size, 900, 6))


def test_every_infeasible_point_has_a_reason() -> None:
    problem = toy.problem()
    batch = whole(problem)
    width, depth = (problem.space.columns(batch.indices)[name] for name in ("width", "depth"))
    texts = np.array(batch.reasons)[batch.reason]
    assert ((texts == "more than 4096 bits") == (width * depth > 4096)).all()
    over = texts == "area_um2 must be at most 500"
    assert over.any() and (batch.column("area_um2")[over] > 500).all()
    assert (batch.column("area_um2")[batch.feasible] <= 500).all()
    assert batch.reason_counts()["more than 4096 bits"] == int((width * depth > 4096).sum())


def test_results_do_not_depend_on_how_designs_are_grouped() -> None:
    problem = toy.problem(SPACES["two_families"])
    everything = whole(problem)
    parts = join([problem.evaluate(part) for part in np.array_split(np.arange(problem.space.size), 7)])
    assert np.array_equal(everything.metrics, parts.metrics, equal_nan=True)
    one = np.array(everything.reasons)[everything.reason]
    assert np.array_equal(one, np.array(parts.reasons)[parts.reason])
