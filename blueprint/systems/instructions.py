"""The instruction set of a system's sequencer, described once: encoder, decoder, listing, page and checks follow.

A program is a list of words of :data:`WIDTH` bits. The sequencer reads it in order and puts each instruction into the
queue of its unit; units take theirs in order, each at its own pace (decoupled access and execute: Smith, ISCA 1982).
Units wait for each other by counted tokens, one counter for each ordered pair of units, as in VTA (Moreau et al., IEEE
Micro 2019): an instruction begins when the counter of every unit that it waits for is above 0, and takes one from each;
where it ends it adds one to the counters towards the units that it signals.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from blueprint.errors import ParamError
from blueprint.files.nearest import suggestion
from blueprint.record import Field, Record, bits
from blueprint.shell import ADDRESS_BITS

#: Units with a queue of their own that every system has, in the order of their numbers.
UNITS = ("load", "matrix", "attention", "vector", "store")
#: Units that a system may have beside them, whose numbers come behind: of products for the LM head and for prompts.
MORE = ("head", "prefill")
#: All units that an instruction may name.
EVERY = (*UNITS, *MORE)
#: The most tokens that a counter holds.
TOKENS_MOST = 15
#: Loads under way: their mover took them, and the last beat of the first of them is still to come.
FLIGHTS = 4

#: Of these, those that move data between memory and staging.
MOVERS = ("load", "store")
#: Registers of the units that move data, by their numbers: one transfer of :mod:`blueprint.systems.dma`.
MOVED = ("address", "row_bytes", "rows", "stride", "place", "index")
#: Meanings of the register ``index``: none, and what every row is gathered by. The last one is of stores in hardware
#: with a window: the position modulo the window.
INDICES = ("none", "token", "position", "ring")
#: Number of the meanings that every hardware has.
INDICES_PLAIN = 3
#: Units whose registers count keys: in hardware with a window `setp` adds to them less than the window.
KEYED = ("load", "attention")
#: Bits of the register ``index``.
INDEX_BITS = 2
#: Bits of the register ``place``: the last beat of a load is the last one of a run; elements are in the narrower of the
#: two containers that the field has.
LAST_BIT, NARROW_BIT = 8, 9
#: Words of a register file of a family.
WORDS = 1 << ADDRESS_BITS - 2
#: From this number on the registers of a unit's staging; those below are words of its own register file.
STAGING = 64
#: Registers of staging: beats of a row, for fields with one element a row; which outputs are kept, and which inputs a
#: run does without (a bit each); how often a run takes what is the same for all of its rows,
#: or how many runs take what was loaded once.
HOLD, KEEP, WITHOUT, REPEAT = range(STAGING, STAGING + 4)
STAGED = {"hold": HOLD, "keep": KEEP, "without": WITHOUT, "repeat": REPEAT}

_MEANINGS = {
    "kind": "what is done",
    "unit": "the number of the unit",
    "wait": "bit u: take a token of unit u before",
    "signal": "bit u: give a token to unit u after",
    "register": "the number of the unit's register",
    "value": "what is written there",
}
_MOVED = {
    "address": "bytes, as those below",
    "row_bytes": "of every row",
    "rows": "their number",
    "stride": "from a row to the next",
    "place": f"number of the staged field; of a load + {1 << LAST_BIT} where its last beat is the last of a run, "
    f"+ {1 << NARROW_BIT} where elements have the field's narrow container",
    "index": ", ".join(f"{number} {name}" for number, name in enumerate(INDICES))
    + ": rows are gathered by it",
}
_OTHERS = {
    f"0 to {WORDS - 1}": "words of the unit's own register file",
    str(HOLD): "`hold`: beats of a row, for fields that have one element a row",
    str(KEEP): "`keep`: a bit for each field of the unit's outputs whose results are kept",
    str(WITHOUT): "`without`: a bit for each field of the unit's inputs that is 0 and not waited for",
    str(REPEAT): "`repeat`: how often a run takes what was loaded of a field that is the same for all rows, "
    "or how many runs take what was loaded of one that replays; 0 is once",
}
#: Bits of an instruction, and of its fields beside those that grow with the units; ``value`` has what is left.
WIDTH = 64
_KIND_BITS, _NUMBER_BITS, _REGISTER_BITS = 3, 3, 8


@cache
def form(units: Sequence[str]) -> Record:
    """The fields of an instruction of hardware with these units, lowest first."""
    count = len(units)
    value = WIDTH - _KIND_BITS - _NUMBER_BITS - 2 * count - _REGISTER_BITS
    widths = {
        "kind": _KIND_BITS, "unit": _NUMBER_BITS, "wait": count, "signal": count, "register": _REGISTER_BITS,
        "value": value,
    }  # fmt: skip
    return Record(
        tuple(
            dataclasses.replace(bits(name, width), meaning=_MEANINGS[name]) for name, width in widths.items()
        )
    )


def value_bits(units: Sequence[str]) -> int:
    """Bits of the value that an instruction writes."""
    return int(form(units)["value"].width)


#: The fields of an instruction of hardware without further units.
FORMAT = form(UNITS)
WORD_BYTES = WIDTH // 8


@dataclass(frozen=True)
class Kind:
    """One kind of instruction: its code, the fields that it uses beside ``kind``, and what it does."""

    name: str
    code: int
    fields: tuple[str, ...]
    meaning: str


_QUEUED = ("unit", "wait", "signal")
_POSITIONED = (
    f"write a register of the unit, value + position; in hardware with a window, of {' and '.join(KEYED)}, "
    "no more than value + window - 1"
)
#: Every kind by its name; code 0 is none of them, so that empty memory is no program.
KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("set", 1, (*_QUEUED, "register", "value"), "write a register of the unit"),
        Kind("start", 2, _QUEUED, "start the unit with its registers; ends when the unit is done"),
        Kind("sync", 3, _QUEUED, "do nothing but wait and signal"),
        Kind("interrupt", 4, (), "interrupt the host once all before is done"),
        Kind("end", 5, (), "end the program once all before is done, and interrupt the host"),
        Kind("setp", 6, (*_QUEUED, "register", "value"), _POSITIONED),
    )
}
_BY_CODE = {kind.code: kind for kind in KINDS.values()}


@dataclass(frozen=True)
class Instruction:
    """One instruction; ``wait`` and ``signal`` are names of units. Raises ``ParamError`` for one that is illegal."""

    kind: str
    unit: str = ""
    wait: tuple[str, ...] = ()
    signal: tuple[str, ...] = ()
    register: int = 0
    value: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ParamError(
                f"Instruction must be one of {', '.join(KINDS)}, not {self.kind!r}{suggestion(self.kind, KINDS)}"
            )
        used = KINDS[self.kind].fields
        for name in ("unit", "wait", "signal", "register", "value"):
            if name not in used and getattr(self, name):
                raise ParamError(f"Instruction {self.kind} must have no {name}, not {getattr(self, name)!r}")
        for unit in (*((self.unit,) if "unit" in used else ()), *self.wait, *self.signal):
            if unit not in EVERY:
                raise ParamError(
                    f"Unit must be one of {', '.join(EVERY)}, not {unit!r}{suggestion(unit, EVERY)}"
                )
        self._fits(UNITS)
        reason = _register_fault(self.unit, self.register) if "register" in used else None
        if reason is not None:
            raise ParamError(f"Instruction's {reason}")

    def _fits(self, units: Sequence[str]) -> None:
        """Check that numbers fit their fields. Raises ``ParamError``."""
        for name in ("register", "value"):
            width, value = form(units)[name].width, getattr(self, name)
            if not 0 <= value < 1 << width:
                raise ParamError(f"Instruction's {name} must fit {width} bits, not be {value}")

    def encode(self, units: Sequence[str] = UNITS) -> int:
        """The word of the instruction in hardware with these units. Raises ``ParamError`` where it does not fit."""
        self._fits(units)
        for unit in ((self.unit,) if self.unit else ()) + self.wait + self.signal:
            if unit not in units:
                raise ParamError(
                    f"Unit must be one of {', '.join(units)}, which the hardware has, not {unit!r}"
                )
        numbers = {
            "kind": KINDS[self.kind].code,
            "unit": units.index(self.unit) if self.unit else 0,
            "wait": _mask(units, self.wait),
            "signal": _mask(units, self.signal),
            "register": self.register,
            "value": self.value,
        }
        return sum(numbers[field.name] << field.offset for field in form(units))

    def __str__(self) -> str:
        used = KINDS[self.kind].fields
        words = [self.kind, self.unit] if self.unit else [self.kind]
        if "register" in used:
            position = "position + " if self.kind == "setp" else ""
            words.append(f"r{self.register} = {position}{self.value:#x}")
        words += [f"wait {unit}" for unit in self.wait] + [f"signal {unit}" for unit in self.signal]
        return " ".join(words)


def registers(unit: str) -> tuple[range, ...]:
    """The numbers of a unit's registers."""
    if unit in MOVERS:
        return (range(len(MOVED)),)
    return range(WORDS), range(STAGING, REPEAT + 1)


