"""Every search passes the suite, and the suite finds what a search may do wrong."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from blueprint.errors import ParamError
from dse import search
from dse.batch import Batch, join
from dse.explore import run
from dse.searches import conformance, gaussian, methods, policies, scalar
from dse.searches.coding import Coding
from dse.searches.genomes import GenomeSearch
from dse.searches.options import NoSettings, option
from dse.searches.protocol import NONE, Task
from dse.searches.unseen import Unseen
from dse.space import Indices
from tests.dse import toy
from tests.dse.toy import changed

HERE = __name__
OURS = [name for name in methods.ours() if name not in methods._NEEDS]
OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in methods._NEEDS]
needs_optuna = pytest.mark.skipif(
    importlib.util.find_spec("optuna") is None, reason="optuna is not installed here"
)


@pytest.mark.parametrize("method", OURS)
def test_a_search_conforms(method: str) -> None:
    assert conformance.check_search(method) == []


@needs_optuna
@pytest.mark.parametrize("method", OTHERS)
def test_a_sampler_of_optuna_conforms(method: str) -> None:
    assert conformance.check_search(method, {"batch": 12}) == []


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("nsga2", {"population": 8, "crossover": 0, "local": 1}),
        ("evolution", {"population": 2, "tournament": 1, "children": 1}),
        ("ant_colony", {"ants": 1, "evaporation": 1, "alpha": 10}),
        ("bayesian", {"first": 2, "batch": 30, "candidates": 16, "modelled": 40}),
        ("reinforce", {"policies": 1, "episodes": 2, "rate": 10, "entropy": 0}),
        ("agents", {"teams": 1, "designs": 1, "explore": 0, "memory": 16}),
    ],
)
def test_a_search_conforms_at_the_limits_of_its_hyperparameters(method: str, options: dict[str, Any]) -> None:
    assert conformance.check_search(method, options) == []


class Counting:
    """Designs in order, one at a time; what others do wrong differs from this."""

    Options: ClassVar[type[Any]] = NoSettings
    independent: ClassVar[bool] = False

    def __init__(self, task: Task, settings: Any) -> None:
        known = set(task.known.indices.tolist())
        self.task = task
        self.rest = [index for index in range(task.space.size) if index not in known][: task.left]

    def ask(self) -> Indices:
        return np.array(self.rest[:1], dtype=np.int64)

    def tell(self, batch: Batch) -> None:
        self.rest = self.rest[1:]


class Twice(Counting):
    def tell(self, batch: Batch) -> None:
        if len(self.rest) % 2:
            self.rest = self.rest[1:]
        else:
            self.rest = [*self.rest[:1], *self.rest[2:]]


class Outside(Counting):
    def ask(self) -> Indices:
        return super().ask() + self.task.space.size


class Spends(Counting):
    def __init__(self, task: Task, settings: Any) -> None:
        super().__init__(dataclasses.replace(task, budget=task.budget + 1), settings)


class Saves(Counting):
    def __init__(self, task: Task, settings: Any) -> None:
        super().__init__(dataclasses.replace(task, budget=task.budget - 1), settings)


class Forgets(Counting):
    """Does not look at what is known."""

    def __init__(self, task: Task, settings: Any) -> None:
        super().__init__(task, settings)
        self.rest = list(range(task.space.size))[: task.left]


class Whimsical(Counting):
    """Another order every time."""

    def __init__(self, task: Task, settings: Any) -> None:
        super().__init__(task, settings)
        np.random.default_rng(time.perf_counter_ns()).shuffle(self.rest)


class Global(Counting):
    """Depends on how often a class was made."""

    made = 0

    def __init__(self, task: Task, settings: Any) -> None:
        super().__init__(task, settings)
        Global.made += 1
        if Global.made % 3 == 0:
            self.rest.reverse()


class Slow(Counting):
    def ask(self) -> Indices:
        time.sleep(0.02)
        return super().ask()


class Listens(Counting):
    """Says that it does not."""

    independent: ClassVar[bool] = True


class Divides(Counting):
    def tell(self, batch: Batch) -> None:
        super().tell(batch)
        [1 / int(good) for good in batch.feasible]


class Endless(Counting):
    def ask(self) -> Indices:
        return super().ask() if self.rest else np.array([0])


TOLD = [
    (Twice, "two objectives: no design must be asked for twice, and 0 is"),
    (Outside, "two objectives: designs must be integers from 0 to 223, not [224]"),
    (Spends, "two objectives: at most 90 designs must be asked for, not 91"),
    (Saves, "two objectives: it must use its budget of 90 designs, not 89"),
    (Forgets, "two objectives: no known design must be asked for, and 0 is"),
    (
        Whimsical,
        "two objectives: the same seed must ask for the same designs in the same order, and it does not",
    ),
    (Global, "two objectives: replayed on stored answers it must ask for them again, and it asks for others"),
    (Slow, "two objectives: a proposal must take at most 0.01 s, not 0.0 s"),
    (Listens, "two objectives: an independent search must not depend on what it is told, and it does"),
    (Divides, "all designs infeasible: it must not fail, and it does: ZeroDivisionError: division by zero"),
    (Endless, "two objectives: no design must be asked for twice, and 0 is"),
]


def test_a_search_of_others_conforms_by_its_place() -> None:
    assert conformance.check_search(f"{HERE}:Counting") == []


@pytest.mark.parametrize(("kind", "said"), TOLD, ids=[kind.__name__ for kind, _ in TOLD])
def test_the_suite_tells_what_is_wrong(kind: type[Counting], said: str) -> None:
    Global.made = 0
    found = conformance.check_search(f"{HERE}:{kind.__name__}", seconds=0.01 if kind is Slow else 10.0)
    assert said in found, found


def test_a_search_of_others_makes_a_study_and_continues_it(tmp_path: Path) -> None:
    text = changed(("method: auto", f"method: {HERE}:Counting"), ("budget: 100000", "budget: 12"))
    with run(toy.problem(text), tmp_path) as study:
        assert [index for batch in study.batches() for index in batch.indices.tolist()] == list(range(12))
    with run(toy.problem(text.replace("budget: 12", "budget: 20")), tmp_path) as study:
        assert study.evaluated == 20 and study.summary()["method"] == f"{HERE}:Counting"


def test_a_study_is_read_where_its_search_is_not_to_be_had(tmp_path: Path) -> None:
    from dse.study import open_study

    text = changed(("method: auto", f"method: {HERE}:Counting"), ("budget: 100000", "budget: 12"))
    run(toy.problem(text), tmp_path).close()
    gone = methods._checked
    methods._checked = lambda *_: pytest.fail("a reader must not load the search")  # type: ignore[assignment]
    try:
        with open_study(tmp_path, families=toy.FAMILIES) as study:
            assert study.evaluated == 12
    finally:
        methods._checked = gone


def test_entry_points_are_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "_registered", lambda: {"counting": f"{HERE}:Counting", "random": "os:sep"})
    assert methods.names() == (*methods.ours(), "counting")
    assert methods.load("counting").__name__ == "Counting"
    assert methods.load("random").__module__ == "dse.searches.random"
    with pytest.raises(ParamError, match=r"not 'countin'; did you mean 'counting'\?$"):
        methods.load("countin")


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        (
            "evolution",
            {"tournamant": 3},
            "option of evolution must be one of population, tournament, children, not 'tournamant'; "
            "did you mean 'tournament'?",
        ),
        ("random", {"population": 3}, "option of random must be left out, not 'population'"),
        ("nsga2", {"crossover": float("nan")}, "crossover must be from 0 to 1, not nan"),
        ("nsga2", {"population": 8.5}, "population must be an integer, not 8.5"),
        ("agents", {"explore": True}, "explore must be a number, not true"),
    ],
)  # fmt: skip
def test_hyperparameters_that_cannot_be_are_refused(method: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ParamError) as caught:
        methods.resolved(method, given)
    assert str(caught.value) == said


def test_a_method_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ParamError) as caught:
        toy.space().searched(method="optuna:tpe")
    assert str(caught.value) == (
        "Method optuna:tpe needs the package optuna, which is not installed: pip install 'ternforge[optuna]'"
    )


def test_options_of_a_file_belong_to_its_method() -> None:
    space = toy.space(changed(("method: auto", "method: evolution, tournament: 3")))
    assert space.searched(seed=1).search.options == {"population": 64, "tournament": 3, "children": 16}
    assert space.searched(method="nsga2").search.options == {
        "population": 128,
        "crossover": 0.9,
        "local": 0.5,
    }
    assert space.searched(method="random").search.content() == {
        "method": "random",
        "budget": 100000,
        "seed": 7,
    }


def test_integers_are_real_hyperparameters_too() -> None:
    assert methods.resolved("nsga2", {"crossover": 1})["crossover"] == 1.0
    assert option(3, 1, 5, "x").metadata == {"minimum": 1, "maximum": 5, "text": "x"}


def asked(method: str, budget: int, text: str = toy.TEXT) -> list[int]:
    text = re.sub(r"budget: \d+", f"budget: {budget}", text.replace("method: auto", f"method: {method}"))
    problem = toy.problem(text)
    found, batches = search.start(problem), []
    while len(indices := found.ask()):
        batches.append(problem.evaluate(indices))
        found.tell(batches[-1])
    return [int(index) for index in join(batches).indices]


@pytest.mark.parametrize(
    ("method", "budget"),
    [
        ("bayesian", 120),
        ("nsga2", 300),
        ("evolution", 300),
        ("agents", 300),
        ("ant_colony", 1500),
        ("reinforce", 1500),
    ],
)
def test_a_search_learns(method: str, budget: int) -> None:
    """The hypervolume of some of 25,600 designs is beyond that of as many random ones, for most seeds of these."""
    from dse.pareto import hypervolume

    text = toy.LARGE.replace("[1, 4000]", "[1, 100]")
    problem = toy.problem(text)

    def volume(name: str, seed: int) -> float:
        batch = problem.evaluate(np.array(asked(name, budget, text.replace("seed: 7", f"seed: {seed}"))))
        return hypervolume(problem.objectives(batch)[batch.feasible], [500.0, 0.0])

    assert volume(method, 1) > sorted(volume("random", seed) for seed in range(5))[3]


def test_sobol_covers_every_axis_evenly() -> None:
    text = changed(
        ("family: toy", "family: [toy, twin]"), ("depth:", "twin: {ports: [1, 2, 4, 8]}\n  depth:")
    )
    space = toy.space(text)
    first = asked("sobol", 64, text)
    shares = space.columns(np.array(first))
    widths = np.array(shares["width"], dtype=int)
    assert np.bincount((widths - 1) // 8, minlength=4).tolist() == pytest.approx([16] * 4, abs=2)
    twins = (shares["family"] == "twin").sum()
    assert twins == pytest.approx(64 * space.subspaces[1].size / space.size, abs=2)


def test_known_designs_of_one_search_help_the_next() -> None:
    problem = toy.problem(changed(("auto", "bayesian"), ("budget: 100000", "budget: 80")))
    every = problem.evaluate(np.arange(problem.space.size))
    known = problem.front(every)
    first = search.start(problem, known).ask()
    assert len(first) and not set(first.tolist()) & set(known.indices.tolist())


@pytest.mark.parametrize("method", ["evolution", "reinforce"])
def test_of_many_known_designs_the_latest_and_the_front_count(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = toy.problem(changed(("auto", method), ("budget: 100000", "budget: 900")))
    known = problem.evaluate(np.random.default_rng(5).permutation(problem.space.size)[:800])
    monkeypatch.setattr(GenomeSearch, "most_known", 50)
    told: list[int] = []
    kind = methods.load(method)
    learn = kind.learn

    def listening(self: Any, genomes: Any, *rest: Any) -> None:
        told.append(len(genomes))
        learn(self, genomes, *rest)

    monkeypatch.setattr(kind, "learn", listening)
    found: Any = search.start(problem, known)
    assert told == [50]
    front = problem.front(known)
    assert sorted(found.coding.indices(found.front.genomes).tolist()) == front.indices.tolist()
    assert not set(found.ask().tolist()) & set(known.indices.tolist())


def test_bayesian_search_hands_over_to_nsga2() -> None:
    text = "bayesian, modelled: 40, population: 8"
    assert asked(text, 100)[:40] == asked(text, 120)[:40] and len(set(asked(text, 120))) == 120


def test_last_bits_do_not_change_what_bayesian_search_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of floats differ between machines in their last bits; here distances do."""
    expected = asked("bayesian", 90)
    plain = gaussian._distances
    noise = np.random.default_rng(1)

    def elsewhere(one: Any, other: Any) -> Any:
        squares = plain(one, other)
        return squares * (1 + 1e-8 * noise.standard_normal(squares.shape))

    monkeypatch.setattr(gaussian, "_distances", elsewhere)
    assert asked("bayesian", 90) == expected


