"""What is asked of designs, and the time it takes them beside an external memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from blueprint import registry
from blueprint.workloads.model import layers, load
from blueprint.workloads.tasks import Gemm
from blueprint.workloads.workload import Workload, of_gemm, of_model
from costmodel.model.work import Asked, Dram, Pass, merged, run

LUT = registry.get("ternary_lut")
TINY = load("tiny")


def test_equal_layers_are_evaluated_once() -> None:
    gemms = merged(layers(load("bitnet_2b4t"), "decode"))
    assert [(g.k, g.n, g.count) for g in gemms] == [
        (2560, 2560, 60),
        (2560, 640, 60),
        (2560, 6912, 60),
        (6912, 2560, 30),
    ]
    assert sum(g.macs for g in gemms) == load("bitnet_2b4t").ternary_weights


class Fixed:
    """Designs of 100 and 400 cycles that move 1000 bits for any product."""

    def cycles(self, _: Gemm) -> Any:
        return np.array([100, 400])

    def dram_bits(self, _: Gemm) -> dict[str, Any]:
        return {"weights": np.array([900, 900]), "results": 100}


def test_a_layer_takes_the_longer_of_compute_and_memory() -> None:
    work = Pass((Gemm(1, 2, 3, count=5),), 1)
    time = run(Fixed(), work, 100.0, Dram(0.0625, 1.0, "made up"))  # 0.5e9 bit/s: 2 us; 1 and 4 us of compute
    assert time.seconds == pytest.approx([10e-6, 20e-6])
    assert time.dram_seconds == pytest.approx([10e-6, 0.0])
    assert time.bits.tolist() == [5000, 5000]


def test_without_dram_only_compute_takes_time() -> None:
    time = run(Fixed(), Pass((Gemm(1, 2, 3),), 1, cache_bits=10**9), 100.0, None)
    assert time.seconds == pytest.approx([1e-6, 4e-6])
    assert time.dram_seconds.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("workload", "prompt", "tokens"),
    [
        (of_model(TINY, "decode", context=9), None, None),
        (of_model(TINY, "decode", context=9), 16, 16),
        (of_model(TINY, "prefill", 7), None, 7),
        (of_model(TINY, "prefill", 7), 16, 7),
        (of_gemm(Gemm(2, 64, 64)), None, None),
        (of_gemm(Gemm(2, 64, 64)), 16, None),
    ],
)
def test_a_prompt_is_the_one_given_to_a_decoder_or_the_prefill_itself(
    workload: Workload, prompt: int | None, tokens: int | None
) -> None:
    asked = Asked(workload, prompt_tokens=prompt)
    found = asked.prompt_pass(LUT)
    assert asked.has_prompt is (found is not None) is (tokens is not None)
    assert (found.tokens if found else None) == tokens


def test_a_cache_is_written_once_and_read_once_for_every_position() -> None:
    bits = 8 * TINY.kv_bytes_per_token(4)
    narrow = Dram(1.0, 1.0, "made up", kv_width=4)
    assert Asked(of_model(TINY, "decode", 2, 9), narrow).main_pass(LUT).cache_bits == 2 * (1 + 9) * bits
    assert Asked(of_model(TINY, "prefill", 7), narrow).main_pass(LUT).cache_bits == 7 * bits
    attention = registry.get("streaming_attention")
    assert Asked(of_model(TINY, "decode", 1, 9), narrow).main_pass(attention).cache_bits == 0
