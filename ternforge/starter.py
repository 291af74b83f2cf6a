"""The folder that ``ternforge init`` writes, from the examples."""

from __future__ import annotations

import shutil
from pathlib import Path

from blueprint.errors import ParamError
from blueprint.names import NAME_RULE, is_name
from blueprint.nearest import suggestion
from ternforge.folder import check_out
from toolchain import files

_README = """# {name}

Made by `ternforge init {name} --preset {preset}`.

| file | what it is |
| --- | --- |
| `design.yaml` | one accelerator |
| `workload.yaml` | what it has to compute |
| `space.yaml` | many accelerators to choose from |

Next:

    ternforge check design.yaml
    ternforge estimate design.yaml --workload workload.yaml
    ternforge generate design.yaml --out rtl
    ternforge verify design.yaml
    ternforge synth design.yaml
    ternforge explore space.yaml --out study
"""


#: In a source tree a link to the top-level folder.
EXAMPLES = Path(__file__).with_name("examples")


def presets() -> tuple[str, ...]:
    """The example folders that hold a design."""
    return tuple(sorted(path.parent.name for path in EXAMPLES.glob("*/design.yaml")))


def write(folder: str | Path, preset: str) -> list[Path]:
    """Copy a preset into a new folder and add a README with the next commands; returns the files.

    Raises ``ParamError``: an unknown preset, with the nearest one; a bad name; a folder that holds something.
    """
    if preset not in presets():
        hint = suggestion(preset, presets())
        raise ParamError(f"Preset must be one of {', '.join(presets())}, not {preset!r}{hint}")
    name = Path(folder).name
    if not is_name(name):
        raise ParamError(f"Folder name must be {NAME_RULE}, not {name!r}")
    path = check_out(folder)
    sources = sorted((EXAMPLES / preset).glob("*.yaml"))
    with files.folder(path) as draft:
        for source in sources:
            shutil.copyfile(source, draft / source.name)
        (draft / "README.md").write_text(_README.format(name=name, preset=preset), encoding="utf-8")
    return [path / name for name in (*(source.name for source in sources), "README.md")]
