"""``ternforge doctor``: whether every tool really works."""

from __future__ import annotations

import click

from ternforge import __version__
from ternforge.rooms import HOME, ROOMS
from ternforge.session import Answer, Note, Session, silent
from ternforge.shell import Verb
from toolchain import doctor as examiner


def doctor(note: Note = silent) -> Answer:
    """Check that every tool works; ``ok`` is false if one does not. ``note`` is called with the tool being checked."""
    place = f"{', '.join(ROOMS)} are those of {HOME}"
    checks = [examiner.Check("Packages", ok=True, detail=place, seconds=0.0), *examiner.examine(note)]
    return {"ok": all(check.ok for check in checks), "checks": checks}


@click.command("doctor", cls=Verb)
@click.pass_obj
def doctor_(session: Session) -> int:
    """Check that every tool really works: a model of several C++ files is compiled and run."""
    answer = doctor(session.note)
    checks = answer["checks"]
    lines = [f"  {'ok  ' if c.ok else 'FAIL'}  {c.name:<10} {c.detail} ({c.seconds:.1f} s)" for c in checks]
    bad = sum(not check.ok for check in checks)
    session.answer(answer, [f"ternforge {__version__}", *lines, f"{len(checks)} checks, {bad} failed"])
    return 0 if answer["ok"] else 1
