"""Report of a bench: outcomes of random runs, findings of each group of checks, the reason why it stopped."""

from __future__ import annotations

from dataclasses import dataclass

from blueprint.workloads.tasks import Task


@dataclass(frozen=True)
class Case:
    """One run: a task, a stall profile, the seed of values and stalls."""

    task: Task
    profile: str
    seed: int


@dataclass(frozen=True)
class Outcome:
    """Result of one run: values that differ from the golden model of ``values``, three counts of its cycles, and
    everything else that was wrong."""

    case: Case
    mismatches: int
    values: int
    cycles_rtl: int
    cycles_register: int
    cycles_simulator: int
    findings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True if every value, every cycle and every register agrees."""
        same = self.cycles_rtl == self.cycles_register == self.cycles_simulator
        return self.mismatches == 0 and same and not self.findings


@dataclass(frozen=True)
class Checked:
    """One group of checks: its subject, its findings, and ``complete`` if it ran to its end."""

    name: str
    what: str
    findings: tuple[str, ...]
    complete: bool

    @property
    def ok(self) -> bool:
        """True if the group was completed without findings."""
        return self.complete and not self.findings


@dataclass(frozen=True)
class Report:
    """Report of the bench: random runs, groups of checks, and the reason of an early stop."""

    outcomes: tuple[Outcome, ...]
    checks: tuple[Checked, ...]
    stopped: str = ""

    @property
    def ok(self) -> bool:
        """True if all checks were completed and passed."""
        return not self.stopped and all(c.ok for c in self.checks) and all(o.ok for o in self.outcomes)

    @property
    def failure(self) -> str | None:
        """The first failure, and the reason of an early stop; ``None`` if all checks passed."""
        first = next((f"{part.name}: {part.findings[0]}" for part in self.checks if part.findings), None)
        early = [part.name for part in self.checks if not part.complete]
        stopped = self.stopped or (f"the bench ended before {early[0]} was through" if early else "")
        return "; ".join(text for text in (first, stopped) if text) or None

    @property
    def mismatches(self) -> int:
        """Number of wrong values in the random runs."""
        return sum(outcome.mismatches for outcome in self.outcomes)
