"""JSON text as a tree of plain values that remember where they stand, for files that other programs write.

Unlike :mod:`blueprint.files.tree` it takes what JSON writers really write: tabs, integers of any size, ``NaN``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from blueprint.errors import SpecError
from blueprint.files.tree import MAX_DEPTH, Node, Position, show

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


def parse_json(text: str, source: str) -> Node:
    """The tree of a JSON ``text``; ``source`` is the file name in messages. Raises ``SpecError``."""
    try:
        json.loads(text, parse_int=str)  # whose size the builder judges
    except json.JSONDecodeError as problem:
        what = f"text must be valid JSON, and it is not: {problem.msg}"
        raise SpecError(f"{source}:{problem.lineno}:{problem.colno}: {what}") from None
    except RecursionError:
        raise SpecError(f"{source}:1:1: nesting must be at most {MAX_DEPTH} levels deep") from None
    return _Builder(text, source).node(1)


class _Builder:
    """Walks the tokens of a text that is known to be JSON."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self.tokens = _positioned(text)

    def node(self, depth: int) -> Node:
        return self.value(*next(self.tokens), depth)

    def value(self, token: str, position: Position, depth: int) -> Node:
        if depth > MAX_DEPTH:
            what = f"nesting must be at most {MAX_DEPTH} levels deep"
            raise SpecError(f"{self.source}:{position[0]}:{position[1]}: {what}")
        if token == "{":
            return self.mapping(position, depth)
        if token == "[":
            return self.sequence(position, depth)
        return Node(self.scalar(token, position), position)

    def scalar(self, token: str, position: Position) -> Any:
        try:
            return json.loads(token)
        except ValueError:  # an integer of more digits than Python converts
            what = f"integer must fit 64 bits, not {show(token)}"
            raise SpecError(f"{self.source}:{position[0]}:{position[1]}: {what}") from None

    def mapping(self, position: Position, depth: int) -> Node:
        node = Node({}, position)
        while (item := next(self.tokens))[0] != "}":
            if item[0] == ",":
                continue
            key = json.loads(item[0])
            next(self.tokens)  # the colon
            if key in node.value:
                where = f"{self.source}:{item[1][0]}:{item[1][1]}:"
                raise SpecError(f"{where} key must be given once, not again: {key[:60]!r}")
            node.value[key] = self.node(depth + 1)
            node.key_positions[key] = item[1]
        return node

    def sequence(self, position: Position, depth: int) -> Node:
        node = Node([], position)
        while (item := next(self.tokens))[0] != "]":
            if item[0] != ",":
                node.value.append(self.value(*item, depth + 1))
        return node


def _positioned(text: str) -> Iterator[tuple[str, Position]]:
    line, start = 1, 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", start, match.start())
        start = match.start()
        yield match.group(), (line, start - text.rfind("\n", 0, start))
