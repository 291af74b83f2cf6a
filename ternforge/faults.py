"""Faults of the environment, each one sentence with its remedy."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Sequence

from ternforge.streams import OUTPUT
from toolchain.files import lacks_scratch

_FULL = (errno.ENOSPC, errno.EDQUOT)
_SCARCE = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)


def sentence(problem: BaseException) -> str | None:
    """One sentence for a fault of the disk, the memory, standard output or the system, ``None`` for anything else."""
    if isinstance(problem, MemoryError):
        return (
            f"Memory must suffice, and it does not ({str(problem) or 'nothing is left'}); "
            "free some, or ask for fewer --workers or a smaller design"
        )
    return _of_system(problem) if isinstance(problem, OSError) else None


def _of_system(problem: OSError) -> str | None:
    name, why = problem.filename2 or problem.filename, problem.strerror or str(problem)  # of a move, where to
    what = os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else None
    if what == OUTPUT:
        return f"Standard output must take what is written to it, and it does not: {why}; send it elsewhere"
    if lacks_scratch(problem):
        return f"TMPDIR must name a folder that can be written, and none can: {why}"
    if problem.errno in _FULL:
        return (
            f"{what or 'A disk'}: disk must have room here, and it has not: {why}; free some and run it again"
        )
    if problem.errno == errno.EFBIG:
        large = f"{what or 'A file'}: file must not be so large here"
        return f"{large}: {why}; raise the limit (`ulimit -f`) and run it again"
    if problem.errno in _SCARCE:
        return f"{what or 'System'}: system must have processes, files and memory left, and it has not: {why}"
    if problem.errno == errno.EPIPE:
        return f"What this command started must run until it ends, and it does not: {why}; run it again"
    if what is None and problem.errno is None:
        return None
    return f"{what or 'A file'}: file must be readable and writable here, and it is not: {why}"


def interrupted(arguments: Sequence[str]) -> str:
    """Message of an interrupted command: what is left, and how to continue."""
    words = [word for word in arguments if not word.startswith("-")]
    again = f"the same command {{}}: {shlex.join(['ternforge', *arguments])}"
    if words[:1] == ["explore"]:
        return f"Interrupted; the study is kept, and {again.format('goes on')}"
    if words[:1] == ["promote"]:
        return f"Interrupted; what was measured is kept, and {again.format('goes on')}"
    if words[:2] == ["tech", "calibrate"]:
        return f"Interrupted; what was synthesized is kept, and {again.format('goes on')}"
    return f"Interrupted; nothing was written, and {again.format('starts again')}"
