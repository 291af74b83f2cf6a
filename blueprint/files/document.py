"""Reading a YAML file so that every error names its file, line, key, what it must be and what it is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from blueprint.errors import SpecError
from blueprint.files import kinds
from blueprint.files.json_tree import parse_json
from blueprint.files.nearest import nearest, suggestion
from blueprint.files.tree import MAX_BYTES, Node, Position, parse, show

_KINDS = {
    int: "an integer",
    float: "a number",
    str: "text",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
    type(None): "empty",
}
_REQUIRED: Any = object()

Kind = type | tuple[type, ...]


class Section:
    """One mapping of a document.

    Take every key by name and kind, then call :meth:`finish`: a key that was not taken is an error.
    """

    def __init__(
        self, node: Node, source: str, path: tuple[str | int, ...] = (), at: Position | None = None
    ) -> None:
        self.source = source
        self.path = path
        self._node = node
        self._at = at or node.position
        self._known: list[str] = []

    def __contains__(self, key: str) -> bool:
        self._ask(key)
        return key in self._node.value

    def keys(self) -> tuple[str, ...]:
        """The keys that are present, in the order of the file."""
        return tuple(self._node.value)

    def known(self) -> set[str]:
        """The keys that were asked for so far, present or not."""
        return set(self._known)

    def take(
        self,
        key: str,
        kind: Kind,
        *,
        default: Any = _REQUIRED,
        minimum: float | None = None,
        maximum: float | None = None,
        choices: Iterable[str] | None = None,
    ) -> Any:
        """The plain value of ``key``, checked: kind first, then magnitude, then the list of choices.

        ``kind`` is ``int``, ``float`` (takes integers too), ``str``, ``bool``, ``list``, ``dict`` or several of them.
        Without a ``default`` the key must be there. Raises ``SpecError``.
        """
        self._ask(key)
        if key not in self._node.value:
            if default is _REQUIRED:
                raise self._missing(key)
            return default
        value = self._node.value[key].plain()
        if not is_kind(value, kind):
            raise self.error(key, f"{key} must be {kind_name(kind)}, not {show(value)}")
        if minimum is not None and value < minimum:
            raise self.error(key, f"{key} must be at least {minimum}, not {show(value)}")
        if maximum is not None and value > maximum:
            raise self.error(key, f"{key} must be at most {maximum}, not {show(value)}")
        if choices is not None:
            self._check_choice(key, value, tuple(choices))
        return float(value) if kind is float else value

    def text(self, key: str) -> str:
        """The text of ``key``. Raises ``SpecError`` where it is missing, no text or empty."""
        text: str = self.take(key, str)
        if not text.strip():
            raise self.error(key, f"{key} must be text, not empty")
        return text

    def check_schema(self, *schemas: str) -> str:
        """The ``schema`` of the file. Raises ``SpecError`` if it is none of ``schemas``."""
        found = kinds.of_mapping(self.raw())
        given = self.raw().get("schema")
        if found and given not in schemas:
            wanted = " or ".join(", ".join(kinds.OURS[schema][0] for schema in schemas).rsplit(", ", 1))
            raise self.error("schema", f"file must be {wanted}, not {found}")
        return str(self.take("schema", str, choices=schemas))

    def section(self, key: str) -> Section:
        """The mapping under ``key``. Raises ``SpecError`` where it is missing or no mapping."""
        self._ask(key)
        if key not in self._node.value:
            raise self._missing(key)
        node = self._node.value[key]
        if not isinstance(node.value, dict):
            raise self.error(key, f"{key} must be a mapping, not {show(node.plain())}")
        return Section(node, self.source, (*self.path, key), self._node.key_positions[key])

    def sections(self, key: str) -> tuple[Section, ...]:
        """The list of mappings under ``key``. Raises ``SpecError`` where it is missing or anything else."""
        self.take(key, list)
        nodes = self._node.value[key].value
        for index, node in enumerate(nodes):
            if not isinstance(node.value, dict):
                what = f"item {index + 1} of {key} must be a mapping, not {show(node.plain())}"
                raise self._error_at(node.position, (*self.path, key, index), what)
        return tuple(Section(n, self.source, (*self.path, key, i)) for i, n in enumerate(nodes))

    def raw(self) -> dict[str, Any]:
        """The whole mapping as plain Python values."""
        plain: dict[str, Any] = self._node.plain()
        return plain

    def position(self, path: tuple[str | int, ...]) -> Position:
        """Line and column of the value at ``path`` (keys and list indices from here), or of its last existing part."""
        node, position = self._node, self._at
        for step in path:
            if isinstance(node.value, dict) and step in node.value:
                position = node.key_positions[str(step)]
                node = node.value[step]
            elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                position = node.position
            else:
                break
        return position

    def error(self, key: str | tuple[str | int, ...] | None, message: str) -> SpecError:
        """The error to raise about ``key`` (a key, a path of keys and indices from here, or the section itself)."""
        path: tuple[str | int, ...] = () if key is None else (key,) if isinstance(key, str) else key
        return self._error_at(self.position(path), (*self.path, *path), message)

    def allow(self, names: Iterable[str]) -> None:
        """Refuse every key that is not one of ``names``, with the nearest name."""
        valid = list(names)
        for key in self._node.value:
            if key not in valid:
                raise self._unknown(key, valid)
        self._known.extend(valid)

    def finish(self) -> None:
        """Refuse every key that was not taken, with the nearest name that was."""
        self.allow(list(self._known))

    def _ask(self, key: str) -> None:
        if key not in self._known:
            self._known.append(key)

    def _missing(self, key: str) -> SpecError:
        spare = [other for other in self._node.value if other not in self._known]
        typo = nearest(key, spare, 0.8)
        if typo:
            return self.error(typo, f"key must be {key!r}, not {typo!r}")
        return self.error((key,), f"{key} must be given, and is missing")

    def _unknown(self, key: str, valid: list[str]) -> SpecError:
        which = (
            f"must be one of {', '.join(valid)}, not {show(key)}"
            if valid
            else f"must not be there: {show(key)}"
        )
        return self.error(key, f"key {which}{suggestion(key, valid)}")

    def _check_choice(self, key: str, value: Any, choices: tuple[str, ...]) -> None:
        if value in choices:
            return
        which = repr(choices[0]) if len(choices) == 1 else f"one of {', '.join(choices)}"
        raise self.error(key, f"{key} must be {which}, not {show(value)}{suggestion(str(value), choices)}")

    def _error_at(self, position: Position, path: tuple[str | int, ...], message: str) -> SpecError:
        name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
        where = f"{self.source}:{position[0]}:{position[1]}:"
        return SpecError(f"{where} {name[:200]}: {message}" if name else f"{where} {message}")


def is_kind(value: Any, kind: Kind) -> bool:
    """True if a value is of the kind: ``True`` is no number, an integer is also a ``float``."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, kinds) or (float in kinds and isinstance(value, int))


