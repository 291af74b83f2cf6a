"""Language models and technologies: what comes with the package, and what is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ternforge.arguments import checked
from ternforge.inputs import Answer, Note, silent

if TYPE_CHECKING:
    from blueprint.workloads.model import Model
    from costmodel.technology.technology import Technology


#: How our own files may end.
YAML = (".yaml", ".yml")


@checked
def models() -> Answer:
    """The language models that come with the package."""
    from blueprint.workloads import model

    return {"models": [model_summary(model.load(name)) for name in model.names()]}


@checked
def model(name: str | Path, phase: str = "decode", tokens: int = 1) -> Answer:
    """One model's shapes, and the products of one forward pass."""
    from blueprint.workloads import model as shapes

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


@checked
def model_import(
    folder: str | Path,
    out: str | Path,
    name: str | None = None,
    *,
    like: str | None = None,
    force: bool = False,
) -> Answer:
    """Write the shapes in a Hugging Face folder's ``config.json`` as a model file.

    ``like`` is the type of model to read it as, where the config names one that is not known.
    """
    from blueprint.workloads import huggingface
    from blueprint.workloads import model as shapes
    from ternforge.folder import output_file

    found = huggingface.read_config(folder, name, like)
    with output_file(out, YAML, "model import", force=force) as draft:
        draft.write_text(shapes.model_text(found.model), encoding="utf-8")
    return {
        **model_summary(found.model),
        "file": Path(out),
        "ternary": found.ternary,
        "ignored": found.ignored,
    }


@checked
def technologies() -> Answer:
    """The technologies that come with the package."""
    from costmodel.technology import technology

    return {"technologies": [technology_summary(technology.load(name)) for name in technology.names()]}


@checked
def technology(name: str | Path) -> Answer:
    """One technology's facts in short."""
    from costmodel.technology import technology as technologies

    return technology_summary(technologies.load(name))


def technology_summary(facts: Technology) -> Answer:
    """Corner, sources, roles and calibration of a technology."""
    return {
        "name": facts.name,
        "corner": facts.corner,
        "cells": facts.cell_text.count("\ncell ") + facts.cell_text.startswith("cell "),
        "source": facts.cell_source,
        "files": [{"file": file, "sha256": digest} for file, digest in facts.sources],
        "notes": facts.notes,
        "calibrated": bool(facts.model),
    }


@checked
def technology_import(
    liberty: Sequence[str | Path], name: str, out: str | Path, *, force: bool = False
) -> Answer:
    """Make a technology file of Liberty files; `ternforge tech calibrate` fits its cost model afterwards."""
    from blueprint.errors import ParamError
    from blueprint.files.names import NAME_RULE, is_name
    from costmodel.technology import importing
    from costmodel.technology import technology as technologies
    from ternforge.folder import output_file

    if not is_name(name):
        raise ParamError(f"Technology name must be {NAME_RULE}, not {name!r}")
    with output_file(out, YAML, "tech", force=force) as draft:
        importing.import_library(liberty, name, draft)
    return {"file": Path(out), **technology_summary(technologies.load(Path(out)))}


@checked
def technology_calibrate(
    name: str | Path, out: str | Path | None = None, note: Note = silent, *, force: bool = False
) -> Answer:
    """Fit the cost model of a technology to synthesis and write it, to its own file where ``out`` is not given.

    Takes minutes; when interrupted, the same call goes on. ``errors`` are those of the fit, by quantity.
    """
    from costmodel.calibration import calibration
    from costmodel.technology import technology as technologies
    from generator.export import generate
    from ternforge.folder import check_file, output_file

    facts = technologies.load(name)
    path = check_file(out if out is not None else facts.path, YAML, force=force)
    fitted = calibration.calibrate(facts, generate, note=note)
    with output_file(path, YAML, "tech", force=force) as draft:
        calibration.write(fitted, draft)
    errors = {key: group["error"] for key, group in fitted.model.items() if "error" in group}
    return {"file": path, "name": facts.name, "errors": errors}


@checked
def technology_validate(name: str | Path, designs: int, seed: int, note: Note = silent) -> Answer:
    """Predictions against synthesis on random designs that calibration did not see.

    ``ok`` is false where area misses its bounds (5 % mean, 15 % worst) or a flip-flop is missed.
    """
    from costmodel.calibration import validation
    from costmodel.technology import technology as technologies
    from generator.export import generate

    found = validation.validate(technologies.load(name), generate, designs=designs, seed=seed, note=note)
    rows = [
        {
            "design": row.spec.name,
            "predicted_um2": row.predicted_um2,
            "measured_um2": row.measured_um2,
            "error": row.error,
            "flip_flops": row.measured_flip_flops,
            "predicted_flip_flops": row.predicted_flip_flops,
            "critical_path_ps": row.measured_ps,
            "delay_error": row.delay_error,
            "energy_pj": row.measured_pj,
            "energy_error": row.energy_error,
        }
        for row in found.rows
    ]
    answer = {"ok": found.ok, "mean_error": found.mean_error, "worst_error": found.worst_error}
    return {"technology": found.technology, "seed": seed, "designs": rows, **answer}
