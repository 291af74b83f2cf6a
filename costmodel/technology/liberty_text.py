"""Statement-level reader of Liberty text below `costmodel.technology.liberty`: a tree of groups."""

from __future__ import annotations

import gzip
import hashlib
import math
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from blueprint.errors import SpecError
from blueprint.files import kinds

_COMMENT = re.compile(r'"[^"]*+"|/\*[\s\S]*?\*/|/\*|//[^\n]*')
_STATEMENT = re.compile(
    r"""[\s;\\]*+
    (?: (?P<close>\})
      | (?P<name>[A-Za-z_][\w.\[\]-]*+) \s*+
        (?: \( (?P<args>(?:[^()"]++|"[^"]*+")*+) \) [\s\\]*+ (?P<open>\{)?
          | : [ \t]*+ (?P<value>(?:\\\r?\n|[^;{}"\n\\]|"[^"]*+")*+)
        )
    )""",
    re.VERBOSE,
)
_BLANK = re.compile(r"[\s;\\]*+")


@dataclass(frozen=True)
class Source:
    """One Liberty file: its text without comments, and where an offset lies in it."""

    path: str
    text: str
    sha256: str

    def error(self, offset: int, message: str) -> SpecError:
        """`file:line: message`, ready to raise."""
        return SpecError(f"{self.path}:{self.text.count(chr(10), 0, offset) + 1}: {message}")


@dataclass
class Group:
    """`name (args) { ... }`: simple attributes, complex attributes (argument text) and nested groups."""

    kind: str
    args: str
    offset: int
    source: Source
    simple: dict[str, str] = field(default_factory=dict)
    complex: dict[str, list[str]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The arguments between the parentheses, unquoted."""
        return [text.strip().strip('"').strip() for text in self.args.replace("\\", " ").split(",")]

    def error(self, message: str) -> SpecError:
        """`file:line: message` at the line the group starts on."""
        return self.source.error(self.offset, message)

    def all(self, *kinds: str) -> list[Group]:
        """Nested groups of these kinds, in file order."""
        return [group for group in self.groups if group.kind in kinds]

    def number(self, key: str, default: float | None = None) -> float | None:
        """A numeric attribute; `SpecError` where it is present but not a number."""
        text = self.simple.get(key)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(f"{key} of {self.kind} {self.args!s} must be a number, not {text!r}")
        return value


def read(path: str | Path) -> Group:
    """The `library` group of a `.lib` or `.lib.gz` file; `SpecError` names file and line of the first fault."""
    source = _source(Path(path))
    text, position, stack = source.text, 0, list[Group]()
    library: Group | None = None
    while True:
        match = _STATEMENT.match(text, position)
        if match is None:
            break
        position = match.end()
        if match["close"]:
            if not stack:
                raise source.error(
                    match.start("close"), "a closing brace must end an open group, not stand alone"
                )
            stack.pop()
            if not stack:
                break
            continue
        name = match["name"]
        if library is None and not (name == "library" and match["open"]):
            raise source.error(
                match.start("name"), f"a Liberty file must start with library (name) {{, not {name!r}"
            )
        if match["open"]:
            group = Group(name, _unquote(match["args"]), match.start("name"), source)
            if stack:
                stack[-1].groups.append(group)
            else:
                library = group
            stack.append(group)
        elif match["args"] is not None:
            stack[-1].complex.setdefault(name, []).append(match["args"])
        else:
            stack[-1].simple[name] = _unquote(match["value"])
    return _finish(source, library, stack, position)


def _finish(source: Source, library: Group | None, stack: list[Group], position: int) -> Group:
    """The library group once the text is used up; otherwise the fault that stopped the reader."""
    rest = source.text[_match_end(source.text, position) :]
    if library is None and not rest:
        raise source.error(0, "a Liberty file must hold library (name) { ... }, not be empty")
    if stack or library is None:
        at = _match_end(source.text, position)
        if rest:
            raise source.error(
                at, f"expected name (args) {{, name : value or }}, not {rest.splitlines()[0][:40]!r}"
            )
        assert library is not None
        group = stack[-1]
        raise group.error(f"{group.kind} ({group.args}) must be closed by a brace, but the file ends first")
    return library


def _match_end(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position


def _unquote(text: str) -> str:
    text = text.replace("\\\r\n", " ").replace("\\\n", " ").strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text


def _source(path: Path) -> Source:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SpecError(f"{path}: a Liberty file must be readable: {error.strerror}") from None
    digest = hashlib.sha256(data).hexdigest()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            raise SpecError(
                f"{path}: a gzip file must be complete, but this one does not decompress"
            ) from None
    _check_kind(path, data)
    text = data.decode("utf-8", "replace")
    if "\x00" in text:
        raise SpecError(f"{path}:1: a Liberty file must be text, not binary data")
    bare = Source(str(path), text, digest)
    return Source(str(path), _without_comments(bare), digest)


def digest(path: str | Path) -> str:
    """SHA-256 of a Liberty file as it is stored. Raises `SpecError` where it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise SpecError(f"{path}: a Liberty file must be readable: {error.strerror}") from None


def check(path: str | Path) -> None:
    """Check early that a file can be Liberty. Raises `SpecError`."""
    try:
        with (gzip.open if str(path).endswith(".gz") else open)(path, "rb") as file:
            _check_kind(Path(path), file.read(4096))
    except (OSError, EOFError, zlib.error):
        _source(Path(path))  # which says what is wrong


def _check_kind(path: Path, data: bytes) -> None:
    found = kinds.of_start(data)
    if found and found != kinds.LIBERTY:
        raise SpecError(f"{path}:1: file must be a Liberty library, not {found}")


def _without_comments(source: Source) -> str:
    """Blank out comments but keep all lines, so that offsets still map to lines."""
    if "/*" not in source.text and "//" not in source.text:
        return source.text

    def blank(match: re.Match[str]) -> str:
        text = match[0]
        if text[0] == '"':
            return text
        if text == "/*":
            raise source.error(match.start(), "a comment opened by /* must be closed by */")
        return "\n" * text.count("\n") or " "

    return _COMMENT.sub(blank, source.text)
