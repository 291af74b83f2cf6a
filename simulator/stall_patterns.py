"""Stall patterns (back-pressure): when each stream may move, for the simulator and for the RTL benches alike.

A pattern is a boolean array: ``open[c]`` tells whether, in cycle ``c``, a source may begin to offer a beat or a sink is
ready. It repeats for ever; an empty one is always open. A profile is a named choice of patterns for all streams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from zlib import crc32

import numpy as np
import numpy.typing as npt

from blueprint.files.nearest import suggestion
from blueprint.port import Stream
from blueprint.timing import TimingGraph
from simulator.words import STALLS

#: Open cycles of a stream, repeated for ever; empty is always open.
Pattern = npt.NDArray[np.bool_]

#: Cycles after which random patterns repeat: short enough for the fast-forward to see it.
RANDOM_PERIOD = 1024
#: Period in cycles of patterns that stand for a single event, such as a slow start.
ONCE_PERIOD = 1 << 16

OPEN: Pattern = np.zeros(0, np.bool_)


def of_run(
    patterns: Mapping[str, Pattern], graph: TimingGraph, streams: Iterable[Stream]
) -> dict[str, Pattern]:
    """The patterns without those of a design's streams that a run, whose graph is given, does not take."""
    idle = {stream.name for stream in streams} - {node.stream for node in graph.nodes}
    return {name: pattern for name, pattern in patterns.items() if name not in idle}


def random(stall: float, generator: np.random.Generator, period: int = RANDOM_PERIOD) -> Pattern:
    """Closed with probability ``stall`` in every cycle; at least one cycle in the period is open.

    Raises ``ValueError`` for numbers out of range.
    """
    if not 0 <= stall < 1:
        raise ValueError(f"Stall probability must be at least 0 and below 1, not {stall}")
    pattern: Pattern = generator.random(period) >= stall
    pattern[int(generator.integers(period))] = True
    return pattern


def burst(length: int, phase: int = 0) -> Pattern:
    """``length`` cycles open, as many closed. Raises ``ValueError`` for numbers out of range."""
    if length < 1:
        raise ValueError(f"Burst length must be at least 1, not {length}")
    return np.roll(np.arange(2 * length) < length, phase)


def rate(beats_per_cycle: Fraction | int) -> Pattern:
    """At most ``beats_per_cycle``, evenly spread: the bandwidth of a memory behind the stream.

    A beat that is not taken in its cycle is not made up for: the memory does not run ahead. Raises
    ``ValueError`` for a rate out of range.
    """
    share = Fraction(beats_per_cycle)
    if not share > 0:
        raise ValueError(f"Rate must be above 0 beats per cycle, not {beats_per_cycle}")
    if share >= 1:
        return OPEN
    cycles = np.arange(share.denominator + 1, dtype=np.int64)
    # The first cycle is open: the memory is slow, not late.
    return np.diff((cycles * share.numerator + share.denominator - 1) // share.denominator) > 0


def late(cycles: int, period: int = ONCE_PERIOD) -> Pattern:
    """Closed for the first ``cycles`` cycles of every ``period``, then open: a memory's latency, a sleeping sink.

    Raises ``ValueError`` for numbers out of range.
    """
    if not 0 <= cycles < period:
        raise ValueError(f"Late pattern must be closed for 0 to {period - 1} cycles, not {cycles}")
    return np.arange(period) >= cycles if cycles else OPEN


def single(cycle: int, period: int = ONCE_PERIOD) -> Pattern:
    """Closed in one cycle of every ``period``. Raises ``ValueError`` for numbers out of range."""
    if not 0 <= cycle < period:
        raise ValueError(f"The closed cycle must be from 0 to {period - 1}, not {cycle}")
    pattern: Pattern = np.arange(period) != cycle
    return pattern


Maker = Callable[[np.random.Generator], Pattern]


def _open(_: np.random.Generator) -> Pattern:
    return OPEN


@dataclass(frozen=True)
class Profile:
    """Stall behavior of sources and sinks."""

    source: Maker
    sink: Maker


def _random(stall: float) -> Maker:
    return lambda generator: random(stall, generator)


def _burst(length: int) -> Maker:
    return lambda generator: burst(length, int(generator.integers(2 * length)))


def _fixed(pattern: Pattern) -> Maker:
    return lambda _: pattern


_SLOW = _fixed(rate(Fraction(1, 3)))

_PROFILES = (
    Profile(_open, _open),
    Profile(_random(0.1), _random(0.1)),
    Profile(_random(0.5), _random(0.5)),
    Profile(_random(0.9), _random(0.9)),
    Profile(_random(0.5), _open),
    Profile(_open, _random(0.5)),
    Profile(_burst(1), _burst(1)),
    Profile(_burst(4), _burst(4)),
    Profile(_burst(64), _burst(64)),
    Profile(_SLOW, _open),
    Profile(_open, _SLOW),
    Profile(_fixed(late(100)), _open),
    Profile(_open, _fixed(late(1000))),
)
PROFILES: Mapping[str, Profile] = dict(zip(STALLS, _PROFILES, strict=True))


def names() -> tuple[str, ...]:
    """Every stall profile."""
    return tuple(PROFILES)


def directions(streams: Sequence[Stream] | TimingGraph) -> dict[str, str]:
    """Direction of every stream of a design or a timing graph."""
    if isinstance(streams, TimingGraph):
        return {node.stream: node.direction for node in streams.nodes if node.stream is not None}
    return {stream.name: stream.direction for stream in streams}


def profile(name: str, streams: Sequence[Stream] | TimingGraph, seed: int = 0) -> dict[str, Pattern]:
    """The patterns of profile ``name`` for every stream; the same ``seed`` gives the same patterns.

    Raises ``ValueError`` for an unknown name and ``TypeError`` for a seed that is no integer.
    """
    if name not in PROFILES:
        hint = suggestion(name, PROFILES)
        raise ValueError(f"Stall profile must be one of {', '.join(PROFILES)}, not {name!r}{hint}")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"Seed must be an integer, not {seed!r}")
    makers = PROFILES[name]
    return {
        stream: (makers.source if direction == "in" else makers.sink)(
            np.random.default_rng([seed & 0xFFFFFFFF, crc32(f"{name}/{stream}".encode())])
        )
        for stream, direction in directions(streams).items()
    }
