"""``ternforge init``: a starting folder, from the examples."""

from __future__ import annotations

from pathlib import Path

from blueprint.errors import ParamError
from blueprint.files.names import NAME_RULE, is_name
from blueprint.files.nearest import suggestion
from ternforge.folder import output_folder
from ternforge.session import Answer

#: In a source tree a link to the top-level folder.
EXAMPLES = Path(__file__).parents[1] / "examples"
#: What a preset consists of: a design with work and a space around it, or a whole decoder, with a space or without.
DESIGN, SYSTEM = ("design.yaml", "space.yaml", "workload.yaml"), ("system.yaml",)
SYSTEM_SPACE = ("system.yaml", "space.yaml")

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

_SYSTEM_README = """# {name}

Made by `ternforge init {name} --preset {preset}`.

| file | what it is |
| --- | --- |
| `system.yaml` | a whole decoder: units, buffers, external memory, the largest model |

Next:

    ternforge check system.yaml
    ternforge estimate system.yaml --context 128 --prompt 64
    ternforge plot system.yaml
"""
_LINE = "| `system.yaml` | a whole decoder: units, buffers, external memory, the largest model |\n"
_SYSTEM_SPACE_README = (
    _SYSTEM_README.replace(_LINE, f"{_LINE}| `space.yaml` | many decoders to choose from |\n")
    + """    ternforge explore space.yaml --out study --method random --budget 16
    ternforge apply study knee -o better.yaml
"""
)
#: The text of a preset's README by what it consists of, the most files first.
_READMES = {DESIGN: _README, SYSTEM_SPACE: _SYSTEM_SPACE_README, SYSTEM: _SYSTEM_README}


def presets() -> tuple[str, ...]:
    """The example folders that hold a design or a system."""
    found = {path.parent.name for files in _READMES for path in EXAMPLES.glob(f"*/{files[0]}")}
    return tuple(sorted(found))


def files_of(preset: str) -> tuple[str, ...]:
    """The files of a preset, first the one to check."""
    folder = EXAMPLES / preset
    return next(files for files in _READMES if all((folder / file).is_file() for file in files))


def default_preset() -> str:
    """The preset of a command that names none."""
    return (EXAMPLES / "default_preset.txt").read_text(encoding="utf-8").strip()


def init(folder: str | Path, preset: str | None = None, *, force: bool = False) -> Answer:
    """Write a starting folder: a design, a space and a workload, or a system; a README with the next commands.

    Raises ``ParamError``: an unknown preset, with the nearest one; a bad name; a folder of other files, or with files
    changed since (both only without ``force``).
    """
    preset = preset or default_preset()
    if preset not in presets():
        hint = suggestion(preset, presets())
        raise ParamError(f"Preset must be one of {', '.join(presets())}, not {preset!r}{hint}")
    name = Path(folder).absolute().name
    if not is_name(name):
        raise ParamError(f"Folder name must be {NAME_RULE}, not {name!r}")
    texts = {file: (EXAMPLES / preset / file).read_text(encoding="utf-8") for file in files_of(preset)}
    texts["README.md"] = _READMES[files_of(preset)].format(name=name, preset=preset)
    with output_folder(folder, "init", force=force) as draft:
        for file, text in texts.items():
            (draft / file).write_text(text, encoding="utf-8")
    return {"folder": Path(folder), "preset": preset, "files": [Path(folder) / file for file in texts]}