def kind_name(kind: Kind) -> str:
    """The kind in words: ``an integer``, ``a number or text``."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join(_KINDS[k] for k in kinds)


def read(path: str | Path) -> Section:
    """The mapping a YAML file holds.

    Raises ``SpecError``: no such file, not a regular file, larger than 1 MiB, not UTF-8, not YAML, not a mapping.
    """
    source = str(path)
    try:
        return read_text(_decode(_load(Path(path), source), source, "YAML"), source)
    except (OSError, ValueError) as problem:
        if isinstance(problem, SpecError):
            raise
        reason = problem.strerror if isinstance(problem, OSError) else str(problem)
        raise SpecError(f"{source}:1:1: file must be readable, and it is not: {reason}") from None


def read_json(path: str | Path) -> Section:
    """The object that a JSON file holds, as another program wrote it. Raises ``SpecError`` as :func:`read` does."""
    source = str(path)
    try:
        text = _decode(_load(Path(path), source), source, "JSON")
    except OSError as problem:
        raise SpecError(f"{source}:1:1: file must be readable, and it is not: {problem.strerror}") from None
    if not text.strip():
        raise SpecError(f"{source}:1:1: file must be a JSON object, not empty")
    if Path(path).suffix in (".yaml", ".yml"):
        found = kinds.of_start(text.encode()) or "YAML"
        raise SpecError(f"{source}:1:1: file must be JSON, not {found}")
    node = parse_json(text, source)
    if not isinstance(node.value, dict):
        raise SpecError(f"{source}:1:1: file must be a JSON object, not {show(node.plain())}")
    return Section(node, source, at=(1, 1))


def read_text(text: str, source: str = "<text>") -> Section:
    """The mapping that YAML ``text`` holds; ``source`` stands for the file name in errors. Raises ``SpecError``."""
    node = parse(text, source)
    if not isinstance(node.value, dict):
        line, column = node.position
        what = show(node.plain())
        raise SpecError(f"{source}:{line}:{column}: file must be a mapping of keys to values, not {what}")
    return Section(node, source, at=(1, 1))


def _load(path: Path, source: str) -> bytes:
    if path.is_dir():
        raise SpecError(f"{source}:1:1: file must be a YAML file, not {kinds.of_folder(path)}")
    if path.is_symlink() and not path.exists():
        raise SpecError(f"{source}:1:1: file must exist, and is a link to what does not: {path.readlink()}")
    if not path.exists():
        siblings = {p.stem: p for p in path.parent.glob("*.yaml")} if path.parent.is_dir() else {}
        found = nearest(path.stem, siblings)
        hint = f"; did you mean {str(siblings[found])!r}?" if found else ""
        raise SpecError(f"{source}:1:1: file must exist, and there is none{hint}")
    if not path.is_file():
        raise SpecError(f"{source}:1:1: file must be a regular file, not a device or pipe")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        if found := kinds.of_start(data):
            raise SpecError(f"{source}:1:1: file must be text of at most {MAX_BYTES} bytes, not {found}")
        raise SpecError(f"{source}:1:1: file must be at most {MAX_BYTES} bytes, not {path.stat().st_size}")
    return data


def _decode(data: bytes, source: str, wanted: str) -> str:
    try:
        text = data.decode("utf-8-sig")
        found = kinds.of_bytes(data) or kinds.of_text(text)
        if found:
            raise SpecError(f"{source}:1:1: file must be {wanted}, not {found}")
        return text
    except UnicodeDecodeError as problem:
        if found := kinds.of_bytes(data):
            raise SpecError(f"{source}:1:1: file must be {wanted}, not {found}") from None
        before = data[: problem.start]
        line = before.count(b"\n") + 1
        column = problem.start - before.rfind(b"\n")
        byte = f"byte 0x{data[problem.start]:02x}"
        raise SpecError(f"{source}:{line}:{column}: text must be UTF-8, not {byte}") from None
