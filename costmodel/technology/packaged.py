"""Names of the technologies that come with the package; no file is read here."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).with_name("technologies")


def names() -> tuple[str, ...]:
    """Names of the packaged technologies."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))
