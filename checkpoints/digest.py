"""The identity of a checkpoint: the hash of the files that hold its weights, wherever they lie."""

from __future__ import annotations

import hashlib
from pathlib import Path

#: Files of weights in a folder.
WEIGHTS = ("*.safetensors", "*.gguf")


def digest(source: Path) -> str:
    """SHA-256 of the file of weights, or of all in a folder by name; that of no bytes where there is none."""
    files = [source] if source.is_file() else []
    if source.is_dir():
        files = sorted(path for pattern in WEIGHTS for path in source.glob(pattern))
    found = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    return found.hexdigest()
