"""An exported folder as the bench reads it: its manifest, which says which design it is, and its Verilog."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blueprint import axi, registry
from blueprint.errors import ParamError
from blueprint.files import schemas
from blueprint.files.tree import show
from blueprint.shell import COUNTERS
from blueprint.spec import Spec
from toolchain import verilator

_WORDS = {str: "a text", dict: "a mapping", list: "a list"}


@dataclass(frozen=True)
class Exported:
    """A folder and the design it holds; ``ports`` maps every port of the top module to its width, ``shell`` is the
    module of the registers."""

    folder: Path
    spec: Spec
    top: str
    files: tuple[Path, ...]
    shell: str = ""

    @property
    def counters(self) -> list[str]:
        """The counters whose registers stand in the shell under their own names, so that they can be preset."""
        shells = [file for file in self.files if file.stem == self.shell]
        text = "".join(file.read_text(encoding="utf-8", errors="replace") for file in shells)
        return [name for name in COUNTERS if f"  reg [31:0] {name}_held;" in text]

    @property
    def streams(self) -> tuple[axi.StreamPort, ...]:
        """The design's streams, in its order."""
        return tuple(axi.StreamPort(s.name, s.direction, s.prefix, s.width // 8) for s in self.spec.streams())

    @property
    def ports(self) -> dict[str, int]:
        return axi.ports(self.streams)


def read(folder: Path, spec: Spec | None = None) -> Exported:
    """The design in a folder that ``ternforge generate`` wrote; ``spec`` is the design it must be, if any.

    Raises ``ParamError``: no manifest, one that is damaged or not ours, files that are missing.
    """
    file = folder / "manifest.json"
    if not file.is_file():
        raise ParamError(
            f"Folder must hold the manifest.json that ternforge generate writes, and does not: {folder}"
        )
    manifest = _manifest(file)
    found = _spec(file, manifest)
    if spec is not None and found.design_hash != spec.design_hash:
        raise ParamError(f"{file}: design must be {spec.name}, the one asked for, not {found.name}")
    files = tuple(folder / name for name in manifest["files"])
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise ParamError(f"{file}: every file that it lists must be there, and {missing[0]} is not")
    modules = manifest.get("modules", {})
    shell = next((name for name, facts in modules.items() if facts.get("place") == "shell"), "")
    return Exported(folder, found, manifest["top"], files, shell)


def _manifest(file: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as problem:
        raise ParamError(f"{file}: manifest must be JSON, and is not: {problem}") from None
    if not isinstance(manifest, dict):
        raise ParamError(f"{file}: manifest must be an object of JSON, not {show(manifest)}")
    schema = manifest.get("schema", "")
    if schema != schemas.MANIFEST:
        raise ParamError(f"{file}: schema must be {schemas.MANIFEST}, not {show(schema)}")
    kinds = {
        "family": str,
        "parameters": dict,
        "design_hash": str,
        "top": str,
        "files": list,
        "modules": dict,
    }
    for key, kind in kinds.items():
        if key not in manifest:
            raise ParamError(f"{file}: {key} must be given, and is missing")
        if not isinstance(manifest[key], kind):
            raise ParamError(f"{file}: {key} must be {_WORDS[kind]}, not {show(manifest[key])}")
    if not manifest["files"] or not all(isinstance(name, str) for name in manifest["files"]):
        raise ParamError(f"{file}: files must be a list of file names, not {manifest['files']!r}"[:300])
    return dict(manifest)


def _spec(file: Path, manifest: Mapping[str, Any]) -> Spec:
    """The design that a manifest names, if this version writes the same one."""
    try:
        spec = registry.get(manifest["family"]).from_mapping(manifest["parameters"])
    except (ValueError, TypeError) as problem:
        raise ParamError(f"{file}: {problem}") from None
    if spec.design_hash != manifest["design_hash"]:
        what = f"design_hash must be {spec.design_hash}, that of its parameters"
        raise ParamError(f"{file}: {what}, not {manifest['design_hash']!r}"[:300])
    return spec


#: Warnings of Verilator that mean that a signal has no value of its own.
_UNKNOWN = re.compile(r"%Warning-(UNDRIVEN|MULTIDRIVEN|PINMISSING|IMPLICIT|LATCH|UNOPTFLAT): (.*)")


def undriven(design: Exported) -> tuple[str, ...]:
    """Find undriven and multiply driven signals, latches and loops.

    Raises :class:`toolchain.process.ToolError` with the first error of Verilog that is not legal.
    """
    found = (_UNKNOWN.match(line) for line in verilator.lint(design.files, design.top))
    return tuple(match[2].replace(f"{design.folder}/", "") for match in found if match)
