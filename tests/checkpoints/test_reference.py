"""The reference decoder: in pieces and as a whole, against a second writing of its parts, and what it refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from blueprint.errors import ParamError
from checkpoints import reference
from checkpoints.checkpoint import Checkpoint, of_arrays
from checkpoints.decoder import PAIRS
from checkpoints.reference import Cache, Reference
from checkpoints.ternary import Floats, Ternary
from tests.checkpoints import tiny

TOKENS = [5, 17, 200, 33, 1, 99, 254, 3]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return tiny.checkpoint(tiny.vocabulary(tmp_path_factory.mktemp("words")))


@pytest.mark.parametrize("first", [1, 3, 7])
def test_tokens_in_pieces_have_the_logits_of_the_whole(made: Checkpoint, first: int) -> None:
    whole, cache = Reference(made).logits(TOKENS), Cache()
    pieces = [Reference(made).logits(TOKENS[:first], cache), Reference(made).logits(TOKENS[first:], cache)]
    assert cache.length == len(TOKENS)
    assert np.allclose(np.concatenate(pieces), whole, atol=1e-4 * float(np.abs(whole).max()))


def test_a_cache_of_other_tokens_gives_other_logits(made: Checkpoint) -> None:
    decoder, cache = Reference(made), Cache()
    decoder.logits([7, 7, 7], cache)
    other, alone = decoder.logits(TOKENS, cache), decoder.logits(TOKENS)
    assert np.abs(other - alone).max() > 0.01 * np.abs(alone).max()


def windowed(made: Checkpoint, *windows: int) -> Checkpoint:
    return dataclasses.replace(made, decoder=dataclasses.replace(made.decoder, windows=windows))


def test_a_window_ends_what_a_token_sees(made: Checkpoint) -> None:
    """Through two layers of the last 3 positions: the 5 last tokens alone, each other one has no effect at all."""
    decoder = Reference(windowed(made, 3, 3))
    last = decoder.logits(TOKENS)[-1]
    for place, seen in enumerate([False] * 3 + [True] * 5):
        other = [token + (at == place) for at, token in enumerate(TOKENS)]
        assert np.array_equal(decoder.logits(other)[-1], last) != seen
    assert not np.array_equal(Reference(made).logits(TOKENS)[-1], last)


def test_each_layer_has_a_window_of_its_own(made: Checkpoint) -> None:
    mixed, whole = Reference(windowed(made, 0, 2)), Reference(made).logits(TOKENS)
    other = [TOKENS[0] + 1, *TOKENS[1:]]
    assert not np.array_equal(mixed.logits(other)[-1], mixed.logits(TOKENS)[-1])
    assert not np.array_equal(mixed.logits(TOKENS)[-1], whole[-1])
    assert np.array_equal(Reference(windowed(made, 8, 9)).logits(TOKENS), whole)


def test_attention_with_a_window_is_that_of_the_last_keys() -> None:
    random = np.random.default_rng(4)
    q, keys, values = (random.normal(size=(9, heads, 4)).astype(np.float32) for heads in (4, 2, 2))
    found = reference.attention(q, keys, values, np.arange(9), 3)
    for at in range(9):
        first = max(0, at - 2)
        alone = reference.attention(
            q[at : at + 1], keys[first : at + 1], values[first : at + 1], np.array([at - first])
        )
        assert np.allclose(found[at], alone[0], atol=1e-6)


@pytest.mark.parametrize("first", [1, 5])
def test_tokens_in_pieces_have_the_logits_of_the_whole_with_a_window(made: Checkpoint, first: int) -> None:
    decoder, cache = Reference(windowed(made, 3, 0)), Cache()
    pieces = np.concatenate([decoder.logits(TOKENS[:first], cache), decoder.logits(TOKENS[first:], cache)])
    assert np.allclose(pieces, decoder.logits(TOKENS), atol=1e-4 * float(np.abs(pieces).max()))


def test_generated_tokens_are_the_largest_logits(made: Checkpoint) -> None:
    decoder = Reference(made)
    found = list(decoder.continuation(TOKENS, 4))
    for i, token in enumerate(found):
        assert token == decoder.logits([*TOKENS, *found[:i]])[-1].argmax()


def test_loss_is_the_mean_of_a_naive_one(made: Checkpoint) -> None:
    decoder = Reference(made)
    logits = decoder.logits(TOKENS[:-1]).astype(np.float64)
    wanted = sum(
        -np.log(np.exp(row[token]) / np.exp(row).sum()) for row, token in zip(logits, TOKENS[1:], strict=True)
    )
    assert decoder.loss(TOKENS) == pytest.approx(wanted, rel=1e-9)
    assert decoder.loss(TOKENS[:1]) == 0.0


def _product(matrix: Ternary, x: Floats) -> Floats:
    # A second writing: weights as floats, activations as levels of their absmax.
    scale = 127 / np.abs(x).max(axis=1, keepdims=True).astype(np.float64)
    found: Floats = (np.rint(x * scale) / scale) @ matrix.weights().astype(np.float64).T
    return found


@pytest.mark.parametrize("shape", [(1, 1), (6, 1), (6, 4)], ids=["matrix", "row", "group"])
@pytest.mark.parametrize("divides", [False, True])
def test_products_take_scales_of_matrix_row_and_group(shape: tuple[int, int], divides: bool) -> None:
    random = np.random.default_rng(3)
    codes = random.integers(-1, 2, (6, 128), dtype=np.int8)
    matrix = Ternary(codes, random.uniform(0.5, 2, shape).astype(np.float32), divides, "memory")
    x = random.normal(size=(5, 128)).astype(np.float32)
    wanted = _product(matrix, x)
    assert np.allclose(reference._Product(matrix)(x), wanted, atol=1e-5 * float(np.abs(wanted).max()))


def test_pairs_are_halves_of_permuted_rows() -> None:
    random = np.random.default_rng(4)
    x, at = random.normal(size=(3, 2, 32)).astype(np.float32), np.arange(3)
    order = np.arange(32).reshape(2, 16).T.reshape(-1)  # 0, 16, 1, 17, ...
    paired = dataclasses.replace(tiny.DECODER, rotary=PAIRS)
    found = reference.rotated(x[..., order], paired, at)
    assert np.array_equal(found, reference.rotated(x, tiny.DECODER, at)[..., order])
    assert not np.allclose(found, reference.rotated(x[..., order], tiny.DECODER, at))


def test_a_query_sees_no_later_key() -> None:
    random = np.random.default_rng(5)
    q, k, v = (random.normal(size=(4, heads, 8)).astype(np.float32) for heads in (4, 2, 2))
    whole = reference.attention(q, k, v, np.arange(4))
    assert np.allclose(whole[:2], reference.attention(q[:2], k[:2], v[:2], np.arange(2)), atol=1e-6)
    assert np.allclose(whole[0], np.repeat(v[0], 2, axis=0).reshape(-1), atol=1e-6)  # one key: its value


def _with(made: Checkpoint, **model: object) -> Checkpoint:
    changed = dataclasses.replace(tiny.DECODER.model, **model)  # type: ignore[arg-type]
    return dataclasses.replace(made, decoder=dataclasses.replace(made.decoder, model=changed))


def test_silu_gates(made: Checkpoint) -> None:
    assert reference.ACTIVATIONS["silu"](np.float32([0, 2])) == pytest.approx([0, 2 / (1 + np.exp(-2))])
    silu, relu2 = Reference(_with(made, activation="silu")), Reference(made)
    assert not np.allclose(silu.logits(TOKENS), relu2.logits(TOKENS))


def test_an_unknown_activation_is_refused(made: Checkpoint) -> None:
    with pytest.raises(ParamError, match=r"memory: activation must be one of relu2, silu, not 'gelu'$"):
        Reference(_with(made, activation="gelu"))


def test_a_matrix_of_full_precision_is_refused(made: Checkpoint) -> None:
    name = (0, "k")
    floats = dataclasses.replace(made.matrices[name], read=lambda: None)
    with pytest.raises(ParamError, match=r"memory: tensor '0.k' must be ternary, not of full precision$"):
        Reference(dataclasses.replace(made, matrices={**made.matrices, name: floats}))


@pytest.mark.parametrize("token", [-1, 300])
def test_a_token_outside_the_vocabulary_is_refused(made: Checkpoint, token: int) -> None:
    with pytest.raises(ParamError, match=rf"^Token must be from 0 to 299, not {token}$"):
        Reference(made).logits([1, token])


def test_more_tokens_than_the_context_are_refused(made: Checkpoint) -> None:
    decoder, cache = Reference(made), Cache()
    decoder.logits([1] * 60, cache)
    with pytest.raises(ParamError, match=r"^Tokens must fit the context of 64 of tiny, not be 65$"):
        decoder.logits([1] * 5, cache)
    assert cache.length == 60


def test_an_empty_prompt_is_refused(made: Checkpoint) -> None:
    with pytest.raises(ParamError, match=r"^Prompt must have at least one token, not none$"):
        list(Reference(made).continuation([], 3))


def test_the_decoder_reads_dense_tensors_of_arrays(tmp_path: Path) -> None:
    made = tiny.checkpoint()
    again = of_arrays(
        made.decoder,
        {place: made.matrix(*place) for place in made.layers()},
        {place: dense.read() for place, dense in made.dense.items()},
    )
    assert np.array_equal(Reference(made).logits(TOKENS), Reference(again).logits(TOKENS))
