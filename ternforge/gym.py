"""Design spaces as environments of Gymnasium, for any agent: ``make``, or ``gymnasium.make`` by the name.

gymnasium.make("ternforge.gym:ternforge/Explore-v0", space="space.yaml")
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dse.environment import Environment, register
from dse.explore import problem_of
from dse.space_file import read_space

NAME = "ternforge/Explore-v0"


def make(
    space: str | Path,
    *,
    reward: str = "front",
    target: Mapping[str, float] | None = None,
    steps: int = 64,
    log: str | Path | None = None,
) -> Environment:
    """The environment of the space in a file; see :class:`dse.environment.Environment`.

    Raises ``SpecError`` for a bad file and ``ParamError`` for arguments outside their limits.
    """
    return Environment(problem_of(read_space(space)), reward=reward, target=target, steps=steps, log=log)


register(NAME, "ternforge.gym:make")
