"""Conversions of a vector unit at its ports: as many as the inventory has are in the netlist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from blueprint.families.vector import VectorSpec
from blueprint.unit import TO_FIXED, TO_FLOAT
from generator.export import write_hardware

BARE = {"dequantizes": False, "gates": False, "adds": False}


@pytest.mark.parametrize(
    ("changes", "taken"), [(BARE, 2), ({**BARE, "adds": True}, 3), ({**BARE, "dequantizes": True}, 2)]
)
def test_conversions_at_ports_are_those_of_the_netlist(
    changes: dict[str, Any], taken: int, tmp_path: Path
) -> None:
    """Of a row, of a gain and, where it is there, of an operand; with the results of a lane."""
    lanes, element = 2, 16
    spec = VectorSpec(**{"lanes": lanes, "length_max": 6, "rows_max": 3, **changes})
    write_hardware(spec, tmp_path)
    modules = json.loads((tmp_path / "manifest.json").read_text())["modules"]
    inwards, outwards = f"fp_convert_fp16_{spec.inside.name}", f"fp_convert_{spec.inside.name}_fp16"
    found = {
        kind: sum(facts["count"] for name, facts in modules.items() if name.startswith(kind))
        for kind in (inwards, outwards)
    }
    declared = {
        kind.name: sum(
            int(unit.count)
            for unit in spec.units()
            if unit.kind == kind.name and dict(unit.dims)["outputs"] == element
        )
        for kind in (TO_FLOAT, TO_FIXED)
    }
    assert list(found.values()) == [taken * lanes, lanes]
    assert list(declared.values()) == [taken * lanes, lanes]
