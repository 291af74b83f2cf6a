"""``ternforge doctor``: whether every tool really works."""

from __future__ import annotations

from ternforge.rooms import HOME, ROOMS
from ternforge.session import Answer, Note, silent
from toolchain import doctor as examiner


def doctor(note: Note = silent) -> Answer:
    """Check that every tool works; ``ok`` is false if one does not. ``note`` is called with the tool being checked."""
    place = f"{', '.join(ROOMS)} are those of {HOME}"
    checks = [examiner.Check("Packages", ok=True, detail=place, seconds=0.0), *examiner.examine(note)]
    return {"ok": all(check.ok for check in checks), "checks": checks}
