"""Names that are valid as a folder, a Verilog identifier and a YAML scalar."""

from __future__ import annotations

import re

NAME_RULE = "a letter followed by at most 63 letters, digits, '_' or '-'"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}\Z")


def is_name(text: str) -> bool:
    """True if ``text`` may name a design, a model or a folder."""
    return _NAME.match(text) is not None


def plain(text: str) -> str:
    """A name without case and punctuation, for comparing what people type: ``BitNet-b1.58`` and ``bitnet_b1_58``."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
