"""What a compiler has to know of the units: tiles, beats, registers. All of it is asked of the designs, of any family.

Whether a unit takes a vector in the order of its elements is not assumed but tried: the unit packs rising numbers,
and its beats must hold them in their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from blueprint.arithmetic.quantization import LEVELS
from blueprint.arithmetic.softmax.arithmetic import Scales
from blueprint.errors import ParamError
from blueprint.numbers import ceil_div
from blueprint.spec import Spec
from blueprint.systems import weight_order
from blueprint.systems.control import Hardware
from blueprint.systems.staging import PACKED, PACKED_LEVELS, PRODUCTS, Staged, is_code
from blueprint.workloads.tasks import Attention, Gemm, Rowwise

Octets = NDArray[np.uint8]
#: The register of a vector unit that makes the noise of a token that of its position.
_POSITION = "position"


class UnitError(ParamError):
    """A unit that programs cannot use: ``work`` is what it does, ``parameter`` what would have to change."""

    def __init__(self, message: str, *, work: str = "", parameter: str | None = None) -> None:
        super().__init__(message, parameter=parameter)
        self.work = work


def register_numbers(spec: Spec) -> dict[str, int]:
    """Numbers of the registers of a unit, by name."""
    return {register.name: register.address // 4 for register in spec.registers()}


@dataclass(frozen=True)
class Units:
    """The units of a system's hardware with their staged fields."""

    hardware: Hardware

    @cached_property
    def inputs(self) -> tuple[Staged, ...]:
        """Staged inputs by number."""
        return self.hardware.inputs

    @cached_property
    def outputs(self) -> tuple[Staged, ...]:
        """Staged outputs by number."""
        return self.hardware.outputs

    @cached_property
    def by_name(self) -> dict[str, Staged]:
        """All staged fields."""
        return {field.name: field for field in (*self.inputs, *self.outputs)}

    def of(self, unit: str, stream: str, direction: str = "in") -> Staged:
        """The first field with lanes of a stream."""
        fields = self.inputs if direction == "in" else self.outputs
        mine = [field for field in fields if (field.unit, field.stream) == (unit, stream)]
        return next((field for field in mine if field.field.shape), mine[0])

    def spec(self, unit: str) -> Spec:
        """The design of a unit."""
        return self.hardware.units[unit]


