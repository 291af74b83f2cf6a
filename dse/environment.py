"""A design space as an environment of Gymnasium, as ArchGym has it (Krishnan et al., ISCA 2023): extra ``gym``.

An action is a design, its observation the metrics of it, the reward what it adds to the front or how near it is to a
target. Every step can be logged, so that data sets for learning come from any agent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from blueprint.errors import ParamError
from blueprint.files.nearest import suggestion
from dse.batch import Batch, Floats
from dse.pareto import front_mask, hypervolume
from dse.problem import Problem
from dse.searches.coding import Coding

try:
    import gymnasium
except ImportError:
    text = "The environment needs the package gymnasium, which is not installed: pip install 'ternforge[gym]'"
    raise ImportError(text) from None

REWARDS = ("front", "target")
#: Designs that are drawn to find the ranges of objectives, and the reference beyond their worst values.
SAMPLE, MARGIN = 512, 0.1
#: The reward of a design that is further than this from a target, or that cannot be built.
FURTHEST = -10.0


class Environment(gymnasium.Env):  # type: ignore[misc]  # gymnasium is not checked here
    """Designs of a problem: ``step`` evaluates one.

    An action has the position on every axis with several values, the family first where there are several; genes of
    other families do not matter. The observation has every metric (0 where the design cannot be built) and, last, 1
    for a feasible design. ``reset`` evaluates a design that is drawn by the seed.

    With ``reward="front"`` a step is worth what it adds to the hypervolume of the episode's front, in units of the
    ranges that objectives have in a sample of the space. With ``reward="target"`` it is minus the largest relative
    distance of an objective from its ``target``, 0 where all are met by a feasible design, which ends the episode.
    An episode has ``steps`` steps. ``log`` is a file that gets a JSON object a line for every design evaluated.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(
        self,
        problem: Problem,
        *,
        reward: str = "front",
        target: Mapping[str, float] | None = None,
        steps: int = 64,
        log: str | Path | None = None,
    ) -> None:
        _check(problem, reward, target, steps)
        self.problem, self.kind, self.target, self.steps = problem, reward, dict(target or {}), steps
        self.coding = Coding(problem.space)
        self.genes = np.flatnonzero(self.coding.sizes > 1)
        sizes = self.coding.sizes[self.genes] if len(self.genes) else np.ones(1, dtype=np.int64)
        self.action_space = gymnasium.spaces.MultiDiscrete(sizes)
        self.observation_space = gymnasium.spaces.Box(0.0, np.inf, (len(problem.metrics) + 1,), np.float64)
        self.low, self.span = self._ranges()
        self.front: Floats = np.zeros((0, len(self.low)))
        self.volume, self.taken, self.episode = 0.0, 0, -1
        self.file = None if log is None else _opened(Path(log))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode with a design that is drawn."""
        super().reset(seed=seed)
        self.front, self.volume = self.front[:0], 0.0
        self.taken, self.episode = 0, self.episode + 1
        batch = self._evaluated(self.np_random.integers(0, self.action_space.nvec))
        self._added(batch)
        info = self._info(batch)
        self._log(info, None)
        return self._observed(batch), info

    def step(self, action: npt.NDArray[np.int64]) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Evaluate a design: observation, reward, whether the target is met, whether the episode is over, facts."""
        batch = self._evaluated(np.asarray(action))
        self.taken += 1
        added = self._added(batch)
        reward = added if self.kind == "front" else self._nearness(batch)
        met = self.kind == "target" and reward == 0.0
        info = self._info(batch)
        self._log(info, reward)
        return self._observed(batch), reward, met, self.taken >= self.steps, info

    def close(self) -> None:
        """Close the log."""
        if self.file is not None:
            self.file.close()
            self.file = None

    def _ranges(self) -> tuple[Floats, Floats]:
        """Best values and ranges of the objectives among feasible designs of a sample, always the same one."""
        size = self.problem.space.size
        drawn = np.random.default_rng(0).integers(0, size, SAMPLE) if size > SAMPLE else np.arange(size)
        batch = self.problem.evaluate(np.unique(drawn))
        goals = self.problem.objectives(batch)[batch.feasible]
        if not len(goals):
            shape = len(self.problem.space.objectives)
            return np.zeros(shape), np.ones(shape)
        low, span = goals.min(axis=0), np.ptp(goals, axis=0)
        return low, np.where(span > 0, span, np.maximum(np.abs(low), 1.0))

    def _evaluated(self, action: npt.NDArray[np.int64]) -> Batch:
        if not self.action_space.contains(action.astype(np.int64)):
            allowed = self.action_space.nvec.tolist()
            raise ValueError(f"Action must have a position below each of {allowed}, not {action.tolist()}")
        genome = np.zeros((1, len(self.coding.sizes)), dtype=np.int64)
        if len(self.genes):
            genome[0, self.genes] = action
        return self.problem.evaluate(self.coding.indices(genome))

    def _observed(self, batch: Batch) -> Floats:
        return np.append(np.maximum(np.nan_to_num(batch.metrics[0]), 0.0), float(batch.feasible[0]))

    def _added(self, batch: Batch) -> float:
        """Hypervolume that a design adds to the front of the episode."""
        if not batch.feasible[0]:
            return 0.0
        goals = np.concatenate([self.front, (self.problem.objectives(batch) - self.low) / self.span])
        self.front = goals[front_mask(goals)]
        before, self.volume = self.volume, hypervolume(self.front, [1.0 + MARGIN] * goals.shape[1])
        return max(0.0, self.volume - before)

    def _nearness(self, batch: Batch) -> float:
        """Minus the largest relative distance from the target; never 0 for an infeasible design."""
        if np.isnan(batch.metrics[0]).all():
            return FURTHEST
        worst = 0.0
        for name, wanted in self.target.items():
            sign = -1.0 if self.problem.space.objectives[name] == "max" else 1.0
            worst = max(worst, sign * (float(batch.column(name)[0]) - wanted) / (abs(wanted) or 1.0))
        if not batch.feasible[0]:
            worst += float(np.nan_to_num(self.problem.space.violation(batch.columns())[0])) or 1e-9
        return max(FURTHEST, -worst) if worst else 0.0

    def _info(self, batch: Batch) -> dict[str, Any]:
        index = int(batch.indices[0])
        family, parameters = self.problem.space.design(index)
        metrics = {
            name: None if v != v else v
            for name, v in zip(batch.names, batch.metrics[0].tolist(), strict=True)
        }
        return {
            "id": self.problem.space.point_id(index),
            "family": family,
            "parameters": parameters,
            "metrics": metrics,
            "feasible": bool(batch.feasible[0]),
            "reason": batch.reasons[batch.reason[0]],
        }

    def _log(self, info: Mapping[str, Any], reward: float | None) -> None:
        if self.file is not None:
            row = {"episode": self.episode, "step": self.taken, "reward": reward, **info}
            self.file.write(json.dumps(row) + "\n")
            self.file.flush()


def register(name: str, place: str) -> None:
    """Let ``gymnasium.make`` find an environment by its name; ``place`` is MODULE:FUNCTION."""
    gymnasium.register(name, entry_point=place)


def _check(problem: Problem, reward: str, target: Mapping[str, float] | None, steps: int) -> None:
    """Raise ``ParamError`` for arguments that cannot be."""
    if reward not in REWARDS:
        raise ParamError(
            f"Reward must be one of {', '.join(REWARDS)}, not {reward!r}{suggestion(reward, REWARDS)}"
        )
    if steps < 1:
        raise ParamError(f"Steps must be at least 1, not {steps}")
    if (reward == "target") != bool(target):
        given = "given" if target else "missing"
        raise ParamError(
            f"Target must be given with the reward 'target' and with no other, and it is {given}"
        )
    names = tuple(problem.space.objectives)
    for name in target or {}:
        if name not in names:
            raise ParamError(
                f"Target must name objectives, {', '.join(names)}, not {name!r}{suggestion(name, names)}"
            )


def _opened(path: Path) -> IO[str]:
    try:
        return path.open("a", encoding="utf-8")
    except OSError as problem:
        raise ParamError(f"{path}: log must be writable, and it is not: {problem.strerror}") from None
