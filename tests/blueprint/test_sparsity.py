"""N:M sparsity: pruning keeps the largest, encoding loses nothing, and selected activations give the same product."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from blueprint.arithmetic.sparsity import Pattern, decode, encode, is_sparse, parse, prune, select
from blueprint.errors import ParamError

PATTERNS = [Pattern(1, 4), Pattern(2, 4), Pattern(2, 8), Pattern(4, 8), Pattern(1, 1), Pattern(3, 5)]


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda p: f"{p.n}of{p.m}")
@pytest.mark.parametrize("k", [40, 37, 1], ids=["whole_groups", "short_group", "one"])
def test_what_is_pruned_survives_encoding_and_multiplies_as_dense(pattern: Pattern, k: int) -> None:
    random = np.random.default_rng(k)
    weights = random.integers(-3, 4, (k, 6))
    pruned = prune(weights, pattern)
    assert is_sparse(pruned, pattern)
    values, indices = encode(pruned, pattern)
    assert values.shape == (pattern.slots(k), 6)
    assert np.array_equal(decode(values, indices, pattern, k), pruned)
    acts = random.integers(-128, 128, (5, k))
    for column in range(6):
        chosen = select(acts, indices[:, column], pattern)
        assert np.array_equal(chosen @ values[:, column], acts @ pruned[:, column])


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda p: f"{p.n}of{p.m}")
def test_no_other_choice_keeps_more_magnitude(pattern: Pattern) -> None:
    weights = np.random.default_rng(3).normal(size=(pattern.m * 8, 3))
    kept = np.abs(prune(weights, pattern)).reshape(8, pattern.m, 3).sum(axis=1)
    largest = np.sort(np.abs(weights).reshape(8, pattern.m, 3), axis=1)[:, pattern.m - pattern.n :].sum(
        axis=1
    )
    assert np.allclose(kept, largest)


def test_equal_magnitudes_keep_the_lower_index() -> None:
    assert prune([1, -1, 1, -1], Pattern(2, 4)).tolist() == [1, -1, 0, 0]


def test_indices_rise_and_fill_from_the_lowest_free_one() -> None:
    values, indices = encode([0, 0, 7, 0, 5, 0, 0, 6], Pattern(2, 4))
    assert (values.tolist(), indices.tolist()) == ([0, 7, 5, 6], [0, 2, 0, 3])


def test_a_dense_weight_stream_has_no_indices() -> None:
    assert (Pattern(4, 4).index_bits, Pattern(2, 4).bits(10, 8)) == (0, 6 * 10)
    many = Pattern(np.array([2, 4]), np.array([4, 4]))  # type: ignore[arg-type]
    assert many.bits(10, 8).tolist() == [60, 96]


def test_a_wrong_index_changes_the_weights() -> None:
    values, indices = encode([0, 0, 7, 0], Pattern(1, 4))
    assert decode(values, indices + 1, Pattern(1, 4), 4).tolist() == [0, 0, 0, 7]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: parse("2/4"), "Sparsity must be written N:M, such as 2:4, not '2/4'"),
        (lambda: parse("5:4"), "Sparsity must be N:M with 1 <= N <= M, not 5:4"),
        (lambda: parse("0:4"), "Sparsity must be N:M with 1 <= N <= M, not 0:4"),
        (lambda: encode([1, 2, 3, 0], Pattern(2, 4)), "Weights must be 2:4 sparse, not have groups with 3 non-zeros"),
        (lambda: decode([1], [4], Pattern(1, 4), 4), "Indices must be from 0 to 3, not 4 to 4"),
        (lambda: decode([1], [0], Pattern(1, 4), 8),
         "Stored weights of k = 8 must be 2 values and indices, not 1 and 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(message)}$"):
        call()


def test_a_pattern_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="^n must be an integer, not 2.0$"):
        Pattern(2.0, 4).check()  # type: ignore[arg-type]
