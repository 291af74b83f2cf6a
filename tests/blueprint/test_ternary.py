"""Keys and table entries of ternary weights."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

from blueprint.arithmetic import ternary
from blueprint.numbers import bit_length, ceil_div, clog2, signed_width


def test_keys_of_three_weights_are_the_published_ones() -> None:
    """+1 +1 +1 is index 0, the all-zero group E, a negative group the index of its negation with the sign set."""
    groups = np.array([[1, 1, 1], [0, 0, 0], [-1, -1, -1], [0, 0, -1], [1, 0, -1]])
    keys = ternary.encode(groups.reshape(5, 1, 1, 3), "sign_index").ravel()
    sign, index = keys >> 4, keys & 15
    assert sign.tolist() == [0, 0, 1, 1, 0]
    assert index.tolist() == [0, 13, 0, 12, 5]


@pytest.mark.parametrize("mu", range(1, 7))
@pytest.mark.parametrize("encoding", ternary.ENCODINGS)
def test_every_group_survives_every_encoding(mu: int, encoding: str) -> None:
    weights = ternary.raw_weights(mu).reshape(-1, 1, 1, mu)
    field = ternary.key_field(encoding, mu, 1, 1)
    values = ternary.encode(weights, encoding)
    assert values.reshape(len(values), -1).shape[1] == np.prod(field.shape)
    if not field.signed:
        assert values.min() >= 0 and values.max() < 1 << field.width
    assert np.array_equal(ternary.decode(values, encoding, mu, 1, 1), weights)


@pytest.mark.parametrize("columns, tables, mu", [(3, 2, 4), (1, 1, 1), (5, 3, 5)])
def test_five_trits_run_across_groups(columns: int, tables: int, mu: int) -> None:
    weights = np.random.default_rng(0).integers(-1, 2, (7, columns, tables, mu))
    values = ternary.encode(weights, "five_trits")
    assert values.shape == (7, ceil_div(columns * tables * mu, 5))
    assert np.array_equal(ternary.decode(values, "five_trits", mu, columns, tables), weights)


def test_a_weight_that_is_not_ternary_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Ternary weight must be -1, 0 or 1, not 2$"):
        ternary.encode(np.array([[[[0, 2]]]]), "sign_index")


@pytest.mark.parametrize("act_width", [2, 3, 8])
@pytest.mark.parametrize("mu", range(1, 5))
@pytest.mark.parametrize("half", [True, False])
def test_entry_width_is_the_narrowest(mu: int, act_width: int, half: bool) -> None:
    low, high = -(1 << act_width - 1), (1 << act_width - 1) - 1
    signs = ternary.raw_weights(mu)[: ternary.half_entries(mu)] if half else ternary.raw_weights(mu)
    least = min(int(np.where(row > 0, low, -high) @ abs(row)) for row in signs)
    most = max(int(np.where(row > 0, high, -low) @ abs(row)) for row in signs)
    needed = next(w for w in range(1, 40) if -(1 << w - 1) <= least and most < 1 << w - 1)
    assert ternary.entry_width(mu, act_width, half) == needed


def test_table_bits_count_every_entry_as_wide_as_its_own_sum() -> None:
    for mu in range(1, 7):
        signs = abs(ternary.raw_weights(mu)[: ternary.half_entries(mu)]).sum(axis=1)
        for limit in (64, 9):
            assert ternary.table_bits(mu, 8, True, limit) == sum(
                min(int(ternary.entry_width(int(n), 8, True)), limit) for n in signs
            )


def test_a_whole_layer_is_encoded_in_about_a_second() -> None:
    """2560 x 6912; the bound is generous, the figure is printed."""
    weights = np.random.default_rng(0).integers(-1, 2, (160 * 432, 16, 8, 2), dtype=np.int8)
    begin = time.process_time()
    keys = ternary.encode(weights[: 2560 * 6912 // 256], "sign_index")
    took = time.process_time() - begin
    print(f"{keys.size} keys in {took:.2f} s")
    assert took < 5


def test_numbers_agree_on_one_and_on_many() -> None:
    values = np.arange(1, 5000)
    assert np.array_equal(bit_length(values), [int(v).bit_length() for v in values])
    assert np.array_equal(clog2(values), [clog2(int(v)) for v in values])
    assert [clog2(v) for v in (1, 2, 3, 4, 5)] == [0, 1, 2, 2, 3]
    assert [signed_width(v) for v in (1, 127, 128)] == [2, 8, 9]


@pytest.mark.parametrize("mu", [2, 4])
def test_telling_bits_tell_every_group_from_every_other_and_no_fewer_would(mu: int) -> None:
    groups = int(ternary.half_entries(mu)) + 1

    def alike(index: int, bits: tuple[int, ...]) -> list[int]:
        return [other for other in range(groups) if all((other ^ index) >> bit & 1 == 0 for bit in bits)]

    for index in range(groups):
        bits = ternary.telling_bits(mu, index)
        assert alike(index, bits) == [index]
        assert all(len(alike(index, tuple(b for b in bits if b != left))) > 1 for left in bits)


@pytest.mark.parametrize("mu", [1, 2, 3, 4, 5, 6])
def test_what_the_manifest_says_of_a_key_is_what_it_is(mu: int) -> None:
    """The sentence is read with its numbers and carried out."""
    weights = ternary.raw_weights(mu)
    field = ternary.key_field("sign_index", mu, 1, 1)
    pattern = (
        r"raw = sum of \(1 - w\[i\]\) \* 3\*\*\((\d) - i\) over the weights w\[0\] to w\[(\d)\]; "
        r"index = raw and sign = 0 up to raw = (\d+), else index = (\d+) - raw and sign = 1"
    )
    found = re.fullmatch(pattern, field.meaning)
    assert found is not None
    power, end, middle, last = map(int, found.groups())
    assert end == mu - 1
    raw = sum((1 - weights[:, i]) * 3 ** (power - i) for i in range(mu))
    sign = (raw > middle).astype(int)
    keys = field.join(index=np.where(sign, last - raw, raw), sign=sign)
    assert np.array_equal(keys, ternary.encode(weights[:, None, None], "sign_index").ravel())
    assert (
        ternary.key_field("full_index", mu, 1, 1).meaning == field.meaning.split(";")[0] + "; the key is raw"
    )
