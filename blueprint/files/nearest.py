"""Suggestions for misspelled names."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, names: Iterable[str], likeness: float = 0.6) -> str | None:
    """The most similar of ``names``, or ``None`` if none reaches the ``likeness`` (0 to 1)."""
    import difflib  # only needed once something is wrong

    plain = {other.lower().replace("-", "_"): other for other in names}
    found = difflib.get_close_matches(name[:100].lower().replace("-", "_"), plain, n=1, cutoff=likeness)
    return plain[found[0]] if found else None


def suggestion(name: str, names: Iterable[str]) -> str:
    """The end of an error message: ``"; did you mean 'mu'?"``, or nothing."""
    found = nearest(name, names)
    return f"; did you mean {found!r}?" if found else ""
