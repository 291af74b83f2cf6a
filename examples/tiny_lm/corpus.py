"""The text that the tiny model learns from: the King James Bible (public domain), split by book.

The text comes from Debian's package ``bible-kjv`` (``apt-get install bible-kjv``), whose program prints the verses.
Whole books are held out, because books repeat each other far less than chapters of one book do.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

#: Books that the model never sees: history, wisdom, prophecy, a letter, and the last book; about 5 % of the text.
HELD_OUT = ("Ruth", "Est", "Eccl", "Jonah", "Heb", "Jas", "Rev")
VOCABULARY = 1024
BEGIN = "<s>"

_VERSE = re.compile(r"^(?P<book>[1-3]?[A-Za-z]+)(?P<chapter>\d+):\d+\s+(?P<text>.*)$")
_COMMAND = ("bible", "-f", "gen1:1-rev22:21")


class Chapter(NamedTuple):
    """One chapter: the book's short name and the text of its verses in one line."""

    book: str
    text: str


def chapters() -> list[Chapter]:
    """All chapters in their order. `FileNotFoundError` where the program ``bible`` is not installed."""
    printed = subprocess.run(_COMMAND, check=True, capture_output=True, text=True).stdout
    return list(_chapters(printed.splitlines()))


def _chapters(lines: list[str]) -> Iterator[Chapter]:
    here, verses = ("", ""), list[str]()
    for line in lines:
        found = _VERSE.match(line)
        if found is None:
            continue
        if (place := (found["book"], found["chapter"])) != here:
            if verses:
                yield Chapter(here[0], " ".join(verses))
            here, verses = place, []
        verses.append(found["text"].strip())
    yield Chapter(here[0], " ".join(verses))


def split(found: list[Chapter]) -> tuple[list[Chapter], list[Chapter]]:
    """Chapters to learn from, and held-out ones."""
    held_out = [chapter for chapter in found if chapter.book in HELD_OUT]
    if {chapter.book for chapter in held_out} != set(HELD_OUT):
        raise ValueError(f"the books must include {', '.join(HELD_OUT)}")
    return [chapter for chapter in found if chapter.book not in HELD_OUT], held_out


def train_tokenizer(text: list[Chapter]) -> Tokenizer:
    """Byte pairs of bytes: every text can be encoded, and decodes to itself."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BEGIN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([chapter.text for chapter in text], trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, text: list[Chapter]) -> list[int]:
    """Token numbers of chapters, each behind a ``<s>``."""
    begin = tokenizer.token_to_id(BEGIN)
    return [number for chapter in text for number in (begin, *tokenizer.encode(chapter.text).ids)]


def characters(text: list[Chapter]) -> int:
    """Characters of chapters, for losses in bit per character."""
    return sum(len(chapter.text) for chapter in text)
