"""The folder that ``ternforge init`` writes, from the examples."""

from __future__ import annotations

from pathlib import Path

from blueprint.errors import ParamError
from blueprint.files.names import NAME_RULE, is_name
from blueprint.files.nearest import suggestion
from ternforge.folder import output_folder

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


#: What a preset consists of.
FILES = ("design.yaml", "space.yaml", "workload.yaml")


def presets() -> tuple[str, ...]:
    """The example folders that hold a design."""
    return tuple(sorted(path.parent.name for path in EXAMPLES.glob("*/design.yaml")))


def default_preset() -> str:
    """The preset of a command that names none."""
    return (EXAMPLES / "default_preset.txt").read_text(encoding="utf-8").strip()


def write(folder: str | Path, preset: str, *, force: bool = False) -> list[Path]:
    """Copy a preset into a folder and add a README with the next commands; returns the files.

    Raises ``ParamError``: an unknown preset, with the nearest one; a bad name; a folder of other files, or with files
    changed since (both only without ``force``).
    """
    if preset not in presets():
        hint = suggestion(preset, presets())
        raise ParamError(f"Preset must be one of {', '.join(presets())}, not {preset!r}{hint}")
    name = Path(folder).absolute().name
    if not is_name(name):
        raise ParamError(f"Folder name must be {NAME_RULE}, not {name!r}")
    texts = {file: (EXAMPLES / preset / file).read_text(encoding="utf-8") for file in FILES}
    texts["README.md"] = _README.format(name=name, preset=preset)
    with output_folder(folder, "init", force=force) as draft:
        for file, text in texts.items():
            (draft / file).write_text(text, encoding="utf-8")
    return [Path(folder) / file for file in texts]
