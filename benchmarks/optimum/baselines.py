"""Baselines of the optimum: multipliers, plain select-add, and published table designs as cores."""

from __future__ import annotations

from typing import Any

from benchmarks.lut_core_area import published
from benchmarks.optimum import measure, switching
from benchmarks.optimum.lanes import (
    BinaryBuild,
    BinaryFetch,
    FloatMultiplyLane,
    MultiplyLane,
    select_add_lane,
)
from benchmarks.optimum.points import INTEGERS, K_MAX, TABLES, Kind, Point, parts, per_mac, shares
from blueprint.arithmetic import floating
from generator.arithmetic.floating import FixedToFloat, FloatToFixed
from generator.families.ternary_lut.float_lane import FloatLane
from generator.families.ternary_lut.lane import Lane

COUNT = TABLES[1]

#: Area per multiply-accumulate in um2 that other implementations state in asap7 at 24 a cycle, INT8 if not said.
STATED = {
    "select-add": 5.72, "int8 x 2-bit multiplier": 8.6, "int8 x int8 multiplier": 29.9, "fp16 select-add": 49.8,
}  # fmt: skip


def multipliers(kind: Kind, technology: str) -> dict[str, dict[str, float]]:
    """Lanes that multiply, per multiply-accumulate: by the 2-bit weight, and by a number like the activation."""
    if kind.arithmetic == "integer":
        width = INTEGERS[kind.format]
        found = {}
        for label, other in (("2-bit weight", 2), ("full", width)):
            acc = int(Point(kind, 1).spec().result_width) + (other - 1 if other != 2 else 0)
            block = MultiplyLane(width, other, COUNT, acc)
            inputs: switching.Inputs = {
                "activation": (kind, COUNT),
                "weight": (kind if label == "full" else 2, COUNT),
            }
            found[label] = _each(switching.lane(block, technology, inputs), COUNT)
        return found
    plain = Kind(kind.format, "float")
    block = FloatMultiplyLane(Point(plain, 1).spec())
    ports = {"activation": (plain, COUNT), "weight": (plain, COUNT)}
    return {"full": _each(switching.lane(block, technology, dict(ports)), COUNT)}


def _each(found: dict[str, float], count: int) -> dict[str, float]:
    return {
        "um2_per_mac": found["um2"] / count,
        "ns": found["ps"] / 1000,
        "fj_per_mac": found["fj"] / count,
    }


def select_add(technology: str, fetches: int) -> dict[str, dict[str, float]]:
    """INT8 select-add otherwise than ours: one sum, as one would write it, and the published structure.

    The published one registers the activations, negates by adding, and chains adders of 32 bits.
    """
    text = select_add_lane(8, COUNT)
    inputs: switching.Inputs = {"a": (Kind("int8", "integer"), COUNT), "w": (2, COUNT)}
    theirs = measure.text(published(1, COUNT, 4), technology)
    area = per_mac(COUNT * theirs["build"], COUNT * theirs["fetch"] + theirs["lane"], fetches, COUNT)
    return {
        "written plainly": _each(switching.verilog(text, technology, inputs), COUNT),
        "published structure": {"um2_per_mac": area, "ns": theirs["ps"] / 1000},
    }


def bit_serial(kind: Kind, group: int, tables: int, technology: str) -> dict[str, float]:
    """A core of one-bit weights, two planes to a ternary weight, so half the throughput; areas per column and once.

    A ternary weight is half the sum of two weights of +1 or -1; the sums of both planes are added in two cycles.
    """
    spec = Point(kind, group).spec(
        lut_count=tables, k_max=2 * K_MAX if kind.arithmetic == "integer" else K_MAX
    )
    build = measure.block(BinaryBuild(spec), technology)["um2"]
    fetches = [measure.block(BinaryFetch(spec, as_tree), technology)["um2"] for as_tree in (False, True)]
    lane = measure.block(FloatLane(spec) if spec.floats else Lane(spec), technology)["um2"]
    return {
        "once": tables * build, "column": tables * min(fetches) + lane, "acts": tables * group / 2,
        "build": build, "fetch": min(fetches), "lane": lane,
    }  # fmt: skip


#: Published designs as cores of this study: name, numbers, group, tables a column, fetches, style.
PUBLISHED: tuple[tuple[str, Kind, int, int, int, str], ...] = (
    ("TeLLMe, G = 3, all 27 entries, Q = 16", Kind("int8", "integer"), 3, 28, 16, "full"),
    ("Platinum, five trits, half table, 8 columns", Kind("int8", "integer"), 5, 5, 8, "half"),
    ("LUT Tensor Core, M2 N64 K4, bit-serial", Kind("int8", "integer"), 4, 1, 64, "bit-serial"),
    ("LUT Tensor Core, M2 N64 K4, bit-serial", Kind("fp16", "float"), 4, 1, 64, "bit-serial"),
    ("T-MAC, g = 4, bit-serial", Kind("int8", "integer"), 4, 6, 32, "bit-serial"),
    ("FIGLUT, mu = 4, 32 reads, bit-serial", Kind("fp16", "float"), 4, 6, 32, "bit-serial"),
    ("FIGLUT, mu = 4, 32 reads, bit-serial", Kind("bf16", "float"), 4, 6, 32, "bit-serial"),
)


def published_design(row: tuple[str, Kind, int, int, int, str], technology: str) -> dict[str, Any]:
    """Area per multiply-accumulate of a published design, all of it made from our modules."""
    name, kind, group, tables, fetches, style = row
    if style == "bit-serial":
        found = bit_serial(kind, group, tables, technology)
        area = per_mac(found["once"], found["column"], fetches, 1) / found["acts"]
    else:
        point = Point(kind, group, style)
        spec = point.spec(lut_count=tables)
        modules = _parts(point, tables, technology)
        area = per_mac(*shares(modules, spec), fetches, int(spec.tile_k))
    return {
        "name": name, "format": kind.format, "arithmetic": kind.arithmetic, "mu": group, "tables": tables,
        "fetches": fetches, "style": style, "um2_per_mac": area,
    }  # fmt: skip


def _parts(point: Point, tables: int, technology: str) -> dict[str, dict[str, float]]:
    spec = point.spec(lut_count=tables)
    return parts(point, technology) | {"lane": measure.block(Lane(spec), technology)}


def conversions(kind: Kind, technology: str) -> dict[str, float]:
    """Extra area of exact float sums over the integer core, in um2."""
    spec = Point(kind, 1).spec()
    fmt = floating.get(kind.format)
    out = FixedToFloat(fmt, fmt, int(spec.result_width))
    return {
        "to_fixed": measure.block(FloatToFixed(fmt), technology)["um2"],
        "to_float": measure.block(out, technology)["um2"],
    }
