"""``ternforge export``: a design as a folder that another flow takes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from blueprint.errors import ParamError
from blueprint.files.nearest import suggestion
from ternforge.inputs import DesignLike, read_design
from ternforge.session import Answer
from ternforge.verbs.generate import generate
from ternforge.words import FLOWS


def export(
    design: DesignLike,
    flow: str,
    out: str | Path | None = None,
    overrides: Mapping[str, str] | None = None,
    *,
    force: bool = False,
) -> Answer:
    """Write a folder (``<design>_<flow>`` where ``out`` names no other) that another flow takes; ``next`` says how.

    Raises ``ParamError`` for an unknown flow.
    """
    if flow not in FLOWS:
        hint = suggestion(flow, FLOWS)
        raise ParamError(f"Flow must be one of {', '.join(FLOWS)} in this version, not {flow!r}{hint}")
    chosen = read_design(design, overrides)
    answer = generate(chosen, out or f"{chosen.name}_{flow}", force=force)
    return {
        **answer,
        "flow": flow,
        "next": FLOWS[flow].format(out=shlex.quote(str(answer["folder"])), top=answer["top"]),
    }
