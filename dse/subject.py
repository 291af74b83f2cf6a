"""The subject of a space: the kind of its designs, and the questions asked about them.

Everything in this room that depends on the kind asks the space's subject; the rest knows axes, indices and metrics.
:mod:`dse.families` has designs of families on a workload, :mod:`dse.systems` whole decoders on a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from blueprint.files.document import Section
from costmodel.model.metrics import Metric
from costmodel.model.work import Dram
from costmodel.technology.technology import Technology
from dse.evaluation import Evaluator


@dataclass(frozen=True)
class Described:
    """A design as a file: what was made, its parameters, the file's content and its text."""

    made: Any
    parameters: Mapping[str, Any]
    content: Mapping[str, Any]
    text: str


class Subject(Protocol):
    """Designs of one kind and what is asked of them; picklable.

    Designs stand in groups (:class:`dse.space.SubSpace`), each with parameters of its own: families, or systems.
    """

    @property
    def kind(self) -> str:
        """Name of its designs, in words."""

    @property
    def work(self) -> str:
        """The name of the work."""

    @property
    def context(self) -> int:
        """Tokens before the one that is decoded; 0 where there are none."""

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens of the prompt that gives the time to the first token, if it is asked for."""

    @property
    def schema(self) -> str:
        """The schema of the files of its designs."""

    @property
    def covers(self) -> str:
        """The work that the metrics cover, in words."""

    @property
    def one(self) -> str:
        """Unit of energy and throughput: tokens, or rows."""

    @property
    def dram(self) -> Dram | None:
        """The external memory that is the same for all designs, if any is stated beside them."""

    @property
    def memory(self) -> str:
        """The assumption about external memory, in words."""

    @property
    def rate(self) -> str:
        """The same as a cell of a table."""

    @property
    def assumptions(self) -> str:
        """Statement of what the numbers include and exclude, for readers of a report."""

    @property
    def accuracy(self) -> str:
        """Accuracy of the numbers, in a sentence."""

    @property
    def batch(self) -> int:
        """The most designs that are evaluated and committed at a time: what is lost by a search that is killed."""

    @property
    def unmeasured(self) -> str:
        """Why no level above the analytical one can measure its designs; empty where they can."""

    @property
    def known_metrics(self) -> dict[str, Metric]:
        """The metrics that its designs have, or would have with a prompt and a clock."""

    def metrics(self, clocked: bool) -> dict[str, Metric]:
        """The metrics of its designs; ``clocked`` says that a clock is asked for."""

    def evaluators(
        self, groups: Sequence[str], clocked: bool, technology: Technology
    ) -> Mapping[str, Evaluator]:
        """The evaluator of each group. Raises ``ParamError`` for groups that cannot be compared."""

    def content(self) -> dict[str, Any]:
        """Facts on which the numbers depend, as plain values: a study is bound to them."""

    def whole(self, text: str, section: Section) -> str:
        """The text of a space file that was read from ``section``, with what it takes from other files in it.

        So a study can be read wherever its folder is.
        """

    def file_content(self, section: Section) -> dict[str, Any]:
        """Its keys in a space file that was read from ``section``, with all defaults filled in."""

    def describe(
        self, group: str, parameters: Mapping[str, Any], name: str, clock_mhz: float | None, technology: str
    ) -> Described:
        """A design as a file. Raises ``ParamError`` for one that cannot be built."""
