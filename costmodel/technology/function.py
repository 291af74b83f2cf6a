"""Boolean functions in Liberty's notation, as truth tables packed into integers."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\s*(?:([A-Za-z_][\w\[\].]*|[01]\b|\"[^\"]*\")|([!'*&+|^()]))")


def truth(text: str, inputs: tuple[str, ...]) -> int:
    """Truth table of `text`: bit i is the value where input j carries bit j of i.

    Precedence is Liberty's: inversion, then ^, then & (also `*` or a blank), then |.
    `ValueError` for text that is not a function of `inputs`.
    """
    tokens = _tokens(text)
    full = (1 << (1 << len(inputs))) - 1
    values = {name: variable(index, len(inputs)) for index, name in enumerate(inputs)} | {"0": 0, "1": full}
    result, rest = _either(tokens, values, full)
    if rest:
        raise ValueError(f"function {text!r} must end after {' '.join(tokens[: len(tokens) - len(rest)])!r}")
    return result


def names(text: str) -> tuple[str, ...]:
    """Input names of a function, in order of appearance."""
    return tuple(dict.fromkeys(token for token in _tokens(text) if token[0].isalpha() or token[0] == "_"))


def variable(index: int, count: int) -> int:
    """Truth table of input `index` among `count`."""
    block = ((1 << (1 << index)) - 1) << (1 << index)
    return sum(block << (step << (index + 1)) for step in range(1 << (count - index - 1)))


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    stripped = text.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None:
            raise ValueError(f"function {text!r} must not hold {stripped[position:].strip()[:1]!r}")
        tokens.append((match[1] or match[2]).strip('"'))
        position = match.end()
    if not tokens:
        raise ValueError("a function must not be empty")
    return tokens


def _either(tokens: list[str], values: dict[str, int], full: int) -> tuple[int, list[str]]:
    result, tokens = _both(tokens, values, full)
    while tokens and tokens[0] in "+|":
        term, tokens = _both(tokens[1:], values, full)
        result |= term
    return result, tokens


def _both(tokens: list[str], values: dict[str, int], full: int) -> tuple[int, list[str]]:
    result, tokens = _differ(tokens, values, full)
    while tokens and tokens[0] not in "+|)":
        term, tokens = _differ(tokens[1:] if tokens[0] in "*&" else tokens, values, full)
        result &= term
    return result, tokens


def _differ(tokens: list[str], values: dict[str, int], full: int) -> tuple[int, list[str]]:
    result, tokens = _factor(tokens, values, full)
    while tokens and tokens[0] == "^":
        term, tokens = _factor(tokens[1:], values, full)
        result ^= term
    return result, tokens


def _factor(tokens: list[str], values: dict[str, int], full: int) -> tuple[int, list[str]]:
    if not tokens:
        raise ValueError("a function must not end in an operator")
    head, tokens = tokens[0], tokens[1:]
    if head == "!":
        inner, tokens = _factor(tokens, values, full)
        return full & ~inner, tokens
    if head == "(":
        result, tokens = _either(tokens, values, full)
        if not tokens or tokens[0] != ")":
            raise ValueError("a function must close every parenthesis")
        tokens = tokens[1:]
    elif head in values:
        result = values[head]
    else:
        raise ValueError(f"a function must read the cell's inputs, not {head!r}")
    while tokens and tokens[0] == "'":
        result, tokens = full & ~result, tokens[1:]
    return result, tokens
