"""Which programs run at which positions for a prompt and the tokens behind it."""

from __future__ import annotations

from dataclasses import dataclass

from blueprint.numbers import ceil_div

#: Names of the programs: of a token of a prompt, of a block of tokens, of a token with the choice of the next one.
PROMPT, BLOCK, DECODE = "prompt", "block", "decode"


@dataclass(frozen=True)
class Turn:
    """A pass: its program, the position of its first token, and positions to the next pass."""

    program: str
    position: int
    step: int


def turns(prompt: int, count: int, block: int) -> list[Turn]:
    """The passes of a prompt of ``prompt`` tokens and of ``count`` tokens behind it, ``block`` tokens of it at a time.

    The pass of the last token of a prompt also chooses the first token behind it. Where the other tokens are no
    whole number of blocks, the second block begins within the first: both compute the same for the tokens they share.
    Fewer tokens than a block go one by one.
    """
    before = prompt - 1
    found = [Turn(PROMPT, place, 1) for place in range(before)]
    if 1 < block <= before:
        passes = ceil_div(before, block)
        first = before - (passes - 1) * block
        places = [0, *(first + block * place for place in range(passes - 1))]
        found = [Turn(BLOCK, place, block if place else first) for place in places]
    return found + [Turn(DECODE, before + place, 1) for place in range(count)]
