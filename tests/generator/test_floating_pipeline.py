"""Float blocks with registers: the same results, so many cycles later, whatever moves when."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from blueprint.arithmetic import coarse_floating, floating
from blueprint.arithmetic.floating import BF16, FP16, cuts
from generator.arithmetic.floating import (
    CoarseAdd,
    FloatAdd,
    FloatConvert,
    FloatMax,
    FloatMultiply,
    FloatToInt,
)
from generator.arithmetic.floating.pipeline import FloatBlock
from generator.block import Block
from generator.emission import emit
from tests.float_operands import pairs
from tests.generator.vectors import Bench, drive

STAGES = range(6)
CYCLES = 3000


def operands(seed: int) -> tuple[Any, Any]:
    place = np.random.default_rng(seed).integers(0, len(pairs(FP16)[0]), CYCLES)
    a, b = pairs(FP16)
    return a[place], b[place]


def variants(handshake: bool) -> dict[str, Block]:
    """Adder and multiplier with 0 to 5 stages, and other blocks with some."""
    found: dict[str, Block] = {}
    for stages in STAGES:
        found[f"sum{stages}"] = FloatAdd(FP16, stages=stages, handshake=handshake)
        found[f"product{stages}"] = FloatMultiply(FP16, stages=stages, handshake=handshake)
    found["flushed2"] = FloatAdd(FP16, flush=True, stages=2, handshake=handshake)
    found["product_flushed3"] = FloatMultiply(FP16, flush=True, stages=3, handshake=handshake)
    found["converted3"] = FloatConvert(FP16, BF16, stages=3, handshake=handshake)
    found["integer2"] = FloatToInt(FP16, 8, stages=2, handshake=handshake)
    found["maximum1"] = FloatMax(FP16, stages=1, handshake=handshake)
    found["coarse4"] = CoarseAdd(FP16, 4, stages=4, handshake=handshake)
    return found


def model(name: str, a: Any, b: Any) -> npt.NDArray[np.int64]:
    functions = {
        "sum": lambda: floating.add(FP16, a, b),
        "product": lambda: floating.multiply(FP16, a, b),
        "flushed": lambda: floating.add(FP16, a, b, True),
        "product_flushed": lambda: floating.multiply(FP16, a, b, True),
        "converted": lambda: floating.convert(FP16, BF16, a),
        "integer": lambda: floating.to_integer(FP16, a, 8) & 0xFF,
        "maximum": lambda: floating.maximum(FP16, a, b),
        # The patterns read as words of 17 bits, their top bit clear: both are positive.
        "coarse": lambda: coarse_floating.add(FP16, a, b, 4),
    }
    return np.asarray(functions[name.rstrip("0123456789")]())


def test_clock_enabled_blocks_are_their_stages_late() -> None:
    a, b = operands(1)
    enable = np.random.default_rng(2).random(CYCLES) < 0.7
    a, b = (coarse_floating.widen(FP16, word) & 0xFFFF for word in (a, b))
    found = drive(Bench(variants(False)), {"a": a, "b": b, "enable": enable})
    moved = np.flatnonzero(enable)
    for name in variants(False):
        stages, wanted = int(name[-1]), model(name, a, b)
        # What shows in a cycle went in so many enabled cycles ago.
        before = np.searchsorted(moved, np.arange(CYCLES))
        started = before >= stages
        origin = moved[before[started] - stages] if stages else np.arange(CYCLES)
        assert (name, np.array_equal(found[name][started], wanted[origin])) == (name, True)


MORE = [pytest.param(*pair, marks=pytest.mark.slow) for pair in ((1.0, 1.0), (0.5, 1.0), (1.0, 0.5))]


@pytest.mark.parametrize("offered, taken", [(0.6, 0.6), *MORE])
def test_elastic_blocks_lose_and_repeat_nothing(offered: float, taken: float) -> None:
    rng = np.random.default_rng(3)
    a, b = operands(4)
    a, b = (coarse_floating.widen(FP16, word) & 0xFFFF for word in (a, b))
    reset = np.arange(CYCLES) < 2
    valid, ready = (rng.random(CYCLES) < offered) & ~reset, (rng.random(CYCLES) < taken) & ~reset
    found = drive(
        Bench(variants(True)), {"a": a, "b": b, "rst": reset, "in_valid": valid, "out_ready": ready}
    )
    for name in variants(True):
        shown, free = found[f"{name}_out_valid"].astype(bool), found[f"{name}_in_ready"].astype(bool)
        went_in = np.flatnonzero(valid & free & ~reset)
        came_out = np.flatnonzero(shown & ready & ~reset)
        assert len(came_out) > 0.4 * CYCLES * min(offered, taken)
        wanted = model(name, a, b)[went_in[: len(came_out)]]
        assert (name, np.array_equal(found[name][came_out], wanted)) == (name, True)
        held = np.flatnonzero(shown[2:-1] & ~ready[2:-1]) + 2
        assert shown[held + 1].all() or int(name[-1]) == 0
        assert np.array_equal(found[name][held + 1], found[name][held]) or int(name[-1]) == 0
        if offered == taken == 1.0:
            assert (name, set(came_out - went_in[: len(came_out)])) == (name, {int(name[-1])})


def test_registers_stand_at_cuts_and_then_at_the_end() -> None:
    even = (1, 1, 1, 1)
    assert [cuts(even, stages) for stages in range(6)] == [
        [],
        [2],
        [1, 2],
        [1, 2, 3],
        [1, 2, 3, 4],
        [1, 2, 3, 4, 4],
    ]
    assert [cuts((4, 5, 5, 6, 5), stages) for stages in (1, 2, 3)] == [[3], [2, 3], [2, 3, 4]]
    assert cuts((1,), 2) == [1, 1]


def test_a_stage_too_few_is_noticed() -> None:
    """The check of latency sees a block with another number of stages."""
    a, b = operands(5)
    found = drive(FloatAdd(FP16, stages=2), {"a": a, "b": b, "enable": 1})["result"]
    wanted = model("sum", a, b)
    assert np.array_equal(found[2:], wanted[:-2])
    assert not np.array_equal(found[1:], wanted[:-1])


def test_modules_say_their_latency_and_parameters_give_names() -> None:
    blocks = [
        FloatAdd(FP16, flush=True, operation="either", stages=3, handshake=True),
        FloatMultiply(BF16, stages=1),
        FloatConvert(FP16, BF16),
    ]
    texts = [next(iter(emit(block).modules.items())) for block in blocks]
    assert [name for name, _ in texts] == [
        "fp_add_subtract_fp16_flush_s3_stream",
        "fp_multiply_bf16_s1",
        "fp_convert_fp16_bf16",
    ]
    latencies = [text.splitlines()[1] for _, text in texts]
    assert latencies == [
        "// Latency: 3 cycles. Throughput: 1 per cycle.",
        "// Latency: 1 cycle. Throughput: 1 per cycle.",
        "// Latency: 0 cycles (combinational). Throughput: 1 per cycle.",
    ]


def test_blocks_that_differ_in_their_ports_have_different_names() -> None:
    """One module stands for all blocks of a name in a design; without registers there is nothing to enable."""
    kinds: dict[str, dict[str, bool]] = {
        "": {}, "_stream": {"handshake": True}, "_each": {"separate": True}, "_free": {"free": True},
        "_quick": {"quick": True},
    }  # fmt: skip
    for stages, tail in ((0, ""), (2, "_s2")):
        for ending, options in kinds.items():
            given = {"handshake": False, **options}
            block = FloatBlock("block", {"a": 4}, 4, (), (), stages, **given)
            shown = ending if stages or ending in ("_stream", "_quick") else ""
            wanted = f"block{shown}{tail}" if ending == "_quick" else f"block{tail}{shown}"
            assert block.module_name == wanted
            enabled = ending not in ("_stream", "_free")
            assert ("enable" in block.ports) is enabled or not stages
            assert block.latency == ("2 cycles" if stages else "0 cycles (combinational)")
    assert FloatBlock("block", {"a": 4}, 4, (), (), 1, False).latency == "1 cycle"
