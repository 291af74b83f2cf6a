"""Rows of the embedding and of the head: their containers, what the head moves, and an embedding of integers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from blueprint.systems.control import Hardware
from blueprint.systems.description import Buffers
from checkpoints.checkpoint import Checkpoint, of_arrays
from checkpoints.decoder import Decoder
from checkpoints.reference import Reference
from compiler.compile import Plan, compile_shapes
from compiler.contents import Contents
from compiler.plan import Machine, Table
from compiler.prompts import DECODE
from tests.systems import small
from tests.systems.test_compiler import TOKENS, compiled, scores

BIG = dataclasses.replace(small.MODEL, hidden=64, heads=8, kv_heads=4)


def bigger(**parameters: Any) -> Hardware:
    """Hardware for a model whose rows a vector unit takes as fast as memory gives them."""
    width, embedding = parameters.pop("width", 32), parameters.pop("embedding", 16)
    attention, vector = small.attention(heads_max=8), small.vector(**{"rows_kept": 3, **parameters})
    return small.hardware(width=width, embedding=embedding, attention=attention, vector=vector)


@pytest.mark.parametrize(
    ("parameters", "container", "narrow"),
    [
        ({}, 2, True),
        ({"width": 64}, 4, False),  # 16 cycles of memory for a row of 20
        ({"embedding": 8}, 4, False),
        ({"format": "fp32"}, 4, False),
        ({"width": 64, "embedding": 8, "lanes": 8}, 4, False),
    ],
)
def test_rows_of_the_head_have_the_narrowest_container_in_which_the_unit_keeps_up(
    parameters: dict[str, Any], container: int, narrow: bool
) -> None:
    table = Machine(bigger(**parameters), BIG).table
    assert (table.container, table.narrow) == (container, narrow)
    assert table.integers == ("embedding" in parameters)


def head_bytes(found: Plan) -> int:
    return sum(size for purpose, size in found.program(DECODE).notes if str(purpose) == "head scores")


def test_the_head_moves_its_rows_in_narrow_containers_and_its_vector_once() -> None:
    model = dataclasses.replace(BIG, vocab=64)
    rows, vector, scales, token = 64 * 64, 64 * 2, 2 * 4, 4
    assert head_bytes(compile_shapes(bigger(), model)) == 2 * rows + vector + scales + token
    assert head_bytes(compile_shapes(bigger(width=64), model)) == 4 * rows + vector + scales + token
    long = dataclasses.replace(model, hidden=256, ffn=512)
    attention, vectors = small.attention(heads_max=8), small.vector(length_max=512, rows_kept=4)
    integers = small.hardware(
        matrix=small.product("tables", k_max=512, n_max=1024), attention=attention, vector=vectors, embedding=8,
        buffers=Buffers(weights=16384, cache=1024, activations=65536),
    )  # fmt: skip
    assert Machine(integers, long).table == Table(1, True, True)
    assert head_bytes(compile_shapes(integers, long)) == 64 * 256 + 2 * 256 + 2 * 64 * 4 + token


def test_containers_change_no_score() -> None:
    trained = small.checkpoint(BIG)
    narrow, wide = (scores(compiled(bigger(width=width), trained)) for width in (32, 64))
    assert np.array_equal(narrow[0], wide[0])


def in_integers(trained: Checkpoint, *roles: str) -> Checkpoint:
    """A checkpoint whose tables are what integers of 8 bits and a scale a row stand for."""
    dense = dict(trained.dense)
    model = trained.decoder.model
    arrays = {place: one.read() for place, one in dense.items()}
    for role in roles:
        table = arrays[None, role]
        scale = np.abs(table).max(axis=1, keepdims=True) / 127
        arrays[None, role] = (np.rint(table / scale) * scale).astype(np.float32)
    codes = {place: trained.matrix(*place) for place in trained.matrices}
    return of_arrays(Decoder(model, trained.decoder.epsilon, trained.decoder.rope_theta), codes, arrays)


@pytest.mark.parametrize("tied", [True, False])
def test_an_embedding_of_integers_scores_as_the_reference_with_these_values(tied: bool) -> None:
    trained = small.checkpoint(dataclasses.replace(BIG, tied_embeddings=tied))
    found = compiled(bigger(embedding=8), trained)
    golden, _ = scores(found)
    roles = ("embedding",) if tied else ("embedding", "head")
    wanted = Reference(in_integers(trained, *roles)).logits(TOKENS)
    apart, before = np.abs(golden - wanted).max(), np.abs(golden - Reference(trained).logits(TOKENS)).max()
    assert apart < 0.1 * np.abs(wanted).max()
    assert np.corrcoef(golden.reshape(-1), wanted.reshape(-1))[0, 1] > 0.999
    assert not np.array_equal(golden, scores(compiled(bigger(), trained))[0])
    assert before > 0


def test_a_row_of_zeros_has_a_scale() -> None:
    trained = small.checkpoint(BIG)
    trained.dense[None, "embedding"].read()[7] = 0  # a view of the array
    codes, scale = Contents(trained, ()).rows("embedding")
    assert np.abs(codes).max() == 127 and (scale > 0).all() and not codes[7].any()
