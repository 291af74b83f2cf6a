"""Compiles Boolean functions in Liberty syntax to NumPy code that evaluates all instances and bits at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from costmodel.technology import function


@cache
def compiled(text: str, inputs: tuple[str, ...]) -> Callable[..., Any]:
    """A function of unsigned words, one for each of `inputs`, that computes `text` bit by bit; at least one input.

    Raises `ValueError` for text that is no function of `inputs`.
    """
    function.truth(text, inputs)  # refuses what is not one
    names = {name: f"v{index}" for index, name in enumerate(inputs)}
    body = _code(function._tokens(text), names)
    code = f"lambda {', '.join(names.values())}: {body}"
    found: Callable[..., Any] = eval(code, {"__builtins__": {}})  # only names and operators from above
    return found


def _code(tokens: Sequence[str], names: dict[str, str]) -> str:
    """Python has the precedence of Liberty's operators except for ^ and &, so groups get parentheses."""
    groups = _split(list(tokens), "+|")
    if len(groups) > 1:
        return "(" + " | ".join(_code(group, names) for group in groups) + ")"
    factors = _products(list(tokens))
    if len(factors) > 1:
        return "(" + " & ".join(_code(factor, names) for factor in factors) + ")"
    terms = _split(list(tokens), "^")
    if len(terms) > 1:
        return "(" + " ^ ".join(_code(term, names) for term in terms) + ")"
    return _atom(list(tokens), names)


def _atom(tokens: list[str], names: dict[str, str]) -> str:
    if tokens[-1] == "'":
        return f"~{_atom(tokens[:-1], names)}"
    if tokens[0] == "!":
        return f"~{_atom(tokens[1:], names)}"
    if tokens[0] == "(":
        return _code(tokens[1:-1], names)
    if tokens[0] in ("0", "1"):
        any_input = next(iter(names.values()))
        return f"({any_input} ^ {'~' if tokens[0] == '1' else ''}{any_input})"
    return names[tokens[0]]


def _split(tokens: list[str], at: str) -> list[list[str]]:
    """Split at the operators `at` outside parentheses."""
    parts: list[list[str]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token == "(") - (token == ")")
        if depth == 0 and token in at:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _products(tokens: list[str]) -> list[list[str]]:
    """Split a product into factors; a blank between operands is a product as well."""
    parts: list[list[str]] = [[]]
    depth = 0
    for token in tokens:
        last = parts[-1][-1] if parts[-1] else None
        starts = token not in "^)&*'" and last is not None and last not in ("!", "^", "(")
        if depth == 0 and token in "&*":
            parts.append([])
            continue
        if depth == 0 and starts:
            parts.append([])
        depth += (token == "(") - (token == ")")
        parts[-1].append(token)
    return [part for part in parts if part]
