"""A system without time: programs run on memory, every unit by the golden reference of its family.

What leaves a unit has the same bits as in hardware. Several sequences that are at the same position run side by side:
the image, which they share, is there once, and what runs write is there for each. The model knows nothing of a
compiler: it decodes weights from the beats that a program loads.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blueprint.numbers import ceil_div
from blueprint.record import Integers
from blueprint.systems import control
from blueprint.systems.control import Hardware
from blueprint.systems.instructions import INDICES, LAST_BIT, MOVED, NARROW_BIT, Instruction
from blueprint.systems.staging import PACKED_LEVELS, Staged
from blueprint.systems.starved import Turns
from simulator.systems import golden_units
from simulator.systems.golden_units import Sources, Stuck

Octets = NDArray[np.uint8]
#: Called with every field that leaves a unit: unit, number of its run, field, values (sequences x elements).
Watch = Callable[[str, int, str, Integers], None]
_TOKEN = INDICES.index("token")
_WORD = 4


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
        """Bytes of memory, (sequences, size), or (1, size) of the image alone. Raises ``Stuck`` beyond its end."""
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
        """Write bytes of every sequence. Raises ``Stuck`` for a store into the image."""
        end = address + data.shape[1]
        if end > self.base:
            raise Stuck(f"A store must end before the image at {self.base}, not at {end}")
        self.written[:, address:end] = data


@dataclass(frozen=True)
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
        self.places = {field.name: field for field in (*self.inputs, *self.outputs)}
        self._full: dict[str, deque[_Beats]] = {name: deque() for name in self.places}
        self._words: Counter[str] = Counter()
        self._beats: Counter[str] = Counter()
        self._units: dict[str, golden_units.Unit] = {
            name: golden_units.UNITS[spec.task.kind](name, spec, self)
            for name, spec in hardware.units.items()
        }
        self._turns = Turns(hardware)
        self._moved: dict[str, dict[int, int]] = {"load": {}, "store": {}}
        self.token = np.zeros(memory.sequences, np.int64)
        self.position = 0

    def run(self, program: Sequence[Instruction], position: int, order: Sequence[str] = ()) -> None:
        """One pass. Units take turns in an ``order``, which must not change anything: else that of their numbers.

        In its turn a unit runs as far ahead as its tokens let it. Raises ``Stuck``.
        """
        self.position, order = position, order or self.hardware.queues
        queues = {unit: deque(one for one in program if one.unit == unit) for unit in order}
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
            more = control.added(self.hardware.window, one.unit, self.position)
            value = one.value + (more if one.kind == "setp" else 0)
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
                steps = self._index(moved) if moved["index"] else row
                yield moved["address"] + steps * moved["stride"]

    def _index(self, moved: dict[str, int]) -> int:
        """The index of rows that the position says; 0 where they have none."""
        return control.indexed(self.hardware.window, self.position)[INDICES[moved["index"]]]

    def _load(self) -> None:
        moved = self._transfer("load")
        place = moved["place"] & ((1 << LAST_BIT) - 1)
        last, narrow = (bool(moved["place"] >> bit & 1) for bit in (LAST_BIT, NARROW_BIT))
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
        if narrow and not staged.narrow:
            raise Stuck(f"A load of {staged.name} must have its only container, not a narrow one")
        words = staged.words(data.shape[1], self.hardware.width, narrow)
        self._push(staged, _Beats(_elements(staged, data, narrow), source, last, words))

    def _read(self, moved: dict[str, int]) -> Octets:
        size = moved["row_bytes"]
        if moved["rows"] > 1 and moved["stride"] == size and not moved["index"]:
            return self.memory.read(moved["address"], size * moved["rows"])
        if moved["index"] != _TOKEN and (moved["index"] or not moved["stride"]):
            steps = self._index(moved)
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
        place = moved["place"]
        staged, narrow = self.outputs[place % (1 << LAST_BIT)], bool(place >> NARROW_BIT & 1)
        if narrow and not staged.packs:
            raise Stuck(f"A store of {staged.name} must have its only container, not a narrow one")
        size, found, held = moved["row_bytes"], [], self._full[staged.name]
        left = size * moved["rows"]
        while left > 0 and held:
            values = self._pop(staged).values
            found.append(_octets(staged, values, narrow))
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

    @property
    def sequences(self) -> int:
        """Sequences that run side by side."""
        return self.memory.sequences

    def beats(self, name: str) -> int:
        """Beats of a field that are there."""
        return self._beats[name]

    def _pop(self, staged: Staged) -> _Beats:
        one = self._full[staged.name].popleft()
        self._words[staged.name] -= one.words
        self._beats[staged.name] -= one.values.shape[1] // staged.elements
        return one

    def _unpop(self, staged: Staged, taken: Sequence[_Beats]) -> None:
        self._full[staged.name].extendleft(reversed(taken))
        self._words[staged.name] += sum(one.words for one in taken)
        self._beats[staged.name] += sum(one.values.shape[1] for one in taken) // staged.elements

    def take(self, name: str, beats: int) -> tuple[Integers, Sources]:
        """The next beats of a field as elements, and the places in the image that they are from.

        Those that the next run takes too stay there. Raises ``Stuck`` where they do not belong to one run.
        """
        staged, found, sources, taken = self.places[name], [], [], list[_Beats]()
        left = beats * staged.elements
        while left:
            if not self._full[name]:
                raise Stuck(f"Field {name} must have {beats} beats, and has fewer")
            one = self._pop(staged)
            taken.append(one)
            if one.values.shape[1] > left:
                raise Stuck(f"A transfer of {name} must belong to one run")
            found.append(one.values)
            sources.append(one.source)
            left -= one.values.shape[1]
            if staged.carrier and one.last != (left == 0):
                raise Stuck(f"The last transfer of {name} of a run must be marked, and no other")
        if not self._turns.ends(f"{staged.unit}.{staged.stream}", self._units[staged.unit].registers):
            self._unpop(staged, taken)
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


def _elements(staged: Staged, data: Octets, narrow: bool) -> Integers:
    """Elements of whole beats of a field; of words of codes the bytes of each beat, as one row of them."""
    container = staged.narrow if narrow else staged.container
    beat = staged.beat_bytes * container // staged.container
    count = data.shape[1] // beat
    whole = np.ascontiguousarray(data[:, : count * beat])
    if staged.packed:
        # The bytes of every beat, which `Weights` reads.
        return whole.reshape(len(data), count, staged.beat_bytes).astype(np.int64)
    values = whole.view(f"<u{container}").astype(np.int64)
    if staged.conversion(narrow):
        values = staged.converted(values, narrow)
        container = staged.container
    bits = min(int(staged.field.width), 8 * container)
    values &= (1 << bits) - 1
    if staged.field.signed:
        values -= (values >> (bits - 1)) << bits
    return values


def _packed(values: Integers) -> Octets:
    """Bytes of two elements each, the first one low, which saturate to symmetric ones."""
    kept = np.clip(values, -PACKED_LEVELS, PACKED_LEVELS) & 15
    return (kept[:, ::2] | kept[:, 1::2] << 4).astype(np.uint8)


def _octets(staged: Staged, values: Integers, narrow: bool) -> Octets:
    """Bytes of elements in their containers; numbers of the model have the sign that they have in hardware."""
    if narrow and not staged.rounds:
        return _packed(values)
    size = staged.packs // 8 if narrow else staged.container
    wide = np.ascontiguousarray(staged.converted(values, narrow), "<i8").view(np.uint8)
    return np.ascontiguousarray(wide.reshape(len(values), -1, 8)[:, :, :size]).reshape(len(values), -1)
