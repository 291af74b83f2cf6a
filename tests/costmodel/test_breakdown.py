"""Parts of area, energy and time add up to the metrics of a design, for every family."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from costmodel.model import breakdown
from costmodel.model.evaluate import Estimator, TechnologyCosts
from costmodel.model.metrics import name_of
from costmodel.technology import technology
from dse.explore import problem_of
from dse.space_file import read_space
from tests.costmodel import gated

ROOT = Path(__file__).resolve().parents[2]
SPACES = sorted(
    path for path in (ROOT / "examples").glob("*/space.yaml") if path.with_name("design.yaml").exists()
)


@pytest.mark.parametrize("gates", ["", "gates"], ids=["plain", "gates"])
@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.parent.name)
def test_parts_add_up(path: Path, gates: str, tmp_path: Path) -> None:
    space = read_space(path)
    if gates:
        space = replace(space, technology=str(gated.written(tmp_path)))
    problem = problem_of(space)
    batch = problem.evaluate(np.linspace(0, space.size - 1, 60).astype(np.int64))
    batch = batch.pick(batch.built)
    assert len(batch) > 5
    (sub,) = space.subspaces
    estimator = problem.evaluators[sub.family].estimator  # type: ignore[attr-defined]
    columns = dict(sub.columns(batch.indices))
    columns.pop("clock_mhz", None)
    found = breakdown.of(estimator, estimator.kind.columns(columns), batch.column("clock_mhz"))
    energy, rate = (
        name_of(base, space.subject.part) for base in ("energy_pj_per_token", "tokens_per_second")
    )
    assert energy is not None and rate is not None
    np.testing.assert_allclose(sum(found.areas.values()), batch.column("area_um2"), rtol=1e-12)
    np.testing.assert_allclose(sum(found.energies.values()), batch.column(energy), rtol=1e-9)
    seconds = sum(part.seconds for part in found.parts.values())
    np.testing.assert_allclose(seconds, estimator.work.tokens / batch.column(rate), rtol=1e-9)
    assert sum(part.macs for part in found.parts.values()) == estimator.work.macs


def test_costs_without_a_technology_have_no_places() -> None:
    space = read_space(SPACES[0])
    evaluator = next(iter(problem_of(space).evaluators.values()))
    estimator: Estimator = evaluator.estimator  # type: ignore[attr-defined]
    other = Estimator(estimator.kind, lambda _: None, estimator.work, None, None)  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match=r"^Costs must be those of a technology, not function$"):
        breakdown.of(other, None, 1.0)
    assert isinstance(estimator.costs, TechnologyCosts) and technology.names()
