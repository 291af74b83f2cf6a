"""What attention answers to the bit, from manifest and page: the steps of the page over the keys that it says are seen.

It imports nothing of the blueprint, either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.attention_by_the_page import Row
from tests.conformance.manifest_bench import Array, Names, picks, seen

SCALES = ("multiplier", "shift", "offset", "output_multiplier", "output_shift")


def answers(
    manifest: Mapping[str, Any], operands: Mapping[str, Array], names: Names
) -> tuple[dict[str, Array], bool]:
    """(outputs by name, whether ``saturated`` is set)."""
    p, c = manifest["parameters"], manifest["constants"]
    found: dict[str, Array] = {"out": np.zeros(operands["query"].shape, np.int64)}
    if p["candidates"]:
        found["pick"] = picks(manifest, operands, names)
    saturated = False
    for head, rows in enumerate(operands["query"]):
        mine = head // names["share"]
        key, value = operands["key"][mine], operands["value"][mine]
        scale = {name: int(operands[name][mine]) for name in SCALES}
        for number, there in enumerate(seen(p, names | found, head)):
            row = Row(c, p["graph"], p["format"], p["acc_format"], scale, p["sum_stages"])
            found["out"][head, number] = row.attend(
                rows[number].tolist(), key[there].tolist(), value[there].tolist()
            )
            saturated |= row.saturated
    return found, saturated
