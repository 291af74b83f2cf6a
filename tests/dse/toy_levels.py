"""Levels above the toys' formulas: one that is right, and children that crash, hang, allocate and lie."""

from __future__ import annotations

import ctypes
import os
import sys
import time

import numpy as np

from dse.fidelity.levels import SIMULATED, SYNTHESIZED, Level
from dse.fidelity.request import Measured, Request

#: The one design of a space that a level fails on.
BAD = 5


def _width(request: Request) -> float:
    return float(request.space.columns(np.array([request.point]))["width"][0])


def simulated(request: Request) -> Measured:
    """Speed a tenth lower."""
    return Measured({"tokens_per_second": request.known["tokens_per_second"] * 0.9}, {"task": request.point})


def synthesized(request: Request) -> Measured:
    """Area that grows with the width beyond what formulas say: a power law, which a regression finds."""
    assert request.cycles == {"task": request.point}  # what the level below measured is known
    return Measured({"area_um2": request.known["area_um2"] * 1.3 * _width(request) ** 0.5})


def crash(_: Request) -> Measured:
    print("about to read address 0", flush=True)
    ctypes.string_at(0)
    raise AssertionError


def hang(_: Request) -> Measured:
    print("about to wait", flush=True)
    time.sleep(600)
    raise AssertionError


def allocate(_: Request) -> Measured:
    held = []
    while True:
        held.append(np.ones(1 << 22))


def refuse(_: Request) -> Measured:
    raise ValueError("no such cell")


def vanish(_: Request) -> Measured:
    sys.stdout.flush()
    os._exit(0)


def not_a_number(_: Request) -> Measured:
    return Measured({"area_um2": float("nan")})


def unknown(_: Request) -> Measured:
    return Measured({"weight": 1.0})


def nothing(_: Request) -> Measured:
    return Measured({})


def levels(first: str = "simulated", second: str = "synthesized") -> tuple[Level, ...]:
    """The two levels with functions of this module."""
    return (Level(SIMULATED, f"{__name__}:{first}"), Level(SYNTHESIZED, f"{__name__}:{second}"))
