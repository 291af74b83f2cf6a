"""``ternforge plot``: a study's Pareto front as pictures, a system as a block diagram."""

from __future__ import annotations

from pathlib import Path

from blueprint.systems.diagram import svg
from blueprint.systems.reader import read_system
from dse import interactive
from dse import plot as figures
from ternforge.decoders import is_system
from ternforge.folder import output_file, output_folder
from ternforge.session import Answer
from ternforge.study import opened

#: The suffixes of a picture, where one file is written.
ENDINGS = (".png", ".svg", ".pdf", ".html")


def plot(study: str | Path, out: str | Path | None = None, *, force: bool = False) -> Answer:
    """Draw a study's Pareto front into its folder, or into ``out``: PNG, SVG and an interactive page.

    Where ``out`` ends in ``.png``, ``.svg``, ``.pdf`` or ``.html`` it is that one file. Of a system (a file of schema
    ``ternforge/system/v1``) it is the block diagram, ``<name>.svg`` beside the file.
    """
    single = None if out is None or Path(out).is_dir() or Path(out).suffix not in ENDINGS else Path(out)
    if is_system(study):
        return _diagram(Path(study), out, single, force)
    if single is not None:
        return _single(study, single, force)
    folder = Path(study if out is None else out)
    with opened(study) as found, output_folder(folder, "plot", whole=False, force=force) as draft:
        files = [*figures.draw(found, draft), interactive.write(found, draft / "pareto.html")]
    return {"files": [folder / file.name for file in files]}


def _single(study: str | Path, path: Path, force: bool) -> Answer:
    kind = path.suffix.removeprefix(".")
    with opened(study) as found, output_file(path, ENDINGS, "plot", force=force) as draft:
        if kind == "html":
            interactive.write(found, draft)
        else:
            draft.write_bytes(figures.render(found, kind))
    return {"files": [path]}


def _diagram(file: Path, out: str | Path | None, single: Path | None, force: bool) -> Answer:
    system = read_system(file)
    if single is not None:
        with output_file(single, (".svg",), "plot", force=force) as draft:
            draft.write_text(svg(system), encoding="utf-8")
        return {"files": [single]}
    folder = file.parent if out is None else Path(out)
    with output_folder(folder, "plot", whole=False, force=force) as draft:
        (draft / f"{system.name}.svg").write_text(svg(system), encoding="utf-8")
    return {"files": [folder / f"{system.name}.svg"]}
