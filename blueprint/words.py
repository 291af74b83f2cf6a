"""Words and limits of descriptions that a command line lists; this file loads nothing, so help is quick."""

from __future__ import annotations

#: Phases of a model.
PHASES = ("decode", "prefill")
#: Largest m, k or n: beyond the largest vocabulary and context there are, and products still fit 64 bits.
LARGEST = 1 << 20
#: Largest seed: a register of 32 bits holds 1 more, and its largest value is one less than it could hold.
SEED_MOST = (1 << 32) - 3
#: Most rows with the largest scores among which one may be drawn.
TOP_MOST = 64
#: Behaviors of memory in benches.
MEMORIES = ("fixed", "random", "half", "refresh")


def vanishes(text: str) -> bool:
    """True if a number that is not 0 is read as 0, because 64 bits hold none so small."""
    digits = text.lower().split("e")[0]
    return float(text) == 0 and any(digit in "123456789" for digit in digits)
