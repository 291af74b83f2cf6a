"""Words wider than a vector: the same values, cycles and flip-flops where words stand in slices and memories in banks.

A vector of Verilog holds 65,536 bits, and a design that needs more is too large to be simulated here. So the limit is
lowered to the widest port of a small design, and what is wider inside it is split as it would be there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint import numbers
from blueprint.registry import families
from blueprint.spec import Spec
from blueprint.unit import flip_flops
from costmodel.calibration import sampling
from generator.export import write_hardware
from simulator.rtl import rtl
from ternforge.conformance import compare, netlist_flip_flops
from tests.volume import ALL, some

#: Widths of a register's and of AXI4-Lite's ports, which are never split.
NARROWEST, DESIGNS = 32, some(1, of=4)


#: Bits of one of the sums of a row, which stand beside each other, however many lanes there are.
SUM_BITS = 32
#: No random design is larger.
MOST_GATES = 1 << 30


def limit(spec: Spec) -> int:
    """The widest port of the top: the least that a vector has to hold."""
    return max(NARROWEST, *(stream.width for stream in spec.streams()))


def verilog(out: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in sorted((out / "rtl").iterdir())}


@pytest.mark.slow
@pytest.mark.parametrize("number", range(some(2, of=12)))
def test_no_word_of_a_vector_unit_is_wider_than_its_ports(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So nothing of it is ever split: rows come in with 32 bits an element, and are kept with no more."""
    spec: Any = families()["vector"].sample(np.random.default_rng([9, number]))
    sums = SUM_BITS * (spec.adder_stages + 1) if spec.adder_stages else 0
    write_hardware(spec, tmp_path / "whole")
    monkeypatch.setattr(numbers, "VECTOR_BITS", max(sums, limit(spec)))
    write_hardware(spec, tmp_path / "split")
    assert verilog(tmp_path / "split") == verilog(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("family", [name for name in families() if name != "vector"])
def test_designs_of_split_words_agree(tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = 0
    drawn = [families()[family].sample(np.random.default_rng([9, number])) for number in range(100)]
    limited = [spec for spec in drawn if sampling.gates(spec) <= some(70_000, of=MOST_GATES)]
    # Large ones have wide words, which small ones seldom have.
    for number, spec in enumerate(sorted(limited, key=lambda spec: -sampling.gates(spec) * (not ALL))):
        whole, split = tmp_path / f"whole{number}", tmp_path / f"split{number}"
        write_hardware(spec, whole)
        with monkeypatch.context() as lowered:
            lowered.setattr(numbers, "VECTOR_BITS", limit(spec))
            write_hardware(spec, split)
            if verilog(split) == verilog(whole):
                continue
            predicted = int(flip_flops(spec.units()))
            assert netlist_flip_flops(split, flatten=False) == predicted, spec
        assert compare(spec, rtl.load(split, optimize="-O0"), number) == [], spec
        checked += 1
        if checked == DESIGNS:
            break
    assert checked == DESIGNS
