"""Loads of a system: tables of ``simulator/engine/loads.py``, and a load at a time for the machine in Python."""

from __future__ import annotations

from math import lcm

import numpy as np

from blueprint.systems.dma import PAGE_BYTES, Dma, Transfer
from blueprint.systems.memory_port import MemoryPort
from simulator.engine import loads as engine
from simulator.engine import movers
from simulator.engine.machine import table
from simulator.engine.memory_port import Port
from simulator.engine.movers import Mover, Moving

#: Most states and followers that are remembered; beyond them all are forgotten.
_STATES, _FOLLOWERS = 1 << 12, 1 << 16


def sized(mover: Dma) -> Mover:
    """The parameters of a mover, as compiled code reads them."""
    return Mover(
        word_bytes=mover.data_width // 8, unit_bytes=mover.unit_bytes, word_units=int(mover.word_units),
        beat_units=int(mover.beat_units), burst_words=mover.burst_words, page_words=int(mover.page_words),
        outstanding=mover.outstanding, buffer_words=mover.buffer_words, index_width=mover.index_width,
    )  # fmt: skip


def timed(port: MemoryPort) -> Port:
    """The parameters of a memory port, as compiled code reads them."""
    return Port(*(getattr(port, name) for name in Port._fields))


def ring_words(mover: Dma, port: MemoryPort) -> int:
    """Words of a ring that holds all that is under way."""
    return max(mover.outstanding, mover.buffer_words, port.depth) + 1


def tables(mover: Dma, port: MemoryPort) -> engine.Loads:
    """A reader at rest."""
    sizes, memory = sized(mover), timed(port)
    phases = 0 if port.spread else lcm(port.period or 1, port.interval)
    known = (_STATES, 2 * _STATES, _FOLLOWERS) if phases else (2, 1, 1)
    clock = np.zeros(engine.CLOCKS, np.int64)
    clock[[engine.DONE, engine.STATES]] = -1, 1
    followers = np.full((known[2], engine.KEYS), -1, np.int64)
    return engine.Loads(
        memory, sizes, phases, table(Moving, 1), np.zeros((movers.RINGS, ring_words(mover, port)), np.int64), clock,
        np.zeros((known[0], engine.state_words(sizes, memory)), np.int64), np.zeros(known[1], np.int64), followers,
    )  # fmt: skip


class Flying:
    """A reader that takes one load after the other."""

    def __init__(self, mover: Dma, port: MemoryPort) -> None:
        self._tables = tables(mover, port)
        self._numbers: dict[tuple[int, ...], int] = {}

    def again(self) -> None:
        """Be at rest before the first cycle; what is known stays."""
        clock = self._tables.clock
        clock[[engine.FREE, engine.DONE, engine.STATE]] = 0, -1, 0
        self._tables.states[0] = 0

    @property
    def followers(self) -> int:
        """Number of loads and pauses that were simulated."""
        return int(self._tables.clock[engine.FOLLOWERS])

    def take(self, transfer: Transfer, index: int, offered: int) -> tuple[int, int]:
        """The cycle in which a load that is offered in a cycle is taken, and the cycle in which it is done."""
        place = transfer.address + index * transfer.stride
        shape = (
            place % PAGE_BYTES, transfer.row_bytes, transfer.rows, transfer.stride % PAGE_BYTES, int(transfer.gather)
        )  # fmt: skip
        number = self._numbers.setdefault(shape, len(self._numbers))
        taken = engine.take_load(self._tables, offered, number, np.array(shape, np.int64))
        return taken, int(self._tables.clock[engine.DONE])
