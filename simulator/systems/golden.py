"""A system without time: programs run on memory, every unit by the golden reference of its family.

What leaves a unit has the same bits as in hardware. Several sequences that are at the same position run side by side:
what they share of memory, the image, is there once, what runs write is there for each. Nothing is known of a compiler:
weights are decoded from the beats that a program loads.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blueprint.numbers import ceil_div
from blueprint.record import Integers
from blueprint.spec import Spec
from blueprint.systems.control import Hardware
from blueprint.systems.instructions import HOLD, INDICES, KEEP, LAST_BIT, MOVED, UNITS, Instruction
from blueprint.systems.staging import Staged
from simulator.systems.weights import Weights

Octets = NDArray[np.uint8]
#: Told of every field that leaves a unit: unit, number of its run, field, values (sequences x elements).
Watch = Callable[[str, int, str, Integers], None]
_TOKEN, _POSITION = INDICES.index("token"), INDICES.index("position")
_WORD = 4


class Stuck(RuntimeError):
    """A program that breaks the rules of staging, or that cannot end."""


class Memory:
    """External memory of some sequences: what they write for each, and behind it the image that they share."""

    def __init__(self, base: int, image: Octets, sequences: int = 1) -> None:
        self.base, self.image = base, image
        self.written = np.zeros((sequences, base), np.uint8)

    @property
    def sequences(self) -> int:
        """Number of sequences."""
        return len(self.written)

    def read(self, address: int, size: int) -> Octets:
        """Bytes, (sequences, size) or (1, size) of the image."""
        if address >= self.base:
            return self._image(address - self.base, size)[None]
        if address + size > self.base:
            shared = self._image(0, address + size - self.base)
            mine = self.written[:, address:]
            return np.concatenate([mine, np.broadcast_to(shared, (len(mine), shared.size))], axis=1)
        return self.written[:, address : address + size]

    def _image(self, first: int, size: int) -> Octets:
        found = self.image[first : first + size]
        if found.size < size:
            raise Stuck(f"Memory must have {self.base + first + size} bytes, and ends before")
        return found

    def write(self, address: int, data: Octets) -> None:
        """Write bytes of every sequence."""
        end = address + data.shape[1]
        if end > self.base:
            raise Stuck(f"A store must end before the image at {self.base}, not at {end}")
        self.written[:, address:end] = data


@dataclass
class _Beats:
    """A transfer in staging: elements (sequences or 1, elements), and where it came from, if from the image."""

    values: Integers
    source: tuple[int, int] | None
    last: bool
    words: int


class Golden:
    """A system's units with their staging and memory."""

    def __init__(self, hardware: Hardware, memory: Memory, watch: Watch | None = None) -> None:
        self.hardware, self.memory, self._watch = hardware, memory, watch
        self.inputs, self.outputs = hardware.inputs, hardware.outputs
        self._places = {field.name: field for field in (*self.inputs, *self.outputs)}
        self._full: dict[str, deque[_Beats]] = {name: deque() for name in self._places}
        self._words: Counter[str] = Counter()
        self._beats: Counter[str] = Counter()
        self._units: dict[str, _Unit] = {
            name: _UNITS[spec.task.kind](name, spec, self) for name, spec in hardware.units.items()
        }
        self._moved: dict[str, dict[int, int]] = {"load": {}, "store": {}}
        self.token = np.zeros(memory.sequences, np.int64)
        self.position = 0

    def run(self, program: Sequence[Instruction], position: int, order: Sequence[str] = UNITS) -> None:
        """One pass. Units take turns in an ``order``, which must not change anything. Raises ``Stuck``.

        In its turn a unit runs as far ahead as its tokens let it.
        """
        self.position = position
        queues = {unit: deque(one for one in program if one.unit == unit) for unit in UNITS}
        tokens: Counter[tuple[str, str]] = Counter()
        while any(queues.values()):
            done = [self._advance(unit, queues[unit], tokens) for unit in order]
            if not any(done):
                heads = "; ".join(str(queue[0]) for queue in queues.values() if queue)
                raise Stuck(f"A program must run to its end, not stop at {heads}")
        for name, held in self._full.items():
            if held:
                raise Stuck(f"Field {name} must be empty behind a pass, and is not")

    def _advance(self, unit: str, queue: deque[Instruction], tokens: Counter[tuple[str, str]]) -> bool:
        """Execute all that the unit can; returns whether anything was."""
        done = False
        while queue and all(tokens[other, unit] for other in queue[0].wait) and self._ready(queue[0]):
            one = queue.popleft()
            tokens.subtract((other, unit) for other in one.wait)
            self._execute(one)
            tokens.update((unit, other) for other in one.signal)
            done = True
        return done

    def _ready(self, one: Instruction) -> bool:
        return one.kind != "start" or one.unit not in self._units or self._units[one.unit].ready()

    def _execute(self, one: Instruction) -> None:
        if one.kind in ("set", "setp"):
            value = one.value + (self.position if one.kind == "setp" else 0)
            if one.unit in self._moved:
                self._moved[one.unit][one.register] = value
            else:
                self._units[one.unit].registers[one.register] = value
        elif one.kind == "start":
            if one.unit == "load":
                self._load()
            elif one.unit == "store":
                self._store()
            else:
                self._units[one.unit].start()

    # Transfers --------------------------------------------------------------------------------------------------------

    def _transfer(self, unit: str) -> dict[str, int]:
        return {name: self._moved[unit].get(number, 0) for number, name in enumerate(MOVED)}

    def _rows(self, moved: dict[str, int]) -> Iterator[int | Integers]:
        """Address of every row; of each sequence where the token says it."""
        for row in range(moved["rows"]):
            if moved["index"] == _TOKEN:
                yield moved["address"] + self.token * moved["stride"]
            else:
                steps = self.position if moved["index"] == _POSITION else row
                yield moved["address"] + steps * moved["stride"]

    def _load(self) -> None:
        moved = self._transfer("load")
        place, last = moved["place"] & ((1 << LAST_BIT) - 1), bool(moved["place"] >> LAST_BIT)
        data = self._read(moved)
        if place == len(self.inputs):
            self.token = np.broadcast_to(data[:, :_WORD].copy().view("<u4")[:, 0], self.token.shape).astype(
                np.int64
            )
            return
        staged = self.inputs[place]
        source = None
        if moved["address"] >= self.memory.base and not moved["index"]:
            source = (moved["address"], data.shape[1])
        words = staged.words(data.shape[1], self.hardware.width)
        self._push(staged, _Beats(_elements(staged, data), source, last, words))

    def _read(self, moved: dict[str, int]) -> Octets:
        size = moved["row_bytes"]
        if moved["rows"] > 1 and moved["stride"] == size and not moved["index"]:
            return self.memory.read(moved["address"], size * moved["rows"])
        if moved["index"] != _TOKEN and (moved["index"] or not moved["stride"]):
            steps = self.position if moved["index"] else 0
            return np.tile(self.memory.read(moved["address"] + steps * moved["stride"], size), moved["rows"])
        found: list[Octets] = []
        for address in self._rows(moved):
            if isinstance(address, np.ndarray):
                each = [self.memory.read(int(at), size) for at in address]
                found.append(np.concatenate([one[min(n, len(one) - 1)][None] for n, one in enumerate(each)]))
            else:
                found.append(self.memory.read(address, size))
        most = max(map(len, found))
        return np.concatenate([np.broadcast_to(one, (most, size)) for one in found], axis=1)

    def _store(self) -> None:
        moved = self._transfer("store")
        staged = self.outputs[moved["place"]]
        size, found, held = moved["row_bytes"], [], self._full[staged.name]
        left = size * moved["rows"]
        while left > 0 and held:
            found.append(_octets(staged, self._pop(staged).values))
            left -= found[-1].shape[1]
        if left:
            raise Stuck(f"A store of {staged.name} must be whole results, not {size * moved['rows']} bytes")
        data = np.concatenate(found, axis=1)
        for row, address in enumerate(self._rows(moved)):
            if isinstance(address, np.ndarray):
                raise Stuck("A store must not be gathered by the token")
            self.memory.write(address, data[:, row * size : (row + 1) * size])

    # Staging ----------------------------------------------------------------------------------------------------------

    def _push(self, staged: Staged, beats: _Beats) -> None:
        self._full[staged.name].append(beats)
        self._words[staged.name] += beats.words
        self._beats[staged.name] += beats.values.shape[1] // staged.elements
        words = self._words[staged.name]
        streaming = staged.direction == "in" and self._units[staged.unit].starved
        if words > staged.depth and not streaming:
            raise Stuck(f"Field {staged.name} must hold at most {staged.depth} words, not {words}")

    def beats(self, name: str) -> int:
        """Beats of a field that are there."""
        return self._beats[name]

    def _pop(self, staged: Staged) -> _Beats:
        one = self._full[staged.name].popleft()
        self._words[staged.name] -= one.words
        self._beats[staged.name] -= one.values.shape[1] // staged.elements
        return one

    def take(self, name: str, beats: int) -> tuple[Integers, list[tuple[int, int] | None]]:
        """The next beats of a field as elements, and the places in the image that they are from."""
        staged, found, sources = self._places[name], [], []
        left = beats * staged.elements
        while left:
            if not self._full[name]:
                raise Stuck(f"Field {name} must have {beats} beats, and has fewer")
            one = self._pop(staged)
            if one.values.shape[1] > left:
                raise Stuck(f"A transfer of {name} must belong to one run")
            found.append(one.values)
            sources.append(one.source)
            left -= one.values.shape[1]
            if staged.carrier and one.last != (left == 0):
                raise Stuck(f"The last transfer of {name} of a run must be marked, and no other")
        most = max(map(len, found))
        wide = [np.broadcast_to(one, (most, *one.shape[1:])) for one in found]
        return (found[0] if len(found) == 1 else np.concatenate(wide, axis=1)), sources

    def give(self, unit: str, run: int, keep: int, results: dict[str, Integers]) -> None:
        """Results of a run, (sequences, elements) by stream and field; those that are kept go into staging."""
        mine = [field for field in self.outputs if field.unit == unit]
        for number, staged in enumerate(mine):
            key = f"{staged.stream}.{staged.field.name}"
            values = np.broadcast_to(results[key], (self.memory.sequences, results[key].shape[1]))
            if self._watch is not None:
                self._watch(unit, run, staged.name, values)
            if keep >> number & 1:
                words = ceil_div(values.shape[1], staged.elements)
                self._push(staged, _Beats(values, None, True, words))


