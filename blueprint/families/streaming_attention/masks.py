"""Attention masks: visible keys of a query, and the masks that a design can run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from blueprint.workloads.tasks import Attention

Integers = npt.NDArray[np.int64]

#: Other masks that a design of each mask can run; with a single query, "none" is also a causal mask.
CONTAINS: dict[str, tuple[str, ...]] = {
    "none": (),
    "causal": (),
    "window": ("causal",),
    "lambda": ("causal",),
}


def run_by(mask: str) -> str:
    """Masks that a design with this mask can run, in words."""
    found = (mask, *CONTAINS[mask])
    return " or ".join(found) if mask == "none" else f"{' or '.join(found)}, or none with one query"


def suited_to(task: Attention) -> tuple[str, ...]:
    """Masks of designs that can run the mask of a task."""
    if task.mask == "lambda" and task.sinks == 0:
        return ()
    # The one query of a decode step sees everything, masked or not.
    everything = task.queries == 1 and task.mask in ("none", "causal")
    return tuple(
        mask
        for mask, contained in CONTAINS.items()
        if everything or task.mask == mask or task.mask in contained
    )


def seen(mask: Integers, queries: int, keys: int) -> npt.NDArray[np.bool_]:
    """Visibility matrix, queries by keys, of the operand ``mask``: (masked, window, sinks)."""
    causal, window, sinks = (int(value) for value in mask)
    if not causal:
        return np.ones((queries, keys), dtype=np.bool_)
    position = np.arange(keys - queries, keys)[:, None]
    key = np.arange(keys)[None]
    near = (key > position - window) if window else np.ones_like(key, dtype=np.bool_)
    return (key <= position) & (near | (key < sinks))
