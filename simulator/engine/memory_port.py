"""External memory in machine code: when it accepts a request and moves a word, as ``simulator/systems/memory.py``."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.engine.compiled import inner


class Port(NamedTuple):
    """A memory port: the fields of ``blueprint.systems.memory_port.MemoryPort`` that time depends on."""

    latency: int
    spread: int
    beats: int
    interval: int
    period: int
    gap: int
    depth: int
    seed: int


@inner
def opened(port: Port, cycle: int) -> bool:
    """True if the memory does not refresh in the cycle."""
    return port.period == 0 or cycle % port.period >= port.gap


@inner
def moves(port: Port, cycle: int) -> bool:
    """True if data may move in the cycle."""
    return opened(port, cycle) and cycle * port.beats % port.interval < port.beats


@inner
def wait(port: Port, number: int) -> int:
    """Cycles from a request to its answer; ``blueprint.systems.memory_port.mixed`` says the random ones."""
    if port.spread == 0:
        return port.latency
    value = np.uint64(port.seed + number) + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value = value ^ (value >> np.uint64(31))
    return port.latency + int(value % np.uint64(port.spread + 1))
