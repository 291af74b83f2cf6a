"""Carry-save accumulators and registers inside the reduction of ``ternary_lut``: corners, and refusals.

The random designs of the family have them too (``tests/conformance/test_agreement.py``).
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.arithmetic.carry_save import Offset, held
from blueprint.errors import ParamError
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.workloads.tasks import parse_gemm
from simulator.engine import kernel
from tests.conformance.corners import differences

TABLES = {"mu": 2, "lut_count": 4, "fetch_count": 2, "act_width": 4, "k_max": 40, "n_max": 9, "m_max": 3}
SAVES = {"carry_save_sums": True}
FP8 = {"activation": "fp8_e4m3", "act_width": 8, "exact": True}
#: One column group and several, results that wait for one another, one table, and a number that is no power of two.
DESIGNS: dict[str, dict[str, Any]] = {
    "one_group": {**SAVES, "n_tile": 2, "resolve_cycles": 3, "reduction_register": True},
    "several_groups": {
        **SAVES,
        "n_tile": 4,
        "resolve_cycles": 4,
        "fetch_register": True,
        "reduction_stages": 1,
    },
    "one_table": {**SAVES, "lut_count": 1, "k_max": 12, "resolve_cycles": 2},
    "in_one_cycle": {**SAVES, "n_tile": 2, "fetch_count": 1, "lut_count": 2, "resolve_cycles": 1},
    "plain_sums": {"lut_count": 6, "reduction_register": True, "reduction_stages": 2, "table_style": "full"},
}
#: Those that take longer.
MORE: dict[str, dict[str, Any]] = {
    "most_pieces": {**SAVES, "act_width": 10, "resolve_cycles": 8, "m_max": 2},
    "five_tables": {
        **SAVES,
        "lut_count": 5,
        "reduction_stages": 2,
        "reduction_register": True,
        "token_lanes": 2,
    },
    "exact": {**SAVES, **FP8, "n_tile": 2, "resolve_cycles": 5, "reduction_register": True},
    "barely_two_tiles": {**SAVES, "k_max": 9, "lut_count": 4, "resolve_cycles": 2, "table_style": "full"},
    "kept": {**SAVES, "n_tile": 2, "act_buffer": True, "build_register": True, "resolve_cycles": 2},
    "one_tile": {"k_max": 8, "reduction_stages": 1},
}


def core(**more: Any) -> TernaryLutSpec:
    return TernaryLutSpec.from_mapping({**TABLES, **more})


@pytest.mark.parametrize("name", DESIGNS)
def test_values_cycles_beats_and_flip_flops_agree(tmp_path: Path, name: str) -> None:
    assert differences(core(**DESIGNS[name]), tmp_path / "core") == []


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_values_cycles_beats_and_flip_flops_agree_more(tmp_path: Path, name: str) -> None:
    assert differences(core(**MORE[name]), tmp_path / "core") == []


@pytest.mark.parametrize("resolve", [1, 2, 5])
@pytest.mark.parametrize(("n_tile", "tokens"), [(2, 1), (4, 3), (0, 2)])
def test_closed_form_is_that_of_the_graph_where_results_wait(resolve: int, n_tile: int, tokens: int) -> None:
    spec = core(**SAVES, n_tile=n_tile, resolve_cycles=resolve, fetch_register=True)
    waiting = 0
    for k, n in itertools.product((1, 8, 9, 17, 40), (1, 2, 5, 9)):
        task = parse_gemm(f"{tokens}x{k}x{n}")
        line = kernel.run(spec.timing(task), {})
        assert line.cycles == spec.cycles(task), (k, n)
        waiting += line.stalls["output"] > 0
    assert waiting


def test_no_result_waits_where_it_takes_as_many_tiles_as_its_addition_cycles() -> None:
    spec = core(**SAVES, n_tile=2, resolve_cycles=4)
    plain = core(n_tile=2)
    task = parse_gemm("2x40x9")  # 5 tiles a result, which may leave every 5 cycles
    assert spec.cycles(task) == plain.cycles(task) + 4
    assert kernel.run(spec.timing(task), {}).stalls["output"] == 0


# Rows and what of them is known ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "word", "singles"), [(1, 4, 1), (2, 4, 0), (3, 4, 3), (5, 3, 0), (6, 5, 6), (12, 4, 11)]
)
def test_known_bits_are_those_that_never_change(count: int, word: int, singles: int) -> None:
    """The steps done on random words: a bit changes unless it is known, and the rows add up."""
    rows = Offset(count, word, word + 4, singles)
    random = np.random.default_rng(count)
    seen: list[tuple[int, int]] = [(-1, 0)] * len(rows.plan.widths)
    for _ in range(400):
        words = [int(value) for value in random.integers(0, 1 << word, count)]
        ones = [int(value) for value in random.integers(0, 2, singles)]
        values = [*words, rows.missing][: len(rows.widths)]
        free = list(ones)
        for number, step in enumerate(rows.plan.steps):
            a, b, c = values[step.a], values[step.b], values[step.c]
            carries = ((a & b) | (a & c) | (b & c)) << 1 | (free.pop(0) if step.carry_in else 0)
            width = rows.plan.widths[len(rows.widths) + 2 * number + 1]
            values += [a ^ b ^ c, carries & ((1 << width) - 1)]
        total = sum(values[row] for row in rows.plan.rows) + sum(free)
        assert (total - sum(words) - sum(ones) - rows.missing) % (1 << rows.width) == 0
        seen = [(low & value, high | value) for (low, high), value in zip(seen, values, strict=True)]
    for bits, (low, high) in zip(rows.known(), seen, strict=True):
        for place, bit in enumerate(bits):
            same = low >> place & 1 or not high >> place & 1
            assert (bit is not None) == bool(same), (place, bit)
            assert bit is None or bit == high >> place & 1


def test_held_bits_are_the_same_for_one_design_and_for_arrays() -> None:
    count, stages = np.array([[2], [3], [8], [11]]), np.array([0, 1, 2])
    together = held(count, 6, 12, count, stages)
    for row, column in itertools.product(range(4), range(3)):
        one = held(int(count[row, 0]), 6, 12, int(count[row, 0]), int(stages[column]))
        assert tuple(int(each[row, column]) for each in together) == one


# Refusals -------------------------------------------------------------------------------------------------------------

SEVERAL = (
    "Parameter carry_save_sums is for integer sums of several tiles (k_max above lut_count x mu) and a carry_save "
    "reduction only, not true here"
)
MEMORY = "Accumulator must be registers where sums stay in carry-save form (carry_save_sums), not a memory of {} words"
FEWER = "; n_tile makes them fewer"
PIECES = (
    "Parameter resolve_cycles must be at most {} (one for two bits of a result, and one without carry_save_sums), "
    "not {}"
)
STEPS = (
    "Parameter reduction_stages must be at most {} (between the steps of a carry_save reduction of 4 tables, and none "
    "where the accumulator is a part of it: see reduction_register), not {}"
)
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({**SAVES, "k_max": 8}, SEVERAL),
    ({**SAVES, "reduction": "adder_tree"}, SEVERAL),
    ({**SAVES, "activation": "fp16", "act_width": 16, "reduction": "adder_tree"}, SEVERAL),
    ({**SAVES, "accumulator": "sram"}, MEMORY.format(5)),
    ({**SAVES, "n_max": 40}, MEMORY.format(20) + FEWER),
    ({"resolve_cycles": 2}, PIECES.format(1, 2)),
    ({**SAVES, "act_width": 2, "resolve_cycles": 5}, PIECES.format(4, 5)),
    ({"reduction_stages": 1}, STEPS.format(0, 1)),
    ({**SAVES, "reduction_stages": 2}, STEPS.format(1, 2)),
    (
        {"reduction": "adder_tree", "reduction_register": True, "reduction_stages": 1},
        "Parameter reduction_stages must be at most 0 (it is for integer sums and a carry_save reduction only), not 1",
    ),
]


@pytest.mark.parametrize(("more", "message"), REFUSED)
def test_what_cannot_be_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamError, match=f"{re.escape(message)}$"):
        core(**more)


def test_columns_say_the_same_of_what_is_refused() -> None:
    table = {
        name: np.array([{**TABLES, **more}.get(name, _default(name)) for more, _ in REFUSED])
        for name in _names()
    }
    possible, _, _ = TernaryLutSpec.columns(table).feasible()
    assert not possible.any()


def _names() -> set[str]:
    return {*TABLES, *(name for more, _ in REFUSED for name in more)}


def _default(name: str) -> Any:
    return getattr(core(), name)