class Product:
    """A unit of products: the fields of its vector and weights, and how many outputs a run may have.

    Raises ``ParamError`` for a unit whose weights are no words of codes, nor of one that ``scores`` integers of 8 bits.
    """

    def __init__(self, units: Units, name: str = PRODUCTS, *, scores: bool = False) -> None:
        self.name, self.spec = name, cast(Any, units.spec(name))
        self.registers = register_numbers(self.spec)
        self.act, self.weights = units.of(name, "act"), units.of(name, "wgt")
        self.result = units.of(name, "out", "out")
        field = self.weights.field
        integers = scores and (field.format, field.width, field.encoding) == ("int", 8, "")
        if not integers and (not is_code(field) or field.encoding in ("flexible", "n_of_m")):
            wanted = "ternary words" + " or integers of 8 bits" * scores
            raise ParamError(f"Weights of the {name} unit must be {wanted}, not {field.code} elements")
        self._ordered: dict[tuple[int, int], bool] = {}
        self._sizes: dict[tuple[int, int], tuple[int, int]] = {}

    def outputs(self, k: int, n: int) -> int:
        """Outputs of one run of a product, so that its weights fill half of their FIFO at most.

        Raises ``ParamError`` where the unit cannot run the product in the order of the memory.
        """
        step = self.result.elements
        if n % step:
            raise ParamError(f"Outputs must be multiples of the {self.name} unit's {step} columns, not {n}")
        self.check(k, step)
        beats, _ = self.size(k, step)
        groups: int = min(self.weights.depth // (2 * beats), n // step, self.spec.n_max // step)
        groups = min(groups, self.result.depth // 2)
        if groups == 0:
            size = 2 * beats * self.weights.beat_bytes
            raise ParamError(f"Buffer of weights must be at least {size} bytes for a product of {k} inputs")
        return int(groups * step) if self.in_order(k, groups * step) else step

    def check(self, k: int, n: int) -> None:
        """Check that one token's vector goes in and comes out in order. Raises ``ParamError``."""
        if not self.in_order(k, n):
            what = "take and give one token's vector in order, each element once (one token lane, one row, no tiles)"
            raise ParamError(f"The {self.name} unit must {what}, and this design does not")

    def in_order(self, k: int, n: int) -> bool:
        """True if a run of so many outputs takes one token's vector once and gives its results in order.

        Units that keep weights take it again for every group of columns. Raises ``ParamError`` for a size that the
        unit does not run.
        """
        if (k, n) not in self._ordered:
            task = Gemm(1, k, n)
            self.spec.check_workload(task)
            rising = np.arange(k).reshape(1, k) % 251 - 125
            beats = self.spec.stimulus({"act": rising, "wgt": np.zeros((k, n), np.int64)})["act"]
            taken = self.spec.stream("act").unpack(beats).reshape(-1)
            padded = np.pad(rising[0], (0, self.activations(k) - k))
            there = self._outputs_in_order(task)
            self._ordered[k, n] = taken.shape == padded.shape and np.array_equal(taken, padded) and there
        return self._ordered[k, n]

    def _outputs_in_order(self, task: Gemm) -> bool:
        stream = self.spec.stream("out")
        rising = np.arange(task.n).reshape(-1, *(int(size) for size in stream.field.shape))
        try:
            found = self.spec.collect({"out": stream.pack(rising)}, task)["out"]
        except ValueError:  # the design collects beats of another shape or number
            return False
        return bool(np.array_equal(found, np.arange(task.n).reshape(1, -1)))

    def activations(self, k: int) -> int:
        """Elements of the beats of a vector."""
        return ceil_div(k, self.act.elements) * self.act.elements

    def beats(self, codes: NDArray[np.int8]) -> Octets:
        """The beats of weights of some outputs, ``codes`` (outputs x inputs), each in its container."""
        beats: Octets = weight_order.beats(self.spec, codes)
        return np.pad(beats, ((0, 0), (0, self.weights.beat_bytes - beats.shape[1])))

    def size(self, k: int, n: int) -> tuple[int, int]:
        """Beats and bytes of the weights of ``n`` outputs over ``k`` inputs."""
        if (k, n) not in self._sizes:
            beats = self.beats(np.zeros((n, k), np.int8))
            self._sizes[k, n] = len(beats), beats.size
        return self._sizes[k, n]

    def set_registers(self, k: int, n: int) -> dict[int, int]:
        """Numbers and values of the size registers of a run."""
        values = self.spec.register_values(Gemm(1, k, n))
        return {self.registers[size.name]: values[size.name] for size in self.spec.sizes}


class Attends:
    """The attention unit: a run for each key head. Raises ``ParamError`` for buffers that are too small."""

    def __init__(self, units: Units, share: int, context: int) -> None:
        self.spec: Any = units.spec("attention")
        self.registers = register_numbers(self.spec)
        self.query, self.key = units.of("attention", "query"), units.of("attention", "key")
        self.value = units.of("attention", "value")
        self.result = units.of("attention", "out", "out")
        self.share, self.dim = share, prod(self.key.field.shape)
        self.packed = is_code(self.key.field)
        self._check_width(units)
        self.mask = self._mask()
        self._check(min(3, context))
        for field in (self.key, self.value):
            beats = context * self.turns
            if beats > field.depth:
                what = f"{2 * beats * field.beat_bytes} bytes for {context} keys and values of a head"
                raise ParamError(
                    f"Buffer of the cache must be at least {what}, not {2 * field.depth * field.beat_bytes}"
                )

    @property
    def floats(self) -> bool:
        """True if queries, keys, values and results are floats, which have no steps."""
        return bool(self.spec.float_format)

    @property
    def levels(self) -> float:
        """The largest magnitude of a key or value in the cache that are integers."""
        return PACKED_LEVELS if self.packed else LEVELS

    def size(self, elements: int) -> int:
        """Bytes of ``elements`` elements of the cache."""
        return elements * (PACKED if self.packed else int(self.key.field.width)) // 8

    def _check_width(self, units: Units) -> None:
        """Check that packed keys and values are as a store packs them. Raises ``ParamError``."""
        if not self.packed:
            return
        given = units.by_name["vector.out.quantized"]
        port = units.hardware.width
        if not given.packs:
            what = f"Lanes of the vector unit must be even, and {PACKED} bits of each a part or a multiple of the"
            raise ParamError(f"{what} port's {port} bits, to be packed for the cache, not {given.elements}")
        if self.key.beat_bytes != self.size(self.dim):
            what = (
                f"Keys of {PACKED} bits must fill the {self.key.beat_bytes} bytes that a beat has in memory"
            )
            raise ParamError(f"{what}, not {self.size(self.dim)} of them")

    def _mask(self) -> str:
        for mask in ("causal", "none"):
            try:
                self.spec.check_workload(self.task(1, mask))
            except ParamError as problem:
                if mask == "none":
                    raise ParamError(
                        f"The attention unit must run a causal mask or none: {problem}"
                    ) from None
            else:
                return mask
        raise AssertionError

    def task(self, keys: int, mask: str | None = None) -> Attention:
        """One query of each head of a key head, over ``keys`` keys."""
        return Attention(1, keys, self.share, 1, self.dim, mask or self.mask)

    def _check(self, keys: int) -> None:
        """Check that queries, keys and results are in order. Raises ``ParamError``."""
        task = self.task(keys)
        operands = self.spec.operands(task, 0)
        beats = self.spec.stimulus(operands)
        for name, most in (("query", self.share * self.dim), ("key", keys * self.dim)):
            there = self.spec.stream(name).unpack(beats[name]).reshape(-1)
            turns = max(1, self.turns) if name == "key" else 1
            wanted = np.tile(operands[name].reshape(-1), turns)
            if there.size != most * turns or not np.array_equal(there, wanted):
                what = (
                    f"take one query, each element of its {self.share} heads once (parallel 1, whole groups)"
                )
                what = f"The attention unit must {what}, and this design does not"
                raise UnitError(what, work="attention", parameter="parallel")

    @property
    def turns(self) -> int:
        """Passes over the keys of a key head."""
        return int(self.spec.register_values(self.task(1))["passes"])

    def scales(self, scale: float, gain: float) -> dict[str, int]:
        """Fields of a scale beat."""
        found = Scales.of(self.spec.softmax, scale, gain)
        return dict(zip(Scales.names(), found.row(), strict=True))

    def set_registers(self) -> tuple[dict[int, int], int]:
        """Numbers and values of the registers of a run, and the number of the one that is position + 1."""
        values = self.spec.register_values(self.task(1))
        found = {self.registers[size.name]: values[size.name] for size in self.spec.sizes}
        return found, self.registers["keys"]


class Rows:
    """The vector unit: what it is given for an operation."""

    def __init__(self, units: Units) -> None:
        self.spec: Any = units.spec("vector")
        self.registers = register_numbers(self.spec)
        #: The register that holds position + 1 where a token may be drawn.
        self.drawn_by = self.registers.get(_POSITION)
        self.x, self.gain = units.by_name["vector.x.x"], units.by_name["vector.gain.gain"]
        self.lanes = self.x.elements
        self.check("dequantize+quantize", self.lanes)
        self.operand = units.by_name["vector.operand.operand"]
        self.out = units.by_name["vector.out.out"]

    def pace(self, operation: str, length: int, rows: int) -> float:
        """Cycles that a row takes among many. Raises ``ParamError`` where the unit cannot do it."""
        few = max(1, rows // 2)
        every, some = (int(self.spec.cycles(self.check(operation, length, count))) for count in (rows, few))
        return (every - some) / max(1, rows - few)

    def check(self, operation: str, length: int, rows: int = 1) -> Rowwise:
        """The run of an operation. Raises ``ParamError`` where the unit cannot do it."""
        if length % self.lanes:
            raise ParamError(f"Rows must be multiples of the vector unit's {self.lanes} lanes, not {length}")
        task = Rowwise(rows, length, operation)
        try:
            self.spec.check_workload(task)
        except ParamError as problem:
            raise ParamError(f"The vector unit must run {task.label}: {problem}") from None
        return task

    def set_registers(self, task: Rowwise) -> dict[int, int]:
        """Numbers and values of the registers of a run."""
        values = self.spec.register_values(task)
        return {self.registers[size.name]: values[size.name] for size in self.spec.sizes}
