"""Modules in cells, kept by content: what was measured once costs nothing, so a run that was stopped goes on."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import cache as remember
from pathlib import Path
from typing import Any

from costmodel.groundtruth.recipe import LEAST
from costmodel.groundtruth.synthesis import Synthesis, synthesize
from costmodel.technology.technology import Technology
from costmodel.technology.technology import load as load_technology
from generator.block import Block
from generator.emission import emit
from toolchain import cache, yosys

ROOT = Path(__file__).resolve().parents[2]
#: Source files on which area and delay depend, beside Verilog, cells and Yosys.
MAPPING = (
    "costmodel/groundtruth/synthesis.py",
    "costmodel/groundtruth/mapping.py",
    "costmodel/technology/selection.py",
    "costmodel/technology/compact.py",
    "costmodel/groundtruth/sta.py",
)
#: Source files on which energy depends in addition.
SWITCHING = ("costmodel/groundtruth/activity.py", "benchmarks/optimum/switching.py")


@remember
def digest(sources: tuple[str, ...]) -> str:
    """A hash of the content of source files."""
    found = hashlib.sha256()
    for place in sources:
        found.update((ROOT / place).read_bytes())
    return found.hexdigest()


@remember
def technology(name: str) -> Technology:
    """One technology, read once."""
    return load_technology(name)


class Progress:
    """One line per figure that had to be measured, with an estimate of what is left."""

    def __init__(self, total: int = 0) -> None:
        self.begin, self.total, self.done, self.fresh = time.monotonic(), total, 0, 0

    def step(self, label: str, fresh: bool) -> None:
        """Count one more figure."""
        self.done += 1
        self.fresh += fresh
        if fresh:
            spent = time.monotonic() - self.begin
            left = spent / self.done * max(self.total - self.done, 0)
            print(
                f"[{self.done}/{max(self.total, self.done)}] {label}: {spent / 60:.1f} min, "
                f"about {left / 60:.0f} min left",
                file=sys.stderr, flush=True,
            )  # fmt: skip


progress = Progress()


def kept(label: str, name: str, parts: Iterable[str | bytes], find: Callable[[], Any]) -> Any:
    """``find()`` in technology ``name``, from the cache where it was found before under the same recipe."""
    fresh: list[bool] = []

    def build(folder: Path) -> None:
        fresh.append(True)
        (folder / "found.json").write_text(json.dumps(find()))

    recipe = (digest(MAPPING), yosys.version(), technology(name).fingerprint)
    folder = cache.entry("optimum", [*recipe, *parts], build)
    progress.step(label, bool(fresh))
    return json.loads((folder / "found.json").read_text())


def synthesized(texts: dict[str, str], top: str, name: str, flatten: bool = False) -> Synthesis:
    """Verilog texts by module, in cells."""
    with tempfile.TemporaryDirectory(prefix="ternforge-optimum-") as scratch:
        files = []
        for module, text in texts.items():
            files.append(Path(scratch) / f"{module}.v")
            files[-1].write_text(text)
        return synthesize(files, technology(name), top=top, flatten=flatten, recipe=LEAST)


def figures(found: Synthesis) -> dict[str, float]:
    """Results kept of a synthesis."""
    return {"um2": round(found.area_um2, 4), "ps": round(found.critical_path_ps, 1)}


_blocks: dict[tuple[str, str], dict[str, float]] = {}


def block(module: Block, name: str) -> dict[str, float]:
    """``um2`` and ``ps`` of a block with everything in it; a name of a module stands for its content."""
    key = (module.module_name, name)
    if key not in _blocks:
        emitted = emit(module)
        parts = ["block", emitted.top, *cache.flatten(emitted.modules)]
        _blocks[key] = kept(
            f"{name} {module.module_name}", name, parts,
            lambda: figures(synthesized(emitted.modules, emitted.top, name)),
        )  # fmt: skip
    return _blocks[key]


def flattened(module: Block, name: str) -> dict[str, float]:
    """``um2`` and ``ps`` of a block made one module before it is mapped, so that gates cross borders."""
    emitted = emit(module)
    parts = ["flat", emitted.top, *cache.flatten(emitted.modules)]
    found: dict[str, float] = kept(
        f"{name} {module.module_name} as one module", name, parts,
        lambda: figures(synthesized(emitted.modules, emitted.top, name, flatten=True)),
    )  # fmt: skip
    return found


def text(verilog: str, name: str) -> dict[str, float]:
    """``um2`` and ``ps`` of the Verilog module ``core``; areas of its submodules, per instance, as ``module``."""

    def find() -> dict[str, float]:
        found = synthesized({"core": verilog}, "core", name)
        return figures(found) | {key: module.total_area_um2 for key, module in found.modules.items()}

    found: dict[str, float] = kept(f"{name} Verilog", name, ["text", verilog], find)
    return found
