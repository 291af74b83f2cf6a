"""A program, instruction by instruction, with the tokens that its order needs.

What must be done before a transfer or a run begins follows from three books: what every FIFO of staging holds, which
bytes of memory were written and read by whom, and what each unit knows of the others (a vector clock: what a token
tells includes all that its sender knew). Where a unit does not know yet that something is done, the instruction that
does it signals and the one that needs it waits. So every program runs to its end and no FIFO overflows.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from blueprint.errors import ParamError
from blueprint.systems.control import UNIT_BYTES
from blueprint.systems.instructions import (
    EVERY,
    HOLD,
    INDICES,
    KEEP,
    LAST_BIT,
    MOVED,
    NARROW_BIT,
    REPEAT,
    TOKENS_MOST,
    Instruction,
)
from blueprint.systems.staging import Staged
from compiler.purpose import Purpose

#: The index by which a transfer gathers rows.
NONE, TOKEN, POSITION, RING = (INDICES.index(name) for name in INDICES)
#: An instruction of a unit by its number among the starts of the unit; -1 is none.
Done = tuple[str, int]


#: Purpose of the end, and of instructions before the first purpose is set.
_END = Purpose("", "end")


@dataclass
class _Draft:
    """An instruction whose tokens are not settled yet."""

    kind: str
    unit: str = ""
    register: int = 0
    value: int = 0
    wait: set[str] = field(default_factory=set)
    signal: set[str] = field(default_factory=set)
    purpose: Purpose = _END
    bytes: int = 0
    place: int = 0

    def settled(self) -> Instruction:
        """The instruction, units in their order."""
        wait = tuple(unit for unit in EVERY if unit in self.wait)
        signal = tuple(unit for unit in EVERY if unit in self.signal)
        return Instruction(self.kind, self.unit, wait, signal, self.register, self.value)


@dataclass
class _Held:
    """Words in a FIFO, and the instruction that takes them out, once there is one."""

    words: int
    filled: int
    gone: int | None = None


@dataclass(frozen=True)
class Moved:
    """A transfer: rows of memory, and the bytes that it may touch wherever its index leads.

    ``position_rows`` says that ``rows`` grow with the position, up to ``most_rows``. ``narrow`` is of a store, whose
    elements are in narrow containers.
    """

    address: int
    row_bytes: int
    rows: int = 1
    stride: int = 0
    index: int = NONE
    touched: tuple[int, int] | None = None
    position_rows: bool = False
    most_rows: int = 0
    narrow: bool = False

    @property
    def size(self) -> int:
        """Bytes, the most of them."""
        return self.row_bytes * max(self.rows, self.most_rows)

    @property
    def span(self) -> tuple[int, int]:
        """First byte that may be touched, and the first behind."""
        return self.touched or (
            self.address,
            self.address + (max(self.rows, 1) - 1) * self.stride + self.row_bytes,
        )


class _Book:
    """The last instruction that touched each byte of memory: pieces of memory, in order, that have the same one."""

    def __init__(self) -> None:
        self._begins, self._numbers = [0], [-1]

    def last(self, low: int, high: int) -> int:
        """The last instruction that touched any of some bytes, -1 for none."""
        place = bisect_right(self._begins, low) - 1
        return max(self._numbers[place : max(bisect_left(self._begins, high), place + 1)])

    def note(self, low: int, high: int, number: int) -> None:
        """Note an instruction, which is later than all before."""
        first, behind = bisect_left(self._begins, low), bisect_left(self._begins, high)
        split = behind == len(self._begins) or self._begins[behind] != high
        begins, numbers = [low], [number]
        if split:
            begins, numbers = [low, high], [number, self._numbers[behind - 1]]
        self._begins[first:behind], self._numbers[first:behind] = begins, numbers


class _Memory:
    """The last writers and readers of bytes."""

    def __init__(self) -> None:
        self._writes, self._reads = _Book(), _Book()

    def read(self, span: tuple[int, int], number: int) -> int:
        """Note a load; returns the number of the store that it needs."""
        self._reads.note(*span, number)
        return self._writes.last(*span)

    def write(self, span: tuple[int, int], number: int) -> int:
        """Note a store; returns the number of the load that it must not overtake."""
        needed = self._reads.last(*span)
        self._writes.note(*span, number)
        return needed


class Builder:
    """A program that grows in the order in which it is dispatched."""

    def __init__(self, inputs: tuple[Staged, ...], outputs: tuple[Staged, ...], width: int) -> None:
        self.width = width
        self.inputs = {field.name: field for field in inputs}
        self.outputs = {field.name: field for field in outputs}
        self._token_place = len(inputs)
        self._drafts: list[_Draft] = []
        self._starts: dict[str, list[_Draft]] = {unit: [] for unit in EVERY}
        self._knows: dict[str, dict[str, int]] = {unit: dict.fromkeys(EVERY, -1) for unit in EVERY}
        self._ends: dict[str, list[dict[str, int]]] = {unit: [] for unit in EVERY}
        self._taken: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._registers: dict[tuple[str, int], tuple[str, int]] = {}
        self._full: dict[str, deque[_Held]] = {name: deque() for name in (*self.inputs, *self.outputs)}
        self._memory = _Memory()
        self._opener: Done | None = None
        self.purpose = _END

    # Instructions -----------------------------------------------------------------------------------------------------

    def program(self) -> tuple[Instruction, ...]:
        """The program with its end."""
        return (*(draft.settled() for draft in self._drafts), Instruction("end"))

    def notes(self) -> tuple[tuple[Purpose, int], ...]:
        """Purpose of every instruction, and the bytes that it moves at position 0."""
        return (*((draft.purpose, draft.bytes) for draft in self._drafts), (_END, 0))

    def put(self, unit: str, register: int, value: int, *, position: bool = False) -> None:
        """Write a register of a unit, unless it has that value; with ``position`` what it is at position 0."""
        wanted = ("setp" if position else "set", value)
        if position or self._registers.get((unit, register)) != wanted:
            self._append(_Draft(wanted[0], unit, register, value, purpose=self.purpose))
            self._registers[unit, register] = wanted

    def _start(self, unit: str, needs: list[Done], size: int = 0) -> int:
        """Start a unit after what it needs; returns its number among the starts of the unit."""
        draft = _Draft("start", unit, purpose=self.purpose, bytes=size)
        known = self._knows[unit]
        if unit == "load" and self._opener is not None:
            opener, before = self._opener
            draft.wait.add(opener)
            known[opener], self._opener = max(known[opener], before), None
        for other, number in sorted(needs, key=lambda need: -need[1]):
            if other != unit and number > known[other]:
                draft.wait.add(other)
                for third, told in self._ends[other][self._tell(unit, other, number)].items():
                    known[third] = max(known[third], told)
        number = len(self._starts[unit])
        self._ends[unit].append({**known, unit: number})
        self._starts[unit].append(draft)
        self._append(draft)
        for other in draft.wait:
            self._taken[other, unit].append(draft.place)
        return number

    def _tell(self, unit: str, other: str, number: int) -> int:
        """Have another unit signal once its start ``number`` is done; returns the start after which it signals.

        Where the counter of the pair would be full of tokens that are not taken yet, the other unit signals after all
        its starts so far instead. So execution can always follow the order of the program, and no two units wait
        for each other.
        """
        begun, taken = self._starts[other], self._taken[other, unit]
        if len(taken) - bisect_right(taken, begun[number].place) < TOKENS_MOST:
            begun[number].signal.add(unit)
            return number
        self._append(_Draft("sync", other, signal={unit}, purpose=self.purpose))
        return len(begun) - 1

    def _append(self, draft: _Draft) -> None:
        draft.place = len(self._drafts)
        self._drafts.append(draft)

    # Transfers --------------------------------------------------------------------------------------------------------

    def load_token(self, address: int) -> None:
        """Load the token at the position behind an address, by which rows are gathered afterwards."""
        moved = Moved(address, 4, 1, 4, POSITION)
        self._transfer("load", moved, self._token_place)
        self._start("load", [], 4)

    def load(
        self, name: str, moved: Moved, *, last: bool = True, free: bool = False, narrow: bool = False
    ) -> None:
        """Load a staged field; ``last`` where the run's beats end with it, ``free`` where the FIFO drains meanwhile.

        With ``narrow`` its elements are in narrow containers.
        """
        staged = self.inputs[name]
        _check_units(name, moved)
        place = staged.number | (last and staged.carrier) << LAST_BIT | narrow << NARROW_BIT
        self._transfer("load", moved, place)
        number = len(self._starts["load"])
        needs = [("store", self._memory.read(moved.span, number))]
        if not free:
            needs += self._room(staged, staged.words(moved.size, self.width, narrow), number)
        self._start("load", needs, moved.row_bytes * moved.rows)

    def store(self, name: str, moved: Moved) -> None:
        """Store what a run left in a staged field, in narrow containers where that is ``narrow``.

        Raises ``ValueError`` for a field without results.
        """
        staged = self.outputs[name]
        _check_units(name, moved)
        self._transfer("store", moved, staged.number | moved.narrow << NARROW_BIT)
        number = len(self._starts["store"])
        held = [one for one in self._full[name] if one.gone is None]
        if not held:
            raise ValueError(f"Field {name} must have results to be stored")
        for one in held:
            one.gone = number
        needs: list[Done] = [(staged.unit, held[-1].filled), ("load", self._memory.write(moved.span, number))]
        self._start("store", needs, moved.row_bytes * moved.rows)

    def _transfer(self, unit: str, moved: Moved, place: int) -> None:
        values = (moved.address, moved.row_bytes, moved.rows, moved.stride, place, moved.index)
        for register, (name, value) in enumerate(zip(MOVED, values, strict=True)):
            needed = name != "stride" or moved.rows > 1 or moved.position_rows or moved.index != NONE
            if needed or (unit, register) not in self._registers:
                self.put(unit, register, value, position=moved.position_rows and name == "rows")

    def room(self, name: str) -> int:
        """Words of a staged input that no load without a run has taken."""
        staged = self.inputs[name]
        return staged.depth - sum(one.words for one in self._full[name] if one.gone is None)

    def _room(self, staged: Staged, words: int, filled: int) -> list[Done]:
        """Instructions that must end before ``words`` words have room in a FIFO; notes that they are there."""
        unit = staged.unit if staged.direction == "in" else "store"
        held, left = self._full[staged.name], staged.depth - words
        if left < 0:
            raise _overfull(staged, words)
        needed = -1
        for one in reversed(held):
            left -= one.words
            if left < 0:
                if one.gone is None:
                    raise _overfull(staged, staged.depth - left)
                needed = one.gone
                break
        while held and held[0].gone is not None and held[0].gone <= needed:
            held.popleft()
        held.append(_Held(words, filled))
        return [(unit, needed)]

    # Runs -------------------------------------------------------------------------------------------------------------

    def hold(self, unit: str, beats: int, repeat: int = 0) -> None:
        """Set how many beats an element of a row is held for, and how many rows share their common operand."""
        self.put(unit, HOLD, beats)
        self.put(unit, REPEAT, repeat)

    def run(
        self,
        unit: str,
        results: Mapping[str, int],
        ahead: str = "",
        *,
        leaves: bool = False,
        opens: bool = False,
    ) -> None:
        """Start a unit on what was loaded for it, keeping ``words`` words of each of these ``results``.

        Later runs have transfers of the field ``ahead`` too: the run takes the oldest transfer of it, or ``leaves`` it
        there for the next run. A run that ``opens`` loads has the next one wait until it can begin at once.
        """
        number = len(self._starts[unit])
        needs: list[Done] = []
        for name, staged in self.inputs.items():
            if staged.unit == unit:
                waiting = [one for one in self._full[name] if one.gone is None]
                waiting = waiting[:1] if name == ahead else waiting
                needs += [("load", one.filled) for one in waiting]
                for one in waiting if name != ahead or not leaves else ():
                    one.gone = number
        mine = [staged for staged in self.outputs.values() if staged.unit == unit]
        self.put(unit, KEEP, sum(1 << place for place, one in enumerate(mine) if one.name in results))
        for name, words in results.items():
            needs += self._room(self.outputs[name], words, number)
        self._start(unit, needs)
        if opens:
            self._open(unit, number)

    def _open(self, unit: str, number: int) -> None:
        """Put what a run waits for in front of it, with a token for the next load, which all runs before give none of.

        Tokens of a pair are taken in the order in which they are given: the load knows of all those runs then.
        """
        start = self._drafts.pop()
        self._append(_Draft("sync", unit, wait=start.wait, signal={"load"}, purpose=self.purpose))
        start.wait = set()
        self._append(start)
        self._opener = unit, number - 1


def _check_units(name: str, moved: Moved) -> None:
    """Check that a transfer is of whole units of the movers. Raises ``ParamError``."""
    for what, value in (("addresses", moved.address), ("rows", moved.row_bytes), ("distances", moved.stride)):
        if value % UNIT_BYTES:
            needed = f"{what} of {name} must be multiples of {UNIT_BYTES} bytes, which movers move"
            raise ParamError(f"{needed[0].upper()}{needed[1:]}, not {value}")


def _overfull(staged: Staged, words: int) -> ParamError:
    what = f"{words * staged.beat_bytes} bytes of {staged.stream}.{staged.field.name}"
    return ParamError(
        f"Staging of {staged.unit} must hold {what} at a time, and holds {staged.depth * staged.beat_bytes}"
    )
