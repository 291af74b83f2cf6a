"""Byte-pair vocabularies: ``tokenizer.json`` of Hugging Face folders, and the tokens and merges of GGUF files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints import packages
from checkpoints.faults import fault, shown

FILE = "tokenizer.json"
#: Pre-tokenizers by their names in GGUF files: the rule of GPT-2, or a pattern that cuts text into words.
_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
PATTERNS: Mapping[str, str | None] = {"gpt-2": None, "default": None, "llama-bpe": _LLAMA_3}
#: Types of tokens in GGUF files.
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5


@dataclass(frozen=True)
class Vocabulary:
    """A byte-pair tokenizer (an object of the package ``tokenizers``) and the file it came from."""

    tokenizer: Any
    source: Path

    @property
    def size(self) -> int:
        """One more than the largest token."""
        return max(self.tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def encode(self, text: str) -> list[int]:
        """Tokens of a text, without those that begin and end one."""
        return [int(token) for token in self.tokenizer.encode(text, add_special_tokens=False).ids]

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens; special ones are left out."""
        return str(self.tokenizer.decode(tokens))


def of_folder(folder: Path) -> Vocabulary | None:
    """The vocabulary in ``tokenizer.json``; ``None`` where there is no such file. Raises ``SpecError``."""
    path = folder / FILE
    if not path.is_file():
        return None
    package = packages.load("tokenizers", "read tokenizer.json")
    try:
        tokenizer = package.Tokenizer.from_file(str(path))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as problem:  # panics of the Rust library are no Exception
        raise fault(path, f"file must be a tokenizer, and it is not: {_reason(problem)}") from None
    if type(tokenizer.model).__name__ != "BPE":
        raise fault(path, f"tokenizer must be byte-pair (BPE), not {type(tokenizer.model).__name__}")
    return Vocabulary(tokenizer, path)


def of_metadata(path: Path, metadata: Mapping[str, Any]) -> Vocabulary | str | None:
    """The vocabulary of a GGUF file; a text says why one cannot be used, ``None`` that there is none.

    Raises ``SpecError`` where what there is contradicts itself.
    """
    model = metadata.get("tokenizer.ggml.model")
    if model is None:
        return None
    if model != "gpt2":
        return f"its vocabulary is not read: tokenizer.ggml.model must be byte-pair (gpt2), not {shown(str(model))}"
    cut = metadata.get("tokenizer.ggml.pre", "default")
    if cut not in PATTERNS:
        known = ", ".join(PATTERNS)
        return f"its vocabulary is not read: tokenizer.ggml.pre must be one of {known}, not {shown(str(cut))}"
    tokens, merges = _texts(path, metadata, "tokens"), _texts(path, metadata, "merges")
    return Vocabulary(_built(path, tokens, merges, PATTERNS[cut], _special(path, metadata, tokens)), path)


def _texts(path: Path, metadata: Mapping[str, Any], key: str) -> list[str]:
    found = metadata.get(f"tokenizer.ggml.{key}")
    if not isinstance(found, list):
        what = "is missing" if found is None else "is not"
        raise fault(path, f"tokenizer.ggml.{key} must be a list of texts, and {what}")
    return found


def _special(path: Path, metadata: Mapping[str, Any], tokens: list[str]) -> list[str]:
    """Tokens that stand for no text."""
    types = metadata.get("tokenizer.ggml.token_type")
    if types is None:
        return []
    if not hasattr(types, "tolist") or len(types) != len(tokens):
        raise fault(
            path, f"tokenizer.ggml.token_type must have one number for each of the {len(tokens)} tokens"
        )
    return [token for token, kind in zip(tokens, types.tolist(), strict=True) if kind == CONTROL]


def _built(path: Path, tokens: list[str], merges: list[str], pattern: str | None, special: list[str]) -> Any:
    places = {token: index for index, token in enumerate(tokens)}
    if len(places) != len(tokens):
        twice = next(token for index, token in enumerate(tokens) if places[token] != index)
        raise fault(
            path,
            f"tokenizer.ggml.tokens must be different from each other, and {shown(twice)} is there twice",
        )
    pairs = []
    for merge in merges:
        left, _, right = merge.partition(" ")
        if not right or any(part not in places for part in (left, right, left + right)):
            raise fault(path, f"tokenizer.ggml.merges must join two tokens to a third, not {shown(merge)}")
        pairs.append((left, right))
    package = packages.load("tokenizers", "read the vocabulary of a GGUF file")
    tokenizer = package.Tokenizer(package.models.BPE(vocab=places, merges=pairs))
    before = package.pre_tokenizers
    tokenizer.pre_tokenizer = before.ByteLevel(add_prefix_space=False)
    if pattern is not None:
        split = before.Split(package.Regex(pattern), "isolated")
        tokenizer.pre_tokenizer = before.Sequence(
            [split, before.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
    tokenizer.decoder = package.decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    return tokenizer


def _reason(problem: BaseException) -> str:
    text = " ".join(str(problem).split())
    return text if len(text) <= 160 else f"{text[:140]}..."
