"""External memory behind an AXI4 port, as benches and models see it: the same behavior for both.

In cycle ``t`` the memory is *open* unless ``t % period < gap`` (refresh). What it shows in a cycle depends on what
happened in earlier ones alone.

* A request is accepted in an open cycle in which fewer than ``depth`` wait. Number ``i`` (reads and writes count apart)
  that is accepted in cycle ``t`` is answered from cycle ``t + latency + extra(i)`` on, in order.
* Data move in open cycles that are multiples of ``interval``. A read beat that was offered stays.
* Words of a write are accepted once their request was; its answer is offered ``latency + extra(i)`` cycles after the
  last word, and stays.
* Beyond ``size`` bytes the answer is DECERR, in a ``poisoned`` range SLVERR; what is written there is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from blueprint import axi
from blueprint.numbers import ceil_div
from blueprint.systems.description import Memory

_MASK = (1 << 64) - 1


def mixed(value: int) -> int:
    """A random number of 64 bits by its place (splitmix64: Steele, Lea and Flood, OOPSLA 2014)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


@dataclass(frozen=True)
class MemoryPort:
    """How external memory behaves: cycles, and how many requests it holds."""

    latency: int = 20
    spread: int = 0  # the most that ``extra`` is
    interval: int = 1
    period: int = 0  # of refreshes; 0 for none
    gap: int = 0
    depth: int = 16
    seed: int = 1
    size: int = 1 << 20
    poisoned: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        for name in ("latency", "interval", "depth", "size"):
            if getattr(self, name) < 1:
                raise ValueError(f"Memory's {name} must be at least 1, not {getattr(self, name)}")
        if self.period and not 0 <= self.gap < self.period:
            raise ValueError(f"Memory's gap must be from 0 to period {self.period} less 1, not {self.gap}")

    def opened(self, cycle: int) -> bool:
        """True if the memory does not refresh in the cycle."""
        return not self.period or cycle % self.period >= self.gap

    def moves(self, cycle: int) -> bool:
        """True if data may move in the cycle."""
        return self.opened(cycle) and cycle % self.interval == 0

    def wait(self, number: int) -> int:
        """Cycles from a request to its answer."""
        return self.latency + (mixed(self.seed + number) % (self.spread + 1) if self.spread else 0)

    def response(self, address: int) -> int:
        """What an access to a byte address is answered with."""
        if address >= self.size:
            return axi.DECERR
        return axi.SLVERR if self.poisoned[0] <= address < self.poisoned[1] else axi.OKAY


#: The four behaviors that hardware and models are compared under.
BEHAVIORS = {
    "fixed": MemoryPort(latency=20),
    "random": MemoryPort(latency=8, spread=40),
    "half": MemoryPort(latency=20, interval=2),
    "refresh": MemoryPort(latency=14, period=390, gap=60),
}


def of_memory(memory: Memory, clock_mhz: float) -> MemoryPort:
    """What a system says of its memory, in cycles of its clock.

    A port that can move more than the memory sustains gives a beat every so many cycles, rounded up.
    """
    peak = memory.width / 8 * clock_mhz * 1e6
    interval = max(1, ceil_div(int(peak), int(memory.bandwidth_gb_s * 1e9)))
    latency = max(1, round(memory.latency_ns * clock_mhz / 1000))
    return MemoryPort(latency=latency, interval=interval, size=memory.size)
