"""Designs of ``ternary_lut`` that random draws seldom have, compared in every view."""

from __future__ import annotations

from pathlib import Path

from blueprint.spec import Spec
from blueprint.unit import flip_flops
from generator.export import write_hardware
from simulator.rtl import rtl
from ternforge.conformance import compare, netlist_flip_flops


def differences(spec: Spec, out: Path) -> list[str]:
    """Differences in values, cycles, stalls and beats of a few runs; flip-flops must be those of the netlist."""
    write_hardware(spec, out)
    assert netlist_flip_flops(out, flatten=False) == int(flip_flops(spec.units()))
    return compare(spec, rtl.load(out, optimize="-O0"), 5)
