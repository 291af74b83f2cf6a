"""Names of the profiles of waiting sources and sinks; this file loads nothing, so help is quick."""

from __future__ import annotations

STALLS = (
    "none",
    "random_10",
    "random_50",
    "random_90",
    "source_random_50",
    "sink_random_50",
    "burst_1",
    "burst_4",
    "burst_64",
    "slow_source",
    "slow_sink",
    "memory_latency_100",
    "sink_dead_1000",
)
