"""YAML text as a tree of plain values that remember where they stand.

Scalars follow the YAML 1.2 core schema (``1e9`` is a number; ``on``, ``yes`` and ``1:30`` are text). A whole number
written with an exponent and no point is an integer. Refused: duplicate keys, tags, more than one document, numbers
that are not finite or do not fit 64 bits, nesting and alias expansion beyond what a person writes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from blueprint.errors import SpecError
from blueprint.words import vanishes

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 200_000

Position = tuple[int, int]

_NULL = re.compile(r"(null|Null|NULL|~|)\Z")
_BOOL = re.compile(r"(true|True|TRUE|false|False|FALSE)\Z")
_INT = re.compile(r"[-+]?[0-9]+\Z")
_RADIX = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
_LOADER: Any = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # libyaml where the wheel has it, ten times faster


@dataclass
class Node:
    """A scalar, a list of nodes or a mapping to nodes, and its position (line and column from 1)."""

    value: Any
    position: Position
    key_positions: dict[str, Position] = field(default_factory=dict)
    size: int = 1

    def plain(self) -> Any:
        """The value without positions."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def show(value: Any) -> str:
    """A value as an error message quotes it: short, on one line."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"


def parse(text: str, source: str) -> Node:
    """The tree of the one document in ``text``; ``source`` is the file name in messages. Raises ``SpecError``."""
    bad = _CONTROL.search(text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        column = bad.start() - text.rfind("\n", 0, bad.start())
        what = f"U+{ord(bad.group()):04X}"
        raise _error(
            source, (line, column), f"text must be printable characters, not the control character {what}"
        )
    return _Builder(text, source).document()


def _error(source: str, position: Position, message: str) -> SpecError:
    return SpecError(f"{source}:{position[0]}:{position[1]}: {message}")


class _Builder:
    """Builds the tree from the parser's events, so that limits act before memory is spent."""

    def __init__(self, text: str, source: str) -> None:
        self.text = text
        self.source = source
        self.events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        self.anchors: dict[str, Node | None] = {}

    def document(self) -> Node:
        self.next()  # stream start
        event = self.next()
        if isinstance(event, yaml.StreamEndEvent):
            raise _error(self.source, (1, 1), "file must be a mapping of keys to values, not empty")
        root = self.node(self.next(), 1)
        self.next()  # document end
        event = self.next()
        if not isinstance(event, yaml.StreamEndEvent):
            raise self.error(event, "file must be one YAML document, not several")
        return root

    def next(self) -> Any:
        try:
            return next(self.events)
        except yaml.MarkedYAMLError as problem:
            mark = problem.problem_mark or problem.context_mark
            position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            raise self.invalid(position, problem.problem or problem.context or "") from None
        except yaml.YAMLError as problem:
            raise self.invalid((1, 1), str(problem).split("\n", 1)[0]) from None

    def invalid(self, position: Position, problem: str) -> SpecError:
        lines = self.text.split("\n")
        line = lines[position[0] - 1] if position[0] <= len(lines) else ""
        if "\t" in line[: len(line) - len(line.lstrip())] or line[position[1] - 1 : position[1]] == "\t":
            return _error(self.source, position, "indentation must be spaces, not a tab")
        return _error(self.source, position, f"text must be valid YAML, and it is not: {problem}")

    def error(self, event: Any, message: str) -> SpecError:
        return _error(self.source, _position(event), message)

    def node(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        if event.tag not in (None, "!"):
            raise self.error(event, f"value must be plain YAML without a tag, not {show(event.tag)}")
        if depth > MAX_DEPTH:
            raise self.error(event, f"nesting must be at most {MAX_DEPTH} levels deep")
        anchor = event.anchor
        if anchor is not None:
            self.anchors[anchor] = None  # an alias inside its own anchor would never end
        node = self.content(event, depth)
        if node.size > MAX_NODES:
            raise self.error(
                event, f"file must hold at most {MAX_NODES} values once its aliases are expanded"
            )
        if anchor is not None:
            self.anchors[anchor] = node
        return node

    def alias(self, event: Any) -> Node:
        node = self.anchors.get(event.anchor)
        if node is None:
            raise self.error(event, f"alias must repeat an anchor completed before it, not '*{event.anchor}'")
        return Node(node.value, _position(event), node.key_positions, node.size)

    def content(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            plain = event.style in (None, "") and event.implicit[0]
            return Node(self.scalar(event) if plain else event.value, _position(event))
        node = Node([], _position(event))
        if isinstance(event, yaml.SequenceStartEvent):
            while not isinstance(item := self.next(), yaml.SequenceEndEvent):
                child = self.node(item, depth + 1)
                node.value.append(child)
                node.size += child.size
            return node
        node.value = {}
        while not isinstance(key_event := self.next(), yaml.MappingEndEvent):
            self.entry(node, key_event, depth)
        return node

    def entry(self, mapping: Node, key_event: Any, depth: int) -> None:
        key = self.node(key_event, depth + 1).value
        if key == "<<" and getattr(key_event, "style", None) in (None, ""):
            raise self.error(
                key_event, "keys must be written out, not merged by '<<', which YAML 1.2 does not know"
            )
        if not isinstance(key, str) or not key:
            raise self.error(key_event, f"key must be text, not {show(key)}")
        if key in mapping.value:
            first = mapping.key_positions[key][0]
            raise self.error(key_event, f"key must be given once, not again after line {first}: {show(key)}")
        child = self.node(self.next(), depth + 1)
        mapping.value[key] = child
        mapping.key_positions[key] = _position(key_event)
        mapping.size += child.size

    def scalar(self, event: Any) -> Any:
        text = event.value
        if _NULL.match(text):
            return None
        if _BOOL.match(text):
            return text[0] in "tT"
        if _RADIX.match(text) or _INT.match(text):
            return self.integer(event)
        if _NOT_FINITE.match(text):
            raise self.error(event, f"number must be finite, not {text}")
        if _FLOAT.match(text):
            value = float(text)
            if not math.isfinite(value):
                raise self.error(event, f"number must be finite, not {show(text)}")
            if vanishes(text):
                raise self.error(event, f"number must be 0 or large enough for 64 bits, not {show(text)}")
            whole = "." not in text and "-" not in text[1:] and abs(value) <= 2**53
            return int(value) if whole else value
        return text

    def integer(self, event: Any) -> int:
        text = event.value
        value = int(text, 0 if text[:2] in ("0o", "0x") else 10) if len(text) <= 40 else 2**63
        if abs(value) >= 2**63:
            raise self.error(event, f"integer must fit 64 bits, not {show(text)}")
        return value


def _position(event: Any) -> Position:
    return event.start_mark.line + 1, event.start_mark.column + 1


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML has no types
    """Quotes text that :func:`parse` would take for a number, a truth value or nothing."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> Any:
    meant = (_NULL, _BOOL, _RADIX, _INT, _NOT_FINITE, _FLOAT)
    style = "'" if any(pattern.match(text) for pattern in meant) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def dump(content: Any, width: int = 80, *, leaves_in_line: bool = False) -> str:
    """The YAML text of plain values, which :func:`parse` reads back as the same; keys keep their order.

    With ``leaves_in_line`` a list or mapping of scalars stands in one line.
    """
    flow = None if leaves_in_line else False
    text: str = yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width, default_flow_style=flow
    )
    return text
