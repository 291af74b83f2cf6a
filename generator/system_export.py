"""Exports a whole system as a folder: Verilog, manifest, C header, file lists, constraints, scripts, README."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blueprint.files import schemas
from blueprint.record import Record
from blueprint.systems import control, instructions, inventory
from blueprint.systems.control import Hardware
from blueprint.systems.instructions import KINDS, form
from blueprint.systems.staging import Staged
from blueprint.unit import flip_flops
from blueprint.version import VERSION
from generator.emission import Emitted, Told, emit, untold
from generator.export import CLOCK_MHZ, around, register_entry, write_folder, written
from generator.manifest import boundary
from generator.systems.top import SystemTop


def write_system(
    hardware: Hardware, out: Path, *, clock_mhz: float | None = None, told: Told = untold
) -> dict[str, Any]:
    """Write the hardware of a system to the folder ``out`` and return its manifest; ``told`` is called with progress.

    The same hardware gives the same bytes. Raises ``OSError`` where the folder cannot be written and ``ToolError``
    where Yosys fails; the folder gets all files or none.
    """
    top = SystemTop(hardware)
    emitted = emit(top, told)
    manifest = describe(hardware, top, emitted)
    title = f"System {manifest['name']}"
    write_folder(out, emitted, around(manifest, title, clock_mhz or CLOCK_MHZ, {"README.md": "system.md.j2"}))
    return manifest


def describe(hardware: Hardware, top: SystemTop, emitted: Emitted) -> dict[str, Any]:
    """The manifest: what software, a bench or a flow needs to know, without reading Verilog."""
    return {
        "schema": schemas.SYSTEM_MANIFEST,
        "top": emitted.top,
        "family": "system",
        "name": hardware.name,
        "design_hash": hardware.design_hash,
        "tool_version": VERSION,
        **written(emitted),
        "ports": {
            name: {"direction": flow.name.lower(), "width": len(wire)}
            for name, (flow, wire) in top.pins.items()
        },
        "masters": {
            "m_axi_fetch": hardware.fetch.parameters,
            "m_axi_load": hardware.load.parameters,
            "m_axi_store": hardware.store.parameters,
        },
        "registers": {r.name: register_entry(r, {}) for r in hardware.registers},
        "instructions": _instructions(hardware),
        "units": {name: _unit(hardware, name) for name in hardware.units},
        "staging": {
            "load": [_staged(one) for one in hardware.inputs],
            "store": [_staged(one) for one in hardware.outputs],
            "token": len(hardware.inputs),
        },
        "modules": {n: {"count": c, "place": emitted.places[n]} for n, c in emitted.instances.items()},
        "flip_flops": int(flip_flops(inventory.units(hardware))),
    }


def _instructions(hardware: Hardware) -> dict[str, Any]:
    """The instruction set: fields of a word, kinds, numbers of units and of registers."""
    return {
        "width": instructions.WIDTH,
        "fields": _fields(form(hardware.queues)),
        "kinds": {
            kind.name: {"code": kind.code, "fields": list(kind.fields), "meaning": kind.meaning}
            for kind in KINDS.values()
        },
        "units": {unit: number for number, unit in enumerate(hardware.queues)},
        "transfer_registers": {name: number for number, name in enumerate(instructions.MOVED)},
        "staging_registers": dict(instructions.STAGED),
        "indices": list(instructions.INDICES[: instructions.INDICES_PLAIN + (hardware.window > 0)]),
        "last_bit": instructions.LAST_BIT,
        "narrow_bit": instructions.NARROW_BIT,
        "tokens_most": instructions.TOKENS_MOST,
        "queue_depth": control.QUEUE_DEPTH,
    }


def _fields(record: Record) -> list[dict[str, Any]]:
    return [
        {"name": field.name, "offset": field.offset, "width": field.bits, "meaning": field.meaning}
        for field in record
    ]


def _unit(hardware: Hardware, name: str) -> dict[str, Any]:
    spec = hardware.units[name]
    return {
        "family": spec.family,
        "module": spec.name,
        "parameters": spec.parameters,
        "design_hash": spec.design_hash,
        "registers": {r.name: register_entry(r, spec.register_file().legal) for r in spec.registers()},
        **boundary(spec),
    }


def _staged(one: Staged) -> dict[str, Any]:
    """A staged field as it stands in memory."""
    return {
        "name": one.name,
        "place": one.number,
        "container_bytes": one.container,
        "narrow_container_bytes": one.narrow,
        "elements": one.elements,
        "beat_bytes": one.beat_bytes,
        "depth": one.depth,
        "held": one.held,
        "once": one.once,
        "carrier": one.carrier,
        "repeats": one.repeats,
        "packed": one.packed,
        **({"narrow_container_bits": one.packs} if one.packs else {}),
        **({"narrow_container_format": one.rounds} if one.rounds else {}),
        **({"container_format": one.widens} if one.widens and one.direction == "out" else {}),
    }
