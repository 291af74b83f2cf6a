"""Register file and sequencer of a design reach 400 ps in asap7 by themselves, with the largest sizes of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blueprint import counting
from blueprint.registry import families
from costmodel.groundtruth import synthesis
from generator.export import write_hardware
from tests.volume import first

PERIOD_PS = 400.0
SIZES = {"k_max": 6912, "n_max": 6912}
DESIGNS: dict[str, tuple[str, dict[str, Any]]] = {
    "tables": (
        "ternary_lut",
        {
            "mu": 2,
            "lut_count": 8,
            "fetch_count": 4,
            "act_width": 8,
            "n_tile": 64,
            "fetch_register": True,
            **SIZES,
        },
    ),
    "sums stay": (
        "systolic",
        {
            "organization": "output_stationary",
            "pe": "ternary",
            "rows": 4,
            "cols": 4,
            "act_width": 8,
            "weight_width": 2,
        }
        | SIZES,
    ),
    "weights stay": (
        "systolic",
        {
            "organization": "weight_stationary",
            "pe": "ternary",
            "rows": 4,
            "cols": 4,
            "act_width": 8,
            "weight_width": 2,
        }
        | SIZES,
    ),
    "attention": ("streaming_attention", {"dim": 2, "parallel": 2, "keys_max": 1024, "mask": "window"}),
}


def module(name: str, place: str, folder: Path) -> Path:
    """The Verilog of the register file (`shell`) or sequencer (`control`) of a design."""
    family, parameters = DESIGNS[name]
    write_hardware(families()[family](**parameters), folder)
    (found,) = folder.glob(f"rtl/{family}_{place}_*.v")
    return found


def reached(file: Path, **options: Any) -> float:
    return synthesis.synthesize([file], "asap7", top=file.stem, **options).critical_path_ps


@pytest.mark.slow
@pytest.mark.parametrize("name", first(2, list(DESIGNS)))
def test_register_file_and_sequencer_reach_the_period(name: str, tmp_path: Path) -> None:
    assert reached(module(name, "shell", tmp_path / "a")) < PERIOD_PS  # least area, no cell sized
    control = module(name, "control", tmp_path / "b")
    assert reached(control, recipe="buffered/1", period_ps=PERIOD_PS) <= PERIOD_PS


@pytest.mark.slow
def test_counters_in_one_piece_would_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(counting, "REACH", 32)
    assert reached(module("tables", "shell", tmp_path)) > 2 * PERIOD_PS