def _register_fault(unit: str, register: int) -> str | None:
    """Reason why a unit has no such register, else ``None``."""
    spans = registers(unit)
    if any(register in span for span in spans):
        return None
    shown = " or ".join(f"from {span[0]} to {span[-1]}" for span in spans)
    return f"register of {unit} must be {shown}, not {register}"


def _mask(units: Sequence[str], named: Iterable[str]) -> int:
    return sum(1 << units.index(unit) for unit in set(named))


def _named(units: Sequence[str], mask: int) -> tuple[str, ...]:
    return tuple(unit for number, unit in enumerate(units) if mask >> number & 1)


def _part(word: int, field: Field) -> int:
    return word >> field.offset & ((1 << field.bits) - 1)


def fault(word: int, units: Sequence[str] = UNITS) -> str | None:
    """Reason why a word is illegal, else ``None``: an unknown kind or unit, or a field that the kind does not use."""
    parts = {field.name: _part(word, field) for field in form(units)}
    kind = _BY_CODE.get(parts["kind"])
    if kind is None:
        return f"kind must be one of {', '.join(map(str, _BY_CODE))}, not {parts['kind']}"
    if parts["unit"] >= len(units):
        return f"unit must be at most {len(units) - 1}, not {parts['unit']}"
    for name in ("unit", "wait", "signal", "register", "value"):
        if name not in kind.fields and parts[name]:
            return f"{name} of {kind.name} must be 0, not {parts[name]}"
    return _register_fault(units[parts["unit"]], parts["register"]) if "register" in kind.fields else None


