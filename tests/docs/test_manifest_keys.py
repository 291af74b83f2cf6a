"""Every key of every manifest is named on its page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from blueprint import registry
from generator import export, system_export
from generator.cells.memory import Sram
from generator.emission import Emitted
from generator.systems.top import SystemTop
from tests.systems import small

PAGE = Path(__file__).resolve().parents[2] / "docs" / "manifest.md"
#: Designs of each family; together they have every key that a manifest can have.
DESIGNS = 12
#: Keys whose own keys are names of a design.
NAMED = {
    "constants", "formats", "given", "inputs", "kinds", "masters", "memories", "modules", "outputs", "parameters",
    "ports", "registers", "staging_registers", "streams", "transfer_registers", "units", "where",
}  # fmt: skip


def keys(value: Any, under: str = "") -> Iterator[str]:
    """Keys of a manifest, but for those that are names."""
    if isinstance(value, dict):
        for key, one in value.items():
            named = under in NAMED or (under == "fields" and isinstance(one, list))
            if not named:
                yield key
            yield from keys(one, "" if named else key)
    elif isinstance(value, list):
        for one in value:
            yield from keys(one)


def emitted() -> Emitted:
    """Verilog of no modules, but for a memory."""
    return Emitted(
        "top",
        {"memory": ""},
        {"memory": 1},
        {"memory": "memory"},
        ("memory",),
        {},
        {"memory": Sram(2, 8).memory},
    )


def manifests() -> Iterator[dict[str, Any]]:
    """Manifests of random designs of every family, and of systems with and without narrow containers."""
    for spec in registry.families().values():
        for number in range(DESIGNS):
            yield export.describe(spec.sample(np.random.default_rng([11, number])), emitted())
    floats = small.hardware(
        attention=small.attention(format="fp16", acc_format="fixed"), vector=small.vector(format="fp32")
    )
    for hardware in (small.hardware(), small.hardware(attention=small.attention(kv_width=4)), floats):
        yield system_export.describe(hardware, SystemTop(hardware), emitted())


def unnamed(found: set[str], page: str) -> list[str]:
    """Keys that a page does not name between backticks."""
    return sorted(
        found - {word for text in re.findall(r"`([^`]+)`", page) for word in re.findall(r"\w+", text)}
    )


def test_every_key_of_every_manifest_is_on_the_page() -> None:
    found = {key for manifest in manifests() for key in keys(manifest)}
    assert {"rank", "members", "narrow_container_bits", "mask_bits", "legal", "when"} <= found
    assert unnamed(found, PAGE.read_text(encoding="utf-8")) == []


def test_a_key_that_a_page_lacks_is_found_and_a_name_is_no_key() -> None:
    manifest = {"streams": {"act": {"width": 1}}, "registers": {"start": {"fields": {"value": [0, 1]}}}}
    assert set(keys(manifest)) == {"streams", "width", "registers", "fields"}
    assert unnamed(set(keys(manifest)), "`streams`, `registers` and width; `fields[0]`") == ["width"]