def test_lower_bounds_are_on_the_better_side_of_every_objective() -> None:
    """Of area, which is to be small, and of speed, which is to be large and is turned around."""
    lows = []
    for bound in (0, 2):
        found: Any = search.start(
            toy.problem(changed(("method: auto", f"method: bayesian, bound: {bound}"), ("100000", "200")))
        )
        found.tell(found.task.problem.evaluate(found.ask()))
        candidates = found.coding.genomes(np.arange(0, 1664, 7))
        lows.append(found._predicted(candidates)[0])
    assert (lows[1] <= lows[0]).all() and (lows[1] < lows[0]).mean(axis=0).min() > 0.9


def test_a_gaussian_process_interpolates_and_knows_what_it_does_not_know() -> None:
    coding = Coding(toy.space())
    features = gaussian.Features(coding)
    drawn = np.random.default_rng(0).permutation(1664)
    genomes = coding.genomes(drawn[:128])
    values = np.log1p(genomes[:, 1]) + 0.3 * genomes[:, 2] + genomes[:, 3]
    process = gaussian.Process(features)
    process.fit(features(genomes), features.equal(genomes, genomes), values)
    mean, deviation = process.predict(features(genomes), features.equal(genomes, genomes))
    assert np.abs(mean - values).max() < 0.02 and deviation.max() < 0.1 * values.std()
    other = coding.genomes(drawn[128:200])
    truth = np.log1p(other[:, 1]) + 0.3 * other[:, 2] + other[:, 3]
    mean, unsure = process.predict(features(other), features.equal(other, genomes))
    assert np.abs(mean - truth).mean() < 0.05 * values.std() and unsure.mean() > deviation.mean()
    # A deviation has the unit of the values, and no part in where they begin.
    process = gaussian.Process(features)
    process.fit(features(genomes), features.equal(genomes, genomes), 50.0 * values - 7.0)
    wide, wider = process.predict(features(other), features.equal(other, genomes))
    assert np.allclose(wide, 50.0 * mean - 7.0, atol=0.2) and np.allclose(wider, 50.0 * unsure, rtol=0.05)


