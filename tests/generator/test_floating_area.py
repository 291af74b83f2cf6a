"""The areas that docs/floating.md shows are those that the mapping gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import float_blocks
from blueprint.arithmetic.floating import FORMATS, FP16

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "floating.md").read_text()
REFERENCE_UM2 = 48.3  # an FP16 adder measured before, mapped for least area in asap7


@pytest.mark.slow
def test_fp16_adder_is_smaller_than_the_reference() -> None:
    area, _ = float_blocks.measure(float_blocks.FloatAdd(FP16), "asap7")
    assert area < 0.7 * REFERENCE_UM2


@pytest.mark.slow
@pytest.mark.parametrize("label", ["add", "max"])
def test_page_shows_what_is_measured(label: str) -> None:
    row = {
        name: float_blocks.measure(float_blocks.BLOCKS[label](fmt), "asap7") for name, fmt in FORMATS.items()
    }
    wanted = float_blocks.table({label: row}, "block").splitlines()[-1]
    shown = re.findall(rf"^\| {label} \|.*$", PAGE, re.MULTILINE)
    assert wanted in shown
