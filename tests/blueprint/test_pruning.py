"""Keys pruned by leading ones: codes, buckets, selection, traffic."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from blueprint.arithmetic.pruning import Pruning, Traffic, decode, encode, surrogate
from blueprint.errors import ParamError

INT8 = np.arange(-128, 128)


def by_hand(p: Pruning, scores: npt.NDArray[np.int64], count: int, seen: Any) -> npt.NDArray[np.bool_]:
    """The same keys by sorting, which the hardware avoids."""
    taken = np.zeros(scores.shape, dtype=bool)
    for row in range(len(scores)):
        there = np.flatnonzero(seen[row])
        best = sorted(there, key=lambda key: (-int(p.bucket(scores[row, key])), key))[:count]
        taken[row, best] = True
    return taken


def test_sixteen_codes_hold_every_sign_and_leading_one() -> None:
    powers = decode(encode(INT8))
    assert sorted(set(encode(INT8).tolist())) == list(range(16))
    assert powers[0] == -128 and powers[128] == 0
    rest = INT8 != 0
    assert np.array_equal(np.sign(powers), np.sign(INT8))
    assert (np.abs(powers[rest]) <= np.abs(INT8[rest])).all()
    assert (2 * np.abs(powers[rest]) > np.abs(INT8[rest])).all()


def test_codes_of_powers_of_two_lose_nothing() -> None:
    powers = np.array([0, *(1 << np.arange(7)), *(-1 << np.arange(8))])
    assert np.array_equal(decode(encode(powers)), powers)


def test_a_surrogate_score_is_the_score_of_the_powers() -> None:
    random = np.random.default_rng(1)
    q, k = random.integers(-128, 128, (3, 24)), random.integers(-128, 128, (50, 24))
    by_one = [
        [sum(int(decode(encode(a)) * decode(encode(b))) for a, b in zip(x, y, strict=True)) for y in k]
        for x in q
    ]
    assert np.array_equal(surrogate(encode(q), encode(k)), by_one)


@pytest.mark.parametrize("bits", range(5))
@pytest.mark.parametrize("dim", [1, 3, 64])
def test_buckets_are_in_the_order_of_the_scores(dim: int, bits: int) -> None:
    p = Pruning(dim=dim, keys_max=4, bucket_bits=bits).check()
    limit = dim << 14
    near = np.arange(-300, 301)
    scores = np.unique(np.clip(np.concatenate([near, limit - near, near - limit]), -limit, limit))
    found = p.bucket(scores)
    middle = 1 << (p.bucket_width - 1)
    assert (np.diff(found) >= 0).all()
    assert middle - p.magnitude_buckets <= found.min() and found.max() < middle + p.magnitude_buckets
    assert np.array_equal(found >= middle, scores >= 0)
    small = np.abs(scores) < 1 << bits
    assert np.array_equal(found[small & (scores >= 0)] - middle, scores[small & (scores >= 0)])


def test_a_bucket_is_at_most_a_part_of_its_score_wide() -> None:
    p = Pruning(dim=64, keys_max=4, bucket_bits=2)
    scores = np.arange(1, 1 << 16)
    found = p.bucket(scores)
    for number in np.unique(found):
        inside = scores[found == number]
        assert (inside[-1] - inside[0]) * 4 < inside[0] + 4


@pytest.mark.parametrize("count", [1, 2, 7, 30, 31, 200])
def test_selection_is_that_of_sorting_by_bucket_then_index(count: int) -> None:
    random = np.random.default_rng(count)
    p = Pruning(dim=8, keys_max=31, bucket_bits=1).check()
    scores = random.integers(-131072, 131073, (40, 31)) >> random.integers(0, 17, (40, 1))
    seen = random.random(scores.shape) < 0.8
    taken = p.select(scores, count, seen)
    assert np.array_equal(taken, by_hand(p, scores, count, seen))
    assert np.array_equal(taken.sum(axis=1), np.minimum(count, seen.sum(axis=1)))


def test_ties_go_to_the_first_keys() -> None:
    p = Pruning(dim=8, keys_max=6)
    assert p.select(np.zeros((1, 6), np.int64), 2).tolist() == [[True, True, False, False, False, False]]


def test_a_higher_score_of_the_same_bucket_does_not_win() -> None:
    p = Pruning(dim=8, keys_max=3, bucket_bits=0)
    assert p.select(np.array([[4, 7, 8]]), 2).tolist() == [[True, False, True]]


def test_nothing_seen_nothing_taken() -> None:
    p = Pruning(dim=8, keys_max=3)
    assert not p.select(np.array([[1, 2, 3]]), 2, np.zeros((1, 3), dtype=bool)).any()


def test_widths_hold_for_many_designs_at_once() -> None:
    many: Any = Pruning(dim=np.array([1, 64]), keys_max=np.array([1, 100]), bucket_bits=np.array([0, 3]))  # type: ignore[arg-type]
    for name in ("score_width", "magnitude_buckets", "bucket_width", "count_width"):
        one = [
            getattr(Pruning(dim=d, keys_max=n, bucket_bits=b), name) for d, n, b in ((1, 1, 0), (64, 100, 3))
        ]
        assert getattr(many, name).tolist() == one


def test_traffic_counts_codes_and_candidates() -> None:
    found = Traffic.of(dim=64, keys=1000, candidates=100)
    assert (found.dense, found.codes, found.candidates) == (1_024_000, 256_000, 102_400)
    assert found.saved == pytest.approx(2.857, abs=1e-3) and found.saved_on_chip == 10
    assert Traffic.of(dim=64, keys=10, candidates=100).candidates == 10_240


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"dim": 0, "keys_max": 4}, ParamError, "dim must be from 1 to 1024, not 0"),
        ({"dim": 8, "keys_max": 65537}, ParamError, "keys_max must be from 1 to 65536, not 65537"),
        ({"dim": 8, "keys_max": 4, "bucket_bits": 5}, ParamError, "bucket_bits must be from 0 to 4, not 5"),
        ({"dim": True, "keys_max": 4}, TypeError, "dim must be an integer, not True"),
    ],
)
def test_what_cannot_be_built_is_refused(given: dict[str, int], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        Pruning(**given).check()
    assert str(caught.value) == message


def test_no_candidates_are_refused() -> None:
    with pytest.raises(ParamError, match=r"^Number of candidates must be at least 1, not 0$"):
        Pruning(dim=8, keys_max=4).select(np.zeros((1, 4), np.int64), 0)


@pytest.mark.parametrize("name", ["dim", "keys_max", "bucket_bits"])
@pytest.mark.parametrize("value", [True, 1.0, "1", None])
def test_types_of_what_is_selected_are_checked(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be an integer, not {value!r}$"):
        Pruning(**{"dim": 4, "keys_max": 4, name: value}).check()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "low", "high"), [("dim", 1, 1024), ("keys_max", 1, 65536), ("bucket_bits", 0, 4)]
)
def test_bounds_of_what_is_selected_are_themselves_legal(name: str, low: int, high: int) -> None:
    for value in (low, high):
        assert getattr(Pruning(**{"dim": 4, "keys_max": 4, name: value}).check(), name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(ParamError, match=f"^{name} must be from {low} to {high}, not {value}$"):
            Pruning(**{"dim": 4, "keys_max": 4, name: value}).check()
