"""Spaces of whole decoders: a system whose parameters vary, a model that it runs, and the cost model's answers.

Systems are estimated one by one (:mod:`costmodel.systems.estimate`); what does not change from one to the next, the
costs of units and the programs of hardware, is computed once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.errors import ParamError, SpecError
from blueprint.files import schemas
from blueprint.files.document import Section, read_text
from blueprint.files.tree import dump
from blueprint.systems import variants
from blueprint.systems.description import System
from blueprint.systems.reader import system_content, system_text
from blueprint.systems.variants import Unbuildable
from blueprint.workloads.model import Model
from costmodel.model.metrics import METRICS, Metric, metrics_of_systems
from costmodel.model.quantity import metric_text, shown
from costmodel.systems.estimate import ASSUMPTIONS, Estimate, Estimator, limit
from costmodel.systems.metrics import metrics
from costmodel.technology.technology import Technology
from dse.axis import CLOCK, Axis
from dse.evaluation import Evaluation, Evaluator, Shape
from dse.subject import Described

#: The key of a space file that makes it one of systems.
KEY = "system"
#: Systems that are evaluated and committed at a time: some seconds.
BATCH = 8


@dataclass(frozen=True)
class Systems:
    """Variants of a system, ``base``, on a model: a token behind ``context`` others, and a prompt if one is asked for.

    Without a ``model`` it is the largest that the system holds.
    """

    base: System
    model: Model | None
    context: int
    prompt_tokens: int | None = None
    kind = "systems"
    schema = schemas.SYSTEM
    accuracy = (
        "Of compiled systems, cycles of a token are within 0.5 % of the simulator's, and bytes are equal."
    )
    one = "token"
    batch = BATCH
    dram = None
    assumptions = ASSUMPTIONS
    covers = "a whole decoder; sequencer, movers and staging where it is compiled"
    memory = "external, as each system states it"
    rate = "of the system"
    unmeasured = (
        "study must be of designs of families to be promoted, and it is of systems; `ternforge apply` writes one, "
        "which `ternforge simulate` and `ternforge verify` run with a checkpoint"
    )

    @property
    def work(self) -> str:
        """The name of the model."""
        return "its largest model" if self.model is None else self.model.name

    def model_of(self, system: System) -> Model:
        """The model that a system runs."""
        return system.largest if self.model is None else self.model

    @property
    def known_metrics(self) -> dict[str, Metric]:
        """The metrics of whole decoders."""
        return metrics_of_systems()

    def metrics(self, clocked: bool) -> dict[str, Metric]:
        """Metrics by name."""
        absent = {"time_to_first_token_s": self.prompt_tokens is None, "clock_margin": not clocked}
        return {name: metric for name, metric in self.known_metrics.items() if not absent.get(name)}

    def evaluators(
        self, groups: Sequence[str], clocked: bool, technology: Technology
    ) -> Mapping[str, Evaluator]:
        """The evaluator of the one group that there is."""
        judge = SystemEvaluator(self, tuple(self.metrics(clocked)), Estimator(technology))
        return dict.fromkeys(groups, judge)

    def content(self) -> dict[str, Any]:
        """The system, and what is asked of it."""
        return {
            "system": system_content(self.base),
            "model": dataclasses.asdict(self.model) if self.model else None,
            "context": self.context,
            "prompt_tokens": self.prompt_tokens,
        }

    def file_content(self, section: Section) -> dict[str, Any]:
        """System, workload and prompt."""
        work = {"context": self.context}
        return {
            KEY: system_content(self.base),
            "workload": work if self.model is None else {"model": model_name(section), **work},
            "prompt_tokens": self.prompt_tokens,
        }

    def whole(self, text: str, section: Section) -> str:
        """The text with the system, and the whole path of a model's file, in it."""
        raw = section.raw()
        wanted = {**raw, KEY: raw[KEY] if isinstance(raw[KEY], dict) else system_content(self.base)}
        if self.model is not None:
            wanted["workload"] = {**raw["workload"], "model": model_name(section)}
        if wanted == raw:
            return text
        lines = text.splitlines(keepends=True)
        place = section.position((KEY,))[0] - 1
        inner = "".join(f"  {line}" for line in dump(wanted[KEY]).splitlines(keepends=True))
        found = "".join([*lines[:place], f"{KEY}:\n{inner}", *lines[place + 1 :]])
        return found if _reads_as(found, wanted) else dump(wanted)

    def changed(self, parameters: Mapping[str, Any], clock_mhz: float | None) -> System:
        """A system of the space at a clock; ``None`` is its base's own, if that says one. Raises ``ParamError``."""
        return replace(variants.changed(self.base, parameters), clock_mhz=clock_mhz)

    def describe(
        self, group: str, parameters: Mapping[str, Any], name: str, clock_mhz: float | None, technology: str
    ) -> Described:
        """A system as a file."""
        made = replace(self.changed(parameters, clock_mhz), name=name, technology=technology)
        return Described(made, parameters, system_content(made), system_text(made))


