"""The environment is one of Gymnasium's, by its own checker, and says what the study would say."""

from __future__ import annotations

import builtins
import importlib
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError
from dse.pareto import hypervolume
from tests.dse import toy
from tests.dse.recorded import TWO
from tests.dse.toy import changed

try:
    import gymnasium
    from gymnasium.utils.env_checker import check_env

    from dse.environment import FURTHEST, MARGIN, Environment
except ImportError:
    pytest.skip("gymnasium is not installed here", allow_module_level=True)

TARGET = {"area_um2": 60.0, "tokens_per_second": 20_000.0}
SPACES = {
    "one family": toy.TEXT,
    "two families": TWO,
    "nothing feasible": changed(("max: 500", "max: 0.5")),
}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("target", [None, TARGET], ids=["front", "target"])
def test_gymnasiums_checker_passes(name: str, target: dict[str, float] | None) -> None:
    reward = "target" if target else "front"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # metrics have no upper bound
        check_env(
            Environment(toy.problem(SPACES[name]), reward=reward, target=target), skip_render_check=True
        )


def test_the_checker_can_fail() -> None:
    class Broken(Environment):
        def _observed(self, batch: Any) -> Any:
            return super()._observed(batch)[:-1]

    with warnings.catch_warnings(), pytest.raises(AssertionError):
        warnings.simplefilter("ignore")
        check_env(Broken(toy.problem()), skip_render_check=True)


def played(environment: Environment, count: int, seed: int = 3) -> list[Any]:
    environment.action_space.seed(seed)
    environment.reset(seed=seed)
    return [environment.step(environment.action_space.sample()) for _ in range(count)]


def test_an_observation_is_the_metrics_of_the_design() -> None:
    problem = toy.problem(TWO)
    for observation, _, _, _, info in played(Environment(problem), 60):
        batch = problem.evaluate(np.array([problem.space.index_of(info["id"])]))
        assert observation[:-1].tolist() == np.nan_to_num(batch.metrics[0]).tolist()
        assert observation[-1] == info["feasible"] == bool(batch.feasible[0])
        assert problem.space.design(int(batch.indices[0])) == (info["family"], info["parameters"])


def test_rewards_of_an_episode_are_the_hypervolume_of_its_front() -> None:
    environment = Environment(toy.problem(), steps=40)
    environment.reset(seed=3)
    first = environment.volume
    steps = played(environment, 40)
    rewards = [step[1] for step in steps]
    goals = [
        [step[4]["metrics"]["area_um2"], -step[4]["metrics"]["tokens_per_second"]]
        for step in steps
        if step[4]["feasible"]
    ]
    start = environment.reset(seed=3)[1]
    if start["feasible"]:
        goals.append([start["metrics"]["area_um2"], -start["metrics"]["tokens_per_second"]])
    unit = (np.array(goals) - environment.low) / environment.span
    assert first + sum(rewards) == pytest.approx(hypervolume(unit, [1 + MARGIN] * 2))
    assert min(rewards) >= 0 and max(rewards) > 0
    assert [step[3] for step in steps] == [False] * 39 + [True]


def test_a_target_is_met_by_feasible_designs_alone() -> None:
    problem = toy.problem()
    environment = Environment(problem, reward="target", target=TARGET)
    steps = played(environment, 400)
    met = [step for step in steps if step[2]]
    assert met and all(step[1] == 0.0 and step[4]["feasible"] for step in met)
    for _, reward, terminated, _, info in steps:
        metrics = info["metrics"]
        if metrics["area_um2"] is None:
            assert reward == FURTHEST
        elif not terminated:
            area = metrics["area_um2"] / TARGET["area_um2"] - 1
            rate = 1 - metrics["tokens_per_second"] / TARGET["tokens_per_second"]
            expected = max(0.0, area, rate) + max(0.0, metrics["area_um2"] / 500 - 1)
            assert reward == pytest.approx(max(FURTHEST, -expected)) and reward < 0


def test_the_same_seed_gives_the_same_episode() -> None:
    one, two = (played(Environment(toy.problem(TWO)), 20) for _ in range(2))
    assert [step[4] for step in one] == [step[4] for step in two]


def test_every_design_is_logged(tmp_path: Path) -> None:
    log = tmp_path / "steps.jsonl"
    for _ in range(2):  # a second run adds to the file
        environment = Environment(toy.problem(), log=log)
        steps = played(environment, 5)
        environment.close()
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(rows) == 12 and [row["step"] for row in rows] == [0, 1, 2, 3, 4, 5] * 2
    assert [row["reward"] for row in rows[7:]] == [step[1] for step in steps] and rows[0]["reward"] is None
    assert rows[7]["metrics"] == steps[0][4]["metrics"] and rows[7]["id"] == steps[0][4]["id"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"reward": "fornt"}, "Reward must be one of front, target, not 'fornt'; did you mean 'front'?"),
        ({"steps": 0}, "Steps must be at least 1, not 0"),
        (
            {"reward": "target"},
            "Target must be given with the reward 'target' and with no other, and it is missing",
        ),
        (
            {"target": TARGET},
            "Target must be given with the reward 'target' and with no other, and it is given",
        ),
        (
            {"reward": "target", "target": {"area": 1.0}},
            "Target must name objectives, area_um2, tokens_per_second, not 'area'; did you mean 'area_um2'?",
        ),
    ],
)
def test_arguments_that_cannot_be_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ParamError) as caught:
        Environment(toy.problem(), **given)
    assert str(caught.value) == said


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamError) as caught:
        Environment(toy.problem(), log=tmp_path)
    assert str(caught.value) == f"{tmp_path}: log must be writable, and it is not: Is a directory"


def test_an_action_outside_is_refused() -> None:
    environment = Environment(toy.problem())
    with pytest.raises(
        ValueError, match=r"^Action must have a position below each of \[32, 13, 2, 2\], not \[32, 0, 0, 0\]$"
    ):
        environment.step(np.array([32, 0, 0, 0]))


def test_gymnasium_makes_it_by_name() -> None:
    root = Path(__file__).resolve().parents[2]
    space = root / "examples" / "vector" / "space.yaml"
    environment = gymnasium.make("ternforge.gym:ternforge/Explore-v0", space=space, steps=3)
    environment.reset(seed=1)
    assert [environment.step(environment.action_space.sample())[3] for _ in range(3)] == [False, False, True]


def test_without_gymnasium_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "gymnasium":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "dse.environment")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError) as caught:
        importlib.import_module("dse.environment")
    assert str(caught.value) == (
        "The environment needs the package gymnasium, which is not installed: pip install 'ternforge[gym]'"
    )


def test_an_episode_that_begins_with_a_design_that_is_none_begins_with_nothing() -> None:
    """The rewards of every episode add up to the volume of its front, whatever was drawn first."""
    environment = Environment(toy.problem(changed(("max: 500", "max: 40"))), steps=6)
    begins = set()
    for seed in range(5):
        environment.reset(seed=seed)
        environment.action_space.seed(seed)
        first = environment.volume
        begins.add(first == 0.0)
        rewards = [environment.step(environment.action_space.sample())[1] for _ in range(6)]
        assert first + sum(rewards) == pytest.approx(environment.volume)
    assert begins == {True, False}
