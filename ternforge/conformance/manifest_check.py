"""Checks of a manifest: kinds of keys, bits that do not overlap, names that are known."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import prod
from typing import Any

TOP: dict[str, type] = {
    "schema": str, "top": str, "family": str, "parameters": dict, "design_hash": str, "tool_version": str,
    "files": list, "blackboxes": list, "clock": str, "reset": str, "axil_address_width": int, "operation": dict,
    "expressions": str, "streams": dict, "formats": dict, "registers": dict, "modules": dict, "flip_flops": int,
    "stubs": list, "memories": dict, "headers": list, "size_rules": list, "constants": dict,
}  # fmt: skip
OPERATION: dict[str, type] = {
    "computes": str, "inputs": dict, "outputs": dict, "given": dict, "where": dict, "registers": dict,
}  # fmt: skip
STREAM: dict[str, type] = {
    "direction": str, "prefix": str, "width": int, "fields": list, "beats": list, "tlast": str,
}  # fmt: skip
FIELD: dict[str, type] = {
    "name": str, "width": int, "shape": list, "signed": bool, "format": str, "offset": int, "axes": list,
    "encoding": str, "meaning": str,
}  # fmt: skip
HOLDS: dict[str, type] = {"operand": str, "index": list, "beyond": int}
FORMAT: dict[str, type] = {
    "width": int, "exponent_bits": int, "fraction_bits": int, "bias": int, "infinities": bool, "canonical_nan": int,
}  # fmt: skip
REGISTER: dict[str, type] = {"address": int, "access": str, "reset": int, "description": str, "fields": dict}

ENCODINGS = {
    "twos_complement", "unsigned", "float", "sign_index", "full_index", "five_trits", "n_of_m", "flexible",
    "leading_one",
}  # fmt: skip
_FUNCTIONS = {"min", "max", "ceil"}
_NODES = (
    ast.Expression, ast.Name, ast.Load, ast.Constant, ast.BinOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.Call,
    ast.Subscript, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.USub, ast.Eq, ast.Lt, ast.LtE,
)  # fmt: skip


def faults(manifest: Mapping[str, Any]) -> list[str]:
    """Everything wrong with a manifest, a sentence each."""
    wrong = list(_kinds("manifest", manifest, TOP)) + list(
        _kinds("operation", manifest["operation"], OPERATION)
    )
    if wrong:
        return wrong
    wrong += _operation(manifest["operation"])
    for name, stream in manifest["streams"].items():
        wrong += _kinds(f"stream {name}", stream, STREAM) or _stream(name, stream, manifest)
    wrong += _whole(manifest) + _registers(manifest)
    for name, number in manifest["formats"].items():
        wrong += _kinds(f"format {name}", number, FORMAT) or _format(name, number)
    return wrong


def _kinds(what: str, found: Mapping[str, Any], wanted: Mapping[str, type]) -> list[str]:
    """Missing keys and wrong kinds; a truth value is no number."""
    wrong = []
    for key, kind in wanted.items():
        if key not in found:
            wrong.append(f"{what}: {key} is missing")
        elif not isinstance(found[key], kind) or (kind is int and isinstance(found[key], bool)):
            wrong.append(f"{what}: {key} must be {kind.__name__}, not {found[key]!r}")
    return wrong


def _sizes(operation: Mapping[str, Any]) -> set[str]:
    shapes = {name for operand in operation["inputs"].values() for name in operand["shape"]}
    return shapes | set(operation["given"]) | set(operation["where"])


def _operation(operation: Mapping[str, Any]) -> list[str]:
    known = _sizes(operation) - set(operation["where"])
    wrong = []
    for name, text in operation["where"].items():
        wrong += _expression(f"operation: where {name}", text, known)
        known.add(name)
    for name, text in operation["registers"].items():
        wrong += _expression(f"operation: register {name}", text, known)
    for name, operand in operation["outputs"].items():
        for text in operand["shape"]:
            wrong += _expression(f"operation: output {name}", text, known)
    return wrong


def _expression(what: str, text: str, known: set[str]) -> list[str]:
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        return [f"{what}: {text!r} is no expression"]
    wrong = []
    for node in ast.walk(tree):
        if not isinstance(node, _NODES):
            wrong.append(f"{what}: {text!r} must not hold {type(node).__name__}")
        elif isinstance(node, ast.Name) and node.id not in known | _FUNCTIONS:
            wrong.append(f"{what}: {text!r} must know {node.id!r}")
        elif isinstance(node, ast.Constant) and type(node.value) is not int:
            wrong.append(f"{what}: {text!r} must hold integers, not {node.value!r}")
    return wrong


def _stream(name: str, stream: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    what, known = f"stream {name}", _sizes(manifest["operation"]) | set(manifest["operation"]["outputs"])
    prefix = {"in": "s_axis_", "out": "m_axis_"}.get(stream["direction"])
    if prefix is None:
        return [f"{what}: direction must be in or out, not {stream['direction']!r}"]
    wrong = [] if stream["prefix"] == prefix + name else [f"{what}: prefix must be {prefix + name}"]
    if stream["width"] % 8 or not stream["fields"] or not stream["tlast"]:
        wrong.append(f"{what}: a beat must be whole bytes with a field and a meaning of tlast")
    for loop in stream["beats"]:
        wrong += _expression(f"{what}: loop {loop['loop']}", loop["count"], known)
        wrong += [f"{what}: loop {loop['loop']} is there twice"] if loop["loop"] in known else []
        known.add(loop["loop"])
        for inner, text in loop.get("where", {}).items():
            wrong += _expression(f"{what}: where {inner}", text, known)
            known.add(inner)
    for field in stream["fields"]:
        lacks = _kinds(f"{what}: field {field.get('name')}", field, FIELD)
        wrong += lacks or _field(f"{what}: field {field['name']}", field, manifest, known)
    return wrong + _overlaps(what, stream["fields"], stream["width"])


def _bits(field: Mapping[str, Any]) -> range:
    return range(field["offset"], field["offset"] + field["width"] * prod(field["shape"]))


def _overlaps(what: str, fields: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """Fields outside of what they are fields of, or on one another; parts under opposite conditions may be."""
    wrong = [
        f"{what}: {field['name']} must lie in bits 0 to {width - 1}"
        for field in fields
        if not 0 <= _bits(field).start < _bits(field).stop <= width
    ]
    for one, other in combinations(fields, 2):
        apart = "when" in one and "when" in other and one["when"] != other["when"]
        if set(_bits(one)) & set(_bits(other)) and not apart:
            wrong.append(f"{what}: {one['name']} and {other['name']} share bits")
    return wrong


def _field(what: str, field: Mapping[str, Any], manifest: Mapping[str, Any], known: set[str]) -> list[str]:
    wrong = []
    if len(field["axes"]) != len(field["shape"]) or set(field["axes"]) & known:
        wrong.append(f"{what}: axes must be a new name for each of {field['shape']}, not {field['axes']}")
    if field["encoding"] not in ENCODINGS or not field["meaning"]:
        wrong.append(f"{what}: encoding must be a known one with a meaning, not {field['encoding']!r}")
    if field["format"] != "int":
        described = manifest["formats"].get(field["format"], {})
        if described.get("width") != field["width"] and "parts" not in field:
            wrong.append(f"{what}: format {field['format']} must be described and of {field['width']} bits")
    for part in field.get("parts", []):
        wrong += _kinds(f"{what}: part {part.get('name')}", part, FIELD)
    wrong += _overlaps(what, field.get("parts", []), field["width"])
    if "holds" not in field:
        return [*wrong, f"{what}: holds is missing"]
    lacks = _kinds(what, field["holds"], HOLDS)
    return wrong + (lacks or _holds(what, field["holds"], manifest["operation"], known | set(field["axes"])))


def _holds(what: str, holds: Mapping[str, Any], operation: Mapping[str, Any], known: set[str]) -> list[str]:
    operands = operation["inputs"] | operation["outputs"]
    if holds["operand"] not in operands:
        return [f"{what}: operand must be one of {', '.join(operands)}, not {holds['operand']!r}"]
    shape = operands[holds["operand"]]["shape"]
    wrong = []
    if len(holds["index"]) != len(shape):
        wrong.append(f"{what}: index must be one for each of {shape}, not {holds['index']}")
    inner = known | ({holds["members"]["axis"]} if "members" in holds else set())
    for text in holds["index"]:
        wrong += _expression(what, text, inner)
    return wrong + (_expression(what, holds["rank"], known) if "rank" in holds else [])


def _whole(manifest: Mapping[str, Any]) -> list[str]:
    """Every operand travels: inputs on input streams, outputs on output streams."""
    wrong = []
    for side, direction in (("inputs", "in"), ("outputs", "out")):
        sent = {
            field.get("holds", {}).get("operand")
            for stream in manifest["streams"].values()
            if stream["direction"] == direction
            for field in stream["fields"]
        }
        wrong += [
            f"{side}: {name} is on no stream" for name in manifest["operation"][side] if name not in sent
        ]
    return wrong


def _registers(manifest: Mapping[str, Any]) -> list[str]:
    wrong: list[str] = []
    seen: set[int] = set()
    for name, register in manifest["registers"].items():
        what = f"register {name}"
        if lacks := _kinds(what, register, REGISTER):
            wrong += lacks
            continue
        address = register["address"]
        if address % 4 or not 0 <= address < 1 << manifest["axil_address_width"] or address in seen:
            wrong.append(f"{what}: address must be a free word, not {address:#x}")
        seen.add(address)
        places: list[dict[str, Any]] = [{"name": n, "offset": low, "width": bits, "shape": []}
                  for n, (low, bits) in register["fields"].items()]  # fmt: skip
        wrong += _overlaps(what, places, 32)
    sizes = {n for n, r in manifest["registers"].items() if "legal" in r}
    for name in sorted(sizes):
        low, high = manifest["registers"][name]["legal"]
        width = manifest["registers"][name]["fields"]["value"][1]
        if not 1 == low <= high < (1 << width):
            wrong.append(f"register {name}: legal must be from 1 to what it holds, not {low} to {high}")
    written = set(manifest["operation"]["registers"])
    for rule in manifest["size_rules"]:
        wrong += _expression("size_rules", rule, written)
    return wrong + [f"register {name}: must be written and be there" for name in sorted(sizes ^ written)]


def _format(name: str, number: Mapping[str, Any]) -> list[str]:
    if number["width"] != 1 + number["exponent_bits"] + number["fraction_bits"]:
        return [f"format {name}: sign, exponent and fraction must be {number['width']} bits"]
    return []
