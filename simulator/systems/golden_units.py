"""The units of a golden system: what their registers ask of staging, and the references of their families."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from blueprint.numbers import ceil_div
from blueprint.record import Integers
from blueprint.spec import Spec
from blueprint.systems.instructions import HOLD, KEEP, REPEAT
from blueprint.systems.staging import Staged
from simulator.systems.weights import Weights


class Stuck(RuntimeError):
    """A program that breaks the rules of staging, or that cannot end."""


#: Where beats are from in the image, for those that are.
Sources = list[tuple[int, int] | None]


class Staging(Protocol):
    """The system around a unit, as the unit sees it."""

    places: dict[str, Staged]
    outputs: tuple[Staged, ...]

    @property
    def sequences(self) -> int:
        """Sequences that run side by side."""
        ...

    def beats(self, name: str) -> int:
        """Beats of a field that are there."""
        ...

    def take(self, name: str, beats: int) -> tuple[Integers, Sources]:
        """The next beats of a field, and where they are from."""
        ...

    def give(self, unit: str, run: int, keep: int, results: dict[str, Integers]) -> None:
        """Results of a run."""
        ...


class Unit(ABC):
    """Base of the units: registers, runs, and whether what a run takes is there."""

    def __init__(self, name: str, spec: Spec, golden: Staging) -> None:
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

    @abstractmethod
    def needs(self) -> dict[str, int]:
        """Beats of every field that the next run takes."""

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

    @abstractmethod
    def compute(self, values: dict[str, Integers], sources: dict[str, Sources]) -> dict[str, Integers]:
        """Results by field."""

    def elements(self, stream: str, field: str) -> int:
        """Elements in a beat of a field."""
        return self.golden.places[f"{self.name}.{stream}.{field}"].elements


class _Matrix(Unit):
    """Products of one token."""

    def __init__(self, name: str, spec: Spec, golden: Staging) -> None:
        super().__init__(name, spec, golden)
        self._weights = Weights(spec)
        self._act, self._wgt, self._out = (
            next(f"{name}.{stream}.{field.name}" for field in spec.stream(stream).beat)
            for stream in ("act", "wgt", "out")
        )

    def needs(self) -> dict[str, int]:
        sizes = self.sizes()
        k, n = sizes["k"], sizes["n"]
        act = ceil_div(k, self.golden.places[self._act].elements)
        return {self._act: act, self._wgt: self._weights.beats(k, n)}

    def compute(self, values: dict[str, Integers], sources: dict[str, Sources]) -> dict[str, Integers]:
        k, n = self.size("k"), self.size("n")
        beats = (values[self._wgt] & 0xFF).astype(np.uint8)
        beats = beats.reshape(len(beats), self._weights.beats(k, n), -1)
        weights = self._weights.read(beats, tuple(sources[self._wgt]), k, n)
        found = self.spec.reference({"act": values[self._act][:, :k], "wgt": weights})["out"]
        return {self._out.removeprefix(f"{self.name}."): found}


class _Attention(Unit):
    """Attention of one query of the heads of a key head; sequences are key heads to the reference."""

    def needs(self) -> dict[str, int]:
        sizes = self.sizes()
        passes = sizes["passes"]
        scales = {f"{self.name}.scale.{field.name}": passes for field in self.spec.stream("scale").beat}
        beats = {"query": passes, "key": passes * sizes["keys"], "value": passes * sizes["keys"]}
        return scales | {f"{self.name}.{name}.{name}": count for name, count in beats.items()}

    def compute(self, values: dict[str, Integers], sources: dict[str, Sources]) -> dict[str, Integers]:
        sizes, many = self.sizes(), self.golden.sequences
        named = {name.removeprefix(f"{self.name}."): value for name, value in values.items()}
        dim = int(self.spec.dim)
        query = np.broadcast_to(named["query.query"], (many, named["query.query"].shape[1]))
        operands = {"query": query.reshape(-1, 1, dim)}
        for name in ("key", "value"):
            first = self._elements(name, named[f"{name}.{name}"])[:, : sizes["keys"] * dim]
            operands[name] = np.broadcast_to(first, (many, first.shape[1])).reshape(many, -1, dim)
        words = [named[f"scale.{field.name}"][0, 0] for field in self.spec.stream("scale").beat]
        operands["scale"] = np.tile(np.array(words, np.int64), (many, 1))
        masked = int(self.spec.mask != "none")
        operands["mask"] = np.array([masked, sizes.get("window", 0), sizes.get("sinks", 0)], np.int64)
        found = self.spec.reference(operands)["out"]
        return {"out.result": found.reshape(many, -1)}

    def _elements(self, name: str, values: Integers) -> Integers:
        """Elements of keys or values, which may be packed: the bytes of every beat then."""
        if not self.golden.places[f"{self.name}.{name}.{name}"].packed:
            return values
        stream = self.spec.stream(name)
        octets = values.reshape(-1, values.shape[2]).astype(np.uint8)[:, : stream.width // 8]
        found: Integers = stream.unpack(octets).reshape(len(values), -1)
        return found


class _Rows(Unit):
    """Rows of the vector unit."""

    @property
    def _given(self) -> list[str]:
        """Registers of a run that are no sizes of operands."""
        return list(self.spec.operation().given)

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
            found[f"{self.name}.gain.gain"] = beats // self._turns
        return found

    @property
    def _turns(self) -> int:
        """Number of times that a run takes the gains that were loaded."""
        return max(1, self.registers.get(REPEAT, 0))

    def _done(self, operation: int) -> list[str]:
        return [name for place, name in enumerate(self.spec.operations) if operation - 1 >> place & 1]

    def compute(self, values: dict[str, Integers], sources: dict[str, Sources]) -> dict[str, Integers]:
        sizes = self.sizes()
        rows, length = sizes["rows"], sizes["length"]
        if length % self.elements("x", "x"):
            raise Stuck(f"Rows must be whole beats, not {length} elements")
        named = {name.split(".", 1)[1]: value for name, value in values.items()}
        hold = self.registers.get(HOLD, 1)
        each = np.arange(rows) * (length // self.elements("x", "x")) // hold
        many = max(map(len, named.values()))
        operands: dict[str, Integers] = {name: np.array([sizes[name]], np.int64) for name in self._given}
        operands["x"] = self._many(named["x.x"], many).reshape(many * rows, length)
        for field in self.spec.stream("x").beat:
            if field.name != "x":
                held = self._many(named[f"x.{field.name}"], many)
                operands[field.name] = held[:, each].reshape(-1)
        operand = named.get("operand.operand", np.zeros((1, rows * length), np.int64))
        operands["operand"] = self._many(operand, many).reshape(many * rows, length)
        gain = named.get("gain.gain", np.zeros((1, rows * length // self._turns), np.int64))
        gain = np.tile(gain, self._turns).reshape(-1, rows, length)
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
                    name: value if name in self._given else value[number * rows : (number + 1) * rows]
                    for name, value in operands.items()
                }
                found.append(self.spec.reference({**mine, "gain": gain[min(number, len(gain) - 1), 0]}))
        return {f"out.{name}": self._shaped(name, found, many) for name in found[0]}

    def _shaped(self, name: str, found: list[dict[str, Integers]], many: int) -> Integers:
        joined = np.concatenate([np.atleast_1d(one[name]) for one in found])
        if joined.ndim == 1 and joined.size < many:  # the run keeps no result of this field
            joined = np.resize(joined, many)
        return joined.reshape(many, -1)


#: Classes by the kind of their tasks.
UNITS: Mapping[str, type[Unit]] = {"gemm": _Matrix, "attention": _Attention, "rowwise": _Rows}
