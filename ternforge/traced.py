"""What a trace of a pass of shapes shows: cycles from one to another, or a layer."""

from __future__ import annotations

from blueprint.errors import ParamError
from compiler.compile import Plan
from compiler.prompts import DECODE
from simulator.systems import chrome
from simulator.systems.chrome import Slice
from simulator.systems.passes import Ran, Table
from simulator.trace import parse_window
from ternforge.inputs import refused


class Window:
    """A part of the pass that decodes a token: all of it, cycles ``a:b``, or a layer by its mark.

    Raises ``ParamError`` for what is none of them.
    """

    def __init__(self, text: str | None, plan: Plan) -> None:
        self._notes = plan.program(DECODE).notes
        marks = list(dict.fromkeys(purpose.mark for purpose, _ in self._notes if purpose.mark))
        self._mark = text if text in marks else None
        self._cycles: tuple[int, int] | None = None
        if text is not None and self._mark is None:
            if ":" not in text:
                known = ", ".join(marks)
                raise ParamError(f"Trace window must be cycles a:b or one of {known}, not {text!r}")
            self._cycles = refused(parse_window, text)

    def slices(self, program: Table, ran: Ran, cycles: int) -> list[Slice]:
        """The cycles of a pass that are shown. Raises ``ParamError`` where the pass ends before the window begins."""
        found = chrome.of_pass(program, self._notes, ran)
        if self._mark is not None:
            return [one for one in found if one.purpose.mark == self._mark]
        if self._cycles is None:
            return list(found)
        first, end = self._cycles
        if first >= cycles:
            what = f"must begin before the run ends, which takes {cycles} cycles"
            raise ParamError(f"Trace window {what}, not at {first}")
        return [one for one in found if one.begin < end and one.end >= first]
