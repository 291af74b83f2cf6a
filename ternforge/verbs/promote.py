"""``ternforge promote``: the front of a study measured by the simulator and by synthesis."""

from __future__ import annotations

from pathlib import Path

from dse.fidelity import promote as climbing
from dse.fidelity.levels import BUDGET_S, LIMIT_S, MEMORY_MIB, SYNTHESIZED
from ternforge import folder
from ternforge.session import Answer, Note, silent
from ternforge.study import check
from ternforge.verbs.explore import TABLES


def promote(
    study: str | Path,
    *,
    budget: int = BUDGET_S,
    level: str = SYNTHESIZED,
    limit: int = LIMIT_S,
    memory: int = MEMORY_MIB,
    retry: bool = False,
    force: bool = False,
    note: Note = silent,
) -> Answer:
    """Measure the front of a study at higher levels for ``budget`` seconds; returns the study's summary.

    Levels are ``simulated`` and ``synthesized``, each up to ``level``. One measurement takes at most ``limit`` seconds
    and ``memory`` MiB; one that fails is stored with its log, and measured again by ``retry`` only. The same call
    continues an interrupted one.
    """
    check(study)
    limits = climbing.Limits(budget, limit, memory)
    with folder.updated(study, TABLES, "promote", force=force):
        with climbing.promote(study, limits, level=level, retry=retry, note=note) as found:
            return found.summary()
