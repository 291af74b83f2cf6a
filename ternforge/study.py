"""Opens the study that a verb reads."""

from __future__ import annotations

from pathlib import Path

from blueprint.errors import ParamError
from blueprint.files import kinds
from blueprint.files.nearest import nearest
from dse.store import NAME
from dse.study import Study, open_study


def opened(study: str | Path) -> Study:
    """The study in a folder, for reading; use it in a ``with``.

    Raises ``ParamError`` for what is no study's folder, and says what it is, ``StudyError`` for one that is damaged.
    """
    check(study)
    return open_study(study)


def check(study: str | Path) -> None:
    """Refuse what is no study's folder, and say what it is. Raises ``ParamError``."""
    path = Path(study)
    if path.exists() and not any(path.glob("study.*")):
        found = kinds.of_path(path)
        raise ParamError(f"Study must be the folder that `ternforge explore` wrote, not {found}: {path}")
    if not path.exists():
        others = [other.parent.name for other in path.parent.glob(f"*/{NAME}")]
        found = nearest(path.name, others) or ""
        if found:
            raise ParamError(
                f"Study must exist, and there is none: {path}; did you mean {str(path.parent / found)!r}?"
            )
