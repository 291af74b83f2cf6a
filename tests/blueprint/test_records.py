"""Records of descriptions are made once: nobody who holds a design, a task or a system can change another's."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from blueprint import registry
from blueprint.systems import operations
from blueprint.systems.reader import read_system
from blueprint.systems.runs import Runs
from blueprint.workloads.model import load
from blueprint.workloads.workload import of_model
from tests import records
from tests.systems import small

TINY = Path(__file__).resolve().parents[2] / "examples" / "tiny_decoder" / "system.yaml"


def test_records_of_descriptions_do_not_change() -> None:
    """But for the drafts of a file's tree, and for the source of a bench, which moves with the cycles."""
    for family in registry.families():
        spec = registry.get(family).sample(np.random.default_rng(1))
        assert spec.units() and spec.paths() and spec.registers() and spec.sizes, family
        with pytest.raises(dataclasses.FrozenInstanceError):
            spec.act_width = 4  # type: ignore[attr-defined]
    system = read_system(TINY)
    assert operations.decode(system, load("tiny"), 3) and Runs(small.hardware())
    assert of_model(load("tiny"), "decode").macs > 0
    assert records.changeable("blueprint") == {"Node", "Offer"}
