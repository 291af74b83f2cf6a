"""Exports a design as a folder: Verilog, manifest, C header, file lists, constraints, scripts, bench."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from blueprint import axi
from blueprint.errors import ParamError
from blueprint.files import schemas
from blueprint.port import Register
from blueprint.shell import ADDRESS_BITS
from blueprint.spec import Spec
from blueprint.unit import flip_flops
from blueprint.version import VERSION
from generator.block import Block
from generator.emission import TEMPLATES, Emitted, Told, emit, untold
from generator.manifest import boundary
from toolchain import files

CLOCK_MHZ = 500.0


def write_hardware(
    spec: Spec, out: Path, *, clock_mhz: float | None = None, told: Told = untold
) -> dict[str, Any]:
    """Write the hardware of ``spec`` to the folder ``out`` and return its manifest; ``told`` is called with progress.

    The same spec gives the same bytes. Raises ``OSError`` where the folder cannot be written and ``ToolError`` where
    Yosys fails; the folder gets all files or none.
    """
    emitted = emit(hardware(spec), told)
    manifest = describe(spec, emitted)
    more = {f"{manifest['top']}.core": "fusesoc.core.j2", "bench/test_top.py": "bench.py.j2"}
    write_folder(out, emitted, around(manifest, spec.title, clock_mhz or CLOCK_MHZ, more))
    return manifest


def hardware(spec: Spec) -> Block:
    """The top of a design: ``Top`` of the family's package. Raises ``ParamError`` for a family without hardware."""
    package = f"generator.families.{spec.family}"
    top = getattr(importlib.import_module(package), "Top", None) if find_spec(package) else None
    if top is None:
        what = f"must have a class Top in generator/families/{spec.family}"
        raise ParamError(f"Family {spec.family!r} {what}; there is none")
    block: Block = top(spec)
    return block


def describe(spec: Spec, emitted: Emitted) -> dict[str, Any]:
    """The manifest: everything a bench or a flow needs to know, without reading Verilog."""
    legal = spec.register_file().legal
    return {
        "schema": schemas.MANIFEST,
        "top": emitted.top,
        "family": spec.family,
        "parameters": spec.parameters,
        "design_hash": spec.design_hash,
        "tool_version": VERSION,
        **written(emitted),
        **boundary(spec),
        "registers": {register.name: register_entry(register, legal) for register in spec.registers()},
        "size_rules": [str(rule) for rule in spec.size_rules],
        "constants": spec.constants(),
        "modules": {n: {"count": c, "place": emitted.places[n]} for n, c in emitted.instances.items()},
        "flip_flops": int(flip_flops(spec.units())),
    }


def written(emitted: Emitted) -> dict[str, Any]:
    """Entries of every manifest for the files and for the ports that all tops have."""
    return {
        "files": [f"rtl/{name}.v" for name in emitted.modules],
        "blackboxes": list(emitted.blackboxes),
        "memories": {n: {"count": emitted.instances[n], **m} for n, m in emitted.memories.items()},
        "stubs": [f"stubs/{name}.v" for name in emitted.blackboxes],
        "headers": [f"include/{emitted.top}_regs.h"],
        "clock": axi.CLOCK,
        "reset": axi.RESET,
        "axil_address_width": ADDRESS_BITS,
    }


def register_entry(register: Register, legal: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """A register; of a size also the smallest and the largest value with which a run starts."""
    return {
        "address": register.address,
        "access": register.access,
        "reset": register.reset,
        "description": register.description,
        "fields": {name: list(place) for name, place in register.fields.items()},
        **({"legal": list(legal[register.name])} if register.name in legal else {}),
    }


def around(manifest: dict[str, Any], title: str, clock_mhz: float, more: Mapping[str, str]) -> dict[str, str]:
    """Everything but the RTL, by path: what every top has, and ``more`` by path and template."""
    models = [f"rtl/{name}.v" for name in manifest["blackboxes"]]
    fill = {"top": manifest["top"], "title": title, "models": models, "stubs": manifest["stubs"]}
    fill |= {"logic": [file for file in manifest["files"] if file not in models]}
    fill |= {"unit": "ns", "period": f"{1000 / clock_mhz:.4f}", "manifest": manifest}
    named = {
        "constraints.sdc": "constraints.sdc.j2",
        "synth.ys": "synth.ys.j2",
        "lint.vlt": "lint.vlt.j2",
        "files.f": "files.f.j2",
        "synth.f": "synth.f.j2",
        manifest["headers"][0]: "registers.h.j2",
        **more,
    }
    texts = {path: TEMPLATES.get_template(name).render(fill) for path, name in named.items()}
    texts["manifest.json"] = json.dumps(manifest, indent=1) + "\n"
    return texts


def write_folder(out: Path, emitted: Emitted, texts: Mapping[str, str]) -> None:
    """Write Verilog, stubs of memories and other texts by path: all of them or none. Raises ``OSError``."""
    rtl = {f"rtl/{name}.v": text for name, text in emitted.modules.items()}
    stubs = {f"stubs/{name}.v": text for name, text in emitted.stubs.items()}
    with files.folder(out) as draft:
        for path, text in {**rtl, **stubs, **texts}.items():
            file = draft / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
