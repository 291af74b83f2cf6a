"""Vocabularies of GGUF files that contradict themselves, and how text is cut."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tokenizers

from blueprint.errors import SpecError
from checkpoints import vocabulary
from checkpoints.reference import Reference
from checkpoints.vocabulary import Vocabulary
from tests import records
from tests.checkpoints import files

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


@pytest.mark.parametrize("pre", ["gpt-2", "default", "llama-bpe", None])
def test_text_is_cut_into_the_letters_that_stand_for_its_bytes(pre: str | None) -> None:
    """A space is the letter G with a dot and every byte of an umlaut has a letter of its own, however text is cut."""
    tokens = ["a", "\u0120", "\u0120a", "\u00c3", "\u00bc", "\u010a"]
    found = of(tokens=tokens, merges=["\u0120 a"], **{"pre": pre} if pre else {})
    assert found.encode("a a") == [0, 2]
    assert found.encode("\u00fc\n") == [3, 4, 5]
    assert found.decode([0, 2, 3, 4, 5]) == "a a\u00fc\n"


def test_tokens_that_control_are_no_text_and_those_of_users_are() -> None:
    """Types 3 and 4 of ``llama_token_type``; of type 1 is text, and 5 is of no use."""
    tokens = ["a", "b", "ab", "<s>", "<u>", "<x>", "</s>"]
    found = of(tokens=tokens, token_type=np.array([1, 1, 1, 3, 4, 5, 3]))
    assert found.decode([3, 2, 4, 5, 6]) == "ab<u><x>"
    assert found.encode("<s>ab</s>") == [3, 2, 6]
    assert [vocabulary.NORMAL, vocabulary.CONTROL, vocabulary.USER_DEFINED, vocabulary.UNUSED] == [1, 3, 4, 5]
    assert of(tokens=tokens).decode([3, 2, 6]) == "<s>ab</s>"


def test_tokens_that_begin_and_end_a_text_are_left_out() -> None:
    tokenizer = of(tokens=["a", "<s>"], merges=[], token_type=np.array([1, 3])).tokenizer
    begins = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.post_processor = begins
    assert tokenizer.encode("a").ids == [1, 0]
    assert Vocabulary(tokenizer, PATH).encode("a") == [0]


def test_a_vocabulary_counts_tokens_that_were_added() -> None:
    assert Vocabulary(tokenizers.Tokenizer(tokenizers.models.BPE()), PATH).size == 0
    tokenizer = of().tokenizer
    tokenizer.add_special_tokens(["<pad>", "<end>"])
    assert Vocabulary(tokenizer, PATH).size == 5


@pytest.mark.parametrize(
    ("length", "shown"), [(1, 1), (141, 141), (159, 159), (160, 160), (161, 140), (999, 140)]
)
def test_a_reason_is_quoted_on_one_line_and_short(
    length: int, shown: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to 160 characters of it whole, of a longer one the first 140."""
    reason = ("ab " * 999)[: length - 1] + "."

    class Tokenizer:
        @staticmethod
        def from_file(path: str) -> None:
            raise ValueError(f" {reason}\n".replace(" ", " \n\t"))

    monkeypatch.setattr(vocabulary.packages, "load", lambda name, what: SimpleNamespace(Tokenizer=Tokenizer))
    (tmp_path / "tokenizer.json").touch()
    with pytest.raises(SpecError) as caught:
        vocabulary.of_folder(tmp_path)
    assert vocabulary.of_folder(tmp_path / "nowhere") is None
    said = f"file must be a tokenizer, and it is not: {reason[:shown]}{'' if shown == length else '...'}"
    assert str(caught.value) == f"{tmp_path / 'tokenizer.json'}:1:1: {said}"


def test_none_is_none() -> None:
    assert vocabulary.of_metadata(PATH, {}) is None


def test_records_of_checkpoints_do_not_change(tmp_path: Path) -> None:
    """Of everything that a file of each form and its reference are read as."""
    made = files.made(tmp_path)
    for path in (files.folder(tmp_path / "tiny", made), files.gguf(tmp_path / "tiny.gguf", made)):
        files.same(files.found(path), made)
    assert Reference(made).logits([1, 2]).shape == (2, 300)
    assert records.changeable("checkpoints") == {"Cache"}


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
        ({"merges": ["b a"]}, "tokenizer.ggml.merges must join two tokens to a third, not 'b a'"),
        ({"merges": ["c a"]}, "tokenizer.ggml.merges must join two tokens to a third, not 'c a'"),
        (
            {"tokens": ["a", ""], "merges": ["a "]},
            "tokenizer.ggml.merges must join two tokens to a third, not 'a '",
        ),
        ({"merges": ["ab"]}, "tokenizer.ggml.merges must join two tokens to a third, not 'ab'"),
        (
            {"tokens": ["a", "b", "a"]},
            "tokenizer.ggml.tokens must be different from each other, and 'a' is there twice",
        ),
        (
            {"token_type": np.ones(2)},
            "tokenizer.ggml.token_type must have one number for each of the 3 tokens",
        ),
        (
            {"token_type": ["1", "1", "1"]},
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
