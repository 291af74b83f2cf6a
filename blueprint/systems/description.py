"""A whole decoder: named units of the families, buffers, external memory, and the largest model that it holds.

Each work of a decoder (:data:`blueprint.workloads.tasks.WORKS`) is run in one place, by a unit whose family runs such
tasks or by the host. No unit is known by its family: what it can do is what its design says (``Spec.works``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from blueprint.numbers import ceil_div
from blueprint.spec import Spec
from blueprint.workloads.model import Model

#: The name of the processor beside the accelerator among the places that run work.
HOST = "host"
#: Work that a host may run, at a stated rate.
HOST_WORKS = ("head", "elements", "positions", "sampling")
#: The place of what is only moved between external memory and a buffer.
DMA = "dma"
#: Names that answers have for other things than units.
RESERVED = (HOST, DMA, "memory", "buffers", "total")
#: First stages of the LM head, and the smallest largest weight of a unit of products that can run them; the scores of
#: ``exact`` are dot products of floats with the embedding.
EXACT, INT8 = "exact", "int8"
STAGES = {"ternary": 1, INT8: 127, EXACT: 0}


@dataclass(frozen=True)
class Unit:
    """A design of a family in a system, and the work that it runs."""

    spec: Spec
    works: tuple[str, ...]


@dataclass(frozen=True)
class Host:
    """The processor beside the accelerator: rates at which it runs its ``works``, and where those are from.

    ``elements_per_s`` are elements of a vector that pass through once; ``bandwidth_gb_s`` is the rate in 1e9 bytes a
    second at which it reads the weights of an LM head, from the same memory. ``power_w`` is what it takes while it
    works, 0 where that is not counted.
    """

    works: tuple[str, ...]
    source: str
    elements_per_s: float = 0.0
    bandwidth_gb_s: float = 0.0
    power_w: float = 0.0


@dataclass(frozen=True)
class Buffers:
    """On-chip buffers in bytes.

    ``weights`` holds what was fetched ahead of the matrix units, ``cache`` keys and values ahead of attention,
    ``activations`` the vectors of a token or of a block of a prompt.
    """

    weights: int
    cache: int
    activations: int


@dataclass(frozen=True)
class Memory:
    """External memory and its ports.

    ``bandwidth_gb_s`` is what the memory sustains (1e9 bytes per second), which ``ports`` of ``width`` bits with a beat
    a cycle may not reach; ``latency_ns`` passes from a request to its first beat; ``burst`` is the beats of a request.
    """

    size_mib: int
    bandwidth_gb_s: float
    ports: int
    width: int
    burst: int
    latency_ns: float
    energy_pj_per_bit: float
    source: str

    @property
    def size(self) -> int:
        """Bytes of the memory."""
        return self.size_mib << 20

    @property
    def beat_bytes(self) -> int:
        """Bytes of a beat of all ports."""
        return self.ports * self.width // 8

    def bytes_per_second(self, clock_mhz: float) -> float:
        """The rate at a clock: that of the memory or of its ports, whichever is less."""
        return min(self.bandwidth_gb_s * 1e9, self.beat_bytes * clock_mhz * 1e6)

    def padded(self, size: int) -> int:
        """Bytes of a region that begins and ends with a burst of one port."""
        whole = self.burst * self.width // 8
        return ceil_div(size, whole) * whole


#: Ternary digits of a weight of the head on a unit of ternary weights, the lowest first.
DIGITS = 5


def digits(spec: Spec) -> int:
    """Columns of a unit of products that a row of an INT8 head takes: one, or one for each ternary digit."""
    return 1 if spec.largest_weight >= STAGES[INT8] else DIGITS


def levels(spec: Spec) -> int:
    """The largest magnitude of a weight of an INT8 head on a unit of products."""
    return (3**DIGITS - 1) // 2 if digits(spec) > 1 else STAGES[INT8]


#: Bits of an element of an embedding of integers, each row of which has an FP32 scale; other widths are floats.
INTEGERS, _SCALE_BYTES = 8, 4


@dataclass(frozen=True)
class Head:
    """The LM head: a first stage over the whole vocabulary, and exact scores of its best ``candidates``.

    ``embedding_width`` is the bits of an element of the embedding, and of the exact weights of the head; 0 candidates
    are for a first stage that is exact.
    """

    stage: str
    candidates: int
    embedding_width: int

    @property
    def integers(self) -> bool:
        """True if rows of the embedding are integers with a scale."""
        return self.embedding_width == INTEGERS

    def row_bytes(self, hidden: int) -> int:
        """Bytes of a row of the embedding, with its scale."""
        return hidden * self.embedding_width // 8 + _SCALE_BYTES * self.integers


@dataclass(frozen=True)
class System:
    """A whole decoder. ``largest`` has the sizes of the largest model; ``block`` tokens of a prompt go side by side.
    The cache holds the last ``window`` positions, or all where that is 0.

    ``clock_mhz`` is ``None`` where units run as fast as the slowest of them can.
    """

    name: str
    units: Mapping[str, Unit]
    host: Host | None
    buffers: Buffers
    memory: Memory
    head: Head
    largest: Model
    block: int
    clock_mhz: float | None = None
    technology: str | None = None
    window: int = 0

    @cached_property
    def places(self) -> dict[str, str]:
        """The place (the name of a unit, or the host) of each work."""
        found = {work: name for name, unit in self.units.items() for work in unit.works}
        return found | (dict.fromkeys(self.host.works, HOST) if self.host else {})

    def kept(self, positions: int) -> int:
        """Positions of so many that are in the cache."""
        return min(positions, self.window or positions)

    @property
    def scored(self) -> bool:
        """True if a unit chooses a token by the scores that another one has from integers."""
        places = self.places
        chooses = places["sampling"] != HOST and places["head"] not in (HOST, places["sampling"])
        return chooses and self.head.stage == INT8 and not self.head.candidates

    def spec(self, work: str) -> Spec | None:
        """The design that runs a work; ``None`` for the host."""
        place = self.places[work]
        return None if place == HOST else self.units[place].spec
