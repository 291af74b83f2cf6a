"""Registers of pipelines, from none to the most stages."""

from __future__ import annotations

import pytest

from blueprint.arithmetic.softmax.blocks import BLOCKS, STAGES_LIMIT, Pipeline, cuts
from blueprint.families.streaming_attention.parameters import StreamingAttentionParameters

ATTENTION = {"dim": 16, "keys_max": 32, "parallel": 1, "graph": "naive"}


@pytest.mark.parametrize("stages", range(1, STAGES_LIMIT + 1))
@pytest.mark.parametrize("name", [n for n, block in BLOCKS.items() if isinstance(block, Pipeline)])
def test_registers_of_a_pipeline_are_what_lies_behind_its_cuts(name: str, stages: int) -> None:
    block, a = BLOCKS[name], StreamingAttentionParameters.from_mapping(ATTENTION).softmax
    assert isinstance(block, Pipeline)
    behind = [int(bits) for bits in block.behind(a)]
    expected = sum(behind[cut - 1] for cut in cuts(block.delays, stages))
    assert int(block.held_bits(a, stages)) == expected > 0
    assert int(block.held_bits(a, 0)) == 0
