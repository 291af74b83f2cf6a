"""External memory behind an AXI4 port, as benches and models see it: the same behavior for both.

In cycle ``t`` the memory is *open* unless ``t % period < gap`` (refresh). What it shows in a cycle depends on what
happened in earlier ones alone.

* A request is accepted in an open cycle in which fewer than ``depth`` wait. Number ``i`` (reads and writes count apart)
  that is accepted in cycle ``t`` is answered from cycle ``t + latency + extra(i)`` on, in order.
* Data move in ``beats`` of every ``interval`` cycles, evenly: if open, those with ``t * beats % interval < beats``.
  A read beat that was offered stays.
* Words of a write are accepted once their request was; its answer is offered ``latency + extra(i)`` cycles after the
  last word, and stays.
* Beyond ``size`` bytes the answer is DECERR, in a ``poisoned`` range SLVERR; what is written there is lost.
* A channel that has a ``silence`` makes a number of handshakes, and then no other before the silence is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from blueprint import axi
from blueprint.numbers import ceil_div
from blueprint.systems.description import Memory
from blueprint.words import MEMORIES

_MASK = (1 << 64) - 1
#: Largest ``interval`` of the fraction that stands for a memory's rate; a slower memory has one beat in more cycles.
FINEST = 256


def mixed(value: int) -> int:
    """A random number of 64 bits by its place (splitmix64: Steele, Lea and Flood, OOPSLA 2014)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


#: Channels of an AXI4 port on which memory may keep silent: requests, words and answers.
CHANNELS = ("ar", "r", "aw", "w", "b")
#: A cycle that no run reaches.
NEVER = _MASK


@dataclass(frozen=True)
class Silence:
    """``channel`` makes ``after`` handshakes, and from then on none before cycle ``until``. Raises ``ValueError``."""

    channel: str
    after: int = 0
    until: int = NEVER

    def __post_init__(self) -> None:
        if self.channel not in CHANNELS:
            raise ValueError(f"Silent channel must be one of {', '.join(CHANNELS)}, not {self.channel!r}")
        if self.after < 0:
            raise ValueError(f"Handshakes before a silence must be at least 0, not {self.after}")


@dataclass(frozen=True)
class MemoryPort:
    """Behavior of external memory: cycles, and how many requests it holds. Raises ``ValueError``."""

    latency: int = 20
    spread: int = 0  # the most that ``extra`` is
    beats: int = 1
    interval: int = 1
    period: int = 0  # of refreshes; 0 for none
    gap: int = 0
    depth: int = 16
    seed: int = 1
    size: int = 1 << 20
    poisoned: tuple[int, int] = (0, 0)
    silence: Silence | None = None

    def __post_init__(self) -> None:
        for name in ("latency", "beats", "interval", "depth", "size"):
            if getattr(self, name) < 1:
                raise ValueError(f"Memory's {name} must be at least 1, not {getattr(self, name)}")
        if self.beats > self.interval:
            raise ValueError(f"Memory's beats must be at most interval {self.interval}, not {self.beats}")
        if self.period and not 0 <= self.gap < self.period:
            raise ValueError(f"Memory's gap must be from 0 to period {self.period} less 1, not {self.gap}")

    def opened(self, cycle: int) -> bool:
        """True if the memory does not refresh in the cycle."""
        return not self.period or cycle % self.period >= self.gap

    def moves(self, cycle: int) -> bool:
        """True if data may move in the cycle."""
        return self.opened(cycle) and cycle * self.beats % self.interval < self.beats

    def cycles(self, words: int) -> int:
        """Cycles in which ``words`` words move, without refresh."""
        return ceil_div(words * self.interval, self.beats)

    def move(self, cycle: int, later: int = 0) -> int:
        """The first cycle from ``cycle`` on in which data may move, or the one ``later`` moves on; without refresh."""
        return self.cycles((cycle - 1) * self.beats // self.interval + 1 + later)

    def silent(self, channel: str, made: int, cycle: int) -> bool:
        """True if a channel that made ``made`` handshakes makes no other in the cycle."""
        one = self.silence
        return one is not None and one.channel == channel and made >= one.after and cycle < one.until

    @property
    def numbers(self) -> list[int]:
        """The port as ``axi_memory.h`` reads it."""
        plain = [
            self.latency,
            self.spread,
            self.beats,
            self.interval,
            self.period,
            self.gap,
            self.depth,
            self.seed,
            self.size,
        ]
        one = self.silence
        silence = [0, 0, 0] if one is None else [CHANNELS.index(one.channel) + 1, one.after, one.until]
        return [*plain, *self.poisoned, *silence]

    def wait(self, number: int) -> int:
        """Cycles from a request to its answer."""
        return self.latency + (mixed(self.seed + number) % (self.spread + 1) if self.spread else 0)

    def response(self, address: int) -> int:
        """Response to an access to a byte address."""
        if address >= self.size:
            return axi.DECERR
        return axi.SLVERR if self.poisoned[0] <= address < self.poisoned[1] else axi.OKAY


#: The four behaviors that hardware and models are compared under.
BEHAVIORS = dict(
    zip(
        MEMORIES,
        (
            MemoryPort(latency=20),
            MemoryPort(latency=8, spread=40),
            MemoryPort(latency=20, interval=2),
            MemoryPort(latency=14, period=390, gap=60),
        ),
        strict=True,
    )
)


def of_memory(memory: Memory, clock_mhz: float) -> MemoryPort:
    """Behavior of a system's memory, in cycles of its clock.

    A port that can move more than the memory sustains moves a beat in a share of the cycles: the nearest fraction with
    a denominator of at most ``FINEST``.
    """
    peak = Fraction(memory.width, 8) * Fraction(clock_mhz) * 10**6
    share = min(Fraction(1), Fraction(memory.bandwidth_gb_s) * 10**9 / peak)
    slow = Fraction(1, ceil_div(share.denominator, share.numerator))
    share = slow if share * FINEST < 1 else share.limit_denominator(FINEST)
    latency = max(1, round(memory.latency_ns * clock_mhz / 1000))
    return MemoryPort(latency=latency, beats=share.numerator, interval=share.denominator, size=memory.size)
