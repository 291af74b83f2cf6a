"""The arrays of a run, and what stands in their columns."""

from __future__ import annotations

from typing import NamedTuple

from simulator.arrays import Ints, Mask
from simulator.engine.compiled import compiled

NEVER = 1 << 60

# Machine.scalars: UNEVEN where there are durations or ragged loops, stalls by reason last; then the columns of the
# other arrays.
NOW, START, CHARGED, FLAGGED, SKIPPED, AGAIN, ISSUE, FORWARD, ANY_STARTS, UNEVEN, STALLS = range(11)
FIRINGS, INTERVAL, KIND, MASK_START, MASK_LENGTH, RECORD_START, ACCESS_START, ACCESS_END = range(8)
RANK, ORDER, LEVELS, FIRED, LAST, ACQUIRES, RELEASES, STREAM_REASON, BUSY_START = range(8, 17)
COUNT, EDGES, INDEX, COUNTS_START, RUN = range(5)
CHANNEL, PRODUCES, REASON, CODES = range(4)
CAPACITY, LATENCY, RESPONSE, RING_START, RING_LENGTH, FLIGHT_START, PRODUCER, CONSUMER = range(8)
TAKEN, FILLED, CLAIMED, FREED, FREE_SINCE, FREE_LAST = range(8, 14)
EVENTS, LIMIT, VALID, FLAG, QUEUE, SINCE, SNAP_STALLS = range(7)
# SNAP_INDEX: per level the iteration, then which run of the loop it belongs to.
SNAP_FIRED, SNAP_READY, SNAP_RESTED, SNAP_INDEX = range(4)
SNAP_TAKEN, SNAP_FILLED, SNAP_CLAIMED, SNAP_FREED, SNAP_FLIGHTS, SNAP_FREE = range(6)

# Values of KIND; of acquiring and releasing iterations; bits of EDGES; results of advance(); reasons that count here.
PLAIN, SOURCE, SINK = range(3)
ANY, FIRST, FINAL = -1, 0, -2
EDGE_FIRST, EDGE_LAST = 1, 2
DONE, DEADLOCK, PAUSED = range(3)
OUTPUT, DEPENDENCY = range(2)


class Machine(NamedTuple):
    """A run: what it does and how far it is.

    Compiled functions share it without counting references (see :mod:`simulator.engine.compiled`).
    """

    scalars: Ints
    #: [node]: firings, cycles of the last one, kind, mask, record, accesses, rank; ORDER of row i is the node of rank
    #: i; state; durations, or -1.
    nodes: Ints
    #: [node, level]: iterations, whether the first or last one differs from the others, the current one; of a ragged
    #: level where the counts of its runs stand (else -1) and the current run.
    nests: Ints
    #: [access]: channel, side, stall reason; then per level the acquiring and the releasing iteration: ANY, FIRST or
    #: FINAL.
    accesses: Ints
    #: [channel]: size, ring of release cycles, ends; tokens acquired and released by either end; from when on the next
    #: slot to acquire, and the slot freed last, are seen empty.
    channels: Ints
    #: Rings of release cycles, recorded firings, per mask phase the cycles to the next open and closed one, durations,
    #: counts of ragged loops.
    memory: Ints
    #: [node * levels + level]: looks for a repetition whenever that loop goes on; its snapshots follow.
    detectors: Ints
    snap_nodes: Ints
    snap_channels: Ints
    snap_flights: Ints


@compiled
def mask_distances(mask: Mask, opens: Ints, closes: Ints) -> None:
    """Fill in, per phase of a periodic mask, the cycles to the next open and to the next closed one."""
    to_open, to_closed = NEVER, NEVER
    for i in range(2 * len(mask) - 1, -1, -1):
        phase = i % len(mask)
        to_open = 0 if mask[phase] else min(to_open + 1, NEVER)
        to_closed = min(to_closed + 1, NEVER) if mask[phase] else 0
        opens[phase] = to_open
        closes[phase] = to_closed
