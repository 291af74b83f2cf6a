"""Spaces of designs of families: what is asked of them, and the cost model's answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blueprint import registry
from blueprint.files import schemas
from blueprint.files.design import Design, design_content, design_text
from blueprint.files.document import Section
from blueprint.workloads.workload import Workload, workload_content
from costmodel.model import evaluate as model
from costmodel.model.evaluate import Costs, Estimator, TechnologyCosts
from costmodel.model.metrics import Metric, metrics_of, scope
from costmodel.model.work import Asked, Dram, memory_text
from costmodel.technology.technology import Technology
from dse.evaluate import DesignEvaluator
from dse.evaluation import Evaluator
from dse.problem import MESH, Problem
from dse.space import Space
from dse.subject import Described


@dataclass(frozen=True)
class Families:
    """Designs of families on a workload; without ``dram`` memory takes no time and no energy.

    ``part`` is the part of a model that the families run, empty for a plain workload.
    """

    workload: Workload
    dram: Dram | None = None
    prompt_tokens: int | None = None
    part: str = ""
    kind = "designs"
    schema = schemas.DESIGN
    accuracy = "Cycles are exact: they equal the simulator's and the RTL's."
    batch = MESH
    assumptions = model.ASSUMPTIONS
    unmeasured = ""

    def asked(self, clocked: bool = False) -> Asked:
        """Conditions of the evaluation of designs; ``clocked`` says that a clock is asked for."""
        return Asked(self.workload, self.dram, self.prompt_tokens, clocked)

    @property
    def work(self) -> str:
        """The name of the workload."""
        return self.workload.name

    @property
    def context(self) -> int:
        """Tokens before the one that is decoded."""
        return self.workload.context

    @property
    def covers(self) -> str:
        """The part of a model, or the whole workload."""
        return scope(self.part)

    @property
    def one(self) -> str:
        """Tokens of a model, rows of a plain workload."""
        return "token" if self.part else "row"

    @property
    def memory(self) -> str:
        """The external memory in words."""
        return memory_text(self.dram)

    @property
    def rate(self) -> str:
        """The rate of the external memory."""
        return "unlimited" if self.dram is None else f"{self.dram.bandwidth_gb_s:g} GB/s"

    @property
    def known_metrics(self) -> dict[str, Metric]:
        """The metrics of designs that run the part or the workload."""
        return metrics_of(self.part)

    def metrics(self, clocked: bool) -> dict[str, Metric]:
        """Metrics by name."""
        absent = set() if self.asked().has_prompt else {"time_to_first_token_s"}
        absent |= set() if clocked else {"clock_margin"}
        return {name: metric for name, metric in self.known_metrics.items() if metric.base not in absent}

    def evaluators(
        self, groups: Sequence[str], clocked: bool, technology: Technology
    ) -> Mapping[str, Evaluator]:
        """The evaluators of families in a technology."""
        return self.judged(groups, clocked, TechnologyCosts(technology))

    def judged(self, groups: Sequence[str], clocked: bool, costs: Costs) -> Mapping[str, Evaluator]:
        """The evaluators of families with these costs.

        Raises ``ParamError`` for families that run different tasks: their numbers cannot be compared.
        """
        kinds, asked = [registry.get(name) for name in groups], self.asked(clocked)
        asked.part(kinds)
        return {kind.family: DesignEvaluator(Estimator.of(kind, costs, asked)) for kind in kinds}

    def content(self) -> dict[str, Any]:
        """Tasks, model and memory."""
        work = self.workload
        return {
            "workload": [dataclasses.astuple(task) for task in work.tasks],
            "model": dataclasses.asdict(work.model) if work.model else None,
            "context": work.context,
            "prompt_tokens": self.prompt_tokens,
            "dram": dataclasses.asdict(self.dram) if self.dram else None,
        }

    def whole(self, text: str, section: Section) -> str:
        """The text as it is."""
        return text

    def file_content(self, section: Section) -> dict[str, Any]:
        """Families, workload, prompt and memory."""
        return {
            "family": section.raw()["family"],
            "workload": workload_content(self.workload, section.section("workload")),
            "prompt_tokens": self.prompt_tokens,
            "dram": self.dram and dataclasses.asdict(self.dram),
        }

    def describe(
        self, group: str, parameters: Mapping[str, Any], name: str, clock_mhz: float | None, technology: str
    ) -> Described:
        """A design of a family."""
        design = Design(registry.get(group).from_mapping(parameters), name, clock_mhz, technology)
        return Described(design, design.spec.parameters, design_content(design), design_text(design))


def design_problem(space: Space, costs: Costs, provenance: dict[str, str]) -> Problem:
    """The problem of a space of families with these costs. Raises ``ParamError`` as :meth:`Families.judged`."""
    assert isinstance(space.subject, Families)
    judges = space.subject.judged(space.groups, space.clock is not None, costs)
    return Problem(space, judges, space.metric_names, provenance)
