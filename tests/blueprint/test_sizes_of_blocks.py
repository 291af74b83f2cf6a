"""Registers at the most stages, expected digits of serial elements, records of weights, positions in documents."""

from __future__ import annotations

from typing import Any

import pytest

from blueprint.arithmetic.softmax.blocks import BLOCKS, STAGES_LIMIT, Pipeline, cuts
from blueprint.families.streaming_attention.parameters import StreamingAttentionParameters
from blueprint.families.systolic import SystolicSpec, schedule
from blueprint.files.document import read_text
from blueprint.workloads.tasks import Gemm

ATTENTION = {"dim": 16, "keys_max": 32, "parallel": 1, "graph": "naive"}
SERIAL: dict[str, Any] = {
    "organization": "output_stationary", "cols": 3, "act_width": 8, "weight_width": 8, "k_max": 64, "n_max": 16,
    "m_max": 16,
}  # fmt: skip


@pytest.mark.parametrize("stages", range(1, STAGES_LIMIT + 1))
@pytest.mark.parametrize("name", [n for n, block in BLOCKS.items() if isinstance(block, Pipeline)])
def test_registers_of_a_pipeline_are_what_lies_behind_its_cuts(name: str, stages: int) -> None:
    block, a = BLOCKS[name], StreamingAttentionParameters.from_mapping(ATTENTION).softmax
    assert isinstance(block, Pipeline)
    behind = [int(bits) for bits in block.behind(a)]
    expected = sum(behind[cut - 1] for cut in cuts(block.delays, stages))
    assert int(block.held_bits(a, stages)) == expected > 0
    assert int(block.held_bits(a, 0)) == 0


@pytest.mark.parametrize(
    ("pe", "rows", "digits"),
    [("booth_serial", 1, 4), ("booth_serial", 2, 4), ("opt3", 1, 3), ("opt3", 2, 4), ("mac", 1, 1)],
)
def test_a_beat_of_a_serial_element_is_expected_to_take_its_digits(pe: str, rows: int, digits: int) -> None:
    """Booth digits are all walked through; of one lane of EN-T digits one in four is zero."""
    p = SystolicSpec(**SERIAL, pe=pe, rows=rows)
    assert int(schedule._expected_steps(p)) == digits


def test_a_position_behind_the_end_of_a_list_is_that_of_the_list() -> None:
    text = "schema: x\nitems:\n  - 1\n  - {a: 2}\n"
    section = read_text(text, "x.yaml")
    places = [
        section.position(path) for path in (("items", 1, "a"), ("items", 2), ("items", 7, "a"), ("none",))
    ]
    assert [line for line, _ in places] == [4, 2, 2, 1]


@pytest.mark.parametrize(("columns", "beats"), [(3, 3), (3, 9), (9, 3)])
def test_a_digit_more_costs_every_beat_of_every_tile_a_cycle(columns: int, beats: int) -> None:
    booth, sparse = (SystolicSpec(**SERIAL, pe=pe, rows=1) for pe in ("booth_serial", "opt3"))
    task = Gemm(1, beats, columns)
    assert int(booth.cycles(task)) - int(sparse.cycles(task)) == columns // 3 * beats
