"""The public functions: each verb of the command line is one of these, and a script calls them the same way.

A design is given as a file, a :class:`blueprint.design.Design` or a spec; a workload as a file, a
:class:`blueprint.workload.Workload` or a ``Gemm``. Results are dictionaries with the keys of the ``--json`` answers.
Bad input raises ``SpecError`` (a file), ``ParamError`` or ``TypeError`` (a value) before anything is written.
The rooms are imported inside the functions, so that no verb waits for another's libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blueprint.design import Design
    from blueprint.model import Model
    from blueprint.spec import Spec
    from blueprint.workload import Gemm, Workload

    DesignLike = Design | Spec | str | Path
    WorkloadLike = Workload | Gemm | str | Path

Answer = dict[str, Any]
Note = Callable[[str], None]


def _silent(_: str) -> None:
    """The default for ``note``: progress is not shown."""


def read_design(design: DesignLike, overrides: Mapping[str, str] | None = None) -> Design:
    """A design from whatever stands for one."""
    from blueprint import design as designs
    from blueprint.spec import Spec

    if isinstance(design, designs.Design):
        return design
    if isinstance(design, Spec):
        return designs.Design(design, design.name)
    return designs.read_design(design, overrides)


def read_workload(workload: WorkloadLike) -> Workload:
    """A workload from whatever stands for one: a file, ``"1x2560x6912"``, a ``Gemm``."""
    from blueprint import workload as workloads

    if isinstance(workload, workloads.Workload):
        return workload
    if isinstance(workload, workloads.Gemm):
        return workloads.of_gemm(workload)
    if isinstance(workload, str) and "x" in workload and not Path(workload).suffix:
        return workloads.of_gemm(workloads.parse_gemm(workload))
    return workloads.read_workload_file(workload)


def doctor() -> Answer:
    """Whether every tool really works; ``ok`` is false where one does not."""
    from toolchain import doctor as examiner

    checks = examiner.examine()
    return {"ok": all(check.ok for check in checks), "checks": checks}


def init(folder: str | Path, preset: str = "ternary_lut") -> Answer:
    """Write a starting folder: a design, a space, a workload, a README with the next commands."""
    from ternforge import starter

    return {"folder": Path(folder), "preset": preset, "files": starter.write(folder, preset)}


def check(path: str | Path, overrides: Mapping[str, str] | None = None) -> Answer:
    """Validate any file of ours by its ``schema``; ``resolved`` is its content with every default filled in."""
    from ternforge import checking

    return checking.check(path, overrides or {})


def generate(design: DesignLike, out: str | Path, overrides: Mapping[str, str] | None = None) -> Answer:
    """Write a design as Verilog with everything around it; returns the manifest with ``folder``."""
    from ternforge import folder

    chosen = read_design(design, overrides)
    path = folder.check_out(out, "manifest.json")
    import generator

    return {"folder": path, **generator.generate(chosen.spec, path)}


def models() -> Answer:
    """The language models that come with the package."""
    from blueprint import model

    return {"models": [model_summary(model.load(name)) for name in model.names()]}


def model(name: str | Path, phase: str = "decode", tokens: int = 1) -> Answer:
    """One model's shapes, and the products of one forward pass."""
    from blueprint import model as shapes

    chosen = shapes.load(name)
    gemms = shapes.layers(chosen, phase, tokens)
    return {
        **model_summary(chosen),
        "phase": phase,
        "tokens": tokens,
        "gemms": gemms,
        "macs": sum(g.macs for g in gemms),
    }


def model_summary(chosen: Model) -> Answer:
    """A model's shapes with the numbers that follow from them."""
    import dataclasses

    derived = {
        "ternary_weights": chosen.ternary_weights,
        "lm_head_parameters": chosen.lm_head_parameters,
        "kv_bytes_per_token": chosen.kv_bytes_per_token(),
    }
    return {**dataclasses.asdict(chosen), **derived}


def model_import(folder: str | Path, out: str | Path, name: str | None = None) -> Answer:
    """Write the shapes in a Hugging Face folder's ``config.json`` as a model file."""
    from blueprint import huggingface
    from blueprint import model as shapes
    from ternforge.folder import check_file

    found = huggingface.read_config(folder, name)
    path = check_file(out, (".yaml", ".yml"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(shapes.model_text(found.model), encoding="utf-8")
    return {**model_summary(found.model), "file": path, "ternary": found.ternary, "ignored": found.ignored}