def decode(word: int, units: Sequence[str] = UNITS) -> Instruction:
    """The instruction of a word. Raises ``ParamError`` for one that hardware with these units refuses."""
    reason = fault(word, units)
    if reason is not None:
        raise ParamError(f"Instruction {word:#018x} is illegal: {reason}")
    parts = {field.name: _part(word, field) for field in form(units)}
    kind = _BY_CODE[parts["kind"]]
    unit = units[parts["unit"]] if "unit" in kind.fields else ""
    wait, signal = _named(units, parts["wait"]), _named(units, parts["signal"])
    return Instruction(kind.name, unit, wait, signal, parts["register"], parts["value"])


def assemble(program: Sequence[Instruction], units: Sequence[str] = UNITS) -> bytes:
    """The program as it stands in memory, little-endian. Raises ``ParamError`` for what hardware has no room for."""
    return b"".join(instruction.encode(units).to_bytes(WORD_BYTES, "little") for instruction in program)


def disassemble(data: bytes, units: Sequence[str] = UNITS) -> tuple[Instruction, ...]:
    """The program of some memory. Raises ``ParamError`` for half a word and for an illegal one, by its number."""
    if len(data) % WORD_BYTES:
        raise ParamError(f"A program must be a multiple of {WORD_BYTES} bytes, not {len(data)}")
    found = []
    for number in range(len(data) // WORD_BYTES):
        word = int.from_bytes(data[WORD_BYTES * number : WORD_BYTES * (number + 1)], "little")
        reason = fault(word, units)
        if reason is not None:
            raise ParamError(f"Instruction {number} ({word:#018x}) is illegal: {reason}")
        found.append(decode(word, units))
    return tuple(found)


def listing(program: Sequence[Instruction]) -> str:
    """The program as text, one line an instruction: number, word, meaning."""
    return "".join(f"{number:6d}  {one.encode():016x}  {one}\n" for number, one in enumerate(program))


# Programs that cannot end ---------------------------------------------------------------------------------------------


def refusal(program: Sequence[Instruction], queue_depth: int) -> str | None:
    """Reason why a program cannot run to its end with queues of this depth, else ``None``.

    Units take tokens in the order of their own instructions, so what can be done does not depend on how long anything
    takes: one untimed run decides for every timing. A counter that overflows stops the unit that signals until a token
    is taken, which the run does too.
    """
    if not program or program[-1].kind != "end":
        return "A program must end with end, not " + (str(program[-1]) if program else "be empty")
    for number, one in enumerate(program[:-1]):
        if one.kind == "end":
            return f"A program must have one end, not another in instruction {number}"
    run = _Untimed(program, queue_depth)
    while run.steps():
        pass
    return run.stuck()


def tokens_most(unit: str) -> int:
    """Tokens for one other unit with which a unit begins nothing that gives it another: loads under way give later."""
    return TOKENS_MOST - (FLIGHTS - 1) * (unit == MOVERS[0])


class _Untimed:
    """A program that runs as far as it can."""

    def __init__(self, program: Sequence[Instruction], depth: int) -> None:
        self.program, self.depth, self.next = program, depth, 0
        self.queues: dict[str, deque[int]] = {unit: deque() for unit in EVERY}
        self.tokens: Counter[tuple[str, str]] = Counter()

    def steps(self) -> bool:
        """Do all that can be done now; returns whether anything was."""
        done = [self._issue(), *(self._execute(unit) for unit in EVERY)]
        return any(done)

    def _issue(self) -> bool:
        if self.next == len(self.program):
            return False
        one = self.program[self.next]
        if one.unit:
            if len(self.queues[one.unit]) == self.depth:
                return False
            self.queues[one.unit].append(self.next)
        elif any(self.queues.values()):
            return False
        self.next += 1
        return True

    def _missing(self, number: int) -> Iterator[str]:
        """Describe what an instruction waits for."""
        one = self.program[number]
        for unit in one.wait:
            if not self.tokens[unit, one.unit]:
                yield f"a token of {unit}"
        for unit in one.signal:
            if self.tokens[one.unit, unit] == tokens_most(one.unit):
                yield f"{unit} to take one of {tokens_most(one.unit)} tokens"

    def _execute(self, unit: str) -> bool:
        queue = self.queues[unit]
        if not queue or any(self._missing(queue[0])):
            return False
        one = self.program[queue.popleft()]
        self.tokens.subtract((other, unit) for other in one.wait)
        self.tokens.update((unit, other) for other in one.signal)
        return True

    def stuck(self) -> str | None:
        """Describe which units wait for each other for ever; ``None`` after the end."""
        if self.next == len(self.program):
            return None
        waits = [
            f"instruction {queue[0]} ({self.program[queue[0]]}) for {' and '.join(self._missing(queue[0]))}"
            for queue in self.queues.values()
            if queue
        ]
        return f"A program must run to its end, not wait for ever: {'; '.join(waits)}"


def _numbers(place: int) -> str:
    """Numbers that a further unit has behind those of other further units that are there or not."""
    return " or ".join(str(len(UNITS) + before) for before in range(place + 1))


def page() -> str:
    """The instruction set as tables in Markdown, for ``docs/systems_hardware.md``."""
    rows = ["| field | bits | meaning |", "| --- | --- | --- |"]
    rows += [f"| `{f.name}` | {f.span.stop - 1}:{f.offset} | {f.meaning} |" for f in FORMAT]
    rows += ["", "| instruction | code | fields | what it does |", "| --- | --- | --- | --- |"]
    rows += [
        f"| `{kind.name}` | {kind.code} | {', '.join(f'`{name}`' for name in kind.fields) or 'none'} | {kind.meaning} |"
        for kind in KINDS.values()
    ]
    rows += ["", "| unit | number |", "| --- | --- |"]
    rows += [f"| {unit} | {number} |" for number, unit in enumerate(UNITS)]
    rows += [f"| {unit} | {_numbers(place)} |" for place, unit in enumerate(MORE)]
    rows += ["", "| unit | register | what |", "| --- | --- | --- |"]
    rows += [f"| load, store | {number} | `{name}`: {_MOVED[name]} |" for number, name in enumerate(MOVED)]
    rows += [f"| others | {span} | {what} |" for span, what in _OTHERS.items()]
    return "\n".join(rows) + "\n"
