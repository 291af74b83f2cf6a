"""``ternforge doctor`` on the command line."""

from __future__ import annotations

import click

from ternforge import __version__
from ternforge.session import Session
from ternforge.shell import Verb


@click.command("doctor", cls=Verb)
@click.pass_obj
def doctor_(session: Session) -> int:
    """Check that every tool really works: a model of several C++ files is compiled and run."""
    from ternforge.verbs import doctor as verb

    answer = verb.doctor(session.note)
    checks = answer["checks"]
    lines = [f"  {'ok  ' if c.ok else 'FAIL'}  {c.name:<10} {c.detail} ({c.seconds:.1f} s)" for c in checks]
    bad = sum(not check.ok for check in checks)
    session.answer(answer, [f"ternforge {__version__}", *lines, f"{len(checks)} checks, {bad} failed"])
    return 0 if answer["ok"] else 1