def model_name(section: Section) -> str:
    """The model that a space file names; one that is a file by its whole path, so that the text may stand anywhere."""
    name = str(section.raw()["workload"]["model"])
    is_file = name.endswith((".yaml", ".yml"))
    return str((Path(section.source).parent / name).absolute()) if is_file else name


def _reads_as(text: str, wanted: Mapping[str, Any]) -> bool:
    try:
        return read_text(text).raw() == wanted
    except SpecError:  # a mapping that was written within braces
        return False


@dataclass(frozen=True)
class SystemEvaluator:
    """Judges systems by the numbers of an estimator, one by one."""

    subject: Systems
    names: tuple[str, ...]
    estimator: Estimator = field(compare=False)

    def __call__(self, columns: dict[str, Any], shape: Shape) -> Evaluation:
        """Metrics of systems; those that cannot be built or cannot run the model get a reason."""
        shape = (shape,) if isinstance(shape, int) else shape
        spread = {name: np.broadcast_to(np.asarray(values), shape) for name, values in columns.items()}
        found = {name: np.full(shape, np.nan) for name in self.names}
        reason, reasons = np.zeros(shape, dtype=np.int64), [""]
        for place in np.ndindex(shape):
            values = {name: column[place].item() for name, column in spread.items()}
            try:
                row = metrics(self.estimated(values, values.pop(CLOCK, None)))
            except ParamError as problem:
                text = _reason(problem)
                reasons += [] if text in reasons else [text]
                reason[place] = reasons.index(text)
                continue
            for name in self.names:
                found[name][place] = row[name]
        return Evaluation(found, reason, tuple(reasons))

    def estimated(self, parameters: Mapping[str, Any], clock_mhz: float | None) -> Estimate:
        """The estimate of one system at a clock, without one at its highest. Raises ``ParamError``."""
        asked, system = self.subject, self.subject.changed(parameters, clock_mhz)
        if clock_mhz is None:  # as the file of the system will say it
            system = replace(system, clock_mhz=self.estimator.costs(system).fastest_mhz)
        found = self.estimator(
            system, asked.model_of(system), asked.context, asked.prompt_tokens, programs=self.compiled
        )
        if self.compiled and found.uncompiled:
            raise Unbuildable(f"system must be compiled, as that of the space is: {found.uncompiled}")
        return found

    @cached_property
    def compiled(self) -> bool:
        """True if the base has programs: then all systems must, as numbers of both kinds are not to be compared."""
        return self.estimator.compiles(self.subject.base, self.subject.model_of(self.subject.base))

    def limited_by(
        self, axes: Sequence[Axis], parameters: Mapping[str, Any], metric: str, clock_mhz: float | None
    ) -> str | None:
        """Describe the largest, slowest or busiest part of a system."""
        found = self.estimated(parameters, clock_mhz)
        if metric == "area_um2":
            return _largest("largest place", found.costs.areas, "um2")
        if metric in ("energy_pj_per_token", "power_mw"):
            return _largest("largest part", found.phases["decode"].energies, "pJ")
        if metric in ("clock_mhz", "clock_margin", "critical_path_ps"):
            clocks = found.costs.clocks_mhz
            name = min(clocks, key=lambda each: clocks[each])
            return f"slowest part {name!r}, {metric_text('clock_mhz', clocks[name])}"
        phase = found.phases["prefill" if metric == "time_to_first_token_s" else "decode"]
        name, share = limit(phase, self.subject.changed(parameters, found.clock_mhz))
        return f"{name} is busiest, {100 * share:.0f} % of the time" if metric in METRICS else None

    def breakdown(self, columns: dict[str, Any], clock_mhz: npt.NDArray[np.float64]) -> None:
        """None: every system would be estimated again; `ternforge estimate` of its file says it of one."""


def _reason(problem: ParamError) -> str:
    """The reason why a system cannot be built, in words that many systems share."""
    return problem.reason if isinstance(problem, Unbuildable) else str(problem).rsplit(", not ", 1)[0]


def _largest(what: str, parts: Mapping[str, float], unit: str) -> str:
    name = max(parts, key=lambda each: parts[each])
    share = 100 * parts[name] / sum(parts.values())
    return f"{what} {name!r}, {shown(unit, [parts[name]]).text(parts[name])} ({share:.0f} %)"
