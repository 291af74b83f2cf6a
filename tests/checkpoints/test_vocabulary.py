"""Vocabularies of GGUF files that contradict themselves, and how text is cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.errors import SpecError
from checkpoints import vocabulary
from checkpoints.vocabulary import Vocabulary

PATH = Path("m.gguf")
WORDS = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": ["a", "b", "ab"],
    "tokenizer.ggml.merges": ["a b"],
}


def of(**changes: Any) -> Any:
    changed = {f"tokenizer.ggml.{key}": value for key, value in changes.items()}
    return vocabulary.of_metadata(PATH, {**WORDS, **changed})


def test_merges_join_tokens() -> None:
    found = of()
    assert isinstance(found, Vocabulary)
    assert (found.size, found.encode("abba"), found.decode([2, 1, 0])) == (3, [2, 1, 0], "abba")


def test_digits_are_cut_as_the_file_says() -> None:
    """Llama 3 cuts numbers into groups of three, GPT-2 does not."""
    tokens = [*"0123456789", "12", "34", "1234"]
    merges = ["1 2", "3 4", "12 34"]
    cut = {
        name: of(tokens=tokens, merges=merges, pre=name).encode("12345") for name in ("gpt-2", "llama-bpe")
    }
    assert cut == {"gpt-2": [12, 5], "llama-bpe": [10, 3, 4, 5]}


def test_a_sign_goes_with_its_word_as_the_file_says() -> None:
    """Llama 3 leaves one sign before a word with it, and nothing is cut a second time."""
    cut = {
        name: of(tokens=["-", "a", "-a"], merges=["- a"], pre=name).encode("-a")
        for name in ("gpt-2", "llama-bpe")
    }
    assert cut == {"gpt-2": [0, 1], "llama-bpe": [2]}


def test_none_is_none() -> None:
    assert vocabulary.of_metadata(PATH, {}) is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": "llama"}, "tokenizer.ggml.model must be byte-pair (gpt2), not 'llama'"),
        ({"pre": "qwen9"}, "tokenizer.ggml.pre must be one of gpt-2, default, llama-bpe, not 'qwen9'"),
    ],
)
def test_other_kinds_are_said_not_to_be_read(changes: dict[str, Any], why: str) -> None:
    assert of(**changes) == f"its vocabulary is not read: {why}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": None}, "tokenizer.ggml.tokens must be a list of texts, and is missing"),
        ({"merges": np.arange(3)}, "tokenizer.ggml.merges must be a list of texts, and is not"),
        ({"merges": ["a c"]}, "tokenizer.ggml.merges must join two tokens to a third, not 'a c'"),
        ({"merges": ["ab"]}, "tokenizer.ggml.merges must join two tokens to a third, not 'ab'"),
        (
            {"tokens": ["a", "b", "a"]},
            "tokenizer.ggml.tokens must be different from each other, and 'a' is there twice",
        ),
        (
            {"token_type": np.ones(2)},
            "tokenizer.ggml.token_type must have one number for each of the 3 tokens",
        ),
    ],
)
def test_a_vocabulary_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        of(**changes)
    assert str(caught.value) == f"m.gguf:1:1: {message}"


def test_a_tokenizer_that_is_no_byte_pair_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    Tokenizer(models.WordLevel({"a": 0}, "a")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(
        SpecError, match=r"tokenizer.json:1:1: tokenizer must be byte-pair \(BPE\), not WordLevel$"
    ):
        vocabulary.of_folder(tmp_path)
