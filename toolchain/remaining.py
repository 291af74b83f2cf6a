"""How long the rest of some work takes, by the time that its first part took."""

from __future__ import annotations

import math
import time

#: Seconds in which an expected end moves most of the way to a new one, and the most as a share of the time so far.
_SMOOTHED_S, _SHARE = 15.0, 0.5


class Remaining:
    """Seconds left of work of which ``done`` parts were there before it began.

    The end is expected by the mean time of a part so far; an expectation moves slowly to the next one, so that parts
    of several lengths do not make the number jump.
    """

    def __init__(self, done: float = 0.0, now: float | None = None) -> None:
        self._before = done
        self._begin = self._last = time.monotonic() if now is None else now
        self._end: float | None = None

    def seconds(self, done: float, total: float, now: float | None = None) -> float:
        """Seconds left after ``done`` of ``total`` parts: 0 where none is left, or none was done yet."""
        now = time.monotonic() if now is None else now
        made, left = done - self._before, max(0.0, total - done)
        if made <= 0 or not left:
            return 0.0
        spent = now - self._begin
        end = now + spent / made * left
        if self._end is not None and spent:
            moved = -math.expm1((self._last - now) / min(_SMOOTHED_S, _SHARE * spent))
            end = self._end + moved * (end - self._end)
        self._end, self._last = end, now
        return max(0.0, end - now)
