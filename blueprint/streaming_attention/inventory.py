"""What a streaming attention design is made of, place by place; every formula holds for one design and for arrays.

Places are the modules of the RTL: the nodes (``score``, ``maximum``, ``exponential``, ``sum``, ``output``, ``divide``),
the blocks of the softmax inside them, ``fifo``, ``control``, ``shell`` (AXI4-Lite) and ``memory`` (the words of deep FIFOs).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blueprint.numbers import Number, bit_length, choose, clog2
from blueprint.softmax.arithmetic import OUTPUT_MULTIPLIER_BITS, OUTPUT_SHIFT_BITS, SHIFT_BITS
from blueprint.streaming_attention import graph as dataflow
from blueprint.unit import Path, Unit

if TYPE_CHECKING:
    from blueprint.streaming_attention.spec import StreamingAttentionSpec

#: A FIFO of more words than this is a memory.
FILE_WORDS = 16


def words(p: StreamingAttentionSpec) -> dict[str, dict[str, Number]]:
    """The fields of a word of every FIFO, lowest bits first."""
    a, lanes = p.softmax, p.lanes
    free, naive = choose(p.graph == "memory_free", 1, 0), choose(p.graph == "naive", 1, 0)
    first = choose(a.divides_first, 1, 0)
    gains = choose(p.has_gains, 1, 0)
    turn = {"turn": p.turn_bits}
    # The sum is done with its gains at the end of a pass, which of a single pass is that of the run.
    once = (1 - first) * gains * choose(p.regroups, 1, 0) * choose(p.repeats, 0, 1)
    ends = {"final": p.final_bits, "visible": p.visible_bits, "last": 1 + 0 * lanes}
    row = {"last": 1 + 0 * lanes, "visible": p.visible_bits}
    weight = {"weight": lanes * a.p_word}
    move = {"shift": free * lanes * a.shift_width}
    return {
        "queries": {"query": lanes * p.dim * a.in_width},
        "scales": {
            "multiplier": a.multiplier_width,
            "shift": choose(a.sums_are_floats, 0, SHIFT_BITS),
            "offset": naive * a.reference_width,
        },
        "gains": {"gain": gains * OUTPUT_MULTIPLIER_BITS, "down": gains * OUTPUT_SHIFT_BITS},
        "scores": {
            "exponent": lanes * a.t_word, **row, "turn": free * p.turn_bits, "final": free * p.final_bits
        },
        "long_scores": {"exponent": lanes * a.t_word, **ends, **turn},
        "maxima": {"reference": lanes * a.reference_width},
        "weights": {**weight, **move, **row, "turn": (1 - first) * p.turn_bits, "final": once},
        "long_weights": {**weight, **ends, **turn},
        "sums": {"inverse": lanes * a.r_width, "down": (1 - first) * gains * OUTPUT_SHIFT_BITS},
        "shares": {**weight, **move, **ends, "turn": first * p.turn_bits},
        "totals": {"total": lanes * p.dim * a.o_word, "final": p.final_bits},
        "rows": {"row": lanes * p.dim * a.out_width, "final": p.final_bits},
    }  # fmt: skip


def units(p: StreamingAttentionSpec) -> tuple[Unit, ...]:
    """The whole inventory."""
    return ()


def paths(p: StreamingAttentionSpec) -> tuple[Path, ...]:
    return ()
