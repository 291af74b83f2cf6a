"""Words and limits of descriptions that a command line lists; this file loads nothing, so help is quick."""

from __future__ import annotations

#: Phases of a model.
PHASES = ("decode", "prefill")
#: Largest m, k or n: beyond the largest vocabulary and context there are, and products still fit 64 bits.
LARGEST = 1 << 20
#: Behaviors of memory in benches.
MEMORIES = ("fixed", "random", "half", "refresh")