class _Unit:
    """Base of the units: registers, runs, and whether what a run takes is there."""

    def __init__(self, name: str, spec: Spec, golden: Golden) -> None:
        self.name, self.golden = name, golden
        self.spec: Any = spec
        self.registers: dict[int, int] = {}
        self.runs = 0
        self.starved = False
        self._numbers = {register.name: register.address // 4 for register in spec.registers()}

    def size(self, name: str) -> int:
        """A size register."""
        return self.registers.get(self._numbers[name], 0)

    def sizes(self) -> dict[str, int]:
        """All size registers. Raises ``Stuck`` for sizes that hardware refuses."""
        found = {size.name: self.size(size.name) for size in self.spec.sizes}
        reason = self.spec.refuses(found)
        if reason is not None:
            raise Stuck(f"Unit {self.name} refuses its sizes: {reason}")
        return found

    def needs(self) -> dict[str, int]:
        """Beats of every field that the next run takes."""
        raise NotImplementedError

    def ready(self) -> bool:
        """True if everything that a run takes is there."""
        self.starved = any(self.golden.beats(name) < beats for name, beats in self.needs().items())
        return not self.starved

    def start(self) -> None:
        """One run."""
        taken = {name: self.golden.take(name, beats) for name, beats in self.needs().items()}
        results = self.compute(
            {name: one[0] for name, one in taken.items()}, {n: one[1] for n, one in taken.items()}
        )
        self.golden.give(self.name, self.runs, self.registers.get(KEEP, 0), results)
        self.runs += 1

    def compute(
        self, values: dict[str, Integers], sources: dict[str, list[tuple[int, int] | None]]
    ) -> dict[str, Integers]:
        """Results by field."""
        raise NotImplementedError

    def elements(self, stream: str, field: str) -> int:
        """Elements in a beat of a field."""
        return self.golden._places[f"{self.name}.{stream}.{field}"].elements


class _Matrix(_Unit):
    """Products of one token."""

    def __init__(self, name: str, spec: Spec, golden: Golden) -> None:
        super().__init__(name, spec, golden)
        self._weights = Weights(spec)
        self._act, self._wgt, self._out = (
            next(f"{name}.{stream}.{field.name}" for field in spec.stream(stream).beat)
            for stream in ("act", "wgt", "out")
        )

    def needs(self) -> dict[str, int]:
        sizes = self.sizes()
        k, n = sizes["k"], sizes["n"]
        act = ceil_div(k, self.golden._places[self._act].elements)
        return {self._act: act, self._wgt: self._weights.beats(k, n)}

    def compute(
        self, values: dict[str, Integers], sources: dict[str, list[tuple[int, int] | None]]
    ) -> dict[str, Integers]:
        k, n = self.size("k"), self.size("n")
        weights = self._weights.read(values[self._wgt].astype(np.uint8), tuple(sources[self._wgt]), k, n)
        found = self.spec.reference({"act": values[self._act][:, :k], "wgt": weights})["out"]
        return {self._out.removeprefix(f"{self.name}."): found}


class _Attention(_Unit):
    """Attention of one query of the heads of a key head; sequences are key heads to the reference."""

    def needs(self) -> dict[str, int]:
        sizes = self.sizes()
        passes = sizes["passes"]
        scales = {f"{self.name}.scale.{field.name}": passes for field in self.spec.stream("scale").beat}
        beats = {"query": passes, "key": passes * sizes["keys"], "value": passes * sizes["keys"]}
        return scales | {f"{self.name}.{name}.{name}": count for name, count in beats.items()}

    def compute(
        self, values: dict[str, Integers], sources: dict[str, list[tuple[int, int] | None]]
    ) -> dict[str, Integers]:
        sizes, many = self.sizes(), self.golden.memory.sequences
        named = {name.removeprefix(f"{self.name}."): value for name, value in values.items()}
        dim = self.elements("key", "key")
        query = np.broadcast_to(named["query.query"], (many, named["query.query"].shape[1]))
        operands = {"query": query.reshape(-1, 1, dim)}
        for name in ("key", "value"):
            first = named[f"{name}.{name}"][:, : sizes["keys"] * dim]
            operands[name] = np.broadcast_to(first, (many, first.shape[1])).reshape(many, -1, dim)
        words = [named[f"scale.{field.name}"][0, 0] for field in self.spec.stream("scale").beat]
        operands["scale"] = np.tile(np.array(words, np.int64), (many, 1))
        masked = int(self.spec.mask != "none")
        operands["mask"] = np.array([masked, sizes.get("window", 0), sizes.get("sinks", 0)], np.int64)
        found = self.spec.reference(operands)["out"]
        return {"out.result": found.reshape(many, -1)}


class _Rows(_Unit):
    """Rows of the vector unit."""

    def needs(self) -> dict[str, int]:
        sizes = self.sizes()
        rows, length = sizes["rows"], sizes["length"]
        beats = rows * ceil_div(length, self.elements("x", "x"))
        found = {f"{self.name}.x.x": beats}
        held = ceil_div(beats, max(1, self.registers.get(HOLD, 1)))
        for field in self.spec.stream("x").beat:
            if field.name != "x":
                found[f"{self.name}.x.{field.name}"] = held
        done = self._done(sizes["operation"])
        if any(name in done for name in ("gate", "add", "rotate")):
            found[f"{self.name}.operand.operand"] = beats
        if "norm" in done or "dot" in done:
            found[f"{self.name}.gain.gain"] = beats
        return found

    def _done(self, operation: int) -> list[str]:
        return [name for place, name in enumerate(self.spec.operations) if operation - 1 >> place & 1]

    def compute(
        self, values: dict[str, Integers], sources: dict[str, list[tuple[int, int] | None]]
    ) -> dict[str, Integers]:
        sizes = self.sizes()
        rows, length = sizes["rows"], sizes["length"]
        if length % self.elements("x", "x"):
            raise Stuck(f"Rows must be whole beats, not {length} elements")
        named = {name.split(".", 1)[1]: value for name, value in values.items()}
        hold = self.registers.get(HOLD, 1)
        each = np.arange(rows) * (length // self.elements("x", "x")) // hold
        many = max(map(len, named.values()))
        operands: dict[str, Integers] = {"operation": np.array([sizes["operation"]], np.int64)}
        operands["x"] = self._many(named["x.x"], many).reshape(many * rows, length)
        for field in self.spec.stream("x").beat:
            if field.name != "x":
                held = self._many(named[f"x.{field.name}"], many)
                operands[field.name] = held[:, each].reshape(-1)
        operand = named.get("operand.operand", np.zeros((1, rows * length), np.int64))
        operands["operand"] = self._many(operand, many).reshape(many * rows, length)
        gain = named.get("gain.gain", np.zeros((1, rows * length), np.int64)).reshape(-1, rows, length)
        return self._referred(operands, gain, many, rows)

    @staticmethod
    def _many(values: Integers, many: int) -> Integers:
        return np.broadcast_to(values, (many, values.shape[1]))

    def _referred(
        self, operands: dict[str, Integers], gain: Integers, many: int, rows: int
    ) -> dict[str, Integers]:
        """All sequences by one call where gains are the same for them and no result is of a whole run."""
        if (gain != gain[:, :1]).any():
            raise Stuck("Gains must be the same for all rows of a run")
        once = any(field.once for field in self.golden.outputs if field.unit == self.name)
        asked = "dot" in self._done(int(operands["operation"][0]))
        if len(gain) == 1 and not (once and asked):
            found = [self.spec.reference({**operands, "gain": gain[0, 0]})]
        else:
            found = []
            for number in range(many):
                mine = {
                    name: value if name == "operation" else value[number * rows : (number + 1) * rows]
                    for name, value in operands.items()
                }
                found.append(self.spec.reference({**mine, "gain": gain[min(number, len(gain) - 1), 0]}))
        return {f"out.{name}": self._shaped(name, found, many) for name in found[0]}

    def _shaped(self, name: str, found: list[dict[str, Integers]], many: int) -> Integers:
        joined = np.concatenate([np.atleast_1d(one[name]) for one in found])
        if joined.ndim == 1 and joined.size < many:  # of a run whose result nobody asked for
            joined = np.resize(joined, many)
        return joined.reshape(many, -1)


_UNITS: dict[str, type[_Unit]] = {"gemm": _Matrix, "attention": _Attention, "rowwise": _Rows}


def _elements(staged: Staged, data: Octets) -> Integers:
    """Elements of whole beats of a field; of words of codes the bytes of each beat, as one row of them."""
    count = data.shape[1] // staged.beat_bytes
    whole = np.ascontiguousarray(data[:, : count * staged.beat_bytes])
    if staged.packed:
        # One element a beat: its place in the bytes, which `Weights` reads.
        return whole.reshape(len(data), count, staged.beat_bytes).astype(np.int64)
    values = whole.view(f"<u{staged.container}").astype(np.int64)
    bits = int(staged.field.width)
    values &= (1 << bits) - 1
    if staged.field.signed:
        values -= (values >> (bits - 1)) << bits
    return values


def _octets(staged: Staged, values: Integers) -> Octets:
    """Bytes of elements in their containers."""
    wide = np.ascontiguousarray(values, "<i8").view(np.uint8).reshape(len(values), -1, 8)
    if not staged.field.signed:
        size = staged.container
        return np.ascontiguousarray(wide[:, :, :size]).reshape(len(values), -1)
    return np.ascontiguousarray(wide[:, :, : staged.container]).reshape(len(values), -1)
