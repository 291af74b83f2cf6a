"""Which runs begin before all of their inputs are in staging, and how long they take behind the last of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from blueprint.numbers import ceil_div
from blueprint.systems.control import Hardware
from blueprint.systems.instructions import LAST_BIT, MOVED, REPEAT
from blueprint.workloads.tasks import Rowwise

#: A function that gives the cycles of a run: of a unit, and its registers by their numbers.
Cycles = Callable[[str, Mapping[int, int]], int]


class Turns:
    """Counts, by stream, the runs that have taken data that were loaded once for several runs."""

    def __init__(self, hardware: Hardware) -> None:
        self._replays = {f"{one.unit}.{one.stream}" for one in hardware.inputs if one.replays}
        self._done: Counter[str] = Counter()

    def ends(self, stream: str, registers: Mapping[int, int]) -> bool:
        """Count a run that takes a stream; returns whether it is the last one that takes the loaded data."""
        if stream not in self._replays:
            return True
        self._done[stream] += 1
        if self._done[stream] < registers.get(REPEAT, 0):
            return False
        self._done[stream] = 0
        return True


class Starved:
    """Counts the ends of runs that loads have brought, by stream, against those that runs have taken."""

    def __init__(self, hardware: Hardware) -> None:
        self.hardware, self._turns = hardware, Turns(hardware)
        self._brought: Counter[str] = Counter()
        self._replaying: set[str] = set()
        self._needed: list[str] = []
        self.last = ""

    def loads(self, registers: Mapping[int, int]) -> None:
        """Count a transfer into staging."""
        place = registers[MOVED.index("place")]
        if place >> LAST_BIT & 1:
            staged = self.hardware.inputs[place % (1 << LAST_BIT)]
            self._brought[f"{staged.unit}.{staged.stream}"] += 1
            self.last = staged.stream

    def begins(self, unit: str, registers: Mapping[int, int]) -> bool:
        """Count a run that begins; returns whether some of its inputs are still to come.

        Meanwhile runs of other units, whose inputs are there, may begin.
        """
        needed = self.streams(unit, registers)
        for name in needed:
            if name not in self._replaying:
                self._brought[name] -= 1
            ends = self._turns.ends(name, registers)
            (self._replaying.discard if ends else self._replaying.add)(name)
        missing = [name for name in needed if self._brought[name] < 0]
        self._needed = missing or self._needed
        return bool(missing)

    @property
    def whole(self) -> bool:
        """True once all inputs that the run waits for are there."""
        return all(self._brought[name] >= 0 for name in self._needed)

    def streams(self, unit: str, registers: Mapping[int, int]) -> list[str]:
        """The streams that a run takes, as unit and stream joined by a dot."""
        spec = self.hardware.units[unit]
        if spec.task is not Rowwise:
            return [f"{unit}.{stream.name}" for stream in spec.streams() if stream.direction == "in"]
        task = self.rows(unit, registers)
        operand = any(map(task.does, ("gate", "add", "rotate")))
        gain = task.does("norm") or task.does("dot")
        return [f"{unit}.x", *[f"{unit}.operand"] * operand, *[f"{unit}.gain"] * gain]

    def rows(self, unit: str, registers: Mapping[int, int]) -> Rowwise:
        """The run that the registers of a vector unit ask for."""
        spec = self.hardware.units[unit]
        values = {
            register.name: registers.get(register.address // 4, 0)
            for register in spec.registers()
            if register.access == "rw"
        }
        names = [name for place, name in enumerate(spec.operations) if values["operation"] - 1 >> place & 1]
        return Rowwise(values["rows"], values["length"], "+".join(names) or "copy")

    def tail(self, unit: str, registers: Mapping[int, int], cycles: Cycles, last: str) -> int:
        """Cycles from the last beat that a run takes to the last one that it gives.

        ``last`` is the stream of that last beat. Streams beside the rows pass one register more, so a last beat of the
        rows takes a cycle less.
        """
        task = self.rows(unit, registers)
        spec = self.hardware.units[unit]
        one = Rowwise(1, task.length, task.operation)
        lanes = next(field.elements for field in self.hardware.inputs if field.name == f"{unit}.x.x")
        ahead = last == "x" and len(self.streams(unit, registers)) > 1
        return spec.cycles(one) - ceil_div(task.length, lanes) - ahead
