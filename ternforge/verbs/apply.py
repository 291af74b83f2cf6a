"""``ternforge apply``: a point of a study as a design file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from blueprint.errors import ParamError
from blueprint.files import schemas
from blueprint.files.design import design_content, design_text
from ternforge import choices
from ternforge.folder import YAML, output_file
from ternforge.options import force_option, out_option, study_argument
from ternforge.session import Answer, Session, line
from ternforge.shell import Verb
from ternforge.study import opened


def apply(study: str | Path, point: str, out: str | Path, *, force: bool = False) -> Answer:
    """Write a point of a study as a design file; ``point`` may be ``knee``."""
    with opened(study) as found:
        name = found.knee if point == "knee" else point
        if name is None:
            raise ParamError(f"Study must have a feasible point to take its knee, and {study} has none")
        name = found.space.point_id(found.space.index_of(name))
        design, row = found.design(name), found.point(name)
    with output_file(out, YAML, "apply", schema=schemas.DESIGN, force=force) as draft:
        draft.write_text(design_text(design), encoding="utf-8")
    reason = None if row["feasible"] else row["reason"]
    return {"point": name, "file": Path(out), "design": design_content(design), "infeasible": reason}


@click.command("apply", cls=Verb)
@study_argument
@click.argument("point", type=choices.Point())
@out_option(choices.FILE, "SPEC", "Design file to write.", required=True)
@force_option
@click.pass_obj
def apply_(session: Session, study: str, point: str, out: str, force: bool) -> None:
    """Write the design POINT (an id, or `knee`) of the folder STUDY as a file."""
    answer = apply(study, point, out, force=force)
    parameters = ", ".join(f"{key} {_yaml(value)}" for key, value in answer["design"]["parameters"].items())
    following = line("ternforge", "generate", Path(out), "--out", "rtl")
    if answer["infeasible"]:
        session.note(f"Point {answer['point']} is infeasible in this study: {answer['infeasible']}")
    session.answer(answer, [f"wrote {out}: {answer['point']}, {parameters}", f"next: {following}"])


def _yaml(value: Any) -> str:
    """A parameter's value as files and `--set` write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
