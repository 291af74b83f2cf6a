"""Recognizes the kind of a file by its first bytes and its keys, so that errors can name it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from blueprint.files import schemas

#: Files of this project by schema: the name of their kind, and the command that takes them.
OURS = {
    schemas.DESIGN: ("a design", "ternforge generate"),
    schemas.WORKLOAD: ("a workload", "ternforge simulate DESIGN --workload"),
    schemas.MODEL: ("a model", "ternforge model show"),
    schemas.SYSTEM: ("a system", "ternforge estimate"),
    schemas.SPACE: ("a space", "ternforge explore"),
    schemas.TECHNOLOGY: ("a technology", "ternforge tech show"),
    schemas.MANIFEST: ("the manifest of generated Verilog", ""),
    schemas.WRITTEN: ("the record of a folder that ternforge wrote", ""),
}
_MAGIC = (
    (b"GGUF", "a GGUF model (llama.cpp)"),
    (b"GGML", "a GGML model"),
    (b"ggjt", "a GGML model"),
    (b"PK\x03\x04", "a ZIP archive, as PyTorch and NumPy write checkpoints"),
    (b"\x80\x02", "a Python pickle, as PyTorch writes checkpoints"),
    (b"\x80\x03", "a Python pickle, as PyTorch writes checkpoints"),
    (b"\x80\x04", "a Python pickle, as PyTorch writes checkpoints"),
    (b"\x80\x05", "a Python pickle, as PyTorch writes checkpoints"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"(\xb5/\xfd", "a Zstandard archive"),
    (b"SQLite format 3\x00", "a database, as the study.db of `ternforge explore`"),
    (b"\x89PNG", "a PNG picture"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program"),
    (b"version https://git-lfs", "a pointer of Git LFS, whose file was not fetched"),
)
LIBERTY = "a Liberty library, which `ternforge tech import` reads"
_TEXTS = (
    ("module ", "Verilog"),
    ("`timescale", "Verilog"),
    ("library", LIBERTY),
    ("<!doctype html", "an HTML page"),
    ("<html", "an HTML page"),
    ("<svg", "an SVG picture"),
    ("<?xml", "an XML file"),
)
_COMMENTS = re.compile(r"\A(\s|\ufeff|/\*.*?\*/|//[^\n]*\n)*", re.DOTALL)
_SCHEMA = re.compile(r"""^\s*"?schema"?\s*:\s*["']?([\w/]+)""", re.MULTILINE)
#: Keys that give away a JSON file of a Hugging Face folder that is not its config.json.
_JSON = (
    ("weight_map", "the index of a checkpoint in several files"),
    ("added_tokens", "a tokenizer"),
    ("tokenizer_class", "the configuration of a tokenizer"),
    ("peft_type", "an adapter (PEFT), whose base model has the shapes"),
    ("_diffusers_version", "a model of the library diffusers"),
    ("traceEvents", "a trace, as `ternforge simulate --trace` writes it"),
    ("model_type", "the config.json of a Hugging Face model, which `ternforge model import` reads"),
    ("n_heads", "a checkpoint's params.json as Meta writes it"),
)


def of_bytes(data: bytes) -> str | None:
    """Kind of a binary file that starts with ``data``; ``None`` if unknown."""
    if data.startswith(b"\x1f\x8b"):
        return _of_gzip(data)
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if len(data) > 9 and data[8:9] == b"{" and int.from_bytes(data[:8], "little") < 1 << 40 and 0 in data[:8]:
        return "a safetensors checkpoint"
    return None


def _of_gzip(data: bytes) -> str:
    with suppress(zlib.error):
        inner = zlib.decompressobj(31).decompress(data[:4096], 4096).decode(errors="replace")
        if found := of_text(inner):
            return f"a gzip archive of {found}"
    return "a gzip archive"


def of_start(data: bytes) -> str | None:
    """Kind of a file by its first bytes, text or not; ``None`` if unknown."""
    text = data[:4096].decode("utf-8", errors="replace")
    keys = (name for key, name in _JSON if f'"{key}"' in text)
    schema = _SCHEMA.search(text)
    ours = of_schema(schema[1]) if schema and schema[1] in OURS else None
    return of_bytes(data) or of_text(text) or ours or next(keys, None)


def of_text(text: str) -> str | None:
    """Kind of a text that is not one of our YAML files: Verilog, Liberty, HTML; ``None`` if unknown."""
    start = _first_word(text)
    if start.startswith("library") and "(" not in start[:40]:
        return None
    return next((name for word, name in _TEXTS if start.startswith(word)), None)


def of_path(path: Path) -> str:
    """Kind of an existing file or folder, in words."""
    if path.is_dir():
        return of_folder(path)
    if not path.is_file():
        return "a device or pipe"
    with path.open("rb") as file:
        data = file.read(4096)
    return of_start(data) or ("another file" if data else "an empty file")


def of_folder(path: Path) -> str:
    """Kind of a folder, in words."""
    marks = (
        ("study.db", "the folder of a study"),
        ("manifest.json", "the folder of generated Verilog"),
        ("config.json", "the folder of a Hugging Face model, which `ternforge model import` takes"),
    )
    return next((name for mark, name in marks if (path / mark).is_file()), "a directory")


def schema_of(path: Path) -> str | None:
    """The schema that a file of ours names in its first bytes; ``None`` if it names none of ours."""
    with path.open("rb") as file:
        found = _SCHEMA.search(file.read(4096).decode("utf-8", errors="replace"))
    return found[1] if found and found[1] in OURS else None


def of_schema(schema: str) -> str:
    """Name of one of our files with the command that reads it."""
    name, command = OURS[schema]
    return f"{name}, which `{command}` takes" if command else name


def of_mapping(content: Mapping[str, Any]) -> str | None:
    """Kind of a file with these keys; ``None`` if unknown."""
    schema = content.get("schema")
    if isinstance(schema, str) and schema in OURS:
        return of_schema(schema)
    if "model_type" in content or "architectures" in content:
        return "the config.json of a Hugging Face model, which `ternforge model import` reads"
    return next((name for key, name in _JSON if key in content), None)


def _first_word(text: str) -> str:
    """The first word of a text after comments, in lower case."""
    rest = _COMMENTS.sub("", text[:4096])
    return rest[:200].lower()
