"""One design measured at one level, as it stands in a study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Characters of a child's log that are kept: the last ones.
LOG_TAIL = 2000
OK, FAILED = "ok", "failed"


@dataclass(frozen=True)
class Promotion:
    """Results of a level for a design: the metrics that it measures, and the best numbers known ``below`` it.

    ``point`` is the design's index in its space. ``cycles`` are those of each task, for levels above the simulator. Of
    one that failed there are no metrics, and ``log`` begins with the reason.
    """

    point: int
    level: str
    metrics: Mapping[str, float]
    below: Mapping[str, float] = field(default_factory=dict)
    cycles: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    log: str = ""

    @property
    def status(self) -> str:
        """``ok``, or ``failed`` where nothing was measured."""
        return OK if self.metrics else FAILED

    def row(self) -> tuple[int, str, str, str, float, str]:
        """The columns of the study's table."""
        content = {"metrics": dict(self.metrics), "below": dict(self.below), "cycles": dict(self.cycles)}
        return (self.point, self.level, self.status, json.dumps(content), self.seconds, self.log)

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> Promotion:
        """The inverse of :meth:`row`."""
        point, level, _, content, seconds, log = row
        return cls(point, level, **json.loads(content), seconds=seconds, log=log)