def test_what_a_gaussian_process_makes_least_is_the_likelihood_with_its_slope(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of lengths and weight: half of n log v'K^-1 v and of log det K, K written out element by element."""
    coding = Coding(toy.space())
    features = gaussian.Features(coding)
    genomes = coding.genomes(np.random.default_rng(0).permutation(1664)[:12])
    points, equal = features(genomes), features.equal(genomes, genomes)
    values = np.log1p(genomes[:, 1]) + 0.3 * genomes[:, 2] + genomes[:, 3]
    kept: dict[str, Any] = {}

    def minimize(loss: Any, start: Any, **options: Any) -> Any:
        kept.update(options, loss=loss)
        return SimpleNamespace(x=start)

    monkeypatch.setattr(gaussian.optimize, "minimize", minimize)
    process = gaussian.Process(features)
    process.fit(points, equal, values)
    assert kept["jac"] is True and len(kept["bounds"]) == len(process.parameters)
    scaled = (values - values.mean()) / values.std()

    def naive(parameters: Any) -> float:
        kernel = np.empty((12, 12))
        for one, other in np.ndindex(12, 12):
            lengths = np.exp(parameters[:-1])[features.owner]
            root = np.sqrt(5 * (((points[one] - points[other]) / lengths) ** 2).sum())
            kernel[one, other] = (1 + root + root**2 / 3) * np.exp(-root)
            kernel[one, other] += np.exp(parameters[-1]) * equal[one, other]
        kernel += gaussian._NOISE * np.eye(12)
        fit = scaled @ np.linalg.inv(kernel) @ scaled
        return float(0.5 * 12 * np.log(fit) + 0.5 * np.linalg.slogdet(kernel)[1])

    for start in (np.zeros(len(process.parameters)), np.linspace(-0.5, 0.7, len(process.parameters))):
        value, slope = kept["loss"](start)
        assert value == pytest.approx(naive(start), rel=1e-6)
        for place in range(len(start)):
            step = 1e-4 * (np.arange(len(start)) == place)
            assert slope[place] == pytest.approx((naive(start + step) - naive(start - step)) / 2e-4, abs=1e-4)


def test_a_search_hands_out_as_many_new_designs_as_it_is_asked_for() -> None:
    """Known ones are replaced, by random ones where mutation finds none, by what is left in the end."""
    coding = Coding(toy.space())
    for known, count, limit in (
        (0, 5, 1664),
        (0, 50, 1664),
        (1600, 50, 1664),
        (1600, 80, 1664),
        (100, 50, 120),
    ):
        old = np.random.default_rng(1).permutation(1664)[:known]
        unseen = Unseen(coding, old, limit, np.random.default_rng(2))
        wanted = coding.genomes(np.resize(old, count) if known else np.arange(count))
        assert unseen.left == limit - known
        found = coding.indices(unseen.fresh(wanted)).tolist()
        assert len(found) == len(set(found)) == min(count, limit - known)
        assert not set(found) & set(old.tolist()) and unseen.left == limit - known - len(found)
        assert unseen.seen == {*old.tolist(), *found}
    unseen = Unseen(coding, np.arange(0), 1664, np.random.default_rng(2))
    same = coding.genomes(np.zeros(10, dtype=np.int64))
    found = coding.indices(unseen.fresh(same)).tolist()
    assert found[0] == 0 and len(set(found)) == 10


@pytest.mark.parametrize("known", [7, 8, 9])
def test_the_first_designs_of_a_bayesian_search_are_random_then_it_proposes(known: int) -> None:
    problem = toy.problem(
        changed(("method: auto", "method: bayesian, first: 8, batch: 3"), ("100000", "200"))
    )
    batch = problem.evaluate(np.arange(known))
    found: Any = search.start(problem, batch)
    asked = found.ask().tolist()
    assert len(asked) == len(set(asked)) == (1 if known == 7 else 3) and min(asked) >= known


def test_costs_put_feasible_before_infeasible_and_reach_every_point_of_a_front() -> None:
    goals = np.array([[0.0, 10.0], [4.0, 8.0], [10.0, 0.0], [np.nan, np.nan], [-9.0, -9.0]])
    violations = np.array([0.0, 0.0, 0.0, np.inf, 0.5])
    scale = scalar.Scale(2)
    assert scale.widen(goals, violations) and not scale.widen(goals[:1], violations[:1])
    weights = scalar.drawn(200, 2, np.random.default_rng(0))
    cost = scalar.costs(scale, goals, violations, weights)
    assert set(cost.argmin(axis=1).tolist()) == {0, 1, 2}  # the second is not on the convex hull
    assert (cost[:, :3].max(axis=1) < cost[:, 4]).all() and (cost[:, 4] < cost[:, 3]).all()


def test_policies_choose_only_values_that_there_are() -> None:
    coding = Coding(toy.space())
    chances = policies.softmax(np.repeat(policies.table(coding, 1, 0.0), 500, axis=0))
    genomes = policies.sampled(chances, np.random.default_rng(0))
    assert (genomes < coding.sizes).all() and (genomes.max(axis=0) == coding.sizes - 1).all()


def test_an_exhausted_search_asks_for_nothing() -> None:
    assert len(NONE) == 0 and asked("random", 3) and len(asked("sobol", 1663)) == 1663
